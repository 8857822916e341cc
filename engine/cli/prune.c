/*
 * What pruning a model costs: accuracy, size, work and time of the model as it
 * was and as it will be.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/dataset.h"
#include "cli/prune.h"
#include "cli/threads.h"
#include "cli/trial.h"


static const char *const  kinds[INFER_PRUNINGS] = {
    [INFER_PRUNE_UNSTRUCTURED] = "unstructured",
    [INFER_PRUNE_BLOCK] = "block",
    [INFER_PRUNE_CHANNELS] = "channels"
};

/* A model before or after. */
typedef struct {
    infer_model_t  *model;
    uint64_t        macs;
    uint64_t        parameters;
} pruned_t;


static int
check_options(infer_pruning_t *pruning, const cli_prune_options_t *o,
    infer_error_t *err)
{
    int    i;
    char  *end;

    errno = 0;
    pruning->fraction = strtod(o->fraction, &end);

    if (end == o->fraction || *end != '\0' || !(pruning->fraction > 0)
        || pruning->fraction >= 1)
    {
        return cli_fail(err, "--prune: \"%.100s\" is no number between 0 and "
                        "1", o->fraction);
    }

    pruning->kind = INFER_PRUNE_CHANNELS;

    if (o->kind == NULL) {
        return 0;
    }

    for (i = 0; i < INFER_PRUNINGS && strcmp(o->kind, kinds[i]) != 0; i++) {
        /* void */
    }

    if (i == INFER_PRUNINGS) {
        return cli_fail(err, "--prune-kind: \"%.100s\" is none of channels, "
                        "block, unstructured", o->kind);
    }

    pruning->kind = (infer_pruning_kind_t) i;

    return 0;
}


static int
build(pruned_t *p, const char *path, const infer_load_options_t *load,
    infer_error_t *err)
{
    infer_graph_t    *graph;
    infer_summary_t   sum;

    graph = infer_graph_open(path, load, err);
    if (graph == NULL) {
        return -1;
    }

    infer_graph_summary(graph, &sum);
    p->macs = sum.macs;
    p->parameters = sum.parameters;
    p->model = infer_model_load(path, load, err);

    infer_graph_close(graph);

    return p->model != NULL ? 0 : -1;
}


static double
top1(const cli_trial_t *trial, const infer_model_t *model,
    infer_error_t *err)
{
    size_t   right = 0, n = trial->set->n;
    size_t  *class_id = cli_alloc(n, sizeof(size_t));
    int      failed = cli_trial_classify(trial, n, model, class_id, err);

    for (size_t i = 0; i < n; i++) {
        right += class_id[i] == trial->set->label[i];
    }

    free(class_id);

    return failed ? -1 : 100 * (double) right / (double) n;
}


/* How both do on labelled images. */
static int
put_accuracy(const cli_trial_t *trial, const pruned_t *before,
    const pruned_t *after, infer_error_t *err)
{
    double  was, is;

    was = top1(trial, before->model, err);
    is = was < 0 ? -1 : top1(trial, after->model, err);

    if (is < 0) {
        return -1;
    }

    printf("top-1           %.2f %%, before %.2f %% (%zu images)\n", is, was,
           trial->set->n);

    return 0;
}


/* How far apart they are on images without labels. */
static int
put_difference(const cli_trial_t *trial, const pruned_t *before,
    const pruned_t *after, infer_error_t *err)
{
    int                    failed;
    cli_distance_t         distance;
    cli_difference_t      *d;

    d = cli_difference_create(before->model, after->model, err);

    failed = d == NULL
             || cli_trial_difference(trial, trial->set->n, d, before->model,
                                     after->model, err) != 0;
    if (!failed) {
        /* layers of another width have nothing to compare */
        distance = *cli_difference_result(d);
        distance.n_layers = 0;
        cli_distance_put(&distance);
    }

    cli_difference_free(d);

    return failed ? -1 : 0;
}


static int
put_images(const char *path, const cli_quantize_options_t *o,
    const char *preprocess, const char *labels, const pruned_t *before,
    const pruned_t *after, infer_error_t *err)
{
    int                  status = -1;
    cli_labels_t         names = { 0 };
    cli_dataset_t        set = { 0 };
    cli_trial_t          trial = { .what = "trial" };
    cli_threads_t       *threads;
    infer_preprocess_t   pp;

    threads = cli_threads_create(o->threads, err);
    if (threads == NULL) {
        return -1;
    }

    trial.set = &set;
    trial.pp = &pp;
    trial.max_pixels = o->max_pixels;
    trial.parallel = cli_threads_parallel(threads);

    if (cli_preprocess(&pp, before->model, path, preprocess, err) == 0
        && cli_labels(&names, before->model, labels, err) == 0)
    {
        if (o->data != NULL) {
            status = cli_dataset_open(&set, o->data, &names,
                                      infer_model_classes(before->model), err)
                     != 0
                     || put_accuracy(&trial, before, after, err) != 0 ? -1
                                                                      : 0;
        } else {
            status = cli_dataset_images(&set, o->calibrate, err) != 0
                     || put_difference(&trial, before, after, err) != 0 ? -1
                                                                        : 0;
        }
    }

    cli_dataset_free(&set);
    cli_labels_free(&names);
    cli_threads_free(threads);

    return status;
}


static int
put_work(const pruned_t *before, const pruned_t *after, infer_error_t *err)
{
    char    is[CLI_TEXT_SIZE], was[CLI_TEXT_SIZE];
    double  old_ms, new_ms;

    if (cli_trial_time(before->model, after->model, &old_ms, &new_ms, err)
        != 0)
    {
        return -1;
    }

    printf("parameters      %s, before %s\n",
           cli_scaled_text(is, (double) after->parameters, 1000),
           cli_scaled_text(was, (double) before->parameters, 1000));
    printf("MACs            %s, before %s\n",
           cli_scaled_text(is, (double) after->macs, 1000),
           cli_scaled_text(was, (double) before->macs, 1000));
    printf("model           %sB, before %sB\n",
           cli_scaled_text(is, (double) infer_model_size(after->model), 1024),
           cli_scaled_text(was, (double) infer_model_size(before->model),
                           1024));
    printf("time            %.3f ms, before %.3f ms\n", new_ms, old_ms);

    return 0;
}


int
cli_prune(infer_pruning_t *pruning, const char *path,
    const cli_prune_options_t *options, const cli_quantize_options_t *data,
    const char *preprocess, const char *labels, infer_load_options_t *load,
    int quiet, infer_error_t *err)
{
    int        failed;
    pruned_t   before = { 0 }, after = { 0 };

    if (check_options(pruning, options, err) != 0) {
        return -1;
    }

    failed = !quiet && build(&before, path, load, err) != 0;
    load->pruning = pruning;

    if (quiet) {
        return 0;
    }

    failed = failed || build(&after, path, load, err) != 0;

    if (!failed) {
        printf("pruned          %.4g of each layer, %s%s\n",
               pruning->fraction, kinds[pruning->kind],
               pruning->kind == INFER_PRUNE_UNSTRUCTURED
               ? ": zeros, neither faster nor smaller" : "");

        failed = ((data->data != NULL || data->calibrate != NULL)
                  && put_images(path, data, preprocess, labels, &before,
                                &after, err) != 0)
                 || put_work(&before, &after, err) != 0;
    }

    infer_model_free(before.model);
    infer_model_free(after.model);

    return failed ? -1 : 0;
}
