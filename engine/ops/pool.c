/*
 * Max and average pooling over (N, D, H, W, C); with fewer spatial dimensions
 * the leading ones are 1.
 *
 * Floats and unsigned bytes have their own files; other dtypes, and maxima
 * with indices, visit each tap of a pixel here.
 */

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ops/pool.h"


/* A tap of a window, and the place in the input where it lies. */
typedef struct {
    infer_pool_taps_t   taps[3];
    int64_t  k[3];
    int64_t  pos[3];
} walk_t;


static int check_window(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w, int lead);
static int output_size(infer_graph_t *g, const infer_node_t *node,
    const infer_pool_t *param, int i, infer_dim_t in, infer_dim_t *out);
static int admitted(const infer_pool_t *param, infer_dtype_t dtype);
static infer_pool_taps_t taps_between(const infer_pooling_t *p, int i, int64_t o, int64_t low,
    int64_t high);
static void row_pixels(void *arg, size_t i, size_t slot);
static int taps_begin(const infer_pooling_t *p, const int64_t *at, walk_t *walk);
static int taps_next(const infer_pooling_t *p, const int64_t *at, walk_t *walk);
static void taps_locate(const infer_pooling_t *p, const int64_t *at, walk_t *walk);
static int64_t flat_index(const infer_pooling_t *p, int64_t n, int64_t c,
    const int64_t *pos);


static int
pool_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_pool_t   *param = &node->param.pool;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 2) != 0) {
        return -1;
    }

    x = node->in[0];
    if (!admitted(param, x->dtype)) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (node->n_out == 2
        && (param->average || param->indices < 1 || param->indices > 2))
    {
        return infer_node_fail(g, node, "has no indices to give");
    }

    if (infer_pool_shape(g, node, param, dim) != 0) {
        return -1;
    }

    infer_set_result(node->out[0], x->dtype, x->rank, dim);

    if (node->n_out == 2) {
        infer_set_result(node->out[1], INFER_I64, x->rank, dim);
    }

    return 0;
}


int
infer_pool_shape(infer_graph_t *g, const infer_node_t *node,
    const infer_pool_t *param, infer_dim_t *dim)
{
    int                   lead;
    const infer_value_t  *x = node->in[0];

    lead = 5 - x->rank;

    if (lead < 0 || lead > 2) {
        return infer_node_fail(g, node, "rank %d is not in 3 .. 5", x->rank);
    }

    if (check_window(g, node, &param->window, lead) != 0) {
        return -1;
    }

    dim[0] = x->dim[0];
    dim[x->rank - 1] = x->dim[x->rank - 1];

    for (int i = lead; i < 3; i++) {
        if (output_size(g, node, param, i, x->dim[i - lead + 1],
                        &dim[i - lead + 1]) != 0)
        {
            return -1;
        }
    }

    return 0;
}


/* lead: how many of the three dimensions are not there. */
static int
check_window(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w, int lead)
{
    int64_t  extent;

    for (int i = 0; i < 3; i++) {
        if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1) {
            return infer_node_fail(g, node, "kernel %d, stride %d, dilation "
                                   "%d: all must be positive",
                                   (int) w->kernel[i], (int) w->stride[i],
                                   (int) w->dilation[i]);
        }

        extent = (int64_t) (w->kernel[i] - 1) * w->dilation[i] + 1;

        if (i < lead && (extent != 1 || w->stride[i] != 1)) {
            return infer_node_fail(g, node, "the window has more dimensions "
                                   "than the input");
        }

        if (w->before[i] < 0 || w->before[i] >= extent
            || w->after[i] < 0 || w->after[i] >= extent)
        {
            return infer_node_fail(g, node, "padding %d, %d of a window of "
                                   "%lld", (int) w->before[i],
                                   (int) w->after[i], (long long) extent);
        }
    }

    return 0;
}


/*
 * floor((in + padding - extent) / stride) + 1; where sizes are rounded up,
 * a window must still start inside the input or the padding before it.
 */
static int
output_size(infer_graph_t *g, const infer_node_t *node,
    const infer_pool_t *param, int i, infer_dim_t in, infer_dim_t *out)
{
    int64_t                n, room, stride;
    const infer_window_t  *w = &param->window;

    if (in.batch != 0 || in.base < 1 || in.base > INT32_MAX) {
        return infer_node_fail(g, node, "spatial dimensions must be known "
                               "and positive");
    }

    stride = w->stride[i];
    room = in.base + w->before[i] + w->after[i]
           - ((int64_t) (w->kernel[i] - 1) * w->dilation[i] + 1);

    if (room < 0) {
        return infer_node_fail(g, node, "the window is larger than the "
                               "padded input");
    }

    n = (param->ceil ? room + stride - 1 : room) / stride + 1;

    if (param->ceil && (n - 1) * stride >= in.base + w->before[i]) {
        n--;
    }

    *out = infer_dim(n);

    return 0;
}


static int
admitted(const infer_pool_t *param, infer_dtype_t dtype)
{
    switch (dtype) {
    case INFER_F32:
    case INFER_F64:
        return 1;

    case INFER_I8:
    case INFER_U8:
    case INFER_I32:
    case INFER_I64:
        return !param->average;

    default:
        return 0;
    }
}


static size_t
pool_scratch(const infer_call_t *call)
{
    const infer_tensor_t  *x = call->in[0];

    if (x->dtype == INFER_U8) {
        return infer_pool_u8_scratch(call, &call->param->pool.window);
    }

    return x->dtype == INFER_F32
           ? infer_pool_f32_scratch(call, &call->param->pool.window) : 0;
}


void
infer_pooling_init(infer_pooling_t *p, const infer_call_t *call,
    const infer_pool_t *param)
{
    int                    j;
    const infer_tensor_t  *x = call->in[0], *y = call->out[0];

    p->call = call;
    p->param = param;
    p->window = &param->window;
    p->channels = x->dim[x->rank - 1];
    p->ld = (int64_t) infer_out_ld(call);

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        p->in[i] = j < 1 ? 1 : x->dim[j];
        p->out[i] = j < 1 ? 1 : y->dim[j];
    }
}


/* The taps of output o that lie at low <= position < high. */
static infer_pool_taps_t
taps_between(const infer_pooling_t *p, int i, int64_t o, int64_t low, int64_t high)
{
    infer_pool_taps_t   t;
    int64_t  start, dilation;

    dilation = p->window->dilation[i];
    start = o * p->window->stride[i] - p->window->before[i];

    t.first = start >= low ? 0 : (low - start + dilation - 1) / dilation;
    t.end = start >= high ? 0 : (high - 1 - start) / dilation + 1;
    t.end = t.end < p->window->kernel[i] ? t.end : p->window->kernel[i];

    return t;
}


size_t
infer_pool_most_taps(const infer_call_t *call, const infer_window_t *w, int i)
{
    int                    d;
    size_t                 most;
    const infer_tensor_t  *x = call->in[0];

    d = x->rank - 4 + i;
    most = d < 1 ? 1 : (size_t) x->dim[d];

    return most < (size_t) w->kernel[i] ? most : (size_t) w->kernel[i];
}


infer_pool_taps_t
infer_pool_taps_inside(const infer_pooling_t *p, int i, int64_t o)
{
    return taps_between(p, i, o, 0, p->in[i]);
}


int64_t
infer_pool_divisor(const infer_pooling_t *p, const int64_t *at)
{
    int64_t                n = 1;
    infer_pool_taps_t      t;
    const infer_window_t  *w = p->window;

    for (int i = 0; i < 3; i++) {
        if (p->param->count_include_pad) {
            t = taps_between(p, i, at[i + 1], -(int64_t) w->before[i],
                             p->in[i] + w->after[i]);
        } else {
            t = infer_pool_taps_inside(p, i, at[i + 1]);
        }

        n *= t.end > t.first ? t.end - t.first : 0;
    }

    return n > 0 ? n : 1;
}


/* ---- any dtype, pixel by pixel ----------------------------------------- */

static void
row_pixels(void *arg, size_t i, size_t slot)
{
    int64_t        at[4];
    const infer_pooling_t  *p = arg;

    (void) slot;

    at[0] = (int64_t) i / (p->out[0] * p->out[1]);
    at[1] = (int64_t) i / p->out[1] % p->out[0];
    at[2] = (int64_t) i % p->out[1];

    for (at[3] = 0; at[3] < p->out[2]; at[3]++) {
        p->pixel(p, at);
    }
}


static int64_t
flat_index(const infer_pooling_t *p, int64_t n, int64_t c, const int64_t *pos)
{
    int64_t  plane;

    plane = (n * p->channels + c) * p->in[0] * p->in[1] * p->in[2];

    if (p->param->indices == 2) {
        return plane + pos[0] + p->in[0] * (pos[1] + p->in[1] * pos[2]);
    }

    return plane + pos[2] + p->in[2] * (pos[1] + p->in[1] * pos[0]);
}


/* Steps to the first tap of output at[]; 0 where there is none. */
static int
taps_begin(const infer_pooling_t *p, const int64_t *at, walk_t *walk)
{
    for (int i = 0; i < 3; i++) {
        walk->taps[i] = infer_pool_taps_inside(p, i, at[i + 1]);
        walk->k[i] = walk->taps[i].first;

        if (walk->taps[i].first >= walk->taps[i].end) {
            return 0;
        }
    }

    taps_locate(p, at, walk);

    return 1;
}


static int
taps_next(const infer_pooling_t *p, const int64_t *at, walk_t *walk)
{
    for (int i = 2; i >= 0; i--) {
        if (++walk->k[i] < walk->taps[i].end) {
            taps_locate(p, at, walk);
            return 1;
        }

        walk->k[i] = walk->taps[i].first;
    }

    return 0;
}


static void
taps_locate(const infer_pooling_t *p, const int64_t *at, walk_t *walk)
{
    const infer_window_t  *w = p->window;

    for (int i = 0; i < 3; i++) {
        walk->pos[i] = at[i + 1] * w->stride[i] - w->before[i]
                       + walk->k[i] * w->dilation[i];
    }
}


static int64_t
pixel_offset(const int64_t *dim, int64_t channels, int64_t n,
    const int64_t *pos)
{
    return (((n * dim[0] + pos[0]) * dim[1] + pos[1]) * dim[2] + pos[2])
           * channels;
}


#define IS_NAN(v)   ((v) != (v))
#define NEVER(v)    0

/* The first of equal maxima wins, and NaN over all. */
#define MAX_PIXEL(T, name, lowest, is_nan)                                   \
                                                                             \
static void                                                                  \
name(const infer_pooling_t *p, const int64_t *at)                                     \
{                                                                            \
    int       first = 1, more;                                               \
    T        *y;                                                             \
    const T  *x;                                                             \
    walk_t    walk;                                                          \
    int64_t  *index, offset;                                                 \
                                                                             \
    offset = pixel_offset(p->out, p->channels, at[0], at + 1);               \
    y = (T *) p->call->out[0]->data + offset;                                \
    index = p->call->n_out < 2 ? NULL                                        \
            : (int64_t *) p->call->out[1]->data + offset;                    \
                                                                             \
    for (int64_t c = 0; c < p->channels; c++) {                              \
        y[c] = lowest;                                                       \
                                                                             \
        if (index != NULL) {                                                 \
            index[c] = 0;                                                    \
        }                                                                    \
    }                                                                        \
                                                                             \
    for (more = taps_begin(p, at, &walk); more;                              \
         more = taps_next(p, at, &walk))                                     \
    {                                                                        \
        x = (const T *) p->call->in[0]->data                                 \
            + pixel_offset(p->in, p->channels, at[0], walk.pos);             \
                                                                             \
        for (int64_t c = 0; c < p->channels; c++) {                          \
            if (first || x[c] > y[c] || (is_nan(x[c]) && !is_nan(y[c]))) {   \
                y[c] = x[c];                                                 \
                                                                             \
                if (index != NULL) {                                         \
                    index[c] = flat_index(p, at[0], c, walk.pos);             \
                }                                                            \
            }                                                                \
        }                                                                    \
                                                                             \
        first = 0;                                                           \
    }                                                                        \
}

MAX_PIXEL(float, max_f32, -INFINITY, IS_NAN)
MAX_PIXEL(double, max_f64, -INFINITY, IS_NAN)
MAX_PIXEL(int8_t, max_i8, INT8_MIN, NEVER)
MAX_PIXEL(uint8_t, max_u8, 0, NEVER)
MAX_PIXEL(int32_t, max_i32, INT32_MIN, NEVER)
MAX_PIXEL(int64_t, max_i64, INT64_MIN, NEVER)


static void
average_f64(const infer_pooling_t *p, const int64_t *at)
{
    int            more;
    double        *y;
    walk_t         walk;
    int64_t        n;
    const double  *x;

    n = infer_pool_divisor(p, at);
    y = (double *) p->call->out[0]->data
        + pixel_offset(p->out, p->channels, at[0], at + 1);

    memset(y, 0, (size_t) p->channels * sizeof(double));

    for (more = taps_begin(p, at, &walk); more;
         more = taps_next(p, at, &walk))
    {
        x = (const double *) p->call->in[0]->data
            + pixel_offset(p->in, p->channels, at[0], walk.pos);

        for (int64_t c = 0; c < p->channels; c++) {
            y[c] += x[c];
        }
    }

    for (int64_t c = 0; c < p->channels; c++) {
        y[c] /= (double) n;
    }
}


static void
pool_run(const infer_call_t *call)
{
    infer_pooling_t        p;
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    infer_pooling_init(&p, call, &call->param->pool);

    switch (x->dtype) {
    case INFER_F32:
        if (call->n_out == 1) {
            infer_pool_f32_run(&p);
            return;
        }

        p.pixel = max_f32;
        break;

    case INFER_F64:
        p.pixel = p.param->average ? average_f64 : max_f64;
        break;

    case INFER_I8:
        p.pixel = max_i8;
        break;

    case INFER_U8:
        if (call->n_out == 1) {
            infer_pool_u8_run(&p);
            return;
        }

        p.pixel = max_u8;
        break;

    case INFER_I32:
        p.pixel = max_i32;
        break;

    default:
        p.pixel = max_i64;
    }

    infer_parallel_for(call, row_pixels, &p,
                       (size_t) (x->dim[0] * p.out[0] * p.out[1]));
}


/* Averages are divided over whole rows. */
static int
pool_strided(const infer_call_t *call)
{
    return call->in[0]->dtype == INFER_F32 && call->n_out == 1
           && !call->param->pool.average;
}


const infer_op_t  infer_op_pool = {
    .name = "pool",
    .shape = pool_shape,
    .run = pool_run,
    .strided = pool_strided,
    .scratch = pool_scratch
};
