/*
 * Products by OpenBLAS, for CPUs without a tile of our own.  A panel of
 * weights is a K x 16 matrix as it lies, so each is one call.
 *
 * The order in which OpenBLAS adds is its own: bits depend on the CPU and on
 * how many rows are multiplied at once, which the batch decides.
 */

#include "kernels/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>


/* Rows for which OpenBLAS orders its operands anew at little cost. */
#define BLAS_ROWS  192

/* Width of the square matrices that show how fast it is. */
#define PEAK_SIZE  128


static void tile_f32(const infer_tile_f32_t *t);
static void add_panel(const infer_tile_f32_t *t, size_t j);
static float peak_f32(const float *seed, size_t rounds, size_t *macs);
static void correct_core(void);
static const char *wanted_core(void);


static infer_kernels_t  table;


const infer_kernels_t *
infer_kernels_blas(const infer_kernels_t *rest)
{
    /* the host's threads are the only ones */
    openblas_set_num_threads(1);
    infer_blas_end_threads();

    correct_core();

    table = *rest;
    table.name = "blas";
    table.tile_rows = BLAS_ROWS;
    table.tile_f32 = tile_f32;
    table.peak_f32 = peak_f32;

    return &table;
}


void
infer_blas_end_threads(void)
{
    int  (*end)(void);

    /* exported, but not by every build */
    *(void **) &end = dlsym(RTLD_DEFAULT, "blas_thread_shutdown_");

    if (end != NULL) {
        end();
    }
}


static void
tile_f32(const infer_tile_f32_t *t)
{
    float          *c;
    infer_binary_t  add = { INFER_ADD, *t->act };

    for (size_t i = 0; i < t->rows && !t->resume; i++) {
        memcpy(t->c + i * t->ldc, t->bias, t->n * sizeof(float));
    }

    for (size_t j = 0; j < t->n; j += INFER_PANEL) {
        add_panel(t, j);
    }

    for (size_t i = 0; i < t->rows; i++) {
        c = t->c + i * t->ldc;

        if (t->residual) {
            table.binary_f32(&add, c, 1, t->residual + i * t->ldr, 1, c,
                             t->n);

        } else if (t->act->kind != INFER_NONE) {
            table.unary_f32(t->act, c, c, t->n);
        }
    }
}


/*
 * Adds the products with the panel of columns from j on, run by run.  Rows that
 * overlap, as those read from lines do, are no matrix to OpenBLAS: they are
 * given to it one by one.
 */
static void
add_panel(const infer_tile_f32_t *t, size_t j)
{
    int           n;
    size_t        run, step, rows;
    const float  *panel;

    n = (int) (t->n - j < INFER_PANEL ? t->n - j : INFER_PANEL);
    run = t->run_step ? t->run : t->k;
    rows = t->lda < run ? 1 : t->rows;
    step = t->panel_step ? t->panel_step : t->k * INFER_PANEL;
    panel = t->panels + j / INFER_PANEL * step;

    for (size_t k = 0, r = 0; k < t->k; k += run, r++) {
        for (size_t i = 0; i < t->rows; i += rows) {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int) rows,
                        n, (int) run, 1.0f,
                        t->a + r * t->run_step + i * t->lda,
                        (int) (t->lda < run ? run : t->lda),
                        panel + k * INFER_PANEL, INFER_PANEL, 1.0f,
                        t->c + i * t->ldc + j, (int) t->ldc);
        }
    }
}


static float
peak_f32(const float *seed, size_t rounds, size_t *macs)
{
    int    n = PEAK_SIZE;
    float  a[PEAK_SIZE * PEAK_SIZE], c[PEAK_SIZE * PEAK_SIZE];

    for (int i = 0; i < n * n; i++) {
        a[i] = seed[i % 32];
    }

    for (size_t i = 0; i < rounds; i++) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0f,
                    a, n, a, n, 0.0f, c, n);
    }

    *macs = rounds * PEAK_SIZE * PEAK_SIZE * PEAK_SIZE;

    return c[0];
}


/*
 * OpenBLAS takes CPUs younger than itself for much older ones: 0.3.21 sees
 * Haswell in AMD's Zen 5 and Prescott in Intel's Emerald Rapids, at a half and
 * a quarter of the speed.  It decides when it is loaded, so it is made to
 * decide again, unless the user has.
 */
static void
correct_core(void)
{
    void       (*quit)(void), (*init)(void);
    const char  *core = wanted_core();

    if (core == NULL || getenv("OPENBLAS_CORETYPE") != NULL) {
        return;
    }

    /* exported, but not by every build */
    *(void **) &quit = dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit");
    *(void **) &init = dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init");

    if (quit == NULL || init == NULL) {
        return;
    }

    if (setenv("OPENBLAS_CORETYPE", core, 1) == 0) {
        quit();
        init();
        unsetenv("OPENBLAS_CORETYPE");
    }
}


/* What OpenBLAS should take this CPU for; NULL where it does well enough. */
static const char *
wanted_core(void)
{
#if defined(__x86_64__)
    const char         *now = openblas_get_corename();
    static const char  *avx512[] = { "SkylakeX", "Cooperlake",
                                     "SapphireRapids" };

    for (size_t i = 0; i < sizeof(avx512) / sizeof(avx512[0]); i++) {
        if (strcmp(now, avx512[i]) == 0) {
            return NULL;
        }
    }

    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl"))
    {
        return avx512[0];
    }

    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && strcmp(now, "Haswell") != 0 && strcmp(now, "Zen") != 0)
    {
        return "Haswell";
    }
#endif

    return NULL;
}
