/*
 * MNIST's file format: gray images of one size, and their classes in a second
 * file.  Used by dataset.c.
 */

#ifndef INFER_CLI_IDX_H
#define INFER_CLI_IDX_H

#include "cli/dataset.h"


/* Whether a file begins as such images do, once unzipped. */
int cli_is_idx(const char *path);

/*
 * Reads the images of path and the classes from the file that has
 * "labels-idx1" for "images-idx3" in its name; where classes is 0, the images
 * alone.  On failure set is for cli_dataset_free.
 */
int cli_idx_open(cli_dataset_t *set, const char *path, size_t classes,
    infer_error_t *err);

#endif /* INFER_CLI_IDX_H */
