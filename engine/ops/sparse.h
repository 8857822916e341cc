/*
 * Weights of which only some blocks are kept: 16 outputs (the lanes of a
 * panel) times one element of K, wherever one of the 16 is not 0.
 */

#ifndef INFER_OPS_SPARSE_H
#define INFER_OPS_SPARSE_H

#include "ops/product.h"


/*
 * The packed form: the bias [panels][16]; for each panel, and beyond the last,
 * the number of its first block; the place in K of each block, ascending in a
 * panel; from the next multiple of 64 bytes on the blocks.
 */
typedef struct {
    const float     *bias;
    const uint32_t  *start;
    const uint32_t  *index;
    const float     *blocks;
} infer_sparse_packed_t;


/* Where the parts lie; panels: of all groups. */
infer_sparse_packed_t infer_sparse_packed(const void *packed, size_t panels,
    const infer_sparse_t *sparse);

/* What the shape rule of conv and fc has to say of it. */
int infer_sparse_check(infer_graph_t *g, const infer_node_t *node);

/* As for other weights; as many blocks as infer_sparse_count has found. */
size_t infer_sparse_pack_size(const infer_weights_t *w,
    const infer_sparse_t *sparse);
void infer_sparse_pack(const infer_node_t *node, const infer_weights_t *w,
    const infer_sparse_t *sparse, void *dst);

/* infer_op_t.packed_valid, of conv and fc. */
int infer_sparse_valid(const infer_node_t *node, const void *packed);

/* Whether a conv or fc is a product of floats, computed as one. */
int infer_sparse_fits(const infer_node_t *node);

/* Blocks that there are, in the panels of all groups. */
size_t infer_sparse_blocks(const infer_weights_t *w);

/*
 * Those that are to be kept; any number above `most` where they are more.  Of
 * weights without zeros only a few are read.
 */
size_t infer_sparse_count(const infer_node_t *node, size_t most);

/* Where weight 0 of block i lies, of so many `lanes`, w->channel apart. */
size_t infer_sparse_block(const infer_weights_t *w, size_t i, size_t *lanes);

/* The sum of magnitudes of block i, scaled. */
float infer_sparse_norm(const infer_node_t *node, const infer_weights_t *w,
    size_t i);

/* The weights of a conv or fc. */
infer_weights_t infer_sparse_weights(const infer_node_t *node);

#endif /* INFER_OPS_SPARSE_H */
