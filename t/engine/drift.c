/*
 * Monitoring on real images: FashionNet's 10,000 test images as they are raise
 * no alert in any window, in any order; changed as images do change, each
 * raises the alert that says so within 500 requests, and the estimate of
 * accuracy falls with accuracy.
 *
 * DRIFT_SHUFFLES: how many orders are tried (make test: few; 100 by make
 * test-models), DRIFT_STEP: a look after so many requests.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "infer.h"
#include "tap.h"


#define MODEL     "conf/models/fashion.onnx"
#define DATA      "/usr/share/datasets/fashion-mnist/"
#define NORMAL    "resize=28 crop=28 mean=0.2860 std=0.3530"
#define SIDE      28
#define PIXELS    (SIDE * SIDE)
#define CLASSES   10

/* Images of the baseline, of the training set; of the stream. */
#define BASE      10000
#define STREAM    10000

/* Requests within which a shift is to be seen. */
#define SOON      500


typedef struct {
    uint8_t  *pixels;
    uint8_t  *label;
    size_t    n;
} set_t;

typedef struct {
    infer_sample_t  *sample;
    uint8_t         *right;
    size_t           n;
} stream_t;

typedef void (*change_pt)(const uint8_t *in, uint8_t *out);

typedef struct {
    const char     *name;
    change_pt       change;
    const char     *preprocess;
    const char     *classes;           /* those that are left, or NULL */
    infer_alert_t   alert;             /* that is to be raised */
} shift_t;


static infer_model_t           *model;
static const infer_baseline_t  *baseline;
static infer_session_t         *session;
static infer_counts_t           counts;
static uint64_t                 seed = 1;


static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed * 0x2545f4914f6cdd1du >> 11;
}


static double
uniform(void)
{
    return (double) next() / (double) (UINT64_C(1) << 53);
}


/* ---- data ------------------------------------------------------------- */

static uint8_t *
read_idx(const char *name, size_t head, size_t size)
{
    char      path[200];
    gzFile    f;
    uint8_t  *data = malloc(head + size);

    snprintf(path, sizeof(path), DATA "%s", name);
    f = gzopen(path, "rb");

    if (f == NULL || data == NULL
        || gzread(f, data, (unsigned) (head + size)) != (int) (head + size))
    {
        printf("Bail out! %s cannot be read\n", path);
        exit(1);
    }

    gzclose(f);
    memmove(data, data + head, size);

    return data;
}


static set_t
read_set(const char *images, const char *labels, size_t n)
{
    return (set_t) { read_idx(images, 16, n * PIXELS),
                     read_idx(labels, 8, n), n };
}


/* ---- changes ---------------------------------------------------------- */

static uint8_t
byte(double x)
{
    return x <= 0 ? 0 : x >= 255 ? 255 : (uint8_t) (x + 0.5);
}


static void
inverted(const uint8_t *in, uint8_t *out)
{
    for (int i = 0; i < PIXELS; i++) {
        out[i] = (uint8_t) (255 - in[i]);
    }
}


static void
darkened(const uint8_t *in, uint8_t *out)
{
    for (int i = 0; i < PIXELS; i++) {
        out[i] = byte(in[i] * 0.6);
    }
}


/* 1 4 6 4 1 in both directions. */
static void
blurred(const uint8_t *in, uint8_t *out)
{
    int                  at;
    double               sum, rows[PIXELS];
    static const double  weight[5] = { 1, 4, 6, 4, 1 };

    for (int i = 0; i < PIXELS; i++) {
        sum = 0;
        for (int k = -2; k <= 2; k++) {
            at = i / SIDE + k;
            at = at < 0 ? 0 : at >= SIDE ? SIDE - 1 : at;
            sum += weight[k + 2] * in[at * SIDE + i % SIDE];
        }
        rows[i] = sum / 16;
    }

    for (int i = 0; i < PIXELS; i++) {
        sum = 0;
        for (int k = -2; k <= 2; k++) {
            at = i % SIDE + k;
            at = at < 0 ? 0 : at >= SIDE ? SIDE - 1 : at;
            sum += weight[k + 2] * rows[i / SIDE * SIDE + at];
        }
        out[i] = byte(sum / 16);
    }
}


static void
blurred_more(const uint8_t *in, uint8_t *out)
{
    uint8_t  once[PIXELS], twice[PIXELS];

    blurred(in, once);
    blurred(once, twice);
    blurred(twice, out);
}


static void
rotated(const uint8_t *in, uint8_t *out)
{
    for (int i = 0; i < PIXELS; i++) {
        out[(SIDE - 1 - i % SIDE) * SIDE + i / SIDE] = in[i];
    }
}


static void
add_noise(const uint8_t *in, uint8_t *out, double deviation)
{
    double  sum;

    for (int i = 0; i < PIXELS; i++) {
        sum = -6;
        for (int k = 0; k < 12; k++) {
            sum += uniform();
        }
        out[i] = byte(in[i] + deviation * sum);
    }
}


static void
noisy(const uint8_t *in, uint8_t *out)
{
    add_noise(in, out, 20);
}


static void
very_noisy(const uint8_t *in, uint8_t *out)
{
    add_noise(in, out, 50);
}


static const shift_t  shifts[] = {
    { "inverted", inverted, NORMAL, NULL, INFER_ALERT_INPUT },
    { "darkened by 40 %", darkened, NORMAL, NULL, INFER_ALERT_INPUT },
    { "blurred", blurred, NORMAL, NULL, INFER_ALERT_INPUT },
    { "blurred more", blurred_more, NORMAL, NULL, INFER_ALERT_INPUT },
    { "rotated", rotated, NORMAL, NULL, INFER_ALERT_INPUT },
    { "noise of 20", noisy, NORMAL, NULL, INFER_ALERT_INPUT },
    { "noise of 50", very_noisy, NORMAL, NULL, INFER_ALERT_INPUT },
    { "classes 0 3 6", NULL, NORMAL, "036", INFER_ALERT_CLASSES },
    { "classes 5 7 9", NULL, NORMAL, "579", INFER_ALERT_CLASSES },
    { "mean 0 std 1", NULL, "resize=28 crop=28 mean=0 std=1", NULL,
      INFER_ALERT_TENSOR },
    { "mean .5 std .5", NULL, "resize=28 crop=28 mean=0.5 std=0.5", NULL,
      INFER_ALERT_TENSOR },
};

#define SHIFTS  (sizeof(shifts) / sizeof(shifts[0]))


/* ---- through the model ------------------------------------------------ */

static infer_preprocess_t
preprocess(const char *spec)
{
    infer_error_t       err;
    infer_preprocess_t  pp;

    if (infer_model_preprocess(model, &pp, &err) != 0
        || infer_preprocess_parse(&pp, spec, &err) != 0)
    {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }

    return pp;
}


static void
run(uint8_t *pixels, const infer_preprocess_t *pp, infer_sample_t *sample)
{
    infer_image_t  img = { SIDE, SIDE, 1, pixels };

    infer_sample_begin(sample);
    infer_sample_image(sample, NULL, 0, &img, &img);
    (void) infer_session_set_image(session, 0, &img, pp);
    infer_sample_input(sample, session, 0);
    infer_session_run(session, NULL);
}


static infer_recorder_t *
record(const set_t *set)
{
    int                  failed;
    infer_error_t        err;
    infer_sample_t       sample;
    infer_section_t      section = { 0 };
    infer_recorder_t    *rec;
    infer_preprocess_t   pp = preprocess(NORMAL);

    rec = infer_recorder_create(model, &err);
    failed = rec == NULL;

    for (int pass = 0; !failed && pass < 2; pass++) {
        if (pass == 0) {
            infer_recorder_watch(rec, session);
        } else {
            failed = infer_recorder_again(rec, &err);
        }

        for (size_t i = 0; !failed && i < set->n; i++) {
            run(set->pixels + i * PIXELS, &pp, &sample);
            failed = infer_recorder_add(rec, session, &sample, set->label[i],
                                        &err);
        }
    }

    if (failed || infer_recorder_section(rec, &section, &err) != 0) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }

    baseline = section.data;

    return rec;
}


/* The first n images of the set that are of these classes, changed. */
static stream_t
stream_of(const set_t *set, size_t n, change_pt change, const char *spec,
    const char *classes)
{
    uint8_t              pixels[PIXELS];
    stream_t             s = { calloc(n, sizeof(infer_sample_t)),
                               calloc(n, 1), 0 };
    infer_preprocess_t   pp = preprocess(spec);

    for (size_t i = 0; i < set->n && s.n < n; i++) {
        if (classes != NULL && strchr(classes, '0' + set->label[i]) == NULL) {
            continue;
        }

        memcpy(pixels, set->pixels + i * PIXELS, PIXELS);

        if (change != NULL) {
            change(set->pixels + i * PIXELS, pixels);
        }

        run(pixels, &pp, &s.sample[s.n]);
        infer_sample_output(&s.sample[s.n], session, 0, baseline);
        s.right[s.n] = s.sample[s.n].class_id == set->label[i];
        s.n++;
    }

    return s;
}


static void
stream_free(stream_t *s)
{
    free(s->sample);
    free(s->right);
}


/* ---- looks ------------------------------------------------------------ */

/* The alerts of a window, by bits. */
static unsigned
look(infer_live_t *live, uint64_t now, infer_span_t span)
{
    size_t         n;
    unsigned       alerts = 0;
    infer_score_t  score[INFER_SCORES];

    infer_live_read(live, now, span, &counts);
    n = infer_scores(baseline, &counts, score);

    for (size_t i = 0; i < n; i++) {
        if (score[i].verdict == INFER_VERDICT_ALERT) {
            alerts |= 1u << score[i].alert;
        }
    }

    return alerts;
}


static const char *
names(unsigned alerts)
{
    static char  text[200];

    text[0] = '\0';

    for (int i = 0; i < INFER_ALERTS; i++) {
        if (alerts & 1u << i) {
            strcat(text, " ");
            strcat(text, infer_alert_name(i));
        }
    }

    return text;
}


static size_t
setting(const char *name, size_t preset)
{
    const char  *value = getenv(name);

    return value != NULL ? (size_t) strtoul(value, NULL, 10) : preset;
}


/* A stream in one order at one rate: whether any look sees an alert. */
static unsigned
shuffled(const stream_t *s, infer_live_t *live, uint64_t interval,
    size_t step)
{
    size_t    k, other;
    unsigned  alerts = 0;
    size_t   *order = malloc(s->n * sizeof(size_t));

    infer_live_init(live, CLASSES, infer_baseline_id(baseline));

    for (k = 0; k < s->n; k++) {
        order[k] = k;
    }

    for (k = 0; k < s->n; k++) {
        other = k + next() % (s->n - k);
        infer_live_add(live, k * interval, &s->sample[order[other]]);
        order[other] = order[k];

        if (k % step == 0 || k == s->n - 1) {
            for (int span = 0; span < INFER_SPANS; span++) {
                alerts |= look(live, k * interval, (infer_span_t) span);
            }
        }
    }

    free(order);

    return alerts;
}


static void
test_quiet(const stream_t *s)
{
    size_t         n = setting("DRIFT_SHUFFLES", 4), wrong = 0;
    size_t         step = setting("DRIFT_STEP", 50);
    unsigned       alerts;
    infer_live_t  *live = malloc(infer_live_size(CLASSES));

    /* a minute is 60, 300, 1200, 6000 requests */
    static const uint64_t  interval[] = { 1000, 200, 50, 10 };

    for (size_t i = 0; i < n; i++) {
        alerts = shuffled(s, live, interval[i % 4], step);
        wrong += alerts != 0;

        if (alerts) {
            printf("# order %zu:%s\n", i, names(alerts));
        }
    }

    ok(wrong == 0, "%zu orders of 10,000 test images raise no alert, looked "
       "at after every %zu requests, in any window", n, step);

    free(live);
}


/*
 * After so many normal requests: the number of changed ones until the alert is
 * raised, 5 requests a second; 0: not soon.  *alerts: what there is then.
 */
static size_t
seen_after(const stream_t *normal, size_t before, const stream_t *s,
    infer_alert_t alert, unsigned *alerts)
{
    size_t         found = 0, k;
    infer_live_t  *live = malloc(infer_live_size(CLASSES));

    infer_live_init(live, CLASSES, infer_baseline_id(baseline));

    for (k = 0; k < before; k++) {
        infer_live_add(live, k * 200, &normal->sample[k]);
    }

    for (k = 1; found == 0 && k <= SOON; k++) {
        infer_live_add(live, (before + k) * 200, &s->sample[k - 1]);
        *alerts = look(live, (before + k) * 200, INFER_SPAN_MINUTE);
        found = *alerts & 1u << alert ? k : 0;
    }

    free(live);

    return found;
}


/* How often the first n answers are right, and what is made of that. */
static void
rates(const stream_t *s, size_t n, double *truth, double *estimate)
{
    size_t         scores;
    infer_live_t  *live = malloc(infer_live_size(CLASSES));
    infer_score_t  score[INFER_SCORES];

    infer_live_init(live, CLASSES, infer_baseline_id(baseline));
    *truth = 0;
    *estimate = -1;

    for (size_t i = 0; i < n; i++) {
        infer_live_add(live, 0, &s->sample[i]);
        *truth += (double) s->right[i] / (double) n;
    }

    infer_live_read(live, 0, INFER_SPAN_ALL, &counts);
    scores = infer_scores(baseline, &counts, score);

    for (size_t i = 0; i < scores; i++) {
        if (strcmp(score[i].name, "accuracy") == 0) {
            *estimate = score[i].value;
        }
    }

    free(live);
}


static void
test_shifts(const set_t *set, const stream_t *normal)
{
    size_t    fresh, mixed;
    double    truth, estimate, truth0, estimate0;
    unsigned  alerts;
    stream_t  s;

    rates(normal, normal->n, &truth0, &estimate0);

    printf("# %-17s %8s %9s %7s %7s  alerts then\n", "", "accuracy",
           "estimated", "alone", "after");
    printf("# %-17s %8.3f %9.3f\n", "as they are", truth0, estimate0);

    ok(fabs(truth0 - estimate0) < 0.05,
       "as they are: accuracy %.3f is estimated as %.3f", truth0, estimate0);

    for (size_t i = 0; i < SHIFTS; i++) {
        s = stream_of(set, 2000, shifts[i].change, shifts[i].preprocess,
                      shifts[i].classes);
        rates(&s, SOON, &truth, &estimate);

        mixed = seen_after(normal, 1000, &s, shifts[i].alert, &alerts);
        fresh = seen_after(normal, 0, &s, shifts[i].alert, &alerts);

        printf("# %-17s %8.3f %9.3f %7zu %7zu %s\n", shifts[i].name, truth,
               estimate, fresh, mixed, names(alerts));

        ok(fresh > 0 && mixed > 0, "%s: %s within %d requests",
           shifts[i].name, infer_alert_name(shifts[i].alert), SOON);

        if (truth < truth0 - 0.05) {
            ok(estimate0 - estimate > (truth0 - truth) / 4,
               "%s: accuracy %.3f, the estimate falls with it to %.3f",
               shifts[i].name, truth, estimate);
        }

        stream_free(&s);
    }
}


int
main(void)
{
    set_t              base, test;
    stream_t           normal;
    infer_error_t      err;
    infer_recorder_t  *rec;

    base = read_set("train-images-idx3-ubyte.gz",
                    "train-labels-idx1-ubyte.gz", BASE);
    test = read_set("t10k-images-idx3-ubyte.gz",
                    "t10k-labels-idx1-ubyte.gz", STREAM);

    model = infer_model_load(MODEL, NULL, &err);
    session = model ? infer_session_create(model, 1, 1, &err) : NULL;

    if (session == NULL) {
        printf("Bail out! %s\n", err.text);
        return 1;
    }

    rec = record(&base);
    normal = stream_of(&test, STREAM, NULL, NORMAL, NULL);

    test_shifts(&test, &normal);
    test_quiet(&normal);

    stream_free(&normal);
    infer_recorder_free(rec);
    infer_session_free(session);
    infer_model_free(model);
    free(base.pixels);
    free(base.label);
    free(test.pixels);
    free(test.label);

    return done();
}
