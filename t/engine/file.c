/*
 * The .infer file: what is written is read, nothing that was changed is, and
 * what was changed with care (its checksums are right) does no harm.
 */

#include "sample.h"
#include "tap.h"


static unsigned char  *data, *copy;
static size_t          size;
static infer_error_t   err;


/* Loads the copy: the model, or NULL with one line that names the file. */
static const infer_model_t *
load(size_t n)
{
    const infer_model_t  *m;

    strcpy(err.text, "no reason");
    m = infer_file_open(copy, n, "a.infer", &err);

    if (m == NULL && (strncmp(err.text, "a.infer: ", 9) != 0
                      || strchr(err.text, '\n') != NULL))
    {
        ok(0, "a reason: %s", err.text);
    }

    return m;
}


static const infer_model_t *
load_whole(void)
{
    memcpy(copy, data, size);

    return load(size);
}


static void
whole_file(void)
{
    infer_error_t         why;
    infer_source_t        source;
    infer_section_t       s;
    infer_op_count_t      op;
    const infer_model_t  *m = load_whole();

    ok(m != NULL, "a whole file is loaded");
    ok(infer_model_selftest(m, &why) == 0, "the golden run is reproduced");
    ok(sample_run(m, 3, SIZE_MAX) == 0, "a batch of 3 runs");
    ok(strcmp(infer_model_label(m, 9), "nine") == 0, "it has its labels");

    ok(infer_model_source(m, &source) == 0
       && strcmp(source.file, "sample.onnx") == 0
       && strcmp(source.format, "onnx") == 0
       && strcmp(source.producer, "a test") == 0
       && strcmp(source.options, "--none") == 0
       && source.opset == 17 && source.parameters == 1000
       && source.macs == 2000 && source.n_ops == 2 && source.n_warnings == 1,
       "its source, without a path");

    infer_model_source_op(m, 1, &op);
    ok(strcmp(op.op, "Gemm") == 0 && op.count == 1
       && strcmp(infer_model_source_warning(m, 0), "is only a sample") == 0,
       "operators and warnings");

    ok(infer_model_find_section(m, INFER_SECTION_CALIBRATION, &s) == 0
       && s.size == 5 && memcmp(s.data, "12345", 5) == 0,
       "a section of somebody else");
    ok(infer_model_section(m, 3, &s) == 0
       && infer_model_section(m, 4, &s) == -1, "four sections");
}


static void
same_bytes(void)
{
    size_t          n;
    unsigned char  *again = sample_file(&n);

    ok(n == size && memcmp(again, data, n) == 0,
       "written twice, the same bytes");
    free(again);
}


/* As an accident would leave it. */
static void
damaged(void)
{
    size_t  passed = 0;

    memcpy(copy, data, size);

    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (unsigned char) (1 << bit);
            passed += load(size) != NULL;
            copy[i] = data[i];
        }
    }

    ok(passed == 0, "each of %zu bytes, each bit flipped: refused", size);

    for (size_t n = 0; n < size; n++) {
        passed += load(n) != NULL;
    }

    ok(passed == 0, "truncated to each length: refused");
    ok(strstr(err.text, "truncated") != NULL, "with the reason: %s",
       err.text);
}


static void
other_headers(void)
{
    infer_file_t  *f = (infer_file_t *) (void *) copy;

    memcpy(copy, data, size);
    f->version++;
    sample_repair(copy, size);
    ok(load(size) == NULL && strstr(err.text, "version 2") != NULL
       && strstr(err.text, "too old") != NULL, "newer: %s", err.text);

    memcpy(copy, data, size);
    f->n_sections = UINT64_MAX / sizeof(infer_file_section_t) + 1;
    sample_repair(copy, size);
    ok(load(size) == NULL && strstr(err.text, "sections") != NULL,
       "too many sections: %s", err.text);

    memcpy(copy, data, size);
    ((infer_file_section_t *) (void *) (f + 1))[1].size = UINT64_MAX - 8;
    sample_repair(copy, size);
    ok(load(size) == NULL && strstr(err.text, "outside") != NULL,
       "a section of a hostile size: %s", err.text);
}


/* As somebody would who means harm: the checksums are right. */
static void
hostile(void)
{
    size_t                loaded = 0, ran = 0;
    const infer_model_t  *m;

    for (size_t i = 0; i < size; i++) {
        for (int k = 0; k < 2; k++) {
            memcpy(copy, data, size);
            copy[i] = k == 0 ? (unsigned char) ~data[i]
                      : (unsigned char) (data[i] + 1);
            sample_repair(copy, size);
            m = load(size);

            if (m != NULL) {
                loaded++;
                ran += sample_run(m, 2, (size_t) 1 << 30) == 0;
                (void) infer_model_selftest(m, &err);
            }
        }
    }

    ok(loaded > 0 && loaded < 2 * size, "with right checksums %zu of %zu "
       "changed files are loaded", loaded, 2 * size);
    ok(ran == loaded, "%zu of them run", ran);
}


/* One number of the model's tables is changed; the reason tells of it. */
#define REFUSED(what, reason, change)                                         \
    do {                                                                      \
        infer_model_t        *m = (infer_model_t *) load_whole();             \
        infer_model_value_t  *v = (void *) ((char *) m + m->values);          \
        infer_model_node_t   *n = (void *) ((char *) m + m->nodes);           \
        infer_model_port_t   *in = (void *) ((char *) m + m->inputs);         \
        infer_model_port_t   *out = (void *) ((char *) m + m->outputs);       \
        uint32_t             *o = (void *) ((char *) m + m->operands);        \
                                                                              \
        (void) v, (void) n, (void) in, (void) out, (void) o;                  \
        change;                                                               \
        sample_repair(copy, size);                                            \
        ok(load(size) == NULL && strstr(err.text, reason) != NULL,            \
           "%s: %s", what, err.text);                                         \
    } while (0)


static void
refused(void)
{
    REFUSED("a table beyond the end", "table",
            m->values = m->size + 64);
    REFUSED("too many rows", "table", m->n_nodes = UINT32_MAX);
    REFUSED("rows of another size", "version", m->node_size += 8);
    REFUSED("no dtype", "dtype", v[0].dtype = INFER_DTYPES);
    REFUSED("a rank of 9", "rank", v[0].rank = INFER_MAX_RANK + 1);
    REFUSED("a huge dimension", "too large", v[0].dim[1].base = 1 << 30);
    REFUSED("dimensions that overflow", "negative",
            (v[0].dim[1].base = INT64_MAX, v[0].dim[1].batch = INT64_MAX));
    REFUSED("no operator", "operator", n[0].op = INFER_OPS);
    REFUSED("an operator's own rule", "out of range",
            n[0].param.conv.window.stride[1] = 0);
    REFUSED("padding like no tensor", "padded",
            (n[0].param.conv.window.before[1] = INT32_MAX,
             n[0].param.conv.window.before[2] = INT32_MAX));
    REFUSED("another result", "computes", v[o[n[0].n_in]].dim[1].base++);
    REFUSED("a result that is an operand already", "already",
            o[n[0].n_in] = o[0]);
    REFUSED("an operand that is computed later", "not yet",
            o[n[1].operand] = o[n[2].operand + n[2].n_in]);
    REFUSED("an operand that does not exist", "exist", o[0] = 1u << 31);
    REFUSED("weights as an activation", "not yet",
            o[n[4].operand] = o[n[0].operand + 1]);
    REFUSED("weights outside", "weights", n[0].packed = m->size - 64);
    REFUSED("no weights", "weights", n[0].packed = 0);
    REFUSED("an input that is none", "input 0", in[0].value = o[1]);
    REFUSED("an input of another shape", "not like", in[0].dim[2] = 9);
    REFUSED("an output channels-first", "not like", out[0].nchw = 1);
    REFUSED("an output that is not computed", "output 0",
            out[0].value = m->n_values);
    REFUSED("a name without an end", "name", n[0].name = m->size);
    REFUSED("a label elsewhere", "label",
            *(uint64_t *) (void *) ((char *) m + m->labels) = 1);
    REFUSED("settings that are none", "preprocessing",
            m->preprocess = out[0].name);
    REFUSED("another batch", "header", m->follows_batch = 0);
    REFUSED("another place", "where it says", m->before += 64);
}


/* What is right in itself, but asks for too much. */
static void
too_much(void)
{
    infer_model_t    *m = (infer_model_t *) load_whole();
    infer_session_t  *s;

    s = infer_session_create(m, 65536, 1u << 20, &err);
    ok(s == NULL, "memory without end: %s", err.text);
    infer_session_free(s);
}


static void
other_golden(void)
{
    infer_section_t       s;
    const infer_model_t  *m = load_whole();

    infer_model_find_section(m, INFER_SECTION_GOLDEN, &s);
    copy[(const unsigned char *) s.data - copy + s.size - 2] ^= 1;
    sample_repair(copy, size);
    m = load(size);

    ok(m != NULL && infer_model_selftest(m, &err) == -1
       && strstr(err.text, "self-test: output 0") != NULL,
       "another golden output: %s", err.text);
}


int
main(void)
{
    data = sample_file(&size);
    copy = aligned_alloc(64, size);

    whole_file();
    same_bytes();
    damaged();
    other_headers();
    refused();
    hostile();
    too_much();
    other_golden();

    free(data);
    free(copy);

    return done();
}
