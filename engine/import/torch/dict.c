/*
 * Dicts as a whole: their elements are read and set in sequence.c.
 */

#include "import/torch/sequence.h"


/* Keys, values or pairs as a list. */
static torch_value_t *
list_dict(torch_eval_t *t, torch_value_t *dict, size_t first, size_t n)
{
    torch_value_t  *v, *pair;

    if (!torch_is(dict, TORCH_DICT)) {
        return TORCH_DECLINE;
    }

    v = torch_new(t->g, TORCH_LIST);

    for (size_t i = 0; v != NULL && i < dict->items.n; i += 2) {
        pair = dict->items.item[i + first];

        if (n == 2) {
            pair = torch_new(t->g, TORCH_TUPLE);

            if (pair == NULL
                || torch_append_range(t, pair, dict, i, i + 2, 1) != 0)
            {
                return NULL;
            }
        }

        if (torch_charge(t, 1) != 0 || torch_append(t->g, v, pair) != 0) {
            return NULL;
        }
    }

    return v;
}


static torch_value_t *
keys(torch_eval_t *t, torch_value_t *const *arg)
{
    return list_dict(t, arg[0], 0, 1);
}


static torch_value_t *
values(torch_eval_t *t, torch_value_t *const *arg)
{
    return list_dict(t, arg[0], 1, 1);
}


static torch_value_t *
pairs(torch_eval_t *t, torch_value_t *const *arg)
{
    return list_dict(t, arg[0], 0, 2);
}


static torch_value_t *
get(torch_eval_t *t, torch_value_t *const *arg)
{
    size_t  i;

    if (!torch_is(arg[0], TORCH_DICT) || arg[1] == NULL) {
        return TORCH_DECLINE;
    }

    if (torch_find_item(t, arg[0], arg[1], &i) != 0) {
        return NULL;
    }

    return i < arg[0]->items.n ? arg[0]->items.item[i + 1]
           : arg[2] != NULL ? arg[2] : torch_none(t);
}


/* Of no elements, or of a list of pairs. */
static torch_value_t *
dict(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t        *operand[3] = { NULL };
    const torch_value_t  *pair;

    if (arg[0] != NULL && !torch_is(arg[0], TORCH_LIST)) {
        return TORCH_DECLINE;
    }

    operand[0] = torch_new(t->g, TORCH_DICT);

    for (size_t i = 0; operand[0] != NULL && arg[0] != NULL
                       && i < arg[0]->items.n; i++)
    {
        pair = arg[0]->items.item[i];

        if (!torch_is(pair, TORCH_TUPLE) || pair->items.n != 2) {
            return TORCH_DECLINE;
        }

        operand[1] = pair->items.item[0];
        operand[2] = pair->items.item[1];

        if (torch_set_item(t, operand) == NULL) {
            return NULL;
        }
    }

    return operand[0];
}


static torch_value_t *
update(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *operand[3] = { arg[0], NULL, NULL };

    if (!torch_is(arg[0], TORCH_DICT) || !torch_is(arg[1], TORCH_DICT)) {
        return TORCH_DECLINE;
    }

    for (size_t i = 0; i < arg[1]->items.n; i += 2) {
        operand[1] = arg[1]->items.item[i];
        operand[2] = arg[1]->items.item[i + 1];

        if (torch_set_item(t, operand) == NULL) {
            return NULL;
        }
    }

    return torch_none(t);
}


const torch_builtin_t  torch_builtins_dict[] = {
    { "torch.dict", "self", dict },
    { "torch.keys", "self", keys },
    { "torch.values", "self", values },
    { "torch.items", "self", pairs },
    { "torch.get", "self key default", get },
    { "torch.update", "self other", update },
    { NULL, NULL, NULL }
};
