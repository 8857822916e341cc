/*
 * A convolution of single points and a depthwise one as one operator: the
 * bits of the two, for any window, kernels and number of threads; and which
 * pairs the pass joins.
 */

#include "passes/passes.h"
#include "product.h"


enum { SECOND = SCALE, ALL = 2 * SCALE + 1 };

/* x, then weights, bias and scale of the first and of the second. */
typedef struct {
    infer_tensor_t   tensor[ALL];           /* no data: left out */
    infer_param_t    first;
    infer_param_t    second;
} pair_t;


static const infer_unary_t  acts[] = {
    { INFER_NONE, 0, 0 }, { INFER_CLIP, 0, 6 }, { INFER_HARDSWISH, 0, 0 },
    { INFER_SILU, 0, 0 }
};


static void
set(pair_t *p, int i, int rank, const int64_t *dim)
{
    p->tensor[i] = random_tensor(INFER_F32, rank, dim);
}


/* n images of h x w pixels and c channels, widened to d. */
static pair_t
pair_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t d,
    const infer_window_t *window)
{
    pair_t  p = { .first.conv.act = acts[below(4)],
                  .second.conv.act = acts[below(4)] };

    p.first.conv.groups = 1;
    p.second.conv.groups = (int32_t) d;
    p.second.conv.window = *window;

    for (int i = 0; i < 3; i++) {
        p.first.conv.window.kernel[i] = 1;
        p.first.conv.window.stride[i] = 1;
        p.first.conv.window.dilation[i] = 1;
    }

    set(&p, X, 4, (int64_t []) { n, h, w, c });
    set(&p, WEIGHTS, 4, (int64_t []) { d, c, 1, 1 });
    set(&p, SECOND + WEIGHTS, 4, (int64_t []) { d, 1, window->kernel[1],
                                                window->kernel[2] });

    for (int i = 0; i <= SECOND; i += SECOND) {
        for (int k = BIAS; k <= SCALE; k++) {
            if (below(3) > 0) {
                set(&p, i + k, 1, &d);
            }
        }
    }

    return p;
}


static pair_t
random_pair(void)
{
    int64_t         size[3];
    infer_window_t  w = { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 },
                          { 0, 0, 0 }, { 0, 0, 0 } };

    for (int i = 1; i < 3; i++) {
        w.kernel[i] = (int32_t) (1 + below(5));
        w.stride[i] = (int32_t) (1 + below(3));
        w.dilation[i] = (int32_t) (1 + below(3) / 2);
        w.before[i] = (int32_t) below(4);
        w.after[i] = (int32_t) below(4);
        size[i] = (w.kernel[i] - 1) * w.dilation[i] + 1 + below(20);
    }

    return pair_of(1 + below(3), size[1], size[2], 1 + below(40),
                   2 + below(70), &w);
}


static void
free_pair(pair_t *p)
{
    for (int i = 0; i < ALL; i++) {
        free(p->tensor[i].data);
    }
}


static infer_value_t *
value_of(infer_graph_t *g, const pair_t *p, int i)
{
    infer_dim_t            dim[INFER_MAX_RANK];
    const infer_tensor_t  *t = &p->tensor[i];

    if (t->data == NULL) {
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


/* The two convolutions as nodes 0 and 1; the result of the second. */
static infer_value_t *
emit_pair(infer_graph_t *g, const pair_t *p, infer_value_t **in)
{
    infer_value_t  *second[SECOND + 1];

    for (int i = 0; i < ALL; i++) {
        in[i] = value_of(g, p, i);
    }

    memcpy(second, in + SECOND, sizeof(second));
    second[X] = infer_graph_emit1(g, INFER_OP_CONV, &p->first, "first", in,
                                  SECOND + 1);

    return second[X] == NULL ? NULL
           : infer_graph_emit1(g, INFER_OP_CONV, &p->second, "second",
                               second, SECOND + 1);
}


static int
pair_agrees(const pair_t *p)
{
    int                     pass;
    infer_param_t           param = { .strip = { p->first.conv.act,
                                                 p->second.conv } };
    infer_graph_t          *g = infer_graph_create("test", &err);
    infer_value_t          *in[ALL];
    infer_tensor_t          wide, expected, out;
    const infer_tensor_t   *x[ALL] = { &p->tensor[X] };
    const infer_kernels_t  *kernels;

    pass = emit_pair(g, p, in) != NULL
           && infer_graph_emit1(g, INFER_OP_STRIP, &param, "strip", in, ALL);

    if (!pass) {
        printf("# refused: %s\n", err.text);
        infer_graph_close(g);
        return 0;
    }

    kernels = infer_kernels_own(0);
    run_node(g->node[0], x, kernels, NULL, &wide);
    x[X] = &wide;
    run_node(g->node[1], x, kernels, NULL, &expected);
    x[X] = &p->tensor[X];

    for (int i = 0; (kernels = infer_kernels_own((size_t) i / 2)) != NULL;
         i++)
    {
        run_node(g->node[2], x, kernels, i % 2 ? &threads : NULL, &out);
        pass = pass && same_data(&out, &expected);
        free(out.data);
    }

    pass = pass && g->node[2]->op->macs(g->node[2])
                   == g->node[0]->op->macs(g->node[0])
                      + g->node[1]->op->macs(g->node[1]);

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

    for (int i = 0; i < 200; i++) {
        p = random_pair();
        failed += !pair_agrees(&p);
        free_pair(&p);
    }

    ok(failed == 0, "the bits of two convolutions: 200 random pairs");
}


/* ---- the pass --------------------------------------------------------- */

typedef enum { PLAIN, SEEN, RESIDUAL_SUM, DENSE, DILATED, SMALL } kind_t;

/* The nodes that are left of a pair, or 0. */
static size_t
joined(kind_t kind)
{
    size_t              n;
    pair_t              p;
    infer_graph_t      *g = infer_graph_create("test", &err);
    infer_value_t      *in[ALL], *y;
    infer_graph_port_t  output[2];
    infer_window_t      w = { { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 },
                              { 0, 1, 1 }, { 0, 1, 1 } };

    w.dilation[1] = kind == DILATED ? 2 : 1;
    w.before[1] = w.after[1] = w.dilation[1];
    p = pair_of(1, kind == SMALL ? 12 : 60, 60, 8, 40, &w);

    if (kind == DENSE) {
        free(p.tensor[WEIGHTS].data);
        set(&p, WEIGHTS, 4, (int64_t []) { 40, 8, 3, 3 });
        p.first.conv.window = w;
    }

    y = emit_pair(g, &p, in);

    if (kind == RESIDUAL_SUM) {
        g->node[0]->in = infer_graph_alloc(g, OPERANDS * sizeof(*in));
        memcpy(g->node[0]->in, in, (SCALE + 1) * sizeof(*in));
        g->node[0]->in[RESIDUAL] = value_of(g, &p, X);
        g->node[0]->n_in = OPERANDS;
    }

    memset(output, 0, sizeof(output));
    output[0].value = y;
    output[1].value = g->node[0]->out[0];
    g->output = output;
    g->n_outputs = kind == SEEN ? 2 : 1;

    n = infer_pass_sweep(g) == 0 && infer_pass_strip(g) == 0 ? g->n_nodes : 0;
    n = n == 1 && (g->node[0]->id != INFER_OP_STRIP || g->node[0]->out[0] != y)
        ? 0 : n;

    g->n_outputs = 0;
    infer_graph_close(g);
    free_pair(&p);

    return n;
}


static void
test_pass(void)
{
    ok(joined(PLAIN) == 1, "joined: a large result between the two");
    ok(joined(SEEN) == 2, "not joined: it is a result of the graph as well");
    ok(joined(RESIDUAL_SUM) == 2, "not joined: the first adds a residual");
    ok(joined(DENSE) == 2, "not joined: the first has a larger window");
    ok(joined(DILATED) == 2, "not joined: lines that are not neighbours");
    ok(joined(SMALL) == 2, "not joined: a small result between the two");
}


static void
test_refused(void)
{
    int64_t         dims[] = { 1, 9, 9, 4 };
    pair_t          p;
    infer_param_t   param;
    infer_graph_t  *g = infer_graph_create("test", &err);
    infer_value_t  *in[ALL];

    p = random_pair();
    memset(&param, 0, sizeof(param));
    param.strip.conv = p.second.conv;

    for (int i = 0; i < ALL; i++) {
        in[i] = value_of(g, &p, i);
    }

    ok(infer_graph_emit1(g, INFER_OP_STRIP, &param, "n", in, SECOND + 1)
       == NULL && strstr(err.text, "second weights are missing") != NULL,
       "refused: one convolution alone");

    in[SECOND + WEIGHTS] = NULL;
    ok(infer_graph_emit1(g, INFER_OP_STRIP, &param, "n", in, ALL) == NULL
       && strstr(err.text, "second weights are missing") != NULL,
       "refused: no second weights");

    in[SECOND + WEIGHTS] = value_of(g, &p, SECOND + WEIGHTS);
    param.strip.conv.groups = 1;
    ok(infer_graph_emit1(g, INFER_OP_STRIP, &param, "n", in, ALL) == NULL
       && strstr(err.text, "channels") != NULL, "refused: groups that differ");

    free_pair(&p);
    memset(&p, 0, sizeof(p));
    set(&p, X, 4, dims);
    set(&p, WEIGHTS, 4, (int64_t []) { 6, 4, 1, 1 });
    set(&p, SECOND + WEIGHTS, 4, (int64_t []) { 6, 3, 1, 1 });
    param.strip.conv.groups = 2;

    for (int i = 0; i < 3; i++) {
        param.strip.conv.window.kernel[i] = 1;
        param.strip.conv.window.dilation[i] = 1;
        param.strip.conv.window.stride[i] = 1;
        param.strip.conv.window.before[i] = 0;
        param.strip.conv.window.after[i] = 0;
    }

    for (int i = 0; i < ALL; i++) {
        in[i] = value_of(g, &p, i);
    }

    ok(infer_graph_emit1(g, INFER_OP_STRIP, &param, "n", in, ALL) == NULL
       && strstr(err.text, "no depthwise") != NULL,
       "refused: a second that is not depthwise");

    free_pair(&p);
    infer_graph_close(g);
}


int
main(void)
{
    test_bits();
    test_pass();
    test_refused();

    return done();
}
