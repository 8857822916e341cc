/*
 * Winograd's F(4x4, 3x3) on the register tile: blocks of input tiles are
 * transformed, [36][tiles][C]; then, some panels of outputs at a time, 36
 * products with a row for each tile, and the inverse transform of those.  A
 * block's transformed input and products stay in the second cache.
 *
 * Each product is one chain over the channels, whatever the blocks are.
 */

#include <string.h>

#include "ops/winograd.h"


#define POINTS       INFER_WINOGRAD_POINTS
#define INPUT        INFER_WINOGRAD_INPUT
#define OUTPUT       INFER_WINOGRAD_OUTPUT
#define PANEL        INFER_PANEL

/* Panels whose products are transformed back together. */
#define CHUNK        4

/* Transformed input of a block: much, where each block reads many weights. */
#define BLOCK_BYTES  ((size_t) 256 << 10)
#define LARGE_BYTES  ((size_t) 1 << 20)
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
    size_t               ld;               /* of the transformed input */
    size_t               step;             /* from point to point */
    size_t               product_step;     /* the same for products */
} winograd_t;


static void transform_weights(float *w, size_t step);
static void transform_3(const double *x, double *y);
static void winograd_init(winograd_t *w, const infer_call_t *call);
static void run_task(void *arg, size_t i, size_t slot);
static void transform_tile(const winograd_t *w, size_t tile,
    const float *padding, float *dst);
static void multiply(const winograd_t *w, const float *x, size_t tiles,
    size_t panel, float *dst);
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
infer_winograd_pack_size(const infer_weights_t *w)
{
    return ceil_div(w->n, PANEL) * PANEL * (POINTS * w->c + 1)
           * sizeof(float);
}


/*
 * The taps are packed to where the first nine points belong, then become
 * points in place.
 */
void
infer_winograd_pack(const infer_node_t *node, const infer_weights_t *w,
    float *dst)
{
    float   *chunk, *panel, *bias;
    size_t   step, size = w->c * PANEL, panels = ceil_div(w->n, PANEL);

    bias = dst + panels * POINTS * size;

    for (size_t i = 0; i < panels; i++) {
        chunk = dst + i / CHUNK * CHUNK * POINTS * size;
        step = min_size(panels - i / CHUNK * CHUNK, CHUNK) * size;
        panel = chunk + i % CHUNK * size;

        infer_product_pack_panel(node, w, i * PANEL,
                                 min_size(w->n - i * PANEL, PANEL), panel,
                                 step, bias + i * PANEL);

        for (size_t k = 0; k < size; k += PANEL) {
            transform_weights(panel + k, step);
        }
    }
}


/* Nine rows of a panel, `step` apart, become 36. */
static void
transform_weights(float *w, size_t step)
{
    double  tap[3 * PANEL], row[3][INPUT * PANEL], point[INPUT * PANEL];

    for (size_t kh = 0; kh < 3; kh++) {
        for (size_t kw = 0; kw < 3; kw++) {
            for (size_t i = 0; i < PANEL; i++) {
                tap[kw * PANEL + i] = (double) w[(kh * 3 + kw) * step + i];
            }
        }

        transform_3(tap, row[kh]);
    }

    for (size_t x = 0; x < INPUT; x++) {
        for (size_t kh = 0; kh < 3; kh++) {
            memcpy(tap + kh * PANEL, row[kh] + x * PANEL,
                   PANEL * sizeof(double));
        }

        transform_3(tap, point);

        for (size_t y = 0; y < INPUT; y++) {
            for (size_t i = 0; i < PANEL; i++) {
                w[(y * INPUT + x) * step + i] = (float) point[y * PANEL + i];
            }
        }
    }
}


/* The polynomial of three taps at the six points, over their derivatives. */
static void
transform_3(const double *x, double *y)
{
    double        even, odd;
    const double  a = (double) INFER_WINOGRAD_A, b = (double) INFER_WINOGRAD_B;
    const double  at_0 = 1 / (a * a * b * b);
    const double  at_a = 1 / (2 * a * a * (a * a - b * b));
    const double  at_b = 1 / (2 * b * b * (b * b - a * a));

    for (size_t i = 0; i < PANEL; i++, x++, y++) {
        y[0] = x[0] * at_0;

        even = (x[0] + a * a * x[2 * PANEL]) * at_a;
        odd = a * x[PANEL] * at_a;
        y[PANEL] = even + odd;
        y[2 * PANEL] = even - odd;

        even = (x[0] + b * b * x[2 * PANEL]) * at_b;
        odd = b * x[PANEL] * at_b;
        y[3 * PANEL] = even + odd;
        y[4 * PANEL] = even - odd;

        y[5 * PANEL] = x[2 * PANEL];
    }
}


/* ---- running ---------------------------------------------------------- */

size_t
infer_winograd_scratch(const infer_call_t *call)
{
    winograd_t  w;

    winograd_init(&w, call);

    /* zeros for the padding, transformed input, products */
    return (w.ld + POINTS * (w.step + w.product_step)) * sizeof(float);
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
                             ceil_div(w.panels, CHUNK));
    }

    infer_parallel_for(call, run_task, &w, w.blocks * w.columns);
}


/* What does not depend on how many threads there are. */
static void
winograd_init(winograd_t *w, const infer_call_t *call)
{
    size_t  bytes, most;

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

    /* rows and points are an odd number of cache lines apart */
    w->ld = (ceil_div(w->channels, 16) | 1) * 16;

    bytes = POINTS * w->panels * PANEL * w->channels * sizeof(float);
    most = (bytes > MANY_WEIGHTS ? LARGE_BYTES : BLOCK_BYTES)
           / (POINTS * w->ld * sizeof(float));
    most += most == 0;

    w->blocks = ceil_div(w->tiles, most);
    w->block = w->blocks > 0 ? ceil_div(w->tiles, w->blocks) : 0;

    w->step = w->block * w->ld;
    w->step += w->step / 16 % 2 == 0 ? 16 : 0;
    w->product_step = w->block * CHUNK * PANEL + 16;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    float             *padding, *input, *product;
    size_t             first, end, panel, last, column;
    const winograd_t  *w = arg;

    padding = infer_scratch(w->call, slot);
    input = padding + w->ld;
    product = input + POINTS * w->step;

    column = i % w->columns;
    i /= w->columns;
    first = infer_task_first(w->tiles, w->blocks, i);
    end = infer_task_first(w->tiles, w->blocks, i + 1);

    memset(padding, 0, w->channels * sizeof(float));

    for (size_t t = first; t < end; t++) {
        transform_tile(w, t, padding, input + (t - first) * w->ld);
    }

    panel = w->panels * column / w->columns / CHUNK * CHUNK;
    last = column + 1 == w->columns
           ? w->panels
           : w->panels * (column + 1) / w->columns / CHUNK * CHUNK;

    for ( ; panel < last; panel += CHUNK) {
        multiply(w, input, end - first, panel, product);

        for (size_t t = first; t < end; t++) {
            finish_tile(w, t, panel, product + (t - first) * CHUNK * PANEL);
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
    float *dst)
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
    t.n = min_size(w->panels - panel, CHUNK) * PANEL;
    t.bias = bias;
    t.residual = NULL;
    t.ldr = 0;
    t.ldc = CHUNK * PANEL;
    t.act = &none;

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
    t.channels = min_size(w->outputs - panel * PANEL, CHUNK * PANEL);
    t.bias = (const float *) w->call->packed
             + POINTS * w->panels * PANEL * w->channels + panel * PANEL;
    t.residual = w->residual != NULL ? w->residual + offset : NULL;
    t.c = (float *) w->y->data + offset;
    t.row = width * w->ldc;
    t.pixel = w->ldc;
    t.height = min_size(height - h, OUTPUT);
    t.width = min_size(width - v, OUTPUT);
    t.act = &w->call->param->conv.act;

    w->call->kernels->winograd_output_f32(&t);
}
