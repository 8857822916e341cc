/*
 * The sweep: drops nodes that a pass has emptied and nodes without use,
 * closes the gaps, counts uses and numbers the nodes.  And the opposite, which
 * puts new nodes between those that are there.
 */

#include <string.h>

#include "passes/passes.h"


int
infer_pass_sweep(infer_graph_t *g)
{
    int            used;
    size_t         n;
    infer_node_t  *node;

    for (size_t i = 0; i < g->n_values; i++) {
        g->value[i]->uses = 0;
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        g->output[i].value->uses++;
    }

    for (size_t i = g->n_nodes; i-- > 0; /* void */) {
        node = g->node[i];

        if (node == NULL) {
            continue;
        }

        used = 0;

        for (int k = 0; k < node->n_out; k++) {
            used |= node->out[k]->uses > 0;
        }

        if (!used) {
            g->node[i] = NULL;
            continue;
        }

        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] != NULL) {
                node->in[k]->uses++;
            }
        }
    }

    n = 0;

    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i] != NULL) {
            g->node[n] = g->node[i];
            g->node[n]->index = n;
            n++;
        }
    }

    g->n_nodes = n;

    return 0;
}


int
infer_pass_insert(infer_graph_t *g, size_t n)
{
    size_t         *at, pos;
    infer_node_t  **sorted;

    at = infer_graph_alloc(g, (n + 2) * sizeof(size_t));
    sorted = infer_graph_alloc(g, (g->n_nodes + 1) * sizeof(*sorted));

    if (at == NULL || sorted == NULL) {
        return -1;
    }

    /* at[i]: where the first of those in front of node i goes */
    for (size_t i = n; i < g->n_nodes; i++) {
        at[g->node[i]->index + 1]++;
    }

    for (size_t i = 1; i <= n; i++) {
        at[i] += at[i - 1] + 1;
    }

    for (size_t i = n; i < g->n_nodes; i++) {
        pos = at[g->node[i]->index]++;
        sorted[pos] = g->node[i];
    }

    for (size_t i = 0; i < n; i++) {
        sorted[at[i]] = g->node[i];
    }

    memcpy(g->node, sorted, g->n_nodes * sizeof(*sorted));

    return 0;
}


void
infer_node_take(infer_node_t *by, infer_node_t *node)
{
    infer_value_t  *unused;

    unused = by->out[0];

    by->out[0] = node->out[0];
    by->out[0]->producer = by;

    node->out[0] = unused;
    unused->producer = node;
    unused->uses = 0;
}
