
/*
 * The text format of Prometheus, version 0.0.4, as infer_metrics writes it:
 * families of series, one or more for each model.
 */

#ifndef _NGX_HTTP_INFER_METRICS_H_INCLUDED_
#define _NGX_HTTP_INFER_METRICS_H_INCLUDED_


#include "ngx_http_infer_module.h"


/* the longest thing printed at once, but for labels */
#define NGX_HTTP_INFER_LINE  256


/* a text that grows */
typedef struct {
    ngx_pool_t                  *pool;
    ngx_chain_t                 *first;
    ngx_chain_t                **next;
    ngx_buf_t                   *buf;
    ngx_uint_t                   failed;
} ngx_http_infer_text_t;


typedef struct {
    ngx_http_infer_main_conf_t  *imcf;
    ngx_http_infer_endpoint_t   *ep;
    ngx_http_infer_stats_t      *stats;
    ngx_http_infer_compared_t   *compared;    /* NULL: no shadow */
    ngx_http_infer_window_t     *windows;     /* NULL: not monitored */
    ngx_str_t                    labels;      /* model="..",version=".." */
} ngx_http_infer_series_t;


typedef struct {
    const char                  *head;        /* HELP and TYPE */
    void                       (*print)(ngx_http_infer_text_t *text,
                                        ngx_http_infer_series_t *s);
} ngx_http_infer_family_t;


/* extra: the length of what else may be longer than a line */
void ngx_http_infer_print(ngx_http_infer_text_t *text, size_t extra,
    const char *fmt, ...);


/* nv.c: up to one without print */
extern const ngx_http_infer_family_t  ngx_http_infer_nv_families[];
/* monitor_metrics.c: up to one without print */
extern const ngx_http_infer_family_t  ngx_http_infer_monitor_families[];


#endif /* _NGX_HTTP_INFER_METRICS_H_INCLUDED_ */
