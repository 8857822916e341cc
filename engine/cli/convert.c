/*
 * infer convert: a model as an .infer file.  The graph is opened, changed as
 * the options say, built, and written.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/monitor.h"
#include "cli/prune.h"
#include "cli/quantize.h"
#include "cli/threads.h"


typedef struct {
    cli_load_t               load;
    cli_quantize_options_t   quantize;
    cli_prune_options_t      prune;
    const char              *output;          /* --output */
    const char              *labels;          /* --labels */
    const char              *preprocess;      /* --preprocess */
    int                      json;
} options_t;


/* ---- what is kept of the options -------------------------------------- */

/* The last part of a path. */
static const char *
base_name(const char *path)
{
    const char  *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}


/*
 * The options that made a difference, as they would be typed: files by name,
 * not by path.  The caller frees it.
 */
static char *
options_text(const options_t *o)
{
    FILE    *f;
    char    *text;
    size_t   i, size;

    f = open_memstream(&text, &size);
    if (f == NULL) {
        abort();
    }

    for (i = 0; i < o->load.shapes.n; i++) {
        fprintf(f, " --input-shape %s", o->load.shapes.item[i]);
    }

    if (o->load.winograd_budget != INFER_WINOGRAD_BUDGET) {
        fprintf(f, " --winograd-budget %zu", o->load.winograd_budget);
    }

    if (o->labels != NULL) {
        fprintf(f, " --labels %s", base_name(o->labels));
    }

    if (o->preprocess != NULL) {
        fprintf(f, " --preprocess \"%s\"", o->preprocess);
    }

    if (o->prune.fraction != NULL) {
        fprintf(f, " --prune %s", o->prune.fraction);
    }

    if (o->prune.kind != NULL) {
        fprintf(f, " --prune-kind %s", o->prune.kind);
    }

    if (o->quantize.mode != NULL) {
        fprintf(f, " --quantize %s", o->quantize.mode);
    }

    if (o->quantize.observer != NULL) {
        fprintf(f, " --observer %s", o->quantize.observer);
    }

    if (o->quantize.max_drop != NULL) {
        fprintf(f, " --max-drop %s", o->quantize.max_drop);
    }

    fputc('\0', f);
    fclose(f);

    /* without the space in front */
    memmove(text, text + (*text == ' '), strlen(text) + (*text != ' '));

    return text;
}


/* ---- the command ------------------------------------------------------ */

/* Labels and preprocessing are the graph's from then on. */
static int
describe(infer_graph_t *graph, const options_t *o, infer_error_t *err)
{
    int            failed;
    cli_labels_t   labels = { 0 };
    infer_error_t  why;

    if (o->preprocess != NULL
        && infer_graph_set_preprocess(graph, o->preprocess, &why) != 0)
    {
        return cli_fail(err, "--preprocess: %.400s", why.text);
    }

    if (o->labels == NULL) {
        return 0;
    }

    if (cli_labels_read(&labels, o->labels, err) != 0) {
        return -1;
    }

    failed = infer_graph_set_labels(graph, labels.name, labels.n, err);
    cli_labels_free(&labels);

    return failed;
}


/* Whether the model is one that labels and preprocessing suit. */
static int
check(const infer_model_t *model, const char *path, const options_t *o,
    infer_error_t *err)
{
    cli_labels_t        labels;
    infer_error_t       why;
    infer_preprocess_t  pp;

    if (o->labels != NULL) {
        if (cli_labels(&labels, model, o->labels, err) != 0) {
            return -1;
        }

        cli_labels_free(&labels);
    }

    if (o->preprocess != NULL
        && (infer_model_preprocess(model, &pp, &why) != 0
            || infer_model_check_preprocess(model, &pp, &why) != 0))
    {
        return cli_fail(err, "%s: %.400s", path, why.text);
    }

    return 0;
}


/*
 * The baseline of the images that there are: those with labels, or those of
 * the calibration.  *rec, which the section belongs to, is to be freed in any
 * case; the section's size is 0 where there are no images.
 */
static int
record(const infer_model_t *model, const options_t *o,
    infer_section_t *section, infer_recorder_t **rec, infer_error_t *err)
{
    int                            failed;
    cli_labels_t                   labels = { 0 };
    cli_dataset_t                  set = { 0 };
    cli_monitor_t                  m = { .model = model };
    cli_threads_t                 *threads;
    infer_preprocess_t             pp;
    const cli_quantize_options_t  *q = &o->quantize;

    section->size = 0;

    if (q->calibrate == NULL && q->data == NULL) {
        return 0;
    }

    if (infer_model_preprocess(model, &pp, err) != 0
        || cli_labels(&labels, model, NULL, err) != 0)
    {
        return -1;
    }

    failed = q->data != NULL
             ? cli_dataset_open(&set, q->data, &labels,
                                infer_model_classes(model), err)
             : cli_dataset_images(&set, q->calibrate, err);

    threads = failed ? NULL : cli_threads_create(q->threads, err);

    if (threads != NULL) {
        m.pp = &pp;
        m.set = &set;
        m.labelled = q->data != NULL;
        m.max_pixels = q->max_pixels;
        m.parallel = cli_threads_parallel(threads);

        failed = cli_monitor_record(&m, rec, section, err);
    }

    failed |= threads == NULL;

    cli_threads_free(threads);
    cli_dataset_free(&set);
    cli_labels_free(&labels);

    return failed;
}


static int
save(infer_graph_t *graph, const char *path, const options_t *o,
    infer_error_t *err)
{
    int                   failed;
    char                 *text;
    infer_model_t        *model;
    infer_section_t       section;
    infer_recorder_t     *rec = NULL;
    infer_save_options_t  save_options = { .source = path };

    if (describe(graph, o, err) != 0) {
        return -1;
    }

    model = cli_model_build(graph, err);
    if (model == NULL) {
        return -1;
    }

    failed = check(model, path, o, err)
             || record(model, o, &section, &rec, err);

    if (!failed) {
        text = options_text(o);
        save_options.options = text;
        save_options.sections = &section;
        save_options.n_sections = section.size > 0;
        failed = infer_model_save(graph, model, o->output, &save_options,
                                  err);
        free(text);
    }

    infer_recorder_free(rec);
    free(model);

    return failed;
}


/* The result may take the place of anything but what it is made of. */
static int
check_output(const char *path, const options_t *o, infer_error_t *err)
{
    struct stat  from, to;

    if (o->output == NULL) {
        return cli_fail(err, "convert: where to? (-o OUT.infer)");
    }

    if (stat(path, &from) == 0 && stat(o->output, &to) == 0
        && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
    {
        return cli_fail(err, "%s: would be written over itself", path);
    }

    return 0;
}


static void
put_result(const char *path, const options_t *o)
{
    char         in[CLI_TEXT_SIZE], out[CLI_TEXT_SIZE];
    struct stat  from = { 0 }, to = { 0 };

    (void) stat(path, &from);
    (void) stat(o->output, &to);

    if (o->json) {
        cli_json_print(json_pack("{s:o, s:I, s:I}",
            "file", cli_json_text(o->output),
            "bytes", (json_int_t) to.st_size,
            "source_bytes", (json_int_t) from.st_size));
        return;
    }

    cli_put(stdout, o->output, 0);
    printf(": %sB, from %sB\n",
           cli_scaled_text(out, (double) to.st_size, 1024),
           cli_scaled_text(in, (double) from.st_size, 1024));
}


/* Options that say how to change a model, without what changes it. */
static int
check_quantize(const options_t *o, infer_error_t *err)
{
    const cli_quantize_options_t  *q = &o->quantize;

    if (q->mode == NULL && o->prune.fraction == NULL
        && (q->calibrate != NULL || q->data != NULL))
    {
        return cli_fail(err, "convert: --calibrate and --data are for "
                        "--quantize and --prune");
    }

    if (q->mode == NULL && (q->observer != NULL || q->max_drop != NULL)) {
        return cli_fail(err, "convert: --observer and --max-drop are for "
                        "--quantize");
    }

    if (o->prune.fraction == NULL && o->prune.kind != NULL) {
        return cli_fail(err, "convert: --prune-kind is for --prune");
    }

    return 0;
}


static int
convert(const char *path, const options_t *o)
{
    int                    status = CLI_DONE;
    infer_error_t          err;
    infer_graph_t         *graph = NULL;
    infer_pruning_t        pruning;
    cli_quantizer_t       *quantizer = NULL;
    infer_load_options_t   load;

    if (check_output(path, o, &err) != 0 || check_quantize(o, &err) != 0
        || cli_load_options(&o->load, &load, &err) != 0)
    {
        return cli_error("%s", err.text);
    }

    if (o->prune.fraction != NULL
        && cli_prune(&pruning, path, &o->prune, &o->quantize, o->preprocess,
                     o->labels, &load, o->json, &err) != 0)
    {
        status = CLI_ERROR;
    }

    if (status == CLI_DONE && o->quantize.mode != NULL) {
        status = cli_quantize(&quantizer, path, &o->quantize, o->preprocess,
                              o->labels, &load, o->json, &err);
    }

    if (status == CLI_DONE) {
        graph = infer_graph_open(path, &load, &err);
        status = graph == NULL || save(graph, path, o, &err) != 0 ? CLI_ERROR
                                                                  : CLI_DONE;
    }

    if (status != CLI_DONE) {
        cli_error("%s", err.text);
    } else {
        put_result(path, o);
    }

    infer_graph_close(graph);
    cli_quantizer_free(quantizer);
    cli_load_options_free(&load);

    return status;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = {
        .load = CLI_LOAD_DEFAULTS,
        .quantize = CLI_QUANTIZE_DEFAULTS
    };

    cli_option_t  options[] = {
        { "output", 'o', CLI_TEXT, &o.output, "OUT.infer",
          "the file to write", 0, 0 },
        CLI_PREPROCESS_OPTION(o),
        CLI_LABELS_OPTION(o),
        CLI_PRUNE_OPTIONS(o.prune),
        CLI_QUANTIZE_OPTIONS(o.quantize),
        CLI_LOAD_OPTIONS(o.load),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    status = n > 1
             ? cli_error("convert: one model at a time, what is \"%s\"?",
                         argv[1])
             : convert(argv[0], &o);

    cli_list_free(&o.load.shapes);

    return status;
}


const cli_command_t  cli_convert = {
    .name = "convert",
    .summary = "write a model as an .infer file",
    .usage = "MODEL -o OUT.infer [--labels F] [--preprocess SPEC]\n"
             "MODEL -o OUT.infer --quantize static --calibrate DIR ...\n"
             "MODEL -o OUT.infer --prune F [--prune-kind KIND] "
             "[--data DATA]",
    .details = "Writes the model as it is run, with labels, preprocessing and "
               "a self-test, as one\nfile that needs no import: it is loaded "
               "in milliseconds.  All commands and the\nnginx module take it "
               "in place of the model.\n",
    .examples = "infer convert model.onnx -o model.infer\n"
                "infer convert model.onnx -o model.infer --labels names.txt\n"
                "infer convert model.onnx -o model.infer --quantize static "
                "--calibrate photos/\n"
                "infer inspect model.infer\n",
    .min_operands = 1,
    .operands = "the MODEL is",
    .main = command
};
