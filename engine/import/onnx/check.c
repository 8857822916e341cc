/*
 * What a model must be before anything is built from it: made of operators
 * that are known, and exported for inference.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/onnx/onnx.h"


static int count_operators(onnx_t *o);
static const char *full_name(onnx_t *o, const onnx_node_t *node);
static int is_default(const char *domain);
static int compare_strings(const void *a, const void *b);
static int check_operators(onnx_t *o);
static int check_training(onnx_t *o);
static int in_training(onnx_t *o, const onnx_node_t *node);
static int static_zero(onnx_t *o, const onnx_node_t *node, int i);


int
onnx_check(onnx_t *o)
{
    const char  *name;

    if (o->opset == 0) {
        for (size_t i = 0; i < o->n_nodes; i++) {
            if (is_default(o->node[i].domain)) {
                return infer_graph_fail(o->g, "the model does not say which "
                                        "opset it uses");
            }
        }
    }

    for (size_t i = 0; i < o->n_nodes; i++) {
        name = full_name(o, &o->node[i]);
        if (name == NULL) {
            return -1;
        }

        o->node[i].row = onnx_op_find(name);

        if (o->node[i].row != NULL && o->node[i].row->since > o->opset) {
            o->node[i].row = NULL;
        }
    }

    if (count_operators(o) != 0 || check_operators(o) != 0) {
        return -1;
    }

    return check_training(o);
}


/* The summary's list: all operators by name, and how many nodes have each. */
static int
count_operators(onnx_t *o)
{
    size_t             n;
    const char       **name;
    infer_op_count_t  *ops;

    n = 0;
    name = infer_graph_alloc(o->g, o->n_nodes * sizeof(char *));
    ops = infer_graph_alloc(o->g, o->n_nodes * sizeof(infer_op_count_t));

    if (name == NULL || ops == NULL) {
        return -1;
    }

    for (size_t i = 0; i < o->n_nodes; i++) {
        name[i] = full_name(o, &o->node[i]);
        if (name[i] == NULL) {
            return -1;
        }
    }

    qsort(name, o->n_nodes, sizeof(char *), compare_strings);

    for (size_t i = 0; i < o->n_nodes; i++) {
        if (n == 0 || strcmp(ops[n - 1].op, name[i]) != 0) {
            ops[n++].op = name[i];
        }

        ops[n - 1].count++;
    }

    o->g->summary.ops = ops;
    o->g->summary.n_ops = n;

    return 0;
}


/* "Conv", "com.microsoft.FusedConv" */
static const char *
full_name(onnx_t *o, const onnx_node_t *node)
{
    char    *name;
    size_t   len;

    if (is_default(node->domain)) {
        return node->op;
    }

    len = strlen(node->domain) + strlen(node->op) + 2;
    name = infer_graph_alloc(o->g, len);

    if (name != NULL) {
        snprintf(name, len, "%s.%s", node->domain, node->op);
    }

    return name;
}


static int
is_default(const char *domain)
{
    return domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}


static int
compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}


/* Names them all, as far as a line reaches. */
static int
check_operators(onnx_t *o)
{
    int                      n;
    char                     list[320];
    size_t                   len, missing;
    const onnx_op_t         *row;
    const infer_summary_t   *sum;
    const infer_op_count_t  *op;

    sum = &o->g->summary;
    len = 0;
    missing = 0;

    for (size_t i = 0; i < sum->n_ops; i++) {
        op = &sum->ops[i];
        row = onnx_op_find(op->op);

        if (row != NULL && row->since <= o->opset) {
            continue;
        }

        missing++;

        if (len == sizeof(list)) {
            continue;
        }

        n = snprintf(list + len, sizeof(list) - len, "%s%s (%llu)",
                     len == 0 ? "" : ", ", op->op,
                     (unsigned long long) op->count);

        if ((size_t) n >= sizeof(list) - len - 8) {
            snprintf(list + len, sizeof(list) - len, ", ...");
            len = sizeof(list);

        } else {
            len += (size_t) n;
        }
    }

    if (missing == 0) {
        return 0;
    }

    return infer_graph_fail(o->g, "%zu operator%s of opset %d not supported: "
                            "%s", missing, missing == 1 ? "" : "s", o->opset,
                            list);
}


static int
check_training(onnx_t *o)
{
    size_t              n;
    const onnx_node_t  *first;

    n = 0;
    first = NULL;

    for (size_t i = 0; i < o->n_nodes; i++) {
        if (in_training(o, &o->node[i])) {
            first = n++ == 0 ? &o->node[i] : first;
        }
    }

    return n == 0 ? 0 : onnx_fail_training(o, first, n - 1);
}


int
onnx_fail_training(onnx_t *o, const onnx_node_t *node, size_t more)
{
    char  others[32];

    others[0] = '\0';

    if (more != 0) {
        snprintf(others, sizeof(others), " and %zu more", more);
    }

    return infer_graph_fail(o->g, "node \"%.120s\" (%s)%s %s exported in "
                            "training mode: call model.eval() before "
                            "torch.onnx.export", node->name, node->op, others,
                            more != 0 ? "were" : "was");
}


/*
 * BatchNormalization says it with training_mode (since opset 14), with results
 * beyond the first (7 to 13), or by not setting is_test (6); Dropout with its
 * third operand (since 12) or by not setting is_test (6).
 */
static int
in_training(onnx_t *o, const onnx_node_t *node)
{
    int                 since;
    const onnx_attr_t  *attr;

    since = strcmp(node->op, "BatchNormalization") == 0 ? 14
            : strcmp(node->op, "Dropout") == 0 ? 12 : 0;

    if (since == 0) {
        return 0;
    }

    if (o->opset < 7) {
        attr = onnx_attr(node, "is_test");
        return attr == NULL || attr->i == 0;
    }

    if (since == 12) {
        return o->opset >= 12 && static_zero(o, node, 2) == 0
               && static_zero(o, node, 1) != 1;
    }

    attr = onnx_attr(node, "training_mode");

    if (o->opset >= 14 && attr != NULL && attr->i != 0) {
        return 1;
    }

    for (int i = 1; i < node->n_out; i++) {
        if (node->out_name[i][0] != '\0') {
            return 1;
        }
    }

    return 0;
}


/* Whether operand i is 0: 1 or 0, or -1 where the file does not tell. */
static int
static_zero(onnx_t *o, const onnx_node_t *node, int i)
{
    uint64_t            bits;
    onnx_bytes_t        message;
    onnx_tensor_t       t;
    const onnx_attr_t  *attr;
    const onnx_name_t  *def;

    def = i < node->n_in ? onnx_find(o, node->in_name[i]) : NULL;

    if (def == NULL) {
        return -1;
    }

    if (def->origin == ONNX_INITIALIZER) {
        message = o->initializer[def->index];

    } else if (def->origin == ONNX_RESULT
               && strcmp(o->node[def->index].op, "Constant") == 0)
    {
        attr = onnx_attr(&o->node[def->index], "value");
        if (attr == NULL) {
            return -1;
        }

        message = attr->t;

    } else {
        return -1;
    }

    bits = 0;

    if (onnx_tensor_parse(message, &t) != NULL || t.external || t.numel != 1
        || onnx_tensor_decode(&t, &bits) != NULL)
    {
        return -1;
    }

    return bits == 0;
}
