
/*
 * A call: the tensors of a request, held against the model before there is
 * memory for them, and run item by item.  Batch 1 is what sessions are planned
 * for; the bits are those of any batch.
 */


#include "ngx_http_infer_tensors.h"


static ngx_int_t ngx_http_infer_call_ports(ngx_http_infer_call_t *call,
    const infer_model_t *model);
static ngx_uint_t ngx_http_infer_close_port(infer_port_t *port,
    size_t *count);
static ngx_int_t ngx_http_infer_call_outputs(ngx_http_infer_call_t *call);
static ngx_int_t ngx_http_infer_call_item(ngx_http_infer_call_t *call,
    infer_session_t *session, size_t n);


ngx_http_infer_call_t *
ngx_http_infer_create_call(ngx_http_infer_task_t *task)
{
    ngx_http_infer_call_t  *call;

    task->pool = ngx_create_pool(4096, ngx_cycle->log);

    call = task->pool ? ngx_pcalloc(task->pool, sizeof(ngx_http_infer_call_t))
                      : NULL;

    if (call == NULL) {
        goto failed;
    }

    call->task = task;
    call->service = task->service;
    call->pool = task->pool;

    if (ngx_http_infer_call_ports(call, task->service->endpoint->model->model)
        == NGX_OK)
    {
        return call;
    }

failed:

    ngx_http_infer_task_fail(task, NGX_HTTP_INFER_MEMORY, "out of memory");

    return NULL;
}


static ngx_int_t
ngx_http_infer_call_ports(ngx_http_infer_call_t *call,
    const infer_model_t *model)
{
    size_t                    i, count;
    ngx_http_infer_input_t   *input;
    ngx_http_infer_output_t  *output;

    call->ninputs = infer_model_inputs(model);
    call->noutputs = infer_model_outputs(model);

    call->inputs = ngx_pcalloc(call->pool, call->ninputs
                                           * sizeof(ngx_http_infer_input_t));
    call->outputs = ngx_pcalloc(call->pool, call->noutputs
                                            * sizeof(ngx_http_infer_output_t));

    if (call->inputs == NULL || call->outputs == NULL) {
        return NGX_ERROR;
    }

    call->open = 1;
    call->batch = call->ninputs ? 0 : 1;

    for (i = 0; i < call->ninputs; i++) {
        input = &call->inputs[i];

        infer_model_input(model, i, &input->port);
        call->open &= ngx_http_infer_close_port(&input->port, &count);

        input->size = count * infer_dtype_size(input->port.dtype);
    }

    for (i = 0; i < call->noutputs; i++) {
        output = &call->outputs[i];

        infer_model_output(model, i, &output->port);
        call->open &= ngx_http_infer_close_port(&output->port,
                                                &output->count);

        output->size = output->count * infer_dtype_size(output->port.dtype);
    }

    return NGX_OK;
}


/* batch 1; whether the batch was open in the first dimension, and only there */

static ngx_uint_t
ngx_http_infer_close_port(infer_port_t *port, size_t *count)
{
    int         i;
    ngx_uint_t  open;

    *count = 1;
    open = (port->rank > 0 && port->dim[0] == INFER_BATCH);

    for (i = 0; i < port->rank; i++) {

        if (port->dim[i] == INFER_BATCH) {
            port->dim[i] = 1;
            open &= (i == 0);
        }

        *count *= port->dim[i];
    }

    return open;
}


ngx_int_t
ngx_http_infer_call_fail(ngx_http_infer_call_t *call,
    ngx_http_infer_reason_e reason, const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    p = (u_char *) call->task->err.text;
    last = p + sizeof(call->task->err.text) - 1;

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    *p = '\0';

    /* names of a request end up in logs and headers */

    for (p = (u_char *) call->task->err.text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }

    call->task->reason = reason;

    return NGX_ERROR;
}


ngx_http_infer_input_t *
ngx_http_infer_call_input(ngx_http_infer_call_t *call, const char *name,
    size_t len)
{
    size_t       i;
    const char  *own;

    for (i = 0; i < call->ninputs; i++) {
        own = call->inputs[i].port.name;

        if (ngx_strlen(own) == len && ngx_memcmp(own, name, len) == 0) {
            return &call->inputs[i];
        }
    }

    (void) ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                    "the model has no such input: \"%*s\"",
                                    ngx_min(len, 200), name);

    return NULL;
}


ngx_http_infer_output_t *
ngx_http_infer_call_output(ngx_http_infer_call_t *call, const char *name,
    size_t len)
{
    size_t       i;
    const char  *own;

    for (i = 0; i < call->noutputs; i++) {
        own = call->outputs[i].port.name;

        if (ngx_strlen(own) == len && ngx_memcmp(own, name, len) == 0) {
            return &call->outputs[i];
        }
    }

    (void) ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                    "the model has no such output: \"%*s\"",
                                    ngx_min(len, 200), name);

    return NULL;
}


ngx_int_t
ngx_http_infer_call_batch(ngx_http_infer_call_t *call, int64_t n)
{
    ngx_uint_t  max;

    max = call->open ? call->service->conf->max_batch : 1;

    if (n < 1) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "an empty batch");
    }

    if (n > (int64_t) max) {
        return ngx_http_infer_call_fail(call,
                                        call->open ? NGX_HTTP_INFER_BODY_SIZE
                                                   : NGX_HTTP_INFER_SHAPE,
                                        "a batch of %L, at most %ui are "
                                        "taken", n, max);
    }

    if (call->batch && call->batch != (size_t) n) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "inputs with batches of %uz and %L",
                                        call->batch, n);
    }

    call->batch = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_call_shape(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, int rank, const int64_t *dim)
{
    int  i;

    if (rank != input->port.rank) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "input \"%s\" has %d dimensions, not "
                                        "%d", input->port.name,
                                        input->port.rank, rank);
    }

    for (i = call->open; i < rank; i++) {

        if (dim[i] != input->port.dim[i]) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                            "dimension %d of input \"%s\" is "
                                            "%L, not %L", i,
                                            input->port.name,
                                            input->port.dim[i], dim[i]);
        }
    }

    return ngx_http_infer_call_batch(call, call->open ? dim[0] : 1);
}


ngx_uint_t
ngx_http_infer_call_takes_images(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input)
{
    return call->service->no_image == NULL && input == call->inputs;
}


ngx_int_t
ngx_http_infer_call_alloc(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_uint_t images)
{
    if (images) {
        input->images = ngx_pcalloc(call->pool,
                                    call->batch * sizeof(ngx_str_t));
    } else {
        input->data = ngx_palloc(call->pool,
                                 ngx_max(call->batch * input->size, 1));
    }

    if (input->images == NULL && input->data == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                        "out of memory");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_call_base64(ngx_http_infer_call_t *call, ngx_str_t *text,
    ngx_str_t *image)
{
    ngx_str_t  inner;

    if (text->len < 2 || text->data[0] != '"') {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an image is a string of base64");
    }

    inner.data = text->data + 1;
    inner.len = text->len - 2;

    image->data = ngx_palloc(call->pool,
                             ngx_base64_decoded_length(inner.len) + 1);

    if (image->data == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                        "out of memory");
    }

    if (ngx_decode_base64(image, &inner) != NGX_OK || image->len == 0) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an image is not valid base64");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_call_run(ngx_http_infer_call_t *call)
{
    size_t                       i, n;
    ngx_int_t                    rc;
    ngx_http_infer_task_t       *task;
    ngx_http_infer_workspace_t  *ws;

    rc = NGX_OK;
    task = call->task;

    for (i = 0; i < call->ninputs; i++) {

        if (call->inputs[i].data == NULL && call->inputs[i].images == NULL) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                            "input \"%s\" is missing",
                                            call->inputs[i].port.name);
        }
    }

    if (ngx_http_infer_call_outputs(call) != NGX_OK) {
        return NGX_ERROR;
    }

    task->decoding = ngx_http_infer_now() - task->started;

    ws = ngx_http_infer_get_workspace(task);
    if (ws == NULL) {
        return NGX_ERROR;
    }

    for (n = 0; n < call->batch; n++) {
        rc = ngx_http_infer_call_item(call, ws->session, n);

        if (rc != NGX_OK) {
            break;
        }
    }

    ngx_http_infer_put_workspace(task, ws);

    if (rc == NGX_OK && call->deadline
        && ngx_http_infer_now() > call->deadline)
    {
        rc = ngx_http_infer_call_fail(call, NGX_HTTP_INFER_TIMEOUT,
                                      "no answer within the timeout of the "
                                      "request");
    }

    task->batch = call->batch;
    ngx_http_infer_task_finish(task);

    return rc;
}


static ngx_int_t
ngx_http_infer_call_outputs(ngx_http_infer_call_t *call)
{
    size_t                    i;
    ngx_http_infer_output_t  *output;

    for (i = 0; i < call->noutputs; i++) {
        output = &call->outputs[i];

        if (!output->wanted) {
            continue;
        }

        output->data = ngx_palloc(call->pool,
                                  ngx_max(call->batch * output->size, 1));

        if (output->data == NULL) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                            "out of memory");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_call_item(ngx_http_infer_call_t *call,
    infer_session_t *session, size_t n)
{
    size_t                    i;
    uint64_t                  begin;
    infer_tensor_t            tensor;
    ngx_http_infer_input_t   *input;
    ngx_http_infer_output_t  *output;

    begin = ngx_http_infer_now();

    if (call->deadline && begin > call->deadline) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_TIMEOUT,
                                        "no answer within the timeout of the "
                                        "request");
    }

    if (call->task->cancelled || ngx_terminate) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_CLIENT_GONE,
                                        "nobody waits for the answer");
    }

    for (i = 0; i < call->ninputs; i++) {
        input = &call->inputs[i];

        if (input->images == NULL) {
            infer_session_set_input(session, i,
                                    input->data + n * input->size);
            continue;
        }

        if (ngx_http_infer_set_image(call->task, &input->images[n], session)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (call->ninputs == 0 || call->inputs[0].images == NULL) {
        ngx_http_infer_sample_tensors(call, session, n);
        call->task->preprocessing += ngx_http_infer_now() - begin;
    }

    ngx_http_infer_compute(call->task, session);
    ngx_http_infer_sample_output(call->task, session);

    for (i = 0; i < call->noutputs; i++) {
        output = &call->outputs[i];

        if (output->wanted) {
            infer_session_output_tensor(session, i, &tensor);
            ngx_memcpy(output->data + n * output->size, tensor.data,
                       output->size);
        }
    }

    return NGX_OK;
}


void
ngx_http_infer_call_answer(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, off_t json_size)
{
    if (out->failed) {
        (void) ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                        "out of memory");
        return;
    }

    call->task->answer.data = out->start;
    call->task->answer.len = out->last - out->start;
    call->task->answer_json = json_size;
    call->task->reason = NGX_HTTP_INFER_OK;
}
