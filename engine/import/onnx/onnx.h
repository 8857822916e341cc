/*
 * The ONNX importer's own view of a model, and the helpers that its operator
 * families share.  The way of a model:
 *
 *     model.c     ModelProto and GraphProto -> onnx_t, with
 *                 node.c (nodes), port.c (inputs, outputs), name.c (names)
 *     check.c     operators known, no training mode: before anything is built
 *     import.c    inputs, node by node through table.c, outputs, summary
 *     tensor.c    TensorProto -> constant      attr.c     attributes
 *     operand.c   operands as constants        emit.c     IR nodes
 *     read.c      a TensorProto in a file of its own
 *     constant.c conv.c elementwise.c matmul.c norm.c resize.c shape.c slice.c:
 *     the operators
 *
 * Field numbers and semantics: onnx/onnx.in.proto and docs/Operators.md of the
 * ONNX project.  All memory here belongs to the graph.
 */

#ifndef INFER_ONNX_H
#define INFER_ONNX_H

#include "graph/graph.h"
#include "import/emit.h"
#include "import/import.h"
#include "import/onnx/proto.h"


#define ONNX_MAX_OPSET   20

/* Lists that steer a shape have two numbers for each dimension at most. */
#define ONNX_MAX_LIST    (2 * INFER_MAX_RANK)

/* AttributeProto.AttributeType, as far as it is read here. */
typedef enum {
    ONNX_ATTR_NONE = 0,
    ONNX_ATTR_FLOAT = 1,
    ONNX_ATTR_INT = 2,
    ONNX_ATTR_STRING = 3,
    ONNX_ATTR_TENSOR = 4,
    ONNX_ATTR_FLOATS = 6,
    ONNX_ATTR_INTS = 7
} onnx_attr_type_t;

typedef struct {
    const char        *name;
    onnx_attr_type_t   type;
    uint64_t           i;
    float              f;
    onnx_bytes_t       s;
    onnx_bytes_t       t;
    onnx_bytes_t       message;       /* for lists, which are read on demand */
} onnx_attr_t;


typedef struct onnx_s  onnx_t;
typedef struct onnx_node_s  onnx_node_t;

/*
 * An operator: imports node by setting node->out[] from node->in[].  Operands
 * and results were counted; the first min_in operands are there, others may
 * be NULL.  0, or -1 with the error set.
 */
typedef struct {
    const char  *name;
    int          since;               /* the first opset whose semantics are
                                         those implemented */
    int          min_in;
    int          max_in;
    int          max_out;
    int        (*import)(onnx_t *o, onnx_node_t *node);
    int          kind;                /* what of a family it is */
} onnx_op_t;

struct onnx_node_s {
    const char        *name;          /* or that of the first result */
    const char        *op;
    const char        *domain;
    const char       **in_name;
    const char       **out_name;
    infer_value_t    **in;            /* NULL: an operand left out */
    infer_value_t    **out;
    onnx_attr_t       *attr;
    int                n_in;
    int                n_out;
    int                n_attr;
    const onnx_op_t   *row;
};


/* What defines a name; a name that is both initializer and input is a
   constant, so initializers come first. */
typedef enum {
    ONNX_INITIALIZER = 0,
    ONNX_SPARSE,
    ONNX_INPUT,
    ONNX_RESULT
} onnx_origin_t;

typedef struct {
    const char      *name;
    onnx_origin_t    origin;
    size_t           index;           /* in onnx_t's array of that origin */
    infer_value_t   *value;           /* NULL: not yet */
    int              used;            /* by a node */
} onnx_name_t;

typedef struct {
    const char  *param;               /* a named open dimension, or NULL */
    int64_t      value;               /* -1: open */
} onnx_dim_t;

/* ValueInfoProto */
typedef struct {
    const char  *name;
    int32_t      type;                /* data type; 0: not a tensor */
    int          rank;                /* -1: not given */
    onnx_dim_t   dim[INFER_MAX_RANK];
} onnx_port_t;

struct onnx_s {
    infer_graph_t               *g;
    const infer_load_options_t  *options;

    int64_t                      ir_version;
    int                          opset;
    onnx_bytes_t                 graph;

    onnx_node_t                 *node;
    size_t                       n_nodes;
    onnx_bytes_t                *initializer;
    size_t                       n_initializers;
    size_t                       n_sparse;
    onnx_port_t                 *input;
    size_t                       n_inputs;
    onnx_port_t                 *output;
    size_t                       n_outputs;

    onnx_name_t                 *name;          /* sorted by name */
    size_t                       n_names;

    onnx_bytes_t                 location;      /* the last external file */
    const unsigned char         *external;
    size_t                       external_size;
};


/* ---- model.c, node.c, port.c, name.c, check.c ------------------------- */

/* Reads everything but weights from g->map.  0 or -1. */
int onnx_model_parse(onnx_t *o);

/* Fails with "the file is damaged: malformed WHAT"; returns -1. */
int onnx_malformed(onnx_t *o, const char *what);

/*
 * A name as a C string.  Names turn up in error lines and in logs, so control
 * characters are refused: NULL with the error set.
 */
const char *onnx_text(onnx_t *o, onnx_bytes_t bytes);

/* The last length-delimited field of that number, or no bytes; 0, or -1 where
   the message is malformed. */
int onnx_submessage(onnx_bytes_t message, uint32_t field,
    onnx_bytes_t *bytes);

/* A NodeProto into o->node[i], a ValueInfoProto into port. */
int onnx_read_node(onnx_t *o, onnx_bytes_t message, size_t i);
int onnx_read_port(onnx_t *o, onnx_bytes_t message, onnx_port_t *port);

/*
 * All definitions, sorted into o->name.  A name is defined once; only an input
 * may have an initializer of the same name, which then is its value.
 */
int onnx_index_names(onnx_t *o);

/* The definition of a name, or NULL. */
onnx_name_t *onnx_find(const onnx_t *o, const char *name);

/* Gives every input of the graph that is no initializer its value. */
int onnx_import_inputs(onnx_t *o);

/*
 * The value of a name: an initializer becomes a constant at its first use.
 * NULL with the error set: the tensor is broken, or it is the result of a node
 * that has not been imported yet.
 */
infer_value_t *onnx_value(onnx_t *o, onnx_name_t *def);

/* Hands the outputs to the graph; all nodes have been imported. */
int onnx_import_outputs(onnx_t *o);

/*
 * Gives each node its row of the operator table; refuses operators that have
 * none, and nodes exported in training mode: each kind in one error.
 */
int onnx_check(onnx_t *o);

/* Fails: node was exported in training mode, and `more` others. */
int onnx_fail_training(onnx_t *o, const onnx_node_t *node, size_t more);

/* The row of an operator, or NULL. */
const onnx_op_t *onnx_op_find(const char *name);

/* Fails with "PATH: node "NAME" (OP): reason"; returns -1. */
int onnx_fail(onnx_t *o, const onnx_node_t *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


/* ---- tensor.c --------------------------------------------------------- */

/* A TensorProto; its elements lie where they are. */
typedef struct {
    onnx_bytes_t   message;
    onnx_bytes_t   name;
    int32_t        type;
    infer_dtype_t  dtype;
    int            rank;
    int64_t        dim[INFER_MAX_RANK];
    int64_t        numel;
    int            has_raw;
    onnx_bytes_t   raw;
    int            external;
    onnx_bytes_t   location;
    uint64_t       offset;
    uint64_t       length;
    int            has_length;
} onnx_tensor_t;

/* The dtype of an ONNX data type; -1 for those that have none here. */
int onnx_dtype(int64_t type, infer_dtype_t *dtype);

/* Reads the headers of a tensor and holds the amount of its data against its
   shape.  NULL, or what is wrong with it: "has a negative dimension". */
const char *onnx_tensor_parse(onnx_bytes_t message, onnx_tensor_t *t);

/*
 * Writes the elements of a parsed tensor that is not external to dst: numel
 * times the size of an element.  NULL, or what is wrong.
 */
const char *onnx_tensor_decode(const onnx_tensor_t *t, void *dst);

/* The tensor as a constant of the graph, its data in place where possible;
   name is for the value and for errors.  NULL with the error set. */
infer_value_t *onnx_tensor_constant(onnx_t *o, onnx_bytes_t message,
    const char *name);

/*
 * The path of an external file that belongs to a model: location must be
 * relative, without "..", and lead to a file below the model's directory once
 * symbolic links are resolved.  The caller frees it.  NULL with *why set.
 */
char *onnx_external_path(const char *model, onnx_bytes_t location,
    const char **why);


/* ---- attr.c ----------------------------------------------------------- */

/*
 * Attributes of a node; where one is absent *x stays as it is (the default).
 * 0, or -1 with the error set: it has another type, or too many elements.
 */
int onnx_attr_int(onnx_t *o, const onnx_node_t *node, const char *name,
    int64_t *x);
int onnx_attr_float(onnx_t *o, const onnx_node_t *node, const char *name,
    float *x);

/* *n: elements read; stays as it is where the attribute is absent. */
int onnx_attr_ints(onnx_t *o, const onnx_node_t *node, const char *name,
    int64_t *x, int max, int *n);

/*
 * A list of ints (two's complement) or floats (their bits) in graph memory.
 * Returns its length; ONNX_ABSENT where there is none; -1 with the error.
 */
#define ONNX_ABSENT  (-2)

int64_t onnx_attr_list(onnx_t *o, const onnx_node_t *node, const char *name,
    onnx_attr_type_t type, uint64_t **x);

/* The place of a string in a list that ends with NULL. */
int onnx_attr_choice(onnx_t *o, const onnx_node_t *node, const char *name,
    const char *const *choice, int *x);

/* The attribute, or NULL. */
const onnx_attr_t *onnx_attr(const onnx_node_t *node, const char *name);

/* An axis in -rank .. rank - 1, counted from the front; -1 with the error. */
int onnx_axis(onnx_t *o, const onnx_node_t *node, int64_t axis, int rank);


/* ---- operand.c -------------------------------------------------------- */

/* Whether operand i is there. */
static inline int
onnx_has(const onnx_node_t *node, int i)
{
    return i < node->n_in && node->in[i] != NULL;
}

/*
 * Operand i as a constant: itself, or the value known for the graph input of
 * that name.  NULL with the error: operand "what" must be a constant, the same
 * for every batch size.
 */
infer_value_t *onnx_constant(onnx_t *o, const onnx_node_t *node, int i,
    const char *what);

/* A constant list of integers; elements of dim may follow the batch.
   Returns how many, or -1. */
int onnx_const_dims(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, infer_dim_t *dim, int max);
int onnx_const_ints(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, int64_t *x, int max);

/* A constant list of numbers of any dtype.  Returns how many, or -1. */
int onnx_const_numbers(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, double *x, int max);

/* A constant of one number, of any rank; 0 or -1. */
int onnx_const_number(onnx_t *o, const onnx_node_t *node, int i,
    const char *what, double *x);

/*
 * A list that is an attribute before opset `since`, and operand i from then
 * on.  *n: its length, or -1 where it is absent.
 */
int onnx_list(onnx_t *o, const onnx_node_t *node, const char *name, int i,
    int since, int64_t *x, int max, int *n);

/* Distinct axes from such a list, counted from the front. */
int onnx_axes(onnx_t *o, const onnx_node_t *node, int i, int since, int rank,
    int64_t *axis, int *n);


/* ---- emit.c ----------------------------------------------------------- */

/* IR nodes that bear the ONNX node's name: see import/emit.h. */

infer_value_t *onnx_emit(onnx_t *o, const onnx_node_t *node,
    infer_op_id_t op, const infer_param_t *param, infer_value_t *const *in,
    int n_in);
static inline infer_value_t *
onnx_emit_unary(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x, infer_unary_kind_t kind, float a, float b)
{
    return infer_emit_unary(o->g, node->name, x, kind, a, b);
}

static inline infer_value_t *
onnx_emit_binary(onnx_t *o, const onnx_node_t *node,
    infer_binary_kind_t kind, infer_value_t *a, infer_value_t *b)
{
    return infer_emit_binary(o->g, node->name, kind, a, b);
}

static inline infer_value_t *
onnx_emit_cast(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x, infer_dtype_t dtype)
{
    return infer_emit_cast(o->g, node->name, x, dtype);
}

static inline infer_value_t *
onnx_emit_reshape(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x, int rank, const infer_dim_t *dim)
{
    return infer_emit_reshape(o->g, node->name, x, rank, dim);
}

static inline infer_value_t *
onnx_emit_expand(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x, int rank, const infer_dim_t *dim)
{
    return infer_emit_expand(o->g, node->name, x, rank, dim);
}

static inline infer_value_t *
onnx_emit_transpose(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x, const int *perm)
{
    return infer_emit_transpose(o->g, node->name, x, perm);
}

/* Makes v the first result of node; -1 where it is NULL. */
int onnx_result(onnx_node_t *node, infer_value_t *v);

/* A constant of x's dtype and rank 0. */
infer_value_t *onnx_scalar_like(onnx_t *o, const onnx_node_t *node,
    const infer_value_t *x, float number);

/* (N, C, spatial..) to (N, spatial.., C) and back. */
static inline infer_value_t *
onnx_channels_last(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x)
{
    return infer_emit_channels_last(o->g, node->name, x);
}

static inline infer_value_t *
onnx_channels_first(onnx_t *o, const onnx_node_t *node,
    infer_value_t *x)
{
    return infer_emit_channels_first(o->g, node->name, x);
}


/* ---- the operators, by family: rows of table.c ------------------------ */

/* conv.c */
int onnx_op_conv(onnx_t *o, onnx_node_t *node);
int onnx_op_pool(onnx_t *o, onnx_node_t *node);            /* 1: average */

/* elementwise.c */
int onnx_op_identity(onnx_t *o, onnx_node_t *node);
int onnx_op_unary(onnx_t *o, onnx_node_t *node);           /* unary kind */
int onnx_op_relu(onnx_t *o, onnx_node_t *node);
int onnx_op_clip(onnx_t *o, onnx_node_t *node);
int onnx_op_gelu(onnx_t *o, onnx_node_t *node);
int onnx_op_binary(onnx_t *o, onnx_node_t *node);          /* binary kind */
int onnx_op_variadic(onnx_t *o, onnx_node_t *node);        /* binary kind */
int onnx_op_mean(onnx_t *o, onnx_node_t *node);
int onnx_op_pow(onnx_t *o, onnx_node_t *node);
int onnx_op_mod(onnx_t *o, onnx_node_t *node);
int onnx_op_where(onnx_t *o, onnx_node_t *node);
int onnx_op_cast(onnx_t *o, onnx_node_t *node);
int onnx_op_cast_like(onnx_t *o, onnx_node_t *node);

/* matmul.c */
int onnx_op_gemm(onnx_t *o, onnx_node_t *node);
int onnx_op_matmul(onnx_t *o, onnx_node_t *node);

/* norm.c */
int onnx_op_batchnorm(onnx_t *o, onnx_node_t *node);
int onnx_op_layernorm(onnx_t *o, onnx_node_t *node);
int onnx_op_lrn(onnx_t *o, onnx_node_t *node);
int onnx_op_softmax(onnx_t *o, onnx_node_t *node);         /* 1: log */
int onnx_op_reduce(onnx_t *o, onnx_node_t *node);          /* reduce kind */
int onnx_op_global_pool(onnx_t *o, onnx_node_t *node);     /* reduce kind */
int onnx_op_dropout(onnx_t *o, onnx_node_t *node);

/* resize.c */
int onnx_op_resize(onnx_t *o, onnx_node_t *node);
int onnx_op_upsample(onnx_t *o, onnx_node_t *node);     /* Resize before 11 */

/* constant.c */
int onnx_op_constant(onnx_t *o, onnx_node_t *node);
int onnx_op_constant_of_shape(onnx_t *o, onnx_node_t *node);
int onnx_op_range(onnx_t *o, onnx_node_t *node);
int onnx_op_shape(onnx_t *o, onnx_node_t *node);
int onnx_op_size(onnx_t *o, onnx_node_t *node);

/* shape.c */
int onnx_op_reshape(onnx_t *o, onnx_node_t *node);
int onnx_op_flatten(onnx_t *o, onnx_node_t *node);
int onnx_op_squeeze(onnx_t *o, onnx_node_t *node);
int onnx_op_unsqueeze(onnx_t *o, onnx_node_t *node);
int onnx_op_transpose(onnx_t *o, onnx_node_t *node);
int onnx_op_expand(onnx_t *o, onnx_node_t *node);
int onnx_op_tile(onnx_t *o, onnx_node_t *node);

/* slice.c */
int onnx_op_concat(onnx_t *o, onnx_node_t *node);
int onnx_op_split(onnx_t *o, onnx_node_t *node);
int onnx_op_slice(onnx_t *o, onnx_node_t *node);
int onnx_op_gather(onnx_t *o, onnx_node_t *node);
int onnx_op_pad(onnx_t *o, onnx_node_t *node);

#endif /* INFER_ONNX_H */
