/*
 * Images through a classifier that is monitored: what `baseline`, `drift` and
 * `convert` have in common.
 */

#ifndef INFER_CLI_MONITOR_H
#define INFER_CLI_MONITOR_H

#include "cli/dataset.h"
#include "infer.h"


typedef struct {
    const infer_model_t       *model;
    const infer_preprocess_t  *pp;
    const cli_dataset_t       *set;
    int                        labelled;   /* the set's labels are right */
    size_t                     max_pixels;
    const infer_parallel_t    *parallel;
} cli_monitor_t;

/*
 * Runs each image of the set on the session (batch 1, or what the model is
 * fixed to) and calls each(arg, i, sample), whose sample is filled up to
 * infer_sample_input; -1 with the error where that returns -1 or an image
 * cannot be read.
 */
int cli_monitor_run(const cli_monitor_t *m, infer_session_t *session,
    const char *what,
    int (*each)(void *arg, size_t i, infer_sample_t *sample,
                infer_error_t *err),
    void *arg, infer_error_t *err);

/*
 * The baseline of the set: the section belongs to *rec, which the caller frees
 * in any case.
 */
int cli_monitor_record(const cli_monitor_t *m, infer_recorder_t **rec,
    infer_section_t *section, infer_error_t *err);

#endif /* INFER_CLI_MONITOR_H */
