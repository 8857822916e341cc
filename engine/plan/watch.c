/*
 * Looking at layers while a model runs: a fixed choice of elements of their
 * results, read before the memory is used for others.  Nothing is written but
 * the session's watch, so no result changes.
 */

#include "plan/plan.h"


/* Elements that are looked at: of a layer's range, and of each layer in INT8. */
#define RANGE_ELEMENTS    512
#define CLIPPED_ELEMENTS  256


/* The elements of place 0 of a result, each `step`th of them. */
typedef struct {
    const unsigned char  *data;
    size_t                n;
    size_t                step;
    size_t                columns;
    size_t                ld;          /* elements from row to row */
    int                   is_f32;
    infer_affine_scale_t  meaning;     /* of bytes */
    int                   is_signed;
} elements_t;


static int
elements(elements_t *e, const infer_session_t *s, uint32_t i, size_t most)
{
    const infer_call_t    *call = &s->step[i];
    const infer_tensor_t  *y = call->out[0];

    if (s->op[i] == NULL || y->rank == 0 || y->data == NULL) {
        return -1;
    }

    e->n = infer_numel(y);

    if (y->rank > 1 && y->dim[0] > 0) {
        e->n /= (size_t) y->dim[0];
    }

    if (e->n == 0) {
        return -1;
    }

    /* an odd step comes by all columns of a power of two */
    e->step = e->n > most ? (e->n / most) | 1 : 1;
    e->data = y->data;
    e->columns = (size_t) y->dim[y->rank - 1];
    e->ld = infer_out_ld(call);
    e->is_f32 = y->dtype == INFER_F32;
    e->is_signed = y->dtype == INFER_I8;
    e->meaning = infer_plan_meaning(infer_plan_node(s, i));

    return e->is_f32
           || ((y->dtype == INFER_U8 || y->dtype == INFER_I8)
               && e->meaning.scale > 0) ? 0 : -1;
}


static size_t
place(const elements_t *e, size_t k)
{
    return e->ld == e->columns ? k : k / e->columns * e->ld + k % e->columns;
}


static int
byte_at(const elements_t *e, size_t k)
{
    unsigned char  byte = e->data[place(e, k)];

    return e->is_signed ? (signed char) byte : byte;
}


static void
watch_range(infer_watch_t *w, uint32_t layer, const elements_t *e)
{
    float         x, least = w->least[layer], most = w->most[layer];
    const float  *f32 = (const float *) (const void *) e->data;

    for (size_t k = 0; k < e->n; k += e->step) {
        x = e->is_f32 ? f32[place(e, k)]
                      : (float) (byte_at(e, k) - e->meaning.zero)
                        * e->meaning.scale;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }

    w->least[layer] = least;
    w->most[layer] = most;
}


/*
 * The low end of a range is where all ends up that an activation cuts off: it
 * counts only where numbers below zero have a place.
 */
static void
watch_clipped(infer_watch_t *w, const elements_t *e)
{
    int       q, lo = e->is_signed ? -128 : 0, hi = lo + 255;
    int       low = e->meaning.zero > lo;
    uint32_t  clipped = 0, n = 0;

    for (size_t k = 0; k < e->n; k += e->step, n++) {
        q = byte_at(e, k);
        clipped += (q == hi) | (low & (q == lo));
    }

    w->clipped += clipped;
    w->activations += n;
}


void
infer_watch_begin(infer_watch_t *w)
{
    for (uint32_t i = 0; i < INFER_MONITOR_LAYERS; i++) {
        w->least[i] = 1;
        w->most[i] = -1;
    }

    w->clipped = 0;
    w->activations = 0;
}


void
infer_watch_step(infer_session_t *s, uint32_t i)
{
    elements_t      e;
    infer_watch_t  *w = &s->watch;

    for (uint32_t k = 0; k < w->n_layers; k++) {
        if (w->layer[k] == i && elements(&e, s, i, RANGE_ELEMENTS) == 0) {
            w->least[k] = __builtin_inff();
            w->most[k] = -__builtin_inff();
            watch_range(w, k, &e);
        }
    }

    switch (infer_plan_node(s, i)->op) {

    case INFER_OP_QCONV:
    case INFER_OP_QFC:
    case INFER_OP_QBINARY:

        if (elements(&e, s, i, CLIPPED_ELEMENTS) == 0 && !e.is_f32) {
            watch_clipped(w, &e);
        }

        break;

    default:
        break;
    }
}


uint32_t
infer_watch_layers(const infer_model_t *model, uint32_t *layer)
{
    uint32_t                   seen = 0, n = 0, wanted, chosen = 0;
    const infer_model_node_t  *node = infer_model_at(model, model->nodes);

    for (uint32_t i = 0; i < model->n_nodes; i++) {
        n += node[i].macs > 0;
    }

    wanted = n < INFER_MONITOR_LAYERS ? n : INFER_MONITOR_LAYERS;

    for (uint32_t i = 0; i < model->n_nodes; i++) {
        if (node[i].macs > 0) {
            seen++;

            if ((uint64_t) seen * wanted
                >= (uint64_t) (chosen + 1) * n)
            {
                layer[chosen++] = i;
            }
        }
    }

    return chosen;
}
