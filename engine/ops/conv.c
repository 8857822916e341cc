/*
 * Convolution over (N, D, H, W, C); with fewer spatial dimensions the leading
 * ones are 1.
 *
 * Depthwise (one channel in and out to a group) has a kernel of its own
 * (ops/depthwise.c).  All others are products: a row holds what one
 * output's window covers, K = (kd, kh, kw, c), with zeros for the padding;
 * where the window is a single point, the input is that matrix already, and
 * few channels are read from padded lines (ops/lines.c) instead.  Where
 * the graph asks for it, a 3x3 window is computed by Winograd's transforms.
 */

#include "ops/depthwise.h"
#include "ops/gate.h"
#include "ops/lines.h"
#include "ops/sparse.h"
#include "ops/window.h"
#include "ops/winograd.h"


static int lines_of(infer_lines_t *l, const infer_call_t *call);
static void multiply_line(const infer_lines_t *l, const unsigned char *lines,
    size_t slot, size_t offset);
static infer_product_t product_of(const infer_field_t *f);
static void gather(const infer_product_t *p, size_t group, size_t row,
    size_t n, float *dst, size_t ld);


/* ---- the shape rule --------------------------------------------------- */

static int
conv_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           dim[INFER_MAX_RANK];
    const infer_conv_t   *p = &node->param.conv;

    if (infer_check_operands(g, node, 2, INFER_IN_CONV, 1) != 0
        || infer_product_check_weights(g, node) != 0
        || infer_window_shape(g, node, &p->window, p->groups, dim) != 0
        || infer_gate_check(g, node) != 0)
    {
        return -1;
    }

    if (p->winograd && !infer_winograd_fits(node)) {
        return infer_node_fail(g, node, "not a convolution for Winograd's "
                               "transforms");
    }

    if (infer_sparse_check(g, node) != 0) {
        return -1;
    }

    infer_set_result(node->out[0], INFER_F32, node->in[INFER_IN_X]->rank,
                     dim);

    return infer_product_check(g, node, &p->act);
}


/* ---- packing ---------------------------------------------------------- */

static size_t
conv_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = infer_window_weights(node,
                                             node->param.conv.groups);

    if (node->param.conv.winograd) {
        return infer_winograd_pack_size(node, &w);
    }

    if (node->param.conv.sparse.used) {
        return infer_sparse_pack_size(&w, &node->param.conv.sparse);
    }

    return infer_product_pack_size(&w);
}


static void
conv_pack(const infer_node_t *node, void *dst)
{
    infer_weights_t  w = infer_window_weights(node,
                                             node->param.conv.groups);

    if (node->param.conv.winograd) {
        infer_winograd_pack(node, &w, dst);
        return;
    }

    if (node->param.conv.sparse.used) {
        infer_sparse_pack(node, &w, &node->param.conv.sparse, dst);
        return;
    }

    infer_product_pack(node, &w, dst);
}


/* ---- running ---------------------------------------------------------- */

static size_t
conv_scratch(const infer_call_t *call)
{
    infer_field_t    field;
    infer_lines_t    lines;
    infer_product_t  product;

    if (call->param->conv.winograd) {
        return infer_winograd_scratch(call);
    }

    if (lines_of(&lines, call)) {
        return infer_lines_scratch(&lines);
    }

    infer_field_init(&field, call, &call->param->conv.window,
                     call->param->conv.groups);

    if (infer_field_is_depthwise(&field)) {
        return infer_depthwise_scratch(call, NULL);
    }

    product = product_of(&field);

    return infer_product_scratch(call, &product);
}


static void
conv_run(const infer_call_t *call)
{
    infer_field_t    field;
    infer_lines_t    lines;
    infer_product_t  product;

    if (call->param->conv.winograd) {
        infer_winograd_run(call);
        return;
    }

    if (lines_of(&lines, call)) {
        infer_lines_run(&lines);
        return;
    }

    infer_field_init(&field, call, &call->param->conv.window,
                     call->param->conv.groups);

    if (infer_field_is_depthwise(&field)) {
        infer_depthwise_run(call, NULL);
        return;
    }

    product = product_of(&field);

    infer_product_run(call, &product);
}


static int
conv_strided(const infer_call_t *call)
{
    infer_field_t  field;

    infer_field_init(&field, call, &call->param->conv.window,
                     call->param->conv.groups);

    return infer_product_strided(call) && !infer_field_is_depthwise(&field);
}


/* Whether it is computed from lines. */
static int
lines_of(infer_lines_t *l, const infer_call_t *call)
{
    const infer_conv_t    *p = &call->param->conv;
    const infer_tensor_t  *x = call->in[INFER_IN_X];

    if (p->sparse.used
        || !infer_lines_fit(&p->window, p->groups, x->rank,
                            x->dim[x->rank - 1]))
    {
        return 0;
    }

    infer_lines_init(l, call, &p->window, 0);
    l->multiply = multiply_line;

    return 1;
}


/* One line of outputs, whose windows begin at `lines`. */
static void
multiply_line(const infer_lines_t *l, const unsigned char *lines,
    size_t slot, size_t offset)
{
    const float  *residual = infer_product_residual(l->call);

    (void) slot;

    infer_lines_f32(l, lines, residual != NULL ? residual + offset : NULL,
                    (float *) l->y->data + offset);
}


static infer_product_t
product_of(const infer_field_t *f)
{
    const infer_call_t  *call = f->call;
    infer_product_t      p;

    p.groups = (size_t) f->groups;
    p.rows = (size_t) (f->batch * f->out[0] * f->out[1] * f->out[2]);
    p.k = (size_t) (f->group * f->taps);
    p.n = (size_t) (f->outputs / f->groups);
    p.packed = call->packed;
    p.sparse = call->param->conv.sparse;
    p.residual = infer_product_residual(call);
    p.c = call->out[0]->data;
    p.ldc = infer_out_ld(call);
    p.act = &call->param->conv.act;
    p.a = call->in[INFER_IN_X]->data;
    p.lda = (size_t) f->channels;
    p.gather = infer_window_is_point(f->window) ? NULL : gather;
    p.source = f;

    if (infer_gate_of(call) != NULL) {
        p.gather = infer_gate_gather;
        p.source = call;
    }

    return p;
}


static void
gather(const infer_product_t *p, size_t group, size_t row, size_t n,
    float *dst, size_t ld)
{
    infer_field_gather(p->source, group, row, n, (unsigned char *) dst, ld);
}


const infer_op_t  infer_op_conv = {
    .name = "conv",
    .shape = conv_shape,
    .run = conv_run,
    .strided = conv_strided,
    .scratch = conv_scratch,
    .pack_size = conv_pack_size,
    .n_packed = INFER_IN_SCALE,
    .pack = conv_pack,
    .packed_valid = infer_sparse_valid,
    .macs = infer_window_macs
};
