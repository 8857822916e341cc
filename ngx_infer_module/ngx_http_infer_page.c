
/*
 * The page that infer_status is for a browser; its data it gets from
 * infer_status as every other client.
 */


#include "ngx_http_infer_module.h"


ngx_uint_t
ngx_http_infer_wants_page(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("Accept") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Accept",
                               sizeof("Accept") - 1)
               == 0
            && ngx_strcasestrn(h[i].value.data, "text/html",
                               sizeof("text/html") - 2))
        {
            return 1;
        }
    }
}


ngx_int_t
ngx_http_infer_status_headers(ngx_http_request_t *r)
{
    if (ngx_http_infer_add_header(r, "Vary", "Accept") != NGX_OK
        || ngx_http_infer_add_header(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_http_infer_add_header(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_send_page(ngx_http_request_t *r)
{
    ngx_str_t                 type = ngx_string("text/html; charset=utf-8");
    ngx_http_complex_value_t  cv;

    if (ngx_http_infer_add_header(r, "Content-Security-Policy",
                                  ngx_http_infer_page_policy)
        != NGX_OK
        || ngx_http_infer_add_header(r, "Referrer-Policy", "no-referrer")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value = ngx_http_infer_page;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}
