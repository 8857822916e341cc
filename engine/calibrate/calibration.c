/*
 * Calibration: looks on while a float model runs, and keeps of every value a
 * histogram and the mean of each channel.  Sums are of integers, so that the
 * images may come in any order: a mean is added up as a fraction of the
 * value's range, in steps of 2^-40.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "calibrate/observer.h"


#define MEAN_STEPS  0x1p40

/* A mean of each of more channels than this is not kept. */
#define MAX_CHANNELS  65536


typedef struct {
    infer_histogram_t  histogram;
    size_t             channels;       /* 0: no means */
    int64_t           *sum;
    float             *mean;
} place_t;

struct infer_calibration_s {
    place_t             *place;
    infer_statistics_t  *result;
    double              *scratch;      /* sums of one image's channels */
    size_t               n;
    int64_t              images;       /* of the second pass */
    int                  second;
};


static void observe(void *arg, const infer_observed_t *seen);
static void add_means(infer_calibration_t *cal, place_t *p, const float *x,
    size_t n);


infer_calibration_t *
infer_calibration_create(const infer_model_t *model, infer_error_t *err)
{
    infer_calibration_t  *cal;

    cal = calloc(1, sizeof(*cal));

    if (cal != NULL) {
        cal->n = infer_model_observed(model);
        cal->place = calloc(cal->n + 1, sizeof(*cal->place));
        cal->result = calloc(cal->n + 1, sizeof(*cal->result));
        cal->scratch = calloc(MAX_CHANNELS, sizeof(double));
    }

    if (cal == NULL || cal->place == NULL || cal->result == NULL
        || cal->scratch == NULL)
    {
        infer_calibration_free(cal);
        snprintf(err->text, sizeof(err->text), "out of memory");
        return NULL;
    }

    for (size_t i = 0; i < cal->n; i++) {
        infer_histogram_init(&cal->place[i].histogram);
    }

    return cal;
}


void
infer_calibration_free(infer_calibration_t *cal)
{
    if (cal == NULL) {
        return;
    }

    for (size_t i = 0; cal->place != NULL && i < cal->n; i++) {
        free(cal->place[i].sum);
        free(cal->place[i].mean);
    }

    free(cal->place);
    free(cal->result);
    free(cal->scratch);
    free(cal);
}


void
infer_calibration_run(infer_calibration_t *cal, infer_session_t *session,
    const infer_parallel_t *parallel)
{
    infer_session_observe(session, parallel, observe, cal);
    cal->images += cal->second;
}


int
infer_calibration_again(infer_calibration_t *cal, infer_error_t *err)
{
    place_t  *p;

    cal->second = 1;

    for (size_t i = 0; i < cal->n; i++) {
        p = &cal->place[i];

        if (p->channels == 0 || !p->histogram.finite) {
            continue;
        }

        p->sum = calloc(p->channels, sizeof(int64_t));
        p->mean = calloc(p->channels, sizeof(float));

        if (p->sum == NULL || p->mean == NULL) {
            snprintf(err->text, sizeof(err->text), "out of memory");
            return -1;
        }
    }

    return 0;
}


static void
observe(void *arg, const infer_observed_t *seen)
{
    size_t                 n = 1;
    place_t               *p;
    infer_calibration_t   *cal = arg;
    const infer_tensor_t  *t = seen->tensor;

    if (t->dtype != INFER_F32) {
        return;
    }

    for (int d = 0; d < t->rank; d++) {
        n *= (size_t) t->dim[d];
    }

    p = &cal->place[seen->index];

    if (!cal->second) {
        infer_histogram_extend(&p->histogram, t->data, n);
        p->channels = t->rank > 1 && n > 0
                      && t->dim[t->rank - 1] <= MAX_CHANNELS
                      ? (size_t) t->dim[t->rank - 1] : 0;
        return;
    }

    infer_histogram_count(&p->histogram, t->data, n);

    if (p->sum != NULL) {
        add_means(cal, p, t->data, n);
    }
}


static void
add_means(infer_calibration_t *cal, place_t *p, const float *x, size_t n)
{
    double  unit, *sum = cal->scratch;

    unit = fmax(fabs((double) p->histogram.lo),
                fabs((double) p->histogram.hi)) * ((double) n
                                                   / (double) p->channels);

    if (!(unit > 0)) {
        return;
    }

    for (size_t c = 0; c < p->channels; c++) {
        sum[c] = 0;
    }

    for (size_t i = 0; i < n; i += p->channels) {
        for (size_t c = 0; c < p->channels; c++) {
            sum[c] += (double) x[i + c];
        }
    }

    for (size_t c = 0; c < p->channels; c++) {
        p->sum[c] += llrint(sum[c] / unit * MEAN_STEPS);
    }
}


const infer_statistics_t *
infer_calibration_result(infer_calibration_t *cal, infer_observer_t observer)
{
    double               unit;
    place_t             *p;
    infer_statistics_t  *r;

    for (size_t i = 0; i < cal->n; i++) {
        p = &cal->place[i];
        r = &cal->result[i];

        r->lo = 1;
        r->hi = 0;
        r->mean = NULL;
        r->channels = 0;

        if (!p->histogram.finite || p->histogram.lo > p->histogram.hi) {
            continue;
        }

        infer_histogram_range(&p->histogram, observer, &r->lo, &r->hi);

        if (p->sum == NULL || cal->images == 0) {
            continue;
        }

        unit = fmax(fabs((double) p->histogram.lo),
                    fabs((double) p->histogram.hi)) / MEAN_STEPS;

        for (size_t c = 0; c < p->channels; c++) {
            p->mean[c] = (float) ((double) p->sum[c] / (double) cal->images
                                  * unit);
        }

        r->mean = p->mean;
        r->channels = p->channels;
    }

    return cal->result;
}
