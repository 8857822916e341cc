/*
 * The driver of integer products.  A task is some blocks of rows times some
 * panels: its rows are gathered into scratch once, unless they can be read
 * where they are, and the blocks share each stretch of panels, which comes
 * from the second cache.  K is never cut: a row is four times shorter than
 * one of floats.
 */

#include <math.h>
#include <string.h>

#include "ops/qproduct.h"


#define PANEL          INFER_PANEL

/* Products in a sum that cannot overflow, bias aside: 2^31 / (255 * 128). */
#define MAX_K          65793

/* What makes numbers bounded: see infer_end_t. */
#define MAX_SCALE      0x1p-2f
#define MAX_BIAS       0x1p28f

/* Of the weights that come next, so much is fetched before they do. */
#define AHEAD_BYTES    STRETCH_BYTES

/* Sizes for a second cache of 1 MB or more, half of it for weights. */
#define WEIGHTS_BYTES  ((size_t) 512 << 10)
#define GATHER_BYTES   ((size_t) 64 << 10)
#define SHARED_BYTES   ((size_t) 512 << 10)    /* where blocks share panels */
#define STRETCH_BYTES  ((size_t) 256 << 10)

/* Columns that are computed before an activation is. */
#define STRETCH_PANELS  32

/* Multiply-accumulates below which a task is not worth handing out, and
   from which on more rows to a task gain nothing. */
#define SMALL_TASK     ((size_t) 512 << 10)
#define LARGE_TASK     ((size_t) 8 << 20)

/* Rows this many bytes apart share a set of the first cache. */
#define CACHE_WAY      4096


typedef struct {
    const infer_qproduct_t   *product;
    infer_qpacked_t           packed;
    infer_end_t               end;
    int                       direct;      /* the kernel gives the results */
    size_t                    panels;      /* of a group */
    size_t                    stretch;     /* panels at a time */
    size_t                    block;       /* rows of a tile */
    size_t                    blocks;      /* tiles for all rows */
    size_t                    shared;      /* tiles that share panels */
    size_t                    ld;          /* of gathered rows; 0: in place */
    size_t                    row_tasks;
    size_t                    column_tasks;
} split_t;

/* Rows row .. end - 1 of a group, from `a` on; panels panel .. last - 1. */
typedef struct {
    const uint8_t            *a;
    size_t                    lda;
    size_t                    group;
    size_t                    row;
    size_t                    end;
    size_t                    panel;
    size_t                    last;
    float                    *numbers;     /* where not direct */
} region_t;


static int check_vector(infer_graph_t *g, const infer_node_t *node, int i);
static size_t columns_of(size_t n, int depthwise);
static size_t depthwise_place(size_t n);
static void pack_column(const infer_weights_t *w, size_t o,
    const infer_qpacked_t *p, size_t at);
static void pack_end(const infer_node_t *node, size_t o, int32_t zero,
    const infer_requantize_t *end, const infer_qpacked_t *p, size_t at);
static void load(const infer_node_t *node, int i, size_t o, float *x,
    int32_t *integer);
static void split_rows(split_t *s, const infer_qproduct_t *p);
static void split_tasks(split_t *s);
static void set_end(split_t *s, const infer_qproduct_t *p);
static void run_task(void *arg, size_t i, size_t slot);
static const uint8_t *gather_rows(const split_t *s, const region_t *r,
    uint8_t *dst);
static void run_region(const split_t *s, const region_t *r);
static void fetch_ahead(const split_t *s, const region_t *r, size_t row,
    size_t panel, size_t last, infer_tile_u8_t *tile);
static void run_tile(const split_t *s, const region_t *r, size_t row,
    size_t panel, size_t last);


static size_t
ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}


static size_t
min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}


/* A run of K as it lies in panels. */
static size_t
padded(size_t k)
{
    return ceil_div(k, 4) * 4;
}


size_t
infer_qproduct_k(size_t k, size_t run)
{
    return k / run * padded(run);
}


/*
 * Whether the kernel gives the results.  Where x's scale is data, bytes are
 * numbers first: the constants are not divided by the result's scale.
 */
static int
is_direct(const infer_requantize_t *end, int dynamic)
{
    infer_dtype_t  dtype = (infer_dtype_t) end->dtype;

    return infer_requantize_is_direct(dtype, &end->act)
           && !(dynamic && dtype != INFER_F32);
}


/* ---- the shape rule --------------------------------------------------- */

int
infer_qproduct_check_weights(infer_graph_t *g, const infer_node_t *node,
    int32_t zero)
{
    infer_dim_t           n;
    const infer_value_t  *x = node->in[INFER_IN_X];
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    if (!infer_value_is_constant(w)) {
        return infer_node_fail(g, node, "the weights are not constant");
    }

    if (x->dtype != INFER_U8 || w->dtype != INFER_I8) {
        return infer_node_fail(g, node, "input %s and weights %s: must be "
                               "uint8 and int8", infer_dtype_name(x->dtype),
                               infer_dtype_name(w->dtype));
    }

    if (infer_value_numel(w, &n) != 0 || n.batch != 0 || n.base < 1
        || n.base > INT32_MAX)
    {
        return infer_node_fail(g, node, "the weights have no elements, or "
                               "too many");
    }

    if (zero < 0 || zero > 255) {
        return infer_node_fail(g, node, "the input's zero point, %d, is no "
                               "uint8", (int) zero);
    }

    return 0;
}


int
infer_qproduct_check(infer_graph_t *g, const infer_node_t *node,
    const infer_requantize_t *end, uint64_t k)
{
    if (k >= MAX_K) {
        return infer_node_fail(g, node, "sums of %llu products may overflow",
                               (unsigned long long) k);
    }

    if (check_vector(g, node, INFER_IN_BIAS) != 0
        || check_vector(g, node, INFER_IN_SCALE) != 0)
    {
        return -1;
    }

    if (end->dtype == INFER_I32 && node->n_in > INFER_IN_BIAS
        && node->in[INFER_IN_BIAS] != NULL
        && node->in[INFER_IN_BIAS]->dtype != INFER_I32)
    {
        return infer_node_fail(g, node, "the bias of an int32 result is %s",
                               infer_dtype_name(node->in[INFER_IN_BIAS]
                                                ->dtype));
    }

    return infer_requantize_check(g, node, end);
}


static int
check_vector(infer_graph_t *g, const infer_node_t *node, int i)
{
    int                   integers;
    const char           *what = i == INFER_IN_BIAS ? "bias" : "scale";
    infer_dim_t           n;
    const infer_value_t  *v;

    if (i >= node->n_in || node->in[i] == NULL) {
        return 0;
    }

    v = node->in[i];
    n = node->out[0]->dim[node->out[0]->rank - 1];
    integers = i == INFER_IN_BIAS && v->dtype == INFER_I32;

    if (!infer_value_is_constant(v)) {
        return infer_node_fail(g, node, "the %s is not constant", what);
    }

    if ((v->dtype != INFER_F32 && !integers) || v->rank != 1
        || !infer_dim_equal(v->dim[0], n))
    {
        return infer_node_fail(g, node, "the %s must be %lld numbers", what,
                               (long long) n.base);
    }

    return 0;
}


/* ---- packing ---------------------------------------------------------- */

size_t
infer_qproduct_pack_size(const infer_weights_t *w)
{
    /* in bounds: see infer_qproduct_check_weights */
    return w->groups * columns_of(w->n, w->depthwise)
           * (infer_qproduct_k(w->c * w->taps, w->run) + 2 * sizeof(int32_t)
              + 2 * sizeof(float));
}


/* Columns with those that fill the last panel, or the last block. */
static size_t
columns_of(size_t n, int depthwise)
{
    size_t  whole = depthwise ? INFER_DEPTHWISE_BLOCK : PANEL;

    return ceil_div(n, whole) * whole;
}


void
infer_qproduct_packed(infer_qpacked_t *p, const void *packed, size_t groups,
    size_t n, size_t k, int depthwise)
{
    size_t  columns = columns_of(n, depthwise);

    p->vector = columns;
    p->step = PANEL * k;
    p->panels = packed;
    p->start = (const void *) (p->panels + groups * columns * k);
    p->weights = p->start + groups * columns;
    p->scale = (const float *) (p->weights + groups * columns);
    p->bias = p->scale + groups * columns;
}


void
infer_qproduct_pack(const infer_node_t *node, const infer_weights_t *w,
    int32_t zero, const infer_requantize_t *end, void *dst)
{
    size_t           o, at, columns = columns_of(w->n, w->depthwise);
    infer_qpacked_t  p;

    infer_qproduct_packed(&p, dst, w->groups, w->n,
                          infer_qproduct_k(w->c * w->taps, w->run),
                          w->depthwise);

    memset(dst, 0, infer_qproduct_pack_size(w));

    for (size_t n = 0; n < w->groups * columns; n++) {
        o = n % columns;
        at = n;

        if (w->depthwise) {
            /* channels that divide a block fill it */
            o = INFER_DEPTHWISE_BLOCK % w->n == 0 ? n % w->n : n;
            at = depthwise_place(n);
        }

        if (o < w->n) {
            pack_column(w, n / columns * w->n + o, &p, at);
            pack_end(node, n / columns * w->n + o, zero, end, &p, at);
        }
    }
}


/* Where the sum of a channel is: see infer_depthwise_u8_t. */
static size_t
depthwise_place(size_t n)
{
    return n / INFER_DEPTHWISE_BLOCK * INFER_DEPTHWISE_BLOCK
           + n % 16 / 4 * 16 + n / 16 % 4 * 4 + n % 4;
}


/* The weights of output o as column `at`, and their sum. */
static void
pack_column(const infer_weights_t *w, size_t o, const infer_qpacked_t *p,
    size_t at)
{
    size_t         k, lanes = w->depthwise ? INFER_DEPTHWISE_BLOCK : PANEL;
    int8_t        *panel, weight;
    int32_t        sum = 0;

    panel = (int8_t *) p->panels + at / lanes * lanes / PANEL * p->step
            + at % lanes * 4;

    for (size_t tap = 0; tap < w->taps; tap++) {
        for (size_t c = 0; c < w->c; c++) {
            k = tap * w->c + c;
            k = k / w->run * padded(w->run) + k % w->run;
            weight = ((const int8_t *) w->data)[o * w->channel + c * w->depth
                                                + tap * w->tap_step];
            panel[k / 4 * 4 * lanes + k % 4] = weight;
            sum += weight;
        }
    }

    ((int32_t *) p->weights)[at] = sum;
}


/* Where the sum of output o starts, and what it is scaled by. */
static void
pack_end(const infer_node_t *node, size_t o, int32_t zero,
    const infer_requantize_t *end, const infer_qpacked_t *p, size_t at)
{
    int      dynamic;
    float    scale = 1, bias = 0, by = 1;
    int32_t  start = 0;

    dynamic = node->n_in > INFER_IN_X_SCALE
              && node->in[INFER_IN_X_SCALE] != NULL;

    load(node, INFER_IN_SCALE, o, &scale, NULL);
    load(node, INFER_IN_BIAS, o, &bias, &start);

    if (end->dtype != INFER_F32 && end->dtype != INFER_I32
        && is_direct(end, dynamic))
    {
        by = end->out.scale;
    }

    bias /= by;

    if (node->n_in > INFER_IN_RESIDUAL
        && node->in[INFER_IN_RESIDUAL] != NULL)
    {
        bias = fmaf((float) -end->residual.zero, end->residual.scale / by,
                    bias);
    }

    ((int32_t *) p->start)[at] =
        (int32_t) ((uint32_t) start
                   - (uint32_t) zero * (uint32_t) p->weights[at]);
    ((float *) p->scale)[at] = scale / by;
    ((float *) p->bias)[at] = bias;
}


/* Element o of a constant, where there is one: a float, or an integer. */
static void
load(const infer_node_t *node, int i, size_t o, float *x, int32_t *integer)
{
    void  *dst = x;

    if (i >= node->n_in || node->in[i] == NULL) {
        return;
    }

    if (node->in[i]->dtype == INFER_I32) {
        dst = integer;
    }

    /* as it is mapped: not aligned; both are four bytes */
    memcpy(dst, (const unsigned char *) node->in[i]->data + 4 * o, 4);
}


/* ---- running ---------------------------------------------------------- */

size_t
infer_qproduct_scratch(const infer_qproduct_t *p)
{
    split_t  s;

    split_rows(&s, p);

    return s.shared * s.block * s.ld
           + (s.direct ? 0 : s.block * s.stretch * PANEL * sizeof(float));
}


void
infer_qproduct_run(const infer_qproduct_t *p)
{
    split_t  s;

    if (p->rows == 0) {
        return;
    }

    split_rows(&s, p);
    split_tasks(&s);
    set_end(&s, p);
    s.end.bounded = infer_qproduct_bounded(p);

    infer_parallel_for(p->call, run_task, &s,
                       p->groups * s.row_tasks * s.column_tasks);
}


size_t
infer_qproduct_numbers(const infer_qproduct_t *p, size_t rows)
{
    split_t  s;

    split_rows(&s, p);

    return s.direct ? 0 : rows * s.stretch * PANEL * sizeof(float);
}


void
infer_qproduct_rows(const infer_qproduct_t *p, const uint8_t *a, size_t lda,
    size_t row, size_t rows, void *numbers)
{
    split_t   s;
    region_t  r = { .a = a, .lda = lda, .row = row, .end = row + rows,
                    .numbers = numbers };

    split_rows(&s, p);
    set_end(&s, p);
    s.end.bounded = p->bounded;

    r.last = s.panels;
    s.block = rows;

    run_region(&s, &r);
}


int
infer_qproduct_bounded(const infer_qproduct_t *p)
{
    float            scale[2] = { 0, 0 }, bias[2] = { 0, 0 };
    size_t           n;
    infer_qpacked_t  packed;

    infer_qproduct_packed(&packed, p->call->packed, p->groups, p->n,
                          infer_qproduct_k(p->k, p->run), 0);

    n = p->groups * packed.vector;
    p->call->kernels->integer->range_f32(packed.scale, n, scale);
    p->call->kernels->integer->range_f32(packed.bias, n, bias);

    return scale[0] >= -MAX_SCALE && scale[1] <= MAX_SCALE
           && bias[0] >= -MAX_BIAS && bias[1] <= MAX_BIAS;
}


static void
set_end(split_t *s, const infer_qproduct_t *p)
{
    infer_qproduct_packed(&s->packed, p->call->packed, p->groups, p->n,
                          infer_qproduct_k(p->k, p->run), 0);
    infer_end_init(&s->end, p->end, s->direct, p->call);

    s->end.ldc = s->end.ldr = p->groups * p->n;
}


/* What does not depend on how many threads there are. */
static void
split_rows(split_t *s, const infer_qproduct_t *p)
{
    size_t  bytes, work, k = infer_qproduct_k(p->k, p->run);

    s->product = p;
    s->direct = is_direct(p->end, p->x_scale != NULL);
    s->panels = ceil_div(p->n, PANEL);
    s->stretch = STRETCH_BYTES / (PANEL * k) / 2 * 2;
    s->stretch = min_size(s->stretch + (s->stretch == 0) * 2, STRETCH_PANELS);
    s->blocks = ceil_div(p->rows, p->call->kernels->integer->tile_rows);
    s->block = s->blocks > 0 ? ceil_div(p->rows, s->blocks) : 0;
    s->shared = 1;
    s->ld = 0;

    if (p->field != NULL || p->k % 4 != 0
        || (p->lda % CACHE_WAY == 0 && s->block > 8))
    {
        s->ld = ceil_div(p->k, 64) * 64;
        s->ld += s->ld % CACHE_WAY == 0 ? 64 : 0;
    }

    if (s->blocks == 0) {
        return;
    }

    bytes = s->block * (s->ld ? s->ld : k);
    work = s->block * k * s->panels * PANEL;

    if (s->panels * PANEL * k > WEIGHTS_BYTES) {
        s->shared = SHARED_BYTES / bytes;
    } else {
        s->shared = min_size(GATHER_BYTES / bytes, LARGE_TASK / work);
    }

    s->shared = min_size(s->shared, s->blocks);
    s->shared += s->shared == 0;
}


/* Two tasks for each thread, by rows, then by columns. */
static void
split_tasks(split_t *s)
{
    size_t                   slots, tasks, work;
    const infer_qproduct_t  *p = s->product;
    const infer_parallel_t  *parallel = p->call->parallel;

    slots = parallel != NULL ? parallel->slots : 1;

    s->row_tasks = ceil_div(s->blocks, s->shared);
    s->column_tasks = 1;

    if (slots == 1) {
        return;
    }

    work = p->rows * p->k * s->panels * PANEL;
    tasks = ceil_div(2 * slots, p->groups);
    tasks = min_size(tasks, ceil_div(work, SMALL_TASK));

    if (s->row_tasks >= tasks) {
        return;
    }

    if (s->panels * PANEL * p->k <= WEIGHTS_BYTES) {
        s->shared = ceil_div(s->blocks, min_size(tasks, s->blocks));
        s->row_tasks = ceil_div(s->blocks, s->shared);
    }

    /* only one where each task must gather the same rows again */
    tasks = s->ld != 0 ? ceil_div(tasks, 2) : tasks;

    s->column_tasks = min_size(ceil_div(tasks, s->row_tasks),
                               ceil_div(s->panels, 2));
}


/* Tasks have an even number of panels, but the last. */
static size_t
first_panel(const split_t *s, size_t column)
{
    return column == s->column_tasks
           ? s->panels : s->panels * column / s->column_tasks / 2 * 2;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    size_t                   column;
    uint8_t                 *scratch;
    split_t                 *s = arg;
    region_t                 r;
    const infer_qproduct_t  *p = s->product;

    /* neighbouring tasks read the same rows */
    column = i % s->column_tasks;
    i /= s->column_tasks;
    r.group = i % p->groups;
    r.row = i / p->groups * s->shared * s->block;
    r.end = min_size(p->rows, r.row + s->shared * s->block);
    r.panel = first_panel(s, column);
    r.last = first_panel(s, column + 1);

    scratch = infer_scratch(p->call, slot);
    r.numbers = (float *) (scratch + s->shared * s->block * s->ld);

    if (s->ld == 0) {
        r.a = p->a + r.row * p->lda + r.group * p->k;
        r.lda = p->lda;

    } else {
        r.a = gather_rows(s, &r, scratch);
        r.lda = s->ld;
    }

    run_region(s, &r);
}


static const uint8_t *
gather_rows(const split_t *s, const region_t *r, uint8_t *dst)
{
    const infer_qproduct_t  *p = s->product;

    if (p->field != NULL) {
        infer_field_gather(p->field, r->group, r->row, r->end - r->row, dst,
                           s->ld);
        return dst;
    }

    for (size_t i = r->row; i < r->end; i++) {
        memcpy(dst + (i - r->row) * s->ld,
               p->a + i * p->lda + r->group * p->k, p->k);
    }

    return dst;
}


static void
run_region(const split_t *s, const region_t *r)
{
    size_t  last;

    for (size_t panel = r->panel; panel < r->last; panel += s->stretch) {
        last = min_size(panel + s->stretch, r->last);

        for (size_t row = r->row; row < r->end; row += s->block) {
            run_tile(s, r, row, panel, last);
        }
    }
}


/*
 * Weights come from memory slower than they are used, but while others are:
 * tiles fetch each a part of the stretch that follows, or of the next
 * operator's first.
 */
static void
fetch_ahead(const split_t *s, const region_t *r, size_t row, size_t panel,
    size_t last, infer_tile_u8_t *tile)
{
    size_t                   first, rows, size, from;
    const char              *ahead;
    const infer_qproduct_t  *p = s->product;

    if (last < r->last) {
        ahead = (const char *) tile->panels
                + (last - panel) * s->packed.step;
        first = row - r->row;
        rows = r->end - r->row;
        size = (min_size(last + s->stretch, r->last) - last)
               * s->packed.step;

    } else {
        ahead = p->call->ahead;
        first = row;
        rows = p->rows;
        size = min_size(p->call->ahead_size, AHEAD_BYTES);
    }

    from = size * first / rows;

    tile->ahead = ahead + from;
    tile->ahead_size = size * (first + tile->rows) / rows - from;
}


static void
run_tile(const split_t *s, const region_t *r, size_t row, size_t panel,
    size_t last)
{
    size_t                   vector, at, size;
    infer_end_t              end = s->end;
    infer_tile_u8_t          tile;
    unsigned char           *c;
    const infer_qproduct_t  *p = s->product;

    vector = r->group * s->packed.vector + panel * PANEL;
    at = row * end.ldc + r->group * p->n + panel * PANEL;
    size = infer_dtype_size((infer_dtype_t) p->end->dtype);
    c = (unsigned char *) p->call->out[0]->data + at * size;

    tile.a = r->a + (row - r->row) * r->lda;
    tile.lda = r->lda;
    tile.rows = min_size(s->block, r->end - row);
    tile.k = infer_qproduct_k(p->k, p->run);
    tile.run = padded(p->run);
    tile.run_step = p->run_step;
    tile.n = min_size(p->n, last * PANEL) - panel * PANEL;
    tile.panels = s->packed.panels
                  + (r->group * s->panels + panel) * s->packed.step;
    tile.start = s->packed.start + vector;
    tile.end = &end;
    fetch_ahead(s, r, row, panel, last, &tile);

    end.scale = s->packed.scale + vector;
    end.bias = s->packed.bias + vector;
    end.residual = end.residual != NULL ? end.residual + at : NULL;

    if (p->x_scale != NULL) {
        end.weights = s->packed.weights + vector;
        end.x_scale = p->x_scale + row * p->x_step;
        end.x_zero = p->x_zero + row * p->x_step;
        end.x_step = p->x_step;
    }

    end.c = c;

    if (!s->direct && size == 1) {
        end.c = r->numbers;
        end.ldc = tile.n;
    }

    p->call->kernels->integer->tile_u8(&tile);

    for (size_t i = 0; i < tile.rows && !s->direct; i++) {
        infer_finish(p->call, (infer_dtype_t) p->end->dtype, &p->end->out,
                     &p->end->act, (float *) end.c + i * end.ldc,
                     c + i * s->end.ldc, tile.n);
    }
}
