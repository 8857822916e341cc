/*
 * The product: the register tile that every convolution and fully connected
 * layer ends in.  Contracts: kernels.h.  Written over a vec_*.h, which is
 * included before, as are vec_math.h and rows.h.
 *
 * Accumulators are named variables made by macros, one variant for each
 * number of rows: gcc keeps names in registers where it spills an array.
 * The includer says which variants suit its registers:
 *
 *   TILES_<P>(X)  X(rows, P) for rows from 1 on, P panels: 1, 2, 3, 4, 8;
 *                 nothing where there are none
 *   TILE_PANELS   the widest variants that many rows use; the wider ones are
 *                 for as few rows as they have, that enough sums are under
 *                 way, and enough memory streams
 */

#ifndef INFER_KERNELS_TILE_H
#define INFER_KERNELS_TILE_H

#include <assert.h>


/* X(i, P) for rows i below R */
#define ROWS_1(X, P)   X(0, P)
#define ROWS_2(X, P)   ROWS_1(X, P) X(1, P)
#define ROWS_3(X, P)   ROWS_2(X, P) X(2, P)
#define ROWS_4(X, P)   ROWS_3(X, P) X(3, P)
#define ROWS_5(X, P)   ROWS_4(X, P) X(4, P)
#define ROWS_6(X, P)   ROWS_5(X, P) X(5, P)
#define ROWS_7(X, P)   ROWS_6(X, P) X(6, P)
#define ROWS_8(X, P)   ROWS_7(X, P) X(7, P)
#define ROWS_9(X, P)   ROWS_8(X, P) X(8, P)
#define ROWS_10(X, P)  ROWS_9(X, P) X(9, P)
#define ROWS_11(X, P)  ROWS_10(X, P) X(10, P)
#define ROWS_12(X, P)  ROWS_11(X, P) X(11, P)
#define ROWS_13(X, P)  ROWS_12(X, P) X(12, P)
#define ROWS_14(X, P)  ROWS_13(X, P) X(13, P)

/* X(r, P) for r = 1 .. rows */
#define HEIGHTS_1(X, P)   X(1, P)
#define HEIGHTS_2(X, P)   HEIGHTS_1(X, P) X(2, P)
#define HEIGHTS_3(X, P)   HEIGHTS_2(X, P) X(3, P)
#define HEIGHTS_6(X, P)   HEIGHTS_3(X, P) X(4, P) X(5, P) X(6, P)
#define HEIGHTS_9(X, P)   HEIGHTS_6(X, P) X(7, P) X(8, P) X(9, P)
#define HEIGHTS_14(X, P)  HEIGHTS_9(X, P) X(10, P) X(11, P) X(12, P)          \
                          X(13, P) X(14, P)

/* X(p, i) for panels p below P */
#define PANELS_1(X, i)  X(0, i)
#define PANELS_2(X, i)  PANELS_1(X, i) X(1, i)
#define PANELS_3(X, i)  PANELS_2(X, i) X(2, i)
#define PANELS_4(X, i)  PANELS_3(X, i) X(3, i)
#define PANELS_8(X, i)  PANELS_4(X, i) X(4, i) X(5, i) X(6, i) X(7, i)


/* ---- parts that depthwise.h shares ---------------------------------- */

/* Accumulator acc<row>_<panel>, mask m<panel>; c and r point at column 0. */
#define DECLARE(i, P)          PANELS_##P(DECLARE1, i)
#define DECLARE1(p, i)         vf  acc##i##_##p = bias##p;
#define BIAS(p, i)             vf  bias##p = v_load(bias + 16 * p);
#define MASK(p, i)             vm  m##p = v_mask(n > 16 * p ? n - 16 * p : 0);

#define RESUME(i, P)           PANELS_##P(RESUME1, i)
#define RESUME1(p, i)          ACC(p, i, v_load_m(c + i * ldc + 16 * p, m##p))
#define RESIDUAL(i, P)         PANELS_##P(RESIDUAL1, i)
#define RESIDUAL1(p, i)        ACC(p, i, v_add(acc##i##_##p,                 \
                                   v_load_m(r + i * ldr + 16 * p, m##p)))
#define CLIP(i, P)             PANELS_##P(CLIP1, i)
#define CLIP1(p, i)            ACC(p, i, v_clip(acc##i##_##p, act_a, act_b))
#define HARDSIGMOID(i, P)      PANELS_##P(HARDSIGMOID1, i)
#define HARDSIGMOID1(p, i)     ACC(p, i, v_hardsigmoid(acc##i##_##p, act_a,  \
                                                       act_b))
#define HARDSWISH(i, P)        PANELS_##P(HARDSWISH1, i)
#define HARDSWISH1(p, i)       ACC(p, i, v_hardswish(acc##i##_##p))
#define STORE(i, P)            PANELS_##P(STORE1, i)
#define STORE1(p, i)           v_store_m(c + i * ldc + 16 * p, acc##i##_##p, \
                                         m##p);
#define ACC(p, i, EXPR)        acc##i##_##p = (EXPR);

/* Residual, activation, store. */
#define EPILOGUE(R, P, act)                                                  \
    do {                                                                     \
        vf  act_a = v_set1((act)->a);                                        \
        vf  act_b = v_set1((act)->b);                                        \
                                                                             \
        if (r) {                                                             \
            ROWS_##R(RESIDUAL, P)                                            \
        }                                                                    \
                                                                             \
        switch ((act)->kind) {                                               \
                                                                             \
        case INFER_CLIP:                                                     \
            ROWS_##R(CLIP, P)                                                \
            break;                                                           \
                                                                             \
        case INFER_HARDSIGMOID:                                              \
            ROWS_##R(HARDSIGMOID, P)                                         \
            break;                                                           \
                                                                             \
        case INFER_HARDSWISH:                                                \
            ROWS_##R(HARDSWISH, P)                                           \
            break;                                                           \
        }                                                                    \
                                                                             \
        ROWS_##R(STORE, P)                                                   \
    } while (0)


/*
 * Activations that need a polynomial are not computed beside a full set of
 * accumulators, but over the rows just stored.
 */
static void
finish_act(const infer_unary_t *act, float *c, size_t ldc, size_t rows,
    size_t n)
{
    switch (act->kind) {

    case INFER_NONE:
    case INFER_CLIP:
    case INFER_HARDSIGMOID:
    case INFER_HARDSWISH:
        return;
    }

    for (size_t i = 0; i < rows; i++) {
        unary_f32(act, c + i * ldc, c + i * ldc, n);
    }
}


/* ---- the tile --------------------------------------------------------- */

/* Few rows take weights faster than they come, and fetch their own: a CPU's
   prefetching stops at each page of 4 KB. */
#define FEW_ROWS               3
#define AHEAD                  1024

/* Up to here narrow tiles are faster, which take weights from the second cache
   at half the rate, since it is busy with those that come next. */
#define LOW_ROWS               56

/* Rows are addressed from two pointers, so that six offsets serve all. */
#define ROW(i)                 ((i) < 7 ? a : a7)[((i) % 7) * lda]

#define WEIGHTS(p, i)          vf  w##p = v_load(w + p * panel);
#define FETCH(p, i)            __builtin_prefetch(w + p * panel + AHEAD);
#define MAC(i, P)              { vf  x = v_set1(ROW(i)); PANELS_##P(MAC1, i) }
#define MAC1(p, i)             ACC(p, i, v_fma(x, w##p, acc##i##_##p))

#define STEP(R, P)                                                           \
    do {                                                                     \
        __builtin_prefetch(next, 0, 2);                                      \
        PANELS_##P(WEIGHTS, )                                                \
                                                                             \
        if (R <= FEW_ROWS) {                                               \
            PANELS_##P(FETCH, )                                              \
        }                                                                    \
                                                                             \
        ROWS_##R(MAC, P)                                                     \
                                                                             \
        w += 16;                                                             \
        next += stride;                                                      \
        a++;                                                                 \
        a7++;                                                                \
    } while (0)

/*
 * R rows from `row` on, P panels from column `col` on; meanwhile what lies at
 * `next` and k - 1 times `stride` floats on is fetched into the second cache.
 */
#define TILE(R, P)                                                           \
static void                                                                  \
tile_##R##x##P(const infer_tile_f32_t *t, size_t row, size_t col,            \
    const float *next, size_t stride)                                        \
{                                                                            \
    size_t        lda = t->lda;                                              \
    size_t        ldr = t->ldr;                                              \
    size_t        ldc = t->ldc;                                              \
    size_t        n = t->n - col;                                            \
    size_t        panel = panel_step(t);                                     \
    float        *c = t->c + row * ldc + col;                                \
    const float  *a = t->a + row * lda;                                      \
    const float  *a7 = R > 7 ? a + 7 * lda : a;                              \
    const float  *r = t->residual ? t->residual + row * ldr + col : NULL;    \
    const float  *w = t->panels + col / 16 * panel;                          \
    size_t        run = t->run_step ? t->run : t->k;                         \
    size_t        skip = t->run_step ? t->run_step - t->run : 0;             \
    const float  *last = w + t->k * 16;                                      \
    const float  *bias = t->bias + col;                                      \
                                                                             \
    PANELS_##P(BIAS, )                                                       \
    PANELS_##P(MASK, )                                                       \
    ROWS_##R(DECLARE, P)                                                     \
                                                                             \
    if (t->resume) {                                                         \
        ROWS_##R(RESUME, P)                                                  \
    }                                                                        \
                                                                             \
    do {                                                                     \
        for (size_t k = run / 2; k > 0; k--) {                               \
            STEP(R, P);                                                      \
            STEP(R, P);                                                      \
        }                                                                    \
                                                                             \
        if (run % 2) {                                                       \
            STEP(R, P);                                                      \
        }                                                                    \
                                                                             \
        a += skip;                                                           \
        a7 += skip;                                                          \
    } while (w != last);                                                     \
                                                                             \
    EPILOGUE(R, P, t->act);                                                  \
    finish_act(t->act, c, ldc, R, n < P * 16 ? n : P * 16);                  \
}


static inline size_t
panel_step(const infer_tile_f32_t *t)
{
    return t->panel_step ? t->panel_step : t->k * 16;
}


TILES_1(TILE)
TILES_2(TILE)
TILES_3(TILE)
TILES_4(TILE)
TILES_8(TILE)


typedef void (*tile_t)(const infer_tile_f32_t *t, size_t row, size_t col,
    const float *next, size_t stride);

typedef struct {
    size_t         panels;
    size_t         rows;               /* at most */
    const tile_t  *tile;               /* by rows */
} tile_width_t;

#define TILE_NAME(R, P)  tile_##R##x##P,
#define TILE_WIDTH(P)                                                        \
    { P, sizeof(tiles_##P) / sizeof(tile_t) - 1, tiles_##P }


/* 1 where the variants may compute the next of `panels` panels. */
static int
suits(const tile_width_t *width, size_t rows, size_t panels)
{
    if (width->panels > panels) {
        return 0;
    }

    if (rows <= FEW_ROWS) {
        return rows <= width->rows;
    }

    if (rows <= LOW_ROWS && width->panels > 2) {
        return 0;
    }

    /* five are better three and two than four and one */
    return width->panels <= TILE_PANELS
           && (width->panels != 4 || panels != 5);
}


/* The variants for the next of `panels` panels, times `rows` rows. */
static const tile_width_t *
tile_width(size_t rows, size_t panels)
{
    static const tile_t        tiles_1[] = { NULL, TILES_1(TILE_NAME) };
    static const tile_t        tiles_2[] = { NULL, TILES_2(TILE_NAME) };
    static const tile_t        tiles_3[] = { NULL, TILES_3(TILE_NAME) };
    static const tile_t        tiles_4[] = { NULL, TILES_4(TILE_NAME) };
    static const tile_t        tiles_8[] = { NULL, TILES_8(TILE_NAME) };
    static const tile_width_t  widths[] = {
        TILE_WIDTH(8), TILE_WIDTH(4), TILE_WIDTH(3), TILE_WIDTH(2),
        TILE_WIDTH(1)
    };
    const tile_width_t        *width = widths;

    while (width->panels > 1 && !suits(width, rows, panels)) {
        width++;
    }

    return width;
}


/* Float number i of panels of k x 16. */
static inline const float *
part(const float *panels, size_t step, size_t k, size_t i)
{
    size_t  size = k * 16;

    return step == size || k == 0 ? panels + i
                                  : panels + i / size * step + i % size;
}


/*
 * All rows of some panels, then of the next ones: these panels stay in the
 * first or second cache while rows come through it one tile after the other,
 * and each tile fetches an equal part of the panels that follow: memory is
 * slow, but not idle.
 */
static void
tile_f32(const infer_tile_f32_t *t)
{
    size_t               step, stride, tiles, rows, end, panels;
    const float         *w, *next;
    const tile_width_t  *width;

    assert(t->rows > 0 && t->n > 0);

    step = panel_step(t);

    for (size_t col = 0; col < t->n; col = end) {
        panels = (t->n - col + 15) / 16;
        width = tile_width(t->rows, panels);
        end = col + width->panels * 16;
        w = t->panels + col / 16 * step;

        /* of about equal height: a low tile has too few sums under way */
        tiles = (t->rows + width->rows - 1) / width->rows;

        next = end < t->n ? w + width->panels * step : t->next;
        panels = end < t->n ? panels - width->panels : width->panels;
        panels = panels < width->panels ? panels : width->panels;
        stride = next != NULL && t->rows > FEW_ROWS
                 ? (panels * 16 + tiles - 1) / tiles : 0;

        for (size_t row = 0, i = 0; row < t->rows; row += rows, i++) {
            rows = (t->rows - row + tiles - i - 1) / (tiles - i);

            width->tile[rows](t, row, col,
                              stride > 0 ? part(next, step, t->k,
                                                i * stride * t->k) : w,
                              stride);
        }
    }
}

#endif /* INFER_KERNELS_TILE_H */
