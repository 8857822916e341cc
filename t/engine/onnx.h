/*
 * ONNX models for tests, written field by field, and what is expected of their
 * import.  Included once in each test.
 */

#ifndef T_ONNX_H
#define T_ONNX_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "import/import.h"
#include "import/onnx/onnx.h"
#include "tap.h"


/* ---- writing protocol buffers ----------------------------------------- */

typedef struct {
    unsigned char  data[8192];
    size_t         len;
} pb_t;


static inline void
put_varint(pb_t *pb, uint64_t x)
{
    while (x >= 0x80) {
        pb->data[pb->len++] = (unsigned char) (x | 0x80);
        x >>= 7;
    }

    pb->data[pb->len++] = (unsigned char) x;
}


static inline void
put_int(pb_t *pb, unsigned field, int64_t x)
{
    put_varint(pb, field << 3);
    put_varint(pb, (uint64_t) x);
}


static inline void
put_bytes(pb_t *pb, unsigned field, const void *data, size_t len)
{
    put_varint(pb, field << 3 | 2);
    put_varint(pb, len);
    memcpy(pb->data + pb->len, data, len);
    pb->len += len;
}


static inline void
put_string(pb_t *pb, unsigned field, const char *s)
{
    put_bytes(pb, field, s, strlen(s));
}


static inline void
put_message(pb_t *pb, unsigned field, const pb_t *message)
{
    put_bytes(pb, field, message->data, message->len);
}


static inline void
put_float(pb_t *pb, unsigned field, float x)
{
    put_varint(pb, field << 3 | 5);
    memcpy(pb->data + pb->len, &x, 4);
    pb->len += 4;
}


/* ---- writing models --------------------------------------------------- */

/* ONNX data types */
enum { F32 = 1, U8 = 2, I64 = 7, STRING = 8, BOOL = 9 };

static int    opset;
static int    ir_version;
static pb_t   graph;
static pb_t   attributes;            /* of the next node */
static pb_t   metadata;
static char   path[512] = "model.onnx";

static infer_error_t         err;
static infer_graph_t        *g;
static unsigned char        *file;
static infer_load_options_t  options;


static inline void
model(int version)
{
    opset = version;
    ir_version = 7;
    graph.len = attributes.len = metadata.len = 0;
    memset(&options, 0, sizeof(options));
}


static inline void
attr_int(const char *name, int64_t x)
{
    pb_t  a = { .len = 0 };

    put_string(&a, 1, name);
    put_int(&a, 3, x);
    put_int(&a, 20, 2);
    put_message(&attributes, 5, &a);
}


static inline void
attr_float(const char *name, float x)
{
    pb_t  a = { .len = 0 };

    put_string(&a, 1, name);
    put_float(&a, 2, x);
    put_int(&a, 20, 1);
    put_message(&attributes, 5, &a);
}


static inline void
attr_string(const char *name, const char *s)
{
    pb_t  a = { .len = 0 };

    put_string(&a, 1, name);
    put_string(&a, 4, s);
    put_int(&a, 20, 3);
    put_message(&attributes, 5, &a);
}


/* "1,2,-1" */
static inline void
attr_ints(const char *name, const char *list)
{
    char        *end;
    pb_t         a = { .len = 0 };
    const char  *p;

    put_string(&a, 1, name);
    put_int(&a, 20, 7);

    for (p = list; *p != '\0'; p = *end == ',' ? end + 1 : end) {
        put_int(&a, 8, strtoll(p, &end, 10));
    }

    put_message(&attributes, 5, &a);
}


static inline void
put_names(pb_t *pb, unsigned field, const char *names)
{
    size_t  len;

    for ( ;; ) {
        len = strcspn(names, ",");
        put_bytes(pb, field, names, len);

        if (names[len] == '\0') {
            return;
        }

        names += len + 1;
    }
}


/* node("Add", "a,b", "y"): takes the attributes written before. */
static inline void
node(const char *op, const char *in, const char *out)
{
    pb_t  n = { .len = 0 };

    if (in != NULL) {
        put_names(&n, 1, in);
    }

    put_names(&n, 2, out);
    put_string(&n, 4, op);
    memcpy(n.data + n.len, attributes.data, attributes.len);
    n.len += attributes.len;
    attributes.len = 0;
    put_message(&graph, 1, &n);
}


/* A port of the shape "N,3,?": numbers, names, or open. */
static inline void
port(unsigned field, const char *name, int type, const char *dims)
{
    char        *end;
    pb_t         dim, shape = { .len = 0 }, tensor = { .len = 0 };
    pb_t         t = { .len = 0 }, p = { .len = 0 };
    int64_t      n;
    size_t       len;

    for ( ; dims != NULL && *dims != '\0'; dims += dims[len] == ',' ? len + 1
                                                                   : len)
    {
        len = strcspn(dims, ",");
        dim.len = 0;
        n = strtoll(dims, &end, 10);

        if (end != dims) {
            put_int(&dim, 1, n);
        } else if (*dims != '?') {
            put_bytes(&dim, 2, dims, len);
        }

        put_message(&shape, 1, &dim);
    }

    put_int(&tensor, 1, type);

    if (dims != NULL) {
        put_message(&tensor, 2, &shape);
    }

    put_message(&t, 1, &tensor);
    put_string(&p, 1, name);
    put_message(&p, 2, &t);
    put_message(&graph, field, &p);
}


static inline void
input(const char *name, int type, const char *dims)
{
    port(11, name, type, dims);
}


static inline void
output(const char *name)
{
    port(12, name, F32, NULL);
}


static inline void
tensor_head(pb_t *t, const char *name, int type, const char *dims)
{
    char  *end;

    t->len = 0;
    put_string(t, 8, name);
    put_int(t, 2, type);

    for ( ; *dims != '\0'; dims = *end == ',' ? end + 1 : end) {
        put_int(t, 1, strtoll(dims, &end, 10));
    }
}


static inline void
floats(const char *name, const char *dims, const float *x, size_t n)
{
    pb_t  t;

    tensor_head(&t, name, F32, dims);
    put_bytes(&t, 9, x, n * sizeof(float));
    put_message(&graph, 5, &t);
}


/* A list of int64, rank 1: ints("shape", "1,-1"). */
static inline void
ints(const char *name, const char *list)
{
    char        *end, dims[32];
    int          n;
    pb_t         t, body = { .len = 0 };
    const char  *p;

    n = 0;

    for (p = list; *p != '\0'; p = *end == ',' ? end + 1 : end) {
        put_int(&body, 7, strtoll(p, &end, 10));
        n++;
    }

    snprintf(dims, sizeof(dims), "%d", n);
    tensor_head(&t, name, I64, dims);
    memcpy(t.data + t.len, body.data, body.len);
    t.len += body.len;
    put_message(&graph, 5, &t);
}


static inline size_t
model_bytes(pb_t *m)
{
    pb_t  set = { .len = 0 };

    m->len = 0;
    put_int(m, 1, ir_version);
    put_string(m, 2, "test");
    put_string(m, 3, "1.0");

    if (opset != 0) {
        put_int(&set, 2, opset);
        put_message(m, 8, &set);
    }

    memcpy(m->data + m->len, metadata.data, metadata.len);
    m->len += metadata.len;
    put_message(m, 7, &graph);

    return m->len;
}


static inline void
drop(void)
{
    infer_graph_close(g);
    free(file);
    g = NULL;
    file = NULL;
}


/* Imports bytes from memory that ends where they end. */
static inline int
import_bytes(const void *data, size_t len)
{
    drop();
    memset(&err, 0, sizeof(err));

    file = malloc(len + 1);
    memcpy(file + 1, data, len);

    g = infer_graph_create(path, &err);
    g->map = file + 1;
    g->map_size = len;

    return infer_import_onnx(g, &options);
}


static inline int
import_model(void)
{
    pb_t  m;

    return import_bytes(m.data, model_bytes(&m));
}


static inline void
refused(const char *words, const char *what)
{
    int  rc = import_model();

    ok(rc == -1 && strstr(err.text, words) != NULL
       && strchr(err.text, '\n') == NULL, "%s: %s", what,
       rc == 0 ? "accepted" : err.text);
}


/* The model imports, and output 0 has this shape, N where it follows the
   batch. */
static inline void
shape_is(const char *expected, const char *what)
{
    char                 text[128];
    size_t               len;
    const infer_port_t  *p;

    if (import_model() != 0) {
        ok(0, "%s: %s", what, err.text);
        return;
    }

    len = 0;
    text[0] = '\0';
    p = &g->output[0].port;

    for (int i = 0; i < p->rank; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s",
                                 i == 0 ? "" : ",");
        len += (size_t) (p->dim[i] == INFER_BATCH
               ? snprintf(text + len, sizeof(text) - len, "N")
               : snprintf(text + len, sizeof(text) - len, "%lld",
                          (long long) p->dim[i]));
    }

    ok(strcmp(text, expected) == 0, "%s: shape %s", what, text);
}


/* The model imports, and output i is folded to these numbers. */
static inline void
values_are(int i, const double *expected, int64_t n, const char *what)
{
    int                   same;
    float                 f;
    double                x;
    int64_t               k;
    infer_dim_t           numel;
    const infer_value_t  *v;

    if (import_model() != 0) {
        ok(0, "%s: %s", what, err.text);
        return;
    }

    v = g->output[i].value;
    same = v->data != NULL && infer_value_numel(v, &numel) == 0
           && infer_dim_is(numel, n);

    for (int64_t j = 0; same && j < n; j++) {
        if (v->dtype == INFER_F32) {
            memcpy(&f, (const char *) v->data + 4 * j, 4);
            x = (double) f;

        } else if (v->dtype == INFER_I64) {
            memcpy(&k, (const char *) v->data + 8 * j, 8);
            x = (double) k;

        } else {
            x = ((const uint8_t *) v->data)[j];
        }

        same = fabs(x - expected[j]) <= 1e-6 * (1 + fabs(expected[j]));
    }

    ok(same, "%s", what);
}

#endif /* T_ONNX_H */
