/*
 * The product of two activations, with numpy's rules for leading dimensions.
 * f32: some columns of b at a time are packed into panels, which costs one
 * step of M, then it is the product with weights: one tile, the same bits.
 * float64 and integers are computed by a plain loop, integers modulo their
 * width.
 *
 * Operands are read with any strides: transposes and slices in front of the
 * product are views.
 *
 * A task is some rows of one matrix, all where there are enough matrices.
 */

#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


#define PANEL         INFER_PANEL

/* Packed columns, to stay in the second cache. */
#define PACKED_BYTES  ((size_t) 256 << 10)

/* Multiply-accumulates that make good for packing b once more. */
#define SMALL_TASK    ((size_t) 1 << 20)

/* Rows this many floats apart share a set of the first cache. */
#define CACHE_WAY     1024


/* Matrices of an operand, distances in elements. */
typedef struct {
    const unsigned char   *data;
    size_t                 row;                      /* from row to row */
    size_t                 column;
    size_t                 step[INFER_MAX_RANK];     /* along leading
                                                        dimensions; 0 where
                                                        broadcast */
} operand_t;

typedef struct {
    const infer_call_t    *call;
    const infer_matmul_t  *param;
    infer_dtype_t          dtype;
    size_t                 m, n, k;
    int                    lead;                     /* leading dimensions */
    size_t                 dim[INFER_MAX_RANK];
    operand_t              a;
    operand_t              b;
    size_t                 matrices;
    size_t                 parts;                    /* tasks of a matrix */

    /* f32 only: what scratch holds, in floats */
    size_t                 columns;                  /* packed at a time */
    size_t                 ld;                       /* of copied rows; 0:
                                                        read in place */
} matmul_t;


static int admitted(const infer_matmul_t *param, infer_dtype_t dtype);
static int check_ranks(infer_graph_t *g, const infer_node_t *node);
static int row_dim(const infer_value_t *v, int transpose);
static int column_dim(const infer_value_t *v, int transpose);
static void matmul_init(matmul_t *m, const infer_call_t *call);
static void operand_init(const matmul_t *m, int i, int transpose,
    operand_t *operand);
static size_t parts(const matmul_t *m);
static void one_task(void *arg, size_t i, size_t slot);
static void product_f32(const matmul_t *m, const float *a, const float *b,
    float *c, size_t row, size_t end, float *scratch);
static void pack_columns(const matmul_t *m, const float *b, size_t column,
    size_t n, float *panels);
static void pack_panel(const matmul_t *m, const float *b, size_t lanes,
    float *panel);
static void pack_transposed(const matmul_t *m, const float *b, size_t lanes,
    float *panel);
static void copy_rows(const matmul_t *m, const float *a, size_t row,
    size_t rows, float *dst);


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
    matmul_t  m;

    matmul_init(&m, call);

    if (m.k == 0) {
        memset(call->out[0]->data, 0, infer_numel(call->out[0])
                                      * infer_dtype_size(m.dtype));

    } else if (infer_numel(call->out[0]) > 0) {
        m.parts = parts(&m);
        infer_parallel_for(call, one_task, &m, m.matrices * m.parts);
    }
}


/* Panels, a bias of zeros, copied rows. */
static size_t
matmul_scratch(const infer_call_t *call)
{
    matmul_t  m;

    matmul_init(&m, call);

    if (m.dtype != INFER_F32 || infer_numel(call->out[0]) == 0) {
        return 0;
    }

    return (m.columns * (m.k + 1) + m.ld * call->kernels->tile_rows)
           * sizeof(float);
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
    m->matrices = 1;

    for (int i = 0; i < m->lead; i++) {
        m->dim[i] = (size_t) c->dim[i];
        m->matrices *= m->dim[i];
    }

    /* an even number of panels; no more than there are */
    m->columns = PACKED_BYTES / sizeof(float) / (m->k + 1) / (2 * PANEL);
    m->columns = (m->columns > 0 ? m->columns : 1) * 2 * PANEL;

    if (m->columns > m->n) {
        m->columns = (m->n + PANEL - 1) / PANEL * PANEL;
    }

    operand_init(m, 0, ta, &m->a);
    operand_init(m, 1, tb, &m->b);

    m->ld = 0;

    if (m->a.column != 1 || (m->a.row % CACHE_WAY == 0 && m->m > 1)) {
        m->ld = (m->k + 15) / 16 * 16;
        m->ld += m->ld % CACHE_WAY == 0 ? 16 : 0;
    }

}


static void
operand_init(const matmul_t *m, int i, int transpose, operand_t *operand)
{
    int                    j;
    int64_t                dense[INFER_MAX_RANK], start = 0;
    const int64_t         *stride = dense;
    const infer_tensor_t  *t = m->call->in[i], *base = t;

    infer_strides(t, dense);

    if (m->call->view != NULL) {
        base = m->call->view[i].base;
        start = m->call->view[i].start;
        stride = m->call->view[i].stride;
    }

    operand->data = (const unsigned char *) base->data
                    + (size_t) start * infer_dtype_size(t->dtype);
    operand->row = operand->column = 0;

    if (t->rank > 1) {
        operand->row = (size_t) stride[t->rank - (transpose ? 1 : 2)];
        operand->column = (size_t) stride[t->rank - (transpose ? 2 : 1)];

    } else if (i == 0) {
        operand->column = (size_t) stride[0];

    } else {
        operand->row = (size_t) stride[0];
    }

    for (int d = 0; d < m->lead; d++) {
        j = t->rank - 2 - m->lead + d;
        operand->step[d] = j >= 0 && t->dim[j] != 1 ? (size_t) stride[j] : 0;
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
    S  sum;                                                                  \
                                                                             \
    for (size_t i = 0; i < m->m; i++) {                                      \
        for (size_t j = 0; j < m->n; j++) {                                  \
            sum = 0;                                                         \
                                                                             \
            for (size_t k = 0; k < m->k; k++) {                              \
                sum += (S) a[i * m->a.row + k * m->a.column]                 \
                       * (S) b[k * m->b.row + j * m->b.column];              \
            }                                                                \
                                                                             \
            *c++ = (T) (sum * (S) (FACTOR));                                 \
        }                                                                    \
    }                                                                        \
}

PRODUCT(product_f64, double, double, m->param->alpha)
PRODUCT(product_32, uint32_t, uint32_t, 1)
PRODUCT(product_64, uint64_t, uint64_t, 1)


/* Into how many tasks a matrix is divided: two for each thread in all. */
static size_t
parts(const matmul_t *m)
{
    size_t  most, wanted;

    if (m->dtype != INFER_F32 || m->call->parallel == NULL) {
        return 1;
    }

    wanted = 2 * m->call->parallel->slots / m->matrices;
    most = m->m * m->k * m->n / SMALL_TASK;
    most = most < m->m ? most : m->m;
    wanted = wanted < most ? wanted : most;

    return wanted > 0 ? wanted : 1;
}


static void
one_task(void *arg, size_t i, size_t slot)
{
    void            *out;
    size_t           a = 0, b = 0, part, rest, size;
    const void      *x, *y;
    const matmul_t  *m = arg;

    part = i % m->parts;
    i /= m->parts;
    rest = i;

    for (int d = m->lead - 1; d >= 0; d--) {
        a += rest % m->dim[d] * m->a.step[d];
        b += rest % m->dim[d] * m->b.step[d];
        rest /= m->dim[d];
    }

    size = infer_dtype_size(m->dtype);
    x = m->a.data + a * size;
    y = m->b.data + b * size;
    out = (unsigned char *) m->call->out[0]->data + i * m->m * m->n * size;

    switch (m->dtype) {

    case INFER_F32:
        product_f32(m, x, y, out, m->m * part / m->parts,
                    m->m * (part + 1) / m->parts,
                    infer_scratch(m->call, slot));
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


/* Rows row .. end - 1 of a matrix. */
static void
product_f32(const matmul_t *m, const float *a, const float *b, float *c,
    size_t row, size_t end, float *scratch)
{
    float                *bias = scratch + m->columns * m->k;
    float                *copied = bias + m->columns;
    size_t                blocks, rows;
    infer_tile_f32_t      tile = { 0 };
    const infer_unary_t   none = { INFER_NONE, 0, 0 };

    memset(bias, 0, m->columns * sizeof(float));

    /* copied rows are few at a time */
    blocks = m->ld ? (end - row + m->call->kernels->tile_rows - 1)
                     / m->call->kernels->tile_rows
                   : 1;
    rows = (end - row + blocks - 1) / blocks;

    tile.lda = m->ld ? m->ld : m->a.row;
    tile.k = m->k;
    tile.panels = scratch;
    tile.bias = bias;
    tile.ldc = m->n;
    tile.act = &none;

    for (size_t j = 0; j < m->n; j += m->columns) {
        tile.n = m->n - j < m->columns ? m->n - j : m->columns;

        pack_columns(m, b, j, tile.n, scratch);

        for (size_t i = row; i < end; i += rows) {
            tile.rows = end - i < rows ? end - i : rows;
            tile.a = a + i * m->a.row;
            tile.c = c + i * m->n + j;

            if (m->ld) {
                copy_rows(m, a, i, tile.rows, copied);
                tile.a = copied;
            }

            m->call->kernels->tile_f32(&tile);
        }
    }
}


/* Columns column .. column + n - 1 of b, times alpha. */
static void
pack_columns(const matmul_t *m, const float *b, size_t column, size_t n,
    float *panels)
{
    float                *panel = panels;
    size_t                lanes, floats = m->k * PANEL;
    const infer_binary_t  times = { INFER_MUL, { INFER_NONE, 0, 0 } };

    b += column * m->b.column;

    for (size_t j = 0; j < n; j += PANEL, panel += floats) {
        lanes = n - j < PANEL ? n - j : PANEL;

        if (lanes < PANEL) {
            memset(panel, 0, floats * sizeof(float));
        }

        if (m->b.column == 1) {
            pack_panel(m, b + j, lanes, panel);

        } else {
            pack_transposed(m, b + j * m->b.column, lanes, panel);
        }
    }

    if (m->param->alpha != 1.0f) {
        m->call->kernels->binary_f32(&times, panels, 1, &m->param->alpha, 0,
                                     panels, (size_t) (panel - panels));
    }
}


static void
pack_panel(const matmul_t *m, const float *b, size_t lanes, float *panel)
{
    for (size_t k = 0; k < m->k; k++, panel += PANEL) {
        if (lanes == PANEL) {
            memcpy(panel, b + k * m->b.row, PANEL * sizeof(float));

        } else {
            memcpy(panel, b + k * m->b.row, lanes * sizeof(float));
        }
    }
}


static void
pack_transposed(const matmul_t *m, const float *b, size_t lanes, float *panel)
{
    for (size_t i = 0; i < lanes; i++) {
        for (size_t k = 0; k < m->k; k++) {
            panel[k * PANEL + i] = b[i * m->b.column + k * m->b.row];
        }
    }
}


static void
copy_rows(const matmul_t *m, const float *a, size_t row, size_t rows,
    float *dst)
{
    a += row * m->a.row;

    for (size_t i = 0; i < rows; i++, a += m->a.row, dst += m->ld) {
        for (size_t k = 0; k < m->k; k++) {
            dst[k] = a[k * m->a.column];
        }
    }
}


const infer_op_t  infer_op_matmul = {
    .name = "matmul",
    .shape = matmul_shape,
    .run = matmul_run,
    .views = 1,
    .scratch = matmul_scratch,
    .macs = matmul_macs
};
