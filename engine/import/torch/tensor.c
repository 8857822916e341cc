/*
 * Tensors of a pickle: a storage, an offset, sizes and strides become a
 * constant of the graph, used where it lies in the archive unless its
 * elements have another order there.
 */

#include <stdio.h>
#include <string.h>

#include "import/torch/torch.h"


/* the arguments that both kinds of tensors begin with */
typedef struct {
    const torch_storage_t  *storage;
    uint64_t                offset;
    int                     rank;
    int64_t                 dim[INFER_MAX_RANK];
    int64_t                 stride[INFER_MAX_RANK];
} view_t;


static const void *storage_data(infer_graph_t *g, const torch_zip_t *zip,
    const char *folder, const char *key, const torch_storage_t *storage);
static int storage_dtype(infer_graph_t *g, const char *name,
    infer_dtype_t *dtype);
static torch_value_t *state_tensor(infer_graph_t *g, infer_value_t *v);
static int read_view(infer_graph_t *g, const torch_value_t *args, size_t least,
    view_t *v);
static int read_ints(const torch_value_t *v, int64_t *x);
static int check_view(infer_graph_t *g, const view_t *v);
static infer_value_t *view_value(infer_graph_t *g, const view_t *v);
static infer_value_t *view_constant(infer_graph_t *g, const view_t *v);
static int is_contiguous(const view_t *v);
static void copy_view(const view_t *v, size_t size, unsigned char *dst);
static int read_quantizer(infer_graph_t *g, const torch_value_t *args,
    infer_dtype_t dtype, infer_value_t **scale, infer_value_t **zero,
    int *axis);
static infer_value_t *convert(infer_graph_t *g, infer_value_t *v,
    infer_dtype_t dtype);
static infer_value_t *number(infer_graph_t *g, const torch_value_t *v);


torch_value_t *
torch_load_storage(infer_graph_t *g, const torch_zip_t *zip,
    const char *folder, const torch_value_t *id)
{
    torch_value_t         *v;
    infer_dtype_t          dtype = INFER_F32;
    torch_value_t *const  *item = id->items.item;

    if (id->kind != TORCH_TUPLE || id->items.n < 5
        || item[1]->kind != TORCH_GLOBAL || item[2]->kind != TORCH_STRING
        || item[4]->kind != TORCH_INT || item[4]->i < 0)
    {
        infer_graph_fail(g, "a storage in the pickle is damaged");
        return NULL;
    }

    if (storage_dtype(g, item[1]->string.s, &dtype) != 0) {
        return NULL;
    }

    v = torch_new(g, TORCH_STORAGE);
    if (v == NULL) {
        return NULL;
    }

    v->storage = infer_graph_alloc(g, sizeof(*v->storage));
    if (v->storage == NULL) {
        return NULL;
    }

    v->storage->dtype = dtype;
    v->storage->n = (uint64_t) item[4]->i;

    if (folder != NULL) {
        v->storage->data = storage_data(g, zip, folder, item[2]->string.s,
                                        v->storage);
    }

    return folder == NULL || v->storage->data != NULL ? v : NULL;
}


static const void *
storage_data(infer_graph_t *g, const torch_zip_t *zip, const char *folder,
    const char *key, const torch_storage_t *storage)
{
    char                  name[128];
    const torch_entry_t  *entry;

    if ((size_t) snprintf(name, sizeof(name), "%s%s", folder, key)
        >= sizeof(name))
    {
        infer_graph_fail(g, "a storage in the pickle is damaged");
        return NULL;
    }

    entry = torch_zip_find(zip, name);

    if (entry == NULL) {
        infer_graph_fail(g, "the archive has no %s", name);
        return NULL;
    }

    if (storage->n > entry->size / infer_dtype_size(storage->dtype)) {
        infer_graph_fail(g, "%s is shorter than its storage", name);
        return NULL;
    }

    return torch_zip_stored(g, zip, entry);
}


static int
storage_dtype(infer_graph_t *g, const char *name, infer_dtype_t *dtype)
{
    static const struct {
        const char     *name;
        infer_dtype_t   dtype;
    } type[] = {
        { "torch.FloatStorage", INFER_F32 },
        { "torch.DoubleStorage", INFER_F64 },
        { "torch.HalfStorage", INFER_F16 },
        { "torch.BFloat16Storage", INFER_BF16 },
        { "torch.LongStorage", INFER_I64 },
        { "torch.IntStorage", INFER_I32 },
        { "torch.ShortStorage", INFER_I16 },
        { "torch.CharStorage", INFER_I8 },
        { "torch.ByteStorage", INFER_U8 },
        { "torch.BoolStorage", INFER_BOOL },
        { "torch.QInt8Storage", INFER_I8 },
        { "torch.QUInt8Storage", INFER_U8 },
        { "torch.QInt32Storage", INFER_I32 }
    };

    for (size_t i = 0; i < sizeof(type) / sizeof(type[0]); i++) {
        if (strcmp(name, type[i].name) == 0) {
            *dtype = type[i].dtype;
            return 0;
        }
    }

    return infer_graph_fail(g, "%s is not supported", name);
}


torch_value_t *
torch_rebuild_tensor(infer_graph_t *g, const torch_value_t *args)
{
    view_t          view;
    infer_value_t  *v;

    if (read_view(g, args, 4, &view) != 0) {
        return NULL;
    }

    v = view_value(g, &view);

    return v != NULL ? state_tensor(g, v) : NULL;
}


torch_value_t *
torch_rebuild_qtensor(infer_graph_t *g, const torch_value_t *args)
{
    int                 axis = 0;
    view_t              view;
    infer_param_t       param;
    torch_value_t      *tensor;
    infer_value_t      *v, *in[3];
    torch_quantizer_t  *quantizer;

    if (read_view(g, args, 5, &view) != 0) {
        return NULL;
    }

    if (view.storage->data == NULL) {
        infer_graph_fail(g, "was traced with a quantized tensor");
        return NULL;
    }

    in[0] = view_constant(g, &view);

    if (in[0] == NULL
        || read_quantizer(g, args->items.item[4], in[0]->dtype, &in[1],
                          &in[2], &axis) != 0)
    {
        return NULL;
    }

    memset(&param, 0, sizeof(param));
    param.quantize.axis = axis;

    v = infer_graph_emit1(g, INFER_OP_DEQUANTIZE, &param, NULL, in, 3);
    tensor = v != NULL ? state_tensor(g, v) : NULL;

    if (tensor == NULL || in[0]->dtype == INFER_I32 || in[1]->rank != 0) {
        return tensor;
    }

    quantizer = infer_graph_alloc(g, sizeof(*quantizer));
    if (quantizer == NULL) {
        return NULL;
    }

    quantizer->scale = in[1];
    quantizer->zero = in[2];
    tensor->quantizer = quantizer;

    return tensor;
}


/* One that belongs to the model. */
static torch_value_t *
state_tensor(infer_graph_t *g, infer_value_t *v)
{
    infer_dim_t     n;
    torch_value_t  *tensor;

    if (v->data != NULL && v->dtype <= INFER_BF16
        && infer_value_numel(v, &n) == 0)
    {
        g->summary.parameters += (uint64_t) n.base;
    }

    tensor = torch_tensor(g, v);

    if (tensor != NULL) {
        tensor->memory = infer_graph_alloc(g, sizeof(*tensor->memory));

        if (tensor->memory == NULL) {
            return NULL;
        }

        tensor->memory->state = 1;
    }

    return tensor;
}


static int
read_view(infer_graph_t *g, const torch_value_t *args, size_t least,
    view_t *v)
{
    int                    n;
    torch_value_t *const  *arg = args->items.item;

    if (args->kind != TORCH_TUPLE || args->items.n < least
        || arg[0]->kind != TORCH_STORAGE || arg[1]->kind != TORCH_INT
        || arg[1]->i < 0)
    {
        return infer_graph_fail(g, "a tensor in the pickle is damaged");
    }

    v->storage = arg[0]->storage;
    v->offset = (uint64_t) arg[1]->i;
    v->rank = read_ints(arg[2], v->dim);
    n = read_ints(arg[3], v->stride);

    if (v->rank < 0 || n != v->rank) {
        return infer_graph_fail(g, "a tensor in the pickle has bad sizes, or "
                                "more than %d dimensions", INFER_MAX_RANK);
    }

    return check_view(g, v);
}


/* How many, or -1. */
static int
read_ints(const torch_value_t *v, int64_t *x)
{
    if ((v->kind != TORCH_TUPLE && v->kind != TORCH_LIST)
        || v->items.n > INFER_MAX_RANK)
    {
        return -1;
    }

    for (size_t i = 0; i < v->items.n; i++) {
        if (v->items.item[i]->kind != TORCH_INT || v->items.item[i]->i < 0) {
            return -1;
        }

        x[i] = v->items.item[i]->i;
    }

    return (int) v->items.n;
}


/* The last element lies in the storage; there are fewer than 2^31. */
static int
check_view(infer_graph_t *g, const view_t *v)
{
    uint64_t  n = 1, last = v->offset, step;

    for (int i = 0; i < v->rank; i++) {
        if (v->dim[i] == 0) {
            return 0;
        }
    }

    for (int i = 0; i < v->rank; i++) {
        if (v->dim[i] > INT32_MAX || v->stride[i] > INT32_MAX) {
            return infer_graph_fail(g, "a tensor in the pickle is too large");
        }

        n *= (uint64_t) v->dim[i];
        step = (uint64_t) (v->dim[i] - 1) * (uint64_t) v->stride[i];

        if (n > INT32_MAX || __builtin_add_overflow(last, step, &last)) {
            return infer_graph_fail(g, "a tensor in the pickle is too large");
        }
    }

    if (last >= v->storage->n) {
        return infer_graph_fail(g, "a tensor in the pickle reaches beyond its "
                                "storage");
    }

    return 0;
}


static infer_value_t *
view_value(infer_graph_t *g, const view_t *v)
{
    infer_dim_t  dim[INFER_MAX_RANK];

    if (v->storage->data != NULL) {
        return view_constant(g, v);
    }

    for (int i = 0; i < v->rank; i++) {
        dim[i] = infer_dim(v->dim[i]);
    }

    return infer_graph_value(g, NULL, v->storage->dtype, v->rank, dim);
}


static infer_value_t *
view_constant(infer_graph_t *g, const view_t *v)
{
    size_t                size, n = 1;
    unsigned char        *copy;
    const unsigned char  *data;

    size = infer_dtype_size(v->storage->dtype);
    data = (const unsigned char *) v->storage->data;

    for (int i = 0; i < v->rank; i++) {
        n *= (size_t) v->dim[i];
    }

    if (n > 0) {
        data += v->offset * size;
    }

    if (!is_contiguous(v)) {
        copy = infer_graph_alloc(g, n * size);
        if (copy == NULL) {
            return NULL;
        }

        copy_view(v, size, copy);
        data = copy;
    }

    return infer_graph_constant(g, NULL, v->storage->dtype, v->rank, v->dim,
                                data);
}


static int
is_contiguous(const view_t *v)
{
    int64_t  step = 1;

    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->dim[i] == 0) {
            return 1;
        }

        if (v->dim[i] != 1 && v->stride[i] != step) {
            return 0;
        }

        step *= v->dim[i];
    }

    return 1;
}


static void
copy_view(const view_t *v, size_t size, unsigned char *dst)
{
    int                   d;
    uint64_t              at;
    int64_t               index[INFER_MAX_RANK] = { 0 };
    const unsigned char  *src = v->storage->data;

    for ( ;; ) {
        at = v->offset;

        for (d = 0; d < v->rank; d++) {
            at += (uint64_t) (index[d] * v->stride[d]);
        }

        memcpy(dst, src + at * size, size);
        dst += size;

        for (d = v->rank - 1; d >= 0; d--) {
            if (++index[d] < v->dim[d]) {
                break;
            }

            index[d] = 0;
        }

        if (d < 0) {
            return;
        }
    }
}


/*
 * (torch.per_tensor_affine, scale, zero point) or (torch.per_channel_affine,
 * scales, zero points, axis), the schemes being globals.
 */
static int
read_quantizer(infer_graph_t *g, const torch_value_t *q, infer_dtype_t dtype,
    infer_value_t **scale, infer_value_t **zero, int *axis)
{
    const char            *scheme;
    torch_value_t *const  *item = q->items.item;

    if (q->kind != TORCH_TUPLE || q->items.n < 3
        || item[0]->kind != TORCH_GLOBAL)
    {
        return infer_graph_fail(g, "a quantized tensor in the pickle is "
                                "damaged");
    }

    scheme = item[0]->string.s;
    *axis = 0;

    if (strcmp(scheme, "torch.per_tensor_affine") == 0) {
        *scale = number(g, item[1]);
        *zero = number(g, item[2]);

    } else if (strcmp(scheme, "torch.per_channel_affine") == 0
               && q->items.n >= 4 && item[1]->kind == TORCH_TENSOR
               && item[2]->kind == TORCH_TENSOR && item[3]->kind == TORCH_INT
               && item[3]->i >= 0 && item[3]->i < INFER_MAX_RANK)
    {
        *scale = item[1]->tensor;
        *zero = item[2]->tensor;
        *axis = (int) item[3]->i;

    } else {
        return infer_graph_fail(g, "quantization %s is not supported",
                                scheme);
    }

    *scale = *scale != NULL ? convert(g, *scale, INFER_F32) : NULL;
    *zero = *zero != NULL ? convert(g, *zero, dtype) : NULL;

    return *scale != NULL && *zero != NULL ? 0 : -1;
}


static infer_value_t *
convert(infer_graph_t *g, infer_value_t *v, infer_dtype_t dtype)
{
    infer_param_t  param;

    memset(&param, 0, sizeof(param));
    param.cast.dtype = (int32_t) dtype;

    return infer_graph_emit1(g, INFER_OP_CAST, &param, NULL, &v, 1);
}


static infer_value_t *
number(infer_graph_t *g, const torch_value_t *v)
{
    switch (v->kind) {

    case TORCH_INT:
        return infer_graph_scalar(g, (float) v->i);

    case TORCH_FLOAT:
        return infer_graph_scalar(g, (float) v->f);

    default:
        infer_graph_fail(g, "a quantized tensor in the pickle is damaged");
        return NULL;
    }
}
