/*
 * The evaluator: statements.
 */

#include <string.h>

#include "import/torch/eval.h"


static int run_statement(torch_frame_t *frame, const torch_node_t *n);
static int run_if(torch_frame_t *frame, const torch_node_t *n);
static int run_while(torch_frame_t *frame, const torch_node_t *n);
static int run_for(torch_frame_t *frame, const torch_node_t *n);
static int run_with(torch_frame_t *frame, const torch_node_t *n);
static int check_context(torch_eval_t *t, const torch_value_t *v);
static int assign(torch_frame_t *frame, const torch_node_t *target,
    torch_value_t *v);
static int assign_item(torch_frame_t *frame, const torch_node_t *target,
    torch_value_t *v);


static void
at_line(torch_eval_t *t, const torch_node_t *n)
{
    if (t->within == 0) {
        t->line = n->line;
    }
}


int
torch_run_block(torch_frame_t *frame, const torch_node_t *block)
{
    int  rc = 0;

    if (torch_enter(frame->t) != 0) {
        return -1;
    }

    for (size_t i = 0; i < block->n && rc == 0; i++) {
        at_line(frame->t, block->child[i]);
        rc = run_statement(frame, block->child[i]);
    }

    frame->t->nested--;

    return rc < 0 ? -1 : frame->result != NULL;
}


static int
run_statement(torch_frame_t *frame, const torch_node_t *n)
{
    torch_value_t  *v;

    if (++frame->t->steps > TORCH_MAX_STEPS) {
        return torch_fail(frame->t, "the code runs for too long");
    }

    switch (n->kind) {

    case SYNTAX_ASSIGN:
        v = torch_eval(frame, n->child[1]);
        return v != NULL ? assign(frame, n->child[0], v) : -1;

    case SYNTAX_ANNOTATION:
        v = n->n > 1 ? torch_eval(frame, n->child[1]) : NULL;
        return n->n < 2 ? 0
               : v == NULL ? -1
               : torch_set_attr(frame->t->g, &frame->names, n->name, v);

    case SYNTAX_EVAL:
        return torch_eval(frame, n->child[0]) != NULL ? 0 : -1;

    case SYNTAX_RETURN:
        frame->result = n->n > 0 ? torch_eval(frame, n->child[0])
                                 : torch_new(frame->t->g, TORCH_NONE);
        return frame->result != NULL ? 1 : -1;

    case SYNTAX_PASS:
        return 0;

    case SYNTAX_IF:
        return run_if(frame, n);

    case SYNTAX_WHILE:
        return run_while(frame, n);

    case SYNTAX_FOR:
        return run_for(frame, n);

    case SYNTAX_WITH:
        return run_with(frame, n);

    default:
        return torch_fail(frame->t, "a statement that TorchScript does not "
                          "write");
    }
}


static int
run_if(torch_frame_t *frame, const torch_node_t *n)
{
    int             truth;
    torch_value_t  *v;

    v = torch_eval(frame, n->child[0]);

    if (v != NULL && v->kind == TORCH_TENSOR && v->tensor->data == NULL) {
        return torch_run_both(frame, n, v);
    }

    truth = v != NULL ? torch_truth(frame->t, v) : -1;

    if (truth < 0) {
        return -1;
    }

    if (truth == 0 && n->n < 3) {
        return 0;
    }

    return torch_run_block(frame, n->child[truth ? 1 : 2]);
}


static int
run_while(torch_frame_t *frame, const torch_node_t *n)
{
    int             rc, truth;
    torch_value_t  *v;

    for ( ;; ) {
        if (++frame->t->steps > TORCH_MAX_STEPS) {
            return torch_fail(frame->t, "the code runs for too long");
        }

        at_line(frame->t, n);
        v = torch_eval(frame, n->child[0]);
        truth = v != NULL ? torch_truth(frame->t, v) : -1;

        if (truth <= 0) {
            return truth;
        }

        rc = torch_run_block(frame, n->child[1]);
        if (rc != 0) {
            return rc;
        }
    }
}


/* over what range() gives, or over a list or tuple */
static int
run_for(torch_frame_t *frame, const torch_node_t *n)
{
    int             rc = 0;
    torch_value_t  *v;

    v = torch_eval(frame, n->child[1]);

    if (v == NULL) {
        return -1;
    }

    if (v->kind != TORCH_LIST && v->kind != TORCH_TUPLE) {
        return torch_fail(frame->t, "a loop over a %s is not supported",
                          torch_kind_name(v->kind));
    }

    for (size_t i = 0; i < v->items.n && rc == 0; i++) {
        if (++frame->t->steps > TORCH_MAX_STEPS) {
            return torch_fail(frame->t, "the code runs for too long");
        }

        rc = assign(frame, n->child[0], v->items.item[i]);
        rc = rc == 0 ? torch_run_block(frame, n->child[2]) : rc;
    }

    return rc;
}


/* What contexts of torch do means nothing where nothing is trained. */
static int
run_with(torch_frame_t *frame, const torch_node_t *n)
{
    int             rc;
    torch_args_t    args = { .n = 0 };
    torch_value_t  *v, *entered;

    v = torch_eval(frame, n->child[0]);

    if (v == NULL || check_context(frame->t, v) != 0) {
        return -1;
    }

    entered = torch_call_method(frame->t, v, "__enter__", &args);

    if (entered == NULL
        || (n->name != NULL && torch_set_attr(frame->t->g, &frame->names,
                                              n->name, entered) != 0))
    {
        return -1;
    }

    rc = torch_run_block(frame, n->child[1]);

    for (args.n = 0; rc >= 0 && args.n < 3; args.n++) {
        args.value[args.n] = torch_new(frame->t->g, TORCH_NONE);
        rc = args.value[args.n] != NULL ? rc : -1;
    }

    return rc >= 0 && torch_call_method(frame->t, v, "__exit__", &args)
           != NULL ? rc : -1;
}


/* Numbers are computed as the code says, not in bfloat16. */
static int
check_context(torch_eval_t *t, const torch_value_t *v)
{
    const torch_value_t  *enabled, *device;

    if (v->kind != TORCH_OBJECT || v->object->class_name == NULL) {
        return torch_fail(t, "with a %s is not supported",
                          torch_kind_name(v->kind));
    }

    enabled = torch_attr(v->object, "_enabled");
    device = torch_attr(v->object, "device");

    if (strstr(v->object->class_name, ".autocast") != NULL
        && enabled != NULL && enabled->kind == TORCH_BOOL && enabled->i != 0
        && (device == NULL || device->kind != TORCH_STRING
            || strcmp(device->string.s, "cuda") != 0))
    {
        return torch_fail(t, "with %.100s is not supported: save the model "
                          "without autocast", v->object->class_name);
    }

    return 0;
}


static int
assign(torch_frame_t *frame, const torch_node_t *target, torch_value_t *v)
{
    torch_value_t  *object;

    switch (target->kind) {

    case SYNTAX_NAME:
        return torch_set_attr(frame->t->g, &frame->names, target->name, v);

    case SYNTAX_ATTR:
        object = torch_eval(frame, target->child[0]);

        if (object == NULL || object->kind != TORCH_OBJECT) {
            return object == NULL ? -1
                   : torch_fail(frame->t, "an attribute of a %s is set",
                                torch_kind_name(object->kind));
        }

        if (torch_check_effect(frame->t) != 0) {
            return -1;
        }

        if (object->saved) {
            return torch_fail(frame->t, "attribute %s of the model is "
                              "changed, which is not supported",
                              target->name);
        }

        return torch_set_attr(frame->t->g, object->object, target->name, v);

    case SYNTAX_SUBSCRIPT:
        return assign_item(frame, target, v);

    case SYNTAX_TUPLE:
        if ((v->kind != TORCH_TUPLE && v->kind != TORCH_LIST)
            || v->items.n != target->n)
        {
            return torch_fail(frame->t, "a %s is not %zu values",
                              torch_kind_name(v->kind), target->n);
        }

        for (size_t i = 0; i < target->n; i++) {
            if (assign(frame, target->child[i], v->items.item[i]) != 0) {
                return -1;
            }
        }

        return 0;

    default:
        return torch_fail(frame->t, "an assignment that TorchScript does not "
                          "write");
    }
}


/* a[i] = v is torch._set_item(a, i, v) */
static int
assign_item(torch_frame_t *frame, const torch_node_t *target, torch_value_t *v)
{
    torch_args_t  args = { .n = 3 };

    if (target->n != 2) {
        return torch_fail(frame->t, "an assignment that TorchScript does not "
                          "write");
    }

    args.value[0] = torch_eval(frame, target->child[0]);
    args.value[1] = args.value[0] != NULL ? torch_eval(frame, target->child[1])
                                          : NULL;
    args.value[2] = v;

    return args.value[1] != NULL
           && torch_call_named(frame->t, "torch._set_item", &args) != NULL
           ? 0 : -1;
}
