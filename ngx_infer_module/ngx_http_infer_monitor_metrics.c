
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
static void ngx_http_infer_print_compared(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_skipped(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_gap(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_error(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_max(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_unit(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, const char *labels,
    ngx_atomic_uint_t value);


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

    { "# HELP infer_shadow_compared_total Images that a shadow computed, by "
      "whether its class was the answer.\n"
      "# TYPE infer_shadow_compared_total counter\n",
      ngx_http_infer_print_compared },

    { "# HELP infer_shadow_skipped_total Requests of the sample that no "
      "shadow computed.\n"
      "# TYPE infer_shadow_skipped_total counter\n",
      ngx_http_infer_print_skipped },

    { "# HELP infer_shadow_confidence_gap_total Sum of the distances of both "
      "models' confidences.\n"
      "# TYPE infer_shadow_confidence_gap_total counter\n",
      ngx_http_infer_print_gap },

    { "# HELP infer_shadow_error The largest distance of two probabilities "
      "of an image.\n"
      "# TYPE infer_shadow_error histogram\n",
      ngx_http_infer_print_error },

    { "# HELP infer_shadow_error_max The largest of these ever, and that "
      "over the confidence of the answer.\n"
      "# TYPE infer_shadow_error_max gauge\n",
      ngx_http_infer_print_max },

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
    ngx_http_infer_print_unit(text, s, "infer_feedback_confidence_total", "",
                              s->stats->feedback.confidence);
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


/* value is of 1e-9 */

static void
ngx_http_infer_print_unit(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s, const char *name, const char *labels,
    ngx_atomic_uint_t value)
{
    ngx_http_infer_print(text, s->labels.len, "%s{%V%s} %uA.%09uA\n", name,
                         &s->labels, labels, value / 1000000000,
                         value % 1000000000);
}


static void
ngx_http_infer_print_compared(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->compared) {
        ngx_http_infer_print(text, 2 * s->labels.len,
                             "infer_shadow_compared_total{%V,result=\"same\"}"
                             " %uA\n"
                             "infer_shadow_compared_total{%V,"
                             "result=\"other\"} %uA\n",
                             &s->labels, s->compared->same, &s->labels,
                             s->compared->other);
    }
}


static void
ngx_http_infer_print_skipped(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->compared) {
        ngx_http_infer_print(text, 2 * s->labels.len,
                             "infer_shadow_skipped_total{%V,reason=\"busy\"}"
                             " %uA\n"
                             "infer_shadow_skipped_total{%V,"
                             "reason=\"failed\"} %uA\n",
                             &s->labels, s->compared->busy, &s->labels,
                             s->compared->failed);
    }
}


static void
ngx_http_infer_print_gap(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->compared) {
        ngx_http_infer_print_unit(text, s, "infer_shadow_confidence_gap_total",
                                  "", s->compared->gap);
    }
}


static void
ngx_http_infer_print_error(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    uint64_t    count;
    ngx_uint_t  i;

    if (s->compared == NULL) {
        return;
    }

    for (count = 0, i = 0; i < NGX_HTTP_INFER_SHADOW_BUCKETS - 1; i++) {
        count += s->compared->bucket[i];

        ngx_http_infer_print(text, s->labels.len,
                             "infer_shadow_error_bucket{%V,le=\"%.7f\"} "
                             "%uL\n", &s->labels,
                             ngx_http_infer_shadow_bounds[i], count);
    }

    count += s->compared->bucket[i];

    ngx_http_infer_print(text, s->labels.len,
                         "infer_shadow_error_bucket{%V,le=\"+Inf\"} %uL\n",
                         &s->labels, count);
    ngx_http_infer_print_unit(text, s, "infer_shadow_error_sum", "",
                              s->compared->error);
    ngx_http_infer_print(text, s->labels.len,
                         "infer_shadow_error_count{%V} %uL\n", &s->labels,
                         count);
}


static void
ngx_http_infer_print_max(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->compared) {
        ngx_http_infer_print_unit(text, s, "infer_shadow_error_max",
                                  ",kind=\"absolute\"",
                                  s->compared->max_error);
        ngx_http_infer_print_unit(text, s, "infer_shadow_error_max",
                                  ",kind=\"relative\"",
                                  s->compared->max_relative);
    }
}
