
/*
 * TensorFlow Serving's REST API, version 1.
 *
 * A request holds rows of the batch: "instances" by row, an object of inputs
 * where there are several; "inputs" by input, an array of rows each.  A row of
 * an image classifier may be {"b64": "..."}, an image.
 */


#include "ngx_http_infer_tensors.h"


static ngx_int_t ngx_http_infer_tfs_body(ngx_http_infer_call_t *call);
static ngx_int_t ngx_http_infer_tfs_instances(ngx_http_infer_call_t *call,
    ngx_str_t *text);
static ngx_int_t ngx_http_infer_tfs_instance(ngx_http_infer_call_t *call,
    ngx_str_t *text, size_t row);
static ngx_int_t ngx_http_infer_tfs_columns(ngx_http_infer_call_t *call,
    ngx_str_t *text);
static ngx_int_t ngx_http_infer_tfs_column(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text);
static ngx_int_t ngx_http_infer_tfs_members(ngx_http_infer_call_t *call,
    ngx_str_t *text, size_t row, ngx_int_t (*read)(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text));
static ngx_int_t ngx_http_infer_tfs_rows(ngx_http_infer_call_t *call,
    ngx_str_t *text, size_t *rows);
static ngx_int_t ngx_http_infer_tfs_row(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text);
static ngx_int_t ngx_http_infer_tfs_image(ngx_http_infer_call_t *call,
    ngx_str_t *text, ngx_str_t *image);
static ngx_uint_t ngx_http_infer_tfs_is_image(ngx_str_t *text);
static ngx_int_t ngx_http_infer_tfs_syntax(ngx_http_infer_call_t *call,
    ngx_http_infer_json_t *json);
static void ngx_http_infer_tfs_predictions(ngx_http_infer_call_t *call);
static void ngx_http_infer_tfs_outputs(ngx_http_infer_call_t *call);
static ngx_int_t ngx_http_infer_tfs_tensor(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, ngx_http_infer_output_t *output, int rank,
    int64_t *dim, u_char *data);
static void ngx_http_infer_tfs_name(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, size_t i);
static json_t *ngx_http_infer_tfs_ports(const infer_model_t *model, size_t n,
    void (*get)(const infer_model_t *model, size_t i, infer_port_t *port));


static const char  *ngx_http_infer_tfs_names[] = {
    "DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16", "DT_INT8", "DT_UINT8",
    "DT_INT16", "DT_UINT16", "DT_INT32", "DT_UINT32", "DT_INT64", "DT_UINT64",
    "DT_BOOL"
};


ngx_int_t
ngx_http_infer_tfs_read(ngx_http_infer_task_t *task)
{
    size_t                  i;
    ngx_http_infer_call_t  *call;

    call = ngx_http_infer_create_call(task);
    if (call == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < call->noutputs; i++) {
        call->outputs[i].wanted = 1;
    }

    return ngx_http_infer_tfs_body(call);
}


void
ngx_http_infer_tfs_write(ngx_http_infer_task_t *task)
{
    if (task->call->columns) {
        ngx_http_infer_tfs_outputs(task->call);

    } else {
        ngx_http_infer_tfs_predictions(task->call);
    }
}


static ngx_int_t
ngx_http_infer_tfs_body(ngx_http_infer_call_t *call)
{
    size_t                    i;
    json_t                   *root;
    ngx_int_t                 rc;
    ngx_str_t                 text;
    const char               *why;
    ngx_http_infer_member_t   large[3];

    if (ngx_http_infer_body_read(call->task) != NGX_OK) {
        return NGX_ERROR;
    }

    text.data = call->task->body;
    text.len = call->task->size;

    ngx_memzero(large, sizeof(large));
    large[0].key = "instances";
    large[1].key = "inputs";

    root = ngx_http_infer_json_object(&text, large, &why);
    if (root == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED, "%s",
                                        why);
    }

    json_decref(root);

    if (!large[0].value.data == !large[1].value.data) {

        /* where images are posted, other JSON is just no image */

        return ngx_http_infer_call_fail(call,
                                        (call->task->route->pattern == NULL
                                         && large[0].value.data == NULL)
                                        ? NGX_HTTP_INFER_FORMAT
                                        : NGX_HTTP_INFER_MALFORMED,
                                        "either instances or inputs are "
                                        "expected");
    }

    for (i = 0; i < call->ninputs; i++) {

        if (call->inputs[i].port.rank == 0
            || (!call->open && call->inputs[i].port.dim[0] != 1))
        {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                            "input \"%s\" has no rows: use "
                                            "/v2", call->inputs[i].port.name);
        }
    }

    call->columns = (large[1].value.data != NULL);

    rc = call->columns ? ngx_http_infer_tfs_columns(call, &large[1].value)
                       : ngx_http_infer_tfs_instances(call, &large[0].value);

    for (i = 0; rc == NGX_OK && i < call->ninputs; i++) {

        if (call->inputs[i].filled != call->batch) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                            "input \"%s\" has %uz rows of "
                                            "%uz", call->inputs[i].port.name,
                                            call->inputs[i].filled,
                                            call->batch);
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_infer_tfs_instances(ngx_http_infer_call_t *call, ngx_str_t *text)
{
    size_t                 rows, row;
    ngx_str_t              key, value;
    ngx_http_infer_json_t  json;

    if (ngx_http_infer_tfs_rows(call, text, &rows) != NGX_OK
        || ngx_http_infer_call_batch(call, rows) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_http_infer_json_open(&json, text);

    for (row = 0; row < rows; row++) {
        (void) ngx_http_infer_json_next(&json, &key, &value);

        if (ngx_http_infer_tfs_instance(call, &value, row) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_tfs_instance(ngx_http_infer_call_t *call, ngx_str_t *text,
    size_t row)
{
    if (text->data[0] == '{' && !ngx_http_infer_tfs_is_image(text)) {
        return ngx_http_infer_tfs_members(call, text, row,
                                          ngx_http_infer_tfs_row);
    }

    if (call->ninputs != 1) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "the model has %uz inputs: an object "
                                        "that names them is expected",
                                        call->ninputs);
    }

    return ngx_http_infer_tfs_row(call, call->inputs, text);
}


static ngx_int_t
ngx_http_infer_tfs_columns(ngx_http_infer_call_t *call, ngx_str_t *text)
{
    if (text->data[0] == '{' && !ngx_http_infer_tfs_is_image(text)) {
        return ngx_http_infer_tfs_members(call, text, 0,
                                          ngx_http_infer_tfs_column);
    }

    if (call->ninputs != 1) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "the model has %uz inputs: an object "
                                        "that names them is expected",
                                        call->ninputs);
    }

    return ngx_http_infer_tfs_column(call, call->inputs, text);
}


static ngx_int_t
ngx_http_infer_tfs_column(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text)
{
    size_t                 rows, row;
    ngx_str_t              key, value;
    ngx_http_infer_json_t  json;

    if (ngx_http_infer_tfs_is_image(text)) {

        if (ngx_http_infer_call_batch(call, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_infer_tfs_row(call, input, text);
    }

    if (ngx_http_infer_tfs_rows(call, text, &rows) != NGX_OK
        || ngx_http_infer_call_batch(call, rows) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_http_infer_json_open(&json, text);

    for (row = 0; row < rows; row++) {
        (void) ngx_http_infer_json_next(&json, &key, &value);

        if (ngx_http_infer_tfs_row(call, input, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* an object of inputs, each with what belongs to this row, or all of it */

static ngx_int_t
ngx_http_infer_tfs_members(ngx_http_infer_call_t *call, ngx_str_t *text,
    size_t row, ngx_int_t (*read)(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text))
{
    ngx_int_t                rc;
    ngx_str_t                key, value;
    ngx_http_infer_json_t    json;
    ngx_http_infer_input_t  *input;

    rc = ngx_http_infer_json_open(&json, text);

    while (rc == NGX_OK) {
        rc = ngx_http_infer_json_next(&json, &key, &value);

        if (rc != NGX_OK) {
            break;
        }

        input = ngx_http_infer_call_input(call, (char *) key.data + 1,
                                          key.len - 2);
        if (input == NULL) {
            return NGX_ERROR;
        }

        if (input->filled != row) {
            return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                            "input \"%s\" comes twice, or is "
                                            "missing in a row",
                                            input->port.name);
        }

        if (read(call, input, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return rc == NGX_DONE ? NGX_OK : ngx_http_infer_tfs_syntax(call, &json);
}


/* the number of elements of an array */

static ngx_int_t
ngx_http_infer_tfs_rows(ngx_http_infer_call_t *call, ngx_str_t *text,
    size_t *rows)
{
    ngx_int_t              rc;
    ngx_str_t              key, value;
    ngx_http_infer_json_t  json;

    rc = ngx_http_infer_json_open(&json, text);

    if (rc != NGX_OK || json.close != ']') {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an array of rows is expected");
    }

    for (*rows = 0; /* void */ ; (*rows)++) {
        rc = ngx_http_infer_json_next(&json, &key, &value);

        if (rc != NGX_OK) {
            break;
        }
    }

    return rc == NGX_DONE ? NGX_OK : ngx_http_infer_tfs_syntax(call, &json);
}


static ngx_int_t
ngx_http_infer_tfs_syntax(ngx_http_infer_call_t *call,
    ngx_http_infer_json_t *json)
{
    return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED, "%s",
                                    json->why);
}


static ngx_int_t
ngx_http_infer_tfs_row(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_str_t *text)
{
    size_t       row;
    ngx_uint_t   images;
    const char  *why;

    row = input->filled++;
    images = ngx_http_infer_tfs_is_image(text);

    if (images && !ngx_http_infer_call_takes_images(call, input)) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "input \"%s\" takes no images",
                                        input->port.name);
    }

    if (row == 0) {
        if (ngx_http_infer_call_alloc(call, input, images) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (images != (input->images != NULL)) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "images and numbers in one batch");
    }

    if (images) {
        return ngx_http_infer_tfs_image(call, text, &input->images[row]);
    }

    if (ngx_http_infer_json_numbers(text, input->port.dtype,
                                    input->port.rank - 1,
                                    input->port.dim + 1, 0,
                                    input->data + row * input->size, &why)
        != NGX_OK)
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SHAPE,
                                        "row %uz of input \"%s\": %s", row,
                                        input->port.name, why);
    }

    return NGX_OK;
}


/* an object whose first member is "b64" */

static ngx_uint_t
ngx_http_infer_tfs_is_image(ngx_str_t *text)
{
    ngx_str_t              key, value;
    ngx_http_infer_json_t  json;

    return text->data[0] == '{'
           && ngx_http_infer_json_open(&json, text) == NGX_OK
           && ngx_http_infer_json_next(&json, &key, &value) == NGX_OK
           && key.len == 5 && ngx_memcmp(key.data, "\"b64\"", 5) == 0;
}


static ngx_int_t
ngx_http_infer_tfs_image(ngx_http_infer_call_t *call, ngx_str_t *text,
    ngx_str_t *image)
{
    ngx_str_t              key, value, other;
    ngx_http_infer_json_t  json;

    (void) ngx_http_infer_json_open(&json, text);
    (void) ngx_http_infer_json_next(&json, &key, &value);

    if (ngx_http_infer_json_next(&json, &key, &other) != NGX_DONE) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MALFORMED,
                                        "an image is {\"b64\": \"...\"}");
    }

    return ngx_http_infer_call_base64(call, &value, image);
}


static void
ngx_http_infer_tfs_predictions(ngx_http_infer_call_t *call)
{
    size_t                    n, i;
    ngx_http_infer_out_t      out;
    ngx_http_infer_output_t  *output;

    ngx_memzero(&out, sizeof(ngx_http_infer_out_t));
    out.pool = call->pool;

    ngx_http_infer_out_text(&out, "{\"predictions\": [");

    for (n = 0; n < call->batch; n++) {

        if (n) {
            ngx_http_infer_out_text(&out, ", ");
        }

        for (i = 0; i < call->noutputs; i++) {
            output = &call->outputs[i];

            if (call->noutputs > 1) {
                ngx_http_infer_tfs_name(call, &out, i);
            }

            /* without the dimension of the batch */

            if (ngx_http_infer_tfs_tensor(call, &out, output,
                                          ngx_max(output->port.rank - 1, 0),
                                          output->port.dim + 1,
                                          output->data + n * output->size)
                != NGX_OK)
            {
                return;
            }
        }

        if (call->noutputs > 1) {
            ngx_http_infer_out_text(&out, "}");
        }
    }

    ngx_http_infer_out_text(&out, "]}\n");

    ngx_http_infer_call_answer(call, &out, -1);
}


static void
ngx_http_infer_tfs_outputs(ngx_http_infer_call_t *call)
{
    size_t                    i;
    int64_t                   dim[INFER_MAX_RANK];
    ngx_http_infer_out_t      out;
    ngx_http_infer_output_t  *output;

    ngx_memzero(&out, sizeof(ngx_http_infer_out_t));
    out.pool = call->pool;

    ngx_http_infer_out_text(&out, "{\"outputs\": ");

    for (i = 0; i < call->noutputs; i++) {
        output = &call->outputs[i];

        if (call->noutputs > 1) {
            ngx_http_infer_tfs_name(call, &out, i);
        }

        ngx_memcpy(dim, output->port.dim, sizeof(dim));
        dim[0] *= call->batch;

        if (ngx_http_infer_tfs_tensor(call, &out, output, output->port.rank,
                                      dim, output->data)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_http_infer_out_text(&out, call->noutputs > 1 ? "}}\n" : "}\n");

    ngx_http_infer_call_answer(call, &out, -1);
}


static void
ngx_http_infer_tfs_name(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, size_t i)
{
    ngx_str_t  name;

    name.data = (u_char *) call->outputs[i].port.name;
    name.len = ngx_strlen(name.data);

    ngx_http_infer_out_text(out, i ? ", " : "{");
    ngx_http_infer_out_string(out, &name);
    ngx_http_infer_out_text(out, ": ");
}


static ngx_int_t
ngx_http_infer_tfs_tensor(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, ngx_http_infer_output_t *output, int rank,
    int64_t *dim, u_char *data)
{
    if (ngx_http_infer_out_tensor(out, output->port.dtype, rank, dim, data)
        != NGX_OK)
    {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SCORES,
                                        "JSON has no way to write output "
                                        "\"%s\"", output->port.name);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_tfs_status(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t                    *root, *array, *object, *status;
    ngx_str_t                  version;
    ngx_uint_t                 i;
    ngx_http_infer_service_t  *all;

    root = json_object();
    array = json_array();
    all = service->conf->services->elts;

    for (i = 0; i < service->conf->services->nelts; i++) {

        if (!ngx_http_infer_same(&all[i].endpoint->name,
                                 &service->endpoint->name))
        {
            continue;
        }

        object = json_object();
        status = json_object();
        version = ngx_http_infer_version(all[i].endpoint);

        json_object_set_new(status, "error_code", json_string("OK"));
        json_object_set_new(status, "error_message", json_string(""));

        json_object_set_new(object, "version",
                            ngx_http_infer_json_string(&version));
        json_object_set_new(object, "state", json_string("AVAILABLE"));
        json_object_set_new(object, "status", status);

        json_array_append_new(array, object);
    }

    json_object_set_new(root, "model_version_status", array);

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


ngx_int_t
ngx_http_infer_tfs_metadata(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t               *root, *spec, *signature, *names, *def, *metadata;
    ngx_str_t             version;
    const infer_model_t  *model;

    root = json_object();
    spec = json_object();
    signature = json_object();
    names = json_object();
    def = json_object();
    metadata = json_object();

    model = service->endpoint->model->model;
    version = ngx_http_infer_version(service->endpoint);

    json_object_set_new(spec, "name",
                        ngx_http_infer_json_string(&service->endpoint->name));
    json_object_set_new(spec, "signature_name", json_string(""));
    json_object_set_new(spec, "version",
                        ngx_http_infer_json_string(&version));

    json_object_set_new(signature, "inputs",
                        ngx_http_infer_tfs_ports(model,
                                                 infer_model_inputs(model),
                                                 infer_model_input));
    json_object_set_new(signature, "outputs",
                        ngx_http_infer_tfs_ports(model,
                                                 infer_model_outputs(model),
                                                 infer_model_output));
    json_object_set_new(signature, "method_name",
                        json_string("tensorflow/serving/predict"));

    json_object_set_new(names, "serving_default", signature);
    json_object_set_new(def, "signature_def", names);
    json_object_set_new(metadata, "signature_def", def);

    json_object_set_new(root, "model_spec", spec);
    json_object_set_new(root, "metadata", metadata);

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


static json_t *
ngx_http_infer_tfs_ports(const infer_model_t *model, size_t n,
    void (*get)(const infer_model_t *model, size_t i, infer_port_t *port))
{
    int            d;
    char           size[NGX_INT64_LEN + 1];
    size_t         i;
    json_t        *ports, *object, *shape, *dims, *dim;
    infer_port_t   port;

    ports = json_object();

    for (i = 0; i < n; i++) {
        get(model, i, &port);

        object = json_object();
        shape = json_object();
        dims = json_array();

        for (d = 0; d < port.rank; d++) {
            dim = json_object();

            (void) snprintf(size, sizeof(size), "%lld",
                            (long long) port.dim[d]);

            json_object_set_new(dim, "size", json_string(size));
            json_object_set_new(dim, "name", json_string(""));
            json_array_append_new(dims, dim);
        }

        json_object_set_new(shape, "dim", dims);
        json_object_set_new(shape, "unknown_rank", json_false());

        json_object_set_new(object, "dtype",
                            json_string(ngx_http_infer_tfs_names[port.dtype]));
        json_object_set_new(object, "tensor_shape", shape);
        json_object_set_new(object, "name", json_string(port.name));

        /* a name that is not UTF-8 is no key */

        json_object_set_new(ports, port.name, object);
    }

    return ports;
}
