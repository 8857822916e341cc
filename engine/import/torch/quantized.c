/*
 * The operators of torch.ops.quantized: each becomes the operator of floats
 * between dequantize and quantize.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


/* ---- calls of operators of floats ------------------------------------- */

static infer_value_t *
rectified(torch_eval_t *t, infer_value_t *y, int relu)
{
    torch_value_t  *v;

    if (y == NULL || !relu) {
        return y;
    }

    v = aten_new(t, y);

    return v != NULL ? aten_call(t, "torch.relu", &v, 1) : NULL;
}


/* What the integers of a quantized tensor mean, as a tensor of floats. */
static torch_value_t *
meaning(torch_eval_t *t, const torch_value_t *v)
{
    return aten_quantizer_in(t, v) != NULL ? aten_new(t, v->tensor) : NULL;
}


/* ---- products --------------------------------------------------------- */

/* arg: qx, packed_weight, output_scale, output_zero_point */
static infer_value_t *
convolved(torch_eval_t *t, torch_value_t *const *arg, const char *name,
    torch_value_t *x)
{
    aten_packed_t   p;
    torch_value_t  *bias;

    if (x == NULL || aten_packed_conv(t, arg[1], &p) != 0) {
        return NULL;
    }

    bias = aten_integer_bias(t, &p, arg[0]->quantizer);

    if (bias == NULL) {
        return NULL;
    }

    torch_value_t *const  value[] = {
        x, p.weight, bias, p.stride, p.padding, p.dilation, p.groups
    };

    return aten_call(t, name, value, sizeof(value) / sizeof(value[0]));
}


static torch_value_t *
product_result(torch_eval_t *t, torch_value_t *const *arg, infer_value_t *y,
    int relu)
{
    const torch_quantizer_t  *q;

    q = y != NULL ? aten_quantizer_of(t, arg[2], arg[3],
                                      arg[0]->quantizer->zero->dtype) : NULL;

    return q != NULL ? aten_quantized(t, rectified(t, y, relu), q) : NULL;
}


/* Its weights are those of two dimensions, of which the first is 1. */
static torch_value_t *
conv1d_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    infer_dim_t     dim[4];
    torch_value_t  *x;
    infer_value_t  *y;

    x = meaning(t, arg[0]);

    if (x == NULL || x->tensor->rank != 3) {
        return x == NULL ? NULL : TORCH_DECLINE;
    }

    memcpy(dim, x->tensor->dim, 3 * sizeof(dim[0]));
    dim[3] = dim[2];
    dim[2] = infer_dim(1);

    y = convolved(t, arg, "torch.conv2d",
                  aten_new(t, aten_reshape(t, x->tensor, 4, dim)));
    if (y == NULL) {
        return NULL;
    }

    memcpy(dim, y->dim, sizeof(dim));
    dim[2] = dim[3];

    return product_result(t, arg, aten_reshape(t, y, 3, dim), relu);
}

TORCH_KIND(conv1d, conv1d_kind, 0)
TORCH_KIND(conv1d_relu, conv1d_kind, 1)


static torch_value_t *
conv2d_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    return product_result(t, arg, convolved(t, arg, "torch.conv2d",
                                            meaning(t, arg[0])), relu);
}

TORCH_KIND(conv2d, conv2d_kind, 0)
TORCH_KIND(conv2d_relu, conv2d_kind, 1)


static torch_value_t *
conv3d_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    return product_result(t, arg, convolved(t, arg, "torch.conv3d",
                                            meaning(t, arg[0])), relu);
}

TORCH_KIND(conv3d, conv3d_kind, 0)
TORCH_KIND(conv3d_relu, conv3d_kind, 1)


/* arg: X, W_prepack, Y_scale_i, Y_zero_point_i */
static torch_value_t *
linear_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    aten_packed_t   p;
    torch_value_t  *value[3];

    value[0] = meaning(t, arg[0]);

    if (value[0] == NULL || aten_packed_linear(t, arg[1], &p) != 0) {
        return NULL;
    }

    value[1] = p.weight;
    value[2] = aten_integer_bias(t, &p, arg[0]->quantizer);

    return value[2] == NULL ? NULL
           : product_result(t, arg, aten_call(t, "torch.linear", value, 3),
                            relu);
}

TORCH_KIND(linear, linear_kind, 0)
TORCH_KIND(linear_relu, linear_kind, 1)


/* arg: X, W_prepack, reduce_range */
static torch_value_t *
linear_dynamic_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    int64_t         reduced = 0;
    aten_packed_t        p;
    torch_value_t  *value[3];

    if (aten_packed_linear(t, arg[1], &p) != 0
        || aten_int(t, arg[2], &reduced) != 0)
    {
        return NULL;
    }

    value[0] = aten_new(t, aten_dynamic(t, aten_tensor(t, arg[0]),
                                        reduced != 0));
    value[1] = p.weight;
    value[2] = p.bias;

    return value[0] == NULL ? NULL
           : aten_new(t, rectified(t, aten_call(t, "torch.linear", value, 3),
                                   relu));
}

TORCH_KIND(linear_dynamic, linear_dynamic_kind, 0)
TORCH_KIND(linear_relu_dynamic, linear_dynamic_kind, 1)


/* ---- sums and products of elements ------------------------------------ */

/*
 * A number is added or multiplied without a scale being given: PyTorch keeps
 * the integers where they fit, and moves what they mean.
 */
static torch_value_t *
with_number(torch_eval_t *t, torch_value_t *const *arg, int mul, int relu)
{
    int                       least, zero;
    double                    number = 0, scale, moved;
    infer_value_t            *y;
    const torch_quantizer_t  *q;

    q = aten_quantizer_in(t, arg[0]);

    if (q == NULL || aten_double(t, arg[1], &number) != 0) {
        return NULL;
    }

    scale = aten_scale(q);
    zero = aten_zero(q);
    least = q->zero->dtype == INFER_I8 ? -128 : 0;

    if (mul) {
        y = aten_binary_number(t, INFER_MUL, arg[0]->tensor, number);
        moved = number < 0 ? 2 * least + 255 - zero : number > 0 ? zero : 0;
        scale = number != 0 ? fabs(number) * scale : 1;

    } else {
        number = rint(number / scale);
        y = aten_binary_number(t, INFER_ADD, arg[0]->tensor, number * scale);
        moved = zero - number;

        if (moved < least) {
            scale *= (least + 255 - moved) / 255;
            moved = least;

        } else if (moved > least + 255) {
            scale *= (moved - least) / 255;
            moved = least + 255;
        }
    }

    q = aten_quantizer(t, scale, moved, q->zero->dtype);

    return q != NULL ? aten_quantized(t, rectified(t, y, relu), q) : NULL;
}


/* arg: qa, qb, scale, zero_point */
static torch_value_t *
binary(torch_eval_t *t, torch_value_t *const *arg, int mul, int relu)
{
    torch_value_t            *value[2];
    const torch_quantizer_t  *q;

    if (!aten_is_tensor(arg[1])
        || (arg[1]->quantizer == NULL && aten_is_none(arg[2])))
    {
        return arg[1] != NULL ? with_number(t, arg, mul, relu)
                              : TORCH_DECLINE;
    }

    value[0] = meaning(t, arg[0]);
    value[1] = value[0] != NULL ? meaning(t, arg[1]) : NULL;

    if (value[1] == NULL) {
        return NULL;
    }

    q = aten_quantizer_of(t, arg[2], arg[3], arg[0]->quantizer->zero->dtype);

    return q == NULL ? NULL
           : aten_quantized(t, rectified(t, aten_call(t, mul ? "torch.mul"
                                                         : "torch.add",
                                                  value, 2), relu), q);
}


static torch_value_t *
add_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    return binary(t, arg, 0, relu);
}

TORCH_KIND(add, add_kind, 0)
TORCH_KIND(add_relu, add_kind, 1)


static torch_value_t *
mul_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    return binary(t, arg, 1, relu);
}

TORCH_KIND(mul, mul_kind, 0)
TORCH_KIND(mul_relu, mul_kind, 1)


/* arg: qx, dim, scale, zero_point; without a scale: that of the first */
static torch_value_t *
cat_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    torch_value_t            *item, *value[2] = { NULL, arg[1] };
    const torch_quantizer_t  *first = NULL, *q;

    if (arg[0] == NULL
        || (arg[0]->kind != TORCH_LIST && arg[0]->kind != TORCH_TUPLE))
    {
        return TORCH_DECLINE;
    }

    value[0] = torch_new(t->g, TORCH_LIST);

    for (size_t i = 0; i < arg[0]->items.n && value[0] != NULL; i++) {
        item = meaning(t, arg[0]->items.item[i]);

        if (item == NULL || torch_append(t->g, value[0], item) != 0) {
            return NULL;
        }

        first = first == NULL ? arg[0]->items.item[i]->quantizer : first;
    }

    if (first == NULL) {
        return value[0] != NULL ? TORCH_DECLINE : NULL;
    }

    q = aten_is_none(arg[2]) ? first
        : aten_quantizer_of(t, arg[2], arg[3], first->zero->dtype);

    return q == NULL ? NULL
           : aten_quantized(t, rectified(t, aten_call(t, "torch.cat", value, 2),
                                         relu), q);
}

TORCH_KIND(cat, cat_kind, 0)
TORCH_KIND(cat_relu, cat_kind, 1)


/* ---- functions of one tensor ------------------------------------------ */

/*
 * name(value[0], ..), value[0] being quantized, as scale and zero say; where
 * they are NULL, as value[0] is.
 */
static torch_value_t *
function(torch_eval_t *t, const char *name, torch_value_t **value, size_t n,
    const torch_value_t *scale, const torch_value_t *zero, int relu)
{
    const torch_quantizer_t  *q;

    q = aten_quantizer_in(t, value[0]);

    if (q != NULL && scale != NULL) {
        q = aten_quantizer_of(t, scale, zero, q->zero->dtype);
    }

    value[0] = q != NULL ? meaning(t, value[0]) : NULL;

    return value[0] == NULL ? NULL
           : aten_quantized(t, rectified(t, aten_call(t, name, value, n), relu),
                            q);
}


/* arg: qx, output_scale, output_zero_point */
static torch_value_t *
hardswish(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0] };

    return function(t, "torch.hardswish", value, 1, arg[1], arg[2], 0);
}


static torch_value_t *
sigmoid(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0] };

    return function(t, "torch.sigmoid", value, 1, arg[1], arg[2], 0);
}


static torch_value_t *
relu6(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0] };

    return function(t, "torch.relu6", value, 1, NULL, NULL, 0);
}


/* arg: qx, negative_slope, inplace, output_scale, output_zero_point */
static torch_value_t *
leaky_relu(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[1] };

    return function(t, "torch.leaky_relu", value, 2, arg[3], arg[4], 0);
}


/* arg: self, output_scale, output_zero_point, alpha, scale, input_scale */
static torch_value_t *
elu(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[3], arg[4], arg[5] };

    return function(t, "torch.elu", value, 4, arg[1], arg[2], 0);
}


/* arg: self, output_scale, output_zero_point, alpha */
static torch_value_t *
celu(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[3] };

    return function(t, "torch.celu", value, 2, arg[1], arg[2], 0);
}


/* arg: qx, weight, output_scale, output_zero_point */
static torch_value_t *
prelu(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[1] };

    return function(t, "torch.prelu", value, 2, arg[2], arg[3], 0);
}


/* arg: qx, dim, output_scale, output_zero_point */
static torch_value_t *
softmax(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[1] };

    return function(t, "torch.softmax", value, 2, arg[2], arg[3], 0);
}


/* arg: qx, weight, bias, mean, var, eps, output_scale, output_zero_point */
static torch_value_t *
batch_norm_kind(torch_eval_t *t, torch_value_t *const *arg, int relu)
{
    torch_value_t  *value[] = {
        arg[0], arg[1], arg[2], arg[3], arg[4], torch_bool(t->g, 0), NULL,
        arg[5]
    };

    return function(t, "torch.batch_norm", value, 8, arg[6], arg[7], relu);
}

TORCH_KIND(batch_norm, batch_norm_kind, 0)
TORCH_KIND(batch_norm_relu, batch_norm_kind, 1)


/* arg: input, shape or groups, weight, bias, eps, scale, zero point */
static torch_value_t *
layer_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[1], arg[2], arg[3], arg[4] };

    return function(t, "torch.layer_norm", value, 5, arg[5], arg[6], 0);
}


static torch_value_t *
group_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *value[] = { arg[0], arg[1], arg[2], arg[3], arg[4] };

    return function(t, "torch.group_norm", value, 5, arg[5], arg[6], 0);
}


#define CONV     "qx packed_weight output_scale output_zero_point"
#define LINEAR   "X W_prepack Y_scale_i Y_zero_point_i"
#define DYNAMIC  "X W_prepack reduce_range"
#define BINARY   "qa qb scale zero_point"
#define NUMBER   "qa b"
#define CAT      "qx dim scale zero_point"
#define SCALED   "input output_scale output_zero_point"
#define NORM     "qx weight bias mean var eps output_scale output_zero_point"
#define GROUPS   "input by weight bias eps output_scale output_zero_point"

const torch_builtin_t  torch_builtins_quantized[] = {
    { "ops.quantized.conv1d", CONV, conv1d },
    { "ops.quantized.conv1d_relu", CONV, conv1d_relu },
    { "ops.quantized.conv2d", CONV, conv2d },
    { "ops.quantized.conv2d_relu", CONV, conv2d_relu },
    { "ops.quantized.conv3d", CONV, conv3d },
    { "ops.quantized.conv3d_relu", CONV, conv3d_relu },
    { "ops.quantized.linear", LINEAR, linear },
    { "ops.quantized.linear_relu", LINEAR, linear_relu },
    { "ops.quantized.linear_dynamic", DYNAMIC, linear_dynamic },
    { "ops.quantized.linear_relu_dynamic", DYNAMIC, linear_relu_dynamic },
    { "ops.quantized.add", BINARY, add },
    { "ops.quantized.add_relu", BINARY, add_relu },
    { "ops.quantized.mul", BINARY, mul },
    { "ops.quantized.mul_relu", BINARY, mul_relu },
    { "ops.quantized.add", NUMBER, add },
    { "ops.quantized.add_relu", NUMBER, add_relu },
    { "ops.quantized.mul", NUMBER, mul },
    { "ops.quantized.mul_relu", NUMBER, mul_relu },
    { "ops.quantized.add_scalar", NUMBER, add },
    { "ops.quantized.add_scalar_relu", NUMBER, add_relu },
    { "ops.quantized.mul_scalar", NUMBER, mul },
    { "ops.quantized.mul_scalar_relu", NUMBER, mul_relu },
    { "ops.quantized.cat", CAT, cat },
    { "ops.quantized.cat_relu", CAT, cat_relu },
    { "ops.quantized.hardswish", SCALED, hardswish },
    { "ops.quantized.sigmoid", "qx output_scale output_zero_point",
      sigmoid },
    { "ops.quantized.relu6", "qx inplace", relu6 },
    { "ops.quantized.leaky_relu",
      "qx negative_slope inplace output_scale output_zero_point",
      leaky_relu },
    { "ops.quantized.elu",
      "self output_scale output_zero_point alpha scale input_scale", elu },
    { "ops.quantized.celu", "self output_scale output_zero_point alpha",
      celu },
    { "ops.quantized.prelu", "qx weight output_scale output_zero_point",
      prelu },
    { "ops.quantized.softmax", "qx dim output_scale output_zero_point",
      softmax },
    { "ops.quantized.batch_norm", NORM, batch_norm },
    { "ops.quantized.batch_norm_relu", NORM, batch_norm_relu },
    { "ops.quantized.batch_norm1d", NORM, batch_norm },
    { "ops.quantized.batch_norm1d_relu", NORM, batch_norm_relu },
    { "ops.quantized.batch_norm2d", NORM, batch_norm },
    { "ops.quantized.batch_norm2d_relu", NORM, batch_norm_relu },
    { "ops.quantized.batch_norm3d", NORM, batch_norm },
    { "ops.quantized.batch_norm3d_relu", NORM, batch_norm_relu },
    { "ops.quantized.layer_norm", GROUPS, layer_norm },
    { "ops.quantized.group_norm", GROUPS, group_norm },
    { NULL, NULL, NULL }
};
