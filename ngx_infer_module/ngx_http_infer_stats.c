
/*
 * What has happened to each model, counted in shared memory.
 *
 * A model's name and version have a zone of their own, whose name does not
 * depend on the model file: counters go on over a reload.  Workers add to them
 * with atomic operations, so that nothing is lost when a worker is killed.
 * How many requests wait and run now is kept for each worker, in a place that
 * it claims when it starts: those of a dead worker are not counted.
 */


#include "ngx_http_infer_module.h"


#ifndef NGX_HTTP_UNPROCESSABLE_ENTITY
#define NGX_HTTP_UNPROCESSABLE_ENTITY  422
#endif


typedef struct {
    ngx_atomic_t  pid[NGX_HTTP_INFER_MAX_WORKERS];
} ngx_http_infer_workers_t;


static ngx_int_t ngx_http_infer_init_stats(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_http_infer_init_workers(ngx_shm_zone_t *zone,
    void *data);
static ngx_uint_t ngx_http_infer_worker_alive(ngx_atomic_uint_t pid);
static void ngx_http_infer_observe(ngx_http_infer_stats_t *stats,
    ngx_http_infer_phase_e phase, uint64_t begin, uint64_t end);


const ngx_http_infer_reason_t  ngx_http_infer_reasons[] = {
    { NGX_HTTP_OK, "ok" },
    { NGX_HTTP_BAD_REQUEST, "malformed" },
    { NGX_HTTP_NOT_FOUND, "unknown_model" },
    { NGX_HTTP_NOT_ALLOWED, "method" },
    { NGX_HTTP_LENGTH_REQUIRED, "length_required" },
    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "body_too_large" },
    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "too_many_pixels" },
    { NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "unknown_format" },
    { NGX_HTTP_UNPROCESSABLE_ENTITY, "wrong_shape" },
    { NGX_HTTP_CLIENT_CLOSED_REQUEST, "client_gone" },
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "scores_not_finite" },
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "internal" },
    { NGX_HTTP_SERVICE_UNAVAILABLE, "queue_full" },
    { NGX_HTTP_SERVICE_UNAVAILABLE, "out_of_memory" },
    { NGX_HTTP_GATEWAY_TIME_OUT, "timeout" }
};


uint64_t  ngx_http_infer_bounds[NGX_HTTP_INFER_BUCKETS - 1];


/* of this worker; where all are taken its load is not counted */
static ngx_uint_t  ngx_http_infer_slot = NGX_HTTP_INFER_MAX_WORKERS;


ngx_int_t
ngx_http_infer_add_stats(ngx_conf_t *cf, ngx_http_infer_endpoint_t *ep)
{
    ngx_str_t                     name;
    ngx_uint_t                    i;
    ngx_http_infer_endpoint_t   **endpoint;
    ngx_http_infer_main_conf_t   *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    for (i = 0; i < NGX_HTTP_INFER_BUCKETS - 1; i++) {
        ngx_http_infer_bounds[i] = i ? ngx_http_infer_bounds[i - 1] * 9 / 5
                                     : 10000;
    }

    ngx_str_set(&name, "infer_workers");

    imcf->workers = ngx_http_infer_add_zone(cf, &name,
                                            sizeof(ngx_http_infer_workers_t),
                                            ngx_http_infer_init_workers);

    name.len = sizeof("infer_stats::") - 1 + ep->name.len + ep->version.len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    endpoint = ngx_array_push(&imcf->endpoints);

    if (imcf->workers == NULL || name.data == NULL || endpoint == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(name.data, "infer_stats:%V:%V", &ep->name,
                       &ep->version);

    ep->stats = ngx_http_infer_add_zone(cf, &name,
                                        sizeof(ngx_http_infer_stats_t),
                                        ngx_http_infer_init_stats);
    *endpoint = ep;

    return ep->stats ? NGX_OK : NGX_ERROR;
}


ngx_shm_zone_t *
ngx_http_infer_add_zone(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_shm_zone_init_pt init)
{
    ngx_shm_zone_t  *zone;

    zone = ngx_shared_memory_add(cf, name, ngx_http_infer_zone_size(size),
                                 &ngx_http_infer_module);

    if (zone) {
        zone->init = init;
    }

    return zone;
}


/* besides its pages a zone holds nginx's slab header and page table */

size_t
ngx_http_infer_zone_size(size_t bound)
{
    size_t  pages;

    pages = bound / ngx_pagesize + 8;

    return (pages + pages * sizeof(ngx_slab_page_t) / ngx_pagesize + 1)
           * ngx_pagesize;
}


static ngx_int_t
ngx_http_infer_init_stats(ngx_shm_zone_t *zone, void *data)
{
    return ngx_http_infer_init_counters(zone, data,
                                        sizeof(ngx_http_infer_stats_t));
}


static ngx_int_t
ngx_http_infer_init_workers(ngx_shm_zone_t *zone, void *data)
{
    return ngx_http_infer_init_counters(zone, data,
                                        sizeof(ngx_http_infer_workers_t));
}


ngx_int_t
ngx_http_infer_init_counters(ngx_shm_zone_t *zone, void *data, size_t size)
{
    if (data == NULL) {
        data = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr, size);
    }

    zone->data = data;

    return data ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_infer_claim_worker(ngx_cycle_t *cycle)
{
    ngx_uint_t                    i, n;
    ngx_atomic_uint_t             pid;
    ngx_http_infer_stats_t       *stats;
    ngx_http_infer_workers_t     *workers;
    ngx_http_infer_endpoint_t   **endpoint;
    ngx_http_infer_main_conf_t   *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_infer_module);

    if (imcf == NULL || imcf->workers == NULL
        || ngx_process == NGX_PROCESS_HELPER)
    {
        return NGX_OK;
    }

    workers = imcf->workers->data;

    for (i = 0; i < NGX_HTTP_INFER_MAX_WORKERS; i++) {
        pid = workers->pid[i];

        if (!ngx_http_infer_worker_alive(pid)
            && ngx_atomic_cmp_set(&workers->pid[i], pid, ngx_pid))
        {
            break;
        }
    }

    ngx_http_infer_slot = i;

    if (i == NGX_HTTP_INFER_MAX_WORKERS) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "infer: more than %d workers, the load of this one is "
                      "not counted", NGX_HTTP_INFER_MAX_WORKERS);
        return NGX_OK;
    }

    endpoint = imcf->endpoints.elts;

    for (n = 0; n < imcf->endpoints.nelts; n++) {
        stats = endpoint[n]->stats->data;
        ngx_memzero(&stats->load[i], sizeof(ngx_http_infer_load_t));
    }

    return NGX_OK;
}


void
ngx_http_infer_release_worker(ngx_cycle_t *cycle)
{
    ngx_http_infer_workers_t    *workers;
    ngx_http_infer_main_conf_t  *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_infer_module);

    if (ngx_http_infer_slot < NGX_HTTP_INFER_MAX_WORKERS) {
        workers = imcf->workers->data;
        (void) ngx_atomic_cmp_set(&workers->pid[ngx_http_infer_slot], ngx_pid,
                                  0);
    }
}


static ngx_uint_t
ngx_http_infer_worker_alive(ngx_atomic_uint_t pid)
{
    return pid && (kill((pid_t) pid, 0) == 0 || ngx_errno != ESRCH);
}


void
ngx_http_infer_count(ngx_http_infer_ctx_t *ctx,
    ngx_http_infer_reason_e reason)
{
    ngx_time_t              *tp;
    ngx_http_infer_stats_t  *stats;

    if (ctx->answered) {
        return;
    }

    ctx->answered = ngx_http_infer_now();

    stats = ctx->service->endpoint->stats->data;

    (void) ngx_atomic_fetch_add(&stats->outcome[reason], 1);

    if (reason == NGX_HTTP_INFER_OK) {
        tp = ngx_timeofday();
        stats->last = (uint64_t) tp->sec * 1000 + tp->msec;
    }
}


void
ngx_http_infer_count_task(ngx_http_infer_ctx_t *ctx,
    ngx_http_infer_task_t *task)
{
    size_t                   id;
    ngx_http_infer_stats_t  *stats;

    stats = task->service->endpoint->stats->data;

    ngx_http_infer_observe(stats, NGX_HTTP_INFER_RECEIVE, ctx->arrived,
                           ctx->admitted);
    ngx_http_infer_observe(stats, NGX_HTTP_INFER_QUEUE, ctx->admitted,
                           task->started);
    ngx_http_infer_observe(stats, NGX_HTTP_INFER_DECODE, task->started,
                           task->decoded);
    ngx_http_infer_observe(stats, NGX_HTTP_INFER_PREPROCESS, task->decoded,
                           task->preprocessed);
    ngx_http_infer_observe(stats, NGX_HTTP_INFER_INFER, task->preprocessed,
                           task->finished);

    if (task->reason != NGX_HTTP_INFER_OK) {
        return;
    }

    (void) ngx_atomic_fetch_add(&stats->inferences, task->batch);

    if (task->ntop) {
        id = ngx_min(task->top[0].class_id, NGX_HTTP_INFER_CLASSES - 1);
        (void) ngx_atomic_fetch_add(&stats->class[id], 1);
    }
}


void
ngx_http_infer_count_response(ngx_http_infer_ctx_t *ctx)
{
    ngx_http_infer_observe(ctx->service->endpoint->stats->data,
                           NGX_HTTP_INFER_RESPOND, ctx->answered,
                           ngx_http_infer_now());
}


/* a phase that was not begun, or not ended, is none */

static void
ngx_http_infer_observe(ngx_http_infer_stats_t *stats,
    ngx_http_infer_phase_e phase, uint64_t begin, uint64_t end)
{
    uint64_t                     ns;
    ngx_uint_t                   i;
    ngx_http_infer_histogram_t  *h;

    if (begin == 0 || end == 0) {
        return;
    }

    h = &stats->phase[phase];
    ns = end - begin;

    for (i = 0; i < NGX_HTTP_INFER_BUCKETS - 1; i++) {
        if (ns <= ngx_http_infer_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&h->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&h->sum, ns);
}


void
ngx_http_infer_count_run(ngx_http_infer_endpoint_t *ep, size_t n,
    uint64_t input, uint64_t infer, uint64_t output)
{
    ngx_http_infer_runs_t   *runs;
    ngx_http_infer_stats_t  *stats;

    stats = ep->stats->data;
    runs = &stats->runs[n - 1];

    (void) ngx_atomic_fetch_add(&runs->count, 1);
    (void) ngx_atomic_fetch_add(&runs->input, input);
    (void) ngx_atomic_fetch_add(&runs->infer, infer);
    (void) ngx_atomic_fetch_add(&runs->output, output);
}


void
ngx_http_infer_count_busy(ngx_http_infer_endpoint_t *ep, uint64_t ns)
{
    ngx_http_infer_stats_t  *stats;

    stats = ep->stats->data;

    (void) ngx_atomic_fetch_add(&stats->busy, ns);
}


void
ngx_http_infer_count_load(ngx_http_infer_endpoint_t *ep, ngx_int_t waiting,
    ngx_int_t running)
{
    ngx_http_infer_load_t   *load;
    ngx_http_infer_stats_t  *stats;

    if (ngx_http_infer_slot == NGX_HTTP_INFER_MAX_WORKERS) {
        return;
    }

    stats = ep->stats->data;
    load = &stats->load[ngx_http_infer_slot];

    (void) ngx_atomic_fetch_add(&load->waiting, waiting);
    (void) ngx_atomic_fetch_add(&load->running, running);
}


uint64_t
ngx_http_infer_get_runs(ngx_http_infer_stats_t *stats)
{
    uint64_t    count;
    ngx_uint_t  i;

    for (count = 0, i = 0; i < NGX_HTTP_INFER_MAX_RUN; i++) {
        count += stats->runs[i].count;
    }

    return count;
}


ngx_http_infer_load_t
ngx_http_infer_get_load(ngx_http_infer_main_conf_t *imcf,
    ngx_http_infer_endpoint_t *ep)
{
    ngx_uint_t                 i;
    ngx_http_infer_load_t      sum;
    ngx_http_infer_stats_t    *stats;
    ngx_http_infer_workers_t  *workers;

    ngx_memzero(&sum, sizeof(ngx_http_infer_load_t));

    stats = ep->stats->data;
    workers = imcf->workers->data;

    for (i = 0; i < NGX_HTTP_INFER_MAX_WORKERS; i++) {

        if ((stats->load[i].waiting || stats->load[i].running)
            && ngx_http_infer_worker_alive(workers->pid[i]))
        {
            sum.waiting += stats->load[i].waiting;
            sum.running += stats->load[i].running;
        }
    }

    return sum;
}
