/*
 * A convolution of few channels and the max pool of its result as one
 * operator: the bits of the two, for any windows, kernels and number of
 * threads; and which pairs the pass joins.
 */

#include "passes/passes.h"
#include "product.h"


typedef struct {
    product_t       conv;
    infer_pool_t    pool;
} pair_t;


static const infer_unary_t  acts[] = {
    { INFER_NONE, 0, 0 }, { INFER_CLIP, 0, INFINITY }, { INFER_SILU, 0, 0 }
};


/* n images of h x w pixels and c channels, to o channels. */
static pair_t
pair_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t o,
    const infer_window_t *conv, const infer_window_t *pool)
{
    pair_t   p = { .conv.op = INFER_OP_CONV, .pool.window = *pool };
    int64_t  x[] = { n, h, w, c };
    int64_t  weights[] = { o, c, conv->kernel[1], conv->kernel[2] };

    p.conv.param.conv.window = *conv;
    p.conv.param.conv.groups = 1;
    p.conv.param.conv.act = acts[below(3)];

    set_operand(&p.conv, X, 4, x);
    set_operand(&p.conv, WEIGHTS, 4, weights);

    for (int i = BIAS; i <= SCALE; i++) {
        if (below(3) > 0) {
            set_operand(&p.conv, i, 1, &o);
        }
    }

    return p;
}


/* Channels so many that the lines are kept by pieces, or few. */
static pair_t
random_pair(void)
{
    int             kernel = (int) (2 + below(4));
    pair_t          p;
    int64_t         size[3];
    infer_window_t  w[2];

    for (int k = 0; k < 2; k++) {
        w[k] = (infer_window_t) { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 },
                                  { 0, 0, 0 }, { 0, 0, 0 } };

        for (int i = 1; i < 3; i++) {
            w[k].kernel[i] = (int32_t) (k == 0 && i == 2 ? kernel
                                        : 1 + below(4));
            w[k].stride[i] = (int32_t) (1 + below(4));
            w[k].before[i] = (int32_t) below(w[k].kernel[i]);
            w[k].after[i] = (int32_t) below(w[k].kernel[i]);
        }
    }

    w[0].dilation[1] = (int32_t) (1 + below(2));
    w[1].dilation[2] = (int32_t) (1 + below(2));

    for (int i = 1; i < 3; i++) {
        size[i] = (w[0].kernel[i] - 1) * w[0].dilation[i] + 1
                  + (w[1].kernel[i] - 1) * w[1].dilation[i] * w[0].stride[i]
                  + below(60);
    }

    p = pair_of(1 + below(3), size[1], size[2], 1 + below(64 / kernel),
                1 + below(150), &w[0], &w[1]);
    p.pool.ceil = (int32_t) below(2);

    return p;
}


static infer_value_t *
value_of(infer_graph_t *g, const pair_t *p, int i)
{
    infer_dim_t            dim[INFER_MAX_RANK];
    const infer_tensor_t  *t = operand(&p->conv, i);

    if (t == NULL) {
        return NULL;
    }

    if (i != X) {
        return infer_graph_constant(g, "w", t->dtype, t->rank, t->dim,
                                    t->data);
    }

    for (int d = 0; d < t->rank; d++) {
        dim[d] = infer_dim(t->dim[d]);
    }

    return infer_graph_value(g, "x", t->dtype, t->rank, dim);
}


static infer_param_t
stem_of(const pair_t *p)
{
    infer_param_t  param;

    memset(&param, 0, sizeof(param));
    param.stem.conv = p->conv.param.conv;
    param.stem.pool = p->pool;

    return param;
}


static int
pair_agrees(const pair_t *p)
{
    int                     pass;
    infer_param_t           param = stem_of(p), pool;
    infer_graph_t          *g = infer_graph_create("test", &err);
    infer_value_t          *in[OPERANDS] = { NULL };
    infer_tensor_t          wide, expected, out, *between = &wide;
    const infer_tensor_t   *x[OPERANDS] = { &p->conv.tensor[X] };
    const infer_kernels_t  *kernels;

    memset(&pool, 0, sizeof(pool));
    pool.pool = p->pool;

    for (int i = 0; i <= SCALE; i++) {
        in[i] = value_of(g, p, i);
    }

    if (infer_graph_emit1(g, INFER_OP_STEM, &param, "stem", in, SCALE + 1)
        == NULL)
    {
        printf("# refused: %s\n", err.text);
        infer_graph_close(g);
        return 0;
    }

    run_product(&p->conv, infer_kernels_own(0), NULL, &wide);
    pass = run_op(INFER_OP_POOL, &pool, &between, 1, &expected, 1, 0) == 0;

    for (int i = 0; (kernels = infer_kernels_own((size_t) i / 2)) != NULL;
         i++)
    {
        run_node(g->node[0], x, kernels, i % 2 ? &threads : NULL, &out);
        pass = pass && same_data(&out, &expected);
        free(out.data);
    }

    pass = pass && g->node[0]->op->macs(g->node[0])
                   == (uint64_t) (infer_numel(&p->conv.tensor[WEIGHTS])
                                  * (size_t) (wide.dim[1] * wide.dim[2]));

    free(wide.data);
    free(expected.data);
    infer_graph_close(g);

    return pass;
}


static void
test_bits(void)
{
    int     failed = 0;
    pair_t  p;

    for (int i = 0; i < 60; i++) {
        p = random_pair();
        failed += !pair_agrees(&p);
        free_product(&p.conv);
    }

    ok(failed == 0, "the bits of the two: 60 random pairs");
}


/* ---- the pass --------------------------------------------------------- */

typedef enum { PLAIN, SEEN, AVERAGE, MANY_CHANNELS, DILATED, SMALL } kind_t;

static const infer_window_t  conv_window = {
    { 1, 3, 3 }, { 1, 2, 2 }, { 1, 1, 1 }, { 0, 1, 1 }, { 0, 1, 1 }
};

static const infer_window_t  pool_window = {
    { 1, 3, 3 }, { 1, 2, 2 }, { 1, 1, 1 }, { 0, 1, 1 }, { 0, 1, 1 }
};


/* The nodes that are left of a pair, or 0. */
static size_t
joined(kind_t kind)
{
    size_t              n;
    pair_t              p;
    infer_graph_t      *g = infer_graph_create("test", &err);
    infer_value_t      *in[SCALE + 1], *wide, *y;
    infer_param_t       pool;
    infer_graph_port_t  output[2];

    p = pair_of(1, kind == SMALL ? 20 : 120, 120,
                kind == MANY_CHANNELS ? 40 : 3, 64, &conv_window,
                &pool_window);
    p.pool.average = kind == AVERAGE;
    p.pool.window.dilation[1] = kind == DILATED ? 2 : 1;

    memset(&pool, 0, sizeof(pool));
    pool.pool = p.pool;

    for (int i = 0; i <= SCALE; i++) {
        in[i] = value_of(g, &p, i);
    }

    wide = infer_graph_emit1(g, INFER_OP_CONV, &p.conv.param, "conv", in,
                             SCALE + 1);
    y = infer_graph_emit1(g, INFER_OP_POOL, &pool, "pool", &wide, 1);

    memset(output, 0, sizeof(output));
    output[0].value = y;
    output[1].value = wide;
    g->output = output;
    g->n_outputs = kind == SEEN ? 2 : 1;

    n = infer_pass_sweep(g) == 0 && infer_pass_stem(g) == 0 ? g->n_nodes : 0;
    n = n == 1 && (g->node[0]->id != INFER_OP_STEM || g->node[0]->out[0] != y)
        ? 0 : n;

    g->n_outputs = 0;
    infer_graph_close(g);
    free_product(&p.conv);

    return n;
}


static void
test_pass(void)
{
    ok(joined(PLAIN) == 1, "joined: a large result between the two");
    ok(joined(SEEN) == 2, "not joined: it is a result of the graph as well");
    ok(joined(AVERAGE) == 2, "not joined: an average");
    ok(joined(MANY_CHANNELS) == 2, "not joined: many channels");
    ok(joined(DILATED) == 2, "not joined: lines that are not neighbours");
    ok(joined(SMALL) == 2, "not joined: a small result between the two");
}


static int
stem_refused(pair_t *p, const infer_param_t *param, const char *reason)
{
    infer_tensor_t  *in[SCALE + 1] = {
        &p->conv.tensor[X], &p->conv.tensor[WEIGHTS]
    };

    return refused(INFER_OP_STEM, param, in, SCALE + 1, 1, 1 << WEIGHTS,
                   reason);
}


static void
test_refused(void)
{
    pair_t         p = pair_of(1, 20, 20, 3, 8, &conv_window, &pool_window);
    infer_param_t  param;

    param = stem_of(&p);
    param.stem.pool.average = 1;
    ok(stem_refused(&p, &param, "no maximum"), "refused: an average");

    param = stem_of(&p);
    param.stem.pool.window.dilation[1] = 2;
    ok(stem_refused(&p, &param, "no maximum"), "refused: a dilated pool");

    param = stem_of(&p);
    param.stem.pool.window.kernel[1] = 30;
    ok(stem_refused(&p, &param, "larger than"), "refused: a pool too large");

    param = stem_of(&p);
    param.stem.conv.window.before[2] = 1 << 30;
    param.stem.conv.window.after[2] = 1 << 30;
    ok(stem_refused(&p, &param, "too large"), "refused: a padding too large");

    param = stem_of(&p);
    param.stem.conv.groups = 3;
    ok(stem_refused(&p, &param, "3 groups"), "refused: groups that differ");

    free_product(&p.conv);
    p = pair_of(1, 20, 20, 30, 8, &conv_window, &pool_window);
    param = stem_of(&p);
    ok(stem_refused(&p, &param, "few channels"), "refused: many channels");

    free_product(&p.conv);
}


int
main(void)
{
    test_bits();
    test_pass();
    test_refused();

    return done();
}
