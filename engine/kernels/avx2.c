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

/* Sums are two registers wide, and so are weights, twice: as words. */
#define TILE_U8_MAX_ROWS     4
#define TILE_U8_WIDE         0
#define TILE_U8_FEW          0
#define TILE_U8_VARIANTS(X, P)                                               \
    X(1, P) X(2, P) X(3, P) X(4, P)

#include "kernels/integer.h"

PEAK(6)
PEAK_U8(3)
INTEGER_KERNELS(avx2, 3 * TILE_U8_MAX_ROWS)
KERNELS(avx2, "avx2", avx2)

#else

typedef int  infer_avx2_is_for_x86;       /* no empty translation unit */

#endif
