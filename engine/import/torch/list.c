/*
 * Lists, and what is sliced or repeated as they are: tuples and strings.
 *
 * What may make much of little, a slice or a sum of lists, counts each element
 * as a step, so that code ends and its memory is bounded.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/torch/sequence.h"


#define MAX_STRING  65536


static torch_value_t *
append(torch_eval_t *t, torch_value_t *const *arg)
{
    if (!torch_is(arg[0], TORCH_LIST) || arg[1] == NULL) {
        return TORCH_DECLINE;
    }

    return torch_check_changeable(t, arg[0]) == 0
           && torch_append(t->g, arg[0], arg[1]) == 0 ? arg[0] : NULL;
}


static torch_value_t *
extend(torch_eval_t *t, torch_value_t *const *arg)
{
    if (!torch_is(arg[0], TORCH_LIST) || !torch_has_items(arg[1])) {
        return TORCH_DECLINE;
    }

    return torch_check_changeable(t, arg[0]) == 0
           && torch_append_range(t, arg[0], arg[1], 0, arg[1]->items.n, 1) == 0
           ? arg[0] : NULL;
}


static torch_value_t *
copy(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v;

    if (!torch_has_items(arg[0]) && !torch_is(arg[0], TORCH_DICT)) {
        return TORCH_DECLINE;
    }

    v = torch_new(t->g, torch_is(arg[0], TORCH_DICT) ? TORCH_DICT : TORCH_LIST);

    return v != NULL
           && torch_append_range(t, v, arg[0], 0, arg[0]->items.n, 1) == 0
           ? v : NULL;
}


static torch_value_t *
concatenate(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          n;
    char           *s;
    torch_value_t  *v;

    if (torch_is(arg[0], TORCH_STRING) && torch_is(arg[1], TORCH_STRING)) {
        n = arg[0]->string.len + arg[1]->string.len;

        if (n > MAX_STRING || torch_charge(t, n) != 0) {
            torch_fail(t, "a string is too long");
            return NULL;
        }

        s = infer_graph_alloc(t->g, n + 1);
        if (s == NULL) {
            return NULL;
        }

        memcpy(s, arg[0]->string.s, arg[0]->string.len);
        memcpy(s + arg[0]->string.len, arg[1]->string.s, arg[1]->string.len);

        return torch_string(t->g, s, n);
    }

    if (!torch_has_items(arg[0]) || !torch_has_items(arg[1])) {
        return TORCH_DECLINE;
    }

    v = torch_new(t->g, arg[0]->kind);

    return v != NULL
           && torch_append_range(t, v, arg[0], 0, arg[0]->items.n, 1) == 0
           && torch_append_range(t, v, arg[1], 0, arg[1]->items.n, 1) == 0
           ? v : NULL;
}


static torch_value_t *
repeat(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t        *v;
    const torch_value_t  *n = arg[1];

    if (!torch_is(arg[0], TORCH_LIST) || !torch_is(n, TORCH_INT)) {
        return TORCH_DECLINE;
    }

    if (n->batch != 0) {
        torch_follow(t);
    }

    v = torch_new(t->g, TORCH_LIST);

    for (int64_t i = 0; v != NULL && i < n->i + n->batch; i++) {
        if (torch_charge(t, 1) != 0
            || torch_append_range(t, v, arg[0], 0, arg[0]->items.n, 1) != 0)
        {
            return NULL;
        }
    }

    return v;
}


/* A bound of a slice among n items, as Python clamps it. */
static size_t
bound(torch_eval_t *t, const torch_value_t *v, size_t n, size_t none_is)
{
    int64_t  i;

    if (!torch_is(v, TORCH_INT)) {
        return none_is;
    }

    if (v->batch != 0) {
        torch_follow(t);
    }

    i = v->i + v->batch;
    i += i < 0 ? (int64_t) n : 0;

    return i < 0 ? 0 : (uint64_t) i > n ? n : (size_t) i;
}


static torch_value_t *
slice(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          n, from, end;
    int64_t         step;
    torch_value_t  *v;

    if (!torch_has_items(arg[0]) && !torch_is(arg[0], TORCH_STRING)) {
        return TORCH_DECLINE;
    }

    n = torch_is(arg[0], TORCH_STRING) ? arg[0]->string.len : arg[0]->items.n;
    from = bound(t, arg[1], n, 0);
    end = bound(t, arg[2], n, n);
    step = torch_is(arg[3], TORCH_INT) ? arg[3]->i : 1;

    if (step < 1) {
        torch_fail(t, "a slice has a step of %lld", (long long) step);
        return NULL;
    }

    if (torch_is(arg[0], TORCH_STRING)) {
        return step == 1 ? torch_string(t->g, arg[0]->string.s + from,
                                        from < end ? end - from : 0)
                         : TORCH_DECLINE;
    }

    v = torch_new(t->g, arg[0]->kind);

    return v != NULL
           && torch_append_range(t, v, arg[0], from, end, (size_t) step) == 0
           ? v : NULL;
}


/* Takes item i of n, or pair i of a dict, out. */
static void
take_out(torch_value_t *v, size_t i, size_t n)
{
    memmove(&v->items.item[i], &v->items.item[i + n],
            (v->items.n - i - n) * sizeof(v->items.item[0]));

    v->items.n -= n;
}


static torch_value_t *
pop(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          i;
    torch_value_t   last = { .kind = TORCH_INT }, *v;

    if (!torch_is(arg[0], TORCH_LIST) && !torch_is(arg[0], TORCH_DICT)) {
        return TORCH_DECLINE;
    }

    if (torch_check_changeable(t, arg[0]) != 0) {
        return NULL;
    }

    if (torch_is(arg[0], TORCH_DICT)) {
        if (arg[1] == NULL || torch_find_item(t, arg[0], arg[1], &i) != 0) {
            return NULL;
        }

        if (i == arg[0]->items.n) {
            if (arg[2] == NULL) {
                torch_fail(t, "the dict has no such key");
            }

            return arg[2];
        }

        v = arg[0]->items.item[i + 1];
        take_out(arg[0], i, 2);

        return v;
    }

    last.i = -1;

    if (torch_charge(t, arg[0]->items.n) != 0
        || torch_read_index(t, torch_is(arg[1], TORCH_INT) ? arg[1] : &last,
                      arg[0]->items.n, &i) != 0)
    {
        return NULL;
    }

    v = arg[0]->items.item[i];
    take_out(arg[0], i, 1);

    return v;
}


/* del a[i] */
static torch_value_t *
delete(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v, *operand[3] = { arg[0], arg[1], NULL };

    if (arg[1] == NULL) {
        return TORCH_DECLINE;
    }

    v = pop(t, operand);

    return v == NULL || v == TORCH_DECLINE ? v : torch_none(t);
}


static torch_value_t *
insert(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          i;
    torch_items_t  *items;

    if (!torch_is(arg[0], TORCH_LIST) || !torch_is(arg[1], TORCH_INT)
        || arg[2] == NULL)
    {
        return TORCH_DECLINE;
    }

    items = &arg[0]->items;
    i = bound(t, arg[1], items->n, 0);

    if (torch_check_changeable(t, arg[0]) != 0 || torch_charge(t, items->n) != 0
        || torch_append(t->g, arg[0], arg[2]) != 0)
    {
        return NULL;
    }

    memmove(&items->item[i + 1], &items->item[i],
            (items->n - 1 - i) * sizeof(items->item[0]));
    items->item[i] = arg[2];

    return torch_none(t);
}


static torch_value_t *
reverse(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v;
    torch_items_t  *items;

    if (!torch_is(arg[0], TORCH_LIST)) {
        return TORCH_DECLINE;
    }

    items = &arg[0]->items;

    if (torch_check_changeable(t, arg[0]) != 0
        || torch_charge(t, items->n) != 0)
    {
        return NULL;
    }

    for (size_t i = 0; i < items->n / 2; i++) {
        v = items->item[i];
        items->item[i] = items->item[items->n - 1 - i];
        items->item[items->n - 1 - i] = v;
    }

    return torch_none(t);
}


static int
by_value(const void *a, const void *b)
{
    const torch_value_t  *x = *(torch_value_t *const *) a;
    const torch_value_t  *y = *(torch_value_t *const *) b;

    if (x->kind == TORCH_STRING) {
        return strcmp(x->string.s, y->string.s);
    }

    return x->kind == TORCH_FLOAT ? (x->f > y->f) - (x->f < y->f)
                                  : (x->i > y->i) - (x->i < y->i);
}


/* of integers, floats or strings that do not follow the batch */
static torch_value_t *
sort(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_items_t  *items;

    if (!torch_is(arg[0], TORCH_LIST)) {
        return TORCH_DECLINE;
    }

    items = &arg[0]->items;

    for (size_t i = 0; i < items->n; i++) {
        if (items->item[i]->kind != items->item[0]->kind
            || items->item[i]->kind < TORCH_INT
            || items->item[i]->kind > TORCH_STRING
            || (items->item[i]->kind == TORCH_INT
                && items->item[i]->batch != 0))
        {
            return TORCH_DECLINE;
        }
    }

    if (torch_check_changeable(t, arg[0]) != 0
        || torch_charge(t, items->n) != 0)
    {
        return NULL;
    }

    if (items->n > 1) {
        qsort(items->item, items->n, sizeof(items->item[0]), by_value);
    }

    return torch_is(arg[1], TORCH_BOOL) && arg[1]->i ? reverse(t, arg)
                                                     : torch_none(t);
}


static torch_value_t *
index_of(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t  i;

    if (!torch_is(arg[0], TORCH_LIST) || arg[1] == NULL) {
        return TORCH_DECLINE;
    }

    if (torch_find_item(t, arg[0], arg[1], &i) != 0) {
        return NULL;
    }

    if (i == arg[0]->items.n) {
        torch_fail(t, "the list has no such value");
        return NULL;
    }

    return torch_int(t->g, (int64_t) i);
}


static torch_value_t *
clear(torch_eval_t *t, torch_value_t *const *arg)
{
    if (!torch_is(arg[0], TORCH_LIST) && !torch_is(arg[0], TORCH_DICT)) {
        return TORCH_DECLINE;
    }

    if (torch_check_changeable(t, arg[0]) != 0) {
        return NULL;
    }

    arg[0]->items.n = 0;

    return torch_none(t);
}


/* range(end), range(start, end), range(start, end, step): a list */
static torch_value_t *
range(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t         x[3] = { 0, 0, 1 }, i;
    torch_value_t  *v, *n;

    for (int k = 0; k < 3 && arg[k] != NULL; k++) {
        if (!torch_is(arg[k], TORCH_INT)) {
            return TORCH_DECLINE;
        }

        if (arg[k]->batch != 0) {
            torch_follow(t);
        }

        x[k] = arg[k]->i + arg[k]->batch;
    }

    if (arg[1] == NULL) {
        x[1] = x[0];
        x[0] = 0;
    }

    if (x[2] == 0) {
        torch_fail(t, "range() has a step of 0");
        return NULL;
    }

    v = torch_new(t->g, TORCH_LIST);

    for (i = x[0]; v != NULL && (x[2] > 0 ? i < x[1] : i > x[1]); ) {
        n = torch_int(t->g, i);

        if (n == NULL || torch_charge(t, 1) != 0
            || torch_append(t->g, v, n) != 0)
        {
            return NULL;
        }

        if (__builtin_add_overflow(i, x[2], &i)) {
            break;
        }
    }

    return v;
}


/* Whether any element of a list is true, or whether all are. */
static torch_value_t *
truth(torch_eval_t *t, const torch_value_t *list, int sought)
{
    int  b;

    if (list == NULL || list->kind != TORCH_LIST) {
        return TORCH_DECLINE;
    }

    for (size_t i = 0; i < list->items.n; i++) {
        b = torch_truth(t, list->items.item[i]);

        if (b < 0) {
            return NULL;
        }

        if (b == sought) {
            return torch_bool(t->g, sought);
        }
    }

    return torch_bool(t->g, !sought);
}


static torch_value_t *
any(torch_eval_t *t, torch_value_t *const *arg)
{
    return truth(t, arg[0], 1);
}


static torch_value_t *
all(torch_eval_t *t, torch_value_t *const *arg)
{
    return truth(t, arg[0], 0);
}


const torch_builtin_t  torch_builtins_list[] = {
    { "torch.any", "self", any },
    { "torch.all", "self", all },
    { "torch.Delete", "self key", delete },
    { "torch.append", "self item", append },
    { "torch.extend", "self other", extend },
    { "torch.list", "self", copy },
    { "torch.copy", "self", copy },
    { "torch.add", "self other", concatenate },
    { "torch.add_", "self other", extend },
    { "torch.mul", "self other", repeat },
    { "torch.slice", "self start end step", slice },
    { "torch.pop", "self key default", pop },
    { "torch.insert", "self index item", insert },
    { "torch.reverse", "self", reverse },
    { "torch.sort", "self reverse", sort },
    { "torch.index", "self item", index_of },
    { "torch.clear", "self", clear },
    { "range", "start end step", range },
    { NULL, NULL, NULL }
};
