/*
 * Reading a baseline: the check of its section, and the calibration that it
 * holds (temperature scaling: Guo et al., On Calibration of Modern Neural
 * Networks, 2017).
 */

#include <math.h>
#include <stdio.h>

#include "file/file.h"
#include "monitor/baseline.h"
#include "ops/op.h"


/* What a reliability bin's own counts are weighed against. */
#define PRIOR  4.0


size_t
infer_baseline_size(size_t n_classes)
{
    return sizeof(infer_baseline_t) + 2 * n_classes * sizeof(uint32_t);
}


/* ---- the check -------------------------------------------------------- */

/* Whether n counts add up to no more than the images. */
static int
counts_valid(const uint32_t *count, size_t n, uint64_t images)
{
    uint64_t  sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += count[i];
    }

    return sum <= images;
}


static int
layers_valid(const infer_baseline_t *b, const infer_model_t *m)
{
    if (b->n_layers > INFER_MONITOR_LAYERS) {
        return 0;
    }

    for (uint32_t i = 0; i < INFER_MONITOR_LAYERS; i++) {
        if (!isfinite(b->lo[i]) || !isfinite(b->hi[i]) || b->lo[i] > b->hi[i]
            || !isfinite(b->hi[i] - b->lo[i])
            || (i < b->n_layers ? b->layer[i] >= m->n_nodes
                                : b->layer[i] != 0))
        {
            return 0;
        }
    }

    return 1;
}


static int
calibration_valid(const infer_baseline_t *b)
{
    uint64_t         rated = 0, hits = 0, by_class = 0;
    const uint32_t  *class_hits = infer_baseline_class_hits(b);

    for (uint32_t i = 0; i < b->n_classes; i++) {
        if (class_hits[i] > b->class_count[i]) {
            return 0;
        }

        by_class += class_hits[i];
    }

    for (size_t i = 0; i < INFER_RELIABILITY_BINS; i++) {
        if (b->hits[i] > b->rated[i]
            || !(b->sure[i] >= 0 && b->sure[i] <= b->rated[i]))
        {
            return 0;
        }

        rated += b->rated[i];
        hits += b->hits[i];
    }

    return (b->labelled == 0 || b->labelled == b->images)
           && rated == b->labelled && hits == b->right
           && by_class == b->right
           && b->temperature >= 0.01f && b->temperature <= 100.0f;
}


int
infer_baseline_check(const infer_section_t *s, const infer_model_t *m,
    infer_error_t *err)
{
    int                      good;
    size_t                   classes = infer_model_classes(m);
    const infer_baseline_t  *b = s->data;

    if (s->size >= sizeof(b->version) && b->version > INFER_BASELINE_VERSION) {
        snprintf(err->text, sizeof(err->text), "its baseline has version %u, "
                 "this program reads versions up to %u: it is too old",
                 b->version, INFER_BASELINE_VERSION);
        return -1;
    }

    good = classes > 0 && s->size >= sizeof(*b)
           && b->version == INFER_BASELINE_VERSION
           && b->statistics == INFER_STATISTICS
           && b->bins == INFER_MONITOR_BINS
           && b->n_classes == infer_monitor_classes(classes)
           && s->size == infer_baseline_size(b->n_classes)
           && b->images > 0 && b->images <= UINT32_MAX
           && b->clipped <= b->activations
           && layers_valid(b, m)
           && counts_valid(b->class_count, b->n_classes, b->images)
           && calibration_valid(b);

    for (size_t i = 0; good && i < INFER_STATISTICS; i++) {
        good = counts_valid(b->bin[i], INFER_MONITOR_BINS, b->images);
    }

    if (!good) {
        snprintf(err->text, sizeof(err->text),
                 "its baseline is not one of this model");
    }

    return good ? 0 : -1;
}


const infer_baseline_t *
infer_model_baseline(const infer_model_t *model)
{
    infer_section_t  s;

    return infer_model_find_section(model, INFER_SECTION_BASELINE, &s) == 0
           ? s.data : NULL;
}


uint32_t
infer_baseline_id(const infer_baseline_t *b)
{
    return b == NULL ? 0
           : infer_file_crc(0, b, infer_baseline_size(b->n_classes));
}


/* ---- calibration ------------------------------------------------------ */

/* Equally wide in ln(p / (1 - p)), from -4 to 8. */
size_t
infer_reliability_bin(double p)
{
    double  at = (log(p) - log1p(-p) + 4) / 12 * INFER_RELIABILITY_BINS;

    if (!(at >= 0)) {
        return p > 0.5 ? INFER_RELIABILITY_BINS - 1 : 0;
    }

    return at < INFER_RELIABILITY_BINS - 1 ? (size_t) at
                                           : INFER_RELIABILITY_BINS - 1;
}


double
infer_baseline_right(const infer_baseline_t *b, double p)
{
    size_t  i = infer_reliability_bin(p);

    return (b->hits[i] + PRIOR * p) / (b->rated[i] + PRIOR);
}


double
infer_scaled_confidence(const float *x, size_t n, int log_of,
    double temperature)
{
    float   max = -INFINITY;
    double  sum = 0;

    for (size_t i = 0; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }

    for (size_t i = 0; i < n; i++) {
        if (log_of) {
            sum += x[i] > 0 ? pow((double) (x[i] / max), 1 / temperature) : 0;
        } else {
            sum += (double) expf((x[i] - max) / (float) temperature);
        }
    }

    return 1 / sum;
}


void
infer_baseline_info(const infer_baseline_t *b, infer_baseline_info_t *info)
{
    double  error = 0;

    for (size_t i = 0; i < INFER_RELIABILITY_BINS; i++) {
        error += fabs(b->sure[i] - b->hits[i]);
    }

    *info = (infer_baseline_info_t) {
        .images = b->images,
        .labelled = b->labelled,
        .accuracy = b->labelled ? (double) b->right / (double) b->labelled
                                : NAN,
        .temperature = b->temperature,
        .calibration_error = b->labelled ? error / (double) b->labelled : NAN
    };
}
