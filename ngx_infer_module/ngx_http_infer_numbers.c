
/*
 * The numbers of a JSON text, read into a tensor: a request may have a million
 * of them, so that neither jansson nor strtod() sees any but the odd ones.
 */


#include "ngx_http_infer_tensors.h"


/* a number as it is written: (-1)^negative * digits * 10^exponent */
typedef struct {
    uint64_t                     digits;
    int                          exponent;
    unsigned                     negative:1;
    unsigned                     integer:1;   /* no point, no exponent */
    unsigned                     inexact:1;   /* more than 19 digits */
} ngx_http_infer_number_t;


typedef struct {
    infer_dtype_t                dtype;
    int                          rank;
    const int64_t               *dim;
    size_t                       n;           /* elements read */
    u_char                      *last;
    void                        *dst;
    const char                  *why;
} ngx_http_infer_reader_t;


static u_char *ngx_http_infer_read_array(ngx_http_infer_reader_t *rd,
    u_char *p, int depth);
static u_char *ngx_http_infer_read_element(ngx_http_infer_reader_t *rd,
    u_char *p);
static ngx_int_t ngx_http_infer_store(ngx_http_infer_reader_t *rd,
    ngx_http_infer_number_t *number, u_char *text);
static ngx_int_t ngx_http_infer_store_integer(ngx_http_infer_reader_t *rd,
    ngx_http_infer_number_t *number, u_char *text);
static ngx_inline u_char *ngx_http_infer_parse_digits(u_char *p,
    uint64_t *value);
static u_char *ngx_http_infer_parse_number(u_char *p,
    ngx_http_infer_number_t *number);
static double ngx_http_infer_to_double(ngx_http_infer_number_t *number,
    u_char *text);
static double ngx_http_infer_scale(uint64_t m, int e);


ngx_int_t
ngx_http_infer_json_numbers(ngx_str_t *text, infer_dtype_t dtype, int rank,
    const int64_t *dim, ngx_uint_t flat, void *dst, const char **why)
{
    int                       i;
    u_char                   *p;
    int64_t                   n;
    ngx_http_infer_reader_t   rd;

    rd.dtype = dtype;
    rd.rank = rank;
    rd.dim = dim;
    rd.n = 0;
    rd.last = text->data + text->len;
    rd.dst = dst;
    rd.why = "the values do not have the shape";

    p = ngx_http_infer_json_space(text->data, rd.last);

    if (flat && p < rd.last && *p == '[') {

        u_char  *q = ngx_http_infer_json_space(p + 1, rd.last);

        if (q < rd.last && *q != '[') {
            for (n = 1, i = 0; i < rank; i++) {
                n *= dim[i];
            }

            rd.rank = 1;
            rd.dim = &n;
        }
    }

    p = rd.rank ? ngx_http_infer_read_array(&rd, p, 0)
                : ngx_http_infer_read_element(&rd, p);

    if (p && ngx_http_infer_json_space(p, rd.last) == rd.last) {
        return NGX_OK;
    }

    *why = rd.why;

    return NGX_ERROR;
}


/* returns what follows the array; NULL: it is not as it should be */

static u_char *
ngx_http_infer_read_array(ngx_http_infer_reader_t *rd, u_char *p, int depth)
{
    u_char   *last;
    int64_t   i, n;

    n = rd->dim[depth];
    last = rd->last;

    if (p == last || *p != '[') {
        return NULL;
    }

    p = ngx_http_infer_json_space(p + 1, last);

    for (i = 0; i < n; i++) {

        if (i) {
            if (p == last || *p != ',') {
                return NULL;
            }

            p = ngx_http_infer_json_space(p + 1, last);
        }

        p = (depth + 1 < rd->rank)
            ? ngx_http_infer_read_array(rd, p, depth + 1)
            : ngx_http_infer_read_element(rd, p);

        if (p == NULL) {
            return NULL;
        }

        p = ngx_http_infer_json_space(p, last);
    }

    return (p < last && *p == ']') ? p + 1 : NULL;
}


static u_char *
ngx_http_infer_read_element(ngx_http_infer_reader_t *rd, u_char *p)
{
    u_char                   *end;
    ngx_http_infer_number_t   number;

    if (rd->dtype == INFER_BOOL) {

        number.digits = (*p == 't');
        end = p + (number.digits ? 4 : 5);

        if (end > rd->last
            || ngx_strncmp(p, number.digits ? "true" : "false", end - p) != 0)
        {
            rd->why = "true or false is expected";
            return NULL;
        }

        ((u_char *) rd->dst)[rd->n++] = number.digits;

        return end;
    }

    end = ngx_http_infer_parse_number(p, &number);

    if (end == NULL || end > rd->last) {
        if (*p != '[' && *p != ']') {
            rd->why = "a number is expected";
        }

        return NULL;
    }

    return ngx_http_infer_store(rd, &number, p) == NGX_OK ? end : NULL;
}


static ngx_int_t
ngx_http_infer_store(ngx_http_infer_reader_t *rd,
    ngx_http_infer_number_t *number, u_char *text)
{
    float   f;
    double  d;

    switch (rd->dtype) {

    case INFER_F32:
        d = ngx_http_infer_to_double(number, text);
        f = (float) d;
        d = f;
        ((float *) rd->dst)[rd->n] = f;
        break;

    case INFER_F64:
        d = ngx_http_infer_to_double(number, text);
        ((double *) rd->dst)[rd->n] = d;
        break;

    case INFER_F16:
    case INFER_BF16:
        rd->why = "this datatype has no JSON: send it binary";
        return NGX_ERROR;

    default:
        return ngx_http_infer_store_integer(rd, number, text);
    }

    if (!isfinite(d)) {
        rd->why = "a number is too large for its datatype";
        return NGX_ERROR;
    }

    rd->n++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_store_integer(ngx_http_infer_reader_t *rd,
    ngx_http_infer_number_t *number, u_char *text)
{
    size_t      size;
    u_char     *dst;
    uint64_t    max, v;
    ngx_uint_t  is_signed;

    rd->why = "a number does not fit its datatype";

    size = infer_dtype_size(rd->dtype);

    is_signed = (rd->dtype == INFER_I8 || rd->dtype == INFER_I16
                 || rd->dtype == INFER_I32 || rd->dtype == INFER_I64);

    max = UINT64_MAX >> (64 - 8 * size + is_signed);

    if (number->inexact && number->integer && !number->negative) {
        /* 20 digits may be an unsigned one */
        ngx_set_errno(0);
        number->digits = strtoull((char *) text, NULL, 10);
        number->inexact = (ngx_errno == ERANGE);
    }

    if (!number->integer || number->inexact
        || number->digits > max + (is_signed && number->negative)
        || (!is_signed && number->negative && number->digits))
    {
        return NGX_ERROR;
    }

    v = number->negative ? 0 - number->digits : number->digits;
    dst = (u_char *) rd->dst + rd->n * size;

    switch (size) {

    case 1:
        *dst = (u_char) v;
        break;

    case 2:
        *(uint16_t *) dst = (uint16_t) v;
        break;

    case 4:
        *(uint32_t *) dst = (uint32_t) v;
        break;

    default:
        *(uint64_t *) dst = v;
    }

    rd->n++;

    return NGX_OK;
}


/* 8 digits at once: pairs, fours, eight */

static ngx_inline u_char *
ngx_http_infer_parse_digits(u_char *p, uint64_t *value)
{
    uint64_t  v;

#if (NGX_HAVE_LITTLE_ENDIAN)

    for ( ;; ) {
        ngx_memcpy(&v, p, 8);

        v ^= 0x3030303030303030;

        /* digits are 0 to 9 now: none reaches 16 when 6 is added, or has more
           than four bits */

        if ((v | (v + 0x0606060606060606)) & 0xf0f0f0f0f0f0f0f0) {
            break;
        }

        v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ff;
        v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffff;
        v = (v * 10000 + (v >> 32)) & 0x00000000ffffffff;

        *value = *value * 100000000 + v;
        p += 8;
    }

#endif

    for ( /* void */ ; *p >= '0' && *p <= '9'; p++) {
        v = *p - '0';
        *value = *value * 10 + v;
    }

    return p;
}


/* NULL: no number as JSON writes them */

static u_char *
ngx_http_infer_parse_number(u_char *p, ngx_http_infer_number_t *number)
{
    int       e, sign;
    u_char   *start, *fraction;
    size_t    n;

    number->digits = 0;
    number->exponent = 0;
    number->negative = (*p == '-');
    number->integer = 1;
    number->inexact = 0;

    p += number->negative;
    start = p;

    p = ngx_http_infer_parse_digits(p, &number->digits);

    n = p - start;

    if (n == 0 || (n > 1 && *start == '0')) {
        return NULL;
    }

    if (*p == '.') {
        fraction = p + 1;
        p = ngx_http_infer_parse_digits(fraction, &number->digits);

        if (p == fraction) {
            return NULL;
        }

        number->integer = 0;
        number->exponent = -(int) ngx_min(p - fraction, 100000);
        n += p - fraction;
    }

    if (n > 19) {

        /* zeros in front are none of the 19 */

        for ( /* void */ ; n && (*start == '0' || *start == '.'); start++) {
            n -= (*start == '0');
        }

        number->inexact = (n > 19);
    }

    if (*p == 'e' || *p == 'E') {
        p++;
        sign = (*p == '-') ? -1 : 1;

        if (*p == '-' || *p == '+') {
            p++;
        }

        for (start = p, e = 0; *p >= '0' && *p <= '9'; p++) {
            e = ngx_min(e * 10 + (*p - '0'), 100000);
        }

        if (p == start) {
            return NULL;
        }

        number->integer = 0;
        number->exponent += sign * e;
    }

    return p;
}


static double
ngx_http_infer_to_double(ngx_http_infer_number_t *number, u_char *text)
{
    double  d;

    if (number->inexact
        || number->exponent < -27 || number->exponent > 27)
    {
        /* the text is a number, and something else follows it */
        return strtod((char *) text, NULL);
    }

    d = number->digits ? ngx_http_infer_scale(number->digits,
                                              number->exponent)
                       : 0;

    return number->negative ? -d : d;
}


/*
 * The double nearest to m * 10^e, ties to even; m > 0, -27 <= e <= 27.
 *
 * 10^22 is the largest power that is a double: with it, one operation rounds
 * once.  Else the product or quotient of m and 5^|e| < 2^63 is computed to 63
 * bits or more and a bit that tells whether there are others, and rounded.
 */

static double
ngx_http_infer_scale(uint64_t m, int e)
{
    int                shift, exponent, drop;
    double             scale;
    uint64_t           d, q, rest, half, bits;
    ngx_uint_t         more;
    unsigned __int128  x;

    static const double    ten[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
    };

    static const uint64_t  five[] = {
        1ULL, 5ULL, 25ULL, 125ULL, 625ULL, 3125ULL, 15625ULL, 78125ULL,
        390625ULL, 1953125ULL, 9765625ULL, 48828125ULL, 244140625ULL,
        1220703125ULL, 6103515625ULL, 30517578125ULL, 152587890625ULL,
        762939453125ULL, 3814697265625ULL, 19073486328125ULL,
        95367431640625ULL, 476837158203125ULL, 2384185791015625ULL,
        11920928955078125ULL, 59604644775390625ULL, 298023223876953125ULL,
        1490116119384765625ULL, 7450580596923828125ULL
    };

    if (m < (uint64_t) 1 << 53 && e >= -22 && e <= 22) {
        return e < 0 ? m / ten[-e] : m * ten[e];
    }

    shift = __builtin_clzll(m);
    m <<= shift;

    /* the value is about q * 2^exponent */

    if (e < 0) {
        d = five[-e];
        exponent = e - shift - 63;

        shift = __builtin_clzll(d);
        d <<= shift;
        exponent += shift;

        x = (unsigned __int128) m << 63;

        q = (uint64_t) (x / d);
        more = (x % d != 0);

    } else {
        x = (unsigned __int128) m * five[e];
        exponent = e - shift;

        q = (uint64_t) (x >> 64);
        shift = q ? __builtin_clzll(q) : 64;

        /* at most 64: m has all its bits */

        x = (shift < 64) ? x << shift : x << 32 << 32;
        exponent += 64 - shift;

        q = (uint64_t) (x >> 64);
        more = ((uint64_t) x != 0);
    }

    drop = 11 - __builtin_clzll(q);

    rest = q & (((uint64_t) 1 << drop) - 1);
    half = (uint64_t) 1 << (drop - 1);

    q >>= drop;
    q += rest > half || (rest == half && (more || q % 2));

    bits = (uint64_t) (1023 + drop + exponent) << 52;
    ngx_memcpy(&scale, &bits, 8);

    return (double) q * scale;
}
