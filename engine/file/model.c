/*
 * What a model tells of itself.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "file/model.h"


static void port_get(const infer_model_t *m, uint64_t table, size_t i,
    infer_port_t *port);
static int image_shape(const infer_model_t *m, int64_t *height,
    int64_t *width, int64_t *channels, infer_error_t *err);
static int fail(infer_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


size_t
infer_model_size(const infer_model_t *model)
{
    return model->size;
}


size_t
infer_model_inputs(const infer_model_t *model)
{
    return model->n_inputs;
}


size_t
infer_model_outputs(const infer_model_t *model)
{
    return model->n_outputs;
}


void
infer_model_input(const infer_model_t *model, size_t i, infer_port_t *port)
{
    port_get(model, model->inputs, i, port);
}


void
infer_model_output(const infer_model_t *model, size_t i, infer_port_t *port)
{
    port_get(model, model->outputs, i, port);
}


static void
port_get(const infer_model_t *m, uint64_t table, size_t i,
    infer_port_t *port)
{
    const infer_model_port_t  *row;

    row = (const infer_model_port_t *) infer_model_at(m, table) + i;

    port->name = infer_model_at(m, row->name);
    port->dtype = (infer_dtype_t) row->dtype;
    port->rank = row->rank;
    memcpy(port->dim, row->dim, sizeof(port->dim));
}


size_t
infer_model_classes(const infer_model_t *model)
{
    size_t        n;
    infer_port_t  port;

    if (model->n_outputs == 0) {
        return 0;
    }

    infer_model_output(model, 0, &port);

    if (port.dtype != INFER_F32 || port.rank < 2
        || (port.dim[0] != INFER_BATCH && port.dim[0] != 1))
    {
        return 0;
    }

    n = 1;

    for (int i = 1; i < port.rank; i++) {
        if (port.dim[i] < 0) {
            return 0;
        }

        n *= (size_t) port.dim[i];
    }

    return n;
}


const char *
infer_model_label(const infer_model_t *model, size_t class_id)
{
    const uint64_t  *label;

    if (class_id >= model->n_labels) {
        return NULL;
    }

    label = infer_model_at(model, model->labels);

    return infer_model_at(model, label[class_id]);
}


int
infer_model_preprocess(const infer_model_t *model, infer_preprocess_t *pp,
    infer_error_t *err)
{
    int64_t             height, width, channels;
    infer_preprocess_t  p;

    static const float  mean[3] = { 0.485f, 0.456f, 0.406f };
    static const float  std[3] = { 0.229f, 0.224f, 0.225f };

    if (image_shape(model, &height, &width, &channels, err) != 0) {
        return -1;
    }

    /* torchvision's ratio: 256 for 224, 342 for 299 */
    memset(&p, 0, sizeof(p));
    p.crop = (int32_t) (height < width ? height : width);
    p.resize = (int32_t) (((int64_t) p.crop * 256 + 112) / 224);

    for (int c = 0; c < 3; c++) {
        p.mean[c] = channels == 3 ? mean[c] : 0;
        p.std[c] = channels == 3 ? std[c] : 1;
    }

    p.color = channels == 3 ? INFER_COLOR_RGB : INFER_COLOR_GRAY;

    if (model->preprocess != 0
        && infer_preprocess_parse(&p, infer_model_at(model,
                                                     model->preprocess), err)
           != 0)
    {
        return -1;
    }

    *pp = p;

    return 0;
}


int
infer_model_check_preprocess(const infer_model_t *model,
    const infer_preprocess_t *pp, infer_error_t *err)
{
    int64_t  height, width, channels;

    if (image_shape(model, &height, &width, &channels, err) != 0) {
        return -1;
    }

    if ((pp->color == INFER_COLOR_GRAY) != (channels == 1)) {
        return fail(err, "the model's input has %lld channel%s, color=%s "
                    "does not fit", (long long) channels,
                    channels == 1 ? "" : "s",
                    pp->color == INFER_COLOR_GRAY ? "gray"
                    : pp->color == INFER_COLOR_BGR ? "bgr" : "rgb");
    }

    if (pp->crop != 0 && (pp->crop != height || pp->crop != width)) {
        return fail(err, "crop=%d gives %dx%d pixels, the model's input has "
                    "%lldx%lld", pp->crop, pp->crop, pp->crop,
                    (long long) height, (long long) width);
    }

    for (int c = 0; c < (int) channels; c++) {
        if (!(pp->std[c] != 0)) {
            return fail(err, "std must not be 0");
        }
    }

    return 0;
}


/* Fails where the model is no image classifier. */
static int
image_shape(const infer_model_t *m, int64_t *height, int64_t *width,
    int64_t *channels, infer_error_t *err)
{
    infer_port_t  in;

    if (m->n_inputs != 1) {
        return fail(err, "the model has %u inputs, an image classifier has "
                    "one", m->n_inputs);
    }

    infer_model_input(m, 0, &in);

    if (in.dtype != INFER_F32 || in.rank != 4
        || (in.dim[0] != INFER_BATCH && in.dim[0] != 1))
    {
        return fail(err, "the model's input \"%s\" is not one float32 image",
                    in.name);
    }

    if (in.dim[1] == 1 || in.dim[1] == 3) {
        *channels = in.dim[1];
        *height = in.dim[2];
        *width = in.dim[3];

    } else if (in.dim[3] == 1 || in.dim[3] == 3) {
        *channels = in.dim[3];
        *height = in.dim[1];
        *width = in.dim[2];

    } else {
        return fail(err, "the model's input \"%s\" has neither 1 nor 3 "
                    "channels", in.name);
    }

    if (*height < 1 || *width < 1 || *height > 65536 || *width > 65536) {
        return fail(err, "the model's input \"%s\" is no image of a size "
                    "that can be made", in.name);
    }

    if (infer_model_classes(m) == 0) {
        return fail(err, "the model's first output is not one float32 score "
                    "per class");
    }

    return 0;
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
