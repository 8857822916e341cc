/*
 * Reductions over dimensions.
 */

#include <string.h>

#include "import/torch/aten.h"


/* arg: self, dim, keepdim, dtype */
static torch_value_t *
reduce(torch_eval_t *t, torch_value_t *const *arg, infer_reduce_kind_t kind)
{
    int64_t         keep = 0;
    uint32_t        axes;
    infer_value_t  *x;
    infer_dtype_t   dtype;

    x = aten_tensor(t, arg[0]);
    if (x == NULL) {
        return NULL;
    }

    /* integers and booleans add up to int64 */
    dtype = kind == INFER_REDUCE_SUM && !aten_is_float(x->dtype) ? INFER_I64
                                                                 : x->dtype;

    if (aten_axes(t, arg[1], x->rank, &axes) != 0
        || aten_int(t, arg[2], &keep) != 0
        || aten_dtype(t, arg[3], &dtype) != 0)
    {
        return NULL;
    }

    return aten_new(t, aten_reduce(t, aten_cast(t, x, dtype), kind, axes,
                                   keep != 0));
}

TORCH_KIND(mean, reduce, INFER_REDUCE_MEAN)
TORCH_KIND(sum, reduce, INFER_REDUCE_SUM)
TORCH_KIND(amax, reduce, INFER_REDUCE_MAX)
TORCH_KIND(amin, reduce, INFER_REDUCE_MIN)


/* arg: self, dtype: over all dimensions */
static torch_value_t *
reduce_all(torch_eval_t *t, torch_value_t *const *arg,
    infer_reduce_kind_t kind)
{
    torch_value_t *const  all[] = { arg[0], NULL, NULL, arg[1] };

    return aten_is_tensor(arg[0])
           && (aten_is_none(arg[1]) || arg[1]->kind == TORCH_INT)
           ? reduce(t, all, kind) : TORCH_DECLINE;
}

TORCH_KIND(mean_all, reduce_all, INFER_REDUCE_MEAN)
TORCH_KIND(sum_all, reduce_all, INFER_REDUCE_SUM)


static torch_value_t *
extreme_all(torch_eval_t *t, torch_value_t *const *arg,
    infer_reduce_kind_t kind)
{
    torch_value_t *const  all[] = { arg[0], NULL };

    return reduce_all(t, all, kind);
}

TORCH_KIND(max_all, extreme_all, INFER_REDUCE_MAX)
TORCH_KIND(min_all, extreme_all, INFER_REDUCE_MIN)


static torch_value_t *
extreme_of_two(torch_eval_t *t, torch_value_t *const *arg,
    infer_binary_kind_t kind)
{
    infer_value_t  *a, *b;

    if (!aten_is_tensor(arg[0]) || !aten_is_tensor(arg[1])) {
        return TORCH_DECLINE;
    }

    return aten_promote(t, arg[0], arg[1], &a, &b) != 0 ? NULL
           : aten_new(t, aten_binary(t, kind, a, b));
}

TORCH_KIND(max_of_two, extreme_of_two, INFER_MAX)
TORCH_KIND(min_of_two, extreme_of_two, INFER_MIN)


/*
 * Where the maximum lies along a dimension: that of a max pool whose window is
 * the whole of it.
 */
static infer_value_t *
arg_max(torch_eval_t *t, infer_value_t *x, int axis, int keep)
{
    int             last, rank = 0;
    infer_dim_t     all, dim[INFER_MAX_RANK], flat[3];
    infer_param_t   p;
    infer_value_t  *out[2];

    last = x->rank - 1;

    for (int i = 0; i <= last; i++) {
        if (i != axis || keep) {
            dim[rank++] = i != axis ? x->dim[i] : infer_dim(1);
        }
    }

    memset(&p, 0, sizeof(p));
    p.pool.indices = 1;

    for (int i = 0; i < 3; i++) {
        p.pool.window.kernel[i] = p.pool.window.stride[i] = 1;
        p.pool.window.dilation[i] = 1;
    }

    flat[1] = x->dim[axis];
    flat[2] = infer_dim(1);

    if (flat[1].batch != 0 || flat[1].base < 1
        || infer_value_numel(x, &all) != 0
        || infer_dim_rest(all, flat[1], &flat[0]) != 0)
    {
        torch_fail(t, "cannot tell where the maximum lies");
        return NULL;
    }

    p.pool.window.kernel[2] = (int32_t) flat[1].base;
    p.pool.window.stride[2] = (int32_t) flat[1].base;

    if (axis != last) {
        int  perm[INFER_MAX_RANK];

        for (int i = 0; i <= last; i++) {
            perm[i] = i == last ? axis : i < axis ? i : i + 1;
        }

        x = aten_transpose(t, x, perm);
    }

    x = aten_reshape(t, aten_cast(t, x, INFER_F32), 3, flat);

    if (x == NULL || infer_graph_emit(t->g, INFER_OP_POOL, &p, t->place, &x, 1,
                                      out, 2) != 0)
    {
        return NULL;
    }

    x = aten_binary_number(t, INFER_MOD, out[1], (double) flat[1].base);

    return aten_reshape(t, x, rank, dim);
}


static torch_value_t *
argmax(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis = 0;
    int64_t         keep = 0;
    infer_dim_t     n;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_int(t, arg[2], &keep) != 0) {
        return NULL;
    }

    if (aten_is_none(arg[1])) {
        x = infer_value_numel(x, &n) == 0 ? aten_reshape(t, x, 1, &n) : NULL;
        keep = 0;

    } else {
        axis = aten_axis_of(t, arg[1], x);
    }

    return x == NULL || axis < 0 ? NULL
           : aten_new(t, arg_max(t, x, axis, keep != 0));
}


/* (values, indices) along a dimension; arg: self, dim, keepdim */
static torch_value_t *
extreme_along(torch_eval_t *t, torch_value_t *const *arg,
    infer_reduce_kind_t kind)
{
    int             axis;
    int64_t         keep = 0;
    infer_value_t  *x, *index;
    torch_value_t  *v, *both;

    if (!aten_is_tensor(arg[0]) || arg[1] == NULL
        || arg[1]->kind != TORCH_INT)
    {
        return TORCH_DECLINE;
    }

    x = arg[0]->tensor;
    axis = aten_axis_of(t, arg[1], x);
    both = torch_new(t->g, TORCH_TUPLE);

    if (axis < 0 || both == NULL
        || aten_int(t, arg[2], &keep) != 0)
    {
        return NULL;
    }

    v = aten_new(t, aten_reduce(t, x, kind, 1u << axis, keep != 0));

    if (v == NULL || torch_append(t->g, both, v) != 0) {
        return NULL;
    }

    index = kind == INFER_REDUCE_MAX ? x : aten_unary(t, x, INFER_NEG);
    v = index != NULL ? aten_new(t, arg_max(t, index, axis, keep != 0)) : NULL;

    return v != NULL && torch_append(t->g, both, v) == 0 ? both : NULL;
}

TORCH_KIND(max_along, extreme_along, INFER_REDUCE_MAX)
TORCH_KIND(min_along, extreme_along, INFER_REDUCE_MIN)


/* sum((x - mean)^2) / (n - correction) */
static torch_value_t *
variance(torch_eval_t *t, infer_value_t *x, uint32_t axes, int64_t correction,
    int keep, int root)
{
    int64_t         n = 1;
    infer_value_t  *y;

    for (int i = 0; i < x->rank; i++) {
        if ((axes >> i) & 1) {
            if (x->dim[i].batch != 0
                || __builtin_mul_overflow(n, x->dim[i].base, &n))
            {
                torch_fail(t, "a variance over the batch is not supported");
                return NULL;
            }
        }
    }

    y = aten_reduce(t, x, INFER_REDUCE_MEAN, axes, 1);
    y = aten_binary(t, INFER_SUB, x, y);
    y = aten_reduce(t, aten_binary(t, INFER_MUL, y, y), INFER_REDUCE_MEAN,
                    axes, keep);

    if (correction != 0) {
        y = aten_binary_number(t, INFER_MUL, y,
                               (double) n / (double) (n - correction));
    }

    return aten_new(t, root ? aten_unary(t, y, INFER_SQRT) : y);
}


/* arg: self, dim, unbiased, keepdim */
static torch_value_t *
deviation(torch_eval_t *t, torch_value_t *const *arg, int root)
{
    int64_t         unbiased = 1, keep = 0;
    uint32_t        axes;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    /* var(self, unbiased) */
    if (arg[1] != NULL && arg[1]->kind == TORCH_BOOL) {
        return x == NULL ? NULL
               : variance(t, x, (1u << x->rank) - 1, arg[1]->i, 0, root);
    }

    if (x == NULL || aten_axes(t, arg[1], x->rank, &axes) != 0
        || aten_int(t, arg[2], &unbiased) != 0
        || aten_int(t, arg[3], &keep) != 0)
    {
        return NULL;
    }

    return variance(t, x, axes, unbiased != 0, keep != 0, root);
}

TORCH_KIND(var, deviation, 0)
TORCH_KIND(std_, deviation, 1)


/* True where any is, where all are: as numbers. */
static torch_value_t *
truth(torch_eval_t *t, torch_value_t *const *arg, infer_reduce_kind_t kind)
{
    int64_t         keep = 0;
    uint32_t        axes;
    infer_value_t  *x;

    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = aten_cast(t, aten_cast(t, arg[0]->tensor, INFER_BOOL), INFER_I32);

    if (x == NULL || aten_axes(t, arg[1], x->rank, &axes) != 0
        || aten_int(t, arg[2], &keep) != 0)
    {
        return NULL;
    }

    return aten_new(t, aten_cast(t, aten_reduce(t, x, kind, axes, keep != 0),
                                 INFER_BOOL));
}

TORCH_KIND(any, truth, INFER_REDUCE_MAX)
TORCH_KIND(all, truth, INFER_REDUCE_MIN)


const torch_builtin_t  torch_builtins_reduce[] = {
    { "torch.mean", "self dtype", mean_all },
    { "torch.mean", "self dim keepdim dtype", mean },
    { "torch.sum", "self dtype", sum_all },
    { "torch.sum", "self dim keepdim dtype", sum },
    { "torch.amax", "self dim keepdim", amax },
    { "torch.amin", "self dim keepdim", amin },
    { "torch.max", "self", max_all },
    { "torch.max", "self other", max_of_two },
    { "torch.max", "self dim keepdim", max_along },
    { "torch.min", "self", min_all },
    { "torch.min", "self other", min_of_two },
    { "torch.min", "self dim keepdim", min_along },
    { "torch.argmax", "self dim keepdim", argmax },
    { "torch.var", "self dim unbiased keepdim", var },
    { "torch.std", "self dim unbiased keepdim", std_ },
    { "torch.any", "self dim keepdim", any },
    { "torch.all", "self dim keepdim", all },
    { NULL, NULL, NULL }
};
