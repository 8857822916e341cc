/*
 * What the operators of tensors share: their arguments as tensors, numbers,
 * dimensions and dtypes, and nodes that several families append.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


static infer_value_t *number_constant(torch_eval_t *t, const torch_value_t *v,
    infer_dtype_t dtype);
static infer_dtype_t number_dtype(const torch_value_t *v);
static infer_dtype_t kind_of(const torch_value_t *v, const infer_value_t *x);
static int category(infer_dtype_t dtype);
static int priority(const torch_value_t *v);


infer_value_t *
aten_tensor(torch_eval_t *t, const torch_value_t *v)
{
    if (!aten_is_tensor(v)) {
        torch_fail(t, "a %s is given where a tensor is needed",
                   v == NULL ? "None" : torch_kind_name(v->kind));
        return NULL;
    }

    return v->tensor;
}


infer_value_t *
aten_float(torch_eval_t *t, const torch_value_t *v)
{
    infer_value_t  *x;

    x = aten_operand(t, v);

    return x != NULL && !aten_is_float(x->dtype) ? aten_cast(t, x, INFER_F32)
                                                 : x;
}


infer_value_t *
aten_constant(torch_eval_t *t, const torch_value_t *v, const char *what)
{
    infer_value_t  *x;

    x = aten_tensor(t, v);

    if (x != NULL && !infer_value_is_constant(x)) {
        torch_fail(t, "%s is not constant, which is not supported", what);
        return NULL;
    }

    return x;
}


int
aten_check_index(torch_eval_t *t, const infer_value_t *x)
{
    infer_graph_t        *g = t->g;
    const infer_value_t  *v = x;

    if (t->choosing && x->data == NULL) {
        return torch_fail(t, "indices are computed on one side of a decision "
                          "that depends on the data of a tensor, which is not "
                          "supported");
    }

    if (!aten_is_float(x->dtype)) {
        return 0;
    }

    while (v->producer != NULL && v->producer->n_in > 0
           && v->producer->in[0] != NULL)
    {
        v = v->producer->in[0];
    }

    for (size_t i = 0; i < g->n_inputs && i < TORCH_MAX_ARGS; i++) {
        if (g->input[i].value == v && !t->integers[i]) {
            t->integers[i] = 1;
            t->recast = 1;
        }
    }

    return torch_fail(t, "indices are floats");
}


torch_value_t *
aten_new(torch_eval_t *t, infer_value_t *y)
{
    return y != NULL ? torch_tensor(t->g, y) : NULL;
}


torch_value_t *
aten_view(torch_eval_t *t, torch_value_t *base, infer_value_t *y)
{
    return y != NULL ? torch_view(t->g, base, y) : NULL;
}


int
aten_dim(torch_eval_t *t, const torch_value_t *v, infer_dim_t *x)
{
    if (aten_is_none(v)) {
        return 0;
    }

    if (v->kind == TORCH_INT || v->kind == TORCH_BOOL) {
        x->base = v->i;
        x->batch = v->kind == TORCH_INT ? v->batch : 0;
        return 0;
    }

    if (v->kind == TORCH_TENSOR) {
        return infer_value_dims(t->g, v->tensor, x, 1) == 1 ? 0 : -1;
    }

    return torch_fail(t, "a %s is given where an integer is needed",
                      torch_kind_name(v->kind));
}


int
aten_int(torch_eval_t *t, const torch_value_t *v, int64_t *x)
{
    infer_dim_t  dim = infer_dim(*x);

    if (aten_dim(t, v, &dim) != 0) {
        return -1;
    }

    if (dim.batch != 0) {
        return torch_fail(t, "a number that follows the batch size is not "
                          "supported here");
    }

    *x = dim.base;

    return 0;
}


int
aten_double(torch_eval_t *t, const torch_value_t *v, double *x)
{
    int64_t         i = 0;
    infer_dim_t     n;
    infer_value_t  *y;

    if (aten_is_none(v)) {
        return 0;
    }

    if (v->kind == TORCH_FLOAT) {
        *x = v->f;
        return 0;
    }

    if (v->kind == TORCH_TENSOR) {
        y = aten_cast(t, v->tensor, INFER_F64);

        if (y == NULL || y->data == NULL || y->varied[0] != NULL
            || infer_value_numel(y, &n) != 0 || !infer_dim_is(n, 1))
        {
            return torch_fail(t, "a number is computed from the input, which "
                              "is not supported here");
        }

        memcpy(x, y->data, sizeof(*x));
        return 0;
    }

    if (aten_int(t, v, &i) != 0) {
        return -1;
    }

    *x = (double) i;

    return 0;
}


int
aten_dims(torch_eval_t *t, const torch_value_t *v, infer_dim_t *x, int max)
{
    if (aten_is_none(v)) {
        return 0;
    }

    if (v->kind != TORCH_LIST && v->kind != TORCH_TUPLE) {
        return max < 1 || aten_dim(t, v, x) != 0 ? -1 : 1;
    }

    if (v->items.n > (size_t) max) {
        return torch_fail(t, "a list has %zu elements, more than %d",
                          v->items.n, max);
    }

    for (size_t i = 0; i < v->items.n; i++) {
        if (aten_is_none(v->items.item[i])) {
            return torch_fail(t, "None is given where an integer is needed");
        }

        if (aten_dim(t, v->items.item[i], &x[i]) != 0) {
            return -1;
        }
    }

    return (int) v->items.n;
}


int
aten_ints(torch_eval_t *t, const torch_value_t *v, int64_t *x, int max)
{
    int          n;
    infer_dim_t  dim[2 * INFER_MAX_RANK];

    n = aten_dims(t, v, dim, max < 2 * INFER_MAX_RANK ? max
                                                      : 2 * INFER_MAX_RANK);

    for (int i = 0; i < n; i++) {
        if (dim[i].batch != 0) {
            return torch_fail(t, "a number that follows the batch size is not "
                              "supported here");
        }

        x[i] = dim[i].base;
    }

    return n;
}


int
aten_axis(torch_eval_t *t, const torch_value_t *v, int rank)
{
    int64_t  axis = 0;

    if (aten_int(t, v, &axis) != 0) {
        return -1;
    }

    rank = rank > 0 ? rank : 1;

    if (axis < -rank || axis >= rank) {
        return torch_fail(t, "dimension %lld is not in -%d .. %d",
                          (long long) axis, rank, rank - 1);
    }

    return (int) (axis < 0 ? axis + rank : axis);
}


int
aten_axis_of(torch_eval_t *t, const torch_value_t *v, const infer_value_t *x)
{
    if (x == NULL) {
        return -1;
    }

    return x->rank > 0 ? aten_axis(t, v, x->rank)
           : torch_fail(t, "the tensor has no dimensions");
}


int
aten_axes(torch_eval_t *t, const torch_value_t *v, int rank, uint32_t *axes)
{
    int      n;
    int64_t  axis[INFER_MAX_RANK];

    n = aten_ints(t, v, axis, INFER_MAX_RANK);
    *axes = n == 0 ? (1u << rank) - 1 : 0;

    for (int i = 0; i < n; i++) {
        if (axis[i] < -rank || axis[i] >= rank) {
            return torch_fail(t, "dimension %lld is not in -%d .. %d",
                              (long long) axis[i], rank, rank - 1);
        }

        *axes |= 1u << (axis[i] < 0 ? axis[i] + rank : axis[i]);
    }

    return n < 0 ? -1 : 0;
}


int
aten_dtype(torch_eval_t *t, const torch_value_t *v, infer_dtype_t *dtype)
{
    int64_t  i = -1;

    /* c10::ScalarType */
    static const int  dtypes[] = {
        INFER_U8, INFER_I8, INFER_I16, INFER_I32, INFER_I64, INFER_F16,
        INFER_F32, INFER_F64, -1, -1, -1, INFER_BOOL, -1, -1, -1, INFER_BF16
    };

    if (aten_is_none(v)) {
        return 0;
    }

    if (aten_int(t, v, &i) != 0) {
        return -1;
    }

    if (i < 0 || i >= (int64_t) (sizeof(dtypes) / sizeof(dtypes[0]))
        || dtypes[i] < 0)
    {
        return torch_fail(t, "the dtype of number %lld is not supported",
                          (long long) i);
    }

    *dtype = (infer_dtype_t) dtypes[i];

    return 0;
}


infer_value_t *
aten_operand(torch_eval_t *t, const torch_value_t *v)
{
    if (v != NULL && (v->kind == TORCH_BOOL || v->kind == TORCH_INT
                      || v->kind == TORCH_FLOAT))
    {
        return number_constant(t, v, number_dtype(v));
    }

    return aten_tensor(t, v);
}


/* An integer may follow the batch: it is known at three sizes. */
static infer_value_t *
number_constant(torch_eval_t *t, const torch_value_t *v, infer_dtype_t dtype)
{
    int64_t        *x;
    infer_value_t  *y;

    if (v->kind == TORCH_FLOAT) {
        return infer_emit_scalar(t->g, t->place, dtype, v->f);
    }

    x = infer_graph_alloc(t->g, 3 * sizeof(*x));
    if (x == NULL) {
        return NULL;
    }

    y = infer_graph_constant(t->g, NULL, INFER_I64, 0, NULL, x);
    x[0] = v->i;

    if (y != NULL && v->kind == TORCH_INT && v->batch != 0) {
        for (int b = 0; b < 3; b++) {
            if (__builtin_mul_overflow(v->batch, b + 1, &x[b])
                || __builtin_add_overflow(x[b], v->i, &x[b]))
            {
                torch_fail(t, "a number is out of range");
                return NULL;
            }
        }

        y->varied[0] = &x[1];
        y->varied[1] = &x[2];
    }

    return aten_cast(t, y, dtype);
}


static infer_dtype_t
number_dtype(const torch_value_t *v)
{
    return v->kind == TORCH_FLOAT ? INFER_F32
           : v->kind == TORCH_BOOL ? INFER_BOOL : INFER_I64;
}


/*
 * The operand whose kind counts first wins, unless the other's category (bool,
 * integer, float) is higher.
 */
int
aten_promote(torch_eval_t *t, const torch_value_t *a, const torch_value_t *b,
    infer_value_t **x, infer_value_t **y)
{
    int            first, second;
    infer_dtype_t  dtype, p, q;

    *x = aten_operand(t, a);
    *y = *x != NULL ? aten_operand(t, b) : NULL;

    if (*y == NULL) {
        return -1;
    }

    first = priority(a);
    second = priority(b);
    p = kind_of(a, *x);
    q = kind_of(b, *y);

    if (first == second) {
        dtype = aten_common(p, q);

    } else if (first > second) {
        dtype = category(q) > category(p) ? q : p;

    } else {
        dtype = category(p) > category(q) ? p : q;
    }

    *x = aten_cast(t, *x, dtype);
    *y = aten_cast(t, *y, dtype);

    return *x != NULL && *y != NULL ? 0 : -1;
}


/* A number of traced code is a constant of float64: a float is meant. */
static infer_dtype_t
kind_of(const torch_value_t *v, const infer_value_t *x)
{
    return v->kind == TORCH_TENSOR && x->rank == 0 && x->dtype == INFER_F64
           && infer_value_is_constant(x) ? INFER_F32 : x->dtype;
}


static int
priority(const torch_value_t *v)
{
    return v->kind != TORCH_TENSOR ? 0 : v->tensor->rank > 0 ? 2 : 1;
}


static int
category(infer_dtype_t dtype)
{
    return dtype == INFER_BOOL ? 0 : aten_is_float(dtype) ? 2 : 1;
}


infer_dtype_t
aten_common(infer_dtype_t a, infer_dtype_t b)
{
    static const int  width[INFER_DTYPES] = {
        [INFER_BOOL] = 0, [INFER_U8] = 1, [INFER_I8] = 2, [INFER_I16] = 3,
        [INFER_I32] = 4, [INFER_I64] = 5, [INFER_F16] = 6, [INFER_BF16] = 7,
        [INFER_F32] = 8, [INFER_F64] = 9
    };

    if (width[a] > width[b]) {
        return aten_common(b, a);
    }

    return a == INFER_U8 && b == INFER_I8 ? INFER_I16
           : a == INFER_F16 && b == INFER_BF16 ? INFER_F32 : b;
}


infer_value_t *
aten_scalar(torch_eval_t *t, const infer_value_t *x, double number)
{
    return x != NULL ? infer_emit_scalar(t->g, t->place, x->dtype, number)
                     : NULL;
}


infer_value_t *
aten_binary_number(torch_eval_t *t, infer_binary_kind_t kind,
    infer_value_t *x, double number)
{
    return aten_binary(t, kind, x, aten_scalar(t, x, number));
}


infer_value_t *
aten_swap(torch_eval_t *t, infer_value_t *x, int a, int b)
{
    int  perm[INFER_MAX_RANK];

    if (x == NULL || a == b) {
        return x;
    }

    for (int i = 0; i < x->rank; i++) {
        perm[i] = i == a ? b : i == b ? a : i;
    }

    return aten_transpose(t, x, perm);
}


infer_value_t *
aten_narrow(torch_eval_t *t, infer_value_t *x, int axis, infer_dim_t start,
    infer_dim_t count)
{
    infer_param_t  p;

    if (x == NULL || (infer_dim_is(start, 0)
                      && infer_dim_equal(count, x->dim[axis])))
    {
        return x;
    }

    memset(&p, 0, sizeof(p));
    infer_slice_all(&p, x);
    p.slice.start[axis] = start;
    p.slice.count[axis] = count;

    return aten_emit(t, INFER_OP_SLICE, &p, &x, 1);
}


infer_value_t *
aten_pick(torch_eval_t *t, infer_value_t *x, int axis, infer_dim_t index)
{
    int          rank = 0;
    infer_dim_t  dim[INFER_MAX_RANK];

    x = aten_narrow(t, x, axis, index, infer_dim(1));

    for (int i = 0; x != NULL && i < x->rank; i++) {
        if (i != axis) {
            dim[rank++] = x->dim[i];
        }
    }

    return aten_reshape(t, x, rank, dim);
}


infer_value_t *
aten_concat(torch_eval_t *t, infer_value_t *const *in, int n, int axis)
{
    infer_param_t  p;

    if (n == 1) {
        return in[0];
    }

    memset(&p, 0, sizeof(p));
    p.axis.axis = axis;

    return aten_emit(t, INFER_OP_CONCAT, &p, in, n);
}


infer_value_t *
aten_where(torch_eval_t *t, infer_value_t *mask, infer_value_t *a,
    infer_value_t *b)
{
    infer_param_t   p;
    infer_value_t  *in[3] = { mask, a, b };

    if (mask == NULL || a == NULL || b == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));

    return aten_emit(t, INFER_OP_WHERE, &p, in, 3);
}


infer_value_t *
aten_call(torch_eval_t *t, const char *name, torch_value_t *const *value,
    size_t n)
{
    torch_args_t    args = { .n = n };
    torch_value_t  *y;

    for (size_t i = 0; i < n; i++) {
        args.value[i] = value[i] != NULL ? value[i]
                                         : torch_new(t->g, TORCH_NONE);
        if (args.value[i] == NULL) {
            return NULL;
        }
    }

    t->within++;
    y = torch_call_named(t, name, &args);
    t->within--;

    return y != NULL ? aten_tensor(t, y) : NULL;
}
