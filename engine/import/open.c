/*
 * From a path to an optimised graph: which format the file has, its importer,
 * the passes.
 */

#include <string.h>

#include "file/file.h"
#include "import/import.h"
#include "ops/op.h"
#include "passes/passes.h"


static int import(infer_graph_t *g, const infer_load_options_t *options);
static uint64_t macs(const infer_graph_t *g);


infer_graph_t *
infer_graph_open(const char *path, const infer_load_options_t *options,
    infer_error_t *err)
{
    infer_graph_t                     *g;
    static const infer_load_options_t  defaults = {
        .winograd_budget = INFER_WINOGRAD_BUDGET
    };

    options = options != NULL ? options : &defaults;

    /* before any thread or child process: see kernels.h */
    (void) infer_kernels();

    g = infer_graph_create(path, err);
    if (g == NULL) {
        return NULL;
    }

    g->map = infer_graph_map(g, path, &g->map_size);

    if (g->map == NULL
        || import(g, options) != 0
        || infer_pass_layout(g) != 0
        || infer_pass_sweep(g) != 0
        || infer_pass_patterns(g) != 0
        || infer_pass_fuse(g) != 0
        || infer_pass_affine(g) != 0
        || ((options->pruning != NULL || options->equalize
             || options->quantization != NULL) && infer_graph_fill(g) != 0)
        || (options->pruning != NULL
            && infer_pass_prune(g, options->pruning) != 0)
        || (options->equalize && infer_pass_equalize(g) != 0)
        || (options->quantization != NULL
            && infer_pass_quantize(g, options->quantization) != 0)
        || infer_pass_integer(g) != 0
        || infer_graph_fill(g) != 0
        || infer_pass_sparse(g) != 0
        || (!options->apart
            && (infer_pass_gate(g) != 0 || infer_pass_strip(g) != 0))
        || infer_pass_winograd(g, options->winograd_budget) != 0
        || (!options->apart && infer_pass_stem(g) != 0))
    {
        infer_graph_close(g);
        return NULL;
    }

    g->summary.macs = macs(g);

    return g;
}


static int
import(infer_graph_t *g, const infer_load_options_t *options)
{
    const char  *head;

    head = g->map;

    if (infer_file_is(head, g->map_size)) {
        return infer_graph_fail(g, "is an .infer file, which cannot be "
                                "converted again");
    }

    if (g->map_size >= 4 && memcmp(head, "PK\003\004", 4) == 0) {
        return infer_import_torch(g, options);
    }

    if (g->map_size >= 2 && head[0] == '\200' && head[1] >= 2 && head[1] <= 5)
    {
        return infer_graph_fail(g, "is a pickle, as torch.save wrote it: it "
                                "has no code; in Python, load the model and "
                                "torch.jit.trace(model.eval(), x).save(..)");
    }

    if (g->map_size >= 8 && memcmp(head + 4, "TFL3", 4) == 0) {
        return infer_graph_fail(g, "is a TensorFlow Lite model, which is not "
                                "supported, convert it to ONNX");
    }

    return infer_import_onnx(g, options);
}


static uint64_t
macs(const infer_graph_t *g)
{
    uint64_t  n;

    n = 0;

    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->op->macs != NULL) {
            n += g->node[i]->op->macs(g->node[i]);
        }
    }

    return n;
}
