/*
 * PNG of all color types, depths and both row orders, row by row from zlib to
 * the pixels, so that memory is that of the image whatever the data expands
 * to.  Ancillary chunks are ignored, alpha is dropped, samples of 16 bits give
 * their high byte; but gray of 16 bits is clipped at 255, which is what
 * convert("RGB") and convert("L") do in Pillow up to 9.4 at least.
 */

#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>


#define PNG_GRAY        0
#define PNG_RGB         2
#define PNG_PALETTE     3
#define PNG_GRAY_ALPHA  4
#define PNG_RGB_ALPHA   6

#define png_tag(a, b, c, d)                                                   \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (d))

#define PNG_IHDR  png_tag('I', 'H', 'D', 'R')
#define PNG_PLTE  png_tag('P', 'L', 'T', 'E')
#define PNG_IDAT  png_tag('I', 'D', 'A', 'T')
#define PNG_IEND  png_tag('I', 'E', 'N', 'D')
#define PNG_EXIF  png_tag('e', 'X', 'I', 'f')

typedef struct {
    int              color;        /* color type and bits of a sample */
    int              depth;
    int              interlaced;
    int              samples;      /* of a pixel */
    int              colors;       /* entries of the palette */
    const uint8_t   *idat;         /* the first IDAT chunk */
    infer_palette_t  palette;
    z_stream         z;
    size_t           idat_left;    /* bytes of the IDAT chunk at next_in that
                                      are not in avail_in yet */
    uint8_t         *row;          /* filter byte and bytes of a row */
    uint8_t         *prior;        /* the row above, the same way */
} infer_png_t;


static infer_image_status_t
png_header(infer_image_source_t *src, infer_png_t *png, const uint8_t *data,
    size_t length, infer_image_t *img)
{
    int  ok;

    static const uint8_t  samples[] = { 1, 0, 3, 1, 2, 0, 4 };

    if (length != 13 || data[9] > 6 || samples[data[9]] == 0 || data[10] != 0
        || data[11] != 0 || data[12] > 1)
    {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: bad header");
    }

    png->depth = data[8];
    png->color = data[9];
    png->interlaced = data[12];
    png->samples = samples[png->color];

    switch (png->depth) {
    case 1: case 2: case 4:
        ok = png->color == PNG_GRAY || png->color == PNG_PALETTE;
        break;
    case 8:
        ok = 1;
        break;
    case 16:
        ok = png->color != PNG_PALETTE;
        break;
    default:
        ok = 0;
    }

    if (!ok) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: color type %d with %d bits",
                                png->color, png->depth);
    }

    return infer_image_size(src, infer_be32(data), infer_be32(data + 4), img);
}


static void
png_palette(infer_png_t *png, const uint8_t *data, size_t length)
{
    png->colors = length / 3 > 256 ? 256 : (int) (length / 3);
    memcpy(png->palette, data, 3 * (size_t) png->colors);
}


/* Takes what matters from a chunk whose checksum is right. */
static infer_image_status_t
png_chunk(infer_image_source_t *src, infer_png_t *png, const uint8_t *chunk,
    infer_image_t *img)
{
    size_t          length;
    uint32_t        tag;
    const uint8_t  *data;

    length = infer_be32(chunk);
    tag = infer_be32(chunk + 4);
    data = chunk + 8;

    if ((tag == PNG_IHDR) == (png->samples != 0)) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: the header is not the first "
                                "chunk, or not the only one");
    }

    switch (tag) {

    case PNG_IHDR:
        return png_header(src, png, data, length, img);

    case PNG_PLTE:
        png_palette(png, data, length);
        break;

    case PNG_EXIF:
        src->orientation = infer_exif_orientation(data, length);
        break;

    case PNG_IDAT:
        if (png->idat == NULL) {
            png->idat = chunk;
        }
    }

    return INFER_IMAGE_OK;
}


/* Walks all chunks, checks their sums and finds the tables. */
static infer_image_status_t
png_open(infer_image_source_t *src, infer_png_t *png, infer_image_t *img)
{
    size_t                 pos, length;
    uint32_t               tag;
    const uint8_t         *chunk;
    infer_image_status_t   status;

    memset(png, 0, sizeof(*png));
    infer_palette_init(png->palette);

    pos = 8;

    do {
        chunk = src->data + pos;

        if (src->size - pos < 12
            || src->size - pos - 12 < infer_be32(chunk))
        {
            return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                    "corrupt PNG: truncated");
        }

        length = infer_be32(chunk);
        tag = infer_be32(chunk + 4);

        if (crc32_z(0, chunk + 4, length + 4)
            != infer_be32(chunk + 8 + length))
        {
            return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                    "corrupt PNG: bad checksum of a chunk");
        }

        status = png_chunk(src, png, chunk, img);
        if (status != INFER_IMAGE_OK) {
            return status;
        }

        pos += length + 12;

    } while (tag != PNG_IEND);

    if (png->idat == NULL) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: no pixels");
    }

    if (png->color == PNG_PALETTE && png->colors == 0) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: no palette");
    }

    return INFER_IMAGE_OK;
}


/*
 * Makes the next bytes of the pixel data available to zlib: -1 where there
 * are no more.  png_open has checked that the chunks lie within the file.
 */
static int
png_refill(infer_png_t *png)
{
    size_t          n;
    const uint8_t  *chunk;

    if (png->idat_left == 0) {
        chunk = png->idat;

        if (infer_be32(chunk + 4) != PNG_IDAT) {
            return -1;
        }

        png->idat_left = infer_be32(chunk);
        png->idat = chunk + 12 + png->idat_left;
        png->z.next_in = (uint8_t *) chunk + 8;
    }

    n = png->idat_left < UINT32_MAX ? png->idat_left : UINT32_MAX;
    png->z.avail_in = (uInt) n;
    png->idat_left -= n;

    return 0;
}


/* Unpacks n bytes; 0 or -1 where the data ends early or is wrong. */
static int
png_inflate(infer_png_t *png, uint8_t *dst, size_t n)
{
    int  rc;

    png->z.next_out = dst;
    png->z.avail_out = (uInt) n;

    while (png->z.avail_out > 0) {

        while (png->z.avail_in == 0) {
            if (png_refill(png) != 0) {
                return -1;
            }
        }

        rc = inflate(&png->z, Z_NO_FLUSH);

        if (rc != Z_OK && (rc != Z_STREAM_END || png->z.avail_out > 0)) {
            return -1;
        }
    }

    return 0;
}


static uint8_t
png_paeth(int left, int up, int corner)
{
    int  dl, du, dc;

    dl = abs(up - corner);
    du = abs(left - corner);
    dc = abs(left + up - 2 * corner);

    return (uint8_t) (dl <= du && dl <= dc ? left : du <= dc ? up : corner);
}


/*
 * Undoes the filter of a row of n bytes; pixel: bytes between a sample and the
 * same one of the pixel to the left (at least 1).  -1: no such filter.
 */
static int
png_unfilter(int filter, uint8_t *row, const uint8_t *prior, size_t n,
    size_t pixel)
{
    size_t  i;

    switch (filter) {

    case 0:
        return 0;

    case 1:
        for (i = pixel; i < n; i++) {
            row[i] += row[i - pixel];
        }

        return 0;

    case 2:
        for (i = 0; i < n; i++) {
            row[i] += prior[i];
        }

        return 0;

    case 3:
        for (i = 0; i < pixel && i < n; i++) {
            row[i] += prior[i] >> 1;
        }

        for ( /* void */ ; i < n; i++) {
            row[i] += (row[i - pixel] + prior[i]) >> 1;
        }

        return 0;

    case 4:
        for (i = 0; i < pixel && i < n; i++) {
            row[i] += prior[i];
        }

        for ( /* void */ ; i < n; i++) {
            row[i] += png_paeth(row[i - pixel], prior[i], prior[i - pixel]);
        }

        return 0;

    default:
        return -1;
    }
}


/* Samples of less than 8 bits: gray is scaled to 0..255. */
static void
png_put_packed(const infer_png_t *png, const uint8_t *row, int32_t width,
    uint8_t *dst, size_t step)
{
    unsigned  bit, max, value;

    max = (1u << png->depth) - 1;
    bit = 8;

    for (int32_t x = 0; x < width; x++, dst += step) {

        if (bit == 0) {
            bit = 8;
            row++;
        }

        bit -= png->depth;
        value = (*row >> bit) & max;

        if (png->color == PNG_PALETTE) {
            memcpy(dst, png->palette[value], 3);

        } else {
            *dst = (uint8_t) (value * (255 / max));
        }
    }
}


/*
 * Writes a row of width pixels; step: bytes from a pixel to the next in dst.
 */
static void
png_put(const infer_png_t *png, const uint8_t *row, int32_t width,
    uint8_t *dst, size_t step)
{
    int      bytes, pixel;
    int32_t  x;

    if (png->depth < 8) {
        png_put_packed(png, row, width, dst, step);
        return;
    }

    bytes = png->depth / 8;
    pixel = png->samples * bytes;

    switch (png->color) {

    case PNG_GRAY:
        for (x = 0; x < width; x++, row += pixel, dst += step) {
            *dst = (bytes == 2 && row[0] != 0) ? 255 : row[bytes - 1];
        }

        break;

    case PNG_GRAY_ALPHA:
        for (x = 0; x < width; x++, row += pixel, dst += step) {
            *dst = row[0];
        }

        break;

    case PNG_PALETTE:
        for (x = 0; x < width; x++, dst += step) {
            memcpy(dst, png->palette[row[x]], 3);
        }

        break;

    default:
        for (x = 0; x < width; x++, row += pixel, dst += step) {
            dst[0] = row[0];
            dst[1] = row[bytes];
            dst[2] = row[2 * bytes];
        }
    }
}


/*
 * One pass: the pixels at every dx-th column from x0 and every dy-th row from
 * y0.  Only the first row of a pass has zeros above it.
 */
static int
png_pass(infer_png_t *png, infer_image_t *img, int x0, int y0, int dx, int dy)
{
    size_t    bits, n, pixel, step;
    int32_t   width;
    int64_t   y;
    uint8_t  *dst, *row;

    width = (int32_t) (((int64_t) img->width - x0 + dx - 1) / dx);

    if (img->width <= x0 || img->height <= y0) {
        return 0;
    }

    bits = (size_t) png->samples * png->depth;
    pixel = (bits + 7) / 8;
    n = (width * bits + 7) / 8;
    step = (size_t) dx * img->channels;

    memset(png->prior, 0, n + 1);

    for (y = y0; y < img->height; y += dy) {
        row = png->row;

        if (png_inflate(png, row, n + 1) != 0
            || png_unfilter(row[0], row + 1, png->prior + 1, n, pixel) != 0)
        {
            return -1;
        }

        dst = img->pixels + ((size_t) y * img->width + x0) * img->channels;
        png_put(png, row + 1, width, dst, step);

        png->row = png->prior;
        png->prior = row;
    }

    return 0;
}


static int
png_passes(infer_png_t *png, infer_image_t *img)
{
    static const uint8_t  adam7[7][4] = {
        { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
        { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 },
    };

    if (!png->interlaced) {
        return png_pass(png, img, 0, 0, 1, 1);
    }

    for (int i = 0; i < 7; i++) {
        if (png_pass(png, img, adam7[i][0], adam7[i][1], adam7[i][2],
                     adam7[i][3])
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


infer_image_status_t
infer_png_decode(infer_image_source_t *src, infer_image_t *img)
{
    int                    rc;
    size_t                 n;
    uint8_t               *rows;
    infer_png_t            png;
    infer_image_status_t   status;

    status = png_open(src, &png, img);

    if (status == INFER_IMAGE_OK) {
        status = infer_image_alloc(src, (png.color == PNG_GRAY
                                         || png.color == PNG_GRAY_ALPHA)
                                        ? 1 : 3, img);
    }

    if (status != INFER_IMAGE_OK) {
        return status;
    }

    n = ((size_t) img->width * png.samples * png.depth + 7) / 8 + 1;
    rows = (n > UINT32_MAX) ? NULL : malloc(2 * n);

    if (rows == NULL || inflateInit(&png.z) != Z_OK) {
        free(rows);
        return infer_image_fail(src, INFER_IMAGE_NO_MEMORY,
                                "no memory to decode a PNG");
    }

    png.row = rows;
    png.prior = rows + n;

    rc = png_passes(&png, img);

    inflateEnd(&png.z);
    free(rows);

    if (rc != 0) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt PNG: bad or truncated pixel data");
    }

    return INFER_IMAGE_OK;
}
