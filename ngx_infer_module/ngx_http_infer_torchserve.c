
/*
 * TorchServe's API: an image in, the five most probable labels out.
 */


#include "ngx_http_infer_tensors.h"


#define NGX_HTTP_INFER_TORCH_TOP  5


ngx_int_t
ngx_http_infer_torch_read(ngx_http_infer_task_t *task)
{
    return ngx_http_infer_image_read(task, NGX_HTTP_INFER_TORCH_TOP);
}


void
ngx_http_infer_torch_write(ngx_http_infer_task_t *task)
{
    size_t                  i;
    u_char                  number[32], *p;
    ngx_str_t               label;
    ngx_http_infer_out_t    out;
    ngx_http_infer_call_t  *call;

    call = task->call;

    ngx_memzero(&out, sizeof(ngx_http_infer_out_t));
    out.pool = call->pool;

    for (i = 0; i < task->ntop; i++) {
        label = ngx_http_infer_label(task->service, task->top[i].class_id);

        if (label.len == 0) {
            label.data = number;
            label.len = ngx_sprintf(number, "%uz", task->top[i].class_id)
                        - number;
        }

        ngx_http_infer_out_text(&out, i ? ", " : "{");
        ngx_http_infer_out_string(&out, &label);
        ngx_http_infer_out_text(&out, ": ");

        p = ngx_http_infer_print_float(number, task->top[i].probability);
        ngx_http_infer_out_bytes(&out, number, p - number);
    }

    ngx_http_infer_out_text(&out, "}\n");

    ngx_http_infer_call_answer(call, &out, -1);
}


ngx_int_t
ngx_http_infer_torch_ping(ngx_http_request_t *r,
    ngx_http_infer_service_t *service)
{
    json_t      *root;
    ngx_uint_t   ready;

    ready = ngx_http_infer_is_ready();

    root = json_object();
    json_object_set_new(root, "status",
                        json_string(ready ? "Healthy" : "Unhealthy"));

    return ngx_http_infer_send_json(r, ready ? NGX_HTTP_OK
                                             : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    root);
}
