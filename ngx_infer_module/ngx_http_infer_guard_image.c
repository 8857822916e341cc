
/*
 * In the thread: the image that a guard classifies.
 *
 * Whoever wants to get another image past a guard will put a harmless one in
 * front of it: there must be one and no other, neither in a second part nor
 * between the parts nor in a second frame.  A part that is no file and plain
 * text is a field of the form and passes.
 */


#include "ngx_http_infer_module.h"


static ngx_int_t ngx_http_infer_guard_image(ngx_http_infer_task_t *task,
    ngx_str_t *image);
static ngx_int_t ngx_http_infer_guard_part(ngx_http_infer_task_t *task,
    ngx_http_infer_form_t *form, ngx_http_infer_part_t *part,
    ngx_str_t *image);
static ngx_uint_t ngx_http_infer_guard_has_boundary(ngx_str_t *content,
    ngx_str_t *boundary);
static ngx_uint_t ngx_http_infer_is_animated_gif(ngx_str_t *image);
static size_t ngx_http_infer_skip_gif_blocks(ngx_str_t *image, size_t i);
static ngx_uint_t ngx_http_infer_is_animated_png(ngx_str_t *image);


ngx_int_t
ngx_http_infer_guard_read(ngx_http_infer_task_t *task)
{
    ngx_str_t  image;

    if (ngx_http_infer_body_read(task) != NGX_OK
        || ngx_http_infer_guard_image(task, &image) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_infer_is_animated_gif(&image)
        || ngx_http_infer_is_animated_png(&image))
    {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SHAPE,
                                 "an animation: only its first frame would be "
                                 "looked at");
        return NGX_ERROR;
    }

    return ngx_http_infer_image_call(task, &image, 1);
}


static ngx_int_t
ngx_http_infer_guard_image(ngx_http_infer_task_t *task, ngx_str_t *image)
{
    u_char                 *p;
    ngx_int_t               rc;
    ngx_str_t               body, boundary;
    ngx_http_infer_form_t   form;
    ngx_http_infer_part_t   part;

    body.data = task->body;
    body.len = task->size;

    if (task->boundary_len == 0) {
        *image = body;
        return NGX_OK;
    }

    boundary.data = task->boundary;
    boundary.len = task->boundary_len;

    ngx_str_null(image);

    rc = ngx_http_infer_form_open(&form, &body, &boundary);

    if (rc == NGX_OK && form.first != body.data) {
        form.why = "something precedes the first part of a multipart body";
        rc = NGX_ERROR;
    }

    while (rc == NGX_OK) {
        rc = ngx_http_infer_form_next(&form, &part);

        if (rc == NGX_OK
            && ngx_http_infer_guard_part(task, &form, &part, image) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (rc == NGX_DONE && image->data) {
        p = form.end + sizeof(CRLF "----") - 1 + boundary.len;

        while (p < form.last && (*p == CR || *p == LF)) {
            p++;
        }

        if (p < form.last) {
            form.why = "something follows the last part of a multipart body";
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_ERROR) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_MALFORMED, form.why);
        return NGX_ERROR;
    }

    if (image->data == NULL) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_FORMAT,
                                 "a form without an image");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_guard_part(ngx_http_infer_task_t *task,
    ngx_http_infer_form_t *form, ngx_http_infer_part_t *part,
    ngx_str_t *image)
{
    if (ngx_http_infer_guard_has_boundary(&part->content, form->boundary)) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_MALFORMED,
                                 "a boundary within a part of a multipart "
                                 "body");
        return NGX_ERROR;
    }

    /* a file that the user has not chosen is empty */

    if (part->content.len == 0) {
        return NGX_OK;
    }

    if (!part->file && part->name.data && !part->encoded
        && memchr(part->content.data, 0, part->content.len) == NULL)
    {
        return NGX_OK;
    }

    if (part->encoded) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_FORMAT,
                                 "a part with Content-Transfer-Encoding is "
                                 "not looked into");
        return NGX_ERROR;
    }

    if (image->data) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SHAPE,
                                 "more than one file in a form");
        return NGX_ERROR;
    }

    *image = part->content;

    return NGX_OK;
}


/* others may take it for a delimiter without its CRLF */

static ngx_uint_t
ngx_http_infer_guard_has_boundary(ngx_str_t *content, ngx_str_t *boundary)
{
    size_t  len;
    u_char  delimiter[2 + NGX_HTTP_INFER_BOUNDARY_LEN];

    len = 2 + boundary->len;

    delimiter[0] = '-';
    delimiter[1] = '-';
    ngx_memcpy(delimiter + 2, boundary->data, boundary->len);

    return memmem(content->data, content->len, delimiter, len) != NULL;
}


/* more than one image descriptor */

static ngx_uint_t
ngx_http_infer_is_animated_gif(ngx_str_t *image)
{
    size_t       i;
    u_char      *p;
    ngx_uint_t   frames;

    p = image->data;

    if (image->len < 13 || ngx_memcmp(p, "GIF8", 4) != 0) {
        return 0;
    }

    /* 2^(n + 1) colors of three bytes follow, if bit 7 says so */

    i = 13 + ((p[10] & 0x80) ? 6 << (p[10] & 7) : 0);

    for (frames = 0; i + 10 < image->len; /* void */ ) {

        if (p[i] == 0x21) {
            i = ngx_http_infer_skip_gif_blocks(image, i + 2);
            continue;
        }

        if (p[i] != 0x2c) {
            break;
        }

        if (++frames > 1) {
            return 1;
        }

        i += 11 + ((p[i + 9] & 0x80) ? 6 << (p[i + 9] & 7) : 0);
        i = ngx_http_infer_skip_gif_blocks(image, i);
    }

    return 0;
}


static size_t
ngx_http_infer_skip_gif_blocks(ngx_str_t *image, size_t i)
{
    while (i < image->len && image->data[i]) {
        i += 1 + image->data[i];
    }

    return i + 1;
}


/* a chunk "acTL" */

static ngx_uint_t
ngx_http_infer_is_animated_png(ngx_str_t *image)
{
    u_char    *p, *last;
    uint32_t   len;

    p = image->data;
    last = p + image->len;

    if (image->len < 8 || ngx_memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0) {
        return 0;
    }

    for (p += 8; last - p >= 12; p += 12 + (size_t) len) {

        if (ngx_memcmp(p + 4, "acTL", 4) == 0) {
            return 1;
        }

        len = (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];

        if (len > (size_t) (last - p) - 12) {
            break;
        }
    }

    return 0;
}
