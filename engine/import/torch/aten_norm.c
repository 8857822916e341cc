/*
 * Normalisation, and what does nothing but in training.
 */

#include <string.h>

#include "import/torch/aten.h"


/* A vector for each channel as a float32 constant; `number` where None. */
static infer_value_t *
channel_vector(torch_eval_t *t, const torch_value_t *v, infer_dim_t n,
    double number)
{
    infer_value_t  *x;

    if (aten_is_none(v)) {
        return aten_expand(t, infer_emit_scalar(t->g, t->place, INFER_F32,
                                                number), 1, &n);
    }

    x = aten_cast(t, aten_constant(t, v, "a normalisation's parameter"),
                  INFER_F32);

    if (x != NULL && (x->rank != 1 || !infer_dim_equal(x->dim[0], n))) {
        torch_fail(t, "a normalisation's parameter has not the number of "
                   "channels");
        return NULL;
    }

    return x;
}


/* arg: input, weight, bias, running mean, running variance; epsilon */
static torch_value_t *
normalise_by_statistics(torch_eval_t *t, torch_value_t *const *arg,
    const torch_value_t *epsilon)
{
    double          eps = 1e-5;
    infer_value_t  *x, *param[4];

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_double(t, epsilon, &eps) != 0) {
        return NULL;
    }

    if (x->dtype != INFER_F32 || x->rank < 2 || x->dim[1].batch != 0) {
        torch_fail(t, "the input has no channels of float32 to normalise");
        return NULL;
    }

    if (aten_is_none(arg[3]) || aten_is_none(arg[4])) {
        torch_fail(t, "a batch normalisation without running statistics is "
                   "not supported");
        return NULL;
    }

    for (int i = 0; i < 4; i++) {
        param[i] = channel_vector(t, arg[i + 1], x->dim[1], i == 0);
        if (param[i] == NULL) {
            return NULL;
        }
    }

    return aten_new(t, infer_emit_batchnorm(t->g, t->place, x, param, eps));
}


static torch_value_t *
batch_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    return torch_check_training(t, arg[5]) != 0 ? NULL
           : normalise_by_statistics(t, arg, arg[7]);
}


static infer_value_t *
layernorm(torch_eval_t *t, infer_value_t *x, int axis, double epsilon,
    infer_value_t *scale, infer_value_t *bias)
{
    infer_param_t   p;
    infer_value_t  *in[3] = { x, scale, bias };

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.layernorm.axis = axis;
    p.layernorm.epsilon = (float) epsilon;

    return aten_emit(t, INFER_OP_LAYERNORM, &p, in, 3);
}


static torch_value_t *
layer_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    int             n, axis;
    double          epsilon = 1e-5;
    int64_t         shape[INFER_MAX_RANK];
    infer_value_t  *x, *vector[2] = { NULL, NULL };

    x = aten_float(t, arg[0]);
    n = x != NULL ? aten_ints(t, arg[1], shape, INFER_MAX_RANK) : -1;

    if (n < 0 || aten_double(t, arg[4], &epsilon) != 0) {
        return NULL;
    }

    axis = x->rank - n;

    for (int i = 0; i < n; i++) {
        if (axis < 0 || !infer_dim_is(x->dim[axis + i], shape[i])) {
            torch_fail(t, "the input has not the dimensions that are to be "
                       "normalised");
            return NULL;
        }
    }

    for (int i = 0; i < 2; i++) {
        if (!aten_is_none(arg[2 + i])) {
            vector[i] = aten_cast(t, aten_tensor(t, arg[2 + i]), INFER_F32);
            if (vector[i] == NULL) {
                return NULL;
            }
        }
    }

    return n == 0 ? arg[0]
           : aten_new(t, layernorm(t, x, axis, epsilon, vector[0],
                                   vector[1]));
}


/* x * scale + bias by channels, dimension 1; either may be None. */
static infer_value_t *
by_channels(torch_eval_t *t, infer_value_t *x, const torch_value_t *scale,
    const torch_value_t *bias)
{
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *v;

    for (int i = 0; x != NULL && i < 2; i++) {
        if (aten_is_none(i == 0 ? scale : bias)) {
            continue;
        }

        v = channel_vector(t, i == 0 ? scale : bias, x->dim[1], 0);
        dim[0] = x->dim[1];

        for (int k = 1; k < x->rank - 1; k++) {
            dim[k] = infer_dim(1);
        }

        x = aten_binary(t, i == 0 ? INFER_MUL : INFER_ADD, x,
                        aten_reshape(t, v, x->rank - 1, dim));
    }

    return x;
}


/* Each of `groups` groups of channels by its own mean and variance. */
static infer_value_t *
normalise_groups(torch_eval_t *t, infer_value_t *x, infer_dim_t groups,
    double epsilon)
{
    infer_dim_t  n, dim[INFER_MAX_RANK], flat[3];

    memcpy(dim, x->dim, sizeof(dim));

    if (infer_dim_mul(dim[0], groups, &flat[0]) != 0
        || infer_value_numel(x, &n) != 0
        || infer_dim_rest(n, flat[0], &flat[2]) != 0)
    {
        torch_fail(t, "the channels cannot be shared out over the groups");
        return NULL;
    }

    flat[0] = dim[0];
    flat[1] = groups;

    return aten_reshape(t, layernorm(t, aten_reshape(t, x, 3, flat), 2,
                                     epsilon, NULL, NULL), x->rank, dim);
}


static torch_value_t *
group_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    double          epsilon = 1e-5;
    int64_t         groups = 1;
    infer_value_t  *x;

    x = aten_float(t, arg[0]);

    if (x == NULL || x->rank < 2 || aten_int(t, arg[1], &groups) != 0
        || aten_double(t, arg[4], &epsilon) != 0)
    {
        return x != NULL && x->rank < 2 ? TORCH_DECLINE : NULL;
    }

    x = normalise_groups(t, x, infer_dim(groups), epsilon);

    return aten_new(t, by_channels(t, x, arg[2], arg[3]));
}


static torch_value_t *
instance_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    double          epsilon = 1e-5;
    int64_t         own = 0;
    infer_value_t  *x;

    if (aten_int(t, arg[5], &own) != 0
        || aten_double(t, arg[7], &epsilon) != 0)
    {
        return NULL;
    }

    if (!own) {
        return normalise_by_statistics(t, arg, arg[7]);
    }

    x = aten_float(t, arg[0]);

    if (x == NULL || x->rank < 3) {
        return x != NULL ? TORCH_DECLINE : NULL;
    }

    x = normalise_groups(t, x, x->dim[1], epsilon);

    return aten_new(t, by_channels(t, x, arg[1], arg[2]));
}


infer_value_t *
aten_softmax(torch_eval_t *t, infer_value_t *x, int axis, int log)
{
    infer_param_t  p;

    if (x == NULL || x->rank == 0) {
        return x == NULL ? NULL : aten_scalar(t, x, log ? 0 : 1);
    }

    memset(&p, 0, sizeof(p));
    p.softmax.axis = p.softmax.last = axis;
    p.softmax.log = log;

    return aten_emit(t, INFER_OP_SOFTMAX, &p, &x, 1);
}


static torch_value_t *
softmax_kind(torch_eval_t *t, torch_value_t *const *arg, int log)
{
    int             axis;
    infer_value_t  *x;
    infer_dtype_t   dtype;

    x = aten_float(t, arg[0]);
    axis = x != NULL ? aten_axis(t, arg[1], x->rank) : -1;

    if (axis < 0) {
        return NULL;
    }

    dtype = x->dtype;

    if (aten_dtype(t, arg[2], &dtype) != 0) {
        return NULL;
    }

    return aten_new(t, aten_softmax(t, aten_cast(t, x, dtype), axis, log));
}

TORCH_KIND(softmax, softmax_kind, 0)
TORCH_KIND(log_softmax, softmax_kind, 1)


/* x divided by its norm is composed; this is for torch.norm and others. */
static torch_value_t *
vector_norm(torch_eval_t *t, torch_value_t *const *arg)
{
    double          p = 2;
    int64_t         keep = 0;
    uint32_t        axes;
    infer_value_t  *x;

    x = aten_float(t, arg[0]);

    if (x == NULL || aten_double(t, arg[1], &p) != 0
        || aten_axes(t, arg[2], x->rank, &axes) != 0
        || aten_int(t, arg[3], &keep) != 0)
    {
        return NULL;
    }

    if (p != 1 && p != 2) {
        torch_fail(t, "the norm of order %g is not supported", p);
        return NULL;
    }

    x = p == 2 ? aten_binary(t, INFER_MUL, x, x)
               : aten_unary(t, x, INFER_ABS);
    x = aten_reduce(t, x, INFER_REDUCE_SUM, axes, keep != 0);

    return aten_new(t, p == 2 ? aten_unary(t, x, INFER_SQRT) : x);
}


/* arg: input, p, train */
static torch_value_t *
dropout(torch_eval_t *t, torch_value_t *const *arg)
{
    double  p = 0.5;

    /* some models leave it on, with nothing to drop */
    return aten_double(t, arg[1], &p) != 0
           || (p != 0 && torch_check_training(t, arg[2]) != 0) ? NULL : arg[0];
}


const torch_builtin_t  torch_builtins_norm[] = {
    { "torch.batch_norm", "input weight bias running_mean running_var "
      "training momentum eps cudnn_enabled", batch_norm },
    { "torch.layer_norm", "input normalized_shape weight bias eps "
      "cudnn_enable", layer_norm },
    { "torch.group_norm", "input num_groups weight bias eps cudnn_enabled",
      group_norm },
    { "torch.instance_norm", "input weight bias running_mean running_var "
      "use_input_stats momentum eps cudnn_enabled", instance_norm },
    { "torch.softmax", "self dim dtype", softmax },
    { "torch.log_softmax", "self dim dtype", log_softmax },
    { "torch.norm", "self p dim keepdim", vector_norm },
    { "torch.linalg_vector_norm", "self ord dim keepdim", vector_norm },
    { "torch.dropout", "input p train", dropout },
    { "torch.feature_dropout", "input p train", dropout },
    { "torch.alpha_dropout", "input p train", dropout },
    { "torch.feature_alpha_dropout", "input p train", dropout },
    { NULL, NULL, NULL }
};
