/*
 * Opening a model as the options say.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/model.h"


/* ---- shapes ----------------------------------------------------------- */

int
cli_load_options(const cli_load_t *load, infer_load_options_t *options,
    infer_error_t *err)
{
    char                 *name;
    size_t                i;
    const char           *text, *equals;
    infer_input_shape_t  *shapes;

    shapes = cli_alloc(load->shapes.n, sizeof(infer_input_shape_t));

    *options = (infer_load_options_t) {
        .shapes = shapes,
        .winograd_budget = load->winograd_budget
    };

    for (i = 0; i < load->shapes.n; i++) {
        text = load->shapes.item[i];
        equals = strrchr(text, '=');

        /* the name, or "" where there is none */
        name = cli_strdup(text);
        name[equals ? equals - text : 0] = '\0';
        shapes[i].name = name;
        options->n_shapes = i + 1;

        if (infer_shape_parse(equals ? equals + 1 : text, &shapes[i]) != 0) {
            cli_fail(err, "--input-shape: \"%s\" is no shape such as "
                     "1x3x224x224, Nx3x224x224 or input=Nx3x224x224", text);
            cli_load_options_free(options);
            return -1;
        }
    }

    return 0;
}


void
cli_load_options_free(infer_load_options_t *options)
{
    size_t  i;

    for (i = 0; i < options->n_shapes; i++) {
        free((char *) options->shapes[i].name);
    }

    free((void *) options->shapes);
}


/* ---- models ----------------------------------------------------------- */

infer_model_t *
cli_model_load(const char *path, const cli_load_t *load,
    const infer_named_tensor_t *known, size_t n, infer_error_t *err)
{
    infer_model_t         *model;
    infer_load_options_t   options;

    if (cli_load_options(load, &options, err) != 0) {
        return NULL;
    }

    options.known = known;
    options.n_known = n;

    model = infer_model_load(path, &options, err);
    cli_load_options_free(&options);

    return model;
}


infer_model_t *
cli_model_build(const infer_graph_t *graph, infer_error_t *err)
{
    void           *mem;
    size_t          size;
    infer_model_t  *model;

    size = infer_graph_model_size(graph);

    if (posix_memalign(&mem, 64, size) != 0) {
        cli_fail(err, "out of memory (%zu bytes)", size);
        return NULL;
    }

    model = infer_model_build(graph, mem, err);
    if (model == NULL) {
        free(mem);
    }

    return model;
}


size_t
cli_model_batch(const infer_model_t *model)
{
    int           k, output;
    size_t        i, n, fixed = 1;
    infer_port_t  port;

    for (output = 0; output < 2; output++) {
        n = output ? infer_model_outputs(model) : infer_model_inputs(model);

        for (i = 0; i < n; i++) {
            if (output) {
                infer_model_output(model, i, &port);
            } else {
                infer_model_input(model, i, &port);
            }

            for (k = 0; k < port.rank; k++) {
                if (port.dim[k] == INFER_BATCH) {
                    return 0;
                }
            }

            if (!output && i == 0 && port.rank > 0 && port.dim[0] > 0) {
                fixed = (size_t) port.dim[0];
            }
        }
    }

    return fixed;
}


/* ---- labels ----------------------------------------------------------- */

/* Cuts text into its lines, without what is empty at its end. */
static size_t
lines(char *text, const char **line)
{
    size_t  len, n = 0;

    len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1])) {
        text[--len] = '\0';
    }

    while (*text) {
        len = strcspn(text, "\n");

        if (line != NULL) {
            line[n] = text;

            if (len > 0 && text[len - 1] == '\r') {
                text[len - 1] = '\0';
            }

            if (text[len]) {
                text[len++] = '\0';
            }

        } else {
            len += text[len] == '\n';
        }

        n++;
        text += len;
    }

    return n;
}


int
cli_labels_read(cli_labels_t *labels, const char *path, infer_error_t *err)
{
    char    *text;
    size_t   size;

    if (cli_read_file(path, &text, &size, err) != 0) {
        return -1;
    }

    labels->name = cli_alloc(lines(text, NULL) + 1, sizeof(char *));
    labels->n = lines(text, labels->name);
    labels->text = text;

    return 0;
}


static int
labels_of_file(cli_labels_t *labels, size_t classes, const char *path,
    infer_error_t *err)
{
    size_t  n;

    if (cli_labels_read(labels, path, err) != 0) {
        return -1;
    }

    n = labels->n;

    if (n != classes) {
        cli_labels_free(labels);
        return cli_fail(err, "%s: %zu labels for a model of %zu classes",
                        path, n, classes);
    }

    return 0;
}


int
cli_labels(cli_labels_t *labels, const infer_model_t *model,
    const char *path, infer_error_t *err)
{
    size_t  i, classes = infer_model_classes(model);

    labels->name = NULL;
    labels->n = 0;
    labels->text = NULL;

    if (path != NULL) {
        return labels_of_file(labels, classes, path, err);
    }

    if (classes == 0 || infer_model_label(model, 0) == NULL) {
        return 0;
    }

    labels->name = cli_alloc(classes, sizeof(char *));
    labels->n = classes;

    for (i = 0; i < classes; i++) {
        labels->name[i] = infer_model_label(model, i);

        if (labels->name[i] == NULL) {
            cli_labels_free(labels);
            return 0;
        }
    }

    return 0;
}


void
cli_labels_free(cli_labels_t *labels)
{
    free(labels->name);
    free(labels->text);
    labels->name = NULL;
    labels->text = NULL;
    labels->n = 0;
}


/* ---- preprocessing ---------------------------------------------------- */

int
cli_preprocess(infer_preprocess_t *pp, const infer_model_t *model,
    const char *path, const char *spec, infer_error_t *err)
{
    infer_error_t  why;

    if (infer_model_preprocess(model, pp, &why) != 0) {
        return cli_fail(err, "%s: %.400s", path, why.text);
    }

    if (spec == NULL) {
        return 0;
    }

    if (infer_preprocess_parse(pp, spec, &why) != 0) {
        return cli_fail(err, "--preprocess: %.400s", why.text);
    }

    if (infer_model_check_preprocess(model, pp, &why) != 0) {
        return cli_fail(err, "%s: %.400s", path, why.text);
    }

    return 0;
}
