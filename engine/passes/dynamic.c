/*
 * Dynamic quantization: the weights of fully connected layers become 8-bit
 * integers, their input is quantized row by row when the model runs.  This
 * takes no calibration.  Convolutions are left alone: a scale for a whole
 * picture, or one for each of its pixels, is known to spoil them.
 */

#include <string.h>

#include "ops/op.h"
#include "ops/product.h"
#include "passes/passes.h"
#include "passes/weights.h"


static int replace(infer_graph_t *g, infer_node_t *fc);
static int quantize_input(infer_graph_t *g, const infer_node_t *fc,
    infer_value_t **out);
static infer_value_t *add_residual(infer_graph_t *g, const infer_node_t *fc,
    infer_value_t *product);


int
infer_pass_quantize_dynamic(infer_graph_t *g)
{
    size_t         first, n = g->n_nodes;
    infer_node_t  *node;

    for (size_t i = 0; i < n; i++) {
        node = g->node[i];

        if (node->id != INFER_OP_FC || !infer_weights_fit(node)) {
            continue;
        }

        first = g->n_nodes;

        if (replace(g, node) != 0) {
            return -1;
        }

        for (size_t k = first; k < g->n_nodes; k++) {
            g->node[k]->index = i;
        }
    }

    if (infer_pass_insert(g, n) != 0) {
        return -1;
    }

    return infer_pass_sweep(g);
}


static int
replace(infer_graph_t *g, infer_node_t *fc)
{
    infer_param_t               param;
    infer_value_t              *x[3], *in[7] = { NULL }, *out;
    infer_quantized_weights_t   w;

    memset(&w, 0, sizeof(w));

    if (infer_weights_quantize(g, fc, &w) != 0
        || quantize_input(g, fc, x) != 0)
    {
        return -1;
    }

    memset(&param, 0, sizeof(param));
    param.qfc.w_rows_are_n = fc->param.fc.w_rows_are_n;
    param.qfc.end.dtype = INFER_F32;

    if (fc->n_in <= INFER_IN_RESIDUAL || fc->in[INFER_IN_RESIDUAL] == NULL) {
        param.qfc.end.act = fc->param.fc.act;
    }

    in[INFER_IN_X] = x[0];
    in[INFER_IN_WEIGHTS] = w.weights;
    in[INFER_IN_SCALE] = w.scale;
    in[5] = x[1];
    in[6] = x[2];

    if (fc->n_in > INFER_IN_BIAS) {
        in[INFER_IN_BIAS] = fc->in[INFER_IN_BIAS];
    }

    out = infer_graph_emit1(g, INFER_OP_QFC, &param, fc->name, in, 7);

    if (out != NULL && fc->n_in > INFER_IN_RESIDUAL
        && fc->in[INFER_IN_RESIDUAL] != NULL)
    {
        out = add_residual(g, fc, out);
    }

    if (out == NULL) {
        return -1;
    }

    infer_node_take(out->producer, fc);

    return 0;
}


/* out: the rows as u8, their scales, their zero points. */
static int
quantize_input(infer_graph_t *g, const infer_node_t *fc, infer_value_t **out)
{
    infer_param_t  param;

    memset(&param, 0, sizeof(param));
    param.dynamic_quantize.axis = fc->in[INFER_IN_X]->rank - 1;

    return infer_graph_emit(g, INFER_OP_DYNAMIC_QUANTIZE, &param, fc->name,
                            &fc->in[INFER_IN_X], 1, out, 3);
}


static infer_value_t *
add_residual(infer_graph_t *g, const infer_node_t *fc, infer_value_t *product)
{
    infer_param_t   param;
    infer_value_t  *in[2] = { product, fc->in[INFER_IN_RESIDUAL] };

    memset(&param, 0, sizeof(param));
    param.binary.kind = INFER_ADD;
    param.binary.act = fc->param.fc.act;

    return infer_graph_emit1(g, INFER_OP_BINARY, &param, fc->name, in, 2);
}
