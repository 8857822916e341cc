/*
 * Gather: along one dimension, the slices that a tensor of indices names.
 * Negative indices count from the end.  An index outside of the dimension is
 * refused where it is known; where it is computed, the nearest one is taken.
 */

#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


typedef struct {
    const infer_tensor_t  *indices;
    size_t                 limit;      /* elements of the dimension */
    size_t                 count;      /* indices */
    size_t                 block;      /* bytes behind the dimension */
    unsigned char         *y;
    const unsigned char   *x;
} gather_t;


static int check_indices(infer_graph_t *g, const infer_node_t *node,
    const void *data, int64_t limit);
static int64_t index_at(infer_dtype_t dtype, const void *data, size_t i);
static void gather_row(void *arg, const int64_t *offset, size_t n,
    size_t slot);


static int
gather_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   axis, rank;
    const void           *data;
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_value_t  *x, *indices;

    if (infer_check_operands(g, node, 2, 2, 1) != 0) {
        return -1;
    }

    x = node->in[0];
    indices = node->in[1];
    axis = node->param.axis.axis;

    if (axis < 0 || axis >= x->rank) {
        return infer_node_fail(g, node, "axis %d is not in 0 .. %d", axis,
                               x->rank - 1);
    }

    if (indices->dtype != INFER_I32 && indices->dtype != INFER_I64) {
        return infer_node_fail(g, node, "indices are %s",
                               infer_dtype_name(indices->dtype));
    }

    if (x->rank - 1 + indices->rank > INFER_MAX_RANK) {
        return infer_node_fail(g, node, "the result has more than %d "
                               "dimensions", INFER_MAX_RANK);
    }

    rank = 0;

    for (int i = 0; i < x->rank; i++) {
        if (i != axis) {
            dim[rank++] = x->dim[i];
            continue;
        }

        for (int k = 0; k < indices->rank; k++) {
            dim[rank++] = indices->dim[k];
        }
    }

    for (int b = 0; b < 3 && indices->data != NULL; b++) {
        data = b == 0 ? indices->data : indices->varied[b - 1];

        if (data != NULL
            && check_indices(g, node, data,
                             infer_dim_at(x->dim[axis], b + 1)) != 0)
        {
            return -1;
        }
    }

    infer_set_result(node->out[0], x->dtype, rank, dim);

    return 0;
}


static int
check_indices(infer_graph_t *g, const infer_node_t *node, const void *data,
    int64_t limit)
{
    int64_t               k;
    infer_dim_t           n;
    const infer_value_t  *indices = node->in[1];

    if (infer_value_numel(indices, &n) != 0) {
        return infer_node_fail(g, node, "too many indices");
    }

    for (int64_t i = 0; i < n.base; i++) {
        k = index_at(indices->dtype, data, (size_t) i);

        if (k < -limit || k >= limit) {
            return infer_node_fail(g, node, "index %lld of a dimension of "
                                   "%lld", (long long) k, (long long) limit);
        }
    }

    return 0;
}


/* Indices may lie unaligned in a file. */
static int64_t
index_at(infer_dtype_t dtype, const void *data, size_t i)
{
    int32_t  k32;
    int64_t  k64;

    if (dtype == INFER_I32) {
        memcpy(&k32, (const char *) data + i * sizeof(k32), sizeof(k32));
        return k32;
    }

    memcpy(&k64, (const char *) data + i * sizeof(k64), sizeof(k64));

    return k64;
}


static void
gather_run(const infer_call_t *call)
{
    int                    axis;
    size_t                 outer;
    gather_t               gather;
    infer_nest_t           rows;
    infer_tensor_t        *y = call->out[0];
    const infer_tensor_t  *x = call->in[0];

    if (infer_numel(y) == 0) {
        return;
    }

    axis = call->param->axis.axis;
    outer = 1;

    gather.block = infer_dtype_size(x->dtype);
    gather.indices = call->in[1];
    gather.limit = (size_t) x->dim[axis];
    gather.count = infer_numel(call->in[1]);
    gather.x = x->data;
    gather.y = y->data;

    for (int i = 0; i < x->rank; i++) {
        if (i < axis) {
            outer *= (size_t) x->dim[i];

        } else if (i > axis) {
            gather.block *= (size_t) x->dim[i];
        }
    }

    /* A dimension that follows the batch may turn out to be empty. */
    if (gather.limit == 0) {
        memset(y->data, 0, infer_numel(y) * infer_dtype_size(y->dtype));
        return;
    }

    rows.rank = 1;
    rows.operands = 1;
    rows.dim[0] = (int64_t) (outer * gather.count);
    rows.stride[0][0] = 1;

    infer_nest_run(call, &rows, 1, INFER_GRAIN / gather.block + 1, gather_row,
                   &gather);
}


/* n slices from slice offset[0] of the result on. */
static void
gather_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    size_t           row, end, outer;
    int64_t          k, limit;
    const gather_t  *g = arg;

    (void) slot;

    end = (size_t) offset[0] + n;
    limit = (int64_t) g->limit;

    for (row = (size_t) offset[0]; row < end; row++) {
        outer = row / g->count;

        k = index_at(g->indices->dtype, g->indices->data, row % g->count);
        k = k < 0 ? k + limit : k;
        k = k < 0 ? 0 : k;
        k = k < limit ? k : limit - 1;

        memcpy(g->y + row * g->block,
               g->x + (outer * g->limit + (size_t) k) * g->block, g->block);
    }
}


const infer_op_t  infer_op_gather = {
    .name = "gather",
    .shape = gather_shape,
    .run = gather_run
};
