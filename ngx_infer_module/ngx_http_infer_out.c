
/*
 * The text of an answer that may be large: numbers are printed here, and not
 * by jansson or printf().
 */


#include "ngx_http_infer_tensors.h"


/* the longest number that is printed at once, and what separates it */
#define NGX_HTTP_INFER_NUMBER  32


static ngx_int_t ngx_http_infer_out_reserve(ngx_http_infer_out_t *out,
    size_t len);
static const u_char *ngx_http_infer_out_dim(ngx_http_infer_out_t *out,
    infer_dtype_t dtype, int rank, const int64_t *dim, const u_char *data);
static u_char *ngx_http_infer_print_element(u_char *p, infer_dtype_t dtype,
    const u_char *data);
static uint32_t ngx_http_infer_nine_digits(float f, int *e);
static u_char *ngx_http_infer_print_point(u_char *p, uint32_t n,
    ngx_uint_t digits, ngx_uint_t whole);
static u_char *ngx_http_infer_print_digits(u_char *p, uint32_t n,
    ngx_uint_t digits);


static ngx_int_t
ngx_http_infer_out_reserve(ngx_http_infer_out_t *out, size_t len)
{
    size_t   size, used;
    u_char  *p;

    if (out->failed) {
        return NGX_ERROR;
    }

    if ((size_t) (out->end - out->last) >= len) {
        return NGX_OK;
    }

    used = out->last - out->start;
    size = ngx_max(2 * used + len, 4096);

    p = ngx_palloc(out->pool, size);
    if (p == NULL) {
        out->failed = 1;
        return NGX_ERROR;
    }

    if (out->start) {
        ngx_memcpy(p, out->start, used);
        (void) ngx_pfree(out->pool, out->start);
    }

    out->start = p;
    out->last = p + used;
    out->end = p + size;

    return NGX_OK;
}


void
ngx_http_infer_out_bytes(ngx_http_infer_out_t *out, const void *data,
    size_t len)
{
    if (ngx_http_infer_out_reserve(out, len) == NGX_OK) {
        out->last = ngx_cpymem(out->last, data, len);
    }
}


void
ngx_http_infer_out_text(ngx_http_infer_out_t *out, const char *text)
{
    ngx_http_infer_out_bytes(out, text, ngx_strlen(text));
}


void
ngx_http_infer_out_integer(ngx_http_infer_out_t *out, int64_t n)
{
    if (ngx_http_infer_out_reserve(out, NGX_INT64_LEN) == NGX_OK) {
        out->last = ngx_sprintf(out->last, "%L", n);
    }
}


void
ngx_http_infer_out_string(ngx_http_infer_out_t *out, ngx_str_t *text)
{
    size_t   len;
    json_t  *string;

    string = ngx_http_infer_json_string(text);

    len = json_dumpb(string, NULL, 0, JSON_ENCODE_ANY);

    if (len && ngx_http_infer_out_reserve(out, len) == NGX_OK) {
        out->last += json_dumpb(string, (char *) out->last, len,
                                JSON_ENCODE_ANY);
    } else {
        out->failed = 1;
    }

    json_decref(string);
}


ngx_int_t
ngx_http_infer_out_tensor(ngx_http_infer_out_t *out, infer_dtype_t dtype,
    int rank, const int64_t *dim, const void *data)
{
    u_char  *p;

    if (rank) {
        return ngx_http_infer_out_dim(out, dtype, rank, dim, data)
               || out->failed ? NGX_OK : NGX_ERROR;
    }

    if (ngx_http_infer_out_reserve(out, NGX_HTTP_INFER_NUMBER) != NGX_OK) {
        return NGX_OK;
    }

    p = ngx_http_infer_print_element(out->last, dtype, data);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->last = p;

    return NGX_OK;
}


/* returns where the data ends */

static const u_char *
ngx_http_infer_out_dim(ngx_http_infer_out_t *out, infer_dtype_t dtype,
    int rank, const int64_t *dim, const u_char *data)
{
    u_char   *p;
    size_t    size;
    int64_t   i;

    size = infer_dtype_size(dtype);

    ngx_http_infer_out_bytes(out, "[", 1);

    for (i = 0; i < dim[0] && data; i++) {

        if (ngx_http_infer_out_reserve(out, NGX_HTTP_INFER_NUMBER)
            != NGX_OK)
        {
            return NULL;
        }

        if (i) {
            *out->last++ = ',';
        }

        if (rank > 1) {
            data = ngx_http_infer_out_dim(out, dtype, rank - 1, dim + 1,
                                          data);
            continue;
        }

        p = ngx_http_infer_print_element(out->last, dtype, data);
        if (p == NULL) {
            return NULL;
        }

        out->last = p;
        data += size;
    }

    ngx_http_infer_out_bytes(out, "]", 1);

    return data;
}


/* NULL: there is no JSON for it */

static u_char *
ngx_http_infer_print_element(u_char *p, infer_dtype_t dtype,
    const u_char *data)
{
    float     f;
    double    d;
    int16_t   s;
    int32_t   i;
    int64_t   l;
    uint16_t  us;
    uint32_t  ui;
    uint64_t  ul;

    switch (dtype) {

    case INFER_F32:
        ngx_memcpy(&f, data, 4);
        return isfinite(f) ? ngx_http_infer_print_float(p, f) : NULL;

    case INFER_F64:
        ngx_memcpy(&d, data, 8);
        return isfinite(d) ? p + sprintf((char *) p, "%.17g", d) : NULL;

    case INFER_I8:
        return ngx_sprintf(p, "%i", (ngx_int_t) (int8_t) *data);

    case INFER_U8:
        return ngx_sprintf(p, "%ui", (ngx_uint_t) *data);

    case INFER_I16:
        ngx_memcpy(&s, data, 2);
        return ngx_sprintf(p, "%i", (ngx_int_t) s);

    case INFER_U16:
        ngx_memcpy(&us, data, 2);
        return ngx_sprintf(p, "%ui", (ngx_uint_t) us);

    case INFER_I32:
        ngx_memcpy(&i, data, 4);
        return ngx_sprintf(p, "%D", i);

    case INFER_U32:
        ngx_memcpy(&ui, data, 4);
        return ngx_sprintf(p, "%uD", ui);

    case INFER_I64:
        ngx_memcpy(&l, data, 8);
        return ngx_sprintf(p, "%L", l);

    case INFER_U64:
        ngx_memcpy(&ul, data, 8);
        return ngx_sprintf(p, "%uL", ul);

    case INFER_BOOL:
        return ngx_sprintf(p, "%s", *data ? "true" : "false");

    default:
        return NULL;
    }
}


/*
 * Nine digits: two floats that are neighbours differ by more than twice the
 * error of nine digits and of the scaling by a power of ten in double.
 */

u_char *
ngx_http_infer_print_float(u_char *p, float f)
{
    int         e;
    uint32_t    n;
    ngx_uint_t  digits, i;

    if (signbit(f)) {
        *p++ = '-';
        f = -f;
    }

    if (f == 0) {
        return ngx_cpymem(p, "0.0", 3);
    }

    n = ngx_http_infer_nine_digits(f, &e);

    for (digits = 9; n % 10 == 0; digits--) {
        n /= 10;
    }

    if (e < -5 || e > 15) {
        p = ngx_http_infer_print_point(p, n, digits, 1);

        if (digits == 1) {
            *p++ = '0';
        }

        return ngx_sprintf(p, "e%i", (ngx_int_t) e);
    }

    if (e < 0) {
        p = ngx_cpymem(p, "0.0000", 1 - e);
        return ngx_http_infer_print_digits(p, n, digits);
    }

    if (digits > (ngx_uint_t) e + 1) {
        return ngx_http_infer_print_point(p, n, digits, e + 1);
    }

    p = ngx_http_infer_print_digits(p, n, digits);

    for (i = digits; i < (ngx_uint_t) e + 1; i++) {
        *p++ = '0';
    }

    return ngx_cpymem(p, ".0", 2);
}


/* f > 0 is about the number that is returned * 10^(e - 8) */

static uint32_t
ngx_http_infer_nine_digits(float f, int *e)
{
    int       exponent;
    double    d;
    uint32_t  n;

    static const double  ten[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23,
        1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34,
        1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45,
        1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53
    };

    d = f;

    /* 2^exponent <= d; e is the exponent of ten, or one less */

    exponent = ilogb(d);
    *e = (exponent * 78913 - (exponent < 0 ? 262143 : 0)) / 262144;

    for ( ;; ) {
        n = (uint32_t) ((*e > 8 ? d / ten[*e - 8] : d * ten[8 - *e]) + 0.5);

        if (n < 1000000000) {
            return n;
        }

        (*e)++;
    }
}


/* with a point after so many digits, fewer than there are, or one */

static u_char *
ngx_http_infer_print_point(u_char *p, uint32_t n, ngx_uint_t digits,
    ngx_uint_t whole)
{
    u_char  *last;

    last = ngx_http_infer_print_digits(p + 1, n, digits);

    /* the digits before the point one place to the left */

    ngx_memmove(p, p + 1, whole);
    p[whole] = '.';

    return last;
}


static u_char *
ngx_http_infer_print_digits(u_char *p, uint32_t n, ngx_uint_t digits)
{
    u_char    *last;
    uint32_t   pair;

    static const char  pairs[] =
        "00010203040506070809101112131415161718192021222324"
        "25262728293031323334353637383940414243444546474849"
        "50515253545556575859606162636465666768697071727374"
        "75767778798081828384858687888990919293949596979899";

    last = p + digits;
    p = last;

    for ( /* void */ ; digits > 1; digits -= 2) {
        pair = n % 100;
        n /= 100;

        *--p = pairs[2 * pair + 1];
        *--p = pairs[2 * pair];
    }

    if (digits) {
        *--p = '0' + n;
    }

    return last;
}
