/*
 * Winograd's convolution against the direct one: every tail of height, width
 * and channels, all paddings, residual and activations; the bits that must
 * not depend on batch, threads or instruction set; and which layers a budget
 * buys.
 */

#include "passes/passes.h"
#include "product.h"


static void
set_window(product_t *p, const int *pad)
{
    infer_window_t  *w = &p->param.conv.window;

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = i ? 3 : 1;
        w->stride[i] = w->dilation[i] = 1;
        w->before[i] = i ? pad[i - 1] : 0;
        w->after[i] = i ? pad[i + 1] : 0;
    }

    p->op = INFER_OP_CONV;
    p->param.conv.groups = 1;
}


/* pad: above, left, below, right */
static product_t
conv_of(int64_t n, int64_t h, int64_t width, int64_t c, int64_t o,
    const int *pad)
{
    product_t  p = { .op = INFER_OP_CONV };

    set_window(&p, pad);
    set_operand(&p, X, 4, (int64_t[]) { n, h, width, c });
    set_operand(&p, WEIGHTS, 4, (int64_t[]) { o, c, 3, 3 });

    return p;
}


static void
set_rest(product_t *p, int bias, int scale, int residual, infer_unary_t act)
{
    const infer_tensor_t  *x = operand(p, X), *w = operand(p, WEIGHTS);
    const infer_window_t  *v = &p->param.conv.window;
    const int64_t          dim[] = {
        x->dim[0], x->dim[1] + v->before[1] + v->after[1] - 2,
        x->dim[2] + v->before[2] + v->after[2] - 2, w->dim[0]
    };

    if (bias) {
        set_operand(p, BIAS, 1, w->dim);
    }

    if (scale) {
        set_operand(p, SCALE, 1, w->dim);
    }

    if (residual) {
        set_operand(p, RESIDUAL, 4, dim);
    }

    p->param.conv.act = act;
}


/* Within 1e-5 of the largest result, the same bits everywhere, and whenever
   the weights are transformed. */
static int
agrees(product_t *p)
{
    int             pass;
    double          largest = 0, error = 0;
    infer_tensor_t  direct, out, late;

    p->param.conv.winograd = 0;
    run_product(p, infer_kernels(), NULL, &direct);

    p->param.conv.winograd = INFER_WINOGRAD_LATE;
    run_product(p, infer_kernels(), NULL, &late);
    pass = same_everywhere(p, &late);

    p->param.conv.winograd = INFER_WINOGRAD_EARLY;
    run_product(p, infer_kernels(), NULL, &out);

    pass = pass && same_everywhere(p, &out)
           && infer_numel(&out) == infer_numel(&direct)
           && infer_numel(&out) == infer_numel(&late)
           && memcmp(out.data, late.data,
                     infer_numel(&out) * sizeof(float)) == 0;

    for (int64_t i = 0; pass && i < (int64_t) infer_numel(&out); i++) {
        largest = fmax(largest, fabs((double) get(&direct, i)));
        error = fmax(error, fabs((double) get(&out, i)
                                 - (double) get(&direct, i)));
        pass = !isnan(get(&out, i));
    }

    if (error > 1e-5 * (largest + 1)) {
        printf("# error %g of %g\n", error, largest);
        pass = 0;
    }

    free(direct.data);
    free(out.data);
    free(late.data);

    return pass;
}


static void
test_sizes(void)
{
    int        failed = 0;
    product_t  p;
    const int  pads[][4] = { { 0, 0, 0, 0 }, { 1, 1, 1, 1 }, { 0, 1, 2, 3 } };

    for (int h = 3; h <= 11; h++) {
        for (int w = 3; w <= 11; w++) {
            p = conv_of(1, h, w, 1 + below(40), 1 + below(70),
                        pads[(h + w) % 3]);
            set_rest(&p, h % 2, w % 2, (h + w) % 2,
                     (infer_unary_t) { INFER_CLIP, 0, INFINITY });
            failed += !agrees(&p);
            free_product(&p);
        }
    }

    ok(failed == 0, "every tail of height and width, three paddings");
}


static void
test_channels(void)
{
    int        failed = 0;
    product_t  p;
    const int  pad[] = { 1, 1, 1, 1 };

    for (int c = 1; c <= 33; c++) {
        p = conv_of(2, 6, 5, c, 82 - 2 * c, pad);
        set_rest(&p, 1, c % 2, c % 3 == 0, (infer_unary_t) { 0 });
        failed += !agrees(&p);
        free_product(&p);
    }

    ok(failed == 0, "every tail of channels in and out");
}


static void
test_activations(void)
{
    product_t  p;
    const int  pad[] = { 1, 0, 1, 0 };

    for (int kind = INFER_NONE; kind < INFER_TANH; kind++) {
        p = conv_of(1, 7, 8, 20, 24, pad);
        set_rest(&p, 1, 1, kind % 2, (infer_unary_t) { kind, 0.2f, 0.5f });
        ok(agrees(&p), "activation %d", kind);
        free_product(&p);
    }
}


/* Several blocks, by few and by many weights. */
static void
test_blocks(void)
{
    product_t  p;
    const int  pad[] = { 1, 1, 1, 1 };

    p = conv_of(1, 41, 39, 64, 64, pad);
    set_rest(&p, 1, 1, 1, (infer_unary_t) { INFER_CLIP, 0, INFINITY });
    ok(agrees(&p), "several blocks of tiles");
    free_product(&p);

    p = conv_of(3, 15, 13, 260, 130, pad);
    set_rest(&p, 1, 0, 1, (infer_unary_t) { INFER_CLIP, 0, INFINITY });
    ok(agrees(&p), "several blocks, many weights");
    free_product(&p);

    p = conv_of(1, 5, 6, 1024, 48, pad);
    set_rest(&p, 1, 0, 0, (infer_unary_t) { 0 });
    ok(agrees(&p), "many channels");
    free_product(&p);
}


static void
test_batch(void)
{
    int             failed = 0;
    char           *data;
    size_t          size;
    product_t       p, one;
    infer_tensor_t  all, out;
    const int       pad[] = { 1, 1, 1, 1 };

    p = conv_of(5, 18, 14, 48, 40, pad);
    p.param.conv.winograd = 1;
    run_product(&p, infer_kernels(), &threads, &all);

    one = p;
    one.tensor[X].dim[0] = 1;
    size = infer_numel(&one.tensor[X]) * sizeof(float);
    data = p.tensor[X].data;

    for (size_t i = 0; i < 5; i++) {
        one.tensor[X].data = data + i * size;
        run_product(&one, infer_kernels(), NULL, &out);
        failed += memcmp((char *) all.data
                         + i * infer_numel(&out) * sizeof(float), out.data,
                         infer_numel(&out) * sizeof(float)) != 0;
        free(out.data);
    }

    ok(failed == 0, "the batch changes no bit");

    free(all.data);
    free_product(&p);
}


static void
test_refuses(void)
{
    product_t       p, q;
    infer_tensor_t  out;
    const int       pad[] = { 1, 1, 1, 1 };

    p = conv_of(1, 8, 8, 4, 4, pad);
    p.param.conv.winograd = 1;

    q = p, q.param.conv.window.stride[1] = 2;
    ok(run_product(&q, infer_kernels(), NULL, &out) != 0, "stride 2");
    q = p, q.param.conv.window.dilation[2] = 2;
    ok(run_product(&q, infer_kernels(), NULL, &out) != 0, "dilation 2");

    free_product(&p);
}


/* ---- the choice ------------------------------------------------------- */

enum { SMALL, WIDE, STRIDED, TINY, DEEP, LAYERS };

/* Which of five layers a budget buys, as bits. */
static int
chosen(size_t budget)
{
    int             bits = 0;
    product_t       p = { 0 };
    infer_graph_t  *g = infer_graph_create("test", &err);
    infer_value_t  *in[2];
    const int       pad[] = { 1, 1, 1, 1 };
    const int64_t   shape[LAYERS][2] = { { 28, 32 }, { 56, 64 }, { 56, 64 },
                                         { 7, 64 }, { 28, 128 } };
    static float    zeros[9 * 128 * 128];

    for (int i = 0; i < LAYERS; i++) {
        int64_t      h = shape[i][0], c = shape[i][1];
        infer_dim_t  dim[] = { { 0, 1 }, { h, 0 }, { h, 0 }, { c, 0 } };

        set_window(&p, pad);
        p.param.conv.window.stride[1] = i == STRIDED ? 2 : 1;
        in[0] = infer_graph_value(g, "x", INFER_F32, 4, dim);
        in[1] = infer_graph_constant(g, "w", INFER_F32, 4,
                                     (int64_t[]) { c, c, 3, 3 }, zeros);
        infer_graph_emit1(g, INFER_OP_CONV, &p.param, "n", in, 2);
    }

    infer_pass_winograd(g, budget);

    for (int i = 0; i < LAYERS; i++) {
        bits |= (g->node[i]->param.conv.winograd == INFER_WINOGRAD_EARLY) << i;
    }

    infer_graph_close(g);

    return bits;
}


static void
test_choice(void)
{
    const size_t  wide = 27 * 64 * 64 * sizeof(float);
    const size_t  deep = 27 * 128 * 128 * sizeof(float);
    const size_t  slim = 27 * 32 * 32 * sizeof(float);

    ok(chosen(0) == 0, "a budget of 0 buys nothing");
    ok(chosen(SIZE_MAX) == (1 << SMALL | 1 << WIDE | 1 << DEEP),
       "no limit: all but strided and tiny layers");
    ok(chosen(wide) == 1 << WIDE, "the best gain for its bytes first");
    ok(chosen(wide - 1) == 1 << SMALL, "what fits the budget");
    ok(chosen(wide + slim + deep) == chosen(SIZE_MAX), "the sum of all");
    ok(chosen(wide + slim + deep - 1) == (1 << WIDE | 1 << DEEP),
       "one byte less");
}


int
main(void)
{
    test_sizes();
    test_channels();
    test_activations();
    test_blocks();
    test_batch();
    test_refuses();
    test_choice();

    return done();
}
