/*
 * The most that this machine's cores can multiply and add: chains of fused
 * multiply-adds that touch no memory, as many side by side as hide their
 * latency, on the widest registers the CPU has.
 *
 *     peak THREADS
 *
 * Prints "ISA GFLOPS": the best of ROUNDS short rounds, all threads together.
 */

#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>


#define ROUNDS       200
#define STEPS        500000       /* two milliseconds */
#define MAX_THREADS  64

/* Two ports with a latency of four cycles need 8 chains. */
#define CHAINS(X)                                                             \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define N_CHAINS     12

typedef void (*chains_t)(float factor, float *sink);


#define AVX512_BEGIN(i)  __m512  a##i = _mm512_set1_ps((float) i);
#define AVX512_STEP(i)   a##i = _mm512_fmadd_ps(a##i, f, f);
#define AVX512_END(i)    sum = _mm512_add_ps(sum, a##i);

__attribute__((target("avx512f"))) static void
chains_avx512(float factor, float *sink)
{
    size_t  n;
    __m512  f = _mm512_set1_ps(factor), sum = f;

    CHAINS(AVX512_BEGIN)

    for (n = 0; n < STEPS; n++) {
        CHAINS(AVX512_STEP)
    }

    CHAINS(AVX512_END)
    _mm512_storeu_ps(sink, sum);
}


#define AVX2_BEGIN(i)  __m256  a##i = _mm256_set1_ps((float) i);
#define AVX2_STEP(i)   a##i = _mm256_fmadd_ps(a##i, f, f);
#define AVX2_END(i)    sum = _mm256_add_ps(sum, a##i);

__attribute__((target("avx2,fma"))) static void
chains_avx2(float factor, float *sink)
{
    size_t  n;
    __m256  f = _mm256_set1_ps(factor), sum = f;

    CHAINS(AVX2_BEGIN)

    for (n = 0; n < STEPS; n++) {
        CHAINS(AVX2_STEP)
    }

    CHAINS(AVX2_END)
    _mm256_storeu_ps(sink, sum);
}


static chains_t           chains;
static pthread_barrier_t  barrier;
static volatile float     factor = 0.5f;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


/* Runs all rounds; the shortest, from barrier to barrier, goes to *arg. */
static void *
thread(void *arg)
{
    int      round;
    float    sink[16];
    double   begin, took, *best = arg;

    *best = 1e9;

    for (round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        begin = now();

        chains(factor, sink);

        pthread_barrier_wait(&barrier);
        took = now() - begin;
        *best = took < *best ? took : *best;
    }

    return NULL;
}


int
main(int argc, char **argv)
{
    int          i, n, lanes;
    double       best[MAX_THREADS];
    pthread_t    id[MAX_THREADS];
    const char  *isa;

    n = argc == 2 ? atoi(argv[1]) : 0;
    if (n < 1 || n > MAX_THREADS) {
        fprintf(stderr, "usage: peak THREADS\n");
        return 2;
    }

    if (__builtin_cpu_supports("avx512f")) {
        isa = "AVX-512";
        lanes = 16;
        chains = chains_avx512;

    } else if (__builtin_cpu_supports("avx2")
               && __builtin_cpu_supports("fma"))
    {
        isa = "AVX2";
        lanes = 8;
        chains = chains_avx2;

    } else {
        fprintf(stderr, "peak: neither AVX-512 nor AVX2\n");
        return 1;
    }

    pthread_barrier_init(&barrier, NULL, (unsigned) n);

    for (i = 0; i < n; i++) {
        if (pthread_create(&id[i], NULL, thread, &best[i]) != 0) {
            perror("peak: pthread_create");
            return 1;
        }
    }

    for (i = 0; i < n; i++) {
        pthread_join(id[i], NULL);
    }

    printf("%s %.1f\n", isa,
           2.0 * lanes * N_CHAINS * STEPS * n / best[0] / 1e9);

    return 0;
}
