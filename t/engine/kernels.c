/*
 * The kernels of rows and of single elements: every instruction set of this CPU
 * has the bits of the scalar reference, for every tail; and the scalar
 * functions are as precise as vec_math.h says, measured against
 * double-precision libm.
 */

#include <float.h>

#include "kernel.h"


static const infer_kernels_t  *tested;


/* ---- elementwise ------------------------------------------------------ */

/* Numbers at the edges of the functions and of the format. */
static const float  special[] = {
    0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 1.5f, -2.5f, 6.0f, -3.0f, 3.0f,
    FLT_MIN, -FLT_MIN, FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MAX, -FLT_MAX,
    INFINITY, -INFINITY, 88.72283f, 88.8f, 89.5f, -87.33655f, -87.4f,
    -103.9f, -104.1f, 0.6f, -0.6f, 0.59999996f, 0.9999999f, 4.0f, -4.1f,
    10.0f, -20.0f, 0x1p23f, 0x1p31f, -0x1p31f, 8388607.5f, 1e-20f, -1e-20f,
    0.70710677f, 0.7071068f, 1.4142135f, 1e-40f, -1e-40f
};

#define SPECIAL  (sizeof(special) / sizeof(special[0]))


static void
test_unary(void)
{
    int            pass;
    float          x[4096 + SPECIAL + 2], y[4096 + SPECIAL + 2];
    float          z[4096 + SPECIAL + 2];
    size_t         n = sizeof(x) / sizeof(x[0]);
    infer_unary_t  u = { 0, 0, 0 };

    for (size_t i = 0; i < n; i++) {
        x[i] = i & 1 ? from_bits(random_bits()) : random_float() * 20;
    }

    memcpy(x, special, sizeof(special));
    x[SPECIAL] = NAN;
    x[SPECIAL + 1] = -NAN;

    for (u.kind = 0; u.kind < INFER_NOT; u.kind++) {
        pass = 1;

        for (int bounds = 0; bounds < 3; bounds++) {
            u.a = (float []) { 0, 0.2f, -1 }[bounds];
            u.b = (float []) { INFINITY, 0.5f, 6 }[bounds];

            reference->unary_f32(&u, x, y, n);
            tested->unary_f32(&u, x, z, n);
            pass = pass && alike(y, z, n)
                   && (u.kind != INFER_CLIP || same(y, z, n));

            for (size_t len = 0; len < 40; len++) {
                memset(z, 0, sizeof(z));
                z[len] = CANARY;
                tested->unary_f32(&u, x, z, len);
                pass = pass && alike(y, z, len) && z[len] == CANARY;
            }

            memcpy(z, x, sizeof(x));
            tested->unary_f32(&u, z, z, n);
            pass = pass && alike(y, z, n);
        }

        ok(pass, "%s unary %d: the bits of scalar", tested->name, u.kind);
    }
}


static void
test_binary(void)
{
    int             pass;
    float           a[500], b[500], y[501], z[501];
    infer_binary_t  bin = { 0, { INFER_NONE, 0, 0 } };
    const int       kinds[] = { INFER_ADD, INFER_SUB, INFER_MUL, INFER_DIV,
                                INFER_MIN, INFER_MAX };

    for (size_t i = 0; i < 500; i++) {
        a[i] = i < SPECIAL ? special[i] : random_float();
        b[i] = i < SPECIAL ? special[(i * 7 + 3) % SPECIAL] : random_float();
    }

    a[100] = NAN;
    b[101] = NAN;

    for (size_t k = 0; k < 6; k++) {
        pass = 1;
        bin.kind = kinds[k];

        for (size_t n = 0; n <= 500; n += n < 40 ? 1 : 46) {
            bin.act = acts[n % ACTS];

            for (size_t step = 0; step < 4; step++) {
                y[n] = z[n] = CANARY;
                reference->binary_f32(&bin, a, step & 1, b, step >> 1, y, n);
                tested->binary_f32(&bin, a, step & 1, b, step >> 1, z, n);
                pass = pass && alike(y, z, n) && z[n] == CANARY
                       && y[n] == CANARY;
            }
        }

        bin.act = acts[0];
        memcpy(z, a, sizeof(a));
        reference->binary_f32(&bin, a, 1, b, 0, y, 500);
        tested->binary_f32(&bin, z, 1, b, 0, z, 500);

        ok(pass && alike(y, z, 500), "%s binary %d: the bits of scalar",
           tested->name, bin.kind);

        memcpy(z, a, sizeof(a));
        reference->binary_f32(&bin, a, 0, b, 1, y, 500);
        tested->binary_f32(&bin, z, 0, b, 1, z, 500);

        ok(alike(y, z, 500), "%s binary %d: the result over a single operand",
           tested->name, bin.kind);
    }

    bin.kind = INFER_MIN;
    tested->binary_f32(&bin, a, 1, b, 1, z, 500);
    bin.kind = INFER_MAX;
    tested->binary_f32(&bin, a, 1, b, 1, y, 500);

    ok(isnan(z[100]) && isnan(z[101]) && isnan(y[100]) && isnan(y[101]),
       "%s min and max: NaN where an operand is", tested->name);
}


static void
test_affine(void)
{
    int            pass = 1;
    float          x[1500], scale[500], offset[500], y[2000], z[2000];
    infer_unary_t  act;

    for (size_t i = 0; i < 1500; i++) {
        x[i] = random_float();
        scale[i % 500] = random_float();
        offset[i % 500] = random_float();
    }

    x[7] = NAN;

    for (size_t n = 1; n <= 500; n += n < 40 ? 1 : 46) {
        act = acts[n % ACTS];
        memset(y, 0, sizeof(y));
        memset(z, 0, sizeof(z));

        reference->affine_f32(&act, x, 3, n, scale, offset, y, n + 100);
        tested->affine_f32(&act, x, 3, n, scale, offset, z, n + 100);
        pass = pass && alike(y, z, 2000);
    }

    ok(pass, "%s affine: the bits of scalar", tested->name);
}


static void
test_rows(void)
{
    int    pass = 1, mean_pass = 1;
    float  x[2200], scale[2000], bias[2000], y[2000], z[2000];
    float  sum[2], mean[2], inv[2];

    for (size_t i = 0; i < 2200; i++) {
        x[i] = random_float() * 30;
    }

    for (size_t i = 0; i < 2000; i++) {
        scale[i] = random_float();
        bias[i] = random_float();
    }

    for (size_t n = 1; n <= 2000; n += n < 70 ? 1 : 193) {
        reference->softmax_f32(x, y, n);
        tested->softmax_f32(x, z, n);
        pass = pass && same(y, z, n);

        sum[0] = reference->sum_f32(x, n);
        sum[1] = tested->sum_f32(x, n);
        pass = pass && same(&sum[0], &sum[1], 1);

        memcpy(y, x, n * sizeof(float));
        memcpy(z, x, n * sizeof(float));
        reference->sum_rows_f32(x, 7, 20, y, n);
        tested->sum_rows_f32(x, 7, 20, z, n);
        pass = pass && same(y, z, n);

        for (int form = 0; form < 4; form++) {
            reference->layernorm_f32(x, form & 1 ? scale : NULL,
                                     form & 2 ? bias : NULL, 1e-5f, y, n,
                                     &mean[0], &inv[0]);
            tested->layernorm_f32(x, form & 1 ? scale : NULL,
                                  form & 2 ? bias : NULL, 1e-5f, z, n,
                                  form ? &mean[1] : NULL,
                                  form ? &inv[1] : NULL);
            pass = pass && same(y, z, n);
            mean_pass = mean_pass
                        && (form == 0 || (same(&mean[0], &mean[1], 1)
                                          && same(&inv[0], &inv[1], 1)));
        }
    }

    ok(pass, "%s softmax, sum, layernorm: the bits of scalar", tested->name);
    ok(mean_pass, "%s layernorm: mean and factor", tested->name);
}


/* ---- precision -------------------------------------------------------- */

static double
exact(int kind, double x)
{
    switch (kind) {
    case INFER_EXP:      return exp(x);
    case INFER_LOG:      return log(x);
    case INFER_ERF:      return erf(x);
    case INFER_TANH:     return tanh(x);
    case INFER_SIGMOID:  return 1 / (1 + exp(-x));
    case INFER_SILU:     x = x < -80 ? -80 : x; return x / (1 + exp(-x));
    default:             return sqrt(x);
    }
}


/* Distance in units in the last place of a float result y. */
static double
ulps(float y, double expected)
{
    int     exponent;
    double  unit;

    if (isnan(expected)) {
        return isnan(y) ? 0 : INFINITY;
    }

    if ((double) y == expected || y == (float) expected) {
        return 0;
    }

    if (isinf(y) || isinf((float) expected)) {
        return INFINITY;
    }

    frexp(expected, &exponent);
    unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);

    return fabs((double) y - expected) / unit;
}


static void
test_precision(void)
{
    float  x[64], y[64];
    static const struct {
        int          kind;
        const char  *name;
        double       limit;
    } functions[] = {
        { INFER_EXP, "exp", 1.1 },
        { INFER_LOG, "log", 1.1 },
        { INFER_ERF, "erf", 1.1 },
        { INFER_TANH, "tanh", 1.7 },
        { INFER_SIGMOID, "sigmoid", 2.6 },
        { INFER_SILU, "silu", 2.6 },
        { INFER_SQRT, "sqrt", 0.5 }
    };

    for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
        double         worst = 0, error;
        uint64_t       bits = 0;
        infer_unary_t  u = { functions[f].kind, 0, 0 };

        /* a stride that is odd in every digit: 4 million arguments */
        while (bits < (uint64_t) 1 << 32) {
            for (size_t i = 0; i < 64; i++) {
                x[i] = from_bits((uint32_t) bits);
                bits += 1021;
            }

            tested->unary_f32(&u, x, y, 64);

            for (size_t i = 0; i < 64; i++) {
                error = ulps(y[i], exact(u.kind, x[i]));
                worst = error > worst ? error : worst;
            }
        }

        ok(worst <= functions[f].limit, "%s: error %.2f ULP, at most %.1f",
           functions[f].name, worst, functions[f].limit);
    }
}


static void
test_values(void)
{
    float          y[8];
    infer_unary_t  u = { INFER_CLIP, 0, INFINITY };
    const float    x[8] = { NAN, -1, 2, INFINITY, -INFINITY, 0.5f, 7, -0.0f };

    reference->unary_f32(&u, x, y, 8);
    ok(isnan(y[0]) && y[1] == 0 && y[2] == 2 && isinf(y[3]) && y[4] == 0,
       "relu: NaN stays, below 0 is 0");

    u = (infer_unary_t) { INFER_CLIP, 0, 6 };
    reference->unary_f32(&u, x, y, 8);
    ok(isnan(y[0]) && y[3] == 6 && y[6] == 6 && y[5] == 0.5f, "clip");

    u = (infer_unary_t) { INFER_LEAKYRELU, 0.1f, 0 };
    reference->unary_f32(&u, x, y, 8);
    ok(y[1] == -0.1f && y[2] == 2, "leaky relu");

    u.kind = INFER_HARDSWISH;
    reference->unary_f32(&u, x, y, 8);
    ok(fabsf(y[1] + 1 / 3.0f) < 1e-6f && y[6] == 7
       && fabsf(y[2] - 5 / 3.0f) < 1e-6f, "hardswish");

    u.kind = INFER_GELU;
    reference->unary_f32(&u, x, y, 8);
    ok(fabsf(y[1] + 0.15865525f) < 1e-6f && fabsf(y[5] - 0.3457312f) < 1e-6f,
       "gelu");

    u.kind = INFER_SILU;
    reference->unary_f32(&u, x, y, 8);
    ok(fabsf(y[1] + 0.26894143f) < 1e-6f && fabsf(y[2] - 1.7615942f) < 1e-6f,
       "silu");

    reference->softmax_f32(x + 5, y, 2);
    ok(fabsf(y[0] - 0.001501182f) < 1e-8f && fabsf(y[1] - 0.9984988f) < 1e-6f,
       "softmax");

    reference->layernorm_f32((const float []) { 1, 2, 3, 4 }, NULL, NULL, 0,
                             y, 4, NULL, NULL);
    ok(fabsf(y[0] + 1.3416408f) < 1e-6f && fabsf(y[3] - 1.3416408f) < 1e-6f,
       "layernorm");
}


int
main(void)
{
    setenv("INFER_ISA", "no such thing", 1);
    ok(infer_kernels() != NULL && strcmp(infer_isa(), infer_kernels()->name)
       == 0, "kernels: %s", infer_isa());

    test_values();
    tested = reference;

    for (size_t i = 1; infer_kernels_own(i) != NULL; i++) {
        tested = infer_kernels_own(i);
        test_unary();
        test_binary();
        test_affine();
        test_rows();
    }

    test_precision();

    return done();
}
