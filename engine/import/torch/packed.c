/*
 * What PyTorch packs for quantized layers: weights and bias of a convolution
 * or linear layer, in an object of a class that is none of the archive's.  It
 * comes with a state from a pickle, or from a call in __setstate__.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


/* The attributes of the object, in the order of aten_packed_t. */
static const char *const  names[] = {
    "weight", "bias", "stride", "padding", "dilation", "groups"
};

#define N_LINEAR  2
#define N_CONV    6

/* The dimensions that a convolution's state can have. */
#define MAX_SPATIAL  3


static int unpack_conv(torch_eval_t *t, torch_object_t *object);
static torch_value_t *config_list(torch_eval_t *t, const int64_t *x,
    size_t n);


static torch_value_t *
pack(torch_eval_t *t, const char *class_name, torch_value_t *const *value,
    size_t n)
{
    torch_value_t  *v;

    if (aten_constant(t, value[0], "the weight") == NULL) {
        return NULL;
    }

    v = torch_new(t->g, TORCH_OBJECT);
    if (v == NULL) {
        return NULL;
    }

    v->object->class_name = class_name;

    for (size_t i = 0; i < n; i++) {
        if (torch_set_attr(t->g, v->object, names[i],
                           value[i] != NULL ? value[i]
                                            : torch_new(t->g, TORCH_NONE))
            != 0)
        {
            return NULL;
        }
    }

    return v;
}


static torch_value_t *
linear_prepack(torch_eval_t *t, torch_value_t *const *arg)
{
    return pack(t, "LinearPackedParamsBase", arg, N_LINEAR);
}


static torch_value_t *
conv_prepack(torch_eval_t *t, torch_value_t *const *arg)
{
    return pack(t, "ConvPackedParamsBase", arg, N_CONV);
}


/* That of two dimensions, the first being 1. */
static torch_value_t *
conv1d_prepack(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_dim_t     dim[4];
    torch_value_t  *item, *value[N_CONV];
    infer_value_t  *w;

    w = aten_constant(t, arg[0], "the weight");

    if (w == NULL || w->rank != 3) {
        return w == NULL ? NULL : TORCH_DECLINE;
    }

    memcpy(dim, w->dim, 2 * sizeof(dim[0]));
    dim[2] = infer_dim(1);
    dim[3] = w->dim[2];

    memcpy(value, arg, sizeof(value));
    value[0] = aten_new(t, aten_reshape(t, w, 4, dim));

    for (int i = 2; i < 5; i++) {
        value[i] = torch_new(t->g, TORCH_LIST);
        item = torch_int(t->g, i != 3);           /* no padding */

        if (arg[i] == NULL || arg[i]->kind != TORCH_LIST
            || arg[i]->items.n != 1)
        {
            return TORCH_DECLINE;
        }

        if (value[i] == NULL || item == NULL
            || torch_append(t->g, value[i], item) != 0
            || torch_append(t->g, value[i], arg[i]->items.item[0]) != 0)
        {
            return NULL;
        }
    }

    return value[0] != NULL ? conv_prepack(t, value) : NULL;
}


/* 0, or -1 with the error. */
static int
read_packed(torch_eval_t *t, const torch_value_t *v, size_t n, aten_packed_t *p)
{
    torch_value_t   *state, *value[N_CONV] = { NULL };
    torch_object_t  *object = v->kind == TORCH_OBJECT ? v->object : NULL;

    state = object != NULL ? object->state : NULL;

    if (state != NULL && n == N_CONV && unpack_conv(t, object) != 0) {
        return -1;
    }

    for (size_t i = 0; object != NULL && i < n; i++) {
        value[i] = state == NULL || n == N_CONV
                   ? torch_attr(object, names[i])
                   : state->kind == TORCH_TUPLE && i < state->items.n
                   ? state->items.item[i] : NULL;
    }

    for (size_t i = 0; i < n; i++) {
        if (value[i] == NULL) {
            return torch_fail(t, "the packed parameters are not those of a "
                              "layer");
        }
    }

    p->weight = aten_new(t, aten_constant(t, value[0], "the weight"));
    p->bias = value[1];
    p->stride = value[2];
    p->padding = value[3];
    p->dilation = value[4];
    p->groups = value[5];

    return p->weight != NULL ? 0 : -1;
}


int
aten_packed_linear(torch_eval_t *t, const torch_value_t *v, aten_packed_t *p)
{
    return read_packed(t, v, N_LINEAR, p);
}


int
aten_packed_conv(torch_eval_t *t, const torch_value_t *v, aten_packed_t *p)
{
    return read_packed(t, v, N_CONV, p);
}


/*
 * ("2", [config, weight], [bias or None]); config, int16: the number of
 * spatial dimensions; stride, padding, dilation and output padding for each;
 * groups; 1 where the convolution is transposed.
 */
static int
unpack_conv(torch_eval_t *t, torch_object_t *object)
{
    size_t                 d;
    int64_t                x[4 * MAX_SPATIAL + 3];
    torch_value_t         *part[3], *value[N_CONV];
    infer_value_t         *config;
    const torch_value_t   *state = object->state;
    torch_value_t *const  *item = state->items.item;

    if (state->kind != TORCH_TUPLE || state->items.n != 3
        || item[0]->kind != TORCH_STRING
        || strcmp(item[0]->string.s, "2") != 0
        || item[1]->kind != TORCH_LIST || item[1]->items.n != 2
        || item[2]->kind != TORCH_LIST || item[2]->items.n != 1)
    {
        return torch_fail(t, "packed parameters of this version are not "
                          "supported");
    }

    config = aten_tensor(t, item[1]->items.item[0]);
    config = config != NULL ? aten_cast(t, config, INFER_I64) : NULL;

    if (config == NULL) {
        return -1;
    }

    if (config->rank != 1
        || infer_value_ints(t->g, config, x, 4 * MAX_SPATIAL + 3) < 3
        || x[0] < 1 || x[0] > MAX_SPATIAL
        || config->dim[0].base != 4 * x[0] + 3)
    {
        return torch_fail(t, "the configuration of a quantized convolution "
                          "is damaged");
    }

    d = (size_t) x[0];

    if (x[4 * d + 2] != 0) {
        return torch_fail(t, "a transposed convolution is not supported");
    }

    for (size_t i = 0; i < 3; i++) {
        part[i] = config_list(t, x + 1 + i * d, d);
    }

    value[0] = item[1]->items.item[1];
    value[1] = item[2]->items.item[0];
    memcpy(value + 2, part, sizeof(part));
    value[5] = torch_int(t->g, x[4 * d + 1]);

    for (size_t i = 0; i < N_CONV; i++) {
        if (value[i] == NULL
            || torch_set_attr(t->g, object, names[i], value[i]) != 0)
        {
            return -1;
        }
    }

    object->state = NULL;

    return 0;
}


static torch_value_t *
config_list(torch_eval_t *t, const int64_t *x, size_t n)
{
    torch_value_t  *list, *item;

    list = torch_new(t->g, TORCH_LIST);

    for (size_t i = 0; i < n && list != NULL; i++) {
        item = torch_int(t->g, x[i]);

        if (item == NULL || torch_append(t->g, list, item) != 0) {
            return NULL;
        }
    }

    return list;
}


torch_value_t *
aten_integer_bias(torch_eval_t *t, const aten_packed_t *p, const torch_quantizer_t *x)
{
    float                     s, b;
    double                    q;
    int32_t                  *sums;
    int64_t                   n;
    infer_param_t             param;
    infer_value_t            *bias, *in[3] = { NULL };
    const infer_quantized_t  *w;

    if (aten_is_none(p->bias)) {
        return p->bias;
    }

    bias = aten_constant(t, p->bias, "the bias");
    w = p->weight->tensor->quantized;

    if (bias == NULL || w == NULL || bias->rank != 1
        || bias->dtype != INFER_F32)
    {
        return bias == NULL ? NULL : p->bias;
    }

    in[1] = aten_binary(t, INFER_MUL, (infer_value_t *) w->scale, x->scale);
    n = bias->dim[0].base;

    if (in[1] == NULL
        || (!infer_value_is_one(in[1])
            && !infer_dim_equal(in[1]->dim[0], bias->dim[0])))
    {
        return in[1] == NULL ? NULL : p->bias;
    }

    sums = infer_graph_alloc(t->g, (size_t) n * sizeof(*sums));
    if (sums == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < n; i++) {
        memcpy(&b, (const char *) bias->data + (size_t) i * sizeof(b),
               sizeof(b));
        memcpy(&s, (const char *) in[1]->data
                   + (infer_value_is_one(in[1]) ? 0 : (size_t) i * sizeof(s)),
               sizeof(s));

        q = rint((double) b / (double) s);
        q = q > INT32_MIN ? q : INT32_MIN;
        sums[i] = (int32_t) (q < INT32_MAX ? q : INT32_MAX);
    }

    in[0] = infer_graph_constant(t->g, NULL, INFER_I32, 1, &n, sums);
    if (in[0] == NULL) {
        return NULL;
    }

    memset(&param, 0, sizeof(param));

    return aten_new(t, aten_emit(t, INFER_OP_DEQUANTIZE, &param, in, 3));
}


#define CONV  "weight bias stride padding dilation groups"

const torch_builtin_t  torch_builtins_packed[] = {
    { "ops.quantized.linear_prepack", "W B", linear_prepack },
    { "ops.quantized.conv1d_prepack", CONV, conv1d_prepack },
    { "ops.quantized.conv2d_prepack", CONV, conv_prepack },
    { "ops.quantized.conv3d_prepack", CONV, conv_prepack },
    { NULL, NULL, NULL }
};
