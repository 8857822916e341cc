
/*
 * ngx_http_infer_module: a neural network as the content of a location.
 *
 * The master builds every model in a shared zone of its own before it forks
 * (model.c, labels.c).  A request's URI says what is asked of which model
 * (routes.c); its body is read by nginx (body.c); a task then holds all that
 * the computation needs (task.c), so that a request may end at any moment
 * without waiting for its thread.  Tasks wait in the lane of their model until
 * a thread of its pool takes one, or a batch of them (lane.c).  Back on the
 * event loop the answer is written (response.c) and the variables are set
 * (variables.c).  Idle threads may help with a computation (threads.c).
 * infer_guard does the same in an earlier phase, and then the request goes on
 * (guard.c, guard_image.c).
 *
 * In the thread what a task asks for is read from its body into a call
 * (tensors.c), an image (image.c) or tensors as a protocol has them (kserve.c,
 * tfserving.c, torchserve.c), in JSON (json.c, numbers.c, out.c) or binary; the
 * items of all calls are run together (batch.c), and each answer is written.
 * What is kept of it all to watch the model is in monitor.h.
 */

#ifndef _NGX_HTTP_INFER_MODULE_H_INCLUDED_
#define _NGX_HTTP_INFER_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#if !(NGX_THREADS)
#error ngx_http_infer_module needs nginx built with --with-threads
#endif

#include <ngx_thread_pool.h>

#include <infer.h>
#include <jansson.h>
#include <math.h>


/* RFC 2046: a boundary has 1 to 70 characters */
#define NGX_HTTP_INFER_BOUNDARY_LEN  70


typedef struct ngx_http_infer_main_conf_s  ngx_http_infer_main_conf_t;
typedef struct ngx_http_infer_loc_conf_s   ngx_http_infer_loc_conf_t;
typedef struct ngx_http_infer_ctx_s        ngx_http_infer_ctx_t;
typedef struct ngx_http_infer_task_s       ngx_http_infer_task_t;
typedef struct ngx_http_infer_call_s       ngx_http_infer_call_t;
typedef struct ngx_http_infer_workspace_s  ngx_http_infer_workspace_t;
typedef struct ngx_http_infer_crew_s       ngx_http_infer_crew_t;
typedef struct ngx_http_infer_route_s      ngx_http_infer_route_t;
typedef struct ngx_http_infer_service_s    ngx_http_infer_service_t;
typedef struct ngx_http_infer_endpoint_s   ngx_http_infer_endpoint_t;


#include "ngx_http_infer_stats.h"


/*
 * What a thread runs a model with: session[n] is for n + 1 items, the last one
 * has the memory of all; NULL: not needed yet.
 */
struct ngx_http_infer_workspace_s {
    ngx_http_infer_workspace_t  *next;
    infer_session_t             *session[1];
};


/* one model file; locations that name the same file share it */
typedef struct {
    ngx_str_t                    path;
    ngx_str_t                    zone_name;   /* has the file's identity */
    infer_load_options_t         options;
    size_t                       size;        /* of its memory in the zone */
    infer_model_t               *model;       /* in the zone, read-only */
    ngx_uint_t                   watched;     /* layers are looked at, too */
    ngx_array_t                  services;    /* ngx_http_infer_service_t * */
    ngx_uint_t                   threads;     /* the most of a location */
    ngx_uint_t                   batch;       /* the same of infer_batch */

    /* of this worker: idle ones, the last used first */
    ngx_atomic_t                 lock;
    ngx_http_infer_workspace_t  *idle;
} ngx_http_infer_model_t;


/* a thread pool that has locations; all else is of this worker */
typedef struct {
    ngx_thread_pool_t           *thread_pool;

    /* batches posted that no thread has begun with */
    ngx_atomic_t                 waiting;

    ngx_thread_mutex_t           mutex;
    ngx_queue_t                  lanes;       /* those with tickets */
    ngx_uint_t                   running;     /* batches */
    uint64_t                     clock;       /* see lane.c */
    uint64_t                     latest;      /* of all lanes */
} ngx_http_infer_pool_t;


/* what infer_model makes of a location, and who is in it (in this worker) */
struct ngx_http_infer_endpoint_s {
    ngx_http_infer_model_t      *model;       /* once directives are merged */
    ngx_str_t                    name;
    ngx_str_t                    version;     /* empty: none */
    ngx_shm_zone_t              *stats;       /* ngx_http_infer_stats_t */
    ngx_http_infer_shadow_t     *shadow;      /* NULL: none */
    ngx_http_infer_live_t       *live;        /* NULL: infer_monitor off */

    /* the directive: its argument, and where it stands */
    ngx_str_t                    file;
    ngx_str_t                    conf_name;
    ngx_uint_t                   conf_line;

    ngx_queue_t                  waiting;     /* ngx_http_infer_ctx_t */
    ngx_uint_t                   nwaiting;
    ngx_uint_t                   ntasks;      /* in lanes or with threads */
};


/* tasks of a service that no thread has begun with, in order: see lane.c */
typedef struct {
    ngx_http_infer_pool_t       *pool;
    ngx_http_infer_endpoint_t   *endpoint;
    ngx_uint_t                   size;        /* of a batch; 1: off */
    ngx_msec_t                   delay;

    ngx_queue_t                  queue;       /* in lanes of the pool */
    ngx_queue_t                  tasks;       /* ngx_http_infer_task_t */
    ngx_uint_t                   ntasks;
    ngx_uint_t                   tickets;     /* batches that may begin */
    uint64_t                     clock;
    uint64_t                     cost;
    ngx_event_t                  timer;       /* delay */
} ngx_http_infer_lane_t;


/* an endpoint under a second name: see error_page.c */
typedef struct {
    ngx_str_t                    name;
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_array_t                 *error_pages;
} ngx_http_infer_named_t;


/* what a location of ours answers with */
typedef enum {
    NGX_HTTP_INFER_MODELS = 0,
    NGX_HTTP_INFER_METRICS,
    NGX_HTTP_INFER_STATUS,
    NGX_HTTP_INFER_OPENAPI
} ngx_http_infer_content_e;


typedef struct {
    ngx_http_infer_content_e     content;
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_core_loc_conf_t    *clcf;
} ngx_http_infer_location_t;


struct ngx_http_infer_main_conf_s {
    ngx_array_t                  named;       /* ngx_http_infer_named_t */
    ngx_array_t                  pools;       /* ngx_http_infer_pool_t * */
    ngx_array_t                  endpoints;   /* ngx_http_infer_endpoint_t * */
    ngx_array_t                  locations;   /* ngx_http_infer_location_t */
    ngx_uint_t                   guards;      /* there are some */
    ngx_array_t                  shadows;     /* ngx_http_infer_shadow_t * */
    ngx_shm_zone_t              *workers;     /* see stats.c */
};


/* a model as a location serves it */
struct ngx_http_infer_service_s {
    ngx_http_infer_endpoint_t   *endpoint;
    ngx_http_infer_loc_conf_t   *conf;        /* of the location */
    ngx_array_t                 *labels;      /* ngx_str_t; NULL: model's */

    /* the model's preprocessing with the location's settings, and checked */
    infer_preprocess_t           preprocess;
    u_char                      *no_image;    /* why it takes no images, or
                                                 NULL */
    ngx_http_infer_lane_t        lane;
    ngx_shm_zone_t              *ring;        /* of infer_feedback, or NULL */
};


/* infer_guard_failure */
#define NGX_HTTP_INFER_REFUSE  0
#define NGX_HTTP_INFER_PASS    1


struct ngx_http_infer_loc_conf_s {
    ngx_array_t                 *services;    /* ngx_http_infer_service_t;
                                                 NULL: not ours */
    ngx_uint_t                   guard;       /* the one is infer_guard's */
    ngx_uint_t                   guard_failure;
    ngx_uint_t                   nchecked;    /* services that have a model */
    ngx_uint_t                   nlabelled;   /* those that labels fit */
    ngx_array_t                 *labels;      /* ngx_str_t; NULL: no file */
    ngx_array_t                 *settings;    /* ngx_str_t; infer_preprocess */
    ngx_uint_t                   top_k;
    size_t                       winograd_budget;
    ngx_array_t                 *shapes;      /* infer_input_shape_t */
    ngx_str_t                    shape_text;  /* as it is written */
    ngx_uint_t                   inherited_shapes;
    ngx_thread_pool_t           *thread_pool;
    ngx_http_infer_pool_t       *pool;        /* of thread_pool */
    ngx_uint_t                   threads;
    size_t                       max_pixels;
    ngx_uint_t                   queue;
    ngx_msec_t                   timeout;
    ngx_flag_t                   ignore_client_abort;
    ngx_uint_t                   max_batch;
    ngx_uint_t                   batch_size;  /* 1: off */
    ngx_msec_t                   batch_delay;
    ngx_array_t                 *error_pages; /* ngx_http_err_page_t; the
                                                 user's */
    ngx_uint_t                   nv;          /* infer_metrics nv */
    ngx_http_infer_monitor_conf_t
                                 monitor;
};


/*
 * All that a thread touches.  It is no part of the request's memory: when the
 * request ends first, it only cuts the tie (ctx = NULL), and the completion
 * handler frees the task.
 */
struct ngx_http_infer_task_s {
    ngx_queue_t                  queue;       /* in its lane, then its batch */
    ngx_http_infer_service_t    *service;
    const ngx_http_infer_route_t
                                *route;
    ngx_http_infer_crew_t       *crew;        /* NULL: infer_threads 1 */
    const infer_parallel_t      *parallel;    /* of the crew, once started */
    ngx_uint_t                   started_crew;
    ngx_http_infer_sample_t     *sample;      /* NULL: nobody watches */

    /* event loop only */
    ngx_http_infer_ctx_t        *ctx;

    /* set by the event loop, read by the thread before it starts to work */
    ngx_atomic_t                 cancelled;

    u_char                      *body;
    size_t                       size;

    /* the part of the body that is yet to be read from a temporary file */
    ngx_fd_t                     fd;          /* a duplicate, or invalid */
    off_t                        file_pos;
    u_char                      *file_body;
    size_t                       file_size;

    /* multipart/form-data, if boundary_len is not 0 */
    size_t                       boundary_len;
    u_char                       boundary[NGX_HTTP_INFER_BOUNDARY_LEN];

    /* Inference-Header-Content-Length, or -1 */
    off_t                        json_size;
    ngx_uint_t                   json;        /* application/json */

    ngx_http_infer_call_t       *call;        /* once it is read */

    /* the outcome: classes or an answer, or another reason and err */
    ngx_http_infer_reason_e      reason;
    infer_error_t                err;
    ngx_pool_t                  *pool;        /* of the answer, or NULL */
    ngx_str_t                    answer;
    off_t                        answer_json; /* bytes of JSON before binary
                                                 tensors, or -1 */
    size_t                       batch;       /* images or rows run */

    uint64_t                     admitted;    /* as in the context */

    /* nanoseconds that images or tensors of the request took; 0: none */
    uint64_t                     decoding;
    uint64_t                     preprocessing;
    uint64_t                     running;

    /* nanoseconds, monotonic, as if all were decoded, then preprocessed, then
       run, without a pause; 0: it did not come that far */
    uint64_t                     started;
    uint64_t                     decoded;
    uint64_t                     preprocessed;
    uint64_t                     finished;
    size_t                       ntop;        /* 0: tensors, no class */
    size_t                       maxtop;
    infer_class_t               *top;
};


/* a request from its header to its end */
struct ngx_http_infer_ctx_s {
    ngx_http_request_t          *request;
    ngx_http_infer_service_t    *service;
    const ngx_http_infer_route_t
                                *route;
    ngx_http_infer_endpoint_t   *guard;       /* NULL: of no guard */
    ngx_event_t                  timer;       /* infer_timeout */
    uint64_t                     arrived;     /* nanoseconds, monotonic */
    uint64_t                     admitted;
    uint64_t                     answered;    /* 0: not yet */

    ngx_queue_t                  queue;       /* while it waits */
    ngx_http_infer_task_t       *task;        /* while it runs */
    unsigned                     waiting:1;
};


typedef enum {
    NGX_HTTP_INFER_CLASS = 0,
    NGX_HTTP_INFER_LABEL,
    NGX_HTTP_INFER_CONFIDENCE,
    NGX_HTTP_INFER_MODEL,
    NGX_HTTP_INFER_MODEL_VERSION,
    NGX_HTTP_INFER_TIME,
    NGX_HTTP_INFER_QUEUE_TIME,
    NGX_HTTP_INFER_ERROR,
    NGX_HTTP_INFER_STATUS_CODE,
    NGX_HTTP_INFER_VARIABLES
} ngx_http_infer_variable_e;


extern ngx_module_t  ngx_http_infer_module;


/* module.c: the content handler of a location with models */
ngx_int_t ngx_http_infer_handler(ngx_http_request_t *r);


/* model.c: configuration time; errors are logged in full */

/* infer_model */
char *ngx_http_infer_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * What infer_model and infer_guard name, as another service of the location.
 * NULL on error.
 */
ngx_http_infer_endpoint_t *ngx_http_infer_add_service(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf);

/* infer_input_shape */
char *ngx_http_infer_input_shape(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The model of a service whose location's directives are merged, and the zone
 * it is going to be built in.  NGX_ERROR names the line of infer_model.
 */
ngx_int_t ngx_http_infer_add_model(ngx_conf_t *cf,
    ngx_http_infer_service_t *service);

/* A model with the options of a location, and its zone; conf_name and line are
   those of the directive that names it.  NULL on error. */
ngx_http_infer_model_t *ngx_http_infer_load_at(ngx_conf_t *cf,
    ngx_str_t *file, ngx_str_t *conf_name, ngx_uint_t conf_line,
    ngx_http_infer_loc_conf_t *conf);


/* labels.c; errors are logged in full */

/* A label for each line of a file.  NULL on error. */
ngx_array_t *ngx_http_infer_read_labels(ngx_conf_t *cf, ngx_str_t *file);

/*
 * infer_labels is for those models of a location that have as many classes;
 * there must be one.  Called once for each service of a location.
 */
ngx_int_t ngx_http_infer_check_labels(ngx_http_infer_service_t *service,
    ngx_log_t *log);

/* The label of a class; len 0 where it has none. */
ngx_str_t ngx_http_infer_label(ngx_http_infer_service_t *service,
    size_t class_id);


/* guard.c, guard_image.c */

/* infer_guard */
char *ngx_http_infer_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Postconfiguration. */
ngx_int_t ngx_http_infer_add_guard_handler(ngx_conf_t *cf);

/*
 * Finalizes the request, or lets it go on where NGX_DECLINED says that a guard
 * is done with it.
 */
void ngx_http_infer_finalize(ngx_http_request_t *r, ngx_int_t rc);

/* In the thread: classifies the one image of the body. */
ngx_int_t ngx_http_infer_guard_read(ngx_http_infer_task_t *task);


/* error_page.c */

/* Our own page for 413 goes before the user's. */
ngx_int_t ngx_http_infer_add_error_page(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);

/* Postconfiguration. */
ngx_int_t ngx_http_infer_add_named_locations(ngx_conf_t *cf);


/* routes.c */

/* What a URI asks for; which model it means is the service's business. */
struct ngx_http_infer_route_s {
    const char                  *pattern;     /* NULL: the plain route */
    ngx_uint_t                   methods;     /* besides OPTIONS */
    const char                  *allow;

    /* answers GET, HEAD, and POST where there is nothing to read */
    ngx_int_t                  (*answer)(ngx_http_request_t *r,
                                         ngx_http_infer_service_t *service);

    /*
     * In the thread, for POST: read makes the call of the task, write makes
     * the answer of a call that has run, if it is not made where it is sent.
     * Both set the outcome of the task.
     */
    ngx_int_t                  (*read)(ngx_http_infer_task_t *task);
    void                       (*write)(ngx_http_infer_task_t *task);
};

/*
 * The route of a request and the service it names, or the first of the
 * location.  NGX_OK, or NGX_DECLINED where there is no such route or model
 * (*route is the plain one, *service the first).
 */
ngx_int_t ngx_http_infer_find_route(ngx_http_request_t *r,
    const ngx_http_infer_route_t **route, ngx_http_infer_service_t **service);

/* Whether the path of a protocol begins here. */
ngx_uint_t ngx_http_infer_is_protocol(ngx_str_t *uri);

/* The version that clients see: "1" where infer_model names none. */
ngx_str_t ngx_http_infer_version(ngx_http_infer_endpoint_t *ep);

ngx_uint_t ngx_http_infer_same(ngx_str_t *one, ngx_str_t *two);

/* The first service with this name, and this version unless it is empty. */
ngx_http_infer_service_t *ngx_http_infer_find_service(
    ngx_http_infer_loc_conf_t *conf, ngx_str_t *name, ngx_str_t *version);


/* body.c */

/* The type of the body: NGX_OK, or NGX_DECLINED with the reason. */
ngx_int_t ngx_http_infer_body_type(ngx_http_request_t *r,
    ngx_str_t *boundary, const char **reason);

off_t ngx_http_infer_body_size(ngx_http_request_t *r);

/* Whether Content-Type says so. */
ngx_uint_t ngx_http_infer_body_is_json(ngx_http_request_t *r);

/* Gives the task a body of its own.  NGX_OK or NGX_ERROR, logged. */
ngx_int_t ngx_http_infer_body_take(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);

/*
 * In the thread: reads what is in a file, finds the image in a multipart
 * body.  NGX_OK and the image, which lies in the task's body; NGX_ERROR with
 * the task's status and err set.
 */
ngx_int_t ngx_http_infer_body_image(ngx_http_infer_task_t *task,
    ngx_str_t *image);

/* In the thread: reads what is in a file; NGX_ERROR as above. */
ngx_int_t ngx_http_infer_body_read(ngx_http_infer_task_t *task);

/* The first header of this name, in lower case, or NULL; and how many. */
ngx_table_elt_t *ngx_http_infer_find_header(ngx_http_request_t *r,
    const char *name, ngx_uint_t *n);

/* A header that holds a number of bytes; -1: there is none, -2: no number. */
off_t ngx_http_infer_json_size(ngx_http_request_t *r);


/* task.c */

/*
 * The context of a request, made at its first use; NULL: no memory.  Each
 * guard that the request comes by has one of its own.
 */
ngx_http_infer_ctx_t *ngx_http_infer_get_ctx(ngx_http_request_t *r);

/*
 * Starts the request or puts it in the queue: NGX_DONE, it will be finalized
 * later; else the code to finalize it with.
 */
ngx_int_t ngx_http_infer_submit(ngx_http_request_t *r);

/* A thread is done with the tasks of a batch, which it takes over. */
void ngx_http_infer_tasks_done(ngx_queue_t *tasks);

/* In the thread: the prediction is complete, what follows is the answer. */
void ngx_http_infer_task_finish(ngx_http_infer_task_t *task);

/* In the thread: the outcome is an error. */
void ngx_http_infer_task_fail(ngx_http_infer_task_t *task,
    ngx_http_infer_reason_e reason, const char *why);

/* Nanoseconds, monotonic. */
uint64_t ngx_http_infer_now(void);


/* lane.c */

/* infer_batch */
char *ngx_http_infer_batch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Configuration time: what no batch can ever be is logged: NGX_ERROR. */
ngx_int_t ngx_http_infer_check_batch_size(ngx_conf_t *cf,
    ngx_http_infer_loc_conf_t *conf);

/* Configuration time: a pool that has lanes; NULL: no memory. */
ngx_http_infer_pool_t *ngx_http_infer_add_pool(ngx_conf_t *cf,
    ngx_thread_pool_t *tp);

/* Configuration time: the directives are merged, the model is known. */
void ngx_http_infer_init_lane(ngx_conf_t *cf,
    ngx_http_infer_service_t *service);

/* The task waits for a thread.  NGX_ERROR: it does not. */
ngx_int_t ngx_http_infer_enter_lane(ngx_http_infer_task_t *task);


/* batch.c */

/* In the thread: does all that there is to do for these tasks. */
void ngx_http_infer_run_tasks(ngx_http_infer_lane_t *lane,
    ngx_queue_t *tasks);

/*
 * Configuration time, once the model is built: whether it can do what
 * infer_batch wants of it.  old: the same model before a reload, or NULL.
 */
ngx_int_t ngx_http_infer_check_batch(ngx_http_infer_model_t *model,
    ngx_http_infer_model_t *old, ngx_log_t *log);

/* A pool cleanup: frees the workspaces of an ngx_http_infer_model_t. */
void ngx_http_infer_free_workspaces(void *data);


/* status.c: infer_status */
char *ngx_http_infer_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* image.c: in the thread */

/* The plain route: an image, or JSON as TensorFlow Serving knows it. */
ngx_int_t ngx_http_infer_plain_read(ngx_http_infer_task_t *task);
void ngx_http_infer_plain_write(ngx_http_infer_task_t *task);

/*
 * A call for the k best classes of the image of the body, or of this one,
 * which lies in the body.  k <= task->maxtop.
 */
ngx_int_t ngx_http_infer_image_read(ngx_http_infer_task_t *task, size_t k);
ngx_int_t ngx_http_infer_image_call(ngx_http_infer_task_t *task,
    ngx_str_t *data, size_t k);

/*
 * Decodes an image and makes of it what the model sees, to be freed with
 * infer_image_free.  NGX_ERROR: the task has failed.
 */
ngx_int_t ngx_http_infer_prepare_image(ngx_http_infer_task_t *task,
    ngx_str_t *data, infer_image_t *prepared);


/* threads.c */

/* For a computation by up to so many threads (2 or more) of a pool. */
ngx_http_infer_crew_t *ngx_http_infer_create_crew(
    ngx_http_infer_pool_t *pool, size_t threads, ngx_log_t *log);

/* On the event loop; helpers may go on to hold it. */
void ngx_http_infer_free_crew(ngx_http_infer_crew_t *crew);

/*
 * In the thread, once: calls for helpers.  NULL, and no help, where requests
 * wait for the threads.
 */
const infer_parallel_t *ngx_http_infer_start_crew(
    ngx_http_infer_crew_t *crew);

/* In the thread: nothing is left to do. */
void ngx_http_infer_end_crew(ngx_http_infer_crew_t *crew);


/*
 * response.c: each sends a JSON answer and returns the code to finalize with;
 * NGX_DECLINED where a guard lets the request pass: nothing was sent.
 */

ngx_int_t ngx_http_infer_send_result(ngx_http_request_t *r,
    ngx_http_infer_task_t *task);
ngx_int_t ngx_http_infer_send_description(ngx_http_request_t *r,
    ngx_http_infer_service_t *service);
ngx_int_t ngx_http_infer_send_options(ngx_http_request_t *r);

/* name and value must live as long as the request */
ngx_int_t ngx_http_infer_add_header(ngx_http_request_t *r, const char *name,
    const char *value);

/* Takes root over.  A NULL in it or for it is a lack of memory. */
ngx_int_t ngx_http_infer_send_json(ngx_http_request_t *r, ngx_uint_t status,
    json_t *root);

/* Names in a model file may hold anything: what is not UTF-8 becomes "?". */
json_t *ngx_http_infer_json_string(ngx_str_t *text);

/* Whether the worker takes new requests. */
ngx_uint_t ngx_http_infer_is_ready(void);

/* An error_page of the configuration for the reason's status goes first. */
ngx_int_t ngx_http_infer_send_error(ngx_http_request_t *r,
    ngx_http_infer_reason_e reason, const char *why);

/* Whether a text may stand in an answer, a header and a log: UTF-8 without
   control characters. */
ngx_int_t ngx_http_infer_text_valid(ngx_str_t *text);


/* metrics.c, nv.c */

char *ngx_http_infer_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* paths.c */

/* Configuration time, once for each location or more: it is ours. */
ngx_int_t ngx_http_infer_add_location(ngx_conf_t *cf,
    ngx_http_infer_content_e content);


/* openapi.c */

char *ngx_http_infer_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* page.c */

/* Whether a browser asks, and the page it gets. */
ngx_uint_t ngx_http_infer_wants_page(ngx_http_request_t *r);
ngx_int_t ngx_http_infer_send_page(ngx_http_request_t *r);

/* The headers that page and data have: nothing of them is to be kept. */
ngx_int_t ngx_http_infer_status_headers(ngx_http_request_t *r);


/* page_html.c, which page.pl makes of status.html */

extern const char  ngx_http_infer_page_policy[];
extern ngx_str_t   ngx_http_infer_page;


/* variables.c */

ngx_int_t ngx_http_infer_add_variables(ngx_conf_t *cf);

/* The text must live as long as the request. */
void ngx_http_infer_set_variable(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable, ngx_str_t *text);

/* As if nothing had been asked: of two guards the second one is told. */
void ngx_http_infer_clear_variables(ngx_http_request_t *r);

/* Name and version. */
void ngx_http_infer_set_model_variables(ngx_http_request_t *r,
    ngx_http_infer_endpoint_t *ep);

/* NGX_ERROR: no memory; so below. */
ngx_int_t ngx_http_infer_set_status_variable(ngx_http_request_t *r,
    ngx_uint_t status);

ngx_uint_t ngx_http_infer_variable_is_set(ngx_http_request_t *r,
    ngx_http_infer_variable_e variable);

/* Class, label, confidence and times of a task that has run. */
ngx_int_t ngx_http_infer_set_result_variables(ngx_http_request_t *r,
    ngx_http_infer_ctx_t *ctx, ngx_http_infer_task_t *task);


#endif /* _NGX_HTTP_INFER_MODULE_H_INCLUDED_ */
