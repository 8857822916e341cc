
/*
 * The parameter "classification" of KServe: in place of an output, its largest
 * values, each as "value:index:label".
 */


#include "ngx_http_infer_tensors.h"


typedef struct {
    float                        value;
    size_t                       id;
} ngx_http_infer_score_t;


static int ngx_libc_cdecl ngx_http_infer_compare_scores(const void *one,
    const void *two);
static void ngx_http_infer_write_class(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, ngx_uint_t binary,
    ngx_http_infer_score_t *score);


ngx_int_t
ngx_http_infer_write_classes(ngx_http_infer_call_t *call,
    ngx_http_infer_output_t *output, ngx_http_infer_out_t *out)
{
    size_t                   n, i;
    float                   *value;
    ngx_http_infer_score_t  *score;

    score = ngx_palloc(call->pool,
                       output->count * sizeof(ngx_http_infer_score_t));
    if (score == NULL) {
        return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_MEMORY,
                                        "out of memory");
    }

    if (!output->binary) {
        ngx_http_infer_out_text(out, "[");
    }

    for (n = 0; n < call->batch; n++) {
        value = (float *) (output->data + n * output->size);

        for (i = 0; i < output->count; i++) {

            if (!isfinite(value[i])) {
                return ngx_http_infer_call_fail(call, NGX_HTTP_INFER_SCORES,
                                                "the model's scores are not "
                                                "finite");
            }

            score[i].value = value[i];
            score[i].id = i;
        }

        ngx_qsort(score, output->count, sizeof(ngx_http_infer_score_t),
                  ngx_http_infer_compare_scores);

        for (i = 0; i < output->classes; i++) {

            if ((n || i) && !output->binary) {
                ngx_http_infer_out_text(out, ",");
            }

            ngx_http_infer_write_class(call, out, output->binary, &score[i]);
        }
    }

    if (!output->binary) {
        ngx_http_infer_out_text(out, "]");
    }

    return NGX_OK;
}


/* falling; equal ones by their number */

static int ngx_libc_cdecl
ngx_http_infer_compare_scores(const void *one, const void *two)
{
    const ngx_http_infer_score_t *a = one;
    const ngx_http_infer_score_t *b = two;

    if (a->value != b->value) {
        return a->value < b->value ? 1 : -1;
    }

    return a->id < b->id ? -1 : 1;
}


static void
ngx_http_infer_write_class(ngx_http_infer_call_t *call,
    ngx_http_infer_out_t *out, ngx_uint_t binary,
    ngx_http_infer_score_t *score)
{
    u_char     head[64], len[4], *p;
    ngx_str_t  label, text;

    label = ngx_http_infer_label(call->service, score->id);

    p = ngx_http_infer_print_float(head, score->value);
    p = ngx_sprintf(p, ":%uz", score->id);

    if (label.len) {
        *p++ = ':';
    }

    text.len = p - head + label.len;
    text.data = ngx_pnalloc(call->pool, text.len);

    if (text.data == NULL) {
        out->failed = 1;
        return;
    }

    p = ngx_cpymem(text.data, head, p - head);

    if (label.len) {
        ngx_memcpy(p, label.data, label.len);
    }

    if (!binary) {
        ngx_http_infer_out_string(out, &text);
        return;
    }

    len[0] = (u_char) text.len;
    len[1] = (u_char) (text.len >> 8);
    len[2] = (u_char) (text.len >> 16);
    len[3] = (u_char) (text.len >> 24);

    ngx_http_infer_out_bytes(out, len, 4);
    ngx_http_infer_out_bytes(out, text.data, text.len);
}
