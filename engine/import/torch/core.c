/*
 * Builtins of the language: truth, identity, strings, exceptions, numbers out
 * of tensors and tensors out of numbers, and what is known about a tensor.
 */

#include <stdio.h>
#include <string.h>

#include "import/torch/eval.h"


#define MAX_STRING  4096


static torch_value_t *item_at(torch_eval_t *t, const infer_value_t *v);
static torch_value_t *item_int(torch_eval_t *t, const infer_value_t *v);


/* ---- truth and numbers out of tensors --------------------------------- */

int
torch_truth(torch_eval_t *t, const torch_value_t *v)
{
    int64_t               diff;
    const torch_value_t  *number;

    switch (v->kind) {

    case TORCH_BOOL:
    case TORCH_INT:
        /* it may be 0 at one batch size, and not at others */
        if (v->batch != 0) {
            diff = v->i % v->batch;

            if (diff == 0 && v->i / v->batch < 0) {
                torch_follow(t);
                return v->i + v->batch != 0;
            }

            return 1;
        }

        return v->i != 0;

    case TORCH_FLOAT:
        return v->f != 0;

    case TORCH_NONE:
        return 0;

    case TORCH_TENSOR:
        if (v->tensor->data == NULL) {
            return torch_fail(t, "a loop that depends on the data of a tensor "
                              "is not supported: let it have a fixed number "
                              "of steps, and choose with torch.where");
        }

        number = torch_item(t, v);
        return number != NULL ? torch_truth(t, number) : -1;

    default:
        return torch_fail(t, "a decision that depends on a %s is not "
                          "supported", torch_kind_name(v->kind));
    }
}


torch_value_t *
torch_item(torch_eval_t *t, const torch_value_t *v)
{
    infer_dim_t           n;
    const infer_value_t  *tensor = v->tensor;

    if (tensor->data == NULL) {
        torch_fail(t, "a number that depends on the data of a tensor is not "
                   "supported: let it be a tensor");
        return NULL;
    }

    if (infer_value_numel(tensor, &n) != 0 || !infer_dim_is(n, 1)) {
        torch_fail(t, "a tensor of one element is expected");
        return NULL;
    }

    if (tensor->varied[0] != NULL) {
        return item_int(t, tensor);
    }

    return item_at(t, tensor);
}


/* One that follows the batch. */
static torch_value_t *
item_int(torch_eval_t *t, const infer_value_t *v)
{
    infer_dim_t     dim;
    torch_value_t  *number;

    if ((v->dtype != INFER_I64 && v->dtype != INFER_I32) || v->rank > 1) {
        torch_follow(t);
        return item_at(t, v);
    }

    if (infer_value_dims(t->g, v, &dim, 1) != 1) {
        return NULL;
    }

    number = torch_int(t->g, dim.base);
    if (number != NULL) {
        number->batch = dim.batch;
    }

    return number;
}


static torch_value_t *
item_at(torch_eval_t *t, const infer_value_t *v)
{
    union {
        float     f32;
        double    f64;
        int64_t   i64;
        int32_t   i32;
        int16_t   i16;
        int8_t    i8;
        uint8_t   u8;
    } x;

    memcpy(&x, v->data, infer_dtype_size(v->dtype));

    switch (v->dtype) {

    case INFER_F32:
        return torch_float(t->g, x.f32);

    case INFER_F64:
        return torch_float(t->g, x.f64);

    case INFER_I64:
        return torch_int(t->g, x.i64);

    case INFER_I32:
        return torch_int(t->g, x.i32);

    case INFER_I16:
        return torch_int(t->g, x.i16);

    case INFER_I8:
        return torch_int(t->g, x.i8);

    case INFER_U8:
        return torch_int(t->g, x.u8);

    case INFER_BOOL:
        return torch_bool(t->g, x.u8 != 0);

    default:
        torch_fail(t, "a number from a tensor of %s is not supported",
                   infer_dtype_name(v->dtype));
        return NULL;
    }
}


/* Of rank 0: int64, which may follow the batch, float64 or bool. */
static torch_value_t *
number_to_tensor(torch_eval_t *t, torch_value_t *const *arg)
{
    void                 *data;
    int64_t              *at;
    infer_value_t        *v;
    const torch_value_t  *x = arg[0];

    if (x == NULL || x->kind < TORCH_BOOL || x->kind > TORCH_FLOAT) {
        return TORCH_DECLINE;
    }

    data = at = infer_graph_alloc(t->g, 3 * sizeof(int64_t));
    if (data == NULL) {
        return NULL;
    }

    if (x->kind == TORCH_FLOAT) {
        memcpy(data, &x->f, sizeof(x->f));

    } else if (x->kind == TORCH_BOOL) {
        *(uint8_t *) data = x->i != 0;

    } else {
        for (int b = 0; b < 3; b++) {
            if (__builtin_mul_overflow(x->batch, b + 1, &at[b])
                || __builtin_add_overflow(x->i, at[b], &at[b]))
            {
                torch_fail(t, "an integer overflows");
                return NULL;
            }
        }
    }

    v = infer_graph_constant(t->g, NULL, x->kind == TORCH_FLOAT ? INFER_F64
                                         : x->kind == TORCH_BOOL ? INFER_BOOL
                                         : INFER_I64, 0, NULL, data);

    if (v != NULL && x->kind == TORCH_INT && x->batch != 0) {
        v->varied[0] = &at[1];
        v->varied[1] = &at[2];
    }

    return v != NULL ? torch_tensor(t->g, v) : NULL;
}


/* ---- what is known about a tensor ------------------------------------- */

static int
is_tensor(const torch_value_t *v)
{
    return v != NULL && v->kind == TORCH_TENSOR;
}


static torch_value_t *
dim_value(torch_eval_t *t, infer_dim_t dim)
{
    torch_value_t  *v;

    v = torch_int(t->g, dim.base);
    if (v != NULL) {
        v->batch = dim.batch;
    }

    return v;
}


/* torch.size(x): a list; torch.size(x, i): one of it */
static torch_value_t *
size(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t               i;
    torch_value_t        *list, *v;
    const infer_value_t  *x;

    if (!is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = arg[0]->tensor;

    if (arg[1] != NULL) {
        if (arg[1]->kind != TORCH_INT) {
            return TORCH_DECLINE;
        }

        i = arg[1]->i + (arg[1]->i < 0 ? x->rank : 0);

        if (i < 0 || i >= x->rank) {
            torch_fail(t, "there is no dimension %lld of %d",
                       (long long) arg[1]->i, x->rank);
            return NULL;
        }

        return dim_value(t, x->dim[i]);
    }

    list = torch_new(t->g, TORCH_LIST);

    for (int d = 0; list != NULL && d < x->rank; d++) {
        v = dim_value(t, x->dim[d]);

        if (v == NULL || torch_append(t->g, list, v) != 0) {
            return NULL;
        }
    }

    return list;
}


static torch_value_t *
rank(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_tensor(arg[0]) ? torch_int(t->g, arg[0]->tensor->rank)
                             : TORCH_DECLINE;
}


static torch_value_t *
numel(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_dim_t  n;

    if (!is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    if (infer_value_numel(arg[0]->tensor, &n) != 0) {
        torch_fail(t, "a tensor is too large");
        return NULL;
    }

    return dim_value(t, n);
}


static torch_value_t *
length(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_tensor(arg[0]) && arg[0]->tensor->rank > 0
           ? dim_value(t, arg[0]->tensor->dim[0]) : TORCH_DECLINE;
}


/* c10's ScalarType */
static torch_value_t *
dtype(torch_eval_t *t, torch_value_t *const *arg)
{
    static const int  type[INFER_DTYPES] = {
        [INFER_F32] = 6, [INFER_F64] = 7, [INFER_F16] = 5, [INFER_BF16] = 15,
        [INFER_I8] = 1, [INFER_U8] = 0, [INFER_I16] = 2, [INFER_U16] = 27,
        [INFER_I32] = 3, [INFER_U32] = 28, [INFER_I64] = 4, [INFER_U64] = 29,
        [INFER_BOOL] = 11
    };

    if (is_tensor(arg[0]) && arg[0]->quantizer != NULL) {
        return torch_int(t->g, arg[0]->quantizer->zero->dtype == INFER_I8
                               ? 12 : 13);
    }

    return is_tensor(arg[0]) ? torch_int(t->g, type[arg[0]->tensor->dtype])
                             : TORCH_DECLINE;
}


static torch_value_t *
is_floating(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_tensor(arg[0])
           ? torch_bool(t->g, arg[0]->tensor->dtype <= INFER_BF16)
           : TORCH_DECLINE;
}


static torch_value_t *
is_quantized(torch_eval_t *t, torch_value_t *const *arg)
{
    return is_tensor(arg[0])
           ? torch_bool(t->g, arg[0]->quantizer != NULL) : TORCH_DECLINE;
}


static torch_value_t *
device(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    return torch_string(t->g, "cpu", 3);
}


static torch_value_t *
zero(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    return torch_int(t->g, 0);
}


static torch_value_t *
false_always(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    return torch_bool(t->g, 0);
}


static torch_value_t *
itself(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) t;

    return arg[0] != NULL ? arg[0] : TORCH_DECLINE;
}


static torch_value_t *
nothing(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    return torch_new(t->g, TORCH_NONE);
}


/* ---- identity --------------------------------------------------------- */

static int
same(const torch_value_t *a, const torch_value_t *b)
{
    return a == b || (a->kind == TORCH_NONE && b->kind == TORCH_NONE)
           || (a->kind == TORCH_BOOL && b->kind == TORCH_BOOL
               && a->i == b->i);
}


static torch_value_t *
is_same(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[1] != NULL ? torch_bool(t->g, same(arg[0], arg[1]))
                          : TORCH_DECLINE;
}


static torch_value_t *
is_other(torch_eval_t *t, torch_value_t *const *arg)
{
    return arg[1] != NULL ? torch_bool(t->g, !same(arg[0], arg[1]))
                          : TORCH_DECLINE;
}


static torch_value_t *
unwrap(torch_eval_t *t, torch_value_t *const *arg)
{
    if (arg[0] != NULL && arg[0]->kind == TORCH_NONE) {
        torch_fail(t, "None stands where a value is expected");
        return NULL;
    }

    return itself(t, arg);
}


/* ---- strings ---------------------------------------------------------- */

typedef struct {
    char    s[MAX_STRING];
    size_t  len;
} text_t;


/* What does not fit is left out: it is for messages and for keys. */
static void
put(text_t *text, const char *s, size_t len)
{
    size_t  left = sizeof(text->s) - text->len;

    len = len < left ? len : left;
    memcpy(text->s + text->len, s, len);
    text->len += len;
}


static void
put_value(text_t *text, const torch_value_t *v, int depth)
{
    char  number[64];
    int   n = 0;

    switch (v->kind) {

    case TORCH_STRING:
        put(text, v->string.s, v->string.len);
        return;

    case TORCH_INT:
        n = v->batch == 0
            ? snprintf(number, sizeof(number), "%lld", (long long) v->i)
            : v->i == 0 && v->batch == 1 ? snprintf(number, sizeof(number),
                                                    "N")
            : snprintf(number, sizeof(number), "%lld+%lldN",
                       (long long) v->i, (long long) v->batch);
        break;

    case TORCH_BOOL:
        n = snprintf(number, sizeof(number), "%s", v->i ? "True" : "False");
        break;

    case TORCH_FLOAT:
        n = snprintf(number, sizeof(number), "%g%s", v->f,
                     v->f == (double) (int) v->f ? "." : "");
        break;

    case TORCH_LIST:
    case TORCH_TUPLE:
        put(text, v->kind == TORCH_LIST ? "[" : "(", 1);

        for (size_t i = 0; i < v->items.n && depth < 4
                           && text->len < sizeof(text->s); i++)
        {
            put(text, ", ", i > 0 ? 2 : 0);
            put_value(text, v->items.item[i], depth + 1);
        }

        put(text, v->kind == TORCH_LIST ? "]" : ")", 1);
        return;

    default:
        n = snprintf(number, sizeof(number), "%s", torch_kind_name(v->kind));
    }

    put(text, number, (size_t) n);
}


/* torch.format("a {} b {}", x, y) */
static torch_value_t *
format(torch_eval_t *t, torch_value_t *const *arg)
{
    text_t       text = { .len = 0 };
    size_t       k = 1;
    const char  *p, *end;

    if (arg[0] == NULL || arg[0]->kind != TORCH_STRING) {
        return TORCH_DECLINE;
    }

    end = arg[0]->string.s + arg[0]->string.len;

    for (p = arg[0]->string.s; p < end; p++) {
        if (*p != '{' || p + 1 == end || p[1] != '}') {
            put(&text, p, 1);
            continue;
        }

        p++;

        if (k < TORCH_MAX_ARGS && arg[k] != NULL) {
            put_value(&text, arg[k++], 0);
        }
    }

    return torch_string(t->g, text.s, text.len);
}


static torch_value_t *
join(torch_eval_t *t, torch_value_t *const *arg)
{
    text_t                text = { .len = 0 };
    const torch_value_t  *v = arg[1];

    if (arg[0] == NULL || arg[0]->kind != TORCH_STRING || v == NULL
        || v->kind != TORCH_LIST)
    {
        return TORCH_DECLINE;
    }

    for (size_t i = 0; i < v->items.n && text.len < sizeof(text.s); i++) {
        put(&text, arg[0]->string.s, i > 0 ? arg[0]->string.len : 0);
        put_value(&text, v->items.item[i], 0);
    }

    return torch_string(t->g, text.s, text.len);
}


/* Where a string stands in another, from start to end; -1: it does not. */
static torch_value_t *
find(torch_eval_t *t, torch_value_t *const *arg)
{
    int64_t  n, k, start = 0, end;

    if (arg[0] == NULL || arg[0]->kind != TORCH_STRING || arg[1] == NULL
        || arg[1]->kind != TORCH_STRING)
    {
        return TORCH_DECLINE;
    }

    n = end = (int64_t) arg[0]->string.len;
    k = (int64_t) arg[1]->string.len;

    if (arg[2] != NULL && arg[2]->kind == TORCH_INT) {
        start = arg[2]->i < 0 ? 0 : arg[2]->i;
    }

    if (arg[3] != NULL && arg[3]->kind == TORCH_INT && arg[3]->i >= 0
        && arg[3]->i < n)
    {
        end = arg[3]->i;
    }

    for ( /* void */ ; start <= end - k; start++) {
        if (memcmp(arg[0]->string.s + start, arg[1]->string.s, (size_t) k)
            == 0)
        {
            return torch_int(t->g, start);
        }
    }

    return torch_int(t->g, -1);
}


static torch_value_t *
make_string(torch_eval_t *t, torch_value_t *const *arg)
{
    text_t  text = { .len = 0 };

    if (arg[0] == NULL) {
        return TORCH_DECLINE;
    }

    put_value(&text, arg[0], 0);

    return torch_string(t->g, text.s, text.len);
}


/* ---- exceptions ------------------------------------------------------- */

static torch_value_t *
raise(torch_eval_t *t, torch_value_t *const *arg)
{
    torch_fail(t, "the model raises an exception: %s",
               arg[0] != NULL && arg[0]->kind == TORCH_STRING
               ? arg[0]->string.s : "");
    return NULL;
}


/* For operators that are made of others. */
static torch_value_t *
refuse(torch_eval_t *t, torch_value_t *const *arg)
{
    if (arg[0] == NULL || arg[0]->kind != TORCH_STRING) {
        return TORCH_DECLINE;
    }

    torch_fail(t, "%s", arg[0]->string.s);
    return NULL;
}


static torch_value_t *
refuse_random(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    torch_fail(t, "random numbers are not supported: outputs must follow from "
               "inputs");
    return NULL;
}


static torch_value_t *
refuse_nested(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    torch_fail(t, "nested tensors are not supported: make the "
               "torch.nn.TransformerEncoder with enable_nested_tensor=False");
    return NULL;
}


static torch_value_t *
refuse_mkldnn(torch_eval_t *t, torch_value_t *const *arg)
{
    (void) arg;

    torch_fail(t, "written by torch.jit.optimize_for_inference, which leaves "
               "the weights out: save the model without it");
    return NULL;
}


/* What some or other of these are given; it does not matter. */
#define RANDOM  "0 1 2 3 4 dtype layout device pin_memory memory_format "   \
                "generator out"

const torch_builtin_t  torch_builtins_core[] = {
    { "ops.prim.RaiseException", "message class", raise },
    { "ops.prim.NumToTensor", "self", number_to_tensor },
    { "torch.size", "self dim", size },
    { "torch.dim", "self", rank },
    { "torch.numel", "self", numel },
    { "torch.len", "self", length },
    { "torch.is_floating_point", "self", is_floating },
    { "ops.prim.dtype", "self", dtype },
    { "ops.prim.device", "self", device },
    { "torch.device", "self index", device },
    { "ops.prim.layout", "self", zero },
    { "ops.prim.is_cuda", "self", false_always },
    { "ops.prim.is_mkldnn", "self", false_always },
    { "ops.prim.is_sparse", "self", false_always },
    { "ops.prim.is_nested", "self", false_always },
    { "ops.prim.is_quantized", "self", is_quantized },
    { "ops.prim.requires_grad", "self", false_always },
    { "torch.is_complex", "self", false_always },
    { "torch.is_grad_enabled", "", false_always },
    { "torch.is_autocast_enabled", "", false_always },
    { "torch.set_grad_enabled", "val", nothing },
    { "ops.profiler._record_function_enter", "name args", nothing },
    { "ops.profiler._record_function_enter_new", "name args", nothing },
    { "ops.profiler._record_function_exit", "record", nothing },
    { "torch.__is__", "self other", is_same },
    { "torch.__isnot__", "self other", is_other },
    { "torch._unwrap_optional", "self", unwrap },
    { "ops.prim.unchecked_unwrap_optional", "self", unwrap },
    { "ops.prim.data", "self", itself },
    { "torch.format", "self 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
      format },
    { "torch.join", "self values", join },
    { "torch.find", "self substr start end", find },
    { "torch.str", "self", make_string },
    { "str", "self", make_string },
    { "torch.warn", "message stacklevel", nothing },
    { "ops.prim.Print", "1 2 3 4 5 6 7 8 9", nothing },
    { "print", "1 2 3 4 5 6 7 8 9", nothing },
    { "torch._refuse", "message", refuse },
    { "torch.rand", RANDOM, refuse_random },
    { "torch.randn", RANDOM, refuse_random },
    { "torch.rand_like", RANDOM, refuse_random },
    { "torch.randn_like", RANDOM, refuse_random },
    { "torch.randint", RANDOM, refuse_random },
    { "torch.randperm", RANDOM, refuse_random },
    { "torch.normal", RANDOM, refuse_random },
    { "torch.normal_", RANDOM, refuse_random },
    { "torch.uniform_", RANDOM, refuse_random },
    { "torch.bernoulli", RANDOM, refuse_random },
    { "torch.bernoulli_", RANDOM, refuse_random },
    { "torch.multinomial", RANDOM, refuse_random },
    { "torch._nested_tensor_from_mask", "self mask mask_check",
      refuse_nested },
    { "torch.to_mkldnn", "self dtype", refuse_mkldnn },
    { "ops.prim.ConstantMKLDNNTensor", "", refuse_mkldnn },
    { NULL, NULL, NULL }
};
