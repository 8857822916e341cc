/*
 * Depthwise convolution: one channel in and one out to a group.  The input is
 * read where it lies; what a window covers of the padding reads as zeros.
 */

#ifndef INFER_OPS_DEPTHWISE_H
#define INFER_OPS_DEPTHWISE_H

#include "ops/product.h"


/* Packed as one group with a channel for each output. */
static inline int
infer_is_depthwise(int64_t groups, int64_t channels, int64_t outputs)
{
    return groups > 1 && groups == channels && groups == outputs;
}

size_t infer_depthwise_scratch(const infer_call_t *call);
void infer_depthwise_run(const infer_call_t *call);

#endif /* INFER_OPS_DEPTHWISE_H */
