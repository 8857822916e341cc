
/*
 * Threads of the pool that have nothing to do help with the request that
 * another one computes: infer_threads.
 *
 * The thread that computes posts helpers, tasks of the pool like any other,
 * when no request waits for a thread.  It never waits for one that has not
 * come: a section of the engine is shared by whoever is there.  A helper
 * leaves between two pieces of work as soon as a request waits, after a time
 * without work, and at once where it comes too late; so a request that is
 * queued behind helpers is not held up by them.
 *
 * A section is open while its number is odd, whether there are helpers or
 * not: one that comes in the middle of it takes part.  A helper counts itself
 * in and looks at the number again before it touches the section; who computes
 * closes the section, by the next number, and waits until nobody is counted
 * in.
 */


#include "ngx_http_infer_module.h"


/* Helpers leave after so many nanoseconds without work. */
#define NGX_HTTP_INFER_PATIENCE   1000000

/* How often they look for work before they look at the clock. */
#define NGX_HTTP_INFER_SPINS      64


typedef struct {
    ngx_thread_task_t            thread;
    ngx_http_infer_crew_t       *crew;
    size_t                       slot;
} ngx_http_infer_helper_t;


struct ngx_http_infer_crew_s {
    infer_parallel_t             parallel;
    ngx_http_infer_pool_t       *pool;

    /* the event loop's tie, and the helpers that have not been completed */
    ngx_atomic_t                 refs;

    ngx_atomic_t                 ended;
    ngx_atomic_t                 section;     /* odd: open */
    ngx_atomic_t                 inside;      /* helpers counted in */

    /* of the section; constant while it is open */
    void                       (*task)(void *arg, size_t i, size_t slot);
    void                        *arg;
    ngx_atomic_t                 n;
    ngx_atomic_t                 next;

    ngx_http_infer_helper_t      helper[1];
};


static void ngx_http_infer_crew_run(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n);
static void ngx_http_infer_helper_handler(void *data, ngx_log_t *log);
static ngx_int_t ngx_http_infer_helper_work(ngx_http_infer_crew_t *crew,
    size_t slot);
static ngx_int_t ngx_http_infer_helper_wait(ngx_http_infer_crew_t *crew);
static void ngx_http_infer_helper_done(ngx_event_t *ev);
static ngx_atomic_uint_t ngx_http_infer_load(ngx_atomic_t *value);


ngx_http_infer_crew_t *
ngx_http_infer_create_crew(ngx_http_infer_pool_t *pool, size_t threads,
    ngx_log_t *log)
{
    size_t                    i;
    ngx_http_infer_crew_t    *crew;
    ngx_http_infer_helper_t  *helper;

    crew = ngx_calloc(offsetof(ngx_http_infer_crew_t, helper)
                      + (threads - 1) * sizeof(ngx_http_infer_helper_t), log);
    if (crew == NULL) {
        return NULL;
    }

    crew->parallel.run = ngx_http_infer_crew_run;
    crew->parallel.slots = threads;
    crew->parallel.host = crew;
    crew->pool = pool;
    crew->refs = 1;

    for (i = 0; i < threads - 1; i++) {
        helper = &crew->helper[i];

        helper->crew = crew;
        helper->slot = i + 1;
        helper->thread.ctx = helper;
        helper->thread.handler = ngx_http_infer_helper_handler;
        helper->thread.event.data = crew;
        helper->thread.event.handler = ngx_http_infer_helper_done;
    }

    return crew;
}


void
ngx_http_infer_free_crew(ngx_http_infer_crew_t *crew)
{
    if (ngx_atomic_fetch_add(&crew->refs, -1) == 1) {
        ngx_free(crew);
    }
}


const infer_parallel_t *
ngx_http_infer_start_crew(ngx_http_infer_crew_t *crew)
{
    size_t  i;

    if (ngx_http_infer_load(&crew->pool->waiting)) {
        return NULL;
    }

    for (i = 0; i < crew->parallel.slots - 1; i++) {

        (void) ngx_atomic_fetch_add(&crew->refs, 1);

        if (ngx_thread_task_post(crew->pool->thread_pool,
                                 &crew->helper[i].thread)
            != NGX_OK)
        {
            (void) ngx_atomic_fetch_add(&crew->refs, -1);
            break;
        }
    }

    return &crew->parallel;
}


void
ngx_http_infer_end_crew(ngx_http_infer_crew_t *crew)
{
    (void) ngx_atomic_fetch_add(&crew->ended, 1);
}


static void
ngx_http_infer_crew_run(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    size_t                  i;
    ngx_uint_t              spins;
    ngx_http_infer_crew_t  *crew;

    crew = parallel->host;

    if (n < 2) {

        for (i = 0; i < n; i++) {
            task(arg, i, 0);
        }

        return;
    }

    crew->task = task;
    crew->arg = arg;
    crew->n = n;
    crew->next = 0;

    (void) ngx_atomic_fetch_add(&crew->section, 1);

    while ((i = ngx_atomic_fetch_add(&crew->next, 1)) < n) {
        task(arg, i, 0);
    }

    (void) ngx_atomic_fetch_add(&crew->section, 1);

    for (spins = 0; ngx_http_infer_load(&crew->inside); spins++) {

        if (spins < 1024) {
            ngx_cpu_pause();

        } else {
            ngx_sched_yield();
        }
    }
}


static void
ngx_http_infer_helper_handler(void *data, ngx_log_t *log)
{
    ngx_http_infer_helper_t *helper = data;

    ngx_http_infer_crew_t  *crew;

    crew = helper->crew;

    /* too late: the pool may be gone with its configuration */

    if (ngx_http_infer_load(&crew->ended)) {
        return;
    }

    while (ngx_http_infer_helper_wait(crew) == NGX_OK
           && ngx_http_infer_helper_work(crew, helper->slot) == NGX_OK)
    {
        /* void */
    }
}


/* NGX_OK: a section is open; NGX_DONE: there is no reason to stay */

static ngx_int_t
ngx_http_infer_helper_wait(ngx_http_infer_crew_t *crew)
{
    uint64_t    start;
    ngx_uint_t  spins;

    start = ngx_http_infer_now();

    for (spins = 1; /* void */ ; spins++) {

        if (ngx_http_infer_load(&crew->ended)
            || ngx_http_infer_load(&crew->pool->waiting))
        {
            return NGX_DONE;
        }

        /* nothing is left of a section that is about to be closed */

        if (ngx_http_infer_load(&crew->section) % 2
            && ngx_http_infer_load(&crew->next) < crew->n)
        {
            return NGX_OK;
        }

        if (spins % NGX_HTTP_INFER_SPINS == 0
            && ngx_http_infer_now() - start > NGX_HTTP_INFER_PATIENCE)
        {
            return NGX_DONE;
        }

        ngx_cpu_pause();
    }
}


static ngx_int_t
ngx_http_infer_helper_work(ngx_http_infer_crew_t *crew, size_t slot)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_atomic_uint_t  section;

    rc = NGX_OK;
    section = ngx_http_infer_load(&crew->section);

    (void) ngx_atomic_fetch_add(&crew->inside, 1);

    if (section % 2 && ngx_http_infer_load(&crew->section) == section) {

        while ((i = ngx_atomic_fetch_add(&crew->next, 1)) < crew->n) {

            crew->task(crew->arg, i, slot);

            if (ngx_http_infer_load(&crew->pool->waiting)) {
                rc = NGX_DONE;
                break;
            }
        }
    }

    (void) ngx_atomic_fetch_add(&crew->inside, -1);

    return rc;
}


/* on the event loop */

static void
ngx_http_infer_helper_done(ngx_event_t *ev)
{
    ngx_http_infer_free_crew(ev->data);
}


/* not moved before or after any other access, on any CPU */

static ngx_atomic_uint_t
ngx_http_infer_load(ngx_atomic_t *value)
{
    ngx_atomic_uint_t  loaded;

    ngx_memory_barrier();

    loaded = *value;

    ngx_memory_barrier();

    return loaded;
}
