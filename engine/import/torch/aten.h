/*
 * The operators of tensors, by families: aten_*.c.  Tensors lie in PyTorch's
 * order, (N, C, spatial..); each operator appends the nodes that compute it,
 * named by the place in the code.
 *
 * Operands that are NULL have failed and left their error: they pass through.
 */

#ifndef INFER_TORCH_ATEN_H
#define INFER_TORCH_ATEN_H

#include "import/emit.h"
#include "import/torch/eval.h"


/* Parts that a tensor is taken into, or steps unrolled, at most. */
#define ATEN_MAX_PARTS  16384


/* ---- operands: aten_operand.c ----------------------------------------- */

static inline int
aten_is_tensor(const torch_value_t *v)
{
    return v != NULL && v->kind == TORCH_TENSOR;
}

/* Whether an argument was left out, or is None. */
static inline int
aten_is_none(const torch_value_t *v)
{
    return v == NULL || v->kind == TORCH_NONE;
}

/* A tensor; NULL with the error where v is none. */
infer_value_t *aten_tensor(torch_eval_t *t, const torch_value_t *v);

/* The same, of floats: integers are converted to float32. */
infer_value_t *aten_float(torch_eval_t *t, const torch_value_t *v);

/* A constant, the same for every batch size; what: "the weight". */
infer_value_t *aten_constant(torch_eval_t *t, const torch_value_t *v,
    const char *what);

/*
 * Refuses indices that are floats.  Where they come from an input, that is
 * taken for one of integers when the code is evaluated again: archives do not
 * tell.  0 or -1.
 */
int aten_check_index(torch_eval_t *t, const infer_value_t *x);

/* A new tensor that holds y. */
torch_value_t *aten_new(torch_eval_t *t, infer_value_t *y);

/* A view of base that holds y. */
torch_value_t *aten_view(torch_eval_t *t, torch_value_t *base,
    infer_value_t *y);

/*
 * Numbers.  An argument that is None or left out leaves *x as it is.  A
 * constant tensor of one element counts as its number.  0 or -1.
 */
int aten_int(torch_eval_t *t, const torch_value_t *v, int64_t *x);
int aten_double(torch_eval_t *t, const torch_value_t *v, double *x);

/* The same for a number that may follow the batch. */
int aten_dim(torch_eval_t *t, const torch_value_t *v, infer_dim_t *x);

/* A list of numbers, or one number.  How many, or -1 with the error. */
int aten_dims(torch_eval_t *t, const torch_value_t *v, infer_dim_t *x,
    int max);
int aten_ints(torch_eval_t *t, const torch_value_t *v, int64_t *x, int max);

/* A dimension in -rank .. rank - 1, counted from the front; -1 with the
   error.  A tensor without dimensions counts as one with one. */
int aten_axis(torch_eval_t *t, const torch_value_t *v, int rank);

/* The same for a tensor that must have dimensions; NULL gives -1. */
int aten_axis_of(torch_eval_t *t, const torch_value_t *v,
    const infer_value_t *x);

/* Dimensions as bits; None or an empty list: all of them.  0 or -1. */
int aten_axes(torch_eval_t *t, const torch_value_t *v, int rank,
    uint32_t *axes);

/* torch.float and others, as code gives them by number; *dtype stays as it
   is where v is None.  0 or -1. */
int aten_dtype(torch_eval_t *t, const torch_value_t *v,
    infer_dtype_t *dtype);

/* A tensor, or a number as a tensor without dimensions. */
infer_value_t *aten_operand(torch_eval_t *t, const torch_value_t *v);

/*
 * Two operands, tensors or numbers, converted to the dtype that PyTorch gives
 * their result: of numbers and of tensors without dimensions only the kind
 * counts.  0 or -1.
 */
int aten_promote(torch_eval_t *t, const torch_value_t *a,
    const torch_value_t *b, infer_value_t **x, infer_value_t **y);

/* Of two tensors, the wider; where neither holds the other, the next. */
infer_dtype_t aten_common(infer_dtype_t a, infer_dtype_t b);

static inline int
aten_is_float(infer_dtype_t dtype)
{
    return dtype <= INFER_BF16;
}


/* ---- nodes ------------------------------------------------------------ */

static inline infer_value_t *
aten_emit(torch_eval_t *t, infer_op_id_t op, const infer_param_t *p,
    infer_value_t *const *in, int n)
{
    return infer_graph_emit1(t->g, op, p, t->place, in, n);
}

static inline infer_value_t *
aten_unary(torch_eval_t *t, infer_value_t *x, infer_unary_kind_t kind)
{
    return infer_emit_unary(t->g, t->place, x, kind, 0, 0);
}

static inline infer_value_t *
aten_binary(torch_eval_t *t, infer_binary_kind_t kind, infer_value_t *a,
    infer_value_t *b)
{
    return infer_emit_binary(t->g, t->place, kind, a, b);
}

static inline infer_value_t *
aten_cast(torch_eval_t *t, infer_value_t *x, infer_dtype_t dtype)
{
    return infer_emit_cast(t->g, t->place, x, dtype);
}

static inline infer_value_t *
aten_reshape(torch_eval_t *t, infer_value_t *x, int rank,
    const infer_dim_t *dim)
{
    return infer_emit_reshape(t->g, t->place, x, rank, dim);
}

static inline infer_value_t *
aten_expand(torch_eval_t *t, infer_value_t *x, int rank,
    const infer_dim_t *dim)
{
    return infer_emit_expand(t->g, t->place, x, rank, dim);
}

static inline infer_value_t *
aten_transpose(torch_eval_t *t, infer_value_t *x, const int *perm)
{
    return infer_emit_transpose(t->g, t->place, x, perm);
}

static inline infer_value_t *
aten_reduce(torch_eval_t *t, infer_value_t *x, infer_reduce_kind_t kind,
    uint32_t axes, int keepdims)
{
    return infer_emit_reduce(t->g, t->place, x, kind, axes, keepdims);
}

/* A constant of x's dtype without dimensions; x KIND number. */
infer_value_t *aten_scalar(torch_eval_t *t, const infer_value_t *x,
    double number);
infer_value_t *aten_binary_number(torch_eval_t *t, infer_binary_kind_t kind,
    infer_value_t *x, double number);

/* Dimensions a and b swapped. */
infer_value_t *aten_swap(torch_eval_t *t, infer_value_t *x, int a, int b);

/* count elements of a dimension from start on. */
infer_value_t *aten_narrow(torch_eval_t *t, infer_value_t *x, int axis,
    infer_dim_t start, infer_dim_t count);

/* One element of a dimension, which goes away. */
infer_value_t *aten_pick(torch_eval_t *t, infer_value_t *x, int axis,
    infer_dim_t index);

/* Joins values of the same rank; one is given back as it is. */
infer_value_t *aten_concat(torch_eval_t *t, infer_value_t *const *in, int n,
    int axis);

/* x @ weight' + bias, weight (N, K) constant or not, bias (N) or NULL. */
infer_value_t *aten_linear(torch_eval_t *t, infer_value_t *x,
    infer_value_t *weight, infer_value_t *bias);

/* alpha * a @ b, or a @ b' */
infer_value_t *aten_matmul(torch_eval_t *t, infer_value_t *a,
    infer_value_t *b, int transpose_b, double alpha);

/* mask ? a : b; mask: of booleans. */
infer_value_t *aten_where(torch_eval_t *t, infer_value_t *mask,
    infer_value_t *a, infer_value_t *b);

infer_value_t *aten_softmax(torch_eval_t *t, infer_value_t *x, int axis,
    int log);

/*
 * name(value[0], .., value[n - 1]) as a tensor, a NULL being None: for
 * operators that are made of others.
 */
infer_value_t *aten_call(torch_eval_t *t, const char *name,
    torch_value_t *const *value, size_t n);


/* ---- quantized tensors: aten_quantize.c ------------------------------- */

/*
 * A tensor that is quantized holds the floats that its integers mean: y,
 * quantized and dequantized again.  The pass for integers finds the pairs.
 */
torch_value_t *aten_quantized(torch_eval_t *t, infer_value_t *y,
    const torch_quantizer_t *q);

/*
 * x quantized by a scale that is computed at run time, and dequantized;
 * reduced: to 7 bits.  PyTorch has one scale for a tensor.  Where that follows
 * the batch, each image has its own, or its result would depend on what it is
 * in a batch with.
 */
infer_value_t *aten_dynamic(torch_eval_t *t, infer_value_t *x, int reduced);

/*
 * Of a scale and a zero point, as numbers or as arguments; dtype: u8 or i8.
 * NULL with the error.
 */
const torch_quantizer_t *aten_quantizer(torch_eval_t *t, double scale,
    double zero, infer_dtype_t dtype);
const torch_quantizer_t *aten_quantizer_of(torch_eval_t *t,
    const torch_value_t *scale, const torch_value_t *zero,
    infer_dtype_t dtype);

/* The number that is the scale, or the zero point. */
double aten_scale(const torch_quantizer_t *q);
int aten_zero(const torch_quantizer_t *q);

/* Refuses what is no quantized tensor: NULL with the error. */
const torch_quantizer_t *aten_quantizer_in(torch_eval_t *t,
    const torch_value_t *v);

/*
 * What an operator that knows of floats only has made of its arguments: v,
 * which is quantized as the first of them is, where PyTorch has that operator
 * for quantized tensors and where that is one.
 */
torch_value_t *aten_quantized_result(torch_eval_t *t, const char *name,
    const torch_args_t *args, torch_value_t *v);


/* ---- packed parameters: packed.c -------------------------------------- */

/* The weight is floats that keep their integers; the lists and groups are
   there for convolutions. */
typedef struct {
    torch_value_t  *weight;
    torch_value_t  *bias;         /* or None */
    torch_value_t  *stride;
    torch_value_t  *padding;
    torch_value_t  *dilation;
    torch_value_t  *groups;
} aten_packed_t;

/* Reads the object v: 0, or -1 with the error. */
int aten_packed_linear(torch_eval_t *t, const torch_value_t *v,
    aten_packed_t *p);
int aten_packed_conv(torch_eval_t *t, const torch_value_t *v,
    aten_packed_t *p);

/*
 * Those of a recurrent layer in one direction: of its input and of its state;
 * *reduced: as above.
 */
int aten_packed_cell(torch_eval_t *t, const torch_value_t *v,
    aten_packed_t *p, int *reduced);

/*
 * The bias as the integers that PyTorch adds to the sums, with their scale,
 * which is that of the activations, x, times that of the weights.
 */
torch_value_t *aten_integer_bias(torch_eval_t *t, const aten_packed_t *p,
    const torch_quantizer_t *x);

#endif /* INFER_TORCH_ATEN_H */
