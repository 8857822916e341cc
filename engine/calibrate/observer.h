/*
 * From the numbers seen at one place of a model to the range that its 8 bits
 * are to cover.  All that is kept of the numbers are integer counts on a grid
 * that does not move, so that it does not matter in which order they come.
 */

#ifndef INFER_OBSERVER_H
#define INFER_OBSERVER_H

#include "infer.h"


#define INFER_BINS  2048


typedef struct {
    float     lo;                      /* of all numbers; lo > hi: none */
    float     hi;
    int       finite;
    uint64_t  zeros;                   /* exact ones: they cost no precision */
    uint64_t  total;                   /* all others */
    uint64_t  count[INFER_BINS];       /* of those, from lo to hi */
} infer_histogram_t;


void infer_histogram_init(infer_histogram_t *h);

/* First pass: lo and hi; numbers that are not finite clear `finite`. */
void infer_histogram_extend(infer_histogram_t *h, const float *x, size_t n);

/* Second pass, over the same numbers: the counts. */
void infer_histogram_count(infer_histogram_t *h, const float *x, size_t n);

/*
 * The range that an observer chooses; it always holds 0, which padding needs
 * exactly.
 */
void infer_histogram_range(const infer_histogram_t *h,
    infer_observer_t observer, float *lo, float *hi);

#endif /* INFER_OBSERVER_H */
