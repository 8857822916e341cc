/*
 * What builtins of lists and of dicts share.
 */

#ifndef INFER_TORCH_SEQUENCE_H
#define INFER_TORCH_SEQUENCE_H

#include "import/torch/eval.h"


/* Whether v is there, and of that kind; a list or tuple. */
int torch_is(const torch_value_t *v, torch_kind_t kind);
int torch_has_items(const torch_value_t *v);

torch_value_t *torch_none(torch_eval_t *t);

/* Lists and dicts of the model itself do not change: 0, or -1. */
int torch_check_changeable(torch_eval_t *t, const torch_value_t *v);

/*
 * A number's place among n items, counted from the end where it is negative.
 * 0, or -1 with the error set.
 */
int torch_read_index(torch_eval_t *t, const torch_value_t *v, size_t n,
    size_t *index);

/* n more steps; -1 with the error set where they are too many. */
int torch_charge(torch_eval_t *t, size_t n);

/* Appends items from .. to - 1, each step'th, of what has items. */
int torch_append_range(torch_eval_t *t, torch_value_t *to,
    const torch_value_t *v, size_t from, size_t end, size_t step);

/*
 * The place of a key in a dict, or of a value in a list; n items: it is not
 * there.  0, or -1 where the values cannot be compared.
 */
int torch_find_item(torch_eval_t *t, const torch_value_t *v,
    torch_value_t *key, size_t *i);

/* arg: a list or dict, an index or key, a value. */
torch_value_t *torch_set_item(torch_eval_t *t, torch_value_t *const *arg);

#endif /* INFER_TORCH_SEQUENCE_H */
