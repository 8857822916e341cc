/*
 * IR nodes as importers need them.  A NULL operand passes through: what failed
 * before has left its error.
 */

#include <math.h>
#include <string.h>

#include "import/emit.h"


/* The batch sizes at which a count is taken for a line: the last one is past
   every bound that a model may have. */
static const int64_t  batches[] = { 1, 2, 3, 1000003 };


static infer_value_t *emit_shape(infer_graph_t *g, const char *name,
    infer_op_id_t op, infer_value_t *x, int rank, const infer_dim_t *dim);
static int bound_at(infer_dim_t bound, int64_t batch, int64_t *x);
static int64_t clamp(int64_t x, int64_t min, int64_t max);
static int line(const int64_t *y, infer_dim_t *dim);


infer_value_t *
infer_emit_unary(infer_graph_t *g, const char *name, infer_value_t *x,
    infer_unary_kind_t kind, float a, float b)
{
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.unary.kind = kind;
    p.unary.a = a;
    p.unary.b = b;

    return infer_graph_emit1(g, INFER_OP_UNARY, &p, name, &x, 1);
}


infer_value_t *
infer_emit_binary(infer_graph_t *g, const char *name,
    infer_binary_kind_t kind, infer_value_t *a, infer_value_t *b)
{
    infer_param_t   p;
    infer_value_t  *in[2];

    if (a == NULL || b == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.binary.kind = kind;
    in[0] = a;
    in[1] = b;

    return infer_graph_emit1(g, INFER_OP_BINARY, &p, name, in, 2);
}


infer_value_t *
infer_emit_cast(infer_graph_t *g, const char *name, infer_value_t *x,
    infer_dtype_t dtype)
{
    infer_param_t  p;

    if (x == NULL || x->dtype == dtype) {
        return x;
    }

    memset(&p, 0, sizeof(p));
    p.cast.dtype = dtype;

    return infer_graph_emit1(g, INFER_OP_CAST, &p, name, &x, 1);
}


static infer_value_t *
emit_shape(infer_graph_t *g, const char *name, infer_op_id_t op,
    infer_value_t *x, int rank, const infer_dim_t *dim)
{
    int            same;
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    same = x->rank == rank;
    memset(&p, 0, sizeof(p));
    p.shape.rank = rank;

    for (int i = 0; i < rank; i++) {
        p.shape.dim[i] = dim[i];
        same = same && infer_dim_equal(x->dim[i], dim[i]);
    }

    return same ? x : infer_graph_emit1(g, op, &p, name, &x, 1);
}


infer_value_t *
infer_emit_reshape(infer_graph_t *g, const char *name, infer_value_t *x,
    int rank, const infer_dim_t *dim)
{
    return emit_shape(g, name, INFER_OP_RESHAPE, x, rank, dim);
}


infer_value_t *
infer_emit_expand(infer_graph_t *g, const char *name, infer_value_t *x,
    int rank, const infer_dim_t *dim)
{
    return emit_shape(g, name, INFER_OP_EXPAND, x, rank, dim);
}


infer_value_t *
infer_emit_transpose(infer_graph_t *g, const char *name, infer_value_t *x,
    const int *perm)
{
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < x->rank; i++) {
        p.transpose.perm[i] = perm[i];
    }

    return infer_graph_emit1(g, INFER_OP_TRANSPOSE, &p, name, &x, 1);
}


infer_value_t *
infer_emit_channels_last(infer_graph_t *g, const char *name, infer_value_t *x)
{
    int  perm[INFER_MAX_RANK];

    perm[0] = 0;

    for (int i = 1; i < x->rank; i++) {
        perm[i] = i + 1 == x->rank ? 1 : i + 1;
    }

    return infer_emit_transpose(g, name, x, perm);
}


infer_value_t *
infer_emit_channels_first(infer_graph_t *g, const char *name, infer_value_t *x)
{
    int  perm[INFER_MAX_RANK];

    if (x == NULL) {
        return NULL;
    }

    perm[0] = 0;

    for (int i = 1; i < x->rank; i++) {
        perm[i] = i == 1 ? x->rank - 1 : i - 1;
    }

    return infer_emit_transpose(g, name, x, perm);
}


infer_value_t *
infer_emit_scalar(infer_graph_t *g, const char *name, infer_dtype_t dtype,
    double number)
{
    double  *x;

    x = infer_graph_alloc(g, sizeof(*x));
    if (x == NULL) {
        return NULL;
    }

    *x = number;

    return infer_emit_cast(g, name,
                           infer_graph_constant(g, NULL, INFER_F64, 0, NULL,
                                                x), dtype);
}


infer_value_t *
infer_emit_gelu_tanh(infer_graph_t *g, const char *name, infer_value_t *x)
{
    infer_value_t  *y, *one, *half, *cubic, *root;

    if (x == NULL) {
        return NULL;
    }

    one = infer_emit_scalar(g, name, x->dtype, 1);
    half = infer_emit_scalar(g, name, x->dtype, 0.5);
    cubic = infer_emit_scalar(g, name, x->dtype, 0.044715);
    root = infer_emit_scalar(g, name, x->dtype, 0.797884560802865);

    y = infer_emit_binary(g, name, INFER_MUL, x, x);
    y = infer_emit_binary(g, name, INFER_MUL, y, x);
    y = infer_emit_binary(g, name, INFER_MUL, y, cubic);
    y = infer_emit_binary(g, name, INFER_ADD, y, x);
    y = infer_emit_binary(g, name, INFER_MUL, y, root);
    y = infer_emit_unary(g, name, y, INFER_TANH, 0, 0);
    y = infer_emit_binary(g, name, INFER_ADD, y, one);
    y = infer_emit_binary(g, name, INFER_MUL, y, x);

    return infer_emit_binary(g, name, INFER_MUL, y, half);
}


infer_value_t *
infer_emit_batchnorm(infer_graph_t *g, const char *name, infer_value_t *x,
    infer_value_t *const *param, double epsilon)
{
    float          *s, *t, k[4];
    double          deviation;
    int64_t         n, dim[INFER_MAX_RANK];
    infer_value_t  *y;

    n = x->dim[1].base;
    s = infer_graph_alloc(g, (size_t) n * sizeof(float));
    t = infer_graph_alloc(g, (size_t) n * sizeof(float));

    if (s == NULL || t == NULL) {
        return NULL;
    }

    for (int64_t c = 0; c < n; c++) {

        for (int i = 0; i < 4; i++) {
            memcpy(&k[i], (const char *) param[i]->data + 4 * (size_t) c, 4);
        }

        deviation = sqrt((double) k[3] + epsilon);
        s[c] = (float) (k[0] / deviation);
        t[c] = (float) (k[1] - k[2] * (k[0] / deviation));
    }

    /* (C, 1, ..) broadcasts over the spatial dimensions */
    dim[0] = n;

    for (int i = 1; i < INFER_MAX_RANK; i++) {
        dim[i] = 1;
    }

    y = infer_emit_binary(g, name, INFER_MUL, x,
                          infer_graph_constant(g, NULL, INFER_F32,
                                               x->rank - 1, dim, s));

    return infer_emit_binary(g, name, INFER_ADD, y,
                             infer_graph_constant(g, NULL, INFER_F32,
                                                  x->rank - 1, dim, t));
}


/*
 * Over all dimensions but N and C: in channels-last order, which is that of
 * what is pooled; its transpose goes away.
 */
infer_value_t *
infer_emit_reduce(infer_graph_t *g, const char *name, infer_value_t *x,
    infer_reduce_kind_t kind, uint32_t axes, int keepdims)
{
    int            spatial;
    infer_param_t  p;

    if (x == NULL) {
        return NULL;
    }

    spatial = x->rank > 2 && axes == (1u << x->rank) - 4;

    if (spatial) {
        x = infer_emit_channels_last(g, name, x);
        axes >>= 1;
    }

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.reduce.kind = kind;
    p.reduce.axes = axes;
    p.reduce.keepdims = keepdims;

    x = infer_graph_emit1(g, INFER_OP_REDUCE, &p, name, &x, 1);

    return spatial && keepdims ? infer_emit_channels_first(g, name, x) : x;
}


/* (outer, d, inner) -> (outer, times, d, inner), which is dimension axis
   times over. */
infer_value_t *
infer_emit_repeat(infer_graph_t *g, const char *name, infer_value_t *x,
    int axis, int64_t times)
{
    int          rank, bad;
    infer_dim_t  dim[4], all[INFER_MAX_RANK];

    if (x == NULL || times == 1) {
        return x;
    }

    rank = x->rank;
    dim[0] = dim[1] = dim[3] = infer_dim(1);
    dim[2] = x->dim[axis];
    memcpy(all, x->dim, sizeof(all));
    bad = times < 0 || times > INT32_MAX
          || infer_dim_mul(dim[2], infer_dim(times), &all[axis]) != 0;

    for (int i = 0; i < rank; i++) {
        if (i != axis) {
            bad |= infer_dim_mul(dim[i < axis ? 0 : 3], x->dim[i],
                                 &dim[i < axis ? 0 : 3]) != 0;
        }
    }

    if (bad) {
        infer_graph_fail(g, "node \"%s\": cannot repeat dimension %d %lld "
                         "times", name != NULL ? name : "", axis,
                         (long long) times);
        return NULL;
    }

    x = infer_emit_reshape(g, name, x, 4, dim);
    dim[1] = infer_dim(times);
    x = infer_emit_expand(g, name, x, 4, dim);

    return infer_emit_reshape(g, name, x, rank, all);
}


void
infer_slice_all(infer_param_t *p, const infer_value_t *x)
{
    for (int i = 0; i < x->rank; i++) {
        p->slice.start[i] = infer_dim(0);
        p->slice.step[i] = 1;
        p->slice.count[i] = x->dim[i];
    }
}


/* Computed at some batch sizes; a line must go through all. */
int
infer_slice_dim(infer_dim_t dim, infer_dim_t start, infer_dim_t end,
    int64_t step, infer_dim_t *first, infer_dim_t *count)
{
    int64_t  n, s, e, from[4], len[4];

    for (int i = 0; i < 4; i++) {
        n = infer_dim_at(dim, batches[i]);

        if (bound_at(start, batches[i], &s) != 0
            || bound_at(end, batches[i], &e) != 0)
        {
            return -1;
        }

        s = s < 0 ? clamp(s, -n - 1, -1) + n : s;
        e = e < 0 ? clamp(e, -n - 1, -1) + n : e;

        if (step > 0) {
            s = clamp(s, 0, n);
            e = clamp(e, 0, n);
            len[i] = e > s ? (e - s - 1) / step + 1 : 0;

        } else {
            s = clamp(s, -1, n - 1);
            e = clamp(e, -1, n - 1);
            len[i] = s > e ? (s - e - 1) / -step + 1 : 0;
        }

        from[i] = len[i] != 0 ? s : 0;
    }

    return line(from, first) != 0 || line(len, count) != 0 ? -1 : 0;
}


/* Bounds are any numbers, not dimensions that have been checked. */
static int
bound_at(infer_dim_t bound, int64_t batch, int64_t *x)
{
    return __builtin_mul_overflow(bound.batch, batch, x)
           || __builtin_add_overflow(*x, bound.base, x) ? -1 : 0;
}


static int64_t
clamp(int64_t x, int64_t min, int64_t max)
{
    return x < min ? min : x > max ? max : x;
}


static int
line(const int64_t *y, infer_dim_t *dim)
{
    dim->batch = y[1] - y[0];
    dim->base = y[0] - dim->batch;

    for (int i = 0; i < 4; i++) {
        if (infer_dim_at(*dim, batches[i]) != y[i]) {
            return -1;
        }
    }

    return 0;
}


int
infer_dim_rest(infer_dim_t all, infer_dim_t part, infer_dim_t *rest)
{
    infer_dim_t  product;

    if (part.batch == 0) {
        if (part.base == 0) {
            return -1;
        }

        rest->base = all.base / part.base;
        rest->batch = all.batch / part.base;

    } else {
        *rest = infer_dim(all.batch / part.batch);
    }

    return infer_dim_mul(*rest, part, &product) == 0
           && infer_dim_equal(product, all) ? 0 : -1;
}
