/*
 * Weights of which only some blocks are kept: counting, packing, and whether
 * such a packed form from a file holds together.
 */

#include <math.h>
#include <string.h>

#include "ops/depthwise.h"
#include "ops/lines.h"
#include "ops/sparse.h"
#include "ops/window.h"


#define PANEL    INFER_PANEL
#define ALIGN    16                    /* words */

/* Blocks that are looked at before all of them are counted, and by how much
   the share of them that is kept may exceed what is asked for. */
#define SAMPLES  64
#define MARGIN   0.2


static int row_of(const infer_weights_t *w, size_t panel, size_t k,
    const float *scale, float *row);
static size_t lanes_of(const infer_weights_t *w, size_t panel,
    size_t *first);


static size_t
panels_of(const infer_weights_t *w)
{
    return w->groups * ((w->n + PANEL - 1) / PANEL);
}


static const infer_sparse_t *
sparse_of(const infer_node_t *node)
{
    return node->id == INFER_OP_CONV ? &node->param.conv.sparse
                                     : &node->param.fc.sparse;
}


infer_weights_t
infer_sparse_weights(const infer_node_t *node)
{
    return node->id == INFER_OP_CONV
           ? infer_window_weights(node, node->param.conv.groups)
           : infer_fc_weights(node, node->param.fc.w_rows_are_n);
}


size_t
infer_sparse_blocks(const infer_weights_t *w)
{
    return panels_of(w) * w->c * w->taps;
}


/* ---- the shape rule --------------------------------------------------- */

int
infer_sparse_check(infer_graph_t *g, const infer_node_t *node)
{
    infer_weights_t        w;
    const infer_sparse_t  *sparse = sparse_of(node);

    if (!sparse->used) {
        return 0;
    }

    if (sparse->used != 1 || sparse->blocks < 0 || !infer_sparse_fits(node)
        || (node->id == INFER_OP_CONV && node->param.conv.winograd))
    {
        return infer_node_fail(g, node, "not a product for sparse weights");
    }

    w = infer_sparse_weights(node);

    if ((size_t) sparse->blocks > infer_sparse_blocks(&w)) {
        return infer_node_fail(g, node, "%d blocks of weights, there are %zu",
                               (int) sparse->blocks, infer_sparse_blocks(&w));
    }

    return 0;
}


int
infer_sparse_fits(const infer_node_t *node)
{
    int64_t               groups, channels, outputs;
    const infer_value_t  *x, *w;

    if (node->id == INFER_OP_FC) {
        return 1;
    }

    if (node->id != INFER_OP_CONV) {
        return 0;
    }

    x = node->in[INFER_IN_X];
    w = node->in[INFER_IN_WEIGHTS];
    groups = node->param.conv.groups;
    channels = x->dim[x->rank - 1].base;
    outputs = w->dim[0].base;

    return !infer_is_depthwise(groups, channels, outputs)
           && !infer_lines_fit(&node->param.conv.window, groups, x->rank,
                               channels);
}


/* ---- counting --------------------------------------------------------- */

size_t
infer_sparse_count(const infer_node_t *node, size_t most)
{
    float            scale[PANEL], bias[PANEL], row[PANEL];
    double           samples = 0;
    size_t           n = 0, k, panel, lanes, first, all, step;
    infer_weights_t  w = infer_sparse_weights(node);

    all = infer_sparse_blocks(&w);
    k = w.c * w.taps;

    /* an odd step meets all places in K */
    step = all > SAMPLES ? all / SAMPLES | 1 : 1;

    for (size_t i = 0; i < all; i += step) {
        panel = i / k;
        lanes = lanes_of(&w, panel, &first);
        infer_product_pack_vectors(node, first, lanes, scale, bias);
        n += (size_t) row_of(&w, panel, i % k, scale, row);
        samples++;
    }

    if ((double) n * (double) all
        > samples * ((double) most + MARGIN * (double) all))
    {
        return most + 1;
    }

    n = 0;

    for (panel = 0; panel < panels_of(&w) && n <= most; panel++) {
        lanes = lanes_of(&w, panel, &first);
        infer_product_pack_vectors(node, first, lanes, scale, bias);

        for (size_t i = 0; i < k; i++) {
            n += (size_t) row_of(&w, panel, i, scale, row);
        }
    }

    return n;
}


/* Outputs of a panel, and the first of them. */
static size_t
lanes_of(const infer_weights_t *w, size_t panel, size_t *first)
{
    size_t  panels = (w->n + PANEL - 1) / PANEL, n;

    n = panel % panels * PANEL;
    *first = panel / panels * w->n + n;

    return w->n - n < PANEL ? w->n - n : PANEL;
}


/* Reads a block, scaled; whether it is to be kept. */
static int
row_of(const infer_weights_t *w, size_t panel, size_t k, const float *scale,
    float *row)
{
    int     kept = 0;
    size_t  lanes, at;

    at = infer_sparse_block(w, panel * w->c * w->taps + k, &lanes);
    infer_product_pack_row(w, at, lanes, scale, row);

    for (size_t i = 0; i < PANEL; i++) {
        kept |= !(row[i] == 0);
    }

    return kept;
}


size_t
infer_sparse_block(const infer_weights_t *w, size_t i, size_t *lanes)
{
    size_t  first, k = i % (w->c * w->taps);

    *lanes = lanes_of(w, i / (w->c * w->taps), &first);

    return first * w->channel + k % w->c * w->depth + k / w->c * w->tap_step;
}


float
infer_sparse_norm(const infer_node_t *node, const infer_weights_t *w,
    size_t i)
{
    float   scale[PANEL], bias[PANEL], row[PANEL], sum = 0;
    size_t  k = w->c * w->taps, lanes, first;

    lanes = lanes_of(w, i / k, &first);
    infer_product_pack_vectors(node, first, lanes, scale, bias);
    (void) row_of(w, i / k, i % k, scale, row);

    for (size_t lane = 0; lane < PANEL; lane++) {
        sum += fabsf(row[lane]);
    }

    return sum;
}


/* ---- packing ---------------------------------------------------------- */

/* Words before the blocks. */
static size_t
head_size(size_t panels, const infer_sparse_t *sparse)
{
    size_t  n = panels * PANEL + panels + 1 + (size_t) sparse->blocks;

    return (n + ALIGN - 1) / ALIGN * ALIGN;
}


size_t
infer_sparse_pack_size(const infer_weights_t *w, const infer_sparse_t *sparse)
{
    return (head_size(panels_of(w), sparse)
            + (size_t) sparse->blocks * PANEL) * sizeof(float);
}


infer_sparse_packed_t
infer_sparse_packed(const void *packed, size_t panels,
    const infer_sparse_t *sparse)
{
    infer_sparse_packed_t  p;

    p.bias = packed;
    p.start = (const uint32_t *) packed + panels * PANEL;
    p.index = p.start + panels + 1;
    p.blocks = p.bias + head_size(panels, sparse);

    return p;
}


void
infer_sparse_pack(const infer_node_t *node, const infer_weights_t *w,
    const infer_sparse_t *sparse, void *dst)
{
    float                  scale[PANEL], *bias = dst, *block;
    size_t                 lanes, first;
    uint32_t              *start, *index, n = 0;
    infer_sparse_packed_t  p;

    p = infer_sparse_packed(dst, panels_of(w), sparse);
    start = (uint32_t *) (uintptr_t) p.start;
    index = (uint32_t *) (uintptr_t) p.index;
    block = (float *) (uintptr_t) p.blocks;

    memset(dst, 0, (size_t) ((char *) block - (char *) dst));

    for (size_t panel = 0; panel < panels_of(w); panel++) {
        lanes = lanes_of(w, panel, &first);
        infer_product_pack_vectors(node, first, lanes, scale,
                                   bias + panel * PANEL);
        start[panel] = n;

        for (size_t k = 0; k < w->c * w->taps; k++) {
            float  row[PANEL];

            if (row_of(w, panel, k, scale, row)) {
                memcpy(block + (size_t) n * PANEL, row, sizeof(row));
                index[n++] = (uint32_t) k;
            }
        }
    }

    start[panels_of(w)] = n;
}


int
infer_sparse_valid(const infer_node_t *node, const void *packed)
{
    size_t                 k, panels;
    infer_weights_t        w;
    infer_sparse_packed_t  p;
    const infer_sparse_t  *sparse = sparse_of(node);

    if (!sparse->used) {
        return 1;
    }

    w = infer_sparse_weights(node);
    k = w.c * w.taps;
    panels = panels_of(&w);
    p = infer_sparse_packed(packed, panels, sparse);

    if (p.start[0] != 0 || p.start[panels] != (uint32_t) sparse->blocks) {
        return 0;
    }

    for (size_t panel = 0; panel < panels; panel++) {
        if (p.start[panel] > p.start[panel + 1]
            || p.start[panel + 1] > (uint32_t) sparse->blocks)
        {
            return 0;
        }

        for (uint32_t i = p.start[panel]; i < p.start[panel + 1]; i++) {
            if (p.index[i] >= k
                || (i > p.start[panel] && p.index[i] <= p.index[i - 1]))
            {
                return 0;
            }
        }
    }

    return 1;
}
