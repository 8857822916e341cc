/*
 * What a graph is made of in memory: a pool that is freed as a whole when the
 * graph is closed, the files mapped for it, and its one error line.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/graph.h"
#include "ops/op.h"


#define CHUNK_SIZE  (64 * 1024)

/* Results are vectors' food: all pool memory is aligned to a cache line. */
#define ALIGNMENT   64

/* What Linux reads into memory around a page that is touched. */
#define FAULT_WINDOW  ((size_t) 64 << 10)


typedef struct infer_chunk_s  infer_chunk_t;
typedef struct infer_mapping_s  infer_mapping_t;

struct infer_chunk_s {
    infer_chunk_t  *next;
    unsigned char  *pos;
    unsigned char  *end;
};

struct infer_mapping_s {
    infer_mapping_t  *next;
    unsigned char    *data;
    size_t            size;
};


static infer_chunk_t *chunk_create(infer_graph_t *g, size_t size);


infer_graph_t *
infer_graph_create(const char *path, infer_error_t *err)
{
    infer_graph_t  *g;

    err->text[0] = '\0';

    g = calloc(1, sizeof(infer_graph_t));
    if (g == NULL) {
        snprintf(err->text, sizeof(err->text), "%s: out of memory", path);
        return NULL;
    }

    g->err = err;
    g->path = path;

    g->path = infer_graph_strdup(g, path, strlen(path));
    if (g->path == NULL) {
        infer_graph_close(g);
        return NULL;
    }

    return g;
}


void
infer_graph_close(infer_graph_t *g)
{
    infer_chunk_t    *chunk, *next_chunk;
    infer_mapping_t  *map;

    if (g == NULL) {
        return;
    }

    /* The list of mappings lies in the chunks: it goes first. */
    for (map = g->mappings; map != NULL; map = map->next) {
        munmap(map->data, map->size);
    }

    for (chunk = g->chunks; chunk != NULL; chunk = next_chunk) {
        next_chunk = chunk->next;
        free(chunk);
    }

    free(g->node);
    free(g->value);
    free(g);
}


void *
infer_graph_alloc(infer_graph_t *g, size_t size)
{
    void           *p;
    infer_chunk_t  *chunk;

    if (size > SIZE_MAX / 2) {
        infer_graph_fail(g, "out of memory");
        return NULL;
    }

    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    chunk = g->chunks;

    if (chunk == NULL || size > (size_t) (chunk->end - chunk->pos)) {
        chunk = chunk_create(g, size);
        if (chunk == NULL) {
            infer_graph_fail(g, "out of memory");
            return NULL;
        }
    }

    p = chunk->pos;
    chunk->pos += size;

    return p;
}


/* A large block gets a chunk of its own, behind the one that is being
   filled. */
static infer_chunk_t *
chunk_create(infer_graph_t *g, size_t size)
{
    size_t          head, space;
    infer_chunk_t  *chunk;

    head = (sizeof(infer_chunk_t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    space = size > CHUNK_SIZE / 4 ? size : CHUNK_SIZE;

    chunk = aligned_alloc(ALIGNMENT, head + space);
    if (chunk == NULL) {
        return NULL;
    }

    memset(chunk, 0, head + space);
    chunk->pos = (unsigned char *) chunk + head;
    chunk->end = chunk->pos + space;

    if (g->chunks != NULL && space == size) {
        chunk->next = g->chunks->next;
        g->chunks->next = chunk;

    } else {
        chunk->next = g->chunks;
        g->chunks = chunk;
    }

    return chunk;
}


char *
infer_graph_strdup(infer_graph_t *g, const char *s, size_t len)
{
    char  *copy;

    copy = infer_graph_alloc(g, len + 1);
    if (copy == NULL) {
        return NULL;
    }

    memcpy(copy, s, len);
    copy[len] = '\0';

    return copy;
}


const void *
infer_graph_map(infer_graph_t *g, const char *path, size_t *size)
{
    int               fd;
    void             *data;
    struct stat       st;
    infer_mapping_t  *map;

    map = infer_graph_alloc(g, sizeof(infer_mapping_t));
    if (map == NULL) {
        return NULL;
    }

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1 || fstat(fd, &st) == -1) {
        snprintf(g->err->text, sizeof(g->err->text), "%s: %s", path,
                 strerror(errno));
        goto failed;
    }

    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        snprintf(g->err->text, sizeof(g->err->text), "%s: %s", path,
                 S_ISREG(st.st_mode) ? "is empty" : "is not a file");
        goto failed;
    }

    data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        snprintf(g->err->text, sizeof(g->err->text), "%s: %s", path,
                 strerror(errno));
        goto failed;
    }

    close(fd);

    map->data = data;
    map->size = (size_t) st.st_size;
    map->next = g->mappings;
    g->mappings = map;

    *size = map->size;

    return data;

failed:

    if (fd != -1) {
        close(fd);
    }

    return NULL;
}


const infer_mapping_t *
infer_graph_mapping(const infer_graph_t *g, const void *p)
{
    const unsigned char    *pos = p;
    const infer_mapping_t  *map;

    for (map = g->mappings; map != NULL; map = map->next) {
        if (pos >= map->data && pos < map->data + map->size) {
            return map;
        }
    }

    return NULL;
}


void
infer_value_forget(const infer_value_t *v, size_t from, size_t to)
{
    size_t                  start;
    const infer_mapping_t  *map = v->mapping;

    /* For less it is not worth a call: its neighbours take it along. */
    if (map == NULL || to - from < FAULT_WINDOW / 4) {
        return;
    }

    /* A fault maps a window of pages, also some in front of its own. */
    start = (size_t) ((const unsigned char *) v->data - map->data);
    from = (start + from) / FAULT_WINDOW * FAULT_WINDOW;
    to = start + to;

    /* Only memory is at stake: it may fail. */
    (void) madvise(map->data + from, to - from, MADV_DONTNEED);
}


void
infer_graph_forget(const infer_graph_t *g)
{
    const infer_mapping_t  *map;

    for (map = g->mappings; map != NULL; map = map->next) {
        (void) madvise(map->data, map->size, MADV_DONTNEED);
    }
}


int
infer_graph_fail(infer_graph_t *g, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = snprintf(g->err->text, sizeof(g->err->text), "%s: ", g->path);

    if (n >= 0 && (size_t) n < sizeof(g->err->text)) {
        va_start(args, fmt);
        vsnprintf(g->err->text + n, sizeof(g->err->text) - (size_t) n, fmt,
                  args);
        va_end(args);
    }

    return -1;
}


int
infer_node_fail(infer_graph_t *g, const infer_node_t *node, const char *fmt,
    ...)
{
    char     reason[256];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);

    return infer_graph_fail(g, "node \"%.120s\" (%s): %s", node->name,
                            node->op->name, reason);
}
