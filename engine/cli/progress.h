/*
 * A progress bar on stderr: only on a terminal, and only once the work has
 * taken a second.  There is one at a time.
 */

#ifndef INFER_CLI_PROGRESS_H
#define INFER_CLI_PROGRESS_H

#include <stddef.h>


/* Begins work of so many steps; what must be a string that stays. */
void cli_progress_start(const char *what, size_t total);

/* Tells that `done` steps are done; cheap enough for every step. */
void cli_progress(size_t done);

/* Wipes the bar off the line, so that something else can be printed; the
   next cli_progress draws it again. */
void cli_progress_hide(void);

/* Ends the work. */
void cli_progress_end(void);

#endif /* INFER_CLI_PROGRESS_H */
