/*
 * Pruning of weights: the smallest of each product become 0, one by one or in
 * the blocks that the sparse kernel leaves out.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/sparse.h"
#include "passes/passes.h"
#include "passes/weights.h"


typedef struct {
    float     norm;
    uint32_t  index;
} rank_t;


static infer_value_t *own_weights(infer_graph_t *g, const infer_node_t *node);
static int prune_single(infer_graph_t *g, infer_node_t *node,
    double fraction);
static int prune_blocks(infer_graph_t *g, infer_node_t *node,
    double fraction);
static int by_norm(const void *a, const void *b);


int
infer_pass_prune(infer_graph_t *g, const infer_pruning_t *pruning)
{
    int            rc, pruned = 0;
    infer_node_t  *node;

    if (pruning->kind == INFER_PRUNE_CHANNELS) {
        return infer_pass_prune_channels(g, pruning->fraction);
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        if (!infer_weights_fit(node)
            || (pruning->kind == INFER_PRUNE_BLOCK
                && !infer_sparse_fits(node)))
        {
            continue;
        }

        rc = pruning->kind == INFER_PRUNE_BLOCK
             ? prune_blocks(g, node, pruning->fraction)
             : prune_single(g, node, pruning->fraction);

        if (rc != 0) {
            return -1;
        }

        pruned = 1;
    }

    return pruned ? 0 : infer_graph_fail(g, "has no float weights to prune");
}


/* A copy that can be changed becomes the node's weights. */
static infer_value_t *
own_weights(infer_graph_t *g, const infer_node_t *node)
{
    void                 *data;
    size_t                n = 1;
    int64_t               dim[INFER_MAX_RANK];
    const infer_value_t  *v = node->in[INFER_IN_WEIGHTS];

    for (int d = 0; d < v->rank; d++) {
        dim[d] = v->dim[d].base;
        n *= (size_t) dim[d];
    }

    data = infer_graph_alloc(g, n * sizeof(float));
    if (data == NULL) {
        return NULL;
    }

    memcpy(data, v->data, n * sizeof(float));

    return infer_graph_constant(g, v->name, INFER_F32, v->rank, dim, data);
}


static rank_t *
rank_alloc(infer_graph_t *g, size_t n)
{
    rank_t  *rank = malloc(n * sizeof(rank_t));

    if (rank == NULL) {
        (void) infer_graph_fail(g, "out of memory");
    }

    return rank;
}


static int
prune_single(infer_graph_t *g, infer_node_t *node, double fraction)
{
    float                *w;
    size_t                n;
    rank_t               *rank;
    infer_value_t        *v = own_weights(g, node);
    infer_weight_view_t   view = infer_weight_view(node);

    n = view.outputs * view.inputs;
    rank = v != NULL ? rank_alloc(g, n) : NULL;

    if (rank == NULL) {
        return -1;
    }

    w = (float *) (uintptr_t) v->data;

    for (size_t i = 0; i < n; i++) {
        rank[i] = (rank_t) { fabsf(w[i]), (uint32_t) i };
    }

    qsort(rank, n, sizeof(rank_t), by_norm);

    /* as many as torch takes */
    for (size_t i = 0; i < (size_t) rint(fraction * (double) n); i++) {
        w[rank[i].index] = 0;
    }

    free(rank);

    return infer_set_operand(g, node, INFER_IN_WEIGHTS, v);
}


static int
prune_blocks(infer_graph_t *g, infer_node_t *node, double fraction)
{
    float            *data;
    size_t            n, lanes, at;
    rank_t           *rank;
    infer_value_t    *v = own_weights(g, node);
    infer_weights_t   w = infer_sparse_weights(node);

    n = infer_sparse_blocks(&w);
    rank = v != NULL ? rank_alloc(g, n) : NULL;

    if (rank == NULL) {
        return -1;
    }

    for (size_t i = 0; i < n; i++) {
        rank[i] = (rank_t) { infer_sparse_norm(node, &w, i), (uint32_t) i };
    }

    qsort(rank, n, sizeof(rank_t), by_norm);
    data = (float *) (uintptr_t) v->data;

    for (size_t i = 0; i < (size_t) rint(fraction * (double) n); i++) {
        at = infer_sparse_block(&w, rank[i].index, &lanes);

        for (size_t lane = 0; lane < lanes; lane++) {
            data[at + lane * w.channel] = 0;
        }
    }

    free(rank);

    return infer_set_operand(g, node, INFER_IN_WEIGHTS, v);
}


/* The smallest first, of equal ones the first; no number is the largest. */
static int
by_norm(const void *a, const void *b)
{
    const rank_t  *x = a, *y = b;

    if (isnan(x->norm) != isnan(y->norm)) {
        return isnan(x->norm) ? 1 : -1;
    }

    if (x->norm < y->norm || x->norm > y->norm) {
        return x->norm < y->norm ? -1 : 1;
    }

    return x->index < y->index ? -1 : x->index > y->index;
}
