
/*
 * Directives, their inheritance, and the content handler.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_read_body(ngx_http_request_t *r);
static void ngx_http_infer_body_handler(ngx_http_request_t *r);

static ngx_int_t ngx_http_infer_postconfiguration(ngx_conf_t *cf);
static void ngx_http_infer_exit_worker(ngx_cycle_t *cycle);
static void *ngx_http_infer_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_infer_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_infer_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_infer_copy_services(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf, ngx_http_infer_loc_conf_t *prev);
static char *ngx_http_infer_init_location(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf);
static char *ngx_http_infer_labels(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_infer_preprocess(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_infer_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_num_bounds_t  ngx_http_infer_top_k_bounds = {
    ngx_conf_check_num_bounds, 0, 1000
};


static ngx_conf_num_bounds_t  ngx_http_infer_queue_bounds = {
    ngx_conf_check_num_bounds, 1, 65535
};


static ngx_conf_num_bounds_t  ngx_http_infer_max_batch_bounds = {
    ngx_conf_check_num_bounds, 1, 65535
};


static ngx_conf_num_bounds_t  ngx_http_infer_threads_bounds = {
    ngx_conf_check_num_bounds, 1, 256
};


static ngx_conf_enum_t  ngx_http_infer_guard_failures[] = {
    { ngx_string("refuse"), NGX_HTTP_INFER_REFUSE },
    { ngx_string("pass"), NGX_HTTP_INFER_PASS },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_infer_feedback_bounds = {
    ngx_conf_check_num_bounds, 0, 10000000
};


static ngx_command_t  ngx_http_infer_commands[] = {

    { ngx_string("infer_model"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_infer_model,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_guard"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_infer_guard,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_guard_failure"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, guard_failure),
      &ngx_http_infer_guard_failures },

    { ngx_string("infer_labels"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_infer_labels,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_preprocess"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_infer_preprocess,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_top_k"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, top_k),
      &ngx_http_infer_top_k_bounds },

    { ngx_string("infer_winograd_budget"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, winograd_budget),
      NULL },

    { ngx_string("infer_input_shape"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_infer_input_shape,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_infer_thread_pool,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_threads"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, threads),
      &ngx_http_infer_threads_bounds },

    { ngx_string("infer_max_pixels"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, max_pixels),
      NULL },

    { ngx_string("infer_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, queue),
      &ngx_http_infer_queue_bounds },

    { ngx_string("infer_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, timeout),
      NULL },

    { ngx_string("infer_max_batch"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, max_batch),
      &ngx_http_infer_max_batch_bounds },

    { ngx_string("infer_batch"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_infer_batch,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_infer_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_infer_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_openapi"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_infer_openapi,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_ignore_client_abort"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, ignore_client_abort),
      NULL },

    { ngx_string("infer_feedback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, monitor.feedback),
      &ngx_http_infer_feedback_bounds },

    { ngx_string("infer_capture"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_infer_capture,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_shadow"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_infer_shadow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("infer_monitor"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_infer_loc_conf_t, monitor.monitor),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_infer_module_ctx = {
    ngx_http_infer_add_variables,          /* preconfiguration */
    ngx_http_infer_postconfiguration,      /* postconfiguration */

    ngx_http_infer_create_main_conf,       /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_infer_create_loc_conf,        /* create location configuration */
    ngx_http_infer_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_infer_module = {
    NGX_MODULE_V1,
    &ngx_http_infer_module_ctx,            /* module context */
    ngx_http_infer_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_infer_claim_worker,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_infer_exit_worker,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_int_t
ngx_http_infer_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_infer_service_t      *service;
    ngx_http_infer_loc_conf_t     *ilcf;
    const ngx_http_infer_route_t  *route;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    rc = ngx_http_infer_find_route(r, &route, &service);

    if (rc == NGX_OK) {
        ngx_http_infer_set_model_variables(r, service->endpoint);
    }

    if (r->internal && r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {

        /* by the error page that ngx_http_infer_add_error_page() has made */

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (clcf->error_pages == ilcf->error_pages) {
            r->error_page = 0;
        }

        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_BODY_SIZE,
                                         "the request body is larger than "
                                         "client_max_body_size");
    }

    if (rc != NGX_OK) {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_UNKNOWN_MODEL,
                                         "no such model or route");
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_http_infer_send_options(r);
    }

    if (!(r->method & route->methods)) {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_METHOD,
                                         "method not allowed");
    }

    if (r->method == NGX_HTTP_POST && route->read) {
        return ngx_http_infer_read_body(r);
    }

    return route->answer(r, service);
}


static ngx_int_t
ngx_http_infer_read_body(ngx_http_request_t *r)
{
    ngx_int_t    rc;
    ngx_str_t    boundary;
    const char  *reason;

    /* HTTP/2 and later delimit a body by themselves */

    if (r == r->main
        && r->http_version < NGX_HTTP_VERSION_20
        && r->headers_in.content_length_n == -1
        && !r->headers_in.chunked)
    {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_LENGTH,
                                         "Content-Length is required");
    }

    if (ngx_http_infer_body_type(r, &boundary, &reason) != NGX_OK) {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_MALFORMED, reason);
    }

    if (ngx_http_infer_json_size(r) == -2) {
        return ngx_http_infer_send_error(r, NGX_HTTP_INFER_MALFORMED,
                                         "Inference-Header-Content-Length is "
                                         "no number");
    }

    if (ngx_http_infer_get_ctx(r) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_infer_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_infer_body_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (ngx_http_infer_body_size(r) == 0) {
        rc = ngx_http_infer_send_error(r, NGX_HTTP_INFER_MALFORMED,
                                       "empty body");

    } else {
        rc = ngx_http_infer_submit(r);

        if (rc == NGX_DONE) {
            return;
        }
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_infer_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_infer_add_named_locations(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_infer_add_guard_handler(cf);
}


static void
ngx_http_infer_exit_worker(ngx_cycle_t *cycle)
{
    ngx_http_infer_drop_shadows(cycle);
    ngx_http_infer_release_worker(cycle);
}


static void *
ngx_http_infer_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_infer_main_conf_t  *imcf;

    imcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_main_conf_t));
    if (imcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     imcf->workers = NULL;
     *     imcf->guards = 0;
     */

    if (ngx_array_init(&imcf->named, cf->pool, 4,
                       sizeof(ngx_http_infer_named_t))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&imcf->pools, cf->pool, 1,
                       sizeof(ngx_http_infer_pool_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&imcf->endpoints, cf->pool, 4,
                       sizeof(ngx_http_infer_endpoint_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&imcf->shadows, cf->pool, 1,
                       sizeof(ngx_http_infer_shadow_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&imcf->locations, cf->pool, 4,
                       sizeof(ngx_http_infer_location_t))
        != NGX_OK)
    {
        return NULL;
    }

    return imcf;
}


static void *
ngx_http_infer_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_infer_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->services = NULL;
     *     conf->guard = 0;
     *     conf->nchecked = 0;
     *     conf->nlabelled = 0;
     *     conf->pool = NULL;
     *     conf->error_pages = NULL;
     *     conf->nv = 0;
     *     conf->shape_text = { 0, NULL };
     *     conf->inherited_shapes = 0;
     */

    conf->labels = NGX_CONF_UNSET_PTR;
    conf->settings = NGX_CONF_UNSET_PTR;
    conf->guard_failure = NGX_CONF_UNSET_UINT;
    conf->top_k = NGX_CONF_UNSET_UINT;
    conf->winograd_budget = NGX_CONF_UNSET_SIZE;
    conf->shapes = NGX_CONF_UNSET_PTR;
    conf->thread_pool = NGX_CONF_UNSET_PTR;
    conf->threads = NGX_CONF_UNSET_UINT;
    conf->max_pixels = NGX_CONF_UNSET_SIZE;
    conf->queue = NGX_CONF_UNSET_UINT;
    conf->max_batch = NGX_CONF_UNSET_UINT;
    conf->batch_size = NGX_CONF_UNSET_UINT;
    conf->batch_delay = NGX_CONF_UNSET_MSEC;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->ignore_client_abort = NGX_CONF_UNSET;
    conf->monitor.feedback = NGX_CONF_UNSET_UINT;
    conf->monitor.capture = NGX_CONF_UNSET_PTR;
    conf->monitor.shadow = NGX_CONF_UNSET_PTR;
    conf->monitor.monitor = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_infer_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_infer_loc_conf_t *prev = parent;
    ngx_http_infer_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_ptr_value(conf->labels, prev->labels, NULL);
    ngx_conf_merge_ptr_value(conf->settings, prev->settings, NULL);
    ngx_conf_merge_uint_value(conf->guard_failure, prev->guard_failure,
                              NGX_HTTP_INFER_REFUSE);
    ngx_conf_merge_uint_value(conf->top_k, prev->top_k, 0);
    ngx_conf_merge_size_value(conf->winograd_budget, prev->winograd_budget,
                              INFER_WINOGRAD_BUDGET);
    conf->inherited_shapes = (conf->shapes == NGX_CONF_UNSET_PTR);
    ngx_conf_merge_ptr_value(conf->shapes, prev->shapes, NULL);
    ngx_conf_merge_str_value(conf->shape_text, prev->shape_text, "");
    ngx_conf_merge_ptr_value(conf->thread_pool, prev->thread_pool, NULL);
    ngx_conf_merge_uint_value(conf->threads, prev->threads, 1);
    ngx_conf_merge_size_value(conf->max_pixels, prev->max_pixels, 25000000);
    ngx_conf_merge_uint_value(conf->queue, prev->queue, 8);
    ngx_conf_merge_uint_value(conf->max_batch, prev->max_batch, 32);
    ngx_conf_merge_uint_value(conf->batch_size, prev->batch_size, 1);
    ngx_conf_merge_msec_value(conf->batch_delay, prev->batch_delay, 0);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_value(conf->ignore_client_abort,
                         prev->ignore_client_abort, 0);
    ngx_conf_merge_uint_value(conf->monitor.feedback, prev->monitor.feedback,
                              0);
    ngx_conf_merge_ptr_value(conf->monitor.capture, prev->monitor.capture,
                             NULL);
    ngx_conf_merge_ptr_value(conf->monitor.shadow, prev->monitor.shadow,
                             NULL);
    ngx_conf_merge_value(conf->monitor.monitor, prev->monitor.monitor, 1);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->services == NULL && prev->services
        && (clcf->noname || prev->guard))
    {
        /*
         * "if" and "limit_except" inside of an endpoint; and nobody gets
         * around a guard by a location inside of its own
         */

        if (ngx_http_infer_copy_services(cf, conf, prev) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        conf->guard = prev->guard;

        if (!conf->guard) {
            clcf->handler = ngx_http_infer_handler;
        }
    }

    if (conf->services) {
        return ngx_http_infer_init_location(cf, conf);
    }

    return NGX_CONF_OK;
}


/* the same models, to be checked with the directives of an "if" */

static ngx_int_t
ngx_http_infer_copy_services(ngx_conf_t *cf, ngx_http_infer_loc_conf_t *conf,
    ngx_http_infer_loc_conf_t *prev)
{
    ngx_uint_t                 i;
    ngx_http_infer_service_t  *from, *to;

    conf->services = ngx_array_create(cf->pool, prev->services->nelts,
                                      sizeof(ngx_http_infer_service_t));
    if (conf->services == NULL) {
        return NGX_ERROR;
    }

    from = prev->services->elts;

    for (i = 0; i < prev->services->nelts; i++) {
        to = ngx_array_push(conf->services);

        ngx_memzero(to, sizeof(ngx_http_infer_service_t));

        to->endpoint = from[i].endpoint;
        to->conf = conf;
    }

    return NGX_OK;
}


static char *
ngx_http_infer_init_location(ngx_conf_t *cf, ngx_http_infer_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_infer_service_t  *service;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->thread_pool == NULL) {
        conf->thread_pool = ngx_thread_pool_add(cf, NULL);
        if (conf->thread_pool == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    conf->pool = ngx_http_infer_add_pool(cf, conf->thread_pool);
    if (conf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_infer_check_batch_size(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    service = conf->services->elts;

    for (i = 0; i < conf->services->nelts; i++) {
        if (ngx_http_infer_add_model(cf, &service[i]) != NGX_OK
            || ngx_http_infer_add_feedback(cf, &service[i]) != NGX_OK
            || ngx_http_infer_add_shadow(cf, &service[i]) != NGX_OK
            || ngx_http_infer_add_monitor(cf, &service[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        ngx_http_infer_init_lane(cf, &service[i]);
    }

    if (conf->guard) {
        conf->error_pages = clcf->error_pages;

    } else if (ngx_http_infer_add_error_page(cf, conf, clcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_infer_labels(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t  *value;

    if (ilcf->labels != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ilcf->labels = ngx_http_infer_read_labels(cf, &value[1]);
    if (ilcf->labels == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * The settings are kept as they are written: they change what the model says,
 * and the model is not known here.
 */

static char *
ngx_http_infer_preprocess(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t           *value, *setting;
    ngx_uint_t           i;
    infer_error_t        err;
    infer_preprocess_t   pp;

    if (ilcf->settings != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ilcf->settings = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                      sizeof(ngx_str_t));
    if (ilcf->settings == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&pp, sizeof(infer_preprocess_t));

    for (i = 1; i < cf->args->nelts; i++) {

        if (infer_preprocess_set(&pp, (char *) value[i].data, &err) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "infer_preprocess: %s",
                               err.text);
            return NGX_CONF_ERROR;
        }

        setting = ngx_array_push(ilcf->settings);
        if (setting == NULL) {
            return NGX_CONF_ERROR;
        }

        *setting = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_infer_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t  *value;

    if (ilcf->thread_pool != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    /* nginx itself complains if the pool is not declared */

    ilcf->thread_pool = ngx_thread_pool_add(cf, &value[1]);
    if (ilcf->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
