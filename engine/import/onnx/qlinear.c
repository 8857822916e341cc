/*
 * Operators on quantized tensors, of ONNX and of ONNX Runtime
 * (docs/ContribOperators.md there): each becomes the float operator between
 * dequantize and quantize, from which one pass makes integer operators.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static infer_value_t *operand(onnx_t *o, onnx_node_t *node, int x, int scale,
    int zero, int axis);
static int result(onnx_t *o, onnx_node_t *node, infer_value_t *y, int scale,
    int zero, int axis);
static infer_value_t *as_float(onnx_t *o, onnx_node_t *node,
    int (*import)(onnx_t *o, onnx_node_t *node), int kind,
    infer_value_t **in, int n_in);
static infer_value_t *bias(onnx_t *o, onnx_node_t *node, int i,
    const onnx_scale_t *x, const onnx_scale_t *w, float alpha);
static infer_value_t *add_bias(onnx_t *o, onnx_node_t *node,
    infer_value_t *y, int i);
static infer_value_t *channels(onnx_t *o, onnx_node_t *node,
    infer_value_t *x, int last, int back);


/* Operand x as floats; axis: the dimension that may have scales, counted from
   the back where it is negative. */
static infer_value_t *
operand(onnx_t *o, onnx_node_t *node, int x, int scale, int zero, int axis)
{
    onnx_scale_t    s;
    infer_value_t  *v;

    if (!onnx_has(node, x)) {
        onnx_fail(o, node, "operand %d is missing", x);
        return NULL;
    }

    if (onnx_scale(o, node, scale, zero, &s) != 0) {
        return NULL;
    }

    v = onnx_perhaps_constant(o, node, x);

    if (s.scale->rank == 0) {
        axis = 0;

    } else {
        axis = onnx_axis(o, node, axis, v->rank);
        if (axis < 0) {
            return NULL;
        }
    }

    return onnx_emit_dequantize(o, node, v, &s, axis);
}


static int
result(onnx_t *o, onnx_node_t *node, infer_value_t *y, int scale, int zero,
    int axis)
{
    onnx_scale_t  s;

    if (y == NULL || onnx_scale(o, node, scale, zero, &s) != 0) {
        return -1;
    }

    axis = s.scale->rank == 0 ? 0 : onnx_axis(o, node, axis, y->rank);

    return axis < 0 ? -1
           : onnx_result(node, onnx_emit_quantize(o, node, y, &s, axis));
}


/* What another operator with node's attributes makes of these operands. */
static infer_value_t *
as_float(onnx_t *o, onnx_node_t *node,
    int (*import)(onnx_t *o, onnx_node_t *node), int kind,
    infer_value_t **in, int n_in)
{
    onnx_op_t       row;
    const char     *none[3] = { "", "", "" };
    onnx_node_t     copy;
    infer_value_t  *out = NULL;

    if (in[0] == NULL || (n_in > 1 && in[1] == NULL)) {
        return NULL;
    }

    row = *node->row;
    row.kind = kind;

    copy = *node;
    copy.row = &row;
    copy.in = in;
    copy.in_name = none;
    copy.n_in = n_in;
    copy.out = &out;
    copy.n_out = 1;

    return import(o, &copy) == 0 ? out : NULL;
}


/* x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias */
int
onnx_op_qlinear_conv(onnx_t *o, onnx_node_t *node)
{
    onnx_scale_t    x, w;
    infer_value_t  *in[3];

    if (onnx_scale(o, node, 1, 2, &x) != 0
        || onnx_scale(o, node, 4, 5, &w) != 0)
    {
        return -1;
    }

    in[0] = operand(o, node, 0, 1, 2, 1);
    in[1] = operand(o, node, 3, 4, 5, 0);
    in[2] = onnx_has(node, 8) ? bias(o, node, 8, &x, &w, 1) : NULL;

    if (onnx_has(node, 8) && in[2] == NULL) {
        return -1;
    }

    return result(o, node, as_float(o, node, onnx_op_conv, 0, in, 3), 6, 7,
                  1);
}


/* An int32 bias: its scale is x's times the weights', times alpha. */
static infer_value_t *
bias(onnx_t *o, onnx_node_t *node, int i, const onnx_scale_t *x,
    const onnx_scale_t *w, float alpha)
{
    onnx_scale_t    s;
    infer_value_t  *v;

    v = onnx_perhaps_constant(o, node, i);

    if (v->dtype != INFER_I32) {
        onnx_fail(o, node, "operand %d must be int32", i);
        return NULL;
    }

    s.zero = NULL;
    s.scale = onnx_emit_binary(o, node, INFER_MUL, x->scale, w->scale);

    if (alpha != 1) {
        s.scale = onnx_emit_binary(o, node, INFER_MUL, s.scale,
                                   infer_graph_scalar(o->g, alpha));
    }

    return s.scale == NULL ? NULL
           : onnx_emit_dequantize(o, node, v, &s,
                                  s.scale->rank == 0 || v->rank == 0
                                  ? 0 : v->rank - 1);
}


/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero */
int
onnx_op_qlinear_matmul(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *in[2];

    in[0] = operand(o, node, 0, 1, 2, -2);
    in[1] = operand(o, node, 3, 4, 5, -1);

    return result(o, node, as_float(o, node, onnx_op_matmul, 0, in, 2), 6, 7,
                  -2);
}


/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero */
int
onnx_op_qlinear_binary(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *a, *b;

    a = operand(o, node, 0, 1, 2, 0);
    b = operand(o, node, 3, 4, 5, 0);

    return result(o, node, onnx_emit_binary(o, node, node->row->kind, a, b),
                  6, 7, 0);
}


/* x, x_scale, x_zero, y_scale, y_zero */
int
onnx_op_qlinear_unary(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *x;

    x = operand(o, node, 0, 1, 2, 0);

    return result(o, node, as_float(o, node, onnx_op_unary, node->row->kind,
                                    &x, 1), 3, 4, 0);
}


int
onnx_op_qlinear_pool(onnx_t *o, onnx_node_t *node)
{
    int64_t         last = 0;
    infer_value_t  *x, *y;

    if (onnx_attr_int(o, node, "channels_last", &last) != 0) {
        return -1;
    }

    x = operand(o, node, 0, 1, 2, 0);
    x = channels(o, node, x, last != 0, 0);

    y = node->row->kind
        ? as_float(o, node, onnx_op_global_pool, INFER_REDUCE_MEAN, &x, 1)
        : as_float(o, node, onnx_op_pool, 1, &x, 1);

    return result(o, node, channels(o, node, y, last != 0, 1), 3, 4, 0);
}


/* Channels-first for the float operator, and back. */
static infer_value_t *
channels(onnx_t *o, onnx_node_t *node, infer_value_t *x, int last, int back)
{
    if (x == NULL || !last) {
        return x;
    }

    return back ? onnx_channels_last(o, node, x)
                : onnx_channels_first(o, node, x);
}


/* y_scale, y_zero, then tensor, scale and zero point of each operand */
int
onnx_op_qlinear_concat(onnx_t *o, onnx_node_t *node)
{
    int              n;
    int64_t          axis;
    infer_param_t    p;
    infer_value_t  **in;

    n = (node->n_in - 2) / 3;
    axis = 0;

    if ((node->n_in - 2) % 3 != 0 || onnx_attr(node, "axis") == NULL) {
        return onnx_fail(o, node, "operands or attribute \"axis\" missing");
    }

    in = infer_graph_alloc(o->g, (size_t) n * sizeof(*in));

    if (in == NULL || onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    for (int i = 0; i < n; i++) {
        in[i] = operand(o, node, 3 * i + 2, 3 * i + 3, 3 * i + 4, 0);
        if (in[i] == NULL) {
            return -1;
        }
    }

    memset(&p, 0, sizeof(p));
    p.axis.axis = onnx_axis(o, node, axis, in[0]->rank);

    return p.axis.axis < 0 ? -1
           : result(o, node, onnx_emit(o, node, INFER_OP_CONCAT, &p, in, n),
                    0, 1, 0);
}


/* x, x_scale, x_zero, y_scale, y_zero */
int
onnx_op_qlinear_softmax(onnx_t *o, onnx_node_t *node)
{
    int64_t         axis, opset;
    infer_param_t   p;
    infer_value_t  *x;

    axis = -1;
    opset = 13;
    x = operand(o, node, 0, 1, 2, 0);

    if (x == NULL || onnx_attr_int(o, node, "axis", &axis) != 0
        || onnx_attr_int(o, node, "opset", &opset) != 0)
    {
        return -1;
    }

    memset(&p, 0, sizeof(p));
    p.softmax.axis = onnx_axis(o, node, axis, x->rank);
    if (p.softmax.axis < 0) {
        return -1;
    }

    p.softmax.last = opset < 13 ? x->rank - 1 : p.softmax.axis;

    return result(o, node, onnx_emit(o, node, INFER_OP_SOFTMAX, &p, &x, 1),
                  3, 4, 0);
}


/* a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero */
int
onnx_op_qgemm(onnx_t *o, onnx_node_t *node)
{
    float           alpha;
    int64_t         transposed;
    onnx_scale_t    a, b;
    infer_value_t  *y, *in[3];

    alpha = 1;
    transposed = 0;

    if (onnx_attr_float(o, node, "alpha", &alpha) != 0
        || onnx_attr_int(o, node, "transB", &transposed) != 0
        || onnx_scale(o, node, 1, 2, &a) != 0
        || onnx_scale(o, node, 4, 5, &b) != 0)
    {
        return -1;
    }

    in[0] = operand(o, node, 0, 1, 2, 0);
    in[1] = operand(o, node, 3, 4, 5, transposed ? 0 : 1);
    in[2] = onnx_has(node, 6) ? bias(o, node, 6, &a, &b, alpha) : NULL;

    if (onnx_has(node, 6) && in[2] == NULL) {
        return -1;
    }

    y = as_float(o, node, onnx_op_gemm, 0, in, 3);

    return onnx_has(node, 7) ? result(o, node, y, 7, 8, 0)
                             : onnx_result(node, y);
}


/* a (float), b, b_scale, b_zero, bias */
int
onnx_op_dynamic_matmul(onnx_t *o, onnx_node_t *node)
{
    onnx_scale_t    s;
    infer_value_t  *q, *y, *in[2];

    if (node->in[0]->dtype != INFER_F32) {
        return onnx_fail(o, node, "%s is not supported",
                         infer_dtype_name(node->in[0]->dtype));
    }

    if (onnx_emit_dynamic(o, node, node->in[0], &q, &s) != 0) {
        return -1;
    }

    in[0] = onnx_emit_dequantize(o, node, q, &s, 0);
    in[1] = operand(o, node, 1, 2, 3, -1);
    y = as_float(o, node, onnx_op_matmul, 0, in, 2);

    return onnx_result(node, add_bias(o, node, y, 4));
}


/* a, b, a_scale, b_scale, a_zero, b_zero, bias */
int
onnx_op_matmul_to_float(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *y, *in[2];

    in[0] = operand(o, node, 0, 2, 4, -1);
    in[1] = operand(o, node, 1, 3, 5, -1);
    y = as_float(o, node, onnx_op_matmul, 0, in, 2);

    return onnx_result(node, add_bias(o, node, y, 6));
}


static infer_value_t *
add_bias(onnx_t *o, onnx_node_t *node, infer_value_t *y, int i)
{
    return onnx_has(node, i)
           ? onnx_emit_binary(o, node, INFER_ADD, y, node->in[i]) : y;
}
