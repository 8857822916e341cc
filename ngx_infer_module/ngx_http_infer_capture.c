
/*
 * infer_capture: some of the images that were classified are kept, with what
 * was answered, to be labelled by people and learned from.
 *
 * A thread of the pool writes them when the answer has been sent: the file as
 * it was uploaded, and a JSON file of the same name; both come under their
 * names when they are complete, the image first.  Nothing that a client has
 * sent becomes part of a name.
 *
 * All workers share an account of the directory's size.  What is full is
 * looked at again from time to time, as somebody may have taken files away;
 * nothing is ever deleted but what a killed worker has left unfinished.
 */


#include "ngx_http_infer_sample.h"

#include <dirent.h>


/* a file takes whole blocks */
#define NGX_HTTP_INFER_BLOCK      4096

/* milliseconds between two looks at a full directory, and two errors logged */
#define NGX_HTTP_INFER_LOOK       10000
#define NGX_HTTP_INFER_COMPLAIN   60000

/* seconds after which an unfinished file has nobody who writes it */
#define NGX_HTTP_INFER_ABANDONED  3600

#define NGX_HTTP_INFER_CAPTURE_MAX  ((off_t) 1024 * 1024 * 1024)


/* in shared memory, of a directory */
typedef struct {
    ngx_atomic_t                 bytes;       /* written or about to be */
    ngx_atomic_t                 looked;      /* when; 0: never */
    ngx_atomic_t                 complained;
} ngx_http_infer_directory_t;


struct ngx_http_infer_capture_s {
    ngx_str_t                    path;        /* zero-terminated */
    double                       share;
    double                       low;         /* 0: sampled ones alone */
    off_t                        max;
    ngx_shm_zone_t              *zone;        /* ngx_http_infer_directory_t */
};


static ngx_int_t ngx_http_infer_capture_parameter(ngx_str_t *value,
    ngx_http_infer_capture_t *capture);
static ngx_int_t ngx_http_infer_capture_directory(ngx_conf_t *cf,
    ngx_http_infer_capture_t *capture, ngx_str_t *name);
static ngx_int_t ngx_http_infer_init_directory(ngx_shm_zone_t *zone,
    void *data);

static void ngx_http_infer_capture_handler(void *data, ngx_log_t *log);
static void ngx_http_infer_capture_done(ngx_event_t *ev);
static ngx_http_infer_captured_e ngx_http_infer_capture_item(
    ngx_http_infer_sample_t *sample, ngx_http_infer_item_t *item,
    ngx_log_t *log);
static ngx_int_t ngx_http_infer_capture_reserve(
    ngx_http_infer_capture_t *capture, off_t bytes);
static ngx_int_t ngx_http_infer_capture_look(
    ngx_http_infer_capture_t *capture);
static ngx_int_t ngx_http_infer_capture_write(
    ngx_http_infer_capture_t *capture, const char *name, const void *data,
    size_t len);
static char *ngx_http_infer_capture_text(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item, const char *file);
static const char *ngx_http_infer_capture_type(ngx_str_t *file);
static void ngx_http_infer_capture_complain(ngx_http_infer_capture_t *capture,
    ngx_log_t *log);


const char  *ngx_http_infer_captured[] = {
    "sample", "low_confidence", "full", "failed"
};


/* DIR [sample=SHARE] [low_confidence=P] [max=SIZE], or off */

char *
ngx_http_infer_capture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_infer_loc_conf_t *ilcf = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_infer_capture_t  *capture;

    if (ilcf->monitor.capture != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        ilcf->monitor.capture = NULL;
        return NGX_CONF_OK;
    }

    capture = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_capture_t));
    if (capture == NULL) {
        return NGX_CONF_ERROR;
    }

    capture->max = NGX_HTTP_INFER_CAPTURE_MAX;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_infer_capture_parameter(&value[i], capture) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (capture->share == 0 && capture->low == 0) {
        return "needs \"sample=\" or \"low_confidence=\"";
    }

    if (ngx_http_infer_capture_directory(cf, capture, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ilcf->monitor.capture = capture;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_infer_capture_parameter(ngx_str_t *value,
    ngx_http_infer_capture_t *capture)
{
    ngx_str_t  text;

    if (ngx_strncmp(value->data, "sample=", 7) == 0) {
        text.data = value->data + 7;
        text.len = value->len - 7;

        return ngx_http_infer_parse_share(&text, &capture->share);
    }

    if (ngx_strncmp(value->data, "low_confidence=", 15) == 0) {
        text.data = value->data + 15;
        text.len = value->len - 15;

        return ngx_http_infer_parse_share(&text, &capture->low);
    }

    if (ngx_strncmp(value->data, "max=", 4) == 0) {
        text.data = value->data + 4;
        text.len = value->len - 4;
        capture->max = ngx_parse_offset(&text);

        return capture->max > 0 ? NGX_OK : NGX_ERROR;
    }

    return NGX_ERROR;
}


/* nginx makes the directory, and makes it the workers' */

static ngx_int_t
ngx_http_infer_capture_directory(ngx_conf_t *cf,
    ngx_http_infer_capture_t *capture, ngx_str_t *name)
{
    ngx_str_t    zone;
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_ERROR;
    }

    path->name = *name;

    if (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.len--;
        path->name.data[path->name.len] = '\0';
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK
        || ngx_add_path(cf, &path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    capture->path = path->name;

    zone.data = ngx_pnalloc(cf->pool,
                            sizeof("infer_capture:") + path->name.len);
    if (zone.data == NULL) {
        return NGX_ERROR;
    }

    zone.len = ngx_sprintf(zone.data, "infer_capture:%V", &path->name)
               - zone.data;

    capture->zone = ngx_http_infer_add_zone(cf, &zone,
                                            sizeof(ngx_http_infer_directory_t),
                                            ngx_http_infer_init_directory);

    return capture->zone ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_infer_init_directory(ngx_shm_zone_t *zone, void *data)
{
    return ngx_http_infer_init_counters(zone, data,
                                        sizeof(ngx_http_infer_directory_t));
}


ngx_int_t
ngx_http_infer_start_capture(ngx_http_infer_sample_t *sample)
{
    ngx_http_infer_item_t  *item;

    for (item = sample->items; item; item = item->next) {
        if (item->file.data) {
            break;
        }
    }

    if (item == NULL) {
        return NGX_DECLINED;
    }

    sample->thread.handler = ngx_http_infer_capture_handler;
    sample->thread.ctx = sample;
    sample->thread.event.handler = ngx_http_infer_capture_done;
    sample->thread.event.data = sample;

    if (ngx_thread_task_post(sample->service->conf->thread_pool,
                             &sample->thread)
        != NGX_OK)
    {
        ngx_http_infer_count_captured(sample, NGX_HTTP_INFER_NOT_CAPTURED);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_infer_capture_done(ngx_event_t *ev)
{
    ngx_http_infer_sample_captured(ev->data);
}


void
ngx_http_infer_count_captured(ngx_http_infer_sample_t *sample,
    ngx_http_infer_captured_e outcome)
{
    ngx_http_infer_stats_t  *stats;

    stats = sample->service->endpoint->stats->data;

    (void) ngx_atomic_fetch_add(&stats->captured[outcome], 1);
}


/* from here on: in a thread */

void
ngx_http_infer_keep_file(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item)
{
    ngx_http_infer_capture_t  *capture;

    capture = sample->service->conf->monitor.capture;

    if (capture == NULL || item->sent.data == NULL || !item->answered) {
        return;
    }

    item->low = item->top.probability < capture->low;

    if (!item->low
        && !ngx_http_infer_sample_chosen(sample, capture->share))
    {
        return;
    }

    item->file.data = malloc(ngx_max(item->sent.len, 1));

    if (item->file.data == NULL) {
        ngx_http_infer_count_captured(sample, NGX_HTTP_INFER_NOT_CAPTURED);
        return;
    }

    ngx_memcpy(item->file.data, item->sent.data, item->sent.len);
    item->file.len = item->sent.len;
}


static void
ngx_http_infer_capture_handler(void *data, ngx_log_t *log)
{
    ngx_http_infer_sample_t *sample = data;

    ngx_http_infer_item_t  *item;

    for (item = sample->items; item; item = item->next) {
        if (item->file.data) {
            ngx_http_infer_count_captured(sample,
                ngx_http_infer_capture_item(sample, item, log));
        }
    }
}


static ngx_http_infer_captured_e
ngx_http_infer_capture_item(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item, ngx_log_t *log)
{
    char                      *text, name[80], sidecar[96];
    off_t                      bytes;
    ngx_tm_t                   tm;
    ngx_int_t                  rc;
    ngx_http_infer_capture_t  *capture;

    static ngx_atomic_t        sequence;

    capture = sample->service->conf->monitor.capture;

    bytes = ngx_align(item->file.len, NGX_HTTP_INFER_BLOCK)
            + NGX_HTTP_INFER_BLOCK;

    rc = ngx_http_infer_capture_reserve(capture, bytes);

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_INFER_CAPTURE_FULL;
    }

    ngx_gmtime(sample->time, &tm);

    *ngx_sprintf((u_char *) sidecar, "%4d%02d%02dT%02d%02d%02dZ-%P-%uA",
                 tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                 tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec, ngx_pid,
                 ngx_atomic_fetch_add(&sequence, 1)) = '\0';

    *ngx_sprintf((u_char *) name, "%s.%s", sidecar,
                 ngx_http_infer_capture_type(&item->file)) = '\0';

    (void) strcat(sidecar, ".json");

    text = NULL;

    if (rc == NGX_OK) {
        rc = ngx_http_infer_capture_write(capture, name, item->file.data,
                                          item->file.len);
    }

    if (rc == NGX_OK) {
        text = ngx_http_infer_capture_text(sample, item, name);
        rc = text ? ngx_http_infer_capture_write(capture, sidecar, text,
                                                 ngx_strlen(text))
                  : NGX_ERROR;
        free(text);
    }

    if (rc != NGX_OK) {
        ngx_http_infer_capture_complain(capture, log);
        return NGX_HTTP_INFER_NOT_CAPTURED;
    }

    return item->low ? NGX_HTTP_INFER_CAPTURED_LOW
                     : NGX_HTTP_INFER_CAPTURED_SAMPLE;
}


/* NGX_OK, NGX_DECLINED: full, NGX_ERROR: the directory cannot be read */

static ngx_int_t
ngx_http_infer_capture_reserve(ngx_http_infer_capture_t *capture, off_t bytes)
{
    ngx_int_t                    rc;
    ngx_uint_t                   tries;
    ngx_http_infer_directory_t  *dir;

    dir = capture->zone->data;

    for (tries = 0; tries < 2; tries++) {

        if (dir->looked
            && (off_t) ngx_atomic_fetch_add(&dir->bytes, bytes) + bytes
               <= capture->max)
        {
            return NGX_OK;
        }

        if (dir->looked) {
            (void) ngx_atomic_fetch_add(&dir->bytes, -bytes);
        }

        rc = ngx_http_infer_capture_look(capture);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


/*
 * NGX_DECLINED: another one looks, or it is not long ago.  What is just being
 * written may go uncounted until the next look.
 */

static ngx_int_t
ngx_http_infer_capture_look(ngx_http_infer_capture_t *capture)
{
    int                          fd;
    DIR                         *d;
    off_t                        bytes;
    size_t                       len;
    uint64_t                     now;
    ngx_int_t                    rc;
    struct stat                  st;
    struct dirent               *entry;
    ngx_slab_pool_t             *shpool;
    ngx_http_infer_directory_t  *dir;

    dir = capture->zone->data;
    shpool = (ngx_slab_pool_t *) capture->zone->shm.addr;
    now = ngx_http_infer_now() / 1000000;

    if (!ngx_shmtx_trylock(&shpool->mutex)) {
        return NGX_DECLINED;
    }

    if (dir->looked && now - dir->looked < NGX_HTTP_INFER_LOOK) {
        ngx_shmtx_unlock(&shpool->mutex);
        return NGX_DECLINED;
    }

    rc = NGX_ERROR;
    bytes = 0;

    d = opendir((char *) capture->path.data);
    fd = d ? dirfd(d) : -1;

    while (d && (entry = readdir(d)) != NULL) {

        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0
            || !S_ISREG(st.st_mode))
        {
            continue;
        }

        len = ngx_strlen(entry->d_name);

        if (entry->d_name[0] == '.' && len > 4
            && ngx_strcmp(entry->d_name + len - 4, ".tmp") == 0
            && st.st_mtime + NGX_HTTP_INFER_ABANDONED < time(NULL))
        {
            (void) unlinkat(fd, entry->d_name, 0);
            continue;
        }

        bytes += ngx_align(st.st_size, NGX_HTTP_INFER_BLOCK);
    }

    if (d) {
        (void) closedir(d);

        dir->bytes = bytes;
        dir->looked = now;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


/* under a name of its own, until it is complete */

static ngx_int_t
ngx_http_infer_capture_write(ngx_http_infer_capture_t *capture,
    const char *name, const void *data, size_t len)
{
    int            dir, fd;
    char           temp[112];
    ssize_t        n;
    ngx_int_t      rc;
    const u_char  *p;

    dir = open((char *) capture->path.data, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (dir == -1) {
        return NGX_ERROR;
    }

    *ngx_sprintf((u_char *) temp, ".%s.tmp", name) = '\0';

    fd = openat(dir, temp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    rc = (fd == -1) ? NGX_ERROR : NGX_OK;

    for (p = data; rc == NGX_OK && len; p += n, len -= n) {

        n = write(fd, p, len);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;

        } else if (n <= 0) {
            rc = NGX_ERROR;
        }
    }

    if (fd != -1) {

        if (close(fd) != 0 || (rc == NGX_OK
                               && renameat(dir, temp, dir, name) != 0))
        {
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {
            (void) unlinkat(dir, temp, 0);
        }
    }

    (void) close(dir);

    return rc;
}


/* what there is to know of the image; NULL: no memory */

static char *
ngx_http_infer_capture_text(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item, const char *file)
{
    char                       *text, when[32];
    json_t                     *object;
    ngx_tm_t                    tm;
    ngx_str_t                   label;
    ngx_http_infer_endpoint_t  *ep;

    ep = sample->service->endpoint;

    ngx_gmtime(sample->time, &tm);

    *ngx_sprintf((u_char *) when, "%4d-%02d-%02dT%02d:%02d:%02dZ",
                 tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                 tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';

    object = json_object();

    json_object_set_new(object, "file", json_string(file));
    json_object_set_new(object, "time", json_string(when));
    json_object_set_new(object, "id", ngx_http_infer_json_string(&sample->id));
    json_object_set_new(object, "index", json_integer(item->index));
    json_object_set_new(object, "model",
                        ngx_http_infer_json_string(&ep->name));

    if (ep->version.len) {
        json_object_set_new(object, "version",
                            ngx_http_infer_json_string(&ep->version));
    }

    json_object_set_new(object, "class", json_integer(item->top.class_id));

    label = ngx_http_infer_label(sample->service, item->top.class_id);

    if (label.len) {
        json_object_set_new(object, "label",
                            ngx_http_infer_json_string(&label));
    }

    json_object_set_new(object, "confidence",
                        json_real(item->top.probability));
    json_object_set_new(object, "reason",
                        json_string(item->low ? "low_confidence" : "sample"));

    text = json_dumps(object, JSON_REAL_PRECISION(9)|JSON_INDENT(1));

    json_decref(object);

    return text;
}


static const char *
ngx_http_infer_capture_type(ngx_str_t *file)
{
    u_char  *p;

    p = file->data;

    if (file->len > 2 && p[0] == 0xff && p[1] == 0xd8) {
        return "jpg";
    }

    if (file->len > 4 && ngx_memcmp(p, "\x89PNG", 4) == 0) {
        return "png";
    }

    if (file->len > 4 && ngx_memcmp(p, "GIF8", 4) == 0) {
        return "gif";
    }

    return "bmp";
}


/* the same trouble comes with every request */

static void
ngx_http_infer_capture_complain(ngx_http_infer_capture_t *capture,
    ngx_log_t *log)
{
    ngx_err_t                    err;
    ngx_atomic_uint_t            now, before;
    ngx_http_infer_directory_t  *dir;

    err = ngx_errno;
    dir = capture->zone->data;
    now = ngx_http_infer_now() / 1000000;
    before = dir->complained;

    if ((before == 0 || now - before >= NGX_HTTP_INFER_COMPLAIN)
        && ngx_atomic_cmp_set(&dir->complained, before, now))
    {
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "infer_capture: \"%V\" cannot be written",
                      &capture->path);
    }
}
