/*
 * What importers share: inputs and outputs of the graph, and warnings.
 */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/import.h"


#define MAX_WARNINGS  16


static infer_value_t *channels_first(infer_graph_t *g, const char *name,
    infer_value_t *x);
static void fill_port(infer_port_t *port, const char *name,
    infer_dtype_t dtype, int rank, const infer_dim_t *dim);


int
infer_shape_parse(const char *text, infer_input_shape_t *shape)
{
    char           word[16], *end;
    size_t         len;
    unsigned long  n;

    for (shape->rank = 0; shape->rank < INFER_MAX_RANK; text += len + 1) {
        len = strcspn(text, "x");

        if (len == 0 || len >= sizeof(word)) {
            return -1;
        }

        memcpy(word, text, len);
        word[len] = '\0';

        if (strcmp(word, "N") == 0 || strcmp(word, "-1") == 0
            || strcmp(word, "batch") == 0)
        {
            shape->dim[shape->rank++] = INFER_BATCH;

        } else {
            n = strtoul(word, &end, 10);

            if (!isdigit((unsigned char) word[0]) || *end != '\0'
                || n > INT32_MAX)
            {
                return -1;
            }

            shape->dim[shape->rank++] = (int64_t) n;
        }

        if (text[len] == '\0') {
            return 0;
        }
    }

    return -1;
}


int
infer_import_check_shapes(infer_graph_t *g,
    const infer_load_options_t *options, const char *const *input, size_t n)
{
    size_t       k;
    const char  *name;

    for (size_t i = 0; i < options->n_shapes; i++) {
        name = options->shapes[i].name;

        if (name[0] == '\0') {
            if (n == 1) {
                continue;
            }

            return infer_graph_fail(g, "the model has %zu inputs: say which "
                                    "one the shape is for", n);
        }

        for (k = 0; k < n && strcmp(input[k], name) != 0; k++) {
            /* void */
        }

        if (k == n) {
            return infer_graph_fail(g, "no input has the name \"%.120s\"",
                                    name);
        }
    }

    return 0;
}


const infer_input_shape_t *
infer_import_shape(const infer_load_options_t *options, const char *name)
{
    for (size_t i = 0; i < options->n_shapes; i++) {
        if (options->shapes[i].name[0] == '\0'
            || strcmp(options->shapes[i].name, name) == 0)
        {
            return &options->shapes[i];
        }
    }

    return NULL;
}


/*
 * A float tensor of rank 4 may be an image: its value is channels-last, so
 * that pixels can be written as they come.
 */
infer_value_t *
infer_import_input(infer_graph_t *g, infer_graph_port_t *in, const char *name,
    infer_dtype_t dtype, int rank, const infer_dim_t *dim)
{
    infer_dim_t  nhwc[4];

    in->nchw = rank == 4 && dtype == INFER_F32;
    fill_port(&in->port, name, dtype, rank, dim);

    if (!in->nchw) {
        in->value = infer_graph_value(g, name, dtype, rank, dim);
        return in->value;
    }

    nhwc[0] = dim[0];
    nhwc[1] = dim[2];
    nhwc[2] = dim[3];
    nhwc[3] = dim[1];

    in->value = infer_graph_value(g, name, dtype, rank, nhwc);

    return in->value != NULL ? channels_first(g, name, in->value) : NULL;
}


static infer_value_t *
channels_first(infer_graph_t *g, const char *name, infer_value_t *x)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    p.transpose.perm[1] = 3;
    p.transpose.perm[2] = 1;
    p.transpose.perm[3] = 2;

    return infer_graph_emit1(g, INFER_OP_TRANSPOSE, &p, name, &x, 1);
}


void
infer_import_output(infer_graph_port_t *out, const char *name,
    infer_value_t *v)
{
    out->value = v;
    fill_port(&out->port, name, v->dtype, v->rank, v->dim);
}


static void
fill_port(infer_port_t *port, const char *name, infer_dtype_t dtype,
    int rank, const infer_dim_t *dim)
{
    port->name = name;
    port->dtype = dtype;
    port->rank = rank;

    for (int i = 0; i < rank; i++) {
        port->dim[i] = dim[i].batch != 0 ? INFER_BATCH : dim[i].base;
    }
}


int
infer_import_warn(infer_graph_t *g, const char *fmt, ...)
{
    char          text[256];
    va_list       args;
    const char  **list;

    if (g->summary.n_warnings == MAX_WARNINGS) {
        return 0;
    }

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    list = (const char **) g->summary.warnings;

    if (list == NULL) {
        list = infer_graph_alloc(g, MAX_WARNINGS * sizeof(char *));
        if (list == NULL) {
            return -1;
        }
    }

    list[g->summary.n_warnings] = infer_graph_strdup(g, text, strlen(text));
    if (list[g->summary.n_warnings] == NULL) {
        return -1;
    }

    g->summary.n_warnings++;
    g->summary.warnings = list;

    return 0;
}
