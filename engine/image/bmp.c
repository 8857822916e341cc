/*
 * Windows bitmaps without compression: 1, 4, 8 (palette), 16, 24 and 32 bits,
 * masks, either row order, and OS/2's short header.  Alpha is dropped.
 */

#include "image/image.h"

#include <stdlib.h>
#include <string.h>


#define BMP_RAW         0
#define BMP_BITFIELDS   3

typedef struct {
    uint32_t         bits;         /* of a pixel */
    uint32_t         compression;
    uint32_t         colors;       /* in the palette */
    uint32_t         mask[3];      /* where red, green, blue are */
    size_t           offset;       /* of the pixels */
    size_t           stride;       /* bytes of a row in the file */
    int              top_down;
    infer_palette_t  palette;
} infer_bmp_t;


/*
 * Reads width and height and leaves bits and compression, from either kind of
 * header.  The size of the header has been checked.
 */
static infer_image_status_t
bmp_header(infer_image_source_t *src, infer_bmp_t *bmp, uint32_t header,
    infer_image_t *img)
{
    uint32_t        width, height;
    const uint8_t  *p = src->data + 18;

    if (header == 12) {
        width = infer_le16(p);
        height = infer_le16(p + 2);
        bmp->bits = infer_le16(p + 6);

    } else {
        width = infer_le32(p);
        height = infer_le32(p + 4);
        bmp->bits = infer_le16(p + 10);
        bmp->compression = infer_le32(p + 12);
        bmp->colors = infer_le32(p + 28);

        if (height >> 31) {
            height = -height;
            bmp->top_down = 1;
        }
    }

    switch (bmp->bits) {
    case 1: case 4: case 8: case 16: case 24: case 32:
        break;
    default:
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: %u bits per pixel", bmp->bits);
    }

    if (bmp->compression == BMP_BITFIELDS
        ? (bmp->bits != 16 && bmp->bits != 32) : bmp->compression != BMP_RAW)
    {
        return infer_image_fail(src, INFER_IMAGE_UNKNOWN,
                                "BMP images with compression %u are not "
                                "supported", bmp->compression);
    }

    bmp->stride = ((uint64_t) width * bmp->bits + 31) / 32 * 4;

    return infer_image_size(src, width, height, img);
}


/* The masks, from the header or behind it; *pos moves past them. */
static infer_image_status_t
bmp_masks(infer_image_source_t *src, infer_bmp_t *bmp, uint32_t header,
    size_t *pos)
{
    uint32_t  mask, ones;

    static const uint32_t  bits16[3] = { 0x7c00, 0x03e0, 0x001f };
    static const uint32_t  bits32[3] = { 0xff0000, 0x00ff00, 0x0000ff };

    memcpy(bmp->mask, bmp->bits == 16 ? bits16 : bits32, sizeof(bits16));

    if (bmp->compression != BMP_BITFIELDS) {
        return INFER_IMAGE_OK;
    }

    if (header == 40) {
        *pos += 12;
    }

    if (src->size < 66) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: truncated header");
    }

    /* A red mask of zero stands for the usual order. */

    if (infer_le32(src->data + 54) == 0) {
        return INFER_IMAGE_OK;
    }

    for (int c = 0; c < 3; c++) {
        mask = infer_le32(src->data + 54 + 4 * c);
        ones = mask / (mask ? mask & -mask : 1);

        if (mask == 0 || (ones & (ones + 1)) != 0) {
            return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                    "corrupt BMP: color mask %08x", mask);
        }

        bmp->mask[c] = mask;
    }

    return INFER_IMAGE_OK;
}


/* The palette, which sits at *pos; *pos moves past it. */
static infer_image_status_t
bmp_palette(infer_image_source_t *src, infer_bmp_t *bmp, uint32_t header,
    size_t *pos)
{
    uint32_t        entry;
    const uint8_t  *p;

    infer_palette_init(bmp->palette);

    if (bmp->bits > 8) {
        return INFER_IMAGE_OK;
    }

    entry = (header == 12) ? 3 : 4;

    if (bmp->colors == 0) {
        bmp->colors = 1u << bmp->bits;
    }

    if (bmp->colors > 256 || src->size - *pos < bmp->colors * entry) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: palette of %u colors",
                                bmp->colors);
    }

    p = src->data + *pos;

    for (uint32_t i = 0; i < bmp->colors; i++, p += entry) {
        bmp->palette[i][0] = p[2];
        bmp->palette[i][1] = p[1];
        bmp->palette[i][2] = p[0];
    }

    *pos += bmp->colors * entry;

    return INFER_IMAGE_OK;
}


/* Up to 8 bits: palette indices, from the high bits down. */
static void
bmp_row_indexed(const infer_bmp_t *bmp, const uint8_t *row, uint8_t *dst,
    int32_t width)
{
    uint32_t  bit, index;

    for (int32_t x = 0; x < width; x++, dst += 3) {
        bit = (uint32_t) x * bmp->bits;
        index = row[bit / 8] >> (8 - bmp->bits - bit % 8);
        index &= (1u << bmp->bits) - 1;
        memcpy(dst, bmp->palette[index], 3);
    }
}


/* 16 and 32 bits: scales what a mask selects to 0..255, as PIL does. */
static void
bmp_row_masked(const infer_bmp_t *bmp, const uint8_t *row, uint8_t *dst,
    int32_t width)
{
    uint32_t  pixel, value, low[3], max[3];

    for (int c = 0; c < 3; c++) {
        low[c] = bmp->mask[c] & -bmp->mask[c];
        max[c] = bmp->mask[c] / low[c];
    }

    for (int32_t x = 0; x < width; x++) {
        pixel = (bmp->bits == 16) ? infer_le16(row + 2 * (size_t) x)
                                  : infer_le32(row + 4 * (size_t) x);

        for (int c = 0; c < 3; c++) {
            value = (pixel & bmp->mask[c]) / low[c];
            *dst++ = (uint8_t) ((uint64_t) value * 255 / max[c]);
        }
    }
}


static void
bmp_row(const infer_bmp_t *bmp, const uint8_t *row, uint8_t *dst,
    int32_t width)
{
    if (bmp->bits <= 8) {
        bmp_row_indexed(bmp, row, dst, width);
        return;
    }

    if (bmp->bits != 24) {
        bmp_row_masked(bmp, row, dst, width);
        return;
    }

    for (int32_t x = 0; x < width; x++, row += 3, dst += 3) {
        dst[0] = row[2];
        dst[1] = row[1];
        dst[2] = row[0];
    }
}


/* Finds all tables; on success bmp->offset is where the pixels are. */
static infer_image_status_t
bmp_open(infer_image_source_t *src, infer_bmp_t *bmp, infer_image_t *img)
{
    size_t                pos;
    uint32_t              header;
    infer_image_status_t  status;

    memset(bmp, 0, sizeof(*bmp));

    header = (src->size < 18) ? 0 : infer_le32(src->data + 14);

    switch (header) {
    case 12: case 40: case 52: case 56: case 64: case 108: case 124:
        break;
    default:
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: header of %u bytes", header);
    }

    pos = 14 + header;

    if (src->size < pos) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: truncated header");
    }

    status = bmp_header(src, bmp, header, img);

    if (status == INFER_IMAGE_OK) {
        status = bmp_masks(src, bmp, header, &pos);
    }

    if (status == INFER_IMAGE_OK) {
        status = bmp_palette(src, bmp, header, &pos);
    }

    /* Some writers forget that the palette comes before the pixels. */

    bmp->offset = infer_le32(src->data + 10);

    if (bmp->offset == 0 || (bmp->offset == 14 + header && bmp->bits <= 8)) {
        bmp->offset = pos;
    }

    return status;
}


infer_image_status_t
infer_bmp_decode(infer_image_source_t *src, infer_image_t *img)
{
    int32_t                y;
    infer_bmp_t            bmp;
    const uint8_t         *row;
    infer_image_status_t   status;

    status = bmp_open(src, &bmp, img);
    if (status != INFER_IMAGE_OK) {
        return status;
    }

    if (bmp.offset > src->size
        || (src->size - bmp.offset) / bmp.stride < (size_t) img->height)
    {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt BMP: truncated pixels");
    }

    status = infer_image_alloc(src, 3, img);
    if (status != INFER_IMAGE_OK) {
        return status;
    }

    for (y = 0; y < img->height; y++) {
        row = src->data + bmp.offset
              + bmp.stride * (bmp.top_down ? y : img->height - 1 - y);
        bmp_row(&bmp, row, img->pixels + (size_t) y * img->width * 3,
                img->width);
    }

    return INFER_IMAGE_OK;
}
