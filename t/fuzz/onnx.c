/*
 * The ONNX importer, the passes, and what is built of them.
 */



#include "sample.h"
#include "fuzz.h"


#define MAX_BYTES  ((size_t) 16 << 20)


static int
fuzz_one(unsigned char *data, size_t size)
{
    int             fd = memfd_create("fuzz", 0);
    char            path[64];
    size_t          n;
    infer_error_t   err;
    infer_graph_t  *g;
    infer_model_t  *m;

    if (write(fd, data, size) != (ssize_t) size) {
        abort();
    }

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    g = infer_graph_open(path, NULL, &err);
    n = g == NULL ? 0 : infer_graph_model_size(g);
    infer_graph_close(g);

    if (n > 0 && n < MAX_BYTES) {
        m = infer_model_load(path, NULL, &err);

        if (m != NULL) {
            (void) sample_run(m, 1, MAX_BYTES);
            (void) sample_run(m, 3, MAX_BYTES);
        }

        infer_model_free(m);
    }

    close(fd);

    return n > 0;
}


static void
fuzz_seed(void)
{
}
