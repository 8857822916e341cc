/*
 * The TorchScript importer.  An input is either an archive, or the three texts
 * of one, pickle, constants and code, with a line of "====" between, so that
 * changes reach what is behind the checksums.
 */

#include "torch.h"
#include "fuzz.h"


static const char  separator[] = "\n====\n";


static int
fuzz_one(unsigned char *data, size_t size)
{
    infer_error_t   err;
    infer_graph_t  *g;
    unsigned char  *part[3], *end = data + size;
    size_t          n = sizeof(separator) - 1, len[3] = { 0 };

    if (size > 4 && memcmp(data, "PK\003\004", 4) == 0) {
        g = archive_open(data, size, &err);

    } else {
        part[0] = data;

        for (int i = 0; i < 2; i++) {
            part[i + 1] = memmem(part[i], (size_t) (end - part[i]), separator,
                                 n);
            if (part[i + 1] == NULL) {
                return 0;
            }

            len[i] = (size_t) (part[i + 1] - part[i]);
            part[i + 1] += n;
        }

        archive_model(part[0], len[0], part[1], len[1], part[2],
                      (size_t) (end - part[2]));
        g = archive_open(archive, archive_size, &err);
    }

    infer_graph_close(g);

    return g != NULL;
}


/* The three texts, and the archive of them. */
static void
add_texts(const char *pickle, size_t pickle_size, const char *code,
    size_t code_size)
{
    size_t         n = 0;
    unsigned char  seed[8192];

    const struct {
        const char  *text;
        size_t       size;
    } part[] = {
        { pickle, pickle_size },
        { separator, sizeof(separator) - 1 },
        { archive_constants, sizeof(archive_constants) - 1 },
        { separator, sizeof(separator) - 1 },
        { code, code_size }
    };

    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        memcpy(seed + n, part[i].text, part[i].size);
        n += part[i].size;
    }

    fuzz_add(seed, n);

    archive_model(pickle, pickle_size, archive_constants,
                  sizeof(archive_constants) - 1, code, code_size);
    fuzz_add(archive, archive_size);
}


static void
fuzz_seed(void)
{
    add_texts(archive_pickle, sizeof(archive_pickle) - 1, archive_code,
              sizeof(archive_code) - 1);
    add_texts(archive_quantized_pickle, sizeof(archive_quantized_pickle) - 1,
              archive_quantized_code, sizeof(archive_quantized_code) - 1);
}
