/*
 * Resize against a direct transcription of ONNX's definition: every output
 * element by itself, interpolating dimension after dimension from the
 * outermost, with the coordinates and weights of the specification.
 */

#include "ops.h"


static double
source(const infer_resize_t *p, int i, int64_t o, int64_t n, int64_t out)
{
    double  scale, length, at = (double) o, in = (double) n;

    scale = p->scale[i] == (float) ((double) out / in) ? (double) out / in
                                                       : p->scale[i];
    length = scale * in;

    switch (p->coord) {
    case INFER_COORD_ALIGN_CORNERS:
        return length == 1 ? 0 : at * (in - 1) / (length - 1);
    case INFER_COORD_ASYMMETRIC:
        return at / scale;
    case INFER_COORD_TF_CROP_AND_RESIZE:
        return length == 1
               ? 0.5 * (p->roi_start[i] + p->roi_end[i]) * (in - 1)
               : p->roi_start[i] * (in - 1)
                 + at * (p->roi_end[i] - p->roi_start[i]) * (in - 1)
                   / (length - 1);
    case INFER_COORD_PYTORCH_HALF_PIXEL:
        return length == 1 ? 0 : (at + 0.5) / scale - 0.5;
    case INFER_COORD_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - (double) out / length) + (at + 0.5) / scale
               - 0.5;
    default:
        return (at + 0.5) / scale - 0.5;
    }
}


static double
weight(const infer_resize_t *p, double d)
{
    double  a = p->cubic_a;

    d = fabs(d);

    if (p->mode == INFER_RESIZE_LINEAR) {
        return d < 1 ? 1 - d : 0;
    }

    return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1
           : d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}


static int64_t
held(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}


/* The element at at[], given that dimensions before d are settled. */
static double
element(const infer_resize_t *p, const infer_tensor_t *x,
    const infer_tensor_t *y, const int64_t *at, int d, int64_t *from)
{
    double   c, w, scale, sum = 0, total = 0, r;
    int64_t  n;

    if (d == x->rank) {
        return (double) get(x, from_index(x, from));
    }

    n = x->dim[d];
    c = source(p, d, at[d], n, y->dim[d]);

    if (p->coord == INFER_COORD_TF_CROP_AND_RESIZE
        && (c < 0 || c > (double) n - 1))
    {
        return p->extrapolation;
    }

    if (p->mode == INFER_RESIZE_NEAREST) {
        r = floor(c);

        switch (p->nearest) {
        case INFER_NEAREST_ROUND_PREFER_FLOOR:
            r += c - r > 0.5;
            break;
        case INFER_NEAREST_ROUND_PREFER_CEIL:
            r += c - r >= 0.5;
            break;
        case INFER_NEAREST_CEIL:
            r = ceil(c);
        }

        from[d] = held((int64_t) r, n);

        return element(p, x, y, at, d + 1, from);
    }

    scale = p->antialias && p->scale[d] < 1 ? p->scale[d] : 1;

    for (int64_t i = (int64_t) (c - 4 / scale) - 4;
         i <= (int64_t) (c + 4 / scale) + 4; i++)
    {
        w = weight(p, (c - (double) i) * scale);

        if (w == 0 || (p->exclude_outside && i != held(i, n))) {
            continue;
        }

        from[d] = held(i, n);
        sum += w * element(p, x, y, at, d + 1, from);
        total += w;
    }

    return p->exclude_outside || scale < 1 ? sum / total : sum;
}


static int
resize_case(infer_dtype_t dtype, int mode, int coord, int antialias)
{
    int              good, rank = (int) below(5);
    double           e;
    int64_t          dim[INFER_MAX_RANK], at[INFER_MAX_RANK];
    int64_t          from[INFER_MAX_RANK];
    infer_param_t    param;
    infer_resize_t  *p = &param.resize;
    infer_tensor_t   x, y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    p->mode = mode;
    p->coord = coord;
    p->nearest = (int32_t) below(4);
    p->exclude_outside = mode == INFER_RESIZE_CUBIC && below(2);
    p->antialias = antialias;
    p->cubic_a = below(2) ? -0.75f : -0.5f;
    p->extrapolation = 7.5f;

    for (int i = 0; i < rank; i++) {
        dim[i] = 1 + below(6);
        p->out[i] = infer_dim(dim[i]);
        p->scale[i] = 1;
        p->roi_end[i] = 1;

        if (below(2)) {
            p->scale[i] = (float) (0.3 + (double) below(25) / 10);
            p->out[i] = infer_dim((int64_t) floor((double) p->scale[i]
                                                  * (double) dim[i]));

            if (p->out[i].base == 0 || below(2)) {
                p->out[i].base++;
                p->scale[i] = (float) ((double) p->out[i].base
                                       / (double) dim[i]);
            }
        }

        if (coord == INFER_COORD_TF_CROP_AND_RESIZE && below(2)) {
            p->roi_start[i] = (float) (real() / 4);
            p->roi_end[i] = (float) (1 + real() / 4);
        }
    }

    x = random_tensor(dtype, rank, dim);
    good = run_op(INFER_OP_RESIZE, &param, in, 1, &y, 1, 0) == 0;

    if (!good) {
        printf("# %s\n", err.text);
    }

    for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
        to_index(&y, i, at);
        e = element(p, &x, &y, at, 0, from);
        good &= close_to(get(&y, i), e,
                         mode == INFER_RESIZE_NEAREST ? 0 : 2e-5);
    }

    free(x.data);
    free(y.data);

    return good;
}


static void
test_resize(void)
{
    int          good;
    const char  *mode[] = { "nearest", "linear", "cubic" };

    for (int coord = 0; coord <= INFER_COORD_HALF_PIXEL_SYMMETRIC; coord++) {
        for (int m = INFER_RESIZE_NEAREST; m <= INFER_RESIZE_CUBIC; m++) {
            good = 1;

            for (int round = 0; round < 60; round++) {
                good &= resize_case(INFER_F32, m, coord, 0);
            }

            ok(good, "resize %s, coordinates %d", mode[m], coord);
        }
    }

    good = 1;

    for (int round = 0; round < 100; round++) {
        good &= resize_case(INFER_F32, INFER_RESIZE_LINEAR + round % 2,
                            INFER_COORD_HALF_PIXEL, 1);
    }

    ok(good, "resize with antialiasing");
    good = 1;

    for (int round = 0; round < 100; round++) {
        good &= resize_case(round % 3 == 0 ? INFER_U8
                            : round % 3 == 1 ? INFER_I16 : INFER_F64,
                            INFER_RESIZE_NEAREST, round % 3, 0);
    }

    ok(good, "resize nearest of other dtypes");
}


/* 7 -> 3: (1 + 0.5) * 7 / 3 - 0.5 is 3, and 3 / 7 in float is not exact. */
static void
test_exact_ratio(void)
{
    int64_t          n = 7;
    infer_param_t    param;
    infer_tensor_t   x = random_tensor(INFER_F32, 1, &n), y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));
    param.resize.nearest = INFER_NEAREST_FLOOR;
    param.resize.scale[0] = 3.0f / 7;
    param.resize.out[0] = infer_dim(3);
    run_op(INFER_OP_RESIZE, &param, in, 1, &y, 1, 0);
    ok(get(&y, 1) == get(&x, 3), "a coordinate that is an integer stays one");
    free(x.data);
    free(y.data);
}


static void
test_refusals(void)
{
    int64_t          d[] = { 2, 0 };
    infer_param_t    good, p;
    infer_resize_t  *r = &p.resize;
    infer_tensor_t   x = tensor(INFER_F32, 1, d), i = tensor(INFER_I32, 1, d);
    infer_tensor_t   e = tensor(INFER_F32, 2, d);
    infer_tensor_t  *xs[] = { &x }, *is[] = { &i }, *es[] = { &e };

    memset(&good, 0, sizeof(good));
    good.resize.mode = INFER_RESIZE_LINEAR;
    good.resize.scale[0] = good.resize.scale[1] = 2;
    good.resize.out[0] = good.resize.out[1] = infer_dim(4);

    ok(refused(INFER_OP_RESIZE, &good, is, 1, 1, 0, "int32"),
       "resize: linear of integers");
    ok(refused(INFER_OP_RESIZE, &good, es, 1, 1, 0, "cannot become"),
       "resize: something from nothing");
    p = good;
    r->scale[0] = 0;
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "scale"), "resize: scale 0");
    r->scale[0] = NAN;
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "scale"),
       "resize: scale NaN");
    r->scale[0] = 1e-30f;
    r->antialias = 1;
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "suit"),
       "resize: an antialiasing kernel without end");
    p = good;
    r->roi_start[0] = INFINITY;
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "scale"),
       "resize: an infinite roi");
    p = good;
    r->mode = 3;
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "mode"), "resize: mode 3");
    p = good;
    r->out[0] = (infer_dim_t) { 0, 4 };
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "batch"),
       "resize: into the batch");
    p = good;
    r->out[0] = infer_dim(-1);
    ok(refused(INFER_OP_RESIZE, &p, xs, 1, 1, 0, "cannot become"),
       "resize: a negative size");
    free(x.data);
    free(i.data);
    free(e.data);
}


int
main(void)
{
    test_resize();
    test_exact_ratio();
    test_refusals();

    return done();
}
