/*
 * A convolution of few channels and the max pool of its result, as networks
 * begin with: the large image between the two is never there as a whole.
 *
 * A task is some lines of the pool.  It computes a line of the convolution
 * when a window comes to it, and keeps as many as a window is high.
 */

#include <string.h>

#include "ops/lines.h"
#include "ops/pool.h"
#include "ops/window.h"


typedef struct {
    infer_call_t           conv;       /* the two as calls of their own */
    infer_call_t           max;
    infer_tensor_t         wide;       /* between them; no data */
    infer_tensor_t        *out;
    const infer_tensor_t  *in;
    infer_lines_t          lines;
    infer_pooling_t        pool;
    int64_t                ring;       /* lines that are kept */
    size_t                 line;       /* floats of one */
    size_t                 rows;       /* lines of outputs, all images */
    size_t                 tasks;
} stem_t;

/* What a task has of the convolution. */
typedef struct {
    infer_lines_copy_t     copy;       /* of the input */
    float                 *ring;
    infer_tap_t           *tap;
    int64_t                image;
    int64_t                next;       /* line to compute */
} work_t;


static void stem_init(stem_t *s, const infer_call_t *call);
static void run_task(void *arg, size_t i, size_t slot);
static void run_row(const stem_t *s, work_t *work, size_t row);
static const float *wide_line(const stem_t *s, work_t *work, int64_t line);


static size_t
aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}


/* ---- the shape rule, and packing as conv ------------------------------ */

/* The convolution as a node of its own, for its own functions. */
static infer_node_t
conv_of(const infer_node_t *node, infer_value_t **wide)
{
    infer_node_t  conv = *node;

    conv.id = INFER_OP_CONV;
    conv.op = infer_op_table[INFER_OP_CONV];
    conv.param.conv = node->param.stem.conv;
    conv.out = wide;

    return conv;
}


static int
stem_shape(infer_graph_t *g, const infer_node_t *node)
{
    const char          *fault;
    infer_node_t         conv, pool = *node;
    infer_value_t        wide, *between = &wide;
    const infer_stem_t  *p = &node->param.stem;

    if (infer_check_operands(g, node, 2, INFER_IN_SCALE + 1, 1) != 0) {
        return -1;
    }

    memset(&wide, 0, sizeof(wide));
    conv = conv_of(node, &between);

    if (conv.op->shape(g, &conv) != 0) {
        return -1;
    }

    fault = infer_value_fault(between);

    if (fault != NULL) {
        return infer_node_fail(g, node, "the result of the first %s", fault);
    }

    if (p->conv.winograd || p->conv.sparse.used || wide.rank != 4
        || !infer_lines_fit(&p->conv.window, p->conv.groups, 4,
                            node->in[INFER_IN_X]->dim[3].base))
    {
        return infer_node_fail(g, node, "the first is no convolution of few "
                               "channels");
    }

    if (p->pool.average || p->pool.indices
        || p->pool.window.dilation[1] != 1)
    {
        return infer_node_fail(g, node, "the second is no maximum of "
                               "neighbouring lines");
    }

    pool.in = &between;
    pool.n_in = 1;
    pool.param.pool = p->pool;

    return infer_op_pool.shape(g, &pool);
}


static size_t
stem_pack_size(const infer_node_t *node)
{
    infer_node_t  conv = conv_of(node, NULL);

    return conv.op->pack_size(&conv);
}


static void
stem_pack(const infer_node_t *node, void *dst)
{
    infer_node_t  conv = conv_of(node, NULL);

    conv.op->pack(&conv, dst);
}


static uint64_t
stem_macs(const infer_node_t *node)
{
    uint64_t               n = 1;
    const infer_window_t  *w = &node->param.stem.conv.window;
    const infer_value_t   *weights = node->in[INFER_IN_WEIGHTS];

    for (int i = 1; i < 3; i++) {
        n *= (uint64_t) infer_window_output(w, i,
                                            node->in[INFER_IN_X]->dim[i].base);
    }

    for (int i = 0; i < 4; i++) {
        n *= (uint64_t) weights->dim[i].base;
    }

    return n;
}


/* ---- running ---------------------------------------------------------- */

static void
stem_init(stem_t *s, const infer_call_t *call)
{
    const infer_stem_t    *p = &call->param->stem;
    const infer_tensor_t  *x = call->in[INFER_IN_X], *y = call->out[0];

    s->wide = *y;
    s->wide.data = NULL;
    s->wide.dim[1] = infer_window_output(&p->conv.window, 1, x->dim[1]);
    s->wide.dim[2] = infer_window_output(&p->conv.window, 2, x->dim[2]);
    s->out = &s->wide;
    s->in = &s->wide;

    s->conv = *call;
    s->conv.out = &s->out;
    s->conv.ld = 0;

    s->max = *call;
    s->max.in = &s->in;

    infer_lines_init(&s->lines, &s->conv, &p->conv.window, 0);
    infer_pooling_init(&s->pool, &s->max, &p->pool);

    s->ring = (int64_t) infer_pool_most_taps(&s->max, &p->pool.window, 1);
    s->line = aligned((size_t) (s->wide.dim[2] * s->wide.dim[3])
                      * sizeof(float)) / sizeof(float);
    s->rows = (size_t) (y->dim[0] * y->dim[1]);
}


static size_t
stem_scratch(const infer_call_t *call)
{
    stem_t  s;

    stem_init(&s, call);

    return aligned(infer_lines_scratch(&s.lines))
           + (size_t) s.ring * s.line * sizeof(float)
           + infer_pool_f32_scratch(&s.max, s.pool.window);
}


static void
stem_run(const infer_call_t *call)
{
    size_t  slots;
    stem_t  s;

    stem_init(&s, call);

    /* tasks side by side compute the lines between them twice */
    slots = call->parallel != NULL ? call->parallel->slots : 1;
    s.tasks = slots > 1 ? infer_tasks(call, s.rows, s.rows / (2 * slots) + 1)
                        : 1;

    infer_parallel_for(call, run_task, &s, s.tasks);
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    size_t         end;
    work_t         work = { .image = -1 };
    const stem_t  *s = arg;

    work.copy.lines = infer_scratch(s->lines.call, slot);
    work.ring = (float *) (void *) (work.copy.lines
                                    + aligned(infer_lines_scratch(&s->lines)));
    work.tap = (infer_tap_t *) (void *) (work.ring
                                         + (size_t) s->ring * s->line);

    end = infer_task_first(s->rows, s->tasks, i + 1);

    for (size_t row = infer_task_first(s->rows, s->tasks, i); row < end;
         row++)
    {
        run_row(s, &work, row);
    }
}


static void
run_row(const stem_t *s, work_t *work, size_t row)
{
    size_t                 n = 0;
    int64_t                line, at[3] = { 0 };
    infer_pool_taps_t      taps;
    const infer_window_t  *w = s->pool.window;

    at[0] = (int64_t) row / s->pool.out[1];
    at[2] = (int64_t) row % s->pool.out[1];

    if (work->image != at[0]) {
        work->image = at[0];
        work->next = 0;
    }

    taps = infer_pool_taps_inside(&s->pool, 1, at[2]);

    for (int64_t k = taps.first; k < taps.end; k++) {
        line = at[2] * w->stride[1] - w->before[1] + k;
        work->tap[n].x = wide_line(s, work, line);
        work->tap[n++].step = 0;
    }

    infer_pool_f32_row(&s->pool, at, work->tap, n,
                       (float *) s->max.out[0]->data
                       + row * (size_t) (s->pool.out[2] * s->pool.ld));
}


/* Lines come in ascending order. */
static const float *
wide_line(const stem_t *s, work_t *work, int64_t line)
{
    float                *c;
    const unsigned char  *under;

    c = work->ring + (size_t) (line % s->ring) * s->line;

    if (line >= work->next) {
        work->next = line + 1;
        under = infer_lines_under(&s->lines, &work->copy, work->image, line,
                                  s->wide.dim[1]);
        infer_lines_f32(&s->lines, under, NULL, c);
    }

    return c;
}


static int
stem_strided(const infer_call_t *call)
{
    (void) call;

    return 1;
}


const infer_op_t  infer_op_stem = {
    .name = "stem",
    .shape = stem_shape,
    .run = stem_run,
    .strided = stem_strided,
    .scratch = stem_scratch,
    .pack_size = stem_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = stem_pack,
    .macs = stem_macs
};
