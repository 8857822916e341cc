/*
 * Values and nodes, and the one way a node gets into a graph: emit, which
 * infers its shape and folds it where it can.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "ops/op.h"


/* A graph folds into at most so many bytes: a small file can ask for more. */
#define MAX_FOLDED       ((size_t) 1 << 30)

/* Bytes from which on dequantized constants are put off. */
#define LARGE_CONSTANT   ((size_t) 64 << 10)

#define MAX_OPERANDS     65536


/* Stands for data that is not computed yet. */
static const unsigned char  later[64] __attribute__((aligned(64)));


static void *grow(void *array, size_t n, size_t *space, size_t size);
static infer_node_t *make(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name, infer_value_t *const *in,
    int n_in, infer_value_t **out, int n_out);
static int append(infer_graph_t *g, infer_node_t *node);
static infer_node_t *node_create(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name, infer_value_t *const *in,
    int n_in, int n_out);
static int node_check(infer_graph_t *g, infer_node_t *node);
static int foldable(const infer_graph_t *g, const infer_node_t *node);
static int fold(infer_graph_t *g, infer_node_t *node);
static int fold_at(infer_graph_t *g, const infer_node_t *node, int64_t batch,
    void **result);
static int keeps_quantized(const infer_node_t *node);
static int put_off(infer_graph_t *g, const infer_node_t *node);
static int fill(infer_graph_t *g, infer_value_t *v);
static int align_constant(infer_graph_t *g, infer_value_t *v);
static size_t constant_size(const infer_value_t *v);


infer_value_t *
infer_graph_value(infer_graph_t *g, const char *name, infer_dtype_t dtype,
    int rank, const infer_dim_t *dim)
{
    infer_value_t  *v, **array;

    v = infer_graph_alloc(g, sizeof(infer_value_t));
    if (v == NULL) {
        return NULL;
    }

    v->name = name == NULL ? "" : infer_graph_strdup(g, name, strlen(name));
    if (v->name == NULL) {
        return NULL;
    }

    v->dtype = dtype;
    v->rank = rank;

    if (rank > 0) {
        memcpy(v->dim, dim, (size_t) rank * sizeof(infer_dim_t));
    }

    array = grow(g->value, g->n_values, &g->value_space, sizeof(*array));
    if (array == NULL) {
        infer_graph_fail(g, "out of memory");
        return NULL;
    }

    g->value = array;
    v->id = (uint32_t) g->n_values;
    g->value[g->n_values++] = v;

    return v;
}


void
infer_graph_clear(infer_graph_t *g)
{
    g->n_nodes = 0;
    g->n_values = 0;
    g->n_inputs = 0;
    g->n_outputs = 0;
}


infer_value_t *
infer_graph_constant(infer_graph_t *g, const char *name, infer_dtype_t dtype,
    int rank, const int64_t *dim, const void *data)
{
    infer_dim_t     d[INFER_MAX_RANK];
    infer_value_t  *v;

    for (int i = 0; i < rank; i++) {
        d[i] = infer_dim(dim[i]);
    }

    v = infer_graph_value(g, name, dtype, rank, d);
    if (v != NULL) {
        v->data = data;
        v->mapping = infer_graph_mapping(g, data);
    }

    return v;
}


infer_value_t *
infer_graph_scalar(infer_graph_t *g, float x)
{
    float  *data;

    data = infer_graph_alloc(g, sizeof(float));
    if (data == NULL) {
        return NULL;
    }

    *data = x;

    return infer_graph_constant(g, NULL, INFER_F32, 0, NULL, data);
}


infer_value_t *
infer_graph_shape_of(infer_graph_t *g, const infer_value_t *v)
{
    int             varied;
    int64_t        *data[3], n;
    infer_value_t  *shape;

    varied = 0;
    n = v->rank;

    for (int b = 0; b < 3; b++) {
        data[b] = infer_graph_alloc(g, (size_t) (n + 1) * sizeof(int64_t));
        if (data[b] == NULL) {
            return NULL;
        }

        for (int i = 0; i < v->rank; i++) {
            data[b][i] = infer_dim_at(v->dim[i], b + 1);
            varied |= v->dim[i].batch != 0;
        }
    }

    shape = infer_graph_constant(g, NULL, INFER_I64, 1, &n, data[0]);

    if (shape != NULL && varied) {
        shape->varied[0] = data[1];
        shape->varied[1] = data[2];
    }

    return shape;
}


infer_value_t *
infer_graph_emit1(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name, infer_value_t *const *in,
    int n_in)
{
    infer_value_t  *out;

    if (infer_graph_emit(g, op, param, name, in, n_in, &out, 1) != 0) {
        return NULL;
    }

    return out;
}


int
infer_graph_emit(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name, infer_value_t *const *in,
    int n_in, infer_value_t **out, int n_out)
{
    infer_node_t  *node;

    node = make(g, op, param, name, in, n_in, out, n_out);
    if (node == NULL) {
        return -1;
    }

    return foldable(g, node) ? fold(g, node) : append(g, node);
}


int
infer_graph_append(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name, infer_value_t *const *in,
    int n_in, infer_value_t **out, int n_out)
{
    infer_node_t  *node;

    node = make(g, op, param, name, in, n_in, out, n_out);

    return node == NULL ? -1 : append(g, node);
}


/* A node that has passed all checks, and its results. */
static infer_node_t *
make(infer_graph_t *g, infer_op_id_t op, const infer_param_t *param,
    const char *name, infer_value_t *const *in, int n_in, infer_value_t **out,
    int n_out)
{
    infer_node_t  *node;

    node = node_create(g, op, param, name, in, n_in, n_out);
    if (node == NULL || node_check(g, node) != 0) {
        return NULL;
    }

    if (n_out > 0) {
        memcpy(out, node->out, (size_t) n_out * sizeof(*out));
    }

    return node;
}


static int
append(infer_graph_t *g, infer_node_t *node)
{
    infer_node_t  **array;

    array = grow(g->node, g->n_nodes, &g->node_space, sizeof(*array));
    if (array == NULL) {
        return infer_graph_fail(g, "out of memory");
    }

    g->node = array;
    g->node[g->n_nodes++] = node;

    for (int i = 0; i < node->n_out; i++) {
        node->out[i]->producer = node;
    }

    return 0;
}


static void *
grow(void *array, size_t n, size_t *space, size_t size)
{
    void  *p;

    if (n < *space) {
        return array;
    }

    p = realloc(array, (2 * n + 64) * size);
    if (p != NULL) {
        *space = 2 * n + 64;
    }

    return p;
}


static infer_node_t *
node_create(infer_graph_t *g, infer_op_id_t op, const infer_param_t *param,
    const char *name, infer_value_t *const *in, int n_in, int n_out)
{
    size_t         operands;
    infer_node_t  *node;

    if (n_in > MAX_OPERANDS || n_out > MAX_OPERANDS) {
        infer_graph_fail(g, "node \"%.120s\" has too many operands", name);
        return NULL;
    }

    operands = (size_t) n_in + (size_t) n_out;

    node = infer_graph_alloc(g, sizeof(infer_node_t)
                                + operands * sizeof(infer_value_t *));
    if (node == NULL) {
        return NULL;
    }

    node->op = infer_op_table[op];
    node->id = op;
    node->name = infer_graph_strdup(g, name ? name : "",
                                    name ? strlen(name) : 0);
    if (node->name == NULL) {
        return NULL;
    }

    node->param = *param;
    node->in = (infer_value_t **) (node + 1);
    node->out = node->in + n_in;
    node->n_in = n_in;
    node->n_out = n_out;

    if (n_in > 0) {
        memcpy(node->in, in, (size_t) n_in * sizeof(*in));
    }

    for (int i = 0; i < n_out; i++) {
        node->out[i] = infer_graph_value(g, NULL, INFER_F32, 0, NULL);
        if (node->out[i] == NULL) {
            return NULL;
        }
    }

    return node;
}


/* The shape rule, and what no rule may pass. */
static int
node_check(infer_graph_t *g, infer_node_t *node)
{
    const char  *fault;

    if (node->op->shape(g, node) != 0) {
        return -1;
    }

    for (int i = 0; i < node->n_out; i++) {
        fault = infer_value_fault(node->out[i]);

        if (fault != NULL) {
            return infer_node_fail(g, node, "the result %s", fault);
        }
    }

    return 0;
}


static int
foldable(const infer_graph_t *g, const infer_node_t *node)
{
    size_t  size;

    if (node->op->pack != NULL || node->n_in == 0) {
        return 0;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] != NULL && node->in[i]->data == NULL) {
            return 0;
        }
    }

    size = 0;

    for (int i = 0; i < node->n_out; i++) {
        for (int d = 0; d < node->out[i]->rank; d++) {
            if (node->out[i]->dim[d].batch != 0) {
                return 0;
            }
        }

        size += constant_size(node->out[i]);
    }

    return g->folded <= MAX_FOLDED && size <= MAX_FOLDED - g->folded;
}


/*
 * Computes the node on its constants: once, or at batch sizes 1, 2 and 3
 * where an operand depends on the batch.
 */
static int
fold(infer_graph_t *g, infer_node_t *node)
{
    int             varied;
    void          **result[3];
    infer_value_t  *v;

    varied = put_off(g, node);

    if (varied != 0) {
        return varied > 0 ? 0 : -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == NULL) {
            continue;
        }

        if (fill(g, node->in[i]) != 0
            || align_constant(g, node->in[i]) != 0)
        {
            return -1;
        }

        varied |= node->in[i]->varied[0] != NULL;
    }

    for (int b = 0; b < (varied ? 3 : 1); b++) {
        result[b] = infer_graph_alloc(g, (size_t) node->n_out
                                         * sizeof(void *));
        if (result[b] == NULL || fold_at(g, node, b + 1, result[b]) != 0) {
            return -1;
        }
    }

    for (int i = 0; i < node->n_out; i++) {
        v = node->out[i];
        v->data = result[0][i];

        if (varied
            && (memcmp(v->data, result[1][i], constant_size(v)) != 0
                || memcmp(v->data, result[2][i], constant_size(v)) != 0))
        {
            v->varied[0] = result[1][i];
            v->varied[1] = result[2][i];
        }
    }

    return !varied && keeps_quantized(node) ? infer_quantized_keep(g, node)
                                            : 0;
}


static int
keeps_quantized(const infer_node_t *node)
{
    return node->id == INFER_OP_DEQUANTIZE
           || (node->in[0] != NULL && node->in[0]->quantized != NULL
               && (node->id == INFER_OP_RESHAPE
                   || node->id == INFER_OP_TRANSPOSE));
}


/* 1 where the result of node, from constants, has been put off; 0, -1. */
static int
put_off(infer_graph_t *g, const infer_node_t *node)
{
    infer_value_t  *v;

    if (!keeps_quantized(node)) {
        return 0;
    }

    v = node->out[0];

    if (v->dtype != INFER_F32 || v->rank < 2
        || constant_size(v) < LARGE_CONSTANT
        || node->in[0]->dtype == INFER_I32
        || (node->id != INFER_OP_DEQUANTIZE && node->in[0]->data != later))
    {
        return 0;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] != NULL && node->in[i]->varied[0] != NULL) {
            return 0;
        }
    }

    if (infer_quantized_keep(g, node) != 0) {
        return -1;
    }

    if (v->quantized == NULL) {
        return 0;
    }

    v->data = later;
    g->folded += constant_size(v);

    return 1;
}


/* The data of a constant that was put off; nothing to do for others. */
static int
fill(infer_graph_t *g, infer_value_t *v)
{
    void                     *data;
    infer_node_t              node;
    infer_value_t            *in[3];
    const infer_quantized_t  *was = v->quantized;

    if (v->data != later) {
        return 0;
    }

    in[0] = (infer_value_t *) was->q;
    in[1] = (infer_value_t *) was->scale;
    in[2] = (infer_value_t *) was->zero;

    memset(&node, 0, sizeof(node));
    node.id = INFER_OP_DEQUANTIZE;
    node.op = infer_op_table[node.id];
    node.param.quantize.axis = was->axis;
    node.in = in;
    node.n_in = 3;
    node.out = &v;
    node.n_out = 1;

    for (int i = 0; i < 3; i++) {
        if (in[i] != NULL && align_constant(g, in[i]) != 0) {
            return -1;
        }
    }

    /* counted when it was put off */
    g->folded -= constant_size(v);

    if (fold_at(g, &node, 1, &data) != 0) {
        return -1;
    }

    v->data = data;

    return 0;
}


int
infer_graph_fill(infer_graph_t *g)
{
    const infer_node_t  *node;

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] != NULL && fill(g, node->in[k]) != 0) {
                return -1;
            }
        }
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        if (fill(g, g->output[i].value) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
fold_at(infer_graph_t *g, const infer_node_t *node, int64_t batch,
    void **result)
{
    int              n;
    infer_call_t     call;
    infer_tensor_t  *tensor, **pointer;

    n = node->n_in + node->n_out;
    tensor = infer_graph_alloc(g, (size_t) n * sizeof(*tensor));
    pointer = infer_graph_alloc(g, (size_t) n * sizeof(*pointer));

    if (tensor == NULL || pointer == NULL) {
        return -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] != NULL) {
            infer_value_tensor(node->in[i], batch, &tensor[i]);
            pointer[i] = &tensor[i];
        }
    }

    for (int i = 0; i < node->n_out; i++) {
        result[i] = infer_graph_alloc(g, constant_size(node->out[i]));
        if (result[i] == NULL) {
            return -1;
        }

        g->folded += constant_size(node->out[i]);

        pointer[node->n_in + i] = &tensor[node->n_in + i];
        infer_value_tensor(node->out[i], batch, pointer[node->n_in + i]);
        pointer[node->n_in + i]->data = result[i];
    }

    memset(&call, 0, sizeof(call));
    call.param = &node->param;
    call.in = (const infer_tensor_t **) pointer;
    call.out = pointer + node->n_in;
    call.n_in = node->n_in;
    call.n_out = node->n_out;
    call.kernels = infer_kernels();

    if (node->op->scratch != NULL) {
        call.scratch_size = (node->op->scratch(&call) + 63) / 64 * 64;
        call.scratch = aligned_alloc(64, call.scratch_size + 64);
        if (call.scratch == NULL) {
            return infer_graph_fail(g, "out of memory");
        }
    }

    node->op->run(&call);
    free(call.scratch);

    return 0;
}


/* Weights lie in a file at any address; operators may expect alignment. */
static int
align_constant(infer_graph_t *g, infer_value_t *v)
{
    void  *copy;

    if ((uintptr_t) v->data % infer_dtype_size(v->dtype) == 0) {
        return 0;
    }

    copy = infer_graph_alloc(g, constant_size(v));
    if (copy == NULL) {
        return -1;
    }

    memcpy(copy, v->data, constant_size(v));
    v->data = copy;

    return 0;
}


static size_t
constant_size(const infer_value_t *v)
{
    infer_dim_t  n;

    if (infer_value_numel(v, &n) != 0) {
        return 0;
    }

    return (size_t) n.base * infer_dtype_size(v->dtype);
}
