/*
 * The kernels for AVX-512.  The target is set here, not by the compiler's
 * flags: any build compiles this file, and infer_kernels() asks the CPU.
 */

#if defined(__x86_64__)

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")

#include "kernels/kernels.h"
#include "kernels/vec_avx512.h"
#include "kernels/vec_math.h"
#include "kernels/rows.h"

/* 28 of 32 registers accumulate; two hold weights, one the input. */
#define TILE_MAX_ROWS        14
#define TILE_WIDE            1
#define TILE_FEW             1
#define TILE_VARIANTS(X, P)                                                  \
    X(1, P) X(2, P) X(3, P) X(4, P) X(5, P) X(6, P) X(7, P)                  \
    X(8, P) X(9, P) X(10, P) X(11, P) X(12, P) X(13, P) X(14, P)

/* Widths of pictures are mostly multiples of 7. */
#define DEPTHWISE_MAX        7
#define DEPTHWISE_VARIANTS(X, K, S, LOAD)                                    \
    X(1, K, S, LOAD) X(2, K, S, LOAD) X(3, K, S, LOAD) X(4, K, S, LOAD)      \
    X(5, K, S, LOAD) X(6, K, S, LOAD) X(7, K, S, LOAD)

#include "kernels/tile.h"
#include "kernels/depthwise.h"
#include "kernels/table.h"

PEAK(14)
KERNELS(avx512, INFER_TILE_ROWS)

#else

typedef int  infer_avx512_is_for_x86;       /* no empty translation unit */

#endif
