/*
 * A convolution of single points that widens an image, and the depthwise
 * convolution of the result, as MobileNets have them: the wide image, which
 * would not fit a cache, is never there as a whole.
 */

#include <string.h>

#include "ops/depthwise.h"


/* The operands of the second convolution. */
enum { WEIGHTS = INFER_IN_SCALE + 1, BIAS, SCALE, OPERANDS };


/* The two convolutions as nodes of their own, for their own functions. */
typedef struct {
    infer_node_t    node[2];
    infer_value_t  *in[2][INFER_IN_RESIDUAL];
    infer_value_t  *out[2];
    infer_value_t   wide;          /* between them */
} parts_t;


static void
take_apart(const infer_node_t *node, parts_t *parts)
{
    infer_node_t  *part;

    memset(parts, 0, sizeof(*parts));

    for (int i = 0; i < 2; i++) {
        part = &parts->node[i];
        part->op = node->op;
        part->id = INFER_OP_CONV;
        part->name = node->name;
        part->in = parts->in[i];
        part->out = &parts->out[i];
        part->n_in = INFER_IN_RESIDUAL;
        part->n_out = 1;

        for (int k = INFER_IN_WEIGHTS; k < INFER_IN_RESIDUAL; k++) {
            parts->in[i][k] = node->in[i * INFER_IN_SCALE + k];
        }
    }

    parts->in[0][INFER_IN_X] = node->in[INFER_IN_X];
    parts->in[1][INFER_IN_X] = &parts->wide;
    parts->out[0] = &parts->wide;
    parts->out[1] = node->out[0];

    parts->node[0].param.conv.groups = 1;
    parts->node[0].param.conv.act = node->param.strip.act;
    parts->node[1].param.conv = node->param.strip.conv;

    for (int i = 0; i < 3; i++) {
        parts->node[0].param.conv.window.kernel[i] = 1;
        parts->node[0].param.conv.window.stride[i] = 1;
        parts->node[0].param.conv.window.dilation[i] = 1;
    }
}


static int
strip_shape(infer_graph_t *g, const infer_node_t *node)
{
    parts_t               parts;
    const infer_conv_t   *conv = &node->param.strip.conv;
    const infer_value_t  *wide = &parts.wide;

    if (infer_check_operands(g, node, 2, OPERANDS, 1) != 0) {
        return -1;
    }

    if (node->n_in < OPERANDS || node->in[WEIGHTS] == NULL) {
        return infer_node_fail(g, node, "the second weights are missing");
    }

    take_apart(node, &parts);

    if (infer_op_conv.shape(g, &parts.node[0]) != 0
        || infer_op_conv.shape(g, &parts.node[1]) != 0)
    {
        return -1;
    }

    if (wide->rank != 4 || conv->winograd
        || !infer_is_depthwise(conv->groups, wide->dim[3].base,
                               node->out[0]->dim[3].base))
    {
        return infer_node_fail(g, node, "the second is no depthwise "
                               "convolution of images");
    }

    return 0;
}


static size_t
strip_pack_size(const infer_node_t *node)
{
    parts_t  parts;

    take_apart(node, &parts);

    return infer_op_conv.pack_size(&parts.node[0])
           + infer_op_conv.pack_size(&parts.node[1]);
}


static void
strip_pack(const infer_node_t *node, void *dst)
{
    parts_t  parts;

    take_apart(node, &parts);

    infer_op_conv.pack(&parts.node[0], dst);
    infer_op_conv.pack(&parts.node[1],
                       (char *) dst
                       + infer_op_conv.pack_size(&parts.node[0]));
}


static uint64_t
strip_macs(const infer_node_t *node)
{
    parts_t               parts;
    infer_dim_t           points = { 0, 0 };
    const infer_value_t  *x = node->in[INFER_IN_X];

    take_apart(node, &parts);
    infer_value_numel(x, &points);

    return (uint64_t) infer_dim_at(points, 1)
           * (uint64_t) node->in[INFER_IN_WEIGHTS]->dim[0].base
           + infer_op_conv.macs(&parts.node[1]);
}


static size_t
strip_scratch(const infer_call_t *call)
{
    return infer_depthwise_scratch(call, &call->param->strip);
}


static void
strip_run(const infer_call_t *call)
{
    infer_depthwise_run(call, &call->param->strip);
}


const infer_op_t  infer_op_strip = {
    .name = "strip",
    .shape = strip_shape,
    .run = strip_run,
    .scratch = strip_scratch,
    .pack_size = strip_pack_size,
    .n_packed = SCALE,
    .pack = strip_pack,
    .macs = strip_macs
};
