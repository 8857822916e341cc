
/*
 * Which locations of a server are ours, and under which paths clients find
 * them: for infer_openapi and infer_status, which tell.
 */


#include "ngx_http_infer_paths.h"


static ngx_int_t ngx_http_infer_escape_path(ngx_pool_t *pool, ngx_str_t *name,
    ngx_str_t *path);
static size_t ngx_http_infer_base_len(ngx_str_t *name);


ngx_int_t
ngx_http_infer_add_location(ngx_conf_t *cf, ngx_http_infer_content_e content)
{
    ngx_uint_t                   i;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_infer_location_t   *location;
    ngx_http_infer_main_conf_t  *imcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    imcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_infer_module);

    location = imcf->locations.elts;

    for (i = 0; i < imcf->locations.nelts; i++) {
        if (location[i].clcf == clcf) {
            return NGX_OK;
        }
    }

    location = ngx_array_push(&imcf->locations);
    if (location == NULL) {
        return NGX_ERROR;
    }

    location->content = content;
    location->clcf = clcf;
    location->cscf = ngx_http_conf_get_module_srv_conf(cf,
                                                       ngx_http_core_module);

    return NGX_OK;
}


ngx_http_infer_location_t *
ngx_http_infer_next_location(ngx_http_request_t *r, ngx_uint_t *i)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_infer_location_t   *location;
    ngx_http_infer_main_conf_t  *imcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    imcf = ngx_http_get_module_main_conf(r, ngx_http_infer_module);

    location = imcf->locations.elts;

    while (*i < imcf->locations.nelts) {
        clcf = location[*i].clcf;
        (*i)++;

        if (location[*i - 1].cscf == cscf
            && !clcf->internal && !clcf->named
#if (NGX_PCRE)
            && clcf->regex == NULL
#endif
           )
        {
            return &location[*i - 1];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_infer_plain_path(ngx_http_request_t *r,
    ngx_http_infer_location_t *location, ngx_str_t *path)
{
    ngx_str_t  *name;

    name = &location->clcf->name;

    if (location->content == NGX_HTTP_INFER_MODELS
        && ngx_http_infer_base_len(name) < name->len)
    {
        return NGX_DECLINED;
    }

    return ngx_http_infer_escape_path(r->pool, name, path);
}


ngx_int_t
ngx_http_infer_route_path(ngx_http_request_t *r,
    ngx_http_infer_location_t *location, ngx_http_infer_endpoint_t *ep,
    const char *pattern, ngx_str_t *path)
{
    u_char      *p;
    ngx_str_t    base, name, part, version;
    ngx_uint_t   stars;

    if (location->clcf->exact_match) {
        return NGX_DECLINED;
    }

    version = ngx_http_infer_version(ep);

    base = location->clcf->name;
    base.len = ngx_http_infer_base_len(&base);

    if (base.len == location->clcf->name.len
        && base.data[base.len - 1] == '/')
    {
        base.len--;
    }

    p = ngx_pnalloc(r->pool, 3 * (base.len + ep->name.len + version.len)
                             + ngx_strlen(pattern));

    if (p == NULL
        || ngx_http_infer_escape_path(r->pool, &location->clcf->name, &name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    path->data = p;
    p = (u_char *) ngx_escape_uri(p, base.data, base.len, NGX_ESCAPE_URI);

    for (stars = 0; *pattern; pattern++) {

        if (*pattern != '*') {
            *p++ = *pattern;
            continue;
        }

        part = stars++ ? version : ep->name;
        p = (u_char *) ngx_escape_uri(p, part.data, part.len,
                                      NGX_ESCAPE_URI_COMPONENT);
    }

    path->len = p - path->data;

    /* a location whose name reaches into a protocol serves a part of it */

    return (path->len >= name.len
            && ngx_memcmp(path->data, name.data, name.len) == 0)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_infer_escape_path(ngx_pool_t *pool, ngx_str_t *name, ngx_str_t *path)
{
    path->len = name->len + 2 * ngx_escape_uri(NULL, name->data, name->len,
                                               NGX_ESCAPE_URI);

    path->data = ngx_pnalloc(pool, path->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(path->data, name->data, name->len, NGX_ESCAPE_URI);

    return NGX_OK;
}


/* the part of a location's name before that of a protocol, or all of it */

static size_t
ngx_http_infer_base_len(ngx_str_t *name)
{
    size_t     len;
    ngx_str_t  rest;

    for (len = 0; len < name->len; len++) {
        rest.data = name->data + len;
        rest.len = name->len - len;

        if (ngx_http_infer_is_protocol(&rest)) {
            break;
        }
    }

    return len;
}


ngx_http_infer_service_t *
ngx_http_infer_find_image_path(ngx_http_request_t *r, ngx_shm_zone_t *stats,
    ngx_str_t *path)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, n;
    ngx_http_infer_service_t   *service;
    ngx_http_infer_location_t  *location;
    ngx_http_infer_loc_conf_t  *ilcf;

    i = 0;

    while ((location = ngx_http_infer_next_location(r, &i)) != NULL) {

        ilcf = location->clcf->loc_conf[ngx_http_infer_module.ctx_index];

        if (location->content != NGX_HTTP_INFER_MODELS) {
            continue;
        }

        service = ilcf->services->elts;

        for (n = 0; n < ilcf->services->nelts; n++) {

            if (service[n].endpoint->stats != stats || service[n].no_image) {
                continue;
            }

            rc = n ? NGX_DECLINED : ngx_http_infer_plain_path(r, location,
                                                              path);

            if (rc == NGX_DECLINED) {
                rc = ngx_http_infer_route_path(r, location,
                                               service[n].endpoint,
                                               "/predictions/*/*", path);
            }

            if (rc == NGX_OK) {
                return &service[n];
            }
        }
    }

    return NULL;
}
