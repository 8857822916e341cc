/*
 * Chooses the convolutions that are computed by Winograd's transforms.  Those
 * that gain most for each byte that their weights grow by, over what they
 * would take otherwise, have them transformed when they are packed, until the
 * budget is spent; the others at each run, where that is still faster than the
 * direct convolution.  The choice depends on shapes alone, so that results have
 * the same bits on every machine and for every batch size.
 */

#include <math.h>
#include <stdlib.h>

#include "ops/winograd.h"
#include "passes/passes.h"


/*
 * The time of a layer at batch 1, in the time of one product with a panel
 * (16 multiply-accumulates), as measured: a tile's transform of 16 channels
 * costs as much as so many products in, and out; weights that do not fit the
 * second cache cost as much for each panel's row of 16 floats.
 */
#define INPUT_COST   200.0
#define OUTPUT_COST  160.0
#define STREAM_COST  10.0

/* To transform a tap's 16 weights at a run, for each block of so many bytes
   of transformed input. */
#define WEIGHT_COST  700.0
#define BLOCK_BYTES  (1280.0 * 1024)

/* The direct convolution must take so much longer to be replaced. */
#define WORTH        1.15


typedef struct {
    infer_node_t  *node;
    size_t         extra;         /* bytes */
    double         gain;          /* for each of them */
    int            late;          /* 1: is worth it without them */
} candidate_t;


static int is_candidate(infer_node_t *node, candidate_t *c);
static int by_gain(const void *a, const void *b);


int
infer_pass_winograd(infer_graph_t *g, size_t budget)
{
    size_t        n = 0;
    candidate_t  *c;

    c = infer_graph_alloc(g, (g->n_nodes + 1) * sizeof(candidate_t));
    if (c == NULL) {
        return -1;
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        n += (size_t) is_candidate(g->node[i], &c[n]);
    }

    qsort(c, n, sizeof(candidate_t), by_gain);

    for (size_t i = 0; i < n; i++) {
        if (c[i].extra <= budget) {
            c[i].node->param.conv.winograd = INFER_WINOGRAD_EARLY;
            budget -= c[i].extra;

        } else if (c[i].late) {
            c[i].node->param.conv.winograd = INFER_WINOGRAD_LATE;
        }
    }

    return 0;
}


static int
is_candidate(infer_node_t *node, candidate_t *c)
{
    double                channels, panels, tiles, rows, blocks;
    double                direct, winograd, transforms, late;
    const infer_value_t  *out;

    if (node->id != INFER_OP_CONV || node->param.conv.sparse.used
        || !infer_winograd_fits(node))
    {
        return 0;
    }

    out = node->out[0];
    channels = (double) node->in[INFER_IN_WEIGHTS]->dim[1].base;
    panels = (double) ((out->dim[3].base + INFER_PANEL - 1) / INFER_PANEL);
    tiles = (double) ((out->dim[1].base + 3) / 4
                      * ((out->dim[2].base + 3) / 4));
    rows = (double) (out->dim[1].base * out->dim[2].base);

    direct = 9 * channels * panels * (rows + STREAM_COST);
    transforms = tiles * (channels / 16 * INPUT_COST + panels * OUTPUT_COST);

    winograd = 36 * channels * panels * (tiles + STREAM_COST) + transforms;

    blocks = ceil(tiles * 36 * channels * sizeof(float) / BLOCK_BYTES);
    late = channels * panels * (36 * tiles + 9 * STREAM_COST
                                + WEIGHT_COST * blocks) + transforms;

    if (direct < winograd * WORTH) {
        return 0;
    }

    c->late = direct >= late * WORTH;

    c->node = node;
    c->extra = (size_t) (27 * channels * panels) * INFER_PANEL * sizeof(float);
    c->gain = ((c->late ? late : direct) - winograd) / (double) c->extra;

    return 1;
}


/* The largest first; equal ones in the order of the graph. */
static int
by_gain(const void *a, const void *b)
{
    const candidate_t  *x = a, *y = b;

    if (x->gain != y->gain) {
        return x->gain < y->gain ? 1 : -1;
    }

    return x->node->index < y->node->index ? -1 : 1;
}
