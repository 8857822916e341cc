/*
 * The kernels for 8-bit tensors.  Contracts: kernels.h.  Written over a
 * vec_*.h, which is included before.  Sums are exact, and what follows them
 * are floats rounded once at each step: all instruction sets agree.
 *
 * The includer says which tiles suit its registers, as for tile.h, by the
 * names TILE_U8_MAX_ROWS, _VARIANTS, _WIDE and _FEW.
 */

#ifndef INFER_KERNELS_INTEGER_H
#define INFER_KERNELS_INTEGER_H

#include <string.h>

#include "kernels/bytes.h"
#include "kernels/variants.h"


/* Sums of the largest tile: of 14 rows and 2 panels, or 3 and 4. */
#define TILE_U8_SUMS  448


/* 64 bytes as numbers in the order of to_bytes: part 0 .. 3. */
#define FROM_BYTES(x, part)                                                  \
    v_convert(part == 0 ? vi_low16(vi_low8(x, vi_set1(0)), vi_set1(0))       \
              : part == 1 ? vi_high16(vi_low8(x, vi_set1(0)), vi_set1(0))    \
              : part == 2 ? vi_low16(vi_high8(x, vi_set1(0)), vi_set1(0))    \
              : vi_high16(vi_high8(x, vi_set1(0)), vi_set1(0)))


/* ---- the end of a product --------------------------------------------- */

/* Sums at acc, of row i, columns j .. j + 15, as numbers. */
static inline vf
scaled(const infer_end_t *e, const int32_t *acc, size_t i, size_t j, size_t n)
{
    vf  scale = v_load(e->scale + j);
    vf  v;
    vi  sum = vi_load(acc);

    if (e->weights) {
        sum = vi_sub(sum, vi_mul(vi_load(e->weights + j),
                                 vi_set1(e->x_zero[i * e->x_step])));
        scale = v_mul(scale, v_set1(e->x_scale[i * e->x_step]));
    }

    v = v_fma(v_convert(sum), scale, v_load(e->bias + j));

    if (e->residual) {
        v = v_fma(v_convert(vi_load_u8(e->residual + i * e->ldr + j, n)),
                  v_set1(e->residual_scale), v);
    }

    return v;
}


/* Up to 16 sums as they are, or as numbers. */
static inline void
end_numbers(const infer_end_t *e, const int32_t *acc, size_t i, size_t j,
    size_t n)
{
    size_t  at = i * e->ldc + j;

    n = n < 16 ? n : 16;

    if (e->dtype == INFER_I32) {
        vi_store_n((int32_t *) e->c + at, vi_load(acc), 4 * n);

    } else {
        v_store_m((float *) e->c + at, scaled(e, acc, i, j, n), v_mask(n));
    }
}


/* A constant size is a store or two. */
static inline void
copy_bytes(uint8_t *dst, const uint8_t *src, size_t n)
{
    if (n >= 64) {
        memcpy(dst, src, 64);

    } else if (n == 32) {
        memcpy(dst, src, 32);

    } else if (n == 16) {
        memcpy(dst, src, 16);

    } else {
        vi_store_n(dst, vi_load(src), n);
    }
}


/* Vector p of four: of one row, two or four, each `columns` wide. */
#define QUAD(p)                                                              \
    vf  v##p;                                                                \
    {                                                                        \
        size_t  l = 16 * p % columns;                                        \
        size_t  line = i + 16 * p / columns;                                 \
                                                                             \
        /* beyond the last row: the last again */                            \
        line = line < rows ? line : rows - 1;                                \
        v##p = v_fma(v_convert(vi_load(acc + line * width + l)),             \
                     v_load(scale + l), v_load(bias + l));                   \
                                                                             \
        if (residual) {                                                      \
            v##p = v_fma(v_convert(vi_load_u8(r + line * ldr + l,            \
                                              left - l)), by, v##p);         \
        }                                                                    \
    }

/*
 * rows x left sums, `width` apart, to bytes at c.  Compiled for each
 * `columns` (16, 32, 64) that left is at most and the last 16 of which it
 * reaches, with and without a residual, and with limits or without.
 */
static inline __attribute__((always_inline)) void
end_bytes(const infer_end_t *e, bytes_t k, size_t columns, int residual,
    const int32_t *acc, size_t width, size_t row, size_t col, size_t rows,
    size_t left)
{
    vf              by = v_set1(e->residual_scale);
    size_t          ldr = e->ldr, ldc = e->ldc;
    uint8_t         bytes[128] __attribute__((aligned(64)));
    uint8_t        *c = (uint8_t *) e->c + row * ldc + col;
    const float    *scale = e->scale + col, *bias = e->bias + col;
    const uint8_t  *r = residual ? e->residual + row * ldr + col : NULL;

    for (size_t i = 0; i < rows; i += 64 / columns) {
        QUAD(0) QUAD(1) QUAD(2) QUAD(3)

        vi_store_n(bytes, vi_order(to_bytes(&k, v0, v1, v2, v3)), 64);

        for (size_t line = 0; line < 64 / columns && i + line < rows; line++)
        {
            copy_bytes(c + (i + line) * ldc, bytes + line * columns, left);
        }
    }
}


static inline __attribute__((always_inline)) void
end_columns(const infer_end_t *e, const bytes_t *k, size_t columns,
    const int32_t *acc, size_t width, size_t row, size_t col, size_t rows,
    size_t left)
{
    if (left == columns && e->residual && k->plain) {
        end_bytes(e, *k, columns, 1, acc, width, row, col, rows, columns);

    } else if (left == columns && e->residual) {
        end_bytes(e, *k, columns, 1, acc, width, row, col, rows, columns);

    } else if (left == columns && k->plain) {
        end_bytes(e, *k, columns, 0, acc, width, row, col, rows, columns);

    } else if (left == columns) {
        end_bytes(e, *k, columns, 0, acc, width, row, col, rows, columns);

    } else {
        end_bytes(e, *k, columns, e->residual != NULL, acc, width, row, col,
                  rows, left);
    }
}


/*
 * rows x n sums, `width` apart, which belong at row, col; width is 16, 32 or
 * a multiple of 64, and n reaches its last 16.
 */
static void
end_block(const infer_end_t *e, const int32_t *acc, size_t width, size_t row,
    size_t col, size_t rows, size_t n)
{
    bytes_t  k = bytes_of(&e->bytes);

    if (e->dtype != INFER_U8) {
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < n; j += 16) {
                end_numbers(e, acc + i * width + j, row + i, col + j, n - j);
            }
        }

        return;
    }

    switch (width) {
    case 16:
        end_columns(e, &k, 16, acc, width, row, col, rows, n);
        break;

    case 32:
        end_columns(e, &k, 32, acc, width, row, col, rows, n);
        break;

    default:
        for (size_t j = 0; j < n; j += 64) {
            end_columns(e, &k, 64, acc + j, width, row, col + j, rows,
                        n - j < 64 ? n - j : 64);
        }
    }
}


/* ---- the tile --------------------------------------------------------- */

/* Few rows take weights faster than they come, and fetch their own: a CPU's
   prefetching stops at each page of 4 KB. */
#define U8_FEW_ROWS        3
#define U8_AHEAD           1024

/* Accumulator acc<row>_<panel>. */
#define U8_START(p, i)     vi  start##p = vi_load(start + 16 * p);
#define U8_DECLARE(i, P)   PANELS_##P(U8_DECLARE1, i)
#define U8_DECLARE1(p, i)  vi  acc##i##_##p = start##p;
#define U8_WEIGHTS(p, i)   vi  w##p = vi_load(w + p * panel);
#define U8_FETCH(p, i)     __builtin_prefetch(w + p * panel + U8_AHEAD);
#define U8_ROW(i)          (((i) < 7 ? a : a7) + ((i) % 7) * lda)
#define U8_MAC(i, P)       { vi  x = vi_set1(four(U8_ROW(i)));               \
                             PANELS_##P(U8_MAC1, i) }
#define U8_MAC1(p, i)      acc##i##_##p = vi_dot(acc##i##_##p, x, w##p);
#define U8_STORE(i, P)     PANELS_##P(U8_STORE1, i)
#define U8_STORE1(p, i)    vi_store_n(out + i * width + 16 * p,              \
                                      acc##i##_##p, 64);

/*
 * Where ends_in_place: the sums of two panels become bytes as they are in
 * registers, two rows at a time: row j is i + 1, or i where that is the last.
 */
#define U8_BYTES_1(R)
#define U8_BYTES_4(R)
#define U8_BYTES_8(R)
#define U8_BYTES_2(R)                                                        \
    if (out == NULL) {                                                       \
        const infer_end_t  *e = t->end;                                      \
        vf                  scale0 = v_load(e->scale + col);                 \
        vf                  scale1 = v_load(e->scale + col + 16);            \
        vf                  bias0 = v_load(e->bias + col);                   \
        vf                  bias1 = v_load(e->bias + col + 16);              \
        size_t              ldc = e->ldc;                                    \
        uint8_t            *c = (uint8_t *) e->c + row * ldc + col;          \
        bytes_t             k = bytes_of(&e->bytes);                         \
                                                                             \
        k.plain = k.bounded = 1;                                             \
                                                                             \
        PAIRS_##R(U8_PAIR)                                                   \
        return;                                                              \
    }

#define U8_PAIR(i, j)                                                        \
    {                                                                        \
        vi  q = vi_order(to_bytes(&k, U8_NUMBER(i, 0), U8_NUMBER(i, 1),      \
                                  U8_NUMBER(j, 0), U8_NUMBER(j, 1)));        \
                                                                             \
        vi_store_half(c, q, 0);                                              \
        vi_store_half(c + (j - i) * ldc, q, 1);                              \
        c += 2 * ldc;                                                        \
    }

#define U8_NUMBER(i, p)  v_fma(v_convert(acc##i##_##p), scale##p, bias##p)


static inline uint32_t
four(const uint8_t *a)
{
    uint32_t  x;

    memcpy(&x, a, 4);

    return x;
}


/* Whether bytes need nothing but scale, bias and zero point. */
static inline int
ends_in_place(const infer_end_t *e)
{
    return e->dtype == INFER_U8 && e->bounded && bytes_of(&e->bytes).plain
           && !e->weights && !e->residual;
}


/*
 * R rows from `row` on, P panels from column `col` on; meanwhile what lies at
 * `ahead` and each `stride` bytes on is fetched into the second cache.  out:
 * the sums, or NULL, for two panels: the results are stored.
 */
#define TILE_U8(R, P)                                                        \
static void                                                                  \
tile_u8_##R##x##P(const infer_tile_u8_t *t, size_t row, size_t col,          \
    int32_t *out, const char *ahead, size_t stride)                          \
{                                                                            \
    enum { width = 16 * P };                                                 \
    size_t          lda = t->lda;                                            \
    size_t          panel = t->k * 16;                                       \
    const uint8_t  *a = t->a + row * lda;                                    \
    const uint8_t  *a7 = R > 7 ? a + 7 * lda : a;                            \
    const int8_t   *w = t->panels + col * t->k;                              \
    const int8_t   *end = w, *last = w + panel;                              \
    size_t          run = t->run * 16;                                       \
    size_t          skip = t->run_step - t->run;                             \
    const int32_t  *start = t->start + col;                                  \
                                                                             \
    PANELS_##P(U8_START, )                                                   \
    ROWS_##R(U8_DECLARE, P)                                                  \
                                                                             \
    do {                                                                     \
        for (end += run; w != end; w += 64, a += 4, a7 += 4) {               \
            __builtin_prefetch(ahead, 0, 2);                                 \
            ahead += stride;                                                 \
                                                                             \
            PANELS_##P(U8_WEIGHTS, )                                         \
                                                                             \
            if (R <= U8_FEW_ROWS) {                                          \
                PANELS_##P(U8_FETCH, )                                       \
            }                                                                \
                                                                             \
            ROWS_##R(U8_MAC, P)                                              \
        }                                                                    \
                                                                             \
        a += skip;                                                           \
        a7 += skip;                                                          \
    } while (w != last);                                                     \
                                                                             \
    U8_BYTES_##P(R)                                                          \
    ROWS_##R(U8_STORE, P)                                                    \
}

TILE_U8_VARIANTS(TILE_U8, 1)

#if TILE_U8_WIDE
TILE_U8_VARIANTS(TILE_U8, 2)
#endif

#if TILE_U8_FEW
TILE_U8(1, 8)
TILE_U8(1, 4)
TILE_U8(2, 4)
TILE_U8(3, 4)
#endif


#define TILE_U8_ROW(R, P)   TILE_U8_NAME(R, P),
#define TILE_U8_NAME(R, P)  tile_u8_##R##x##P

typedef void (*tile_u8_t)(const infer_tile_u8_t *t, size_t row, size_t col,
    int32_t *sums, const char *ahead, size_t stride);

/* All columns of up to TILE_U8_MAX_ROWS rows: see tile_row_block().  Fetches
   `size` bytes at `ahead`. */
static void
tile_u8_rows(const infer_tile_u8_t *t, size_t row, size_t rows,
    const char *ahead, size_t size)
{
    static const tile_u8_t  narrow[] = { TILE_U8_VARIANTS(TILE_U8_ROW, 1) };
#if TILE_U8_WIDE
    static const tile_u8_t  wide[] = { TILE_U8_VARIANTS(TILE_U8_ROW, 2) };
#endif
#if TILE_U8_FEW
    static const tile_u8_t  few[] = { TILE_U8_NAME(1, 4), TILE_U8_NAME(2, 4),
                                      TILE_U8_NAME(3, 4) };
#endif
    int        in_place;
    size_t     panels, left, steps = t->k / 4;
    int32_t    sums[TILE_U8_SUMS] __attribute__((aligned(64)));
    tile_u8_t  tile;

    for (size_t col = 0; col < t->n; col += panels * 16) {
        left = t->n - col;
        tile = narrow[rows - 1];
        panels = 1;

#if TILE_U8_WIDE
        if (left > 16) {
            tile = wide[rows - 1];
            panels = 2;
        }
#endif
#if TILE_U8_FEW
        if (rows <= 3 && left > 3 * 16) {
            tile = few[rows - 1];
            panels = 4;
        }

        if (rows == 1 && left > 7 * 16) {
            tile = TILE_U8_NAME(1, 8);
            panels = 8;
        }
#endif

        in_place = panels == 2 && left >= 32 && ends_in_place(t->end);

        tile(t, row, col, in_place ? NULL : sums, ahead + size * col / t->n,
             (size * panels * 16 / t->n + steps - 1) / steps);

        if (!in_place) {
            end_block(t->end, sums, panels * 16, row, col, rows,
                      left < panels * 16 ? left : panels * 16);
        }
    }
}


static void
tile_u8(const infer_tile_u8_t *t)
{
    size_t       rows, left, tiles, from;
    const char  *ahead = t->ahead_size > 0 ? t->ahead : (const void *) t->a;

    for (size_t row = 0; row < t->rows; row += rows) {
        left = t->rows - row;
        tiles = (left + TILE_U8_MAX_ROWS - 1) / TILE_U8_MAX_ROWS;
        rows = (left + tiles - 1) / tiles;
        from = t->ahead_size * row / t->rows;

        tile_u8_rows(t, row, rows, ahead + from,
                     t->ahead_size * (row + rows) / t->rows - from);
    }
}


/* ---- windows ---------------------------------------------------------- */

/* What a tap reads for output i, from channel j on. */
static inline const uint8_t *
tap_u8(const infer_tap_t *tap, size_t i, size_t j)
{
    return (const uint8_t *) tap->x + i * tap->step + j;
}


/* Channels j .. j + 63 of output i, of which n are stored. */
static inline __attribute__((always_inline)) void
depthwise_end(const infer_end_t *e, const bytes_t *k, vi a0, vi a1, vi a2,
    vi a3, size_t i, size_t j, size_t n)
{
    vi            r;
    vf            v0, v1, v2, v3, by;
    int32_t       order[64] __attribute__((aligned(64))), numbers[64];
    const float  *scale = e->scale + j, *bias = e->bias + j;

    v0 = v_fma(v_convert(a0), v_load(scale), v_load(bias));
    v1 = v_fma(v_convert(a1), v_load(scale + 16), v_load(bias + 16));
    v2 = v_fma(v_convert(a2), v_load(scale + 32), v_load(bias + 32));
    v3 = v_fma(v_convert(a3), v_load(scale + 48), v_load(bias + 48));

    if (e->residual) {
        by = v_set1(e->residual_scale);
        r = vi_load_n(e->residual + i * e->ldr + j, n);
        v0 = v_fma(FROM_BYTES(r, 0), by, v0);
        v1 = v_fma(FROM_BYTES(r, 1), by, v1);
        v2 = v_fma(FROM_BYTES(r, 2), by, v2);
        v3 = v_fma(FROM_BYTES(r, 3), by, v3);
    }

    if (e->dtype == INFER_U8) {
        vi_store_n((uint8_t *) e->c + i * e->ldc + j,
                   to_bytes(k, v0, v1, v2, v3), n);
        return;
    }

    vi_store_n(order, e->dtype == INFER_I32 ? a0 : v_bits(v0), 64);
    vi_store_n(order + 16, e->dtype == INFER_I32 ? a1 : v_bits(v1), 64);
    vi_store_n(order + 32, e->dtype == INFER_I32 ? a2 : v_bits(v2), 64);
    vi_store_n(order + 48, e->dtype == INFER_I32 ? a3 : v_bits(v3), 64);

    for (int p = 0; p < 16; p++) {
        memcpy(numbers + p % 4 * 16 + p / 4 * 4, order + 4 * p, 16);
    }

    memcpy((int32_t *) e->c + i * e->ldc + j, numbers,
           (n < 64 ? n : 64) * sizeof(int32_t));
}


/* x0 .. x3 as y0 .. y3, whose lanes are those four of one channel. */
#define INTERLEAVE                                                           \
    vi  low0 = vi_low8(x0, x1), high0 = vi_high8(x0, x1);                    \
    vi  low1 = vi_low8(x2, x3), high1 = vi_high8(x2, x3);                    \
    vi  y0 = vi_low16(low0, low1), y1 = vi_high16(low0, low1);               \
    vi  y2 = vi_low16(high0, high1), y3 = vi_high16(high0, high1);

#define SUMS(a)                                                              \
    vi  a##0 = vi_load(d->start + j), a##1 = vi_load(d->start + j + 16);     \
    vi  a##2 = vi_load(d->start + j + 32), a##3 = vi_load(d->start + j + 48);


/* Output i, 64 channels from j on, or n: four taps of a row at a time. */
static inline __attribute__((always_inline)) void
depthwise_one(const infer_depthwise_u8_t *d, const bytes_t *k, size_t row,
    size_t i, size_t j, size_t n)
{
    const int8_t       *w = d->panels + j * d->step;
    const infer_tap_t  *tap = d->tap, *end = d->tap + d->taps;

    SUMS(a)

    for ( ; tap != end; tap += row) {
        for (size_t t = 0; t < row; t += 4, w += 256) {
            size_t  last = row - 1;

            /* beyond the last of a row weights are 0 */
            vi  x0 = vi_load_n(tap_u8(tap + t, i, j), n);
            vi  x1 = vi_load_n(tap_u8(tap + (t + 1 < last ? t + 1 : last), i,
                                      j), n);
            vi  x2 = vi_load_n(tap_u8(tap + (t + 2 < last ? t + 2 : last), i,
                                      j), n);
            vi  x3 = vi_load_n(tap_u8(tap + (t + 3 < last ? t + 3 : last), i,
                                      j), n);
            INTERLEAVE

            a0 = vi_dot(a0, y0, vi_load(w));
            a1 = vi_dot(a1, y1, vi_load(w + 64));
            a2 = vi_dot(a2, y2, vi_load(w + 128));
            a3 = vi_dot(a3, y3, vi_load(w + 192));
        }
    }

    depthwise_end(d->end, k, a0, a1, a2, a3, i, j, n);
}


/*
 * Outputs i and i + 1 of windows three wide that move by one pixel: both lie
 * in the same four pixels, interleaved once.
 */
static inline __attribute__((always_inline)) void
depthwise_two(const infer_depthwise_u8_t *d, const bytes_t *k, size_t i,
    size_t j, size_t n)
{
    const int8_t       *w = d->panels + j * d->step;
    const infer_tap_t  *tap = d->tap, *end = d->tap + d->taps;

    SUMS(a)
    SUMS(b)

    for ( ; tap != end; tap += 3, w += 256) {
        size_t          step = tap->step;
        const uint8_t  *x = tap_u8(tap, i, j);

        vi  x0 = vi_load_n(x, n);
        vi  x1 = vi_load_n(x + step, n);
        vi  x2 = vi_load_n(x + 2 * step, n);
        vi  x3 = vi_load_n(x + 3 * step, n);
        vi  w0 = vi_load(w), w1 = vi_load(w + 64);
        vi  w2 = vi_load(w + 128), w3 = vi_load(w + 192);
        INTERLEAVE

        a0 = vi_dot(a0, y0, w0);
        a1 = vi_dot(a1, y1, w1);
        a2 = vi_dot(a2, y2, w2);
        a3 = vi_dot(a3, y3, w3);
        b0 = vi_dot(b0, y0, vi_shl(w0, 8));
        b1 = vi_dot(b1, y1, vi_shl(w1, 8));
        b2 = vi_dot(b2, y2, vi_shl(w2, 8));
        b3 = vi_dot(b3, y3, vi_shl(w3, 8));
    }

    depthwise_end(d->end, k, a0, a1, a2, a3, i, j, n);
    depthwise_end(d->end, k, b0, b1, b2, b3, i + 1, j, n);
}


/* Whether a tap's next output is what the next tap reads. */
static int
is_sliding(const infer_depthwise_u8_t *d)
{
    const infer_tap_t  *tap = d->tap;

    if (d->row != 3) {
        return 0;
    }

    for (size_t t = 0; t < d->taps; t += 3, tap += 3) {
        if (tap_u8(tap, 1, 0) != tap[1].x || tap_u8(tap, 2, 0) != tap[2].x) {
            return 0;
        }
    }

    return 1;
}


static void
depthwise_u8(const infer_depthwise_u8_t *d)
{
    int      sliding = is_sliding(d);
    size_t   j;
    bytes_t  k = bytes_of(&d->end->bytes);

    for (size_t i = 0; i < d->width; i++) {
        if (sliding && i + 1 < d->width) {
            for (j = 0; j + 64 <= d->channels; j += 64) {
                depthwise_two(d, &k, i, j, 64);
            }

            if (j < d->channels) {
                depthwise_two(d, &k, i, j, d->channels - j);
            }

            i++;
            continue;
        }

        for (j = 0; j + 64 <= d->channels && d->row == 3; j += 64) {
            depthwise_one(d, &k, 3, i, j, 64);
        }

        for ( ; j + 64 <= d->channels; j += 64) {
            depthwise_one(d, &k, d->row, i, j, 64);
        }

        if (j < d->channels) {
            depthwise_one(d, &k, d->row, i, j, d->channels - j);
        }
    }
}


static void
average_u8(const infer_pool_u8_t *p)
{
    vf       v[4], factor = v_set1(p->factor);
    bytes_t  k = bytes_of(&p->bytes);

    for (size_t i = 0; i < p->width; i++) {
        for (size_t j = 0; j < p->channels; j += 64) {
            for (size_t l = 0; l < 64; l += 16) {
                vi      sum = vi_set1((uint32_t) -p->offset);
                size_t  n = p->channels - j;

                n = n > l ? n - l : 0;

                for (size_t t = 0; t < p->taps && n > 0; t++) {
                    sum = vi_add(sum, vi_load_u8(tap_u8(&p->tap[t], i, j + l),
                                                 n));
                }

                v[l / 16] = v_mul(v_convert(sum), factor);
            }

            vi_store_n(p->c + i * p->channels + j,
                       vi_order(to_bytes(&k, v[0], v[1], v[2], v[3])),
                       p->channels - j);
        }
    }
}


static void
pool_u8(const infer_pool_u8_t *p)
{
    if (p->average) {
        average_u8(p);
        return;
    }

    for (size_t i = 0; i < p->width; i++) {
        for (size_t j = 0; j < p->channels; j += 64) {
            size_t  n = p->channels - j;
            vi      v = vi_load_n(tap_u8(&p->tap[0], i, j), n);

            for (size_t t = 1; t < p->taps; t++) {
                v = vi_max_u8(v, vi_load_n(tap_u8(&p->tap[t], i, j), n));
            }

            vi_store_n(p->c + i * p->channels + j, v, n);
        }
    }
}


#define PEAK_U8_DECLARE(i, P)  vi  acc##i = vi_set1((uint32_t) seed[i]);
#define PEAK_U8_DOT(i, P)      acc##i = vi_dot(acc##i, x, y);
#define PEAK_U8_SUM(i, P)      x = vi_add(x, acc##i);

/* As PEAK(R) of peak.h. */
#define PEAK_U8(R)                                                           \
static float                                                                 \
peak_u8(const float *seed, size_t rounds, size_t *macs)                      \
{                                                                            \
    vi       x = vi_set1((uint32_t) seed[30]);                               \
    vi       y = vi_set1((uint32_t) seed[31]);                               \
    int32_t  sum[16];                                                        \
                                                                             \
    ROWS_##R(PEAK_U8_DECLARE, )                                              \
                                                                             \
    for (size_t i = 0; i < rounds; i++) {                                    \
        ROWS_##R(PEAK_U8_DOT, )                                              \
    }                                                                        \
                                                                             \
    ROWS_##R(PEAK_U8_SUM, )                                                  \
    vi_store_n(sum, x, sizeof(sum));                                         \
    *macs = rounds * R * 64;                                                 \
                                                                             \
    return (float) sum[0];                                                   \
}


#define INTEGER_KERNELS(ISA, ROWS)                                           \
const infer_integer_kernels_t  infer_integer_kernels_##ISA = {               \
    .tile_rows = ROWS,                                                       \
    .tile_u8 = tile_u8,                                                      \
    .depthwise_u8 = depthwise_u8,                                            \
    .pool_u8 = pool_u8,                                                      \
    .binary_u8 = binary_u8,                                                  \
    .quantize = quantize,                                                    \
    .dequantize_u8 = dequantize_u8,                                          \
    .dequantize_i32 = dequantize_i32,                                        \
    .range_f32 = range_f32,                                                  \
    .peak_u8 = peak_u8                                                       \
};

#endif /* INFER_KERNELS_INTEGER_H */
