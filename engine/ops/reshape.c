/*
 * Reshape: the same elements in other dimensions.  An executor may let the
 * result share the operand's memory instead of running it.
 */

#include "ops/common.h"
#include "ops/nest.h"


static int
reshape_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           before, after;
    infer_value_t        *y;
    const infer_shape_t  *shape = &node->param.shape;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    if (shape->rank < 0 || shape->rank > INFER_MAX_RANK) {
        return infer_node_fail(g, node, "rank %d is not in 0 .. %d",
                               (int) shape->rank, INFER_MAX_RANK);
    }

    y = node->out[0];
    infer_set_result(y, node->in[0]->dtype, shape->rank, shape->dim);

    if (infer_value_numel(node->in[0], &before) != 0
        || infer_value_numel(y, &after) != 0
        || !infer_dim_equal(before, after))
    {
        return infer_node_fail(g, node, "the new shape has another number of "
                               "elements");
    }

    return 0;
}


static void
reshape_run(const infer_call_t *call)
{
    infer_nest_t     nest;
    infer_tensor_t  *y = call->out[0];

    infer_nest_init(&nest, y);
    infer_nest_add(&nest, y);
    infer_nest_add(&nest, y);

    infer_move(call, &nest, infer_dtype_size(y->dtype), y->data,
               call->in[0]->data);
}


const infer_op_t  infer_op_reshape = {
    .name = "reshape",
    .shape = reshape_shape,
    .run = reshape_run
};
