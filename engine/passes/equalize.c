/*
 * Cross-layer equalization (Nagel et al., Data-free quantization, 2019, 4.1).
 * Where a product's output goes through nothing but an activation that does
 * not mind a positive factor to one other product, output i of the first may
 * be divided by s if the second's weights for it are multiplied by s.  With
 * s = sqrt(r1 / r2), r1 and r2 being the largest weights on both sides, both
 * are the same afterwards.  s is rounded to a power of two: then the model
 * computes what it computed, to the bit.
 */

#include <math.h>
#include <string.h>

#include "ops/product.h"
#include "passes/passes.h"
#include "passes/weights.h"


/* A chain of products settles in a few rounds. */
#define ROUNDS   8

/* No channel is moved by more than this in a round. */
#define LIMIT    16.0


typedef struct {
    infer_node_t  *first;
    infer_node_t  *second;
} pair_t;


static int find_pairs(infer_graph_t *g, pair_t *pair, size_t *n);
static int passes_factor(const infer_node_t *node);
static int takes_factor(const infer_node_t *node, const infer_node_t *first);
static int own_operands(infer_graph_t *g, infer_node_t *node);
static infer_value_t *own(infer_graph_t *g, const infer_value_t *v,
    int64_t n, float otherwise);
static int equalize(const pair_t *pair);
static float largest(const infer_node_t *node, size_t o);
static float largest_for(const infer_node_t *node, size_t channel,
    float factor);
static float *floats(const infer_value_t *v);


int
infer_pass_equalize(infer_graph_t *g)
{
    int      changed = 1;
    size_t   n;
    pair_t  *pair;

    pair = infer_graph_alloc(g, (g->n_nodes + 1) * sizeof(pair_t));

    if (pair == NULL || find_pairs(g, pair, &n) != 0) {
        return -1;
    }

    for (int round = 0; changed && round < ROUNDS; round++) {
        changed = 0;

        for (size_t i = 0; i < n; i++) {
            changed |= equalize(&pair[i]);
        }
    }

    return 0;
}


static int
find_pairs(infer_graph_t *g, pair_t *pair, size_t *n)
{
    infer_node_t  *node, *first;

    *n = 0;

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        if (node->id != INFER_OP_CONV && node->id != INFER_OP_FC) {
            continue;
        }

        first = node->in[INFER_IN_X]->producer;

        if (first == NULL || node->in[INFER_IN_X]->uses != 1
            || !passes_factor(first) || !takes_factor(node, first))
        {
            continue;
        }

        if (own_operands(g, first) != 0 || own_operands(g, node) != 0) {
            return -1;
        }

        pair[*n].first = first;
        pair[(*n)++].second = node;
    }

    return 0;
}


/* Whether an output may be divided: act(x / s) = act(x) / s. */
static int
passes_factor(const infer_node_t *node)
{
    const infer_unary_t  *act;

    if (!infer_weights_fit(node)
        || (node->n_in > INFER_IN_RESIDUAL
            && node->in[INFER_IN_RESIDUAL] != NULL))
    {
        return 0;
    }

    act = node->id == INFER_OP_CONV ? &node->param.conv.act
                                    : &node->param.fc.act;

    return act->kind == INFER_NONE || act->kind == INFER_LEAKYRELU
           || (act->kind == INFER_CLIP && act->a == 0 && isinf(act->b));
}


/* Whether the channels of the input are those that first computes. */
static int
takes_factor(const infer_node_t *node, const infer_node_t *first)
{
    infer_weight_view_t  a, b;

    if (!infer_weights_fit(node)) {
        return 0;
    }

    a = infer_weight_view(first);
    b = infer_weight_view(node);

    return b.inputs / b.taps * b.groups == a.outputs
           && (b.groups == 1 || b.groups == (size_t) b.outputs);
}


/* Weights, scale and bias of a node become copies that can be changed. */
static int
own_operands(infer_graph_t *g, infer_node_t *node)
{
    int64_t              n;
    infer_value_t       *v[3];
    infer_weight_view_t  view = infer_weight_view(node);

    n = (int64_t) view.outputs;

    v[0] = own(g, node->in[INFER_IN_WEIGHTS], n * (int64_t) view.inputs, 0);
    v[1] = own(g, node->n_in > INFER_IN_BIAS ? node->in[INFER_IN_BIAS] : NULL,
               n, 0);
    v[2] = own(g, node->n_in > INFER_IN_SCALE ? node->in[INFER_IN_SCALE]
                                              : NULL, n, 1);

    return v[0] == NULL || v[1] == NULL || v[2] == NULL
           || infer_set_operand(g, node, INFER_IN_WEIGHTS, v[0]) != 0
           || infer_set_operand(g, node, INFER_IN_BIAS, v[1]) != 0
           || infer_set_operand(g, node, INFER_IN_SCALE, v[2]) != 0 ? -1 : 0;
}


static infer_value_t *
own(infer_graph_t *g, const infer_value_t *v, int64_t n, float otherwise)
{
    float    *data;
    int64_t   dim[INFER_MAX_RANK];

    data = infer_graph_alloc(g, (size_t) n * sizeof(float));
    if (data == NULL) {
        return NULL;
    }

    if (v == NULL) {
        for (int64_t i = 0; i < n; i++) {
            data[i] = otherwise;
        }

        return infer_graph_constant(g, NULL, INFER_F32, 1, &n, data);
    }

    memcpy(data, v->data, (size_t) n * sizeof(float));

    for (int d = 0; d < v->rank; d++) {
        dim[d] = v->dim[d].base;
    }

    return infer_graph_constant(g, v->name, INFER_F32, v->rank, dim, data);
}


/* Whether there was something to do. */
static int
equalize(const pair_t *pair)
{
    int                   changed = 0;
    float                 r1, r2, s;
    double                wanted;
    infer_weight_view_t   view = infer_weight_view(pair->first);

    for (size_t o = 0; o < view.outputs; o++) {
        r1 = largest(pair->first, o);
        r2 = largest_for(pair->second, o, 1);

        if (!(r1 > 0) || !(r2 > 0) || !isfinite(r1) || !isfinite(r2)) {
            continue;
        }

        wanted = sqrt((double) r1 / (double) r2);
        wanted = fmax(fmin(wanted, LIMIT), 1 / LIMIT);
        s = (float) exp2(rint(log2(wanted)));

        if (s == 1) {
            continue;
        }

        changed = 1;
        floats(pair->first->in[INFER_IN_SCALE])[o] /= s;
        floats(pair->first->in[INFER_IN_BIAS])[o] /= s;
        (void) largest_for(pair->second, o, s);
    }

    return changed;
}


static float
largest(const infer_node_t *node, size_t o)
{
    float                most = 0;
    infer_weight_view_t  view = infer_weight_view(node);

    for (size_t k = 0; k < view.inputs; k++) {
        most = fmaxf(most, fabsf(infer_weight_at(&view, node, o, k)));
    }

    return most;
}


/* The largest weight for a channel of the input, times factor, as all of them
   are from then on. */
static float
largest_for(const infer_node_t *node, size_t channel, float factor)
{
    float                 most = 0, *w;
    size_t                first, end, from;
    infer_weight_view_t   view = infer_weight_view(node);

    w = floats(node->in[INFER_IN_WEIGHTS]);

    /* one channel to an output, or all of them to each */
    first = view.groups > 1 ? channel : 0;
    end = view.groups > 1 ? channel + 1 : view.outputs;
    from = view.groups > 1 ? 0 : channel * view.taps;

    for (size_t o = first; o < end; o++) {
        for (size_t k = from; k < from + view.taps; k++) {
            w[o * view.output + k * view.input] *= factor;
            most = fmaxf(most, fabsf(infer_weight_at(&view, node, o, k)));
        }
    }

    return most;
}


static float *
floats(const infer_value_t *v)
{
    return (float *) (uintptr_t) v->data;
}
