/*
 * Pools of floats, separable: the rows under a window are combined over their
 * whole width W * C first, then the columns over C.  Both steps are the same
 * kernel in an order that depends on the window alone, so the bits do not
 * depend on the batch or on threads.
 */

#include <math.h>
#include <string.h>

#include "ops/pool.h"


static void run_row(void *arg, size_t i, size_t slot);
static size_t find_rows(const infer_pooling_t *p, const int64_t *at,
    infer_tap_t *tap);
static const float *combine_rows(const infer_pooling_t *p, infer_tap_t *tap,
    size_t rows, float *sum);
static void combine_columns(const infer_pooling_t *p, infer_tap_t *tap,
    const float *sum, float *y);
static void fill(const infer_pooling_t *p, float *y, int64_t n);
static void divide_row(const infer_pooling_t *p, const int64_t *at, float *y);


/* Rows or columns under a window, at most. */
static size_t
taps_of(const infer_call_t *call, const infer_window_t *w)
{
    size_t  rows, columns;

    rows = infer_pool_most_taps(call, w, 0) * infer_pool_most_taps(call, w, 1);
    columns = infer_pool_most_taps(call, w, 2);

    return rows > columns ? rows : columns;
}


size_t
infer_pool_f32_scratch(const infer_call_t *call, const infer_window_t *window)
{
    const infer_tensor_t  *x = call->in[0];

    /* taps, and the rows combined */
    return taps_of(call, window) * sizeof(infer_tap_t)
           + (size_t) x->dim[x->rank - 2] * (size_t) x->dim[x->rank - 1]
             * sizeof(float);
}


void
infer_pool_f32_run(const infer_pooling_t *p)
{
    infer_parallel_for(p->call, run_row, (void *) p,
                       (size_t) (p->call->in[0]->dim[0] * p->out[0]
                                 * p->out[1]));
}


static void
run_row(void *arg, size_t i, size_t slot)
{
    int64_t                 at[3];
    infer_tap_t            *tap;
    const infer_pooling_t  *p = arg;

    at[0] = (int64_t) i / (p->out[0] * p->out[1]);
    at[1] = (int64_t) i / p->out[1] % p->out[0];
    at[2] = (int64_t) i % p->out[1];

    tap = infer_scratch(p->call, slot);

    infer_pool_f32_row(p, at, tap, find_rows(p, at, tap),
                       (float *) p->call->out[0]->data
                       + (int64_t) i * p->out[2] * p->ld);
}


/* The rows under the window of output (n, od, oh). */
static size_t
find_rows(const infer_pooling_t *p, const int64_t *at, infer_tap_t *tap)
{
    size_t                 n = 0;
    int64_t                row;
    infer_pool_taps_t      d, h;
    const infer_window_t  *w = p->window;

    d = infer_pool_taps_inside(p, 0, at[1]);
    h = infer_pool_taps_inside(p, 1, at[2]);

    for (int64_t kd = d.first; kd < d.end; kd++) {
        for (int64_t kh = h.first; kh < h.end; kh++) {
            row = at[0] * p->in[0]
                  + at[1] * w->stride[0] - w->before[0] + kd * w->dilation[0];
            row = row * p->in[1]
                  + at[2] * w->stride[1] - w->before[1] + kh * w->dilation[1];

            tap[n].x = (const float *) p->call->in[0]->data
                       + row * p->in[2] * p->channels;
            tap[n++].step = 0;
        }
    }

    return n;
}


void
infer_pool_f32_row(const infer_pooling_t *p, const int64_t *at,
    infer_tap_t *tap, size_t rows, float *y)
{
    float  *sum;

    sum = (float *) (tap + taps_of(p->call, p->window));

    if (rows > 0) {
        combine_columns(p, tap, combine_rows(p, tap, rows, sum), y);
    } else {
        fill(p, y, p->out[2]);
    }

    if (p->param->average) {
        divide_row(p, at, y);
    }
}


static const float *
combine_rows(const infer_pooling_t *p, infer_tap_t *tap, size_t rows,
    float *sum)
{
    infer_pool_f32_t  row;

    if (rows == 1) {
        return tap->x;
    }

    row.tap = tap;
    row.taps = rows;
    row.width = 1;
    row.channels = (size_t) (p->in[2] * p->channels);
    row.sum = p->param->average;
    row.c = sum;
    row.ldc = row.channels;

    p->call->kernels->pool_f32(&row);

    return sum;
}


/* The columns under each window: outputs with the same taps at once. */
static void
combine_columns(const infer_pooling_t *p, infer_tap_t *tap, const float *sum,
    float *y)
{
    int64_t                n;
    infer_pool_f32_t       row;
    infer_pool_taps_t      t, next;
    const infer_window_t  *w = p->window;

    row.tap = tap;
    row.channels = (size_t) p->channels;
    row.ldc = (size_t) p->ld;
    row.sum = p->param->average;

    for (int64_t o = 0; o < p->out[2]; o += n) {
        t = infer_pool_taps_inside(p, 2, o);

        for (n = 1; o + n < p->out[2]; n++) {
            next = infer_pool_taps_inside(p, 2, o + n);

            if (next.first != t.first || next.end != t.end) {
                break;
            }
        }

        if (t.first >= t.end) {
            fill(p, y + o * p->ld, n);
            continue;
        }

        for (int64_t k = t.first; k < t.end; k++) {
            tap[k - t.first].x = sum + (o * w->stride[2] - w->before[2]
                                        + k * w->dilation[2]) * p->channels;
            tap[k - t.first].step = (size_t) (w->stride[2] * p->channels);
        }

        row.taps = (size_t) (t.end - t.first);
        row.width = (size_t) n;
        row.c = y + o * p->ld;

        p->call->kernels->pool_f32(&row);
    }
}


/* n outputs of windows without a tap. */
static void
fill(const infer_pooling_t *p, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++, y += p->ld) {
        for (int64_t c = 0; c < p->channels; c++) {
            y[c] = p->param->average ? 0 : -INFINITY;
        }
    }
}


/* Divides each output by its count, outputs with equal counts at once. */
static void
divide_row(const infer_pooling_t *p, const int64_t *at, float *y)
{
    float                 count;
    int64_t               first, next, here[4];
    const infer_binary_t  bin = { .kind = INFER_DIV };

    memcpy(here, at, 3 * sizeof(int64_t));

    for (first = 0; first < p->out[2]; first = next) {
        here[3] = first;
        count = (float) infer_pool_divisor(p, here);

        for (next = first + 1; next < p->out[2]; next++) {
            here[3] = next;

            if ((float) infer_pool_divisor(p, here) != count) {
                break;
            }
        }

        p->call->kernels->binary_f32(&bin, y + first * p->channels, 1, &count,
                                     0, y + first * p->channels,
                                     (size_t) ((next - first)
                                               * p->channels));
    }
}
