/*
 * A model in memory and on disk: one block, position independent.  Behind the
 * header lie tables of fixed-size rows, names, constants and packed weights;
 * every reference is an offset from the start of the block (0: none), every
 * table and constant is aligned to 64 bytes.  Little endian.
 */

#ifndef INFER_MODEL_H
#define INFER_MODEL_H

#include "infer.h"
#include "ops/param.h"


#define INFER_MODEL_MAGIC    "INFERMDL"
#define INFER_MODEL_VERSION  2
#define INFER_MODEL_ALIGN    64

/* An operand that was left out. */
#define INFER_MODEL_NONE     UINT32_MAX

/* Where the data of a constant lies that is only there as it was packed. */
#define INFER_MODEL_PACKED   UINT64_MAX


struct infer_model_s {
    char      magic[8];
    uint32_t  version;
    uint32_t  follows_batch;      /* some shape depends on the batch size */
    uint64_t  size;

    /* In a file: bytes that lie in front of the block, and behind it. */
    uint64_t  before;
    uint64_t  after;

    uint64_t  values;             /* infer_model_value_t[n_values] */
    uint64_t  nodes;              /* infer_model_node_t[n_nodes] */
    uint64_t  operands;           /* uint32_t[]: indices of values */
    uint64_t  inputs;             /* infer_model_port_t[n_inputs] */
    uint64_t  outputs;            /* infer_model_port_t[n_outputs] */
    uint64_t  labels;             /* uint64_t[n_labels]: strings */
    uint64_t  preprocess;         /* string */

    uint32_t  n_values;
    uint32_t  n_nodes;
    uint32_t  n_inputs;
    uint32_t  n_outputs;
    uint32_t  n_labels;
    uint32_t  probabilities;      /* output 0 comes out of a softmax */

    /* Rows of another size are those of another version. */
    uint32_t  value_size;
    uint32_t  node_size;
    uint32_t  port_size;
    uint32_t  label_size;
};

typedef struct {
    uint64_t     data;            /* constants; INFER_MODEL_PACKED */
    int32_t      dtype;
    int32_t      rank;
    infer_dim_t  dim[INFER_MAX_RANK];
} infer_model_value_t;

typedef struct {
    uint64_t       name;
    uint64_t       packed;        /* what the operator's pack() wrote */
    uint64_t       macs;          /* at batch 1 */
    uint32_t       op;            /* infer_op_id_t */
    uint32_t       operand;       /* first of n_in + n_out in operands */
    uint32_t       n_in;
    uint32_t       n_out;
    infer_param_t  param;
} infer_model_node_t;

typedef struct {
    uint64_t  name;
    uint32_t  value;
    int32_t   nchw;               /* the value is channels-last, the port
                                     channels-first */
    int32_t   dtype;
    int32_t   rank;
    int64_t   dim[INFER_MAX_RANK];
} infer_model_port_t;


static inline const void *
infer_model_at(const infer_model_t *m, uint64_t offset)
{
    return (const char *) m + offset;
}

#endif /* INFER_MODEL_H */
