/*
 * Attributes: looked up by name in the node, checked for their type.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "import/onnx/onnx.h"


static const onnx_attr_t *find(onnx_t *o, const onnx_node_t *node,
    const char *name, onnx_attr_type_t type, int *failed);
static int64_t count(const onnx_attr_t *attr, uint32_t number,
    onnx_wire_t wire);


int
onnx_fail(onnx_t *o, const onnx_node_t *node, const char *fmt, ...)
{
    char     reason[256];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);

    return infer_graph_fail(o->g, "node \"%.120s\" (%.40s): %s", node->name,
                            node->op, reason);
}


const onnx_attr_t *
onnx_attr(const onnx_node_t *node, const char *name)
{
    for (int i = 0; i < node->n_attr; i++) {
        if (strcmp(node->attr[i].name, name) == 0) {
            return &node->attr[i];
        }
    }

    return NULL;
}


/*
 * The attribute where it is there.  Files of the first IR versions have no
 * type field: there the value is taken from where it is looked for.
 */
static const onnx_attr_t *
find(onnx_t *o, const onnx_node_t *node, const char *name,
    onnx_attr_type_t type, int *failed)
{
    const onnx_attr_t  *attr;

    *failed = 0;
    attr = onnx_attr(node, name);

    if (attr != NULL && attr->type != type && attr->type != ONNX_ATTR_NONE) {
        *failed = onnx_fail(o, node, "attribute \"%s\" has the wrong type",
                            name);
        return NULL;
    }

    return attr;
}


int
onnx_attr_int(onnx_t *o, const onnx_node_t *node, const char *name,
    int64_t *x)
{
    int                 failed;
    const onnx_attr_t  *attr;

    attr = find(o, node, name, ONNX_ATTR_INT, &failed);

    if (attr != NULL) {
        *x = (int64_t) attr->i;
    }

    return failed;
}


int
onnx_attr_float(onnx_t *o, const onnx_node_t *node, const char *name,
    float *x)
{
    int                 failed;
    const onnx_attr_t  *attr;

    attr = find(o, node, name, ONNX_ATTR_FLOAT, &failed);

    if (attr != NULL) {
        *x = attr->f;
    }

    return failed;
}


int
onnx_attr_choice(onnx_t *o, const onnx_node_t *node, const char *name,
    const char *const *choice, int *x)
{
    int                 failed;
    const onnx_attr_t  *attr;

    attr = find(o, node, name, ONNX_ATTR_STRING, &failed);

    if (attr == NULL) {
        return failed;
    }

    for (int i = 0; choice[i] != NULL; i++) {
        if (strlen(choice[i]) == attr->s.len
            && memcmp(choice[i], attr->s.data, attr->s.len) == 0)
        {
            *x = i;
            return 0;
        }
    }

    for (size_t i = 0; i < attr->s.len; i++) {
        if (attr->s.data[i] < ' ' || attr->s.data[i] > '~') {
            return onnx_fail(o, node, "attribute \"%s\" is malformed", name);
        }
    }

    return onnx_fail(o, node, "%s \"%.*s\" is not supported", name,
                     attr->s.len > 40 ? 40 : (int) attr->s.len,
                     (const char *) attr->s.data);
}


/* Elements of a list in an attribute, or -1. */
static int64_t
count(const onnx_attr_t *attr, uint32_t number, onnx_wire_t wire)
{
    int64_t        n, k;
    onnx_field_t   f;
    onnx_reader_t  reader;

    n = 0;
    reader = attr->message;

    while (onnx_next(&reader, &f) == 1) {
        if (f.number == number) {
            k = onnx_packed_count(&f, wire);
            if (k < 0) {
                return -1;
            }

            n += k;
        }
    }

    return n;
}


int64_t
onnx_attr_list(onnx_t *o, const onnx_node_t *node, const char *name,
    onnx_attr_type_t type, uint64_t **x)
{
    int                 failed;
    int64_t             n, i;
    uint32_t            number;
    onnx_wire_t         wire;
    onnx_field_t        f;
    onnx_reader_t       reader, elements;
    const onnx_attr_t  *attr;

    attr = find(o, node, name, type, &failed);
    if (attr == NULL) {
        return failed ? -1 : ONNX_ABSENT;
    }

    number = type == ONNX_ATTR_INTS ? 8 : 7;
    wire = type == ONNX_ATTR_INTS ? ONNX_WIRE_VARINT : ONNX_WIRE_FIXED32;
    n = count(attr, number, wire);

    if (n < 0) {
        return onnx_fail(o, node, "attribute \"%s\" is malformed", name);
    }

    *x = infer_graph_alloc(o->g, (size_t) n * sizeof(uint64_t));
    if (*x == NULL) {
        return -1;
    }

    i = 0;
    reader = attr->message;

    while (onnx_next(&reader, &f) == 1) {
        elements = f.bytes;

        while (f.number == number && elements.len != 0) {
            if (i == n || onnx_packed_next(&elements, wire, *x + i++) != 0) {
                return onnx_fail(o, node, "attribute \"%s\" is malformed",
                                 name);
            }
        }
    }

    return i;
}


int
onnx_attr_ints(onnx_t *o, const onnx_node_t *node, const char *name,
    int64_t *x, int max, int *n)
{
    int64_t    len;
    uint64_t  *list;

    len = onnx_attr_list(o, node, name, ONNX_ATTR_INTS, &list);

    if (len == ONNX_ABSENT) {
        return 0;
    }

    if (len < 0) {
        return -1;
    }

    if (len > max) {
        return onnx_fail(o, node, "attribute \"%s\" has too many elements",
                         name);
    }

    for (int64_t i = 0; i < len; i++) {
        x[i] = (int64_t) list[i];
    }

    *n = (int) len;

    return 0;
}


int
onnx_axis(onnx_t *o, const onnx_node_t *node, int64_t axis, int rank)
{
    if (axis < -rank || axis >= rank) {
        return onnx_fail(o, node, "axis %lld is out of range for %d "
                         "dimensions", (long long) axis, rank);
    }

    return (int) (axis < 0 ? axis + rank : axis);
}
