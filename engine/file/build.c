/*
 * Graph to model.  One walk lays everything out; done without memory it gives
 * the size, done with it writes the block.  Weights go from the mapped file
 * straight into their panels, and its pages are given back on the way: memory
 * holds the weights once.
 */

#include <stdlib.h>
#include <string.h>

#include "file/model.h"
#include "ops/op.h"


/* A node that has packed weights, and where they lie. */
typedef struct {
    const infer_node_t    *node;
    uint64_t               pos;
} infer_packer_t;

typedef struct {
    char                  *base;       /* NULL: only measure */
    uint64_t               pos;
    const infer_graph_t   *g;
    uint32_t              *index;      /* of a value, by its id */
    const infer_value_t  **used;       /* by index */
    unsigned char         *packed;     /* by index: is only used packed */
    infer_packer_t        *packer;     /* the last one, by a weight's id */
    uint32_t               n_used;
} infer_writer_t;


static int writer_init(infer_writer_t *w, const infer_graph_t *g);
static void writer_done(infer_writer_t *w);
static void use(infer_writer_t *w, const infer_value_t *v, int packed);
static uint64_t write_model(infer_writer_t *w);
static uint64_t write_values(infer_writer_t *w);
static void write_nodes(infer_writer_t *w, infer_model_t *m);
static uint64_t write_packed(infer_writer_t *w, const infer_node_t *node);
static int packs_alike(const infer_node_t *a, const infer_node_t *b);
static void forget_packed(const infer_node_t *node);
static uint64_t write_ports(infer_writer_t *w,
    const infer_graph_port_t *port, size_t n);
static void write_labels(infer_writer_t *w, infer_model_t *m);
static uint64_t reserve(infer_writer_t *w, uint64_t size);
static uint64_t write_string(infer_writer_t *w, const char *s);
static int follows_batch(const infer_graph_t *g);


size_t
infer_graph_model_size(const infer_graph_t *graph)
{
    uint64_t        size;
    infer_writer_t  w;

    if (writer_init(&w, graph) != 0) {
        return 0;
    }

    size = write_model(&w);
    writer_done(&w);

    return size;
}


infer_model_t *
infer_model_build(const infer_graph_t *graph, void *mem, infer_error_t *err)
{
    infer_writer_t  w;

    graph->err->text[0] = '\0';

    if (writer_init(&w, graph) != 0) {
        *err = *graph->err;
        return NULL;
    }

    w.base = mem;
    infer_graph_forget(graph);
    write_model(&w);
    writer_done(&w);

    return mem;
}


/* Numbers the values that nodes and ports refer to. */
static int
writer_init(infer_writer_t *w, const infer_graph_t *g)
{
    const infer_node_t  *node;

    memset(w, 0, sizeof(*w));

    w->g = g;
    w->index = malloc((g->n_values + 1) * sizeof(*w->index));
    w->used = malloc((g->n_values + 1) * sizeof(*w->used));

    w->packed = malloc(g->n_values + 1);
    w->packer = calloc(g->n_values + 1, sizeof(*w->packer));

    if (w->index == NULL || w->used == NULL || w->packed == NULL
        || w->packer == NULL)
    {
        writer_done(w);
        return infer_graph_fail((infer_graph_t *) g, "out of memory");
    }

    memset(w->index, 0xff, (g->n_values + 1) * sizeof(*w->index));

    for (size_t i = 0; i < g->n_inputs; i++) {
        use(w, g->input[i].value, 0);
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        use(w, g->output[i].value, 0);
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] != NULL) {
                use(w, node->in[k], infer_op_packs(node->op, k));
            }
        }

        for (int k = 0; k < node->n_out; k++) {
            use(w, node->out[k], 0);
        }
    }

    return 0;
}


static void
writer_done(infer_writer_t *w)
{
    free(w->index);
    free(w->used);
    free(w->packed);
    free(w->packer);
}


static void
use(infer_writer_t *w, const infer_value_t *v, int packed)
{
    if (w->index[v->id] == INFER_MODEL_NONE) {
        w->index[v->id] = w->n_used;
        w->packed[w->n_used] = 1;
        w->used[w->n_used++] = v;
    }

    w->packed[w->index[v->id]] &= packed;
}


static uint64_t
write_model(infer_writer_t *w)
{
    uint64_t        pos;
    infer_model_t   m;

    memset(&m, 0, sizeof(m));
    memcpy(m.magic, INFER_MODEL_MAGIC, sizeof(m.magic));
    m.version = INFER_MODEL_VERSION;
    m.follows_batch = (uint32_t) follows_batch(w->g);
    m.value_size = sizeof(infer_model_value_t);
    m.node_size = sizeof(infer_model_node_t);
    m.port_size = sizeof(infer_model_port_t);
    m.label_size = sizeof(uint64_t);

    pos = reserve(w, sizeof(infer_model_t));

    m.n_values = w->n_used;
    m.values = write_values(w);

    write_nodes(w, &m);

    m.n_inputs = (uint32_t) w->g->n_inputs;
    m.inputs = write_ports(w, w->g->input, w->g->n_inputs);
    m.n_outputs = (uint32_t) w->g->n_outputs;
    m.outputs = write_ports(w, w->g->output, w->g->n_outputs);

    write_labels(w, &m);

    m.preprocess = write_string(w, w->g->preprocess);

    m.probabilities = w->g->n_outputs > 0
        && w->g->output[0].value->producer != NULL
        && w->g->output[0].value->producer->id == INFER_OP_SOFTMAX
        && !w->g->output[0].value->producer->param.softmax.log;

    m.size = reserve(w, 0);

    if (w->base != NULL) {
        memcpy(w->base + pos, &m, sizeof(m));
    }

    return m.size;
}


static uint64_t
write_values(infer_writer_t *w)
{
    size_t                size;
    uint64_t              table, data;
    infer_tensor_t        t;
    infer_model_value_t   row;
    const infer_value_t  *v;

    table = reserve(w, w->n_used * sizeof(row));

    for (uint32_t i = 0; i < w->n_used; i++) {
        v = w->used[i];
        data = w->packed[i] ? INFER_MODEL_PACKED : 0;

        if (v->data != NULL && !w->packed[i]) {
            infer_value_tensor(v, 1, &t);
            size = infer_numel(&t) * infer_dtype_size(v->dtype);
            data = reserve(w, size);

            if (w->base != NULL && size > 0) {
                memcpy(w->base + data, v->data, size);
                infer_value_forget(v, 0, size);
            }
        }

        if (w->base != NULL) {
            memset(&row, 0, sizeof(row));
            row.data = data;
            row.dtype = v->dtype;
            row.rank = v->rank;
            memcpy(row.dim, v->dim, sizeof(row.dim));
            memcpy(w->base + table + i * sizeof(row), &row, sizeof(row));
        }
    }

    return table;
}


static void
write_nodes(infer_writer_t *w, infer_model_t *m)
{
    uint32_t             *operand, n;
    const infer_node_t   *node;
    infer_model_node_t   row;

    n = 0;

    for (size_t i = 0; i < w->g->n_nodes; i++) {
        n += (uint32_t) (w->g->node[i]->n_in + w->g->node[i]->n_out);
    }

    m->n_nodes = (uint32_t) w->g->n_nodes;
    m->nodes = reserve(w, m->n_nodes * sizeof(row));
    m->operands = reserve(w, n * sizeof(uint32_t));
    n = 0;

    for (size_t i = 0; i < w->g->n_nodes; i++) {
        node = w->g->node[i];

        memset(&row, 0, sizeof(row));
        row.name = write_string(w, node->name);
        row.op = node->id;
        row.operand = n;
        row.n_in = (uint32_t) node->n_in;
        row.n_out = (uint32_t) node->n_out;
        row.param = node->param;

        if (node->op->pack != NULL) {
            row.packed = write_packed(w, node);
        }

        n += row.n_in + row.n_out;

        if (w->base == NULL) {
            continue;
        }

        row.macs = node->op->macs != NULL ? node->op->macs(node) : 0;
        memcpy(w->base + m->nodes + i * sizeof(row), &row, sizeof(row));

        operand = (uint32_t *) (void *) (w->base + m->operands) + row.operand;

        for (int k = 0; k < node->n_in; k++) {
            *operand++ = node->in[k] == NULL
                         ? INFER_MODEL_NONE : w->index[node->in[k]->id];
        }

        for (int k = 0; k < node->n_out; k++) {
            *operand++ = w->index[node->out[k]->id];
        }
    }
}


/*
 * Nodes that pack the same weights in the same way share them: the steps of a
 * recurrent layer.
 */
static uint64_t
write_packed(infer_writer_t *w, const infer_node_t *node)
{
    infer_packer_t  *last = &w->packer[node->in[1]->id];

    if (last->node != NULL && packs_alike(last->node, node)) {
        return last->pos;
    }

    last->node = node;
    last->pos = reserve(w, node->op->pack_size(node));

    if (w->base != NULL) {
        node->op->pack(node, w->base + last->pos);
        forget_packed(node);
    }

    return last->pos;
}


/* The shape of what they are applied to may decide how they are packed. */
static int
packs_alike(const infer_node_t *a, const infer_node_t *b)
{
    const infer_value_t  *x = a->in[0], *y = b->in[0];

    if (a->op != b->op || a->n_in != b->n_in || x->rank != y->rank
        || memcmp(&a->param, &b->param, sizeof(a->param)) != 0
        || memcmp(x->dim, y->dim, (size_t) x->rank * sizeof(x->dim[0])) != 0)
    {
        return 0;
    }

    for (int k = 1; k < a->n_in; k++) {
        if (infer_op_packs(a->op, k) && a->in[k] != b->in[k]) {
            return 0;
        }
    }

    return 1;
}


static void
forget_packed(const infer_node_t *node)
{
    infer_tensor_t        t;
    const infer_value_t  *v;

    for (int k = 0; k < node->n_in; k++) {
        v = node->in[k];

        if (v != NULL && infer_op_packs(node->op, k)) {
            infer_value_tensor(v, 1, &t);
            infer_value_forget(v, 0,
                               infer_numel(&t) * infer_dtype_size(t.dtype));
        }
    }
}


static uint64_t
write_ports(infer_writer_t *w, const infer_graph_port_t *port, size_t n)
{
    uint64_t            table;
    infer_model_port_t  row;

    table = reserve(w, n * sizeof(row));

    for (size_t i = 0; i < n; i++) {
        memset(&row, 0, sizeof(row));
        row.name = write_string(w, port[i].port.name);
        row.value = w->index[port[i].value->id];
        row.nchw = port[i].nchw;
        row.dtype = port[i].port.dtype;
        row.rank = port[i].port.rank;
        memcpy(row.dim, port[i].port.dim, sizeof(row.dim));

        if (w->base != NULL) {
            memcpy(w->base + table + i * sizeof(row), &row, sizeof(row));
        }
    }

    return table;
}


static void
write_labels(infer_writer_t *w, infer_model_t *m)
{
    uint64_t  pos;

    m->n_labels = (uint32_t) w->g->n_labels;
    m->labels = reserve(w, m->n_labels * sizeof(uint64_t));

    for (size_t i = 0; i < w->g->n_labels; i++) {
        pos = write_string(w, w->g->label[i]);

        if (w->base != NULL) {
            memcpy(w->base + m->labels + i * sizeof(pos), &pos, sizeof(pos));
        }
    }
}


/* Room at the next aligned place; what lies between is zeroed. */
static uint64_t
reserve(infer_writer_t *w, uint64_t size)
{
    uint64_t  pos;

    pos = (w->pos + INFER_MODEL_ALIGN - 1) / INFER_MODEL_ALIGN
          * INFER_MODEL_ALIGN;

    if (w->base != NULL) {
        memset(w->base + w->pos, 0, pos - w->pos);
    }

    w->pos = pos + size;

    return pos;
}


/* Strings are packed without alignment. */
static uint64_t
write_string(infer_writer_t *w, const char *s)
{
    size_t    size;
    uint64_t  pos;

    if (s == NULL) {
        return 0;
    }

    size = strlen(s) + 1;
    pos = w->pos;

    if (w->base != NULL) {
        memcpy(w->base + pos, s, size);
    }

    w->pos += size;

    return pos;
}


static int
follows_batch(const infer_graph_t *g)
{
    const infer_value_t  *v;

    for (size_t i = 0; i < g->n_inputs; i++) {
        v = g->input[i].value;

        for (int d = 0; d < v->rank; d++) {
            if (v->dim[d].batch != 0) {
                return 1;
            }
        }
    }

    return 0;
}
