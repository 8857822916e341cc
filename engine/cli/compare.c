/*
 * infer compare: how far two models are apart, and where.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "cli/html.h"
#include "cli/model.h"
#include "cli/threads.h"
#include "cli/trial.h"


typedef struct {
    cli_model_options_t   model;
    const char           *html;
    size_t                threads;
    int                   json;
} options_t;

typedef struct {
    const options_t     *options;
    infer_model_t       *model[2];
    cli_side_t           side[2];
    cli_labels_t         labels;
    cli_dataset_t        set;
    infer_preprocess_t   pp;
    cli_trial_t          trial;
    cli_difference_t    *difference;
    int                  labelled;
} compare_t;


/* Images with classes, or if there are none, without. */
static int
open_set(compare_t *c, const char *data, infer_error_t *err)
{
    infer_error_t  no_classes;

    c->labelled = cli_dataset_open(&c->set, data, &c->labels,
                                   infer_model_classes(c->model[0]),
                                   &no_classes) == 0;

    return c->labelled ? 0 : cli_dataset_images(&c->set, data, err);
}


/* Percent of images that the model is right about. */
static int
measure_accuracy(compare_t *c, int i, infer_error_t *err)
{
    int      status;
    size_t  *class_id, right = 0;

    class_id = cli_alloc(c->set.n, sizeof(size_t));
    status = cli_trial_classify(&c->trial, c->set.n, c->model[i], class_id,
                                err);

    for (size_t k = 0; status == 0 && k < c->set.n; k++) {
        right += class_id[k] == c->set.label[k];
    }

    c->side[i].accuracy = 100 * (double) right / (double) c->set.n;
    free(class_id);

    return status;
}


static int
measure(compare_t *c, infer_error_t *err)
{
    const cli_distance_t  *d;

    c->difference = cli_difference_create(c->model[0], c->model[1], err);

    if (c->difference == NULL
        || cli_trial_difference(&c->trial, c->set.n, c->difference,
                                c->model[0], c->model[1], err) != 0
        || cli_trial_time(c->model[0], c->model[1], &c->side[0].ms,
                          &c->side[1].ms, err) != 0)
    {
        return -1;
    }

    d = cli_difference_result(c->difference);
    c->side[0].accuracy = 100;
    c->side[1].accuracy = 100 * (double) d->same / (double) d->images;

    if (c->labelled && (measure_accuracy(c, 0, err) != 0
                        || measure_accuracy(c, 1, err) != 0))
    {
        return -1;
    }

    return c->options->html == NULL ? 0
           : cli_html_write(c->options->html, c->side, d, c->labelled, err);
}


/* ---- output ----------------------------------------------------------- */

static void
put_text(const compare_t *c)
{
    cli_distance_put(cli_difference_result(c->difference));

    if (c->labelled) {
        printf("top-1           %.2f %%, %.2f %%\n", c->side[0].accuracy,
               c->side[1].accuracy);
    }

    printf("time            %.3f ms, %.3f ms\n", c->side[0].ms,
           c->side[1].ms);
}


static void
put_json(const compare_t *c)
{
    json_t                *json, *layers, *models, *model;
    const cli_layer_t     *layer;
    const cli_distance_t  *d = cli_difference_result(c->difference);

    layers = json_array();
    models = json_array();

    for (size_t i = 0; i < d->n_layers; i++) {
        layer = &d->layer[i];
        json_array_append_new(layers, json_pack("{s:o, s:o, s:I, s:f}",
            "node", cli_json_text(layer->node),
            "op", cli_json_text(layer->op),
            "macs", (json_int_t) layer->macs, "sqnr", layer->sqnr));
    }

    for (int i = 0; i < 2; i++) {
        model = json_pack("{s:o, s:f}", "file",
                          cli_json_text(c->side[i].path),
                          "median_ms", c->side[i].ms);

        if (c->labelled) {
            json_object_set_new(model, "top1",
                                json_real(c->side[i].accuracy / 100));
        }

        json_array_append_new(models, model);
    }

    json = json_pack("{s:I, s:f, s:f, s:f, s:f, s:o, s:o}",
        "images", (json_int_t) d->images,
        "agreement", (double) d->same / (double) d->images,
        "sqnr", d->sqnr, "cosine", d->cosine,
        "least_cosine", d->least_cosine, "models", models,
        "layers", layers);

    cli_json_print(json);
}


/* ---- the command ------------------------------------------------------ */

static int
run(compare_t *c, const char *data, const infer_parallel_t *parallel,
    infer_error_t *err)
{
    const options_t  *o = c->options;

    for (int i = 0; i < 2; i++) {
        c->model[i] = cli_model_load(c->side[i].path, &o->model.load, NULL,
                                     0, err);
        if (c->model[i] == NULL) {
            return -1;
        }
    }

    if (cli_preprocess(&c->pp, c->model[0], c->side[0].path,
                       o->model.preprocess, err) != 0
        || cli_labels(&c->labels, c->model[0], o->model.labels, err) != 0
        || open_set(c, data, err) != 0)
    {
        return -1;
    }

    c->trial = (cli_trial_t) {
        .set = &c->set,
        .pp = &c->pp,
        .max_pixels = o->model.max_pixels,
        .parallel = parallel,
        .what = "compare"
    };

    return measure(c, err);
}


static int
compare(const options_t *o, char **argv)
{
    int             status = CLI_DONE;
    compare_t       c = { .options = o };
    infer_error_t   err;
    cli_threads_t  *threads;

    c.side[0].path = argv[0];
    c.side[1].path = argv[1];

    threads = cli_threads_create(o->threads, &err);

    if (threads == NULL
        || run(&c, argv[2], cli_threads_parallel(threads), &err) != 0)
    {
        status = cli_error("%s", err.text);
    } else if (o->json) {
        put_json(&c);
    } else {
        put_text(&c);
    }

    cli_difference_free(c.difference);
    cli_dataset_free(&c.set);
    cli_labels_free(&c.labels);
    infer_model_free(c.model[0]);
    infer_model_free(c.model[1]);
    cli_threads_free(threads);

    return status;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = {
        .model.load = CLI_LOAD_DEFAULTS,
        .model.max_pixels = CLI_MAX_PIXELS
    };

    cli_option_t  options[] = {
        { "html", 0, CLI_TEXT, &o.html, "FILE",
          "also write a report with plots", 0, 0 },
        CLI_IMAGE_OPTIONS(o.model),
        CLI_LOAD_OPTIONS(o.model.load),
        CLI_THREADS_OPTION(o.threads),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    status = n > 3
             ? cli_error("compare: two models and one DATA, what is \"%s\"?",
                         argv[3])
             : compare(&o, argv);

    cli_list_free(&o.model.load.shapes);

    return status;
}


const cli_command_t  cli_compare = {
    .name = "compare",
    .summary = "tell how far two models are apart",
    .usage = "A B DATA [--json] [--html FILE]",
    .details =
        "Runs both models on the same images, prepared as the first wants "
        "them, and tells\nhow often they agree, how far B's outputs are from "
        "A's, and the same for every\nlayer that both have, by its name: "
        "signal to noise in decibels, means over the\nimages.  DATA is as "
        "for infer eval, or a folder of images without classes.\n",
    .examples = "infer compare model.onnx int8.infer photos/\n"
                "infer compare model.onnx int8.infer photos/ --html "
                "report.html\n",
    .min_operands = 3,
    .operands = "two models or DATA are",
    .main = command
};
