/*
 * Monitoring: what a model is given and what it answers, held against what it
 * was given and answered when all was well.
 *
 *     request  -> infer_sample_t       a few numbers, no raw data
 *     samples  -> infer_live_t         counts in memory that processes share
 *     live     -> infer_counts_t       those of the last minute, hour, day
 *     counts and infer_baseline_t -> infer_score_t[]    values, thresholds
 *
 * Every number that is watched is a "statistic" with fixed bins: a sample is
 * one count in one bin of each statistic that it knows.  The baseline, which
 * lies in the .infer file, has the same bins, counted on a set of images that
 * were right.  A statistic that a request does not have (the size of an image
 * where a tensor was sent, a third channel) is NaN in its sample and counts
 * nowhere, so each has a total of its own.
 *
 * infer.h includes this file; it is not to be included by itself.
 */

#ifndef INFER_MONITOR_H
#define INFER_MONITOR_H

#include "infer.h"


/* ---- samples ---------------------------------------------------------- */

/* Layers whose ranges are watched, and channels of the input. */
#define INFER_MONITOR_LAYERS    4
#define INFER_MONITOR_CHANNELS  3

typedef enum {
    /* of the input tensor as the model gets it: mean and standard deviation
       of each of the first three channels */
    INFER_STAT_MEAN = 0,
    INFER_STAT_STD = INFER_STAT_MEAN + INFER_MONITOR_CHANNELS,

    /* of the pixels that it is made of (after resize and crop), 0 .. 1: mean
       and standard deviation of luma; variance of its Laplacian; the share of
       vertical differences in all differences of neighbours (it turns with
       the image) */
    INFER_STAT_BRIGHTNESS = INFER_STAT_STD + INFER_MONITOR_CHANNELS,
    INFER_STAT_CONTRAST,
    INFER_STAT_SHARPNESS,
    INFER_STAT_DIRECTION,

    /* of the image as it was sent: pixels, width / height, infer_type_t */
    INFER_STAT_WIDTH,
    INFER_STAT_HEIGHT,
    INFER_STAT_ASPECT,
    INFER_STAT_TYPE,

    /* of the answer: the largest probability, and the entropy of all in nats
       divided by that of equal ones: 0 .. 1 */
    INFER_STAT_CONFIDENCE,
    INFER_STAT_ENTROPY,

    /* of the outputs of the baseline's layers: smallest and largest of a
       fixed choice of elements, (x - lo) / (hi - lo) of the baseline's */
    INFER_STAT_LAYER_MIN,
    INFER_STAT_LAYER_MAX = INFER_STAT_LAYER_MIN + INFER_MONITOR_LAYERS,

    /* the share of 8-bit activations, of a fixed choice of elements of all
       layers in INT8, that are at the end of their range */
    INFER_STAT_CLIPPED = INFER_STAT_LAYER_MAX + INFER_MONITOR_LAYERS,

    INFER_STATISTICS
} infer_statistic_t;

/* Bins of each statistic: bin i counts values between its two edges. */
#define INFER_MONITOR_BINS      64

/* Classes are counted one by one up to here, all others together. */
#define INFER_MONITOR_CLASSES   1023

/* "brightness", "mean_0", "layer_2_max", ...; NULL where s is none. */
const char *infer_statistic_name(size_t s);

/*
 * The lower edge of bin i (0 .. INFER_MONITOR_BINS, the last one being the
 * upper edge of the last bin).  What lies beyond the outermost edges counts in
 * the outermost bins.
 */
double infer_statistic_edge(size_t s, size_t i);

typedef enum {
    INFER_TYPE_OTHER = 0,
    INFER_TYPE_JPEG,
    INFER_TYPE_PNG,
    INFER_TYPE_GIF,
    INFER_TYPE_BMP
} infer_type_t;

/*
 * What one request, or one image of its batch, yields.
 */
typedef struct {
    float     value[INFER_STATISTICS];   /* NaN: not known */
    float     right;                     /* how probable it is that the class
                                            is right, as the baseline's
                                            calibration has it; NaN: unknown */
    uint32_t  class_id;                  /* UINT32_MAX: no score is finite */
    uint32_t  clipped;                   /* 8-bit activations at the ends of
                                            their range */
    uint32_t  activations;               /* of so many that were looked at */
} infer_sample_t;

typedef struct infer_baseline_s  infer_baseline_t;

/*
 * Filling a sample, on the thread that serves the request: begin, then what
 * there is, in this order.  No memory is allocated, nothing can fail, and the
 * same request gives the same numbers.  Together below 40 us for an input of
 * 224 x 224 pixels.
 *
 *   infer_sample_begin     always: all is unknown
 *   infer_sample_image     for images: data and size are those of the file,
 *                          img is what was decoded, prepared what
 *                          infer_image_prepare made of it
 *   infer_sample_input     when input 0 is set, before the run (which may
 *                          write over it); n: place in the batch
 *   infer_sample_output    after the run, of a classifier (output 0 is
 *                          N x classes, floats); baseline may be NULL.  What
 *                          a run shows of layers is taken for place 0 alone
 */
void infer_sample_begin(infer_sample_t *sample);
void infer_sample_image(infer_sample_t *sample, const void *data, size_t size,
    const infer_image_t *img, const infer_image_t *prepared);
void infer_sample_input(infer_sample_t *sample,
    const infer_session_t *session, size_t n);
void infer_sample_output(infer_sample_t *sample, infer_session_t *session,
    size_t n, const infer_baseline_t *baseline);

/*
 * From now on runs of the session also look at its layers: ranges, for which
 * there must be a baseline (that of its model), and activations at the end of
 * their range.  Results keep their bits.  Costs some microseconds a run.
 */
void infer_session_monitor(infer_session_t *session,
    const infer_baseline_t *baseline);


/* ---- baselines -------------------------------------------------------- */

/*
 * The baseline in the .infer file that the model comes from, which has been
 * checked when it was opened; NULL where it has none.  It lives as long as the
 * model does.
 */
const infer_baseline_t *infer_model_baseline(const infer_model_t *model);

/* A number that two baselines of different contents do not share but by
   chance (1 in 2^32); 0 where baseline is NULL. */
uint32_t infer_baseline_id(const infer_baseline_t *baseline);

/* What is known of a baseline. */
typedef struct {
    uint64_t  images;
    uint64_t  labelled;           /* images with labels: all or 0 */
    double    accuracy;           /* of those; NaN: no labels */
    double    temperature;        /* that fits them best; 1: no labels */
    double    calibration_error;  /* after it: expected calibration error;
                                     NaN: no labels */
} infer_baseline_info_t;

void infer_baseline_info(const infer_baseline_t *baseline,
    infer_baseline_info_t *info);


/* ---- live counts ------------------------------------------------------ */

/*
 * Counts of one model in memory that threads of several processes share: no
 * pointers, atomic operations alone, nobody ever waits.  What is kept is one
 * set of counters that only grow, and snapshots of it at the starts of slots;
 * what has happened since then is a difference.  So no counter is ever
 * cleared, and every count is on one side of every snapshot.
 */
typedef struct infer_live_s  infer_live_t;

/* Sliding windows of time. */
typedef enum {
    INFER_SPAN_MINUTE = 0,        /* slots of 2 s */
    INFER_SPAN_HOUR,              /* of 2 min */
    INFER_SPAN_DAY,               /* of 30 min */
    INFER_SPANS,
    INFER_SPAN_ALL = INFER_SPANS  /* since infer_live_init */
} infer_span_t;

/* "1m", "1h", "1d", "all" */
const char *infer_span_name(infer_span_t span);

/* Their lengths, and those of their slots, in milliseconds; 0 for ALL. */
uint64_t infer_span_length(infer_span_t span);
uint64_t infer_span_slot(infer_span_t span);

/*
 * Bytes for a model of so many classes: 115 times 4 bytes for each bin and
 * 8 for each class that is counted: 0.75 MB for 10 classes, 1.7 MB for 1000,
 * and no more for any number.
 */
size_t infer_live_size(size_t classes);

/*
 * Begins counting in mem (8-byte aligned, infer_live_size bytes), which nobody
 * else uses yet.  id: infer_baseline_id of the model's.
 */
infer_live_t *infer_live_init(void *mem, size_t classes, uint32_t id);

/*
 * Whether mem (at least infer_live_size(classes) bytes, all zeros or what
 * infer_live_init has made of it) counts for so many classes and that
 * baseline: 1 or 0.  With another baseline it has to be begun anew, in other
 * memory as long as there are workers that add to it: the bins of layers mean
 * something else.
 */
int infer_live_fits(const void *mem, size_t classes, uint32_t id);

/*
 * Counts a sample at the time `now`: milliseconds of a clock that all
 * processes share (CLOCK_MONOTONIC; if it went backward, the sample would
 * count in the latest slot).  Some dozens of atomic additions, at the start of
 * a slot also a copy of the counters (some microseconds).
 *
 * A process that is killed inside loses, of this one sample, what it has not
 * yet counted; a snapshot that it was making is made anew a tenth of a second
 * later, and what has come in between counts as older by that.  Nothing is
 * counted twice.
 */
void infer_live_add(infer_live_t *live, uint64_t now,
    const infer_sample_t *sample);

/* Counts: of a window, or of a baseline. */
typedef struct {
    uint64_t  from;               /* samples counted at times from here */
    uint64_t  to;                 /* up to here */
    uint64_t  samples;
    uint64_t  clipped;            /* 8-bit activations at their ends */
    uint64_t  activations;        /* of so many that were looked at */
    double    right;              /* sum of infer_sample_t.right */
    uint64_t  rated;              /* samples that know it */
    uint32_t  bin[INFER_STATISTICS][INFER_MONITOR_BINS];
    uint32_t  n_classes;          /* of class_count: min(classes, 1024) */
    uint32_t  class_count[INFER_MONITOR_CLASSES + 1];   /* the last of 1024:
                                                           all others */
    uint32_t  class_right[INFER_MONITOR_CLASSES + 1];   /* sums of `right` of
                                                           each, in 1/256 */
} infer_counts_t;

/*
 * What was counted in the last minute, hour or day before `now`: exactly the
 * samples from the start of the slot in which the window begins (so up to one
 * slot more than the window's length) to now, but for those that are being
 * added at the same moment as this, or as the snapshot was made: of those each
 * counter may have one or not.  Takes some microseconds; counts (15 KB) is the
 * caller's.
 */
void infer_live_read(infer_live_t *live, uint64_t now, infer_span_t span,
    infer_counts_t *counts);


/* ---- scores ----------------------------------------------------------- */

/*
 * What a score belongs to: one alert each.
 */
typedef enum {
    INFER_ALERT_INPUT = 0,        /* other images: brightness, contrast,
                                     sharpness, direction, size, type */
    INFER_ALERT_TENSOR,           /* other numbers reach the model: means and
                                     deviations, such as by a wrong
                                     normalisation */
    INFER_ALERT_CLASSES,          /* another mix of classes is answered */
    INFER_ALERT_CONFIDENCE,       /* answers are less sure, or more */
    INFER_ALERT_LAYERS,           /* other ranges inside the model */
    INFER_ALERT_SATURATION,       /* more 8-bit activations are clipped */
    INFER_ALERT_ACCURACY,         /* fewer answers are right, by estimate */
    INFER_ALERTS
} infer_alert_t;

/* "input", "tensor", ... */
const char *infer_alert_name(infer_alert_t alert);

typedef enum {
    INFER_MEASURE_PSI = 0,        /* population stability index */
    INFER_MEASURE_JS,             /* Jensen-Shannon divergence, in bits: 0..1 */
    INFER_MEASURE_KS,             /* largest distance of the cumulative
                                     distributions: 0 .. 1 */
    INFER_MEASURE_SHARE,          /* a share: 0 .. 1 */
    INFER_MEASURES
} infer_measure_t;

/* "psi", "js", "ks", "share" */
const char *infer_measure_name(infer_measure_t measure);

typedef enum {
    INFER_VERDICT_UNKNOWN = 0,    /* too few samples, or none in the baseline */
    INFER_VERDICT_OK,
    INFER_VERDICT_ALERT
} infer_verdict_t;

/*
 * One score.  The threshold is the larger of what chance alone exceeds with
 * this number of samples (once in a million looks at all scores together) and
 * what matters (PSI 0.2, say).  For a share that must not fall, as accuracy,
 * `below` is 1 and the alert is raised below the threshold.
 */
typedef struct {
    const char       *name;       /* of the statistic, or "classes",
                                     "low_confidence", "clipped_share",
                                     "accuracy" */
    infer_alert_t     alert;
    infer_measure_t   measure;
    infer_verdict_t   verdict;
    int               below;
    uint64_t          n;          /* samples it is made of */
    double            value;      /* NaN: n is 0 */
    double            baseline;   /* of a share: the baseline's; else 0 */
    double            threshold;  /* NaN: verdict is unknown */
    double            error;      /* standard error of value by chance */
} infer_score_t;

/* How many there are at most. */
#define INFER_SCORES  (3 * INFER_STATISTICS + 8)

/*
 * Holds counts against a baseline: writes at most INFER_SCORES scores and
 * returns how many; only those of statistics that the baseline has.  The same
 * scores come in the same order for the same baseline, whatever the counts.
 * Alerts that are raised are those with a score whose verdict says so.
 * Some ten microseconds.
 */
size_t infer_scores(const infer_baseline_t *baseline,
    const infer_counts_t *counts, infer_score_t *score);


/* ---- making a baseline ------------------------------------------------ */

typedef struct infer_recorder_s  infer_recorder_t;

/*
 * Collects the baseline of a model on a set of images, in any order: the same
 * set gives the same bytes.  Each image is shown twice: first for the ranges
 * of layers, then for all else.  NULL with the error set where the model is no
 * classifier, or memory is lacking.
 */
infer_recorder_t *infer_recorder_create(const infer_model_t *model,
    infer_error_t *err);
void infer_recorder_free(infer_recorder_t *rec);

/* Before the first run of a session that shows images to it. */
void infer_recorder_watch(infer_recorder_t *rec, infer_session_t *session);

/*
 * An image has been run at place 0 of the session, its sample filled up to
 * infer_sample_input; label SIZE_MAX: not known (then no image may have one).
 * 0, or -1 with the error set.
 */
int infer_recorder_add(infer_recorder_t *rec, infer_session_t *session,
    const infer_sample_t *sample, size_t label, infer_error_t *err);

/* All images have been shown: from here on the second time. */
int infer_recorder_again(infer_recorder_t *rec, infer_error_t *err);

/*
 * The section INFER_SECTION_BASELINE of all that was shown; it belongs to rec.
 * -1 with the error set.
 */
int infer_recorder_section(infer_recorder_t *rec, infer_section_t *section,
    infer_error_t *err);

#endif /* INFER_MONITOR_H */
