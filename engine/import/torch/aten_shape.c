/*
 * Operators that give the same elements another shape or order, or repeat
 * them.
 */

#include <string.h>

#include "import/torch/aten.h"


/* One -1 in dim[] takes what is left. */
static infer_value_t *
reshape_to(torch_eval_t *t, infer_value_t *x, int rank, infer_dim_t *dim)
{
    int          open = -1;
    infer_dim_t  all, part = infer_dim(1);

    for (int i = 0; i < rank; i++) {
        if (infer_dim_is(dim[i], -1)) {
            if (open != -1) {
                torch_fail(t, "the shape has two dimensions -1");
                return NULL;
            }

            open = i;

        } else if (dim[i].base + dim[i].batch < 0 || dim[i].batch < 0
                   || infer_dim_mul(part, dim[i], &part) != 0)
        {
            torch_fail(t, "dimension %d of the shape is wrong", i);
            return NULL;
        }
    }

    if (infer_value_numel(x, &all) != 0
        || (open != -1 && infer_dim_rest(all, part, &dim[open]) != 0))
    {
        torch_fail(t, "the input's elements cannot be shared out over the "
                   "shape");
        return NULL;
    }

    return aten_reshape(t, x, rank, dim);
}


static torch_value_t *
view(torch_eval_t *t, torch_value_t *const *arg)
{
    int             rank;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    rank = x != NULL ? aten_dims(t, arg[1], dim, INFER_MAX_RANK) : -1;

    return rank < 0 ? NULL
           : aten_view(t, arg[0], reshape_to(t, x, rank, dim));
}


static torch_value_t *
view_as(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x, *other;

    x = aten_tensor(t, arg[0]);
    other = x != NULL ? aten_tensor(t, arg[1]) : NULL;

    return other == NULL ? NULL
           : aten_view(t, arg[0], aten_reshape(t, x, other->rank,
                                               other->dim));
}


static torch_value_t *
flatten(torch_eval_t *t, torch_value_t *const *arg)
{
    int             first, last = -1, rank = 0;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    first = x != NULL ? aten_axis(t, arg[1], x->rank) : -1;

    if (first >= 0) {
        last = !aten_is_none(arg[2]) ? aten_axis(t, arg[2], x->rank)
               : x->rank > 0 ? x->rank - 1 : 0;
    }

    if (last < 0) {
        return NULL;
    }

    if (x->rank == 0) {
        dim[0] = infer_dim(1);
        return aten_view(t, arg[0], aten_reshape(t, x, 1, dim));
    }

    for (int i = 0; i < x->rank; i++) {
        if (i <= first || i > last) {
            dim[rank++] = x->dim[i];

        } else if (infer_dim_mul(dim[rank - 1], x->dim[i], &dim[rank - 1])
                   != 0)
        {
            torch_fail(t, "the size does not follow the batch linearly");
            return NULL;
        }
    }

    return aten_view(t, arg[0], aten_reshape(t, x, rank, dim));
}


static torch_value_t *
unflatten(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis, n, rank;
    infer_dim_t     dim[INFER_MAX_RANK], size[INFER_MAX_RANK], rest;
    infer_dim_t     part = infer_dim(1);
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[1], x);
    n = axis >= 0 ? aten_dims(t, arg[2], size, INFER_MAX_RANK) : -1;

    if (n < 0 || x->rank - 1 + n > INFER_MAX_RANK) {
        return n < 0 ? NULL : TORCH_DECLINE;
    }

    for (int i = 0; i < n; i++) {
        if (!infer_dim_is(size[i], -1)
            && infer_dim_mul(part, size[i], &part) != 0)
        {
            return TORCH_DECLINE;
        }
    }

    rest = infer_dim(1);

    if (infer_dim_rest(x->dim[axis], part, &rest) != 0) {
        torch_fail(t, "dimension %d cannot be shared out", axis);
        return NULL;
    }

    rank = 0;

    for (int i = 0; i < x->rank; i++) {
        if (i != axis) {
            dim[rank++] = x->dim[i];
            continue;
        }

        for (int k = 0; k < n; k++) {
            dim[rank++] = infer_dim_is(size[k], -1) ? rest : size[k];
        }
    }

    return aten_view(t, arg[0], reshape_to(t, x, rank, dim));
}


/* Dimensions of one element go: all, or one that is named. */
static torch_value_t *
squeeze(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis = -1, rank = 0;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x != NULL && !aten_is_none(arg[1])) {
        axis = aten_axis(t, arg[1], x->rank);
        if (axis < 0) {
            return NULL;
        }
    }

    for (int i = 0; x != NULL && i < x->rank; i++) {
        if ((axis >= 0 && i != axis) || !infer_dim_is(x->dim[i], 1)) {
            dim[rank++] = x->dim[i];
        }
    }

    return x == NULL ? NULL
           : aten_view(t, arg[0], aten_reshape(t, x, rank, dim));
}


static torch_value_t *
unsqueeze(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    infer_dim_t     dim[INFER_MAX_RANK + 1];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = x != NULL ? aten_axis(t, arg[1], x->rank + 1) : -1;

    if (axis < 0 || x->rank == INFER_MAX_RANK) {
        return axis < 0 ? NULL : TORCH_DECLINE;
    }

    for (int i = 0; i <= x->rank; i++) {
        dim[i] = i == axis ? infer_dim(1) : x->dim[i < axis ? i : i - 1];
    }

    return aten_view(t, arg[0], aten_reshape(t, x, x->rank + 1, dim));
}


static torch_value_t *
permute(torch_eval_t *t, torch_value_t *const *arg)
{
    int             n, perm[INFER_MAX_RANK];
    int64_t         list[INFER_MAX_RANK];
    uint32_t        seen = 0;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    n = x != NULL ? aten_ints(t, arg[1], list, INFER_MAX_RANK) : -1;

    if (n < 0) {
        return NULL;
    }

    for (int i = 0; i < n && n == x->rank; i++) {
        if (list[i] < -n || list[i] >= n) {
            break;
        }

        perm[i] = (int) (list[i] < 0 ? list[i] + n : list[i]);
        seen |= 1u << perm[i];
    }

    if (n != x->rank || seen != (1u << n) - 1) {
        torch_fail(t, "no permutation of %d dimensions", x->rank);
        return NULL;
    }

    return aten_view(t, arg[0], aten_transpose(t, x, perm));
}


static torch_value_t *
transpose(torch_eval_t *t, torch_value_t *const *arg)
{
    int             a, b;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    a = x != NULL ? aten_axis(t, arg[1], x->rank) : -1;
    b = a >= 0 ? aten_axis(t, arg[2], x->rank) : -1;

    return b < 0 ? NULL : aten_view(t, arg[0], aten_swap(t, x, a, b));
}


static torch_value_t *
transpose_matrix(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || x->rank > 2) {
        return x == NULL ? NULL : TORCH_DECLINE;
    }

    return aten_view(t, arg[0], x->rank < 2 ? x : aten_swap(t, x, 0, 1));
}


/* -1 keeps a dimension. */
static torch_value_t *
expand(torch_eval_t *t, torch_value_t *const *arg)
{
    int             k, rank;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    rank = x != NULL ? aten_dims(t, arg[1], dim, INFER_MAX_RANK) : -1;

    if (rank < 0) {
        return NULL;
    }

    for (int i = 0; i < rank; i++) {
        k = i - (rank - x->rank);

        if (infer_dim_is(dim[i], -1) && k >= 0) {
            dim[i] = x->dim[k];
        }
    }

    return aten_view(t, arg[0], aten_expand(t, x, rank, dim));
}


static torch_value_t *
expand_as(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x, *other;

    x = aten_tensor(t, arg[0]);
    other = x != NULL ? aten_tensor(t, arg[1]) : NULL;

    return other == NULL ? NULL
           : aten_view(t, arg[0], aten_expand(t, x, other->rank, other->dim));
}


static torch_value_t *
repeat(torch_eval_t *t, torch_value_t *const *arg)
{
    int             n, added;
    int64_t         times[INFER_MAX_RANK];
    infer_dim_t     count[INFER_MAX_RANK], dim[INFER_MAX_RANK];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    n = x != NULL ? aten_dims(t, arg[1], count, INFER_MAX_RANK) : -1;

    if (n < 0 || n < x->rank) {
        return n < 0 ? NULL : TORCH_DECLINE;
    }

    added = n - x->rank;

    for (int i = 0; i < n; i++) {
        dim[i] = i < added ? infer_dim(1) : x->dim[i - added];
        times[i] = count[i].base;

        /* one element to many: broadcast, which may follow the batch */
        if (infer_dim_is(dim[i], 1)) {
            times[i] = 1;
        } else if (count[i].batch != 0) {
            return TORCH_DECLINE;
        }
    }

    x = aten_reshape(t, x, n, dim);

    for (int i = 0; i < n && x != NULL; i++) {
        x = infer_emit_repeat(t->g, t->place, x, i, times[i]);
        dim[i] = x != NULL && infer_dim_is(x->dim[i], 1) ? count[i]
                 : x != NULL ? x->dim[i] : dim[i];
    }

    return aten_new(t, aten_expand(t, x, n, dim));
}


static torch_value_t *
itself(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) t;

    return aten_is_tensor(arg[0]) ? arg[0] : TORCH_DECLINE;
}


static torch_value_t *
copy_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_is_tensor(arg[0]) ? aten_new(t, arg[0]->tensor)
                                  : TORCH_DECLINE;
}


const torch_builtin_t  torch_builtins_shape[] = {
    { "torch.view", "self size", view },
    { "torch.view_as", "self other", view_as },
    { "torch.reshape", "self shape", view },
    { "torch.reshape_as", "self other", view_as },
    { "torch._unsafe_view", "self size", view },
    { "torch.flatten", "self start_dim end_dim", flatten },
    { "torch.unflatten", "self dim sizes", unflatten },
    { "torch.squeeze", "self dim", squeeze },
    { "torch.unsqueeze", "self dim", unsqueeze },
    { "torch.permute", "self dims", permute },
    { "torch.transpose", "self dim0 dim1", transpose },
    { "torch.swapaxes", "self dim0 dim1", transpose },
    { "torch.swapdims", "self dim0 dim1", transpose },
    { "torch.t", "self", transpose_matrix },
    { "torch.numpy_T", "self", transpose_matrix },
    { "torch.expand", "self size implicit", expand },
    { "torch.expand_as", "self other", expand_as },
    { "torch.repeat", "self repeats", repeat },
    { "torch.contiguous", "self memory_format", itself },
    { "torch.detach", "self", itself },
    { "torch.alias", "self", itself },
    { "torch.lift_fresh", "self", itself },
    { "torch.cpu", "self", itself },
    { "torch.requires_grad_", "self requires_grad", itself },
    { "torch.clone", "self memory_format", copy_of },
    { NULL, NULL, NULL }
};
