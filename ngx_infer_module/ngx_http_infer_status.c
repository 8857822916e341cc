
/*
 * infer_status: all models and what has happened to them, in JSON.
 */


#include "ngx_http_infer_paths.h"
#include "ngx_http_infer_protocols.h"


static ngx_int_t ngx_http_infer_status_handler(ngx_http_request_t *r);
static json_t *ngx_http_infer_status_model(ngx_pool_t *pool,
    ngx_http_infer_main_conf_t *imcf, ngx_http_infer_endpoint_t *ep);
static void ngx_http_infer_status_path(ngx_http_request_t *r, json_t *object,
    ngx_shm_zone_t *stats);
static json_t *ngx_http_infer_status_inputs(const infer_model_t *model);
static json_t *ngx_http_infer_status_batches(ngx_http_infer_stats_t *stats);
static json_t *ngx_http_infer_status_phase(ngx_http_infer_histogram_t *h);
static double ngx_http_infer_quantile(ngx_http_infer_histogram_t *h,
    uint64_t count, double q);


static const char  *ngx_http_infer_status_phases[] = {
    "receive", "queue", "decode", "preprocess", "infer", "respond"
};


char *
ngx_http_infer_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_infer_status_handler;

    return ngx_http_infer_add_location(cf, NGX_HTTP_INFER_STATUS) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_infer_status_handler(ngx_http_request_t *r)
{
    json_t                       *root, *models, *model;
    ngx_uint_t                    i, n;
    ngx_core_conf_t              *ccf;
    ngx_http_infer_endpoint_t   **ep;
    ngx_http_infer_main_conf_t   *imcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_infer_status_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_infer_wants_page(r)) {
        return ngx_http_infer_send_page(r);
    }

    imcf = ngx_http_get_module_main_conf(r, ngx_http_infer_module);
    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    root = json_object();
    models = json_array();

    ep = imcf->endpoints.elts;

    for (i = 0; i < imcf->endpoints.nelts; i++) {

        /* those of one name and version have one account */

        for (n = 0; n < i && ep[n]->stats != ep[i]->stats; n++) {
            /* void */
        }

        if (n == i) {
            model = ngx_http_infer_status_model(r->pool, imcf, ep[i]);
            ngx_http_infer_status_path(r, model, ep[i]->stats);
            json_array_append_new(models, model);
        }
    }

    json_object_set_new(root, "version", json_string(INFER_VERSION));
    json_object_set_new(root, "nginx", json_string(NGINX_VERSION));
    json_object_set_new(root, "isa", json_string(infer_isa()));
    json_object_set_new(root, "workers", json_integer(ccf->worker_processes));
    json_object_set_new(root, "pid", json_integer(ngx_pid));
    json_object_set_new(root, "ready",
                        json_boolean(ngx_http_infer_is_ready()));
    json_object_set_new(root, "time", json_integer(ngx_time()));
    json_object_set_new(root, "models", models);

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


static json_t *
ngx_http_infer_status_model(ngx_pool_t *pool,
    ngx_http_infer_main_conf_t *imcf, ngx_http_infer_endpoint_t *ep)
{
    char                     key[NGX_INT_T_LEN + 1];
    json_t                  *object, *requests, *phases, *predictions;
    ngx_str_t                version;
    ngx_uint_t               i;
    const infer_model_t     *model;
    ngx_http_infer_load_t    load;
    ngx_http_infer_stats_t  *stats;

    model = ep->model->model;
    stats = ep->stats->data;
    load = ngx_http_infer_get_load(imcf, ep);
    version = ngx_http_infer_version(ep);

    object = json_object();
    requests = json_object();
    phases = json_object();
    predictions = json_object();

    for (i = 0; i < NGX_HTTP_INFER_REASONS; i++) {
        json_object_set_new(requests, ngx_http_infer_reasons[i].name,
                            json_integer(stats->outcome[i]));
    }

    for (i = 0; i < NGX_HTTP_INFER_PHASES; i++) {
        json_object_set_new(phases, ngx_http_infer_status_phases[i],
                            ngx_http_infer_status_phase(&stats->phase[i]));
    }

    for (i = 0; i < NGX_HTTP_INFER_CLASSES; i++) {
        if (stats->class[i]) {
            *ngx_sprintf((u_char *) key, "%ui", i) = '\0';
            json_object_set_new(predictions, key,
                                json_integer(stats->class[i]));
        }
    }

    json_object_set_new(object, "name",
                        ngx_http_infer_json_string(&ep->name));
    json_object_set_new(object, "version",
                        ngx_http_infer_json_string(&version));
    json_object_set_new(object, "file",
                        ngx_http_infer_json_string(&ep->model->path));
    json_object_set_new(object, "format",
                        json_string(ngx_http_infer_format(ep)));
    json_object_set_new(object, "bytes",
                        json_integer(infer_model_size(model)));
    json_object_set_new(object, "classes",
                        json_integer(infer_model_classes(model)));
    json_object_set_new(object, "inputs",
                        ngx_http_infer_status_inputs(model));
    json_object_set_new(object, "requests", requests);
    json_object_set_new(object, "inferences",
                        json_integer(stats->inferences));
    json_object_set_new(object, "batches",
                        ngx_http_infer_status_batches(stats));
    json_object_set_new(object, "last_success",
                        json_real(stats->last / 1000.0));
    json_object_set_new(object, "waiting", json_integer(load.waiting));
    json_object_set_new(object, "running", json_integer(load.running));
    json_object_set_new(object, "phases", phases);
    json_object_set_new(object, "predictions", predictions);
    json_object_set_new(object, "feedback",
                        ngx_http_infer_feedback_json(&stats->feedback));

    json_object_set_new(object, "monitor",
                        ngx_http_infer_monitor_json(pool, ep));

    if (ngx_http_infer_get_compared(ep)) {
        json_object_set_new(object, "shadow", ngx_http_infer_shadow_json(
                                ngx_http_infer_get_compared(ep)));
    }

    return object;
}


/* for the page: where to post an image, labels of classes that were counted */

static void
ngx_http_infer_status_path(ngx_http_request_t *r, json_t *object,
    ngx_shm_zone_t *stats)
{
    json_t                    *labels, *value;
    ngx_str_t                  path, label;
    const char                *key;
    ngx_http_infer_service_t  *service;

    service = ngx_http_infer_find_image_path(r, stats, &path);
    if (service == NULL) {
        return;
    }

    labels = json_object();

    json_object_foreach(json_object_get(object, "predictions"), key, value) {
        label = ngx_http_infer_label(service, strtoul(key, NULL, 10));

        if (label.len) {
            json_object_set_new(labels, key,
                                ngx_http_infer_json_string(&label));
        }
    }

    json_object_set_new(object, "path", ngx_http_infer_json_string(&path));
    json_object_set_new(object, "labels", labels);
}


static json_t *
ngx_http_infer_status_inputs(const infer_model_t *model)
{
    int            d;
    size_t         i;
    json_t        *array, *object, *shape;
    ngx_str_t      name;
    infer_port_t   port;

    array = json_array();

    for (i = 0; i < infer_model_inputs(model); i++) {
        infer_model_input(model, i, &port);

        object = json_object();
        shape = json_array();

        for (d = 0; d < port.rank; d++) {
            json_array_append_new(shape, json_integer(port.dim[d]));
        }

        name.data = (u_char *) port.name;
        name.len = ngx_strlen(port.name);

        json_object_set_new(object, "name",
                            ngx_http_infer_json_string(&name));
        json_object_set_new(object, "datatype",
                            json_string(ngx_http_infer_kserve_datatype(
                                            port.dtype)));
        json_object_set_new(object, "shape", shape);

        json_array_append_new(array, object);
    }

    return array;
}


/* how often so many images or rows were run at once */

static json_t *
ngx_http_infer_status_batches(ngx_http_infer_stats_t *stats)
{
    char         key[NGX_INT_T_LEN + 1];
    json_t      *object;
    ngx_uint_t   i;

    object = json_object();

    for (i = 0; i < NGX_HTTP_INFER_MAX_RUN; i++) {
        if (stats->runs[i].count) {
            *ngx_sprintf((u_char *) key, "%ui", i + 1) = '\0';
            json_object_set_new(object, key,
                                json_integer(stats->runs[i].count));
        }
    }

    return object;
}


/* seconds; nothing has a quantile where there was nothing */

static json_t *
ngx_http_infer_status_phase(ngx_http_infer_histogram_t *h)
{
    json_t      *object;
    uint64_t     count;
    ngx_uint_t   i;

    for (count = 0, i = 0; i < NGX_HTTP_INFER_BUCKETS; i++) {
        count += h->bucket[i];
    }

    object = json_object();

    json_object_set_new(object, "count", json_integer(count));
    json_object_set_new(object, "sum", json_real(h->sum / 1e9));

    if (count) {
        json_object_set_new(object, "p50",
                            json_real(ngx_http_infer_quantile(h, count, .5)));
        json_object_set_new(object, "p95",
                            json_real(ngx_http_infer_quantile(h, count,
                                                              .95)));
        json_object_set_new(object, "p99",
                            json_real(ngx_http_infer_quantile(h, count,
                                                              .99)));
    }

    return object;
}


/* as Prometheus' histogram_quantile(): on a line within its bucket */

static double
ngx_http_infer_quantile(ngx_http_infer_histogram_t *h, uint64_t count,
    double q)
{
    double      rank, low, high, n;
    ngx_uint_t  i;

    low = 0;
    rank = q * count;

    for (i = 0; i < NGX_HTTP_INFER_BUCKETS - 1; i++) {
        n = h->bucket[i];
        high = ngx_http_infer_bounds[i] / 1e9;

        if (n > 0 && rank <= n) {
            return low + (high - low) * rank / n;
        }

        rank -= n;
        low = high;
    }

    return low;
}
