/*
 * Whether two tensors are the same, as ONNX's own test runner sees it.
 */

#ifndef INFER_CLI_SAME_H
#define INFER_CLI_SAME_H

#include "infer.h"


/*
 * dtype and shape must be equal; integers and bools exactly; floats x within
 * |x - y| <= 1e-7 + 1e-3 |y|, NaN being equal to NaN; bfloat16, which is
 * coarser than that, within its last bit.  Otherwise -1, with the first
 * difference in the error.
 */
int cli_same(const infer_tensor_t *got, const infer_tensor_t *expected,
    infer_error_t *err);

#endif /* INFER_CLI_SAME_H */
