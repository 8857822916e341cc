/*
 * Finds the convolutions and pools for ops/stem.c.  The choice depends on
 * shapes at batch 1 alone.
 */

#include <string.h>

#include "ops/lines.h"
#include "passes/passes.h"


/* Of the result between the two: less than this stays in the second cache
   anyway. */
#define LARGE_BYTES  ((int64_t) 512 << 10)


static infer_node_t *pooled_conv(const infer_node_t *node);
static int has_few_channels(const infer_node_t *node);
static int join(infer_graph_t *g, const infer_node_t *conv,
    infer_node_t *pool);


int
infer_pass_stem(infer_graph_t *g)
{
    infer_node_t  *conv;

    for (size_t i = 0; i < g->n_nodes; i++) {
        conv = pooled_conv(g->node[i]);

        if (conv != NULL && join(g, conv, g->node[i]) != 0) {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/* The convolution whose large result only the max pool `node` reads. */
static infer_node_t *
pooled_conv(const infer_node_t *node)
{
    infer_dim_t          n;
    infer_node_t        *conv;
    infer_value_t       *wide;
    const infer_pool_t  *pool = &node->param.pool;

    if (node->id != INFER_OP_POOL || pool->average || pool->indices
        || node->n_out != 1 || pool->window.dilation[1] != 1)
    {
        return NULL;
    }

    wide = node->in[INFER_IN_X];
    conv = wide->producer;

    return conv != NULL && wide->uses == 1 && has_few_channels(conv)
           && infer_value_numel(wide, &n) == 0
           && infer_dim_at(n, 1) * (int64_t) sizeof(float) >= LARGE_BYTES
           ? conv : NULL;
}


static int
has_few_channels(const infer_node_t *node)
{
    const infer_conv_t   *conv = &node->param.conv;
    const infer_value_t  *x;

    if (node->id != INFER_OP_CONV || conv->winograd || conv->sparse.used) {
        return 0;
    }

    for (int i = INFER_IN_RESIDUAL; i < node->n_in; i++) {
        if (node->in[i] != NULL) {
            return 0;
        }
    }

    x = node->in[INFER_IN_X];

    return infer_lines_fit(&conv->window, conv->groups, x->rank,
                           x->dim[x->rank - 1].base);
}


/* The pool becomes both; nobody uses the convolution any more. */
static int
join(infer_graph_t *g, const infer_node_t *conv, infer_node_t *node)
{
    infer_pool_t     pool = node->param.pool;
    infer_value_t  **in;

    in = infer_graph_alloc(g, (INFER_IN_SCALE + 1) * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    for (int k = 0; k <= INFER_IN_SCALE; k++) {
        in[k] = k < conv->n_in ? conv->in[k] : NULL;
    }

    memset(&node->param, 0, sizeof(node->param));
    node->param.stem.conv = conv->param.conv;
    node->param.stem.pool = pool;
    node->id = INFER_OP_STEM;
    node->op = infer_op_table[INFER_OP_STEM];
    node->in = in;
    node->n_in = INFER_IN_SCALE + 1;

    return node->op->shape(g, node);
}
