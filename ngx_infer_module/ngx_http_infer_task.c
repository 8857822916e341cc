
/*
 * A request from the end of its body to its answer.
 *
 * At most infer_queue requests of a location have a task, which a thread has
 * or is going to take (lane.c), as many more wait here in order; beyond that
 * they are refused.  A request that
 * waits or runs is an ordinary nginx request that waits for an event: it may
 * be terminated at any time, its cleanup handler then takes it out of the
 * queue or cuts the tie to its task.  Its timer also keeps a worker that is
 * shutting down alive until the answer is sent.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_watch_client(ngx_http_request_t *r);
static ngx_int_t ngx_http_infer_start(ngx_http_infer_ctx_t *ctx);
static void ngx_http_infer_start_waiting(ngx_http_infer_endpoint_t *ep);
static ngx_http_infer_task_t *ngx_http_infer_create_task(
    ngx_http_infer_ctx_t *ctx);
static void ngx_http_infer_free_task(ngx_http_infer_task_t *task);
static void ngx_http_infer_task_done(ngx_http_infer_task_t *task);
static void ngx_http_infer_timeout(ngx_event_t *ev);
static void ngx_http_infer_detach(ngx_http_infer_ctx_t *ctx);
static void ngx_http_infer_cleanup(void *data);
static void ngx_http_infer_finish(ngx_http_request_t *r, ngx_int_t rc);


/*
 * An internal redirect clears the contexts of all modules, but not the list of
 * cleanup handlers: there ours is found again.
 */

ngx_http_infer_ctx_t *
ngx_http_infer_get_ctx(ngx_http_request_t *r)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_infer_ctx_t       *ctx;
    ngx_http_infer_endpoint_t  *guard;
    ngx_http_infer_service_t   *service;
    ngx_http_infer_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    service = ilcf->services->elts;
    guard = ilcf->guard ? service->endpoint : NULL;

    for (cln = r->main->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_infer_cleanup) {
            ctx = cln->data;

            if (ctx->request == r && ctx->guard == guard) {
                return ctx;
            }
        }
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_infer_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_infer_cleanup;
    cln->data = ctx;

    ctx->request = r;
    ctx->guard = guard;
    (void) ngx_http_infer_find_route(r, &ctx->route, &ctx->service);

    ctx->arrived = ngx_http_infer_now();

    ctx->timer.handler = ngx_http_infer_timeout;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    return ctx;
}


ngx_int_t
ngx_http_infer_submit(ngx_http_request_t *r)
{
    ngx_http_infer_ctx_t       *ctx;
    ngx_http_infer_loc_conf_t  *conf;
    ngx_http_infer_endpoint_t  *ep;

    ctx = ngx_http_infer_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ep = ctx->service->endpoint;
    conf = ctx->service->conf;

    if (ep->ntasks >= conf->queue && ep->nwaiting >= conf->queue) {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_QUEUE_FULL,
                                         "too many requests in the queue");
    }

    ctx->admitted = ngx_http_infer_now();

    ngx_http_infer_count_load(ep, 1, 0);

    if (ep->ntasks < conf->queue) {

        if (ngx_http_infer_start(ctx) != NGX_OK) {
            ngx_http_infer_count_load(ep, -1, 0);
            return ngx_http_infer_send_error(r, NGX_HTTP_INFER_MEMORY,
                                             "out of memory");
        }

    } else {
        ngx_queue_insert_tail(&ep->waiting, &ctx->queue);
        ep->nwaiting++;
        ctx->waiting = 1;
    }

    ngx_add_timer(&ctx->timer, conf->timeout);

    r->write_event_handler = ngx_http_request_empty_handler;

    if (r == r->main && !conf->ignore_client_abort
        && ngx_http_infer_watch_client(r) != NGX_OK)
    {
        ngx_http_infer_detach(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_infer_watch_client(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    r->read_event_handler = ngx_http_test_reading;

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rev->ready) {
        /* the client may have closed the connection right after the body */
        ngx_post_event(rev, &ngx_posted_events);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_start(ngx_http_infer_ctx_t *ctx)
{
    ngx_http_infer_task_t  *task;

    task = ngx_http_infer_create_task(ctx);
    if (task == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_infer_enter_lane(task) != NGX_OK) {
        ngx_http_infer_free_task(task);
        return NGX_ERROR;
    }

    ctx->task = task;
    ctx->service->endpoint->ntasks++;

    return NGX_OK;
}


static void
ngx_http_infer_start_waiting(ngx_http_infer_endpoint_t *ep)
{
    ngx_int_t              rc;
    ngx_queue_t           *q;
    ngx_http_infer_ctx_t  *ctx;

    while (!ngx_queue_empty(&ep->waiting)) {

        q = ngx_queue_head(&ep->waiting);
        ctx = ngx_queue_data(q, ngx_http_infer_ctx_t, queue);

        if (ep->ntasks >= ctx->service->conf->queue) {
            return;
        }

        ngx_queue_remove(q);
        ep->nwaiting--;
        ctx->waiting = 0;

        if (ngx_http_infer_start(ctx) != NGX_OK) {
            ngx_http_infer_count_load(ep, -1, 0);
            ngx_http_infer_detach(ctx);

            rc = ngx_http_infer_send_error(ctx->request,
                                           NGX_HTTP_INFER_MEMORY,
                                           "out of memory");

            ngx_http_infer_finish(ctx->request, rc);
        }
    }
}


static ngx_http_infer_task_t *
ngx_http_infer_create_task(ngx_http_infer_ctx_t *ctx)
{
    size_t                  ntop;
    ngx_str_t               boundary;
    const char             *reason;
    ngx_http_request_t     *r;
    ngx_http_infer_task_t  *task;

    r = ctx->request;

    /* TorchServe tells five classes */

    ntop = ngx_max(ctx->service->conf->top_k, 5);

    task = ngx_calloc(sizeof(ngx_http_infer_task_t)
                      + ntop * sizeof(infer_class_t), r->connection->log);
    if (task == NULL) {
        return NULL;
    }

    task->service = ctx->service;
    task->route = ctx->route;
    task->ctx = ctx;
    task->fd = NGX_INVALID_FILE;
    task->maxtop = ntop;
    task->admitted = ctx->admitted;
    task->json_size = ngx_http_infer_json_size(r);
    task->json = ngx_http_infer_body_is_json(r);
    task->answer_json = -1;
    task->top = (infer_class_t *) (task + 1);

    if (ngx_http_infer_create_sample(r, task) != NGX_OK) {
        ngx_http_infer_free_task(task);
        return NULL;
    }

    /* it was valid before the body was read */

    if (ngx_http_infer_body_type(r, &boundary, &reason) == NGX_OK) {
        task->boundary_len = boundary.len;
        ngx_memcpy(task->boundary, boundary.data, boundary.len);
    }

    if (ngx_http_infer_body_take(r, task) != NGX_OK) {
        ngx_http_infer_free_task(task);
        return NULL;
    }

    if (task->service->conf->threads > 1) {
        task->crew = ngx_http_infer_create_crew(task->service->conf->pool,
                                                task->service->conf->threads,
                                                r->connection->log);
        if (task->crew == NULL) {
            ngx_http_infer_free_task(task);
            return NULL;
        }
    }

    return task;
}


static void
ngx_http_infer_free_task(ngx_http_infer_task_t *task)
{
    if (task->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(task->fd);
    }

    if (task->body) {
        ngx_free(task->body);
    }

    if (task->crew) {
        ngx_http_infer_free_crew(task->crew);
    }

    if (task->pool) {
        ngx_destroy_pool(task->pool);
    }

    ngx_http_infer_release_sample(task);

    ngx_free(task);
}


void
ngx_http_infer_tasks_done(ngx_queue_t *tasks)
{
    ngx_queue_t                *q;
    ngx_http_infer_task_t      *task;
    ngx_http_infer_endpoint_t  *ep;

    ep = NULL;

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_http_infer_task_t, queue);
        ep = task->service->endpoint;

        ep->ntasks--;
        ngx_http_infer_count_load(ep, 0, -1);
    }

    /* first, so that the threads go on while the answers are written */

    if (ep) {
        ngx_http_infer_start_waiting(ep);
    }

    while (!ngx_queue_empty(tasks)) {
        q = ngx_queue_head(tasks);
        ngx_queue_remove(q);

        task = ngx_queue_data(q, ngx_http_infer_task_t, queue);
        ngx_http_infer_task_done(task);
    }
}


/* the request may be gone */

static void
ngx_http_infer_task_done(ngx_http_infer_task_t *task)
{
    ngx_int_t              rc;
    ngx_http_request_t    *r;
    ngx_http_infer_ctx_t  *ctx;

    ctx = task->ctx;

    if (ctx == NULL) {
        ngx_http_infer_free_task(task);
        return;
    }

    r = ctx->request;

    ngx_http_set_log_request(r->connection->log, r);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "infer task: %ui \"%V\"", (ngx_uint_t) task->reason,
                   &r->uri);

    ngx_http_infer_detach(ctx);
    ngx_http_infer_count(ctx, task->reason);
    ngx_http_infer_count_task(ctx, task);

    /* to write the answer is to respond, also in the thread */

    ctx->answered = task->finished;

    rc = ngx_http_infer_set_result_variables(r, ctx, task);

    if (rc != NGX_OK || ngx_http_infer_sample_answer(r, task) != NGX_OK) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else if (task->reason == NGX_HTTP_INFER_OK) {
        rc = ngx_http_infer_send_result(r, task);

    } else {
        rc = ngx_http_infer_send_error(r, task->reason, task->err.text);
    }

    ngx_http_infer_free_task(task);

    ngx_http_infer_finish(r, rc);
}


static void
ngx_http_infer_timeout(ngx_event_t *ev)
{
    ngx_int_t              rc;
    ngx_http_request_t    *r;
    ngx_http_infer_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;

    ngx_http_set_log_request(r->connection->log, r);

    ngx_http_infer_detach(ctx);

    rc = ngx_http_infer_send_error(r, NGX_HTTP_INFER_TIMEOUT,
                                   "no answer within infer_timeout");

    ngx_http_infer_finish(r, rc);
}


/* the request waits for nothing any more; may be called again */

static void
ngx_http_infer_detach(ngx_http_infer_ctx_t *ctx)
{
    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->waiting) {
        ngx_queue_remove(&ctx->queue);
        ctx->service->endpoint->nwaiting--;
        ngx_http_infer_count_load(ctx->service->endpoint, -1, 0);
        ctx->waiting = 0;
    }

    if (ctx->task) {
        ctx->task->cancelled = 1;
        ctx->task->ctx = NULL;
        ctx->task = NULL;
    }
}


/* the request ends */

static void
ngx_http_infer_cleanup(void *data)
{
    ngx_http_infer_ctx_t *ctx = data;

    ngx_uint_t  status;

    ngx_http_infer_detach(ctx);

    if (ctx->answered == 0) {

        /* the location of a guard has no error page of ours: error_page.c */

        status = ctx->request->headers_out.status;

        ngx_http_infer_count(ctx, status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
                                  ? NGX_HTTP_INFER_BODY_SIZE
                                  : NGX_HTTP_INFER_CLIENT_GONE);

    } else if (ctx->guard == NULL) {
        ngx_http_infer_count_response(ctx);
    }
}


static void
ngx_http_infer_finish(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_infer_finalize(r, rc);

    ngx_http_run_posted_requests(c);
}


/* in a thread, any number of times */

void
ngx_http_infer_task_finish(ngx_http_infer_task_t *task)
{
    uint64_t  spent;

    if (task->finished) {
        return;
    }

    task->finished = ngx_http_infer_now();

    /* while others of its batch were read it waited, like before */

    spent = task->decoding + task->preprocessing + task->running;

    if (task->running && task->finished - task->started > spent) {
        task->started = task->finished - spent;
    }

    if (task->decoding) {
        task->decoded = task->started + task->decoding;
    }

    if (task->preprocessing) {
        task->preprocessed = task->decoded + task->preprocessing;
    }

    if (task->started_crew) {
        ngx_http_infer_end_crew(task->crew);
    }
}


void
ngx_http_infer_task_fail(ngx_http_infer_task_t *task,
    ngx_http_infer_reason_e reason, const char *why)
{
    task->reason = reason;

    ngx_cpystrn((u_char *) task->err.text, (u_char *) why,
                sizeof(task->err.text));
}


uint64_t
ngx_http_infer_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
