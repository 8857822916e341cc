/*
 * TensorProto: raw bytes, typed fields or a stretch of an external file
 * become constants.  Raw and external data are used where they lie.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/onnx/onnx.h"


_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "ONNX's raw data is little-endian and used in place");


/* The same limit that the graph has for computed values. */
#define MAX_ELEMENTS  INT32_MAX


static int read_external(onnx_tensor_t *t, onnx_bytes_t message);
static int decimal(onnx_bytes_t text, uint64_t *value);
static const char *tensor_dims(onnx_tensor_t *t, const onnx_field_t *field);
static int typed_field(infer_dtype_t dtype, onnx_wire_t *wire);
static size_t tensor_size(const onnx_tensor_t *t);
static const char *check_amount(const onnx_tensor_t *t);
static const char *typed_data(const onnx_tensor_t *t, unsigned char *dst);
static const void *external_data(onnx_t *o, const onnx_tensor_t *t,
    const char **why);
static int map_external(onnx_t *o, onnx_bytes_t location, const char **why);


int
onnx_dtype(int64_t type, infer_dtype_t *dtype)
{
    static const int  table[] = {
        -1, INFER_F32, INFER_U8, INFER_I8, INFER_U16, INFER_I16, INFER_I32,
        INFER_I64, -1, INFER_BOOL, INFER_F16, INFER_F64, INFER_U32, INFER_U64,
        -1, -1, INFER_BF16
    };

    if (type < 0 || type >= (int64_t) (sizeof(table) / sizeof(table[0]))
        || table[type] == -1)
    {
        return -1;
    }

    *dtype = (infer_dtype_t) table[type];

    return 0;
}


const char *
onnx_tensor_parse(onnx_bytes_t message, onnx_tensor_t *t)
{
    int            rc;
    const char    *why;
    onnx_field_t   f;
    onnx_reader_t  reader;

    memset(t, 0, sizeof(*t));
    t->message = message;
    t->numel = 1;
    reader = message;

    while ((rc = onnx_next(&reader, &f)) == 1) {

        switch (f.number) {

        case 1:
            why = tensor_dims(t, &f);
            if (why != NULL) {
                return why;
            }

            break;

        case 2:
            t->type = f.value > INT32_MAX ? -1 : (int32_t) f.value;
            break;

        case 8:
            t->name = f.bytes;
            break;

        case 9:
            t->raw = f.bytes;
            t->has_raw = f.wire == ONNX_WIRE_BYTES;
            break;

        case 13:
            if (f.wire != ONNX_WIRE_BYTES || read_external(t, f.bytes) != 0) {
                return "has malformed external data";
            }

            break;

        case 14:
            t->external = f.value == 1;
            break;
        }
    }

    if (rc != 0) {
        return "is malformed";
    }

    if (t->type == 8) {
        return "is a tensor of strings, which are not supported";
    }

    if (onnx_dtype(t->type, &t->dtype) != 0) {
        return "has a data type that is not supported";
    }

    return t->external ? NULL : check_amount(t);
}


/* As many elements as the shape needs, before anything is allocated. */
static const char *
check_amount(const onnx_tensor_t *t)
{
    int            number;
    int64_t        n, k;
    onnx_wire_t    wire;
    onnx_field_t   f;
    onnx_reader_t  reader;

    n = 0;

    if (t->has_raw) {
        return t->raw.len == tensor_size(t)
               ? NULL : "holds more or less data than its shape needs";
    }

    number = typed_field(t->dtype, &wire);
    reader = t->message;

    while (onnx_next(&reader, &f) == 1) {
        if (f.number == (uint32_t) number) {
            k = onnx_packed_count(&f, wire);
            if (k < 0) {
                return "holds malformed data";
            }

            n += k;
        }
    }

    return n == t->numel
           ? NULL : "holds more or less data than its shape needs";
}


static size_t
tensor_size(const onnx_tensor_t *t)
{
    return (size_t) t->numel * infer_dtype_size(t->dtype);
}


static const char *
tensor_dims(onnx_tensor_t *t, const onnx_field_t *field)
{
    int64_t        n;
    uint64_t       dim;
    onnx_reader_t  reader;

    n = onnx_packed_count(field, ONNX_WIRE_VARINT);
    reader = field->bytes;

    if (n < 0) {
        return "has malformed dimensions";
    }

    if (n > INFER_MAX_RANK - t->rank) {
        return "has more than 8 dimensions";
    }

    while (reader.len != 0) {
        if (onnx_packed_next(&reader, ONNX_WIRE_VARINT, &dim) != 0) {
            return "has malformed dimensions";
        }

        if (dim > INT64_MAX) {
            return "has a negative dimension";
        }

        if (dim > MAX_ELEMENTS
            || __builtin_mul_overflow(t->numel, (int64_t) dim, &t->numel)
            || t->numel > MAX_ELEMENTS)
        {
            return "is too large";
        }

        t->dim[t->rank++] = (int64_t) dim;
    }

    return NULL;
}


/* One StringStringEntryProto of external_data. */
static int
read_external(onnx_tensor_t *t, onnx_bytes_t message)
{
    onnx_bytes_t  key, value;

    if (onnx_submessage(message, 1, &key) != 0
        || onnx_submessage(message, 2, &value) != 0)
    {
        return -1;
    }

    if (key.len == 8 && memcmp(key.data, "location", 8) == 0) {
        t->location = value;
        return 0;
    }

    if (key.len == 6 && memcmp(key.data, "offset", 6) == 0) {
        return decimal(value, &t->offset);
    }

    if (key.len == 6 && memcmp(key.data, "length", 6) == 0) {
        t->has_length = 1;
        return decimal(value, &t->length);
    }

    return 0;
}


static int
decimal(onnx_bytes_t text, uint64_t *value)
{
    *value = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9'
            || __builtin_mul_overflow(*value, 10, value)
            || __builtin_add_overflow(*value, text.data[i] - '0', value))
        {
            return -1;
        }
    }

    return text.len == 0 ? -1 : 0;
}


const char *
onnx_tensor_decode(const onnx_tensor_t *t, void *dst)
{
    size_t          size;
    const char     *why;
    unsigned char  *p;

    size = tensor_size(t);

    if (!t->has_raw) {
        why = typed_data(t, dst);
        if (why != NULL) {
            return why;
        }

    } else if (size != 0) {
        memcpy(dst, t->raw.data, size);
    }

    if (t->dtype == INFER_BOOL) {
        p = dst;

        for (size_t i = 0; i < size; i++) {
            p[i] = p[i] != 0;
        }
    }

    return NULL;
}


/* The field of a TensorProto that holds elements of this dtype. */
static int
typed_field(infer_dtype_t dtype, onnx_wire_t *wire)
{
    *wire = ONNX_WIRE_VARINT;

    switch (dtype) {

    case INFER_F32:
        *wire = ONNX_WIRE_FIXED32;
        return 4;

    case INFER_F64:
        *wire = ONNX_WIRE_FIXED64;
        return 10;

    case INFER_I64:
        return 7;

    case INFER_U32:
    case INFER_U64:
        return 11;

    default:
        return 5;
    }
}


/*
 * Numbers are two's complement, or the bits of a float: their low bytes are
 * the element.
 */
static const char *
typed_data(const onnx_tensor_t *t, unsigned char *dst)
{
    int            number;
    size_t         size;
    int64_t        n;
    uint64_t       value;
    onnx_wire_t    wire;
    onnx_field_t   f;
    onnx_reader_t  reader, elements;

    n = 0;
    size = infer_dtype_size(t->dtype);
    number = typed_field(t->dtype, &wire);
    reader = t->message;

    while (onnx_next(&reader, &f) == 1) {
        elements = f.bytes;

        while (f.number == (uint32_t) number && elements.len != 0) {
            if (n == t->numel
                || onnx_packed_next(&elements, wire, &value) != 0)
            {
                return "holds malformed data";
            }

            memcpy(dst + (size_t) n++ * size, &value, size);
        }
    }

    return NULL;
}


infer_value_t *
onnx_tensor_constant(onnx_t *o, onnx_bytes_t message, const char *name)
{
    void           *copy;
    const void     *data;
    const char     *why;
    onnx_tensor_t   t;

    data = NULL;
    why = onnx_tensor_parse(message, &t);

    if (why != NULL) {
        goto failed;
    }

    if (t.external) {
        data = external_data(o, &t, &why);

    } else if (t.has_raw && t.numel != 0 && t.dtype != INFER_BOOL) {
        data = t.raw.data;

    } else {
        copy = infer_graph_alloc(o->g, tensor_size(&t));

        if (copy != NULL) {
            why = onnx_tensor_decode(&t, copy);
            data = copy;
        }
    }

    if (why == NULL && data != NULL) {
        return infer_graph_constant(o->g, name, t.dtype, t.rank, t.dim, data);
    }

failed:

    if (why != NULL) {
        infer_graph_fail(o->g, "tensor \"%.120s\" %s", name, why);
    }

    return NULL;
}


/* NULL without a reason: the error is set. */
static const void *
external_data(onnx_t *o, const onnx_tensor_t *t, const char **why)
{
    uint64_t  size;

    size = tensor_size(t);

    if (map_external(o, t->location, why) != 0) {
        return NULL;
    }

    if (t->has_length && t->length != size) {
        *why = "holds more or less data than its shape needs";
        return NULL;
    }

    if (t->offset > o->external_size || size > o->external_size - t->offset) {
        *why = "lies beyond the end of its external data file";
        return NULL;
    }

    return o->external + t->offset;
}


/* The file at location, mapped once for the run of tensors that lie in it. */
static int
map_external(onnx_t *o, onnx_bytes_t location, const char **why)
{
    char  *path;

    if (o->location.data != NULL && o->location.len == location.len
        && memcmp(o->location.data, location.data, location.len) == 0)
    {
        return 0;
    }

    path = onnx_external_path(o->g->path, location, why);
    if (path == NULL) {
        return -1;
    }

    o->external = infer_graph_map(o->g, path, &o->external_size);
    free(path);

    if (o->external == NULL) {
        return -1;
    }

    o->location = location;

    return 0;
}


char *
onnx_external_path(const char *model, onnx_bytes_t location,
    const char **why)
{
    int          n;
    char        *dir, *path, joined[PATH_MAX];
    size_t       len;
    const char  *slash, *name;

    name = (const char *) location.data;
    *why = "has external data outside the model's directory";

    if (location.len == 0 || memchr(name, '\0', location.len) != NULL
        || location.len + 3 > PATH_MAX)
    {
        *why = "has external data without a usable location";
        return NULL;
    }

    n = (int) location.len;
    snprintf(joined, sizeof(joined), "/%.*s/", n, name);

    if (name[0] == '/' || strstr(joined, "/../") != NULL) {
        return NULL;
    }

    slash = strrchr(model, '/');
    len = slash == NULL ? 0 : (size_t) (slash - model) + 1;

    if (len + location.len >= sizeof(joined)) {
        return NULL;
    }

    /* The directory: with its slash, so that "/" stays what it is. */
    memcpy(joined, model, len);
    memcpy(joined + len, ".", 2);
    dir = realpath(joined, NULL);

    memcpy(joined + len, name, location.len);
    joined[len + location.len] = '\0';
    path = realpath(joined, NULL);

    if (path == NULL) {
        *why = "has external data in a file that cannot be found";

    } else if (dir != NULL) {
        len = strlen(dir);
        len -= dir[len - 1] == '/';

        if (strncmp(path, dir, len) == 0 && path[len] == '/') {
            free(dir);
            *why = NULL;
            return path;
        }
    }

    free(dir);
    free(path);

    return NULL;
}
