/*
 * Which channels of a graph go together.  Each value of floats that channels
 * can be followed to has a number for each of them, and numbers that stand for
 * the same channel have the same root.
 */

#ifndef INFER_PASSES_CHANNELS_H
#define INFER_PASSES_CHANNELS_H

#include "passes/passes.h"


typedef struct {
    infer_graph_t        *g;
    uint32_t             *first;       /* of a value's channels, by its id */
    uint32_t             *count;       /* how many they were at first */
    int                  *axis;        /* which dimension they are; -1: none */
    uint32_t             *parent;
    unsigned char        *fixed;       /* channels that stay */
    const infer_node_t  **blocker;     /* that cannot do with fewer */
    size_t                n;
    size_t                n_values;
    size_t                space;
} infer_channels_t;


/* Follows the channels of all values; 0, or -1 with the graph's error. */
int infer_channels_find(infer_channels_t *c, infer_graph_t *g);

/* Channels that a value had when they were found; 0: none. */
size_t infer_channels_of(const infer_channels_t *c, const infer_value_t *v);

uint32_t infer_channels_root(infer_channels_t *c, uint32_t channel);
void infer_channels_join(infer_channels_t *c, uint32_t a, uint32_t b);

/* Whether a node is a convolution that had a group for each channel. */
int infer_channels_depthwise(const infer_channels_t *c,
    const infer_node_t *node);

#endif /* INFER_PASSES_CHANNELS_H */
