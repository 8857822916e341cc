/*
 * The TorchScript importer.  An input is either an archive, or the texts of
 * one, each behind a line "==== NAME", so that changes reach what is behind
 * checksums and compression: any number of them.  Tensors of any size are of
 * the same memory, but for the smallest.
 */

#include "import/torch/torch.h"
#include "torch.h"
#include "fuzz.h"


#define SEPARATOR  "\n==== "
#define TEXTS      100
#define STORAGES   100                 /* in data/, as many in constants/ */

static unsigned char  storage[64 << 10];
static char           storage_name[2 * STORAGES][16];


/* For the first shape of its inputs, of those of all seeds, that it takes. */
static infer_graph_t *
open_archive(const void *data, size_t size)
{
    infer_error_t   err;
    infer_graph_t  *g = NULL;

    static const infer_input_shape_t  shape[] = {
        { "", 2, { INFER_BATCH, 4 } },
        { "", 2, { INFER_BATCH, 12 } },
        { "", 4, { INFER_BATCH, 1, 28, 28 } },
        { "", 4, { INFER_BATCH, 3, 8, 8 } },
        { "", 4, { INFER_BATCH, 6, 8, 10 } }
    };

    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]) && !g; i++) {
        g = archive_open_as(data, size, &shape[i], &err);
    }

    return g;
}


static int
has_name(const archive_file_t *file, size_t n, const char *name)
{
    while (n > 0 && strcmp(file[n - 1].name, name) != 0) {
        n--;
    }

    return n > 0;
}


/* The archive of such texts; 0: there are none. */
static int
put_together(unsigned char *data, size_t size)
{
    size_t          n = 0, texts;
    unsigned char  *end = data + size, *next, *line;
    archive_file_t  file[TEXTS + 2 * STORAGES];

    for ( ; data < end && n < TEXTS; data = next + sizeof(SEPARATOR) - 1) {
        next = memmem(data, (size_t) (end - data), SEPARATOR,
                      sizeof(SEPARATOR) - 1);
        next = next != NULL ? next : end;
        line = memchr(data, '\n', (size_t) (next - data));

        if (line == NULL) {
            return 0;
        }

        *line++ = '\0';
        file[n].name = (char *) data;
        file[n].data = line;
        file[n++].size = (size_t) (next - line);

        if (next == end) {
            break;
        }
    }

    texts = n;

    for (size_t i = 0; i < 2 * STORAGES && n > 0; i++) {
        if (!has_name(file, texts, storage_name[i])) {
            file[n].name = storage_name[i];
            file[n].data = storage;
            file[n++].size = sizeof(storage);
        }
    }

    archive_make(file, n);

    return n > 0;
}


static int
fuzz_one(unsigned char *data, size_t size)
{
    infer_graph_t  *g;

    if (size > 4 && memcmp(data, "PK\003\004", 4) == 0) {
        g = open_archive(data, size);

    } else if (put_together(data, size)) {
        g = open_archive(archive, archive_size);

    } else {
        return 0;
    }

    infer_graph_close(g);

    return g != NULL;
}


static int
ends_with(const torch_entry_t *e, const char *end)
{
    size_t  len = strlen(end);

    return e->name_len >= len
           && memcmp(e->name + e->name_len - len, end, len) == 0;
}


/* Code, pickles and what may be numbers that a module is made of. */
static int
is_text(const torch_entry_t *e)
{
    return ends_with(e, ".py") || ends_with(e, "data.pkl")
           || ends_with(e, "constants.pkl")
           || (e->size <= 64 && e->name_len > 5
               && memcmp(e->name, "data/", 5) == 0);
}


/* An archive's texts as an input. */
static void
take_apart(const fuzz_input_t *in)
{
    size_t          n = 0;
    torch_zip_t     zip;
    infer_error_t   err;
    const void     *text;
    infer_graph_t  *g = infer_graph_create("seed", &err);

    static unsigned char  all[FUZZ_MAX_SIZE];

    g->map = in->data;
    g->map_size = in->size;

    if (torch_zip_open(g, &zip) != 0) {
        zip.n_entries = 0;
    }

    for (size_t i = 0; i < zip.n_entries; i++) {
        const torch_entry_t  *e = &zip.entry[i];

        if (!is_text(e)
            || (text = torch_zip_text(g, &zip, e)) == NULL
            || n + e->size + e->name_len + sizeof(SEPARATOR) > sizeof(all))
        {
            continue;
        }

        /* the first has no separator in front of it */
        memcpy(all + n, SEPARATOR, n > 0 ? sizeof(SEPARATOR) - 1 : 0);
        n += n > 0 ? sizeof(SEPARATOR) - 1 : 0;
        memcpy(all + n, e->name, e->name_len);
        n += e->name_len;
        all[n++] = '\n';
        memcpy(all + n, text, e->size);
        n += e->size;
    }

    fuzz_add(all, n);
    infer_graph_close(g);
}


static void
fuzz_seed(void)
{
    float   x;
    size_t  n;

    for (size_t i = 0; i < sizeof(storage) / sizeof(x); i++) {
        x = (float) (i % 61) / 61 - 0.4f;
        memcpy(storage + i * sizeof(x), &x, sizeof(x));
    }

    for (int i = 0; i < 2 * STORAGES; i++) {
        snprintf(storage_name[i], sizeof(storage_name[i]), "%s/%d",
                 i < STORAGES ? "data" : "constants", i % STORAGES);
    }

    archive_model(archive_pickle, sizeof(archive_pickle) - 1,
                  archive_constants, sizeof(archive_constants) - 1,
                  archive_code, sizeof(archive_code) - 1);
    fuzz_add(archive, archive_size);

    archive_model(archive_quantized_pickle,
                  sizeof(archive_quantized_pickle) - 1, archive_constants,
                  sizeof(archive_constants) - 1, archive_quantized_code,
                  sizeof(archive_quantized_code) - 1);
    fuzz_add(archive, archive_size);

    n = fuzz_files;

    for (size_t i = 0; i < n; i++) {
        take_apart(&fuzz_file[i]);
    }
}
