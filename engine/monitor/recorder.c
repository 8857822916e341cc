/*
 * Making a baseline: each image is shown twice.  The first time tells the
 * ranges of layers and, with labels, which temperature suits the scores; the
 * second time everything is counted.  All that is summed up is whole numbers,
 * so that the order of the images does not matter.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/baseline.h"
#include "plan/plan.h"


/* Temperatures that are tried: 2^(i / 8), from 1/8 to 8. */
#define TEMPERATURES  49
#define MIDDLE        24

/* Units of sums. */
#define NLL_UNIT      (1.0 / (1 << 20))
#define SURE_UNIT     (1.0 / (1 << 20))

/* No image is worse than that: its label has no chance. */
#define WORST_NLL     1000.0


struct infer_recorder_s {
    const infer_model_t  *model;
    size_t                classes;
    int                   again;
    uint64_t              images;                /* first time */
    uint64_t              labelled;
    uint64_t              nll[TEMPERATURES];     /* sums */
    uint64_t              sure[INFER_RELIABILITY_BINS];
    infer_baseline_t     *baseline;
};


static int
fail(infer_error_t *err, const char *reason)
{
    snprintf(err->text, sizeof(err->text), "baseline: %s", reason);

    return -1;
}


infer_recorder_t *
infer_recorder_create(const infer_model_t *model, infer_error_t *err)
{
    size_t             classes = infer_model_classes(model);
    infer_baseline_t  *b;
    infer_recorder_t  *rec;

    if (classes == 0) {
        fail(err, "the model is no classifier");
        return NULL;
    }

    rec = calloc(1, sizeof(*rec));
    b = calloc(1, infer_baseline_size(infer_monitor_classes(classes)));

    if (rec == NULL || b == NULL) {
        free(rec);
        free(b);
        fail(err, "out of memory");
        return NULL;
    }

    rec->model = model;
    rec->classes = classes;
    rec->baseline = b;

    b->version = INFER_BASELINE_VERSION;
    b->statistics = INFER_STATISTICS;
    b->bins = INFER_MONITOR_BINS;
    b->n_classes = (uint32_t) infer_monitor_classes(classes);
    b->n_layers = infer_watch_layers(model, b->layer);
    b->temperature = 1;

    for (uint32_t i = 0; i < b->n_layers; i++) {
        b->lo[i] = INFINITY;
        b->hi[i] = -INFINITY;
    }

    return rec;
}


void
infer_recorder_free(infer_recorder_t *rec)
{
    if (rec != NULL) {
        free(rec->baseline);
        free(rec);
    }
}


void
infer_recorder_watch(infer_recorder_t *rec, infer_session_t *session)
{
    infer_session_monitor(session, rec->baseline);
}


/* ---- the first time --------------------------------------------------- */

static void
extend_ranges(infer_baseline_t *b, const infer_watch_t *w)
{
    for (uint32_t i = 0; i < b->n_layers; i++) {
        if (w->least[i] <= w->most[i]) {
            b->lo[i] = w->least[i] < b->lo[i] ? w->least[i] : b->lo[i];
            b->hi[i] = w->most[i] > b->hi[i] ? w->most[i] : b->hi[i];
        }
    }
}


static double
temperature_at(double i)
{
    return exp2((i - MIDDLE) / 8);
}


/*
 * -ln of the probability of a label at each temperature: that of the best
 * class, and by how much its score is ahead.
 */
static void
add_nll(infer_recorder_t *rec, const float *x, size_t label)
{
    int     log_of = (int) rec->model->probabilities;
    double  ahead, nll, best = -INFINITY, own;

    for (size_t i = 0; i < rec->classes; i++) {
        best = x[i] > best ? (double) x[i] : best;
    }

    own = (double) x[label];
    ahead = log_of ? log(best) - (own > 0 ? log(own) : -WORST_NLL)
                   : best - own;

    for (size_t i = 0; i < TEMPERATURES; i++) {
        nll = ahead / temperature_at((double) i)
              - log(infer_scaled_confidence(x, rec->classes, log_of,
                                            temperature_at((double) i)));

        rec->nll[i] += (uint64_t) ((nll < WORST_NLL ? nll : WORST_NLL)
                                   / NLL_UNIT + 0.5);
    }
}


/* The least of a parabola through the best temperature and its neighbours. */
static double
best_temperature(const infer_recorder_t *rec)
{
    size_t  best = 0;
    double  before, here, after, curve, shift = 0;

    for (size_t i = 1; i < TEMPERATURES; i++) {
        best = rec->nll[i] < rec->nll[best] ? i : best;
    }

    if (best > 0 && best < TEMPERATURES - 1) {
        before = (double) rec->nll[best - 1];
        here = (double) rec->nll[best];
        after = (double) rec->nll[best + 1];
        curve = before - 2 * here + after;
        shift = curve > 0 ? (before - after) / (2 * curve) : 0;
    }

    return temperature_at((double) best + shift);
}


int
infer_recorder_again(infer_recorder_t *rec, infer_error_t *err)
{
    infer_baseline_t  *b = rec->baseline;

    if (rec->images == 0) {
        return fail(err, "there are no images");
    }

    if (rec->images > UINT32_MAX) {
        return fail(err, "there are too many images");
    }

    for (uint32_t i = 0; i < b->n_layers; i++) {
        if (!isfinite(b->lo[i]) || !isfinite(b->hi[i])
            || !isfinite(b->hi[i] - b->lo[i]))
        {
            b->lo[i] = 0;
            b->hi[i] = 0;
        }
    }

    if (rec->labelled > 0) {
        b->temperature = (float) best_temperature(rec);
    }

    rec->again = 1;

    return 0;
}


/* ---- the second time -------------------------------------------------- */

static void
count(infer_recorder_t *rec, const infer_sample_t *sample, const float *x,
    size_t label)
{
    size_t             i, answer;
    double             p;
    infer_baseline_t  *b = rec->baseline;

    b->images++;

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        if (sample->value[s] == sample->value[s]) {
            b->bin[s][infer_statistic_bin(s, sample->value[s])]++;
        }
    }

    b->clipped += sample->clipped;
    b->activations += sample->activations;

    answer = infer_monitor_class(b->n_classes, sample->class_id);
    b->class_count[answer]++;

    if (label == SIZE_MAX) {
        return;
    }

    p = infer_scaled_confidence(x, rec->classes,
                                (int) rec->model->probabilities,
                                b->temperature);
    i = infer_reliability_bin(p);

    b->labelled++;
    b->right += label == sample->class_id;
    b->class_count[b->n_classes + answer] += label == sample->class_id;
    b->rated[i]++;
    b->hits[i] += label == sample->class_id;
    rec->sure[i] += (uint64_t) (p / SURE_UNIT);
}


int
infer_recorder_add(infer_recorder_t *rec, infer_session_t *session,
    const infer_sample_t *sample, size_t label, infer_error_t *err)
{
    infer_sample_t  all = *sample;
    infer_tensor_t  t;

    infer_session_output_tensor(session, 0, &t);
    infer_sample_output(&all, session, 0, rec->baseline);

    if (all.class_id == UINT32_MAX) {
        return fail(err, "an image has no finite score");
    }

    if (label != SIZE_MAX && label >= rec->classes) {
        return fail(err, "a label is no class");
    }

    if (!rec->again) {
        rec->images++;
        extend_ranges(rec->baseline, &session->watch);

        if (label != SIZE_MAX) {
            rec->labelled++;
            add_nll(rec, t.data, label);
        }

        return 0;
    }

    count(rec, &all, t.data, label);

    return 0;
}


int
infer_recorder_section(infer_recorder_t *rec, infer_section_t *section,
    infer_error_t *err)
{
    infer_baseline_t  *b = rec->baseline;

    if (!rec->again || b->images != rec->images
        || b->labelled != rec->labelled
        || (b->labelled != 0 && b->labelled != b->images))
    {
        return fail(err, "the images have changed");
    }

    for (size_t i = 0; i < INFER_RELIABILITY_BINS; i++) {
        b->sure[i] = (double) rec->sure[i] * SURE_UNIT;
    }

    *section = (infer_section_t) { INFER_SECTION_BASELINE, b,
                                   infer_baseline_size(b->n_classes) };

    return 0;
}
