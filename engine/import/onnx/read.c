/*
 * A file that holds one TensorProto, as the test data of ONNX's backend tests
 * does.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "import/onnx/onnx.h"


static unsigned char *read_file(const char *path, size_t *size);


int
infer_tensor_read_pb(const char *path, infer_named_tensor_t *tensor,
    infer_error_t *err)
{
    char           *name;
    void           *data;
    size_t          size;
    const char     *why;
    onnx_bytes_t    message;
    onnx_tensor_t   t;
    unsigned char  *file;

    name = NULL;
    data = NULL;

    file = read_file(path, &size);
    if (file == NULL) {
        snprintf(err->text, sizeof(err->text), "%s: %s", path,
                 strerror(errno));
        return -1;
    }

    message.data = file;
    message.len = size;
    why = onnx_tensor_parse(message, &t);

    if (why == NULL && t.external) {
        why = "has external data";
    }

    if (why == NULL) {
        name = t.name.len == 0 ? strdup("")
               : strndup((const char *) t.name.data, t.name.len);
        data = calloc((size_t) t.numel + 1, infer_dtype_size(t.dtype));

        why = name == NULL || data == NULL ? "does not fit into memory"
              : onnx_tensor_decode(&t, data);
    }

    free(file);

    if (why != NULL) {
        snprintf(err->text, sizeof(err->text), "%s: the tensor %s", path,
                 why);
        free(name);
        free(data);
        return -1;
    }

    tensor->name = name;
    tensor->tensor.dtype = t.dtype;
    tensor->tensor.rank = t.rank;
    tensor->tensor.data = data;
    memcpy(tensor->tensor.dim, t.dim, sizeof(t.dim));

    return 0;
}


/* The bytes of a file; the caller frees them.  NULL with errno set. */
static unsigned char *
read_file(const char *path, size_t *size)
{
    FILE           *f;
    struct stat     st;
    unsigned char  *data;

    f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }

    data = NULL;

    if (fstat(fileno(f), &st) == 0) {
        *size = (size_t) st.st_size;
        errno = ENOMEM;
        data = malloc(*size + 1);

        if (data != NULL && fread(data, 1, *size, f) != *size) {
            free(data);
            data = NULL;
            errno = EIO;
        }
    }

    fclose(f);

    return data;
}
