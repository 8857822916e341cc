/*
 * Softmax and log-softmax over dimensions axis .. last: x is seen as
 * (outer, n, inner), and each column of n is normalised.  Columns that do not
 * lie densely (inner > 1) are gathered, a few at a time, and take the same
 * way through the same kernel, so their bits are those of a dense row.
 */

#include <math.h>
#include <string.h>

#include "ops/common.h"


/* Columns gathered at once: a cache line of floats. */
#define COLUMNS  16


typedef struct {
    const infer_call_t  *call;
    size_t               n;
    size_t               inner;
    size_t               width;        /* columns that are gathered at once */
    size_t               blocks;       /* of width columns in inner */
    size_t               tasks;        /* that outer rows are dealt to */
    size_t               outer;
    int                  log;
} softmax_t;


static void softmax_init(softmax_t *s, const infer_call_t *call);
static void dense_rows(void *arg, size_t i, size_t slot);
static void strided_columns(void *arg, size_t i, size_t slot);
static void normalise(const softmax_t *s, const void *x, void *y, float *work);
static void log_softmax_f32(const infer_kernels_t *kernels, const float *x,
    float *y, float *work, size_t n);
static void softmax_f64(const double *x, double *y, size_t n, int log_of);


static int
softmax_shape(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t    *x;
    const infer_softmax_t  *param = &node->param.softmax;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (param->axis < 0 || param->last < param->axis
        || param->last >= x->rank)
    {
        return infer_node_fail(g, node, "dimensions %d .. %d are not in "
                               "0 .. %d", (int) param->axis,
                               (int) param->last, x->rank - 1);
    }

    if (x->dtype != INFER_F32 && x->dtype != INFER_F64) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    infer_set_result(node->out[0], x->dtype, x->rank, x->dim);

    return 0;
}


static void
softmax_init(softmax_t *s, const infer_call_t *call)
{
    const infer_tensor_t   *x = call->in[0];
    const infer_softmax_t  *param = &call->param->softmax;

    s->call = call;
    s->log = param->log;
    s->outer = s->n = s->inner = 1;

    for (int i = 0; i < x->rank; i++) {
        if (i < param->axis) {
            s->outer *= (size_t) x->dim[i];

        } else if (i <= param->last) {
            s->n *= (size_t) x->dim[i];

        } else {
            s->inner *= (size_t) x->dim[i];
        }
    }

    s->width = s->n > INFER_GRAIN ? 1 : COLUMNS;
    s->blocks = (s->inner + s->width - 1) / s->width;
    s->tasks = infer_tasks(call, s->outer, INFER_GRAIN / (s->n + 1) + 1);
}


/* For log-softmax a row of exponentials; then gathered columns, in and out. */
static size_t
softmax_scratch(const infer_call_t *call)
{
    size_t     rows;
    softmax_t  s;

    softmax_init(&s, call);

    rows = s.log ? 1 : 0;
    rows += s.inner > 1 ? 2 * s.width : 0;

    return rows * s.n * infer_dtype_size(call->in[0]->dtype);
}


static void
softmax_run(const infer_call_t *call)
{
    softmax_t  s;

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    softmax_init(&s, call);

    if (s.inner == 1) {
        infer_parallel_for(call, dense_rows, &s, s.tasks);
    } else {
        infer_parallel_for(call, strided_columns, &s, s.outer * s.blocks);
    }
}


static void
dense_rows(void *arg, size_t i, size_t slot)
{
    size_t            size, row, end;
    const softmax_t  *s = arg;

    size = s->n * infer_dtype_size(s->call->in[0]->dtype);
    row = infer_task_first(s->outer, s->tasks, i);
    end = infer_task_first(s->outer, s->tasks, i + 1);

    for ( ; row < end; row++) {
        normalise(s, (const char *) s->call->in[0]->data + row * size,
                  (char *) s->call->out[0]->data + row * size,
                  infer_scratch(s->call, slot));
    }
}


static void
strided_columns(void *arg, size_t i, size_t slot)
{
    size_t            size, first, width, start;
    unsigned char    *x, *y, *in, *out, *work;
    const softmax_t  *s = arg;

    size = infer_dtype_size(s->call->in[0]->dtype);
    first = i % s->blocks * s->width;
    width = s->inner - first < s->width ? s->inner - first : s->width;
    start = i / s->blocks * s->n * s->inner + first;

    x = (unsigned char *) s->call->in[0]->data + start * size;
    y = (unsigned char *) s->call->out[0]->data + start * size;

    in = infer_scratch(s->call, slot);
    out = in + s->width * s->n * size;
    work = out + s->width * s->n * size;

    for (size_t k = 0; k < s->n; k++) {
        for (size_t j = 0; j < width; j++) {
            memcpy(in + (j * s->n + k) * size,
                   x + (k * s->inner + j) * size, size);
        }
    }

    for (size_t j = 0; j < width; j++) {
        normalise(s, in + j * s->n * size, out + j * s->n * size,
                  (float *) work);
    }

    for (size_t k = 0; k < s->n; k++) {
        for (size_t j = 0; j < width; j++) {
            memcpy(y + (k * s->inner + j) * size,
                   out + (j * s->n + k) * size, size);
        }
    }
}


static void
normalise(const softmax_t *s, const void *x, void *y, float *work)
{
    if (s->call->in[0]->dtype == INFER_F64) {
        softmax_f64(x, y, s->n, s->log);

    } else if (s->log) {
        log_softmax_f32(s->call->kernels, x, y, work, s->n);

    } else {
        s->call->kernels->softmax_f32(x, y, s->n);
    }
}


/* x - max - log(sum(exp(x - max))) */
static void
log_softmax_f32(const infer_kernels_t *kernels, const float *x, float *y,
    float *work, size_t n)
{
    float                 max, sum;
    const infer_unary_t   exponential = { .kind = INFER_EXP };
    const infer_unary_t   logarithm = { .kind = INFER_LOG };
    const infer_binary_t  minus = { .kind = INFER_SUB };

    max = x[0];

    for (size_t i = 1; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }

    kernels->binary_f32(&minus, x, 1, &max, 0, y, n);
    kernels->unary_f32(&exponential, y, work, n);
    sum = kernels->sum_f32(work, n);
    kernels->unary_f32(&logarithm, &sum, &sum, 1);
    kernels->binary_f32(&minus, y, 1, &sum, 0, y, n);
}


static void
softmax_f64(const double *x, double *y, size_t n, int log_of)
{
    double  max, sum;

    max = x[0];
    sum = 0;

    for (size_t i = 1; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }

    for (size_t i = 0; i < n; i++) {
        y[i] = log_of ? x[i] - max : exp(x[i] - max);
        sum += log_of ? exp(y[i]) : y[i];
    }

    for (size_t i = 0; i < n; i++) {
        y[i] = log_of ? y[i] - log(sum) : y[i] / sum;
    }
}


const infer_op_t  infer_op_softmax = {
    .name = "softmax",
    .shape = softmax_shape,
    .run = softmax_run,
    .scratch = softmax_scratch
};
