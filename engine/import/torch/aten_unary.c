/*
 * Functions of one operand that work element by element: activations and
 * others.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


/* A function of floats; of integers as of float32. */
static torch_value_t *
unary(torch_eval_t *t, torch_value_t *const *arg, infer_unary_kind_t kind)
{
    return aten_is_tensor(arg[0])
           ? aten_new(t, aten_unary(t, aten_float(t, arg[0]), kind))
           : TORCH_DECLINE;
}

TORCH_KIND(sigmoid, unary, INFER_SIGMOID)
TORCH_KIND(silu, unary, INFER_SILU)
TORCH_KIND(hardswish, unary, INFER_HARDSWISH)
TORCH_KIND(tanh_, unary, INFER_TANH)
TORCH_KIND(erf_, unary, INFER_ERF)
TORCH_KIND(exp_, unary, INFER_EXP)
TORCH_KIND(log_, unary, INFER_LOG)
TORCH_KIND(sqrt_, unary, INFER_SQRT)
TORCH_KIND(reciprocal, unary, INFER_RECIPROCAL)


/* The same where an integer stays one. */
static torch_value_t *
unary_any(torch_eval_t *t, torch_value_t *const *arg, infer_unary_kind_t kind)
{
    return aten_is_tensor(arg[0])
           ? aten_new(t, aten_unary(t, arg[0]->tensor, kind))
           : TORCH_DECLINE;
}

TORCH_KIND(neg, unary_any, INFER_NEG)
TORCH_KIND(abs_, unary_any, INFER_ABS)


static torch_value_t *
rounded(torch_eval_t *t, torch_value_t *const *arg, infer_unary_kind_t kind)
{
    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    return aten_is_float(arg[0]->tensor->dtype) ? unary_any(t, arg, kind)
                                                : arg[0];
}

TORCH_KIND(floor_, rounded, INFER_FLOOR)
TORCH_KIND(ceil_, rounded, INFER_CEIL)
TORCH_KIND(round_, rounded, INFER_ROUND)


/*
 * Sine and cosine of constants, of which places in a sequence are made; the
 * engine has no operator for them.
 */
static torch_value_t *
wave(torch_eval_t *t, torch_value_t *const *arg, double (*f)(double))
{
    double         *y;
    int64_t         dim[INFER_MAX_RANK];
    infer_dim_t     n;
    infer_dtype_t   dtype;
    infer_value_t  *x;

    x = aten_float(t, arg[0]);
    dtype = x != NULL ? x->dtype : INFER_F32;
    x = aten_cast(t, x, INFER_F64);

    if (x == NULL) {
        return NULL;
    }

    if (x->data == NULL || x->varied[0] != NULL
        || infer_value_numel(x, &n) != 0 || n.batch != 0)
    {
        torch_fail(t, "sines and cosines are only supported of what does not "
                   "depend on the input");
        return NULL;
    }

    y = infer_graph_alloc(t->g, (size_t) n.base * sizeof(*y) + 1);
    if (y == NULL) {
        return NULL;
    }

    memcpy(y, x->data, (size_t) n.base * sizeof(*y));

    for (int64_t i = 0; i < n.base; i++) {
        y[i] = f(y[i]);
    }

    for (int i = 0; i < x->rank; i++) {
        dim[i] = x->dim[i].base;
    }

    return aten_new(t, aten_cast(t, infer_graph_constant(t->g, NULL, INFER_F64,
                                                         x->rank, dim, y),
                                 dtype));
}

TORCH_KIND(sin_, wave, sin)
TORCH_KIND(cos_, wave, cos)


static torch_value_t *
rsqrt(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_unary(t, aten_float(t, arg[0]), INFER_SQRT);

    return aten_new(t, aten_unary(t, x, INFER_RECIPROCAL));
}


static torch_value_t *
square(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    return aten_new(t, aten_binary(t, INFER_MUL, x, x));
}


static torch_value_t *
logical_not(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = aten_cast(t, arg[0]->tensor, INFER_BOOL);

    return aten_new(t, aten_unary(t, x, INFER_NOT));
}


static torch_value_t *
bitwise_not(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_is_tensor(arg[0]) && arg[0]->tensor->dtype == INFER_BOOL
           ? logical_not(t, arg) : TORCH_DECLINE;
}


/* min(max(x, low), high) */
static infer_value_t *
clip(torch_eval_t *t, infer_value_t *x, double low, double high)
{
    if (x == NULL || x->dtype == INFER_F32) {
        return infer_emit_unary(t->g, t->place, x, INFER_CLIP, (float) low,
                                (float) high);
    }

    x = low == -INFINITY ? x : aten_binary_number(t, INFER_MAX, x, low);

    return high == INFINITY ? x : aten_binary_number(t, INFER_MIN, x, high);
}


static torch_value_t *
relu(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_new(t, clip(t, aten_tensor(t, arg[0]), 0, INFINITY));
}


static torch_value_t *
relu6(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_new(t, clip(t, aten_tensor(t, arg[0]), 0, 6));
}


static torch_value_t *
hardtanh(torch_eval_t *t, torch_value_t *const *arg)
{
    double  low = -1, high = 1;

    return aten_double(t, arg[1], &low) == 0
           && aten_double(t, arg[2], &high) == 0
           ? aten_new(t, clip(t, aten_tensor(t, arg[0]), low, high)) : NULL;
}


static int
is_computed(const torch_value_t *v)
{
    return aten_is_tensor(v) && (v->tensor->data == NULL
                                 || v->tensor->rank > 0);
}


/* Bounds are numbers, or tensors. */
static torch_value_t *
bounded(torch_eval_t *t, const torch_value_t *x, const torch_value_t *low,
    const torch_value_t *high)
{
    double                min = -INFINITY, max = INFINITY;
    infer_value_t        *y, *bound;
    torch_value_t        *v;

    y = aten_tensor(t, x);

    if (is_computed(low) || is_computed(high)) {
        if (!aten_is_none(low)) {
            y = aten_promote(t, x, low, &y, &bound) == 0
                ? aten_binary(t, INFER_MAX, y, bound) : NULL;
        }

        v = aten_new(t, y);

        if (!aten_is_none(high) && v != NULL) {
            y = aten_promote(t, v, high, &y, &bound) == 0
                ? aten_binary(t, INFER_MIN, y, bound) : NULL;
        }

        return aten_new(t, y);
    }

    if (y == NULL || aten_double(t, low, &min) != 0
        || aten_double(t, high, &max) != 0)
    {
        return NULL;
    }

    if (!aten_is_float(y->dtype)
        && ((!aten_is_none(low) && low->kind == TORCH_FLOAT)
            || (!aten_is_none(high) && high->kind == TORCH_FLOAT)))
    {
        y = aten_cast(t, y, INFER_F32);
    }

    return aten_new(t, clip(t, y, min, max));
}


static torch_value_t *
clamp(torch_eval_t *t, torch_value_t *const *arg)
{
    return bounded(t, arg[0], arg[1], arg[2]);
}


static torch_value_t *
clamp_min(torch_eval_t *t, torch_value_t *const *arg)
{
    return bounded(t, arg[0], arg[1], NULL);
}


static torch_value_t *
clamp_max(torch_eval_t *t, torch_value_t *const *arg)
{
    return bounded(t, arg[0], NULL, arg[1]);
}


static torch_value_t *
hardsigmoid(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_new(t, infer_emit_unary(t->g, t->place,
                                        aten_float(t, arg[0]),
                                        INFER_HARDSIGMOID, 1.f / 6, 0.5f));
}


static torch_value_t *
leaky_relu(torch_eval_t *t, torch_value_t *const *arg)
{
    double  slope = 0.01;

    return aten_double(t, arg[1], &slope) != 0 ? NULL
           : aten_new(t, infer_emit_unary(t->g, t->place,
                                          aten_float(t, arg[0]),
                                          INFER_LEAKYRELU, (float) slope, 0));
}


static torch_value_t *
gelu(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_float(t, arg[0]);

    if (arg[1] != NULL && arg[1]->kind == TORCH_STRING
        && strcmp(arg[1]->string.s, "tanh") == 0)
    {
        return aten_new(t, infer_emit_gelu_tanh(t->g, t->place, x));
    }

    return aten_new(t, aten_unary(t, x, INFER_GELU));
}


/* max(x, 0) + min(x, 0) * weight, weight by channels */
static torch_value_t *
prelu(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x, *w;

    x = aten_float(t, arg[0]);
    w = x != NULL ? aten_tensor(t, arg[1]) : NULL;

    if (w == NULL || infer_value_numel(w, &dim[0]) != 0) {
        return NULL;
    }

    for (int i = 1; i < x->rank - 1; i++) {
        dim[i] = infer_dim(1);
    }

    if (x->rank > 1) {
        w = aten_reshape(t, w, x->rank - 1, dim);
    }

    w = aten_binary(t, INFER_MUL, clip(t, x, -INFINITY, 0), w);

    return aten_new(t, aten_binary(t, INFER_ADD, clip(t, x, 0, INFINITY), w));
}


/* scale * (max(x, 0) + alpha * (exp(min(x, 0) / beta) - 1)) */
static torch_value_t *
exponential(torch_eval_t *t, infer_value_t *x, double alpha, double scale,
    double divisor)
{
    infer_value_t  *y;

    y = clip(t, x, -INFINITY, 0);
    y = divisor == 1 ? y : aten_binary_number(t, INFER_DIV, y, divisor);
    y = aten_binary_number(t, INFER_SUB, aten_unary(t, y, INFER_EXP), 1);
    y = alpha == 1 ? y : aten_binary_number(t, INFER_MUL, y, alpha);
    y = aten_binary(t, INFER_ADD, clip(t, x, 0, INFINITY), y);

    return aten_new(t, scale == 1 ? y
                       : aten_binary_number(t, INFER_MUL, y, scale));
}


static torch_value_t *
elu(torch_eval_t *t, torch_value_t *const *arg)
{
    double  alpha = 1, scale = 1, input = 1;

    return aten_double(t, arg[1], &alpha) == 0
           && aten_double(t, arg[2], &scale) == 0
           && aten_double(t, arg[3], &input) == 0
           ? exponential(t, aten_float(t, arg[0]), alpha, scale, 1 / input)
           : NULL;
}


static torch_value_t *
celu(torch_eval_t *t, torch_value_t *const *arg)
{
    double  alpha = 1;

    return aten_double(t, arg[1], &alpha) == 0
           ? exponential(t, aten_float(t, arg[0]), alpha, 1, alpha) : NULL;
}


static torch_value_t *
selu(torch_eval_t *t, torch_value_t *const *arg)
{
    return exponential(t, aten_float(t, arg[0]), 1.6732632423543772,
                       1.0507009873554805, 1);
}


/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)) */
static infer_value_t *
log1pexp(torch_eval_t *t, infer_value_t *x)
{
    infer_value_t  *y;

    y = aten_unary(t, aten_unary(t, x, INFER_ABS), INFER_NEG);
    y = aten_binary_number(t, INFER_ADD, aten_unary(t, y, INFER_EXP), 1);

    return aten_binary(t, INFER_ADD, clip(t, x, 0, INFINITY),
                       aten_unary(t, y, INFER_LOG));
}


/* Beyond the threshold PyTorch gives x, which this comes to as well. */
static torch_value_t *
softplus(torch_eval_t *t, torch_value_t *const *arg)
{
    double          beta = 1;
    infer_value_t  *x;

    x = aten_float(t, arg[0]);

    if (x == NULL || aten_double(t, arg[1], &beta) != 0) {
        return NULL;
    }

    if (beta == 1) {
        return aten_new(t, log1pexp(t, x));
    }

    x = log1pexp(t, aten_binary_number(t, INFER_MUL, x, beta));

    return aten_new(t, aten_binary_number(t, INFER_DIV, x, beta));
}


static torch_value_t *
log_sigmoid(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_unary(t, aten_float(t, arg[0]), INFER_NEG);

    return aten_new(t, aten_unary(t, log1pexp(t, x), INFER_NEG));
}


static torch_value_t *
mish(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x, *y;

    x = aten_float(t, arg[0]);
    y = aten_unary(t, log1pexp(t, x), INFER_TANH);

    return aten_new(t, aten_binary(t, INFER_MUL, x, y));
}


const torch_builtin_t  torch_builtins_unary[] = {
    { "torch.relu", "self", relu },
    { "torch.relu6", "self", relu6 },
    { "torch.hardtanh", "self min_val max_val", hardtanh },
    { "torch.clamp", "self min max", clamp },
    { "torch.clip", "self min max", clamp },
    { "torch.clamp_min", "self min", clamp_min },
    { "torch.clamp_max", "self max", clamp_max },
    { "torch.leaky_relu", "self negative_slope", leaky_relu },
    { "torch.prelu", "self weight", prelu },
    { "torch.elu", "self alpha scale input_scale", elu },
    { "torch.celu", "self alpha", celu },
    { "torch.selu", "self", selu },
    { "torch.sigmoid", "self", sigmoid },
    { "torch.special_expit", "self", sigmoid },
    { "torch.hardsigmoid", "self", hardsigmoid },
    { "torch.silu", "self", silu },
    { "torch.hardswish", "self", hardswish },
    { "torch.gelu", "self approximate", gelu },
    { "torch.mish", "self", mish },
    { "torch.softplus", "self beta threshold", softplus },
    { "torch.log_sigmoid", "self", log_sigmoid },
    { "torch.tanh", "self", tanh_ },
    { "torch.erf", "self", erf_ },
    { "torch.exp", "self", exp_ },
    { "torch.log", "self", log_ },
    { "torch.sqrt", "self", sqrt_ },
    { "torch.rsqrt", "self", rsqrt },
    { "torch.square", "self", square },
    { "torch.reciprocal", "self", reciprocal },
    { "torch.neg", "self", neg },
    { "torch.negative", "self", neg },
    { "torch.abs", "self", abs_ },
    { "torch.floor", "self", floor_ },
    { "torch.ceil", "self", ceil_ },
    { "torch.round", "self", round_ },
    { "torch.sin", "self", sin_ },
    { "torch.cos", "self", cos_ },
    { "torch.logical_not", "self", logical_not },
    { "torch.__not__", "self", logical_not },
    { "torch.bitwise_not", "self", bitwise_not },
    { NULL, NULL, NULL }
};
