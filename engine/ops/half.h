/*
 * The 16-bit floats: IEEE half precision (5 bits of exponent, 10 of mantissa)
 * and bfloat16 (8 and 7).  All values convert exactly to float; the way back
 * rounds once, to nearest, ties to even.
 */

#ifndef INFER_HALF_H
#define INFER_HALF_H

#include <stdint.h>
#include <string.h>


static inline float
infer_bf16_to_float(uint16_t h)
{
    float     x;
    uint32_t  bits;

    bits = (uint32_t) h << 16;
    memcpy(&x, &bits, sizeof(x));

    return x;
}


static inline float
infer_f16_to_float(uint16_t h)
{
    float     x;
    uint32_t  sign, exponent, mantissa, bits;

    sign = (uint32_t) (h & 0x8000) << 16;
    exponent = h >> 10 & 0x1f;
    mantissa = h & 0x3ff;

    if (exponent == 0) {
        x = (float) mantissa * 0x1p-24f;
        return sign ? -x : x;
    }

    exponent = exponent == 0x1f ? 0xff : exponent - 15 + 127;
    bits = sign | exponent << 23 | mantissa << 13;
    memcpy(&x, &bits, sizeof(x));

    return x;
}


/*
 * x in a 16-bit format with so many bits of mantissa and this bias of the
 * exponent.
 */
static inline uint16_t
infer_round16(double x, int mantissa, int bias)
{
    int       exponent, shift;
    uint16_t  sign;
    uint32_t  infinity, result;
    uint64_t  bits, significand, rest, half;

    memcpy(&bits, &x, sizeof(bits));

    sign = (uint16_t) (bits >> 63 << 15);
    bits &= INT64_MAX;
    infinity = 0x7fffu >> mantissa << mantissa;

    if (bits > (uint64_t) 0x7ff << 52) {
        return (uint16_t) (sign | infinity | 1u << (mantissa - 1));
    }

    exponent = (int) (bits >> 52) - 1023;
    significand = (bits & (((uint64_t) 1 << 52) - 1)) | (uint64_t) 1 << 52;

    /* Below the smallest normal number the spacing stays the same. */
    shift = 52 - mantissa;

    if (exponent < 1 - bias) {
        shift += 1 - bias - exponent;
        exponent = 1 - bias;
    }

    if (shift > 53) {
        return sign;
    }

    rest = significand & (((uint64_t) 1 << shift) - 1);
    half = (uint64_t) 1 << (shift - 1);
    significand >>= shift;

    if (rest > half || (rest == half && (significand & 1))) {
        significand++;
    }

    /* A significand that reached the next power of two carries over. */
    result = ((uint32_t) (exponent + bias - 1) << mantissa)
             + (uint32_t) significand;

    return (uint16_t) (sign | (result < infinity ? result : infinity));
}


static inline uint16_t
infer_double_to_f16(double x)
{
    return infer_round16(x, 10, 15);
}


static inline uint16_t
infer_double_to_bf16(double x)
{
    return infer_round16(x, 7, 127);
}

#endif /* INFER_HALF_H */
