/*
 * Elements of lists, tuples, strings and dicts: how they are found, compared
 * and set.
 */

#include <string.h>

#include "import/torch/sequence.h"


int
torch_is(const torch_value_t *v, torch_kind_t kind)
{
    return v != NULL && v->kind == kind;
}


int
torch_has_items(const torch_value_t *v)
{
    return torch_is(v, TORCH_LIST) || torch_is(v, TORCH_TUPLE);
}


torch_value_t *
torch_none(torch_eval_t *t)
{
    return torch_new(t->g, TORCH_NONE);
}


/* n more steps */
int
torch_charge(torch_eval_t *t, size_t n)
{
    t->steps += n;

    return t->steps > TORCH_MAX_STEPS
           ? torch_fail(t, "the code runs for too long") : 0;
}


/* Appends items from .. to - 1 of what has items. */
int
torch_append_range(torch_eval_t *t, torch_value_t *to, const torch_value_t *v,
    size_t from, size_t end, size_t step)
{
    if (torch_charge(t, from < end ? (end - from) / step + 1 : 0) != 0) {
        return -1;
    }

    for (size_t i = from; i < end; i += step) {
        if (torch_append(t->g, to, v->items.item[i]) != 0) {
            return -1;
        }

        if (step > end - i) {
            break;
        }
    }

    return 0;
}


/* Lists and dicts of the model itself do not change. */
int
torch_check_changeable(torch_eval_t *t, const torch_value_t *v)
{
    return v->saved ? torch_fail(t, "a %s of the model is changed, which is "
                                 "not supported", torch_kind_name(v->kind))
                    : 0;
}


/* A number's place among n items, counted from the end where negative. */
int
torch_read_index(torch_eval_t *t, const torch_value_t *v, size_t n,
    size_t *index)
{
    int64_t  i;

    i = v->i + v->batch;

    if (v->batch != 0) {
        torch_follow(t);
    }

    i += i < 0 ? (int64_t) n : 0;

    if (i < 0 || (uint64_t) i >= n) {
        return torch_fail(t, "index %lld is outside of %zu items",
                          (long long) v->i, n);
    }

    *index = (size_t) i;

    return 0;
}


/* 1 or 0; -1 where the values cannot be told apart, with the error set */
static int
equal(torch_eval_t *t, torch_value_t *a, torch_value_t *b)
{
    int             same;
    torch_args_t    args = { .n = 2 };
    torch_value_t  *v;

    if (a->kind == TORCH_STRING || b->kind == TORCH_STRING) {
        return a->kind == b->kind && a->string.len == b->string.len
               && memcmp(a->string.s, b->string.s, a->string.len) == 0;
    }

    if (a->kind == TORCH_NONE || b->kind == TORCH_NONE) {
        return a->kind == b->kind;
    }

    if (torch_has_items(a) && torch_has_items(b)) {
        if (a == b) {
            return 1;
        }

        if (a->items.n != b->items.n) {
            return 0;
        }

        if (++t->calls > TORCH_MAX_CALLS) {
            return torch_fail(t, "lists are nested too deeply");
        }

        same = torch_charge(t, a->items.n);

        for (size_t i = 0; i < a->items.n && same >= 0; i++) {
            same = equal(t, a->items.item[i], b->items.item[i]);

            if (same != 1) {
                t->calls--;
                return same;
            }
        }

        t->calls--;

        return same < 0 ? -1 : 1;
    }

    if (a->kind < TORCH_BOOL || a->kind > TORCH_FLOAT
        || b->kind < TORCH_BOOL || b->kind > TORCH_FLOAT)
    {
        return torch_fail(t, "a %s is not compared with a %s",
                          torch_kind_name(a->kind), torch_kind_name(b->kind));
    }

    args.value[0] = a;
    args.value[1] = b;
    v = torch_call_named(t, "torch.eq", &args);

    return v != NULL ? v->i != 0 : -1;
}


/* The place of a key in a dict, or of a value in a list, n: none; or -1. */
int
torch_find_item(torch_eval_t *t, const torch_value_t *v, torch_value_t *key,
    size_t *i)
{
    int     same;
    size_t  step = v->kind == TORCH_DICT ? 2 : 1;

    if (key == NULL) {
        return torch_fail(t, "an element is asked for without a key");
    }

    if (torch_charge(t, v->items.n / step) != 0) {
        return -1;
    }

    for (*i = 0; *i < v->items.n; *i += step) {
        same = equal(t, v->items.item[*i], key);

        if (same != 0) {
            return same < 0 ? -1 : 0;
        }
    }

    return 0;
}


static torch_value_t *
get_item(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t  i;

    if (arg[1] == NULL) {
        return TORCH_DECLINE;
    }

    if (torch_is(arg[0], TORCH_DICT)) {
        if (torch_find_item(t, arg[0], arg[1], &i) != 0) {
            return NULL;
        }

        if (i == arg[0]->items.n) {
            torch_fail(t, "the dict has no such key");
            return NULL;
        }

        return arg[0]->items.item[i + 1];
    }

    if (torch_has_items(arg[0]) && torch_is(arg[1], TORCH_INT)) {
        return torch_read_index(t, arg[1], arg[0]->items.n, &i) == 0
               ? arg[0]->items.item[i] : NULL;
    }

    if (torch_is(arg[0], TORCH_STRING) && torch_is(arg[1], TORCH_INT)) {
        return torch_read_index(t, arg[1], arg[0]->string.len, &i) == 0
               ? torch_string(t->g, arg[0]->string.s + i, 1) : NULL;
    }

    return TORCH_DECLINE;
}


torch_value_t *
torch_set_item(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          i;
    torch_value_t  *to = arg[0];

    if (arg[1] == NULL || arg[2] == NULL) {
        return TORCH_DECLINE;
    }

    if (torch_is(to, TORCH_DICT)) {
        if (torch_check_changeable(t, to) != 0
            || torch_find_item(t, to, arg[1], &i) != 0)
        {
            return NULL;
        }

        if (i < to->items.n) {
            to->items.item[i + 1] = arg[2];
            return torch_none(t);
        }

        return torch_append(t->g, to, arg[1]) == 0
               && torch_append(t->g, to, arg[2]) == 0 ? torch_none(t) : NULL;
    }

    if (!torch_is(to, TORCH_LIST) || !torch_is(arg[1], TORCH_INT)) {
        return TORCH_DECLINE;
    }

    if (torch_check_changeable(t, to) != 0
        || torch_read_index(t, arg[1], to->items.n, &i) != 0)
    {
        return NULL;
    }

    to->items.item[i] = arg[2];

    return torch_none(t);
}


static torch_value_t *
contains(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t  i;

    if (torch_is(arg[0], TORCH_STRING) && torch_is(arg[1], TORCH_STRING)) {
        return torch_bool(t->g, strstr(arg[0]->string.s, arg[1]->string.s)
                                != NULL);
    }

    if (!torch_is(arg[0], TORCH_DICT) && !torch_has_items(arg[0])) {
        return TORCH_DECLINE;
    }

    return torch_find_item(t, arg[0], arg[1], &i) == 0
           ? torch_bool(t->g, i < arg[0]->items.n) : NULL;
}


static torch_value_t *
eq(torch_eval_t *t, torch_value_t *const *arg)
{
    int  same;

    if ((!torch_is(arg[0], TORCH_STRING) || !torch_is(arg[1], TORCH_STRING))
        && (!torch_has_items(arg[0]) || !torch_has_items(arg[1])))
    {
        return TORCH_DECLINE;
    }

    same = equal(t, arg[0], arg[1]);

    return same >= 0 ? torch_bool(t->g, same) : NULL;
}


static torch_value_t *
ne(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v;

    v = eq(t, arg);

    return v == NULL || v == TORCH_DECLINE ? v : torch_bool(t->g, !v->i);
}


static torch_value_t *
length(torch_eval_t *t, torch_value_t *const *arg)
{
    return torch_is(arg[0], TORCH_DICT)
           ? torch_int(t->g, (int64_t) arg[0]->items.n / 2)
           : torch_has_items(arg[0])
           ? torch_int(t->g, (int64_t) arg[0]->items.n)
           : torch_is(arg[0], TORCH_STRING)
           ? torch_int(t->g, (int64_t) arg[0]->string.len) : TORCH_DECLINE;
}


const torch_builtin_t  torch_builtins_sequence[] = {
    { "torch.__getitem__", "self key", get_item },
    { "torch._set_item", "self key value", torch_set_item },
    { "torch.__contains__", "self key", contains },
    { "torch.eq", "self other", eq },
    { "torch.ne", "self other", ne },
    { "torch.len", "self", length },
    { NULL, NULL, NULL }
};
