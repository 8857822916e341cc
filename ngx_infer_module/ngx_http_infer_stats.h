
/*
 * What is counted of each model in shared memory: how requests ended, where
 * their time went, what waits and runs (stats.c).  See monitor.h for what is
 * kept of them besides.
 *
 * module.h includes this file, and all others that.
 */

#ifndef _NGX_HTTP_INFER_STATS_H_INCLUDED_
#define _NGX_HTTP_INFER_STATS_H_INCLUDED_


/* what is counted class by class: the last counts all from its own on */
#define NGX_HTTP_INFER_CLASSES  1024


/* how a request can end; ngx_http_infer_reasons[] has status and name */
typedef enum {
    NGX_HTTP_INFER_OK = 0,
    NGX_HTTP_INFER_MALFORMED,
    NGX_HTTP_INFER_UNKNOWN_MODEL,
    NGX_HTTP_INFER_METHOD,
    NGX_HTTP_INFER_LENGTH,
    NGX_HTTP_INFER_BODY_SIZE,
    NGX_HTTP_INFER_PIXELS,
    NGX_HTTP_INFER_FORMAT,
    NGX_HTTP_INFER_SHAPE,
    NGX_HTTP_INFER_CLIENT_GONE,
    NGX_HTTP_INFER_SCORES,
    NGX_HTTP_INFER_INTERNAL,
    NGX_HTTP_INFER_QUEUE_FULL,
    NGX_HTTP_INFER_MEMORY,
    NGX_HTTP_INFER_TIMEOUT,
    NGX_HTTP_INFER_REASONS
} ngx_http_infer_reason_e;


typedef struct {
    ngx_uint_t                   status;
    const char                  *name;        /* in metrics */
} ngx_http_infer_reason_t;


#include "ngx_http_infer_monitor.h"


/* where the time of a request goes */
typedef enum {
    NGX_HTTP_INFER_RECEIVE = 0,
    NGX_HTTP_INFER_QUEUE,
    NGX_HTTP_INFER_DECODE,
    NGX_HTTP_INFER_PREPROCESS,
    NGX_HTTP_INFER_INFER,
    NGX_HTTP_INFER_RESPOND,
    NGX_HTTP_INFER_PHASES
} ngx_http_infer_phase_e;


/* bucket i counts times up to 10 * 1.8^i microseconds, the last all others */
#define NGX_HTTP_INFER_BUCKETS  28

typedef struct {
    ngx_atomic_t                 bucket[NGX_HTTP_INFER_BUCKETS];
    ngx_atomic_t                 sum;         /* nanoseconds */
} ngx_http_infer_histogram_t;


/* in shared memory, how many requests a worker has, if it is alive */
typedef struct {
    ngx_atomic_t                 waiting;
    ngx_atomic_t                 running;
} ngx_http_infer_load_t;


/* workers that are counted at a time, those of a reload included */
#define NGX_HTTP_INFER_MAX_WORKERS  256

/* items that run at once, at most: infer_batch */
#define NGX_HTTP_INFER_MAX_RUN      256


/* in shared memory: runs with the same number of items */
typedef struct {
    ngx_atomic_t                 count;
    ngx_atomic_t                 input;       /* nanoseconds */
    ngx_atomic_t                 infer;
    ngx_atomic_t                 output;
} ngx_http_infer_runs_t;


/* in shared memory: what has happened to a model under its name */
typedef struct {
    ngx_atomic_t                 outcome[NGX_HTTP_INFER_REASONS];
    ngx_http_infer_histogram_t   phase[NGX_HTTP_INFER_PHASES];
    ngx_atomic_t                 inferences;  /* images or rows of a batch */
    ngx_atomic_t                 last;        /* Unix time, milliseconds */
    ngx_atomic_t                 busy;        /* nanoseconds of threads */
    ngx_http_infer_load_t        load[NGX_HTTP_INFER_MAX_WORKERS];
    ngx_http_infer_runs_t        runs[NGX_HTTP_INFER_MAX_RUN];

    ngx_atomic_t                 class[NGX_HTTP_INFER_CLASSES];

    ngx_http_infer_feedback_t    feedback;
    ngx_atomic_t                 captured[NGX_HTTP_INFER_CAPTURES];
} ngx_http_infer_stats_t;


extern const ngx_http_infer_reason_t  ngx_http_infer_reasons[];

/* Upper bounds of all buckets but the last, nanoseconds. */
extern uint64_t  ngx_http_infer_bounds[NGX_HTTP_INFER_BUCKETS - 1];

/* Configuration time: zones for what is counted.  Errors are logged. */
ngx_int_t ngx_http_infer_add_stats(ngx_conf_t *cf,
    ngx_http_infer_endpoint_t *ep);

/*
 * The size of a zone in which so many bytes can be had at once.  A zone is
 * committed page by page as it is written, so that slack is free.
 */
size_t ngx_http_infer_zone_size(size_t bound);

/*
 * A zone for so many bytes, and what its init handler may be or call: its data
 * are those of the last configuration, or new ones, all 0.
 */
ngx_shm_zone_t *ngx_http_infer_add_zone(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, ngx_shm_zone_init_pt init);
ngx_int_t ngx_http_infer_init_counters(ngx_shm_zone_t *zone, void *data,
    size_t size);

/* A worker begins and ends. */
ngx_int_t ngx_http_infer_claim_worker(ngx_cycle_t *cycle);
void ngx_http_infer_release_worker(ngx_cycle_t *cycle);

/* The request has got its answer; only the first one counts. */
void ngx_http_infer_count(ngx_http_infer_ctx_t *ctx,
    ngx_http_infer_reason_e reason);

/* The phases that a task has gone through. */
void ngx_http_infer_count_task(ngx_http_infer_ctx_t *ctx,
    ngx_http_infer_task_t *task);

/* The time from the answer to the end of the request. */
void ngx_http_infer_count_response(ngx_http_infer_ctx_t *ctx);

/* In any thread: a run of n items, and the nanoseconds it took. */
void ngx_http_infer_count_run(ngx_http_infer_endpoint_t *ep, size_t n,
    uint64_t input, uint64_t infer, uint64_t output);

/* In any thread: a batch kept it busy for so many nanoseconds. */
void ngx_http_infer_count_busy(ngx_http_infer_endpoint_t *ep, uint64_t ns);

/* In any thread: the numbers of requests change by so many. */
void ngx_http_infer_count_load(ngx_http_infer_endpoint_t *ep,
    ngx_int_t waiting, ngx_int_t running);

/* Runs with any number of items. */
uint64_t ngx_http_infer_get_runs(ngx_http_infer_stats_t *stats);

/* The sum over all workers that are alive. */
ngx_http_infer_load_t ngx_http_infer_get_load(
    ngx_http_infer_main_conf_t *imcf, ngx_http_infer_endpoint_t *ep);


#endif /* _NGX_HTTP_INFER_STATS_H_INCLUDED_ */
