/*
 * What all files of the `infer` command share: exit statuses, messages, text
 * and JSON output, reading of files.
 *
 * Functions that only help return -1 with a line in an infer_error_t, as the
 * engine does; the subcommands alone print.  Memory that cannot be had ends
 * the command at once: there is nothing a command could do about it.
 */

#ifndef INFER_CLI_H
#define INFER_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "infer.h"


enum {
    CLI_DONE = 0,
    CLI_NO = 1,                   /* it ran, and the answer is no */
    CLI_ERROR = 2                 /* wrong usage, or unusable input */
};


/* ---- messages --------------------------------------------------------- */

/* Prints "infer: ..." as one line on stderr.  Returns CLI_ERROR. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes a line into *err.  Returns -1. */
int cli_fail(infer_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* ---- memory, time, files ---------------------------------------------- */

/* n * size bytes, zeroed; never NULL. */
void *cli_alloc(size_t n, size_t size);

/* Never NULL; the caller frees it. */
char *cli_strdup(const char *s);

/* "DIR/NAME" ("NAME" where dir is empty); the caller frees it. */
char *cli_path(const char *dir, const char *name);

/* Nanoseconds of a clock that only goes forward. */
uint64_t cli_now(void);

/*
 * Reads a whole file, "-" being stdin; a zero byte is added after the end.
 * The caller frees *data.
 */
int cli_read_file(const char *path, char **data, size_t *size,
    infer_error_t *err);

/* Reads an unsigned decimal number, all of s, at most max.  0 or -1. */
int cli_number(const char *s, uint64_t max, uint64_t *number);


/* ---- text ------------------------------------------------------------- */

/*
 * Prints s padded to width columns.  Strings come from files: control
 * characters, which a terminal would obey, are printed as '?'.
 */
void cli_put(FILE *out, const char *s, size_t width);

/* Columns that s takes: its number of UTF-8 characters. */
size_t cli_columns(const char *s);

/*
 * The functions below write into a buffer of the caller's and return it.
 */
enum { CLI_TEXT_SIZE = 256 };

/* "Nx3x224x224"; "scalar" for rank 0. */
const char *cli_shape_text(char *buf, int rank, const int64_t *dim);

/* "1.82 G", "446 k", "999": three digits and a prefix of `base` 1000 or
   1024. */
const char *cli_scaled_text(char *buf, double x, double base);

/* The shortest decimal that reads back as the same float. */
const char *cli_float_text(char *buf, float x);


/* ---- JSON ------------------------------------------------------------- */

/* A string; bytes that are not UTF-8 become '?', as JSON has none. */
json_t *cli_json_text(const char *s);

/* A float as the shortest decimal that is the same float. */
json_t *cli_json_float(float x);

/* An array of dimensions; one that follows the batch is -1. */
json_t *cli_json_shape(int rank, const int64_t *dim);

/* Prints the value on stdout and releases it. */
void cli_json_print(json_t *json);

#endif /* INFER_CLI_H */
