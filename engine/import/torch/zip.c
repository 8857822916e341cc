/*
 * The archive: a zip file whose tensors are stored as they are and whose text
 * is deflated.  Sizes are only taken from the central directory: local headers
 * may leave them open.
 *
 * Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (zip64).
 */

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "import/torch/torch.h"


/* sizes of records without their names, and their signatures */
#define END_SIZE       22
#define END64_SIZE     56
#define LOCATOR_SIZE   20
#define CENTRAL_SIZE   46
#define LOCAL_SIZE     30

#define END_MAGIC      0x06054b50
#define END64_MAGIC    0x06064b50
#define LOCATOR_MAGIC  0x07064b50
#define CENTRAL_MAGIC  0x02014b50
#define LOCAL_MAGIC    0x04034b50

#define MAX_COMMENT    65535
#define ZIP64_FIELD    1


/* The central directory. */
typedef struct {
    uint64_t  offset;
    uint64_t  size;
    uint64_t  n;
} directory_t;


static int find_directory(infer_graph_t *g, const torch_zip_t *zip,
    directory_t *dir);
static const unsigned char *find_end(const torch_zip_t *zip);
static size_t read_entry(const torch_zip_t *zip, const unsigned char *p,
    size_t left, torch_entry_t *e);
static int read_zip64(const unsigned char *p, size_t len, torch_entry_t *e);
static int check_root(infer_graph_t *g, torch_zip_t *zip);
static int compare(const void *a, const void *b);
static int entry_fail(infer_graph_t *g, const torch_entry_t *e,
    const char *why);
static const unsigned char *entry_data(infer_graph_t *g,
    const torch_zip_t *zip, const torch_entry_t *e);
static int inflate_entry(const unsigned char *src, const torch_entry_t *e,
    unsigned char *dst);


static uint32_t
u16(const unsigned char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8;
}


static uint32_t
u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}


static uint64_t
u64(const unsigned char *p)
{
    return (uint64_t) u32(p) | (uint64_t) u32(p + 4) << 32;
}


int
torch_zip_open(infer_graph_t *g, torch_zip_t *zip)
{
    size_t       len, left;
    directory_t  dir = { 0 };

    memset(zip, 0, sizeof(*zip));

    zip->map = g->map;
    zip->size = g->map_size;

    if (find_directory(g, zip, &dir) != 0) {
        return -1;
    }

    if (dir.n > dir.size / CENTRAL_SIZE) {
        return infer_graph_fail(g, "the archive's directory is damaged");
    }

    zip->entry = infer_graph_alloc(g, (size_t) (dir.n + 1)
                                      * sizeof(torch_entry_t));
    if (zip->entry == NULL) {
        return -1;
    }

    left = (size_t) dir.size;

    for (size_t i = 0; i < dir.n; i++) {
        len = read_entry(zip, zip->map + dir.offset + dir.size - left, left,
                         &zip->entry[i]);

        if (len == 0) {
            return infer_graph_fail(g, "the archive's directory is damaged");
        }

        left -= len;
        zip->n_entries++;
    }

    if (check_root(g, zip) != 0) {
        return -1;
    }

    qsort(zip->entry, zip->n_entries, sizeof(torch_entry_t), compare);

    return 0;
}


static int
find_directory(infer_graph_t *g, const torch_zip_t *zip, directory_t *dir)
{
    uint64_t              at;
    const unsigned char  *end, *end64;

    end = find_end(zip);

    if (end == NULL) {
        return infer_graph_fail(g, "the archive is truncated: it has no "
                                "directory");
    }

    dir->n = u16(end + 10);
    dir->size = u32(end + 12);
    dir->offset = u32(end + 16);

    if (end - zip->map >= LOCATOR_SIZE
        && u32(end - LOCATOR_SIZE) == LOCATOR_MAGIC)
    {
        at = u64(end - LOCATOR_SIZE + 8);

        if (at > zip->size || zip->size - at < END64_SIZE
            || u32(zip->map + at) != END64_MAGIC)
        {
            return infer_graph_fail(g, "the archive's directory is damaged");
        }

        end64 = zip->map + at;
        dir->n = u64(end64 + 32);
        dir->size = u64(end64 + 40);
        dir->offset = u64(end64 + 48);
    }

    if (dir->offset > zip->size || dir->size > zip->size - dir->offset) {
        return infer_graph_fail(g, "the archive's directory lies outside of "
                                "the file");
    }

    return 0;
}


static const unsigned char *
find_end(const torch_zip_t *zip)
{
    size_t                furthest;
    const unsigned char  *p;

    if (zip->size < END_SIZE) {
        return NULL;
    }

    furthest = zip->size - END_SIZE;
    furthest = furthest < MAX_COMMENT ? furthest : MAX_COMMENT;

    for (size_t i = 0; i <= furthest; i++) {
        p = zip->map + zip->size - END_SIZE - i;

        if (u32(p) == END_MAGIC && u16(p + 20) == i) {
            return p;
        }
    }

    return NULL;
}


/* Its length in the directory; 0: it is damaged. */
static size_t
read_entry(const torch_zip_t *zip, const unsigned char *p, size_t left,
    torch_entry_t *e)
{
    size_t  name, extra, len;

    if (left < CENTRAL_SIZE || u32(p) != CENTRAL_MAGIC) {
        return 0;
    }

    name = u16(p + 28);
    extra = u16(p + 30);
    len = CENTRAL_SIZE + name + extra + u16(p + 32);

    /* neither encrypted, nor in pieces; stored or deflated */
    if (left < len || (u16(p + 8) & 1) || u16(p + 34) != 0
        || (u16(p + 10) != 0 && u16(p + 10) != 8))
    {
        return 0;
    }

    e->deflated = u16(p + 10) == 8;
    e->crc = u32(p + 16);
    e->packed = u32(p + 20);
    e->size = u32(p + 24);
    e->header = u32(p + 42);
    e->name = (const char *) p + CENTRAL_SIZE;
    e->name_len = name;

    if (read_zip64(p + CENTRAL_SIZE + name, extra, e) != 0
        || e->header > zip->size || zip->size - e->header < LOCAL_SIZE
        || e->packed > zip->size || (!e->deflated && e->packed != e->size))
    {
        return 0;
    }

    return len;
}


/* Numbers that do not fit 32 bits stand in an extra field, in this order. */
static int
read_zip64(const unsigned char *p, size_t len, torch_entry_t *e)
{
    size_t     field, at;
    uint64_t  *wide[3] = { &e->size, &e->packed, &e->header };

    for ( ; len >= 4; p += 4 + field, len -= 4 + field) {
        field = u16(p + 2);

        if (field > len - 4) {
            return -1;
        }

        if (u16(p) != ZIP64_FIELD) {
            continue;
        }

        at = 0;

        for (int i = 0; i < 3; i++) {
            if (*wide[i] == UINT32_MAX) {
                if (field - at < 8) {
                    return -1;
                }

                *wide[i] = u64(p + 4 + at);
                at += 8;
            }
        }

        return 0;
    }

    return 0;
}


/* All lies in one folder, whose name says nothing. */
static int
check_root(infer_graph_t *g, torch_zip_t *zip)
{
    size_t          root;
    const char     *slash;
    torch_entry_t  *e;

    if (zip->n_entries == 0) {
        return infer_graph_fail(g, "the archive is empty");
    }

    e = &zip->entry[0];
    slash = memchr(e->name, '/', e->name_len);
    root = slash != NULL ? (size_t) (slash - e->name) + 1 : 0;

    for (size_t i = 0; i < zip->n_entries; i++) {
        e = &zip->entry[i];

        if (e->name_len < root
            || memcmp(e->name, zip->entry[0].name, root) != 0)
        {
            return infer_graph_fail(g, "is a zip archive, but not one that "
                                    "torch.jit.save wrote");
        }
    }

    for (size_t i = zip->n_entries; i-- > 0; ) {
        zip->entry[i].name += root;
        zip->entry[i].name_len -= root;
    }

    return 0;
}


static int
compare(const void *a, const void *b)
{
    int                   order;
    const torch_entry_t  *x = a, *y = b;

    order = memcmp(x->name, y->name, x->name_len < y->name_len
                                     ? x->name_len : y->name_len);
    if (order != 0) {
        return order;
    }

    return (x->name_len > y->name_len) - (x->name_len < y->name_len);
}


const torch_entry_t *
torch_zip_find(const torch_zip_t *zip, const char *name)
{
    torch_entry_t  key = { .name = name, .name_len = strlen(name) };

    return bsearch(&key, zip->entry, zip->n_entries, sizeof(key), compare);
}


static int
entry_fail(infer_graph_t *g, const torch_entry_t *e, const char *why)
{
    return infer_graph_fail(g, "%.*s: %s", (int) e->name_len, e->name, why);
}


static const unsigned char *
entry_data(infer_graph_t *g, const torch_zip_t *zip, const torch_entry_t *e)
{
    uint64_t              at;
    const unsigned char  *p;

    p = zip->map + e->header;
    at = e->header + LOCAL_SIZE + u16(p + 26) + u16(p + 28);

    if (u32(p) != LOCAL_MAGIC || at > zip->size || zip->size - at < e->packed)
    {
        entry_fail(g, e, "lies outside of the archive");
        return NULL;
    }

    return zip->map + at;
}


const void *
torch_zip_stored(infer_graph_t *g, const torch_zip_t *zip,
    const torch_entry_t *entry)
{
    if (entry->deflated) {
        entry_fail(g, entry, "is compressed: a tensor must be stored");
        return NULL;
    }

    return entry_data(g, zip, entry);
}


const void *
torch_zip_text(infer_graph_t *g, torch_zip_t *zip, const torch_entry_t *e)
{
    unsigned char        *text;
    const unsigned char  *p;

    p = entry_data(g, zip, e);
    if (p == NULL) {
        return NULL;
    }

    if (e->size > TORCH_MAX_TEXT - zip->text) {
        entry_fail(g, e, "the archive has too much code");
        return NULL;
    }

    zip->text += (size_t) e->size;

    if (e->deflated) {
        text = infer_graph_alloc(g, (size_t) e->size + 1);
        if (text == NULL) {
            return NULL;
        }

        if (inflate_entry(p, e, text) != 0) {
            entry_fail(g, e, "the compressed data is damaged");
            return NULL;
        }

        p = text;
    }

    if (crc32(0, p, (uInt) e->size) != e->crc) {
        entry_fail(g, e, "the checksum is wrong");
        return NULL;
    }

    return p;
}


static int
inflate_entry(const unsigned char *src, const torch_entry_t *e,
    unsigned char *dst)
{
    int       rc;
    z_stream  z;

    if (e->packed > UINT32_MAX) {
        return -1;
    }

    memset(&z, 0, sizeof(z));

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
        return -1;
    }

    z.next_in = (Bytef *) src;
    z.avail_in = (uInt) e->packed;
    z.next_out = dst;
    z.avail_out = (uInt) e->size;

    /* an empty file still needs room for inflate to see its end */
    rc = inflate(&z, Z_FINISH);
    rc = rc == Z_STREAM_END && z.avail_out == 0 ? 0 : -1;

    inflateEnd(&z);

    return rc;
}
