/*
 * Using a session: data in, the walk over its steps, scores out.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plan/plan.h"


static const infer_model_port_t *input_port(const infer_session_t *s,
    size_t i);
static void channels_last(const float *src, float *dst, size_t n, size_t c,
    size_t inner);
static const infer_parallel_t *usable(const infer_session_t *s,
    const infer_parallel_t *parallel);
static void run_step(infer_session_t *s, size_t i,
    const infer_parallel_t *parallel);
static uint64_t now(void);


void
infer_session_input_tensor(const infer_session_t *session, size_t i,
    infer_tensor_t *tensor)
{
    int                        rank;
    const infer_model_port_t  *port;

    port = input_port(session, i);
    *tensor = session->tensor[port->value];

    if (port->nchw) {
        rank = tensor->rank;

        for (int d = rank - 1; d > 1; d--) {
            tensor->dim[d] = session->tensor[port->value].dim[d - 1];
        }

        tensor->dim[1] = session->tensor[port->value].dim[rank - 1];
    }

    tensor->data = NULL;
}


void
infer_session_set_input(infer_session_t *session, size_t i, const void *data)
{
    size_t                     n, c, size;
    const infer_tensor_t      *t;
    const infer_model_port_t  *port;

    port = input_port(session, i);
    t = &session->tensor[port->value];
    size = infer_numel(t);

    if (size == 0) {
        return;
    }

    if (!port->nchw) {
        memcpy(t->data, data, size * infer_dtype_size(t->dtype));
        return;
    }

    n = (size_t) t->dim[0];
    c = (size_t) t->dim[t->rank - 1];
    channels_last(data, t->data, n, c, size / n / c);
}


void
infer_session_set_item(infer_session_t *session, size_t i, size_t n,
    const void *data)
{
    size_t                     c, images, size;
    char                      *dst;
    const infer_tensor_t      *t;
    const infer_model_port_t  *port;

    port = input_port(session, i);
    t = &session->tensor[port->value];
    size = infer_numel(t) / session->batch;

    if (size == 0) {
        return;
    }

    dst = (char *) t->data + n * size * infer_dtype_size(t->dtype);

    if (!port->nchw) {
        memcpy(dst, data, size * infer_dtype_size(t->dtype));
        return;
    }

    images = (size_t) t->dim[0] / session->batch;
    c = (size_t) t->dim[t->rank - 1];
    channels_last(data, (float *) (void *) dst, images, c, size / images / c);
}


/* (N, C, inner) to (N, inner, C) */
static void
channels_last(const float *src, float *dst, size_t n, size_t c, size_t inner)
{
    for (size_t image = 0; image < n; image++) {
        for (size_t k = 0; k < c; k++) {
            for (size_t i = 0; i < inner; i++) {
                dst[i * c + k] = src[k * inner + i];
            }
        }

        src += c * inner;
        dst += c * inner;
    }
}


int
infer_session_set_image(infer_session_t *session, size_t n,
    const infer_image_t *img, const infer_preprocess_t *pp)
{
    float                 *dst;
    size_t                 size;
    const int64_t         *dim;
    const infer_tensor_t  *t;

    t = &session->tensor[input_port(session, 0)->value];
    size = (size_t) (t->dim[1] * t->dim[2] * t->dim[3]);
    dst = (float *) t->data + n * size;

    if (session->image == NULL) {
        if (img->height != t->dim[1] || img->width != t->dim[2]
            || img->channels != t->dim[3])
        {
            return -1;
        }

        infer_image_normalize(img, pp, dst);

        return 0;
    }

    dim = input_port(session, 0)->dim;

    if (img->height != dim[1] || img->width != dim[2]
        || img->channels != dim[3])
    {
        return -1;
    }

    infer_image_normalize(img, pp, session->image);
    channels_last(session->image, dst, 1, (size_t) img->height,
                  (size_t) img->width * (size_t) img->channels);

    return 0;
}


void
infer_session_run(infer_session_t *session, const infer_parallel_t *parallel)
{
    parallel = usable(session, parallel);

    if (!session->watch.on) {
        for (uint32_t i = 0; i < session->model->n_nodes; i++) {
            run_step(session, i, parallel);
        }

        return;
    }

    infer_watch_begin(&session->watch);

    for (uint32_t i = 0; i < session->model->n_nodes; i++) {
        run_step(session, i, parallel);
        infer_watch_step(session, i);
    }
}


size_t
infer_session_profile(infer_session_t *session,
    const infer_parallel_t *parallel, const infer_profile_t **profile)
{
    uint64_t                   start;
    infer_profile_t           *p;
    const infer_model_node_t  *node;

    parallel = usable(session, parallel);
    node = infer_model_at(session->model, session->model->nodes);

    for (uint32_t i = 0; i < session->model->n_nodes; i++) {
        p = &session->profile[i];
        p->node = infer_model_at(session->model, node[i].name);
        p->op = infer_op_table[node[i].op]->name;
        p->macs = node[i].macs * session->batch;
        p->integers = node[i].op == INFER_OP_QCONV
                      || node[i].op == INFER_OP_QFC;

        start = now();
        run_step(session, i, parallel);
        p->ns = now() - start;
    }

    *profile = session->profile;

    return session->model->n_nodes;
}


size_t
infer_model_observed(const infer_model_t *model)
{
    return (size_t) model->n_inputs + model->n_nodes;
}


void
infer_session_observe(infer_session_t *session,
    const infer_parallel_t *parallel, infer_observe_pt observe, void *arg)
{
    const infer_model_t       *m;
    infer_observed_t           seen;
    const infer_model_node_t  *node;

    m = session->model;
    parallel = usable(session, parallel);
    node = infer_model_at(m, m->nodes);

    memset(&seen, 0, sizeof(seen));
    seen.op = "input";

    for (uint32_t i = 0; i < m->n_inputs; i++, seen.index++) {
        seen.node = infer_model_at(m, input_port(session, i)->name);
        seen.tensor = &session->tensor[input_port(session, i)->value];
        observe(arg, &seen);
    }

    for (uint32_t i = 0; i < m->n_nodes; i++, seen.index++) {
        run_step(session, i, parallel);

        seen.node = infer_model_at(m, node[i].name);
        seen.op = infer_op_table[node[i].op]->name;
        seen.macs = node[i].macs;
        seen.tensor = session->step[i].out[0];
        seen.scale = infer_plan_meaning(&node[i]).scale;
        seen.zero = infer_plan_meaning(&node[i]).zero;
        observe(arg, &seen);
    }
}


infer_affine_scale_t
infer_plan_meaning(const infer_model_node_t *node)
{
    const infer_param_t  *param = &node->param;

    switch (node->op) {

    case INFER_OP_QCONV:
        return param->qconv.end.out;

    case INFER_OP_QFC:
        return param->qfc.end.out;

    case INFER_OP_QBINARY:
        return param->qbinary.out;

    case INFER_OP_QPOOL:
        return param->qpool.out;

    default:
        return (infer_affine_scale_t) { 0, 0 };
    }
}


/* Threads for which the session has no scratch are not used. */
static const infer_parallel_t *
usable(const infer_session_t *s, const infer_parallel_t *parallel)
{
    return parallel != NULL && parallel->slots <= s->slots ? parallel : NULL;
}


static void
run_step(infer_session_t *s, size_t i, const infer_parallel_t *parallel)
{
    if (s->op[i] != NULL) {
        s->step[i].parallel = parallel;
        s->op[i]->run(&s->step[i]);
    }
}


void
infer_session_output_tensor(const infer_session_t *session, size_t i,
    infer_tensor_t *tensor)
{
    const infer_model_port_t  *port;

    port = infer_model_at(session->model, session->model->outputs);
    *tensor = session->tensor[port[i].value];
}


const float *
infer_session_probabilities(const infer_session_t *session, size_t n)
{
    size_t           classes;
    const float     *score;
    infer_tensor_t   t;

    classes = infer_model_classes(session->model);
    infer_session_output_tensor(session, 0, &t);

    /* an output may have fewer rows than the batch */
    if (classes == 0 || t.rank == 0 || n >= (size_t) t.dim[0]) {
        return NULL;
    }

    score = (const float *) t.data + n * classes;

    if (!session->model->probabilities) {
        infer_kernels()->softmax_f32(score, session->scores, classes);
        score = session->scores;
    }

    return score;
}


size_t
infer_session_top(const infer_session_t *session, size_t n,
    infer_class_t *top, size_t k)
{
    size_t        classes, count, pos;
    const float  *score;

    classes = infer_model_classes(session->model);
    score = infer_session_probabilities(session, n);
    count = 0;

    for (size_t c = 0; score != NULL && c < classes; c++) {
        if (!isfinite(score[c])
            || (count == k && !(count > 0
                                && score[c] > top[count - 1].probability)))
        {
            continue;
        }

        /* Insertion from below: equal ones stay in the order of classes. */
        pos = count < k ? count++ : count - 1;

        for (; pos > 0 && score[c] > top[pos - 1].probability; pos--) {
            top[pos] = top[pos - 1];
        }

        top[pos].class_id = c;
        top[pos].probability = score[c];
    }

    return count;
}


static const infer_model_port_t *
input_port(const infer_session_t *s, size_t i)
{
    return (const infer_model_port_t *)
           infer_model_at(s->model, s->model->inputs) + i;
}


static uint64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}
