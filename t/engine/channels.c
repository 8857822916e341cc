/*
 * Removing channels: a net with all that ties channels together (residual,
 * depthwise, gate, concatenation, batch normalisation, flattening), half of
 * whose channels are zero, computes the same bits without them; what cannot be
 * followed is refused by name.
 */

#include "passes/passes.h"
#include "sample.h"
#include "tap.h"


static infer_error_t  err;


/* A constant whose odd outputs (the first dimension) are zero. */
static infer_value_t *
half(sample_t *s, int rank, int64_t a, int64_t b, int64_t c)
{
    float          *x;
    size_t          n = rank > 1 ? (size_t) (b * c * c) : 1;
    infer_value_t  *v = sample_constant(s, rank, a, b, c, c);

    x = (float *) (uintptr_t) v->data;

    for (size_t i = 0; i < (size_t) a * n; i++) {
        x[i] = i / n % 2 ? 0 : x[i];
    }

    return v;
}


/* out = relu(conv(x) + residual), odd channels zero but for the depthwise. */
static void
conv(sample_t *s, int64_t out, int kernel, int64_t groups,
    infer_unary_kind_t act, infer_value_t *residual)
{
    int64_t         in = s->x->dim[3].base;
    infer_param_t   p;
    infer_value_t  *v[5];

    memset(&p, 0, sizeof(p));

    for (int i = 0; i < 3; i++) {
        p.conv.window.kernel[i] = i == 0 ? 1 : kernel;
        p.conv.window.stride[i] = p.conv.window.dilation[i] = 1;
        p.conv.window.before[i] = i == 0 ? 0 : kernel / 2;
        p.conv.window.after[i] = i == 0 ? 0 : kernel / 2;
    }

    p.conv.groups = (int32_t) groups;
    p.conv.act = (infer_unary_t) { act, 0, 6 };

    v[0] = s->x;
    v[1] = groups > 1 ? sample_constant(s, 4, out, 1, kernel, kernel)
                      : half(s, 4, out, in, kernel);
    v[2] = half(s, 1, out, 0, 0);
    v[3] = sample_constant(s, 1, out, 0, 0, 0);
    v[4] = residual;

    s->x = infer_graph_emit1(s->g, INFER_OP_CONV, &p, "conv", v, 5);
}


static void
fc(sample_t *s, int64_t out)
{
    infer_param_t  p;

    memset(&p, 0, sizeof(p));
    sample_emit(s, INFER_OP_FC, &p,
                sample_constant(s, 2, s->x->dim[1].base, out, 0, 0),
                sample_constant(s, 1, out, 0, 0, 0), NULL);
}


/* What comes of x (N, 6, 6, 3); a softmax over channels where `mixed`. */
static infer_graph_t *
net(int mixed)
{
    sample_t           s = { .seed = 7 };
    infer_param_t      p;
    infer_value_t     *stream, *in[4];
    const infer_dim_t  nhwc[4] = { { 0, 1 }, { 6, 0 }, { 6, 0 }, { 3, 0 } };

    s.g = infer_graph_create("net", &err);
    s.g->n_inputs = s.g->n_outputs = 1;
    s.g->input = infer_graph_alloc(s.g, sizeof(*s.g->input));
    s.g->output = infer_graph_alloc(s.g, sizeof(*s.g->output));
    s.x = infer_graph_value(s.g, "x", INFER_F32, 4, nhwc);
    s.g->input[0].value = s.x;
    s.g->input[0].port = (infer_port_t) { "x", INFER_F32, 4,
                                          { INFER_BATCH, 6, 6, 3 } };

    conv(&s, 20, 3, 1, INFER_CLIP, NULL);
    stream = s.x;
    conv(&s, 34, 1, 1, INFER_CLIP, NULL);
    conv(&s, 34, 3, 34, INFER_HARDSWISH, NULL);
    conv(&s, 20, 1, 1, INFER_NONE, stream);
    stream = s.x;

    /* a gate */
    memset(&p, 0, sizeof(p));
    p.reduce.axes = 6;
    p.reduce.keepdims = 1;
    sample_emit(&s, INFER_OP_REDUCE, &p, NULL, NULL, NULL);
    conv(&s, 8, 1, 1, INFER_CLIP, NULL);
    conv(&s, 20, 1, 1, INFER_SIGMOID, NULL);
    memset(&p, 0, sizeof(p));
    p.binary.kind = INFER_MUL;
    sample_emit(&s, INFER_OP_BINARY, &p, stream, NULL, NULL);
    stream = s.x;

    if (mixed) {
        memset(&p, 0, sizeof(p));
        p.lrn.size = 3;
        p.lrn.alpha = p.lrn.beta = p.lrn.bias = 1;
        sample_emit(&s, INFER_OP_LRN, &p, NULL, NULL, NULL);
    }

    conv(&s, 12, 1, 1, INFER_NONE, NULL);

    memset(&p, 0, sizeof(p));
    p.axis.axis = 3;
    sample_emit(&s, INFER_OP_CONCAT, &p, stream, NULL, NULL);

    /* offsets of odd channels would make them more than zero */
    memset(&p, 0, sizeof(p));
    in[0] = sample_constant(&s, 1, 32, 0, 0, 0);
    in[1] = half(&s, 1, 32, 0, 0);
    in[2] = s.x;
    s.x = infer_graph_emit1(s.g, INFER_OP_AFFINE, &p, "affine", in, 3);

    p.binary.kind = INFER_MUL;
    sample_emit(&s, INFER_OP_BINARY, &p,
                sample_constant(&s, 1, 32, 0, 0, 0), NULL, NULL);

    /* flattened as in PyTorch: channel by channel */
    memset(&p, 0, sizeof(p));
    p.transpose.perm[1] = 3;
    p.transpose.perm[2] = 1;
    p.transpose.perm[3] = 2;
    sample_emit(&s, INFER_OP_TRANSPOSE, &p, NULL, NULL, NULL);
    memset(&p, 0, sizeof(p));
    p.shape.rank = 2;
    p.shape.dim[0] = (infer_dim_t) { 0, 1 };
    p.shape.dim[1] = infer_dim(32 * 36);
    sample_emit(&s, INFER_OP_RESHAPE, &p, NULL, NULL, NULL);
    fc(&s, 10);

    s.g->output[0].value = s.x;
    s.g->output[0].port = (infer_port_t) { "y", INFER_F32, 2,
                                           { INFER_BATCH, 10 } };

    return s.g;
}


/* The graph's output on some numbers, and the size of its model. */
static size_t
run(infer_graph_t *g, float *out)
{
    float             x[2 * 36 * 3];
    size_t            size = infer_graph_model_size(g);
    void             *mem = aligned_alloc(64, (size + 63) / 64 * 64);
    uint32_t          seed = 3;
    infer_tensor_t    t;
    infer_session_t  *s;

    for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float) (seed >> 8) / (1 << 24) - 0.5f;
    }

    s = infer_session_create(infer_model_build(g, mem, &err), 2, 1, &err);

    if (s == NULL) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }

    infer_session_set_input(s, 0, x);
    infer_session_run(s, NULL);
    infer_session_output_tensor(s, 0, &t);
    memcpy(out, t.data, 20 * sizeof(float));

    infer_session_free(s);
    free(mem);

    return size;
}


static void
test_same(void)
{
    int              halved = 1;
    float            before[20], after[20];
    size_t           size, smaller;
    infer_graph_t   *g = net(0);
    infer_pruning_t  pruning = { INFER_PRUNE_CHANNELS, 0.5 };

    size = run(g, before);
    ok(infer_pass_prune(g, &pruning) == 0, "half of the channels go%s%s",
       err.text[0] ? ": " : "", err.text);
    smaller = run(g, after);

    ok(memcmp(before, after, sizeof(before)) == 0,
       "those were zeros: the output has the same bits");
    ok(before[0] != before[10] && before[0] != 0, "which depend on the input");
    ok(5 * smaller < 3 * size, "the model is smaller: %zu of %zu", smaller, size);

    for (size_t i = 0; i < g->n_nodes; i++) {
        const infer_node_t   *node = g->node[i];
        const infer_value_t  *w = node->n_in > 1 ? node->in[1] : NULL;

        if (node->id == INFER_OP_CONV) {
            int64_t  n = node->out[0]->dim[3].base;

            halved &= n == 10 || n == 17 || n == 4 || n == 6;
            halved &= w->dim[0].base == n;
        }
    }

    ok(halved, "each convolution has half of its outputs");
    ok(g->output[0].value->dim[1].base == 10
       && g->input[0].value->dim[3].base == 3,
       "input and output are what they were");

    infer_graph_close(g);
}


static void
test_refuses(void)
{
    infer_graph_t   *g = net(1);
    infer_pruning_t  pruning = { INFER_PRUNE_CHANNELS, 0.5 };

    ok(infer_pass_prune(g, &pruning) != 0
       && strstr(err.text, "(lrn): its channels cannot be followed") != NULL,
       "a norm across channels: %s", err.text);

    infer_graph_close(g);
}


int
main(void)
{
    test_same();
    test_refuses();

    return done();
}
