/*
 * infer drift: how far images, and what a model makes of them, are from its
 * baseline: the scores of the server's monitoring, of a set of images.
 */

#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "cli/model.h"
#include "cli/monitor.h"
#include "cli/threads.h"


typedef struct {
    const char  *preprocess;      /* --preprocess */
    size_t       max_pixels;
    size_t       threads;
    int          all;             /* --all */
    int          json;
} options_t;

typedef struct {
    const infer_baseline_t  *baseline;
    infer_session_t         *session;
    infer_live_t            *live;
} drift_t;


/* ---- output ----------------------------------------------------------- */

static const char *const  verdicts[] = {
    [INFER_VERDICT_UNKNOWN] = "unknown",
    [INFER_VERDICT_OK] = "ok",
    [INFER_VERDICT_ALERT] = "alert"
};


static json_t *
number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}


static void
put_json(const infer_counts_t *counts, const infer_score_t *score, size_t n,
    const int *alert)
{
    json_t  *scores = json_array(), *alerts = json_array();

    for (size_t i = 0; i < INFER_ALERTS; i++) {
        if (alert[i]) {
            json_array_append_new(alerts, json_string(infer_alert_name(i)));
        }
    }

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(scores, json_pack(
            "{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o}",
            "name", score[i].name,
            "measure", infer_measure_name(score[i].measure),
            "alert", infer_alert_name(score[i].alert),
            "verdict", verdicts[score[i].verdict],
            "samples", (json_int_t) score[i].n,
            "value", number(score[i].value),
            "threshold", number(score[i].threshold),
            "error", number(score[i].error)));

        if (score[i].measure == INFER_MEASURE_SHARE) {
            json_object_set_new(json_array_get(scores, i), "baseline",
                                number(score[i].baseline));
        }
    }

    cli_json_print(json_pack("{s:I, s:o, s:o}", "images",
                             (json_int_t) counts->samples, "alerts", alerts,
                             "scores", scores));
}


static void
put_number(double x)
{
    printf(isnan(x) ? "         -" : "  %8.4f", x);
}


/* What is not as it was; everything with --all. */
static void
put_text(const infer_counts_t *counts, const infer_score_t *score, size_t n,
    const int *alert, int all)
{
    int  any = 0;

    printf("images  %llu\nalerts ", (unsigned long long) counts->samples);

    for (size_t i = 0; i < INFER_ALERTS; i++) {
        if (alert[i]) {
            printf(" %s", infer_alert_name(i));
            any = 1;
        }
    }

    printf("%s\n\n%-16s %-6s      value  threshold\n", any ? "" : " none",
           "score", "");

    for (size_t i = 0; i < n; i++) {
        if (!all && score[i].verdict != INFER_VERDICT_ALERT
            && score[i].measure != INFER_MEASURE_SHARE)
        {
            continue;
        }

        printf("%-16s %-6s ", score[i].name,
               infer_measure_name(score[i].measure));
        put_number(score[i].value);
        put_number(score[i].threshold);
        printf("  %s\n", score[i].verdict == INFER_VERDICT_OK
                         ? "" : verdicts[score[i].verdict]);
    }
}


/* ---- the command ------------------------------------------------------ */

static int
count_image(void *arg, size_t i, infer_sample_t *sample, infer_error_t *err)
{
    drift_t  *d = arg;

    (void) i;
    (void) err;

    infer_sample_output(sample, d->session, 0, d->baseline);
    infer_live_add(d->live, 0, sample);

    return 0;
}


static int
judge(const drift_t *d, const options_t *o)
{
    int              any = 0, alert[INFER_ALERTS] = { 0 };
    size_t           n;
    infer_score_t    score[INFER_SCORES];
    infer_counts_t  *counts = cli_alloc(1, sizeof(infer_counts_t));

    infer_live_read(d->live, 0, INFER_SPAN_ALL, counts);
    n = infer_scores(d->baseline, counts, score);

    for (size_t i = 0; i < n; i++) {
        if (score[i].verdict == INFER_VERDICT_ALERT) {
            alert[score[i].alert] = 1;
            any = 1;
        }
    }

    if (o->json) {
        put_json(counts, score, n, alert);
    } else {
        put_text(counts, score, n, alert, o->all);
    }

    free(counts);

    return any ? CLI_NO : CLI_DONE;
}


/* The exit status, or -1 with the error. */
static int
compare(const infer_model_t *model, const char *path, const char *data,
    const options_t *o, cli_threads_t *threads, infer_error_t *err)
{
    int                  status = -1;
    size_t               classes = infer_model_classes(model);
    size_t               batch = cli_model_batch(model);
    drift_t              d = { .baseline = infer_model_baseline(model) };
    cli_dataset_t        set;
    cli_monitor_t        m = { .model = model, .max_pixels = o->max_pixels };
    infer_preprocess_t   pp;

    if (d.baseline == NULL) {
        return cli_fail(err, "%.400s: has no baseline (see infer baseline)",
                        path);
    }

    if (cli_preprocess(&pp, model, path, o->preprocess, err) != 0
        || cli_dataset_images(&set, data, err) != 0)
    {
        return -1;
    }

    m.pp = &pp;
    m.set = &set;
    m.parallel = cli_threads_parallel(threads);

    d.live = infer_live_init(cli_alloc(1, infer_live_size(classes)), classes,
                             infer_baseline_id(d.baseline));
    d.session = infer_session_create(model, batch ? batch : 1,
                                     m.parallel->slots, err);

    if (d.session != NULL) {
        infer_session_monitor(d.session, d.baseline);

        if (cli_monitor_run(&m, d.session, "drift", count_image, &d, err)
            == 0)
        {
            status = judge(&d, o);
        }
    }

    infer_session_free(d.session);
    free(d.live);
    cli_dataset_free(&set);

    return status;
}


static int
drift(const options_t *o, const char *path, const char *data)
{
    int             status = -1;
    infer_error_t   err;
    infer_model_t  *model = NULL;
    cli_threads_t  *threads;

    threads = cli_threads_create(o->threads, &err);

    if (threads != NULL) {
        model = infer_model_load(path, NULL, &err);
    }

    if (model != NULL) {
        status = compare(model, path, data, o, threads, &err);
    }

    infer_model_free(model);
    cli_threads_free(threads);

    return status == -1 ? cli_error("%s", err.text) : status;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = { .max_pixels = CLI_MAX_PIXELS };

    cli_option_t  options[] = {
        { "all", 'a', CLI_FLAG, &o.all, NULL,
          "print all scores, not only alerts and shares", 0, 0 },
        CLI_PREPROCESS_OPTION(o),
        { "max-pixels", 0, CLI_NUMBER, &o.max_pixels, "N",
          "refuse larger images (default 100000000)", 1, SIZE_MAX },
        CLI_THREADS_OPTION(o.threads),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    return n > 2
           ? cli_error("drift: one MODEL and one DATA, what is \"%s\"?",
                       argv[2])
           : drift(&o, argv[0], argv[1]);
}


const cli_command_t  cli_drift = {
    .name = "drift",
    .summary = "tell whether images are as those of the baseline",
    .usage = "MODEL DATA [--all] [--json]",
    .details =
        "Runs images and holds what the model was given and answered against "
        "the baseline\nin its file, as the server's monitoring does.  DATA is "
        "a folder (of folders) of\nimages, or a file of MNIST's format.  "
        "Exit status 1: there are alerts.\n",
    .examples = "infer drift model.infer photos-of-today/\n",
    .min_operands = 2,
    .operands = "MODEL or DATA is",
    .main = command
};
