/*
 * The pass for integers: convolutions and fully connected layers on bytes,
 * and sums, products and averages of bytes.
 */

#include <math.h>
#include <string.h>

#include "ops/op.h"
#include "passes/integer.h"


/* Operands, as ops/param.h orders them. */
enum { X, WEIGHTS, BIAS, SCALE, RESIDUAL, FLOAT_OPERANDS,
       X_SCALE = FLOAT_OPERANDS, X_ZERO, OPERANDS };

/* An average of so many bytes has a sum that fits in i32. */
#define MAX_AVERAGE  ((int64_t) 1 << 23)


static int weights_of(infer_lowering_t *l, const infer_node_t *node,
    int channel, infer_value_t **in);
static infer_value_t *scales_of(infer_lowering_t *l,
    const infer_node_t *node, int64_t n, float x_scale);
static float element(const infer_value_t *v, int64_t i);
static infer_value_t *bias_of(infer_lowering_t *l, const infer_node_t *node,
    const infer_value_t *scale);
static int all_zero(const infer_value_t *v);
static int fits(const infer_value_t *q, int64_t depth);
static int x_of(infer_lowering_t *l, const infer_node_t *node,
    infer_value_t **in);
static int emit_product(infer_lowering_t *l, const infer_node_t *node,
    infer_param_t *param, infer_requantize_t *end, infer_value_t **in);
static int emit_closed(infer_lowering_t *l, const infer_node_t *node,
    infer_op_id_t op, const infer_param_t *param, infer_value_t **in,
    int n_in, const infer_node_t *closing);
static int add_residual(infer_lowering_t *l, const infer_node_t *node,
    infer_value_t *y, infer_unary_t act);
static int whole_picture(const infer_node_t *node, infer_window_t *w);


int
infer_lower_product(infer_lowering_t *l, const infer_node_t *node)
{
    int                 rc;
    infer_param_t       param;
    infer_value_t      *in[OPERANDS];
    infer_byte_view_t  *x = &l->view[node->in[X]->id];

    memset(&param, 0, sizeof(param));
    memset(in, 0, sizeof(in));

    if (x->q == NULL || (!x->linear && x->scale == NULL)) {
        return 0;
    }

    if (node->id == INFER_OP_CONV) {
        rc = x->linear ? weights_of(l, node, 0, in) : 0;
        param.qconv.window = node->param.conv.window;
        param.qconv.groups = node->param.conv.groups;
        param.qconv.zero = x->as.zero;
        param.qconv.end.act = node->param.conv.act;

    } else {
        rc = weights_of(l, node, !node->param.fc.w_rows_are_n, in);
        param.qfc.w_rows_are_n = node->param.fc.w_rows_are_n;
        param.qfc.zero = x->linear ? x->as.zero : 0;
        param.qfc.end.act = node->param.fc.act;
    }

    rc = rc == 1 ? x_of(l, node, in) : rc;

    if (rc != 1) {
        return rc;
    }

    return emit_product(l, node, &param,
                        node->id == INFER_OP_CONV ? &param.qconv.end
                                                  : &param.qfc.end, in);
}


/*
 * Weights, bias and scales of node, whose weights' dimension `channel` is that
 * of the results, into in[].  1, 0 where they do not suit, -1.
 */
static int
weights_of(infer_lowering_t *l, const infer_node_t *node, int channel,
    infer_value_t **in)
{
    int64_t                   n, depth;
    infer_dim_t               numel;
    infer_value_t            *part[2];
    const infer_value_t      *w = node->in[WEIGHTS];
    infer_byte_view_t        *x = &l->view[node->in[X]->id];
    const infer_quantized_t  *was = w->quantized;

    if (was == NULL || was->q->dtype == INFER_I32
        || infer_value_numel(w, &numel) != 0 || numel.base == 0
        || (!infer_value_is_one(was->scale) && was->axis != channel))
    {
        return 0;
    }

    n = w->dim[channel].base;
    depth = numel.base / n;

    if (depth > INFER_MAX_DEPTH) {
        return 0;
    }

    if (infer_weights_i8(l->g, was->q, was->zero, channel, part) != 0) {
        return -1;
    }

    if (part[1] != NULL) {
        return 0;
    }

    in[WEIGHTS] = part[0];
    in[SCALE] = scales_of(l, node, n, x->linear ? x->as.scale : 1);
    if (in[SCALE] == NULL) {
        return -1;
    }

    if (node->n_in > BIAS && node->in[BIAS] != NULL) {
        in[BIAS] = x->linear ? bias_of(l, node, in[SCALE]) : node->in[BIAS];

        if (in[BIAS]->dtype == INFER_I32 && !fits(in[BIAS], depth)) {
            in[BIAS] = node->in[BIAS];
        }
    }

    return 1;
}


/* For each result: x's scale times the weights', times the node's own. */
static infer_value_t *
scales_of(infer_lowering_t *l, const infer_node_t *node, int64_t n,
    float x_scale)
{
    float                *scale;
    const infer_value_t  *own, *w;

    scale = infer_graph_alloc(l->g, (size_t) n * sizeof(float));
    if (scale == NULL) {
        return NULL;
    }

    w = node->in[WEIGHTS]->quantized->scale;
    own = node->n_in > SCALE ? node->in[SCALE] : NULL;

    for (int64_t i = 0; i < n; i++) {
        scale[i] = x_scale * element(w, infer_value_is_one(w) ? 0 : i);

        if (own != NULL) {
            scale[i] *= element(own, i);
        }
    }

    return infer_graph_constant(l->g, NULL, INFER_F32, 1, &n, scale);
}


static float
element(const infer_value_t *v, int64_t i)
{
    float  x;

    memcpy(&x, (const char *) v->data + (size_t) i * sizeof(x), sizeof(x));

    return x;
}


/* The bias as the integers that it was, where they have the scale of the
   sums; otherwise as it is. */
static infer_value_t *
bias_of(infer_lowering_t *l, const infer_node_t *node,
    const infer_value_t *scale)
{
    float                     s;
    infer_param_t             param;
    infer_value_t            *bias = node->in[BIAS], *q;
    const infer_quantized_t  *was = bias->quantized;

    if (was == NULL || was->q->dtype != INFER_I32
        || (was->zero != NULL && !all_zero(was->zero)))
    {
        return bias;
    }

    for (int64_t i = 0; i < scale->dim[0].base; i++) {
        s = element(was->scale, infer_value_is_one(was->scale) ? 0 : i);

        if (!(fabsf(s - element(scale, i)) <= 1e-6f * element(scale, i))) {
            return bias;
        }
    }

    memset(&param, 0, sizeof(param));
    param.shape.rank = 1;
    param.shape.dim[0] = scale->dim[0];

    q = (infer_value_t *) was->q;
    q = infer_graph_emit1(l->g, INFER_OP_RESHAPE, &param, bias->name, &q, 1);

    return q != NULL ? q : bias;
}


static int
all_zero(const infer_value_t *v)
{
    size_t                size;
    infer_dim_t           n;
    const unsigned char  *data = v->data;

    size = infer_value_numel(v, &n) == 0
           ? (size_t) n.base * infer_dtype_size(v->dtype) : 0;

    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            return 0;
        }
    }

    return 1;
}


/* Whether no sum of so many products can overflow from this bias on. */
static int
fits(const infer_value_t *q, int64_t depth)
{
    int32_t  x;
    int64_t  room = INT32_MAX - depth * 255 * 128;

    for (int64_t i = 0; i < q->dim[0].base; i++) {
        memcpy(&x, (const char *) q->data + (size_t) i * sizeof(x),
               sizeof(x));

        if (x > room || x < -room) {
            return 0;
        }
    }

    return 1;
}


/* The bytes of x, and scale and zero point of its rows where they are
   computed.  1 or -1. */
static int
x_of(infer_lowering_t *l, const infer_node_t *node, infer_value_t **in)
{
    infer_byte_view_t  *x = &l->view[node->in[X]->id];

    in[X] = x->q;

    if (x->linear) {
        return 1;
    }

    in[X_SCALE] = infer_graph_rows(l->g, x->scale, x->q);
    in[X_ZERO] = infer_graph_rows(l->g, x->zero, x->q);

    return in[X_SCALE] != NULL && in[X_ZERO] != NULL ? 1 : -1;
}


static int
emit_product(infer_lowering_t *l, const infer_node_t *node,
    infer_param_t *param, infer_requantize_t *end, infer_value_t **in)
{
    infer_unary_t        act = end->act;
    infer_value_t       *residual, *y;
    infer_byte_view_t   *r;
    const infer_node_t  *closing;

    residual = node->n_in > RESIDUAL ? node->in[RESIDUAL] : NULL;
    closing = infer_closing(l, node->out[0], &end->out);
    end->dtype = INFER_U8;

    if (residual != NULL) {
        r = &l->view[residual->id];

        if (r->q != NULL && r->linear) {
            in[RESIDUAL] = r->q;
            end->residual = r->as;

        } else {
            memset(&end->act, 0, sizeof(end->act));
            closing = NULL;
        }
    }

    if (closing == NULL) {
        end->dtype = INFER_F32;
        memset(&end->out, 0, sizeof(end->out));
    }

    if (residual == NULL || in[RESIDUAL] != NULL) {
        return emit_closed(l, node, node->id == INFER_OP_CONV
                           ? INFER_OP_QCONV : INFER_OP_QFC, param, in,
                           node->id == INFER_OP_CONV ? FLOAT_OPERANDS
                                                     : OPERANDS, closing);
    }

    y = infer_graph_emit1(l->g, node->id == INFER_OP_CONV ? INFER_OP_QCONV
                                                          : INFER_OP_QFC,
                          param, node->name, in,
                          node->id == INFER_OP_CONV ? FLOAT_OPERANDS
                                                    : OPERANDS);

    return y == NULL ? -1 : add_residual(l, node, y, act);
}


/* A residual of floats is added by a node of its own. */
static int
add_residual(infer_lowering_t *l, const infer_node_t *node,
    infer_value_t *y, infer_unary_t act)
{
    infer_param_t   param;
    infer_value_t  *in[2];

    memset(&param, 0, sizeof(param));
    param.binary.kind = INFER_ADD;
    param.binary.act = act;

    in[0] = y;
    in[1] = infer_lowered(l, node->in[RESIDUAL]);

    return in[1] == NULL ? -1
           : emit_closed(l, node, INFER_OP_BINARY, &param, in, 2, NULL);
}


/* The result is node's own, or that of the quantize node behind it. */
static int
emit_closed(infer_lowering_t *l, const infer_node_t *node, infer_op_id_t op,
    const infer_param_t *param, infer_value_t **in, int n_in,
    const infer_node_t *closing)
{
    infer_value_t  *y;

    y = infer_graph_emit1(l->g, op, param, node->name, in, n_in);
    if (y == NULL) {
        return -1;
    }

    if (closing != NULL) {
        infer_closed(l, closing, y);

    } else {
        y->name = node->out[0]->name;
        l->view[node->out[0]->id].value = y;
    }

    return 1;
}


int
infer_lower_binary(infer_lowering_t *l, const infer_node_t *node)
{
    infer_param_t        param;
    infer_value_t       *in[2];
    infer_byte_view_t   *view[2];
    const infer_node_t  *closing;

    memset(&param, 0, sizeof(param));
    param.qbinary.kind = node->param.binary.kind;
    param.qbinary.act = node->param.binary.act;
    closing = infer_closing(l, node->out[0], &param.qbinary.out);

    if (closing == NULL
        || (param.qbinary.kind != INFER_ADD && param.qbinary.kind != INFER_SUB
            && param.qbinary.kind != INFER_MUL))
    {
        return 0;
    }

    for (int i = 0; i < 2; i++) {
        view[i] = infer_byte_view(l, node->in[i]);

        if (view[i]->q == NULL || !view[i]->linear) {
            return 0;
        }

        in[i] = view[i]->q;
    }

    param.qbinary.a = view[0]->as;
    param.qbinary.b = view[1]->as;

    return emit_closed(l, node, INFER_OP_QBINARY, &param, in, 2, closing);
}


/* Average pools, and means over all pixels of channels-last pictures. */
int
infer_lower_average(infer_lowering_t *l, const infer_node_t *node)
{
    infer_param_t        param, shape;
    infer_value_t       *x;
    infer_byte_view_t   *view = &l->view[node->in[0]->id];
    const infer_node_t  *closing;

    memset(&param, 0, sizeof(param));
    closing = infer_closing(l, node->out[0], &param.qpool.out);

    if (closing == NULL || view->q == NULL || !view->linear) {
        return 0;
    }

    x = view->q;
    param.qpool.in = view->as;

    if (node->id == INFER_OP_POOL) {
        if (!node->param.pool.average) {
            return 0;
        }

        param.qpool.window = node->param.pool.window;
        param.qpool.count_include_pad = node->param.pool.count_include_pad;
        param.qpool.ceil = node->param.pool.ceil;

        return emit_closed(l, node, INFER_OP_QPOOL, &param, &x, 1, closing);
    }

    if (!whole_picture(node, &param.qpool.window)) {
        return 0;
    }

    x = infer_graph_emit1(l->g, INFER_OP_QPOOL, &param, node->name, &x, 1);
    if (x == NULL) {
        return -1;
    }

    memset(&shape, 0, sizeof(shape));
    shape.shape.rank = node->out[0]->rank;
    memcpy(shape.shape.dim, node->out[0]->dim, sizeof(shape.shape.dim));

    return emit_closed(l, node, INFER_OP_RESHAPE, &shape, &x, 1, closing);
}


static int
whole_picture(const infer_node_t *node, infer_window_t *w)
{
    int                   rank, k;
    int64_t               n = 1;
    const infer_value_t  *x = node->in[0];

    rank = x->rank;

    if (node->param.reduce.kind != INFER_REDUCE_MEAN || rank < 3 || rank > 5
        || node->param.reduce.axes != (1u << (rank - 1)) - 2)
    {
        return 0;
    }

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        w->before[i] = w->after[i] = 0;
    }

    for (int i = 1; i < rank - 1; i++) {
        k = 3 - (rank - 1) + i;

        if (x->dim[i].batch != 0 || x->dim[i].base < 1
            || x->dim[i].base > MAX_AVERAGE)
        {
            return 0;
        }

        w->kernel[k] = (int32_t) x->dim[i].base;
        n *= w->kernel[k];

        if (n > MAX_AVERAGE) {
            return 0;
        }
    }

    return 1;
}
