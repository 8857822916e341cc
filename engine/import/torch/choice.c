/*
 * Decisions that depend on the data of a tensor: both sides are computed, and
 * a node chooses between what they assign.
 *
 * That is only so where no input follows the batch: images of one batch may
 * decide differently, and none must depend on what it is in a batch with.
 * Sides have no effects but what they assign to local names.  Nothing is
 * changed in place from here on, since it could not be told whether what was
 * chosen shares its memory.
 */

#include <string.h>

#include "import/torch/aten.h"


static int run_side(torch_frame_t *frame, const torch_node_t *block,
    torch_frame_t *side);
static torch_value_t *choose(torch_eval_t *t, infer_value_t *which,
    const char *name, torch_value_t *a, torch_value_t *b);
static int is_plain(const torch_value_t *v);
static int same_number(const torch_value_t *a, const torch_value_t *b);


torch_value_t *
torch_bool_of(torch_eval_t *t, const torch_value_t *v)
{
    infer_dim_t     n;
    infer_value_t  *x = v->tensor;

    if (t->batched || infer_value_numel(x, &n) != 0 || !infer_dim_is(n, 1)) {
        torch_fail(t, "a decision that depends on the data of a tensor is "
                   "not supported%s: compute both sides, and choose with "
                   "torch.where", t->batched ? " for batches" : "");
        return NULL;
    }

    return aten_new(t, aten_reshape(t, aten_cast(t, x, INFER_BOOL), 0, NULL));
}


int
torch_run_both(torch_frame_t *frame, const torch_node_t *n,
    const torch_value_t *condition)
{
    torch_eval_t   *t = frame->t;
    torch_attr_t   *name;
    torch_value_t  *which, *other, *v;
    torch_frame_t   side[2];

    which = torch_bool_of(t, condition);
    if (which == NULL) {
        return -1;
    }

    t->chosen = 1;
    t->choosing++;

    if (run_side(frame, n->child[1], &side[0]) != 0
        || run_side(frame, n->n > 2 ? n->child[2] : NULL, &side[1]) != 0)
    {
        return -1;
    }

    t->choosing--;

    for (size_t i = 0; i < side[0].names.n; i++) {
        name = &side[0].names.attr[i];
        other = torch_attr(&side[1].names, name->name);

        if (other == NULL) {
            continue;
        }

        v = choose(t, which->tensor, name->name, name->value, other);

        if (v == NULL
            || torch_set_attr(t->g, &frame->names, name->name, v) != 0)
        {
            return -1;
        }
    }

    return 0;
}


/* Runs a block, or none, with local names of its own. */
static int
run_side(torch_frame_t *frame, const torch_node_t *block, torch_frame_t *side)
{
    torch_attr_t  *a;

    *side = *frame;
    memset(&side->names, 0, sizeof(side->names));

    for (size_t i = 0; i < frame->names.n; i++) {
        a = &frame->names.attr[i];

        if (torch_set_attr(frame->t->g, &side->names, a->name, a->value) != 0)
        {
            return -1;
        }
    }

    if (block == NULL || torch_run_block(side, block) == 0) {
        return 0;
    }

    return side->result == NULL ? -1
           : torch_fail(frame->t, "a decision that depends on the data of a "
                        "tensor returns, which is not supported");
}


static torch_value_t *
choose(torch_eval_t *t, infer_value_t *which, const char *name,
    torch_value_t *a, torch_value_t *b)
{
    int             same;
    infer_value_t  *x, *y;

    if (a == b || same_number(a, b)) {
        return a;
    }

    if (is_plain(a) && is_plain(b)) {
        x = torch_check_fresh(t, a) == 0 ? aten_operand(t, a) : NULL;
        y = x != NULL && torch_check_fresh(t, b) == 0 ? aten_operand(t, b)
                                                      : NULL;
        same = y != NULL && x->dtype == y->dtype && x->rank == y->rank;

        for (int i = 0; same && i < x->rank; i++) {
            same = infer_dim_equal(x->dim[i], y->dim[i]);
        }

        if (y == NULL || same) {
            return y == NULL ? NULL : aten_new(t, aten_where(t, which, x, y));
        }
    }

    torch_fail(t, "a decision depends on the data of a tensor, and %.80s is no "
               "tensor of the same type and shape on both sides, which is not "
               "supported", name);
    return NULL;
}


static int
is_plain(const torch_value_t *v)
{
    return v->kind == TORCH_BOOL
           || (v->kind == TORCH_TENSOR && v->quantizer == NULL);
}


static int
same_number(const torch_value_t *a, const torch_value_t *b)
{
    return a->kind == b->kind
           && (a->kind == TORCH_NONE
               || (a->kind == TORCH_FLOAT && a->f == b->f)
               || ((a->kind == TORCH_INT || a->kind == TORCH_BOOL)
                   && a->i == b->i && a->batch == b->batch));
}


int
torch_check_effect(torch_eval_t *t)
{
    return t->choosing == 0 ? 0
           : torch_fail(t, "a decision that depends on the data of a tensor "
                        "changes more than local names, which is not "
                        "supported");
}


int
torch_is_effect(const char *name, const torch_value_t *first)
{
    static const char *const  effects[] = {
        "torch.append", "torch.extend", "torch.insert", "torch.pop",
        "torch.clear", "torch.reverse", "torch.sort", "torch.Delete",
        "torch.update", "torch.add_", "torch._set_item"
    };

    for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
        if (strcmp(name, effects[i]) == 0) {
            return first->kind == TORCH_LIST || first->kind == TORCH_DICT;
        }
    }

    return 0;
}
