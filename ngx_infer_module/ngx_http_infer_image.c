
/*
 * In the thread: an image becomes the input of a session; what the plain route
 * makes of one.
 */


#include "ngx_http_infer_module.h"


static ngx_http_infer_reason_e ngx_http_infer_image_reason(
    infer_image_status_t status);
static ngx_int_t ngx_http_infer_set_pixels(ngx_http_infer_task_t *task,
    const infer_image_t *img, infer_session_t *session);


void
ngx_http_infer_run_plain(ngx_http_infer_task_t *task)
{
    if (task->json) {
        ngx_http_infer_tfs_run(task);
        return;
    }

    (void) ngx_http_infer_classify(task,
                                   ngx_max(task->service->conf->top_k, 1));
}


ngx_int_t
ngx_http_infer_classify(ngx_http_infer_task_t *task, size_t k)
{
    ngx_int_t                    rc;
    ngx_str_t                    data;
    ngx_http_infer_workspace_t  *ws;

    if (task->service->no_image) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SHAPE,
                                 (char *) task->service->no_image);
        return NGX_ERROR;
    }

    if (ngx_http_infer_body_image(task, &data) != NGX_OK) {
        return NGX_ERROR;
    }

    ws = ngx_http_infer_get_workspace(task);
    if (ws == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_infer_set_image(task, &data, ws->session);

    if (rc == NGX_OK) {
        ngx_http_infer_compute(task, ws->session);
        ngx_http_infer_sample_output(task, ws->session);
        task->ntop = infer_session_top(ws->session, 0, task->top, k);
    }

    ngx_http_infer_put_workspace(task, ws);

    if (rc == NGX_OK && task->ntop == 0) {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SCORES,
                                 "the model's scores are not finite");
        rc = NGX_ERROR;
    }

    task->batch = 1;
    ngx_http_infer_task_finish(task);

    return rc;
}


ngx_int_t
ngx_http_infer_set_image(ngx_http_infer_task_t *task, ngx_str_t *data,
    infer_session_t *session)
{
    uint64_t               begin, end;
    ngx_int_t              rc;
    infer_image_t          img, prepared;
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

    if (infer_image_prepare(&img, pp, &prepared, &task->err) == 0) {
        rc = ngx_http_infer_set_pixels(task, &prepared, session);

        if (rc == NGX_OK) {
            ngx_http_infer_sample_image(task, data, &img, &prepared, session);
        }

        infer_image_free(&prepared);

    } else {
        /* a long and thin image becomes huge when its short side grows */
        task->reason = NGX_HTTP_INFER_PIXELS;
        rc = NGX_ERROR;
    }

    infer_image_free(&img);

    if (rc == NGX_OK) {
        task->preprocessing += ngx_http_infer_now() - end;
    }

    return rc;
}


static ngx_int_t
ngx_http_infer_set_pixels(ngx_http_infer_task_t *task,
    const infer_image_t *img, infer_session_t *session)
{
    if (infer_session_set_image(session, 0, img, &task->service->preprocess)
        != 0)
    {
        ngx_http_infer_task_fail(task, NGX_HTTP_INFER_SHAPE,
                                 "the image has not the size of the model's "
                                 "input");
        return NGX_ERROR;
    }

    return NGX_OK;
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
