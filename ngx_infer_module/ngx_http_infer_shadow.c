
/*
 * infer_shadow: a second model, the float twin of one in INT8 or the next
 * version, computes some of the requests once more, and how far it is from
 * what was answered is counted.
 *
 * What the first model was given and its probabilities are kept until the
 * answer has been sent, then wait, a bounded number of requests in each
 * worker, for a moment in which no request waits for a thread.  The shadow
 * runs on one thread of the pool, in small pieces: when a request comes, it
 * lets all pieces fall that are left, gives the thread back, and begins anew
 * later.  So an answer is held up by one piece at most.
 */


#include "ngx_http_infer_sample.h"


/* requests, and bytes of them, that wait in a worker */
#define NGX_HTTP_INFER_SHADOWS       16
#define NGX_HTTP_INFER_SHADOW_BYTES  (16 * 1024 * 1024)

/* into so many pieces, or twice as many, layers are cut at least */
#define NGX_HTTP_INFER_PIECES        8

/* milliseconds until it is tried again whether the threads are idle */
#define NGX_HTTP_INFER_SHADOW_RETRY  10


struct ngx_http_infer_shadow_s {
    infer_parallel_t             parallel;
    ngx_http_infer_model_t      *primary;
    ngx_http_infer_model_t      *model;
    ngx_http_infer_compared_t   *compared;    /* in shared memory */

    /* of this worker */
    infer_session_t             *session;     /* once it was needed */
    ngx_http_infer_pool_t       *pool;        /* of the sample */
    ngx_queue_t                  queue;       /* the first one runs */
    ngx_uint_t                   n;
    size_t                       bytes;
    ngx_event_t                  timer;
    ngx_thread_task_t            thread;
    ngx_uint_t                   running;
    ngx_uint_t                   gave_way;    /* set by the thread */
};


static ngx_http_infer_shadow_t *ngx_http_infer_create_shadow(ngx_conf_t *cf,
    ngx_http_infer_model_t *primary, ngx_http_infer_model_t *model);
static void ngx_http_infer_free_shadow(void *data);
static ngx_int_t ngx_http_infer_init_shadow(ngx_shm_zone_t *zone, void *data);
static ngx_uint_t ngx_http_infer_same_ports(const infer_model_t *a,
    const infer_model_t *b);
static ngx_uint_t ngx_http_infer_same_port(infer_port_t *a, infer_port_t *b);

static void ngx_http_infer_start_shadow(ngx_http_infer_shadow_t *shadow);
static void ngx_http_infer_shadow_timer(ngx_event_t *ev);
static void ngx_http_infer_shadow_done(ngx_event_t *ev);
static void ngx_http_infer_remove_shadow(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_sample_t *sample);

static void ngx_http_infer_shadow_handler(void *data, ngx_log_t *log);
static ngx_int_t ngx_http_infer_shadow_item(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_item_t *item, const infer_preprocess_t *pp);
static ngx_int_t ngx_http_infer_shadow_input(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_item_t *item, const infer_preprocess_t *pp);
static void ngx_http_infer_shadow_run(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n);
static ngx_uint_t ngx_http_infer_gives_way(ngx_http_infer_shadow_t *shadow);
static ngx_int_t ngx_http_infer_compare(ngx_http_infer_compared_t *c,
    const float *a, const float *b, size_t n);
static void ngx_http_infer_raise(ngx_atomic_t *max, ngx_atomic_uint_t value);


/* upper bounds of all buckets but the last */
const double  ngx_http_infer_shadow_bounds[NGX_HTTP_INFER_SHADOW_BUCKETS - 1] =
    { 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1 };


/* FILE [sample=SHARE], or off */

char *
ngx_http_infer_shadow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t                     *value, text;
    ngx_http_infer_shadow_conf_t  *shadow;

    if (ilcf->monitor.shadow != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        ilcf->monitor.shadow = NULL;
        return NGX_CONF_OK;
    }

    shadow = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_shadow_conf_t));
    if (shadow == NULL) {
        return NGX_CONF_ERROR;
    }

    shadow->file = value[1];
    shadow->conf_name = cf->conf_file->file.name;
    shadow->conf_line = cf->conf_file->line;
    shadow->share = 0.01;

    if (cf->args->nelts == 3) {
        text.data = value[2].data + 7;
        text.len = value[2].len - 7;

        if (ngx_strncmp(value[2].data, "sample=", 7) != 0
            || ngx_http_infer_parse_share(&text, &shadow->share) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    ilcf->monitor.shadow = shadow;

    return NGX_CONF_OK;
}


/*
 * The zone's name has both models in it: what is counted goes on over a reload
 * as long as they are the same files.
 */

ngx_int_t
ngx_http_infer_add_shadow(ngx_conf_t *cf, ngx_http_infer_service_t *service)
{
    uint64_t                       hash[4];
    ngx_str_t                      name;
    ngx_shm_zone_t                *zone;
    ngx_http_infer_model_t        *model;
    ngx_http_infer_endpoint_t     *ep;
    ngx_http_infer_shadow_conf_t  *conf;

    ep = service->endpoint;
    conf = service->conf->monitor.shadow;

    if (conf == NULL || ep->shadow) {
        return NGX_OK;
    }

    model = ngx_http_infer_load_at(cf, &conf->file, &conf->conf_name,
                                   conf->conf_line, service->conf);

    name.data = ngx_pnalloc(cf->pool, sizeof("infer_shadow:::") + ep->name.len
                                      + ep->version.len + 64);

    if (model == NULL || name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_infer_hash_id(&ep->model->zone_name, &hash[0]);
    ngx_http_infer_hash_id(&model->zone_name, &hash[2]);

    name.len = ngx_sprintf(name.data, "infer_shadow:%V:%V:%016xL%016xL%016xL"
                           "%016xL", &ep->name, &ep->version, hash[0], hash[1],
                           hash[2], hash[3])
               - name.data;

    zone = ngx_http_infer_add_zone(cf, &name,
                                   sizeof(ngx_http_infer_compared_t),
                                   ngx_http_infer_init_shadow);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    if (zone->data) {
        /* another location has the same two */
        ep->shadow = zone->data;
        return NGX_OK;
    }

    zone->data = ngx_http_infer_create_shadow(cf, ep->model, model);
    ep->shadow = zone->data;

    return ep->shadow ? NGX_OK : NGX_ERROR;
}


static ngx_http_infer_shadow_t *
ngx_http_infer_create_shadow(ngx_conf_t *cf, ngx_http_infer_model_t *primary,
    ngx_http_infer_model_t *model)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_infer_shadow_t     *shadow, **all;
    ngx_http_infer_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    shadow = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_shadow_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (shadow == NULL || cln == NULL) {
        return NULL;
    }

    shadow->parallel.run = ngx_http_infer_shadow_run;
    shadow->parallel.slots = NGX_HTTP_INFER_PIECES;
    shadow->parallel.host = shadow;
    shadow->primary = primary;
    shadow->model = model;
    shadow->timer.handler = ngx_http_infer_shadow_timer;
    shadow->timer.data = shadow;
    shadow->timer.log = &cf->cycle->new_log;
    shadow->timer.cancelable = 1;

    ngx_queue_init(&shadow->queue);

    cln->handler = ngx_http_infer_free_shadow;
    cln->data = shadow;

    all = ngx_array_push(&imcf->shadows);
    if (all == NULL) {
        return NULL;
    }

    *all = shadow;

    return shadow;
}


static void
ngx_http_infer_free_shadow(void *data)
{
    ngx_http_infer_shadow_t *shadow = data;

    infer_session_free(shadow->session);
}


/* both models are there: their zones were added before */

static ngx_int_t
ngx_http_infer_init_shadow(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_infer_shadow_t *old = data;

    ngx_http_infer_shadow_t  *shadow;

    shadow = zone->data;

    if (!ngx_http_infer_same_ports(shadow->primary->model,
                                   shadow->model->model))
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "infer_shadow \"%V\": its inputs or classes are not "
                      "those of \"%V\"", &shadow->model->path,
                      &shadow->primary->path);
        return NGX_ERROR;
    }

    if (old) {
        shadow->compared = old->compared;
        return NGX_OK;
    }

    shadow->compared = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                                       sizeof(ngx_http_infer_compared_t));

    return shadow->compared ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_infer_same_ports(const infer_model_t *a, const infer_model_t *b)
{
    size_t        i;
    infer_port_t  one, other;

    if (infer_model_inputs(a) != infer_model_inputs(b)
        || infer_model_classes(a) == 0
        || infer_model_classes(a) != infer_model_classes(b))
    {
        return 0;
    }

    for (i = 0; i < infer_model_inputs(a); i++) {
        infer_model_input(a, i, &one);
        infer_model_input(b, i, &other);

        if (!ngx_http_infer_same_port(&one, &other)) {
            return 0;
        }
    }

    return 1;
}


/* a batch of one may be open or not */

static ngx_uint_t
ngx_http_infer_same_port(infer_port_t *a, infer_port_t *b)
{
    int  i;

    if (a->dtype != b->dtype || a->rank != b->rank) {
        return 0;
    }

    for (i = 0; i < a->rank; i++) {
        if ((a->dim[i] == INFER_BATCH ? 1 : a->dim[i])
            != (b->dim[i] == INFER_BATCH ? 1 : b->dim[i]))
        {
            return 0;
        }
    }

    return 1;
}


/* on the event loop: it is the shadow's from here on */

void
ngx_http_infer_give_shadow(ngx_http_infer_sample_t *sample)
{
    ngx_http_infer_shadow_t  *shadow;

    shadow = sample->service->endpoint->shadow;

    if (shadow->n >= NGX_HTTP_INFER_SHADOWS
        || (shadow->n
            && shadow->bytes + sample->bytes > NGX_HTTP_INFER_SHADOW_BYTES)
        || ngx_exiting)
    {
        (void) ngx_atomic_fetch_add(&shadow->compared->busy, 1);
        ngx_http_infer_free_sample(sample);
        return;
    }

    ngx_queue_insert_tail(&shadow->queue, &sample->queue);
    shadow->n++;
    shadow->bytes += sample->bytes;

    ngx_http_infer_start_shadow(shadow);
}


static void
ngx_http_infer_start_shadow(ngx_http_infer_shadow_t *shadow)
{
    ngx_queue_t              *q;
    ngx_http_infer_sample_t  *sample;

    if (shadow->running || ngx_queue_empty(&shadow->queue) || ngx_exiting) {
        return;
    }

    q = ngx_queue_head(&shadow->queue);
    sample = ngx_queue_data(q, ngx_http_infer_sample_t, queue);

    shadow->pool = sample->service->conf->pool;
    shadow->gave_way = 0;
    shadow->thread.ctx = shadow;
    shadow->thread.handler = ngx_http_infer_shadow_handler;
    shadow->thread.event.data = shadow;
    shadow->thread.event.handler = ngx_http_infer_shadow_done;

    if (ngx_http_infer_gives_way(shadow)
        || ngx_thread_task_post(shadow->pool->thread_pool, &shadow->thread)
           != NGX_OK)
    {
        if (!shadow->timer.timer_set) {
            ngx_add_timer(&shadow->timer, NGX_HTTP_INFER_SHADOW_RETRY);
        }

        return;
    }

    shadow->running = 1;
}


static void
ngx_http_infer_shadow_timer(ngx_event_t *ev)
{
    ngx_http_infer_start_shadow(ev->data);
}


static void
ngx_http_infer_shadow_done(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_http_infer_shadow_t  *shadow;

    shadow = ev->data;
    shadow->running = 0;

    if (!shadow->gave_way) {
        q = ngx_queue_head(&shadow->queue);
        ngx_http_infer_remove_shadow(shadow,
            ngx_queue_data(q, ngx_http_infer_sample_t, queue));
    }

    ngx_http_infer_start_shadow(shadow);
}


static void
ngx_http_infer_remove_shadow(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_sample_t *sample)
{
    ngx_queue_remove(&sample->queue);

    shadow->n--;
    shadow->bytes -= sample->bytes;

    ngx_http_infer_free_sample(sample);
}


/* a worker exits; its threads have ended */

void
ngx_http_infer_drop_shadows(ngx_cycle_t *cycle)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_infer_shadow_t     **shadow;
    ngx_http_infer_main_conf_t   *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_infer_module);

    if (imcf == NULL) {
        return;
    }

    shadow = imcf->shadows.elts;

    for (i = 0; i < imcf->shadows.nelts; i++) {

        while (!ngx_queue_empty(&shadow[i]->queue)) {
            q = ngx_queue_head(&shadow[i]->queue);

            (void) ngx_atomic_fetch_add(&shadow[i]->compared->busy, 1);
            ngx_http_infer_remove_shadow(shadow[i],
                ngx_queue_data(q, ngx_http_infer_sample_t, queue));
        }
    }
}


ngx_http_infer_compared_t *
ngx_http_infer_get_compared(ngx_http_infer_endpoint_t *ep)
{
    return ep->shadow ? ep->shadow->compared : NULL;
}


/* from here on: in a thread */

/* what cannot be kept is not worth a try: the last look is the event loop's */

ngx_uint_t
ngx_http_infer_wants_shadow(ngx_http_infer_sample_t *sample)
{
    ngx_http_infer_shadow_t  *shadow;

    shadow = sample->service->endpoint->shadow;

    if (shadow == NULL
        || !ngx_http_infer_sample_chosen(sample,
                                         sample->service->conf->monitor
                                             .shadow->share))
    {
        return 0;
    }

    if (shadow->n >= NGX_HTTP_INFER_SHADOWS) {
        (void) ngx_atomic_fetch_add(&shadow->compared->busy, 1);
        return 0;
    }

    return 1;
}


void
ngx_http_infer_keep_probabilities(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item, infer_session_t *session, size_t place)
{
    size_t        size;
    const float  *p;

    p = infer_session_probabilities(session, place);

    size = infer_model_classes(sample->service->endpoint->model->model)
           * sizeof(float);

    item->probabilities = p ? malloc(size) : NULL;

    if (item->probabilities) {
        ngx_memcpy(item->probabilities, p, size);
        sample->bytes += size;
    }
}


static void
ngx_http_infer_shadow_handler(void *data, ngx_log_t *log)
{
    ngx_http_infer_shadow_t *shadow = data;

    ngx_int_t                 rc;
    ngx_queue_t              *q;
    infer_error_t             err;
    ngx_http_infer_item_t    *item;
    ngx_http_infer_sample_t  *sample;

    /* nobody else touches the head of the queue */

    q = ngx_queue_head(&shadow->queue);
    sample = ngx_queue_data(q, ngx_http_infer_sample_t, queue);

    if (ngx_http_infer_gives_way(shadow)) {
        shadow->gave_way = 1;
        return;
    }

    if (shadow->session == NULL) {
        shadow->session = infer_session_create(shadow->model->model, 1,
                                               NGX_HTTP_INFER_PIECES, &err);
    }

    for (item = sample->items; item; item = item->next) {

        if (item->compared) {
            continue;
        }

        rc = shadow->session ? ngx_http_infer_shadow_item(shadow, item,
                                               &sample->service->preprocess)
                             : NGX_ERROR;

        if (rc == NGX_AGAIN) {
            shadow->gave_way = 1;
            return;
        }

        if (rc == NGX_ERROR) {
            (void) ngx_atomic_fetch_add(&shadow->compared->failed, 1);
        }

        item->compared = 1;
    }
}


/* NGX_AGAIN: it gave way */

static ngx_int_t
ngx_http_infer_shadow_item(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_item_t *item, const infer_preprocess_t *pp)
{
    const float  *p;

    if (item->probabilities == NULL
        || ngx_http_infer_shadow_input(shadow, item, pp) != NGX_OK)
    {
        return NGX_ERROR;
    }

    infer_session_run(shadow->session, &shadow->parallel);

    if (shadow->gave_way) {
        return NGX_AGAIN;
    }

    p = infer_session_probabilities(shadow->session, 0);

    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_infer_compare(shadow->compared, item->probabilities, p,
                                  infer_model_classes(shadow->model->model));
}


static ngx_int_t
ngx_http_infer_shadow_input(ngx_http_infer_shadow_t *shadow,
    ngx_http_infer_item_t *item, const infer_preprocess_t *pp)
{
    int              d;
    size_t           i, size;
    u_char          *data;
    infer_tensor_t   t;

    if (item->image.pixels) {
        return infer_session_set_image(shadow->session, 0, &item->image, pp)
               == 0 ? NGX_OK : NGX_ERROR;
    }

    data = item->tensors;

    if (data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < infer_model_inputs(shadow->model->model); i++) {
        infer_session_set_input(shadow->session, i, data);
        infer_session_input_tensor(shadow->session, i, &t);

        size = infer_dtype_size(t.dtype);

        for (d = 0; d < t.rank; d++) {
            size *= t.dim[d];
        }

        data += size;
    }

    return NGX_OK;
}


/* once a piece was left out, the others are worth nothing */

static void
ngx_http_infer_shadow_run(const infer_parallel_t *parallel,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n)
{
    size_t                    i;
    ngx_http_infer_shadow_t  *shadow;

    shadow = parallel->host;

    for (i = 0; i < n; i++) {

        if (shadow->gave_way || ngx_http_infer_gives_way(shadow)) {
            shadow->gave_way = 1;
            return;
        }

        task(arg, i, 0);
    }
}


static ngx_uint_t
ngx_http_infer_gives_way(ngx_http_infer_shadow_t *shadow)
{
    ngx_memory_barrier();

    return shadow->pool->waiting || ngx_exiting || ngx_terminate;
}


static ngx_int_t
ngx_http_infer_compare(ngx_http_infer_compared_t *c, const float *a,
    const float *b, size_t n)
{
    double  error, gap;
    size_t  i, top_a, top_b;

    top_a = 0;
    top_b = 0;
    error = 0;

    for (i = 0; i < n; i++) {

        if (!isfinite(a[i]) || !isfinite(b[i])) {
            return NGX_ERROR;
        }

        if (a[i] > a[top_a]) {
            top_a = i;
        }

        if (b[i] > b[top_b]) {
            top_b = i;
        }

        error = ngx_max(error, fabs((double) a[i] - b[i]));
    }

    gap = fabs((double) a[top_a] - b[top_b]);

    for (i = 0; i < NGX_HTTP_INFER_SHADOW_BUCKETS - 1; i++) {
        if (error <= ngx_http_infer_shadow_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&c->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&c->error, (ngx_atomic_int_t) (error * 1e9));
    (void) ngx_atomic_fetch_add(&c->gap, (ngx_atomic_int_t) (gap * 1e9));

    ngx_http_infer_raise(&c->max_error, error * 1e9);
    ngx_http_infer_raise(&c->max_relative, error / a[top_a] * 1e9);

    (void) ngx_atomic_fetch_add(top_a == top_b ? &c->same : &c->other, 1);

    return NGX_OK;
}


static void
ngx_http_infer_raise(ngx_atomic_t *max, ngx_atomic_uint_t value)
{
    ngx_atomic_uint_t  old;

    do {
        old = *max;
    } while (old < value && !ngx_atomic_cmp_set(max, old, value));
}


json_t *
ngx_http_infer_shadow_json(ngx_http_infer_compared_t *c)
{
    json_t    *object;
    uint64_t   n;

    object = json_pack("{s:I, s:I, s:I, s:I}",
                       "same", (json_int_t) c->same,
                       "other", (json_int_t) c->other,
                       "busy", (json_int_t) c->busy,
                       "failed", (json_int_t) c->failed);

    n = c->same + c->other;

    if (n) {
        json_object_set_new(object, "agreement",
                            json_real((double) c->same / n));
        json_object_set_new(object, "confidence_gap",
                            json_real(c->gap / 1e9 / n));
        json_object_set_new(object, "error", json_real(c->error / 1e9 / n));
        json_object_set_new(object, "max_error", json_real(c->max_error / 1e9));
        json_object_set_new(object, "max_relative_error",
                            json_real(c->max_relative / 1e9));
    }

    return object;
}
