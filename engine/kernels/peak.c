/*
 * Measures the peak of the kernels in use.
 */

#include "kernels/kernels.h"

#include <time.h>


#define TRIALS       30
#define TRIAL_NS     1000000


static double
now_ns(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}


static double
peak(float (*work)(const float *seed, size_t rounds, size_t *macs))
{
    double          ns, rate, best = 0;
    float           seed[32];
    size_t          rounds = 64, macs;
    volatile float  sink;

    for (int i = 0; i < 32; i++) {
        seed[i] = (float) i;
    }

    for (int i = 0; i < TRIALS; i++) {
        ns = now_ns();
        sink = work(seed, rounds, &macs);
        ns = now_ns() - ns;

        if (ns < TRIAL_NS) {
            rounds *= 2;
        }

        if (ns > 0) {
            rate = 2 * (double) macs / ns;
            best = rate > best ? rate : best;
        }
    }

    (void) sink;

    return best;
}


double
infer_peak_gflops(void)
{
    return peak(infer_kernels()->peak_f32);
}


double
infer_peak_gops(void)
{
    return peak(infer_kernels()->integer->peak_u8);
}
