/*
 * infer bench: how fast a model is.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/npy.h"
#include "cli/progress.h"
#include "cli/threads.h"


#define DEFAULT_RUNS    50
#define DEFAULT_WARMUP  5

typedef struct {
    cli_load_t   load;
    size_t       threads;
    size_t       batch;           /* 0: not given */
    size_t       runs;
    size_t       warmup;
    int          per_op;
    const char  *sort;
    int          json;
} options_t;

/* One step of the model, summed over all runs. */
typedef struct {
    const char  *op;
    const char  *node;
    uint64_t     ns;
    uint64_t     macs;            /* of one run */
    int          integers;
    size_t       order;
} step_t;

typedef struct {
    double    load_ms;
    double    min_ms;
    double    median_ms;
    double    p99_ms;
    double    images_per_s;
    double    peak_rss_mb;
    step_t   *step;               /* NULL: not wanted */
    size_t    n_steps;
    double    peak[2];            /* of all threads, in GFLOP/s, and GOP/s
                                     of 8-bit integers */
} result_t;


/* ---- input ------------------------------------------------------------ */

/* The next number of a linear congruential generator (Knuth's MMIX). */
static uint32_t
next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;

    return (uint32_t) (*state >> 32);
}


/*
 * About standard normal: the sum of four uniform numbers of [-1/2, 1/2), each
 * of variance 1/12, scaled.
 */
static float
next_normal(uint64_t *state)
{
    int     i;
    double  sum = 0;

    for (i = 0; i < 4; i++) {
        sum += next_random(state) / 4294967296.0 - 0.5;
    }

    return (float) (sum * 1.7320508075688772);
}


/* Half precision by truncation, tiny numbers to 0: good enough for noise. */
static uint16_t
half(float x)
{
    int       exponent;
    uint32_t  bits;

    memcpy(&bits, &x, sizeof(bits));
    exponent = (int) (bits >> 23 & 0xff) - 127;

    return (uint16_t) ((bits >> 16 & 0x8000)
                       | (exponent < -14 ? 0
                          : (uint32_t) (exponent + 15) << 10
                            | (bits >> 13 & 0x3ff)));
}


/* Floats as of normalised images; of what counts or indexes, 0 and 1, which
   are valid nearly everywhere. */
static void
fill(void *data, infer_dtype_t dtype, size_t i, uint64_t *state)
{
    float      x = next_normal(state);
    double     wide = x;
    uint16_t   narrow;
    uint64_t   bit = x > 0;
    uint32_t   bits;

    switch (dtype) {

    case INFER_F32:
        memcpy((float *) data + i, &x, sizeof(x));
        break;

    case INFER_F64:
        memcpy((double *) data + i, &wide, sizeof(wide));
        break;

    case INFER_F16:
        narrow = half(x);
        memcpy((uint16_t *) data + i, &narrow, sizeof(narrow));
        break;

    case INFER_BF16:
        memcpy(&bits, &x, sizeof(bits));
        narrow = (uint16_t) (bits >> 16);
        memcpy((uint16_t *) data + i, &narrow, sizeof(narrow));
        break;

    default:
        /* little-endian: the first bytes of a wider 0 or 1 */
        memcpy((char *) data + i * infer_dtype_size(dtype), &bit,
               infer_dtype_size(dtype));
        break;
    }
}


static int
set_inputs(infer_session_t *session, size_t inputs, infer_error_t *err)
{
    size_t           i, k, n, bytes;
    uint64_t         state = 1;
    infer_tensor_t   tensor;

    for (i = 0; i < inputs; i++) {
        infer_session_input_tensor(session, i, &tensor);

        if (cli_tensor_size(&tensor, &n, &bytes) != 0) {
            return cli_fail(err, "input %zu is too large", i);
        }

        tensor.data = cli_alloc(bytes, 1);

        for (k = 0; k < n; k++) {
            fill(tensor.data, tensor.dtype, k, &state);
        }

        infer_session_set_input(session, i, tensor.data);
        free(tensor.data);
    }

    return 0;
}


/* ---- measuring -------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
    uint64_t  x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static int
by_time(const void *a, const void *b)
{
    const step_t  *x = a, *y = b;

    return x->ns != y->ns ? (x->ns < y->ns) - (x->ns > y->ns)
                          : (x->order > y->order) - (x->order < y->order);
}


static void
time_runs(const options_t *o, infer_session_t *session, size_t batch,
    const infer_parallel_t *parallel, result_t *r)
{
    size_t     i;
    double     total = 0;
    uint64_t  *ns, start;

    ns = cli_alloc(o->runs, sizeof(uint64_t));
    cli_progress_start("bench", o->warmup + o->runs);

    for (i = 0; i < o->warmup; i++) {
        infer_session_run(session, parallel);
        cli_progress(i + 1);
    }

    for (i = 0; i < o->runs; i++) {
        start = cli_now();
        infer_session_run(session, parallel);
        ns[i] = cli_now() - start;
        total += (double) ns[i];
        cli_progress(o->warmup + i + 1);
    }

    cli_progress_end();
    qsort(ns, o->runs, sizeof(uint64_t), by_value);

    r->min_ms = (double) ns[0] / 1e6;
    r->median_ms = (double) (ns[(o->runs - 1) / 2] + ns[o->runs / 2]) / 2e6;
    r->p99_ms = (double) ns[(o->runs * 99 + 99) / 100 - 1] / 1e6;
    r->images_per_s = (double) batch * (double) o->runs / total * 1e9;

    free(ns);
}


static void
time_steps(const options_t *o, infer_session_t *session,
    const infer_parallel_t *parallel, result_t *r)
{
    size_t                  i, run;
    const infer_profile_t  *profile;

    for (run = 0; run < o->runs; run++) {
        r->n_steps = infer_session_profile(session, parallel, &profile);

        if (r->step == NULL) {
            r->step = cli_alloc(r->n_steps, sizeof(step_t));
        }

        for (i = 0; i < r->n_steps; i++) {
            r->step[i].op = profile[i].op;
            r->step[i].node = profile[i].node;
            r->step[i].macs = profile[i].macs;
            r->step[i].integers = profile[i].integers;
            r->step[i].ns += profile[i].ns;
            r->step[i].order = i;
        }
    }

    if (o->sort != NULL && strcmp(o->sort, "time") == 0 && r->n_steps > 1) {
        qsort(r->step, r->n_steps, sizeof(step_t), by_time);
    }
}


/* Not getrusage()'s: that counts the program that has started this one. */
static double
peak_rss_mb(void)
{
    long   kb = 0;
    char   line[256];
    FILE  *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL
           && sscanf(line, "VmHWM: %ld", &kb) != 1)
    {
        /* void */
    }

    if (f != NULL) {
        fclose(f);
    }

    return (double) kb / 1024;
}


/* ---- output ----------------------------------------------------------- */

static uint64_t
all_steps(const result_t *r)
{
    size_t    i;
    uint64_t  ns = 0;

    for (i = 0; i < r->n_steps; i++) {
        ns += r->step[i].ns;
    }

    return ns ? ns : 1;
}


static double
gflops(const step_t *step, size_t runs)
{
    return step->ns ? 2.0 * (double) step->macs * (double) runs
                      / (double) step->ns
                    : 0;
}


static void
put_text(const options_t *o, const result_t *r, size_t batch, size_t threads)
{
    char           buf[32];
    size_t         i;
    double         total = (double) all_steps(r), rate;
    const step_t  *s;

    printf("batch %zu, threads %zu, %s, %zu runs\n", batch, threads,
           infer_isa(), o->runs);
    printf("load      %10.2f ms\n", r->load_ms);
    printf("min       %10.3f ms\n", r->min_ms);
    printf("median    %10.3f ms\n", r->median_ms);
    printf("p99       %10.3f ms\n", r->p99_ms);
    printf("rate      %10.1f images/s\n", r->images_per_s);
    printf("peak RSS  %10.1f MB\n", r->peak_rss_mb);

    if (r->step == NULL) {
        return;
    }

    printf("peak      %10.1f GFLOP/s, %.1f GOP/s of 8-bit integers\n",
           r->peak[0], r->peak[1]);
    printf("\n       ms   share  GFLOP/s  of peak  %-20s  node\n", "op");

    for (i = 0; i < r->n_steps; i++) {
        s = &r->step[i];
        rate = gflops(s, o->runs);
        snprintf(buf, s->macs ? sizeof(buf) : 1, "%7.1f  %5.1f %%", rate,
                 100 * rate / r->peak[s->integers]);
        printf("%9.4f  %4.1f %%  %16s  ",
               (double) s->ns / (double) o->runs / 1e6,
               100 * (double) s->ns / total, buf);
        cli_put(stdout, s->op, 20);
        printf("  ");
        cli_put(stdout, s->node, 0);
        putchar('\n');
    }
}


static void
put_json(const options_t *o, const result_t *r, size_t batch, size_t threads)
{
    size_t         i;
    double         total = (double) all_steps(r);
    json_t        *json, *steps = json_array();
    const step_t  *s;

    json = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:s}",
        "min_ms", r->min_ms,
        "median_ms", r->median_ms,
        "p99_ms", r->p99_ms,
        "images_per_s", r->images_per_s,
        "peak_rss_mb", r->peak_rss_mb,
        "load_ms", r->load_ms,
        "batch", (json_int_t) batch,
        "threads", (json_int_t) threads,
        "runs", (json_int_t) o->runs,
        "isa", infer_isa());

    for (i = 0; i < r->n_steps; i++) {
        s = &r->step[i];
        json_array_append_new(steps, json_pack("{s:o, s:o, s:f, s:f, s:f, s:f}",
            "node", cli_json_text(s->node),
            "op", cli_json_text(s->op),
            "ms", (double) s->ns / (double) o->runs / 1e6,
            "share", (double) s->ns / total,
            "gflops", gflops(s, o->runs),
            "of_peak", gflops(s, o->runs) / r->peak[s->integers]));
    }

    if (r->step != NULL) {
        json_object_set_new(json, "per_op", steps);
        json_object_set_new(json, "peak_gflops", json_real(r->peak[0]));
        json_object_set_new(json, "peak_gops", json_real(r->peak[1]));
    } else {
        json_decref(steps);
    }

    cli_json_print(json);
}


/* ---- the command ------------------------------------------------------ */

static int
measure(const options_t *o, const infer_model_t *model, const char *path,
    const infer_parallel_t *parallel, result_t *r, infer_error_t *err)
{
    size_t             batch;
    infer_error_t      why;
    infer_session_t   *session;

    batch = cli_model_batch(model);

    if (batch != 0 && o->batch != 0 && batch != o->batch) {
        return cli_fail(err, "%s: the batch size is fixed to %zu", path,
                        batch);
    }

    batch = batch ? batch : o->batch ? o->batch : 1;

    session = infer_session_create(model, batch, parallel->slots, &why);
    if (session == NULL) {
        return cli_fail(err, "%.200s: %.300s", path, why.text);
    }

    if (set_inputs(session, infer_model_inputs(model), err) != 0) {
        infer_session_free(session);
        return -1;
    }

    time_runs(o, session, batch, parallel, r);

    if (o->per_op) {
        time_steps(o, session, parallel, r);
        r->peak[0] = infer_peak_gflops() * (double) parallel->slots;
        r->peak[1] = infer_peak_gops() * (double) parallel->slots;
    }

    r->peak_rss_mb = peak_rss_mb();

    if (o->json) {
        put_json(o, r, batch, parallel->slots);
    } else {
        put_text(o, r, batch, parallel->slots);
    }

    free(r->step);
    infer_session_free(session);

    return 0;
}


static int
bench(const options_t *o, const char *path)
{
    int             failed = 1;
    uint64_t        start;
    result_t        result = { 0 };
    infer_error_t   err;
    infer_model_t  *model = NULL;
    cli_threads_t  *threads;

    threads = cli_threads_create(o->threads, &err);

    if (threads != NULL) {
        start = cli_now();
        model = cli_model_load(path, &o->load, NULL, 0, &err);
        result.load_ms = (double) (cli_now() - start) / 1e6;
    }

    if (model != NULL) {
        failed = measure(o, model, path, cli_threads_parallel(threads),
                         &result, &err);
    }

    infer_model_free(model);
    cli_threads_free(threads);

    return failed ? cli_error("%s", err.text) : CLI_DONE;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = {
        .threads = 1,
        .runs = DEFAULT_RUNS,
        .warmup = DEFAULT_WARMUP,
        .load = CLI_LOAD_DEFAULTS
    };

    cli_option_t  options[] = {
        { "threads", 't', CLI_NUMBER, &o.threads, "N",
          "threads to work with (default 1)", 1, CLI_MAX_THREADS },
        { "batch", 'b', CLI_NUMBER, &o.batch, "N",
          "images in a batch (default 1)", 1, CLI_MAX_BATCH },
        { "runs", 'n', CLI_NUMBER, &o.runs, "N",
          "timed runs (default 50)", 1, 10000000 },
        { "warmup", 0, CLI_NUMBER, &o.warmup, "N",
          "runs before them (default 5)", 0, 10000000 },
        { "per-op", 0, CLI_FLAG, &o.per_op, NULL,
          "also the mean time of each step, in runs of their own,\n"
          "and its share of the CPU's peak", 0, 0 },
        { "sort", 0, CLI_TEXT, &o.sort, "time|order",
          "how --per-op lists the steps (default order)", 0, 0 },
        CLI_LOAD_OPTIONS(o.load),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    if (n > 1) {
        status = cli_error("bench: one model at a time, what is \"%s\"?",
                           argv[1]);

    } else if (o.sort != NULL && (!o.per_op || (strcmp(o.sort, "time") != 0
                                                && strcmp(o.sort, "order")
                                                   != 0)))
    {
        status = cli_error("--sort: time or order, and with --per-op");

    } else {
        status = bench(&o, argv[0]);
    }

    cli_list_free(&o.load.shapes);

    return status;
}


const cli_command_t  cli_bench = {
    .name = "bench",
    .summary = "tell how fast a model is",
    .usage = "MODEL [--threads N] [--batch N] [--runs N] [--per-op] "
             "[--json]",
    .details = "Runs a model on random numbers (the same each time) and "
               "tells the time of a run,\nthe time to load, and the peak "
               "memory of the process.\n",
    .examples = "infer bench model.onnx\n"
                "infer bench model.onnx --threads 4 --batch 8\n"
                "infer bench model.onnx --per-op --sort time\n",
    .min_operands = 1,
    .operands = "the MODEL is",
    .main = command
};
