/*
 * The product driver: packs weights into panels, and runs tiles over blocks
 * of rows.  A task is some blocks of rows times some panels.  Its rows are
 * gathered into scratch once, unless they can be read where they are; they are
 * few while the weights fit the second cache, and many beyond that, since each
 * task reads all weights; a long K is cut into passes, between which the sums
 * lie in the result.
 *
 * Each result is one chain of products, whatever the split.
 */

#include <string.h>

#include "ops/product.h"
#include "ops/sparse.h"


#define PANEL          INFER_PANEL

/* Sizes for a second cache of 1 MB or more, half of it for weights. */
#define WEIGHTS_BYTES  ((size_t) 512 << 10)
#define GATHER_BYTES   ((size_t) 128 << 10)
#define SHARED_BYTES   ((size_t) 1 << 20)      /* beside more weights */

/* A K beyond DEEP is cut, that the weights of a register tile stay in the
   second cache for all rows. */
#define DEEP           1536
#define DEPTH          1024

/* Multiply-accumulates below which a task is not worth handing out. */
#define SMALL_TASK     ((size_t) 128 << 10)

/* Rows this many floats apart share a set of the first cache. */
#define CACHE_WAY      1024

/* Weights read since pages of the file were last given back. */
#define FORGET         ((size_t) 1 << 17)


typedef struct {
    const infer_product_t  *product;
    const infer_call_t     *call;
    size_t                  panels;      /* of a group */
    size_t                  block;       /* rows that go together */
    size_t                  blocks;      /* of them */
    size_t                  shared;      /* blocks of a task */
    size_t                  ld;          /* of gathered rows; 0: in place */
    size_t                  depth;       /* of K at a time */
    size_t                  row_tasks;
    size_t                  column_tasks;
} split_t;

/* Rows row .. end - 1 of a group, from `a` on; panels panel .. last - 1. */
typedef struct {
    const float            *a;
    size_t                  group;
    size_t                  row;
    size_t                  end;
    size_t                  panel;
    size_t                  last;
} region_t;


static int check_vector(infer_graph_t *g, const infer_node_t *node, int i,
    infer_dim_t n);
static int check_residual(infer_graph_t *g, const infer_node_t *node);
static void load(float *dst, const void *src, size_t first, size_t n);
static void split_rows(split_t *s, const infer_call_t *call,
    const infer_product_t *p);
static void split_tasks(split_t *s);
static int prefers_rows(const split_t *s, size_t slots);
static void run_task(void *arg, size_t i, size_t slot);
static size_t first_panel(const split_t *s, size_t column);
static void run_tiles(const split_t *s, infer_tile_f32_t *tile,
    const region_t *r);
static void run_sparse(const split_t *s, const infer_tile_f32_t *tile,
    const region_t *r);


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


/* ---- the shape rule --------------------------------------------------- */

int
infer_product_check(infer_graph_t *g, const infer_node_t *node,
    const infer_unary_t *act)
{
    infer_dim_t           n;
    const infer_value_t  *out = node->out[0];

    n = out->dim[out->rank - 1];

    if (act->kind < 0 || act->kind >= INFER_NOT) {
        return infer_node_fail(g, node, "unknown activation %d",
                               (int) act->kind);
    }

    if (check_vector(g, node, INFER_IN_BIAS, n) != 0
        || check_vector(g, node, INFER_IN_SCALE, n) != 0)
    {
        return -1;
    }

    return check_residual(g, node);
}


static int
check_vector(infer_graph_t *g, const infer_node_t *node, int i, infer_dim_t n)
{
    const char           *what = i == INFER_IN_BIAS ? "bias" : "scale";
    const infer_value_t  *v;

    if (i >= node->n_in || node->in[i] == NULL) {
        return 0;
    }

    v = node->in[i];

    if (!infer_value_is_constant(v)) {
        return infer_node_fail(g, node, "the %s is not constant", what);
    }

    if (v->dtype != INFER_F32 || v->rank != 1
        || !infer_dim_equal(v->dim[0], n))
    {
        return infer_node_fail(g, node, "the %s must be %lld floats", what,
                               (long long) n.base);
    }

    return 0;
}


static int
check_residual(infer_graph_t *g, const infer_node_t *node)
{
    const infer_value_t  *r, *out = node->out[0];

    if (INFER_IN_RESIDUAL >= node->n_in
        || node->in[INFER_IN_RESIDUAL] == NULL)
    {
        return 0;
    }

    r = node->in[INFER_IN_RESIDUAL];

    if (r->dtype != INFER_F32 || r->rank != out->rank) {
        return infer_node_fail(g, node, "the residual has another type or "
                               "rank than the result");
    }

    for (int i = 0; i < r->rank; i++) {
        if (!infer_dim_equal(r->dim[i], out->dim[i])) {
            return infer_node_fail(g, node, "the residual has another shape "
                                   "than the result");
        }
    }

    return 0;
}


int
infer_product_check_weights(infer_graph_t *g, const infer_node_t *node)
{
    infer_dim_t           n;
    const infer_value_t  *w = node->in[INFER_IN_WEIGHTS];

    if (!infer_value_is_constant(w)) {
        return infer_node_fail(g, node, "the weights are not constant");
    }

    if (node->in[INFER_IN_X]->dtype != INFER_F32 || w->dtype != INFER_F32) {
        return infer_node_fail(g, node, "input %s and weights %s: only "
                               "float32 is supported",
                               infer_dtype_name(node->in[INFER_IN_X]->dtype),
                               infer_dtype_name(w->dtype));
    }

    if (infer_value_numel(w, &n) != 0 || n.batch != 0 || n.base < 1
        || n.base > INT32_MAX)
    {
        return infer_node_fail(g, node, "the weights have no elements, or "
                               "too many");
    }

    return 0;
}


/* ---- packing ---------------------------------------------------------- */

size_t
infer_product_pack_size(const infer_weights_t *w)
{
    /* a panel and its bias; in bounds: see infer_product_check_weights */
    return w->groups * ceil_div(w->n, PANEL) * PANEL
           * (w->c * w->taps + 1) * sizeof(float);
}


void
infer_product_pack(const infer_node_t *node, const infer_weights_t *w,
    void *dst)
{
    float   *panel = dst, *bias;
    size_t   step = w->c * PANEL, first, lanes, forgotten = 0;

    bias = panel + w->groups * ceil_div(w->n, PANEL) * step * w->taps;

    for (size_t g = 0; g < w->groups; g++) {
        for (size_t n = 0; n < w->n; n += PANEL) {
            first = g * w->n + n;
            lanes = min_size(w->n - n, PANEL);

            infer_product_pack_panel(node, w, first, lanes, panel, step,
                                     bias);

            panel += step * w->taps;
            bias += PANEL;

            /* Weights that lie in the order of the panels, as they mostly
               do, are not needed again. */
            if (w->channel >= w->c * w->taps
                && (first + lanes - forgotten) * w->channel > FORGET)
            {
                infer_value_forget(node->in[INFER_IN_WEIGHTS],
                                   forgotten * w->channel * sizeof(float),
                                   (first + lanes) * w->channel
                                   * sizeof(float));
                forgotten = first + lanes;
            }
        }
    }
}


void
infer_product_pack_panel(const infer_node_t *node, const infer_weights_t *w,
    size_t first, size_t lanes, float *dst, size_t step, float *bias)
{
    float  scale[PANEL];

    infer_product_pack_vectors(node, first, lanes, scale, bias);

    for (size_t c = 0; c < w->c; c++) {
        for (size_t tap = 0; tap < w->taps; tap++) {
            infer_product_pack_row(w, first * w->channel + c * w->depth
                                      + tap * w->tap_step,
                                   lanes, scale, dst + tap * step + c * PANEL);
        }
    }
}


void
infer_product_pack_vectors(const infer_node_t *node, size_t first,
    size_t lanes, float *scale, float *bias)
{
    const void *vector[INFER_IN_SCALE + 1] = { 0 };

    for (int i = INFER_IN_BIAS; i <= INFER_IN_SCALE; i++) {
        if (i < node->n_in && node->in[i] != NULL) {
            vector[i] = node->in[i]->data;
        }
    }

    for (size_t i = 0; i < PANEL; i++) {
        scale[i] = 1;
        bias[i] = 0;
    }

    if (vector[INFER_IN_SCALE] != NULL) {
        load(scale, vector[INFER_IN_SCALE], first, lanes);
    }

    if (vector[INFER_IN_BIAS] != NULL) {
        load(bias, vector[INFER_IN_BIAS], first, lanes);
    }
}


void
infer_product_pack_row(const infer_weights_t *w, size_t weight, size_t lanes,
    const float *scale, float *row)
{
    float  x;

    for (size_t i = 0; i < PANEL; i++) {
        x = 0;

        if (i < lanes) {
            load(&x, w->data, weight + i * w->channel, 1);
            x *= scale[i];
        }

        row[i] = x;
    }
}


/* Constants are read from the file as it is mapped: not aligned. */
static void
load(float *dst, const void *src, size_t first, size_t n)
{
    memcpy(dst, (const unsigned char *) src + first * sizeof(float),
           n * sizeof(float));
}


/* ---- running ---------------------------------------------------------- */

const float *
infer_product_residual(const infer_call_t *call)
{
    const infer_tensor_t  *residual = NULL;

    if (call->n_in > INFER_IN_RESIDUAL) {
        residual = call->in[INFER_IN_RESIDUAL];
    }

    return residual != NULL ? residual->data : NULL;
}


int
infer_product_strided(const infer_call_t *call)
{
    return call->n_in <= INFER_IN_RESIDUAL
           || call->in[INFER_IN_RESIDUAL] == NULL;
}


size_t
infer_product_scratch(const infer_call_t *call, const infer_product_t *p)
{
    split_t  s;

    split_rows(&s, call, p);

    return s.shared * s.block * s.ld * sizeof(float);
}


void
infer_product_run(const infer_call_t *call, const infer_product_t *p)
{
    split_t  s;

    if (p->rows == 0) {
        return;
    }

    split_rows(&s, call, p);
    split_tasks(&s);

    infer_parallel_for(call, run_task, &s,
                       p->groups * s.row_tasks * s.column_tasks);
}


/* What does not depend on how many threads there are. */
static void
split_rows(split_t *s, const infer_call_t *call, const infer_product_t *p)
{
    size_t  bytes, weights;

    s->call = call;
    s->product = p;
    s->panels = ceil_div(p->n, PANEL);
    s->blocks = ceil_div(p->rows, call->kernels->tile_rows);
    s->block = s->blocks > 0 ? ceil_div(p->rows, s->blocks) : 0;
    s->shared = 1;
    s->ld = 0;
    s->depth = p->k;

    if (p->gather != NULL) {
        s->ld = ceil_div(p->k, 16) * 16;
        s->ld += s->ld % CACHE_WAY == 0 ? 16 : 0;
    }

    if (s->blocks == 0) {
        return;
    }

    weights = s->panels * PANEL * p->k * sizeof(float);
    bytes = s->block * (s->ld ? s->ld : p->k) * sizeof(float);

    s->shared = (weights > WEIGHTS_BYTES ? SHARED_BYTES : GATHER_BYTES)
                / bytes;
    s->shared = min_size(s->shared, s->blocks);
    s->shared += s->shared == 0;

    if (s->shared > 1 && p->k > DEEP && !p->sparse.used) {
        s->depth = ceil_div(p->k, ceil_div(p->k, DEPTH));
    }
}


static void
split_tasks(split_t *s)
{
    size_t                  slots, tasks, work;
    const infer_product_t  *p = s->product;

    slots = s->call->parallel != NULL ? s->call->parallel->slots : 1;

    s->row_tasks = ceil_div(s->blocks, s->shared);
    s->column_tasks = 1;

    if (slots == 1) {
        return;
    }

    /*
     * Two tasks for each thread, by rows, then by columns; but only one where
     * each task must gather the same rows again.
     */
    work = p->rows * p->k * s->panels * PANEL;
    tasks = ceil_div(2 * slots, p->groups);
    tasks = min_size(tasks, ceil_div(work, SMALL_TASK));

    if (s->row_tasks > 1 || prefers_rows(s, slots)) {
        tasks = tasks < s->row_tasks ? s->row_tasks : tasks;
        tasks = tasks > 1 ? ceil_div(tasks, slots) * slots : 1;
        s->row_tasks = min_size(tasks, s->blocks);
    }

    tasks = s->ld != 0 ? ceil_div(tasks, 2) : tasks;

    s->column_tasks = min_size(ceil_div(tasks, s->row_tasks),
                               ceil_div(s->panels, 2));
}


/*
 * Rows, unless there are too many weights for each thread to read them all,
 * and columns divide about as evenly.
 */
static int
prefers_rows(const split_t *s, size_t slots)
{
    size_t  rows, pairs, columns;

    if (s->panels * PANEL * s->product->k * sizeof(float) <= WEIGHTS_BYTES) {
        return 1;
    }

    pairs = ceil_div(s->panels, 2);
    rows = ceil_div(s->blocks, slots) * pairs;
    columns = s->blocks * ceil_div(pairs, slots);

    return rows + rows / 8 < columns;
}


static void
run_task(void *arg, size_t i, size_t slot)
{
    split_t                *s = arg;
    size_t                  column, rows;
    float                  *scratch;
    region_t                r;
    infer_tile_f32_t        tile;
    const infer_product_t  *p = s->product;

    /* neighbouring tasks read the same rows */
    column = i % s->column_tasks;
    i /= s->column_tasks;
    r.group = i % p->groups;
    i /= p->groups;
    r.row = infer_task_first(s->blocks, s->row_tasks, i) * s->block;
    r.end = infer_task_first(s->blocks, s->row_tasks, i + 1) * s->block;
    r.end = min_size(r.end, p->rows);
    r.panel = first_panel(s, column);
    r.last = first_panel(s, column + 1);

    rows = r.end - r.row;

    if (s->ld == 0) {
        r.a = p->a + r.row * p->lda + r.group * p->k;
        tile.lda = p->lda;

    } else {
        scratch = infer_scratch(s->call, slot);
        p->gather(p, r.group, r.row, rows, scratch, s->ld);
        r.a = scratch;
        tile.lda = s->ld;
    }

    tile.run_step = 0;
    tile.panel_step = p->k * PANEL;
    tile.ldc = p->ldc;
    tile.ldr = tile.ldc;

    if (p->sparse.used) {
        run_sparse(s, &tile, &r);
    } else {
        run_tiles(s, &tile, &r);
    }
}


/* Tasks have an even number of panels, but the last. */
static size_t
first_panel(const split_t *s, size_t column)
{
    return min_size(s->panels, 2 * infer_task_first(ceil_div(s->panels, 2),
                                                    s->column_tasks, column));
}


/* Pass by pass over k; the residual is added after the last. */
static void
run_tiles(const split_t *s, infer_tile_f32_t *tile, const region_t *r)
{
    int                         last;
    size_t                      offset;
    const float                *panels, *bias;
    const infer_product_t      *p = s->product;
    static const infer_unary_t  none = { INFER_NONE, 0, 0 };

    panels = p->packed + (r->group * s->panels + r->panel) * PANEL * p->k;
    bias = p->packed + s->panels * PANEL * (p->groups * p->k + r->group);
    offset = r->row * tile->ldc + r->group * p->n + r->panel * PANEL;

    tile->rows = r->end - r->row;
    tile->n = min_size(p->n, r->last * PANEL) - r->panel * PANEL;
    tile->bias = bias + r->panel * PANEL;
    tile->c = p->c + offset;

    for (size_t k = 0; k < p->k; k += s->depth) {
        last = k + s->depth >= p->k;

        tile->a = r->a + k;
        tile->k = min_size(s->depth, p->k - k);
        tile->run = tile->k;
        tile->panels = panels + k * PANEL;
        tile->resume = k > 0;
        tile->residual = last && p->residual != NULL ? p->residual + offset
                                                     : NULL;
        tile->act = last ? p->act : &none;

        /* what the next pass begins with, or the next task */
        tile->next = last ? panels : tile->panels + tile->k * PANEL;

        s->call->kernels->tile_f32(tile);
    }
}


/* All of k at once, over the same outputs. */
static void
run_sparse(const split_t *s, const infer_tile_f32_t *tile, const region_t *r)
{
    size_t                  offset;
    infer_sparse_f32_t      t;
    infer_sparse_packed_t   w;
    const infer_product_t  *p = s->product;

    w = infer_sparse_packed(p->packed, p->groups * s->panels, &p->sparse);
    offset = r->row * tile->ldc + r->group * p->n + r->panel * PANEL;

    t.a = r->a;
    t.lda = tile->lda;
    t.rows = r->end - r->row;
    t.start = w.start + r->group * s->panels + r->panel;
    t.index = w.index;
    t.blocks = w.blocks;
    t.n = min_size(p->n, r->last * PANEL) - r->panel * PANEL;
    t.bias = w.bias + (r->group * s->panels + r->panel) * PANEL;
    t.residual = p->residual != NULL ? p->residual + offset : NULL;
    t.ldr = tile->ldr;
    t.c = p->c + offset;
    t.ldc = tile->ldc;
    t.act = p->act;

    s->call->kernels->sparse_f32(&t);
}
