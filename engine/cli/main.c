/*
 * infer: looks at models, runs, measures and checks them, with the engine
 * that also serves them.
 */

#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"


static const cli_command_t *const  commands[] = {
    &cli_inspect,
    &cli_run,
    &cli_eval,
    &cli_compare,
    &cli_bench,
    &cli_convert,
    &cli_baseline,
    &cli_drift,
    &cli_check,
    NULL
};


static int
help(void)
{
    const cli_command_t *const  *cmd;

    printf("usage: infer COMMAND ...\n\n"
           "Looks at neural networks, runs, measures and checks them.\n\n"
           "Commands (infer COMMAND --help tells more):\n");

    for (cmd = commands; *cmd; cmd++) {
        printf("  %-10s%s\n", (*cmd)->name, (*cmd)->summary);
    }

    printf("\nExamples:\n"
           "  infer inspect model.onnx\n"
           "  infer run model.onnx cat.jpg\n"
           "  infer eval model.onnx photos/\n"
           "  infer convert model.onnx -o model.infer\n\n"
           "Exit status: 0 done; 1 it ran, and the answer is no; "
           "2 wrong usage or input.\n");

    return CLI_DONE;
}


static int
dispatch(int argc, char **argv)
{
    const char                  *name;
    const cli_command_t *const  *cmd;

    if (argc < 2) {
        return cli_error("no command given (infer --help tells all)");
    }

    name = argv[1];

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return help();
    }

    if (strcmp(name, "--version") == 0) {
        printf("infer %s (%s)\n", INFER_VERSION, infer_isa());
        return CLI_DONE;
    }

    for (cmd = commands; *cmd; cmd++) {
        if (strcmp(name, (*cmd)->name) == 0) {
            return (*cmd)->main(*cmd, argc - 2, argv + 2);
        }
    }

    for (cmd = commands; *cmd; cmd++) {
        if (cli_similar(name, (*cmd)->name)) {
            return cli_error("%s: no such command; did you mean %s?", name,
                             (*cmd)->name);
        }
    }

    return cli_error("%s: no such command (infer --help tells all)", name);
}


int
main(int argc, char **argv)
{
    int  status;

    status = dispatch(argc, argv);

    /* a full disk under our output is an error too */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return cli_error("standard output: %s", strerror(errno));
    }

    return status;
}
