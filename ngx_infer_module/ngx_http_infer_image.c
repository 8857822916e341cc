
/*
 * In the thread: the call for an image, and what the model sees of it; what
 * the plain route makes of a body.
 */


#include "ngx_http_infer_tensors.h"
#include "ngx_http_infer_protocols.h"


static ngx_http_infer_reason_e ngx_http_infer_image_reason(
    infer_image_status_t status);


ngx_int_t
ngx_http_infer_plain_read(ngx_http_infer_task_t *task)
{
    return task->json ? ngx_http_infer_tfs_read(task)
                      : ngx_http_infer_image_read(task,
                            ngx_max(task->service->conf->top_k, 1));
}


/* of an image, the answer is written where it is sent */

void
ngx_http_infer_plain_write(ngx_http_infer_task_t *task)
{
    if (task->json) {
        ngx_http_infer_tfs_write(task);
    }
}


ngx_int_t
ngx_http_infer_image_read(ngx_http_infer_task_t *task, size_t k)
{
    ngx_str_t  data;

    if (task->service->no_image) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SHAPE,
                                 (char *) task->service->no_image);
        return NGX_ERROR;
    }

    if (ngx_http_infer_body_image(task, &data) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_infer_image_call(task, &data, k);
}


ngx_int_t
ngx_http_infer_image_call(ngx_http_infer_task_t *task, ngx_str_t *data,
    size_t k)
{
    ngx_http_infer_call_t  *call;

    call = ngx_http_infer_create_call(task);

    if (call == NULL) {
        return NGX_ERROR;
    }

    call->batch = 1;
    call->top = k;

    if (ngx_http_infer_call_alloc(call, call->inputs, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    call->inputs[0].images[0] = *data;

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_prepare_image(ngx_http_infer_task_t *task, ngx_str_t *data,
    infer_image_t *prepared)
{
    uint64_t               begin, end;
    ngx_int_t              rc;
    infer_image_t          img;
    infer_preprocess_t    *pp;
    infer_image_status_t   status;

    pp = &task->service->preprocess;

    begin = task->decoding ? ngx_http_infer_now() : task->started;

    status = infer_image_decode(data->data, data->len,
                                task->service->conf->max_pixels, pp, &img,
                                &task->err);

    if (status != INFER_IMAGE_OK) {
        task->reason = ngx_http_infer_image_reason(status);
        return NGX_ERROR;
    }

    end = ngx_http_infer_now();
    task->decoding += end - begin;

    rc = NGX_OK;

    if (infer_image_prepare(&img, pp, prepared, &task->err) != 0) {
        /* a long and thin image becomes huge when its short side grows */
        task->reason = NGX_HTTP_INFER_PIXELS;
        rc = NGX_ERROR;

    } else {
        task->preprocessing += ngx_http_infer_now() - end;
        ngx_http_infer_sample_image(task, data, &img, prepared);
    }

    infer_image_free(&img);

    return rc;
}


static ngx_http_infer_reason_e
ngx_http_infer_image_reason(infer_image_status_t status)
{
    switch (status) {

    case INFER_IMAGE_UNKNOWN:
        return NGX_HTTP_INFER_FORMAT;

    case INFER_IMAGE_TOO_LARGE:
        return NGX_HTTP_INFER_PIXELS;

    case INFER_IMAGE_NO_MEMORY:
        return NGX_HTTP_INFER_MEMORY;

    default: /* INFER_IMAGE_CORRUPT */
        return NGX_HTTP_INFER_MALFORMED;
    }
}
