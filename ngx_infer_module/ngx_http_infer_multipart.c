
/*
 * multipart/form-data (RFC 7578, RFC 2046): the one part that holds the
 * image.  It works in place, on bytes that nobody has checked.
 */


#include "ngx_http_infer_module.h"


/* as nginx's own limit for one header line of a request */
#define NGX_HTTP_INFER_PART_HEADER_SIZE  8192


/* a line of a part's header: [start, end) with its folds, next follows it */
typedef struct {
    u_char  *start;
    u_char  *end;
    u_char  *next;
} ngx_http_infer_field_t;


static ngx_int_t ngx_http_infer_next_parameter(u_char **pos, u_char *last,
    ngx_str_t *name, ngx_str_t *value);
static u_char *ngx_http_infer_skip_lwsp(u_char *p, u_char *last);
static u_char *ngx_http_infer_token_end(u_char *p, u_char *last);
static u_char *ngx_http_infer_find_delimiter(u_char *p, u_char *last,
    ngx_str_t *boundary, ngx_uint_t first, u_char **next);
static ngx_int_t ngx_http_infer_next_field(u_char *p, u_char *last,
    ngx_http_infer_field_t *field);
static ngx_uint_t ngx_http_infer_wanted(ngx_http_infer_field_t *field);
static ngx_uint_t ngx_http_infer_wanted_name(ngx_str_t *name);


ngx_int_t
ngx_http_infer_multipart_boundary(ngx_str_t *content_type,
    ngx_str_t *boundary)
{
    u_char     *p, *last;
    ngx_int_t   rc;
    ngx_str_t   name, value, type = ngx_string("multipart/form-data");

    if (content_type->len < type.len
        || ngx_strncasecmp(content_type->data, type.data, type.len) != 0)
    {
        return NGX_DECLINED;
    }

    p = content_type->data + type.len;
    last = content_type->data + content_type->len;

    if (ngx_http_infer_token_end(p, last) != p) {
        return NGX_DECLINED;
    }

    for ( ;; ) {
        rc = ngx_http_infer_next_parameter(&p, last, &name, &value);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (name.len == sizeof("boundary") - 1
            && ngx_strncasecmp(name.data, (u_char *) "boundary", name.len)
               == 0)
        {
            break;
        }
    }

    if (value.len == 0 || value.len > NGX_HTTP_INFER_BOUNDARY_LEN) {
        return NGX_ERROR;
    }

    *boundary = value;

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_multipart_find(ngx_str_t *body, ngx_str_t *boundary,
    ngx_str_t *part, const char **reason)
{
    u_char                  *p, *last, *end, *next;
    ngx_uint_t               wanted;
    ngx_http_infer_field_t   field;

    p = body->data;
    last = p + body->len;

    if (ngx_http_infer_find_delimiter(p, last, boundary, 1, &next) == NULL) {
        *reason = "multipart body without its boundary";
        return NGX_ERROR;
    }

    while (next) {

        wanted = 0;
        field.next = next;

        do {
            if (ngx_http_infer_next_field(field.next, last, &field)
                != NGX_OK)
            {
                *reason = "malformed header in a multipart body";
                return NGX_ERROR;
            }

            if (ngx_http_infer_wanted(&field)) {
                wanted = 1;
            }

        } while (field.end != field.start);

        p = field.next;

        /* the empty line's CRLF is that of the delimiter in an empty part */

        end = ngx_http_infer_find_delimiter(p - 2, last, boundary, 0, &next);

        if (end == NULL) {
            *reason = "unterminated part in a multipart body";
            return NGX_ERROR;
        }

        if (!wanted) {
            continue;
        }

        if (end <= p) {
            *reason = "empty part in a multipart body";
            return NGX_ERROR;
        }

        part->data = p;
        part->len = end - p;

        return NGX_OK;
    }

    *reason = "multipart body without a part named file, image or data";

    return NGX_ERROR;
}


/*
 * One of *( ";" name "=" ( token / quoted-string ) ) at *pos.  A value with
 * quoted pairs is taken as it is written: neither a boundary nor a name that
 * we look for has any.  Clients send characters unquoted that RFC 2045 wants
 * quoted: such a value ends only where it cannot be meant to go on.
 * NGX_DONE at the end, NGX_ERROR when malformed.
 */

static ngx_int_t
ngx_http_infer_next_parameter(u_char **pos, u_char *last, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *p;

    do {
        p = ngx_http_infer_skip_lwsp(*pos, last);

        if (p == last) {
            return NGX_DONE;
        }

        if (*p++ != ';') {
            return NGX_ERROR;
        }

        *pos = p;
        p = ngx_http_infer_skip_lwsp(p, last);

    } while (p == last || *p == ';');

    name->data = p;
    p = ngx_http_infer_token_end(p, last);
    name->len = p - name->data;

    p = ngx_http_infer_skip_lwsp(p, last);

    if (name->len == 0 || p == last || *p++ != '=') {
        return NGX_ERROR;
    }

    p = ngx_http_infer_skip_lwsp(p, last);

    if (p < last && *p == '"') {
        value->data = ++p;

        while (p < last && *p != '"') {
            p += (*p == '\\' && last - p > 1) ? 2 : 1;
        }

        if (p == last) {
            return NGX_ERROR;
        }

        value->len = p - value->data;
        p++;

    } else {
        value->data = p;

        while (p < last && *p > ' ' && *p != ';') {
            p++;
        }

        value->len = p - value->data;
    }

    *pos = p;

    return NGX_OK;
}


/* a folded header's CRLF is white space, too */

static u_char *
ngx_http_infer_skip_lwsp(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    return p;
}


static u_char *
ngx_http_infer_token_end(u_char *p, u_char *last)
{
    while (p < last && *p > ' ' && *p != ';' && *p != '=') {
        p++;
    }

    return p;
}


/*
 * The next delimiter from p on: CRLF "--" boundary, white space, CRLF; or
 * with "--" right after the boundary, the last one.  The first one of a body
 * may do without the CRLF before it.  Returns its start; *next is where the
 * next part begins, or NULL.
 */

static u_char *
ngx_http_infer_find_delimiter(u_char *p, u_char *last, ngx_str_t *boundary,
    ngx_uint_t first, u_char **next)
{
    size_t   len;
    u_char  *start, *end;
    u_char   delimiter[4 + NGX_HTTP_INFER_BOUNDARY_LEN];

    len = 4 + boundary->len;

    ngx_memcpy(delimiter, CRLF "--", 4);
    ngx_memcpy(delimiter + 4, boundary->data, boundary->len);

    start = p;

    if (first && (size_t) (last - p) >= len - 2
        && ngx_memcmp(p, delimiter + 2, len - 2) == 0)
    {
        end = p + len - 2;

    } else {
        start = memmem(p, last - p, delimiter, len);
        end = start ? start + len : NULL;
    }

    while (start) {

        if (last - end >= 2 && end[0] == '-' && end[1] == '-') {
            *next = NULL;
            return start;
        }

        while (end < last && (*end == ' ' || *end == '\t')) {
            end++;
        }

        if (last - end >= 2 && end[0] == CR && end[1] == LF) {
            *next = end + 2;
            return start;
        }

        /* a longer line that begins like a delimiter */

        start = memmem(end, last - end, delimiter, len);
        end = start ? start + len : NULL;
    }

    return NULL;
}


/* A header line and the lines folded into it; an empty one ends the header. */

static ngx_int_t
ngx_http_infer_next_field(u_char *p, u_char *last,
    ngx_http_infer_field_t *field)
{
    if (last - p > NGX_HTTP_INFER_PART_HEADER_SIZE) {
        last = p + NGX_HTTP_INFER_PART_HEADER_SIZE;
    }

    field->start = p;

    for ( ;; ) {
        p = memmem(p, last - p, CRLF, 2);

        if (p == NULL) {
            return NGX_ERROR;
        }

        field->end = p;
        p += 2;

        if (field->end == field->start
            || p == last || (*p != ' ' && *p != '\t'))
        {
            field->next = p;
            return NGX_OK;
        }
    }
}


/* Content-Disposition: form-data; name="file" */

static ngx_uint_t
ngx_http_infer_wanted(ngx_http_infer_field_t *field)
{
    u_char     *p;
    ngx_str_t   name, value;
    ngx_str_t   header = ngx_string("Content-Disposition:");
    ngx_str_t   type = ngx_string("form-data");

    p = field->start;

    if ((size_t) (field->end - p) < header.len
        || ngx_strncasecmp(p, header.data, header.len) != 0)
    {
        return 0;
    }

    p = ngx_http_infer_skip_lwsp(p + header.len, field->end);

    if ((size_t) (field->end - p) < type.len
        || ngx_strncasecmp(p, type.data, type.len) != 0)
    {
        return 0;
    }

    p += type.len;

    while (ngx_http_infer_next_parameter(&p, field->end, &name, &value)
           == NGX_OK)
    {
        if (name.len == 4
            && ngx_strncasecmp(name.data, (u_char *) "name", 4) == 0)
        {
            return ngx_http_infer_wanted_name(&value);
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_infer_wanted_name(ngx_str_t *name)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("file"),
        ngx_string("image"),
        ngx_string("data"),
        ngx_null_string
    };

    for (i = 0; names[i].len; i++) {
        if (name->len == names[i].len
            && ngx_strncmp(name->data, names[i].data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
