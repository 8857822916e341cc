/*
 * Weights of products as 8-bit integers.
 */

#ifndef INFER_PASSES_WEIGHTS_H
#define INFER_PASSES_WEIGHTS_H

#include "graph/graph.h"


/* Where weight k of output o lies: o * output + k * input. */
typedef struct {
    const unsigned char  *data;        /* floats, not aligned */
    size_t                outputs;
    size_t                inputs;      /* of an output */
    size_t                output;
    size_t                input;
    size_t                taps;        /* channel of weight k: k / taps */
    size_t                groups;
} infer_weight_view_t;

/* Of a conv or fc whose weights are f32. */
infer_weight_view_t infer_weight_view(const infer_node_t *node);

/* A weight times its output's scale. */
float infer_weight_at(const infer_weight_view_t *l, const infer_node_t *node,
    size_t o, size_t k);

/* Element o of a constant operand, `otherwise` where it was left out. */
float infer_operand_at(const infer_node_t *node, int operand, size_t o,
    float otherwise);


typedef struct {
    /* what is given: the activations' scale (0: not known, the bias stays as
       it is); means of the input's channels, or NULL */
    float                x_scale;
    const float         *mean;
    size_t               channels;

    /* what is made */
    int64_t              n;            /* outputs */
    int                  axis;         /* of the weights: the outputs */
    infer_value_t       *weights;      /* i8, of the shape they had */
    infer_value_t       *scale;        /* f32 (n) */
    infer_value_t       *bias;         /* i32 (n); NULL: none */
    float               *bias_scale;   /* n */
} infer_quantized_weights_t;


/*
 * Whether node is a product whose weights can be 8 bits: conv or fc, not so
 * many products to a sum that 32 bits could overflow.
 */
int infer_weights_fit(const infer_node_t *node);

/*
 * Quantizes weights times scale, symmetric, -127 .. 127, a scale for each
 * output; and the bias in steps of both scales.  With means, the bias is
 * corrected by what the weights' rounding adds on average (Nagel et al.,
 * Data-free quantization, 2019, 4.2), as if nothing were padded.
 */
int infer_weights_quantize(infer_graph_t *g, const infer_node_t *node,
    infer_quantized_weights_t *w);

#endif /* INFER_PASSES_WEIGHTS_H */
