/*
 * What convolutions and fully connected layers are underneath: M rows of K
 * numbers, each multiplied with N columns of packed weights; for grouped
 * convolutions several such products side by side.
 */

#ifndef INFER_OPS_PRODUCT_H
#define INFER_OPS_PRODUCT_H

#include "ops/common.h"


/* The operands of conv and fc. */
enum {
    INFER_IN_X = 0,
    INFER_IN_WEIGHTS,
    INFER_IN_BIAS,
    INFER_IN_SCALE,
    INFER_IN_RESIDUAL,
    INFER_IN_PRODUCT,                  /* how many */
    INFER_IN_GATE = INFER_IN_PRODUCT,  /* of conv alone */
    INFER_IN_CONV
};


/*
 * Where the weights lie: element (o, c, tap) at data[o * channel + c * depth
 * + tap * tap_step], o counting through all groups.  K = tap * C + c.
 */
typedef struct {
    const void  *data;                 /* not aligned */
    size_t       channel;
    size_t       depth;
    size_t       tap_step;
    size_t       groups;
    size_t       n;                    /* outputs of a group */
    size_t       c;                    /* inputs of a group */
    size_t       taps;
    size_t       run;                  /* bytes: K lies in runs of so many,
                                          each filled up to a multiple of 4 */
    int          depthwise;            /* a channel for each output */
} infer_weights_t;


typedef struct infer_product_s  infer_product_t;

struct infer_product_s {
    size_t                groups;
    size_t                rows;        /* M */
    size_t                k;           /* of a group */
    size_t                n;           /* of a group */
    const float          *packed;      /* what infer_product_pack wrote */
    infer_sparse_t        sparse;      /* used: infer_sparse_pack */
    const float          *residual;    /* as c; NULL: none */
    float                *c;           /* rows x (groups * n) */
    size_t                ldc;         /* floats from row to row */
    const infer_unary_t  *act;

    /* Row i of group g: a + i * lda + g * k, where gather is NULL. */
    const float          *a;
    size_t                lda;

    /* Else writes rows row .. row + n - 1 of a group, K floats each. */
    void                (*gather)(const infer_product_t *p, size_t group,
                                  size_t row, size_t n, float *dst,
                                  size_t ld);
    const void           *source;      /* for gather */
};


/*
 * The parts of the shape rule that conv and fc share.  The first: x and the
 * weights are f32, the weights constant, 1 to 2^31 - 1 elements.  The second,
 * after the result's shape is set: bias and scale are constants (N), the
 * residual has the result's shape, the activation exists.
 */
int infer_product_check_weights(infer_graph_t *g, const infer_node_t *node);
int infer_product_check(infer_graph_t *g, const infer_node_t *node,
    const infer_unary_t *act);

/*
 * Weights packed: panels [groups][ceil(n / 16)][K][16], then the bias
 * [groups][ceil(n / 16) * 16], zeros where there is none.
 */
size_t infer_product_pack_size(const infer_weights_t *w);
void infer_product_pack(const infer_node_t *node, const infer_weights_t *w,
    void *dst);

/*
 * The same for one panel and its bias: outputs first .. first + lanes - 1, at
 * most 16, element (c, tap) at dst + tap * step + c * 16.
 */
void infer_product_pack_panel(const infer_node_t *node,
    const infer_weights_t *w, size_t first, size_t lanes, float *dst,
    size_t step, float *bias);

/* The scales and the bias of a panel, as far as there are some. */
void infer_product_pack_vectors(const infer_node_t *node, size_t first,
    size_t lanes, float *scale, float *bias);

/* A row of a panel; `weight`: number of its first. */
void infer_product_pack_row(const infer_weights_t *w, size_t weight,
    size_t lanes, const float *scale, float *row);

/*
 * What fully connected layers share, whatever the dtype: the result's
 * dimensions, the weights (K, N) or (N, K), and the multiply-accumulates.
 */
int infer_fc_shape(infer_graph_t *g, const infer_node_t *node,
    int w_rows_are_n, infer_dim_t *dim);
infer_weights_t infer_fc_weights(const infer_node_t *node, int w_rows_are_n);
uint64_t infer_fc_macs(const infer_node_t *node);

/* The residual of a conv or fc, NULL where it has none. */
const float *infer_product_residual(const infer_call_t *call);

/* infer_op_t.strided: a residual lies as the result does, and it is dense. */
int infer_product_strided(const infer_call_t *call);

size_t infer_product_scratch(const infer_call_t *call,
    const infer_product_t *p);
void infer_product_run(const infer_call_t *call, const infer_product_t *p);

#endif /* INFER_OPS_PRODUCT_H */
