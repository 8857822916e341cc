/*
 * Importers: one folder for each source format.  An importer reads bytes and
 * never runs anything found in a file.
 */

#ifndef INFER_IMPORT_H
#define INFER_IMPORT_H

#include "graph/graph.h"


/*
 * Fills g from the ONNX model that lies at g->map, g->map_size bytes.  Weights
 * are used where they lie in the file (or in its external data, mapped through
 * infer_graph_map).  Sets all of g->summary but macs.  0, or -1 with the
 * graph's error set.
 */
int infer_import_onnx(infer_graph_t *g, const infer_load_options_t *options);

/* The same for an archive that torch.jit.save wrote. */
int infer_import_torch(infer_graph_t *g, const infer_load_options_t *options);


/* ---- what importers share --------------------------------------------- */

/* Each shape that is given is that of one of the n inputs. */
int infer_import_check_shapes(infer_graph_t *g,
    const infer_load_options_t *options, const char *const *input, size_t n);

/* The shape that is given for an input; NULL: none. */
const infer_input_shape_t *infer_import_shape(
    const infer_load_options_t *options, const char *name);

/*
 * Makes *in an input.  Returns its value in the order of dim, or NULL: that of
 * an image is the transpose of in->value.  name must outlive the graph.
 */
infer_value_t *infer_import_input(infer_graph_t *g, infer_graph_port_t *in,
    const char *name, infer_dtype_t dtype, int rank, const infer_dim_t *dim);

/* Makes *out an output.  name must outlive the graph. */
void infer_import_output(infer_graph_port_t *out, const char *name,
    infer_value_t *v);

/* Adds a line to the summary's warnings. */
int infer_import_warn(infer_graph_t *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* INFER_IMPORT_H */
