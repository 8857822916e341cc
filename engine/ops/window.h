/*
 * Where the windows of a convolution lie in its input (N, D, H, W, C),
 * whatever the dtype: the shape rule of windows, rows of a product gathered
 * from under them, and the taps that a depthwise convolution reads in place.
 */

#ifndef INFER_OPS_WINDOW_H
#define INFER_OPS_WINDOW_H

#include "ops/product.h"


typedef struct {
    const infer_call_t    *call;
    const infer_window_t  *window;
    const unsigned char   *x;
    size_t                 size;           /* bytes of an element */
    unsigned char          padding;        /* each byte of it */
    int64_t                batch;
    int64_t                in[3];          /* D, H, W */
    int64_t                out[3];         /* OD, OH, OW */
    int64_t                channels;       /* C */
    int64_t                outputs;        /* O */
    int64_t                groups;
    int64_t                group;          /* channels of one: C / groups */
    int64_t                taps;           /* of the window */
} infer_field_t;

/* Neighbouring outputs, each tap a step from one to the next. */
typedef struct {
    infer_tap_t        *tap;               /* field->taps of them, which
                                              run() may change */
    size_t              width;
    size_t              pixel;             /* of the first, in the output */
    size_t              slot;
} infer_stretch_t;


/*
 * The shape rule: x of rank 3 to 5 (in[0]), weights (in[1]) and the window
 * fit.  Writes the result's dimensions; 0, or -1 through infer_node_fail.
 */
int infer_window_shape(infer_graph_t *g, const infer_node_t *node,
    const infer_window_t *window, int64_t groups, infer_dim_t *dim);

/* Outputs along dimension i: floor((in + padding - extent) / stride) + 1; 0
   where the window is larger than the padded input. */
int64_t infer_window_output(const infer_window_t *w, int i, int64_t in);

/* The weights (O, C / groups, spatial..); depthwise are one group with a
   channel for each output. */
infer_weights_t infer_window_weights(const infer_node_t *node,
    int64_t groups);

/* Multiply-accumulates at batch 1 of a convolution. */
uint64_t infer_window_macs(const infer_node_t *node);

void infer_field_init(infer_field_t *f, const infer_call_t *call,
    const infer_window_t *window, int64_t groups);

/* Whether each group has one channel in and one out. */
int infer_field_is_depthwise(const infer_field_t *f);

/* Whether the rows of the product are the input's pixels as they lie. */
int infer_window_is_point(const infer_window_t *w);

/*
 * What the windows of outputs row .. row + n - 1 cover of a group's channels,
 * in the order (kd, kh, kw, c); from row to row ld elements in dst.
 */
void infer_field_gather(const infer_field_t *f, size_t group, size_t row,
    size_t n, unsigned char *dst, size_t ld);

/*
 * A depthwise convolution: calls run() for all outputs, in stretches of a
 * line.  Outputs whose window lies inside the line are together, the others
 * are one by one, since their taps differ.  It takes this much scratch.
 */
size_t infer_field_scratch(const infer_field_t *f);
void infer_field_run(const infer_field_t *f,
    void (*run)(const infer_field_t *f, const infer_stretch_t *stretch));

#endif /* INFER_OPS_WINDOW_H */
