/*
 * The golden run: a fixed input, and the bits that came out where the file was
 * made.  Whoever is about to serve a model runs it once more and knows that
 * file, processor and program still compute the same.  Such inputs also show
 * whether the items of a batch leave each other alone.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/file.h"
#include "ops/common.h"


/* A part of the largest output: see infer_model_selftest. */
#define TOLERANCE  1e-4


static const uint64_t *offsets(const infer_section_t *s);
static void pattern(const infer_tensor_t *t, size_t input,
    unsigned char *byte);
static int set_inputs(infer_session_t *session, const infer_model_t *model,
    const infer_section_t *s, infer_error_t *err);
static void expand(const infer_tensor_t *t, const unsigned char *byte,
    void *data);
static int check_shapes(const infer_session_t *one,
    const infer_session_t *two, const infer_model_t *model,
    infer_error_t *err);
static int is_item(const infer_tensor_t *one, const infer_tensor_t *two);
static void *fixed_input(const infer_session_t *session, uint32_t i,
    infer_error_t *err);
static int same_items(infer_session_t *one, infer_session_t *two,
    const infer_model_t *model, infer_error_t *err);
static int same_output(const infer_tensor_t *t, const void *golden,
    int exact);
static int is_exact(void);
static int near(const float *x, const float *y, size_t n);


/* ---- the section ------------------------------------------------------ */

/*
 * Whether the offsets are there.  The sizes of what lies there are those of a
 * session: infer_model_selftest holds them against the section.
 */
int
infer_golden_check(const infer_section_t *s, const infer_model_t *m,
    infer_error_t *err)
{
    const infer_file_golden_t  *h = s->data;

    if (s->size < sizeof(*h) || h->n_inputs != m->n_inputs
        || h->n_outputs != m->n_outputs || h->exact > 1 || h->reserved != 0
        || !infer_range_valid(sizeof(*h), s->size, sizeof(*h),
                              (uint64_t) h->n_inputs + h->n_outputs,
                              sizeof(uint64_t), sizeof(uint64_t)))
    {
        snprintf(err->text, sizeof(err->text), "its golden run is not one of "
                 "this model");
        return -1;
    }

    return 0;
}


static const uint64_t *
offsets(const infer_section_t *s)
{
    return (const uint64_t *)
           (const void *) ((const infer_file_golden_t *) s->data + 1);
}


int
infer_golden_write(const infer_model_t *model, infer_buffer_t *b,
    infer_error_t *err)
{
    size_t                size;
    uint64_t              at, table;
    infer_tensor_t        t;
    infer_section_t       s;
    infer_session_t      *session;
    infer_file_golden_t   h = { .n_inputs = model->n_inputs,
                                .n_outputs = model->n_outputs };

    session = infer_session_create(model, 1, 1, err);
    if (session == NULL) {
        return -1;
    }

    h.exact = (uint32_t) is_exact();
    infer_buffer_reserve(b, sizeof(h), 1);
    table = infer_buffer_reserve(b, ((size_t) h.n_inputs + h.n_outputs)
                                    * sizeof(at), 1);

    for (uint32_t i = 0; i < h.n_inputs; i++) {
        infer_session_input_tensor(session, i, &t);
        at = infer_buffer_reserve(b, infer_numel(&t), INFER_MODEL_ALIGN);

        if (!b->failed) {
            pattern(&t, i, b->data + at);
            memcpy(b->data + table + i * sizeof(at), &at, sizeof(at));
        }
    }

    s = (infer_section_t) { INFER_SECTION_GOLDEN, b->data, b->size };

    if (!b->failed) {
        memcpy(b->data, &h, sizeof(h));
        b->failed = set_inputs(session, model, &s, err) != 0;
    }

    for (uint32_t i = 0; i < h.n_outputs && !b->failed; i++) {
        if (i == 0) {
            infer_session_run(session, NULL);
        }

        infer_session_output_tensor(session, i, &t);
        size = infer_numel(&t) * infer_dtype_size(t.dtype);
        at = infer_buffer_reserve(b, size, INFER_MODEL_ALIGN);

        if (!b->failed) {
            memcpy(b->data + at, t.data, size);
            memcpy(b->data + table + (h.n_inputs + i) * sizeof(at), &at,
                   sizeof(at));
        }
    }

    infer_session_free(session);

    if (b->failed) {
        snprintf(err->text, sizeof(err->text), "out of memory");
        return -1;
    }

    return 0;
}


/*
 * Something like an image: light and shade across it, and noise, so that no
 * two channels, rows or columns are alike.
 */
static void
pattern(const infer_tensor_t *t, size_t input, unsigned char *byte)
{
    size_t    n = infer_numel(t);
    int64_t   width = t->rank > 0 ? t->dim[t->rank - 1] : 1;
    uint32_t  noise = 0x9e3779b9u + (uint32_t) input, x, y;

    for (size_t i = 0; i < n; i++) {
        x = (uint32_t) (i % (size_t) width);
        y = (uint32_t) (i / (size_t) width);
        noise = noise * 1664525u + 1013904223u;
        byte[i] = (unsigned char) (64 + ((x + 2 * y) & 63) + (noise >> 25));
    }
}


/* ---- the test --------------------------------------------------------- */

int
infer_model_selftest(const infer_model_t *model, infer_error_t *err)
{
    int               rc = -1, exact;
    size_t            size;
    infer_error_t     why;
    infer_tensor_t    t;
    infer_section_t   s;
    infer_session_t  *session;

    if (infer_model_find_section(model, INFER_SECTION_GOLDEN, &s) != 0) {
        return 0;
    }

    session = infer_session_create(model, 1, 1, &why);

    if (session == NULL || set_inputs(session, model, &s, &why) != 0) {
        snprintf(err->text, sizeof(err->text), "self-test: %.400s", why.text);
        goto done;
    }

    infer_session_run(session, NULL);
    exact = is_exact() && ((const infer_file_golden_t *) s.data)->exact;

    for (uint32_t i = 0; i < model->n_outputs; i++) {
        infer_session_output_tensor(session, i, &t);
        size = infer_numel(&t) * infer_dtype_size(t.dtype);

        if (!infer_range_valid(0, s.size, offsets(&s)[model->n_inputs + i],
                               1, size, INFER_MODEL_ALIGN)
            || !same_output(&t, (const char *) s.data
                                + offsets(&s)[model->n_inputs + i], exact))
        {
            snprintf(err->text, sizeof(err->text), "self-test: output %u is "
                     "not what it was when the file was made (%s)", i,
                     infer_isa());
            goto done;
        }
    }

    rc = 0;

done:

    infer_session_free(session);

    return rc;
}


/* Gives the session its golden inputs. */
static int
set_inputs(infer_session_t *session, const infer_model_t *model,
    const infer_section_t *s, infer_error_t *err)
{
    void            *data;
    size_t           n;
    infer_tensor_t   t;

    for (uint32_t i = 0; i < model->n_inputs; i++) {
        infer_session_input_tensor(session, i, &t);
        n = infer_numel(&t);

        if (!infer_range_valid(0, s->size, offsets(s)[i], 1, n,
                               INFER_MODEL_ALIGN))
        {
            snprintf(err->text, sizeof(err->text), "input %u is of another "
                     "size", i);
            return -1;
        }

        data = calloc(n + 1, infer_dtype_size(t.dtype));
        if (data == NULL) {
            snprintf(err->text, sizeof(err->text), "out of memory");
            return -1;
        }

        expand(&t, (const unsigned char *) s->data + offsets(s)[i], data);
        infer_session_set_input(session, i, data);
        free(data);
    }

    return 0;
}


static void
expand(const infer_tensor_t *t, const unsigned char *byte, void *data)
{
    size_t          n = infer_numel(t);
    unsigned char   bit;
    float           x;
    const size_t    size = infer_dtype_size(t->dtype);
    const int       is_float = t->dtype == INFER_F32 || t->dtype == INFER_F64
                               || t->dtype == INFER_F16
                               || t->dtype == INFER_BF16;

    for (size_t i = 0; i < n; i++) {
        bit = byte[i] & 1;

        if (is_float) {
            x = ((float) byte[i] - 128) / 64;
            infer_convert(t->dtype, (char *) data + i * size, INFER_F32, &x,
                          1);

        } else {
            infer_convert(t->dtype, (char *) data + i * size, INFER_U8, &bit,
                          1);
        }
    }
}


/* ---- items of a batch ------------------------------------------------- */

int
infer_model_check_items(const infer_model_t *model, infer_error_t *err)
{
    int               rc = -1;
    void             *data;
    infer_session_t  *one, *two;

    one = infer_session_create(model, 1, 1, err);
    two = one != NULL ? infer_session_create(model, 2, 1, err) : NULL;

    if (two == NULL || check_shapes(one, two, model, err) != 0) {
        goto done;
    }

    for (uint32_t i = 0; i < model->n_inputs; i++) {
        data = fixed_input(two, i, err);
        if (data == NULL) {
            goto done;
        }

        infer_session_set_input(two, i, data);
        free(data);
    }

    infer_session_run(two, NULL);
    rc = same_items(one, two, model, err);

done:

    infer_session_free(one);
    infer_session_free(two);

    return rc;
}


static int
check_shapes(const infer_session_t *one, const infer_session_t *two,
    const infer_model_t *model, infer_error_t *err)
{
    infer_port_t    port;
    infer_tensor_t  t1, t2;

    for (uint32_t i = 0; i < model->n_inputs + model->n_outputs; i++) {
        if (i < model->n_inputs) {
            infer_session_input_tensor(one, i, &t1);
            infer_session_input_tensor(two, i, &t2);
            infer_model_input(model, i, &port);

        } else {
            infer_session_output_tensor(one, i - model->n_inputs, &t1);
            infer_session_output_tensor(two, i - model->n_inputs, &t2);
            infer_model_output(model, i - model->n_inputs, &port);
        }

        if (!is_item(&t1, &t2)) {
            snprintf(err->text, sizeof(err->text), "%s \"%.400s\" does not "
                     "have the batch as its first dimension",
                     i < model->n_inputs ? "input" : "output", port.name);
            return -1;
        }
    }

    if (model->n_inputs == 0) {
        snprintf(err->text, sizeof(err->text), "the model has no input");
        return -1;
    }

    return 0;
}


/* Whether the first dimension, and no other, is the batch. */
static int
is_item(const infer_tensor_t *one, const infer_tensor_t *two)
{
    for (int d = 0; d < one->rank; d++) {
        if (two->dim[d] != (d == 0 ? 2 : one->dim[d])) {
            return 0;
        }
    }

    return one->rank > 0 && one->dim[0] == 1;
}


/* What set_inputs would take from a file; the caller frees it. */
static void *
fixed_input(const infer_session_t *session, uint32_t i, infer_error_t *err)
{
    void            *data;
    size_t           n;
    infer_tensor_t   t;
    unsigned char   *byte;

    infer_session_input_tensor(session, i, &t);
    n = infer_numel(&t);
    byte = malloc(n + 1);
    data = calloc(n + 1, infer_dtype_size(t.dtype));

    if (byte == NULL || data == NULL) {
        snprintf(err->text, sizeof(err->text), "out of memory");
        free(byte);
        free(data);
        return NULL;
    }

    pattern(&t, i, byte);
    expand(&t, byte, data);
    free(byte);

    return data;
}


/* Holds what each item of `two` gave against what it gives alone. */
static int
same_items(infer_session_t *one, infer_session_t *two,
    const infer_model_t *model, infer_error_t *err)
{
    char            *data;
    size_t           size;
    infer_port_t     port;
    infer_tensor_t   t, both;

    for (size_t n = 0; n < 2; n++) {
        for (uint32_t i = 0; i < model->n_inputs; i++) {
            data = fixed_input(two, i, err);
            if (data == NULL) {
                return -1;
            }

            infer_session_input_tensor(one, i, &t);
            size = infer_numel(&t) * infer_dtype_size(t.dtype);
            infer_session_set_item(one, i, 0, data + n * size);
            free(data);
        }

        infer_session_run(one, NULL);

        for (uint32_t i = 0; i < model->n_outputs; i++) {
            infer_session_output_tensor(one, i, &t);
            infer_session_output_tensor(two, i, &both);
            size = infer_numel(&t) * infer_dtype_size(t.dtype);

            if (!same_output(&t, (char *) both.data + n * size, is_exact())) {
                infer_model_output(model, i, &port);
                snprintf(err->text, sizeof(err->text), "output \"%.400s\" "
                         "depends on the other items of its batch",
                         port.name);
                return -1;
            }
        }
    }

    return 0;
}


static int
same_output(const infer_tensor_t *t, const void *golden, int exact)
{
    size_t  n = infer_numel(t);

    if (exact) {
        return memcmp(t->data, golden, n * infer_dtype_size(t->dtype)) == 0;
    }

    /* what other types are made of floats hangs on their last bits */
    return t->dtype != INFER_F32 || near(t->data, golden, n);
}


/* Whether bits are to be trusted here: see infer_isa. */
static int
is_exact(void)
{
    return strcmp(infer_isa(), "blas") != 0;
}


static int
near(const float *x, const float *y, size_t n)
{
    double  largest = 0, difference;

    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double) y[i]));
    }

    for (size_t i = 0; i < n; i++) {
        difference = fabs((double) x[i] - (double) y[i]);

        if (x[i] != y[i] && !(isnan(x[i]) && isnan(y[i]))
            && !(difference <= TOLERANCE * largest))
        {
            return 0;
        }
    }

    return 1;
}
