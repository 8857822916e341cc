
/*
 * What is kept of a request while it is computed, and what becomes of it when
 * the answer has been sent.
 *
 * A sample has the request's id, by which a client refers to it later, and by
 * which it is decided whether the request is among those that are captured or
 * computed by a shadow: the same id, the same decision, in every worker.
 */


#include "ngx_http_infer_sample.h"
#include "ngx_http_infer_tensors.h"

#include <ngx_md5.h>


static void ngx_http_infer_take_id(ngx_http_request_t *r,
    ngx_http_infer_sample_t *sample);
static ngx_http_infer_item_t *ngx_http_infer_create_item(
    ngx_http_infer_sample_t *sample);
static ngx_http_infer_item_t *ngx_http_infer_find_item(
    ngx_http_infer_sample_t *sample, ngx_uint_t n);
static void ngx_http_infer_keep_tensors(ngx_http_infer_call_t *call, size_t n,
    ngx_http_infer_item_t *item);
static void ngx_http_infer_begin_sample(ngx_http_infer_sample_t *sample);
static void ngx_http_infer_free_items(ngx_http_infer_item_t *item);


static ngx_int_t  ngx_http_infer_request_id;


ngx_int_t
ngx_http_infer_find_request_id(ngx_conf_t *cf)
{
    static ngx_str_t  name = ngx_string("request_id");

    ngx_http_infer_request_id = ngx_http_get_variable_index(cf, &name);

    return ngx_http_infer_request_id == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_infer_create_sample(ngx_http_request_t *r,
    ngx_http_infer_task_t *task)
{
    ngx_uint_t                      monitored, named;
    ngx_http_infer_sample_t        *sample;
    ngx_http_infer_monitor_conf_t  *conf;

    conf = &task->service->conf->monitor;

    monitored = ngx_http_infer_is_monitored(task->service->endpoint);
    named = conf->feedback || conf->capture || conf->shadow;

    if (!monitored && !named) {
        return NGX_OK;
    }

    sample = ngx_calloc(sizeof(ngx_http_infer_sample_t), r->connection->log);
    if (sample == NULL) {
        return NGX_ERROR;
    }

    sample->service = task->service;
    sample->monitored = monitored;
    task->sample = sample;

    if (named) {
        ngx_http_infer_take_id(r, sample);
    }

    return NGX_OK;
}


/* the client's own, or nginx's; a KServe request may bring another one */

static void
ngx_http_infer_take_id(ngx_http_request_t *r, ngx_http_infer_sample_t *sample)
{
    ngx_str_t                   id;
    ngx_uint_t                  n;
    ngx_table_elt_t            *header;
    ngx_http_variable_value_t  *v;

    header = ngx_http_infer_find_header(r, "x-request-id", &n);

    if (header && ngx_http_infer_id_valid(&header->value)) {
        id = header->value;

    } else {
        v = ngx_http_get_indexed_variable(r, ngx_http_infer_request_id);

        if (v == NULL || v->not_found || v->len > NGX_HTTP_INFER_ID_LEN) {
            return;
        }

        id.data = v->data;
        id.len = v->len;
    }

    ngx_memcpy(sample->text, id.data, id.len);
    sample->id.data = sample->text;
    sample->id.len = id.len;
}


ngx_int_t
ngx_http_infer_parse_share(ngx_str_t *text, double *share)
{
    size_t     len;
    ngx_int_t  n;

    len = text->len;

    if (len && text->data[len - 1] == '%') {
        len--;
    }

    n = ngx_atofp(text->data, len, 6);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *share = n / 1e6 / (len < text->len ? 100 : 1);

    return *share > 0 && *share <= 1 ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_infer_sample_chosen(ngx_http_infer_sample_t *sample, double share)
{
    /* 53 bits, which a double holds: below 1 */

    return (sample->hash[1] >> 11) / 9007199254740992.0 < share;
}


ngx_uint_t
ngx_http_infer_id_valid(ngx_str_t *id)
{
    size_t  i;

    if (id->len == 0 || id->len > NGX_HTTP_INFER_ID_LEN) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        if (id->data[i] <= 0x20 || id->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


void
ngx_http_infer_hash_id(ngx_str_t *id, uint64_t hash[2])
{
    u_char     digest[16];
    ngx_md5_t  md5;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, id->data, id->len);
    ngx_md5_final(digest, &md5);

    ngx_memcpy(hash, digest, 16);
}


void
ngx_http_infer_free_sample(ngx_http_infer_sample_t *sample)
{
    ngx_http_infer_free_items(sample->items);
    ngx_free(sample);
}


static void
ngx_http_infer_free_items(ngx_http_infer_item_t *item)
{
    ngx_http_infer_item_t  *next;

    for ( /* void */ ; item; item = next) {
        next = item->next;

        infer_image_free(&item->image);
        free(item->file.data);
        free(item->tensors);
        free(item->probabilities);
        free(item);
    }
}


/* on the event loop, before the answer is sent */

ngx_int_t
ngx_http_infer_sample_answer(ngx_http_request_t *r,
    ngx_http_infer_task_t *task)
{
    ngx_http_infer_sample_t  *sample;

    sample = task->sample;

    if (sample == NULL || task->reason != NGX_HTTP_INFER_OK) {
        return NGX_OK;
    }

    ngx_http_infer_count_sample(sample);

    return ngx_http_infer_remember(r, sample);
}


/* on the event loop: the task ends, what it has left for later goes on */

void
ngx_http_infer_release_sample(ngx_http_infer_task_t *task)
{
    ngx_http_infer_sample_t  *sample;

    sample = task->sample;
    task->sample = NULL;

    if (sample == NULL) {
        return;
    }

    if (task->reason != NGX_HTTP_INFER_OK) {
        ngx_http_infer_free_sample(sample);
        return;
    }

    sample->time = ngx_time();

    if (ngx_http_infer_start_capture(sample) != NGX_OK) {
        ngx_http_infer_sample_captured(sample);
    }
}


void
ngx_http_infer_sample_captured(ngx_http_infer_sample_t *sample)
{
    if (sample->shadow && sample->items) {
        ngx_http_infer_give_shadow(sample);

    } else {
        ngx_http_infer_free_sample(sample);
    }
}


/* from here on: in the thread */

void
ngx_http_infer_sample_id(ngx_http_infer_task_t *task, const char *text,
    size_t len)
{
    ngx_str_t                 id;
    ngx_http_infer_sample_t  *sample;

    sample = task->sample;

    id.data = (u_char *) text;
    id.len = len;

    if (sample && sample->id.len && ngx_http_infer_id_valid(&id)) {
        ngx_memcpy(sample->text, text, len);
        sample->id.len = len;
    }
}


/* all that is decided by the id, once the id is known */

static void
ngx_http_infer_begin_sample(ngx_http_infer_sample_t *sample)
{
    if (sample->begun) {
        return;
    }

    sample->begun = 1;

    if (sample->id.len) {
        ngx_http_infer_hash_id(&sample->id, sample->hash);
        sample->shadow = ngx_http_infer_wants_shadow(sample);
    }
}


/* the first of a batch begins its sample; without memory there is none */

static ngx_http_infer_item_t *
ngx_http_infer_create_item(ngx_http_infer_sample_t *sample)
{
    ngx_uint_t              n;
    ngx_http_infer_item_t  *item;

    ngx_http_infer_begin_sample(sample);

    n = sample->nitems++;

    item = calloc(1, sizeof(ngx_http_infer_item_t));
    if (item == NULL) {
        return NULL;
    }

    infer_sample_begin(&item->stats);

    item->index = n;
    item->next = sample->items;
    sample->items = item;

    return item;
}


/* it is one of those that run now, or about to: among the last */

static ngx_http_infer_item_t *
ngx_http_infer_find_item(ngx_http_infer_sample_t *sample, ngx_uint_t n)
{
    ngx_http_infer_item_t  *item;

    for (item = sample->items; item && item->index > n; item = item->next) {
        /* void */
    }

    return item && item->index == n ? item : NULL;
}


void
ngx_http_infer_sample_image(ngx_http_infer_task_t *task, ngx_str_t *data,
    const infer_image_t *img, const infer_image_t *prepared)
{
    ngx_http_infer_item_t  *item;

    item = task->sample ? ngx_http_infer_create_item(task->sample) : NULL;

    if (item == NULL) {
        return;
    }

    item->sent = *data;

    if (task->sample->monitored) {
        infer_sample_image(&item->stats, data->data, data->len, img,
                           prepared);
    }
}


void
ngx_http_infer_sample_input(ngx_http_infer_call_t *call, size_t n,
    infer_session_t *session, size_t place)
{
    ngx_http_infer_item_t    *item;
    ngx_http_infer_sample_t  *sample;

    sample = call->task->sample;

    if (sample == NULL) {
        return;
    }

    item = n < sample->nitems ? ngx_http_infer_find_item(sample, n)
                              : ngx_http_infer_create_item(sample);

    if (item == NULL) {
        return;
    }

    if (sample->monitored) {
        infer_sample_input(&item->stats, session, place);
    }

    if (sample->shadow && item->sent.data == NULL && item->tensors == NULL) {
        ngx_http_infer_keep_tensors(call, n, item);
    }
}


static void
ngx_http_infer_keep_tensors(ngx_http_infer_call_t *call, size_t n,
    ngx_http_infer_item_t *item)
{
    size_t   i, size;
    u_char  *p;

    for (size = 0, i = 0; i < call->ninputs; i++) {
        size += call->inputs[i].size;
    }

    p = malloc(ngx_max(size, 1));

    if (p == NULL) {
        return;
    }

    item->tensors = p;
    call->task->sample->bytes += size;

    for (i = 0; i < call->ninputs; i++) {
        p = ngx_cpymem(p, call->inputs[i].data + n * call->inputs[i].size,
                       call->inputs[i].size);
    }
}


void
ngx_http_infer_sample_placed(ngx_http_infer_task_t *task, size_t n,
    infer_image_t *prepared)
{
    ngx_http_infer_item_t    *item;
    ngx_http_infer_sample_t  *sample;

    sample = task->sample;

    item = sample && sample->shadow ? ngx_http_infer_find_item(sample, n)
                                    : NULL;
    if (item == NULL) {
        infer_image_free(prepared);
        return;
    }

    item->image = *prepared;
    ngx_memzero(prepared, sizeof(infer_image_t));

    sample->bytes += (size_t) item->image.width * item->image.height
                     * item->image.channels;
}


void
ngx_http_infer_sample_output(ngx_http_infer_task_t *task, size_t n,
    infer_session_t *session, size_t place)
{
    infer_model_t          *model;
    ngx_http_infer_item_t  *item;

    item = task->sample ? ngx_http_infer_find_item(task->sample, n) : NULL;

    if (item == NULL || item->answered) {
        return;
    }

    if (task->sample->monitored) {
        model = task->service->endpoint->model->model;

        infer_sample_output(&item->stats, session, place,
                            infer_model_baseline(model));
    }

    item->answered = infer_session_top(session, place, &item->top, 1) == 1;

    if (task->sample->shadow) {
        ngx_http_infer_keep_probabilities(task->sample, item, session, place);
    }

    ngx_http_infer_keep_file(task->sample, item);
    ngx_str_null(&item->sent);
}
