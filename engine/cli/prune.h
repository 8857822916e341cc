/*
 * What is to be left out of a model, and what that costs.
 */

#ifndef INFER_CLI_PRUNE_H
#define INFER_CLI_PRUNE_H

#include "cli/quantize.h"
#include "infer.h"


/* The options as given; what is NULL was not. */
typedef struct {
    const char  *fraction;        /* --prune: NULL: nothing to do */
    const char  *kind;
} cli_prune_options_t;

#define CLI_PRUNE_OPTIONS(to)                                                 \
    { "prune", 0, CLI_TEXT, &(to).fraction, "F",                              \
      "leave out this fraction (0.5: half) of each layer,\n"                  \
      "the smallest, and tell what it costs on --data\n"                      \
      "or --calibrate", 0, 0 },                                               \
    { "prune-kind", 0, CLI_TEXT, &(to).kind, "KIND",                          \
      "channels: with all that reads them; block: blocks of\n"                \
      "16 weights, which are not computed; unstructured:\n"                   \
      "weights become 0, no faster and no smaller\n"                          \
      "(default channels)", 0, 0 }

/*
 * Reads the options into *pruning, and where the model of path, opened as
 * *load says, can be pruned so, says that in *load (*pruning must stay) and
 * prints what it costs, unless quiet.  `data` tells the images.  0, or -1 with
 * the error set.
 */
int cli_prune(infer_pruning_t *pruning, const char *path,
    const cli_prune_options_t *options, const cli_quantize_options_t *data,
    const char *preprocess, const char *labels, infer_load_options_t *load,
    int quiet, infer_error_t *err);

#endif /* INFER_CLI_PRUNE_H */
