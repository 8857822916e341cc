
/*
 * infer_monitor: what a model is given and answers, counted in windows of
 * time, and held against the baseline in its file when somebody asks.
 *
 * A model with a baseline has a zone in which all workers count.  Its name has
 * the model's name, its version and the identity of its file: windows go on
 * over a reload and a killed worker, and begin anew with another file.  A
 * request counts when it has got its answer.
 */


#include "ngx_http_infer_sample.h"


/* answers that the windows are made of: see infer.h */
struct ngx_http_infer_live_s {
    ngx_http_infer_model_t      *model;
    const infer_baseline_t      *baseline;    /* NULL: the file has none */
    infer_live_t                *counts;      /* in shared memory */
};


static ngx_int_t ngx_http_infer_init_live(ngx_shm_zone_t *zone, void *data);
static void ngx_http_infer_rate(ngx_http_infer_window_t *window);
static json_t *ngx_http_infer_window_json(ngx_http_infer_window_t *window);


static const char  *ngx_http_infer_verdicts[] = { "unknown", "ok", "alert" };


ngx_int_t
ngx_http_infer_add_monitor(ngx_conf_t *cf, ngx_http_infer_service_t *service)
{
    uint64_t                    hash[2];
    ngx_str_t                   name;
    ngx_shm_zone_t             *zone;
    ngx_http_infer_live_t      *live;
    ngx_http_infer_endpoint_t  *ep;

    ep = service->endpoint;

    if (!service->conf->monitor.monitor || ep->live) {
        return NGX_OK;
    }

    name.data = ngx_pnalloc(cf->pool, sizeof("infer_live:::") + ep->name.len
                                      + ep->version.len + 32);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_infer_hash_id(&ep->model->zone_name, hash);

    name.len = ngx_sprintf(name.data, "infer_live:%V:%V:%016xL%016xL",
                           &ep->name, &ep->version, hash[0], hash[1])
               - name.data;

    /* for the most classes that are counted: there is no model yet */

    zone = ngx_http_infer_add_zone(cf, &name,
                                   infer_live_size(NGX_HTTP_INFER_CLASSES),
                                   ngx_http_infer_init_live);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    if (zone->data == NULL) {
        live = ngx_pcalloc(cf->pool, sizeof(ngx_http_infer_live_t));
        if (live == NULL) {
            return NGX_ERROR;
        }

        live->model = ep->model;
        zone->data = live;
    }

    ep->live = zone->data;

    return NGX_OK;
}


/* the model is there: its zone was added before */

static ngx_int_t
ngx_http_infer_init_live(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_infer_live_t *old = data;

    void                   *mem;
    size_t                  classes;
    uint32_t                id;
    ngx_slab_pool_t        *shpool;
    ngx_http_infer_live_t  *live;

    live = zone->data;
    live->baseline = infer_model_baseline(live->model->model);

    if (live->baseline == NULL) {
        return NGX_OK;
    }

    live->model->watched = 1;

    classes = infer_model_classes(live->model->model);
    id = infer_baseline_id(live->baseline);

    if (old && old->counts && infer_live_fits(old->counts, classes, id)) {
        live->counts = old->counts;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    mem = ngx_slab_alloc(shpool, infer_live_size(classes));
    if (mem == NULL) {
        return NGX_ERROR;
    }

    live->counts = infer_live_init(mem, classes, id);

    return NGX_OK;
}


ngx_uint_t
ngx_http_infer_is_monitored(ngx_http_infer_endpoint_t *ep)
{
    return ep->live && ep->live->baseline;
}


/* on the event loop */

void
ngx_http_infer_count_sample(ngx_http_infer_sample_t *sample)
{
    uint64_t                    now;
    ngx_http_infer_item_t      *item;
    ngx_http_infer_endpoint_t  *ep;

    ep = sample->service->endpoint;

    if (!ngx_http_infer_is_monitored(ep)) {
        return;
    }

    now = ngx_http_infer_now() / 1000000;

    for (item = sample->items; item; item = item->next) {
        infer_live_add(ep->live->counts, now, &item->stats);
    }
}


ngx_http_infer_window_t *
ngx_http_infer_read_windows(ngx_pool_t *pool, ngx_http_infer_endpoint_t *ep)
{
    uint64_t                  now;
    ngx_uint_t                i;
    infer_counts_t           *counts;
    ngx_http_infer_window_t  *window;

    if (!ngx_http_infer_is_monitored(ep)) {
        return NULL;
    }

    counts = ngx_palloc(pool, sizeof(infer_counts_t));
    window = ngx_pcalloc(pool, NGX_HTTP_INFER_WINDOWS
                               * sizeof(ngx_http_infer_window_t));

    if (counts == NULL || window == NULL) {
        return NULL;
    }

    now = ngx_http_infer_now() / 1000000;

    for (i = 0; i < NGX_HTTP_INFER_WINDOWS; i++) {
        infer_live_read(ep->live->counts, now, i, counts);

        window[i].baseline = ep->live->baseline;
        window[i].samples = counts->samples;
        window[i].n = infer_scores(ep->live->baseline, counts,
                                   window[i].score);

        ngx_http_infer_rate(&window[i]);
    }

    return window;
}


/* for each alert the score that is nearest to its threshold, or farthest
   beyond */

static void
ngx_http_infer_rate(ngx_http_infer_window_t *window)
{
    double                  drift;
    ngx_uint_t              i;
    infer_score_t          *s;
    ngx_http_infer_alert_t *alert;

    for (i = 0; i < window->n; i++) {
        s = &window->score[i];
        alert = &window->alert[s->alert];

        if (s->verdict == INFER_VERDICT_UNKNOWN) {
            continue;
        }

        drift = s->below ? s->threshold / s->value : s->value / s->threshold;

        if (!isfinite(drift)) {
            drift = (s->verdict == INFER_VERDICT_ALERT) ? 1 : 0;
        }

        if (alert->worst == NULL || drift > alert->drift) {
            alert->drift = drift;
            alert->worst = s->name;
        }

        alert->verdict = ngx_max(alert->verdict, s->verdict);
    }
}


json_t *
ngx_http_infer_monitor_json(ngx_pool_t *pool, ngx_http_infer_endpoint_t *ep)
{
    json_t                   *object, *windows;
    ngx_uint_t                i;
    infer_baseline_info_t     info;
    ngx_http_infer_window_t  *window;

    window = ngx_http_infer_read_windows(pool, ep);
    if (window == NULL) {
        return NULL;
    }

    infer_baseline_info(ep->live->baseline, &info);

    object = json_object();
    windows = json_object();

    for (i = 0; i < NGX_HTTP_INFER_WINDOWS; i++) {
        json_object_set_new(windows, infer_span_name(i),
                            ngx_http_infer_window_json(&window[i]));
    }

    json_object_set_new(object, "images", json_integer(info.images));

    if (isfinite(info.accuracy)) {
        json_object_set_new(object, "accuracy", json_real(info.accuracy));
    }

    json_object_set_new(object, "windows", windows);

    return object;
}


/* what is not known is left out */

static json_t *
ngx_http_infer_window_json(ngx_http_infer_window_t *window)
{
    json_t                  *object, *alerts, *psi, *shares;
    ngx_uint_t               i;
    infer_score_t           *s;
    ngx_http_infer_alert_t  *alert;

    object = json_object();
    alerts = json_object();
    psi = json_object();
    shares = json_object();

    for (i = 0; i < INFER_ALERTS; i++) {
        alert = &window->alert[i];

        if (alert->worst) {
            json_object_set_new(alerts, infer_alert_name(i),
                json_pack("{s:s, s:f, s:s}",
                          "verdict", ngx_http_infer_verdicts[alert->verdict],
                          "drift", alert->drift, "worst", alert->worst));
        }
    }

    for (i = 0; i < window->n; i++) {
        s = &window->score[i];

        if (!isfinite(s->value)) {
            continue;
        }

        if (s->measure == INFER_MEASURE_PSI) {
            json_object_set_new(psi, s->name, json_real(s->value));

        } else if (s->measure == INFER_MEASURE_SHARE) {
            json_object_set_new(shares, s->name,
                json_pack("{s:f, s:f}", "value", s->value,
                          "baseline", s->baseline));
        }
    }

    json_object_set_new(object, "samples", json_integer(window->samples));
    json_object_set_new(object, "alerts", alerts);
    json_object_set_new(object, "psi", psi);
    json_object_set_new(object, "shares", shares);

    return object;
}
