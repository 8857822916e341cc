/*
 * How a model is to be quantized: calibration, trial, and the decision which
 * layers stay float.
 */

#ifndef INFER_CLI_QUANTIZE_H
#define INFER_CLI_QUANTIZE_H

#include "cli/model.h"
#include "infer.h"


/* The options as given; what is NULL was not. */
typedef struct {
    const char  *mode;            /* --quantize: NULL: nothing to do */
    const char  *calibrate;
    const char  *data;
    const char  *observer;
    const char  *max_drop;
    size_t       max_pixels;
    size_t       threads;
} cli_quantize_options_t;

#define CLI_QUANTIZE_OPTIONS(to)                                              \
    { "quantize", 0, CLI_TEXT, &(to).mode, "static|dynamic",                  \
      "INT8: all layers that can, with scales found on\n"                     \
      "images (--calibrate); or the weights of fully\n"                       \
      "connected layers alone", 0, 0 },                                       \
    { "calibrate", 0, CLI_TEXT, &(to).calibrate, "DIR",                       \
      "some hundred images as the model will see them: a\n"                   \
      "folder (of folders), or a file of MNIST's format", 0, 0 },             \
    { "observer", 0, CLI_TEXT, &(to).observer, "NAME",                        \
      "how a scale is found: minmax, histogram (least\n"                      \
      "squared error), percentile, entropy\n"                                 \
      "(default histogram)", 0, 0 },                                          \
    { "data", 0, CLI_TEXT, &(to).data, "DATA",                                \
      "labelled images (see infer eval) to try the result\n"                  \
      "on (default: those of --calibrate)", 0, 0 },                           \
    { "max-drop", 0, CLI_TEXT, &(to).max_drop, "POINTS",                      \
      "top-1 may fall by so many points of a hundred, or\n"                   \
      "without --data so many images may change class:\n"                     \
      "the worst layers stay float until it holds", 0, 0 },                   \
    { "max-pixels", 0, CLI_NUMBER, &(to).max_pixels, "N",                     \
      "refuse larger images (default 100000000)", 1, SIZE_MAX },              \
    CLI_THREADS_OPTION((to).threads)

#define CLI_QUANTIZE_DEFAULTS  { .max_pixels = CLI_MAX_PIXELS }


typedef struct cli_quantizer_s  cli_quantizer_t;

/*
 * Finds how the model of path, opened as *load says, is to be quantized, says
 * so in *load, and prints a report, unless quiet.  CLI_DONE; CLI_NO with the
 * error where --max-drop cannot be held; CLI_ERROR with the error.  In any
 * case *quantizer is freed after *load has been used.
 */
int cli_quantize(cli_quantizer_t **quantizer, const char *path,
    const cli_quantize_options_t *options, const char *preprocess,
    const char *labels, infer_load_options_t *load, int quiet,
    infer_error_t *err);

void cli_quantizer_free(cli_quantizer_t *q);

#endif /* INFER_CLI_QUANTIZE_H */
