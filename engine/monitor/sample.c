/*
 * From a request to a sample.  All sums are over a fixed choice of elements:
 * enough for numbers that are compared with those of other requests, few
 * enough to cost nothing beside the model.
 */

#include <math.h>
#include <string.h>

#include "monitor/baseline.h"
#include "plan/plan.h"


/* Rows and columns of pixels that are looked at, and elements of a channel. */
#define GRID      32
#define ELEMENTS  1024


typedef struct {
    double  sum;
    double  squares;
    size_t  n;
} moments_t;


void
infer_sample_begin(infer_sample_t *sample)
{
    memset(sample, 0, sizeof(*sample));

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        sample->value[s] = NAN;
    }

    sample->right = NAN;
    sample->class_id = UINT32_MAX;
}


static void
add(moments_t *m, double x)
{
    m->sum += x;
    m->squares += x * x;
    m->n++;
}


static double
mean(const moments_t *m)
{
    return m->sum / (double) m->n;
}


static double
variance(const moments_t *m)
{
    double  v = m->squares / (double) m->n - mean(m) * mean(m);

    return v > 0 ? v : 0;
}


/* ---- images ----------------------------------------------------------- */

/* As infer_image_decode makes gray of colors, times 65536. */
static inline int64_t
luma(const infer_image_t *img, int32_t y, int32_t x)
{
    const uint8_t  *p;

    p = img->pixels
        + ((size_t) y * (size_t) img->width + (size_t) x)
          * (size_t) img->channels;

    return img->channels == 1 ? (int64_t) p[0] << 16
                              : p[0] * 19595 + p[1] * 38470 + p[2] * 7471;
}


static int32_t
inside(int32_t x, int32_t size)
{
    return x < 0 ? 0 : x < size ? x : size - 1;
}


static void
sample_pixels(infer_sample_t *sample, const infer_image_t *img)
{
    double     vertical = 0, horizontal = 0;
    int32_t    h = img->height, w = img->width;
    int32_t    rows = h < GRID ? h : GRID, columns = w < GRID ? w : GRID;
    int32_t    x, y;
    int64_t    here, up, down, left, right;
    moments_t  light = { 0 }, edges = { 0 };

    const double  unit = 1.0 / (255 * 65536.0);

    for (int32_t i = 0; i < rows; i++) {
        y = (int32_t) ((2 * (int64_t) i + 1) * h / (2 * rows));

        for (int32_t k = 0; k < columns; k++) {
            x = (int32_t) ((2 * (int64_t) k + 1) * w / (2 * columns));

            here = luma(img, y, x);
            up = luma(img, inside(y - 1, h), x);
            down = luma(img, inside(y + 1, h), x);
            left = luma(img, y, inside(x - 1, w));
            right = luma(img, y, inside(x + 1, w));

            add(&light, (double) here * unit);
            add(&edges, (double) (4 * here - up - down - left - right) * unit);
            vertical += (double) (down > here ? down - here : here - down);
            horizontal += (double) (right > here ? right - here
                                                 : here - right);
        }
    }

    sample->value[INFER_STAT_BRIGHTNESS] = (float) mean(&light);
    sample->value[INFER_STAT_CONTRAST] = (float) sqrt(variance(&light));
    sample->value[INFER_STAT_SHARPNESS] = (float) variance(&edges);

    if (vertical + horizontal > 0) {
        sample->value[INFER_STAT_DIRECTION] =
            (float) (vertical / (vertical + horizontal));
    }
}


static infer_type_t
type_of(const unsigned char *data, size_t size)
{
    static const struct {
        infer_type_t  type;
        size_t        length;
        const char   *magic;
    } types[] = {
        { INFER_TYPE_JPEG, 3, "\xff\xd8\xff" },
        { INFER_TYPE_PNG, 4, "\x89PNG" },
        { INFER_TYPE_GIF, 4, "GIF8" },
        { INFER_TYPE_BMP, 2, "BM" }
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (size >= types[i].length
            && memcmp(data, types[i].magic, types[i].length) == 0)
        {
            return types[i].type;
        }
    }

    return INFER_TYPE_OTHER;
}


void
infer_sample_image(infer_sample_t *sample, const void *data, size_t size,
    const infer_image_t *img, const infer_image_t *prepared)
{
    sample->value[INFER_STAT_WIDTH] = (float) img->width;
    sample->value[INFER_STAT_HEIGHT] = (float) img->height;
    sample->value[INFER_STAT_ASPECT] = (float) img->width
                                       / (float) img->height;
    sample->value[INFER_STAT_TYPE] = (float) type_of(data, size);

    sample_pixels(sample, prepared);
}


/* ---- the input tensor ------------------------------------------------- */

/*
 * Element k of channel c lies at (k / inner * channels + c) * inner
 * + k % inner.
 */
typedef struct {
    size_t  channels;
    size_t  inner;
} order_t;


/* An input that is no image has one channel. */
static order_t
input_order(const infer_session_t *s, const infer_tensor_t *t)
{
    const infer_model_port_t  *port;

    port = infer_model_at(s->model, s->model->inputs);

    if (s->image != NULL) {
        /* declared (N, H, W, C), taken for channels-first: (N, W, C, H) */
        return (order_t) { (size_t) port->dim[3], (size_t) port->dim[1] };
    }

    if (port->nchw && t->rank == 4) {
        return (order_t) { (size_t) t->dim[3], 1 };
    }

    return (order_t) { 1, 1 };
}


void
infer_sample_input(infer_sample_t *sample, const infer_session_t *session,
    size_t n)
{
    size_t                     size, each, step;
    order_t                    order;
    moments_t                  m;
    const float               *x;
    const infer_tensor_t      *t;
    const infer_model_port_t  *port;

    if (session->model->n_inputs == 0) {
        return;
    }

    port = infer_model_at(session->model, session->model->inputs);
    t = &session->tensor[port->value];
    size = infer_numel(t);

    if (t->dtype != INFER_F32 || t->rank == 0 || size == 0
        || n >= (size_t) t->dim[0])
    {
        return;
    }

    size /= (size_t) t->dim[0];
    x = (const float *) t->data + n * size;

    order = input_order(session, t);
    each = size / order.channels;

    /* an odd step comes by all columns of a power of two */
    step = each > ELEMENTS ? (each / ELEMENTS) | 1 : 1;

    for (size_t c = 0; c < order.channels && c < INFER_MONITOR_CHANNELS; c++) {
        memset(&m, 0, sizeof(m));

        for (size_t k = 0; k < each; k += step) {
            add(&m, x[(k / order.inner * order.channels + c) * order.inner
                      + k % order.inner]);
        }

        sample->value[INFER_STAT_MEAN + c] = (float) mean(&m);
        sample->value[INFER_STAT_STD + c] = (float) sqrt(variance(&m));
    }
}


/* ---- the answer ------------------------------------------------------- */

/*
 * Of probabilities p, in nats over those of equal ones.  Where they are the
 * softmax of x, ln p = x - x[top] + ln p[top]: one logarithm is enough.
 */
static double
entropy(const float *p, const float *x, size_t n, size_t top)
{
    double  sum = 0;

    if (n < 2) {
        return 0;
    }

    if (p == x) {
        for (size_t i = 0; i < n; i++) {
            sum -= p[i] > 0 ? (double) p[i] * (double) logf(p[i]) : 0;
        }

    } else {
        for (size_t i = 0; i < n; i++) {
            sum -= p[i] > 0 ? (double) p[i] * (double) (x[i] - x[top]) : 0;
        }

        sum -= log((double) p[top]);
    }

    return sum / log((double) n);
}


static void
sample_watch(infer_sample_t *sample, const infer_watch_t *w,
    const infer_baseline_t *b)
{
    float  range;

    for (uint32_t i = 0; b != NULL && i < w->n_layers; i++) {
        range = b->hi[i] - b->lo[i];

        if (w->least[i] <= w->most[i] && range > 0) {
            sample->value[INFER_STAT_LAYER_MIN + i] =
                (w->least[i] - b->lo[i]) / range;
            sample->value[INFER_STAT_LAYER_MAX + i] =
                (w->most[i] - b->lo[i]) / range;
        }
    }

    if (w->activations > 0) {
        sample->clipped = w->clipped;
        sample->activations = w->activations;
        sample->value[INFER_STAT_CLIPPED] = (float) w->clipped
                                            / (float) w->activations;
    }
}


void
infer_sample_output(infer_sample_t *sample, infer_session_t *session,
    size_t n, const infer_baseline_t *baseline)
{
    size_t           classes = infer_model_classes(session->model);
    const float     *score, *p;
    infer_class_t    top;
    infer_tensor_t   t;

    if (session->watch.on && n == 0) {
        sample_watch(sample, &session->watch, baseline);
    }

    if (classes == 0 || infer_session_top(session, n, &top, 1) != 1) {
        return;
    }

    infer_session_output_tensor(session, 0, &t);
    score = (const float *) t.data + n * classes;

    /* infer_session_top has left them there */
    p = session->model->probabilities ? score : session->scores;

    sample->class_id = (uint32_t) top.class_id;
    sample->value[INFER_STAT_CONFIDENCE] = top.probability;
    sample->value[INFER_STAT_ENTROPY] = (float) entropy(p, score, classes,
                                                       top.class_id);

    if (baseline != NULL && baseline->labelled > 0) {
        sample->right = (float) infer_baseline_right(baseline,
            infer_scaled_confidence(score, classes,
                                    (int) session->model->probabilities,
                                    baseline->temperature));
    }
}


void
infer_session_monitor(infer_session_t *session,
    const infer_baseline_t *baseline)
{
    infer_watch_t  *w = &session->watch;

    w->on = 1;
    w->n_layers = 0;

    if (baseline != NULL) {
        w->n_layers = baseline->n_layers;
        memcpy(w->layer, baseline->layer, sizeof(w->layer));
    }

    infer_watch_begin(w);
}
