/*
 * Reading an .infer file that lies in memory: header, checksums, sections, and
 * what is told of a model by what lies around it in its file.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "file/file.h"


static int check_header(const infer_file_t *f, size_t size, const char *path,
    infer_error_t *err);
static int check_sections(const infer_file_t *f, const char *path,
    infer_error_t *err);
static int check_contents(const infer_file_t *f, const char *path,
    infer_error_t *err);
static const infer_file_section_t *table(const infer_file_t *f);
static const infer_file_section_t *model_row(const infer_file_t *f);
static const infer_file_t *file_of(const infer_model_t *model);
static int fail(infer_error_t *err, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


int
infer_file_is(const void *head, size_t size)
{
    return size >= sizeof(((infer_file_t *) NULL)->magic)
           && memcmp(head, INFER_FILE_MAGIC,
                     sizeof(((infer_file_t *) NULL)->magic)) == 0;
}


const infer_model_t *
infer_file_open(const void *mem, size_t size, const char *path,
    infer_error_t *err)
{
    const infer_file_t  *f = mem;

    if (check_header(f, size, path, err) != 0
        || check_sections(f, path, err) != 0
        || check_contents(f, path, err) != 0)
    {
        return NULL;
    }

    return (const infer_model_t *)
           (const void *) ((const char *) f + model_row(f)->offset);
}


uint32_t
infer_file_crc(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t) crc32_z(crc, data, size);
}


/* ---- checks ----------------------------------------------------------- */

static int
check_header(const infer_file_t *f, size_t size, const char *path,
    infer_error_t *err)
{
    uint32_t      crc;
    uint64_t      head, end;
    infer_file_t  copy;

    if (!infer_file_is(f, size)) {
        return fail(err, path, "is no .infer file");
    }

    if (size < sizeof(*f)) {
        return fail(err, path, "is truncated: %zu bytes", size);
    }

    if (f->version > INFER_FILE_VERSION) {
        return fail(err, path, "has version %u of the .infer format, this "
                    "program reads versions up to %u: it is too old",
                    f->version, INFER_FILE_VERSION);
    }

    if (f->version != INFER_FILE_VERSION) {
        return fail(err, path, "has version %u of the .infer format, which "
                    "does not exist", f->version);
    }

    if (f->size != size) {
        return fail(err, path, "is %s: %zu of %llu bytes",
                    size < f->size ? "truncated" : "too long", size,
                    (unsigned long long) f->size);
    }

    head = sizeof(*f) + f->n_sections * sizeof(infer_file_section_t);

    if (f->n_sections < 1 || f->n_sections > INFER_FILE_MAX_SECTIONS
        || head > size)
    {
        return fail(err, path, "has %llu sections, which is not possible",
                    (unsigned long long) f->n_sections);
    }

    end = table(f)[0].offset;

    if (end < head || end > size) {
        return fail(err, path, "its header is damaged");
    }

    copy = *f;
    copy.crc = 0;
    crc = infer_file_crc(0, &copy, sizeof(copy));
    crc = infer_file_crc(crc, f + 1, end - sizeof(copy));

    return crc == f->crc
           ? 0 : fail(err, path, "its header is damaged: the checksum is "
                      "%08x, not %08x", crc, f->crc);
}


/* One behind the other, from the header to the end, with right checksums. */
static int
check_sections(const infer_file_t *f, const char *path, infer_error_t *err)
{
    uint32_t                     crc;
    uint64_t                     end;
    const infer_file_section_t  *s = table(f);

    end = sizeof(*f) + f->n_sections * sizeof(*s);

    for (uint64_t i = 0; i < f->n_sections; i++) {
        end += (0 - end) % INFER_MODEL_ALIGN;

        if (s[i].offset != end || s[i].offset > f->size
            || s[i].size > f->size - s[i].offset)
        {
            return fail(err, path, "section %llu (%s) lies outside of the "
                        "file", (unsigned long long) i,
                        infer_section_name(s[i].kind));
        }

        end += s[i].size;
    }

    if (end + (0 - end) % INFER_MODEL_ALIGN != f->size) {
        return fail(err, path, "has more than its sections");
    }

    for (uint64_t i = 0; i < f->n_sections; i++) {
        end = i + 1 < f->n_sections ? s[i + 1].offset : f->size;
        crc = infer_file_crc(0, (const char *) f + s[i].offset,
                             end - s[i].offset);

        if (crc != s[i].crc) {
            return fail(err, path, "section %llu (%s) is damaged: its "
                        "checksum is %08x, not %08x", (unsigned long long) i,
                        infer_section_name(s[i].kind), crc, s[i].crc);
        }
    }

    return 0;
}


/* Each kind once; what is known of it. */
static int
check_contents(const infer_file_t *f, const char *path, infer_error_t *err)
{
    infer_error_t                why;
    infer_section_t              s;
    const infer_model_t         *m;
    const infer_file_section_t  *row = table(f);

    for (uint64_t i = 0; i < f->n_sections; i++) {
        for (uint64_t k = 0; k < i; k++) {
            if (row[i].kind == row[k].kind) {
                return fail(err, path, "has two sections of one kind (%s)",
                            infer_section_name(row[i].kind));
            }
        }
    }

    row = model_row(f);

    if (row == NULL) {
        return fail(err, path, "has no model");
    }

    m = (const void *) ((const char *) f + row->offset);

    if (infer_model_check(m, row->size, path, err) != 0) {
        return -1;
    }

    if (m->before != row->offset
        || m->after != f->size - row->offset - row->size)
    {
        return fail(err, path, "the model is not where it says");
    }

    if ((infer_model_find_section(m, INFER_SECTION_SOURCE, &s) == 0
         && infer_source_check(&s, &why) != 0)
        || (infer_model_find_section(m, INFER_SECTION_GOLDEN, &s) == 0
            && infer_golden_check(&s, m, &why) != 0)
        || (infer_model_find_section(m, INFER_SECTION_BASELINE, &s) == 0
            && infer_baseline_check(&s, m, &why) != 0))
    {
        return fail(err, path, "%.200s", why.text);
    }

    return 0;
}


/* ---- sections --------------------------------------------------------- */

const char *
infer_section_name(uint32_t kind)
{
    static const char *const  names[] = {
        [INFER_SECTION_MODEL] = "model",
        [INFER_SECTION_SOURCE] = "source",
        [INFER_SECTION_GOLDEN] = "golden",
        [INFER_SECTION_CALIBRATION] = "calibration",
        [INFER_SECTION_BASELINE] = "baseline"
    };

    return kind >= INFER_SECTION_MODEL && kind <= INFER_SECTION_BASELINE
           ? names[kind] : "unknown";
}


int
infer_model_section(const infer_model_t *model, size_t i,
    infer_section_t *section)
{
    const infer_file_t          *f = file_of(model);
    const infer_file_section_t  *row;

    if (f == NULL || i >= f->n_sections) {
        return -1;
    }

    row = table(f) + i;
    section->kind = row->kind;
    section->data = (const char *) f + row->offset;
    section->size = row->size;

    return 0;
}


int
infer_model_find_section(const infer_model_t *model, uint32_t kind,
    infer_section_t *section)
{
    for (size_t i = 0; infer_model_section(model, i, section) == 0; i++) {
        if (section->kind == kind) {
            return 0;
        }
    }

    return -1;
}


static const infer_file_section_t *
table(const infer_file_t *f)
{
    return (const infer_file_section_t *) (f + 1);
}


static const infer_file_section_t *
model_row(const infer_file_t *f)
{
    for (uint64_t i = 0; i < f->n_sections; i++) {
        if (table(f)[i].kind == INFER_SECTION_MODEL) {
            return &table(f)[i];
        }
    }

    return NULL;
}


/* NULL for a model that was built. */
static const infer_file_t *
file_of(const infer_model_t *model)
{
    return model->before == 0
           ? NULL : (const infer_file_t *)
                    (const void *) ((const char *) model - model->before);
}


/* ---- the source ------------------------------------------------------- */

int
infer_source_check(const infer_section_t *s, infer_error_t *err)
{
    int                         good;
    uint64_t                    from = sizeof(infer_file_source_t);
    const infer_file_op_t      *op;
    const uint64_t             *warning;
    const infer_file_source_t  *h = s->data;

    good = s->size >= from
           && infer_string_valid(h, from, s->size, h->file)
           && infer_string_valid(h, from, s->size, h->format)
           && infer_string_valid(h, from, s->size, h->producer)
           && infer_string_valid(h, from, s->size, h->tool)
           && infer_string_valid(h, from, s->size, h->options)
           && infer_range_valid(from, s->size, h->ops, h->n_ops, sizeof(*op),
                                sizeof(uint64_t))
           && infer_range_valid(from, s->size, h->warnings, h->n_warnings,
                                sizeof(*warning), sizeof(uint64_t))
           && h->opset <= INT32_MAX && h->reserved == 0;

    for (uint32_t i = 0; good && i < h->n_ops; i++) {
        op = infer_source_at(h, h->ops);
        good = infer_string_valid(h, from, s->size, op[i].name);
    }

    for (uint32_t i = 0; good && i < h->n_warnings; i++) {
        warning = infer_source_at(h, h->warnings);
        good = infer_string_valid(h, from, s->size, warning[i]);
    }

    if (!good) {
        snprintf(err->text, sizeof(err->text),
                 "what it says of its source cannot be read");
    }

    return good ? 0 : -1;
}


static const infer_file_source_t *
source_of(const infer_model_t *model)
{
    infer_section_t  s;

    return infer_model_find_section(model, INFER_SECTION_SOURCE, &s) == 0
           ? s.data : NULL;
}


int
infer_model_source(const infer_model_t *model, infer_source_t *source)
{
    const infer_file_source_t  *h = source_of(model);

    if (h == NULL) {
        return -1;
    }

    *source = (infer_source_t) {
        .file = infer_source_at(h, h->file),
        .format = infer_source_at(h, h->format),
        .producer = infer_source_at(h, h->producer),
        .tool = infer_source_at(h, h->tool),
        .options = infer_source_at(h, h->options),
        .opset = (int) h->opset,
        .parameters = h->parameters,
        .macs = h->macs,
        .n_ops = h->n_ops,
        .n_warnings = h->n_warnings
    };

    return 0;
}


void
infer_model_source_op(const infer_model_t *model, size_t i,
    infer_op_count_t *op)
{
    const infer_file_op_t      *row;
    const infer_file_source_t  *h = source_of(model);

    row = infer_source_at(h, h->ops);
    op->op = infer_source_at(h, row[i].name);
    op->count = row[i].count;
}


const char *
infer_model_source_warning(const infer_model_t *model, size_t i)
{
    const uint64_t             *row;
    const infer_file_source_t  *h = source_of(model);

    row = infer_source_at(h, h->warnings);

    return infer_source_at(h, row[i]);
}


/* ---- helpers ---------------------------------------------------------- */


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
