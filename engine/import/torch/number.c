/*
 * Numbers: arithmetic, comparison, conversion.
 *
 * An integer i + batch * B follows the batch size B.  What is not linear in B
 * any more, and a comparison that does not hold for all B >= 1 or for none, is
 * computed for a batch of 1 and told to torch_follow.
 */

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "import/torch/eval.h"


/* How a comes out against b: bits, of which each B >= 1 sets one. */
#define LESS     1
#define EQUAL    2
#define GREATER  4


static int
is_number(const torch_value_t *v)
{
    return v != NULL && (v->kind == TORCH_INT || v->kind == TORCH_BOOL
                         || v->kind == TORCH_FLOAT);
}


static int
is_float(const torch_value_t *v)
{
    return v->kind == TORCH_FLOAT;
}


/* At a batch of 1 where it follows the batch. */
static int64_t
at_one(torch_eval_t *t, const torch_value_t *v)
{
    if (v->batch != 0) {
        torch_follow(t);
    }

    return v->i + v->batch;
}


static double
as_float(torch_eval_t *t, const torch_value_t *v)
{
    return is_float(v) ? v->f : (double) at_one(t, v);
}


static torch_value_t *
overflow(torch_eval_t *t)
{
    torch_fail(t, "an integer overflows");
    return NULL;
}


/* i + batch * B; both and their sum fit, so that it can be evaluated at 1 */
static torch_value_t *
linear(torch_eval_t *t, int64_t i, int64_t batch)
{
    int64_t         sum;
    torch_value_t  *v;

    if (__builtin_add_overflow(i, batch, &sum)) {
        return overflow(t);
    }

    v = torch_int(t->g, i);
    if (v != NULL) {
        v->batch = batch;
    }

    return v;
}


/* ---- arithmetic ------------------------------------------------------- */

static torch_value_t *
add(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               i, batch;
    const torch_value_t  *a = arg[0], *b = arg[1];

    if (!is_number(a) || !is_number(b) || arg[2] != NULL) {
        return TORCH_DECLINE;
    }

    if (is_float(a) || is_float(b)) {
        return torch_float(t->g, as_float(t, a) + as_float(t, b));
    }

    return __builtin_add_overflow(a->i, b->i, &i)
           || __builtin_add_overflow(a->batch, b->batch, &batch)
           ? overflow(t) : linear(t, i, batch);
}


static torch_value_t *
sub(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               i, batch;
    const torch_value_t  *a = arg[0], *b = arg[1];

    if (!is_number(a) || !is_number(b) || arg[2] != NULL) {
        return TORCH_DECLINE;
    }

    if (is_float(a) || is_float(b)) {
        return torch_float(t->g, as_float(t, a) - as_float(t, b));
    }

    return __builtin_sub_overflow(a->i, b->i, &i)
           || __builtin_sub_overflow(a->batch, b->batch, &batch)
           ? overflow(t) : linear(t, i, batch);
}


static torch_value_t *
mul(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               factor, i, batch;
    const torch_value_t  *a = arg[0], *b = arg[1], *other;

    if (!is_number(a) || !is_number(b)) {
        return TORCH_DECLINE;
    }

    if (is_float(a) || is_float(b)) {
        return torch_float(t->g, as_float(t, a) * as_float(t, b));
    }

    other = b->batch == 0 ? a : b;
    factor = at_one(t, b->batch == 0 ? b : a);

    return __builtin_mul_overflow(other->i, factor, &i)
           || __builtin_mul_overflow(other->batch, factor, &batch)
           ? overflow(t) : linear(t, i, batch);
}


static torch_value_t *
divide(torch_eval_t *t, torch_value_t *const *arg)
{
    double  b;

    if (!is_number(arg[0]) || !is_number(arg[1]) || arg[2] != NULL) {
        return TORCH_DECLINE;
    }

    b = as_float(t, arg[1]);

    if (b == 0) {
        torch_fail(t, "division by zero");
        return NULL;
    }

    return torch_float(t->g, as_float(t, arg[0]) / b);
}


/* The operands of an integer division; -1 with the error set. */
static int
division(torch_eval_t *t, torch_value_t *const *arg, int64_t *a, int64_t *b)
{
    *a = at_one(t, arg[0]);
    *b = at_one(t, arg[1]);

    return *b == 0 ? torch_fail(t, "division by zero")
           : *a == INT64_MIN && *b == -1 ? torch_fail(t, "an integer "
                                                      "overflows")
           : 0;
}


static torch_value_t *
floordiv(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               x, y, k;
    const torch_value_t  *a = arg[0], *b = arg[1];

    if (!is_number(a) || !is_number(b) || arg[2] != NULL) {
        return TORCH_DECLINE;
    }

    if (is_float(a) || is_float(b)) {
        if (as_float(t, b) == 0) {
            torch_fail(t, "division by zero");
            return NULL;
        }

        return torch_float(t->g, floor(as_float(t, a) / as_float(t, b)));
    }

    /* exact for all batches: each coefficient, or the same quotient */
    if (b->batch == 0 && b->i > 0 && a->i % b->i == 0
        && a->batch % b->i == 0)
    {
        return linear(t, a->i / b->i, a->batch / b->i);
    }

    if (b->batch > 0 && a->batch % b->batch == 0) {
        k = a->batch / b->batch;

        if (!__builtin_mul_overflow(b->i, k, &x) && x == a->i && b->i >= 0) {
            return torch_int(t->g, k);
        }
    }

    if (division(t, arg, &x, &y) != 0) {
        return NULL;
    }

    return torch_int(t->g, x / y - (x % y != 0 && (x < 0) != (y < 0)));
}


/* of the sign of the divisor */
static torch_value_t *
remainder_of(torch_eval_t *t, torch_value_t *const *arg)
{
    double                x, y, r;
    int64_t               a, b, m;
    torch_value_t         rest;
    torch_value_t        *operand[2] = { arg[0], arg[1] };

    if (!is_number(arg[0]) || !is_number(arg[1])) {
        return TORCH_DECLINE;
    }

    if (is_float(arg[0]) || is_float(arg[1])) {
        x = as_float(t, arg[0]);
        y = as_float(t, arg[1]);
        r = y != 0 ? fmod(x, y) : NAN;

        return torch_float(t->g, r != 0 && (r < 0) != (y < 0) ? r + y : r);
    }

    /* the part that follows the batch leaves nothing */
    if (arg[0]->batch != 0 && arg[1]->batch == 0 && arg[1]->i > 0
        && arg[0]->batch % arg[1]->i == 0)
    {
        rest = (torch_value_t) { .kind = TORCH_INT };
        rest.i = arg[0]->i;
        operand[0] = &rest;
    }

    if (division(t, operand, &a, &b) != 0) {
        return NULL;
    }

    m = a % b;

    return torch_int(t->g, m != 0 && (m < 0) != (b < 0) ? m + b : m);
}


static torch_value_t *
power(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_number(arg[0]) && is_number(arg[1])
           ? torch_float(t->g, pow(as_float(t, arg[0]), as_float(t, arg[1])))
           : TORCH_DECLINE;
}


static torch_value_t *
negative(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t   zero = { .kind = TORCH_INT };
    torch_value_t  *operand[3] = { &zero, arg[0], NULL };

    return !is_number(arg[0]) ? TORCH_DECLINE
           : is_float(arg[0]) ? torch_float(t->g, -arg[0]->f)
           : sub(t, operand);
}


/* ---- comparison ------------------------------------------------------- */

static int
compare_ints(const torch_value_t *a, const torch_value_t *b)
{
    int64_t  i, batch, first;

    /* far out: taken at a batch of 1 */
    if (__builtin_sub_overflow(a->i, b->i, &i)
        || __builtin_sub_overflow(a->batch, b->batch, &batch)
        || __builtin_add_overflow(i, batch, &first))
    {
        return a->batch != 0 || b->batch != 0 ? LESS | EQUAL | GREATER
               : a->i < b->i ? LESS : GREATER;
    }

    /* the difference begins with first, and grows by batch */
    if (batch == 0) {
        return first < 0 ? LESS : first > 0 ? GREATER : EQUAL;
    }

    if (batch > 0) {
        return first > 0 ? GREATER
               : (first < 0 ? LESS : 0) | GREATER
                 | (first % batch == 0 ? EQUAL : 0);
    }

    return first < 0 ? LESS
           : (first > 0 ? GREATER : 0) | LESS
             | (first % batch == 0 ? EQUAL : 0);
}


/* Whether a comes out as one of wanted. */
static torch_value_t *
compare(torch_eval_t *t, torch_value_t *const *arg, int wanted)
{
    int      how;
    double   x, y;
    int64_t  a, b;

    if (!is_number(arg[0]) || !is_number(arg[1])) {
        return TORCH_DECLINE;
    }

    if (is_float(arg[0]) || is_float(arg[1])) {
        x = as_float(t, arg[0]);
        y = as_float(t, arg[1]);

        /* nothing is wanted of a NaN, but that it is not equal */
        how = x < y ? LESS : x > y ? GREATER : x == y ? EQUAL : 0;

        return torch_bool(t->g, how != 0 ? (how & wanted) != 0
                                         : wanted == (LESS | GREATER));
    }

    how = compare_ints(arg[0], arg[1]);

    if ((how & wanted) != 0 && (how & ~wanted) != 0) {
        a = at_one(t, arg[0]);
        b = at_one(t, arg[1]);
        how = a < b ? LESS : a > b ? GREATER : EQUAL;
    }

    return torch_bool(t->g, (how & wanted) != 0);
}

TORCH_KIND(lt, compare, LESS)
TORCH_KIND(le, compare, LESS | EQUAL)
TORCH_KIND(gt, compare, GREATER)
TORCH_KIND(ge, compare, GREATER | EQUAL)
TORCH_KIND(eq, compare, EQUAL)
TORCH_KIND(ne, compare, LESS | GREATER)


/* Of two numbers, or of a list of them. */
static torch_value_t *
extreme(torch_eval_t *t, torch_value_t *const *arg,
    torch_builtin_fn is_better)
{
    int                   any_float;
    torch_value_t        *best, *truth, *pair[2];
    torch_value_t *const *item = arg;
    size_t                n = 2;

    if (arg[0]->kind == TORCH_LIST && arg[1] == NULL) {
        item = arg[0]->items.item;
        n = arg[0]->items.n;
    }

    for (size_t i = 0; i < n; i++) {
        if (!is_number(item[i])) {
            return TORCH_DECLINE;
        }
    }

    if (n == 0) {
        torch_fail(t, "the list is empty");
        return NULL;
    }

    best = item[0];
    any_float = is_float(best);

    for (size_t i = 1; i < n; i++) {
        any_float |= is_float(item[i]);

        pair[0] = item[i];
        pair[1] = best;
        truth = is_better(t, pair);

        if (truth == NULL) {
            return NULL;
        }

        best = truth->i != 0 ? item[i] : best;
    }

    return any_float && !is_float(best) ? torch_float(t->g, as_float(t, best))
                                        : best;
}


static torch_value_t *
min(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[0] != NULL ? extreme(t, arg, lt) : TORCH_DECLINE;
}


static torch_value_t *
max(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[0] != NULL ? extreme(t, arg, gt) : TORCH_DECLINE;
}


/* of a list */
static torch_value_t *
sum(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v, *pair[3] = { NULL };

    if (arg[0] == NULL || arg[0]->kind != TORCH_LIST) {
        return TORCH_DECLINE;
    }

    v = torch_int(t->g, 0);

    for (size_t i = 0; v != NULL && i < arg[0]->items.n; i++) {
        pair[0] = v;
        pair[1] = arg[0]->items.item[i];
        v = add(t, pair);

        if (v == TORCH_DECLINE) {
            return v;
        }
    }

    return v;
}


/* ---- functions of one number ------------------------------------------ */

static torch_value_t *
to_int(torch_eval_t *t, double f)
{
    if (!(f >= -0x1p63 && f < 0x1p63)) {
        return overflow(t);
    }

    return torch_int(t->g, (int64_t) f);
}


static torch_value_t *
floor_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return !is_number(arg[0]) ? TORCH_DECLINE
           : is_float(arg[0]) ? to_int(t, floor(arg[0]->f)) : arg[0];
}


static torch_value_t *
ceil_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return !is_number(arg[0]) ? TORCH_DECLINE
           : is_float(arg[0]) ? to_int(t, ceil(arg[0]->f)) : arg[0];
}


/* half to even, and still a float: as Python 2 had it */
static torch_value_t *
round_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_number(arg[0])
           ? torch_float(t->g, nearbyint(as_float(t, arg[0])))
           : TORCH_DECLINE;
}


static torch_value_t *
absolute(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t  i;

    if (!is_number(arg[0])) {
        return TORCH_DECLINE;
    }

    if (is_float(arg[0])) {
        return torch_float(t->g, fabs(arg[0]->f));
    }

    i = at_one(t, arg[0]);

    return i == INT64_MIN ? overflow(t) : torch_int(t->g, i < 0 ? -i : i);
}


static torch_value_t *
sqrt_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_number(arg[0])
           ? torch_float(t->g, sqrt(as_float(t, arg[0]))) : TORCH_DECLINE;
}


static torch_value_t *
exp_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_number(arg[0])
           ? torch_float(t->g, exp(as_float(t, arg[0]))) : TORCH_DECLINE;
}


static torch_value_t *
log_of(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_number(arg[0])
           ? torch_float(t->g, log(as_float(t, arg[0]))) : TORCH_DECLINE;
}


/* ---- conversion ------------------------------------------------------- */

static torch_value_t *
make_int(torch_eval_t *t, torch_value_t *const *arg)
{
    const torch_value_t  *v = arg[0];

    v = v != NULL && v->kind == TORCH_TENSOR ? torch_item(t, v) : v;

    if (v == NULL) {
        return NULL;
    }

    if (v->kind == TORCH_STRING) {
        return torch_int(t->g, strtoll(v->string.s, NULL, 10));
    }

    return !is_number(v) ? TORCH_DECLINE
           : is_float(v) ? to_int(t, trunc(v->f)) : linear(t, v->i, v->batch);
}


static torch_value_t *
make_float(torch_eval_t *t, torch_value_t *const *arg)
{
    const torch_value_t  *v = arg[0];

    v = v != NULL && v->kind == TORCH_TENSOR ? torch_item(t, v) : v;

    if (v == NULL) {
        return NULL;
    }

    if (v->kind == TORCH_STRING) {
        return torch_float(t->g, strtod(v->string.s, NULL));
    }

    return is_number(v) ? torch_float(t->g, as_float(t, v)) : TORCH_DECLINE;
}


static torch_value_t *
make_bool(torch_eval_t *t, torch_value_t *const *arg)
{
    int  truth;

    if (arg[0] != NULL && arg[0]->kind == TORCH_TENSOR
        && arg[0]->tensor->data == NULL)
    {
        return torch_bool_of(t, arg[0]);
    }

    truth = arg[0] != NULL ? torch_truth(t, arg[0]) : -1;

    return truth >= 0 ? torch_bool(t->g, truth) : NULL;
}


/* What a tensor of one element holds, of its own type. */
static torch_value_t *
item(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[0] == NULL ? TORCH_DECLINE
           : arg[0]->kind == TORCH_TENSOR ? torch_item(t, arg[0])
           : is_number(arg[0]) ? arg[0] : TORCH_DECLINE;
}


/* ---- logic ------------------------------------------------------------ */

static int
are_bools(torch_value_t *const *arg)
{
    return arg[0] != NULL && arg[0]->kind == TORCH_BOOL
           && arg[1] != NULL && arg[1]->kind == TORCH_BOOL;
}


static torch_value_t *
and(torch_eval_t *t, torch_value_t *const *arg)
{
    return are_bools(arg) ? torch_bool(t->g, arg[0]->i & arg[1]->i)
                          : TORCH_DECLINE;
}


static torch_value_t *
or(torch_eval_t *t, torch_value_t *const *arg)
{
    return are_bools(arg) ? torch_bool(t->g, arg[0]->i | arg[1]->i)
                          : TORCH_DECLINE;
}


static torch_value_t *
xor(torch_eval_t *t, torch_value_t *const *arg)
{
    return are_bools(arg) ? torch_bool(t->g, arg[0]->i ^ arg[1]->i)
                          : TORCH_DECLINE;
}


static torch_value_t *
not(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[0] != NULL && arg[0]->kind == TORCH_BOOL
           ? torch_bool(t->g, !arg[0]->i) : TORCH_DECLINE;
}


const torch_builtin_t  torch_builtins_number[] = {
    { "torch.add", "self other alpha", add },
    { "torch.sub", "self other alpha", sub },
    { "torch.mul", "self other", mul },
    { "torch.div", "self other rounding_mode", divide },
    { "torch.floordiv", "self other", floordiv },
    { "torch.floor_divide", "self other", floordiv },
    { "torch.remainder", "self other", remainder_of },
    { "torch.pow", "self exponent", power },
    { "torch.neg", "self", negative },
    { "torch.lt", "self other", lt },
    { "torch.le", "self other", le },
    { "torch.gt", "self other", gt },
    { "torch.ge", "self other", ge },
    { "torch.eq", "self other", eq },
    { "torch.ne", "self other", ne },
    { "ops.prim.min", "self other", min },
    { "ops.prim.max", "self other", max },
    { "torch.sum", "self", sum },
    { "torch.floor", "self", floor_of },
    { "torch.ceil", "self", ceil_of },
    { "torch.round", "self", round_of },
    { "torch.abs", "self", absolute },
    { "ops.prim.abs", "self", absolute },
    { "torch.sqrt", "self", sqrt_of },
    { "torch.exp", "self", exp_of },
    { "torch.log", "self", log_of },
    { "int", "self", make_int },
    { "float", "self", make_float },
    { "bool", "self", make_bool },
    { "torch.Int", "self", make_int },
    { "torch.Float", "self", make_float },
    { "torch.Bool", "self", make_bool },
    { "torch.IntImplicit", "self", make_int },
    { "torch.FloatImplicit", "self", make_float },
    { "torch.ScalarImplicit", "self", item },
    { "ops.prim.ImplicitTensorToNum", "self", item },
    { "torch.item", "self", item },
    { "torch.__and__", "self other", and },
    { "torch.__or__", "self other", or },
    { "torch.__xor__", "self other", xor },
    { "torch.__not__", "self", not },
    { NULL, NULL, NULL }
};
