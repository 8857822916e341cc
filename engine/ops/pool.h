/*
 * The geometry of pools, which floats and bytes share.
 */

#ifndef INFER_OPS_POOL_H
#define INFER_OPS_POOL_H

#include "ops/common.h"


typedef struct infer_pooling_s  infer_pooling_t;

struct infer_pooling_s {
    const infer_call_t    *call;
    const infer_pool_t    *param;
    const infer_window_t  *window;
    int64_t                in[3];      /* D, H, W */
    int64_t                out[3];     /* OD, OH, OW */
    int64_t                channels;
    int64_t                 ld;         /* from output to output */
    void                 (*pixel)(const infer_pooling_t *p,
                                  const int64_t *at);
};

/* Taps first .. end - 1 of a window along one dimension. */
typedef struct {
    int64_t  first;
    int64_t  end;
} infer_pool_taps_t;


/* The shape rule: x (in[0]) and the window fit; the result's dimensions. */
int infer_pool_shape(infer_graph_t *g, const infer_node_t *node,
    const infer_pool_t *param, infer_dim_t *dim);

void infer_pooling_init(infer_pooling_t *p, const infer_call_t *call,
    const infer_pool_t *param);

/* The taps of output o of dimension i that lie in the input. */
infer_pool_taps_t infer_pool_taps_inside(const infer_pooling_t *p, int i,
    int64_t o);

/* Taps of dimension i that lie in the input, at most: a window may be much
   larger. */
size_t infer_pool_most_taps(const infer_call_t *call, const infer_window_t *w,
    int i);

/*
 * The elements that an average is over, at[]: n, od, oh, ow.  Those of the
 * input, or those of input and padding (but not what a window rounded up
 * covers beyond the padding).  A dilated window may have none: 1, so that
 * the result is 0.
 */
int64_t infer_pool_divisor(const infer_pooling_t *p, const int64_t *at);

/*
 * Floats, without indices.  _row: output line at[]: n, od, oh, from the input
 * lines that lie under its window, in order: x of the first `rows` taps of
 * infer_pool_f32_scratch() bytes.
 */
size_t infer_pool_f32_scratch(const infer_call_t *call,
    const infer_window_t *window);
void infer_pool_f32_run(const infer_pooling_t *p);
void infer_pool_f32_row(const infer_pooling_t *p, const int64_t *at,
    infer_tap_t *tap, size_t rows, float *y);

/* Bytes: the largest, or the average that QPOOL asks for. */
size_t infer_pool_u8_scratch(const infer_call_t *call,
    const infer_window_t *window);
void infer_pool_u8_run(const infer_pooling_t *p);

#endif /* INFER_OPS_POOL_H */
