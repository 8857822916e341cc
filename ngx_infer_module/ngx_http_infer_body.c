
/*
 * The request's body: what kind it is (event loop), a copy that outlives the
 * request (event loop), and the image in it (thread).
 */


#include "ngx_http_infer_tensors.h"


ngx_int_t
ngx_http_infer_body_type(ngx_http_request_t *r, ngx_str_t *boundary,
    const char **reason)
{
    ngx_int_t  rc;

    ngx_str_set(boundary, "");

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_infer_multipart_boundary(&r->headers_in.content_type->value,
                                           boundary);
    if (rc == NGX_ERROR) {
        *reason = "multipart/form-data without a valid boundary";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_infer_body_is_json(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    static ngx_str_t  json = ngx_string("application/json");

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= json.len
           && ngx_strncasecmp(type->data, json.data, json.len) == 0
           && (type->len == json.len || type->data[json.len] == ';'
               || type->data[json.len] == ' ');
}


off_t
ngx_http_infer_body_size(ngx_http_request_t *r)
{
    off_t         size;
    ngx_chain_t  *cl;

    size = 0;

    if (r->request_body) {
        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            size += ngx_buf_size(cl->buf);
        }
    }

    return size;
}


/*
 * What is in memory is at most client_body_buffer_size and has just been
 * copied from the socket.  Once more costs less than what it saves: a request
 * that must not be freed under a thread would keep its connection when the
 * client leaves, and its answer when the time is up.
 */

ngx_int_t
ngx_http_infer_body_take(ngx_http_request_t *r, ngx_http_infer_task_t *task)
{
    off_t         size;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    size = ngx_http_infer_body_size(r);

    task->body = ngx_alloc(size + NGX_HTTP_INFER_PADDING, r->connection->log);
    if (task->body == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(task->body + size, NGX_HTTP_INFER_PADDING);

    task->size = size;
    p = task->body;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        /* nginx writes a body to its file as a whole */

        if (task->fd != NGX_INVALID_FILE) {
            return NGX_ERROR;
        }

        task->fd = dup(b->file->fd);

        if (task->fd == NGX_INVALID_FILE) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_errno,
                          "dup() of a request body file failed");
            return NGX_ERROR;
        }

        task->file_pos = b->file_pos;
        task->file_body = p;
        task->file_size = b->file_last - b->file_pos;

        p += task->file_size;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_body_image(ngx_http_infer_task_t *task, ngx_str_t *image)
{
    ngx_str_t    body, boundary;
    const char  *reason;

    if (ngx_http_infer_body_read(task) != NGX_OK) {
        return NGX_ERROR;
    }

    body.data = task->body;
    body.len = task->size;

    if (task->boundary_len == 0) {
        *image = body;
        return NGX_OK;
    }

    boundary.data = task->boundary;
    boundary.len = task->boundary_len;

    if (ngx_http_infer_multipart_find(&body, &boundary, image, &reason)
        != NGX_OK)
    {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_MALFORMED, reason);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_body_read(ngx_http_infer_task_t *task)
{
    off_t    pos;
    size_t   rest;
    u_char  *p;
    ssize_t  n;

    if (task->fd == NGX_INVALID_FILE) {
        return NGX_OK;
    }

    p = task->file_body;
    pos = task->file_pos;

    for (rest = task->file_size; rest; rest -= n) {

        n = pread(task->fd, p, rest, pos);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            ngx_http_infer_task_fail(task, NGX_HTTP_INFER_INTERNAL,
                                     "the request body cannot be read from "
                                     "its file");
            return NGX_ERROR;
        }

        p += n;
        pos += n;
    }

    return NGX_OK;
}


ngx_str_t *
ngx_http_infer_get_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


off_t
ngx_http_infer_json_size(ngx_http_request_t *r)
{
    off_t       size;
    ngx_str_t  *value;

    static ngx_str_t  name = ngx_string("inference-header-content-length");

    value = ngx_http_infer_get_header(r, &name);

    if (value == NULL) {
        return -1;
    }

    size = ngx_atoof(value->data, value->len);

    return size == NGX_ERROR ? -2 : size;
}
