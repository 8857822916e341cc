/*
 * The bounds-checked reader of protocol buffers.  Every length is held against
 * what is left of the enclosing message before it is used.
 */

#include <string.h>

#include "import/onnx/proto.h"


/* Field numbers have 29 bits. */
#define MAX_FIELD  0x1fffffff


static int fixed(onnx_reader_t *reader, size_t size, uint64_t *value);


int
onnx_varint(onnx_reader_t *reader, uint64_t *value)
{
    uint64_t       x;
    unsigned       shift;
    unsigned char  byte;

    x = 0;

    for (shift = 0; shift < 64; shift += 7) {
        if (reader->len == 0) {
            return -1;
        }

        byte = *reader->data++;
        reader->len--;

        if (shift == 63 && byte > 1) {
            return -1;
        }

        x |= (uint64_t) (byte & 0x7f) << shift;

        if (byte < 0x80) {
            *value = x;
            return 0;
        }
    }

    return -1;
}


static int
fixed(onnx_reader_t *reader, size_t size, uint64_t *value)
{
    if (reader->len < size) {
        return -1;
    }

    *value = 0;

    for (size_t i = 0; i < size; i++) {
        *value |= (uint64_t) reader->data[i] << (8 * i);
    }

    reader->data += size;
    reader->len -= size;

    return 0;
}


int
onnx_next(onnx_reader_t *reader, onnx_field_t *field)
{
    uint64_t              tag, len;
    const unsigned char  *start;

    if (reader->len == 0) {
        return 0;
    }

    if (onnx_varint(reader, &tag) != 0
        || tag >> 3 == 0 || tag >> 3 > MAX_FIELD)
    {
        return -1;
    }

    field->number = (uint32_t) (tag >> 3);
    field->wire = (onnx_wire_t) (tag & 7);
    field->value = 0;
    start = reader->data;

    switch (tag & 7) {

    case ONNX_WIRE_VARINT:
    case ONNX_WIRE_FIXED32:
    case ONNX_WIRE_FIXED64:
        if (onnx_packed_next(reader, field->wire, &field->value) != 0) {
            return -1;
        }

        break;

    case ONNX_WIRE_BYTES:
        if (onnx_varint(reader, &len) != 0 || len > reader->len) {
            return -1;
        }

        start = reader->data;
        reader->data += len;
        reader->len -= (size_t) len;
        break;

    default:
        return -1;
    }

    field->bytes.data = start;
    field->bytes.len = (size_t) (reader->data - start);

    return 1;
}


float
onnx_float(uint64_t bits)
{
    float     x;
    uint32_t  u;

    u = (uint32_t) bits;
    memcpy(&x, &u, sizeof(x));

    return x;
}


int64_t
onnx_packed_count(const onnx_field_t *field, onnx_wire_t wire)
{
    int64_t  n;
    size_t   size;

    if (field->wire == wire) {
        return 1;
    }

    if (field->wire != ONNX_WIRE_BYTES) {
        return -1;
    }

    if (wire != ONNX_WIRE_VARINT) {
        size = wire == ONNX_WIRE_FIXED32 ? 4 : 8;

        return field->bytes.len % size != 0
               ? -1 : (int64_t) (field->bytes.len / size);
    }

    /* A varint ends in the byte whose top bit is clear. */
    n = 0;

    for (size_t i = 0; i < field->bytes.len; i++) {
        n += field->bytes.data[i] < 0x80;
    }

    return n;
}


int
onnx_packed_next(onnx_reader_t *elements, onnx_wire_t wire, uint64_t *value)
{
    switch (wire) {

    case ONNX_WIRE_VARINT:
        return onnx_varint(elements, value);

    case ONNX_WIRE_FIXED32:
        return fixed(elements, 4, value);

    case ONNX_WIRE_FIXED64:
        return fixed(elements, 8, value);

    default:
        return -1;
    }
}
