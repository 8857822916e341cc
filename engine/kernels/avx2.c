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
#define TILE_MAX_ROWS        6
#define TILE_WIDE            0
#define TILE_FEW             0
#define TILE_VARIANTS(X, P)                                                  \
    X(1, P) X(2, P) X(3, P) X(4, P) X(5, P) X(6, P)

#include "kernels/tile.h"
#include "kernels/winograd.h"
#include "kernels/peak.h"

PEAK(6)


const infer_kernels_t  infer_kernels_avx2 = {
    .name = "avx2",
    .tile_rows = 2 * TILE_MAX_ROWS,
    .tile_f32 = tile_f32,
    .depthwise_f32 = depthwise_f32,
    .pool_f32 = pool_f32,
    .winograd_input_f32 = winograd_input_f32,
    .winograd_output_f32 = winograd_output_f32,
    .unary_f32 = unary_f32,
    .binary_f32 = binary_f32,
    .affine_f32 = affine_f32,
    .softmax_f32 = softmax_f32,
    .layernorm_f32 = layernorm_f32,
    .sum_f32 = sum_f32,
    .sum_rows_f32 = sum_rows_f32,
    .peak_f32 = peak_f32
};

#else

typedef int  infer_avx2_is_for_x86;       /* no empty translation unit */

#endif
