/*
 * Batch normalisation that no product could take in, as in front of the
 * convolutions of pre-activation networks: a per-channel factor, a
 * per-channel offset and the activation behind them become one node, which
 * also reads the operands of a concatenation where they are: what was written
 * and read up to four times is written once.
 */

#include <string.h>

#include "ops/op.h"
#include "passes/passes.h"


/* For fewer channels a row is too short. */
#define LEAST_CHANNELS  8


static int join(infer_graph_t *g, infer_node_t *node);
static infer_value_t *beside_channels(infer_graph_t *g,
    const infer_node_t *node, int kind, infer_value_t **channel, int *rc);
static const infer_node_t *binary_of(const infer_value_t *v);
static const infer_node_t *joined(const infer_value_t *v);
static int become_affine(infer_graph_t *g, infer_node_t *node,
    infer_value_t *scale, infer_value_t *offset, infer_value_t *x);


int
infer_pass_affine(infer_graph_t *g)
{
    size_t         n;
    infer_node_t  *node;

    n = g->n_nodes;

    for (size_t i = 0; i < n; i++) {
        node = g->node[i];

        if (node->id == INFER_OP_BINARY && node->out[0]->dtype == INFER_F32
            && join(g, node) != 0)
        {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/* x * scale + offset */
static int
join(infer_graph_t *g, infer_node_t *node)
{
    int                   rc = 0;
    infer_value_t        *x, *scale, *offset;
    const infer_node_t   *mul;

    x = beside_channels(g, node, INFER_ADD, &offset, &rc);
    mul = x != NULL ? binary_of(x) : NULL;

    if (mul == NULL || mul->param.binary.act.kind != INFER_NONE) {
        return rc;
    }

    x = beside_channels(g, mul, INFER_MUL, &scale, &rc);

    return x != NULL ? become_affine(g, node, scale, offset, x) : rc;
}


/*
 * The operand of a binary node whose other operand is one number for each
 * channel, with shape (channels) in *channel; NULL, and rc -1 on failure.
 */
static infer_value_t *
beside_channels(infer_graph_t *g, const infer_node_t *node, int kind,
    infer_value_t **channel, int *rc)
{
    int                   found;
    infer_dim_t           c;
    const infer_value_t  *out = node->out[0];

    if (node->param.binary.kind != kind || out->rank == 0) {
        return NULL;
    }

    c = out->dim[out->rank - 1];

    if (c.batch != 0 || c.base < LEAST_CHANNELS) {
        return NULL;
    }

    for (int i = 0; i < 2; i++) {
        if (node->in[1 - i]->rank != out->rank
            || !infer_dim_equal(node->in[1 - i]->dim[out->rank - 1], c))
        {
            continue;
        }

        found = infer_per_channel(g, out, node->in[i], channel);

        if (found != 0) {
            *rc = found == 1 ? 0 : -1;
            return found == 1 ? node->in[1 - i] : NULL;
        }
    }

    return NULL;
}


/* The elementwise node that computes v for one user only. */
static const infer_node_t *
binary_of(const infer_value_t *v)
{
    const infer_node_t  *node = v->producer;

    return node != NULL && v->uses == 1 && node->id == INFER_OP_BINARY
           ? node : NULL;
}


/* The concatenation of channels that makes v for one user only. */
static const infer_node_t *
joined(const infer_value_t *v)
{
    const infer_node_t  *node = v->producer;

    if (node == NULL || v->uses != 1 || node->id != INFER_OP_CONCAT
        || node->param.axis.axis != v->rank - 1)
    {
        return NULL;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i]->dim[v->rank - 1].batch != 0) {
            return NULL;
        }
    }

    return node;
}


static int
become_affine(infer_graph_t *g, infer_node_t *node, infer_value_t *scale,
    infer_value_t *offset, infer_value_t *x)
{
    int                   n;
    infer_unary_t         act;
    infer_value_t       **in;
    const infer_node_t   *concat;

    concat = joined(x);
    n = concat != NULL ? concat->n_in : 1;

    in = infer_graph_alloc(g, (size_t) (n + 2) * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    in[0] = scale;
    in[1] = offset;
    memcpy(in + 2, concat != NULL ? concat->in : &x,
           (size_t) n * sizeof(*in));

    act = node->param.binary.act;

    memset(&node->param, 0, sizeof(node->param));
    node->id = INFER_OP_AFFINE;
    node->op = infer_op_table[INFER_OP_AFFINE];
    node->param.affine.act = act;
    node->in = in;
    node->n_in = n + 2;

    return node->op->shape(g, node);
}
