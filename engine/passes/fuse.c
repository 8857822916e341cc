/*
 * Fusion around products.  A node that can be done while a product's result
 * is still in registers is absorbed by the product's node: a per-channel
 * factor goes into its scale, a per-channel offset into its bias, an addition
 * of another tensor of the same shape becomes its residual, an activation its
 * epilogue; zero padding in front of a convolution or an average becomes its
 * own.
 */

#include <string.h>

#include "ops/gate.h"
#include "passes/passes.h"


/* Operands of conv and fc, as ops/param.h orders them; the last is conv's. */
enum { X, WEIGHTS, BIAS, SCALE, RESIDUAL, GATE };


static int absorb_constant(infer_graph_t *g, infer_node_t *node);
static int fold_into(infer_graph_t *g, infer_node_t *product, int k,
    float neutral, int kind, infer_value_t *c);
static int absorb_residual(infer_graph_t *g, infer_node_t *node);
static int absorb_activation(infer_node_t *node);
static int absorb_padding(infer_node_t *node);
static int absorb_gate(infer_graph_t *g, infer_node_t *node);
static int admits_padding(const infer_node_t *node);
static infer_node_t *open_product(const infer_value_t *v);
static infer_unary_t *activation_of(infer_node_t *node);
static infer_value_t *operand(const infer_node_t *node, int i);
static int set_operand(infer_graph_t *g, infer_node_t *node, int i,
    infer_value_t *v);
static infer_value_t *combine(infer_graph_t *g, int kind, infer_value_t *a,
    infer_value_t *b);


int
infer_pass_fuse(infer_graph_t *g)
{
    int            rc;
    infer_node_t  *node;

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        if (node->out[0]->dtype != INFER_F32) {
            continue;
        }

        rc = 0;

        switch (node->id) {

        case INFER_OP_CONV:
            rc = absorb_padding(node);
            rc = rc == 0 ? absorb_gate(g, node) : rc;
            break;

        case INFER_OP_POOL:
            rc = absorb_padding(node);
            break;

        case INFER_OP_UNARY:
            rc = absorb_activation(node);
            break;

        case INFER_OP_BINARY:
            if (node->param.binary.act.kind != INFER_NONE) {
                break;
            }

            rc = absorb_constant(g, node);
            rc = rc == 0 ? absorb_residual(g, node) : rc;
            break;

        default:
            break;
        }

        if (rc < 0) {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/*
 * product * c, product / c, product + c, product - c, c being constant: 1
 * where absorbed, 0 where not, -1 on failure.
 */
static int
absorb_constant(infer_graph_t *g, infer_node_t *node)
{
    int             kind, rc;
    infer_node_t   *product;
    infer_value_t  *c;

    kind = node->param.binary.kind;

    for (int i = 0; i < 2; i++) {
        product = open_product(node->in[i]);

        if (product == NULL || operand(product, RESIDUAL) != NULL
            || (kind != INFER_MUL && kind != INFER_ADD
                && !(i == 0 && (kind == INFER_DIV || kind == INFER_SUB))))
        {
            continue;
        }

        rc = infer_per_channel(g, product->out[0], node->in[1 - i], &c);
        if (rc != 1) {
            return rc;
        }

        if (kind == INFER_ADD || kind == INFER_SUB) {
            rc = fold_into(g, product, BIAS, 0, kind, c);

        } else {
            rc = fold_into(g, product, SCALE, 1, kind, c);

            if (rc == 0 && operand(product, BIAS) != NULL) {
                rc = fold_into(g, product, BIAS, 0, kind, c);
            }
        }

        if (rc != 0) {
            return -1;
        }

        infer_node_take(product, node);

        return 1;
    }

    return 0;
}


/* The k-th operand of product becomes itself KIND c; neutral where it has
   none. */
static int
fold_into(infer_graph_t *g, infer_node_t *product, int k, float neutral,
    int kind, infer_value_t *c)
{
    infer_value_t  *v;

    v = operand(product, k);

    if (v == NULL) {
        v = infer_graph_scalar(g, neutral);
    }

    if (v != NULL) {
        v = combine(g, kind, v, c);
    }

    return v != NULL ? set_operand(g, product, k, v) : -1;
}


/*
 * product + other: the later of two products absorbs the sum, and runs where
 * the sum stood, when the other operand is there.
 */
static int
absorb_residual(infer_graph_t *g, infer_node_t *node)
{
    int            best;
    size_t         index;
    infer_node_t  *product, *candidate;

    if (node->param.binary.kind != INFER_ADD || node->in[0] == node->in[1]) {
        return 0;
    }

    best = -1;
    product = NULL;

    for (int i = 0; i < 2; i++) {
        candidate = open_product(node->in[i]);

        if (candidate == NULL || operand(candidate, RESIDUAL) != NULL
            || node->in[1 - i]->dtype != INFER_F32
            || node->in[1 - i]->rank != node->out[0]->rank
            || node->in[i]->rank != node->out[0]->rank)
        {
            continue;
        }

        for (int d = 0; d < node->out[0]->rank; d++) {
            if (!infer_dim_equal(node->in[0]->dim[d], node->in[1]->dim[d])) {
                return 0;
            }
        }

        if (product == NULL || candidate->index > product->index) {
            best = i;
            product = candidate;
        }
    }

    if (product == NULL) {
        return 0;
    }

    if (set_operand(g, product, RESIDUAL, node->in[1 - best]) != 0) {
        return -1;
    }

    index = product->index;
    g->node[index] = node;
    g->node[node->index] = product;
    product->index = node->index;
    node->index = index;

    infer_node_take(product, node);

    return 1;
}


static int
absorb_activation(infer_node_t *node)
{
    infer_node_t   *producer;
    infer_unary_t  *act;

    producer = node->in[0]->producer;

    if (producer == NULL || node->in[0]->uses != 1
        || node->in[0]->dtype != INFER_F32)
    {
        return 0;
    }

    act = activation_of(producer);

    if (act == NULL || act->kind != INFER_NONE) {
        return 0;
    }

    *act = node->param.unary;
    infer_node_take(producer, node);

    return 1;
}


static int
absorb_padding(infer_node_t *node)
{
    int                 spatial, rank;
    int64_t             most;
    infer_window_t     *w;
    const infer_pad_t  *pad;
    const infer_node_t *producer;

    producer = node->in[X]->producer;

    if (producer == NULL || producer->id != INFER_OP_PAD
        || !admits_padding(node))
    {
        return 0;
    }

    pad = &producer->param.pad;
    rank = node->in[X]->rank;

    if (pad->mode != INFER_PAD_CONSTANT || pad->value != 0
        || pad->before[0] != 0 || pad->after[0] != 0
        || pad->before[rank - 1] != 0 || pad->after[rank - 1] != 0)
    {
        return 0;
    }

    w = node->id == INFER_OP_CONV ? &node->param.conv.window
                                  : &node->param.pool.window;

    for (int d = 1; d < rank - 1; d++) {
        spatial = d - 1 + 3 - (rank - 2);
        most = 1 << 20;

        /* a pool's window covers more than padding */
        if (node->id == INFER_OP_POOL) {
            most = (int64_t) (w->kernel[spatial] - 1) * w->dilation[spatial];
        }

        if (pad->before[d] < 0 || pad->after[d] < 0
            || pad->before[d] + w->before[spatial] > most
            || pad->after[d] + w->after[spatial] > most)
        {
            return 0;
        }
    }

    for (int d = 1; d < rank - 1; d++) {
        spatial = d - 1 + 3 - (rank - 2);
        w->before[spatial] += (int32_t) pad->before[d];
        w->after[spatial] += (int32_t) pad->after[d];
    }

    node->in[X] = producer->in[0];

    if (node->id == INFER_OP_POOL) {
        node->param.pool.count_include_pad = 1;
    }

    return 1;
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
    const infer_node_t  *producer = node->in[X]->producer;

    if (producer == NULL || producer->id != INFER_OP_BINARY
        || producer->param.binary.kind != INFER_MUL
        || producer->param.binary.act.kind != INFER_NONE
        || node->in[X]->uses != 1 || operand(node, GATE) != NULL)
    {
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        x = producer->in[i];
        gate = producer->in[1 - i];

        same = x->dtype == INFER_F32 && x->rank == node->in[X]->rank;

        for (int d = 0; d < x->rank && same; d++) {
            same = infer_dim_equal(x->dim[d], node->in[X]->dim[d]);
        }

        if (same && infer_gate_fits(node, gate)) {
            node->in[X] = x;
            return set_operand(g, node, GATE, gate) == 0 ? 1 : -1;
        }
    }

    return 0;
}


/* Whether zeros in front of the node are the same as padding by the node. */
static int
admits_padding(const infer_node_t *node)
{
    const infer_pool_t  *pool = &node->param.pool;

    if (node->id == INFER_OP_CONV) {
        return 1;
    }

    for (int i = 0; i < 3; i++) {
        if (!pool->count_include_pad
            && (pool->window.before[i] != 0 || pool->window.after[i] != 0))
        {
            return 0;
        }
    }

    return pool->average && !pool->ceil;
}


/* The product that computes v for one user only, not yet closed by an
   activation. */
static infer_node_t *
open_product(const infer_value_t *v)
{
    infer_node_t  *node;

    node = v->producer;

    if (node == NULL || v->uses != 1
        || (node->id != INFER_OP_CONV && node->id != INFER_OP_FC)
        || v->dtype != INFER_F32
        || activation_of(node)->kind != INFER_NONE)
    {
        return NULL;
    }

    return node;
}


static infer_unary_t *
activation_of(infer_node_t *node)
{
    switch (node->id) {

    case INFER_OP_CONV:
        return &node->param.conv.act;

    case INFER_OP_FC:
        return &node->param.fc.act;

    case INFER_OP_BINARY:
        return &node->param.binary.act;

    default:
        return NULL;
    }
}


static infer_value_t *
operand(const infer_node_t *node, int i)
{
    return i < node->n_in ? node->in[i] : NULL;
}


static int
set_operand(infer_graph_t *g, infer_node_t *node, int i, infer_value_t *v)
{
    infer_value_t  **in;

    if (node->n_in <= i) {
        in = infer_graph_alloc(g, (size_t) (i + 1) * sizeof(*in));
        if (in == NULL) {
            return -1;
        }

        memcpy(in, node->in, (size_t) node->n_in * sizeof(*in));
        node->in = in;
        node->n_in = i + 1;
    }

    node->in[i] = v;

    return 0;
}


int
infer_per_channel(infer_graph_t *g, const infer_value_t *out,
    infer_value_t *v, infer_value_t **channel)
{
    int            rank;
    infer_dim_t    n;
    infer_param_t  param;

    rank = out->rank;

    if (v->data == NULL || v->varied[0] != NULL || v->dtype != INFER_F32
        || v->rank > rank || infer_value_numel(v, &n) != 0
        || !(infer_dim_is(n, 1)
             || (v->rank > 0 && infer_dim_equal(n, v->dim[v->rank - 1])
                 && infer_dim_equal(n, out->dim[rank - 1]))))
    {
        return 0;
    }

    memset(&param, 0, sizeof(param));
    param.shape.rank = 1;
    param.shape.dim[0] = n;

    *channel = infer_graph_emit1(g, INFER_OP_RESHAPE, &param, v->name, &v, 1);

    if (*channel != NULL && infer_dim_is(n, 1)) {
        param.shape.dim[0] = out->dim[rank - 1];
        *channel = infer_graph_emit1(g, INFER_OP_EXPAND, &param, v->name,
                                     channel, 1);
    }

    return *channel != NULL ? 1 : -1;
}


/* a KIND b, both constant */
static infer_value_t *
combine(infer_graph_t *g, int kind, infer_value_t *a, infer_value_t *b)
{
    infer_param_t   param;
    infer_value_t  *in[2] = { a, b };

    memset(&param, 0, sizeof(param));
    param.binary.kind = kind;

    return infer_graph_emit1(g, INFER_OP_BINARY, &param, a->name, in, 2);
}
