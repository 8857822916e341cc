/*
 * Chooses the products whose weights have so many zeros, in blocks that the
 * kernel can leave out, that they are faster without.  The choice depends on
 * weights and shapes alone.
 */

#include "ops/sparse.h"
#include "ops/winograd.h"
#include "passes/passes.h"


/* The share of blocks up to which leaving out the others pays, as measured:
   against the dense tile, and where Winograd's transforms are the rival. */
#define DENSE_SHARE     0.6
#define WINOGRAD_SHARE  0.3


int
infer_pass_sparse(infer_graph_t *g)
{
    double            share;
    size_t            n, most;
    infer_node_t     *node;
    infer_sparse_t   *sparse;
    infer_weights_t   w;

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        if (!infer_sparse_fits(node)
            || node->in[INFER_IN_WEIGHTS]->data == NULL)
        {
            continue;
        }

        share = node->id == INFER_OP_CONV && infer_winograd_fits(node)
                ? WINOGRAD_SHARE : DENSE_SHARE;
        w = infer_sparse_weights(node);
        most = (size_t) (share * (double) infer_sparse_blocks(&w));
        n = infer_sparse_count(node, most);

        if (n <= most) {
            sparse = node->id == INFER_OP_CONV ? &node->param.conv.sparse
                                               : &node->param.fc.sparse;
            sparse->used = 1;
            sparse->blocks = (int32_t) n;
        }
    }

    return 0;
}
