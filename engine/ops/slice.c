/*
 * Slice: every step-th element from a start, in each dimension.
 */

#include "ops/common.h"
#include "ops/nest.h"


static int slice_fits(const infer_slice_t *s, int i, infer_dim_t dim);
static int64_t batch_size(const infer_slice_t *s, const infer_tensor_t *y);


static int
slice_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   starts, counts;
    const infer_slice_t  *s = &node->param.slice;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];
    starts = counts = 0;

    for (int i = 0; i < x->rank; i++) {
        if (s->step[i] == 0) {
            return infer_node_fail(g, node, "the step of dimension %d is 0",
                                   i);
        }

        if (!slice_fits(s, i, x->dim[i])) {
            return infer_node_fail(g, node, "dimension %d is cut outside of "
                                   "the tensor", i);
        }

        starts |= s->start[i].batch != 0;
        counts |= s->count[i].batch != 0;
    }

    /* The operator learns the batch size from the size of its result. */
    if (starts && !counts) {
        return infer_node_fail(g, node, "starts at a place that depends on "
                               "the batch size");
    }

    infer_set_result(node->out[0], x->dtype, x->rank, s->count);

    return 0;
}


/* Whether first and last element lie in the tensor at every batch size. */
static int
slice_fits(const infer_slice_t *s, int i, infer_dim_t dim)
{
    infer_dim_t  start, count, last, low, high, room;

    start = s->start[i];
    count = s->count[i];

    if (infer_dim_is(count, 0)) {
        return 1;
    }

    if (!infer_dim_never_negative(count)
        || __builtin_mul_overflow(count.base - 1, s->step[i], &last.base)
        || __builtin_mul_overflow(count.batch, s->step[i], &last.batch)
        || __builtin_add_overflow(last.base, start.base, &last.base)
        || __builtin_add_overflow(last.batch, start.batch, &last.batch))
    {
        return 0;
    }

    low = s->step[i] > 0 ? start : last;
    high = s->step[i] > 0 ? last : start;

    if (__builtin_sub_overflow(dim.base - 1, high.base, &room.base)
        || __builtin_sub_overflow(dim.batch, high.batch, &room.batch))
    {
        return 0;
    }

    return infer_dim_never_negative(low) && infer_dim_never_negative(room);
}


static void
slice_run(const infer_call_t *call)
{
    size_t                 size;
    int64_t                batch, start;
    infer_nest_t           nest;
    infer_tensor_t        *y = call->out[0];
    const infer_slice_t   *s = &call->param->slice;
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(y) == 0) {
        return;
    }

    size = infer_dtype_size(x->dtype);
    batch = batch_size(s, y);
    start = 0;

    infer_nest_init(&nest, y);
    nest.operands = 2;
    infer_out_strides(call, nest.stride[0]);
    infer_strides(x, nest.stride[1]);

    for (int i = 0; i < x->rank; i++) {
        start += infer_dim_at(s->start[i], batch) * nest.stride[1][i];

        /* Modulo: where one element is taken, the step may be anything. */
        nest.stride[1][i] = (int64_t) ((uint64_t) nest.stride[1][i]
                                       * (uint64_t) s->step[i]);
    }

    infer_move(call, &nest, size, y->data,
               (const char *) x->data + (size_t) start * size);
}


/* What the batch size must be for the result to have its size. */
static int64_t
batch_size(const infer_slice_t *s, const infer_tensor_t *y)
{
    for (int i = 0; i < y->rank; i++) {
        if (s->count[i].batch != 0) {
            return (y->dim[i] - s->count[i].base) / s->count[i].batch;
        }
    }

    return 1;
}


static int
slice_strided(const infer_call_t *call)
{
    (void) call;

    return 1;
}


const infer_op_t  infer_op_slice = {
    .name = "slice",
    .shape = slice_shape,
    .run = slice_run,
    .strided = slice_strided
};
