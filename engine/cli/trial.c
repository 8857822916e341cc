/*
 * Images through models.
 */

#include <stdlib.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/trial.h"


#define LEAST_RUNS  5
#define MOST_RUNS   200
#define TIME_NS     500000000u    /* for each of the two */


int
cli_trial_run(const cli_trial_t *trial, size_t n,
    infer_session_t *const *session, size_t n_sessions,
    void (*run)(void *arg, size_t i), void *arg, infer_error_t *err)
{
    int                 status = 0;
    infer_image_t       prepared;
    const cli_image_t  *image;

    cli_progress_start(trial->what, n);

    for (size_t i = 0; status == 0 && i < n; i++) {
        image = &trial->set->image[i];

        status = cli_image_load(image, trial->pp, trial->max_pixels,
                                &prepared, err);
        if (status != 0) {
            break;
        }

        for (size_t k = 0; k < n_sessions; k++) {
            if (infer_session_set_image(session[k], 0, &prepared, trial->pp)
                != 0)
            {
                status = cli_fail(err, "%.400s: %dx%d pixels are not the "
                                  "size of the model's input (see "
                                  "--preprocess)", image->name,
                                  prepared.width, prepared.height);
            }
        }

        infer_image_free(&prepared);

        if (status == 0) {
            run(arg, i);
            cli_progress(i + 1);
        }
    }

    cli_progress_end();

    return status;
}


/* ---- classes ---------------------------------------------------------- */

typedef struct {
    infer_session_t         *session;
    const infer_parallel_t  *parallel;
    size_t                  *class_id;
} classify_t;


static void
classify(void *arg, size_t i)
{
    classify_t     *c = arg;
    infer_class_t   top;

    infer_session_run(c->session, c->parallel);

    c->class_id[i] = infer_session_top(c->session, 0, &top, 1) == 1
                     ? top.class_id : SIZE_MAX;
}


int
cli_trial_classify(const cli_trial_t *trial, size_t n,
    const infer_model_t *model, size_t *class_id, infer_error_t *err)
{
    int         status;
    classify_t  c = { NULL, trial->parallel, class_id };

    c.session = infer_session_create(model, 1, trial->parallel->slots, err);
    if (c.session == NULL) {
        return -1;
    }

    status = cli_trial_run(trial, n, &c.session, 1, classify, &c, err);
    infer_session_free(c.session);

    return status;
}


/* ---- difference ------------------------------------------------------- */

typedef struct {
    cli_difference_t        *d;
    infer_session_t         *session[2];
    const infer_parallel_t  *parallel;
} compare_t;


static void
compare(void *arg, size_t i)
{
    compare_t  *c = arg;

    (void) i;

    cli_difference_run(c->d, c->session[0], c->session[1], c->parallel);
}


int
cli_trial_difference(const cli_trial_t *trial, size_t n,
    cli_difference_t *d, const infer_model_t *first,
    const infer_model_t *second, infer_error_t *err)
{
    int        status = -1;
    compare_t  c = { d, { NULL, NULL }, trial->parallel };

    c.session[0] = infer_session_create_observed(first, 1, trial->parallel->slots,
                                        err);
    if (c.session[0] != NULL) {
        c.session[1] = infer_session_create_observed(second, 1,
                                            trial->parallel->slots, err);
    }

    if (c.session[1] != NULL) {
        status = cli_trial_run(trial, n, c.session, 2, compare, &c, err);
    }

    infer_session_free(c.session[0]);
    infer_session_free(c.session[1]);

    return status;
}


/* ---- time ------------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
    uint64_t  x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static uint64_t
time_run(infer_session_t *session)
{
    uint64_t  start = cli_now();

    infer_session_run(session, NULL);

    return cli_now() - start;
}


int
cli_trial_time(const infer_model_t *first, const infer_model_t *second,
    double *first_ms, double *second_ms, infer_error_t *err)
{
    size_t            n;
    uint64_t          ns[2][MOST_RUNS], end;
    infer_session_t  *a, *b = NULL;

    a = infer_session_create(first, 1, 1, err);
    if (a != NULL) {
        b = infer_session_create(second, 1, 1, err);
    }

    if (b == NULL) {
        infer_session_free(a);
        return -1;
    }

    (void) time_run(a);
    (void) time_run(b);
    end = cli_now() + 2 * TIME_NS;

    for (n = 0; n < MOST_RUNS && (n < LEAST_RUNS || cli_now() < end); n++) {
        ns[0][n] = time_run(a);
        ns[1][n] = time_run(b);
    }

    qsort(ns[0], n, sizeof(uint64_t), by_value);
    qsort(ns[1], n, sizeof(uint64_t), by_value);
    *first_ms = (double) ns[0][n / 2] / 1e6;
    *second_ms = (double) ns[1][n / 2] / 1e6;

    infer_session_free(a);
    infer_session_free(b);

    return 0;
}


/* ---- text ------------------------------------------------------------- */

void
cli_distance_put(const cli_distance_t *d)
{
    char                buf[CLI_TEXT_SIZE];
    const cli_layer_t  *layer;

    if (d->n_layers > 0) {
        printf("     MACs   SQNR dB  %-20s  node\n", "op");
    }

    for (size_t i = 0; i < d->n_layers; i++) {
        layer = &d->layer[i];
        printf("%9s  %8.2f  ",
               layer->macs ? cli_scaled_text(buf, (double) layer->macs, 1000)
                           : "", layer->sqnr);
        cli_put(stdout, layer->op, 20);
        printf("  ");
        cli_put(stdout, layer->node, 0);
        putchar('\n');
    }

    printf("%simages          %zu\n", d->n_layers ? "\n" : "", d->images);
    printf("same class      %.2f %%\n", d->images == 0 ? 0
           : 100 * (double) d->same / (double) d->images);
    printf("output          %.2f dB, cosine %.6f (least %.6f)\n", d->sqnr,
           d->cosine, d->least_cosine);
}
