/*
 * The orientation that cameras write into EXIF data, and the turn that undoes
 * it.  EXIF is a TIFF file: byte order, then a directory of tagged values; the
 * one that matters is tag 0x0112 of the first directory.
 */

#include "image/image.h"

#include <stdlib.h>
#include <string.h>


#define EXIF_ORIENTATION  0x0112


static uint32_t
exif16(const uint8_t *p, int big)
{
    return big ? infer_be16(p) : infer_le16(p);
}


static uint32_t
exif32(const uint8_t *p, int big)
{
    return big ? infer_be32(p) : infer_le32(p);
}


int
infer_exif_orientation(const uint8_t *tiff, size_t size)
{
    int             big, orientation;
    size_t          offset;
    uint32_t        n, type, value;
    const uint8_t  *entry;

    if (size < 8) {
        return 1;
    }

    if (memcmp(tiff, "II*\0", 4) == 0) {
        big = 0;

    } else if (memcmp(tiff, "MM\0*", 4) == 0) {
        big = 1;

    } else {
        return 1;
    }

    offset = exif32(tiff + 4, big);

    if (offset > size - 2) {
        return 1;
    }

    n = exif16(tiff + offset, big);
    offset += 2;
    orientation = 1;

    /* An entry: tag, type (3 is a 16-bit, 4 a 32-bit number), count, value. */

    for ( /* void */ ; n > 0 && size - offset >= 12; n--, offset += 12) {
        entry = tiff + offset;
        type = exif16(entry + 2, big);

        if (exif16(entry, big) != EXIF_ORIENTATION
            || exif32(entry + 4, big) != 1 || (type != 3 && type != 4))
        {
            continue;
        }

        value = (type == 3) ? exif16(entry + 8, big) : exif32(entry + 8, big);
        orientation = (value >= 1 && value <= 8) ? (int) value : 1;
    }

    return orientation;
}


/* Copies the pixel at each src + y * dy + x * dx to row y, column x of dst. */
static void
exif_gather(uint8_t *dst, const uint8_t *src, int32_t width, int32_t height,
    int channels, ptrdiff_t dx, ptrdiff_t dy)
{
    int32_t         x, y, x0, y0, x1, y1;
    uint8_t        *d;
    const uint8_t  *s;

    enum { TILE = 32 };     /* one of the two walks down columns */

    for (y0 = 0; y0 < height; y0 = y1) {
        y1 = (height - y0 > TILE) ? y0 + TILE : height;

        for (x0 = 0; x0 < width; x0 = x1) {
            x1 = (width - x0 > TILE) ? x0 + TILE : width;

            for (y = y0; y < y1; y++) {
                d = dst + ((size_t) y * width + x0) * channels;

                for (x = x0; x < x1; x++) {
                    s = src + y * dy + x * dx;

                    for (int c = 0; c < channels; c++) {
                        *d++ = s[c];
                    }
                }
            }
        }
    }
}


int
infer_image_orient(infer_image_t *img, int orientation)
{
    int32_t         width, height;
    uint8_t        *pixels;
    ptrdiff_t       px, row, dx, dy;
    const uint8_t  *src;

    /*
     * How to walk the stored pixels to see the image upright: along columns
     * instead of rows, from the right, from the bottom.
     */
    static const struct {
        uint8_t  swap, right, bottom;
    } turn[8] = {
        { 0, 0, 0 }, { 0, 1, 0 }, { 0, 1, 1 }, { 0, 0, 1 },
        { 1, 0, 0 }, { 1, 0, 1 }, { 1, 1, 1 }, { 1, 1, 0 },
    };

    if (orientation == 1) {
        return 0;
    }

    orientation--;

    px = img->channels;
    row = px * img->width;

    pixels = malloc((size_t) row * img->height);
    if (pixels == NULL) {
        return -1;
    }

    src = img->pixels;
    dx = px;
    dy = row;

    if (turn[orientation].right) {
        src += row - px;
        dx = -px;
    }

    if (turn[orientation].bottom) {
        src += row * (img->height - 1);
        dy = -row;
    }

    width = img->width;
    height = img->height;

    if (turn[orientation].swap) {
        exif_gather(pixels, src, height, width, img->channels, dy, dx);
        img->width = height;
        img->height = width;

    } else {
        exif_gather(pixels, src, width, height, img->channels, dx, dy);
    }

    free(img->pixels);
    img->pixels = pixels;

    return 0;
}
