/*
 * Matrix products.  With constant weights they are fully connected layers,
 * whose weights are packed once; otherwise they are computed as they come.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static int is_fc(const infer_value_t *a, const infer_value_t *b);
static infer_value_t *gemm_fc(onnx_t *o, onnx_node_t *node,
    infer_value_t *a, int transpose_b, float alpha, infer_value_t *c);
static infer_value_t *gemm_operand_c(onnx_t *o, onnx_node_t *node);
static infer_value_t *as_vector(onnx_t *o, onnx_node_t *node,
    infer_value_t *c, infer_dim_t n);
static infer_value_t *transposed(onnx_t *o, onnx_node_t *node,
    infer_value_t *a);


/* alpha * A' * B' + beta * C */
int
onnx_op_gemm(onnx_t *o, onnx_node_t *node)
{
    float           alpha;
    int64_t         transpose_a, transpose_b;
    infer_param_t   p;
    infer_value_t  *a, *c, *y;

    a = node->in[0];
    c = NULL;
    alpha = 1;
    transpose_a = 0;
    transpose_b = 0;

    if (onnx_attr_int(o, node, "transA", &transpose_a) != 0
        || onnx_attr_int(o, node, "transB", &transpose_b) != 0
        || onnx_attr_float(o, node, "alpha", &alpha) != 0)
    {
        return -1;
    }

    if (a->rank != 2 || node->in[1]->rank != 2) {
        return onnx_fail(o, node, "the operands must be matrices");
    }

    if (onnx_has(node, 2)) {
        c = gemm_operand_c(o, node);
        if (c == NULL) {
            return -1;
        }
    }

    if (is_fc(a, node->in[1])) {
        if (transpose_a) {
            a = transposed(o, node, a);
        }

        return onnx_result(node, gemm_fc(o, node, a, transpose_b != 0, alpha,
                                         c));
    }

    memset(&p, 0, sizeof(p));
    p.matmul.transpose_a = transpose_a != 0;
    p.matmul.transpose_b = transpose_b != 0;
    p.matmul.alpha = alpha;

    y = onnx_emit(o, node, INFER_OP_MATMUL, &p, node->in, 2);

    return onnx_result(node, c == NULL ? y
                             : onnx_emit_binary(o, node, INFER_ADD, y, c));
}


static int
is_fc(const infer_value_t *a, const infer_value_t *b)
{
    return a->rank >= 2 && b->rank == 2 && b->data != NULL
           && a->dtype == INFER_F32 && b->dtype == INFER_F32;
}


static infer_value_t *
gemm_fc(onnx_t *o, onnx_node_t *node, infer_value_t *a, int transpose_b,
    float alpha, infer_value_t *c)
{
    infer_dim_t     n;
    infer_param_t   p;
    infer_value_t  *y, *in[5];

    if (a == NULL) {
        return NULL;
    }

    n = node->in[1]->dim[transpose_b ? 0 : 1];
    memset(&p, 0, sizeof(p));
    memset(in, 0, sizeof(in));
    p.fc.w_rows_are_n = transpose_b;
    in[0] = a;
    in[1] = node->in[1];

    if (alpha != 1) {
        in[3] = onnx_emit_expand(o, node, infer_graph_scalar(o->g, alpha), 1,
                                 &n);
        if (in[3] == NULL) {
            return NULL;
        }
    }

    if (c != NULL) {
        in[2] = as_vector(o, node, c, n);
    }

    y = onnx_emit(o, node, INFER_OP_FC, &p, in, 5);

    return c == NULL || in[2] != NULL
           ? y : onnx_emit_binary(o, node, INFER_ADD, y, c);
}


/* beta * C */
static infer_value_t *
gemm_operand_c(onnx_t *o, onnx_node_t *node)
{
    float           beta;
    infer_value_t  *c;

    beta = 1;
    c = node->in[2];

    if (onnx_attr_float(o, node, "beta", &beta) != 0) {
        return NULL;
    }

    return beta == 1 ? c
           : onnx_emit_binary(o, node, INFER_MUL, c,
                              onnx_scalar_like(o, node, c, beta));
}


/* A constant that is the same for all rows as the n numbers of a row; NULL
   where it is none. */
static infer_value_t *
as_vector(onnx_t *o, onnx_node_t *node, infer_value_t *c, infer_dim_t n)
{
    infer_dim_t  last;

    if (c->data == NULL || c->dtype != INFER_F32 || c->varied[0] != NULL
        || c->rank > 2 || (c->rank == 2 && !infer_dim_is(c->dim[0], 1)))
    {
        return NULL;
    }

    last = c->rank == 0 ? infer_dim(1) : c->dim[c->rank - 1];

    if (!infer_dim_is(last, 1) && !infer_dim_equal(last, n)) {
        return NULL;
    }

    return onnx_emit_expand(o, node, onnx_emit_reshape(o, node, c, 1, &last),
                            1, &n);
}


static infer_value_t *
transposed(onnx_t *o, onnx_node_t *node, infer_value_t *a)
{
    static const int  perm[] = { 1, 0 };

    return onnx_emit_transpose(o, node, a, perm);
}


int
onnx_op_matmul(onnx_t *o, onnx_node_t *node)
{
    infer_param_t   p;
    infer_value_t  *in[5];

    memset(&p, 0, sizeof(p));

    if (is_fc(node->in[0], node->in[1])) {
        memset(in, 0, sizeof(in));
        in[0] = node->in[0];
        in[1] = node->in[1];

        return onnx_result(node, onnx_emit(o, node, INFER_OP_FC, &p, in, 5));
    }

    p.matmul.alpha = 1;

    return onnx_result(node, onnx_emit(o, node, INFER_OP_MATMUL, &p, node->in,
                                       2));
}
