/*
 * A model from a file of either kind: in memory of its own, or of the host's.
 * An .infer file is mapped and used as it lies, or read.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/file.h"
#include "kernels/kernels.h"


static int open_file(const char *path, int *is_infer, uint64_t *size,
    infer_error_t *err);
static infer_model_t *build(const char *path,
    const infer_load_options_t *options, void *mem, size_t size,
    infer_error_t *err);
static infer_model_t *map_file(const char *path, int fd, uint64_t size,
    infer_error_t *err);
static infer_model_t *read_file(const char *path, int fd, void *mem,
    uint64_t size, infer_error_t *err);
static int check_options(const char *path,
    const infer_load_options_t *options, infer_error_t *err);
static int fail(infer_error_t *err, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


infer_model_t *
infer_model_load(const char *path, const infer_load_options_t *options,
    infer_error_t *err)
{
    int             fd, is_infer;
    uint64_t        size;
    infer_model_t  *model = NULL;

    fd = open_file(path, &is_infer, &size, err);
    if (fd == -1) {
        return NULL;
    }

    if (!is_infer) {
        model = build(path, options, NULL, 0, err);

    } else if (check_options(path, options, err) == 0) {
        model = map_file(path, fd, size, err);
    }

    close(fd);

    return model;
}


infer_model_t *
infer_model_place(const char *path, const infer_load_options_t *options,
    void *mem, size_t size, infer_error_t *err)
{
    int             fd, is_infer;
    uint64_t        need;
    infer_model_t  *model = NULL;

    fd = open_file(path, &is_infer, &need, err);
    if (fd == -1) {
        return NULL;
    }

    if (!is_infer) {
        model = build(path, options, mem, size, err);

    } else if (need > size) {
        fail(err, path, "the file has changed while it was loaded");

    } else if (check_options(path, options, err) == 0) {
        model = read_file(path, fd, mem, need, err);
    }

    close(fd);

    return model;
}


size_t
infer_model_bound(const char *path, const infer_load_options_t *options,
    infer_error_t *err)
{
    int             fd, is_infer;
    uint64_t        size;
    infer_graph_t  *graph;

    fd = open_file(path, &is_infer, &size, err);
    if (fd == -1) {
        return 0;
    }

    close(fd);

    if (is_infer) {
        return check_options(path, options, err) == 0 ? size : 0;
    }

    graph = infer_graph_open(path, options, err);
    if (graph == NULL) {
        return 0;
    }

    size = infer_graph_model_size(graph);
    infer_graph_close(graph);

    return size;
}


int
infer_file_is_model(const char *path, infer_error_t *err)
{
    int       fd, is_infer;
    uint64_t  size;

    fd = open_file(path, &is_infer, &size, err);
    if (fd == -1) {
        return -1;
    }

    close(fd);

    return is_infer;
}


void
infer_model_free(infer_model_t *model)
{
    if (model != NULL) {
        munmap((char *) model - model->before,
               model->before + model->size + model->after);
    }
}


/* A descriptor, which kind of file it is, and its size. */
static int
open_file(const char *path, int *is_infer, uint64_t *size, infer_error_t *err)
{
    int          fd;
    char         head[8];
    ssize_t      n;
    struct stat  st;

    /* before any thread or child process: see kernels.h */
    (void) infer_kernels();

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1) {
        return fail(err, path, "%s", strerror(errno));
    }

    if (fstat(fd, &st) == -1) {
        fail(err, path, "%s", strerror(errno));

    } else if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        fail(err, path, "%s", S_ISREG(st.st_mode) ? "is empty"
                                                  : "is not a file");

    } else {
        n = pread(fd, head, sizeof(head), 0);
        *is_infer = n > 0 && infer_file_is(head, (size_t) n);
        *size = (uint64_t) st.st_size;

        return fd;
    }

    close(fd);

    return -1;
}


/* mem NULL: in memory of its own. */
static infer_model_t *
build(const char *path, const infer_load_options_t *options, void *mem,
    size_t room, infer_error_t *err)
{
    void           *own = NULL;
    size_t          size;
    infer_graph_t  *graph;
    infer_model_t  *model = NULL;

    graph = infer_graph_open(path, options, err);
    if (graph == NULL) {
        return NULL;
    }

    size = infer_graph_model_size(graph);

    if (mem == NULL && size > 0) {
        own = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        own = own == MAP_FAILED ? NULL : own;
        mem = own;
        room = size;
    }

    if (size == 0 || mem == NULL) {
        fail(err, path, "out of memory for a model of %zu bytes", size);

    } else if (size > room) {
        fail(err, path, "the file has changed while it was loaded");

    } else {
        if (own != NULL) {
            /* a wish: fewer misses of the TLB while weights stream */
            (void) madvise(own, size, MADV_HUGEPAGE);
        }

        model = infer_model_build(graph, mem, err);
    }

    if (model == NULL && own != NULL) {
        munmap(own, size);
    }

    infer_graph_close(graph);

    return model;
}


static infer_model_t *
map_file(const char *path, int fd, uint64_t size, infer_error_t *err)
{
    void                 *mem;
    const infer_model_t  *model;

    mem = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

    if (mem == MAP_FAILED) {
        fail(err, path, "%s", strerror(errno));
        return NULL;
    }

    model = infer_file_open(mem, size, path, err);

    if (model == NULL) {
        munmap(mem, size);
    }

    return (infer_model_t *) model;
}


static infer_model_t *
read_file(const char *path, int fd, void *mem, uint64_t size,
    infer_error_t *err)
{
    ssize_t   n;
    uint64_t  got;

    for (got = 0; got < size; got += (uint64_t) n) {
        n = pread(fd, (char *) mem + got, size - got, (off_t) got);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            fail(err, path, "%s", n == 0 ? "has been truncated while it was "
                                           "read" : strerror(errno));
            return NULL;
        }
    }

    return (infer_model_t *) infer_file_open(mem, size, path, err);
}


/* What is decided when a file is made cannot be decided again. */
static int
check_options(const char *path, const infer_load_options_t *options,
    infer_error_t *err)
{
    if (options != NULL && options->n_shapes > 0) {
        return fail(err, path, "the shapes of an .infer file are fixed: give "
                    "them to infer convert");
    }

    return 0;
}


static int
fail(infer_error_t *err, const char *path, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = snprintf(err->text, sizeof(err->text), "%.300s: ", path);

    va_start(args, fmt);
    vsnprintf(err->text + n, sizeof(err->text) - (size_t) n, fmt, args);
    va_end(args);

    return -1;
}
