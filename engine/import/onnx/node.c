/*
 * NodeProto and AttributeProto: a node as the importer holds it.  Lists in
 * attributes stay where they are until an operator asks for them.
 */

#include "import/onnx/onnx.h"


static int read_node_names(onnx_t *o, onnx_node_t *node,
    onnx_bytes_t message);
static int read_attr(onnx_t *o, onnx_attr_t *attr, onnx_bytes_t message);


/* NodeProto */
int
onnx_read_node(onnx_t *o, onnx_bytes_t message, size_t i)
{
    int            rc, n;
    onnx_node_t   *node;
    onnx_field_t   f;
    onnx_reader_t  reader;

    node = &o->node[i];
    node->name = node->op = node->domain = "";
    reader = message;

    while ((rc = onnx_next(&reader, &f)) == 1) {
        if (f.wire != ONNX_WIRE_BYTES) {
            continue;
        }

        node->n_in += f.number == 1;
        node->n_out += f.number == 2;
        node->n_attr += f.number == 5;

        if (f.number == 3) {
            node->name = onnx_text(o, f.bytes);

        } else if (f.number == 4) {
            node->op = onnx_text(o, f.bytes);

        } else if (f.number == 7) {
            node->domain = onnx_text(o, f.bytes);
        }

        if (node->name == NULL || node->op == NULL || node->domain == NULL) {
            return -1;
        }
    }

    if (rc != 0 || message.len > INT32_MAX) {
        return onnx_malformed(o, "node");
    }

    n = node->n_in + node->n_out;
    node->in_name = infer_graph_alloc(o->g, (size_t) n * sizeof(char *));
    node->in = infer_graph_alloc(o->g, (size_t) n * sizeof(infer_value_t *));
    node->attr = infer_graph_alloc(o->g, (size_t) node->n_attr
                                         * sizeof(onnx_attr_t));

    if (node->in_name == NULL || node->in == NULL || node->attr == NULL) {
        return -1;
    }

    node->out_name = node->in_name + node->n_in;
    node->out = node->in + node->n_in;

    return read_node_names(o, node, message);
}


static int
read_node_names(onnx_t *o, onnx_node_t *node, onnx_bytes_t message)
{
    int           in, out, attr;
    const char   *name;
    onnx_field_t  f;

    in = out = attr = 0;

    while (onnx_next(&message, &f) == 1) {
        if (f.wire != ONNX_WIRE_BYTES) {
            continue;
        }

        if (f.number == 1 || f.number == 2) {
            name = onnx_text(o, f.bytes);
            if (name == NULL) {
                return -1;
            }

            if (f.number == 1) {
                node->in_name[in++] = name;
            } else {
                node->out_name[out++] = name;
            }

        } else if (f.number == 5
                   && read_attr(o, &node->attr[attr++], f.bytes) != 0)
        {
            return -1;
        }
    }

    if (node->name[0] == '\0' && out > 0) {
        node->name = node->out_name[0];
    }

    return 0;
}


/* AttributeProto */
static int
read_attr(onnx_t *o, onnx_attr_t *attr, onnx_bytes_t message)
{
    int            rc;
    onnx_field_t   f;
    onnx_reader_t  reader;

    attr->name = "";
    attr->message = message;
    reader = message;

    while ((rc = onnx_next(&reader, &f)) == 1) {

        if (f.number == 1 && f.wire == ONNX_WIRE_BYTES) {
            attr->name = onnx_text(o, f.bytes);
            if (attr->name == NULL) {
                return -1;
            }

        } else if (f.number == 20 && f.wire == ONNX_WIRE_VARINT) {
            attr->type = (onnx_attr_type_t) (f.value & 0xff);

        } else if (f.number == 2 && f.wire == ONNX_WIRE_FIXED32) {
            attr->f = onnx_float(f.value);

        } else if (f.number == 3 && f.wire == ONNX_WIRE_VARINT) {
            attr->i = f.value;

        } else if (f.number == 4 && f.wire == ONNX_WIRE_BYTES) {
            attr->s = f.bytes;

        } else if (f.number == 5 && f.wire == ONNX_WIRE_BYTES) {
            attr->t = f.bytes;
        }
    }

    return rc == 0 ? 0 : onnx_malformed(o, "attribute");
}
