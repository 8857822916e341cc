/*
 * Lists, tuples and strings, and elements of dicts.
 *
 * What may make much of little, a slice or a sum of lists, counts each element
 * as a step, so that code ends and its memory is bounded.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/torch/sequence.h"


#define MAX_STRING  65536


/* ---- elements --------------------------------------------------------- */

int
torch_is(const torch_value_t *v, torch_kind_t kind)
{
    return v != NULL && v->kind == kind;
}


static int
has_items(const torch_value_t *v)
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
static int
check_changeable(torch_eval_t *t, const torch_value_t *v)
{
    return v->saved ? torch_fail(t, "a %s of the model is changed, which is "
                                 "not supported", torch_kind_name(v->kind))
                    : 0;
}


/* A number's place among n items, counted from the end where negative. */
static int
read_index(torch_eval_t *t, const torch_value_t *v, size_t n, size_t *index)
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

    if (has_items(a) && has_items(b)) {
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

    if (has_items(arg[0]) && torch_is(arg[1], TORCH_INT)) {
        return read_index(t, arg[1], arg[0]->items.n, &i) == 0
               ? arg[0]->items.item[i] : NULL;
    }

    if (torch_is(arg[0], TORCH_STRING) && torch_is(arg[1], TORCH_INT)) {
        return read_index(t, arg[1], arg[0]->string.len, &i) == 0
               ? torch_string(t->g, arg[0]->string.s + i, 1) : NULL;
    }

    return TORCH_DECLINE;
}


torch_value_t *
torch_set_item(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t          i;
    torch_value_t  *to = arg[0];

    if (torch_is(to, TORCH_DICT)) {
        if (check_changeable(t, to) != 0
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

    if (check_changeable(t, to) != 0
        || read_index(t, arg[1], to->items.n, &i) != 0)
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

    if (!torch_is(arg[0], TORCH_DICT) && !has_items(arg[0])) {
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
        && (!has_items(arg[0]) || !has_items(arg[1])))
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
           : has_items(arg[0]) ? torch_int(t->g, (int64_t) arg[0]->items.n)
           : torch_is(arg[0], TORCH_STRING)
           ? torch_int(t->g, (int64_t) arg[0]->string.len) : TORCH_DECLINE;
}


/* ---- lists ------------------------------------------------------------ */

static torch_value_t *
append(torch_eval_t *t, torch_value_t *const *arg)
{
    if (!torch_is(arg[0], TORCH_LIST)) {
        return TORCH_DECLINE;
    }

    return check_changeable(t, arg[0]) == 0
           && torch_append(t->g, arg[0], arg[1]) == 0 ? arg[0] : NULL;
}


static torch_value_t *
extend(torch_eval_t *t, torch_value_t *const *arg)
{
    if (!torch_is(arg[0], TORCH_LIST) || !has_items(arg[1])) {
        return TORCH_DECLINE;
    }

    return check_changeable(t, arg[0]) == 0
           && torch_append_range(t, arg[0], arg[1], 0, arg[1]->items.n, 1) == 0
           ? arg[0] : NULL;
}


static torch_value_t *
copy(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v;

    if (!has_items(arg[0]) && !torch_is(arg[0], TORCH_DICT)) {
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

    if (!has_items(arg[0]) || !has_items(arg[1])) {
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

    if (!has_items(arg[0]) && !torch_is(arg[0], TORCH_STRING)) {
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

    if (check_changeable(t, arg[0]) != 0) {
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
        || read_index(t, torch_is(arg[1], TORCH_INT) ? arg[1] : &last,
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

    if (check_changeable(t, arg[0]) != 0 || torch_charge(t, items->n) != 0
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

    if (check_changeable(t, arg[0]) != 0 || torch_charge(t, items->n) != 0) {
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

    if (check_changeable(t, arg[0]) != 0 || torch_charge(t, items->n) != 0) {
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

    if (check_changeable(t, arg[0]) != 0) {
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


const torch_builtin_t  torch_builtins_sequence[] = {
    { "torch.any", "self", any },
    { "torch.all", "self", all },
    { "torch.__getitem__", "self key", get_item },
    { "torch._set_item", "self key value", torch_set_item },
    { "torch.__contains__", "self key", contains },
    { "torch.Delete", "self key", delete },
    { "torch.eq", "self other", eq },
    { "torch.ne", "self other", ne },
    { "torch.len", "self", length },
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
