/*
 * The unary operator on each dtype: what is computed, what is refused, and
 * that integers never pass through a float.
 */

#include <stdint.h>

#include "ops.h"


/* The first element of the operator's result on a tensor of x. */
static long double
unary(int kind, float a, float b, infer_dtype_t dtype, const void *x)
{
    int64_t          dim = 3;
    long double      y;
    infer_param_t    param = { .unary = { kind, a, b } };
    infer_tensor_t   in = tensor(dtype, 1, &dim), out, *operand = &in;

    for (int i = 0; i < 3; i++) {
        memcpy((char *) in.data + (size_t) i * infer_dtype_size(dtype), x,
               infer_dtype_size(dtype));
    }

    if (run_op(INFER_OP_UNARY, &param, &operand, 1, &out, 1, 0) != 0) {
        printf("# %s\n", err.text);
        free(in.data);
        return NAN;
    }

    y = get(&out, 0);

    if (out.dtype != dtype || get(&out, 2) != y) {
        y = NAN;
    }

    free(in.data);
    free(out.data);

    return y;
}


#define UNARY(KIND, A, B, DTYPE, T, X)                                       \
    unary(KIND, A, B, DTYPE, &(T) { X })

static void
test_integers(void)
{
    ok(UNARY(INFER_CLIP, 0, INFINITY, INFER_I64, int64_t,
             9007199254740993) == 9007199254740993
       && UNARY(INFER_CLIP, -INFINITY, INFINITY, INFER_I64, int64_t,
                INT64_MIN + 1) == INT64_MIN + 1
       && UNARY(INFER_CLIP, 0, INFINITY, INFER_U64, uint64_t,
                UINT64_MAX - 1) == UINT64_MAX - 1,
       "clip keeps large integers");

    ok(UNARY(INFER_CLIP, -1.5f, 2.5f, INFER_I32, int32_t, -7) == -1
       && UNARY(INFER_CLIP, -1.5f, 2.5f, INFER_I32, int32_t, 7) == 2
       && UNARY(INFER_CLIP, -1.5f, 2.5f, INFER_U8, uint8_t, 0) == 0,
       "clip: the integers inside the bounds");

    ok(UNARY(INFER_CLIP, -1e30f, 1e30f, INFER_I8, int8_t, -128) == -128
       && UNARY(INFER_CLIP, 1e30f, INFINITY, INFER_I8, int8_t, 5) == 127
       && UNARY(INFER_CLIP, -INFINITY, -1e30f, INFER_I16, int16_t, 5)
          == -32768,
       "clip: bounds beyond the dtype");

    ok(UNARY(INFER_CLIP, 5, 3, INFER_I32, int32_t, 9) == 3
       && UNARY(INFER_CLIP, 5, 3, INFER_I32, int32_t, 0) == 3,
       "clip: the upper bound decides");

    ok(UNARY(INFER_NEG, 0, 0, INFER_I8, int8_t, -128) == -128
       && UNARY(INFER_NEG, 0, 0, INFER_I64, int64_t, 5) == -5
       && UNARY(INFER_ABS, 0, 0, INFER_I32, int32_t, INT32_MIN) == INT32_MIN
       && UNARY(INFER_ABS, 0, 0, INFER_I16, int16_t, -9) == 9
       && UNARY(INFER_ABS, 0, 0, INFER_U32, uint32_t, 7) == 7,
       "neg and abs wrap");

    ok(UNARY(INFER_NOT, 0, 0, INFER_BOOL, uint8_t, 1) == 0
       && UNARY(INFER_NOT, 0, 0, INFER_BOOL, uint8_t, 0) == 1, "not");
}


static void
test_floats(void)
{
    static const struct {
        int          kind;
        float        a, b;
        double       x, y;
    } cases[] = {
        { INFER_NONE, 0, 0, -1.25, -1.25 },
        { INFER_CLIP, 0, 6, 7, 6 },
        { INFER_CLIP, 0, 6, -7, 0 },
        { INFER_HARDSIGMOID, 0.2f, 0.5f, 1, 0.7 },
        { INFER_HARDSWISH, 0, 0, 1, 2.0 / 3 },
        { INFER_SIGMOID, 0, 0, 1, 0.731058578630004879 },
        { INFER_SILU, 0, 0, 1, 0.731058578630004879 },
        { INFER_GELU, 0, 0, 1, 0.841344746068542949 },
        { INFER_TANH, 0, 0, 1, 0.761594155955764888 },
        { INFER_ERF, 0, 0, 1, 0.842700792949714869 },
        { INFER_EXP, 0, 0, 1, 2.718281828459045235 },
        { INFER_LOG, 0, 0, 2, 0.693147180559945309 },
        { INFER_SQRT, 0, 0, 2, 1.414213562373095049 },
        { INFER_NEG, 0, 0, 2, -2 },
        { INFER_ABS, 0, 0, -2, 2 },
        { INFER_FLOOR, 0, 0, -1.5, -2 },
        { INFER_CEIL, 0, 0, -1.5, -1 },
        { INFER_ROUND, 0, 0, 2.5, 2 },
        { INFER_RECIPROCAL, 0, 0, 8, 0.125 },
        { INFER_LEAKYRELU, 0.25f, 0, -2, -0.5 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(close_to(unary(cases[i].kind, cases[i].a, cases[i].b, INFER_F64,
                          &cases[i].x), cases[i].y,
                    cases[i].kind == INFER_HARDSIGMOID ? 1e-8 : 1e-15)
           && close_to(UNARY(cases[i].kind, cases[i].a, cases[i].b,
                             INFER_F32, float, (float) cases[i].x),
                       cases[i].y, 2e-7),
           "unary %d in float64 and float32", cases[i].kind);
    }

    ok(isnan(UNARY(INFER_CLIP, 0, 1, INFER_F64, double, NAN))
       && isnan(UNARY(INFER_HARDSWISH, 0, 1, INFER_F64, double, NAN)),
       "float64: NaN stays NaN");
}


static void
test_refused(void)
{
    int64_t         dim = 2;
    infer_param_t   param = { .unary = { 0, 0, 0 } };
    infer_tensor_t  in, *operand = &in;
    static const struct {
        int            kind;
        infer_dtype_t  dtype;
    } cases[] = {
        { INFER_NOT, INFER_F32 }, { INFER_EXP, INFER_I32 },
        { INFER_NEG, INFER_U8 }, { INFER_CLIP, INFER_BOOL },
        { INFER_SQRT, INFER_F16 }, { INFER_UNARIES, INFER_F32 },
        { -1, INFER_F32 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = tensor(cases[i].dtype, 1, &dim);
        param.unary.kind = cases[i].kind;

        ok(refused(INFER_OP_UNARY, &param, &operand, 1, 1, 0,
                   "not supported"), "refused: unary %d of %s",
           cases[i].kind, infer_dtype_name(cases[i].dtype));

        free(in.data);
    }
}


int
main(void)
{
    test_integers();
    test_floats();
    test_refused();

    return done();
}
