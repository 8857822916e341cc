/*
 * infer eval: how often a classifier is right.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "cli/images.h"
#include "cli/model.h"
#include "cli/npy.h"
#include "cli/progress.h"
#include "cli/threads.h"


#define DEFAULT_BATCH  8
#define TOP            5

typedef struct {
    cli_model_options_t   model;
    const char           *logits;
    size_t                batch;
    size_t                threads;
    int                   per_class;
    int                   json;
} options_t;

typedef struct {
    const options_t          *options;
    const char               *path;        /* of the model */
    const infer_model_t      *model;
    const infer_parallel_t   *parallel;
    cli_labels_t              labels;
    cli_dataset_t             set;
    size_t                    classes;

    size_t                    images;      /* classified */
    size_t                    top1;        /* right among them */
    size_t                    top5;
    uint64_t                 *confusion;   /* [classes true][predicted], or
                                              NULL; without what has no
                                              finite score */
    uint64_t                 *of_class;    /* images of each class, or NULL */
    float                    *logits;      /* [images][classes], or NULL;
                                              NaN where one was not read */
} eval_t;


static double
fraction(uint64_t part, uint64_t whole)
{
    return whole ? (double) part / (double) whole : 0;
}


/* ---- output ----------------------------------------------------------- */

/* The class that images of class c are most often taken for, c aside. */
static size_t
rival(const eval_t *e, size_t c)
{
    size_t           i, best = c;
    uint64_t         most = 0;
    const uint64_t  *row = e->confusion + c * e->classes;

    for (i = 0; i < e->classes; i++) {
        if (i != c && row[i] > most) {
            most = row[i];
            best = i;
        }
    }

    return best;
}


static const char *
class_name(const eval_t *e, size_t c, char *buf)
{
    if (e->labels.n > 0) {
        return e->labels.name[c];
    }

    snprintf(buf, CLI_TEXT_SIZE, "class %zu", c);

    return buf;
}


static void
put_classes(const eval_t *e)
{
    char      buf[CLI_TEXT_SIZE];
    size_t    c, other, columns, width = 5;
    uint64_t  right, wrong;

    for (c = 0; c < e->classes; c++) {
        columns = cli_columns(class_name(e, c, buf));
        width = columns > width ? columns : width;
    }

    printf("\n    #  %-*s  images    top-1  most often taken for\n",
           (int) width, "class");

    for (c = 0; c < e->classes; c++) {
        right = e->confusion[c * e->classes + c];

        printf("%5zu  ", c);
        cli_put(stdout, class_name(e, c, buf), width);
        printf("  %6llu", (unsigned long long) e->of_class[c]);

        if (e->of_class[c] > 0) {
            printf("  %5.2f %%", 100 * fraction(right, e->of_class[c]));
        }

        other = rival(e, c);

        if (other != c) {
            wrong = e->confusion[c * e->classes + other];
            printf("  ");
            cli_put(stdout, class_name(e, other, buf), 0);
            printf(" (%llu)", (unsigned long long) wrong);
        }

        putchar('\n');
    }
}


static void
put_text(const eval_t *e)
{
    printf("images  %zu\n", e->images);
    printf("top-1   %.2f %%\n", 100 * fraction(e->top1, e->images));
    printf("top-5   %.2f %%\n", 100 * fraction(e->top5, e->images));

    if (e->confusion != NULL) {
        put_classes(e);
    }
}


static void
put_json(const eval_t *e)
{
    size_t           c, i;
    json_t          *json, *per_class, *confusion, *row;
    const uint64_t  *count;

    json = json_pack("{s:I, s:f, s:f}", "images", (json_int_t) e->images,
                     "top1", fraction(e->top1, e->images),
                     "top5", fraction(e->top5, e->images));

    if (e->confusion != NULL) {
        per_class = json_array();
        confusion = json_array();

        for (c = 0; c < e->classes; c++) {
            count = e->confusion + c * e->classes;

            json_array_append_new(per_class, e->of_class[c] == 0
                ? json_null()
                : json_real(fraction(count[c], e->of_class[c])));

            row = json_array();
            for (i = 0; i < e->classes; i++) {
                json_array_append_new(row,
                                      json_integer((json_int_t) count[i]));
            }
            json_array_append_new(confusion, row);
        }

        json_object_set_new(json, "per_class", per_class);
        json_object_set_new(json, "confusion", confusion);
    }

    cli_json_print(json);
}


/* ---- counting --------------------------------------------------------- */

/* Image i of the set was run at place k of the batch. */
static void
count(eval_t *e, const infer_session_t *session, size_t i, size_t k)
{
    size_t          n, rank, label = e->set.label[i];
    infer_class_t   top[TOP];
    infer_tensor_t  output;

    n = infer_session_top(session, k, top, TOP);

    e->images++;

    for (rank = 0; rank < n && top[rank].class_id != label; rank++) {
        /* void */
    }

    e->top1 += n > 0 && rank == 0;
    e->top5 += rank < n;

    if (e->confusion != NULL) {
        e->of_class[label]++;

        if (n > 0) {
            e->confusion[label * e->classes + top[0].class_id]++;
        }
    }

    if (e->logits != NULL) {
        infer_session_output_tensor(session, 0, &output);
        memcpy(e->logits + i * e->classes,
               (const float *) output.data + k * e->classes,
               e->classes * sizeof(float));
    }
}


/* Runs all images; CLI_NO if there was one that could not be read. */
static int
classify(eval_t *e, const cli_classifier_t *classifier, size_t batch)
{
    int             status = CLI_DONE;
    size_t          i, k, n;
    infer_error_t  *err = cli_alloc(batch, sizeof(infer_error_t));

    cli_progress_start("eval", e->set.n);

    for (i = 0; i < e->set.n; i += n) {
        n = e->set.n - i < batch ? e->set.n - i : batch;

        cli_classify(classifier, e->set.image + i, n, err);

        for (k = 0; k < n; k++) {
            if (err[k].text[0] == '\0') {
                count(e, classifier->session, i + k, k);
            } else {
                status = CLI_NO;
                cli_error("%s", err[k].text);
            }
        }

        cli_progress(i + n);
    }

    cli_progress_end();
    free(err);

    return status;
}


static int
write_logits(const eval_t *e, infer_error_t *err)
{
    infer_tensor_t  tensor = { .dtype = INFER_F32, .rank = 2 };

    tensor.dim[0] = (int64_t) e->set.n;
    tensor.dim[1] = (int64_t) e->classes;
    tensor.data = e->logits;

    return cli_npy_write(e->options->logits, &tensor, err);
}


/* ---- the command ------------------------------------------------------ */

static void
allocate(eval_t *e)
{
    size_t  i, n;

    if (e->options->per_class) {
        e->confusion = cli_alloc(e->classes, e->classes * sizeof(uint64_t));
        e->of_class = cli_alloc(e->classes, sizeof(uint64_t));
    }

    if (e->options->logits != NULL) {
        n = e->set.n * e->classes;
        e->logits = cli_alloc(e->set.n, e->classes * sizeof(float));

        for (i = 0; i < n; i++) {
            e->logits[i] = __builtin_nanf("");
        }
    }
}


/* Runs the set; *status is the answer unless -1 is returned. */
static int
evaluate(eval_t *e, const char *data, int *status, infer_error_t *err)
{
    size_t               batch;
    infer_preprocess_t   pp;
    cli_classifier_t     classifier = { 0 };

    if (cli_preprocess(&pp, e->model, e->path, e->options->model.preprocess,
                       err) != 0
        || cli_labels(&e->labels, e->model, e->options->model.labels, err)
           != 0)
    {
        return -1;
    }

    e->classes = infer_model_classes(e->model);

    if (cli_dataset_open(&e->set, data, &e->labels, e->classes, err) != 0) {
        return -1;
    }

    batch = e->options->batch < e->set.n ? e->options->batch : e->set.n;
    classifier.session = cli_image_session(e->model, e->path, batch,
                                           e->parallel, &batch, err);
    if (classifier.session == NULL) {
        return -1;
    }

    classifier.parallel = e->parallel;
    classifier.pp = &pp;
    classifier.max_pixels = e->options->model.max_pixels;

    allocate(e);
    *status = classify(e, &classifier, batch);
    infer_session_free(classifier.session);

    return e->logits ? write_logits(e, err) : 0;
}


static int
eval(const options_t *options, const char *path, const char *data)
{
    int              status, failed = 1;
    eval_t           e = { .options = options, .path = path };
    infer_error_t    err;
    cli_threads_t   *threads;
    infer_model_t   *model = NULL;

    threads = cli_threads_create(options->threads, &err);

    if (threads != NULL) {
        model = cli_model_load(path, &options->model.load, NULL, 0, &err);
    }

    if (model != NULL) {
        e.model = model;
        e.parallel = cli_threads_parallel(threads);
        failed = evaluate(&e, data, &status, &err);
    }

    if (failed) {
        status = cli_error("%s", err.text);
    } else if (options->json) {
        put_json(&e);
    } else {
        put_text(&e);
    }

    free(e.logits);
    free(e.confusion);
    free(e.of_class);
    cli_dataset_free(&e.set);
    cli_labels_free(&e.labels);
    infer_model_free(model);
    cli_threads_free(threads);

    return status;
}


static int
command(const cli_command_t *cmd, int argc, char **argv)
{
    int        status;
    size_t     n;
    options_t  o = {
        .batch = DEFAULT_BATCH,
        .model.load = CLI_LOAD_DEFAULTS,
        .model.max_pixels = CLI_MAX_PIXELS
    };

    cli_option_t  options[] = {
        { "per-class", 0, CLI_FLAG, &o.per_class, NULL,
          "also tell it for each class (with --json also the\n"
          "confusion matrix: a row for each true class)", 0, 0 },
        { "logits", 0, CLI_TEXT, &o.logits, "F.npy",
          "write the model's output: a row for each image, in\n"
          "order; NaN where an image could not be read", 0, 0 },
        CLI_IMAGE_OPTIONS(o.model),
        CLI_LOAD_OPTIONS(o.model.load),
        { "batch", 'b', CLI_NUMBER, &o.batch, "N",
          "images in a batch (default 8)", 1, CLI_MAX_BATCH },
        CLI_THREADS_OPTION(o.threads),
        CLI_JSON_OPTION(o.json),
        { 0 }
    };

    status = cli_options(cmd, options, argc, argv, &n);
    if (status != -1) {
        return status;
    }

    status = n > 2
             ? cli_error("eval: one MODEL and one DATA, what is \"%s\"?",
                         argv[2])
             : eval(&o, argv[0], argv[1]);

    cli_list_free(&o.model.load.shapes);

    return status;
}


const cli_command_t  cli_eval = {
    .name = "eval",
    .summary = "tell how often a classifier is right",
    .usage = "MODEL DATA [--per-class] [--json]",
    .details =
        "Classifies labelled images and tells how often the right class is "
        "the first, and\namong the first five.  DATA is one of\n"
        "  DIR/<class>/<image>  folders named by class number or label; "
        "other names stand\n"
        "                       for 0, 1, 2, ... in their order\n"
        "  labels.csv           a table with the columns file (relative to "
        "it) and label,\n"
        "                       or the folder it is in\n"
        "  *images-idx3*        MNIST's format, its labels beside it\n",
    .examples =
        "infer eval model.onnx photos/\n"
        "infer eval model.onnx labels.csv --per-class --labels names.txt\n"
        "infer eval model.onnx "
        "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz\n",
    .min_operands = 2,
    .operands = "MODEL or DATA is",
    .main = command
};
