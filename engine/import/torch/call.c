/*
 * Calls: of functions, methods and classes of the archive, and of builtins.
 */

#include <stdio.h>
#include <string.h>

#include "import/torch/aten.h"


/* Those of the language come first: the others are operators. */
#define N_LANGUAGE  5

/* Behind those, operators that know of quantized tensors. */
#define N_QUANTIZED  3

static const torch_builtin_t *const  tables[] = {
    torch_builtins_core,
    torch_builtins_number,
    torch_builtins_sequence,
    torch_builtins_list,
    torch_builtins_dict,
    torch_builtins_quantize,
    torch_builtins_quantized,
    torch_builtins_packed,
    torch_builtins_unary,
    torch_builtins_elementwise,
    torch_builtins_window,
    torch_builtins_norm,
    torch_builtins_reduce,
    torch_builtins_matmul,
    torch_builtins_attention,
    torch_builtins_einsum,
    torch_builtins_gather,
    torch_builtins_shape,
    torch_builtins_slice,
    torch_builtins_create,
    torch_builtins_resize,
    torch_builtins_rnn,
    NULL
};


torch_value_t  torch_declined;


static torch_value_t *call_function(torch_eval_t *t, const char *file,
    const torch_node_t *f, const torch_args_t *args);
static int bind(torch_frame_t *frame, const torch_node_t *f,
    const torch_args_t *args);
static torch_value_t *argument_of(const torch_args_t *args, size_t i,
    const char *name);
static torch_value_t *call_builtins(torch_eval_t *t, const char *name,
    const torch_args_t *args);
static int count(torch_eval_t *t, const char *name);
static torch_value_t *call_in_place(torch_eval_t *t, const char *name,
    const torch_args_t *args);
static int is_in_place(const char *name);
static int check_fresh(torch_eval_t *t, torch_value_t *const *v, size_t n);
static void fail_arguments(torch_eval_t *t, const char *name,
    const torch_args_t *args);
static torch_value_t *call_builtin(torch_eval_t *t,
    const torch_builtin_t *builtin, const torch_args_t *args);
static infer_value_t *put_part(torch_eval_t *t, const torch_part_t *part,
    infer_value_t *y);
static torch_value_t *construct(torch_eval_t *t,
    const torch_definition_t *class, const torch_args_t *args);
static const torch_definition_t *find_new(const torch_eval_t *t,
    const char *name);
static torch_value_t *make_object(torch_eval_t *t,
    const torch_definition_t *class);


torch_value_t *
torch_call_method(torch_eval_t *t, torch_value_t *object, const char *name,
    const torch_args_t *args)
{
    torch_args_t               all;
    const torch_node_t        *method;
    const torch_definition_t  *d;

    d = torch_find_method(t, object->object, name, &method);

    if (d == NULL || args->n == TORCH_MAX_ARGS) {
        torch_fail(t, "%s has no method %s that takes %zu arguments",
                   object->object->class_name != NULL
                   ? object->object->class_name : "the object", name,
                   args->n);
        return NULL;
    }

    all.n = args->n + 1;
    all.value[0] = object;
    all.name[0] = NULL;

    memcpy(all.value + 1, args->value, args->n * sizeof(args->value[0]));
    memcpy(all.name + 1, args->name, args->n * sizeof(args->name[0]));

    return call_function(t, d->file, method, &all);
}


static torch_value_t *
call_function(torch_eval_t *t, const char *file, const torch_node_t *f,
    const torch_args_t *args)
{
    int          rc, line = t->line;
    torch_frame_t  frame = { .t = t };
    const char  *caller = t->file;

    if (t->calls == TORCH_MAX_CALLS) {
        torch_fail(t, "calls are nested too deeply");
        return NULL;
    }

    t->calls++;

    if (t->within == 0) {
        t->file = file;
        t->line = f->line;
    }

    rc = bind(&frame, f, args);
    rc = rc == 0 ? torch_run_block(&frame, f->child[f->n - 1]) : rc;

    if (rc == 0 && frame.result == NULL) {
        frame.result = torch_new(t->g, TORCH_NONE);
    }

    t->calls--;
    t->file = caller;
    t->line = line;

    return rc >= 0 ? frame.result : NULL;
}


static int
bind(torch_frame_t *frame, const torch_node_t *f, const torch_args_t *args)
{
    torch_value_t       *v;
    const torch_node_t  *p;

    if (args->n > f->n - 1) {
        return torch_fail(frame->t, "%s is given %zu arguments, it takes %zu",
                          f->name, args->n, f->n - 1);
    }

    for (size_t i = 0; i < f->n - 1; i++) {
        p = f->child[i];
        v = argument_of(args, i, p->name);

        if (v == NULL && p->child[1] != NULL) {
            v = torch_eval(frame, p->child[1]);
            if (v == NULL) {
                return -1;
            }
        }

        if (v == NULL) {
            return torch_fail(frame->t, "%s is not given its argument %s",
                              f->name, p->name);
        }

        if (torch_set_attr(frame->t->g, &frame->names, p->name, v) != 0) {
            return -1;
        }
    }

    return 0;
}


static torch_value_t *
argument_of(const torch_args_t *args, size_t i, const char *name)
{
    if (i < args->n && args->name[i] == NULL) {
        return args->value[i];
    }

    for (i = 0; i < args->n; i++) {
        if (args->name[i] != NULL && strcmp(args->name[i], name) == 0) {
            return args->value[i];
        }
    }

    return NULL;
}


torch_value_t *
torch_call_named(torch_eval_t *t, const char *name, const torch_args_t *args)
{
    const torch_definition_t  *d;

    d = torch_find_definition(t, name);

    if (d != NULL) {
        return d->node->kind == SYNTAX_FUNCTION
               ? call_function(t, d->file, d->node, args)
               : construct(t, d, args);
    }

    d = find_new(t, name);

    if (d != NULL) {
        return make_object(t, d);
    }

    return call_builtins(t, name, args);
}


/* The overloads of that name, until one does not decline. */
static torch_value_t *
call_builtins(torch_eval_t *t, const char *name, const torch_args_t *args)
{
    int                     known = 0;
    const char             *file;
    torch_value_t          *v;
    const torch_node_t     *f;
    const torch_builtin_t  *b;

    if (check_fresh(t, args->value, args->n) != 0
        || (t->within == 0 && args->n > 0
            && torch_is_effect(name, args->value[0])
            && torch_check_effect(t) != 0))
    {
        return NULL;
    }

    file = strncmp(t->file, "code/__torch__/", 15) == 0 ? t->file + 15
                                                        : t->file;
    snprintf(t->place, sizeof(t->place), "%s:%d", file, t->line);

    for (size_t i = 0; tables[i] != NULL; i++) {
        for (b = tables[i]; b->name != NULL; b++) {
            if (strcmp(b->name, name) != 0) {
                continue;
            }

            known = 1;
            v = call_builtin(t, b, args);

            if (v == TORCH_DECLINE) {
                continue;
            }

            if (v == NULL || (i >= N_LANGUAGE && count(t, name) != 0)) {
                return NULL;
            }

            return i < N_LANGUAGE + N_QUANTIZED ? v
                   : aten_quantized_result(t, name, args, v);
        }
    }

    f = torch_find_composed(t, name);

    if (f != NULL) {
        t->within++;
        v = call_function(t, t->file, f, args);
        t->within--;

        return v != NULL && count(t, name) == 0 ? v : NULL;
    }

    if (is_in_place(name) && args->n > 0
        && args->value[0]->kind == TORCH_TENSOR)
    {
        return call_in_place(t, name, args);
    }

    if (known) {
        fail_arguments(t, name, args);
    } else {
        torch_fail(t, "%s is not supported", name);
    }

    return NULL;
}


/* "torch.relu_", but not "torch.__and__" */
static int
is_in_place(const char *name)
{
    size_t  len = strlen(name);

    return len > 2 && name[len - 1] == '_' && name[len - 2] != '_';
}


/* torch.relu_(x): x = torch.relu(x), for all who hold x. */
static torch_value_t *
call_in_place(torch_eval_t *t, const char *name, const torch_args_t *args)
{
    char                  plain[64];
    torch_value_t        *v;
    infer_value_t        *y;
    const infer_value_t  *x = args->value[0]->tensor;

    snprintf(plain, sizeof(plain), "%.*s", (int) strlen(name) - 1, name);

    v = call_builtins(t, plain, args);
    if (v == NULL || v->kind != TORCH_TENSOR) {
        return v;
    }

    y = aten_cast(t, v->tensor, x->dtype);

    if (y != NULL && y->rank != x->rank) {
        torch_fail(t, "%s changes the shape of its operand", name);
        return NULL;
    }

    return y != NULL ? torch_write(t, args->value[0], y) : NULL;
}


static torch_value_t *
call_builtin(torch_eval_t *t, const torch_builtin_t *builtin,
    const torch_args_t *args)
{
    char            name[64];
    size_t          i, len, used = 0;
    const char     *p = builtin->parameters;
    torch_value_t  *arg[TORCH_MAX_ARGS] = { NULL };

    for (i = 0; *p != '\0' && i < TORCH_MAX_ARGS; i++) {
        len = strcspn(p, " ");
        snprintf(name, sizeof(name), "%.*s", (int) len, p);

        arg[i] = argument_of(args, i, name);
        used += arg[i] != NULL;

        p += len;
        p += *p == ' ';
    }

    return used == args->n ? builtin->fn(t, arg) : TORCH_DECLINE;
}


/* One more call of an operator, "torch.relu" or "ops.quantized.add", under its
   name "aten::relu" or "quantized::add". */
static int
count(torch_eval_t *t, const char *name)
{
    char               text[80];
    size_t             i, space;
    const char        *dot;
    infer_op_count_t  *grown;

    if (t->g->n_values > TORCH_MAX_VALUES) {
        return torch_fail(t, "the model has too many operators");
    }

    if (t->within > 0) {
        return 0;
    }

    dot = strncmp(name, "ops.", 4) == 0 ? strchr(name + 4, '.') : NULL;

    if (dot != NULL) {
        snprintf(text, sizeof(text), "%.*s::%s", (int) (dot - name) - 4,
                 name + 4, dot + 1);

    } else {
        snprintf(text, sizeof(text), "aten::%s",
                 strncmp(name, "torch.", 6) == 0 ? name + 6 : name);
    }

    for (i = 0; i < t->n_counts && strcmp(t->count[i].op, text) < 0; i++) {
        /* void */
    }

    if (i < t->n_counts && strcmp(t->count[i].op, text) == 0) {
        t->count[i].count++;
        return 0;
    }

    if (t->n_counts == t->count_space) {
        space = t->count_space ? t->count_space * 2 : 64;

        grown = infer_graph_alloc(t->g, space * sizeof(*grown));
        if (grown == NULL) {
            return -1;
        }

        if (t->n_counts > 0) {
            memcpy(grown, t->count, t->n_counts * sizeof(*grown));
        }

        t->count = grown;
        t->count_space = space;
    }

    memmove(&t->count[i + 1], &t->count[i],
            (t->n_counts++ - i) * sizeof(*t->count));

    t->count[i].op = infer_graph_strdup(t->g, text, strlen(text));
    t->count[i].count = 1;

    return t->count[i].op != NULL ? 0 : -1;
}


/* "torch.add does not take (Tensor, str) here" */
static void
fail_arguments(torch_eval_t *t, const char *name, const torch_args_t *args)
{
    char    text[200];
    size_t  len = 0;

    text[0] = '\0';

    for (size_t i = 0; i < args->n && len < sizeof(text); i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s%s%s%s",
                                 i > 0 ? ", " : "",
                                 args->name[i] != NULL ? args->name[i] : "",
                                 args->name[i] != NULL ? "=" : "",
                                 torch_kind_name(args->value[i]->kind));
    }

    torch_fail(t, "%s of (%s) is not supported", name, text);
}


/* Stale tensors are refused where they are used, also within lists. */
static int
check_fresh(torch_eval_t *t, torch_value_t *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {

        if (torch_check_fresh(t, v[i]) != 0) {
            return -1;
        }

        if (v[i]->kind != TORCH_LIST && v[i]->kind != TORCH_TUPLE) {
            continue;
        }

        for (size_t k = 0; k < v[i]->items.n; k++) {
            if (torch_check_fresh(t, v[i]->items.item[k]) != 0) {
                return -1;
            }
        }
    }

    return 0;
}


int
torch_check_fresh(torch_eval_t *t, const torch_value_t *v)
{
    if (v->kind == TORCH_TENSOR && v->memory != NULL
        && v->version != v->memory->version)
    {
        return torch_fail(t, "a tensor is used after it was changed in place "
                          "through a view of it, which is not supported");
    }

    return 0;
}


int
torch_check_training(torch_eval_t *t, const torch_value_t *training)
{
    return training == NULL || training->kind != TORCH_BOOL
           || training->i == 0 ? 0
           : torch_fail(t, "the model was traced in training mode: call "
                        "model.eval() before torch.jit.trace");
}


torch_value_t *
torch_write(torch_eval_t *t, torch_value_t *v, infer_value_t *y)
{
    torch_part_t   *part;
    torch_value_t  *base;

    if (v->memory != NULL && v->memory->state) {
        torch_fail(t, "a parameter or buffer of the model is changed in "
                   "place, which is not supported; where it was traced in "
                   "training mode: call model.eval() before torch.jit.trace");
        return NULL;
    }

    if (t->chosen) {
        torch_fail(t, "a tensor is changed in place, which is not supported "
                   "once a decision has depended on the data of a tensor");
        return NULL;
    }

    v->tensor = y;

    if (v->memory == NULL) {
        return v;
    }

    v->memory->version++;

    /* what the view is a part of, and what that is a part of */
    for (base = v, part = v->part; part != NULL; part = base->part) {
        base->version = v->memory->version;
        y = put_part(t, part, y);
        if (y == NULL) {
            return NULL;
        }

        base = part->base;
        base->tensor = y;
    }

    base->version = v->memory->version;

    return v;
}


/* The base with y in the place of its part. */
static infer_value_t *
put_part(torch_eval_t *t, const torch_part_t *part, infer_value_t *y)
{
    int             n = 0, k = part->axis;
    infer_dim_t     dim[INFER_MAX_RANK], end, rest;
    infer_value_t  *in[3], *x = part->base->tensor;

    memcpy(dim, x->dim, sizeof(dim));
    dim[k] = part->count;
    end.base = part->start.base + part->count.base;
    end.batch = part->start.batch + part->count.batch;
    rest.base = x->dim[k].base - end.base;
    rest.batch = x->dim[k].batch - end.batch;

    if (!infer_dim_is(part->start, 0)) {
        in[n++] = aten_narrow(t, x, k, infer_dim(0), part->start);
    }

    in[n++] = aten_reshape(t, y, x->rank, dim);

    if (!infer_dim_is(rest, 0)) {
        in[n++] = aten_narrow(t, x, k, end, rest);
    }

    for (int i = 0; i < n; i++) {
        if (in[i] == NULL) {
            return NULL;
        }
    }

    return aten_concat(t, in, n, k);
}


/* A NamedTuple, which is a tuple. */
static torch_value_t *
construct(torch_eval_t *t, const torch_definition_t *class,
    const torch_args_t *args)
{
    size_t               n = 0;
    torch_value_t       *v, *field;
    const torch_node_t  *c;

    v = torch_new(t->g, TORCH_TUPLE);
    if (v == NULL) {
        return NULL;
    }

    v->class_name = class->name;

    for (size_t i = 1; i < class->node->n; i++) {
        c = class->node->child[i];

        if (c->kind != SYNTAX_ANNOTATION) {
            continue;
        }

        field = argument_of(args, n++, c->name);

        if (field == NULL) {
            torch_fail(t, "%s is not given its field %s", class->name,
                       c->name);
            return NULL;
        }

        if (torch_append(t->g, v, field) != 0) {
            return NULL;
        }
    }

    return v;
}


/* The class of "__torch__.Class.__new__"; NULL: it is none. */
static const torch_definition_t *
find_new(const torch_eval_t *t, const char *name)
{
    char                       class[1024];
    size_t                     len = strlen(name);
    const torch_definition_t  *d;

    if (len < 8 || len >= sizeof(class)
        || strcmp(name + len - 8, ".__new__") != 0)
    {
        return NULL;
    }

    snprintf(class, sizeof(class), "%.*s", (int) len - 8, name);
    d = torch_find_definition(t, class);

    return d != NULL && d->node->kind == SYNTAX_CLASS ? d : NULL;
}


/* Of no attributes: the code calls __init__() next. */
static torch_value_t *
make_object(torch_eval_t *t, const torch_definition_t *class)
{
    torch_value_t  *v;

    v = torch_new(t->g, TORCH_OBJECT);

    if (v != NULL) {
        v->object->class_name = class->name;
    }

    return v;
}
