
/*
 * infer_metrics nv: the counters under the names that Triton Inference Server
 * has for them, so that dashboards and alerts made for it go on to work.  The
 * names and their meaning are Triton's, microseconds and all; what is not
 * counted apart here is left out.
 */


#include "ngx_http_infer_metrics.h"


static void ngx_http_infer_nv_success(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_failure(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_count(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_exec_count(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_request(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_queue(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_input(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_infer(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_output(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_nv_pending(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static const char *ngx_http_infer_nv_reason(ngx_uint_t reason);
static void ngx_http_infer_nv_duration(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, ngx_uint_t first,
    ngx_uint_t last);
static void ngx_http_infer_nv_print(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, const char *reason,
    uint64_t value);


const ngx_http_infer_family_t  ngx_http_infer_nv_families[] = {

    { "# HELP nv_inference_request_success Number of successful inference "
      "requests, all batch sizes\n"
      "# TYPE nv_inference_request_success counter\n",
      ngx_http_infer_nv_success },

    { "# HELP nv_inference_request_failure Number of failed inference "
      "requests, all batch sizes\n"
      "# TYPE nv_inference_request_failure counter\n",
      ngx_http_infer_nv_failure },

    { "# HELP nv_inference_count Number of inferences performed\n"
      "# TYPE nv_inference_count counter\n",
      ngx_http_infer_nv_count },

    { "# HELP nv_inference_exec_count Number of model executions performed\n"
      "# TYPE nv_inference_exec_count counter\n",
      ngx_http_infer_nv_exec_count },

    { "# HELP nv_inference_request_duration_us Cumulative inference request "
      "duration in microseconds\n"
      "# TYPE nv_inference_request_duration_us counter\n",
      ngx_http_infer_nv_request },

    { "# HELP nv_inference_queue_duration_us Cumulative inference queuing "
      "duration in microseconds\n"
      "# TYPE nv_inference_queue_duration_us counter\n",
      ngx_http_infer_nv_queue },

    { "# HELP nv_inference_compute_input_duration_us Cumulative compute input "
      "duration in microseconds\n"
      "# TYPE nv_inference_compute_input_duration_us counter\n",
      ngx_http_infer_nv_input },

    { "# HELP nv_inference_compute_infer_duration_us Cumulative compute "
      "inference duration in microseconds\n"
      "# TYPE nv_inference_compute_infer_duration_us counter\n",
      ngx_http_infer_nv_infer },

    { "# HELP nv_inference_compute_output_duration_us Cumulative inference "
      "compute output duration in microseconds\n"
      "# TYPE nv_inference_compute_output_duration_us counter\n",
      ngx_http_infer_nv_output },

    { "# HELP nv_inference_pending_request_count Instantaneous number of "
      "pending requests awaiting execution per-model.\n"
      "# TYPE nv_inference_pending_request_count gauge\n",
      ngx_http_infer_nv_pending },

    { NULL, NULL }
};


static void
ngx_http_infer_nv_success(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_print(text, s, "nv_inference_request_success", NULL,
                            s->stats->outcome[NGX_HTTP_INFER_OK]);
}


/* a series for each reason of Triton's */

static void
ngx_http_infer_nv_failure(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    uint64_t     n;
    ngx_uint_t   i, reason;

    static const char  *reasons[] = {
        "REJECTED", "CANCELED", "BACKEND", "OTHER"
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        n = 0;

        for (reason = NGX_HTTP_INFER_OK + 1; reason < NGX_HTTP_INFER_REASONS;
             reason++)
        {
            if (ngx_strcmp(ngx_http_infer_nv_reason(reason), reasons[i])
                == 0)
            {
                n += s->stats->outcome[reason];
            }
        }

        ngx_http_infer_nv_print(text, s, "nv_inference_request_failure",
                                reasons[i], n);
    }
}


static const char *
ngx_http_infer_nv_reason(ngx_uint_t reason)
{
    switch (reason) {

    case NGX_HTTP_INFER_QUEUE_FULL:
    case NGX_HTTP_INFER_TIMEOUT:
        return "REJECTED";

    case NGX_HTTP_INFER_CLIENT_GONE:
        return "CANCELED";

    case NGX_HTTP_INFER_SCORES:
    case NGX_HTTP_INFER_INTERNAL:
    case NGX_HTTP_INFER_MEMORY:
        return "BACKEND";

    default:
        return "OTHER";
    }
}


static void
ngx_http_infer_nv_count(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_print(text, s, "nv_inference_count", NULL,
                            s->stats->inferences);
}


/* each image, or row of a batch, is run by itself */

static void
ngx_http_infer_nv_exec_count(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_print(text, s, "nv_inference_exec_count", NULL,
                            s->stats->inferences);
}


/* Triton's begins when the body is there */

static void
ngx_http_infer_nv_request(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_duration(text, s, "nv_inference_request_duration_us",
                               NGX_HTTP_INFER_QUEUE, NGX_HTTP_INFER_RESPOND);
}


static void
ngx_http_infer_nv_queue(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_duration(text, s, "nv_inference_queue_duration_us",
                               NGX_HTTP_INFER_QUEUE, NGX_HTTP_INFER_QUEUE);
}


static void
ngx_http_infer_nv_input(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_duration(text, s,
                               "nv_inference_compute_input_duration_us",
                               NGX_HTTP_INFER_DECODE,
                               NGX_HTTP_INFER_PREPROCESS);
}


static void
ngx_http_infer_nv_infer(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_duration(text, s,
                               "nv_inference_compute_infer_duration_us",
                               NGX_HTTP_INFER_INFER, NGX_HTTP_INFER_INFER);
}


static void
ngx_http_infer_nv_output(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_duration(text, s,
                               "nv_inference_compute_output_duration_us",
                               NGX_HTTP_INFER_RESPOND,
                               NGX_HTTP_INFER_RESPOND);
}


static void
ngx_http_infer_nv_pending(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_nv_print(text, s, "nv_inference_pending_request_count",
                            NULL,
                            ngx_http_infer_get_load(s->imcf, s->ep).waiting);
}


/* the time spent in all phases from first to last */

static void
ngx_http_infer_nv_duration(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, ngx_uint_t first,
    ngx_uint_t last)
{
    uint64_t    ns;
    ngx_uint_t  i;

    for (ns = 0, i = first; i <= last; i++) {
        ns += s->stats->phase[i].sum;
    }

    ngx_http_infer_nv_print(text, s, name, NULL, ns / 1000);
}


/* a model without a version has the one that clients see */

static void
ngx_http_infer_nv_print(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, const char *reason,
    uint64_t value)
{
    ngx_str_t    labels;
    const char  *version;

    labels = s->labels;
    version = "";

    if (s->ep->version.len == 0) {
        labels.len--;
        version = "1\"";
    }

    ngx_http_infer_print(text, labels.len, "%s{%V%s%s%s%s} %uL\n", name,
                         &labels, version, reason ? ",reason=\"" : "",
                         reason ? reason : "", reason ? "\"" : "", value);
}
