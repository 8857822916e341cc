/*
 * Affine: a factor and an offset for each channel, as batch normalisation
 * has them, and an activation, over tensors joined along their channels.
 */

#include "ops/common.h"


/* in: scale, offset, and from here on the tensors. */
enum { SCALE, OFFSET, TENSORS };


typedef struct {
    const infer_call_t  *call;
    size_t               rows;
    size_t               tasks;
} affine_t;


static int check_tensors(infer_graph_t *g, const infer_node_t *node,
    int64_t *channels);
static void affine_task(void *arg, size_t i, size_t slot);


static int
affine_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   kind;
    int64_t               channels;
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_value_t  *v;

    if (infer_check_operands(g, node, TENSORS + 1, node->n_in, 1) != 0
        || check_tensors(g, node, &channels) != 0)
    {
        return -1;
    }

    for (int i = SCALE; i <= OFFSET; i++) {
        v = node->in[i];

        if (v->dtype != INFER_F32 || v->rank != 1
            || !infer_dim_is(v->dim[0], channels))
        {
            return infer_node_fail(g, node, "scale and offset must be %lld "
                                   "floats", (long long) channels);
        }
    }

    kind = node->param.affine.act.kind;

    if (kind < 0 || kind >= INFER_NOT) {
        return infer_node_fail(g, node, "unknown activation %d", kind);
    }

    v = node->in[TENSORS];

    for (int d = 0; d < v->rank; d++) {
        dim[d] = v->dim[d];
    }

    dim[v->rank - 1] = infer_dim(channels);
    infer_set_result(node->out[0], INFER_F32, v->rank, dim);

    return 0;
}


/* Floats that differ in nothing but the number of channels. */
static int
check_tensors(infer_graph_t *g, const infer_node_t *node, int64_t *channels)
{
    infer_dim_t           c;
    const infer_value_t  *x, *first = node->in[TENSORS];

    *channels = 0;

    for (int k = TENSORS; k < node->n_in; k++) {
        x = node->in[k];

        if (x == NULL || x->dtype != INFER_F32 || x->rank < 1
            || x->rank != first->rank)
        {
            return infer_node_fail(g, node, "operand %d is no tensor of "
                                   "floats, or has another rank than the "
                                   "first", k);
        }

        for (int d = 0; d < x->rank - 1; d++) {
            if (!infer_dim_equal(x->dim[d], first->dim[d])) {
                return infer_node_fail(g, node, "operand %d differs from the "
                                       "first in dimension %d", k, d);
            }
        }

        c = x->dim[x->rank - 1];

        if (c.batch != 0
            || __builtin_add_overflow(*channels, c.base, channels))
        {
            return infer_node_fail(g, node, "operand %d: the number of "
                                   "channels is not known, or too large", k);
        }
    }

    return 0;
}


static void
affine_run(const infer_call_t *call)
{
    size_t                 channels;
    affine_t               a;
    const infer_tensor_t  *y = call->out[0];

    if (infer_numel(y) == 0) {
        return;
    }

    channels = (size_t) y->dim[y->rank - 1];

    a.call = call;
    a.rows = infer_numel(y) / channels;
    a.tasks = infer_tasks(call, a.rows, INFER_GRAIN / channels + 1);

    infer_parallel_for(call, affine_task, &a, a.tasks);
}


static void
affine_task(void *arg, size_t i, size_t slot)
{
    float                 *y;
    size_t                 row, rows, channels, n;
    const float           *scale, *offset;
    const affine_t        *a = arg;
    const infer_call_t    *call = a->call;
    const infer_tensor_t  *x;

    (void) slot;

    row = infer_task_first(a->rows, a->tasks, i);
    rows = infer_task_first(a->rows, a->tasks, i + 1) - row;
    channels = (size_t) call->out[0]->dim[call->out[0]->rank - 1];

    scale = call->in[SCALE]->data;
    offset = call->in[OFFSET]->data;
    y = (float *) call->out[0]->data + row * channels;

    for (int k = TENSORS; k < call->n_in; k++) {
        x = call->in[k];
        n = (size_t) x->dim[x->rank - 1];

        call->kernels->affine_f32(&call->param->affine.act,
                                  (const float *) x->data + row * n, rows, n,
                                  scale, offset, y, channels);

        scale += n;
        offset += n;
        y += n;
    }
}


const infer_op_t  infer_op_affine = {
    .name = "affine",
    .shape = affine_shape,
    .run = affine_run
};
