/*
 * Lists of strings, and what is in a folder.
 */

#ifndef INFER_CLI_STRINGS_H
#define INFER_CLI_STRINGS_H

#include "infer.h"


typedef struct {
    char    **item;
    size_t    n;
    size_t    space;
} cli_strings_t;

/* Takes s over: it is freed with the list. */
void cli_strings_add(cli_strings_t *list, char *s);

/* By their bytes. */
void cli_strings_sort(cli_strings_t *list);

void cli_strings_free(cli_strings_t *list);

typedef enum {
    CLI_FOLDERS,
    CLI_FILES                     /* all that are no folders */
} cli_entries_t;

/*
 * The names of folders or of files in dir, but for those that begin with a
 * dot, sorted.  The list is begun anew.  0 or -1; free it in any case.
 */
int cli_list_folder(const char *dir, cli_entries_t wanted,
    cli_strings_t *list, infer_error_t *err);

#endif /* INFER_CLI_STRINGS_H */
