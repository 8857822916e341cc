/*
 * The option parser of all subcommands.  A table says everything about an
 * option: what it may be, where its value goes, and what --help prints.
 *
 * "--top 3" and "--top=3" are the same; options and operands mix; "--" ends
 * the options; "-" alone is an operand.  It is strict: no abbreviations, no
 * number with something behind it, nothing given twice that counts once.
 */

#ifndef INFER_CLI_OPTIONS_H
#define INFER_CLI_OPTIONS_H

#include <stddef.h>


typedef struct {
    const char  **item;
    size_t        n;
} cli_list_t;

typedef enum {
    CLI_FLAG,                     /* to: int, set to 1 */
    CLI_NUMBER,                   /* to: size_t, between min and max */
    CLI_TEXT,                     /* to: const char * */
    CLI_LIST                      /* to: cli_list_t, one item each time */
} cli_option_type_t;

typedef struct {
    const char         *name;     /* NULL ends the table */
    char                letter;   /* of the short form; 0: none */
    cli_option_type_t   type;
    void               *to;
    const char         *value;    /* what help calls the value */
    const char         *help;     /* lines separated by \n */
    size_t              min;
    size_t              max;
} cli_option_t;


typedef struct cli_command_s  cli_command_t;

struct cli_command_s {
    const char   *name;
    const char   *summary;        /* half a line */
    const char   *usage;          /* what follows "infer NAME ", by line */
    const char   *details;
    const char   *examples;       /* whole lines */
    size_t        min_operands;
    const char   *operands;       /* what is missing when there are fewer */
    int         (*main)(const cli_command_t *cmd, int argc, char **argv);
};


/*
 * Reads the arguments after the subcommand's name.  Operands are moved to the
 * front of argv and counted in *n.  Returns -1 when the command may go on;
 * otherwise its exit status: help has been printed, or an error.
 */
int cli_options(const cli_command_t *cmd, const cli_option_t *options,
    int argc, char **argv, size_t *n);

/* Frees the items' array of a list that cli_options has filled. */
void cli_list_free(cli_list_t *list);

/* Whether someone who typed a may well have meant b. */
int cli_similar(const char *a, const char *b);

#endif /* INFER_CLI_OPTIONS_H */
