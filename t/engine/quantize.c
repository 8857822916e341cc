/*
 * Quantization: observers against the error that they are to minimise, and
 * what calibration, equalization and the pass do to a small trained network.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate/observer.h"
#include "infer.h"
#include "tap.h"


#define MODEL   "conf/models/fashion.onnx"
#define PIXELS  (28 * 28)
#define IMAGES  24
#define N       20000


static uint32_t  state = 1;

static float  image[IMAGES][PIXELS];


/* Uniform in -1 .. 1. */
static float
uniform(void)
{
    state = state * 1664525u + 1013904223u;

    return (float) (int32_t) state / 2147483648.0f;
}


/* ---- observers -------------------------------------------------------- */

static float  number[N];


static void
observe(const float *x, size_t n, infer_histogram_t *h)
{
    infer_histogram_init(h);
    infer_histogram_extend(h, x, n / 3);
    infer_histogram_extend(h, x + n / 3, n - n / 3);
    infer_histogram_count(h, x, n / 2);
    infer_histogram_count(h, x + n / 2, n - n / 2);
}


/* The squared error of 8 bits over lo .. hi. */
static double
error_of(const float *x, size_t n, float lo, float hi)
{
    double  sum = 0, scale = ((double) hi - (double) lo) / 255, q;

    for (size_t i = 0; i < n; i++) {
        q = rint(((double) x[i] - (double) lo) / scale);
        q = fmin(fmax(q, 0), 255) * scale + (double) lo - (double) x[i];
        sum += q * q;
    }

    return sum;
}


static void
test_observers(void)
{
    int                       inside = 1;
    float                     lo, hi, swap;
    double                    all, best;
    static infer_histogram_t  h, other;

    for (size_t i = 0; i < N; i++) {
        number[i] = uniform() + uniform() + uniform() + uniform();
    }

    number[7] = 40;
    observe(number, N, &h);

    infer_histogram_range(&h, INFER_OBSERVER_MINMAX, &lo, &hi);
    ok(lo == h.lo && hi == 40, "minmax covers all: %g .. %g", (double) lo,
       (double) hi);
    all = error_of(number, N, lo, hi);

    infer_histogram_range(&h, INFER_OBSERVER_HISTOGRAM, &lo, &hi);
    best = error_of(number, N, lo, hi);
    ok(best < all, "histogram: %g .. %g, error %.1f of %.1f", (double) lo,
       (double) hi, best, all);

    for (float t = 0.1f; t <= 1; t += 0.05f) {
        inside &= best <= 1.05 * error_of(number, N, h.lo, 40 * t);
    }

    ok(inside, "histogram: hardly any other end is better");

    infer_histogram_range(&h, INFER_OBSERVER_PERCENTILE, &lo, &hi);
    ok(hi < 4.1f && hi > 3 && lo < -3, "percentile leaves out one number of "
       "20000: %g .. %g", (double) lo, (double) hi);

    infer_histogram_range(&h, INFER_OBSERVER_ENTROPY, &lo, &hi);
    ok(lo >= h.lo && hi <= 40 && lo < 0 && hi > 1, "entropy: %g .. %g",
       (double) lo, (double) hi);

    for (size_t i = 0; i < N / 2; i++) {
        swap = number[i];
        number[i] = number[N - 1 - i];
        number[N - 1 - i] = swap;
    }

    observe(number, N, &other);
    ok(memcmp(&h, &other, sizeof(h)) == 0, "the order does not matter");

    for (size_t i = 0; i < N; i++) {
        number[i] = 5 + uniform();
    }

    observe(number, N, &h);
    infer_histogram_range(&h, INFER_OBSERVER_HISTOGRAM, &lo, &hi);
    ok(lo == 0 && hi > 5, "0 is always inside");

    memset(number, 0, sizeof(number));
    observe(number, N, &h);
    infer_histogram_range(&h, INFER_OBSERVER_HISTOGRAM, &lo, &hi);
    ok(lo == 0 && hi == 0 && h.finite, "zeros alone");

    number[3] = INFINITY;
    observe(number, N, &h);
    ok(!h.finite, "an infinity is noticed");

    number[3] = NAN;
    observe(number, N, &h);
    ok(!h.finite, "NaN is noticed");
}


/* ---- a network -------------------------------------------------------- */

/* Values by index: of the model's observed values those that were asked. */
typedef struct {
    size_t  integer;              /* operators on integers */
    size_t  products;             /* conv and fc that are left */
    double  stem[64];             /* sum of the first product's result */
    double  scores[IMAGES][10];
    size_t  first;                /* its index */
    float   checksum;             /* of all values */
} seen_t;


static void
look(void *arg, const infer_observed_t *o)
{
    size_t                 n = 1, c;
    double                 x;
    seen_t                *seen = arg;
    const infer_tensor_t  *t = o->tensor;

    for (int d = 0; d < t->rank; d++) {
        n *= (size_t) t->dim[d];
    }

    seen->integer += o->op[0] == 'q' && o->macs > 0;
    seen->products += o->op[0] != 'q' && o->macs > 0;

    if (o->macs > 0 && seen->first == 0) {
        seen->first = o->index;
    }

    if (t->dtype == INFER_F32) {
        for (size_t i = 0; i < n; i++) {
            seen->checksum += fabsf(((const float *) t->data)[i]);
        }
    }

    if (o->index != seen->first) {
        return;
    }

    c = (size_t) t->dim[t->rank - 1];

    for (size_t i = 0; i < n; i++) {
        x = t->dtype == INFER_F32
            ? (double) ((const float *) t->data)[i]
            : (((const uint8_t *) t->data)[i] - o->zero) * (double) o->scale;
        seen->stem[i % c % 64] += x;
    }
}


static infer_model_t *
load(const infer_quantization_t *how, int equalize)
{
    infer_error_t         err;
    infer_model_t        *m;
    infer_load_options_t  o = { .apart = how == NULL, .equalize = equalize,
                                .quantization = how };

    m = infer_model_load(MODEL, &o, &err);
    if (m == NULL) {
        printf("# %s\n", err.text);
    }

    return m;
}


static void
run(const infer_model_t *m, seen_t *seen)
{
    infer_error_t     err;
    infer_tensor_t    out;
    infer_session_t  *s = infer_session_create_observed(m, 1, 1, &err);

    memset(seen, 0, sizeof(*seen));

    for (size_t i = 0; i < IMAGES; i++) {
        seen->integer = seen->products = 0;
        infer_session_set_input(s, 0, image[i]);
        infer_session_observe(s, NULL, look, seen);
        infer_session_output_tensor(s, 0, &out);

        for (size_t k = 0; k < 10; k++) {
            seen->scores[i][k] = (double) ((const float *) out.data)[k];
        }
    }

    infer_session_free(s);
}


static infer_calibration_t *
calibrate(const infer_model_t *m, int backwards)
{
    infer_error_t         err;
    infer_session_t      *s = infer_session_create_observed(m, 1, 1, &err);
    infer_calibration_t  *cal = infer_calibration_create(m, &err);

    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < IMAGES; i++) {
            infer_session_set_input(s, 0, image[backwards ? IMAGES - 1 - i
                                                          : i]);
            infer_calibration_run(cal, s, NULL);
        }

        if (pass == 0) {
            infer_calibration_again(cal, &err);
        }
    }

    infer_session_free(s);

    return cal;
}


static int
same_statistics(const infer_statistics_t *a, const infer_statistics_t *b,
    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].lo != b[i].lo || a[i].hi != b[i].hi
            || a[i].channels != b[i].channels
            || (a[i].channels > 0
                && memcmp(a[i].mean, b[i].mean,
                          a[i].channels * sizeof(float)) != 0))
        {
            return 0;
        }
    }

    return 1;
}


static double
decibels(const seen_t *a, const seen_t *b)
{
    double  signal = 0, noise = 0, d;

    for (size_t i = 0; i < IMAGES; i++) {
        for (size_t k = 0; k < 10; k++) {
            d = a->scores[i][k] - b->scores[i][k];
            signal += a->scores[i][k] * a->scores[i][k];
            noise += d * d;
        }
    }

    return 10 * log10(signal / noise);
}


static double
drift(const seen_t *a, const seen_t *b)
{
    double  sum = 0;

    for (size_t c = 0; c < 64; c++) {
        sum += fabs(a->stem[c] - b->stem[c]);
    }

    return sum;
}


static void
test_static(const infer_model_t *model, const seen_t *exact)
{
    size_t                 n = infer_model_observed(model);
    unsigned char         *keep = calloc(n, 1);
    infer_error_t          err;
    infer_model_t         *m;
    infer_calibration_t   *cal, *other;
    infer_quantization_t   how = { .n = n };
    static seen_t          seen, corrected;
    infer_load_options_t   o = { .quantization = &how };

    cal = calibrate(model, 0);
    other = calibrate(model, 1);
    how.value = infer_calibration_result(cal, INFER_OBSERVER_HISTOGRAM);

    ok(same_statistics(how.value,
                       infer_calibration_result(other,
                                                INFER_OBSERVER_HISTOGRAM),
                       n), "calibration: the order does not matter");

    m = load(&how, 0);
    run(m, &seen);
    infer_model_free(m);
    ok(seen.integer == exact->products && seen.products == 0,
       "all %zu products are integer ones", seen.integer);
    ok(decibels(exact, &seen) > 15, "output: %.1f dB",
       decibels(exact, &seen));

    how.keep = keep;
    keep[exact->first] = 1;
    m = load(&how, 0);
    run(m, &seen);
    infer_model_free(m);
    ok(seen.products == 1 && seen.integer == exact->products - 1,
       "a layer stays float");

    /* the first layer alone, whose result is not rounded then */
    memset(keep, 1, n);
    keep[exact->first] = 0;
    m = load(&how, 0);
    run(m, &seen);
    infer_model_free(m);

    how.correct_bias = 1;
    m = load(&how, 0);
    run(m, &corrected);
    infer_model_free(m);
    ok(seen.integer == 1
       && drift(exact, &corrected) < drift(exact, &seen) * 0.9,
       "bias correction: the first layer drifts by %.0f, not %.0f",
       drift(exact, &corrected), drift(exact, &seen));

    memset(keep, 1, n);
    m = load(&how, 0);
    run(m, &seen);
    infer_model_free(m);
    ok(memcmp(seen.scores, exact->scores, sizeof(seen.scores)) == 0,
       "all layers stay float: the same bits");

    how.n--;
    ok(infer_graph_open(MODEL, &o, &err) == NULL
       && strstr(err.text, "calibrated") != NULL,
       "statistics of another model are refused: %s", err.text);

    infer_calibration_free(cal);
    infer_calibration_free(other);
    free(keep);
}


static void
test_dynamic(const seen_t *exact)
{
    infer_model_t         *m;
    infer_quantization_t   how = { .dynamic = 1 };
    static seen_t          seen;

    m = load(&how, 0);
    run(m, &seen);
    infer_model_free(m);
    ok(seen.integer == 1 && seen.products == exact->products - 1,
       "dynamic: the fully connected layer alone");
    ok(decibels(exact, &seen) > 35, "dynamic: %.1f dB",
       decibels(exact, &seen));
}


static void
test_network(void)
{
    infer_model_t  *model, *even;
    static seen_t   exact, seen;

    /* blobs, not noise: a network trained on pictures sees edges in them */
    for (size_t i = 0; i < IMAGES; i++) {
        float  x = uniform() * 6, y = uniform() * 6;
        float  r = 40 + 30 * uniform();

        for (size_t p = 0; p < PIXELS; p++) {
            float  dx = (float) (p % 28) - 14 - x;
            float  dy = (float) (p / 28) - 14 - y;

            image[i][p] = dx * dx + dy * dy < r ? 1.5f + 0.3f * uniform()
                                                : -0.8f;
        }
    }

    model = load(NULL, 0);
    run(model, &exact);

    even = load(NULL, 1);
    run(even, &seen);
    ok(memcmp(seen.scores, exact.scores, sizeof(seen.scores)) == 0,
       "equalization: the same bits");
    ok(seen.checksum < exact.checksum || seen.checksum > exact.checksum,
       "equalization: other numbers in between");
    infer_model_free(even);

    test_static(model, &exact);
    test_dynamic(&exact);

    infer_model_free(model);
}


int
main(void)
{
    test_observers();
    test_network();

    return done();
}
