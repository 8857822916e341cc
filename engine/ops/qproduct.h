/*
 * The integer product: what QCONV and QFC are underneath, as ops/product.h is
 * for floats.  Rows of unsigned bytes, panels of signed ones.
 */

#ifndef INFER_OPS_QPRODUCT_H
#define INFER_OPS_QPRODUCT_H

#include "ops/integer.h"
#include "ops/window.h"


/* Operands of a fully connected layer whose input was quantized just now. */
enum {
    INFER_IN_X_SCALE = INFER_IN_PRODUCT,
    INFER_IN_X_ZERO,
    INFER_IN_QPRODUCT                  /* how many */
};

/* Where parts of the packed weights lie. */
typedef struct {
    const int8_t   *panels;            /* [groups][ceil(n / 16)][K / 4][16][4],
                                          K as infer_qproduct_k() says;
                                          depthwise: infer_depthwise_u8_t */
    const int32_t  *start;             /* where sums start, and so on: */
    const int32_t  *weights;           /* [groups][ceil(n / 16) * 16] */
    const float    *scale;
    const float    *bias;
    size_t          vector;            /* elements for a group */
    size_t          step;              /* bytes of a panel */
} infer_qpacked_t;

typedef struct {
    const infer_call_t         *call;
    const infer_requantize_t   *end;
    size_t                      groups;
    size_t                      rows;  /* M */
    size_t                      k;     /* of a group */
    size_t                      n;     /* of a group */
    size_t                      run;   /* k, unless rows are in runs, ... */
    size_t                      run_step;        /* ... so many bytes apart */

    /* Row i of group g: a + i * lda + g * k, where field is NULL. */
    const uint8_t              *a;
    size_t                      lda;
    const infer_field_t        *field;

    /* x's scale and zero point of row i: [i * x_step]; NULL: packed. */
    const float                *x_scale;
    const uint8_t              *x_zero;
    size_t                      x_step;

    int                         bounded;     /* see infer_qproduct_bounded */
} infer_qproduct_t;


/*
 * The parts of the shape rule that QCONV and QFC share, as for floats.  K:
 * products in a sum.
 */
int infer_qproduct_check_weights(infer_graph_t *g, const infer_node_t *node,
    int32_t zero);
int infer_qproduct_check(infer_graph_t *g, const infer_node_t *node,
    const infer_requantize_t *end, uint64_t k);

/* K as it lies in panels, and the packed form. */
size_t infer_qproduct_k(size_t k, size_t run);
size_t infer_qproduct_pack_size(const infer_weights_t *w);
void infer_qproduct_pack(const infer_node_t *node, const infer_weights_t *w,
    int32_t zero, const infer_requantize_t *end, void *dst);
void infer_qproduct_packed(infer_qpacked_t *p, const void *packed,
    size_t groups, size_t n, size_t k, int depthwise);

size_t infer_qproduct_scratch(const infer_qproduct_t *p);
void infer_qproduct_run(const infer_qproduct_t *p);

/* infer_end_t's word, from the packed constants. */
int infer_qproduct_bounded(const infer_qproduct_t *p);

/*
 * Rows row .. row + rows - 1 alone, of one group, which begin at a, on this
 * thread, with p->bounded set; numbers: so many bytes.
 */
size_t infer_qproduct_numbers(const infer_qproduct_t *p, size_t rows);
void infer_qproduct_rows(const infer_qproduct_t *p, const uint8_t *a,
    size_t lda, size_t row, size_t rows, void *numbers);

#endif /* INFER_OPS_QPRODUCT_H */
