/*
 * Depthwise convolution.  A task is some lines of outputs.  It goes through
 * them for a few channels at a time, so that what neighbouring lines share
 * of the input is still in the first cache.
 *
 * The kernel is given the address of each pixel: for each line of the input
 * there is a table of those that its windows cover, which serves all outputs
 * that see the line.
 */

#include <string.h>

#include "ops/depthwise.h"


/* Multiply-accumulates that are worth a task, and those of the largest. */
#define SMALL_TASK    ((int64_t) 128 << 10)
#define LARGE_TASK    ((int64_t) 2 << 20)

/* Of the input, in the first cache; fewer channels than these at a time cost
   more than they save. */
#define LINES_BYTES   ((int64_t) 24 << 10)
#define FEW_CHANNELS  64


typedef struct {
    const infer_call_t    *call;
    const infer_window_t  *window;
    const infer_tensor_t  *x;
    const float           *residual;       /* NULL: none */
    int64_t                in[3];          /* D, H, W */
    int64_t                out[3];         /* OD, OH, OW */
    int64_t                channels;       /* C */
    int64_t                taps;           /* of the window */
    int64_t                lines;          /* of the window */
    int64_t                stride;         /* pixels of a table from output
                                              to output */
    int64_t                pixels;         /* in the table of a line */
    int64_t                rows;           /* lines of outputs, all images */
    int64_t                rows_a_task;
    int64_t                chunk;          /* channels at a time */
} depthwise_t;

/* What a thread works with; lies in its scratch. */
typedef struct {
    infer_line_f32_t      *line;           /* those of one output */
    int64_t               *row;            /* of the input, in each table */
    const float          **pixel;          /* tables */
    float                 *zeros;          /* C */
} tables_t;


static void depthwise_init(depthwise_t *d, const infer_call_t *call);
static tables_t tables_of(const depthwise_t *d, size_t slot);
static void run_task(void *arg, size_t i, size_t slot);
static void run_row(const depthwise_t *d, const tables_t *t, int64_t row,
    infer_depthwise_f32_t *k);
static size_t find_lines(const depthwise_t *d, const tables_t *t,
    int64_t row);
static void fill_table(const depthwise_t *d, const tables_t *t, int64_t row,
    const float **pixel);
static int64_t position(const infer_window_t *w, int i, int64_t out,
    int64_t tap);


size_t
infer_depthwise_scratch(const infer_call_t *call)
{
    depthwise_t  d;

    depthwise_init(&d, call);

    return (size_t) d.lines * (sizeof(infer_line_f32_t) + sizeof(int64_t)
                               + (size_t) d.pixels * sizeof(float *))
           + (size_t) d.channels * sizeof(float);
}


void
infer_depthwise_run(const infer_call_t *call)
{
    depthwise_t  d;

    depthwise_init(&d, call);

    infer_parallel_for(call, run_task, &d,
                       (size_t) ((d.rows + d.rows_a_task - 1)
                                 / d.rows_a_task));
}


static void
depthwise_init(depthwise_t *d, const infer_call_t *call)
{
    int                    j;
    int64_t                work, line;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];
    const infer_window_t  *w = &call->param->conv.window;

    d->call = call;
    d->window = w;
    d->x = x;
    d->residual = infer_product_residual(call);
    d->channels = x->dim[x->rank - 1];

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        d->in[i] = j < 1 ? 1 : x->dim[j];
        d->out[i] = j < 1 ? 1 : y->dim[j];
    }

    d->lines = (int64_t) w->kernel[0] * w->kernel[1];
    d->taps = d->lines * w->kernel[2];
    d->rows = x->dim[0] * d->out[0] * d->out[1];

    /* neighbouring outputs share pixels, or have their own */
    d->stride = w->dilation[2] == 1 && w->stride[2] < w->kernel[2]
                ? w->stride[2] : w->kernel[2];
    d->pixels = (d->out[2] - 1) * d->stride + w->kernel[2];

    line = d->lines * d->in[2] * (int64_t) sizeof(float);
    d->chunk = LINES_BYTES / line / 16 * 16;
    d->chunk = d->chunk < FEW_CHANNELS ? d->channels : d->chunk;

    work = d->out[2] * d->channels * d->taps;
    d->rows_a_task = (call->parallel != NULL && call->parallel->slots > 1
                      ? SMALL_TASK : LARGE_TASK) / work + 1;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    size_t                  panels;
    int64_t                 first, end;
    tables_t                t;
    const depthwise_t      *d = arg;
    infer_depthwise_f32_t   k;

    t = tables_of(d, slot);

    first = (int64_t) i * d->rows_a_task;
    end = first + d->rows_a_task;
    end = end < d->rows ? end : d->rows;

    panels = (size_t) (d->channels + INFER_PANEL - 1) / INFER_PANEL;

    k.line = t.line;
    k.width = (size_t) d->window->kernel[2];
    k.stride = (size_t) d->stride;
    k.taps = (size_t) d->taps;
    k.outputs = (size_t) d->out[2];
    k.channels = (size_t) d->channels;
    k.panels = d->call->packed;
    k.bias = k.panels + panels * INFER_PANEL * k.taps;
    k.act = &d->call->param->conv.act;

    for (int64_t c = 0; c < d->channels; c += d->chunk) {
        k.first = (size_t) c;
        k.last = (size_t) (c + d->chunk < d->channels ? c + d->chunk
                                                      : d->channels);

        for (int64_t row = first; row < end; row++) {
            run_row(d, &t, row, &k);
        }
    }
}


/* No table belongs to a line yet. */
static tables_t
tables_of(const depthwise_t *d, size_t slot)
{
    size_t    lines = (size_t) d->lines;
    tables_t  t;

    t.line = infer_scratch(d->call, slot);
    t.row = (int64_t *) (void *) (t.line + lines);
    t.pixel = (const float **) (void *) (t.row + lines);
    t.zeros = (float *) (void *) (t.pixel + lines * (size_t) d->pixels);

    memset(t.row, 0xff, lines * sizeof(*t.row));
    memset(t.zeros, 0, (size_t) d->channels * sizeof(float));

    return t;
}


static void
run_row(const depthwise_t *d, const tables_t *t, int64_t row,
    infer_depthwise_f32_t *k)
{
    size_t  offset = (size_t) (row * d->out[2] * d->channels);

    k->lines = find_lines(d, t, row);
    k->c = (float *) d->call->out[0]->data + offset;
    k->residual = d->residual != NULL ? d->residual + offset : NULL;

    d->call->kernels->depthwise_f32(k);
}


/*
 * Sets the lines of the input that a line of outputs sees, and makes the
 * tables that are not there yet.  Returns how many lies inside the input.
 */
static size_t
find_lines(const depthwise_t *d, const tables_t *t, int64_t row)
{
    size_t                 n = 0;
    int64_t                depth, id, ih, image, line, slot;
    const infer_window_t  *w = d->window;

    depth = row / d->out[1];
    image = depth / d->out[0];

    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        id = position(w, 0, depth % d->out[0], kd);

        if (id < 0 || id >= d->in[0]) {
            continue;
        }

        for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
            ih = position(w, 1, row % d->out[1], kh);

            if (ih < 0 || ih >= d->in[1]) {
                continue;
            }

            line = (image * d->in[0] + id) * d->in[1] + ih;
            slot = kd * w->kernel[1]
                   + (w->dilation[1] == 1 ? ih % w->kernel[1] : kh);

            t->line[n].pixel = t->pixel + slot * d->pixels;
            t->line[n].tap = (size_t) ((kd * w->kernel[1] + kh)
                                       * w->kernel[2]);
            n++;

            if (t->row[slot] != line) {
                t->row[slot] = line;
                fill_table(d, t, line, t->pixel + slot * d->pixels);
            }
        }
    }

    return n;
}


/* The pixels of a line of the input, in the order of outputs and taps. */
static void
fill_table(const depthwise_t *d, const tables_t *t, int64_t row,
    const float **pixel)
{
    int64_t                taps, iw;
    const float           *line;
    const infer_window_t  *w = d->window;

    line = (const float *) d->x->data + row * d->in[2] * d->channels;
    for (int64_t ow = 0; ow < d->out[2]; ow++) {
        taps = ow + 1 < d->out[2] ? d->stride : w->kernel[2];

        for (int64_t k = 0; k < taps; k++) {
            iw = position(w, 2, ow, k);
            *pixel++ = iw >= 0 && iw < d->in[2] ? line + iw * d->channels
                                                : t->zeros;
        }
    }
}


/* Where tap number `tap` of an output reads, in dimension i. */
static int64_t
position(const infer_window_t *w, int i, int64_t out, int64_t tap)
{
    return out * w->stride[i] - w->before[i] + tap * w->dilation[i];
}
