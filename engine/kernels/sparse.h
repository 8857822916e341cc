/*
 * The product with weights that are mostly zero: the tile's chain of
 * multiply-adds, without the rows of a panel that are left out.  Contract:
 * kernels.h.  Written over tile.h, whose variants of one panel it uses.
 */

#ifndef INFER_KERNELS_SPARSE_H
#define INFER_KERNELS_SPARSE_H

#include <assert.h>


/* Rows that stay in the first cache while all panels pass by; of longer ones
   a panel's weights do, while rows pass by. */
#define NEAR_BYTES  ((size_t) 32 << 10)


/* R rows from `row` on, the panel from column `col` on. */
#define SPARSE(R, P)                                                         \
static void                                                                  \
sparse_##R(const infer_sparse_f32_t *t, size_t row, size_t col)              \
{                                                                            \
    size_t           lda = t->lda;                                           \
    size_t           ldr = t->ldr;                                           \
    size_t           ldc = t->ldc;                                           \
    size_t           n = t->n - col;                                         \
    float           *c = t->c + row * ldc + col;                             \
    const float     *rows = t->a + row * lda;                                \
    const float     *rows7 = R > 7 ? rows + 7 * lda : rows;                  \
    const float     *r = t->residual ? t->residual + row * ldr + col : NULL; \
    const float     *bias = t->bias + col;                                   \
    const uint32_t  *index = t->index + t->start[col / 16];                  \
    const uint32_t  *last = t->index + t->start[col / 16 + 1];               \
    const float     *w = t->blocks + (size_t) t->start[col / 16] * 16;       \
                                                                             \
    PANELS_##P(BIAS, )                                                       \
    PANELS_##P(MASK, )                                                       \
    ROWS_##R(DECLARE, P)                                                     \
                                                                             \
    for ( /* void */ ; index != last; index++) {                             \
        vf            w0 = v_load(w);                                        \
        const float  *a = rows + *index;                                     \
        const float  *a7 = rows7 + *index;                                   \
                                                                             \
        (void) a7;                                                           \
        ROWS_##R(MAC, P)                                                     \
        w += 16;                                                             \
    }                                                                        \
                                                                             \
    EPILOGUE(R, P, t->act);                                                  \
    finish_act(t->act, c, ldc, R, n < 16 ? n : 16);                          \
}


TILES_1(SPARSE)


typedef void (*sparse_t)(const infer_sparse_f32_t *t, size_t row, size_t col);

#define SPARSE_NAME(R, P)  sparse_##R,


static void
sparse_f32(const infer_sparse_f32_t *t)
{
    size_t                 most, tiles, rows, width, first, end;
    static const sparse_t  tile[] = { NULL, TILES_1(SPARSE_NAME) };

    assert(t->rows > 0 && t->n > 0);

    most = sizeof(tile) / sizeof(tile[0]) - 1;
    tiles = (t->rows + most - 1) / most;
    width = most * t->lda * sizeof(float) > NEAR_BYTES ? 16 : t->n;

    for (size_t from = 0; from < t->n; from += width) {
        end = from + width < t->n ? from + width : t->n;
        first = 0;

        for (size_t i = 0; i < tiles; i++) {
            rows = (t->rows - first + tiles - i - 1) / (tiles - i);

            for (size_t col = from; col < end; col += 16) {
                tile[rows](t, first, col);
            }

            first += rows;
        }
    }
}

#endif /* INFER_KERNELS_SPARSE_H */
