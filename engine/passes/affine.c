/*
 * Batch normalisation that no product could take in, as in front of the
 * convolutions of pre-activation networks: a per-channel factor, a
 * per-channel offset and the activation behind them become one node, which
 * also reads the operands of a concatenation where they are: what was written
 * and read up to four times is written once.
 *
 * The same for an input whose channels are taken apart, each multiplied and
 * shifted by numbers of its own, and joined again.
 */

#include <string.h>

#include "ops/op.h"
#include "passes/passes.h"


/* For fewer channels a row is too short. */
#define LEAST_CHANNELS  8


static int each_node(infer_graph_t *g, infer_op_id_t id,
    int (*change)(infer_graph_t *g, infer_node_t *node));
static int join(infer_graph_t *g, infer_node_t *node);
static int join_planes(infer_graph_t *g, infer_node_t *node);
static infer_value_t *plane(infer_graph_t *g, const infer_value_t *v,
    int64_t channel, float *scale, float *offset);
static infer_value_t *beside_number(const infer_value_t *v, int kind,
    float *number);
static infer_value_t *beside_channels(infer_graph_t *g,
    const infer_node_t *node, int kind, infer_value_t **channel, int *rc);
static const infer_node_t *binary_of(const infer_value_t *v);
static const infer_node_t *joined(const infer_value_t *v);
static int become_affine(infer_graph_t *g, infer_node_t *node,
    infer_value_t *scale, infer_value_t *offset, infer_value_t *x);


int
infer_pass_affine(infer_graph_t *g)
{
    /* Whole planes first: what they are made of would do for join, too. */
    if (each_node(g, INFER_OP_TRANSPOSE, join_planes) != 0
        || each_node(g, INFER_OP_BINARY, join) != 0)
    {
        return -1;
    }

    return 0;
}


static int
each_node(infer_graph_t *g, infer_op_id_t id,
    int (*change)(infer_graph_t *g, infer_node_t *node))
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->id == id && g->node[i]->out[0]->dtype == INFER_F32
            && change(g, g->node[i]) != 0)
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


/* What the layout pass leaves of it: x is channels-last, the planes are not. */
static int
join_planes(infer_graph_t *g, infer_node_t *node)
{
    float               *number[2];
    int64_t              n;
    infer_value_t       *x, *part, *vector[2];
    const int32_t       *perm = node->param.transpose.perm;
    const infer_node_t  *concat = node->in[0]->producer;

    if (node->in[0]->rank != 4 || perm[0] != 0 || perm[1] != 2
        || perm[2] != 3 || concat == NULL || concat->id != INFER_OP_CONCAT
        || concat->param.axis.axis != 1)
    {
        return 0;
    }

    x = NULL;
    n = concat->n_in;

    for (int i = 0; i < 2; i++) {
        number[i] = infer_graph_alloc(g, (size_t) n * sizeof(float));
        if (number[i] == NULL) {
            return -1;
        }
    }

    for (int k = 0; k < n; k++) {
        part = plane(g, concat->in[k], k, &number[0][k], &number[1][k]);

        if (part == NULL || (k > 0 && part != x)) {
            return 0;
        }

        x = part;
    }

    for (int d = 0; d < 4; d++) {
        if (!infer_dim_equal(x->dim[d], node->out[0]->dim[d])) {
            return 0;
        }
    }

    for (int i = 0; i < 2; i++) {
        vector[i] = infer_graph_constant(g, node->name, INFER_F32, 1, &n,
                                         number[i]);
        if (vector[i] == NULL) {
            return -1;
        }
    }

    return become_affine(g, node, vector[0], vector[1], x);
}


/* The x of v = x[.., channel] * scale + offset; NULL where v is not that. */
static infer_value_t *
plane(infer_graph_t *g, const infer_value_t *v, int64_t channel, float *scale,
    float *offset)
{
    int64_t              index;
    infer_value_t       *x;
    const infer_node_t  *node;

    v = beside_number(v, INFER_ADD, offset);
    v = v != NULL ? beside_number(v, INFER_MUL, scale) : NULL;
    node = v != NULL ? v->producer : NULL;

    /* the channel, as a dimension of 1 */
    if (node == NULL || node->id != INFER_OP_RESHAPE
        || !infer_dim_is(v->dim[1], 1))
    {
        return NULL;
    }

    v = node->in[0];
    node = v->producer;

    if (node == NULL || node->id != INFER_OP_GATHER || v->rank != 3
        || node->param.axis.axis != 3)
    {
        return NULL;
    }

    x = node->in[0];
    v = node->in[1];

    if (x->rank != 4 || v->data == NULL || v->varied[0] != NULL
        || infer_value_ints(g, v, &index, 1) != 1)
    {
        return NULL;
    }

    return index == channel || index == channel - x->dim[3].base ? x : NULL;
}


/* The operand of the node of v whose other operand is a constant number. */
static infer_value_t *
beside_number(const infer_value_t *v, int kind, float *number)
{
    double               x;
    const infer_node_t  *node = v->producer;

    if (node == NULL || node->id != INFER_OP_BINARY
        || node->param.binary.kind != kind
        || node->param.binary.act.kind != INFER_NONE)
    {
        return NULL;
    }

    for (int i = 0; i < 2; i++) {
        if (infer_value_scalar(node->in[i], &x)
            && node->in[1 - i]->rank == 4 && v->rank == 4)
        {
            *number = (float) x;
            return node->in[1 - i];
        }
    }

    return NULL;
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

    memset(&act, 0, sizeof(act));

    if (node->id == INFER_OP_BINARY) {
        act = node->param.binary.act;
    }

    memset(&node->param, 0, sizeof(node->param));
    node->id = INFER_OP_AFFINE;
    node->op = infer_op_table[INFER_OP_AFFINE];
    node->param.affine.act = act;
    node->in = in;
    node->n_in = n + 2;

    return node->op->shape(g, node);
}
