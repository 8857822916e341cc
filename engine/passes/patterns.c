/*
 * What exporters spell out in many nodes, found from its last node backwards
 * and replaced by the one operator that it is.  The nodes that are left
 * without use go in the next sweep.
 */

#include <math.h>
#include <string.h>

#include "ops/op.h"
#include "passes/passes.h"


static int find_gated(infer_node_t *node);
static int find_gelu(infer_node_t *node);
static int find_layernorm(infer_graph_t *g, infer_node_t *node);
static int find_scaled_matmul(infer_node_t *node);
static void absorb_factor(infer_node_t *matmul, int operand);
static const infer_node_t *made_by(const infer_value_t *v, infer_op_id_t id,
    int kind);
static infer_value_t *beside_scalar(const infer_node_t *node, double x,
    double tolerance);
static void become_unary(infer_node_t *node, int kind, infer_value_t *x);


int
infer_pass_patterns(infer_graph_t *g)
{
    infer_node_t  *node;

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        if (node->id == INFER_OP_MATMUL
            && node->out[0]->dtype == INFER_F32)
        {
            absorb_factor(node, 0);
            absorb_factor(node, 1);
        }

        if (node->id != INFER_OP_BINARY
            || node->out[0]->dtype != INFER_F32
            || node->param.binary.act.kind != INFER_NONE)
        {
            continue;
        }

        if (find_gated(node) || find_gelu(node) || find_scaled_matmul(node)) {
            continue;
        }

        if (find_layernorm(g, node) == -1) {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


/* x * sigmoid(x), x * hardsigmoid(x) with slope 1/6 and offset 1/2 */
static int
find_gated(infer_node_t *node)
{
    infer_value_t       *x;
    const infer_node_t  *gate;

    if (node->param.binary.kind != INFER_MUL) {
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        x = node->in[i];

        gate = made_by(node->in[1 - i], INFER_OP_UNARY, INFER_SIGMOID);
        if (gate != NULL && gate->in[0] == x) {
            become_unary(node, INFER_SILU, x);
            return 1;
        }

        gate = made_by(node->in[1 - i], INFER_OP_UNARY, INFER_HARDSIGMOID);
        if (gate != NULL && gate->in[0] == x
            && fabs(gate->param.unary.a - 1.0 / 6) < 1e-6
            && gate->param.unary.b == 0.5f)
        {
            become_unary(node, INFER_HARDSWISH, x);
            return 1;
        }
    }

    return 0;
}


/*
 * GELU, https://arxiv.org/abs/1606.08415, as PyTorch exports it:
 * (x * (erf(x / sqrt(2)) + 1)) * 0.5
 */
static int
find_gelu(infer_node_t *node)
{
    infer_value_t       *x;
    const infer_node_t  *mul, *add, *erf, *div;

    if (node->param.binary.kind != INFER_MUL) {
        return 0;
    }

    x = beside_scalar(node, 0.5, 0);
    mul = x != NULL ? made_by(x, INFER_OP_BINARY, INFER_MUL) : NULL;
    if (mul == NULL) {
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        x = mul->in[i];

        add = made_by(mul->in[1 - i], INFER_OP_BINARY, INFER_ADD);
        if (add == NULL || beside_scalar(add, 1, 0) == NULL) {
            continue;
        }

        erf = made_by(beside_scalar(add, 1, 0), INFER_OP_UNARY, INFER_ERF);
        if (erf == NULL) {
            continue;
        }

        div = made_by(erf->in[0], INFER_OP_BINARY, INFER_DIV);
        if (div != NULL && div->in[0] == x
            && beside_scalar(div, M_SQRT2, 1e-6) == x)
        {
            become_unary(node, INFER_GELU, x);
            return 1;
        }

        div = made_by(erf->in[0], INFER_OP_BINARY, INFER_MUL);
        if (div != NULL && beside_scalar(div, M_SQRT1_2, 1e-6) == x) {
            become_unary(node, INFER_GELU, x);
            return 1;
        }
    }

    return 0;
}


/*
 * d = x - mean(x); d / sqrt(mean(d ^ 2) + epsilon) * scale + bias, the means
 * over the last dimension.
 */
static int
find_layernorm(infer_graph_t *g, infer_node_t *node)
{
    double               epsilon;
    infer_value_t       *x, *d, *scale, *bias, **in;
    const infer_node_t  *mul, *div, *sub, *mean, *sqr, *add, *pow2;

    if (node->param.binary.kind != INFER_ADD) {
        return 0;
    }

    bias = node->in[1];
    mul = made_by(node->in[0], INFER_OP_BINARY, INFER_MUL);
    scale = mul != NULL ? mul->in[1] : NULL;
    div = mul != NULL ? made_by(mul->in[0], INFER_OP_BINARY, INFER_DIV)
                      : NULL;
    if (div == NULL) {
        return 0;
    }

    d = div->in[0];
    sub = made_by(d, INFER_OP_BINARY, INFER_SUB);
    sqr = made_by(div->in[1], INFER_OP_UNARY, INFER_SQRT);
    if (sub == NULL || sqr == NULL) {
        return 0;
    }

    x = sub->in[0];
    mean = made_by(sub->in[1], INFER_OP_REDUCE, INFER_REDUCE_MEAN);
    add = made_by(sqr->in[0], INFER_OP_BINARY, INFER_ADD);

    if (mean == NULL || mean->in[0] != x || add == NULL
        || mean->param.reduce.axes != 1u << (x->rank - 1)
        || !infer_value_scalar(add->in[1], &epsilon))
    {
        return 0;
    }

    mean = made_by(add->in[0], INFER_OP_REDUCE, INFER_REDUCE_MEAN);
    pow2 = mean != NULL ? made_by(mean->in[0], INFER_OP_BINARY, INFER_POW)
                        : NULL;

    if (pow2 == NULL || pow2->in[0] != d || beside_scalar(pow2, 2, 0) != d
        || mean->param.reduce.axes != 1u << (x->rank - 1)
        || scale->data == NULL || scale->rank != 1
        || bias->data == NULL || bias->rank != 1
        || !infer_dim_equal(scale->dim[0], x->dim[x->rank - 1])
        || !infer_dim_equal(bias->dim[0], x->dim[x->rank - 1]))
    {
        return 0;
    }

    in = infer_graph_alloc(g, 3 * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    in[0] = x;
    in[1] = scale;
    in[2] = bias;

    memset(&node->param, 0, sizeof(node->param));
    node->id = INFER_OP_LAYERNORM;
    node->op = infer_op_table[INFER_OP_LAYERNORM];
    node->param.layernorm.axis = x->rank - 1;
    node->param.layernorm.epsilon = (float) epsilon;
    node->in = in;
    node->n_in = 3;

    return 1;
}


/* (a @ b) * constant and (a @ b) / constant */
static int
find_scaled_matmul(infer_node_t *node)
{
    double          x;
    infer_node_t   *matmul;
    infer_value_t  *product;

    if (node->param.binary.kind != INFER_MUL
        && node->param.binary.kind != INFER_DIV)
    {
        return 0;
    }

    product = node->in[0];

    if (made_by(product, INFER_OP_MATMUL, 0) == NULL || product->uses != 1
        || !infer_value_scalar(node->in[1], &x)
        || node->in[1]->rank > product->rank || x == 0)
    {
        return 0;
    }

    matmul = product->producer;
    matmul->param.matmul.alpha *= node->param.binary.kind == INFER_MUL
                                  ? (float) x : (float) (1 / x);
    infer_node_take(matmul, node);

    return 1;
}


/* x * c or x / c as an operand, moved about or not; c is one number. */
static void
absorb_factor(infer_node_t *matmul, int operand)
{
    int              divided;
    double           x;
    infer_node_t    *node;
    infer_value_t  **v = &matmul->in[operand];

    for (node = (*v)->producer; node != NULL && (*v)->uses == 1;
         node = (*v)->producer)
    {
        if (node->id == INFER_OP_TRANSPOSE || node->id == INFER_OP_RESHAPE) {
            v = &node->in[0];
            continue;
        }

        divided = node->param.binary.kind == INFER_DIV;

        if (node->id != INFER_OP_BINARY
            || (node->param.binary.kind != INFER_MUL && !divided)
            || node->param.binary.act.kind != INFER_NONE
            || !infer_value_scalar(node->in[1], &x) || x == 0
            || node->in[0]->rank != (*v)->rank)
        {
            return;
        }

        matmul->param.matmul.alpha *= divided ? (float) (1 / x) : (float) x;
        *v = node->in[0];
    }
}


/* The node that computes v, if it is of this operator and kind. */
static const infer_node_t *
made_by(const infer_value_t *v, infer_op_id_t id, int kind)
{
    const infer_node_t  *node;

    node = v->producer;

    if (node == NULL || node->id != id) {
        return NULL;
    }

    switch (id) {

    case INFER_OP_UNARY:
        return node->param.unary.kind == kind ? node : NULL;

    case INFER_OP_REDUCE:
        return node->param.reduce.kind == kind && node->param.reduce.keepdims
               ? node : NULL;

    case INFER_OP_BINARY:
        return node->param.binary.kind == kind
               && node->param.binary.act.kind == INFER_NONE ? node : NULL;

    default:
        return node;
    }
}


/* The operand of a binary node whose other operand is the constant x. */
static infer_value_t *
beside_scalar(const infer_node_t *node, double x, double tolerance)
{
    double  y;

    for (int i = 0; i < 2; i++) {
        if (infer_value_scalar(node->in[i], &y) && fabs(x - y) <= tolerance) {
            return node->in[1 - i];
        }
    }

    return NULL;
}


int
infer_value_scalar(const infer_value_t *v, double *x)
{
    float        f;
    infer_dim_t  n;

    if (v->data == NULL || v->dtype != INFER_F32
        || infer_value_numel(v, &n) != 0 || !infer_dim_is(n, 1))
    {
        return 0;
    }

    memcpy(&f, v->data, sizeof(float));
    *x = f;

    return 1;
}


static void
become_unary(infer_node_t *node, int kind, infer_value_t *x)
{
    memset(&node->param, 0, sizeof(node->param));
    node->id = INFER_OP_UNARY;
    node->op = infer_op_table[INFER_OP_UNARY];
    node->param.unary.kind = kind;
    node->in[0] = x;
    node->n_in = 1;
}
