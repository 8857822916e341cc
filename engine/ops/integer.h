/*
 * What the operators on 8-bit integers share: how numbers become bytes.
 */

#ifndef INFER_OPS_INTEGER_H
#define INFER_OPS_INTEGER_H

#include "ops/product.h"


/* How numbers over the scale become bytes of dtype U8 or I8: unclipped, or
   with the limits of an activation that is none or a clip. */
infer_bytes_t infer_bytes(infer_dtype_t dtype, int32_t zero);
infer_bytes_t infer_bytes_clipped(infer_dtype_t dtype,
    const infer_affine_scale_t *out, const infer_unary_t *act);

/* Parts of shape rules: a scale and zero point for this dtype; the end of a
   product, once the result's shape is set. */
int infer_affine_scale_check(infer_graph_t *g, const infer_node_t *node,
    const infer_affine_scale_t *s, infer_dtype_t dtype, const char *what);
int infer_requantize_check(infer_graph_t *g, const infer_node_t *node,
    const infer_requantize_t *end);

/*
 * Whether a kernel gives the results of this dtype: bytes with no activation
 * but a clip, others without any.  Else it gives floats, and infer_finish
 * does the rest.
 */
int infer_requantize_is_direct(infer_dtype_t dtype,
    const infer_unary_t *act);

/* All but the packed constants, and where the results go; not direct: bytes
   are numbers yet. */
void infer_end_init(infer_end_t *e, const infer_requantize_t *end, int direct,
    const infer_call_t *call);

/*
 * The activation over n numbers, in place, and what they become in y where
 * the result's dtype is not F32.
 */
void infer_finish(const infer_call_t *call, infer_dtype_t dtype,
    const infer_affine_scale_t *out, const infer_unary_t *act, float *v,
    void *y, size_t n);

#endif /* INFER_OPS_INTEGER_H */
