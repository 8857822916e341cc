/*
 * Inputs and outputs of the graph: reading their declarations, giving each
 * input a value, and telling the graph what its outputs are.
 */

#include <string.h>

#include "import/onnx/onnx.h"


/* More than any model has: their shapes are held against each other. */
#define MAX_PORTS  1024


static int check_shapes(onnx_t *o, size_t n);
static int add_input(onnx_t *o, const onnx_port_t *port, onnx_name_t *def);
static int input_shape(onnx_t *o, const onnx_port_t *port, infer_dim_t *dim,
    int *rank);
static int open_dim(onnx_t *o, const onnx_port_t *port, int i, int64_t given,
    infer_dim_t *dim);
static int named_dim(const onnx_t *o, const char *param, infer_dim_t *dim);
static int compare_output(onnx_t *o, const onnx_port_t *declared,
    const infer_value_t *v);
static int read_shape(onnx_t *o, onnx_bytes_t message, onnx_port_t *port);
static int read_dim(onnx_t *o, onnx_bytes_t message, onnx_dim_t *dim);


/* ValueInfoProto, TypeProto and TypeProto.Tensor */
int
onnx_read_port(onnx_t *o, onnx_bytes_t message, onnx_port_t *port)
{
    int           rc;
    onnx_field_t  f;
    onnx_bytes_t  name, type, tensor;

    port->rank = -1;

    if (onnx_submessage(message, 1, &name) != 0
        || onnx_submessage(message, 2, &type) != 0
        || onnx_submessage(type, 1, &tensor) != 0)
    {
        return onnx_malformed(o, "input or output");
    }

    port->name = onnx_text(o, name);
    if (port->name == NULL) {
        return -1;
    }

    while ((rc = onnx_next(&tensor, &f)) == 1) {

        if (f.number == 1 && f.wire == ONNX_WIRE_VARINT) {
            port->type = f.value > INT32_MAX ? INT32_MAX : (int32_t) f.value;

        } else if (f.number == 2 && f.wire == ONNX_WIRE_BYTES
                   && read_shape(o, f.bytes, port) != 0)
        {
            return -1;
        }
    }

    return rc == 0 ? 0 : onnx_malformed(o, "input or output");
}


/* TensorShapeProto */
static int
read_shape(onnx_t *o, onnx_bytes_t message, onnx_port_t *port)
{
    int           rc;
    onnx_field_t  f;

    port->rank = 0;

    while ((rc = onnx_next(&message, &f)) == 1) {
        if (f.number != 1 || f.wire != ONNX_WIRE_BYTES) {
            continue;
        }

        if (port->rank == INFER_MAX_RANK) {
            return infer_graph_fail(o->g, "\"%.120s\" has more than %d "
                                    "dimensions", port->name, INFER_MAX_RANK);
        }

        if (read_dim(o, f.bytes, &port->dim[port->rank++]) != 0) {
            return -1;
        }
    }

    return rc == 0 ? 0 : onnx_malformed(o, "shape");
}


/* TensorShapeProto.Dimension.  Some exporters write -1 for an open one. */
static int
read_dim(onnx_t *o, onnx_bytes_t message, onnx_dim_t *dim)
{
    int           rc;
    onnx_field_t  f;

    dim->value = -1;

    while ((rc = onnx_next(&message, &f)) == 1) {

        if (f.number == 1 && f.wire == ONNX_WIRE_VARINT) {
            dim->value = (int64_t) f.value;

        } else if (f.number == 2 && f.wire == ONNX_WIRE_BYTES
                   && f.bytes.len != 0)
        {
            dim->param = onnx_text(o, f.bytes);
            if (dim->param == NULL) {
                return -1;
            }
        }
    }

    if (rc != 0 || dim->value < -1 || dim->value > INT32_MAX) {
        return onnx_malformed(o, "dimension");
    }

    return 0;
}


int
onnx_import_inputs(onnx_t *o)
{
    size_t        n;
    onnx_name_t  *def;

    n = 0;

    for (size_t i = 0; i < o->n_inputs; i++) {
        n += onnx_find(o, o->input[i].name)->origin == ONNX_INPUT;
    }

    if (n > MAX_PORTS || o->n_outputs > MAX_PORTS) {
        return infer_graph_fail(o->g, "more than %d inputs or outputs",
                                MAX_PORTS);
    }

    if (check_shapes(o, n) != 0) {
        return -1;
    }

    o->g->input = infer_graph_alloc(o->g, n * sizeof(infer_graph_port_t));
    if (o->g->input == NULL) {
        return -1;
    }

    for (size_t i = 0; i < o->n_inputs; i++) {
        def = onnx_find(o, o->input[i].name);

        if (def->origin == ONNX_INPUT
            && add_input(o, &o->input[i], def) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
check_shapes(onnx_t *o, size_t n)
{
    const char  **name;

    name = infer_graph_alloc(o->g, (n + 1) * sizeof(*name));
    if (name == NULL) {
        return -1;
    }

    n = 0;

    for (size_t i = 0; i < o->n_inputs; i++) {
        if (onnx_find(o, o->input[i].name)->origin == ONNX_INPUT) {
            name[n++] = o->input[i].name;
        }
    }

    return infer_import_check_shapes(o->g, o->options, name, n);
}


static int
add_input(onnx_t *o, const onnx_port_t *port, onnx_name_t *def)
{
    int                  rank;
    infer_dim_t          dim[INFER_MAX_RANK];
    infer_dtype_t        dtype;
    infer_graph_port_t  *in;

    if (onnx_dtype(port->type, &dtype) != 0) {
        return infer_graph_fail(o->g, "input \"%.120s\" is no tensor of a "
                                "supported type", port->name);
    }

    if (input_shape(o, port, dim, &rank) != 0) {
        return -1;
    }

    in = &o->g->input[o->g->n_inputs++];
    def->value = infer_import_input(o->g, in, port->name, dtype, rank, dim);

    return def->value == NULL ? -1 : 0;
}


/* The declared shape, with what the caller and the batch size say about what
   it leaves open. */
static int
input_shape(onnx_t *o, const onnx_port_t *port, infer_dim_t *dim, int *rank)
{
    int64_t                     n;
    const infer_input_shape_t  *given;

    given = infer_import_shape(o->options, port->name);
    *rank = port->rank != -1 ? port->rank : given != NULL ? given->rank : -1;

    if (*rank == -1) {
        return infer_graph_fail(o->g, "input \"%.120s\" has no shape: give it "
                                "one (--input-shape %.120s=1x3x224x224)",
                                port->name, port->name);
    }

    if (given != NULL && given->rank != *rank) {
        return infer_graph_fail(o->g, "input \"%.120s\" has %d dimensions, "
                                "not %d", port->name, *rank, given->rank);
    }

    for (int i = 0; i < *rank; i++) {
        n = port->rank == -1 ? -1 : port->dim[i].value;

        if (n == -1) {
            if (open_dim(o, port, i, given != NULL ? given->dim[i] : 0,
                         &dim[i]) != 0)
            {
                return -1;
            }

            continue;
        }

        if (given != NULL && given->dim[i] != n) {
            return infer_graph_fail(o->g, "dimension %d of input \"%.120s\" "
                                    "is %lld, not %lld", i, port->name,
                                    (long long) n, (long long) given->dim[i]);
        }

        dim[i] = infer_dim(n);
    }

    return 0;
}


/* given: a size, INFER_BATCH for the first dimension, or 0 for none. */
static int
open_dim(onnx_t *o, const onnx_port_t *port, int i, int64_t given,
    infer_dim_t *dim)
{
    const char  *param;

    param = port->rank == -1 ? NULL : port->dim[i].param;

    if (given > 0 && given <= INT32_MAX) {
        *dim = infer_dim(given);
        return 0;
    }

    if (given != 0 && (given != INFER_BATCH || i != 0)) {
        return infer_graph_fail(o->g, "dimension %d of input \"%.120s\" cannot "
                                "be %lld", i, port->name, (long long) given);
    }

    if (param != NULL && given == 0 && named_dim(o, param, dim) == 0) {
        return 0;
    }

    if (i == 0) {
        *dim = (infer_dim_t) { 0, 1 };
        return 0;
    }

    return infer_graph_fail(o->g, "dimension %d%s%.40s%s of input \"%.120s\" "
                            "is open: give its shape (--input-shape "
                            "%.120s=1x3x224x224)", i,
                            param != NULL ? " (" : "",
                            param != NULL ? param : "",
                            param != NULL ? ")" : "", port->name, port->name);
}


/*
 * What the dimension of that name is elsewhere: a size given by the caller, or
 * the batch where it is the first of an input.
 */
static int
named_dim(const onnx_t *o, const char *param, infer_dim_t *dim)
{
    int                         batch;
    const onnx_port_t          *port;
    const infer_input_shape_t  *given;

    batch = 0;

    for (size_t i = 0; i < o->n_inputs; i++) {
        port = &o->input[i];
        given = infer_import_shape(o->options, port->name);

        for (int d = 0; d < port->rank; d++) {
            if (port->dim[d].param == NULL
                || strcmp(port->dim[d].param, param) != 0)
            {
                continue;
            }

            if (given != NULL && d < given->rank && given->dim[d] > 0
                && given->dim[d] <= INT32_MAX)
            {
                *dim = infer_dim(given->dim[d]);
                return 0;
            }

            batch |= d == 0;
        }
    }

    *dim = (infer_dim_t) { 0, 1 };

    return batch ? 0 : -1;
}


int
onnx_import_outputs(onnx_t *o)
{
    onnx_name_t         *def;
    const onnx_port_t   *port;
    infer_graph_port_t  *out;

    o->g->output = infer_graph_alloc(o->g, o->n_outputs
                                           * sizeof(infer_graph_port_t));
    if (o->g->output == NULL) {
        return -1;
    }

    for (size_t i = 0; i < o->n_outputs; i++) {
        port = &o->output[i];
        def = onnx_find(o, port->name);
        out = &o->g->output[o->g->n_outputs++];
        out->value = def == NULL ? NULL : onnx_value(o, def);

        if (def == NULL) {
            return infer_graph_fail(o->g, "output \"%.120s\" is not computed "
                                    "by any node", port->name);
        }

        if (out->value == NULL) {
            return -1;
        }

        infer_import_output(out, port->name, out->value);

        if (compare_output(o, port, out->value) != 0) {
            return -1;
        }
    }

    return 0;
}


/* A file that contradicts itself still runs; it is worth a warning. */
static int
compare_output(onnx_t *o, const onnx_port_t *declared, const infer_value_t *v)
{
    int            same;
    infer_dtype_t  dtype;

    same = (onnx_dtype(declared->type, &dtype) != 0 || dtype == v->dtype)
           && (declared->rank == -1 || declared->rank == v->rank);

    for (int i = 0; same && i < declared->rank; i++) {
        same = declared->dim[i].value == -1 || v->dim[i].batch != 0
               || declared->dim[i].value == v->dim[i].base;
    }

    return same ? 0
           : infer_import_warn(o->g, "output \"%s\" is not what the file "
                               "declares", declared->name);
}
