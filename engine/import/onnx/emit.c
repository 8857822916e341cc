/*
 * IR nodes as the operator families need them: each bears the name of the
 * ONNX node it comes from.
 */

#include "import/onnx/onnx.h"


infer_value_t *
onnx_emit(onnx_t *o, const onnx_node_t *node, infer_op_id_t op,
    const infer_param_t *param, infer_value_t *const *in, int n_in)
{
    return infer_graph_emit1(o->g, op, param, node->name, in, n_in);
}


infer_value_t *
onnx_scalar_like(onnx_t *o, const onnx_node_t *node, const infer_value_t *x,
    float number)
{
    return onnx_emit_cast(o, node, infer_graph_scalar(o->g, number),
                          x->dtype);
}


int
onnx_result(onnx_node_t *node, infer_value_t *v)
{
    node->out[0] = v;

    return v == NULL ? -1 : 0;
}
