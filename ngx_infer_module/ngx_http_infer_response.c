
/*
 * Everything that we answer is JSON, but an error for which the configuration
 * has an error_page.
 */


#include "ngx_http_infer_module.h"


/* nine digits tell any two floats apart */
#define NGX_HTTP_INFER_JSON_FLAGS  JSON_REAL_PRECISION(9)


static ngx_int_t ngx_http_infer_send_answer(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);
static void ngx_http_infer_free_answer(void *data);
static ngx_uint_t ngx_http_infer_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_infer_set_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *why);
static ngx_int_t ngx_http_infer_allow(ngx_http_request_t *r);
static json_t *ngx_http_infer_json_class(ngx_http_infer_service_t *service,
    infer_class_t *top);
static json_t *ngx_http_infer_json_top(ngx_http_infer_task_t *task);
static json_t *ngx_http_infer_json_ports(const infer_model_t *model,
    size_t n, void (*get)(const infer_model_t *model, size_t i,
    infer_port_t *port));
static json_t *ngx_http_infer_json_port(infer_port_t *port);
static void ngx_http_infer_json_model(json_t *root,
    ngx_http_infer_endpoint_t *ep);


ngx_int_t
ngx_http_infer_send_result(ngx_http_request_t *r, ngx_http_infer_task_t *task)
{
    json_t  *root;

    if (task->service->conf->guard) {
        return NGX_DECLINED;
    }

    if (task->answer.data) {
        return ngx_http_infer_send_answer(r, task);
    }

    root = ngx_http_infer_json_class(task->service, &task->top[0]);

    ngx_http_infer_json_model(root, task->service->endpoint);

    if (task->service->conf->top_k) {
        json_object_set_new(root, "top", ngx_http_infer_json_top(task));
    }

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


/* the request takes the answer's memory over */

static ngx_int_t
ngx_http_infer_send_answer(ngx_http_request_t *r, ngx_http_infer_task_t *task)
{
    u_char                    *p;
    ngx_str_t                  type;
    ngx_pool_cleanup_t        *cln;
    ngx_http_complex_value_t   cv;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_infer_free_answer;
    cln->data = task->pool;
    task->pool = NULL;

    ngx_str_set(&type, "application/json");

    if (task->answer_json >= 0) {
        ngx_str_set(&type, "application/octet-stream");

        p = ngx_pnalloc(r->pool, NGX_OFF_T_LEN + 1);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        *ngx_sprintf(p, "%O", task->answer_json) = '\0';

        if (ngx_http_infer_add_header(r, "Inference-Header-Content-Length",
                                      (char *) p)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value = task->answer;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static void
ngx_http_infer_free_answer(void *data)
{
    ngx_destroy_pool(data);
}


ngx_uint_t
ngx_http_infer_is_ready(void)
{
    /* models are loaded and tested before there are workers */

    return !ngx_exiting && !ngx_quit && !ngx_terminate;
}


ngx_int_t
ngx_http_infer_send_description(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t               *root;
    const infer_model_t  *model;

    model = service->endpoint->model->model;

    root = json_object();

    ngx_http_infer_json_model(root, service->endpoint);

    json_object_set_new(root, "inputs",
                        ngx_http_infer_json_ports(model,
                                                  infer_model_inputs(model),
                                                  infer_model_input));
    json_object_set_new(root, "outputs",
                        ngx_http_infer_json_ports(model,
                                                  infer_model_outputs(model),
                                                  infer_model_output));
    json_object_set_new(root, "classes",
                        json_integer(infer_model_classes(model)));

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


ngx_int_t
ngx_http_infer_send_options(ngx_http_request_t *r)
{
    ngx_http_complex_value_t  cv;

    if (ngx_http_infer_allow(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    return ngx_http_send_response(r, NGX_HTTP_NO_CONTENT, NULL, &cv);
}


ngx_int_t
ngx_http_infer_send_error(ngx_http_request_t *r,
    ngx_http_infer_reason_e reason, const char *why)
{
    json_t                *root;
    ngx_int_t              rc;
    ngx_str_t              text;
    ngx_uint_t             again, status;
    ngx_http_infer_ctx_t  *ctx;

    ctx = ngx_http_infer_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_infer_count(ctx, reason);

    status = ngx_http_infer_reasons[reason].status;

    /* an error page has led here again: the first reason stands */

    again = (r->err_status == status
             && ngx_http_infer_variable_is_set(r, NGX_HTTP_INFER_ERROR));

    rc = again ? NGX_OK : ngx_http_infer_set_error(r, status, why);

    if (rc == NGX_OK && ctx->guard
        && ctx->service->conf->guard_failure == NGX_HTTP_INFER_PASS)
    {
        return NGX_DECLINED;
    }

    if (rc == NGX_OK && status == NGX_HTTP_NOT_ALLOWED) {
        rc = ngx_http_infer_allow(r);
    }

    if (rc == NGX_OK && status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        rc = ngx_http_infer_add_header(r, "Retry-After", "1");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_infer_has_error_page(r, status)) {
        return status;
    }

    text.data = (u_char *) why;
    text.len = ngx_strlen(why);

    root = json_object();

    json_object_set_new(root, "error", ngx_http_infer_json_string(&text));

    return ngx_http_infer_send_json(r, status, root);
}


ngx_int_t
ngx_http_infer_send_json(ngx_http_request_t *r, ngx_uint_t status,
    json_t *root)
{
    size_t                    len;
    u_char                   *p;
    ngx_str_t                 type = ngx_string("application/json");
    ngx_http_complex_value_t  cv;

    len = json_dumpb(root, NULL, 0, NGX_HTTP_INFER_JSON_FLAGS);

    p = len ? ngx_pnalloc(r->pool, len + 1) : NULL;

    if (p) {
        (void) json_dumpb(root, (char *) p, len, NGX_HTTP_INFER_JSON_FLAGS);
        p[len] = LF;
    }

    json_decref(root);

    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = p;
    cv.value.len = len + 1;

    return ngx_http_send_response(r, status, &type, &cv);
}


/* whether nginx would find a page of the configuration */

static ngx_uint_t
ngx_http_infer_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                  i;
    ngx_http_err_page_t        *page;
    ngx_http_infer_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    if (r->error_page || ilcf->error_pages == NULL) {
        return 0;
    }

    page = ilcf->error_pages->elts;

    for (i = 0; i < ilcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


/* the text may lie in a task that is about to be freed */

static ngx_int_t
ngx_http_infer_set_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *why)
{
    ngx_str_t   text;
    ngx_uint_t  level;

    level = (status < NGX_HTTP_INTERNAL_SERVER_ERROR) ? NGX_LOG_INFO
                                                      : NGX_LOG_ERR;

    ngx_log_error(level, r->connection->log, 0, "infer: %s", why);

    text.len = ngx_strlen(why);
    text.data = ngx_pnalloc(r->pool, text.len);

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text.data, why, text.len);

    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_ERROR, &text);

    return ngx_http_infer_set_status_variable(r, status);
}


ngx_int_t
ngx_http_infer_add_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_allow(ngx_http_request_t *r)
{
    ngx_http_infer_service_t      *service;
    const ngx_http_infer_route_t  *route;

    (void) ngx_http_infer_find_route(r, &route, &service);

    return ngx_http_infer_add_header(r, "Allow", route->allow);
}


static json_t *
ngx_http_infer_json_class(ngx_http_infer_service_t *service,
    infer_class_t *top)
{
    json_t     *object;
    ngx_str_t   label;

    object = json_object();

    json_object_set_new(object, "class", json_integer(top->class_id));

    label = ngx_http_infer_label(service, top->class_id);

    if (label.len) {
        json_object_set_new(object, "label",
                            ngx_http_infer_json_string(&label));
    }

    json_object_set_new(object, "confidence", json_real(top->probability));

    return object;
}


static json_t *
ngx_http_infer_json_top(ngx_http_infer_task_t *task)
{
    size_t   i;
    json_t  *array;

    array = json_array();

    for (i = 0; i < task->ntop; i++) {
        json_array_append_new(array,
                              ngx_http_infer_json_class(task->service,
                                                        &task->top[i]));
    }

    return array;
}


static json_t *
ngx_http_infer_json_ports(const infer_model_t *model, size_t n,
    void (*get)(const infer_model_t *model, size_t i, infer_port_t *port))
{
    size_t         i;
    json_t        *array;
    infer_port_t   port;

    array = json_array();

    for (i = 0; i < n; i++) {
        get(model, i, &port);
        json_array_append_new(array, ngx_http_infer_json_port(&port));
    }

    return array;
}


static json_t *
ngx_http_infer_json_port(infer_port_t *port)
{
    int         i;
    json_t     *object, *shape;
    ngx_str_t   name;

    object = json_object();
    shape = json_array();

    name.data = (u_char *) port->name;
    name.len = ngx_strlen(port->name);

    json_object_set_new(object, "name", ngx_http_infer_json_string(&name));
    json_object_set_new(object, "datatype",
                        json_string(infer_dtype_name(port->dtype)));

    for (i = 0; i < port->rank; i++) {
        /* INFER_BATCH is -1: what clients know as any size */
        json_array_append_new(shape, json_integer(port->dim[i]));
    }

    json_object_set_new(object, "shape", shape);

    return object;
}


static void
ngx_http_infer_json_model(json_t *root, ngx_http_infer_endpoint_t *ep)
{
    json_object_set_new(root, "model", ngx_http_infer_json_string(&ep->name));

    if (ep->version.len) {
        json_object_set_new(root, "version",
                            ngx_http_infer_json_string(&ep->version));
    }
}


json_t *
ngx_http_infer_json_string(ngx_str_t *text)
{
    char    *copy;
    size_t   i;
    json_t  *string;

    string = json_stringn((char *) text->data, text->len);

    if (string) {
        return string;
    }

    copy = malloc(text->len);
    if (copy == NULL) {
        return NULL;
    }

    for (i = 0; i < text->len; i++) {
        copy[i] = (text->data[i] < 0x80) ? text->data[i] : '?';
    }

    string = json_stringn(copy, text->len);

    free(copy);

    return string;
}


ngx_int_t
ngx_http_infer_text_valid(ngx_str_t *text)
{
    size_t   i;
    json_t  *string;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20 || text->data[i] == 0x7f) {
            return NGX_DECLINED;
        }
    }

    string = json_stringn(text->data ? (char *) text->data : "", text->len);

    if (string == NULL) {
        return NGX_DECLINED;
    }

    json_decref(string);

    return NGX_OK;
}
