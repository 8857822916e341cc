/*
 * The operators that are imported, sorted by name.  A model of an older opset
 * than an operator's first one had other semantics, which are not supported.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "import/onnx/onnx.h"


#define MANY  INT_MAX

/* ONNX Runtime's own operators */
#define MS    "com.microsoft."


static int compare(const void *name, const void *row);


/* name, first opset, operands from .. to, results, function, kind */
static const onnx_op_t  table[] = {
    { "Abs", 1, 1, 1, 1, onnx_op_unary, INFER_ABS },
    { "Add", 6, 2, 2, 1, onnx_op_binary, INFER_ADD },
    { "And", 1, 2, 2, 1, onnx_op_binary, INFER_AND },
    { "AveragePool", 1, 1, 1, 1, onnx_op_pool, 1 },
    { "BatchNormalization", 6, 5, 5, 5, onnx_op_batchnorm, 0 },
    { "Cast", 6, 1, 1, 1, onnx_op_cast, 0 },
    { "CastLike", 15, 2, 2, 1, onnx_op_cast_like, 0 },
    { "Ceil", 1, 1, 1, 1, onnx_op_unary, INFER_CEIL },
    { "Clip", 1, 1, 3, 1, onnx_op_clip, 0 },
    { "Concat", 4, 1, MANY, 1, onnx_op_concat, 0 },
    { "Constant", 1, 0, 0, 1, onnx_op_constant, 0 },
    { "ConstantOfShape", 9, 1, 1, 1, onnx_op_constant_of_shape, 0 },
    { "Conv", 1, 2, 3, 1, onnx_op_conv, 0 },
    { "ConvInteger", 10, 2, 4, 1, onnx_op_conv_integer, 0 },
    { "DequantizeLinear", 10, 2, 3, 1, onnx_op_dequantize, 0 },
    { "Div", 6, 2, 2, 1, onnx_op_binary, INFER_DIV },
    { "Dropout", 6, 1, 3, 2, onnx_op_dropout, 0 },
    { "DynamicQuantizeLinear", 11, 1, 1, 3, onnx_op_dynamic_quantize, 0 },
    { "Equal", 1, 2, 2, 1, onnx_op_binary, INFER_EQUAL },
    { "Erf", 1, 1, 1, 1, onnx_op_unary, INFER_ERF },
    { "Exp", 1, 1, 1, 1, onnx_op_unary, INFER_EXP },
    { "Expand", 8, 2, 2, 1, onnx_op_expand, 0 },
    { "Flatten", 1, 1, 1, 1, onnx_op_flatten, 0 },
    { "Floor", 1, 1, 1, 1, onnx_op_unary, INFER_FLOOR },
    { "Gather", 1, 2, 2, 1, onnx_op_gather, 0 },
    { "Gelu", 20, 1, 1, 1, onnx_op_gelu, 0 },
    { "Gemm", 6, 2, 3, 1, onnx_op_gemm, 0 },
    { "GlobalAveragePool", 1, 1, 1, 1, onnx_op_global_pool,
      INFER_REDUCE_MEAN },
    { "GlobalMaxPool", 1, 1, 1, 1, onnx_op_global_pool, INFER_REDUCE_MAX },
    { "Greater", 1, 2, 2, 1, onnx_op_binary, INFER_GREATER },
    { "GreaterOrEqual", 12, 2, 2, 1, onnx_op_binary, INFER_GREATER_EQUAL },
    { "HardSigmoid", 1, 1, 1, 1, onnx_op_unary, INFER_HARDSIGMOID },
    { "HardSwish", 14, 1, 1, 1, onnx_op_unary, INFER_HARDSWISH },
    { "Identity", 1, 1, 1, 1, onnx_op_identity, 0 },
    { "LRN", 1, 1, 1, 1, onnx_op_lrn, 0 },
    { "LayerNormalization", 17, 2, 3, 3, onnx_op_layernorm, 0 },
    { "LeakyRelu", 1, 1, 1, 1, onnx_op_unary, INFER_LEAKYRELU },
    { "Less", 1, 2, 2, 1, onnx_op_binary, INFER_LESS },
    { "LessOrEqual", 12, 2, 2, 1, onnx_op_binary, INFER_LESS_EQUAL },
    { "Log", 1, 1, 1, 1, onnx_op_unary, INFER_LOG },
    { "LogSoftmax", 1, 1, 1, 1, onnx_op_softmax, 1 },
    { "MatMul", 1, 2, 2, 1, onnx_op_matmul, 0 },
    { "MatMulInteger", 10, 2, 4, 1, onnx_op_matmul_integer, 0 },
    { "Max", 1, 1, MANY, 1, onnx_op_variadic, INFER_MAX },
    { "MaxPool", 1, 1, 1, 2, onnx_op_pool, 0 },
    { "Mean", 1, 1, MANY, 1, onnx_op_mean, 0 },
    { "Min", 1, 1, MANY, 1, onnx_op_variadic, INFER_MIN },
    { "Mod", 10, 2, 2, 1, onnx_op_mod, INFER_MOD },
    { "Mul", 6, 2, 2, 1, onnx_op_binary, INFER_MUL },
    { "Neg", 1, 1, 1, 1, onnx_op_unary, INFER_NEG },
    { "Not", 1, 1, 1, 1, onnx_op_unary, INFER_NOT },
    { "Or", 1, 2, 2, 1, onnx_op_binary, INFER_OR },
    { "Pad", 2, 1, 4, 1, onnx_op_pad, 0 },
    { "Pow", 1, 2, 2, 1, onnx_op_pow, 0 },
    { "QLinearConv", 10, 8, 9, 1, onnx_op_qlinear_conv, 0 },
    { "QLinearMatMul", 10, 8, 8, 1, onnx_op_qlinear_matmul, 0 },
    { "QuantizeLinear", 10, 2, 3, 1, onnx_op_quantize, 0 },
    { "Range", 11, 3, 3, 1, onnx_op_range, 0 },
    { "Reciprocal", 1, 1, 1, 1, onnx_op_unary, INFER_RECIPROCAL },
    { "ReduceMax", 1, 1, 2, 1, onnx_op_reduce, INFER_REDUCE_MAX },
    { "ReduceMean", 1, 1, 2, 1, onnx_op_reduce, INFER_REDUCE_MEAN },
    { "ReduceMin", 1, 1, 2, 1, onnx_op_reduce, INFER_REDUCE_MIN },
    { "ReduceSum", 1, 1, 2, 1, onnx_op_reduce, INFER_REDUCE_SUM },
    { "Relu", 1, 1, 1, 1, onnx_op_relu, 0 },
    { "Reshape", 5, 2, 2, 1, onnx_op_reshape, 0 },
    { "Resize", 10, 1, 4, 1, onnx_op_resize, 0 },
    { "Round", 11, 1, 1, 1, onnx_op_unary, INFER_ROUND },
    { "Shape", 1, 1, 1, 1, onnx_op_shape, 0 },
    { "Sigmoid", 1, 1, 1, 1, onnx_op_unary, INFER_SIGMOID },
    { "Size", 1, 1, 1, 1, onnx_op_size, 0 },
    { "Slice", 1, 1, 5, 1, onnx_op_slice, 0 },
    { "Softmax", 1, 1, 1, 1, onnx_op_softmax, 0 },
    { "Split", 2, 1, 2, MANY, onnx_op_split, 0 },
    { "Sqrt", 1, 1, 1, 1, onnx_op_unary, INFER_SQRT },
    { "Squeeze", 1, 1, 2, 1, onnx_op_squeeze, 0 },
    { "Sub", 6, 2, 2, 1, onnx_op_binary, INFER_SUB },
    { "Sum", 1, 1, MANY, 1, onnx_op_variadic, INFER_ADD },
    { "Tanh", 1, 1, 1, 1, onnx_op_unary, INFER_TANH },
    { "Tile", 6, 2, 2, 1, onnx_op_tile, 0 },
    { "Transpose", 1, 1, 1, 1, onnx_op_transpose, 0 },
    { "Unsqueeze", 1, 1, 2, 1, onnx_op_unsqueeze, 0 },
    { "Upsample", 7, 1, 2, 1, onnx_op_upsample, 0 },
    { "Where", 9, 3, 3, 1, onnx_op_where, 0 },
    { "Xor", 1, 2, 2, 1, onnx_op_binary, INFER_XOR },
    { MS "DequantizeLinear", 0, 2, 3, 1, onnx_op_dequantize, 0 },
    { MS "DynamicQuantizeMatMul", 0, 3, 5, 1, onnx_op_dynamic_matmul, 0 },
    { MS "FusedConv", 0, 2, 4, 1, onnx_op_fused_conv, 0 },
    { MS "MatMulIntegerToFloat", 0, 4, 7, 1, onnx_op_matmul_to_float, 0 },
    { MS "QGemm", 0, 6, 9, 1, onnx_op_qgemm, 0 },
    { MS "QLinearAdd", 0, 2, 8, 1, onnx_op_qlinear_binary, INFER_ADD },
    { MS "QLinearAveragePool", 0, 2, 5, 1, onnx_op_qlinear_pool, 0 },
    { MS "QLinearConcat", 0, 5, MANY, 1, onnx_op_qlinear_concat, 0 },
    { MS "QLinearGlobalAveragePool", 0, 5, 5, 1, onnx_op_qlinear_pool, 1 },
    { MS "QLinearLeakyRelu", 0, 2, 5, 1, onnx_op_qlinear_unary,
      INFER_LEAKYRELU },
    { MS "QLinearMul", 0, 2, 8, 1, onnx_op_qlinear_binary, INFER_MUL },
    { MS "QLinearSigmoid", 0, 2, 5, 1, onnx_op_qlinear_unary,
      INFER_SIGMOID },
    { MS "QLinearSoftmax", 0, 2, 5, 1, onnx_op_qlinear_softmax, 0 },
    { MS "QuantizeLinear", 0, 2, 3, 1, onnx_op_quantize, 0 },
};


const onnx_op_t *
onnx_op_find(const char *name)
{
    return bsearch(name, table, sizeof(table) / sizeof(table[0]),
                   sizeof(table[0]), compare);
}


static int
compare(const void *name, const void *row)
{
    const onnx_op_t  *op = row;

    return strcmp(name, op->name);
}
