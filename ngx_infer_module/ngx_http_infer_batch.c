
/*
 * In the thread: the tasks of a batch are read, what they want to know is run
 * together, and their answers are written.
 *
 * An item is one image, or one row of each input.  Each call has one or more
 * of them; so many as infer_batch says run at once, whosever they are, and
 * have the bits that they would have alone.  Where something is wrong with a
 * call, its items are left out, and those of others run.
 */


#include "ngx_http_infer_tensors.h"


typedef struct {
    ngx_http_infer_call_t       *call;
    size_t                       n;           /* which of the call's items */
    infer_image_t                image;       /* pixels NULL: tensors */
} ngx_http_infer_item_t;


typedef struct {
    ngx_http_infer_lane_t       *lane;
    ngx_http_infer_model_t      *model;
    size_t                       n;
    ngx_http_infer_item_t        item[NGX_HTTP_INFER_MAX_RUN];
} ngx_http_infer_batch_t;


static void ngx_http_infer_batch_add(ngx_http_infer_batch_t *b,
    ngx_http_infer_call_t *call);
static void ngx_http_infer_batch_drop(ngx_http_infer_batch_t *b,
    ngx_http_infer_call_t *call);
static void ngx_http_infer_batch_run(ngx_http_infer_batch_t *b);
static infer_session_t *ngx_http_infer_batch_fill(ngx_http_infer_batch_t *b,
    ngx_http_infer_workspace_t *ws);
static ngx_int_t ngx_http_infer_batch_place(ngx_http_infer_item_t *item,
    infer_session_t *session, size_t n);
static void ngx_http_infer_batch_compute(ngx_http_infer_task_t *task,
    infer_session_t *session);
static void ngx_http_infer_batch_collect(ngx_http_infer_batch_t *b,
    infer_session_t *session, uint64_t ns);
static void ngx_http_infer_call_complete(ngx_http_infer_call_t *call);
static void ngx_http_infer_batch_fail(ngx_http_infer_batch_t *b,
    const char *why);
static ngx_http_infer_workspace_t *ngx_http_infer_get_workspace(
    ngx_http_infer_model_t *model);
static void ngx_http_infer_put_workspace(ngx_http_infer_model_t *model,
    ngx_http_infer_workspace_t *ws);
static infer_session_t *ngx_http_infer_get_session(
    ngx_http_infer_model_t *model, ngx_http_infer_workspace_t *ws, size_t n,
    infer_error_t *err);
static void ngx_http_infer_watch_session(ngx_http_infer_model_t *model,
    infer_session_t *session);


void
ngx_http_infer_run_tasks(ngx_http_infer_lane_t *lane, ngx_queue_t *tasks)
{
    ngx_queue_t             *q;
    ngx_http_infer_task_t   *task;
    ngx_http_infer_batch_t   b;

    b.lane = lane;
    b.model = lane->endpoint->model;
    b.n = 0;

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_http_infer_task_t, queue);

        ngx_http_infer_count_load(lane->endpoint, -1, 1);

        task->started = ngx_http_infer_now();

        /* a worker that exits at once waits for threads, but for no answer */

        if (!task->cancelled && !ngx_terminate
            && task->route->read(task) == NGX_OK
            && ngx_http_infer_call_ready(task->call) == NGX_OK)
        {
            ngx_http_infer_batch_add(&b, task->call);
        }
    }

    ngx_http_infer_batch_run(&b);

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_http_infer_task_t, queue);

        ngx_http_infer_task_finish(task);

        if (task->call && task->call->done && task->route->write
            && task->reason == NGX_HTTP_INFER_OK)
        {
            task->route->write(task);
        }
    }
}


/* an image is decoded when it is its turn: no more of them than run at once */

static void
ngx_http_infer_batch_add(ngx_http_infer_batch_t *b,
    ngx_http_infer_call_t *call)
{
    size_t                  n;
    ngx_str_t              *images;
    ngx_http_infer_item_t  *item;
    ngx_http_infer_task_t  *task;

    task = call->task;
    images = call->ninputs ? call->inputs[0].images : NULL;

    /* of an image that is the whole body, reading is a part of decoding it */

    if (call->top == 0) {
        task->decoding = ngx_http_infer_now() - task->started;
    }

    for (n = 0; n < call->batch; n++) {
        item = &b->item[b->n];

        item->call = call;
        item->n = n;
        item->image.pixels = NULL;

        if (ngx_http_infer_call_wanted(call) != NGX_OK
            || (images
                && ngx_http_infer_prepare_image(task, &images[n],
                                                &item->image)
                   != NGX_OK))
        {
            ngx_http_infer_batch_drop(b, call);
            return;
        }

        if (++b->n < b->lane->size) {
            continue;
        }

        ngx_http_infer_batch_run(b);

        if (task->reason != NGX_HTTP_INFER_OK) {
            return;
        }
    }
}


static void
ngx_http_infer_batch_drop(ngx_http_infer_batch_t *b,
    ngx_http_infer_call_t *call)
{
    size_t  i, n;

    for (n = 0, i = 0; i < b->n; i++) {

        if (b->item[i].call != call) {
            b->item[n++] = b->item[i];
            continue;
        }

        if (b->item[i].image.pixels) {
            infer_image_free(&b->item[i].image);
        }
    }

    b->n = n;
}


static void
ngx_http_infer_batch_run(ngx_http_infer_batch_t *b)
{
    uint64_t                     begin, placed, run;
    infer_session_t             *session;
    ngx_http_infer_workspace_t  *ws;

    if (b->n == 0) {
        return;
    }

    ws = ngx_http_infer_get_workspace(b->model);
    if (ws == NULL) {
        ngx_http_infer_batch_fail(b, "out of memory");
        return;
    }

    begin = ngx_http_infer_now();

    session = ngx_http_infer_batch_fill(b, ws);

    if (session) {
        placed = ngx_http_infer_now();

        ngx_http_infer_batch_compute(b->item[0].call->task, session);

        run = ngx_http_infer_now();

        ngx_http_infer_batch_collect(b, session, run - placed);

        ngx_http_infer_count_run(b->lane->endpoint, b->n, placed - begin,
                                 run - placed, ngx_http_infer_now() - run);
    }

    ngx_http_infer_put_workspace(b->model, ws);

    b->n = 0;
}


/* NULL: nothing is left to run */

static infer_session_t *
ngx_http_infer_batch_fill(ngx_http_infer_batch_t *b,
    ngx_http_infer_workspace_t *ws)
{
    size_t                  i;
    infer_error_t           err;
    infer_session_t        *session;
    ngx_http_infer_call_t  *call;

again:

    if (b->n == 0) {
        return NULL;
    }

    session = ngx_http_infer_get_session(b->model, ws, b->n, &err);

    if (session == NULL) {
        ngx_http_infer_batch_fail(b, err.text);
        return NULL;
    }

    for (i = 0; i < b->n; i++) {
        call = b->item[i].call;

        if (ngx_http_infer_batch_place(&b->item[i], session, i) != NGX_OK) {
            ngx_http_infer_batch_drop(b, call);
            goto again;
        }
    }

    for (i = 0; i < b->n; i++) {
        if (b->item[i].image.pixels) {
            ngx_http_infer_sample_placed(b->item[i].call->task, b->item[i].n,
                                         &b->item[i].image);
        }
    }

    return session;
}


static ngx_int_t
ngx_http_infer_batch_place(ngx_http_infer_item_t *item,
    infer_session_t *session, size_t n)
{
    size_t                   i;
    uint64_t                 begin;
    ngx_http_infer_call_t   *call;
    ngx_http_infer_input_t  *input;

    call = item->call;
    begin = ngx_http_infer_now();

    for (i = 0; i < call->ninputs; i++) {
        input = &call->inputs[i];

        if (input->images == NULL) {
            infer_session_set_item(session, i, n,
                                   input->data + item->n * input->size);

        } else if (infer_session_set_image(session, n, &item->image,
                                           &call->service->preprocess)
                   != 0)
        {
            call->task->preprocessing = 0;

            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                            "the image has not the size of "
                                            "the model's input");
        }
    }

    call->task->preprocessing += ngx_http_infer_now() - begin;

    ngx_http_infer_sample_input(call, item->n, session, n);

    return NGX_OK;
}


/* with the helpers of one of the tasks */

static void
ngx_http_infer_batch_compute(ngx_http_infer_task_t *task,
    infer_session_t *session)
{
    if (task->crew && !task->started_crew) {
        task->parallel = ngx_http_infer_start_crew(task->crew);
        task->started_crew = 1;
    }

    infer_session_run(session, task->parallel);
}


static void
ngx_http_infer_batch_collect(ngx_http_infer_batch_t *b,
    infer_session_t *session, uint64_t ns)
{
    size_t                    i, k;
    infer_tensor_t            tensor;
    ngx_http_infer_call_t    *call;
    ngx_http_infer_task_t    *task;
    ngx_http_infer_output_t  *output;

    for (i = 0; i < b->n; i++) {
        call = b->item[i].call;
        task = call->task;

        if (i == 0 || b->item[i - 1].call != call) {
            task->running += ns;
        }

        ngx_http_infer_sample_output(task, b->item[i].n, session, i);

        if (call->top) {
            task->ntop = infer_session_top(session, i, task->top, call->top);
        }

        for (k = 0; k < call->noutputs; k++) {
            output = &call->outputs[k];

            if (output->wanted) {
                infer_session_output_tensor(session, k, &tensor);
                ngx_memcpy(output->data + b->item[i].n * output->size,
                           (u_char *) tensor.data + i * output->size,
                           output->size);
            }
        }

        if (++call->done == call->batch) {
            ngx_http_infer_call_complete(call);
        }
    }
}


static void
ngx_http_infer_call_complete(ngx_http_infer_call_t *call)
{
    ngx_http_infer_task_t  *task;

    task = call->task;

    if (call->top && task->ntop == 0) {
        (void) ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SCORES,
                                        "the model's scores are not finite");

    } else if (call->deadline && ngx_http_infer_now() > call->deadline) {
        (void) ngx_http_infer_call_fail(call, NGX_HTTP_INFER_TIMEOUT,
                                        "no answer within the timeout of the "
                                        "request");
    }

    task->batch = call->batch;

    ngx_http_infer_task_finish(task);
}


static void
ngx_http_infer_batch_fail(ngx_http_infer_batch_t *b, const char *why)
{
    ngx_http_infer_call_t  *call;

    while (b->n) {
        call = b->item[0].call;

        ngx_http_infer_task_fail(call->task, NGX_HTTP_INFER_MEMORY, why);
        ngx_http_infer_batch_drop(b, call);
    }
}


/*
 * Workspaces are taken by threads, not on the event loop: so there are never
 * more of them than threads have worked on the model at once, and a new
 * session is planned where its time does not matter.
 */

static ngx_http_infer_workspace_t *
ngx_http_infer_get_workspace(ngx_http_infer_model_t *model)
{
    ngx_http_infer_workspace_t  *ws;

    ngx_spinlock(&model->lock, 1, 2048);

    ws = model->idle;

    if (ws) {
        model->idle = ws->next;
    }

    ngx_unlock(&model->lock);

    if (ws) {
        return ws;
    }

    return calloc(1, offsetof(ngx_http_infer_workspace_t, session)
                     + model->batch * sizeof(infer_session_t *));
}


static void
ngx_http_infer_put_workspace(ngx_http_infer_model_t *model,
    ngx_http_infer_workspace_t *ws)
{
    ngx_spinlock(&model->lock, 1, 2048);

    ws->next = model->idle;
    model->idle = ws;

    ngx_unlock(&model->lock);
}


void
ngx_http_infer_free_workspaces(void *data)
{
    ngx_http_infer_model_t *model = data;

    ngx_uint_t                   i;
    ngx_http_infer_workspace_t  *ws;

    while (model->idle) {
        ws = model->idle;
        model->idle = ws->next;

        for (i = 0; i < model->batch; i++) {
            infer_session_free(ws->session[i]);
        }

        free(ws);
    }
}


static infer_session_t *
ngx_http_infer_get_session(ngx_http_infer_model_t *model,
    ngx_http_infer_workspace_t *ws, size_t n, infer_error_t *err)
{
    infer_session_t  *session, **largest;

    session = ws->session[n - 1];

    if (session) {
        return session;
    }

    largest = &ws->session[model->batch - 1];

    if (*largest == NULL) {
        *largest = infer_session_create(model->model, model->batch,
                                        model->threads, err);
        ngx_http_infer_watch_session(model, *largest);
    }

    if (*largest && ws->session[n - 1] == NULL) {
        ws->session[n - 1] = infer_session_create_within(*largest, n, err);
        ngx_http_infer_watch_session(model, ws->session[n - 1]);
    }

    return ws->session[n - 1];
}


static void
ngx_http_infer_watch_session(ngx_http_infer_model_t *model,
    infer_session_t *session)
{
    if (session && model->watched) {
        infer_session_monitor(session, infer_model_baseline(model->model));
    }
}


ngx_int_t
ngx_http_infer_check_batch(ngx_http_infer_model_t *model,
    ngx_http_infer_model_t *old, ngx_log_t *log)
{
    infer_error_t     err;
    infer_session_t  *session;

    if (model->batch == 1 || (old && old->batch >= model->batch)) {
        return NGX_OK;
    }

    if (infer_model_check_items(model->model, &err) == 0) {

        session = infer_session_create(model->model, model->batch,
                                       model->threads, &err);
        if (session) {
            infer_session_free(session);
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "infer_batch: requests to \"%V\" cannot share a batch: %s",
                  &model->path, err.text);

    return NGX_ERROR;
}
