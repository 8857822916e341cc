/*
 * The sweep: drops nodes that a pass has emptied and nodes without use,
 * closes the gaps, counts uses and numbers the nodes.
 */

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
