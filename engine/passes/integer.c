/*
 * The pass for integers: from dequantize, float operators and quantize to
 * operators on bytes.  It rebuilds the graph in one walk.  A dequantize node
 * emits nothing: its result is noted to follow from bytes, which travel
 * through operators that only move elements, and gather what works on each
 * element alone in a table of 256.  An operator that has a form for bytes
 * takes them, together with the quantize node behind it; any other asks for
 * the floats, which makes the dequantize real: what matches nothing stays as
 * it was.
 *
 * Inside, bytes are u8: an i8 tensor is kept as q + 128, and gets its own form
 * where an output or an operator that knows nothing of this asks for it.
 */

#include <math.h>
#include <string.h>

#include "ops/op.h"
#include "passes/integer.h"
#include "passes/passes.h"


static int any_integers(const infer_graph_t *g);
static int lowering_init(infer_lowering_t *l, infer_graph_t *g);
static int visit(infer_lowering_t *l, const infer_node_t *node);
static int plain(infer_lowering_t *l, const infer_node_t *node);
static int set_results(infer_lowering_t *l, const infer_node_t *node,
    infer_value_t **out);
static int quantize(infer_lowering_t *l, const infer_node_t *node);
static int dequantize(infer_lowering_t *l, const infer_node_t *node);
static int each_byte(infer_lowering_t *l, const infer_node_t *node);
static infer_value_t *origin_of(infer_value_t *v, infer_value_t **map);
static infer_value_t *common_bytes(infer_lowering_t *l,
    const infer_node_t *node);
static int is_number(const infer_node_t *node, int i);
static infer_value_t *operand_of_bytes(infer_lowering_t *l,
    const infer_node_t *node, int i, const infer_value_t *q);
static infer_value_t *table_of(infer_lowering_t *l, infer_value_t *old);
static infer_value_t *look_up(infer_lowering_t *l, const char *name,
    infer_value_t *q, infer_value_t *table);
static infer_value_t *as_bytes(infer_lowering_t *l, infer_value_t *old);
static infer_value_t *dynamic(infer_lowering_t *l, infer_byte_view_t *view);
static infer_value_t *emit_dequantize(infer_lowering_t *l, const char *name,
    infer_value_t *q, infer_affine_scale_t as);
static infer_value_t *emit_quantize(infer_lowering_t *l, const char *name,
    infer_value_t *x, infer_affine_scale_t as);
static infer_value_t *byte_constant(infer_graph_t *g, int x);


int
infer_pass_integer(infer_graph_t *g)
{
    size_t             n_nodes;
    infer_node_t     **node;
    infer_lowering_t   l;

    if (!any_integers(g)) {
        return 0;
    }

    node = infer_graph_alloc(g, g->n_nodes * sizeof(infer_node_t *));

    if (node == NULL || lowering_init(&l, g) != 0) {
        return -1;
    }

    memcpy(node, g->node, g->n_nodes * sizeof(infer_node_t *));
    n_nodes = g->n_nodes;
    g->n_nodes = 0;

    for (size_t i = 0; i < n_nodes; i++) {
        if (!l.done[i] && visit(&l, node[i]) != 0) {
            return -1;
        }
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        g->output[i].value = infer_lowered(&l, g->output[i].value);
        if (g->output[i].value == NULL) {
            return -1;
        }
    }

    return infer_pass_sweep(g);
}


static int
any_integers(const infer_graph_t *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->id == INFER_OP_QUANTIZE
            || g->node[i]->id == INFER_OP_DEQUANTIZE)
        {
            return 1;
        }
    }

    return 0;
}


static int
lowering_init(infer_lowering_t *l, infer_graph_t *g)
{
    const infer_node_t  *node;

    l->g = g;
    l->view = infer_graph_alloc(g, g->n_values * sizeof(*l->view));
    l->user = infer_graph_alloc(g, g->n_values * sizeof(*l->user));
    l->done = infer_graph_alloc(g, g->n_nodes);
    l->bytes = infer_graph_bytes(g, INFER_U8);

    if (l->view == NULL || l->user == NULL || l->done == NULL
        || l->bytes == NULL)
    {
        return -1;
    }

    for (size_t i = 0; i < g->n_nodes; i++) {
        node = g->node[i];

        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] != NULL) {
                l->user[node->in[k]->id] = node;
            }
        }
    }

    /* l->bytes is not among them */
    for (size_t i = 0; i + 1 < g->n_values; i++) {
        if (g->value[i]->producer == NULL) {
            l->view[i].value = g->value[i];
        }
    }

    return 0;
}


static int
visit(infer_lowering_t *l, const infer_node_t *node)
{
    int  rc = 0;

    switch (node->id) {

    case INFER_OP_QUANTIZE:
        rc = quantize(l, node);
        break;

    case INFER_OP_DEQUANTIZE:
        rc = dequantize(l, node);
        break;

    case INFER_OP_CONV:
    case INFER_OP_FC:
        rc = infer_lower_product(l, node);
        break;

    case INFER_OP_UNARY:
    case INFER_OP_CAST:
        rc = each_byte(l, node);
        break;

    case INFER_OP_BINARY:
        rc = each_byte(l, node);
        rc = rc == 0 ? infer_lower_binary(l, node) : rc;
        break;

    case INFER_OP_REDUCE:
        rc = infer_lower_average(l, node);
        break;

    case INFER_OP_POOL:
        rc = infer_lower_average(l, node);
        rc = rc == 0 ? infer_lower_move(l, node) : rc;
        break;

    case INFER_OP_CONCAT:
        rc = infer_lower_concat(l, node);
        break;

    case INFER_OP_TRANSPOSE:
    case INFER_OP_RESHAPE:
    case INFER_OP_SLICE:
    case INFER_OP_PAD:
    case INFER_OP_EXPAND:
    case INFER_OP_GATHER:
    case INFER_OP_RESIZE:
        rc = infer_lower_move(l, node);
        break;

    default:
        break;
    }

    return rc == 1 ? 0 : rc == 0 ? plain(l, node) : -1;
}


/* The node as it was. */
static int
plain(infer_lowering_t *l, const infer_node_t *node)
{
    infer_value_t  **in, **out;

    in = infer_graph_alloc(l->g, (size_t) (node->n_in + node->n_out)
                                 * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    out = in + node->n_in;

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] != NULL) {
            in[i] = infer_lowered(l, node->in[i]);
            if (in[i] == NULL) {
                return -1;
            }
        }
    }

    if (infer_graph_emit(l->g, node->id, &node->param, node->name, in,
                         node->n_in, out, node->n_out) != 0)
    {
        return -1;
    }

    return set_results(l, node, out);
}


static int
set_results(infer_lowering_t *l, const infer_node_t *node,
    infer_value_t **out)
{
    for (int i = 0; i < node->n_out; i++) {
        l->view[node->out[i]->id].value = out[i];
        out[i]->name = node->out[i]->name;
    }

    return 0;
}


/* ---- views ------------------------------------------------------------ */

infer_value_t *
infer_lowered(infer_lowering_t *l, infer_value_t *old)
{
    infer_value_t      *table;
    infer_byte_view_t  *view = &l->view[old->id];

    if (view->value != NULL) {
        return view->value;
    }

    if (view->scale != NULL) {
        view->value = dynamic(l, view);

    } else if (view->linear && old->dtype == INFER_U8) {
        view->value = view->q;

    } else if (view->linear && old->dtype == INFER_F32) {
        view->value = emit_dequantize(l, old->name, view->q, view->as);

    } else {
        table = table_of(l, old);
        view->value = table == NULL
                      ? NULL : look_up(l, old->name, view->q, table);
    }

    return view->value;
}


infer_byte_view_t *
infer_byte_view(infer_lowering_t *l, infer_value_t *old)
{
    float                     scale;
    infer_byte_view_t        *view = &l->view[old->id];
    const infer_quantized_t  *was = old->quantized;

    if (view->q == NULL && was != NULL && was->q->dtype != INFER_I32
        && infer_is_scale(was->scale, &scale))
    {
        view->q = infer_graph_shifted(l->g, (infer_value_t *) was->q);
        view->linear = 1;
        view->as.scale = scale;
        view->as.zero = infer_zero_as_u8(was->zero, was->q->dtype);
    }

    return view;
}


/* The u8 form of an old value that is u8 or i8, noted as such. */
static infer_value_t *
as_bytes(infer_lowering_t *l, infer_value_t *old)
{
    infer_value_t      *v;
    infer_byte_view_t  *view = &l->view[old->id];

    if (view->q != NULL && view->linear) {
        return view->q;
    }

    v = infer_lowered(l, old);
    if (v == NULL) {
        return NULL;
    }

    view->q = infer_graph_shifted(l->g, v);
    view->table = NULL;
    view->linear = 1;
    view->as.scale = 1;
    view->as.zero = old->dtype == INFER_I8 ? 128 : 0;

    return view->q;
}


/* What each byte means. */
static infer_value_t *
table_of(infer_lowering_t *l, infer_value_t *old)
{
    infer_byte_view_t  *view = &l->view[old->id];

    if (view->table == NULL) {
        view->table = old->dtype == INFER_F32
                      ? emit_dequantize(l, old->name, l->bytes, view->as)
                      : infer_graph_bytes(l->g, old->dtype);
    }

    return view->table;
}


static infer_value_t *
look_up(infer_lowering_t *l, const char *name, infer_value_t *q,
    infer_value_t *table)
{
    infer_param_t   param;
    infer_value_t  *in[2] = { q, table };

    memset(&param, 0, sizeof(param));

    return infer_graph_emit1(l->g, INFER_OP_TABLE, &param, name, in, 2);
}


/* (q - zero) * scale in floats, each number for all dimensions behind its
   own. */
static infer_value_t *
dynamic(infer_lowering_t *l, infer_byte_view_t *view)
{
    infer_param_t   param, shape;
    infer_value_t  *in[2], *number[2] = { view->zero, view->scale };

    memset(&param, 0, sizeof(param));
    memset(&shape, 0, sizeof(shape));
    shape.shape.rank = view->q->rank;

    for (int i = 0; i < view->q->rank; i++) {
        shape.shape.dim[i] = i < view->scale->rank ? view->scale->dim[i]
                                                   : infer_dim(1);
    }

    param.cast.dtype = INFER_F32;
    in[0] = infer_graph_emit1(l->g, INFER_OP_CAST, &param, NULL, &view->q, 1);
    number[0] = infer_graph_emit1(l->g, INFER_OP_CAST, &param, NULL, number,
                                  1);

    for (int i = 0; i < 2; i++) {
        if (in[0] == NULL || number[i] == NULL) {
            return NULL;
        }

        in[1] = infer_graph_emit1(l->g, INFER_OP_RESHAPE, &shape, NULL,
                                  &number[i], 1);
        if (in[1] == NULL) {
            return NULL;
        }

        memset(&param, 0, sizeof(param));
        param.binary.kind = i == 0 ? INFER_SUB : INFER_MUL;
        in[0] = infer_graph_emit1(l->g, INFER_OP_BINARY, &param, NULL, in, 2);
    }

    return in[0];
}


/* ---- quantize and dequantize ------------------------------------------ */

int
infer_is_scale(const infer_value_t *v, float *scale)
{
    if (v->data == NULL || v->dtype != INFER_F32 || !infer_value_is_one(v)) {
        return 0;
    }

    memcpy(scale, v->data, sizeof(float));

    return *scale > 0 && isfinite(*scale);
}


int
infer_zero_as_u8(const infer_value_t *zero, infer_dtype_t dtype)
{
    const unsigned char  *data;

    data = zero != NULL ? zero->data : NULL;

    return dtype == INFER_I8 ? 128 + (data != NULL ? (int8_t) data[0] : 0)
                             : data != NULL ? data[0] : 0;
}


const infer_node_t *
infer_closing(const infer_lowering_t *l, const infer_value_t *old,
    infer_affine_scale_t *as)
{
    const infer_node_t  *q = l->user[old->id];

    if (old->uses != 1 || q == NULL || q->id != INFER_OP_QUANTIZE
        || !infer_is_scale(q->in[1], &as->scale))
    {
        return NULL;
    }

    as->zero = infer_zero_as_u8(q->n_in > 2 ? q->in[2] : NULL,
                                q->out[0]->dtype);

    return q;
}


void
infer_closed(infer_lowering_t *l, const infer_node_t *q,
    infer_value_t *bytes)
{
    infer_byte_view_t  *view = &l->view[q->out[0]->id];

    view->q = bytes;
    view->linear = 1;
    view->as.scale = 1;
    view->as.zero = q->out[0]->dtype == INFER_I8 ? 128 : 0;

    bytes->name = q->out[0]->name;
    l->done[q->index] = 1;
}


static int
quantize(infer_lowering_t *l, const infer_node_t *node)
{
    infer_value_t         *q;
    infer_affine_scale_t   as;

    if (!infer_is_scale(node->in[1], &as.scale)) {
        return 0;
    }

    as.zero = infer_zero_as_u8(node->n_in > 2 ? node->in[2] : NULL,
                               node->out[0]->dtype);

    q = infer_quantized_to(l, node->in[0], as);
    if (q == NULL) {
        return -1;
    }

    infer_closed(l, node, q);

    return 1;
}


infer_value_t *
infer_quantized_to(infer_lowering_t *l, infer_value_t *old,
    infer_affine_scale_t as)
{
    infer_value_t      *v;
    infer_byte_view_t  *view = &l->view[old->id];

    if (view->q == NULL || view->scale != NULL) {
        v = infer_lowered(l, old);
        return v == NULL ? NULL : emit_quantize(l, old->name, v, as);
    }

    if (view->linear && view->as.scale == as.scale
        && view->as.zero == as.zero)
    {
        return view->q;
    }

    v = table_of(l, old);
    v = v == NULL ? NULL : emit_quantize(l, old->name, v, as);

    return v == NULL ? NULL : look_up(l, old->name, view->q, v);
}


/* The bytes that v is looked up from, with what they become in *map; v itself
   where it is not. */
static infer_value_t *
origin_of(infer_value_t *v, infer_value_t **map)
{
    const infer_node_t  *node = v->producer;

    *map = NULL;

    if (node == NULL || node->id != INFER_OP_TABLE
        || node->in[0]->dtype != INFER_U8)
    {
        return v;
    }

    *map = node->in[1];

    return node->in[0];
}


static int
dequantize(infer_lowering_t *l, const infer_node_t *node)
{
    float               scale;
    infer_value_t      *x = node->in[0];
    infer_byte_view_t  *view = &l->view[node->out[0]->id];

    if (node->in[1]->data == NULL) {
        view->q = infer_lowered(l, x);
        view->scale = infer_lowered(l, node->in[1]);
        view->zero = infer_lowered(l, node->in[2]);

        return view->q == NULL || view->scale == NULL || view->zero == NULL
               ? -1 : 1;
    }

    if (x->dtype == INFER_I32 || !infer_is_scale(node->in[1], &scale)) {
        return 0;
    }

    view->q = as_bytes(l, x);
    view->linear = 1;
    view->as.scale = scale;
    view->as.zero = infer_zero_as_u8(node->n_in > 2 ? node->in[2] : NULL,
                                     x->dtype);

    return view->q == NULL ? -1 : 1;
}


static infer_value_t *
emit_dequantize(infer_lowering_t *l, const char *name, infer_value_t *q,
    infer_affine_scale_t as)
{
    infer_param_t   param;
    infer_value_t  *in[3];

    memset(&param, 0, sizeof(param));
    in[0] = q;
    in[1] = infer_graph_scalar(l->g, as.scale);
    in[2] = byte_constant(l->g, as.zero);

    return in[1] == NULL || in[2] == NULL ? NULL
           : infer_graph_emit1(l->g, INFER_OP_DEQUANTIZE, &param, name, in,
                               3);
}


static infer_value_t *
emit_quantize(infer_lowering_t *l, const char *name, infer_value_t *x,
    infer_affine_scale_t as)
{
    infer_param_t   param;
    infer_value_t  *in[3];

    memset(&param, 0, sizeof(param));
    param.quantize.dtype = INFER_U8;
    in[0] = x;
    in[1] = infer_graph_scalar(l->g, as.scale);
    in[2] = byte_constant(l->g, as.zero);

    return in[1] == NULL || in[2] == NULL ? NULL
           : infer_graph_emit1(l->g, INFER_OP_QUANTIZE, &param, name, in, 3);
}


static infer_value_t *
byte_constant(infer_graph_t *g, int x)
{
    unsigned char  *data;

    data = infer_graph_alloc(g, 1);
    if (data == NULL) {
        return NULL;
    }

    *data = (unsigned char) x;

    return infer_graph_constant(g, NULL, INFER_U8, 0, NULL, data);
}


/* ---- element by element ----------------------------------------------- */

/*
 * A function of one byte: of one operand and numbers, or of several that
 * follow from the same bytes.  It is computed for all 256.
 */
static int
each_byte(infer_lowering_t *l, const infer_node_t *node)
{
    infer_value_t      *q, *in[2], *table;
    infer_byte_view_t  *out = &l->view[node->out[0]->id];

    q = common_bytes(l, node);

    if (q == NULL || node->out[0]->rank != q->rank) {
        return 0;
    }

    for (int i = 0; i < q->rank; i++) {
        if (!infer_dim_equal(q->dim[i], node->out[0]->dim[i])) {
            return 0;
        }
    }

    for (int i = 0; i < node->n_in; i++) {
        in[i] = operand_of_bytes(l, node, i, q);
        if (in[i] == NULL) {
            return -1;
        }
    }

    table = infer_graph_emit1(l->g, node->id, &node->param, node->name, in,
                              node->n_in);
    if (table == NULL) {
        return -1;
    }

    if (table->data == NULL
        || (table->dtype != INFER_F32 && table->dtype != INFER_U8
            && table->dtype != INFER_I8))
    {
        return 0;
    }

    out->q = q;
    out->table = table;

    return 1;
}


/* The bytes that all operands but numbers follow from: at once, or by a table
   that was made of them before.  NULL where there are none. */
static infer_value_t *
common_bytes(infer_lowering_t *l, const infer_node_t *node)
{
    int                 n = 0;
    infer_value_t      *q[2], *root[2], *map;
    infer_byte_view_t  *view;

    for (int i = 0; i < node->n_in; i++) {
        view = &l->view[node->in[i]->id];

        if (is_number(node, i)) {
            continue;
        }

        if (view->q == NULL || view->scale != NULL) {
            return NULL;
        }

        q[n] = view->q;
        root[n++] = origin_of(view->q, &map);
    }

    if (n == 2 && q[0] != q[1]) {
        return root[0] == q[1] ? q[1] : root[1] == q[0] ? q[0]
               : root[0] == root[1] ? root[0] : NULL;
    }

    return n > 0 ? q[0] : NULL;
}


static int
is_number(const infer_node_t *node, int i)
{
    return node->in[i]->data != NULL && infer_value_is_one(node->in[i])
           && node->in[i]->rank <= node->out[0]->rank;
}


/* An operand as 256 elements, one for each byte of q, or as one number. */
static infer_value_t *
operand_of_bytes(infer_lowering_t *l, const infer_node_t *node, int i,
    const infer_value_t *q)
{
    infer_param_t       shape;
    infer_value_t      *map, *table, *old = node->in[i];
    infer_byte_view_t  *view = &l->view[old->id];

    if (is_number(node, i)) {
        memset(&shape, 0, sizeof(shape));
        return infer_graph_emit1(l->g, INFER_OP_RESHAPE, &shape, NULL, &old,
                                 1);
    }

    table = table_of(l, old);

    if (table == NULL || view->q == q) {
        return table;
    }

    (void) origin_of(view->q, &map);

    return look_up(l, old->name, map, table);
}
