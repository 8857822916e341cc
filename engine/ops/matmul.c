/*
 * The product of two activations, with numpy's rules for leading dimensions.
 * f32 goes to OpenBLAS, one call for each matrix, so that a result does not
 * depend on how many matrices there are; float64 and integers are computed
 * by a plain loop, integers modulo their width.
 */

#include <cblas.h>
#include <stdatomic.h>
#include <string.h>

#include "ops/common.h"


typedef struct {
    const infer_call_t    *call;
    const infer_matmul_t  *param;
    infer_dtype_t          dtype;
    size_t                 m, n, k;
    int                    lead;                     /* leading dimensions */
    size_t                 dim[INFER_MAX_RANK];
    size_t                 a_step[INFER_MAX_RANK];   /* in matrices; 0 where */
    size_t                 b_step[INFER_MAX_RANK];   /* broadcast */
} matmul_t;


static int admitted(const infer_matmul_t *param, infer_dtype_t dtype);
static int check_ranks(infer_graph_t *g, const infer_node_t *node);
static int row_dim(const infer_value_t *v, int transpose);
static int column_dim(const infer_value_t *v, int transpose);
static void matmul_init(matmul_t *m, const infer_call_t *call);
static void leading(const matmul_t *m, const infer_tensor_t *t,
    size_t *step);
static void one_matrix(void *arg, size_t i, size_t slot);
static void hold_threads(void);
static void product_f32(const matmul_t *m, const float *a, const float *b,
    float *c);


/* ---- the shape rule --------------------------------------------------- */

static int
matmul_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                     rank;
    infer_dim_t             dim[INFER_MAX_RANK];
    infer_value_t           lead[2];
    const infer_value_t    *a, *b;
    const infer_value_t    *leads[2] = { &lead[0], &lead[1] };
    const infer_matmul_t   *param = &node->param.matmul;

    if (infer_check_operands(g, node, 2, 2, 1) != 0
        || check_ranks(g, node) != 0)
    {
        return -1;
    }

    a = node->in[0];
    b = node->in[1];

    if (!infer_dim_equal(a->dim[column_dim(a, param->transpose_a)],
                         b->dim[b->rank == 1
                                ? 0 : row_dim(b, param->transpose_b)]))
    {
        return infer_node_fail(g, node, "the operands' inner dimensions "
                               "differ");
    }

    for (int i = 0; i < 2; i++) {
        lead[i] = *node->in[i];
        lead[i].rank = lead[i].rank > 2 ? lead[i].rank - 2 : 0;
    }

    if (infer_broadcast(leads, 2, &rank, dim) != 0) {
        return infer_node_fail(g, node, "the operands' leading dimensions do "
                               "not broadcast");
    }

    if (a->rank > 1) {
        dim[rank++] = a->dim[row_dim(a, param->transpose_a)];
    }

    if (b->rank > 1) {
        dim[rank++] = b->dim[column_dim(b, param->transpose_b)];
    }

    infer_set_result(node->out[0], a->dtype, rank, dim);

    return 0;
}


static int
check_ranks(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t   *a = node->in[0], *b = node->in[1];
    const infer_matmul_t  *param = &node->param.matmul;

    if (a->dtype != b->dtype || !admitted(param, a->dtype)) {
        return infer_node_fail(g, node, "%s times %s is not supported",
                               infer_dtype_name(a->dtype),
                               infer_dtype_name(b->dtype));
    }

    if (a->rank < 1 || b->rank < 1 || (a->rank == 1 && param->transpose_a)
        || (b->rank == 1 && param->transpose_b))
    {
        return infer_node_fail(g, node, "operands of rank %d and %d",
                               a->rank, b->rank);
    }

    return 0;
}


/* Integers have no use for a factor that is not 1. */
static int
admitted(const infer_matmul_t *param, infer_dtype_t dtype)
{
    switch (dtype) {

    case INFER_F32:
    case INFER_F64:
        return 1;

    case INFER_I32:
    case INFER_U32:
    case INFER_I64:
    case INFER_U64:
        return param->alpha == 1.0f;

    default:
        return 0;
    }
}


/* The dimension of rows (of a matrix), and that of columns. */
static int
row_dim(const infer_value_t *v, int transpose)
{
    return v->rank - (transpose ? 1 : 2);
}


static int
column_dim(const infer_value_t *v, int transpose)
{
    return v->rank - (transpose ? 2 : 1);
}


static uint64_t
matmul_macs(const infer_node_t *node)
{
    infer_dim_t           n = { 0, 0 };
    const infer_value_t  *a = node->in[0];

    infer_value_numel(node->out[0], &n);

    return (uint64_t) infer_dim_at(n, 1)
           * (uint64_t) infer_dim_at(
                 a->dim[column_dim(a, node->param.matmul.transpose_a)], 1);
}


/* ---- running ---------------------------------------------------------- */

static void
matmul_run(const infer_call_t *call)
{
    size_t    matrices = 1;
    matmul_t  m;

    matmul_init(&m, call);

    for (int i = 0; i < m.lead; i++) {
        matrices *= m.dim[i];
    }

    if (m.k == 0) {
        memset(call->out[0]->data, 0, infer_numel(call->out[0])
                                      * infer_dtype_size(m.dtype));

    } else if (infer_numel(call->out[0]) > 0) {
        infer_parallel_for(call, one_matrix, &m, matrices);
    }
}


static void
matmul_init(matmul_t *m, const infer_call_t *call)
{
    int                    ta, tb;
    const infer_tensor_t  *a = call->in[0], *b = call->in[1];
    const infer_tensor_t  *c = call->out[0];

    m->call = call;
    m->param = &call->param->matmul;
    m->dtype = c->dtype;

    ta = m->param->transpose_a != 0;
    tb = m->param->transpose_b != 0;

    m->k = (size_t) a->dim[a->rank - 1 - ta];
    m->m = a->rank == 1 ? 1 : (size_t) a->dim[a->rank - 2 + ta];
    m->n = b->rank == 1 ? 1 : (size_t) b->dim[b->rank - 1 - tb];
    m->lead = c->rank - (a->rank > 1) - (b->rank > 1);

    for (int i = 0; i < m->lead; i++) {
        m->dim[i] = (size_t) c->dim[i];
    }

    leading(m, a, m->a_step);
    leading(m, b, m->b_step);
}


/* How far apart an operand's matrices are, along each leading dimension. */
static void
leading(const matmul_t *m, const infer_tensor_t *t, size_t *step)
{
    int     j;
    size_t  matrices = 1;

    for (int i = m->lead - 1; i >= 0; i--) {
        j = t->rank - 2 - m->lead + i;
        step[i] = 0;

        if (j >= 0 && t->dim[j] != 1) {
            step[i] = matrices;
            matrices *= (size_t) t->dim[j];
        }
    }
}


/*
 * T: the operands' type; S: the type to compute in (for integers unsigned,
 * which wraps); FACTOR: what the sum is multiplied with.
 */
#define PRODUCT(NAME, T, S, FACTOR)                                          \
static void                                                                  \
NAME(const matmul_t *m, const T *a, const T *b, T *c)                        \
{                                                                            \
    S       sum;                                                             \
    size_t  a_row, a_col, b_row, b_col;                                      \
                                                                             \
    a_row = m->param->transpose_a ? 1 : m->k;                                \
    a_col = m->param->transpose_a ? m->m : 1;                                \
    b_row = m->param->transpose_b ? 1 : m->n;                                \
    b_col = m->param->transpose_b ? m->k : 1;                                \
                                                                             \
    for (size_t i = 0; i < m->m; i++) {                                      \
        for (size_t j = 0; j < m->n; j++) {                                  \
            sum = 0;                                                         \
                                                                             \
            for (size_t k = 0; k < m->k; k++) {                              \
                sum += (S) a[i * a_row + k * a_col]                          \
                       * (S) b[k * b_row + j * b_col];                       \
            }                                                                \
                                                                             \
            *c++ = (T) (sum * (S) (FACTOR));                                 \
        }                                                                    \
    }                                                                        \
}

PRODUCT(product_f64, double, double, m->param->alpha)
PRODUCT(product_32, uint32_t, uint32_t, 1)
PRODUCT(product_64, uint64_t, uint64_t, 1)


static void
one_matrix(void *arg, size_t i, size_t slot)
{
    void            *out;
    size_t           a = 0, b = 0, rest = i, size;
    const void      *x, *y;
    const matmul_t  *m = arg;

    (void) slot;

    for (int d = m->lead - 1; d >= 0; d--) {
        a += rest % m->dim[d] * m->a_step[d];
        b += rest % m->dim[d] * m->b_step[d];
        rest /= m->dim[d];
    }

    size = infer_dtype_size(m->dtype);
    x = (const unsigned char *) m->call->in[0]->data + a * m->m * m->k * size;
    y = (const unsigned char *) m->call->in[1]->data + b * m->k * m->n * size;
    out = (unsigned char *) m->call->out[0]->data + i * m->m * m->n * size;

    switch (m->dtype) {

    case INFER_F32:
        product_f32(m, x, y, out);
        break;

    case INFER_F64:
        product_f64(m, x, y, out);
        break;

    case INFER_I32:
    case INFER_U32:
        product_32(m, x, y, out);
        break;

    default:
        product_64(m, x, y, out);
        break;
    }
}


/* The host's threads are the only ones: OpenBLAS is to start none. */
static void
hold_threads(void)
{
    static atomic_int  held;

    if (!atomic_load(&held)) {
        openblas_set_num_threads(1);
        atomic_store(&held, 1);
    }
}


static void
product_f32(const matmul_t *m, const float *a, const float *b, float *c)
{
    int  ta = m->param->transpose_a, tb = m->param->transpose_b;

    hold_threads();

    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans,
                tb ? CblasTrans : CblasNoTrans, (int) m->m, (int) m->n,
                (int) m->k, m->param->alpha, a, (int) (ta ? m->m : m->k), b,
                (int) (tb ? m->k : m->n), 0.0f, c, (int) m->n);
}


const infer_op_t  infer_op_matmul = {
    .name = "matmul",
    .shape = matmul_shape,
    .run = matmul_run,
    .macs = matmul_macs
};
