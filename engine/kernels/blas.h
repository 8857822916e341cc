/*
 * The products by OpenBLAS: see blas.c.
 */

#ifndef INFER_KERNELS_BLAS_H
#define INFER_KERNELS_BLAS_H

#include "kernels/kernels.h"


/*
 * Prepares OpenBLAS, which touches the environment for a moment and must come
 * before a thread or a child process uses it, and returns the table: rest,
 * but its products by OpenBLAS.  Not for two threads at once.
 */
const infer_kernels_t *infer_kernels_blas(const infer_kernels_t *rest);

/*
 * Ends the threads that OpenBLAS starts when it is loaded: nobody uses them,
 * and for their first milliseconds each keeps a processor busy waiting.
 * OpenBLAS starts them again where somebody else in the process needs them.
 */
void infer_blas_end_threads(void);

#endif /* INFER_KERNELS_BLAS_H */
