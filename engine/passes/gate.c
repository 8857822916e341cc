/*
 * Squeeze and excitation: the factors of an image's channels, multiplied in
 * front of a convolution whose window is one point, become its gate.
 */

#include "ops/gate.h"
#include "passes/passes.h"


static int absorb_gate(infer_graph_t *g, infer_node_t *node);


int
infer_pass_gate(infer_graph_t *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->id == INFER_OP_CONV
            && absorb_gate(g, g->node[i]) != 0)
        {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/*
 * In front of a product whose rows are pixels: a factor for each channel of
 * an image, as squeeze and excitation has it.
 */
static int
absorb_gate(infer_graph_t *g, infer_node_t *node)
{
    int                  same;
    infer_value_t       *x, *gate;
    const infer_node_t  *producer = node->in[INFER_IN_X]->producer;

    if (producer == NULL || producer->id != INFER_OP_BINARY
        || producer->param.binary.kind != INFER_MUL
        || producer->param.binary.act.kind != INFER_NONE
        || node->in[INFER_IN_X]->uses != 1)
    {
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        x = producer->in[i];
        gate = producer->in[1 - i];

        same = x->dtype == INFER_F32 && x->rank == node->in[INFER_IN_X]->rank;

        for (int d = 0; d < x->rank && same; d++) {
            same = infer_dim_equal(x->dim[d], node->in[INFER_IN_X]->dim[d]);
        }

        if (same && infer_gate_fits(node, gate)) {
            node->in[INFER_IN_X] = x;
            return infer_set_operand(g, node, INFER_IN_GATE, gate);
        }
    }

    return 0;
}
