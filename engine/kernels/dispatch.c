/*
 * Picks the kernels of this machine.
 */

#include "kernels/blas.h"
#include "kernels/kernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>


/* Best last. */
static const infer_kernels_t *const  own[] = {
    &infer_kernels_scalar,
#if defined(__x86_64__)
    &infer_kernels_avx2,
    &infer_kernels_avx512,
    &infer_kernels_avx512_vnni,
#endif
};

#define OWN  (sizeof(own) / sizeof(own[0]))

static const infer_kernels_t  *picked;


static int
runs_here(const infer_kernels_t *kernels)
{
#if defined(__x86_64__)
    if (kernels == &infer_kernels_avx2) {
        return __builtin_cpu_supports("avx2")
               && __builtin_cpu_supports("fma");
    }

    /* two tables of one name, of which one runs */
    if (kernels == &infer_kernels_avx512
        || kernels == &infer_kernels_avx512_vnni)
    {
        return (kernels == &infer_kernels_avx512_vnni)
               == !!__builtin_cpu_supports("avx512vnni")
               && __builtin_cpu_supports("avx512f")
               && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512dq")
               && __builtin_cpu_supports("avx512vl")
               && __builtin_cpu_supports("fma");
    }
#endif

    return kernels == &infer_kernels_scalar;
}


const infer_kernels_t *
infer_kernels_own(size_t i)
{
    for (size_t j = 0; j < OWN; j++) {
        if (runs_here(own[j]) && i-- == 0) {
            return own[j];
        }
    }

    return NULL;
}


static void
pick(void)
{
    const char             *wish = getenv("INFER_ISA");
    const infer_kernels_t  *kernels, *best = NULL;

    infer_blas_end_threads();

    for (size_t i = 0; (kernels = infer_kernels_own(i)) != NULL; i++) {
        best = kernels;

        if (wish && strcmp(wish, kernels->name) == 0) {
            picked = kernels;
            return;
        }
    }

    if (best == &infer_kernels_scalar || (wish && strcmp(wish, "blas") == 0))
    {
        best = infer_kernels_blas(best);
    }

    picked = best;
}


const infer_kernels_t *
infer_kernels(void)
{
    static pthread_once_t  once = PTHREAD_ONCE_INIT;

    (void) pthread_once(&once, pick);

    return picked;
}


const char *
infer_isa(void)
{
    return infer_kernels()->name;
}
