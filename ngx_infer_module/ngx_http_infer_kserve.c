
/*
 * KServe's Open Inference Protocol, version 2: what is asked with POST
 * .../infer, in JSON or with binary tensors after the JSON.
 *
 * One string of base64, or one binary element, that holds an image may stand
 * for the tensor of an image classifier, with the datatype BYTES; several are
 * a batch.
 */


#include "ngx_http_infer_tensors.h"
#include "ngx_http_infer_protocols.h"


/* the binary part of a request, as its inputs take from it */
typedef struct {
    u_char                      *p;
    u_char                      *last;
} ngx_http_infer_kserve_raw_t;


static ngx_int_t ngx_http_infer_kserve_body(ngx_http_infer_call_t *call);
static ngx_int_t ngx_http_infer_kserve_id(ngx_http_infer_call_t *call,
    json_t *id);
static ngx_int_t ngx_http_infer_kserve_image_body(ngx_http_infer_call_t *call);
static ngx_uint_t ngx_http_infer_kserve_is_image(ngx_http_infer_task_t *task);
static ngx_int_t ngx_http_infer_kserve_parameters(ngx_http_infer_call_t *call,
    json_t *root, ngx_uint_t *binary);
static ngx_int_t ngx_http_infer_kserve_inputs(ngx_http_infer_call_t *call,
    ngx_str_t *text, ngx_http_infer_kserve_raw_t *raw);
static ngx_int_t ngx_http_infer_kserve_input(ngx_http_infer_call_t *call,
    json_t *object, ngx_str_t *data, ngx_http_infer_kserve_raw_t *raw);
static ngx_int_t ngx_http_infer_kserve_shape(ngx_http_infer_call_t *call,
    json_t *shape, int *rank, int64_t *dim);
static ngx_int_t ngx_http_infer_kserve_data(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, int rank, int64_t *dim, ngx_str_t *data);
static ngx_int_t ngx_http_infer_kserve_binary(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, json_t *size,
    ngx_http_infer_kserve_raw_t *raw);
static ngx_int_t ngx_http_infer_kserve_elements(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, u_char *p, u_char *last);
static ngx_int_t ngx_http_infer_kserve_strings(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *data);
static ngx_int_t ngx_http_infer_kserve_outputs(ngx_http_infer_call_t *call,
    json_t *outputs, ngx_uint_t binary);
static ngx_int_t ngx_http_infer_kserve_output(ngx_http_infer_call_t *call,
    json_t *object, ngx_uint_t binary);
static ngx_int_t ngx_http_infer_kserve_tensor(ngx_http_infer_call_t *call,
    ngx_http_infer_output_t *output, ngx_http_infer_out_t *out,
    ngx_http_infer_out_t *binary);


ngx_int_t
ngx_http_infer_kserve_read(ngx_http_infer_task_t *task)
{
    ngx_http_infer_call_t  *call;

    call = ngx_http_infer_create_call(task);

    return call ? ngx_http_infer_kserve_body(call) : NGX_ERROR;
}


static ngx_int_t
ngx_http_infer_kserve_body(ngx_http_infer_call_t *call)
{
    json_t                       *root;
    ngx_int_t                     rc;
    ngx_str_t                     text;
    ngx_uint_t                    binary;
    const char                   *why;
    ngx_http_infer_task_t        *task;
    ngx_http_infer_member_t       large[2];
    ngx_http_infer_kserve_raw_t   raw;

    binary = 0;
    task = call->task;

    if (ngx_http_infer_body_read(task) != NGX_OK) {
        return NGX_ERROR;
    }

    if (task->json_size == 0) {
        return ngx_http_infer_kserve_image_body(call);
    }

    if (task->json_size > (off_t) task->size) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "Inference-Header-Content-Length is "
                                        "larger than the body");
    }

    text.data = task->body;
    text.len = task->json_size == -1 ? task->size : (size_t) task->json_size;

    raw.p = task->body + text.len;
    raw.last = task->body + task->size;

    ngx_memzero(large, sizeof(large));
    large[0].key = "inputs";

    root = ngx_http_infer_json_object(&text, large, &why);
    if (root == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED, "%s",
                                        why);
    }

    rc = ngx_http_infer_kserve_parameters(call, root, &binary);

    if (rc == NGX_OK) {
        rc = ngx_http_infer_kserve_outputs(call,
                                           json_object_get(root, "outputs"),
                                           binary);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_infer_kserve_inputs(call, &large[0].value, &raw);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_infer_kserve_id(call, json_object_get(root, "id"));
    }

    json_decref(root);

    return rc;
}


/* to be sent back */

static ngx_int_t
ngx_http_infer_kserve_id(ngx_http_infer_call_t *call, json_t *id)
{
    if (id == NULL) {
        return NGX_OK;
    }

    call->id.len = json_string_length(id);
    call->id.data = ngx_pnalloc(call->pool, call->id.len + 1);

    if (call->id.data == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                        "out of memory");
    }

    ngx_memcpy(call->id.data, json_string_value(id), call->id.len);

    ngx_http_infer_sample_id(call->task, json_string_value(id), call->id.len);

    return NGX_OK;
}


/* a body without JSON: the only input, as a tensor or as an image */

static ngx_int_t
ngx_http_infer_kserve_image_body(ngx_http_infer_call_t *call)
{
    ngx_uint_t               images;
    ngx_http_infer_task_t   *task;
    ngx_http_infer_input_t  *input;

    task = call->task;
    input = call->inputs;

    if (call->ninputs != 1) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "a body without JSON is for models "
                                        "with one input");
    }

    images = ngx_http_infer_call_takes_images(call, input)
             && ngx_http_infer_kserve_is_image(task);

    if (!images && (input->size == 0 || task->size % input->size)) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "%uz bytes are no multiple of the %uz "
                                        "of input \"%s\"", task->size,
                                        input->size, input->port.name);
    }

    if (ngx_http_infer_kserve_outputs(call, NULL, 0) != NGX_OK
        || ngx_http_infer_call_batch(call, images ? 1
                                           : task->size / input->size)
           != NGX_OK
        || ngx_http_infer_call_alloc(call, input, images) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (images) {
        input->images[0].data = task->body;
        input->images[0].len = task->size;

    } else {
        ngx_memcpy(input->data, task->body, task->size);
    }

    return NGX_OK;
}


/* JPEG or PNG, which no sensible tensor looks like */

static ngx_uint_t
ngx_http_infer_kserve_is_image(ngx_http_infer_task_t *task)
{
    return (task->size > 3 && ngx_memcmp(task->body, "\xff\xd8\xff", 3) == 0)
           || (task->size > 8
               && ngx_memcmp(task->body, "\x89PNG\r\n\x1a\n", 8) == 0);
}


static ngx_int_t
ngx_http_infer_kserve_parameters(ngx_http_infer_call_t *call, json_t *root,
    ngx_uint_t *binary)
{
    json_t     *id, *parameters, *timeout, *output;
    json_int_t  us;

    id = json_object_get(root, "id");
    parameters = json_object_get(root, "parameters");
    timeout = json_object_get(parameters, "timeout");
    output = json_object_get(parameters, "binary_data_output");

    if (id && !json_is_string(id)) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "\"id\" is no string");
    }

    if ((parameters && !json_is_object(parameters))
        || (output && !json_is_boolean(output)))
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "\"parameters\" or one of them has "
                                        "the wrong type");
    }

    *binary = json_is_true(output);

    if (timeout) {
        us = json_integer_value(timeout);

        if (!json_is_integer(timeout) || us < 0) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                            "\"timeout\" is no number of "
                                            "microseconds");
        }

        /* 0: none; more than a year is as good as none */

        if (us > 0 && us < 31536000000000) {
            call->deadline = call->task->admitted + us * 1000;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_inputs(ngx_http_infer_call_t *call, ngx_str_t *text,
    ngx_http_infer_kserve_raw_t *raw)
{
    json_t                   *object;
    ngx_int_t                 rc;
    ngx_str_t                 key, value;
    const char               *why;
    ngx_http_infer_json_t     json;
    ngx_http_infer_member_t   large[2];

    if (text->data == NULL || ngx_http_infer_json_open(&json, text) != NGX_OK
        || json.close != ']')
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "\"inputs\" is missing or no array");
    }

    while ((rc = ngx_http_infer_json_next(&json, &key, &value)) == NGX_OK) {

        ngx_memzero(large, sizeof(large));
        large[0].key = "data";

        object = ngx_http_infer_json_object(&value, large, &why);

        if (object == NULL) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                            "%s", why);
        }

        rc = ngx_http_infer_kserve_input(call, object, &large[0].value, raw);

        json_decref(object);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (rc == NGX_ERROR) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED, "%s",
                                        json.why);
    }

    if (raw->p != raw->last) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "%uz bytes after the JSON belong to "
                                        "no input",
                                        (size_t) (raw->last - raw->p));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_input(ngx_http_infer_call_t *call, json_t *object,
    ngx_str_t *data, ngx_http_infer_kserve_raw_t *raw)
{
    int                      rank, i;
    json_t                  *name, *type, *parameters, *size;
    int64_t                  dim[INFER_MAX_RANK], n;
    ngx_uint_t               images;
    ngx_http_infer_input_t  *input;

    rank = 0;

    name = json_object_get(object, "name");
    type = json_object_get(object, "datatype");
    parameters = json_object_get(object, "parameters");
    size = json_object_get(parameters, "binary_data_size");

    if (!json_is_string(name) || !json_is_string(type)
        || (parameters && !json_is_object(parameters))
        || !data->data == !size)
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an input has a name, a shape, a "
                                        "datatype, and either data or "
                                        "binary_data_size");
    }

    input = ngx_http_infer_call_input(call, json_string_value(name),
                                      json_string_length(name));

    if (input == NULL
        || ngx_http_infer_kserve_shape(call, json_object_get(object, "shape"),
                                       &rank, dim)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (input->data || input->images) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "input \"%s\" comes twice",
                                        input->port.name);
    }

    images = ngx_strcmp(json_string_value(type), "BYTES") == 0
             && ngx_http_infer_call_takes_images(call, input);

    if (images) {
        for (n = 1, i = 0; i < rank && n <= UINT16_MAX; i++) {
            n *= ngx_min(dim[i], UINT16_MAX + 1);
        }

        if (ngx_http_infer_call_batch(call, n) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_strcmp(json_string_value(type),
                          ngx_http_infer_kserve_datatype(input->port.dtype))
               != 0)
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "the datatype of input \"%s\" is %s%s",
                                        input->port.name,
                                        ngx_http_infer_kserve_datatype(
                                            input->port.dtype),
                                        ngx_http_infer_call_takes_images(call,
                                            input) ? " or BYTES" : "");

    } else if (ngx_http_infer_call_shape(call, input, rank, dim) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_infer_call_alloc(call, input, images) != NGX_OK) {
        return NGX_ERROR;
    }

    return size ? ngx_http_infer_kserve_binary(call, input, size, raw)
                : ngx_http_infer_kserve_data(call, input, rank, dim, data);
}


static ngx_int_t
ngx_http_infer_kserve_shape(ngx_http_infer_call_t *call, json_t *shape,
    int *rank, int64_t *dim)
{
    size_t   i, n;
    json_t  *value;

    n = json_array_size(shape);

    if (!json_is_array(shape) || n > INFER_MAX_RANK) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        value = json_array_get(shape, i);

        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            goto failed;
        }

        dim[i] = json_integer_value(value);
    }

    *rank = (int) n;

    return NGX_OK;

failed:

    return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                    "a shape is an array of at most %d "
                                    "numbers that are not negative",
                                    INFER_MAX_RANK);
}


static ngx_int_t
ngx_http_infer_kserve_data(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, int rank, int64_t *dim, ngx_str_t *data)
{
    const char  *why;

    if (input->images) {
        return ngx_http_infer_kserve_strings(call, input, data);
    }

    if (ngx_http_infer_json_numbers(data, input->port.dtype, rank, dim, 1,
                                    input->data, &why)
        != NGX_OK)
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "data of input \"%s\": %s",
                                        input->port.name, why);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_binary(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, json_t *size,
    ngx_http_infer_kserve_raw_t *raw)
{
    u_char      *p;
    json_int_t   n;

    n = json_integer_value(size);

    if (!json_is_integer(size) || n < 0 || n > raw->last - raw->p) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "the binary data of input \"%s\" is "
                                        "not there", input->port.name);
    }

    p = raw->p;
    raw->p += n;

    if (input->images) {
        return ngx_http_infer_kserve_elements(call, input, p, raw->p);
    }

    if ((uint64_t) n != call->batch * input->size) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "the binary data of input \"%s\" has "
                                        "%L bytes, not the %uz of its shape",
                                        input->port.name, (int64_t) n,
                                        call->batch * input->size);
    }

    ngx_memcpy(input->data, p, n);

    return NGX_OK;
}


/* each with its length before it, 4 bytes, little-endian */

static ngx_int_t
ngx_http_infer_kserve_elements(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, u_char *p, u_char *last)
{
    size_t  i, len;

    for (i = 0; i < call->batch; i++) {

        if (last - p < 4) {
            break;
        }

        len = p[0] | p[1] << 8 | p[2] << 16 | (size_t) p[3] << 24;
        p += 4;

        if (len > (size_t) (last - p)) {
            break;
        }

        input->images[i].data = p;
        input->images[i].len = len;

        p += len;
    }

    if (i < call->batch || p != last) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "the elements of input \"%s\" are not "
                                        "as long as they say",
                                        input->port.name);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_strings(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *data)
{
    size_t                 i;
    ngx_int_t              rc;
    ngx_str_t              key, value;
    ngx_http_infer_json_t  json;

    i = 0;
    rc = ngx_http_infer_json_open(&json, data);

    if (rc == NGX_OK && json.close != ']') {
        rc = NGX_ERROR;
    }

    while (rc == NGX_OK) {
        rc = ngx_http_infer_json_next(&json, &key, &value);

        if (rc != NGX_OK || i == call->batch) {
            break;
        }

        if (ngx_http_infer_call_base64(call, &value, &input->images[i++])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (rc != NGX_DONE || i < call->batch) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "data of input \"%s\" is no array of "
                                        "%uz strings", input->port.name,
                                        call->batch);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_outputs(ngx_http_infer_call_t *call, json_t *outputs,
    ngx_uint_t binary)
{
    size_t   i;
    json_t  *object;

    if (outputs && !json_is_array(outputs)) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "\"outputs\" is no array");
    }

    if (json_array_size(outputs) == 0) {

        for (i = 0; i < call->noutputs; i++) {
            call->outputs[i].wanted = 1;
            call->outputs[i].binary = binary;
        }
    }

    json_array_foreach(outputs, i, object) {
        if (ngx_http_infer_kserve_output(call, object, binary) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_kserve_output(ngx_http_infer_call_t *call, json_t *object,
    ngx_uint_t binary)
{
    json_t                   *name, *parameters, *data, *classes;
    ngx_http_infer_output_t  *output;

    name = json_object_get(object, "name");
    parameters = json_object_get(object, "parameters");
    data = json_object_get(parameters, "binary_data");
    classes = json_object_get(parameters, "classification");

    if (!json_is_string(name)
        || (parameters && !json_is_object(parameters))
        || (data && !json_is_boolean(data))
        || (classes && (!json_is_integer(classes)
                        || json_integer_value(classes) < 0)))
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an output has no name, or a "
                                        "parameter of the wrong type");
    }

    output = ngx_http_infer_call_output(call, json_string_value(name),
                                        json_string_length(name));
    if (output == NULL) {
        return NGX_ERROR;
    }

    if (output->wanted) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "output \"%s\" comes twice",
                                        output->port.name);
    }

    output->wanted = 1;
    output->binary = data ? json_is_true(data) : binary;
    output->classes = ngx_min((size_t) json_integer_value(classes),
                              output->count);

    if (output->classes && output->port.dtype != INFER_F32) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "classification is for outputs of "
                                        "datatype FP32");
    }

    return NGX_OK;
}


void
ngx_http_infer_kserve_write(ngx_http_infer_task_t *task)
{
    off_t                   json_size;
    size_t                  i;
    ngx_str_t               text;
    ngx_uint_t              n;
    ngx_http_infer_out_t    out, binary;
    ngx_http_infer_call_t  *call;

    call = task->call;

    ngx_memzero(&out, sizeof(ngx_http_infer_out_t));
    out.pool = call->pool;
    binary = out;

    ngx_http_infer_out_text(&out, "{\"model_name\":");
    ngx_http_infer_out_string(&out, &call->service->endpoint->name);

    text = ngx_http_infer_version(call->service->endpoint);
    ngx_http_infer_out_text(&out, ",\"model_version\":");
    ngx_http_infer_out_string(&out, &text);

    if (call->id.data) {
        ngx_http_infer_out_text(&out, ",\"id\":");
        ngx_http_infer_out_string(&out, &call->id);
    }

    ngx_http_infer_out_text(&out, ",\"outputs\":[");

    for (i = 0, n = 0; i < call->noutputs; i++) {

        if (!call->outputs[i].wanted) {
            continue;
        }

        if (n++) {
            ngx_http_infer_out_text(&out, ",");
        }

        if (ngx_http_infer_kserve_tensor(call, &call->outputs[i], &out,
                                         &binary)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_http_infer_out_text(&out, "]}");

    json_size = -1;

    if (binary.start) {
        json_size = out.last - out.start;
        ngx_http_infer_out_bytes(&out, binary.start,
                                 binary.last - binary.start);
        out.failed |= binary.failed;
    }

    ngx_http_infer_call_answer(call, &out, json_size);
}


static ngx_int_t
ngx_http_infer_kserve_tensor(ngx_http_infer_call_t *call,
    ngx_http_infer_output_t *output, ngx_http_infer_out_t *out,
    ngx_http_infer_out_t *binary)
{
    int                    i;
    size_t                 size;
    int64_t                count;
    ngx_str_t              name;
    ngx_http_infer_out_t  *data;

    name.data = (u_char *) output->port.name;
    name.len = ngx_strlen(name.data);

    ngx_http_infer_out_text(out, "{\"name\":");
    ngx_http_infer_out_string(out, &name);
    ngx_http_infer_out_text(out, ",\"datatype\":\"");
    ngx_http_infer_out_text(out, output->classes ? "BYTES"
                            : ngx_http_infer_kserve_datatype(
                                  output->port.dtype));
    ngx_http_infer_out_text(out, "\",\"shape\":[");

    if (output->classes) {
        ngx_http_infer_out_integer(out, call->batch);
        ngx_http_infer_out_text(out, ",");
        ngx_http_infer_out_integer(out, output->classes);
    }

    for (i = 0; i < output->port.rank && output->classes == 0; i++) {
        if (i) {
            ngx_http_infer_out_text(out, ",");
        }

        ngx_http_infer_out_integer(out, output->port.dim[i]
                                        * (i == 0 ? (int64_t) call->batch
                                                  : 1));
    }

    /* binary data comes after all of the JSON: its size is told here */

    data = output->binary ? binary : out;
    size = data->last - data->start;

    ngx_http_infer_out_text(out, output->binary ? "]" : "],\"data\":");

    if (output->classes) {
        if (ngx_http_infer_write_classes(call, output, data) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (output->binary) {
        ngx_http_infer_out_bytes(data, output->data,
                                 call->batch * output->size);

    } else {
        count = call->batch * output->count;

        if (ngx_http_infer_out_tensor(data, output->port.dtype, 1, &count,
                                      output->data)
            != NGX_OK)
        {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SCORES,
                                            "JSON has no way to write output "
                                            "\"%s\": ask for binary data",
                                            output->port.name);
        }
    }

    if (output->binary) {
        ngx_http_infer_out_text(out, ",\"parameters\":{\"binary_data_size\":");
        ngx_http_infer_out_integer(out, data->last - data->start - size);
        ngx_http_infer_out_text(out, "}");
    }

    ngx_http_infer_out_text(out, "}");

    return NGX_OK;
}
