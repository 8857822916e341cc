/*
 * Offsets in the arena: the largest tensor first, each at the lowest place
 * that is free during its life (the "greedy by size" of Pisarchyk and Lee,
 * https://arxiv.org/abs/2001.03288).
 */

#include <stdlib.h>

#include "plan/plan.h"


static int larger_first(const void *a, const void *b);
static void insert_by_offset(infer_place_t **done, size_t n,
    infer_place_t *p);


size_t
infer_plan_arena(infer_place_t *place, size_t n)
{
    size_t          total, count, offset;
    infer_place_t  *p, **todo, **done;

    todo = malloc((n + 1) * sizeof(*todo));
    done = malloc((n + 1) * sizeof(*done));
    count = 0;
    total = 0;

    if (todo == NULL || done == NULL) {
        total = SIZE_MAX;
        goto out;
    }

    for (size_t i = 0; i < n; i++) {
        if (place[i].placed) {
            todo[count++] = &place[i];
        }
    }

    qsort(todo, count, sizeof(*todo), larger_first);

    for (size_t i = 0; i < count; i++) {
        p = todo[i];
        offset = 0;

        /* done is sorted by offset: the first gap that is wide enough. */
        for (size_t k = 0; k < i; k++) {
            if (done[k]->last < p->first || done[k]->first > p->last) {
                continue;
            }

            if (done[k]->offset >= offset + p->size) {
                break;
            }

            if (done[k]->offset + done[k]->size > offset) {
                offset = done[k]->offset + done[k]->size;
            }
        }

        p->offset = offset;
        insert_by_offset(done, i, p);

        if (offset + p->size > total) {
            total = offset + p->size;
        }
    }

out:

    free(todo);
    free(done);

    return total;
}


static int
larger_first(const void *a, const void *b)
{
    const infer_place_t  *p = *(const infer_place_t *const *) a;
    const infer_place_t  *q = *(const infer_place_t *const *) b;

    if (p->size != q->size) {
        return p->size < q->size ? 1 : -1;
    }

    /* qsort is not stable; the same model gives the same plan. */
    return p < q ? -1 : p > q;
}


static void
insert_by_offset(infer_place_t **done, size_t n, infer_place_t *p)
{
    size_t  i;

    for (i = n; i > 0 && done[i - 1]->offset > p->offset; i--) {
        done[i] = done[i - 1];
    }

    done[i] = p;
}
