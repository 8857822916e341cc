/*
 * Pad: adds elements (a constant, the reflection, or the edge) around a
 * tensor, or cuts some off.  Dimensions behind the last padded one make
 * blocks that move as a whole.
 */

#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


/* No tensor is larger: sums of sizes and padding do not overflow. */
#define LIMIT  INT32_MAX


typedef struct {
    const infer_pad_t     *param;
    const infer_tensor_t  *x;
    infer_tensor_t        *y;
    int                    last;       /* the last dimension with padding */
    int64_t                stride[INFER_MAX_RANK];    /* of x, in elements */
    size_t                 size;       /* bytes of an element */
    size_t                 block;      /* bytes behind one index of last */
    unsigned char          value[8];
} pad_t;


static int check_mirror(infer_graph_t *g, const infer_node_t *node, int i);
static void pad_rows(void *arg, const int64_t *offset, size_t n, size_t slot);
static void pad_row(const pad_t *pad, const unsigned char *x,
    unsigned char *y);
static int64_t source_row(const pad_t *pad, int64_t row);
static int64_t source_index(const infer_pad_t *param, int i, int64_t o,
    int64_t n);
static void fill(const pad_t *pad, unsigned char *y, size_t bytes);


static int
pad_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_pad_t    *param = &node->param.pad;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    if (param->mode < INFER_PAD_CONSTANT || param->mode > INFER_PAD_EDGE) {
        return infer_node_fail(g, node, "unknown mode %d",
                               (int) param->mode);
    }

    x = node->in[0];

    for (int i = 0; i < x->rank; i++) {
        dim[i] = x->dim[i];

        if (param->before[i] < -LIMIT || param->before[i] > LIMIT
            || param->after[i] < -LIMIT || param->after[i] > LIMIT
            || __builtin_add_overflow(dim[i].base,
                                      param->before[i] + param->after[i],
                                      &dim[i].base))
        {
            return infer_node_fail(g, node, "padding %lld, %lld of dimension "
                                   "%d", (long long) param->before[i],
                                   (long long) param->after[i], i);
        }

        if (param->mode != INFER_PAD_CONSTANT
            && check_mirror(g, node, i) != 0)
        {
            return -1;
        }
    }

    infer_set_result(node->out[0], x->dtype, x->rank, dim);

    return 0;
}


/* There must be something to repeat. */
static int
check_mirror(infer_graph_t *g, const infer_node_t *node, int i)
{
    infer_dim_t         d = node->in[0]->dim[i];
    const infer_pad_t  *param = &node->param.pad;

    d.base--;

    if ((param->before[i] > 0 || param->after[i] > 0)
        && !infer_dim_never_negative(d))
    {
        return infer_node_fail(g, node, "dimension %d is empty: nothing to "
                               "repeat", i);
    }

    return 0;
}


static void
pad_run(const infer_call_t *call)
{
    size_t        width;
    pad_t         pad;
    infer_nest_t  rows;

    pad.param = &call->param->pad;
    pad.x = call->in[0];
    pad.y = call->out[0];
    pad.size = infer_dtype_size(pad.y->dtype);
    pad.block = pad.size;

    if (infer_numel(pad.y) == 0) {
        return;
    }

    infer_convert(pad.y->dtype, pad.value, INFER_F64, &pad.param->value, 1);
    infer_strides(pad.x, pad.stride);

    pad.last = pad.y->rank - 1;

    while (pad.last > 0 && pad.param->before[pad.last] == 0
           && pad.param->after[pad.last] == 0)
    {
        pad.block *= (size_t) pad.y->dim[pad.last--];
    }

    rows.rank = 1;
    rows.operands = 1;
    rows.dim[0] = 1;
    rows.stride[0][0] = 1;

    for (int i = 0; i < pad.last; i++) {
        rows.dim[0] *= pad.y->dim[i];
    }

    width = infer_numel(pad.y) / (size_t) rows.dim[0];

    infer_nest_run(call, &rows, 1, INFER_GRAIN / width + 1, pad_rows, &pad);
}


static void
pad_rows(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    size_t                width;
    int64_t               row;
    const pad_t          *pad = arg;
    unsigned char        *y;
    const unsigned char  *x;

    (void) slot;

    /* A tensor of rank 0 is one row of one block. */
    width = pad->last < 0 ? pad->block
                          : (size_t) pad->y->dim[pad->last] * pad->block;

    for (size_t k = 0; k < n; k++) {
        y = (unsigned char *) pad->y->data + ((size_t) offset[0] + k) * width;
        row = source_row(pad, offset[0] + (int64_t) k);

        if (row < 0) {
            fill(pad, y, width);
            continue;
        }

        x = (const unsigned char *) pad->x->data + (size_t) row * pad->size;

        if (pad->last < 0) {
            memcpy(y, x, width);

        } else {
            pad_row(pad, x, y);
        }
    }
}


/* The borders block by block, what lies between them at once. */
static void
pad_row(const pad_t *pad, const unsigned char *x, unsigned char *y)
{
    size_t   run;
    int64_t  n, width, from, before;

    n = pad->x->dim[pad->last];
    width = pad->y->dim[pad->last];
    before = pad->param->before[pad->last];

    for (int64_t o = 0; o < width; o += (int64_t) run) {
        run = 1;
        from = source_index(pad->param, pad->last, o, n);

        if (from < 0) {
            fill(pad, y, pad->block);

        } else {
            if (from == o - before) {
                run = (size_t) (n - from < width - o ? n - from : width - o);
            }

            memcpy(y, x + (size_t) from * pad->block, run * pad->block);
        }

        y += run * pad->block;
    }
}


/* The element of x where a row of y comes from; -1: a row of padding. */
static int64_t
source_row(const pad_t *pad, int64_t row)
{
    int64_t  i, from;

    from = 0;

    for (int d = pad->last - 1; d >= 0; d--) {
        i = source_index(pad->param, d, row % pad->y->dim[d],
                         pad->x->dim[d]);
        if (i < 0) {
            return -1;
        }

        row /= pad->y->dim[d];
        from += i * pad->stride[d];
    }

    return from;
}


/* Where element o of dimension i comes from, out of n; -1: the constant. */
static int64_t
source_index(const infer_pad_t *param, int i, int64_t o, int64_t n)
{
    int64_t  from, period;

    from = o - param->before[i];

    if (from >= 0 && from < n) {
        return from;
    }

    if (param->mode == INFER_PAD_CONSTANT) {
        return -1;
    }

    if (param->mode == INFER_PAD_EDGE || n == 1) {
        return from < 0 ? 0 : n - 1;
    }

    /* 0 1 2 3 2 1 0 1 ...: from end to end and back. */
    period = 2 * (n - 1);
    from %= period;
    from = from < 0 ? from + period : from;

    return from < n ? from : period - from;
}


static void
fill(const pad_t *pad, unsigned char *y, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += pad->size) {
        memcpy(y + i, pad->value, pad->size);
    }
}


const infer_op_t  infer_op_pad = {
    .name = "pad",
    .shape = pad_shape,
    .run = pad_run
};
