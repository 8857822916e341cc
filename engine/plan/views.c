/*
 * Views: an operator that can read its operands with any strides reads them
 * through the transposes, slices and reshapes in front of it, from where their
 * elements were computed.  Those whose results nobody reads any more are not
 * run at all.
 */

#include <stdlib.h>

#include "ops/nest.h"
#include "plan/plan.h"


/* Nodes that a view looks through, at most: the chain is walked recursively. */
#define MOST_STEPS  16


static void look_through(const infer_session_t *s, const uint32_t *producer,
    uint32_t value, int steps, infer_strided_t *view);
static int moved(const infer_session_t *s, const infer_model_node_t *node,
    const infer_tensor_t *x, const infer_tensor_t *y, infer_strided_t *view);
static int sliced(const infer_session_t *s, const infer_slice_t *slice,
    const infer_tensor_t *y, infer_strided_t *view);
static int reshaped(const infer_tensor_t *x, const infer_tensor_t *y,
    infer_strided_t *view);
static int without_ones(const infer_tensor_t *t, int64_t *dim, int *index);


int
infer_plan_views(infer_session_t *s)
{
    size_t                     n = 0;
    uint32_t                  *producer;
    const uint32_t            *operand;
    const infer_model_node_t  *node;

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        n += s->op[i] != NULL && s->op[i]->views;
    }

    producer = malloc((s->model->n_values + 1) * sizeof(*producer));
    s->view = calloc(2 * n + 1, sizeof(*s->view));

    if (producer == NULL || s->view == NULL) {
        free(producer);
        return -1;
    }

    s->bytes += 2 * n * sizeof(*s->view);
    n = 0;

    for (uint32_t i = 0; i < s->model->n_values; i++) {
        producer[i] = INFER_MODEL_NONE;
    }

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        node = infer_plan_node(s, i);
        operand = infer_plan_operands(s, node);

        for (uint32_t k = 0; k < node->n_out; k++) {
            producer[operand[node->n_in + k]] = i;
        }

        if (s->op[i] != NULL && s->op[i]->views) {
            for (uint32_t k = 0; k < 2; k++) {
                look_through(s, producer, operand[k], 0, &s->view[n + k]);
            }

            s->step[i].view = &s->view[n];
            n += 2;
        }
    }

    free(producer);

    return 0;
}


/* The view of a value: of its own memory where nothing else will do. */
static void
look_through(const infer_session_t *s, const uint32_t *producer,
    uint32_t value, int steps, infer_strided_t *view)
{
    uint32_t                   x, i = producer[value];
    const infer_tensor_t      *t = &s->tensor[value];
    const infer_model_node_t  *node;

    if (i != INFER_MODEL_NONE && steps < MOST_STEPS && infer_numel(t) > 0) {
        node = infer_plan_node(s, i);
        x = infer_plan_operands(s, node)[0];

        if (infer_plan_moves(node)) {
            look_through(s, producer, x, steps + 1, view);

            if (moved(s, node, &s->tensor[x], t, view)) {
                return;
            }
        }
    }

    view->base = t;
    view->start = 0;
    infer_strides(t, view->stride);
}


int
infer_plan_moves(const infer_model_node_t *node)
{
    return node->op == INFER_OP_TRANSPOSE || node->op == INFER_OP_SLICE
           || node->op == INFER_OP_RESHAPE;
}


/* Turns a view of x into one of y, which node makes of it; 0: impossible. */
static int
moved(const infer_session_t *s, const infer_model_node_t *node,
    const infer_tensor_t *x, const infer_tensor_t *y, infer_strided_t *view)
{
    infer_strided_t  old = *view;

    switch (node->op) {

    case INFER_OP_TRANSPOSE:
        for (int d = 0; d < y->rank; d++) {
            view->stride[d] = old.stride[node->param.transpose.perm[d]];
        }

        return 1;

    case INFER_OP_SLICE:
        return sliced(s, &node->param.slice, y, view);

    default:
        return reshaped(x, y, view);
    }
}


static int
sliced(const infer_session_t *s, const infer_slice_t *slice,
    const infer_tensor_t *y, infer_strided_t *view)
{
    for (int d = 0; d < y->rank; d++) {
        if (slice->step[d] < 0) {
            return 0;
        }

        view->start += infer_dim_at(slice->start[d], (int64_t) s->batch)
                       * view->stride[d];

        /* the step to an element that is not there may be anything */
        view->stride[d] *= y->dim[d] > 1 ? slice->step[d] : 1;
    }

    return 1;
}


/*
 * Groups of dimensions with as many elements before and after: those before
 * must lie like one dimension.
 */
static int
reshaped(const infer_tensor_t *x, const infer_tensor_t *y, infer_strided_t *view)
{
    int      n, m, i, k, i_end, k_end;
    int      from[INFER_MAX_RANK], to[INFER_MAX_RANK];
    int64_t  a, b, old[INFER_MAX_RANK], new[INFER_MAX_RANK];
    int64_t  stride[INFER_MAX_RANK] = { 0 };

    n = without_ones(x, old, from);
    m = without_ones(y, new, to);

    for (i = k = 0; i < n && k < m; i = i_end, k = k_end) {
        a = old[i];
        b = new[k];
        i_end = i + 1;
        k_end = k + 1;

        while (a != b) {
            if (a < b) {
                a *= old[i_end++];
            } else {
                b *= new[k_end++];
            }
        }

        for (int d = i; d < i_end - 1; d++) {
            if (view->stride[from[d]]
                != view->stride[from[d + 1]] * old[d + 1])
            {
                return 0;
            }
        }

        stride[to[k_end - 1]] = view->stride[from[i_end - 1]];

        for (int d = k_end - 1; d > k; d--) {
            stride[to[d - 1]] = stride[to[d]] * new[d];
        }
    }

    for (int d = 0; d < y->rank; d++) {
        view->stride[d] = stride[d];
    }

    return 1;
}


/* The dimensions of t that are not 1, and which they are. */
static int
without_ones(const infer_tensor_t *t, int64_t *dim, int *index)
{
    int  n = 0;

    for (int d = 0; d < t->rank; d++) {
        if (t->dim[d] != 1) {
            index[n] = d;
            dim[n++] = t->dim[d];
        }
    }

    return n;
}
