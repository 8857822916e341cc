/*
 * Operators that work element by element.
 */

#include <math.h>
#include <string.h>

#include "import/onnx/onnx.h"


static int clip_bounds(onnx_t *o, onnx_node_t *node, float *min, float *max);
static infer_value_t *align_axis(onnx_t *o, onnx_node_t *node);
static int is_float(infer_dtype_t dtype);


int
onnx_op_identity(onnx_t *o, onnx_node_t *node)
{
    (void) o;

    return onnx_result(node, node->in[0]);
}


int
onnx_op_unary(onnx_t *o, onnx_node_t *node)
{
    float  a, b;

    a = 0;
    b = 0;

    if (node->row->kind == INFER_HARDSIGMOID) {
        a = 0.2f;
        b = 0.5f;

    } else if (node->row->kind == INFER_LEAKYRELU) {
        a = 0.01f;
    }

    if (onnx_attr_float(o, node, "alpha", &a) != 0
        || onnx_attr_float(o, node, "beta", &b) != 0)
    {
        return -1;
    }

    return onnx_result(node, onnx_emit_unary(o, node, node->in[0],
                                        node->row->kind, a, b));
}


int
onnx_op_relu(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *x;

    x = node->in[0];

    if (x->dtype == INFER_F32) {
        return onnx_result(node, onnx_emit_unary(o, node, x, INFER_CLIP, 0,
                                            INFINITY));
    }

    return onnx_result(node, onnx_emit_binary(o, node, INFER_MAX, x,
                                         onnx_scalar_like(o, node, x, 0)));
}


/*
 * Constant bounds of floats become an activation, which can be fused; others
 * become min and max.
 */
int
onnx_op_clip(onnx_t *o, onnx_node_t *node)
{
    float           min, max;
    infer_value_t  *x;

    x = node->in[0];
    min = -INFINITY;
    max = INFINITY;

    if (x->dtype == INFER_F32
        && (!onnx_has(node, 1) || node->in[1]->data != NULL)
        && (!onnx_has(node, 2) || node->in[2]->data != NULL))
    {
        if (clip_bounds(o, node, &min, &max) != 0) {
            return -1;
        }

        return onnx_result(node, onnx_emit_unary(o, node, x, INFER_CLIP, min,
                                            max));
    }

    if (onnx_has(node, 1)) {
        x = onnx_emit_binary(o, node, INFER_MAX, x, node->in[1]);
    }

    if (onnx_has(node, 2)) {
        x = onnx_emit_binary(o, node, INFER_MIN, x, node->in[2]);
    }

    return onnx_result(node, x);
}


static int
clip_bounds(onnx_t *o, onnx_node_t *node, float *min, float *max)
{
    double  bound;

    if (o->opset < 11) {
        return onnx_attr_float(o, node, "min", min) != 0
               || onnx_attr_float(o, node, "max", max) != 0 ? -1 : 0;
    }

    if (onnx_has(node, 1)) {
        if (onnx_const_number(o, node, 1, "min", &bound) != 0) {
            return -1;
        }

        *min = (float) bound;
    }

    if (onnx_has(node, 2)) {
        if (onnx_const_number(o, node, 2, "max", &bound) != 0) {
            return -1;
        }

        *max = (float) bound;
    }

    return 0;
}


int
onnx_op_gelu(onnx_t *o, onnx_node_t *node)
{
    int                       approximate;
    infer_value_t            *x;
    static const char *const  choice[] = { "none", "tanh", NULL };

    x = node->in[0];
    approximate = 0;

    if (onnx_attr_choice(o, node, "approximate", choice, &approximate) != 0) {
        return -1;
    }

    if (!approximate) {
        return onnx_result(node, onnx_emit_unary(o, node, x, INFER_GELU, 0, 0));
    }

    return onnx_result(node, infer_emit_gelu_tanh(o->g, node->name, x));
}


int
onnx_op_binary(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *b;

    b = o->opset < 7 ? align_axis(o, node) : node->in[1];

    return onnx_result(node, onnx_emit_binary(o, node, node->row->kind,
                                         node->in[0], b));
}


/*
 * Before opset 7 operands broadcast only where `broadcast` says so, and `axis`
 * is the dimension of the first that the second's first one stands for.
 */
static infer_value_t *
align_axis(onnx_t *o, onnx_node_t *node)
{
    int             rank;
    int64_t         axis, broadcast;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *a, *b;

    a = node->in[0];
    b = node->in[1];
    broadcast = 0;
    axis = a->rank - b->rank;

    if (onnx_attr_int(o, node, "broadcast", &broadcast) != 0
        || onnx_attr_int(o, node, "axis", &axis) != 0)
    {
        return NULL;
    }

    if (!broadcast || b->rank == 0) {
        return b;
    }

    axis = onnx_axis(o, node, axis, a->rank);
    if (axis < 0) {
        return NULL;
    }

    rank = a->rank - (int) axis;

    if (b->rank > rank) {
        onnx_fail(o, node, "the second operand does not fit at axis %d",
                  (int) axis);
        return NULL;
    }

    for (int i = 0; i < rank; i++) {
        dim[i] = i < b->rank ? b->dim[i] : infer_dim(1);
    }

    return onnx_emit_reshape(o, node, b, rank, dim);
}


int
onnx_op_variadic(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *x;

    x = node->in[0];

    for (int i = 1; i < node->n_in; i++) {
        if (node->in[i] == NULL) {
            return onnx_fail(o, node, "operand %d is missing", i);
        }

        x = onnx_emit_binary(o, node, node->row->kind, x, node->in[i]);
        if (x == NULL) {
            return -1;
        }
    }

    return onnx_result(node, x);
}


int
onnx_op_mean(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *n;

    if (onnx_op_variadic(o, node) != 0) {
        return -1;
    }

    n = onnx_scalar_like(o, node, node->out[0], (float) node->n_in);

    return onnx_result(node, onnx_emit_binary(o, node, INFER_DIV, node->out[0],
                                         n));
}


/*
 * The result has the base's type; where only the exponent is a float, the
 * power is computed in doubles.
 */
int
onnx_op_pow(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *x, *y;
    infer_dtype_t   dtype;

    x = node->in[0];
    y = o->opset < 7 ? align_axis(o, node) : node->in[1];

    if (y == NULL) {
        return -1;
    }

    dtype = !is_float(x->dtype) && is_float(y->dtype) ? INFER_F64 : x->dtype;

    y = onnx_emit_binary(o, node, INFER_POW,
                         onnx_emit_cast(o, node, x, dtype),
                         onnx_emit_cast(o, node, y, dtype));

    return onnx_result(node, onnx_emit_cast(o, node, y, x->dtype));
}


static int
is_float(infer_dtype_t dtype)
{
    return dtype <= INFER_BF16;
}


int
onnx_op_mod(onnx_t *o, onnx_node_t *node)
{
    int64_t  remainder;

    remainder = 0;

    if (onnx_attr_int(o, node, "fmod", &remainder) != 0) {
        return -1;
    }

    if (remainder != 0) {
        return onnx_fail(o, node, "fmod=1 is not supported");
    }

    return onnx_op_binary(o, node);
}


int
onnx_op_where(onnx_t *o, onnx_node_t *node)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    return onnx_result(node, onnx_emit(o, node, INFER_OP_WHERE, &p, node->in,
                                       3));
}


int
onnx_op_cast(onnx_t *o, onnx_node_t *node)
{
    int64_t        to;
    infer_dtype_t  dtype;

    to = 0;

    if (onnx_attr_int(o, node, "to", &to) != 0) {
        return -1;
    }

    if (onnx_dtype(to, &dtype) != 0) {
        return onnx_fail(o, node, "cannot cast to data type %lld",
                         (long long) to);
    }

    return onnx_result(node, onnx_emit_cast(o, node, node->in[0], dtype));
}


int
onnx_op_cast_like(onnx_t *o, onnx_node_t *node)
{
    return onnx_result(node, onnx_emit_cast(o, node, node->in[0],
                                       node->in[1]->dtype));
}
