/*
 * The .infer file: with right checksums, since without them nothing gets far.
 * What is accepted is run.
 */

#include "sample.h"
#include "fuzz.h"


/* Models that ask for more are not run: they would take too long. */
#define MAX_BYTES  ((size_t) 16 << 20)


static int
fuzz_one(unsigned char *data, size_t size)
{
    infer_error_t         err;
    const infer_model_t  *m;

    if (size >= sizeof(infer_file_t)) {
        ((infer_file_t *) (void *) data)->size = size;
    }

    sample_repair(data, size);
    m = infer_file_open(data, size, "fuzz", &err);

    if (m == NULL) {
        return 0;
    }

    if (sample_run(m, 1, MAX_BYTES) == 0) {
        (void) infer_model_selftest(m, &err);
        (void) sample_run(m, 3, MAX_BYTES);
    }

    return 1;
}


/* One of each kind of section, and of most operators. */
static void
fuzz_seed(void)
{
    size_t          size;
    unsigned char  *data = sample_file(&size);

    fuzz_add(data, size);
    free(data);

    data = sample_file_with_baseline(&size);
    fuzz_add(data, size);
    free(data);
}
