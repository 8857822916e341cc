/*
 * The vector of 16 floats as one AVX-512 register; vec_scalar.h says what
 * each function does.  Include below the file's #pragma GCC target.
 */

#ifndef INFER_VEC_AVX512_H
#define INFER_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>


typedef __m512     vf;
typedef __m512i    vi;
typedef __mmask16  vm;


/* ---- memory and masks ------------------------------------------------- */

static inline vm
v_mask(size_t n)
{
    return (vm) (n >= 16 ? 0xffff : (1u << n) - 1);
}

static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }

static inline vf
v_load_m(const float *p, vm m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

static inline void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }

static inline void
v_store_m(float *p, vf a, vm m)
{
    _mm512_mask_storeu_ps(p, m, a);
}

static inline vf
v_select(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

static inline vm
v_less(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

static inline vm
v_isnan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}


/* ---- arithmetic ------------------------------------------------------- */

static inline vf v_set1(float a) { return _mm512_set1_ps(a); }
static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }

static inline vf
v_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

static inline vf
v_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

static inline vf
v_nearest(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT
                                   | _MM_FROUND_NO_EXC);
}


/* ---- bits ------------------------------------------------------------- */

static inline vi vi_set1(uint32_t a) { return _mm512_set1_epi32((int) a); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
static inline vf v_convert(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vi v_bits(vf a) { return _mm512_castps_si512(a); }
static inline vf v_float(vi a) { return _mm512_castsi512_ps(a); }

/* Macros: the count must be a constant in the instruction. */
#define vi_shl(a, n)  _mm512_slli_epi32(a, n)
#define vi_shr(a, n)  _mm512_srai_epi32(a, n)


/* ---- bytes and integers ------------------------------------------------ */

static inline __mmask64
vi_mask(size_t n)
{
    return n >= 64 ? ~(__mmask64) 0 : ((__mmask64) 1 << n) - 1;
}

static inline vi vi_load(const void *p) { return _mm512_loadu_si512(p); }

static inline vi
vi_load_n(const void *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(vi_mask(n), p);
}

static inline void
vi_store_n(void *p, vi a, size_t n)
{
    _mm512_mask_storeu_epi8(p, vi_mask(n), a);
}

/* Only here, for tiles of two panels. */
static inline void
vi_store_half(void *p, vi a, int high)
{
    _mm256_storeu_si256(p, high ? _mm512_extracti64x4_epi64(a, 1)
                                : _mm512_castsi512_si256(a));
}

static inline vi
vi_load_u8(const uint8_t *p, size_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(v_mask(n), p));
}

static inline void
vi_store_u8(uint8_t *p, vi a, size_t n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, v_mask(n), a);
}

static inline vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vi v_round(vf a) { return _mm512_cvtps_epi32(a); }
static inline vi vi_max_u8(vi a, vi b) { return _mm512_max_epu8(a, b); }
static inline vi vi_min_u8(vi a, vi b) { return _mm512_min_epu8(a, b); }
static inline vi vi_add16(vi a, vi b) { return _mm512_adds_epi16(a, b); }
static inline vi vi_low8(vi a, vi b) { return _mm512_unpacklo_epi8(a, b); }
static inline vi vi_high8(vi a, vi b) { return _mm512_unpackhi_epi8(a, b); }
static inline vi vi_low16(vi a, vi b) { return _mm512_unpacklo_epi16(a, b); }
static inline vi vi_high16(vi a, vi b) { return _mm512_unpackhi_epi16(a, b); }
static inline vi vi_pack32(vi a, vi b) { return _mm512_packs_epi32(a, b); }
static inline vi vi_pack16(vi a, vi b) { return _mm512_packus_epi16(a, b); }

static inline vi
vi_order(vi a)
{
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9,
                                    13, 2, 6, 10, 14, 3, 7, 11, 15), a);
}

/* gcc 12 spills accumulators of the intrinsic. */
static inline vi
vi_dot(vi acc, vi x, vi w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v" (acc) : "v" (x), "v" (w));

    return acc;
}

#define vi_byte(a, k, b)  vi_dot(b, a, vi_set1(1u << 8 * (k)))

static inline vi
vi_turn(vi a)
{
    return _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
}


/* ---- across lanes ----------------------------------------------------- */

#define V_TREE(a, OP)                                                        \
    __m256  y = _mm256_##OP##_ps(_mm512_castps512_ps256(a),                  \
                                 _mm512_extractf32x8_ps(a, 1));              \
    __m128  x = _mm_##OP##_ps(_mm256_castps256_ps128(y),                     \
                              _mm256_extractf128_ps(y, 1));                  \
                                                                             \
    x = _mm_##OP##_ps(x, _mm_movehl_ps(x, x));                               \
                                                                             \
    return _mm_cvtss_f32(_mm_##OP##_ss(x, _mm_movehdup_ps(x)))

static inline float v_sum(vf a) { V_TREE(a, add); }
static inline float v_hmax(vf a) { V_TREE(a, max); }

#endif /* INFER_VEC_AVX512_H */
