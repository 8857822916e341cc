/*
 * The table of the instruction set whose vec_*.h and tile were included
 * before: all kernels, under its name.
 */

#ifndef INFER_KERNELS_TABLE_H
#define INFER_KERNELS_TABLE_H

#include "kernels/sparse.h"
#include "kernels/winograd.h"
#include "kernels/peak.h"


#define KERNELS(ISA, NAME, INTEGER)                                          \
const infer_kernels_t  infer_kernels_##ISA = {                               \
    .name = NAME,                                                            \
    .integer = &infer_integer_kernels_##INTEGER,                             \
    .tile_rows = INFER_TILE_ROWS,                                            \
    .tile_f32 = tile_f32,                                                    \
    .sparse_f32 = sparse_f32,                                                \
    .depthwise_f32 = depthwise_f32,                                          \
    .pool_f32 = pool_f32,                                                    \
    .winograd_input_f32 = winograd_input_f32,                                \
    .winograd_weights_f32 = winograd_weights_f32,                            \
    .winograd_output_f32 = winograd_output_f32,                              \
    .unary_f32 = unary_f32,                                                  \
    .binary_f32 = binary_f32,                                                \
    .affine_f32 = affine_f32,                                                \
    .softmax_f32 = softmax_f32,                                              \
    .layernorm_f32 = layernorm_f32,                                          \
    .sum_f32 = sum_f32,                                                      \
    .sum_rows_f32 = sum_rows_f32,                                            \
    .peak_f32 = peak_f32                                                     \
};

#endif /* INFER_KERNELS_TABLE_H */
