/*
 * Operators on 8-bit integers but products: quantize, dequantize, dynamic
 * quantization, tables, sums and products of tensors, pools; each against
 * plain C, on all instruction sets and with threads.
 */

#include <float.h>

#include "ops.h"


/* Bytes of the whole range. */
static infer_tensor_t
bytes(infer_dtype_t dtype, int rank, const int64_t *dim)
{
    infer_tensor_t  t = tensor(dtype, rank, dim);

    for (size_t i = 0; i < infer_numel(&t); i++) {
        ((uint8_t *) t.data)[i] = (uint8_t) below(256);
    }

    return t;
}


static long double
to_byte(float v, int zero, infer_dtype_t dtype)
{
    int  lowest = dtype == INFER_I8 ? -128 : 0;

    if (v != v) {
        return lowest;
    }

    return fmin(fmax(nearbyint(v) + zero, lowest), lowest + 255);
}


/* Everything that a float may be, and ties. */
static infer_tensor_t
numbers(int rank, const int64_t *dim, float scale)
{
    static const float  odd[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX,
                                  0x1p31f, -0x1p31f, 0, -0.0f, FLT_MIN };
    infer_tensor_t      t = tensor(INFER_F32, rank, dim);

    for (size_t i = 0; i < infer_numel(&t); i++) {
        put(&t, (int64_t) i, below(9) == 0 ? odd[below(10)]
            : below(2) ? real() * 80 * scale
            : ((double) below(600) - 300.5) * scale);
    }

    return t;
}


/* ---- between floats and integers -------------------------------------- */

static int
quantize_agrees(infer_dtype_t dtype, int rank, int axis, int vectors)
{
    int                pass = 1;
    float              scale;
    int64_t            dim[] = { 1 + below(6), 1 + below(70), 1 + below(90) };
    int64_t            c = vectors ? dim[axis] : 1, at, inner = 1;
    infer_param_t      p = { .quantize = { axis, (int32_t) dtype } };
    infer_tensor_t     s = tensor(INFER_F32, 1, &c), z, x, q, y;
    infer_tensor_t    *in[3];

    z = bytes(dtype, 1, &c);
    x = numbers(rank, dim, 0.25f);

    for (int64_t i = 0; i < c; i++) {
        put(&s, i, i % 3 ? 0.25 : 0.01 + (double) below(100) / 300);
    }

    for (int i = axis + 1; i < rank; i++) {
        inner *= dim[i];
    }

    in[0] = &x;
    in[1] = &s;
    in[2] = vectors == 2 ? NULL : &z;

    if (run_op(INFER_OP_QUANTIZE, &p, in, 3, &q, 1, 6) != 0) {
        printf("# %s\n", err.text);
        return 0;
    }

    for (int64_t i = 0; i < (int64_t) infer_numel(&x); i++) {
        at = c > 1 ? i / inner % c : 0;
        scale = (float) get(&s, at);
        pass = pass && get(&q, i) == to_byte((float) get(&x, i) / scale,
                                             in[2] ? (int) get(&z, at) : 0,
                                             dtype);
    }

    in[0] = &q;

    if (run_op(INFER_OP_DEQUANTIZE, &p, in, 3, &y, 1, 6) != 0) {
        printf("# %s\n", err.text);
        return 0;
    }

    for (int64_t i = 0; i < (int64_t) infer_numel(&x); i++) {
        at = c > 1 ? i / inner % c : 0;
        pass = pass && (float) get(&y, i)
               == (float) (get(&q, i) - (in[2] ? get(&z, at) : 0))
                  * (float) get(&s, at);
    }

    free(s.data);
    free(z.data);
    free(x.data);
    free(q.data);
    free(y.data);

    return pass;
}


static void
test_quantize(void)
{
    int             pass = 1;
    int64_t         n = 1000, one = 1;
    infer_param_t   p = { .quantize = { 0, INFER_U8 } };
    infer_tensor_t  x, s, y, *in[3];

    for (int i = 0; i < 60; i++) {
        pass = quantize_agrees(i % 2 ? INFER_U8 : INFER_I8, 1 + i % 3,
                               (int) below(1 + i % 3), i / 3 % 3) && pass;
    }

    ok(pass, "quantize and dequantize: dtypes, axes, ties, NaN, infinity");

    x = random_tensor(INFER_I32, 1, &n);
    s = random_tensor(INFER_F32, 1, &one);
    put(&x, 0, INT32_MIN);
    put(&x, 1, INT32_MAX);
    in[0] = &x;
    in[1] = &s;
    in[2] = NULL;
    pass = run_op(INFER_OP_DEQUANTIZE, &p, in, 3, &y, 1, 2) == 0;

    for (int64_t i = 0; i < n && pass; i++) {
        pass = (float) get(&y, i) == (float) (int32_t) get(&x, i)
                                     * (float) get(&s, 0);
    }

    ok(pass, "dequantize int32");

    in[0] = &s;
    ok(refused(INFER_OP_DEQUANTIZE, &p, in, 2, 1, 2, "float32")
       && refused(INFER_OP_QUANTIZE, &p, in, 2, 1, 0, "not constant"),
       "operands that do not fit are refused");
    p.quantize.dtype = INFER_I64;
    ok(refused(INFER_OP_QUANTIZE, &p, in, 2, 1, 2, "int64"),
       "a result of int64 is refused");
    p.quantize.dtype = INFER_U8;
    in[1] = &x;
    ok(refused(INFER_OP_QUANTIZE, &p, in, 2, 1, 2, "scale is int32"),
       "a scale of int32 is refused");
    x.dtype = INFER_F32;
    ok(refused(INFER_OP_QUANTIZE, &p, in, 2, 1, 2, "neither one element"),
       "too many scales are refused");

    free(x.data);
    free(s.data);
    free(y.data);
}


static void
test_dynamic(void)
{
    int             pass = 1, axis;
    float           low, high, scale, zero, top;
    int64_t         dim[] = { 3, 50, 700 }, n;
    infer_param_t   p;
    infer_tensor_t  x, out[3], *in[1] = { &x };

    for (int i = 0; i < 24 && pass; i++) {
        axis = i % 4;
        dim[1] = i % 3 ? 1 + below(50) : 1;
        dim[2] = 1 + below(700);
        x = random_tensor(INFER_F32, 3, dim);
        n = (int64_t) infer_numel(&x);

        for (int64_t k = 0; k < n; k++) {
            put(&x, k, i == 7 ? 0 : get(&x, k) * (i % 5) + (i % 3 - 1) * 3);
        }

        if (i > 12) {
            put(&x, 0, NAN);
        }

        p.dynamic_quantize.axis = axis;
        p.dynamic_quantize.reduced = i / 4 % 2;
        top = i / 4 % 2 ? 127 : 255;
        pass = run_op(INFER_OP_DYNAMIC_QUANTIZE, &p, in, 1, out, 3, 0) == 0
               && out[1].rank == axis && out[2].rank == axis;

        n /= (int64_t) infer_numel(&out[1]);

        for (int64_t r = 0; r < (int64_t) infer_numel(&out[1]) && pass; r++) {
            low = high = 0;

            for (int64_t k = r * n; k < r * n + n; k++) {
                low = fminf(low, (float) get(&x, k));
                high = fmaxf(high, (float) get(&x, k));
            }

            scale = low == high ? 1 : (high - low) / top;
            zero = nearbyintf(-low / scale);
            pass = (float) get(&out[1], r) == scale
                   && (float) get(&out[2], r) == zero;

            for (int64_t k = r * n; k < r * n + n && pass; k++) {
                pass = get(&out[0], k) == to_byte((float) get(&x, k) / scale,
                                                  (int) zero, INFER_U8);
            }
        }

        free(x.data);

        for (int k = 0; k < 3; k++) {
            free(out[k].data);
        }
    }

    ok(pass, "dynamic quantization of rows and of all");

    x = random_tensor(INFER_F32, 3, dim);
    p.dynamic_quantize.axis = 4;
    ok(refused(INFER_OP_DYNAMIC_QUANTIZE, &p, in, 1, 3, 0, "axis 4"),
       "an axis that is not there is refused");
    free(x.data);
}


static void
test_table(void)
{
    static const infer_dtype_t  dtypes[] = { INFER_U8, INFER_I8, INFER_F32 };
    int                         pass = 1;
    int64_t                     dim[] = { 5, 7000 }, n = 256;
    infer_param_t               p;
    infer_tensor_t              x, table, y, *in[2] = { &x, &table };

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 6; i++) {
        x = bytes(i % 2 ? INFER_U8 : INFER_I8, 2, dim);
        table = i / 2 == 2 ? random_tensor(INFER_F32, 1, &n)
                           : bytes(dtypes[i / 2], 1, &n);
        pass = run_op(INFER_OP_TABLE, &p, in, 2, &y, 1, 2) == 0 && pass
               && y.dtype == dtypes[i / 2];

        for (int64_t k = 0; k < dim[0] * dim[1] && pass; k++) {
            pass = get(&y, k) == get(&table, ((uint8_t *) x.data)[k]);
        }

        free(x.data);
        free(table.data);
        free(y.data);
    }

    ok(pass, "table lookup");

    n = 255;
    x = bytes(INFER_U8, 2, dim);
    table = bytes(INFER_U8, 1, &n);
    ok(refused(INFER_OP_TABLE, &p, in, 2, 1, 2, "256 elements"),
       "a table of 255 elements is refused");
    free(x.data);
    free(table.data);
}


/* ---- elementwise ------------------------------------------------------ */

static int
binary_agrees(int kind, const infer_unary_t *act, int broadcast)
{
    int               pass = 1;
    float             v, sa, sb, by;
    double            expected;
    int64_t           da[] = { 3, 1 + below(20), 1 + below(200) };
    int64_t           db[] = { 3, da[1], da[2] };
    infer_param_t     p;
    infer_qbinary_t  *q = &p.qbinary;
    infer_tensor_t    a, b, y, *in[2] = { &a, &b };

    db[0] = broadcast & 1 ? 1 : db[0];
    db[2] = broadcast & 2 ? 1 : db[2];
    da[1] = broadcast & 4 ? 1 : da[1];
    a = bytes(INFER_U8, 3, da);
    b = bytes(INFER_U8, 3, db);

    q->kind = kind;
    q->act = *act;
    q->a = (infer_affine_scale_t) { 0.02f, (int32_t) below(256) };
    q->b = (infer_affine_scale_t) { 0.03f, (int32_t) below(256) };
    q->out = (infer_affine_scale_t) { 0.04f, (int32_t) below(256) };

    if (act->kind <= INFER_CLIP && below(4) == 0) {
        q->a.scale = 3e9f;             /* numbers that no integer holds */
    }

    pass = run_op(INFER_OP_QBINARY, &p, in, 2, &y, 1, 0) == 0;

    for (int64_t i = 0; pass && i < (int64_t) infer_numel(&y); i++) {
        float  x = (float) get(&a, broadcast_offset(&y, &a, i))
                   - (float) q->a.zero;
        float  z = (float) get(&b, broadcast_offset(&y, &b, i))
                   - (float) q->b.zero;

        by = act->kind <= INFER_CLIP ? q->out.scale : 1;
        sa = q->a.scale;
        sb = q->b.scale;
        sa = (kind == INFER_MUL ? sa * sb : sa) / by;
        sb = (kind == INFER_SUB ? -sb : sb) / by;
        v = kind == INFER_MUL ? x * z * sa : fmaf(z, sb, x * sa);

        if (act->kind == INFER_CLIP) {
            v = fminf(fmaxf(v, act->a / by), act->b / by);

        } else if (act->kind == INFER_SIGMOID) {
            v = (float) (1 / (1 + exp(-(double) v))) / q->out.scale;
        }

        expected = (double) to_byte(v, q->out.zero, INFER_U8);
        pass = fabs((double) get(&y, i) - expected)
               <= (act->kind > INFER_CLIP);
    }

    free(a.data);
    free(b.data);
    free(y.data);

    return pass;
}


static void
test_binary(void)
{
    static const infer_unary_t  acts[] = {
        { INFER_NONE, 0, 0 }, { INFER_CLIP, 0, INFINITY },
        { INFER_CLIP, -1, 1.5f }, { INFER_SIGMOID, 0, 0 }
    };
    int                         pass = 1;
    int64_t                     n = 3;
    infer_param_t               p;
    infer_tensor_t              x = bytes(INFER_U8, 1, &n), *in[] = { &x, &x };

    for (int i = 0; i < 96; i++) {
        pass = binary_agrees(i % 3, &acts[i / 3 % 4], i / 12) && pass;
    }

    ok(pass, "add, sub and mul, broadcast, with activations");

    memset(&p, 0, sizeof(p));
    p.qbinary.a.scale = p.qbinary.b.scale = p.qbinary.out.scale = 1;
    p.qbinary.kind = INFER_DIV;
    ok(refused(INFER_OP_QBINARY, &p, in, 2, 1, 0, "operation 3"),
       "a division is refused");
    p.qbinary.kind = INFER_ADD;
    p.qbinary.b.zero = 300;
    ok(refused(INFER_OP_QBINARY, &p, in, 2, 1, 0, "second operand, 300"),
       "a zero point of 300 is refused");
    free(x.data);
}


/* ---- pools ------------------------------------------------------------ */

/* Of output i: the largest, the sum, and how many taps lie in the input. */
static int
naive_pool(const infer_window_t *w, const infer_tensor_t *x,
    const infer_tensor_t *y, int64_t i, int *sum, int *padded)
{
    int      largest = 0, n = 0;
    int64_t  at[4], h, v;

    to_index(y, i, at);
    *sum = *padded = 0;

    for (int kh = 0; kh < w->kernel[1]; kh++) {
        for (int kw = 0; kw < w->kernel[2]; kw++) {
            h = at[1] * w->stride[1] - w->before[1] + kh * w->dilation[1];
            v = at[2] * w->stride[2] - w->before[2] + kw * w->dilation[2];

            *padded += h < x->dim[1] + w->after[1]
                       && v < x->dim[2] + w->after[2];

            if (h < 0 || v < 0 || h >= x->dim[1] || v >= x->dim[2]) {
                continue;
            }

            int64_t  from[] = { at[0], h, v, at[3] };
            int      q = (int) get(x, from_index(x, from));

            largest = q > largest ? q : largest;
            *sum += q;
            n++;
        }
    }

    *sum = n == 0 ? 0 : *sum;
    *padded = *padded > 0 ? *padded : 1;

    return n > 0 ? largest : 0;
}


static int
pool_agrees(int average)
{
    int              pass, sum, padded, largest, n, include = (int) below(2);
    int              ceil = (int) below(2), zero = (int) below(256);
    float            factor;
    int64_t          dim[] = { 2, 5 + below(6), 5 + below(9), 1 + below(150) };
    infer_param_t    p;
    infer_window_t   w;
    infer_tensor_t   x = bytes(INFER_U8, 4, dim), y, ones, *in[1] = { &x };

    for (int i = 0; i < 3; i++) {
        w.kernel[i] = i == 0 ? 1 : 1 + (int32_t) below(3);
        w.stride[i] = i == 0 ? 1 : 1 + (int32_t) below(3);
        w.dilation[i] = i == 0 ? 1 : 1 + (int32_t) below(2);
        w.before[i] = (int32_t) below((w.kernel[i] - 1) * w.dilation[i] + 1);
        w.after[i] = (int32_t) below((w.kernel[i] - 1) * w.dilation[i] + 1);
    }

    memset(&p, 0, sizeof(p));

    if (average) {
        p.qpool.window = w;
        p.qpool.count_include_pad = include;
        p.qpool.ceil = ceil;
        p.qpool.in = (infer_affine_scale_t) { 0.02f, zero };
        p.qpool.out = (infer_affine_scale_t) { 0.017f, (int) below(256) };

    } else {
        p.pool.window = w;
        p.pool.ceil = ceil;
    }

    pass = run_op(average ? INFER_OP_QPOOL : INFER_OP_POOL, &p, in, 1, &y, 1,
                  0) == 0;

    ones = tensor(INFER_U8, 4, dim);
    memset(ones.data, 1, infer_numel(&ones));

    for (int64_t i = 0; pass && i < (int64_t) infer_numel(&y); i++) {
        naive_pool(&w, &ones, &y, i, &n, &padded);
        largest = naive_pool(&w, &x, &y, i, &sum, &padded);
        factor = 0.02f / p.qpool.out.scale
                 / (float) (include ? padded : n > 0 ? n : 1);
        pass = (int) get(&y, i)
               == (average ? (int) to_byte((float) (sum - n * zero) * factor,
                                           p.qpool.out.zero, INFER_U8)
                           : largest);
    }

    free(x.data);
    free(y.data);
    free(ones.data);

    return pass;
}


static void
test_pool(void)
{
    int             pass[2] = { 1, 1 };
    int64_t         dim[] = { 1, 8, 8, 2 };
    infer_param_t   p;
    infer_tensor_t  x = bytes(INFER_U8, 4, dim), *in[1] = { &x };

    for (int i = 0; i < 120; i++) {
        pass[i % 2] &= pool_agrees(i % 2);
    }

    ok(pass[0], "max pool of bytes");
    ok(pass[1], "average pool of bytes");

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.qpool.window.kernel[i] = i == 0 ? 1 : 8;
        p.qpool.window.stride[i] = p.qpool.window.dilation[i] = 1;
    }

    p.qpool.in.scale = 1;
    ok(refused(INFER_OP_QPOOL, &p, in, 1, 1, 0, "scale of the result is 0"),
       "a scale of 0 is refused");
    free(x.data);
}


int
main(void)
{
    test_quantize();
    test_dynamic();
    test_table();
    test_binary();
    test_pool();

    return done();
}
