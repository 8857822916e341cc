/*
 * Elements that a session need not move.  Results of concat whose operands are
 * computed where they belong: random branches beside each other, one concat
 * inside another, against the same graph that must copy them, since each
 * branch is an output as well.  And products that read their operands through
 * random transposes, slices and reshapes, against products of copies.  One
 * side of each runs in the memory of a larger session that is full of NaN, and
 * gets its images one by one.
 */

#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "plan/plan.h"
#include "product.h"


#define MOST_BRANCHES  5

/* Kinds of branches; those from COPIED on cannot write apart rows. */
enum { POINT, WINDOW, WINOGRAD, GROUPED, FC, MAX, SLICE, COPIED,
       DEPTHWISE = COPIED, AVERAGE, RELU, INPUT, KINDS };

typedef struct {
    infer_graph_t  *g;
    infer_value_t  *x;
    infer_value_t  *branch[2 * MOST_BRANCHES];
    int             branches;
    int             apart;         /* that are to have rows apart */
    int             kinds;         /* seen in any graph: bits */
} net_t;

static int  lent;                  /* sessions in the memory of others */


static infer_value_t *
constant(infer_graph_t *g, int rank, const int64_t *dim)
{
    float   *x;
    size_t   n = 1;

    for (int i = 0; i < rank; i++) {
        n *= (size_t) dim[i];
    }

    x = infer_graph_alloc(g, n * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        x[i] = (float) real();
    }

    return infer_graph_constant(g, "w", INFER_F32, rank, dim, x);
}


static infer_window_t
window(int size)
{
    infer_window_t  w;

    for (int i = 0; i < 3; i++) {
        w.kernel[i] = i > 0 ? size : 1;
        w.stride[i] = w.dilation[i] = 1;
        w.before[i] = w.after[i] = i > 0 ? size / 2 : 0;
    }

    return w;
}


static infer_value_t *
conv(net_t *net, int kind, int64_t c, int64_t out)
{
    int             size = kind == POINT ? 1 : 3;
    infer_param_t   p;
    infer_value_t  *in[3];

    memset(&p, 0, sizeof(p));
    p.conv.window = window(size);
    p.conv.groups = kind == DEPTHWISE ? (int32_t) c : kind == GROUPED ? 2 : 1;
    p.conv.winograd = kind == WINOGRAD;
    p.conv.act.kind = (int32_t) below(3) ? INFER_SILU : INFER_NONE;

    out = kind == DEPTHWISE ? c : kind == GROUPED ? 4 * out : out;

    in[0] = net->x;
    in[1] = constant(net->g, 4, (int64_t[]) { out, c / p.conv.groups, size,
                                              size });
    in[2] = constant(net->g, 1, &out);

    return infer_graph_emit1(net->g, INFER_OP_CONV, &p, "n", in, 3);
}


static infer_value_t *
branch(net_t *net, int kind, int64_t c, int64_t out)
{
    infer_param_t   p;
    infer_op_id_t   op;
    infer_value_t  *in[2] = { net->x };

    memset(&p, 0, sizeof(p));

    switch (kind) {
    case INPUT:
        return net->x;

    case FC:
        in[1] = constant(net->g, 2, (int64_t[]) { c, out });
        return infer_graph_emit1(net->g, INFER_OP_FC, &p, "n", in, 2);

    case MAX:
    case AVERAGE:
        op = INFER_OP_POOL;
        p.pool.window = window(3);
        p.pool.average = kind == AVERAGE;
        break;

    case RELU:
        op = INFER_OP_UNARY;
        p.unary = (infer_unary_t) { INFER_CLIP, 0, 1 };
        break;

    case SLICE:
        op = INFER_OP_SLICE;

        for (int i = 0; i < 4; i++) {
            p.slice.step[i] = 1;
            p.slice.count[i] = net->x->dim[i];
        }

        p.slice.start[3] = infer_dim(c / 2);
        p.slice.count[3] = infer_dim(c - c / 2);
        break;

    default:
        return conv(net, kind, c, out);
    }

    return infer_graph_emit1(net->g, op, &p, "n", in, 1);
}


static infer_value_t *
concat(net_t *net, infer_value_t **v, int n)
{
    infer_param_t  p = { .axis = { .axis = 3 } };

    return infer_graph_emit1(net->g, INFER_OP_CONCAT, &p, "n", v, n);
}


/* One or two concats of random branches, the second inside the first. */
static infer_value_t *
concats(net_t *net, int64_t c)
{
    int             n, kind;
    infer_value_t  *v[MOST_BRANCHES + 1], *inner = NULL;

    for (int depth = (int) below(2); depth >= 0; depth--) {
        n = 1 + (int) below(MOST_BRANCHES);

        for (int i = 0; i < n; i++) {
            kind = (int) below(KINDS);
            v[i] = branch(net, kind, c, 1 + below(40));

            net->kinds |= 1 << kind;
            net->apart += kind < COPIED;

            if (kind != INPUT) {
                net->branch[net->branches++] = v[i];
            }
        }

        if (inner != NULL) {
            v[n++] = inner;
            net->apart++;
        }

        inner = concat(net, v, n);
    }

    return inner;
}


/* Outputs: the result and the first n branches. */
static void
set_outputs(net_t *net, infer_value_t *result, int n)
{
    infer_value_t       *v;
    infer_graph_port_t  *port;

    port = infer_graph_alloc(net->g, (size_t) (n + 1) * sizeof(*port));

    for (int i = 0; i <= n; i++) {
        v = i == 0 ? result : net->branch[i - 1];
        port[i].value = v;
        port[i].port = (infer_port_t) { "y", INFER_F32, v->rank, { 0 } };

        for (int d = 0; d < v->rank; d++) {
            port[i].port.dim[d] = v->dim[d].batch ? INFER_BATCH
                                                  : v->dim[d].base;
        }
    }

    net->g->output = port;
    net->g->n_outputs = (size_t) n + 1;
}


/*
 * The bytes of output 0; *apart: how many steps have rows apart; *idle: how
 * many have nothing to do.
 */
static void *
run(const net_t *net, size_t batch, int host, size_t *size, int *apart,
    int *idle)
{
    void             *mem, *y;
    float            *x;
    infer_model_t    *m;
    infer_tensor_t    t;
    infer_session_t  *s, *lender = NULL;

    infer_pass_sweep(net->g);
    mem = aligned_alloc(64, (infer_graph_model_size(net->g) + 63) / 64 * 64);
    m = infer_model_build(net->g, mem, &err);

    if (host) {
        lender = infer_session_create(m, batch + 2, 2, &err);
        s = infer_session_create_within(lender, batch, &err);
        lent += s->arena == lender->arena;
        memset(lender->arena, 0xff, lender->arena_size);

        if (lender->scratch != NULL) {
            memset(lender->scratch, 0xff, lender->scratch_size * 2);
        }

    } else {
        s = infer_session_create(m, batch, 2, &err);
    }

    *apart = *idle = 0;

    for (size_t i = 0; i < m->n_nodes; i++) {
        *apart += s->step[i].ld != 0;
        *idle += s->op[i] == NULL;
    }

    infer_session_input_tensor(s, 0, &t);
    x = malloc(infer_numel(&t) * sizeof(float));

    for (size_t i = 0; i < infer_numel(&t); i++) {
        x[i] = (float) (i * 2654435761u % 1000) / 500 - 1;
    }

    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < batch && host; k++) {
            infer_session_set_item(s, 0, k, x + infer_numel(&t) / batch * k);
        }

        if (!host) {
            infer_session_set_input(s, 0, x);
        }

        infer_session_run(s, host ? &threads : NULL);
    }

    infer_session_output_tensor(s, 0, &t);
    *size = infer_numel(&t) * sizeof(float);
    y = malloc(*size);
    memcpy(y, t.data, *size);

    free(x);
    infer_session_free(s);
    infer_session_free(lender);
    free(mem);

    return y;
}


static void
begin(net_t *net, int64_t c, int64_t size)
{
    infer_graph_t  *g = infer_graph_create("test", &err);

    net->branches = net->apart = 0;
    net->g = g;
    net->x = infer_graph_value(g, "x", INFER_F32, 4,
                               (infer_dim_t[]) { { 0, 1 }, infer_dim(size),
                                                 infer_dim(size + 1),
                                                 infer_dim(c) });

    g->input = infer_graph_alloc(g, sizeof(*g->input));
    g->n_inputs = 1;
    g->input[0].value = net->x;
    g->input[0].port = (infer_port_t) { "x", INFER_F32, 4,
                                        { INFER_BATCH, size, size + 1, c } };
}


static void
test_columns(void)
{
    int             same = 1, right = 1, apart, none;
    void           *a, *b;
    net_t           net = { 0 };
    size_t          n, m, batch;
    infer_value_t  *y;

    for (int i = 0; i < 200; i++) {
        begin(&net, 2 * (1 + below(20)), 1 + below(12));
        y = concats(&net, net.x->dim[3].base);
        batch = 1 + (size_t) below(3);

        set_outputs(&net, y, 0);
        a = run(&net, batch, i % 2, &n, &apart, &none);
        right = right && apart == net.apart;

        set_outputs(&net, y, net.branches);
        b = run(&net, batch, 0, &m, &none, &none);

        same = same && n == m && memcmp(a, b, n) == 0;

        free(a);
        free(b);
        infer_graph_close(net.g);
    }

    ok(right, "all operators that can compute their columns in place do");
    ok(same, "the same bits as with copies, of 1 to 3 images, with threads");
    ok(net.kinds == (1 << KINDS) - 1, "all kinds of branches were tried");
    ok(lent == 100, "a smaller batch has no memory of its own");
}


/* ---- views ------------------------------------------------------------ */

static infer_value_t *
transposed(net_t *net, infer_value_t *v)
{
    int            k;
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    for (int d = 0; d < v->rank; d++) {
        k = (int) below(d + 1);
        p.transpose.perm[d] = p.transpose.perm[k];
        p.transpose.perm[k] = d;
    }

    return infer_graph_emit1(net->g, INFER_OP_TRANSPOSE, &p, "n", &v, 1);
}


static infer_value_t *
sliced(net_t *net, infer_value_t *v)
{
    int64_t        n, step;
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    for (int d = 0; d < v->rank; d++) {
        n = v->dim[d].base;
        p.slice.step[d] = 1;
        p.slice.count[d] = v->dim[d];

        /* not the batch */
        if (n > 1) {
            step = below(8) ? 1 : below(2) ? 2 : -1;
            p.slice.step[d] = step;
            p.slice.count[d].base = step == 2 ? n / 2 : n - below(n / 2);
            p.slice.start[d].base = step < 0 ? n - 1 : step == 2 ? 1
                                    : n - p.slice.count[d].base;
        }
    }

    return infer_graph_emit1(net->g, INFER_OP_SLICE, &p, "n", &v, 1);
}


/* Splits a dimension, or joins two. */
static infer_value_t *
reshaped(net_t *net, infer_value_t *v)
{
    int            d = (int) below(v->rank), n = 0;
    infer_param_t  p;

    memset(&p, 0, sizeof(p));

    for (int k = 0; k < v->rank; k++) {
        if (k == d && v->rank < 6 && v->dim[k].base % 2 == 0
            && v->dim[k].batch == 0)
        {
            p.shape.dim[n++] = infer_dim(v->dim[k].base / 2);
            p.shape.dim[n++] = infer_dim(2);

        } else if (k == d && k + 1 < v->rank
                   && infer_dim_mul(v->dim[k], v->dim[k + 1],
                                    &p.shape.dim[n]) == 0)
        {
            n++;
            k++;

        } else {
            p.shape.dim[n++] = v->dim[k];
        }
    }

    p.shape.rank = n;

    return infer_graph_emit1(net->g, INFER_OP_RESHAPE, &p, "n", &v, 1);
}


static infer_value_t *
moved(net_t *net, int steps)
{
    infer_value_t  *v = net->x;

    for (int i = 0; i < steps; i++) {
        switch (below(3)) {
        case 0:
            v = transposed(net, v);
            break;
        case 1:
            v = sliced(net, v);
            break;
        default:
            v = reshaped(net, v);
        }
    }

    return v;
}


/* v times its own transpose, or its own matrices' rows with themselves. */
static infer_value_t *
product(net_t *net, infer_value_t *v, int transpose_a, int copied)
{
    infer_param_t   p = { .unary = { INFER_CLIP, -INFINITY, INFINITY } };
    infer_value_t  *in[2] = { v, v };

    if (copied) {
        in[0] = in[1] = infer_graph_emit1(net->g, INFER_OP_UNARY, &p, "n", &v,
                                          1);
    }

    memset(&p, 0, sizeof(p));
    p.matmul.transpose_a = transpose_a;
    p.matmul.transpose_b = !transpose_a;
    p.matmul.alpha = 0.5f;

    return infer_graph_emit1(net->g, INFER_OP_MATMUL, &p, "n", in, 2);
}


static void
test_views(void)
{
    int             same = 1, apart, idle, read_in_place = 0;
    void           *a, *b;
    net_t           net = { 0 };
    size_t          n, m, batch;
    infer_value_t  *v, *y;

    for (int i = 0; i < 400; i++) {
        begin(&net, 2 * (1 + below(20)), 1 + below(12));
        v = moved(&net, 1 + (int) below(7));

        y = v->rank > 1 ? product(&net, v, i & 1, 1) : NULL;

        /* not where its size is a square of the batch's */
        if (y != NULL) {
            batch = 1 + (size_t) below(3);

            set_outputs(&net, y, 0);
            b = run(&net, batch, 0, &m, &apart, &idle);
            read_in_place -= idle;

            set_outputs(&net, product(&net, v, i & 1, 0), 0);
            a = run(&net, batch, i % 2, &n, &apart, &idle);
            read_in_place += idle;

            same = same && n == m && memcmp(a, b, n) == 0;

            free(a);
            free(b);
        }

        infer_graph_close(net.g);
    }

    ok(same, "products through views: the bits of products of copies");
    ok(read_in_place > 400, "most moves are not made (%d)", read_in_place);
}


int
main(void)
{
    test_columns();
    test_views();

    return done();
}
