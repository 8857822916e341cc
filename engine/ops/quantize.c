/*
 * Between floats and 8-bit integers: quantize, dequantize, dynamic
 * quantization (whose scale is that of the data), and table lookup, which is
 * any elementwise function of 8 bits.
 */

#include <math.h>
#include <string.h>

#include "ops/integer.h"


/*
 * A tensor as runs of elements of one scale and zero point: run r has those
 * of channel r % channels.
 */
typedef struct {
    const infer_call_t   *call;
    size_t                n;
    size_t                run;           /* elements */
    size_t                channels;
    const infer_tensor_t *scale;
    const infer_tensor_t *zero;          /* NULL: 0 */
    void                (*convert)(const infer_call_t *call, size_t first,
                                   size_t n, float scale, int32_t zero);
} runs_t;

/* Dynamic quantization: rows of elements, each with its scale. */
typedef struct {
    const infer_call_t   *call;
    size_t                rows;
    size_t                length;
    size_t                task;          /* rows of one */
} rows_t;


static int check_computed(infer_graph_t *g, const infer_node_t *node);
static int check_runs(infer_graph_t *g, const infer_node_t *node,
    infer_dtype_t zero);
static int check_vector(infer_graph_t *g, const infer_node_t *node,
    const infer_value_t *v, infer_dtype_t dtype, const char *what);
static void run_runs(const infer_call_t *call,
    void (*convert)(const infer_call_t *call, size_t first, size_t n,
                    float scale, int32_t zero));
static void runs_task(void *arg, size_t i, size_t slot);
static int32_t integer_at(const infer_tensor_t *t, size_t i);
static void to_bytes(const infer_call_t *call, size_t first, size_t n,
    float scale, int32_t zero);
static void to_floats(const infer_call_t *call, size_t first, size_t n,
    float scale, int32_t zero);
static void range_piece(void *arg, size_t i, size_t slot);
static void quantize_piece(void *arg, size_t i, size_t slot);
static void quantize_rows(void *arg, size_t i, size_t slot);
static void set_scale(const rows_t *rows, size_t row, const float *range);
static void quantize_part(const rows_t *rows, size_t row, size_t first,
    size_t n);
static void look_up(void *arg, size_t i, size_t slot);


/* ---- quantize and dequantize ------------------------------------------ */

static int
quantize_shape(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t     *x;
    const infer_quantize_t  *p = &node->param.quantize;

    if (infer_check_operands(g, node, 2, 3, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (x->dtype != INFER_F32) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (p->dtype != INFER_U8 && p->dtype != INFER_I8) {
        return infer_node_fail(g, node, "a result of type %s is not "
                               "supported",
                               infer_dtype_name((infer_dtype_t) p->dtype));
    }

    infer_set_result(node->out[0], (infer_dtype_t) p->dtype, x->rank, x->dim);

    return check_runs(g, node, (infer_dtype_t) p->dtype);
}


static int
dequantize_shape(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 2, 3, 1) != 0) {
        return -1;
    }

    x = node->in[0];

    if (x->dtype != INFER_U8 && x->dtype != INFER_I8
        && x->dtype != INFER_I32)
    {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    infer_set_result(node->out[0], INFER_F32, x->rank, x->dim);

    return node->in[1]->data == NULL ? check_computed(g, node)
                                     : check_runs(g, node, x->dtype);
}


/* What dynamic_quantize gave, all of it: the pass for integers takes it. */
static int
check_computed(infer_graph_t *g, const infer_node_t *node)
{
    const infer_node_t  *source = node->in[0]->producer;

    if (source == NULL || source->id != INFER_OP_DYNAMIC_QUANTIZE
        || node->n_in < 3 || node->in[1] != source->out[1]
        || node->in[2] != source->out[2]
        || node->param.quantize.axis != source->param.dynamic_quantize.axis)
    {
        return infer_node_fail(g, node, "the scale is not constant");
    }

    return 0;
}


static int
check_runs(infer_graph_t *g, const infer_node_t *node, infer_dtype_t zero)
{
    if (check_vector(g, node, node->in[1], INFER_F32, "scale") != 0) {
        return -1;
    }

    if (node->n_in < 3 || node->in[2] == NULL) {
        return 0;
    }

    return check_vector(g, node, node->in[2], zero, "zero point");
}


/* A constant of one element, or those of dimension axis. */
static int
check_vector(infer_graph_t *g, const infer_node_t *node,
    const infer_value_t *v, infer_dtype_t dtype, const char *what)
{
    int                   axis = node->param.quantize.axis;
    infer_dim_t           n;
    const infer_value_t  *x = node->in[0];

    if (v->data == NULL || v->varied[0] != NULL) {
        return infer_node_fail(g, node, "the %s is not constant", what);
    }

    if (v->dtype != dtype) {
        return infer_node_fail(g, node, "the %s is %s, not %s", what,
                               infer_dtype_name(v->dtype),
                               infer_dtype_name(dtype));
    }

    if (infer_value_numel(v, &n) != 0
        || (!infer_dim_is(n, 1)
            && (axis < 0 || axis >= x->rank
                || !infer_dim_equal(n, x->dim[axis]))))
    {
        return infer_node_fail(g, node, "the %s has neither one element nor "
                               "those of dimension %d", what, axis);
    }

    return 0;
}


static void
quantize_run(const infer_call_t *call)
{
    run_runs(call, to_bytes);
}


static void
dequantize_run(const infer_call_t *call)
{
    run_runs(call, to_floats);
}


static void
run_runs(const infer_call_t *call,
    void (*convert)(const infer_call_t *call, size_t first, size_t n,
                    float scale, int32_t zero))
{
    int                    axis = call->param->quantize.axis;
    runs_t                 runs;
    const infer_tensor_t  *x = call->in[0];

    runs.call = call;
    runs.n = infer_numel(x);
    runs.run = runs.n;
    runs.channels = 1;
    runs.scale = call->in[1];
    runs.zero = call->n_in > 2 ? call->in[2] : NULL;
    runs.convert = convert;

    if (infer_numel(runs.scale) > 1
        || (runs.zero != NULL && infer_numel(runs.zero) > 1))
    {
        runs.run = 1;
        runs.channels = (size_t) x->dim[axis];

        for (int i = axis + 1; i < x->rank; i++) {
            runs.run *= (size_t) x->dim[i];
        }
    }

    infer_parallel_for(call, runs_task, &runs,
                       (runs.n + INFER_GRAIN - 1) / INFER_GRAIN);
}


static void
runs_task(void *arg, size_t i, size_t slot)
{
    float          scale;
    size_t         end, n, channel;
    int32_t        zero;
    const runs_t  *r = arg;

    (void) slot;

    end = (i + 1) * INFER_GRAIN;
    end = end < r->n ? end : r->n;

    for (size_t at = i * INFER_GRAIN; at < end; at += n) {
        n = r->run - at % r->run;
        n = n < end - at ? n : end - at;
        channel = at / r->run % r->channels;

        memcpy(&scale, (const float *) r->scale->data
                       + (infer_numel(r->scale) > 1 ? channel : 0),
               sizeof(float));
        zero = r->zero == NULL ? 0
               : integer_at(r->zero, infer_numel(r->zero) > 1 ? channel : 0);

        r->convert(r->call, at, n, scale, zero);
    }
}


static int32_t
integer_at(const infer_tensor_t *t, size_t i)
{
    int32_t  x;

    switch (t->dtype) {
    case INFER_U8:
        return ((const uint8_t *) t->data)[i];

    case INFER_I8:
        return ((const int8_t *) t->data)[i];

    default:
        memcpy(&x, (const unsigned char *) t->data + i * sizeof(x),
               sizeof(x));
        return x;
    }
}


static void
to_bytes(const infer_call_t *call, size_t first, size_t n, float scale,
    int32_t zero)
{
    infer_bytes_t  bytes = infer_bytes(call->out[0]->dtype, zero);

    call->kernels->integer->quantize(&bytes, scale,
                                     (const float *) call->in[0]->data
                                     + first,
                                     (uint8_t *) call->out[0]->data + first,
                                     n);
}


static void
to_floats(const infer_call_t *call, size_t first, size_t n, float scale,
    int32_t zero)
{
    float                 *y = (float *) call->out[0]->data + first;
    infer_bytes_t          bytes;
    const infer_tensor_t  *x = call->in[0];

    if (x->dtype == INFER_I32) {
        call->kernels->integer->dequantize_i32((const int32_t *) x->data
                                               + first, zero, scale, y, n);
        return;
    }

    bytes = infer_bytes(x->dtype, zero);

    call->kernels->integer->dequantize_u8((const uint8_t *) x->data + first,
                                          bytes.flip, bytes.zero, scale, y,
                                          n);
}


infer_bytes_t
infer_bytes(infer_dtype_t dtype, int32_t zero)
{
    infer_bytes_t  bytes;

    bytes.flip = dtype == INFER_I8 ? 0x80 : 0;
    bytes.zero = (uint8_t) (zero + bytes.flip);
    bytes.low = 0;
    bytes.high = 255;

    return bytes;
}


/* ---- dynamic quantization --------------------------------------------- */

static int
dynamic_shape(infer_graph_t *g, const infer_node_t *node)
{
    int                   axis = node->param.dynamic_quantize.axis;
    const infer_value_t  *x;

    if (infer_check_operands(g, node, 1, 1, 3) != 0) {
        return -1;
    }

    x = node->in[0];

    if (x->dtype != INFER_F32 || node->n_out != 3) {
        return infer_node_fail(g, node, "%s with %d results is not supported",
                               infer_dtype_name(x->dtype), node->n_out);
    }

    if (axis < 0 || axis > x->rank) {
        return infer_node_fail(g, node, "axis %d of rank %d", axis, x->rank);
    }

    infer_set_result(node->out[0], INFER_U8, x->rank, x->dim);
    infer_set_result(node->out[1], INFER_F32, axis, x->dim);
    infer_set_result(node->out[2], INFER_U8, axis, x->dim);

    return 0;
}


/* The range that a slot has seen. */
static size_t
dynamic_scratch(const infer_call_t *call)
{
    (void) call;

    return 2 * sizeof(float);
}


static void
dynamic_run(const infer_call_t *call)
{
    float   *range, all[2] = { 0, 0 };
    rows_t   rows;
    size_t   slots, pieces;

    rows.call = call;
    rows.rows = infer_numel(call->out[1]);

    if (rows.rows == 0) {
        return;
    }

    rows.length = infer_numel(call->in[0]) / rows.rows;

    if (rows.rows > 1) {
        rows.task = INFER_GRAIN / (rows.length + 1) + 1;
        infer_parallel_for(call, quantize_rows, &rows,
                           (rows.rows + rows.task - 1) / rows.task);
        return;
    }

    slots = call->parallel != NULL ? call->parallel->slots : 1;
    pieces = (rows.length + INFER_GRAIN - 1) / INFER_GRAIN;

    for (size_t i = 0; i < slots; i++) {
        memset(infer_scratch(call, i), 0, 2 * sizeof(float));
    }

    infer_parallel_for(call, range_piece, &rows, pieces);

    for (size_t i = 0; i < slots; i++) {
        range = infer_scratch(call, i);
        all[0] = range[0] < all[0] ? range[0] : all[0];
        all[1] = range[1] > all[1] ? range[1] : all[1];
    }

    set_scale(&rows, 0, all);
    infer_parallel_for(call, quantize_piece, &rows, pieces);
}


static void
range_piece(void *arg, size_t i, size_t slot)
{
    size_t         first = i * INFER_GRAIN, n;
    const rows_t  *rows = arg;

    n = rows->length - first;
    n = n < INFER_GRAIN ? n : INFER_GRAIN;

    rows->call->kernels->integer->range_f32(
        (const float *) rows->call->in[0]->data + first, n,
        infer_scratch(rows->call, slot));
}


static void
quantize_piece(void *arg, size_t i, size_t slot)
{
    size_t         first = i * INFER_GRAIN, n;
    const rows_t  *rows = arg;

    (void) slot;

    n = rows->length - first;

    quantize_part(rows, 0, first, n < INFER_GRAIN ? n : INFER_GRAIN);
}


static void
quantize_rows(void *arg, size_t i, size_t slot)
{
    size_t         end;
    float          range[2];
    const rows_t  *rows = arg;

    (void) slot;

    end = (i + 1) * rows->task;
    end = end < rows->rows ? end : rows->rows;

    for (size_t row = i * rows->task; row < end; row++) {
        range[0] = range[1] = 0;

        rows->call->kernels->integer->range_f32(
            (const float *) rows->call->in[0]->data + row * rows->length,
            rows->length, range);

        set_scale(rows, row, range);
        quantize_part(rows, row, 0, rows->length);
    }
}


/* range: the least and the largest number, or 0. */
static void
set_scale(const rows_t *rows, size_t row, const float *range)
{
    float  scale, zero, top;

    top = rows->call->param->dynamic_quantize.reduced ? 127 : 255;
    scale = (range[1] - range[0]) / top;

    if (!(scale > 0)) {
        scale = 1;
    }

    zero = rintf(-range[0] / scale);
    zero = zero > 0 ? zero : 0;
    zero = zero < top ? zero : top;

    ((float *) rows->call->out[1]->data)[row] = scale;
    ((uint8_t *) rows->call->out[2]->data)[row] = (uint8_t) zero;
}


static void
quantize_part(const rows_t *rows, size_t row, size_t first, size_t n)
{
    float          scale;
    infer_bytes_t  bytes;

    first += row * rows->length;
    scale = ((const float *) rows->call->out[1]->data)[row];
    bytes = infer_bytes(INFER_U8,
                        ((const uint8_t *) rows->call->out[2]->data)[row]);

    rows->call->kernels->integer->quantize(
        &bytes, scale, (const float *) rows->call->in[0]->data + first,
        (uint8_t *) rows->call->out[0]->data + first, n);
}


/* ---- table lookup ----------------------------------------------------- */

static int
table_shape(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           n;
    const infer_value_t  *x, *table;

    if (infer_check_operands(g, node, 2, 2, 1) != 0) {
        return -1;
    }

    x = node->in[0];
    table = node->in[1];

    if (x->dtype != INFER_U8 && x->dtype != INFER_I8) {
        return infer_node_fail(g, node, "%s is not supported",
                               infer_dtype_name(x->dtype));
    }

    if (table->data == NULL || table->varied[0] != NULL
        || infer_value_numel(table, &n) != 0 || !infer_dim_is(n, 256)
        || (table->dtype != INFER_U8 && table->dtype != INFER_I8
            && table->dtype != INFER_F32))
    {
        return infer_node_fail(g, node, "the table must be a constant of 256 "
                               "elements, uint8, int8 or float32");
    }

    infer_set_result(node->out[0], table->dtype, x->rank, x->dim);

    return 0;
}


static void
table_run(const infer_call_t *call)
{
    infer_parallel_for(call, look_up, (void *) call,
                       (infer_numel(call->in[0]) + INFER_GRAIN - 1)
                       / INFER_GRAIN);
}


static void
look_up(void *arg, size_t i, size_t slot)
{
    float               *y32, floats[256];
    size_t               first = i * INFER_GRAIN, n;
    uint8_t             *y;
    const uint8_t       *x, *table;
    const infer_call_t  *call = arg;

    (void) slot;

    n = infer_numel(call->in[0]) - first;
    n = n < INFER_GRAIN ? n : INFER_GRAIN;
    x = (const uint8_t *) call->in[0]->data + first;

    if (call->out[0]->dtype == INFER_F32) {
        memcpy(floats, call->in[1]->data, sizeof(floats));
        y32 = (float *) call->out[0]->data + first;

        for (size_t k = 0; k < n; k++) {
            y32[k] = floats[x[k]];
        }

        return;
    }

    table = call->in[1]->data;
    y = (uint8_t *) call->out[0]->data + first;

    for (size_t k = 0; k < n; k++) {
        y[k] = table[x[k]];
    }
}


const infer_op_t  infer_op_quantize = {
    .name = "quantize",
    .shape = quantize_shape,
    .run = quantize_run
};

const infer_op_t  infer_op_dequantize = {
    .name = "dequantize",
    .shape = dequantize_shape,
    .run = dequantize_run
};

const infer_op_t  infer_op_dynamic_quantize = {
    .name = "dynamic_quantize",
    .shape = dynamic_shape,
    .run = dynamic_run,
    .scratch = dynamic_scratch
};

const infer_op_t  infer_op_table_lookup = {
    .name = "table",
    .shape = table_shape,
    .run = table_run
};
