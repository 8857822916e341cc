
/*
 * $infer_*.  Values are written straight into the request's table when they
 * become known, not fetched from a module context when they are asked for:
 * an internal redirect clears the contexts, but not the table, before the log
 * is written.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_variable_not_found(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_infer_set_time(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable, uint64_t ns);
static ngx_int_t ngx_http_infer_set_class(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);


static ngx_str_t  ngx_http_infer_variable_names[] = {
    ngx_string("infer_class"),
    ngx_string("infer_label"),
    ngx_string("infer_confidence"),
    ngx_string("infer_model"),
    ngx_string("infer_version"),
    ngx_string("infer_time"),
    ngx_string("infer_queue_time"),
    ngx_string("infer_error"),
    ngx_string("infer_status")
};


static ngx_int_t
    ngx_http_infer_variable_index[NGX_HTTP_INFER_VARIABLES];


ngx_int_t
ngx_http_infer_add_variables(ngx_conf_t *cf)
{
    ngx_int_t             index;
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    for (i = 0; i < NGX_HTTP_INFER_VARIABLES; i++) {

        var = ngx_http_add_variable(cf, &ngx_http_infer_variable_names[i], 0);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_http_infer_variable_not_found;

        index = ngx_http_get_variable_index(cf,
                                            &ngx_http_infer_variable_names[i]);
        if (index == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_http_infer_variable_index[i] = index;
    }

    return ngx_http_infer_find_request_id(cf);
}


static ngx_int_t
ngx_http_infer_variable_not_found(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}


void
ngx_http_infer_set_variable(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable, ngx_str_t *text)
{
    ngx_http_variable_value_t  *v;

    v = &r->variables[ngx_http_infer_variable_index[variable]];

    v->data = text->data;
    v->len = text->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


void
ngx_http_infer_clear_variables(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_variable_value_t  *v;

    for (i = 0; i < NGX_HTTP_INFER_VARIABLES; i++) {
        v = &r->variables[ngx_http_infer_variable_index[i]];

        v->valid = 0;
        v->not_found = 1;
    }
}


void
ngx_http_infer_set_model_variables(ngx_http_request_t *r,
    ngx_http_infer_endpoint_t *ep)
{
    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_MODEL, &ep->name);

    if (ep->version.len) {
        ngx_http_infer_set_variable(r, NGX_HTTP_INFER_MODEL_VERSION,
                                    &ep->version);
    }
}


ngx_int_t
ngx_http_infer_set_status_variable(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t  text;

    text.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, "%ui", status) - text.data;

    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_STATUS_CODE, &text);

    return NGX_OK;
}


ngx_uint_t
ngx_http_infer_variable_is_set(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable)
{
    return r->variables[ngx_http_infer_variable_index[variable]].valid;
}


ngx_int_t
ngx_http_infer_set_result_variables(ngx_http_request_t *r,
    ngx_http_infer_ctx_t *ctx, ngx_http_infer_task_t *task)
{
    if (ngx_http_infer_set_time(r, NGX_HTTP_INFER_QUEUE_TIME,
                                task->started - ctx->admitted)
        != NGX_OK
        || ngx_http_infer_set_time(r, NGX_HTTP_INFER_TIME,
                                   task->finished - task->started)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (task->reason != NGX_HTTP_INFER_OK) {
        return NGX_OK;
    }

    if (ngx_http_infer_set_status_variable(r, NGX_HTTP_OK) != NGX_OK) {
        return NGX_ERROR;
    }

    if (task->ntop == 0) {
        return NGX_OK;
    }

    return ngx_http_infer_set_class(r, task);
}


/* seconds and microseconds */

static ngx_int_t
ngx_http_infer_set_time(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable, uint64_t ns)
{
    ngx_str_t  text;

    text.data = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000000"));
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, "%uL.%06uL", ns / 1000000000,
                           ns % 1000000000 / 1000)
               - text.data;

    ngx_http_infer_set_variable(r, variable, &text);

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_set_class(ngx_http_request_t *r, ngx_http_infer_task_t *task)
{
    ngx_str_t  text;

    text.data = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, "%uz", task->top[0].class_id)
               - text.data;

    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_CLASS, &text);

    /* "%.9g": at most a sign, 9 digits, a point, and e-38 */

    text.data = ngx_pnalloc(r->pool, 32);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = snprintf((char *) text.data, 32, "%.9g",
                        (double) task->top[0].probability);

    ngx_http_infer_set_variable(r, NGX_HTTP_INFER_CONFIDENCE, &text);

    text = ngx_http_infer_label(task->service, task->top[0].class_id);

    if (text.len) {
        ngx_http_infer_set_variable(r, NGX_HTTP_INFER_LABEL, &text);
    }

    return NGX_OK;
}
