/*
 * Operands whose value an operator needs when it is imported, not when it
 * runs: shapes, axes, bounds, weights.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static infer_value_t *constant(onnx_t *o, const onnx_node_t *node, int i,
    const char *what);
static infer_value_t *known(onnx_t *o, const onnx_node_t *node, int i);


infer_value_t *
onnx_constant(onnx_t *o, const onnx_node_t *node, int i, const char *what)
{
    infer_value_t  *v;

    v = constant(o, node, i, what);

    if (v != NULL && v->varied[0] != NULL) {
        onnx_fail(o, node, "operand \"%s\" must not depend on the batch size",
                  what);
        return NULL;
    }

    return v;
}


infer_value_t *
onnx_perhaps_constant(onnx_t *o, const onnx_node_t *node, int i)
{
    infer_value_t  *v;

    if (node->in[i]->data != NULL) {
        return node->in[i];
    }

    v = known(o, node, i);

    return v != NULL ? v : node->in[i];
}


static infer_value_t *
constant(onnx_t *o, const onnx_node_t *node, int i, const char *what)
{
    infer_value_t  *v;

    if (!onnx_has(node, i)) {
        onnx_fail(o, node, "operand \"%s\" is missing", what);
        return NULL;
    }

    v = node->in[i]->data != NULL ? node->in[i] : known(o, node, i);

    if (v == NULL) {
        onnx_fail(o, node, "operand \"%s\" must be a constant", what);
    }

    return v;
}


/* The value that the caller knows for a graph input, as a constant. */
static infer_value_t *
known(onnx_t *o, const onnx_node_t *node, int i)
{
    void                        *copy;
    size_t                       size;
    const char                  *name;
    onnx_name_t                 *def;
    const infer_tensor_t        *t;
    const infer_named_tensor_t  *value;

    name = node->in_name[i];
    def = onnx_find(o, name);

    if (def == NULL || def->origin != ONNX_INPUT) {
        return NULL;
    }

    for (size_t k = 0; k < o->options->n_known; k++) {
        value = &o->options->known[k];

        if (strcmp(value->name, name) != 0) {
            continue;
        }

        t = &value->tensor;

        if (t->dtype != node->in[i]->dtype || t->rank != node->in[i]->rank) {
            return NULL;
        }

        size = infer_dtype_size(t->dtype);

        for (int d = 0; d < t->rank; d++) {
            if (!(node->in[i]->dim[d].batch != 0
                  || infer_dim_is(node->in[i]->dim[d], t->dim[d]))
                || __builtin_mul_overflow(size, (size_t) t->dim[d], &size))
            {
                return NULL;
            }
        }

        copy = infer_graph_alloc(o->g, size);
        if (copy == NULL) {
            return NULL;
        }

        if (size != 0) {
            memcpy(copy, t->data, size);
        }

        return infer_graph_constant(o->g, name, t->dtype, t->rank, t->dim,
                                    copy);
    }

    return NULL;
}


int
onnx_const_dims(onnx_t *o, const onnx_node_t *node, int i, const char *what,
    infer_dim_t *dim, int max)
{
    int             n;
    infer_value_t  *v;

    v = constant(o, node, i, what);
    if (v == NULL) {
        return -1;
    }

    if ((v->dtype != INFER_I64 && v->dtype != INFER_I32) || v->rank > 1) {
        return onnx_fail(o, node, "operand \"%s\" must be a list of integers",
                         what);
    }

    n = infer_value_dims(o->g, v, dim, max);

    return n >= 0 ? n : onnx_fail(o, node, "operand \"%s\" has more than %d "
                                  "elements, or does not follow the batch "
                                  "size linearly", what, max);
}


int
onnx_const_ints(onnx_t *o, const onnx_node_t *node, int i, const char *what,
    int64_t *x, int max)
{
    int          n;
    infer_dim_t  dim[ONNX_MAX_LIST];

    n = onnx_const_dims(o, node, i, what, dim,
                        max < ONNX_MAX_LIST ? max : ONNX_MAX_LIST);

    for (int k = 0; k < n; k++) {
        if (dim[k].batch != 0) {
            return onnx_fail(o, node, "operand \"%s\" must not depend on the "
                             "batch size", what);
        }

        x[k] = dim[k].base;
    }

    return n;
}


int
onnx_const_numbers(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, double *x, int max)
{
    infer_dim_t     n;
    infer_value_t  *v;

    v = onnx_constant(o, node, i, what);
    if (v == NULL) {
        return -1;
    }

    if (infer_value_numel(v, &n) != 0 || n.base > max) {
        return onnx_fail(o, node, "operand \"%s\" has more than %d elements",
                         what, max);
    }

    if (v->dtype != INFER_F64) {
        v = onnx_emit_cast(o, node, v, INFER_F64);
        if (v == NULL) {
            return -1;
        }
    }

    if (n.base != 0) {
        memcpy(x, v->data, (size_t) n.base * sizeof(double));
    }

    return (int) n.base;
}


int
onnx_const_number(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, double *x)
{
    int  n;

    n = onnx_const_numbers(o, node, i, what, x, 1);

    return n == 1 ? 0 : n < 0 ? -1
           : onnx_fail(o, node, "operand \"%s\" is empty", what);
}


int
onnx_list(onnx_t *o, const onnx_node_t *node, const char *name, int i,
    int since, int64_t *x, int max, int *n)
{
    *n = -1;

    if (o->opset < since) {
        return onnx_attr_ints(o, node, name, x, max, n);
    }

    if (!onnx_has(node, i)) {
        return 0;
    }

    *n = onnx_const_ints(o, node, i, name, x, max);

    return *n < 0 ? -1 : 0;
}


int
onnx_axes(onnx_t *o, const onnx_node_t *node, int i, int since, int rank,
    int64_t *axis, int *n)
{
    if (onnx_list(o, node, "axes", i, since, axis, INFER_MAX_RANK, n) != 0) {
        return -1;
    }

    for (int k = 0; k < *n; k++) {
        axis[k] = onnx_axis(o, node, axis[k], rank);
        if (axis[k] < 0) {
            return -1;
        }

        for (int j = 0; j < k; j++) {
            if (axis[j] == axis[k]) {
                return onnx_fail(o, node, "axis %d occurs twice",
                                 (int) axis[k]);
            }
        }
    }

    return 0;
}
