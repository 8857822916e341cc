/*
 * Depthwise convolution: one channel in and one out to a group.  What a window
 * covers of the padding reads as zeros.
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

/*
 * strip: NULL for conv, whose input is read where it lies.  For strip, whose
 * packed operands are those of the first convolution, then those of the
 * second, a line of the first one's result is computed when it is needed, and
 * given up with the last output that sees it.
 */
size_t infer_depthwise_scratch(const infer_call_t *call,
    const infer_strip_t *strip);
void infer_depthwise_run(const infer_call_t *call,
    const infer_strip_t *strip);

#endif /* INFER_OPS_DEPTHWISE_H */
