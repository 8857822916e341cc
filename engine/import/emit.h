/*
 * What importers of every format need: IR nodes from tensors in the order
 * (N, C, spatial..), and the arithmetic of shapes that follow the batch.
 *
 * Nodes bear `name`.  NULL with the error set; an operand that is NULL, having
 * failed itself, gives NULL.  What would change nothing gives the operand
 * back.
 */

#ifndef INFER_EMIT_H
#define INFER_EMIT_H

#include "graph/graph.h"


infer_value_t *infer_emit_unary(infer_graph_t *g, const char *name,
    infer_value_t *x, infer_unary_kind_t kind, float a, float b);
infer_value_t *infer_emit_binary(infer_graph_t *g, const char *name,
    infer_binary_kind_t kind, infer_value_t *a, infer_value_t *b);
infer_value_t *infer_emit_cast(infer_graph_t *g, const char *name,
    infer_value_t *x, infer_dtype_t dtype);
infer_value_t *infer_emit_reshape(infer_graph_t *g, const char *name,
    infer_value_t *x, int rank, const infer_dim_t *dim);
infer_value_t *infer_emit_expand(infer_graph_t *g, const char *name,
    infer_value_t *x, int rank, const infer_dim_t *dim);
infer_value_t *infer_emit_transpose(infer_graph_t *g, const char *name,
    infer_value_t *x, const int *perm);

/* A constant of one number, rank 0. */
infer_value_t *infer_emit_scalar(infer_graph_t *g, const char *name,
    infer_dtype_t dtype, double number);

/* (N, C, spatial..) to (N, spatial.., C) and back. */
infer_value_t *infer_emit_channels_last(infer_graph_t *g, const char *name,
    infer_value_t *x);
infer_value_t *infer_emit_channels_first(infer_graph_t *g, const char *name,
    infer_value_t *x);

/* 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) */
infer_value_t *infer_emit_gelu_tanh(infer_graph_t *g, const char *name,
    infer_value_t *x);

/*
 * Batch normalisation as inference has it: x * s + t for each channel, s being
 * scale / sqrt(var + epsilon) and t being bias - mean * s.  param: scale,
 * bias, mean, var; f32 constants with an element for each channel.
 */
infer_value_t *infer_emit_batchnorm(infer_graph_t *g, const char *name,
    infer_value_t *x, infer_value_t *const *param, double epsilon);

/* Bit i of axes: dimension i is reduced. */
infer_value_t *infer_emit_reduce(infer_graph_t *g, const char *name,
    infer_value_t *x, infer_reduce_kind_t kind, uint32_t axes, int keepdims);

/* Dimension axis, times over. */
infer_value_t *infer_emit_repeat(infer_graph_t *g, const char *name,
    infer_value_t *x, int axis, int64_t times);

/* A slice's parameters that take all of x, to be narrowed. */
void infer_slice_all(infer_param_t *p, const infer_value_t *x);

/*
 * First element and number of those that start:end:step takes of a dimension,
 * clamped as numpy does.  step is not 0 and not INT64_MIN.  -1 where they do
 * not follow the batch linearly.
 */
int infer_slice_dim(infer_dim_t dim, infer_dim_t start, infer_dim_t end,
    int64_t step, infer_dim_t *first, infer_dim_t *count);

/* rest = all / part, where it is exact at every batch size; or -1. */
int infer_dim_rest(infer_dim_t all, infer_dim_t part, infer_dim_t *rest);

#endif /* INFER_EMIT_H */
