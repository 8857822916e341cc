
/*
 * The parts of a form (multipart.c): no nginx request, no memory but the data
 * that is given.
 */

#ifndef _NGX_HTTP_INFER_MULTIPART_H_INCLUDED_
#define _NGX_HTTP_INFER_MULTIPART_H_INCLUDED_


#include "ngx_http_infer_module.h"


/* NGX_OK, NGX_DECLINED: no multipart/form-data; NGX_ERROR: bad boundary. */
ngx_int_t ngx_http_infer_multipart_boundary(ngx_str_t *content_type,
    ngx_str_t *boundary);

/* a form's body, part by part */
typedef struct {
    ngx_str_t                   *boundary;
    u_char                      *first;       /* the first delimiter */
    u_char                      *end;         /* that after the last part */
    u_char                      *next;        /* the next part, or NULL */
    u_char                      *last;        /* of the body */
    const char                  *why;         /* after NGX_ERROR */
} ngx_http_infer_form_t;


typedef struct {
    ngx_str_t                    name;        /* data NULL: none */
    ngx_str_t                    content;
    unsigned                     file:1;      /* has the name of a file, or
                                                 another type than a field */
    unsigned                     encoded:1;   /* Content-Transfer-Encoding */
} ngx_http_infer_part_t;

/* NGX_ERROR: the boundary is not in the body. */
ngx_int_t ngx_http_infer_form_open(ngx_http_infer_form_t *form,
    ngx_str_t *body, ngx_str_t *boundary);

/* NGX_OK, NGX_DONE at the end, NGX_ERROR: malformed. */
ngx_int_t ngx_http_infer_form_next(ngx_http_infer_form_t *form,
    ngx_http_infer_part_t *part);

/*
 * The content of the first part that is named file, image or data.  NGX_OK,
 * or NGX_ERROR with the reason.
 */
ngx_int_t ngx_http_infer_multipart_find(ngx_str_t *body, ngx_str_t *boundary,
    ngx_str_t *content, const char **reason);


#endif /* _NGX_HTTP_INFER_MULTIPART_H_INCLUDED_ */
