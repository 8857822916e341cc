/*
 * The transforms of Winograd's F(4x4, 3x3): a tile of 6 x 6 inputs becomes 36
 * factors, whose products with 36 transformed weights become 4 x 4 outputs.
 * Contracts: kernels.h.  Written over a vec_*.h, which is included before, as
 * are vec_math.h and rows.h.
 *
 * The polynomials meet at 0, A, -A, B, -B and infinity; what a point and its
 * negative share is computed once.  All is lane by lane and in the order
 * written here, so every instruction set has the same bits.
 */

#ifndef INFER_KERNELS_WINOGRAD_H
#define INFER_KERNELS_WINOGRAD_H


#define WINO_A   INFER_WINOGRAD_A
#define WINO_B   INFER_WINOGRAD_B
#define WINO_AA  (WINO_A * WINO_A)
#define WINO_BB  (WINO_B * WINO_B)

/* Arrays whose indices are all constant become registers. */
#define UNROLL   _Pragma("GCC unroll 6")

/* over the derivatives at A and B */
#define WINO_AT_A  (1.0f / (2.0f * WINO_AA * (WINO_AA - WINO_BB)))
#define WINO_AT_B  (1.0f / (2.0f * WINO_BB * (WINO_BB - WINO_AA)))


/* Six values, `step` vectors apart, become six. */
static inline void
winograd_input_6(const vf *x, size_t step, vf *y)
{
    vf  a = v_set1(WINO_A);
    vf  b = v_set1(WINO_B);
    vf  aa = v_set1(-WINO_AA);
    vf  bb = v_set1(-WINO_BB);
    vf  ab = v_set1(WINO_AA * WINO_BB);
    vf  sum = v_set1(-(WINO_AA + WINO_BB));
    vf  x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step];
    vf  even = v_fma(bb, x2, x4);
    vf  odd = v_mul(a, v_fma(bb, x1, x3));

    y[0] = v_fma(ab, x[0], v_fma(sum, x2, x4));
    y[1] = v_add(even, odd);
    y[2] = v_sub(even, odd);

    even = v_fma(aa, x2, x4);
    odd = v_mul(b, v_fma(aa, x1, x3));

    y[3] = v_add(even, odd);
    y[4] = v_sub(even, odd);
    y[5] = v_fma(ab, x1, v_fma(sum, x3, x[5 * step]));
}


/* Six values, `step` vectors apart, become four. */
static inline void
winograd_output_6(const vf *x, size_t step, vf *y)
{
    vf  x5 = x[5 * step];
    vf  even = v_add(x[step], x[2 * step]);
    vf  odd = v_sub(x[step], x[2 * step]);
    vf  even2 = v_add(x[3 * step], x[4 * step]);
    vf  odd2 = v_sub(x[3 * step], x[4 * step]);

    y[0] = v_add(v_add(x[0], even), even2);
    y[1] = v_fma(v_set1(WINO_B), odd2, v_mul(v_set1(WINO_A), odd));
    y[2] = v_fma(v_set1(WINO_BB), even2, v_mul(v_set1(WINO_AA), even));
    y[3] = v_fma(v_set1(WINO_AA * WINO_A), odd, x5);
    y[3] = v_fma(v_set1(WINO_BB * WINO_B), odd2, y[3]);
}


/*
 * Three taps, `step` vectors apart, become six points: their polynomial over
 * the derivative of the one that vanishes at all points.
 */
static inline void
winograd_weights_3(const vf *x, size_t step, vf *y)
{
    vf  even, odd;

    y[0] = v_mul(v_set1(1.0f / (WINO_AA * WINO_BB)), x[0]);

    even = v_fma(v_set1(WINO_AA * WINO_AT_A), x[2 * step],
                 v_mul(v_set1(WINO_AT_A), x[0]));
    odd = v_mul(v_set1(WINO_A * WINO_AT_A), x[step]);

    y[1] = v_add(even, odd);
    y[2] = v_sub(even, odd);

    even = v_fma(v_set1(WINO_BB * WINO_AT_B), x[2 * step],
                 v_mul(v_set1(WINO_AT_B), x[0]));
    odd = v_mul(v_set1(WINO_B * WINO_AT_B), x[step]);

    y[3] = v_add(even, odd);
    y[4] = v_sub(even, odd);
    y[5] = x[2 * step];
}


static void
winograd_weights_f32(const float *taps, size_t tap_step, size_t k, float *y,
    size_t step)
{
    vf  x[9], point[18], row[6];

    for (size_t i = 0; i < k; i++, taps += 16, y += 16) {
        for (size_t t = 0; t < 9; t++) {
            x[t] = v_load(taps + t * tap_step);
        }

        for (size_t w = 0; w < 3; w++) {
            winograd_weights_3(x + w, 3, point + w * 6);
        }

        for (size_t h = 0; h < 6; h++) {
            winograd_weights_3(point + h, 6, row);

            for (size_t w = 0; w < 6; w++) {
                v_store(y + (h * 6 + w) * step, row[w]);
            }
        }
    }
}


static void
winograd_input_f32(const infer_winograd_input_f32_t *t)
{
    vf  x[6], column[36], y[6];

    EACH_VECTOR (t->channels) {
        vm  m = v_mask(t->channels - i);

        UNROLL
        for (size_t w = 0; w < 6; w++) {
            UNROLL
            for (size_t h = 0; h < 6; h++) {
                x[h] = v_load_m(t->pixel[h * 6 + w] + i, m);
            }

            winograd_input_6(x, 1, column + w * 6);
        }

        UNROLL
        for (size_t h = 0; h < 6; h++) {
            winograd_input_6(column + h, 6, y);

            UNROLL
            for (size_t w = 0; w < 6; w++) {
                v_store_m(t->y + (h * 6 + w) * t->step + i, y[w], m);
            }
        }
    }
}


/*
 * One vector of outputs of a tile, from channel i on.  No vector is passed
 * here: gcc takes a caller with vectors for one that will clear the upper
 * halves of registers, which this one's caller would not, and all SSE code
 * that follows would crawl.
 */
static inline void
winograd_output_vector(const infer_winograd_output_f32_t *t, size_t i,
    int clip)
{
    vf            v, column[24], y[4], x[6];
    vf            a = v_set1(clip ? t->act->a : -__builtin_inff());
    vf            b = v_set1(clip ? t->act->b : __builtin_inff());
    vm            m = v_mask(t->channels - i);
    vf            bias = v_load(t->bias + i);
    size_t        step = t->step, row = t->row, pixel = t->pixel;
    size_t        height = t->height, width = t->width;
    float        *c = t->c + i;
    const float  *from = t->x + i;
    const float  *r = t->residual != NULL ? t->residual + i : NULL;

    UNROLL
    for (size_t w = 0; w < 6; w++) {
        UNROLL
        for (size_t h = 0; h < 6; h++) {
            x[h] = v_load(from + (h * 6 + w) * step);
        }

        winograd_output_6(x, 1, column + w * 4);
    }

    UNROLL
    for (size_t h = 0; h < 4; h++) {
        if (h == height) {
            break;
        }

        winograd_output_6(column + h, 4, y);

        UNROLL
        for (size_t w = 0; w < 4; w++) {
            if (w == width) {
                break;
            }

            v = v_add(y[w], bias);

            if (r != NULL) {
                v = v_add(v, v_load_m(r + h * row + w * pixel, m));
            }

            v_store_m(c + h * row + w * pixel, v_clip(v, a, b), m);
        }
    }
}


static void
winograd_output_f32(const infer_winograd_output_f32_t *t)
{
    int     clip = t->act->kind == INFER_CLIP;
    float  *c;

    EACH_VECTOR (t->channels) {
        winograd_output_vector(t, i, clip);
    }

    if (clip || t->act->kind == INFER_NONE) {
        return;
    }

    for (size_t h = 0; h < t->height; h++) {
        for (size_t w = 0; w < t->width; w++) {
            c = t->c + h * t->row + w * t->pixel;
            unary_f32(t->act, c, c, t->channels);
        }
    }
}

#endif /* INFER_KERNELS_WINOGRAD_H */
