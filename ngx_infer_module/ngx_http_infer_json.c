
/*
 * JSON with large arrays of numbers.
 *
 * Arrays and objects are taken apart piece by piece: what is small is left to
 * jansson, what is large is numbers (numbers.c).  On the way a value is passed
 * over by its brackets and strings alone; so each piece is looked at again by
 * whoever wants it.
 */


#include "ngx_http_infer_tensors.h"


#define NGX_HTTP_INFER_MAX_DEPTH  64

/* for jansson: names, shapes, parameters */
#define NGX_HTTP_INFER_MAX_VALUE  65536


static u_char *ngx_http_infer_json_skip(u_char *p, u_char *last);
static u_char *ngx_http_infer_json_string_end(u_char *p, u_char *last);
static u_char *ngx_http_infer_json_bracket(u_char *p, u_char *last);
static json_t *ngx_http_infer_json_value(ngx_str_t *text, const char **why);
static ngx_int_t ngx_http_infer_json_add(json_t *object, ngx_str_t *key,
    ngx_str_t *value, ngx_http_infer_member_t *large, const char **why);


ngx_int_t
ngx_http_infer_json_open(ngx_http_infer_json_t *json, ngx_str_t *text)
{
    ngx_memzero(json, sizeof(ngx_http_infer_json_t));

    json->last = text->data + text->len;
    json->p = ngx_http_infer_json_space(text->data, json->last);

    if (json->p == json->last || (*json->p != '[' && *json->p != '{')) {
        json->why = "an array or object is expected";
        return NGX_ERROR;
    }

    json->close = (*json->p++ == '[') ? ']' : '}';

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_json_next(ngx_http_infer_json_t *json, ngx_str_t *key,
    ngx_str_t *value)
{
    u_char  *p, *end;

    json->why = "JSON syntax error";

    p = ngx_http_infer_json_space(json->p, json->last);

    if (p < json->last && *p == json->close) {

        if (ngx_http_infer_json_space(p + 1, json->last) != json->last) {
            json->why = "something follows the end of the JSON";
            return NGX_ERROR;
        }

        return NGX_DONE;
    }

    if (json->begun) {
        if (p == json->last || *p != ',') {
            return NGX_ERROR;
        }

        p = ngx_http_infer_json_space(p + 1, json->last);
    }

    json->begun = 1;

    if (json->close == '}') {

        if (p == json->last || *p != '"') {
            return NGX_ERROR;
        }

        end = ngx_http_infer_json_string_end(p, json->last);
        if (end == NULL) {
            return NGX_ERROR;
        }

        key->data = p;
        key->len = end - p;

        p = ngx_http_infer_json_space(end, json->last);

        if (p == json->last || *p != ':') {
            return NGX_ERROR;
        }

        p = ngx_http_infer_json_space(p + 1, json->last);
    }

    end = ngx_http_infer_json_skip(p, json->last);
    if (end == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = end - p;

    json->p = end;

    return NGX_OK;
}


/* the end of the value that begins at p; NULL: there is none */

static u_char *
ngx_http_infer_json_skip(u_char *p, u_char *last)
{
    u_char      *start;
    ngx_uint_t   depth;

    if (p < last && *p == '"') {
        return ngx_http_infer_json_string_end(p, last);
    }

    if (p == last || (*p != '[' && *p != '{')) {

        /* a number or a name: whoever reads it knows whether it is one */

        for (start = p; p < last && (isalnum(*p) || *p == '.' || *p == '-'
                                     || *p == '+'); p++)
        {
            /* void */
        }

        return p > start ? p : NULL;
    }

    for (depth = 0; p < last; p++) {

        p = ngx_http_infer_json_bracket(p, last);

        if (p == last) {
            break;
        }

        switch (*p) {

        case '"':
            p = ngx_http_infer_json_string_end(p, last);
            if (p == NULL) {
                return NULL;
            }

            p--;
            break;

        case '[':
        case '{':
            if (++depth > NGX_HTTP_INFER_MAX_DEPTH) {
                return NULL;
            }

            break;

        case ']':
        case '}':
            if (--depth == 0) {
                return p + 1;
            }
        }
    }

    return NULL;
}


static u_char *
ngx_http_infer_json_string_end(u_char *p, u_char *last)
{
    size_t  n;

    for (p++; p < last; p++) {

        p = memchr(p, '"', last - p);
        if (p == NULL) {
            return NULL;
        }

        /* an odd number of backslashes makes it a part of the string */

        for (n = 0; p[-1 - (ssize_t) n] == '\\'; n++) {
            /* void */
        }

        if (n % 2 == 0) {
            return p + 1;
        }
    }

    return NULL;
}


/*
 * The next bracket or quote: numbers and what separates them have, but for an
 * exponent's "e", neither bit 6 nor the code of a quote.
 */

static u_char *
ngx_http_infer_json_bracket(u_char *p, u_char *last)
{
    uint64_t  word, quote;

    while (p < last) {

        while (last - p >= 8) {
            ngx_memcpy(&word, p, 8);

            quote = word ^ 0x2222222222222222;
            quote = (quote - 0x0101010101010101) & ~quote
                    & 0x8080808080808080;

            if ((word & 0x4040404040404040) || quote) {
                break;
            }

            p += 8;
        }

        for ( /* void */ ; p < last; p++) {

            switch (*p) {
            case '"': case '[': case ']': case '{': case '}':
                return p;
            }

            if (*p >= 0x40) {
                p++;
                break;
            }
        }
    }

    return last;
}


static json_t *
ngx_http_infer_json_value(ngx_str_t *text, const char **why)
{
    json_t        *value;
    json_error_t   error;

    if (text->len > NGX_HTTP_INFER_MAX_VALUE) {
        *why = "a value of the JSON is too large";
        return NULL;
    }

    value = json_loadb((char *) text->data, text->len,
                       JSON_DECODE_ANY|JSON_REJECT_DUPLICATES, &error);

    if (value == NULL) {
        *why = "JSON syntax error";
    }

    return value;
}


json_t *
ngx_http_infer_json_object(ngx_str_t *text, ngx_http_infer_member_t *large,
    const char **why)
{
    json_t                 *object;
    ngx_int_t               rc;
    ngx_str_t               key, value;
    ngx_http_infer_json_t   json;

    if (ngx_http_infer_json_open(&json, text) != NGX_OK
        || json.close != '}')
    {
        *why = "a JSON object is expected";
        return NULL;
    }

    object = json_object();
    if (object == NULL) {
        *why = "out of memory";
        return NULL;
    }

    for ( ;; ) {
        rc = ngx_http_infer_json_next(&json, &key, &value);

        if (rc == NGX_DONE) {
            return object;
        }

        if (rc == NGX_ERROR) {
            *why = json.why;
            break;
        }

        if (ngx_http_infer_json_add(object, &key, &value, large, why)
            != NGX_OK)
        {
            break;
        }
    }

    json_decref(object);

    return NULL;
}


static ngx_int_t
ngx_http_infer_json_add(json_t *object, ngx_str_t *key, ngx_str_t *value,
    ngx_http_infer_member_t *large, const char **why)
{
    json_t      *name, *v;
    ngx_int_t    rc;
    const char  *s;

    name = ngx_http_infer_json_value(key, why);
    if (name == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    s = json_string_value(name);

    if (json_object_get(object, s)) {
        *why = "a name comes twice in a JSON object";
        goto done;
    }

    v = NULL;

    for ( /* void */ ; large->key; large++) {
        if (ngx_strcmp(large->key, s) == 0) {
            large->value = *value;
            v = json_null();
            break;
        }
    }

    if (v == NULL) {
        v = ngx_http_infer_json_value(value, why);
    }

    if (v && json_object_set_new(object, s, v) == 0) {
        rc = NGX_OK;
    }

done:

    json_decref(name);

    return rc;
}
