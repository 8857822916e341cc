/*
 * Graph to graph.  Each pass leaves a valid graph in topological order that
 * computes the same outputs; infer_graph_open runs them in the order of this
 * file.  All return 0, or -1 with the graph's error set.
 */

#ifndef INFER_PASSES_H
#define INFER_PASSES_H

#include "graph/graph.h"


/*
 * Moves transposes towards the outputs until they meet their inverse: what
 * remains is channels-last with hardly a transpose left.
 */
int infer_pass_layout(infer_graph_t *g);

/*
 * Replaces what exporters spell out in many nodes by one: SiLU, hard-swish,
 * GELU, layer normalisation, a scaled product.
 */
int infer_pass_patterns(infer_graph_t *g);

/*
 * Puts padding, per-channel scale and offset (batch normalisation, bias),
 * residual addition and activation into the product that they surround.
 */
int infer_pass_fuse(infer_graph_t *g);

/*
 * Makes one node of a per-channel factor, offset and activation, and of the
 * concatenation in front of them.
 */
int infer_pass_affine(infer_graph_t *g);

/* Leaves out weights or channels; see infer_pruning_t. */
int infer_pass_prune(infer_graph_t *g, const infer_pruning_t *pruning);
int infer_pass_prune_channels(infer_graph_t *g, double fraction);

/*
 * Evens out the weights of two products in a row: an output of the first
 * becomes smaller by a power of two, the second's weights for it larger, so
 * that what the model computes stays the same to the bit.
 */
int infer_pass_equalize(infer_graph_t *g);

/*
 * Quantizes a float graph: see infer_quantization_t.  What is left is for the
 * pass that makes integer operators.  The other does the dynamic part of it.
 */
int infer_pass_quantize(infer_graph_t *g, const infer_quantization_t *q);
int infer_pass_quantize_dynamic(infer_graph_t *g);

/*
 * Makes operators on bytes of floats between dequantize and quantize, where
 * there is such an operator; leaves the graph without a dequantize of computed
 * scales.
 */
int infer_pass_integer(infer_graph_t *g);

/* Chooses the products whose zeros are left out, block by block. */
int infer_pass_sparse(infer_graph_t *g);

/* Makes a factor in front of a convolution of single points its gate. */
int infer_pass_gate(infer_graph_t *g);

/*
 * Chooses the convolutions to compute by Winograd's transforms, whose weights
 * may grow by budget bytes in all.
 */
int infer_pass_winograd(infer_graph_t *g, size_t budget);

/*
 * Makes one node of a convolution of single points and a depthwise one, where
 * what lies between them is large.
 */
int infer_pass_strip(infer_graph_t *g);

/*
 * Makes one node of a convolution of few channels and the max pool behind it,
 * where what lies between them is large.
 */
int infer_pass_stem(infer_graph_t *g);

/* Removes nodes whose results nobody uses and counts uses. */
int infer_pass_sweep(infer_graph_t *g);

/*
 * Moves the nodes from number n on, which were appended, to where they belong:
 * in front of the node whose number is in their index.
 */
int infer_pass_insert(infer_graph_t *g, size_t n);

/* Operand i of a conv or fc becomes v. */
int infer_set_operand(infer_graph_t *g, infer_node_t *node, int i,
    infer_value_t *v);

/*
 * Whether v, a constant, is one number for each channel (element of the last
 * dimension) of out, or for all of them: *channel gets it with shape
 * (channels).  1, 0, or -1 with the graph's error set.
 */
int infer_per_channel(infer_graph_t *g, const infer_value_t *out,
    infer_value_t *v, infer_value_t **channel);

/* Whether v is one constant float, whatever its rank. */
int infer_value_scalar(const infer_value_t *v, double *x);

/*
 * by computes what node computed: by's first result takes the place of
 * node's.  node is left with a result that nobody uses, for the sweep.
 */
void infer_node_take(infer_node_t *by, infer_node_t *node);

#endif /* INFER_PASSES_H */
