/*
 * A model in this engine, run in bursts as a script asks for them, so that
 * two engines can take turns while both stay loaded.  ort.js is the same for
 * ONNX Runtime.
 *
 *     ours MODEL INPUT.npy THREADS
 *
 * Prints the milliseconds that loading took.  Then, for each line
 * "WARMUP RUNS" on stdin, makes WARMUP + RUNS runs and prints the
 * milliseconds of each of the latter on one line.  A run takes the input as
 * the model file declares it: bringing it into the engine's layout counts.
 */

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/npy.h"
#include "cli/tensors.h"
#include "cli/threads.h"
#include "infer.h"


static double
milliseconds(uint64_t begin)
{
    return (double) (cli_now() - begin) / 1e6;
}


static void
burst(infer_session_t *session, const infer_parallel_t *parallel,
    const void *input, size_t warmup, size_t runs)
{
    size_t     i;
    double    *ms = cli_alloc(runs, sizeof(double));
    uint64_t   begin;

    for (i = 0; i < warmup + runs; i++) {
        begin = cli_now();
        infer_session_set_input(session, 0, input);
        infer_session_run(session, parallel);

        if (i >= warmup) {
            ms[i - warmup] = milliseconds(begin);
        }
    }

    for (i = 0; i < runs; i++) {
        printf("%.4f%c", ms[i], i + 1 < runs ? ' ' : '\n');
    }

    fflush(stdout);
    free(ms);
}


int
main(int argc, char **argv)
{
    size_t                   batch, warmup, runs;
    uint64_t                 threads, begin;
    infer_error_t            err;
    infer_model_t           *model;
    cli_threads_t           *pool;
    infer_session_t         *session;
    infer_named_tensor_t     input = { .name = "" };
    const infer_parallel_t  *parallel;

    if (argc != 4 || cli_number(argv[3], 64, &threads) != 0 || threads == 0) {
        fprintf(stderr, "usage: ours MODEL INPUT.npy THREADS\n");
        return CLI_ERROR;
    }

    if (cli_npy_read(argv[2], &input.tensor, &err) != 0) {
        return cli_error("%s", err.text);
    }

    begin = cli_now();

    model = infer_model_load(argv[1], NULL, &err);
    if (model == NULL) {
        return cli_error("%s", err.text);
    }

    pool = cli_threads_create(threads, &err);
    if (pool == NULL) {
        return cli_error("%s", err.text);
    }

    parallel = cli_threads_parallel(pool);

    if (cli_tensors_check(model, &input, 1, &batch, &err) != 0
        || (session = infer_session_create(model, batch, parallel->slots,
                                           &err)) == NULL)
    {
        return cli_error("%s: %s", argv[1], err.text);
    }

    printf("%.2f\n", milliseconds(begin));
    fflush(stdout);

    while (scanf("%zu %zu", &warmup, &runs) == 2) {
        burst(session, parallel, input.tensor.data, warmup, runs);
    }

    infer_session_free(session);
    cli_threads_free(pool);
    infer_model_free(model);
    free(input.tensor.data);

    return CLI_DONE;
}
