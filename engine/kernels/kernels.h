/*
 * The table of inner loops, one per instruction set, all with the same bits:
 * an output is one chain of fused multiply-adds in the order of k, and no sum
 * crosses vector lanes but in the one tree of 16 lanes that is written down
 * below.  Tests hold each table against the scalar one with memcmp.  (What is
 * NaN in one is NaN in all, but which of the many NaNs is left open: compilers
 * exchange factors.  A clip passes NaN through as it is.)
 *
 * The loops are written once (vec_math.h, rows.h, tile.h, sparse.h, winograd.h,
 * bytes.h, integer.h) over a vector of 16 floats; an instruction set is that vector
 * (vec_*.h) and a file of a few lines that compiles the loops with it.
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

/*
 * The same of weights that are mostly zero: in panel p, numbered from the
 * first to use, only rows index[start[p]] .. index[start[p + 1] - 1] of K,
 * ascending, are not left out; row i of those is blocks[i * 16] and on.
 */
typedef struct {
    const float          *a;            /* rows x K */
    size_t                lda;
    size_t                rows;
    const uint32_t       *start;
    const uint32_t       *index;
    const float          *blocks;
    size_t                n;
    const float          *bias;         /* n rounded up to a panel */
    const float          *residual;     /* NULL: none */
    size_t                ldr;
    float                *c;
    size_t                ldc;
    const infer_unary_t  *act;
} infer_sparse_f32_t;

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
    const void           *x;            /* for the first output */
    size_t                step;         /* elements to those of the next; 0
                                           where x is padding */
} infer_tap_t;

/*
 * `width` neighbouring outputs of a pool, all channels: c[i][j] is the
 * largest, or the sum in order, of tap[t].x[i * step + j].
 */
typedef struct {
    const infer_tap_t  *tap;
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

/* ---- integers --------------------------------------------------------- */

/*
 * How numbers become bytes: rounded to even, + zero, within low .. high (-2^31
 * where it is no number), and for signed bytes the top bit turned.
 */
typedef struct {
    uint8_t   zero;
    uint8_t   low;
    uint8_t   high;
    uint8_t   flip;                     /* 0x80: signed, else 0 */
} infer_bytes_t;

/*
 * What becomes of the sums of an integer product; see infer_requantize_t.
 * Sum [i][j] has its result at c[i * ldc + j]; vectors are padded to a panel.
 */
typedef struct {
    infer_dtype_t         dtype;        /* I32: the sums; F32: v; U8: bytes */
    const float          *scale;
    const float          *bias;
    const int32_t        *weights;      /* sums of each column's weights, where
                                           x's scale and zero point are data */
    const float          *x_scale;      /* of row i: x_scale[i * x_step] */
    const uint8_t        *x_zero;
    size_t                x_step;
    const uint8_t        *residual;     /* NULL: none */
    size_t                ldr;
    float                 residual_scale;      /* its zero point is in bias */
    infer_bytes_t         bytes;
    int                   bounded;      /* all |scale| <= 2^-2 and |bias| <=
                                           2^28: no number reaches 2^30 */
    void                 *c;
    size_t                ldc;          /* elements */
} infer_end_t;

/*
 * rows x n sums start[j] + sum_k a[i][k] * w[k][j].
 * Panels (s8): [ceil(n / 16)][k / 4][16][4], channels beyond n are 0.
 */
typedef struct {
    const uint8_t        *a;
    size_t                lda;
    size_t                rows;
    size_t                k;            /* a multiple of 4 */
    size_t                run;          /* it lies in runs of so many, 4 .., */
    size_t                run_step;     /* from one to the next */
    const int8_t         *panels;
    const int32_t        *start;        /* n rounded up to a panel */
    size_t                n;
    const void           *ahead;        /* is fetched into the second cache */
    size_t                ahead_size;   /* meanwhile; bytes, 0 for nothing */
    const infer_end_t    *end;
} infer_tile_u8_t;

/*
 * As infer_depthwise_f32_t, by blocks of 64 channels.  In a block, number
 * 16 * j + 4 * l + i of start, scale and bias is that of channel 16 * l +
 * 4 * j + i (interleaving bytes leaves sums in this order).  Taps come in
 * rows; panels (s8) are [rows][ceil(row / 4)][64 of this order][4], zeros
 * beyond the last of a row.  No x_scale.
 */
#define INFER_DEPTHWISE_BLOCK  64

typedef struct {
    const infer_tap_t    *tap;
    size_t                taps;
    size_t                row;          /* divides taps; 3 is fastest */
    size_t                width;
    size_t                channels;
    const int8_t         *panels;
    size_t                step;         /* weights of a channel in panels */
    const int32_t        *start;
    const infer_end_t    *end;
} infer_depthwise_u8_t;

/*
 * `width` neighbouring outputs of a pool, all channels.  Average: (the sum
 * of bytes - offset) * factor becomes a byte.
 */
typedef struct {
    const infer_tap_t    *tap;
    size_t                taps;         /* 1 or more */
    size_t                width;
    size_t                channels;
    int                   average;
    int32_t               offset;
    float                 factor;
    infer_bytes_t         bytes;
    uint8_t              *c;            /* width x channels */
} infer_pool_u8_t;

/*
 * a KIND b: add and sub: fma(float(b - b.zero), +-b.scale,
 * float(a - a.zero) * a.scale); mul: float((a - a.zero) * (b - b.zero))
 * * a.scale.  As floats where y32 is not NULL, else as bytes in y.
 */
typedef struct {
    int32_t               kind;
    infer_affine_scale_t  a;
    infer_affine_scale_t  b;
    infer_bytes_t         bytes;
    float                *y32;
    uint8_t              *y;
} infer_binary_u8_t;

/*
 * Kernels for 8-bit tensors.  Sums are 32 bits wide and exact (modulo 2^32);
 * signed bytes are treated as unsigned ones with the top bit turned.
 */
typedef struct {
    size_t       tile_rows;             /* as of the float kernels */

    void       (*tile_u8)(const infer_tile_u8_t *t);
    void       (*depthwise_u8)(const infer_depthwise_u8_t *d);
    void       (*pool_u8)(const infer_pool_u8_t *p);

    /* Steps 0 or 1; y may be a or b. */
    void       (*binary_u8)(const infer_binary_u8_t *bin, const uint8_t *a,
                            size_t a_step, const uint8_t *b, size_t b_step,
                            size_t n);

    /* y[i] = x[i] / scale as bytes */
    void       (*quantize)(const infer_bytes_t *bytes, float scale,
                           const float *x, uint8_t *y, size_t n);

    /* y[i] = float(x[i] - zero) * scale; bytes are turned by flip before */
    void       (*dequantize_u8)(const uint8_t *x, uint8_t flip, int32_t zero,
                                float scale, float *y, size_t n);
    void       (*dequantize_i32)(const int32_t *x, int32_t zero, float scale,
                                 float *y, size_t n);

    /* range[0] = min(range[0], x..), range[1] = max; NaN is passed over. */
    void       (*range_f32)(const float *x, size_t n, float *range);

    /* As peak_f32, of products of bytes. */
    float      (*peak_u8)(const float *seed, size_t rounds, size_t *macs);
} infer_integer_kernels_t;


/* ---- the table -------------------------------------------------------- */

typedef struct {
    const char  *name;

    const infer_integer_kernels_t  *integer;

    /* Rows that tile_f32 is best given at least; the more at a time, the
       less often weights are read. */
    size_t       tile_rows;

    void       (*tile_f32)(const infer_tile_f32_t *t);
    void       (*sparse_f32)(const infer_sparse_f32_t *t);
    void       (*depthwise_f32)(const infer_depthwise_f32_t *d);
    void       (*pool_f32)(const infer_pool_f32_t *p);
    void       (*winograd_input_f32)(const infer_winograd_input_f32_t *t);

    /* taps[tap * tap_step + i], 9 taps, i < k * 16, become y[point * step
       + i]; y may be taps where the steps are equal. */
    void       (*winograd_weights_f32)(const float *taps, size_t tap_step,
                                       size_t k, float *y, size_t step);

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
extern const infer_kernels_t  infer_kernels_avx512;      /* without VNNI */
extern const infer_kernels_t  infer_kernels_avx512_vnni;

extern const infer_integer_kernels_t  infer_integer_kernels_scalar;
extern const infer_integer_kernels_t  infer_integer_kernels_avx2;
extern const infer_integer_kernels_t  infer_integer_kernels_vnni;

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
