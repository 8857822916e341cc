/*
 * The report of `infer compare` as one HTML file: tables and plots in SVG,
 * nothing from elsewhere.
 */

#ifndef INFER_CLI_HTML_H
#define INFER_CLI_HTML_H

#include "cli/difference.h"


/* One of the two models. */
typedef struct {
    const char  *path;
    double       ms;              /* median time of one image */
    double       accuracy;        /* percent: top-1, or agreement with the
                                     first where images have no classes */
} cli_side_t;

/* Writes the file.  0, or -1 with the error. */
int cli_html_write(const char *path, const cli_side_t *side,
    const cli_distance_t *distance, int labelled, infer_error_t *err);

#endif /* INFER_CLI_HTML_H */
