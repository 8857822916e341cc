
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
static void ngx_http_infer_print_sampled(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_samples(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_alerts(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_drift(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_psi(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s);
static void ngx_http_infer_print_shares(ngx_http_infer_text_t *text,
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

    { "# HELP infer_monitor_samples_total Images or rows that monitoring has "
      "counted.\n"
      "# TYPE infer_monitor_samples_total counter\n",
      ngx_http_infer_print_sampled },

    { "# HELP infer_monitor_samples Those of the last minute, hour and day.\n"
      "# TYPE infer_monitor_samples gauge\n",
      ngx_http_infer_print_samples },

    { "# HELP infer_monitor_alert Whether they differ from the baseline by "
      "more than chance and by enough to matter.\n"
      "# TYPE infer_monitor_alert gauge\n",
      ngx_http_infer_print_alerts },

    { "# HELP infer_monitor_drift The worst score over its threshold.\n"
      "# TYPE infer_monitor_drift gauge\n",
      ngx_http_infer_print_drift },

    { "# HELP infer_monitor_psi Population stability index of each "
      "statistic.\n"
      "# TYPE infer_monitor_psi gauge\n",
      ngx_http_infer_print_psi },

    { "# HELP infer_monitor_share Estimated accuracy, answers of low "
      "confidence, clipped activations; and the baseline's.\n"
      "# TYPE infer_monitor_share gauge\n",
      ngx_http_infer_print_shares },

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


static void
ngx_http_infer_print_sampled(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    if (s->windows) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_monitor_samples_total{%V} %uL\n",
                             &s->labels, s->windows[INFER_SPAN_ALL].samples);
    }
}


static void
ngx_http_infer_print_samples(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t  i;

    for (i = 0; s->windows && i < INFER_SPANS; i++) {
        ngx_http_infer_print(text, s->labels.len,
                             "infer_monitor_samples{%V,window=\"%s\"} %uL\n",
                             &s->labels, infer_span_name(i),
                             s->windows[i].samples);
    }
}


/* what is not known, for lack of samples, has no series */

static void
ngx_http_infer_print_alerts(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t               i, n;
    ngx_http_infer_alert_t  *alert;

    for (i = 0; s->windows && i < INFER_SPANS; i++) {
        for (n = 0; n < INFER_ALERTS; n++) {
            alert = &s->windows[i].alert[n];

            if (alert->worst) {
                ngx_http_infer_print(text, s->labels.len,
                                     "infer_monitor_alert{%V,window=\"%s\","
                                     "alert=\"%s\"} %ui\n", &s->labels,
                                     infer_span_name(i), infer_alert_name(n),
                                     alert->verdict == INFER_VERDICT_ALERT);
            }
        }
    }
}


static void
ngx_http_infer_print_drift(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t               i, n;
    ngx_http_infer_alert_t  *alert;

    for (i = 0; s->windows && i < INFER_SPANS; i++) {
        for (n = 0; n < INFER_ALERTS; n++) {
            alert = &s->windows[i].alert[n];

            if (alert->worst) {
                ngx_http_infer_print(text, s->labels.len,
                                     "infer_monitor_drift{%V,window=\"%s\","
                                     "alert=\"%s\"} %.6f\n", &s->labels,
                                     infer_span_name(i), infer_alert_name(n),
                                     alert->drift);
            }
        }
    }
}


static void
ngx_http_infer_print_psi(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t      i, n;
    infer_score_t  *score;

    for (i = 0; s->windows && i < INFER_SPANS; i++) {
        for (n = 0; n < s->windows[i].n; n++) {
            score = &s->windows[i].score[n];

            if (score->measure == INFER_MEASURE_PSI && isfinite(score->value))
            {
                ngx_http_infer_print(text, s->labels.len,
                                     "infer_monitor_psi{%V,window=\"%s\","
                                     "statistic=\"%s\"} %.6f\n", &s->labels,
                                     infer_span_name(i), score->name,
                                     score->value);
            }
        }
    }
}


static void
ngx_http_infer_print_shares(ngx_http_infer_text_t *text,
    ngx_http_infer_series_t *s)
{
    ngx_uint_t      i, n;
    infer_score_t  *score;

    for (i = 0; s->windows && i < INFER_SPANS; i++) {
        for (n = 0; n < s->windows[i].n; n++) {
            score = &s->windows[i].score[n];

            if (score->measure != INFER_MEASURE_SHARE) {
                continue;
            }

            if (isfinite(score->value)) {
                ngx_http_infer_print(text, s->labels.len,
                                     "infer_monitor_share{%V,window=\"%s\","
                                     "share=\"%s\"} %.6f\n", &s->labels,
                                     infer_span_name(i), score->name,
                                     score->value);
            }

            if (i == 0 && isfinite(score->baseline)) {
                ngx_http_infer_print(text, s->labels.len,
                                     "infer_monitor_share{%V,"
                                     "window=\"baseline\",share=\"%s\"} "
                                     "%.6f\n", &s->labels, score->name,
                                     score->baseline);
            }
        }
    }
}
