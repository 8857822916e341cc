
/*
 * A sample: what sample.c, feedback.c, capture.c and shadow.c share of a
 * request.  See monitor.h.
 */

#ifndef _NGX_HTTP_INFER_SAMPLE_H_INCLUDED_
#define _NGX_HTTP_INFER_SAMPLE_H_INCLUDED_


#include "ngx_http_infer_module.h"


/* an id has 1 to so many visible characters */
#define NGX_HTTP_INFER_ID_LEN  128


typedef struct ngx_http_infer_item_s  ngx_http_infer_item_t;


/* an image or row of a request */
struct ngx_http_infer_item_s {
    ngx_http_infer_item_t       *next;
    ngx_uint_t                   index;       /* within the request */
    infer_class_t                top;         /* what was answered */
    ngx_uint_t                   answered;    /* top is set */
    infer_sample_t               stats;       /* if it is monitored */

    /* the image as it was sent: while it is computed, and a copy to be
       captured; data NULL: none */
    ngx_str_t                    sent;
    ngx_str_t                    file;
    ngx_uint_t                   low;         /* for its low confidence */

    /* for the shadow: one of both, and the probability of each class */
    infer_image_t                image;       /* prepared */
    u_char                      *tensors;     /* inputs, one after the other */
    float                       *probabilities;
    ngx_uint_t                   compared;
};


/* what is kept of a request; at first part of its task, then by itself */
struct ngx_http_infer_sample_s {
    ngx_thread_task_t            thread;      /* of capture or shadow */
    ngx_queue_t                  queue;       /* of the shadow */
    ngx_http_infer_service_t    *service;

    ngx_str_t                    id;          /* len 0: nobody needs it */
    u_char                       text[NGX_HTTP_INFER_ID_LEN];
    uint64_t                     hash[2];     /* of the id, once begun */

    ngx_uint_t                   monitored;
    ngx_uint_t                   begun;
    ngx_uint_t                   shadow;      /* is to be computed again */
    size_t                       bytes;       /* kept for that */

    time_t                       time;        /* of the answer */
    ngx_http_infer_item_t       *items;       /* the last one first */
    ngx_uint_t                   nitems;
};


/* sample.c */

/* A share such as "1%", "0.5%" or "0.01": NGX_ERROR where it is none. */
ngx_int_t ngx_http_infer_parse_share(ngx_str_t *text, double *share);

/* Whether the sample's id is among that share of all ids. */
ngx_uint_t ngx_http_infer_sample_chosen(ngx_http_infer_sample_t *sample,
    double share);

/* On the event loop: capture.c is done with it. */
void ngx_http_infer_sample_captured(ngx_http_infer_sample_t *sample);

/* On the event loop: the end of a sample. */
void ngx_http_infer_free_sample(ngx_http_infer_sample_t *sample);

/* MD5, in two halves. */
void ngx_http_infer_hash_id(ngx_str_t *id, uint64_t hash[2]);

/* 1 to NGX_HTTP_INFER_ID_LEN visible characters of ASCII. */
ngx_uint_t ngx_http_infer_id_valid(ngx_str_t *id);


/* feedback.c */

/* On the event loop: remembers the answer, and tells the client the id. */
ngx_int_t ngx_http_infer_remember(ngx_http_request_t *r,
    ngx_http_infer_sample_t *sample);

/* monitor.c */

/* On the event loop: the answer is about to be sent. */
void ngx_http_infer_count_sample(ngx_http_infer_sample_t *sample);


/* capture.c */

/* In the thread, when the item has been answered: copies what is to be kept. */
void ngx_http_infer_keep_file(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item);

/* On the event loop: NGX_OK, sample_captured() follows; NGX_DECLINED: there is
   nothing to be written. */
ngx_int_t ngx_http_infer_start_capture(ngx_http_infer_sample_t *sample);

void ngx_http_infer_count_captured(ngx_http_infer_sample_t *sample,
    ngx_http_infer_captured_e outcome);


/* shadow.c */

/* In the thread, once the id is known. */
ngx_uint_t ngx_http_infer_wants_shadow(ngx_http_infer_sample_t *sample);

/* In the thread, after the run. */
void ngx_http_infer_keep_probabilities(ngx_http_infer_sample_t *sample,
    ngx_http_infer_item_t *item, infer_session_t *session, size_t place);

/* On the event loop: it is the shadow's, which frees it. */
void ngx_http_infer_give_shadow(ngx_http_infer_sample_t *sample);


#endif /* _NGX_HTTP_INFER_SAMPLE_H_INCLUDED_ */
