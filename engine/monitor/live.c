/*
 * Live counts in memory that processes share.
 *
 * Counters only grow (they may wrap: differences stay right).  Time is cut
 * into slots; whoever comes first in a slot copies the counters, before it
 * adds to them, as the snapshot of the slot's start.  Where nobody comes in a
 * slot there is no snapshot, and none is needed: nothing has changed since,
 * the next one is the same.  So the counts from the start of a slot to now are
 * the counters less the first snapshot that is not older.
 *
 * For each slot the one who sets `tick` to it makes the snapshot, others go on
 * and add: of their samples some counters may be in it, which are then older
 * by a moment.  A process that is killed in between, or between `tick` and the
 * end of its copy, leaves a snapshot that is not marked as done: who comes
 * next after PATIENCE makes it anew.  A snapshot carries a checksum, for two
 * that were made at the same place, by a process that was stopped for longer
 * than that and went on.
 */

#include <string.h>

#include "monitor/baseline.h"


#define MAGIC     0x4c49564cu
#define VERSION   1

/* Milliseconds after which a snapshot will not be finished any more. */
#define PATIENCE  100

/* Slots of a window: it begins in one of them, and ends in another. */
#define SLOTS_MINUTE  32
#define SLOTS_HOUR    32
#define SLOTS_DAY     50
#define SLOTS         (SLOTS_MINUTE + SLOTS_HOUR + SLOTS_DAY)

/* `right` is summed up in units of this, and of 1/256 for each class. */
#define RIGHT_UNIT    (1.0 / (1 << 20))


enum {
    SUM_SAMPLES = 0,
    SUM_RATED,
    SUM_RIGHT,
    SUM_CLIPPED,
    SUM_ACTIVATIONS,
    SUMS
};

/*
 * Counters or their copy: sum[SUMS], then a word for each bin of each
 * statistic, two for each class.
 */
typedef struct {
    uint64_t  sum[SUMS];
    uint32_t  word[];
} counters_t;

typedef struct {
    uint64_t    claimed;          /* when, + 1: someone began to make it */
    uint64_t    done;             /* of slot number done - 1 */
    uint64_t    checksum;
    counters_t  counters;
} snapshot_t;

struct infer_live_s {
    uint32_t  magic;
    uint32_t  version;
    uint64_t  classes;
    uint32_t  id;
    uint32_t  n_words;
    uint64_t  tick[INFER_SPANS];  /* the last slot's number + 1 */
};

static const struct {
    const char  *name;
    uint64_t     length;
    uint64_t     slot;
    size_t       first;           /* of its snapshots */
    size_t       n;
} spans[INFER_SPANS + 1] = {
    { "1m", 60000, 2000, 0, SLOTS_MINUTE },
    { "1h", 3600000, 120000, SLOTS_MINUTE, SLOTS_HOUR },
    { "1d", 86400000, 1800000, SLOTS_MINUTE + SLOTS_HOUR, SLOTS_DAY },
    { "all", 0, 0, 0, 0 }
};


const char *
infer_span_name(infer_span_t span)
{
    return spans[span].name;
}


uint64_t
infer_span_length(infer_span_t span)
{
    return spans[span].length;
}


uint64_t
infer_span_slot(infer_span_t span)
{
    return spans[span].slot;
}


/* ---- memory ----------------------------------------------------------- */

static size_t
words(size_t classes)
{
    /* an even number: what follows is aligned */
    return INFER_STATISTICS * INFER_MONITOR_BINS
           + 2 * infer_monitor_classes(classes);
}


static size_t
snapshot_size(size_t n_words)
{
    return sizeof(snapshot_t) + n_words * sizeof(uint32_t);
}


static counters_t *
counters_of(infer_live_t *live)
{
    return (counters_t *) (void *) (live + 1);
}


static snapshot_t *
snapshot_at(infer_live_t *live, size_t i)
{
    unsigned char  *first;

    first = (unsigned char *) counters_of(live) + sizeof(counters_t)
            + live->n_words * sizeof(uint32_t);

    return (snapshot_t *) (void *) (first + i * snapshot_size(live->n_words));
}


static snapshot_t *
snapshot_of(infer_live_t *live, infer_span_t span, uint64_t number)
{
    return snapshot_at(live, spans[span].first + number % spans[span].n);
}


size_t
infer_live_size(size_t classes)
{
    size_t  n = words(classes);

    return sizeof(infer_live_t) + sizeof(counters_t) + n * sizeof(uint32_t)
           + SLOTS * snapshot_size(n);
}


infer_live_t *
infer_live_init(void *mem, size_t classes, uint32_t id)
{
    infer_live_t  *live = mem;

    memset(mem, 0, infer_live_size(classes));

    live->version = VERSION;
    live->classes = classes;
    live->id = id;
    live->n_words = (uint32_t) words(classes);

    __atomic_store_n(&live->magic, MAGIC, __ATOMIC_RELEASE);

    return live;
}


int
infer_live_fits(const void *mem, size_t classes, uint32_t id)
{
    const infer_live_t  *live = mem;

    return __atomic_load_n(&live->magic, __ATOMIC_ACQUIRE) == MAGIC
           && live->version == VERSION && live->classes == classes
           && live->id == id;
}


/* ---- snapshots -------------------------------------------------------- */

/* Of numbers in any order of the words: each at its place. */
static uint64_t
mix(uint64_t sum, uint64_t x)
{
    return (sum ^ x) * 0x9e3779b97f4a7c15u + (sum >> 29);
}


static void
make_snapshot(infer_live_t *live, snapshot_t *s, uint64_t number)
{
    uint32_t     word;
    uint64_t     sum, checksum = number;
    counters_t  *from = counters_of(live), *to = &s->counters;

    __atomic_store_n(&s->done, 0, __ATOMIC_SEQ_CST);

    for (size_t i = 0; i < SUMS; i++) {
        sum = __atomic_load_n(&from->sum[i], __ATOMIC_RELAXED);
        __atomic_store_n(&to->sum[i], sum, __ATOMIC_RELAXED);
        checksum = mix(checksum, sum);
    }

    for (size_t i = 0; i < live->n_words; i++) {
        word = __atomic_load_n(&from->word[i], __ATOMIC_RELAXED);
        __atomic_store_n(&to->word[i], word, __ATOMIC_RELAXED);
        checksum = mix(checksum, word);
    }

    __atomic_store_n(&s->checksum, checksum, __ATOMIC_RELAXED);
    __atomic_store_n(&s->done, number + 1, __ATOMIC_RELEASE);
}


/* Makes the snapshots that are due at the time now. */
static void
begin_slots(infer_live_t *live, uint64_t now)
{
    uint64_t     number, tick, claimed;
    snapshot_t  *s;

    for (infer_span_t span = 0; span < INFER_SPANS; span++) {
        number = now / spans[span].slot;
        s = snapshot_of(live, span, number);
        tick = __atomic_load_n(&live->tick[span], __ATOMIC_ACQUIRE);

        if (tick < number + 1) {
            if (__atomic_compare_exchange_n(&live->tick[span], &tick,
                                            number + 1, 0, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
            {
                __atomic_store_n(&s->claimed, now + 1, __ATOMIC_SEQ_CST);
                make_snapshot(live, s, number);
            }

            continue;
        }

        if (tick > number + 1
            || __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) == number + 1)
        {
            continue;
        }

        claimed = __atomic_load_n(&s->claimed, __ATOMIC_ACQUIRE);

        if (now + 1 >= claimed + PATIENCE
            && __atomic_compare_exchange_n(&s->claimed, &claimed, now + 1, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST))
        {
            make_snapshot(live, s, number);
        }
    }
}


/* ---- adding ----------------------------------------------------------- */

static void
add_sum(counters_t *c, size_t i, uint64_t n)
{
    (void) __atomic_fetch_add(&c->sum[i], n, __ATOMIC_RELAXED);
}


static void
add_word(counters_t *c, size_t i, uint32_t n)
{
    (void) __atomic_fetch_add(&c->word[i], n, __ATOMIC_RELAXED);
}


static void
add_class(const infer_live_t *live, counters_t *c,
    const infer_sample_t *sample)
{
    size_t  at, n = infer_monitor_classes(live->classes);

    at = INFER_STATISTICS * INFER_MONITOR_BINS
         + infer_monitor_class(n, sample->class_id);

    add_word(c, at, 1);

    if (sample->right == sample->right) {
        add_word(c, at + n, (uint32_t) (sample->right * 256 + 0.5f));
        add_sum(c, SUM_RIGHT, (uint64_t) (sample->right / RIGHT_UNIT + 0.5));
        add_sum(c, SUM_RATED, 1);
    }
}


void
infer_live_add(infer_live_t *live, uint64_t now, const infer_sample_t *sample)
{
    counters_t  *c = counters_of(live);

    begin_slots(live, now);

    for (size_t s = 0; s < INFER_STATISTICS; s++) {
        if (sample->value[s] == sample->value[s]) {
            add_word(c, s * INFER_MONITOR_BINS
                        + infer_statistic_bin(s, sample->value[s]), 1);
        }
    }

    if (sample->class_id < live->classes) {
        add_class(live, c, sample);
    }

    if (sample->activations > 0) {
        add_sum(c, SUM_CLIPPED, sample->clipped);
        add_sum(c, SUM_ACTIVATIONS, sample->activations);
    }

    add_sum(c, SUM_SAMPLES, 1);
}


/* ---- reading ---------------------------------------------------------- */

/* Where word i is counted. */
static uint32_t *
place_of(infer_counts_t *counts, size_t i)
{
    if (i < INFER_STATISTICS * INFER_MONITOR_BINS) {
        return &counts->bin[i / INFER_MONITOR_BINS][i % INFER_MONITOR_BINS];
    }

    i -= INFER_STATISTICS * INFER_MONITOR_BINS;

    return i < counts->n_classes ? &counts->class_count[i]
                                 : &counts->class_right[i - counts->n_classes];
}


/* Adds (sign 1) or takes away (-1) counters, which may change meanwhile;
   returns their checksum. */
static uint64_t
accumulate(const infer_live_t *live, const counters_t *from, int sign,
    uint64_t sum[SUMS], infer_counts_t *counts, uint64_t checksum)
{
    uint32_t   word, *to;
    uint64_t   x;

    for (size_t i = 0; i < SUMS; i++) {
        x = __atomic_load_n(&from->sum[i], __ATOMIC_RELAXED);
        checksum = mix(checksum, x);
        sum[i] = sign > 0 ? sum[i] + x : sum[i] - x;
    }

    for (size_t i = 0; i < live->n_words; i++) {
        word = __atomic_load_n(&from->word[i], __ATOMIC_RELAXED);
        checksum = mix(checksum, word);

        to = place_of(counts, i);
        *to = sign > 0 ? *to + word : *to - word;
    }

    return checksum;
}


static void
clear(infer_counts_t *counts, uint64_t sum[SUMS])
{
    memset(sum, 0, SUMS * sizeof(*sum));
    memset(counts->bin, 0, sizeof(counts->bin));
    memset(counts->class_count, 0, sizeof(counts->class_count));
    memset(counts->class_right, 0, sizeof(counts->class_right));
}


/* Takes away the first good snapshot from the slot `number` on; -1: none. */
static int
take_snapshot(infer_live_t *live, infer_span_t span, uint64_t number,
    uint64_t last, uint64_t sum[SUMS], infer_counts_t *counts)
{
    uint64_t     checksum;
    snapshot_t  *s;

    for ( ; number <= last; number++) {
        s = snapshot_of(live, span, number);

        if (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) != number + 1) {
            continue;
        }

        clear(counts, sum);

        checksum = accumulate(live, &s->counters, -1, sum, counts, number);

        if (checksum == __atomic_load_n(&s->checksum, __ATOMIC_RELAXED)) {
            return 0;
        }
    }

    return -1;
}


void
infer_live_read(infer_live_t *live, uint64_t now, infer_span_t span,
    infer_counts_t *counts)
{
    uint64_t  slot = spans[span].slot, length = spans[span].length;
    uint64_t  first, sum[SUMS] = { 0 };

    memset(counts, 0, sizeof(*counts));
    counts->to = now;
    counts->n_classes = (uint32_t) infer_monitor_classes(live->classes);

    begin_slots(live, now);

    if (span < INFER_SPANS) {
        first = (now > length ? now - length : 0) / slot;
        counts->from = first * slot;

        if (take_snapshot(live, span, first, now / slot, sum, counts) != 0) {
            /* the first of all is being made at this moment */
            clear(counts, sum);
            return;
        }
    }

    (void) accumulate(live, counters_of(live), 1, sum, counts, 0);

    counts->samples = sum[SUM_SAMPLES];
    counts->rated = sum[SUM_RATED];
    counts->right = (double) sum[SUM_RIGHT] * RIGHT_UNIT;
    counts->clipped = sum[SUM_CLIPPED];
    counts->activations = sum[SUM_ACTIVATIONS];
}
