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

#include "kernels/variants.h"


/* Sums of the largest tile: of 14 rows and 2 panels, or 3 and 4. */
#define TILE_U8_SUMS  448


/* v as 16 (or n) bytes; NaN becomes the lowest. */
static inline void
put_bytes(const infer_bytes_t *b, vf v, uint8_t *y, size_t n)
{
    vi  q;

    v = v_min(v_max(v, v_set1(b->low)), v_set1(b->high));
    q = vi_add(v_round(v), vi_set1((uint32_t) b->zero));

    vi_store_u8(y, vi_xor(q, vi_set1(b->flip)), n);
}


/* (x - zero) as floats */
static inline vf
get_bytes(const uint8_t *x, uint8_t flip, int32_t zero, size_t n)
{
    vi  q = vi_xor(vi_load_u8(x, n), vi_set1(flip));

    return v_convert(vi_sub(q, vi_set1((uint32_t) zero)));
}


/* ---- the end of a product --------------------------------------------- */

/* Sums of row i, columns j .. j + 15, as numbers. */
static inline vf
scaled(const infer_end_t *e, const int32_t *acc, size_t i, size_t j, size_t n)
{
    vf  scale = v_load(e->scale + j);
    vf  v;
    vi  sum = vi_load_n(acc, 4 * n);

    if (e->weights) {
        sum = vi_sub(sum, vi_mul(vi_load(e->weights + j),
                                 vi_set1(e->x_zero[i * e->x_step])));
        scale = v_mul(scale, v_set1(e->x_scale[i * e->x_step]));
    }

    v = v_fma(v_convert(sum), scale, v_load(e->bias + j));

    if (e->residual) {
        v = v_fma(get_bytes(e->residual + i * e->ldr + j, 0,
                            e->residual_zero, n),
                  v_set1(e->residual_scale), v);
    }

    return v;
}


/* rows x n sums, which belong at row, col. */
static void
end_block(const infer_end_t *e, const int32_t *acc, size_t lda, size_t row,
    size_t col, size_t rows, size_t n)
{
    for (size_t i = row; i < row + rows; i++, acc += lda) {
        for (size_t j = 0; j < n; j += 16) {
            size_t  at = i * e->ldc + col + j;
            size_t  left = n - j;

            switch (e->dtype) {
            case INFER_I32:
                vi_store_n((int32_t *) e->c + at, vi_load_n(acc + j, 4 * left),
                           4 * (left < 16 ? left : 16));
                break;

            case INFER_F32:
                v_store_m((float *) e->c + at,
                          scaled(e, acc + j, i, col + j, left), v_mask(left));
                break;

            default:
                put_bytes(&e->bytes, scaled(e, acc + j, i, col + j, left),
                          (uint8_t *) e->c + at, left);
            }
        }
    }
}


/* ---- the tile --------------------------------------------------------- */

/* Accumulator acc<row>_<panel>. */
#define U8_START(p, i)     vi  start##p = vi_load(start + 16 * p);
#define U8_DECLARE(i, P)   PANELS_##P(U8_DECLARE1, i)
#define U8_DECLARE1(p, i)  vi  acc##i##_##p = start##p;
#define U8_WEIGHTS(p, i)   vi  w##p = vi_load(w + p * panel);
#define U8_ROW(i)          (((i) < 7 ? a : a7) + ((i) % 7) * lda)
#define U8_MAC(i, P)       { vi  x = vi_set1(four(U8_ROW(i)));               \
                             PANELS_##P(U8_MAC1, i) }
#define U8_MAC1(p, i)      acc##i##_##p = vi_dot(acc##i##_##p, x, w##p);
#define U8_STORE(i, P)     PANELS_##P(U8_STORE1, i)
#define U8_STORE1(p, i)    vi_store_n(out + i * width + 16 * p,              \
                                      acc##i##_##p, 64);

static inline uint32_t
four(const uint8_t *a)
{
    uint32_t  x;

    memcpy(&x, a, 4);

    return x;
}


/* R rows from `row` on, P panels from column `col` on. */
#define TILE_U8(R, P)                                                        \
static void                                                                  \
tile_u8_##R##x##P(const infer_tile_u8_t *t, size_t row, size_t col,          \
    int32_t *out)                                                            \
{                                                                            \
    enum { width = 16 * P };                                                 \
    size_t          lda = t->lda;                                            \
    size_t          panel = t->k * 16;                                       \
    const uint8_t  *a = t->a + row * lda;                                    \
    const uint8_t  *a7 = R > 7 ? a + 7 * lda : a;                            \
    const int8_t   *w = t->panels + col * t->k;                              \
    const int8_t   *end = w + panel;                                         \
    const int32_t  *start = t->start + col;                                  \
                                                                             \
    PANELS_##P(U8_START, )                                                   \
    ROWS_##R(U8_DECLARE, P)                                                  \
                                                                             \
    for ( ; w != end; w += 64, a += 4, a7 += 4) {                            \
        PANELS_##P(U8_WEIGHTS, )                                             \
        ROWS_##R(U8_MAC, P)                                                  \
    }                                                                        \
                                                                             \
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
    int32_t *sums);

/* All columns of up to TILE_U8_MAX_ROWS rows: see tile_row_block(). */
static void
tile_u8_rows(const infer_tile_u8_t *t, size_t row, size_t rows)
{
    static const tile_u8_t  narrow[] = { TILE_U8_VARIANTS(TILE_U8_ROW, 1) };
#if TILE_U8_WIDE
    static const tile_u8_t  wide[] = { TILE_U8_VARIANTS(TILE_U8_ROW, 2) };
#endif
#if TILE_U8_FEW
    static const tile_u8_t  few[] = { TILE_U8_NAME(1, 4), TILE_U8_NAME(2, 4),
                                      TILE_U8_NAME(3, 4) };
#endif
    size_t     panels, left;
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

        tile(t, row, col, sums);
        end_block(t->end, sums, panels * 16, row, col, rows,
                  left < panels * 16 ? left : panels * 16);
    }
}


static void
tile_u8(const infer_tile_u8_t *t)
{
    size_t  rows, left, tiles;

    for (size_t row = 0; row < t->rows; row += rows) {
        left = t->rows - row;
        tiles = (left + TILE_U8_MAX_ROWS - 1) / TILE_U8_MAX_ROWS;
        rows = (left + tiles - 1) / tiles;

        tile_u8_rows(t, row, rows);
    }
}


/* ---- windows ---------------------------------------------------------- */

/* What a tap reads for output i, from channel j on. */
static inline const uint8_t *
tap_u8(const infer_tap_t *tap, size_t i, size_t j)
{
    return (const uint8_t *) tap->x + i * tap->step + j;
}


static void
depthwise_u8(const infer_depthwise_u8_t *d)
{
    size_t         groups = (d->taps + 3) / 4;
    int32_t        sums[16];
    const int8_t  *w;

    for (size_t i = 0; i < d->width; i++) {
        for (size_t j = 0; j < d->channels; j += 16) {
            vi      acc = vi_load(d->start + j);
            size_t  n = d->channels - j;

            w = d->panels + j * groups * 4;

            for (size_t t = 0; t < d->taps; t += 4, w += 64) {
                vi  x = vi_load_u8(tap_u8(&d->tap[t], i, j), n);

                for (size_t k = 1; k < 4 && t + k < d->taps; k++) {
                    vi  y = vi_load_u8(tap_u8(&d->tap[t + k], i, j), n);

                    x = vi_or(x, vi_mul(y, vi_set1(1u << 8 * k)));
                }

                acc = vi_dot(acc, x, vi_load(w));
            }

            vi_store_n(sums, acc, 64);
            end_block(d->end, sums, 16, i, j, 1, n < 16 ? n : 16);
        }
    }
}


static void
average_u8(const infer_pool_u8_t *p)
{
    for (size_t i = 0; i < p->width; i++) {
        for (size_t j = 0; j < p->channels; j += 16) {
            vi      sum = vi_set1((uint32_t) -p->offset);
            vf      v;
            size_t  n = p->channels - j;

            for (size_t t = 0; t < p->taps; t++) {
                sum = vi_add(sum, vi_load_u8(tap_u8(&p->tap[t], i, j), n));
            }

            v = v_mul(v_convert(sum), v_set1(p->factor));
            put_bytes(&p->bytes, v, p->c + i * p->channels + j, n);
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


/* ---- elementwise ------------------------------------------------------ */

static inline vf
combine_u8(const infer_binary_u8_t *bin, vi a, vi b)
{
    vf  scale = v_set1(bin->a.scale);

    a = vi_sub(a, vi_set1((uint32_t) bin->a.zero));
    b = vi_sub(b, vi_set1((uint32_t) bin->b.zero));

    if (bin->kind == INFER_MUL) {
        return v_mul(v_convert(vi_mul(a, b)), scale);
    }

    return v_fma(v_convert(b),
                 v_set1(bin->kind == INFER_SUB ? -bin->b.scale
                                               : bin->b.scale),
                 v_mul(v_convert(a), scale));
}


static void
binary_u8(const infer_binary_u8_t *bin, const uint8_t *a, size_t a_step,
    const uint8_t *b, size_t b_step, size_t n)
{
    vi  a0 = vi_set1(*a);
    vi  b0 = vi_set1(*b);

    for (size_t i = 0; i < n; i += 16) {
        vf  v = combine_u8(bin, a_step ? vi_load_u8(a + i, n - i) : a0,
                           b_step ? vi_load_u8(b + i, n - i) : b0);

        if (bin->y32) {
            v_store_m(bin->y32 + i, v, v_mask(n - i));
        } else {
            put_bytes(&bin->bytes, v, bin->y + i, n - i);
        }
    }
}


static void
quantize(const infer_bytes_t *bytes, float scale, const float *x, uint8_t *y,
    size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        vf  v = v_load_m(x + i, v_mask(n - i));

        put_bytes(bytes, v_div(v, v_set1(scale)), y + i, n - i);
    }
}


static void
dequantize_u8(const uint8_t *x, uint8_t flip, int32_t zero, float scale,
    float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        v_store_m(y + i, v_mul(get_bytes(x + i, flip, zero, n - i),
                               v_set1(scale)), v_mask(n - i));
    }
}


static void
dequantize_i32(const int32_t *x, int32_t zero, float scale, float *y,
    size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        vi  q = vi_sub(vi_load_n(x + i, 4 * (n - i)),
                       vi_set1((uint32_t) zero));

        v_store_m(y + i, v_mul(v_convert(q), v_set1(scale)), v_mask(n - i));
    }
}


static void
range_f32(const float *x, size_t n, float *range)
{
    vf     low = v_set1(range[0]);
    vf     high = v_set1(range[1]);
    float  lanes[2][16];

    /* the second of two that are equal or NaN */
    for (size_t i = 0; i < n; i += 16) {
        vf  v = v_load_m(x + i, v_mask(n - i));

        v = v_select(v_mask(n - i), v, low);
        low = v_min(v, low);
        v = v_load_m(x + i, v_mask(n - i));
        v = v_select(v_mask(n - i), v, high);
        high = v_max(v, high);
    }

    v_store_m(lanes[0], low, v_mask(16));
    v_store_m(lanes[1], high, v_mask(16));

    for (int i = 0; i < 16; i++) {
        range[0] = lanes[0][i] < range[0] ? lanes[0][i] : range[0];
        range[1] = lanes[1][i] > range[1] ? lanes[1][i] : range[1];
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
