/*
 * A pool of threads that implements the engine's infer_parallel_t.
 */

#ifndef INFER_CLI_THREADS_H
#define INFER_CLI_THREADS_H

#include "infer.h"


typedef struct cli_threads_s  cli_threads_t;

/*
 * n threads in all, the caller of run() being one of them: n - 1 are made.
 * 0: as many as this process may have processors.  NULL with the error set.
 */
cli_threads_t *cli_threads_create(size_t n, infer_error_t *err);

/* Ends the threads; there is no run going on. */
void cli_threads_free(cli_threads_t *threads);

/* Stays valid until cli_threads_free; its slots are the threads. */
const infer_parallel_t *cli_threads_parallel(const cli_threads_t *threads);

#endif /* INFER_CLI_THREADS_H */
