/*
 * The vector of 16 floats as two AVX2 registers; vec_scalar.h says what each
 * function does.  A mask is two registers as well, a lane's sign bit for the
 * lane.  Include below the file's #pragma GCC target.
 */

#ifndef INFER_VEC_AVX2_H
#define INFER_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


typedef struct {
    __m256   lo;
    __m256   hi;
} vf;

typedef struct {
    __m256i  lo;
    __m256i  hi;
} vi;

typedef vi  vm;


#define V_HALVES(T, LO, HI)  return (T) { LO, HI }
#define V_OP1(NAME, T, A, F)                                                 \
    static inline T NAME(A a) { V_HALVES(T, F(a.lo), F(a.hi)); }
#define V_OP2(NAME, T, A, B, F)                                              \
    static inline T NAME(A a, B b) { V_HALVES(T, F(a.lo, b.lo),              \
                                              F(a.hi, b.hi)); }


/* ---- memory and masks ------------------------------------------------- */

static inline vm
v_mask(size_t n)
{
    __m256i  lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i  count = _mm256_set1_epi32((int) (n < 16 ? n : 16));

    V_HALVES(vm, _mm256_cmpgt_epi32(count, lanes),
             _mm256_cmpgt_epi32(count, _mm256_add_epi32(lanes,
                                           _mm256_set1_epi32(8))));
}

static inline vf
v_load(const float *p)
{
    V_HALVES(vf, _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}

static inline vf
v_load_m(const float *p, vm m)
{
    V_HALVES(vf, _mm256_maskload_ps(p, m.lo), _mm256_maskload_ps(p + 8, m.hi));
}

static inline void
v_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}

/* Some CPUs take ten times as long for a masked store as for a plain one. */
static inline void
v_store_m(float *p, vf a, vm m)
{
    if (_mm256_movemask_ps(_mm256_castsi256_ps(m.hi)) == 0xff
        && _mm256_movemask_ps(_mm256_castsi256_ps(m.lo)) == 0xff)
    {
        v_store(p, a);

    } else {
        _mm256_maskstore_ps(p, m.lo, a.lo);
        _mm256_maskstore_ps(p + 8, m.hi, a.hi);
    }
}

static inline __m256
v_select_half(__m256i m, __m256 a, __m256 b)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m));
}

static inline vf
v_select(vm m, vf a, vf b)
{
    V_HALVES(vf, v_select_half(m.lo, a.lo, b.lo),
             v_select_half(m.hi, a.hi, b.hi));
}

#define V_CMP(a, b, HOW)  _mm256_castps_si256(_mm256_cmp_ps(a, b, HOW))
#define V_LESS(a, b)      V_CMP(a, b, _CMP_LT_OQ)
#define V_ISNAN(a)        V_CMP(a, a, _CMP_UNORD_Q)

V_OP2(v_less, vm, vf, vf, V_LESS)
V_OP1(v_isnan, vm, vf, V_ISNAN)


/* ---- arithmetic ------------------------------------------------------- */

static inline vf
v_set1(float a)
{
    V_HALVES(vf, _mm256_set1_ps(a), _mm256_set1_ps(a));
}

V_OP2(v_add, vf, vf, vf, _mm256_add_ps)
V_OP2(v_sub, vf, vf, vf, _mm256_sub_ps)
V_OP2(v_mul, vf, vf, vf, _mm256_mul_ps)
V_OP2(v_div, vf, vf, vf, _mm256_div_ps)
V_OP1(v_sqrt, vf, vf, _mm256_sqrt_ps)
V_OP2(v_max, vf, vf, vf, _mm256_max_ps)
V_OP2(v_min, vf, vf, vf, _mm256_min_ps)

static inline vf
v_fma(vf a, vf b, vf c)
{
    V_HALVES(vf, _mm256_fmadd_ps(a.lo, b.lo, c.lo),
             _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}

#define V_ROUND(a, TO)  _mm256_round_ps(a, (TO) | _MM_FROUND_NO_EXC)
#define V_FLOOR(a)      V_ROUND(a, _MM_FROUND_TO_NEG_INF)
#define V_CEIL(a)       V_ROUND(a, _MM_FROUND_TO_POS_INF)
#define V_NEAREST(a)    V_ROUND(a, _MM_FROUND_TO_NEAREST_INT)

V_OP1(v_floor, vf, vf, V_FLOOR)
V_OP1(v_ceil, vf, vf, V_CEIL)
V_OP1(v_nearest, vf, vf, V_NEAREST)


/* ---- bits ------------------------------------------------------------- */

static inline vi
vi_set1(uint32_t a)
{
    V_HALVES(vi, _mm256_set1_epi32((int) a), _mm256_set1_epi32((int) a));
}

V_OP2(vi_add, vi, vi, vi, _mm256_add_epi32)
V_OP2(vi_sub, vi, vi, vi, _mm256_sub_epi32)
V_OP2(vi_and, vi, vi, vi, _mm256_and_si256)
V_OP2(vi_or, vi, vi, vi, _mm256_or_si256)
V_OP2(vi_xor, vi, vi, vi, _mm256_xor_si256)
V_OP1(v_convert, vf, vi, _mm256_cvtepi32_ps)
V_OP1(v_bits, vi, vf, _mm256_castps_si256)
V_OP1(v_float, vf, vi, _mm256_castsi256_ps)

static inline vi
vi_shl(vi a, int n)
{
    V_HALVES(vi, _mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n));
}

static inline vi
vi_shr(vi a, int n)
{
    V_HALVES(vi, _mm256_srai_epi32(a.lo, n), _mm256_srai_epi32(a.hi, n));
}


/* ---- bytes and integers ------------------------------------------------ */

static inline vi
vi_load(const void *p)
{
    const __m256i  *half = p;

    V_HALVES(vi, _mm256_loadu_si256(half), _mm256_loadu_si256(half + 1));
}

static inline vi
vi_load_n(const void *p, size_t n)
{
    vi  r = { _mm256_setzero_si256(), _mm256_setzero_si256() };

    if (n >= sizeof(vi)) {
        return vi_load(p);
    }

    memcpy(&r, p, n);

    return r;
}

static inline void
vi_store_n(void *p, vi a, size_t n)
{
    __m256i  *half = p;

    if (n >= sizeof(vi)) {
        _mm256_storeu_si256(half, a.lo);
        _mm256_storeu_si256(half + 1, a.hi);

    } else {
        memcpy(p, &a, n);
    }
}

static inline vi
vi_load_u8(const uint8_t *p, size_t n)
{
    __m128i  r = _mm_setzero_si128();

    if (n >= 16) {
        r = _mm_loadu_si128((const __m128i *) p);

    } else {
        memcpy(&r, p, n);
    }

    V_HALVES(vi, _mm256_cvtepu8_epi32(r),
             _mm256_cvtepu8_epi32(_mm_srli_si128(r, 8)));
}

static inline void
vi_store_u8(uint8_t *p, vi a, size_t n)
{
    __m256i  words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi),
                                              0xd8);
    __m128i  r = _mm_packus_epi16(_mm256_castsi256_si128(words),
                                  _mm256_extracti128_si256(words, 1));

    if (n >= 16) {
        _mm_storeu_si128((__m128i *) p, r);

    } else {
        memcpy(p, &r, n);
    }
}

V_OP2(vi_mul, vi, vi, vi, _mm256_mullo_epi32)
V_OP1(v_round, vi, vf, _mm256_cvtps_epi32)
V_OP2(vi_max_u8, vi, vi, vi, _mm256_max_epu8)
V_OP2(vi_min_u8, vi, vi, vi, _mm256_min_epu8)
V_OP2(vi_add16, vi, vi, vi, _mm256_adds_epi16)
V_OP2(vi_low8, vi, vi, vi, _mm256_unpacklo_epi8)
V_OP2(vi_high8, vi, vi, vi, _mm256_unpackhi_epi8)
V_OP2(vi_low16, vi, vi, vi, _mm256_unpacklo_epi16)
V_OP2(vi_high16, vi, vi, vi, _mm256_unpackhi_epi16)
V_OP2(vi_pack32, vi, vi, vi, _mm256_packs_epi32)
V_OP2(vi_pack16, vi, vi, vi, _mm256_packus_epi16)

static inline vi
vi_order(vi a)
{
    __m256i  pairs = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i  lo = _mm256_permutevar8x32_epi32(a.lo, pairs);
    __m256i  hi = _mm256_permutevar8x32_epi32(a.hi, pairs);
    __m256i  even = _mm256_unpacklo_epi64(lo, hi);
    __m256i  odd = _mm256_unpackhi_epi64(lo, hi);

    V_HALVES(vi, _mm256_permute2x128_si256(even, odd, 0x20),
             _mm256_permute2x128_si256(even, odd, 0x31));
}

#define vi_byte(a, k, b)  vi_add(b, vi_and(vi_shr(a, 8 * (k)), vi_set1(255)))

static inline vi
vi_turn(vi a)
{
    __m256i  order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));

    V_HALVES(vi, _mm256_shuffle_epi8(a.lo, order),
             _mm256_shuffle_epi8(a.hi, order));
}

/* Exact: bytes 0 and 2, then 1 and 3, as words whose products fit. */
static inline __m256i
vi_dot_half(__m256i acc, __m256i x, __m256i w)
{
    __m256i  even = _mm256_madd_epi16(
        _mm256_and_si256(x, _mm256_set1_epi16(0xff)),
        _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    __m256i  odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8),
                                     _mm256_srai_epi16(w, 8));

    return _mm256_add_epi32(_mm256_add_epi32(acc, even), odd);
}

static inline vi
vi_dot(vi acc, vi x, vi w)
{
    V_HALVES(vi, vi_dot_half(acc.lo, x.lo, w.lo),
             vi_dot_half(acc.hi, x.hi, w.hi));
}


/* ---- across lanes ----------------------------------------------------- */

#define V_TREE(a, OP)                                                        \
    __m256  y = _mm256_##OP##_ps(a.lo, a.hi);                                \
    __m128  x = _mm_##OP##_ps(_mm256_castps256_ps128(y),                     \
                              _mm256_extractf128_ps(y, 1));                  \
                                                                             \
    x = _mm_##OP##_ps(x, _mm_movehl_ps(x, x));                               \
                                                                             \
    return _mm_cvtss_f32(_mm_##OP##_ss(x, _mm_movehdup_ps(x)))

static inline float v_sum(vf a) { V_TREE(a, add); }
static inline float v_hmax(vf a) { V_TREE(a, max); }

#endif /* INFER_VEC_AVX2_H */
