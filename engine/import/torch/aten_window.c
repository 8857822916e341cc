/*
 * Operators with a window that moves over the spatial dimensions.  PyTorch
 * has (N, C, spatial..), the IR (N, spatial.., C): a transpose stands before
 * and after each; the layout pass removes those that meet.
 */

#include <string.h>

#include "import/torch/aten.h"


/*
 * A number for each spatial dimension, or one for all; none at all leaves x as
 * it is.  0 or -1.
 */
static int
numbers(torch_eval_t *t, const torch_value_t *v, const char *what, int n,
    int64_t least, int64_t *x)
{
    int      len;
    int64_t  list[3];

    len = aten_ints(t, v, list, 3);

    if (len <= 0) {
        return len;
    }

    if (len != n && len != 1) {
        return torch_fail(t, "the %s has %d elements, must have %d", what,
                          len, n);
    }

    for (int i = 0; i < n; i++) {
        x[i] = list[len == 1 ? 0 : i];

        if (x[i] < least || x[i] > INT32_MAX) {
            return torch_fail(t, "the %s is out of range: %lld", what,
                              (long long) x[i]);
        }
    }

    return 0;
}


/* "same" needs a stride of 1; an odd pad goes behind the input. */
static int
named_padding(torch_eval_t *t, const char *name, int n,
    const int64_t *stride, infer_window_t *w)
{
    int64_t  total;

    if (strcmp(name, "valid") == 0) {
        return 0;
    }

    for (int i = 0; i < n; i++) {
        if (strcmp(name, "same") != 0 || stride[i] != 1) {
            return torch_fail(t, "padding \"%.20s\" is not supported here",
                              name);
        }
    }

    for (int k = 3 - n; k < 3; k++) {
        total = ((int64_t) w->kernel[k] - 1) * w->dilation[k];

        if (total > INT32_MAX) {
            return torch_fail(t, "the window is too large");
        }

        w->before[k] = (int32_t) (total / 2);
        w->after[k] = (int32_t) (total - total / 2);
    }

    return 0;
}


/* stride: what stands there, or the kernel where that is no list. */
static int
window(torch_eval_t *t, int n, const int64_t *kernel, int64_t *stride,
    const torch_value_t *strides, const torch_value_t *padding,
    const torch_value_t *dilations, infer_window_t *w)
{
    int      named;
    int64_t  pad[3] = { 0, 0, 0 }, dilation[3] = { 1, 1, 1 };

    named = padding != NULL && padding->kind == TORCH_STRING;

    if (numbers(t, strides, "stride", n, 1, stride) != 0
        || (!named && numbers(t, padding, "padding", n, 0, pad) != 0)
        || numbers(t, dilations, "dilation", n, 1, dilation) != 0)
    {
        return -1;
    }

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        w->before[i] = w->after[i] = 0;
    }

    for (int i = 0; i < n; i++) {
        w->kernel[3 - n + i] = (int32_t) kernel[i];
        w->stride[3 - n + i] = (int32_t) stride[i];
        w->dilation[3 - n + i] = (int32_t) dilation[i];
        w->before[3 - n + i] = w->after[3 - n + i] = (int32_t) pad[i];
    }

    return named ? named_padding(t, padding->string.s, n, stride, w) : 0;
}


/* arg: input, weight, bias, stride, padding, dilation, groups */
static torch_value_t *
conv(torch_eval_t *t, torch_value_t *const *arg)
{
    int             n;
    int64_t         groups = 1, kernel[3], stride[3] = { 1, 1, 1 };
    infer_param_t   p;
    infer_value_t  *x, *in[5] = { NULL };

    x = aten_tensor(t, arg[0]);
    in[1] = x != NULL ? aten_constant(t, arg[1], "the weight") : NULL;

    if (in[1] == NULL) {
        return NULL;
    }

    if (x->rank < 3 || x->rank > 5 || in[1]->rank != x->rank) {
        torch_fail(t, "input and weights have %d and %d dimensions, must "
                   "have the same number of 3 to 5", x->rank, in[1]->rank);
        return NULL;
    }

    n = x->rank - 2;
    memset(&p, 0, sizeof(p));

    for (int i = 0; i < n; i++) {
        kernel[i] = in[1]->dim[i + 2].base;
    }

    if (window(t, n, kernel, stride, arg[3], arg[4], arg[5], &p.conv.window)
        != 0 || aten_int(t, arg[6], &groups) != 0)
    {
        return NULL;
    }

    if (groups < 1 || groups > INT32_MAX) {
        torch_fail(t, "the number of groups is out of range");
        return NULL;
    }

    p.conv.groups = (int32_t) groups;

    if (!aten_is_none(arg[2])) {
        in[2] = aten_constant(t, arg[2], "the bias");
        if (in[2] == NULL) {
            return NULL;
        }
    }

    in[0] = infer_emit_channels_last(t->g, t->place, x);
    if (in[0] == NULL) {
        return NULL;
    }

    x = aten_emit(t, INFER_OP_CONV, &p, in, 5);

    return aten_new(t, infer_emit_channels_first(t->g, t->place, x));
}


/* The same with transposed and output_padding before groups. */
static torch_value_t *
convolution(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               transposed = 0;
    torch_value_t *const  plain[] = {
        arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], arg[8]
    };
    torch_value_t *const  other[] = {
        arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], arg[7], arg[8]
    };

    if (aten_int(t, arg[6], &transposed) != 0) {
        return NULL;
    }

    return !transposed ? conv(t, plain)
           : aten_new(t, aten_call(t, "torch._conv_transposed", other, 8));
}


/* results: 2 with indices */
static torch_value_t *
pool(torch_eval_t *t, infer_param_t *p, const torch_value_t *input,
    torch_value_t *const *size, const torch_value_t *dilation, int n,
    int results)
{
    int             added = 0;
    int64_t         kernel[3], stride[3];
    infer_dim_t     dim[INFER_MAX_RANK];
    torch_value_t  *both;
    infer_value_t  *x, *out[2];

    x = aten_tensor(t, input);

    if (x == NULL || numbers(t, size[0], "kernel", n, 1, kernel) != 0) {
        return NULL;
    }

    memcpy(stride, kernel, sizeof(stride));

    if (window(t, n, kernel, stride, size[1], size[2], dilation,
               &p->pool.window) != 0)
    {
        return NULL;
    }

    /* without a batch */
    if (x->rank == n + 1) {
        added = 1;
        dim[0] = infer_dim(1);
        memcpy(dim + 1, x->dim, (size_t) x->rank * sizeof(dim[0]));
        x = aten_reshape(t, x, x->rank + 1, dim);
    }

    if (x == NULL || x->rank != n + 2) {
        if (x != NULL) {
            torch_fail(t, "the input has %d dimensions, must have %d",
                       x->rank, n + 2);
        }

        return NULL;
    }

    x = infer_emit_channels_last(t->g, t->place, x);

    if (x == NULL || infer_graph_emit(t->g, INFER_OP_POOL, p, t->place, &x, 1,
                                      out, results) != 0)
    {
        return NULL;
    }

    for (int i = 0; i < results; i++) {
        out[i] = infer_emit_channels_first(t->g, t->place, out[i]);

        if (added && out[i] != NULL) {
            out[i] = aten_reshape(t, out[i], n + 1, out[i]->dim + 1);
        }
    }

    if (results == 1) {
        return aten_new(t, out[0]);
    }

    both = torch_new(t->g, TORCH_TUPLE);

    for (int i = 0; i < 2 && both != NULL; i++) {
        input = aten_new(t, out[i]);

        if (input == NULL
            || torch_append(t->g, both, (torch_value_t *) input) != 0)
        {
            return NULL;
        }
    }

    return both;
}


/* arg: self, kernel_size, stride, padding, dilation, ceil_mode */
static torch_value_t *
max_pool(torch_eval_t *t, torch_value_t *const *arg, int n, int indices)
{
    int64_t        ceil = 0;
    infer_param_t  p;

    if (aten_int(t, arg[5], &ceil) != 0) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.pool.ceil = ceil != 0;
    p.pool.indices = indices;

    return pool(t, &p, arg[0], arg + 1, arg[4], n, 1 + indices);
}


static torch_value_t *
max_pool_only(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return max_pool(t, arg, n, 0);
}

TORCH_KIND(max_pool1d, max_pool_only, 1)
TORCH_KIND(max_pool2d, max_pool_only, 2)
TORCH_KIND(max_pool3d, max_pool_only, 3)


static torch_value_t *
max_pool_indices(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return max_pool(t, arg, n, 1);
}

TORCH_KIND(max_pool1d_with_indices, max_pool_indices, 1)
TORCH_KIND(max_pool2d_with_indices, max_pool_indices, 2)
TORCH_KIND(max_pool3d_with_indices, max_pool_indices, 3)


/* arg: self, kernel_size, stride, padding, ceil_mode, count_include_pad,
   divisor_override */
static torch_value_t *
avg_pool(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    int64_t        ceil = 0, include = 1;
    infer_param_t  p;

    if (aten_int(t, arg[4], &ceil) != 0 || aten_int(t, arg[5], &include) != 0)
    {
        return NULL;
    }

    if (!aten_is_none(arg[6])) {
        torch_fail(t, "divisor_override is not supported");
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.pool.average = 1;
    p.pool.ceil = ceil != 0;
    p.pool.count_include_pad = include != 0;

    return pool(t, &p, arg[0], arg + 1, NULL, n, 1);
}

TORCH_KIND(avg_pool1d, avg_pool, 1)
TORCH_KIND(avg_pool2d, avg_pool, 2)
TORCH_KIND(avg_pool3d, avg_pool, 3)


/*
 * One dimension to `out` elements: element i is made of those from
 * i * in / out to (i + 1) * in / out, rounded down and up.  Windows are
 * products of such ranges, so dimensions can be done one after the other.
 */
static infer_value_t *
adapt(torch_eval_t *t, infer_value_t *x, int axis, int64_t out,
    infer_reduce_kind_t kind)
{
    int64_t          from, to, in;
    infer_value_t  **part;

    if (x == NULL || infer_dim_is(x->dim[axis], out)) {
        return x;
    }

    in = x->dim[axis].base;

    if (x->dim[axis].batch != 0 || out < 1 || out > ATEN_MAX_PARTS) {
        torch_fail(t, "an output size of %lld is not supported",
                   (long long) out);
        return NULL;
    }

    part = infer_graph_alloc(t->g, (size_t) out * sizeof(*part));

    for (int64_t i = 0; part != NULL && i < out; i++) {
        from = i * in / out;
        to = ((i + 1) * in + out - 1) / out;

        part[i] = aten_narrow(t, x, axis, infer_dim(from),
                              infer_dim(to - from));
        part[i] = aten_reduce(t, part[i], kind, 1u << axis, 1);

        if (part[i] == NULL) {
            return NULL;
        }
    }

    return part != NULL ? aten_concat(t, part, (int) out, axis) : NULL;
}


/* Where the input is a multiple of the output, a pool; *done tells. */
static infer_value_t *
adapt_evenly(torch_eval_t *t, infer_value_t *x, int n, const int64_t *out,
    infer_reduce_kind_t kind, int *done)
{
    int64_t          in;
    infer_param_t    p;
    infer_window_t  *w = &p.pool.window;

    memset(&p, 0, sizeof(p));
    p.pool.average = kind == INFER_REDUCE_MEAN;
    *done = 1;

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
    }

    for (int i = 0; i < n; i++) {
        in = x->dim[x->rank - n + i].base;

        if (out[i] < 1 || x->dim[x->rank - n + i].batch != 0
            || in % out[i] != 0 || x->rank != n + 2)
        {
            *done = 0;
            return x;
        }

        w->kernel[3 - n + i] = w->stride[3 - n + i] = (int32_t) (in / out[i]);
    }

    x = infer_emit_channels_last(t->g, t->place, x);
    x = x != NULL ? aten_emit(t, INFER_OP_POOL, &p, &x, 1) : NULL;

    return infer_emit_channels_first(t->g, t->place, x);
}


static torch_value_t *
adaptive(torch_eval_t *t, torch_value_t *const *arg, int n,
    infer_reduce_kind_t kind)
{
    int             done, all = 1, same = 1;
    int64_t         out[3];
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || x->rank < n + 1) {
        return x == NULL ? NULL : TORCH_DECLINE;
    }

    /* None in the list: as it is */
    for (int i = 0; i < n; i++) {
        const torch_value_t  *size = arg[1];

        if (size != NULL && (size->kind == TORCH_LIST
                             || size->kind == TORCH_TUPLE))
        {
            size = (size_t) i < size->items.n ? size->items.item[i] : NULL;
        }

        out[i] = x->dim[x->rank - n + i].base;

        if (aten_int(t, size, &out[i]) != 0) {
            return NULL;
        }

        all &= out[i] == 1;
        same &= infer_dim_is(x->dim[x->rank - n + i], out[i]);
    }

    if (all) {
        return aten_new(t, aten_reduce(t, x, kind,
                                       ((1u << n) - 1) << (x->rank - n), 1));
    }

    x = same ? x : adapt_evenly(t, x, n, out, kind, &done);

    for (int i = 0; !same && !done && i < n; i++) {
        x = adapt(t, x, x != NULL ? x->rank - n + i : 0, out[i], kind);
    }

    return aten_new(t, x);
}


static torch_value_t *
adaptive_avg(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return adaptive(t, arg, n, INFER_REDUCE_MEAN);
}

TORCH_KIND(adaptive_avg_pool1d, adaptive_avg, 1)
TORCH_KIND(adaptive_avg_pool2d, adaptive_avg, 2)
TORCH_KIND(adaptive_avg_pool3d, adaptive_avg, 3)


/* The indices that PyTorch gives with the maxima are left out. */
static torch_value_t *
adaptive_max(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    torch_value_t  *v, *both, *none;

    v = adaptive(t, arg, n, INFER_REDUCE_MAX);

    if (v == NULL || v == TORCH_DECLINE) {
        return v;
    }

    both = torch_new(t->g, TORCH_TUPLE);
    none = torch_new(t->g, TORCH_NONE);

    return both != NULL && none != NULL
           && torch_append(t->g, both, v) == 0
           && torch_append(t->g, both, none) == 0 ? both : NULL;
}

TORCH_KIND(adaptive_max_pool1d, adaptive_max, 1)
TORCH_KIND(adaptive_max_pool2d, adaptive_max, 2)
TORCH_KIND(adaptive_max_pool3d, adaptive_max, 3)


#define CONV  "input weight bias stride padding dilation groups"
#define MAX   "self kernel_size stride padding dilation ceil_mode"
#define AVG   "self kernel_size stride padding ceil_mode count_include_pad " \
              "divisor_override"

const torch_builtin_t  torch_builtins_window[] = {
    { "torch.conv1d", CONV, conv },
    { "torch.conv2d", CONV, conv },
    { "torch.conv3d", CONV, conv },
    { "torch._convolution", "input weight bias stride padding dilation "
      "transposed output_padding groups benchmark deterministic "
      "cudnn_enabled allow_tf32", convolution },
    { "torch._convolution_mode", CONV, conv },
    { "torch.convolution", "input weight bias stride padding dilation "
      "transposed output_padding groups", convolution },
    { "torch.max_pool1d", MAX, max_pool1d },
    { "torch.max_pool2d", MAX, max_pool2d },
    { "torch.max_pool3d", MAX, max_pool3d },
    { "torch.max_pool1d_with_indices", MAX, max_pool1d_with_indices },
    { "torch.max_pool2d_with_indices", MAX, max_pool2d_with_indices },
    { "torch.max_pool3d_with_indices", MAX, max_pool3d_with_indices },
    { "torch.avg_pool1d", AVG, avg_pool1d },
    { "torch.avg_pool2d", AVG, avg_pool2d },
    { "torch.avg_pool3d", AVG, avg_pool3d },
    { "torch.adaptive_avg_pool1d", "self output_size", adaptive_avg_pool1d },
    { "torch.adaptive_avg_pool2d", "self output_size", adaptive_avg_pool2d },
    { "torch.adaptive_avg_pool3d", "self output_size", adaptive_avg_pool3d },
    { "torch.adaptive_max_pool1d", "self output_size", adaptive_max_pool1d },
    { "torch.adaptive_max_pool2d", "self output_size", adaptive_max_pool2d },
    { "torch.adaptive_max_pool3d", "self output_size", adaptive_max_pool3d },
    { NULL, NULL, NULL }
};
