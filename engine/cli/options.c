/*
 * The option parser.  Who has typed something wrong is told what would have
 * been right.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"


#define HELP_COLUMN  26
#define MAX_WORD     32
#define MAX_OPTIONS  32


/* Prints each line of text after so many spaces. */
static void
put_lines(const char *text, int indent)
{
    size_t  len;

    while (*text) {
        len = strcspn(text, "\n");
        printf("%*s%.*s\n", len ? indent : 0, "", (int) len, text);
        text += len + (text[len] == '\n');
    }
}


static void
put_option(char letter, const char *name, const char *value,
    const char *help)
{
    int     used;
    size_t  len;

    used = letter ? printf("  -%c, --%s", letter, name)
                  : printf("      --%s", name);
    used += value ? printf(" %s", value) : 0;

    if (used > HELP_COLUMN - 2) {
        putchar('\n');
        used = 0;
    }

    len = strcspn(help, "\n");
    printf("%*s%.*s\n", HELP_COLUMN - used, "", (int) len, help);

    if (help[len]) {
        put_lines(help + len + 1, HELP_COLUMN);
    }
}


static void
put_help(const cli_command_t *cmd, const cli_option_t *options)
{
    size_t       len;
    const char  *usage, *lead = "usage:";

    for (usage = cmd->usage; *usage; usage += len + (usage[len] == '\n')) {
        len = strcspn(usage, "\n");
        printf("%s infer %s %.*s\n", lead, cmd->name, (int) len, usage);
        lead = "      ";
    }

    printf("\n%s\n", cmd->details);

    for ( /* void */ ; options->name; options++) {
        put_option(options->letter, options->name, options->value,
                   options->help);
    }

    put_option('h', "help", NULL, "print this");

    printf("\nExamples:\n");
    put_lines(cmd->examples, 2);
}


/*
 * Levenshtein's distance, cells beyond MAX_WORD letters left out: nobody
 * mistypes those.
 */
static size_t
distance(const char *a, const char *b)
{
    size_t  i, j, diagonal, above, best, row[MAX_WORD + 1];
    size_t  n = strnlen(a, MAX_WORD), m = strnlen(b, MAX_WORD);

    for (j = 0; j <= m; j++) {
        row[j] = j;
    }

    for (i = 1; i <= n; i++) {
        diagonal = row[0];
        row[0] = i;

        for (j = 1; j <= m; j++) {
            above = row[j];
            best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }

    return row[m];
}


int
cli_similar(const char *a, const char *b)
{
    size_t  n = strlen(a);

    return n > 1 && (distance(a, b) <= 1 + n / 3
                     || (n > 2 && strncmp(a, b, n) == 0));
}


static int
unknown(const cli_command_t *cmd, const cli_option_t *options,
    const char *arg)
{
    size_t       len;
    char         name[MAX_WORD + 1];
    const char  *word = arg + strspn(arg, "-");

    len = strcspn(word, "=");
    len = len > MAX_WORD ? MAX_WORD : len;
    memcpy(name, word, len);
    name[len] = '\0';

    for ( /* void */ ; options->name; options++) {
        if (cli_similar(name, options->name)) {
            return cli_error("%s: unknown option; did you mean --%s? "
                             "(infer %s --help tells all)", arg,
                             options->name, cmd->name);
        }
    }

    return cli_error("%s: unknown option (infer %s --help tells all)", arg,
                     cmd->name);
}


/* Stores a value; seen tells whether the option was given before. */
static int
store(const cli_option_t *option, const char *value, int seen, int argc)
{
    uint64_t     number;
    cli_list_t  *list;

    if (seen && option->type != CLI_LIST) {
        return cli_error("--%s: given twice", option->name);
    }

    switch (option->type) {

    case CLI_FLAG:
        *(int *) option->to = 1;
        break;

    case CLI_NUMBER:
        if (cli_number(value, option->max, &number) != 0
            || number < option->min)
        {
            return cli_error("--%s: \"%s\" is no number from %zu to %zu",
                             option->name, value, option->min, option->max);
        }

        *(size_t *) option->to = number;
        break;

    case CLI_TEXT:
        if (*value == '\0') {
            return cli_error("--%s: the value is empty", option->name);
        }

        *(const char **) option->to = value;
        break;

    case CLI_LIST:
        list = option->to;

        if (list->item == NULL) {
            list->item = cli_alloc((size_t) argc, sizeof(char *));
        }

        list->item[list->n++] = value;
        break;
    }

    return -1;
}


/*
 * The option that arg names, NULL if none does.  *value is what stands behind
 * its "=", or NULL.
 */
static const cli_option_t *
find(const cli_option_t *options, const char *arg, const char **value)
{
    size_t  len = strcspn(arg, "=");

    *value = arg[len] ? arg + len + 1 : NULL;

    for ( /* void */ ; options->name; options++) {
        if (arg[1] != '-') {
            if (arg[1] == options->letter && arg[2] == '\0') {
                return options;
            }

        } else if (strlen(options->name) == len - 2
                   && memcmp(options->name, arg + 2, len - 2) == 0)
        {
            return options;
        }
    }

    return NULL;
}


/* cli_options, but for what is left to free when it fails. */
static int
parse(const cli_command_t *cmd, const cli_option_t *options, int argc,
    char **argv, size_t *n)
{
    int                  i, status, ended = 0, seen[MAX_OPTIONS] = { 0 };
    const char          *arg, *value;
    const cli_option_t  *option;

    for (i = 0; i < argc; i++) {
        arg = argv[i];

        if (ended || arg[0] != '-' || arg[1] == '\0') {
            argv[(*n)++] = argv[i];
            continue;
        }

        if (strcmp(arg, "--") == 0) {
            ended = 1;
            continue;
        }

        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            put_help(cmd, options);
            return CLI_DONE;
        }

        option = find(options, arg, &value);
        if (option == NULL) {
            return unknown(cmd, options, arg);
        }

        if (option->type == CLI_FLAG && value != NULL) {
            return cli_error("--%s: takes no value", option->name);
        }

        if (option->type != CLI_FLAG && value == NULL) {
            if (i + 1 == argc) {
                return cli_error("--%s: the value %s is missing",
                                 option->name, option->value);
            }

            value = argv[++i];
        }

        status = store(option, value, seen[option - options]++, argc);
        if (status != -1) {
            return status;
        }
    }

    if (*n < cmd->min_operands) {
        return cli_error("%s: %s missing (infer %s --help tells all)",
                         cmd->name, cmd->operands, cmd->name);
    }

    return -1;
}


int
cli_options(const cli_command_t *cmd, const cli_option_t *options,
    int argc, char **argv, size_t *n)
{
    int  status;

    *n = 0;
    status = parse(cmd, options, argc, argv, n);

    for ( /* void */ ; status != -1 && options->name; options++) {
        if (options->type == CLI_LIST) {
            cli_list_free(options->to);
        }
    }

    return status;
}


void
cli_list_free(cli_list_t *list)
{
    free(list->item);
    list->item = NULL;
    list->n = 0;
}
