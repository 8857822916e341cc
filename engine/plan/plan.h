/*
 * A session: a model made ready to run at one batch size.  Private to plan/.
 */

#ifndef INFER_PLAN_H
#define INFER_PLAN_H

#include "file/model.h"
#include "ops/op.h"


/* Where a tensor lies, and from which step to which it is needed. */
typedef struct {
    size_t    size;               /* bytes, a multiple of 64 */
    size_t    offset;             /* in the arena */
    uint32_t  first;
    uint32_t  last;
    uint32_t  root;               /* the tensor whose memory it is, */
    size_t    column;             /* and where it begins therein: bytes */
    uint32_t  uses;               /* by nodes and as an output */
    uint32_t  placed;             /* whether it needs memory in the arena */
} infer_place_t;

/*
 * What runs show of themselves to monitoring, of place 0 of the batch: ranges
 * of some layers, and 8-bit activations at the ends of their range.
 */
typedef struct {
    int       on;
    uint32_t  n_layers;
    uint32_t  layer[INFER_MONITOR_LAYERS];      /* nodes */

    float     least[INFER_MONITOR_LAYERS];      /* of the last run; least > */
    float     most[INFER_MONITOR_LAYERS];       /* most: nothing was seen */
    uint32_t  clipped;
    uint32_t  activations;
} infer_watch_t;

struct infer_session_s {
    const infer_model_t      *model;
    size_t                    batch;
    size_t                    slots;
    size_t                    bytes;
    int                       observed;    /* each result for itself */

    infer_tensor_t           *tensor;      /* model->n_values */
    infer_call_t             *step;        /* model->n_nodes */
    infer_strided_t             *view;        /* of steps' operands */
    const infer_op_t        **op;          /* of each step; NULL: nothing is
                                              to be done */
    const infer_tensor_t    **in;          /* the steps' operand lists */
    infer_tensor_t          **out;

    unsigned char            *arena;
    unsigned char            *scratch;
    size_t                    arena_size;
    size_t                    scratch_size;

    float                    *scores;      /* one image's, for top-k */
    float                    *image;       /* one, where the file declares
                                              channels-last; else NULL */
    infer_profile_t          *profile;
    infer_watch_t             watch;
};


/* A node, and the values that are its operands and results. */
static inline const infer_model_node_t *
infer_plan_node(const infer_session_t *s, size_t i)
{
    return (const infer_model_node_t *)
           infer_model_at(s->model, s->model->nodes) + i;
}

static inline const uint32_t *
infer_plan_operands(const infer_session_t *s, const infer_model_node_t *node)
{
    return (const uint32_t *) infer_model_at(s->model, s->model->operands)
           + node->operand;
}

/*
 * Finds the views of all steps that can have them.  The steps are resolved,
 * addresses are not.  -1 where memory is lacking.
 */
int infer_plan_views(infer_session_t *s);

/* Whether a node does nothing but move elements that views can find. */
int infer_plan_moves(const infer_model_node_t *node);

/*
 * What an operator's integers mean, where it is the one to say so; else its
 * scale is 0.
 */
infer_affine_scale_t infer_plan_meaning(const infer_model_node_t *node);

/*
 * Layers of a model that are worth to be watched: at most
 * INFER_MONITOR_LAYERS nodes with weights, evenly chosen, the last among them.
 * Returns how many.
 */
uint32_t infer_watch_layers(const infer_model_t *model, uint32_t *layer);

/* A run begins; step i has been run. */
void infer_watch_begin(infer_watch_t *watch);
void infer_watch_step(infer_session_t *s, uint32_t i);

/*
 * Gives offsets to the n places that ask for memory such that no two that
 * are needed at the same step overlap.  Returns the size of the arena, or
 * SIZE_MAX where memory for the work itself is lacking.
 */
size_t infer_plan_arena(infer_place_t *place, size_t n);

#endif /* INFER_PLAN_H */
