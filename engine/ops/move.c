/*
 * Moving elements without looking at them: transpose, slice, concat and
 * expand are all a copy between two strided views, whatever the dtype.
 * Three cases: rows that are dense in both views are copied as blocks; where
 * another dimension is the dense one of the source, the two are exchanged in
 * square blocks that stay in the cache; all else is a strided row.
 */

#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


/* Elements on the side of a block that is transposed at once. */
#define BLOCK  16


typedef struct {
    infer_nest_t          nest;
    size_t                size;        /* of an element */
    unsigned char        *dst;
    const unsigned char  *src;
} move_t;


static int source_dimension(const infer_nest_t *nest);
static void swap_dimensions(infer_nest_t *nest, int a, int b);
static void move_dense(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static void move_strided(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static void move_transposed(void *arg, const int64_t *offset, size_t n,
    size_t slot);
static void move_row(size_t size, unsigned char *dst, int64_t dst_step,
    const unsigned char *src, int64_t src_step, size_t n);


void
infer_move(const infer_call_t *call, const infer_nest_t *nest, size_t size,
    void *dst, const void *src)
{
    int     last, dense;
    move_t  move;

    for (int i = 0; i < nest->rank; i++) {
        if (nest->dim[i] == 0) {
            return;
        }
    }

    move.nest = *nest;
    move.size = size;
    move.dst = dst;
    move.src = src;

    infer_nest_collapse(&move.nest);
    last = move.nest.rank - 1;

    if (move.nest.stride[0][last] == 1 && move.nest.stride[1][last] == 1) {
        infer_nest_run(call, &move.nest, 1, INFER_GRAIN, move_dense, &move);
        return;
    }

    dense = source_dimension(&move.nest);

    if (dense >= 0 && move.nest.stride[0][last] == 1) {
        swap_dimensions(&move.nest, dense, last - 1);
        infer_nest_run(call, &move.nest, 2, INFER_GRAIN, move_transposed,
                       &move);
        return;
    }

    infer_nest_run(call, &move.nest, 1, INFER_GRAIN, move_strided, &move);
}


/* The dimension before the last along which the source is dense, or -1. */
static int
source_dimension(const infer_nest_t *nest)
{
    for (int i = nest->rank - 2; i >= 0; i--) {
        if (nest->stride[1][i] == 1) {
            return i;
        }
    }

    return -1;
}


static void
swap_dimensions(infer_nest_t *nest, int a, int b)
{
    int64_t  t;

    t = nest->dim[a];
    nest->dim[a] = nest->dim[b];
    nest->dim[b] = t;

    for (int k = 0; k < nest->operands; k++) {
        t = nest->stride[k][a];
        nest->stride[k][a] = nest->stride[k][b];
        nest->stride[k][b] = t;
    }
}


static void
move_dense(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    const move_t  *m = arg;

    (void) slot;

    memcpy(m->dst + offset[0] * (int64_t) m->size,
           m->src + offset[1] * (int64_t) m->size, n * m->size);
}


static void
move_strided(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int            last;
    int64_t        size;
    const move_t  *m = arg;

    (void) slot;

    last = m->nest.rank - 1;
    size = (int64_t) m->size;

    move_row(m->size, m->dst + offset[0] * size, m->nest.stride[0][last],
             m->src + offset[1] * size, m->nest.stride[1][last], n);
}


/*
 * n rows of the last dimension; from row to row the source advances by one
 * element, within a row the destination does.
 */
static void
move_transposed(void *arg, const int64_t *offset, size_t n, size_t slot)
{
    int                   last;
    size_t                rows, columns, width;
    int64_t               size, down, across;
    unsigned char        *dst;
    const move_t         *m = arg;
    const unsigned char  *src;

    (void) slot;

    last = m->nest.rank - 1;
    width = (size_t) m->nest.dim[last];
    size = (int64_t) m->size;
    down = m->nest.stride[0][last - 1];
    across = m->nest.stride[1][last];

    if (width < BLOCK) {
        /* a few long columns instead of many short rows */
        for (size_t j = 0; j < width; j++) {
            dst = m->dst + (offset[0] + (int64_t) j) * size;
            src = m->src + (offset[1] + (int64_t) j * across) * size;

            move_row(m->size, dst, down, src, 1, n);
        }

        return;
    }

    for (size_t i = 0; i < n; i += BLOCK) {
        rows = n - i < BLOCK ? n - i : BLOCK;

        for (size_t j = 0; j < width; j += BLOCK) {
            columns = width - j < BLOCK ? width - j : BLOCK;

            for (size_t r = i; r < i + rows; r++) {
                dst = m->dst + (offset[0] + (int64_t) r * down
                                + (int64_t) j) * size;
                src = m->src + (offset[1] + (int64_t) r
                                + (int64_t) j * across) * size;

                move_row(m->size, dst, 1, src, across, columns);
            }
        }
    }
}


#define MOVE(T)                                                              \
    do {                                                                     \
        T        *d = (T *) dst;                                             \
        const T  *s = (const T *) src;                                       \
                                                                             \
        for (size_t i = 0; i < n; i++) {                                     \
            *d = *s;                                                         \
            d += dst_step;                                                   \
            s += src_step;                                                   \
        }                                                                    \
    } while (0)


static void
move_row(size_t size, unsigned char *dst, int64_t dst_step,
    const unsigned char *src, int64_t src_step, size_t n)
{
    switch (size) {
    case 1:
        MOVE(uint8_t);
        break;

    case 2:
        MOVE(uint16_t);
        break;

    case 4:
        MOVE(uint32_t);
        break;

    default:
        MOVE(uint64_t);
    }
}
