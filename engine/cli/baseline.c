/*
 * infer baseline: what a model is given and answers on images that are right,
 * written into its .infer file, for the server to tell when that changes.
 */

#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "cli/model.h"
#include "cli/monitor.h"
#include "cli/threads.h"


typedef struct {
    cli_model_options_t   model;
    const char           *output;          /* --output */
    int                   unlabelled;      /* --unlabelled */
    size_t                threads;
    int                   json;
} options_t;

/* A model that is to be written again, of an .infer file or of a graph. */
typedef struct {
    const options_t  *options;
    const char       *path;
    infer_graph_t    *graph;
    infer_model_t    *built;      /* of the graph */
    infer_model_t    *loaded;     /* of the .infer file */
} source_t;


/* ---- the model -------------------------------------------------------- */

static void
source_close(source_t *s)
{
    infer_graph_close(s->graph);
    infer_model_free(s->loaded);
    free(s->built);
}


/* What an .infer file says of labels and preprocessing stays. */
static int
source_load(source_t *s, infer_error_t *err)
{
    const cli_model_options_t  *o = &s->options->model;

    if (o->labels != NULL || o->preprocess != NULL) {
        return cli_fail(err, "%.300s: labels and preprocessing of an .infer "
                        "file are fixed: give them to infer convert",
                        s->path);
    }

    s->loaded = cli_model_load(s->path, &o->load, NULL, 0, err);

    return s->loaded != NULL ? 0 : -1;
}


static int
source_describe(source_t *s, infer_error_t *err)
{
    int                         failed;
    cli_labels_t                labels;
    infer_error_t               why;
    const cli_model_options_t  *o = &s->options->model;

    if (o->preprocess != NULL
        && infer_graph_set_preprocess(s->graph, o->preprocess, &why) != 0)
    {
        return cli_fail(err, "--preprocess: %.400s", why.text);
    }

    if (o->labels == NULL) {
        return 0;
    }

    if (cli_labels_read(&labels, o->labels, err) != 0) {
        return -1;
    }

    failed = infer_graph_set_labels(s->graph, labels.name, labels.n, err);
    cli_labels_free(&labels);

    return failed;
}


static int
source_open(source_t *s, infer_error_t *err)
{
    int                    is_infer = infer_file_is_model(s->path, err);
    cli_labels_t           labels;
    infer_load_options_t   load;

    if (is_infer != 0) {
        return is_infer < 0 ? -1 : source_load(s, err);
    }

    if (cli_load_options(&s->options->model.load, &load, err) != 0) {
        return -1;
    }

    s->graph = infer_graph_open(s->path, &load, err);
    cli_load_options_free(&load);

    if (s->graph == NULL || source_describe(s, err) != 0) {
        return -1;
    }

    s->built = cli_model_build(s->graph, err);

    /* as many labels as classes */
    if (s->built == NULL
        || cli_labels(&labels, s->built, s->options->model.labels, err) != 0)
    {
        return -1;
    }

    cli_labels_free(&labels);

    return 0;
}


static int
source_save(const source_t *s, const infer_section_t *section,
    infer_error_t *err)
{
    infer_save_options_t  save = {
        .source = s->path, .options = "", .sections = section,
        .n_sections = 1
    };

    return s->loaded != NULL
           ? infer_model_save_section(s->loaded, section, s->options->output,
                                      err)
           : infer_model_save(s->graph, s->built, s->options->output, &save,
                              err);
}


/* ---- the command ------------------------------------------------------ */

static void
put_result(const options_t *o, const infer_section_t *section)
{
    infer_baseline_info_t  info;

    infer_baseline_info(section->data, &info);

    if (o->json) {
        cli_json_print(json_pack("{s:o, s:I, s:o, s:o, s:o, s:I}",
            "file", cli_json_text(o->output),
            "images", (json_int_t) info.images,
            "top1", info.labelled ? json_real(info.accuracy) : json_null(),
            "temperature", info.labelled ? json_real(info.temperature)
                                         : json_null(),
            "calibration_error", info.labelled
                                 ? json_real(info.calibration_error)
                                 : json_null(),
            "bytes", (json_int_t) section->size));
        return;
    }

    cli_put(stdout, o->output, 0);
    printf(": baseline of %llu images", (unsigned long long) info.images);

    if (info.labelled > 0) {
        printf(", top-1 %.2f %%, temperature %.3f, calibration error %.2f %%",
               100 * info.accuracy, info.temperature,
               100 * info.calibration_error);
    }

    putchar('\n');
}


static int
record(source_t *s, const char *data, cli_threads_t *threads,
    infer_error_t *err)
{
    int                  failed;
    const options_t     *o = s->options;
    cli_labels_t         labels = { 0 };
    cli_dataset_t        set = { 0 };
    cli_monitor_t        m = { .labelled = !o->unlabelled };
    infer_section_t      section;
    infer_recorder_t    *rec = NULL;
    infer_preprocess_t   pp;

    m.model = s->loaded != NULL ? s->loaded : s->built;

    if (cli_preprocess(&pp, m.model, s->path, NULL, err) != 0
        || cli_labels(&labels, m.model, NULL, err) != 0)
    {
        return -1;
    }

    failed = o->unlabelled
             ? cli_dataset_images(&set, data, err)
             : cli_dataset_open(&set, data, &labels,
                                infer_model_classes(m.model), err);

    m.pp = &pp;
    m.set = &set;
    m.max_pixels = o->model.max_pixels;
    m.parallel = cli_threads_parallel(threads);

    failed = failed || cli_monitor_record(&m, &rec, &section, err)
             || source_save(s, &section, err);

    if (!failed) {
        put_result(o, &section);
    }

    infer_recorder_free(rec);
    cli_dataset_free(&set);
    cli_labels_free(&labels);

    return failed ? -1 : 0;
}


static int
baseline(const options_t *options, const char *path, const char *data)
{
    int             failed = 1;
    source_t        s = { .options = options, .path = path };
    infer_error_t   err;
    cli_threads_t  *threads;

    if (options->output == NULL) {
        return cli_error("baseline: where to? (-o OUT.infer)");
    }

    threads = cli_threads_create(options->threads, &err);

    if (threads != NULL && source_open(&s, &err) == 0) {
        failed = record(&s, data, threads, &err);
    }

    source_close(&s);
    cli_threads_free(threads);

    return failed ? cli_error("%s", err.text) : CLI_DONE;
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
        { "output", 'o', CLI_TEXT, &o.output, "OUT.infer",
          "the file to write; may be MODEL, if that is one", 0, 0 },
        { "unlabelled", 0, CLI_FLAG, &o.unlabelled, NULL,
          "the images have no classes: any folder (of folders)", 0, 0 },
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

    status = n > 2
             ? cli_error("baseline: one MODEL and one DATA, what is \"%s\"?",
                         argv[2])
             : baseline(&o, argv[0], argv[1]);

    cli_list_free(&o.model.load.shapes);

    return status;
}


const cli_command_t  cli_baseline = {
    .name = "baseline",
    .summary = "write what is normal into a model's file",
    .usage = "MODEL DATA -o OUT.infer [--unlabelled] [--json]",
    .details =
        "Runs images that are as they should be and writes the model as an "
        ".infer file with\nhistograms of what it was given and answered, "
        "which monitoring compares with.\nDATA is as for infer eval; its "
        "labels make it possible to estimate accuracy.\nTake images that "
        "the model was not trained on: it is too sure of those.\n",
    .examples =
        "infer baseline model.onnx validation/ -o model.infer\n"
        "infer baseline model.infer photos/ --unlabelled -o model.infer\n",
    .min_operands = 2,
    .operands = "MODEL or DATA is",
    .main = command
};
