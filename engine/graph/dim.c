/*
 * Dimensions that may follow the batch, and constants that are read as
 * dimensions.  An int64 that is x1, x2, x3 at batch sizes 1, 2, 3 is taken
 * for base + batch * B where the three lie on a line.
 */

#include <string.h>

#include "graph/graph.h"


/* A tensor has fewer elements than this: index arithmetic fits in 31 bits. */
#define MAX_ELEMENTS  ((int64_t) 1 << 31)


static int value_elements(infer_graph_t *g, const infer_value_t *v, int max);
static int64_t element(const infer_value_t *v, const void *data, int i);


int
infer_dim_mul(infer_dim_t a, infer_dim_t b, infer_dim_t *c)
{
    int64_t  ab, ba;

    if (a.batch != 0 && b.batch != 0) {
        return -1;
    }

    if (__builtin_mul_overflow(a.base, b.base, &c->base)
        || __builtin_mul_overflow(a.base, b.batch, &ab)
        || __builtin_mul_overflow(a.batch, b.base, &ba)
        || __builtin_add_overflow(ab, ba, &c->batch))
    {
        return -1;
    }

    return 0;
}


int
infer_value_numel(const infer_value_t *v, infer_dim_t *n)
{
    *n = infer_dim(1);

    for (int i = 0; i < v->rank; i++) {
        if (infer_dim_mul(*n, v->dim[i], n) != 0) {
            return -1;
        }
    }

    return 0;
}


const char *
infer_value_fault(const infer_value_t *v)
{
    int64_t      first;
    infer_dim_t  n;

    for (int d = 0; d < v->rank; d++) {
        if (v->dim[d].batch < 0
            || __builtin_add_overflow(v->dim[d].base, v->dim[d].batch, &first)
            || first < 0)
        {
            return "has a negative dimension";
        }
    }

    if (infer_value_numel(v, &n) != 0
        || n.base >= MAX_ELEMENTS || n.batch >= MAX_ELEMENTS)
    {
        return "is too large";
    }

    return NULL;
}


void
infer_value_tensor(const infer_value_t *v, int64_t batch, infer_tensor_t *t)
{
    const void  *data;

    data = v->data;

    if (v->varied[0] != NULL && (batch == 2 || batch == 3)) {
        data = v->varied[batch - 2];
    }

    t->dtype = v->dtype;
    t->rank = v->rank;
    t->data = (void *) data;

    for (int i = 0; i < INFER_MAX_RANK; i++) {
        t->dim[i] = i < v->rank ? infer_dim_at(v->dim[i], batch) : 0;
    }
}


int
infer_value_dims(infer_graph_t *g, const infer_value_t *v, infer_dim_t *dim,
    int max)
{
    int      n;
    int64_t  x1, x2, x3;

    n = value_elements(g, v, max);

    for (int i = 0; i < n; i++) {
        x1 = element(v, v->data, i);
        dim[i] = infer_dim(x1);

        if (v->varied[0] == NULL) {
            continue;
        }

        x2 = element(v, v->varied[0], i);
        x3 = element(v, v->varied[1], i);

        if (__builtin_sub_overflow(x2, x1, &dim[i].batch)
            || __builtin_sub_overflow(x1, dim[i].batch, &dim[i].base)
            || (int64_t) ((uint64_t) x2 + (uint64_t) dim[i].batch) != x3)
        {
            return infer_graph_fail(g, "\"%s\" does not grow linearly with "
                                    "the batch size", v->name);
        }
    }

    return n;
}


int
infer_value_ints(infer_graph_t *g, const infer_value_t *v, int64_t *x,
    int max)
{
    int          n;
    infer_dim_t  dim[64];

    n = infer_value_dims(g, v, dim, max < 64 ? max : 64);

    for (int i = 0; i < n; i++) {
        if (dim[i].batch != 0) {
            return infer_graph_fail(g, "\"%s\" must not depend on the batch "
                                    "size", v->name);
        }

        x[i] = dim[i].base;
    }

    return n;
}


static int
value_elements(infer_graph_t *g, const infer_value_t *v, int max)
{
    int64_t  n;

    if (v->data == NULL) {
        return infer_graph_fail(g, "\"%s\" must be a constant", v->name);
    }

    if ((v->dtype != INFER_I64 && v->dtype != INFER_I32) || v->rank > 1) {
        return infer_graph_fail(g, "\"%s\" must be a list of integers",
                                v->name);
    }

    n = v->rank == 0 ? 1 : v->dim[0].base;

    if (n > max) {
        return infer_graph_fail(g, "\"%s\" has %lld elements, at most %d are "
                                "allowed", v->name, (long long) n, max);
    }

    return (int) n;
}


static int64_t
element(const infer_value_t *v, const void *data, int i)
{
    int32_t  x32;
    int64_t  x64;

    if (v->dtype == INFER_I32) {
        memcpy(&x32, (const char *) data + 4 * (size_t) i, 4);
        return x32;
    }

    memcpy(&x64, (const char *) data + 8 * (size_t) i, 8);

    return x64;
}
