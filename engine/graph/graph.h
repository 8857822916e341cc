/*
 * The intermediate representation: values (tensors, computed or constant) and
 * nodes (one operator each, in topological order).  Importers add nodes with
 * infer_graph_emit, which applies the operator's shape rule at once and folds
 * a node whose operands are all constant, so that an importer always knows
 * the shape of what it has emitted, and the value of what is constant.
 *
 * Layout: operators with spatial dimensions (conv, pool, lrn) are defined
 * channels-last only.  Legend used in the whole engine:
 *   N batch, H W height and width, C channels in, in NHWC order;
 *   M = N * OH * OW rows, K = KH * KW * C products, N outputs of a product.
 */

#ifndef INFER_GRAPH_H
#define INFER_GRAPH_H

#include "infer.h"
#include "ops/param.h"


typedef struct infer_value_s  infer_value_t;
typedef struct infer_node_s  infer_node_t;
typedef struct infer_op_s  infer_op_t;

/*
 * A constant may depend on the batch size (the shape of an activation, and
 * what is computed from it).  It is known by its values at three batch sizes:
 * data is that at batch 1, varied[] those at 2 and 3; where varied[0] is NULL
 * it is the same for all.
 */
struct infer_value_s {
    const char     *name;
    infer_dtype_t   dtype;
    int             rank;
    infer_dim_t     dim[INFER_MAX_RANK];
    const void     *data;          /* NULL: computed, or a graph input */
    const void     *varied[2];
    const struct infer_mapping_s
                   *mapping;       /* the file data lies in, or NULL */
    const struct infer_quantized_s
                   *quantized;     /* a constant's integers, or NULL */
    int             packed;        /* a constant without data: it is there
                                      as an operator has packed it */
    infer_node_t   *producer;      /* NULL: constant or graph input */
    uint32_t        id;            /* index in graph->value */
    uint32_t        uses;          /* valid after a sweep */
};

/*
 * What a dequantized constant was: (q - zero) * scale gives its data.  Large
 * weights that integer operators may take as they are become floats only when
 * they must: see infer_graph_fill.
 */
typedef struct infer_quantized_s {
    const infer_value_t  *q;       /* i8, u8 or i32 */
    const infer_value_t  *scale;   /* f32: one, or those of dimension axis */
    const infer_value_t  *zero;    /* of q's dtype, like scale; NULL: 0 */
    int                   axis;
} infer_quantized_t;

struct infer_node_s {
    const infer_op_t  *op;
    infer_op_id_t      id;         /* of op */
    const char        *name;
    infer_param_t      param;
    infer_value_t    **in;         /* NULL: an optional operand left out */
    infer_value_t    **out;
    int                n_in;
    int                n_out;
    size_t             index;      /* in graph->node, after a sweep */
};

/* An input or output of the graph: what the file declares, and the value. */
typedef struct {
    infer_value_t  *value;
    infer_port_t    port;
    int             nchw;          /* value is the port's transpose to
                                      channels-last: (0, 2, ..., 1) */
} infer_graph_port_t;

struct infer_graph_s {
    const char           *path;
    infer_error_t        *err;     /* where failures are told while open */

    infer_node_t        **node;
    size_t                n_nodes;
    infer_value_t       **value;
    size_t                n_values;
    infer_graph_port_t   *input;
    size_t                n_inputs;
    infer_graph_port_t   *output;
    size_t                n_outputs;

    infer_summary_t       summary;
    char                 *preprocess;    /* from the file's metadata; NULL */
    const char          **label;         /* n_labels of them, or NULL */
    size_t                n_labels;

    /* private to graph.c */
    struct infer_chunk_s *chunks;
    size_t                node_space;
    size_t                value_space;
    size_t                folded;        /* bytes */
    const void           *map;           /* the model file, for importers */
    size_t                map_size;
    struct infer_mapping_s *mappings;    /* external data files */
};


/* ---- making a graph --------------------------------------------------- */

infer_graph_t *infer_graph_create(const char *path, infer_error_t *err);

/* Zeroed memory that lives as long as the graph; NULL with the error set. */
void *infer_graph_alloc(infer_graph_t *g, size_t size);
char *infer_graph_strdup(infer_graph_t *g, const char *s, size_t len);

/*
 * Maps a file read-only for the life of the graph (private; the graph is
 * closed before a server starts to serve).  NULL with the error set.
 */
const void *infer_graph_map(infer_graph_t *g, const char *path,
    size_t *size);

/*
 * Drops all nodes, values, inputs and outputs, to import once more; what they
 * were made of stays.
 */
void infer_graph_clear(infer_graph_t *g);

/* The file that p points into, NULL where it points elsewhere. */
const struct infer_mapping_s *infer_graph_mapping(const infer_graph_t *g,
    const void *p);

/*
 * Bytes from .. to - 1 of a constant have been read for the last time, or so
 * it seems: pages of a mapped file are given back, to be read again if need
 * be.  Nothing happens where the data lies elsewhere.
 */
void infer_value_forget(const infer_value_t *v, size_t from, size_t to);

/* The same of all that passes have looked at in mapped files. */
void infer_graph_forget(const infer_graph_t *g);

/* Sets the graph's error to "PATH: message" and returns -1. */
int infer_graph_fail(infer_graph_t *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a node: "PATH: node "NAME" (OP): message". */
int infer_node_fail(infer_graph_t *g, const infer_node_t *node,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A new value without producer or data.  name is copied, may be NULL. */
infer_value_t *infer_graph_value(infer_graph_t *g, const char *name,
    infer_dtype_t dtype, int rank, const infer_dim_t *dim);

/*
 * A constant.  data is used in place (it must live as long as the graph) and
 * need not be aligned.
 */
infer_value_t *infer_graph_constant(infer_graph_t *g, const char *name,
    infer_dtype_t dtype, int rank, const int64_t *dim, const void *data);

/* A constant of one float, rank 0. */
infer_value_t *infer_graph_scalar(infer_graph_t *g, float x);

/* Bytes as a table of 256 elements: u8 0 .. 255, or i8 -128 .. 127. */
infer_value_t *infer_graph_bytes(infer_graph_t *g, infer_dtype_t dtype);

/* v, u8 or i8, as u8: 128 is added to i8. */
infer_value_t *infer_graph_shifted(infer_graph_t *g, infer_value_t *v);

/*
 * What dynamic_quantize has computed for x, one number for all dimensions or
 * for those from some dimension on, as numbers for the rows of x: v, or
 * expanded to the dimensions of x but the last.
 */
infer_value_t *infer_graph_rows(infer_graph_t *g, infer_value_t *v,
    const infer_value_t *x);

/* The shape of v as an int64 constant of rank 1 (it may follow the batch). */
infer_value_t *infer_graph_shape_of(infer_graph_t *g,
    const infer_value_t *v);

/*
 * Appends a node: copies param and the operand list, applies the shape rule,
 * checks the result (0 <= dim, less than 2^31 elements), and folds it where
 * all operands are constants and the operator can run without packing.
 * out[0..n_out-1] receive the results.  name is copied.  0 or -1.
 */
int infer_graph_emit(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name,
    infer_value_t *const *in, int n_in, infer_value_t **out, int n_out);

/* The same without folding: nothing is computed. */
int infer_graph_append(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name,
    infer_value_t *const *in, int n_in, infer_value_t **out, int n_out);

/* The common case of one result: the value, or NULL with the error set. */
infer_value_t *infer_graph_emit1(infer_graph_t *g, infer_op_id_t op,
    const infer_param_t *param, const char *name,
    infer_value_t *const *in, int n_in);

/*
 * Reads an int64 or int32 constant of rank 0 or 1 as dimensions (each may
 * follow the batch).  Returns their number, at most max, or -1 with the
 * error: v is not constant, has another dtype or too many elements, or does
 * not grow linearly with the batch.
 */
int infer_value_dims(infer_graph_t *g, const infer_value_t *v,
    infer_dim_t *dim, int max);

/* The same where no element may follow the batch. */
int infer_value_ints(infer_graph_t *g, const infer_value_t *v,
    int64_t *x, int max);


/* Whether v has one element. */
int infer_value_is_one(const infer_value_t *v);

/*
 * Gives the result of node, a dequantize of constants, or a reshape or
 * transpose of what one has computed, its field `quantized`, where the
 * dimension that has scales is still there.  0, or -1 with the error set.
 */
int infer_quantized_keep(infer_graph_t *g, const infer_node_t *node);

/*
 * Computes the data of all dequantized constants that nodes take and that has
 * been put off: of rank 2 or more, and large.  Until then only dtype and shape
 * of those may be read, and nodes be emitted that take them.  0, or -1 with
 * the error set.
 */
int infer_graph_fill(infer_graph_t *g);

/*
 * q - zero, constants i8 or u8 (zero: one, or those of dimension axis; NULL:
 * 0), as i8: in part[0], with part[1] NULL; where that is too small, q - zero
 * is 2 * part[0] + part[1].  0, or -1 with the error set.
 */
int infer_weights_i8(infer_graph_t *g, const infer_value_t *q,
    const infer_value_t *zero, int axis, infer_value_t **part);

/* The sums of the columns of such a matrix: int32, a constant. */
infer_value_t *infer_column_sums(infer_graph_t *g,
    infer_value_t *const *part);


/* ---- dimensions: base + batch * B ------------------------------------- */

static inline infer_dim_t
infer_dim(int64_t n)
{
    return (infer_dim_t) { n, 0 };
}

static inline int
infer_dim_equal(infer_dim_t a, infer_dim_t b)
{
    return a.base == b.base && a.batch == b.batch;
}

static inline int
infer_dim_is(infer_dim_t a, int64_t n)
{
    return a.base == n && a.batch == 0;
}

static inline int64_t
infer_dim_at(infer_dim_t a, int64_t batch)
{
    return a.base + a.batch * batch;
}

/* *c = a * b; -1 where the product is not linear in the batch or overflows. */
int infer_dim_mul(infer_dim_t a, infer_dim_t b, infer_dim_t *c);

/*
 * What no value may be: NULL, or "is ..." or "has ..." where a dimension of v
 * is negative at some batch size, or v has 2^31 elements or more.
 */
const char *infer_value_fault(const infer_value_t *v);

/*
 * Whether v is a constant, the same for each batch size.  Its data may not be
 * there: shape rules ask for it here, and read none of operands that are
 * packed.
 */
static inline int
infer_value_is_constant(const infer_value_t *v)
{
    return v->packed || (v->data != NULL && v->varied[0] == NULL);
}

/* Number of elements; -1 as above. */
int infer_value_numel(const infer_value_t *v, infer_dim_t *n);

/* The tensor of v at a batch size (data: the constant's, or NULL). */
void infer_value_tensor(const infer_value_t *v, int64_t batch,
    infer_tensor_t *t);

#endif /* INFER_GRAPH_H */
