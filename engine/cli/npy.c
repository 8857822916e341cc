/*
 * .npy files.  Format (numpy.lib.format): the magic "\x93NUMPY", two bytes of
 * version, the length of the header (u16 in version 1, u32 from 2 on), the
 * header, which is a Python dictionary literal with the keys descr,
 * fortran_order and shape, and the elements.
 *
 * Of Python's syntax we read what numpy writes: a plain dictionary of these
 * three keys, in any order.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/npy.h"


#define MAGIC       "\x93NUMPY"
#define MAGIC_SIZE  6
#define ALIGNMENT   64            /* of the elements, in what we write */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "elements are copied as they lie in the file");


static const char *const  descr[INFER_DTYPES] = {
    [INFER_F32] = "<f4",
    [INFER_F64] = "<f8",
    [INFER_F16] = "<f2",
    [INFER_BF16] = "<V2",
    [INFER_I8] = "|i1",
    [INFER_U8] = "|u1",
    [INFER_I16] = "<i2",
    [INFER_U16] = "<u2",
    [INFER_I32] = "<i4",
    [INFER_U32] = "<u4",
    [INFER_I64] = "<i8",
    [INFER_U64] = "<u8",
    [INFER_BOOL] = "|b1"
};


int
cli_tensor_size(const infer_tensor_t *tensor, size_t *elements,
    size_t *bytes)
{
    int     i;
    size_t  n = 1;

    for (i = 0; i < tensor->rank; i++) {
        if (tensor->dim[i] < 0
            || __builtin_mul_overflow(n, (size_t) tensor->dim[i], &n))
        {
            return -1;
        }
    }

    *elements = n;

    return __builtin_mul_overflow(n, infer_dtype_size(tensor->dtype), bytes)
           ? -1 : 0;
}


/* ---- the header ------------------------------------------------------- */

/* Skips white space, then c if it is next: 1, otherwise 0. */
static int
skip(const char **p, char c)
{
    *p += strspn(*p, " \t\n");

    if (**p != c) {
        return 0;
    }

    (*p)++;

    return 1;
}


/* A string literal without escapes. */
static int
quoted(const char **p, char *text, size_t size)
{
    char    quote;
    size_t  len;

    *p += strspn(*p, " \t\n");
    quote = **p;

    if (quote != '\'' && quote != '"') {
        return -1;
    }

    len = strcspn(*p + 1, quote == '"' ? "\"\\" : "'\\");

    if (len >= size || (*p)[1 + len] != quote) {
        return -1;
    }

    memcpy(text, *p + 1, len);
    text[len] = '\0';
    *p += len + 2;

    return 0;
}


static int
boolean(const char **p, int *value)
{
    *p += strspn(*p, " \t\n");
    *value = strncmp(*p, "True", 4) == 0;

    if (!*value && strncmp(*p, "False", 5) != 0) {
        return -1;
    }

    *p += *value ? 4 : 5;

    return 0;
}


/* "()", "(3,)", "(2, 3)". */
static int
shape(const char **p, infer_tensor_t *tensor)
{
    size_t    len;
    char      digits[24];
    uint64_t  dim;

    tensor->rank = 0;

    if (!skip(p, '(')) {
        return -1;
    }

    while (!skip(p, ')')) {

        len = strspn(*p, "0123456789");

        if (len == 0 || len >= sizeof(digits)
            || tensor->rank == INFER_MAX_RANK)
        {
            return -1;
        }

        memcpy(digits, *p, len);
        digits[len] = '\0';
        *p += len;

        if (cli_number(digits, INT64_MAX, &dim) != 0) {
            return -1;
        }

        tensor->dim[tensor->rank++] = (int64_t) dim;

        if (!skip(p, ',') && (tensor->rank == 1 || **p != ')')) {
            return -1;
        }
    }

    return 0;
}


/* numpy writes '|' for one byte, '<' for more; '=' and no mark at all mean
   this machine's order, which is little-endian. */
static int
dtype(const char *text, infer_dtype_t *type)
{
    int          i;
    const char  *code = text + (strchr("|<=", *text) != NULL && *text);

    for (i = 0; i < INFER_DTYPES; i++) {
        if (strcmp(descr[i] + 1, code) == 0) {
            *type = (infer_dtype_t) i;
            return 0;
        }
    }

    return -1;
}


static int
header(const char *path, const char *p, infer_tensor_t *tensor, int *fortran,
    infer_error_t *err)
{
    int   seen = 0, bit = 0, bad = 0;
    char  key[16], text[16];

    if (!skip(&p, '{')) {
        return cli_fail(err, "%s: header is no dictionary", path);
    }

    while (!skip(&p, '}')) {

        if (quoted(&p, key, sizeof(key)) != 0 || !skip(&p, ':')) {
            return cli_fail(err, "%s: broken header", path);
        }

        if (strcmp(key, "descr") == 0) {
            bit = 1;

            if (quoted(&p, text, sizeof(text)) != 0) {
                return cli_fail(err, "%s: structured dtypes are not "
                                "supported", path);
            }

            if (dtype(text, &tensor->dtype) != 0) {
                return cli_fail(err, "%s: dtype \"%s\"%s is not supported",
                                path, text,
                                *text == '>' ? " (big-endian)" : "");
            }

        } else if (strcmp(key, "fortran_order") == 0) {
            bit = 2;
            bad = boolean(&p, fortran);

        } else if (strcmp(key, "shape") == 0) {
            bit = 4;
            bad = shape(&p, tensor);

        } else {
            return cli_fail(err, "%s: unknown key \"%s\" in the header",
                            path, key);
        }

        if (bad || (seen & bit)) {
            return cli_fail(err, "%s: broken or repeated \"%s\" in the "
                            "header", path, key);
        }

        seen |= bit;

        if (!skip(&p, ',') && *p != '}') {
            return cli_fail(err, "%s: broken header", path);
        }
    }

    if (seen != 7) {
        return cli_fail(err, "%s: header lacks %s", path,
                        !(seen & 1) ? "descr" : !(seen & 2) ? "fortran_order"
                                                            : "shape");
    }

    /* numpy pads the header with spaces and ends it with a newline */
    p += strspn(p, " \n");

    return *p ? cli_fail(err, "%s: header has something behind the "
                         "dictionary", path)
              : 0;
}


/* ---- reading ---------------------------------------------------------- */

/* Copies n elements that lie in Fortran order (first index fastest). */
static void
from_fortran(const infer_tensor_t *tensor, size_t n, const char *src)
{
    int      axis;
    char    *dst = tensor->data;
    size_t   i, at, size = infer_dtype_size(tensor->dtype);
    int64_t  index[INFER_MAX_RANK] = { 0 };

    for (i = 0; i < n; i++) {

        at = 0;
        for (axis = 0; axis < tensor->rank; axis++) {
            at = at * (size_t) tensor->dim[axis] + (size_t) index[axis];
        }

        memcpy(dst + at * size, src + i * size, size);

        for (axis = 0; axis < tensor->rank; axis++) {
            if (++index[axis] < tensor->dim[axis]) {
                break;
            }
            index[axis] = 0;
        }
    }
}


static int
parse(const char *path, char *file, size_t size, infer_tensor_t *tensor,
    infer_error_t *err)
{
    int       fortran = 0, failed, prefix;
    char      behind;
    size_t    i, n, bytes, start;
    uint8_t  *flag;
    uint32_t  len = 0;

    if (size < MAGIC_SIZE + 2 || memcmp(file, MAGIC, MAGIC_SIZE) != 0) {
        return cli_fail(err, "%s: not a .npy file", path);
    }

    if (file[6] < 1 || file[6] > 3 || file[7] != 0) {
        return cli_fail(err, "%s: .npy version %d.%d is not supported", path,
                        file[6], file[7]);
    }

    prefix = file[6] == 1 ? 2 : 4;
    start = MAGIC_SIZE + 2 + (size_t) prefix;

    if (size >= start) {
        memcpy(&len, file + MAGIC_SIZE + 2, (size_t) prefix);
    }

    if (size < start || size - start < len
        || memchr(file + start, '\0', len) != NULL)
    {
        return cli_fail(err, "%s: broken or truncated header", path);
    }

    /* the header, as a string; the byte behind it is put back */
    behind = file[start + len];
    file[start + len] = '\0';
    failed = header(path, file + start, tensor, &fortran, err);
    file[start + len] = behind;
    start += len;

    if (failed) {
        return -1;
    }

    if (cli_tensor_size(tensor, &n, &bytes) != 0) {
        return cli_fail(err, "%s: the shape is too large", path);
    }

    if (bytes != size - start) {
        return cli_fail(err, "%s: %zu bytes of data where its shape needs "
                        "%zu", path, size - start, bytes);
    }

    tensor->data = cli_alloc(bytes, 1);

    if (fortran && tensor->rank > 1) {
        from_fortran(tensor, n, file + start);
    } else {
        memcpy(tensor->data, file + start, bytes);
    }

    /* the engine takes a bool to be 0 or 1 */
    for (i = 0; tensor->dtype == INFER_BOOL && i < n; i++) {
        flag = (uint8_t *) tensor->data + i;
        *flag = *flag != 0;
    }

    return 0;
}


int
cli_npy_read(const char *path, infer_tensor_t *tensor, infer_error_t *err)
{
    int     status;
    char   *file;
    size_t  size;

    if (cli_read_file(path, &file, &size, err) != 0) {
        return -1;
    }

    status = parse(path, file, size, tensor, err);
    free(file);

    return status;
}


/* ---- writing ---------------------------------------------------------- */

int
cli_npy_write(const char *path, const infer_tensor_t *tensor,
    infer_error_t *err)
{
    int       i, failed;
    char      text[512];
    FILE     *out;
    size_t    n, bytes, start = MAGIC_SIZE + 4, len;
    uint16_t  header_size;

    len = (size_t) snprintf(text, sizeof(text), "{'descr': '%s', "
                            "'fortran_order': False, 'shape': (",
                            descr[tensor->dtype]);

    for (i = 0; i < tensor->rank; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s%lld%s",
                                 i ? ", " : "", (long long) tensor->dim[i],
                                 tensor->rank == 1 ? "," : "");
    }

    len += (size_t) snprintf(text + len, sizeof(text) - len, "), }");

    while ((start + len + 1) % ALIGNMENT) {
        text[len++] = ' ';
    }

    text[len++] = '\n';
    header_size = (uint16_t) len;

    if (cli_tensor_size(tensor, &n, &bytes) != 0) {
        return cli_fail(err, "%s: the shape is too large", path);
    }

    out = fopen(path, "wb");
    if (out == NULL) {
        return cli_fail(err, "%s: %s", path, strerror(errno));
    }

    failed = fwrite(MAGIC "\1\0", 1, MAGIC_SIZE + 2, out) != MAGIC_SIZE + 2
             || fwrite(&header_size, 1, 2, out) != 2
             || fwrite(text, 1, len, out) != len
             || fwrite(tensor->data, 1, bytes, out) != bytes;

    if ((fclose(out) != 0) | failed) {
        return cli_fail(err, "%s: cannot be written: %s", path,
                        strerror(errno));
    }

    return 0;
}
