/*
 * The host's parallel loop, as operators use it: how many tasks to make of the
 * work, and which thread takes which.
 */

#include <stdatomic.h>

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
