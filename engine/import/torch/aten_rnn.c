/*
 * Recurrent layers, unrolled over a sequence whose length is known.  The
 * inputs of all steps go through one product; each step adds that of the state
 * before it.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


typedef enum {
    CELL_LSTM,
    CELL_GRU,
    CELL_TANH,                    /* the plain ones */
    CELL_RELU
} cell_t;

/* A layer in one direction. */
typedef struct {
    cell_t           cell;
    int              gates;
    infer_value_t   *w;           /* (gates * H, I) */
    infer_value_t   *u;           /* (gates * H, H), of the state */
    infer_value_t   *b;           /* or NULL */
    infer_value_t   *c;
    infer_dim_t      width;       /* H */
    int              reverse;
    int              dynamic;     /* what goes into products is quantized, */
    int              reduced;     /* to 7 bits */
} layer_t;


/* The products with the input, or with the state. */
static infer_value_t *
gates_of(torch_eval_t *t, const layer_t *l, infer_value_t *x, int state)
{
    x = l->dynamic ? aten_dynamic(t, x, l->reduced) : x;

    return state ? aten_linear(t, x, l->u, l->c)
                 : aten_linear(t, x, l->w, l->b);
}


/* Columns k * H .. of x (N, gates * H). */
static infer_value_t *
gate(torch_eval_t *t, const layer_t *l, infer_value_t *x, int k)
{
    return aten_narrow(t, x, 1, infer_dim(k * l->width.base), l->width);
}


/* i, f, g, o: c = f * c + i * g; h = o * tanh(c) */
static infer_value_t *
lstm_step(torch_eval_t *t, const layer_t *l, infer_value_t *x,
    infer_value_t *h, infer_value_t **c)
{
    infer_value_t  *i, *f, *g, *o;

    x = aten_binary(t, INFER_ADD, gates_of(t, l, h, 1), x);
    i = aten_unary(t, gate(t, l, x, 0), INFER_SIGMOID);
    f = aten_unary(t, gate(t, l, x, 1), INFER_SIGMOID);
    g = aten_unary(t, gate(t, l, x, 2), INFER_TANH);
    o = aten_unary(t, gate(t, l, x, 3), INFER_SIGMOID);

    *c = aten_binary(t, INFER_ADD, aten_binary(t, INFER_MUL, f, *c),
                     aten_binary(t, INFER_MUL, i, g));

    return aten_binary(t, INFER_MUL, o, aten_unary(t, *c, INFER_TANH));
}


/* r, z, n: n = tanh(x + r * u); h = n + z * (h - n) */
static infer_value_t *
gru_step(torch_eval_t *t, const layer_t *l, infer_value_t *x,
    infer_value_t *h)
{
    infer_value_t  *u, *r, *z, *n;

    u = gates_of(t, l, h, 1);
    r = aten_binary(t, INFER_ADD, gate(t, l, x, 0), gate(t, l, u, 0));
    z = aten_binary(t, INFER_ADD, gate(t, l, x, 1), gate(t, l, u, 1));
    r = aten_unary(t, r, INFER_SIGMOID);
    z = aten_unary(t, z, INFER_SIGMOID);

    n = aten_binary(t, INFER_MUL, r, gate(t, l, u, 2));
    n = aten_binary(t, INFER_ADD, gate(t, l, x, 2), n);
    n = aten_unary(t, n, INFER_TANH);

    h = aten_binary(t, INFER_SUB, h, n);

    return aten_binary(t, INFER_ADD, n, aten_binary(t, INFER_MUL, z, h));
}


/* h = tanh(x + u), or relu */
static infer_value_t *
plain_step(torch_eval_t *t, const layer_t *l, infer_value_t *x,
    infer_value_t *h)
{
    x = aten_binary(t, INFER_ADD, gates_of(t, l, h, 1), x);

    return l->cell == CELL_TANH ? aten_unary(t, x, INFER_TANH)
           : infer_emit_unary(t->g, t->place, x, INFER_CLIP, 0, INFINITY);
}


/* x (N, L, I) to (N, L, H); *h and *c: (N, H), the state before and after. */
static infer_value_t *
run_layer(torch_eval_t *t, const layer_t *l, infer_value_t *x,
    infer_value_t **h, infer_value_t **c)
{
    int64_t          k, steps;
    infer_dim_t      dim[3];
    infer_value_t   *g, **out;

    steps = x->dim[1].base;
    out = infer_graph_alloc(t->g, (size_t) steps * sizeof(*out));
    x = gates_of(t, l, x, 0);

    if (x == NULL || out == NULL) {
        return NULL;
    }

    for (int64_t i = 0; i < steps; i++) {
        k = l->reverse ? steps - 1 - i : i;
        g = aten_pick(t, x, 1, infer_dim(k));
        *h = g == NULL ? NULL
             : l->cell == CELL_LSTM ? lstm_step(t, l, g, *h, c)
             : l->cell == CELL_GRU ? gru_step(t, l, g, *h)
             : plain_step(t, l, g, *h);

        if (*h == NULL) {
            return NULL;
        }

        dim[0] = (*h)->dim[0];
        dim[1] = infer_dim(1);
        dim[2] = l->width;
        out[k] = aten_reshape(t, *h, 3, dim);
    }

    return aten_concat(t, out, (int) steps, 1);
}


/* Quantized weights. */
static int
read_packed(torch_eval_t *t, const torch_value_t *v, layer_t *l)
{
    aten_packed_t  p[2];

    if (aten_packed_cell(t, v, p, &l->reduced) != 0) {
        return -1;
    }

    l->dynamic = 1;
    l->w = p[0].weight->tensor;
    l->u = p[1].weight->tensor;
    l->b = aten_is_none(p[0].bias) ? NULL : aten_tensor(t, p[0].bias);
    l->c = aten_is_none(p[1].bias) ? NULL : aten_tensor(t, p[1].bias);

    return (l->b == NULL && !aten_is_none(p[0].bias))
           || (l->c == NULL && !aten_is_none(p[1].bias)) ? -1 : 0;
}


/* Those of the flat list that are next. */
static int
read_weights(torch_eval_t *t, const torch_value_t *list, size_t *at,
    int biases, layer_t *l)
{
    int              n = biases ? 4 : 2;
    infer_value_t  **part[] = { &l->w, &l->u, &l->b, &l->c };

    l->b = l->c = NULL;

    if (*at + (size_t) n > list->items.n) {
        return torch_fail(t, "the layer has too few weights (projections are "
                          "not supported)");
    }

    for (int i = 0; i < n; i++) {
        *part[i] = aten_constant(t, list->items.item[(*at)++], "the weight");
        if (*part[i] == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
read_layer(torch_eval_t *t, const torch_value_t *list, size_t *at, int biases,
    layer_t *l)
{
    int  rc;

    l->dynamic = 0;

    rc = *at < list->items.n && list->items.item[*at]->kind == TORCH_OBJECT
         ? read_packed(t, list->items.item[(*at)++], l)
         : read_weights(t, list, at, biases, l);

    if (rc != 0) {
        return -1;
    }

    if (l->u->rank != 2 || l->w->rank != 2
        || l->u->dim[0].base != l->gates * l->u->dim[1].base
        || !infer_dim_equal(l->w->dim[0], l->u->dim[0]))
    {
        return torch_fail(t, "the weights of the layer have a shape that is "
                          "not supported");
    }

    l->width = l->u->dim[1];

    return 0;
}


/* Row i of a state (layers * directions, N, H). */
static infer_value_t *
state(torch_eval_t *t, infer_value_t *h, int i)
{
    if (h == NULL || h->rank != 3 || h->dim[0].batch != 0
        || i >= h->dim[0].base)
    {
        torch_fail(t, "the state has not the shape that the layers need");
        return NULL;
    }

    return aten_pick(t, h, 0, infer_dim(i));
}


/* All layers and directions: x and the states are replaced. */
static infer_value_t *
run_layers(torch_eval_t *t, infer_value_t *x, const torch_value_t *list,
    int biases, cell_t cell, int layers, int directions, infer_value_t **h,
    infer_value_t **c)
{
    int             i = 0, is_lstm = cell == CELL_LSTM;
    size_t          at = 0;
    layer_t         l = { .cell = cell,
                          .gates = is_lstm ? 4 : cell == CELL_GRU ? 3 : 1 };
    infer_dim_t     dim[3];
    infer_value_t  *out[2], *now[2], **last[2];

    for (int k = 0; k < 2; k++) {
        last[k] = infer_graph_alloc(t->g, (size_t) (layers * directions)
                                          * sizeof(**last));
        if (last[k] == NULL) {
            return NULL;
        }
    }

    for (int layer = 0; layer < layers && x != NULL; layer++) {
        for (l.reverse = 0; l.reverse < directions; l.reverse++, i++) {
            now[0] = state(t, *h, i);
            now[1] = is_lstm ? state(t, *c, i) : NULL;

            if (now[0] == NULL || (is_lstm && now[1] == NULL)
                || read_layer(t, list, &at, biases, &l) != 0)
            {
                return NULL;
            }

            out[l.reverse] = run_layer(t, &l, x, &now[0], &now[1]);
            if (out[l.reverse] == NULL) {
                return NULL;
            }

            dim[0] = infer_dim(1);
            dim[1] = now[0]->dim[0];
            dim[2] = l.width;
            last[0][i] = aten_reshape(t, now[0], 3, dim);
            last[1][i] = aten_reshape(t, now[1], 3, dim);
        }

        x = aten_concat(t, out, directions, 2);
    }

    *h = aten_concat(t, last[0], i, 0);
    *c = is_lstm ? aten_concat(t, last[1], i, 0) : NULL;

    return x;
}


static torch_value_t *
results(torch_eval_t *t, infer_value_t *const *y, int n)
{
    torch_value_t  *tuple, *v;

    tuple = torch_new(t->g, TORCH_TUPLE);

    for (int i = 0; i < n && tuple != NULL; i++) {
        v = aten_new(t, y[i]);

        if (v == NULL || torch_append(t->g, tuple, v) != 0) {
            return NULL;
        }
    }

    return tuple;
}


/* arg: input, hx, params, has_biases, num_layers, dropout, train,
   bidirectional, batch_first */
static torch_value_t *
recurrent(torch_eval_t *t, torch_value_t *const *arg, cell_t cell)
{
    int             is_lstm = cell == CELL_LSTM;
    int64_t         biases = 1, layers = 1, two = 0, first = 0;
    double          dropout = 0;
    infer_value_t  *x, *y[3] = { NULL };
    torch_value_t  *const *hx = &arg[1];

    if (!aten_is_tensor(arg[0]) || arg[1] == NULL || arg[2] == NULL
        || arg[2]->kind != TORCH_LIST)
    {
        return TORCH_DECLINE;
    }

    if (is_lstm) {
        if (arg[1]->kind != TORCH_LIST || arg[1]->items.n != 2) {
            return TORCH_DECLINE;
        }

        hx = arg[1]->items.item;
    }

    for (int i = 0; i < (is_lstm ? 2 : 1); i++) {
        y[1 + i] = aten_tensor(t, hx[i]);
        if (y[1 + i] == NULL) {
            return NULL;
        }
    }

    x = arg[0]->tensor;

    if (aten_int(t, arg[3], &biases) != 0 || aten_int(t, arg[4], &layers) != 0
        || aten_double(t, arg[5], &dropout) != 0
        || (dropout != 0 && torch_check_training(t, arg[6]) != 0)
        || aten_int(t, arg[7], &two) != 0
        || aten_int(t, arg[8], &first) != 0)
    {
        return NULL;
    }

    x = x->rank == 3 && !first ? aten_swap(t, x, 0, 1) : x;

    if (x == NULL) {
        return NULL;
    }

    if (x->rank != 3 || x->dim[1].batch != 0 || x->dim[1].base < 1
        || x->dim[1].base > ATEN_MAX_PARTS || layers < 1
        || layers > ATEN_MAX_PARTS / (2 * x->dim[1].base))
    {
        torch_fail(t, "recurrent layers need a sequence of known length, at "
                   "most %d steps in all", ATEN_MAX_PARTS);
        return NULL;
    }

    x = run_layers(t, x, arg[2], biases != 0, cell, (int) layers,
                   two ? 2 : 1, &y[1], &y[2]);
    y[0] = first ? x : aten_swap(t, x, 0, 1);

    return y[0] != NULL ? results(t, y, is_lstm ? 3 : 2) : NULL;
}

TORCH_KIND(lstm, recurrent, CELL_LSTM)
TORCH_KIND(gru, recurrent, CELL_GRU)
TORCH_KIND(rnn_tanh, recurrent, CELL_TANH)
TORCH_KIND(rnn_relu, recurrent, CELL_RELU)


#define PARAMETERS  "input hx params has_biases num_layers dropout train " \
                    "bidirectional batch_first"

const torch_builtin_t  torch_builtins_rnn[] = {
    { "torch.lstm", PARAMETERS, lstm },
    { "torch.gru", PARAMETERS, gru },
    { "torch.rnn_tanh", PARAMETERS, rnn_tanh },
    { "torch.rnn_relu", PARAMETERS, rnn_relu },
    { "torch.quantized_lstm", PARAMETERS " dtype use_dynamic", lstm },
    { "torch.quantized_gru", PARAMETERS, gru },
    { NULL, NULL, NULL }
};
