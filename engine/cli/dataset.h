/*
 * Labelled images, as training and test sets come:
 *
 *   DIR/<class>/<image>   the names of the class folders are class numbers,
 *                         or labels of the model, or else, sorted, stand for
 *                         0, 1, 2, ... (torchvision's ImageFolder)
 *   DIR/labels.csv, or a .csv file: a header line with the columns file and
 *                         label; paths are relative to the file
 *   *images-idx3*         MNIST's format, gzipped or not, with its labels in
 *                         a file beside it (*labels-idx1*)
 */

#ifndef INFER_CLI_DATASET_H
#define INFER_CLI_DATASET_H

#include "cli/images.h"
#include "cli/model.h"
#include "infer.h"


typedef struct {
    cli_image_t  *image;
    size_t       *label;          /* class of each image, < classes */
    size_t        n;
    uint8_t      *pixels;         /* of all images of an IDX file, or NULL */
} cli_dataset_t;

/*
 * Finds the images and their classes; decodes none.  labels are the model's
 * (they may be empty), classes how many it has.  0 or -1; freed with
 * cli_dataset_free.
 */
int cli_dataset_open(cli_dataset_t *set, const char *path,
    const cli_labels_t *labels, size_t classes, infer_error_t *err);

/*
 * Images without classes (each is of class 0): a folder of them and of folders
 * of them, or a file of MNIST's format.  They are in an order that depends on
 * what is in the files, not on their names.
 */
int cli_dataset_images(cli_dataset_t *set, const char *path,
    infer_error_t *err);

void cli_dataset_free(cli_dataset_t *set);

#endif /* INFER_CLI_DATASET_H */
