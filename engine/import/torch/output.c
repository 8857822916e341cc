/*
 * Outputs: the tensors in what forward() returns, with names.
 */

#include <stdio.h>
#include <string.h>

#include "import/import.h"
#include "import/torch/eval.h"


#define MAX_OUTPUTS  1024
#define MAX_NESTED   8


static int add(torch_eval_t *t, const torch_value_t *v, const char *name,
    int depth);
static int add_items(torch_eval_t *t, const torch_value_t *v, const char *name,
    int depth);
static int add_pairs(torch_eval_t *t, const torch_value_t *v, const char *name,
    int depth);


int
torch_import_outputs(torch_eval_t *t, torch_value_t *result)
{
    infer_graph_t  *g = t->g;

    g->output = infer_graph_alloc(g, MAX_OUTPUTS * sizeof(*g->output));

    if (g->output == NULL || add(t, result, "", 0) != 0) {
        return -1;
    }

    return g->n_outputs > 0 ? 0
           : torch_fail(t, "forward() returns no tensor");
}


/* name: "" for what forward() returns as a whole */
static int
add(torch_eval_t *t, const torch_value_t *v, const char *name, int depth)
{
    char           *copy;
    infer_graph_t  *g = t->g;

    if (depth == MAX_NESTED) {
        return torch_fail(t, "the outputs are nested too deeply");
    }

    switch (v->kind) {

    case TORCH_TENSOR:
        break;

    case TORCH_NONE:
        return 0;

    case TORCH_TUPLE:
    case TORCH_LIST:
        return add_items(t, v, name, depth + 1);

    case TORCH_DICT:
        return add_pairs(t, v, name, depth + 1);

    default:
        return torch_fail(t, "an output is a %s, not a tensor",
                          torch_kind_name(v->kind));
    }

    if (g->n_outputs == MAX_OUTPUTS) {
        return torch_fail(t, "more than %d outputs", MAX_OUTPUTS);
    }

    name = *name ? name : "output";
    copy = infer_graph_strdup(g, name, strlen(name));

    if (copy == NULL || torch_check_fresh(t, v) != 0) {
        return -1;
    }

    infer_import_output(&g->output[g->n_outputs++], copy, v->tensor);

    return 0;
}


/* A NamedTuple's by their names, others by numbers. */
static int
add_items(torch_eval_t *t, const torch_value_t *v, const char *name, int depth)
{
    char         text[256];
    const char  *field;

    for (size_t i = 0; i < v->items.n; i++) {
        field = torch_field_name(t, v, i);

        if (field != NULL) {
            snprintf(text, sizeof(text), "%.120s%s%.120s", name,
                     *name ? "_" : "", field);
        } else {
            snprintf(text, sizeof(text), "%.200s_%zu",
                     *name ? name : "output", i);
        }

        if (add(t, v->items.item[i], text, depth) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
add_pairs(torch_eval_t *t, const torch_value_t *v, const char *name, int depth)
{
    char                  text[256];
    const torch_value_t  *key;

    for (size_t i = 0; i + 1 < v->items.n; i += 2) {
        key = v->items.item[i];

        if (key->kind == TORCH_STRING) {
            snprintf(text, sizeof(text), "%.120s%s%.120s", name,
                     *name ? "_" : "", key->string.s);

        } else if (key->kind == TORCH_INT && key->batch == 0) {
            snprintf(text, sizeof(text), "%.120s_%lld",
                     *name ? name : "output", (long long) key->i);

        } else {
            return torch_fail(t, "the key of an output is a %s",
                              torch_kind_name(key->kind));
        }

        if (add(t, v->items.item[i + 1], text, depth) != 0) {
            return -1;
        }
    }

    return 0;
}
