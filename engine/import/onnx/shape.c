/*
 * Operators that give the same elements another shape, or repeat them.
 */

#include <string.h>

#include "import/onnx/onnx.h"


/* 0 copies the dimension (unless allowzero), one -1 takes what is left. */
int
onnx_op_reshape(onnx_t *o, onnx_node_t *node)
{
    int             rank, open;
    int64_t         allow_zero;
    infer_dim_t     dim[INFER_MAX_RANK], all, part;
    infer_value_t  *x;

    x = node->in[0];
    open = -1;
    allow_zero = 0;
    part = infer_dim(1);
    rank = onnx_const_dims(o, node, 1, "shape", dim, INFER_MAX_RANK);

    if (rank < 0 || onnx_attr_int(o, node, "allowzero", &allow_zero) != 0) {
        return -1;
    }

    for (int i = 0; i < rank; i++) {
        if (infer_dim_is(dim[i], 0) && !allow_zero) {
            if (i >= x->rank) {
                return onnx_fail(o, node, "dimension %d of the shape is 0, "
                                 "the input has %d", i, x->rank);
            }

            dim[i] = x->dim[i];

        } else if (infer_dim_is(dim[i], -1)) {
            if (open != -1) {
                return onnx_fail(o, node, "the shape has two dimensions -1");
            }

            open = i;
            continue;
        }

        if (dim[i].base + dim[i].batch < 0 || dim[i].batch < 0
            || infer_dim_mul(part, dim[i], &part) != 0)
        {
            return onnx_fail(o, node, "dimension %d of the shape is wrong", i);
        }
    }

    if (open != -1
        && (infer_value_numel(x, &all) != 0
            || infer_dim_rest(all, part, &dim[open]) != 0))
    {
        return onnx_fail(o, node, "the input's elements cannot be shared out "
                         "over the shape");
    }

    return onnx_result(node, onnx_emit_reshape(o, node, x, rank, dim));
}


/* Two dimensions: the product of those before axis, and of the others. */
int
onnx_op_flatten(onnx_t *o, onnx_node_t *node)
{
    int64_t         axis;
    infer_dim_t     dim[2], *d;
    infer_value_t  *x;

    x = node->in[0];
    axis = 1;
    dim[0] = dim[1] = infer_dim(1);

    if (onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    if (axis != x->rank) {
        axis = onnx_axis(o, node, axis, x->rank);
        if (axis < 0) {
            return -1;
        }
    }

    for (int i = 0; i < x->rank; i++) {
        d = &dim[i < axis ? 0 : 1];

        if (infer_dim_mul(*d, x->dim[i], d) != 0) {
            return onnx_fail(o, node, "the size does not follow the batch "
                             "size linearly");
        }
    }

    return onnx_result(node, onnx_emit_reshape(o, node, x, 2, dim));
}


/* Without axes: all dimensions of one element. */
int
onnx_op_squeeze(onnx_t *o, onnx_node_t *node)
{
    int             n, rank, out;
    int64_t         axis[INFER_MAX_RANK];
    uint32_t        axes;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = node->in[0];
    rank = 0;
    axes = 0;

    if (onnx_axes(o, node, 1, 13, x->rank, axis, &n) != 0) {
        return -1;
    }

    for (int i = 0; i < n; i++) {
        axes |= 1u << axis[i];
    }

    for (int i = 0; i < x->rank; i++) {
        out = n < 0 ? infer_dim_is(x->dim[i], 1) : (axes & 1u << i) != 0;

        if (!out) {
            dim[rank++] = x->dim[i];

        } else if (!infer_dim_is(x->dim[i], 1)) {
            return onnx_fail(o, node, "dimension %d has more than one "
                             "element", i);
        }
    }

    return onnx_result(node, onnx_emit_reshape(o, node, x, rank, dim));
}


/* Axes count in the result. */
int
onnx_op_unsqueeze(onnx_t *o, onnx_node_t *node)
{
    int             n, k, rank;
    int64_t         list[INFER_MAX_RANK], axis[INFER_MAX_RANK];
    uint32_t        axes;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = node->in[0];
    axes = 0;
    k = 0;

    /* How many there are says what they count in. */
    if (onnx_list(o, node, "axes", 1, 13, list, INFER_MAX_RANK, &n) != 0) {
        return -1;
    }

    rank = x->rank + n;

    if (n < 0 || rank > INFER_MAX_RANK) {
        return onnx_fail(o, node, n < 0 ? "operand \"axes\" is missing"
                         : "the result has too many dimensions");
    }

    if (onnx_axes(o, node, 1, 13, rank, axis, &n) != 0) {
        return -1;
    }

    for (int i = 0; i < n; i++) {
        axes |= 1u << axis[i];
    }

    for (int i = 0; i < rank; i++) {
        dim[i] = (axes >> i) & 1 ? infer_dim(1) : x->dim[k++];
    }

    return onnx_result(node, onnx_emit_reshape(o, node, x, rank, dim));
}


/* Without perm: the dimensions in reverse. */
int
onnx_op_transpose(onnx_t *o, onnx_node_t *node)
{
    int             n, perm[INFER_MAX_RANK];
    int64_t         list[INFER_MAX_RANK];
    uint32_t        seen;
    infer_value_t  *x;

    x = node->in[0];
    n = x->rank;
    seen = 0;

    for (int i = 0; i < n; i++) {
        list[i] = n - 1 - i;
    }

    if (onnx_attr_ints(o, node, "perm", list, INFER_MAX_RANK, &n) != 0) {
        return -1;
    }

    for (int i = 0; i < n; i++) {
        if (list[i] < 0 || list[i] >= x->rank) {
            return onnx_fail(o, node, "attribute \"perm\" is no permutation");
        }

        perm[i] = (int) list[i];
        seen |= 1u << list[i];
    }

    if (n != x->rank || seen != (1u << n) - 1) {
        return onnx_fail(o, node, "attribute \"perm\" is no permutation of "
                         "%d dimensions", x->rank);
    }

    return onnx_result(node, onnx_emit_transpose(o, node, x, perm));
}


/* The shape and the input broadcast to each other. */
int
onnx_op_expand(onnx_t *o, onnx_node_t *node)
{
    int             k, n, rank;
    infer_dim_t     shape[INFER_MAX_RANK], dim[INFER_MAX_RANK], d;
    infer_value_t  *x;

    x = node->in[0];
    n = onnx_const_dims(o, node, 1, "shape", shape, INFER_MAX_RANK);
    if (n < 0) {
        return -1;
    }

    rank = n > x->rank ? n : x->rank;

    for (int i = 0; i < rank; i++) {
        k = i - (rank - x->rank);
        d = k < 0 ? infer_dim(1) : x->dim[k];
        k = i - (rank - n);
        dim[i] = k < 0 ? infer_dim(1) : shape[k];

        if (infer_dim_is(dim[i], 1)) {
            dim[i] = d;

        } else if (!infer_dim_is(d, 1) && !infer_dim_equal(d, dim[i])) {
            return onnx_fail(o, node, "dimension %d of the input does not "
                             "fit the shape", i);
        }
    }

    return onnx_result(node, onnx_emit_expand(o, node, x, rank, dim));
}


int
onnx_op_tile(onnx_t *o, onnx_node_t *node)
{
    int             n;
    int64_t         times[INFER_MAX_RANK];
    infer_value_t  *x;

    x = node->in[0];
    n = onnx_const_ints(o, node, 1, "repeats", times, INFER_MAX_RANK);
    if (n < 0) {
        return -1;
    }

    if (n != x->rank) {
        return onnx_fail(o, node, "operand \"repeats\" has %d elements, must "
                         "have %d", n, x->rank);
    }

    for (int i = 0; i < n && x != NULL; i++) {
        x = infer_emit_repeat(o->g, node->name, x, i, times[i]);
    }

    return onnx_result(node, x);
}
