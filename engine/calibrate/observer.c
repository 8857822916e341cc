/*
 * Observers.  Each searches the ranges that end on borders of bins; a bin's
 * numbers count as lying in its middle.
 */

#include <math.h>
#include <string.h>

#include "calibrate/observer.h"


#define LEVELS      256

/* What the percentile observer leaves out at each end. */
#define TAIL        0.00005

/* Ends that the histogram observer tries on each side. */
#define ENDS        256

/* Bins between two ranges that the entropy observer tries. */
#define STEP        16


/* Sums over the bins below each border, in bins' widths from lo. */
typedef struct {
    double  n[INFER_BINS + 1];
    double  x[INFER_BINS + 1];
    double  xx[INFER_BINS + 1];
} sums_t;


static void sum_up(const infer_histogram_t *h, sums_t *s);
static double clipped(const sums_t *s, int from, int to, double end);
static void percentile(const infer_histogram_t *h, int *first, int *end);
static void least_squares(const infer_histogram_t *h, int zero, int *first,
    int *end);
static void entropy(const infer_histogram_t *h, int zero, int *first,
    int *end);
static double divergence(const infer_histogram_t *h, int first, int end);


void
infer_histogram_init(infer_histogram_t *h)
{
    memset(h, 0, sizeof(*h));
    h->lo = INFINITY;
    h->hi = -INFINITY;
    h->finite = 1;
}


void
infer_histogram_extend(infer_histogram_t *h, const float *x, size_t n)
{
    int    finite = 1;
    float  lo = h->lo, hi = h->hi;

    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        finite &= x[i] - x[i] == 0;
    }

    h->lo = lo;
    h->hi = hi;
    h->finite &= finite;
}


void
infer_histogram_count(infer_histogram_t *h, const float *x, size_t n)
{
    size_t  zeros = 0;
    double  bin, lo = (double) h->lo, width = (double) h->hi - lo;

    if (!h->finite || !(width > 0)) {
        return;
    }

    for (size_t i = 0; i < n; i++) {
        if (x[i] == 0) {
            zeros++;
            continue;
        }

        bin = ((double) x[i] - lo) * (INFER_BINS / width);
        bin = bin < 0 ? 0 : bin < INFER_BINS ? bin : INFER_BINS - 1;
        h->count[(int) bin]++;
    }

    h->zeros += zeros;
    h->total += n - zeros;
}


void
infer_histogram_range(const infer_histogram_t *h, infer_observer_t observer,
    float *lo, float *hi)
{
    int     first = 0, end = INFER_BINS, zero;
    double  width, low, high;

    low = (double) h->lo;
    high = (double) h->hi;
    width = (high - low) / INFER_BINS;

    if (observer != INFER_OBSERVER_MINMAX && h->total > 0) {

        /* The border at 0, or the end that is next to it. */
        zero = low >= 0 ? 0 : high <= 0 ? INFER_BINS
                                        : (int) (-low / width + 0.5);

        switch (observer) {

        case INFER_OBSERVER_PERCENTILE:
            percentile(h, &first, &end);
            break;

        case INFER_OBSERVER_ENTROPY:
            entropy(h, zero, &first, &end);
            break;

        default:
            least_squares(h, zero, &first, &end);
            break;
        }
    }

    high = end == INFER_BINS ? high : low + end * width;
    low = low + first * width;

    *lo = (float) (low < 0 ? low : 0);
    *hi = (float) (high > 0 ? high : 0);
}


/* ---- percentile ------------------------------------------------------- */

static void
percentile(const infer_histogram_t *h, int *first, int *end)
{
    double  tail, sum;

    tail = TAIL * (double) (h->total + h->zeros);

    for (sum = 0; *first < INFER_BINS - 1; ++*first) {
        sum += (double) h->count[*first];
        if (sum > tail) {
            break;
        }
    }

    for (sum = 0; *end > *first + 1; --*end) {
        sum += (double) h->count[*end - 1];
        if (sum > tail) {
            break;
        }
    }
}


/* ---- least squares ---------------------------------------------------- */

/*
 * Squared error, in bins' widths: numbers inside are rounded to a step, an
 * error of step^2 / 12 on average; numbers outside are moved to the end.
 */
static void
least_squares(const infer_histogram_t *h, int zero, int *first, int *end)
{
    int     a, b;
    double  error, best = INFINITY, step;
    sums_t  s;

    sum_up(h, &s);

    for (int i = 0; i < (zero > 0 ? ENDS : 1); i++) {
        a = zero > 0 ? (int) ((int64_t) zero * i / ENDS) : 0;

        for (int k = 0; k < (zero < INFER_BINS ? ENDS : 1); k++) {
            b = INFER_BINS - (int) ((int64_t) (INFER_BINS - zero) * k / ENDS);

            step = (double) ((b > zero ? b : zero) - (a < zero ? a : zero))
                   / (LEVELS - 1);

            error = step * step / 12 * (s.n[b] - s.n[a])
                    + clipped(&s, 0, a, a)
                    + clipped(&s, b, INFER_BINS, b);

            if (error < best) {
                best = error;
                *first = a;
                *end = b;
            }
        }
    }
}


static void
sum_up(const infer_histogram_t *h, sums_t *s)
{
    double  n, x;

    s->n[0] = s->x[0] = s->xx[0] = 0;

    for (int i = 0; i < INFER_BINS; i++) {
        n = (double) h->count[i];
        x = i + 0.5;
        s->n[i + 1] = s->n[i] + n;
        s->x[i + 1] = s->x[i] + n * x;
        s->xx[i + 1] = s->xx[i] + n * x * x;
    }
}


/* The sum of (x - end)^2 over the numbers in bins from .. to - 1. */
static double
clipped(const sums_t *s, int from, int to, double end)
{
    return (s->xx[to] - s->xx[from]) - 2 * end * (s->x[to] - s->x[from])
           + end * end * (s->n[to] - s->n[from]);
}


/* ---- entropy ---------------------------------------------------------- */

/* Both ends shrink towards 0 in proportion. */
static void
entropy(const infer_histogram_t *h, int zero, int *first, int *end)
{
    int     a, b;
    double  d, best = INFINITY;

    for (int bins = LEVELS; bins <= INFER_BINS; bins += STEP) {
        a = zero - (int) ((int64_t) zero * bins / INFER_BINS);
        b = zero + (int) ((int64_t) (INFER_BINS - zero) * bins / INFER_BINS);

        if (b - a < LEVELS) {
            continue;
        }

        d = divergence(h, a, b);

        if (d < best) {
            best = d;
            *first = a;
            *end = b;
        }
    }
}


/*
 * How much is lost of the distribution P, numbers outside moved to the ends,
 * by Q: that of bins first .. end - 1 in 256 levels, each spread over its bins
 * that are not empty (Migacz, 8-bit inference with TensorRT, 2017).
 */
static double
divergence(const infer_histogram_t *h, int first, int end)
{
    int       from, to, used, bins = end - first;
    double    sum, below = 0, above = 0, p, q, total, inside = 0, d = 0;

    for (int i = 0; i < INFER_BINS; i++) {
        below += i < first ? (double) h->count[i] : 0;
        above += i >= end ? (double) h->count[i] : 0;
        inside += i >= first && i < end ? (double) h->count[i] : 0;
    }

    total = inside + below + above;

    if (!(inside > 0)) {
        return INFINITY;
    }

    for (int level = 0; level < LEVELS; level++) {
        from = first + (int) ((int64_t) bins * level / LEVELS);
        to = first + (int) ((int64_t) bins * (level + 1) / LEVELS);
        sum = 0;
        used = 0;

        for (int i = from; i < to; i++) {
            sum += (double) h->count[i];
            used += h->count[i] > 0;
        }

        for (int i = from; i < to; i++) {
            p = (double) h->count[i] + (i == first ? below : 0)
                + (i == end - 1 ? above : 0);
            q = h->count[i] > 0 ? sum / used / inside : 0;

            /* what P has and Q has not: as if it were one number's share */
            if (p > 0) {
                d += p / total * log(p / total / (q > 0 ? q : 1 / total));
            }
        }
    }

    return d;
}
