/*
 * A convolution read from lines: a task copies the lines of the input that
 * its outputs need, with zeros for the padding, and the tile walks over them,
 * a run of KW * C floats in each line of the window.  The order of products
 * is that of a gathered row.
 */

#include <string.h>

#include "ops/lines.h"


/* A run longer than this is copied into rows at little cost. */
#define SHORT_RUN  64

/* Floats in the lines of a task, unless one output needs more; half of the
   room for bytes, of which a network has many channels by then. */
#define TASK_SIZE  ((int64_t) 16 << 10)
#define TASK_BYTES ((int64_t) 32 << 10)

/* Elements that may be read beyond the last line. */
#define SLACK      3


static int64_t lines_read(const infer_lines_t *l);
static void run_task(void *arg, size_t i, size_t slot);
static void copy_lines(const infer_lines_t *l, const unsigned char *image,
    int64_t first, int64_t n, unsigned char *dst);


int
infer_lines_fit(const infer_window_t *window, int64_t groups, int rank,
    int64_t channels)
{
    return rank == 4 && groups == 1 && window->kernel[2] > 1
           && window->dilation[2] == 1
           && window->kernel[2] * channels <= SHORT_RUN;
}


size_t
infer_lines_scratch(const infer_lines_t *l)
{
    return (size_t) (lines_read(l) * l->line + SLACK) * l->size;
}


void
infer_lines_run(const infer_lines_t *l)
{
    infer_parallel_for(l->call, run_task, (void *) l,
                       (size_t) (l->x->dim[0] * l->tasks));
}


void
infer_lines_init(infer_lines_t *l, const infer_call_t *call,
    const infer_window_t *w, unsigned char padding)
{
    int64_t  out, room;

    l->call = call;
    l->window = w;
    l->x = call->in[INFER_IN_X];
    l->y = call->out[0];
    l->size = infer_dtype_size(l->x->dtype);
    l->padding = padding;
    l->channels = l->x->dim[3];
    l->ldc = infer_out_ld(call);
    l->extent = (int64_t) (w->kernel[1] - 1) * w->dilation[1] + 1;
    l->line = (w->before[2] + l->x->dim[2] + w->after[2]) * l->channels;

    out = l->y->dim[1];
    room = (l->size == 1 ? TASK_BYTES : TASK_SIZE) / l->line - l->extent;

    l->lines = room > 0 ? room / w->stride[1] + 1 : 1;
    l->tasks = (out + l->lines - 1) / l->lines;
    l->lines = (out + l->tasks - 1) / l->tasks;
    l->tasks = (out + l->lines - 1) / l->lines;
}


/* Lines of the input that a task reads. */
static int64_t
lines_read(const infer_lines_t *l)
{
    return (l->lines - 1) * l->window->stride[1] + l->extent;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    int64_t               image, first, end;
    const infer_lines_t  *l = arg;
    infer_lines_copy_t    copy = { .lines = infer_scratch(l->call, slot) };

    image = (int64_t) i / l->tasks;
    first = (int64_t) i % l->tasks * l->lines;
    end = first + l->lines;
    end = end < l->y->dim[1] ? end : l->y->dim[1];

    for (int64_t line = first; line < end; line++) {
        l->multiply(l, infer_lines_under(l, &copy, image, line, end), slot,
                    (size_t) ((image * l->y->dim[1] + line) * l->y->dim[2])
                    * l->ldc);
    }
}


const unsigned char *
infer_lines_under(const infer_lines_t *l, infer_lines_copy_t *copy,
    int64_t image, int64_t row, int64_t end)
{
    int64_t  stride = l->window->stride[1];

    if (copy->image != image || row < copy->first || row >= copy->end) {
        copy->image = image;
        copy->first = row;
        copy->end = row + l->lines < end ? row + l->lines : end;

        copy_lines(l, (const unsigned char *) l->x->data
                      + (size_t) (image * l->x->dim[1] * l->x->dim[2]
                                  * l->channels) * l->size,
                   row * stride - l->window->before[1],
                   (copy->end - row - 1) * stride + l->extent, copy->lines);
    }

    return copy->lines
           + (size_t) ((row - copy->first) * stride * l->line) * l->size;
}


static void
copy_lines(const infer_lines_t *l, const unsigned char *image, int64_t first,
    int64_t n, unsigned char *dst)
{
    size_t  before, size, after, line;

    before = (size_t) (l->window->before[2] * l->channels) * l->size;
    after = (size_t) (l->window->after[2] * l->channels) * l->size;
    size = (size_t) (l->x->dim[2] * l->channels) * l->size;
    line = before + size + after;

    for (int64_t i = first; i < first + n; i++, dst += line) {
        if (i < 0 || i >= l->x->dim[1]) {
            memset(dst, l->padding, line);
            continue;
        }

        memset(dst, l->padding, before);
        memcpy(dst + before, image + (size_t) i * size, size);
        memset(dst + before + size, l->padding, after);
    }

    memset(dst, l->padding, SLACK * l->size);
}


void
infer_lines_f32(const infer_lines_t *l, const unsigned char *lines,
    const float *residual, float *c)
{
    infer_tile_f32_t  t;

    memset(&t, 0, sizeof(t));
    t.a = (const float *) lines;
    t.lda = (size_t) (l->window->stride[2] * l->channels);
    t.rows = (size_t) l->y->dim[2];
    t.run = (size_t) (l->window->kernel[2] * l->channels);
    t.run_step = (size_t) (l->window->dilation[1] * l->line);
    t.k = t.run * (size_t) l->window->kernel[1];
    t.n = (size_t) l->y->dim[3];
    t.panels = l->call->packed;
    t.bias = t.panels
             + (t.n + INFER_PANEL - 1) / INFER_PANEL * INFER_PANEL * t.k;
    t.residual = residual;
    t.c = c;
    t.ldr = t.ldc = l->ldc;
    t.act = &l->call->param->conv.act;

    l->call->kernels->tile_f32(&t);
}
