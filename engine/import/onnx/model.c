/*
 * From the bytes of a ModelProto to an onnx_t: every node, name and port,
 * with nothing taken on trust.  Weights are noted where they lie.
 *
 * Lists are counted first and then filled, so that a list never costs more
 * than a fixed multiple of its bytes in the file.
 */

#include <string.h>

#include "import/onnx/onnx.h"


/* Reads one message of a list into its place i. */
typedef int (*read_pt)(onnx_t *o, onnx_bytes_t message, size_t i);

typedef struct {
    uint32_t   field;
    size_t     size;
    void     **array;
    size_t    *n;
    read_pt    read;
} list_t;


static int read_opset(onnx_t *o, onnx_bytes_t message);
static int read_metadata(onnx_t *o, onnx_bytes_t message);
static int read_labels(infer_graph_t *g, onnx_bytes_t value);
static int set_producer(onnx_t *o, onnx_bytes_t name, onnx_bytes_t version);
static int read_graph(onnx_t *o);
static int read_lists(onnx_t *o, onnx_bytes_t message, const char *what,
    const list_t *list, size_t n);
static int read_initializer(onnx_t *o, onnx_bytes_t message, size_t i);
static int read_input(onnx_t *o, onnx_bytes_t message, size_t i);
static int read_output(onnx_t *o, onnx_bytes_t message, size_t i);


int
onnx_model_parse(onnx_t *o)
{
    int            rc, failed;
    onnx_field_t   f;
    onnx_bytes_t   producer, version;
    onnx_reader_t  reader;

    reader.data = o->g->map;
    reader.len = o->g->map_size;
    memset(&producer, 0, sizeof(producer));
    memset(&version, 0, sizeof(version));
    failed = 0;

    while ((rc = onnx_next(&reader, &f)) == 1 && !failed) {

        if (f.number == 1 && f.wire == ONNX_WIRE_VARINT) {
            o->ir_version = (int64_t) f.value;
            continue;
        }

        if (f.wire != ONNX_WIRE_BYTES) {
            continue;
        }

        switch (f.number) {

        case 2:
            producer = f.bytes;
            break;

        case 3:
            version = f.bytes;
            break;

        case 7:
            if (o->graph.data != NULL) {
                return infer_graph_fail(o->g, "not an ONNX model: it has two "
                                        "graphs");
            }

            o->graph = f.bytes;
            break;

        case 8:
            failed = read_opset(o, f.bytes);
            break;

        case 14:
            failed = read_metadata(o, f.bytes);
            break;
        }
    }

    if (failed) {
        return -1;
    }

    if (rc != 0) {
        return o->ir_version != 0
               ? infer_graph_fail(o->g, "the file is truncated or damaged")
               : infer_graph_fail(o->g, "not an ONNX model");
    }

    if (o->ir_version < 3 || o->graph.data == NULL) {
        return infer_graph_fail(o->g, o->ir_version > 0 && o->ir_version < 3
                                ? "ONNX IR versions 1 and 2 are not supported"
                                : "not an ONNX model");
    }

    if (set_producer(o, producer, version) != 0) {
        return -1;
    }

    return read_graph(o);
}


int
onnx_malformed(onnx_t *o, const char *what)
{
    return infer_graph_fail(o->g, "the file is damaged: malformed %s", what);
}


const char *
onnx_text(onnx_t *o, onnx_bytes_t bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] < ' ' || bytes.data[i] == 0x7f) {
            infer_graph_fail(o->g, "the file is damaged: a name has control "
                             "characters");
            return NULL;
        }
    }

    return infer_graph_strdup(o->g, bytes.len == 0
                                    ? "" : (const char *) bytes.data,
                              bytes.len);
}


/* OperatorSetIdProto */
static int
read_opset(onnx_t *o, onnx_bytes_t message)
{
    int           rc;
    int64_t       version;
    onnx_field_t  f;
    onnx_bytes_t  domain;

    version = 0;
    memset(&domain, 0, sizeof(domain));

    while ((rc = onnx_next(&message, &f)) == 1) {
        if (f.number == 1 && f.wire == ONNX_WIRE_BYTES) {
            domain = f.bytes;

        } else if (f.number == 2 && f.wire == ONNX_WIRE_VARINT) {
            version = (int64_t) f.value;
        }
    }

    if (rc != 0) {
        return onnx_malformed(o, "operator set");
    }

    if (domain.len != 0
        && (domain.len != 7 || memcmp(domain.data, "ai.onnx", 7) != 0))
    {
        return 0;
    }

    if (version < 1 || version > ONNX_MAX_OPSET) {
        return infer_graph_fail(o->g, "opset %lld is not supported (7 to %d)",
                                (long long) version, ONNX_MAX_OPSET);
    }

    if (o->opset != 0 && o->opset != version) {
        return infer_graph_fail(o->g, "the model imports two opsets, %d and "
                                "%lld", o->opset, (long long) version);
    }

    o->opset = (int) version;

    return 0;
}


/* StringStringEntryProto: what convert and training scripts left for us. */
static int
read_metadata(onnx_t *o, onnx_bytes_t message)
{
    onnx_bytes_t  key, value;

    if (onnx_submessage(message, 1, &key) != 0
        || onnx_submessage(message, 2, &value) != 0)
    {
        return onnx_malformed(o, "metadata");
    }

    if (key.len == 16 && memcmp(key.data, "infer.preprocess", 16) == 0) {
        o->g->preprocess = infer_graph_strdup(o->g, (char *) value.data,
                                              value.len);
        return o->g->preprocess == NULL ? -1 : 0;
    }

    if (key.len == 12 && memcmp(key.data, "infer.labels", 12) == 0) {
        return read_labels(o->g, value);
    }

    return 0;
}


/* One label a line; a last line break ends a label, it does not begin one. */
static int
read_labels(infer_graph_t *g, onnx_bytes_t value)
{
    size_t       n, len;
    const char  *p, *end, *line;

    p = (const char *) value.data;
    end = value.len == 0 ? p : p + value.len;
    n = 0;

    for (size_t i = 0; i < value.len; i++) {
        n += p[i] == '\n' || i + 1 == value.len;
    }

    g->n_labels = 0;
    g->label = infer_graph_alloc(g, n * sizeof(char *));
    if (g->label == NULL) {
        return -1;
    }

    while (p != end) {
        line = p;

        while (p != end && *p != '\n') {
            p++;
        }

        len = (size_t) (p - line);

        if (p != end) {
            p++;
        }

        if (len != 0 && line[len - 1] == '\r') {
            len--;
        }

        g->label[g->n_labels] = infer_graph_strdup(g, line, len);
        if (g->label[g->n_labels++] == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
set_producer(onnx_t *o, onnx_bytes_t name, onnx_bytes_t version)
{
    char        *s;
    size_t       len;
    const char  *n, *v;

    n = onnx_text(o, name);
    v = onnx_text(o, version);

    if (n == NULL || v == NULL) {
        return -1;
    }

    len = name.len + 1 + version.len;
    s = infer_graph_alloc(o->g, len + 1);
    if (s == NULL) {
        return -1;
    }

    memcpy(s, n, name.len);

    if (name.len != 0 && version.len != 0) {
        s[name.len] = ' ';
        memcpy(s + name.len + 1, v, version.len);
    }

    o->g->summary.producer = s;

    return 0;
}


static int
read_graph(onnx_t *o)
{
    const list_t  list[] = {
        { 1, sizeof(onnx_node_t), (void **) &o->node, &o->n_nodes,
          onnx_read_node },
        { 5, sizeof(onnx_bytes_t), (void **) &o->initializer,
          &o->n_initializers, read_initializer },
        { 11, sizeof(onnx_port_t), (void **) &o->input, &o->n_inputs,
          read_input },
        { 12, sizeof(onnx_port_t), (void **) &o->output, &o->n_outputs,
          read_output }
    };

    if (read_lists(o, o->graph, "graph", list, 4) != 0) {
        return -1;
    }

    if (o->n_outputs == 0) {
        return infer_graph_fail(o->g, "the graph has no output");
    }

    return onnx_index_names(o);
}


/*
 * Fills the arrays of a message's repeated fields, allocating each first.
 */
static int
read_lists(onnx_t *o, onnx_bytes_t message, const char *what,
    const list_t *list, size_t n)
{
    int            rc;
    onnx_field_t   f;
    onnx_reader_t  reader;

    for (int pass = 0; pass < 2; pass++) {
        reader = message;

        for (size_t k = 0; k < n; k++) {
            if (pass == 1) {
                *list[k].array = infer_graph_alloc(o->g, *list[k].n
                                                         * list[k].size);
                if (*list[k].array == NULL) {
                    return -1;
                }
            }

            *list[k].n = 0;
        }

        while ((rc = onnx_next(&reader, &f)) == 1) {
            for (size_t k = 0; k < n; k++) {
                if (f.number != list[k].field || f.wire != ONNX_WIRE_BYTES) {
                    continue;
                }

                if (pass == 1 && list[k].read(o, f.bytes, *list[k].n) != 0) {
                    return -1;
                }

                (*list[k].n)++;
            }
        }

        if (rc != 0) {
            return onnx_malformed(o, what);
        }
    }

    return 0;
}


static int
read_initializer(onnx_t *o, onnx_bytes_t message, size_t i)
{
    o->initializer[i] = message;

    return 0;
}


static int
read_input(onnx_t *o, onnx_bytes_t message, size_t i)
{
    return onnx_read_port(o, message, &o->input[i]);
}


static int
read_output(onnx_t *o, onnx_bytes_t message, size_t i)
{
    return onnx_read_port(o, message, &o->output[i]);
}


int
onnx_submessage(onnx_bytes_t message, uint32_t field, onnx_bytes_t *bytes)
{
    int           rc;
    onnx_field_t  f;

    bytes->data = NULL;
    bytes->len = 0;

    while ((rc = onnx_next(&message, &f)) == 1) {
        if (f.number == field && f.wire == ONNX_WIRE_BYTES) {
            *bytes = f.bytes;
        }
    }

    return rc;
}
