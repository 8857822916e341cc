/*
 * What the tests of operators share: random tensors, and running one operator
 * the way the engine does (through infer_graph_emit, whose shape rule sets
 * the result's shape), on one thread, then on a host that runs tasks in
 * another order on several slots, and with each table of kernels of this CPU:
 * the bits must not change.
 */

#ifndef TEST_OPS_H
#define TEST_OPS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"
#include "tap.h"


#define SLOTS  3


static uint64_t       seed = 88172645463325252u;
static infer_error_t  err;


static inline uint64_t
rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed >> 11;
}


static inline int64_t
below(int64_t n)
{
    return (int64_t) (rnd() % (uint64_t) n);
}


/* In -2 .. 2. */
static inline double
real(void)
{
    return (double) (rnd() % 4000001) / 1e6 - 2;
}


static inline infer_tensor_t
tensor(infer_dtype_t dtype, int rank, const int64_t *dim)
{
    infer_tensor_t  t = { .dtype = dtype, .rank = rank };

    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }

    t.data = calloc(infer_numel(&t) + 1, infer_dtype_size(dtype));

    return t;
}


/* Reads and writes any but the 16-bit floats. */
static inline long double
get(const infer_tensor_t *t, int64_t i)
{
    switch (t->dtype) {
    case INFER_F32:
        return ((float *) t->data)[i];
    case INFER_F64:
        return ((double *) t->data)[i];
    case INFER_I8:
        return ((int8_t *) t->data)[i];
    case INFER_U8:
    case INFER_BOOL:
        return ((uint8_t *) t->data)[i];
    case INFER_I16:
        return ((int16_t *) t->data)[i];
    case INFER_U16:
        return ((uint16_t *) t->data)[i];
    case INFER_I32:
        return ((int32_t *) t->data)[i];
    case INFER_U32:
        return ((uint32_t *) t->data)[i];
    case INFER_I64:
        return ((int64_t *) t->data)[i];
    default:
        return ((uint64_t *) t->data)[i];
    }
}


static inline void
put(infer_tensor_t *t, int64_t i, long double x)
{
    switch (t->dtype) {
    case INFER_F32:
        ((float *) t->data)[i] = (float) x;
        break;
    case INFER_F64:
        ((double *) t->data)[i] = (double) x;
        break;
    case INFER_I8:
        ((int8_t *) t->data)[i] = (int8_t) x;
        break;
    case INFER_U8:
    case INFER_BOOL:
        ((uint8_t *) t->data)[i] = (uint8_t) x;
        break;
    case INFER_I16:
        ((int16_t *) t->data)[i] = (int16_t) x;
        break;
    case INFER_U16:
    case INFER_F16:
    case INFER_BF16:
        ((uint16_t *) t->data)[i] = (uint16_t) x;
        break;
    case INFER_I32:
        ((int32_t *) t->data)[i] = (int32_t) x;
        break;
    case INFER_U32:
        ((uint32_t *) t->data)[i] = (uint32_t) x;
        break;
    case INFER_I64:
        ((int64_t *) t->data)[i] = (int64_t) x;
        break;
    default:
        ((uint64_t *) t->data)[i] = (uint64_t) x;
    }
}


static inline int
is_float(infer_dtype_t dtype)
{
    return dtype == INFER_F32 || dtype == INFER_F64;
}


/* Floats in -2 .. 2, integers in 0 .. 99, or -50 .. 49 where signed. */
static inline infer_tensor_t
random_tensor(infer_dtype_t dtype, int rank, const int64_t *dim)
{
    int             is_signed;
    infer_tensor_t  t = tensor(dtype, rank, dim);

    is_signed = dtype == INFER_I8 || dtype == INFER_I16 || dtype == INFER_I32
                || dtype == INFER_I64;

    for (size_t i = 0; i < infer_numel(&t); i++) {
        put(&t, (int64_t) i, is_float(dtype) ? (long double) real()
                             : dtype == INFER_BOOL ? below(2)
                             : below(100) - (is_signed ? 50 : 0));
    }

    return t;
}


/* The offset of output index i in an operand that broadcasts to y. */
static inline int64_t
broadcast_offset(const infer_tensor_t *y, const infer_tensor_t *x, int64_t i)
{
    int64_t  offset = 0, step = 1, k;

    for (int d = y->rank - 1, e = x->rank - 1; e >= 0; d--, e--) {
        k = i % y->dim[d];
        i /= y->dim[d];
        offset += x->dim[e] == 1 ? 0 : k * step;
        step *= x->dim[e];
    }

    return offset;
}


static inline int64_t
to_index(const infer_tensor_t *t, int64_t i, int64_t *index)
{
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = i % t->dim[d];
        i /= t->dim[d];
    }

    return i;
}


static inline int64_t
from_index(const infer_tensor_t *t, const int64_t *index)
{
    int64_t  i = 0;

    for (int d = 0; d < t->rank; d++) {
        i = i * t->dim[d] + index[d];
    }

    return i;
}


/* A host: last task first, slots in turn. */
static inline void
backwards(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        task(arg, i - 1, i % parallel->slots);
    }
}


static inline void
run_call(const infer_node_t *node, infer_call_t *call)
{
    size_t  size;

    call->scratch_size = 0;

    if (node->op->scratch != NULL) {
        size = node->op->scratch(call);
        call->scratch_size = (size + 63) / 64 * 64;
    }

    call->scratch = aligned_alloc(64, SLOTS * call->scratch_size + 64);
    memset(call->scratch, 0xa5, SLOTS * call->scratch_size + 64);

    node->op->run(call);
    free(call->scratch);
}


/*
 * Emits the operator on values of the operands' shapes (is_constant: bit i
 * makes operand i a constant), allocates the results, runs it.  -1 where the
 * shape rule refuses, with the reason in err; -2 where a run differs from
 * another.  The caller frees out[].data.
 */
static inline int
run_op(infer_op_id_t op, const infer_param_t *param, infer_tensor_t **in,
    int n_in, infer_tensor_t *out, int n_out, unsigned is_constant)
{
    int                     result = 0;
    infer_dim_t             dim[INFER_MAX_RANK];
    infer_call_t            call;
    infer_graph_t          *g;
    infer_value_t          *value[8] = { NULL }, *results[8];
    infer_tensor_t          other[8], *first[8], *again[8];
    infer_parallel_t        host = { backwards, SLOTS, NULL };

    g = infer_graph_create("test", &err);

    for (int i = 0; i < n_in; i++) {
        if (in[i] == NULL) {
            continue;
        }

        if (is_constant >> i & 1) {
            value[i] = infer_graph_constant(g, "c", in[i]->dtype, in[i]->rank,
                                            in[i]->dim, in[i]->data);
            continue;
        }

        for (int d = 0; d < in[i]->rank; d++) {
            dim[d] = infer_dim(in[i]->dim[d]);
        }

        value[i] = infer_graph_value(g, "x", in[i]->dtype, in[i]->rank, dim);
    }

    if (infer_graph_emit(g, op, param, "n", value, n_in, results, n_out)
        != 0)
    {
        infer_graph_close(g);
        return -1;
    }

    memset(&call, 0, sizeof(call));
    call.param = param;
    call.in = (const infer_tensor_t **) in;
    call.n_in = n_in;
    call.n_out = n_out;

    for (int i = 0; i < n_out; i++) {
        infer_value_tensor(results[i], 1, &out[i]);
        out[i] = tensor(out[i].dtype, out[i].rank, out[i].dim);
        other[i] = tensor(out[i].dtype, out[i].rank, out[i].dim);
        first[i] = &out[i];
        again[i] = &other[i];
    }

    for (int k = 0; infer_kernels_own((size_t) k / 2) != NULL; k++) {
        call.kernels = infer_kernels_own((size_t) k / 2);
        call.parallel = k % 2 ? &host : NULL;
        call.descending = k / 2 % 2;
        call.out = k == 0 ? first : again;
        run_call(g->node[g->n_nodes - 1], &call);

        for (int i = 0; i < n_out && k > 0; i++) {
            if (memcmp(out[i].data, other[i].data,
                       infer_numel(&out[i])
                       * infer_dtype_size(out[i].dtype)) != 0)
            {
                snprintf(err.text, sizeof(err.text), "run %d differs", k);
                result = -2;
            }
        }
    }

    for (int i = 0; i < n_out; i++) {
        free(other[i].data);
    }

    infer_graph_close(g);

    return result;
}


/* The fastest kernels of this CPU whose bits are those of all others. */
static inline const infer_kernels_t *
best_kernels(void)
{
    size_t  i = 1;

    while (infer_kernels_own(i) != NULL) {
        i++;
    }

    return infer_kernels_own(i - 1);
}


/* Whether the operator is refused, with this text in the reason. */
static inline int
refused(infer_op_id_t op, const infer_param_t *param, infer_tensor_t **in,
    int n_in, int n_out, unsigned is_constant, const char *text)
{
    int             result;
    infer_tensor_t  out[8];

    result = run_op(op, param, in, n_in, out, n_out, is_constant);

    for (int i = 0; i < n_out && result != -1; i++) {
        free(out[i].data);
    }

    if (result == -1 && strstr(err.text, text) != NULL) {
        return 1;
    }

    printf("# not refused for \"%s\": %s\n", text,
           result == -1 ? err.text : "accepted");

    return 0;
}


static inline int
close_to(long double a, long double b, double tolerance)
{
    if (a != a || b != b) {
        return a != a && b != b;
    }

    return a == b || fabsl(a - b) <= tolerance * (1 + fabsl(b));
}

#endif /* TEST_OPS_H */
