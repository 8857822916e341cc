/*
 * Finds the pairs of convolutions for ops/strip.c.  The choice depends on
 * shapes at batch 1 alone.
 */

#include <string.h>

#include "ops/depthwise.h"
#include "passes/passes.h"


/* Of the result between the two: less than this stays in the second cache
   anyway. */
#define LARGE_BYTES  ((int64_t) 512 << 10)


static infer_node_t *widening(const infer_node_t *node);
static int is_depthwise(const infer_node_t *node);
static int is_pointwise(const infer_node_t *node);
static infer_value_t *operand(const infer_node_t *node, int i);
static int join(infer_graph_t *g, const infer_node_t *first,
    infer_node_t *second);


int
infer_pass_strip(infer_graph_t *g)
{
    infer_node_t  *first;

    for (size_t i = 0; i < g->n_nodes; i++) {
        first = widening(g->node[i]);

        if (first != NULL && join(g, first, g->node[i]) != 0) {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/* The convolution whose large result only the depthwise `node` reads. */
static infer_node_t *
widening(const infer_node_t *node)
{
    infer_dim_t     n;
    infer_node_t   *first;
    infer_value_t  *wide;

    if (!is_depthwise(node)) {
        return NULL;
    }

    wide = node->in[INFER_IN_X];
    first = wide->producer;

    return first != NULL && wide->uses == 1 && is_pointwise(first)
           && infer_value_numel(wide, &n) == 0
           && infer_dim_at(n, 1) * (int64_t) sizeof(float) >= LARGE_BYTES
           ? first : NULL;
}


/* Whose lines are needed one after the other. */
static int
is_depthwise(const infer_node_t *node)
{
    const infer_conv_t  *conv = &node->param.conv;

    return node->id == INFER_OP_CONV && node->in[INFER_IN_X]->rank == 4
           && conv->window.dilation[1] == 1
           && operand(node, INFER_IN_RESIDUAL) == NULL
           && infer_is_depthwise(conv->groups,
                                 node->in[INFER_IN_X]->dim[3].base,
                                 node->out[0]->dim[3].base);
}


static int
is_pointwise(const infer_node_t *node)
{
    int                    point;
    const infer_window_t  *w = &node->param.conv.window;

    point = node->id == INFER_OP_CONV && node->param.conv.groups == 1
            && !node->param.conv.sparse.used
            && operand(node, INFER_IN_RESIDUAL) == NULL;

    for (int i = 0; point && i < 3; i++) {
        point = w->kernel[i] == 1 && w->stride[i] == 1 && w->before[i] == 0
                && w->after[i] == 0;
    }

    return point;
}


static infer_value_t *
operand(const infer_node_t *node, int i)
{
    return i < node->n_in ? node->in[i] : NULL;
}


/* The second becomes both; nobody uses the first any more. */
static int
join(infer_graph_t *g, const infer_node_t *first, infer_node_t *second)
{
    int              n = 2 * INFER_IN_SCALE + 1;
    infer_conv_t     conv;
    infer_value_t  **in;

    in = infer_graph_alloc(g, (size_t) n * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    in[INFER_IN_X] = first->in[INFER_IN_X];

    for (int k = INFER_IN_WEIGHTS; k <= INFER_IN_SCALE; k++) {
        in[k] = operand(first, k);
        in[INFER_IN_SCALE + k] = operand(second, k);
    }

    conv = second->param.conv;
    memset(&second->param, 0, sizeof(second->param));
    second->param.strip.act = first->param.conv.act;
    second->param.strip.conv = conv;
    second->id = INFER_OP_STRIP;
    second->op = infer_op_table[INFER_OP_STRIP];
    second->in = in;
    second->n_in = n;

    return second->op->shape(g, second);
}
