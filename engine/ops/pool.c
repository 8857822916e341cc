/*
 * Max and average pooling over (N, D, H, W, C); with fewer spatial dimensions
 * the leading ones are 1.
 *
 * f32 is separable: the rows under the window are combined over their whole
 * width W * C first, then the columns over C.  Both steps are kernels in an
 * order that depends on the window alone, so the bits do not depend on the
 * batch or on threads.  Other dtypes, and maxima with indices, visit each tap.
 */

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ops/common.h"


typedef struct pool_s  pool_t;

struct pool_s {
    const infer_call_t    *call;
    const infer_pool_t    *param;
    const infer_window_t  *window;
    int64_t                in[3];      /* D, H, W */
    int64_t                out[3];     /* OD, OH, OW */
    int64_t                channels;
    int64_t                ld;         /* from output to output */
    void                 (*pixel)(const pool_t *p, const int64_t *at);
};

/* Taps first .. end - 1 of a window along one dimension. */
typedef struct {
    int64_t  first;
    int64_t  end;
} taps_t;

/* A tap of a window, and the place in the input where it lies. */
typedef struct {
    taps_t   taps[3];
    int64_t  k[3];
    int64_t  pos[3];
} walk_t;


static int check_window(infer_graph_t *g, const infer_node_t *node, int lead);
static int output_size(infer_graph_t *g, const infer_node_t *node, int i,
    infer_dim_t in, infer_dim_t *out);
static int admitted(const infer_pool_t *param, infer_dtype_t dtype);
static void pool_init(pool_t *p, const infer_call_t *call);
static taps_t taps_between(const pool_t *p, int i, int64_t o, int64_t low,
    int64_t high);
static taps_t taps_inside(const pool_t *p, int i, int64_t o);
static void row_f32(void *arg, size_t i, size_t slot);
static int combine_rows(const pool_t *p, const infer_binary_t *bin,
    const int64_t *at, float *sum);
static void combine_columns(const pool_t *p, infer_tap_f32_t *tap,
    const float *sum, float *y);
static void fill(const pool_t *p, float *y, int64_t n);
static void divide_row(const pool_t *p, const int64_t *at, float *y);
static int64_t divisor(const pool_t *p, const int64_t *at);
static void row_pixels(void *arg, size_t i, size_t slot);
static int taps_begin(const pool_t *p, const int64_t *at, walk_t *walk);
static int taps_next(const pool_t *p, const int64_t *at, walk_t *walk);
static void taps_locate(const pool_t *p, const int64_t *at, walk_t *walk);
static int64_t flat_index(const pool_t *p, int64_t n, int64_t c,
    const int64_t *pos);


static int
pool_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   lead;
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_pool_t   *param = &node->param.pool;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 2) != 0) {
        return -1;
    }

    x = node->in[0];
    lead = 5 - x->rank;

    if (lead < 0 || lead > 2) {
        return infer_node_fail(g, node, "rank %d is not in 3 .. 5", x->rank);
    }

    if (!admitted(param, x->dtype)) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (node->n_out == 2
        && (param->average || param->indices < 1 || param->indices > 2))
    {
        return infer_node_fail(g, node, "has no indices to give");
    }

    if (check_window(g, node, lead) != 0) {
        return -1;
    }

    dim[0] = x->dim[0];
    dim[x->rank - 1] = x->dim[x->rank - 1];

    for (int i = lead; i < 3; i++) {
        if (output_size(g, node, i, x->dim[i - lead + 1],
                        &dim[i - lead + 1]) != 0)
        {
            return -1;
        }
    }

    infer_set_result(node->out[0], x->dtype, x->rank, dim);

    if (node->n_out == 2) {
        infer_set_result(node->out[1], INFER_I64, x->rank, dim);
    }

    return 0;
}


/* lead: how many of the three dimensions are not there. */
static int
check_window(infer_graph_t *g, const infer_node_t *node, int lead)
{
    int64_t                extent;
    const infer_window_t  *w = &node->param.pool.window;

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
output_size(infer_graph_t *g, const infer_node_t *node, int i, infer_dim_t in,
    infer_dim_t *out)
{
    int64_t                n, room, stride;
    const infer_pool_t    *param = &node->param.pool;
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

    /* the taps of a row, and the row that they are taken from */
    return (size_t) call->param->pool.window.kernel[2]
           * sizeof(infer_tap_f32_t)
           + (size_t) x->dim[x->rank - 2] * (size_t) x->dim[x->rank - 1]
             * sizeof(float);
}


static void
pool_init(pool_t *p, const infer_call_t *call)
{
    int                    j;
    const infer_tensor_t  *x = call->in[0], *y = call->out[0];

    p->call = call;
    p->param = &call->param->pool;
    p->window = &p->param->window;
    p->channels = x->dim[x->rank - 1];
    p->ld = (int64_t) infer_out_ld(call);

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        p->in[i] = j < 1 ? 1 : x->dim[j];
        p->out[i] = j < 1 ? 1 : y->dim[j];
    }
}


/* The taps of output o that lie at low <= position < high. */
static taps_t
taps_between(const pool_t *p, int i, int64_t o, int64_t low, int64_t high)
{
    taps_t   t;
    int64_t  start, dilation;

    dilation = p->window->dilation[i];
    start = o * p->window->stride[i] - p->window->before[i];

    t.first = start >= low ? 0 : (low - start + dilation - 1) / dilation;
    t.end = start >= high ? 0 : (high - 1 - start) / dilation + 1;
    t.end = t.end < p->window->kernel[i] ? t.end : p->window->kernel[i];

    return t;
}


static taps_t
taps_inside(const pool_t *p, int i, int64_t o)
{
    return taps_between(p, i, o, 0, p->in[i]);
}


/* ---- f32, by rows ------------------------------------------------------ */

static void
row_f32(void *arg, size_t i, size_t slot)
{
    float                 *y, *sum;
    int64_t                at[4];
    const pool_t          *p = arg;
    infer_tap_f32_t       *tap;
    const infer_binary_t   bin = {
        .kind = p->param->average ? INFER_ADD : INFER_MAX
    };

    y = (float *) p->call->out[0]->data
        + (int64_t) i * p->out[2] * p->ld;
    tap = infer_scratch(p->call, slot);
    sum = (float *) (tap + p->window->kernel[2]);

    at[0] = (int64_t) i / (p->out[0] * p->out[1]);
    at[1] = (int64_t) i / p->out[1] % p->out[0];
    at[2] = (int64_t) i % p->out[1];

    if (combine_rows(p, &bin, at, sum)) {
        combine_columns(p, tap, sum, y);
    } else {
        fill(p, y, p->out[2]);
    }

    if (p->param->average) {
        divide_row(p, at, y);
    }
}


/* All rows under the window of output (n, od, oh) into one; 0: none. */
static int
combine_rows(const pool_t *p, const infer_binary_t *bin, const int64_t *at,
    float *sum)
{
    int                    any;
    taps_t                 d, h;
    int64_t                row, n;
    const float           *x;
    const infer_window_t  *w = p->window;

    d = taps_inside(p, 0, at[1]);
    h = taps_inside(p, 1, at[2]);
    n = p->in[2] * p->channels;
    any = 0;

    for (int64_t kd = d.first; kd < d.end; kd++) {
        for (int64_t kh = h.first; kh < h.end; kh++) {
            row = at[0] * p->in[0]
                  + at[1] * w->stride[0] - w->before[0] + kd * w->dilation[0];
            row = row * p->in[1]
                  + at[2] * w->stride[1] - w->before[1] + kh * w->dilation[1];

            x = (const float *) p->call->in[0]->data + row * n;

            if (any) {
                p->call->kernels->binary_f32(bin, sum, 1, x, 1, sum,
                                             (size_t) n);
            } else {
                memcpy(sum, x, (size_t) n * sizeof(float));
            }

            any = 1;
        }
    }

    return any;
}


/* The columns under each window: outputs with the same taps at once. */
static void
combine_columns(const pool_t *p, infer_tap_f32_t *tap, const float *sum,
    float *y)
{
    taps_t                 t, next;
    int64_t                n;
    infer_pool_f32_t       row;
    const infer_window_t  *w = p->window;

    row.tap = tap;
    row.channels = (size_t) p->channels;
    row.ldc = (size_t) p->ld;
    row.sum = p->param->average;

    for (int64_t o = 0; o < p->out[2]; o += n) {
        t = taps_inside(p, 2, o);

        for (n = 1; o + n < p->out[2]; n++) {
            next = taps_inside(p, 2, o + n);

            if (next.first != t.first || next.end != t.end) {
                break;
            }
        }

        if (t.first >= t.end) {
            fill(p, y + o * p->ld, n);
            continue;
        }

        for (int64_t k = t.first; k < t.end; k++) {
            tap[k - t.first].x = sum + (o * w->stride[2] - w->before[2]
                                        + k * w->dilation[2]) * p->channels;
            tap[k - t.first].step = (size_t) (w->stride[2] * p->channels);
        }

        row.taps = (size_t) (t.end - t.first);
        row.width = (size_t) n;
        row.c = y + o * p->ld;

        p->call->kernels->pool_f32(&row);
    }
}


/* n outputs of windows without a tap. */
static void
fill(const pool_t *p, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++, y += p->ld) {
        for (int64_t c = 0; c < p->channels; c++) {
            y[c] = p->param->average ? 0 : -INFINITY;
        }
    }
}


/* Divides each output by its count, outputs with equal counts at once. */
static void
divide_row(const pool_t *p, const int64_t *at, float *y)
{
    float                 count;
    int64_t               first, next, here[4];
    const infer_binary_t  bin = { .kind = INFER_DIV };

    memcpy(here, at, 3 * sizeof(int64_t));

    for (first = 0; first < p->out[2]; first = next) {
        here[3] = first;
        count = (float) divisor(p, here);

        for (next = first + 1; next < p->out[2]; next++) {
            here[3] = next;

            if ((float) divisor(p, here) != count) {
                break;
            }
        }

        p->call->kernels->binary_f32(&bin, y + first * p->channels, 1, &count,
                                     0, y + first * p->channels,
                                     (size_t) ((next - first)
                                               * p->channels));
    }
}


/*
 * The elements that an average is over: those of the input, or those of input
 * and padding (but not what a window rounded up covers beyond the padding).
 * A dilated window may have none: 1, so that the result is 0.
 */
static int64_t
divisor(const pool_t *p, const int64_t *at)
{
    taps_t                 t;
    int64_t                n = 1;
    const infer_window_t  *w = p->window;

    for (int i = 0; i < 3; i++) {
        if (p->param->count_include_pad) {
            t = taps_between(p, i, at[i + 1], -(int64_t) w->before[i],
                             p->in[i] + w->after[i]);
        } else {
            t = taps_inside(p, i, at[i + 1]);
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
    const pool_t  *p = arg;

    (void) slot;

    at[0] = (int64_t) i / (p->out[0] * p->out[1]);
    at[1] = (int64_t) i / p->out[1] % p->out[0];
    at[2] = (int64_t) i % p->out[1];

    for (at[3] = 0; at[3] < p->out[2]; at[3]++) {
        p->pixel(p, at);
    }
}


static int64_t
flat_index(const pool_t *p, int64_t n, int64_t c, const int64_t *pos)
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
taps_begin(const pool_t *p, const int64_t *at, walk_t *walk)
{
    for (int i = 0; i < 3; i++) {
        walk->taps[i] = taps_inside(p, i, at[i + 1]);
        walk->k[i] = walk->taps[i].first;

        if (walk->taps[i].first >= walk->taps[i].end) {
            return 0;
        }
    }

    taps_locate(p, at, walk);

    return 1;
}


static int
taps_next(const pool_t *p, const int64_t *at, walk_t *walk)
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
taps_locate(const pool_t *p, const int64_t *at, walk_t *walk)
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
name(const pool_t *p, const int64_t *at)                                     \
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
average_f64(const pool_t *p, const int64_t *at)
{
    int            more;
    double        *y;
    walk_t         walk;
    int64_t        n;
    const double  *x;

    n = divisor(p, at);
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
    pool_t                 p;
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    pool_init(&p, call);

    switch (x->dtype) {
    case INFER_F32:
        p.pixel = call->n_out == 2 ? max_f32 : NULL;
        break;

    case INFER_F64:
        p.pixel = p.param->average ? average_f64 : max_f64;
        break;

    case INFER_I8:
        p.pixel = max_i8;
        break;

    case INFER_U8:
        p.pixel = max_u8;
        break;

    case INFER_I32:
        p.pixel = max_i32;
        break;

    default:
        p.pixel = max_i64;
    }

    infer_parallel_for(call, p.pixel == NULL ? row_f32 : row_pixels, &p,
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
