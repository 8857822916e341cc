/*
 * Elementwise operators of two operands, with numpy's broadcasting.  Float
 * arithmetic goes through the kernels; the rest is one loop per operator
 * from one macro, for every dtype.  Nothing traps: integers wrap, x / 0 is 0.
 */

#include <math.h>

#include "ops/common.h"
#include "ops/nest.h"


typedef struct {
    infer_nest_t             nest;
    const infer_binary_t    *param;
    const infer_kernels_t   *kernels;
    infer_dtype_t            dtype;
    size_t                   size;         /* of an element of a and b */
    size_t                   result;       /* of an element of y */
    unsigned char           *y;
    const unsigned char     *a;
    const unsigned char     *b;
} binary_t;

/* y[i] = a[i * sa] KIND b[i * sb] */
typedef void (*row_pt)(int kind, const void *a, size_t sa, const void *b,
    size_t sb, void *y, size_t n);


static int admitted(infer_dtype_t dtype, int kind);
static int is_kernel(int kind);
static void kernel_row(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static void typed_row(void *arg, const int64_t *offset, size_t n,
    size_t slot);


static int
binary_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                    rank;
    infer_dim_t            dim[INFER_MAX_RANK];
    infer_dtype_t          dtype, result;
    const infer_binary_t  *param = &node->param.binary;

    if (infer_check_operands(g, node, 2, 2, 1) != 0) {
        return -1;
    }

    dtype = node->in[0]->dtype;

    if (dtype != node->in[1]->dtype) {
        return infer_node_fail(g, node, "the operands are %s and %s",
                               infer_dtype_name(dtype),
                               infer_dtype_name(node->in[1]->dtype));
    }

    if (!admitted(dtype, param->kind)) {
        return infer_node_fail(g, node, "operands of %s are not supported",
                               infer_dtype_name(dtype));
    }

    result = param->kind >= INFER_EQUAL ? INFER_BOOL : dtype;

    if (param->act.kind < 0 || param->act.kind >= INFER_NOT
        || (param->act.kind != INFER_NONE && result != INFER_F32))
    {
        return infer_node_fail(g, node, "activation %d does not apply to %s",
                               (int) param->act.kind,
                               infer_dtype_name(result));
    }

    if (infer_broadcast((const infer_value_t *const *) node->in, 2, &rank,
                        dim) != 0)
    {
        return infer_node_fail(g, node, "the operands' shapes do not "
                               "broadcast");
    }

    infer_set_result(node->out[0], result, rank, dim);

    return 0;
}


static int
admitted(infer_dtype_t dtype, int kind)
{
    if (kind < 0 || kind >= INFER_BINARIES) {
        return 0;
    }

    switch (dtype) {
    case INFER_F32:
    case INFER_F64:
        return kind != INFER_MOD && kind < INFER_AND;

    case INFER_F16:
    case INFER_BF16:
        return 0;

    case INFER_BOOL:
        return kind == INFER_EQUAL || kind >= INFER_AND;

    default:
        return kind < INFER_AND;
    }
}


static void
binary_run(const infer_call_t *call)
{
    binary_t         bin;
    infer_tensor_t  *y = call->out[0];

    if (infer_numel(y) == 0) {
        return;
    }

    infer_nest_init(&bin.nest, y);
    infer_nest_add(&bin.nest, y);
    infer_nest_add(&bin.nest, call->in[0]);
    infer_nest_add(&bin.nest, call->in[1]);
    infer_nest_collapse(&bin.nest);

    bin.param = &call->param->binary;
    bin.kernels = call->kernels;
    bin.dtype = call->in[0]->dtype;
    bin.size = infer_dtype_size(bin.dtype);
    bin.result = infer_dtype_size(y->dtype);
    bin.y = y->data;
    bin.a = call->in[0]->data;
    bin.b = call->in[1]->data;

    infer_nest_run(call, &bin.nest, 1, INFER_GRAIN,
                   bin.dtype == INFER_F32 && is_kernel(bin.param->kind)
                   ? kernel_row : typed_row, &bin);
}


static int
is_kernel(int kind)
{
    return kind < INFER_MOD && kind != INFER_POW;
}


static void
kernel_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int              last;
    const binary_t  *bin = arg;

    (void) slot;

    last = bin->nest.rank - 1;

    bin->kernels->binary_f32(bin->param, (const float *) bin->a + offset[1],
                             (size_t) bin->nest.stride[1][last],
                             (const float *) bin->b + offset[2],
                             (size_t) bin->nest.stride[2][last],
                             (float *) bin->y + offset[0], n);
}


#define ROW(R, expr)                                                         \
    do {                                                                     \
        R  *r = y;                                                           \
                                                                             \
        for (size_t i = 0; i < n; i++) {                                     \
            p = a[i * sa];                                                   \
            q = b[i * sb];                                                   \
            r[i] = (R) (expr);                                               \
        }                                                                    \
    } while (0)

#define COMPARISONS                                                          \
    case INFER_EQUAL:                                                        \
        ROW(uint8_t, p == q);                                                \
        break;                                                               \
                                                                             \
    case INFER_LESS:                                                         \
        ROW(uint8_t, p < q);                                                 \
        break;                                                               \
                                                                             \
    case INFER_GREATER:                                                      \
        ROW(uint8_t, p > q);                                                 \
        break;                                                               \
                                                                             \
    case INFER_LESS_EQUAL:                                                   \
        ROW(uint8_t, p <= q);                                                \
        break;                                                               \
                                                                             \
    case INFER_GREATER_EQUAL:                                                \
        ROW(uint8_t, p >= q);                                                \
        break


static void
row_f32(int kind, const void *va, size_t sa, const void *vb, size_t sb,
    void *y, size_t n)
{
    float         p, q;
    const float  *a = va, *b = vb;

    switch (kind) {
    COMPARISONS;

    default:
        /* x * x and pow(x, 2) have the same bits; exponents are often 2. */
        if (sb == 0 && *b == 2.0f) {
            ROW(float, p * p);

        } else {
            ROW(float, pow((double) p, (double) q));
        }
    }
}


static void
row_f64(int kind, const void *va, size_t sa, const void *vb, size_t sb,
    void *y, size_t n)
{
    double         p, q;
    const double  *a = va, *b = vb;

    switch (kind) {
    case INFER_ADD:
        ROW(double, p + q);
        break;

    case INFER_SUB:
        ROW(double, p - q);
        break;

    case INFER_MUL:
        ROW(double, p * q);
        break;

    case INFER_DIV:
        ROW(double, p / q);
        break;

    case INFER_MIN:
        ROW(double, p < q || p != p ? p : q);
        break;

    case INFER_MAX:
        ROW(double, p > q || p != p ? p : q);
        break;

    COMPARISONS;

    default:
        ROW(double, pow(p, q));
    }
}


static void
row_bool(int kind, const void *va, size_t sa, const void *vb, size_t sb,
    void *y, size_t n)
{
    uint8_t         p, q;
    const uint8_t  *a = va, *b = vb;

    switch (kind) {
    case INFER_EQUAL:
        ROW(uint8_t, !p == !q);
        break;

    case INFER_AND:
        ROW(uint8_t, p && q);
        break;

    case INFER_OR:
        ROW(uint8_t, p || q);
        break;

    default:
        ROW(uint8_t, !p != !q);
    }
}


/* Modulo 2^64; 1 / x^n is 0 but for x = 1 and -1. */
static uint64_t
power(uint64_t x, uint64_t n, int negative)
{
    uint64_t  y = 1;

    if (negative) {
        n = x == 1 || x == UINT64_MAX ? 0 - n : 1;
        x = x == 1 || x == UINT64_MAX ? x : 0;
    }

    for ( ; n > 0; n >>= 1) {
        y = n & 1 ? y * x : y;
        x *= x;
    }

    return y;
}


/* The same for signed and unsigned T, without warnings about the latter. */
#define NEGATIVE(x)  (!((x) > 0) && (x) != 0)

#define DIVIDE(T, p, q)                                                      \
    ((q) == 0 ? 0                                                            \
     : NEGATIVE(q) && (q) == (T) -1 ? (T) (0 - (uint64_t) (p)) : (p) / (q))

#define MODULO(T, p, q)                                                      \
    ((q) == 0 || (NEGATIVE(q) && (q) == (T) -1) ? 0                          \
     : (p) % (q) != 0 && NEGATIVE((p) % (q)) != NEGATIVE(q)                  \
       ? (p) % (q) + (q) : (p) % (q))

#define INTEGERS(T, name)                                                    \
                                                                             \
static void                                                                  \
name(int kind, const void *va, size_t sa, const void *vb, size_t sb,         \
    void *y, size_t n)                                                       \
{                                                                            \
    T         p, q;                                                          \
    const T  *a = va, *b = vb;                                               \
                                                                             \
    switch (kind) {                                                          \
    case INFER_ADD:                                                          \
        ROW(T, (uint64_t) p + (uint64_t) q);                                 \
        break;                                                               \
                                                                             \
    case INFER_SUB:                                                          \
        ROW(T, (uint64_t) p - (uint64_t) q);                                 \
        break;                                                               \
                                                                             \
    case INFER_MUL:                                                          \
        ROW(T, (uint64_t) p * (uint64_t) q);                                 \
        break;                                                               \
                                                                             \
    case INFER_DIV:                                                          \
        ROW(T, DIVIDE(T, p, q));                                             \
        break;                                                               \
                                                                             \
    case INFER_MOD:                                                          \
        ROW(T, MODULO(T, p, q));                                             \
        break;                                                               \
                                                                             \
    case INFER_MIN:                                                          \
        ROW(T, p < q ? p : q);                                               \
        break;                                                               \
                                                                             \
    case INFER_MAX:                                                          \
        ROW(T, p > q ? p : q);                                               \
        break;                                                               \
                                                                             \
    COMPARISONS;                                                             \
                                                                             \
    default:                                                                 \
        ROW(T, power((uint64_t) p, (uint64_t) q, NEGATIVE(q)));              \
    }                                                                        \
}

INTEGERS(int8_t, row_i8)
INTEGERS(uint8_t, row_u8)
INTEGERS(int16_t, row_i16)
INTEGERS(uint16_t, row_u16)
INTEGERS(int32_t, row_i32)
INTEGERS(uint32_t, row_u32)
INTEGERS(int64_t, row_i64)
INTEGERS(uint64_t, row_u64)


static const row_pt  rows[INFER_DTYPES] = {
    [INFER_F32] = row_f32,
    [INFER_F64] = row_f64,
    [INFER_I8] = row_i8,
    [INFER_U8] = row_u8,
    [INFER_I16] = row_i16,
    [INFER_U16] = row_u16,
    [INFER_I32] = row_i32,
    [INFER_U32] = row_u32,
    [INFER_I64] = row_i64,
    [INFER_U64] = row_u64,
    [INFER_BOOL] = row_bool
};


static void
typed_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int              last;
    void            *y;
    const binary_t  *bin = arg;

    (void) slot;

    last = bin->nest.rank - 1;
    y = bin->y + (size_t) offset[0] * bin->result;

    rows[bin->dtype](bin->param->kind,
                     bin->a + (size_t) offset[1] * bin->size,
                     (size_t) bin->nest.stride[1][last],
                     bin->b + (size_t) offset[2] * bin->size,
                     (size_t) bin->nest.stride[2][last], y, n);

    if (bin->param->act.kind != INFER_NONE) {
        bin->kernels->unary_f32(&bin->param->act, y, y, n);
    }
}


const infer_op_t  infer_op_binary = {
    .name = "binary",
    .shape = binary_shape,
    .run = binary_run
};
