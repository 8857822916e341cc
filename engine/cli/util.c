/*
 * The small things of cli.h: messages, files, text and JSON output.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/progress.h"


int
cli_error(const char *fmt, ...)
{
    char     line[2 * sizeof(infer_error_t)];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);

    cli_progress_hide();

    fputs("infer: ", stderr);
    cli_put(stderr, line, 0);
    fputc('\n', stderr);

    return CLI_ERROR;
}


int
cli_fail(infer_error_t *err, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);

    return -1;
}


/* ---- memory, time, files ---------------------------------------------- */

void *
cli_alloc(size_t n, size_t size)
{
    void  *p;

    p = calloc(n ? n : 1, size ? size : 1);
    if (p == NULL) {
        exit(cli_error("out of memory (%zu x %zu bytes)", n, size));
    }

    return p;
}


char *
cli_strdup(const char *s)
{
    size_t  size = strlen(s) + 1;

    return memcpy(cli_alloc(size, 1), s, size);
}


char *
cli_path(const char *dir, const char *name)
{
    char        *path;
    size_t       size, len = strlen(dir);
    const char  *slash = (len == 0 || dir[len - 1] == '/') ? "" : "/";

    size = len + strlen(slash) + strlen(name) + 1;
    path = cli_alloc(size, 1);
    snprintf(path, size, "%s%s%s", dir, slash, name);

    return path;
}


uint64_t
cli_now(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}


int
cli_read_file(const char *path, char **data, size_t *size,
    infer_error_t *err)
{
    int      failed, standard = strcmp(path, "-") == 0;
    FILE    *in;
    char    *buf = NULL;
    size_t   got, used = 0, space = 0;

    in = standard ? stdin : fopen(path, "rb");
    if (in == NULL) {
        return cli_fail(err, "%s: %s", path, strerror(errno));
    }

    do {
        if (space - used < 2) {
            space = space ? 2 * space : 65536;
            buf = realloc(buf, space);
            if (buf == NULL) {
                exit(cli_error("%s: out of memory", path));
            }
        }

        errno = 0;
        got = fread(buf + used, 1, space - used - 1, in);
        used += got;
    } while (got > 0);

    failed = ferror(in);

    if (failed) {
        cli_fail(err, "%s: %s", path, strerror(errno));
    }

    if (!standard) {
        fclose(in);
    }

    if (failed) {
        free(buf);
        return -1;
    }

    buf[used] = '\0';
    *data = buf;
    *size = used;

    return 0;
}


int
cli_number(const char *s, uint64_t max, uint64_t *number)
{
    uint64_t  x = 0, digit;

    if (*s == '\0') {
        return -1;
    }

    for ( /* void */ ; *s; s++) {
        if (*s < '0' || *s > '9') {
            return -1;
        }

        digit = (uint64_t) (*s - '0');

        if (digit > max || x > (max - digit) / 10) {
            return -1;
        }

        x = 10 * x + digit;
    }

    *number = x;

    return 0;
}


/* ---- text ------------------------------------------------------------- */

void
cli_put(FILE *out, const char *s, size_t width)
{
    size_t                columns = cli_columns(s);
    const unsigned char  *p;

    for (p = (const unsigned char *) s; *p; p++) {

        if (*p < 0x20 || *p == 0x7f) {
            fputc('?', out);

        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            fputc('?', out);
            p++;

        } else {
            fputc(*p, out);
        }
    }

    for ( /* void */ ; columns < width; columns++) {
        fputc(' ', out);
    }
}


size_t
cli_columns(const char *s)
{
    size_t  n = 0;

    for ( /* void */ ; *s; s++) {
        n += (*s & 0xc0) != 0x80;
    }

    return n;
}


const char *
cli_shape_text(char *buf, int rank, const int64_t *dim)
{
    int     i;
    size_t  used = 0;

    snprintf(buf, CLI_TEXT_SIZE, "scalar");

    for (i = 0; i < rank; i++) {
        if (dim[i] == INFER_BATCH) {
            used += (size_t) snprintf(buf + used, CLI_TEXT_SIZE - used,
                                      "%sN", i ? "x" : "");
        } else {
            used += (size_t) snprintf(buf + used, CLI_TEXT_SIZE - used,
                                      "%s%lld", i ? "x" : "",
                                      (long long) dim[i]);
        }
    }

    return buf;
}


const char *
cli_scaled_text(char *buf, double x, double base)
{
    int                 i, digits;
    static const char  *prefix[] = { "", " k", " M", " G", " T", " P" };

    /* 999.5 would be printed as 1000 */
    for (i = 0; i < 5 && x >= (base == 1000 ? 999.5 : base); i++) {
        x /= base;
    }

    digits = (i == 0 || x >= 99.95) ? 0 : (x >= 9.995) ? 1 : 2;
    snprintf(buf, CLI_TEXT_SIZE, "%.*f%s", digits, x, prefix[i]);

    return buf;
}


const char *
cli_float_text(char *buf, float x)
{
    int  digits;

    for (digits = 6; digits <= 9; digits++) {
        snprintf(buf, CLI_TEXT_SIZE, "%.*g", digits, (double) x);
        if (strtof(buf, NULL) == x) {
            break;
        }
    }

    return buf;
}


/* ---- JSON ------------------------------------------------------------- */

json_t *
cli_json_text(const char *s)
{
    char    *copy, *p;
    json_t  *json;

    json = json_string(s);
    if (json != NULL) {
        return json;
    }

    copy = cli_strdup(s);

    for (p = copy; *p; p++) {
        if (*p & 0x80) {
            *p = '?';
        }
    }

    json = json_string(copy);
    free(copy);

    return json;
}


json_t *
cli_json_float(float x)
{
    char  buf[CLI_TEXT_SIZE];

    return json_real(strtod(cli_float_text(buf, x), NULL));
}


json_t *
cli_json_shape(int rank, const int64_t *dim)
{
    int      i;
    json_t  *shape = json_array();

    for (i = 0; i < rank; i++) {
        json_array_append_new(shape, json_integer(dim[i]));
    }

    return shape;
}


void
cli_json_print(json_t *json)
{
    cli_progress_hide();

    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    json_decref(json);
}
