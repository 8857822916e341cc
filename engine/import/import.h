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

#endif /* INFER_IMPORT_H */
