/*
 * Operators whose result is known when they are imported.
 */

#include <math.h>
#include <string.h>

#include "import/onnx/onnx.h"


/* No graph needs a longer list of numbers that count. */
#define MAX_RANGE  (1 << 24)


static infer_value_t *list_constant(onnx_t *o, onnx_node_t *node,
    const char *name, onnx_attr_type_t type);


int
onnx_op_constant(onnx_t *o, onnx_node_t *node)
{
    float               f;
    int64_t            *i;
    const onnx_attr_t  *attr;

    if (onnx_attr(node, "value_floats") != NULL) {
        return onnx_result(node, list_constant(o, node, "value_floats",
                                               ONNX_ATTR_FLOATS));
    }

    if (onnx_attr(node, "value_ints") != NULL) {
        return onnx_result(node, list_constant(o, node, "value_ints",
                                               ONNX_ATTR_INTS));
    }

    if (onnx_attr(node, "value_float") != NULL) {
        return onnx_attr_float(o, node, "value_float", &f) != 0 ? -1
               : onnx_result(node, infer_graph_scalar(o->g, f));
    }

    if (onnx_attr(node, "value_int") != NULL) {
        i = infer_graph_alloc(o->g, sizeof(int64_t));

        return i == NULL || onnx_attr_int(o, node, "value_int", i) != 0 ? -1
               : onnx_result(node, infer_graph_constant(o->g, NULL, INFER_I64,
                                                        0, NULL, i));
    }

    attr = onnx_attr(node, "value");

    if (attr == NULL || attr->t.data == NULL) {
        return onnx_fail(o, node, "its value is no tensor of numbers");
    }

    return onnx_result(node, onnx_tensor_constant(o, attr->t, node->name));
}


static infer_value_t *
list_constant(onnx_t *o, onnx_node_t *node, const char *name,
    onnx_attr_type_t type)
{
    float     *f;
    int64_t    n;
    uint64_t  *list;

    n = onnx_attr_list(o, node, name, type, &list);
    if (n < 0) {
        return NULL;
    }

    if (type == ONNX_ATTR_INTS) {
        return infer_graph_constant(o->g, NULL, INFER_I64, 1, &n, list);
    }

    f = infer_graph_alloc(o->g, (size_t) n * sizeof(float));
    if (f == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < n; i++) {
        f[i] = onnx_float(list[i]);
    }

    return infer_graph_constant(o->g, NULL, INFER_F32, 1, &n, f);
}


int
onnx_op_constant_of_shape(onnx_t *o, onnx_node_t *node)
{
    int                 rank;
    infer_dim_t         dim[INFER_MAX_RANK], n;
    infer_value_t      *value;
    const onnx_attr_t  *attr;

    rank = onnx_const_dims(o, node, 0, "input", dim, INFER_MAX_RANK);
    if (rank < 0) {
        return -1;
    }

    attr = onnx_attr(node, "value");
    value = attr == NULL ? infer_graph_scalar(o->g, 0)
                         : onnx_tensor_constant(o, attr->t, node->name);

    if (value == NULL) {
        return -1;
    }

    if (infer_value_numel(value, &n) != 0 || !infer_dim_is(n, 1)) {
        return onnx_fail(o, node, "attribute \"value\" must be one number");
    }

    value = onnx_emit_reshape(o, node, value, 0, NULL);

    return onnx_result(node, onnx_emit_expand(o, node, value, rank, dim));
}


/* start, start + delta, .. before limit */
int
onnx_op_range(onnx_t *o, onnx_node_t *node)
{
    double         *x, n, from[3];
    int64_t         len;
    infer_value_t  *v;

    if (onnx_const_number(o, node, 0, "start", &from[0]) != 0
        || onnx_const_number(o, node, 1, "limit", &from[1]) != 0
        || onnx_const_number(o, node, 2, "delta", &from[2]) != 0)
    {
        return -1;
    }

    n = ceil((from[1] - from[0]) / from[2]);

    if (from[2] == 0 || !(n <= MAX_RANGE)) {
        return onnx_fail(o, node, "the range is too long");
    }

    len = n > 0 ? (int64_t) n : 0;
    x = infer_graph_alloc(o->g, (size_t) len * sizeof(double));
    if (x == NULL) {
        return -1;
    }

    for (int64_t i = 0; i < len; i++) {
        x[i] = from[0] + (double) i * from[2];
    }

    v = infer_graph_constant(o->g, NULL, INFER_F64, 1, &len, x);

    return onnx_result(node, onnx_emit_cast(o, node, v, node->in[0]->dtype));
}


int
onnx_op_shape(onnx_t *o, onnx_node_t *node)
{
    int64_t         start, end, rank;
    infer_param_t   p;
    infer_value_t  *v;

    rank = node->in[0]->rank;
    start = 0;
    end = rank;

    if (onnx_attr_int(o, node, "start", &start) != 0
        || onnx_attr_int(o, node, "end", &end) != 0)
    {
        return -1;
    }

    start = start < -rank ? 0 : start < 0 ? start + rank : start;
    end = end < -rank ? 0 : end < 0 ? end + rank : end;
    start = start > rank ? rank : start;
    end = end > rank ? rank : end;

    v = infer_graph_shape_of(o->g, node->in[0]);

    if (v == NULL || (start == 0 && end == rank)) {
        return onnx_result(node, v);
    }

    memset(&p, 0, sizeof(p));
    p.slice.start[0] = infer_dim(start);
    p.slice.step[0] = 1;
    p.slice.count[0] = infer_dim(end > start ? end - start : 0);

    return onnx_result(node, onnx_emit(o, node, INFER_OP_SLICE, &p, &v, 1));
}


int
onnx_op_size(onnx_t *o, onnx_node_t *node)
{
    int64_t        *n;
    infer_dim_t     numel;
    infer_value_t  *v;

    n = infer_graph_alloc(o->g, 3 * sizeof(int64_t));
    if (n == NULL) {
        return -1;
    }

    if (infer_value_numel(node->in[0], &numel) != 0) {
        return onnx_fail(o, node, "the size does not follow the batch size "
                         "linearly");
    }

    for (int b = 0; b < 3; b++) {
        n[b] = infer_dim_at(numel, b + 1);
    }

    v = infer_graph_constant(o->g, NULL, INFER_I64, 0, NULL, &n[0]);

    if (v != NULL && numel.batch != 0) {
        v->varied[0] = &n[1];
        v->varied[1] = &n[2];
    }

    return onnx_result(node, v);
}
