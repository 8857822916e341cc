/*
 * Expand: broadcasting to a given shape.
 */

#include "ops/common.h"
#include "ops/nest.h"


static int
expand_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   lead;
    infer_dim_t           d;
    const infer_shape_t  *shape = &node->param.shape;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];
    lead = shape->rank - x->rank;

    if (lead < 0 || shape->rank > INFER_MAX_RANK) {
        return infer_node_fail(g, node, "rank %d is not in %d .. %d",
                               (int) shape->rank, x->rank, INFER_MAX_RANK);
    }

    for (int i = 0; i < x->rank; i++) {
        d = x->dim[i];

        if (!infer_dim_is(d, 1) && !infer_dim_equal(d, shape->dim[lead + i]))
        {
            return infer_node_fail(g, node, "dimension %d does not expand to "
                                   "the shape asked for", i);
        }
    }

    infer_set_result(node->out[0], x->dtype, shape->rank, shape->dim);

    return 0;
}


static void
expand_run(const infer_call_t *call)
{
    infer_nest_t     nest;
    infer_tensor_t  *y = call->out[0];

    infer_nest_init(&nest, y);
    infer_nest_add(&nest, y);
    infer_nest_add(&nest, call->in[0]);

    infer_move(call, &nest, infer_dtype_size(y->dtype), y->data,
               call->in[0]->data);
}


const infer_op_t  infer_op_expand = {
    .name = "expand",
    .shape = expand_shape,
    .run = expand_run
};
