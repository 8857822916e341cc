/*
 * What the subcommands have in common about a model: the options that say how
 * it is opened, its labels, its preprocessing.
 */

#ifndef INFER_CLI_MODEL_H
#define INFER_CLI_MODEL_H

#include "cli/options.h"
#include "infer.h"


/* How a model is loaded. */
typedef struct {
    cli_list_t   shapes;          /* --input-shape */
    size_t       winograd_budget; /* --winograd-budget */
} cli_load_t;

#define CLI_LOAD_DEFAULTS  { { NULL, 0 }, INFER_WINOGRAD_BUDGET }

/* The options as given; what is NULL or empty was not. */
typedef struct {
    cli_load_t   load;
    const char  *preprocess;      /* --preprocess */
    const char  *labels;          /* --labels */
    size_t       max_pixels;      /* --max-pixels */
} cli_model_options_t;

/* Above what PIL takes for an attack (89478485 pixels). */
#define CLI_MAX_PIXELS   100000000
#define CLI_MAX_THREADS  1024
#define CLI_MAX_BATCH    65536

/* Rows of an option table; to is the option's variable. */
#define CLI_LOAD_OPTIONS(to)                                                  \
    { "input-shape", 0, CLI_LIST, &(to).shapes, "[NAME=]SHAPE",               \
      "shape of an input whose file leaves it open, as\n"                     \
      "1x3x224x224 or Nx3x224x224 (N: the batch size)", 0, 0 },               \
    { "winograd-budget", 0, CLI_NUMBER, &(to).winograd_budget, "BYTES",       \
      "memory to spend on faster 3x3 convolutions\n"                          \
      "(default 16777216)", 0, SIZE_MAX }

#define CLI_PREPROCESS_OPTION(to)                                             \
    { "preprocess", 0, CLI_TEXT, &(to).preprocess, "SPEC",                    \
      "from pixels to input, over what the model says:\n"                     \
      "\"resize=256 crop=224 mean=0.485,0.456,0.406\n"                        \
      "std=0.229,0.224,0.225 color=rgb|bgr|gray exif=on|off\"", 0, 0 }

#define CLI_LABELS_OPTION(to)                                                 \
    { "labels", 0, CLI_TEXT, &(to).labels, "FILE",                            \
      "names of the classes, one a line", 0, 0 }

#define CLI_IMAGE_OPTIONS(to)                                                 \
    CLI_PREPROCESS_OPTION(to),                                                \
    CLI_LABELS_OPTION(to),                                                    \
    { "max-pixels", 0, CLI_NUMBER, &(to).max_pixels, "N",                     \
      "refuse larger images (default 100000000)", 1, SIZE_MAX }

#define CLI_THREADS_OPTION(to)                                                \
    { "threads", 't', CLI_NUMBER, &(to), "N",                                 \
      "threads to work with (default: one per processor)", 1,                 \
      CLI_MAX_THREADS }

#define CLI_JSON_OPTION(to)                                                   \
    { "json", 0, CLI_FLAG, &(to), NULL, "print JSON", 0, 0 }


/*
 * What --input-shape and --winograd-budget say, for the engine; the caller
 * frees it with cli_load_options_free.  -1, with the error set and nothing to
 * free, where a shape is wrong.
 */
int cli_load_options(const cli_load_t *load, infer_load_options_t *options,
    infer_error_t *err);
void cli_load_options_free(infer_load_options_t *options);

/*
 * infer_model_load with these options, and n tensors for the inputs whose
 * values steer shapes.
 */
infer_model_t *cli_model_load(const char *path, const cli_load_t *load,
    const infer_named_tensor_t *known, size_t n, infer_error_t *err);

/*
 * infer_model_build in memory of its own, which the caller gives back with
 * free().
 */
infer_model_t *cli_model_build(const infer_graph_t *graph,
    infer_error_t *err);

/*
 * The batch size that a model is fixed to; 0 where its inputs or outputs
 * follow the batch.
 */
size_t cli_model_batch(const infer_model_t *model);


/* The names of the classes. */
typedef struct {
    const char **name;            /* NULL: there are none */
    size_t       n;
    char        *text;            /* what name[] points into, if of a file */
} cli_labels_t;

/*
 * The labels of path, which must be as many as the model has classes; where
 * path is NULL, those of the model, if it has any.  Freed with
 * cli_labels_free, before the model.
 */
int cli_labels(cli_labels_t *labels, const infer_model_t *model,
    const char *path, infer_error_t *err);

/* The labels of a file for a model that is yet to be built. */
int cli_labels_read(cli_labels_t *labels, const char *path,
    infer_error_t *err);
void cli_labels_free(cli_labels_t *labels);

/* The model's preprocessing under the settings of spec (may be NULL). */
int cli_preprocess(infer_preprocess_t *pp, const infer_model_t *model,
    const char *path, const char *spec, infer_error_t *err);

#endif /* INFER_CLI_MODEL_H */
