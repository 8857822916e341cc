/*
 * Quantization of a float graph, by what calibration has seen of its values:
 * products (conv, fc) read 8 bits, and so does what joins them (additions,
 * pools, concatenations, ...) where it stands between products.  A value that
 * is to be 8 bits gets a pair of Quantize and Dequantize behind it, weights
 * and biases become dequantized constants: all operators are float still, and
 * the pass for integer operators, which serves quantized models of every
 * source, takes it from there.
 */

#include <stdlib.h>
#include <string.h>

#include "ops/op.h"
#include "ops/product.h"
#include "passes/passes.h"
#include "passes/weights.h"


/* What an operator between products can be. */
typedef enum {
    FLOAT = 0,
    COMPUTES,                     /* new numbers, a scale of their own */
    MOVES                         /* the same numbers, the same scale */
} joiner_t;

typedef struct {
    infer_graph_t               *g;
    const infer_quantization_t  *q;
    size_t                       n_nodes;   /* of the float graph */
    size_t                       n_values;
    unsigned char               *chosen;    /* by node: computes in integers */

    /* by id of a value of the float graph */
    const infer_statistics_t   **seen;      /* NULL: nothing */
    infer_node_t               **producer;
    uint32_t                    *group;     /* values of one scale: a tree */
    unsigned char               *inner;     /* is to be 8 bits */
    infer_affine_scale_t        *meaning;   /* of the group's root */
    infer_value_t              **dequantized;
} pass_t;


static int prepare(pass_t *p);
static int look_up(pass_t *p);
static void choose(pass_t *p);
static int choose_product(const pass_t *p, const infer_node_t *node);
static joiner_t joiner(const infer_node_t *node);
static int is_picture_mean(const infer_node_t *node);
static int known(const pass_t *p, const infer_value_t *v);
static int joinable(const pass_t *p, const infer_node_t *node);
static int reads(const infer_node_t *node, int k);
static void unite(pass_t *p);
static uint32_t root(const pass_t *p, uint32_t id);
static int make_scales(pass_t *p);
static int emit_pairs(pass_t *p);
static int emit_pair(pass_t *p, infer_value_t *v);
static int rewire(pass_t *p);
static int quantize_product(pass_t *p, infer_node_t *node);
static infer_value_t *dequantize(infer_graph_t *g, const char *name,
    infer_value_t *x, infer_value_t *scale, infer_value_t *zero, int axis);


int
infer_pass_quantize(infer_graph_t *g, const infer_quantization_t *q)
{
    pass_t  p = { .g = g, .q = q };

    if (q->dynamic) {
        return infer_pass_quantize_dynamic(g);
    }

    if (q->n != g->n_inputs + g->n_nodes) {
        return infer_graph_fail(g, "was calibrated as another model");
    }

    if (prepare(&p) != 0 || look_up(&p) != 0) {
        return -1;
    }

    choose(&p);
    unite(&p);

    if (make_scales(&p) != 0 || emit_pairs(&p) != 0 || rewire(&p) != 0) {
        return -1;
    }

    return infer_pass_sweep(g);
}


static int
prepare(pass_t *p)
{
    size_t          n;
    infer_graph_t  *g = p->g;

    p->n_nodes = g->n_nodes;
    p->n_values = n = g->n_values;

    p->chosen = infer_graph_alloc(g, g->n_nodes + 1);
    p->seen = infer_graph_alloc(g, n * sizeof(*p->seen));
    p->producer = infer_graph_alloc(g, n * sizeof(*p->producer));
    p->group = infer_graph_alloc(g, n * sizeof(*p->group));
    p->inner = infer_graph_alloc(g, n);
    p->meaning = infer_graph_alloc(g, n * sizeof(*p->meaning));
    p->dequantized = infer_graph_alloc(g, n * sizeof(*p->dequantized));

    if (p->chosen == NULL || p->seen == NULL || p->producer == NULL
        || p->group == NULL || p->inner == NULL || p->meaning == NULL
        || p->dequantized == NULL)
    {
        return -1;
    }

    for (size_t i = 0; i < n; i++) {
        p->group[i] = (uint32_t) i;
    }

    return 0;
}


/* Which statistics are whose.  A model that is quantized is left alone. */
static int
look_up(pass_t *p)
{
    infer_node_t               *node;
    const infer_graph_t        *g = p->g;
    const infer_statistics_t   *s = p->q->value;

    for (size_t i = 0; i < g->n_inputs; i++) {
        p->seen[g->input[i].value->id] = s++;
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];
        p->seen[node->out[0]->id] = s++;

        for (int k = 0; k < node->n_out; k++) {
            p->producer[node->out[k]->id] = node;
        }

        if (node->id == INFER_OP_QUANTIZE || node->id == INFER_OP_DEQUANTIZE
            || node->id == INFER_OP_DYNAMIC_QUANTIZE)
        {
            return infer_graph_fail(p->g, "is quantized already");
        }
    }

    return 0;
}


/* ---- which nodes ------------------------------------------------------ */

/*
 * Products that can be; then, of what all comes from those, what goes to
 * those.
 */
static void
choose(pass_t *p)
{
    int             used;
    infer_node_t   *node;
    infer_graph_t  *g = p->g;

    for (size_t i = 0; i < p->n_nodes; i++) {
        p->chosen[i] = (unsigned char) (choose_product(p, g->node[i])
                                        || joinable(p, g->node[i]));
    }

    for (size_t i = p->n_nodes; i-- > 0; /* void */) {
        node = g->node[i];

        if (p->chosen[i] && joiner(node) != FLOAT) {
            used = 0;

            for (int k = 0; k < node->n_out; k++) {
                used |= p->inner[node->out[k]->id];
            }

            p->chosen[i] = (unsigned char) used;
        }

        for (int k = 0; p->chosen[i] && k < node->n_in; k++) {
            if (reads(node, k)) {
                p->inner[node->in[k]->id] = 1;
            }
        }
    }
}


static int
choose_product(const pass_t *p, const infer_node_t *node)
{
    if (!infer_weights_fit(node)
        || (p->q->keep != NULL
            && p->q->keep[p->g->n_inputs + node->index]))
    {
        return 0;
    }

    for (int k = 0; k < node->n_in; k++) {
        if (reads(node, k) && !known(p, node->in[k])) {
            return 0;
        }
    }

    return 1;
}


/* Whether operand k is one that would be 8 bits. */
static int
reads(const infer_node_t *node, int k)
{
    return node->in[k] != NULL
           && (k == INFER_IN_X || k == INFER_IN_RESIDUAL
               || joiner(node) != FLOAT);
}


static int
known(const pass_t *p, const infer_value_t *v)
{
    const infer_statistics_t  *s = p->seen[v->id];

    return v->dtype == INFER_F32 && v->data == NULL && s != NULL
           && s->lo <= s->hi;
}


static int
joinable(const pass_t *p, const infer_node_t *node)
{
    const infer_node_t  *producer;

    if (joiner(node) == FLOAT || !known(p, node->out[0])
        || (p->q->keep != NULL
            && p->q->keep[p->g->n_inputs + node->index]))
    {
        return 0;
    }

    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] == NULL || !known(p, node->in[k])) {
            return 0;
        }

        producer = p->producer[node->in[k]->id];

        if (producer == NULL || !p->chosen[producer->index]) {
            return 0;
        }
    }

    return 1;
}


static joiner_t
joiner(const infer_node_t *node)
{
    if (node->n_in < 1 || node->n_out != 1) {
        return FLOAT;
    }

    switch (node->id) {

    case INFER_OP_BINARY:
        return node->param.binary.kind == INFER_ADD
               || node->param.binary.kind == INFER_SUB
               || node->param.binary.kind == INFER_MUL ? COMPUTES : FLOAT;

    case INFER_OP_UNARY:
        return COMPUTES;

    case INFER_OP_POOL:
        return node->param.pool.indices ? FLOAT
               : node->param.pool.average ? COMPUTES : MOVES;

    case INFER_OP_REDUCE:
        return is_picture_mean(node) ? COMPUTES : FLOAT;

    case INFER_OP_RESIZE:
        return node->param.resize.mode == INFER_RESIZE_NEAREST ? MOVES
                                                               : FLOAT;

    case INFER_OP_CONCAT:
    case INFER_OP_RESHAPE:
    case INFER_OP_TRANSPOSE:
    case INFER_OP_SLICE:
        return MOVES;

    default:
        return FLOAT;
    }
}


/* A mean over all dimensions but the first and the last. */
static int
is_picture_mean(const infer_node_t *node)
{
    int                    rank = node->in[0]->rank;
    const infer_reduce_t  *r = &node->param.reduce;

    return r->kind == INFER_REDUCE_MEAN && rank >= 3 && rank <= 5
           && r->axes == ((uint32_t) 1 << (rank - 1)) - 2;
}


/* ---- scales ----------------------------------------------------------- */

/* What moves numbers has one scale on all sides. */
static void
unite(pass_t *p)
{
    uint32_t             out;
    const infer_node_t  *node;

    for (size_t i = 0; i < p->n_nodes; i++) {
        node = p->g->node[i];

        if (!p->chosen[i] || joiner(node) != MOVES) {
            continue;
        }

        out = root(p, node->out[0]->id);

        for (int k = 0; k < node->n_in; k++) {
            p->group[root(p, node->in[k]->id)] = out;
        }
    }
}


static uint32_t
root(const pass_t *p, uint32_t id)
{
    while (p->group[id] != id) {
        id = p->group[id];
    }

    return id;
}


/* A group's range is that of all its values. */
static int
make_scales(pass_t *p)
{
    float                 *lo, *hi, scale;
    uint32_t               r;
    infer_affine_scale_t  *m;

    lo = infer_graph_alloc(p->g, p->n_values * sizeof(float));
    hi = infer_graph_alloc(p->g, p->n_values * sizeof(float));

    if (lo == NULL || hi == NULL) {
        return -1;
    }

    for (size_t i = 0; i < p->n_values; i++) {
        if (p->inner[i]) {
            r = root(p, (uint32_t) i);
            lo[r] = p->seen[i]->lo < lo[r] ? p->seen[i]->lo : lo[r];
            hi[r] = p->seen[i]->hi > hi[r] ? p->seen[i]->hi : hi[r];
        }
    }

    for (size_t i = 0; i < p->n_values; i++) {
        m = &p->meaning[i];
        scale = hi[i] / 255 - lo[i] / 255;

        /* nothing but zeros, or nearly */
        m->scale = scale > 1e-30f ? scale : 1;
        m->zero = scale > 1e-30f
                  ? (int32_t) __builtin_rintf(-lo[i] / scale) : 0;
        m->zero = m->zero > 255 ? 255 : m->zero;
    }

    return 0;
}


/* ---- the new graph ---------------------------------------------------- */

/*
 * Nodes are appended where the graph grows, and sorted afterwards by what
 * they have in `index`: behind the producer of what they quantize.
 */
static int
emit_pairs(pass_t *p)
{
    size_t          first, behind;
    infer_graph_t  *g = p->g;

    for (size_t i = 0; i < p->n_values; i++) {
        if (!p->inner[i]) {
            continue;
        }

        first = g->n_nodes;
        behind = p->producer[i] != NULL ? p->producer[i]->index + 1 : 0;

        if (emit_pair(p, g->value[i]) != 0) {
            return -1;
        }

        for (size_t k = first; k < g->n_nodes; k++) {
            g->node[k]->index = behind;
        }
    }

    return 0;
}


static int
emit_pair(pass_t *p, infer_value_t *v)
{
    uint8_t                     *zero;
    infer_param_t                param;
    infer_value_t               *in[3];
    const char                  *name;
    infer_graph_t               *g = p->g;
    const infer_affine_scale_t  *m = &p->meaning[root(p, v->id)];

    name = p->producer[v->id] != NULL ? p->producer[v->id]->name : v->name;

    zero = infer_graph_alloc(g, 1);
    if (zero == NULL) {
        return -1;
    }

    *zero = (uint8_t) m->zero;

    in[0] = v;
    in[1] = infer_graph_scalar(g, m->scale);
    in[2] = infer_graph_constant(g, NULL, INFER_U8, 0, NULL, zero);

    if (in[1] == NULL || in[2] == NULL) {
        return -1;
    }

    memset(&param, 0, sizeof(param));
    param.quantize.dtype = INFER_U8;

    in[0] = infer_graph_emit1(g, INFER_OP_QUANTIZE, &param, name, in, 3);
    if (in[0] == NULL) {
        return -1;
    }

    p->dequantized[v->id] = dequantize(g, name, in[0], in[1], in[2], 0);

    return p->dequantized[v->id] != NULL ? 0 : -1;
}


static infer_value_t *
dequantize(infer_graph_t *g, const char *name, infer_value_t *x,
    infer_value_t *scale, infer_value_t *zero, int axis)
{
    infer_param_t   param;
    infer_value_t  *in[3] = { x, scale, zero };

    memset(&param, 0, sizeof(param));
    param.quantize.axis = axis;
    param.quantize.dtype = INFER_F32;

    return infer_graph_emit1(g, INFER_OP_DEQUANTIZE, &param, name, in, 3);
}


/*
 * A value that an integer operator computes is 8 bits for whoever reads it;
 * one that a float operator computes, for integer operators alone.
 */
static int
rewire(pass_t *p)
{
    infer_node_t         *node;
    infer_graph_t        *g = p->g;
    const infer_value_t  *v;
    const infer_node_t   *producer;

    for (size_t i = 0; i < p->n_nodes; i++) {
        node = g->node[i];

        if (p->chosen[i] && joiner(node) == FLOAT
            && quantize_product(p, node) != 0)
        {
            return -1;
        }

        for (int k = 0; k < node->n_in; k++) {
            v = node->in[k];

            if (v == NULL || v->id >= p->n_values || !p->inner[v->id]) {
                continue;
            }

            producer = p->producer[v->id];

            if (p->chosen[i]
                || (producer != NULL && p->chosen[producer->index]))
            {
                node->in[k] = p->dequantized[v->id];
            }
        }
    }

    return infer_pass_insert(g, p->n_nodes);
}


/* Weights, scale and bias of a product become dequantized constants. */
static int
quantize_product(pass_t *p, infer_node_t *node)
{
    infer_graph_t             *g = p->g;
    infer_value_t             *scale;
    infer_quantized_weights_t  w;
    const infer_statistics_t  *x = p->seen[node->in[INFER_IN_X]->id];

    memset(&w, 0, sizeof(w));
    w.x_scale = p->meaning[root(p, node->in[INFER_IN_X]->id)].scale;

    if (p->q->correct_bias) {
        w.mean = x->mean;
        w.channels = x->channels;
    }

    if (infer_weights_quantize(g, node, &w) != 0) {
        return -1;
    }

    node->in[INFER_IN_WEIGHTS] = dequantize(g, node->name, w.weights, w.scale,
                                            NULL, w.axis);
    if (node->in[INFER_IN_WEIGHTS] == NULL) {
        return -1;
    }

    if (node->n_in > INFER_IN_SCALE) {
        node->in[INFER_IN_SCALE] = NULL;
    }

    if (w.bias == NULL) {
        return 0;
    }

    scale = infer_graph_constant(g, NULL, INFER_F32, 1, &w.n, w.bias_scale);
    scale = scale != NULL ? dequantize(g, node->name, w.bias, scale, NULL, 0)
                          : NULL;

    return scale != NULL ? infer_set_operand(g, node, INFER_IN_BIAS, scale)
                         : -1;
}
