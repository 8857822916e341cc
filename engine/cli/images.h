/*
 * Images through a classifier, by the same steps as in a server: decode,
 * prepare, normalise into the session's input, run.
 */

#ifndef INFER_CLI_IMAGES_H
#define INFER_CLI_IMAGES_H

#include "infer.h"


/* An image to be classified: a file, or gray pixels that are in memory. */
typedef struct {
    char           *name;         /* of the file; "-": stdin */
    const uint8_t  *gray;         /* height * width pixels, or NULL */
    int32_t         width;
    int32_t         height;
} cli_image_t;

typedef struct {
    infer_session_t          *session;
    const infer_parallel_t   *parallel;
    const infer_preprocess_t *pp;
    size_t                    max_pixels;
} cli_classifier_t;

/*
 * Decodes image and prepares it for the model; the caller frees *prepared
 * with infer_image_free.  The error names the image.
 */
int cli_image_load(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, infer_image_t *prepared, infer_error_t *err);

/* The same, and fills the sample up to infer_sample_image. */
int cli_image_sample(const cli_image_t *image, const infer_preprocess_t *pp,
    size_t max_pixels, infer_image_t *prepared, infer_sample_t *sample,
    infer_error_t *err);

/*
 * Classifies n images, no more than the session's batch, on the threads of
 * parallel.  Image i is place i of the batch.  err[i].text is empty unless
 * image i could not be read; its place then holds nothing of meaning.
 */
void cli_classify(const cli_classifier_t *classifier,
    const cli_image_t *image, size_t n, infer_error_t *err);

/*
 * A session for images: of the batch the model is fixed to, else of `wanted`.
 * The batch taken is left in *batch.
 */
infer_session_t *cli_image_session(const infer_model_t *model,
    const char *path, size_t wanted, const infer_parallel_t *parallel,
    size_t *batch, infer_error_t *err);

#endif /* INFER_CLI_IMAGES_H */
