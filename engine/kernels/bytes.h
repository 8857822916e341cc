/*
 * Between numbers and bytes: rounding to bytes, and the elementwise kernels
 * for 8-bit tensors.  Contracts: kernels.h.  Written over a vec_*.h, which is
 * included before.
 */

#ifndef INFER_KERNELS_BYTES_H
#define INFER_KERNELS_BYTES_H


/* An infer_bytes_t in registers. */
typedef struct {
    int  plain;                        /* unsigned, no limits */
    int  bounded;                      /* numbers are below 2^30 */
    vf   most;                         /* otherwise: rounds to no overflow */
    vi   zero;
    vi   low;
    vi   high;
    vi   flip;
} bytes_t;


static inline bytes_t
bytes_of(const infer_bytes_t *b)
{
    return (bytes_t) { b->low == 0 && b->high == 255 && b->flip == 0, 0,
                       v_set1(0x1p30f), vi_set1(b->zero * 0x10001u),
                       vi_set1(b->low * 0x1010101u),
                       vi_set1(b->high * 0x1010101u),
                       vi_set1(b->flip * 0x1010101u) };
}


/*
 * 64 numbers as bytes: within each 16 bytes four of a, of b, of c and of d.
 * The limits are those of bytes, since rounding keeps order.
 */
static inline vi
to_bytes(const bytes_t *k, vf a, vf b, vf c, vf d)
{
    vi  low, high, q;

    if (!k->bounded) {
        a = v_min(k->most, a);
        b = v_min(k->most, b);
        c = v_min(k->most, c);
        d = v_min(k->most, d);
    }

    low = vi_add16(vi_pack32(v_round(a), v_round(b)), k->zero);
    high = vi_add16(vi_pack32(v_round(c), v_round(d)), k->zero);
    q = vi_pack16(low, high);

    return k->plain
           ? q : vi_xor(vi_min_u8(vi_max_u8(q, k->low), k->high), k->flip);
}


/* ---- elementwise ------------------------------------------------------ */

/* 16 results, or n. */
static inline __attribute__((always_inline)) vf
combine_u8(int32_t kind, const infer_binary_u8_t *bin, const uint8_t *a,
    size_t a_step, const uint8_t *b, size_t b_step, size_t n)
{
    vf  scale = v_set1(bin->a.scale);
    vi  x = a_step ? vi_load_u8(a, n) : vi_set1(*a);
    vi  y = b_step ? vi_load_u8(b, n) : vi_set1(*b);

    x = vi_sub(x, vi_set1((uint32_t) bin->a.zero));
    y = vi_sub(y, vi_set1((uint32_t) bin->b.zero));

    if (kind == INFER_MUL) {
        return v_mul(v_convert(vi_mul(x, y)), scale);
    }

    return v_fma(v_convert(y),
                 v_set1(kind == INFER_SUB ? -bin->b.scale : bin->b.scale),
                 v_mul(v_convert(x), scale));
}


/*
 * 16 results: of byte `part` of each lane of x and y, which hold 64 bytes.
 */
static inline __attribute__((always_inline)) vf
combine_part(int32_t kind, const infer_binary_u8_t *bin, vi x, vi y,
    uint32_t part)
{
    vf  scale = v_set1(bin->a.scale);

    x = vi_byte(x, part, vi_set1((uint32_t) -bin->a.zero));
    y = vi_byte(y, part, vi_set1((uint32_t) -bin->b.zero));

    return kind == INFER_MUL
           ? v_mul(v_convert(vi_mul(x, y)), scale)
           : v_fma(v_convert(y), v_set1(bin->b.scale),
                   v_mul(v_convert(x), scale));
}


/*
 * As many bytes as there are whole blocks of 64 in n, and returns how many.
 * Compiled for what is frequent: sums and products of equally many bytes,
 * whose scales cannot take a number to 2^30.  bin is a copy, which no store to
 * y can change.
 */
static inline __attribute__((always_inline)) size_t
binary_blocks(int32_t kind, int plain, infer_binary_u8_t bin,
    const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t   i;
    vi       x, y;
    bytes_t  k = bytes_of(&bin.bytes);

    k.plain = plain;
    k.bounded = 1;

    for (i = 0; i + 64 <= n; i += 64) {
        x = vi_load(a + i);
        y = vi_load(b + i);

        vi_store_n(bin.y + i,
                   vi_turn(to_bytes(&k, combine_part(kind, &bin, x, y, 0),
                                    combine_part(kind, &bin, x, y, 1),
                                    combine_part(kind, &bin, x, y, 2),
                                    combine_part(kind, &bin, x, y, 3))), 64);
    }

    return i;
}


static size_t
binary_bytes(const infer_binary_u8_t *bin, const uint8_t *a, size_t a_step,
    const uint8_t *b, size_t b_step, size_t n)
{
    int  plain = bytes_of(&bin->bytes).plain;

    if (bin->y32 || !a_step || !b_step || !(bin->a.scale <= 0x1p13f)
        || !(bin->b.scale <= 0x1p13f))
    {
        return 0;
    }

    if (bin->kind == INFER_ADD) {
        return plain ? binary_blocks(INFER_ADD, 1, *bin, a, b, n)
                     : binary_blocks(INFER_ADD, 0, *bin, a, b, n);
    }

    return bin->kind == INFER_MUL
           ? binary_blocks(INFER_MUL, 0, *bin, a, b, n) : 0;
}


static void
binary_u8(const infer_binary_u8_t *bin, const uint8_t *a, size_t a_step,
    const uint8_t *b, size_t b_step, size_t n)
{
    vf       v[4] = { v_set1(0) };
    size_t   left;
    bytes_t  k = bytes_of(&bin->bytes);

    for (size_t i = binary_bytes(bin, a, a_step, b, b_step, n); i < n;
         i += 64)
    {
        for (size_t l = 0; l < 64 && l < n - i; l += 16) {
            left = n - i - l;
            v[l / 16] = combine_u8(bin->kind, bin, a + a_step * (i + l),
                                   a_step, b + b_step * (i + l), b_step,
                                   left);

            if (bin->y32) {
                v_store_m(bin->y32 + i + l, v[l / 16], v_mask(left));
            }
        }

        if (!bin->y32) {
            vi_store_n(bin->y + i,
                       vi_order(to_bytes(&k, v[0], v[1], v[2], v[3])), n - i);
        }
    }
}


static void
quantize(const infer_bytes_t *bytes, float scale, const float *x, uint8_t *y,
    size_t n)
{
    vf       v[4] = { v_set1(0) }, by = v_set1(scale);
    bytes_t  k = bytes_of(bytes);

    for (size_t i = 0; i < n; i += 64) {
        for (size_t l = 0; l < 64 && l < n - i; l += 16) {
            v[l / 16] = v_div(v_load_m(x + i + l, v_mask(n - i - l)), by);
        }

        vi_store_n(y + i, vi_order(to_bytes(&k, v[0], v[1], v[2], v[3])),
                   n - i);
    }
}


static void
dequantize_u8(const uint8_t *x, uint8_t flip, int32_t zero, float scale,
    float *y, size_t n)
{
    vi  turn = vi_set1(flip);
    vi  base = vi_set1((uint32_t) zero);
    vf  by = v_set1(scale);

    for (size_t i = 0; i < n; i += 16) {
        vi  q = vi_sub(vi_xor(vi_load_u8(x + i, n - i), turn), base);

        v_store_m(y + i, v_mul(v_convert(q), by), v_mask(n - i));
    }
}


static void
dequantize_i32(const int32_t *x, int32_t zero, float scale, float *y,
    size_t n)
{
    vi  base = vi_set1((uint32_t) zero);
    vf  by = v_set1(scale);

    for (size_t i = 0; i < n; i += 16) {
        vi  q = vi_sub(vi_load_n(x + i, 4 * (n - i)), base);

        v_store_m(y + i, v_mul(v_convert(q), by), v_mask(n - i));
    }
}


static void
range_f32(const float *x, size_t n, float *range)
{
    vf     low = v_set1(range[0]);
    vf     high = v_set1(range[1]);
    float  lanes[2][16];

    /* where one is NaN, it is the second that counts */
    for (size_t i = 0; i < n; i += 16) {
        vm  m = v_mask(n - i);
        vf  v = v_load_m(x + i, m);

        low = v_min(v_select(m, v, low), low);
        high = v_max(v_select(m, v, high), high);
    }

    v_store_m(lanes[0], low, v_mask(16));
    v_store_m(lanes[1], high, v_mask(16));

    for (int i = 0; i < 16; i++) {
        range[0] = lanes[0][i] < range[0] ? lanes[0][i] : range[0];
        range[1] = lanes[1][i] > range[1] ? lanes[1][i] : range[1];
    }
}

#endif /* INFER_KERNELS_BYTES_H */
