
/*
 * infer_metrics: what monitoring has counted.
 */


#include "ngx_http_infer_metrics.h"


static void ngx_http_infer_print_feedback(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_reported(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_reported_confidence(
    ngx_http_infer_text_t *text, ngx_http_infer_series_t *s);
static void ngx_http_infer_print_captured(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);


const ngx_http_infer_family_t  ngx_http_infer_monitor_families[] = {

    { "# HELP infer_feedback_total Reports of the right class by how they "
      "ended.\n"
      "# TYPE infer_feedback_total counter\n",
      ngx_http_infer_print_feedback },

    { "# HELP infer_feedback_class_total Reports by the class that is right, "
      "and whether it was the answer.\n"
      "# TYPE infer_feedback_class_total counter\n",
      ngx_http_infer_print_reported },

    { "# HELP infer_feedback_confidence_total Sum of the confidences of "
      "answers that there are reports of.\n"
      "# TYPE infer_feedback_confidence_total counter\n",
      ngx_http_infer_print_reported_confidence },

    { "# HELP infer_captured_total Images that were to be kept, by why they "
      "were or were not.\n"
      "# TYPE infer_captured_total counter\n",
      ngx_http_infer_print_captured },

    { NULL, NULL }
};


static void
ngx_http_infer_print_feedback(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INFER_FEEDBACKS; i++) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_feedback_total{%V,result=\"%s\"} %uA\n",
                             &s->labels, ngx_http_infer_feedbacks[i].name,
                             s->stats->feedback.outcome[i]);
    }
}


/* a class that nobody has reported has no series */

static void
ngx_http_infer_print_reported(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t                  i;
    ngx_http_infer_feedback_t  *f;

    f = &s->stats->feedback;

    for (i = 0; i < NGX_HTTP_INFER_CLASSES; i++) {

        if (f->right[i] + f->wrong[i] == 0) {
            continue;
        }

        ngx_http_infer_print(text, 2 * s->labels.len,
                             "infer_feedback_class_total{%V,class=\"%ui%s\","
                             "result=\"right\"} %uA\n"
                             "infer_feedback_class_total{%V,class=\"%ui%s\","
                             "result=\"wrong\"} %uA\n",
                             &s->labels, i,
                             (i < NGX_HTTP_INFER_CLASSES - 1) ? "" : "+",
                             f->right[i], &s->labels, i,
                             (i < NGX_HTTP_INFER_CLASSES - 1) ? "" : "+",
                             f->wrong[i]);
    }
}


static void
ngx_http_infer_print_reported_confidence(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_http_infer_print(text, s->labels.len,
                         "infer_feedback_confidence_total{%V} %uA.%09uA\n",
                         &s->labels,
                         s->stats->feedback.confidence / 1000000000,
                         s->stats->feedback.confidence % 1000000000);
}


static void
ngx_http_infer_print_captured(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INFER_CAPTURES; i++) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_captured_total{%V,result=\"%s\"} %uA\n",
                             &s->labels, ngx_http_infer_captured[i],
                             s->stats->captured[i]);
    }
}
