/*
 * From an ONNX file to a graph: read it, refuse what cannot be served, then
 * import inputs, nodes in their order, and outputs.
 */

#include <string.h>

#include "import/onnx/onnx.h"


static int import_node(onnx_t *o, onnx_node_t *node);
static int count_operands(onnx_t *o, onnx_node_t *node);
static int resolve(onnx_t *o, onnx_node_t *node, int i);
static int define(onnx_t *o, onnx_node_t *node);
static void count_parameters(onnx_t *o, const infer_value_t *v);
static int warn_unused(onnx_t *o);


int
infer_import_onnx(infer_graph_t *g, const infer_load_options_t *options)
{
    onnx_t  o;

    memset(&o, 0, sizeof(o));
    o.g = g;
    o.options = options;
    g->summary.format = "onnx";

    if (onnx_model_parse(&o) != 0) {
        return -1;
    }

    g->summary.opset = o.opset;

    if (onnx_check(&o) != 0 || onnx_import_inputs(&o) != 0) {
        return -1;
    }

    for (size_t i = 0; i < o.n_nodes; i++) {
        if (import_node(&o, &o.node[i]) != 0) {
            return -1;
        }
    }

    if (onnx_import_outputs(&o) != 0) {
        return -1;
    }

    return warn_unused(&o);
}


static int
import_node(onnx_t *o, onnx_node_t *node)
{
    if (count_operands(o, node) != 0) {
        return -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (resolve(o, node, i) != 0) {
            return -1;
        }
    }

    if (node->row->import(o, node) != 0) {
        return -1;
    }

    return define(o, node);
}


static int
count_operands(onnx_t *o, onnx_node_t *node)
{
    const onnx_op_t  *row;

    row = node->row;

    if (node->n_in < row->min_in || node->n_in > row->max_in) {
        return onnx_fail(o, node, "has %d operands, must have %d%s",
                         node->n_in, row->min_in,
                         row->max_in == row->min_in ? "" : " or more");
    }

    if (node->n_out < 1 || node->n_out > row->max_out) {
        return onnx_fail(o, node, "has %d results", node->n_out);
    }

    for (int i = 0; i < row->min_in; i++) {
        if (node->in_name[i][0] == '\0') {
            return onnx_fail(o, node, "operand %d is missing", i);
        }
    }

    return 0;
}


static int
resolve(onnx_t *o, onnx_node_t *node, int i)
{
    onnx_name_t  *def;

    if (node->in_name[i][0] == '\0') {
        return 0;
    }

    def = onnx_find(o, node->in_name[i]);

    if (def == NULL) {
        return onnx_fail(o, node, "operand \"%.80s\" is not defined",
                         node->in_name[i]);
    }

    if (def->origin == ONNX_RESULT && def->value == NULL) {
        return onnx_fail(o, node, "operand \"%.80s\" is used before it is "
                         "computed: the nodes are out of order, or in a "
                         "circle", node->in_name[i]);
    }

    def->used = 1;
    node->in[i] = onnx_value(o, def);

    return node->in[i] == NULL ? -1 : 0;
}


infer_value_t *
onnx_value(onnx_t *o, onnx_name_t *def)
{
    if (def->value != NULL) {
        return def->value;
    }

    if (def->origin == ONNX_INITIALIZER) {
        def->value = onnx_tensor_constant(o, o->initializer[def->index],
                                          def->name);
        if (def->value != NULL) {
            count_parameters(o, def->value);
        }

        return def->value;
    }

    infer_graph_fail(o->g, "\"%.120s\" %s", def->name,
                     def->origin == ONNX_SPARSE
                     ? "is a sparse tensor, which is not supported"
                     : "is not computed");

    return NULL;
}


/* Names the results; one that has a name already is another's alias. */
static int
define(onnx_t *o, onnx_node_t *node)
{
    infer_dim_t     n;
    onnx_name_t    *def;
    infer_value_t  *v;

    for (int i = 0; i < node->n_out; i++) {
        if (node->out_name[i][0] == '\0') {
            continue;
        }

        v = node->out[i];

        if (v == NULL) {
            return onnx_fail(o, node, "result %d is not supported", i);
        }

        if (v->name[0] == '\0') {
            v->name = node->out_name[i];
        }

        def = onnx_find(o, node->out_name[i]);
        def->value = v;
    }

    if (strcmp(node->op, "Constant") == 0 && node->out[0] != NULL
        && infer_value_numel(node->out[0], &n) == 0 && n.base > 1)
    {
        count_parameters(o, node->out[0]);
    }

    return 0;
}


static void
count_parameters(onnx_t *o, const infer_value_t *v)
{
    infer_dim_t  n;

    if ((v->dtype <= INFER_BF16 || v->dtype == INFER_I8
         || v->dtype == INFER_U8)
        && infer_value_numel(v, &n) == 0)
    {
        o->g->summary.parameters += (uint64_t) n.base;
    }
}


/* Inputs that no node takes: worth knowing, not wrong. */
static int
warn_unused(onnx_t *o)
{
    const char  *name;

    for (size_t i = 0; i < o->g->n_inputs; i++) {
        name = o->g->input[i].port.name;

        if (!onnx_find(o, name)->used
            && infer_import_warn(o->g, "input \"%s\" is not used", name) != 0)
        {
            return -1;
        }
    }

    return 0;
}
