/*
 * Layer normalisation: rows over dimensions axis .. rank - 1, one call of the
 * kernel for each.
 */

#include "ops/common.h"


typedef struct {
    const infer_call_t  *call;
    size_t               n;            /* elements of a row */
    size_t               rows;
    size_t               tasks;
} layernorm_t;


static int check_vector(infer_graph_t *g, const infer_node_t *node, int i);
static void layernorm_task(void *arg, size_t i, size_t slot);


static int
layernorm_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   axis;
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 3, 3) != 0) {
        return -1;
    }

    x = node->in[0];
    axis = node->param.layernorm.axis;

    if (axis < 0 || axis >= x->rank) {
        return infer_node_fail(g, node, "axis %d is not in 0 .. %d", axis,
                               x->rank - 1);
    }

    if (x->dtype != INFER_F32) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    for (int i = 1; i < node->n_in; i++) {
        if (node->in[i] != NULL && check_vector(g, node, i) != 0) {
            return -1;
        }
    }

    infer_set_result(node->out[0], x->dtype, x->rank, x->dim);

    for (int i = 0; i < x->rank; i++) {
        dim[i] = i < axis ? x->dim[i] : infer_dim(1);

        if (i >= axis && infer_dim_is(x->dim[i], 0)) {
            return infer_node_fail(g, node, "dimension %d is empty", i);
        }
    }

    for (int i = 1; i < node->n_out; i++) {
        infer_set_result(node->out[i], INFER_F32, x->rank, dim);
    }

    return 0;
}


static int
check_vector(infer_graph_t *g, const infer_node_t *node, int i)
{
    int                   axis;
    const infer_value_t  *x, *v;

    x = node->in[0];
    v = node->in[i];
    axis = node->param.layernorm.axis;

    if (v->dtype != INFER_F32 || v->rank != x->rank - axis) {
        goto failed;
    }

    for (int k = 0; k < v->rank; k++) {
        if (!infer_dim_equal(v->dim[k], x->dim[axis + k])) {
            goto failed;
        }
    }

    return 0;

failed:

    return infer_node_fail(g, node, "operand %d is not float32 with the "
                           "input's dimensions from %d on", i, axis);
}


static void
layernorm_run(const infer_call_t *call)
{
    layernorm_t            norm;
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(x) == 0) {
        return;
    }

    norm.call = call;
    norm.rows = norm.n = 1;

    for (int i = 0; i < x->rank; i++) {
        *(i < call->param->layernorm.axis ? &norm.rows : &norm.n)
            *= (size_t) x->dim[i];
    }

    norm.tasks = infer_tasks(call, norm.rows, INFER_GRAIN / (norm.n + 1) + 1);

    infer_parallel_for(call, layernorm_task, &norm, norm.tasks);
}


static void
layernorm_task(void *arg, size_t i, size_t slot)
{
    size_t               row, end;
    float               *stat[2];
    const float         *x, *vector[2];
    const layernorm_t   *norm = arg;
    const infer_call_t  *call = norm->call;

    (void) slot;

    x = call->in[0]->data;
    row = infer_task_first(norm->rows, norm->tasks, i);
    end = infer_task_first(norm->rows, norm->tasks, i + 1);

    for (int k = 0; k < 2; k++) {
        vector[k] = k + 1 < call->n_in && call->in[k + 1] != NULL
                    ? call->in[k + 1]->data : NULL;
    }

    for ( ; row < end; row++) {
        for (int k = 0; k < 2; k++) {
            stat[k] = k + 1 < call->n_out
                      ? (float *) call->out[k + 1]->data + row : NULL;
        }

        call->kernels->layernorm_f32(x + row * norm->n, vector[0], vector[1],
                                     call->param->layernorm.epsilon,
                                     (float *) call->out[0]->data
                                     + row * norm->n, norm->n, stat[0],
                                     stat[1]);
    }
}


const infer_op_t  infer_op_layernorm = {
    .name = "layernorm",
    .shape = layernorm_shape,
    .run = layernorm_run
};
