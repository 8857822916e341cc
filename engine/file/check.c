/*
 * Whether a model from a file can be trusted with memory.  Checksums tell of
 * accidents; here nothing is believed.  The graph that the block was built of
 * is put together again from its tables, each operator's shape rule is applied
 * to it, and what the file says of every value is held against that.  What
 * passes could have come out of an importer.
 */

#include <string.h>

#include "file/file.h"
#include "ops/op.h"


/* Names, labels and settings are shorter. */
#define MAX_STRING    65536

#define MAX_OPERANDS  65536


typedef struct {
    const infer_model_t        *m;
    const infer_model_value_t  *row;
    infer_graph_t              *g;
    infer_value_t             **value;     /* NULL: not computed yet */
} infer_checker_t;


static int check_header(const infer_checker_t *c, uint64_t size);
static int check_tables(const infer_checker_t *c);
static int check_values(infer_checker_t *c);
static int check_value(infer_checker_t *c, uint32_t i);
static int check_constant(infer_checker_t *c, uint32_t i,
    const infer_value_t *v);
static int check_ports(infer_checker_t *c, int outputs);
static int check_port(const infer_model_port_t *port, const infer_value_t *v,
    int output);
static int check_nodes(infer_checker_t *c);
static int check_node(infer_checker_t *c, uint32_t i, uint32_t *operand);
static int append_node(infer_checker_t *c, const infer_model_node_t *row,
    const uint32_t *operand);
static int check_results(infer_checker_t *c, const infer_model_node_t *row,
    const uint32_t *operand, infer_value_t *const *out);
static int check_packed(const infer_checker_t *c,
    const infer_model_node_t *row, const infer_node_t *node);
static int check_facts(infer_checker_t *c);
static int string_at(const infer_checker_t *c, uint64_t offset);


int
infer_model_check(const infer_model_t *m, uint64_t size, const char *path,
    infer_error_t *err)
{
    int              rc = -1;
    infer_checker_t  c = { .m = m };

    c.g = infer_graph_create(path, err);
    if (c.g == NULL) {
        return -1;
    }

    if (check_header(&c, size) == 0
        && check_tables(&c) == 0
        && check_values(&c) == 0
        && check_ports(&c, 0) == 0
        && check_nodes(&c) == 0
        && check_ports(&c, 1) == 0
        && check_facts(&c) == 0)
    {
        rc = 0;
    }

    infer_graph_close(c.g);

    return rc;
}


/* ---- offsets ---------------------------------------------------------- */

int
infer_range_valid(uint64_t from, uint64_t size, uint64_t offset, uint64_t n,
    uint64_t row, uint64_t align)
{
    uint64_t  bytes;

    return offset >= from && offset <= size && offset % align == 0
           && !__builtin_mul_overflow(n, row, &bytes)
           && bytes <= size - offset;
}


int
infer_string_valid(const void *base, uint64_t from, uint64_t size,
    uint64_t offset)
{
    uint64_t  room;

    if (offset < from || offset >= size) {
        return 0;
    }

    room = size - offset < MAX_STRING ? size - offset : MAX_STRING;

    return memchr((const char *) base + offset, '\0', room) != NULL;
}


static int
string_at(const infer_checker_t *c, uint64_t offset)
{
    return infer_string_valid(c->m, sizeof(infer_model_t), c->m->size,
                              offset);
}


static int
table_at(const infer_checker_t *c, uint64_t offset, uint64_t n, uint64_t row)
{
    return infer_range_valid(sizeof(infer_model_t), c->m->size, offset, n,
                             row, INFER_MODEL_ALIGN);
}


/* ---- the header ------------------------------------------------------- */

static int
check_header(const infer_checker_t *c, uint64_t size)
{
    const infer_model_t  *m = c->m;

    if (size < sizeof(infer_model_t)
        || memcmp(m->magic, INFER_MODEL_MAGIC, sizeof(m->magic)) != 0
        || m->size != size)
    {
        return infer_graph_fail(c->g, "the model is not one, or of another "
                                "size");
    }

    if (m->version != INFER_MODEL_VERSION
        || m->value_size != sizeof(infer_model_value_t)
        || m->node_size != sizeof(infer_model_node_t)
        || m->port_size != sizeof(infer_model_port_t)
        || m->label_size != sizeof(uint64_t))
    {
        return infer_graph_fail(c->g, "the model is of another version of "
                                "infer: convert it again");
    }

    return 0;
}


static int
check_tables(const infer_checker_t *c)
{
    const infer_model_t  *m = c->m;

    if (!table_at(c, m->values, m->n_values, m->value_size)
        || !table_at(c, m->nodes, m->n_nodes, m->node_size)
        || !table_at(c, m->inputs, m->n_inputs, m->port_size)
        || !table_at(c, m->outputs, m->n_outputs, m->port_size)
        || !table_at(c, m->labels, m->n_labels, m->label_size)
        || !table_at(c, m->operands, 0, 1))
    {
        return infer_graph_fail(c->g, "a table lies outside of the model");
    }

    return 0;
}


/* ---- values ----------------------------------------------------------- */

static int
check_values(infer_checker_t *c)
{
    uint32_t  n = c->m->n_values;

    c->row = infer_model_at(c->m, c->m->values);
    c->value = infer_graph_alloc(c->g, ((size_t) n + 1) * sizeof(*c->value));

    if (c->value == NULL) {
        return -1;
    }

    for (uint32_t i = 0; i < n; i++) {
        if (check_value(c, i) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
check_value(infer_checker_t *c, uint32_t i)
{
    infer_value_t               v;
    const infer_model_value_t  *row = &c->row[i];

    if (row->dtype < 0 || row->dtype >= INFER_DTYPES || row->rank < 0
        || row->rank > INFER_MAX_RANK)
    {
        return infer_graph_fail(c->g, "value %u: dtype %d, rank %d", i,
                                (int) row->dtype, (int) row->rank);
    }

    memset(&v, 0, sizeof(v));
    v.dtype = (infer_dtype_t) row->dtype;
    v.rank = row->rank;
    memcpy(v.dim, row->dim, sizeof(v.dim));

    if (infer_value_fault(&v) != NULL) {
        return infer_graph_fail(c->g, "value %u %s", i,
                                infer_value_fault(&v));
    }

    return row->data == 0 ? 0 : check_constant(c, i, &v);
}


static int
check_constant(infer_checker_t *c, uint32_t i, const infer_value_t *v)
{
    infer_dim_t     n = { 0, 0 };
    infer_value_t  *value;
    const uint64_t  data = c->row[i].data;

    for (int d = 0; d < v->rank; d++) {
        if (v->dim[d].batch != 0) {
            return infer_graph_fail(c->g, "value %u: a constant that follows "
                                    "the batch", i);
        }
    }

    (void) infer_value_numel(v, &n);

    if (data != INFER_MODEL_PACKED
        && !table_at(c, data, (uint64_t) n.base, infer_dtype_size(v->dtype)))
    {
        return infer_graph_fail(c->g, "value %u: its data lies outside of "
                                "the model", i);
    }

    value = infer_graph_value(c->g, NULL, v->dtype, v->rank, v->dim);
    if (value == NULL) {
        return -1;
    }

    value->packed = data == INFER_MODEL_PACKED;
    value->data = value->packed ? NULL : infer_model_at(c->m, data);
    c->value[i] = value;

    return 0;
}


/* ---- inputs and outputs ----------------------------------------------- */

static int
check_ports(infer_checker_t *c, int outputs)
{
    uint32_t                   n;
    infer_value_t             *v;
    const infer_model_t       *m = c->m;
    const infer_model_port_t  *port;
    const infer_model_value_t *row;

    n = outputs ? m->n_outputs : m->n_inputs;
    port = infer_model_at(m, outputs ? m->outputs : m->inputs);

    for (uint32_t i = 0; i < n; i++, port++) {
        if (!string_at(c, port->name) || port->value >= m->n_values
            || (outputs ? c->value[port->value] == NULL
                          || c->value[port->value]->packed
                        : c->value[port->value] != NULL))
        {
            return infer_graph_fail(c->g, "%s %u: its name or value does not "
                                    "exist", outputs ? "output" : "input", i);
        }

        if (!outputs) {
            row = &c->row[port->value];
            v = infer_graph_value(c->g, NULL, (infer_dtype_t) row->dtype,
                                  row->rank, row->dim);
            if (v == NULL) {
                return -1;
            }

            c->value[port->value] = v;
        }

        if (check_port(port, c->value[port->value], outputs) != 0)
        {
            return infer_graph_fail(c->g, "%s %u is not like its value",
                                    outputs ? "output" : "input", i);
        }
    }

    return 0;
}


/* As importers make them: see infer_graph_port_t. */
static int
check_port(const infer_model_port_t *port, const infer_value_t *v, int output)
{
    int          last = v->rank - 1;
    infer_dim_t  d;

    if (port->dtype != (int) v->dtype || port->rank != v->rank
        || (port->nchw != 0
            && (port->nchw != 1 || output || v->rank != 4
                || v->dtype != INFER_F32)))
    {
        return -1;
    }

    for (int i = 0; i < INFER_MAX_RANK; i++) {
        d = infer_dim(0);

        if (i <= last) {
            d = v->dim[!port->nchw || i == 0 ? i : i == 1 ? last : i - 1];
        }

        if (port->dim[i] != (d.batch != 0 ? INFER_BATCH : d.base)) {
            return -1;
        }

        /* an input is as large as the batch, not somehow larger with it */
        if (!output && d.batch != 0 && (d.batch != 1 || d.base != 0)) {
            return -1;
        }
    }

    return 0;
}


/* ---- nodes ------------------------------------------------------------ */

static int
check_nodes(infer_checker_t *c)
{
    uint32_t  operand = 0;

    for (uint32_t i = 0; i < c->m->n_nodes; i++) {
        if (check_node(c, i, &operand) != 0) {
            return -1;
        }
    }

    for (uint32_t i = 0; i < c->m->n_values; i++) {
        if (c->value[i] == NULL) {
            return infer_graph_fail(c->g, "value %u is never computed", i);
        }
    }

    return 0;
}


/* operand: where the operands of this node begin, then of the next. */
static int
check_node(infer_checker_t *c, uint32_t i, uint32_t *operand)
{
    const uint32_t            *first;
    const infer_model_t       *m = c->m;
    const infer_model_node_t  *row;

    row = (const infer_model_node_t *) infer_model_at(m, m->nodes) + i;

    if (!string_at(c, row->name) || row->op >= INFER_OPS
        || infer_op_table[row->op] == NULL)
    {
        return infer_graph_fail(c->g, "node %u: its name or operator does "
                                "not exist", i);
    }

    if (row->operand != *operand || row->n_in > MAX_OPERANDS
        || row->n_out > MAX_OPERANDS
        || !table_at(c, m->operands,
                     (uint64_t) row->operand + row->n_in + row->n_out,
                     sizeof(uint32_t)))
    {
        return infer_graph_fail(c->g, "node %u: its operands lie elsewhere",
                                i);
    }

    first = (const uint32_t *) infer_model_at(m, m->operands) + row->operand;
    *operand += row->n_in + row->n_out;

    for (uint32_t k = 0; k < row->n_in + row->n_out; k++) {
        if (k < row->n_in && first[k] == INFER_MODEL_NONE) {
            continue;
        }

        if (first[k] >= m->n_values
            || (c->value[first[k]] == NULL) != (k >= row->n_in)
            || (k < row->n_in && c->value[first[k]]->packed
                && !infer_op_packs(infer_op_table[row->op], (int) k)))
        {
            return infer_graph_fail(c->g, "node %u: operand %u does not "
                                    "exist, not yet, or already", i, k);
        }
    }

    return append_node(c, row, first);
}


static int
append_node(infer_checker_t *c, const infer_model_node_t *row,
    const uint32_t *operand)
{
    int             n_in = (int) row->n_in, n_out = (int) row->n_out;
    infer_value_t **in, **out;

    in = infer_graph_alloc(c->g, (size_t) (n_in + n_out + 1) * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    for (int k = 0; k < n_in; k++) {
        in[k] = operand[k] == INFER_MODEL_NONE ? NULL : c->value[operand[k]];
    }

    out = in + n_in;

    if (infer_graph_append(c->g, (infer_op_id_t) row->op, &row->param,
                           infer_model_at(c->m, row->name), in, n_in, out,
                           n_out)
        != 0)
    {
        return -1;
    }

    if (check_results(c, row, operand + n_in, out) != 0) {
        return -1;
    }

    return check_packed(c, row, c->g->node[c->g->n_nodes - 1]);
}


/* The shape rule has set the results: the file must say the same. */
static int
check_results(infer_checker_t *c, const infer_model_node_t *row,
    const uint32_t *operand, infer_value_t *const *out)
{
    int                         same;
    const infer_model_value_t  *value;

    for (uint32_t k = 0; k < row->n_out; k++) {
        value = &c->row[operand[k]];
        same = c->value[operand[k]] == NULL
               && value->dtype == (int) out[k]->dtype
               && value->rank == out[k]->rank;

        for (int d = 0; same && d < value->rank; d++) {
            same = infer_dim_equal(value->dim[d], out[k]->dim[d]);
        }

        if (!same) {
            return infer_graph_fail(c->g, "value %u is not what node "
                                    "\"%.120s\" computes", operand[k],
                                    (const char *)
                                    infer_model_at(c->m, row->name));
        }

        c->value[operand[k]] = out[k];
    }

    return 0;
}


static int
check_packed(const infer_checker_t *c, const infer_model_node_t *row,
    const infer_node_t *node)
{
    int  fits;

    fits = node->op->pack == NULL
           ? row->packed == 0
           : table_at(c, row->packed, 1, node->op->pack_size(node));

    if (!fits) {
        return infer_node_fail(c->g, node, "its weights lie outside of the "
                               "model");
    }

    if (node->op->packed_valid != NULL
        && !node->op->packed_valid(node, infer_model_at(c->m, row->packed)))
    {
        return infer_node_fail(c->g, node, "its weights are not in order");
    }

    return 0;
}


/* ---- the rest --------------------------------------------------------- */

/* What the header says of the graph, labels, preprocessing. */
static int
check_facts(infer_checker_t *c)
{
    uint32_t                   follows = 0, probabilities = 0;
    infer_node_t              *producer;
    const uint64_t            *label;
    infer_preprocess_t         pp;
    infer_error_t              why;
    const infer_model_t       *m = c->m;
    const infer_model_port_t  *port = infer_model_at(m, m->inputs);

    for (uint32_t i = 0; i < m->n_inputs; i++) {
        for (int d = 0; d < port[i].rank; d++) {
            follows |= port[i].dim[d] == INFER_BATCH;
        }
    }

    if (m->n_outputs > 0) {
        port = infer_model_at(m, m->outputs);
        producer = c->value[port->value]->producer;
        probabilities = producer != NULL && producer->id == INFER_OP_SOFTMAX
                        && !producer->param.softmax.log;
    }

    if (m->follows_batch != follows || m->probabilities != probabilities) {
        return infer_graph_fail(c->g, "the model's header is not that of its "
                                "graph");
    }

    label = infer_model_at(m, m->labels);

    for (uint32_t i = 0; i < m->n_labels; i++) {
        if (!string_at(c, label[i])) {
            return infer_graph_fail(c->g, "label %u lies outside of the "
                                    "model", i);
        }
    }

    if (m->preprocess == 0) {
        return 0;
    }

    memset(&pp, 0, sizeof(pp));

    if (!string_at(c, m->preprocess)
        || infer_preprocess_parse(&pp, infer_model_at(m, m->preprocess), &why)
           != 0)
    {
        return infer_graph_fail(c->g, "the model's preprocessing cannot be "
                                "read");
    }

    return 0;
}
