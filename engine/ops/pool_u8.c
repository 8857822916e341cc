/*
 * Pools of unsigned bytes: maxima, and averages with a scale (QPOOL).  Each
 * output visits all taps of its window, neighbours with the same taps
 * together.
 */

#include <string.h>

#include "ops/integer.h"
#include "ops/pool.h"


static void row_u8(void *arg, size_t i, size_t slot);
static size_t locate_taps(const infer_pooling_t *p, const int64_t *at,
    const infer_pool_taps_t *w, infer_tap_t *tap);
static void end_average(const infer_pooling_t *p, infer_pool_u8_t *row);
static int same_window(const infer_pooling_t *p, const int64_t *at,
    const infer_pool_taps_t *w, int64_t divisor);


size_t
infer_pool_u8_scratch(const infer_call_t *call, const infer_window_t *window)
{
    size_t  n = 1;

    for (int i = 0; i < 3; i++) {
        n *= infer_pool_most_taps(call, window, i);
    }

    return n * sizeof(infer_tap_t);
}


void
infer_pool_u8_run(const infer_pooling_t *p)
{
    infer_parallel_for(p->call, row_u8, (void *) p,
                       (size_t) (p->call->in[0]->dim[0] * p->out[0]
                                 * p->out[1]));
}


static void
row_u8(void *arg, size_t i, size_t slot)
{
    int64_t                 at[4], first, divisor;
    infer_pool_u8_t         row;
    infer_pool_taps_t       w[3];
    const infer_pooling_t  *p = arg;

    row.tap = infer_scratch(p->call, slot);
    row.channels = (size_t) p->channels;
    row.average = p->param->average;

    at[0] = (int64_t) i / (p->out[0] * p->out[1]);
    at[1] = (int64_t) i / p->out[1] % p->out[0];
    at[2] = (int64_t) i % p->out[1];
    at[3] = 0;

    while (at[3] < p->out[2]) {
        first = at[3];
        divisor = infer_pool_divisor(p, at);

        for (int k = 0; k < 3; k++) {
            w[k] = infer_pool_taps_inside(p, k, at[k + 1]);
        }

        row.taps = locate_taps(p, at, w, infer_scratch(p->call, slot));

        for (at[3]++; at[3] < p->out[2] && same_window(p, at, w, divisor);
             at[3]++) { /* void */ }

        row.width = (size_t) (at[3] - first);
        row.c = (uint8_t *) p->call->out[0]->data
                + ((int64_t) i * p->out[2] + first) * p->channels;

        if (row.average) {
            row.factor = (float) divisor;
            end_average(p, &row);
        }

        if (row.taps > 0) {
            p->call->kernels->integer->pool_u8(&row);

        } else {
            memset(row.c, row.average ? row.bytes.zero : 0,
                   row.width * row.channels);
        }
    }
}


/* Returns how many lie in the input. */
static size_t
locate_taps(const infer_pooling_t *p, const int64_t *at,
    const infer_pool_taps_t *w, infer_tap_t *tap)
{
    size_t                 n = 0;
    int64_t                pos[3], k[3];
    const infer_window_t  *window = p->window;

    for (k[0] = w[0].first; k[0] < w[0].end; k[0]++) {
        for (k[1] = w[1].first; k[1] < w[1].end; k[1]++) {
            for (k[2] = w[2].first; k[2] < w[2].end; k[2]++) {
                for (int i = 0; i < 3; i++) {
                    pos[i] = at[i + 1] * window->stride[i]
                             - window->before[i] + k[i] * window->dilation[i];
                }

                tap[n].x = (const uint8_t *) p->call->in[0]->data
                           + (((at[0] * p->in[0] + pos[0]) * p->in[1]
                               + pos[1]) * p->in[2] + pos[2]) * p->channels;
                tap[n].step = (size_t) (window->stride[2] * p->channels);
                n++;
            }
        }
    }

    return n;
}


static int
same_window(const infer_pooling_t *p, const int64_t *at,
    const infer_pool_taps_t *w, int64_t divisor)
{
    infer_pool_taps_t  t = infer_pool_taps_inside(p, 2, at[3]);

    return t.first == w[2].first && t.end == w[2].end
           && (!p->param->average || infer_pool_divisor(p, at) == divisor);
}


/* row->factor: the divisor */
static void
end_average(const infer_pooling_t *p, infer_pool_u8_t *row)
{
    const infer_qpool_t  *q = &p->call->param->qpool;

    row->offset = q->in.zero * (int32_t) row->taps;
    row->factor = q->in.scale / q->out.scale / row->factor;
    row->bytes = infer_bytes(INFER_U8, q->out.zero);
}


/* ---- QPOOL ------------------------------------------------------------ */

static infer_pool_t
pool_of(const infer_qpool_t *q)
{
    infer_pool_t  p;

    p.window = q->window;
    p.average = 1;
    p.count_include_pad = q->count_include_pad;
    p.ceil = q->ceil;
    p.indices = 0;

    return p;
}


static int
qpool_shape(infer_graph_t *g, const infer_node_t *node)
{
    int64_t                n = 1;
    infer_dim_t            dim[INFER_MAX_RANK];
    infer_pool_t           p = pool_of(&node->param.qpool);
    const infer_qpool_t   *q = &node->param.qpool;
    const infer_value_t   *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (x->dtype != INFER_U8) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (infer_pool_shape(g, node, &p, dim) != 0
        || infer_affine_scale_check(g, node, &q->in, INFER_U8, "input") != 0
        || infer_affine_scale_check(g, node, &q->out, INFER_U8, "result")
           != 0)
    {
        return -1;
    }

    for (int i = 0; i < 3; i++) {
        if (__builtin_mul_overflow(n, (int64_t) q->window.kernel[i], &n)
            || n > INT32_MAX / 255)
        {
            return infer_node_fail(g, node, "sums of the window may "
                                   "overflow");
        }
    }

    infer_set_result(node->out[0], INFER_U8, x->rank, dim);

    return 0;
}


static size_t
qpool_scratch(const infer_call_t *call)
{
    return infer_pool_u8_scratch(call, &call->param->qpool.window);
}


static void
qpool_run(const infer_call_t *call)
{
    infer_pool_t     param = pool_of(&call->param->qpool);
    infer_pooling_t  p;

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    infer_pooling_init(&p, call, &param);
    infer_pool_u8_run(&p);
}


const infer_op_t  infer_op_qpool = {
    .name = "qpool",
    .shape = qpool_shape,
    .run = qpool_run,
    .scratch = qpool_scratch
};
