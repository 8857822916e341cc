/*
 * INFER_ISA=blas: the products of OpenBLAS are those of the scalar kernels
 * but for rounding, everything else has their bits; and OpenBLAS, which takes
 * some CPUs for much older ones, is set right unless the user has had a say.
 *
 * OpenBLAS reads its environment when it is loaded, so each case is a process
 * of its own: this program again, which prints what is asked for.
 */

#include <cblas.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"


#define CORE  "OPENBLAS_CORETYPE"


/* ---- products --------------------------------------------------------- */

/* run: K is that long a run in each of k / run lines; 0: in one. */
static int
tile_agrees(size_t rows, size_t n, size_t k, size_t run, infer_unary_t act,
    int residual)
{
    int               pass = 1;
    int64_t           dim[4][2] = {
        { (int64_t) rows, (int64_t) k + 3 },
        { (int64_t) (n + 15) / 16 * 16, (int64_t) k },
        { 1, (int64_t) (n + 15) / 16 * 16 },
        { (int64_t) rows, (int64_t) n + 1 }
    };
    infer_tensor_t    a = random_tensor(INFER_F32, 2, dim[0]);
    infer_tensor_t    w = random_tensor(INFER_F32, 2, dim[1]);
    infer_tensor_t    bias = random_tensor(INFER_F32, 2, dim[2]);
    infer_tensor_t    r = random_tensor(INFER_F32, 2, dim[3]);
    infer_tensor_t    c = random_tensor(INFER_F32, 2, dim[3]);
    infer_tensor_t    expected = random_tensor(INFER_F32, 2, dim[3]);
    infer_tile_f32_t  t = {
        .a = a.data, .lda = run ? 1 : k + 3, .run = run,
        .run_step = run ? rows + run : 0,
        .rows = rows, .k = k, .panels = w.data,
        .n = n, .bias = bias.data, .residual = residual ? r.data : NULL,
        .ldr = n + 1, .c = c.data, .ldc = n + 1, .act = &act
    };

    memcpy(expected.data, c.data, infer_numel(&c) * sizeof(float));

    infer_kernels()->tile_f32(&t);
    t.c = expected.data;
    infer_kernels_scalar.tile_f32(&t);

    for (int64_t i = 0; i < (int64_t) infer_numel(&c); i++) {
        pass = pass && close_to(get(&c, i), get(&expected, i), 1e-4);

        /* the float between two rows is not written */
        pass = pass && (((size_t) i + 1) % (n + 1) != 0
                        || get(&c, i) == get(&expected, i));
    }

    free(a.data);
    free(w.data);
    free(bias.data);
    free(r.data);
    free(c.data);
    free(expected.data);

    return pass;
}


static void
test_tile(void)
{
    int                         failed;
    static const infer_unary_t  acts[] = {
        { INFER_NONE, 0, 0 },
        { INFER_CLIP, 0, 6 },
        { INFER_GELU, 0, 0 }
    };

    for (size_t rows = 1; rows <= 400; rows = rows * 3 + 1) {
        failed = 0;

        for (size_t n = 1; n <= 70; n += 1 + n / 20) {
            failed += !tile_agrees(rows, n, n % 7 * 9, 0, acts[n % 3],
                                   n / 3 % 2);
            failed += !tile_agrees(rows, n, 9, 3, acts[n % 3], n / 3 % 2);
        }

        ok(failed == 0, "blas tile: %zu rows", rows);
    }
}


static void
test_rest(void)
{
    float  x[100], y[100], z[100];

    for (int i = 0; i < 100; i++) {
        x[i] = (float) (i - 50) / 7;
    }

    infer_kernels()->softmax_f32(x, y, 100);
    infer_kernels_scalar.softmax_f32(x, z, 100);
    ok(memcmp(y, z, sizeof(y)) == 0, "softmax: the bits of scalar");
    ok(infer_peak_gflops() > 0, "a peak");
}


/* ---- the core --------------------------------------------------------- */

/*
 * The core that OpenBLAS takes this CPU for in a process that was started
 * with the variable `start` (NULL: none) and, where `forget`, has lost it
 * before the engine looked: as if OpenBLAS had come to it by itself.
 */
static void
core_of(const char *self, const char *start, int forget, char *core)
{
    int      pipes[2], status = 1;
    pid_t    pid;
    ssize_t  n;

    core[0] = '\0';

    if (pipe(pipes) != 0) {
        return;
    }

    pid = fork();

    if (pid == 0) {
        dup2(pipes[1], STDOUT_FILENO);

        if (start != NULL) {
            setenv(CORE, start, 1);
        } else {
            unsetenv(CORE);
        }

        execl(self, self, forget ? "forget" : "keep", (char *) NULL);
        _exit(1);
    }

    close(pipes[1]);
    n = read(pipes[0], core, 63);
    core[n > 0 ? n : 0] = '\0';
    close(pipes[0]);
    waitpid(pid, &status, 0);

    if (status != 0) {
        strcpy(core, "failed");
    }
}


/* In that process; fails where the environment is not as it was. */
static int
print_core(const char *how)
{
    const char  *before, *after;

    if (strcmp(how, "forget") == 0) {
        unsetenv(CORE);
    }

    before = getenv(CORE);
    infer_kernels();
    after = getenv(CORE);

    printf("%s", openblas_get_corename());

    return (before == NULL) != (after == NULL);
}


static void
test_core(const char *self)
{
    char  core[64];

    if (strcmp(best_kernels()->name, "avx512") != 0) {
        ok(1, "the core # SKIP no AVX-512");
        return;
    }

    core_of(self, "Haswell", 1, core);
    ok(strcmp(core, "SkylakeX") == 0, "not Haswell: %s", core);

    core_of(self, "Prescott", 1, core);
    ok(strcmp(core, "SkylakeX") == 0, "not Prescott: %s", core);

    core_of(self, "Cooperlake", 1, core);
    ok(strcmp(core, "Cooperlake") == 0, "one with AVX-512 stays: %s", core);

    core_of(self, "Prescott", 0, core);
    ok(strcmp(core, "Prescott") == 0, "what the user asks for stays: %s",
       core);

    core_of(self, NULL, 0, core);
    ok(strcmp(core, "SkylakeX") == 0 || strcmp(core, "Cooperlake") == 0
       || strcmp(core, "SapphireRapids") == 0, "by itself: %s", core);
}


int
main(int argc, char **argv)
{
    setenv("INFER_ISA", "blas", 1);

    if (argc > 1) {
        return print_core(argv[1]);
    }

    ok(strcmp(infer_isa(), "blas") == 0, "the kernels asked for");
    ok(openblas_get_num_threads() == 1, "one thread");

    test_tile();
    test_rest();
    test_core(argv[0]);

    return done();
}
