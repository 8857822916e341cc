/*
 * MNIST's file format.  Big-endian: two zero bytes, 8 for unsigned bytes, the
 * number of dimensions, each dimension as u32, the bytes.  zlib reads files
 * that are gzipped and files that are not alike.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cli/cli.h"
#include "cli/idx.h"


#define IMAGES    "images-idx3"
#define LABELS    "labels-idx1"
#define MAX_SIDE  65535
#define CHUNK     (1 << 20)


/* Reads the magic and `rank` dimensions. */
static int
read_header(gzFile in, int rank, uint32_t *dim)
{
    int      i;
    uint8_t  head[16], *p;

    if (gzread(in, head, (unsigned) (4 + 4 * rank)) != 4 + 4 * rank
        || head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != rank)
    {
        return -1;
    }

    for (i = 0, p = head + 4; i < rank; i++, p += 4) {
        dim[i] = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
                 | (uint32_t) p[2] << 8 | p[3];
    }

    return 0;
}


/* Reads all of a file; *data gets n[0] * n[1] * ... bytes. */
static int
read_idx(const char *path, int rank, uint32_t *dim, uint8_t **data,
    infer_error_t *err)
{
    int      i, got;
    char     byte;
    gzFile   in;
    size_t   size, done;

    *data = NULL;

    in = gzopen(path, "rb");
    if (in == NULL) {
        return cli_fail(err, "%s: %s", path, strerror(errno));
    }

    if (read_header(in, rank, dim) != 0) {
        gzclose(in);
        return cli_fail(err, "%s: not %s of MNIST's format", path,
                        rank == 3 ? "images" : "labels");
    }

    for (i = 0, size = 1; i < rank; i++) {
        if ((i > 0 && (dim[i] == 0 || dim[i] > MAX_SIDE))
            || __builtin_mul_overflow(size, (size_t) dim[i], &size))
        {
            gzclose(in);
            return cli_fail(err, "%s: absurd dimensions", path);
        }
    }

    *data = cli_alloc(size, 1);

    for (done = 0; done < size; done += (size_t) got) {
        got = gzread(in, *data + done,
                     size - done < CHUNK ? (unsigned) (size - done) : CHUNK);
        if (got <= 0) {
            break;
        }
    }

    got = gzread(in, &byte, 1);
    gzclose(in);

    if (done < size || got != 0) {
        return cli_fail(err, "%s: %s", path, done < size ? "truncated or "
                        "corrupt" : "longer than its header says");
    }

    return 0;
}


/* The name of the labels' file; NULL when path has not the usual name. */
static char *
labels_path(const char *path)
{
    char  *copy = cli_strdup(path), *at, *next;

    at = strstr(copy, IMAGES);

    while (at != NULL && (next = strstr(at + 1, IMAGES)) != NULL) {
        at = next;
    }

    if (at == NULL) {
        free(copy);
        return NULL;
    }

    memcpy(at, LABELS, sizeof(LABELS) - 1);

    return copy;
}


int
cli_is_idx(const char *path)
{
    int       status;
    gzFile    in;
    uint32_t  dim[3];

    in = gzopen(path, "rb");
    if (in == NULL) {
        return 0;
    }

    status = read_header(in, 3, dim);
    gzclose(in);

    return status == 0;
}


static void
fill(cli_dataset_t *set, const char *path, const uint32_t *dim,
    const uint8_t *label)
{
    size_t  i, size = strlen(path) + 24;

    set->image = cli_alloc(dim[0], sizeof(cli_image_t));
    set->label = cli_alloc(dim[0], sizeof(size_t));
    set->n = dim[0];

    for (i = 0; i < set->n; i++) {
        set->image[i].name = cli_alloc(size, 1);
        snprintf(set->image[i].name, size, "%s[%zu]", path, i);

        set->image[i].gray = set->pixels + i * dim[1] * dim[2];
        set->image[i].height = (int32_t) dim[1];
        set->image[i].width = (int32_t) dim[2];
        set->label[i] = label != NULL ? label[i] : 0;
    }
}


/* Reads the labels and makes the set of them and set->pixels. */
static int
read_labels(cli_dataset_t *set, const char *path, const char *labels,
    const uint32_t *dim, size_t classes, infer_error_t *err)
{
    int        status = 0;
    size_t     i;
    uint8_t   *label;
    uint32_t   n;

    if (read_idx(labels, 1, &n, &label, err) != 0) {
        free(label);
        return -1;
    }

    if (n != dim[0]) {
        status = cli_fail(err, "%s: %u labels for %u images", labels, n,
                          dim[0]);
    }

    for (i = 0; status == 0 && i < n; i++) {
        if (label[i] >= classes) {
            status = cli_fail(err, "%s: image %zu is of class %u, the model "
                              "has %zu", labels, i, label[i], classes);
        }
    }

    if (status == 0) {
        fill(set, path, dim, label);
    }

    free(label);

    return status;
}


int
cli_idx_open(cli_dataset_t *set, const char *path, size_t classes,
    infer_error_t *err)
{
    int        status;
    char      *labels;
    uint32_t   dim[3];

    if (classes == 0) {
        status = read_idx(path, 3, dim, &set->pixels, err);

        if (status == 0) {
            fill(set, path, dim, NULL);
        }

        return status;
    }

    labels = labels_path(path);
    if (labels == NULL) {
        return cli_fail(err, "%s: without \"" IMAGES "\" in its name there "
                        "is no telling where its labels are", path);
    }

    status = read_idx(path, 3, dim, &set->pixels, err);

    if (status == 0) {
        status = read_labels(set, path, labels, dim, classes, err);
    }

    free(labels);

    return status;
}
