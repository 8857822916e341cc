/*
 * The fully connected layer: x @ W + bias, a product whose rows are read
 * where they are.
 */

#include "ops/product.h"
#include "ops/sparse.h"


int
infer_fc_shape(infer_graph_t *g, const infer_node_t *node, int w_rows_are_n,
    infer_dim_t *dim)
{
    int                   rows_are_n = w_rows_are_n != 0;
    const infer_value_t  *x = node->in[INFER_IN_X];
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    if (x->rank < 1 || w->rank != 2) {
        return infer_node_fail(g, node, "input of rank %d and weights of rank "
                               "%d", x->rank, w->rank);
    }

    if (!infer_dim_equal(x->dim[x->rank - 1], w->dim[rows_are_n])) {
        return infer_node_fail(g, node, "rows of %lld numbers, the weights "
                               "need %lld",
                               (long long) x->dim[x->rank - 1].base,
                               (long long) w->dim[rows_are_n].base);
    }

    for (int i = 0; i < x->rank; i++) {
        dim[i] = x->dim[i];
    }

    dim[x->rank - 1] = w->dim[!rows_are_n];

    return 0;
}


infer_weights_t
infer_fc_weights(const infer_node_t *node, int w_rows_are_n)
{
    int                   rows_are_n = w_rows_are_n != 0;
    infer_weights_t       w;
    const infer_value_t  *v = node->in[INFER_IN_WEIGHTS];

    w.data = v->data;
    w.groups = 1;
    w.taps = 1;
    w.tap_step = 0;
    w.depthwise = 0;
    w.n = (size_t) v->dim[!rows_are_n].base;
    w.c = (size_t) v->dim[rows_are_n].base;
    w.run = w.c;
    w.channel = rows_are_n ? w.c : 1;
    w.depth = rows_are_n ? 1 : w.n;

    return w;
}


uint64_t
infer_fc_macs(const infer_node_t *node)
{
    infer_dim_t  inputs = { 0, 0 };

    infer_value_numel(node->in[INFER_IN_X], &inputs);

    return (uint64_t) infer_dim_at(inputs, 1)
           * (uint64_t) node->out[0]->dim[node->out[0]->rank - 1].base;
}


static int
fc_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t        dim[INFER_MAX_RANK];
    const infer_fc_t  *p = &node->param.fc;

    if (infer_check_operands(g, node, 2, INFER_IN_PRODUCT, 1) != 0
        || infer_product_check_weights(g, node) != 0
        || infer_fc_shape(g, node, p->w_rows_are_n, dim) != 0)
    {
        return -1;
    }

    infer_set_result(node->out[0], INFER_F32, node->in[INFER_IN_X]->rank,
                     dim);

    if (infer_sparse_check(g, node) != 0) {
        return -1;
    }

    return infer_product_check(g, node, &p->act);
}


static size_t
fc_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = infer_fc_weights(node, node->param.fc.w_rows_are_n);

    if (node->param.fc.sparse.used) {
        return infer_sparse_pack_size(&w, &node->param.fc.sparse);
    }

    return infer_product_pack_size(&w);
}


static void
fc_pack(const infer_node_t *node, void *dst)
{
    infer_weights_t  w = infer_fc_weights(node, node->param.fc.w_rows_are_n);

    if (node->param.fc.sparse.used) {
        infer_sparse_pack(node, &w, &node->param.fc.sparse, dst);
        return;
    }

    infer_product_pack(node, &w, dst);
}


static infer_product_t
product_of(const infer_call_t *call)
{
    infer_product_t        p;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];

    p.groups = 1;
    p.k = (size_t) x->dim[x->rank - 1];
    p.n = (size_t) y->dim[y->rank - 1];
    p.rows = infer_numel(y) / p.n;
    p.packed = call->packed;
    p.sparse = call->param->fc.sparse;
    p.residual = infer_product_residual(call);
    p.c = y->data;
    p.ldc = infer_out_ld(call);
    p.act = &call->param->fc.act;
    p.a = x->data;
    p.lda = p.k;
    p.gather = NULL;
    p.source = NULL;

    return p;
}


static size_t
fc_scratch(const infer_call_t *call)
{
    infer_product_t  p = product_of(call);

    return infer_product_scratch(call, &p);
}


static void
fc_run(const infer_call_t *call)
{
    infer_product_t  p = product_of(call);

    infer_product_run(call, &p);
}


const infer_op_t  infer_op_fc = {
    .name = "fc",
    .shape = fc_shape,
    .run = fc_run,
    .strided = infer_product_strided,
    .scratch = fc_scratch,
    .pack_size = fc_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = fc_pack,
    .packed_valid = infer_sparse_valid,
    .macs = infer_fc_macs
};
