/*
 * How far two models are apart on the same images: at their outputs, and at
 * every layer that both have, by its name.
 */

#ifndef INFER_CLI_DIFFERENCE_H
#define INFER_CLI_DIFFERENCE_H

#include "infer.h"


/* What was compared: the first's numbers are the signal, what the second's
   differ by the noise.  Decibels are means over the images. */
typedef struct {
    const char  *node;            /* both models' */
    const char  *op;              /* the second's */
    uint64_t     macs;
    double       sqnr;
} cli_layer_t;

typedef struct {
    size_t        images;
    size_t        same;           /* of these: those of the same first class */
    double        sqnr;           /* of the first output */
    double        cosine;         /* mean */
    double        least_cosine;
    uint64_t      macs;           /* of the second model */
    uint64_t      integer_macs;
    cli_layer_t  *layer;          /* in the order of the second model */
    size_t        n_layers;
} cli_distance_t;

typedef struct cli_difference_s  cli_difference_t;

/* Above what any two different floats can be apart. */
#define CLI_MAX_DECIBELS  200

/*
 * The models must outlive it; their first inputs and outputs are of the same
 * shape, else -1 with the error.
 */
cli_difference_t *cli_difference_create(const infer_model_t *first,
    const infer_model_t *second, infer_error_t *err);
void cli_difference_free(cli_difference_t *d);

/* Runs both sessions (batch 1) on the same image, which they hold. */
void cli_difference_run(cli_difference_t *d, infer_session_t *first,
    infer_session_t *second, const infer_parallel_t *parallel);

/* What all runs come to; belongs to d. */
const cli_distance_t *cli_difference_result(cli_difference_t *d);

#endif /* INFER_CLI_DIFFERENCE_H */
