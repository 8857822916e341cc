
/*
 * KServe's Open Inference Protocol, version 2: what is asked with GET, and the
 * index of the repository.
 */


#include "ngx_http_infer_module.h"


static json_t *ngx_http_infer_kserve_text(const char *text);
static json_t *ngx_http_infer_kserve_ports(const infer_model_t *model,
    size_t n, void (*get)(const infer_model_t *model, size_t i,
    infer_port_t *port), ngx_uint_t config);
static json_t *ngx_http_infer_kserve_shape(infer_port_t *port,
    ngx_uint_t skip);
static const char *ngx_http_infer_kserve_platform(
    ngx_http_infer_service_t *service);
static ngx_uint_t ngx_http_infer_kserve_open(const infer_model_t *model);
static json_t *ngx_http_infer_kserve_batches(ngx_http_infer_stats_t *s,
    uint64_t *count);
static json_t *ngx_http_infer_kserve_duration(uint64_t count, uint64_t ns);
static uint64_t ngx_http_infer_kserve_count(ngx_http_infer_histogram_t *h);


static const char  *ngx_http_infer_kserve_names[] = {
    "FP32", "FP64", "FP16", "BF16", "INT8", "UINT8", "INT16", "UINT16",
    "INT32", "UINT32", "INT64", "UINT64", "BOOL"
};


const char *
ngx_http_infer_kserve_datatype(infer_dtype_t dtype)
{
    return ngx_http_infer_kserve_names[dtype];
}


ngx_int_t
ngx_http_infer_kserve_server(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t      *root, *extensions;
    ngx_uint_t   i;

    static const char  *names[] = {
        "binary_tensor_data", "classification", "statistics",
        "model_configuration", "model_repository"
    };

    root = json_object();
    extensions = json_array();

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_array_append_new(extensions, json_string(names[i]));
    }

    json_object_set_new(root, "name", json_string("ngx_infer"));
    json_object_set_new(root, "version", json_string(INFER_VERSION));
    json_object_set_new(root, "extensions", extensions);

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


ngx_int_t
ngx_http_infer_kserve_live(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t  *root;

    root = json_object();
    json_object_set_new(root, "live", json_true());

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


ngx_int_t
ngx_http_infer_kserve_ready(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t      *root;
    ngx_uint_t   ready;

    ready = ngx_http_infer_is_ready();

    root = json_object();
    json_object_set_new(root, "ready", json_boolean(ready));

    return ngx_http_infer_send_json(r, ready ? NGX_HTTP_OK
                                             : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    root);
}


ngx_int_t
ngx_http_infer_kserve_model_ready(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t      *root;
    ngx_uint_t   ready;

    ready = ngx_http_infer_is_ready();

    root = json_object();
    json_object_set_new(root, "name",
                        ngx_http_infer_json_string(&service->endpoint->name));
    json_object_set_new(root, "ready", json_boolean(ready));

    return ngx_http_infer_send_json(r, ready ? NGX_HTTP_OK
                                             : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    root);
}


ngx_int_t
ngx_http_infer_kserve_model(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t                    *root, *versions;
    ngx_str_t                  version;
    ngx_uint_t                 i;
    const infer_model_t       *model;
    ngx_http_infer_service_t  *other;

    root = json_object();
    versions = json_array();

    other = service->conf->services->elts;

    for (i = 0; i < service->conf->services->nelts; i++) {

        if (ngx_http_infer_same(&other[i].endpoint->name,
                                &service->endpoint->name))
        {
            version = ngx_http_infer_version(other[i].endpoint);
            json_array_append_new(versions,
                                  ngx_http_infer_json_string(&version));
        }
    }

    model = service->endpoint->model->model;

    json_object_set_new(root, "name",
                        ngx_http_infer_json_string(&service->endpoint->name));
    json_object_set_new(root, "versions", versions);
    json_object_set_new(root, "platform",
                        json_string(ngx_http_infer_kserve_platform(service)));
    json_object_set_new(root, "inputs",
                        ngx_http_infer_kserve_ports(model,
                                                    infer_model_inputs(model),
                                                    infer_model_input, 0));
    json_object_set_new(root, "outputs",
                        ngx_http_infer_kserve_ports(model,
                                                    infer_model_outputs(model),
                                                    infer_model_output, 0));

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


ngx_int_t
ngx_http_infer_kserve_config(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t               *root;
    ngx_uint_t            open;
    const infer_model_t  *model;

    model = service->endpoint->model->model;
    open = ngx_http_infer_kserve_open(model);

    root = json_object();

    json_object_set_new(root, "name",
                        ngx_http_infer_json_string(&service->endpoint->name));
    json_object_set_new(root, "platform",
                        json_string(ngx_http_infer_kserve_platform(service)));
    json_object_set_new(root, "max_batch_size",
                        json_integer(open ? service->conf->max_batch : 0));

    /* Triton leaves the dimension of the batch out */

    json_object_set_new(root, "input",
                        ngx_http_infer_kserve_ports(model,
                                                    infer_model_inputs(model),
                                                    infer_model_input,
                                                    1 + open));
    json_object_set_new(root, "output",
                        ngx_http_infer_kserve_ports(model,
                                                    infer_model_outputs(model),
                                                    infer_model_output,
                                                    1 + open));

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


/* config: 0, or 1 and the number of dimensions that are left out */

static json_t *
ngx_http_infer_kserve_ports(const infer_model_t *model, size_t n,
    void (*get)(const infer_model_t *model, size_t i, infer_port_t *port),
    ngx_uint_t config)
{
    char           type[16];
    size_t         i;
    json_t        *array, *object;
    infer_port_t   port;

    array = json_array();

    for (i = 0; i < n; i++) {
        get(model, i, &port);

        object = json_object();

        json_object_set_new(object, "name",
                            ngx_http_infer_kserve_text(port.name));

        if (config) {
            (void) snprintf(type, sizeof(type), "TYPE_%s",
                            ngx_http_infer_kserve_datatype(port.dtype));
            json_object_set_new(object, "data_type", json_string(type));

        } else {
            json_object_set_new(object, "datatype",
                                json_string(ngx_http_infer_kserve_datatype(
                                                port.dtype)));
        }

        json_object_set_new(object, config ? "dims" : "shape",
                            ngx_http_infer_kserve_shape(&port, config == 2));

        json_array_append_new(array, object);
    }

    return array;
}


static json_t *
ngx_http_infer_kserve_shape(infer_port_t *port, ngx_uint_t skip)
{
    int      i;
    json_t  *shape;

    shape = json_array();

    for (i = skip; i < port->rank; i++) {
        /* INFER_BATCH is -1: what clients know as any size */
        json_array_append_new(shape, json_integer(port->dim[i]));
    }

    return shape;
}


static json_t *
ngx_http_infer_kserve_text(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    return ngx_http_infer_json_string(&s);
}


static const char *
ngx_http_infer_kserve_platform(ngx_http_infer_service_t *service)
{
    const char  *format;

    format = ngx_http_infer_format(service->endpoint);

    if (ngx_strcmp(format, "torchscript") == 0) {
        return "pytorch_torchscript";
    }

    return ngx_strcmp(format, "tflite") == 0 ? "tensorflow_lite"
                                             : "onnx_onnxv1";
}


/* what the model was exported as */

const char *
ngx_http_infer_format(ngx_http_infer_endpoint_t *ep)
{
    u_char          *end;
    infer_source_t   source;

    if (infer_model_source(ep->model->model, &source) == 0) {
        return source.format;
    }

    end = ep->model->path.data + ep->model->path.len;

    if (ep->model->path.len > 7
        && ngx_strncasecmp(end - 7, (u_char *) ".tflite", 7) == 0)
    {
        return "tflite";
    }

    if ((ep->model->path.len > 3
         && ngx_strncasecmp(end - 3, (u_char *) ".pt", 3) == 0)
        || (ep->model->path.len > 4
            && ngx_strncasecmp(end - 4, (u_char *) ".pth", 4) == 0))
    {
        return "torchscript";
    }

    return "onnx";
}


static ngx_uint_t
ngx_http_infer_kserve_open(const infer_model_t *model)
{
    infer_port_t  port;

    if (infer_model_inputs(model) == 0) {
        return 0;
    }

    infer_model_input(model, 0, &port);

    return port.rank && port.dim[0] == INFER_BATCH;
}


ngx_int_t
ngx_http_infer_kserve_stats(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t                  *root, *models, *stats, *inference, *batches;
    uint64_t                 ok, failed, ns, runs;
    ngx_str_t                version;
    ngx_uint_t               i;
    ngx_http_infer_stats_t  *s;

    s = service->endpoint->stats->data;

    ok = s->outcome[NGX_HTTP_INFER_OK];

    for (failed = 0, i = NGX_HTTP_INFER_OK + 1; i < NGX_HTTP_INFER_REASONS;
         i++)
    {
        failed += s->outcome[i];
    }

    for (ns = 0, i = NGX_HTTP_INFER_QUEUE; i < NGX_HTTP_INFER_PHASES; i++) {
        ns += s->phase[i].sum;
    }

    inference = json_object();

    /* a failure has no time of its own; what it took is in the phases */

    json_object_set_new(inference, "success",
                        ngx_http_infer_kserve_duration(ok, ns));
    json_object_set_new(inference, "fail",
                        ngx_http_infer_kserve_duration(failed, 0));
    json_object_set_new(inference, "queue",
                        ngx_http_infer_kserve_duration(
                            ngx_http_infer_kserve_count(
                                &s->phase[NGX_HTTP_INFER_QUEUE]),
                            s->phase[NGX_HTTP_INFER_QUEUE].sum));
    json_object_set_new(inference, "compute_input",
                        ngx_http_infer_kserve_duration(
                            ngx_http_infer_kserve_count(
                                &s->phase[NGX_HTTP_INFER_DECODE]),
                            s->phase[NGX_HTTP_INFER_DECODE].sum
                            + s->phase[NGX_HTTP_INFER_PREPROCESS].sum));
    json_object_set_new(inference, "compute_infer",
                        ngx_http_infer_kserve_duration(
                            ngx_http_infer_kserve_count(
                                &s->phase[NGX_HTTP_INFER_INFER]),
                            s->phase[NGX_HTTP_INFER_INFER].sum));
    json_object_set_new(inference, "compute_output",
                        ngx_http_infer_kserve_duration(
                            ngx_http_infer_kserve_count(
                                &s->phase[NGX_HTTP_INFER_RESPOND]),
                            s->phase[NGX_HTTP_INFER_RESPOND].sum));

    batches = ngx_http_infer_kserve_batches(s, &runs);

    stats = json_object();
    version = ngx_http_infer_version(service->endpoint);

    json_object_set_new(stats, "name",
                        ngx_http_infer_json_string(&service->endpoint->name));
    json_object_set_new(stats, "version",
                        ngx_http_infer_json_string(&version));
    json_object_set_new(stats, "last_inference", json_integer(s->last));
    json_object_set_new(stats, "inference_count",
                        json_integer(s->inferences));
    json_object_set_new(stats, "execution_count", json_integer(runs));
    json_object_set_new(stats, "inference_stats", inference);
    json_object_set_new(stats, "batch_stats", batches);

    root = json_object();
    models = json_array();

    json_array_append_new(models, stats);
    json_object_set_new(root, "model_stats", models);

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


/* *count: all of them */

static json_t *
ngx_http_infer_kserve_batches(ngx_http_infer_stats_t *s, uint64_t *count)
{
    json_t                 *array, *object;
    ngx_uint_t              i;
    ngx_http_infer_runs_t  *runs;

    array = json_array();
    *count = 0;

    for (i = 0; i < NGX_HTTP_INFER_MAX_RUN; i++) {
        runs = &s->runs[i];

        if (runs->count == 0) {
            continue;
        }

        *count += runs->count;

        object = json_object();

        json_object_set_new(object, "batch_size", json_integer(i + 1));
        json_object_set_new(object, "compute_input",
                            ngx_http_infer_kserve_duration(runs->count,
                                                           runs->input));
        json_object_set_new(object, "compute_infer",
                            ngx_http_infer_kserve_duration(runs->count,
                                                           runs->infer));
        json_object_set_new(object, "compute_output",
                            ngx_http_infer_kserve_duration(runs->count,
                                                           runs->output));

        json_array_append_new(array, object);
    }

    return array;
}


static json_t *
ngx_http_infer_kserve_duration(uint64_t count, uint64_t ns)
{
    json_t  *object;

    object = json_object();

    json_object_set_new(object, "count", json_integer(count));
    json_object_set_new(object, "ns", json_integer(ns));

    return object;
}


static uint64_t
ngx_http_infer_kserve_count(ngx_http_infer_histogram_t *h)
{
    uint64_t    count;
    ngx_uint_t  i;

    for (count = 0, i = 0; i < NGX_HTTP_INFER_BUCKETS; i++) {
        count += h->bucket[i];
    }

    return count;
}


ngx_int_t
ngx_http_infer_kserve_index(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t                    *array, *object;
    ngx_str_t                  version;
    ngx_uint_t                 i;
    ngx_http_infer_service_t  *all;

    array = json_array();
    all = service->conf->services->elts;

    for (i = 0; i < service->conf->services->nelts; i++) {
        object = json_object();
        version = ngx_http_infer_version(all[i].endpoint);

        json_object_set_new(object, "name",
                            ngx_http_infer_json_string(
                                &all[i].endpoint->name));
        json_object_set_new(object, "version",
                            ngx_http_infer_json_string(&version));
        json_object_set_new(object, "state", json_string("READY"));
        json_object_set_new(object, "reason", json_string(""));

        json_array_append_new(array, object);
    }

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, array);
}
