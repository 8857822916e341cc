
/*
 * infer_feedback: what was answered is remembered for a while, so that whoever
 * learns the right class later can report it, and the model's accuracy is
 * known while it serves.
 *
 * A ring in shared memory holds the last answers of all workers, found by
 * their ids through a hash table with chains.  Its lock is that of its zone,
 * which nginx's master opens when a worker dies within; the order in which
 * fields are written keeps every chain whole at any moment.
 *
 * Reports are counted with the other counters of the model (stats.c): by the
 * class that is right, and where there are few classes as a matrix.
 */


#include "ngx_http_infer_sample.h"


/* the largest report */
#define NGX_HTTP_INFER_REPORT   4096

#define NGX_HTTP_INFER_NO_LABEL  UINT32_MAX


typedef struct {
    uint64_t                     hash[2];     /* of the id */
    uint32_t                     next;        /* 1 + index; 0: none */
    uint32_t                     class_id;
    uint32_t                     label;       /* as it was reported */
    float                        confidence;
} ngx_http_infer_answer_t;


/* followed by answers, then by buckets: 1 + index of an answer; 0: none */
typedef struct {
    uint64_t                     count;       /* answers so far */
    uint32_t                     size;        /* answers that it holds */
    uint32_t                     mask;        /* buckets less one */
} ngx_http_infer_ring_t;


typedef struct {
    ngx_str_t                    id;
    json_t                      *label;
    ngx_http_infer_service_t    *service;
    uint32_t                     class_id;    /* the right one */
    ngx_http_infer_answer_t      answer;
    ngx_http_infer_feedback_e    outcome;
} ngx_http_infer_report_t;


static size_t ngx_http_infer_ring_size(ngx_uint_t n, uint32_t *buckets);
static ngx_int_t ngx_http_infer_init_ring(ngx_shm_zone_t *zone, void *data);
static uint32_t *ngx_http_infer_ring_find(ngx_http_infer_ring_t *ring,
    uint64_t hash[2]);
static void ngx_http_infer_ring_put(ngx_http_infer_ring_t *ring,
    ngx_http_infer_sample_t *sample);
static void ngx_http_infer_feedback_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_infer_feedback_read(ngx_http_request_t *r,
    json_t **root);
static ngx_int_t ngx_http_infer_feedback_report(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, json_t *root);
static void ngx_http_infer_feedback_search(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, ngx_http_infer_report_t *report);
static ngx_http_infer_feedback_e ngx_http_infer_feedback_apply(
    ngx_http_infer_report_t *report, ngx_http_infer_ring_t *ring,
    uint64_t hash[2]);
static ngx_uint_t ngx_http_infer_feedback_class(
    ngx_http_infer_report_t *report);
static void ngx_http_infer_feedback_count(ngx_http_infer_report_t *report);
static ngx_int_t ngx_http_infer_feedback_error(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, ngx_http_infer_feedback_e outcome,
    const char *why);


/* status and name, by the outcome */

const ngx_http_infer_reason_t  ngx_http_infer_feedbacks[] = {
    { NGX_HTTP_OK, "right" },
    { NGX_HTTP_OK, "wrong" },
    { NGX_HTTP_NOT_FOUND, "unknown" },
    { NGX_HTTP_CONFLICT, "duplicate" },
    { 422, "no_class" },
    { NGX_HTTP_BAD_REQUEST, "malformed" }
};


ngx_int_t
ngx_http_infer_add_feedback(ngx_conf_t *cf, ngx_http_infer_service_t *service)
{
    size_t                      size;
    uint32_t                    buckets;
    ngx_str_t                   name;
    ngx_uint_t                  n;
    ngx_http_infer_endpoint_t  *ep;

    n = service->conf->monitor.feedback;
    ep = service->endpoint;

    if (n == 0) {
        return NGX_OK;
    }

    name.data = ngx_pnalloc(cf->pool, sizeof("infer_feedback:::")
                            + ep->name.len + ep->version.len + NGX_INT_T_LEN);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, "infer_feedback:%V:%V:%ui", &ep->name,
                           &ep->version, n)
               - name.data;

    size = ngx_http_infer_ring_size(n, &buckets);

    service->ring = ngx_http_infer_add_zone(cf, &name, size,
                                            ngx_http_infer_init_ring);
    if (service->ring == NULL) {
        return NGX_ERROR;
    }

    /* for its init handler */

    service->ring->data = (void *) (uintptr_t) n;

    return NGX_OK;
}


static size_t
ngx_http_infer_ring_size(ngx_uint_t n, uint32_t *buckets)
{
    for (*buckets = 1; *buckets < n; *buckets *= 2) { /* void */ }

    return sizeof(ngx_http_infer_ring_t) + *buckets * sizeof(uint32_t)
           + n * sizeof(ngx_http_infer_answer_t);
}


static ngx_int_t
ngx_http_infer_init_ring(ngx_shm_zone_t *zone, void *data)
{
    size_t                  size;
    uint32_t                buckets;
    ngx_uint_t              n;
    ngx_http_infer_ring_t  *ring;

    n = (uintptr_t) zone->data;
    size = ngx_http_infer_ring_size(n, &buckets);

    if (ngx_http_infer_init_counters(zone, data, size) != NGX_OK) {
        return NGX_ERROR;
    }

    ring = zone->data;

    ring->size = n;
    ring->mask = buckets - 1;

    return NGX_OK;
}


static ngx_inline ngx_http_infer_answer_t *
ngx_http_infer_ring_answers(ngx_http_infer_ring_t *ring)
{
    return (ngx_http_infer_answer_t *) (ring + 1);
}


static ngx_inline uint32_t *
ngx_http_infer_ring_bucket(ngx_http_infer_ring_t *ring, uint64_t hash[2])
{
    return (uint32_t *) (ngx_http_infer_ring_answers(ring) + ring->size)
           + (hash[0] & ring->mask);
}


/* the link to the last answer with this id, or to none */

static uint32_t *
ngx_http_infer_ring_find(ngx_http_infer_ring_t *ring, uint64_t hash[2])
{
    uint32_t                 *link;
    ngx_http_infer_answer_t  *answer;

    link = ngx_http_infer_ring_bucket(ring, hash);

    while (*link) {
        answer = &ngx_http_infer_ring_answers(ring)[*link - 1];

        if (answer->hash[0] == hash[0] && answer->hash[1] == hash[1]) {
            break;
        }

        link = &answer->next;
    }

    return link;
}


/*
 * Takes the place of the oldest.  A worker that is killed in here leaves an
 * answer that no chain leads to.
 */

static void
ngx_http_infer_ring_put(ngx_http_infer_ring_t *ring,
    ngx_http_infer_sample_t *sample)
{
    uint32_t                  index, *link;
    ngx_http_infer_answer_t  *answer;

    index = ring->count % ring->size;
    answer = &ngx_http_infer_ring_answers(ring)[index];

    link = ngx_http_infer_ring_bucket(ring, answer->hash);

    while (*link && *link != index + 1) {
        link = &ngx_http_infer_ring_answers(ring)[*link - 1].next;
    }

    if (*link) {
        *link = answer->next;
    }

    ngx_memory_barrier();

    ring->count++;

    answer->hash[0] = sample->hash[0];
    answer->hash[1] = sample->hash[1];
    answer->class_id = sample->items->top.class_id;
    answer->confidence = sample->items->top.probability;
    answer->label = NGX_HTTP_INFER_NO_LABEL;

    link = ngx_http_infer_ring_bucket(ring, answer->hash);
    answer->next = *link;

    ngx_memory_barrier();

    *link = index + 1;
}


/* of a batch nobody could say which answer is meant */

ngx_int_t
ngx_http_infer_remember(ngx_http_request_t *r,
    ngx_http_infer_sample_t *sample)
{
    u_char           *text;
    ngx_shm_zone_t   *zone;
    ngx_slab_pool_t  *shpool;

    zone = sample->service->ring;

    if (zone == NULL || sample->nitems != 1 || !sample->items->answered
        || sample->id.len == 0)
    {
        return NGX_OK;
    }

    text = ngx_pnalloc(r->pool, sample->id.len + 1);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_cpystrn(text, sample->id.data, sample->id.len + 1);

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    ngx_http_infer_ring_put(zone->data, sample);
    ngx_shmtx_unlock(&shpool->mutex);

    return ngx_http_infer_add_header(r, "X-Infer-Id", (char *) text);
}


ngx_int_t
ngx_http_infer_feedback(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    ngx_int_t  rc;

    if (service->ring == NULL) {
        return ngx_http_infer_feedback_error(r, service,
                                             NGX_HTTP_INFER_ID_UNKNOWN,
                                             "infer_feedback is off");
    }

    if (r->headers_in.content_length_n > NGX_HTTP_INFER_REPORT) {
        return ngx_http_infer_feedback_error(r, service,
                                             NGX_HTTP_INFER_NO_FEEDBACK,
                                             "a report has at most 4096 "
                                             "bytes");
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_infer_feedback_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_infer_feedback_body(ngx_http_request_t *r)
{
    json_t                        *root;
    ngx_int_t                      rc;
    ngx_http_infer_service_t      *service;
    const ngx_http_infer_route_t  *route;

    (void) ngx_http_infer_find_route(r, &route, &service);

    rc = ngx_http_infer_feedback_read(r, &root);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_infer_feedback_error(r, service,
                                           NGX_HTTP_INFER_NO_FEEDBACK,
                                           "a report is {\"id\": \"...\", "
                                           "\"label\": a class or its "
                                           "name}");

    } else if (rc == NGX_OK) {
        rc = ngx_http_infer_feedback_report(r, service, root);
        json_decref(root);
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_OK, NGX_DECLINED: malformed, or a code to finalize with */

static ngx_int_t
ngx_http_infer_feedback_read(ngx_http_request_t *r, json_t **root)
{
    json_t                 *label;
    ngx_str_t               id;
    ngx_int_t               rc;
    ngx_http_infer_task_t   task;

    if (r->request_body->bufs == NULL
        || ngx_http_infer_body_size(r) > NGX_HTTP_INFER_REPORT)
    {
        return NGX_DECLINED;
    }

    ngx_memzero(&task, sizeof(ngx_http_infer_task_t));
    task.fd = NGX_INVALID_FILE;

    rc = ngx_http_infer_body_take(r, &task);

    if (rc == NGX_OK) {
        rc = ngx_http_infer_body_read(&task);
    }

    *root = (rc == NGX_OK) ? json_loadb((char *) task.body, task.size,
                                        JSON_REJECT_DUPLICATES, NULL)
                           : NULL;

    if (task.fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(task.fd);
    }

    if (task.body) {
        ngx_free(task.body);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    label = json_object_get(*root, "label");

    id.data = (u_char *) json_string_value(json_object_get(*root, "id"));
    id.len = json_string_length(json_object_get(*root, "id"));

    if (id.data && ngx_http_infer_id_valid(&id)
        && (json_is_integer(label) || json_is_string(label)))
    {
        return NGX_OK;
    }

    json_decref(*root);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_infer_feedback_report(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, json_t *root)
{
    json_t                   *object;
    ngx_http_infer_report_t   report;

    ngx_memzero(&report, sizeof(ngx_http_infer_report_t));

    report.label = json_object_get(root, "label");
    report.id.data = (u_char *) json_string_value(json_object_get(root, "id"));
    report.id.len = ngx_strlen(report.id.data);

    ngx_http_infer_feedback_search(r, service, &report);

    switch (report.outcome) {

    case NGX_HTTP_INFER_ID_UNKNOWN:
        return ngx_http_infer_feedback_error(r, report.service, report.outcome,
                                             "no such id, or no longer");

    case NGX_HTTP_INFER_ID_TWICE:
        return ngx_http_infer_feedback_error(r, report.service, report.outcome,
                                             "there is a report for this id");

    case NGX_HTTP_INFER_NO_CLASS:
        return ngx_http_infer_feedback_error(r, report.service, report.outcome,
                                             "the model has no such class");

    default: /* right or wrong */
        break;
    }

    ngx_http_infer_feedback_count(&report);

    object = json_object();

    json_object_set_new(object, "id", ngx_http_infer_json_string(&report.id));
    json_object_set_new(object, "model",
                        ngx_http_infer_json_string(
                            &report.service->endpoint->name));
    json_object_set_new(object, "class", json_integer(report.answer.class_id));
    json_object_set_new(object, "right",
                        json_boolean(report.outcome == NGX_HTTP_INFER_RIGHT));

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, object);
}


/* a path without a model's name may mean any of the location */

static void
ngx_http_infer_feedback_search(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, ngx_http_infer_report_t *report)
{
    uint64_t                       hash[2];
    ngx_uint_t                     i;
    ngx_slab_pool_t               *shpool;
    ngx_http_infer_service_t      *all;
    const ngx_http_infer_route_t  *route;

    (void) ngx_http_infer_find_route(r, &route, &service);

    all = service->conf->services->elts;

    ngx_http_infer_hash_id(&report->id, hash);

    for (i = 0; i < service->conf->services->nelts; i++) {

        if (route->pattern && service != &all[i]) {
            continue;
        }

        report->service = &all[i];

        shpool = (ngx_slab_pool_t *) all[i].ring->shm.addr;

        ngx_shmtx_lock(&shpool->mutex);
        report->outcome = ngx_http_infer_feedback_apply(report,
                                                        all[i].ring->data,
                                                        hash);
        ngx_shmtx_unlock(&shpool->mutex);

        if (report->outcome != NGX_HTTP_INFER_ID_UNKNOWN) {
            return;
        }
    }
}


static ngx_http_infer_feedback_e
ngx_http_infer_feedback_apply(ngx_http_infer_report_t *report,
    ngx_http_infer_ring_t *ring, uint64_t hash[2])
{
    uint32_t                  link;
    ngx_http_infer_answer_t  *answer;

    link = *ngx_http_infer_ring_find(ring, hash);

    if (link == 0) {
        return NGX_HTTP_INFER_ID_UNKNOWN;
    }

    answer = &ngx_http_infer_ring_answers(ring)[link - 1];

    if (answer->label != NGX_HTTP_INFER_NO_LABEL) {
        return NGX_HTTP_INFER_ID_TWICE;
    }

    report->answer = *answer;

    if (!ngx_http_infer_feedback_class(report)) {
        return NGX_HTTP_INFER_NO_CLASS;
    }

    answer->label = report->class_id;

    return report->class_id == answer->class_id ? NGX_HTTP_INFER_RIGHT
                                                : NGX_HTTP_INFER_WRONG;
}


/* several classes may have one name: then it is the one that was answered */

static ngx_uint_t
ngx_http_infer_feedback_class(ngx_http_infer_report_t *report)
{
    size_t      i, classes;
    ngx_str_t   name, label;
    json_int_t  number;

    classes = infer_model_classes(report->service->endpoint->model->model);

    if (json_is_integer(report->label)) {
        number = json_integer_value(report->label);
        report->class_id = (uint32_t) number;

        return number >= 0 && number < (json_int_t) classes;
    }

    name.data = (u_char *) json_string_value(report->label);
    name.len = json_string_length(report->label);

    label = ngx_http_infer_label(report->service, report->answer.class_id);

    if (label.len && ngx_http_infer_same(&label, &name)) {
        report->class_id = report->answer.class_id;
        return 1;
    }

    for (i = 0; i < classes; i++) {
        label = ngx_http_infer_label(report->service, i);

        if (label.len && ngx_http_infer_same(&label, &name)) {
            report->class_id = i;
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_infer_feedback_count(ngx_http_infer_report_t *report)
{
    size_t                      classes, id;
    ngx_atomic_t               *row;
    ngx_http_infer_stats_t     *stats;
    ngx_http_infer_feedback_t  *feedback;

    stats = report->service->endpoint->stats->data;
    feedback = &stats->feedback;

    classes = infer_model_classes(report->service->endpoint->model->model);
    id = ngx_min(report->class_id, NGX_HTTP_INFER_CLASSES - 1);

    row = report->outcome == NGX_HTTP_INFER_RIGHT ? feedback->right
                                                  : feedback->wrong;

    (void) ngx_atomic_fetch_add(&feedback->outcome[report->outcome], 1);
    (void) ngx_atomic_fetch_add(&row[id], 1);
    (void) ngx_atomic_fetch_add(&feedback->confidence,
                                (ngx_atomic_int_t)
                                    (report->answer.confidence * 1e9));

    /* the answer may be that of a model before a reload */

    if (classes <= NGX_HTTP_INFER_CONFUSION
        && report->answer.class_id < NGX_HTTP_INFER_CONFUSION)
    {
        (void) ngx_atomic_fetch_add(&feedback->confusion[report->class_id]
                                        [report->answer.class_id], 1);
    }
}


static ngx_int_t
ngx_http_infer_feedback_error(ngx_http_request_t *r,
    ngx_http_infer_service_t *service, ngx_http_infer_feedback_e outcome,
    const char *why)
{
    json_t                  *object;
    ngx_str_t                text;
    ngx_http_infer_stats_t  *stats;

    stats = service->endpoint->stats->data;

    (void) ngx_atomic_fetch_add(&stats->feedback.outcome[outcome], 1);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "infer feedback: %s", why);

    text.data = (u_char *) why;
    text.len = ngx_strlen(why);

    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_ERROR, &text);

    object = json_object();
    json_object_set_new(object, "error", ngx_http_infer_json_string(&text));

    return ngx_http_infer_send_json(r, ngx_http_infer_feedbacks[outcome].status,
                                    object);
}


json_t *
ngx_http_infer_feedback_json(ngx_http_infer_feedback_t *feedback)
{
    char         key[NGX_INT_T_LEN + 1];
    json_t      *object, *classes, *matrix;
    uint64_t     n;
    ngx_uint_t   i, k;

    n = feedback->outcome[NGX_HTTP_INFER_RIGHT]
        + feedback->outcome[NGX_HTTP_INFER_WRONG];

    if (n == 0) {
        return NULL;
    }

    object = json_object();
    classes = json_object();
    matrix = json_array();

    for (i = 0; i < NGX_HTTP_INFER_FEEDBACKS; i++) {
        json_object_set_new(object, ngx_http_infer_feedbacks[i].name,
                            json_integer(feedback->outcome[i]));
    }

    json_object_set_new(object, "accuracy",
                        json_real((double)
                            feedback->outcome[NGX_HTTP_INFER_RIGHT] / n));
    json_object_set_new(object, "confidence",
                        json_real(feedback->confidence / 1e9 / n));

    for (i = 0; i < NGX_HTTP_INFER_CLASSES; i++) {

        if (feedback->right[i] + feedback->wrong[i]) {
            *ngx_sprintf((u_char *) key, "%ui", i) = '\0';
            json_object_set_new(classes, key,
                                json_pack("{s:I, s:I}",
                                    "right", (json_int_t) feedback->right[i],
                                    "wrong", (json_int_t) feedback->wrong[i]));
        }
    }

    for (i = 0; i < NGX_HTTP_INFER_CONFUSION; i++) {
        for (k = 0; k < NGX_HTTP_INFER_CONFUSION; k++) {

            if (feedback->confusion[i][k]) {
                json_array_append_new(matrix,
                                      json_pack("[I, I, I]", (json_int_t) i,
                                          (json_int_t) k,
                                          (json_int_t)
                                              feedback->confusion[i][k]));
            }
        }
    }

    json_object_set_new(object, "classes", classes);
    json_object_set_new(object, "confusion", matrix);

    return object;
}
