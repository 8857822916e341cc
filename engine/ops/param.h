/*
 * What an operator has besides its operands.  These structs lie in graphs and,
 * as they are, in model files: fixed-size fields, no pointers.
 */

#ifndef INFER_PARAM_H
#define INFER_PARAM_H

#include "infer.h"


/* A dimension: base + batch * B, B being the batch size of the run. */
typedef struct {
    int64_t  base;
    int64_t  batch;
} infer_dim_t;


/* The operators; the order is that of the table in ops/table.c. */
typedef enum {
    INFER_OP_CONV = 0,
    INFER_OP_FC,
    INFER_OP_MATMUL,
    INFER_OP_UNARY,
    INFER_OP_BINARY,
    INFER_OP_WHERE,
    INFER_OP_CAST,
    INFER_OP_POOL,
    INFER_OP_REDUCE,
    INFER_OP_SOFTMAX,
    INFER_OP_LAYERNORM,
    INFER_OP_LRN,
    INFER_OP_TRANSPOSE,
    INFER_OP_RESHAPE,
    INFER_OP_CONCAT,
    INFER_OP_SLICE,
    INFER_OP_PAD,
    INFER_OP_EXPAND,
    INFER_OP_GATHER,
    INFER_OP_RESIZE,
    INFER_OP_AFFINE,
    INFER_OP_STRIP,
    INFER_OP_QUANTIZE,
    INFER_OP_DEQUANTIZE,
    INFER_OP_DYNAMIC_QUANTIZE,
    INFER_OP_QCONV,
    INFER_OP_QFC,
    INFER_OP_QBINARY,
    INFER_OP_QPOOL,
    INFER_OP_TABLE,
    INFER_OPS
} infer_op_id_t;


/* ---- elementwise, and activations fused into other operators ---------- */

typedef enum {
    INFER_NONE = 0,               /* y = x */
    INFER_CLIP,                   /* min(max(x, a), b): relu is (0, inf) */
    INFER_HARDSIGMOID,            /* min(max(a * x + b, 0), 1) */
    INFER_HARDSWISH,              /* x * min(max(x / 6 + 0.5, 0), 1) */
    INFER_SIGMOID,
    INFER_SILU,                   /* x * sigmoid(x) */
    INFER_GELU,                   /* x * 0.5 * (1 + erf(x / sqrt(2))) */
    INFER_TANH,
    INFER_ERF,
    INFER_EXP,
    INFER_LOG,
    INFER_SQRT,
    INFER_NEG,
    INFER_ABS,
    INFER_FLOOR,
    INFER_CEIL,
    INFER_RECIPROCAL,
    INFER_LEAKYRELU,              /* x < 0 ? a * x : x */
    INFER_ROUND,                  /* to nearest, ties to even */
    INFER_NOT,                    /* bool */
    INFER_UNARIES
} infer_unary_kind_t;

typedef struct {
    int32_t  kind;                /* infer_unary_kind_t */
    float    a;
    float    b;
} infer_unary_t;

typedef enum {
    INFER_ADD = 0,
    INFER_SUB,
    INFER_MUL,
    INFER_DIV,
    INFER_POW,
    INFER_MIN,
    INFER_MAX,
    INFER_MOD,                    /* integers, sign of the divisor */
    INFER_EQUAL,                  /* from here on the result is bool */
    INFER_LESS,
    INFER_GREATER,
    INFER_LESS_EQUAL,
    INFER_GREATER_EQUAL,
    INFER_AND,
    INFER_OR,
    INFER_XOR,
    INFER_BINARIES
} infer_binary_kind_t;

/* Operands broadcast as in numpy; f32 results may pass an activation. */
typedef struct {
    int32_t        kind;          /* infer_binary_kind_t */
    infer_unary_t  act;
} infer_binary_t;

typedef struct {
    int32_t  dtype;               /* infer_dtype_t */
} infer_cast_t;


/*
 * in: scale (C), offset (C), and one or more x (.., c), whose c add up to C
 * and which are otherwise of the same shape: joined along the last dimension
 * they are x.  out: act(x * scale + offset), rounded once before act.
 */
typedef struct {
    infer_unary_t  act;
} infer_affine_t;


/* ---- products --------------------------------------------------------- */

/*
 * The window of a convolution or pool over up to three spatial dimensions.
 * Always held as (depth, height, width): for fewer spatial dimensions the
 * leading ones have kernel 1, stride 1, dilation 1, pads 0.
 */
typedef struct {
    int32_t  kernel[3];
    int32_t  stride[3];
    int32_t  dilation[3];
    int32_t  before[3];           /* padding */
    int32_t  after[3];
} infer_window_t;

/*
 * Weights of which only blocks are kept, 16 outputs times one element of K,
 * that hold a number other than 0: see ops/sparse.h.
 */
typedef struct {
    int32_t  used;                     /* 0: all weights are kept */
    int32_t  blocks;                   /* how many are, else */
} infer_sparse_t;

/* When the weights of a convolution are transformed: see ops/winograd.h. */
enum {
    INFER_WINOGRAD_EARLY = 1,          /* when they are packed */
    INFER_WINOGRAD_LATE                /* at each run */
};

/*
 * in: x (N, spatial.., C); w constant (O, C / groups, spatial..), the order
 * of ONNX and PyTorch; bias (O) or NULL; scale (O) or NULL; residual of the
 * output's shape or NULL; gate (N, 1.., C) or NULL, where the window is one
 * point and there is one group.  out: (N, spatial.., O):
 *     act(sum(x * gate * w * scale) + bias + residual)
 * x * gate is rounded.  scale is multiplied into the weights when they are
 * packed (a folded batch normalisation needs no second copy of the weights);
 * bias is not scaled.
 */
typedef struct {
    infer_window_t  window;
    int32_t         groups;
    int32_t         winograd;          /* INFER_WINOGRAD_*, 0: none */
    infer_sparse_t  sparse;
    infer_unary_t   act;
} infer_conv_t;

/*
 * A convolution of single points and the depthwise one that reads its result,
 * as one.  in: x (N, H, W, C); the first's w (D, C, 1, 1), bias or NULL, scale
 * or NULL; the same three of the second.  out: (N, OH, OW, D).
 */
typedef struct {
    infer_unary_t  act;                /* of the first */
    infer_conv_t   conv;               /* the second */
} infer_strip_t;

/*
 * in: x (.., K); w constant of rank 2, (K, N), or (N, K) where w_rows_are_n;
 * bias (N) or NULL; scale (N) or NULL; residual or NULL, as for conv.
 * out: (.., N).
 */
typedef struct {
    int32_t         w_rows_are_n;
    infer_sparse_t  sparse;
    infer_unary_t   act;
} infer_fc_t;

/*
 * in: a (.., M, K) or (.., K, M) where transpose_a; b (.., K, N) or
 * (.., N, K) where transpose_b; leading dimensions broadcast; rank 1 as in
 * numpy.matmul.  out: alpha * a @ b.  Floats; integer operands are computed
 * exactly.
 */
typedef struct {
    int32_t  transpose_a;
    int32_t  transpose_b;
    float    alpha;
} infer_matmul_t;


/* ---- windows and reductions ------------------------------------------- */

/*
 * in: x (N, spatial.., C).  out[0]: pooled; out[1], where asked for: int64
 * index of each maximum in x flattened in the order N, C, spatial.. (indices
 * 1; or with the spatial dimensions column-major: 2).
 */
typedef struct {
    infer_window_t  window;
    int32_t         average;           /* 0: max */
    int32_t         count_include_pad;
    int32_t         ceil;              /* output size is rounded up */
    int32_t         indices;
} infer_pool_t;

typedef enum {
    INFER_REDUCE_MEAN = 0,
    INFER_REDUCE_SUM,
    INFER_REDUCE_MAX,
    INFER_REDUCE_MIN
} infer_reduce_kind_t;

typedef struct {
    int32_t   kind;               /* infer_reduce_kind_t */
    uint32_t  axes;               /* bit i: dimension i is reduced */
    int32_t   keepdims;
} infer_reduce_t;

/*
 * Softmax over dimensions axis .. last (last = axis: modern ONNX; last =
 * rank - 1: opset < 13, which flattens).  log: log-softmax.
 */
typedef struct {
    int32_t  axis;
    int32_t  last;
    int32_t  log;
} infer_softmax_t;

/*
 * in: x; scale or NULL; bias or NULL, both of x's dimensions from axis on.
 * Normalises over dimensions axis .. rank - 1.  out[0]; out[1] mean and
 * out[2] 1/deviation where asked for (dimensions from axis on are 1).
 */
typedef struct {
    int32_t  axis;
    float    epsilon;
} infer_layernorm_t;

/* Across channels, the last dimension; ONNX LRN. */
typedef struct {
    int32_t  size;
    float    alpha;
    float    beta;
    float    bias;
} infer_lrn_t;


/* ---- shapes ----------------------------------------------------------- */

/* out dimension i is in dimension perm[i] */
typedef struct {
    int32_t  perm[INFER_MAX_RANK];
} infer_transpose_t;

/* The result's shape: all resolved, no 0 or -1 left (reshape, expand). */
typedef struct {
    int32_t      rank;
    infer_dim_t  dim[INFER_MAX_RANK];
} infer_shape_t;

/* concat, gather: which dimension. */
typedef struct {
    int32_t  axis;
} infer_axis_t;

/*
 * Per dimension: first element, step (not 0, may be negative) and how many,
 * already clamped as numpy does.
 */
typedef struct {
    infer_dim_t  start[INFER_MAX_RANK];
    int64_t      step[INFER_MAX_RANK];
    infer_dim_t  count[INFER_MAX_RANK];
} infer_slice_t;

typedef enum {
    INFER_PAD_CONSTANT = 0,
    INFER_PAD_REFLECT,
    INFER_PAD_EDGE
} infer_pad_mode_t;

/* before and after may be negative: elements are cut. */
typedef struct {
    int32_t  mode;                /* infer_pad_mode_t */
    double   value;
    int64_t  before[INFER_MAX_RANK];
    int64_t  after[INFER_MAX_RANK];
} infer_pad_t;

typedef enum {
    INFER_RESIZE_NEAREST = 0,
    INFER_RESIZE_LINEAR,
    INFER_RESIZE_CUBIC
} infer_resize_mode_t;

typedef enum {
    INFER_COORD_HALF_PIXEL = 0,
    INFER_COORD_PYTORCH_HALF_PIXEL,
    INFER_COORD_ALIGN_CORNERS,
    INFER_COORD_ASYMMETRIC,
    INFER_COORD_TF_CROP_AND_RESIZE,
    INFER_COORD_HALF_PIXEL_SYMMETRIC
} infer_resize_coord_t;

typedef enum {
    INFER_NEAREST_ROUND_PREFER_FLOOR = 0,
    INFER_NEAREST_ROUND_PREFER_CEIL,
    INFER_NEAREST_FLOOR,
    INFER_NEAREST_CEIL
} infer_resize_nearest_t;

/*
 * Any layout: dimension i of the result has out[i] elements; scale[i] is the
 * scale used for coordinates (ONNX Resize), 1 where the dimension stays.
 */
typedef struct {
    int32_t      mode;
    int32_t      coord;
    int32_t      nearest;
    int32_t      exclude_outside;
    int32_t      antialias;
    float        cubic_a;
    float        extrapolation;
    float        scale[INFER_MAX_RANK];
    float        roi_start[INFER_MAX_RANK];
    float        roi_end[INFER_MAX_RANK];
    infer_dim_t  out[INFER_MAX_RANK];
} infer_resize_t;


/* ---- integers --------------------------------------------------------- */

/*
 * quantize: in x f32, scale f32, zero point of the result's dtype or NULL (0);
 * out: clamp(rint_even(x / scale) + zero), u8 or i8.  dequantize: in x u8, i8
 * or i32, scale, zero point of x's dtype or NULL; out: (x - zero) * scale.
 * scale and zero point are constants: one element, or those of dimension
 * axis.  A constant that is dequantized keeps what it was: infer_value_t's
 * quantized.  What dynamic_quantize gave may be dequantized with all three of
 * its results, until the pass for integers has seen it.
 */
typedef struct {
    int32_t  axis;
    int32_t  dtype;               /* of quantize's result */
} infer_quantize_t;

/*
 * in: x f32.  out: x as u8; scale f32; zero point u8, as ONNX's
 * DynamicQuantizeLinear computes them, one for all dimensions from axis on
 * (scale and zero point have the dimensions before axis).  reduced: x takes
 * 7 bits, as PyTorch's reduce_range has it.
 */
typedef struct {
    int32_t  axis;
    int32_t  reduced;
} infer_dynamic_quantize_t;

/* Sums of so many products of u8 and i8 fit in i32. */
#define INFER_MAX_DEPTH  65792

/* An integer tensor's meaning: (q - zero) * scale. */
typedef struct {
    float    scale;
    int32_t  zero;
} infer_affine_scale_t;

/*
 * The end of an integer product, in f32, each step rounded once:
 *     v = fma(float(acc), scale[n], bias[n])       bias, where it is f32
 *     v = fma(float(r), residual.scale, v)         bias[n] is less by
 *                                      residual.zero * residual.scale before
 *     v = act(v)
 *     out = dtype f32: v;  u8, i8: clamp(rint_even(v / out.scale) + out.zero)
 * dtype i32: acc itself.  An i32 bias is where acc starts.  For u8 and i8
 * with act none or a clip, all constants (scale[n], bias[n], residual.scale,
 * the clip's) are divided by out.scale, rounded, instead of v (but not where
 * x's scale is computed).
 */
typedef struct {
    int32_t               dtype;
    infer_affine_scale_t  residual;
    infer_affine_scale_t  out;
    infer_unary_t         act;
} infer_requantize_t;

/*
 * in: x u8 (N, spatial.., C); w constant i8 (O, C / groups, spatial..); bias
 * (O) i32 or f32 or NULL; scale (O) f32 constant: x's scale times the
 * weights'; residual (u8, of the output's shape) or NULL.
 * acc = bias + sum((x - zero) * w); padding is zero.  Exact: K < 65793.
 */
typedef struct {
    infer_window_t      window;
    int32_t             groups;
    int32_t             zero;     /* x's zero point */
    infer_requantize_t  end;
} infer_qconv_t;

/*
 * The same for a fully connected layer: x u8 (.., K), w constant i8 as in
 * infer_fc_t; in[5] x's scale f32 and in[6] its zero point u8 where those are
 * computed (dynamic quantization): one, or one for each row; scale[n] is then
 * that of the weights alone, and v = fma(float(acc), scale[n] * x's, bias).
 */
typedef struct {
    int32_t             w_rows_are_n;
    int32_t             zero;
    infer_requantize_t  end;
} infer_qfc_t;

/*
 * in: a, b u8, broadcast.  out u8: a KIND b (add, sub, mul) as the numbers
 * that they mean, act, requantized:
 *     add, sub: v = fma(float(b - b.zero), +-b.scale,
 *                       float(a - a.zero) * a.scale)
 *     mul: v = float((a - a.zero) * (b - b.zero)) * (a.scale * b.scale)
 * and then as above.
 */
typedef struct {
    int32_t               kind;   /* infer_binary_kind_t */
    infer_affine_scale_t  a;
    infer_affine_scale_t  b;
    infer_affine_scale_t  out;
    infer_unary_t         act;
} infer_qbinary_t;

/*
 * Average pool of u8: in x (N, spatial.., C), out u8, the sum of (x - zero)
 * in i32 times in.scale / out.scale / count, rounded to even, + out.zero.  A window of the whole picture
 * is a mean over the spatial dimensions.
 */
typedef struct {
    infer_window_t        window;
    int32_t               count_include_pad;
    int32_t               ceil;
    infer_affine_scale_t  in;
    infer_affine_scale_t  out;
} infer_qpool_t;

/*
 * INFER_OP_TABLE: in x u8 or i8; table, constant, 256 elements, u8, i8 or f32,
 * indexed by the byte.  Any elementwise function of 8 bits: requantize,
 * activations, dequantize.
 */


typedef union {
    infer_conv_t       conv;
    infer_fc_t         fc;
    infer_matmul_t     matmul;
    infer_unary_t      unary;
    infer_binary_t     binary;
    infer_cast_t       cast;
    infer_pool_t       pool;
    infer_reduce_t     reduce;
    infer_softmax_t    softmax;
    infer_layernorm_t  layernorm;
    infer_lrn_t        lrn;
    infer_transpose_t  transpose;
    infer_shape_t      shape;
    infer_axis_t       axis;
    infer_slice_t      slice;
    infer_pad_t        pad;
    infer_resize_t     resize;
    infer_affine_t     affine;
    infer_strip_t      strip;
    infer_quantize_t   quantize;
    infer_dynamic_quantize_t
                       dynamic_quantize;
    infer_qconv_t      qconv;
    infer_qfc_t        qfc;
    infer_qbinary_t    qbinary;
    infer_qpool_t      qpool;
} infer_param_t;

#endif /* INFER_PARAM_H */
