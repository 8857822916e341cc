/*
 * Labelled images, from folders or a table.  (idx.c reads MNIST's format.)
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/dataset.h"
#include "cli/idx.h"
#include "cli/strings.h"


#define MAX_COLUMNS  64

/* Folders in folders: links may go in circles. */
#define MAX_DEPTH    8


/* The names of classes, and what to say of one that is unknown. */
typedef struct {
    const cli_labels_t  *labels;
    size_t               classes;
} classes_t;


static void
add(cli_dataset_t *set, size_t *space, char *name, size_t label)
{
    if (set->n == *space) {
        *space = *space ? 2 * *space : 256;
        set->image = realloc(set->image, *space * sizeof(cli_image_t));
        set->label = realloc(set->label, *space * sizeof(size_t));

        if (set->image == NULL || set->label == NULL) {
            exit(cli_error("out of memory"));
        }
    }

    memset(&set->image[set->n], 0, sizeof(cli_image_t));
    set->image[set->n].name = name;
    set->label[set->n++] = label;
}


static int
is_number(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}


/* The class that a number or a label names; -1 if none. */
static int
class_of(const classes_t *classes, const char *name, size_t *class_id)
{
    size_t    i;
    uint64_t  number;

    if (classes->classes > 0
        && cli_number(name, classes->classes - 1, &number) == 0)
    {
        *class_id = number;
        return 0;
    }

    for (i = 0; i < classes->labels->n; i++) {
        if (strcmp(classes->labels->name[i], name) == 0) {
            *class_id = i;
            return 0;
        }
    }

    return -1;
}


/* ---- labels.csv ------------------------------------------------------- */

/*
 * Cuts the row at *p into fields, quotes as in RFC 4180, and moves *p behind
 * it.  Returns the number of fields, or -1: a quote is not closed, or there
 * are too many.
 */
static int
csv_row(char **p, char **field)
{
    int    n = 0;
    char  *src = *p, *dst, end;

    for ( ;; ) {
        if (n == MAX_COLUMNS) {
            return -1;
        }

        field[n++] = dst = src;

        if (*src == '"') {
            for (src++; *src != '"' || *++src == '"'; *dst++ = *src++) {
                if (*src == '\0') {
                    return -1;
                }
            }
        }

        while (*src && *src != ',' && *src != '\n'
               && !(*src == '\r' && src[1] == '\n'))
        {
            *dst++ = *src++;
        }

        src += *src == '\r';
        end = *src;
        src += end != '\0';
        *dst = '\0';

        if (end != ',') {
            *p = src;
            return n;
        }
    }
}


static int
csv_header(const char *path, char **p, int *file, int *label,
    infer_error_t *err)
{
    int    i, n;
    char  *field[MAX_COLUMNS];

    *file = -1;
    *label = -1;

    /* the byte order mark of some spreadsheets */
    *p += strncmp(*p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    n = csv_row(p, field);

    for (i = 0; i < n; i++) {
        if (strcmp(field[i], "file") == 0 && *file < 0) {
            *file = i;
        } else if (strcmp(field[i], "label") == 0 && *label < 0) {
            *label = i;
        }
    }

    if (*file < 0 || *label < 0) {
        return cli_fail(err, "%s: the first line must name the columns file "
                        "and label", path);
    }

    return 0;
}


static int
csv_rows(cli_dataset_t *set, const char *path, const char *dir, char *p,
    const classes_t *classes, infer_error_t *err)
{
    int      n, file, label;
    char    *field[MAX_COLUMNS], *name;
    size_t   line, class_id, space = 0;

    if (csv_header(path, &p, &file, &label, err) != 0) {
        return -1;
    }

    for (line = 2; *p; line++) {

        n = csv_row(&p, field);

        if (n == 1 && *field[0] == '\0') {
            continue;
        }

        if (n <= file || n <= label || *field[file] == '\0') {
            return cli_fail(err, "%s:%zu: no file and label on this line",
                            path, line);
        }

        if (class_of(classes, field[label], &class_id) != 0) {
            return cli_fail(err, "%s:%zu: \"%.100s\" is no class from 0 to "
                            "%zu%s", path, line, field[label],
                            classes->classes - 1,
                            classes->labels->n ? " and no label of the model"
                            : ", and the model has no labels (see --labels)");
        }

        name = *field[file] == '/' ? cli_strdup(field[file])
                                   : cli_path(dir, field[file]);
        add(set, &space, name, class_id);
    }

    return 0;
}


static int
open_csv(cli_dataset_t *set, const char *path, const classes_t *classes,
    infer_error_t *err)
{
    int     status;
    char   *text, *dir, *slash;
    size_t  size;

    if (cli_read_file(path, &text, &size, err) != 0) {
        return -1;
    }

    dir = cli_strdup(path);
    slash = strrchr(dir, '/');
    dir[slash ? slash - dir + 1 : 0] = '\0';

    status = strlen(text) < size
             ? cli_fail(err, "%s: not a text file, nor images of MNIST's "
                        "format", path)
             : csv_rows(set, path, dir, text, classes, err);

    free(dir);
    free(text);

    return status;
}


/* ---- folders ---------------------------------------------------------- */

static int
is_image(const char *name)
{
    size_t              i;
    const char         *dot = strrchr(name, '.');
    static const char  *suffix[] = { ".jpg", ".jpeg", ".png", ".gif",
                                     ".bmp" };

    for (i = 0; dot && i < sizeof(suffix) / sizeof(*suffix); i++) {
        if (strcasecmp(dot, suffix[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


/*
 * Which class each folder holds.  A folder that is neither number nor label
 * where others are is a mistake; where none is, they stand for the classes in
 * their order, but only if there are as many.
 */
static int
folder_classes(const char *dir, const cli_strings_t *folders,
    const classes_t *classes, size_t *class_id, infer_error_t *err)
{
    size_t       i, known = 0, numbers = 0;
    const char  *odd = NULL;

    for (i = 0; i < folders->n; i++) {
        numbers += is_number(folders->item[i]);

        if (class_of(classes, folders->item[i], &class_id[i]) == 0) {
            known++;
        } else {
            odd = folders->item[i];
        }
    }

    if (odd == NULL) {
        return 0;
    }

    if (known > 0 || numbers > 0) {
        return cli_fail(err, "%s: the folder \"%.100s\" is no class from 0 "
                        "to %zu and no label of the model", dir, odd,
                        classes->classes - 1);
    }

    if (folders->n != classes->classes) {
        return cli_fail(err, "%s: %zu folders for %zu classes: name them by "
                        "class number or by label (see --labels)", dir,
                        folders->n, classes->classes);
    }

    for (i = 0; i < folders->n; i++) {
        class_id[i] = i;
    }

    return 0;
}


/* Adds the images of one folder. */
static int
open_folder(cli_dataset_t *set, size_t *space, const char *dir,
    size_t class_id, infer_error_t *err)
{
    int            status;
    size_t         i;
    cli_strings_t  files;

    status = cli_list_folder(dir, CLI_FILES, &files, err);

    for (i = 0; i < files.n; i++) {
        if (is_image(files.item[i])) {
            add(set, space, cli_path(dir, files.item[i]), class_id);
        }
    }

    cli_strings_free(&files);

    return status;
}


static int
open_folders(cli_dataset_t *set, const char *dir, const classes_t *classes,
    infer_error_t *err)
{
    int             status;
    char           *path;
    size_t          i, *class_id, space = 0;
    cli_strings_t   folders;

    if (cli_list_folder(dir, CLI_FOLDERS, &folders, err) != 0) {
        return -1;
    }

    class_id = cli_alloc(folders.n, sizeof(size_t));

    status = folders.n == 0
             ? cli_fail(err, "%s: neither labels.csv nor folders of images "
                        "in it", dir)
             : folder_classes(dir, &folders, classes, class_id, err);

    for (i = 0; status == 0 && i < folders.n; i++) {
        path = cli_path(dir, folders.item[i]);
        status = open_folder(set, &space, path, class_id[i], err);
        free(path);
    }

    free(class_id);
    cli_strings_free(&folders);

    return status;
}


/* ---- all of them ------------------------------------------------------ */

int
cli_dataset_open(cli_dataset_t *set, const char *path,
    const cli_labels_t *labels, size_t classes, infer_error_t *err)
{
    int          status;
    char        *csv;
    classes_t    known = { labels, classes };
    struct stat  st;

    memset(set, 0, sizeof(*set));

    if (stat(path, &st) != 0) {
        return cli_fail(err, "%s: %s", path, strerror(errno));
    }

    if (!S_ISDIR(st.st_mode)) {
        status = cli_is_idx(path)
                 ? cli_idx_open(set, path, classes, err)
                 : open_csv(set, path, &known, err);

    } else {
        csv = cli_path(path, "labels.csv");
        status = stat(csv, &st) == 0
                 ? open_csv(set, csv, &known, err)
                 : open_folders(set, path, &known, err);
        free(csv);
    }

    if (status == 0 && set->n == 0) {
        status = cli_fail(err, "%s: no images", path);
    }

    if (status != 0) {
        cli_dataset_free(set);
    }

    return status;
}


/* ---- without classes -------------------------------------------------- */

typedef struct {
    uint64_t     hash;
    cli_image_t  image;
} hashed_t;


static int
open_tree(cli_dataset_t *set, size_t *space, const char *dir, int depth,
    infer_error_t *err)
{
    int             status;
    char           *path;
    size_t          i;
    cli_strings_t   folders;

    if (depth == MAX_DEPTH) {
        return cli_fail(err, "%.400s: folders are too deep", dir);
    }

    if (open_folder(set, space, dir, 0, err) != 0) {
        return -1;
    }

    status = cli_list_folder(dir, CLI_FOLDERS, &folders, err);

    for (i = 0; status == 0 && i < folders.n; i++) {
        path = cli_path(dir, folders.item[i]);
        status = open_tree(set, space, path, depth + 1, err);
        free(path);
    }

    cli_strings_free(&folders);

    return status;
}


/* FNV-1a */
static uint64_t
hash(const void *data, size_t size)
{
    uint64_t              h = 0xcbf29ce484222325u;
    const unsigned char  *p = data;

    while (size-- > 0) {
        h = (h ^ *p++) * 0x100000001b3u;
    }

    return h;
}


static int
by_hash(const void *a, const void *b)
{
    const hashed_t  *x = a, *y = b;

    return (x->hash > y->hash) - (x->hash < y->hash);
}


/* Two images of one hash are taken for one and the same. */
static int
sort_by_content(cli_dataset_t *set, infer_error_t *err)
{
    char         *data;
    size_t        i, size;
    hashed_t     *h = cli_alloc(set->n, sizeof(hashed_t));
    cli_image_t  *image;

    for (i = 0; i < set->n; i++) {
        image = &set->image[i];
        h[i].image = *image;

        if (image->gray != NULL) {
            h[i].hash = hash(image->gray, (size_t) image->width
                                          * (size_t) image->height);
            continue;
        }

        if (cli_read_file(image->name, &data, &size, err) != 0) {
            free(h);
            return -1;
        }

        h[i].hash = hash(data, size);
        free(data);
    }

    qsort(h, set->n, sizeof(hashed_t), by_hash);

    for (i = 0; i < set->n; i++) {
        set->image[i] = h[i].image;
    }

    free(h);

    return 0;
}


int
cli_dataset_images(cli_dataset_t *set, const char *path, infer_error_t *err)
{
    int          status;
    size_t       space = 0;
    struct stat  st;

    memset(set, 0, sizeof(*set));

    if (stat(path, &st) != 0) {
        return cli_fail(err, "%s: %s", path, strerror(errno));
    }

    status = S_ISDIR(st.st_mode) ? open_tree(set, &space, path, 0, err)
             : cli_is_idx(path)  ? cli_idx_open(set, path, 0, err)
             : cli_fail(err, "%.400s: neither a folder nor images of MNIST's "
                        "format", path);

    if (status == 0 && set->n == 0) {
        status = cli_fail(err, "%.400s: no images", path);
    }

    if (status != 0 || sort_by_content(set, err) != 0) {
        cli_dataset_free(set);
        return -1;
    }

    return 0;
}


void
cli_dataset_free(cli_dataset_t *set)
{
    size_t  i;

    for (i = 0; i < set->n; i++) {
        free(set->image[i].name);
    }

    free(set->image);
    free(set->label);
    free(set->pixels);
    memset(set, 0, sizeof(*set));
}
