/*
 * The fully connected layer on integers: a product whose rows are read where
 * they are, of an input with a fixed scale or one that was just computed.
 */

#include "ops/qproduct.h"


static int check_dynamic(infer_graph_t *g, const infer_node_t *node);
static const infer_tensor_t *operand(const infer_call_t *call, int i);


static int
qfc_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t         dim[INFER_MAX_RANK];
    const infer_qfc_t  *p = &node->param.qfc;

    if (infer_check_operands(g, node, 2, INFER_IN_QPRODUCT, 1) != 0
        || infer_qproduct_check_weights(g, node, p->zero) != 0
        || infer_fc_shape(g, node, p->w_rows_are_n, dim) != 0)
    {
        return -1;
    }

    infer_set_result(node->out[0], (infer_dtype_t) p->end.dtype,
                     node->in[INFER_IN_X]->rank, dim);

    if (infer_qproduct_check(g, node, &p->end, infer_fc_weights(node,
                             p->w_rows_are_n).c) != 0)
    {
        return -1;
    }

    return check_dynamic(g, node);
}


/* x's scale and zero point, one or one for each row. */
static int
check_dynamic(infer_graph_t *g, const infer_node_t *node)
{
    int                   rank = node->in[INFER_IN_X]->rank - 1;
    infer_dim_t           n;
    const infer_value_t  *x = node->in[INFER_IN_X], *v[2] = { NULL, NULL };

    for (int i = 0; i < 2 && INFER_IN_X_SCALE + i < node->n_in; i++) {
        v[i] = node->in[INFER_IN_X_SCALE + i];
    }

    if (v[0] == NULL && v[1] == NULL) {
        return 0;
    }

    if (v[0] == NULL || v[1] == NULL || v[0]->dtype != INFER_F32
        || v[1]->dtype != INFER_U8 || v[0]->rank != v[1]->rank
        || node->param.qfc.zero != 0 || node->param.qfc.end.dtype == INFER_I32)
    {
        return infer_node_fail(g, node, "the input's scale and zero point do "
                               "not go together");
    }

    for (int k = 0; k < 2; k++) {
        if (infer_value_numel(v[k], &n) == 0 && infer_dim_is(n, 1)) {
            continue;
        }

        for (int i = 0; i < rank; i++) {
            if (v[k]->rank != rank
                || !infer_dim_equal(v[k]->dim[i], x->dim[i])
                || !infer_dim_equal(v[0]->dim[i], v[1]->dim[i]))
            {
                return infer_node_fail(g, node, "the input's scale is neither "
                                       "one nor one for each row");
            }
        }
    }

    return 0;
}


static size_t
qfc_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = infer_fc_weights(node, node->param.qfc.w_rows_are_n);

    return infer_qproduct_pack_size(&w);
}


static void
qfc_pack(const infer_node_t *node, void *dst)
{
    const infer_qfc_t  *p = &node->param.qfc;
    infer_weights_t     w = infer_fc_weights(node, p->w_rows_are_n);

    infer_qproduct_pack(node, &w, p->zero, &p->end, dst);
}


static const infer_tensor_t *
operand(const infer_call_t *call, int i)
{
    return i < call->n_in ? call->in[i] : NULL;
}


static infer_qproduct_t
product_of(const infer_call_t *call)
{
    infer_qproduct_t       p;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];
    const infer_tensor_t  *scale = operand(call, INFER_IN_X_SCALE);

    p.call = call;
    p.end = &call->param->qfc.end;
    p.groups = 1;
    p.k = (size_t) x->dim[x->rank - 1];
    p.n = (size_t) y->dim[y->rank - 1];
    p.rows = infer_numel(y) / p.n;
    p.a = x->data;
    p.lda = p.k;
    p.run = p.k;
    p.run_step = p.k;
    p.field = NULL;
    p.x_scale = scale != NULL ? scale->data : NULL;
    p.x_zero = scale != NULL ? operand(call, INFER_IN_X_ZERO)->data : NULL;
    p.x_step = scale != NULL && infer_numel(scale) > 1;
    p.bounded = 0;

    return p;
}


static size_t
qfc_scratch(const infer_call_t *call)
{
    infer_qproduct_t  p = product_of(call);

    return infer_qproduct_scratch(&p);
}


static void
qfc_run(const infer_call_t *call)
{
    infer_qproduct_t  p = product_of(call);

    infer_qproduct_run(&p);
}


const infer_op_t  infer_op_qfc = {
    .name = "qfc",
    .shape = qfc_shape,
    .run = qfc_run,
    .scratch = qfc_scratch,
    .pack_size = qfc_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = qfc_pack,
    .macs = infer_fc_macs
};
