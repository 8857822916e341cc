/*
 * Tensors through a model: the common part of `run --input` and `check`.
 */

#ifndef INFER_CLI_TENSORS_H
#define INFER_CLI_TENSORS_H

#include "infer.h"


/*
 * Holds tensors against the inputs of a model.  Each is for the input of its
 * name, which may be "" where the model has one input; every input needs one,
 * of its dtype and shape.  The batch size that the tensors have is left in
 * *batch.  -1 with the error set, which does not name the model.
 */
int cli_tensors_check(const infer_model_t *model,
    const infer_named_tensor_t *tensor, size_t n, size_t *batch,
    infer_error_t *err);

/*
 * Makes a session of that batch size and sets its inputs from tensors that
 * have been checked.  NULL with the error set, which does not name the model.
 */
infer_session_t *cli_tensors_session(const infer_model_t *model,
    const infer_named_tensor_t *tensor, size_t n, size_t batch, size_t slots,
    infer_error_t *err);

/* Frees names and data of n tensors, and the array. */
void cli_tensors_free(infer_named_tensor_t *tensor, size_t n);

#endif /* INFER_CLI_TENSORS_H */
