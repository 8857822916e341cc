/*
 * Reading protocol buffers in place.  A message is a run of bytes; a reader
 * walks over its fields and hands out each as a number or as a run of bytes
 * inside the message.  Nothing is copied, nothing is recursive: whoever knows
 * that a field is a message opens it with another reader, so nesting is as
 * deep as the caller's own code and no deeper.
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */

#ifndef INFER_ONNX_PROTO_H
#define INFER_ONNX_PROTO_H

#include <stddef.h>
#include <stdint.h>


typedef struct {
    const unsigned char  *data;
    size_t                len;
} onnx_bytes_t;

typedef enum {
    ONNX_WIRE_VARINT = 0,
    ONNX_WIRE_FIXED64 = 1,
    ONNX_WIRE_BYTES = 2,
    ONNX_WIRE_FIXED32 = 5
} onnx_wire_t;

/* value: of a varint or fixed field; bytes: of a length-delimited one, or
   the bytes of the number as they lie in the message. */
typedef struct {
    uint32_t      number;
    onnx_wire_t   wire;
    uint64_t      value;
    onnx_bytes_t  bytes;
} onnx_field_t;

/* The bytes that have not been read. */
typedef onnx_bytes_t  onnx_reader_t;


/*
 * Reads the next field: 1, or 0 at the end of the message, or -1 where the
 * bytes are no field (overrun, overlong varint, field number 0, a group).
 */
int onnx_next(onnx_reader_t *reader, onnx_field_t *field);

/* Reads one varint off the front of the reader; 0 or -1. */
int onnx_varint(onnx_reader_t *reader, uint64_t *value);

/* The 32 bits of a fixed field as a float. */
float onnx_float(uint64_t bits);

/*
 * A repeated number field occurs packed (one run of bytes holding many) or as
 * one field for each.  Calls with a field of either form: the number of
 * elements in it, or -1 where it is malformed.  wire: that of one element.
 */
int64_t onnx_packed_count(const onnx_field_t *field, onnx_wire_t wire);

/*
 * Reads one element off the front of a run of elements: the bytes of a
 * repeated field of either form.  0, or -1 where they do not hold one.
 */
int onnx_packed_next(onnx_reader_t *elements, onnx_wire_t wire,
    uint64_t *value);

#endif /* INFER_ONNX_PROTO_H */
