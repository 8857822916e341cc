/*
 * Products: convolution and fully connected layer against naive loops in
 * double precision, over random windows, groups and layouts; and the bits
 * that must not depend on the batch, on threads or on the instruction set.
 */

#include "product.h"


/* ---- convolution ------------------------------------------------------ */

/*
 * The value of one output and the sum of the products' magnitudes, which its
 * rounding errors are relative to.
 */
static double
naive_conv(const product_t *p, const infer_tensor_t *y, int64_t i,
    double *magnitude)
{
    int                    inside;
    double                 sum, product;
    int64_t                at[INFER_MAX_RANK], from[INFER_MAX_RANK];
    int64_t                tap[INFER_MAX_RANK], o, first, taps, t;
    const infer_tensor_t  *x = operand(p, X), *w = operand(p, WEIGHTS);
    const infer_window_t  *window = &p->param.conv.window;

    to_index(y, i, at);
    o = at[y->rank - 1];
    first = o / (w->dim[0] / p->param.conv.groups) * w->dim[1];

    sum = operand(p, BIAS) ? get(operand(p, BIAS), o) : 0;
    *magnitude = fabs(sum);

    for (int64_t c = 0; c < w->dim[1]; c++) {
        taps = 1;

        for (int d = 2; d < w->rank; d++) {
            taps *= w->dim[d];
        }

        for (int64_t k = 0; k < taps; k++) {
            inside = 1;
            t = k;
            from[0] = at[0];
            from[x->rank - 1] = first + c;
            tap[0] = o;
            tap[1] = c;

            for (int d = w->rank - 1; d >= 2; d--) {
                int  s = d - w->rank + 3;

                tap[d] = t % w->dim[d];
                t /= w->dim[d];
                from[d - 1] = at[d - 1] * window->stride[s]
                              - window->before[s]
                              + tap[d] * window->dilation[s];
                inside = inside && from[d - 1] >= 0
                         && from[d - 1] < x->dim[d - 1];
            }

            if (inside) {
                product = (double) get(x, from_index(x, from))
                          * (double) get(w, from_index(w, tap))
                          * (operand(p, SCALE) ? get(operand(p, SCALE), o) : 1);
                sum += product;
                *magnitude += fabs(product);
            }
        }
    }

    if (operand(p, RESIDUAL)) {
        sum += get(operand(p, RESIDUAL), i);
    }

    if (p->param.conv.act.kind == INFER_CLIP) {
        sum = fmin(fmax(sum, p->param.conv.act.a), p->param.conv.act.b);
    }

    return sum;
}


/* Random, of modest size: the naive loop visits every product. */
static product_t
random_conv(int rank, int depthwise)
{
    int64_t          dim[INFER_MAX_RANK], weights[INFER_MAX_RANK];
    int64_t          out[INFER_MAX_RANK], extent, room;
    product_t        p = { .op = INFER_OP_CONV };
    infer_window_t  *w = &p.param.conv.window;

    p.param.conv.groups = (int32_t) (1 + below(3));
    weights[1] = 1 + below(20);
    weights[0] = p.param.conv.groups * (1 + below(40));

    if (depthwise) {
        p.param.conv.groups = (int32_t) (1 + below(40));
        weights[1] = 1;
        weights[0] = p.param.conv.groups * (depthwise == 1 ? 1 : 2);
    }

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        w->before[i] = w->after[i] = 0;
    }

    dim[0] = 1 + below(3);
    dim[rank - 1] = weights[1] * p.param.conv.groups;
    out[0] = dim[0];
    out[rank - 1] = weights[0];

    for (int i = 5 - rank; i < 3; i++) {
        w->kernel[i] = (int32_t) (1 + below(4));
        w->stride[i] = (int32_t) (1 + below(3));
        w->dilation[i] = (int32_t) (1 + below(2));
        w->before[i] = (int32_t) below(4);
        w->after[i] = (int32_t) below(4);

        extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        room = below(rank == 5 ? 5 : 9);
        dim[i + rank - 4] = extent + room - w->before[i] - w->after[i];

        if (dim[i + rank - 4] < 1) {
            dim[i + rank - 4] = extent;
            room = w->before[i] + w->after[i];
        }

        weights[i + rank - 3] = w->kernel[i];
        out[i + rank - 4] = room / w->stride[i] + 1;
    }

    set_operand(&p, X, rank, dim);
    set_operand(&p, WEIGHTS, rank, weights);

    if (below(3) > 0) {
        set_operand(&p, BIAS, 1, weights);
    }

    if (below(2) > 0) {
        set_operand(&p, SCALE, 1, weights);
    }

    if (below(2) > 0) {
        set_operand(&p, RESIDUAL, rank, out);
    }

    if (below(2) > 0) {
        p.param.conv.act = (infer_unary_t) { INFER_CLIP, 0, 6 };
    }

    return p;
}


static int
conv_agrees(const product_t *p)
{
    int             pass;
    double          expected, magnitude;
    infer_tensor_t  out;

    if (run_product(p, best_kernels(), NULL, &out) != 0) {
        printf("# refused: %s\n", err.text);
        return 0;
    }

    pass = same_everywhere(p, &out);

    for (int64_t i = 0; i < (int64_t) infer_numel(&out); i++) {
        expected = naive_conv(p, &out, i, &magnitude);
        pass = pass
               && fabs((double) get(&out, i) - expected)
                  <= 1e-6 * magnitude + 1e-6;
    }

    free(out.data);

    return pass;
}


static void
test_conv(void)
{
    int         failed;
    product_t   p;
    const char *const  kinds[] = { "dense and grouped", "depthwise",
                                   "depthwise, two outputs a channel" };

    for (int rank = 3; rank <= 5; rank++) {
        for (int kind = 0; kind < 3; kind++) {
            failed = 0;

            for (int i = 0; i < (rank == 5 ? 40 : 150); i++) {
                p = random_conv(rank, kind);
                failed += !conv_agrees(&p);
                free_product(&p);
            }

            ok(failed == 0, "conv, %d spatial dimensions, %s", rank - 2,
               kinds[kind]);
        }
    }
}


static product_t
conv_of(int64_t n, int64_t h, int64_t c, int64_t o, int k, int stride,
    int groups)
{
    product_t        p = { .op = INFER_OP_CONV };
    infer_window_t  *w = &p.param.conv.window;

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = i ? k : 1;
        w->stride[i] = i ? stride : 1;
        w->dilation[i] = 1;
        w->before[i] = w->after[i] = i ? k / 2 : 0;
    }

    p.param.conv.groups = groups;
    p.param.conv.act = (infer_unary_t) { INFER_CLIP, 0, INFINITY };

    set_operand(&p, X, 4, (int64_t []) { n, h, h, c });
    set_operand(&p, WEIGHTS, 4, (int64_t []) { o, c / groups, k, k });
    set_operand(&p, BIAS, 1, &o);

    return p;
}


/* Sizes at which the work is split in each of its ways. */
static void
test_conv_sizes(void)
{
    product_t  p;
    static const struct {
        const char  *what;
        int          n, h, c, o, k, stride, groups;
    } cases[] = {
        { "weights beyond the cache, few rows", 1, 5, 100, 150, 3, 1, 1 },
        { "weights beyond the cache, many rows", 1, 7, 420, 330, 1, 1, 1 },
        { "a long k, in passes", 1, 5, 300, 150, 3, 1, 1 },
        { "rows 4 KB apart", 1, 6, 1024, 40, 1, 1, 1 },
        { "gathered rows 4 KB apart", 1, 9, 1024, 24, 1, 2, 1 },
        { "one row", 1, 1, 300, 1000, 1, 1, 1 },
        { "three channels", 1, 40, 3, 32, 7, 2, 1 },
        { "many small rows", 2, 40, 8, 20, 1, 1, 1 },
        { "groups", 1, 10, 64, 64, 3, 1, 32 },
        { "wide depthwise", 1, 20, 100, 100, 3, 1, 100 },
        { "depthwise, some channels at a time", 2, 9, 600, 600, 3, 1, 600 },
        { "depthwise, stride 2", 1, 31, 72, 72, 5, 2, 72 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = conv_of(cases[i].n, cases[i].h, cases[i].c, cases[i].o,
                    cases[i].k, cases[i].stride, cases[i].groups);
        ok(conv_agrees(&p), "conv: %s", cases[i].what);
        free_product(&p);
    }
}


/* Makes p the product of image i of `all` alone. */
static void
take_image(product_t *p, const product_t *all, int64_t i)
{
    size_t  image;

    *p = *all;

    for (int k = X; k < OPERANDS; k += RESIDUAL) {
        if (operand(all, k) != NULL) {
            image = infer_numel(operand(all, k))
                    / (size_t) operand(all, k)->dim[0];
            p->tensor[k].dim[0] = 1;
            p->tensor[k].data = (float *) all->tensor[k].data
                                + (size_t) i * image;
        }
    }
}


/* Images of a batch come out as they do alone. */
static int
batch_agrees(const product_t *p)
{
    int             pass = 1;
    size_t          n;
    product_t       alone;
    infer_tensor_t  all, one;

    run_product(p, best_kernels(), &threads, &all);
    n = infer_numel(&all) / (size_t) all.dim[0];

    for (int64_t i = 0; i < all.dim[0]; i++) {
        take_image(&alone, p, i);
        run_product(&alone, best_kernels(), NULL, &one);

        pass = pass && infer_numel(&one) == n
               && memcmp(one.data, (float *) all.data + (size_t) i * n,
                         n * sizeof(float)) == 0;
        free(one.data);
    }

    free(all.data);

    return pass;
}


static void
test_batch(void)
{
    product_t  p;
    static const int  cases[][5] = {
        { 7, 33, 50, 3, 1 }, { 5, 100, 150, 3, 1 }, { 6, 100, 70, 1, 1 },
        { 9, 40, 40, 3, 40 }, { 1, 300, 100, 1, 1 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int  *c = cases[i];

        p = conv_of(8, c[0], c[1], c[2], c[3], 1, c[4]);
        ok(batch_agrees(&p), "conv: batch 8 as 8 of batch 1 (%d)", (int) i);
        free_product(&p);
    }
}


/* The shape rule refuses p, with this text in the reason. */
static void
refuses(const product_t *p, const char *text)
{
    int             rc;
    infer_tensor_t  out;

    rc = run_product(p, best_kernels(), NULL, &out);
    ok(rc == -1 && strstr(err.text, text) != NULL, "refused: %s", text);

    if (rc == 0) {
        free(out.data);
    }
}


/* A gate, against an input that is multiplied with it beforehand. */
static int
gate_agrees(int64_t n, int64_t h, int64_t c, int64_t o)
{
    int             pass;
    product_t       p = conv_of(n, h, c, o, 1, 1, 1);
    infer_tensor_t  gated, plain;

    set_operand(&p, GATE, 4, (int64_t []) { n, 1, 1, c });

    if (run_product(&p, best_kernels(), NULL, &gated) != 0) {
        return 0;
    }

    pass = same_everywhere(&p, &gated);

    for (int64_t i = 0; i < n * h * h * c; i++) {
        ((float *) p.tensor[X].data)[i] *=
            ((float *) p.tensor[GATE].data)[i / (h * h * c) * c + i % c];
    }

    free(p.tensor[GATE].data);
    p.tensor[GATE].data = NULL;

    run_product(&p, best_kernels(), NULL, &plain);
    pass = pass && same_data(&gated, &plain);

    free(gated.data);
    free(plain.data);
    free_product(&p);

    return pass;
}


static void
test_gate(void)
{
    int        failed = 0;
    product_t  p = conv_of(2, 4, 8, 8, 1, 1, 1);

    for (int i = 0; i < 60; i++) {
        failed += !gate_agrees(1 + below(4), 1 + below(9), 1 + below(90),
                               1 + below(90));
    }

    ok(failed == 0, "gates: the bits of a product with the input");
    ok(gate_agrees(2, 7, 1152, 320) && gate_agrees(3, 30, 96, 24),
       "gates: many channels, many pixels");

    set_operand(&p, GATE, 4, (int64_t []) { 1, 1, 1, 8 });
    refuses(&p, "the gate is not");
    free(p.tensor[GATE].data);
    set_operand(&p, GATE, 4, (int64_t []) { 2, 1, 1, 8 });
    p.param.conv.window.before[1] = 1;
    refuses(&p, "the gate is not");
    free_product(&p);
}


static void
test_conv_refuses(void)
{
    product_t        p = conv_of(1, 8, 6, 8, 3, 1, 2), q;
    infer_window_t  *w = &q.param.conv.window;

    q = p, q.param.conv.groups = 3;
    refuses(&q, "divisible by 3 groups");
    q = p, q.param.conv.groups = 0;
    refuses(&q, "divisible by 0 groups");
    q = p, q.param.conv.groups = 4;
    refuses(&q, "has 6 channels, the weights need 12");
    q = p, w->kernel[1] = 5;
    refuses(&q, "the kernel is 5, but the weights have 3");
    q = p, w->stride[2] = 0;
    refuses(&q, "out of range");
    q = p, w->before[1] = -1;
    refuses(&q, "out of range");
    q = p, w->dilation[1] = INT32_MAX;
    refuses(&q, "larger than the padded input");
    q = p, w->before[0] = 1;
    refuses(&q, "more dimensions than the input");
    q = p, q.param.conv.act.kind = INFER_NOT;
    refuses(&q, "unknown activation");
    q = p, q.tensor[BIAS] = p.tensor[WEIGHTS];
    refuses(&q, "the bias must be 8 floats");
    q = p, q.tensor[SCALE] = p.tensor[WEIGHTS];
    refuses(&q, "the scale must be 8 floats");
    q = p, q.tensor[RESIDUAL] = p.tensor[X];
    refuses(&q, "the residual has another shape");

    free_product(&p);
}


/* ---- fully connected -------------------------------------------------- */

static int
fc_agrees(int64_t rows, int64_t k, int64_t n, int rows_are_n)
{
    int             pass;
    double          sum, magnitude;
    int64_t         r;
    product_t       p = { .op = INFER_OP_FC };
    infer_tensor_t  out;

    p.param.fc.w_rows_are_n = rows_are_n;
    set_operand(&p, X, 3, (int64_t []) { 2, rows, k });
    set_operand(&p, WEIGHTS, 2, (int64_t []) { rows_are_n ? n : k,
                                               rows_are_n ? k : n });
    set_operand(&p, BIAS, 1, &n);
    set_operand(&p, SCALE, 1, &n);
    set_operand(&p, RESIDUAL, 3, (int64_t []) { 2, rows, n });

    if (run_product(&p, best_kernels(), NULL, &out) != 0) {
        printf("# refused: %s\n", err.text);
        free_product(&p);
        return 0;
    }

    pass = same_everywhere(&p, &out) && batch_agrees(&p);

    for (int64_t i = 0; i < 2 * rows * n; i++) {
        r = i / n;
        sum = (double) get(operand(&p, BIAS), i % n);
        magnitude = fabs(sum);

        for (int64_t j = 0; j < k; j++) {
            double  x = (double) get(operand(&p, X), r * k + j)
                        * (double) get(operand(&p, SCALE), i % n)
                        * (double) get(operand(&p, WEIGHTS),
                                       rows_are_n ? i % n * k + j
                                                  : j * n + i % n);

            sum += x;
            magnitude += fabs(x);
        }

        sum += (double) get(operand(&p, RESIDUAL), i);
        pass = pass && fabs((double) get(&out, i) - sum)
                       <= 1e-6 * magnitude + 1e-6;
    }

    free(out.data);
    free_product(&p);

    return pass;
}


static void
test_fc(void)
{
    int        failed = 0;
    product_t  p = { .op = INFER_OP_FC };

    for (int i = 0; i < 60; i++) {
        failed += !fc_agrees(1 + below(30), 1 + below(80), 1 + below(80),
                             i & 1);
    }

    ok(failed == 0, "fc: random sizes");
    ok(fc_agrees(1, 700, 1000, 1) && fc_agrees(1, 700, 1000, 0),
       "fc: large weights");
    ok(fc_agrees(20, 1024, 40, 1), "fc: rows 4 KB apart");

    set_operand(&p, X, 2, (int64_t []) { 3, 7 });
    set_operand(&p, WEIGHTS, 2, (int64_t []) { 7, 5 });
    p.param.fc.w_rows_are_n = 1;
    refuses(&p, "rows of 7 numbers, the weights need 5");
    free_product(&p);
}


int
main(void)
{
    test_conv();
    test_conv_sizes();
    test_batch();
    test_gate();
    test_conv_refuses();
    test_fc();

    return done();
}
