/*
 * Resampling of the spatial dimensions.
 */

#include <math.h>
#include <string.h>

#include "import/torch/aten.h"


static const torch_value_t *
element(const torch_value_t *v, size_t i)
{
    if (aten_is_none(v)
        || (v->kind != TORCH_LIST && v->kind != TORCH_TUPLE))
    {
        return v;
    }

    return i < v->items.n ? v->items.item[i] : NULL;
}


/*
 * To sizes, or by scales; each scale may be given besides the sizes, too, and
 * then is what coordinates are computed with.
 */
static torch_value_t *
resize(torch_eval_t *t, const torch_value_t *input, int n,
    const torch_value_t *sizes, torch_value_t *const *scale,
    infer_resize_mode_t mode, infer_resize_coord_t coord, int antialias)
{
    int             k;
    double          given;
    int64_t         out, in;
    infer_param_t   p;
    infer_value_t  *x;

    x = aten_tensor(t, input);

    if (x == NULL || x->rank != n + 2) {
        return x == NULL ? NULL : TORCH_DECLINE;
    }

    memset(&p, 0, sizeof(p));
    p.resize.mode = mode;
    p.resize.coord = coord;
    p.resize.nearest = coord == INFER_COORD_ASYMMETRIC
                       ? INFER_NEAREST_FLOOR
                       : INFER_NEAREST_ROUND_PREFER_CEIL;
    p.resize.antialias = p.resize.exclude_outside = antialias;
    p.resize.cubic_a = antialias ? -0.5f : -0.75f;
    memcpy(p.resize.out, x->dim, sizeof(x->dim));

    for (int i = 0; i < INFER_MAX_RANK; i++) {
        p.resize.scale[i] = 1;
        p.resize.roi_end[i] = 1;
    }

    for (int i = 0; i < n; i++) {
        k = i + 2;
        in = x->dim[k].base;
        given = 0;
        out = -1;

        if (aten_double(t, element(scale[i], (size_t) i), &given) != 0
            || aten_int(t, element(sizes, (size_t) i), &out) != 0)
        {
            return NULL;
        }

        if (out < 0 && given > 0 && given < 65536) {
            out = (int64_t) floor((double) in * given);
        }

        if (x->dim[k].batch != 0 || in < 1 || out < 1 || out > INT32_MAX) {
            torch_fail(t, "the size of the result is out of range");
            return NULL;
        }

        p.resize.out[k] = infer_dim(out);
        p.resize.scale[k] = given > 0 ? (float) given
                                      : (float) out / (float) in;
    }

    return aten_new(t, aten_emit(t, INFER_OP_RESIZE, &p, &x, 1));
}


/* arg: self, output_size, scale_factors; or a scale for each dimension */
static torch_value_t *
nearest_of(torch_eval_t *t, torch_value_t *const *arg, int n,
    infer_resize_coord_t coord)
{
    torch_value_t *const  scale[] = {
        arg[2], n > 1 && !aten_is_none(arg[3]) ? arg[3] : arg[2],
        n > 2 && !aten_is_none(arg[4]) ? arg[4] : arg[2]
    };

    return resize(t, arg[0], n, arg[1], scale, INFER_RESIZE_NEAREST,
                  coord, 0);
}


static torch_value_t *
nearest(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return nearest_of(t, arg, n, INFER_COORD_ASYMMETRIC);
}

TORCH_KIND(nearest1d, nearest, 1)
TORCH_KIND(nearest2d, nearest, 2)
TORCH_KIND(nearest3d, nearest, 3)


static torch_value_t *
nearest_exact(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return nearest_of(t, arg, n, INFER_COORD_HALF_PIXEL);
}

TORCH_KIND(nearest_exact1d, nearest_exact, 1)
TORCH_KIND(nearest_exact2d, nearest_exact, 2)
TORCH_KIND(nearest_exact3d, nearest_exact, 3)


/* arg: self, output_size, align_corners, scales as above */
static torch_value_t *
interpolate(torch_eval_t *t, torch_value_t *const *arg, int n,
    infer_resize_mode_t mode, int antialias)
{
    int64_t               align = 0;
    torch_value_t *const  scale[] = {
        arg[3], n > 1 && !aten_is_none(arg[4]) ? arg[4] : arg[3],
        n > 2 && !aten_is_none(arg[5]) ? arg[5] : arg[3]
    };

    return aten_int(t, arg[2], &align) != 0 ? NULL
           : resize(t, arg[0], n, arg[1], scale, mode,
                    align ? INFER_COORD_ALIGN_CORNERS
                          : INFER_COORD_HALF_PIXEL, antialias);
}


static torch_value_t *
linear(torch_eval_t *t, torch_value_t *const *arg, int n)
{
    return interpolate(t, arg, n, INFER_RESIZE_LINEAR, 0);
}

TORCH_KIND(linear1d, linear, 1)
TORCH_KIND(bilinear2d, linear, 2)
TORCH_KIND(trilinear3d, linear, 3)


static torch_value_t *
cubic(torch_eval_t *t, torch_value_t *const *arg, int antialias)
{
    return interpolate(t, arg, 2, INFER_RESIZE_CUBIC, antialias);
}

TORCH_KIND(bicubic2d, cubic, 0)
TORCH_KIND(bicubic2d_aa, cubic, 1)


static torch_value_t *
bilinear2d_aa(torch_eval_t *t, torch_value_t *const *arg)
{
    return interpolate(t, arg, 2, INFER_RESIZE_LINEAR, 1);
}


#define NEAREST  "self output_size scales_d scales_h scales_w"
#define LINEAR   "self output_size align_corners scales_d scales_h scales_w"

const torch_builtin_t  torch_builtins_resize[] = {
    { "torch.upsample_nearest1d", NEAREST, nearest1d },
    { "torch.upsample_nearest2d", NEAREST, nearest2d },
    { "torch.upsample_nearest3d", NEAREST, nearest3d },
    { "torch._upsample_nearest_exact1d", NEAREST, nearest_exact1d },
    { "torch._upsample_nearest_exact2d", NEAREST, nearest_exact2d },
    { "torch._upsample_nearest_exact3d", NEAREST, nearest_exact3d },
    { "torch.upsample_linear1d", LINEAR, linear1d },
    { "torch.upsample_bilinear2d", LINEAR, bilinear2d },
    { "torch.upsample_trilinear3d", LINEAR, trilinear3d },
    { "torch.upsample_bicubic2d", LINEAR, bicubic2d },
    { "torch._upsample_bilinear2d_aa", LINEAR, bilinear2d_aa },
    { "torch._upsample_bicubic2d_aa", LINEAR, bicubic2d_aa },
    { NULL, NULL, NULL }
};
