/*
 * Lists of strings, and what is in a folder.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/strings.h"


void
cli_strings_add(cli_strings_t *list, char *s)
{
    if (list->n == list->space) {
        list->space = list->space ? 2 * list->space : 64;
        list->item = realloc(list->item, list->space * sizeof(char *));

        if (list->item == NULL) {
            exit(cli_error("out of memory"));
        }
    }

    list->item[list->n++] = s;
}


static int
by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}


void
cli_strings_sort(cli_strings_t *list)
{
    if (list->n > 1) {
        qsort(list->item, list->n, sizeof(char *), by_bytes);
    }
}


void
cli_strings_free(cli_strings_t *list)
{
    size_t  i;

    for (i = 0; i < list->n; i++) {
        free(list->item[i]);
    }

    free(list->item);
    memset(list, 0, sizeof(*list));
}


static int
is_folder(const char *dir, const char *name)
{
    int          yes;
    char        *path = cli_path(dir, name);
    struct stat  st;

    yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    free(path);

    return yes;
}


int
cli_list_folder(const char *dir, cli_entries_t wanted, cli_strings_t *list,
    infer_error_t *err)
{
    DIR            *d;
    struct dirent  *entry;

    memset(list, 0, sizeof(*list));

    d = opendir(dir);
    if (d == NULL) {
        return cli_fail(err, "%s: %s", dir, strerror(errno));
    }

    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.'
            && is_folder(dir, entry->d_name) == (wanted == CLI_FOLDERS))
        {
            cli_strings_add(list, cli_strdup(entry->d_name));
        }
    }

    closedir(d);
    cli_strings_sort(list);

    return 0;
}
