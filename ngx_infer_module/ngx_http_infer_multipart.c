
/*
 * multipart/form-data (RFC 7578, RFC 2046): its parts, and the one that holds
 * the image.  It works in place, on bytes that nobody has checked.
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
static void ngx_http_infer_read_field(ngx_http_infer_field_t *field,
    ngx_http_infer_part_t *part);
static u_char *ngx_http_infer_field_value(ngx_http_infer_field_t *field,
    ngx_str_t *name);
static void ngx_http_infer_read_disposition(u_char *p, u_char *last,
    ngx_http_infer_part_t *part);
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

    ngx_str_null(boundary);

    while ((rc = ngx_http_infer_next_parameter(&p, last, &name, &value))
           == NGX_OK)
    {
        if (name.len != sizeof("boundary") - 1
            || ngx_strncasecmp(name.data, (u_char *) "boundary", name.len)
               != 0)
        {
            continue;
        }

        /* which of two is meant is anybody's guess */

        if (boundary->data || value.len == 0
            || value.len > NGX_HTTP_INFER_BOUNDARY_LEN
            || memchr(value.data, '\\', value.len))
        {
            return NGX_ERROR;
        }

        *boundary = value;
    }

    return (rc == NGX_DONE && boundary->data) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_infer_form_open(ngx_http_infer_form_t *form, ngx_str_t *body,
    ngx_str_t *boundary)
{
    form->boundary = boundary;
    form->last = body->data + body->len;
    form->why = "multipart body without its boundary";

    form->first = ngx_http_infer_find_delimiter(body->data, form->last,
                                                boundary, 1, &form->next);

    return form->first ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_infer_form_next(ngx_http_infer_form_t *form,
    ngx_http_infer_part_t *part)
{
    u_char                  *p, *end;
    ngx_http_infer_field_t   field;

    if (form->next == NULL) {
        return NGX_DONE;
    }

    ngx_memzero(part, sizeof(ngx_http_infer_part_t));

    field.next = form->next;

    do {
        if (ngx_http_infer_next_field(field.next, form->last, &field)
            != NGX_OK)
        {
            form->why = "malformed header in a multipart body";
            return NGX_ERROR;
        }

        ngx_http_infer_read_field(&field, part);

    } while (field.end != field.start);

    p = field.next;

    /* the empty line's CRLF is that of the delimiter in an empty part */

    end = ngx_http_infer_find_delimiter(p - 2, form->last, form->boundary, 0,
                                        &form->next);

    if (end == NULL) {
        form->why = "unterminated part in a multipart body";
        return NGX_ERROR;
    }

    form->end = end;

    part->content.data = p;
    part->content.len = end > p ? end - p : 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_multipart_find(ngx_str_t *body, ngx_str_t *boundary,
    ngx_str_t *content, const char **reason)
{
    ngx_int_t               rc;
    ngx_http_infer_form_t   form;
    ngx_http_infer_part_t   part;

    rc = ngx_http_infer_form_open(&form, body, boundary);

    while (rc == NGX_OK) {
        rc = ngx_http_infer_form_next(&form, &part);

        if (rc != NGX_OK || !ngx_http_infer_wanted_name(&part.name)) {
            continue;
        }

        if (part.content.len == 0) {
            *reason = "empty part in a multipart body";
            return NGX_ERROR;
        }

        *content = part.content;

        return NGX_OK;
    }

    *reason = (rc == NGX_ERROR) ? form.why
              : "multipart body without a part named file, image or data";

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


static void
ngx_http_infer_read_field(ngx_http_infer_field_t *field,
    ngx_http_infer_part_t *part)
{
    size_t      n;
    u_char     *p;
    ngx_uint_t  i;

    static ngx_str_t  disposition = ngx_string("Content-Disposition:");
    static ngx_str_t  type = ngx_string("Content-Type:");
    static ngx_str_t  encoding = ngx_string("Content-Transfer-Encoding:");

    static ngx_str_t  plain[] = {
        ngx_string("binary"), ngx_string("8bit"), ngx_string("7bit")
    };

    p = ngx_http_infer_field_value(field, &disposition);

    if (p) {
        ngx_http_infer_read_disposition(p, field->end, part);
        return;
    }

    p = ngx_http_infer_field_value(field, &type);

    if (p) {
        n = ngx_http_infer_token_end(p, field->end) - p;

        if (n != 10 || ngx_strncasecmp(p, (u_char *) "text/plain", n) != 0) {
            part->file = 1;
        }

        return;
    }

    p = ngx_http_infer_field_value(field, &encoding);

    if (p) {
        n = ngx_http_infer_token_end(p, field->end) - p;
        part->encoded = 1;

        for (i = 0; i < sizeof(plain) / sizeof(ngx_str_t); i++) {
            if (n == plain[i].len
                && ngx_strncasecmp(p, plain[i].data, n) == 0)
            {
                part->encoded = 0;
            }
        }
    }
}


/* where the value of a header of this name, colon included, begins, or NULL */

static u_char *
ngx_http_infer_field_value(ngx_http_infer_field_t *field, ngx_str_t *name)
{
    if ((size_t) (field->end - field->start) < name->len
        || ngx_strncasecmp(field->start, name->data, name->len) != 0)
    {
        return NULL;
    }

    return ngx_http_infer_skip_lwsp(field->start + name->len, field->end);
}


/* form-data; name="file"; filename="cat.jpg" */

static void
ngx_http_infer_read_disposition(u_char *p, u_char *last,
    ngx_http_infer_part_t *part)
{
    ngx_int_t  rc;
    ngx_str_t  name, value;
    ngx_str_t  type = ngx_string("form-data");

    if ((size_t) (last - p) < type.len
        || ngx_strncasecmp(p, type.data, type.len) != 0)
    {
        part->file = 1;
        return;
    }

    p += type.len;

    while ((rc = ngx_http_infer_next_parameter(&p, last, &name, &value))
           == NGX_OK)
    {
        if (name.len == 4 && part->name.data == NULL
            && ngx_strncasecmp(name.data, (u_char *) "name", 4) == 0)
        {
            part->name = value;
        }

        /* also filename*, and filename*0 */

        if (name.len >= 8
            && ngx_strncasecmp(name.data, (u_char *) "filename", 8) == 0)
        {
            part->file = 1;
        }
    }

    if (rc == NGX_ERROR) {
        part->file = 1;
    }
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
