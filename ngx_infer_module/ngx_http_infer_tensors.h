
/*
 * Requests for tensors, in the thread: a protocol (kserve.c, tfserving.c)
 * reads its inputs into a call with the help of json.c, has it run, and writes
 * its outputs (tensors.c).
 */

#ifndef _NGX_HTTP_INFER_TENSORS_H_INCLUDED_
#define _NGX_HTTP_INFER_TENSORS_H_INCLUDED_


#include "ngx_http_infer_module.h"


/* after the end of a body: json.c reads numbers eight bytes at a time */
#define NGX_HTTP_INFER_PADDING  8


/* an array or object of a JSON text, read piece by piece */
typedef struct {
    u_char                      *p;
    u_char                      *last;
    u_char                       close;       /* ']' or '}' */
    unsigned                     begun:1;
    const char                  *why;         /* after NGX_ERROR */
} ngx_http_infer_json_t;


/* a member of an object that is left alone */
typedef struct {
    const char                  *key;
    ngx_str_t                    value;       /* data NULL: there is none */
} ngx_http_infer_member_t;


typedef struct {
    infer_port_t                 port;        /* open batch: 1 */
    size_t                       size;        /* of an item, bytes */

    /* of the whole batch, once the batch is known; one of both */
    u_char                      *data;
    ngx_str_t                   *images;
    size_t                       filled;      /* rows; see tfserving.c */
} ngx_http_infer_input_t;


typedef struct {
    infer_port_t                 port;        /* open batch: 1 */
    size_t                       size;        /* of an item, bytes */
    size_t                       count;       /* of an item, elements */
    u_char                      *data;        /* of the whole batch */
    size_t                       classes;     /* not 0: tell so many of them */
    unsigned                     wanted:1;
    unsigned                     binary:1;
} ngx_http_infer_output_t;


struct ngx_http_infer_call_s {
    ngx_http_infer_task_t       *task;
    ngx_http_infer_service_t    *service;
    ngx_pool_t                  *pool;        /* that of the task */

    ngx_http_infer_input_t      *inputs;
    size_t                       ninputs;
    ngx_http_infer_output_t     *outputs;
    size_t                       noutputs;

    ngx_uint_t                   open;        /* the model takes any batch */
    size_t                       batch;       /* items; 0: not known yet */
    uint64_t                     deadline;    /* ngx_http_infer_now(), or 0 */
    size_t                       top;         /* not 0: no outputs, but so many
                                                 classes in the task */
    size_t                       done;        /* items that have run */

    ngx_str_t                    id;          /* kserve.c; NULL: none */
    ngx_uint_t                   columns;     /* tfserving.c */
};


/* a text that grows */
typedef struct {
    ngx_pool_t                  *pool;
    u_char                      *start;
    u_char                      *last;
    u_char                      *end;
    ngx_uint_t                   failed;      /* no memory */
} ngx_http_infer_out_t;


/* json.c: texts must lie in a body, or be followed by its padding */

/* Starts to read an array or object that is the whole text. */
ngx_int_t ngx_http_infer_json_open(ngx_http_infer_json_t *json,
    ngx_str_t *text);

/*
 * The next element, or member with its key as it is written, quotes included.
 * NGX_DONE at the end.  The value is not looked into but for its brackets.
 */
ngx_int_t ngx_http_infer_json_next(ngx_http_infer_json_t *json,
    ngx_str_t *key, ngx_str_t *value);

/*
 * An object of which the members named in large[], up to a NULL key, are left
 * alone.  A name that comes twice is an error.  NULL, and why.
 */
json_t *ngx_http_infer_json_object(ngx_str_t *text,
    ngx_http_infer_member_t *large, const char **why);

/* What follows white space. */
static ngx_inline u_char *
ngx_http_infer_json_space(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == LF || *p == CR || *p == '\t')) {
        p++;
    }

    return p;
}


/*
 * numbers.c
 *
 * Numbers, or booleans, row-major: nested as dim[] says, or, if flat may be,
 * in one array.  Floats are rounded once to double, and then to dtype; what
 * does not fit a dtype is an error.
 */
ngx_int_t ngx_http_infer_json_numbers(ngx_str_t *text, infer_dtype_t dtype,
    int rank, const int64_t *dim, ngx_uint_t flat, void *dst,
    const char **why);


/* out.c */

void ngx_http_infer_out_bytes(ngx_http_infer_out_t *out, const void *data,
    size_t len);
void ngx_http_infer_out_text(ngx_http_infer_out_t *out, const char *text);
void ngx_http_infer_out_integer(ngx_http_infer_out_t *out, int64_t n);

/* With quotes; what is not UTF-8 becomes "?". */
void ngx_http_infer_out_string(ngx_http_infer_out_t *out, ngx_str_t *text);

/* Any float can be told from its neighbours; p has room for 24 bytes. */
u_char *ngx_http_infer_print_float(u_char *p, float f);

/* Nested by rank dimensions; NGX_ERROR: not finite, or no JSON for dtype. */
ngx_int_t ngx_http_infer_out_tensor(ngx_http_infer_out_t *out,
    infer_dtype_t dtype, int rank, const int64_t *dim, const void *data);


/* classes.c: strings for an output with classes; NGX_ERROR: failed */
ngx_int_t ngx_http_infer_write_classes(ngx_http_infer_call_t *call,
    ngx_http_infer_output_t *output, ngx_http_infer_out_t *out);


/* tensors.c */

/* NULL: the task has failed; so with all functions that return NGX_ERROR. */
ngx_http_infer_call_t *ngx_http_infer_create_call(
    ngx_http_infer_task_t *task);

/* The outcome is an error; returns NGX_ERROR. */
ngx_int_t ngx_http_infer_call_fail(ngx_http_infer_call_t *call,
    ngx_http_infer_reason_e reason, const char *fmt, ...);

ngx_http_infer_input_t *ngx_http_infer_call_input(ngx_http_infer_call_t *call,
    const char *name, size_t len);
ngx_http_infer_output_t *ngx_http_infer_call_output(
    ngx_http_infer_call_t *call, const char *name, size_t len);

/* The number of items: that of all inputs, and no more than are allowed. */
ngx_int_t ngx_http_infer_call_batch(ngx_http_infer_call_t *call, int64_t n);

/* Holds the shape of a whole input against the model. */
ngx_int_t ngx_http_infer_call_shape(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, int rank, const int64_t *dim);

/* Whether an input may be given as images. */
ngx_uint_t ngx_http_infer_call_takes_images(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input);

/* Memory for data, or for images. */
ngx_int_t ngx_http_infer_call_alloc(ngx_http_infer_call_t *call,
    ngx_http_infer_input_t *input, ngx_uint_t images);

/* An image in base64, within the quotes of a JSON string. */
ngx_int_t ngx_http_infer_call_base64(ngx_http_infer_call_t *call,
    ngx_str_t *text, ngx_str_t *image);

/* All inputs are there: memory for the outputs. */
ngx_int_t ngx_http_infer_call_ready(ngx_http_infer_call_t *call);

/* Whether there is time for, and use in, going on. */
ngx_int_t ngx_http_infer_call_wanted(ngx_http_infer_call_t *call);

/* sample.c: item n is about to be run, at this place of the session. */
void ngx_http_infer_sample_input(ngx_http_infer_call_t *call, size_t n,
    infer_session_t *session, size_t place);

/* The answer is complete; json_size: see answer_json of the task. */
void ngx_http_infer_call_answer(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, off_t json_size);


#endif /* _NGX_HTTP_INFER_TENSORS_H_INCLUDED_ */
