/*
 * Convolution on integers: as on floats, padding aside, which is what stands
 * for zero.
 */

#include "ops/lines.h"
#include "ops/qproduct.h"


/* Bytes of weights that every line of outputs may read again: half of a
   second cache of 1 MB, as for a product's tasks. */
#define LINES_WEIGHTS  (512 << 10)


/* A row of a window that is read from lines as it lies: see ops/lines.h. */
typedef struct {
    infer_lines_t     lines;
    infer_qproduct_t  product;
} qlines_t;


static size_t run_of(const infer_qconv_t *p, int rank, size_t c, size_t taps,
    int depthwise);
static infer_weights_t weights_of(const infer_node_t *node);
static void field_of(infer_field_t *f, const infer_call_t *call);
static int lines_of(qlines_t *l, const infer_call_t *call,
    const infer_field_t *f);
static int lines_pay(const infer_call_t *call, const infer_field_t *f);
static size_t numbers_offset(const qlines_t *l);
static void multiply_line(const infer_lines_t *lines,
    const unsigned char *first, size_t slot, size_t offset);
static infer_qproduct_t product_of(const infer_field_t *f);
static void depthwise(const infer_field_t *f,
    const infer_stretch_t *stretch);
static size_t fold(const infer_field_t *f, const infer_stretch_t *stretch);
static void run_depthwise(const infer_field_t *f,
    const infer_stretch_t *stretch, infer_depthwise_u8_t *d);


static int
qconv_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           dim[INFER_MAX_RANK];
    infer_weights_t       w;
    const infer_qconv_t  *p = &node->param.qconv;

    if (infer_check_operands(g, node, 2, INFER_IN_PRODUCT, 1) != 0
        || infer_qproduct_check_weights(g, node, p->zero) != 0
        || infer_window_shape(g, node, &p->window, p->groups, dim) != 0)
    {
        return -1;
    }

    infer_set_result(node->out[0], (infer_dtype_t) p->end.dtype,
                     node->in[INFER_IN_X]->rank, dim);

    w = weights_of(node);

    return infer_qproduct_check(g, node, &p->end, w.c * w.taps);
}


/*
 * K lies in rows of the window where they are read from lines, or where a
 * depthwise one has three taps, which suits its kernel.
 */
static size_t
run_of(const infer_qconv_t *p, int rank, size_t c, size_t taps,
    int depthwise)
{
    size_t  width = (size_t) p->window.kernel[2];

    if (depthwise) {
        return width == 3 ? 3 : taps;
    }

    return infer_lines_fit(&p->window, p->groups, rank, (int64_t) c)
           ? width * c : c * taps;
}


static infer_weights_t
weights_of(const infer_node_t *node)
{
    const infer_qconv_t  *p = &node->param.qconv;
    infer_weights_t       w = infer_window_weights(node, p->groups);

    w.run = run_of(p, node->in[INFER_IN_X]->rank, w.c, w.taps, w.depthwise);

    return w;
}


static size_t
qconv_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = weights_of(node);

    return infer_qproduct_pack_size(&w);
}


static void
qconv_pack(const infer_node_t *node, void *dst)
{
    const infer_qconv_t  *p = &node->param.qconv;
    infer_weights_t       w = weights_of(node);

    infer_qproduct_pack(node, &w, p->zero, &p->end, dst);
}


static void
field_of(infer_field_t *f, const infer_call_t *call)
{
    const infer_qconv_t  *p = &call->param->qconv;

    infer_field_init(f, call, &p->window, p->groups);
    f->padding = (unsigned char) p->zero;
}


static size_t
qconv_scratch(const infer_call_t *call)
{
    qlines_t          lines;
    infer_field_t     field;
    infer_qproduct_t  product;

    field_of(&field, call);

    if (infer_field_is_depthwise(&field)) {
        return infer_field_scratch(&field) + sizeof(float)
               + (size_t) (field.out[2] * field.channels) * sizeof(float);
    }

    if (lines_of(&lines, call, &field)) {
        return numbers_offset(&lines)
               + infer_qproduct_numbers(&lines.product,
                                        (size_t) field.out[2]);
    }

    product = product_of(&field);

    return infer_qproduct_scratch(&product);
}


static void
qconv_run(const infer_call_t *call)
{
    qlines_t          lines;
    infer_field_t     field;
    infer_qproduct_t  product;

    field_of(&field, call);

    if (infer_field_is_depthwise(&field)) {
        infer_field_run(&field, depthwise);
        return;
    }

    if (lines_of(&lines, call, &field)) {
        lines.product.bounded = infer_qproduct_bounded(&lines.product);
        infer_lines_run(&lines.lines);
        return;
    }

    product = product_of(&field);

    infer_qproduct_run(&product);
}


/* Whether it is computed from lines. */
static int
lines_of(qlines_t *l, const infer_call_t *call, const infer_field_t *f)
{
    const infer_qconv_t  *p = &call->param->qconv;

    if (!infer_lines_fit(&p->window, p->groups, call->in[INFER_IN_X]->rank,
                         f->channels)
        && !lines_pay(call, f))
    {
        return 0;
    }

    infer_lines_init(&l->lines, call, &p->window, f->padding);

    l->lines.multiply = multiply_line;
    l->product = product_of(f);
    l->product.run = (size_t) (p->window.kernel[2] * f->channels);
    l->product.run_step = (size_t) (p->window.dilation[1] * l->lines.line);

    return 1;
}


/*
 * Bytes are multiplied four times faster than floats, but not gathered: the
 * lines are better for more channels too, where those fill the steps of four
 * (so that weights lie as for a product), a line fills its tiles, and the
 * weights are in the cache for the next line.
 */
static int
lines_pay(const infer_call_t *call, const infer_field_t *f)
{
    int64_t               rows, tiles;
    const infer_window_t  *w = f->window;

    rows = (int64_t) call->kernels->integer->tile_rows;
    tiles = (f->out[2] + rows - 1) / rows;

    return call->in[INFER_IN_X]->rank == 4 && f->groups == 1
           && w->kernel[2] > 1 && w->dilation[2] == 1 && f->channels % 4 == 0
           && f->out[2] * 8 >= tiles * rows * 7
           && f->channels * f->taps * f->outputs <= LINES_WEIGHTS;
}


/* Of numbers that are no bytes yet, behind the lines. */
static size_t
numbers_offset(const qlines_t *l)
{
    return (infer_lines_scratch(&l->lines) + 63) / 64 * 64;
}


static void
multiply_line(const infer_lines_t *lines, const unsigned char *first,
    size_t slot, size_t offset)
{
    size_t           n = (size_t) lines->y->dim[3];
    const qlines_t  *l = (const qlines_t *) lines;

    infer_qproduct_rows(&l->product, first,
                        (size_t) (lines->window->stride[2] * lines->channels),
                        offset / n, (size_t) lines->y->dim[2],
                        (unsigned char *) infer_scratch(lines->call, slot)
                        + numbers_offset(l));
}


static infer_qproduct_t
product_of(const infer_field_t *f)
{
    infer_qproduct_t  p;

    p.call = f->call;
    p.end = &f->call->param->qconv.end;
    p.groups = (size_t) f->groups;
    p.rows = (size_t) (f->batch * f->out[0] * f->out[1] * f->out[2]);
    p.k = (size_t) (f->group * f->taps);
    p.n = (size_t) (f->outputs / f->groups);
    p.a = f->x;
    p.lda = (size_t) f->channels;
    p.field = infer_window_is_point(f->window) ? NULL : f;
    p.run = run_of(&f->call->param->qconv, f->call->in[INFER_IN_X]->rank,
                   (size_t) f->group, (size_t) f->taps, 0);
    p.run_step = p.k;
    p.x_scale = NULL;
    p.x_zero = NULL;
    p.x_step = 0;
    p.bounded = 0;

    return p;
}


/* ---- depthwise -------------------------------------------------------- */

/*
 * Few channels do not fill a block: neighbouring pixels are taken together as
 * if they were one, where windows move by one pixel.
 */
static void
depthwise(const infer_field_t *f, const infer_stretch_t *stretch)
{
    size_t                pixels = fold(f, stretch), rest;
    infer_stretch_t       part = *stretch;
    infer_depthwise_u8_t  d;

    for (int64_t t = 0; t < f->taps && pixels > 1; t++) {
        part.tap[t].step *= pixels;
    }

    rest = stretch->width % pixels;
    d.channels = pixels * (size_t) f->channels;
    d.width = stretch->width / pixels;

    if (d.width > 0) {
        run_depthwise(f, &part, &d);
    }

    if (rest > 0) {
        for (int64_t t = 0; t < f->taps; t++) {
            part.tap[t].x = (const unsigned char *) part.tap[t].x
                            + d.width * part.tap[t].step;
        }

        part.pixel += d.width * pixels;
        d.channels = rest * (size_t) f->channels;
        d.width = 1;
        run_depthwise(f, &part, &d);
    }
}


/* How many pixels are one. */
static size_t
fold(const infer_field_t *f, const infer_stretch_t *stretch)
{
    size_t  channels = (size_t) f->channels;

    if (INFER_DEPTHWISE_BLOCK % channels != 0 || stretch->width == 1
        || f->window->stride[2] != 1)
    {
        return 1;
    }

    return INFER_DEPTHWISE_BLOCK / channels;
}


static void
run_depthwise(const infer_field_t *f, const infer_stretch_t *stretch,
    infer_depthwise_u8_t *d)
{
    int                        direct;
    float                     *numbers;
    size_t                     at, size;
    infer_end_t                end;
    unsigned char             *c;
    infer_qpacked_t            packed;
    const infer_requantize_t  *requantize = &f->call->param->qconv.end;
    infer_dtype_t              dtype = (infer_dtype_t) requantize->dtype;

    d->tap = stretch->tap;
    d->taps = (size_t) f->taps;
    d->row = run_of(&f->call->param->qconv, 0, 1, d->taps, 1);
    d->step = infer_qproduct_k(d->taps, d->row);

    infer_qproduct_packed(&packed, f->call->packed, 1, (size_t) f->channels,
                          d->step, 1);

    direct = infer_requantize_is_direct(dtype, &requantize->act);
    infer_end_init(&end, requantize, direct, f->call);

    at = stretch->pixel * (size_t) f->channels;
    size = infer_dtype_size(dtype);
    c = (unsigned char *) f->call->out[0]->data + at * size;

    end.scale = packed.scale;
    end.bias = packed.bias;
    end.residual = end.residual != NULL ? end.residual + at : NULL;
    end.ldc = end.ldr = d->channels;
    end.c = c;

    d->panels = packed.panels;
    d->start = packed.start;
    d->end = &end;

    if (!direct && size == 1) {
        numbers = (float *) infer_scratch(f->call, stretch->slot)
                  + (infer_field_scratch(f) + sizeof(float) - 1)
                    / sizeof(float);
        end.c = numbers;
    }

    f->call->kernels->integer->depthwise_u8(d);

    if (!direct) {
        infer_finish(f->call, dtype, &requantize->out, &requantize->act,
                     end.c, c, d->width * d->channels);
    }
}


const infer_op_t  infer_op_qconv = {
    .name = "qconv",
    .shape = qconv_shape,
    .run = qconv_run,
    .scratch = qconv_scratch,
    .pack_size = qconv_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = qconv_pack,
    .macs = infer_window_macs
};
