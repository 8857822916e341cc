/*
 * infer run: images through a classifier, or tensors through any model.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/images.h"
#include "cli/model.h"
#include "cli/npy.h"
#include "cli/tensors.h"
#include "cli/threads.h"


#define DEFAULT_TOP    5
#define DEFAULT_BATCH  8
#define MAX_NAME       48         /* columns that the longest name may take */

typedef struct {
    cli_model_options_t   model;
    cli_list_t            inputs;
    const char           *output_dir;
    const char           *save_input;
    size_t                top;
    size_t                threads;
    int                   json;
} options_t;


/* ---- images ----------------------------------------------------------- */

/* Images on their way through the model, and how to print what comes out. */
typedef struct {
    const options_t     *options;
    cli_classifier_t     classifier;
    cli_labels_t         labels;
    infer_preprocess_t   pp;
    cli_image_t         *image;
    size_t               n;
    size_t               batch;
    size_t               width;   /* of the column of names */
    infer_class_t       *top;
    json_t              *json;    /* NULL: text */
} job_t;


static void
put_top(const job_t *job, const char *name, size_t n)
{
    char         number[CLI_TEXT_SIZE];
    size_t       i, width = 0;
    const char  *label;

    for (i = 0; i < n; i++) {
        snprintf(number, sizeof(number), "class %zu", job->top[i].class_id);
        label = job->labels.n ? job->labels.name[job->top[i].class_id]
                              : number;
        width = cli_columns(label) > width ? cli_columns(label) : width;
    }

    for (i = 0; i < n; i++) {
        snprintf(number, sizeof(number), "class %zu", job->top[i].class_id);
        label = job->labels.n ? job->labels.name[job->top[i].class_id]
                              : number;

        if (i == 0) {
            cli_put(stdout, name, 0);
            putchar(':');
        }

        printf("%*s", (int) (i || cli_columns(name) > job->width
                             ? (i ? job->width + 3 : 2)
                             : job->width - cli_columns(name) + 2), "");
        cli_put(stdout, label, width);
        printf("  %6.2f %%\n", 100 * (double) job->top[i].probability);
    }
}


static json_t *
json_top(const job_t *job, size_t n)
{
    size_t   i, class_id;
    json_t  *top = json_array(), *row;

    for (i = 0; i < n; i++) {
        class_id = job->top[i].class_id;

        row = json_pack("{s:I, s:o}", "class", (json_int_t) class_id,
                        "probability",
                        cli_json_float(job->top[i].probability));

        if (job->labels.n > 0) {
            json_object_set_new(row, "label",
                                cli_json_text(job->labels.name[class_id]));
        }

        json_array_append_new(top, row);
    }

    return top;
}


/* Tells the result at place i of the batch; CLI_NO where there is none. */
static int
report(job_t *job, const char *name, size_t i, infer_error_t *err)
{
    size_t  n = 0;

    if (err->text[0] == '\0') {
        n = infer_session_top(job->classifier.session, i, job->top,
                              job->options->top);
        if (n == 0) {
            cli_fail(err, "%.400s: the scores are not finite", name);
        }
    }

    if (n == 0) {
        cli_error("%s", err->text);
    }

    if (job->json == NULL) {
        put_top(job, name, n);

    } else if (n > 0) {
        json_array_append_new(job->json, json_pack("{s:o, s:o}",
            "file", cli_json_text(name), "top", json_top(job, n)));

    } else {
        json_array_append_new(job->json, json_pack("{s:o, s:o}",
            "file", cli_json_text(name), "error", cli_json_text(err->text)));
    }

    return n > 0 ? CLI_DONE : CLI_NO;
}


static int
classify(job_t *job)
{
    int             status = CLI_DONE;
    size_t          i, k, n;
    infer_error_t  *err = cli_alloc(job->batch, sizeof(infer_error_t));

    for (i = 0; i < job->n; i += n) {
        n = job->n - i < job->batch ? job->n - i : job->batch;

        cli_classify(&job->classifier, job->image + i, n, err);

        for (k = 0; k < n; k++) {
            status |= report(job, job->image[i + k].name, k, &err[k]);
        }
    }

    free(err);

    return status;
}


/* Writes what the model would be given for the image, as 1 x C x H x W. */
static int
save_input(const job_t *job, const char *path, infer_error_t *err)
{
    int             status;
    float          *nhwc, *nchw;
    size_t          i, c, plane, channels;
    infer_image_t   image;
    infer_tensor_t  tensor = { .dtype = INFER_F32, .rank = 4 };

    if (cli_image_load(&job->image[0], &job->pp, job->classifier.max_pixels,
                       &image, err)
        != 0)
    {
        return -1;
    }

    channels = (size_t) image.channels;
    plane = (size_t) image.height * (size_t) image.width;
    nhwc = cli_alloc(plane * channels, sizeof(float));
    nchw = cli_alloc(plane * channels, sizeof(float));
    infer_image_normalize(&image, &job->pp, nhwc);

    for (i = 0; i < plane; i++) {
        for (c = 0; c < channels; c++) {
            nchw[c * plane + i] = nhwc[i * channels + c];
        }
    }

    tensor.dim[0] = 1;
    tensor.dim[1] = image.channels;
    tensor.dim[2] = image.height;
    tensor.dim[3] = image.width;
    tensor.data = nchw;
    status = cli_npy_write(path, &tensor, err);

    free(nhwc);
    free(nchw);
    infer_image_free(&image);

    return status;
}


/* What cli_classify and report need; the caller frees it, done or not. */
static int
prepare(job_t *job, const infer_model_t *model, const char *path,
    infer_error_t *err)
{
    size_t            i, classes, columns, batch = DEFAULT_BATCH;
    const options_t  *o = job->options;

    if (cli_preprocess(&job->pp, model, path, o->model.preprocess, err) != 0
        || cli_labels(&job->labels, model, o->model.labels, err) != 0
        || (o->save_input != NULL && save_input(job, o->save_input, err)
                                     != 0))
    {
        return -1;
    }

    batch = job->n < batch ? job->n : batch;
    job->classifier.session = cli_image_session(model, path, batch,
                                                job->classifier.parallel,
                                                &job->batch, err);
    if (job->classifier.session == NULL) {
        return -1;
    }

    classes = infer_model_classes(model);
    job->top = cli_alloc(o->top < classes ? o->top : classes,
                         sizeof(infer_class_t));

    for (i = 0; i < job->n; i++) {
        columns = cli_columns(job->image[i].name);
        if (columns > job->width && columns <= MAX_NAME) {
            job->width = columns;
        }
    }

    return 0;
}


static int
run_images(const options_t *options, const infer_model_t *model,
    const char *path, char **file, size_t n, const infer_parallel_t *parallel)
{
    int            status = CLI_ERROR;
    size_t         i;
    job_t          job = { .options = options, .n = n };
    infer_error_t  err;

    job.classifier.parallel = parallel;
    job.classifier.pp = &job.pp;
    job.classifier.max_pixels = options->model.max_pixels;
    job.image = cli_alloc(n, sizeof(cli_image_t));

    for (i = 0; i < n; i++) {
        job.image[i].name = file[i];
    }

    if (prepare(&job, model, path, &err) != 0) {
        cli_error("%s", err.text);

    } else {
        job.json = options->json ? json_array() : NULL;
        status = classify(&job);

        if (options->json) {
            cli_json_print(job.json);
        }
    }

    infer_session_free(job.classifier.session);
    cli_labels_free(&job.labels);
    free(job.top);
    free(job.image);

    return status;
}


/* ---- tensors ---------------------------------------------------------- */

/* Reads NAME=F.npy, or F.npy alone. */
static infer_named_tensor_t *
read_tensors(const cli_list_t *list, infer_error_t *err)
{
    char                  *name;
    size_t                 i;
    const char            *equals, *file;
    infer_named_tensor_t  *tensor;

    tensor = cli_alloc(list->n, sizeof(infer_named_tensor_t));

    for (i = 0; i < list->n; i++) {
        file = list->item[i];
        equals = strchr(file, '=');

        /* the name, or "" where there is none */
        name = cli_strdup(file);
        name[equals ? equals - file : 0] = '\0';
        tensor[i].name = name;
        file = equals ? equals + 1 : file;

        if (cli_npy_read(file, &tensor[i].tensor, err) != 0) {
            cli_tensors_free(tensor, i + 1);
            return NULL;
        }
    }

    return tensor;
}


/* "DIR/NAME.npy" for an output; the caller frees it. */
static char *
output_path(const char *dir, const char *name)
{
    char    *file, *path, *p;
    size_t   size = strlen(name) + sizeof(".npy");

    file = cli_alloc(size, 1);
    snprintf(file, size, "%s.npy", name);

    for (p = file; *p; p++) {
        if (*p == '/' || *p == ':') {
            *p = '_';
        }
    }

    path = cli_path(dir, file);
    free(file);

    return path;
}


static void
output_paths_free(char **path, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        free(path[i]);
    }

    free(path);
}


/* A file for each output; NULL where two would be the same. */
static char **
output_paths(const infer_model_t *model, const char *dir, infer_error_t *err)
{
    char          **path;
    size_t          i, k, n = infer_model_outputs(model);
    infer_port_t    port;

    path = cli_alloc(n, sizeof(char *));

    for (i = 0; i < n; i++) {
        infer_model_output(model, i, &port);
        path[i] = output_path(dir, port.name);

        for (k = 0; k < i; k++) {
            if (strcmp(path[k], path[i]) == 0) {
                cli_fail(err, "%.400s: two outputs would be written there",
                         path[i]);
                output_paths_free(path, i + 1);
                return NULL;
            }
        }
    }

    return path;
}


static int
write_outputs(const options_t *options, const infer_model_t *model,
    const infer_session_t *session, char **path, infer_error_t *err)
{
    char             shape[CLI_TEXT_SIZE];
    size_t           i;
    json_t          *json = json_array();
    infer_port_t     port;
    infer_tensor_t   tensor;

    if (mkdir(options->output_dir, 0777) != 0 && errno != EEXIST) {
        json_decref(json);
        return cli_fail(err, "%s: %s", options->output_dir, strerror(errno));
    }

    for (i = 0; i < infer_model_outputs(model); i++) {
        infer_model_output(model, i, &port);
        infer_session_output_tensor(session, i, &tensor);

        if (cli_npy_write(path[i], &tensor, err) != 0) {
            json_decref(json);
            return -1;
        }

        if (options->json) {
            json_array_append_new(json, json_pack("{s:o, s:s, s:o, s:o}",
                "name", cli_json_text(port.name),
                "dtype", infer_dtype_name(tensor.dtype),
                "shape", cli_json_shape(tensor.rank, tensor.dim),
                "file", cli_json_text(path[i])));

        } else {
            cli_put(stdout, path[i], 0);
            printf(": %s %s\n", infer_dtype_name(tensor.dtype),
                   cli_shape_text(shape, tensor.rank, tensor.dim));
        }
    }

    if (options->json) {
        cli_json_print(json);
    } else {
        json_decref(json);
    }

    return 0;
}


static int
run_tensors(const options_t *options, const infer_model_t *model,
    const char *path, const infer_named_tensor_t *tensor,
    const infer_parallel_t *parallel)
{
    int                failed;
    char             **file;
    size_t             batch, n = options->inputs.n;
    infer_error_t      err;
    infer_session_t   *session = NULL;

    if (cli_tensors_check(model, tensor, n, &batch, &err) == 0) {
        session = cli_tensors_session(model, tensor, n, batch,
                                      parallel->slots, &err);
    }

    if (session == NULL) {
        return cli_error("%s: %s", path, err.text);
    }

    file = output_paths(model, options->output_dir, &err);
    failed = file == NULL;

    if (!failed) {
        infer_session_run(session, parallel);
        failed = write_outputs(options, model, session, file, &err);
        output_paths_free(file, infer_model_outputs(model));
    }

    infer_session_free(session);

    return failed ? cli_error("%s", err.text) : CLI_DONE;
}


/* ---- the command ------------------------------------------------------ */

/* What goes together and what does not. */
static int
check_usage(const options_t *o, char **operand, size_t n)
{
    size_t  i, standard = 0;

    for (i = 1; i < n; i++) {
        standard += strcmp(operand[i], "-") == 0;
    }

    if (n == 1 && o->inputs.n == 0) {
        return cli_error("run: no images and no --input given "
                         "(infer run --help tells all)");
    }

    if (o->inputs.n > 0 && n > 1) {
        return cli_error("run: either images or --input, not both");
    }

    if (o->inputs.n > 0 && o->output_dir == NULL) {
        return cli_error("run: --input needs --output-dir DIR for the "
                         "results");
    }

    if (o->inputs.n > 0 && (o->model.preprocess != NULL
                            || o->model.labels != NULL
                            || o->save_input != NULL))
    {
        return cli_error("run: --preprocess, --labels and --save-input are "
                         "for images");
    }

    if (o->inputs.n == 0 && o->output_dir != NULL) {
        return cli_error("run: --output-dir is for the outputs of --input");
    }

    if (o->save_input != NULL && n != 2) {
        return cli_error("run: --save-input is for a single image");
    }

    if (standard > 1 || (standard && o->save_input != NULL)) {
        return cli_error("run: standard input can be read once only");
    }

    return CLI_DONE;
}


static int
run(const options_t *o, char **operand, size_t n)
{
    int                      status;
    infer_error_t            err;
    infer_model_t           *model = NULL;
    cli_threads_t           *threads;
    infer_named_tensor_t    *tensor;
    const infer_parallel_t  *parallel;

    threads = cli_threads_create(o->threads, &err);
    tensor = threads ? read_tensors(&o->inputs, &err) : NULL;

    if (tensor != NULL) {
        model = cli_model_load(operand[0], &o->model.load, tensor,
                               o->inputs.n, &err);
    }

    if (model == NULL) {
        status = cli_error("%s", err.text);

    } else {
        parallel = cli_threads_parallel(threads);
        status = o->inputs.n > 0
                 ? run_tensors(o, model, operand[0], tensor, parallel)
                 : run_images(o, model, operand[0], operand + 1, n - 1,
                              parallel);
    }

    infer_model_free(model);

    if (tensor != NULL) {
        cli_tensors_free(tensor, o->inputs.n);
    }

    cli_threads_free(threads);

    return status;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = {
        .top = DEFAULT_TOP,
        .model.load = CLI_LOAD_DEFAULTS,
        .model.max_pixels = CLI_MAX_PIXELS
    };

    cli_option_t  options[] = {
        { "top", 'k', CLI_NUMBER, &o.top, "K",
          "classes to print for each image (default 5)", 1, 1000000 },
        CLI_IMAGE_OPTIONS(o.model),
        { "save-input", 0, CLI_TEXT, &o.save_input, "F.npy",
          "also write what the model is given for the (one)\n"
          "image: float32, 1 x channels x height x width", 0, 0 },
        { "input", 'i', CLI_LIST, &o.inputs, "[NAME=]F.npy",
          "a tensor for an input; NAME= may be left out where\n"
          "there is one input", 0, 0 },
        { "output-dir", 'o', CLI_TEXT, &o.output_dir, "DIR",
          "write each output to DIR/NAME.npy ('/' and ':' in a\n"
          "name become '_')", 0, 0 },
        CLI_LOAD_OPTIONS(o.model.load),
        CLI_THREADS_OPTION(o.threads),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    status = check_usage(&o, argv, n);
    if (status == CLI_DONE) {
        status = run(&o, argv, n);
    }

    cli_list_free(&o.inputs);
    cli_list_free(&o.model.load.shapes);

    return status;
}


const cli_command_t  cli_run = {
    .name = "run",
    .summary = "classify images, or run a model on tensors",
    .usage = "MODEL IMAGE... [--top K] [--json]\n"
             "MODEL --input NAME=F.npy ... --output-dir DIR",
    .details = "Classifies images (\"-\" is standard input), or runs a model "
               "on tensors.  An image\nthat cannot be read is reported; the "
               "others are classified, and the exit\nstatus is 1.\n",
    .examples = "infer run model.onnx cat.jpg dog.png --top 3\n"
                "curl -s https://example.com/cat.jpg | infer run model.onnx "
                "-\n"
                "infer run model.onnx cat.jpg --preprocess "
                "\"resize=232 crop=224\"\n"
                "infer run model.onnx --input x=x.npy --output-dir out\n",
    .min_operands = 1,
    .operands = "the MODEL is",
    .main = command
};
