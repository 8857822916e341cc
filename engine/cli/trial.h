/*
 * Images through models, one after the other: what the commands that compare
 * models have in common.
 */

#ifndef INFER_CLI_TRIAL_H
#define INFER_CLI_TRIAL_H

#include "cli/dataset.h"
#include "cli/difference.h"
#include "infer.h"


typedef struct {
    const cli_dataset_t       *set;
    const infer_preprocess_t  *pp;
    size_t                     max_pixels;
    const infer_parallel_t    *parallel;
    const char                *what;       /* for the progress bar */
} cli_trial_t;

/*
 * Calls run(arg, i) for the first n images of the set, each in the sessions'
 * input (n_sessions of batch 1).  -1 with the error at the first image that
 * cannot be read.
 */
int cli_trial_run(const cli_trial_t *trial, size_t n,
    infer_session_t *const *session, size_t n_sessions,
    void (*run)(void *arg, size_t i), void *arg, infer_error_t *err);

/*
 * Classifies the first n images: the class of each in class_id (SIZE_MAX where
 * no score is finite).
 */
int cli_trial_classify(const cli_trial_t *trial, size_t n,
    const infer_model_t *model, size_t *class_id, infer_error_t *err);

/* Shows d, made for these models, the first n images. */
int cli_trial_difference(const cli_trial_t *trial, size_t n,
    cli_difference_t *d, const infer_model_t *first,
    const infer_model_t *second, infer_error_t *err);

/*
 * The median times of runs on one thread, in turns, in milliseconds, of two
 * models on whatever numbers; takes about a second.
 */
int cli_trial_time(const infer_model_t *first, const infer_model_t *second,
    double *first_ms, double *second_ms, infer_error_t *err);

/* Prints layers with their decibels, and what there is to say of all. */
void cli_distance_put(const cli_distance_t *distance);

#endif /* INFER_CLI_TRIAL_H */
