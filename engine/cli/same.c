/*
 * Comparison of tensors.
 */

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/same.h"
#include "cli/npy.h"


#define ATOL       1e-7
#define RTOL       1e-3
#define RTOL_BF16  0x1p-7         /* of a type whose steps are that large */


static double
from_half(uint16_t bits)
{
    int     exponent = bits >> 10 & 0x1f;
    double  mantissa = bits & 0x3ff, x;

    if (exponent == 0x1f) {
        x = mantissa != 0 ? NAN : INFINITY;
    } else if (exponent == 0) {
        x = ldexp(mantissa, -24);
    } else {
        x = ldexp(mantissa + 1024, exponent - 25);
    }

    return bits & 0x8000 ? -x : x;
}


/* Element i of a tensor of a float dtype. */
static double
float_at(const infer_tensor_t *t, size_t i)
{
    float       x;
    double      wide;
    uint16_t    bits;
    uint32_t    all;
    const char *p = (const char *) t->data + i * infer_dtype_size(t->dtype);

    switch (t->dtype) {

    case INFER_F32:
        memcpy(&x, p, sizeof(x));
        return (double) x;

    case INFER_F16:
        memcpy(&bits, p, sizeof(bits));
        return from_half(bits);

    case INFER_BF16:
        memcpy(&bits, p, sizeof(bits));
        all = (uint32_t) bits << 16;
        memcpy(&x, &all, sizeof(x));
        return (double) x;

    default:
        memcpy(&wide, p, sizeof(wide));
        return wide;
    }
}


static int
is_float(infer_dtype_t dtype)
{
    return dtype == INFER_F32 || dtype == INFER_F64 || dtype == INFER_F16
           || dtype == INFER_BF16;
}


/* Infinities are close to themselves alone. */
static int
close_to(double x, double y, double rtol)
{
    if (isnan(x) || isnan(y)) {
        return isnan(x) && isnan(y);
    }

    return x == y || (isfinite(y) && fabs(x - y) <= ATOL + rtol * fabs(y));
}


/* An integer as text; the dtype says how many bytes, and whether signed. */
static void
integer_text(char *buf, const infer_tensor_t *t, size_t i)
{
    int          bits = (int) (8 * infer_dtype_size(t->dtype));
    int64_t      x = 0;
    uint64_t     raw = 0;
    const char  *p = (const char *) t->data + i * infer_dtype_size(t->dtype);

    memcpy(&raw, p, infer_dtype_size(t->dtype));

    switch (t->dtype) {

    case INFER_I8:
    case INFER_I16:
    case INFER_I32:
    case INFER_I64:
        /* sign extension, without overflow */
        raw ^= (uint64_t) 1 << (bits - 1);
        x = (int64_t) (raw - ((uint64_t) 1 << (bits - 1)));
        snprintf(buf, CLI_TEXT_SIZE, "%lld", (long long) x);
        break;

    default:
        snprintf(buf, CLI_TEXT_SIZE, "%llu", (unsigned long long) raw);
        break;
    }
}


/* "[1,0,27]" for element i. */
static void
index_text(char *buf, const infer_tensor_t *t, size_t i)
{
    int     axis;
    size_t  index[INFER_MAX_RANK], used = 0;

    for (axis = t->rank - 1; axis >= 0; axis--) {
        index[axis] = i % (size_t) t->dim[axis];
        i /= (size_t) t->dim[axis];
    }

    buf[0] = '\0';

    for (axis = 0; axis < t->rank; axis++) {
        used += (size_t) snprintf(buf + used, CLI_TEXT_SIZE - used, "%s%zu",
                                  axis ? "," : "", index[axis]);
    }
}


static int
differs_at(const infer_tensor_t *got, const infer_tensor_t *expected,
    size_t i, infer_error_t *err)
{
    char  at[CLI_TEXT_SIZE], is[CLI_TEXT_SIZE], should[CLI_TEXT_SIZE];

    index_text(at, got, i);

    if (is_float(got->dtype)) {
        snprintf(is, sizeof(is), "%.9g", float_at(got, i));
        snprintf(should, sizeof(should), "%.9g", float_at(expected, i));
    } else {
        integer_text(is, got, i);
        integer_text(should, expected, i);
    }

    return cli_fail(err, "[%s] is %.40s, expected %.40s", at, is, should);
}


int
cli_same(const infer_tensor_t *got, const infer_tensor_t *expected,
    infer_error_t *err)
{
    int     same;
    char    is[CLI_TEXT_SIZE], should[CLI_TEXT_SIZE];
    size_t  i, n, bytes, size;

    if (got->dtype != expected->dtype) {
        return cli_fail(err, "is %s, expected %s",
                        infer_dtype_name(got->dtype),
                        infer_dtype_name(expected->dtype));
    }

    if (got->rank != expected->rank
        || memcmp(got->dim, expected->dim,
                  (size_t) got->rank * sizeof(got->dim[0]))
           != 0)
    {
        return cli_fail(err, "is %.200s, expected %.200s",
                        cli_shape_text(is, got->rank, got->dim),
                        cli_shape_text(should, expected->rank,
                                       expected->dim));
    }

    if (cli_tensor_size(got, &n, &bytes) != 0) {
        return cli_fail(err, "is too large");
    }

    size = infer_dtype_size(got->dtype);

    for (i = 0; i < n; i++) {
        same = is_float(got->dtype)
               ? close_to(float_at(got, i), float_at(expected, i),
                          got->dtype == INFER_BF16 ? RTOL_BF16 : RTOL)
               : memcmp((char *) got->data + i * size,
                        (char *) expected->data + i * size, size) == 0;

        if (!same) {
            return differs_at(got, expected, i, err);
        }
    }

    return 0;
}
