
/*
 * A body over client_max_body_size is refused by nginx itself, before or
 * after our handler has been called.  To answer in JSON and set variables,
 * the error page of an endpoint is the endpoint itself, under the name of a
 * named location.  (By its URI it would be refused again, for the same
 * Content-Length.)  The named one has the error pages of the configuration,
 * and so goes on to a page for 413 if there is one.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_add_named_location(ngx_conf_t *cf,
    ngx_http_infer_named_t *named);


ngx_int_t
ngx_http_infer_add_error_page(ngx_conf_t *cf, ngx_http_infer_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    u_char                      *name;
    ngx_uint_t                   n;
    ngx_array_t                 *pages;
    ngx_http_err_page_t         *page;
    ngx_http_infer_named_t      *named;
    ngx_http_infer_main_conf_t  *imcf;

    conf->error_pages = clcf->error_pages;

    n = conf->error_pages ? conf->error_pages->nelts : 0;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    pages = ngx_array_create(cf->pool, n + 1, sizeof(ngx_http_err_page_t));
    named = ngx_array_push(&imcf->named);
    name = ngx_pnalloc(cf->pool, sizeof("@infer:") + NGX_INT_T_LEN);

    if (pages == NULL || named == NULL || name == NULL) {
        return NGX_ERROR;
    }

    named->name.data = name;
    named->name.len = ngx_sprintf(name, "@infer:%ui", imcf->named.nelts)
                      - name;
    named->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    named->clcf = clcf;
    named->error_pages = conf->error_pages;

    page = ngx_array_push_n(pages, n + 1);

    ngx_memzero(page, sizeof(ngx_http_err_page_t));

    page->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page->overwrite = -1;
    page->value.value = named->name;

    if (n) {
        ngx_memcpy(page + 1, conf->error_pages->elts,
                   n * sizeof(ngx_http_err_page_t));
    }

    clcf->error_pages = pages;

    return NGX_OK;
}


/* once nginx has made its own tables of named locations */

ngx_int_t
ngx_http_infer_add_named_locations(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_http_infer_named_t       *named;
    ngx_http_infer_main_conf_t   *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);
    named = imcf->named.elts;

    for (i = 0; i < imcf->named.nelts; i++) {
        if (ngx_http_infer_add_named_location(cf, &named[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_add_named_location(ngx_conf_t *cf,
    ngx_http_infer_named_t *named)
{
    void                       **loc_conf;
    ngx_uint_t                   n;
    ngx_http_core_loc_conf_t    *clcf, **table;

    clcf = ngx_palloc(cf->pool, sizeof(ngx_http_core_loc_conf_t));
    loc_conf = ngx_palloc(cf->pool, ngx_http_max_module * sizeof(void *));

    if (clcf == NULL || loc_conf == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(loc_conf, named->clcf->loc_conf,
               ngx_http_max_module * sizeof(void *));

    loc_conf[ngx_http_core_module.ctx_index] = clcf;

    *clcf = *named->clcf;

    clcf->name = named->name;
    clcf->loc_conf = loc_conf;
    clcf->error_pages = named->error_pages;

    n = 0;

    if (named->cscf->named_locations) {
        while (named->cscf->named_locations[n]) {
            n++;
        }
    }

    table = ngx_palloc(cf->pool, (n + 2) * sizeof(ngx_http_core_loc_conf_t *));
    if (table == NULL) {
        return NGX_ERROR;
    }

    if (n) {
        ngx_memcpy(table, named->cscf->named_locations,
                   n * sizeof(ngx_http_core_loc_conf_t *));
    }

    table[n] = clcf;
    table[n + 1] = NULL;

    named->cscf->named_locations = table;

    return NGX_OK;
}
