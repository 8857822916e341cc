/*
 * Follows channels through a graph, operator by operator.  Where an operator
 * mixes channels or counts on how many they are, it is remembered as what
 * blocks them.
 */

#include <string.h>

#include "ops/depthwise.h"
#include "ops/product.h"
#include "passes/channels.h"


static int follow(infer_channels_t *c, const infer_node_t *node);
static int follow_product(infer_channels_t *c, const infer_node_t *node);
static int follow_binary(infer_channels_t *c, const infer_node_t *node);
static int follow_joined(infer_channels_t *c, const infer_node_t *node,
    int from);
static int follow_reshape(infer_channels_t *c, const infer_node_t *node);
static int moved_axis(const infer_node_t *node, int axis);
static int give(infer_channels_t *c, const infer_value_t *v, int axis);
static void link_values(infer_channels_t *c, const infer_value_t *a,
    const infer_value_t *b);
static void fix(infer_channels_t *c, const infer_value_t *v);
static int block(infer_channels_t *c, const infer_node_t *node);


int
infer_channels_find(infer_channels_t *c, infer_graph_t *g)
{
    size_t                n = 0;
    const infer_value_t  *v;

    memset(c, 0, sizeof(*c));
    c->g = g;
    c->n_values = g->n_values;

    for (size_t i = 0; i < g->n_values; i++) {
        for (int d = 0; d < g->value[i]->rank; d++) {
            n += g->value[i]->data == NULL && g->value[i]->dim[d].base > 0
                 ? (size_t) g->value[i]->dim[d].base : 0;
        }
    }

    c->space = n;
    c->first = infer_graph_alloc(g, (c->n_values + 1) * sizeof(*c->first));
    c->count = infer_graph_alloc(g, (c->n_values + 1) * sizeof(*c->count));
    c->axis = infer_graph_alloc(g, (c->n_values + 1) * sizeof(*c->axis));
    c->parent = infer_graph_alloc(g, (n + 1) * sizeof(*c->parent));
    c->fixed = infer_graph_alloc(g, n + 1);
    c->blocker = infer_graph_alloc(g, (n + 1) * sizeof(*c->blocker));

    if (c->first == NULL || c->count == NULL || c->axis == NULL || c->parent == NULL
        || c->fixed == NULL || c->blocker == NULL)
    {
        return -1;
    }

    memset(c->axis, 0xff, c->n_values * sizeof(*c->axis));

    for (size_t i = 0; i < g->n_inputs; i++) {
        v = g->input[i].value;

        if (v->dtype == INFER_F32 && give(c, v, v->rank - 1) == 0) {
            fix(c, v);
        }
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        if (follow(c, g->node[i]) != 0) {
            (void) block(c, g->node[i]);
        }
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        fix(c, g->output[i].value);
    }

    /* what holds for a channel holds for its root */
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t  root = infer_channels_root(c, i);

        c->fixed[root] |= c->fixed[i];
        c->blocker[root] = c->blocker[root] ? c->blocker[root]
                                            : c->blocker[i];
    }

    return 0;
}


size_t
infer_channels_of(const infer_channels_t *c, const infer_value_t *v)
{
    return v == NULL || v->id >= c->n_values || c->axis[v->id] < 0
           ? 0 : c->count[v->id];
}


uint32_t
infer_channels_root(infer_channels_t *c, uint32_t channel)
{
    while (c->parent[channel] != channel) {
        c->parent[channel] = c->parent[c->parent[channel]];
        channel = c->parent[channel];
    }

    return channel;
}


/* The smaller number is the root. */
void
infer_channels_join(infer_channels_t *c, uint32_t a, uint32_t b)
{
    a = infer_channels_root(c, a);
    b = infer_channels_root(c, b);

    c->parent[a > b ? a : b] = a > b ? b : a;
}


int
infer_channels_depthwise(const infer_channels_t *c, const infer_node_t *node)
{
    return node->id == INFER_OP_CONV
           && infer_is_depthwise(node->param.conv.groups,
                                 (int64_t) infer_channels_of(c, node->in[0]),
                                 (int64_t) infer_channels_of(c, node->out[0]));
}


/* ---- values ----------------------------------------------------------- */

/* -1 where that dimension cannot be channels. */
static int
give(infer_channels_t *c, const infer_value_t *v, int axis)
{
    size_t  n;

    if (axis < 0 || v->dim[axis].batch != 0 || v->dim[axis].base < 1
        || v->data != NULL)
    {
        return -1;
    }

    n = (size_t) v->dim[axis].base;

    if (c->axis[v->id] >= 0 || n > c->space - c->n) {
        return -1;
    }

    c->axis[v->id] = axis;
    c->first[v->id] = (uint32_t) c->n;
    c->count[v->id] = (uint32_t) n;

    for (size_t i = 0; i < n; i++, c->n++) {
        c->parent[c->n] = (uint32_t) c->n;
    }

    return 0;
}


static void
link_values(infer_channels_t *c, const infer_value_t *a,
    const infer_value_t *b)
{
    for (uint32_t i = 0; i < infer_channels_of(c, a); i++) {
        infer_channels_join(c, c->first[a->id] + i, c->first[b->id] + i);
    }
}


static void
fix(infer_channels_t *c, const infer_value_t *v)
{
    for (size_t i = 0; i < infer_channels_of(c, v); i++) {
        c->fixed[c->first[v->id] + i] = 1;
    }
}


/* The node needs the channels of its operands, and says nothing of those that
   it makes. */
static int
block(infer_channels_t *c, const infer_node_t *node)
{
    for (int k = 0; k < node->n_in; k++) {
        for (size_t i = 0; i < infer_channels_of(c, node->in[k]); i++) {
            c->blocker[c->first[node->in[k]->id] + i] = node;
        }
    }

    for (int k = 0; k < node->n_out; k++) {
        fix(c, node->out[k]);
    }

    return 0;
}


/* ---- operators -------------------------------------------------------- */

/* -1 where the channels cannot be followed. */
static int
follow(infer_channels_t *c, const infer_node_t *node)
{
    int  axis;

    switch (node->id) {

    case INFER_OP_CONV:
    case INFER_OP_FC:
        return follow_product(c, node);

    case INFER_OP_BINARY:
        return follow_binary(c, node);

    case INFER_OP_AFFINE:
        return follow_joined(c, node, 2);

    case INFER_OP_CONCAT:
        axis = infer_channels_of(c, node->in[0]) > 0
               ? c->axis[node->in[0]->id] : -1;
        return axis == node->param.axis.axis ? follow_joined(c, node, 0) : -1;

    case INFER_OP_RESHAPE:
        return follow_reshape(c, node);

    default:
        break;
    }

    if (node->n_in < 1 || node->n_out != 1
        || infer_channels_of(c, node->in[0]) == 0)
    {
        return -1;
    }

    axis = moved_axis(node, c->axis[node->in[0]->id]);

    if (axis < 0 || node->out[0]->dtype != INFER_F32
        || give(c, node->out[0], axis) != 0)
    {
        return -1;
    }

    link_values(c, node->in[0], node->out[0]);

    /* a sum over them */
    if (node->id == INFER_OP_SOFTMAX) {
        fix(c, node->out[0]);
    }

    return 0;
}


/* Where the channels of an operator that keeps them apart are; else -1. */
static int
moved_axis(const infer_node_t *node, int axis)
{
    int                   to = axis;
    const infer_slice_t  *slice = &node->param.slice;

    switch (node->id) {

    case INFER_OP_UNARY:
    case INFER_OP_POOL:
    case INFER_OP_SOFTMAX:
        return axis;

    case INFER_OP_RESIZE:
        return infer_dim_equal(node->out[0]->dim[axis],
                               node->in[0]->dim[axis]) ? axis : -1;

    case INFER_OP_PAD:
        return node->param.pad.before[axis] == 0
               && node->param.pad.after[axis] == 0 ? axis : -1;

    case INFER_OP_SLICE:
        return infer_dim_is(slice->start[axis], 0) && slice->step[axis] == 1
               && infer_dim_equal(slice->count[axis], node->in[0]->dim[axis])
               ? axis : -1;

    case INFER_OP_REDUCE:
        if (node->param.reduce.axes >> axis & 1) {
            return -1;
        }

        for (int d = 0; d < axis && !node->param.reduce.keepdims; d++) {
            to -= node->param.reduce.axes >> d & 1;
        }

        return to;

    case INFER_OP_TRANSPOSE:
        for (to = 0; node->param.transpose.perm[to] != axis; to++) {
            /* void */
        }

        return to;

    default:
        return -1;
    }
}


static int
follow_product(infer_channels_t *c, const infer_node_t *node)
{
    int                   groups;
    const infer_value_t  *x = node->in[INFER_IN_X], *y = node->out[0], *r;

    groups = node->id == INFER_OP_CONV ? node->param.conv.groups : 1;
    r = node->n_in > INFER_IN_RESIDUAL ? node->in[INFER_IN_RESIDUAL] : NULL;

    if (give(c, y, y->rank - 1) != 0) {
        return -1;
    }

    if (infer_channels_of(c, x) > 0 && c->axis[x->id] != x->rank - 1) {
        return -1;
    }

    if (infer_channels_depthwise(c, node)) {
        link_values(c, x, y);

    } else if (groups > 1) {
        fix(c, x);
        fix(c, y);
    }

    if (r == NULL) {
        return 0;
    }

    if (infer_channels_of(c, r) == 0 || c->axis[r->id] != r->rank - 1) {
        return -1;
    }

    link_values(c, r, y);

    return 0;
}


/* An operand has the result's channels, or the same number for all. */
static int
follow_binary(infer_channels_t *c, const infer_node_t *node)
{
    int                   axis = -1, own;
    size_t                n;
    const infer_value_t  *y = node->out[0], *v;

    if (y->dtype != INFER_F32) {
        return -1;
    }

    for (int k = 0; k < 2; k++) {
        v = node->in[k];
        n = infer_channels_of(c, v);
        own = n > 0 ? c->axis[v->id] + y->rank - v->rank : -1;

        /* one channel, of which the result has more, is none */
        if (n == 0 || (n == 1 && !infer_dim_is(y->dim[own], 1))) {
            continue;
        }

        if (axis >= 0 && own != axis) {
            return -1;
        }

        axis = own;
    }

    if (axis < 0 || give(c, y, axis) != 0) {
        return -1;
    }

    for (int k = 0; k < 2; k++) {
        v = node->in[k];
        own = axis - (y->rank - v->rank);

        if (infer_value_is_constant(v) || own < 0
            || !infer_dim_equal(v->dim[own], y->dim[axis]))
        {
            continue;
        }

        if (infer_channels_of(c, v) == 0 || c->axis[v->id] != own) {
            return -1;
        }

        link_values(c, v, y);
    }

    return 0;
}


/* The operands' channels, one after the other, are the result's. */
static int
follow_joined(infer_channels_t *c, const infer_node_t *node, int from)
{
    int                   axis;
    uint32_t              at;
    const infer_value_t  *y = node->out[0], *v;

    axis = node->id == INFER_OP_AFFINE ? y->rank - 1
                                       : node->param.axis.axis;

    if (y->dtype != INFER_F32 || give(c, y, axis) != 0) {
        return -1;
    }

    at = c->first[y->id];

    for (int k = from; k < node->n_in; k++) {
        v = node->in[k];

        if (infer_channels_of(c, v) == 0 || c->axis[v->id] != axis) {
            return -1;
        }

        for (uint32_t i = 0; i < infer_channels_of(c, v); i++) {
            infer_channels_join(c, at++, c->first[v->id] + i);
        }
    }

    return 0;
}


/*
 * A dimension of the result whose elements are of one channel each: inner
 * elements of the operand lie between two channels, so many of the result
 * between two of its elements.
 */
static int
follow_reshape(infer_channels_t *c, const infer_node_t *node)
{
    int64_t               inner = 1, run = 1, n;
    const infer_value_t  *x = node->in[0], *y = node->out[0];

    n = (int64_t) infer_channels_of(c, x);

    if (n == 0) {
        return -1;
    }

    for (int d = x->rank - 1; d > c->axis[x->id]; d--) {
        if (x->dim[d].batch != 0) {
            return -1;
        }

        inner *= x->dim[d].base;
    }

    for (int d = y->rank - 1; d >= 0 && y->dim[d].batch == 0; d--) {
        if (run > 0 && inner % run == 0
            && y->dim[d].base * run % (n * inner) == 0
            && give(c, y, d) == 0)
        {
            for (int64_t i = 0; i < y->dim[d].base; i++) {
                infer_channels_join(c, c->first[y->id] + (uint32_t) i,
                                    c->first[x->id]
                                    + (uint32_t) (i * run / inner % n));
            }

            return 0;
        }

        run *= y->dim[d].base;
    }

    return -1;
}
