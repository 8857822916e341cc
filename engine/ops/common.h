/*
 * What the files of the operators share: the checks that open a shape rule,
 * conversion between dtypes, and how work is cut into tasks.
 */

#ifndef INFER_OPS_COMMON_H
#define INFER_OPS_COMMON_H

#include "ops/op.h"


/* A task on fewer elements than this is not worth handing out. */
#define INFER_GRAIN  16384


/*
 * Checks that a node has required .. most operands, of which the first
 * `required` are there, and 1 .. results results.  0, or -1 through
 * infer_node_fail.
 */
int infer_check_operands(infer_graph_t *g, const infer_node_t *node,
    int required, int most, int results);

/* Sets what a shape rule has found for a result. */
void infer_set_result(infer_value_t *v, infer_dtype_t dtype, int rank,
    const infer_dim_t *dim);

/* Whether a + b * B is >= 0 for every batch size B >= 1. */
int infer_dim_never_negative(infer_dim_t d);

/*
 * Converts n elements.  Between integers: modulo the width.  From floats to
 * integers: toward zero, saturated, NaN gives 0.  To floats: to nearest,
 * ties to even.  To bool: x != 0.  dst and src do not overlap.
 */
void infer_convert(infer_dtype_t to, void *dst, infer_dtype_t from,
    const void *src, size_t n);

/*
 * How many tasks to make of n pieces, of about `grain` pieces each: as many
 * for each thread.
 */
size_t infer_tasks(const infer_call_t *call, size_t n, size_t grain);

/* The first piece of task i; that of task `tasks` is n.  n is below 2^31. */
static inline size_t
infer_task_first(size_t n, size_t tasks, size_t i)
{
    return (size_t) ((uint64_t) n * i / tasks);
}

#endif /* INFER_OPS_COMMON_H */
