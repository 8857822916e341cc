/*
 * The thread pool.  Work is shared by an atomic counter: whoever is free takes
 * the next task.
 *
 * A run is open while its number is odd.  A worker counts itself in and looks
 * at the number again before it touches the run; the caller takes tasks until
 * there are none, closes the run by the next number, and waits until nobody
 * is counted in.  So it never waits for a worker that has not started, and a
 * worker that comes too late touches nothing.
 *
 * The operators of a network follow each other within microseconds, less than
 * it takes to wake a thread: who waits watches for some time before it goes to
 * sleep, provided that there is a processor for each thread.  To sleep, a
 * thread says so and then looks again; the other side changes what is looked
 * at and then asks who sleeps.  All atomics are sequentially consistent, so
 * one of them sees the other.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/threads.h"


/* Nanoseconds that a thread watches, and looks between those at the clock. */
#define PATIENCE    200000
#define LOOKS       64

/* What threads write is apart from what they watch. */
#define CACHE_LINE  64


typedef void (*task_t)(void *arg, size_t i, size_t slot);

typedef struct {
    cli_threads_t  *pool;
    pthread_t       id;
    size_t          slot;
} worker_t;

typedef int (*condition_t)(cli_threads_t *pool, size_t seen);

struct cli_threads_s {
    infer_parallel_t  parallel;
    worker_t         *worker;
    size_t            n_workers;
    int               watch;      /* before sleeping */

    pthread_mutex_t   lock;       /* to sleep and to wake */
    pthread_cond_t    wake;       /* a run has opened, or the end has come */
    pthread_cond_t    idle;       /* nobody is inside */
    atomic_size_t     sleepers;   /* workers */
    atomic_int        waiting;    /* the caller sleeps */

    /* of the run; constant while it is open */
    task_t            task;
    void             *arg;
    size_t            n;

    char              apart1[CACHE_LINE];
    atomic_size_t     run;        /* odd: open */
    atomic_int        ending;

    char              apart2[CACHE_LINE];
    atomic_size_t     inside;     /* workers counted in */
    atomic_size_t     next;
};


static void
pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}


/* Whether the condition has come true within the time to watch. */
static int
watch(cli_threads_t *pool, condition_t condition, size_t seen)
{
    int       i;
    uint64_t  start;

    if (!pool->watch) {
        return condition(pool, seen);
    }

    start = cli_now();

    do {
        for (i = 0; i < LOOKS; i++) {
            if (condition(pool, seen)) {
                return 1;
            }

            pause_briefly();
        }

        /* whoever is waited for may have to share this processor */
        sched_yield();
    } while (cli_now() - start < PATIENCE);

    return 0;
}


static int
called(cli_threads_t *pool, size_t seen)
{
    size_t  run = atomic_load(&pool->run);

    return (run % 2 == 1 && run != seen) || atomic_load(&pool->ending);
}


static int
nobody_inside(cli_threads_t *pool, size_t seen)
{
    (void) seen;

    return atomic_load(&pool->inside) == 0;
}


static void
take_tasks(cli_threads_t *pool, size_t slot)
{
    size_t  i;

    while ((i = atomic_fetch_add(&pool->next, 1)) < pool->n) {
        pool->task(pool->arg, i, slot);
    }
}


static void
sleep_until_called(cli_threads_t *pool, size_t seen)
{
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);

    while (!called(pool, seen)) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }

    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}


static void *
work(void *arg)
{
    size_t          run = 0;
    worker_t       *worker = arg;
    cli_threads_t  *pool = worker->pool;

    for ( ;; ) {
        if (!watch(pool, called, run)) {
            sleep_until_called(pool, run);
        }

        if (atomic_load(&pool->ending)) {
            return NULL;
        }

        run = atomic_load(&pool->run);
        atomic_fetch_add(&pool->inside, 1);

        if (run % 2 == 1 && atomic_load(&pool->run) == run) {
            take_tasks(pool, worker->slot);
        }

        if (atomic_fetch_sub(&pool->inside, 1) == 1
            && atomic_load(&pool->waiting))
        {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->idle);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}


static void
wait_until_idle(cli_threads_t *pool)
{
    if (watch(pool, nobody_inside, 0)) {
        return;
    }

    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, 1);

    while (!nobody_inside(pool, 0)) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }

    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock);
}


static void
wake(cli_threads_t *pool)
{
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}


static void
run(const infer_parallel_t *parallel, task_t task, void *arg, size_t n)
{
    size_t          i;
    cli_threads_t  *pool = parallel->host;

    if (n < 2 || pool->n_workers == 0) {
        for (i = 0; i < n; i++) {
            task(arg, i, 0);
        }
        return;
    }

    pool->task = task;
    pool->arg = arg;
    pool->n = n;
    atomic_store(&pool->next, 0);

    atomic_fetch_add(&pool->run, 1);
    wake(pool);

    take_tasks(pool, 0);

    atomic_fetch_add(&pool->run, 1);
    wait_until_idle(pool);
}


static size_t
processors(void)
{
    cpu_set_t  set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }

    return (size_t) CPU_COUNT(&set);
}


cli_threads_t *
cli_threads_create(size_t n, infer_error_t *err)
{
    int             rc;
    size_t          i;
    worker_t       *worker;
    cli_threads_t  *pool;

    n = n ? n : processors();

    pool = cli_alloc(1, sizeof(cli_threads_t));
    pool->worker = cli_alloc(n - 1, sizeof(worker_t));
    pool->parallel.run = run;
    pool->parallel.slots = n;
    pool->parallel.host = pool;
    pool->watch = n <= processors();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);

    for (i = 0; i < n - 1; i++) {
        worker = &pool->worker[i];
        worker->pool = pool;
        worker->slot = i + 1;

        rc = pthread_create(&worker->id, NULL, work, worker);
        if (rc != 0) {
            cli_fail(err, "thread %zu of %zu: %s", i + 2, n, strerror(rc));
            cli_threads_free(pool);
            return NULL;
        }

        pool->n_workers++;
    }

    return pool;
}


void
cli_threads_free(cli_threads_t *pool)
{
    size_t  i;

    if (pool == NULL) {
        return;
    }

    atomic_store(&pool->ending, 1);
    wake(pool);

    for (i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->worker[i].id, NULL);
    }

    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}


const infer_parallel_t *
cli_threads_parallel(const cli_threads_t *pool)
{
    return &pool->parallel;
}
