/*
 * Kernels that multiply or look through windows, the tile, pools and depthwise:
 * every instruction set of this CPU has the bits of the scalar reference, for
 * every tail, and writes nothing else.
 */

#include "kernel.h"


/* ---- the tile --------------------------------------------------------- */

/* What kernels.h says, one output at a time. */
static void
naive_tile(const infer_tile_f32_t *t)
{
    float  sum;

    for (size_t i = 0; i < t->rows; i++) {
        for (size_t j = 0; j < t->n; j++) {
            sum = t->bias[j];

            for (size_t k = 0; k < t->k; k++) {
                sum = fmaf(t->a[i * t->lda + k],
                           t->panels[(j / 16 * t->k + k) * 16 + j % 16], sum);
            }

            if (t->residual) {
                sum += t->residual[i * t->ldr + j];
            }

            reference->unary_f32(t->act, &sum, &t->c[i * t->ldc + j], 1);
        }
    }
}


/* 1 where the tile's result is that of naive_tile, and nothing else. */
static int
tile_agrees(const infer_kernels_t *kernels, size_t rows, size_t n, size_t k,
    const infer_unary_t *act, int residual)
{
    int               pass;
    size_t            ldc = n + random_bits() % 5, lda = k + random_bits() % 5;
    size_t            padded = (n + 15) / 16 * 16;
    float            *a = random_floats(rows * lda);
    float            *w = random_floats(padded * k);
    float            *bias = random_floats(padded);
    float            *r = random_floats(rows * ldc);
    float            *c = filled(rows * ldc, CANARY);
    float            *expected = filled(rows * ldc, CANARY);
    infer_tile_f32_t  t = {
        .a = a, .lda = lda, .rows = rows, .k = k, .panels = w, .n = n,
        .bias = bias, .residual = residual ? r : NULL, .ldr = ldc,
        .c = expected, .ldc = ldc, .act = act
    };

    naive_tile(&t);
    t.c = c;
    kernels->tile_f32(&t);

    pass = same(c, expected, rows * ldc);

    free(a);
    free(w);
    free(bias);
    free(r);
    free(c);
    free(expected);

    return pass;
}


/*
 * 1 where k in two parts, the sums between them in c, and rows in runs with
 * gaps between them give the same bits.
 */
static int
parts_agree(const infer_kernels_t *kernels, size_t rows, size_t n, size_t run,
    size_t runs)
{
    int               pass;
    size_t            k = run * runs, gap = random_bits() % 5;
    size_t            lda = runs * (run + gap);
    size_t            padded = (n + 15) / 16 * 16;
    float            *a = random_floats(rows * k);
    float            *spread = random_floats(rows * lda);
    float            *w = random_floats(padded * k);
    float            *bias = random_floats(padded);
    float            *c = filled(rows * n, CANARY);
    float            *expected = filled(rows * n, CANARY);
    infer_tile_f32_t  t = {
        .a = a, .lda = k, .rows = rows, .k = k, .panels = w, .n = n,
        .bias = bias, .residual = bias, .ldr = 0, .c = expected, .ldc = n,
        .act = &acts[1], .panel_step = k * 16
    };

    naive_tile(&t);

    t.c = c;
    t.next = w;
    t.k = k / 3;
    t.act = &acts[0];
    t.residual = NULL;
    kernels->tile_f32(&t);

    t.a += t.k;
    t.panels += t.k * 16;
    t.k = k - t.k;
    t.act = &acts[1];
    t.residual = bias;
    t.resume = 1;
    kernels->tile_f32(&t);

    pass = same(c, expected, rows * n);

    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < k; j++) {
            spread[i * lda + j / run * (run + gap) + j % run] = a[i * k + j];
        }
    }

    t.a = spread;
    t.lda = lda;
    t.k = k;
    t.run = run;
    t.run_step = run + gap;
    t.panels = w;
    t.resume = 0;
    kernels->tile_f32(&t);

    pass = pass && same(c, expected, rows * n);

    free(a);
    free(spread);
    free(w);
    free(bias);
    free(c);
    free(expected);

    return pass;
}


static void
test_parts(const infer_kernels_t *kernels)
{
    int  failed = 0;

    for (size_t rows = 1; rows <= 70; rows += rows < 14 ? 1 : 7) {
        for (size_t n = 1; n <= 150; n += 7) {
            failed += !parts_agree(kernels, rows, n, 1 + random_bits() % 9,
                                   1 + random_bits() % 4);
        }
    }

    ok(failed == 0, "%s tile: k in parts, rows in runs", kernels->name);
}


/* ---- pools ------------------------------------------------------------ */

static int
pool_agrees(const infer_kernels_t *kernels, size_t width, size_t channels,
    size_t taps, int sum)
{
    int                pass;
    size_t             ldc = channels + taps % 3, n = width * ldc;
    float             *x = random_floats((width * 2 + taps) * channels);
    float             *c = filled(n + 1, CANARY);
    float             *expected = filled(n + 1, CANARY), *at;
    infer_tap_t       *tap = malloc(taps * sizeof(infer_tap_t));
    infer_pool_f32_t   p = {
        .tap = tap, .taps = taps, .width = width, .channels = channels,
        .sum = sum, .c = c, .ldc = ldc
    };

    for (size_t t = 0; t < taps; t++) {
        tap[t].x = x + t * channels;
        tap[t].step = 2 * channels;
    }

    for (size_t i = 0; i < n; i++) {
        if (i % ldc >= channels) {
            continue;
        }

        at = x + i / ldc * 2 * channels + i % ldc;
        expected[i] = *at;

        for (size_t t = 1; t < taps; t++) {
            expected[i] = sum ? expected[i] + at[t * channels]
                          : fmaxf(expected[i], at[t * channels]);
        }
    }

    kernels->pool_f32(&p);

    pass = same(c, expected, n + 1);

    free(x);
    free(c);
    free(expected);
    free(tap);

    return pass;
}


static void
test_pool(const infer_kernels_t *kernels)
{
    int  failed = 0;

    for (size_t channels = 1; channels <= 150;
         channels += channels < 70 ? 1 : 11)
    {
        for (size_t taps = 1; taps <= 5; taps++) {
            failed += !pool_agrees(kernels, 1 + channels % 9, channels, taps,
                                   (channels + taps) % 2);
        }
    }

    ok(failed == 0, "%s pool: 1 to 150 channels", kernels->name);
}


static void
test_tile(const infer_kernels_t *kernels)
{
    int     failed;
    size_t  k;

    for (size_t rows = 1; rows <= kernels->tile_rows; rows++) {
        failed = 0;

        for (size_t n = 1; n <= 150; n += n < 70 ? 1 : 13) {
            k = random_bits() % 41;
            failed += !tile_agrees(kernels, rows, n, k,
                                   &acts[random_bits() % ACTS],
                                   random_bits() % 2);
        }

        ok(failed == 0, "%s tile: %zu rows, 1 to 150 columns",
           kernels->name, rows);
    }

    failed = 0;

    for (k = 0; k <= 40; k++) {
        failed += !tile_agrees(kernels, 14, 32, k, &acts[k % ACTS], k & 1);
    }

    ok(failed == 0, "%s tile: k 0 to 40", kernels->name);

    for (size_t i = 0; i < ACTS; i++) {
        ok(tile_agrees(kernels, 14, 48, 147, &acts[i], 1)
           && tile_agrees(kernels, 1, 200, 147, &acts[i], 0),
           "%s tile: activation %d", kernels->name, acts[i].kind);
    }

    failed = 0;

    for (size_t rows = 13; rows <= 80; rows++) {
        failed += !tile_agrees(kernels, rows, 1 + rows * 5 % 170, 9,
                               &acts[rows % ACTS], rows & 1);
    }

    for (size_t n = 1; n <= 180; n += 5) {
        failed += !tile_agrees(kernels, 57 + n % 7, n, 9, &acts[n % ACTS],
                               n & 1);
    }

    ok(failed == 0, "%s tile: more rows than one tile", kernels->name);

    ok(tile_agrees(kernels, 14, 70, 2304, &acts[1], 1)
       && tile_agrees(kernels, 61, 70, 2304, &acts[2], 1),
       "%s tile: large k", kernels->name);

    test_parts(kernels);
}


/* ---- depthwise -------------------------------------------------------- */

/* Of 60 pixels those that a window's lines cover; some are zeros. */
typedef struct {
    size_t            lines, width, stride, outputs, channels, taps;
    float            *x, *zeros;
    const float     **pixel;
    infer_line_f32_t  line[5];
} window_t;


static window_t
random_window(size_t channels)
{
    size_t    n;
    window_t  w;

    w.channels = channels;
    w.lines = random_bits() % 6;
    w.width = 1 + random_bits() % 5;
    w.stride = 1 + random_bits() % w.width;
    w.outputs = 1 + random_bits() % 30;
    w.taps = 5 * w.width;
    w.x = random_floats(60 * channels);
    w.zeros = filled(channels, 0);

    n = (w.outputs - 1) * w.stride + w.width;
    w.pixel = malloc((w.lines * n + 1) * sizeof(*w.pixel));

    for (size_t i = 0; i < w.lines * n; i++) {
        w.pixel[i] = random_bits() % 6 == 0
                     ? w.zeros : w.x + random_bits() % 60 * channels;
    }

    for (size_t i = 0; i < w.lines; i++) {
        w.line[i].pixel = w.pixel + i * n;
        w.line[i].tap = random_bits() % 5 * w.width;
    }

    return w;
}


static void
free_window(window_t *w)
{
    free(w->x);
    free(w->zeros);
    free((void *) w->pixel);
}


/* Channel j of output i, before residual and activation. */
static float
naive_depthwise(const window_t *w, const float *panels, float bias, size_t i,
    size_t j)
{
    float  sum = bias;

    for (size_t l = 0; l < w->lines; l++) {
        for (size_t t = 0; t < w->width; t++) {
            sum = fmaf(w->line[l].pixel[i * w->stride + t][j],
                       panels[(j / 16 * w->taps + w->line[l].tap + t) * 16
                              + j % 16], sum);
        }
    }

    return sum;
}


/* All channels at once, or in two parts. */
static int
depthwise_agrees(const infer_kernels_t *kernels, size_t channels,
    const infer_unary_t *act, int residual)
{
    int                     pass;
    float                   sum;
    size_t                  padded = (channels + 15) / 16 * 16, at;
    window_t                win = random_window(channels);
    size_t                  n = win.outputs * channels;
    float                  *w = random_floats(padded * win.taps);
    float                  *bias = random_floats(padded);
    float                  *r = random_floats(n);
    float                  *c = filled(n + 1, CANARY);
    float                  *expected = filled(n + 1, CANARY);
    infer_depthwise_f32_t   d = {
        .line = win.line, .lines = win.lines, .width = win.width,
        .stride = win.stride, .taps = win.taps, .outputs = win.outputs,
        .channels = channels, .first = 0, .last = channels, .panels = w,
        .bias = bias, .residual = residual ? r : NULL, .c = c, .act = act
    };

    for (size_t i = 0; i < win.outputs; i++) {
        for (size_t j = 0; j < channels; j++) {
            at = i * channels + j;
            sum = naive_depthwise(&win, w, bias[j], i, j);
            sum += residual ? r[at] : 0;
            reference->unary_f32(act, &sum, &expected[at], 1);
        }
    }

    if (channels > 16 && random_bits() % 2) {
        d.last = 1 + random_bits() % ((channels - 1) / 16);
        d.last *= 16;
        kernels->depthwise_f32(&d);

        d.first = d.last;
        d.last = channels;
    }

    kernels->depthwise_f32(&d);

    pass = same(c, expected, n + 1);

    free_window(&win);
    free(w);
    free(bias);
    free(r);
    free(c);
    free(expected);

    return pass;
}


static void
test_depthwise(const infer_kernels_t *kernels)
{
    int  failed;

    for (size_t i = 0; i < ACTS; i++) {
        failed = 0;

        for (size_t n = 0; n < 300; n++) {
            failed += !depthwise_agrees(kernels, 1 + n % 75, &acts[i],
                                        random_bits() % 2);
        }

        ok(failed == 0, "%s depthwise: 1 to 75 channels, activation %d",
           kernels->name, acts[i].kind);
    }
}


int
main(void)
{
    const infer_kernels_t  *kernels;

    for (size_t i = 0; (kernels = infer_kernels_own(i)) != NULL; i++) {
        test_tile(kernels);
        test_pool(kernels);
        test_depthwise(kernels);
    }

    return done();
}
