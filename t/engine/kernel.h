/*
 * What the tests of kernels share: random numbers, the scalar reference, and
 * comparing bits.
 */

#ifndef T_KERNEL_H
#define T_KERNEL_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tap.h"


#define CANARY  12345.0f


static uint64_t  seed = 88172645463325252u;

static const infer_kernels_t  *reference = &infer_kernels_scalar;


static inline uint32_t
random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (uint32_t) (seed >> 32);
}


/* -1 .. 1 */
static inline float
random_float(void)
{
    return (float) (int32_t) random_bits() * 0x1p-31f;
}


static inline float *
random_floats(size_t n)
{
    float  *x = malloc((n + 1) * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        x[i] = random_float();
    }

    return x;
}


static inline float *
filled(size_t n, float value)
{
    float  *x = malloc((n + 1) * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        x[i] = value;
    }

    return x;
}


static inline float
from_bits(uint32_t bits)
{
    float  x;

    memcpy(&x, &bits, sizeof(x));

    return x;
}


static inline int
same(const float *a, const float *b, size_t n)
{
    return memcmp(a, b, n * sizeof(float)) == 0;
}


/* The same bits, or NaN in both (which NaN is not defined). */
static inline int
alike(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!same(&a[i], &b[i], 1) && !(isnan(a[i]) && isnan(b[i]))) {
            return 0;
        }
    }

    return 1;
}


static const infer_unary_t  acts[] = {
    { INFER_NONE, 0, 0 },
    { INFER_CLIP, 0, INFINITY },
    { INFER_CLIP, -0.5f, 0.5f },
    { INFER_HARDSIGMOID, 0.2f, 0.5f },
    { INFER_HARDSWISH, 0, 0 },
    { INFER_SILU, 0, 0 },
    { INFER_GELU, 0, 0 }
};

#define ACTS  (sizeof(acts) / sizeof(acts[0]))

#endif /* T_KERNEL_H */
