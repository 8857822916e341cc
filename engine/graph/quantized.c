/*
 * Constants that were integers: a constant float keeps the integers it was
 * dequantized from, through nodes that only move its elements, so that the
 * passes can give them to integer operators.
 */

#include <string.h>

#include "graph/graph.h"


static int moved_axis(const infer_node_t *node, int axis);
static int same_run(const infer_value_t *a, int axis, const infer_value_t *b,
    int *to);


int
infer_quantized_keep(infer_graph_t *g, const infer_node_t *node)
{
    int                 axis;
    infer_value_t      *q;
    infer_quantized_t  *kept;

    kept = infer_graph_alloc(g, sizeof(*kept));
    if (kept == NULL) {
        return -1;
    }

    if (node->id == INFER_OP_DEQUANTIZE) {
        kept->q = node->in[0];
        kept->scale = node->in[1];
        kept->zero = node->n_in > 2 ? node->in[2] : NULL;
        kept->axis = node->param.quantize.axis;

    } else {
        *kept = *node->in[0]->quantized;
        axis = infer_value_is_one(kept->scale) ? 0
               : moved_axis(node, kept->axis);

        if (axis == -1) {
            return 0;
        }

        q = (infer_value_t *) kept->q;
        q = infer_graph_emit1(g, node->id, &node->param, q->name, &q, 1);
        if (q == NULL) {
            return -1;
        }

        kept->q = q;
        kept->axis = axis;
    }

    node->out[0]->quantized = kept;

    return 0;
}


/* Where a dimension is after a transpose or reshape; -1 where it is gone. */
static int
moved_axis(const infer_node_t *node, int axis)
{
    int  to;

    if (node->id == INFER_OP_RESHAPE) {
        return same_run(node->in[0], axis, node->out[0], &to) ? to : -1;
    }

    for (to = 0; to < node->out[0]->rank; to++) {
        if (node->param.transpose.perm[to] == axis) {
            return to;
        }
    }

    return -1;
}


/* The dimension of b that has as many elements, and as many before it. */
static int
same_run(const infer_value_t *a, int axis, const infer_value_t *b, int *to)
{
    int64_t  before = 1, n = 1;

    for (int i = 0; i < axis; i++) {
        before *= a->dim[i].base;
    }

    for (*to = 0; *to < b->rank; (*to)++) {
        if (n == before && infer_dim_equal(a->dim[axis], b->dim[*to])) {
            return 1;
        }

        n *= b->dim[*to].base;
    }

    return 0;
}


int
infer_value_is_one(const infer_value_t *v)
{
    infer_dim_t  n;

    return infer_value_numel(v, &n) == 0 && infer_dim_is(n, 1);
}


int
infer_weights_i8(infer_graph_t *g, const infer_value_t *q,
    const infer_value_t *zero, int axis, infer_value_t **part)
{
    int                   fits, all_zero, d, z;
    int8_t               *half[2];
    size_t                n, inner, channels;
    int64_t               dim[INFER_MAX_RANK];
    const unsigned char  *data = q->data, *zeros;

    n = 1;
    inner = 1;

    for (int i = 0; i < q->rank; i++) {
        dim[i] = q->dim[i].base;
        n *= (size_t) dim[i];
        inner *= i > axis ? (size_t) dim[i] : 1;
    }

    zeros = zero != NULL ? zero->data : NULL;
    channels = zero == NULL || infer_value_is_one(zero)
               ? 1 : (size_t) dim[axis];
    all_zero = 1;

    for (size_t c = 0; zeros != NULL && c < channels; c++) {
        all_zero = all_zero && zeros[c] == 0;
    }

    part[1] = NULL;

    if (q->dtype == INFER_I8 && all_zero) {
        part[0] = (infer_value_t *) q;
        return 0;
    }

    half[0] = infer_graph_alloc(g, n);
    half[1] = infer_graph_alloc(g, n);

    if (half[0] == NULL || half[1] == NULL) {
        return -1;
    }

    fits = 1;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            z = zeros == NULL ? 0 : zeros[channels == 1 ? 0
                                          : i / inner % channels];
            d = data[i];

            if (q->dtype == INFER_I8) {
                d = (int8_t) d;
                z = (int8_t) z;
            }

            d -= z;

            if (pass == 0) {
                fits = fits && d >= -128 && d <= 127;
                half[0][i] = (int8_t) d;

            } else {
                half[1][i] = (int8_t) (d & 1);
                half[0][i] = (int8_t) ((d - (d & 1)) / 2);
            }
        }

        if (fits) {
            break;
        }
    }

    part[0] = infer_graph_constant(g, q->name, INFER_I8, q->rank, dim,
                                   half[0]);

    if (!fits) {
        part[1] = infer_graph_constant(g, q->name, INFER_I8, q->rank, dim,
                                       half[1]);
    }

    return part[0] == NULL || (!fits && part[1] == NULL) ? -1 : 0;
}


infer_value_t *
infer_column_sums(infer_graph_t *g, infer_value_t *const *part)
{
    int32_t       *sum;
    int64_t        n, rows;
    const int8_t  *a, *r;

    rows = part[0]->dim[0].base;
    n = part[0]->dim[1].base;
    a = part[0]->data;
    r = part[1] != NULL ? part[1]->data : NULL;

    sum = infer_graph_alloc(g, (size_t) n * sizeof(int32_t));
    if (sum == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < rows * n; i++) {
        sum[i % n] += r != NULL ? 2 * a[i] + r[i] : a[i];
    }

    return infer_graph_constant(g, NULL, INFER_I32, 1, &n, sum);
}


infer_value_t *
infer_graph_bytes(infer_graph_t *g, infer_dtype_t dtype)
{
    int64_t         n = 256;
    unsigned char  *data;

    data = infer_graph_alloc(g, 256);
    if (data == NULL) {
        return NULL;
    }

    for (int i = 0; i < 256; i++) {
        data[i] = (unsigned char) (dtype == INFER_I8 ? i ^ 0x80 : i);
    }

    return infer_graph_constant(g, NULL, dtype, 1, &n, data);
}


infer_value_t *
infer_graph_shifted(infer_graph_t *g, infer_value_t *v)
{
    int64_t         n = 256;
    infer_param_t   param;
    infer_value_t  *in[2];
    unsigned char  *data;

    if (v->dtype == INFER_U8) {
        return v;
    }

    data = infer_graph_alloc(g, 256);
    if (data == NULL) {
        return NULL;
    }

    for (int i = 0; i < 256; i++) {
        data[i] = (unsigned char) (i ^ 0x80);
    }

    memset(&param, 0, sizeof(param));
    in[0] = v;
    in[1] = infer_graph_constant(g, NULL, INFER_U8, 1, &n, data);

    return in[1] == NULL ? NULL
           : infer_graph_emit1(g, INFER_OP_TABLE, &param, v->name, in, 2);
}


infer_value_t *
infer_graph_rows(infer_graph_t *g, infer_value_t *v, const infer_value_t *x)
{
    infer_param_t  param;

    if (v->rank == 0 || v->rank == x->rank - 1) {
        return v;
    }

    memset(&param, 0, sizeof(param));
    param.shape.rank = x->rank - 1;

    for (int i = 0; i < x->rank - 1; i++) {
        param.shape.dim[i] = i < v->rank ? v->dim[i] : infer_dim(1);
    }

    v = infer_graph_emit1(g, INFER_OP_RESHAPE, &param, NULL, &v, 1);
    memcpy(param.shape.dim, x->dim, sizeof(param.shape.dim));

    return v == NULL ? NULL
           : infer_graph_emit1(g, INFER_OP_EXPAND, &param, NULL, &v, 1);
}
