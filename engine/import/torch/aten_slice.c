/*
 * Operators that take tensors apart and put them together.
 */

#include <string.h>

#include "import/torch/aten.h"


/* A view of a range of a dimension, through which base can be written. */
static torch_value_t *
part_of(torch_eval_t *t, torch_value_t *base, infer_value_t *y, int axis,
    infer_dim_t start, infer_dim_t count)
{
    torch_value_t  *v;

    v = aten_view(t, base, y);

    if (v != NULL) {
        v->part = infer_graph_alloc(t->g, sizeof(*v->part));
        if (v->part == NULL) {
            return NULL;
        }

        v->part->base = base;
        v->part->axis = axis;
        v->part->start = start;
        v->part->count = count;
    }

    return v;
}


static torch_value_t *
slice(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    int64_t         step = 1;
    infer_dim_t     start = infer_dim(0), end = infer_dim(INT64_MAX);
    infer_dim_t     first, count;
    infer_param_t   p;
    infer_value_t  *x;

    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = arg[0]->tensor;
    axis = aten_axis_of(t, arg[1], x);

    if (axis < 0 || aten_dim(t, arg[2], &start) != 0
        || aten_dim(t, arg[3], &end) != 0 || aten_int(t, arg[4], &step) != 0)
    {
        return NULL;
    }

    if (step < 1 || infer_slice_dim(x->dim[axis], start, end, step, &first,
                                    &count) != 0)
    {
        torch_fail(t, "the slice does not follow the batch linearly");
        return NULL;
    }

    if (step == 1) {
        return part_of(t, arg[0], aten_narrow(t, x, axis, first, count), axis,
                       first, count);
    }

    memset(&p, 0, sizeof(p));
    infer_slice_all(&p, x);
    p.slice.start[axis] = first;
    p.slice.count[axis] = count;
    p.slice.step[axis] = step;

    return aten_view(t, arg[0], aten_emit(t, INFER_OP_SLICE, &p, &x, 1));
}


/* A place in a dimension, negative ones from its end; 0 or -1. */
static int
place(torch_eval_t *t, infer_dim_t dim, infer_dim_t *index)
{
    if (index->base + index->batch < 0) {
        index->base += dim.base;
        index->batch += dim.batch;
    }

    return index->base + index->batch >= 0
           && index->base + index->batch < dim.base + dim.batch ? 0
           : torch_fail(t, "an index is out of range");
}


static infer_value_t *
gather(torch_eval_t *t, infer_value_t *x, int axis, infer_value_t *index)
{
    infer_param_t   p;
    infer_value_t  *in[2] = { x, index };

    if (x == NULL || index == NULL || aten_check_index(t, index) != 0) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    p.axis.axis = axis;

    return aten_emit(t, INFER_OP_GATHER, &p, in, 2);
}


/* An index that is known is that of a gather, as other exporters have it. */
static torch_value_t *
select(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    infer_dim_t     index = infer_dim(0);
    infer_value_t  *x, *y;

    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = arg[0]->tensor;
    axis = aten_axis_of(t, arg[1], x);

    if (axis < 0 || aten_dim(t, arg[2], &index) != 0
        || place(t, x->dim[axis], &index) != 0)
    {
        return NULL;
    }

    y = index.batch != 0 ? aten_pick(t, x, axis, index)
        : gather(t, x, axis, infer_emit_scalar(t->g, t->place, INFER_I64,
                                               (double) index.base));

    return part_of(t, arg[0], y, axis, index, infer_dim(1));
}


static torch_value_t *
narrow(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    infer_dim_t     start = infer_dim(0), count = infer_dim(0);
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[1], x);

    if (axis < 0 || aten_dim(t, arg[2], &start) != 0
        || aten_dim(t, arg[3], &count) != 0
        || place(t, x->dim[axis], &start) != 0)
    {
        return NULL;
    }

    return part_of(t, arg[0], aten_narrow(t, x, axis, start, count), axis,
                   start, count);
}


/* The tensors of a list; how many, or -1. */
static int
tensors(torch_eval_t *t, const torch_value_t *list, infer_value_t ***in)
{
    infer_value_t  *x;

    if (list == NULL || (list->kind != TORCH_LIST
                         && list->kind != TORCH_TUPLE)
        || list->items.n == 0)
    {
        return torch_fail(t, "no list of tensors is given");
    }

    *in = infer_graph_alloc(t->g, list->items.n * sizeof(**in));

    for (size_t i = 0; *in != NULL && i < list->items.n; i++) {
        x = aten_tensor(t, list->items.item[i]);
        if (x == NULL) {
            return -1;
        }

        (*in)[i] = x;
    }

    return *in != NULL ? (int) list->items.n : -1;
}


/* What is empty and has one dimension joins anything. */
static torch_value_t *
cat(torch_eval_t *t, torch_value_t *const *arg)
{
    int              n, axis, k = 0;
    infer_value_t  **in;
    infer_dtype_t    dtype;

    n = tensors(t, arg[0], &in);

    for (int i = 0; i < n; i++) {
        if (in[i]->rank != 1 || !infer_dim_is(in[i]->dim[0], 0)) {
            in[k++] = in[i];
        }
    }

    if (n < 0 || k == 0) {
        return n < 0 ? NULL : arg[0]->items.item[0];
    }

    axis = aten_axis(t, arg[1], in[0]->rank);
    dtype = in[0]->dtype;

    for (int i = 1; i < k; i++) {
        dtype = aten_common(dtype, in[i]->dtype);
    }

    for (int i = 0; i < k; i++) {
        in[i] = aten_cast(t, in[i], dtype);
        if (in[i] == NULL) {
            return NULL;
        }
    }

    return axis < 0 ? NULL : aten_new(t, aten_concat(t, in, k, axis));
}


static torch_value_t *
stack(torch_eval_t *t, torch_value_t *const *arg)
{
    int              n, axis, rank;
    infer_dim_t      dim[INFER_MAX_RANK + 1];
    infer_value_t  **in;

    n = tensors(t, arg[0], &in);
    rank = n > 0 ? in[0]->rank : 0;
    axis = n > 0 ? aten_axis(t, arg[1], rank + 1) : -1;

    if (axis < 0 || rank == INFER_MAX_RANK) {
        return axis < 0 ? NULL : TORCH_DECLINE;
    }

    for (int i = 0; i < n; i++) {
        if (in[i]->rank != rank) {
            torch_fail(t, "the tensors have different shapes");
            return NULL;
        }

        for (int k = 0; k <= rank; k++) {
            dim[k] = k == axis ? infer_dim(1)
                               : in[i]->dim[k < axis ? k : k - 1];
        }

        in[i] = aten_reshape(t, aten_cast(t, in[i], in[0]->dtype), rank + 1,
                             dim);
        if (in[i] == NULL) {
            return NULL;
        }
    }

    return aten_new(t, aten_concat(t, in, n, axis));
}


/* Parts of a dimension, of `size` elements each and the rest. */
static torch_value_t *
parts(torch_eval_t *t, torch_value_t *base, int axis, int64_t size)
{
    int64_t         at, n;
    infer_dim_t     count;
    torch_value_t  *list, *v;
    infer_value_t  *x = base->tensor;

    n = x->dim[axis].base;
    list = torch_new(t->g, TORCH_LIST);

    if (list == NULL) {
        return NULL;
    }

    if (x->dim[axis].batch != 0 || size < 1 || n / size >= ATEN_MAX_PARTS) {
        torch_fail(t, "dimension %d cannot be split into such parts", axis);
        return NULL;
    }

    for (at = 0; at < n; at += size) {
        size = size < n - at ? size : n - at;
        count = infer_dim(size);
        v = part_of(t, base, aten_narrow(t, x, axis, infer_dim(at), count),
                    axis, infer_dim(at), count);

        if (v == NULL || torch_append(t->g, list, v) != 0) {
            return NULL;
        }
    }

    return list;
}


static torch_value_t *
chunk(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    int64_t         n = 1;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[2], x);

    if (axis < 0 || aten_int(t, arg[1], &n) != 0) {
        return NULL;
    }

    if (n < 1 || n > ATEN_MAX_PARTS) {
        return TORCH_DECLINE;
    }

    return parts(t, arg[0], axis, (x->dim[axis].base + n - 1) / n);
}


static torch_value_t *
split_with_sizes(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    infer_dim_t     at = infer_dim(0), size = infer_dim(0);
    infer_value_t  *x;
    torch_value_t  *list, *v;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[2], x);
    list = torch_new(t->g, TORCH_LIST);

    if (axis < 0 || list == NULL || arg[1] == NULL
        || (arg[1]->kind != TORCH_LIST && arg[1]->kind != TORCH_TUPLE))
    {
        return axis < 0 ? NULL : TORCH_DECLINE;
    }

    for (size_t i = 0; i < arg[1]->items.n; i++) {
        if (aten_dim(t, arg[1]->items.item[i], &size) != 0) {
            return NULL;
        }

        v = part_of(t, arg[0], aten_narrow(t, x, axis, at, size), axis, at,
                    size);

        if (v == NULL || torch_append(t->g, list, v) != 0) {
            return NULL;
        }

        at.base += size.base;
        at.batch += size.batch;
    }

    if (!infer_dim_equal(at, x->dim[axis])) {
        torch_fail(t, "the parts do not make up the whole");
        return NULL;
    }

    return list;
}


static torch_value_t *
split(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    int64_t         size = 0;
    infer_value_t  *x;

    if (arg[1] != NULL && arg[1]->kind != TORCH_INT) {
        return aten_is_tensor(arg[0]) ? split_with_sizes(t, arg)
                                      : TORCH_DECLINE;
    }

    if (!aten_is_tensor(arg[0])) {
        return TORCH_DECLINE;
    }

    x = arg[0]->tensor;
    axis = aten_axis_of(t, arg[2], x);

    return axis < 0 || aten_int(t, arg[1], &size) != 0 ? NULL
           : parts(t, arg[0], axis, size);
}


static torch_value_t *
unbind(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    torch_value_t  *list, *v;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[1], x);
    list = torch_new(t->g, TORCH_LIST);

    if (axis < 0 || list == NULL || x->dim[axis].batch != 0
        || x->dim[axis].base > ATEN_MAX_PARTS)
    {
        return axis < 0 || list == NULL ? NULL : TORCH_DECLINE;
    }

    for (int64_t i = 0; i < x->dim[axis].base; i++) {
        v = part_of(t, arg[0], aten_pick(t, x, axis, infer_dim(i)), axis,
                    infer_dim(i), infer_dim(1));

        if (v == NULL || torch_append(t->g, list, v) != 0) {
            return NULL;
        }
    }

    return list;
}


static torch_value_t *
index_select(torch_eval_t *t, torch_value_t *const *arg)
{
    int             axis;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    axis = aten_axis_of(t, arg[1], x);

    return axis < 0 ? NULL
           : aten_new(t, gather(t, x, axis, aten_tensor(t, arg[2])));
}


static torch_value_t *
embedding(torch_eval_t *t, torch_value_t *const *arg)
{
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    return x == NULL ? NULL
           : aten_new(t, gather(t, x, 0, aten_tensor(t, arg[1])));
}


/*
 * x[None, i, j]: dimensions that follow each other are indexed by as many
 * tensors, which count as one index into all of their elements.
 */
static torch_value_t *
index_by(torch_eval_t *t, torch_value_t *const *arg)
{
    int             first = 0, n = 0, rank;
    infer_dim_t     dim[INFER_MAX_RANK], all;
    infer_value_t  *x, *index = NULL, *one;
    torch_value_t  *v;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || arg[1] == NULL || arg[1]->kind != TORCH_LIST
        || arg[1]->items.n > (size_t) x->rank)
    {
        return x == NULL ? NULL : TORCH_DECLINE;
    }

    all = infer_dim(1);

    for (int i = 0; i < (int) arg[1]->items.n; i++) {
        v = arg[1]->items.item[i];

        if (aten_is_none(v)) {
            first += n == 0;
            continue;
        }

        one = aten_tensor(t, v);

        if (one != NULL && aten_check_index(t, one) != 0) {
            return NULL;
        }

        if (one != NULL && one->dtype == INFER_BOOL) {
            torch_fail(t, "a mask takes elements whose number depends on its "
                       "data, which is not supported");
            return NULL;
        }

        if (one == NULL || one->dtype == INFER_U8
            || first + n != i || x->dim[i].batch != 0)
        {
            return one == NULL ? NULL : TORCH_DECLINE;
        }

        one = aten_cast(t, one, INFER_I64);
        one = arg[1]->items.n == 1 ? one
              : aten_binary_number(t, INFER_MOD, one,
                                   (double) x->dim[i].base);
        index = n == 0 ? one
                : aten_binary(t, INFER_ADD, one,
                              aten_binary_number(t, INFER_MUL, index,
                                                 (double) x->dim[i].base));

        if (index == NULL || infer_dim_mul(all, x->dim[i], &all) != 0) {
            return NULL;
        }

        n++;
    }

    if (n == 0) {
        return arg[0];
    }

    rank = 0;

    for (int i = 0; i < x->rank; i++) {
        if (i < first || i >= first + n) {
            dim[rank++] = x->dim[i];

        } else if (i == first) {
            dim[rank++] = all;
        }
    }

    return aten_new(t, gather(t, aten_reshape(t, x, rank, dim), first,
                              index));
}


/* Each dimension's last `shift` elements come first. */
static torch_value_t *
roll(torch_eval_t *t, torch_value_t *const *arg)
{
    int             n, axis;
    int64_t         shift[INFER_MAX_RANK], axes[INFER_MAX_RANK], len;
    infer_value_t  *x, *in[2];

    x = aten_tensor(t, arg[0]);
    n = x != NULL ? aten_ints(t, arg[1], shift, INFER_MAX_RANK) : -1;

    if (n < 0 || aten_ints(t, arg[2], axes, INFER_MAX_RANK) != n) {
        return n < 0 ? NULL : TORCH_DECLINE;
    }

    for (int i = 0; i < n && x != NULL; i++) {
        axis = (int) (axes[i] < 0 ? axes[i] + x->rank : axes[i]);

        if (axes[i] < -x->rank || axis >= x->rank || x->dim[axis].batch != 0) {
            return TORCH_DECLINE;
        }

        len = x->dim[axis].base;
        shift[i] = len > 0 ? (shift[i] % len + len) % len : 0;

        if (shift[i] != 0) {
            in[0] = aten_narrow(t, x, axis, infer_dim(len - shift[i]),
                                infer_dim(shift[i]));
            in[1] = aten_narrow(t, x, axis, infer_dim(0),
                                infer_dim(len - shift[i]));

            x = in[0] != NULL && in[1] != NULL
                ? aten_concat(t, in, 2, axis) : NULL;
        }
    }

    return aten_new(t, x);
}


static torch_value_t *
flip(torch_eval_t *t, torch_value_t *const *arg)
{
    uint32_t        axes;
    infer_param_t   p;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);

    if (x == NULL || aten_axes(t, arg[1], x->rank, &axes) != 0) {
        return NULL;
    }

    memset(&p, 0, sizeof(p));
    infer_slice_all(&p, x);

    for (int i = 0; i < x->rank; i++) {
        if ((axes >> i) & 1) {
            p.slice.start[i] = x->dim[i];
            p.slice.start[i].base--;
            p.slice.step[i] = -1;
        }
    }

    return aten_new(t, aten_emit(t, INFER_OP_SLICE, &p, &x, 1));
}


/* Pads from the last dimension on: before, after, before, after, .. */
static torch_value_t *
pad_mode(torch_eval_t *t, torch_value_t *const *arg, infer_pad_mode_t mode,
    const torch_value_t *value)
{
    int             n, any = 0;
    int64_t         pads[2 * INFER_MAX_RANK];
    infer_param_t   p;
    infer_value_t  *x;

    x = aten_tensor(t, arg[0]);
    n = x != NULL ? aten_ints(t, arg[1], pads, 2 * INFER_MAX_RANK) : -1;
    memset(&p, 0, sizeof(p));
    p.pad.mode = mode;

    if (n < 0 || aten_double(t, value, &p.pad.value) != 0) {
        return NULL;
    }

    if (n % 2 != 0 || n > 2 * x->rank) {
        return TORCH_DECLINE;
    }

    for (int i = 0; i < n / 2; i++) {
        p.pad.before[x->rank - 1 - i] = pads[2 * i];
        p.pad.after[x->rank - 1 - i] = pads[2 * i + 1];
        any |= pads[2 * i] != 0 || pads[2 * i + 1] != 0;
    }

    return aten_new(t, any ? aten_emit(t, INFER_OP_PAD, &p, &x, 1) : x);
}


static torch_value_t *
pad(torch_eval_t *t, torch_value_t *const *arg)
{
    const char  *mode;

    mode = arg[2] != NULL && arg[2]->kind == TORCH_STRING ? arg[2]->string.s
                                                          : "constant";

    return strcmp(mode, "constant") == 0
           ? pad_mode(t, arg, INFER_PAD_CONSTANT, arg[3])
           : strcmp(mode, "reflect") == 0
           ? pad_mode(t, arg, INFER_PAD_REFLECT, NULL)
           : strcmp(mode, "replicate") == 0
           ? pad_mode(t, arg, INFER_PAD_EDGE, NULL) : TORCH_DECLINE;
}


static torch_value_t *
pad_constant(torch_eval_t *t, torch_value_t *const *arg)
{
    return pad_mode(t, arg, INFER_PAD_CONSTANT, arg[2]);
}


static torch_value_t *
pad_by(torch_eval_t *t, torch_value_t *const *arg, infer_pad_mode_t mode)
{
    return pad_mode(t, arg, mode, NULL);
}

TORCH_KIND(pad_reflect, pad_by, INFER_PAD_REFLECT)
TORCH_KIND(pad_edge, pad_by, INFER_PAD_EDGE)


const torch_builtin_t  torch_builtins_slice[] = {
    { "torch.slice", "self dim start end step", slice },
    { "torch.select", "self dim index", select },
    { "torch.narrow", "self dim start length", narrow },
    { "torch.cat", "tensors dim", cat },
    { "torch.concat", "tensors dim", cat },
    { "torch.stack", "tensors dim", stack },
    { "torch.chunk", "self chunks dim", chunk },
    { "torch.split", "self split_size dim", split },
    { "torch.split_with_sizes", "self split_sizes dim", split_with_sizes },
    { "torch.unbind", "self dim", unbind },
    { "torch.index_select", "self dim index", index_select },
    { "torch.index", "self indices", index_by },
    { "torch.embedding", "weight indices padding_idx scale_grad_by_freq "
      "sparse", embedding },
    { "torch.roll", "self shifts dims", roll },
    { "torch.flip", "self dims", flip },
    { "torch.pad", "self pad mode value", pad },
    { "torch.constant_pad_nd", "self pad value", pad_constant },
    { "torch.reflection_pad1d", "self padding", pad_reflect },
    { "torch.reflection_pad2d", "self padding", pad_reflect },
    { "torch.replication_pad1d", "self padding", pad_edge },
    { "torch.replication_pad2d", "self padding", pad_edge },
    { NULL, NULL, NULL }
};
