/*
 * Resize, as ONNX defines it, for any rank and layout.
 *
 * Each dimension gets a table: for every output index the input elements
 * that it is made of (taps) and their weights.  An output element is the sum
 * over the product of the tables, always in the same order.  Dimensions that
 * stay as they are have one tap of weight 1; those behind the last resized
 * one make blocks (the channels of NHWC) that are added up as rows.  Nearest
 * is one tap in each dimension, and copies blocks of any dtype.
 */

#include <math.h>
#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


/* What a tap says of an output element that lies outside of the input. */
#define OUTSIDE  (-1)


typedef struct {
    int32_t  index;
    float    weight;
} tap_t;

typedef struct {
    const infer_resize_t  *param;
    const infer_tensor_t  *x;
    infer_tensor_t        *y;
    int                    last;       /* the last dimension that changes */
    size_t                 block;      /* elements behind it */
    size_t                 size;       /* bytes of an element */
    int64_t                stride[INFER_MAX_RANK];    /* of x, in elements */
    int64_t                taps[INFER_MAX_RANK];
    tap_t                 *table[INFER_MAX_RANK];     /* [out][taps] */
} resize_t;


static int check_dimension(infer_graph_t *g, const infer_node_t *node, int i);
static int is_identity(const infer_resize_t *param, int64_t in, int64_t out,
    int i);
static int64_t tap_count(const infer_resize_t *param, int64_t in,
    int64_t out, int i);
static void resize_init(resize_t *r, const infer_call_t *call);
static void fill_table(resize_t *r, int i);
static double coordinate(const resize_t *r, int i, int64_t o);
static void nearest_tap(const infer_resize_t *param, double x, int64_t n,
    tap_t *tap);
static void weighted_taps(const infer_resize_t *param, double scale, double x,
    int64_t n, tap_t *tap, int64_t taps);
static double kernel_weight(const infer_resize_t *param, double distance);
static void resize_rows(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static void add_rows(const resize_t *r, const tap_t *const *outer, int d,
    int64_t offset, float weight, float *y);
static void add_row(const resize_t *r, const float *x, float weight,
    float *y);
static void copy_row(const resize_t *r, const tap_t *const *outer, char *y);
static void extrapolate(const resize_t *r, int whole, float *y);


static int
resize_shape(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t   *x;
    const infer_resize_t  *param = &node->param.resize;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (param->mode < INFER_RESIZE_NEAREST || param->mode > INFER_RESIZE_CUBIC
        || param->coord < INFER_COORD_HALF_PIXEL
        || param->coord > INFER_COORD_HALF_PIXEL_SYMMETRIC
        || param->nearest < INFER_NEAREST_ROUND_PREFER_FLOOR
        || param->nearest > INFER_NEAREST_CEIL)
    {
        return infer_node_fail(g, node, "unknown mode");
    }

    if (x->dtype != INFER_F32
        && (param->mode != INFER_RESIZE_NEAREST
            || param->coord == INFER_COORD_TF_CROP_AND_RESIZE))
    {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (!isfinite(param->cubic_a)) {
        return infer_node_fail(g, node, "the cubic coefficient is not "
                               "finite");
    }

    for (int i = 0; i < x->rank; i++) {
        if (check_dimension(g, node, i) != 0) {
            return -1;
        }
    }

    infer_set_result(node->out[0], x->dtype, x->rank, param->out);

    return 0;
}


static int
check_dimension(infer_graph_t *g, const infer_node_t *node, int i)
{
    double                 length;
    infer_dim_t            in, out;
    const infer_resize_t  *param = &node->param.resize;

    in = node->in[0]->dim[i];
    out = param->out[i];

    if (!(param->scale[i] > 0) || !isfinite(param->scale[i])
        || !isfinite(param->roi_start[i]) || !isfinite(param->roi_end[i]))
    {
        return infer_node_fail(g, node, "scale %g of dimension %d",
                               (double) param->scale[i], i);
    }

    if (in.batch != 0 || out.batch != 0) {
        if (!infer_dim_equal(in, out) || param->scale[i] != 1
            || param->coord == INFER_COORD_TF_CROP_AND_RESIZE)
        {
            return infer_node_fail(g, node, "the batch cannot be resized");
        }

        return 0;
    }

    if (in.base < 0 || in.base > INT32_MAX || out.base < 0
        || out.base > INT32_MAX || (in.base == 0 && out.base > 0))
    {
        return infer_node_fail(g, node, "dimension %d cannot become %lld "
                               "from %lld", i, (long long) out.base,
                               (long long) in.base);
    }

    /* This bounds the number of taps. */
    length = (double) param->scale[i] * (double) in.base;

    if (param->antialias && out.base > 0
        && (length < 0.5 || fabs(length - (double) out.base) > 1))
    {
        return infer_node_fail(g, node, "scale %g of dimension %d does not "
                               "suit its size", (double) param->scale[i], i);
    }

    return 0;
}


/* Whether output o of dimension i is just input o. */
static int
is_identity(const infer_resize_t *param, int64_t in, int64_t out, int i)
{
    return in == out && param->scale[i] == 1
           && param->coord != INFER_COORD_TF_CROP_AND_RESIZE;
}


static int64_t
tap_count(const infer_resize_t *param, int64_t in, int64_t out, int i)
{
    int64_t  radius;

    if (is_identity(param, in, out, i)
        || param->mode == INFER_RESIZE_NEAREST)
    {
        return 1;
    }

    radius = param->mode == INFER_RESIZE_LINEAR ? 1 : 2;

    /* Antialiasing stretches the kernel over all that becomes one element. */
    if (param->antialias && param->scale[i] < 1) {
        radius = (int64_t) ceil((double) radius / (double) param->scale[i]);
    }

    return 2 * radius;
}


static size_t
resize_scratch(const infer_call_t *call)
{
    size_t                 n;
    const infer_tensor_t  *x = call->in[0], *y = call->out[0];

    n = 0;

    for (int i = 0; i < x->rank; i++) {
        n += (size_t) y->dim[i]
             * (size_t) tap_count(&call->param->resize, x->dim[i], y->dim[i],
                                  i);
    }

    return n * sizeof(tap_t);
}


static void
resize_run(const infer_call_t *call)
{
    size_t        width;
    resize_t      r;
    infer_nest_t  rows;

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    if (call->in[0]->rank == 0) {
        memcpy(call->out[0]->data, call->in[0]->data,
               infer_dtype_size(call->in[0]->dtype));
        return;
    }

    resize_init(&r, call);

    rows.rank = 1;
    rows.operands = 1;
    rows.dim[0] = 1;
    rows.stride[0][0] = 1;

    for (int i = 0; i < r.last; i++) {
        rows.dim[0] *= r.y->dim[i];
    }

    width = infer_numel(r.y) / (size_t) rows.dim[0];

    infer_nest_run(call, &rows, 1, INFER_GRAIN / width + 1, resize_rows, &r);
}


/* All slots read the tables in the scratch area of the first. */
static void
resize_init(resize_t *r, const infer_call_t *call)
{
    tap_t  *table;

    memset(r, 0, sizeof(*r));

    r->param = &call->param->resize;
    r->x = call->in[0];
    r->y = call->out[0];
    r->size = infer_dtype_size(r->x->dtype);
    r->block = 1;
    r->last = r->x->rank - 1;

    infer_strides(r->x, r->stride);

    while (r->last > 0
           && is_identity(r->param, r->x->dim[r->last], r->y->dim[r->last],
                          r->last))
    {
        r->block *= (size_t) r->y->dim[r->last--];
    }

    table = infer_scratch(call, 0);

    for (int i = 0; i <= r->last; i++) {
        r->taps[i] = tap_count(r->param, r->x->dim[i], r->y->dim[i], i);
        r->table[i] = table;
        table += r->y->dim[i] * r->taps[i];
        fill_table(r, i);
    }
}


static void
fill_table(resize_t *r, int i)
{
    double                 x, scale;
    int64_t                n;
    tap_t                 *tap;
    const infer_resize_t  *param = r->param;

    n = r->x->dim[i];
    scale = param->antialias && param->scale[i] < 1 ? param->scale[i] : 1;

    for (int64_t o = 0; o < r->y->dim[i]; o++) {
        tap = r->table[i] + o * r->taps[i];

        if (is_identity(param, n, r->y->dim[i], i)) {
            tap->index = (int32_t) o;
            tap->weight = 1;
            continue;
        }

        x = coordinate(r, i, o);

        if (param->coord == INFER_COORD_TF_CROP_AND_RESIZE
            && (x < 0 || x > (double) (n - 1)))
        {
            for (int64_t k = 0; k < r->taps[i]; k++) {
                tap[k].index = OUTSIDE;
            }

        } else if (param->mode == INFER_RESIZE_NEAREST) {
            nearest_tap(param, x, n, tap);

        } else {
            weighted_taps(param, scale, x, n, tap, r->taps[i]);
        }
    }
}


/*
 * Where output o lies among the inputs.  A scale that is the ratio of the
 * sizes is taken as that ratio, exactly, so that no coordinate misses an
 * integer by the rounding of the scale.
 */
static double
coordinate(const resize_t *r, int i, int64_t o)
{
    double                 in, out, length, at, x;
    const infer_resize_t  *param = r->param;

    in = (double) r->x->dim[i];
    out = (double) r->y->dim[i];
    at = (double) o;

    length = param->scale[i] == (float) (out / in)
             ? out : in * (double) param->scale[i];

    switch (param->coord) {
    case INFER_COORD_ALIGN_CORNERS:
        x = length == 1 ? 0 : at * (in - 1) / (length - 1);
        break;

    case INFER_COORD_ASYMMETRIC:
        x = at * in / length;
        break;

    case INFER_COORD_TF_CROP_AND_RESIZE:
        x = (double) param->roi_end[i] - (double) param->roi_start[i];
        x = length == 1 ? x * (in - 1) / 2 : at * x * (in - 1) / (length - 1);
        x += (double) param->roi_start[i] * (in - 1);
        break;

    case INFER_COORD_PYTORCH_HALF_PIXEL:
        x = length == 1 ? 0 : (at + 0.5) * in / length - 0.5;
        break;

    case INFER_COORD_HALF_PIXEL_SYMMETRIC:
        x = in / 2 * (1 - out / length) + (at + 0.5) * in / length - 0.5;
        break;

    default:
        x = (at + 0.5) * in / length - 0.5;
    }

    /* Anything far outside is as good as the edge. */
    return x < -1e10 ? -1e10 : x > 1e10 ? 1e10 : x;
}


static void
nearest_tap(const infer_resize_t *param, double x, int64_t n, tap_t *tap)
{
    switch (param->nearest) {
    case INFER_NEAREST_ROUND_PREFER_FLOOR:
        x = ceil(x - 0.5);
        break;

    case INFER_NEAREST_ROUND_PREFER_CEIL:
        x = floor(x + 0.5);
        break;

    case INFER_NEAREST_FLOOR:
        x = floor(x);
        break;

    default:
        x = ceil(x);
    }

    x = x < 0 ? 0 : x;
    tap->index = (int32_t) (x < (double) n ? (int64_t) x : n - 1);
    tap->weight = 1;
}


/*
 * The taps around x and the kernel's weights, normalised where it was
 * stretched or cut.  Beyond the edge the outermost element is repeated, or
 * left out.
 */
static void
weighted_taps(const infer_resize_t *param, double scale, double x, int64_t n,
    tap_t *tap, int64_t taps)
{
    double   weight, sum;
    int64_t  first, index;

    first = (int64_t) floor(x) - taps / 2 + 1;
    sum = 0;

    for (int64_t k = 0; k < taps; k++) {
        index = first + k;
        weight = kernel_weight(param, scale * (x - (double) index));

        if (param->exclude_outside && (index < 0 || index >= n)) {
            weight = 0;
        }

        sum += weight;
        index = index < 0 ? 0 : index;
        tap[k].index = (int32_t) (index < n ? index : n - 1);
        tap[k].weight = (float) weight;
    }

    if ((param->exclude_outside || scale < 1) && sum != 0) {
        for (int64_t k = 0; k < taps; k++) {
            tap[k].weight = (float) ((double) tap[k].weight / sum);
        }
    }
}


static double
kernel_weight(const infer_resize_t *param, double distance)
{
    double  a, d;

    a = (double) param->cubic_a;
    d = fabs(distance);

    if (param->mode == INFER_RESIZE_LINEAR) {
        return d < 1 ? 1 - d : 0;
    }

    if (d <= 1) {
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    }

    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}


/* n rows of the last dimension that changes, from row offset[0] on. */
static void
resize_rows(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int              outside;
    size_t           width, row;
    char            *y;
    const tap_t     *outer[INFER_MAX_RANK];
    const resize_t  *r = arg;

    (void) slot;

    width = (size_t) r->y->dim[r->last] * r->block;

    for (size_t k = 0; k < n; k++) {
        row = (size_t) offset[0] + k;
        y = (char *) r->y->data + row * width * r->size;
        outside = 0;

        for (int d = r->last - 1; d >= 0; d--) {
            outer[d] = r->table[d] + (int64_t) (row % (size_t) r->y->dim[d])
                                     * r->taps[d];
            outside |= outer[d]->index == OUTSIDE;
            row /= (size_t) r->y->dim[d];
        }

        if (r->param->mode == INFER_RESIZE_NEAREST && !outside) {
            copy_row(r, outer, y);

        } else if (!outside) {
            memset(y, 0, width * r->size);
            add_rows(r, outer, 0, 0, 1, (float *) y);
        }

        if (r->param->coord == INFER_COORD_TF_CROP_AND_RESIZE) {
            extrapolate(r, outside, (float *) y);
        }
    }
}


static void
copy_row(const resize_t *r, const tap_t *const *outer, char *y)
{
    size_t        bytes;
    int64_t       offset;
    const char   *x;
    const tap_t  *tap;

    offset = 0;
    bytes = r->block * r->size;
    tap = r->table[r->last];

    for (int d = 0; d < r->last; d++) {
        offset += outer[d]->index * r->stride[d];
    }

    x = (const char *) r->x->data + (size_t) offset * r->size;

    for (int64_t o = 0; o < r->y->dim[r->last]; o++) {
        if (tap[o].index != OUTSIDE) {
            memcpy(y, x + (size_t) tap[o].index * bytes, bytes);
        }

        y += bytes;
    }
}


/* Adds every row that the outer dimensions' taps lead to. */
static void
add_rows(const resize_t *r, const tap_t *const *outer, int d, int64_t offset,
    float weight, float *y)
{
    const tap_t  *tap;

    if (d == r->last) {
        add_row(r, (const float *) r->x->data + offset, weight, y);
        return;
    }

    for (int64_t k = 0; k < r->taps[d]; k++) {
        tap = &outer[d][k];

        if (tap->weight != 0) {
            add_rows(r, outer, d + 1, offset + tap->index * r->stride[d],
                     weight * tap->weight, y);
        }
    }
}


static void
add_row(const resize_t *r, const float *x, float weight, float *y)
{
    float         w;
    size_t        block;
    const float  *from;
    const tap_t  *tap;

    tap = r->table[r->last];
    block = r->block;

    for (int64_t o = 0; o < r->y->dim[r->last]; o++) {
        for (int64_t k = 0; k < r->taps[r->last]; k++, tap++) {
            if (tap->weight == 0 || tap->index == OUTSIDE) {
                continue;
            }

            from = x + (size_t) tap->index * block;
            w = weight * tap->weight;

            for (size_t c = 0; c < block; c++) {
                y[c] += w * from[c];
            }
        }

        y += block;
    }
}


/* Gives elements outside of the input, or the whole row, their value. */
static void
extrapolate(const resize_t *r, int whole, float *y)
{
    const tap_t  *tap;

    tap = r->table[r->last];

    for (int64_t o = 0; o < r->y->dim[r->last]; o++) {
        if (whole || tap->index == OUTSIDE) {
            for (size_t c = 0; c < r->block; c++) {
                y[c] = r->param->extrapolation;
            }
        }

        tap += r->taps[r->last];
        y += r->block;
    }
}


const infer_op_t  infer_op_resize = {
    .name = "resize",
    .shape = resize_shape,
    .run = resize_run,
    .scratch = resize_scratch
};
