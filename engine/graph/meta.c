/*
 * What a graph says of its model besides the nodes: a summary, and what a user
 * adds to it, preprocessing and labels.
 */

#include <stdio.h>
#include <string.h>

#include "graph/graph.h"


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
