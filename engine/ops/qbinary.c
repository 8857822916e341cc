/*
 * Sums, differences and products of 8-bit tensors, each with its scale, with
 * numpy's broadcasting.
 */

#include "ops/integer.h"
#include "ops/nest.h"


/* Elements that are numbers before an activation makes them bytes. */
#define PIECE  1024


typedef struct {
    infer_nest_t            nest;
    infer_binary_u8_t       bin;
    int                     direct;
    const infer_call_t     *call;
} qbinary_t;


static void qbinary_row(void *arg, const int64_t *offset, size_t n,
    size_t slot);


static int
qbinary_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                     rank;
    infer_dim_t             dim[INFER_MAX_RANK];
    const infer_qbinary_t  *p = &node->param.qbinary;

    if (infer_check_operands(g, node, 2, 2, 1) != 0) {
        return -1;
    }

    if (node->in[0]->dtype != INFER_U8 || node->in[1]->dtype != INFER_U8) {
        return infer_node_fail(g, node, "operands %s and %s: must be uint8",
                               infer_dtype_name(node->in[0]->dtype),
                               infer_dtype_name(node->in[1]->dtype));
    }

    if ((p->kind != INFER_ADD && p->kind != INFER_SUB
         && p->kind != INFER_MUL)
        || p->act.kind < 0 || p->act.kind >= INFER_NOT)
    {
        return infer_node_fail(g, node, "operation %d with activation %d is "
                               "not supported", (int) p->kind,
                               (int) p->act.kind);
    }

    if (infer_affine_scale_check(g, node, &p->a, INFER_U8, "first operand")
        != 0
        || infer_affine_scale_check(g, node, &p->b, INFER_U8,
                                    "second operand") != 0
        || infer_affine_scale_check(g, node, &p->out, INFER_U8, "result")
           != 0)
    {
        return -1;
    }

    if (infer_broadcast((const infer_value_t *const *) node->in, 2, &rank,
                        dim) != 0)
    {
        return infer_node_fail(g, node, "the operands' shapes do not "
                               "broadcast");
    }

    infer_set_result(node->out[0], INFER_U8, rank, dim);

    return 0;
}


static void
qbinary_run(const infer_call_t *call)
{
    float                   by;
    qbinary_t               q;
    const infer_qbinary_t  *p = &call->param->qbinary;

    if (infer_numel(call->out[0]) == 0) {
        return;
    }

    infer_nest_init(&q.nest, call->out[0]);
    infer_nest_add(&q.nest, call->out[0]);
    infer_nest_add(&q.nest, call->in[0]);
    infer_nest_add(&q.nest, call->in[1]);
    infer_nest_collapse(&q.nest);

    q.call = call;
    q.direct = infer_requantize_is_direct(INFER_U8, &p->act);
    q.bin.kind = p->kind;
    q.bin.a = p->a;
    q.bin.b = p->b;
    q.bin.bytes = infer_bytes_clipped(INFER_U8, &p->out, &p->act);

    if (p->kind == INFER_MUL) {
        q.bin.a.scale *= p->b.scale;
    }

    by = q.direct ? p->out.scale : 1;
    q.bin.a.scale /= by;
    q.bin.b.scale /= by;

    infer_nest_run(call, &q.nest, 1, INFER_GRAIN, qbinary_row, &q);
}


static void
qbinary_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int                     last;
    float                   numbers[PIECE];
    size_t                  piece, sa, sb;
    uint8_t                *y;
    const uint8_t          *a, *b;
    const qbinary_t        *q = arg;
    infer_binary_u8_t       bin = q->bin;
    const infer_qbinary_t  *p = &q->call->param->qbinary;

    (void) slot;

    last = q->nest.rank - 1;
    sa = (size_t) q->nest.stride[1][last];
    sb = (size_t) q->nest.stride[2][last];
    y = (uint8_t *) q->call->out[0]->data + offset[0];
    a = (const uint8_t *) q->call->in[0]->data + offset[1];
    b = (const uint8_t *) q->call->in[1]->data + offset[2];

    bin.y32 = NULL;
    bin.y = y;

    if (q->direct) {
        q->call->kernels->integer->binary_u8(&bin, a, sa, b, sb, n);
        return;
    }

    bin.y32 = numbers;

    for (size_t i = 0; i < n; i += piece) {
        piece = n - i < PIECE ? n - i : PIECE;

        q->call->kernels->integer->binary_u8(&bin, a + i * sa, sa, b + i * sb,
                                             sb, piece);
        infer_finish(q->call, INFER_U8, &p->out, &p->act, numbers, y + i,
                     piece);
    }
}


const infer_op_t  infer_op_qbinary = {
    .name = "qbinary",
    .shape = qbinary_shape,
    .run = qbinary_run
};
