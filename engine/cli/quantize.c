/*
 * How a model is to be quantized.  Every model that is tried is opened anew
 * with another infer_quantization_t, so that what is written in the end is
 * what was tried.
 */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/dataset.h"
#include "cli/quantize.h"
#include "cli/threads.h"
#include "cli/trial.h"


/* Images on which layers are ranked: each layer takes a model of its own. */
#define RANK_IMAGES  16

/* A model with less of its work than this in INT8 is not one. */
#define LEAST_SHARE  0.5


static const char *const  observers[INFER_OBSERVERS] = {
    [INFER_OBSERVER_MINMAX] = "minmax",
    [INFER_OBSERVER_HISTOGRAM] = "histogram",
    [INFER_OBSERVER_PERCENTILE] = "percentile",
    [INFER_OBSERVER_ENTROPY] = "entropy"
};

/* A layer on its own in INT8. */
typedef struct {
    size_t  index;
    double  sqnr;                 /* of the model's output */
} rank_t;

struct cli_quantizer_s {
    const char                    *path;
    const cli_quantize_options_t  *options;
    infer_load_options_t           load;       /* of the float model */
    infer_observer_t               observer;
    double                         max_drop;   /* points; < 0: any */

    cli_threads_t                 *threads;
    infer_model_t                 *model;      /* float */
    infer_model_t                 *result;     /* that was tried last */
    infer_calibration_t           *calibration;
    infer_preprocess_t             pp;
    cli_labels_t                   labels;
    cli_dataset_t                  images;     /* for calibration */
    cli_dataset_t                  data;       /* labelled, or none */
    cli_trial_t                    trial;      /* of images */
    cli_trial_t                    test;       /* of data, or of images */
    size_t                        *by_float;   /* class of each test image */
    size_t                        *by_int8;

    infer_quantization_t           how;
    unsigned char                 *keep;
    size_t                         kept;       /* layers */
    double                         share;      /* of MACs in INT8 */
    double                         drop;       /* points */
};


/* ---- models ----------------------------------------------------------- */

/* Builds the model that `how` asks for as q->result. */
static int
build(cli_quantizer_t *q, const infer_quantization_t *how,
    infer_error_t *err)
{
    infer_load_options_t  load = q->load;

    load.quantization = how;

    infer_model_free(q->result);
    q->result = infer_model_load(q->path, &load, err);

    return q->result != NULL ? 0 : -1;
}


static void
count_macs(void *arg, const infer_observed_t *seen)
{
    uint64_t  *macs = arg;

    macs[0] += seen->macs;
    macs[1] += seen->op[0] == 'q' ? seen->macs : 0;
}


/* How much of the result's work is done in INT8. */
static int
measure_share(cli_quantizer_t *q, infer_error_t *err)
{
    uint64_t          macs[2] = { 0, 0 };
    infer_session_t  *session;

    session = infer_session_create_observed(q->result, 1, 1, err);
    if (session == NULL) {
        return -1;
    }

    infer_session_observe(session, NULL, count_macs, macs);
    infer_session_free(session);

    q->share = macs[0] ? (double) macs[1] / (double) macs[0] : 0;

    return 0;
}


/* ---- calibration ------------------------------------------------------ */

typedef struct {
    cli_quantizer_t  *q;
    infer_session_t  *session;
} calibrate_t;


static void
calibrate_image(void *arg, size_t i)
{
    calibrate_t  *c = arg;

    (void) i;

    infer_calibration_run(c->q->calibration, c->session,
                          c->q->trial.parallel);
}


/* All images, twice. */
static int
calibrate(cli_quantizer_t *q, infer_error_t *err)
{
    int          status = -1;
    calibrate_t  c = { q, NULL };

    c.session = infer_session_create_observed(q->model, 1, q->trial.parallel->slots,
                                     err);
    q->calibration = infer_calibration_create(q->model, err);

    if (c.session != NULL && q->calibration != NULL) {
        q->trial.what = "calibrate";

        status = cli_trial_run(&q->trial, q->images.n, &c.session, 1,
                               calibrate_image, &c, err) != 0
                 || infer_calibration_again(q->calibration, err) != 0
                 || cli_trial_run(&q->trial, q->images.n, &c.session, 1,
                                  calibrate_image, &c, err) != 0 ? -1 : 0;
    }

    infer_session_free(c.session);

    if (status == 0) {
        q->how.value = infer_calibration_result(q->calibration, q->observer);
        q->how.n = infer_model_observed(q->model);
        q->how.correct_bias = 1;
        q->keep = cli_alloc(q->how.n, 1);
        q->how.keep = q->keep;
    }

    return status;
}


/* ---- what it costs ---------------------------------------------------- */

/* The drop of the result, in points. */
static int
measure_drop(cli_quantizer_t *q, infer_error_t *err)
{
    size_t               n = q->test.set->n, wrong = 0, right = 0;
    const size_t        *label = q->test.set->label;

    q->test.what = "trial";

    if (q->by_float == NULL) {
        q->by_float = cli_alloc(n, sizeof(size_t));
        q->by_int8 = cli_alloc(n, sizeof(size_t));

        if (cli_trial_classify(&q->test, n, q->model, q->by_float, err) != 0) {
            return -1;
        }
    }

    if (cli_trial_classify(&q->test, n, q->result, q->by_int8, err) != 0) {
        return -1;
    }

    for (size_t i = 0; i < n; i++) {
        if (q->data.n > 0) {
            right += q->by_float[i] == label[i];
            wrong += q->by_int8[i] == label[i];
        } else {
            right++;
            wrong += q->by_int8[i] == q->by_float[i];
        }
    }

    q->drop = 100 * ((double) right - (double) wrong) / (double) n;

    return 0;
}


static double
top1(const size_t *class_id, const cli_dataset_t *set)
{
    size_t  right = 0;

    for (size_t i = 0; i < set->n; i++) {
        right += class_id[i] == set->label[i];
    }

    return 100 * (double) right / (double) set->n;
}


/* ---- the decision ----------------------------------------------------- */

static int
by_sqnr(const void *a, const void *b)
{
    const rank_t  *x = a, *y = b;

    return x->sqnr != y->sqnr ? (x->sqnr > y->sqnr) - (x->sqnr < y->sqnr)
                              : (x->index > y->index) - (x->index < y->index);
}


typedef struct {
    rank_t  *rank;
    size_t   n;
} products_t;


static void
find_product(void *arg, const infer_observed_t *seen)
{
    products_t  *p = arg;

    if (seen->macs > 0) {
        p->rank[p->n++].index = seen->index;
    }
}


/* The layers that have weights, the one that costs most first. */
static int
rank_layers(cli_quantizer_t *q, products_t *p, infer_error_t *err)
{
    int                    status = 0;
    size_t                 i, n;
    cli_difference_t      *d;
    infer_session_t       *session;
    unsigned char         *keep = cli_alloc(q->how.n, 1);
    infer_quantization_t   how = q->how;

    session = infer_session_create_observed(q->model, 1, 1, err);
    if (session == NULL) {
        free(keep);
        return -1;
    }

    infer_session_observe(session, NULL, find_product, p);
    infer_session_free(session);

    n = q->images.n < RANK_IMAGES ? q->images.n : RANK_IMAGES;
    q->trial.what = "rank";
    how.keep = keep;
    memset(keep, 1, q->how.n);

    for (i = 0; status == 0 && i < p->n; i++) {
        keep[p->rank[i].index] = 0;
        status = build(q, &how, err);
        keep[p->rank[i].index] = 1;

        d = status == 0 ? cli_difference_create(q->model, q->result, err)
                        : NULL;
        status = d == NULL ? -1
                 : cli_trial_difference(&q->trial, n, d, q->model, q->result,
                                        err);
        if (status == 0) {
            p->rank[i].sqnr = cli_difference_result(d)->sqnr;
        }

        cli_difference_free(d);
    }

    free(keep);
    qsort(p->rank, p->n, sizeof(rank_t), by_sqnr);

    return status;
}


/* Tries the result as it is, then with one layer after the other in float. */
static int
search(cli_quantizer_t *q, infer_error_t *err)
{
    int         status;
    size_t      i;
    double      first;
    products_t  p = { NULL, 0 };

    if (build(q, &q->how, err) != 0 || measure_share(q, err) != 0
        || measure_drop(q, err) != 0)
    {
        return CLI_ERROR;
    }

    first = q->drop;

    if (q->max_drop < 0 || q->drop <= q->max_drop) {
        return CLI_DONE;
    }

    p.rank = cli_alloc(q->how.n, sizeof(rank_t));
    status = rank_layers(q, &p, err) != 0 ? CLI_ERROR : CLI_NO;

    for (i = 0; status == CLI_NO && i < p.n; i++) {
        q->keep[p.rank[i].index] = 1;
        q->kept++;

        if (build(q, &q->how, err) != 0 || measure_share(q, err) != 0) {
            status = CLI_ERROR;
            break;
        }

        if (q->share < LEAST_SHARE) {
            cli_fail(err, "%.200s: INT8 costs %.2f points, and still %.2f "
                     "with %zu layers in float: --max-drop %.2f does not "
                     "hold with half of the work in INT8", q->path, first,
                     q->drop, i, q->max_drop);
            break;
        }

        if (measure_drop(q, err) != 0) {
            status = CLI_ERROR;
        } else if (q->drop <= q->max_drop) {
            status = CLI_DONE;
        }
    }

    free(p.rank);

    return status;
}


/* ---- the report ------------------------------------------------------- */

static void
put_trial(const cli_quantizer_t *q)
{
    if (q->options->calibrate != NULL) {
        printf("calibration     %zu images, %s\n", q->images.n,
               observers[q->observer]);
    }

    printf("INT8            %.1f %% of all multiply-accumulates",
           100 * q->share);

    if (q->kept > 0) {
        printf(", %zu %s float", q->kept,
               q->kept > 1 ? "layers stay" : "layer stays");
    }

    putchar('\n');

    if (q->data.n > 0) {
        printf("top-1           %.2f %%, float %.2f %% (%zu images)\n",
               top1(q->by_int8, &q->data), top1(q->by_float, &q->data),
               q->data.n);
    }
}


/* What is written against what there was, as both are served. */
static int
report(cli_quantizer_t *q, int quiet, infer_error_t *err)
{
    int                status = 0;
    double             before, after;
    infer_model_t     *model;
    cli_difference_t  *d;

    if (q->images.n > 0 && !quiet) {
        q->trial.what = "report";
        d = cli_difference_create(q->model, q->result, err);
        status = d == NULL ? -1
                 : cli_trial_difference(&q->trial, q->images.n, d, q->model,
                                        q->result, err);
        if (status == 0) {
            cli_distance_put(cli_difference_result(d));
        }

        cli_difference_free(d);
    }

    if (status != 0) {
        return -1;
    }

    q->load.equalize = 0;
    model = infer_model_load(q->path, &q->load, err);

    if (model == NULL
        || cli_trial_time(model, q->result, &before, &after, err) != 0)
    {
        infer_model_free(model);
        return -1;
    }

    infer_model_free(model);

    if (!quiet) {
        put_trial(q);
        printf("time            %.3f ms, float %.3f ms\n", after, before);
    }

    if (after >= before) {
        cli_error("warning: INT8 is not faster on this CPU: %.3f ms, float "
                  "%.3f ms", after, before);
    }

    return 0;
}


/* ---- all of it -------------------------------------------------------- */

static int
check_options(cli_quantizer_t *q, infer_error_t *err)
{
    int                            i;
    char                          *end;
    const cli_quantize_options_t  *o = q->options;

    if (strcmp(o->mode, "dynamic") == 0) {
        q->how.dynamic = 1;
    } else if (strcmp(o->mode, "static") != 0) {
        return cli_fail(err, "--quantize: \"%.100s\" is neither static nor "
                        "dynamic", o->mode);
    }

    if (!q->how.dynamic && o->calibrate == NULL) {
        return cli_fail(err, "--quantize static: on which images? "
                        "(--calibrate DIR)");
    }

    if (q->how.dynamic && (o->calibrate != NULL || o->observer != NULL
                           || o->max_drop != NULL))
    {
        return cli_fail(err, "--quantize dynamic: takes no --calibrate, "
                        "--observer or --max-drop");
    }

    q->observer = INFER_OBSERVER_HISTOGRAM;

    if (o->observer != NULL) {
        for (i = 0; i < INFER_OBSERVERS
                    && strcmp(o->observer, observers[i]) != 0; i++)
        {
            /* void */
        }

        if (i == INFER_OBSERVERS) {
            return cli_fail(err, "--observer: \"%.100s\" is none of minmax, "
                            "histogram, percentile, entropy", o->observer);
        }

        q->observer = (infer_observer_t) i;
    }

    q->max_drop = -1;

    if (o->max_drop != NULL) {
        errno = 0;
        q->max_drop = strtod(o->max_drop, &end);

        if (*end != '\0' || !(q->max_drop >= 0) || q->max_drop > 100) {
            return cli_fail(err, "--max-drop: \"%.100s\" is no number from 0 "
                            "to 100", o->max_drop);
        }
    }

    return 0;
}


/* The float model, and the images to try it on. */
static int
prepare(cli_quantizer_t *q, const char *preprocess, const char *labels,
    infer_error_t *err)
{
    size_t                         classes;
    const cli_quantize_options_t  *o = q->options;

    q->threads = cli_threads_create(o->threads, err);
    if (q->threads == NULL) {
        return -1;
    }

    q->load.winograd_budget = 0;
    q->load.apart = 1;
    q->load.equalize = !q->how.dynamic;
    q->model = infer_model_load(q->path, &q->load, err);

    if (q->model == NULL) {
        return -1;
    }

    if (o->calibrate == NULL && o->data == NULL) {
        return 0;
    }

    if (cli_preprocess(&q->pp, q->model, q->path, preprocess, err) != 0
        || cli_labels(&q->labels, q->model, labels, err) != 0)
    {
        return -1;
    }

    classes = infer_model_classes(q->model);

    if ((o->calibrate != NULL
         && cli_dataset_images(&q->images, o->calibrate, err) != 0)
        || (o->data != NULL
            && cli_dataset_open(&q->data, o->data, &q->labels, classes, err)
               != 0))
    {
        return -1;
    }

    q->trial.set = &q->images;
    q->trial.pp = &q->pp;
    q->trial.max_pixels = o->max_pixels;
    q->trial.parallel = cli_threads_parallel(q->threads);

    q->test = q->trial;
    q->test.set = q->data.n > 0 ? &q->data : &q->images;

    return 0;
}


static int
quantize(cli_quantizer_t *q, const char *preprocess, const char *labels,
    int quiet, infer_error_t *err)
{
    int     status = CLI_DONE;
    size_t  budget = q->load.winograd_budget;

    if (check_options(q, err) != 0
        || prepare(q, preprocess, labels, err) != 0
        || (!q->how.dynamic && calibrate(q, err) != 0))
    {
        return CLI_ERROR;
    }

    q->load.winograd_budget = budget;
    q->load.apart = 0;

    if (q->test.set != NULL) {
        status = search(q, err);
    } else if (build(q, &q->how, err) != 0 || measure_share(q, err) != 0) {
        status = CLI_ERROR;
    }

    return status != CLI_DONE ? status
           : report(q, quiet, err) != 0 ? CLI_ERROR : CLI_DONE;
}


int
cli_quantize(cli_quantizer_t **quantizer, const char *path,
    const cli_quantize_options_t *options, const char *preprocess,
    const char *labels, infer_load_options_t *load, int quiet,
    infer_error_t *err)
{
    int               status;
    cli_quantizer_t  *q;

    q = cli_alloc(1, sizeof(*q));
    *quantizer = q;

    q->path = path;
    q->options = options;
    q->load = *load;

    status = quantize(q, preprocess, labels, quiet, err);

    load->equalize = q->load.equalize;
    load->quantization = &q->how;

    return status;
}


void
cli_quantizer_free(cli_quantizer_t *q)
{
    if (q == NULL) {
        return;
    }

    infer_calibration_free(q->calibration);
    cli_dataset_free(&q->images);
    cli_dataset_free(&q->data);
    cli_labels_free(&q->labels);
    infer_model_free(q->model);
    infer_model_free(q->result);
    cli_threads_free(q->threads);
    free(q->by_float);
    free(q->by_int8);
    free(q->keep);
    free(q);
}
