/*
 * Elementary functions on vectors, by range reduction and polynomials
 * (minimax fits made for these intervals), with nothing but operations that
 * IEEE 754 defines to the bit.  The errors stated are the largest found over
 * all 2^32 arguments against double-precision libm; NaN gives NaN, and
 * overflow, subnormal numbers and signed zeros come out as in libm.
 *
 * Include after a vec_*.h.
 */

#ifndef INFER_VEC_MATH_H
#define INFER_VEC_MATH_H


#define V_SIGN  0x80000000u

#define V_LN2_HIGH  0x1.62e4p-1f        /* few bits: times an exponent, */
#define V_LN2_LOW   0x1.7f7d1cp-20f     /* the product is exact */


static inline vf
v_abs(vf x)
{
    return v_float(vi_and(v_bits(x), vi_set1(~V_SIGN)));
}


static inline vf
v_neg(vf x)
{
    return v_float(vi_xor(v_bits(x), vi_set1(V_SIGN)));
}


/* x >= 0 with the sign of s */
static inline vf
v_sign(vf x, vf s)
{
    return v_float(vi_or(v_bits(x), vi_and(v_bits(s), vi_set1(V_SIGN))));
}


/* p * x + c */
static inline vf
v_horner(vf p, vf x, float c)
{
    return v_fma(p, x, v_set1(c));
}


/*
 * e^x = 2^n * e^r, |r| <= ln(2) / 2: the result is e^r, *n has n in its low
 * bits.  Adding 1.5 * 2^23 rounds x / ln(2) to an integer and leaves it there.
 */
static inline vf
v_exp_parts(vf x, vi *n)
{
    vf  magic = v_set1(0x1.8p23f);
    vf  t, r, p;

    t = v_fma(x, v_set1(0x1.715476p+0f), magic);
    *n = v_bits(t);
    t = v_sub(t, magic);

    r = v_fma(t, v_set1(-V_LN2_HIGH), x);
    r = v_fma(t, v_set1(-V_LN2_LOW), r);

    p = v_set1(0x1.6a4d6p-10f);
    p = v_horner(p, r, 0x1.12398ep-7f);
    p = v_horner(p, r, 0x1.5558bp-5f);
    p = v_horner(p, r, 0x1.555492p-3f);
    p = v_horner(p, r, 0x1.fffffcp-2f);

    return v_add(v_set1(1.0f), v_fma(v_mul(r, r), p, r));
}


/*
 * e^x.  2^n is multiplied in two factors: n reaches 128 and -150.  1.02 ULP.
 */
static inline vf
v_exp(vf x)
{
    vi  i, half;
    vf  p;

    x = v_min(v_set1(89.0f), v_max(v_set1(-104.0f), x));
    p = v_exp_parts(x, &i);

    i = vi_sub(i, v_bits(v_set1(0x1.8p23f)));
    half = vi_shr(i, 1);
    i = vi_sub(i, half);
    p = v_mul(p, v_float(vi_shl(vi_add(half, vi_set1(127)), 23)));

    return v_mul(p, v_float(vi_shl(vi_add(i, vi_set1(127)), 23)));
}


/*
 * The same for -87 <= x <= 88, where the result is a normal number.  NaN may
 * give any number.
 */
static inline vf
v_exp_normal(vf x)
{
    vi  n;
    vf  p = v_exp_parts(x, &n);

    return v_float(vi_add(v_bits(p), vi_shl(n, 23)));
}


/*
 * ln(x) = e * ln(2) + ln(1 + f), sqrt(1/2) <= 1 + f < sqrt(2).  Subnormal
 * numbers are scaled into the normal range first.  0.86 ULP.
 */
static inline vf
v_log(vf x)
{
    vi  root = vi_set1(0x3f3504f3);                     /* sqrt(1/2) */
    vm  tiny = v_less(x, v_set1(0x1p-126f));
    vi  i;
    vf  e, f, z, p;

    i = v_bits(v_select(tiny, v_mul(x, v_set1(0x1p23f)), x));
    i = vi_sub(i, root);
    e = v_convert(vi_shr(i, 23));
    e = v_select(tiny, v_sub(e, v_set1(23.0f)), e);
    f = v_float(vi_add(vi_and(i, vi_set1(0x7fffff)), root));
    f = v_sub(f, v_set1(1.0f));
    z = v_mul(f, f);

    p = v_set1(-0x1.38c974p-4f);
    p = v_horner(p, f, 0x1.055eaep-3f);
    p = v_horner(p, f, -0x1.0d8246p-3f);
    p = v_horner(p, f, 0x1.22d93p-3f);
    p = v_horner(p, f, -0x1.54728ap-3f);
    p = v_horner(p, f, 0x1.99a01cp-3f);
    p = v_horner(p, f, -0x1.000226p-2f);
    p = v_horner(p, f, 0x1.555554p-2f);

    p = v_mul(v_mul(f, z), p);
    p = v_fma(e, v_set1(V_LN2_LOW), p);
    p = v_fma(z, v_set1(-0.5f), p);
    p = v_fma(e, v_set1(V_LN2_HIGH), v_add(f, p));

    /* infinity and NaN as they are; below 0 NaN; 0 minus infinity */
    p = v_select(v_less(x, v_set1(__builtin_inff())), p, x);
    p = v_select(v_less(x, v_set1(0.0f)), v_set1(__builtin_nanf("")), p);

    return v_select(v_less(v_abs(x), v_set1(0x1p-149f)),
                    v_set1(-__builtin_inff()), p);
}


/*
 * erf(x): x + x * P(x^2) below 1, from there 1 - e^-Q(|x|); from 4 on it
 * rounds to 1.  0.99 ULP.
 */
static inline vf
v_erf(vf x)
{
    vf  t = v_abs(x);
    vf  s = v_mul(t, t);
    vf  p, q;

    p = v_set1(0x1.4771fcp-14f);
    p = v_horner(p, s, -0x1.a3515ep-11f);
    p = v_horner(p, s, 0x1.53f224p-8f);
    p = v_horner(p, s, -0x1.b7f71ap-6f);
    p = v_horner(p, s, 0x1.ce2ce6p-4f);
    p = v_horner(p, s, -0x1.81273ep-2f);
    p = v_horner(p, s, 0x1.06eba8p-3f);
    p = v_fma(p, t, t);

    s = v_sub(v_min(v_set1(4.0f), t), v_set1(1.0f));

    q = v_set1(-0x1.2282e6p-12f);
    q = v_horner(q, s, 0x1.193a02p-9f);
    q = v_horner(q, s, -0x1.509632p-7f);
    q = v_horner(q, s, 0x1.557b38p-5f);
    q = v_horner(q, s, 0x1.afa8fep-1f);
    q = v_horner(q, s, 0x1.51c9b2p+1f);
    q = v_horner(q, s, 0x1.d97fcp+0f);
    q = v_sub(v_set1(1.0f), v_exp_normal(v_neg(q)));

    /* NaN is not above the number in front of 1: p */
    return v_sign(v_select(v_less(v_set1(0x1.fffffep-1f), t), q, p), x);
}


/*
 * tanh(x): x + x^3 * P(x^2) below 0.6, from there 1 - 2 / (e^(2|x|) + 1).
 * 1.34 ULP.
 */
static inline vf
v_tanh(vf x)
{
    vf  one = v_set1(1.0f);
    vf  t = v_abs(x);
    vf  s = v_mul(t, t);
    vf  p, q;

    p = v_set1(0x1.1fc462p-9f);
    p = v_horner(p, s, -0x1.0db2cep-7f);
    p = v_horner(p, s, 0x1.63de6cp-6f);
    p = v_horner(p, s, -0x1.b9f58p-5f);
    p = v_horner(p, s, 0x1.111086p-3f);
    p = v_horner(p, s, -0x1.555554p-2f);
    p = v_fma(v_mul(p, s), t, t);

    q = v_add(v_exp(v_add(t, t)), one);
    q = v_sub(one, v_div(v_set1(2.0f), q));

    return v_sign(v_select(v_less(t, v_set1(0.6f)), p, q), x);
}


/*
 * 1 / (1 + e^-x), as e^x / (1 + e^x) below 0: no precision is lost where the
 * result is small.  2.41 ULP.
 */
static inline vf
v_sigmoid(vf x)
{
    vf  one = v_set1(1.0f);
    vf  z = v_exp(v_neg(v_abs(x)));

    return v_div(v_select(v_less(x, v_set1(0.0f)), z, one), v_add(one, z));
}


/* ---- activations: see infer_unary_kind_t ------------------------------ */

/* NaN stays NaN, as in ONNX and PyTorch. */
static inline vf
v_clip(vf x, vf a, vf b)
{
    return v_min(b, v_max(a, x));
}


static inline vf
v_hardsigmoid(vf x, vf a, vf b)
{
    return v_clip(v_fma(a, x, b), v_set1(0.0f), v_set1(1.0f));
}


static inline vf
v_hardswish(vf x)
{
    return v_mul(x, v_hardsigmoid(x, v_set1(1.0f / 6.0f), v_set1(0.5f)));
}


/* x / (1 + e^-x); below -80 what it is there, -1.4e-33.  2.18 ULP. */
static inline vf
v_silu(vf x)
{
    vf  e;

    x = v_max(v_set1(-80.0f), x);
    e = v_exp_normal(v_max(v_set1(-87.0f), v_neg(x)));

    return v_div(x, v_add(v_set1(1.0f), e));
}


static inline vf
v_gelu(vf x)
{
    vf  e = v_erf(v_mul(x, v_set1(0x1.6a09e6p-1f)));    /* 1 / sqrt(2) */

    return v_mul(v_mul(x, v_set1(0.5f)), v_add(e, v_set1(1.0f)));
}

#endif /* INFER_VEC_MATH_H */
