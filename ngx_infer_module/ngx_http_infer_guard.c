
/*
 * infer_guard: what is uploaded is classified before nginx decides what to do
 * with the request, and goes on to its upstream untouched.
 *
 * The handler is one of the rewrite phase.  Handlers of modules that come
 * later run first: ours before that of ngx_http_rewrite_module, so that "if"
 * in the same location sees $infer_class.  The body is read as proxy_pass
 * would read it, and stays for proxy_pass; the computation has a copy.  The
 * request waits in its phase meanwhile, and is then called again.
 *
 * Whatever a guard cannot look into is refused, unless infer_guard_failure
 * says otherwise.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_guard_handler(ngx_http_request_t *r);
static void ngx_http_infer_guard_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_infer_guard_type(ngx_http_request_t *r,
    ngx_http_infer_reason_e *reason, const char **why);


char *
ngx_http_infer_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_http_infer_main_conf_t  *imcf;

    if (ilcf->services) {
        return ilcf->guard ? "is duplicate"
                           : "cannot stand beside infer_model";
    }

    if (ngx_http_infer_add_service(cf, ilcf) == NULL) {
        return NGX_CONF_ERROR;
    }

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    imcf->guards = 1;
    ilcf->guard = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_infer_add_guard_handler(ngx_conf_t *cf)
{
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_infer_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    if (!imcf->guards) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_infer_guard_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_guard_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_infer_ctx_t       *ctx;
    ngx_http_infer_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    if (!ilcf->guard || r != r->main
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_infer_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->answered) {
        return NGX_DECLINED;
    }

    ngx_http_infer_clear_variables(r);
    ngx_http_infer_set_model_variables(r, ctx->service->endpoint);

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_infer_guard_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_http_infer_guard_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    const char               *why;
    ngx_http_infer_ctx_t     *ctx;
    ngx_http_infer_reason_e   reason;

    if (ngx_http_infer_body_size(r) == 0) {

        /* chunks that are none: nothing to look at, and nothing to count */

        ctx = ngx_http_infer_get_ctx(r);
        ctx->answered = ngx_http_infer_now();
        rc = NGX_DECLINED;

    } else if (ngx_http_infer_guard_type(r, &reason, &why) != NGX_OK) {
        rc = ngx_http_infer_send_error(r, reason, why);

    } else {
        rc = ngx_http_infer_submit(r);

        if (rc == NGX_DONE) {
            return;
        }
    }

    ngx_http_infer_finalize(r, rc);
}


/*
 * What the header says of the body must mean the same to whoever gets it
 * after us: what is compressed, comes in parts of another kind, or is of two
 * types at once could be an image to us and another one to the upstream.
 */

static ngx_int_t
ngx_http_infer_guard_type(ngx_http_request_t *r,
    ngx_http_infer_reason_e *reason, const char **why)
{
    ngx_str_t        *type, boundary;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    static ngx_str_t  multipart = ngx_string("multipart/");

    *reason = NGX_HTTP_INFER_MALFORMED;

    if (ngx_http_infer_find_header(r, "content-type", &n) && n > 1) {
        *why = "more than one Content-Type";
        return NGX_DECLINED;
    }

    if (ngx_http_infer_body_type(r, &boundary, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    *reason = NGX_HTTP_INFER_FORMAT;

    h = ngx_http_infer_find_header(r, "content-encoding", &n);

    if (h && (n > 1 || h->value.len != 8
              || ngx_strncasecmp(h->value.data, (u_char *) "identity", 8)
                 != 0))
    {
        *why = "a body with Content-Encoding is not looked into";
        return NGX_DECLINED;
    }

    if (boundary.len == 0 && r->headers_in.content_type) {
        type = &r->headers_in.content_type->value;

        if (type->len >= multipart.len
            && ngx_strncasecmp(type->data, multipart.data, multipart.len)
               == 0)
        {
            *why = "of multipart bodies only forms are looked into";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


void
ngx_http_infer_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_DECLINED) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}
