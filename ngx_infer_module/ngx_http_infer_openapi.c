
/*
 * infer_openapi: what the locations of the server serve, as an OpenAPI 3.0.3
 * document that is made of the models as they are loaded.
 *
 * Every route stands under the path that a client uses, with the model's name
 * in it, so that the schemas of tensors can have the model's names and shapes.
 */


#include "ngx_http_infer_paths.h"
#include "ngx_http_infer_protocols.h"


/* the schema of a request's or an answer's body, if it follows from a model */
typedef json_t *(*ngx_http_infer_schema_pt)(const infer_model_t *model);


typedef struct {
    const char                *pattern;    /* of the route */
    const char                *method;
    const char                *tag;
    const char                *summary;
    const char                *accept;     /* a component, or NULL */
    ngx_http_infer_schema_pt   schema;     /* NULL: the component as it is */
    const char                *answer;     /* a schema */
} ngx_http_infer_operation_t;


static ngx_int_t ngx_http_infer_openapi_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_infer_openapi_location(ngx_http_request_t *r,
    json_t *paths, ngx_http_infer_location_t *location);
static ngx_int_t ngx_http_infer_openapi_models(ngx_http_request_t *r,
    json_t *paths, ngx_http_infer_location_t *location);
static ngx_int_t ngx_http_infer_openapi_plain(ngx_http_request_t *r,
    json_t *paths, ngx_http_infer_location_t *location);
static ngx_int_t ngx_http_infer_openapi_add(json_t *paths, ngx_str_t *path,
    const char *method, json_t *operation, ngx_uint_t replace);
static json_t *ngx_http_infer_openapi_operation(
    const ngx_http_infer_operation_t *op, const infer_model_t *model);
static void ngx_http_infer_openapi_binary(json_t *operation,
    json_t *content);
static json_t *ngx_http_infer_openapi_answers(const char *schema,
    const char *method);
static json_t *ngx_http_infer_openapi_errors(void);
static json_t *ngx_http_infer_openapi_bodies(ngx_http_infer_service_t *s);
static json_t *ngx_http_infer_openapi_kserve(const infer_model_t *model);
static json_t *ngx_http_infer_openapi_tfs(const infer_model_t *model);
static json_t *ngx_http_infer_openapi_feedback(const infer_model_t *model);
static json_t *ngx_http_infer_openapi_nested(infer_port_t *port, int from);
static json_t *ngx_http_infer_openapi_ref(const char *kind, const char *name);
static json_t *ngx_http_infer_openapi_port_name(infer_port_t *port);


/* all that does not depend on models and locations */

static const char  ngx_http_infer_openapi_schemas[] =
"{"
"\"Error\":{\"type\":\"object\",\"required\":[\"error\"],"
 "\"properties\":{\"error\":{\"type\":\"string\"}}},"
"\"Class\":{\"type\":\"object\",\"required\":[\"class\",\"confidence\"],"
 "\"properties\":{"
 "\"class\":{\"type\":\"integer\",\"minimum\":0},"
 "\"label\":{\"type\":\"string\"},"
 "\"confidence\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1}}},"
"\"Prediction\":{\"allOf\":[{\"$ref\":\"#/components/schemas/Class\"},"
 "{\"type\":\"object\",\"required\":[\"model\"],\"properties\":{"
 "\"model\":{\"type\":\"string\"},\"version\":{\"type\":\"string\"},"
 "\"top\":{\"type\":\"array\",\"description\":\"with infer_top_k\","
  "\"items\":{\"$ref\":\"#/components/schemas/Class\"}}}}]},"
"\"Probabilities\":{\"type\":\"object\","
 "\"description\":\"label: probability, the five best\","
 "\"additionalProperties\":{\"type\":\"number\"}},"
"\"Port\":{\"type\":\"object\",\"required\":[\"name\",\"datatype\",\"shape\"],"
 "\"properties\":{\"name\":{\"type\":\"string\"},"
 "\"datatype\":{\"type\":\"string\"},"
 "\"shape\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}},"
"\"Model\":{\"type\":\"object\",\"required\":[\"inputs\",\"outputs\"],"
 "\"properties\":{\"model\":{\"type\":\"string\"},"
 "\"name\":{\"type\":\"string\"},\"version\":{\"type\":\"string\"},"
 "\"versions\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
 "\"platform\":{\"type\":\"string\"},\"classes\":{\"type\":\"integer\"},"
 "\"inputs\":{\"type\":\"array\","
  "\"items\":{\"$ref\":\"#/components/schemas/Port\"}},"
 "\"outputs\":{\"type\":\"array\","
  "\"items\":{\"$ref\":\"#/components/schemas/Port\"}}}},"
"\"Tensor\":{\"allOf\":[{\"$ref\":\"#/components/schemas/Port\"},"
 "{\"type\":\"object\",\"properties\":{"
 "\"parameters\":{\"type\":\"object\"},"
 "\"data\":{\"type\":\"array\",\"items\":{}}}}]},"
"\"Tensors\":{\"type\":\"object\",\"required\":[\"model_name\",\"outputs\"],"
 "\"properties\":{\"model_name\":{\"type\":\"string\"},"
 "\"model_version\":{\"type\":\"string\"},\"id\":{\"type\":\"string\"},"
 "\"outputs\":{\"type\":\"array\","
  "\"items\":{\"$ref\":\"#/components/schemas/Tensor\"}}}},"
"\"Rows\":{\"type\":\"object\",\"description\":"
 "\"predictions for instances, outputs for inputs\",\"properties\":{"
 "\"predictions\":{\"type\":\"array\",\"items\":{}},\"outputs\":{}}},"
"\"Object\":{\"type\":\"object\"},"
"\"Index\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
 "\"properties\":{\"name\":{\"type\":\"string\"},"
 "\"version\":{\"type\":\"string\"},\"state\":{\"type\":\"string\"},"
 "\"reason\":{\"type\":\"string\"}}}},"
"\"Feedback\":{\"type\":\"object\",\"properties\":{"
 "\"id\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
 "\"class\":{\"type\":\"integer\",\"description\":\"the one answered\"},"
 "\"right\":{\"type\":\"boolean\"}}},"
"\"Live\":{\"type\":\"object\",\"properties\":{"
 "\"live\":{\"type\":\"boolean\"}}},"
"\"Ready\":{\"type\":\"object\",\"properties\":{"
 "\"name\":{\"type\":\"string\"},\"ready\":{\"type\":\"boolean\"}}},"
"\"Health\":{\"type\":\"object\",\"properties\":{"
 "\"status\":{\"type\":\"string\"}}},"
"\"Server\":{\"type\":\"object\",\"properties\":{"
 "\"name\":{\"type\":\"string\"},\"version\":{\"type\":\"string\"},"
 "\"extensions\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"
"}";


#define ngx_http_infer_kserve(pattern, method, summary, answer)               \
    { pattern, method, "KServe v2", summary, NULL, NULL, answer }

#define ngx_http_infer_tfs(pattern, summary)                                  \
    { pattern, "get", "TensorFlow Serving", summary, NULL, NULL, "Object" }

static const ngx_http_infer_operation_t  ngx_http_infer_operations[] = {

    ngx_http_infer_kserve("/v2", "get", "The server", "Server"),
    ngx_http_infer_kserve("/v2/health/live", "get", "Whether it runs",
                          "Live"),
    ngx_http_infer_kserve("/v2/health/ready", "get",
                          "Whether it takes requests", "Ready"),
    ngx_http_infer_kserve("/v2/repository/index", "post", "All models",
                          "Index"),
    ngx_http_infer_kserve("/v2/models/*", "get", "The model", "Model"),
    ngx_http_infer_kserve("/v2/models/*/ready", "get",
                          "Whether the model takes requests", "Ready"),
    ngx_http_infer_kserve("/v2/models/*/config", "get",
                          "The model's configuration", "Object"),
    ngx_http_infer_kserve("/v2/models/*/stats", "get", "The model's counters",
                          "Object"),
    ngx_http_infer_kserve("/v2/models/*/versions/*", "get", "The model",
                          "Model"),
    ngx_http_infer_kserve("/v2/models/*/versions/*/ready", "get",
                          "Whether the model takes requests", "Ready"),
    ngx_http_infer_kserve("/v2/models/*/versions/*/config", "get",
                          "The model's configuration", "Object"),
    ngx_http_infer_kserve("/v2/models/*/versions/*/stats", "get",
                          "The model's counters", "Object"),

    { "/v2/models/*/infer", "post", "KServe v2", "Run on tensors",
      "application/json", ngx_http_infer_openapi_kserve, "Tensors" },

    { "/v2/models/*/versions/*/infer", "post", "KServe v2", "Run on tensors",
      "application/json", ngx_http_infer_openapi_kserve, "Tensors" },

    { "/v2/models/*/feedback", "post", "Feedback",
      "Report the right class of an answer", "application/json",
      ngx_http_infer_openapi_feedback, "Feedback" },

    { "/v2/models/*/versions/*/feedback", "post", "Feedback",
      "Report the right class of an answer", "application/json",
      ngx_http_infer_openapi_feedback, "Feedback" },

    ngx_http_infer_tfs("/v1/models/*", "The model's state"),
    ngx_http_infer_tfs("/v1/models/*/metadata", "The model's signature"),
    ngx_http_infer_tfs("/v1/models/*/versions/*", "The model's state"),
    ngx_http_infer_tfs("/v1/models/*/versions/*/metadata",
                       "The model's signature"),

    { "/v1/models/*:predict", "post", "TensorFlow Serving",
      "Run on rows of a batch", "application/json",
      ngx_http_infer_openapi_tfs, "Rows" },

    { "/v1/models/*/versions/*:predict", "post", "TensorFlow Serving",
      "Run on rows of a batch", "application/json",
      ngx_http_infer_openapi_tfs, "Rows" },

    { "/ping", "get", "TorchServe", "Whether it takes requests", NULL, NULL,
      "Health" },

    { "/predictions/*", "post", "TorchServe", "Classify an image", "image",
      NULL, "Probabilities" },

    { "/predictions/*/*", "post", "TorchServe", "Classify an image", "image",
      NULL, "Probabilities" }
};


char *
ngx_http_infer_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_infer_openapi_handler;

    return ngx_http_infer_add_location(cf, NGX_HTTP_INFER_OPENAPI) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_infer_openapi_handler(ngx_http_request_t *r)
{
    json_t                     *root, *paths;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_infer_location_t  *location;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    i = 0;
    paths = json_object();

    while ((location = ngx_http_infer_next_location(r, &i)) != NULL) {

        if (ngx_http_infer_openapi_location(r, paths, location) == NGX_ERROR) {
            json_decref(paths);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    root = json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:o,"
                     " s:{s:o, s:o}}",
                     "openapi", "3.0.3",
                     "info", "title", "ngx_infer", "version", INFER_VERSION,
                         "description", "Neural networks, served by nginx",
                     "servers", "url", "/",
                     "paths", paths,
                     "components",
                         "schemas",
                         json_loads(ngx_http_infer_openapi_schemas, 0, NULL),
                         "responses", ngx_http_infer_openapi_errors());

    return ngx_http_infer_send_json(r, NGX_HTTP_OK, root);
}


/* NGX_ERROR: no memory */

static ngx_int_t
ngx_http_infer_openapi_location(ngx_http_request_t *r, json_t *paths,
    ngx_http_infer_location_t *location)
{
    json_t      *content;
    ngx_int_t    rc;
    ngx_str_t    path;
    const char  *summary;

    switch (location->content) {

    case NGX_HTTP_INFER_MODELS:
        return ngx_http_infer_openapi_models(r, paths, location);

    case NGX_HTTP_INFER_METRICS:
        summary = "Counters of all models for Prometheus";
        content = json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type",
                            "string");
        break;

    case NGX_HTTP_INFER_STATUS:
        summary = "Models and their counters: JSON, or a page for browsers";
        content = json_pack("{s:{s:o}, s:{s:{s:s}}}",
                            "application/json", "schema",
                            ngx_http_infer_openapi_ref("schemas", "Object"),
                            "text/html", "schema", "type", "string");
        break;

    default: /* NGX_HTTP_INFER_OPENAPI */
        summary = "This document";
        content = json_pack("{s:{s:o}}", "application/json", "schema",
                            ngx_http_infer_openapi_ref("schemas", "Object"));
        break;
    }

    rc = ngx_http_infer_plain_path(r, location, &path);

    if (rc != NGX_OK) {
        json_decref(content);
        return rc;
    }

    return ngx_http_infer_openapi_add(paths, &path, "get",
               json_pack("{s:[s], s:s, s:{s:{s:s, s:o}}}",
                         "tags", "Server", "summary", summary,
                         "responses", "200", "description", "OK",
                         "content", content),
               location->clcf->exact_match);
}


static ngx_int_t
ngx_http_infer_openapi_models(ngx_http_request_t *r, json_t *paths,
    ngx_http_infer_location_t *location)
{
    ngx_int_t                          rc;
    ngx_str_t                          path;
    ngx_uint_t                         i, n;
    const infer_model_t               *model;
    ngx_http_infer_service_t          *service;
    ngx_http_infer_loc_conf_t         *ilcf;
    const ngx_http_infer_operation_t  *op;

    ilcf = location->clcf->loc_conf[ngx_http_infer_module.ctx_index];
    service = ilcf->services->elts;

    if (ngx_http_infer_openapi_plain(r, paths, location) == NGX_ERROR) {
        return NGX_ERROR;
    }

    for (n = 0; n < ilcf->services->nelts; n++) {
        model = service[n].endpoint->model->model;

        for (i = 0; i < sizeof(ngx_http_infer_operations)
                        / sizeof(ngx_http_infer_operation_t); i++)
        {
            op = &ngx_http_infer_operations[i];

            if ((service[n].no_image && op->accept && op->schema == NULL)
                || (op->schema == ngx_http_infer_openapi_feedback
                    && ilcf->monitor.feedback == 0))
            {
                continue;
            }

            rc = ngx_http_infer_route_path(r, location, service[n].endpoint,
                                           op->pattern, &path);

            if (rc == NGX_OK) {
                rc = ngx_http_infer_openapi_add(paths, &path, op->method,
                         ngx_http_infer_openapi_operation(op, model), 0);
            }

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_openapi_plain(ngx_http_request_t *r, json_t *paths,
    ngx_http_infer_location_t *location)
{
    json_t                     *post;
    ngx_int_t                   rc;
    ngx_str_t                   path;
    ngx_http_infer_service_t   *service;
    ngx_http_infer_loc_conf_t  *ilcf;

    static const ngx_http_infer_operation_t  describe = {
        NULL, "get", "Images", "The model", NULL, NULL, "Model"
    };

    rc = ngx_http_infer_plain_path(r, location, &path);

    if (rc != NGX_OK) {
        return rc;
    }

    ilcf = location->clcf->loc_conf[ngx_http_infer_module.ctx_index];
    service = ilcf->services->elts;

    post = json_pack("{s:[s], s:s, s:{s:b, s:o}, s:o}",
                     "tags", "Images",
                     "summary", service->no_image ? "Run on tensors"
                                                  : "Classify an image",
                     "requestBody", "required", 1,
                     "content", ngx_http_infer_openapi_bodies(service),
                     "responses",
                     ngx_http_infer_openapi_answers("Prediction", "post"));

    rc = ngx_http_infer_openapi_add(paths, &path, "get",
             ngx_http_infer_openapi_operation(&describe,
                                       service->endpoint->model->model),
             location->clcf->exact_match);

    if (rc != NGX_OK) {
        json_decref(post);
        return rc;
    }

    return ngx_http_infer_openapi_add(paths, &path, "post", post,
                                      location->clcf->exact_match);
}


/* takes the operation over; a path that is there stays, unless replaced */

static ngx_int_t
ngx_http_infer_openapi_add(json_t *paths, ngx_str_t *path, const char *method,
    json_t *operation, ngx_uint_t replace)
{
    char    *key;
    json_t  *item;

    key = malloc(path->len + 1);
    if (key == NULL) {
        json_decref(operation);
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) key, path->data, path->len + 1);

    item = json_object_get(paths, key);

    if (item == NULL) {
        item = json_object();
        (void) json_object_set_new(paths, key, item);
    }

    free(key);

    if (json_object_get(item, method) && !replace) {
        json_decref(operation);
        return NGX_OK;
    }

    return json_object_set_new(item, method, operation) ? NGX_ERROR : NGX_OK;
}


static json_t *
ngx_http_infer_openapi_operation(const ngx_http_infer_operation_t *op,
    const infer_model_t *model)
{
    json_t  *operation, *content;

    operation = json_pack("{s:[s], s:s, s:o}", "tags", op->tag,
                          "summary", op->summary, "responses",
                          ngx_http_infer_openapi_answers(op->answer,
                                                         op->method));

    if (op->accept == NULL) {
        return operation;
    }

    content = op->schema ? json_pack("{s:{s:o}}", op->accept, "schema",
                                     op->schema(model))
                         : ngx_http_infer_openapi_bodies(NULL);

    json_object_set_new(operation, "requestBody",
                        json_pack("{s:b, s:o}", "required", 1, "content",
                                  content));

    if (op->schema == ngx_http_infer_openapi_kserve) {
        ngx_http_infer_openapi_binary(operation, content);

    } else if (op->schema == ngx_http_infer_openapi_feedback) {
        json_object_set_new(json_object_get(operation, "responses"), "409",
            json_pack("{s:s, s:{s:{s:o}}}", "description",
                      "the class of this answer has been reported before",
                      "content", "application/json", "schema",
                      ngx_http_infer_openapi_ref("schemas", "Error")));
    }

    return operation;
}


/* KServe's binary tensors, in the request and in its answer */

static void
ngx_http_infer_openapi_binary(json_t *operation, json_t *content)
{
    json_t  *body, *answer, *length;

    length = json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);

    json_object_set_new(operation, "parameters",
        json_pack("[{s:s, s:s, s:s, s:O}]",
                  "name", "Inference-Header-Content-Length", "in", "header",
                  "description", "with binary tensors: the bytes of JSON at "
                  "the head of the body; 0: the body is the only input, a raw "
                  "tensor or an image",
                  "schema", length));

    body = json_pack("{s:{s:s, s:s, s:s}}", "schema",
                     "type", "string", "format", "binary", "description",
                     "JSON, then the raw little-endian tensors, as "
                     "parameters.binary_data_size of each says");

    json_object_set(content, "application/octet-stream", body);

    answer = json_object_get(json_object_get(operation, "responses"), "200");

    json_object_set_new(json_object_get(answer, "content"),
                        "application/octet-stream", body);

    json_object_set_new(answer, "headers",
        json_pack("{s:{s:s, s:o}}", "Inference-Header-Content-Length",
                  "description", "with binary tensors: the bytes of JSON",
                  "schema", length));
}


/* an error is told by its status; what is only asked cannot be too large */

static json_t *
ngx_http_infer_openapi_answers(const char *schema, const char *method)
{
    char         status[4];
    json_t      *answers;
    ngx_uint_t   i, n;

    answers = json_pack("{s:{s:s, s:{s:{s:o}}}}", "200", "description", "OK",
                        "content", "application/json", "schema",
                        ngx_http_infer_openapi_ref("schemas", schema));

    for (i = NGX_HTTP_INFER_OK + 1; i < NGX_HTTP_INFER_REASONS; i++) {
        n = ngx_http_infer_reasons[i].status;

        if (n == NGX_HTTP_CLIENT_CLOSED_REQUEST
            || (ngx_strcmp(method, "get") == 0
                && n != NGX_HTTP_NOT_FOUND && n != NGX_HTTP_NOT_ALLOWED
                && n != NGX_HTTP_SERVICE_UNAVAILABLE))
        {
            continue;
        }

        *ngx_sprintf((u_char *) status, "%ui", n) = '\0';

        json_object_set_new(answers, status,
                            ngx_http_infer_openapi_ref("responses", status));
    }

    return answers;
}


/* a component for each status, described by the reasons that lead to it */

static json_t *
ngx_http_infer_openapi_errors(void)
{
    char                            status[4], text[128];
    u_char                         *p;
    json_t                         *errors, *error;
    ngx_uint_t                      i, n;
    const char                     *header;
    const ngx_http_infer_reason_t  *reason;

    reason = ngx_http_infer_reasons;
    errors = json_object();

    for (i = NGX_HTTP_INFER_OK + 1; i < NGX_HTTP_INFER_REASONS; i++) {

        p = (u_char *) text;

        for (n = 0; n < NGX_HTTP_INFER_REASONS; n++) {
            if (reason[n].status == reason[i].status) {
                p = ngx_snprintf(p, text + sizeof(text) - 1 - (char *) p,
                                 "%s%s", p == (u_char *) text ? "" : ", ",
                                 reason[n].name);
            }
        }

        *p = '\0';
        *ngx_sprintf((u_char *) status, "%ui", reason[i].status) = '\0';

        error = json_pack("{s:s, s:{s:{s:o}}}", "description", text,
                          "content", "application/json", "schema",
                          ngx_http_infer_openapi_ref("schemas", "Error"));

        header = reason[i].status == NGX_HTTP_NOT_ALLOWED ? "Allow"
                 : reason[i].status == NGX_HTTP_SERVICE_UNAVAILABLE
                   ? "Retry-After" : NULL;

        if (header) {
            json_object_set_new(error, "headers",
                                json_pack("{s:{s:{s:s}}}", header, "schema",
                                          "type", "string"));
        }

        if (reason[i].status != NGX_HTTP_CLIENT_CLOSED_REQUEST) {
            json_object_set_new(errors, status, error);

        } else {
            json_decref(error);
        }
    }

    return errors;
}


/* what an image, and with a service the plain route, may be sent as */

static json_t *
ngx_http_infer_openapi_bodies(ngx_http_infer_service_t *s)
{
    json_t      *bodies, *part, *schema;
    ngx_uint_t   i;

    static const char  *types[] = {
        "image/jpeg", "image/png", "image/gif", "image/bmp",
        "application/octet-stream"
    };

    bodies = json_object();

    if (s == NULL || s->no_image == NULL) {

        for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            json_object_set_new(bodies, types[i],
                                json_pack("{s:{s:s, s:s}}", "schema",
                                          "type", "string",
                                          "format", "binary"));
        }

        part = json_pack("{s:s, s:s}", "type", "string", "format", "binary");
        schema = json_pack("{s:s, s:s, s:{s:O, s:O, s:o}}",
                           "type", "object",
                           "description", "one of the three",
                           "properties", "file", part, "image", part,
                           "data", part);

        json_object_set_new(bodies, "multipart/form-data",
                            json_pack("{s:o}", "schema", schema));
    }

    if (s) {
        json_object_set_new(bodies, "application/json",
                            json_pack("{s:o}", "schema",
                                ngx_http_infer_openapi_tfs(
                                    s->endpoint->model->model)));
    }

    return bodies;
}


static json_t *
ngx_http_infer_openapi_kserve(const infer_model_t *model)
{
    int           d;
    size_t        i, n;
    json_t       *inputs, *example;
    infer_port_t  port;

    n = infer_model_inputs(model);
    inputs = json_array();

    for (i = 0; i < n; i++) {
        infer_model_input(model, i, &port);
        example = json_array();

        for (d = 0; d < port.rank; d++) {
            json_array_append_new(example,
                                  json_integer(port.dim[d] == INFER_BATCH
                                               ? 1 : port.dim[d]));
        }

        json_array_append_new(inputs,
            json_pack("{s:s, s:[s, s, s], s:{s:{s:s, s:[o]}, s:{s:s, s:[s, s]}"
                      ", s:{s:s, s:{s:s}, s:o}, s:{s:s}, s:{s:s, s:{}}}}",
                      "type", "object",
                      "required", "name", "shape", "datatype",
                      "properties",
                          "name", "type", "string", "enum",
                          ngx_http_infer_openapi_port_name(&port),
                          "datatype", "type", "string", "enum",
                          ngx_http_infer_kserve_datatype(port.dtype), "BYTES",
                          "shape", "type", "array", "items", "type",
                          "integer", "example", example,
                          "parameters", "type", "object",
                          "data", "type", "array", "items"));
    }

    return json_pack("{s:s, s:[s], s:{s:{s:s}, s:{s:s}, s:{s:s, s:{s:s}},"
                     " s:{s:s, s:I, s:I, s:{s:o}}}}",
                     "type", "object", "required", "inputs", "properties",
                     "id", "type", "string",
                     "parameters", "type", "object",
                     "outputs", "type", "array", "items", "type", "object",
                     "inputs", "type", "array",
                         "minItems", (json_int_t) n,
                         "maxItems", (json_int_t) n,
                         "items", "oneOf", inputs);
}


static json_t *
ngx_http_infer_openapi_tfs(const infer_model_t *model)
{
    size_t         i, n;
    json_t        *row, *columns, *name;
    infer_port_t   port;

    n = infer_model_inputs(model);

    if (n == 1) {
        infer_model_input(model, 0, &port);
        row = json_pack("{s:[o, {s:s, s:[s], s:{s:{s:s, s:s}}}]}", "anyOf",
                        ngx_http_infer_openapi_nested(&port, 1),
                        "type", "object", "required", "b64", "properties",
                        "b64", "type", "string", "format", "byte");

    } else {
        columns = json_object();

        for (i = 0; i < n; i++) {
            infer_model_input(model, i, &port);

            name = ngx_http_infer_openapi_port_name(&port);
            json_object_set_new(columns, json_string_value(name),
                                ngx_http_infer_openapi_nested(&port, 1));
            json_decref(name);
        }

        row = json_pack("{s:s, s:o}", "type", "object", "properties",
                        columns);
    }

    return json_pack("{s:s, s:{s:{s:s, s:o}, s:{}, s:{s:s}}}",
                     "type", "object", "properties",
                     "instances", "type", "array", "items", row,
                     "inputs",
                     "signature_name", "type", "string");
}


/* a class by its number or its label */

static json_t *
ngx_http_infer_openapi_feedback(const infer_model_t *model)
{
    return json_pack("{s:s, s:[s, s], s:{s:{s:s}, s:{s:[{s:s, s:i, s:I},"
                     " {s:s}]}}}",
                     "type", "object", "required", "id", "label",
                     "properties", "id", "type", "string", "label", "oneOf",
                     "type", "integer", "minimum", 0, "maximum",
                     (json_int_t) infer_model_classes(model) - 1,
                     "type", "string");
}


/* arrays in arrays, as the dimensions from one on say */

static json_t *
ngx_http_infer_openapi_nested(infer_port_t *port, int from)
{
    int      d;
    json_t  *schema;

    schema = json_pack("{s:s}", "type",
                       port->dtype == INFER_BOOL ? "boolean" : "number");

    for (d = port->rank - 1; d >= from; d--) {
        schema = json_pack("{s:s, s:I, s:I, s:o}", "type", "array",
                           "minItems", (json_int_t) port->dim[d],
                           "maxItems", (json_int_t) port->dim[d],
                           "items", schema);
    }

    return schema;
}


static json_t *
ngx_http_infer_openapi_ref(const char *kind, const char *name)
{
    return json_pack("{s:o}", "$ref",
                     json_sprintf("#/components/%s/%s", kind, name));
}


static json_t *
ngx_http_infer_openapi_port_name(infer_port_t *port)
{
    ngx_str_t  name;

    name.data = (u_char *) port->name;
    name.len = ngx_strlen(port->name);

    return ngx_http_infer_json_string(&name);
}
