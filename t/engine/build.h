/*
 * Small graphs, put together by hand.
 */

#ifndef T_BUILD_H
#define T_BUILD_H

#include <stdio.h>
#include <stdlib.h>

#include "ops/op.h"


static infer_error_t   err;
static infer_graph_t  *g;


/* A node of one result and up to three operands; ends the test where the
   shape rule refuses it. */
static inline infer_value_t *
emit(infer_op_id_t op, const infer_param_t *param, infer_value_t *a,
    infer_value_t *b, infer_value_t *c)
{
    infer_value_t  *v, *in[3] = { a, b, c };

    v = infer_graph_emit1(g, op, param, "node", in, c != NULL ? 3
                                                    : b != NULL ? 2 : 1);
    if (v == NULL) {
        printf("# %s\n", err.text);
        exit(1);
    }

    return v;
}


static inline infer_value_t *
binary(int kind, infer_value_t *a, infer_value_t *b)
{
    infer_param_t  p = { .binary = { .kind = kind } };

    return emit(INFER_OP_BINARY, &p, a, b, NULL);
}


/* The graph's only output. */
static inline void
end(infer_value_t *out)
{
    g->output = infer_graph_alloc(g, sizeof(*g->output));
    g->n_outputs = 1;
    g->output[0].value = out;
    g->output[0].port.name = "y";
    g->output[0].port.dtype = out->dtype;
    g->output[0].port.rank = out->rank;

    for (int i = 0; i < out->rank; i++) {
        g->output[0].port.dim[i] = out->dim[i].batch ? INFER_BATCH
                                                     : out->dim[i].base;
    }
}


/* How many nodes it has of this operator. */
static inline int
count(infer_op_id_t op)
{
    int  n = 0;

    for (size_t i = 0; i < g->n_nodes; i++) {
        n += g->node[i]->id == op;
    }

    return n;
}


static inline const infer_node_t *
first(infer_op_id_t op)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->id == op) {
            return g->node[i];
        }
    }

    printf("# no such operator\n");
    exit(1);
}

#endif /* T_BUILD_H */
