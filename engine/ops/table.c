/*
 * The operators, in the order of infer_op_id_t.
 */

#include "ops/op.h"


const infer_op_t *const infer_op_table[INFER_OPS] = {
    &infer_op_conv,
    &infer_op_fc,
    &infer_op_matmul,
    &infer_op_unary,
    &infer_op_binary,
    &infer_op_where,
    &infer_op_cast,
    &infer_op_pool,
    &infer_op_reduce,
    &infer_op_softmax,
    &infer_op_layernorm,
    &infer_op_lrn,
    &infer_op_transpose,
    &infer_op_reshape,
    &infer_op_concat,
    &infer_op_slice,
    &infer_op_pad,
    &infer_op_expand,
    &infer_op_gather,
    &infer_op_resize,
    &infer_op_affine,
    &infer_op_strip,
    &infer_op_quantize,
    &infer_op_dequantize,
    &infer_op_dynamic_quantize,
    &infer_op_qconv,
    &infer_op_qfc,
    &infer_op_qbinary,
    &infer_op_qpool,
    &infer_op_table_lookup,
    &infer_op_stem
};
