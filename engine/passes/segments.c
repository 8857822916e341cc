/*
 * Runs of a reshape: both shapes are walked at once, the run with the smaller
 * product grows until the products meet.
 */

#include "passes/segments.h"


static int has_elements(const infer_dim_t *dim, int rank);
static int skip_ones(const infer_dim_t *dim, int pos, int rank);


int
infer_segments(const infer_node_t *reshape, infer_segment_t *seg)
{
    int                 n, i, j, from, to, rank_from, rank_to;
    infer_dim_t         a, b;
    const infer_dim_t  *dim_from, *dim_to;

    dim_from = reshape->in[0]->dim;
    rank_from = reshape->in[0]->rank;
    dim_to = reshape->param.shape.dim;
    rank_to = reshape->param.shape.rank;

    if (!has_elements(dim_from, rank_from) || !has_elements(dim_to, rank_to)) {
        return 0;
    }

    for (n = 0, i = 0, j = 0; i < rank_from && j < rank_to; n++) {
        from = i;
        to = j;
        a = dim_from[i++];
        b = dim_to[j++];

        while (!infer_dim_equal(a, b)) {
            if (infer_dim_at(a, 1) < infer_dim_at(b, 1)) {
                if (i == rank_from || infer_dim_mul(a, dim_from[i++], &a)) {
                    return 0;
                }

            } else {
                if (j == rank_to || infer_dim_mul(b, dim_to[j++], &b)) {
                    return 0;
                }
            }
        }

        seg[n] = (infer_segment_t) { from, i - from, to, j - to, 0 };
    }

    if (n == 0 || skip_ones(dim_from, i, rank_from) != rank_from
        || skip_ones(dim_to, j, rank_to) != rank_to)
    {
        return 0;
    }

    /* What is left on one side are ones: they join the last run. */
    seg[n - 1].n_from += rank_from - i;
    seg[n - 1].n_to += rank_to - j;

    return n;
}


static int
has_elements(const infer_dim_t *dim, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (infer_dim_at(dim[i], 1) <= 0) {
            return 0;
        }
    }

    return 1;
}


static int
skip_ones(const infer_dim_t *dim, int pos, int rank)
{
    while (pos < rank && infer_dim_is(dim[pos], 1)) {
        pos++;
    }

    return pos;
}
