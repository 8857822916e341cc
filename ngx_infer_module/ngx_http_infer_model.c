
/*
 * Models at configuration time.
 *
 * A model is built, or read, in the init handler of a shared zone of its own:
 * there a failure is reported by "nginx -t", rolls a reload back, and happens
 * before any worker is forked.  The zone is named after the file, its identity
 * and how it is built, so that at reload nginx gives an unchanged model's
 * memory to the new configuration, and a changed file gets a new zone while
 * old workers keep theirs.
 */


#include "ngx_http_infer_module.h"

#include <sys/mman.h>


static ngx_int_t ngx_http_infer_model_parameter(ngx_conf_t *cf,
    ngx_http_infer_endpoint_t *ep, ngx_str_t *value);
static void ngx_http_infer_default_name(ngx_str_t *path, ngx_str_t *name);
static ngx_http_infer_model_t *ngx_http_infer_model_in_zone(ngx_conf_t *cf,
    ngx_str_t *file, ngx_http_infer_loc_conf_t *conf);
static ngx_http_infer_model_t *ngx_http_infer_create_model(ngx_conf_t *cf);
static size_t ngx_http_infer_model_bound(ngx_str_t *path,
    infer_load_options_t *options, ngx_uint_t inherited, infer_error_t *err);
static ngx_int_t ngx_http_infer_check_file(ngx_conf_t *cf,
    const char *directive, ngx_str_t *path, ngx_file_info_t *fi);
static ngx_int_t ngx_http_infer_zone_name(ngx_conf_t *cf, ngx_str_t *path,
    ngx_file_info_t *fi, infer_load_options_t *options, ngx_str_t *shapes,
    ngx_str_t *name);
static ngx_int_t ngx_http_infer_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_http_infer_build(ngx_http_infer_model_t *model,
    ngx_shm_zone_t *zone);
static ngx_int_t ngx_http_infer_try(infer_model_t *model,
    infer_error_t *err);
static ngx_int_t ngx_http_infer_check_service(
    ngx_http_infer_service_t *service, ngx_log_t *log);


/* [NAME=]SHAPE ...: the text, with spaces between, names the model's zone */

char *
ngx_http_infer_input_shape(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    u_char               *p, *equals;
    size_t                len;
    ngx_str_t            *value;
    ngx_uint_t            i;
    infer_input_shape_t  *shape;

    if (ilcf->shapes != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ilcf->shapes = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(infer_input_shape_t));
    if (ilcf->shapes == NULL) {
        return NGX_CONF_ERROR;
    }

    len = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        len += value[i].len + 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    ilcf->shape_text.data = p;
    ilcf->shape_text.len = len;

    for (i = 1; i < cf->args->nelts; i++) {
        p = ngx_cpymem(p, value[i].data, value[i].len);
        *p++ = ' ';

        shape = ngx_array_push(ilcf->shapes);
        if (shape == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(shape, sizeof(infer_input_shape_t));
        shape->name = "";

        equals = (u_char *) strrchr((char *) value[i].data, '=');

        if (infer_shape_parse((char *) (equals ? equals + 1 : value[i].data),
                              shape)
            != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "infer_input_shape: \"%V\" is no shape such "
                               "as Nx3x224x224 or input=Nx3x224x224",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (equals) {
            *equals = '\0';
            shape->name = (char *) value[i].data;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_infer_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t                   version, other;
    ngx_uint_t                  i;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_infer_service_t   *service;
    ngx_http_infer_endpoint_t  *ep;

    if (ilcf->guard) {
        return "cannot stand beside infer_guard";
    }

    ep = ngx_http_infer_add_service(cf, ilcf);

    if (ep == NULL
        || ngx_http_infer_add_location(cf, NGX_HTTP_INFER_MODELS) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    service = ilcf->services->elts;
    version = ngx_http_infer_version(ep);

    for (i = 0; service[i].endpoint != ep; i++) {
        other = ngx_http_infer_version(service[i].endpoint);

        if (ngx_http_infer_same(&service[i].endpoint->name, &ep->name)
            && ngx_http_infer_same(&other, &version))
        {
            return "is duplicate: give each model of a location its own name "
                   "or version";
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_infer_handler;

    return NGX_CONF_OK;
}


ngx_http_infer_endpoint_t *
ngx_http_infer_add_service(ngx_conf_t *cf, ngx_http_infer_loc_conf_t *conf)
{
    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_infer_service_t   *service;
    ngx_http_infer_endpoint_t  *ep;

    value = cf->args->elts;

    ep = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_endpoint_t));
    if (ep == NULL) {
        return NULL;
    }

    ngx_queue_init(&ep->waiting);
    ngx_http_infer_default_name(&value[1], &ep->name);

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_infer_model_parameter(cf, ep, &value[i]) != NGX_OK) {
            return NULL;
        }
    }

    ep->file = value[1];
    ep->conf_name = cf->conf_file->file.name;
    ep->conf_line = cf->conf_file->line;

    if (conf->services == NULL) {
        conf->services = ngx_array_create(cf->pool, 1,
                                          sizeof(ngx_http_infer_service_t));
        if (conf->services == NULL) {
            return NULL;
        }
    }

    service = ngx_array_push(conf->services);

    if (service == NULL || ngx_http_infer_add_stats(cf, ep) != NGX_OK) {
        return NULL;
    }

    ngx_memzero(service, sizeof(ngx_http_infer_service_t));

    service->endpoint = ep;
    service->conf = conf;

    return ep;
}


static ngx_int_t
ngx_http_infer_model_parameter(ngx_conf_t *cf, ngx_http_infer_endpoint_t *ep,
    ngx_str_t *value)
{
    ngx_str_t  *text;

    if (ngx_strncmp(value->data, "name=", 5) == 0) {
        text = &ep->name;
        text->data = value->data + 5;
        text->len = value->len - 5;

    } else if (ngx_strncmp(value->data, "version=", 8) == 0) {
        text = &ep->version;
        text->data = value->data + 8;
        text->len = value->len - 8;

    } else {
        text = NULL;
    }

    if (text == NULL || text->len == 0
        || ngx_http_infer_text_valid(text) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the file's name without its directories and suffix */

static void
ngx_http_infer_default_name(ngx_str_t *path, ngx_str_t *name)
{
    u_char  *p, *last;

    last = path->data + path->len;
    p = last;

    while (p > path->data && p[-1] != '/') {
        p--;
    }

    name->data = p;
    name->len = last - p;

    for (p = last - 1; p > name->data; p--) {

        if (*p == '.') {
            name->len = p - name->data;
            return;
        }
    }
}


ngx_int_t
ngx_http_infer_add_model(ngx_conf_t *cf, ngx_http_infer_service_t *service)
{
    ngx_http_infer_service_t   **services;
    ngx_http_infer_endpoint_t   *ep;

    ep = service->endpoint;

    /* a service of an "if" has the model of the location around it */

    if (ep->model == NULL) {
        ep->model = ngx_http_infer_load_at(cf, &ep->file, &ep->conf_name,
                                           ep->conf_line, service->conf);
        if (ep->model == NULL) {
            return NGX_ERROR;
        }
    }

    services = ngx_array_push(&ep->model->services);
    if (services == NULL) {
        return NGX_ERROR;
    }

    *services = service;

    ep->model->threads = ngx_max(ep->model->threads, service->conf->threads);

    return NGX_OK;
}


ngx_http_infer_model_t *
ngx_http_infer_load_at(ngx_conf_t *cf, ngx_str_t *file, ngx_str_t *conf_name,
    ngx_uint_t conf_line, ngx_http_infer_loc_conf_t *conf)
{
    ngx_conf_file_t         *conf_file, at;
    ngx_http_infer_model_t  *model;

    conf_file = cf->conf_file;

    at = *conf_file;
    at.file.name = *conf_name;
    at.line = conf_line;

    cf->conf_file = &at;
    model = ngx_http_infer_model_in_zone(cf, file, conf);
    cf->conf_file = conf_file;

    return model;
}


static ngx_http_infer_model_t *
ngx_http_infer_model_in_zone(ngx_conf_t *cf, ngx_str_t *file,
    ngx_http_infer_loc_conf_t *conf)
{
    size_t                   bound;
    ngx_str_t                path, name;
    const char              *directive;
    infer_error_t            err;
    ngx_file_info_t          fi;
    ngx_shm_zone_t          *zone;
    infer_load_options_t     options;
    ngx_http_infer_model_t  *model;

    ngx_memzero(&options, sizeof(infer_load_options_t));
    options.winograd_budget = conf->winograd_budget;

    if (conf->shapes) {
        options.shapes = conf->shapes->elts;
        options.n_shapes = conf->shapes->nelts;
    }

    path = *file;
    directive = conf->guard ? "infer_guard" : "infer_model";

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK
        || ngx_http_infer_check_file(cf, directive, &path, &fi) != NGX_OK)
    {
        return NULL;
    }

    bound = ngx_http_infer_model_bound(&path, &options,
                                       conf->inherited_shapes, &err);
    if (bound == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s: %s", directive,
                           err.text);
        return NULL;
    }

    if (ngx_http_infer_zone_name(cf, &path, &fi, &options, &conf->shape_text,
                                 &name)
        != NGX_OK)
    {
        return NULL;
    }

    zone = ngx_shared_memory_add(cf, &name, ngx_http_infer_zone_size(bound),
                                 &ngx_http_infer_module);
    if (zone == NULL) {
        return NULL;
    }

    if (zone->data) {
        /* another location has the same file */
        return zone->data;
    }

    model = ngx_http_infer_create_model(cf);
    if (model == NULL) {
        return NULL;
    }

    model->path = path;
    model->zone_name = name;
    model->options = options;
    model->size = bound;

    zone->init = ngx_http_infer_init_zone;
    zone->data = model;

    return model;
}


static ngx_http_infer_model_t *
ngx_http_infer_create_model(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_infer_model_t  *model;

    model = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_model_t));
    if (model == NULL) {
        return NULL;
    }

    if (ngx_array_init(&model->services, cf->pool, 1,
                       sizeof(ngx_http_infer_service_t *))
        != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_infer_free_workspaces;
    cln->data = model;

    model->threads = 1;
    model->batch = 1;

    return model;
}


/*
 * A shape that stands around the location is for the models that leave theirs
 * open: those that refuse it are as their files say.
 */

static size_t
ngx_http_infer_model_bound(ngx_str_t *path, infer_load_options_t *options,
    ngx_uint_t inherited, infer_error_t *err)
{
    size_t                bound;
    infer_error_t         other;
    infer_load_options_t  plain;

    bound = infer_model_bound((char *) path->data, options, err);

    if (bound == 0 && inherited && options->n_shapes) {
        plain = *options;
        plain.shapes = NULL;
        plain.n_shapes = 0;

        bound = infer_model_bound((char *) path->data, &plain, &other);

        if (bound) {
            *options = plain;
        }
    }

    return bound;
}


static ngx_int_t
ngx_http_infer_check_file(ngx_conf_t *cf, const char *directive,
    ngx_str_t *path, ngx_file_info_t *fi)
{
    if (ngx_file_info(path->data, fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: " ngx_file_info_n " \"%V\" failed",
                           directive, path);
        return NGX_ERROR;
    }

    if (!ngx_is_file(fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: \"%V\" is not a regular file", directive,
                           path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_zone_name(ngx_conf_t *cf, ngx_str_t *path, ngx_file_info_t *fi,
    infer_load_options_t *options, ngx_str_t *shapes, ngx_str_t *name)
{
    size_t     len;
    ngx_str_t  none = ngx_null_string;

    if (options->n_shapes == 0) {
        shapes = &none;
    }

    len = sizeof("infer::::.::") - 1 + path->len + 5 * NGX_INT64_LEN
          + shapes->len;

    name->data = ngx_pnalloc(cf->pool, len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    name->len = ngx_sprintf(name->data, "infer:%V:%uL:%O:%T.%09uL:%uz:%V", path,
                            (uint64_t) ngx_file_uniq(fi), ngx_file_size(fi),
                            ngx_file_mtime(fi),
                            (uint64_t) fi->st_mtim.tv_nsec,
                            options->winograd_budget, shapes)
                - name->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_infer_model_t *old = data;

    ngx_uint_t                  i;
    ngx_http_infer_model_t     *model;
    ngx_http_infer_service_t  **service;

    model = zone->data;

    if (old) {
        model->model = old->model;

    } else if (ngx_http_infer_build(model, zone) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_infer_check_batch(model, old, zone->shm.log) != NGX_OK) {
        return NGX_ERROR;
    }

    service = model->services.elts;

    for (i = 0; i < model->services.nelts; i++) {
        if (ngx_http_infer_check_service(service[i], zone->shm.log)
            != NGX_OK
            || ngx_http_infer_check_labels(service[i], zone->shm.log)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_infer_build(ngx_http_infer_model_t *model, ngx_shm_zone_t *zone)
{
    void             *mem;
    size_t            size;
    infer_error_t     err;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    shpool->log_nomem = 0;

    /* whole pages: nothing else may lie in memory that becomes read-only */

    size = ngx_align(model->size, ngx_pagesize);

    mem = ngx_slab_alloc(shpool, size);

    if (mem == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "infer_model: %V: no memory in its zone", &model->path);
        return NGX_ERROR;
    }

    model->model = infer_model_place((char *) model->path.data,
                                     &model->options, mem, size, &err);

    if (model->model == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "infer_model: %s", err.text);
        return NGX_ERROR;
    }

    if (mprotect(mem, size, PROT_READ) != 0) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, ngx_errno,
                      "infer_model: %V: mprotect() failed", &model->path);
        return NGX_ERROR;
    }

    if (ngx_http_infer_try(model->model, &err) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "infer_model: %V: %s", &model->path, err.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what can fail in a worker must fail here */

static ngx_int_t
ngx_http_infer_try(infer_model_t *model, infer_error_t *err)
{
    infer_session_t  *session;

    session = infer_session_create(model, 1, 1, err);

    if (session == NULL) {
        return NGX_ERROR;
    }

    infer_session_free(session);

    return infer_model_selftest(model, err) == 0 ? NGX_OK : NGX_ERROR;
}


/*
 * A model that is no image classifier is served all the same, for tensors, but
 * guards nothing; one that is must go with the settings of the location.
 */

static ngx_int_t
ngx_http_infer_check_service(ngx_http_infer_service_t *service,
    ngx_log_t *log)
{
    size_t               len;
    ngx_str_t           *setting;
    ngx_uint_t           i;
    ngx_array_t         *settings;
    infer_error_t        err;
    infer_model_t       *model;
    infer_preprocess_t  *pp;

    pp = &service->preprocess;
    model = service->endpoint->model->model;
    settings = service->conf->settings;

    if (infer_model_preprocess(model, pp, &err) != 0) {

        if (service->conf->guard) {
            ngx_log_error(NGX_LOG_EMERG, log, 0, "infer_guard \"%V\": %s",
                          &service->endpoint->model->path, err.text);
            return NGX_ERROR;
        }

        len = ngx_strlen(err.text) + 1;

        service->no_image = ngx_pnalloc(service->conf->services->pool, len);
        if (service->no_image == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(service->no_image, err.text, len);

        return NGX_OK;
    }

    if (settings) {
        setting = settings->elts;

        for (i = 0; i < settings->nelts; i++) {
            if (infer_preprocess_set(pp, (char *) setting[i].data, &err)
                != 0)
            {
                goto failed;
            }
        }
    }

    if (infer_model_check_preprocess(model, pp, &err) == 0) {
        return NGX_OK;
    }

failed:

    ngx_log_error(NGX_LOG_EMERG, log, 0, "infer_model \"%V\": %s",
                  &service->endpoint->model->path, err.text);

    return NGX_ERROR;
}
