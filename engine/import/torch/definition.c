/*
 * What the code of an archive defines: classes and functions by their names.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/torch/eval.h"


static int parse_code(torch_eval_t *t);
static int add_definitions(torch_eval_t *t, const char *file,
    const torch_node_t *code, size_t *space);
static int compare(const void *a, const void *b);


int
torch_eval_init(torch_eval_t *t, infer_graph_t *g, torch_zip_t *zip)
{
    memset(t, 0, sizeof(*t));

    t->g = g;
    t->zip = zip;
    t->file = "code";

    return parse_code(t);
}


int
torch_eval_start(torch_eval_t *t)
{
    infer_graph_t  *g = t->g;

    infer_graph_clear(g);
    g->summary.parameters = 0;

    t->file = "code";
    t->line = 0;
    t->steps = 0;
    t->calls = 0;
    t->nested = 0;
    t->within = 0;
    t->trained = 0;
    t->follows = 0;
    t->choosing = 0;
    t->chosen = 0;
    t->n_counts = 0;
    t->zip->text = 0;

    t->constants = torch_unpickle(g, t->zip, "constants.pkl", "constants/");
    t->model = t->constants != NULL
               ? torch_unpickle(g, t->zip, "data.pkl", "data/") : NULL;

    if (t->model == NULL) {
        return -1;
    }

    if (t->constants->kind != TORCH_TUPLE) {
        return infer_graph_fail(g, "constants.pkl is no tuple");
    }

    if (t->model->kind != TORCH_OBJECT) {
        return infer_graph_fail(g, "data.pkl is no module");
    }

    return 0;
}


/* "code/__torch__/a/b.py" defines "__torch__.a.b.NAME" */
static int
parse_code(torch_eval_t *t)
{
    size_t                space = 0;
    char                 *file;
    const char           *text;
    torch_node_t         *code;
    const torch_entry_t  *e;

    for (size_t i = 0; i < t->zip->n_entries; i++) {
        e = &t->zip->entry[i];

        if (e->name_len < 8 || memcmp(e->name, "code/", 5) != 0
            || memcmp(e->name + e->name_len - 3, ".py", 3) != 0)
        {
            continue;
        }

        text = torch_zip_text(t->g, t->zip, e);
        file = infer_graph_strdup(t->g, e->name, e->name_len);

        if (text == NULL || file == NULL) {
            return -1;
        }

        code = torch_parse(t->g, file, text, (size_t) e->size);

        if (code == NULL || add_definitions(t, file, code, &space) != 0) {
            return -1;
        }
    }

    if (t->n_definitions > 0) {
        qsort(t->definition, t->n_definitions, sizeof(*t->definition),
              compare);
    }

    return 0;
}


static int
add_definitions(torch_eval_t *t, const char *file, const torch_node_t *code,
    size_t *space)
{
    char                 name[1024];
    size_t               len;
    torch_definition_t  *grown, *d;

    for (size_t i = 0; i < code->n; i++) {

        if (code->child[i]->kind != SYNTAX_CLASS
            && code->child[i]->kind != SYNTAX_FUNCTION)
        {
            continue;
        }

        if (t->n_definitions == *space) {
            *space = *space ? *space * 2 : 64;

            grown = infer_graph_alloc(t->g, *space * sizeof(*grown));
            if (grown == NULL) {
                return -1;
            }

            if (t->n_definitions > 0) {
                memcpy(grown, t->definition,
                       t->n_definitions * sizeof(*grown));
            }

            t->definition = grown;
        }

        len = (size_t) snprintf(name, sizeof(name), "%.*s.%s",
                                (int) strlen(file) - 8, file + 5,
                                code->child[i]->name);

        if (len >= sizeof(name)) {
            return infer_graph_fail(t->g, "%s: the name is too long", file);
        }

        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '/' ? '.' : *c;
        }

        d = &t->definition[t->n_definitions++];
        d->name = infer_graph_strdup(t->g, name, len);
        d->node = code->child[i];
        d->file = file;

        if (d->name == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
compare(const void *a, const void *b)
{
    const torch_definition_t  *x = a, *y = b;

    return strcmp(x->name, y->name);
}


const torch_definition_t *
torch_find_definition(const torch_eval_t *t, const char *name)
{
    torch_definition_t  key = { .name = name };

    return t->n_definitions > 0
           ? bsearch(&key, t->definition, t->n_definitions, sizeof(key),
                     compare)
           : NULL;
}


const torch_node_t *
torch_find_member(const torch_node_t *class, torch_syntax_t kind,
    const char *name)
{
    for (size_t i = 1; i < class->n; i++) {
        if (class->child[i]->kind == kind
            && strcmp(class->child[i]->name, name) == 0)
        {
            return class->child[i];
        }
    }

    return NULL;
}


const torch_definition_t *
torch_find_method(const torch_eval_t *t, const torch_object_t *object,
    const char *name, const torch_node_t **method)
{
    const torch_definition_t  *d;

    d = object->class_name != NULL
        ? torch_find_definition(t, object->class_name) : NULL;

    if (d == NULL || d->node->kind != SYNTAX_CLASS) {
        return NULL;
    }

    *method = torch_find_member(d->node, SYNTAX_FUNCTION, name);

    return *method != NULL ? d : NULL;
}


const char *
torch_field_name(const torch_eval_t *t, const torch_value_t *tuple, size_t i)
{
    const torch_node_t        *c;
    const torch_definition_t  *d;

    d = tuple->kind == TORCH_TUPLE && tuple->class_name != NULL
        ? torch_find_definition(t, tuple->class_name) : NULL;

    if (d == NULL || d->node->kind != SYNTAX_CLASS) {
        return NULL;
    }

    for (size_t k = 1; k < d->node->n; k++) {
        c = d->node->child[k];

        if (c->kind == SYNTAX_ANNOTATION && i-- == 0) {
            return c->name;
        }
    }

    return NULL;
}


void
torch_follow(torch_eval_t *t)
{
    if (!t->follows) {
        t->follows = 1;
        snprintf(t->why, sizeof(t->why), "%.100s:%d: a decision depends on "
                 "the batch", t->file, t->line);
    }
}


int
torch_fail(torch_eval_t *t, const char *fmt, ...)
{
    char     text[400];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    return infer_graph_fail(t->g, "%s:%d: %s", t->file, t->line, text);
}
