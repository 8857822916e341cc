/*
 * Who defines a name: one sorted table, so that a duplicate is a neighbour and
 * a lookup costs a binary search whatever the names are.
 */

#include <stdlib.h>
#include <string.h>

#include "import/onnx/onnx.h"


static int index_messages(onnx_t *o, uint32_t field, onnx_origin_t origin);
static int index_name(onnx_t *o, const char *name, onnx_origin_t origin,
    size_t i);
static int compare_names(const void *a, const void *b);


int
onnx_index_names(onnx_t *o)
{
    size_t         n;
    onnx_name_t   *name;
    onnx_field_t   f;
    onnx_reader_t  reader;

    reader = o->graph;

    while (onnx_next(&reader, &f) == 1) {
        o->n_sparse += f.number == 15 && f.wire == ONNX_WIRE_BYTES;
    }

    n = o->n_initializers + o->n_sparse + o->n_inputs;

    for (size_t i = 0; i < o->n_nodes; i++) {
        n += (size_t) o->node[i].n_out;
    }

    o->name = infer_graph_alloc(o->g, n * sizeof(onnx_name_t));
    if (o->name == NULL) {
        return -1;
    }

    if (index_messages(o, 5, ONNX_INITIALIZER) != 0
        || index_messages(o, 15, ONNX_SPARSE) != 0)
    {
        return -1;
    }

    for (size_t i = 0; i < o->n_inputs; i++) {
        if (index_name(o, o->input[i].name, ONNX_INPUT, i) != 0) {
            return -1;
        }
    }

    for (size_t i = 0; i < o->n_nodes; i++) {
        for (int k = 0; k < o->node[i].n_out; k++) {
            if (o->node[i].out_name[k][0] != '\0'
                && index_name(o, o->node[i].out_name[k], ONNX_RESULT, i) != 0)
            {
                return -1;
            }
        }
    }

    qsort(o->name, o->n_names, sizeof(onnx_name_t), compare_names);

    for (size_t i = 1; i < o->n_names; i++) {
        name = &o->name[i];

        if (strcmp(name[-1].name, name->name) == 0
            && (name->origin != ONNX_INPUT || name[-1].origin > ONNX_SPARSE))
        {
            return infer_graph_fail(o->g, "\"%.120s\" is defined twice",
                                    name->name);
        }
    }

    return 0;
}


static int
index_messages(onnx_t *o, uint32_t field, onnx_origin_t origin)
{
    int            rc;
    size_t         i;
    const char    *name;
    onnx_field_t   f;
    onnx_bytes_t   tensor, bytes;
    onnx_reader_t  reader;

    reader = o->graph;
    i = 0;

    while (onnx_next(&reader, &f) == 1) {
        if (f.number != field || f.wire != ONNX_WIRE_BYTES) {
            continue;
        }

        /* SparseTensorProto bears the name of its values. */
        tensor = f.bytes;
        rc = origin == ONNX_SPARSE ? onnx_submessage(f.bytes, 1, &tensor) : 0;

        if (rc != 0 || onnx_submessage(tensor, 8, &bytes) != 0) {
            return onnx_malformed(o, "initializer");
        }

        name = onnx_text(o, bytes);
        if (name == NULL || index_name(o, name, origin, i++) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
index_name(onnx_t *o, const char *name, onnx_origin_t origin, size_t i)
{
    if (name[0] == '\0') {
        return infer_graph_fail(o->g, "an input or initializer has no name");
    }

    o->name[o->n_names].name = name;
    o->name[o->n_names].origin = origin;
    o->name[o->n_names++].index = i;

    return 0;
}


static int
compare_names(const void *a, const void *b)
{
    int                 order;
    const onnx_name_t  *x = a, *y = b;

    order = strcmp(x->name, y->name);

    return order != 0 ? order : (int) x->origin - (int) y->origin;
}


onnx_name_t *
onnx_find(const onnx_t *o, const char *name)
{
    int     order;
    size_t  low, high, middle;

    low = 0;
    high = o->n_names;

    /* The first of equal names: an initializer goes before its input. */
    while (low < high) {
        middle = low + (high - low) / 2;
        order = strcmp(o->name[middle].name, name);

        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    if (low == o->n_names || strcmp(o->name[low].name, name) != 0) {
        return NULL;
    }

    return &o->name[low];
}
