/*
 * Convolutions of few channels, the first of a network: gathering rows would
 * cost as much as multiplying them.
 */

#ifndef INFER_OPS_LINES_H
#define INFER_OPS_LINES_H

#include "ops/product.h"


/* Whether a convolution is better computed so; weights as for a product. */
int infer_lines_fit(const infer_call_t *call);

size_t infer_lines_scratch(const infer_call_t *call);
void infer_lines_run(const infer_call_t *call);

#endif /* INFER_OPS_LINES_H */
