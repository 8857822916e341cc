/*
 * The most multiply-adds that the vectors can do: chains that touch no
 * memory, which is what `infer bench` holds the layers against.  Include after
 * tile.h.
 */

#ifndef INFER_KERNELS_PEAK_H
#define INFER_KERNELS_PEAK_H


#define PEAK_DECLARE(i, P)  vf  acc##i = v_load(seed + i);
#define PEAK_MAC(i, P)      acc##i = v_fma(acc##i, x, y);
#define PEAK_SUM(i, P)      x = v_add(x, acc##i);

/* R chains under way at once. */
#define PEAK(R)                                                              \
static float                                                                 \
peak_f32(const float *seed, size_t rounds, size_t *macs)                     \
{                                                                            \
    vf  x = v_set1(0.5f);                                                    \
    vf  y = v_set1(1.0f);                                                    \
                                                                             \
    ROWS_##R(PEAK_DECLARE, )                                                 \
                                                                             \
    for (size_t i = 0; i < rounds; i++) {                                    \
        ROWS_##R(PEAK_MAC, )                                                 \
    }                                                                        \
                                                                             \
    ROWS_##R(PEAK_SUM, )                                                     \
    *macs = rounds * R * 16;                                                 \
                                                                             \
    return v_sum(x);                                                         \
}

#endif /* INFER_KERNELS_PEAK_H */
