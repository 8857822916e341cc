/*
 * Resize and centre crop as torchvision does them on PIL images, to the bit:
 * PIL's antialiased bilinear filter (a triangle as wide as the scale) with
 * weights of 22 fraction bits, columns first, rounded to 8 bits between the
 * passes.
 *
 * Only what the crop keeps is computed: in each direction a plan holds the
 * weights of the kept outputs alone, and the first pass runs over the rows
 * that the second one reads.
 */

/* The loops over a row are written to be vectorised. */
#pragma GCC optimize ("O3")

#include "image/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define RESIZE_BITS   22

/* A prepared image is the input of a model: far below this. */
#define RESIZE_MAX_PIXELS  ((int64_t) 1 << 28)

/* One direction. */
typedef struct {
    int64_t   in;          /* size before and after the resize */
    int64_t   out;
    int64_t   size;        /* after the crop: pad zeros, kept pixels, zeros */
    int64_t   pad;
    int64_t   first;       /* which output of the resize is the first kept */
    int64_t   kept;
    int64_t   taps;        /* room for weights of each output */
    int32_t  *start;       /* kept: the first input of each output */
    int32_t  *count;       /* kept: and how many there are */
    int32_t  *weight;      /* kept * taps */
} infer_axis_t;


/* torchvision's center_crop; crop 0: none. */
static void
resize_crop(infer_axis_t *axis, int64_t crop)
{
    int64_t  over;

    axis->size = crop ? crop : axis->out;
    axis->pad = 0;
    axis->first = 0;
    axis->kept = axis->out;

    over = axis->out - axis->size;

    if (over < 0) {
        axis->pad = -over / 2;

    } else {
        /* Python rounds half to even. */
        axis->kept = axis->size;
        axis->first = over / 2 + ((over & 1) ? (over / 2) & 1 : 0);
    }
}


/* The weights of one output, as doubles that sum to 1; returns their number. */
static int32_t
resize_weights(const infer_axis_t *axis, int64_t output, int32_t *start,
    double *w)
{
    double   scale, support, center, sum, x;
    int64_t  lo, hi;

    scale = (double) axis->in / axis->out;
    support = scale < 1.0 ? 1.0 : scale;
    center = (output + 0.5) * scale;

    lo = (int64_t) (center - support + 0.5);
    hi = (int64_t) (center + support + 0.5);
    lo = lo < 0 ? 0 : lo;
    hi = hi > axis->in ? axis->in : hi;

    sum = 0.0;

    for (int64_t i = 0; i < hi - lo; i++) {
        x = fabs((i + lo - center + 0.5) * (1.0 / support));
        w[i] = x < 1.0 ? 1.0 - x : 0.0;
        sum += w[i];
    }

    for (int64_t i = 0; i < hi - lo && sum != 0.0; i++) {
        w[i] /= sum;
    }

    *start = (int32_t) lo;

    return (int32_t) (hi - lo);
}


/* Fills start, count and weight; -1: no memory. */
static int
resize_plan(infer_axis_t *axis)
{
    double   scale, *w;

    scale = (double) axis->in / axis->out;
    axis->taps = (int64_t) ceil(scale < 1.0 ? 1.0 : scale) * 2 + 1;

    w = malloc(axis->taps * sizeof(double));
    axis->start = malloc(axis->kept * sizeof(int32_t));
    axis->count = malloc(axis->kept * sizeof(int32_t));
    axis->weight = malloc(axis->kept * axis->taps * sizeof(int32_t));

    if (w == NULL || axis->start == NULL || axis->count == NULL
        || axis->weight == NULL)
    {
        free(w);
        return -1;
    }

    for (int64_t i = 0; i < axis->kept; i++) {
        axis->count[i] = resize_weights(axis, axis->first + i,
                                        &axis->start[i], w);

        for (int32_t k = 0; k < axis->count[i]; k++) {
            axis->weight[i * axis->taps + k]
                = (int32_t) (w[k] * (1 << RESIZE_BITS) + 0.5);
        }
    }

    free(w);

    return 0;
}


static inline uint8_t
resize_round(uint32_t sum)
{
    sum >>= RESIZE_BITS;

    return (uint8_t) (sum > 255 ? 255 : sum);
}


/* Along a row of RGB: the hot loop of a large photograph. */
static void
resize_row_rgb(const infer_axis_t *axis, const uint8_t *row, uint8_t *dst)
{
    uint32_t        r, g, b, w;
    const int32_t  *weight;
    const uint8_t  *p;

    for (int64_t i = 0; i < axis->kept; i++, dst += 3) {
        p = row + 3 * (size_t) axis->start[i];
        weight = axis->weight + i * axis->taps;
        r = g = b = 1u << (RESIZE_BITS - 1);

        for (int32_t k = 0; k < axis->count[i]; k++, p += 3) {
            w = (uint32_t) weight[k];
            r += w * p[0];
            g += w * p[1];
            b += w * p[2];
        }

        dst[0] = resize_round(r);
        dst[1] = resize_round(g);
        dst[2] = resize_round(b);
    }
}


static void
resize_row_gray(const infer_axis_t *axis, const uint8_t *row, uint8_t *dst)
{
    uint32_t        sum;
    const int32_t  *weight;
    const uint8_t  *p;

    for (int64_t i = 0; i < axis->kept; i++) {
        p = row + axis->start[i];
        weight = axis->weight + i * axis->taps;
        sum = 1u << (RESIZE_BITS - 1);

        for (int32_t k = 0; k < axis->count[i]; k++) {
            sum += (uint32_t) weight[k] * p[k];
        }

        dst[i] = resize_round(sum);
    }
}


/*
 * One row from those above each other: rows points at the first, n bytes
 * each.
 */
static void
resize_column(const int32_t *weight, int32_t count, const uint8_t *rows,
    size_t n, uint8_t *dst)
{
    size_t          chunk;
    uint32_t        w, sum[256];
    const uint8_t  *p;

    for (size_t x = 0; x < n; x += chunk) {
        chunk = n - x < 256 ? n - x : 256;

        for (size_t i = 0; i < chunk; i++) {
            sum[i] = 1u << (RESIZE_BITS - 1);
        }

        for (int32_t k = 0; k < count; k++) {
            p = rows + k * n + x;
            w = (uint32_t) weight[k];

            for (size_t i = 0; i < chunk; i++) {
                sum[i] += w * p[i];
            }
        }

        for (size_t i = 0; i < chunk; i++) {
            dst[x + i] = resize_round(sum[i]);
        }
    }
}


/* Both passes, into the place in out that the padding leaves. */
static int
resize_run(const infer_image_t *img, const infer_axis_t *h,
    const infer_axis_t *v, infer_image_t *out)
{
    size_t          n, stride;
    int64_t         top, bottom;
    uint8_t        *rows, *dst;
    const uint8_t  *src;

    n = (size_t) h->kept * img->channels;
    stride = (size_t) img->width * img->channels;

    top = v->start[0];
    bottom = (int64_t) v->start[v->kept - 1] + v->count[v->kept - 1];

    rows = malloc((bottom - top) * n);
    if (rows == NULL) {
        return -1;
    }

    for (int64_t y = top; y < bottom; y++) {
        src = img->pixels + y * stride;
        dst = rows + (y - top) * n;

        if (img->channels == 3) {
            resize_row_rgb(h, src, dst);

        } else {
            resize_row_gray(h, src, dst);
        }
    }

    for (int64_t y = 0; y < v->kept; y++) {
        dst = out->pixels
              + ((v->pad + y) * out->width + h->pad) * out->channels;
        resize_column(v->weight + y * v->taps, v->count[y],
                      rows + (v->start[y] - top) * n, n, dst);
    }

    free(rows);

    return 0;
}


static void
resize_plan_free(infer_axis_t *axis)
{
    free(axis->start);
    free(axis->count);
    free(axis->weight);
}


int
infer_image_prepare(const infer_image_t *img, const infer_preprocess_t *pp,
    infer_image_t *out, infer_error_t *err)
{
    int           rc;
    infer_axis_t  h, v;

    memset(out, 0, sizeof(*out));
    memset(&h, 0, sizeof(h));
    memset(&v, 0, sizeof(v));

    h.in = h.out = img->width;
    v.in = v.out = img->height;

    if (pp->resize) {
        if (h.in <= v.in) {
            h.out = pp->resize;
            v.out = pp->resize * v.in / h.in;

        } else {
            v.out = pp->resize;
            h.out = pp->resize * h.in / v.in;
        }
    }

    resize_crop(&h, pp->crop);
    resize_crop(&v, pp->crop);

    if (h.size > RESIZE_MAX_PIXELS / v.size) {
        snprintf(err->text, sizeof(err->text),
                 "image of %d x %d pixels would become too large",
                 img->width, img->height);
        return -1;
    }

    out->width = (int32_t) h.size;
    out->height = (int32_t) v.size;
    out->channels = img->channels;
    out->pixels = calloc((size_t) h.size * v.size, img->channels);

    rc = (out->pixels == NULL || resize_plan(&h) != 0 || resize_plan(&v) != 0
          || resize_run(img, &h, &v, out) != 0) ? -1 : 0;

    resize_plan_free(&h);
    resize_plan_free(&v);

    if (rc != 0) {
        infer_image_free(out);
        snprintf(err->text, sizeof(err->text),
                 "no memory to resize an image of %d x %d pixels",
                 img->width, img->height);
    }

    return rc;
}
