/*
 * Resize and the operators it grew from.  Output sizes and the scales used for
 * coordinates are settled here; the IR knows only concrete sizes.
 */

#include <math.h>
#include <string.h>

#include "import/onnx/onnx.h"


/* What a Resize asks for, for the dimensions in axis[]. */
typedef struct {
    int          n;
    int64_t      axis[INFER_MAX_RANK];
    int          by_size;
    double       scale[INFER_MAX_RANK];
    infer_dim_t  size[INFER_MAX_RANK];
} request_t;


static int resize_modes(onnx_t *o, onnx_node_t *node, infer_resize_t *r);
static int half_pixel_for_nn(onnx_t *o, onnx_node_t *node,
    infer_resize_t *r);
static int resize_request(onnx_t *o, onnx_node_t *node, request_t *q);
static int resize_region(onnx_t *o, onnx_node_t *node, const request_t *q,
    infer_resize_t *r);
static int keep_aspect(onnx_t *o, onnx_node_t *node, request_t *q);
static int apply(onnx_t *o, onnx_node_t *node, const request_t *q,
    infer_resize_t *r);
static int scaled(float size, float scale, infer_dim_t *out);
static int has_elements(const onnx_node_t *node, int i);
static void identity(const infer_value_t *x, infer_resize_t *r);


/* Since opset 11. */
int
onnx_op_resize(onnx_t *o, onnx_node_t *node)
{
    int            rank;
    request_t      q;
    infer_param_t  p;

    if (o->opset < 11) {
        return onnx_op_upsample(o, node);
    }

    rank = node->in[0]->rank;
    memset(&p, 0, sizeof(p));
    memset(&q, 0, sizeof(q));
    identity(node->in[0], &p.resize);

    q.n = rank;

    for (int i = 0; i < rank; i++) {
        q.axis[i] = i;
    }

    if (resize_modes(o, node, &p.resize) != 0
        || resize_request(o, node, &q) != 0
        || resize_region(o, node, &q, &p.resize) != 0
        || apply(o, node, &q, &p.resize) != 0)
    {
        return -1;
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_RESIZE, &p, node->in,
                                       1));
}


/* Upsample, and Resize of opset 10: scales alone, coordinates without an
   offset. */
int
onnx_op_upsample(onnx_t *o, onnx_node_t *node)
{
    int                       n;
    int64_t                   len;
    uint64_t                 *list;
    request_t                 q;
    infer_param_t             p;
    static const char *const  mode[] = { "nearest", "linear", NULL };

    n = node->in[0]->rank;
    memset(&p, 0, sizeof(p));
    memset(&q, 0, sizeof(q));
    identity(node->in[0], &p.resize);
    p.resize.coord = INFER_COORD_ASYMMETRIC;
    p.resize.nearest = INFER_NEAREST_FLOOR;

    if (onnx_attr_choice(o, node, "mode", mode, &p.resize.mode) != 0) {
        return -1;
    }

    if (o->opset < 9) {
        len = onnx_attr_list(o, node, "scales", ONNX_ATTR_FLOATS, &list);

        for (int i = 0; i < n && i < len; i++) {
            q.scale[i] = (double) onnx_float(list[i]);
        }

    } else {
        len = onnx_const_numbers(o, node, 1, "scales", q.scale,
                                 INFER_MAX_RANK);
    }

    if (len == -1) {
        return -1;
    }

    if (len != n) {
        return onnx_fail(o, node, "must have a scale for each of %d "
                         "dimensions", n);
    }

    q.n = n;

    for (int i = 0; i < n; i++) {
        q.axis[i] = i;
    }

    if (apply(o, node, &q, &p.resize) != 0) {
        return -1;
    }

    return onnx_result(node, onnx_emit(o, node, INFER_OP_RESIZE, &p, node->in,
                                       1));
}


static void
identity(const infer_value_t *x, infer_resize_t *r)
{
    for (int i = 0; i < INFER_MAX_RANK; i++) {
        r->scale[i] = 1;
        r->roi_end[i] = 1;
    }

    memcpy(r->out, x->dim, (size_t) x->rank * sizeof(infer_dim_t));
}


/* The choices stand in the order of the IR's enumerations. */
static int
resize_modes(onnx_t *o, onnx_node_t *node, infer_resize_t *r)
{
    int64_t                   exclude, antialias;
    static const char *const  mode[] = {
        "nearest", "linear", "cubic", NULL
    };
    static const char *const  coord[] = {
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_crop_and_resize", "half_pixel_symmetric",
        "tf_half_pixel_for_nn", NULL
    };
    static const char *const  nearest[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL
    };

    exclude = 0;
    antialias = 0;
    r->cubic_a = -0.75f;

    if (onnx_attr_choice(o, node, "mode", mode, &r->mode) != 0
        || onnx_attr_choice(o, node, "coordinate_transformation_mode", coord,
                            &r->coord) != 0
        || onnx_attr_choice(o, node, "nearest_mode", nearest, &r->nearest)
           != 0
        || onnx_attr_float(o, node, "cubic_coeff_a", &r->cubic_a) != 0
        || onnx_attr_float(o, node, "extrapolation_value",
                           &r->extrapolation) != 0
        || onnx_attr_int(o, node, "exclude_outside", &exclude) != 0
        || onnx_attr_int(o, node, "antialias", &antialias) != 0)
    {
        return -1;
    }

    r->exclude_outside = exclude != 0;
    r->antialias = antialias != 0;

    return r->coord <= INFER_COORD_HALF_PIXEL_SYMMETRIC ? 0
           : half_pixel_for_nn(o, node, r);
}


/*
 * Opset 11's tf_half_pixel_for_nn lies half a pixel behind half_pixel: rounded
 * down there is rounded to the nearest here, and rounded to the nearest there
 * is rounded up here.
 */
static int
half_pixel_for_nn(onnx_t *o, onnx_node_t *node, infer_resize_t *r)
{
    r->coord = INFER_COORD_HALF_PIXEL;

    if (r->mode == INFER_RESIZE_NEAREST) {
        if (r->nearest == INFER_NEAREST_ROUND_PREFER_FLOOR) {
            r->nearest = INFER_NEAREST_CEIL;
            return 0;
        }

        if (r->nearest == INFER_NEAREST_FLOOR) {
            r->nearest = INFER_NEAREST_ROUND_PREFER_CEIL;
            return 0;
        }
    }

    return onnx_fail(o, node, "tf_half_pixel_for_nn is not supported with "
                     "this mode");
}


/* Which axes, and either their scales or their sizes. */
static int
resize_request(onnx_t *o, onnx_node_t *node, request_t *q)
{
    int  n;

    if (onnx_attr_ints(o, node, "axes", q->axis, INFER_MAX_RANK, &q->n)
        != 0)
    {
        return -1;
    }

    for (int i = 0; i < q->n; i++) {
        q->axis[i] = onnx_axis(o, node, q->axis[i], node->in[0]->rank);
        if (q->axis[i] < 0) {
            return -1;
        }
    }

    q->by_size = !has_elements(node, 2);

    if (q->by_size) {
        n = onnx_const_dims(o, node, 3, "sizes", q->size, INFER_MAX_RANK);

    } else {
        n = onnx_const_numbers(o, node, 2, "scales", q->scale,
                               INFER_MAX_RANK);
    }

    if (n < 0) {
        return -1;
    }

    if (n != q->n) {
        return onnx_fail(o, node, "must have a scale or size for each of %d "
                         "dimensions", q->n);
    }

    return q->by_size ? keep_aspect(o, node, q) : 0;
}


/* An operand that is left out may also be there without elements. */
static int
has_elements(const onnx_node_t *node, int i)
{
    infer_dim_t  n;

    return onnx_has(node, i) && infer_value_numel(node->in[i], &n) == 0
           && !infer_dim_is(n, 0);
}


/*
 * keep_aspect_ratio_policy: one scale for all axes, the smallest or largest
 * that the sizes ask for.
 */
static int
keep_aspect(onnx_t *o, onnx_node_t *node, request_t *q)
{
    int                       policy;
    double                    scale, s;
    infer_dim_t               in;
    static const char *const  choice[] = {
        "stretch", "not_larger", "not_smaller", NULL
    };

    policy = 0;
    scale = 0;

    if (onnx_attr_choice(o, node, "keep_aspect_ratio_policy", choice, &policy)
        != 0)
    {
        return -1;
    }

    if (policy == 0) {
        return 0;
    }

    for (int i = 0; i < q->n; i++) {
        in = node->in[0]->dim[q->axis[i]];

        if (in.batch != 0 || q->size[i].batch != 0 || in.base == 0) {
            return onnx_fail(o, node, "cannot keep the aspect ratio of "
                             "dimension %d", (int) q->axis[i]);
        }

        s = (double) q->size[i].base / (double) in.base;
        scale = i == 0 ? s : policy == 1 ? fmin(scale, s) : fmax(scale, s);
    }

    for (int i = 0; i < q->n; i++) {
        in = node->in[0]->dim[q->axis[i]];
        s = floor(scale * (double) in.base + 0.5);
        q->scale[i] = scale;

        if (!(s >= 0 && s <= INT32_MAX)) {
            return onnx_fail(o, node, "a size is out of range");
        }

        q->size[i] = infer_dim((int64_t) s);
    }

    return 0;
}


/* roi: where each axis begins, then where it ends, in parts of its length. */
static int
resize_region(onnx_t *o, onnx_node_t *node, const request_t *q,
    infer_resize_t *r)
{
    int     n;
    double  roi[2 * INFER_MAX_RANK];

    if (r->coord != INFER_COORD_TF_CROP_AND_RESIZE) {
        return 0;
    }

    n = onnx_const_numbers(o, node, 1, "roi", roi, 2 * INFER_MAX_RANK);
    if (n < 0) {
        return -1;
    }

    if (n != 2 * q->n) {
        return onnx_fail(o, node, "operand \"roi\" has %d elements, must have "
                         "%d", n, 2 * q->n);
    }

    for (int i = 0; i < q->n; i++) {
        r->roi_start[q->axis[i]] = (float) roi[i];
        r->roi_end[q->axis[i]] = (float) roi[q->n + i];
    }

    return 0;
}


static int
apply(onnx_t *o, onnx_node_t *node, const request_t *q, infer_resize_t *r)
{
    int          k;
    infer_dim_t  in, *out;

    for (int i = 0; i < q->n; i++) {
        k = (int) q->axis[i];
        in = node->in[0]->dim[k];
        out = &r->out[k];

        if (q->by_size) {
            *out = q->size[i];

            if (infer_dim_equal(*out, in)) {
                continue;
            }

            r->scale[k] = q->scale[i] != 0 ? (float) q->scale[i]
                          : (float) out->base / (float) in.base;

        } else {
            r->scale[k] = (float) q->scale[i];

            if (r->scale[k] == 1) {
                continue;
            }

            if (scaled((float) in.base, r->scale[k], out) != 0) {
                return onnx_fail(o, node, "scale %g of dimension %d is out of "
                                 "range", q->scale[i], k);
            }
        }

        if (in.batch != 0 || out->batch != 0 || in.base == 0
            || out->base < 0 || out->base > INT32_MAX)
        {
            return onnx_fail(o, node, "cannot resize dimension %d", k);
        }
    }

    return 0;
}


static int
scaled(float size, float scale, infer_dim_t *out)
{
    if (!(scale > 0 && floorf(size * scale) < (float) INT32_MAX)) {
        return -1;
    }

    *out = infer_dim((int64_t) floorf(size * scale));

    return 0;
}
