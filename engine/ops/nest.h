/*
 * A loop nest over operands with strides: what elementwise operators with
 * broadcasting, reductions and everything that moves elements have in common.
 * Dimensions that all operands cross alike are merged, so that most nests
 * come down to one or two loops whose innermost is a plain row.
 */

#ifndef INFER_NEST_H
#define INFER_NEST_H

#include "ops/op.h"


#define INFER_NEST_OPERANDS  4

typedef struct {
    int      rank;
    int      operands;
    int64_t  dim[INFER_MAX_RANK];
    int64_t  stride[INFER_NEST_OPERANDS][INFER_MAX_RANK];  /* in elements */
} infer_nest_t;

/* A place in a nest: an index for each dimension, an offset per operand. */
typedef struct {
    int64_t  index[INFER_MAX_RANK];
    int64_t  offset[INFER_NEST_OPERANDS];
} infer_nest_pos_t;

/* One row: n elements from the offsets, each operand with its own stride. */
typedef void (*infer_nest_row_pt)(void *arg, const int64_t *offset, size_t n,
    size_t slot);


/* Row-major strides of a tensor. */
void infer_strides(const infer_tensor_t *t, int64_t *stride);

/* Strides of out[0] as it lies. */
void infer_out_strides(const infer_call_t *call, int64_t *stride);

/* A nest over all elements of t, without operands. */
void infer_nest_init(infer_nest_t *nest, const infer_tensor_t *t);

/* Adds a dense operand that broadcasts to the dimensions of the nest. */
void infer_nest_add(infer_nest_t *nest, const infer_tensor_t *t);

/*
 * Drops dimensions of 1 and merges what can be merged.  The rank is at least
 * 1 afterwards; a nest over one element has dimension 1 and strides 1.
 */
void infer_nest_collapse(infer_nest_t *nest);

/*
 * Calls row for each row of a collapsed nest without dimensions of 0.  A row
 * is (a part of) the `inner`th dimension from the last: n counts its
 * elements; what lies behind that dimension is left to row().  Tasks of
 * about `grain` elements run in parallel.
 */
void infer_nest_run(const infer_call_t *call, const infer_nest_t *nest,
    int inner, size_t grain, infer_nest_row_pt row, void *arg);

/* Steps to the next place, over the first `rank` dimensions. */
void infer_nest_next(const infer_nest_t *nest, int rank,
    infer_nest_pos_t *pos);

/*
 * Copies elements of `size` bytes: operand 0 of the nest is dst, operand 1
 * src.  The nest need not be collapsed and may have dimensions of 0.
 */
void infer_move(const infer_call_t *call, const infer_nest_t *nest,
    size_t size, void *dst, const void *src);

#endif /* INFER_NEST_H */
