/*
 * Elements picked by indices, booleans or triangles, and running sums:
 * operators that the IR has no node for, composed of those that it has.
 */

#include <string.h>

#include "import/torch/aten.h"


/* Of a running sum, which is a product with a triangle of ones. */
#define MAX_SUM  4096


/* 0 .. n - 1 */
static infer_value_t *
numbers_to(torch_eval_t *t, int64_t n)
{
    int64_t  *x;

    x = infer_graph_alloc(t->g, (size_t) (n + 1) * sizeof(*x));

    for (int64_t i = 0; x != NULL && i < n; i++) {
        x[i] = i;
    }

    return x != NULL ? infer_graph_constant(t->g, NULL, INFER_I64, 1, &n, x)
                     : NULL;
}


/* x with a dimension of one before the last, or behind it. */
static infer_value_t *
widened(torch_eval_t *t, infer_value_t *x, int behind)
{
    int          rank;
    infer_dim_t  dim[INFER_MAX_RANK];

    if (x == NULL || x->rank == INFER_MAX_RANK) {
        if (x != NULL) {
            torch_fail(t, "too many dimensions");
        }

        return NULL;
    }

    rank = x->rank;
    memcpy(dim, x->dim, (size_t) rank * sizeof(dim[0]));
    dim[rank] = behind ? infer_dim(1) : dim[rank - 1];
    dim[rank - 1] = behind ? dim[rank - 1] : infer_dim(1);

    return aten_reshape(t, x, rank + 1, dim);
}


/*
 * y[i, j] = x[i, index[i, j]]: of all elements of the dimension, those whose
 * number is not the index become 0, and what is left is their sum.
 */
static torch_value_t *
gather(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis, last;
    infer_value_t  *x, *y, *index, *mask;

    x = aten_tensor(t, arg[0]);
    index = x != NULL ? aten_tensor(t, arg[2]) : NULL;
    axis = index != NULL ? aten_axis_of(t, arg[1], x) : -1;

    if (axis < 0) {
        return NULL;
    }

    if (aten_check_index(t, index) != 0) {
        return NULL;
    }

    if (index->rank != x->rank || x->dim[axis].batch != 0
        || x->dim[axis].base < 1)
    {
        torch_fail(t, "this index of torch.gather is not supported");
        return NULL;
    }

    for (int i = 0; i < index->rank; i++) {
        if (i != axis && !infer_dim_equal(x->dim[i], index->dim[i])) {
            x = aten_narrow(t, x, i, infer_dim(0), index->dim[i]);
            if (x == NULL) {
                return NULL;
            }
        }
    }

    last = x->rank - 1;
    x = widened(t, aten_swap(t, x, axis, last), 0);
    index = widened(t, aten_swap(t, aten_cast(t, index, INFER_I64), axis,
                                 last), 1);
    if (x == NULL || index == NULL) {
        return NULL;
    }

    mask = aten_binary(t, INFER_EQUAL, index,
                       numbers_to(t, x->dim[x->rank - 1].base));
    y = aten_where(t, mask, x, aten_scalar(t, x, 0));
    y = aten_reduce(t, y, INFER_REDUCE_SUM, 1u << (last + 1), 0);

    return y != NULL ? aten_new(t, aten_swap(t, y, axis, last)) : NULL;
}


/* arg: self, dim, dtype */
static torch_value_t *
cumsum(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    float          *ones;
    int64_t         n, dim[2];
    infer_value_t  *x, *y;
    infer_dtype_t   dtype;

    x = aten_tensor(t, arg[0]);
    axis = x != NULL ? aten_axis_of(t, arg[1], x) : -1;

    if (axis < 0) {
        return NULL;
    }

    dtype = aten_is_float(x->dtype) ? x->dtype : INFER_I64;
    n = x->dim[axis].base;

    if (aten_dtype(t, arg[2], &dtype) != 0) {
        return NULL;
    }

    if (x->dim[axis].batch != 0 || n > MAX_SUM) {
        torch_fail(t, "torch.cumsum over the batch, or over more than %d "
                   "elements, is not supported", MAX_SUM);
        return NULL;
    }

    ones = infer_graph_alloc(t->g, (size_t) (n * n + 1) * sizeof(*ones));
    if (ones == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = i; k < n; k++) {
            ones[i * n + k] = 1;
        }
    }

    dim[0] = dim[1] = n;
    y = infer_graph_constant(t->g, NULL, INFER_F32, 2, dim, ones);
    y = y != NULL ? aten_cast(t, y, dtype) : NULL;

    x = aten_swap(t, aten_cast(t, x, dtype), axis, x->rank - 1);
    y = x != NULL && y != NULL ? aten_matmul(t, x, y, 0, 1) : NULL;

    return y != NULL ? aten_new(t, aten_swap(t, y, axis, y->rank - 1)) : NULL;
}


/* x[mask] = value, which is torch.index_put_(x, [mask], value). */
static torch_value_t *
index_put(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t         accumulate = 0;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_value_t  *x, *mask, *values;

    x = aten_tensor(t, arg[0]);
    values = x != NULL ? aten_tensor(t, arg[2]) : NULL;

    if (values == NULL || aten_int(t, arg[3], &accumulate) != 0) {
        return NULL;
    }

    if (arg[1] == NULL || arg[1]->kind != TORCH_LIST
        || arg[1]->items.n != 1 || !aten_is_tensor(arg[1]->items.item[0]))
    {
        return TORCH_DECLINE;
    }

    mask = arg[1]->items.item[0]->tensor;

    if (mask->dtype != INFER_BOOL || mask->rank > x->rank || accumulate
        || !infer_value_is_one(values))
    {
        torch_fail(t, "elements are only set where a mask of booleans says "
                   "so, to one number");
        return NULL;
    }

    for (int i = 0; i < x->rank; i++) {
        dim[i] = i < mask->rank ? mask->dim[i] : infer_dim(1);
    }

    values = aten_reshape(t, aten_cast(t, values, x->dtype), 0, NULL);

    return aten_new(t, aten_where(t, aten_reshape(t, mask, x->rank, dim),
                                  values, x));
}


/* Of the last two dimensions, what is not below (above) a diagonal. */
static torch_value_t *
triangle(torch_eval_t *t, torch_value_t *const *arg, int upper)
{
    int64_t         diagonal = 0, dim[2];
    infer_value_t  *x, *mask;
    unsigned char  *keep;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_int(t, arg[1], &diagonal) != 0) {
        return NULL;
    }

    if (x->rank < 2 || x->dim[x->rank - 2].batch != 0
        || x->dim[x->rank - 1].batch != 0 || diagonal > INT32_MAX
        || diagonal < INT32_MIN)
    {
        return TORCH_DECLINE;
    }

    dim[0] = x->dim[x->rank - 2].base;
    dim[1] = x->dim[x->rank - 1].base;

    keep = infer_graph_alloc(t->g, (size_t) (dim[0] * dim[1] + 1));
    if (keep == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < dim[0]; i++) {
        for (int64_t k = 0; k < dim[1]; k++) {
            keep[i * dim[1] + k] = upper ? k >= i + diagonal
                                         : k <= i + diagonal;
        }
    }

    mask = infer_graph_constant(t->g, NULL, INFER_BOOL, 2, dim, keep);

    return aten_new(t, aten_where(t, mask, x, aten_scalar(t, x, 0)));
}

TORCH_KIND(triu, triangle, 1)
TORCH_KIND(tril, triangle, 0)


const torch_builtin_t  torch_builtins_gather[] = {
    { "torch.gather", "self dim index sparse_grad", gather },
    { "torch.cumsum", "self dim dtype", cumsum },
    { "torch.index_put", "self indices values accumulate", index_put },
    { "torch.triu", "self diagonal", triu },
    { "torch.tril", "self diagonal", tril },
    { NULL, NULL, NULL }
};
