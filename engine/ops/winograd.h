/*
 * Winograd's F(4x4, 3x3): a convolution with 36 instead of 144 products for
 * 16 outputs of a channel, for 3x3 windows of stride 1.  The weights grow by
 * 36 / 9, unless they are transformed at each run, and results differ from
 * the direct convolution's by some 1e-6 of the largest; so a pass decides, by
 * shape alone, which layers use it.
 */

#ifndef INFER_OPS_WINOGRAD_H
#define INFER_OPS_WINOGRAD_H

#include "ops/product.h"


/* Whether a convolution can be computed so. */
int infer_winograd_fits(const infer_node_t *node);

/*
 * Weights packed in the order in which they are read.  Transformed: for each
 * four panels (the last may be fewer) [36][4][C][16].  As taps: for each two
 * panels (the last may be alone), for each stretch of so many channels,
 * [2][9][channels][16].  Then the bias [ceil(O / 16) * 16].  w: as for a
 * product.
 */
size_t infer_winograd_pack_size(const infer_node_t *node,
    const infer_weights_t *w);
void infer_winograd_pack(const infer_node_t *node, const infer_weights_t *w,
    float *dst);

size_t infer_winograd_scratch(const infer_call_t *call);
void infer_winograd_run(const infer_call_t *call);

#endif /* INFER_OPS_WINOGRAD_H */
