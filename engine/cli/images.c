/*
 * Images through a classifier.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/images.h"
#include "cli/model.h"


/* What a batch being read needs to know. */
typedef struct {
    const cli_classifier_t  *classifier;
    const cli_image_t       *image;
    infer_image_t           *prepared;
    infer_error_t           *err;
} batch_t;


/* Pixels in memory as the decoder would deliver them. */
static void
from_gray(const cli_image_t *image, const infer_preprocess_t *pp,
    infer_image_t *out)
{
    int     c;
    size_t  i, n = (size_t) image->width * (size_t) image->height;

    out->width = image->width;
    out->height = image->height;
    out->channels = pp->color == INFER_COLOR_GRAY ? 1 : 3;
    out->pixels = cli_alloc(n, (size_t) out->channels);

    for (i = 0; i < n; i++) {
        for (c = 0; c < out->channels; c++) {
            out->pixels[i * (size_t) out->channels + (size_t) c] =
                image->gray[i];
        }
    }
}


/* *data is the file's, for the caller to free; NULL where there is none. */
static int
decode(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, char **data, size_t *size, infer_image_t *out,
    infer_error_t *err)
{
    infer_image_status_t   status;

    *data = NULL;
    *size = 0;

    if (image->gray != NULL) {
        from_gray(image, pp, out);
        return 0;
    }

    if (cli_read_file(image->name, data, size, err) != 0) {
        return -1;
    }

    status = infer_image_decode(*data, *size, max_pixels, pp, out, err);

    return status == INFER_IMAGE_OK ? 0 : 1;
}


/* sample NULL: none is wanted. */
static int
load(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, infer_image_t *prepared, infer_sample_t *sample,
    infer_error_t *err)
{
    int            failed;
    char          *data;
    size_t         size;
    infer_error_t  why;
    infer_image_t  decoded;

    failed = decode(image, pp, max_pixels, &data, &size, &decoded, &why);

    if (failed == 0) {
        failed = infer_image_prepare(&decoded, pp, prepared, &why) ? 1 : 0;

        if (failed == 0 && sample != NULL) {
            infer_sample_begin(sample);
            infer_sample_image(sample, data, size, &decoded, prepared);
        }

        infer_image_free(&decoded);
    }

    free(data);

    if (failed > 0) {
        return cli_fail(err, "%.200s: %.300s", image->name, why.text);
    }

    if (failed < 0) {
        *err = why;
    }

    return failed;
}


int
cli_image_load(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, infer_image_t *prepared, infer_error_t *err)
{
    return load(image, pp, max_pixels, prepared, NULL, err);
}


int
cli_image_sample(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, infer_image_t *prepared, infer_sample_t *sample,
    infer_error_t *err)
{
    return load(image, pp, max_pixels, prepared, sample, err);
}


static void
read_image(void *arg, size_t i, size_t slot)
{
    batch_t                 *batch = arg;
    const cli_classifier_t  *c = batch->classifier;

    (void) slot;

    batch->err[i].text[0] = '\0';
    batch->prepared[i].pixels = NULL;

    cli_image_load(&batch->image[i], c->pp, c->max_pixels,
                   &batch->prepared[i], &batch->err[i]);
}


void
cli_classify(const cli_classifier_t *c, const cli_image_t *image, size_t n,
    infer_error_t *err)
{
    size_t          i;
    batch_t         batch = { c, image, NULL, err };
    infer_image_t  *prepared;

    batch.prepared = cli_alloc(n, sizeof(infer_image_t));
    c->parallel->run(c->parallel, read_image, &batch, n);

    for (i = 0; i < n; i++) {
        if (err[i].text[0] != '\0') {
            continue;
        }

        prepared = &batch.prepared[i];

        if (infer_session_set_image(c->session, i, prepared, c->pp) != 0) {
            cli_fail(&err[i], "%.400s: %dx%d pixels are not the size of the "
                     "model's input (see --preprocess)", image[i].name,
                     prepared->width, prepared->height);
        }

        infer_image_free(prepared);
    }

    free(batch.prepared);

    infer_session_run(c->session, c->parallel);
}


infer_session_t *
cli_image_session(const infer_model_t *model, const char *path,
    size_t wanted, const infer_parallel_t *parallel, size_t *batch,
    infer_error_t *err)
{
    infer_error_t     why;
    infer_session_t  *session;

    *batch = cli_model_batch(model);
    *batch = *batch ? *batch : wanted;

    session = infer_session_create(model, *batch, parallel->slots, &why);
    if (session == NULL) {
        cli_fail(err, "%.200s: %.300s", path, why.text);
    }

    return session;
}
