/*
 * Where: y = condition ? a : b, with broadcasting, for every dtype.
 */

#include "ops/common.h"
#include "ops/nest.h"


typedef struct {
    infer_nest_t          nest;
    size_t                size;
    unsigned char        *y;
    const unsigned char  *condition;
    const unsigned char  *a;
    const unsigned char  *b;
} where_t;


static void where_row(void *arg, const int64_t *offset, size_t n,
    size_t slot);


static int
where_shape(infer_graph_t *g, const infer_node_t *node)
{
    int          rank;
    infer_dim_t  dim[INFER_MAX_RANK];

    if (infer_check_operands(g, node, 3, 3, 1) != 0) {
        return -1;
    }

    if (node->in[0]->dtype != INFER_BOOL) {
        return infer_node_fail(g, node, "the condition is %s, not bool",
                               infer_dtype_name(node->in[0]->dtype));
    }

    if (node->in[1]->dtype != node->in[2]->dtype) {
        return infer_node_fail(g, node, "chooses between %s and %s",
                               infer_dtype_name(node->in[1]->dtype),
                               infer_dtype_name(node->in[2]->dtype));
    }

    if (infer_broadcast((const infer_value_t *const *) node->in, 3, &rank,
                        dim) != 0)
    {
        return infer_node_fail(g, node, "the operands' shapes do not "
                               "broadcast");
    }

    infer_set_result(node->out[0], node->in[1]->dtype, rank, dim);

    return 0;
}


static void
where_run(const infer_call_t *call)
{
    where_t          where;
    infer_tensor_t  *y = call->out[0];

    if (infer_numel(y) == 0) {
        return;
    }

    infer_nest_init(&where.nest, y);
    infer_nest_add(&where.nest, y);

    for (int i = 0; i < 3; i++) {
        infer_nest_add(&where.nest, call->in[i]);
    }

    infer_nest_collapse(&where.nest);

    where.size = infer_dtype_size(y->dtype);
    where.y = y->data;
    where.condition = call->in[0]->data;
    where.a = call->in[1]->data;
    where.b = call->in[2]->data;

    infer_nest_run(call, &where.nest, 1, INFER_GRAIN, where_row, &where);
}


#define CHOOSE(T)                                                            \
    do {                                                                     \
        T        *y = (T *) w->y + offset[0];                                \
        const T  *a = (const T *) w->a + offset[2];                          \
        const T  *b = (const T *) w->b + offset[3];                          \
                                                                             \
        for (size_t i = 0; i < n; i++) {                                     \
            y[i] = condition[i * step[0]] ? a[i * step[1]] : b[i * step[2]]; \
        }                                                                    \
    } while (0)


static void
where_row(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    size_t                step[3];
    const where_t        *w = arg;
    const unsigned char  *condition;

    (void) slot;

    for (int k = 0; k < 3; k++) {
        step[k] = (size_t) w->nest.stride[k + 1][w->nest.rank - 1];
    }

    condition = w->condition + offset[1];

    switch (w->size) {
    case 1:
        CHOOSE(uint8_t);
        break;

    case 2:
        CHOOSE(uint16_t);
        break;

    case 4:
        CHOOSE(uint32_t);
        break;

    default:
        CHOOSE(uint64_t);
    }
}


const infer_op_t  infer_op_where = {
    .name = "where",
    .shape = where_shape,
    .run = where_run
};
