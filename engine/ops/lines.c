/*
 * A convolution read from lines: a task copies the lines of the input that
 * its outputs need, with zeros for the padding, and the tile walks over them,
 * a run of KW * C floats in each line of the window.  The order of products
 * is that of a gathered row.
 */

#include <string.h>

#include "ops/lines.h"


#define PANEL      INFER_PANEL

/* A run longer than this is copied into rows at little cost. */
#define SHORT_RUN  64

/* Floats in the lines of a task, unless one output needs more. */
#define TASK_SIZE  ((int64_t) 16 << 10)


typedef struct {
    const infer_call_t    *call;
    const infer_window_t  *window;
    const infer_tensor_t  *x;
    const infer_tensor_t  *y;
    const float           *residual;       /* NULL: none */
    int64_t                channels;
    size_t                 ldc;
    int64_t                extent;         /* lines that a window spans */
    int64_t                line;           /* floats, with padding */
    int64_t                lines;          /* output lines of a task */
    int64_t                tasks;          /* of an image */
} lines_t;


static void lines_init(lines_t *l, const infer_call_t *call);
static int64_t lines_read(const lines_t *l);
static void run_task(void *arg, size_t i, size_t slot);
static void copy_lines(const lines_t *l, const float *image, int64_t first,
    int64_t n, float *dst);
static void multiply(const lines_t *l, const float *lines, size_t offset);


int
infer_lines_fit(const infer_call_t *call)
{
    const infer_conv_t    *p = &call->param->conv;
    const infer_tensor_t  *x = call->in[INFER_IN_X];

    return x->rank == 4 && p->groups == 1 && p->window.kernel[2] > 1
           && p->window.dilation[2] == 1
           && p->window.kernel[2] * x->dim[3] <= SHORT_RUN;
}


size_t
infer_lines_scratch(const infer_call_t *call)
{
    lines_t  l;

    lines_init(&l, call);

    return (size_t) (lines_read(&l) * l.line) * sizeof(float);
}


void
infer_lines_run(const infer_call_t *call)
{
    lines_t  l;

    lines_init(&l, call);

    infer_parallel_for(call, run_task, &l, (size_t) (l.x->dim[0] * l.tasks));
}


static void
lines_init(lines_t *l, const infer_call_t *call)
{
    int64_t                 out, room;
    const infer_window_t   *w = &call->param->conv.window;

    l->call = call;
    l->window = w;
    l->x = call->in[INFER_IN_X];
    l->y = call->out[0];
    l->residual = infer_product_residual(call);
    l->channels = l->x->dim[3];
    l->ldc = infer_out_ld(call);
    l->extent = (int64_t) (w->kernel[1] - 1) * w->dilation[1] + 1;
    l->line = (w->before[2] + l->x->dim[2] + w->after[2]) * l->channels;

    out = l->y->dim[1];
    room = TASK_SIZE / l->line - l->extent;

    l->lines = room > 0 ? room / w->stride[1] + 1 : 1;
    l->tasks = (out + l->lines - 1) / l->lines;
    l->lines = (out + l->tasks - 1) / l->tasks;
    l->tasks = (out + l->lines - 1) / l->lines;
}


/* Lines of the input that a task reads. */
static int64_t
lines_read(const lines_t *l)
{
    return (l->lines - 1) * l->window->stride[1] + l->extent;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    float          *scratch;
    int64_t         image, first, end, lines;
    const lines_t  *l = arg;

    scratch = infer_scratch(l->call, slot);
    image = (int64_t) i / l->tasks;
    first = (int64_t) i % l->tasks * l->lines;
    end = first + l->lines;
    end = end < l->y->dim[1] ? end : l->y->dim[1];
    lines = (end - first - 1) * l->window->stride[1] + l->extent;

    copy_lines(l, (const float *) l->x->data
                  + image * l->x->dim[1] * l->x->dim[2] * l->channels,
               first * l->window->stride[1] - l->window->before[1], lines,
               scratch);

    for (int64_t line = first; line < end; line++) {
        multiply(l, scratch
                    + (line - first) * l->window->stride[1] * l->line,
                 (size_t) ((image * l->y->dim[1] + line) * l->y->dim[2])
                 * l->ldc);
    }
}


static void
copy_lines(const lines_t *l, const float *image, int64_t first, int64_t n,
    float *dst)
{
    size_t   before, size, after;
    int64_t  width;

    width = l->x->dim[2] * l->channels;
    before = (size_t) (l->window->before[2] * l->channels) * sizeof(float);
    after = (size_t) (l->window->after[2] * l->channels) * sizeof(float);
    size = (size_t) width * sizeof(float);

    for (int64_t i = first; i < first + n; i++, dst += l->line) {
        if (i < 0 || i >= l->x->dim[1]) {
            memset(dst, 0, before + size + after);
            continue;
        }

        memset(dst, 0, before);
        memcpy(dst + before / sizeof(float), image + i * width, size);
        memset(dst + (before + size) / sizeof(float), 0, after);
    }
}


/* One line of outputs, whose windows begin at `lines`. */
static void
multiply(const lines_t *l, const float *lines, size_t offset)
{
    size_t            panels;
    infer_tile_f32_t  t;

    t.lda = (size_t) (l->window->stride[2] * l->channels);
    t.run = (size_t) (l->window->kernel[2] * l->channels);
    t.run_step = (size_t) (l->window->dilation[1] * l->line);
    t.k = t.run * (size_t) l->window->kernel[1];
    t.n = (size_t) l->y->dim[3];

    panels = (t.n + PANEL - 1) / PANEL;

    t.panels = l->call->packed;
    t.bias = t.panels + panels * PANEL * t.k;
    t.next = NULL;
    t.panel_step = 0;
    t.resume = 0;
    t.ldr = t.ldc = l->ldc;
    t.act = &l->call->param->conv.act;

    t.rows = (size_t) l->y->dim[2];
    t.a = lines;
    t.c = (float *) l->y->data + offset;
    t.residual = l->residual != NULL ? l->residual + offset : NULL;

    l->call->kernels->tile_f32(&t);
}
