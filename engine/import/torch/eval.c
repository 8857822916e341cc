/*
 * The evaluator: expressions.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/torch/eval.h"


static torch_value_t *eval_node(torch_frame_t *frame, const torch_node_t *n);
static torch_value_t *eval_items(torch_frame_t *frame, const torch_node_t *n,
    torch_kind_t kind);
static torch_value_t *eval_name(torch_frame_t *frame, const torch_node_t *n);
static torch_value_t *eval_attr(torch_frame_t *frame, const torch_node_t *n);
static torch_value_t *attribute(torch_eval_t *t, torch_value_t *v,
    const char *name);
static int restore(torch_eval_t *t, torch_value_t *v);
static torch_value_t *constant(torch_eval_t *t, const char *name);
static torch_value_t *eval_subscript(torch_frame_t *frame,
    const torch_node_t *n);
static torch_value_t *eval_call(torch_frame_t *frame, const torch_node_t *n);
static torch_value_t *call_name(torch_frame_t *frame, const torch_node_t *n);
static int eval_args(torch_frame_t *frame, const torch_node_t *n, size_t first,
    torch_args_t *args);
static torch_value_t *special_form(torch_frame_t *frame, const torch_node_t *n,
    const char *name, int *is_special);
static int has_type(const torch_value_t *v, const torch_node_t *type);
static int dotted(const torch_node_t *n, char *name, size_t size);
static int is_global(const char *name);


int
torch_enter(torch_eval_t *t)
{
    if (++t->nested > TORCH_MAX_NESTED) {
        return torch_fail(t, "the code is nested too deeply");
    }

    return 0;
}


torch_value_t *
torch_eval(torch_frame_t *frame, const torch_node_t *n)
{
    torch_value_t  *v;

    if (++frame->t->steps > TORCH_MAX_STEPS) {
        torch_fail(frame->t, "the code runs for too long");
        return NULL;
    }

    if (torch_enter(frame->t) != 0) {
        return NULL;
    }

    v = eval_node(frame, n);
    frame->t->nested--;

    return v;
}


static torch_value_t *
eval_node(torch_frame_t *frame, const torch_node_t *n)
{
    infer_graph_t  *g = frame->t->g;

    switch (n->kind) {

    case SYNTAX_NAME:
        return eval_name(frame, n);

    case SYNTAX_INT:
        return torch_int(g, n->i);

    case SYNTAX_FLOAT:
        return torch_float(g, n->f);

    case SYNTAX_STRING:
        return torch_string(g, n->name, n->len);

    case SYNTAX_NONE:
        return torch_new(g, TORCH_NONE);

    case SYNTAX_BOOL:
        return torch_bool(g, n->i != 0);

    case SYNTAX_ATTR:
        return eval_attr(frame, n);

    case SYNTAX_CALL:
        return eval_call(frame, n);

    case SYNTAX_SUBSCRIPT:
        return eval_subscript(frame, n);

    case SYNTAX_TUPLE:
        return eval_items(frame, n, TORCH_TUPLE);

    case SYNTAX_LIST:
        return eval_items(frame, n, TORCH_LIST);

    case SYNTAX_DICT:
        return eval_items(frame, n, TORCH_DICT);

    default:
        torch_fail(frame->t, "an expression that TorchScript does not write");
        return NULL;
    }
}


static torch_value_t *
eval_items(torch_frame_t *frame, const torch_node_t *n, torch_kind_t kind)
{
    torch_value_t  *v, *item;

    v = torch_new(frame->t->g, kind);

    for (size_t i = 0; i < n->n && v != NULL; i++) {
        item = torch_eval(frame, n->child[i]);

        if (item == NULL || torch_append(frame->t->g, v, item) != 0) {
            return NULL;
        }
    }

    return v;
}


static torch_value_t *
eval_name(torch_frame_t *frame, const torch_node_t *n)
{
    torch_value_t  *v;

    v = torch_attr(&frame->names, n->name);

    if (v == NULL && (strcmp(n->name, "inf") == 0
                      || strcmp(n->name, "nan") == 0))
    {
        return torch_float(frame->t->g, strtod(n->name, NULL));
    }

    if (v == NULL) {
        torch_fail(frame->t, "%s is not defined", n->name);
    }

    return v;
}


static torch_value_t *
eval_attr(torch_frame_t *frame, const torch_node_t *n)
{
    char            name[1024];
    torch_value_t  *v;

    if (n->child[0]->kind == SYNTAX_NAME
        && strcmp(n->child[0]->name, "CONSTANTS") == 0)
    {
        return constant(frame->t, n->name);
    }

    /* the name of a function, which may be called later */
    if (dotted(n, name, sizeof(name)) && is_global(name)) {
        v = torch_string(frame->t->g, name, strlen(name));

        if (v != NULL) {
            v->kind = TORCH_GLOBAL;
        }

        return v;
    }

    v = torch_eval(frame, n->child[0]);

    return v != NULL ? attribute(frame->t, v, n->name) : NULL;
}


/* "a.b.c" where all of it is names; 0 where it is not */
static int
dotted(const torch_node_t *n, char *name, size_t size)
{
    size_t  len;

    if (n->kind == SYNTAX_NAME) {
        return (size_t) snprintf(name, size, "%s", n->name) < size;
    }

    if (n->kind != SYNTAX_ATTR || !dotted(n->child[0], name, size)) {
        return 0;
    }

    len = strlen(name);

    return (size_t) snprintf(name + len, size - len, ".%s", n->name)
           < size - len;
}


static int
is_global(const char *name)
{
    return strncmp(name, "__torch__.", 10) == 0
           || strncmp(name, "torch.", 6) == 0
           || strncmp(name, "ops.", 4) == 0;
}


/*
 * An attribute, or a value that stands in the class.  A model is evaluated as
 * it answers requests: what was saved in training mode is not in it now.
 */
static torch_value_t *
attribute(torch_eval_t *t, torch_value_t *v, const char *name)
{
    const char                *field;
    torch_frame_t              frame = { .t = t };
    torch_value_t             *found;
    const torch_node_t        *n;
    const torch_definition_t  *d;

    for (size_t i = 0; v->kind == TORCH_TUPLE && i < v->items.n; i++) {
        field = torch_field_name(t, v, i);

        if (field != NULL && strcmp(field, name) == 0) {
            return v->items.item[i];
        }
    }

    if (v->kind != TORCH_OBJECT) {
        torch_fail(t, "a %s has no attribute %s", torch_kind_name(v->kind),
                   name);
        return NULL;
    }

    if (v->object->state != NULL && restore(t, v) != 0) {
        return NULL;
    }

    found = torch_attr(v->object, name);

    if (found != NULL && strcmp(name, "training") == 0
        && found->kind == TORCH_BOOL)
    {
        t->trained |= found->i != 0;
        return torch_bool(t->g, 0);
    }

    if (found != NULL) {
        return found;
    }

    d = v->object->class_name != NULL
        ? torch_find_definition(t, v->object->class_name) : NULL;
    n = d != NULL && d->node->kind == SYNTAX_CLASS
        ? torch_find_member(d->node, SYNTAX_ANNOTATION, name) : NULL;

    if (n != NULL && n->n > 1) {
        return torch_eval(&frame, n->child[1]);
    }

    torch_fail(t, "%s has no attribute %s",
               v->object->class_name != NULL ? v->object->class_name
                                             : "the object", name);
    return NULL;
}


/* Hands what a pickle gave to the __setstate__ of the object's class. */
static int
restore(torch_eval_t *t, torch_value_t *v)
{
    int                  saved = v->saved, choosing = t->choosing;
    torch_args_t         args = { .n = 1 };
    torch_value_t       *result;
    const torch_node_t  *method;

    args.value[0] = v->object->state;

    if (torch_find_method(t, v->object, "__setstate__", &method) == NULL) {
        return 0;
    }

    v->object->state = NULL;
    v->saved = 0;
    t->choosing = 0;
    result = torch_call_method(t, v, "__setstate__", &args);
    t->choosing = choosing;
    v->saved = saved;

    return result != NULL ? 0 : -1;
}


/* "c12": the twelfth of constants.pkl */
static torch_value_t *
constant(torch_eval_t *t, const char *name)
{
    char           *end;
    unsigned long   i;

    i = name[0] == 'c' ? strtoul(name + 1, &end, 10) : ULONG_MAX;

    if (i >= t->constants->items.n || *end != '\0') {
        torch_fail(t, "there is no constant %s", name);
        return NULL;
    }

    return t->constants->items.item[i];
}


/* a[i] is torch.__getitem__(a, i) */
static torch_value_t *
eval_subscript(torch_frame_t *frame, const torch_node_t *n)
{
    torch_args_t  args;

    return eval_args(frame, n, 0, &args) == 0
           ? torch_call_named(frame->t, "torch.__getitem__", &args) : NULL;
}


static torch_value_t *
eval_call(torch_frame_t *frame, const torch_node_t *n)
{
    char                 name[1024];
    torch_args_t         args;
    torch_value_t       *v;
    const torch_node_t  *callee = n->child[0];

    if (callee->kind == SYNTAX_NAME) {
        return call_name(frame, n);
    }

    if (dotted(callee, name, sizeof(name)) && is_global(name)) {
        return eval_args(frame, n, 1, &args) == 0
               ? torch_call_named(frame->t, name, &args) : NULL;
    }

    if (callee->kind != SYNTAX_ATTR) {
        torch_fail(frame->t, "a call that TorchScript does not write");
        return NULL;
    }

    v = torch_eval(frame, callee->child[0]);

    if (v == NULL || eval_args(frame, n, 1, &args) != 0) {
        return NULL;
    }

    if (v->kind != TORCH_OBJECT) {
        torch_fail(frame->t, "method %s of a %s", callee->name,
                   torch_kind_name(v->kind));
        return NULL;
    }

    return torch_call_method(frame->t, v, callee->name, &args);
}


/* A local name that holds a function, or int(), range(), ... */
static torch_value_t *
call_name(torch_frame_t *frame, const torch_node_t *n)
{
    int            is_special;
    const char    *name = n->child[0]->name;
    torch_args_t   args;
    torch_value_t *v;

    v = torch_attr(&frame->names, name);

    if (v == NULL) {
        v = special_form(frame, n, name, &is_special);

        if (is_special) {
            return v;
        }

    } else if (v->kind == TORCH_GLOBAL) {
        name = v->string.s;

    } else {
        torch_fail(frame->t, "%s is called, but is a %s", name,
                   torch_kind_name(v->kind));
        return NULL;
    }

    return eval_args(frame, n, 1, &args) == 0
           ? torch_call_named(frame->t, name, &args) : NULL;
}


/* The arguments behind n's first children. */
static int
eval_args(torch_frame_t *frame, const torch_node_t *n, size_t first,
    torch_args_t *args)
{
    const torch_node_t  *c;

    memset(args, 0, sizeof(*args));

    if (n->n - first > TORCH_MAX_ARGS) {
        return torch_fail(frame->t, "a call has too many arguments");
    }

    for (size_t i = first; i < n->n; i++) {
        c = n->child[i];

        if (c->kind == SYNTAX_KEYWORD) {
            args->name[args->n] = c->name;
            c = c->child[0];
        }

        args->value[args->n] = torch_eval(frame, c);

        if (args->value[args->n++] == NULL) {
            return -1;
        }
    }

    return 0;
}


/* What looks like a call, but is given a type. */
static torch_value_t *
special_form(torch_frame_t *frame, const torch_node_t *n, const char *name,
    int *is_special)
{
    torch_value_t  *v;

    *is_special = 1;

    if (n->n == 3 && (strcmp(name, "annotate") == 0
                      || strcmp(name, "unchecked_cast") == 0))
    {
        return torch_eval(frame, n->child[2]);
    }

    if (n->n == 2 && strcmp(name, "uninitialized") == 0) {
        return torch_new(frame->t->g, TORCH_NONE);
    }

    if (n->n == 3 && strcmp(name, "getattr") == 0
        && n->child[2]->kind == SYNTAX_STRING)
    {
        v = torch_eval(frame, n->child[1]);
        return v != NULL ? attribute(frame->t, v, n->child[2]->name) : NULL;
    }

    if (n->n == 3 && strcmp(name, "isinstance") == 0) {
        v = torch_eval(frame, n->child[1]);
        return v != NULL ? torch_bool(frame->t->g,
                                      has_type(v, n->child[2])) : NULL;
    }

    *is_special = 0;

    return NULL;
}


/* The types that isinstance() is asked about; a tuple of them: any. */
static int
has_type(const torch_value_t *v, const torch_node_t *type)
{
    size_t  i;

    static const struct {
        const char    *name;
        torch_kind_t   kind;
    } types[] = {
        { "Tensor", TORCH_TENSOR }, { "int", TORCH_INT },
        { "float", TORCH_FLOAT }, { "bool", TORCH_BOOL },
        { "str", TORCH_STRING }, { "List", TORCH_LIST },
        { "Tuple", TORCH_TUPLE }, { "Dict", TORCH_DICT },
        { "NoneType", TORCH_NONE }
    };

    if (type->kind == SYNTAX_TUPLE || type->kind == SYNTAX_LIST) {
        for (i = 0; i < type->n; i++) {
            if (has_type(v, type->child[i])) {
                return 1;
            }
        }

        return 0;
    }

    if (type->kind == SYNTAX_SUBSCRIPT) {
        type = type->child[0];
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (type->kind == SYNTAX_NAME
            && strcmp(type->name, types[i].name) == 0)
        {
            return v->kind == types[i].kind;
        }
    }

    return 0;
}
