/*
 * matmul against a naive loop: transposes, broadcasting, ranks and dtypes.
 */

#include "ops.h"


/* a: (.., M, K) after its transpose flag, as numpy sees it. */
static long double
naive_matmul(const infer_matmul_t *param, const infer_tensor_t *a,
    const infer_tensor_t *b, const infer_tensor_t *c, int64_t i)
{
    int          la = a->rank > 1 ? a->rank - 2 : 0;
    int          lb = b->rank > 1 ? b->rank - 2 : 0;
    int          lead = la > lb ? la : lb;
    int64_t      at[INFER_MAX_RANK], ia[INFER_MAX_RANK], ib[INFER_MAX_RANK];
    int64_t      k = a->dim[a->rank - (param->transpose_a ? 2 : 1)];
    int64_t      row, column;
    long double  sum = 0;

    to_index(c, i, at);
    row = a->rank > 1 ? at[lead] : 0;
    column = b->rank > 1 ? at[c->rank - 1] : 0;

    for (int64_t j = 0; j < k; j++) {
        for (int d = 0; d < la; d++) {
            ia[d] = a->dim[d] == 1 ? 0 : at[lead - la + d];
        }

        for (int d = 0; d < lb; d++) {
            ib[d] = b->dim[d] == 1 ? 0 : at[lead - lb + d];
        }

        ia[a->rank - 1] = param->transpose_a ? row : j;
        ib[b->rank - 1] = param->transpose_b || b->rank == 1 ? j : column;

        if (a->rank > 1) {
            ia[a->rank - 2] = param->transpose_a ? j : row;
        }

        if (b->rank > 1) {
            ib[b->rank - 2] = param->transpose_b ? column : j;
        }

        sum += get(a, from_index(a, ia)) * get(b, from_index(b, ib));
    }

    return sum * (long double) param->alpha;
}


static int
matmul_agrees(infer_dtype_t dtype, const infer_matmul_t *matmul,
    infer_tensor_t a, infer_tensor_t b)
{
    int              pass;
    infer_param_t    param = { .matmul = *matmul };
    infer_tensor_t  *in[2] = { &a, &b }, c;

    if (run_op(INFER_OP_MATMUL, &param, in, 2, &c, 1, 0) != 0) {
        printf("# %s\n", err.text);
        return 0;
    }

    pass = c.dtype == dtype;

    for (int64_t i = 0; i < (int64_t) infer_numel(&c); i++) {
        pass = pass && close_to(get(&c, i),
                                naive_matmul(matmul, &a, &b, &c, i), 1e-4);
    }

    free(a.data);
    free(b.data);
    free(c.data);

    return pass;
}


#define RANDOM(...)                                                          \
    random_tensor(dtype, sizeof((int64_t []) { __VA_ARGS__ })                \
                         / sizeof(int64_t), (int64_t []) { __VA_ARGS__ })

static void
test_matmul_of(infer_dtype_t dtype)
{
    int64_t         m = 7, k = 9, n = 11;
    const char     *name = infer_dtype_name(dtype);
    infer_matmul_t  plain = { 0, 0, 1 }, ta = { 1, 0, 1 }, tb = { 0, 1, 1 };
    infer_matmul_t  both = { 1, 1, is_float(dtype) ? 0.5f : 1 };

    ok(matmul_agrees(dtype, &plain, RANDOM(m, k), RANDOM(k, n))
       && matmul_agrees(dtype, &ta, RANDOM(k, m), RANDOM(k, n))
       && matmul_agrees(dtype, &tb, RANDOM(m, k), RANDOM(n, k))
       && matmul_agrees(dtype, &both, RANDOM(k, m), RANDOM(n, k)),
       "matmul %s: transposes, alpha", name);

    ok(matmul_agrees(dtype, &plain, RANDOM(2, 3, m, k), RANDOM(2, 3, k, n))
       && matmul_agrees(dtype, &plain, RANDOM(2, 1, m, k), RANDOM(3, k, n))
       && matmul_agrees(dtype, &tb, RANDOM(m, k), RANDOM(2, 3, n, k))
       && matmul_agrees(dtype, &ta, RANDOM(2, 3, k, m), RANDOM(k, n)),
       "matmul %s: leading dimensions broadcast", name);

    ok(matmul_agrees(dtype, &plain, RANDOM(k), RANDOM(k, n))
       && matmul_agrees(dtype, &plain, RANDOM(2, m, k), RANDOM(k))
       && matmul_agrees(dtype, &plain, RANDOM(k), RANDOM(2, k, n))
       && matmul_agrees(dtype, &plain, RANDOM(k), RANDOM(k)),
       "matmul %s: rank 1", name);

    ok(matmul_agrees(dtype, &plain, RANDOM(m, 0), RANDOM(0, n))
       && matmul_agrees(dtype, &plain, RANDOM(0, k), RANDOM(k, n))
       && matmul_agrees(dtype, &plain, RANDOM(0, m, k), RANDOM(0, k, n)),
       "matmul %s: dimensions of 0", name);
}


/* More than is packed at once, more than a task, a K that is copied. */
static void
test_large(void)
{
    infer_dtype_t   dtype = INFER_F32;
    infer_matmul_t  plain = { 0, 0, 1 }, both = { 1, 1, 0.5f };

    ok(matmul_agrees(dtype, &plain, RANDOM(40, 1024), RANDOM(1024, 70))
       && matmul_agrees(dtype, &both, RANDOM(1024, 40), RANDOM(70, 1024)),
       "matmul float32: K 1024");

    ok(matmul_agrees(dtype, &plain, RANDOM(2, 197, 64), RANDOM(2, 64, 197))
       && matmul_agrees(dtype, &plain, RANDOM(197, 197), RANDOM(197, 64)),
       "matmul float32: attention");
}


/* The bits of a row do not depend on how many rows there are. */
static void
test_rows(void)
{
    int             pass = 1;
    int64_t         many[2] = { 61, 80 }, one[2] = { 1, 80 };
    int64_t         other[2] = { 80, 37 };
    infer_param_t   param = { .matmul = { 0, 0, 1 } };
    infer_tensor_t  a = random_tensor(INFER_F32, 2, many), row;
    infer_tensor_t  b = random_tensor(INFER_F32, 2, other), c, d;
    infer_tensor_t  *in[2] = { &a, &b }, *single[2] = { &row, &b };

    if (run_op(INFER_OP_MATMUL, &param, in, 2, &c, 1, 0) != 0) {
        ok(0, "matmul of 61 rows");
        return;
    }

    for (int64_t i = 0; i < many[0]; i++) {
        row = tensor(INFER_F32, 2, one);
        memcpy(row.data, (float *) a.data + i * one[1],
               (size_t) one[1] * sizeof(float));

        pass = pass
               && run_op(INFER_OP_MATMUL, &param, single, 2, &d, 1, 0) == 0
               && memcmp(d.data, (float *) c.data + i * other[1],
                         (size_t) other[1] * sizeof(float)) == 0;

        free(row.data);
        free(d.data);
    }

    ok(pass, "matmul float32: a row alone has the bits it has among others");

    free(a.data);
    free(b.data);
    free(c.data);
}


static void
test_matmul(void)
{
    int64_t             dim[2] = { 2, 2 }, three[2] = { 3, 2 };
    infer_param_t       param = { .matmul = { 0, 0, 1 } };
    infer_tensor_t      a, b, c, *in[2] = { &a, &b };
    static const int    dtypes[] = { INFER_F32, INFER_F64, INFER_I32,
                                     INFER_U32, INFER_I64, INFER_U64 };

    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        test_matmul_of((infer_dtype_t) dtypes[i]);
    }

    a = tensor(INFER_I32, 2, dim);
    b = tensor(INFER_I32, 2, dim);

    for (int i = 0; i < 4; i++) {
        ((int32_t *) a.data)[i] = INT32_MAX;
        ((int32_t *) b.data)[i] = 3;
    }

    ok(run_op(INFER_OP_MATMUL, &param, in, 2, &c, 1, 0) == 0
       && ((int32_t *) c.data)[0] == -6, "matmul int32 wraps");
    free(c.data);

    param.matmul.alpha = 2;
    ok(refused(INFER_OP_MATMUL, &param, in, 2, 1, 0, "not supported"),
       "matmul of integers with a factor is refused");

    param.matmul.alpha = 1;
    free(b.data);
    b = tensor(INFER_I32, 2, three);
    ok(refused(INFER_OP_MATMUL, &param, in, 2, 1, 0, "inner dimensions"),
       "matmul of matrices that do not fit is refused");

    free(a.data);
    free(b.data);
}


int
main(void)
{
    test_matmul();
    test_large();
    test_rows();

    return done();
}
