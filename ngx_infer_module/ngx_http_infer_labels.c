
/*
 * Labels: infer_labels, a file with one a line, or those of the model.
 */


#include "ngx_http_infer_module.h"


#define NGX_HTTP_INFER_MAX_LABELS  (16 * 1024 * 1024)


static ngx_int_t ngx_http_infer_read_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text);
static ngx_int_t ngx_http_infer_split_lines(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text, ngx_array_t *lines);


ngx_array_t *
ngx_http_infer_read_labels(ngx_conf_t *cf, ngx_str_t *file)
{
    ngx_str_t     path, text;
    ngx_array_t  *labels;

    path = *file;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK
        || ngx_http_infer_read_file(cf, &path, &text) != NGX_OK)
    {
        return NULL;
    }

    labels = ngx_array_create(cf->pool, 16, sizeof(ngx_str_t));

    if (labels == NULL
        || ngx_http_infer_split_lines(cf, &path, &text, labels) != NGX_OK)
    {
        return NULL;
    }

    return labels;
}


static ngx_int_t
ngx_http_infer_read_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *text)
{
    off_t            size;
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *path;
    file.log = cf->log;

    /* nonblocking: a FIFO must not stop the configuration test */

    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "infer_labels: " ngx_open_file_n " \"%V\" failed",
                           path);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "infer_labels: \"%V\" is not a regular file",
                           path);
        goto failed;
    }

    size = ngx_file_size(&fi);

    if (size > NGX_HTTP_INFER_MAX_LABELS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "infer_labels: \"%V\" is larger than %d bytes",
                           path, NGX_HTTP_INFER_MAX_LABELS);
        goto failed;
    }

    text->data = ngx_pnalloc(cf->pool, size + 1);
    if (text->data == NULL) {
        goto failed;
    }

    n = ngx_read_file(&file, text->data, size, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "infer_labels: " ngx_read_file_n " \"%V\" failed",
                           path);
        goto failed;
    }

    text->len = n;

    (void) ngx_close_file(file.fd);

    return NGX_OK;

failed:

    (void) ngx_close_file(file.fd);

    return NGX_ERROR;
}


/* "\r\n" and "\n" end a line; a UTF-8 byte order mark is no label */

static ngx_int_t
ngx_http_infer_split_lines(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *text,
    ngx_array_t *lines)
{
    u_char     *p, *eol, *last;
    ngx_str_t  *line;

    p = text->data;
    last = p + text->len;

    if (text->len >= 3 && ngx_memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
    }

    while (p < last) {

        eol = ngx_strlchr(p, last, '\n');
        if (eol == NULL) {
            eol = last;
        }

        line = ngx_array_push(lines);
        if (line == NULL) {
            return NGX_ERROR;
        }

        line->data = p;
        line->len = eol - p;

        if (line->len && line->data[line->len - 1] == '\r') {
            line->len--;
        }

        if (ngx_http_infer_text_valid(line) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "infer_labels: line %ui of \"%V\" is not "
                               "plain UTF-8", lines->nelts, path);
            return NGX_ERROR;
        }

        p = eol + 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_infer_check_labels(ngx_http_infer_service_t *service, ngx_log_t *log)
{
    size_t                      classes, i;
    ngx_str_t                   label, *path;
    ngx_http_infer_loc_conf_t  *conf;

    conf = service->conf;
    path = &service->endpoint->model->path;
    classes = infer_model_classes(service->endpoint->model->model);

    conf->nchecked++;

    if (conf->labels && conf->labels->nelts == classes) {
        service->labels = conf->labels;
        conf->nlabelled++;
    }

    if (conf->labels && conf->nlabelled == 0
        && conf->nchecked == conf->services->nelts)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "infer_model \"%V\": the model has %uz classes, "
                      "but infer_labels names %ui",
                      path, classes, conf->labels->nelts);
        return NGX_ERROR;
    }

    for (i = 0; i < classes; i++) {
        label = ngx_http_infer_label(service, i);

        if (ngx_http_infer_text_valid(&label) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "infer_model \"%V\": the label of class %uz is not "
                          "plain UTF-8", path, i);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_str_t
ngx_http_infer_label(ngx_http_infer_service_t *service, size_t class_id)
{
    ngx_str_t    label, *line;
    const char  *text;

    ngx_str_null(&label);

    if (service->labels) {

        if (class_id < service->labels->nelts) {
            line = service->labels->elts;
            label = line[class_id];
        }

    } else {
        text = infer_model_label(service->endpoint->model->model, class_id);

        if (text) {
            label.data = (u_char *) text;
            label.len = ngx_strlen(text);
        }
    }

    return label;
}
