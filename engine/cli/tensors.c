/*
 * Tensors through a model.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/model.h"
#include "cli/tensors.h"


/* The tensor for an input; NULL if none is. */
static const infer_tensor_t *
find(const infer_model_t *model, const char *name,
    const infer_named_tensor_t *tensor, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (*tensor[i].name == '\0' ? infer_model_inputs(model) == 1
                                    : strcmp(tensor[i].name, name) == 0)
        {
            return &tensor[i].tensor;
        }
    }

    return NULL;
}


/* Every tensor must be for an input, and for one that no other is for. */
static int
check_names(const infer_model_t *model, const infer_named_tensor_t *tensor,
    size_t n, infer_error_t *err)
{
    char          names[200] = "";
    size_t        i, k, used = 0, inputs = infer_model_inputs(model);
    infer_port_t  port;

    for (k = 0; k < inputs && used < sizeof(names); k++) {
        infer_model_input(model, k, &port);
        used += (size_t) snprintf(names + used, sizeof(names) - used,
                                  "%s\"%s\"", k ? ", " : "", port.name);
    }

    for (i = 0; i < n; i++) {
        for (k = 0; k < inputs; k++) {
            infer_model_input(model, k, &port);
            if (find(model, port.name, &tensor[i], 1) != NULL) {
                break;
            }
        }

        if (k == inputs) {
            return *tensor[i].name
                   ? cli_fail(err, "there is no input \"%.100s\"; the inputs "
                              "are %s", tensor[i].name, names)
                   : cli_fail(err, "which of the inputs %s is it for? "
                              "(NAME=FILE)", names);
        }

        if (find(model, port.name, tensor, i) != NULL) {
            return cli_fail(err, "input \"%.200s\" is given twice",
                            port.name);
        }
    }

    return 0;
}


/* Holds a tensor against an input; *batch is 0 as long as it is open. */
static int
check_tensor(const infer_port_t *port, const infer_tensor_t *tensor,
    size_t *batch, infer_error_t *err)
{
    int   i, fits = port->rank == tensor->rank;
    char  has[CLI_TEXT_SIZE], wants[CLI_TEXT_SIZE];

    if (port->dtype != tensor->dtype) {
        return cli_fail(err, "input \"%.200s\" is %s, the tensor is %s",
                        port->name, infer_dtype_name(port->dtype),
                        infer_dtype_name(tensor->dtype));
    }

    for (i = 0; fits && i < port->rank; i++) {

        if (port->dim[i] != INFER_BATCH) {
            fits = port->dim[i] == tensor->dim[i];

        } else if (*batch == 0) {
            *batch = (size_t) tensor->dim[i];
            fits = *batch > 0;

        } else {
            fits = (int64_t) *batch == tensor->dim[i];
        }
    }

    if (!fits) {
        return cli_fail(err, "input \"%.200s\" is %s, the tensor is %s",
                        port->name,
                        cli_shape_text(wants, port->rank, port->dim),
                        cli_shape_text(has, tensor->rank, tensor->dim));
    }

    return 0;
}


int
cli_tensors_check(const infer_model_t *model,
    const infer_named_tensor_t *tensor, size_t n, size_t *batch,
    infer_error_t *err)
{
    size_t                  i;
    infer_port_t            port;
    const infer_tensor_t   *t;

    if (check_names(model, tensor, n, err) != 0) {
        return -1;
    }

    *batch = 0;

    for (i = 0; i < infer_model_inputs(model); i++) {
        infer_model_input(model, i, &port);
        t = find(model, port.name, tensor, n);

        if (t == NULL) {
            return cli_fail(err, "input \"%.200s\" is missing", port.name);
        }

        if (check_tensor(&port, t, batch, err) != 0) {
            return -1;
        }
    }

    if (*batch == 0) {
        *batch = cli_model_batch(model);
        *batch = *batch ? *batch : 1;
    }

    return 0;
}


infer_session_t *
cli_tensors_session(const infer_model_t *model,
    const infer_named_tensor_t *tensor, size_t n, size_t batch, size_t slots,
    infer_error_t *err)
{
    size_t            i;
    infer_port_t      port;
    infer_session_t  *session;

    session = infer_session_create(model, batch, slots, err);

    for (i = 0; session != NULL && i < infer_model_inputs(model); i++) {
        infer_model_input(model, i, &port);
        infer_session_set_input(session, i,
                                find(model, port.name, tensor, n)->data);
    }

    return session;
}


void
cli_tensors_free(infer_named_tensor_t *tensor, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        free((char *) tensor[i].name);
        free(tensor[i].tensor.data);
    }

    free(tensor);
}
