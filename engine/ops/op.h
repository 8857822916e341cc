/*
 * What an operator is to the rest of the engine: a row of functions.  A new
 * operator is one file with its row, and one line in ops/table.c.
 */

#ifndef INFER_OP_H
#define INFER_OP_H

#include "graph/graph.h"
#include "kernels/kernels.h"


/*
 * How an operand lies: its element at an index is the one of base, dense, at
 * start + the sum of index * stride, all in elements and none negative.
 */
typedef struct {
    const infer_tensor_t  *base;
    int64_t                start;
    int64_t                stride[INFER_MAX_RANK];
} infer_strided_t;

/*
 * One operator about to run on concrete tensors: in a session, or once while
 * a graph is folded.
 */
typedef struct {
    const infer_param_t     *param;
    const infer_tensor_t   **in;         /* NULL: operand left out */
    infer_tensor_t         **out;
    const infer_strided_t      *view;       /* of in[0] and in[1], whose data is
                                            then not to be read; NULL: they
                                            are dense */
    int                      n_in;
    int                      n_out;
    size_t                   ld;         /* elements from row to row of
                                            out[0]: see strided; 0: dense */
    const void              *packed;     /* what pack() wrote; 64-byte
                                            aligned; NULL without pack */
    const void              *ahead;      /* what the operators behind this */
    size_t                   ahead_size; /* one packed, in their order: run()
                                            may fetch it into the cache */
    const infer_kernels_t   *kernels;
    const infer_parallel_t  *parallel;   /* NULL: this thread alone */
    unsigned char           *scratch;    /* slots areas of scratch_size bytes,
                                            64-byte aligned, a multiple of 64 */
    size_t                   scratch_size;
} infer_call_t;

struct infer_op_s {
    const char  *name;

    /*
     * The shape rule: checks operands and param (they come from a file:
     * trust nothing) and sets dtype, rank and dim of each out.  Returns 0,
     * or -1 through infer_node_fail.
     */
    int        (*shape)(infer_graph_t *g, const infer_node_t *node);

    /* Computes out from in.  Cannot fail. */
    void       (*run)(const infer_call_t *call);

    /*
     * Whether run() can leave call->ld elements from row to row of out[0],
     * rows being along the last dimension: such a result is some columns of
     * a wider tensor, into which others write theirs.  Looks at shapes and
     * param only; NULL: never.
     */
    int        (*strided)(const infer_call_t *call);

    /* Whether run() heeds call->view; such an operator has two operands. */
    int          views;

    /* Bytes of scratch for each slot; NULL: none. */
    size_t     (*scratch)(const infer_call_t *call);

    /*
     * Operators with weights: bytes of the packed form of the constant
     * operands, in[1..n_packed], and the packing itself (dst is 64-byte
     * aligned).  They are not there when the operator runs; in a model file
     * only their dtype and shape are, so that the shape rule and pack_size
     * must not read their data.
     */
    int          n_packed;
    size_t     (*pack_size)(const infer_node_t *node);
    void       (*pack)(const infer_node_t *node, void *dst);

    /*
     * Whether a packed form from a file (pack_size bytes) is one that run()
     * can be trusted with; NULL: any is.
     */
    int        (*packed_valid)(const infer_node_t *node, const void *packed);

    /* Multiply-accumulates at batch 1, for profiles; NULL: none. */
    uint64_t   (*macs)(const infer_node_t *node);
};


extern const infer_op_t *const infer_op_table[INFER_OPS];

extern const infer_op_t  infer_op_conv;
extern const infer_op_t  infer_op_fc;
extern const infer_op_t  infer_op_matmul;
extern const infer_op_t  infer_op_unary;
extern const infer_op_t  infer_op_binary;
extern const infer_op_t  infer_op_where;
extern const infer_op_t  infer_op_cast;
extern const infer_op_t  infer_op_pool;
extern const infer_op_t  infer_op_reduce;
extern const infer_op_t  infer_op_softmax;
extern const infer_op_t  infer_op_layernorm;
extern const infer_op_t  infer_op_lrn;
extern const infer_op_t  infer_op_transpose;
extern const infer_op_t  infer_op_reshape;
extern const infer_op_t  infer_op_concat;
extern const infer_op_t  infer_op_slice;
extern const infer_op_t  infer_op_pad;
extern const infer_op_t  infer_op_expand;
extern const infer_op_t  infer_op_gather;
extern const infer_op_t  infer_op_resize;
extern const infer_op_t  infer_op_affine;
extern const infer_op_t  infer_op_strip;
extern const infer_op_t  infer_op_quantize;
extern const infer_op_t  infer_op_dequantize;
extern const infer_op_t  infer_op_dynamic_quantize;
extern const infer_op_t  infer_op_qconv;
extern const infer_op_t  infer_op_qfc;
extern const infer_op_t  infer_op_qbinary;
extern const infer_op_t  infer_op_qpool;
extern const infer_op_t  infer_op_table_lookup;


/* Whether an operator packs this operand. */
static inline int
infer_op_packs(const infer_op_t *op, int operand)
{
    return operand >= 1 && operand <= op->n_packed;
}

/* Elements of a tensor. */
static inline size_t
infer_numel(const infer_tensor_t *t)
{
    size_t  n = 1;

    for (int i = 0; i < t->rank; i++) {
        n *= (size_t) t->dim[i];
    }

    return n;
}

/* Elements from row to row of out[0], which has dimensions. */
static inline size_t
infer_out_ld(const infer_call_t *call)
{
    const infer_tensor_t  *y = call->out[0];

    return call->ld != 0 ? call->ld : (size_t) y->dim[y->rank - 1];
}

/* call->parallel, or a plain loop on slot 0 where there is none. */
void infer_parallel_for(const infer_call_t *call,
    void (*task)(void *arg, size_t i, size_t slot), void *arg, size_t n);

/* The scratch area of a slot. */
static inline void *
infer_scratch(const infer_call_t *call, size_t slot)
{
    return call->scratch + slot * call->scratch_size;
}

/*
 * numpy's broadcasting rule for dimensions that may follow the batch:
 * writes the common shape and its rank.  -1 where they do not fit.
 */
int infer_broadcast(const infer_value_t *const *v, int n, int *rank,
    infer_dim_t *dim);

#endif /* INFER_OP_H */
