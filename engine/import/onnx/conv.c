/*
 * Operators with a window that moves over the spatial dimensions.  ONNX has
 * (N, C, spatial..), the IR (N, spatial.., C): a transpose stands before and
 * after each; the layout pass removes those that meet.
 */

#include <math.h>
#include <string.h>

#include "import/onnx/onnx.h"


static int window(onnx_t *o, onnx_node_t *node, const int64_t *kernel,
    infer_window_t *w);
static int numbers(onnx_t *o, onnx_node_t *node, const char *name, int n,
    int64_t least, int64_t *x);
static int auto_pads(onnx_t *o, onnx_node_t *node, int lower,
    infer_window_t *w);
static int pool_kernel(onnx_t *o, onnx_node_t *node, int64_t *kernel);


int
onnx_op_conv(onnx_t *o, onnx_node_t *node)
{
    infer_param_t   p;
    infer_value_t  *x, *in[5];

    memset(&p, 0, sizeof(p));
    memset(in, 0, sizeof(in));

    in[1] = onnx_constant(o, node, 1, "W");

    if (in[1] == NULL
        || onnx_conv_window(o, node, in[1], &p.conv.window, &p.conv.groups)
           != 0)
    {
        return -1;
    }

    if (onnx_has(node, 2)) {
        in[2] = onnx_constant(o, node, 2, "B");
        if (in[2] == NULL) {
            return -1;
        }
    }

    in[0] = onnx_channels_last(o, node, node->in[0]);

    if (in[0] == NULL) {
        return -1;
    }

    x = onnx_emit(o, node, INFER_OP_CONV, &p, in, 5);

    return onnx_result(node, onnx_channels_first(o, node, x));
}


int
onnx_conv_window(onnx_t *o, onnx_node_t *node, const infer_value_t *w,
    infer_window_t *win, int32_t *groups)
{
    int                   n;
    int64_t               group, kernel[3], declared[3];
    const infer_value_t  *x = node->in[0];

    if (x->rank < 3 || x->rank > 5 || w->rank != x->rank) {
        return onnx_fail(o, node, "input and weights have %d and %d "
                         "dimensions, must have the same number of 3 to 5",
                         x->rank, w->rank);
    }

    n = x->rank - 2;

    for (int i = 0; i < n; i++) {
        kernel[i] = declared[i] = w->dim[i + 2].base;
    }

    group = 1;

    if (numbers(o, node, "kernel_shape", n, 1, declared) != 0
        || onnx_attr_int(o, node, "group", &group) != 0)
    {
        return -1;
    }

    if (memcmp(kernel, declared, (size_t) n * sizeof(int64_t)) != 0) {
        return onnx_fail(o, node, "kernel_shape is not that of the weights");
    }

    if (group < 1 || group > INT32_MAX) {
        return onnx_fail(o, node, "attribute \"group\" is out of range");
    }

    *groups = (int32_t) group;

    return window(o, node, kernel, win);
}


/* Conv, then the addition of a fourth operand, then an activation. */
int
onnx_op_fused_conv(onnx_t *o, onnx_node_t *node)
{
    int                              kind = 0;
    float                            a, b;
    int64_t                          n;
    uint64_t                        *param;
    infer_value_t                   *y;
    static const char *const         choice[] = {
        "", "Relu", "Clip", "LeakyRelu", "HardSigmoid", "Sigmoid", "Tanh",
        NULL
    };
    static const infer_unary_kind_t  act[] = {
        INFER_NONE, INFER_CLIP, INFER_CLIP, INFER_LEAKYRELU,
        INFER_HARDSIGMOID, INFER_SIGMOID, INFER_TANH
    };

    if (onnx_attr_choice(o, node, "activation", choice, &kind) != 0
        || onnx_op_conv(o, node) != 0)
    {
        return -1;
    }

    y = node->out[0];

    if (onnx_has(node, 3)) {
        y = onnx_emit_binary(o, node, INFER_ADD, y, node->in[3]);
    }

    a = 0;
    b = INFINITY;
    n = onnx_attr_list(o, node, "activation_params", ONNX_ATTR_FLOATS,
                       &param);

    if (n == -1) {
        return -1;
    }

    if (kind >= 2 && kind <= 4) {
        if (n < (kind == 3 ? 1 : 2)) {
            return onnx_fail(o, node, "attribute \"activation_params\" is "
                             "too short");
        }

        a = onnx_float(param[0]);
        b = n > 1 ? onnx_float(param[1]) : 0;
    }

    return onnx_result(node, kind == 0 ? y
                             : onnx_emit_unary(o, node, y, act[kind], a, b));
}


/* MaxPool and AveragePool. */
int
onnx_op_pool(onnx_t *o, onnx_node_t *node)
{
    int             n_out;
    int64_t         kernel[3], ceil, include, column_major;
    infer_param_t   p;
    infer_value_t  *x, *out[2];

    ceil = 0;
    include = 0;
    column_major = 0;

    if (pool_kernel(o, node, kernel) != 0
        || onnx_attr_int(o, node, "ceil_mode", &ceil) != 0
        || onnx_attr_int(o, node, "count_include_pad", &include) != 0
        || onnx_attr_int(o, node, "storage_order", &column_major) != 0)
    {
        return -1;
    }

    n_out = node->n_out == 2 && node->out_name[1][0] != '\0' ? 2 : 1;

    memset(&p, 0, sizeof(p));
    p.pool.average = node->row->kind;
    p.pool.ceil = ceil != 0;
    p.pool.count_include_pad = include != 0;
    p.pool.indices = n_out == 1 ? 0 : column_major ? 2 : 1;

    if (window(o, node, kernel, &p.pool.window) != 0) {
        return -1;
    }

    x = onnx_channels_last(o, node, node->in[0]);

    if (x == NULL
        || infer_graph_emit(o->g, INFER_OP_POOL, &p, node->name, &x, 1, out,
                            n_out) != 0)
    {
        return -1;
    }

    for (int i = 0; i < n_out; i++) {
        node->out[i] = onnx_channels_first(o, node, out[i]);
        if (node->out[i] == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
pool_kernel(onnx_t *o, onnx_node_t *node, int64_t *kernel)
{
    int  rank;

    rank = node->in[0]->rank;

    if (rank < 3 || rank > 5) {
        return onnx_fail(o, node, "the input has %d dimensions, must have 3 "
                         "to 5", rank);
    }

    if (onnx_attr(node, "kernel_shape") == NULL) {
        return onnx_fail(o, node, "attribute \"kernel_shape\" is missing");
    }

    return numbers(o, node, "kernel_shape", rank - 2, 1, kernel);
}


/* n numbers from `least` on, or what x holds where the attribute is absent. */
static int
numbers(onnx_t *o, onnx_node_t *node, const char *name, int n, int64_t least,
    int64_t *x)
{
    int  len;

    len = n;

    if (onnx_attr_ints(o, node, name, x, n, &len) != 0) {
        return -1;
    }

    if (len != n) {
        return onnx_fail(o, node, "attribute \"%s\" has %d elements, must "
                         "have %d", name, len, n);
    }

    for (int i = 0; i < n; i++) {
        if (x[i] < least || x[i] > INT32_MAX) {
            return onnx_fail(o, node, "attribute \"%s\" is out of range: "
                             "%lld", name, (long long) x[i]);
        }
    }

    return 0;
}


static int
window(onnx_t *o, onnx_node_t *node, const int64_t *kernel,
    infer_window_t *w)
{
    int                       n, k, mode;
    int64_t                   stride[3], dilation[3], pad[6];
    static const char *const  choice[] = {
        "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", NULL
    };

    n = node->in[0]->rank - 2;
    mode = 0;

    for (int i = 0; i < 3; i++) {
        stride[i] = dilation[i] = 1;
        pad[i] = pad[i + 3] = 0;
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
    }

    if (onnx_attr_choice(o, node, "auto_pad", choice, &mode) != 0
        || numbers(o, node, "strides", n, 1, stride) != 0
        || numbers(o, node, "dilations", n, 1, dilation) != 0
        || numbers(o, node, "pads", 2 * n, 0, pad) != 0)
    {
        return -1;
    }

    for (int i = 0; i < n; i++) {
        k = 3 - n + i;
        w->kernel[k] = (int32_t) kernel[i];
        w->stride[k] = (int32_t) stride[i];
        w->dilation[k] = (int32_t) dilation[i];

        if (mode == 0) {
            w->before[k] = (int32_t) pad[i];
            w->after[k] = (int32_t) pad[n + i];
        }
    }

    return mode < 2 ? 0 : auto_pads(o, node, mode == 3, w);
}


/* SAME: the output has ceil(input / stride) elements; an odd pad goes behind
   the input, or where lower before it. */
static int
auto_pads(onnx_t *o, onnx_node_t *node, int lower, infer_window_t *w)
{
    int          n, k;
    int64_t      size, out, total, half;
    infer_dim_t  dim;

    n = node->in[0]->rank - 2;

    for (int i = 0; i < n; i++) {
        k = 3 - n + i;
        dim = node->in[0]->dim[i + 2];

        if (dim.batch != 0) {
            return onnx_fail(o, node, "auto_pad needs fixed spatial "
                             "dimensions");
        }

        size = ((int64_t) w->kernel[k] - 1) * w->dilation[k] + 1;
        out = (dim.base + w->stride[k] - 1) / w->stride[k];
        total = (out - 1) * w->stride[k] + size - dim.base;
        total = total > 0 ? total : 0;
        half = lower ? total - total / 2 : total / 2;

        if (total > INT32_MAX) {
            return onnx_fail(o, node, "the window is too large");
        }

        w->before[k] = (int32_t) half;
        w->after[k] = (int32_t) (total - half);
    }

    return 0;
}
