/*
 * Scores: counts held against a baseline, each with what chance would make of
 * so many samples.
 *
 * Neighbouring bins are put together until each group has LEAST_COUNT samples
 * in the baseline and is to have as many in the window, so that what is known
 * of large counts holds: without a drift PSI / (1/n + 1/m), with n samples in
 * the window and m in the baseline, is distributed as chi-squared with one
 * degree of freedom less than there are groups (Yurdakul, Statistical
 * Properties of Population Stability Index, 2018), and so is 8 ln 2 times the
 * Jensen-Shannon divergence in bits.  KS follows from the inequality of
 * Dvoretzky, Kiefer and Wolfowitz, shares from Chernoff's: they are bounds for
 * any n.
 */

#include <math.h>
#include <string.h>

#include "monitor/baseline.h"


/*
 * How often chance alone may pass the threshold of one score: with a hundred
 * scores, some looks that tell something new in each slot and three windows,
 * less than one false alarm in years.
 */
#define ALPHA        1e-8

/* The quantile of the normal distribution that belongs to it. */
#define ALPHA_Z      5.612

#define LEAST_COUNT  8
#define MOST_GROUPS  20

/* Below these the difference is of no matter, however certain it is. */
#define LEAST_PSI        0.2
#define LEAST_JS         0.04
#define LEAST_KS         0.18
#define LEAST_SHARE      0.1
#define LEAST_ACCURACY   0.05
#define LEAST_CLIPPED    0.0001
#define TIMES_CLIPPED    1.5

/* What is called a low confidence: that of such a share of the baseline. */
#define LOW_CONFIDENCE   0.05


/* What a class's own counts are weighed against. */
#define PRIOR            4.0

/* Deviations by which a class may be too frequent before it counts. */
#define NOISE_Z          3.0

/* Times that its answers may be wrong as often as they were, all the same. */
#define SLACK            1.5


/* Two histograms in groups, and what is known of them. */
typedef struct {
    double  n;                    /* in the window */
    double  m;                    /* in the baseline */
    double  noise;                /* 1/n + 1/m */
    size_t  groups;
    double  psi;
    double  js;
    double  ks;
} compared_t;


const char *
infer_alert_name(infer_alert_t alert)
{
    static const char *const  names[INFER_ALERTS] = {
        "input", "tensor", "classes", "confidence", "layers", "saturation",
        "accuracy"
    };

    return names[alert];
}


const char *
infer_measure_name(infer_measure_t measure)
{
    static const char *const  names[INFER_MEASURES] = {
        "psi", "js", "ks", "share"
    };

    return names[measure];
}


/* ---- histograms ------------------------------------------------------- */

static double
total(const uint32_t *count, size_t n)
{
    double  sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += count[i];
    }

    return sum;
}


/* A group of the share p of the baseline and q of the window. */
static void
add_group(compared_t *c, double p, double q)
{
    double  mid = (p + q) / 2;

    c->groups++;
    c->psi += (q - p) * log(q / p);
    c->js += (p * log2(p / mid) + q * log2(q / mid)) / 2;
}


/*
 * base and live have bins; groups are filled from the left, the last one has
 * what is left over.
 */
static void
compare_groups(compared_t *c, const uint32_t *base, const uint32_t *live,
    size_t bins)
{
    double  p = 0, q = 0, rest = c->m;
    double  least, n = c->n, m = c->m;

    /* of the baseline's counts */
    least = fmax(LEAST_COUNT * fmax(1, m / n), m / MOST_GROUPS);

    /* half a sample more in each keeps empty ones finite */
    for (size_t i = 0; i < bins; i++) {
        p += base[i];
        q += live[i];
        rest -= base[i];

        if (p >= least && rest >= least) {
            add_group(c, (p + 0.5) / (m + 0.5), (q + 0.5) / (n + 0.5));
            p = 0;
            q = 0;
        }
    }

    add_group(c, (p + 0.5) / (m + 0.5), (q + 0.5) / (n + 0.5));
}


static void
compare(compared_t *c, const uint32_t *base, const uint32_t *live,
    size_t bins)
{
    double  p = 0, q = 0;

    memset(c, 0, sizeof(*c));

    c->n = total(live, bins);
    c->m = total(base, bins);

    if (c->n == 0 || c->m == 0) {
        return;
    }

    c->noise = 1 / c->n + 1 / c->m;
    compare_groups(c, base, live, bins);

    for (size_t i = 0; i < bins; i++) {
        p += base[i] / c->m;
        q += live[i] / c->n;
        c->ks = fmax(c->ks, fabs(p - q));
    }
}


/* ---- chance ----------------------------------------------------------- */

/* The quantile of chi-squared that ALPHA exceed: 1 to MOST_GROUPS - 1 degrees
   of freedom. */
static double
chi_squared(size_t degrees)
{
    static const double  quantile[MOST_GROUPS - 1] = {
        32.85, 36.85, 40.13, 43.08, 45.80,
        48.37, 50.82, 53.17, 55.45, 57.67,
        59.83, 61.94, 64.01, 66.04, 68.03,
        70.00, 71.94, 73.85, 75.74
    };

    return quantile[degrees - 1];
}


/*
 * The share a > p that n samples of a share p exceed with ALPHA at most:
 * n KL(a, p) = -ln ALPHA.  1 where there is none.
 */
static double
share_bound(double p, double n)
{
    double  lo = p, hi = 1, a, kl;

    for (int i = 0; i < 50; i++) {
        a = (lo + hi) / 2;
        kl = a * log(a / p) + (a < 1 ? (1 - a) * log((1 - a) / (1 - p)) : 0);

        if (n * kl < -log(ALPHA)) {
            lo = a;
        } else {
            hi = a;
        }
    }

    return hi;
}


/* ---- rows ------------------------------------------------------------- */

typedef struct {
    infer_score_t  *row;
    size_t          n;
} rows_t;


static void
put(rows_t *rows, const char *name, infer_alert_t alert,
    infer_measure_t measure, infer_score_t score)
{
    infer_score_t  *row = &rows->row[rows->n++];

    *row = score;
    row->name = name;
    row->alert = alert;
    row->measure = measure;

    if (row->n == 0) {
        row->value = NAN;
    }

    if (row->n == 0 || isnan(row->threshold)) {
        row->verdict = INFER_VERDICT_UNKNOWN;
        row->threshold = NAN;
        row->error = NAN;
        return;
    }

    row->verdict = (row->below ? row->value < row->threshold
                               : row->value > row->threshold)
                   ? INFER_VERDICT_ALERT : INFER_VERDICT_OK;
}


static void
put_drift(rows_t *rows, const char *name, infer_alert_t alert,
    const uint32_t *base, const uint32_t *live, size_t bins, int ordered)
{
    double         degrees, scale = 1 / (8 * log(2));
    uint64_t       n;
    compared_t     c;

    compare(&c, base, live, bins);

    if (c.m == 0) {
        return;
    }

    n = (uint64_t) c.n;
    degrees = (double) c.groups - 1;

    put(rows, name, alert, INFER_MEASURE_PSI, (infer_score_t) {
        .n = n, .value = c.psi,
        .threshold = c.groups < 2 ? NAN
                     : fmax(LEAST_PSI, c.noise * chi_squared(c.groups - 1)),
        .error = c.noise * sqrt(2 * degrees)
    });

    put(rows, name, alert, INFER_MEASURE_JS, (infer_score_t) {
        .n = n, .value = c.js,
        .threshold = c.groups < 2 ? NAN
                     : fmax(LEAST_JS,
                            c.noise * chi_squared(c.groups - 1) * scale),
        .error = c.noise * sqrt(2 * degrees) * scale
    });

    if (ordered) {
        put(rows, name, alert, INFER_MEASURE_KS, (infer_score_t) {
            .n = n, .value = c.ks,
            .threshold = fmax(LEAST_KS,
                              sqrt(log(2 / ALPHA) / 2 * c.noise)),
            .error = sqrt(c.noise / 4)
        });
    }
}


/* ---- shares ----------------------------------------------------------- */

static void
put_low_confidence(rows_t *rows, const infer_baseline_t *b,
    const infer_counts_t *counts)
{
    double           p, q, n, m, low = 0, live = 0;
    const uint32_t  *base = b->bin[INFER_STAT_CONFIDENCE];
    const uint32_t  *seen = counts->bin[INFER_STAT_CONFIDENCE];

    m = total(base, INFER_MONITOR_BINS);
    n = total(seen, INFER_MONITOR_BINS);

    if (m == 0) {
        return;
    }

    for (size_t i = 0; i < INFER_MONITOR_BINS && low < LOW_CONFIDENCE * m;
         i++)
    {
        low += base[i];
        live += seen[i];
    }

    p = (low + 0.5) / (m + 1);
    q = n > 0 ? live / n : NAN;

    put(rows, "low_confidence", INFER_ALERT_CONFIDENCE, INFER_MEASURE_SHARE,
        (infer_score_t) {
            .n = (uint64_t) n, .value = q, .baseline = low / m,
            .threshold = fmax(low / m + LEAST_SHARE,
                              share_bound(p, 1 / (1 / n + 1 / m))),
            .error = sqrt(p * (1 - p) * (1 / n + 1 / m))
        });
}


/*
 * Activations of one image are not independent: the error is that of images,
 * from the histogram of their shares.
 */
static void
put_clipped(rows_t *rows, const infer_baseline_t *b,
    const infer_counts_t *counts)
{
    double           x, p, n, m, sum = 0, squares = 0, error;
    const uint32_t  *seen = counts->bin[INFER_STAT_CLIPPED];

    if (b->activations == 0) {
        return;
    }

    n = total(seen, INFER_MONITOR_BINS);
    m = (double) b->images;
    p = (double) b->clipped / (double) b->activations;

    for (size_t i = 0; i < INFER_MONITOR_BINS; i++) {
        x = infer_statistic_edge(INFER_STAT_CLIPPED, i + 1);
        sum += x * (seen[i] + b->bin[INFER_STAT_CLIPPED][i]);
        squares += x * x * (seen[i] + b->bin[INFER_STAT_CLIPPED][i]);
    }

    x = sum / (n + m);
    error = sqrt(fmax(squares / (n + m) - x * x, 0) * (1 / n + 1 / m));

    put(rows, "clipped_share", INFER_ALERT_SATURATION, INFER_MEASURE_SHARE,
        (infer_score_t) {
            .n = (uint64_t) n,
            .value = counts->activations
                     ? (double) counts->clipped
                       / (double) counts->activations : NAN,
            .baseline = p,
            .threshold = n < 30 ? NAN
                         : fmax(fmax(p + LEAST_CLIPPED, p * TIMES_CLIPPED),
                                p + ALPHA_Z * error),
            .error = error
        });
}


/*
 * The share of right answers: the mean of infer_sample_t.right, but where a
 * class is answered more often than chance has it, as when a model takes all
 * that it does not know for the same class.  If the world had changed so, those
 * answers would be about as sure as this class's always were; the more likely
 * they are to be wrong, the less of what is too much is believed.
 */
static double
estimate(const infer_baseline_t *b, const infer_counts_t *counts)
{
    double           n = (double) counts->rated, m = (double) b->labelled;
    double           p, q, sum = 0, normal, wrong, most, accuracy;
    const uint32_t  *hits = infer_baseline_class_hits(b);

    accuracy = (double) b->right / m;

    for (uint32_t i = 0; i < counts->n_classes; i++) {
        if (counts->class_count[i] == 0) {
            continue;
        }

        p = b->class_count[i] / m;
        q = counts->class_right[i] / 256.0 / n;
        wrong = 1 - counts->class_right[i] / 256.0 / counts->class_count[i];

        /* what is known of a class that was rarely answered is little */
        normal = 1 - (hits[i] + PRIOR * accuracy)
                     / (b->class_count[i] + PRIOR);
        most = p + NOISE_Z * sqrt((p + 1 / n) * (1 / n + 1 / m));

        if (q > most && wrong > SLACK * normal) {
            q = most + (q - most) * SLACK * normal / wrong;
        }

        sum += q;
    }

    return sum;
}


/*
 * infer_sample_t.right is a number from 0 to 1 of known variance: Bernstein's
 * inequality.
 */
static void
put_accuracy(rows_t *rows, const infer_baseline_t *b,
    const infer_counts_t *counts)
{
    double  p, r, variance = 0, n, noise, bound;

    if (b->labelled == 0 || counts->n_classes != b->n_classes) {
        return;
    }

    n = (double) counts->rated;
    p = (double) b->right / (double) b->labelled;

    for (size_t i = 0; i < INFER_RELIABILITY_BINS; i++) {
        r = b->rated[i] > 0 ? (double) b->hits[i] / b->rated[i] : 0;
        variance += b->rated[i] * (r - p) * (r - p);
    }

    variance /= (double) b->labelled;
    noise = 1 / n + 1 / (double) b->labelled;
    bound = sqrt(2 * variance * noise * -log(ALPHA))
            + -log(ALPHA) * noise / 3;

    put(rows, "accuracy", INFER_ALERT_ACCURACY, INFER_MEASURE_SHARE,
        (infer_score_t) {
            .n = counts->rated, .below = 1,
            .value = n > 0 ? estimate(b, counts) : NAN, .baseline = p,
            .threshold = fmin(p - LEAST_ACCURACY, p - bound),
            .error = sqrt(variance / n + p * (1 - p) / (double) b->labelled)
        });
}


/* ---- all -------------------------------------------------------------- */

static infer_alert_t
alert_of(size_t s)
{
    return s < INFER_STAT_BRIGHTNESS ? INFER_ALERT_TENSOR
           : s < INFER_STAT_CONFIDENCE ? INFER_ALERT_INPUT
           : s < INFER_STAT_LAYER_MIN ? INFER_ALERT_CONFIDENCE
           : INFER_ALERT_LAYERS;
}


size_t
infer_scores(const infer_baseline_t *baseline, const infer_counts_t *counts,
    infer_score_t *score)
{
    rows_t  rows = { score, 0 };

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        put_drift(&rows, infer_statistic_name(s), alert_of(s),
                  baseline->bin[s], counts->bin[s], INFER_MONITOR_BINS, 1);
    }

    if (counts->n_classes == baseline->n_classes) {
        put_drift(&rows, "classes", INFER_ALERT_CLASSES,
                  baseline->class_count, counts->class_count,
                  baseline->n_classes, 0);
    }

    put_low_confidence(&rows, baseline, counts);
    put_clipped(&rows, baseline, counts);
    put_accuracy(&rows, baseline, counts);

    return rows.n;
}
