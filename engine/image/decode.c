/*
 * From the bytes of a file to pixels: tells the format by its first bytes,
 * hands over to its decoder, then turns what that left (gray or RGB, as
 * stored) into what the caller wants.
 */

#include "image/image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef infer_image_status_t (*infer_image_decoder_pt)(
    infer_image_source_t *src, infer_image_t *img);

typedef struct {
    const char              *name;
    const char              *magic;
    uint8_t                  offset;
    uint8_t                  length;
    infer_image_decoder_pt   decode;    /* NULL: known, but not read */
} infer_image_format_t;

static const infer_image_format_t  formats[] = {
    { "JPEG", "\xff\xd8\xff", 0, 3, infer_jpeg_decode },
    { "PNG", "\x89PNG\r\n\x1a\n", 0, 8, infer_png_decode },
    { "GIF", "GIF87a", 0, 6, infer_gif_decode },
    { "GIF", "GIF89a", 0, 6, infer_gif_decode },
    { "BMP", "BM", 0, 2, infer_bmp_decode },
    { "WebP", "WEBP", 8, 4, NULL },
    { "TIFF", "II*\0", 0, 4, NULL },
    { "TIFF", "MM\0*", 0, 4, NULL },
    { "HEIF", "ftyphei", 4, 7, NULL },
    { "HEIF", "ftypmif1", 4, 8, NULL },
    { "AVIF", "ftypavif", 4, 8, NULL },
    { "JPEG 2000", "\0\0\0\x0cjP  ", 0, 8, NULL },
    { "JPEG XL", "\xff\x0a", 0, 2, NULL },
    { "SVG", "<svg", 0, 4, NULL },
    { "PDF", "%PDF-", 0, 5, NULL },
};


infer_image_status_t
infer_image_fail(const infer_image_source_t *src, infer_image_status_t status,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(src->err->text, sizeof(src->err->text), fmt, args);
    va_end(args);

    return status;
}


infer_image_status_t
infer_image_size(const infer_image_source_t *src, uint64_t width,
    uint64_t height, infer_image_t *img)
{
    /* The second bound keeps every offset within a size_t and 2^31 rows. */
    if (width > INT32_MAX || height > INT32_MAX
        || width * height > src->max_pixels || width * height > INT32_MAX)
    {
        return infer_image_fail(src, INFER_IMAGE_TOO_LARGE,
                                "image of %llu x %llu pixels is larger than "
                                "the limit of %zu pixels",
                                (unsigned long long) width,
                                (unsigned long long) height,
                                src->max_pixels);
    }

    if (width == 0 || height == 0) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "image has no pixels");
    }

    img->width = (int32_t) width;
    img->height = (int32_t) height;

    return INFER_IMAGE_OK;
}


infer_image_status_t
infer_image_alloc(const infer_image_source_t *src, int channels,
    infer_image_t *img)
{
    img->channels = channels;
    img->pixels = calloc((size_t) img->width * img->height, channels);

    if (img->pixels == NULL) {
        return infer_image_fail(src, INFER_IMAGE_NO_MEMORY,
                                "no memory for an image of %d x %d pixels",
                                img->width, img->height);
    }

    return INFER_IMAGE_OK;
}


void
infer_palette_init(infer_palette_t pal)
{
    for (int i = 0; i < 256; i++) {
        memset(pal[i], i, 3);
    }
}


static const infer_image_format_t *
infer_image_format(const uint8_t *data, size_t size)
{
    const infer_image_format_t  *f;

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        f = &formats[i];

        if (size >= (size_t) f->offset + f->length
            && memcmp(data + f->offset, f->magic, f->length) == 0)
        {
            return f;
        }
    }

    return NULL;
}


/*
 * PIL's convert(): gray to RGB repeats the value, RGB to gray weighs with
 * ITU-R 601 in 16-bit fixed point.
 */
static int
infer_image_convert(infer_image_t *img, int channels)
{
    size_t    n;
    uint8_t  *src, *dst, *pixels;

    if (img->channels == channels) {
        return 0;
    }

    n = (size_t) img->width * img->height;
    pixels = malloc(n * channels);

    if (pixels == NULL) {
        return -1;
    }

    src = img->pixels;
    dst = pixels;

    if (channels == 1) {
        for (size_t i = 0; i < n; i++, src += 3) {
            dst[i] = (uint8_t) ((src[0] * 19595u + src[1] * 38470u
                                 + src[2] * 7471u + 0x8000u) >> 16);
        }

    } else {
        for (size_t i = 0; i < n; i++, dst += 3) {
            dst[0] = dst[1] = dst[2] = src[i];
        }
    }

    free(img->pixels);
    img->pixels = pixels;
    img->channels = channels;

    return 0;
}


static infer_image_status_t
infer_image_finish(const infer_image_source_t *src,
    const infer_preprocess_t *pp, infer_image_t *img)
{
    int  channels;

    channels = (pp && pp->color == INFER_COLOR_GRAY) ? 1 : 3;

    if (infer_image_convert(img, channels) != 0
        || (pp && pp->exif && infer_image_orient(img, src->orientation) != 0))
    {
        return infer_image_fail(src, INFER_IMAGE_NO_MEMORY,
                                "no memory for an image of %d x %d pixels",
                                img->width, img->height);
    }

    return INFER_IMAGE_OK;
}


infer_image_status_t
infer_image_decode(const void *data, size_t size, size_t max_pixels,
    const infer_preprocess_t *pp, infer_image_t *img, infer_error_t *err)
{
    infer_image_status_t         status;
    infer_image_source_t         src;
    const infer_image_format_t  *format;

    memset(img, 0, sizeof(*img));

    src.data = data;
    src.size = size;
    src.max_pixels = max_pixels;
    src.orientation = 1;
    src.err = err;

    format = infer_image_format(data, size);

    if (format == NULL) {
        return infer_image_fail(&src, INFER_IMAGE_UNKNOWN,
                                "not an image: JPEG, PNG, GIF and BMP are "
                                "supported");
    }

    if (format->decode == NULL) {
        return infer_image_fail(&src, INFER_IMAGE_UNKNOWN,
                                "%s images are not supported: JPEG, PNG, GIF "
                                "and BMP are", format->name);
    }

    status = format->decode(&src, img);

    if (status == INFER_IMAGE_OK) {
        status = infer_image_finish(&src, pp, img);
    }

    if (status != INFER_IMAGE_OK) {
        infer_image_free(img);
    }

    return status;
}


void
infer_image_free(infer_image_t *img)
{
    free(img->pixels);
    memset(img, 0, sizeof(*img));
}
