/*
 * From an archive of torch.jit.save to a graph: what it is, the inputs of
 * forward(), its evaluation, and its outputs.
 *
 * Batches are of any size as long as the code does not depend on it; where it
 * does, or where an operator needs to know, all is evaluated again for a batch
 * of one.  Inputs are floats unless the archive has examples, or something is
 * indexed by them: then all is evaluated again, too.
 */

#include <stdio.h>
#include <string.h>

#include "import/import.h"
#include "import/torch/eval.h"


/* Of forward(), besides self. */
typedef struct {
    const infer_load_options_t  *options;
    torch_eval_t                 t;
    torch_zip_t                  zip;
    const torch_node_t          *forward;
    const char                  *input[TORCH_MAX_ARGS];
    size_t                       n_inputs;
    const torch_value_t         *traced;   /* example inputs, or NULL */
    int                          followed; /* an input does */
} import_t;


static int check_archive(infer_graph_t *g, const torch_zip_t *zip);
static int find_forward(import_t *m);
static int is_input(import_t *m, const torch_node_t *p);
static int read_traced(import_t *m);
static int evaluate(import_t *m, int one);
static int evaluate_once(import_t *m, int one);
static int add_inputs(import_t *m, int one, torch_args_t *args);
static int input_shape(import_t *m, size_t i, infer_port_t *port);
static int again(import_t *m);


int
infer_import_torch(infer_graph_t *g, const infer_load_options_t *options)
{
    import_t  m;

    memset(&m, 0, sizeof(m));

    m.options = options;
    g->summary.format = "torchscript";
    g->summary.producer = "pytorch";

    if (torch_zip_open(g, &m.zip) != 0
        || check_archive(g, &m.zip) != 0
        || torch_eval_init(&m.t, g, &m.zip) != 0
        || torch_eval_start(&m.t) != 0
        || find_forward(&m) != 0
        || infer_import_check_shapes(g, options, m.input, m.n_inputs) != 0
        || read_traced(&m) != 0)
    {
        return -1;
    }

    if (evaluate(&m, 0) != 0 ? !m.followed || again(&m) != 0
                             : m.t.follows && again(&m) != 0)
    {
        return -1;
    }

    g->summary.ops = m.t.count;
    g->summary.n_ops = m.t.n_counts;

    return !m.t.trained ? 0
           : infer_import_warn(g, "saved in training mode: it is run as "
                               "after eval()");
}


/* Refuses what has another purpose, and says what to do instead. */
static int
check_archive(infer_graph_t *g, const torch_zip_t *zip)
{
    int          code = 0, exported = 0;
    const char  *name;
    size_t       len;

    for (size_t i = 0; i < zip->n_entries; i++) {
        name = zip->entry[i].name;
        len = zip->entry[i].name_len;

        code |= len > 5 && memcmp(name, "code/", 5) == 0;
        exported |= (len == 14 && memcmp(name, "archive_format", 14) == 0)
                    || (len > 30 && memcmp(name, "serialized_exported_program",
                                           27) == 0);
    }

    if (exported) {
        return infer_graph_fail(g, "was written by torch.export: export the "
                                "model to ONNX, or "
                                "torch.jit.trace(model.eval(), x).save(..)");
    }

    if (torch_zip_find(zip, "data.pkl") == NULL) {
        return infer_graph_fail(g, "is a zip archive, but not one that "
                                "torch.jit.save wrote");
    }

    if (!code || torch_zip_find(zip, "constants.pkl") == NULL) {
        return infer_graph_fail(g, "was written by torch.save: it has weights, "
                                "but no code; in Python, load it into the "
                                "model and "
                                "torch.jit.trace(model.eval(), x).save(..)");
    }

    return 0;
}


static int
find_forward(import_t *m)
{
    torch_eval_t              *t = &m->t;
    const torch_node_t        *p;
    const torch_definition_t  *d;

    d = torch_find_method(t, t->model->object, "forward", &m->forward);

    if (d == NULL) {
        return infer_graph_fail(t->g, "the module has no forward()");
    }

    t->file = d->file;
    t->line = m->forward->line;

    /* parameters, of which the first is self, then the block */
    for (size_t i = 1; i + 1 < m->forward->n; i++) {
        p = m->forward->child[i];

        switch (is_input(m, p)) {

        case 1:
            if (m->n_inputs == TORCH_MAX_ARGS - 1) {
                return torch_fail(t, "forward() has too many inputs");
            }

            m->input[m->n_inputs++] = p->name;
            break;

        case 0:
            break;

        default:
            return torch_fail(t, "input %.80s of forward() is no tensor",
                              p->name);
        }
    }

    return m->n_inputs > 0 ? 0
           : torch_fail(t, "forward() takes no tensor");
}


/* 1: a tensor is to be given; 0: what stands there if none is; -1: neither */
static int
is_input(import_t *m, const torch_node_t *p)
{
    const torch_node_t  *type = p->child[0];

    (void) m;

    if (p->child[1] != NULL) {
        return 0;
    }

    if (type != NULL && type->kind == SYNTAX_SUBSCRIPT && type->n == 2
        && type->child[0]->kind == SYNTAX_NAME
        && strcmp(type->child[0]->name, "Optional") == 0)
    {
        type = type->child[1];
    }

    return type == NULL || (type->kind == SYNTAX_NAME
                            && strcmp(type->name, "Tensor") == 0) ? 1 : -1;
}


/*
 * The inputs that torch.jit.trace was given, where it has kept them (since
 * PyTorch 2.0): {"forward": [tensor, ..]}.  Their data is left out: the files
 * in traced_inputs/ are empty.
 */
static int
read_traced(import_t *m)
{
    torch_value_t  *dict, *v;

    if (torch_zip_find(&m->zip, "traced_inputs.pkl") == NULL) {
        return 0;
    }

    dict = torch_unpickle(m->t.g, &m->zip, "traced_inputs.pkl", NULL);
    if (dict == NULL) {
        return -1;
    }

    for (size_t i = 0; dict->kind == TORCH_DICT && i < dict->items.n; i += 2) {
        v = dict->items.item[i];

        if (v->kind == TORCH_STRING && strcmp(v->string.s, "forward") == 0) {
            v = dict->items.item[i + 1];
            m->traced = v->kind == TORCH_LIST || v->kind == TORCH_TUPLE
                        ? v : NULL;
        }
    }

    return 0;
}


/* Once more from the start, for a batch of one. */
static int
again(import_t *m)
{
    char         why[160];
    const char  *text = m->t.g->err->text;

    if (m->t.follows) {
        snprintf(why, sizeof(why), "%s", m->t.why);

    } else {
        /* behind the path */
        text += strlen(m->t.g->path);
        text += strncmp(text, ": ", 2) == 0 ? 2 : 0;
        snprintf(why, sizeof(why), "%.159s", text);
    }

    return torch_eval_start(&m->t) == 0 && evaluate(m, 1) == 0
           ? infer_import_warn(m->t.g, "batches are of one: %s", why) : -1;
}


/* Once more for each input that turns out to be one of integers. */
static int
evaluate(import_t *m, int one)
{
    for ( ;; ) {
        m->t.recast = 0;

        if (evaluate_once(m, one) == 0) {
            return 0;
        }

        if (!m->t.recast || torch_eval_start(&m->t) != 0) {
            return -1;
        }
    }
}


static int
evaluate_once(import_t *m, int one)
{
    torch_args_t    args;
    torch_value_t  *result;

    memset(&args, 0, sizeof(args));

    if (add_inputs(m, one, &args) != 0) {
        return -1;
    }

    result = torch_call_method(&m->t, m->t.model, "forward", &args);

    return result != NULL ? torch_import_outputs(&m->t, result) : -1;
}


static int
add_inputs(import_t *m, int one, torch_args_t *args)
{
    int             any = 0;
    infer_port_t    port;
    infer_dim_t     dim[INFER_MAX_RANK];
    infer_graph_t  *g = m->t.g;
    infer_value_t  *v;

    g->input = infer_graph_alloc(g, m->n_inputs * sizeof(*g->input));
    if (g->input == NULL) {
        return -1;
    }

    for (size_t i = 0; i < m->n_inputs; i++) {
        if (input_shape(m, i, &port) != 0) {
            return -1;
        }

        for (int d = 0; d < port.rank; d++) {
            dim[d] = infer_dim(port.dim[d]);

            if (port.dim[d] == INFER_BATCH) {
                any = 1;
                dim[d] = one ? infer_dim(1) : (infer_dim_t) { 0, 1 };
            }
        }

        v = infer_import_input(g, &g->input[g->n_inputs++], m->input[i],
                               port.dtype, port.rank, dim);

        args->value[i] = v != NULL ? torch_tensor(g, v) : NULL;
        args->name[i] = m->input[i];
        args->n++;

        if (args->value[i] == NULL) {
            return -1;
        }
    }

    m->followed = any;
    m->t.batched = any && !one;

    return 0;
}


/* What is given, else what was traced; the first dimension is the batch. */
static int
input_shape(import_t *m, size_t i, infer_port_t *port)
{
    const char                 *name = m->input[i];
    const torch_value_t        *example;
    const infer_input_shape_t  *given;

    example = m->traced != NULL && i < m->traced->items.n
              && m->traced->items.item[i]->kind == TORCH_TENSOR
              ? m->traced->items.item[i] : NULL;
    given = infer_import_shape(m->options, name);

    port->dtype = example != NULL ? example->tensor->dtype
                  : m->t.integers[i] ? INFER_I64 : INFER_F32;

    if (given != NULL) {
        port->rank = given->rank;
        memcpy(port->dim, given->dim, sizeof(port->dim));

    } else if (example != NULL) {
        port->rank = example->tensor->rank;

        for (int d = 0; d < port->rank; d++) {
            port->dim[d] = d == 0 ? INFER_BATCH : example->tensor->dim[d].base;
        }

    } else {
        return infer_graph_fail(m->t.g, "the file does not tell the shape of "
                                "input \"%.80s\": give it (infer: "
                                "--input-shape %.80s=Nx3x224x224; nginx: "
                                "infer_input_shape %.80s=Nx3x224x224)",
                                name, name, name);
    }

    for (int d = 0; d < port->rank; d++) {
        if (port->dim[d] == INFER_BATCH ? d != 0
            : port->dim[d] < 1 || port->dim[d] > INT32_MAX)
        {
            return infer_graph_fail(m->t.g, "dimension %d of input \"%.120s\" "
                                    "cannot be %lld", d, name,
                                    (long long) port->dim[d]);
        }
    }

    return 0;
}
