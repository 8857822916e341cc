/*
 * The pass for integers: which operators on bytes it makes of what stands
 * between dequantize and quantize, what it leaves alone, and that the graph
 * computes the same before and after it, to a quantization step.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/model.h"
#include "passes/passes.h"
#include "build.h"
#include "tap.h"


static uint32_t  seed;


/* ---- graphs ----------------------------------------------------------- */

static int
random_byte(void)
{
    seed = seed * 1664525u + 1013904223u;

    return (int) (seed >> 24);
}


/* Integers: low + the random bytes that `mask` lets through. */
static infer_value_t *
integers(infer_dtype_t dtype, int rank, const int64_t *dim, int low, int mask)
{
    int     x;
    char   *data;
    size_t  n = 1, size = infer_dtype_size(dtype);

    for (int i = 0; i < rank; i++) {
        n *= (size_t) dim[i];
    }

    data = infer_graph_alloc(g, n * size);

    for (size_t i = 0; i < n; i++) {
        x = low + (random_byte() & mask);
        memcpy(data + i * size, &x, size);
    }

    return infer_graph_constant(g, "integers", dtype, rank, dim, data);
}


static infer_value_t *
number(infer_dtype_t dtype, int x)
{
    return integers(dtype, 0, NULL, x, 0);
}


static infer_value_t *
scales(int64_t n, float least)
{
    float  *x = infer_graph_alloc(g, (size_t) n * sizeof(float));

    for (int64_t i = 0; i < n; i++) {
        x[i] = least * (float) (i % 7 + 1);
    }

    return infer_graph_constant(g, "scales", INFER_F32, 1, &n, x);
}


static infer_value_t *
dequantized(infer_value_t *q, infer_value_t *scale, infer_value_t *zero,
    int axis)
{
    infer_param_t  p = { .quantize = { .axis = axis } };

    return emit(INFER_OP_DEQUANTIZE, &p, q, scale, zero);
}


static infer_value_t *
quantized(infer_value_t *x, infer_dtype_t dtype, float scale, int zero)
{
    infer_param_t  p = { .quantize = { .dtype = dtype } };

    return emit(INFER_OP_QUANTIZE, &p, x, infer_graph_scalar(g, scale),
                number(dtype, zero));
}


/* What a calibrated layer leaves: quantized, and floats again. */
static infer_value_t *
qdq(infer_value_t *x, infer_dtype_t dtype, float scale, int zero)
{
    return dequantized(quantized(x, dtype, scale, zero),
                       infer_graph_scalar(g, scale), number(dtype, zero), 0);
}


static infer_value_t *
unary(infer_value_t *x, int kind, float a, float b)
{
    infer_param_t  p = { .unary = { kind, a, b } };

    return emit(INFER_OP_UNARY, &p, x, NULL, NULL);
}


static infer_value_t *
moved(infer_op_id_t op, const infer_param_t *p, infer_value_t *x)
{
    return emit(op, p, x, NULL, NULL);
}


/* x (N, 6, 6, 8) by 3x3 weights (out, 8, 3, 3). */
static infer_value_t *
conv(infer_value_t *x, infer_value_t *w, infer_value_t *bias)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));
    p.conv.groups = 1;

    for (int i = 0; i < 3; i++) {
        p.conv.window.kernel[i] = i == 0 ? 1 : 3;
        p.conv.window.stride[i] = 1;
        p.conv.window.dilation[i] = 1;
        p.conv.window.before[i] = i != 0;
        p.conv.window.after[i] = i != 0;
    }

    return emit(INFER_OP_CONV, &p, x, w, bias);
}


/* s8 weights with a scale for each output. */
static infer_value_t *
weights(int64_t out)
{
    int64_t  dim[4] = { out, 8, 3, 3 };

    return dequantized(integers(INFER_I8, 4, dim, -128, 255),
                       scales(out, 0.001f), number(INFER_I8, 0), 0);
}


/* An int32 bias whose scale is x's, 0.02, times the weights'. */
static infer_value_t *
bias(int64_t out, int least)
{
    int64_t         n = out;
    infer_value_t  *scale;

    scale = binary(INFER_MUL, scales(out, 0.001f),
                   infer_graph_scalar(g, 0.02f));

    return dequantized(integers(INFER_I32, 1, &n, least, 255), scale, NULL,
                       0);
}


static void
close_graph(void)
{
    if (g != NULL) {
        infer_graph_close(g);
        g = NULL;
    }
}


static infer_value_t *
begin(void)
{
    infer_value_t  *v;

    close_graph();
    seed = 1;
    g = infer_graph_create("test", &err);
    v = infer_graph_value(g, "x", INFER_F32, 4,
                          (infer_dim_t[]) { { 0, 1 }, infer_dim(6),
                                            infer_dim(6), infer_dim(8) });

    g->input = infer_graph_alloc(g, sizeof(*g->input));
    g->n_inputs = 1;
    g->input[0].value = v;
    g->input[0].port = (infer_port_t) { "x", INFER_F32, 4,
                                        { INFER_BATCH, 6, 6, 8 } };

    return v;
}


/* begin() as bytes of scale 0.02. */
static infer_value_t *
begin_bytes(infer_dtype_t dtype)
{
    return qdq(begin(), dtype, 0.02f, dtype == INFER_I8 ? -28 : 100);
}


/* ---- running ---------------------------------------------------------- */

/* The output, bytes as floats, for images `from` to `from + images - 1`. */
static float *
compute(size_t from, size_t images, size_t *n)
{
    void             *mem;
    float            *x, *y;
    size_t            size;
    infer_model_t    *m;
    infer_tensor_t    t;
    infer_session_t  *s;

    infer_pass_sweep(g);
    infer_graph_fill(g);

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
    size = infer_numel(&t) / images;

    for (size_t i = 0; i < infer_numel(&t); i++) {
        x[i] = (float) ((i + from * size) * 2654435761u % 1000) / 250 - 2;
    }

    infer_session_set_input(s, 0, x);
    infer_session_run(s, NULL);
    infer_session_output_tensor(s, 0, &t);

    *n = infer_numel(&t);
    y = malloc(*n * sizeof(float));

    for (size_t i = 0; i < *n; i++) {
        y[i] = t.dtype == INFER_F32 ? ((float *) t.data)[i]
               : t.dtype == INFER_I8 ? (float) ((int8_t *) t.data)[i]
               : (float) ((uint8_t *) t.data)[i];
    }

    free(x);
    infer_session_free(s);
    free(mem);

    return y;
}


/*
 * Runs the passes that infer_graph_open runs; the result stays as it was but
 * for `step`, and nearly all of it to 1e-5.
 */
static void
lower(const char *what, infer_value_t *out, float step)
{
    float   *before, *after, worst = 0, largest = 0, d;
    size_t   n, m, off = 0;

    end(out);

    if (infer_pass_layout(g) != 0 || infer_pass_sweep(g) != 0
        || infer_pass_patterns(g) != 0 || infer_pass_fuse(g) != 0
        || infer_pass_affine(g) != 0)
    {
        ok(0, "%s: %s", what, err.text);
        exit(1);
    }

    before = compute(0, 3, &n);

    if (infer_pass_integer(g) != 0) {
        ok(0, "%s: %s", what, err.text);
        exit(1);
    }

    after = compute(0, 3, &m);

    for (size_t i = 0; i < n && n == m; i++) {
        d = fabsf(before[i] - after[i]);
        worst = fmaxf(worst, d);
        largest = fmaxf(largest, fabsf(before[i]));
        off += !(d <= 1e-5f * (fabsf(before[i]) + 1));
    }

    ok(n == m && n > 0 && largest > 0
       && worst <= step + 1e-5f * (largest + 1) && off <= n / 200,
       "%s: same result (%g of %g, %zu of %zu)", what, (double) worst,
       (double) largest, off, n);

    free(before);
    free(after);
}


/* ---- products --------------------------------------------------------- */

static void
test_conv(void)
{
    static const infer_dtype_t  dtypes[] = { INFER_U8, INFER_I8 };

    for (int i = 0; i < 2; i++) {
        infer_dtype_t        t = dtypes[i];
        infer_value_t       *x = begin_bytes(t);
        const infer_node_t  *node;

        x = conv(x, weights(20), bias(20, -100));
        x = unary(x, INFER_CLIP, 0, INFINITY);
        x = qdq(x, t, 0.05f, t == INFER_I8 ? -128 : 0);
        lower(infer_dtype_name(t), x, 0.05f);

        node = first(INFER_OP_QCONV);
        ok(g->n_nodes == 3 && count(INFER_OP_QUANTIZE) == 1
           && count(INFER_OP_DEQUANTIZE) == 1, "quantize, qconv, dequantize");
        ok(node->param.qconv.zero == 100
           && node->param.qconv.end.dtype == INFER_U8
           && node->param.qconv.end.out.zero == 0
           && node->param.qconv.end.act.kind == INFER_CLIP,
           "zero points are those of u8");
        ok(node->in[2]->dtype == INFER_I32, "the bias is still int32");
    }
}


/* A byte output keeps its type; what else takes it has u8. */
static void
test_border(void)
{
    infer_value_t  *x = begin_bytes(INFER_I8);

    x = quantized(conv(x, weights(20), NULL), INFER_I8, 0.05f, 3);
    lower("an i8 output", x, 1);
    ok(g->output[0].value->dtype == INFER_I8 && count(INFER_OP_TABLE) == 1
       && count(INFER_OP_QCONV) == 1, "a table gives it");

    x = begin();
    x = quantized(x, INFER_I8, 0.02f, -28);
    x = conv(dequantized(x, infer_graph_scalar(g, 0.02f),
                         number(INFER_I8, -28), 0), weights(20), NULL);
    lower("floats behind", x, 1e-4f);
    ok(first(INFER_OP_QCONV)->param.qconv.end.dtype == INFER_F32
       && g->n_nodes == 2, "qconv gives floats");
}


static void
test_weights(void)
{
    int64_t         dim[4] = { 20, 8, 3, 3 };
    infer_value_t  *x, *w;

    x = begin_bytes(INFER_U8);
    w = dequantized(integers(INFER_U8, 4, dim, 0, 255),
                    infer_graph_scalar(g, 0.001f), number(INFER_U8, 128), 0);
    x = qdq(conv(x, w, NULL), INFER_U8, 0.05f, 128);
    lower("u8 weights around 128", x, 0.05f);
    ok(count(INFER_OP_QCONV) == 1
       && first(INFER_OP_QCONV)->in[1]->dtype == INFER_I8, "become s8");

    x = begin_bytes(INFER_U8);
    w = dequantized(integers(INFER_U8, 4, dim, 0, 255),
                    infer_graph_scalar(g, 0.001f), number(INFER_U8, 3), 0);
    x = qdq(conv(x, w, NULL), INFER_U8, 0.4f, 0);
    lower("u8 weights around 3", x, 0);
    ok(count(INFER_OP_QCONV) == 0 && count(INFER_OP_CONV) == 1,
       "stay floats");

    x = begin_bytes(INFER_U8);
    w = dequantized(integers(INFER_I8, 4, dim, -128, 255), scales(8, 0.001f),
                    NULL, 1);
    x = qdq(conv(x, w, NULL), INFER_U8, 0.05f, 128);
    lower("scales of the input channels", x, 0);
    ok(count(INFER_OP_QCONV) == 0 && count(INFER_OP_CONV) == 1,
       "stay floats");

    x = begin_bytes(INFER_U8);
    x = conv(x, weights(20), bias(20, -100));
    x = binary(INFER_MUL, x, scales(20, 0.2f));
    x = binary(INFER_ADD, x, scales(20, 0.1f));
    lower("batch normalisation behind", qdq(x, INFER_U8, 0.05f, 128), 0.05f);
    ok(g->n_nodes == 3
       && first(INFER_OP_QCONV)->in[2]->dtype == INFER_F32,
       "is in scale and bias");

    x = begin_bytes(INFER_U8);
    x = conv(x, weights(20), bias(20, INT32_MAX - 1000));
    lower("a bias near the largest int32", x, 8);
    ok(first(INFER_OP_QCONV)->in[2]->dtype == INFER_F32,
       "is added as a float");
}


static void
test_residual(void)
{
    infer_value_t  *x, *r;

    x = begin_bytes(INFER_U8);
    r = qdq(x, INFER_U8, 0.03f, 50);
    x = binary(INFER_ADD, conv(x, weights(8), NULL), r);
    x = qdq(unary(x, INFER_CLIP, 0, INFINITY), INFER_U8, 0.05f, 0);
    lower("a residual of bytes", x, 0.05f);
    ok(count(INFER_OP_QBINARY) == 0
       && first(INFER_OP_QCONV)->param.qconv.end.residual.zero == 50
       && first(INFER_OP_QCONV)->in[4]->dtype == INFER_U8,
       "is added in the convolution");

    x = begin();
    r = unary(x, INFER_SIGMOID, 0, 0);
    x = qdq(x, INFER_U8, 0.02f, 100);
    x = binary(INFER_ADD, conv(x, weights(8), NULL), r);
    x = qdq(unary(x, INFER_CLIP, 0, INFINITY), INFER_U8, 0.05f, 0);
    lower("a residual of floats", x, 0.05f);
    ok(first(INFER_OP_QCONV)->param.qconv.end.dtype == INFER_F32
       && first(INFER_OP_BINARY)->param.binary.act.kind == INFER_CLIP,
       "is added behind it, before the activation");
}


static infer_value_t *
rows(infer_value_t *x, int64_t n)
{
    infer_param_t  p = { .shape = { 2, { { 0, 1 }, infer_dim(n) } } };

    return moved(INFER_OP_RESHAPE, &p, x);
}


static void
test_fc(void)
{
    int64_t         dim[2] = { 288, 20 }, deep[2] = { 65800, 3 };
    infer_dim_t     wide = infer_dim(65800);
    infer_param_t   p;
    infer_value_t  *x, *w;

    memset(&p, 0, sizeof(p));

    x = rows(begin_bytes(INFER_U8), 288);
    w = dequantized(integers(INFER_I8, 2, dim, -128, 255),
                    scales(20, 0.0005f), NULL, 1);
    x = qdq(emit(INFER_OP_FC, &p, x, w, NULL), INFER_U8, 0.05f, 128);
    lower("a fully connected layer", x, 0.05f);
    ok(count(INFER_OP_QFC) == 1 && count(INFER_OP_FC) == 0
       && count(INFER_OP_DEQUANTIZE) == 1, "on bytes that were reshaped");

    p.shape.rank = 2;
    p.shape.dim[0] = (infer_dim_t) { 0, 288 };
    p.shape.dim[1] = infer_dim(1);
    x = moved(INFER_OP_RESHAPE, &p, begin_bytes(INFER_U8));
    p.shape.dim[1] = wide;
    x = moved(INFER_OP_EXPAND, &p, x);
    memset(&p, 0, sizeof(p));
    w = dequantized(integers(INFER_I8, 2, deep, -1, 1),
                    infer_graph_scalar(g, 1e-4f), NULL, 0);
    lower("sums of 65800", emit(INFER_OP_FC, &p, x, w, NULL), 0);
    ok(count(INFER_OP_QFC) == 0 && count(INFER_OP_FC) == 1, "stay floats");
}


/* ---- element by element, and moves ------------------------------------ */

static void
test_tables(void)
{
    infer_value_t  *x, *y;

    x = begin_bytes(INFER_U8);
    y = unary(binary(INFER_ADD, x, infer_graph_scalar(g, 3)), INFER_CLIP, 0,
              6);
    y = binary(INFER_DIV, binary(INFER_MUL, x, y), infer_graph_scalar(g, 6));
    lower("hard-swish in parts", qdq(y, INFER_I8, 0.02f, -30), 0);
    ok(count(INFER_OP_TABLE) == 1 && g->n_nodes == 3, "is one table");

    x = begin_bytes(INFER_I8);
    y = qdq(unary(x, INFER_SIGMOID, 0, 0), INFER_I8, 1 / 256.0f, -128);
    lower("x times its gate, quantized", qdq(binary(INFER_MUL, x, y),
                                             INFER_I8, 0.02f, -100), 0);
    ok(count(INFER_OP_TABLE) == 1 && g->n_nodes == 3, "is one table");

    x = begin_bytes(INFER_U8);
    lower("floats wanted", unary(x, INFER_SIGMOID, 0, 0), 0);
    ok(count(INFER_OP_TABLE) == 1 && g->n_nodes == 2, "a table gives them");

    x = begin_bytes(INFER_U8);
    lower("the same scale again", qdq(x, INFER_U8, 0.02f, 100), 0);
    ok(g->n_nodes == 2, "is nothing");

    x = begin_bytes(INFER_U8);
    x = qdq(binary(INFER_MUL, x, scales(8, 0.3f)), INFER_U8, 0.05f, 100);
    lower("a factor for each channel", x, 0.05f);
    ok(count(INFER_OP_TABLE) == 0, "is no table");
}


static void
test_sums(void)
{
    int64_t         dim[4] = { 1, 1, 1, 8 };
    infer_param_t   p;
    infer_value_t  *x, *y;

    for (int kind = INFER_ADD; kind <= INFER_MUL; kind++) {
        memset(&p, 0, sizeof(p));
        memcpy(p.transpose.perm, ((int32_t[]) { 0, 2, 1, 3 }),
               4 * sizeof(int32_t));

        x = begin_bytes(INFER_U8);
        y = moved(INFER_OP_TRANSPOSE, &p, x);
        y = qdq(binary(kind, x, y), INFER_U8, 0.04f, 90);
        lower("two tensors", y, 0.04f);
        ok(count(INFER_OP_QBINARY) == 1 && count(INFER_OP_BINARY) == 0,
           "operation %d on bytes", kind);
    }

    x = begin_bytes(INFER_U8);
    y = dequantized(integers(INFER_I8, 4, dim, -128, 255),
                    infer_graph_scalar(g, 0.01f), number(INFER_I8, -3), 0);
    lower("a constant that was bytes", qdq(binary(INFER_MUL, x, y), INFER_U8,
                                           0.04f, 90), 0.04f);
    ok(count(INFER_OP_QBINARY) == 1, "is bytes again");
}


static void
test_moves(void)
{
    infer_param_t   p;
    infer_value_t  *x, *in[2];

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.pool.window.kernel[i] = i == 0 ? 1 : 3;
        p.pool.window.stride[i] = p.pool.window.dilation[i] = 1;
        p.pool.window.before[i] = p.pool.window.after[i] = i != 0;
    }

    x = moved(INFER_OP_POOL, &p, begin_bytes(INFER_I8));
    lower("largest of 3x3", qdq(x, INFER_I8, 0.02f, -28), 0);
    ok(first(INFER_OP_POOL)->in[0]->dtype == INFER_U8 && g->n_nodes == 3,
       "of bytes");

    p.pool.average = 1;
    x = moved(INFER_OP_POOL, &p, begin_bytes(INFER_I8));
    lower("average of 3x3", qdq(x, INFER_I8, 0.013f, -28), 0.013f);
    ok(count(INFER_OP_QPOOL) == 1 && g->n_nodes == 3, "of bytes");

    memset(&p, 0, sizeof(p));
    p.reduce.kind = INFER_REDUCE_MEAN;
    p.reduce.axes = 6;
    x = moved(INFER_OP_REDUCE, &p, begin_bytes(INFER_U8));
    lower("mean of pixels", qdq(x, INFER_U8, 0.01f, 100), 0.01f);
    ok(count(INFER_OP_QPOOL) == 1 && count(INFER_OP_REDUCE) == 0, "of bytes");

    for (int i = 0; i < 2; i++) {
        memset(&p, 0, sizeof(p));
        p.pad.before[1] = p.pad.after[2] = 2;
        p.pad.value = i == 0 ? -2 : 0.01;
        x = moved(INFER_OP_PAD, &p, begin_bytes(INFER_U8));
        lower("padding", qdq(x, INFER_U8, 0.02f, 100), 0);
        ok(first(INFER_OP_PAD)->in[0]->dtype == (i == 0 ? INFER_U8
                                                        : INFER_F32),
           "of what is %sa byte", i == 0 ? "" : "not ");
    }

    memset(&p, 0, sizeof(p));
    p.axis.axis = 3;
    in[0] = begin_bytes(INFER_U8);
    in[1] = qdq(in[0], INFER_U8, 0.01f, 3);
    x = emit(INFER_OP_CONCAT, &p, in[0], in[1], NULL);
    lower("two scales joined", qdq(x, INFER_U8, 0.02f, 100), 0);
    ok(first(INFER_OP_CONCAT)->in[1]->dtype == INFER_U8
       && count(INFER_OP_TABLE) == 2, "as bytes of one");
}


/* ---- what stays as it is ---------------------------------------------- */

static void
test_left_alone(void)
{
    infer_param_t   p = { .quantize = { .axis = 3, .dtype = INFER_U8 } };
    infer_value_t  *x;

    x = begin();
    x = emit(INFER_OP_QUANTIZE, &p, x, scales(8, 0.02f), NULL);
    x = dequantized(x, scales(8, 0.02f), NULL, 3);
    lower("scales for channels", conv(x, weights(20), NULL), 0);
    ok(count(INFER_OP_QCONV) == 0 && count(INFER_OP_QUANTIZE) == 1
       && count(INFER_OP_DEQUANTIZE) == 1, "stay");

    x = qdq(begin(), INFER_U8, -0.02f, 100);
    lower("a negative scale", conv(x, weights(20), NULL), 0);
    ok(count(INFER_OP_QCONV) == 0 && count(INFER_OP_QUANTIZE) == 1, "stays");

    x = begin();
    lower("no bytes at all", unary(x, INFER_SIGMOID, 0, 0), 0);
    ok(g->n_nodes == 1, "nothing happens");
}


/* ---- scales that are computed ----------------------------------------- */

static infer_value_t *
dynamic(infer_value_t *x, int axis)
{
    infer_param_t   p;
    infer_value_t  *out[3];

    memset(&p, 0, sizeof(p));
    p.dynamic_quantize.axis = axis;
    infer_graph_emit(g, INFER_OP_DYNAMIC_QUANTIZE, &p, "node", &x, 1, out, 3);

    return dequantized(out[0], out[1], out[2], axis);
}


static void
test_dynamic(void)
{
    float          *all, *one;
    size_t          n, m;
    int64_t         dim[2] = { 8, 20 };
    infer_param_t   p;
    infer_value_t  *x, *w;

    memset(&p, 0, sizeof(p));

    for (int axis = 1; axis <= 3; axis += 2) {
        x = dynamic(begin(), axis);
        w = dequantized(integers(INFER_I8, 2, dim, -128, 255),
                        scales(20, 0.0005f), NULL, 1);
        x = binary(INFER_ADD, emit(INFER_OP_FC, &p, x, w, NULL),
                   scales(20, 0.1f));
        end(unary(x, INFER_CLIP, 0, INFINITY));

        ok(infer_pass_sweep(g) == 0 && infer_pass_fuse(g) == 0
           && infer_pass_integer(g) == 0
           && count(INFER_OP_QFC) == 1 && count(INFER_OP_FC) == 0
           && count(INFER_OP_DEQUANTIZE) == 0 && count(INFER_OP_UNARY) == 0,
           "a layer with computed scales, axis %d: on bytes", axis);

        all = compute(0, 3, &n);

        for (size_t i = 0; i < 3; i++) {
            one = compute(i, 1, &m);
            ok(n == 3 * m && memcmp(one, all + i * m, m * sizeof(float)) == 0,
               "image %zu has the same bits alone", i);
            free(one);
        }

        free(all);
    }

    x = dynamic(begin(), 1);
    end(conv(x, weights(20), NULL));
    ok(infer_pass_sweep(g) == 0 && infer_pass_integer(g) == 0
       && count(INFER_OP_CONV) == 1 && count(INFER_OP_DEQUANTIZE) == 0
       && count(INFER_OP_DYNAMIC_QUANTIZE) == 1,
       "a convolution with computed scales: floats");
    free(compute(0, 2, &n));
}


/* ---- constants, and the layout pass ----------------------------------- */

static void
test_kept(void)
{
    int64_t               dim[2] = { 6, 10 };
    infer_param_t         p;
    infer_value_t        *w, *v;
    const unsigned char  *a, *b;

    (void) begin();
    memset(&p, 0, sizeof(p));
    w = dequantized(integers(INFER_I8, 2, dim, -128, 255), scales(6, 0.1f),
                    NULL, 0);
    ok(w->data != NULL && w->quantized != NULL && w->quantized->axis == 0,
       "a dequantized constant keeps its integers");

    p.transpose.perm[0] = 1;
    v = moved(INFER_OP_TRANSPOSE, &p, w);
    ok(v->quantized != NULL && v->quantized->axis == 1
       && infer_dim_is(v->quantized->q->dim[0], 10), "so does its transpose");

    a = w->quantized->q->data;
    b = v->quantized->q->data;
    ok(b[3 * 6 + 2] == a[2 * 10 + 3], "with its integers in their places");

    p = (infer_param_t) { .shape = { 3, { infer_dim(6), infer_dim(2),
                                          infer_dim(5) } } };
    v = moved(INFER_OP_RESHAPE, &p, w);
    ok(v->quantized != NULL && v->quantized->axis == 0
       && v->quantized->q->rank == 3, "and a reshape of other dimensions");

    p = (infer_param_t) { .shape = { 1, { infer_dim(60) } } };
    v = moved(INFER_OP_RESHAPE, &p, w);
    ok(v->data != NULL && v->quantized == NULL,
       "not one that takes the dimension apart");
}


static void
test_parts(void)
{
    int64_t         dim[2] = { 4, 3 };
    unsigned char   z;
    const int8_t   *a, *r;
    infer_value_t  *q, *part[2];

    for (int zero = 0; zero < 256; zero += 5) {
        int  same = 1;

        (void) begin();
        q = integers(INFER_U8, 2, dim, 0, 255);
        ((unsigned char *) q->data)[0] = 0;
        ((unsigned char *) q->data)[1] = 255;
        z = (unsigned char) zero;

        infer_weights_i8(g, q, number(INFER_U8, zero), 1, part);
        a = part[0]->data;
        r = part[1] != NULL ? part[1]->data : NULL;

        for (int i = 0; i < 12; i++) {
            same &= ((const unsigned char *) q->data)[i] - z
                    == (r != NULL ? 2 * a[i] + r[i] : a[i]);
        }

        ok(same && (r == NULL) == (zero >= 128 && zero <= 128),
           "weights around %d in %d parts", zero, r != NULL ? 2 : 1);
    }
}


static void
test_layout(void)
{
    infer_param_t   p;
    infer_value_t  *x;

    memset(&p, 0, sizeof(p));
    memcpy(p.transpose.perm, ((int32_t[]) { 0, 3, 1, 2 }),
           4 * sizeof(int32_t));
    x = moved(INFER_OP_TRANSPOSE, &p, begin());

    p = (infer_param_t) { .quantize = { .axis = 1, .dtype = INFER_U8 } };
    x = emit(INFER_OP_QUANTIZE, &p, x, scales(8, 0.02f), NULL);
    x = dequantized(x, scales(8, 0.02f), NULL, 1);

    memset(&p, 0, sizeof(p));
    memcpy(p.transpose.perm, ((int32_t[]) { 0, 2, 3, 1 }),
           4 * sizeof(int32_t));
    lower("between transposes", moved(INFER_OP_TRANSPOSE, &p, x), 0);
    ok(count(INFER_OP_TRANSPOSE) == 0
       && first(INFER_OP_QUANTIZE)->param.quantize.axis == 3
       && first(INFER_OP_DEQUANTIZE)->param.quantize.axis == 3,
       "the scales' dimension moves instead");
}


int
main(void)
{
    void  (*const test[])(void) = {
        test_conv, test_border, test_weights, test_residual, test_fc,
        test_tables, test_sums, test_moves, test_left_alone, test_dynamic,
        test_kept, test_parts, test_layout
    };

    for (size_t i = 0; i < sizeof(test) / sizeof(test[0]); i++) {
        test[i]();
    }

    close_graph();

    return done();
}
