/*
 * Attention: the operator of its own, and the fast paths that PyTorch's
 * modules take in eval().
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


/* What the fast paths have in common: operands by their places. */
typedef struct {
    int64_t         width;
    int64_t         heads;
    infer_value_t  *operand[4];   /* weight and bias of q, k and v; of the
                                     projection */
    infer_value_t  *mask;         /* added to the scores, or NULL */
} attention_t;


/* ---- masks ------------------------------------------------------------ */

/* Of booleans: what is not to be seen becomes -inf, where that is `hidden`. */
static infer_value_t *
additive(torch_eval_t *t, infer_value_t *mask, int hidden)
{
    return mask == NULL || mask->dtype != INFER_BOOL ? mask
           : aten_where(t, mask,
                        infer_graph_scalar(t->g, hidden ? -INFINITY : 0),
                        infer_graph_scalar(t->g, hidden ? 0 : -INFINITY));
}


/* For L queries and S keys: what comes later is not seen. */
static infer_value_t *
causal(torch_eval_t *t, infer_dim_t queries, infer_dim_t keys)
{
    float    *mask;
    int64_t   dim[2] = { queries.base, keys.base };

    if (queries.batch != 0 || keys.batch != 0 || dim[0] > 16384
        || dim[1] > 16384)
    {
        torch_fail(t, "this causal mask is not supported");
        return NULL;
    }

    mask = infer_graph_alloc(t->g, (size_t) (dim[0] * dim[1] + 1)
                                   * sizeof(*mask));
    if (mask == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < dim[0]; i++) {
        for (int64_t k = i + 1; k < dim[1]; k++) {
            mask[i * dim[1] + k] = -INFINITY;
        }
    }

    return infer_graph_constant(t->g, NULL, INFER_F32, 2, dim, mask);
}


/*
 * The mask of a fast path: booleans, true where nothing is seen; type 0: of
 * queries and keys, 1: of images and keys.
 */
static int
fast_mask(torch_eval_t *t, const torch_value_t *v, const torch_value_t *type,
    infer_value_t **mask)
{
    int64_t         kind = -1;
    infer_dim_t     dim[4];
    infer_value_t  *x;

    *mask = NULL;

    if (aten_is_none(v)) {
        return 0;
    }

    x = aten_tensor(t, v);

    if (x == NULL || aten_int(t, type, &kind) != 0) {
        return -1;
    }

    if (x->dtype != INFER_BOOL || x->rank != 2 || kind < 0 || kind > 1) {
        return torch_fail(t, "this mask of attention is not supported");
    }

    dim[0] = kind == 1 ? x->dim[0] : infer_dim(1);
    dim[1] = infer_dim(1);
    dim[2] = kind == 1 ? infer_dim(1) : x->dim[0];
    dim[3] = x->dim[1];

    *mask = additive(t, aten_reshape(t, x, 4, dim), 1);

    return *mask != NULL ? 0 : -1;
}


/* ---- attention -------------------------------------------------------- */

/* softmax(alpha * q @ k' + mask) @ v; *weights: what the softmax gives. */
static infer_value_t *
attend(torch_eval_t *t, infer_value_t *q, infer_value_t *k, infer_value_t *v,
    double alpha, infer_value_t *mask, infer_value_t **weights)
{
    infer_value_t  *x;

    x = aten_matmul(t, q, k, 1, alpha);
    x = mask != NULL ? aten_binary(t, INFER_ADD, x, mask) : x;
    *weights = x != NULL ? aten_softmax(t, x, x->rank - 1, 0) : NULL;

    return aten_matmul(t, *weights, v, 0, 1);
}


/* arg: query, key, value, attn_mask, dropout_p, is_causal, scale,
   enable_gqa */
static torch_value_t *
scaled_dot_product(torch_eval_t *t, torch_value_t *const *arg)
{
    double          dropout = 0, scale;
    int64_t         is_causal = 0, groups = 0;
    infer_value_t  *in[3], *weights, *mask = NULL;

    for (int i = 0; i < 3; i++) {
        in[i] = aten_tensor(t, arg[i]);
        if (in[i] == NULL) {
            return NULL;
        }
    }

    if (in[0]->rank < 2 || in[1]->rank < 2 || in[2]->rank < 2
        || in[0]->dim[in[0]->rank - 1].batch != 0
        || in[0]->dim[in[0]->rank - 1].base < 1)
    {
        return TORCH_DECLINE;
    }

    scale = 1 / sqrt((double) in[0]->dim[in[0]->rank - 1].base);

    if (aten_double(t, arg[4], &dropout) != 0
        || aten_int(t, arg[5], &is_causal) != 0
        || aten_double(t, arg[6], &scale) != 0
        || aten_int(t, arg[7], &groups) != 0)
    {
        return NULL;
    }

    if (dropout != 0 || groups != 0) {
        torch_fail(t, "attention with dropout or shared keys is not "
                   "supported");
        return NULL;
    }

    if (!aten_is_none(arg[3])) {
        mask = additive(t, aten_tensor(t, arg[3]), 0);

    } else if (is_causal) {
        mask = causal(t, in[0]->dim[in[0]->rank - 2],
                      in[1]->dim[in[1]->rank - 2]);
    }

    if (mask == NULL && (is_causal || !aten_is_none(arg[3]))) {
        return NULL;
    }

    return aten_new(t, attend(t, in[0], in[1], in[2], scale, mask, &weights));
}


/* (N, L, heads * d), a third of what is projected, as (N, heads, L, d) */
static infer_value_t *
heads_of(torch_eval_t *t, infer_value_t *x, int third, int64_t width,
    int64_t heads)
{
    infer_dim_t       dim[4];
    static const int  perm[] = { 0, 2, 1, 3 };

    x = aten_narrow(t, x, 2, infer_dim(third * width), infer_dim(width));
    if (x == NULL) {
        return NULL;
    }

    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    dim[2] = infer_dim(heads);
    dim[3] = infer_dim(width / heads);

    return aten_transpose(t, aten_reshape(t, x, 4, dim), perm);
}


/* Reads the operands arg[0..3] and sizes; 0 or -1. */
static int
read_attention(torch_eval_t *t, torch_value_t *const *arg,
    const torch_value_t *width, const torch_value_t *heads, attention_t *a)
{
    a->width = 0;
    a->heads = 0;

    if (aten_int(t, width, &a->width) != 0
        || aten_int(t, heads, &a->heads) != 0)
    {
        return -1;
    }

    for (int i = 0; i < 4; i++) {
        a->operand[i] = aten_tensor(t, arg[i]);
        if (a->operand[i] == NULL) {
            return -1;
        }
    }

    if (a->heads < 1 || a->width < a->heads || a->width % a->heads != 0
        || a->operand[0]->rank != 2
        || !infer_dim_is(a->operand[0]->dim[0], 3 * a->width))
    {
        return torch_fail(t, "%lld heads of attention in a width of %lld are "
                          "not supported", (long long) a->heads,
                          (long long) a->width);
    }

    return 0;
}


/* Self-attention, (N, L, width) to (N, L, width); *weights (N, heads, L, L) */
static infer_value_t *
self_attention(torch_eval_t *t, infer_value_t *x, const attention_t *a,
    infer_value_t **weights)
{
    infer_dim_t       dim[3];
    infer_value_t    *head[3];
    static const int  perm[] = { 0, 2, 1, 3 };

    if (x == NULL || x->rank != 3 || !infer_dim_is(x->dim[2], a->width)) {
        if (x != NULL) {
            torch_fail(t, "attention is given a tensor that is not (N, L, "
                       "%lld)", (long long) a->width);
        }

        return NULL;
    }

    memcpy(dim, x->dim, sizeof(dim));
    x = aten_linear(t, x, a->operand[0], a->operand[1]);

    for (int i = 0; i < 3; i++) {
        head[i] = x != NULL ? heads_of(t, x, i, a->width, a->heads) : NULL;
        if (head[i] == NULL) {
            return NULL;
        }
    }

    x = attend(t, head[0], head[1], head[2],
               1 / sqrt((double) (a->width / a->heads)), a->mask, weights);
    x = aten_reshape(t, aten_transpose(t, x, perm), 3, dim);

    return aten_linear(t, x, a->operand[2], a->operand[3]);
}


/*
 * The fast path that torch.nn.MultiheadAttention takes in eval(): query, key
 * and value are the same tensor, (N, L, width).  The weights are averaged over
 * the heads unless that is declined.
 */
static torch_value_t *
native_attention(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t         wanted = 1, average = 1;
    attention_t     a;
    torch_value_t  *both, *v;
    infer_value_t  *x, *weights;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_int(t, arg[10], &wanted) != 0
        || aten_int(t, arg[11], &average) != 0)
    {
        return NULL;
    }

    if (!aten_is_tensor(arg[1]) || !aten_is_tensor(arg[2])
        || arg[1]->tensor != x || arg[2]->tensor != x)
    {
        torch_fail(t, "this fast path of attention is not supported: call "
                   "it on one tensor, or trace it under torch.enable_grad()");
        return NULL;
    }

    if (read_attention(t, arg + 5, arg[3], arg[4], &a) != 0
        || fast_mask(t, arg[9], arg[12], &a.mask) != 0)
    {
        return NULL;
    }

    v = aten_new(t, self_attention(t, x, &a, &weights));
    both = torch_new(t->g, TORCH_TUPLE);

    if (v == NULL || both == NULL || torch_append(t->g, both, v) != 0) {
        return NULL;
    }

    v = !wanted ? torch_new(t->g, TORCH_NONE)
        : aten_new(t, average ? aten_reduce(t, weights, INFER_REDUCE_MEAN,
                                            1 << 1, 0) : weights);

    return v != NULL && torch_append(t->g, both, v) == 0 ? both : NULL;
}


/* ---- a layer of torch.nn.TransformerEncoder --------------------------- */

/* param: weight, bias */
static infer_value_t *
layer_norm(torch_eval_t *t, infer_value_t *x, torch_value_t *const *param,
    torch_value_t *epsilon)
{
    torch_value_t  *width, *value[5];

    value[0] = aten_new(t, x);
    value[1] = torch_new(t->g, TORCH_LIST);
    width = value[0] != NULL ? torch_int(t->g, x->dim[x->rank - 1].base)
                             : NULL;

    if (value[1] == NULL || width == NULL
        || torch_append(t->g, value[1], width) != 0)
    {
        return NULL;
    }

    value[2] = param[0];
    value[3] = param[1];
    value[4] = epsilon;

    return aten_call(t, "torch.layer_norm", value, 5);
}


/* param: weight and bias of both linear layers */
static infer_value_t *
feed_forward(torch_eval_t *t, infer_value_t *x, torch_value_t *const *param,
    int gelu)
{
    torch_value_t  *value[3];

    for (int i = 0; i < 2; i++) {
        value[0] = aten_new(t, x);
        value[1] = param[2 * i];
        value[2] = param[2 * i + 1];
        x = value[0] != NULL ? aten_call(t, "torch.linear", value, 3) : NULL;

        if (i == 0) {
            value[0] = aten_new(t, x);
            x = value[0] != NULL
                ? aten_call(t, gelu ? "torch.gelu" : "torch.relu", value, 1)
                : NULL;
        }
    }

    return x;
}


/*
 * arg: src, embed_dim, num_heads, 4 of attention, use_gelu, norm_first, eps,
 * 4 of the norms, 4 of the linear layers, mask, mask_type
 */
static torch_value_t *
encoder_layer(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t         gelu = 0, first = 0;
    attention_t     a;
    infer_value_t  *x, *y, *weights;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_int(t, arg[7], &gelu) != 0
        || aten_int(t, arg[8], &first) != 0
        || read_attention(t, arg + 3, arg[1], arg[2], &a) != 0
        || fast_mask(t, arg[18], arg[19], &a.mask) != 0)
    {
        return NULL;
    }

    if (x->rank < 1) {
        return TORCH_DECLINE;
    }

    y = first ? layer_norm(t, x, arg + 10, arg[9]) : x;
    x = aten_binary(t, INFER_ADD, x, self_attention(t, y, &a, &weights));
    x = first ? x : layer_norm(t, x, arg + 10, arg[9]);

    y = first ? layer_norm(t, x, arg + 12, arg[9]) : x;
    x = aten_binary(t, INFER_ADD, x,
                    feed_forward(t, y, arg + 14, gelu != 0));

    return aten_new(t, first ? x : layer_norm(t, x, arg + 12, arg[9]));
}


const torch_builtin_t  torch_builtins_attention[] = {
    { "torch.scaled_dot_product_attention", "query key value attn_mask "
      "dropout_p is_causal scale enable_gqa", scaled_dot_product },
    { "torch._native_multi_head_attention", "query key value embed_dim "
      "num_head qkv_weight qkv_bias proj_weight proj_bias mask need_weights "
      "average_attn_weights mask_type", native_attention },
    { "torch._transformer_encoder_layer_fwd", "src embed_dim num_heads "
      "qkv_weight qkv_bias proj_weight proj_bias use_gelu norm_first eps "
      "norm_weight_1 norm_bias_1 norm_weight_2 norm_bias_2 ffn_weight_1 "
      "ffn_bias_1 ffn_weight_2 ffn_bias_2 mask mask_type", encoder_layer },
    { NULL, NULL, NULL }
};
