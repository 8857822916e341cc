/*
 * For tests of operators with weights: a product's operands, a host with two
 * threads, and running it with any kernels.
 */

#ifndef T_PRODUCT_H
#define T_PRODUCT_H

#include <pthread.h>
#include <stdatomic.h>

#include "ops.h"


/* the gate of conv and the scale of qfc's x have the same place */
enum { X, WEIGHTS, BIAS, SCALE, RESIDUAL, X_SCALE, X_ZERO, OPERANDS,
       GATE = X_SCALE };

typedef struct {
    infer_op_id_t    op;
    infer_param_t    param;
    infer_tensor_t   tensor[OPERANDS];      /* no data: left out */
} product_t;


static const infer_tensor_t *
operand(const product_t *p, int i)
{
    return p->tensor[i].data != NULL ? &p->tensor[i] : NULL;
}


/* ---- a host with threads ---------------------------------------------- */

typedef struct {
    void         (*task)(void *arg, size_t i, size_t slot);
    void          *arg;
    size_t         n;
    atomic_size_t  next;
    atomic_size_t  slots;
} work_t;


static void *
work(void *arg)
{
    size_t   i, slot;
    work_t  *w = arg;

    slot = atomic_fetch_add(&w->slots, 1);

    while ((i = atomic_fetch_add(&w->next, 1)) < w->n) {
        w->task(w->arg, i, slot);
    }

    return NULL;
}


static void
run_threads(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    work_t     w = { .task = task, .arg = arg, .n = n };
    pthread_t  thread;

    (void) parallel;

    pthread_create(&thread, NULL, work, &w);
    work(&w);
    pthread_join(thread, NULL);
}


static const infer_parallel_t  threads = { run_threads, 2, NULL };


/* ---- running an operator with weights --------------------------------- */

/* NaN, where it is floats. */
static inline void
fill_ones(infer_tensor_t *t)
{
    memset(t->data, 0xff, infer_numel(t) * infer_dtype_size(t->dtype));
}


/* Packs and runs a node of one result.  The caller frees out->data. */
static inline void
run_node(const infer_node_t *node, const infer_tensor_t **in,
    const infer_kernels_t *kernels, const infer_parallel_t *parallel,
    infer_tensor_t *out)
{
    void             *packed;
    size_t            size = node->op->pack_size(node);
    infer_call_t      call = { .n_in = node->n_in, .n_out = 1 };
    static unsigned   runs;

    packed = aligned_alloc(64, (size + 63) / 64 * 64);
    memset(packed, 0xff, size);
    node->op->pack(node, packed);

    infer_value_tensor(node->out[0], 1, out);
    *out = tensor(out->dtype, out->rank, out->dim);
    fill_ones(out);

    call.param = &node->param;
    call.in = in;
    call.out = &out;
    call.packed = packed;
    call.kernels = kernels;
    call.parallel = parallel;
    call.descending = (int) (runs++ % 2);
    call.scratch_size = (node->op->scratch(&call) + 63) / 64 * 64;
    call.scratch = aligned_alloc(64, 2 * call.scratch_size + 64);
    memset(call.scratch, 0xff, 2 * call.scratch_size);

    node->op->run(&call);

    free(call.scratch);
    free(packed);
}


/*
 * Emits, packs and runs; 0, or -1 where the shape rule refuses (see err).
 * The weights are misaligned, as in a file.  The caller frees out->data.
 */
static inline int
run_product(const product_t *p, const infer_kernels_t *kernels,
    const infer_parallel_t *parallel, infer_tensor_t *out)
{
    void                 *copy[OPERANDS] = { NULL };
    size_t                size;
    infer_dim_t           dim[INFER_MAX_RANK];
    int                   n_in;
    infer_graph_t        *g = infer_graph_create("test", &err);
    infer_value_t        *value[OPERANDS] = { NULL }, *result;
    const infer_tensor_t *in[OPERANDS] = { operand(p, X), NULL, NULL, NULL,
                                           operand(p, RESIDUAL),
                                           operand(p, X_SCALE),
                                           operand(p, X_ZERO) };
    const infer_tensor_t *t;

    n_in = p->op == INFER_OP_QFC ? OPERANDS
           : p->op == INFER_OP_CONV ? GATE + 1 : RESIDUAL + 1;

    for (int i = 0; i < OPERANDS; i++) {
        t = operand(p, i);

        if (t == NULL) {
            continue;
        }

        for (int d = 0; d < t->rank; d++) {
            dim[d] = infer_dim(t->dim[d]);
        }

        if (i >= WEIGHTS && i <= SCALE) {
            size = infer_numel(t) * infer_dtype_size(t->dtype);
            copy[i] = malloc(size + 1);
            memcpy((char *) copy[i] + 1, t->data, size);
            value[i] = infer_graph_constant(g, "w", t->dtype, t->rank, t->dim,
                                            (char *) copy[i] + 1);
        } else {
            value[i] = infer_graph_value(g, "x", t->dtype, t->rank, dim);
        }
    }

    result = infer_graph_emit1(g, p->op, &p->param, "n", value, n_in);

    if (result != NULL) {
        run_node(g->node[0], in, kernels, parallel, out);
    }

    for (int i = 0; i < OPERANDS; i++) {
        free(copy[i]);
    }

    infer_graph_close(g);

    return result != NULL ? 0 : -1;
}


static inline void
free_product(product_t *p)
{
    for (int i = 0; i < OPERANDS; i++) {
        free(p->tensor[i].data);
    }
}


static inline void
set_operand(product_t *p, int i, int rank, const int64_t *dim)
{
    p->tensor[i] = random_tensor(INFER_F32, rank, dim);
}


static inline int
same_data(const infer_tensor_t *a, const infer_tensor_t *b)
{
    return infer_numel(a) == infer_numel(b)
           && memcmp(a->data, b->data,
                     infer_numel(a) * infer_dtype_size(a->dtype)) == 0;
}


/* The bits with other kernels and with two threads are those of out. */
static inline int
same_everywhere(const product_t *p, const infer_tensor_t *out)
{
    int                     pass = 1;
    infer_tensor_t          other;
    const infer_kernels_t  *kernels;

    for (int i = 0; (kernels = infer_kernels_own((size_t) i / 2)) != NULL;
         i++)
    {
        run_product(p, kernels, i % 2 ? &threads : NULL, &other);
        pass = pass && same_data(out, &other);
        free(other.data);
    }

    return pass;
}

#endif /* T_PRODUCT_H */
