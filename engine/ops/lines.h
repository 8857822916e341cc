/*
 * Convolutions of few channels, the first of a network: gathering rows would
 * cost as much as multiplying them.
 */

#ifndef INFER_OPS_LINES_H
#define INFER_OPS_LINES_H

#include "ops/product.h"


typedef struct infer_lines_s  infer_lines_t;

struct infer_lines_s {
    const infer_call_t    *call;
    const infer_window_t  *window;
    const infer_tensor_t  *x;
    const infer_tensor_t  *y;
    size_t                 size;           /* bytes of an element */
    unsigned char          padding;        /* each byte of it */
    int64_t                channels;
    size_t                 ldc;            /* from output to output */
    int64_t                extent;         /* lines that a window spans */
    int64_t                line;           /* elements, with padding */
    int64_t                lines;          /* output lines of a task */
    int64_t                tasks;          /* of an image */

    /* Computes one line of outputs, from number `offset` on, whose windows
       begin at `lines`. */
    void                 (*multiply)(const infer_lines_t *l,
                                     const unsigned char *lines,
                                     size_t slot, size_t offset);
};


/* Whether a convolution is better computed so; weights as for a product. */
int infer_lines_fit(const infer_window_t *window, int64_t groups, int rank,
    int64_t channels);

/* All but multiply. */
void infer_lines_init(infer_lines_t *l, const infer_call_t *call,
    const infer_window_t *window, unsigned char padding);

/* Copied lines: those of outputs first .. end - 1 of an image. */
typedef struct {
    unsigned char         *lines;          /* infer_lines_scratch() bytes */
    int64_t                image;
    int64_t                first;
    int64_t                end;            /* first: none */
} infer_lines_copy_t;

/*
 * Where the window of output line `row` begins.  If it is not in the copy, as
 * many lines are as there is room for, from it to that of `end` - 1.
 */
const unsigned char *infer_lines_under(const infer_lines_t *l,
    infer_lines_copy_t *copy, int64_t image, int64_t row, int64_t end);

/* A line of floats, c, of a conv, packed as a product; residual: NULL: none. */
void infer_lines_f32(const infer_lines_t *l, const unsigned char *lines,
    const float *residual, float *c);

/* A multiply may read 3 elements beyond the last line. */
size_t infer_lines_scratch(const infer_lines_t *l);
void infer_lines_run(const infer_lines_t *l);

#endif /* INFER_OPS_LINES_H */
