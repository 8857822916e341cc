/*
 * Depthwise convolution.  Contracts: kernels.h.  Included after tile.h, whose
 * named accumulators it has too.
 *
 * Some neighbouring outputs of 16 channels are computed at once: a pixel that
 * several of their windows cover is then loaded once for all.  For the usual
 * windows this is written out; others load each pixel for each tap.
 */

#ifndef INFER_KERNELS_DEPTHWISE_H
#define INFER_KERNELS_DEPTHWISE_H


/* A masked load costs as much as a product: only where channels end. */
#define FULL(p)  v_load(p)
#define TAIL(p)  v_load_m(p, m0)

#define PIXEL(i, LOAD)    LOAD(pixel[i] + j)
#define TAP(i, x, w, LOAD)                                                   \
    ACC(0, i, v_fma(PIXEL(x, LOAD), w, acc##i##_0))

/*
 * One line of the window for R outputs; S pixels from one to the next.  The
 * compiler sees that the same pixels are loaded, and loads them once.
 */
#define TAPS_3(i, S, LOAD)                                                   \
    TAP(i, i * S, w0, LOAD) TAP(i, i * S + 1, w1, LOAD)                      \
    TAP(i, i * S + 2, w2, LOAD)
#define TAPS_5(i, S, LOAD)                                                   \
    TAPS_3(i, S, LOAD)                                                       \
    TAP(i, i * S + 3, w3, LOAD) TAP(i, i * S + 4, w4, LOAD)

#define TAPS_3_FULL_1(i, P)  TAPS_3(i, 1, FULL)
#define TAPS_3_TAIL_1(i, P)  TAPS_3(i, 1, TAIL)
#define TAPS_3_FULL_2(i, P)  TAPS_3(i, 2, FULL)
#define TAPS_3_TAIL_2(i, P)  TAPS_3(i, 2, TAIL)
#define TAPS_5_FULL_1(i, P)  TAPS_5(i, 1, FULL)
#define TAPS_5_TAIL_1(i, P)  TAPS_5(i, 1, TAIL)
#define TAPS_5_FULL_2(i, P)  TAPS_5(i, 2, FULL)
#define TAPS_5_TAIL_2(i, P)  TAPS_5(i, 2, TAIL)
#define TAPS_ANY_FULL(i, P)  TAP(i, i * stride, w0, FULL)
#define TAPS_ANY_TAIL(i, P)  TAP(i, i * stride, w0, TAIL)

#define LINE_WEIGHTS(i)      vf  w##i = v_load(w + 16 * i);
#define LINE_3(R, S, LOAD)                                                   \
    LINE_WEIGHTS(0) LINE_WEIGHTS(1) LINE_WEIGHTS(2)                          \
    ROWS_##R(TAPS_3_##LOAD##_##S, 1)
#define LINE_5(R, S, LOAD)                                                   \
    LINE_WEIGHTS(0) LINE_WEIGHTS(1) LINE_WEIGHTS(2) LINE_WEIGHTS(3)          \
    LINE_WEIGHTS(4)                                                          \
    ROWS_##R(TAPS_5_##LOAD##_##S, 1)
#define LINE_ANY(R, S, LOAD)                                                 \
    for (size_t k = 0; k < d->width; k++, pixel++, w += 16) {                \
        LINE_WEIGHTS(0)                                                      \
        ROWS_##R(TAPS_ANY_##LOAD, 1)                                         \
    }

/* R outputs from number x on, 16 channels from j on. */
#define DEPTHWISE(R, K, S, LOAD)                                             \
static void                                                                  \
depthwise_##K##_##S##_##LOAD##_##R(const infer_depthwise_f32_t *d, size_t x, \
    size_t j)                                                                \
{                                                                            \
    size_t        ldc = d->channels;                                         \
    size_t        ldr = ldc;                                                 \
    size_t        n = ldc - j;                                               \
    size_t        stride = d->stride;                                        \
    float        *c = d->c + x * ldc + j;                                    \
    const float  *r = d->residual ? d->residual + x * ldc + j : NULL;        \
    const float  *panel = d->panels + j * d->taps;                           \
    const float  *bias = d->bias + j;                                        \
                                                                             \
    PANELS_1(BIAS, )                                                         \
    PANELS_1(MASK, )                                                         \
    ROWS_##R(DECLARE, 1)                                                     \
                                                                             \
    for (size_t i = 0; i < d->lines; i++) {                                  \
        const float         *w = panel + d->line[i].tap * 16;                \
        const float *const  *pixel = d->line[i].pixel + x * stride;          \
                                                                             \
        LINE_##K(R, S, LOAD)                                                 \
    }                                                                        \
                                                                             \
    EPILOGUE(R, 1, d->act);                                                  \
}

#define DEPTHWISE_WINDOW(K, S)                                               \
    DEPTHWISE_VARIANTS(DEPTHWISE, K, S, FULL)                                \
    DEPTHWISE_VARIANTS(DEPTHWISE, K, S, TAIL)

DEPTHWISE_WINDOW(3, 1)
DEPTHWISE_WINDOW(3, 2)
DEPTHWISE_WINDOW(5, 1)
DEPTHWISE_WINDOW(5, 2)
DEPTHWISE_WINDOW(ANY, 0)


typedef void (*depthwise_t)(const infer_depthwise_f32_t *d, size_t x,
    size_t j);

#define DEPTHWISE_NAME(R, K, S, LOAD)  depthwise_##K##_##S##_##LOAD##_##R,
#define DEPTHWISE_NAMES(K, S)                                                \
    { { DEPTHWISE_VARIANTS(DEPTHWISE_NAME, K, S, FULL) },                    \
      { DEPTHWISE_VARIANTS(DEPTHWISE_NAME, K, S, TAIL) } }

static void
depthwise_f32(const infer_depthwise_f32_t *d)
{
    static const depthwise_t  windows[][2][DEPTHWISE_MAX] = {
        DEPTHWISE_NAMES(3, 1), DEPTHWISE_NAMES(3, 2),
        DEPTHWISE_NAMES(5, 1), DEPTHWISE_NAMES(5, 2),
        DEPTHWISE_NAMES(ANY, 0)
    };
    size_t                    rows, left, pieces, kind = 4;

    assert(d->taps > 0 && d->first % 16 == 0 && d->first < d->last);

    if ((d->width == 3 || d->width == 5)
        && (d->stride == 1 || d->stride == 2))
    {
        kind = d->width - 3 + d->stride - 1;
    }

    for (size_t x = 0; x < d->outputs; x += rows) {
        left = d->outputs - x;
        pieces = (left + DEPTHWISE_MAX - 1) / DEPTHWISE_MAX;
        rows = (left + pieces - 1) / pieces;

        for (size_t j = d->first; j < d->last; j += 16) {
            windows[kind][d->last - j < 16][rows - 1](d, x, j);
        }
    }

    finish_act(d->act, d->c + d->first, d->channels, d->outputs,
               d->last - d->first);
}

#endif /* INFER_KERNELS_DEPTHWISE_H */
