/*
 * Pooling, reductions and normalisations against computations in long double,
 * straight from their definitions.
 */

#include "ops.h"


/* ---- pool -------------------------------------------------------------- */

static int64_t
pooled_size(const infer_pool_t *p, int i, int64_t n)
{
    int64_t                out, extent;
    const infer_window_t  *w = &p->window;

    extent = (int64_t) (w->kernel[i] - 1) * w->dilation[i] + 1;
    out = 0;

    /* Count the windows: those inside, and the one more that ceil allows. */
    for (int64_t start = -w->before[i]; ; start += w->stride[i]) {
        if (start + extent <= n + w->after[i]) {
            out++;
            continue;
        }

        return out + (p->ceil && start < n
                      && start - w->stride[i] + extent < n + w->after[i]);
    }
}


/* One output element; *index as indices 1 or 2 ask for it. */
static long double
pooled(const infer_pool_t *p, const infer_tensor_t *x, const int64_t *in,
    int64_t n, int64_t c, const int64_t *o, int64_t *index)
{
    int                    inside, padded, found = 0;
    int64_t                pos[3], k[3], count = 0, channels, offset;
    long double            e, best = 0, sum = 0;
    const infer_window_t  *w = &p->window;

    channels = x->dim[x->rank - 1];
    *index = 0;

    for (k[0] = 0; k[0] < w->kernel[0]; k[0]++)
    for (k[1] = 0; k[1] < w->kernel[1]; k[1]++)
    for (k[2] = 0; k[2] < w->kernel[2]; k[2]++) {
        inside = padded = 1;

        for (int i = 0; i < 3; i++) {
            pos[i] = o[i] * w->stride[i] - w->before[i]
                     + k[i] * w->dilation[i];
            inside &= pos[i] >= 0 && pos[i] < in[i];
            padded &= pos[i] < in[i] + w->after[i];
        }

        count += p->count_include_pad ? padded : inside;

        if (!inside) {
            continue;
        }

        offset = ((n * in[0] + pos[0]) * in[1] + pos[1]) * in[2] + pos[2];
        e = get(x, offset * channels + c);
        sum += e;

        if (!found || e > best || (e != e && best == best)) {
            best = e;
            *index = (n * channels + c) * in[0] * in[1] * in[2]
                     + (p->indices == 2
                        ? pos[0] + in[0] * pos[1] + in[0] * in[1] * pos[2]
                        : (pos[0] * in[1] + pos[1]) * in[2] + pos[2]);
            found = 1;
        }
    }

    if (p->average) {
        return count ? sum / count : 0;
    }

    return found ? best : -INFINITY;
}


static int
pool_case(infer_dtype_t dtype, int spatial, int average, int indices, int nan)
{
    int              good, refuse = 0, n_out = indices ? 2 : 1;
    int64_t          dim[5], in[3] = { 1, 1, 1 }, o[3], at[5], out, index;
    infer_pool_t    *p;
    infer_param_t    param;
    infer_tensor_t   x, y[2], *xs[1] = { &x };
    infer_window_t  *w;

    memset(&param, 0, sizeof(param));
    p = &param.pool;
    w = &p->window;
    p->average = average;
    p->indices = indices;
    p->ceil = (int32_t) below(2);
    p->count_include_pad = (int32_t) below(2);
    dim[0] = below(3);
    dim[spatial + 1] = 1 + below(40);

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;

        if (i < 3 - spatial) {
            continue;
        }

        in[i] = dim[i - 2 + spatial] = 1 + below(9);
        w->kernel[i] = (int32_t) (1 + below(4));
        w->stride[i] = (int32_t) (1 + below(3));
        w->dilation[i] = (int32_t) (1 + below(3));
        out = (w->kernel[i] - 1) * w->dilation[i] + 1;
        w->before[i] = (int32_t) below(out);
        w->after[i] = (int32_t) below(out);
        refuse |= out > in[i] + w->before[i] + w->after[i];
    }

    x = random_tensor(dtype, spatial + 2, dim);

    for (size_t i = 0; nan && i < infer_numel(&x); i += 7) {
        put(&x, (int64_t) i, NAN);
    }

    /* Indices are a matter of equal elements: of the first of them. */
    for (size_t i = 0; indices && i < infer_numel(&x); i++) {
        put(&x, (int64_t) i, floorl(get(&x, (int64_t) i)));
    }

    good = run_op(INFER_OP_POOL, &param, xs, 1, y, n_out, 0);

    if (refuse || good != 0) {
        free(x.data);
        return refuse ? good == -1 : 0;
    }

    good = 1;

    for (int i = 3 - spatial; i < 3; i++) {
        good &= y[0].dim[i - 2 + spatial] == pooled_size(p, i, in[i]);
    }

    for (int64_t i = 0; i < (int64_t) infer_numel(&y[0]); i++) {
        to_index(&y[0], i, at);

        for (int k = 0; k < 3; k++) {
            o[k] = k < 3 - spatial ? 0 : at[k - 2 + spatial];
        }

        good &= close_to(get(&y[0], i),
                         pooled(p, &x, in, at[0], at[spatial + 1], o, &index),
                         1e-6);

        if (indices && !nan) {
            good &= get(&y[1], i) == index;
        }
    }

    for (int i = 0; i < n_out; i++) {
        free(y[i].data);
    }

    free(x.data);

    return good;
}


static void
test_pool(void)
{
    int  good[6] = { 1, 1, 1, 1, 1, 1 };

    for (int round = 0; round < 300; round++) {
        good[0] &= pool_case(INFER_F32, 1 + round % 3, 0, 0, 0);
        good[1] &= pool_case(INFER_F32, 1 + round % 3, 1, 0, 0);
        good[2] &= pool_case(INFER_F32, 1 + round % 3, 0, 1 + round % 2, 0);
        good[3] &= pool_case(INFER_F32, 1 + round % 3, 0, 0, 1);
        good[4] &= pool_case(INFER_F64, 1 + round % 3, round % 2, 0, 0);
    }

    /* Integers have no -INFINITY where a dilated window finds nothing. */
    for (int round = 0; round < 50; round++) {
        infer_dtype_t   dtype[] = { INFER_I8, INFER_U8, INFER_I32, INFER_I64 };
        infer_param_t   param = { .pool = { .window = {
            { 1, 2, 3 }, { 1, 2, 1 }, { 1, 1, 1 }, { 0, 1, 1 }, { 0, 0, 2 }
        } } };
        int64_t         dim[] = { 2, 6, 5, 3 }, at[4], index;
        infer_tensor_t  x = random_tensor(dtype[round % 4], 4, dim), y;
        infer_tensor_t *xs[1] = { &x };

        good[5] &= run_op(INFER_OP_POOL, &param, xs, 1, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            to_index(&y, i, at);
            good[5] &= get(&y, i)
                       == pooled(&param.pool, &x, (int64_t []) { 1, 6, 5 },
                                 at[0], at[3],
                                 (int64_t []) { 0, at[1], at[2] }, &index);
        }

        free(x.data);
        free(y.data);
    }

    ok(good[0], "max pool, f32, 1 to 3 dimensions");
    ok(good[1], "average pool, f32: padding, ceil, dilation");
    ok(good[2], "max pool with indices, row-major and column-major");
    ok(good[3], "max pool gives NaN where there is one");
    ok(good[4], "max and average pool, f64");
    ok(good[5], "max pool of integers");
}


/* ---- reduce ------------------------------------------------------------ */

/* What is known of one output: acc in the order of x, and sum |x|. */
typedef struct {
    long double  acc;
    long double  size;
    int64_t      count;
} reduced_t;


static void
reduce_add(reduced_t *r, int kind, long double e)
{
    r->size += fabsl(e);

    if (r->count++ == 0) {
        r->acc = e;

    } else if (kind == INFER_REDUCE_MAX) {
        r->acc = e > r->acc || e != e ? e : r->acc;

    } else if (kind == INFER_REDUCE_MIN) {
        r->acc = e < r->acc || e != e ? e : r->acc;

    } else {
        r->acc += e;
    }
}


/* Rounding is measured by what was added, not by what is left. */
static int
reduce_good(const reduced_t *r, infer_dtype_t dtype, int kind,
    long double y)
{
    double       tolerance = dtype == INFER_F32 ? 1e-6 : 1e-14;
    long double  acc = r->acc;

    if (r->count == 0 && kind != INFER_REDUCE_SUM) {
        return !is_float(dtype)
               || (kind == INFER_REDUCE_MEAN ? y != y
                   : y == (kind == INFER_REDUCE_MAX ? -INFINITY : INFINITY));
    }

    if (kind == INFER_REDUCE_MEAN) {
        acc = is_float(dtype) ? acc / r->count : truncl(acc / r->count);
    }

    if (kind == INFER_REDUCE_SUM) {
        tolerance *= 1 + (double) r->size;
    }

    return close_to(y, acc, tolerance);
}


static int
reduce_case(infer_dtype_t dtype, int kind, int with_nan)
{
    int              good, rank = (int) below(6);
    int64_t          dim[INFER_MAX_RANK], at[INFER_MAX_RANK], k;
    reduced_t       *expected;
    infer_param_t    param;
    infer_tensor_t   x, y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    param.reduce.kind = kind;
    param.reduce.keepdims = (int32_t) below(2);
    param.reduce.axes = (uint32_t) below(1 << rank);

    for (int i = 0; i < rank; i++) {
        dim[i] = below(25) == 0 ? 0 : 1 + below(9);
    }

    if (rank > 0 && below(2)) {
        dim[rank - 1] = 1 + below(100);
    }

    x = random_tensor(dtype, rank, dim);

    if (with_nan && infer_numel(&x) > 0) {
        put(&x, below((int64_t) infer_numel(&x)), NAN);
    }

    good = run_op(INFER_OP_REDUCE, &param, in, 1, &y, 1, 0) == 0;
    expected = calloc(infer_numel(&y) + 1, sizeof(*expected));

    for (int64_t i = 0; i < (int64_t) infer_numel(&x); i++) {
        to_index(&x, i, at);
        k = 0;

        for (int d = 0; d < rank; d++) {
            if (!(param.reduce.axes >> d & 1)) {
                k = k * dim[d] + at[d];
            }
        }

        reduce_add(&expected[k], kind, get(&x, i));
    }

    for (k = 0; k < (int64_t) infer_numel(&y); k++) {
        good &= reduce_good(&expected[k], dtype, kind, get(&y, k));
    }

    free(expected);
    free(x.data);
    free(y.data);

    return good;
}


static void
test_reduce(void)
{
    int            good;
    infer_dtype_t  dtype[] = { INFER_F32, INFER_F64, INFER_I32, INFER_I64 };

    for (int kind = INFER_REDUCE_MEAN; kind <= INFER_REDUCE_MIN; kind++) {
        good = 1;

        for (int round = 0; round < 200; round++) {
            good &= reduce_case(dtype[round % 4], kind,
                                round % 4 < 2 && round % 3 == 0);
        }

        ok(good, "reduce %d over any axes", kind);
    }
}


/* The sum of an image is the same alone and in a batch. */
static void
test_reduce_batch(void)
{
    int64_t          big[] = { 5, 7, 9, 33 }, small[] = { 1, 7, 9, 33 };
    infer_param_t    param;
    infer_tensor_t   x, y, x1, y1, *in[1] = { &x }, *in1[1] = { &x1 };

    for (uint32_t axes = 6; axes <= 14; axes += 2) {
        memset(&param, 0, sizeof(param));
        param.reduce.axes = axes;
        x = random_tensor(INFER_F32, 4, big);
        x1 = tensor(INFER_F32, 4, small);
        memcpy(x1.data, (float *) x.data + 2 * 7 * 9 * 33,
               7 * 9 * 33 * sizeof(float));
        run_op(INFER_OP_REDUCE, &param, in, 1, &y, 1, 0);
        run_op(INFER_OP_REDUCE, &param, in1, 1, &y1, 1, 0);
        ok(memcmp(y1.data, (float *) y.data + 2 * infer_numel(&y1),
                  infer_numel(&y1) * sizeof(float)) == 0,
           "reduce over axes %x: the same bits alone and in a batch",
           (unsigned) axes);
        free(x.data);
        free(y.data);
        free(x1.data);
        free(y1.data);
    }
}


/* ---- softmax, layernorm, lrn ------------------------------------------- */

static int
softmax_case(infer_dtype_t dtype, int log_of, double scale)
{
    int              good, rank = 1 + (int) below(4);
    int64_t          dim[INFER_MAX_RANK], n = 1, inner = 1, base;
    long double      sum, max, e;
    infer_param_t    param;
    infer_tensor_t   x, y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    param.softmax.axis = (int32_t) below(rank);
    param.softmax.last = param.softmax.axis
                         + (int32_t) below(rank - param.softmax.axis);
    param.softmax.log = log_of;

    for (int i = 0; i < rank; i++) {
        dim[i] = below(30) == 0 ? 0 : 1 + below(6);
        n *= i >= param.softmax.axis && i <= param.softmax.last ? dim[i] : 1;
        inner *= i > param.softmax.last ? dim[i] : 1;
    }

    x = random_tensor(dtype, rank, dim);

    for (size_t i = 0; i < infer_numel(&x); i++) {
        put(&x, (int64_t) i, get(&x, (int64_t) i) * scale);
    }

    good = run_op(INFER_OP_SOFTMAX, &param, in, 1, &y, 1, 0) == 0;

    for (int64_t i = 0; i < (int64_t) infer_numel(&x); i++) {
        base = i / (n * inner) * n * inner + i % inner;
        max = -INFINITY;
        sum = 0;

        for (int64_t k = 0; k < n; k++) {
            max = fmaxl(max, get(&x, base + k * inner));
        }

        for (int64_t k = 0; k < n; k++) {
            sum += expl(get(&x, base + k * inner) - max);
        }

        e = get(&x, i) - max;
        e = log_of ? e - logl(sum) : expl(e) / sum;
        good &= close_to(get(&y, i), e, dtype == INFER_F32 ? 2e-6 : 1e-14);
    }

    free(x.data);
    free(y.data);

    return good;
}


static void
test_softmax(void)
{
    int  good[4] = { 1, 1, 1, 1 };

    for (int round = 0; round < 150; round++) {
        good[0] &= softmax_case(INFER_F32, 0, round % 3 ? 1 : 100);
        good[1] &= softmax_case(INFER_F32, 1, round % 3 ? 1 : 100);
        good[2] &= softmax_case(INFER_F64, 0, round % 3 ? 1 : 1000);
        good[3] &= softmax_case(INFER_F64, 1, round % 3 ? 1 : 1000);
    }

    ok(good[0], "softmax f32 over any dimensions");
    ok(good[1], "log-softmax f32");
    ok(good[2], "softmax f64");
    ok(good[3], "log-softmax f64");
}


/* A column and a row of the same numbers have the same bits. */
static void
test_softmax_bits(void)
{
    int              good = 1;
    int64_t          d[] = { 1000, 37 }, t[] = { 37, 1000 };
    infer_param_t    param;
    infer_tensor_t   x, y, xt, yt, *in[1] = { &x }, *int_[1] = { &xt };

    for (int log_of = 0; log_of < 2; log_of++) {
        memset(&param, 0, sizeof(param));
        param.softmax.log = log_of;
        x = random_tensor(INFER_F32, 2, d);
        xt = tensor(INFER_F32, 2, t);

        for (int64_t i = 0; i < 37000; i++) {
            put(&xt, i, get(&x, i % 1000 * 37 + i / 1000));
        }

        run_op(INFER_OP_SOFTMAX, &param, in, 1, &y, 1, 0);
        param.softmax.axis = param.softmax.last = 1;
        run_op(INFER_OP_SOFTMAX, &param, int_, 1, &yt, 1, 0);

        for (int64_t i = 0; i < 37000; i++) {
            good &= get(&yt, i) == get(&y, i % 1000 * 37 + i / 1000);
        }

        free(x.data);
        free(y.data);
        free(xt.data);
        free(yt.data);
    }

    ok(good, "softmax of columns has the bits of softmax of rows");
}


static int
layernorm_case(int with)
{
    int              good, rank = 1 + (int) below(4), axis, n_out;
    int64_t          dim[INFER_MAX_RANK], n = 1, rows = 1;
    long double      mean, var, e, inv;
    infer_param_t    param;
    infer_tensor_t   x, s, b, y[3], *in[3] = { &x, NULL, NULL };

    memset(&param, 0, sizeof(param));
    axis = (int) below(rank);
    param.layernorm.axis = axis;
    param.layernorm.epsilon = 1e-3f;

    for (int i = 0; i < rank; i++) {
        dim[i] = 1 + below(12);
        *(i < axis ? &rows : &n) *= dim[i];
    }

    x = random_tensor(INFER_F32, rank, dim);
    s = random_tensor(INFER_F32, rank - axis, dim + axis);
    b = random_tensor(INFER_F32, rank - axis, dim + axis);
    in[1] = with & 1 ? &s : NULL;
    in[2] = with & 2 ? &b : NULL;
    n_out = 1 + with % 3;

    good = run_op(INFER_OP_LAYERNORM, &param, in, 3, y, n_out, 0) == 0;

    for (int64_t row = 0; row < rows; row++) {
        mean = var = 0;

        for (int64_t i = 0; i < n; i++) {
            mean += get(&x, row * n + i) / n;
        }

        for (int64_t i = 0; i < n; i++) {
            e = get(&x, row * n + i) - mean;
            var += e * e / n;
        }

        inv = 1 / sqrtl(var + (long double) 1e-3f);

        for (int64_t i = 0; i < n; i++) {
            e = (get(&x, row * n + i) - mean) * inv;
            e = e * (in[1] ? get(&s, i) : 1) + (in[2] ? get(&b, i) : 0);
            good &= close_to(get(&y[0], row * n + i), e, 1e-5);
        }

        good &= n_out < 2 || close_to(get(&y[1], row), mean, 1e-6);
        good &= n_out < 3 || close_to(get(&y[2], row), inv, 1e-5);
    }

    for (int i = 0; i < n_out; i++) {
        free(y[i].data);
    }

    free(x.data);
    free(s.data);
    free(b.data);

    return good;
}


static int
lrn_case(int size, float beta)
{
    int              good;
    int64_t          dim[] = { below(3), 1 + below(3), 3, 1 + below(40) };
    int64_t          c, channels = dim[3];
    long double      sum, e;
    infer_param_t    param;
    infer_tensor_t   x = random_tensor(INFER_F32, 4, dim), y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    param.lrn = (infer_lrn_t) { size, 0.3f, beta, 1.5f };
    good = run_op(INFER_OP_LRN, &param, in, 1, &y, 1, 0) == 0;

    for (int64_t i = 0; i < (int64_t) infer_numel(&x); i++) {
        c = i % channels;
        sum = 0;

        for (int64_t j = 0; j < channels; j++) {
            e = get(&x, i - c + j);
            sum += j >= c - (size - 1) / 2 && j <= c + size / 2 ? e * e : 0;
        }

        e = get(&x, i) / powl(1.5L + (long double) 0.3f / size * sum, beta);
        good &= close_to(get(&y, i), e, 1e-6);
    }

    free(x.data);
    free(y.data);

    return good;
}


static void
test_norms(void)
{
    int      good = 1;
    int64_t  none[] = { 3, 0 };

    for (int round = 0; round < 120; round++) {
        good &= layernorm_case(round % 12);
    }

    ok(good, "layernorm with and without scale, bias, mean and deviation");
    good = 1;

    for (int round = 0; round < 60; round++) {
        good &= lrn_case(1 + round % 9, round % 2 ? 0.75f : 0.6f);
    }

    good &= lrn_case(INT32_MAX, 0.75f);
    ok(good, "lrn: odd and even sizes, and larger than C");

    infer_param_t    param;
    infer_tensor_t   x = tensor(INFER_F32, 2, none), *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    param.layernorm.axis = 1;
    ok(refused(INFER_OP_LAYERNORM, &param, in, 1, 1, 0, "empty"),
       "layernorm over nothing is refused");
    free(x.data);
}


static void
test_refusals(void)
{
    int64_t          d[] = { 1, 5, 5, 2 }, bad[] = { 1, 0, 5, 2 };
    infer_param_t    good = { .pool = { .window = {
        { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0 }, { 0 }
    } } }, p;
    infer_tensor_t   x = tensor(INFER_F32, 4, d), i = tensor(INFER_I8, 4, d);
    infer_tensor_t   e = tensor(INFER_F32, 4, bad), *xi[] = { &x, &i };
    infer_tensor_t  *es[] = { &e }, *is[] = { &i };
    infer_window_t  *w = &p.pool.window;

    p = good;
    w->kernel[1] = 0;
    ok(refused(INFER_OP_POOL, &p, xi, 1, 1, 0, "positive"), "pool: kernel 0");
    p = good;
    w->stride[2] = -1;
    ok(refused(INFER_OP_POOL, &p, xi, 1, 1, 0, "positive"), "pool: stride -1");
    p = good;
    w->before[2] = 3;
    ok(refused(INFER_OP_POOL, &p, xi, 1, 1, 0, "padding"),
       "pool: padding as large as the window");
    p = good;
    w->dilation[2] = INT32_MAX;
    w->kernel[2] = INT32_MAX;
    ok(refused(INFER_OP_POOL, &p, xi, 1, 1, 0, "larger"),
       "pool: a window larger than the input");
    p = good;
    w->kernel[0] = 2;
    ok(refused(INFER_OP_POOL, &p, xi, 1, 1, 0, "dimensions"),
       "pool: a window with more dimensions");
    ok(refused(INFER_OP_POOL, &good, es, 1, 1, 0, "spatial"),
       "pool: an empty image");
    ok(refused(INFER_OP_POOL, &good, xi, 1, 2, 0, "indices"),
       "pool: a second result without indices");
    p = good;
    p.pool.average = 1;
    ok(refused(INFER_OP_POOL, &p, is, 1, 1, 0, "int8"),
       "pool: the average of integers");

    memset(&p, 0, sizeof(p));
    p.reduce.axes = 16;
    ok(refused(INFER_OP_REDUCE, &p, xi, 1, 1, 0, "axis"), "reduce: axis 4");
    p.reduce.axes = 1;
    ok(refused(INFER_OP_REDUCE, &p, is, 1, 1, 0, "int8"), "reduce: int8");
    p.reduce.kind = 9;
    ok(refused(INFER_OP_REDUCE, &p, xi, 1, 1, 0, "kind"), "reduce: kind 9");

    memset(&p, 0, sizeof(p));
    p.softmax.axis = 2;
    ok(refused(INFER_OP_SOFTMAX, &p, xi, 1, 1, 0, "dimensions"),
       "softmax: axis behind last");
    p.softmax.last = 4;
    ok(refused(INFER_OP_SOFTMAX, &p, xi, 1, 1, 0, "dimensions"),
       "softmax: last 4 of 4");
    p.softmax.last = 3;
    ok(refused(INFER_OP_SOFTMAX, &p, is, 1, 1, 0, "int8"), "softmax: int8");

    memset(&p, 0, sizeof(p));
    p.layernorm.axis = 4;
    ok(refused(INFER_OP_LAYERNORM, &p, xi, 1, 1, 0, "axis 4"),
       "layernorm: axis 4");
    p.layernorm.axis = 0;
    ok(refused(INFER_OP_LAYERNORM, &p, xi, 2, 1, 0, "operand 1"),
       "layernorm: a scale of int8");
    p.lrn.size = 0;
    ok(refused(INFER_OP_LRN, &p, xi, 1, 1, 0, "size 0"), "lrn: size 0");

    free(x.data);
    free(i.data);
    free(e.data);
}


int
main(void)
{
    test_pool();
    test_reduce();
    test_reduce_batch();
    test_softmax();
    test_softmax_bits();
    test_norms();
    test_refusals();

    return done();
}
