/*
 * The pass for integers: operators that only move elements, which do so with
 * bytes as well.
 */

#include <math.h>

#include "ops/op.h"
#include "passes/integer.h"


static int moves(const infer_node_t *node, const infer_byte_view_t *view,
    infer_param_t *param);


int
infer_lower_move(infer_lowering_t *l, const infer_node_t *node)
{
    infer_param_t       param;
    infer_value_t      *in[2];
    infer_byte_view_t  *view, *out;

    view = &l->view[node->in[0]->id];
    out = &l->view[node->out[0]->id];

    if (view->q == NULL || !view->linear || node->n_in > 2
        || !moves(node, view, &param))
    {
        return 0;
    }

    in[0] = view->q;

    if (node->n_in == 2) {
        in[1] = infer_lowered(l, node->in[1]);
        if (in[1] == NULL) {
            return -1;
        }
    }

    out->q = infer_graph_emit1(l->g, node->id, &param, node->name, in,
                               node->n_in);
    out->linear = 1;
    out->as = view->as;

    return out->q == NULL ? -1 : 1;
}


static int
moves(const infer_node_t *node, const infer_byte_view_t *view,
    infer_param_t *param)
{
    double  q;

    *param = node->param;

    switch (node->id) {

    case INFER_OP_POOL:
        return !param->pool.average && node->n_out == 1;

    case INFER_OP_RESIZE:
        return param->resize.mode == INFER_RESIZE_NEAREST
               && param->resize.coord != INFER_COORD_TF_CROP_AND_RESIZE;

    case INFER_OP_PAD:
        if (param->pad.mode != INFER_PAD_CONSTANT) {
            return 1;
        }

        q = rint(param->pad.value / view->as.scale) + view->as.zero;
        param->pad.value = q;

        return q >= 0 && q <= 255
               && (float) (q - view->as.zero) * view->as.scale
                  == (float) node->param.pad.value;

    default:
        return 1;
    }
}


/* Operands that mean the same by their bytes, or are made to. */
int
infer_lower_concat(infer_lowering_t *l, const infer_node_t *node)
{
    int                    same = 1, some = 0;
    infer_value_t        **in, *y;
    const infer_node_t    *closing;
    infer_byte_view_t     *view, *first, *out;
    infer_affine_scale_t   as;

    first = &l->view[node->in[0]->id];
    out = &l->view[node->out[0]->id];

    for (int i = 0; i < node->n_in; i++) {
        view = &l->view[node->in[i]->id];
        some |= view->q != NULL;
        same = same && view->q != NULL && view->linear
               && view->as.scale == first->as.scale
               && view->as.zero == first->as.zero;
    }

    closing = infer_closing(l, node->out[0], &as);

    if (!same && (!some || closing == NULL)) {
        return 0;
    }

    in = infer_graph_alloc(l->g, (size_t) node->n_in * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        in[i] = same ? l->view[node->in[i]->id].q
                     : infer_quantized_to(l, node->in[i], as);
        if (in[i] == NULL) {
            return -1;
        }
    }

    y = infer_graph_emit1(l->g, INFER_OP_CONCAT, &node->param, node->name,
                          in, node->n_in);
    if (y == NULL) {
        return -1;
    }

    if (!same) {
        infer_closed(l, closing, y);
        return 1;
    }

    out->q = y;
    out->linear = 1;
    out->as = first->as;

    return 1;
}
