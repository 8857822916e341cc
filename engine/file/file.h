/*
 * The .infer file: a header with a table of sections, then the sections, each
 * at the next multiple of 64 bytes, in the order of the table, with zeros
 * between them.  The section of the model is the model as it is in memory:
 * the file is mapped, checked, and used as it lies.  Little endian.
 *
 * Checksums are zlib's crc32.  That of the header is over everything in front
 * of the first section, with itself as 0; that of a section reaches to the
 * next one.  So there is no byte that nobody looks at.
 */

#ifndef INFER_FILE_H
#define INFER_FILE_H

#include "file/model.h"


/* A transfer as text destroys it. */
#define INFER_FILE_MAGIC         "INFER\r\n\032"
#define INFER_FILE_VERSION       1
#define INFER_FILE_MAX_SECTIONS  64

typedef struct {
    char      magic[8];
    uint32_t  version;
    uint32_t  crc;
    uint64_t  size;               /* of the file */
    uint64_t  n_sections;         /* infer_file_section_t follow */
} infer_file_t;

typedef struct {
    uint32_t  kind;               /* infer_section_kind_t */
    uint32_t  crc;
    uint64_t  offset;
    uint64_t  size;               /* without the zeros behind it */
} infer_file_section_t;


/*
 * INFER_SECTION_SOURCE: what the model was made of, and with.  Strings and
 * tables are offsets from the start of the section; 0: none.
 */
typedef struct {
    uint64_t  file;               /* its name without a path */
    uint64_t  format;
    uint64_t  producer;
    uint64_t  tool;
    uint64_t  options;
    uint64_t  ops;                /* infer_file_op_t[n_ops] */
    uint64_t  warnings;           /* uint64_t[n_warnings]: strings */
    uint64_t  parameters;
    uint64_t  macs;
    uint32_t  opset;
    uint32_t  n_ops;
    uint32_t  n_warnings;
    uint32_t  reserved;           /* 0 */
} infer_file_source_t;

typedef struct {
    uint64_t  name;
    uint64_t  count;
} infer_file_op_t;

static inline const void *
infer_source_at(const infer_file_source_t *source, uint64_t offset)
{
    return (const char *) source + offset;
}

/*
 * INFER_SECTION_GOLDEN: a run with batch 1 and what came out; exact where its
 * bits are those of all instruction sets but "blas".  For each input
 * of the model one byte for each element: (byte - 128) / 64 where it is a
 * float, else byte & 1; then the bits of each output; all where the offsets
 * that follow this header, one for each, say.
 */
typedef struct {
    uint32_t  n_inputs;
    uint32_t  n_outputs;
    uint32_t  exact;
    uint32_t  reserved;           /* 0 */
} infer_file_golden_t;


/* Bytes, to which things are appended; data is the caller's to free. */
typedef struct {
    unsigned char  *data;
    size_t          size;
    size_t          space;
    int             failed;       /* out of memory, once */
} infer_buffer_t;

/* Room for n bytes, zeroed, at the next multiple of align: its offset. */
uint64_t infer_buffer_reserve(infer_buffer_t *b, size_t n, size_t align);

/* The offset of a copy of s; 0 where s is NULL. */
uint64_t infer_buffer_string(infer_buffer_t *b, const char *s);


/* Whether these first bytes of a file, at least 8, are those of .infer. */
int infer_file_is(const void *head, size_t size);

/*
 * The model in an .infer file that lies in memory (64-byte aligned) from start
 * to end, checked completely: it can be run, whoever wrote it.  path is for
 * the error line.  The model is part of that memory.
 */
const infer_model_t *infer_file_open(const void *mem, size_t size,
    const char *path, infer_error_t *err);

uint32_t infer_file_crc(uint32_t crc, const void *data, size_t size);

/*
 * The parts of that check.  A model that has passed can be given to every
 * function: all offsets, strings and indices are valid, and operators get what
 * their shape rules admit.
 */
int infer_model_check(const infer_model_t *m, uint64_t size,
    const char *path, infer_error_t *err);
int infer_source_check(const infer_section_t *s, infer_error_t *err);
int infer_golden_check(const infer_section_t *s, const infer_model_t *m,
    infer_error_t *err);
int infer_baseline_check(const infer_section_t *s, const infer_model_t *m,
    infer_error_t *err);

/* Whether n rows of so many bytes lie at an offset (a multiple of align) of
   `size` bytes of which the first `from` are taken. */
int infer_range_valid(uint64_t from, uint64_t size, uint64_t offset,
    uint64_t n, uint64_t row, uint64_t align);

/* Whether a string lies there, with its end. */
int infer_string_valid(const void *base, uint64_t from, uint64_t size,
    uint64_t offset);

/*
 * Runs a model on the golden input and writes the section into b, which is
 * empty.
 */
int infer_golden_write(const infer_model_t *model, infer_buffer_t *b,
    infer_error_t *err);

#endif /* INFER_FILE_H */
