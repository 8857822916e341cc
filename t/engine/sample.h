/*
 * A small model with an operator of most families, inputs of two dtypes,
 * labels and preprocessing, as an .infer file: what the tests of that format
 * take apart.  Included once in each test.
 */

#ifndef T_SAMPLE_H
#define T_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/file.h"
#include "graph/graph.h"
#include "ops/op.h"


typedef struct {
    infer_graph_t  *g;
    infer_value_t  *x;             /* the last result */
    uint32_t        seed;
} sample_t;


static infer_value_t *
sample_constant(sample_t *s, int rank, int64_t a, int64_t b, int64_t c,
    int64_t d)
{
    float    *x;
    size_t    n = 1;
    int64_t   dim[4] = { a, b, c, d };

    for (int i = 0; i < rank; i++) {
        n *= (size_t) dim[i];
    }

    x = infer_graph_alloc(s->g, n * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        s->seed = s->seed * 1664525u + 1013904223u;
        x[i] = (float) (s->seed >> 8) / (1 << 24) - 0.5f;
    }

    return infer_graph_constant(s->g, NULL, INFER_F32, rank, dim, x);
}


static void
sample_emit(sample_t *s, infer_op_id_t op, const infer_param_t *p,
    infer_value_t *b, infer_value_t *c, infer_value_t *d)
{
    infer_value_t  *in[5] = { s->x, b, c, NULL, d };

    s->x = infer_graph_emit1(s->g, op, p, "node", in,
                             d ? 5 : c ? 3 : b ? 2 : 1);

    if (s->x == NULL) {
        fprintf(stderr, "%s\n", s->g->err->text);
        abort();
    }
}


static void
sample_conv(sample_t *s, int64_t in, int64_t out, int kernel, int groups,
    int winograd, infer_value_t *residual)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.conv.window.kernel[i] = i == 0 ? 1 : kernel;
        p.conv.window.stride[i] = 1;
        p.conv.window.dilation[i] = 1;
        p.conv.window.before[i] = i == 0 ? 0 : kernel / 2;
        p.conv.window.after[i] = i == 0 ? 0 : kernel / 2;
    }

    p.conv.groups = groups;
    p.conv.winograd = winograd;
    p.conv.act = (infer_unary_t) { INFER_CLIP, 0, 6 };

    sample_emit(s, INFER_OP_CONV, &p,
                sample_constant(s, 4, out, in / groups, kernel, kernel),
                sample_constant(s, 1, out, 0, 0, 0), residual);
}


/* (N, 8, 8, 3) to (N, 6, 5, 4) */
static void
sample_windows(sample_t *s)
{
    infer_param_t   p;
    infer_value_t  *first;

    sample_conv(s, 3, 4, 3, 1, 0, NULL);
    first = s->x;
    sample_conv(s, 4, 4, 3, 1, 1, NULL);
    sample_conv(s, 4, 4, 3, 4, 0, NULL);
    sample_conv(s, 4, 4, 1, 1, 0, first);

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.pool.window.kernel[i] = p.pool.window.stride[i] = i == 0 ? 1 : 2;
        p.pool.window.dilation[i] = 1;
    }

    sample_emit(s, INFER_OP_POOL, &p, NULL, NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.pad.mode = INFER_PAD_REFLECT;
    p.pad.before[1] = p.pad.before[2] = p.pad.after[1] = 1;
    sample_emit(s, INFER_OP_PAD, &p, NULL, NULL, NULL);
}


/* (N, 6, 5, 4) to (N, 3, 8) */
static void
sample_shapes(sample_t *s)
{
    infer_param_t   p;
    infer_value_t  *v[4];

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 4; i++) {
        p.slice.step[i] = 1;
        p.slice.count[i] = s->x->dim[i];
    }

    p.slice.start[1] = infer_dim(5);
    p.slice.step[1] = -2;
    p.slice.count[1] = infer_dim(3);
    sample_emit(s, INFER_OP_SLICE, &p, NULL, NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.resize.mode = INFER_RESIZE_LINEAR;

    for (int i = 0; i < 4; i++) {
        p.resize.scale[i] = 1;
        p.resize.out[i] = s->x->dim[i];
    }

    p.resize.out[2] = infer_dim(4);
    p.resize.scale[2] = 0.8f;
    sample_emit(s, INFER_OP_RESIZE, &p, NULL, NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.transpose.perm[1] = 2;
    p.transpose.perm[2] = 1;
    p.transpose.perm[3] = 3;
    sample_emit(s, INFER_OP_TRANSPOSE, &p, NULL, NULL, NULL);

    memset(&p, 0, sizeof(p));
    v[0] = sample_constant(s, 1, 4, 0, 0, 0);
    v[1] = sample_constant(s, 1, 4, 0, 0, 0);
    v[2] = s->x;
    s->x = infer_graph_emit1(s->g, INFER_OP_AFFINE, &p, "affine", v, 3);

    p.axis.axis = 3;
    sample_emit(s, INFER_OP_CONCAT, &p, s->x, NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.reduce.axes = 1u << 1;
    sample_emit(s, INFER_OP_REDUCE, &p, NULL, NULL, NULL);
}


/* (N, 3, 8) to scores (N, 10) */
static void
sample_scores(sample_t *s, infer_value_t *indices)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));
    p.axis.axis = 1;
    sample_emit(s, INFER_OP_GATHER, &p, indices, NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.layernorm.axis = 2;
    p.layernorm.epsilon = 1e-5f;
    sample_emit(s, INFER_OP_LAYERNORM, &p,
                sample_constant(s, 1, 8, 0, 0, 0),
                sample_constant(s, 1, 8, 0, 0, 0), NULL);

    memset(&p, 0, sizeof(p));
    sample_emit(s, INFER_OP_MATMUL, &(infer_param_t) { .matmul.alpha = 1 },
                sample_constant(s, 2, 8, 4, 0, 0), NULL, NULL);

    p.shape.rank = 2;
    p.shape.dim[0] = (infer_dim_t) { 0, 1 };
    p.shape.dim[1] = infer_dim(8);
    sample_emit(s, INFER_OP_RESHAPE, &p, NULL, NULL, NULL);

    memset(&p, 0, sizeof(p));
    sample_emit(s, INFER_OP_FC, &p, sample_constant(s, 2, 8, 10, 0, 0),
                sample_constant(s, 1, 10, 0, 0, 0), NULL);

    p.binary.kind = INFER_MUL;
    sample_emit(s, INFER_OP_BINARY, &p, sample_constant(s, 1, 10, 0, 0, 0),
                NULL, NULL);

    p.unary.kind = INFER_TANH;
    sample_emit(s, INFER_OP_UNARY, &p, NULL, NULL, NULL);

    p.softmax = (infer_softmax_t) { 1, 1, 0 };
    sample_emit(s, INFER_OP_SOFTMAX, &p, NULL, NULL, NULL);
}


/* Inputs (N, 3, 8, 8) f32, channels-last inside, and 2 indices. */
static infer_value_t *
sample_inputs(infer_graph_t *g)
{
    const infer_dim_t  nhwc[4] = { { 0, 1 }, { 8, 0 }, { 8, 0 }, { 3, 0 } };
    const infer_dim_t  two = { 2, 0 };

    g->n_inputs = 2;
    g->input = infer_graph_alloc(g, 2 * sizeof(*g->input));
    g->input[0].value = infer_graph_value(g, "x", INFER_F32, 4, nhwc);
    g->input[0].nchw = 1;
    g->input[0].port = (infer_port_t) { "x", INFER_F32, 4,
                                        { INFER_BATCH, 3, 8, 8 } };
    g->input[1].value = infer_graph_value(g, "i", INFER_I64, 1, &two);
    g->input[1].port = (infer_port_t) { "i", INFER_I64, 1, { 2 } };

    return g->input[1].value;
}


static infer_graph_t *
sample_graph(infer_error_t *err)
{
    sample_t             s = { .seed = 1 };
    infer_value_t       *indices;
    static const char   *labels[10] = { "zero", "one", "two", "three",
                                        "four", "five", "six", "seven",
                                        "eight", "nine" };
    static const infer_op_count_t  ops[2] = { { "Conv", 4 }, { "Gemm", 1 } };
    static const char *const       warnings[1] = { "is only a sample" };

    s.g = infer_graph_create("sample", err);
    indices = sample_inputs(s.g);
    s.x = s.g->input[0].value;

    sample_windows(&s);
    sample_shapes(&s);
    sample_scores(&s, indices);

    s.g->n_outputs = 1;
    s.g->output = infer_graph_alloc(s.g, sizeof(*s.g->output));
    s.g->output[0].value = s.x;
    s.g->output[0].port = (infer_port_t) { "y", INFER_F32, 2,
                                           { INFER_BATCH, 10 } };

    s.g->summary = (infer_summary_t) {
        .format = "onnx", .producer = "a test", .opset = 17, .ops = ops,
        .n_ops = 2, .parameters = 1000, .macs = 2000, .warnings = warnings,
        .n_warnings = 1
    };

    infer_graph_set_labels(s.g, labels, 10, err);
    infer_graph_set_preprocess(s.g, "resize=8 crop=8", err);

    return s.g;
}


/* The sample's model, in memory that the caller frees. */
static infer_model_t *
sample_model(const infer_graph_t *g)
{
    infer_error_t  err;

    return infer_model_build(g, aligned_alloc(64, infer_graph_model_size(g)),
                             &err);
}


/* The bytes of a file with that section, 64-byte aligned. */
static unsigned char *
sample_save(const infer_graph_t *g, const infer_model_t *m,
    const infer_section_t *section, size_t *size)
{
    FILE                  *f;
    char                   path[] = "/tmp/infer-sample-XXXXXX";
    unsigned char         *data;
    infer_error_t          err;
    infer_save_options_t   options = { "some/where/sample.onnx", "--none",
                                       section, 1 };

    close(mkstemp(path));

    if (infer_model_save(g, m, path, &options, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }

    f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    *size = (size_t) ftell(f);
    rewind(f);

    data = aligned_alloc(64, *size);

    if (fread(data, 1, *size, f) != *size) {
        abort();
    }

    fclose(f);
    unlink(path);

    return data;
}


/* The bytes of the sample's file, 64-byte aligned; the caller frees them. */
__attribute__((unused))
static unsigned char *
sample_file(size_t *size)
{
    unsigned char    *data;
    infer_error_t     err;
    infer_graph_t    *g = sample_graph(&err);
    infer_model_t    *m = sample_model(g);
    infer_section_t   extra = { INFER_SECTION_CALIBRATION, "12345", 5 };

    data = sample_save(g, m, &extra, size);

    infer_graph_close(g);
    free(m);

    return data;
}


/* The same with a baseline of three images. */
__attribute__((unused))
static unsigned char *
sample_file_with_baseline(size_t *size)
{
    float              x[3 * 8 * 8];
    unsigned char     *data;
    infer_error_t      err;
    infer_graph_t     *g = sample_graph(&err);
    infer_model_t     *m = sample_model(g);
    infer_sample_t     sample;
    infer_section_t    section;
    infer_session_t   *s = infer_session_create(m, 1, 1, &err);
    infer_recorder_t  *rec = infer_recorder_create(m, &err);
    static const int64_t  indices[2] = { 0, 1 };

    infer_recorder_watch(rec, s);

    for (size_t i = 0; i < 6; i++) {
        if (i == 3 && infer_recorder_again(rec, &err) != 0) {
            abort();
        }

        for (size_t k = 0; k < sizeof(x) / sizeof(x[0]); k++) {
            x[k] = (float) ((k * 7 + i % 3 * 5) % 11) / 5 - 1;
        }

        infer_session_set_input(s, 0, x);
        infer_session_set_input(s, 1, indices);
        infer_sample_begin(&sample);
        infer_sample_input(&sample, s, 0);
        infer_session_run(s, NULL);

        if (infer_recorder_add(rec, s, &sample, i % 3, &err) != 0) {
            abort();
        }
    }

    if (infer_recorder_section(rec, &section, &err) != 0) {
        abort();
    }

    data = sample_save(g, m, &section, size);

    infer_recorder_free(rec);
    infer_session_free(s);
    infer_graph_close(g);
    free(m);

    return data;
}


/* ---- taking it apart -------------------------------------------------- */

/* Makes all checksums right, where the table of sections makes sense. */
__attribute__((unused))
static void
sample_repair(unsigned char *data, size_t size)
{
    size_t                 end;
    infer_file_t          *f = (infer_file_t *) (void *) data;
    infer_file_section_t  *s = (infer_file_section_t *) (void *) (f + 1);

    if (size < sizeof(*f) || f->n_sections == 0 || f->n_sections > 64
        || sizeof(*f) + f->n_sections * sizeof(*s) > size)
    {
        return;
    }

    for (size_t i = 0; i < f->n_sections; i++) {
        end = i + 1 < f->n_sections ? s[i + 1].offset : size;

        if (s[i].offset > end || end > size) {
            return;
        }

        s[i].crc = infer_file_crc(0, data + s[i].offset, end - s[i].offset);
    }

    f->crc = 0;
    f->crc = infer_file_crc(0, data, s[0].offset);
}


/* Holds what a run shows against the baseline of the model's file. */
static void
sample_monitor(const infer_model_t *m, infer_session_t *s)
{
    infer_score_t            score[INFER_SCORES];
    infer_sample_t           sample;
    infer_counts_t          *counts = malloc(sizeof(*counts));
    infer_live_t            *live;
    size_t                   classes = infer_model_classes(m);
    const infer_baseline_t  *b = infer_model_baseline(m);

    live = infer_live_init(malloc(infer_live_size(classes)), classes,
                           infer_baseline_id(b));

    infer_session_monitor(s, b);
    infer_sample_begin(&sample);
    infer_sample_input(&sample, s, 0);
    infer_session_run(s, NULL);
    infer_sample_output(&sample, s, 0, b);
    infer_live_add(live, 0, &sample);
    infer_live_read(live, 0, INFER_SPAN_ALL, counts);

    if (infer_scores(b, counts, score) > INFER_SCORES) {
        abort();
    }

    free(live);
    free(counts);
}


/* Runs a model that has been loaded, and asks it everything. */
__attribute__((unused))
static int
sample_run(const infer_model_t *m, size_t batch, size_t max_bytes)
{
    void                *zeros;
    infer_error_t        err;
    infer_port_t         port;
    infer_class_t        top[3];
    infer_tensor_t       t;
    infer_source_t       source;
    infer_op_count_t     op;
    infer_session_t     *s;

    for (size_t i = 0; i < infer_model_classes(m) && i < 16; i++) {
        (void) infer_model_label(m, i);
    }

    if (infer_model_source(m, &source) == 0) {
        for (size_t i = 0; i < source.n_ops; i++) {
            infer_model_source_op(m, i, &op);
        }

        for (size_t i = 0; i < source.n_warnings; i++) {
            (void) infer_model_source_warning(m, i);
        }
    }

    s = infer_session_create(m, batch, 2, &err);

    if (s == NULL || infer_session_bytes(s) > max_bytes) {
        infer_session_free(s);
        return -1;
    }

    for (size_t i = 0; i < infer_model_inputs(m); i++) {
        infer_model_input(m, i, &port);
        infer_session_input_tensor(s, i, &t);
        zeros = calloc(infer_numel(&t) + 1, infer_dtype_size(t.dtype));
        infer_session_set_input(s, i, zeros);
        free(zeros);
    }

    infer_session_run(s, NULL);

    if (infer_model_classes(m) > 0) {
        for (size_t n = 0; n < batch; n++) {
            (void) infer_session_top(s, n, top, 3);
        }
    }

    if (infer_model_baseline(m) != NULL) {
        sample_monitor(m, s);
    }

    infer_session_free(s);

    return 0;
}

#endif /* T_SAMPLE_H */
