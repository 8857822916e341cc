
/*
 * Which locations of a server are ours, for those who tell (paths.c).
 */

#ifndef _NGX_HTTP_INFER_PATHS_H_INCLUDED_
#define _NGX_HTTP_INFER_PATHS_H_INCLUDED_


#include "ngx_http_infer_module.h"


/*
 * Goes over the locations of the request's server that clients can ask for by
 * their names; i begins at 0.  NULL: no more.
 */
ngx_http_infer_location_t *ngx_http_infer_next_location(ngx_http_request_t *r,
    ngx_uint_t *i);

/*
 * The path, escaped, of the location itself, or of a route (its pattern) in
 * it.  NGX_OK, NGX_DECLINED: the location does not serve it; NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_infer_plain_path(ngx_http_request_t *r,
    ngx_http_infer_location_t *location, ngx_str_t *path);
ngx_int_t ngx_http_infer_route_path(ngx_http_request_t *r,
    ngx_http_infer_location_t *location, ngx_http_infer_endpoint_t *ep,
    const char *pattern, ngx_str_t *path);

/*
 * Where images can be posted to models that are counted as stats, and who
 * answers.  NULL: nowhere in the request's server.
 */
ngx_http_infer_service_t *ngx_http_infer_find_image_path(
    ngx_http_request_t *r, ngx_shm_zone_t *stats, ngx_str_t *path);


#endif /* _NGX_HTTP_INFER_PATHS_H_INCLUDED_ */
