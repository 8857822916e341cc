/*
 * What follows the sums of an integer product: its check, and its constants.
 * Where nothing but a clip comes before bytes, everything is divided by the
 * result's scale beforehand, and the clip is one of bytes.
 */

#include <math.h>

#include "ops/qproduct.h"


static int check_act(infer_graph_t *g, const infer_node_t *node,
    const infer_unary_t *act, infer_dtype_t dtype);
static uint8_t byte_of(float x, uint8_t zero);


int
infer_affine_scale_check(infer_graph_t *g, const infer_node_t *node,
    const infer_affine_scale_t *s, infer_dtype_t dtype, const char *what)
{
    int32_t  lowest = dtype == INFER_I8 ? -128 : 0;

    if (!(s->scale > 0) || !isfinite(s->scale)) {
        return infer_node_fail(g, node, "the scale of the %s is %g", what,
                               (double) s->scale);
    }

    if (s->zero < lowest || s->zero > lowest + 255) {
        return infer_node_fail(g, node, "the zero point of the %s, %d, is no "
                               "%s", what, (int) s->zero,
                               infer_dtype_name(dtype));
    }

    return 0;
}


int
infer_requantize_check(infer_graph_t *g, const infer_node_t *node,
    const infer_requantize_t *end)
{
    infer_dtype_t         dtype = (infer_dtype_t) end->dtype;
    const infer_value_t  *r = NULL, *out = node->out[0];

    if (node->n_in > INFER_IN_RESIDUAL) {
        r = node->in[INFER_IN_RESIDUAL];
    }

    if (dtype != INFER_U8 && dtype != INFER_I8 && dtype != INFER_F32
        && dtype != INFER_I32)
    {
        return infer_node_fail(g, node, "a result of type %s is not "
                               "supported", infer_dtype_name(dtype));
    }

    if (check_act(g, node, &end->act, dtype) != 0
        || ((dtype == INFER_U8 || dtype == INFER_I8)
            && infer_affine_scale_check(g, node, &end->out, dtype,
                                        "result") != 0))
    {
        return -1;
    }

    if (r == NULL) {
        return 0;
    }

    if (r->dtype != INFER_U8 || r->rank != out->rank || dtype == INFER_I32) {
        return infer_node_fail(g, node, "the residual has another type or "
                               "rank than the result");
    }

    for (int i = 0; i < r->rank; i++) {
        if (!infer_dim_equal(r->dim[i], out->dim[i])) {
            return infer_node_fail(g, node, "the residual has another shape "
                                   "than the result");
        }
    }

    return infer_affine_scale_check(g, node, &end->residual, INFER_U8,
                                    "residual");
}


static int
check_act(infer_graph_t *g, const infer_node_t *node,
    const infer_unary_t *act, infer_dtype_t dtype)
{
    if (act->kind < 0 || act->kind >= INFER_NOT
        || (act->kind != INFER_NONE && dtype == INFER_I32))
    {
        return infer_node_fail(g, node, "activation %d does not apply to %s",
                               (int) act->kind, infer_dtype_name(dtype));
    }

    return 0;
}


int
infer_requantize_is_direct(infer_dtype_t dtype, const infer_unary_t *act)
{
    return dtype == INFER_U8 || dtype == INFER_I8
           ? act->kind == INFER_NONE || act->kind == INFER_CLIP
           : act->kind == INFER_NONE;
}


infer_bytes_t
infer_bytes_clipped(infer_dtype_t dtype, const infer_affine_scale_t *out,
    const infer_unary_t *act)
{
    infer_bytes_t  bytes = infer_bytes(dtype, out->zero);

    if (act->kind == INFER_CLIP) {
        bytes.low = byte_of(act->a / out->scale, bytes.zero);
        bytes.high = byte_of(act->b / out->scale, bytes.zero);
    }

    return bytes;
}


/* NaN: 0 */
static uint8_t
byte_of(float x, uint8_t zero)
{
    x = rintf(x) + (float) zero;
    x = x > 0 ? x : 0;

    return (uint8_t) (x < 255 ? x : 255);
}


void
infer_end_init(infer_end_t *e, const infer_requantize_t *end, int direct,
    const infer_call_t *call)
{
    const infer_tensor_t  *r = NULL;

    if (call->n_in > INFER_IN_RESIDUAL) {
        r = call->in[INFER_IN_RESIDUAL];
    }

    e->weights = NULL;
    e->x_scale = NULL;
    e->x_zero = NULL;
    e->x_step = 0;
    e->residual = r != NULL ? r->data : NULL;
    e->residual_scale = end->residual.scale;
    e->dtype = (infer_dtype_t) end->dtype;
    e->bounded = 0;

    if (e->dtype != INFER_U8 && e->dtype != INFER_I8) {
        return;
    }

    if (direct) {
        e->bytes = infer_bytes_clipped(e->dtype, &end->out, &end->act);
        e->residual_scale /= end->out.scale;
        e->dtype = INFER_U8;

    } else {
        e->dtype = INFER_F32;
    }
}


void
infer_finish(const infer_call_t *call, infer_dtype_t dtype,
    const infer_affine_scale_t *out, const infer_unary_t *act, float *v,
    void *y, size_t n)
{
    infer_bytes_t  bytes;

    call->kernels->unary_f32(act, v, v, n);

    if (dtype != INFER_F32) {
        bytes = infer_bytes(dtype, out->zero);
        call->kernels->integer->quantize(&bytes, out->scale, v, y, n);
    }
}
