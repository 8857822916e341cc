/*
 * Winograd's F(4x4, 3x3) on the register tile: blocks of input tiles are
 * transformed, [36][tiles][C]; then, some panels of outputs at a time, 36
 * products with a row for each tile, and the inverse transform of those.
 *
 * The transformed weights are four times as many as the taps.  They lie in
 * memory so, or, where an image has few tiles, as taps that are transformed at
 * each run, a stretch of channels at a time: memory is slower than that.  A
 * block's transformed input, products and weights in use stay in the second
 * cache.
 *
 * Each product is one chain over the channels, whatever the blocks are.
 */

#include <string.h>

#include "ops/winograd.h"


#define POINTS       INFER_WINOGRAD_POINTS
#define INPUT        INFER_WINOGRAD_INPUT
#define OUTPUT       INFER_WINOGRAD_OUTPUT
#define PANEL        INFER_PANEL
#define TAPS         9

/* Panels whose products are transformed back together, and the same where
   weights are transformed for them. */
#define CHUNK        4
#define LATE_CHUNK   2

/* Channels whose weights are transformed together, at most. */
#define DEPTH        128

/* Transformed input of a block: much, where each block reads many weights, and
   all of it, mostly, where each transforms them. */
#define BLOCK_BYTES  ((size_t) 256 << 10)
#define LARGE_BYTES  ((size_t) 1 << 20)
#define LATE_BYTES   ((size_t) 1280 << 10)
#define MANY_WEIGHTS ((size_t) 768 << 10)


typedef struct {
    const infer_call_t  *call;
    const infer_tensor_t *x;
    const infer_tensor_t *y;
    const float         *residual;         /* NULL: none */
    size_t               channels;         /* C */
    size_t               outputs;          /* O */
    size_t               ldc;              /* floats from pixel to pixel */
    size_t               panels;
    size_t               down;             /* tiles of an image */
    size_t               across;
    size_t               tiles;            /* of all images */
    size_t               blocks;           /* of tiles */
    size_t               block;            /* tiles of one, at most */
    size_t               columns;          /* tasks that share a block */
    int                  late;             /* weights are transformed here */
    size_t               chunk;            /* panels at a time */
    size_t               depth;            /* channels at a time */
    size_t               ld;               /* of the transformed input */
    size_t               step;             /* from point to point */
    size_t               product_step;     /* the same for products */
    size_t               weight_step;      /* and weights */
} winograd_t;


static size_t depth_of(size_t channels);
static void pack_late(const infer_node_t *node, const infer_weights_t *w,
    float *dst);
static void pack_points(const infer_node_t *node, const infer_weights_t *w,
    float *dst);
static void winograd_init(winograd_t *w, const infer_call_t *call);
static void run_task(void *arg, size_t i, size_t slot);
static void transform_tile(const winograd_t *w, size_t tile,
    const float *padding, float *dst);
static void multiply(const winograd_t *w, const float *x, size_t tiles,
    size_t panel, float *dst, float *weights);
static void multiply_late(const winograd_t *w, infer_tile_f32_t *t,
    const float *x, size_t panel, float *dst, float *weights);
static void finish_tile(const winograd_t *w, size_t tile, size_t panel,
    const float *x);


static size_t
ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}


static size_t
min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}


int
infer_winograd_fits(const infer_node_t *node)
{
    const infer_conv_t    *p = &node->param.conv;
    const infer_window_t  *w = &p->window;

    return node->in[INFER_IN_X]->rank == 4 && p->groups == 1
           && w->kernel[1] == 3 && w->kernel[2] == 3
           && w->stride[1] == 1 && w->stride[2] == 1
           && w->dilation[1] == 1 && w->dilation[2] == 1;
}


/* ---- packing ---------------------------------------------------------- */

size_t
infer_winograd_pack_size(const infer_node_t *node, const infer_weights_t *w)
{
    if (node->param.conv.winograd == INFER_WINOGRAD_LATE) {
        return infer_product_pack_size(w);
    }

    return ceil_div(w->n, PANEL) * PANEL * (POINTS * w->c + 1)
           * sizeof(float);
}


void
infer_winograd_pack(const infer_node_t *node, const infer_weights_t *w,
    float *dst)
{
    if (node->param.conv.winograd == INFER_WINOGRAD_LATE) {
        pack_late(node, w, dst);

    } else {
        pack_points(node, w, dst);
    }
}


static size_t
depth_of(size_t channels)
{
    return ceil_div(channels, ceil_div(channels, DEPTH));
}


static void
pack_late(const infer_node_t *node, const infer_weights_t *w, float *dst)
{
    float            *bias;
    size_t            end, panels = ceil_div(w->n, PANEL);
    infer_weights_t   part = *w;

    bias = dst + panels * PANEL * TAPS * w->c;

    for (size_t chunk = 0; chunk < panels; chunk += LATE_CHUNK) {
        end = min_size(chunk + LATE_CHUNK, panels);

        for (size_t c = 0; c < w->c; c += part.c) {
            part.c = min_size(depth_of(w->c), w->c - c);
            part.data = (const char *) w->data + c * w->depth * sizeof(float);

            for (size_t i = chunk; i < end; i++) {
                infer_product_pack_panel(node, &part, i * PANEL,
                                         min_size(w->n - i * PANEL, PANEL),
                                         dst, part.c * PANEL,
                                         bias + i * PANEL);
                dst += TAPS * part.c * PANEL;
            }
        }
    }
}


/*
 * The taps are packed to where the first nine points belong, then become
 * points in place, with the same bits as those transformed at a run.
 */
static void
pack_points(const infer_node_t *node, const infer_weights_t *w, float *dst)
{
    float   *panel, *bias;
    size_t   step, chunk, size = w->c * PANEL, panels = ceil_div(w->n, PANEL);

    bias = dst + panels * POINTS * size;

    for (size_t i = 0; i < panels; i++) {
        chunk = i / CHUNK * CHUNK;
        step = min_size(panels - chunk, CHUNK) * size;
        panel = dst + chunk * POINTS * size + i % CHUNK * size;

        infer_product_pack_panel(node, w, i * PANEL,
                                 min_size(w->n - i * PANEL, PANEL), panel,
                                 step, bias + i * PANEL);
        infer_kernels()->winograd_weights_f32(panel, step, w->c, panel, step);
    }
}


/* ---- running ---------------------------------------------------------- */

size_t
infer_winograd_scratch(const infer_call_t *call)
{
    winograd_t  w;

    winograd_init(&w, call);

    /* zeros for the padding, transformed input, products, weights */
    return (w.ld + POINTS * (w.step + w.product_step + w.weight_step))
           * sizeof(float);
}


void
infer_winograd_run(const infer_call_t *call)
{
    size_t      slots;
    winograd_t  w;

    winograd_init(&w, call);

    slots = call->parallel != NULL ? call->parallel->slots : 1;

    if (slots > 1 && w.tiles >= slots * INFER_TILE_ROWS) {
        w.blocks = min_size(ceil_div(w.blocks, slots) * slots, w.tiles);

    } else if (w.blocks > 0) {
        w.columns = min_size(ceil_div(slots, w.blocks),
                             ceil_div(w.panels, w.chunk));
    }

    infer_parallel_for(call, run_task, &w, w.blocks * w.columns);
}


/* What does not depend on how many threads there are. */
static void
winograd_init(winograd_t *w, const infer_call_t *call)
{
    size_t  bytes, most, wide;

    w->call = call;
    w->x = call->in[INFER_IN_X];
    w->y = call->out[0];
    w->residual = infer_product_residual(call);
    w->channels = (size_t) w->x->dim[3];
    w->outputs = (size_t) w->y->dim[3];
    w->ldc = infer_out_ld(call);
    w->panels = ceil_div(w->outputs, PANEL);
    w->down = ceil_div((size_t) w->y->dim[1], OUTPUT);
    w->across = ceil_div((size_t) w->y->dim[2], OUTPUT);
    w->tiles = (size_t) w->y->dim[0] * w->down * w->across;
    w->columns = 1;
    w->late = call->param->conv.winograd == INFER_WINOGRAD_LATE;
    w->chunk = w->late ? LATE_CHUNK : CHUNK;
    w->depth = depth_of(w->channels);

    /* rows and points are an odd number of cache lines apart */
    w->ld = (ceil_div(w->channels, 16) | 1) * 16;

    wide = w->ld > w->chunk * PANEL ? w->ld : w->chunk * PANEL;
    bytes = POINTS * w->panels * PANEL * w->channels * sizeof(float);
    most = (w->late ? LATE_BYTES
            : bytes > MANY_WEIGHTS ? LARGE_BYTES : BLOCK_BYTES)
           / (POINTS * wide * sizeof(float));
    most += most == 0;

    w->blocks = ceil_div(w->tiles, most);
    w->block = w->blocks > 0 ? ceil_div(w->tiles, w->blocks) : 0;

    w->step = w->block * w->ld;
    w->step += w->step / 16 % 2 == 0 ? 16 : 0;
    w->product_step = w->block * w->chunk * PANEL + 16;
    w->weight_step = w->late ? LATE_CHUNK * PANEL * w->depth + 16 : 0;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    float             *padding, *input, *product, *weights;
    size_t             first, end, panel, last, column;
    const winograd_t  *w = arg;

    padding = infer_scratch(w->call, slot);
    input = padding + w->ld;
    product = input + POINTS * w->step;
    weights = product + POINTS * w->product_step;

    column = i % w->columns;
    i /= w->columns;
    first = infer_task_first(w->tiles, w->blocks, i);
    end = infer_task_first(w->tiles, w->blocks, i + 1);

    memset(padding, 0, w->channels * sizeof(float));

    for (size_t t = first; t < end; t++) {
        transform_tile(w, t, padding, input + (t - first) * w->ld);
    }

    panel = w->panels * column / w->columns / w->chunk * w->chunk;
    last = column + 1 == w->columns
           ? w->panels
           : w->panels * (column + 1) / w->columns / w->chunk * w->chunk;

    for ( ; panel < last; panel += w->chunk) {
        multiply(w, input, end - first, panel, product, weights);

        for (size_t t = first; t < end; t++) {
            finish_tile(w, t, panel,
                        product + (t - first) * w->chunk * PANEL);
        }
    }
}


static void
transform_tile(const winograd_t *w, size_t tile, const float *padding,
    float *dst)
{
    int64_t                     h, v, height, width;
    const float                *image;
    const infer_window_t       *window = &w->call->param->conv.window;
    infer_winograd_input_f32_t  t;

    height = w->x->dim[1];
    width = w->x->dim[2];

    h = (int64_t) (tile / w->across % w->down * OUTPUT) - window->before[1];
    v = (int64_t) (tile % w->across * OUTPUT) - window->before[2];

    image = (const float *) w->x->data
            + tile / w->across / w->down
              * (size_t) (height * width) * w->channels;

    for (int64_t i = 0; i < INPUT; i++) {
        for (int64_t k = 0; k < INPUT; k++) {
            t.pixel[i * INPUT + k] =
                h + i < 0 || h + i >= height || v + k < 0 || v + k >= width
                ? padding
                : image + ((h + i) * width + v + k) * (int64_t) w->channels;
        }
    }

    t.channels = w->channels;
    t.y = dst;
    t.step = w->step;

    w->call->kernels->winograd_input_f32(&t);
}


/* The products of a block with the panels of a chunk. */
static void
multiply(const winograd_t *w, const float *x, size_t tiles, size_t panel,
    float *dst, float *weights)
{
    size_t                      size, last;
    infer_tile_f32_t            t;
    static const float          bias[CHUNK * PANEL];
    static const infer_unary_t  none = { INFER_NONE, 0, 0 };

    t.lda = w->ld;
    t.rows = tiles;
    t.k = w->channels;
    t.run = t.k;
    t.run_step = 0;
    t.panel_step = 0;
    t.resume = 0;
    t.n = min_size(w->panels - panel, w->chunk) * PANEL;
    t.bias = bias;
    t.residual = NULL;
    t.ldr = 0;
    t.ldc = w->chunk * PANEL;
    t.act = &none;

    if (w->late) {
        multiply_late(w, &t, x, panel, dst, weights);
        return;
    }

    size = t.n * w->channels;
    last = panel + CHUNK < w->panels ? POINTS : POINTS - 1;
    t.panels = (const float *) w->call->packed
               + panel * POINTS * PANEL * w->channels;

    for (size_t point = 0; point < POINTS; point++, t.panels += size) {
        t.next = point < last ? t.panels + size : NULL;
        t.a = x + point * w->step;
        t.c = dst + point * w->product_step;

        w->call->kernels->tile_f32(&t);
    }
}


/*
 * The same from taps.  While some channels are multiplied, the taps of the
 * next ones are fetched, in nine parts.
 */
static void
multiply_late(const winograd_t *w, infer_tile_f32_t *t, const float *x,
    size_t panel, float *dst, float *weights)
{
    size_t        last = panel * PANEL + t->n;
    const float  *taps;

    taps = (const float *) w->call->packed
           + panel * TAPS * PANEL * w->channels;

    for (size_t c = 0; c < w->channels; c += t->k) {
        t->k = min_size(w->depth, w->channels - c);
        t->run = t->k;
        t->resume = c > 0;

        for (size_t i = 0; i < t->n; i += PANEL, taps += TAPS * t->k * PANEL) {
            w->call->kernels->winograd_weights_f32(taps, t->k * PANEL, t->k,
                                                   weights + i * t->k,
                                                   w->weight_step);
        }

        for (size_t point = 0; point < POINTS; point++) {
            t->next = point % (POINTS / TAPS) == 0
                      && (c + t->k < w->channels || last < w->outputs)
                      ? taps + point / (POINTS / TAPS) * t->n * t->k : NULL;
            t->panels = weights + point * w->weight_step;
            t->a = x + point * w->step + c;
            t->c = dst + point * w->product_step;

            w->call->kernels->tile_f32(t);
        }
    }
}


static void
finish_tile(const winograd_t *w, size_t tile, size_t panel, const float *x)
{
    size_t                       h, v, height, width, offset;
    infer_winograd_output_f32_t  t;

    height = (size_t) w->y->dim[1];
    width = (size_t) w->y->dim[2];
    h = tile / w->across % w->down * OUTPUT;
    v = tile % w->across * OUTPUT;

    offset = ((tile / w->across / w->down * height + h) * width + v)
             * w->ldc + panel * PANEL;

    t.x = x;
    t.step = w->product_step;
    t.channels = min_size(w->outputs - panel * PANEL, w->chunk * PANEL);
    t.bias = (const float *) w->call->packed
             + (w->late ? TAPS : POINTS) * w->panels * PANEL * w->channels
             + panel * PANEL;
    t.residual = w->residual != NULL ? w->residual + offset : NULL;
    t.c = (float *) w->y->data + offset;
    t.row = width * w->ldc;
    t.pixel = w->ldc;
    t.height = min_size(height - h, OUTPUT);
    t.width = min_size(width - v, OUTPUT);
    t.act = &w->call->param->conv.act;

    w->call->kernels->winograd_output_f32(&t);
}
