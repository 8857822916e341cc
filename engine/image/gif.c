/*
 * The first frame of a GIF on its screen.  As in PIL, transparency is not
 * blended: a transparent pixel has the color of its palette entry, and so has
 * what the frame leaves uncovered (without transparency: entry 0).
 */

#include "image/image.h"

#include <stdlib.h>
#include <string.h>


#define GIF_MAX_CODES   4096
#define GIF_MAX_BITS    12

typedef struct {
    const uint8_t   *p;
    const uint8_t   *end;
    uint32_t         screen_w, screen_h;
    uint32_t         x, y, w, h;     /* the frame */
    int              interlaced;
    uint8_t          fill;           /* index of what is not covered */
    infer_palette_t  palette;
} infer_gif_t;

/* The string table of LZW: each entry is another one and a byte. */
typedef struct {
    const uint8_t   *p;              /* the next byte of the data blocks */
    const uint8_t   *end;
    uint32_t         block;          /* bytes left in the current block */
    uint32_t         acc;            /* bits read and not used, and how many */
    uint32_t         acc_bits;
    uint16_t         prefix[GIF_MAX_CODES];
    uint16_t         length[GIF_MAX_CODES];
    uint8_t          first[GIF_MAX_CODES];
    uint8_t          last[GIF_MAX_CODES];
} infer_lzw_t;


static infer_image_status_t
gif_truncated(const infer_image_source_t *src)
{
    return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                            "corrupt GIF: truncated");
}


/* A color table of 2, 4 .. 256 entries, as the low bits of flags tell. */
static int
gif_palette(infer_gif_t *gif, uint32_t flags)
{
    size_t  size = (size_t) 3 << ((flags & 7) + 1);

    if ((size_t) (gif->end - gif->p) < size) {
        return -1;
    }

    infer_palette_init(gif->palette);
    memcpy(gif->palette, gif->p, size);
    gif->p += size;

    return 0;
}


/*
 * An extension: data blocks up to an empty one.  That for graphic control
 * names the transparent color.
 */
static int
gif_extension(infer_gif_t *gif)
{
    uint32_t  n, label;

    if (gif->end - gif->p < 1) {
        return -1;
    }

    label = *gif->p++;

    for ( ;; ) {
        if (gif->end - gif->p < 1) {
            return -1;
        }

        n = *gif->p++;

        if (n == 0) {
            return 0;
        }

        if ((size_t) (gif->end - gif->p) < n) {
            return -1;
        }

        if (label == 0xf9 && n >= 4 && (gif->p[0] & 1)) {
            gif->fill = gif->p[3];
        }

        gif->p += n;
        label = 0;
    }
}


/* Reads up to the data of the first frame. */
static infer_image_status_t
gif_open(infer_image_source_t *src, infer_gif_t *gif, infer_image_t *img)
{
    uint32_t  flags;

    memset(gif, 0, sizeof(*gif));
    infer_palette_init(gif->palette);

    gif->p = src->data + 13;
    gif->end = src->data + src->size;

    if (src->size < 13) {
        return gif_truncated(src);
    }

    gif->screen_w = infer_le16(src->data + 6);
    gif->screen_h = infer_le16(src->data + 8);
    flags = src->data[10];

    if ((flags & 0x80) && gif_palette(gif, flags) != 0) {
        return gif_truncated(src);
    }

    /* As in PIL, bytes that mean nothing are passed over. */

    while (gif->p < gif->end && *gif->p != ',') {
        flags = *gif->p++;

        if (flags == ';') {
            break;
        }

        if (flags == '!' && gif_extension(gif) != 0) {
            return gif_truncated(src);
        }
    }

    if (gif->end - gif->p < 10 || *gif->p != ',') {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt GIF: no image in it");
    }

    gif->x = infer_le16(gif->p + 1);
    gif->y = infer_le16(gif->p + 3);
    gif->w = infer_le16(gif->p + 5);
    gif->h = infer_le16(gif->p + 7);
    flags = gif->p[9];
    gif->p += 10;

    gif->interlaced = (flags & 0x40) != 0;

    if ((flags & 0x80) && gif_palette(gif, flags) != 0) {
        return gif_truncated(src);
    }

    if (gif->w == 0 || gif->h == 0) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt GIF: an empty frame");
    }

    /* A frame that exceeds the screen enlarges it. */

    if (gif->screen_w < gif->x + gif->w) {
        gif->screen_w = gif->x + gif->w;
    }

    if (gif->screen_h < gif->y + gif->h) {
        gif->screen_h = gif->y + gif->h;
    }

    return infer_image_size(src, gif->screen_w, gif->screen_h, img);
}


/* The next code of so many bits; -1 at the end of the data. */
static int32_t
lzw_code(infer_lzw_t *lzw, uint32_t bits)
{
    uint32_t  code;

    while (lzw->acc_bits < bits) {

        if (lzw->p == lzw->end) {
            return -1;
        }

        if (lzw->block == 0) {
            lzw->block = *lzw->p++;

            if (lzw->block == 0) {
                return -1;
            }

            continue;
        }

        lzw->block--;
        lzw->acc |= (uint32_t) *lzw->p++ << lzw->acc_bits;
        lzw->acc_bits += 8;
    }

    code = lzw->acc & ((1u << bits) - 1);
    lzw->acc >>= bits;
    lzw->acc_bits -= bits;

    return (int32_t) code;
}


/* Writes the string of a code, from its last byte back; at most n of them. */
static size_t
lzw_string(const infer_lzw_t *lzw, uint32_t code, uint8_t *dst, size_t n)
{
    size_t  i, length = lzw->length[code];

    for (i = length; i > 0; i--) {
        if (i <= n) {
            dst[i - 1] = lzw->last[code];
        }

        code = lzw->prefix[code];
    }

    return length < n ? length : n;
}


/* Unpacks n palette indices; 0 or -1 where the data ends early or is wrong. */
static int
lzw_decode(infer_lzw_t *lzw, uint32_t min_bits, uint8_t *dst, size_t n)
{
    size_t    done;
    int32_t   code, old;
    uint32_t  next, bits, clear, entry;

    clear = 1u << min_bits;

    for (entry = 0; entry < clear; entry++) {
        lzw->length[entry] = 1;
        lzw->first[entry] = lzw->last[entry] = (uint8_t) entry;
        lzw->prefix[entry] = 0;
    }

    next = clear + 2;
    bits = min_bits + 1;
    old = -1;

    for (done = 0; done < n; /* void */ ) {

        code = lzw_code(lzw, bits);

        if (code == (int32_t) clear) {
            next = clear + 2;
            bits = min_bits + 1;
            old = -1;
            continue;
        }

        if (code < 0 || code == (int32_t) clear + 1
            || code > (int32_t) next || (code == (int32_t) next && old < 0))
        {
            return -1;
        }

        /* A full table stays as it is until a clear code. */

        if (old >= 0 && next < GIF_MAX_CODES) {
            lzw->prefix[next] = (uint16_t) old;
            lzw->length[next] = lzw->length[old] + 1;
            lzw->first[next] = lzw->first[old];
            lzw->last[next] = lzw->first[code == (int32_t) next ? old : code];
            next++;

            if (next == 1u << bits && bits < GIF_MAX_BITS) {
                bits++;
            }

        } else if (code == (int32_t) next) {
            return -1;
        }

        done += lzw_string(lzw, (uint32_t) code, dst + done, n - done);
        old = code;
    }

    return 0;
}


/* The row of the frame that comes n-th in an interlaced file. */
static uint32_t
gif_interlaced_row(uint32_t n, uint32_t height)
{
    uint32_t  pass, rows;

    static const uint8_t  start[4] = { 0, 4, 2, 1 };
    static const uint8_t  step[4] = { 8, 8, 4, 2 };

    for (pass = 0; pass < 3; pass++) {
        rows = height > start[pass]
               ? (height - start[pass] + step[pass] - 1) / step[pass] : 0;

        if (n < rows) {
            break;
        }

        n -= rows;
    }

    return start[pass] + n * step[pass];
}


static void
gif_paint(const infer_gif_t *gif, const uint8_t *index, infer_image_t *img)
{
    size_t    n;
    uint32_t  row;
    uint8_t  *dst;

    n = (size_t) img->width * img->height;

    for (size_t i = 0; i < n; i++) {
        memcpy(img->pixels + 3 * i, gif->palette[gif->fill], 3);
    }

    for (uint32_t y = 0; y < gif->h; y++) {
        row = gif->interlaced ? gif_interlaced_row(y, gif->h) : y;
        dst = img->pixels
              + ((size_t) (gif->y + row) * img->width + gif->x) * 3;

        for (uint32_t x = 0; x < gif->w; x++, dst += 3) {
            memcpy(dst, gif->palette[*index++], 3);
        }
    }
}


infer_image_status_t
infer_gif_decode(infer_image_source_t *src, infer_image_t *img)
{
    int                    rc;
    size_t                 n;
    uint8_t               *index;
    uint32_t               min_bits;
    infer_gif_t            gif;
    infer_lzw_t           *lzw;
    infer_image_status_t   status;

    status = gif_open(src, &gif, img);
    if (status != INFER_IMAGE_OK) {
        return status;
    }

    if (gif.p == gif.end) {
        return gif_truncated(src);
    }

    min_bits = *gif.p++;

    if (min_bits == 0 || min_bits > 8) {
        return infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                "corrupt GIF: codes of %u bits", min_bits);
    }

    status = infer_image_alloc(src, 3, img);
    if (status != INFER_IMAGE_OK) {
        return status;
    }

    n = (size_t) gif.w * gif.h;
    index = malloc(n);
    lzw = malloc(sizeof(infer_lzw_t));
    rc = -1;

    if (index == NULL || lzw == NULL) {
        status = infer_image_fail(src, INFER_IMAGE_NO_MEMORY,
                                  "no memory for a frame of %u x %u pixels",
                                  gif.w, gif.h);

    } else {
        lzw->p = gif.p;
        lzw->end = gif.end;
        lzw->block = 0;
        lzw->acc = 0;
        lzw->acc_bits = 0;

        rc = lzw_decode(lzw, min_bits, index, n);
        status = INFER_IMAGE_OK;
    }

    if (rc == 0) {
        gif_paint(&gif, index, img);

    } else if (status == INFER_IMAGE_OK) {
        status = infer_image_fail(src, INFER_IMAGE_CORRUPT,
                                  "corrupt GIF: bad or truncated pixel data");
    }

    free(lzw);
    free(index);

    return status;
}
