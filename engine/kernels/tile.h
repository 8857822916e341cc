/*
 * The product: the register tile that every convolution and fully connected
 * layer ends in.  Contracts: kernels.h.  Written over a vec_*.h, which is
 * included before, as are vec_math.h and rows.h.
 *
 * Accumulators are named variables made by macros, one variant for each
 * number of rows: gcc keeps names in registers where it spills an array.
 * The includer says which variants suit its registers:
 *
 *   TILE_MAX_ROWS        rows of the largest variant
 *   TILE_VARIANTS(X, P)  X(rows, P) for rows 1 .. TILE_MAX_ROWS
 *   TILE_WIDE            1: variants of two panels as well
 *   TILE_FEW             1: variants of 4 and 8 panels for up to 3 rows, that
 *                        enough sums are under way, and enough memory streams
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

/* X(p, i) for panels p below P */
#define PANELS_1(X, i)  X(0, i)
#define PANELS_2(X, i)  PANELS_1(X, i) X(1, i)
#define PANELS_4(X, i)  PANELS_2(X, i) X(2, i) X(3, i)
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

/* Weights come from far where they exceed the second cache: a CPU's own
   prefetching stops at each page of 4 KB. */
#define AHEAD                  1024

/* Rows are addressed from two pointers, so that six offsets serve all. */
#define ROW(i)                 ((i) < 7 ? a : a7)[((i) % 7) * lda]

#define WEIGHTS(p, i)          vf  w##p = v_load(w + p * panel);
#define FETCH(p, i)            __builtin_prefetch(w + p * panel + AHEAD);
#define MAC(i, P)              { vf  x = v_set1(ROW(i)); PANELS_##P(MAC1, i) }
#define MAC1(p, i)             ACC(p, i, v_fma(x, w##p, acc##i##_##p))

/* R rows from `row` on, P panels from column `col` on. */
#define TILE(R, P)                                                           \
static void                                                                  \
tile_##R##x##P(const infer_tile_f32_t *t, size_t row, size_t col)            \
{                                                                            \
    size_t        lda = t->lda;                                              \
    size_t        ldr = t->ldr;                                              \
    size_t        ldc = t->ldc;                                              \
    size_t        n = t->n - col;                                            \
    size_t        panel = t->panel_step ? t->panel_step : t->k * 16;         \
    float        *c = t->c + row * ldc + col;                                \
    const float  *a = t->a + row * lda;                                      \
    const float  *a7 = R > 7 ? a + 7 * lda : a;                              \
    const float  *r = t->residual ? t->residual + row * ldr + col : NULL;    \
    const float  *w = t->panels + col / 16 * panel;                          \
    size_t        run = (t->run_step ? t->run : t->k) * 16;                  \
    size_t        skip = t->run_step ? t->run_step - t->run : 0;             \
    const float  *end = w, *last = w + t->k * 16;                            \
    const float  *bias = t->bias + col;                                      \
    const float  *next = t->next ? t->next + col / 2 * t->k : w;             \
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
        for (end += run; w != end; w += 16, a++, a7++, next += 16) {         \
            __builtin_prefetch(next, 0, 2);                                  \
            PANELS_##P(WEIGHTS, )                                            \
            PANELS_##P(FETCH, )                                              \
            ROWS_##R(MAC, P)                                                 \
        }                                                                    \
                                                                             \
        a += skip;                                                           \
        a7 += skip;                                                          \
    } while (w != last);                                                     \
                                                                             \
    EPILOGUE(R, P, t->act);                                                  \
}

TILE_VARIANTS(TILE, 1)

#if TILE_WIDE
TILE_VARIANTS(TILE, 2)
#endif

#if TILE_FEW
TILE(1, 8)
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
#endif


#define TILE_ROW(R, P)  TILE_NAME(R, P),
#define TILE_NAME(R, P)  tile_##R##x##P

typedef void (*tile_t)(const infer_tile_f32_t *t, size_t row, size_t col);

/*
 * All columns of up to TILE_MAX_ROWS rows, with the widest tile that keeps
 * its accumulators in registers.
 */
static void
tile_row_block(const infer_tile_f32_t *t, size_t row, size_t rows)
{
    static const tile_t  narrow[] = { TILE_VARIANTS(TILE_ROW, 1) };
#if TILE_WIDE
    static const tile_t  wide[] = { TILE_VARIANTS(TILE_ROW, 2) };
#endif
#if TILE_FEW
    static const tile_t  few[] = { TILE_NAME(1, 4), TILE_NAME(2, 4),
                                   TILE_NAME(3, 4) };
#endif
    tile_t  tile;
    size_t  panels;

    for (size_t col = 0; col < t->n; col += panels * 16) {
        tile = narrow[rows - 1];
        panels = 1;

#if TILE_WIDE
        if (t->n - col > 16) {
            tile = wide[rows - 1];
            panels = 2;
        }
#endif
#if TILE_FEW
        if (rows <= 3 && t->n - col > 3 * 16) {
            tile = few[rows - 1];
            panels = 4;
        }

        if (rows == 1 && t->n - col > 7 * 16) {
            tile = TILE_NAME(1, 8);
            panels = 8;
        }
#endif

        tile(t, row, col);
    }

    finish_act(t->act, t->c + row * t->ldc, t->ldc, rows, t->n);
}


static void
tile_f32(const infer_tile_f32_t *t)
{
    size_t  rows, left, tiles;

    assert(t->rows > 0 && t->n > 0);

    /* of about equal height: a low tile has too few sums under way */
    for (size_t row = 0; row < t->rows; row += rows) {
        left = t->rows - row;
        tiles = (left + TILE_MAX_ROWS - 1) / TILE_MAX_ROWS;
        rows = (left + tiles - 1) / tiles;

        tile_row_block(t, row, rows);
    }
}

#endif /* INFER_KERNELS_TILE_H */
