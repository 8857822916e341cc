
/*
 * Who is next: tasks wait in the lane of their service until a thread of its
 * pool is free.
 *
 * nginx's thread pool is a queue of all models' tasks in the order they came,
 * so a model with many slow requests would hold up those of all others.
 * Therefore nothing but tickets is posted to it.  A thread that gets one looks
 * for the lane that has had the least of the threads' time, as start-time fair
 * queuing does: each lane has a clock that goes on by the time its batches
 * take; one that was empty begins at the clock of the pool, that of the last
 * lane chosen, so that nobody saves up time.  What was before the pool last
 * had nothing to do is forgotten.  What a batch will take is first guessed
 * from those before it, and corrected when it has run.
 *
 * A lane has a ticket for each batch of its tasks: posted when there are
 * enough for another one, or when the first of them has waited for the delay
 * of infer_batch.  As long as no thread has begun with a batch, tasks may
 * join it.  A lane never has more tickets than it takes for its tasks, and
 * the pool as many as all its lanes: each finds something to do.
 */


#include "ngx_http_infer_module.h"


typedef struct {
    ngx_thread_task_t            thread;
    ngx_http_infer_pool_t       *pool;
    ngx_queue_t                  tasks;       /* ngx_http_infer_task_t */
    uint64_t                     charged;     /* to the lane's clock */
} ngx_http_infer_ticket_t;


static void ngx_http_infer_pool_cleanup(void *data);
static ngx_int_t ngx_http_infer_post_ticket(ngx_http_infer_lane_t *lane);
static void ngx_http_infer_lane_timeout(ngx_event_t *ev);
static void ngx_http_infer_ticket_done(ngx_event_t *ev);
static void ngx_http_infer_ticket_handler(void *data, ngx_log_t *log);
static ngx_http_infer_lane_t *ngx_http_infer_take(
    ngx_http_infer_ticket_t *ticket);
static ngx_http_infer_lane_t *ngx_http_infer_next_lane(
    ngx_http_infer_pool_t *pool);
static void ngx_http_infer_settle(ngx_http_infer_lane_t *lane,
    uint64_t charged, uint64_t took);


/* off | size=N [delay=TIME] */

char *
ngx_http_infer_batch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_int_t   size;
    ngx_str_t  *value, delay;

    if (ilcf->batch_size != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ilcf->batch_size = 1;
    ilcf->batch_delay = 0;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    size = ngx_strncmp(value[1].data, "size=", 5) == 0
           ? ngx_atoi(value[1].data + 5, value[1].len - 5) : NGX_ERROR;

    if (size < 2 || size > NGX_HTTP_INFER_MAX_RUN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "infer_batch: \"%V\" is neither \"off\" nor "
                           "\"size=\" with a number from 2 to %d",
                           &value[1], NGX_HTTP_INFER_MAX_RUN);
        return NGX_CONF_ERROR;
    }

    ilcf->batch_size = size;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    delay.data = value[2].data + 6;
    delay.len = value[2].len - 6;

    if (ngx_strncmp(value[2].data, "delay=", 6) == 0 && delay.len) {
        ilcf->batch_delay = ngx_parse_time(&delay, 0);

        if (ilcf->batch_delay != (ngx_msec_t) NGX_ERROR) {
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "infer_batch: \"%V\" is not \"delay=\" with a time",
                       &value[2]);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_infer_check_batch_size(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf)
{
    if (conf->batch_size > conf->max_batch) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "infer_batch: size=%ui is more than the %ui of "
                           "infer_max_batch", conf->batch_size,
                           conf->max_batch);
        return NGX_ERROR;
    }

    if (conf->batch_size > conf->queue) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "infer_batch: size=%ui is more than the %ui "
                           "requests that infer_queue lets run",
                           conf->batch_size, conf->queue);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_infer_pool_t *
ngx_http_infer_add_pool(ngx_conf_t *cf, ngx_thread_pool_t *tp)
{
    ngx_uint_t                   i;
    ngx_pool_cleanup_t          *cln;
    ngx_http_infer_pool_t       *pool, **pools;
    ngx_http_infer_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);
    pools = imcf->pools.elts;

    for (i = 0; i < imcf->pools.nelts; i++) {
        if (pools[i]->thread_pool == tp) {
            return pools[i];
        }
    }

    pools = ngx_array_push(&imcf->pools);
    pool = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_pool_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (pools == NULL || pool == NULL || cln == NULL
        || ngx_thread_mutex_create(&pool->mutex, cf->log) != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_infer_pool_cleanup;
    cln->data = pool;

    ngx_queue_init(&pool->lanes);

    pool->thread_pool = tp;
    *pools = pool;

    return pool;
}


static void
ngx_http_infer_pool_cleanup(void *data)
{
    ngx_http_infer_pool_t *pool = data;

    (void) ngx_thread_mutex_destroy(&pool->mutex, ngx_cycle->log);
}


void
ngx_http_infer_init_lane(ngx_conf_t *cf, ngx_http_infer_service_t *service)
{
    ngx_http_infer_lane_t   *lane;
    ngx_http_infer_model_t  *model;

    lane = &service->lane;

    lane->pool = service->conf->pool;
    lane->endpoint = service->endpoint;
    lane->size = service->conf->batch_size;
    lane->delay = service->conf->batch_delay;

    ngx_queue_init(&lane->tasks);

    lane->timer.handler = ngx_http_infer_lane_timeout;
    lane->timer.data = lane;
    lane->timer.log = &cf->cycle->new_log;

    model = service->endpoint->model;
    model->batch = ngx_max(model->batch, lane->size);
}


ngx_int_t
ngx_http_infer_enter_lane(ngx_http_infer_task_t *task)
{
    uint64_t                waited;
    ngx_int_t               rc;
    ngx_log_t              *log;
    ngx_http_infer_lane_t  *lane;

    rc = NGX_OK;
    log = ngx_cycle->log;
    lane = &task->service->lane;
    waited = (ngx_http_infer_now() - task->admitted) / 1000000;

    (void) ngx_thread_mutex_lock(&lane->pool->mutex, log);

    ngx_queue_insert_tail(&lane->tasks, &task->queue);
    lane->ntasks++;

    if (lane->ntasks <= lane->tickets * lane->size) {
        goto done;
    }

    if (lane->ntasks < (lane->tickets + 1) * lane->size
        && waited < lane->delay)
    {
        if (!lane->timer.timer_set) {
            ngx_add_timer(&lane->timer, lane->delay - (ngx_msec_t) waited);
        }

        goto done;
    }

    rc = ngx_http_infer_post_ticket(lane);

    if (rc != NGX_OK) {
        ngx_queue_remove(&task->queue);
        lane->ntasks--;

    } else if (lane->timer.timer_set) {
        ngx_del_timer(&lane->timer);
    }

done:

    (void) ngx_thread_mutex_unlock(&lane->pool->mutex, log);

    return rc;
}


/* the mutex is held: the thread that gets the ticket waits for it */

static ngx_int_t
ngx_http_infer_post_ticket(ngx_http_infer_lane_t *lane)
{
    ngx_http_infer_pool_t    *pool;
    ngx_http_infer_ticket_t  *ticket;

    pool = lane->pool;

    ticket = ngx_calloc(sizeof(ngx_http_infer_ticket_t), ngx_cycle->log);
    if (ticket == NULL) {
        return NGX_ERROR;
    }

    ticket->thread.ctx = ticket;
    ticket->thread.handler = ngx_http_infer_ticket_handler;
    ticket->thread.event.data = ticket;
    ticket->thread.event.handler = ngx_http_infer_ticket_done;

    ticket->pool = pool;
    ngx_queue_init(&ticket->tasks);

    (void) ngx_atomic_fetch_add(&pool->waiting, 1);

    if (ngx_thread_task_post(pool->thread_pool, &ticket->thread) != NGX_OK) {
        (void) ngx_atomic_fetch_add(&pool->waiting, -1);
        ngx_free(ticket);
        return NGX_ERROR;
    }

    if (lane->tickets++ == 0) {
        lane->clock = ngx_max(lane->clock, pool->clock);
        ngx_queue_insert_tail(&pool->lanes, &lane->queue);
    }

    return NGX_OK;
}


static void
ngx_http_infer_lane_timeout(ngx_event_t *ev)
{
    ngx_http_infer_lane_t  *lane;

    lane = ev->data;

    (void) ngx_thread_mutex_lock(&lane->pool->mutex, ev->log);

    /* a thread pool whose queue is full may have room later */

    if (lane->ntasks > lane->tickets * lane->size
        && ngx_http_infer_post_ticket(lane) != NGX_OK)
    {
        ngx_add_timer(ev, ngx_max(lane->delay, 1));
    }

    (void) ngx_thread_mutex_unlock(&lane->pool->mutex, ev->log);
}


static void
ngx_http_infer_ticket_done(ngx_event_t *ev)
{
    ngx_http_infer_ticket_t  *ticket;

    ticket = ev->data;

    ngx_http_infer_tasks_done(&ticket->tasks);

    ngx_free(ticket);
}


/* from here on: in a thread */

static void
ngx_http_infer_ticket_handler(void *data, ngx_log_t *log)
{
    ngx_http_infer_ticket_t *ticket = data;

    uint64_t                begun, took;
    ngx_http_infer_lane_t  *lane;

    (void) ngx_atomic_fetch_add(&ticket->pool->waiting, -1);

    lane = ngx_http_infer_take(ticket);

    begun = ngx_http_infer_now();

    ngx_http_infer_run_tasks(lane, &ticket->tasks);

    took = ngx_http_infer_now() - begun;

    ngx_http_infer_settle(lane, ticket->charged, took);
    ngx_http_infer_count_busy(lane->endpoint, took);
}


static ngx_http_infer_lane_t *
ngx_http_infer_take(ngx_http_infer_ticket_t *ticket)
{
    ngx_uint_t              n;
    ngx_queue_t            *q;
    ngx_http_infer_lane_t  *lane;
    ngx_http_infer_pool_t  *pool;

    pool = ticket->pool;

    (void) ngx_thread_mutex_lock(&pool->mutex, ngx_cycle->log);

    lane = ngx_http_infer_next_lane(pool);

    ngx_queue_remove(&lane->queue);

    if (--lane->tickets) {
        ngx_queue_insert_tail(&pool->lanes, &lane->queue);
    }

    pool->running++;
    pool->clock = ngx_max(pool->clock, lane->clock);

    ticket->charged = lane->cost;
    lane->clock += lane->cost;

    for (n = ngx_min(lane->ntasks, lane->size); n; n--) {
        q = ngx_queue_head(&lane->tasks);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ticket->tasks, q);
        lane->ntasks--;
    }

    (void) ngx_thread_mutex_unlock(&pool->mutex, ngx_cycle->log);

    return lane;
}


/* of those with the same clock, the one whose turn was longest ago */

static ngx_http_infer_lane_t *
ngx_http_infer_next_lane(ngx_http_infer_pool_t *pool)
{
    ngx_queue_t            *q;
    ngx_http_infer_lane_t  *lane, *next;

    next = NULL;

    for (q = ngx_queue_head(&pool->lanes);
         q != ngx_queue_sentinel(&pool->lanes);
         q = ngx_queue_next(q))
    {
        lane = ngx_queue_data(q, ngx_http_infer_lane_t, queue);

        if (next == NULL || lane->clock < next->clock) {
            next = lane;
        }
    }

    return next;
}


static void
ngx_http_infer_settle(ngx_http_infer_lane_t *lane, uint64_t charged,
    uint64_t took)
{
    ngx_http_infer_pool_t  *pool;

    pool = lane->pool;

    (void) ngx_thread_mutex_lock(&pool->mutex, ngx_cycle->log);

    lane->clock += took - charged;
    lane->cost = (lane->cost * 3 + took) / 4;

    pool->latest = ngx_max(pool->latest, lane->clock);

    if (--pool->running == 0 && ngx_queue_empty(&pool->lanes)) {
        pool->clock = pool->latest;
    }

    (void) ngx_thread_mutex_unlock(&pool->mutex, ngx_cycle->log);
}
