/*
 * Normalisation, reductions and what is like them: operators that look at
 * more than one element at a time, without a window.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static int check_channels(onnx_t *o, onnx_node_t *node,
    infer_value_t *const *in, int64_t channels);
static int check_training(onnx_t *o, onnx_node_t *node);
static infer_value_t *layernorm_operand(onnx_t *o, onnx_node_t *node, int i,
    int axis);
static int dropout_mask(onnx_t *o, onnx_node_t *node);


int
onnx_op_batchnorm(onnx_t *o, onnx_node_t *node)
{
    float                     epsilon;
    int64_t                   n, spatial;
    infer_value_t            *x, *in[4];
    static const char *const  what[] = { "scale", "B", "mean", "var" };

    x = node->in[0];
    epsilon = 1e-5f;
    spatial = 1;

    if (check_training(o, node) != 0
        || onnx_attr_float(o, node, "epsilon", &epsilon) != 0
        || onnx_attr_int(o, node, "spatial", &spatial) != 0)
    {
        return -1;
    }

    if (spatial != 1 || x->rank < 2 || x->dim[1].batch != 0) {
        return onnx_fail(o, node, "the input has no channels to normalise");
    }

    n = x->dim[1].base;

    for (int i = 0; i < 4; i++) {
        in[i] = onnx_constant(o, node, i + 1, what[i]);
        if (in[i] == NULL) {
            return -1;
        }
    }

    if (check_channels(o, node, in, n) != 0) {
        return -1;
    }

    return onnx_result(node, infer_emit_batchnorm(o->g, node->name, x, in,
                                                  epsilon));
}


static int
check_training(onnx_t *o, onnx_node_t *node)
{
    for (int i = 1; i < node->n_out; i++) {
        if (node->out_name[i][0] != '\0') {
            return onnx_fail_training(o, node, 0);
        }
    }

    return 0;
}


static int
check_channels(onnx_t *o, onnx_node_t *node, infer_value_t *const *in,
    int64_t channels)
{
    if (node->in[0]->dtype != INFER_F32) {
        return onnx_fail(o, node, "an input of %s is not supported",
                         infer_dtype_name(node->in[0]->dtype));
    }

    for (int i = 0; i < 4; i++) {
        if (in[i]->dtype != INFER_F32 || in[i]->rank != 1
            || !infer_dim_is(in[i]->dim[0], channels))
        {
            return onnx_fail(o, node, "operand %d must hold a float32 for "
                             "each of %lld channels", i + 1,
                             (long long) channels);
        }
    }

    return 0;
}


int
onnx_op_layernorm(onnx_t *o, onnx_node_t *node)
{
    int             n_out;
    int64_t         axis;
    infer_param_t   p;
    infer_value_t  *in[3];

    axis = -1;
    memset(&p, 0, sizeof(p));
    memset(in, 0, sizeof(in));
    p.layernorm.epsilon = 1e-5f;

    if (onnx_attr_int(o, node, "axis", &axis) != 0
        || onnx_attr_float(o, node, "epsilon", &p.layernorm.epsilon) != 0)
    {
        return -1;
    }

    p.layernorm.axis = onnx_axis(o, node, axis, node->in[0]->rank);
    if (p.layernorm.axis < 0) {
        return -1;
    }

    in[0] = node->in[0];

    for (int i = 1; i < 3; i++) {
        if (onnx_has(node, i)) {
            in[i] = layernorm_operand(o, node, i, p.layernorm.axis);
            if (in[i] == NULL) {
                return -1;
            }
        }
    }

    /* A later result is there only with those before it. */
    n_out = node->n_out;

    while (n_out > 1 && node->out_name[n_out - 1][0] == '\0') {
        n_out--;
    }

    return infer_graph_emit(o->g, INFER_OP_LAYERNORM, &p, node->name, in, 3,
                            node->out, n_out);
}


/* Scale and bias broadcast to the dimensions that are normalised. */
static infer_value_t *
layernorm_operand(onnx_t *o, onnx_node_t *node, int i, int axis)
{
    infer_value_t  *x;

    x = node->in[0];

    return onnx_emit_expand(o, node, node->in[i], x->rank - axis,
                            x->dim + axis);
}


int
onnx_op_lrn(onnx_t *o, onnx_node_t *node)
{
    int64_t         size;
    infer_param_t   p;
    infer_value_t  *x;

    size = 0;
    x = node->in[0];
    memset(&p, 0, sizeof(p));
    p.lrn.alpha = 1e-4f;
    p.lrn.beta = 0.75f;
    p.lrn.bias = 1;

    if (onnx_attr_float(o, node, "alpha", &p.lrn.alpha) != 0
        || onnx_attr_float(o, node, "beta", &p.lrn.beta) != 0
        || onnx_attr_float(o, node, "bias", &p.lrn.bias) != 0
        || onnx_attr_int(o, node, "size", &size) != 0)
    {
        return -1;
    }

    if (size < 1 || size > INT32_MAX || x->rank < 2) {
        return onnx_fail(o, node, "attribute \"size\" is missing or out of "
                         "range");
    }

    p.lrn.size = (int32_t) size;

    x = onnx_channels_last(o, node, x);
    if (x == NULL) {
        return -1;
    }

    x = onnx_emit(o, node, INFER_OP_LRN, &p, &x, 1);

    return onnx_result(node, onnx_channels_first(o, node, x));
}


/* Before opset 13 the input is taken for a matrix: all dimensions from axis on
   are one. */
int
onnx_op_softmax(onnx_t *o, onnx_node_t *node)
{
    int            rank;
    int64_t        axis;
    infer_param_t  p;

    rank = node->in[0]->rank;
    axis = o->opset < 13 ? 1 : -1;
    memset(&p, 0, sizeof(p));

    if (onnx_attr_int(o, node, "axis", &axis) != 0) {
        return -1;
    }

    p.softmax.axis = onnx_axis(o, node, axis, rank);
    if (p.softmax.axis < 0) {
        return -1;
    }

    p.softmax.last = o->opset < 13 ? rank - 1 : p.softmax.axis;
    p.softmax.log = node->row->kind;

    return onnx_result(node, onnx_emit(o, node, INFER_OP_SOFTMAX, &p,
                                       node->in, 1));
}


int
onnx_op_reduce(onnx_t *o, onnx_node_t *node)
{
    int       n, rank, since;
    int64_t   axis[INFER_MAX_RANK], keepdims, noop;
    uint32_t  axes;

    keepdims = 1;
    noop = 0;
    axes = 0;
    rank = node->in[0]->rank;
    since = node->row->kind == INFER_REDUCE_SUM ? 13 : 18;

    if (onnx_axes(o, node, 1, since, rank, axis, &n) != 0
        || onnx_attr_int(o, node, "keepdims", &keepdims) != 0
        || onnx_attr_int(o, node, "noop_with_empty_axes", &noop) != 0)
    {
        return -1;
    }

    if (n <= 0 && noop) {
        return onnx_result(node, node->in[0]);
    }

    for (int i = 0; i < n; i++) {
        axes |= 1u << axis[i];
    }

    if (n <= 0) {
        axes = (1u << rank) - 1;
    }

    return onnx_result(node, infer_emit_reduce(o->g, node->name, node->in[0],
                                               node->row->kind, axes,
                                               keepdims != 0));
}


int
onnx_op_global_pool(onnx_t *o, onnx_node_t *node)
{
    if (node->in[0]->rank < 3) {
        return onnx_fail(o, node, "the input has no spatial dimensions");
    }

    return onnx_result(node, infer_emit_reduce(o->g, node->name, node->in[0],
                                               node->row->kind,
                                               (1u << node->in[0]->rank) - 4,
                                               1));
}


/* Inference: the input as it is. */
int
onnx_op_dropout(onnx_t *o, onnx_node_t *node)
{
    double  ratio, training;

    if (o->opset >= 12 && onnx_has(node, 2)) {
        ratio = 0.5;

        if (onnx_const_number(o, node, 2, "training_mode", &training) != 0
            || (onnx_has(node, 1)
                && onnx_const_number(o, node, 1, "ratio", &ratio) != 0))
        {
            return -1;
        }

        if (training != 0 && ratio != 0) {
            return onnx_fail_training(o, node, 0);
        }
    }

    node->out[0] = node->in[0];

    return node->n_out == 2 && node->out_name[1][0] != '\0'
           ? dropout_mask(o, node) : 0;
}


/* All ones; before opset 10 of the data's type. */
static int
dropout_mask(onnx_t *o, onnx_node_t *node)
{
    infer_value_t  *x, *one;

    x = node->in[0];
    one = onnx_emit_cast(o, node, infer_graph_scalar(o->g, 1),
                         o->opset < 10 ? x->dtype : INFER_BOOL);

    node->out[1] = onnx_emit_expand(o, node, one, x->rank, x->dim);

    return node->out[1] == NULL ? -1 : 0;
}
