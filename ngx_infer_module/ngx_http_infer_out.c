
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
static u_char *ngx_http_infer_print_exponent(u_char *p, int e);
static ngx_inline uint64_t ngx_http_infer_eight_digits(uint32_t n);
static ngx_inline void ngx_http_infer_store_word(u_char *p, uint64_t v);


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
    int      i;
    u_char  *p;
    size_t   count;

    for (count = 1, i = 0; i < rank; i++) {
        count *= dim[i];
    }

    /* about what it takes, so that what is written need not be moved */

    if (ngx_http_infer_out_reserve(out, 13 * count + 2) != NGX_OK) {
        return NGX_OK;
    }

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
 *
 * The digits after the first one are characters in a word, the next one in its
 * lowest byte: zeros at the end are counted there, and the word is stored as a
 * whole, where what is too much is overwritten.
 */

u_char *
ngx_http_infer_print_float(u_char *p, float f)
{
    int         e;
    uint32_t    n;
    uint64_t    rest;
    ngx_int_t   digits;

    if (signbit(f)) {
        *p++ = '-';
        f = -f;
    }

    if (f == 0) {
        return ngx_cpymem(p, "0.0", 3);
    }

    n = ngx_http_infer_nine_digits(f, &e);
    rest = ngx_http_infer_eight_digits(n % 100000000);
    n = '0' + n / 100000000;

    digits = rest ? 9 - __builtin_clzll(rest) / 8 : 1;
    rest |= 0x3030303030303030;

    if (e < -5 || e > 15) {
        *p++ = (u_char) n;
        *p++ = '.';
        ngx_http_infer_store_word(p, rest);

        return ngx_http_infer_print_exponent(p + ngx_max(digits - 1, 1), e);
    }

    if (e < 0) {
        ngx_memcpy(p, "0.000000", 8);
        p += 1 - e;
    }

    *p++ = (u_char) n;
    ngx_http_infer_store_word(p, rest);

    if (e < 0) {
        return p + digits - 1;
    }

    if (digits > e + 1) {
        p[e] = '.';
        ngx_http_infer_store_word(p + e + 1, rest >> 8 * e);

        return p + digits;
    }

    ngx_memset(p + 8, '0', 8);

    return ngx_cpymem(p + e, ".0", 2);
}


/* f > 0 is about the number that is returned * 10^(e - 8) */

static uint32_t
ngx_http_infer_nine_digits(float f, int *e)
{
    int       exponent;
    double    d;
    uint32_t  n;
    uint64_t  bits;

    static const double  ten[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23,
        1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34,
        1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45,
        1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53
    };

    d = f;

    /* 2^exponent <= d, which is normal, other than f may be; e is the exponent
       of ten, or one less */

    ngx_memcpy(&bits, &d, 8);
    exponent = (int) (bits >> 52) - 1023;
    *e = (exponent * 78913 - (exponent < 0 ? 262143 : 0)) / 262144;

    for ( ;; ) {
        n = (uint32_t) ((*e > 8 ? d / ten[*e - 8] : d * ten[8 - *e]) + 0.5);

        if (n < 1000000000) {
            return n;
        }

        (*e)++;
    }
}


/* at most two digits */

static u_char *
ngx_http_infer_print_exponent(u_char *p, int e)
{
    *p++ = 'e';

    if (e < 0) {
        *p++ = '-';
        e = -e;
    }

    if (e > 9) {
        *p++ = (u_char) ('0' + e / 10);
    }

    *p++ = (u_char) ('0' + e % 10);

    return p;
}


/*
 * The digits of n < 10^8, one a byte, the first one in the lowest: halves,
 * pairs, digits; x * 10486 >> 20 is x / 100 for four digits, x * 103 >> 10 is
 * x / 10 for two.
 */

static ngx_inline uint64_t
ngx_http_infer_eight_digits(uint32_t n)
{
    uint64_t  v, q;

    v = n / 10000 | (uint64_t) (n % 10000) << 32;

    q = (v * 10486 >> 20) & 0x0000007f0000007f;
    v = q | (v - q * 100) << 16;

    q = (v * 103 >> 10) & 0x000f000f000f000f;

    return q | (v - q * 10) << 8;
}


static ngx_inline void
ngx_http_infer_store_word(u_char *p, uint64_t v)
{
#if !(NGX_HAVE_LITTLE_ENDIAN)
    v = __builtin_bswap64(v);
#endif

    ngx_memcpy(p, &v, 8);
}
