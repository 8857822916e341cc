/*
 * The gate of a convolution whose window is one point: a factor for each
 * channel of an image, as squeeze and excitation has it.
 */

#ifndef INFER_OPS_GATE_H
#define INFER_OPS_GATE_H

#include "ops/product.h"


/* Whether rows of the product are pixels of the input as they lie. */
int infer_window_is_point(const infer_window_t *w);

/* Whether gate can be that of a conv with this input, window and groups. */
int infer_gate_fits(const infer_node_t *node, const infer_value_t *gate);

/* That part of the shape rule: 0, or -1 where there is one that does not. */
int infer_gate_check(infer_graph_t *g, const infer_node_t *node);

/* The gate of a conv, NULL where it has none. */
const infer_tensor_t *infer_gate_of(const infer_call_t *call);

/* infer_product_t.gather of a conv with a gate; source is its call. */
void infer_gate_gather(const infer_product_t *p, size_t group, size_t row,
    size_t n, float *dst, size_t ld);

#endif /* INFER_OPS_GATE_H */
