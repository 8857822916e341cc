/*
 * Writing an .infer file.  What is in it follows from the graph, the model and
 * the options alone: no time, no path, nothing of the machine.  It is written
 * under another name and renamed when it is complete, so that whoever reads
 * the old file goes on to.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/file.h"
#include "graph/graph.h"


#define MAX_SECTIONS  INFER_FILE_MAX_SECTIONS


typedef struct {
    infer_section_t       section[MAX_SECTIONS];
    infer_file_section_t  row[MAX_SECTIONS];
    size_t                n;
    infer_file_t          head;
    infer_model_t         model;      /* the head of its block, as in a file */
} infer_layout_t;


static const unsigned char  zeros[INFER_MODEL_ALIGN];


static int write_source(infer_buffer_t *b, const infer_graph_t *g,
    const infer_save_options_t *options, infer_error_t *err);
static int list_sections(infer_layout_t *l, const infer_model_t *model,
    const infer_buffer_t *source, const infer_buffer_t *golden,
    const infer_save_options_t *options, infer_error_t *err);
static int list_again(infer_layout_t *l, const infer_model_t *model,
    const infer_section_t *section, const char *path, infer_error_t *err);
static void lay_out(infer_layout_t *l);
static size_t head_size(const infer_layout_t *l);
static uint32_t section_crc(const infer_layout_t *l, size_t i);
static size_t padding(uint64_t size);
static int write_file(const infer_layout_t *l, const char *path,
    infer_error_t *err);
static int write_sections(const infer_layout_t *l, FILE *f);
static int check_file(const char *path, infer_error_t *err);
static int put(FILE *f, const void *data, size_t size);
static int fail(infer_error_t *err, const char *path, const char *reason);


int
infer_model_save(const infer_graph_t *graph, const infer_model_t *model,
    const char *path, const infer_save_options_t *options, infer_error_t *err)
{
    int              rc = -1;
    infer_error_t    why;
    infer_buffer_t   source = { 0 }, golden = { 0 };
    infer_layout_t  *l;

    l = calloc(1, sizeof(*l));

    if (l == NULL) {
        fail(err, path, "out of memory");

    } else if (infer_golden_write(model, &golden, &why) != 0) {
        fail(err, graph->path, why.text);

    } else if (write_source(&source, graph, options, err) == 0
               && list_sections(l, model, &source, &golden, options, err)
                  == 0)
    {
        lay_out(l);
        rc = write_file(l, path, err);
    }

    free(source.data);
    free(golden.data);
    free(l);

    return rc;
}


int
infer_model_save_section(const infer_model_t *model,
    const infer_section_t *section, const char *path, infer_error_t *err)
{
    int              rc = -1;
    infer_layout_t  *l;

    l = calloc(1, sizeof(*l));

    if (l == NULL) {
        fail(err, path, "out of memory");

    } else if (list_again(l, model, section, path, err) == 0) {
        lay_out(l);
        rc = write_file(l, path, err);
    }

    free(l);

    return rc;
}


/* ---- buffers ---------------------------------------------------------- */

uint64_t
infer_buffer_reserve(infer_buffer_t *b, size_t n, size_t align)
{
    size_t  at, space;
    void   *data;

    at = (b->size + align - 1) / align * align;

    if (b->failed || n > SIZE_MAX / 4 - at) {
        b->failed = 1;
        return 0;
    }

    if (at + n > b->space) {
        space = 2 * (at + n) + 4096;
        data = realloc(b->data, space);

        if (data == NULL) {
            b->failed = 1;
            return 0;
        }

        b->data = data;
        b->space = space;
    }

    memset(b->data + b->size, 0, at + n - b->size);
    b->size = at + n;

    return at;
}


uint64_t
infer_buffer_string(infer_buffer_t *b, const char *s)
{
    uint64_t  at;

    if (s == NULL) {
        return 0;
    }

    at = infer_buffer_reserve(b, strlen(s) + 1, 1);

    if (!b->failed) {
        memcpy(b->data + at, s, strlen(s));
    }

    return at;
}


/* ---- the sections ----------------------------------------------------- */

static int
write_source(infer_buffer_t *b, const infer_graph_t *g,
    const infer_save_options_t *options, infer_error_t *err)
{
    uint64_t                at;
    const char             *slash;
    infer_file_op_t         op;
    infer_file_source_t     h;
    const infer_summary_t  *sum = &g->summary;

    slash = strrchr(options->source, '/');

    memset(&h, 0, sizeof(h));
    infer_buffer_reserve(b, sizeof(h), 1);

    h.n_ops = (uint32_t) sum->n_ops;
    h.n_warnings = (uint32_t) sum->n_warnings;
    h.ops = infer_buffer_reserve(b, sum->n_ops * sizeof(op), 8);
    h.warnings = infer_buffer_reserve(b, sum->n_warnings * sizeof(at), 8);

    h.file = infer_buffer_string(b, slash ? slash + 1 : options->source);
    h.format = infer_buffer_string(b, sum->format);
    h.producer = infer_buffer_string(b, sum->producer);
    h.tool = infer_buffer_string(b, "infer " INFER_VERSION);
    h.options = infer_buffer_string(b, options->options);
    h.opset = (uint32_t) sum->opset;
    h.parameters = sum->parameters;
    h.macs = sum->macs;

    for (size_t i = 0; i < sum->n_ops; i++) {
        op.name = infer_buffer_string(b, sum->ops[i].op);
        op.count = sum->ops[i].count;

        if (!b->failed) {
            memcpy(b->data + h.ops + i * sizeof(op), &op, sizeof(op));
        }
    }

    for (size_t i = 0; i < sum->n_warnings; i++) {
        at = infer_buffer_string(b, sum->warnings[i]);

        if (!b->failed) {
            memcpy(b->data + h.warnings + i * sizeof(at), &at, sizeof(at));
        }
    }

    if (b->failed) {
        return fail(err, g->path, "out of memory");
    }

    memcpy(b->data, &h, sizeof(h));

    return 0;
}


static int
list_sections(infer_layout_t *l, const infer_model_t *model,
    const infer_buffer_t *source, const infer_buffer_t *golden,
    const infer_save_options_t *options, infer_error_t *err)
{
    if (options->n_sections > MAX_SECTIONS - 3) {
        return fail(err, options->source, "too many sections");
    }

    l->section[0] = (infer_section_t) { INFER_SECTION_MODEL, model,
                                        model->size };
    l->section[1] = (infer_section_t) { INFER_SECTION_SOURCE, source->data,
                                        source->size };
    l->section[2] = (infer_section_t) { INFER_SECTION_GOLDEN, golden->data,
                                        golden->size };
    l->n = 3 + options->n_sections;

    for (size_t i = 3; i < l->n; i++) {
        l->section[i] = options->sections[i - 3];
    }

    return 0;
}


/* The model, the others of its file in their order, the new one. */
static int
list_again(infer_layout_t *l, const infer_model_t *model,
    const infer_section_t *section, const char *path, infer_error_t *err)
{
    infer_section_t  s;

    l->section[l->n++] = (infer_section_t) { INFER_SECTION_MODEL, model,
                                             model->size };

    for (size_t i = 0; infer_model_section(model, i, &s) == 0; i++) {
        if (s.kind == INFER_SECTION_MODEL || s.kind == section->kind) {
            continue;
        }

        if (l->n == MAX_SECTIONS - 1) {
            return fail(err, path, "too many sections");
        }

        l->section[l->n++] = s;
    }

    l->section[l->n++] = *section;

    return 0;
}


/* Where everything lies, and the checksums; section 0 is the model. */
static void
lay_out(infer_layout_t *l)
{
    uint64_t  at;

    at = head_size(l) + padding(head_size(l));

    for (size_t i = 0; i < l->n; i++) {
        l->row[i].kind = l->section[i].kind;
        l->row[i].offset = at;
        l->row[i].size = l->section[i].size;
        at += l->row[i].size + padding(l->row[i].size);
    }

    memcpy(&l->model, l->section[0].data, sizeof(l->model));
    l->model.before = l->row[0].offset;
    l->model.after = at - l->row[0].offset - l->model.size;

    for (size_t i = 0; i < l->n; i++) {
        l->row[i].crc = section_crc(l, i);
    }

    memcpy(l->head.magic, INFER_FILE_MAGIC, sizeof(l->head.magic));
    l->head.version = INFER_FILE_VERSION;
    l->head.size = at;
    l->head.n_sections = l->n;
    l->head.crc = infer_file_crc(0, &l->head, sizeof(l->head));
    l->head.crc = infer_file_crc(l->head.crc, l->row,
                                 l->n * sizeof(l->row[0]));
    l->head.crc = infer_file_crc(l->head.crc, zeros, padding(head_size(l)));
}


static size_t
head_size(const infer_layout_t *l)
{
    return sizeof(l->head) + l->n * sizeof(l->row[0]);
}


/* With the zeros behind it. */
static uint32_t
section_crc(const infer_layout_t *l, size_t i)
{
    size_t       skip = 0;
    uint32_t     crc = 0;
    const char  *data = l->section[i].data;

    if (i == 0) {
        skip = sizeof(l->model);
        crc = infer_file_crc(crc, &l->model, skip);
    }

    crc = infer_file_crc(crc, data + skip, l->section[i].size - skip);

    return infer_file_crc(crc, zeros, padding(l->section[i].size));
}


static size_t
padding(uint64_t size)
{
    return (0 - size) % INFER_MODEL_ALIGN;
}


/* ---- the file --------------------------------------------------------- */

static int
write_file(const infer_layout_t *l, const char *path, infer_error_t *err)
{
    int           rc;
    FILE         *f;
    char         *name;
    struct stat   st;

    /* not in place of a device, say */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return fail(err, path, "is not a file");
    }

    name = malloc(strlen(path) + sizeof(".part"));
    if (name == NULL) {
        return fail(err, path, "out of memory");
    }

    sprintf(name, "%s.part", path);

    f = fopen(name, "wb");

    if (f == NULL) {
        fail(err, name, strerror(errno));
        free(name);
        return -1;
    }

    if ((write_sections(l, f) | (fclose(f) != 0)) != 0) {
        rc = fail(err, path, strerror(errno));

    } else {
        rc = check_file(name, err);
    }

    if (rc == 0 && rename(name, path) != 0) {
        rc = fail(err, path, strerror(errno));
    }

    if (rc != 0) {
        (void) unlink(name);
    }

    free(name);

    return rc;
}


/* What cannot be loaded is not to be left behind. */
static int
check_file(const char *path, infer_error_t *err)
{
    infer_model_t  *model;

    model = infer_model_load(path, NULL, err);

    if (model == NULL) {
        return -1;
    }

    infer_model_free(model);

    return 0;
}


static int
write_sections(const infer_layout_t *l, FILE *f)
{
    size_t  skip, size;

    if (put(f, &l->head, sizeof(l->head)) != 0
        || put(f, l->row, l->n * sizeof(l->row[0])) != 0
        || put(f, zeros, padding(head_size(l))) != 0)
    {
        return -1;
    }

    for (size_t i = 0; i < l->n; i++) {
        skip = i == 0 ? sizeof(l->model) : 0;
        size = l->section[i].size;

        if (put(f, &l->model, skip) != 0
            || put(f, (const char *) l->section[i].data + skip, size - skip)
               != 0
            || put(f, zeros, padding(size)) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
put(FILE *f, const void *data, size_t size)
{
    return fwrite(data, 1, size, f) == size ? 0 : -1;
}


static int
fail(infer_error_t *err, const char *path, const char *reason)
{
    snprintf(err->text, sizeof(err->text), "%.250s: %.250s", path, reason);

    return -1;
}
