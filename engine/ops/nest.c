/*
 * Loop nests: building, collapsing, and walking them in parallel.
 */

#include <string.h>

#include "ops/common.h"
#include "ops/nest.h"


/* A nest cut into tasks: groups of short rows, or pieces of long ones. */
typedef struct {
    const infer_nest_t  *nest;
    infer_nest_row_pt    row;
    void                *arg;
    int                  outer;        /* dimensions in front of the row */
    size_t               rows;
    size_t               length;       /* of a row */
    size_t               tasks;        /* that rows are dealt to, or ... */
    size_t               piece;        /* ... elements of a task, of which */
    size_t               pieces;       /* there are so many in a row */
} walk_t;


static int mergeable(const infer_nest_t *nest, int outer, int inner);
static void copy_dimension(infer_nest_t *nest, int to, int from);
static void walk_task(void *arg, size_t i, size_t slot);
static void locate(const walk_t *walk, size_t row, size_t first,
    infer_nest_pos_t *pos);


void
infer_strides(const infer_tensor_t *t, int64_t *stride)
{
    uint64_t  n = 1;

    /* Unsigned: an empty tensor may have dimensions that overflow. */
    for (int i = t->rank - 1; i >= 0; i--) {
        stride[i] = (int64_t) n;
        n *= (uint64_t) t->dim[i];
    }
}


void
infer_out_strides(const infer_call_t *call, int64_t *stride)
{
    const infer_tensor_t  *y = call->out[0];

    infer_strides(y, stride);

    for (int i = y->rank - 2; i >= 0 && call->ld != 0; i--) {
        stride[i] = i == y->rank - 2 ? (int64_t) call->ld
                                     : stride[i + 1] * y->dim[i + 1];
    }
}


void
infer_nest_init(infer_nest_t *nest, const infer_tensor_t *t)
{
    memset(nest, 0, sizeof(*nest));
    nest->rank = t->rank;
    memcpy(nest->dim, t->dim, sizeof(nest->dim));
}


void
infer_nest_add(infer_nest_t *nest, const infer_tensor_t *t)
{
    int      lead;
    int64_t  stride[INFER_MAX_RANK], *s;

    lead = nest->rank - t->rank;
    s = nest->stride[nest->operands++];
    infer_strides(t, stride);

    for (int i = 0; i < nest->rank; i++) {
        s[i] = i < lead || t->dim[i - lead] == 1 ? 0 : stride[i - lead];
    }
}


void
infer_nest_collapse(infer_nest_t *nest)
{
    int  n = 0;

    for (int i = 0; i < nest->rank; i++) {
        if (nest->dim[i] == 1) {
            continue;
        }

        if (n > 0 && mergeable(nest, n - 1, i)) {
            nest->dim[i] = (int64_t) ((uint64_t) nest->dim[i]
                                      * (uint64_t) nest->dim[n - 1]);
            n--;
        }

        copy_dimension(nest, n++, i);
    }

    if (n == 0) {
        n = 1;
        nest->dim[0] = 1;

        for (int k = 0; k < nest->operands; k++) {
            nest->stride[k][0] = 1;
        }
    }

    nest->rank = n;
}


static int
mergeable(const infer_nest_t *nest, int outer, int inner)
{
    uint64_t  step;

    for (int k = 0; k < nest->operands; k++) {
        step = (uint64_t) nest->stride[k][inner]
               * (uint64_t) nest->dim[inner];

        if ((uint64_t) nest->stride[k][outer] != step) {
            return 0;
        }
    }

    return 1;
}


static void
copy_dimension(infer_nest_t *nest, int to, int from)
{
    nest->dim[to] = nest->dim[from];

    for (int k = 0; k < nest->operands; k++) {
        nest->stride[k][to] = nest->stride[k][from];
    }
}


void
infer_nest_run(const infer_call_t *call, const infer_nest_t *nest, int inner,
    size_t grain, infer_nest_row_pt row, void *arg)
{
    size_t  behind;
    walk_t  walk;

    walk.nest = nest;
    walk.row = row;
    walk.arg = arg;
    walk.outer = nest->rank - inner;
    walk.length = (size_t) nest->dim[walk.outer];
    walk.rows = 1;
    behind = 1;

    for (int i = 0; i < nest->rank; i++) {
        if (i < walk.outer) {
            walk.rows *= (size_t) nest->dim[i];

        } else if (i > walk.outer) {
            behind *= (size_t) nest->dim[i];
        }
    }

    /* Pieces are whole cache lines of four-byte elements. */
    walk.pieces = infer_tasks(call, walk.length, grain / behind + 1);
    walk.piece = (walk.length + walk.pieces - 1) / walk.pieces;
    walk.piece = (walk.piece + 15) / 16 * 16;
    walk.pieces = (walk.length + walk.piece - 1) / walk.piece;

    walk.tasks = walk.pieces > 1
                 ? walk.rows * walk.pieces
                 : infer_tasks(call, walk.rows,
                               grain / (walk.length * behind) + 1);

    infer_parallel_for(call, walk_task, &walk, walk.tasks);
}


static void
walk_task(void *arg, size_t i, size_t slot)
{
    size_t            row, end, first, n;
    const walk_t     *walk = arg;
    infer_nest_pos_t  pos;

    if (walk->pieces > 1) {
        row = i / walk->pieces;
        end = row + 1;
        first = i % walk->pieces * walk->piece;
        n = walk->length - first;
        n = n < walk->piece ? n : walk->piece;

    } else {
        row = infer_task_first(walk->rows, walk->tasks, i);
        end = infer_task_first(walk->rows, walk->tasks, i + 1);
        first = 0;
        n = walk->length;
    }

    locate(walk, row, first, &pos);

    for ( ;; ) {
        walk->row(walk->arg, pos.offset, n, slot);

        if (++row == end) {
            return;
        }

        infer_nest_next(walk->nest, walk->outer, &pos);
    }
}


static void
locate(const walk_t *walk, size_t row, size_t first, infer_nest_pos_t *pos)
{
    const infer_nest_t  *nest = walk->nest;

    memset(pos, 0, sizeof(*pos));

    for (int i = walk->outer - 1; i >= 0; i--) {
        pos->index[i] = (int64_t) (row % (size_t) nest->dim[i]);
        row /= (size_t) nest->dim[i];
    }

    for (int k = 0; k < nest->operands; k++) {
        pos->offset[k] = (int64_t) first * nest->stride[k][walk->outer];

        for (int i = 0; i < walk->outer; i++) {
            pos->offset[k] += pos->index[i] * nest->stride[k][i];
        }
    }
}


void
infer_nest_next(const infer_nest_t *nest, int rank, infer_nest_pos_t *pos)
{
    for (int i = rank - 1; i >= 0; i--) {
        pos->index[i]++;

        for (int k = 0; k < nest->operands; k++) {
            pos->offset[k] += nest->stride[k][i];
        }

        if (pos->index[i] < nest->dim[i]) {
            return;
        }

        for (int k = 0; k < nest->operands; k++) {
            pos->offset[k] -= nest->stride[k][i] * nest->dim[i];
        }

        pos->index[i] = 0;
    }
}
