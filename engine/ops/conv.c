/*
 * Convolution over (N, D, H, W, C); with fewer spatial dimensions the leading
 * ones are 1.
 *
 * Depthwise (one channel in and out to a group) has a kernel of its own
 * (ops/depthwise.c).  All others are products: a row holds what one
 * output's window covers, K = (kd, kh, kw, c), with zeros for the padding;
 * where the window is a single point, the input is that matrix already, and
 * few channels are read from padded lines (ops/lines.c) instead.  Where
 * the graph asks for it, a 3x3 window is computed by Winograd's transforms.
 */

#include <string.h>

#include "ops/depthwise.h"
#include "ops/gate.h"
#include "ops/lines.h"
#include "ops/product.h"
#include "ops/winograd.h"


typedef struct {
    const infer_call_t    *call;
    const infer_window_t  *window;
    const float           *x;
    const float           *residual;       /* NULL: none */
    float                 *y;
    int64_t                batch;
    int64_t                in[3];          /* D, H, W */
    int64_t                out[3];         /* OD, OH, OW */
    int64_t                channels;       /* C */
    int64_t                outputs;        /* O */
    int64_t                groups;
    int64_t                group;          /* channels of one: C / groups */
    int64_t                taps;           /* of the window */
} conv_t;

/* Taps first .. end - 1 of a window along one dimension. */
typedef struct {
    int64_t  first;
    int64_t  end;
} taps_t;


static int check_operands(infer_graph_t *g, const infer_node_t *node);
static int check_window(infer_graph_t *g, const infer_node_t *node);
static int output_size(infer_graph_t *g, const infer_node_t *node, int i,
    infer_dim_t in, infer_dim_t *out);
static int check_padded(infer_graph_t *g, const infer_node_t *node);
static int64_t spatial(const infer_value_t *w);
static infer_weights_t weights_of(const infer_node_t *node);
static void conv_init(conv_t *conv, const infer_call_t *call);
static infer_product_t product_of(const conv_t *conv);
static void gather(const infer_product_t *p, size_t group, size_t row,
    size_t n, float *dst, size_t ld);
static void gather_row(const conv_t *conv, const int64_t *at,
    const float *image, float *dst);
static float *gather_taps(const conv_t *conv, int64_t ow, const float *line,
    float *dst);
static inline float *zeros(float *dst, int64_t n);
static inline float *copy(float *dst, const float *src, int64_t n);
static void advance(const conv_t *conv, int64_t *at);
static taps_t taps_inside(const conv_t *conv, int i, int64_t o);


/* ---- the shape rule --------------------------------------------------- */

static int
conv_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   lead;
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_value_t  *x, *w;

    if (infer_check_operands(g, node, 2, INFER_IN_CONV, 1) != 0
        || infer_product_check_weights(g, node) != 0
        || check_operands(g, node) != 0
        || check_window(g, node) != 0
        || infer_gate_check(g, node) != 0)
    {
        return -1;
    }

    if (node->param.conv.winograd && !infer_winograd_fits(node)) {
        return infer_node_fail(g, node, "not a convolution for Winograd's "
                               "transforms");
    }

    x = node->in[INFER_IN_X];
    w = node->in[INFER_IN_WEIGHTS];
    lead = 5 - x->rank;

    dim[0] = x->dim[0];
    dim[x->rank - 1] = w->dim[0];

    for (int i = lead; i < 3; i++) {
        if (output_size(g, node, i, x->dim[i - lead + 1],
                        &dim[i - lead + 1]) != 0)
        {
            return -1;
        }
    }

    infer_set_result(node->out[0], INFER_F32, x->rank, dim);

    return check_padded(g, node) != 0
           ? -1 : infer_product_check(g, node, &node->param.conv.act);
}


static int
check_operands(infer_graph_t *g, const infer_node_t *node)
{
    int64_t               groups = node->param.conv.groups;
    const infer_value_t  *x = node->in[INFER_IN_X];
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    if (x->rank < 3 || x->rank > 5 || w->rank != x->rank) {
        return infer_node_fail(g, node, "input of rank %d and weights of rank "
                               "%d: both must be 3, 4 or 5", x->rank,
                               w->rank);
    }

    if (groups < 1 || w->dim[0].base % groups != 0) {
        return infer_node_fail(g, node, "%lld outputs are not divisible by "
                               "%lld groups", (long long) w->dim[0].base,
                               (long long) groups);
    }

    if (!infer_dim_is(x->dim[x->rank - 1], w->dim[1].base * groups)) {
        return infer_node_fail(g, node, "the input has %lld channels, the "
                               "weights need %lld",
                               (long long) x->dim[x->rank - 1].base,
                               (long long) (w->dim[1].base * groups));
    }

    return 0;
}


static int
check_window(infer_graph_t *g, const infer_node_t *node)
{
    int64_t                kernel;
    const infer_value_t   *w = node->in[INFER_IN_WEIGHTS];
    const infer_window_t  *window = &node->param.conv.window;

    for (int i = 0; i < 3; i++) {
        if (window->kernel[i] < 1 || window->stride[i] < 1
            || window->dilation[i] < 1 || window->before[i] < 0
            || window->after[i] < 0)
        {
            return infer_node_fail(g, node, "kernel %d, stride %d, dilation "
                                   "%d, padding %d, %d: out of range",
                                   (int) window->kernel[i],
                                   (int) window->stride[i],
                                   (int) window->dilation[i],
                                   (int) window->before[i],
                                   (int) window->after[i]);
        }

        kernel = i < 5 - w->rank ? 1 : w->dim[w->rank - 3 + i].base;

        if (window->kernel[i] != kernel) {
            return infer_node_fail(g, node, "the kernel is %d, but the "
                                   "weights have %lld",
                                   (int) window->kernel[i],
                                   (long long) kernel);
        }

        if (i < 5 - w->rank && (window->stride[i] != 1
                                || window->before[i] != 0
                                || window->after[i] != 0))
        {
            return infer_node_fail(g, node, "the window has more dimensions "
                                   "than the input");
        }
    }

    return 0;
}


/* floor((in + padding - extent) / stride) + 1 */
static int
output_size(infer_graph_t *g, const infer_node_t *node, int i, infer_dim_t in,
    infer_dim_t *out)
{
    int64_t                room;
    const infer_window_t  *w = &node->param.conv.window;

    if (in.batch != 0 || in.base < 1 || in.base > INT32_MAX) {
        return infer_node_fail(g, node, "spatial dimensions must be known "
                               "and positive");
    }

    room = in.base + w->before[i] + w->after[i]
           - ((int64_t) (w->kernel[i] - 1) * w->dilation[i] + 1);

    if (room < 0) {
        return infer_node_fail(g, node, "the window is larger than the "
                               "padded input");
    }

    *out = infer_dim(room / w->stride[i] + 1);

    return 0;
}


/* With its padding an image is no larger than a tensor may be: it may be
   copied so, in parts. */
static int
check_padded(infer_graph_t *g, const infer_node_t *node)
{
    int64_t                n;
    const infer_value_t   *x = node->in[INFER_IN_X];
    const infer_window_t  *w = &node->param.conv.window;

    n = x->dim[x->rank - 1].base;

    for (int i = 5 - x->rank; i < 3; i++) {
        if (__builtin_mul_overflow(n, x->dim[x->rank - 4 + i].base
                                      + w->before[i] + w->after[i], &n)
            || n > INT32_MAX)
        {
            return infer_node_fail(g, node, "the padded input is too large");
        }
    }

    return 0;
}


/* ---- packing ---------------------------------------------------------- */

/* Taps of the window. */
static int64_t
spatial(const infer_value_t *w)
{
    int64_t  n = 1;

    for (int i = 2; i < w->rank; i++) {
        n *= w->dim[i].base;
    }

    return n;
}


static infer_weights_t
weights_of(const infer_node_t *node)
{
    infer_weights_t       w;
    const infer_value_t  *v = node->in[INFER_IN_WEIGHTS];

    w.data = v->data;
    w.groups = (size_t) node->param.conv.groups;
    w.c = (size_t) v->dim[1].base;
    w.taps = (size_t) spatial(v);
    w.channel = w.c * w.taps;
    w.depth = w.taps;
    w.tap_step = 1;

    if (infer_is_depthwise(node->param.conv.groups,
                           node->param.conv.groups * v->dim[1].base,
                           v->dim[0].base))
    {
        w.groups = 1;
    }

    w.n = (size_t) v->dim[0].base / w.groups;

    return w;
}


static size_t
conv_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = weights_of(node);

    if (node->param.conv.winograd) {
        return infer_winograd_pack_size(&w);
    }

    return infer_product_pack_size(&w);
}


static void
conv_pack(const infer_node_t *node, void *dst)
{
    infer_weights_t  w = weights_of(node);

    if (node->param.conv.winograd) {
        infer_winograd_pack(node, &w, dst);
        return;
    }

    infer_product_pack(node, &w, dst);
}


static uint64_t
conv_macs(const infer_node_t *node)
{
    infer_dim_t           outputs = { 0, 0 };
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    infer_value_numel(node->out[0], &outputs);

    return (uint64_t) infer_dim_at(outputs, 1)
           * (uint64_t) (w->dim[1].base * spatial(w));
}


/* ---- running ---------------------------------------------------------- */

static size_t
conv_scratch(const infer_call_t *call)
{
    conv_t           conv;
    infer_product_t  product;

    if (call->param->conv.winograd) {
        return infer_winograd_scratch(call);
    }

    if (infer_lines_fit(call)) {
        return infer_lines_scratch(call);
    }

    conv_init(&conv, call);

    if (infer_is_depthwise(conv.groups, conv.channels, conv.outputs)) {
        return infer_depthwise_scratch(call, NULL);
    }

    product = product_of(&conv);

    return infer_product_scratch(call, &product);
}


static void
conv_run(const infer_call_t *call)
{
    conv_t           conv;
    infer_product_t  product;

    if (call->param->conv.winograd) {
        infer_winograd_run(call);
        return;
    }

    if (infer_lines_fit(call)) {
        infer_lines_run(call);
        return;
    }

    conv_init(&conv, call);

    if (infer_is_depthwise(conv.groups, conv.channels, conv.outputs)) {
        infer_depthwise_run(call, NULL);
        return;
    }

    product = product_of(&conv);

    infer_product_run(call, &product);
}


static int
conv_strided(const infer_call_t *call)
{
    conv_t  conv;

    conv_init(&conv, call);

    return infer_product_strided(call)
           && !infer_is_depthwise(conv.groups, conv.channels, conv.outputs);
}


static void
conv_init(conv_t *conv, const infer_call_t *call)
{
    int                    j;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];

    conv->call = call;
    conv->window = &call->param->conv.window;
    conv->x = x->data;
    conv->y = y->data;
    conv->residual = infer_product_residual(call);
    conv->batch = x->dim[0];
    conv->channels = x->dim[x->rank - 1];
    conv->outputs = y->dim[y->rank - 1];
    conv->groups = call->param->conv.groups;
    conv->group = conv->channels / conv->groups;
    conv->taps = 1;

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        conv->in[i] = j < 1 ? 1 : x->dim[j];
        conv->out[i] = j < 1 ? 1 : y->dim[j];
        conv->taps *= conv->window->kernel[i];
    }
}


static infer_product_t
product_of(const conv_t *conv)
{
    const infer_call_t  *call = conv->call;
    infer_product_t      p;

    p.groups = (size_t) conv->groups;
    p.rows = (size_t) (conv->batch * conv->out[0] * conv->out[1]
                       * conv->out[2]);
    p.k = (size_t) (conv->group * conv->taps);
    p.n = (size_t) (conv->outputs / conv->groups);
    p.packed = call->packed;
    p.residual = conv->residual;
    p.c = conv->y;
    p.ldc = infer_out_ld(call);
    p.act = &call->param->conv.act;
    p.a = conv->x;
    p.lda = (size_t) conv->channels;
    p.gather = infer_window_is_point(conv->window) ? NULL : gather;
    p.source = conv;

    if (infer_gate_of(call) != NULL) {
        p.gather = infer_gate_gather;
        p.source = call;
    }

    return p;
}


/* ---- rows of a product ------------------------------------------------ */

static void
gather(const infer_product_t *p, size_t group, size_t row, size_t n,
    float *dst, size_t ld)
{
    int64_t        at[4];
    int64_t        image;
    const float   *x;
    const conv_t  *conv = p->source;

    image = conv->in[0] * conv->in[1] * conv->in[2] * conv->channels;
    x = conv->x + (int64_t) group * conv->group;

    at[3] = (int64_t) row;

    for (int i = 2; i >= 0; i--) {
        at[i] = at[3] % conv->out[i];
        at[3] /= conv->out[i];
    }

    for (size_t i = 0; i < n; i++) {
        gather_row(conv, at, x + at[3] * image, dst);
        advance(conv, at);
        dst += ld;
    }
}


/* The next output; at: od, oh, ow, and the image. */
static void
advance(const conv_t *conv, int64_t *at)
{
    for (int i = 2; i >= 0; i--) {
        if (++at[i] < conv->out[i]) {
            return;
        }

        at[i] = 0;
    }

    at[3]++;
}


static void
gather_row(const conv_t *conv, const int64_t *at, const float *image,
    float *dst)
{
    taps_t                 depth, height;
    int64_t                id, ih, line;
    const infer_window_t  *w = conv->window;

    depth = taps_inside(conv, 0, at[0]);
    height = taps_inside(conv, 1, at[1]);
    line = w->kernel[2] * conv->group;

    dst = zeros(dst, depth.first * w->kernel[1] * line);

    for (int64_t kd = depth.first; kd < depth.end; kd++) {
        id = at[0] * w->stride[0] - w->before[0] + kd * w->dilation[0];

        dst = zeros(dst, height.first * line);

        for (int64_t kh = height.first; kh < height.end; kh++) {
            ih = at[1] * w->stride[1] - w->before[1] + kh * w->dilation[1];

            dst = gather_taps(conv, at[2], image
                              + (id * conv->in[1] + ih) * conv->in[2]
                                * conv->channels, dst);
        }

        dst = zeros(dst, (w->kernel[1] - height.end) * line);
    }

    zeros(dst, (w->kernel[0] - depth.end) * w->kernel[1] * line);
}


/* What the window covers of one line of the input. */
static float *
gather_taps(const conv_t *conv, int64_t ow, const float *line, float *dst)
{
    int64_t                iw, step;
    taps_t                 width;
    const infer_window_t  *w = conv->window;

    width = taps_inside(conv, 2, ow);
    iw = ow * w->stride[2] - w->before[2] + width.first * w->dilation[2];
    step = w->dilation[2] * conv->channels;
    line += width.first < width.end ? iw * conv->channels : 0;

    dst = zeros(dst, width.first * conv->group);

    if (step == conv->group) {
        dst = copy(dst, line, (width.end - width.first) * conv->group);

    } else {
        for (int64_t kw = width.first; kw < width.end; kw++) {
            dst = copy(dst, line, conv->group);
            line += step;
        }
    }

    return zeros(dst, (w->kernel[2] - width.end) * conv->group);
}


/* Mostly there are none. */
static inline float *
zeros(float *dst, int64_t n)
{
    if (n > 0) {
        memset(dst, 0, (size_t) n * sizeof(float));
    }

    return dst + n;
}


/* Few numbers are copied sooner than memcpy is called. */
static inline float *
copy(float *dst, const float *src, int64_t n)
{
    if (n > 8) {
        memcpy(dst, src, (size_t) n * sizeof(float));
        return dst + n;
    }

    for (int64_t i = 0; i < n; i++) {
        dst[i] = src[i];
    }

    return dst + n;
}


/* The taps of output o that do not lie in the padding: mostly all. */
static taps_t
taps_inside(const conv_t *conv, int i, int64_t o)
{
    taps_t                 t;
    int64_t                start, dilation, last;
    const infer_window_t  *w = conv->window;

    dilation = w->dilation[i];
    start = o * w->stride[i] - w->before[i];
    last = conv->in[i] - 1 - start;

    t.first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
    t.end = w->kernel[i];

    if (last < (t.end - 1) * dilation) {
        t.end = last < 0 ? 0 : last / dilation + 1;
    }

    t.first = t.first < t.end ? t.first : t.end;

    return t;
}


const infer_op_t  infer_op_conv = {
    .name = "conv",
    .shape = conv_shape,
    .run = conv_run,
    .strided = conv_strided,
    .scratch = conv_scratch,
    .pack_size = conv_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = conv_pack,
    .macs = conv_macs
};
