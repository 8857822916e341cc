/*
 * Gates: rows of a product are multiplied with the factors of their image
 * while they are gathered, so that the products in between never lie in
 * memory.
 */

#include "ops/gate.h"


int
infer_window_is_point(const infer_window_t *w)
{
    int  point = 1;

    for (int i = 0; i < 3; i++) {
        point = point && w->kernel[i] == 1 && w->stride[i] == 1
                && w->before[i] == 0 && w->after[i] == 0;
    }

    return point;
}


int
infer_gate_fits(const infer_node_t *node, const infer_value_t *gate)
{
    int                   fits;
    const infer_value_t  *x = node->in[INFER_IN_X];

    fits = infer_window_is_point(&node->param.conv.window)
           && node->param.conv.groups == 1
           && gate->dtype == INFER_F32 && gate->rank == x->rank
           && infer_dim_equal(gate->dim[0], x->dim[0])
           && infer_dim_equal(gate->dim[x->rank - 1], x->dim[x->rank - 1]);

    for (int i = 1; i < x->rank - 1; i++) {
        fits = fits && infer_dim_is(gate->dim[i], 1);
    }

    return fits;
}


int
infer_gate_check(infer_graph_t *g, const infer_node_t *node)
{
    if (node->n_in > INFER_IN_GATE && node->in[INFER_IN_GATE] != NULL
        && !infer_gate_fits(node, node->in[INFER_IN_GATE]))
    {
        return infer_node_fail(g, node, "the gate is not one factor for each "
                               "channel of an image, or the window not a "
                               "point");
    }

    return 0;
}


const infer_tensor_t *
infer_gate_of(const infer_call_t *call)
{
    return call->n_in > INFER_IN_GATE ? call->in[INFER_IN_GATE] : NULL;
}


void
infer_gate_gather(const infer_product_t *p, size_t group, size_t row,
    size_t n, float *dst, size_t ld)
{
    size_t                      image, pixels, rows;
    const float                *gate;
    const infer_call_t         *call = p->source;
    static const infer_unary_t  none = { INFER_NONE, 0, 0 };

    (void) group;

    pixels = p->rows / (size_t) call->in[INFER_IN_X]->dim[0];
    gate = infer_gate_of(call)->data;

    for ( ; n > 0; n -= rows, row += rows, dst += rows * ld) {
        image = row / pixels;
        rows = (image + 1) * pixels - row;
        rows = rows < n ? rows : n;

        call->kernels->affine_f32(&none, p->a + row * p->lda, rows, p->k,
                                  gate + image * p->k, NULL, dst, ld);
    }
}
