/*
 * Operators that move elements, against index arithmetic on one element at a
 * time: transpose, reshape, concat, slice, pad, expand, gather; for every
 * size of element, empty tensors and rank 0.
 */

#include "ops.h"


static const infer_dtype_t  by_size[] = {
    INFER_U8, INFER_I16, INFER_F32, INFER_I64, INFER_F16, INFER_BOOL
};


/* Elements that all differ, as far as the dtype can tell. */
static infer_tensor_t
numbered(infer_dtype_t dtype, int rank, const int64_t *dim)
{
    infer_tensor_t  t = tensor(dtype, rank, dim);

    for (size_t i = 0; i < infer_numel(&t); i++) {
        put(&t, (int64_t) i, (long double) (i % (dtype == INFER_BOOL ? 2
                                                 : dtype == INFER_U8 ? 251
                                                 : 32749)));
    }

    return t;
}


static int
same(const infer_tensor_t *a, int64_t i, const infer_tensor_t *b, int64_t k)
{
    size_t  size = infer_dtype_size(a->dtype);

    return memcmp((char *) a->data + (size_t) i * size,
                  (char *) b->data + (size_t) k * size, size) == 0;
}


static int
random_dims(int max_rank, int64_t *dim)
{
    int  rank = (int) below(max_rank + 1);

    for (int i = 0; i < rank; i++) {
        dim[i] = below(12) == 0 ? 0 : 1 + below(7);
    }

    if (rank > 0 && below(3) == 0) {
        dim[below(rank)] = 1 + below(70);
    }

    return rank;
}


static int
transpose_case(infer_dtype_t dtype, int rank, const int64_t *dim,
    const int *perm)
{
    int              good;
    int64_t          at[INFER_MAX_RANK], from[INFER_MAX_RANK];
    infer_param_t    param;
    infer_tensor_t   x = numbered(dtype, rank, dim), y, *in[1] = { &x };

    memset(&param, 0, sizeof(param));

    for (int i = 0; i < rank; i++) {
        param.transpose.perm[i] = perm[i];
    }

    good = run_op(INFER_OP_TRANSPOSE, &param, in, 1, &y, 1, 0) == 0;

    for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
        to_index(&y, i, at);

        for (int d = 0; d < rank; d++) {
            from[perm[d]] = at[d];
            good &= y.dim[d] == x.dim[perm[d]];
        }

        good &= same(&y, i, &x, from_index(&x, from));
    }

    free(x.data);
    free(y.data);

    return good;
}


static void
test_transpose(void)
{
    int      good = 1, rank, k, t, perm[INFER_MAX_RANK];
    int64_t  dim[INFER_MAX_RANK];

    for (int round = 0; round < 300; round++) {
        rank = random_dims(6, dim);

        for (int i = 0; i < rank; i++) {
            perm[i] = i;
        }

        for (int i = rank - 1; i > 0; i--) {
            k = (int) below(i + 1);
            t = perm[i];
            perm[i] = perm[k];
            perm[k] = t;
        }

        good &= transpose_case(by_size[round % 6], rank, dim, perm);
    }

    ok(good, "transpose: random permutations of rank 0 to 6");

    for (int i = 0; i < 6; i++) {
        good &= transpose_case(by_size[i], 4,
                               (int64_t []) { 2, 37, 19, 33 },
                               (int []) { 0, 3, 1, 2 });
        good &= transpose_case(by_size[i], 4,
                               (int64_t []) { 2, 3, 19, 130 },
                               (int []) { 0, 2, 3, 1 });
        good &= transpose_case(by_size[i], 2, (int64_t []) { 400, 300 },
                               (int []) { 1, 0 });
    }

    ok(good, "transpose: NHWC to NCHW and back, blocks and their rests");
}


static void
test_reshape_expand(void)
{
    int              good = 1, rank, lead;
    int64_t          dim[INFER_MAX_RANK];
    infer_param_t    param;
    infer_tensor_t   x, y, *in[1] = { &x };

    for (int round = 0; round < 100; round++) {
        memset(&param, 0, sizeof(param));
        rank = random_dims(4, dim);
        x = numbered(by_size[round % 6], rank, dim);

        param.shape.rank = 2;
        param.shape.dim[0] = infer_dim((int64_t) infer_numel(&x));
        param.shape.dim[1] = infer_dim(1);
        good &= run_op(INFER_OP_RESHAPE, &param, in, 1, &y, 1, 0) == 0
                && y.rank == 2
                && memcmp(y.data, x.data,
                          infer_numel(&x) * infer_dtype_size(x.dtype)) == 0;
        free(y.data);

        lead = (int) below(3);
        param.shape.rank = lead + rank;

        for (int i = 0; i < lead + rank; i++) {
            param.shape.dim[i] = infer_dim(i < lead || dim[i - lead] == 1
                                           ? below(4) : dim[i - lead]);
        }

        good &= run_op(INFER_OP_EXPAND, &param, in, 1, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            good &= same(&y, i, &x, broadcast_offset(&y, &x, i));
        }

        free(x.data);
        free(y.data);
    }

    ok(good, "reshape and expand");
}


static void
test_concat(void)
{
    int              good = 1, rank, axis, k;
    int64_t          dim[INFER_MAX_RANK], at[INFER_MAX_RANK];
    infer_param_t    param;
    infer_tensor_t   x[4], y, *in[4];

    memset(&param, 0, sizeof(param));

    for (int round = 0; round < 100; round++) {
        do {
            rank = random_dims(5, dim);
        } while (rank == 0);

        axis = (int) below(rank);
        param.axis.axis = axis;

        for (int i = 0; i < 4; i++) {
            dim[axis] = below(5);
            x[i] = numbered(by_size[round % 6], rank, dim);
            in[i] = &x[i];
        }

        good &= run_op(INFER_OP_CONCAT, &param, in, 4, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            to_index(&y, i, at);

            for (k = 0; at[axis] >= x[k].dim[axis]; k++) {
                at[axis] -= x[k].dim[axis];
            }

            good &= same(&y, i, &x[k], from_index(&x[k], at));
        }

        for (int i = 0; i < 4; i++) {
            free(x[i].data);
        }

        free(y.data);
    }

    ok(good, "concat of four along any axis, some of them empty");
}


static void
test_slice(void)
{
    int              good = 1, rank;
    int64_t          dim[INFER_MAX_RANK], at[INFER_MAX_RANK];
    infer_slice_t   *s;
    infer_param_t    param;
    infer_tensor_t   x, y, *in[1] = { &x };

    for (int round = 0; round < 300; round++) {
        memset(&param, 0, sizeof(param));
        s = &param.slice;
        rank = random_dims(5, dim);
        x = numbered(by_size[round % 6], rank, dim);

        for (int i = 0; i < rank; i++) {
            s->step[i] = (1 + below(3)) * (below(2) ? 1 : -1);
            s->start[i].base = dim[i] > 0 ? below(dim[i]) : 0;
            s->count[i].base = dim[i] == 0 ? 0
                : s->step[i] > 0
                  ? (dim[i] - 1 - s->start[i].base) / s->step[i] + 1
                  : s->start[i].base / -s->step[i] + 1;
            s->count[i].base -= s->count[i].base > 0
                                ? below(s->count[i].base + 1) / 2 : 0;
        }

        good &= run_op(INFER_OP_SLICE, &param, in, 1, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            to_index(&y, i, at);

            for (int d = 0; d < rank; d++) {
                at[d] = s->start[d].base + at[d] * s->step[d];
            }

            good &= same(&y, i, &x, from_index(&x, at));
        }

        free(x.data);
        free(y.data);
    }

    ok(good, "slice with positive and negative steps");
}


/* Walks from -before to the place, turning at the ends as it meets them. */
static int64_t
mirrored(int64_t i, int64_t n)
{
    int64_t  at = 0, step = 1;

    for (int64_t k = 0; k < (i < 0 ? -i : i); k++) {
        if (n > 1 && (at + step < 0 || at + step >= n)) {
            step = -step;
        }

        at += n > 1 ? step : 0;
    }

    return at;
}


static void
test_pad(void)
{
    int              good = 1, rank, outside;
    int64_t          dim[INFER_MAX_RANK], at[INFER_MAX_RANK], n, five;
    infer_pad_t     *p;
    infer_param_t    param;
    infer_tensor_t   x, y, *in[1] = { &x };

    for (int round = 0; round < 400; round++) {
        memset(&param, 0, sizeof(param));
        p = &param.pad;
        p->mode = round % 3;
        p->value = 5;
        rank = random_dims(4, dim);

        for (int i = 0; i < rank; i++) {
            dim[i] += p->mode != INFER_PAD_CONSTANT && dim[i] == 0;
        }

        x = random_tensor(round % 2 ? INFER_F32 : INFER_I8, rank, dim);

        for (int i = 0; i < rank && i < 1 + round % 5; i++) {
            p->before[i] = below(6) - 2;
            p->after[i] = below(6) - 2;

            if (dim[i] + p->before[i] + p->after[i] < 0) {
                p->before[i] = 0;
                p->after[i] = 0;
            }
        }

        good &= run_op(INFER_OP_PAD, &param, in, 1, &y, 1, 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            to_index(&y, i, at);
            outside = 0;

            for (int d = 0; d < rank; d++) {
                n = dim[d];
                at[d] -= p->before[d];
                outside |= at[d] < 0 || at[d] >= n;

                if (p->mode == INFER_PAD_REFLECT) {
                    at[d] = mirrored(at[d], n);

                } else if (p->mode == INFER_PAD_EDGE) {
                    at[d] = at[d] < 0 ? 0 : at[d] >= n ? n - 1 : at[d];
                }
            }

            if (p->mode == INFER_PAD_CONSTANT && outside) {
                good &= get(&y, i) == 5;

            } else {
                good &= same(&y, i, &x, from_index(&x, at));
            }
        }

        free(x.data);
        free(y.data);
    }

    ok(good, "pad: constant, reflect, edge, negative");

    memset(&param, 0, sizeof(param));
    param.pad.value = 1.5;
    param.pad.after[0] = 1;
    five = 5;
    x = tensor(INFER_F16, 1, &five);
    run_op(INFER_OP_PAD, &param, in, 1, &y, 1, 0);
    ok(((uint16_t *) y.data)[5] == 0x3e00, "pad: the value becomes float16");
    free(x.data);
    free(y.data);
}


static void
test_gather(void)
{
    int              good = 1, rank, axis, wide;
    int64_t          dim[INFER_MAX_RANK], kdim[INFER_MAX_RANK];
    int64_t          at[INFER_MAX_RANK], from[INFER_MAX_RANK], k;
    infer_param_t    param;
    infer_tensor_t   x, idx, y, *in[2] = { &x, &idx };

    memset(&param, 0, sizeof(param));

    for (int round = 0; round < 200; round++) {
        do {
            rank = random_dims(4, dim);
        } while (rank == 0);

        axis = (int) below(rank);
        param.axis.axis = axis;
        dim[axis] += dim[axis] == 0;
        x = numbered(by_size[round % 6], rank, dim);
        idx = tensor(round % 2 ? INFER_I32 : INFER_I64,
                     random_dims(3, kdim), kdim);
        wide = round % 5 == 0;

        for (size_t i = 0; i < infer_numel(&idx); i++) {
            put(&idx, (int64_t) i, below(2 * dim[axis]) - dim[axis]
                + (wide ? (below(3) - 1) * 1000000000LL : 0));
        }

        good &= run_op(INFER_OP_GATHER, &param, in, 2, &y, 1,
                       wide ? 0 : round % 3 ? 2 : 0) == 0;

        for (int64_t i = 0; i < (int64_t) infer_numel(&y); i++) {
            to_index(&y, i, at);
            k = (int64_t) get(&idx, from_index(&idx, at + axis));
            k = k < 0 ? k + dim[axis] : k;
            k = k < 0 ? 0 : k >= dim[axis] ? dim[axis] - 1 : k;
            memcpy(from, at, (size_t) axis * sizeof(int64_t));
            from[axis] = k;

            for (int d = axis + 1; d < rank; d++) {
                from[d] = at[d - 1 + idx.rank];
            }

            good &= same(&y, i, &x, from_index(&x, from));
        }

        free(x.data);
        free(idx.data);
        free(y.data);
    }

    ok(good, "gather: negative indices wrap, others are held inside");
}


/* Flipping the batch: the operator finds the batch size by its result. */
static void
test_slice_of_batch(void)
{
    int64_t           bytes[] = { 1, 2, 3, 4, 5, 6 };
    infer_call_t      call;
    infer_param_t     param;
    infer_tensor_t    x = { INFER_I64, 2, { 3, 2 }, bytes }, y = x;
    infer_tensor_t   *out = &y;
    const infer_tensor_t  *in = &x;
    infer_graph_t    *g = infer_graph_create("test", &err);
    infer_value_t    *v;

    memset(&param, 0, sizeof(param));
    memset(&call, 0, sizeof(call));

    param.slice.start[0] = (infer_dim_t) { -1, 1 };
    param.slice.step[0] = -1;
    param.slice.count[0] = (infer_dim_t) { 0, 1 };
    param.slice.step[1] = 1;
    param.slice.count[1] = infer_dim(2);

    v = infer_graph_value(g, "x", INFER_I64, 2,
                          (infer_dim_t []) { { 0, 1 }, { 2, 0 } });
    ok(infer_graph_emit1(g, INFER_OP_SLICE, &param, "n", &v, 1) != NULL,
       "slice: the batch backwards");

    y.data = calloc(6, sizeof(int64_t));
    call.param = &param;
    call.in = &in;
    call.out = &out;
    call.n_in = call.n_out = 1;
    infer_op_slice.run(&call);
    ok(memcmp(y.data, (int64_t []) { 5, 6, 3, 4, 1, 2 }, 48) == 0,
       "slice: the batch backwards, computed");
    free(y.data);

    param.slice.step[0] = 1;
    param.slice.count[0] = infer_dim(1);
    ok(infer_graph_emit1(g, INFER_OP_SLICE, &param, "n", &v, 1) == NULL
       && strstr(err.text, "batch") != NULL,
       "slice: the last of the batch alone is refused");
    param.slice.start[0] = (infer_dim_t) { 0, 1 };
    param.slice.count[0] = (infer_dim_t) { 0, 1 };
    ok(infer_graph_emit1(g, INFER_OP_SLICE, &param, "n", &v, 1) == NULL,
       "slice: beyond the batch is refused");
    infer_graph_close(g);
}


static void
test_refusals(void)
{
    int64_t          d[] = { 4, 3 }, d2[] = { 4, 2 }, one = 1;
    infer_param_t    param;
    infer_tensor_t   x = tensor(INFER_F32, 2, d), z = tensor(INFER_F32, 2, d2);
    infer_tensor_t   i = tensor(INFER_I64, 1, &one), *xs[] = { &x, &z };
    infer_tensor_t   s = tensor(INFER_F32, 0, NULL), *xi[] = { &x, &i };
    infer_tensor_t  *ss[] = { &s, &s }, *xx[] = { &x, &x };

    memset(&param, 0, sizeof(param));
    ok(refused(INFER_OP_TRANSPOSE, &param, xs, 1, 1, 0, "permutation"),
       "transpose refuses what is no permutation");
    param.transpose.perm[0] = 1;
    param.transpose.perm[1] = -1;
    ok(refused(INFER_OP_TRANSPOSE, &param, xs, 1, 1, 0, "permutation"),
       "transpose refuses a negative dimension");

    memset(&param, 0, sizeof(param));
    param.shape.rank = 1;
    param.shape.dim[0] = infer_dim(11);
    ok(refused(INFER_OP_RESHAPE, &param, xs, 1, 1, 0, "elements"),
       "reshape refuses another number of elements");
    param.shape.rank = 9;
    ok(refused(INFER_OP_RESHAPE, &param, xs, 1, 1, 0, "rank 9")
       && refused(INFER_OP_EXPAND, &param, xs, 1, 1, 0, "rank 9"),
       "reshape and expand refuse rank 9");
    param.shape.rank = 2;
    param.shape.dim[1] = infer_dim(4);
    ok(refused(INFER_OP_EXPAND, &param, xs, 1, 1, 0, "dimension 0"),
       "expand refuses a dimension that is not 1");

    param.axis.axis = 0;
    ok(refused(INFER_OP_CONCAT, &param, xs, 2, 1, 0, "dimension 1")
       && refused(INFER_OP_CONCAT, &param, ss, 2, 1, 0, "axis 0")
       && refused(INFER_OP_CONCAT, &param, xi, 2, 1, 0, "dtype"),
       "concat refuses operands that do not fit, and rank 0");
    param.axis.axis = -1;
    ok(refused(INFER_OP_CONCAT, &param, xx, 2, 1, 0, "axis -1")
       && refused(INFER_OP_GATHER, &param, xi, 2, 1, 0, "axis -1"),
       "concat and gather refuse a negative axis");
    param.axis.axis = 1;
    put(&i, 0, 3);
    ok(refused(INFER_OP_GATHER, &param, xi, 2, 1, 2, "index 3"),
       "gather refuses a known index that is too large");
    put(&i, 0, -4);
    ok(refused(INFER_OP_GATHER, &param, xi, 2, 1, 2, "index -4"),
       "gather refuses a known index that is too small");
    ok(refused(INFER_OP_GATHER, &param, xx, 2, 1, 0, "float32"),
       "gather refuses indices that are floats");

    free(x.data);
    free(z.data);
    free(i.data);
    free(s.data);
}


static void
test_bounds(void)
{
    int64_t          d[] = { 4, 3 }, many = 1 << 20;
    infer_param_t    param;
    infer_tensor_t   x = tensor(INFER_F32, 2, d), *xs[] = { &x };

    memset(&param, 0, sizeof(param));
    param.slice.step[0] = param.slice.step[1] = 1;
    param.slice.count[0] = infer_dim(4);
    param.slice.count[1] = infer_dim(3);
    param.slice.start[1] = infer_dim(1);
    ok(refused(INFER_OP_SLICE, &param, xs, 1, 1, 0, "dimension 1"),
       "slice refuses to cut beyond the end");
    param.slice.start[1] = infer_dim(-1);
    ok(refused(INFER_OP_SLICE, &param, xs, 1, 1, 0, "dimension 1"),
       "slice refuses to cut before the start");
    param.slice.step[1] = INT64_MAX;
    param.slice.start[1] = infer_dim(1);
    ok(refused(INFER_OP_SLICE, &param, xs, 1, 1, 0, "dimension 1"),
       "slice refuses a step that overflows");
    param.slice.step[1] = 0;
    ok(refused(INFER_OP_SLICE, &param, xs, 1, 1, 0, "step"),
       "slice refuses step 0");

    memset(&param, 0, sizeof(param));
    param.pad.before[0] = -5;
    ok(refused(INFER_OP_PAD, &param, xs, 1, 1, 0, "negative"),
       "pad refuses to cut more than there is");
    param.pad.before[0] = INT64_MIN;
    param.pad.after[0] = INT64_MAX;
    ok(refused(INFER_OP_PAD, &param, xs, 1, 1, 0, "padding"),
       "pad refuses sizes that overflow");
    param.pad.before[0] = many;
    param.pad.after[0] = 0;
    param.pad.before[1] = many;
    ok(refused(INFER_OP_PAD, &param, xs, 1, 1, 0, "too large"),
       "pad refuses a result that is too large");
    param.pad.mode = 3;
    ok(refused(INFER_OP_PAD, &param, xs, 1, 1, 0, "mode"),
       "pad refuses an unknown mode");

    free(x.data);
}


int
main(void)
{
    test_transpose();
    test_reshape_expand();
    test_concat();
    test_slice();
    test_pad();
    test_gather();
    test_slice_of_batch();
    test_refusals();
    test_bounds();

    return done();
}
