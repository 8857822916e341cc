/*
 * Operators that work element by element on two operands: arithmetic,
 * comparison, selection; and conversion.
 */

#include <string.h>

#include "import/torch/aten.h"


/* ---- two operands ----------------------------------------------------- */

static int
has_tensor(torch_value_t *const *arg)
{
    return arg[0] != NULL && arg[1] != NULL
           && (aten_is_tensor(arg[0]) || aten_is_tensor(arg[1]));
}


static torch_value_t *
binary(torch_eval_t *t, torch_value_t *const *arg, infer_binary_kind_t kind)
{
    infer_value_t  *a, *b;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    return aten_promote(t, arg[0], arg[1], &a, &b) != 0 ? NULL
           : aten_new(t, aten_binary(t, kind, a, b));
}

TORCH_KIND(mul, binary, INFER_MUL)
TORCH_KIND(minimum, binary, INFER_MIN)
TORCH_KIND(maximum, binary, INFER_MAX)
TORCH_KIND(eq, binary, INFER_EQUAL)
TORCH_KIND(lt, binary, INFER_LESS)
TORCH_KIND(gt, binary, INFER_GREATER)
TORCH_KIND(le, binary, INFER_LESS_EQUAL)
TORCH_KIND(ge, binary, INFER_GREATER_EQUAL)


static torch_value_t *
ne(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t  *v;

    v = binary(t, arg, INFER_EQUAL);

    return v == NULL || v == TORCH_DECLINE ? v
           : aten_new(t, aten_unary(t, v->tensor, INFER_NOT));
}


/* a + alpha * b, where alpha is there */
static torch_value_t *
sum(torch_eval_t *t, torch_value_t *const *arg, infer_binary_kind_t kind)
{
    double          alpha = 1;
    infer_value_t  *a, *b;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    if (aten_double(t, arg[2], &alpha) != 0
        || aten_promote(t, arg[0], arg[1], &a, &b) != 0)
    {
        return NULL;
    }

    b = alpha == 1 ? b : aten_binary_number(t, INFER_MUL, b, alpha);

    return aten_new(t, aten_binary(t, kind, a, b));
}

TORCH_KIND(add, sum, INFER_ADD)
TORCH_KIND(sub, sum, INFER_SUB)


static torch_value_t *
rsub(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_value_t *const  swapped[] = { arg[1], arg[0], arg[2] };

    return sum(t, swapped, INFER_SUB);
}


/* Rounded down; of integers: (a - a mod b) / b. */
static infer_value_t *
floor_quotient(torch_eval_t *t, infer_value_t *a, infer_value_t *b)
{
    if (aten_is_float(a->dtype)) {
        return aten_unary(t, aten_binary(t, INFER_DIV, a, b), INFER_FLOOR);
    }

    return aten_binary(t, INFER_DIV,
                       aten_binary(t, INFER_SUB, a,
                                   aten_binary(t, INFER_MOD, a, b)), b);
}


/* Rounded to zero, which division of integers does by itself. */
static infer_value_t *
trunc_quotient(torch_eval_t *t, infer_value_t *a, infer_value_t *b)
{
    infer_value_t  *q;

    q = aten_binary(t, INFER_DIV, a, b);

    return q == NULL || !aten_is_float(q->dtype) ? q
           : aten_where(t, aten_binary_number(t, INFER_LESS, q, 0),
                        aten_unary(t, q, INFER_CEIL),
                        aten_unary(t, q, INFER_FLOOR));
}


static torch_value_t *
divide(torch_eval_t *t, torch_value_t *const *arg)
{
    int             down;
    infer_value_t  *a, *b;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    if (aten_promote(t, arg[0], arg[1], &a, &b) != 0) {
        return NULL;
    }

    if (!aten_is_none(arg[2])) {
        down = arg[2]->kind == TORCH_STRING
               && strcmp(arg[2]->string.s, "floor") == 0;

        if (!down && (arg[2]->kind != TORCH_STRING
                      || strcmp(arg[2]->string.s, "trunc") != 0))
        {
            return TORCH_DECLINE;
        }

        return aten_new(t, down ? floor_quotient(t, a, b)
                                : trunc_quotient(t, a, b));
    }

    if (!aten_is_float(a->dtype)) {
        a = aten_cast(t, a, INFER_F32);
        b = aten_cast(t, b, INFER_F32);
    }

    return aten_new(t, aten_binary(t, INFER_DIV, a, b));
}


static torch_value_t *
floor_divide(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *a, *b;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    return aten_promote(t, arg[0], arg[1], &a, &b) != 0 ? NULL
           : aten_new(t, floor_quotient(t, a, b));
}


/* Of the divisor's sign. */
static torch_value_t *
remainder_(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *a, *b, *q;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    if (aten_promote(t, arg[0], arg[1], &a, &b) != 0) {
        return NULL;
    }

    if (!aten_is_float(a->dtype)) {
        return aten_new(t, aten_binary(t, INFER_MOD, a, b));
    }

    q = aten_binary(t, INFER_MUL, floor_quotient(t, a, b), b);

    return aten_new(t, aten_binary(t, INFER_SUB, a, q));
}


static torch_value_t *
power(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    /* what norms are made of */
    if (arg[1]->kind != TORCH_TENSOR && aten_is_tensor(arg[0])
        && aten_is_float(arg[0]->tensor->dtype))
    {
        x = arg[0]->tensor;

        if (arg[1]->kind == TORCH_INT ? arg[1]->i == 2 && arg[1]->batch == 0
                                      : arg[1]->f == 2)
        {
            return aten_new(t, aten_binary(t, INFER_MUL, x, x));
        }
    }

    return binary(t, arg, INFER_POW);
}


/* Of booleans; others count as true where they are not 0. */
static torch_value_t *
logical(torch_eval_t *t, torch_value_t *const *arg, infer_binary_kind_t kind)
{
    infer_value_t  *a, *b;

    if (!has_tensor(arg)) {
        return TORCH_DECLINE;
    }

    a = aten_cast(t, aten_operand(t, arg[0]), INFER_BOOL);
    b = a != NULL ? aten_cast(t, aten_operand(t, arg[1]), INFER_BOOL) : NULL;

    return aten_new(t, aten_binary(t, kind, a, b));
}

TORCH_KIND(logical_and, logical, INFER_AND)
TORCH_KIND(logical_or, logical, INFER_OR)
TORCH_KIND(logical_xor, logical, INFER_XOR)


static torch_value_t *
bitwise(torch_eval_t *t, torch_value_t *const *arg, infer_binary_kind_t kind)
{
    return has_tensor(arg)
           && (!aten_is_tensor(arg[0]) || arg[0]->tensor->dtype == INFER_BOOL)
           && (!aten_is_tensor(arg[1]) || arg[1]->tensor->dtype == INFER_BOOL)
           ? logical(t, arg, kind) : TORCH_DECLINE;
}

TORCH_KIND(bitwise_and, bitwise, INFER_AND)
TORCH_KIND(bitwise_or, bitwise, INFER_OR)
TORCH_KIND(bitwise_xor, bitwise, INFER_XOR)


/* a + value * b * c, a + value * b / c */
static torch_value_t *
combine(torch_eval_t *t, torch_value_t *const *arg, infer_binary_kind_t kind)
{
    double          value = 1;
    torch_value_t  *v, *part[2];
    infer_value_t  *a, *b;

    v = binary(t, arg + 1, kind);

    if (v == NULL || v == TORCH_DECLINE
        || aten_double(t, arg[3], &value) != 0)
    {
        return v;
    }

    part[0] = arg[0];
    part[1] = v;

    if (aten_promote(t, part[0], part[1], &a, &b) != 0) {
        return NULL;
    }

    b = value == 1 ? b : aten_binary_number(t, INFER_MUL, b, value);

    return aten_new(t, aten_binary(t, INFER_ADD, a, b));
}

TORCH_KIND(addcmul, combine, INFER_MUL)
TORCH_KIND(addcdiv, combine, INFER_DIV)


/* ---- selection and conversion ----------------------------------------- */

static torch_value_t *
where(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *mask, *a, *b;

    if (arg[1] == NULL || arg[2] == NULL) {
        return TORCH_DECLINE;
    }

    mask = aten_cast(t, aten_tensor(t, arg[0]), INFER_BOOL);

    return mask == NULL || aten_promote(t, arg[1], arg[2], &a, &b) != 0 ? NULL
           : aten_new(t, aten_where(t, mask, a, b));
}


static torch_value_t *
masked_fill(torch_eval_t *t, torch_value_t *const *arg)
{
    double          value = 0;
    infer_value_t  *x, *mask;

    x = aten_tensor(t, arg[0]);
    mask = x != NULL ? aten_tensor(t, arg[1]) : NULL;

    return mask == NULL || aten_double(t, arg[2], &value) != 0 ? NULL
           : aten_new(t, aten_where(t, aten_cast(t, mask, INFER_BOOL),
                                    aten_scalar(t, x, value), x));
}


/* to(dtype), to(device, dtype), to(tensor): what says a dtype counts. */
static torch_value_t *
to_dtype(torch_eval_t *t, torch_value_t *v, const torch_value_t *dtype)
{
    infer_dtype_t   to;
    infer_value_t  *y;

    if (!aten_is_tensor(v)) {
        return TORCH_DECLINE;
    }

    to = v->tensor->dtype;

    if (aten_is_tensor(dtype)) {
        to = dtype->tensor->dtype;

    } else if (!aten_is_none(dtype) && dtype->kind == TORCH_INT
               && aten_dtype(t, dtype, &to) != 0)
    {
        return NULL;
    }

    if (to == v->tensor->dtype) {
        return v;
    }

    y = aten_cast(t, v->tensor, to);

    return aten_new(t, y);
}


static torch_value_t *
to(torch_eval_t *t, torch_value_t *const *arg)
{
    /* a number first is the dtype, anything else the device */
    return to_dtype(t, arg[0], arg[1] != NULL && (arg[1]->kind == TORCH_INT
                                                  || aten_is_tensor(arg[1]))
                               ? arg[1] : arg[2]);
}


static torch_value_t *
to_kind(torch_eval_t *t, torch_value_t *const *arg, infer_dtype_t dtype)
{
    return aten_is_tensor(arg[0])
           ? aten_new(t, aten_cast(t, arg[0]->tensor, dtype)) : TORCH_DECLINE;
}

TORCH_KIND(to_float, to_kind, INFER_F32)
TORCH_KIND(to_long, to_kind, INFER_I64)
TORCH_KIND(to_bool, to_kind, INFER_BOOL)


static torch_value_t *
type_as(torch_eval_t *t, torch_value_t *const *arg)
{
    return to_dtype(t, arg[0], arg[1]);
}


const torch_builtin_t  torch_builtins_elementwise[] = {
    { "torch.add", "self other alpha", add },
    { "torch.sub", "self other alpha", sub },
    { "torch.rsub", "self other alpha", rsub },
    { "torch.mul", "self other", mul },
    { "torch.multiply", "self other", mul },
    { "torch.div", "self other rounding_mode", divide },
    { "torch.true_divide", "self other", divide },
    { "torch.floor_divide", "self other", floor_divide },
    { "torch.floordiv", "self other", floor_divide },
    { "torch.remainder", "self other", remainder_ },
    { "torch.pow", "self exponent", power },
    { "torch.minimum", "self other", minimum },
    { "torch.maximum", "self other", maximum },
    { "torch.eq", "self other", eq },
    { "torch.ne", "self other", ne },
    { "torch.lt", "self other", lt },
    { "torch.gt", "self other", gt },
    { "torch.le", "self other", le },
    { "torch.ge", "self other", ge },
    { "torch.logical_and", "self other", logical_and },
    { "torch.logical_or", "self other", logical_or },
    { "torch.logical_xor", "self other", logical_xor },
    { "torch.bitwise_and", "self other", bitwise_and },
    { "torch.bitwise_or", "self other", bitwise_or },
    { "torch.bitwise_xor", "self other", bitwise_xor },
    { "torch.__and__", "self other", bitwise_and },
    { "torch.__or__", "self other", bitwise_or },
    { "torch.__xor__", "self other", bitwise_xor },
    { "torch.addcmul", "self tensor1 tensor2 value", addcmul },
    { "torch.addcdiv", "self tensor1 tensor2 value", addcdiv },
    { "torch.where", "condition self other", where },
    { "torch.masked_fill", "self mask value", masked_fill },
    { "torch.to", "self device dtype non_blocking copy memory_format", to },
    { "torch.to", "self dtype layout device pin_memory non_blocking copy "
      "memory_format", to },
    { "torch.type_as", "self other", type_as },
    { "torch.float", "self", to_float },
    { "torch.long", "self", to_long },
    { "torch.bool", "self", to_bool },
    { NULL, NULL, NULL }
};
