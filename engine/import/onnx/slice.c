/*
 * Operators that take tensors apart and put them together.
 */

#include <string.h>

#include "import/onnx/onnx.h"


/* The bounds of a Slice as they are given. */
typedef struct {
    int          n;
    infer_dim_t  start[INFER_MAX_RANK];
    infer_dim_t  end[INFER_MAX_RANK];
    int64_t      axis[INFER_MAX_RANK];
    int64_t      step[INFER_MAX_RANK];
} bounds_t;


static int split_sizes(onnx_t *o, onnx_node_t *node, infer_dim_t dim,
    infer_dim_t *size);
static int given_sizes(onnx_t *o, onnx_node_t *node, infer_dim_t *size);
static int slice_attributes(onnx_t *o, onnx_node_t *node, bounds_t *b);
static int slice_operands(onnx_t *o, onnx_node_t *node, bounds_t *b);


int
onnx_op_concat(onnx_t *o, onnx_node_t *node)
{
    int64_t        axis;
    infer_param_t  p;

    axis = 0;

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == NULL) {
            return onnx_fail(o, node, "operand %d is missing", i);
        }
    }

    if (onnx_attr(node, "axis") == NULL) {
        return onnx_fail(o, node, "attribute \"axis\" is missing");
    }

    memset(&p, 0, sizeof(p));

    if (onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    p.axis.axis = onnx_axis(o, node, axis, node->in[0]->rank);
    if (p.axis.axis < 0) {
        return -1;
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_CONCAT, &p, node->in,
                                       node->n_in));
}


int
onnx_op_split(onnx_t *o, onnx_node_t *node)
{
    int             k;
    int64_t         axis;
    infer_dim_t    *size, at;
    infer_param_t   p;
    infer_value_t  *x;

    x = node->in[0];
    axis = 0;
    at = infer_dim(0);
    size = infer_graph_alloc(o->g, (size_t) node->n_out * sizeof(*size));

    if (size == NULL || onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    k = onnx_axis(o, node, axis, x->rank);

    if (k < 0 || split_sizes(o, node, x->dim[k], size) != 0) {
        return -1;
    }

    memset(&p, 0, sizeof(p));
    infer_slice_all(&p, x);

    for (int i = 0; i < node->n_out; i++) {
        p.slice.start[k] = at;
        p.slice.count[k] = size[i];
        at.base += size[i].base;
        at.batch += size[i].batch;

        if (node->out_name[i][0] != '\0') {
            node->out[i] = onnx_emit(o, node, INFER_OP_SLICE, &p, &x, 1);
            if (node->out[i] == NULL) {
                return -1;
            }
        }
    }

    return 0;
}


static int
split_sizes(onnx_t *o, onnx_node_t *node, infer_dim_t dim, infer_dim_t *size)
{
    int      n;
    int64_t  parts, part;

    n = node->n_out;
    parts = n;

    if (o->opset < 13 ? onnx_attr(node, "split") != NULL : onnx_has(node, 1)) {
        if (given_sizes(o, node, size) != 0) {
            return -1;
        }

        for (int i = 0; i < n; i++) {
            dim.base -= size[i].base;
        }

        return infer_dim_is(dim, 0) ? 0
               : onnx_fail(o, node, "the parts do not make up the whole");
    }

    if (onnx_attr_int(o, node, "num_outputs", &parts) != 0) {
        return -1;
    }

    if (parts != n) {
        return onnx_fail(o, node, "has %d outputs, not %lld", n,
                         (long long) parts);
    }

    if (dim.base % n == 0 && dim.batch % n == 0) {
        for (int i = 0; i < n; i++) {
            size[i].base = dim.base / n;
            size[i].batch = dim.batch / n;
        }

        return 0;
    }

    /* Only since opset 18 the last part may be smaller. */
    if (o->opset < 18 || dim.batch != 0) {
        return onnx_fail(o, node, "cannot be split into %d equal parts", n);
    }

    part = (dim.base + n - 1) / n;

    for (int i = 0; i < n; i++) {
        size[i] = infer_dim(part < dim.base ? part : dim.base);
        dim.base -= size[i].base;
    }

    return 0;
}


/* The list may be as long as there are outputs. */
static int
given_sizes(onnx_t *o, onnx_node_t *node, infer_dim_t *size)
{
    int64_t    n;
    uint64_t  *list;

    if (o->opset < 13) {
        n = onnx_attr_list(o, node, "split", ONNX_ATTR_INTS, &list);

        for (int64_t i = 0; i < n && i < node->n_out; i++) {
            size[i] = infer_dim((int64_t) list[i]);
        }

    } else {
        n = onnx_const_dims(o, node, 1, "split", size, node->n_out);
    }

    if (n < 0) {
        return -1;
    }

    if (n != node->n_out) {
        return onnx_fail(o, node, "has %d outputs and %lld sizes",
                         node->n_out, (long long) n);
    }

    for (int i = 0; i < node->n_out; i++) {
        if (size[i].batch != 0 || size[i].base < 0
            || size[i].base > INT32_MAX)
        {
            return onnx_fail(o, node, "the size of a part is out of range");
        }
    }

    return 0;
}


int
onnx_op_slice(onnx_t *o, onnx_node_t *node)
{
    int             k, seen;
    bounds_t        b;
    infer_param_t   p;
    infer_value_t  *x;

    x = node->in[0];
    seen = 0;

    for (int i = 0; i < INFER_MAX_RANK; i++) {
        b.axis[i] = i;
        b.step[i] = 1;
    }

    if ((o->opset < 10 ? slice_attributes(o, node, &b)
                       : slice_operands(o, node, &b)) != 0)
    {
        return -1;
    }

    memset(&p, 0, sizeof(p));
    infer_slice_all(&p, x);

    for (int i = 0; i < b.n; i++) {
        k = onnx_axis(o, node, b.axis[i], x->rank);
        if (k < 0) {
            return -1;
        }

        if (b.step[i] == 0 || b.step[i] == INT64_MIN || (seen >> k) & 1) {
            return onnx_fail(o, node, (seen >> k) & 1 ? "an axis occurs twice"
                             : "a step is out of range");
        }

        seen |= 1 << k;
        p.slice.step[k] = b.step[i];

        if (infer_slice_dim(x->dim[k], b.start[i], b.end[i], b.step[i],
                            &p.slice.start[k], &p.slice.count[k]) != 0)
        {
            return onnx_fail(o, node, "the slice of dimension %d does not "
                             "follow the batch size linearly", k);
        }
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_SLICE, &p, &x, 1));
}


static int
slice_attributes(onnx_t *o, onnx_node_t *node, bounds_t *b)
{
    int      n;
    int64_t  start[INFER_MAX_RANK], end[INFER_MAX_RANK];

    b->n = n = -1;

    if (onnx_attr_ints(o, node, "starts", start, INFER_MAX_RANK, &b->n) != 0
        || onnx_attr_ints(o, node, "ends", end, INFER_MAX_RANK, &n) != 0)
    {
        return -1;
    }

    if (n < 0 || n != b->n) {
        return onnx_fail(o, node, "attributes \"starts\" and \"ends\" do not "
                         "match");
    }

    if (onnx_attr_ints(o, node, "axes", b->axis, INFER_MAX_RANK, &n) != 0) {
        return -1;
    }

    if (n != b->n) {
        return onnx_fail(o, node, "attributes \"starts\" and \"axes\" do not "
                         "match");
    }

    for (int i = 0; i < n; i++) {
        b->start[i] = infer_dim(start[i]);
        b->end[i] = infer_dim(end[i]);
    }

    return 0;
}


static int
slice_operands(onnx_t *o, onnx_node_t *node, bounds_t *b)
{
    int  n;

    b->n = onnx_const_dims(o, node, 1, "starts", b->start, INFER_MAX_RANK);
    if (b->n < 0) {
        return -1;
    }

    n = onnx_const_dims(o, node, 2, "ends", b->end, INFER_MAX_RANK);

    if (n == b->n && onnx_has(node, 3)) {
        n = onnx_const_ints(o, node, 3, "axes", b->axis, INFER_MAX_RANK);
    }

    if (n == b->n && onnx_has(node, 4)) {
        n = onnx_const_ints(o, node, 4, "steps", b->step, INFER_MAX_RANK);
    }

    if (n < 0) {
        return -1;
    }

    return n == b->n ? 0
           : onnx_fail(o, node, "the lists of its bounds have different "
                       "lengths");
}


int
onnx_op_gather(onnx_t *o, onnx_node_t *node)
{
    int64_t        axis;
    infer_param_t  p;

    axis = 0;
    memset(&p, 0, sizeof(p));

    if (onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    p.axis.axis = onnx_axis(o, node, axis, node->in[0]->rank);
    if (p.axis.axis < 0) {
        return -1;
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_GATHER, &p, node->in,
                                       2));
}


/* pads: those before each axis, then those behind. */
int
onnx_op_pad(onnx_t *o, onnx_node_t *node)
{
    int                       n, n_axes;
    float                     value;
    int64_t                   pad[2 * INFER_MAX_RANK], axis[INFER_MAX_RANK];
    infer_param_t             p;
    infer_value_t            *x;
    static const char *const  choice[] = {
        "constant", "reflect", "edge", NULL
    };

    x = node->in[0];
    value = 0;
    n_axes = -1;
    memset(&p, 0, sizeof(p));

    if (onnx_attr_choice(o, node, "mode", choice, &p.pad.mode) != 0
        || onnx_attr_float(o, node, "value", &value) != 0
        || onnx_list(o, node, "pads", 1, 11, pad, 2 * INFER_MAX_RANK, &n)
           != 0)
    {
        return -1;
    }

    p.pad.value = value;

    if (onnx_has(node, 2)
        && onnx_const_number(o, node, 2, "constant_value", &p.pad.value) != 0)
    {
        return -1;
    }

    if (onnx_has(node, 3)
        && onnx_axes(o, node, 3, 18, x->rank, axis, &n_axes) != 0)
    {
        return -1;
    }

    if (n_axes < 0) {
        n_axes = x->rank;

        for (int i = 0; i < n_axes; i++) {
            axis[i] = i;
        }
    }

    if (n != 2 * n_axes) {
        return onnx_fail(o, node, "has %d pads for %d dimensions", n, n_axes);
    }

    for (int i = 0; i < n_axes; i++) {
        p.pad.before[axis[i]] = pad[i];
        p.pad.after[axis[i]] = pad[n_axes + i];
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_PAD, &p, &x, 1));
}
