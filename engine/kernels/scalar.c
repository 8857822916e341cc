/*
 * The kernels in plain C, for any CPU: the reference of all others.
 */

#include "kernels/kernels.h"
#include "kernels/vec_scalar.h"
#include "kernels/vec_math.h"
#include "kernels/rows.h"

#define TILE_MAX_ROWS        2
#define TILE_WIDE            0
#define TILE_FEW             0
#define TILE_VARIANTS(X, P)  X(1, P) X(2, P)

#include "kernels/tile.h"
#include "kernels/winograd.h"
#include "kernels/peak.h"

PEAK(2)


const infer_kernels_t  infer_kernels_scalar = {
    .name = "scalar",
    .tile_rows = INFER_TILE_ROWS,
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
