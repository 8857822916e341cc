/*
 * Quantized tensors: how they come and go, and the operators of floats that
 * PyTorch also has for them.
 *
 * Such a tensor is the result of a dequantize node behind a quantize node.
 * What only moves elements leaves it as it is; what computes is followed by
 * another such pair, of the operand's scale or of one that the operator has
 * for itself.  One pass makes integer operators of that.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


typedef enum {
    MOVES = 0,                    /* the elements are those of the operand */
    COMPUTES,                     /* they are quantized as that is */
    HALF,                         /* to 0 .. 1 in 256 steps */
    FULL                          /* to -1 .. 1 in 256 steps */
} rule_t;


static const struct {
    const char  *name;
    rule_t       rule;
} rules[] = {
    { "view", MOVES }, { "view_as", MOVES }, { "reshape", MOVES },
    { "reshape_as", MOVES }, { "_unsafe_view", MOVES },
    { "flatten", MOVES }, { "unflatten", MOVES }, { "squeeze", MOVES },
    { "unsqueeze", MOVES }, { "permute", MOVES }, { "transpose", MOVES },
    { "swapaxes", MOVES }, { "swapdims", MOVES }, { "t", MOVES },
    { "numpy_T", MOVES }, { "expand", MOVES }, { "expand_as", MOVES },
    { "repeat", MOVES }, { "contiguous", MOVES }, { "detach", MOVES },
    { "alias", MOVES }, { "cpu", MOVES }, { "clone", MOVES },
    { "requires_grad_", MOVES }, { "slice", MOVES }, { "select", MOVES },
    { "narrow", MOVES }, { "chunk", MOVES }, { "split", MOVES },
    { "split_with_sizes", MOVES }, { "unbind", MOVES },
    { "index_select", MOVES }, { "roll", MOVES }, { "flip", MOVES },
    { "dropout", MOVES }, { "max_pool1d", MOVES }, { "max_pool2d", MOVES },
    { "max_pool3d", MOVES }, { "adaptive_max_pool2d", MOVES },
    { "upsample_nearest1d", MOVES }, { "upsample_nearest2d", MOVES },
    { "upsample_nearest3d", MOVES }, { "reflection_pad1d", MOVES },
    { "reflection_pad2d", MOVES }, { "replication_pad1d", MOVES },
    { "replication_pad2d", MOVES },
    { "cat", COMPUTES }, { "concat", COMPUTES }, { "stack", COMPUTES },
    { "pad", COMPUTES }, { "constant_pad_nd", COMPUTES },
    { "relu", COMPUTES }, { "relu6", COMPUTES }, { "hardtanh", COMPUTES },
    { "clamp", COMPUTES }, { "clip", COMPUTES }, { "clamp_min", COMPUTES },
    { "clamp_max", COMPUTES }, { "leaky_relu", COMPUTES },
    { "elu", COMPUTES }, { "mean", COMPUTES }, { "avg_pool1d", COMPUTES },
    { "avg_pool2d", COMPUTES }, { "avg_pool3d", COMPUTES },
    { "adaptive_avg_pool1d", COMPUTES }, { "adaptive_avg_pool2d", COMPUTES },
    { "adaptive_avg_pool3d", COMPUTES }, { "upsample_bilinear2d", COMPUTES },
    { "sigmoid", HALF }, { "hardsigmoid", HALF }, { "tanh", FULL }
};


static const torch_quantizer_t *first_quantizer(const torch_value_t *v);
static torch_value_t *apply_rule(torch_eval_t *t, torch_value_t *v,
    const torch_quantizer_t *q, rule_t rule);


/* ---- quantizers ------------------------------------------------------- */

const torch_quantizer_t *
aten_quantizer(torch_eval_t *t, double scale, double zero,
    infer_dtype_t dtype)
{
    int                 least;
    unsigned char      *byte;
    torch_quantizer_t  *q;

    least = dtype == INFER_I8 ? -128 : 0;

    if (!((float) scale > 0 && isfinite((float) scale))
        || !(zero >= least && zero <= least + 255))
    {
        torch_fail(t, "the scale %g or zero point %g of a quantized tensor "
                   "is out of range", scale, zero);
        return NULL;
    }

    q = infer_graph_alloc(t->g, sizeof(*q));
    byte = infer_graph_alloc(t->g, 1);

    if (q == NULL || byte == NULL) {
        return NULL;
    }

    *byte = (unsigned char) (int) zero;
    q->scale = infer_graph_scalar(t->g, (float) scale);
    q->zero = infer_graph_constant(t->g, NULL, dtype, 0, NULL, byte);

    return q->scale != NULL && q->zero != NULL ? q : NULL;
}


const torch_quantizer_t *
aten_quantizer_of(torch_eval_t *t, const torch_value_t *scale,
    const torch_value_t *zero, infer_dtype_t dtype)
{
    double   s = 1;
    int64_t  z = 0;

    return aten_double(t, scale, &s) == 0 && aten_int(t, zero, &z) == 0
           ? aten_quantizer(t, s, (double) z, dtype) : NULL;
}


double
aten_scale(const torch_quantizer_t *q)
{
    float  scale;

    memcpy(&scale, q->scale->data, sizeof(scale));

    return (double) scale;
}


int
aten_zero(const torch_quantizer_t *q)
{
    const unsigned char  *zero = q->zero->data;

    return q->zero->dtype == INFER_I8 ? (int8_t) *zero : *zero;
}


const torch_quantizer_t *
aten_quantizer_in(torch_eval_t *t, const torch_value_t *v)
{
    if (!aten_is_tensor(v) || v->quantizer == NULL) {
        torch_fail(t, "a %s is given where a quantized tensor is needed",
                   v == NULL ? "None" : torch_kind_name(v->kind));
        return NULL;
    }

    return v->quantizer;
}


/* ---- to and fro ------------------------------------------------------- */

static infer_value_t *
to_integers(torch_eval_t *t, infer_value_t *y, const torch_quantizer_t *q)
{
    infer_param_t   p;
    infer_value_t  *in[3];

    in[0] = y != NULL && q != NULL ? aten_cast(t, y, INFER_F32) : NULL;
    if (in[0] == NULL) {
        return NULL;
    }

    in[1] = q->scale;
    in[2] = q->zero;
    memset(&p, 0, sizeof(p));
    p.quantize.dtype = (int32_t) q->zero->dtype;

    return aten_emit(t, INFER_OP_QUANTIZE, &p, in, 3);
}


torch_value_t *
aten_quantized(torch_eval_t *t, infer_value_t *y, const torch_quantizer_t *q)
{
    infer_param_t   p;
    torch_value_t  *v;
    infer_value_t  *in[3];

    in[0] = to_integers(t, y, q);
    if (in[0] == NULL) {
        return NULL;
    }

    in[1] = q->scale;
    in[2] = q->zero;
    memset(&p, 0, sizeof(p));

    v = aten_new(t, aten_emit(t, INFER_OP_DEQUANTIZE, &p, in, 3));

    if (v != NULL) {
        v->quantizer = q;
    }

    return v;
}


/* arg: self, scale, zero_point, dtype */
static torch_value_t *
quantize_per_tensor(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t         dtype = -1;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_int(t, arg[3], &dtype) != 0) {
        return NULL;
    }

    /* c10's qint8 and quint8 */
    if (dtype != 12 && dtype != 13) {
        torch_fail(t, "tensors are not quantized to the dtype of number "
                   "%lld", (long long) dtype);
        return NULL;
    }

    return aten_quantized(t, x, aten_quantizer_of(t, arg[1], arg[2],
                                                  dtype == 12 ? INFER_I8
                                                              : INFER_U8));
}


static torch_value_t *
dequantize(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_new(t, aten_tensor(t, arg[0]));
}


static torch_value_t *
int_repr(torch_eval_t *t, torch_value_t *const *arg)
{
    const torch_quantizer_t  *q;

    q = aten_quantizer_in(t, arg[0]);

    return q != NULL ? aten_new(t, to_integers(t, arg[0]->tensor, q)) : NULL;
}


static torch_value_t *
q_scale(torch_eval_t *t, torch_value_t *const *arg)
{
    const torch_quantizer_t  *q;

    q = aten_quantizer_in(t, arg[0]);

    return q != NULL ? torch_float(t->g, aten_scale(q)) : NULL;
}


static torch_value_t *
q_zero_point(torch_eval_t *t, torch_value_t *const *arg)
{
    const torch_quantizer_t  *q;

    q = aten_quantizer_in(t, arg[0]);

    return q != NULL ? torch_int(t->g, aten_zero(q)) : NULL;
}


/* ---- operators of floats ---------------------------------------------- */

/* Of v, or of what a list holds. */
static const torch_quantizer_t *
first_quantizer(const torch_value_t *v)
{
    const torch_quantizer_t  *q = NULL;

    if (v->kind == TORCH_TENSOR) {
        return v->quantizer;
    }

    if (v->kind == TORCH_LIST || v->kind == TORCH_TUPLE) {
        for (size_t i = 0; i < v->items.n && q == NULL; i++) {
            q = v->items.item[i]->kind == TORCH_TENSOR
                ? v->items.item[i]->quantizer : NULL;
        }
    }

    return q;
}


torch_value_t *
aten_quantized_result(torch_eval_t *t, const char *name,
    const torch_args_t *args, torch_value_t *v)
{
    size_t                    i;
    const torch_quantizer_t  *q = NULL;

    for (i = 0; i < args->n && q == NULL; i++) {
        q = first_quantizer(args->value[i]);
    }

    if (q == NULL) {
        return v;
    }

    /* it is that of the first argument, or the others do not suit it */
    if (i == 1 && strncmp(name, "torch.", 6) == 0) {
        for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
            if (strcmp(name + 6, rules[i].name) == 0) {
                return apply_rule(t, v, q, rules[i].rule);
            }
        }
    }

    torch_fail(t, "%s of a quantized tensor is not supported", name);

    return NULL;
}


static torch_value_t *
apply_rule(torch_eval_t *t, torch_value_t *v, const torch_quantizer_t *q,
    rule_t rule)
{
    infer_dtype_t  dtype = q->zero->dtype;

    if (v->kind == TORCH_LIST || v->kind == TORCH_TUPLE) {
        for (size_t i = 0; i < v->items.n; i++) {
            v->items.item[i] = apply_rule(t, v->items.item[i], q, rule);
            if (v->items.item[i] == NULL) {
                return NULL;
            }
        }
    }

    if (v->kind != TORCH_TENSOR || v->tensor->dtype != INFER_F32) {
        return v;
    }

    switch (rule) {

    case MOVES:
        v->quantizer = q;
        return v;

    case HALF:
        q = aten_quantizer(t, 1. / 256, dtype == INFER_I8 ? -128 : 0, dtype);
        break;

    case FULL:
        q = aten_quantizer(t, 2. / 256, dtype == INFER_I8 ? 0 : 128, dtype);
        break;

    case COMPUTES:
        break;
    }

    return aten_quantized(t, v->tensor, q);
}


const torch_builtin_t  torch_builtins_quantize[] = {
    { "torch.quantize_per_tensor", "self scale zero_point dtype",
      quantize_per_tensor },
    { "torch.dequantize", "self", dequantize },
    { "torch.int_repr", "self", int_repr },
    { "torch.q_scale", "self", q_scale },
    { "torch.q_zero_point", "self", q_zero_point },
    { NULL, NULL, NULL }
};
