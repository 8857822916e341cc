
/*
 * What routes.c leads to: each protocol reads a request in the thread and
 * writes its answer, and tells of models on the event loop.
 */

#ifndef _NGX_HTTP_INFER_PROTOCOLS_H_INCLUDED_
#define _NGX_HTTP_INFER_PROTOCOLS_H_INCLUDED_


#include "ngx_http_infer_module.h"


/* kserve.c, kserve_info.c */
ngx_int_t ngx_http_infer_kserve_read(ngx_http_infer_task_t *task);
void ngx_http_infer_kserve_write(ngx_http_infer_task_t *task);
const char *ngx_http_infer_kserve_datatype(infer_dtype_t dtype);

/* What the model was exported as: "onnx", "torchscript", "tflite". */
const char *ngx_http_infer_format(ngx_http_infer_endpoint_t *ep);

ngx_int_t ngx_http_infer_kserve_server(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_live(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_ready(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_model_ready(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_model(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_config(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_stats(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_kserve_index(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);


/* tfserving.c */
ngx_int_t ngx_http_infer_tfs_read(ngx_http_infer_task_t *task);
void ngx_http_infer_tfs_write(ngx_http_infer_task_t *task);
ngx_int_t ngx_http_infer_tfs_status(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_tfs_metadata(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);


/* torchserve.c */
ngx_int_t ngx_http_infer_torch_read(ngx_http_infer_task_t *task);
void ngx_http_infer_torch_write(ngx_http_infer_task_t *task);
ngx_int_t ngx_http_infer_torch_ping(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);


#endif /* _NGX_HTTP_INFER_PROTOCOLS_H_INCLUDED_ */
