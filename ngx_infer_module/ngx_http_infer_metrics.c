
/*
 * infer_metrics: what stats.c has counted, in the text format of Prometheus,
 * version 0.0.4.
 *
 * Names follow the practice of Prometheus: base units, _total for counters,
 * histograms and no averages.  Endpoints of the same name and version share
 * their counters and are told once.
 */


#include "ngx_http_infer_metrics.h"


static ngx_int_t ngx_http_infer_metrics_handler(ngx_http_request_t *r);
static ngx_array_t *ngx_http_infer_collect(ngx_http_request_t *r);
static ngx_int_t ngx_http_infer_labels_text(ngx_pool_t *pool,
    ngx_http_infer_series_t *s);
static u_char *ngx_http_infer_escape(u_char *p, ngx_str_t *text);
static void ngx_http_infer_print_requests(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_phases(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_phase(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, ngx_uint_t phase);
static void ngx_http_infer_print_batches(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_busy(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_classes(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_waiting(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_running(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_last(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_memory(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_info(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_families(ngx_http_infer_text_t *text,
    const ngx_http_infer_family_t *family, ngx_array_t *series);


static const char  *ngx_http_infer_phase_names[] = {
    "receive", "queue", "decode", "preprocess", "infer", "respond"
};


static const ngx_http_infer_family_t  ngx_http_infer_families[] = {

    { "# HELP infer_requests_total Requests by their outcome.\n"
      "# TYPE infer_requests_total counter\n",
      ngx_http_infer_print_requests },

    { "# HELP infer_phase_seconds Time that requests spend in each phase.\n"
      "# TYPE infer_phase_seconds histogram\n",
      ngx_http_infer_print_phases },

    { "# HELP infer_batch_size Images or rows that are run at once.\n"
      "# TYPE infer_batch_size histogram\n",
      ngx_http_infer_print_batches },

    { "# HELP infer_thread_seconds_total Time of threads spent on requests.\n"
      "# TYPE infer_thread_seconds_total counter\n",
      ngx_http_infer_print_busy },

    { "# HELP infer_predictions_total Answers by their class.\n"
      "# TYPE infer_predictions_total counter\n",
      ngx_http_infer_print_classes },

    { "# HELP infer_requests_waiting Requests that wait for a thread now.\n"
      "# TYPE infer_requests_waiting gauge\n",
      ngx_http_infer_print_waiting },

    { "# HELP infer_requests_running Requests that threads work on now.\n"
      "# TYPE infer_requests_running gauge\n",
      ngx_http_infer_print_running },

    { "# HELP infer_last_success_timestamp_seconds When the last request was "
      "answered with a class.\n"
      "# TYPE infer_last_success_timestamp_seconds gauge\n",
      ngx_http_infer_print_last },

    { "# HELP infer_model_bytes Shared memory that the model takes.\n"
      "# TYPE infer_model_bytes gauge\n",
      ngx_http_infer_print_memory },

    { "# HELP infer_model_info The model that answers; always 1.\n"
      "# TYPE infer_model_info gauge\n",
      ngx_http_infer_print_info },

    { NULL, NULL }
};


char *
ngx_http_infer_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "nv") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        ilcf->nv = 1;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_infer_metrics_handler;

    return ngx_http_infer_add_location(cf, NGX_HTTP_INFER_METRICS) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_infer_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_array_t                *series;
    ngx_http_infer_text_t       text;
    ngx_http_infer_loc_conf_t  *ilcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    series = ngx_http_infer_collect(r);
    if (series == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&text, sizeof(ngx_http_infer_text_t));

    text.pool = r->pool;
    text.next = &text.first;

    ngx_http_infer_print_families(&text, ngx_http_infer_families, series);

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    if (ilcf->nv) {
        ngx_http_infer_print_families(&text, ngx_http_infer_nv_families,
                                      series);
    }

    ngx_http_infer_print_families(&text, ngx_http_infer_monitor_families,
                                  series);

    if (text.failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.buf->last_buf = (r == r->main) ? 1 : 0;
    text.buf->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, text.first);
}


static void
ngx_http_infer_print_families(ngx_http_infer_text_t *text,
    const ngx_http_infer_family_t *family, ngx_array_t *series)
{
    ngx_uint_t                n;
    ngx_http_infer_series_t  *s;

    s = series->elts;

    for ( /* void */ ; family->print; family++) {
        ngx_http_infer_print(text, 0, family->head);

        for (n = 0; n < series->nelts; n++) {
            family->print(text, &s[n]);
        }
    }
}


/* NULL: no memory */

static ngx_array_t *
ngx_http_infer_collect(ngx_http_request_t *r)
{
    ngx_uint_t                    i, n;
    ngx_array_t                  *array;
    ngx_http_infer_series_t      *s;
    ngx_http_infer_endpoint_t   **ep;
    ngx_http_infer_main_conf_t   *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_infer_module);
    ep = imcf->endpoints.elts;

    array = ngx_array_create(r->pool, imcf->endpoints.nelts + 1,
                             sizeof(ngx_http_infer_series_t));
    if (array == NULL) {
        return NULL;
    }

    for (i = 0; i < imcf->endpoints.nelts; i++) {

        for (n = 0; n < i; n++) {
            if (ep[n]->stats == ep[i]->stats) {
                break;
            }
        }

        if (n < i) {
            continue;
        }

        s = ngx_array_push(array);

        s->imcf = imcf;
        s->ep = ep[i];
        s->stats = ep[i]->stats->data;
        s->compared = NULL;
        s->windows = NULL;

        /* the first of that name that has them */

        for (n = i; n < imcf->endpoints.nelts; n++) {

            if (ep[n]->stats != ep[i]->stats) {
                continue;
            }

            if (s->compared == NULL) {
                s->compared = ngx_http_infer_get_compared(ep[n]);
            }

            if (s->windows == NULL) {
                s->windows = ngx_http_infer_read_windows(r->pool, ep[n]);
            }
        }

        if (ngx_http_infer_labels_text(r->pool, s) != NGX_OK) {
            return NULL;
        }
    }

    return array;
}


static ngx_int_t
ngx_http_infer_labels_text(ngx_pool_t *pool, ngx_http_infer_series_t *s)
{
    u_char  *p;

    p = ngx_pnalloc(pool, sizeof("model=\"\",version=\"\"")
                          + 2 * (s->ep->name.len + s->ep->version.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    s->labels.data = p;

    p = ngx_cpymem(p, "model=\"", 7);
    p = ngx_http_infer_escape(p, &s->ep->name);
    p = ngx_cpymem(p, "\",version=\"", 11);
    p = ngx_http_infer_escape(p, &s->ep->version);
    *p++ = '"';

    s->labels.len = p - s->labels.data;

    return NGX_OK;
}


/* names have no control characters: see ngx_http_infer_text_valid() */

static u_char *
ngx_http_infer_escape(u_char *p, ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == '"' || text->data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = text->data[i];
    }

    return p;
}


static void
ngx_http_infer_print_requests(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INFER_REASONS; i++) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_requests_total{%V,status=\"%ui\","
                             "reason=\"%s\"} %uA\n", &s->labels,
                             ngx_http_infer_reasons[i].status,
                             ngx_http_infer_reasons[i].name,
                             s->stats->outcome[i]);
    }
}


static void
ngx_http_infer_print_phases(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INFER_PHASES; i++) {
        ngx_http_infer_print_phase(text, s, i);
    }
}


static void
ngx_http_infer_print_phase(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, ngx_uint_t phase)
{
    uint64_t                     count, bound;
    ngx_uint_t                   i;
    const char                  *name;
    ngx_http_infer_histogram_t  *h;

    h = &s->stats->phase[phase];
    name = ngx_http_infer_phase_names[phase];
    count = 0;

    for (i = 0; i < NGX_HTTP_INFER_BUCKETS - 1; i++) {
        count += h->bucket[i];
        bound = ngx_http_infer_bounds[i];

        ngx_http_infer_print(text, s->labels.len,
                             "infer_phase_seconds_bucket{%V,phase=\"%s\","
                             "le=\"%uL.%09uL\"} %uL\n", &s->labels, name,
                             bound / 1000000000, bound % 1000000000, count);
    }

    count += h->bucket[i];

    ngx_http_infer_print(text, s->labels.len,
                         "infer_phase_seconds_bucket{%V,phase=\"%s\","
                         "le=\"+Inf\"} %uL\n", &s->labels, name, count);

    ngx_http_infer_print(text, s->labels.len,
                         "infer_phase_seconds_sum{%V,phase=\"%s\"} "
                         "%uA.%09uA\n", &s->labels, name,
                         h->sum / 1000000000, h->sum % 1000000000);

    ngx_http_infer_print(text, s->labels.len,
                         "infer_phase_seconds_count{%V,phase=\"%s\"} %uL\n",
                         &s->labels, name, count);
}


/* buckets up to 1, 2, 4, ... */

static void
ngx_http_infer_print_batches(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    uint64_t    count, sum, n;
    ngx_uint_t  i, bound;

    count = 0;
    sum = 0;
    bound = 1;

    for (i = 1; i <= NGX_HTTP_INFER_MAX_RUN; i++) {
        n = s->stats->runs[i - 1].count;

        count += n;
        sum += n * i;

        if (i == bound) {
            bound *= 2;
            ngx_http_infer_print(text, s->labels.len,
                                 "infer_batch_size_bucket{%V,le=\"%ui\"} "
                                 "%uL\n", &s->labels, i, count);
        }
    }

    ngx_http_infer_print(text, s->labels.len,
                         "infer_batch_size_bucket{%V,le=\"+Inf\"} %uL\n",
                         &s->labels, count);
    ngx_http_infer_print(text, s->labels.len,
                         "infer_batch_size_sum{%V} %uL\n", &s->labels, sum);
    ngx_http_infer_print(text, s->labels.len,
                         "infer_batch_size_count{%V} %uL\n", &s->labels,
                         count);
}


static void
ngx_http_infer_print_busy(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len,
                         "infer_thread_seconds_total{%V} %uA.%09uA\n",
                         &s->labels, s->stats->busy / 1000000000,
                         s->stats->busy % 1000000000);
}


/* a class that was never the answer has no series */

static void
ngx_http_infer_print_classes(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INFER_CLASSES; i++) {

        if (s->stats->class[i]) {
            ngx_http_infer_print(text, s->labels.len,
                                 "infer_predictions_total{%V,class=\"%ui%s\"}"
                                 " %uA\n", &s->labels, i,
                                 (i < NGX_HTTP_INFER_CLASSES - 1) ? "" : "+",
                                 s->stats->class[i]);
        }
    }
}


static void
ngx_http_infer_print_waiting(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len,
                         "infer_requests_waiting{%V} %uA\n", &s->labels,
                         ngx_http_infer_get_load(s->imcf, s->ep).waiting);
}


static void
ngx_http_infer_print_running(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len,
                         "infer_requests_running{%V} %uA\n", &s->labels,
                         ngx_http_infer_get_load(s->imcf, s->ep).running);
}


static void
ngx_http_infer_print_last(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->stats->last) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_last_success_timestamp_seconds{%V} "
                             "%uA.%03uA\n", &s->labels,
                             s->stats->last / 1000, s->stats->last % 1000);
    }
}


static void
ngx_http_infer_print_memory(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len, "infer_model_bytes{%V} %uz\n",
                         &s->labels, infer_model_size(s->ep->model->model));
}


static void
ngx_http_infer_print_info(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len,
                         "infer_model_info{%V,classes=\"%uz\",isa=\"%s\"} "
                         "1\n", &s->labels,
                         infer_model_classes(s->ep->model->model),
                         infer_isa());
}


void
ngx_http_infer_print(ngx_http_infer_text_t *text, size_t extra,
    const char *fmt, ...)
{
    va_list       args;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    extra += NGX_HTTP_INFER_LINE;
    b = text->buf;

    if (b == NULL || (size_t) (b->end - b->last) < extra) {

        b = ngx_create_temp_buf(text->pool, ngx_max(extra, 16384));
        cl = ngx_alloc_chain_link(text->pool);

        if (b == NULL || cl == NULL) {
            text->failed = 1;
            return;
        }

        cl->buf = b;
        cl->next = NULL;

        *text->next = cl;
        text->next = &cl->next;
        text->buf = b;
    }

    va_start(args, fmt);
    b->last = ngx_vslprintf(b->last, b->end, fmt, args);
    va_end(args);
}
