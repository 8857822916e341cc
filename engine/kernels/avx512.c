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

/*
 * Of 32 registers, 24 to 28 accumulate.  Six rows of four panels need the
 * fewest loads for each product, which tells where another thread shares the
 * core; low tiles also divide any number of rows evenly.
 */
#define TILE_PANELS          4
#define TILES_1(X)           HEIGHTS_14(X, 1)
#define TILES_2(X)           HEIGHTS_14(X, 2)
#define TILES_3(X)           HEIGHTS_9(X, 3)
#define TILES_4(X)           HEIGHTS_6(X, 4)
#define TILES_8(X)           HEIGHTS_1(X, 8)

/* Widths of pictures are mostly multiples of 7. */
#define DEPTHWISE_MAX        7
#define DEPTHWISE_VARIANTS(X, K, S, LOAD)                                    \
    X(1, K, S, LOAD) X(2, K, S, LOAD) X(3, K, S, LOAD) X(4, K, S, LOAD)      \
    X(5, K, S, LOAD) X(6, K, S, LOAD) X(7, K, S, LOAD)

#include "kernels/tile.h"
#include "kernels/depthwise.h"
#include "kernels/table.h"

PEAK(14)
KERNELS(avx512)

#else

typedef int  infer_avx512_is_for_x86;       /* no empty translation unit */

#endif
