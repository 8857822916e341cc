/*
 * What ONNX files are made of: the wire format, tensors in every form, and
 * weights in external files.
 */

#include <sys/stat.h>
#include <unistd.h>

#include "onnx.h"


/* ---- the wire format -------------------------------------------------- */

static int
next(const char *bytes, size_t len, onnx_field_t *f)
{
    onnx_reader_t  reader = { (const unsigned char *) bytes, len };

    return onnx_next(&reader, f);
}


static void
test_wire(void)
{
    onnx_field_t  f;

    ok(next("", 0, &f) == 0, "an empty message has no field");
    ok(next("\x08\x96\x01", 3, &f) == 1 && f.number == 1 && f.value == 150,
       "a varint");
    ok(next("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &f) == 1
       && f.value == UINT64_MAX, "the longest varint");
    ok(next("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, &f) == -1,
       "a varint of 65 bits");
    ok(next("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12, &f) == -1,
       "a varint of 11 bytes");
    ok(next("\x08\x96", 2, &f) == -1, "a varint cut off");
    ok(next("\x12\x03" "ab", 4, &f) == -1, "bytes cut off");
    ok(next("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &f) == -1,
       "a length of 64 bits");
    ok(next("\x12\x02" "abc", 5, &f) == 1 && f.bytes.len == 2
       && memcmp(f.bytes.data, "ab", 2) == 0, "bytes");
    ok(next("\x15\0\0\x80\x3f", 5, &f) == 1 && onnx_float(f.value) == 1,
       "a float");
    ok(next("\x15\0\0\x80", 4, &f) == -1, "a float cut off");
    ok(next("\x11\1\0\0\0\0\0\0\0", 9, &f) == 1 && f.value == 1,
       "a fixed number of 64 bits");
    ok(next("\x00\x01", 2, &f) == -1, "field 0");
    ok(next("\x0b\x0c", 2, &f) == -1, "a group");
    ok(next("\x0e\x00", 2, &f) == -1, "wire type 6");
}


/* ---- tensors ---------------------------------------------------------- */

static const char *
tensor_why(const pb_t *t, onnx_tensor_t *parsed)
{
    onnx_bytes_t  message = { t->data, t->len };

    return onnx_tensor_parse(message, parsed);
}


/* Elements in a typed field: packed, or one field for each. */
static void
typed(int type, unsigned field, unsigned size, int packed, const char *what)
{
    int            good;
    pb_t           t, body = { .len = 0 };
    uint64_t       x, out[3];
    const char    *why;
    onnx_tensor_t  parsed;

    tensor_head(&t, "t", type, "3");

    for (int i = 0; i < 3; i++) {
        x = (uint64_t) (i + 1);

        if (!packed) {
            put_varint(&t, field << 3 | (size == 4 ? 5 : size == 8 ? 1 : 0));
        }

        if (size == 0) {
            put_varint(packed ? &body : &t, x);

        } else {
            pb_t  *to = packed ? &body : &t;

            memcpy(to->data + to->len, &x, size);
            to->len += size;
        }
    }

    if (packed) {
        put_message(&t, field, &body);
    }

    why = tensor_why(&t, &parsed);
    good = why == NULL && onnx_tensor_decode(&parsed, out) == NULL;

    for (int i = 0; good && i < 3; i++) {
        size_t  bytes = infer_dtype_size(parsed.dtype);

        x = 0;
        memcpy(&x, (char *) out + (size_t) i * bytes, bytes);
        good = x == (type == BOOL ? 1 : (uint64_t) (i + 1));
    }

    ok(good, "%s, %s", what, packed ? "packed" : "one by one");
}


static void
tensor_refused(const pb_t *t, const char *words, const char *what)
{
    const char     *why;
    onnx_tensor_t   parsed;

    why = tensor_why(t, &parsed);

    ok(why != NULL && strstr(why, words) != NULL, "%s: %s", what,
       why == NULL ? "accepted" : why);
}


static void
test_tensors(void)
{
    pb_t  t;

    for (int packed = 0; packed < 2; packed++) {
        typed(F32, 4, 4, packed, "float_data");
        typed(11, 10, 8, packed, "double_data");
        typed(6, 5, 0, packed, "int32_data");
        typed(U8, 5, 0, packed, "int32_data of uint8");
        typed(10, 5, 0, packed, "int32_data of float16");
        typed(BOOL, 5, 0, packed, "int32_data of bool");
        typed(I64, 7, 0, packed, "int64_data");
        typed(13, 11, 0, packed, "uint64_data");
        typed(12, 11, 0, packed, "uint64_data of uint32");
    }

    tensor_head(&t, "t", F32, "2,3");
    put_bytes(&t, 9, "01234567890123456789012", 23);
    tensor_refused(&t, "more or less data", "23 bytes for 6 floats");

    tensor_head(&t, "t", F32, "2");
    put_float(&t, 4, 1);
    tensor_refused(&t, "more or less data", "1 element for 2");
    put_float(&t, 4, 1);
    put_float(&t, 4, 1);
    tensor_refused(&t, "more or less data", "3 elements for 2");

    tensor_head(&t, "t", F32, "2");
    put_bytes(&t, 4, "0123456", 7);
    tensor_refused(&t, "malformed data", "a float and three quarters");

    tensor_head(&t, "t", F32, "-1");
    tensor_refused(&t, "negative dimension", "dimension -1");
    tensor_head(&t, "t", F32, "65536,65536");
    tensor_refused(&t, "too large", "2^32 elements");
    tensor_head(&t, "t", F32, "4294967296,4294967296");
    tensor_refused(&t, "too large", "2^64 elements");
    tensor_head(&t, "t", F32, "0,4294967296");
    tensor_refused(&t, "too large", "no elements in a dimension of 2^32");
    tensor_head(&t, "t", F32, "1,1,1,1,1,1,1,1,1");
    tensor_refused(&t, "more than 8", "9 dimensions");
    tensor_head(&t, "t", STRING, "1");
    tensor_refused(&t, "strings", "strings");
    tensor_head(&t, "t", 14, "1");
    tensor_refused(&t, "data type", "complex numbers");
    tensor_head(&t, "t", 17, "1");
    tensor_refused(&t, "data type", "float8");
}


/* y = x + w, the weight w in an external file. */
static void
external(const char *location, const char *offset, const char *length)
{
    int   n = 0;
    pb_t  t, entry[3];

    model(13);
    input("x", F32, "2");
    output("y");
    tensor_head(&t, "w", F32, "2");
    put_int(&t, 14, 1);
    memset(entry, 0, sizeof(entry));

    put_string(&entry[n], 1, "location");
    put_string(&entry[n++], 2, location);

    if (offset != NULL) {
        put_string(&entry[n], 1, "offset");
        put_string(&entry[n++], 2, offset);
    }

    if (length != NULL) {
        put_string(&entry[n], 1, "length");
        put_string(&entry[n++], 2, length);
    }

    for (int i = 0; i < n; i++) {
        put_message(&t, 13, &entry[i]);
    }

    put_message(&graph, 5, &t);
    node("Add", "x,w", "y");
}


static void
write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char   full[512];
    FILE  *f;

    snprintf(full, sizeof(full), "%s/%s", dir, name);
    f = fopen(full, "wb");
    fwrite(data, 1, len, f);
    fclose(f);
}


static void
test_external(void)
{
    char         dir[] = "/tmp/infer-onnx-XXXXXX", inner[64], name[80];
    const float  w[] = { 0, 1, 2, 3 };

    if (mkdtemp(dir) == NULL) {
        ok(0, "a temporary directory");
        return;
    }

    snprintf(inner, sizeof(inner), "%s/model", dir);
    mkdir(inner, 0700);
    snprintf(name, sizeof(name), "%s/sub", inner);
    mkdir(name, 0700);
    write_file(inner, "w.bin", w, sizeof(w));
    write_file(name, "w.bin", w, sizeof(w));
    write_file(dir, "secret", w, sizeof(w));
    snprintf(name, sizeof(name), "%s/link", inner);
    ok(symlink("../secret", name) == 0, "a link out of the directory");
    snprintf(path, sizeof(path), "%s/m.onnx", inner);

    external("w.bin", "8", "8");
    ok(import_model() == 0
       && memcmp(g->node[0]->in[1]->data, &w[2], 8) == 0,
       "external data at an offset");
    external("sub/w.bin", NULL, NULL);
    ok(import_model() == 0
       && memcmp(g->node[0]->in[1]->data, &w[0], 8) == 0,
       "external data in a folder below: %s", err.text);

    external("w.bin", "12", NULL);
    refused("beyond the end", "data past the end");
    external("w.bin", "18446744073709551612", NULL);
    refused("beyond the end", "an offset that wraps around");
    external("w.bin", "18446744073709551616", NULL);
    refused("malformed external", "an offset of 65 bits");
    external("w.bin", "8", "12");
    refused("more or less data", "a length that is not the shape's");
    external("../secret", NULL, NULL);
    refused("outside the model's directory", "a path with ..");
    external("sub/../../secret", NULL, NULL);
    refused("outside the model's directory", "a path with .. inside");
    external("link", NULL, NULL);
    refused("outside the model's directory", "a link that leads out");
    snprintf(name, sizeof(name), "%s/w.bin", inner);
    external(name, NULL, NULL);
    refused("outside the model's directory", "an absolute path");
    external("none.bin", NULL, NULL);
    refused("cannot be found", "no such file");
    external("", NULL, NULL);
    refused("usable location", "no location");

    drop();
    snprintf(path, sizeof(path), "model.onnx");
    snprintf(name, sizeof(name), "rm -r %s", dir);
    ok(system(name) == 0, "cleaned up");
}


static void
test_read_pb(void)
{
    char                  dir[] = "/tmp/infer-onnx-XXXXXX", name[64];
    pb_t                  t;
    infer_named_tensor_t  read;
    const float           x[] = { 1, 2, 3, 4, 5, 6 };

    if (mkdtemp(dir) == NULL) {
        ok(0, "a temporary directory");
        return;
    }

    tensor_head(&t, "x", F32, "2,3");
    put_bytes(&t, 9, x, sizeof(x));
    write_file(dir, "x.pb", t.data, t.len);
    write_file(dir, "cut.pb", t.data, t.len - 1);

    snprintf(name, sizeof(name), "%s/x.pb", dir);
    ok(infer_tensor_read_pb(name, &read, &err) == 0
       && strcmp(read.name, "x") == 0 && read.tensor.rank == 2
       && read.tensor.dim[1] == 3
       && memcmp(read.tensor.data, x, sizeof(x)) == 0, "a tensor file");
    free((char *) read.name);
    free(read.tensor.data);
    unlink(name);

    snprintf(name, sizeof(name), "%s/cut.pb", dir);
    ok(infer_tensor_read_pb(name, &read, &err) == -1
       && strstr(err.text, "cut.pb: the tensor is malformed") != NULL,
       "a tensor file cut off: %s", err.text);
    unlink(name);

    ok(infer_tensor_read_pb(name, &read, &err) == -1
       && strstr(err.text, "No such file") != NULL, "no tensor file: %s",
       err.text);
    rmdir(dir);
}


int
main(void)
{
    test_wire();
    test_tensors();
    test_external();
    test_read_pb();
    drop();

    return done();
}
