/*
 * infer inspect: what a model is.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/model.h"


/* All there is to tell. */
typedef struct {
    infer_summary_t       sum;
    infer_source_t        source;          /* of an .infer file */
    int                   has_source;
    const infer_model_t  *model;           /* one of the next two */
    infer_model_t        *built;           /* of the graph */
    infer_model_t        *mapped;
    infer_graph_t        *graph;
    infer_op_count_t     *ops;             /* sum's, of an .infer file */
    const char          **warnings;
    cli_labels_t          labels;
    infer_preprocess_t    pp;
    int                   is_image;        /* pp is valid */
    size_t                session_bytes;   /* at the batch below */
    size_t                batch;
} facts_t;


/* ---- text ------------------------------------------------------------- */

static void
put_ports(const facts_t *f, int outputs)
{
    char          shape[CLI_TEXT_SIZE];
    size_t        i, n;
    infer_port_t  port;

    n = outputs ? infer_model_outputs(f->model)
                : infer_model_inputs(f->model);

    for (i = 0; i < n; i++) {
        if (outputs) {
            infer_model_output(f->model, i, &port);
        } else {
            infer_model_input(f->model, i, &port);
        }

        printf("%-16s", i ? "" : outputs ? "outputs" : "inputs");
        cli_put(stdout, port.name, 20);
        printf("  %-8s  %s\n", infer_dtype_name(port.dtype),
               cli_shape_text(shape, port.rank, port.dim));
    }
}


static void
put_floats(const char *name, const float *x, int n)
{
    int   i;
    char  buf[CLI_TEXT_SIZE];

    printf(" %s=", name);

    for (i = 0; i < n; i++) {
        printf("%s%s", i ? "," : "", cli_float_text(buf, x[i]));
    }
}


static const char *
color_name(infer_color_t color)
{
    return color == INFER_COLOR_GRAY ? "gray"
           : color == INFER_COLOR_BGR ? "bgr" : "rgb";
}


/* As --preprocess would take it. */
static void
put_preprocess(const infer_preprocess_t *pp)
{
    int  n = pp->color == INFER_COLOR_GRAY ? 1 : 3;

    printf("%-16sresize=%d crop=%d color=%s", "preprocessing", pp->resize,
           pp->crop, color_name(pp->color));
    put_floats("mean", pp->mean, n);
    put_floats("std", pp->std, n);
    printf(" exif=%s\n", pp->exif ? "on" : "off");
}


static void
put_labels(const cli_labels_t *labels)
{
    size_t  i;

    printf("%-16s%zu: ", "labels", labels->n);

    for (i = 0; i < labels->n && i < 5; i++) {
        printf("%s", i ? ", " : "");
        cli_put(stdout, labels->name[i], 0);
    }

    printf("%s\n", i < labels->n ? ", ..." : "");
}


static void
put_format(const facts_t *f)
{
    const infer_summary_t  *sum = &f->sum;

    printf("%-16s%s", "format", sum->format);

    if (sum->opset != 0) {
        printf(", opset %d", sum->opset);
    }

    if (*sum->producer) {
        printf(", by ");
        cli_put(stdout, sum->producer, 0);
    }

    putchar('\n');
}


/* What an .infer file holds, and what it was made of. */
static void
put_file(const facts_t *f)
{
    char             buf[CLI_TEXT_SIZE];
    size_t           i;
    infer_section_t  s;

    for (i = 0; infer_model_section(f->model, i, &s) == 0; i++) {
        printf("%-16s%-20s  %sB\n", i ? "" : "sections",
               infer_section_name(s.kind),
               cli_scaled_text(buf, (double) s.size, 1024));
    }

    if (f->has_source) {
        printf("%-16s", "made of");
        cli_put(stdout, f->source.file, 0);
        printf("\n%-16s", "made by");
        cli_put(stdout, f->source.tool, 0);
        printf("%s", *f->source.options ? " convert " : "");
        cli_put(stdout, f->source.options, 0);
        putchar('\n');
    }
}


static void
put_text(const char *path, const facts_t *f)
{
    char                    buf[CLI_TEXT_SIZE];
    size_t                  i;
    const infer_summary_t  *sum = &f->sum;

    printf("%-16s", "model");
    cli_put(stdout, path, 0);
    putchar('\n');
    put_format(f);
    put_file(f);
    put_ports(f, 0);
    put_ports(f, 1);

    printf("%-16s%llu", "parameters", (unsigned long long) sum->parameters);
    if (sum->parameters >= 1000) {
        printf(" (%s)", cli_scaled_text(buf, (double) sum->parameters, 1000));
    }

    printf("\n%-16s%s", "MACs",
           cli_scaled_text(buf, (double) sum->macs, 1000));
    printf("\n%-16s%sB shared, ", "memory",
           cli_scaled_text(buf, (double) infer_model_size(f->model), 1024));
    printf("%sB per session at batch %zu\n",
           cli_scaled_text(buf, (double) f->session_bytes, 1024), f->batch);

    if (f->is_image) {
        put_preprocess(&f->pp);
    }

    if (f->labels.n > 0) {
        put_labels(&f->labels);
    }

    for (i = 0; i < sum->n_ops; i++) {
        printf("%-16s", i ? "" : "operators");
        cli_put(stdout, sum->ops[i].op, 24);
        printf("  %6llu\n", (unsigned long long) sum->ops[i].count);
    }

    for (i = 0; i < sum->n_warnings; i++) {
        printf("%-16s", "warning");
        cli_put(stdout, sum->warnings[i], 0);
        putchar('\n');
    }
}


/* ---- JSON ------------------------------------------------------------- */

static json_t *
json_ports(const facts_t *f, int outputs)
{
    size_t        i, n;
    json_t       *ports = json_array();
    infer_port_t  port;

    n = outputs ? infer_model_outputs(f->model)
                : infer_model_inputs(f->model);

    for (i = 0; i < n; i++) {
        if (outputs) {
            infer_model_output(f->model, i, &port);
        } else {
            infer_model_input(f->model, i, &port);
        }

        json_array_append_new(ports, json_pack("{s:o, s:s, s:o}",
            "name", cli_json_text(port.name),
            "dtype", infer_dtype_name(port.dtype),
            "shape", cli_json_shape(port.rank, port.dim)));
    }

    return ports;
}


static json_t *
json_preprocess(const infer_preprocess_t *pp)
{
    int      i, n = pp->color == INFER_COLOR_GRAY ? 1 : 3;
    json_t  *mean = json_array(), *std = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(mean, cli_json_float(pp->mean[i]));
        json_array_append_new(std, cli_json_float(pp->std[i]));
    }

    return json_pack("{s:i, s:i, s:s, s:b, s:o, s:o}",
                     "resize", pp->resize, "crop", pp->crop,
                     "color", color_name(pp->color), "exif", pp->exif,
                     "mean", mean, "std", std);
}


/* What an .infer file has besides. */
static void
add_file(json_t *json, const facts_t *f)
{
    size_t           i;
    json_t          *sections = json_array();
    infer_section_t  s;

    for (i = 0; infer_model_section(f->model, i, &s) == 0; i++) {
        json_array_append_new(sections, json_pack("{s:s, s:I}",
            "kind", infer_section_name(s.kind),
            "bytes", (json_int_t) s.size));
    }

    json_object_set_new(json, "sections", sections);

    if (f->has_source) {
        json_object_set_new(json, "source", json_pack("{s:o, s:o, s:o, s:o}",
            "file", cli_json_text(f->source.file),
            "format", cli_json_text(f->source.format),
            "tool", cli_json_text(f->source.tool),
            "options", cli_json_text(f->source.options)));
    }
}


static void
put_json(const facts_t *f)
{
    size_t                  i;
    json_t                 *json, *ops = json_object();
    json_t                 *labels = json_array(), *warnings = json_array();
    infer_section_t         s;
    const infer_summary_t  *sum = &f->sum;

    for (i = 0; i < sum->n_ops; i++) {
        json_object_set_new(ops, sum->ops[i].op,
                            json_integer((json_int_t) sum->ops[i].count));
    }

    for (i = 0; i < f->labels.n; i++) {
        json_array_append_new(labels, cli_json_text(f->labels.name[i]));
    }

    for (i = 0; i < sum->n_warnings; i++) {
        json_array_append_new(warnings, cli_json_text(sum->warnings[i]));
    }

    json = json_pack("{s:s, s:o, s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I, "
                     "s:I, s:o, s:o, s:o}",
        "format", sum->format,
        "producer", cli_json_text(sum->producer),
        "opset", sum->opset,
        "inputs", json_ports(f, 0),
        "outputs", json_ports(f, 1),
        "operators", ops,
        "parameters", (json_int_t) sum->parameters,
        "macs", (json_int_t) sum->macs,
        "model_bytes", (json_int_t) infer_model_size(f->model),
        "session_bytes", (json_int_t) f->session_bytes,
        "session_batch", (json_int_t) f->batch,
        "preprocessing", f->is_image ? json_preprocess(&f->pp) : json_null(),
        "labels", labels,
        "warnings", warnings);

    if (infer_model_find_section(f->model, INFER_SECTION_MODEL, &s) == 0) {
        add_file(json, f);
    }

    cli_json_print(json);
}


/* ---- the command ------------------------------------------------------ */

/* The summary of a graph, and the model built of it. */
static int
open_graph(facts_t *f, const char *path, const infer_load_options_t *load,
    infer_error_t *err)
{
    f->graph = infer_graph_open(path, load, err);
    if (f->graph == NULL) {
        return -1;
    }

    infer_graph_summary(f->graph, &f->sum);
    f->built = cli_model_build(f->graph, err);
    f->model = f->built;

    return f->model == NULL ? -1 : 0;
}


/* An .infer file: its summary is that of its source. */
static int
open_file(facts_t *f, const char *path, const infer_load_options_t *load,
    infer_error_t *err)
{
    size_t             i;
    const char       **warning;
    infer_op_count_t  *op;

    f->mapped = infer_model_load(path, load, err);
    f->model = f->mapped;

    if (f->model == NULL) {
        return -1;
    }

    f->sum.format = "infer";
    f->sum.producer = "";
    f->has_source = infer_model_source(f->model, &f->source) == 0;

    if (!f->has_source) {
        return 0;
    }

    op = cli_alloc(f->source.n_ops + 1, sizeof(*op));
    warning = cli_alloc(f->source.n_warnings + 1, sizeof(*warning));

    for (i = 0; i < f->source.n_ops; i++) {
        infer_model_source_op(f->model, i, &op[i]);
    }

    for (i = 0; i < f->source.n_warnings; i++) {
        warning[i] = infer_model_source_warning(f->model, i);
    }

    f->ops = op;
    f->warnings = warning;

    f->sum = (infer_summary_t) {
        .format = "infer",
        .producer = f->source.producer,
        .opset = f->source.opset,
        .ops = op,
        .n_ops = f->source.n_ops,
        .parameters = f->source.parameters,
        .macs = f->source.macs,
        .warnings = warning,
        .n_warnings = f->source.n_warnings
    };

    return 0;
}


static int
collect(facts_t *f, const char *path, const infer_load_options_t *load,
    infer_error_t *err)
{
    int               is_file;
    infer_error_t     why;
    infer_session_t  *session;

    is_file = infer_file_is_model(path, err);

    if (is_file == -1
        || (is_file ? open_file(f, path, load, err)
                    : open_graph(f, path, load, err)) != 0)
    {
        return -1;
    }

    f->is_image = infer_model_preprocess(f->model, &f->pp, &why) == 0;
    f->batch = cli_model_batch(f->model);
    f->batch = f->batch ? f->batch : 1;

    session = infer_session_create(f->model, f->batch, 1, &why);
    if (session == NULL) {
        return cli_fail(err, "%.200s: %.300s", path, why.text);
    }

    f->session_bytes = infer_session_bytes(session);
    infer_session_free(session);

    return cli_labels(&f->labels, f->model, NULL, err);
}


static void
facts_free(facts_t *f)
{
    cli_labels_free(&f->labels);
    free(f->ops);
    free(f->warnings);
    free(f->built);
    infer_model_free(f->mapped);
    infer_graph_close(f->graph);
}


static int
inspect(const char *path, const cli_load_t *load, int json)
{
    int                    failed;
    facts_t                facts = { 0 };
    infer_error_t          err;
    infer_load_options_t   options;

    if (cli_load_options(load, &options, &err) != 0) {
        return cli_error("%s", err.text);
    }

    failed = collect(&facts, path, &options, &err);

    if (failed) {
        cli_error("%s", err.text);
    } else if (json) {
        put_json(&facts);
    } else {
        put_text(path, &facts);
    }

    facts_free(&facts);
    cli_load_options_free(&options);

    return failed ? CLI_ERROR : CLI_DONE;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int         status, json = 0;
    size_t      n;
    cli_load_t  load = CLI_LOAD_DEFAULTS;

    cli_option_t  options[] = {
        CLI_JSON_OPTION(json),
        CLI_LOAD_OPTIONS(load),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    status = n > 1
             ? cli_error("inspect: one model at a time, what is \"%s\"?",
                         argv[1])
             : inspect(argv[0], &load, json);

    cli_list_free(&load.shapes);

    return status;
}


const cli_command_t  cli_inspect = {
    .name = "inspect",
    .summary = "tell what a model is",
    .usage = "MODEL [--json]",
    .details = "Tells inputs, outputs, operators, parameters, multiply-adds "
               "(MACs), memory,\npreprocessing, labels and warnings of a "
               "model.\n",
    .examples = "infer inspect model.onnx\n"
                "infer inspect model.onnx --input-shape Nx3x224x224\n"
                "infer inspect model.onnx --json | jq .operators\n",
    .min_operands = 1,
    .operands = "the MODEL is",
    .main = command
};
