/*
 * Elementwise functions of one operand.  f32 goes through the kernels; the
 * other dtypes through one loop per function from one macro, where the
 * function means something to them.
 */

#include <math.h>
#include <string.h>

#include "ops/common.h"


/* Tasks are whole cache lines of four-byte elements. */
#define LINE  16


typedef struct {
    const infer_call_t  *call;
    infer_dtype_t        dtype;
    size_t               size;         /* of an element */
    size_t               n;
    size_t               lines;
    size_t               tasks;
} unary_t;


static int admitted(infer_dtype_t dtype, int kind);
static void piece(void *arg, size_t i, size_t slot);
static void run_typed(const infer_unary_t *u, infer_dtype_t dtype,
    const void *x, void *y, size_t n);


static int
unary_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   kind = node->param.unary.kind;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (!admitted(x->dtype, kind)) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    infer_set_result(node->out[0], x->dtype, x->rank, x->dim);

    return 0;
}


static int
admitted(infer_dtype_t dtype, int kind)
{
    if (kind < 0 || kind >= INFER_UNARIES) {
        return 0;
    }

    switch (dtype) {

    case INFER_F32:
    case INFER_F64:
        return kind != INFER_NOT;

    case INFER_I8:
    case INFER_I16:
    case INFER_I32:
    case INFER_I64:
        return kind == INFER_NONE || kind == INFER_CLIP || kind == INFER_ABS
               || kind == INFER_NEG;

    case INFER_U8:
    case INFER_U16:
    case INFER_U32:
    case INFER_U64:
        return kind == INFER_NONE || kind == INFER_CLIP || kind == INFER_ABS;

    case INFER_BOOL:
        return kind == INFER_NONE || kind == INFER_NOT;

    default:
        return 0;
    }
}


static void
unary_run(const infer_call_t *call)
{
    unary_t  u;

    u.call = call;
    u.dtype = call->in[0]->dtype;
    u.size = infer_dtype_size(u.dtype);
    u.n = infer_numel(call->in[0]);
    u.lines = (u.n + LINE - 1) / LINE;
    u.tasks = infer_tasks(call, u.lines, INFER_GRAIN / LINE);

    infer_parallel_for(call, piece, &u, u.tasks);
}


static void
piece(void *arg, size_t i, size_t slot)
{
    size_t                first, end;
    unsigned char        *y;
    const unary_t        *u = arg;
    const unsigned char  *x;

    (void) slot;

    first = infer_task_first(u->lines, u->tasks, i) * LINE;
    end = infer_task_first(u->lines, u->tasks, i + 1) * LINE;
    end = end < u->n ? end : u->n;
    x = (const unsigned char *) u->call->in[0]->data + first * u->size;
    y = (unsigned char *) u->call->out[0]->data + first * u->size;

    if (u->dtype == INFER_F32) {
        u->call->kernels->unary_f32(&u->call->param->unary, (const void *) x,
                                    (void *) y, end - first);

    } else {
        run_typed(&u->call->param->unary, u->dtype, x, y,
                  end - first);
    }
}


#define EACH(KIND, EXPR)                                                     \
    case KIND:                                                               \
        for (size_t i = 0; i < n; i++) {                                     \
            y[i] = (EXPR);                                                   \
        }                                                                    \
        break

/* NaN stays NaN. */
static double
clip(double x, double a, double b)
{
    x = x < a ? a : x;

    return x > b ? b : x;
}


static void
run_f64(const infer_unary_t *u, const double *x, double *y, size_t n)
{
    double  a = u->a, b = u->b;

    switch (u->kind) {
    EACH(INFER_NONE, x[i]);
    EACH(INFER_CLIP, clip(x[i], a, b));
    EACH(INFER_HARDSIGMOID, clip(a * x[i] + b, 0, 1));
    EACH(INFER_HARDSWISH, x[i] * clip(x[i] / 6 + 0.5, 0, 1));
    EACH(INFER_SIGMOID, 1 / (1 + exp(-x[i])));
    EACH(INFER_SILU, x[i] / (1 + exp(-x[i])));
    EACH(INFER_GELU, x[i] * 0.5 * (1 + erf(x[i] * M_SQRT1_2)));
    EACH(INFER_TANH, tanh(x[i]));
    EACH(INFER_ERF, erf(x[i]));
    EACH(INFER_EXP, exp(x[i]));
    EACH(INFER_LOG, log(x[i]));
    EACH(INFER_SQRT, sqrt(x[i]));
    EACH(INFER_NEG, -x[i]);
    EACH(INFER_ABS, fabs(x[i]));
    EACH(INFER_FLOOR, floor(x[i]));
    EACH(INFER_CEIL, ceil(x[i]));
    EACH(INFER_RECIPROCAL, 1 / x[i]);
    EACH(INFER_LEAKYRELU, x[i] < 0 ? a * x[i] : x[i]);
    }
}


/*
 * The bounds of a clip are floats: the integers inside them, found without
 * rounding x.  Arithmetic is in U, which is unsigned and wraps.
 */
#define RUN_INTEGER(NAME, T, U, MIN, MAX)                                    \
static void                                                                  \
NAME(const infer_unary_t *u, const T *x, T *y, size_t n)                     \
{                                                                            \
    T       low = MIN, high = MAX;                                           \
    double  a = ceil((double) u->a), b = floor((double) u->b);               \
                                                                             \
    if (a > (double) MIN) {                                                  \
        low = a >= (double) MAX ? MAX : (T) a;                               \
    }                                                                        \
                                                                             \
    if (b < (double) MAX) {                                                  \
        high = b <= (double) MIN ? MIN : (T) b;                              \
    }                                                                        \
                                                                             \
    switch (u->kind) {                                                       \
    EACH(INFER_NONE, x[i]);                                                  \
    EACH(INFER_CLIP, x[i] < low ? (low < high ? low : high)                  \
                                : x[i] > high ? high : x[i]);                \
    EACH(INFER_NEG, (T) -(U) x[i]);                                          \
    EACH(INFER_ABS, x[i] > 0 ? x[i] : (T) -(U) x[i]);                        \
    }                                                                        \
}

RUN_INTEGER(run_i8, int8_t, uint32_t, INT8_MIN, INT8_MAX)
RUN_INTEGER(run_i16, int16_t, uint32_t, INT16_MIN, INT16_MAX)
RUN_INTEGER(run_i32, int32_t, uint32_t, INT32_MIN, INT32_MAX)
RUN_INTEGER(run_i64, int64_t, uint64_t, INT64_MIN, INT64_MAX)
RUN_INTEGER(run_u8, uint8_t, uint32_t, 0, UINT8_MAX)
RUN_INTEGER(run_u16, uint16_t, uint32_t, 0, UINT16_MAX)
RUN_INTEGER(run_u32, uint32_t, uint32_t, 0, UINT32_MAX)
RUN_INTEGER(run_u64, uint64_t, uint64_t, 0, UINT64_MAX)


static void
run_bool(const infer_unary_t *u, const uint8_t *x, uint8_t *y, size_t n)
{
    switch (u->kind) {
    EACH(INFER_NONE, x[i]);
    EACH(INFER_NOT, !x[i]);
    }
}


static void
run_typed(const infer_unary_t *u, infer_dtype_t dtype, const void *x, void *y,
    size_t n)
{
    switch (dtype) {
    case INFER_F64:   run_f64(u, x, y, n);   break;
    case INFER_I8:    run_i8(u, x, y, n);    break;
    case INFER_I16:   run_i16(u, x, y, n);   break;
    case INFER_I32:   run_i32(u, x, y, n);   break;
    case INFER_I64:   run_i64(u, x, y, n);   break;
    case INFER_U8:    run_u8(u, x, y, n);    break;
    case INFER_U16:   run_u16(u, x, y, n);   break;
    case INFER_U32:   run_u32(u, x, y, n);   break;
    case INFER_U64:   run_u64(u, x, y, n);   break;
    case INFER_BOOL:  run_bool(u, x, y, n);  break;
    default:                                 break;
    }
}


const infer_op_t  infer_op_unary = {
    .name = "unary",
    .shape = unary_shape,
    .run = unary_run
};
