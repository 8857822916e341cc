/*
 * Making a session: concrete shapes for the batch size, one arena for all
 * activations, and a list of steps with their operands' addresses resolved,
 * so that a run is a walk over calls that are ready.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "plan/plan.h"


/* A tensor at the session's batch size has fewer elements than this. */
#define MAX_ELEMENTS  ((size_t) 1 << 31)

/* Arena and scratch of a session together. */
#define MAX_BYTES     ((size_t) 64 << 30)


static int allocate_tables(infer_session_t *s, infer_error_t *err);
static infer_session_t *create(const infer_model_t *model, size_t batch,
    size_t slots, int observed, const infer_session_t *lender,
    infer_error_t *err);
static int check_batch(const infer_session_t *s, infer_error_t *err);
static int allocate_image(infer_session_t *s, infer_error_t *err);
static int resolve_tensors(infer_session_t *s, infer_error_t *err);
static int plan_arena(infer_session_t *s, infer_error_t *err);
static unsigned char *address(const infer_session_t *s,
    const infer_place_t *place, uint32_t i);
static void count_uses(infer_session_t *s, infer_place_t *place);
static void lives(infer_session_t *s, infer_place_t *place);
static void columns(infer_session_t *s, infer_place_t *place);
static void column(infer_session_t *s, infer_place_t *place, uint32_t x,
    uint32_t y, size_t first);
static void overwrite(const infer_session_t *s, infer_place_t *place);
static uint32_t root_of(const infer_place_t *place, uint32_t i);
static void resolve_steps(infer_session_t *s);
static void look_ahead(infer_session_t *s);
static int allocate_scratch(infer_session_t *s, infer_error_t *err);
static unsigned char *map_memory(infer_session_t *s, size_t size,
    infer_error_t *err);
static const infer_model_value_t *value_at(const infer_session_t *s,
    size_t i);
static int is_alias(const infer_session_t *s, uint32_t i);
static int is_idle(const infer_session_t *s, const infer_place_t *place,
    uint32_t i);
static uint32_t value_read(const infer_session_t *s, uint32_t i, uint32_t k);
static int fail(infer_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


infer_session_t *
infer_session_create(const infer_model_t *model, size_t batch, size_t slots,
    infer_error_t *err)
{
    return create(model, batch, slots, 0, NULL, err);
}


infer_session_t *
infer_session_create_observed(const infer_model_t *model, size_t batch,
    size_t slots, infer_error_t *err)
{
    return create(model, batch, slots, 1, NULL, err);
}


infer_session_t *
infer_session_create_within(infer_session_t *session, size_t batch,
    infer_error_t *err)
{
    return create(session->model, batch, session->slots, 0, session, err);
}


static infer_session_t *
create(const infer_model_t *model, size_t batch, size_t slots, int observed,
    const infer_session_t *lender, infer_error_t *err)
{
    infer_session_t  *s;

    s = calloc(1, sizeof(infer_session_t));
    if (s == NULL) {
        fail(err, "out of memory");
        return NULL;
    }

    s->model = model;
    s->batch = batch;
    s->slots = slots > 0 ? slots : 1;
    s->observed = observed;
    s->lender = lender;
    s->bytes = sizeof(infer_session_t);

    if (check_batch(s, err) != 0
        || allocate_tables(s, err) != 0
        || resolve_tensors(s, err) != 0
        || allocate_image(s, err) != 0)
    {
        infer_session_free(s);
        return NULL;
    }

    resolve_steps(s);

    if (!observed && infer_plan_views(s) != 0) {
        infer_session_free(s);
        fail(err, "out of memory");
        return NULL;
    }

    if (plan_arena(s, err) != 0 || allocate_scratch(s, err) != 0) {
        infer_session_free(s);
        return NULL;
    }

    return s;
}


void
infer_session_free(infer_session_t *s)
{
    if (s == NULL) {
        return;
    }

    if (s->arena != NULL
        && (s->lender == NULL || s->arena != s->lender->arena))
    {
        munmap(s->arena, s->arena_size);
    }

    if (s->scratch != NULL
        && (s->lender == NULL || s->scratch != s->lender->scratch))
    {
        munmap(s->scratch, s->scratch_size * s->slots);
    }

    free(s->tensor);
    free(s->step);
    free(s->view);
    free(s->op);
    free(s->in);
    free(s->out);
    free(s->scores);
    free(s->image);
    free(s->profile);
    free(s);
}


size_t
infer_session_bytes(const infer_session_t *s)
{
    return s->bytes;
}


/* A model that does not follow the batch runs as its file fixes it. */
static int
check_batch(const infer_session_t *s, infer_error_t *err)
{
    infer_port_t  port;

    if (s->batch == 0 || s->batch > 65536) {
        return fail(err, "a batch of %zu is not possible", s->batch);
    }

    if (s->model->follows_batch || s->batch == 1) {
        return 0;
    }

    if (s->model->n_inputs > 0) {
        infer_model_input(s->model, 0, &port);

        if (port.rank > 0 && port.dim[0] == (int64_t) s->batch) {
            return 0;
        }
    }

    return fail(err, "the model's batch size is fixed, it cannot run a batch "
                "of %zu", s->batch);
}


static int
allocate_tables(infer_session_t *s, infer_error_t *err)
{
    size_t                     n;
    const infer_model_t       *m;
    const infer_model_node_t  *last;

    m = s->model;
    n = 0;

    if (m->n_nodes > 0) {
        last = infer_plan_node(s, m->n_nodes - 1);
        n = (size_t) last->operand + last->n_in + last->n_out;
    }

    s->tensor = calloc(m->n_values + 1, sizeof(*s->tensor));
    s->step = calloc(m->n_nodes + 1, sizeof(*s->step));
    s->op = calloc(m->n_nodes + 1, sizeof(*s->op));
    s->profile = calloc(m->n_nodes + 1, sizeof(*s->profile));
    s->in = calloc(n + 1, sizeof(*s->in));
    s->out = calloc(n + 1, sizeof(*s->out));
    s->scores = calloc(infer_model_classes(m) + 1, sizeof(float));

    if (s->tensor == NULL || s->step == NULL || s->op == NULL
        || s->profile == NULL || s->in == NULL || s->out == NULL
        || s->scores == NULL)
    {
        return fail(err, "out of memory");
    }

    s->bytes += m->n_values * sizeof(*s->tensor)
                + m->n_nodes * (sizeof(*s->step) + sizeof(*s->op)
                                + sizeof(*s->profile))
                + 2 * n * sizeof(void *)
                + infer_model_classes(m) * sizeof(float);

    return 0;
}


static int
resolve_tensors(infer_session_t *s, infer_error_t *err)
{
    size_t                      n;
    int64_t                     dim;
    infer_tensor_t             *t;
    const infer_model_value_t  *v;

    v = infer_model_at(s->model, s->model->values);

    for (uint32_t i = 0; i < s->model->n_values; i++, v++) {
        t = &s->tensor[i];
        t->dtype = (infer_dtype_t) v->dtype;
        t->rank = v->rank;
        n = 1;

        for (int d = 0; d < v->rank; d++) {
            if (__builtin_mul_overflow(v->dim[d].batch, s->batch, &dim)
                || __builtin_add_overflow(v->dim[d].base, dim, &dim)
                || dim < 0
                || __builtin_mul_overflow(n, (size_t) dim, &n)
                || n >= MAX_ELEMENTS)
            {
                return fail(err, "a tensor is too large at a batch of %zu",
                            s->batch);
            }

            t->dim[d] = dim;
        }

        if (v->data != 0 && v->data != INFER_MODEL_PACKED) {
            t->data = (void *) infer_model_at(s->model, v->data);
        }
    }

    return 0;
}


/*
 * Rank 4 inputs are stored as the transpose to channels-last of what the file
 * declares.  Where that is channels-last already, the image is made aside.
 */
static int
allocate_image(infer_session_t *s, infer_error_t *err)
{
    size_t                     size;
    const infer_tensor_t      *t;
    const infer_model_port_t  *port;

    port = infer_model_at(s->model, s->model->inputs);

    if (s->model->n_inputs != 1 || !port->nchw || port->dim[1] == 1
        || port->dim[1] == 3 || (port->dim[3] != 1 && port->dim[3] != 3))
    {
        return 0;
    }

    t = &s->tensor[port->value];
    size = (size_t) (t->dim[1] * t->dim[2] * t->dim[3]) * sizeof(float);

    s->image = malloc(size);
    if (s->image == NULL) {
        return fail(err, "out of memory");
    }

    s->bytes += size;

    return 0;
}


static int
plan_arena(infer_session_t *s, infer_error_t *err)
{
    size_t          size;
    infer_place_t  *place;

    place = calloc(s->model->n_values + 1, sizeof(*place));
    if (place == NULL) {
        return fail(err, "out of memory");
    }

    lives(s, place);

    if (!s->observed) {
        columns(s, place);
    }

    overwrite(s, place);

    size = infer_plan_arena(place, s->model->n_values);

    if (size == SIZE_MAX || size > MAX_BYTES) {
        free(place);
        return fail(err, "the model needs too much memory at a batch of %zu",
                    s->batch);
    }

    /* Never empty: a tensor without elements has an address too. */
    s->arena_size = size + INFER_MODEL_ALIGN;
    s->arena = s->lender != NULL && s->lender->arena_size >= s->arena_size
               ? s->lender->arena : map_memory(s, s->arena_size, err);

    if (s->arena == NULL) {
        free(place);
        return -1;
    }

    for (uint32_t i = 0; i < s->model->n_values; i++) {
        if (value_at(s, i)->data == 0) {
            s->tensor[i].data = address(s, place, i);
        }
    }

    free(place);

    return 0;
}


static unsigned char *
address(const infer_session_t *s, const infer_place_t *place, uint32_t i)
{
    size_t          column = 0;
    unsigned char  *data;

    while (place[i].root != i) {
        column += place[i].column;
        i = place[i].root;
    }

    data = s->tensor[i].data;

    return (data != NULL ? data : s->arena + place[i].offset) + column;
}


/*
 * From which step to which each tensor is needed.  Graph inputs and outputs
 * live through the whole run: a session may be run again on the same input.
 * A reshape has the memory of what it reshapes.  A node whose results are only
 * looked through has nothing to do.
 */
static void
lives(infer_session_t *s, infer_place_t *place)
{
    uint32_t                   n, v, root;
    const uint32_t            *operand;
    const infer_model_t       *m;
    const infer_model_node_t  *node;
    const infer_model_port_t  *port;

    m = s->model;
    n = m->n_nodes;

    for (uint32_t i = 0; i < m->n_values; i++) {
        place[i].root = i;
        place[i].size = (infer_numel(&s->tensor[i])
                         * infer_dtype_size(s->tensor[i].dtype)
                         + INFER_MODEL_ALIGN - 1)
                        / INFER_MODEL_ALIGN * INFER_MODEL_ALIGN;
        place[i].placed = value_at(s, i)->data == 0;
    }

    count_uses(s, place);

    for (uint32_t i = 0; i < n; i++) {
        node = infer_plan_node(s, i);
        operand = infer_plan_operands(s, node);

        for (uint32_t k = 0; k < node->n_in; k++) {
            v = value_read(s, i, k);

            if (v != INFER_MODEL_NONE && !is_idle(s, place, i)) {
                place[place[v].root].last = i;
            }
        }

        for (uint32_t k = 0; k < node->n_out; k++) {
            v = operand[node->n_in + k];
            place[v].first = i;
            place[v].last = i;

            if (is_idle(s, place, i)) {
                place[v].placed = 0;

            } else if (is_alias(s, i)) {
                root = place[operand[0]].root;
                place[v].root = root;
                place[v].placed = 0;
            }
        }
    }

    port = infer_model_at(m, m->inputs);

    for (uint32_t i = 0; i < m->n_inputs; i++) {
        place[port[i].value].first = 0;
        place[port[i].value].last = n;
    }

    port = infer_model_at(m, m->outputs);

    for (uint32_t i = 0; i < m->n_outputs; i++) {
        place[place[port[i].value].root].last = n;
    }
}


/* By nodes that have something to do, from the last to the first. */
static void
count_uses(infer_session_t *s, infer_place_t *place)
{
    uint32_t                   v;
    const infer_model_port_t  *port;

    port = infer_model_at(s->model, s->model->outputs);

    for (uint32_t i = 0; i < s->model->n_outputs; i++) {
        place[port[i].value].uses++;
    }

    for (uint32_t i = s->model->n_nodes; i-- > 0; /* void */) {
        if (is_idle(s, place, i)) {
            s->op[i] = NULL;
            continue;
        }

        for (uint32_t k = 0; k < (uint32_t) s->step[i].n_in; k++) {
            v = value_read(s, i, k);

            if (v != INFER_MODEL_NONE) {
                place[v].uses++;
            }
        }
    }
}


/* Whether nobody reads what node i moves. */
static int
is_idle(const infer_session_t *s, const infer_place_t *place, uint32_t i)
{
    const infer_model_node_t  *node = infer_plan_node(s, i);

    return !s->observed && infer_plan_moves(node)
           && place[infer_plan_operands(s, node)[node->n_in]].uses == 0;
}


/* Whether node i leaves its operand's elements in their order. */
static int
is_alias(const infer_session_t *s, uint32_t i)
{
    int                        last = -1, perm;
    const infer_tensor_t      *y;
    const infer_model_node_t  *node = infer_plan_node(s, i);

    if (node->op != INFER_OP_TRANSPOSE) {
        return node->op == INFER_OP_RESHAPE;
    }

    y = &s->tensor[infer_plan_operands(s, node)[node->n_in]];

    for (int d = 0; d < y->rank; d++) {
        perm = node->param.transpose.perm[d];

        if (y->dim[d] != 1) {
            if (perm < last) {
                return 0;
            }

            last = perm;
        }
    }

    return 1;
}


/* The value whose memory is operand k of node i; NONE: left out, packed. */
static uint32_t
value_read(const infer_session_t *s, uint32_t i, uint32_t k)
{
    const infer_strided_t  *view = s->step[i].view;

    return view != NULL ? (uint32_t) (view[k].base - s->tensor)
                        : infer_plan_operands(s, infer_plan_node(s, i))[k];
}


/*
 * What a concat joins along the last dimension is computed where it belongs:
 * as some columns of the result.  The last concat comes first, since its
 * operands may be results of others.
 */
static void
columns(infer_session_t *s, infer_place_t *place)
{
    size_t                     first;
    const uint32_t            *operand;
    const infer_tensor_t      *x, *y;
    const infer_model_node_t  *node;

    for (uint32_t i = s->model->n_nodes; i > 0; i--) {
        node = infer_plan_node(s, i - 1);
        operand = infer_plan_operands(s, node);
        y = s->step[i - 1].out[0];
        first = 0;

        if (node->op != INFER_OP_CONCAT
            || node->param.axis.axis != y->rank - 1)
        {
            continue;
        }

        for (uint32_t k = 0; k < node->n_in; k++) {
            x = &s->tensor[operand[k]];

            if (infer_numel(x) != 0) {
                column(s, place, operand[k], operand[node->n_in], first);
            }

            first += (size_t) x->dim[x->rank - 1]
                     * infer_dtype_size(x->dtype);
        }
    }
}


/* If it can be done: x becomes y's columns from byte `first` of a row on. */
static void
column(infer_session_t *s, infer_place_t *place, uint32_t x, uint32_t y,
    size_t first)
{
    uint32_t               root;
    infer_call_t          *call = &s->step[place[x].first];
    const infer_op_t      *op = s->op[place[x].first];
    const infer_tensor_t  *t;

    if (!place[x].placed || place[x].uses != 1 || op == NULL
        || op->strided == NULL || call->out[0] != &s->tensor[x]
        || !op->strided(call))
    {
        return;
    }

    root = root_of(place, y);
    t = &s->tensor[root];

    call->ld = (size_t) t->dim[t->rank - 1];
    place[x].root = y;
    place[x].column = first;
    place[x].placed = 0;

    if (place[root].first > place[x].first) {
        place[root].first = place[x].first;
    }
}


/*
 * An elementwise operator writes its result over an operand of the same size
 * that nobody needs after it.
 */
static void
overwrite(const infer_session_t *s, infer_place_t *place)
{
    uint32_t                   root, result;
    const uint32_t            *operand;
    const infer_tensor_t      *x, *y;
    const infer_model_node_t  *node;

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        node = infer_plan_node(s, i);
        operand = infer_plan_operands(s, node);

        if (node->op != INFER_OP_UNARY && node->op != INFER_OP_BINARY) {
            continue;
        }

        result = operand[node->n_in];
        y = &s->tensor[result];

        for (uint32_t k = 0; k < node->n_in; k++) {
            x = &s->tensor[operand[k]];
            root = root_of(place, operand[k]);

            if (place[root].placed && place[root].last == i
                && x->dtype == y->dtype && infer_numel(x) == infer_numel(y)
                && place[root].size == place[result].size)
            {
                place[result].placed = 0;
                place[result].root = root;
                place[root].last = place[result].last;
                break;
            }
        }
    }
}


static uint32_t
root_of(const infer_place_t *place, uint32_t i)
{
    while (place[i].root != i) {
        i = place[i].root;
    }

    return i;
}


static void
resolve_steps(infer_session_t *s)
{
    infer_call_t              *call;
    const uint32_t            *operand;
    const infer_kernels_t     *kernels;
    const infer_model_node_t  *node;

    kernels = infer_kernels();

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        node = infer_plan_node(s, i);
        operand = infer_plan_operands(s, node);
        call = &s->step[i];

        s->op[i] = is_alias(s, i) ? NULL : infer_op_table[node->op];

        call->param = &node->param;
        call->kernels = kernels;
        call->n_in = (int) node->n_in;
        call->n_out = (int) node->n_out;
        call->in = s->in + node->operand;
        call->out = s->out + node->operand;
        call->packed = node->packed != 0
                       ? infer_model_at(s->model, node->packed) : NULL;

        for (uint32_t k = 0; k < node->n_in; k++) {
            call->in[k] = operand[k] == INFER_MODEL_NONE
                          || infer_op_packs(infer_op_table[node->op], (int) k)
                          ? NULL : &s->tensor[operand[k]];
        }

        for (uint32_t k = 0; k < node->n_out; k++) {
            call->out[k] = &s->tensor[operand[node->n_in + k]];
        }
    }

    look_ahead(s);
}


static void
look_ahead(infer_session_t *s)
{
    size_t                     size = 0;
    const void                *packed = NULL;
    const infer_model_node_t  *node;

    for (uint32_t i = s->model->n_nodes; i-- > 0; ) {
        node = infer_plan_node(s, i);

        s->step[i].ahead = packed;
        s->step[i].ahead_size = size;

        if (node->packed != 0) {
            packed = s->step[i].packed;
            size = (size_t) (s->model->size - node->packed);
        }
    }
}


/* One scratch area for each slot, as large as the hungriest step asks. */
static int
allocate_scratch(infer_session_t *s, infer_error_t *err)
{
    size_t  size;

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        if (s->op[i] == NULL || s->op[i]->scratch == NULL) {
            continue;
        }

        size = s->op[i]->scratch(&s->step[i]);

        if (size > MAX_BYTES / s->slots) {
            return fail(err, "the model needs too much memory at a batch of "
                        "%zu", s->batch);
        }

        size = (size + INFER_MODEL_ALIGN - 1) / INFER_MODEL_ALIGN
               * INFER_MODEL_ALIGN;
        s->scratch_size = size > s->scratch_size ? size : s->scratch_size;
    }

    if (s->scratch_size == 0) {
        return 0;
    }

    s->scratch = s->lender != NULL
                 && s->lender->scratch_size >= s->scratch_size
                 ? s->lender->scratch
                 : map_memory(s, s->scratch_size * s->slots, err);
    if (s->scratch == NULL) {
        return -1;
    }

    for (uint32_t i = 0; i < s->model->n_nodes; i++) {
        s->step[i].scratch = s->scratch;
        s->step[i].scratch_size = s->scratch_size;
    }

    return 0;
}


static unsigned char *
map_memory(infer_session_t *s, size_t size, infer_error_t *err)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);

    if (p == MAP_FAILED) {
        fail(err, "out of memory: %zu bytes for a session", size);
        return NULL;
    }

    s->bytes += size;

    /* A wish: the walk over activations misses the TLB on small pages. */
    (void) madvise(p, size, MADV_HUGEPAGE);

    return p;
}


static const infer_model_value_t *
value_at(const infer_session_t *s, size_t i)
{
    return (const infer_model_value_t *)
           infer_model_at(s->model, s->model->values) + i;
}


static int
fail(infer_error_t *err, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);

    return -1;
}
