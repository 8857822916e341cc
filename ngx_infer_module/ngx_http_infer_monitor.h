
/*
 * Monitoring: what is kept of requests besides their answers.
 *
 * While a task runs, a sample takes down what the model was given and what it
 * answered, an item for each image or row of a batch (sample.c).  Numbers of
 * it are counted in windows, to be compared with the baseline in the model's
 * file (monitor.c).  A ring in
 * shared memory keeps the class that was answered under the request's id, to
 * be held against the class that a client reports later (feedback.c).  When
 * the answer has been sent, the sample goes on by itself: images are written
 * to a directory (capture.c), and a second model computes them once more when
 * no request waits for a thread (shadow.c).
 *
 * Nothing of this makes a request fail: where memory, disk or time is lacking,
 * less is kept, and that is counted.
 *
 * module.h includes this file, and all others that.
 */

#ifndef _NGX_HTTP_INFER_MONITOR_H_INCLUDED_
#define _NGX_HTTP_INFER_MONITOR_H_INCLUDED_


typedef struct ngx_http_infer_sample_s   ngx_http_infer_sample_t;
typedef struct ngx_http_infer_capture_s  ngx_http_infer_capture_t;
typedef struct ngx_http_infer_shadow_s   ngx_http_infer_shadow_t;
typedef struct ngx_http_infer_live_s     ngx_http_infer_live_t;


/* how a client's report of the right class can end */
typedef enum {
    NGX_HTTP_INFER_RIGHT = 0,
    NGX_HTTP_INFER_WRONG,
    NGX_HTTP_INFER_ID_UNKNOWN,
    NGX_HTTP_INFER_ID_TWICE,
    NGX_HTTP_INFER_NO_CLASS,
    NGX_HTTP_INFER_NO_FEEDBACK,               /* malformed */
    NGX_HTTP_INFER_FEEDBACKS
} ngx_http_infer_feedback_e;


/* models with more classes have no confusion matrix */
#define NGX_HTTP_INFER_CONFUSION  64


/* reports, in the rows of the class that is right; see feedback.c */
typedef struct {
    ngx_atomic_t                 outcome[NGX_HTTP_INFER_FEEDBACKS];
    ngx_atomic_t                 confidence;  /* of the answers, 1e-9 */

    ngx_atomic_t                 right[NGX_HTTP_INFER_CLASSES];
    ngx_atomic_t                 wrong[NGX_HTTP_INFER_CLASSES];

    /* by the class that was answered */
    ngx_atomic_t                 confusion[NGX_HTTP_INFER_CONFUSION]
                                          [NGX_HTTP_INFER_CONFUSION];
} ngx_http_infer_feedback_t;


/* what becomes of an image that is to be kept */
typedef enum {
    NGX_HTTP_INFER_CAPTURED_SAMPLE = 0,
    NGX_HTTP_INFER_CAPTURED_LOW,
    NGX_HTTP_INFER_CAPTURE_FULL,
    NGX_HTTP_INFER_NOT_CAPTURED,
    NGX_HTTP_INFER_CAPTURES
} ngx_http_infer_captured_e;


#define NGX_HTTP_INFER_SHADOW_BUCKETS  8


/* in shared memory: how far a shadow is from what was answered */
typedef struct {
    ngx_atomic_t                 same;        /* the same class */
    ngx_atomic_t                 other;
    ngx_atomic_t                 busy;        /* requests left out */
    ngx_atomic_t                 failed;      /* no finite probabilities */

    /* 1e-9: sums of the distance of both confidences, and of the largest
       distance of two probabilities; the largest of all, and that over the
       answer's confidence */
    ngx_atomic_t                 gap;
    ngx_atomic_t                 error;
    ngx_atomic_t                 max_error;
    ngx_atomic_t                 max_relative;

    ngx_atomic_t                 bucket[NGX_HTTP_INFER_SHADOW_BUCKETS];
} ngx_http_infer_compared_t;


typedef struct {
    ngx_str_t                    file;
    double                       share;

    /* where the directive stands */
    ngx_str_t                    conf_name;
    ngx_uint_t                   conf_line;
} ngx_http_infer_shadow_conf_t;


/* those of time, and all that was ever counted */
#define NGX_HTTP_INFER_WINDOWS  (INFER_SPANS + 1)


typedef struct {
    infer_verdict_t              verdict;
    double                       drift;       /* over the threshold: 1 */
    const char                  *worst;       /* score; NULL: not known */
} ngx_http_infer_alert_t;


typedef struct {
    const infer_baseline_t      *baseline;
    uint64_t                     samples;
    ngx_http_infer_alert_t       alert[INFER_ALERTS];
    infer_score_t                score[INFER_SCORES];
    size_t                       n;
} ngx_http_infer_window_t;


/* directives that watch a model: see monitor.h */
typedef struct {
    ngx_uint_t                   feedback;    /* answers remembered; 0: off */
    ngx_http_infer_capture_t    *capture;     /* NULL: off */
    ngx_http_infer_shadow_conf_t
                                *shadow;      /* NULL: off */
    ngx_flag_t                   monitor;
} ngx_http_infer_monitor_conf_t;


/* sample.c */

/* Preconfiguration. */
ngx_int_t ngx_http_infer_find_request_id(ngx_conf_t *cf);

/* Gives a task its sample, if the location wants one.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_infer_create_sample(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);

/* In the thread, of the next image: data is the file. */
void ngx_http_infer_sample_image(ngx_http_infer_task_t *task, ngx_str_t *data,
    const infer_image_t *img, const infer_image_t *prepared);

/* The prepared image n is not needed any more: it is freed, now or later. */
void ngx_http_infer_sample_placed(ngx_http_infer_task_t *task, size_t n,
    infer_image_t *prepared);

/* Item n has been run, at this place of the session. */
void ngx_http_infer_sample_output(ngx_http_infer_task_t *task, size_t n,
    infer_session_t *session, size_t place);

/* In the thread, before anything is sampled: the id that a body has. */
void ngx_http_infer_sample_id(ngx_http_infer_task_t *task, const char *text,
    size_t len);

/* On the event loop, before the result is sent; NGX_ERROR: no memory. */
ngx_int_t ngx_http_infer_sample_answer(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);

/* On the event loop: the task is about to be freed. */
void ngx_http_infer_release_sample(ngx_http_infer_task_t *task);


/* feedback.c */

/* NGX_HTTP_INFER_FEEDBACKS of them. */
extern const ngx_http_infer_reason_t  ngx_http_infer_feedbacks[];

/* Configuration time: the ring of a service. */
ngx_int_t ngx_http_infer_add_feedback(ngx_conf_t *cf,
    ngx_http_infer_service_t *service);

/* Answers POST .../feedback. */
ngx_int_t ngx_http_infer_feedback(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);

/* For infer_status; NULL where there was no report. */
json_t *ngx_http_infer_feedback_json(ngx_http_infer_feedback_t *feedback);


/* capture.c */

char *ngx_http_infer_capture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* NGX_HTTP_INFER_CAPTURES of them. */
extern const char  *ngx_http_infer_captured[];


/* shadow.c */

char *ngx_http_infer_shadow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Configuration time, once the endpoint has its model: its shadow. */
ngx_int_t ngx_http_infer_add_shadow(ngx_conf_t *cf,
    ngx_http_infer_service_t *service);

/* A worker exits. */
void ngx_http_infer_drop_shadows(ngx_cycle_t *cycle);

/* Upper bounds of all buckets but the last. */
extern const double
    ngx_http_infer_shadow_bounds[NGX_HTTP_INFER_SHADOW_BUCKETS - 1];

/* NULL: the endpoint has no shadow. */
ngx_http_infer_compared_t *ngx_http_infer_get_compared(
    ngx_http_infer_endpoint_t *ep);

/* For infer_status. */
json_t *ngx_http_infer_shadow_json(ngx_http_infer_compared_t *compared);


/* monitor.c */

/* Configuration time, once the endpoint has its model: its windows. */
ngx_int_t ngx_http_infer_add_monitor(ngx_conf_t *cf,
    ngx_http_infer_service_t *service);

ngx_uint_t ngx_http_infer_is_monitored(ngx_http_infer_endpoint_t *ep);

/* NGX_HTTP_INFER_WINDOWS of them, by infer_span_t.  NULL: the endpoint is not
   monitored, or no memory. */
ngx_http_infer_window_t *ngx_http_infer_read_windows(ngx_pool_t *pool,
    ngx_http_infer_endpoint_t *ep);

/* For infer_status; NULL as above. */
json_t *ngx_http_infer_monitor_json(ngx_pool_t *pool,
    ngx_http_infer_endpoint_t *ep);


#endif /* _NGX_HTTP_INFER_MONITOR_H_INCLUDED_ */
