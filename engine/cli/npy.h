/*
 * numpy's .npy files: one tensor with its dtype and shape.
 */

#ifndef INFER_CLI_NPY_H
#define INFER_CLI_NPY_H

#include "infer.h"


/*
 * Reads formats 1.0 to 3.0, little-endian, C or Fortran order, of the dtypes
 * the engine has (bfloat16 as ml_dtypes saves it: "V2").  The shape must
 * account for every byte of the file.  The caller frees tensor->data, whose
 * elements are in C order.
 */
int cli_npy_read(const char *path, infer_tensor_t *tensor,
    infer_error_t *err);

/* Writes format 1.0 in C order. */
int cli_npy_write(const char *path, const infer_tensor_t *tensor,
    infer_error_t *err);

/*
 * Elements of a tensor and the bytes they take.  -1 when a dimension is
 * negative or the product too large.
 */
int cli_tensor_size(const infer_tensor_t *tensor, size_t *elements,
    size_t *bytes);

#endif /* INFER_CLI_NPY_H */
