/*
 * Matrix products.  With constant weights they are fully connected layers,
 * whose weights are packed once; otherwise they are computed as they come.
 */

#include <string.h>

#include "import/torch/aten.h"


static int
is_weight(const infer_value_t *x, const infer_value_t *w)
{
    return x->rank >= 2 && w->rank == 2 && infer_value_is_constant(w)
           && x->dtype == INFER_F32 && w->dtype == INFER_F32;
}


infer_value_t *
aten_matmul(torch_eval_t *t, infer_value_t *a, infer_value_t *b,
    int transpose_b, double alpha)
{
    infer_param_t   p;
    infer_value_t  *in[2] = { a, b };

    if (a == NULL || b == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.matmul.alpha = (float) alpha;
    p.matmul.transpose_b = transpose_b;

    return aten_emit(t, INFER_OP_MATMUL, &p, in, 2);
}


static infer_value_t *
fully_connected(torch_eval_t *t, infer_value_t *x, infer_value_t *w,
    int rows_are_n, infer_value_t *bias)
{
    infer_param_t   p;
    infer_value_t  *in[5] = { x, w, bias };

    memset(&p, 0, sizeof(p));
    p.fc.w_rows_are_n = rows_are_n;

    return aten_emit(t, INFER_OP_FC, &p, in, 5);
}


infer_value_t *
aten_linear(torch_eval_t *t, infer_value_t *x, infer_value_t *weight,
    infer_value_t *bias)
{
    int             rank;
    infer_dim_t     dim[2], out;
    infer_value_t  *y;

    if (x == NULL || weight == NULL) {
        return NULL;
    }

    if (weight->rank != 2 || x->rank < 1) {
        torch_fail(t, "the weight of a linear layer is no matrix");
        return NULL;
    }

    rank = x->rank;
    out = weight->dim[0];

    if (rank == 1) {
        dim[0] = infer_dim(1);
        dim[1] = x->dim[0];
        x = aten_reshape(t, x, 2, dim);
    }

    if (x == NULL) {
        return NULL;
    }

    if (is_weight(x, weight)
        && (bias == NULL || infer_value_is_constant(bias)))
    {
        y = fully_connected(t, x, weight, 1, bias);

    } else {
        y = aten_matmul(t, x, weight, 1, 1);
        y = bias != NULL ? aten_binary(t, INFER_ADD, y, bias) : y;
    }

    return rank == 1 ? aten_reshape(t, y, 1, &out) : y;
}


static torch_value_t *
linear(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x, *w, *bias = NULL;

    x = aten_tensor(t, arg[0]);
    w = x != NULL ? aten_tensor(t, arg[1]) : NULL;

    if (w != NULL && !aten_is_none(arg[2])) {
        bias = aten_tensor(t, arg[2]);
        if (bias == NULL) {
            return NULL;
        }
    }

    return aten_new(t, aten_linear(t, x, w, bias));
}


static infer_value_t *
product(torch_eval_t *t, infer_value_t *a, infer_value_t *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }

    return is_weight(a, b) ? fully_connected(t, a, b, 0, NULL)
                           : aten_matmul(t, a, b, 0, 1);
}


static torch_value_t *
matmul_any(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *a;

    a = aten_tensor(t, arg[0]);

    return a == NULL ? NULL
           : aten_new(t, product(t, a, aten_tensor(t, arg[1])));
}


/* beta * self + alpha * (a @ b) */
static torch_value_t *
product_and_sum(torch_eval_t *t, torch_value_t *const *arg)
{
    double          alpha = 1, beta = 1;
    infer_value_t  *x, *c;

    if (aten_double(t, arg[3], &beta) != 0
        || aten_double(t, arg[4], &alpha) != 0)
    {
        return NULL;
    }

    c = aten_tensor(t, arg[0]);
    x = c != NULL ? aten_tensor(t, arg[1]) : NULL;
    x = x != NULL ? product(t, x, aten_tensor(t, arg[2])) : NULL;
    x = alpha == 1 ? x : aten_binary_number(t, INFER_MUL, x, alpha);

    if (beta == 0) {
        return aten_new(t, x);
    }

    c = beta == 1 ? c : aten_binary_number(t, INFER_MUL, c, beta);

    return aten_new(t, aten_binary(t, INFER_ADD, x, c));
}


const torch_builtin_t  torch_builtins_matmul[] = {
    { "torch.linear", "input weight bias", linear },
    { "torch.matmul", "self other", matmul_any },
    { "torch.mm", "self mat2", matmul_any },
    { "torch.bmm", "self mat2", matmul_any },
    { "torch.mv", "self vec", matmul_any },
    { "torch.dot", "self other", matmul_any },
    { "torch.addmm", "self mat1 mat2 beta alpha", product_and_sum },
    { "torch.baddbmm", "self batch1 batch2 beta alpha", product_and_sum },
    { NULL, NULL, NULL }
};
