/*
 * The integer kernels for AVX-512 with VNNI, which multiplies bytes; a CPU
 * without it has those for AVX2.
 */

#if defined(__x86_64__)

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")

#include "kernels/kernels.h"
#include "kernels/vec_avx512.h"

/* 28 of 32 registers accumulate; two hold weights, one the input. */
#define TILE_U8_MAX_ROWS     14
#define TILE_U8_WIDE         1
#define TILE_U8_FEW          1
#define TILE_U8_VARIANTS(X, P)                                               \
    X(1, P) X(2, P) X(3, P) X(4, P) X(5, P) X(6, P) X(7, P)                  \
    X(8, P) X(9, P) X(10, P) X(11, P) X(12, P) X(13, P) X(14, P)

#include "kernels/integer.h"

PEAK_U8(14)
INTEGER_KERNELS(vnni, TILE_U8_MAX_ROWS)

#else

typedef int  infer_vnni_is_for_x86;         /* no empty translation unit */

#endif
