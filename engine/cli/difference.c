/*
 * The distance of two models.  While the first runs, its values are copied;
 * while the second runs, each is held against the copy of the same name.
 * What an image contributes is rounded to an integer before it is added up, so
 * that the result does not depend on the order of the images.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/difference.h"


/* Decibels and cosines are added up in steps of a millionth. */
#define STEPS  1e6

#define NONE   SIZE_MAX


typedef struct {
    float   *data;
    size_t   size;                /* elements */
    size_t   room;
} copy_t;

typedef struct {
    const char  *name;
    size_t       index;
} name_t;

struct cli_difference_s {
    copy_t          *copy;        /* by index in the first model */
    name_t          *name;        /* sorted */
    size_t           n_names;
    size_t           n_first;
    size_t           n_second;
    size_t          *match;       /* by index in the second: in the first */
    unsigned char   *taken;       /* by index in the first */
    cli_layer_t     *row;         /* by index in the second */
    int64_t         *sum;
    int64_t          sqnr;
    int64_t          cosine;
    int64_t          least;
    int              ready;       /* names are matched */
    cli_distance_t   result;
};

typedef struct {
    double  signal;
    double  noise;
    double  other;                /* the second's energy */
    double  product;
} energy_t;


/* ---- one image -------------------------------------------------------- */

static size_t
numel(const infer_tensor_t *t)
{
    size_t  n = 1;

    for (int d = 0; d < t->rank; d++) {
        n *= (size_t) t->dim[d];
    }

    return n;
}


static void
keep_copy(void *arg, const infer_observed_t *seen)
{
    copy_t            *c;
    size_t             n = numel(seen->tensor);
    cli_difference_t  *d = arg;

    c = &d->copy[seen->index];
    c->size = seen->tensor->dtype == INFER_F32 ? n : 0;

    if (c->size > c->room) {
        free(c->data);
        c->data = cli_alloc(n, sizeof(float));
        c->room = n;
    }

    if (c->size > 0) {
        memcpy(c->data, seen->tensor->data, n * sizeof(float));
    }

    if (!d->ready && seen->node[0] != '\0' && c->size > 0) {
        d->name[d->n_names].name = seen->node;
        d->name[d->n_names++].index = seen->index;
    }
}


static double
number_at(const infer_observed_t *seen, size_t i)
{
    const infer_tensor_t  *t = seen->tensor;

    switch (t->dtype) {

    case INFER_F32:
        return (double) ((const float *) t->data)[i];

    case INFER_U8:
        return (((const uint8_t *) t->data)[i] - seen->zero)
               * (double) seen->scale;

    default:
        return (((const int8_t *) t->data)[i] - seen->zero)
               * (double) seen->scale;
    }
}


static energy_t
measure(const float *first, const infer_observed_t *seen, size_t n)
{
    double    x, y;
    energy_t  e = { 0, 0, 0, 0 };

    for (size_t i = 0; i < n; i++) {
        x = (double) first[i];
        y = number_at(seen, i);
        e.signal += x * x;
        e.other += y * y;
        e.noise += (x - y) * (x - y);
        e.product += x * y;
    }

    return e;
}


/* The ratio of both in dB, limited, as an integer. */
static int64_t
decibels(const energy_t *e)
{
    double  db;

    if (!(e->noise > 0)) {
        return e->noise <= 0 ? llrint(CLI_MAX_DECIBELS * STEPS)
                             : llrint(-CLI_MAX_DECIBELS * STEPS);
    }

    db = e->signal > 0 ? 10 * log10(e->signal / e->noise)
                       : -CLI_MAX_DECIBELS;

    return llrint(fmax(fmin(db, CLI_MAX_DECIBELS), -CLI_MAX_DECIBELS)
                  * STEPS);
}


static int
by_name(const void *a, const void *b)
{
    int            order;
    const name_t  *x = a, *y = b;

    order = strcmp(x->name, y->name);

    return order ? order : (x->index > y->index) - (x->index < y->index);
}


/*
 * The value of the first model that this one of the second is: the first of
 * the same name and size that no other is.
 */
static size_t
find(cli_difference_t *d, const infer_observed_t *seen)
{
    int     order;
    size_t  i, from = 0, to = d->n_names, n = numel(seen->tensor);

    while (from < to) {
        i = from + (to - from) / 2;
        order = strcmp(d->name[i].name, seen->node);

        if (order < 0) {
            from = i + 1;
        } else {
            to = i;
        }
    }

    for (i = from; i < d->n_names && strcmp(d->name[i].name, seen->node) == 0;
         i++)
    {
        if (!d->taken[d->name[i].index]
            && d->copy[d->name[i].index].size == n)
        {
            d->taken[d->name[i].index] = 1;
            return d->name[i].index;
        }
    }

    return NONE;
}


static int
comparable(const infer_observed_t *seen)
{
    return seen->tensor->dtype == INFER_F32
           || ((seen->tensor->dtype == INFER_U8
                || seen->tensor->dtype == INFER_I8) && seen->scale > 0);
}


static void
compare_copy(void *arg, const infer_observed_t *seen)
{
    size_t             at = seen->index;
    energy_t           e;
    cli_layer_t       *row;
    cli_difference_t  *d = arg;

    if (!d->ready) {
        row = &d->row[at];
        row->node = seen->node;
        row->op = seen->op;
        row->macs = seen->macs;

        d->result.macs += seen->macs;
        d->result.integer_macs += seen->op[0] == 'q' ? seen->macs : 0;

        d->match[at] = strcmp(seen->op, "input") != 0 && seen->node[0] != '\0'
                       && comparable(seen) ? find(d, seen) : NONE;
    }

    if (d->match[at] == NONE) {
        return;
    }

    e = measure(d->copy[d->match[at]].data, seen, numel(seen->tensor));
    d->sum[at] += decibels(&e);
}


static size_t
largest(const float *x, size_t n)
{
    size_t  best = 0;

    for (size_t i = 1; i < n; i++) {
        best = x[i] > x[best] ? i : best;
    }

    return best;
}


void
cli_difference_run(cli_difference_t *d, infer_session_t *first,
    infer_session_t *second, const infer_parallel_t *parallel)
{
    size_t            n;
    double            root;
    int64_t           cosine;
    energy_t          e;
    infer_tensor_t    a, b;
    infer_observed_t  seen = { .tensor = &b };

    infer_session_observe(first, parallel, keep_copy, d);

    if (!d->ready) {
        qsort(d->name, d->n_names, sizeof(name_t), by_name);
    }

    infer_session_observe(second, parallel, compare_copy, d);
    d->ready = 1;

    infer_session_output_tensor(first, 0, &a);
    infer_session_output_tensor(second, 0, &b);

    n = numel(&a);
    e = measure(a.data, &seen, n);
    root = sqrt(e.signal) * sqrt(e.other);
    cosine = llrint((root > 0 ? e.product / root : e.noise <= 0) * STEPS);

    d->sqnr += decibels(&e);
    d->cosine += cosine;
    d->least = d->result.images == 0 || cosine < d->least ? cosine
                                                          : d->least;
    d->result.same += largest(a.data, n) == largest(b.data, n);
    d->result.images++;
}


/* ---- all images ------------------------------------------------------- */

const cli_distance_t *
cli_difference_result(cli_difference_t *d)
{
    double           unit;
    cli_layer_t     *layer;
    cli_distance_t  *r = &d->result;

    unit = STEPS * (double) (r->images > 0 ? r->images : 1);
    r->sqnr = (double) d->sqnr / unit;
    r->cosine = (double) d->cosine / unit;
    r->least_cosine = (double) d->least / STEPS;
    r->n_layers = 0;

    for (size_t i = 0; i < d->n_second; i++) {
        if (d->ready && d->match[i] != NONE) {
            layer = &r->layer[r->n_layers++];
            *layer = d->row[i];
            layer->sqnr = (double) d->sum[i] / unit;
        }
    }

    return r;
}


/* ---- making one ------------------------------------------------------- */

static int
same_port(const infer_port_t *a, const infer_port_t *b)
{
    return a->dtype == b->dtype && a->rank == b->rank
           && memcmp(a->dim, b->dim, (size_t) a->rank * sizeof(a->dim[0]))
              == 0;
}


cli_difference_t *
cli_difference_create(const infer_model_t *first,
    const infer_model_t *second, infer_error_t *err)
{
    infer_port_t       a[2], b[2];
    cli_difference_t  *d;

    infer_model_input(first, 0, &a[0]);
    infer_model_input(second, 0, &b[0]);
    infer_model_output(first, 0, &a[1]);
    infer_model_output(second, 0, &b[1]);

    if (!same_port(&a[0], &b[0]) || !same_port(&a[1], &b[1])
        || a[1].dtype != INFER_F32)
    {
        cli_fail(err, "the models' inputs or outputs are not of the same "
                 "shape");
        return NULL;
    }

    d = cli_alloc(1, sizeof(*d));
    d->n_first = infer_model_observed(first);
    d->n_second = infer_model_observed(second);
    d->copy = cli_alloc(d->n_first, sizeof(copy_t));
    d->name = cli_alloc(d->n_first, sizeof(name_t));
    d->taken = cli_alloc(d->n_first, 1);
    d->match = cli_alloc(d->n_second, sizeof(size_t));
    d->row = cli_alloc(d->n_second, sizeof(cli_layer_t));
    d->sum = cli_alloc(d->n_second, sizeof(int64_t));
    d->result.layer = cli_alloc(d->n_second, sizeof(cli_layer_t));

    return d;
}


void
cli_difference_free(cli_difference_t *d)
{
    if (d == NULL) {
        return;
    }

    for (size_t i = 0; i < d->n_first; i++) {
        free(d->copy[i].data);
    }

    free(d->copy);
    free(d->name);
    free(d->taken);
    free(d->match);
    free(d->row);
    free(d->sum);
    free(d->result.layer);
    free(d);
}
