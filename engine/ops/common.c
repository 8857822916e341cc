/*
 * Small things that every operator needs: dtypes, broadcasting, the checks
 * that open a shape rule, and the host's parallel loop.
 */

#include <string.h>

#include "ops/common.h"


static const struct {
    const char  *name;
    size_t       size;
} dtypes[INFER_DTYPES] = {
    { "float32", 4 },
    { "float64", 8 },
    { "float16", 2 },
    { "bfloat16", 2 },
    { "int8", 1 },
    { "uint8", 1 },
    { "int16", 2 },
    { "uint16", 2 },
    { "int32", 4 },
    { "uint32", 4 },
    { "int64", 8 },
    { "uint64", 8 },
    { "bool", 1 }
};


size_t
infer_dtype_size(infer_dtype_t dtype)
{
    return (unsigned) dtype < INFER_DTYPES ? dtypes[dtype].size : 0;
}


const char *
infer_dtype_name(infer_dtype_t dtype)
{
    return (unsigned) dtype < INFER_DTYPES ? dtypes[dtype].name : "unknown";
}


void
infer_parallel_for(const infer_call_t *call,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    if (call->parallel != NULL && n > 1) {
        call->parallel->run(call->parallel, task, arg, n);
        return;
    }

    for (size_t i = 0; i < n; i++) {
        task(arg, i, 0);
    }
}


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
