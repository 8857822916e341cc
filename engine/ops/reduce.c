/*
 * Mean, sum, maximum and minimum over any set of dimensions.
 *
 * The kept dimensions make one nest, the reduced ones another.  Where the
 * last dimension is kept (H and W of NHWC) whole rows of C are combined one
 * after the other; where it is reduced, each output combines the sums of its
 * rows.  Many rows of C are added up in parts, which then are added: so each
 * thread reads neighbouring rows, which it may have written itself.  The order
 * of additions depends on the reduced dimensions alone, so the bits do not
 * depend on the batch or on threads.
 */

#include <math.h>
#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


/* Rows of a part, at least. */
#define PART  24


typedef struct {
    const infer_call_t  *call;
    int                  kind;
    infer_nest_t         kept;         /* operands: x, y */
    infer_nest_t         over;         /* operand: x */
    size_t               count;        /* elements of x for one of y */
    size_t               parts;        /* of the rows that are added up */
    size_t               n;            /* elements of a row */
    const float         *x;            /* the first of these rows */
    float               *sums;         /* parts rows */
} reduce_t;


static int is_reduced(const infer_reduce_t *param, int i);
static void reduce_init(reduce_t *r, const infer_call_t *call);
static int sums_rows(const reduce_t *r);
static size_t parts(const reduce_t *r);
static void add_parts(reduce_t *r);
static void add_part(void *arg, size_t i, size_t slot);
static void row_kept(void *arg, const int64_t *offset, size_t n, size_t slot);
static void row_reduced(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static float combine(const reduce_t *r, const float *x, size_t n);
static float identity(int kind);
static float pick(int kind, float a, float b);


static int
reduce_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                    rank;
    infer_dim_t            dim[INFER_MAX_RANK];
    const infer_value_t   *x;
    const infer_reduce_t  *param = &node->param.reduce;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (param->kind < INFER_REDUCE_MEAN || param->kind > INFER_REDUCE_MIN) {
        return infer_node_fail(g, node, "unknown kind %d", (int) param->kind);
    }

    if (param->axes >> x->rank != 0) {
        return infer_node_fail(g, node, "an axis is not in 0 .. %d",
                               x->rank - 1);
    }

    switch (x->dtype) {
    case INFER_F32:
    case INFER_F64:
    case INFER_I32:
    case INFER_I64:
        break;

    default:
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    rank = 0;

    for (int i = 0; i < x->rank; i++) {
        if (!is_reduced(param, i)) {
            dim[rank++] = x->dim[i];

        } else if (param->keepdims) {
            dim[rank++] = infer_dim(1);
        }
    }

    infer_set_result(node->out[0], x->dtype, rank, dim);

    return 0;
}


static int
is_reduced(const infer_reduce_t *param, int i)
{
    return param->axes >> i & 1;
}


static void
reduce_init(reduce_t *r, const infer_call_t *call)
{
    int                    n;
    int64_t                stride[INFER_MAX_RANK], dense;
    infer_nest_t          *nest;
    const infer_tensor_t  *x = call->in[0];

    memset(r, 0, sizeof(*r));

    r->call = call;
    r->kind = call->param->reduce.kind;
    r->count = 1;
    r->kept.operands = 2;
    r->over.operands = 1;

    infer_strides(x, stride);

    for (int i = 0; i < x->rank; i++) {
        nest = &r->kept;

        if (is_reduced(&call->param->reduce, i)) {
            nest = &r->over;
            r->count *= (size_t) x->dim[i];
        }

        n = nest->rank++;
        nest->dim[n] = x->dim[i];
        nest->stride[0][n] = stride[i];
    }

    dense = 1;

    for (int i = r->kept.rank - 1; i >= 0; i--) {
        r->kept.stride[1][i] = dense;
        dense *= r->kept.dim[i];
    }

    infer_nest_collapse(&r->kept);
    infer_nest_collapse(&r->over);

    r->n = (size_t) r->kept.dim[r->kept.rank - 1];
}


/* Whether the reduced elements lie in rows: the last dimension is reduced. */
static int
sums_rows(const reduce_t *r)
{
    int  last = r->over.rank - 1;

    return r->over.stride[0][last] == 1 && r->over.dim[last] > 1;
}


/* Of rows that one stride leads over and that are worth adding up in parts. */
static size_t
parts(const reduce_t *r)
{
    if (r->call->in[0]->dtype != INFER_F32
        || (r->kind != INFER_REDUCE_MEAN && r->kind != INFER_REDUCE_SUM)
        || r->over.rank != 1 || sums_rows(r)
        || r->kept.stride[0][r->kept.rank - 1] != 1)
    {
        return 0;
    }

    return r->count < 2 * PART ? 0 : r->count / PART;
}


static size_t
reduce_scratch(const infer_call_t *call)
{
    reduce_t  r;

    if (infer_numel(call->out[0]) == 0) {
        return 0;
    }

    reduce_init(&r, call);

    return parts(&r) * r.n * sizeof(float);
}


static void
add_parts(reduce_t *r)
{
    float                  *y, count = (float) r->count;
    size_t                  images;
    infer_binary_t          div = { .kind = INFER_DIV };
    infer_nest_pos_t        pos;
    const infer_kernels_t  *kernels = r->call->kernels;

    memset(&pos, 0, sizeof(pos));
    images = infer_numel(r->call->out[0]) / r->n;
    r->sums = infer_scratch(r->call, 0);

    for (size_t i = 0; i < images; i++) {
        r->x = (const float *) r->call->in[0]->data + pos.offset[0];
        y = (float *) r->call->out[0]->data + pos.offset[1];

        infer_parallel_for(r->call, add_part, r, r->parts);

        memcpy(y, r->sums, r->n * sizeof(float));
        kernels->sum_rows_f32(r->sums + r->n, r->n, r->parts - 1, y, r->n);

        if (r->kind == INFER_REDUCE_MEAN) {
            kernels->binary_f32(&div, y, 1, &count, 0, y, r->n);
        }

        infer_nest_next(&r->kept, r->kept.rank - 1, &pos);
    }
}


static void
add_part(void *arg, size_t i, size_t slot)
{
    float           *y;
    size_t           ld, first, rows;
    const reduce_t  *r = arg;

    (void) slot;

    ld = (size_t) r->over.stride[0][0];
    first = infer_task_first(r->count, r->parts, i);
    rows = infer_task_first(r->count, r->parts, i + 1) - first;
    y = r->sums + i * r->n;

    memcpy(y, r->x + first * ld, r->n * sizeof(float));
    r->call->kernels->sum_rows_f32(r->x + (first + 1) * ld, ld, rows - 1, y,
                                   r->n);
}


/* n outputs beside each other, whose operands lie beside each other too. */
static void
row_kept(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    float             *y, count;
    const float       *x;
    infer_binary_t     bin = { .kind = INFER_ADD };
    const reduce_t    *r = arg;
    infer_nest_pos_t   pos = { .offset = { offset[0] } };

    (void) slot;

    x = r->call->in[0]->data;
    y = (float *) r->call->out[0]->data + offset[1];

    if (r->count == 0) {
        for (size_t i = 0; i < n; i++) {
            y[i] = identity(r->kind);
        }

    } else {
        memcpy(y, x + pos.offset[0], n * sizeof(float));
    }

    if (r->kind == INFER_REDUCE_MAX || r->kind == INFER_REDUCE_MIN) {
        bin.kind = r->kind == INFER_REDUCE_MAX ? INFER_MAX : INFER_MIN;
    }

    if (bin.kind == INFER_ADD && r->over.rank == 1 && r->count > 1) {
        r->call->kernels->sum_rows_f32(x + pos.offset[0]
                                       + r->over.stride[0][0],
                                       (size_t) r->over.stride[0][0],
                                       r->count - 1, y, n);

    } else {
        for (size_t i = 1; i < r->count; i++) {
            infer_nest_next(&r->over, r->over.rank, &pos);
            r->call->kernels->binary_f32(&bin, y, 1, x + pos.offset[0], 1, y,
                                         n);
        }
    }

    if (r->kind == INFER_REDUCE_MEAN) {
        count = (float) r->count;
        bin.kind = INFER_DIV;
        r->call->kernels->binary_f32(&bin, y, 1, &count, 0, y, n);
    }
}


/* n outputs, each of rows of the last dimension of x. */
static void
row_reduced(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int                last;
    float             *y, sum, part;
    size_t             width, rows;
    const float       *x;
    const reduce_t    *r = arg;
    infer_nest_pos_t   pos;

    (void) slot;

    last = r->over.rank - 1;
    width = (size_t) r->over.dim[last];
    rows = r->count / width;

    for (size_t i = 0; i < n; i++) {
        memset(&pos, 0, sizeof(pos));

        x = (const float *) r->call->in[0]->data + offset[0]
            + (int64_t) i * r->kept.stride[0][r->kept.rank - 1];
        y = (float *) r->call->out[0]->data + offset[1] + i;

        sum = combine(r, x, width);

        for (size_t k = 1; k < rows; k++) {
            infer_nest_next(&r->over, last, &pos);
            part = combine(r, x + pos.offset[0], width);
            sum = pick(r->kind, sum, part);
        }

        *y = r->kind == INFER_REDUCE_MEAN ? sum / (float) r->count : sum;
    }
}


static float
combine(const reduce_t *r, const float *x, size_t n)
{
    float  y;

    if (r->kind == INFER_REDUCE_MEAN || r->kind == INFER_REDUCE_SUM) {
        return r->call->kernels->sum_f32(x, n);
    }

    y = x[0];

    for (size_t i = 1; i < n; i++) {
        y = pick(r->kind, y, x[i]);
    }

    return y;
}


/* What a reduction over nothing gives. */
static float
identity(int kind)
{
    switch (kind) {
    case INFER_REDUCE_MAX:
        return -INFINITY;

    case INFER_REDUCE_MIN:
        return INFINITY;

    default:
        return 0;
    }
}


static float
pick(int kind, float a, float b)
{
    switch (kind) {
    case INFER_REDUCE_MAX:
        return a > b || a != a ? a : b;

    case INFER_REDUCE_MIN:
        return a < b || a != a ? a : b;

    default:
        return a + b;
    }
}


#define IS_NAN(v)  ((v) != (v))
#define NEVER(v)   0

/* A mean over nothing: NaN, or 0 for integers. */
#define FLOAT_MEAN(sum, n)    ((sum) / (double) (n))
#define INTEGER_MEAN(sum, n)  ((n) == 0 ? 0 : (sum) / (n))

/* S: what sums are made in, so that integers wrap. */
#define TYPED(T, S, name, low, high, is_nan, mean)                           \
                                                                             \
static void                                                                  \
name(void *arg, const int64_t *offset, size_t n, size_t slot)                \
{                                                                            \
    T                  e, acc, *y;                                           \
    const T           *x;                                                    \
    const reduce_t    *r = arg;                                              \
    infer_nest_pos_t   pos;                                                  \
                                                                             \
    (void) slot;                                                             \
                                                                             \
    for (size_t i = 0; i < n; i++) {                                         \
        memset(&pos, 0, sizeof(pos));                                        \
                                                                             \
        x = (const T *) r->call->in[0]->data + offset[0]                     \
            + (int64_t) i * r->kept.stride[0][r->kept.rank - 1];             \
        y = (T *) r->call->out[0]->data + offset[1] + i;                     \
                                                                             \
        acc = r->kind == INFER_REDUCE_MAX ? (low)                            \
              : r->kind == INFER_REDUCE_MIN ? (high) : 0;                    \
                                                                             \
        for (size_t k = 0; k < r->count; k++) {                              \
            e = x[pos.offset[0]];                                            \
                                                                             \
            if (r->kind == INFER_REDUCE_MAX) {                               \
                acc = e > acc || is_nan(e) ? e : acc;                        \
                                                                             \
            } else if (r->kind == INFER_REDUCE_MIN) {                        \
                acc = e < acc || is_nan(e) ? e : acc;                        \
                                                                             \
            } else {                                                         \
                acc = (T) ((S) acc + (S) e);                                 \
            }                                                                \
                                                                             \
            infer_nest_next(&r->over, r->over.rank, &pos);                   \
        }                                                                    \
                                                                             \
        *y = r->kind == INFER_REDUCE_MEAN ? mean(acc, (T) r->count) : acc;   \
    }                                                                        \
}

TYPED(double, double, row_f64, -INFINITY, INFINITY, IS_NAN, FLOAT_MEAN)
TYPED(int32_t, uint32_t, row_i32, INT32_MIN, INT32_MAX, NEVER, INTEGER_MEAN)
TYPED(int64_t, uint64_t, row_i64, INT64_MIN, INT64_MAX, NEVER, INTEGER_MEAN)


static void
reduce_run(const infer_call_t *call)
{
    size_t             grain;
    reduce_t           r;
    infer_nest_row_pt  row;

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    reduce_init(&r, call);
    r.parts = parts(&r);

    if (r.parts > 0) {
        add_parts(&r);
        return;
    }

    grain = INFER_GRAIN / (r.count + 1) + 1;

    switch (call->in[0]->dtype) {
    case INFER_F32:
        row = sums_rows(&r) && r.count > 0 ? row_reduced : row_kept;
        break;

    case INFER_F64:
        row = row_f64;
        break;

    case INFER_I32:
        row = row_i32;
        break;

    default:
        row = row_i64;
    }

    infer_nest_run(call, &r.kept, 1, grain, row, &r);
}


const infer_op_t  infer_op_reduce = {
    .name = "reduce",
    .shape = reduce_shape,
    .run = reduce_run,
    .scratch = reduce_scratch
};
