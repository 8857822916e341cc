/*
 * Monitoring piece by piece: samples against numbers worked out another way,
 * live counts against a list of all that was added (from several processes,
 * some of which are killed), scores against their definitions and against
 * chance, the baseline's section against whoever changes it.  (Real images:
 * drift.c.)
 */

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/baseline.h"
#include "sample.h"
#include "tap.h"


#define MODEL    "conf/models/fashion.onnx"
#define SIDE     28
#define PIXELS   (SIDE * SIDE)
#define CLASSES  10


static infer_error_t   err;
static infer_counts_t  counts;
static uint64_t        seed = 88172645463325252u;


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


static int
near(double a, double b, double error)
{
    return fabs(a - b) <= error;
}


static size_t
sum(const uint32_t *count, size_t n)
{
    size_t  all = 0;

    for (size_t i = 0; i < n; i++) {
        all += count[i];
    }

    return all;
}


/* ---- samples ---------------------------------------------------------- */

static void
test_statistics(void)
{
    size_t  wrong = 0;
    double  lo, hi;

    infer_live_t    *live = malloc(infer_live_size(CLASSES));
    infer_sample_t   sample;

    /* the middle of each bin is in it */
    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        infer_live_init(live, CLASSES, 0);

        for (size_t i = 0; i < INFER_MONITOR_BINS; i++) {
            lo = infer_statistic_edge(s, i);
            hi = infer_statistic_edge(s, i + 1);
            wrong += !(lo < hi);

            infer_sample_begin(&sample);
            sample.value[s] = (float) ((lo + hi) / 2);
            infer_live_add(live, 0, &sample);
        }

        infer_live_read(live, 0, INFER_SPAN_ALL, &counts);

        for (size_t i = 0; i < INFER_MONITOR_BINS; i++) {
            /* close to 1 there are not enough floats for the last bins */
            wrong += counts.bin[s][i] != 1
                     && !(s == INFER_STAT_CONFIDENCE && i > 60);
        }
    }

    ok(wrong == 0, "each statistic has %d bins, one above the other",
       INFER_MONITOR_BINS);

    infer_live_init(live, CLASSES, 0);
    infer_sample_begin(&sample);
    infer_live_add(live, 0, &sample);

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        sample.value[s] = -INFINITY;
    }

    infer_live_add(live, 0, &sample);

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        sample.value[s] = INFINITY;
    }

    infer_live_add(live, 0, &sample);
    infer_live_read(live, 0, INFER_SPAN_ALL, &counts);

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        wrong += sum(counts.bin[s], INFER_MONITOR_BINS) != 2
                 || counts.bin[s][0] + counts.bin[s][INFER_MONITOR_BINS - 1]
                    != 2;
    }

    ok(wrong == 0 && counts.samples == 3,
       "what is not known counts nowhere, infinity at the ends");

    free(live);
}


/* All pixels of a small image are looked at: plain sums. */
static void
expect_pixels(const uint8_t *p, double expected[4])
{
    int     at[4][2] = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 } };
    double  v, d, light = 0, light2 = 0, edge = 0, edge2 = 0, l, vertical = 0,
            horizontal = 0;

    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            v = p[y * SIDE + x] / 255.0;
            light += v / PIXELS;
            light2 += v * v / PIXELS;
            l = 0;

            for (int k = 0; k < 4; k++) {
                int  yy = y + at[k][0], xx = x + at[k][1];

                yy = yy < 0 ? 0 : yy == SIDE ? SIDE - 1 : yy;
                xx = xx < 0 ? 0 : xx == SIDE ? SIDE - 1 : xx;
                d = p[yy * SIDE + xx] / 255.0 - v;
                l -= d;
                vertical += k == 1 ? fabs(d) : 0;
                horizontal += k == 3 ? fabs(d) : 0;
            }

            edge += l / PIXELS;
            edge2 += l * l / PIXELS;
        }
    }

    expected[0] = light;
    expected[1] = sqrt(light2 - light * light);
    expected[2] = edge2 - edge * edge;
    expected[3] = vertical / (vertical + horizontal);
}


static void
test_sample(infer_session_t *s, const infer_preprocess_t *pp)
{
    float            plain[CLASSES];
    double           expected[4], p[CLASSES], z = 0, h = 0;
    uint8_t          pixels[PIXELS];
    infer_image_t    img = { SIDE, SIDE, 1, pixels };
    infer_image_t    photo = { 640, 480, 1, NULL };
    infer_class_t    top;
    infer_tensor_t   t;
    infer_sample_t   sample;

    for (int i = 0; i < PIXELS; i++) {
        pixels[i] = (uint8_t) (i / SIDE * 4 + (i % SIDE * i % SIDE) % 140);
    }

    infer_session_set_image(s, 0, &img, pp);
    infer_session_run(s, NULL);
    infer_session_output_tensor(s, 0, &t);
    memcpy(plain, t.data, sizeof(plain));

    infer_session_monitor(s, NULL);
    infer_sample_begin(&sample);
    infer_sample_image(&sample, "\x89PNG\r\n\x1a\n", 8, &photo, &img);
    infer_session_set_image(s, 0, &img, pp);
    infer_sample_input(&sample, s, 0);
    infer_session_run(s, NULL);
    infer_sample_output(&sample, s, 0, NULL);

    infer_session_output_tensor(s, 0, &t);
    ok(memcmp(plain, t.data, sizeof(plain)) == 0,
       "watching a run changes no bit");

    expect_pixels(pixels, expected);
    ok(near(sample.value[INFER_STAT_BRIGHTNESS], expected[0], 1e-5)
       && near(sample.value[INFER_STAT_CONTRAST], expected[1], 1e-5)
       && near(sample.value[INFER_STAT_SHARPNESS], expected[2], 1e-5)
       && near(sample.value[INFER_STAT_DIRECTION], expected[3], 1e-5),
       "brightness %.4f, contrast %.4f, sharpness %.4f, direction %.4f",
       expected[0], expected[1], expected[2], expected[3]);

    ok(near(sample.value[INFER_STAT_MEAN], (expected[0] - 0.2860) / 0.3530,
            1e-4)
       && near(sample.value[INFER_STAT_STD], expected[1] / 0.3530, 1e-4)
       && isnan(sample.value[INFER_STAT_MEAN + 1]),
       "mean and deviation of what the model gets; it has one channel");

    ok(sample.value[INFER_STAT_WIDTH] == 640
       && sample.value[INFER_STAT_HEIGHT] == 480
       && near(sample.value[INFER_STAT_ASPECT], 4.0 / 3, 1e-6)
       && sample.value[INFER_STAT_TYPE] == INFER_TYPE_PNG,
       "size and type of what was sent");

    for (int i = 0; i < CLASSES; i++) {
        p[i] = exp((double) plain[i]);
        z += p[i];
    }

    for (int i = 0; i < CLASSES; i++) {
        h -= p[i] / z * log(p[i] / z) / log(CLASSES);
    }

    infer_session_top(s, 0, &top, 1);
    ok(sample.class_id == top.class_id
       && near(sample.value[INFER_STAT_CONFIDENCE], p[top.class_id] / z, 1e-5)
       && near(sample.value[INFER_STAT_ENTROPY], h, 1e-5)
       && isnan(sample.right), "class, confidence and entropy %.4f", h);
}


/* ---- live counts ------------------------------------------------------ */

static infer_sample_t
sample_of(uint32_t class_id, float brightness)
{
    infer_sample_t  sample;

    infer_sample_begin(&sample);
    sample.class_id = class_id;
    sample.value[INFER_STAT_BRIGHTNESS] = brightness;
    sample.right = 0.5f;
    sample.clipped = 1;
    sample.activations = 10;

    return sample;
}


/* Whether counts are those of n samples, all of the same kind. */
static int
counted(size_t n)
{
    return counts.samples == n && counts.rated == n && counts.clipped == n
           && counts.activations == 10 * n
           && sum(counts.bin[INFER_STAT_BRIGHTNESS], INFER_MONITOR_BINS) == n
           && sum(counts.class_count, counts.n_classes) == n
           && sum(counts.class_right, counts.n_classes) == 128 * n
           && near(counts.right, 0.5 * (double) n, 1e-3);
}


/*
 * Three days of samples with pauses of all lengths, each window held against
 * the list of all times.
 */
static void
test_windows(void)
{
    size_t          n = 0, wrong = 0, expected, looks = 0;
    uint64_t       *at = malloc(200000 * sizeof(uint64_t)), now = 12345678,
                    begin;
    infer_live_t   *live = malloc(infer_live_size(CLASSES));
    infer_sample_t  sample;

    infer_live_init(live, CLASSES, 7);

    while (n < 20000) {
        now += next() % 4 ? next() % 300
               : next() % 50 ? next() % 20000 : next() % 40000000;
        sample = sample_of((uint32_t) (n % CLASSES), (float) uniform());
        infer_live_add(live, now, &sample);
        at[n++] = now;

        if (next() % 20) {
            continue;
        }

        now += next() % 3 ? 0 : next() % 100000;

        for (int span = 0; span <= INFER_SPANS; span++) {
            begin = 0;

            if (span < INFER_SPANS && now > infer_span_length(span)) {
                begin = (now - infer_span_length(span))
                        / infer_span_slot(span) * infer_span_slot(span);
            }

            for (expected = 0; expected < n && at[n - 1 - expected] >= begin;
                 expected++)
            {
                /* void */
            }

            infer_live_read(live, now, (infer_span_t) span, &counts);
            wrong += !counted(expected) || counts.from != begin
                     || counts.to != now;
            looks++;
        }
    }

    ok(wrong == 0, "%zu looks at windows over %.0f days are exact", looks,
       (double) (now - at[0]) / 86400000);

    ok(infer_live_fits(live, CLASSES, 7) && !infer_live_fits(live, CLASSES, 8)
       && !infer_live_fits(live, CLASSES + 1, 7), "whose counts they are");

    ok(infer_live_size(10) < 800000 && infer_live_size(1000) < 1800000
       && infer_live_size(SIZE_MAX) < 1800000, "memory: %zu bytes for 10 "
       "classes, %zu at most", infer_live_size(10), infer_live_size(SIZE_MAX));

    free(live);
    free(at);
}


/* What processes share; the counts lie behind it. */
typedef struct {
    uint64_t       now;
    uint64_t       begun;
    uint64_t       done;
    infer_live_t  *live;
} shared_t;


static void *
add_many(void *arg)
{
    uint64_t        now;
    shared_t       *shared = arg;
    infer_sample_t  sample = sample_of(3, 0.5f);

    /* every other one begins a slot of the first window */
    for (int i = 0; i < 20000; i++) {
        now = __atomic_add_fetch(&shared->now, 1000, __ATOMIC_RELAXED);
        infer_live_add(shared->live, now, &sample);
    }

    return NULL;
}


static shared_t *
share(void)
{
    shared_t  *shared;

    shared = mmap(NULL, sizeof(shared_t) + infer_live_size(CLASSES),
                  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->live = infer_live_init(shared + 1, CLASSES, 0);
    shared->now = 86400000;

    return shared;
}


static void
test_processes(void)
{
    pid_t      pid[4];
    shared_t  *shared = share();
    pthread_t  thread;

    for (int i = 0; i < 4; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            pthread_create(&thread, NULL, add_many, shared);
            add_many(shared);
            pthread_join(thread, NULL);
            _exit(0);
        }
    }

    for (int i = 0; i < 4; i++) {
        waitpid(pid[i], NULL, 0);
    }

    infer_live_read(shared->live, shared->now, INFER_SPAN_ALL, &counts);
    ok(counted(160000), "8 threads of 4 processes: %llu samples of 160000",
       (unsigned long long) counts.samples);

    infer_live_read(shared->live, shared->now + 86400000, INFER_SPAN_MINUTE,
                    &counts);
    ok(counted(0), "a day later the last minute is empty");

    munmap(shared, sizeof(shared_t) + infer_live_size(CLASSES));
}


/* A process that begins a slot with each sample, until it is killed. */
static void
add_until_killed(shared_t *shared)
{
    infer_sample_t  sample = sample_of(3, 0.5f);

    for ( ;; ) {
        shared->now += 2000;
        shared->begun++;
        infer_live_add(shared->live, shared->now, &sample);
        shared->done++;
    }
}


static void
test_killed(void)
{
    int             wrong = 0;
    pid_t           pid;
    size_t          all, kills = 200, torn = 0;
    shared_t       *shared = share();
    infer_sample_t  sample = sample_of(3, 0.5f);

    for (size_t k = 0; k < kills; k++) {
        pid = fork();

        if (pid == 0) {
            add_until_killed(shared);
        }

        usleep((useconds_t) (300 + next() % 700));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);

        /* what it left behind hurts nobody: 10 more, one in each slot */
        for (int i = 0; i < 10; i++) {
            shared->now += 2000;
            infer_live_add(shared->live, shared->now, &sample);
            shared->begun++;
            shared->done++;
        }

        /* when the first of the 10 is at the window's beginning */
        shared->now += 60000 - 9 * 2000;
        infer_live_read(shared->live, shared->now, INFER_SPAN_MINUTE,
                        &counts);
        wrong += !counted(10);

        infer_live_read(shared->live, shared->now, INFER_SPAN_ALL, &counts);
        torn += shared->begun != shared->done;
        all = sum(counts.bin[INFER_STAT_BRIGHTNESS], INFER_MONITOR_BINS);
        wrong += counts.samples < shared->done - torn
                 || counts.samples > shared->begun
                 || all < shared->done - torn || all > shared->begun;
        shared->done = shared->begun;
    }

    ok(wrong == 0, "%zu processes killed, %zu inside: at most one sample of "
       "each is lost, none is counted twice, windows go on", kills, torn);

    munmap(shared, sizeof(shared_t) + infer_live_size(CLASSES));
}


/* A snapshot that was begun and never done is made anew. */
static void
test_torn(void)
{
    infer_live_t   *live = malloc(infer_live_size(CLASSES));
    infer_sample_t  sample = sample_of(1, 0.5f);
    unsigned char  *mem = (unsigned char *) live;
    uint64_t        word, number = 100000 / 2000;

    infer_live_init(live, CLASSES, 0);
    infer_live_add(live, 99999, &sample);
    infer_live_add(live, 100000, &sample);

    /* the mark of this snapshot: the only word that is its number + 1, but
       for the tick in the head */
    for (size_t i = 64; i + 8 <= infer_live_size(CLASSES); i += 8) {
        memcpy(&word, mem + i, 8);

        if (word == number + 1) {
            memset(mem + i, 0, 8);
        }
    }

    infer_live_add(live, 100200, &sample);
    infer_live_add(live, 102000, &sample);

    infer_live_read(live, 160000, INFER_SPAN_MINUTE, &counts);
    ok(counts.samples == 2, "a snapshot that was not finished is made a "
       "little later: %llu of 3", (unsigned long long) counts.samples);

    free(live);
}


/* ---- scores ----------------------------------------------------------- */

/* A baseline of a histogram of brightness and of classes, labels too. */
static infer_baseline_t *
baseline_of(const uint32_t *bin, size_t bins, uint32_t images)
{
    infer_baseline_t  *b = calloc(1, infer_baseline_size(CLASSES));

    b->version = INFER_BASELINE_VERSION;
    b->statistics = INFER_STATISTICS;
    b->bins = INFER_MONITOR_BINS;
    b->n_classes = CLASSES;
    b->temperature = 1;
    b->images = images;
    memcpy(b->bin[INFER_STAT_BRIGHTNESS], bin, bins * sizeof(uint32_t));

    return b;
}


static const infer_score_t *
score_of(const infer_score_t *score, size_t n, const char *name,
    infer_measure_t measure)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(score[i].name, name) == 0 && score[i].measure == measure) {
            return &score[i];
        }
    }

    return NULL;
}


/* scipy.stats.chi2.isf(1e-8, 3) = 40.13 */
static void
test_values(void)
{
    size_t                n;
    double                psi = 0, js = 0, p, q, m;
    infer_score_t         score[INFER_SCORES];
    const infer_score_t  *s;
    infer_baseline_t     *b;
    const uint32_t        base[4] = { 400, 300, 200, 100 };
    const uint32_t        live[4] = { 1000, 2000, 3000, 4000 };

    b = baseline_of(base, 4, 1000);

    memset(&counts, 0, sizeof(counts));
    memcpy(counts.bin[INFER_STAT_BRIGHTNESS], live, sizeof(live));
    counts.samples = 10000;

    for (int i = 0; i < 4; i++) {
        p = base[i] / 1000.0;
        q = live[i] / 10000.0;
        m = (p + q) / 2;
        psi += (q - p) * log(q / p);
        js += (p * log2(p / m) + q * log2(q / m)) / 2;
    }

    n = infer_scores(b, &counts, score);

    s = score_of(score, n, "brightness", INFER_MEASURE_PSI);
    ok(near(s->value, psi, 0.01) && s->n == 10000
       && s->verdict == INFER_VERDICT_ALERT && s->threshold == 0.2,
       "PSI %.4f", s->value);

    s = score_of(score, n, "brightness", INFER_MEASURE_JS);
    ok(near(s->value, js, 0.003) && s->verdict == INFER_VERDICT_ALERT,
       "Jensen-Shannon %.4f", s->value);

    s = score_of(score, n, "brightness", INFER_MEASURE_KS);
    ok(near(s->value, 0.4, 1e-9) && s->verdict == INFER_VERDICT_ALERT,
       "Kolmogorov-Smirnov %.4f", s->value);

    for (int i = 0; i < 4; i++) {
        counts.bin[INFER_STAT_BRIGHTNESS][i] = base[i] / 5;
    }

    n = infer_scores(b, &counts, score);
    s = score_of(score, n, "brightness", INFER_MEASURE_PSI);
    ok(s->n == 200 && near(s->value, 0, 0.001)
       && s->verdict == INFER_VERDICT_OK
       && near(s->threshold, 40.13 * (1.0 / 200 + 1.0 / 1000), 0.01),
       "200 samples: a threshold of %.4f", s->threshold);

    memset(&counts, 0, sizeof(counts));
    n = infer_scores(b, &counts, score);
    s = score_of(score, n, "brightness", INFER_MEASURE_PSI);
    ok(s->n == 0 && isnan(s->value) && s->verdict == INFER_VERDICT_UNKNOWN,
       "no samples: unknown");

    free(b);
}


/* A class drawn from a share for each. */
static size_t
draw(const double *share, size_t n)
{
    double  x = uniform();

    for (size_t i = 0; i < n; i++) {
        x -= share[i];

        if (x < 0) {
            return i;
        }
    }

    return n - 1;
}


/*
 * Without a drift scores exceed a threshold at the rate that their noise says:
 * PSI / (1/n + 1/m) is as often above the 1 % quantile of chi-squared with 9
 * degrees of freedom (21.67) as it should be, and never above the threshold.
 */
static void
test_chance(void)
{
    double                share[10], above = 0, looks = 0, alerts = 0;
    infer_score_t         score[INFER_SCORES];
    infer_baseline_t     *b;
    const infer_score_t  *s;
    const size_t          sizes[] = { 20, 50, 200, 1000 };

    for (int i = 0; i < 10; i++) {
        share[i] = 0.1;
    }

    for (size_t k = 0; k < 4000; k++) {
        uint32_t  base[10] = { 0 };
        size_t    n, samples = sizes[k % 4];

        for (int i = 0; i < 1000; i++) {
            base[draw(share, 10)]++;
        }

        b = baseline_of(base, 10, 1000);
        memset(&counts, 0, sizeof(counts));

        for (size_t i = 0; i < samples; i++) {
            counts.bin[INFER_STAT_BRIGHTNESS][draw(share, 10)]++;
        }

        n = infer_scores(b, &counts, score);

        for (size_t i = 0; i < n; i++) {
            alerts += score[i].verdict == INFER_VERDICT_ALERT;
        }

        if (samples == 1000) {
            s = score_of(score, n, "brightness", INFER_MEASURE_PSI);
            above += s->value / (1.0 / 1000 + 1.0 / 1000) > 21.67;
            looks++;
        }

        free(b);
    }

    ok(alerts == 0, "4000 windows without a drift, of 20 samples and more, "
       "raise no alert");
    ok(above / looks > 0.003 && above / looks < 0.022,
       "PSI is what chance makes it: %.1f %% above the 1 %% quantile",
       100 * above / looks);
}


/* ---- the section ------------------------------------------------------ */

static void
test_section(void)
{
    size_t                size, loaded = 0, at, changed = 0;
    infer_section_t       section;
    unsigned char        *data = sample_file_with_baseline(&size);
    unsigned char        *copy = aligned_alloc(64, size);
    infer_baseline_t     *b;
    const infer_model_t  *m;
    infer_baseline_info_t info;

    m = infer_file_open(data, size, "file", &err);
    ok(m != NULL && infer_model_baseline(m) != NULL
       && infer_baseline_id(infer_model_baseline(m)) != 0,
       "a file with a baseline");

    infer_baseline_info(infer_model_baseline(m), &info);
    ok(info.images == 3 && info.labelled == 3 && info.temperature > 0,
       "what there is to know of it");

    (void) infer_model_find_section(m, INFER_SECTION_BASELINE, &section);
    at = (size_t) ((const unsigned char *) section.data - data);

    for (size_t i = 0; i < section.size; i++) {
        for (int k = 0; k < 3; k++) {
            memcpy(copy, data, size);
            copy[at + i] = k == 0 ? (unsigned char) ~data[at + i]
                           : k == 1 ? (unsigned char) (data[at + i] + 1) : 255;
            sample_repair(copy, size);
            changed++;
            m = infer_file_open(copy, size, "file", &err);

            if (m != NULL) {
                loaded++;
                (void) sample_run(m, 1, SIZE_MAX);
            }
        }
    }

    ok(loaded > 0 && loaded < changed, "with right checksums %zu of %zu "
       "changed ones are loaded, and harm nobody", loaded, changed);

#define REFUSED(what, change)                                                 \
    memcpy(copy, data, size);                                                 \
    b = (infer_baseline_t *) (void *) (copy + at);                            \
    change;                                                                   \
    sample_repair(copy, size);                                                \
    ok(infer_file_open(copy, size, "file", &err) == NULL                      \
       && strstr(err.text, "baseline") != NULL, "%s: %s", what, err.text)

    REFUSED("a newer one", b->version++);
    REFUSED("other statistics", b->statistics++);
    REFUSED("more classes than the model", b->n_classes++);
    REFUSED("classes beyond the end", b->n_classes = UINT32_MAX);
    REFUSED("no images", b->images = 0);
    REFUSED("a layer that is none", b->layer[0] = UINT32_MAX);
    REFUSED("too many layers", b->n_layers = INFER_MONITOR_LAYERS + 1);
    REFUSED("a range without end", b->hi[0] = INFINITY);
    REFUSED("no temperature", b->temperature = 0);
    REFUSED("NaN for a temperature", b->temperature = NAN);
    REFUSED("more in bins than images", b->bin[2][5] = 4);
    REFUSED("more right than there are", b->right = 4);
    REFUSED("some labels", b->labelled = 2);

    free(data);
    free(copy);
}


int
main(void)
{
    infer_model_t       *model;
    infer_session_t     *session;
    infer_preprocess_t   pp;

    model = infer_model_load(MODEL, NULL, &err);
    session = model ? infer_session_create(model, 1, 1, &err) : NULL;

    if (session == NULL || infer_model_preprocess(model, &pp, &err) != 0
        || infer_preprocess_parse(&pp, "resize=28 crop=28 mean=0.2860 "
                                  "std=0.3530", &err) != 0)
    {
        printf("Bail out! %s\n", err.text);
        return 1;
    }

    test_statistics();
    test_sample(session, &pp);
    test_windows();
    test_processes();
    test_killed();
    test_torn();
    test_values();
    test_chance();
    test_section();

    infer_session_free(session);
    infer_model_free(model);

    return done();
}
