/*
 * Weights of products as 8-bit integers.
 */

#include <math.h>
#include <string.h>

#include "ops/product.h"
#include "passes/weights.h"


/* Half of an accumulator's range is for the products, half for the bias. */
#define HALF_RANGE  ((int64_t) 1 << 30)

#define LEVELS      127


static float float_at(const infer_value_t *v, size_t i);
static double quantize_output(const infer_weight_view_t *l,
    const infer_node_t *node, size_t o, float scale,
    const infer_quantized_weights_t *w, int8_t *q);
static float scale_of(const infer_weight_view_t *l, const infer_node_t *node,
    size_t o, const infer_quantized_weights_t *w);


int
infer_weights_fit(const infer_node_t *node)
{
    infer_weight_view_t   l;
    const infer_value_t  *v;

    if (node->id != INFER_OP_CONV && node->id != INFER_OP_FC) {
        return 0;
    }

    v = node->in[INFER_IN_WEIGHTS];

    if (v->dtype != INFER_F32 || v->data == NULL || v->quantized != NULL) {
        return 0;
    }

    l = infer_weight_view(node);

    return (int64_t) l.inputs * 255 * LEVELS < HALF_RANGE;
}


int
infer_weights_quantize(infer_graph_t *g, const infer_node_t *node,
    infer_quantized_weights_t *w)
{
    float                *scale;
    int8_t               *q;
    double                bias;
    int32_t              *bias_q;
    int64_t               dim[INFER_MAX_RANK];
    infer_value_t        *v = node->in[INFER_IN_WEIGHTS];
    infer_weight_view_t   l = infer_weight_view(node);

    w->n = (int64_t) l.outputs;
    w->axis = node->id == INFER_OP_FC && !node->param.fc.w_rows_are_n;

    q = infer_graph_alloc(g, l.outputs * l.inputs);
    scale = infer_graph_alloc(g, l.outputs * sizeof(float));
    bias_q = infer_graph_alloc(g, l.outputs * sizeof(int32_t));
    w->bias_scale = infer_graph_alloc(g, l.outputs * sizeof(float));

    if (q == NULL || scale == NULL || bias_q == NULL
        || w->bias_scale == NULL)
    {
        return -1;
    }

    for (size_t o = 0; o < l.outputs; o++) {
        scale[o] = scale_of(&l, node, o, w);
        bias = (double) infer_operand_at(node, INFER_IN_BIAS, o, 0)
               - quantize_output(&l, node, o, scale[o], w, q);

        if (w->x_scale > 0) {
            w->bias_scale[o] = w->x_scale * scale[o];
            bias = rint(bias / (double) w->bias_scale[o]);
            bias_q[o] = (int32_t) fmax(fmin(bias, HALF_RANGE), -HALF_RANGE);
        }
    }

    for (int i = 0; i < v->rank; i++) {
        dim[i] = v->dim[i].base;
    }

    w->weights = infer_graph_constant(g, v->name, INFER_I8, v->rank, dim, q);
    w->scale = infer_graph_constant(g, NULL, INFER_F32, 1, &w->n, scale);

    if (w->weights == NULL || w->scale == NULL) {
        return -1;
    }

    if (w->x_scale > 0
        && (w->mean != NULL || (node->n_in > INFER_IN_BIAS
                                && node->in[INFER_IN_BIAS] != NULL)))
    {
        w->bias = infer_graph_constant(g, NULL, INFER_I32, 1, &w->n, bias_q);
        return w->bias != NULL ? 0 : -1;
    }

    return 0;
}


/*
 * The largest weight becomes 127; where there are hardly any, the bias must
 * fit still.
 */
static float
scale_of(const infer_weight_view_t *l,
    const infer_node_t *node, size_t o, const infer_quantized_weights_t *w)
{
    float  most = 0, scale, least;

    for (size_t k = 0; k < l->inputs; k++) {
        most = fmaxf(most, fabsf(infer_weight_at(l, node, o, k)));
    }

    scale = most / LEVELS;
    least = 1e-20f;

    if (w->x_scale > 0) {
        least += fabsf(infer_operand_at(node, INFER_IN_BIAS, o, 0)) / w->x_scale
                 / (HALF_RANGE / 2);
    }

    return fmaxf(scale, least);
}


/* Returns what rounding adds to the output, on average. */
static double
quantize_output(const infer_weight_view_t *l, const infer_node_t *node,
    size_t o, float scale, const infer_quantized_weights_t *w, int8_t *q)
{
    float   x, rounded;
    size_t  channel, first;
    double  error = 0;

    first = o / (l->outputs / l->groups) * (l->inputs / l->taps);

    for (size_t k = 0; k < l->inputs; k++) {
        x = infer_weight_at(l, node, o, k);
        rounded = fmaxf(fminf(rintf(x / scale), LEVELS), -LEVELS);
        q[o * l->output + k * l->input] = (int8_t) rounded;

        channel = first + k / l->taps;

        if (w->mean != NULL && channel < w->channels) {
            error += ((double) rounded * (double) scale - (double) x)
                     * (double) w->mean[channel];
        }
    }

    return error;
}


infer_weight_view_t
infer_weight_view(const infer_node_t *node)
{
    size_t                numel = 1;
    infer_weight_view_t   l;
    const infer_value_t  *v = node->in[INFER_IN_WEIGHTS];

    for (int i = 0; i < v->rank; i++) {
        numel *= (size_t) v->dim[i].base;
    }

    l.data = v->data;
    l.groups = 1;
    l.taps = 1;

    if (node->id == INFER_OP_CONV) {
        l.outputs = (size_t) v->dim[0].base;
        l.groups = (size_t) node->param.conv.groups;
        l.taps = numel / l.outputs / (size_t) v->dim[1].base;

    } else {
        l.outputs = (size_t) v->dim[!node->param.fc.w_rows_are_n].base;
    }

    l.inputs = numel / l.outputs;

    if (node->id == INFER_OP_FC && !node->param.fc.w_rows_are_n) {
        l.output = 1;
        l.input = l.outputs;

    } else {
        l.output = l.inputs;
        l.input = 1;
    }

    return l;
}


/* Constants lie in a file at any address. */
static float
float_at(const infer_value_t *v, size_t i)
{
    float  x;

    memcpy(&x, (const unsigned char *) v->data + i * sizeof(x), sizeof(x));

    return x;
}


float
infer_operand_at(const infer_node_t *node, int operand, size_t o,
    float otherwise)
{
    return operand < node->n_in && node->in[operand] != NULL
           ? float_at(node->in[operand], o) : otherwise;
}


float
infer_weight_at(const infer_weight_view_t *l, const infer_node_t *node,
    size_t o, size_t k)
{
    return float_at(node->in[INFER_IN_WEIGHTS], o * l->output + k * l->input)
           * infer_operand_at(node, INFER_IN_SCALE, o, 1);
}
