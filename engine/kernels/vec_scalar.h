/*
 * The vector of 16 floats in plain C, for any CPU: the reference that the
 * instruction sets are held against, so each function here is also the
 * definition of its name.  fmaf rounds once, as the fused instructions do.
 */

#ifndef INFER_VEC_SCALAR_H
#define INFER_VEC_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


typedef struct {
    float  lane[16];
} vf;

typedef struct {
    uint32_t  lane[16];
} vi;

typedef uint32_t  vm;               /* bit i: lane i */


/*
 * Calls, not copies: inlined, the arrays of these functions make compilers,
 * and sanitizers still more, work for minutes.
 */
#define V_FUNCTION  static __attribute__((noinline, unused))

#define V_LANES(T, EXPR)                                                     \
    T  r;                                                                    \
                                                                             \
    for (int i = 0; i < 16; i++) {                                           \
        r.lane[i] = (EXPR);                                                  \
    }                                                                        \
                                                                             \
    return r

#define V_MASK(EXPR)                                                         \
    vm  r = 0;                                                               \
                                                                             \
    for (int i = 0; i < 16; i++) {                                           \
        r |= (vm) (EXPR) << i;                                               \
    }                                                                        \
                                                                             \
    return r

#define V_OP1(NAME, T, A, EXPR)                                              \
    V_FUNCTION T NAME(A a) { V_LANES(T, EXPR); }
#define V_OP2(NAME, T, A, B, EXPR)                                           \
    V_FUNCTION T NAME(A a, B b) { V_LANES(T, EXPR); }


/* ---- memory and masks ------------------------------------------------- */

/* The first min(n, 16) lanes. */
V_FUNCTION vm
v_mask(size_t n)
{
    return n >= 16 ? 0xffff : (1u << n) - 1;
}

V_FUNCTION vf
v_load(const float *p)
{
    vf  r;

    memcpy(r.lane, p, sizeof(r.lane));

    return r;
}

/* Lanes outside m are 0, and their memory is not touched. */
V_FUNCTION vf
v_load_m(const float *p, vm m)
{
    V_LANES(vf, m >> i & 1 ? p[i] : 0.0f);
}

V_FUNCTION void
v_store(float *p, vf a)
{
    memcpy(p, a.lane, sizeof(a.lane));
}

V_FUNCTION void
v_store_m(float *p, vf a, vm m)
{
    for (int i = 0; i < 16; i++) {
        if (m >> i & 1) {
            p[i] = a.lane[i];
        }
    }
}

V_FUNCTION vf
v_select(vm m, vf a, vf b)
{
    V_LANES(vf, m >> i & 1 ? a.lane[i] : b.lane[i]);
}

V_FUNCTION vm v_less(vf a, vf b) { V_MASK(a.lane[i] < b.lane[i]); }
V_FUNCTION vm v_isnan(vf a) { V_MASK(a.lane[i] != a.lane[i]); }


/* ---- arithmetic ------------------------------------------------------- */

V_OP1(v_set1, vf, float, a)
V_OP2(v_add, vf, vf, vf, a.lane[i] + b.lane[i])
V_OP2(v_sub, vf, vf, vf, a.lane[i] - b.lane[i])
V_OP2(v_mul, vf, vf, vf, a.lane[i] * b.lane[i])
V_OP2(v_div, vf, vf, vf, a.lane[i] / b.lane[i])
V_OP1(v_sqrt, vf, vf, sqrtf(a.lane[i]))
V_OP1(v_floor, vf, vf, floorf(a.lane[i]))
V_OP1(v_ceil, vf, vf, ceilf(a.lane[i]))
V_OP1(v_nearest, vf, vf, rintf(a.lane[i]))

/* The second where the two are equal or one is NaN, as maxps and minps. */
V_OP2(v_max, vf, vf, vf, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i])
V_OP2(v_min, vf, vf, vf, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i])

/* a * b + c */
V_FUNCTION vf
v_fma(vf a, vf b, vf c)
{
    V_LANES(vf, fmaf(a.lane[i], b.lane[i], c.lane[i]));
}


/* ---- bits ------------------------------------------------------------- */

V_OP1(vi_set1, vi, uint32_t, a)
V_OP2(vi_add, vi, vi, vi, a.lane[i] + b.lane[i])
V_OP2(vi_sub, vi, vi, vi, a.lane[i] - b.lane[i])
V_OP2(vi_and, vi, vi, vi, a.lane[i] & b.lane[i])
V_OP2(vi_or, vi, vi, vi, a.lane[i] | b.lane[i])
V_OP2(vi_xor, vi, vi, vi, a.lane[i] ^ b.lane[i])
V_OP2(vi_shl, vi, vi, int, a.lane[i] << b)

/* Arithmetic: the sign bit is shifted in. */
V_OP2(vi_shr, vi, vi, int, (uint32_t) ((int32_t) a.lane[i] >> b))

/* Signed integers as floats (those used here are exact). */
V_OP1(v_convert, vf, vi, (float) (int32_t) a.lane[i])

V_FUNCTION vi
v_bits(vf a)
{
    vi  r;

    memcpy(&r, &a, sizeof(r));

    return r;
}

V_FUNCTION vf
v_float(vi a)
{
    vf  r;

    memcpy(&r, &a, sizeof(r));

    return r;
}


/* ---- bytes and integers ------------------------------------------------ */

/* 64 bytes, or the first n of them: the others are 0. */
V_FUNCTION vi
vi_load(const void *p)
{
    vi  r;

    memcpy(r.lane, p, sizeof(r.lane));

    return r;
}

V_FUNCTION vi
vi_load_n(const void *p, size_t n)
{
    vi  r = { { 0 } };

    memcpy(r.lane, p, n < sizeof(r.lane) ? n : sizeof(r.lane));

    return r;
}

V_FUNCTION void
vi_store_n(void *p, vi a, size_t n)
{
    memcpy(p, a.lane, n < sizeof(a.lane) ? n : sizeof(a.lane));
}

/* The first min(n, 16) bytes as lanes, and lanes of 0 .. 255 as bytes. */
V_FUNCTION vi
vi_load_u8(const uint8_t *p, size_t n)
{
    V_LANES(vi, (size_t) i < n ? p[i] : 0);
}

V_FUNCTION void
vi_store_u8(uint8_t *p, vi a, size_t n)
{
    for (size_t i = 0; i < 16 && i < n; i++) {
        p[i] = (uint8_t) a.lane[i];
    }
}

V_OP2(vi_mul, vi, vi, vi, a.lane[i] * b.lane[i])

/* To the nearest integer, ties to even; -2^31 where that does not fit. */
V_OP1(v_round, vi, vf,
      (uint32_t) (a.lane[i] >= -0x1p31f && a.lane[i] < 0x1p31f
                  ? (int32_t) rintf(a.lane[i]) : INT32_MIN))

static inline int32_t
v_dot4(uint32_t x, uint32_t w)
{
    int32_t  sum = 0;

    for (int k = 0; k < 32; k += 8) {
        sum += (int32_t) (x >> k & 255) * (int8_t) (w >> k & 255);
    }

    return sum;
}

/* acc + the four products of unsigned bytes of x and signed ones of w. */
V_FUNCTION vi
vi_dot(vi acc, vi x, vi w)
{
    V_LANES(vi, acc.lane[i] + (uint32_t) v_dot4(x.lane[i], w.lane[i]));
}

/* z[i] of a and b as x and y, arrays of T in lanes of 16 bytes. */
#define V_ARRAY(NAME, A, T, EXPR)                                            \
V_FUNCTION vi                                                                \
NAME(vi a, vi b)                                                             \
{                                                                            \
    enum { all = 64 / sizeof(T), half = all / 8 };                           \
    A   x[64 / sizeof(A)], y[64 / sizeof(A)];                                \
    T   z[all];                                                              \
    vi  r;                                                                   \
                                                                             \
    memcpy(x, a.lane, 64);                                                   \
    memcpy(y, b.lane, 64);                                                   \
                                                                             \
    for (int i = 0; i < all; i++) {                                          \
        int  lane = i / (2 * half) * 2 * half, at = i % (2 * half);          \
                                                                             \
        (void) lane;                                                         \
        (void) at;                                                           \
        z[i] = (T) (EXPR);                                                   \
    }                                                                        \
                                                                             \
    memcpy(r.lane, z, 64);                                                   \
                                                                             \
    return r;                                                                \
}

#define V_CLAMP(v, low, high)  ((v) < (low) ? (low) : (v) > (high) ? (high)  \
                                                                   : (v))

/* Unsigned bytes; signed words, saturated. */
V_ARRAY(vi_max_u8, uint8_t, uint8_t, x[i] > y[i] ? x[i] : y[i])
V_ARRAY(vi_min_u8, uint8_t, uint8_t, x[i] < y[i] ? x[i] : y[i])
V_ARRAY(vi_add16, int16_t, int16_t, V_CLAMP(x[i] + y[i], INT16_MIN,
                                            INT16_MAX))

/*
 * Within each 16 bytes: elements of a and b in turn, from the lower or the
 * upper half.
 */
V_ARRAY(vi_low8, uint8_t, uint8_t, (at % 2 ? y : x)[lane + at / 2])
V_ARRAY(vi_high8, uint8_t, uint8_t, (at % 2 ? y : x)[lane + half + at / 2])
V_ARRAY(vi_low16, uint16_t, uint16_t, (at % 2 ? y : x)[lane + at / 2])
V_ARRAY(vi_high16, uint16_t, uint16_t, (at % 2 ? y : x)[lane + half + at / 2])

/* Within each 16 bytes: a's elements and b's, half as wide, saturated to
   signed words or unsigned bytes. */
V_ARRAY(vi_pack32, int32_t, int16_t,
        V_CLAMP((at < half ? x : y)[lane / 2 + at % half], INT16_MIN,
                INT16_MAX))
V_ARRAY(vi_pack16, int16_t, uint8_t,
        V_CLAMP((at < half ? x : y)[lane / 2 + at % half], 0, UINT8_MAX))

/* Lane 4 * i + k becomes lane 4 * k + i; the same of bytes in each 16. */
V_OP1(vi_order, vi, vi, a.lane[i % 4 * 4 + i / 4])
V_ARRAY(vi_turn_both, uint8_t, uint8_t, x[lane + at % 4 * 4 + at / 4])
#define vi_turn(a)  vi_turn_both(a, a)

/* Byte k of each lane of a, + b. */
V_FUNCTION vi
vi_byte(vi a, uint32_t k, vi b)
{
    V_LANES(vi, (a.lane[i] >> 8 * k & 255) + b.lane[i]);
}


/* ---- across lanes: the tree i and i + 8, i + 4, i + 2, i + 1 ---------- */

V_FUNCTION float
v_sum(vf a)
{
    for (int s = 8; s > 0; s /= 2) {
        for (int i = 0; i < s; i++) {
            a.lane[i] += a.lane[i + s];
        }
    }

    return a.lane[0];
}

V_FUNCTION float
v_hmax(vf a)
{
    for (int s = 8; s > 0; s /= 2) {
        for (int i = 0; i < s; i++) {
            a.lane[i] = a.lane[i] > a.lane[i + s] ? a.lane[i]
                                                  : a.lane[i + s];
        }
    }

    return a.lane[0];
}

#endif /* INFER_VEC_SCALAR_H */
