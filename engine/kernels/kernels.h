/*
 * The table of inner loops, one per instruction set, all with the same bits:
 * an output is one chain of fused multiply-adds in the order of k, and no sum
 * crosses vector lanes but in the one tree of 16 lanes that is written down
 * below.  Tests hold each table against the scalar one with memcmp.  (What is
 * NaN in one is NaN in all, but which of the many NaNs is left open: compilers
 * exchange factors.  A clip passes NaN through as it is.)
 *
 * The loops are written once (vec_math.h, rows.h, tile.h, winograd.h) over a
 * vector of 16 floats; an instruction set is that vector (vec_*.h) and a file
 * of a few lines that compiles the loops with it.
 *
 * Weight panels (f32): [ceil(N / 16)][K][16], channels beyond N are 0.
 */

#ifndef INFER_KERNELS_H
#define INFER_KERNELS_H

#include "infer.h"
#include "ops/param.h"


#define INFER_PANEL      16       /* output channels in a weight panel */
#define INFER_TILE_ROWS  12       /* of two register tiles, most often */


/*
 * rows x n outputs: c[i][j] = act(bias[j] + sum_k a[i][k] * w[k][j]
 * + residual[i][j]), where bias starts the chain and the residual is added
 * after it.  c overlaps neither a nor residual.
 */
typedef struct {
    const float          *a;            /* rows x k */
    size_t                lda;          /* floats from row to row */
    size_t                rows;
    size_t                k;
    size_t                run;          /* k lies in runs of so many floats; */
    size_t                run_step;     /* from one to the next; 0: one run */
    const float          *panels;       /* the first panel to use */
    size_t                panel_step;   /* floats to the next; 0: k * 16 */
    int                   resume;       /* c holds the sums of k before these,
                                           which begin with the bias */
    size_t                n;            /* columns to store */
    const float          *bias;         /* n rounded up to a panel */
    const float          *next;         /* a later call's panels, as far apart,
                                           of which some are fetched; NULL:
                                           none */
    const float          *residual;     /* NULL: none */
    size_t                ldr;
    float                *c;
    size_t                ldc;
    const infer_unary_t  *act;
} infer_tile_f32_t;

/* A line of a window. */
typedef struct {
    const float *const  *pixel;         /* of the first tap for the first
                                           output, and those that follow;
                                           zeros for padding */
    size_t               tap;           /* number of its first tap */
} infer_line_f32_t;

/*
 * Neighbouring outputs of a depthwise convolution, channels j = first ..
 * last - 1: c[i][j] = act(bias[j] + sum of pixel[i * stride + t][j]
 * * w[tap + t][j] over all lines and their taps t + residual[i][j]).  The
 * panels are those of a product with a tap for k and a channel for n.
 */
typedef struct {
    const infer_line_f32_t  *line;
    size_t                   lines;
    size_t                   width;     /* taps of a line */
    size_t                   stride;    /* pixels from output to output */
    size_t                   taps;      /* in a panel */
    size_t                   outputs;
    size_t                   channels;  /* of c and residual */
    size_t                   first;     /* a multiple of 16 */
    size_t                   last;      /* a multiple of 16, or channels */
    const float             *panels;
    const float             *bias;      /* channels padded to 16 */
    const float             *residual;  /* outputs x channels; NULL: none */
    float                   *c;         /* outputs x channels */
    const infer_unary_t     *act;
} infer_depthwise_f32_t;

/* A tap of a window: the channels that it reads. */
typedef struct {
    const float          *x;            /* for the first output */
    size_t                step;         /* floats to those of the next; 0
                                           where x are zeros (padding) */
} infer_tap_f32_t;

/*
 * `width` neighbouring outputs of a pool, all channels: c[i][j] is the
 * largest, or the sum in order, of tap[t].x[i * step + j].
 */
typedef struct {
    const infer_tap_f32_t  *tap;
    size_t                  taps;       /* 1 or more */
    size_t                  width;
    size_t                  channels;
    int                     sum;
    float                  *c;          /* width x channels */
    size_t                  ldc;        /* floats from output to output */
} infer_pool_f32_t;

/*
 * Winograd's F(4x4, 3x3).  Its polynomials meet at 0, +-A, +-B and infinity:
 * points near 1 whose powers are exact lose the fewest bits.
 */
#define INFER_WINOGRAD_A       0.625f
#define INFER_WINOGRAD_B       1.5f
#define INFER_WINOGRAD_INPUT   6        /* width and height of a tile */
#define INFER_WINOGRAD_OUTPUT  4
#define INFER_WINOGRAD_POINTS  36       /* products instead of 9 * 16 */

/* A tile of inputs, each pixel `channels` floats; y[point * step + channel]. */
typedef struct {
    const float  *pixel[INFER_WINOGRAD_POINTS];
    size_t        channels;
    float        *y;
    size_t        step;
} infer_winograd_input_f32_t;

/*
 * x[point * step + channel], channels rounded up to 16, becomes the upper
 * left height x width outputs of a tile at c[h * row + w * pixel + channel]:
 * act(inverse(x) + bias + residual).
 */
typedef struct {
    const float          *x;
    size_t                step;
    size_t                channels;
    const float          *bias;         /* channels padded to 16 */
    const float          *residual;     /* strides as c; NULL: none */
    float                *c;
    size_t                row;
    size_t                pixel;
    size_t                height;       /* 1 .. 4 */
    size_t                width;
    const infer_unary_t  *act;
} infer_winograd_output_f32_t;

typedef struct {
    const char  *name;

    /* Rows that tile_f32 is best given at least; the more at a time, the
       less often weights are read. */
    size_t       tile_rows;

    void       (*tile_f32)(const infer_tile_f32_t *t);
    void       (*depthwise_f32)(const infer_depthwise_f32_t *d);
    void       (*pool_f32)(const infer_pool_f32_t *p);
    void       (*winograd_input_f32)(const infer_winograd_input_f32_t *t);
    void       (*winograd_output_f32)(const infer_winograd_output_f32_t *t);

    /* y[i] = u(x[i]); y may be x.  All kinds but INFER_NOT. */
    void       (*unary_f32)(const infer_unary_t *u, const float *x, float *y,
                            size_t n);

    /*
     * y[i] = act(a[i * a_step] KIND b[i * b_step]), steps 0 or 1; the kinds
     * ADD SUB MUL DIV MIN MAX; y may be a or b.
     */
    void       (*binary_f32)(const infer_binary_t *bin, const float *a,
                             size_t a_step, const float *b, size_t b_step,
                             float *y, size_t n);

    /* y[i][j] = act(x[i][j] * scale[j] + offset[j]); x is rows x n; offset
       NULL: zeros. */
    void       (*affine_f32)(const infer_unary_t *act, const float *x,
                             size_t rows, size_t n, const float *scale,
                             const float *offset, float *y, size_t ldy);

    /* y = softmax(x): exp(x - max) / sum, the sum in the 16-lane tree. */
    void       (*softmax_f32)(const float *x, float *y, size_t n);

    /*
     * y = (x - mean) / sqrt(variance + epsilon) * scale + bias; scale and
     * bias may be NULL; mean and inv, where not NULL, receive the mean and
     * 1 / sqrt(variance + epsilon).
     */
    void       (*layernorm_f32)(const float *x, const float *scale,
                                const float *bias, float epsilon, float *y,
                                size_t n, float *mean, float *inv);

    /* The sum of x: lane i % 16 adds x[i] in order; then lanes i and i + 8,
       i + 4, i + 2, i + 1 are added. */
    float      (*sum_f32)(const float *x, size_t n);

    /* y[j] += x[i * ldx + j], i = 0 .. rows - 1 one after the other. */
    void       (*sum_rows_f32)(const float *x, size_t ldx, size_t rows,
                               float *y, size_t n);

    /*
     * The fastest work there is, `rounds` times, for infer_peak_gflops();
     * *macs receives how many multiply-adds it was.  seed: 32 different
     * numbers.  The result means nothing, but is to be used, lest a compiler
     * leave out the work.
     */
    float      (*peak_f32)(const float *seed, size_t rounds, size_t *macs);
} infer_kernels_t;

extern const infer_kernels_t  infer_kernels_scalar;
extern const infer_kernels_t  infer_kernels_avx2;
extern const infer_kernels_t  infer_kernels_avx512;

/*
 * The table of this CPU, or the one that INFER_ISA names: "scalar", "avx2",
 * "avx512", or "blas", whose products are OpenBLAS's, and with them the order
 * of additions: its bits may depend on the CPU and the batch.  An unknown
 * name, or one this CPU lacks, is passed over.  The best of a CPU without
 * vectors of our own is "blas".  Decided at the first call, which is to come
 * before threads or child processes that use it.
 */
const infer_kernels_t *infer_kernels(void);

/* The tables with the same bits that this CPU runs, the scalar one first;
   NULL beyond the last. */
const infer_kernels_t *infer_kernels_own(size_t i);

#endif /* INFER_KERNELS_H */
