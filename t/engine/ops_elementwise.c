/*
 * Binary operators, where and cast against computations of one element at a
 * time, over random shapes that broadcast; what must not trap; what the shape
 * rules refuse.
 */

#include "ops.h"
#include "ops/half.h"


static const infer_dtype_t  integers[] = {
    INFER_I8, INFER_U8, INFER_I16, INFER_U16, INFER_I32, INFER_U32,
    INFER_I64, INFER_U64
};


/* Two or three operands that broadcast; returns the result's rank. */
static void
random_shapes(int n, int *rank, int64_t dim[][INFER_MAX_RANK])
{
    int      top = (int) below(5);
    int64_t  full[INFER_MAX_RANK];

    for (int i = 0; i < top; i++) {
        full[i] = below(8) == 0 ? 0 : 1 + below(5);
    }

    if (top > 0 && below(3) == 0) {
        full[top - 1] = 1 + below(70);
    }

    if (top > 0 && below(10) == 0) {
        full[0] = 3000;
    }

    for (int k = 0; k < n; k++) {
        rank[k] = below(2) ? top : (int) below(top + 1);

        for (int i = 0; i < rank[k]; i++) {
            dim[k][i] = below(3) == 0 ? 1 : full[top - rank[k] + i];
        }
    }
}


static long double
wrap(infer_dtype_t dtype, __int128 x)
{
    switch (dtype) {
    case INFER_I8:
        return (int8_t) x;
    case INFER_U8:
        return (uint8_t) x;
    case INFER_I16:
        return (int16_t) x;
    case INFER_U16:
        return (uint16_t) x;
    case INFER_I32:
        return (int32_t) x;
    case INFER_U32:
        return (uint32_t) x;
    case INFER_I64:
        return (int64_t) x;
    default:
        return (uint64_t) x;
    }
}


static long double
expect(infer_dtype_t dtype, int kind, long double p, long double q)
{
    __int128  a = 0, b = 0, y = 1;

    if (!is_float(dtype)) {
        a = (__int128) p;
        b = (__int128) q;
    }

    switch (kind) {
    case INFER_ADD:
        return is_float(dtype) ? p + q : wrap(dtype, a + b);
    case INFER_SUB:
        return is_float(dtype) ? p - q : wrap(dtype, a - b);
    case INFER_MUL:
        return is_float(dtype) ? p * q : wrap(dtype, a * b);
    case INFER_DIV:
        return is_float(dtype) ? p / q : b == 0 ? 0 : wrap(dtype, a / b);
    case INFER_MIN:
        return p < q || p != p ? p : q;
    case INFER_MAX:
        return p > q || p != p ? p : q;
    case INFER_MOD:
        return b == 0 ? 0 : wrap(dtype, ((a % b) + b) % b);
    case INFER_EQUAL:
        return p == q;
    case INFER_LESS:
        return p < q;
    case INFER_GREATER:
        return p > q;
    case INFER_LESS_EQUAL:
        return p <= q;
    case INFER_GREATER_EQUAL:
        return p >= q;
    case INFER_AND:
        return p != 0 && q != 0;
    case INFER_OR:
        return p != 0 || q != 0;
    case INFER_XOR:
        return (p != 0) != (q != 0);
    }

    if (is_float(dtype)) {
        return dtype == INFER_F32 ? (float) pow((double) p, (double) q)
                                  : pow((double) p, (double) q);
    }

    if (b < 0) {
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    }

    for (__int128 i = 0; i < b; i++) {
        y = (__int128) (int64_t) ((uint64_t) y * (uint64_t) a);
    }

    return wrap(dtype, y);
}


/* One operator on random operands; the number of wrong elements, or -1. */
static int64_t
binary_case(infer_dtype_t dtype, int kind)
{
    int              rank[2];
    int64_t          dim[2][INFER_MAX_RANK], wrong = 0;
    long double      p, q;
    infer_param_t    param = { .binary = { .kind = kind } };
    infer_tensor_t   a, b, y, *in[2] = { &a, &b };

    random_shapes(2, rank, dim);
    a = random_tensor(dtype, rank[0], dim[0]);
    b = random_tensor(dtype, rank[1], dim[1]);

    if (run_op(INFER_OP_BINARY, &param, in, 2, &y, 1, 0) != 0) {
        printf("# %s\n", err.text);
        return -1;
    }

    for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
        p = get(&a, broadcast_offset(&y, &a, i));
        q = get(&b, broadcast_offset(&y, &b, i));
        wrong += !close_to(get(&y, i), expect(dtype, kind, p, q),
                           dtype == INFER_F32 ? 1e-7 : 1e-15);
    }

    free(a.data);
    free(b.data);
    free(y.data);

    return wrong;
}


static void
test_binary(void)
{
    int64_t  wrong;

    for (int kind = 0; kind < INFER_AND; kind++) {
        wrong = 0;

        for (int round = 0; round < 40; round++) {
            if (kind != INFER_MOD) {
                wrong |= binary_case(INFER_F32, kind);
                wrong |= binary_case(INFER_F64, kind);
            }

            wrong |= binary_case(integers[round % 8], kind);
        }

        ok(wrong == 0, "binary %d on floats and integers", kind);
    }

    for (int kind = INFER_EQUAL; kind < INFER_BINARIES; kind++) {
        if (kind == INFER_EQUAL || kind >= INFER_AND) {
            ok(binary_case(INFER_BOOL, kind) == 0, "binary %d on bool", kind);
        }
    }
}


static void
test_integer_limits(void)
{
    int64_t          n = 4;
    int32_t          a[] = { INT32_MIN, 7, INT32_MIN, -7 };
    int32_t          b[] = { -1, 0, 2, 2 };
    const int32_t   *r;
    infer_param_t    param = { .binary = { .kind = INFER_DIV } };
    infer_tensor_t   x = { INFER_I32, 1, { n }, a }, y;
    infer_tensor_t   z = { INFER_I32, 1, { n }, b }, *in[2] = { &x, &z };

    run_op(INFER_OP_BINARY, &param, in, 2, &y, 1, 0);
    r = y.data;
    ok(r[0] == INT32_MIN && r[1] == 0 && r[2] == INT32_MIN / 2 && r[3] == -3,
       "division: INT_MIN / -1 wraps, 7 / 0 is 0, -7 / 2 is -3");
    free(y.data);

    param.binary.kind = INFER_MOD;
    run_op(INFER_OP_BINARY, &param, in, 2, &y, 1, 0);
    r = y.data;
    ok(r[0] == 0 && r[1] == 0 && r[2] == 0 && r[3] == 1,
       "modulo: INT_MIN %% -1 and 7 %% 0 are 0, -7 %% 2 is 1");
    free(y.data);
}


static void
test_nan_and_act(void)
{
    int64_t          n = 40, one = 1;
    int              good = 1;
    infer_param_t    param = { .binary = { .kind = INFER_MIN } };
    infer_tensor_t   a = random_tensor(INFER_F32, 1, &n);
    infer_tensor_t   b = random_tensor(INFER_F32, 1, &n), y;
    infer_tensor_t   e = tensor(INFER_F32, 1, &one), *in[2] = { &a, &b };

    put(&a, 3, NAN);
    put(&b, 37, NAN);
    put(&a, 5, INFINITY);

    for (int kind = INFER_MIN; kind <= INFER_MAX; kind++) {
        param.binary.kind = kind;
        run_op(INFER_OP_BINARY, &param, in, 2, &y, 1, 0);

        for (int64_t i = 0; i < n; i++) {
            good &= isnan((double) get(&y, i)) == (i == 3 || i == 37);
        }

        free(y.data);
    }

    ok(good, "min and max give NaN where an operand is NaN, and only there");

    good = 1;
    put(&e, 0, 2);
    in[1] = &e;
    param.binary.act = (infer_unary_t) { INFER_CLIP, 0.5f, 1.5f };

    for (int kind = INFER_ADD; kind <= INFER_POW; kind++) {
        param.binary.kind = kind;
        run_op(INFER_OP_BINARY, &param, in, 2, &y, 1, 0);

        for (int64_t i = 0; i < n; i++) {
            good &= i == 3
                    || close_to(get(&y, i),
                                fminl(fmaxl(expect(INFER_F32, kind, get(&a, i),
                                                   2), 0.5L), 1.5L), 1e-7);
        }

        free(y.data);
    }

    ok(good, "an activation follows add .. pow");
    free(a.data);
    free(b.data);
    free(e.data);
}


static void
test_affine(void)
{
    int              good = 1, refusals;
    double           z;
    int64_t          dim[3] = { 3, 700, 0 }, c, k;
    int64_t          width[3] = { 5, 0, 48 }, all = 53;
    infer_param_t    param;
    infer_tensor_t   x[3], y, scale, offset, *in[5];

    memset(&param, 0, sizeof(param));
    param.affine.act = (infer_unary_t) { INFER_CLIP, -1, 1 };

    in[0] = &scale;
    in[1] = &offset;
    scale = random_tensor(INFER_F32, 1, &all);
    offset = random_tensor(INFER_F32, 1, &all);

    for (int i = 0; i < 3; i++) {
        dim[2] = width[i];
        x[i] = random_tensor(INFER_F32, 3, dim);
        in[2 + i] = &x[i];
    }

    good &= run_op(INFER_OP_AFFINE, &param, in, 5, &y, 1, 3) == 0
            && y.rank == 3 && y.dim[2] == all;

    for (int64_t i = 0; good && i < (int64_t) infer_numel(&y); i++) {
        c = i % all;
        k = c < 5 ? 0 : 2;
        z = get(&x[k], i / all * width[k] + (k ? c - 5 : c))
            * get(&scale, c) + get(&offset, c);
        good = close_to(get(&y, i), fmin(1, fmax(-1, z)), 1e-6);
    }

    ok(good, "affine over three tensors, one of them empty");
    free(y.data);

    refusals = refused(INFER_OP_AFFINE, &param, in, 4, 1, 3, "5 floats");
    in[3] = &scale;
    refusals += refused(INFER_OP_AFFINE, &param, in, 5, 1, 3, "another rank");
    in[3] = &x[1];
    x[1].dim[0] = 4;
    refusals += refused(INFER_OP_AFFINE, &param, in, 5, 1, 3, "dimension 0");
    param.affine.act.kind = INFER_NOT;
    refusals += refused(INFER_OP_AFFINE, &param, in, 3, 1, 3, "floats");
    ok(refusals == 4, "affine refuses operands that do not fit");

    for (int i = 0; i < 3; i++) {
        free(x[i].data);
    }

    free(scale.data);
    free(offset.data);
}


static void
test_where(void)
{
    int              rank[3], good = 1;
    int64_t          dim[3][INFER_MAX_RANK], k;
    infer_param_t    param;
    infer_dtype_t    dtype;
    infer_tensor_t   c, a, b, y, *in[3] = { &c, &a, &b };

    memset(&param, 0, sizeof(param));

    for (int round = 0; round < 100; round++) {
        random_shapes(3, rank, dim);
        dtype = round % 5 == 0 ? INFER_F32 : round % 5 == 1 ? INFER_BOOL
                : integers[round % 8];
        c = random_tensor(INFER_BOOL, rank[0], dim[0]);
        a = random_tensor(dtype, rank[1], dim[1]);
        b = random_tensor(dtype, rank[2], dim[2]);

        good &= run_op(INFER_OP_WHERE, &param, in, 3, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            k = broadcast_offset(&y, &c, i);
            good &= get(&y, i)
                    == (get(&c, k) ? get(&a, broadcast_offset(&y, &a, i))
                                   : get(&b, broadcast_offset(&y, &b, i)));
        }

        free(c.data);
        free(a.data);
        free(b.data);
        free(y.data);
    }

    ok(good, "where, over shapes and dtypes");
}


/*
 * Whether no neighbour of h is nearer to x, nor as near where h is odd:
 * independent of how the rounding is done.
 */
static int
is_nearest(uint16_t h, double x, float (*widen)(uint16_t))
{
    double  mine, other;

    mine = fabs((double) widen(h) - x);

    for (int step = -1; step <= 1; step += 2) {
        other = fabs((double) widen((uint16_t) (h + step)) - x);

        if (other < mine || (other == mine && (h & 1))) {
            return 0;
        }
    }

    return !signbit(widen(h)) == !signbit(x);
}


static void
test_half(void)
{
    int       good = 1;
    float     f;
    double    x;
    uint32_t  bits;

    for (uint32_t h = 0; h < 65536; h++) {
        f = infer_f16_to_float((uint16_t) h);
        good &= isnan(f) || infer_double_to_f16(f) == h;
        f = infer_bf16_to_float((uint16_t) h);
        good &= isnan(f) || infer_double_to_bf16(f) == h;
    }

    ok(good, "all 65536 half and bfloat16 values survive the round trip");

    good = infer_f16_to_float(0x3c00) == 1 && infer_f16_to_float(0xc000) == -2
           && infer_f16_to_float(1) == 0x1p-24f
           && infer_f16_to_float(0x7bff) == 65504
           && isinf(infer_f16_to_float(0x7c00))
           && isnan(infer_f16_to_float(0x7c01))
           && infer_bf16_to_float(0x3f80) == 1
           && infer_double_to_f16(65519.9) == 0x7bff
           && infer_double_to_f16(65520) == 0x7c00
           && infer_double_to_f16(-1e30) == 0xfc00
           && infer_double_to_f16(0x1p-25) == 0
           && infer_double_to_f16(0x1.1p-25) == 1
           && infer_double_to_f16(-0.0) == 0x8000
           && infer_double_to_f16(1 + 0x1p-11) == 0x3c00
           && infer_double_to_f16(1 + 0x1p-11 + 0x1p-40) == 0x3c01
           && infer_double_to_f16(1 + 3 * 0x1p-11) == 0x3c02
           && (infer_double_to_f16(NAN) & 0x7fff) > 0x7c00
           && (infer_double_to_bf16(NAN) & 0x7fff) > 0x7f80
           && infer_double_to_bf16(0x1.ffp127) == 0x7f80;
    ok(good, "half and bfloat16: known values, ties, limits, NaN");

    good = 1;

    for (int i = 0; i < 200000; i++) {
        bits = (uint32_t) rnd();
        memcpy(&f, &bits, sizeof(f));
        x = isnan(f) ? 0 : f;

        if (fabs(x) < 65504) {
            good &= is_nearest(infer_double_to_f16(x), x, infer_f16_to_float);
        }

        if (fabs(x) < 1e38) {
            good &= is_nearest(infer_double_to_bf16(x), x,
                               infer_bf16_to_float);
        }
    }

    ok(good, "rounding to 16 bits gives the nearest value");
}


/* Casts n elements; the result is the caller's. */
static infer_tensor_t
cast(infer_dtype_t from, infer_dtype_t to, int64_t n, void *data)
{
    infer_param_t    param = { .cast = { .dtype = to } };
    infer_tensor_t   x = { from, 1, { n }, data }, y, *in[1] = { &x };

    if (run_op(INFER_OP_CAST, &param, in, 1, &y, 1, 0) != 0) {
        printf("# %s\n", err.text);
    }

    return y;
}


static void
test_cast(void)
{
    int             good = 1;
    int64_t         n = 1000;
    infer_tensor_t  x, y, z;

    /* Small integers survive the way through every pair of dtypes. */
    x = random_tensor(INFER_U8, 1, &n);

    for (int from = 0; from < INFER_BOOL; from++) {
        y = cast(INFER_U8, (infer_dtype_t) from, n, x.data);

        for (int to = 0; to < INFER_BOOL; to++) {
            infer_tensor_t  w = cast((infer_dtype_t) from, (infer_dtype_t) to,
                                     n, y.data);

            z = cast((infer_dtype_t) to, INFER_U8, n, w.data);
            good &= memcmp(x.data, z.data, (size_t) n) == 0;
            free(w.data);
            free(z.data);
        }

        z = cast((infer_dtype_t) from, INFER_BOOL, n, y.data);

        for (int64_t i = 0; i < n; i++) {
            good &= get(&z, i) == (get(&x, i) != 0);
        }

        free(y.data);
        free(z.data);
    }

    free(x.data);
    ok(good, "cast between all pairs of dtypes keeps what fits");
}


static void
test_cast_limits(void)
{
    int             good;
    float           f[] = { 2.9f, -2.9f, 300, -300, NAN, INFINITY, -INFINITY,
                            3e9f, -0.5f, 1e30f };
    int64_t         big[] = { INT64_MAX, INT64_MIN, 0x100000001, 16777217,
                              -1, 1ll << 53 };
    double          d[] = { 1 + 0x1p-24 + 0x1p-52, 1e300, -9.3e18, 9.3e18,
                            0x1p63, 0x1p64 };
    uint8_t         odd[] = { 0, 2, 255 };
    infer_tensor_t  y;

    y = cast(INFER_F32, INFER_I8, 10, f);
    good = memcmp(y.data, (int8_t []) { 2, -2, 127, -128, 0, 127, -128, 127,
                                        0, 127 }, 10) == 0;
    free(y.data);
    y = cast(INFER_F32, INFER_U8, 10, f);
    good &= memcmp(y.data, (uint8_t []) { 2, 0, 255, 0, 0, 255, 0, 255, 0,
                                          255 }, 10) == 0;
    free(y.data);
    y = cast(INFER_F32, INFER_I32, 10, f);
    good &= get(&y, 3) == -300 && get(&y, 4) == 0 && get(&y, 5) == INT32_MAX
            && get(&y, 6) == INT32_MIN && get(&y, 7) == INT32_MAX;
    free(y.data);
    y = cast(INFER_F32, INFER_BOOL, 10, f);
    good &= get(&y, 4) == 1 && get(&y, 8) == 1;
    free(y.data);
    y = cast(INFER_F64, INFER_I64, 6, d);
    good &= get(&y, 1) == INT64_MAX && get(&y, 2) == INT64_MIN
            && get(&y, 3) == INT64_MAX && get(&y, 4) == INT64_MAX;
    free(y.data);
    y = cast(INFER_F64, INFER_U64, 6, d);
    good &= get(&y, 1) == UINT64_MAX && get(&y, 2) == 0
            && get(&y, 5) == UINT64_MAX
            && ((uint64_t *) y.data)[3] == 9300000000000000000u;
    free(y.data);
    ok(good, "floats to integers: toward zero, saturated, NaN is 0");

    y = cast(INFER_I64, INFER_I32, 6, big);
    good = get(&y, 0) == -1 && get(&y, 1) == 0 && get(&y, 2) == 1;
    free(y.data);
    y = cast(INFER_I64, INFER_F32, 6, big);
    good &= get(&y, 0) == 0x1p63L && get(&y, 3) == 16777216
            && get(&y, 4) == -1;
    free(y.data);
    y = cast(INFER_F64, INFER_F32, 4, d);
    good &= get(&y, 0) == (float) d[0] && get(&y, 0) != 1
            && isinf((double) get(&y, 1));
    free(y.data);
    y = cast(INFER_BOOL, INFER_I64, 3, odd);
    good &= get(&y, 0) == 0 && get(&y, 1) == 1 && get(&y, 2) == 1;
    free(y.data);
    y = cast(INFER_F32, INFER_F16, 10, f);
    good &= ((uint16_t *) y.data)[9] == 0x7c00
            && ((uint16_t *) y.data)[8] == 0xb800;
    free(y.data);
    ok(good, "integers wrap; floats are rounded once; bool is 0 or 1");
}


static void
test_refusals(void)
{
    int64_t          d2[] = { 2, 3 }, d3[] = { 4, 3 };
    infer_param_t    param = { .binary = { .kind = INFER_ADD } };
    infer_tensor_t   f = tensor(INFER_F32, 2, d2);
    infer_tensor_t   h = tensor(INFER_F16, 2, d2);
    infer_tensor_t   i = tensor(INFER_I32, 2, d2);
    infer_tensor_t   t = tensor(INFER_F32, 2, d3);
    infer_tensor_t  *fi[] = { &f, &i }, *ft[] = { &f, &t }, *hh[] = { &h, &h };
    infer_tensor_t  *fn[] = { &f, NULL }, *ii[] = { &i, &i };
    infer_tensor_t  *fff[] = { &f, &f, &f };

    ok(refused(INFER_OP_BINARY, &param, fi, 2, 1, 0, "float32 and int32")
       && refused(INFER_OP_BINARY, &param, ft, 2, 1, 0, "broadcast")
       && refused(INFER_OP_BINARY, &param, hh, 2, 1, 0, "float16")
       && refused(INFER_OP_BINARY, &param, fn, 2, 1, 0, "missing")
       && refused(INFER_OP_BINARY, &param, fi, 1, 1, 0, "1 operands"),
       "binary refuses operands that do not go together");

    param.binary.kind = INFER_AND;
    ok(refused(INFER_OP_BINARY, &param, ii, 2, 1, 0, "int32"),
       "and of integers is refused");
    param.binary.kind = 99;
    ok(refused(INFER_OP_BINARY, &param, ii, 2, 1, 0, "int32"),
       "an unknown kind is refused");
    param.binary.kind = INFER_ADD;
    param.binary.act.kind = INFER_CLIP;
    ok(refused(INFER_OP_BINARY, &param, ii, 2, 1, 0, "activation"),
       "an activation of integers is refused");
    ok(refused(INFER_OP_WHERE, &param, fff, 3, 1, 0, "not bool"),
       "where refuses a condition that is no bool");
    param.cast.dtype = INFER_DTYPES;
    ok(refused(INFER_OP_CAST, &param, fff, 1, 1, 0, "unknown dtype"),
       "cast refuses an unknown dtype");

    free(f.data);
    free(h.data);
    free(i.data);
    free(t.data);
}


int
main(void)
{
    test_binary();
    test_integer_limits();
    test_nan_and_act();
    test_affine();
    test_where();
    test_half();
    test_cast();
    test_cast_limits();
    test_refusals();

    return done();
}
