/*
 * Integers and floats: QuantizeLinear and its inverse, scales computed at run
 * time, and products of integers whose result is a sum of integers.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static infer_value_t *quantization(onnx_t *o, const onnx_node_t *node,
    infer_op_id_t op, infer_value_t *x, const onnx_scale_t *s, int axis);
static int is_constant(const onnx_scale_t *s);
static infer_value_t *along(onnx_t *o, const onnx_node_t *node,
    infer_value_t *v, int rank, int axis);
static const infer_node_t *dynamic(const infer_value_t *q,
    const onnx_scale_t *s);
static const infer_value_t *before_reshape(const infer_value_t *v);
static infer_value_t *as_f32(onnx_t *o, const onnx_node_t *node,
    infer_value_t *v);
static int check_bytes(onnx_t *o, const onnx_node_t *node,
    const infer_value_t *v);
static int zero_operand(onnx_t *o, onnx_node_t *node, int i,
    const infer_value_t *q, infer_value_t **zero);
static int zero_number(const infer_value_t *zero);
static infer_value_t *sum_of_parts(onnx_t *o, onnx_node_t *node,
    infer_op_id_t op, const infer_param_t *p, infer_value_t **in, int n_in,
    infer_value_t *const *part);
static infer_value_t *padded_zero(onnx_t *o, onnx_node_t *node,
    const infer_param_t *p, infer_value_t *x, infer_value_t *const *part,
    infer_value_t *zero);
static int packs(const infer_value_t *a, const infer_value_t *b,
    infer_value_t *const *zero);
static infer_value_t *matmul_packed(onnx_t *o, onnx_node_t *node,
    infer_value_t *const *zero);
static infer_value_t *centred(onnx_t *o, onnx_node_t *node, infer_value_t *v,
    infer_value_t *zero, int rows);


/* ---- scales ----------------------------------------------------------- */

int
onnx_scale(onnx_t *o, onnx_node_t *node, int scale, int zero,
    onnx_scale_t *s)
{
    infer_dim_t     n;
    infer_value_t  *v;

    s->scale = NULL;
    s->zero = NULL;

    for (int i = 0; i < 2; i++) {
        if (i == 1 && (zero == -1 || !onnx_has(node, zero))) {
            break;
        }

        if (i == 0 && !onnx_has(node, scale)) {
            return onnx_fail(o, node, "operand %d is missing", scale);
        }

        v = onnx_perhaps_constant(o, node, i == 0 ? scale : zero);

        if (v->data != NULL && infer_value_is_one(v)) {
            v = onnx_emit_reshape(o, node, v, 0, NULL);
            if (v == NULL) {
                return -1;
            }
        }

        if (i == 0) {
            s->scale = v;

        } else {
            s->zero = v;
        }

        if (v->varied[0] != NULL
            || (v->data != NULL && v->rank > 1)
            || (i == 0 && v->dtype != INFER_F32))
        {
            return onnx_fail(o, node, "operand %d is no scale or zero point "
                             "that is supported", i == 0 ? scale : zero);
        }
    }

    if (s->zero == NULL || !is_constant(s) || s->zero->rank == s->scale->rank)
    {
        return 0;
    }

    /* one zero point for all scales, but not the other way round */
    n = s->scale->rank == 1 ? s->scale->dim[0] : infer_dim(1);
    s->zero = s->scale->rank == 0
              ? NULL : onnx_emit_expand(o, node, s->zero, 1, &n);

    return s->zero != NULL ? 0
           : s->scale->rank != 0 ? -1
           : onnx_fail(o, node, "more zero points than scales");
}


static int
is_constant(const onnx_scale_t *s)
{
    return s->scale->data != NULL
           && (s->zero == NULL || s->zero->data != NULL);
}


/* A vector as dimension axis of rank dimensions. */
static infer_value_t *
along(onnx_t *o, const onnx_node_t *node, infer_value_t *v, int rank,
    int axis)
{
    infer_dim_t  dim[INFER_MAX_RANK];

    if (v == NULL || v->rank != 1 || infer_value_is_one(v)) {
        return v;
    }

    for (int i = 0; i < rank; i++) {
        dim[i] = i == axis ? v->dim[0] : infer_dim(1);
    }

    return onnx_emit_reshape(o, node, v, rank, dim);
}


/* ---- quantize and dequantize ------------------------------------------ */

int
onnx_op_quantize(onnx_t *o, onnx_node_t *node)
{
    int             rank;
    int64_t         axis;
    onnx_scale_t    s;
    infer_value_t  *x;

    axis = 1;
    x = node->in[0];

    if (onnx_attr_int(o, node, "axis", &axis) != 0
        || onnx_scale(o, node, 1, 2, &s) != 0)
    {
        return -1;
    }

    if (x->dtype != INFER_F32 && x->dtype != INFER_I32) {
        return onnx_fail(o, node, "an input of %s is not supported",
                         infer_dtype_name(x->dtype));
    }

    rank = s.scale->rank == 0 ? 0 : onnx_axis(o, node, axis, x->rank);

    return rank < 0 ? -1
           : onnx_result(node, onnx_emit_quantize(o, node, x, &s, rank));
}


infer_value_t *
onnx_emit_quantize(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    const onnx_scale_t *s, int axis)
{
    infer_dtype_t   dtype;
    infer_value_t  *y, *zero;

    x = as_f32(o, node, x);
    dtype = s->zero != NULL ? s->zero->dtype : INFER_U8;

    if (s->zero != NULL && check_bytes(o, node, s->zero) != 0) {
        return NULL;
    }

    if (is_constant(s)) {
        return quantization(o, node, INFER_OP_QUANTIZE, x, s, axis);
    }

    if (x == NULL) {
        return NULL;
    }

    y = onnx_emit_binary(o, node, INFER_DIV, x,
                         along(o, node, s->scale, x->rank, axis));
    y = onnx_emit_unary(o, node, y, INFER_ROUND, 0, 0);

    if (s->zero != NULL) {
        zero = along(o, node, s->zero, x->rank, axis);
        y = onnx_emit_binary(o, node, INFER_ADD, y, as_f32(o, node, zero));
    }

    y = onnx_emit_unary(o, node, y, INFER_CLIP, dtype == INFER_I8 ? -128 : 0,
                        dtype == INFER_I8 ? 127 : 255);

    return onnx_emit_cast(o, node, y, dtype);
}


int
onnx_op_dequantize(onnx_t *o, onnx_node_t *node)
{
    int             rank;
    int64_t         axis;
    onnx_scale_t    s;
    infer_value_t  *x;

    axis = 1;
    x = onnx_perhaps_constant(o, node, 0);

    if (onnx_attr_int(o, node, "axis", &axis) != 0
        || onnx_scale(o, node, 1, 2, &s) != 0)
    {
        return -1;
    }

    rank = s.scale->rank == 0 ? 0 : onnx_axis(o, node, axis, x->rank);

    return rank < 0 ? -1
           : onnx_result(node, onnx_emit_dequantize(o, node, x, &s, rank));
}


infer_value_t *
onnx_emit_dequantize(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    const onnx_scale_t *s, int axis)
{
    onnx_scale_t         computed;
    infer_value_t       *y, *zero;
    const infer_node_t  *source;

    if (x == NULL
        || (x->dtype != INFER_I32 && check_bytes(o, node, x) != 0))
    {
        return NULL;
    }

    if (s->zero != NULL && s->zero->dtype != x->dtype) {
        onnx_fail(o, node, "the zero point is %s, the tensor %s",
                  infer_dtype_name(s->zero->dtype),
                  infer_dtype_name(x->dtype));
        return NULL;
    }

    if (is_constant(s)) {
        return quantization(o, node, INFER_OP_DEQUANTIZE, x, s, axis);
    }

    source = dynamic(x, s);

    if (source != NULL) {
        computed.scale = source->out[1];
        computed.zero = source->out[2];

        return quantization(o, node, INFER_OP_DEQUANTIZE, x, &computed,
                            source->param.dynamic_quantize.axis);
    }

    y = x;

    if (s->zero != NULL) {
        zero = along(o, node, s->zero, x->rank, axis);
        y = onnx_emit_binary(o, node, INFER_SUB,
                             onnx_emit_cast(o, node, x, INFER_I32),
                             onnx_emit_cast(o, node, zero, INFER_I32));
    }

    return onnx_emit_binary(o, node, INFER_MUL, as_f32(o, node, y),
                            along(o, node, s->scale, x->rank, axis));
}


static infer_value_t *
quantization(onnx_t *o, const onnx_node_t *node, infer_op_id_t op,
    infer_value_t *x, const onnx_scale_t *s, int axis)
{
    infer_param_t   p;
    infer_value_t  *in[3];

    if (x == NULL) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.quantize.axis = axis;
    p.quantize.dtype = s->zero != NULL ? s->zero->dtype : INFER_U8;
    in[0] = x;
    in[1] = s->scale;
    in[2] = s->zero;

    return onnx_emit(o, node, op, &p, in, 3);
}


/* The node that has computed q together with this scale and zero point. */
static const infer_node_t *
dynamic(const infer_value_t *q, const onnx_scale_t *s)
{
    const infer_node_t  *node = q->producer;

    return node != NULL && node->id == INFER_OP_DYNAMIC_QUANTIZE
           && s->zero != NULL
           && before_reshape(s->scale) == node->out[1]
           && before_reshape(s->zero) == node->out[2] ? node : NULL;
}


static const infer_value_t *
before_reshape(const infer_value_t *v)
{
    return v->producer != NULL && v->producer->id == INFER_OP_RESHAPE
           ? v->producer->in[0] : v;
}


static infer_value_t *
as_f32(onnx_t *o, const onnx_node_t *node, infer_value_t *v)
{
    return onnx_emit_cast(o, node, v, INFER_F32);
}


static int
check_bytes(onnx_t *o, const onnx_node_t *node, const infer_value_t *v)
{
    return v->dtype == INFER_U8 || v->dtype == INFER_I8 ? 0
           : onnx_fail(o, node, "%s is not supported",
                       infer_dtype_name(v->dtype));
}


/*
 * ONNX has one scale for a tensor.  Where that follows the batch, each image
 * has its own, or its result would depend on what it is in a batch with: they
 * are shaped to broadcast over the tensor.
 */
int
onnx_emit_dynamic(onnx_t *o, const onnx_node_t *node, infer_value_t *x,
    infer_value_t **q, onnx_scale_t *s)
{
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_param_t   p;
    infer_value_t  *out[3];

    memset(&p, 0, sizeof(p));
    p.dynamic_quantize.axis = x->rank > 0 && x->dim[0].batch != 0;

    if (infer_graph_emit(o->g, INFER_OP_DYNAMIC_QUANTIZE, &p, node->name, &x,
                         1, out, 3) != 0)
    {
        return -1;
    }

    *q = out[0];
    s->scale = out[1];
    s->zero = out[2];

    if (p.dynamic_quantize.axis == 1) {
        for (int i = 0; i < x->rank; i++) {
            dim[i] = i == 0 ? x->dim[0] : infer_dim(1);
        }

        s->scale = onnx_emit_reshape(o, node, out[1], x->rank, dim);
        s->zero = onnx_emit_reshape(o, node, out[2], x->rank, dim);
    }

    return s->scale != NULL && s->zero != NULL ? 0 : -1;
}


int
onnx_op_dynamic_quantize(onnx_t *o, onnx_node_t *node)
{
    onnx_scale_t    s;
    infer_value_t  *q;

    if (onnx_emit_dynamic(o, node, node->in[0], &q, &s) != 0) {
        return -1;
    }

    node->out[0] = q;

    if (node->n_out > 1) {
        node->out[1] = s.scale;
    }

    if (node->n_out > 2) {
        node->out[2] = s.zero;
    }

    return 0;
}


/* ---- products whose result is int32 ----------------------------------- */

/* sum((x - x_zero) * (w - w_zero)) */
int
onnx_op_conv_integer(onnx_t *o, onnx_node_t *node)
{
    infer_param_t   p;
    infer_value_t  *x, *w, *y, *zero[2], *part[2], *in[5];

    memset(&p, 0, sizeof(p));
    memset(in, 0, sizeof(in));

    x = node->in[0];
    w = onnx_constant(o, node, 1, "w");

    if (w == NULL
        || onnx_conv_window(o, node, w, &p.qconv.window, &p.qconv.groups) != 0
        || check_bytes(o, node, x) != 0 || check_bytes(o, node, w) != 0
        || zero_operand(o, node, 2, x, &zero[0]) != 0
        || zero_operand(o, node, 3, w, &zero[1]) != 0)
    {
        return -1;
    }

    if (zero[1] != NULL
        && (zero[1]->data == NULL
            || (zero[1]->rank == 1
                && !infer_dim_equal(zero[1]->dim[0], w->dim[0]))))
    {
        return onnx_fail(o, node, "operand \"w_zero_point\" must be a "
                         "constant: one number, or one for each output "
                         "channel");
    }

    if (infer_weights_i8(o->g, w, zero[1], 0, part) != 0) {
        return -1;
    }

    p.qconv.end.dtype = INFER_I32;
    p.qconv.zero = zero_number(zero[0]) + (x->dtype == INFER_I8 ? 128 : 0);

    in[0] = infer_graph_shifted(o->g, onnx_channels_last(o, node, x));
    y = sum_of_parts(o, node, INFER_OP_QCONV, &p, in, 5, part);

    if (y != NULL && zero[0] != NULL && zero[0]->data == NULL) {
        y = onnx_emit_binary(o, node, INFER_SUB, y,
                             padded_zero(o, node, &p, in[0], part, zero[0]));
    }

    return onnx_result(node, onnx_channels_first(o, node, y));
}


/* A zero point of q's dtype; NULL where there is none. */
static int
zero_operand(onnx_t *o, onnx_node_t *node, int i, const infer_value_t *q,
    infer_value_t **zero)
{
    *zero = NULL;

    if (!onnx_has(node, i)) {
        return 0;
    }

    *zero = onnx_perhaps_constant(o, node, i);

    if ((*zero)->dtype != q->dtype || (*zero)->varied[0] != NULL) {
        return onnx_fail(o, node, "operand %d is no zero point of %s", i,
                         infer_dtype_name(q->dtype));
    }

    if ((*zero)->data != NULL && infer_value_is_one(*zero)) {
        *zero = onnx_emit_reshape(o, node, *zero, 0, NULL);
    }

    return *zero == NULL ? -1 : 0;
}


/* A zero point that is one constant; 0 for any other. */
static int
zero_number(const infer_value_t *zero)
{
    const unsigned char  *data;

    if (zero == NULL || zero->data == NULL || zero->rank != 0) {
        return 0;
    }

    data = zero->data;

    return zero->dtype == INFER_I8 ? (int8_t) data[0] : data[0];
}


/* The product with weights that infer_weights_i8 may have split. */
static infer_value_t *
sum_of_parts(onnx_t *o, onnx_node_t *node, infer_op_id_t op,
    const infer_param_t *p, infer_value_t **in, int n_in,
    infer_value_t *const *part)
{
    infer_value_t  *y, *half;

    if (in[0] == NULL) {
        return NULL;
    }

    in[1] = part[0];
    y = onnx_emit(o, node, op, p, in, n_in);

    if (part[1] == NULL || y == NULL) {
        return y;
    }

    half = y;
    in[1] = part[1];

    y = onnx_emit_binary(o, node, INFER_ADD, half, half);

    return onnx_emit_binary(o, node, INFER_ADD, y,
                            onnx_emit(o, node, op, p, in, n_in));
}


/*
 * What a zero point that is computed adds to each sum: itself times the
 * weights that do not lie on padding.
 */
static infer_value_t *
padded_zero(onnx_t *o, onnx_node_t *node, const infer_param_t *p,
    infer_value_t *x, infer_value_t *const *part, infer_value_t *zero)
{
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_param_t   plain;
    infer_value_t  *in[5], *one;

    for (int i = 0; i < x->rank; i++) {
        dim[i] = i == 0 ? infer_dim(1) : x->dim[i];
    }

    memset(in, 0, sizeof(in));
    plain = *p;
    plain.qconv.zero = 0;

    one = onnx_emit_cast(o, node, infer_graph_scalar(o->g, 1), INFER_U8);
    in[0] = onnx_emit_expand(o, node, one, x->rank, dim);

    return onnx_emit_binary(o, node, INFER_MUL,
                            sum_of_parts(o, node, INFER_OP_QCONV, &plain, in,
                                         5, part),
                            onnx_emit_cast(o, node, zero, INFER_I32));
}


int
onnx_op_matmul_integer(onnx_t *o, onnx_node_t *node)
{
    infer_param_t   p;
    infer_value_t  *a, *b, *in[2], *zero[2];

    a = node->in[0];
    b = node->in[1];

    if (check_bytes(o, node, a) != 0 || check_bytes(o, node, b) != 0
        || zero_operand(o, node, 2, a, &zero[0]) != 0
        || zero_operand(o, node, 3, b, &zero[1]) != 0)
    {
        return -1;
    }

    if (packs(a, b, zero)) {
        return onnx_result(node, matmul_packed(o, node, zero));
    }

    memset(&p, 0, sizeof(p));
    p.matmul.alpha = 1;
    in[0] = centred(o, node, a, zero[0], 1);
    in[1] = centred(o, node, b, zero[1], 0);

    return in[0] == NULL || in[1] == NULL ? -1
           : onnx_result(node, onnx_emit(o, node, INFER_OP_MATMUL, &p, in,
                                         2));
}


/*
 * Whether b is constant, as its zero points are, and a has one zero point, or
 * those that were computed with it.
 */
static int
packs(const infer_value_t *a, const infer_value_t *b,
    infer_value_t *const *zero)
{
    const infer_node_t   *source = a->producer;
    const infer_value_t  *z;

    if (b->data == NULL || b->rank != 2 || a->rank < 2
        || b->dim[0].base > INFER_MAX_DEPTH)
    {
        return 0;
    }

    z = zero[1];

    if (z != NULL
        && (z->data == NULL || z->rank > 1
            || (z->rank == 1 && !infer_dim_equal(z->dim[0], b->dim[1]))))
    {
        return 0;
    }

    z = zero[0];

    return z == NULL || (z->data != NULL && z->rank == 0)
           || (source != NULL && source->id == INFER_OP_DYNAMIC_QUANTIZE
               && before_reshape(z) == source->out[2]);
}


/* A zero point that is computed is taken from the sums: z * sum(b). */
static infer_value_t *
matmul_packed(onnx_t *o, onnx_node_t *node, infer_value_t *const *zero)
{
    infer_param_t   p;
    infer_value_t  *a, *y, *sums, *part[2], *in[7];

    memset(&p, 0, sizeof(p));
    memset(in, 0, sizeof(in));

    a = node->in[0];
    p.qfc.end.dtype = INFER_I32;
    p.qfc.zero = zero_number(zero[0]) + (a->dtype == INFER_I8 ? 128 : 0);

    in[0] = infer_graph_shifted(o->g, a);

    if (infer_weights_i8(o->g, node->in[1], zero[1], 1, part) != 0) {
        return NULL;
    }

    y = sum_of_parts(o, node, INFER_OP_QFC, &p, in, 7, part);

    if (y == NULL || zero[0] == NULL || zero[0]->data != NULL) {
        return y;
    }

    sums = infer_column_sums(o->g, part);

    return onnx_emit_binary(o, node, INFER_SUB, y,
                            onnx_emit_binary(o, node, INFER_MUL,
                                             onnx_emit_cast(o, node, zero[0],
                                                            INFER_I32),
                                             sums));
}


/* v - zero as int32; a vector belongs to the rows of v, or to its columns. */
static infer_value_t *
centred(onnx_t *o, onnx_node_t *node, infer_value_t *v, infer_value_t *zero,
    int rows)
{
    if (zero != NULL && rows) {
        zero = along(o, node, zero, 2, 0);
    }

    v = onnx_emit_cast(o, node, v, INFER_I32);

    return zero == NULL ? v
           : onnx_emit_binary(o, node, INFER_SUB, v,
                              onnx_emit_cast(o, node, zero, INFER_I32));
}
