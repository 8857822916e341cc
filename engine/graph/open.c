/*
 * From a path to an optimised graph: which format the file has, its importer,
 * the passes.
 */

#include <stdio.h>
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


void
infer_graph_summary(const infer_graph_t *graph, infer_summary_t *sum)
{
    *sum = graph->summary;
}


int
infer_graph_set_preprocess(infer_graph_t *graph, const char *spec,
    infer_error_t *err)
{
    size_t               size;
    char                *all;
    infer_preprocess_t   pp;
    const char          *own = graph->preprocess ? graph->preprocess : "";

    memset(&pp, 0, sizeof(pp));

    if (infer_preprocess_parse(&pp, spec, err) != 0) {
        return -1;
    }

    size = strlen(own) + strlen(spec) + 2;
    all = infer_graph_alloc(graph, size);

    if (all == NULL) {
        *err = *graph->err;
        return -1;
    }

    snprintf(all, size, "%s%s%s", own, *own ? " " : "", spec);
    graph->preprocess = all;

    return 0;
}


int
infer_graph_set_labels(infer_graph_t *graph, const char *const *label,
    size_t n, infer_error_t *err)
{
    const char  **copy;

    copy = infer_graph_alloc(graph, (n + 1) * sizeof(*copy));

    for (size_t i = 0; i < n && copy != NULL; i++) {
        copy[i] = infer_graph_strdup(graph, label[i], strlen(label[i]));

        if (copy[i] == NULL) {
            copy = NULL;
        }
    }

    if (copy == NULL) {
        *err = *graph->err;
        return -1;
    }

    graph->label = copy;
    graph->n_labels = n;

    return 0;
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
