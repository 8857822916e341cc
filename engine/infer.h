/*
 * The public face of the inference engine: all that its hosts, a server module
 * and a command line, know of it.
 *
 * A model file is opened as a graph (imported, checked, optimised), the graph
 * is built into a model (one position-independent block of memory: tables and
 * packed weights, read-only from then on, shareable between processes), and a
 * session runs the model (one request in flight: a memory plan for one batch
 * size and the arena it needs).
 *
 *     file -> infer_graph_t -> infer_model_t -> infer_session_t -> scores
 *
 * A model can be saved as an .infer file, which is that block with what there
 * is to know about it: such a file is not opened as a graph but checked, and
 * used as it lies.  infer_model_load and infer_model_place take both kinds of
 * files, told apart by what is in them.
 *
 * The engine creates no thread, keeps no global state that changes after the
 * first call, reads no environment but INFER_ISA, and never writes to stdout
 * or stderr.  Every function that can fail returns -1 or NULL and leaves one
 * line that names file, node and reason in the infer_error_t it was given.
 *
 * INFER_ISA is "avx512", "avx2" or "scalar", which all give the same bits, or
 * "blas": products by OpenBLAS, whose bits may depend on the CPU and on the
 * batch.  Without it, the first of these four that suits the CPU is used, but
 * scalar last.  The first graph to be opened decides; where it is for blas,
 * OPENBLAS_CORETYPE is set for a moment, so it is to be opened before there
 * are threads, and before a fork.
 */

#ifndef INFER_H
#define INFER_H

#include <stddef.h>
#include <stdint.h>


#define INFER_VERSION   "0.1.0"

#define INFER_MAX_RANK  8

/* What a dimension reads as where it follows the batch size. */
#define INFER_BATCH     (-1)


typedef struct {
    char  text[512];
} infer_error_t;


typedef enum {
    INFER_F32 = 0,
    INFER_F64,
    INFER_F16,
    INFER_BF16,
    INFER_I8,
    INFER_U8,
    INFER_I16,
    INFER_U16,
    INFER_I32,
    INFER_U32,
    INFER_I64,
    INFER_U64,
    INFER_BOOL,
    INFER_DTYPES
} infer_dtype_t;

/* Bytes of one element; 0 for a value that is no dtype. */
size_t infer_dtype_size(infer_dtype_t dtype);

/* "float32", "int64", "bool", ...: numpy's names. */
const char *infer_dtype_name(infer_dtype_t dtype);


/*
 * A tensor: elements row-major in the order of dim[], densely packed.
 * Whoever made it owns data.
 */
typedef struct {
    infer_dtype_t  dtype;
    int            rank;
    int64_t        dim[INFER_MAX_RANK];
    void          *data;
} infer_tensor_t;

typedef struct {
    const char     *name;
    infer_tensor_t  tensor;
} infer_named_tensor_t;


/*
 * Reads a file that holds one ONNX TensorProto (the test data of ONNX's
 * backend tests).  The caller frees tensor.data and name.
 */
int infer_tensor_read_pb(const char *path, infer_named_tensor_t *tensor,
    infer_error_t *err);


/* ---- preprocessing ---------------------------------------------------- */

typedef enum {
    INFER_COLOR_RGB = 0,
    INFER_COLOR_BGR,
    INFER_COLOR_GRAY
} infer_color_t;

/*
 * From decoded pixels to the model's input, as torchvision does it: resize
 * the short side to `resize` (antialiased bilinear), cut the centre `crop` x
 * `crop`, divide by 255, subtract mean, divide by std, per channel.
 * resize 0: no resize.  crop 0: no crop.
 */
typedef struct {
    int32_t        resize;
    int32_t        crop;
    infer_color_t  color;
    int32_t        exif;          /* 1: apply the EXIF orientation */
    float          mean[3];       /* of red, green, blue; gray: mean[0] */
    float          std[3];
} infer_preprocess_t;

/*
 * Reads one setting ("resize=256", "crop=224", "mean=0.485,0.456,0.406",
 * "std=..", "color=rgb|bgr|gray", "exif=on|off") into *pp, or leaves *pp as
 * it was and fails.  A mean or std of one number serves all channels.
 */
int infer_preprocess_set(infer_preprocess_t *pp, const char *setting,
    infer_error_t *err);

/* The same for settings separated by white space. */
int infer_preprocess_parse(infer_preprocess_t *pp, const char *spec,
    infer_error_t *err);


typedef enum {
    INFER_IMAGE_OK = 0,
    INFER_IMAGE_UNKNOWN,          /* no format that we read: 415 */
    INFER_IMAGE_TOO_LARGE,        /* more pixels than allowed: 413 */
    INFER_IMAGE_CORRUPT,          /* a known format, broken: 400 */
    INFER_IMAGE_NO_MEMORY
} infer_image_status_t;

typedef struct {
    int32_t   width;
    int32_t   height;
    int32_t   channels;           /* 3: RGB as PIL's convert("RGB") gives it;
                                     1: gray as PIL's convert("L") */
    uint8_t  *pixels;             /* height * width * channels */
} infer_image_t;

/*
 * Decodes JPEG (baseline, progressive, gray, CMYK), PNG (1 to 16 bits,
 * palette, alpha), GIF (first frame) or BMP.  The size in the header is held
 * against max_pixels before anything is allocated for it.  pp says whether
 * gray or RGB is wanted and whether EXIF orientation is applied; NULL: RGB,
 * as stored.  On INFER_IMAGE_OK the caller frees img with infer_image_free.
 */
infer_image_status_t infer_image_decode(const void *data, size_t size,
    size_t max_pixels, const infer_preprocess_t *pp, infer_image_t *img,
    infer_error_t *err);

void infer_image_free(infer_image_t *img);

/*
 * Resizes and crops img as pp says: *out gets the pixels that the model sees
 * (u8, bit-equal to torchvision on PIL images); the caller frees it.
 * Only rows and columns that the crop keeps are computed.
 */
int infer_image_prepare(const infer_image_t *img,
    const infer_preprocess_t *pp, infer_image_t *out, infer_error_t *err);

/*
 * ToTensor and Normalize: writes height * width * channels floats to dst in
 * NHWC order (bit-equal to torchvision's values), swapping to BGR if pp says.
 */
void infer_image_normalize(const infer_image_t *img,
    const infer_preprocess_t *pp, float *dst);


/* ---- from a file to a model ------------------------------------------- */

typedef struct infer_graph_s  infer_graph_t;
typedef struct infer_model_s  infer_model_t;
typedef struct infer_session_s  infer_session_t;

typedef struct {
    const char     *name;
    int             rank;
    int64_t         dim[INFER_MAX_RANK];    /* INFER_BATCH: follows batch */
} infer_input_shape_t;

/*
 * Reads the dimensions of "1x3x224x224" or "Nx3x224x224" (N, batch or -1:
 * INFER_BATCH) into *shape, whose name is left alone; -1 where it is no shape.
 */
int infer_shape_parse(const char *text, infer_input_shape_t *shape);

typedef struct {
    /*
     * Shapes for inputs whose file leaves dimensions open; the name "" is
     * that of the only input.
     */
    const infer_input_shape_t   *shapes;
    size_t                       n_shapes;

    /*
     * Values for graph inputs that only steer shapes (the target of a
     * Reshape, the bounds of a Slice): used where the engine needs to know
     * the value at load time.  They stay inputs in name only.
     */
    const infer_named_tensor_t  *known;
    size_t                       n_known;

    /*
     * By how many bytes the weights of convolutions may grow, those that gain
     * most for it first, to be computed by Winograd's transforms, in less
     * than half the time; others use them with their weights as they are,
     * where that pays.  The choice depends on nothing else.
     */
    size_t                       winograd_budget;

    /* Operators stay apart whose result quantization may ask for. */
    int                          apart;

    /* What is left out of a float model, before all else.  NULL: nothing. */
    const struct infer_pruning_s
                                *pruning;

    /* The weights of a float model are evened out between layers first. */
    int                          equalize;

    /* How a float model becomes an integer one.  NULL: not at all. */
    const struct infer_quantization_s
                                *quantization;
} infer_load_options_t;

#define INFER_WINOGRAD_BUDGET  ((size_t) 16 << 20)

/* One input or output of a model, as its file declares it. */
typedef struct {
    const char     *name;
    infer_dtype_t   dtype;
    int             rank;
    int64_t         dim[INFER_MAX_RANK];    /* INFER_BATCH: follows batch */
} infer_port_t;

typedef struct {
    const char  *op;              /* as the source format names it */
    uint64_t     count;
} infer_op_count_t;

/* What `infer inspect` tells.  All strings belong to the graph. */
typedef struct {
    const char              *format;        /* "onnx" */
    const char              *producer;      /* "pytorch 1.13.0" or "" */
    int                      opset;
    const infer_op_count_t  *ops;           /* sorted by name */
    size_t                   n_ops;
    uint64_t                 parameters;    /* elements of all weights */
    uint64_t                 macs;          /* of one run with batch 1 */
    const char *const       *warnings;
    size_t                   n_warnings;
} infer_summary_t;


/*
 * Imports, checks and optimises a model file.  The file stays mapped until
 * infer_graph_close: weights are read from it when the model is built.
 * options may be NULL: nothing known, INFER_WINOGRAD_BUDGET.
 */
infer_graph_t *infer_graph_open(const char *path,
    const infer_load_options_t *options, infer_error_t *err);

void infer_graph_close(infer_graph_t *graph);

void infer_graph_summary(const infer_graph_t *graph, infer_summary_t *sum);

/* Exact size in bytes of the model that infer_model_build makes. */
size_t infer_graph_model_size(const infer_graph_t *graph);

/*
 * The size in bytes that infer_model_place needs for this file: opens the
 * graph and closes it again, which reads headers and a few small constants but
 * no weights (a few milliseconds).  0 on error.
 */
size_t infer_model_bound(const char *path,
    const infer_load_options_t *options, infer_error_t *err);

/*
 * The model of a file in mem (64-byte aligned, size bytes, of which
 * infer_model_bound has told how many it takes): built there, or an .infer
 * file read as a whole.  It is part of mem, not always its start, and depends
 * on nothing else: the file may change.  NULL where the file has changed so
 * that it does not fit any more.
 */
infer_model_t *infer_model_place(const char *path,
    const infer_load_options_t *options, void *mem, size_t size,
    infer_error_t *err);

/*
 * Builds the model in mem (64-byte aligned, infer_graph_model_size bytes).
 * It holds no pointers: it may be copied, and mapped anywhere.  The graph is
 * not needed afterwards.
 */
infer_model_t *infer_model_build(const infer_graph_t *graph, void *mem,
    infer_error_t *err);

/*
 * Settings of infer_preprocess_set that come on top of those of the file, and
 * labels in place of its own, for the models that are built from now on.  Both
 * are copied.
 */
int infer_graph_set_preprocess(infer_graph_t *graph, const char *spec,
    infer_error_t *err);
int infer_graph_set_labels(infer_graph_t *graph, const char *const *label,
    size_t n, infer_error_t *err);

/*
 * The model of a file in memory of its own; freed by infer_model_free.  An
 * .infer file is mapped, and must not be cut short as long as it is used; of
 * the options it has no use for any, and refuses shapes.
 */
infer_model_t *infer_model_load(const char *path,
    const infer_load_options_t *options, infer_error_t *err);

void infer_model_free(infer_model_t *model);

size_t infer_model_size(const infer_model_t *model);
size_t infer_model_inputs(const infer_model_t *model);
size_t infer_model_outputs(const infer_model_t *model);
void infer_model_input(const infer_model_t *model, size_t i,
    infer_port_t *port);
void infer_model_output(const infer_model_t *model, size_t i,
    infer_port_t *port);

/*
 * The preprocessing of an image model: what the file says, else torchvision's
 * for the size of its input (resize 256, crop 224 for 224; in that ratio for
 * other sizes; ImageNet's mean and std; gray when the input has one channel,
 * with mean 0 and std 1).  Fails when the model is no image classifier: one
 * float input N x (1 or 3) x H x W and an output N x classes.
 */
int infer_model_preprocess(const infer_model_t *model,
    infer_preprocess_t *pp, infer_error_t *err);

/*
 * Holds pp against the model: the size after crop and the channels must be
 * those of the input, std not 0.
 */
int infer_model_check_preprocess(const infer_model_t *model,
    const infer_preprocess_t *pp, infer_error_t *err);

/* Number of classes of a classifier (last dimension of output 0), else 0. */
size_t infer_model_classes(const infer_model_t *model);

/* The label stored in the model file; NULL where it has none. */
const char *infer_model_label(const infer_model_t *model, size_t class_id);


/* ---- .infer files ----------------------------------------------------- */

typedef enum {
    INFER_SECTION_MODEL = 1,
    INFER_SECTION_SOURCE,
    INFER_SECTION_GOLDEN,
    INFER_SECTION_CALIBRATION,
    INFER_SECTION_BASELINE
} infer_section_kind_t;

/* A part of an .infer file; data is 64-byte aligned where it is read. */
typedef struct {
    uint32_t     kind;            /* infer_section_kind_t, or unknown */
    const void  *data;
    size_t       size;
} infer_section_t;

/* Whether a file is one, by its first bytes: 1 or 0; -1 on error. */
int infer_file_is_model(const char *path, infer_error_t *err);

/* "model", "source", ...; "unknown" for a kind that is none. */
const char *infer_section_name(uint32_t kind);

/* Section i of the file that a model comes from; -1 where there is none. */
int infer_model_section(const infer_model_t *model, size_t i,
    infer_section_t *section);

/* The section of that kind; -1 where there is none. */
int infer_model_find_section(const infer_model_t *model, uint32_t kind,
    infer_section_t *section);

typedef struct {
    const char             *source;       /* path of what it was made of: its
                                             last part is kept */
    const char             *options;      /* how, for people; no paths */
    const infer_section_t  *sections;     /* what else is to be kept: kinds
                                             of infer_section_kind_t that
                                             are not written by itself */
    size_t                  n_sections;
} infer_save_options_t;

/*
 * Writes a model, built of the graph by infer_model_build, as an .infer file,
 * with the graph's summary and a golden run.  The same graph and options give
 * the same bytes.  A file of that name is replaced when the new one is
 * complete.
 */
int infer_model_save(const infer_graph_t *graph, const infer_model_t *model,
    const char *path, const infer_save_options_t *options,
    infer_error_t *err);

/*
 * Writes the .infer file that the model comes from again, with a section in
 * place of its own of that kind, or as another one.
 */
int infer_model_save_section(const infer_model_t *model,
    const infer_section_t *section, const char *path, infer_error_t *err);

/*
 * Runs the golden input that lies in a model's file and holds the outputs
 * against those of whoever made the file: equal bits, but where one of both
 * has the instruction set "blas", whose floats may differ by 1e-4 of the
 * largest.  0 where they are equal, or where the file has none.
 */
int infer_model_selftest(const infer_model_t *model, infer_error_t *err);

/*
 * Whether requests may share a batch: each input and output has the batch as
 * its first dimension and nowhere else, and two fixed inputs give the bits
 * together that they give alone (where the instruction set is "blas", numbers
 * as near as above).  -1: not so, with the reason.  Runs the model.
 */
int infer_model_check_items(const infer_model_t *model, infer_error_t *err);

/* What an .infer file was made of, and with; strings belong to the model. */
typedef struct {
    const char  *file;
    const char  *format;
    const char  *producer;
    const char  *tool;            /* "infer 0.1.0" */
    const char  *options;
    int          opset;
    uint64_t     parameters;
    uint64_t     macs;
    size_t       n_ops;
    size_t       n_warnings;
} infer_source_t;

/* -1 where the model does not come from an .infer file that tells it. */
int infer_model_source(const infer_model_t *model, infer_source_t *source);
void infer_model_source_op(const infer_model_t *model, size_t i,
    infer_op_count_t *op);
const char *infer_model_source_warning(const infer_model_t *model, size_t i);


/* ---- running ---------------------------------------------------------- */

/*
 * How the host runs tasks in parallel: run() calls task(arg, i, slot) for
 * each i in 0..n-1, in any order and on any thread, and returns when all are
 * done.  No two calls that run at the same time have the same slot, and
 * slot < slots.
 */
typedef struct infer_parallel_s  infer_parallel_t;

struct infer_parallel_s {
    void      (*run)(const infer_parallel_t *parallel,
                     void (*task)(void *arg, size_t i, size_t slot),
                     void *arg, size_t n);
    size_t      slots;
    void       *host;
};

/*
 * Plans the model for a batch size and allocates its arena.  slots: how many
 * threads may work on it at once (scratch memory for each).  The model must
 * outlive the session.  A model whose file fixes the batch size runs as it is
 * with batch 1 (or with the size that it fixes) and refuses any other.
 * One session is used by one run at a time.
 */
infer_session_t *infer_session_create(const infer_model_t *model,
    size_t batch, size_t slots, infer_error_t *err);

/*
 * The same for infer_session_observe: every step is run and has a result of
 * its own, which costs time and memory and changes no bit.
 */
infer_session_t *infer_session_create_observed(const infer_model_t *model,
    size_t batch, size_t slots, infer_error_t *err);

/*
 * The same for another batch size, in the memory of a session that outlives
 * it: a run of one of both takes inputs and outputs from the other.  Memory
 * of its own only where that does not suffice: mostly where its batch is the
 * larger one.
 */
infer_session_t *infer_session_create_within(infer_session_t *session,
    size_t batch, infer_error_t *err);

void infer_session_free(infer_session_t *session);

/* Bytes of memory that the session holds: plan, arena and scratch. */
size_t infer_session_bytes(const infer_session_t *session);

/* Shape and dtype of an input or output at the session's batch size. */
void infer_session_input_tensor(const infer_session_t *session, size_t i,
    infer_tensor_t *tensor);

/* Copies in data: row-major in the order that the model file declares. */
void infer_session_set_input(infer_session_t *session, size_t i,
    const void *data);

/*
 * The same for place n of the batch alone, which is what data holds.  Where
 * the session's batch is not 1, the model is one that has passed
 * infer_model_check_items.
 */
void infer_session_set_item(infer_session_t *session, size_t i, size_t n,
    const void *data);

/*
 * Writes a prepared image into place n of the batch of input 0, of a model
 * that has passed infer_model_check_preprocess.  -1, and nothing is written,
 * where the image has not the size of the model's input (possible when pp
 * neither resizes nor crops).  Not for two images at once.
 */
int infer_session_set_image(infer_session_t *session, size_t n,
    const infer_image_t *img, const infer_preprocess_t *pp);

/*
 * Runs the model; outputs stay valid until the next run.  parallel NULL: on
 * this thread alone.  Cannot fail: all is checked when the session is made.
 */
void infer_session_run(infer_session_t *session,
    const infer_parallel_t *parallel);

/* tensor->data points into the session. */
void infer_session_output_tensor(const infer_session_t *session, size_t i,
    infer_tensor_t *tensor);

typedef struct {
    size_t  class_id;
    float   probability;
} infer_class_t;

/*
 * The k most probable classes of image n by falling probability (equal ones
 * by class number) from output 0: softmax, unless the model ends in one.
 * Returns how many it wrote: at most the number of classes.  Scores that are
 * not finite give fewer: NaN is never reported as a class.
 */
size_t infer_session_top(const infer_session_t *session, size_t n,
    infer_class_t *top, size_t k);

/*
 * The probabilities of all classes of image n, as above; they are in the
 * session until its next run or call.  NULL where the model is no classifier.
 */
const float *infer_session_probabilities(const infer_session_t *session,
    size_t n);

typedef struct {
    const char  *node;            /* name in the model file */
    const char  *op;
    uint64_t     ns;
    uint64_t     macs;
    int          integers;        /* macs are those of 8-bit integers */
} infer_profile_t;

/* Runs once, taking the time of each step; returns the number of steps;
   *profile belongs to the session. */
size_t infer_session_profile(infer_session_t *session,
    const infer_parallel_t *parallel, const infer_profile_t **profile);

/* What a run shows of itself: one input or the result of one step. */
typedef struct {
    size_t                 index;  /* the model's inputs, then its steps */
    const char            *node;   /* of an input: its own name */
    const char            *op;     /* "input" for those */
    uint64_t               macs;
    const infer_tensor_t  *tensor; /* channels-last, as it lies in memory */
    float                  scale;  /* 8 bits mean (q - zero) * scale; 0: it is
                                      not known what they mean */
    int32_t                zero;
} infer_observed_t;

typedef void (*infer_observe_pt)(void *arg, const infer_observed_t *seen);

/* Runs once and shows every value as soon as it is there. */
void infer_session_observe(infer_session_t *session,
    const infer_parallel_t *parallel, infer_observe_pt observe, void *arg);

/* How many values that shows. */
size_t infer_model_observed(const infer_model_t *model);


/* ---- pruning ---------------------------------------------------------- */

typedef enum {
    INFER_PRUNE_UNSTRUCTURED = 0, /* single weights become 0, as by
                                     torch.nn.utils.prune.l1_unstructured */
    INFER_PRUNE_BLOCK,            /* blocks of 16 outputs times one input */
    INFER_PRUNE_CHANNELS,         /* channels go, with all that reads them */
    INFER_PRUNINGS
} infer_pruning_kind_t;

/*
 * In each product the fraction (0 .. 1, not 1) of weights, blocks or channels
 * with the smallest sum of magnitudes.  Channels that must go together (they
 * are added, or a depthwise convolution has them) are counted as one; those of
 * inputs, outputs and convolutions in groups stay.
 */
typedef struct infer_pruning_s {
    infer_pruning_kind_t  kind;
    double                fraction;
} infer_pruning_t;


/* ---- quantization ----------------------------------------------------- */

/* How a range is chosen for the numbers that calibration has seen. */
typedef enum {
    INFER_OBSERVER_MINMAX = 0,    /* all of them */
    INFER_OBSERVER_HISTOGRAM,     /* least squared error of 8 bits */
    INFER_OBSERVER_PERCENTILE,    /* all but 1 in 10000 */
    INFER_OBSERVER_ENTROPY,       /* least Kullback-Leibler divergence */
    INFER_OBSERVERS
} infer_observer_t;

/* What is known of a value. */
typedef struct {
    float         lo;             /* lo > hi: nothing, or not finite */
    float         hi;
    const float  *mean;           /* of each channel (element of the last
                                     dimension), or NULL */
    size_t        channels;
} infer_statistics_t;

/*
 * How a float model becomes an integer one: activations are u8, one scale for
 * a tensor; weights i8, a scale for each output.  Dynamic: fully connected
 * layers alone, the scales of activations are computed at run time, for each
 * row.  Otherwise `value` says what the model computes, by the index of
 * infer_session_observe on the same file opened with the same options, but
 * for this one, and no Winograd budget.
 */
typedef struct infer_quantization_s {
    int                        dynamic;
    int                        correct_bias;   /* for what the rounding of
                                                  weights adds on average */
    const infer_statistics_t  *value;
    const unsigned char       *keep;           /* by index: 1: stays float;
                                                  NULL: none */
    size_t                     n;              /* of both */
} infer_quantization_t;

typedef struct infer_calibration_s  infer_calibration_t;

/*
 * Collects what a model computes on a set of images, each of which is to be
 * shown twice: first for ranges, then for histograms and means.  The result
 * does not depend on their order.
 */
infer_calibration_t *infer_calibration_create(const infer_model_t *model,
    infer_error_t *err);
void infer_calibration_free(infer_calibration_t *cal);

/* Runs the session, which is of the same model, on the input that it holds. */
void infer_calibration_run(infer_calibration_t *cal,
    infer_session_t *session, const infer_parallel_t *parallel);

/* All images have been shown: from here on the second time. */
int infer_calibration_again(infer_calibration_t *cal, infer_error_t *err);

/*
 * What has been seen: infer_model_observed() rows, which belong to cal and
 * hold until the next call.
 */
const infer_statistics_t *infer_calibration_result(infer_calibration_t *cal,
    infer_observer_t observer);


/* The instruction set in use: "scalar", "blas", "avx2", "avx512". */
const char *infer_isa(void);

/*
 * What one thread can do at most, in GFLOP/s: 32-bit multiply-adds (2 each)
 * of the instruction set in use, measured now, which takes about 30 ms.
 */
double infer_peak_gflops(void);

/* The same of multiply-adds of 8-bit integers, in GOP/s. */
double infer_peak_gops(void);


/* ---- monitoring ------------------------------------------------------- */

#include "monitor/monitor.h"

#endif /* INFER_H */
