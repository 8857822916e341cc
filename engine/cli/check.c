/*
 * infer check: ONNX's backend tests.  A case is a folder with model.onnx and
 * folders test_data_set_N of input_K.pb and output_K.pb.
 *
 * A model that the importer refuses is skipped, with the reason it gave: it
 * is a clean answer.  Whatever loads has to pass.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/same.h"
#include "cli/model.h"
#include "cli/progress.h"
#include "cli/strings.h"
#include "cli/tensors.h"


#define MAX_DEPTH    3            /* of folders of cases in folders */
#define MAX_TENSORS  1024
#define DATA_SET     "test_data_set_"

typedef enum {
    PASSED = 0,
    FAILED,
    SKIPPED
} outcome_t;

/* Tensors of a data set, and why the rest could not be read, if it could
   not. */
typedef struct {
    infer_named_tensor_t  *tensor;
    size_t                 n;
    infer_error_t          err;
} tensors_t;


/* ---- finding cases ---------------------------------------------------- */

static int
is_case(const char *dir)
{
    int    yes;
    char  *model = cli_path(dir, "model.onnx");

    yes = access(model, F_OK) == 0;
    free(model);

    return yes;
}


/* dir if it is a case, otherwise those in it. */
static int
find_cases(const char *dir, int depth, cli_strings_t *cases,
    infer_error_t *err)
{
    int             status;
    char           *path;
    size_t          i;
    cli_strings_t   list;

    if (is_case(dir)) {
        cli_strings_add(cases, cli_strdup(dir));
        return 0;
    }

    status = cli_list_folder(dir, CLI_FOLDERS, &list, err);

    for (i = 0; status == 0 && depth < MAX_DEPTH && i < list.n; i++) {
        path = cli_path(dir, list.item[i]);
        status = find_cases(path, depth + 1, cases, err);
        free(path);
    }

    cli_strings_free(&list);

    return status;
}


/* ---- one case --------------------------------------------------------- */

/* Reads KIND_0.pb, KIND_1.pb, ...; stops at one that cannot be read. */
static void
read_tensors(const char *dir, const char *kind, tensors_t *t)
{
    char  name[64], *path;
    int   status;

    t->tensor = cli_alloc(MAX_TENSORS, sizeof(infer_named_tensor_t));
    t->err.text[0] = '\0';

    for (t->n = 0; t->n < MAX_TENSORS; t->n++) {
        snprintf(name, sizeof(name), "%s_%zu.pb", kind, t->n);
        path = cli_path(dir, name);

        status = access(path, F_OK) == 0
                 ? infer_tensor_read_pb(path, &t->tensor[t->n], &t->err)
                 : 1;
        free(path);

        if (status != 0) {
            break;
        }
    }
}


/*
 * numpy has no bfloat16: in ONNX's test data such tensors are stored as what
 * holds their bits.
 */
static void
adopt_bfloat16(infer_tensor_t *tensor, const infer_port_t *port)
{
    if (port->dtype == INFER_BF16 && tensor->dtype == INFER_U16) {
        tensor->dtype = INFER_BF16;
    }
}


/* Tensors without a name, as older tests have them, are in order. */
static void
name_inputs(const infer_model_t *model, const tensors_t *in)
{
    size_t        i, k;
    infer_port_t  port;

    for (i = 0; i < in->n && i < infer_model_inputs(model); i++) {
        infer_model_input(model, i, &port);

        if (*in->tensor[i].name == '\0') {
            free((char *) in->tensor[i].name);
            in->tensor[i].name = cli_strdup(port.name);
        }

        for (k = 0; k < in->n; k++) {
            if (strcmp(in->tensor[k].name, port.name) == 0) {
                adopt_bfloat16(&in->tensor[k].tensor, &port);
            }
        }
    }
}


static outcome_t
compare_outputs(const infer_model_t *model, const infer_session_t *session,
    const tensors_t *expected, infer_error_t *err)
{
    size_t          i;
    infer_port_t    port;
    infer_error_t   why;
    infer_tensor_t  output;

    if (expected->err.text[0] != '\0') {
        *err = expected->err;
        return FAILED;
    }

    if (expected->n != infer_model_outputs(model)) {
        cli_fail(err, "%zu outputs, expected %zu",
                 infer_model_outputs(model), expected->n);
        return FAILED;
    }

    for (i = 0; i < expected->n; i++) {
        infer_model_output(model, i, &port);
        infer_session_output_tensor(session, i, &output);
        adopt_bfloat16(&expected->tensor[i].tensor, &port);

        if (cli_same(&output, &expected->tensor[i].tensor, &why) != 0) {
            cli_fail(err, "output \"%.200s\": %.250s", port.name, why.text);
            return FAILED;
        }
    }

    return PASSED;
}


/*
 * The graph is good: from here on only the right result will do, unless the
 * inputs are not such as the model declares (some tests of CastLike).
 */
static outcome_t
run_graph(const infer_graph_t *graph, const char *dir, const tensors_t *in,
    infer_error_t *err)
{
    size_t            batch;
    outcome_t         outcome = FAILED;
    tensors_t         expected;
    infer_error_t     why;
    infer_model_t    *model;
    infer_session_t  *session;

    if (in->err.text[0] != '\0') {
        *err = in->err;
        return FAILED;
    }

    model = cli_model_build(graph, err);
    if (model == NULL) {
        return FAILED;
    }

    name_inputs(model, in);

    if (cli_tensors_check(model, in->tensor, in->n, &batch, &why) != 0) {
        cli_fail(err, "its data contradicts its model: %.400s", why.text);
        free(model);
        return SKIPPED;
    }

    session = cli_tensors_session(model, in->tensor, in->n, batch, 1, err);

    if (session != NULL) {
        infer_session_run(session, NULL);

        read_tensors(dir, "output", &expected);
        outcome = compare_outputs(model, session, &expected, err);
        cli_tensors_free(expected.tensor, expected.n);
        infer_session_free(session);
    }

    free(model);

    return outcome;
}


/* Runs one data set.  The model is loaded for it anew: its inputs may steer
   shapes. */
static outcome_t
run_set(const char *model, const char *dir, infer_error_t *err)
{
    outcome_t              outcome = SKIPPED;
    tensors_t              in;
    infer_graph_t         *graph;
    infer_load_options_t   options = {
        .winograd_budget = INFER_WINOGRAD_BUDGET
    };

    read_tensors(dir, "input", &in);
    options.known = in.tensor;
    options.n_known = in.n;

    graph = infer_graph_open(model, &options, err);

    if (graph != NULL) {
        outcome = run_graph(graph, dir, &in, err);
        infer_graph_close(graph);
    }

    cli_tensors_free(in.tensor, in.n);

    return outcome;
}


static outcome_t
run_case(const char *dir, infer_error_t *err)
{
    char           *model, *set;
    size_t          i, sets = 0;
    outcome_t       outcome = PASSED;
    cli_strings_t   list;

    if (cli_list_folder(dir, CLI_FOLDERS, &list, err) != 0) {
        return FAILED;
    }

    model = cli_path(dir, "model.onnx");

    for (i = 0; outcome == PASSED && i < list.n; i++) {
        if (strncmp(list.item[i], DATA_SET, strlen(DATA_SET)) == 0) {
            set = cli_path(dir, list.item[i]);
            outcome = run_set(model, set, err);
            free(set);
            sets++;
        }
    }

    free(model);
    cli_strings_free(&list);

    if (sets == 0) {
        cli_fail(err, "there is no " DATA_SET "0 in it");
        outcome = FAILED;
    }

    return outcome;
}


/* ---- all cases -------------------------------------------------------- */

/* The reason without the path of the model, which differs for each case. */
static const char *
reason(const char *dir, const infer_error_t *err)
{
    char        *model = cli_path(dir, "model.onnx");
    size_t       len = strlen(model);
    const char  *text = err->text;

    if (strncmp(text, model, len) == 0
        && strncmp(text + len, ": ", 2) == 0)
    {
        text += len + 2;
    }

    free(model);

    return text;
}


static int
by_count(const void *a, const void *b)
{
    const size_t  *x = a, *y = b;

    return x[1] != y[1] ? (x[1] < y[1]) - (x[1] > y[1])
                        : (x[0] > y[0]) - (x[0] < y[0]);
}


/* Each reason once, with how many cases it has cost, the worst first. */
static void
put_reasons(cli_strings_t *reasons)
{
    size_t  i, n = 0, (*group)[2];

    cli_strings_sort(reasons);
    group = cli_alloc(reasons->n, sizeof(*group));

    for (i = 0; i < reasons->n; i++) {
        if (i == 0
            || strcmp(reasons->item[i], reasons->item[i - 1]) != 0)
        {
            group[n++][0] = i;
        }

        group[n - 1][1]++;
    }

    qsort(group, n, sizeof(*group), by_count);

    for (i = 0; i < n; i++) {
        printf("%6zu  ", group[i][1]);
        cli_put(stdout, reasons->item[group[i][0]], 0);
        putchar('\n');
    }

    free(group);
}


static int
check(const cli_strings_t *cases, int verbose, int skips)
{
    size_t              i, count[3] = { 0 };
    cli_strings_t           reasons = { NULL, 0, 0 };
    outcome_t           outcome;
    infer_error_t       err;
    static const char  *name[] = { "passed", "failed", "skipped" };

    cli_progress_start("check", cases->n);

    for (i = 0; i < cases->n; i++) {
        err.text[0] = '\0';
        outcome = run_case(cases->item[i], &err);
        count[outcome]++;

        if (verbose || outcome == FAILED) {
            cli_progress_hide();
            printf("%s ", name[outcome]);
            cli_put(stdout, cases->item[i], 0);

            if (outcome != PASSED) {
                printf(": ");
                cli_put(stdout, reason(cases->item[i], &err), 0);
            }

            putchar('\n');
        }

        if (outcome == SKIPPED) {
            cli_strings_add(&reasons,
                            cli_strdup(reason(cases->item[i], &err)));
        }

        cli_progress(i + 1);
    }

    cli_progress_end();

    if (skips && reasons.n > 0) {
        put_reasons(&reasons);
    }

    cli_strings_free(&reasons);

    printf("%zu passed, %zu failed, %zu skipped\n", count[PASSED],
           count[FAILED], count[SKIPPED]);

    return count[FAILED] ? CLI_NO : CLI_DONE;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int            status, verbose = 0, skips = 0;
    size_t         i, n, before;
    cli_strings_t      cases = { NULL, 0, 0 };
    infer_error_t  err;

    cli_option_t  options[] = {
        { "verbose", 'v', CLI_FLAG, &verbose, NULL,
          "a line for each case, not only for those that failed", 0, 0 },
        { "skips", 0, CLI_FLAG, &skips, NULL,
          "at the end, the reasons why cases were skipped", 0, 0 },
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    for (i = 0; i < n; i++) {
        before = cases.n;

        if (find_cases(argv[i], 0, &cases, &err) != 0) {
            cli_strings_free(&cases);
            return cli_error("%s", err.text);
        }

        if (cases.n == before) {
            cli_strings_free(&cases);
            return cli_error("%s: no case in it (a folder with model.onnx "
                             "and test_data_set_0)", argv[i]);
        }
    }

    status = check(&cases, verbose, skips);
    cli_strings_free(&cases);

    return status;
}


const cli_command_t  cli_check = {
    .name = "check",
    .summary = "run ONNX backend tests",
    .usage = "CASE... [-v] [--skips]",
    .details =
        "Runs ONNX's backend tests: folders with model.onnx and "
        "test_data_set_*, or\nfolders of such folders.  Floats may differ "
        "from what is expected by 1e-7 and\n0.1 %, all else not at all.  A "
        "model that is refused is skipped; one that is\naccepted has to "
        "pass.  The last line counts them.\n",
    .examples = "infer check /usr/share/libonnx-testdata/data --skips\n"
                "infer check -v /usr/share/libonnx-testdata/data/node/"
                "test_relu\n",
    .min_operands = 1,
    .operands = "the CASE is",
    .main = command
};
