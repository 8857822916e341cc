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
    infer_model_t        *model;
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
put_text(const char *path, const facts_t *f)
{
    char                    buf[CLI_TEXT_SIZE];
    size_t                  i;
    const infer_summary_t  *sum = &f->sum;

    printf("%-16s", "model");
    cli_put(stdout, path, 0);
    printf("\n%-16s%s, opset %d", "format", sum->format, sum->opset);

    if (*sum->producer) {
        printf(", by ");
        cli_put(stdout, sum->producer, 0);
    }

    putchar('\n');
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


static void
put_json(const facts_t *f)
{
    size_t                  i;
    json_t                 *json, *ops = json_object();
    json_t                 *labels = json_array(), *warnings = json_array();
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

    cli_json_print(json);
}


/* ---- the command ------------------------------------------------------ */

static int
collect(facts_t *f, const char *path, const infer_graph_t *graph,
    infer_error_t *err)
{
    infer_error_t     why;
    infer_session_t  *session;

    infer_graph_summary(graph, &f->sum);

    f->model = cli_model_build(graph, err);
    if (f->model == NULL) {
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


static int
inspect(const char *path, const cli_load_t *load, int json)
{
    int                    failed = 1;
    facts_t                facts = { 0 };
    infer_error_t          err;
    infer_graph_t         *graph;
    infer_load_options_t   options;

    if (cli_load_options(load, &options, &err) != 0) {
        return cli_error("%s", err.text);
    }

    graph = infer_graph_open(path, &options, &err);

    if (graph != NULL) {
        failed = collect(&facts, path, graph, &err);
    }

    if (failed) {
        cli_error("%s", err.text);
    } else if (json) {
        put_json(&facts);
    } else {
        put_text(path, &facts);
    }

    cli_labels_free(&facts.labels);
    free(facts.model);
    infer_graph_close(graph);
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
