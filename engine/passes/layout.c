/*
 * The layout pass.  Importers of channels-first formats wrap every spatial
 * operator in a pair of transposes.  This pass rebuilds the graph in one walk
 * and emits no transpose when it meets one: it notes for each old value the
 * new value that holds its elements and the permutation between the two, and
 * lets the permutation travel through operators that do not mind (elementwise,
 * concat, reductions, reshapes that keep dimensions whole).  Only an operator
 * that does mind makes it real; a permutation that has met its inverse by
 * then is none.
 *
 * Notation: view (v, perm) of an old value u means u = transpose(v, perm),
 * dimension i of u is dimension perm[i] of v.
 */

#include <string.h>

#include "ops/op.h"
#include "passes/passes.h"
#include "passes/segments.h"


typedef struct infer_made_s  infer_made_t;

/* A transposed copy that was emitted before. */
struct infer_made_s {
    infer_made_t   *next;
    int32_t         perm[INFER_MAX_RANK];
    infer_value_t  *value;
};

typedef struct {
    infer_value_t  *value;
    int32_t         perm[INFER_MAX_RANK];
} infer_view_t;

typedef struct {
    infer_graph_t  *g;
    infer_view_t   *view;          /* by id of the old value */
    infer_made_t  **made;          /* by id of the new value, made_space */
    size_t          made_space;
} infer_layout_t;

typedef int (*infer_layout_pt)(infer_layout_t *l, const infer_node_t *node);


static int relay_plain(infer_layout_t *l, const infer_node_t *node);
static int relay_transpose(infer_layout_t *l, const infer_node_t *node);
static int relay_same(infer_layout_t *l, const infer_node_t *node);
static int relay_broadcast(infer_layout_t *l, const infer_node_t *node);
static int relay_concat(infer_layout_t *l, const infer_node_t *node);
static int relay_rowwise(infer_layout_t *l, const infer_node_t *node);
static int relay_reduce(infer_layout_t *l, const infer_node_t *node);
static int relay_gather(infer_layout_t *l, const infer_node_t *node);
static int relay_params(infer_layout_t *l, const infer_node_t *node);
static int relay_reshape(infer_layout_t *l, const infer_node_t *node);
static int relay_quantize(infer_layout_t *l, const infer_node_t *node);
static int emit_viewed(infer_layout_t *l, const infer_node_t *node,
    const infer_param_t *param, infer_value_t *const *in,
    const int32_t *perm);
static infer_value_t *materialise(infer_layout_t *l, infer_view_t *view);
static infer_value_t *transpose(infer_layout_t *l, infer_value_t *v,
    const int32_t *perm);
static infer_value_t *operand_in(infer_layout_t *l, infer_value_t *old,
    const int32_t *perm, int rank);
static int common_perm(infer_layout_t *l, const infer_node_t *node, int rank,
    int32_t *perm);
static int is_identity(const int32_t *perm, int rank);
static void identity(int32_t *perm);


static const infer_layout_pt  relay[INFER_OPS] = {
    [INFER_OP_TRANSPOSE] = relay_transpose,
    [INFER_OP_UNARY] = relay_same,
    [INFER_OP_CAST] = relay_same,
    [INFER_OP_BINARY] = relay_broadcast,
    [INFER_OP_WHERE] = relay_broadcast,
    [INFER_OP_CONCAT] = relay_concat,
    [INFER_OP_FC] = relay_rowwise,
    [INFER_OP_LAYERNORM] = relay_rowwise,
    [INFER_OP_SOFTMAX] = relay_params,
    [INFER_OP_REDUCE] = relay_reduce,
    [INFER_OP_GATHER] = relay_gather,
    [INFER_OP_SLICE] = relay_params,
    [INFER_OP_PAD] = relay_params,
    [INFER_OP_RESIZE] = relay_params,
    [INFER_OP_EXPAND] = relay_params,
    [INFER_OP_RESHAPE] = relay_reshape,
    [INFER_OP_QUANTIZE] = relay_quantize,
    [INFER_OP_DEQUANTIZE] = relay_quantize,
    [INFER_OP_DYNAMIC_QUANTIZE] = relay_quantize,
};


int
infer_pass_layout(infer_graph_t *g)
{
    size_t            n_nodes;
    infer_node_t    **node;
    infer_layout_t    l;
    infer_layout_pt   go;

    l.g = g;
    l.made = NULL;
    l.made_space = 0;
    l.view = infer_graph_alloc(g, g->n_values * sizeof(infer_view_t));
    node = infer_graph_alloc(g, (g->n_nodes + 1) * sizeof(infer_node_t *));

    if (l.view == NULL || node == NULL) {
        return -1;
    }

    for (size_t i = 0; i < g->n_values; i++) {
        l.view[i].value = g->value[i];
        identity(l.view[i].perm);
    }

    if (g->n_nodes > 0) {
        memcpy(node, g->node, g->n_nodes * sizeof(infer_node_t *));
    }

    n_nodes = g->n_nodes;
    g->n_nodes = 0;

    for (size_t i = 0; i < n_nodes; i++) {
        go = relay[node[i]->id] != NULL ? relay[node[i]->id] : relay_plain;

        if (go(&l, node[i]) != 0) {
            return -1;
        }
    }

    for (size_t i = 0; i < g->n_outputs; i++) {
        g->output[i].value = materialise(&l,
                                         &l.view[g->output[i].value->id]);
        if (g->output[i].value == NULL) {
            return -1;
        }
    }

    return 0;
}


/* The general case: operands as they were. */
static int
relay_plain(infer_layout_t *l, const infer_node_t *node)
{
    int32_t          none[INFER_MAX_RANK];
    infer_value_t  **in;

    in = infer_graph_alloc(l->g, (size_t) node->n_in * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] != NULL) {
            in[i] = materialise(l, &l->view[node->in[i]->id]);
            if (in[i] == NULL) {
                return -1;
            }
        }
    }

    identity(none);

    return emit_viewed(l, node, &node->param, in, none);
}


/* Emits node with new operands; each old result is seen through perm. */
static int
emit_viewed(infer_layout_t *l, const infer_node_t *node,
    const infer_param_t *param, infer_value_t *const *in,
    const int32_t *perm)
{
    infer_value_t  **out;

    out = infer_graph_alloc(l->g, (size_t) node->n_out * sizeof(*out));
    if (out == NULL
        || infer_graph_emit(l->g, node->id, param,
                            node->name, in, node->n_in, out, node->n_out)
           != 0)
    {
        return -1;
    }

    for (int i = 0; i < node->n_out; i++) {
        l->view[node->out[i]->id].value = out[i];
        memcpy(l->view[node->out[i]->id].perm, perm,
               sizeof(l->view[0].perm));
    }

    return 0;
}


/* No node at all: out[i] = u[p[i]] = v[perm[p[i]]]. */
static int
relay_transpose(infer_layout_t *l, const infer_node_t *node)
{
    infer_view_t  *in, *out;

    in = &l->view[node->in[0]->id];
    out = &l->view[node->out[0]->id];

    out->value = in->value;

    for (int i = 0; i < node->in[0]->rank; i++) {
        out->perm[i] = in->perm[node->param.transpose.perm[i]];
    }

    return 0;
}


static int
relay_same(infer_layout_t *l, const infer_node_t *node)
{
    infer_view_t  *in;

    in = &l->view[node->in[0]->id];

    return emit_viewed(l, node, &node->param, &in->value, in->perm);
}


static int
relay_broadcast(infer_layout_t *l, const infer_node_t *node)
{
    int             rank;
    int32_t         perm[INFER_MAX_RANK];
    infer_value_t  *in[3];

    rank = node->out[0]->rank;

    if (!common_perm(l, node, rank, perm)) {
        return relay_plain(l, node);
    }

    for (int i = 0; i < node->n_in; i++) {
        in[i] = operand_in(l, node->in[i], perm, rank);
        if (in[i] == NULL) {
            return -1;
        }
    }

    return emit_viewed(l, node, &node->param, in, perm);
}


/*
 * The permutation that all computed operands of full rank share; those of
 * which at most one dimension is not 1 adapt to any at no cost.
 */
static int
common_perm(infer_layout_t *l, const infer_node_t *node, int rank,
    int32_t *perm)
{
    int                   found, wide;
    const infer_view_t   *view;
    const infer_value_t  *v;

    found = 0;

    for (int i = 0; i < node->n_in; i++) {
        v = node->in[i];
        view = &l->view[v->id];
        wide = 0;

        for (int d = 0; d < v->rank; d++) {
            wide += !infer_dim_is(v->dim[d], 1);
        }

        if (v->data != NULL || (wide <= 1 && is_identity(view->perm, rank))) {
            continue;
        }

        if (v->rank != rank) {
            return 0;
        }

        if (!found) {
            memcpy(perm, view->perm, sizeof(view->perm));
            found = 1;

        } else if (memcmp(perm, view->perm, (size_t) rank * sizeof(int32_t))
                   != 0)
        {
            return 0;
        }
    }

    return found && !is_identity(perm, rank);
}


/*
 * The operand such that its transpose by perm is the old one, given leading
 * dimensions of 1 up to rank.
 */
static infer_value_t *
operand_in(infer_layout_t *l, infer_value_t *old, const int32_t *perm,
    int rank)
{
    int             lead;
    int32_t         inverse[INFER_MAX_RANK];
    infer_view_t   *view;
    infer_value_t  *v;
    infer_param_t   param;

    view = &l->view[old->id];

    if (old->rank == rank
        && memcmp(view->perm, perm, (size_t) rank * sizeof(int32_t)) == 0)
    {
        return view->value;
    }

    v = materialise(l, view);
    if (v == NULL || v->rank == 0) {
        return v;
    }

    if (v->rank < rank) {
        memset(&param, 0, sizeof(param));
        lead = rank - v->rank;
        param.shape.rank = rank;

        for (int i = 0; i < rank; i++) {
            param.shape.dim[i] = i < lead ? infer_dim(1) : v->dim[i - lead];
        }

        v = infer_graph_emit1(l->g, INFER_OP_RESHAPE, &param, old->name, &v,
                              1);
        if (v == NULL) {
            return NULL;
        }
    }

    for (int i = 0; i < rank; i++) {
        inverse[perm[i]] = i;
    }

    return transpose(l, v, inverse);
}


static int
relay_concat(infer_layout_t *l, const infer_node_t *node)
{
    int               rank;
    int32_t           perm[INFER_MAX_RANK];
    infer_param_t     param;
    infer_value_t   **in;

    rank = node->out[0]->rank;

    if (!common_perm(l, node, rank, perm)) {
        return relay_plain(l, node);
    }

    in = infer_graph_alloc(l->g, (size_t) node->n_in * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    for (int i = 0; i < node->n_in; i++) {
        in[i] = operand_in(l, node->in[i], perm, rank);
        if (in[i] == NULL) {
            return -1;
        }
    }

    param = node->param;
    param.axis.axis = perm[param.axis.axis];

    return emit_viewed(l, node, &param, in, perm);
}


/*
 * Operators that work on each row of the last dimension alone do not mind
 * how the others lie.
 */
static int
relay_rowwise(infer_layout_t *l, const infer_node_t *node)
{
    int              last;
    infer_view_t    *view;
    infer_value_t  **in;

    view = &l->view[node->in[0]->id];
    last = node->in[0]->rank - 1;

    if (last < 0 || view->perm[last] != last || node->n_out != 1
        || (node->id == INFER_OP_LAYERNORM
            && node->param.layernorm.axis != last))
    {
        return relay_plain(l, node);
    }

    in = infer_graph_alloc(l->g, (size_t) node->n_in * sizeof(*in));
    if (in == NULL) {
        return -1;
    }

    in[0] = view->value;

    for (int i = 1; i < node->n_in; i++) {
        if (node->in[i] == NULL) {
            continue;
        }

        if (node->in[i]->data == NULL) {
            return relay_plain(l, node);
        }

        in[i] = node->in[i];
    }

    return emit_viewed(l, node, &node->param, in, view->perm);
}


static int
relay_reduce(infer_layout_t *l, const infer_node_t *node)
{
    int             n, rank;
    int32_t         perm[INFER_MAX_RANK], rest[INFER_MAX_RANK];
    uint32_t        axes;
    infer_view_t   *view;
    infer_param_t   param;

    view = &l->view[node->in[0]->id];
    rank = node->in[0]->rank;
    axes = 0;

    for (int i = 0; i < rank; i++) {
        if (node->param.reduce.axes & (1u << i)) {
            axes |= 1u << view->perm[i];
        }
    }

    param = node->param;
    param.reduce.axes = axes;

    if (param.reduce.keepdims) {
        return emit_viewed(l, node, &param, &view->value, view->perm);
    }

    /* Where the dimensions that stay are found once the others are gone. */
    n = 0;

    for (int i = 0; i < rank; i++) {
        rest[i] = n;
        n += !(axes & (1u << i));
    }

    identity(perm);
    n = 0;

    for (int i = 0; i < rank; i++) {
        if (!(axes & (1u << view->perm[i]))) {
            perm[n++] = rest[view->perm[i]];
        }
    }

    return emit_viewed(l, node, &param, &view->value, perm);
}


/* One index, given as a scalar: the dimension goes. */
static int
relay_gather(infer_layout_t *l, const infer_node_t *node)
{
    int             n, axis;
    int32_t         perm[INFER_MAX_RANK];
    infer_view_t   *view;
    infer_param_t   param;
    infer_value_t  *in[2];

    if (node->in[1]->rank != 0 || node->in[1]->data == NULL) {
        return relay_plain(l, node);
    }

    view = &l->view[node->in[0]->id];
    axis = view->perm[node->param.axis.axis];

    identity(perm);
    n = 0;

    for (int i = 0; i < node->in[0]->rank; i++) {
        if (view->perm[i] != axis) {
            perm[n++] = view->perm[i] - (view->perm[i] > axis);
        }
    }

    param = node->param;
    param.axis.axis = axis;

    in[0] = view->value;
    in[1] = node->in[1];

    return emit_viewed(l, node, &param, in, perm);
}


/* Operators with parameters per dimension: the parameters move. */
static int
relay_params(infer_layout_t *l, const infer_node_t *node)
{
    int                   to;
    infer_view_t         *view;
    infer_param_t         param;
    const infer_param_t  *from;

    view = &l->view[node->in[0]->id];
    from = &node->param;
    param = *from;

    if (is_identity(view->perm, node->in[0]->rank)
        || node->in[0]->rank != node->out[0]->rank
        || (node->id == INFER_OP_SOFTMAX
            && from->softmax.axis != from->softmax.last))
    {
        return relay_plain(l, node);
    }

    for (int i = 0; i < node->in[0]->rank; i++) {
        to = view->perm[i];

        switch (node->id) {

        case INFER_OP_SLICE:
            param.slice.start[to] = from->slice.start[i];
            param.slice.step[to] = from->slice.step[i];
            param.slice.count[to] = from->slice.count[i];
            break;

        case INFER_OP_PAD:
            param.pad.before[to] = from->pad.before[i];
            param.pad.after[to] = from->pad.after[i];
            break;

        case INFER_OP_RESIZE:
            param.resize.scale[to] = from->resize.scale[i];
            param.resize.roi_start[to] = from->resize.roi_start[i];
            param.resize.roi_end[to] = from->resize.roi_end[i];
            param.resize.out[to] = from->resize.out[i];
            break;

        case INFER_OP_EXPAND:
            param.shape.dim[to] = from->shape.dim[i];
            break;

        default:  /* INFER_OP_SOFTMAX */
            if (from->softmax.axis == i) {
                param.softmax.axis = to;
                param.softmax.last = to;
            }
        }
    }

    return emit_viewed(l, node, &param, &view->value, view->perm);
}


/*
 * A reshape that merges and splits runs of dimensions keeps the order of the
 * runs free: the runs stay where they lie in the viewed value (the dimensions
 * inside one are brought together first), and the permutation goes on.
 */
static int
relay_reshape(infer_layout_t *l, const infer_node_t *node)
{
    int              n, pos;
    int32_t          gather[INFER_MAX_RANK], perm[INFER_MAX_RANK];
    infer_view_t    *view;
    infer_param_t    param;
    infer_value_t   *v;
    infer_segment_t  seg[INFER_MAX_RANK], tmp;

    view = &l->view[node->in[0]->id];
    n = infer_segments(node, seg);

    if (n == 0 || is_identity(view->perm, node->in[0]->rank)) {
        return relay_plain(l, node);
    }

    for (int s = 0; s < n; s++) {
        seg[s].place = INFER_MAX_RANK;

        for (int i = 0; i < seg[s].n_from; i++) {
            pos = view->perm[seg[s].from + i];
            seg[s].place = pos < seg[s].place ? pos : seg[s].place;
        }
    }

    /* A stable insertion sort by place. */
    for (int s = 1; s < n; s++) {
        tmp = seg[s];

        for (pos = s; pos > 0 && seg[pos - 1].place > tmp.place; pos--) {
            seg[pos] = seg[pos - 1];
        }

        seg[pos] = tmp;
    }

    identity(gather);
    identity(perm);
    memset(&param, 0, sizeof(param));
    param.shape.rank = node->param.shape.rank;
    pos = 0;

    for (int s = 0, d = 0; s < n; s++) {
        for (int i = 0; i < seg[s].n_from; i++) {
            gather[d++] = view->perm[seg[s].from + i];
        }

        for (int i = 0; i < seg[s].n_to; i++) {
            perm[seg[s].to + i] = pos;
            param.shape.dim[pos++] = node->param.shape.dim[seg[s].to + i];
        }
    }

    v = transpose(l, view->value, gather);
    if (v == NULL) {
        return -1;
    }

    return emit_viewed(l, node, &param, &v, perm);
}


/*
 * Constant scales belong to one dimension, wherever it lies; those that are
 * computed to slices of the dimensions in front of axis, the inside of which
 * may lie in any order.
 */
static int
relay_quantize(infer_layout_t *l, const infer_node_t *node)
{
    infer_view_t    view;
    infer_param_t   param;
    infer_value_t  *in[3];

    view = l->view[node->in[0]->id];
    param = node->param;

    if (node->n_in > 1 && node->in[1]->data != NULL) {
        param.quantize.axis = view.perm[param.quantize.axis];

    } else {
        for (int i = 0; i < param.quantize.axis; i++) {
            if (view.perm[i] != i) {
                return relay_plain(l, node);
            }
        }
    }

    in[0] = view.value;

    for (int i = 1; i < node->n_in; i++) {
        in[i] = node->in[i] == NULL
                ? NULL : materialise(l, &l->view[node->in[i]->id]);
        if (in[i] == NULL && node->in[i] != NULL) {
            return -1;
        }
    }

    if (emit_viewed(l, node, &param, in, view.perm) != 0) {
        return -1;
    }

    for (int i = 1; i < node->n_out; i++) {
        identity(l->view[node->out[i]->id].perm);
    }

    return 0;
}


/* ---- making a permutation real ---------------------------------------- */

static infer_value_t *
materialise(infer_layout_t *l, infer_view_t *view)
{
    return transpose(l, view->value, view->perm);
}


/*
 * transpose(v, perm), emitted once for each v and perm: as a reshape where
 * only dimensions of 1 change places.
 */
static infer_value_t *
transpose(infer_layout_t *l, infer_value_t *v, const int32_t *perm)
{
    int             last, moved;
    infer_made_t   *made;
    infer_param_t   param;

    if (is_identity(perm, v->rank)) {
        return v;
    }

    if (v->id >= l->made_space) {
        infer_made_t  **array;
        size_t          space;

        space = 2 * (size_t) v->id + 64;
        array = infer_graph_alloc(l->g, space * sizeof(*array));
        if (array == NULL) {
            return NULL;
        }

        if (l->made_space > 0) {
            memcpy(array, l->made, l->made_space * sizeof(*array));
        }

        l->made = array;
        l->made_space = space;
    }

    for (made = l->made[v->id]; made != NULL; made = made->next) {
        if (memcmp(made->perm, perm, (size_t) v->rank * sizeof(int32_t))
            == 0)
        {
            return made->value;
        }
    }

    made = infer_graph_alloc(l->g, sizeof(*made));
    if (made == NULL) {
        return NULL;
    }

    memset(&param, 0, sizeof(param));
    memcpy(made->perm, perm, (size_t) v->rank * sizeof(int32_t));
    moved = 0;
    last = -1;

    for (int i = 0; i < v->rank; i++) {
        if (!infer_dim_is(v->dim[perm[i]], 1)) {
            moved |= perm[i] < last;
            last = perm[i];
        }
    }

    if (moved) {
        memcpy(param.transpose.perm, perm, (size_t) v->rank * sizeof(int32_t));

    } else {
        param.shape.rank = v->rank;

        for (int i = 0; i < v->rank; i++) {
            param.shape.dim[i] = v->dim[perm[i]];
        }
    }

    made->value = infer_graph_emit1(l->g, moved ? INFER_OP_TRANSPOSE
                                                : INFER_OP_RESHAPE,
                                    &param, v->name, &v, 1);
    if (made->value == NULL) {
        return NULL;
    }

    made->next = l->made[v->id];
    l->made[v->id] = made;

    return made->value;
}


static int
is_identity(const int32_t *perm, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (perm[i] != i) {
            return 0;
        }
    }

    return 1;
}


static void
identity(int32_t *perm)
{
    for (int i = 0; i < INFER_MAX_RANK; i++) {
        perm[i] = i;
    }
}
