/*
 * The loops over rows of numbers: elementwise functions, softmax, layer
 * normalisation, sums.  Contracts: kernels.h.  Written over a vec_*.h, which
 * is included before, as is vec_math.h.
 *
 * The last vector of a row is masked: its lanes beyond n are read as 0 and
 * not stored.
 */

#ifndef INFER_KERNELS_ROWS_H
#define INFER_KERNELS_ROWS_H

#include "kernels/variants.h"

#define EACH_VECTOR(n)                                                       \
    for (size_t i = 0; i < (n); i += 16)


#define UNARY(KIND, EXPR)                                                    \
    case KIND:                                                               \
        EACH_VECTOR (n) {                                                    \
            vm  m = v_mask(n - i);                                           \
            vf  v = v_load_m(x + i, m);                                      \
                                                                             \
            v_store_m(y + i, EXPR, m);                                       \
        }                                                                    \
        break

static void
unary_f32(const infer_unary_t *u, const float *x, float *y, size_t n)
{
    vf  a = v_set1(u->a);
    vf  b = v_set1(u->b);
    vf  zero = v_set1(0.0f);

    switch (u->kind) {
    UNARY(INFER_NONE, v);
    UNARY(INFER_CLIP, v_clip(v, a, b));
    UNARY(INFER_HARDSIGMOID, v_hardsigmoid(v, a, b));
    UNARY(INFER_HARDSWISH, v_hardswish(v));
    UNARY(INFER_SIGMOID, v_sigmoid(v));
    UNARY(INFER_SILU, v_silu(v));
    UNARY(INFER_GELU, v_gelu(v));
    UNARY(INFER_TANH, v_tanh(v));
    UNARY(INFER_ERF, v_erf(v));
    UNARY(INFER_EXP, v_exp(v));
    UNARY(INFER_LOG, v_log(v));
    UNARY(INFER_SQRT, v_sqrt(v));
    UNARY(INFER_NEG, v_neg(v));
    UNARY(INFER_ABS, v_abs(v));
    UNARY(INFER_FLOOR, v_floor(v));
    UNARY(INFER_CEIL, v_ceil(v));
    UNARY(INFER_ROUND, v_nearest(v));
    UNARY(INFER_RECIPROCAL, v_div(v_set1(1.0f), v));
    UNARY(INFER_LEAKYRELU, v_select(v_less(v, zero), v_mul(a, v), v));
    }
}


/* NaN where a or b is. */
static inline vf
v_minimum(vf a, vf b)
{
    return v_select(v_isnan(a), a, v_min(a, b));
}


static inline vf
v_maximum(vf a, vf b)
{
    return v_select(v_isnan(a), a, v_max(a, b));
}


/* What a tap reads for output k. */
static inline const float *
tap_f32(const infer_tap_t *tap, size_t k)
{
    return (const float *) tap->x + k * tap->step;
}


/* Vectors v0 .. v3 of neighbouring channels, or the last one, masked. */
#define POOL_LOAD_4(p)      v_load(x + 16 * p)
#define POOL_LOAD_1(p)      v_load_m(x, v_mask(n))
#define POOL_FIRST(p, P)    vf  v##p = POOL_LOAD_##P(p);
#define POOL_MAX(p, P)      v##p = v_maximum(v##p, POOL_LOAD_##P(p));
#define POOL_SUM(p, P)      v##p = v_add(v##p, POOL_LOAD_##P(p));
#define POOL_STORE(p, P)    POOL_STORE_##P(p)
#define POOL_STORE_4(p)     v_store(c + 16 * p, v##p);
#define POOL_STORE_1(p)     v_store_m(c, v##p, v_mask(n));

/* All outputs, P vectors of channels of which the first is number i. */
#define POOL(OP, P)                                                          \
static void                                                                  \
pool_##OP##_##P(const infer_pool_f32_t *p, size_t i)                         \
{                                                                            \
    size_t              n = p->channels - i;                                 \
    float              *c = p->c + i;                                        \
    const float        *x;                                                   \
    const infer_tap_t  *end = p->tap + p->taps;                              \
                                                                             \
    (void) n;                                                                \
                                                                             \
    for (size_t k = 0; k < p->width; k++, c += p->ldc) {                     \
        x = tap_f32(p->tap, k) + i;                                          \
        PANELS_##P(POOL_FIRST, P)                                            \
                                                                             \
        for (const infer_tap_t *tap = p->tap + 1; tap < end; tap++) {        \
            x = tap_f32(tap, k) + i;                                         \
            PANELS_##P(POOL_##OP, P)                                         \
        }                                                                    \
                                                                             \
        PANELS_##P(POOL_STORE, P)                                            \
    }                                                                        \
}

POOL(MAX, 1)
POOL(MAX, 4)
POOL(SUM, 1)
POOL(SUM, 4)

static void
pool_f32(const infer_pool_f32_t *p)
{
    for (size_t i = 0; i < p->channels; ) {
        if (p->channels - i >= 64) {
            (p->sum ? pool_SUM_4 : pool_MAX_4)(p, i);
            i += 64;

        } else {
            (p->sum ? pool_SUM_1 : pool_MAX_1)(p, i);
            i += 16;
        }
    }
}


#define BINARY(KIND, F)                                                      \
    case KIND:                                                               \
        EACH_VECTOR (n) {                                                    \
            vm  m = v_mask(n - i);                                           \
            vf  va = a_step ? v_load_m(a + i, m) : a0;                       \
            vf  vb = b_step ? v_load_m(b + i, m) : b0;                       \
                                                                             \
            v_store_m(y + i, F(va, vb), m);                                  \
        }                                                                    \
        break

static void
binary_loop(int kind, const float *a, size_t a_step, const float *b,
    size_t b_step, float *y, size_t n)
{
    vf  a0 = v_set1(*a);
    vf  b0 = v_set1(*b);

    switch (kind) {
    BINARY(INFER_ADD, v_add);
    BINARY(INFER_SUB, v_sub);
    BINARY(INFER_MUL, v_mul);
    BINARY(INFER_DIV, v_div);
    BINARY(INFER_MIN, v_minimum);
    BINARY(INFER_MAX, v_maximum);
    }
}


/* By pieces that stay in the first cache between operation and activation. */
#define BINARY_PIECE  2048

static void
binary_f32(const infer_binary_t *bin, const float *a, size_t a_step,
    const float *b, size_t b_step, float *y, size_t n)
{
    float  a0, b0;

    if (n == 0) {
        return;
    }

    /* y may overwrite a value that is still needed */
    if (a_step == 0) {
        a0 = *a;
        a = &a0;
    }

    if (b_step == 0) {
        b0 = *b;
        b = &b0;
    }

    for (size_t i = 0; i < n; i += BINARY_PIECE) {
        size_t  piece = n - i < BINARY_PIECE ? n - i : BINARY_PIECE;

        binary_loop(bin->kind, a + i * a_step, a_step, b + i * b_step,
                    b_step, y + i, piece);

        if (bin->act.kind != INFER_NONE) {
            unary_f32(&bin->act, y + i, y + i, piece);
        }
    }
}


static void
affine_f32(const infer_unary_t *act, const float *x, size_t rows, size_t n,
    const float *scale, const float *offset, float *y, size_t ldy)
{
    int  clip = act->kind == INFER_CLIP;
    vf   a = v_set1(clip ? act->a : -__builtin_inff());
    vf   b = v_set1(clip ? act->b : __builtin_inff());

    for (size_t row = 0; row < rows; row++, x += n, y += ldy) {
        EACH_VECTOR (n) {
            vm  m = v_mask(n - i);
            vf  c = offset ? v_load_m(offset + i, m) : v_set1(0.0f);
            vf  v = v_fma(v_load_m(x + i, m), v_load_m(scale + i, m), c);

            /* without limits it changes nothing */
            v_store_m(y + i, v_clip(v, a, b), m);
        }

        if (!clip && act->kind != INFER_NONE) {
            unary_f32(act, y, y, n);
        }
    }
}


static float
sum_f32(const float *x, size_t n)
{
    vf  sum = v_set1(0.0f);

    EACH_VECTOR (n) {
        sum = v_add(sum, v_load_m(x + i, v_mask(n - i)));
    }

    return v_sum(sum);
}


/* Four sums of each row at once: none waits for another. */
#define SUM_LOAD(p)   vm  m##p = v_mask(n > j + 16 * p ? n - j - 16 * p : 0); \
                      vf  s##p = v_load_m(y + j + 16 * p, m##p);
#define SUM_ADD(p)    s##p = v_add(s##p, v_load_m(x + i * ldx + j + 16 * p,   \
                                                  m##p));
#define SUM_STORE(p)  v_store_m(y + j + 16 * p, s##p, m##p);

static void
sum_rows_f32(const float *x, size_t ldx, size_t rows, float *y, size_t n)
{
    for (size_t j = 0; j < n; j += 64) {
        SUM_LOAD(0) SUM_LOAD(1) SUM_LOAD(2) SUM_LOAD(3)

        for (size_t i = 0; i < rows; i++) {
            SUM_ADD(0) SUM_ADD(1) SUM_ADD(2) SUM_ADD(3)
        }

        SUM_STORE(0) SUM_STORE(1) SUM_STORE(2) SUM_STORE(3)
    }
}


static void
softmax_f32(const float *x, float *y, size_t n)
{
    vf  lowest = v_set1(-__builtin_inff());
    vf  max = lowest;
    vf  sum = v_set1(0.0f);

    EACH_VECTOR (n) {
        vm  m = v_mask(n - i);

        max = v_max(max, v_select(m, v_load_m(x + i, m), lowest));
    }

    max = v_set1(v_hmax(max));

    EACH_VECTOR (n) {
        vm  m = v_mask(n - i);
        vf  e = v_exp(v_sub(v_load_m(x + i, m), max));

        v_store_m(y + i, e, m);
        sum = v_add(sum, v_select(m, e, v_set1(0.0f)));
    }

    sum = v_set1(v_sum(sum));

    EACH_VECTOR (n) {
        vm  m = v_mask(n - i);

        v_store_m(y + i, v_div(v_load_m(y + i, m), sum), m);
    }
}


static void
layernorm_f32(const float *x, const float *scale, const float *bias,
    float epsilon, float *y, size_t n, float *mean, float *inv)
{
    vf     mu, factor;
    vf     one = v_set1(1.0f);
    vf     zero = v_set1(0.0f);
    vf     square = zero;
    vf     root;
    float  m1 = sum_f32(x, n) / (float) n;
    float  variance;

    mu = v_set1(m1);

    EACH_VECTOR (n) {
        vm  m = v_mask(n - i);
        vf  d = v_select(m, v_sub(v_load_m(x + i, m), mu), zero);

        square = v_fma(d, d, square);
    }

    variance = v_sum(square) / (float) n;
    root = v_sqrt(v_set1(variance + epsilon));
    factor = v_div(one, root);

    EACH_VECTOR (n) {
        vm  m = v_mask(n - i);
        vf  v = v_mul(v_sub(v_load_m(x + i, m), mu), factor);
        vf  s = scale ? v_load_m(scale + i, m) : one;

        v = bias ? v_fma(v, s, v_load_m(bias + i, m)) : v_mul(v, s);
        v_store_m(y + i, v, m);
    }

    if (mean) {
        *mean = m1;
    }

    if (inv) {
        v_store_m(inv, factor, v_mask(1));
    }
}

#endif /* INFER_KERNELS_ROWS_H */
