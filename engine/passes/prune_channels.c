/*
 * Structured pruning: the channels with the smallest weights go, out of all
 * that computes and all that reads them.  What is left is a smaller dense
 * graph.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/product.h"
#include "passes/channels.h"
#include "passes/weights.h"


/* A channel that can go, and the products it belongs to. */
typedef struct {
    uint32_t  root;
    uint32_t  layer;
    double    norm;
} candidate_t;

typedef struct {
    infer_channels_t   channels;
    infer_graph_t     *g;
    double            *norm;           /* of a root; < 0: has no producer */
    uint32_t          *layer;          /* union of roots by their products */
    unsigned char     *gone;           /* roots that are removed */
} pruner_t;


static void add_norms(pruner_t *p, const infer_node_t *node);
static uint32_t layer_of(pruner_t *p, uint32_t root);
static int choose(pruner_t *p, double fraction);
static int by_norm(const void *a, const void *b);
static int shrink(pruner_t *p, infer_node_t *node);
static int shrink_product(pruner_t *p, infer_node_t *node);
static int shrink_constants(pruner_t *p, infer_node_t *node);
static void shrink_param(pruner_t *p, infer_node_t *node);
static infer_value_t *cut(pruner_t *p, const infer_value_t *v, int axis,
    const infer_value_t *like);


int
infer_pass_prune_channels(infer_graph_t *g, double fraction)
{
    pruner_t  p = { .g = g };

    if (infer_channels_find(&p.channels, g) != 0) {
        return -1;
    }

    p.norm = infer_graph_alloc(g, (p.channels.n + 1) * sizeof(*p.norm));
    p.layer = infer_graph_alloc(g, (p.channels.n + 1) * sizeof(*p.layer));
    p.gone = infer_graph_alloc(g, p.channels.n + 1);

    if (p.norm == NULL || p.layer == NULL || p.gone == NULL) {
        return -1;
    }

    for (uint32_t i = 0; i < p.channels.n; i++) {
        p.norm[i] = -1;
        p.layer[i] = i;
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        if (infer_weights_fit(g->node[i])
            && !infer_channels_depthwise(&p.channels, g->node[i]))
        {
            add_norms(&p, g->node[i]);
        }
    }

    if (choose(&p, fraction) != 0) {
        return -1;
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        if (shrink(&p, g->node[i]) != 0) {
            return -1;
        }
    }

    return 0;
}


/* ---- the choice ------------------------------------------------------- */

/* The magnitudes of a product's weights, by output. */
static void
add_norms(pruner_t *p, const infer_node_t *node)
{
    double                sum;
    uint32_t              root, first = 0;
    const infer_value_t  *y = node->out[0];
    infer_weight_view_t   view = infer_weight_view(node);

    for (size_t o = 0; o < infer_channels_of(&p->channels, y); o++) {
        sum = 0;

        for (size_t k = 0; k < view.inputs; k++) {
            sum += fabs((double) infer_weight_at(&view, node, o, k));
        }

        root = infer_channels_root(&p->channels,
                                   p->channels.first[y->id] + (uint32_t) o);
        p->norm[root] = fmax(p->norm[root], 0) + sum;
        first = o == 0 ? root : first;
        p->layer[layer_of(p, root)] = layer_of(p, first);
    }
}


static uint32_t
layer_of(pruner_t *p, uint32_t root)
{
    while (p->layer[root] != root) {
        root = p->layer[root] = p->layer[p->layer[root]];
    }

    return root;
}


static int
choose(pruner_t *p, double fraction)
{
    size_t             n = 0, end, removed = 0;
    candidate_t       *all;
    infer_channels_t  *c = &p->channels;

    all = infer_graph_alloc(p->g, (c->n + 1) * sizeof(*all));
    if (all == NULL) {
        return -1;
    }

    for (uint32_t i = 0; i < c->n; i++) {
        if (c->parent[i] != i || p->norm[i] < 0 || c->fixed[i]) {
            continue;
        }

        if (c->blocker[i] != NULL) {
            return infer_node_fail(p->g, c->blocker[i], "its channels cannot "
                                   "be followed, and so not be pruned");
        }

        all[n++] = (candidate_t) { i, layer_of(p, i), p->norm[i] };
    }

    qsort(all, n, sizeof(*all), by_norm);

    for (size_t from = 0; from < n; from = end) {
        for (end = from; end < n && all[end].layer == all[from].layer; end++) {
            /* void */
        }

        for (size_t i = 0; i < (size_t) (fraction * (double) (end - from));
             i++)
        {
            p->gone[all[from + i].root] = 1;
            removed++;
        }
    }

    return removed > 0 ? 0 : infer_graph_fail(p->g, "has no channels to "
                                              "prune");
}


/* By layer, the smallest first. */
static int
by_norm(const void *a, const void *b)
{
    const candidate_t  *x = a, *y = b;

    if (x->layer != y->layer) {
        return x->layer < y->layer ? -1 : 1;
    }

    if (x->norm < y->norm || x->norm > y->norm) {
        return x->norm < y->norm ? -1 : 1;
    }

    return x->root < y->root ? -1 : 1;
}


/* ---- the removal ------------------------------------------------------ */

/* Channels of a value that stay. */
static size_t
kept(pruner_t *p, const infer_value_t *v)
{
    size_t             n = 0;
    infer_channels_t  *c = &p->channels;
    uint32_t           first = v->id < c->n_values ? c->first[v->id] : 0;

    for (uint32_t i = 0; i < infer_channels_of(c, v); i++) {
        n += !p->gone[infer_channels_root(c, first + i)];
    }

    return n;
}


/*
 * A node after its operands have shrunk.  Their values have their new
 * dimensions already, so that what was is known from its result alone.
 */
static int
shrink(pruner_t *p, infer_node_t *node)
{
    int                   rc, axis, loses;
    size_t                n;
    const infer_value_t  *y;

    if (node->n_out < 1 || infer_channels_of(&p->channels, node->out[0]) == 0)
    {
        return 0;
    }

    y = node->out[0];
    axis = p->channels.axis[y->id];
    n = kept(p, y);
    loses = node->id == INFER_OP_CONV || node->id == INFER_OP_FC;

    if (!loses && n == (size_t) y->dim[axis].base) {
        return 0;
    }

    shrink_param(p, node);
    rc = loses ? shrink_product(p, node) : shrink_constants(p, node);

    if (rc != 0 || node->op->shape(p->g, node) != 0) {
        return -1;
    }

    return infer_dim_is(y->dim[axis], (int64_t) n) ? 0
           : infer_node_fail(p->g, node, "has %lld channels after pruning "
                             "instead of %zu", (long long) y->dim[axis].base,
                             n);
}


/* What a param says of the number of channels. */
static void
shrink_param(pruner_t *p, infer_node_t *node)
{
    int                  axis = p->channels.axis[node->out[0]->id];
    int64_t              n = (int64_t) kept(p, node->out[0]);

    switch (node->id) {

    case INFER_OP_CONV:
        if (infer_channels_depthwise(&p->channels, node)) {
            node->param.conv.groups = (int32_t) n;
        }

        break;

    case INFER_OP_RESHAPE:
        node->param.shape.dim[axis].base = n;
        break;

    case INFER_OP_RESIZE:
        node->param.resize.out[axis].base = n;
        break;

    case INFER_OP_SLICE:
        node->param.slice.count[axis].base = n;
        break;

    default:
        break;
    }
}


static int
shrink_product(pruner_t *p, infer_node_t *node)
{
    int                   input;
    infer_value_t        *w = node->in[INFER_IN_WEIGHTS];
    const infer_value_t  *x = node->in[INFER_IN_X], *y = node->out[0];

    input = 1;

    if (node->id == INFER_OP_FC) {
        input = node->param.fc.w_rows_are_n != 0;
    }

    w = cut(p, w, node->id == INFER_OP_FC ? !input : 0, y);

    /* convolutions in groups keep their channels, or have one for each */
    if (w != NULL && (node->id == INFER_OP_FC
                      || node->param.conv.groups == 1)
        && infer_channels_of(&p->channels, x) > 0
        && infer_dim_is(w->dim[input],
                        (int64_t) infer_channels_of(&p->channels, x)))
    {
        w = cut(p, w, input, x);
    }

    if (w == NULL || infer_set_operand(p->g, node, INFER_IN_WEIGHTS, w) != 0)
    {
        return -1;
    }

    for (int k = INFER_IN_BIAS; k <= INFER_IN_SCALE; k++) {
        if (k < node->n_in && node->in[k] != NULL) {
            w = cut(p, node->in[k], 0, y);

            if (w == NULL || infer_set_operand(p->g, node, k, w) != 0) {
                return -1;
            }
        }
    }

    return 0;
}


/* Constants with a number for each channel, of elementwise operators. */
static int
shrink_constants(pruner_t *p, infer_node_t *node)
{
    int                   axis;
    size_t                n;
    infer_value_t        *v;
    const infer_value_t  *y = node->out[0];

    n = infer_channels_of(&p->channels, y);

    for (int k = 0; k < node->n_in; k++) {
        v = node->in[k];
        axis = p->channels.axis[y->id] - (y->rank - v->rank);

        if (node->id == INFER_OP_AFFINE) {
            axis = 0;
        }

        if (v->data == NULL || axis < 0
            || (node->id != INFER_OP_AFFINE && node->id != INFER_OP_BINARY)
            || !infer_dim_is(v->dim[axis], (int64_t) n))
        {
            continue;
        }

        v = cut(p, v, axis, y);
        if (v == NULL) {
            return -1;
        }

        node->in[k] = v;
    }

    return 0;
}


/* A constant without the channels along a dimension that `like` loses. */
static infer_value_t *
cut(pruner_t *p, const infer_value_t *v, int axis, const infer_value_t *like)
{
    char               *data;
    size_t              before = 1, after = sizeof(float), n, at = 0;
    int64_t             dim[INFER_MAX_RANK];
    infer_channels_t   *c = &p->channels;
    const char         *from = v->data;

    n = infer_channels_of(c, like);

    for (int d = 0; d < v->rank; d++) {
        dim[d] = v->dim[d].base;
        before *= d < axis ? (size_t) dim[d] : 1;
        after *= d > axis ? (size_t) dim[d] : 1;
    }

    dim[axis] = (int64_t) kept(p, like);
    data = infer_graph_alloc(p->g, before * (size_t) dim[axis] * after);

    if (data == NULL) {
        return NULL;
    }

    for (size_t i = 0; i < before * n; i++) {
        if (!p->gone[infer_channels_root(c, c->first[like->id]
                                            + (uint32_t) (i % n))])
        {
            memcpy(data + at, from + i * after, after);
            at += after;
        }
    }

    p->g->summary.parameters -= (before * n * after - at) / sizeof(float);

    return infer_graph_constant(p->g, v->name, INFER_F32, v->rank, dim, data);
}
