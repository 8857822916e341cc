/*
 * Picks the kernels of this machine.
 */

#include "kernels/kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>


/* Best last. */
static const infer_kernels_t *const  all[] = {
    &infer_kernels_scalar,
#if defined(__x86_64__)
    &infer_kernels_avx512,
#endif
};


static int
runs_here(const infer_kernels_t *kernels)
{
#if defined(__x86_64__)
    if (kernels == &infer_kernels_avx512) {
        return __builtin_cpu_supports("avx512f")
               && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512dq")
               && __builtin_cpu_supports("avx512vl")
               && __builtin_cpu_supports("fma");
    }
#endif

    return kernels == &infer_kernels_scalar;
}


static const infer_kernels_t *
pick(void)
{
    const char             *wish = getenv("INFER_ISA");
    const infer_kernels_t  *best = &infer_kernels_scalar;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!runs_here(all[i])) {
            continue;
        }

        if (wish && strcmp(wish, all[i]->name) == 0) {
            return all[i];
        }

        best = all[i];
    }

    return best;
}


const infer_kernels_t *
infer_kernels(void)
{
    /* threads that come first together pick the same */
    static _Atomic(const infer_kernels_t *)  picked;
    const infer_kernels_t                   *kernels = atomic_load(&picked);

    if (kernels == NULL) {
        kernels = pick();
        atomic_store(&picked, kernels);
    }

    return kernels;
}


const char *
infer_isa(void)
{
    return infer_kernels()->name;
}
