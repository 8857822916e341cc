/*
 * Depthwise convolution.  A task is some lines of outputs.  It goes through
 * them for a few channels at a time, so that what neighbouring lines share
 * of the input is still in the first cache.
 *
 * The kernel is given the address of each pixel: for each line of the input
 * there is a table of those that its windows cover, which serves all outputs
 * that see the line.  There are as many tables as a window has lines; a line
 * that takes over a table also takes over its memory, where the input is the
 * result of another convolution, computed here line by line.
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
    const infer_strip_t   *strip;          /* NULL: x is read as it is */
    const infer_conv_t    *conv;
    const infer_window_t  *window;
    const infer_tensor_t  *x;
    const float           *packed;
    const float           *residual;       /* NULL: none */
    int64_t                in[3];          /* D, H, W */
    int64_t                out[3];         /* OD, OH, OW */
    int64_t                channels;       /* C */
    int64_t                taps;           /* of the window */
    int64_t                lines;          /* of the window */
    int64_t                stride;         /* pixels of a table from output
                                              to output */
    int64_t                pixels;         /* in the table of a line */
    size_t                 line;           /* floats of the input in one */
    int64_t                rows;           /* lines of outputs, all images */
    size_t                 tasks;
    int64_t                chunk;          /* channels at a time */
} depthwise_t;

/* What a thread works with; lies in its scratch. */
typedef struct {
    float                 *zeros;          /* C */
    float                 *input;          /* a line for each table */
    infer_line_f32_t      *line;           /* those of one output */
    int64_t               *row;            /* of the input, in each table */
    const float          **pixel;          /* tables */
} tables_t;


static void depthwise_init(depthwise_t *d, const infer_call_t *call,
    const infer_strip_t *strip);
static void split(depthwise_t *d);
static tables_t tables_of(const depthwise_t *d, size_t slot);
static void run_task(void *arg, size_t i, size_t slot);
static void run_row(const depthwise_t *d, const tables_t *t, int64_t row,
    infer_depthwise_f32_t *k);
static size_t find_lines(const depthwise_t *d, const tables_t *t,
    int64_t row);
static const float *input_line(const depthwise_t *d, const tables_t *t,
    int64_t row, int64_t slot);
static void fill_table(const depthwise_t *d, const tables_t *t,
    const float *line, const float **pixel);
static int64_t position(const infer_window_t *w, int i, int64_t out,
    int64_t tap);


/* Floats, so many that what follows is aligned. */
static size_t
aligned(int64_t n)
{
    return ((size_t) n + INFER_PANEL - 1) / INFER_PANEL * INFER_PANEL;
}


size_t
infer_depthwise_scratch(const infer_call_t *call, const infer_strip_t *strip)
{
    size_t       floats;
    depthwise_t  d;

    depthwise_init(&d, call, strip);

    floats = aligned(d.channels);
    floats += strip != NULL ? (size_t) d.lines * d.line : 0;

    return floats * sizeof(float)
           + (size_t) d.lines * (sizeof(infer_line_f32_t) + sizeof(int64_t)
                                 + (size_t) d.pixels * sizeof(float *));
}


void
infer_depthwise_run(const infer_call_t *call, const infer_strip_t *strip)
{
    depthwise_t  d;

    depthwise_init(&d, call, strip);
    split(&d);

    infer_parallel_for(call, run_task, &d, d.tasks);
}


static void
depthwise_init(depthwise_t *d, const infer_call_t *call,
    const infer_strip_t *strip)
{
    int                    j;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];
    const infer_window_t  *w;

    d->call = call;
    d->strip = strip;
    d->conv = strip != NULL ? &strip->conv : &call->param->conv;
    d->window = w = &d->conv->window;
    d->x = x;
    d->packed = call->packed;
    d->residual = strip != NULL ? NULL : infer_product_residual(call);
    d->channels = y->dim[y->rank - 1];

    if (strip != NULL) {
        d->packed += aligned(d->channels)
                     * (size_t) (x->dim[x->rank - 1] + 1);
    }

    for (int i = 0; i < 3; i++) {
        j = x->rank - 4 + i;
        d->in[i] = j < 1 ? 1 : x->dim[j];
        d->out[i] = j < 1 ? 1 : y->dim[j];
    }

    d->line = aligned(d->in[2] * d->channels);
    d->lines = (int64_t) w->kernel[0] * w->kernel[1];
    d->taps = d->lines * w->kernel[2];
    d->rows = x->dim[0] * d->out[0] * d->out[1];

    /* neighbouring outputs share pixels, or have their own */
    d->stride = w->dilation[2] == 1 && w->stride[2] < w->kernel[2]
                ? w->stride[2] : w->kernel[2];
    d->pixels = (d->out[2] - 1) * d->stride + w->kernel[2];
}


static void
split(depthwise_t *d)
{
    int64_t  slots, line, work;

    slots = d->call->parallel != NULL ? (int64_t) d->call->parallel->slots
                                      : 1;

    if (d->strip != NULL) {
        /* tasks side by side compute the lines between them twice */
        d->chunk = d->channels;
        d->tasks = slots > 1 ? infer_tasks(d->call, (size_t) d->rows,
                                           (size_t) (d->rows / (2 * slots))
                                           + 1)
                             : 1;
        return;
    }

    line = d->lines * d->in[2] * (int64_t) sizeof(float);
    d->chunk = LINES_BYTES / line / INFER_PANEL * INFER_PANEL;
    d->chunk = d->chunk < FEW_CHANNELS ? d->channels : d->chunk;

    work = d->out[2] * d->channels * d->taps;
    work = (slots > 1 ? SMALL_TASK : LARGE_TASK) / work + 1;
    d->tasks = infer_tasks(d->call, (size_t) d->rows, (size_t) work);
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    int64_t                 first, end;
    tables_t                t;
    const depthwise_t      *d = arg;
    infer_depthwise_f32_t   k;

    t = tables_of(d, slot);

    first = (int64_t) infer_task_first((size_t) d->rows, d->tasks, i);
    end = (int64_t) infer_task_first((size_t) d->rows, d->tasks, i + 1);

    k.line = t.line;
    k.width = (size_t) d->window->kernel[2];
    k.stride = (size_t) d->stride;
    k.taps = (size_t) d->taps;
    k.outputs = (size_t) d->out[2];
    k.channels = (size_t) d->channels;
    k.panels = d->packed;
    k.bias = k.panels + aligned(d->channels) * k.taps;
    k.act = &d->conv->act;

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

    t.zeros = infer_scratch(d->call, slot);
    t.input = t.zeros + aligned(d->channels);
    t.line = (infer_line_f32_t *) (void *)
             (t.input + (d->strip != NULL ? lines * d->line : 0));
    t.row = (int64_t *) (void *) (t.line + lines);
    t.pixel = (const float **) (void *) (t.row + lines);

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
                fill_table(d, t, input_line(d, t, line, slot),
                           t->pixel + slot * d->pixels);
            }
        }
    }

    return n;
}


/* A line of the input, `row` counting through all images. */
static const float *
input_line(const depthwise_t *d, const tables_t *t, int64_t row,
    int64_t slot)
{
    size_t             channels;
    const float       *x;
    infer_tile_f32_t   tile;

    channels = (size_t) d->x->dim[d->x->rank - 1];
    x = (const float *) d->x->data + (size_t) (row * d->in[2]) * channels;

    if (d->strip == NULL) {
        return x;
    }

    memset(&tile, 0, sizeof(tile));
    tile.a = x;
    tile.lda = channels;
    tile.rows = (size_t) d->in[2];
    tile.k = channels;
    tile.panels = d->call->packed;
    tile.n = (size_t) d->channels;
    tile.bias = tile.panels + aligned(d->channels) * channels;
    tile.c = t->input + (size_t) slot * d->line;
    tile.ldc = tile.n;
    tile.act = &d->strip->act;

    d->call->kernels->tile_f32(&tile);

    return tile.c;
}


/* The pixels of a line, in the order of outputs and taps. */
static void
fill_table(const depthwise_t *d, const tables_t *t, const float *line,
    const float **pixel)
{
    int64_t                taps, iw;
    const infer_window_t  *w = d->window;

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
