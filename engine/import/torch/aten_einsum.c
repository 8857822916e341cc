/*
 * torch.einsum: operands are joined from left to right, each time as one
 * matrix product.  Labels that both have and that are still needed count the
 * products, those that are needed no more are summed over.
 */

#include <string.h>

#include "import/torch/aten.h"


#define MAX_OPERANDS  16

/* A tensor, and a letter for each of its dimensions. */
typedef struct {
    infer_value_t  *x;
    char            label[INFER_MAX_RANK + 1];
} term_t;

/* The letters of two terms, by what becomes of them. */
typedef struct {
    char  shared[INFER_MAX_RANK + 1];
    char  left[INFER_MAX_RANK + 1];
    char  right[INFER_MAX_RANK + 1];
    char  sums[INFER_MAX_RANK + 1];
} sorted_t;


static int
fail(torch_eval_t *t, const char *why)
{
    return torch_fail(t, "torch.einsum: %s", why);
}


static infer_dim_t
dim_of(const term_t *a, char label)
{
    return a->x->dim[strchr(a->label, label) - a->label];
}


/* Reads letters up to a comma, an arrow or the end: behind them, or NULL. */
static const char *
read_labels(torch_eval_t *t, const char *s, char *label)
{
    int  n = 0;

    for ( /* void */ ; *s != '\0' && *s != ',' && *s != '-'; s++) {
        if (*s == ' ') {
            continue;
        }

        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))
            || n == INFER_MAX_RANK || memchr(label, *s, (size_t) n) != NULL)
        {
            fail(t, "only different letters are supported");
            return NULL;
        }

        label[n++] = *s;
    }

    label[n] = '\0';

    return s;
}


/* What an equation without an arrow gives: letters that are there once, in
   their order. */
static int
implicit_labels(torch_eval_t *t, const char *equation, char *label)
{
    int          n = 0;
    const char  *first;

    for (int c = 'A'; c <= 'z'; c++) {
        first = c <= 'Z' || c >= 'a' ? strchr(equation, c) : NULL;

        if (first == NULL || strchr(first + 1, c) != NULL) {
            continue;
        }

        if (n == INFER_MAX_RANK) {
            return fail(t, "too many letters");
        }

        label[n++] = (char) c;
    }

    label[n] = '\0';

    return 0;
}


/* Dimensions in the order of these labels, which are a's. */
static infer_value_t *
ordered(torch_eval_t *t, const term_t *a, const char *label)
{
    int  perm[INFER_MAX_RANK];

    for (int i = 0; label[i] != '\0'; i++) {
        perm[i] = (int) (strchr(a->label, label[i]) - a->label);
    }

    return aten_transpose(t, a->x, perm);
}


/* Sums over what nobody else needs. */
static int
sum_out(torch_eval_t *t, term_t *a, const char *needed, const char *others)
{
    int       n = 0;
    uint32_t  axes = 0;

    for (int i = 0; a->label[i] != '\0'; i++) {
        if (strchr(needed, a->label[i]) == NULL
            && strchr(others, a->label[i]) == NULL)
        {
            axes |= 1u << i;

        } else {
            a->label[n++] = a->label[i];
        }
    }

    a->label[n] = '\0';

    if (axes != 0) {
        a->x = aten_reduce(t, a->x, INFER_REDUCE_SUM, axes, 0);
    }

    return a->x != NULL ? 0 : -1;
}


/* The product of a's dimensions of these labels. */
static int
product_of(torch_eval_t *t, const term_t *a, const char *label,
    infer_dim_t *n)
{
    *n = infer_dim(1);

    for ( /* void */ ; *label != '\0'; label++) {
        if (infer_dim_mul(*n, dim_of(a, *label), n) != 0) {
            return fail(t, "the batch is multiplied by itself");
        }
    }

    return 0;
}


/* Which letters of a and b count products, are a's or b's alone, or are summed
   over. */
static int
sort_labels(torch_eval_t *t, const term_t *a, const term_t *b,
    const char *needed, sorted_t *s)
{
    int  shared = 0, left = 0, right = 0, sums = 0;

    for (const char *c = a->label; *c != '\0'; c++) {
        if (strchr(b->label, *c) == NULL) {
            s->left[left++] = *c;

        } else if (!infer_dim_equal(dim_of(a, *c), dim_of(b, *c))) {
            return fail(t, "dimensions of the same letter differ");

        } else if (strchr(needed, *c) != NULL) {
            s->shared[shared++] = *c;

        } else {
            s->sums[sums++] = *c;
        }
    }

    for (const char *c = b->label; *c != '\0'; c++) {
        if (strchr(a->label, *c) == NULL) {
            s->right[right++] = *c;
        }
    }

    s->shared[shared] = s->left[left] = '\0';
    s->right[right] = s->sums[sums] = '\0';

    return shared + left + right > INFER_MAX_RANK
           || shared + 2 > INFER_MAX_RANK
           ? fail(t, "too many dimensions") : 0;
}


/* x as (shared.., product of rows, product of columns). */
static torch_value_t *
as_matrices(torch_eval_t *t, const term_t *x, const char *shared,
    const char *rows, const char *columns)
{
    int          n = 0;
    char         order[3 * INFER_MAX_RANK + 1];
    infer_dim_t  dim[INFER_MAX_RANK];

    for (const char *c = shared; *c != '\0'; c++) {
        dim[n++] = dim_of(x, *c);
    }

    if (product_of(t, x, rows, &dim[n]) != 0
        || product_of(t, x, columns, &dim[n + 1]) != 0)
    {
        return NULL;
    }

    strcat(strcat(strcpy(order, shared), rows), columns);

    return aten_new(t, aten_reshape(t, ordered(t, x, order), n + 2, dim));
}


/* a becomes a joined with b; needed: letters of what follows. */
static int
join(torch_eval_t *t, term_t *a, term_t *b, const char *needed)
{
    int             rank = 0;
    char            label[3 * INFER_MAX_RANK + 1];
    sorted_t        s;
    infer_dim_t     dim[INFER_MAX_RANK];
    torch_value_t  *value[2];

    if (sum_out(t, a, needed, b->label) != 0
        || sum_out(t, b, needed, a->label) != 0
        || sort_labels(t, a, b, needed, &s) != 0)
    {
        return -1;
    }

    value[0] = as_matrices(t, a, s.shared, s.left, s.sums);
    value[1] = as_matrices(t, b, s.shared, s.sums, s.right);

    if (value[0] == NULL || value[1] == NULL) {
        return -1;
    }

    strcat(strcat(strcpy(label, s.shared), s.left), s.right);

    for (const char *c = label; *c != '\0'; c++) {
        dim[rank++] = dim_of(strchr(a->label, *c) != NULL ? a : b, *c);
    }

    a->x = aten_reshape(t, aten_call(t, "torch.matmul", value, 2), rank, dim);
    strcpy(a->label, label);

    return a->x != NULL ? 0 : -1;
}


/* The letters of the operands, and of what it gives.  0 or -1. */
static int
read_equation(torch_eval_t *t, const char *equation,
    const torch_value_t *list, term_t *term, char *out)
{
    const char  *s = equation;

    for (size_t i = 0; i < list->items.n; i++) {
        term[i].x = aten_tensor(t, list->items.item[i]);
        s = term[i].x != NULL ? read_labels(t, s, term[i].label) : NULL;

        if (s == NULL) {
            return -1;
        }

        if (strlen(term[i].label) != (size_t) term[i].x->rank
            || (*s == ',') != (i + 1 < list->items.n))
        {
            return fail(t, "the equation does not suit its operands");
        }

        s += *s == ',';
    }

    if (*s == '\0') {
        return implicit_labels(t, equation, out);
    }

    if (s[1] != '>') {
        return fail(t, "the equation does not suit its operands");
    }

    s = read_labels(t, s + 2, out);

    return s == NULL ? -1
           : *s != '\0' ? fail(t, "the equation does not end") : 0;
}


static torch_value_t *
einsum(torch_eval_t *t, torch_value_t *const *arg)
{
    char     out[INFER_MAX_RANK + 1], needed[MAX_OPERANDS * INFER_MAX_RANK];
    size_t   n;
    term_t   term[MAX_OPERANDS];

    if (arg[0] == NULL || arg[0]->kind != TORCH_STRING || arg[1] == NULL
        || arg[1]->kind != TORCH_LIST || arg[1]->items.n < 1
        || arg[1]->items.n > MAX_OPERANDS - 1)
    {
        return TORCH_DECLINE;
    }

    n = arg[1]->items.n;

    if (read_equation(t, arg[0]->string.s, arg[1], term, out) != 0) {
        return NULL;
    }

    for (size_t i = 1; i < n; i++) {
        strcpy(needed, out);

        for (size_t k = i + 1; k < n; k++) {
            strcat(needed, term[k].label);
        }

        if (join(t, &term[0], &term[i], needed) != 0) {
            return NULL;
        }
    }

    if (sum_out(t, &term[0], out, "") != 0) {
        return NULL;
    }

    if (strlen(out) != strlen(term[0].label)) {
        fail(t, "the result has a letter that no operand has");
        return NULL;
    }

    return aten_new(t, ordered(t, &term[0], out));
}


const torch_builtin_t  torch_builtins_einsum[] = {
    { "torch.einsum", "equation tensors path", einsum },
    { NULL, NULL, NULL }
};
