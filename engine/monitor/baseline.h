/*
 * What the files of monitor/ share: the section of a baseline as it lies in
 * an .infer file, and how values are sorted into bins.
 */

#ifndef INFER_BASELINE_H
#define INFER_BASELINE_H

#include "infer.h"


/* Of statistics and bins: a file with others says other things. */
#define INFER_BASELINE_VERSION  1

/* Bins of calibrated confidence, in which it is counted how many are right. */
#define INFER_RELIABILITY_BINS  16

/*
 * INFER_SECTION_BASELINE.  Little endian; what follows is for each of n_classes
 * how many images were taken for it, then how many of those rightly.
 */
struct infer_baseline_s {
    uint32_t  version;
    uint32_t  statistics;         /* INFER_STATISTICS */
    uint32_t  bins;               /* INFER_MONITOR_BINS */
    uint32_t  n_classes;          /* counted: at most INFER_MONITOR_CLASSES
                                     and one more for all others */
    uint32_t  n_layers;
    uint32_t  layer[INFER_MONITOR_LAYERS];      /* nodes of the model */
    float     lo[INFER_MONITOR_LAYERS];         /* of all that was seen */
    float     hi[INFER_MONITOR_LAYERS];
    float     temperature;        /* 1 without labels */

    uint64_t  images;
    uint64_t  labelled;           /* images, or 0 */
    uint64_t  right;              /* of those */
    uint64_t  clipped;
    uint64_t  activations;

    /* by confidence: images, the sum of it, and how many are right */
    double    sure[INFER_RELIABILITY_BINS];
    uint32_t  rated[INFER_RELIABILITY_BINS];
    uint32_t  hits[INFER_RELIABILITY_BINS];
    uint32_t  bin[INFER_STATISTICS][INFER_MONITOR_BINS];
    uint32_t  class_count[];      /* [2][n_classes] */
};

static inline const uint32_t *
infer_baseline_class_hits(const infer_baseline_t *b)
{
    return b->class_count + b->n_classes;
}


/* Which bin of statistic s a value, which is not NaN, belongs to. */
size_t infer_statistic_bin(size_t s, double value);

/* How many classes of a model are counted, and which one a class is. */
size_t infer_monitor_classes(size_t classes);
size_t infer_monitor_class(size_t n_classes, size_t class_id);

/* The reliability bin of a probability. */
size_t infer_reliability_bin(double p);

/*
 * How probable it is that a class is right that has this probability at the
 * baseline's temperature: what was counted, leaning on the probability itself
 * where that was little.
 */
double infer_baseline_right(const infer_baseline_t *b, double p);

/* Bytes of a section with so many classes counted. */
size_t infer_baseline_size(size_t n_classes);

/* The largest probability of scores x (n of them) divided by a temperature:
   of logits, or of probabilities where log_of is 1. */
double infer_scaled_confidence(const float *x, size_t n, int log_of,
    double temperature);

#endif /* INFER_BASELINE_H */
