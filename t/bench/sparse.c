/*
 * The sparse tile against the dense one: a layer of 256 to 256 channels, one
 * thread, by the share of blocks that are left out.
 */

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "kernels/kernels.h"


#define K       256
#define PANELS  (K / 16)
#define ROWS    784
#define ROUNDS  201


static float     a[ROWS * K], c[ROWS * K], dense[K * K], blocks[K * K];
static float     bias[K];
static uint32_t  start[PANELS + 1], place[K * PANELS + 1];


static int
by_value(const void *x, const void *y)
{
    uint64_t  i = *(const uint64_t *) x, j = *(const uint64_t *) y;

    return (i > j) - (i < j);
}


/* The median times of both, in turns, in microseconds. */
static void
measure(size_t rows, double *dense_us, double *sparse_us)
{
    uint64_t                from, ns[2][ROUNDS];
    infer_unary_t           act = { INFER_NONE, 0, 0 };
    infer_tile_f32_t        t = { .a = a, .lda = K, .rows = rows, .k = K,
                                  .panels = dense, .n = K, .bias = bias,
                                  .c = c, .ldc = K, .act = &act };
    infer_sparse_f32_t      s = { .a = a, .lda = K, .rows = rows,
                                  .start = start, .index = place,
                                  .blocks = blocks, .n = K, .bias = bias,
                                  .c = c, .ldc = K, .act = &act };
    const infer_kernels_t  *kernels = infer_kernels();

    for (int i = 0; i < ROUNDS; i++) {
        from = cli_now();
        kernels->tile_f32(&t);
        ns[0][i] = cli_now() - from;

        from = cli_now();
        kernels->sparse_f32(&s);
        ns[1][i] = cli_now() - from;
    }

    qsort(ns[0], ROUNDS, sizeof(uint64_t), by_value);
    qsort(ns[1], ROUNDS, sizeof(uint64_t), by_value);
    *dense_us = (double) ns[0][ROUNDS / 2] / 1e3;
    *sparse_us = (double) ns[1][ROUNDS / 2] / 1e3;
}


int
main(void)
{
    double    dense_us, sparse_us;
    uint32_t  seed = 1, n;

    for (size_t i = 0; i < K * K; i++) {
        dense[i] = blocks[i] = 0.01f;
    }

    for (size_t i = 0; i < ROWS * K; i++) {
        a[i] = 1;
    }

    printf("zeros  picture  dense us  sparse us  ratio\n");

    for (unsigned zeros = 30; zeros <= 90; zeros += 10) {
        n = 0;

        for (uint32_t p = 0; p < PANELS; p++) {
            start[p] = n;

            for (uint32_t k = 0; k < K; k++) {
                seed = seed * 1664525u + 1013904223u;
                place[n] = k;
                n += (seed >> 8) % 100 >= zeros;
            }
        }

        start[PANELS] = n;

        for (size_t side = 14; side <= 28; side *= 2) {
            measure(side * side, &dense_us, &sparse_us);
            printf("%4u%%   %zux%zu  %8.1f  %9.1f  %5.2f\n", zeros, side,
                   side, dense_us, sparse_us, dense_us / sparse_us);
        }
    }

    return 0;
}
