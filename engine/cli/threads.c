/*
 * The thread pool.  Work is shared by an atomic counter: whoever is free takes
 * the next task.  Between runs the workers sleep on a condition variable.
 *
 * The caller never waits for a worker that has not started: it takes tasks
 * until there are none, closes the run, and waits only for workers that are
 * in the middle of one.  A worker that wakes too late finds the run closed
 * and goes back to sleep.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/threads.h"


typedef void (*task_t)(void *arg, size_t i, size_t slot);

typedef struct {
    cli_threads_t  *pool;
    pthread_t       id;
    size_t          slot;
} worker_t;

struct cli_threads_s {
    infer_parallel_t  parallel;
    worker_t         *worker;
    size_t            n_workers;

    pthread_mutex_t   lock;
    pthread_cond_t    wake;       /* a run has opened, or the end has come */
    pthread_cond_t    idle;       /* active is 0 */

    /* under the lock */
    uint64_t          run;        /* number of the last run opened */
    int               open;
    int               ending;
    size_t            active;     /* workers inside the run */

    /* of the run; constant while it is open */
    task_t            task;
    void             *arg;
    size_t            n;
    atomic_size_t     next;
};


static void
take_tasks(cli_threads_t *pool, size_t slot)
{
    size_t  i;

    while ((i = atomic_fetch_add(&pool->next, 1)) < pool->n) {
        pool->task(pool->arg, i, slot);
    }
}


static void *
work(void *arg)
{
    uint64_t        seen = 0;
    worker_t       *worker = arg;
    cli_threads_t  *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);

    for ( ;; ) {
        while (!pool->ending && (!pool->open || pool->run == seen)) {
            pthread_cond_wait(&pool->wake, &pool->lock);
        }

        if (pool->ending) {
            break;
        }

        seen = pool->run;
        pool->active++;
        pthread_mutex_unlock(&pool->lock);

        take_tasks(pool, worker->slot);

        pthread_mutex_lock(&pool->lock);

        if (--pool->active == 0) {
            pthread_cond_signal(&pool->idle);
        }
    }

    pthread_mutex_unlock(&pool->lock);

    return NULL;
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

    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->arg = arg;
    pool->n = n;
    atomic_store(&pool->next, 0);
    pool->run++;
    pool->open = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

    take_tasks(pool, 0);

    pthread_mutex_lock(&pool->lock);
    pool->open = 0;
    while (pool->active > 0) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
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

    pthread_mutex_lock(&pool->lock);
    pool->ending = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

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
