/*
 * Products with sparse weights: the bits of the dense product, whatever the
 * blocks that are left out, on every instruction set and with threads; and
 * packed forms from a file that must not be trusted.
 */

#include "ops/sparse.h"
#include "product.h"


/*
 * Zeroes blocks (16 outputs of a group, one element of K) at random, `keep` of
 * 100 staying, or all of a panel; returns how many stay.  Weights (O, K).
 */
static int32_t
thin(product_t *p, int64_t groups, int keep)
{
    float    *w = p->tensor[WEIGHTS].data;
    int64_t   n = p->tensor[WEIGHTS].dim[0] / groups, k, o, most;
    int32_t   kept = 0;

    k = (int64_t) infer_numel(&p->tensor[WEIGHTS])
        / p->tensor[WEIGHTS].dim[0];

    for (int64_t g = 0; g < groups; g++) {
        for (int64_t from = 0; from < n; from += 16) {
            int  none = below(4) == 0;

            most = n - from < 16 ? n - from : 16;

            for (int64_t i = 0; i < k; i++) {
                o = g * n + from;

                if (!none && below(100) < keep) {
                    /* one weight is enough */
                    w[(o + below((int) most)) * k + i] = 0.75f;
                    kept++;
                    continue;
                }

                for (int64_t lane = 0; lane < most; lane++) {
                    w[(o + lane) * k + i] = lane % 2 ? -0.0f : 0.0f;
                }
            }
        }
    }

    return kept;
}


static product_t
random_product(int conv)
{
    int        kernel = 1 + 2 * below(2);
    int64_t    groups = 1 + below(2), c = 22 + below(30), n = 1 + below(60);
    int64_t    side = 1 + below(9);
    product_t  p = { .op = conv ? INFER_OP_CONV : INFER_OP_FC };

    if (!conv) {
        set_operand(&p, X, 2, (int64_t []) { 1 + below(40), c });
        set_operand(&p, WEIGHTS, 2, (int64_t []) { n, c });
        set_operand(&p, BIAS, 1, &n);
        p.param.fc.w_rows_are_n = 1;
        p.param.fc.act.kind = (int32_t []) { INFER_NONE, INFER_SILU,
                                             INFER_HARDSWISH }[below(3)];
        p.param.fc.sparse.blocks = thin(&p, 1, 30);
        return p;
    }

    for (int d = 0; d < 3; d++) {
        p.param.conv.window.kernel[d] = d == 0 ? 1 : kernel;
        p.param.conv.window.stride[d] = 1;
        p.param.conv.window.dilation[d] = 1;
        p.param.conv.window.before[d] = d == 0 ? 0 : kernel / 2;
        p.param.conv.window.after[d] = d == 0 ? 0 : kernel / 2;
    }

    p.param.conv.groups = (int32_t) groups;
    p.param.conv.act = (infer_unary_t) { INFER_CLIP, 0, 6 };
    n *= groups;

    set_operand(&p, X, 4, (int64_t []) { 2, side, side, c * groups });
    set_operand(&p, WEIGHTS, 4, (int64_t []) { n, c, kernel, kernel });
    set_operand(&p, SCALE, 1, &n);

    if (below(2)) {
        set_operand(&p, BIAS, 1, &n);
        set_operand(&p, RESIDUAL, 4, (int64_t []) { 2, side, side, n });
    }

    p.param.conv.sparse.blocks = thin(&p, groups, 30);

    return p;
}


static infer_sparse_t *
sparse_of(product_t *p)
{
    return p->op == INFER_OP_CONV ? &p->param.conv.sparse
                                  : &p->param.fc.sparse;
}


static void
test_bits(int conv)
{
    int             differ = 0, depend = 0;
    product_t       p;
    infer_tensor_t  dense, sparse;

    for (int i = 0; i < 80; i++) {
        p = random_product(conv);
        run_product(&p, &infer_kernels_scalar, NULL, &dense);

        sparse_of(&p)->used = 1;

        if (run_product(&p, &infer_kernels_scalar, NULL, &sparse) != 0) {
            printf("# %s\n", err.text);
            differ++;
            free(dense.data);
            free_product(&p);
            continue;
        }

        differ += !same_data(&dense, &sparse);
        depend += !same_everywhere(&p, &sparse);

        free(dense.data);
        free(sparse.data);
        free_product(&p);
    }

    ok(differ == 0, "%s: the bits of the dense product",
       conv ? "conv" : "fc");
    ok(depend == 0, "%s: on every instruction set, with threads",
       conv ? "conv" : "fc");
}


/* A layer with long rows and many panels: both orders of the kernel. */
static void
test_large(void)
{
    int64_t         n = 70;
    product_t       p = { .op = INFER_OP_FC };
    infer_tensor_t  dense, sparse;

    set_operand(&p, X, 2, (int64_t []) { 61, 2000 });
    set_operand(&p, WEIGHTS, 2, (int64_t []) { n, 2000 });
    p.param.fc.w_rows_are_n = 1;
    p.param.fc.sparse.blocks = thin(&p, 1, 20);

    run_product(&p, &infer_kernels_scalar, NULL, &dense);
    p.param.fc.sparse.used = 1;
    run_product(&p, &infer_kernels_scalar, NULL, &sparse);

    ok(same_data(&dense, &sparse) && same_everywhere(&p, &sparse),
       "fc: long rows");

    free(dense.data);
    free(sparse.data);
    free_product(&p);
}


static void
test_refuses(void)
{
    product_t       p = { .op = INFER_OP_FC };
    infer_tensor_t  out;

    set_operand(&p, X, 2, (int64_t []) { 3, 7 });
    set_operand(&p, WEIGHTS, 2, (int64_t []) { 20, 7 });
    p.param.fc.w_rows_are_n = 1;
    p.param.fc.sparse = (infer_sparse_t) { 1, 15 };
    ok(run_product(&p, &infer_kernels_scalar, NULL, &out) != 0
       && strstr(err.text, "15 blocks of weights, there are 14") != NULL,
       "more blocks than there are: %s", err.text);

    p.param.fc.sparse.blocks = -1;
    ok(run_product(&p, &infer_kernels_scalar, NULL, &out) != 0,
       "less than no blocks: %s", err.text);

    free_product(&p);
}


/* What a file may hold in place of infer_sparse_pack's result. */
static void
test_valid(void)
{
    uint32_t        packed[128] = { 0 }, *start = packed + 32;
    uint32_t       *index = start + 3;
    infer_dim_t     w_dim[2] = { { 20, 0 }, { 7, 0 } };
    infer_value_t   w = { .rank = 2 }, *in[2] = { NULL, &w };
    infer_node_t    node = { .id = INFER_OP_FC, .in = in, .n_in = 2 };

    memcpy(w.dim, w_dim, sizeof(w_dim));
    node.param.fc.w_rows_are_n = 1;
    node.param.fc.sparse = (infer_sparse_t) { 1, 3 };

    start[1] = 2;
    start[2] = 3;
    index[0] = 1;
    index[1] = 6;
    index[2] = 0;
    ok(infer_sparse_valid(&node, packed), "a packed form");

    index[1] = 7;
    ok(!infer_sparse_valid(&node, packed), "a place beyond K");

    index[1] = 1;
    ok(!infer_sparse_valid(&node, packed), "places that do not ascend");

    index[1] = 6;
    start[1] = 4;
    ok(!infer_sparse_valid(&node, packed), "a panel beyond the blocks");

    start[1] = 2;
    start[2] = 2;
    ok(!infer_sparse_valid(&node, packed), "blocks of no panel");

    start[2] = 3;
    start[0] = 1;
    ok(!infer_sparse_valid(&node, packed), "blocks before the first panel");
}


int
main(void)
{
    test_bits(0);
    test_bits(1);
    test_large();
    test_refuses();
    test_valid();

    return done();
}
