/*
 * The graph core and the passes: dimensions that follow the batch, folding,
 * what the layout and fusion passes leave of the patterns they exist for, and
 * that a graph computes the same before and after them.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/model.h"
#include "passes/passes.h"
#include "build.h"
#include "tap.h"


static const infer_dim_t  batch = { 0, 1 };


static infer_value_t *
unary(int kind, float x, float y, infer_value_t *a)
{
    infer_param_t  p = { .unary = { kind, x, y } };

    return emit(INFER_OP_UNARY, &p, a, NULL, NULL);
}


static infer_value_t *
transpose(infer_value_t *v, int a, int b, int c, int d)
{
    infer_param_t  p = { .transpose = { { a, b, c, d } } };

    return emit(INFER_OP_TRANSPOSE, &p, v, NULL, NULL);
}


static infer_value_t *
reshape(infer_value_t *v, int rank, const infer_dim_t *dim)
{
    infer_param_t  p = { .shape = { .rank = rank } };

    memcpy(p.shape.dim, dim, (size_t) rank * sizeof(*dim));

    return emit(INFER_OP_RESHAPE, &p, v, NULL, NULL);
}


static infer_value_t *
constant(int rank, const int64_t *dim)
{
    float           *x;
    size_t           n = 1;
    static uint32_t  seed = 1;

    for (int i = 0; i < rank; i++) {
        n *= (size_t) dim[i];
    }

    x = infer_graph_alloc(g, n * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float) (seed >> 8) / (1 << 24) - 0.5f;
    }

    return infer_graph_constant(g, "constant", INFER_F32, rank, dim, x);
}


/* A convolution in channels-first clothes. */
static infer_value_t *
conv_of(infer_value_t *x, int64_t in, int64_t out, int taps)
{
    infer_param_t   p;
    infer_value_t  *v[3];

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.conv.window.kernel[i] = i == 0 ? 1 : taps;
        p.conv.window.stride[i] = 1;
        p.conv.window.dilation[i] = 1;
        p.conv.window.before[i] = i != 0 ? taps / 2 : 0;
        p.conv.window.after[i] = i != 0 ? taps / 2 : 0;
    }

    p.conv.groups = 1;

    v[0] = transpose(x, 0, 2, 3, 1);
    v[1] = constant(4, (int64_t[]) { out, in, taps, taps });
    v[2] = constant(1, &out);

    return transpose(infer_graph_emit1(g, INFER_OP_CONV, &p, "conv", v, 3),
                     0, 3, 1, 2);
}


static infer_value_t *
conv(infer_value_t *x, int64_t in, int64_t out)
{
    return conv_of(x, in, out, 3);
}


static infer_value_t *
begin(int64_t channels, int64_t size)
{
    infer_value_t  *v;

    g = infer_graph_create("test", &err);
    v = infer_graph_value(g, "x", INFER_F32, 4,
                          (infer_dim_t[]) { batch, infer_dim(size),
                                            infer_dim(size),
                                            infer_dim(channels) });

    g->input = infer_graph_alloc(g, sizeof(*g->input));
    g->n_inputs = 1;
    g->input[0].value = v;
    g->input[0].nchw = 1;
    g->input[0].port = (infer_port_t) { "x", INFER_F32, 4,
                                        { INFER_BATCH, channels, size, size } };

    return transpose(v, 0, 3, 1, 2);
}


/* Runs the graph as it stands on an input of its own making. */
static float *
compute(size_t images, size_t *n)
{
    void             *mem;
    float            *x, *y;
    size_t            size;
    infer_model_t    *m;
    infer_tensor_t    t;
    infer_session_t  *s;

    infer_pass_sweep(g);

    size = infer_graph_model_size(g);
    mem = aligned_alloc(64, (size + 63) / 64 * 64);
    m = infer_model_build(g, mem, &err);
    s = infer_session_create(m, images, 1, &err);

    if (s == NULL) {
        printf("# %s\n", err.text);
        exit(1);
    }

    infer_session_input_tensor(s, 0, &t);
    x = malloc(infer_numel(&t) * sizeof(float));

    for (size_t i = 0; i < infer_numel(&t); i++) {
        x[i] = (float) (i * 2654435761u % 1000) / 500 - 1;
    }

    infer_session_set_input(s, 0, x);
    infer_session_run(s, NULL);
    infer_session_output_tensor(s, 0, &t);

    *n = infer_numel(&t);
    y = malloc(*n * sizeof(float));
    memcpy(y, t.data, *n * sizeof(float));

    free(x);
    infer_session_free(s);
    free(mem);

    return y;
}


/* The passes leave the result as it was. */
static void
optimise(const char *what)
{
    float   *before, *after, worst, largest;
    size_t   n, m;

    before = compute(3, &n);

    if (infer_pass_layout(g) != 0 || infer_pass_sweep(g) != 0
        || infer_pass_patterns(g) != 0 || infer_pass_fuse(g) != 0
        || infer_pass_affine(g) != 0 || infer_pass_gate(g) != 0)
    {
        ok(0, "%s: %s", what, err.text);
        exit(1);
    }

    after = compute(3, &m);
    worst = 0;
    largest = 0;

    for (size_t i = 0; i < n && n == m; i++) {
        worst = fmaxf(worst, fabsf(before[i] - after[i]));
        largest = fmaxf(largest, fabsf(before[i]));
    }

    ok(n == m && n > 0 && largest > 0 && worst <= 1e-5f * largest,
       "%s: same result (%g of %g)", what, (double) worst, (double) largest);

    free(before);
    free(after);
}


static void
test_dims(void)
{
    int64_t         n = 1, axis0 = 0, twelve = 12;
    infer_dim_t     dim[2], a;
    infer_value_t  *x, *shape, *first, *bigger, *in[2];
    infer_param_t   p = { .axis = { 0 } };

    ok(infer_dim_mul((infer_dim_t) { 2, 3 }, infer_dim(4), &a) == 0
       && a.base == 8 && a.batch == 12, "(2 + 3B) * 4 = 8 + 12B");
    ok(infer_dim_mul(batch, batch, &a) == -1, "B * B is not linear");
    ok(infer_dim_mul(infer_dim(INT64_MAX), infer_dim(2), &a) == -1,
       "a product that overflows is refused");

    x = begin(3, 8);
    shape = infer_graph_shape_of(g, x);
    in[0] = shape;
    in[1] = infer_graph_constant(g, "i", INFER_I64, 1, &n, &axis0);
    first = infer_graph_emit1(g, INFER_OP_GATHER, &p, "gather", in, 2);

    in[0] = first;
    in[1] = infer_graph_constant(g, "k", INFER_I64, 1, &n, &twelve);
    bigger = binary(INFER_MUL, in[0], in[1]);

    ok(bigger->data != NULL && infer_value_dims(g, bigger, dim, 1) == 1
       && dim[0].base == 0 && dim[0].batch == 12,
       "12 times the batch dimension folds to 12B");

    bigger = binary(INFER_MUL, first, first);
    ok(infer_value_dims(g, bigger, dim, 1) == -1
       && strstr(err.text, "linearly") != NULL, "B * B in a shape: %s",
       err.text);

    ok(infer_value_dims(g, shape, dim, 2) == -1, "too many: %s", err.text);
    ok(infer_value_dims(g, x, dim, 2) == -1, "not constant: %s", err.text);

    infer_graph_close(g);
}


static void
test_residual_block(void)
{
    infer_value_t  *x, *y;

    x = begin(16, 8);
    y = conv(x, 16, 16);
    y = binary(INFER_MUL, y, constant(3, (int64_t[]) { 16, 1, 1 }));
    y = binary(INFER_ADD, y, constant(3, (int64_t[]) { 16, 1, 1 }));
    y = unary(INFER_CLIP, 0, INFINITY, y);
    y = conv(y, 16, 16);
    y = binary(INFER_ADD, y, x);
    y = unary(INFER_CLIP, 0, INFINITY, y);
    end(y);

    optimise("residual block");
    ok(count(INFER_OP_CONV) == 2 && count(INFER_OP_TRANSPOSE) == 1
       && g->n_nodes == 3,
       "normalisation, residual and activations are in the convolutions, one "
       "transpose is left at the output (%zu nodes)", g->n_nodes);
    infer_graph_close(g);
}


static void
test_two_products(void)
{
    infer_value_t  *x, *a, *b;

    x = begin(16, 8);
    a = conv(x, 16, 16);
    b = conv(x, 16, 16);
    end(unary(INFER_CLIP, 0, 6, binary(INFER_ADD, a, b)));

    optimise("sum of two convolutions");
    ok(g->n_nodes == 3, "the later one takes the other as its residual");
    infer_graph_close(g);
}


/* What is written over an operand, and what must not be. */
static void
test_overwriting(void)
{
    int             good = 1;
    float           a, *y;
    size_t          n;
    infer_value_t  *x, *v, *w, *flat;

    x = begin(16, 8);
    v = unary(INFER_ABS, 0, 0, x);
    w = binary(INFER_MUL, v, x);
    flat = reshape(w, 2, (infer_dim_t[]) { batch, infer_dim(1024) });
    flat = reshape(flat, 4, (infer_dim_t[]) { batch, infer_dim(16),
                                              infer_dim(8), infer_dim(8) });
    w = unary(INFER_NEG, 0, 0, binary(INFER_ADD, flat, w));
    end(binary(INFER_ADD, w, v));

    y = compute(2, &n);

    for (size_t i = 0; i < n; i++) {
        a = (float) (i * 2654435761u % 1000) / 500 - 1;
        good = good && y[i] == fabsf(a) - 2 * (fabsf(a) * a);
    }

    ok(good && n == 2048, "elementwise operators over their operands");
    free(y);
    infer_graph_close(g);
}


static void
test_dense_block(void)
{
    infer_param_t   axis = { .axis = { 1 } };
    infer_value_t  *x, *y, *z;

    x = begin(16, 8);
    y = conv(x, 16, 16);
    z = emit(INFER_OP_CONCAT, &axis, x, y, NULL);
    z = binary(INFER_MUL, z, constant(3, (int64_t[]) { 32, 1, 1 }));
    z = binary(INFER_ADD, constant(3, (int64_t[]) { 32, 1, 1 }), z);
    z = conv(unary(INFER_CLIP, 0, INFINITY, z), 32, 16);
    z = emit(INFER_OP_CONCAT, &axis, y, z, NULL);
    z = binary(INFER_ADD, z, constant(3, (int64_t[]) { 1, 1, 1 }));
    end(binary(INFER_MUL, z, constant(3, (int64_t[]) { 32, 1, 1 })));

    optimise("dense block");
    ok(count(INFER_OP_AFFINE) == 1 && count(INFER_OP_CONCAT) == 1
       && count(INFER_OP_BINARY) == 2,
       "concatenation, factor, offset and activation are one node; what is "
       "added before it is multiplied stays");
    infer_graph_close(g);
}


/* As Inception's input is turned into another normalisation. */
static void
test_planes(void)
{
    infer_param_t         axis = { .axis = { 1 } };
    infer_value_t        *x, *plane[3];
    static const int64_t  index[2][3] = { { 0, 1, 2 }, { 0, 2, 1 } };

    for (int k = 0; k < 2; k++) {
        x = begin(3, 8);

        for (int i = 0; i < 3; i++) {
            plane[i] = infer_graph_constant(g, "i", INFER_I64, 0, NULL,
                                            &index[k][i]);
            plane[i] = emit(INFER_OP_GATHER, &axis, x, plane[i], NULL);
            plane[i] = reshape(plane[i], 4,
                               (infer_dim_t[]) { batch, infer_dim(1),
                                                 infer_dim(8),
                                                 infer_dim(8) });
            plane[i] = binary(INFER_MUL, plane[i],
                              infer_graph_scalar(g, 0.5f + (float) i));
            plane[i] = binary(INFER_ADD, plane[i],
                              infer_graph_scalar(g, 0.25f - (float) i));
        }

        x = emit(INFER_OP_CONCAT, &axis, plane[0], plane[1], plane[2]);
        end(conv(x, 3, 16));

        optimise(k == 0 ? "planes in order" : "planes in another order");
        ok((count(INFER_OP_GATHER) == 0) == (k == 0),
           "%zu nodes", g->n_nodes);
        infer_graph_close(g);
    }
}


static void
test_channel_shuffle(void)
{
    infer_param_t   p = { .transpose = { { 0, 2, 1, 3, 4 } } };
    infer_value_t  *x, *y;

    x = begin(16, 6);
    y = conv(x, 16, 16);
    y = reshape(y, 5, (infer_dim_t[]) { batch, infer_dim(2), infer_dim(8),
                                        infer_dim(6), infer_dim(6) });
    y = emit(INFER_OP_TRANSPOSE, &p, y, NULL, NULL);
    y = reshape(y, 4, (infer_dim_t[]) { batch, infer_dim(16), infer_dim(6),
                                        infer_dim(6) });
    end(conv(y, 16, 16));

    optimise("channel shuffle");
    ok(count(INFER_OP_TRANSPOSE) == 2,
       "the shuffle is one transpose inside channels-last");
    infer_graph_close(g);
}


static void
test_gate(void)
{
    infer_param_t   mean = { .reduce = { INFER_REDUCE_MEAN, 12, 1 } };
    infer_param_t   axis = { .axis = { 1 } };
    infer_value_t  *x, *y, *s;

    x = begin(16, 6);
    y = conv(x, 16, 16);
    y = binary(INFER_MUL, y, unary(INFER_SIGMOID, 0, 0, y));
    s = emit(INFER_OP_REDUCE, &mean, y, NULL, NULL);
    s = unary(INFER_HARDSIGMOID, 1.0f / 6, 0.5f, conv(s, 16, 16));
    y = binary(INFER_MUL, y, s);
    y = emit(INFER_OP_CONCAT, &axis, y, x, NULL);
    y = unary(INFER_CLIP, -1, 1, y);
    mean.reduce.keepdims = 0;
    end(emit(INFER_OP_REDUCE, &mean, y, NULL, NULL));

    optimise("squeeze and excite");
    ok(count(INFER_OP_TRANSPOSE) == 0, "no transpose is left");
    ok(count(INFER_OP_BINARY) == 1 && count(INFER_OP_CONV) == 2,
       "SiLU and the gate's activation are in the convolutions");
    infer_graph_close(g);

    for (int taps = 1; taps <= 3; taps += 2) {
        mean.reduce.keepdims = 1;
        x = conv(begin(16, 6), 16, 16);
        s = emit(INFER_OP_REDUCE, &mean, x, NULL, NULL);
        end(conv_of(binary(INFER_MUL, s, x), 16, 16, taps));

        optimise("a gate in front of a convolution");
        ok(count(INFER_OP_BINARY) == (taps == 3),
           "a window of %d is fed by a product with the gate: %s", taps,
           taps == 3 ? "a node" : "its own");
        infer_graph_close(g);
    }
}


static void
test_patterns(void)
{
    int64_t         n = 16;
    infer_param_t   mean = { .reduce = { INFER_REDUCE_MEAN, 4, 1 } };
    infer_value_t  *x, *y, *d, *v;

    x = begin(16, 6);
    x = reshape(transpose(x, 0, 2, 3, 1), 3,
                (infer_dim_t[]) { batch, infer_dim(36), infer_dim(16) });

    d = binary(INFER_SUB, x, emit(INFER_OP_REDUCE, &mean, x, NULL, NULL));
    v = binary(INFER_POW, d, infer_graph_scalar(g, 2));
    v = emit(INFER_OP_REDUCE, &mean, v, NULL, NULL);
    v = unary(INFER_SQRT, 0, 0,
              binary(INFER_ADD, v, infer_graph_scalar(g, 1e-5f)));
    y = binary(INFER_DIV, d, v);
    y = binary(INFER_MUL, y, constant(1, &n));
    y = binary(INFER_ADD, y, constant(1, &n));

    v = unary(INFER_ERF, 0, 0,
              binary(INFER_DIV, y, infer_graph_scalar(g, 1.41421356f)));
    v = binary(INFER_MUL, y, binary(INFER_ADD, v, infer_graph_scalar(g, 1)));
    end(binary(INFER_MUL, v, infer_graph_scalar(g, 0.5f)));

    optimise("layer normalisation and GELU");
    ok(count(INFER_OP_LAYERNORM) == 1 && count(INFER_OP_UNARY) == 1
       && count(INFER_OP_BINARY) == 0,
       "one node each (%zu nodes)", g->n_nodes);
    infer_graph_close(g);
}


static void
test_factor(void)
{
    infer_param_t   p = { .matmul = { 0, 0, 0.5f } };
    infer_value_t  *x, *y;

    x = begin(16, 6);
    y = binary(INFER_DIV, x, infer_graph_scalar(g, 4));
    y = transpose(binary(INFER_MUL, y, infer_graph_scalar(g, 3)), 0, 1, 3, 2);
    end(emit(INFER_OP_MATMUL, &p, y, x, NULL));

    optimise("factors of an operand of a product");
    ok(count(INFER_OP_BINARY) == 0, "they are the product's");
    infer_graph_close(g);

    x = begin(16, 6);
    y = binary(INFER_MUL, x, infer_graph_scalar(g, 3));
    end(emit(INFER_OP_MATMUL, &p, y, unary(INFER_CLIP, 0, 1, y), NULL));

    optimise("a factor that others need");
    ok(count(INFER_OP_BINARY) == 1, "stays");
    infer_graph_close(g);
}


/* Zeros around a pool, which may have padding of its own. */
static infer_value_t *
padded_pool(infer_value_t *x, int average, int own, int counted, int ceil)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));
    p.pad.before[1] = p.pad.after[1] = p.pad.after[2] = 1;
    x = emit(INFER_OP_PAD, &p, transpose(x, 0, 2, 3, 1), NULL, NULL);

    memset(&p, 0, sizeof(p));
    p.pool.average = average;
    p.pool.count_include_pad = counted;
    p.pool.ceil = ceil;

    for (int i = 0; i < 3; i++) {
        p.pool.window.kernel[i] = i == 0 ? 1 : 3;
        p.pool.window.stride[i] = i == 0 ? 1 : 2;
        p.pool.window.dilation[i] = 1;
        p.pool.window.before[i] = i > 0 ? own : 0;
    }

    return transpose(emit(INFER_OP_POOL, &p, x, NULL, NULL), 0, 3, 1, 2);
}


static void
test_padded_pool(void)
{
    static const struct {
        int  average, own, counted, ceil, absorbed;
    } cases[] = {
        { 1, 0, 0, 0, 1 }, { 1, 0, 1, 0, 1 }, { 1, 1, 1, 0, 1 },
        { 1, 1, 0, 0, 0 }, { 1, 2, 1, 0, 0 }, { 1, 0, 1, 1, 0 },
        { 0, 0, 0, 0, 0 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        end(padded_pool(begin(5, 8), cases[i].average, cases[i].own,
                        cases[i].counted, cases[i].ceil));
        optimise("a padded pool");
        ok(count(INFER_OP_PAD) == !cases[i].absorbed,
           "padding is %s", cases[i].absorbed ? "the pool's" : "left alone");
        infer_graph_close(g);
    }
}


/* Large constants that were bytes, by columns: floats only when asked for. */
static void
test_put_off(void)
{
    enum { ROWS = 96, COLUMNS = 512 };
    int             right = 1;
    int8_t         *q;
    float          *scale, x;
    int64_t         dim[] = { ROWS, COLUMNS };
    infer_param_t   p = { .transpose = { .perm = { 1, 0 } } };
    infer_value_t  *v, *moved, *negative;

    (void) begin(3, 4);
    q = infer_graph_alloc(g, ROWS * COLUMNS);
    scale = infer_graph_alloc(g, ROWS * sizeof(float));

    for (int i = 0; i < ROWS * COLUMNS; i++) {
        q[i] = (int8_t) (i * 7 % 255 - 127);
        scale[i / COLUMNS] = 0.1f * (float) (i / COLUMNS + 1);
    }

    v = emit(INFER_OP_DEQUANTIZE, &(infer_param_t) { .quantize = { 0 } },
             infer_graph_constant(g, "q", INFER_I8, 2, dim, q),
             infer_graph_constant(g, "scale", INFER_F32, 1, dim, scale),
             NULL);
    moved = emit(INFER_OP_TRANSPOSE, &p, v, NULL, NULL);
    ok(moved->data == v->data && infer_value_is_constant(moved),
       "neither is there yet, dequantized or transposed");

    negative = unary(INFER_NEG, 0, 0, moved);
    end(v);
    ok(infer_graph_fill(g) == 0 && moved->data != v->data,
       "who takes one gets it");

    for (int i = 0; i < ROWS * COLUMNS; i++) {
        x = (float) q[i] * scale[i / COLUMNS];
        right = right && ((const float *) v->data)[i] == x
                && ((const float *) negative->data)[i % COLUMNS * ROWS
                                                    + i / COLUMNS] == -x;
    }

    ok(right, "and its floats are right");
    infer_graph_close(g);
}


static void
test_refusals(void)
{
    infer_param_t   p = { .shape = { .rank = 1, .dim = { { 5, 0 } } } };
    infer_value_t  *x;

    x = begin(3, 4);
    ok(infer_graph_emit1(g, INFER_OP_RESHAPE, &p, "node", &x, 1) == NULL
       && strstr(err.text, "test: node \"node\"") != NULL, "%s", err.text);
    infer_graph_close(g);
}


static void
test_arena(void)
{
    size_t            small, deep;
    infer_value_t    *x;
    infer_model_t    *m;
    infer_session_t  *s;
    void             *mem;

    small = 0;
    deep = 0;

    for (int layers = 2; layers <= 16; layers += 14) {
        x = begin(16, 32);

        for (int i = 0; i < layers; i++) {
            x = conv(x, 16, 16);
        }

        end(x);
        infer_pass_layout(g);
        infer_pass_sweep(g);

        mem = aligned_alloc(64, (infer_graph_model_size(g) + 63) / 64 * 64);
        m = infer_model_build(g, mem, &err);
        s = infer_session_create(m, 1, 1, &err);

        small = layers == 2 ? infer_session_bytes(s) : small;
        deep = infer_session_bytes(s);

        infer_session_free(s);
        free(mem);
        infer_graph_close(g);
    }

    ok(deep < small + 64 * 1024,
       "16 layers need no more memory than 2 (%zu, %zu bytes)", deep, small);
}


int
main(void)
{
    test_dims();
    test_residual_block();
    test_two_products();
    test_overwriting();
    test_dense_block();
    test_planes();
    test_channel_shuffle();
    test_gate();
    test_patterns();
    test_factor();
    test_padded_pool();
    test_put_off();
    test_refusals();
    test_arena();

    return done();
}
