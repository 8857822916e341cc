/*
 * The geometry of windows.
 */

#include <string.h>

#include "ops/window.h"


/* Multiply-accumulates of a depthwise task. */
#define DEPTHWISE_TASK  ((size_t) 128 << 10)


/* The lines of a depthwise convolution, cut into tasks. */
typedef struct {
    const infer_field_t  *field;
    void                (*run)(const infer_field_t *f,
                               const infer_stretch_t *stretch);
    size_t                lines;
    size_t                task;
} walk_t;

/* Taps of a window, or outputs, first .. end - 1 along one dimension. */
typedef struct {
    int64_t  first;
    int64_t  end;
} taps_t;


static int check_operands(infer_graph_t *g, const infer_node_t *node,
    int64_t groups);
static int check_padded(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w);
static int check_window(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *window);
static int output_size(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w, int i, infer_dim_t in, infer_dim_t *out);
static int64_t taps_of(const infer_value_t *w);
static void gather_row(const infer_field_t *f, const int64_t *at,
    const unsigned char *image, unsigned char *dst);
static unsigned char *gather_taps(const infer_field_t *f, int64_t ow,
    const unsigned char *line, unsigned char *dst);
static inline unsigned char *pad(const infer_field_t *f, unsigned char *dst,
    int64_t n);
static inline unsigned char *copy(unsigned char *dst,
    const unsigned char *src, size_t n);
static void advance(const infer_field_t *f, int64_t *at);
static taps_t taps_inside(const infer_field_t *f, int i, int64_t o);
static int64_t padding_of(const infer_field_t *f);
static void run_lines(void *arg, size_t i, size_t slot);
static void run_line(const walk_t *walk, size_t line, infer_tap_t *tap,
    const void *padding, size_t slot);
static taps_t covered(const infer_field_t *f);
static void locate_taps(const infer_field_t *f, const int64_t *at,
    infer_tap_t *tap, const void *padding);


/* ---- the shape rule --------------------------------------------------- */

int
infer_window_shape(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *window, int64_t groups, infer_dim_t *dim)
{
    int                   lead;
    const infer_value_t  *x, *w;

    if (check_operands(g, node, groups) != 0
        || check_window(g, node, window) != 0)
    {
        return -1;
    }

    x = node->in[INFER_IN_X];
    w = node->in[INFER_IN_WEIGHTS];
    lead = 5 - x->rank;

    dim[0] = x->dim[0];
    dim[x->rank - 1] = w->dim[0];

    for (int i = lead; i < 3; i++) {
        if (output_size(g, node, window, i, x->dim[i - lead + 1],
                        &dim[i - lead + 1]) != 0)
        {
            return -1;
        }
    }

    return check_padded(g, node, window);
}


static int
check_operands(infer_graph_t *g, const infer_node_t *node, int64_t groups)
{
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
check_window(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *window)
{
    int64_t               kernel;
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

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


/* With its padding an image is no larger than a tensor may be: it may be
   copied so, in parts. */
static int
check_padded(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w)
{
    int64_t               n;
    const infer_value_t  *x = node->in[INFER_IN_X];

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


static int
output_size(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *w, int i, infer_dim_t in, infer_dim_t *out)
{
    if (in.batch != 0 || in.base < 1 || in.base > INT32_MAX) {
        return infer_node_fail(g, node, "spatial dimensions must be known "
                               "and positive");
    }

    *out = infer_dim(infer_window_output(w, i, in.base));

    if (out->base < 1) {
        return infer_node_fail(g, node, "the window is larger than the "
                               "padded input");
    }

    return 0;
}


int64_t
infer_window_output(const infer_window_t *w, int i, int64_t in)
{
    int64_t  room;

    room = in + w->before[i] + w->after[i]
           - ((int64_t) (w->kernel[i] - 1) * w->dilation[i] + 1);

    return room < 0 ? 0 : room / w->stride[i] + 1;
}


infer_weights_t
infer_window_weights(const infer_node_t *node, int64_t groups)
{
    infer_weights_t       w;
    const infer_value_t  *v = node->in[INFER_IN_WEIGHTS];

    w.data = v->data;
    w.groups = (size_t) groups;
    w.c = (size_t) v->dim[1].base;
    w.taps = (size_t) taps_of(v);
    w.channel = w.c * w.taps;
    w.depth = w.taps;
    w.tap_step = 1;
    w.run = w.c * w.taps;
    w.depthwise = groups > 1 && w.c == 1 && v->dim[0].base == groups;

    if (w.depthwise) {
        w.groups = 1;
    }

    w.n = (size_t) v->dim[0].base / w.groups;

    return w;
}


static int64_t
taps_of(const infer_value_t *w)
{
    int64_t  n = 1;

    for (int i = 2; i < w->rank; i++) {
        n *= w->dim[i].base;
    }

    return n;
}


uint64_t
infer_window_macs(const infer_node_t *node)
{
    infer_dim_t           outputs = { 0, 0 };
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    infer_value_numel(node->out[0], &outputs);

    return (uint64_t) infer_dim_at(outputs, 1)
           * (uint64_t) (w->dim[1].base * taps_of(w));
}


void
infer_field_init(infer_field_t *f, const infer_call_t *call,
    const infer_window_t *window, int64_t groups)
{
    int                    j;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];

    f->call = call;
    f->window = window;
    f->x = x->data;
    f->size = infer_dtype_size(x->dtype);
    f->padding = 0;
    f->batch = x->dim[0];
    f->channels = x->dim[x->rank - 1];
    f->outputs = y->dim[y->rank - 1];
    f->groups = groups;
    f->group = f->channels / groups;
    f->taps = 1;

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        f->in[i] = j < 1 ? 1 : x->dim[j];
        f->out[i] = j < 1 ? 1 : y->dim[j];
        f->taps *= window->kernel[i];
    }
}


int
infer_field_is_depthwise(const infer_field_t *f)
{
    return f->groups > 1 && f->groups == f->channels
           && f->groups == f->outputs;
}


int
infer_window_is_point(const infer_window_t *w)
{
    for (int i = 0; i < 3; i++) {
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->before[i] != 0
            || w->after[i] != 0)
        {
            return 0;
        }
    }

    return 1;
}


/* ---- rows of a product ------------------------------------------------ */

void
infer_field_gather(const infer_field_t *f, size_t group, size_t row,
    size_t n, unsigned char *dst, size_t ld)
{
    size_t                image;
    int64_t               at[4];
    const unsigned char  *x;

    image = (size_t) (f->in[0] * f->in[1] * f->in[2] * f->channels) * f->size;
    x = f->x + group * (size_t) f->group * f->size;

    at[3] = (int64_t) row;

    for (int i = 2; i >= 0; i--) {
        at[i] = at[3] % f->out[i];
        at[3] /= f->out[i];
    }

    for (size_t i = 0; i < n; i++) {
        gather_row(f, at, x + (size_t) at[3] * image, dst);
        advance(f, at);
        dst += ld * f->size;
    }
}


/* The next output; at: od, oh, ow, and the image. */
static void
advance(const infer_field_t *f, int64_t *at)
{
    for (int i = 2; i >= 0; i--) {
        if (++at[i] < f->out[i]) {
            return;
        }

        at[i] = 0;
    }

    at[3]++;
}


static void
gather_row(const infer_field_t *f, const int64_t *at,
    const unsigned char *image, unsigned char *dst)
{
    taps_t                 depth, height;
    int64_t                id, ih, line;
    const infer_window_t  *w = f->window;

    depth = taps_inside(f, 0, at[0]);
    height = taps_inside(f, 1, at[1]);
    line = w->kernel[2] * f->group;

    dst = pad(f, dst, depth.first * w->kernel[1] * line);

    for (int64_t kd = depth.first; kd < depth.end; kd++) {
        id = at[0] * w->stride[0] - w->before[0] + kd * w->dilation[0];

        dst = pad(f, dst, height.first * line);

        for (int64_t kh = height.first; kh < height.end; kh++) {
            ih = at[1] * w->stride[1] - w->before[1] + kh * w->dilation[1];

            dst = gather_taps(f, at[2], image
                              + (size_t) ((id * f->in[1] + ih) * f->in[2]
                                          * f->channels) * f->size, dst);
        }

        dst = pad(f, dst, (w->kernel[1] - height.end) * line);
    }

    pad(f, dst, (w->kernel[0] - depth.end) * w->kernel[1] * line);
}


/* What the window covers of one line of the input. */
static unsigned char *
gather_taps(const infer_field_t *f, int64_t ow, const unsigned char *line,
    unsigned char *dst)
{
    size_t                 step, group;
    int64_t                iw;
    taps_t                 width;
    const infer_window_t  *w = f->window;

    width = taps_inside(f, 2, ow);
    iw = ow * w->stride[2] - w->before[2] + width.first * w->dilation[2];
    step = (size_t) (w->dilation[2] * f->channels) * f->size;
    group = (size_t) f->group * f->size;
    line += width.first < width.end ? (size_t) (iw * f->channels) * f->size
                                    : 0;

    dst = pad(f, dst, width.first * f->group);

    if (step == group) {
        dst = copy(dst, line, (size_t) (width.end - width.first) * group);

    } else {
        for (int64_t kw = width.first; kw < width.end; kw++) {
            dst = copy(dst, line, group);
            line += step;
        }
    }

    return pad(f, dst, (w->kernel[2] - width.end) * f->group);
}


/* n elements; mostly there are none. */
static inline unsigned char *
pad(const infer_field_t *f, unsigned char *dst, int64_t n)
{
    if (n > 0) {
        memset(dst, f->padding, (size_t) n * f->size);
    }

    return dst + (size_t) n * f->size;
}


/* Few bytes are copied sooner than memcpy is called. */
static inline unsigned char *
copy(unsigned char *dst, const unsigned char *src, size_t n)
{
    if (n > 32) {
        memcpy(dst, src, n);
        return dst + n;
    }

    for ( ; n >= 4; n -= 4, dst += 4, src += 4) {
        memcpy(dst, src, 4);
    }

    for ( ; n > 0; n--) {
        *dst++ = *src++;
    }

    return dst;
}


/* The taps of output o that do not lie in the padding: mostly all. */
static taps_t
taps_inside(const infer_field_t *f, int i, int64_t o)
{
    taps_t                 t;
    int64_t                start, dilation, last;
    const infer_window_t  *w = f->window;

    dilation = w->dilation[i];
    start = o * w->stride[i] - w->before[i];
    last = f->in[i] - 1 - start;

    t.first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
    t.end = w->kernel[i];

    if (last < (t.end - 1) * dilation) {
        t.end = last < 0 ? 0 : last / dilation + 1;
    }

    t.first = t.first < t.end ? t.first : t.end;

    return t;
}


/* ---- taps that are read in place -------------------------------------- */

size_t
infer_field_scratch(const infer_field_t *f)
{
    return (size_t) f->taps * sizeof(infer_tap_t)
           + (size_t) padding_of(f) * f->size;
}


/* Elements of padding: bytes are read 64 at a time. */
static int64_t
padding_of(const infer_field_t *f)
{
    return (f->channels + 63) / 64 * 64;
}


void
infer_field_run(const infer_field_t *f,
    void (*run)(const infer_field_t *f, const infer_stretch_t *stretch))
{
    walk_t   walk = { f, run, 0, 0 };
    int64_t  work;

    walk.lines = (size_t) (f->batch * f->out[0] * f->out[1]);
    work = f->out[2] * f->channels * f->taps;

    if (walk.lines == 0) {
        return;
    }

    walk.task = DEPTHWISE_TASK / (size_t) work + 1;

    infer_parallel_for(f->call, run_lines, &walk,
                       (walk.lines + walk.task - 1) / walk.task);
}


static void
run_lines(void *arg, size_t i, size_t slot)
{
    size_t                end;
    const walk_t         *walk = arg;
    infer_tap_t          *tap;
    unsigned char        *padding;
    const infer_field_t  *f = walk->field;

    tap = infer_scratch(f->call, slot);
    padding = (unsigned char *) (tap + f->taps);
    pad(f, padding, padding_of(f));

    end = (i + 1) * walk->task;
    end = end < walk->lines ? end : walk->lines;

    for (size_t line = i * walk->task; line < end; line++) {
        run_line(walk, line, tap, padding, slot);
    }
}


static void
run_line(const walk_t *walk, size_t line, infer_tap_t *tap,
    const void *padding, size_t slot)
{
    taps_t                whole;
    int64_t               at[4], width;
    infer_stretch_t       stretch = { .tap = tap, .slot = slot };
    const infer_field_t  *f = walk->field;

    at[1] = (int64_t) line % f->out[1];
    at[0] = (int64_t) line / f->out[1] % f->out[0];
    at[3] = (int64_t) line / f->out[1] / f->out[0];

    whole = covered(f);

    for (at[2] = 0; at[2] < f->out[2]; at[2] += width) {
        width = at[2] >= whole.first && at[2] < whole.end
                ? whole.end - at[2] : 1;

        stretch.width = (size_t) width;
        stretch.pixel = line * (size_t) f->out[2] + (size_t) at[2];

        locate_taps(f, at, tap, padding);
        walk->run(f, &stretch);
    }
}


/* The outputs whose taps all lie inside the line. */
static taps_t
covered(const infer_field_t *f)
{
    taps_t                 t;
    int64_t                room, stride;
    const infer_window_t  *w = f->window;

    stride = w->stride[2];
    room = f->in[2] + w->before[2]
           - ((int64_t) (w->kernel[2] - 1) * w->dilation[2] + 1);

    t.first = (w->before[2] + stride - 1) / stride;
    t.end = room < 0 ? 0 : room / stride + 1;
    t.end = t.end < f->out[2] ? t.end : f->out[2];

    return t;
}


/* The taps of the outputs from `at` on. */
static void
locate_taps(const infer_field_t *f, const int64_t *at, infer_tap_t *tap,
    const void *padding)
{
    int64_t                id, ih, iw, line;
    const infer_window_t  *w = f->window;

    id = at[0] * w->stride[0] - w->before[0];

    for (int32_t kd = 0; kd < w->kernel[0]; kd++, id += w->dilation[0]) {
        ih = at[1] * w->stride[1] - w->before[1];

        for (int32_t kh = 0; kh < w->kernel[1]; kh++, ih += w->dilation[1]) {
            iw = at[2] * w->stride[2] - w->before[2];
            line = id < 0 || id >= f->in[0] || ih < 0 || ih >= f->in[1]
                   ? -1 : (at[3] * f->in[0] + id) * f->in[1] + ih;

            for (int32_t kw = 0; kw < w->kernel[2];
                 kw++, tap++, iw += w->dilation[2])
            {
                tap->x = padding;
                tap->step = 0;

                if (line >= 0 && iw >= 0 && iw < f->in[2]) {
                    tap->x = f->x + (size_t) ((line * f->in[2] + iw)
                                              * f->channels) * f->size;
                    tap->step = (size_t) (w->stride[2] * f->channels);
                }
            }
        }
    }
}
