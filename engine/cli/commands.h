/*
 * The subcommands: a file each, a row of main.c's table each.
 */

#ifndef INFER_CLI_COMMANDS_H
#define INFER_CLI_COMMANDS_H

#include "cli/options.h"


extern const cli_command_t  cli_inspect;
extern const cli_command_t  cli_run;
extern const cli_command_t  cli_eval;
extern const cli_command_t  cli_compare;
extern const cli_command_t  cli_bench;
extern const cli_command_t  cli_convert;
extern const cli_command_t  cli_baseline;
extern const cli_command_t  cli_drift;
extern const cli_command_t  cli_check;

#endif /* INFER_CLI_COMMANDS_H */
