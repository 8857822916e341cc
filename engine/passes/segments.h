/*
 * A reshape seen as runs of dimensions that become runs of dimensions.
 */

#ifndef INFER_SEGMENTS_H
#define INFER_SEGMENTS_H

#include "graph/graph.h"


/* The old dimensions from .. from + n_from - 1 become to .. to + n_to - 1. */
typedef struct {
    int  from, n_from;
    int  to, n_to;
    int  place;                   /* for the layout pass: where the run is */
} infer_segment_t;

/*
 * Cuts both shapes of a reshape into the shortest runs of equal product: at
 * most INFER_MAX_RANK of them.  Returns their number, or 0 where that cannot
 * be done (an empty tensor, a scalar, or dimensions that follow the batch in
 * ways that do not compare).
 */
int infer_segments(const infer_node_t *reshape, infer_segment_t *seg);

#endif /* INFER_SEGMENTS_H */
