/*
 * Small things that every operator needs: dtypes, broadcasting, the checks
 * that open a shape rule, and the host's parallel loop.
 */

#include <stdatomic.h>
#include <string.h>

#include "ops/common.h"


/* Threads beyond so many share with others. */
#define SHARES      64

/* What one thread writes is apart from what others do. */
#define CACHE_LINE  64


/* Tasks next .. end - 1, or, descending, first + end - 1 - these. */
typedef struct {
    atomic_size_t  next;
    size_t         first;
    size_t         end;
    char           apart[CACHE_LINE];
} share_t;

typedef struct {
    void         (*task)(void *arg, size_t i, size_t slot);
    void          *arg;
    int            descending;
    size_t         shares;
    share_t        share[SHARES];
} shared_t;


static void any_task(void *arg, size_t i, size_t slot);


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


/*
 * Each thread has a share of neighbouring tasks, and takes others' when that
 * is done.  Operators number their tasks in the order of rows, so what a
 * thread reads is mostly what it has written in the operator before, and lies
 * in its own cache: the last of it, of a large tensor, so that every other
 * operator begins there.
 */
void
infer_parallel_for(const infer_call_t *call,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    shared_t  s;

    if (call->parallel == NULL || n < 2) {
        for (size_t i = 0; i < n; i++) {
            task(arg, call->descending ? n - 1 - i : i, 0);
        }
        return;
    }

    s.task = task;
    s.arg = arg;
    s.descending = call->descending;
    s.shares = call->parallel->slots;
    s.shares = s.shares < SHARES ? s.shares : SHARES;

    for (size_t i = 0; i < s.shares; i++) {
        s.share[i].first = infer_task_first(n, s.shares, i);
        atomic_init(&s.share[i].next, s.share[i].first);
        s.share[i].end = infer_task_first(n, s.shares, i + 1);
    }

    call->parallel->run(call->parallel, any_task, &s, n);
}


size_t
infer_tasks(const infer_call_t *call, size_t n, size_t grain)
{
    size_t  slots, tasks;

    slots = call->parallel != NULL ? call->parallel->slots : 1;
    tasks = (n + grain - 1) / grain;

    if (tasks > 1) {
        tasks = (tasks + slots - 1) / slots * slots;
    }

    return tasks < n ? tasks : n;
}


/* Is called as often as there are tasks, so that there is one for each call. */
static void
any_task(void *arg, size_t i, size_t slot)
{
    size_t     next;
    share_t   *share;
    shared_t  *s = arg;

    (void) i;

    for (size_t k = 0; k < s->shares; k++) {
        share = &s->share[(slot + k) % s->shares];

        if (atomic_load_explicit(&share->next, memory_order_relaxed)
            >= share->end)
        {
            continue;
        }

        next = atomic_fetch_add_explicit(&share->next, 1,
                                         memory_order_relaxed);

        if (next < share->end) {
            s->task(s->arg, s->descending ? share->first + share->end - 1
                                            - next : next, slot);
            return;
        }
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
