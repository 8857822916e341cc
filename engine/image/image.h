/*
 * What the image decoders share.  Each decoder reads one format from memory
 * that may hold anything, and trusts nothing in it.
 *
 * A decoder leaves pixels in the channels that the file has (1: gray, 3: RGB)
 * as PIL's convert() would give them; decode.c turns those into what the
 * model wants.
 */

#ifndef INFER_IMAGE_H
#define INFER_IMAGE_H

#include "infer.h"


typedef struct {
    const uint8_t  *data;
    size_t          size;
    size_t          max_pixels;
    int             orientation;   /* set by decoders: EXIF's 1 to 8 */
    infer_error_t  *err;
} infer_image_source_t;


/* One for each format, in a file of its own. */
infer_image_status_t infer_jpeg_decode(infer_image_source_t *src,
    infer_image_t *img);
infer_image_status_t infer_png_decode(infer_image_source_t *src,
    infer_image_t *img);
infer_image_status_t infer_gif_decode(infer_image_source_t *src,
    infer_image_t *img);
infer_image_status_t infer_bmp_decode(infer_image_source_t *src,
    infer_image_t *img);

/*
 * Decodes a JPEG stream that jpeg.c has checked and rewritten: channels 1 or
 * 3.  Sets img->pixels (malloc'ed) or returns the reason why it could not.
 */
const char *infer_jpeg_stream_decode(const uint8_t *stream, size_t size,
    int channels, infer_image_t *img);

/* Sets the error text and returns status. */
infer_image_status_t infer_image_fail(const infer_image_source_t *src,
    infer_image_status_t status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Sets the size of img after holding it against max_pixels: every decoder
 * calls this before it allocates anything that grows with the image.
 */
infer_image_status_t infer_image_size(const infer_image_source_t *src,
    uint64_t width, uint64_t height, infer_image_t *img);

/* Allocates zeroed pixels for the size of img. */
infer_image_status_t infer_image_alloc(const infer_image_source_t *src,
    int channels, infer_image_t *img);

/*
 * The orientation (1 to 8) in the TIFF structure of EXIF data; 1 where there
 * is none or the data is broken.
 */
int infer_exif_orientation(const uint8_t *tiff, size_t size);

/*
 * Turns img so that it stands as the orientation tells, as PIL's
 * ImageOps.exif_transpose does.  -1: no memory.
 */
int infer_image_orient(infer_image_t *img, int orientation);

/* A palette of 256 colors that starts as PIL's does: a gray ramp. */
typedef uint8_t  infer_palette_t[256][3];

void infer_palette_init(infer_palette_t pal);


static inline uint32_t
infer_le16(const uint8_t *p)
{
    return p[0] | (uint32_t) p[1] << 8;
}

static inline uint32_t
infer_le32(const uint8_t *p)
{
    return infer_le16(p) | infer_le16(p + 2) << 16;
}

static inline uint32_t
infer_be16(const uint8_t *p)
{
    return (uint32_t) p[0] << 8 | p[1];
}

static inline uint32_t
infer_be32(const uint8_t *p)
{
    return infer_be16(p) << 16 | infer_be16(p + 2);
}

#endif /* INFER_IMAGE_H */
