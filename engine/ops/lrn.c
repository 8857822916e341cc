/*
 * Local response normalisation across channels, the last dimension:
 *
 *     y[c] = x[c] / (bias + alpha / size * sum x[j]^2)^beta,
 *     j = c - floor((size - 1) / 2) .. c + ceil((size - 1) / 2)
 *
 * in rows of C through the kernels.  The usual beta of 3/4 takes two square
 * roots instead of a power: d^(3/4) = sqrt(d) * sqrt(sqrt(d)).
 */

#include <math.h>

#include "ops/common.h"
#include "ops/nest.h"


static void lrn_row(void *arg, const int64_t *offset, size_t n, size_t slot);
static void window_sum(const infer_call_t *call, const float *square,
    float *sum, int64_t n);
static void raise(const infer_call_t *call, float *d, float *work, size_t n);


static int
lrn_shape(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (x->rank < 1 || x->dtype != INFER_F32) {
        return infer_node_fail(g, node, "%s of rank %d is not supported",
                               infer_dtype_name(x->dtype), x->rank);
    }

    if (node->param.lrn.size < 1) {
        return infer_node_fail(g, node, "size %d is not positive",
                               (int) node->param.lrn.size);
    }

    infer_set_result(node->out[0], x->dtype, x->rank, x->dim);

    return 0;
}


/* Two rows of C: squares, and sums of squares. */
static size_t
lrn_scratch(const infer_call_t *call)
{
    const infer_tensor_t  *x = call->in[0];

    return 2 * (size_t) x->dim[x->rank - 1] * sizeof(float);
}


static void
lrn_run(const infer_call_t *call)
{
    infer_nest_t           nest;
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(x) == 0) {
        return;
    }

    /* One element of the nest is a row of C. */
    nest.rank = 1;
    nest.operands = 1;
    nest.dim[0] = (int64_t) infer_numel(x) / x->dim[x->rank - 1];
    nest.stride[0][0] = x->dim[x->rank - 1];

    infer_nest_run(call, &nest, 1,
                   INFER_GRAIN / (size_t) x->dim[x->rank - 1] + 1, lrn_row,
                   (void *) call);
}


static void
lrn_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    float                 *y, *square, *sum, factor;
    size_t                 channels;
    const float           *x;
    const infer_call_t    *call = arg;
    const infer_lrn_t     *param = &call->param->lrn;
    const infer_binary_t   add = { .kind = INFER_ADD };
    const infer_binary_t   multiply = { .kind = INFER_MUL };
    const infer_binary_t   divide = { .kind = INFER_DIV };

    channels = (size_t) call->in[0]->dim[call->in[0]->rank - 1];
    square = infer_scratch(call, slot);
    sum = square + channels;
    factor = param->alpha / (float) param->size;

    for (size_t i = 0; i < n; i++) {
        x = (const float *) call->in[0]->data + offset[0]
            + (int64_t) (i * channels);
        y = (float *) call->out[0]->data + offset[0]
            + (int64_t) (i * channels);

        call->kernels->binary_f32(&multiply, x, 1, x, 1, square, channels);
        window_sum(call, square, sum, (int64_t) channels);
        call->kernels->binary_f32(&multiply, sum, 1, &factor, 0, sum,
                                  channels);
        call->kernels->binary_f32(&add, sum, 1, &param->bias, 0, sum,
                                  channels);
        raise(call, sum, square, channels);
        call->kernels->binary_f32(&divide, x, 1, sum, 1, y, channels);
    }
}


/* sum[c] = the squares in the window around c, added from left to right. */
static void
window_sum(const infer_call_t *call, const float *square, float *sum,
    int64_t n)
{
    int64_t               size, first, last, from;
    const infer_binary_t  add = { .kind = INFER_ADD };

    size = call->param->lrn.size;
    first = -((size - 1) / 2);
    last = size / 2;

    first = first > -n ? first : 1 - n;
    last = last < n ? last : n - 1;

    for (int64_t c = 0; c < n; c++) {
        sum[c] = 0;
    }

    for (int64_t shift = first; shift <= last; shift++) {
        from = shift < 0 ? -shift : 0;

        call->kernels->binary_f32(&add, sum + from, 1, square + from + shift,
                                  1, sum + from,
                                  (size_t) (n - (shift < 0 ? -shift
                                                           : shift)));
    }
}


/* d = d^beta */
static void
raise(const infer_call_t *call, float *d, float *work, size_t n)
{
    const infer_unary_t   root = { .kind = INFER_SQRT };
    const infer_binary_t  multiply = { .kind = INFER_MUL };

    if (call->param->lrn.beta == 0.75f) {
        call->kernels->unary_f32(&root, d, d, n);
        call->kernels->unary_f32(&root, d, work, n);
        call->kernels->binary_f32(&multiply, d, 1, work, 1, d, n);
        return;
    }

    for (size_t i = 0; i < n; i++) {
        d[i] = (float) pow((double) d[i], (double) call->param->lrn.beta);
    }
}


const infer_op_t  infer_op_lrn = {
    .name = "lrn",
    .shape = lrn_shape,
    .run = lrn_run,
    .scratch = lrn_scratch
};
