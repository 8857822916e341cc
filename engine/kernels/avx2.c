/*
 * The kernels for AVX2 with FMA.  The target is set here, not by the
 * compiler's flags: any build compiles this file, and infer_kernels() asks
 * the CPU.
 */

#if defined(__x86_64__)

#pragma GCC target("avx2,fma")

#include "kernels/kernels.h"
#include "kernels/vec_avx2.h"
#include "kernels/vec_math.h"
#include "kernels/rows.h"

/* 12 of 16 registers accumulate; two hold weights, one the input. */
#define TILE_PANELS          1
#define TILES_1(X)           HEIGHTS_6(X, 1)
#define TILES_2(X)           HEIGHTS_3(X, 2)
#define TILES_3(X)
#define TILES_4(X)           HEIGHTS_1(X, 4)
#define TILES_8(X)

#define DEPTHWISE_MAX        4
#define DEPTHWISE_VARIANTS(X, K, S, LOAD)                                    \
    X(1, K, S, LOAD) X(2, K, S, LOAD) X(3, K, S, LOAD) X(4, K, S, LOAD)

#include "kernels/tile.h"
#include "kernels/depthwise.h"
#include "kernels/table.h"

PEAK(6)
KERNELS(avx2)

#else

typedef int  infer_avx2_is_for_x86;       /* no empty translation unit */

#endif
