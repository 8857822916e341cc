/*
 * IR nodes as the operator families need them: each bears the name of the
 * ONNX node it comes from.  A NULL operand passes through: what failed before
 * has left its error.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static infer_value_t *emit_shape(onnx_t *o, const onnx_node_t *node,
    infer_op_id_t op, infer_value_t *x, int rank, const infer_dim_t *dim);


infer_value_t *
onnx_emit(onnx_t *o, const onnx_node_t *node, infer_op_id_t op,
    const infer_param_t *param, infer_value_t *const *in, int n_in)
{
    return infer_graph_emit1(o->g, op, param, node->name, in, n_in);
}


infer_value_t *
onnx_emit_unary(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    infer_unary_kind_t kind, float a, float b)
{
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.unary.kind = kind;
    p.unary.a = a;
    p.unary.b = b;

    return onnx_emit(o, node, INFER_OP_UNARY, &p, &x, 1);
}


infer_value_t *
onnx_emit_binary(onnx_t *o, const onnx_node_t *node,
    infer_binary_kind_t kind, infer_value_t *a, infer_value_t *b)
{
    infer_param_t   p;
    infer_value_t  *in[2];

    if (a == NULL || b == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.binary.kind = kind;
    in[0] = a;
    in[1] = b;

    return onnx_emit(o, node, INFER_OP_BINARY, &p, in, 2);
}


infer_value_t *
onnx_emit_cast(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    infer_dtype_t dtype)
{
    infer_param_t  p;

    if (x == NULL || x->dtype == dtype) {
        return x;
    }

    memset(&p, 0, sizeof(p));
    p.cast.dtype = dtype;

    return onnx_emit(o, node, INFER_OP_CAST, &p, &x, 1);
}


static infer_value_t *
emit_shape(onnx_t *o, const onnx_node_t *node, infer_op_id_t op,
    infer_value_t *x, int rank, const infer_dim_t *dim)
{
    int            same;
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    same = x->rank == rank;
    memset(&p, 0, sizeof(p));
    p.shape.rank = rank;

    for (int i = 0; i < rank; i++) {
        p.shape.dim[i] = dim[i];
        same = same && infer_dim_equal(x->dim[i], dim[i]);
    }

    return same ? x : onnx_emit(o, node, op, &p, &x, 1);
}


infer_value_t *
onnx_emit_reshape(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    int rank, const infer_dim_t *dim)
{
    return emit_shape(o, node, INFER_OP_RESHAPE, x, rank, dim);
}


infer_value_t *
onnx_emit_expand(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    int rank, const infer_dim_t *dim)
{
    return emit_shape(o, node, INFER_OP_EXPAND, x, rank, dim);
}


infer_value_t *
onnx_emit_transpose(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    const int *perm)
{
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < x->rank; i++) {
        p.transpose.perm[i] = perm[i];
    }

    return onnx_emit(o, node, INFER_OP_TRANSPOSE, &p, &x, 1);
}


infer_value_t *
onnx_scalar_like(onnx_t *o, const onnx_node_t *node, const infer_value_t *x,
    float number)
{
    return onnx_emit_cast(o, node, infer_graph_scalar(o->g, number),
                          x->dtype);
}


infer_value_t *
onnx_channels_last(onnx_t *o, const onnx_node_t *node, infer_value_t *x)
{
    int  perm[INFER_MAX_RANK];

    perm[0] = 0;

    for (int i = 1; i < x->rank; i++) {
        perm[i] = i + 1 == x->rank ? 1 : i + 1;
    }

    return onnx_emit_transpose(o, node, x, perm);
}


infer_value_t *
onnx_channels_first(onnx_t *o, const onnx_node_t *node, infer_value_t *x)
{
    int  perm[INFER_MAX_RANK];

    if (x == NULL) {
        return NULL;
    }

    perm[0] = 0;

    for (int i = 1; i < x->rank; i++) {
        perm[i] = i == 1 ? x->rank - 1 : i - 1;
    }

    return onnx_emit_transpose(o, node, x, perm);
}


int
onnx_result(onnx_node_t *node, infer_value_t *v)
{
    node->out[0] = v;

    return v == NULL ? -1 : 0;
}
