/*
 * Convolution on integers: as on floats, padding aside, which is what stands
 * for zero.
 */

#include "ops/qproduct.h"


static void field_of(infer_field_t *f, const infer_call_t *call);
static infer_qproduct_t product_of(const infer_field_t *f);
static void depthwise(const infer_field_t *f,
    const infer_stretch_t *stretch);


static int
qconv_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           dim[INFER_MAX_RANK];
    infer_weights_t       w;
    const infer_qconv_t  *p = &node->param.qconv;

    if (infer_check_operands(g, node, 2, INFER_IN_PRODUCT, 1) != 0
        || infer_qproduct_check_weights(g, node, p->zero) != 0
        || infer_window_shape(g, node, &p->window, p->groups, dim) != 0)
    {
        return -1;
    }

    infer_set_result(node->out[0], (infer_dtype_t) p->end.dtype,
                     node->in[INFER_IN_X]->rank, dim);

    w = infer_window_weights(node, p->groups);

    return infer_qproduct_check(g, node, &p->end, w.c * w.taps);
}


static size_t
qconv_pack_size(const infer_node_t *node)
{
    infer_weights_t  w = infer_window_weights(node,
                                              node->param.qconv.groups);

    return infer_qproduct_pack_size(&w);
}


static void
qconv_pack(const infer_node_t *node, void *dst)
{
    const infer_qconv_t  *p = &node->param.qconv;
    infer_weights_t       w = infer_window_weights(node, p->groups);

    infer_qproduct_pack(node, &w, p->zero, &p->end, dst);
}


static void
field_of(infer_field_t *f, const infer_call_t *call)
{
    const infer_qconv_t  *p = &call->param->qconv;

    infer_field_init(f, call, &p->window, p->groups);
    f->padding = (unsigned char) p->zero;
}


static size_t
qconv_scratch(const infer_call_t *call)
{
    infer_field_t     field;
    infer_qproduct_t  product;

    field_of(&field, call);

    if (infer_field_is_depthwise(&field)) {
        return infer_field_scratch(&field) + sizeof(float)
               + (size_t) (field.out[2] * field.channels) * sizeof(float);
    }

    product = product_of(&field);

    return infer_qproduct_scratch(&product);
}


static void
qconv_run(const infer_call_t *call)
{
    infer_field_t     field;
    infer_qproduct_t  product;

    field_of(&field, call);

    if (infer_field_is_depthwise(&field)) {
        infer_field_run(&field, depthwise);
        return;
    }

    product = product_of(&field);

    infer_qproduct_run(&product);
}


static infer_qproduct_t
product_of(const infer_field_t *f)
{
    infer_qproduct_t  p;

    p.call = f->call;
    p.end = &f->call->param->qconv.end;
    p.groups = (size_t) f->groups;
    p.rows = (size_t) (f->batch * f->out[0] * f->out[1] * f->out[2]);
    p.k = (size_t) (f->group * f->taps);
    p.n = (size_t) (f->outputs / f->groups);
    p.a = f->x;
    p.lda = (size_t) f->channels;
    p.field = infer_field_is_point(f) ? NULL : f;
    p.x_scale = NULL;
    p.x_zero = NULL;
    p.x_step = 0;

    return p;
}


static void
depthwise(const infer_field_t *f, const infer_stretch_t *stretch)
{
    int                        direct;
    float                     *numbers;
    size_t                     at, size, n;
    infer_end_t                end;
    unsigned char             *c;
    infer_qpacked_t            packed;
    infer_depthwise_u8_t       d;
    const infer_requantize_t  *requantize = &f->call->param->qconv.end;
    infer_dtype_t              dtype = (infer_dtype_t) requantize->dtype;

    infer_qproduct_packed(&packed, f->call->packed, 1, (size_t) f->channels,
                          (size_t) f->taps, 1);

    direct = infer_requantize_is_direct(dtype, &requantize->act);
    infer_end_init(&end, requantize, direct, f->call);

    at = stretch->pixel * (size_t) f->channels;
    n = stretch->width * (size_t) f->channels;
    size = infer_dtype_size(dtype);
    c = (unsigned char *) f->call->out[0]->data + at * size;

    end.scale = packed.scale;
    end.bias = packed.bias;
    end.residual = end.residual != NULL ? end.residual + at : NULL;
    end.ldc = end.ldr = (size_t) f->channels;
    end.c = c;

    d.tap = stretch->tap;
    d.taps = (size_t) f->taps;
    d.width = stretch->width;
    d.channels = (size_t) f->channels;
    d.panels = packed.panels;
    d.start = packed.start;
    d.end = &end;

    if (direct) {
        f->call->kernels->integer->depthwise_u8(&d);
        return;
    }

    if (size == 1) {
        numbers = (float *) infer_scratch(f->call, stretch->slot)
                  + (infer_field_scratch(f) + sizeof(float) - 1)
                    / sizeof(float);
        end.c = numbers;
    }

    f->call->kernels->integer->depthwise_u8(&d);
    infer_finish(f->call, dtype, &requantize->out, &requantize->act, end.c, c,
                 n);
}


const infer_op_t  infer_op_qconv = {
    .name = "qconv",
    .shape = qconv_shape,
    .run = qconv_run,
    .scratch = qconv_scratch,
    .pack_size = qconv_pack_size,
    .pack = qconv_pack,
    .macs = infer_window_macs
};
