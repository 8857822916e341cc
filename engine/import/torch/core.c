/*
 * Builtins of the language: truth, arithmetic and comparison of numbers,
 * lists, tuples, dicts, strings, conversions, exceptions.
 */

#include <math.h>
#include <string.h>

#include "import/torch/eval.h"


int
torch_truth(torch_eval_t *t, const torch_value_t *v)
{
    switch (v->kind) {

    case TORCH_BOOL:
    case TORCH_INT:
        if (v->batch != 0) {
            torch_follow(t);
        }

        return v->i + v->batch != 0;

    case TORCH_FLOAT:
        return v->f != 0;

    case TORCH_NONE:
        return 0;

    default:
        return torch_fail(t, "a decision that depends on a %s is not "
                          "supported", torch_kind_name(v->kind));
    }
}


static torch_value_t *
raise(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_fail(t, "the model raises an exception: %s",
               arg[0] != NULL && arg[0]->kind == TORCH_STRING
               ? arg[0]->string.s : "");
    return NULL;
}


const torch_builtin_t  torch_builtins_core[] = {
    { "ops.prim.RaiseException", "message class", raise },
    { NULL, NULL, NULL }
};
