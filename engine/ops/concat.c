/*
 * Concat: operands one after the other along one dimension.  Those that were
 * computed where they belong (see plan/session.c) are not copied.
 */

#include "ops/common.h"
#include "ops/nest.h"


static int
concat_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   axis;
    infer_dim_t           dim[INFER_MAX_RANK], *sum;
    const infer_value_t  *x, *first;

    if (infer_check_operands(g, node, 1, node->n_in, 1) != 0) {
        return -1;
    }

    first = node->in[0];
    axis = node->param.axis.axis;

    if (axis < 0 || axis >= first->rank) {
        return infer_node_fail(g, node, "axis %d is not in 0 .. %d", axis,
                               first->rank - 1);
    }

    for (int i = 0; i < first->rank; i++) {
        dim[i] = first->dim[i];
    }

    sum = &dim[axis];

    for (int k = 1; k < node->n_in; k++) {
        x = node->in[k];

        if (x == NULL || x->dtype != first->dtype || x->rank != first->rank) {
            return infer_node_fail(g, node, "operand %d has another dtype or "
                                   "rank than the first", k);
        }

        for (int i = 0; i < x->rank; i++) {
            if (i != axis && !infer_dim_equal(x->dim[i], dim[i])) {
                return infer_node_fail(g, node, "operand %d differs from the "
                                       "first in dimension %d", k, i);
            }
        }

        if (__builtin_add_overflow(sum->base, x->dim[axis].base, &sum->base)
            || __builtin_add_overflow(sum->batch, x->dim[axis].batch,
                                      &sum->batch))
        {
            return infer_node_fail(g, node, "the result is too large");
        }
    }

    infer_set_result(node->out[0], first->dtype, first->rank, dim);

    return 0;
}


static void
concat_run(const infer_call_t *call)
{
    char                  *dst;
    size_t                 size;
    int64_t                stride[INFER_MAX_RANK], start;
    infer_nest_t           nest;
    infer_tensor_t        *y = call->out[0];
    const infer_tensor_t  *x;

    size = infer_dtype_size(y->dtype);
    infer_out_strides(call, stride);
    start = 0;

    for (int k = 0; k < call->n_in; k++) {
        x = call->in[k];
        dst = (char *) y->data + (size_t) start * size;

        if (x->data != dst) {
            infer_nest_init(&nest, x);
            infer_nest_add(&nest, x);
            infer_nest_add(&nest, x);

            for (int i = 0; i < x->rank; i++) {
                nest.stride[0][i] = stride[i];
            }

            infer_move(call, &nest, size, dst, x->data);
        }

        /* Modulo: an empty tensor may have dimensions that overflow. */
        start = (int64_t) ((uint64_t) start
                           + (uint64_t) x->dim[call->param->axis.axis]
                             * (uint64_t) stride[call->param->axis.axis]);
    }
}


static int
concat_strided(const infer_call_t *call)
{
    (void) call;

    return 1;
}


const infer_op_t  infer_op_concat = {
    .name = "concat",
    .shape = concat_shape,
    .run = concat_run,
    .strided = concat_strided
};
