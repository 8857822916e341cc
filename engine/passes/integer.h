/*
 * What the parts of the pass for integers share.
 */

#ifndef INFER_INTEGER_H
#define INFER_INTEGER_H

#include "graph/graph.h"


/*
 * What has become of a value of the old graph.  value: the same elements in
 * the new graph, NULL as long as nobody has asked for them.  q: u8 elements
 * from which they follow, each from the byte at its place, or NULL: where
 * `linear`, as (q - as.zero) * as.scale (an integer value's scale is 1), where
 * `scale` is there, as (q - zero) * scale with numbers computed at run time,
 * otherwise as table[q], 256 elements of the value's dtype.
 */
typedef struct {
    infer_value_t         *value;
    infer_value_t         *q;
    infer_value_t         *table;
    infer_value_t         *scale;
    infer_value_t         *zero;
    int                    linear;
    infer_affine_scale_t   as;
} infer_byte_view_t;

typedef struct {
    infer_graph_t         *g;
    infer_byte_view_t     *view;      /* by id of the old value */
    const infer_node_t   **user;      /* by id: the last node that takes it */
    unsigned char         *done;      /* by index of the old node */
    infer_value_t         *bytes;     /* table of 0 .. 255 */
} infer_lowering_t;


/* The elements of an old value; NULL with the error set. */
infer_value_t *infer_lowered(infer_lowering_t *l, infer_value_t *old);

/* The view of an old value; a constant that was bytes is seen as such. */
infer_byte_view_t *infer_byte_view(infer_lowering_t *l, infer_value_t *old);

/*
 * The quantize node that alone takes an old value, with what it quantizes to
 * as u8 in *as; NULL where there is none, or where its scale is not one
 * constant.
 */
const infer_node_t *infer_closing(const infer_lowering_t *l,
    const infer_value_t *old, infer_affine_scale_t *as);

/* Whether v is one constant number that quantize can divide by. */
int infer_is_scale(const infer_value_t *v, float *scale);

/* A constant's zero point as one number, NULL being 0; of i8 + 128. */
int infer_zero_as_u8(const infer_value_t *zero, infer_dtype_t dtype);

/* The result of quantize node `q`, whose elements as u8 are `bytes`. */
void infer_closed(infer_lowering_t *l, const infer_node_t *q,
    infer_value_t *bytes);

/* An old float value as u8: what the bytes that it follows from become. */
infer_value_t *infer_quantized_to(infer_lowering_t *l, infer_value_t *old,
    infer_affine_scale_t as);

/*
 * conv and fc on bytes, with constant weights that were bytes: 1 where node
 * (and what closes it) has become an integer operator, 0 where it cannot, -1
 * with the error set.
 */
int infer_lower_product(infer_lowering_t *l, const infer_node_t *node);

/*
 * The same for sums, differences, products and averages of bytes between
 * quantize nodes.
 */
int infer_lower_binary(infer_lowering_t *l, const infer_node_t *node);
int infer_lower_average(infer_lowering_t *l, const infer_node_t *node);

/* The same for operators that move elements, and for concatenation. */
int infer_lower_move(infer_lowering_t *l, const infer_node_t *node);
int infer_lower_concat(infer_lowering_t *l, const infer_node_t *node);

#endif /* INFER_INTEGER_H */
