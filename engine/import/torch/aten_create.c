/*
 * Tensors that code makes, and what is written into tensors.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


static torch_value_t *
filled(torch_eval_t *t, int rank, const infer_dim_t *dim,
    infer_dtype_t dtype, double number)
{
    return aten_new(t, aten_expand(t, infer_emit_scalar(t->g, t->place, dtype,
                                                        number), rank, dim));
}


/* arg: size, dtype */
static torch_value_t *
constant(torch_eval_t *t, torch_value_t *const *arg, int number)
{
    int            rank;
    infer_dim_t    dim[INFER_MAX_RANK];
    infer_dtype_t  dtype = INFER_F32;

    rank = aten_dims(t, arg[0], dim, INFER_MAX_RANK);

    return rank < 0 || aten_dtype(t, arg[1], &dtype) != 0 ? NULL
           : filled(t, rank, dim, dtype, number);
}

TORCH_KIND(zeros, constant, 0)
TORCH_KIND(ones, constant, 1)


/* Of the dtype that a number has, unless one is given. */
static infer_dtype_t
natural_dtype(const torch_value_t *v)
{
    return v == NULL ? INFER_F32
           : v->kind == TORCH_TENSOR ? v->tensor->dtype
           : v->kind == TORCH_INT ? INFER_I64
           : v->kind == TORCH_BOOL ? INFER_BOOL : INFER_F32;
}


static torch_value_t *
full(torch_eval_t *t, torch_value_t *const *arg)
{
    int            rank;
    double         number = 0;
    infer_dim_t    dim[INFER_MAX_RANK];
    infer_dtype_t  dtype;

    rank = aten_dims(t, arg[0], dim, INFER_MAX_RANK);
    dtype = natural_dtype(arg[1]);

    return rank < 0 || aten_double(t, arg[1], &number) != 0
           || aten_dtype(t, arg[2], &dtype) != 0 ? NULL
           : filled(t, rank, dim, dtype, number);
}


/* arg: self, dtype */
static torch_value_t *
constant_like(torch_eval_t *t, torch_value_t *const *arg, int number)
{
    infer_value_t  *x;
    infer_dtype_t   dtype;

    x = aten_tensor(t, arg[0]);
    dtype = x != NULL ? x->dtype : INFER_F32;

    return x == NULL || aten_dtype(t, arg[1], &dtype) != 0 ? NULL
           : filled(t, x->rank, x->dim, dtype, number);
}

TORCH_KIND(zeros_like, constant_like, 0)
TORCH_KIND(ones_like, constant_like, 1)


static torch_value_t *
full_like(torch_eval_t *t, torch_value_t *const *arg)
{
    double          number = 0;
    infer_value_t  *x;
    infer_dtype_t   dtype;

    x = aten_tensor(t, arg[0]);
    dtype = x != NULL ? x->dtype : INFER_F32;

    return x == NULL || aten_double(t, arg[1], &number) != 0
           || aten_dtype(t, arg[2], &dtype) != 0 ? NULL
           : filled(t, x->rank, x->dim, dtype, number);
}


/* arg: self, size, dtype */
static torch_value_t *
new_constant(torch_eval_t *t, torch_value_t *const *arg, int number)
{
    int             rank;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x;
    infer_dtype_t   dtype;

    x = aten_tensor(t, arg[0]);
    rank = x != NULL ? aten_dims(t, arg[1], dim, INFER_MAX_RANK) : -1;
    dtype = x != NULL ? x->dtype : INFER_F32;

    return rank < 0 || aten_dtype(t, arg[2], &dtype) != 0 ? NULL
           : filled(t, rank, dim, dtype, number);
}

TORCH_KIND(new_zeros, new_constant, 0)
TORCH_KIND(new_ones, new_constant, 1)


static torch_value_t *
new_full(torch_eval_t *t, torch_value_t *const *arg)
{
    double          number = 0;
    torch_value_t  *v;

    v = aten_double(t, arg[2], &number) == 0
        ? new_constant(t, (torch_value_t *const []) { arg[0], arg[1],
                                                      arg[3] }, 0) : NULL;

    return v == NULL ? NULL
           : filled(t, v->tensor->rank, v->tensor->dim, v->tensor->dtype,
                    number);
}


/* start, start + step, .. before end */
static torch_value_t *
range(torch_eval_t *t, const torch_value_t *start, const torch_value_t *end,
    const torch_value_t *step, const torch_value_t *type)
{
    double          from = 0, to = 0, by = 1, n;
    double         *x;
    int64_t         dim;
    infer_dtype_t   dtype = INFER_I64;

    if (aten_double(t, start, &from) != 0 || aten_double(t, end, &to) != 0
        || aten_double(t, step, &by) != 0)
    {
        return NULL;
    }

    if ((start != NULL && start->kind == TORCH_FLOAT)
        || (end != NULL && end->kind == TORCH_FLOAT)
        || (step != NULL && step->kind == TORCH_FLOAT))
    {
        dtype = INFER_F32;
    }

    n = ceil((to - from) / by);

    if (aten_dtype(t, type, &dtype) != 0 || !(n >= 0 && n < 1 << 24)) {
        torch_fail(t, "a range is not supported");
        return NULL;
    }

    dim = (int64_t) n;
    x = infer_graph_alloc(t->g, (size_t) dim * sizeof(*x) + 1);

    if (x == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < dim; i++) {
        x[i] = from + (double) i * by;
    }

    return aten_new(t, aten_cast(t, infer_graph_constant(t->g, NULL, INFER_F64,
                                                         1, &dim, x), dtype));
}


static torch_value_t *
arange(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[1] == NULL ? range(t, NULL, arg[0], NULL, arg[3])
                          : range(t, arg[0], arg[1], arg[2], arg[3]);
}


/* A number, or lists of lists of them, one below the other. */
static infer_value_t *
from_list(torch_eval_t *t, const torch_value_t *v, infer_dtype_t dtype,
    int depth)
{
    infer_dim_t      dim[INFER_MAX_RANK];
    infer_value_t  **in;

    if (v == NULL || depth == INFER_MAX_RANK) {
        torch_fail(t, "torch.tensor is given no numbers");
        return NULL;
    }

    if (v->kind != TORCH_LIST && v->kind != TORCH_TUPLE) {
        return aten_cast(t, aten_operand(t, v), dtype);
    }

    if (v->items.n == 0) {
        dim[0] = infer_dim(0);
        return filled(t, 1, dim, dtype, 0)->tensor;
    }

    in = infer_graph_alloc(t->g, v->items.n * sizeof(*in));

    for (size_t i = 0; in != NULL && i < v->items.n; i++) {
        in[i] = from_list(t, v->items.item[i], dtype, depth + 1);
        if (in[i] == NULL) {
            return NULL;
        }

        dim[0] = infer_dim(1);
        memcpy(dim + 1, in[i]->dim, (size_t) in[i]->rank * sizeof(dim[0]));
        in[i] = aten_reshape(t, in[i], in[i]->rank + 1, dim);
        if (in[i] == NULL) {
            return NULL;
        }
    }

    return in != NULL ? aten_concat(t, in, (int) v->items.n, 0) : NULL;
}


static torch_value_t *
tensor(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_dtype_t         dtype;
    const torch_value_t  *v = arg[0];

    while (v != NULL && (v->kind == TORCH_LIST || v->kind == TORCH_TUPLE)) {
        v = v->items.n > 0 ? v->items.item[0] : NULL;
    }

    dtype = natural_dtype(v);

    return aten_dtype(t, arg[1], &dtype) != 0 ? NULL
           : aten_new(t, from_list(t, arg[0], dtype, 0));
}


/* ---- into tensors ----------------------------------------------------- */

static torch_value_t *
write(torch_eval_t *t, torch_value_t *v, infer_value_t *y)
{
    infer_value_t  *x = v->tensor;

    y = aten_expand(t, aten_cast(t, y, x->dtype), x->rank, x->dim);

    return y != NULL ? torch_write(t, v, y) : NULL;
}


static torch_value_t *
copy_(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_is_tensor(arg[0])
           ? write(t, arg[0], aten_operand(t, arg[1])) : TORCH_DECLINE;
}


static torch_value_t *
zero_(torch_eval_t *t, torch_value_t *const *arg)
{
    return aten_is_tensor(arg[0])
           ? write(t, arg[0], aten_scalar(t, arg[0]->tensor, 0))
           : TORCH_DECLINE;
}


#define REST  " layout device pin_memory memory_format requires_grad"

const torch_builtin_t  torch_builtins_create[] = {
    { "torch.zeros", "size dtype" REST, zeros },
    { "torch.ones", "size dtype" REST, ones },
    { "torch.empty", "size dtype" REST, zeros },
    { "torch.full", "size fill_value dtype" REST, full },
    { "torch.zeros_like", "self dtype" REST, zeros_like },
    { "torch.ones_like", "self dtype" REST, ones_like },
    { "torch.empty_like", "self dtype" REST, zeros_like },
    { "torch.full_like", "self fill_value dtype" REST, full_like },
    { "torch.new_zeros", "self size dtype" REST, new_zeros },
    { "torch.new_ones", "self size dtype" REST, new_ones },
    { "torch.new_full", "self size fill_value dtype" REST, new_full },
    { "torch.arange", "start end step dtype" REST, arange },
    { "torch.tensor", "data dtype device requires_grad", tensor },
    { "torch.scalar_tensor", "s dtype" REST, tensor },
    { "torch.copy_", "self src non_blocking", copy_ },
    { "torch.fill_", "self value", copy_ },
    { "torch.zero_", "self", zero_ },
    { NULL, NULL, NULL }
};
