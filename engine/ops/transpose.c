/*
 * Transpose: a permutation of the dimensions.
 */

#include "ops/common.h"
#include "ops/nest.h"


static int
transpose_shape(infer_graph_t *g, const infer_node_t *node)
{
    uint32_t              seen;
    infer_dim_t           dim[INFER_MAX_RANK];
    const int32_t        *perm;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];
    perm = node->param.transpose.perm;
    seen = 0;

    for (int i = 0; i < x->rank; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank || (seen & 1u << perm[i])) {
            return infer_node_fail(g, node, "perm is no permutation of %d "
                                   "dimensions", x->rank);
        }

        seen |= 1u << perm[i];
        dim[i] = x->dim[perm[i]];
    }

    infer_set_result(node->out[0], x->dtype, x->rank, dim);

    return 0;
}


static void
transpose_run(const infer_call_t *call)
{
    int64_t                stride[INFER_MAX_RANK];
    infer_nest_t           nest;
    infer_tensor_t        *y = call->out[0];
    const infer_tensor_t  *x = call->in[0];

    infer_nest_init(&nest, y);
    infer_nest_add(&nest, y);

    infer_strides(x, stride);
    nest.operands = 2;

    for (int i = 0; i < y->rank; i++) {
        nest.stride[1][i] = stride[call->param->transpose.perm[i]];
    }

    infer_move(call, &nest, infer_dtype_size(x->dtype), y->data, x->data);
}


const infer_op_t  infer_op_transpose = {
    .name = "transpose",
    .shape = transpose_shape,
    .run = transpose_run
};
