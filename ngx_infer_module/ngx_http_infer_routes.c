
/*
 * What a URI asks for.  A location may be called anything: the part of the URI
 * that a protocol knows begins at the end of the location's name or within it,
 * so that "location / {}", "location /ml/ {}" and "location /v2/ {}" serve the
 * protocols alike.  Every other URI is the plain route: an image is posted to
 * it, and the first model of the location answers.
 */


#include "ngx_http_infer_protocols.h"


#define NGX_HTTP_INFER_READ   (NGX_HTTP_GET|NGX_HTTP_HEAD)


static ngx_uint_t ngx_http_infer_match(const char *pattern, ngx_str_t *uri,
    ngx_str_t *name, ngx_str_t *version);


static const ngx_http_infer_route_t  ngx_http_infer_plain_route = {
    NULL, NGX_HTTP_INFER_READ|NGX_HTTP_POST, "GET, HEAD, POST, OPTIONS",
    ngx_http_infer_send_description, ngx_http_infer_plain_read,
    ngx_http_infer_plain_write
};


/* the only one of a location with infer_guard */

static const ngx_http_infer_route_t  ngx_http_infer_guard_route = {
    NULL, 0, NULL, NULL, ngx_http_infer_guard_read, NULL
};


static const ngx_http_infer_route_t  ngx_http_infer_feedback_route = {
    NULL, NGX_HTTP_POST, "POST, OPTIONS", ngx_http_infer_feedback, NULL,
    NULL
};


/* "*" is one segment of the path: first the model, then its version */

#define ngx_http_infer_get(pattern, answer)                                   \
    { pattern, NGX_HTTP_INFER_READ, "GET, HEAD, OPTIONS", answer, NULL, NULL }

#define ngx_http_infer_post(pattern, protocol)                                \
    { pattern, NGX_HTTP_POST, "POST, OPTIONS", NULL,                          \
      ngx_http_infer_##protocol##_read, ngx_http_infer_##protocol##_write }

static const ngx_http_infer_route_t  ngx_http_infer_routes[] = {

    ngx_http_infer_get("/v2", ngx_http_infer_kserve_server),
    ngx_http_infer_get("/v2/health/live", ngx_http_infer_kserve_live),
    ngx_http_infer_get("/v2/health/ready", ngx_http_infer_kserve_ready),
    ngx_http_infer_get("/v2/models/*", ngx_http_infer_kserve_model),
    ngx_http_infer_get("/v2/models/*/ready",
                       ngx_http_infer_kserve_model_ready),
    ngx_http_infer_get("/v2/models/*/config", ngx_http_infer_kserve_config),
    ngx_http_infer_get("/v2/models/*/stats", ngx_http_infer_kserve_stats),
    ngx_http_infer_post("/v2/models/*/infer", kserve),

    ngx_http_infer_get("/v2/models/*/versions/*",
                       ngx_http_infer_kserve_model),
    ngx_http_infer_get("/v2/models/*/versions/*/ready",
                       ngx_http_infer_kserve_model_ready),
    ngx_http_infer_get("/v2/models/*/versions/*/config",
                       ngx_http_infer_kserve_config),
    ngx_http_infer_get("/v2/models/*/versions/*/stats",
                       ngx_http_infer_kserve_stats),
    ngx_http_infer_post("/v2/models/*/versions/*/infer", kserve),

    { "/v2/models/*/feedback", NGX_HTTP_POST, "POST, OPTIONS",
      ngx_http_infer_feedback, NULL, NULL },
    { "/v2/models/*/versions/*/feedback", NGX_HTTP_POST, "POST, OPTIONS",
      ngx_http_infer_feedback, NULL, NULL },
    { "/v2/repository/index", NGX_HTTP_POST, "POST, OPTIONS",
      ngx_http_infer_kserve_index, NULL, NULL },

    ngx_http_infer_post("/v1/models/*:predict", tfs),
    ngx_http_infer_post("/v1/models/*/versions/*:predict", tfs),

    ngx_http_infer_get("/v1/models/*", ngx_http_infer_tfs_status),
    ngx_http_infer_get("/v1/models/*/metadata", ngx_http_infer_tfs_metadata),
    ngx_http_infer_get("/v1/models/*/versions/*", ngx_http_infer_tfs_status),
    ngx_http_infer_get("/v1/models/*/versions/*/metadata",
                       ngx_http_infer_tfs_metadata),

    ngx_http_infer_get("/ping", ngx_http_infer_torch_ping),
    ngx_http_infer_post("/predictions/*", torch),
    ngx_http_infer_post("/predictions/*/*", torch)
};


ngx_int_t
ngx_http_infer_find_route(ngx_http_request_t *r,
    const ngx_http_infer_route_t **route, ngx_http_infer_service_t **service)
{
    size_t                      start, longest;
    ngx_str_t                   uri, name, version;
    ngx_uint_t                  i;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_infer_service_t   *named;
    ngx_http_infer_loc_conf_t  *ilcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_infer_module);

    *route = &ngx_http_infer_plain_route;
    *service = ilcf->services->elts;

    if (ilcf->guard) {
        *route = &ngx_http_infer_guard_route;
        return NGX_OK;
    }

    /* regular expressions and named locations say nothing of the URI */

    longest = (clcf->name.len && clcf->name.data[0] == '/'
#if (NGX_PCRE)
               && clcf->regex == NULL
#endif
               && r->uri.len > clcf->name.len) ? clcf->name.len : r->uri.len;

    for (start = 0; start <= longest; start++) {
        uri.data = r->uri.data + start;
        uri.len = r->uri.len - start;

        if (ngx_http_infer_is_protocol(&uri)) {
            break;
        }
    }

    if (start > longest) {

        if (ilcf->monitor.feedback
            && r->uri.len >= sizeof("/feedback") - 1
            && ngx_memcmp(r->uri.data + r->uri.len
                          - (sizeof("/feedback") - 1), "/feedback",
                          sizeof("/feedback") - 1)
               == 0)
        {
            *route = &ngx_http_infer_feedback_route;
        }

        return NGX_OK;
    }

    for (i = 0;
         i < sizeof(ngx_http_infer_routes) / sizeof(ngx_http_infer_route_t);
         i++)
    {
        ngx_str_null(&name);
        ngx_str_null(&version);

        if (!ngx_http_infer_match(ngx_http_infer_routes[i].pattern, &uri,
                                  &name, &version))
        {
            continue;
        }

        named = ngx_http_infer_find_service(ilcf, &name, &version);

        if (name.len && named == NULL) {
            return NGX_DECLINED;
        }

        *route = &ngx_http_infer_routes[i];

        if (name.len) {
            *service = named;
        }

        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_infer_is_protocol(ngx_str_t *uri)
{
    ngx_uint_t                i;
    const ngx_str_t          *s;

    static const ngx_str_t    start[] = {
        ngx_string("/v2"), ngx_string("/v1/models"),
        ngx_string("/predictions"), ngx_string("/ping")
    };

    for (i = 0; i < sizeof(start) / sizeof(ngx_str_t); i++) {
        s = &start[i];

        if (uri->len >= s->len
            && ngx_memcmp(uri->data, s->data, s->len) == 0
            && (uri->len == s->len || uri->data[s->len] == '/'))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_infer_match(const char *pattern, ngx_str_t *uri, ngx_str_t *name,
    ngx_str_t *version)
{
    size_t      tail;
    u_char     *p, *last, *end;
    ngx_str_t  *value;

    p = uri->data;
    last = p + uri->len;

    while (*pattern) {

        if (*pattern != '*') {

            if (p == last || *p != (u_char) *pattern) {
                return 0;
            }

            p++;
            pattern++;
            continue;
        }

        /* the rest of the segment: nothing, or ":predict" */

        pattern++;
        tail = strcspn(pattern, "/");

        end = ngx_strlchr(p, last, '/');
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) <= tail
            || ngx_memcmp(end - tail, pattern, tail) != 0)
        {
            return 0;
        }

        value = name->len ? version : name;

        value->data = p;
        value->len = end - p - tail;

        p = end;
        pattern += tail;
    }

    return p == last || (last - p == 1 && *p == '/');
}


ngx_http_infer_service_t *
ngx_http_infer_find_service(ngx_http_infer_loc_conf_t *conf, ngx_str_t *name,
    ngx_str_t *version)
{
    ngx_str_t                  own;
    ngx_uint_t                 i;
    ngx_http_infer_service_t  *service;

    service = conf->services->elts;

    for (i = 0; i < conf->services->nelts; i++) {
        own = ngx_http_infer_version(service[i].endpoint);

        if (ngx_http_infer_same(&service[i].endpoint->name, name)
            && (version->len == 0 || ngx_http_infer_same(&own, version)))
        {
            return &service[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_infer_same(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}


ngx_str_t
ngx_http_infer_version(ngx_http_infer_endpoint_t *ep)
{
    ngx_str_t  one = ngx_string("1");

    return ep->version.len ? ep->version : one;
}
