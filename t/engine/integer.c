/*
 * Products of 8-bit integers: convolutions and fully connected layers with
 * every end that they may have, against sums in 64 bits and an end in plain
 * C, to the bit; and on all instruction sets, and with threads.
 */

#include "product.h"


static const infer_dtype_t  ends[] = { INFER_U8, INFER_I8, INFER_F32,
                                       INFER_I32 };


/* ---- the reference ---------------------------------------------------- */

static double
naive_act(const infer_unary_t *u, double x)
{
    switch (u->kind) {
    case INFER_CLIP:
        return fmin(fmax(x, u->a), u->b);
    case INFER_HARDSWISH:
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case INFER_SILU:
        return x / (1 + exp(-x));
    default:
        return x;
    }
}


/*
 * What becomes of a sum; *exact: the result is to be this, else (activations
 * by polynomials) a neighbour will do.
 */
static double
naive_end(const infer_requantize_t *end, int64_t acc, float scale, float bias,
    const uint8_t *residual, int dynamic, int *exact)
{
    int     bytes = end->dtype == INFER_U8 || end->dtype == INFER_I8;
    int     lowest = end->dtype == INFER_I8 ? -128 : 0;
    float   v, by = 1, low = -INFINITY, high = INFINITY;
    double  q;

    *exact = 1;

    if (end->dtype == INFER_I32) {
        return (double) acc;
    }

    if (bytes && end->act.kind <= INFER_CLIP && !dynamic) {
        by = end->out.scale;
    }

    bias /= by;

    if (residual != NULL) {
        bias = fmaf((float) -end->residual.zero, end->residual.scale / by,
                    bias);
    }

    v = fmaf((float) acc, scale / by, bias);

    if (residual != NULL) {
        v = fmaf(*residual, end->residual.scale / by, v);
    }

    if (end->act.kind == INFER_CLIP) {
        low = end->act.a / by;
        high = end->act.b / by;
        v = fminf(fmaxf(v, low), high);

    } else if (end->act.kind != INFER_NONE) {
        v = (float) naive_act(&end->act, v);
        *exact = 0;
    }

    if (!bytes) {
        return v;
    }

    if (by == 1) {
        v /= end->out.scale;
    }

    q = nearbyint(v) + end->out.zero;

    return fmin(fmax(q, lowest), lowest + 255);
}


/* The sum of one output of a convolution, from zero. */
static int64_t
conv_sum(const product_t *p, const infer_tensor_t *y, int64_t i)
{
    int                    inside;
    int64_t                sum = 0, t, first, taps = 1;
    int64_t                at[INFER_MAX_RANK], from[INFER_MAX_RANK];
    int64_t                tap[INFER_MAX_RANK];
    const infer_tensor_t  *x = operand(p, X), *w = operand(p, WEIGHTS);
    const infer_qconv_t   *conv = &p->param.qconv;

    to_index(y, i, at);
    tap[0] = at[y->rank - 1];
    first = tap[0] / (w->dim[0] / conv->groups) * w->dim[1];

    for (int d = 2; d < w->rank; d++) {
        taps *= w->dim[d];
    }

    for (int64_t k = 0; k < taps * w->dim[1]; k++) {
        inside = 1;
        t = k / w->dim[1];
        tap[1] = k % w->dim[1];
        from[0] = at[0];
        from[x->rank - 1] = first + tap[1];

        for (int d = w->rank - 1; d >= 2; d--) {
            int  s = d - w->rank + 3;

            tap[d] = t % w->dim[d];
            t /= w->dim[d];
            from[d - 1] = at[d - 1] * conv->window.stride[s]
                          - conv->window.before[s]
                          + tap[d] * conv->window.dilation[s];
            inside = inside && from[d - 1] >= 0
                     && from[d - 1] < x->dim[d - 1];
        }

        if (inside) {
            sum += ((int64_t) get(x, from_index(x, from)) - conv->zero)
                   * (int64_t) get(w, from_index(w, tap));
        }
    }

    return sum;
}


/* The sum of row `row` and column o of a fully connected layer. */
static int64_t
fc_sum(const product_t *p, int64_t row, int64_t o)
{
    int64_t                sum = 0, zero = p->param.qfc.zero, k, n;
    const infer_tensor_t  *x = operand(p, X), *w = operand(p, WEIGHTS);
    const infer_tensor_t  *z = operand(p, X_ZERO);

    k = x->dim[x->rank - 1];
    n = w->dim[!p->param.qfc.w_rows_are_n];

    if (z != NULL) {
        zero = (int64_t) get(z, infer_numel(z) > 1 ? row : 0);
    }

    for (int64_t i = 0; i < k; i++) {
        sum += ((int64_t) get(x, row * k + i) - zero)
               * (int64_t) get(w, p->param.qfc.w_rows_are_n ? o * k + i
                                                           : i * n + o);
    }

    return sum;
}


/* Whether all outputs are as the contract says. */
static int
agrees(const product_t *p, const infer_tensor_t *out)
{
    int                        exact;
    float                      scale, bias;
    double                     expected, tolerance;
    int64_t                    n = out->dim[out->rank - 1], o, acc;
    uint8_t                    r;
    const infer_tensor_t      *b = operand(p, BIAS), *s = operand(p, SCALE);
    const infer_tensor_t      *res = operand(p, RESIDUAL);
    const infer_tensor_t      *xs = operand(p, X_SCALE);
    const infer_requantize_t  *end = p->op == INFER_OP_QFC
                                     ? &p->param.qfc.end : &p->param.qconv.end;

    for (int64_t i = 0; i < (int64_t) infer_numel(out); i++) {
        o = i % n;
        scale = s != NULL ? (float) get(s, o) : 1;
        bias = b != NULL && b->dtype == INFER_F32 ? (float) get(b, o) : 0;
        acc = p->op == INFER_OP_QFC ? fc_sum(p, i / n, o)
                                    : conv_sum(p, out, i);
        acc += b != NULL && b->dtype == INFER_I32 ? (int64_t) get(b, o) : 0;
        r = res != NULL ? (uint8_t) get(res, i) : 0;

        if (xs != NULL) {
            scale *= (float) get(xs, infer_numel(xs) > 1 ? i / n : 0);
        }

        expected = naive_end(end, acc, scale, bias, res ? &r : NULL, xs != NULL,
                             &exact);
        tolerance = exact ? 0 : out->dtype == INFER_F32
                    ? 1e-5 * (1 + fabs(expected)) : 1;

        if (!(fabs((double) get(out, i) - expected) <= tolerance)) {
            printf("# output %lld of dtype %d: %g, not %g\n", (long long) i,
                   (int) out->dtype, (double) get(out, i), expected);
            return 0;
        }
    }

    return 1;
}


/* ---- random operands -------------------------------------------------- */

/* Bytes of the whole range; extreme: all the largest, or the smallest. */
static infer_tensor_t
bytes(infer_dtype_t dtype, int rank, const int64_t *dim, int extreme)
{
    infer_tensor_t  t = tensor(dtype, rank, dim);

    for (size_t i = 0; i < infer_numel(&t); i++) {
        put(&t, (int64_t) i, dtype == INFER_U8
                             ? (extreme ? 255 : below(256))
                             : (extreme ? -128 : below(256) - 128));
    }

    return t;
}


static infer_requantize_t
random_end(infer_dtype_t dtype)
{
    infer_requantize_t  end = { .dtype = (int32_t) dtype };

    end.out.scale = 0.01f + (float) below(100) / 300;
    end.out.zero = (int32_t) below(256) - (dtype == INFER_I8 ? 128 : 0);
    end.residual.scale = 0.003f + (float) below(100) / 1000;
    end.residual.zero = (int32_t) below(256);

    if (dtype == INFER_I32) {
        return end;
    }

    switch (below(4)) {
    case 0:
        end.act = (infer_unary_t) { INFER_CLIP, 0, INFINITY };
        break;
    case 1:
        end.act = (infer_unary_t) { INFER_CLIP, -1.5f, 6 };
        break;
    case 2:
        end.act.kind = below(2) ? INFER_HARDSWISH : INFER_SILU;
        break;
    }

    return end;
}


/* bias, scale and residual: any of the kinds that there are, or none. */
static void
random_vectors(product_t *p, const infer_requantize_t *end, int rank,
    const int64_t *out, int64_t k)
{
    int64_t  n = out[rank - 1];

    if (below(3) > 0) {
        p->tensor[BIAS] = random_tensor(end->dtype == INFER_I32 || below(2)
                                        ? INFER_I32 : INFER_F32, 1, &n);

        for (int64_t i = 0; i < n && p->tensor[BIAS].dtype == INFER_I32; i++)
        {
            put(&p->tensor[BIAS], i, below(200000) - 100000);
        }
    }

    if (end->dtype != INFER_I32 || below(2)) {
        p->tensor[SCALE] = tensor(INFER_F32, 1, &n);

        for (int64_t i = 0; i < n; i++) {
            put(&p->tensor[SCALE], i, (double) (1 + below(1000)) * 1e-6
                                      / (1 + (double) k / 200));
        }
    }

    if (end->dtype != INFER_I32 && below(2)) {
        p->tensor[RESIDUAL] = bytes(INFER_U8, rank, out, 0);
    }
}


static product_t
random_conv(int rank, int depthwise, int extreme)
{
    int64_t          dim[INFER_MAX_RANK], weights[INFER_MAX_RANK];
    int64_t          out[INFER_MAX_RANK], extent, room, k;
    product_t        p = { .op = INFER_OP_QCONV };
    infer_qconv_t   *conv = &p.param.qconv;
    infer_window_t  *w = &conv->window;

    conv->groups = (int32_t) (below(3) ? 1 : 1 + below(3));
    conv->zero = (int32_t) below(256);
    weights[1] = below(2) ? 1 + below(20) : 4 * (1 + below(20));
    weights[0] = conv->groups * (1 + below(75));

    if (depthwise) {
        conv->groups = (int32_t) (2 + below(150));
        weights[1] = 1;
        weights[0] = conv->groups * (depthwise == 1 ? 1 : 2);
    }

    for (int i = 0; i < 3; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        w->before[i] = w->after[i] = 0;
    }

    dim[0] = 1 + below(3);
    dim[rank - 1] = weights[1] * conv->groups;
    out[0] = dim[0];
    out[rank - 1] = weights[0];
    k = weights[1];

    for (int i = 5 - rank; i < 3; i++) {
        w->kernel[i] = (int32_t) (1 + below(depthwise ? 5 : 3));
        w->stride[i] = (int32_t) (1 + below(3));
        w->dilation[i] = (int32_t) (below(3) ? 1 : 2);
        w->before[i] = (int32_t) below(4);
        w->after[i] = (int32_t) below(4);

        if (!depthwise && weights[1] % 4 == 0 && below(2)) {
            w->kernel[i] = w->stride[i] = 1;
            w->before[i] = w->after[i] = 0;
        }

        extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        room = below(rank == 5 ? 4 : 9);
        dim[i - 4 + rank] = extent + room - w->before[i] - w->after[i];

        if (dim[i - 4 + rank] < 1) {
            room += 1 - dim[i - 4 + rank];
            dim[i - 4 + rank] = 1;
        }

        out[i - 4 + rank] = room / w->stride[i] + 1;
        weights[i - 3 + rank] = w->kernel[i];
        k *= w->kernel[i];
    }

    conv->end = random_end(ends[below(4)]);
    p.tensor[X] = bytes(INFER_U8, rank, dim, extreme);
    p.tensor[WEIGHTS] = bytes(INFER_I8, rank, weights, extreme);
    random_vectors(&p, &conv->end, rank, out, k);

    return p;
}


/* dynamic: 1 one scale, 2 one for each row */
static product_t
random_fc(int64_t rows, int64_t k, int64_t n, int dynamic, int extreme)
{
    int64_t       x[] = { 2, rows, k }, w[2], out[] = { 2, rows, n };
    product_t     p = { .op = INFER_OP_QFC };
    infer_qfc_t  *fc = &p.param.qfc;

    fc->w_rows_are_n = (int32_t) below(2);
    fc->zero = dynamic ? 0 : (int32_t) below(256);
    w[!fc->w_rows_are_n] = n;
    w[fc->w_rows_are_n] = k;

    fc->end = random_end(ends[below(dynamic ? 3 : 4)]);
    p.tensor[X] = bytes(INFER_U8, 3, x, extreme);
    p.tensor[WEIGHTS] = bytes(INFER_I8, 2, w, extreme);
    random_vectors(&p, &fc->end, 3, out, k);

    if (dynamic) {
        p.tensor[X_SCALE] = tensor(INFER_F32, dynamic == 1 ? 0 : 2, x);
        p.tensor[X_ZERO] = bytes(INFER_U8, dynamic == 1 ? 0 : 2, x, 0);

        for (size_t i = 0; i < infer_numel(&p.tensor[X_SCALE]); i++) {
            put(&p.tensor[X_SCALE], (int64_t) i, 0.5 + (double) below(100)
                                                       / 50);
        }
    }

    return p;
}


/* Runs it, holds it against the reference and against itself. */
static int
passes(product_t *p)
{
    int             pass;
    infer_tensor_t  out;

    if (run_product(p, infer_kernels_own(0), NULL, &out) != 0) {
        printf("# %s\n", err.text);
        return 0;
    }

    pass = agrees(p, &out) && same_everywhere(p, &out);
    free(out.data);
    free_product(p);

    return pass;
}


/* ---- the tests -------------------------------------------------------- */

static void
test_conv(void)
{
    int        pass[3] = { 1, 1, 1 };
    product_t  p;

    for (int i = 0; i < 240; i++) {
        p = random_conv(3 + i % 3, i / 3 % 3, i % 10 == 9);
        pass[i / 3 % 3] &= passes(&p);
    }

    ok(pass[0], "convolutions");
    ok(pass[1], "depthwise convolutions");
    ok(pass[2], "a channel in and two out of each group");
}


static void
test_fc(void)
{
    int        pass;
    product_t  p;

    for (int dynamic = 0; dynamic < 3; dynamic++) {
        pass = 1;

        for (int i = 0; i < 60; i++) {
            p = random_fc(1 + below(20), 1 + below(100), 1 + below(150),
                          dynamic, i % 10 == 9);
            pass = passes(&p) && pass;
        }

        ok(pass, "fully connected, %s", dynamic == 0 ? "a fixed scale"
           : dynamic == 1 ? "a scale as data" : "a scale for each row");
    }
}


/* Rows of every number, and columns of every number, of a tile. */
static void
test_tails(void)
{
    int        pass = 1;
    product_t  p;

    for (int i = 1; i <= 33; i++) {
        p = random_fc(i, 64, 33, 0, 0);
        pass = passes(&p) && pass;
        p = random_fc(1, 52, i * 5, 0, 0);
        pass = passes(&p) && pass;
    }

    ok(pass, "every height and width of tiles");
}


/*
 * Bytes with no limits but their own, in tiles of every height: where no
 * number can be too large to be rounded, and where some are.
 */
static void
test_unlimited(void)
{
    int                  pass[2] = { 1, 1 };
    product_t            p;
    infer_requantize_t  *end;

    for (int i = 0; i < 60; i++) {
        p = random_fc(1 + i / 2, 64, 70, 0, 0);
        end = &p.param.qfc.end;
        end->dtype = INFER_U8;
        end->out.zero = (int32_t) below(256);
        end->act.kind = INFER_NONE;
        free(p.tensor[RESIDUAL].data);
        free(p.tensor[SCALE].data);
        p.tensor[RESIDUAL].data = NULL;
        p.tensor[SCALE] = tensor(INFER_F32, 1, &p.tensor[WEIGHTS]
                                 .dim[!p.param.qfc.w_rows_are_n]);

        for (int64_t k = 0; k < 70; k++) {
            put(&p.tensor[SCALE], k, i % 2 && k % 7 == 0
                                     ? 1e9 : (1 + below(1000)) * 1e-6);
        }

        pass[i % 2] &= passes(&p);
    }

    ok(pass[0], "bytes without limits, every height of tiles");
    ok(pass[1], "numbers that no integer holds");
}


/* A sum of the most products, all the largest. */
static void
test_extreme(void)
{
    int        pass = 1;
    product_t  p;

    for (int i = 0; i < 4; i++) {
        p = random_fc(1, 65792, 3, 0, 1);
        p.param.qfc.zero = i % 2 ? 0 : 255;
        p.param.qfc.end.dtype = (int32_t) (i < 2 ? INFER_I32 : INFER_U8);
        p.param.qfc.end.act.kind = INFER_NONE;
        free(p.tensor[BIAS].data);
        free(p.tensor[RESIDUAL].data);
        p.tensor[BIAS].data = p.tensor[RESIDUAL].data = NULL;
        pass = passes(&p) && pass;
    }

    ok(pass, "K as long as may be, all products the largest");
}


/* More weights than the second cache, rows shared by panels. */
static void
test_large(void)
{
    int             pass = 1;
    product_t       p;
    infer_tensor_t  one, all;

    p = random_fc(30, 1024, 700, 0, 0);
    pass = run_product(&p, infer_kernels_own(0), NULL, &all) == 0
           && same_everywhere(&p, &all);

    /* the first rows alone */
    p.tensor[X].dim[0] = 1;
    p.tensor[RESIDUAL].dim[0] = 1;
    pass = pass && run_product(&p, best_kernels(), NULL, &one) == 0
           && memcmp(one.data, all.data, infer_numel(&one)
                     * infer_dtype_size(one.dtype)) == 0;

    ok(pass, "large weights; the batch does not matter");

    free(one.data);
    free(all.data);
    free_product(&p);
}


static int
is_refused(product_t *p, const char *text)
{
    int             rc;
    infer_tensor_t  out;

    rc = run_product(p, infer_kernels_own(0), NULL, &out);

    if (rc == 0) {
        free(out.data);
    }

    if (rc == 0 || strstr(err.text, text) == NULL) {
        printf("# not refused for \"%s\": %s\n", text,
               rc == 0 ? "accepted" : err.text);
        return 0;
    }

    return 1;
}


static void
test_refused(void)
{
    int                  pass = 1;
    product_t            p = random_fc(2, 8, 8, 0, 0);
    infer_qfc_t         *fc = &p.param.qfc;
    infer_requantize_t  *end = &fc->end;

    end->dtype = INFER_U8;
    end->act.kind = INFER_NONE;
    end->out.zero = 256;
    pass &= is_refused(&p, "zero point of the result, 256");
    end->out.zero = 3;
    end->out.scale = 0;
    pass &= is_refused(&p, "scale of the result is 0");
    end->out.scale = NAN;
    pass &= is_refused(&p, "scale of the result is");
    end->out.scale = 1;
    end->act.kind = 1000;
    pass &= is_refused(&p, "activation 1000");
    end->act.kind = INFER_NONE;
    end->dtype = INFER_I64;
    pass &= is_refused(&p, "int64");
    end->dtype = INFER_U8;
    fc->zero = -1;
    pass &= is_refused(&p, "input's zero point, -1");
    fc->zero = 0;
    p.tensor[WEIGHTS].dtype = INFER_U8;
    pass &= is_refused(&p, "must be uint8 and int8");
    p.tensor[WEIGHTS].dtype = INFER_I8;
    p.tensor[SCALE].dim[0] = 7;
    pass &= is_refused(&p, "the scale must be 8 numbers");
    p.tensor[SCALE].dim[0] = 8;
    p.tensor[X_SCALE] = random_tensor(INFER_F32, 0, NULL);
    pass &= is_refused(&p, "do not go together");

    ok(pass, "what is out of range is refused");

    free_product(&p);

    p = random_fc(1, 65793, 1, 0, 0);
    ok(is_refused(&p, "may overflow"), "a sum that may overflow is refused");
    free_product(&p);
}


int
main(void)
{
    test_conv();
    test_fc();
    test_tails();
    test_unlimited();
    test_extreme();
    test_large();
    test_refused();

    return done();
}
