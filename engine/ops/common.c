/*
 * What opens every shape rule: broadcasting, and the checks of operands.
 */

#include <string.h>

#include "ops/common.h"


int
infer_broadcast(const infer_value_t *const *v, int n, int *rank,
    infer_dim_t *dim)
{
    int          lead;
    infer_dim_t  d;

    *rank = 0;

    for (int k = 0; k < n; k++) {
        *rank = v[k]->rank > *rank ? v[k]->rank : *rank;
    }

    for (int i = 0; i < *rank; i++) {
        dim[i] = infer_dim(1);

        for (int k = 0; k < n; k++) {
            lead = *rank - v[k]->rank;
            if (i < lead) {
                continue;
            }

            d = v[k]->dim[i - lead];

            if (infer_dim_is(dim[i], 1)) {
                dim[i] = d;

            } else if (!infer_dim_is(d, 1) && !infer_dim_equal(d, dim[i])) {
                return -1;
            }
        }
    }

    return 0;
}


int
infer_check_operands(infer_graph_t *g, const infer_node_t *node, int required,
    int most, int results)
{
    if (node->n_in < required || node->n_in > most) {
        return infer_node_fail(g, node, "has %d operands, not %d to %d",
                               node->n_in, required, most);
    }

    for (int i = 0; i < required; i++) {
        if (node->in[i] == NULL) {
            return infer_node_fail(g, node, "operand %d is missing", i);
        }
    }

    if (node->n_out < 1 || node->n_out > results) {
        return infer_node_fail(g, node, "has %d results, at most %d are "
                               "supported", node->n_out, results);
    }

    return 0;
}


void
infer_set_result(infer_value_t *v, infer_dtype_t dtype, int rank,
    const infer_dim_t *dim)
{
    v->dtype = dtype;
    v->rank = rank;

    if (rank > 0) {
        memcpy(v->dim, dim, (size_t) rank * sizeof(infer_dim_t));
    }
}


int
infer_dim_never_negative(infer_dim_t d)
{
    int64_t  first;

    return d.batch >= 0
           && !__builtin_add_overflow(d.base, d.batch, &first)
           && first >= 0;
}
