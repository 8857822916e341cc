/*
 * Statistics and their bins: equally wide on a scale that suits the numbers,
 * so that no bin depends on what a baseline has seen.
 */

#include <math.h>

#include "monitor/baseline.h"


typedef enum {
    SCALE_LINEAR = 0,
    SCALE_LOG2,                   /* numbers above 0; 0 is in the first bin */
    SCALE_ASINH,                  /* asinh(4 x): linear around 0, then log */
    SCALE_LOGIT                   /* ln(x / (1 - x)) */
} scale_t;

typedef struct {
    const char  *name;
    scale_t      scale;
    double       lo;              /* on that scale */
    double       hi;
} statistic_t;

#define MEAN(c)   { "mean_" #c, SCALE_ASINH, -8, 8 }
#define STD(c)    { "std_" #c, SCALE_LOG2, -4, 8 }
#define LEAST(l)  { "layer_" #l "_min", SCALE_LINEAR, -1, 2 }
#define MOST(l)   { "layer_" #l "_max", SCALE_LINEAR, -1, 2 }

static const statistic_t  statistics[INFER_STATISTICS] = {
    MEAN(0), MEAN(1), MEAN(2),
    STD(0), STD(1), STD(2),
    { "brightness", SCALE_LINEAR, 0, 1 },
    { "contrast", SCALE_LINEAR, 0, 0.5 },
    { "sharpness", SCALE_LOG2, -18, 3 },
    { "direction", SCALE_LINEAR, 0, 1 },
    { "width", SCALE_LOG2, 2, 16 },
    { "height", SCALE_LOG2, 2, 16 },
    { "aspect", SCALE_LOG2, -4, 4 },
    { "type", SCALE_LINEAR, 0, INFER_MONITOR_BINS },
    { "confidence", SCALE_LOGIT, -8, 16 },
    { "entropy", SCALE_LOG2, -20, 0 },
    LEAST(0), LEAST(1), LEAST(2), LEAST(3),
    MOST(0), MOST(1), MOST(2), MOST(3),
    { "clipped", SCALE_LOG2, -16, 0 }
};


static double
to_scale(scale_t scale, double x)
{
    switch (scale) {

    case SCALE_LOG2:
        return log2(x > 0 ? x : 0);

    case SCALE_ASINH:
        return asinh(4 * x);

    case SCALE_LOGIT:
        return log(x) - log1p(-x);

    default: /* SCALE_LINEAR */
        return x;
    }
}


static double
from_scale(scale_t scale, double u)
{
    switch (scale) {

    case SCALE_LOG2:
        return exp2(u);

    case SCALE_ASINH:
        return sinh(u) / 4;

    case SCALE_LOGIT:
        return 1 / (1 + exp(-u));

    default: /* SCALE_LINEAR */
        return u;
    }
}


const char *
infer_statistic_name(size_t s)
{
    return s < INFER_STATISTICS ? statistics[s].name : NULL;
}


double
infer_statistic_edge(size_t s, size_t i)
{
    const statistic_t  *st = &statistics[s];

    return from_scale(st->scale, st->lo + (st->hi - st->lo) * (double) i
                                          / INFER_MONITOR_BINS);
}


size_t
infer_statistic_bin(size_t s, double value)
{
    double              at;
    const statistic_t  *st = &statistics[s];

    at = (to_scale(st->scale, value) - st->lo) / (st->hi - st->lo)
         * INFER_MONITOR_BINS;

    /* logit: not below 0 or above 1, but for an error of rounding */
    if (!(at >= 0)) {
        return st->scale == SCALE_LOGIT && value > 0.5
               ? INFER_MONITOR_BINS - 1 : 0;
    }

    return at < INFER_MONITOR_BINS - 1 ? (size_t) at : INFER_MONITOR_BINS - 1;
}


size_t
infer_monitor_classes(size_t classes)
{
    return classes <= INFER_MONITOR_CLASSES ? classes
                                            : INFER_MONITOR_CLASSES + 1;
}


size_t
infer_monitor_class(size_t n_classes, size_t class_id)
{
    return class_id < n_classes ? class_id : n_classes - 1;
}
