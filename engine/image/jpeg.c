/*
 * JPEG, except for the decoding of its pixels: walks the markers, takes what
 * libjpeg would take from them, and writes a stream that has only the segments
 * that matter, checked.  The decoder in jpeg_stream.c sees that stream alone:
 * no table of it is too long, missing or hidden between segments.
 *
 * As PIL, this refuses a file that ends without an end-of-image marker.
 */

#include "image/image.h"

#include <stdlib.h>
#include <string.h>


#define JPEG_SOF0   0xc0        /* baseline */
#define JPEG_SOF2   0xc2        /* progressive */
#define JPEG_DHT    0xc4
#define JPEG_JPG    0xc8
#define JPEG_DAC    0xcc
#define JPEG_SOF15  0xcf
#define JPEG_RST0   0xd0
#define JPEG_SOI    0xd8
#define JPEG_EOI    0xd9
#define JPEG_SOS    0xda
#define JPEG_DQT    0xdb
#define JPEG_DRI    0xdd
#define JPEG_APP0   0xe0
#define JPEG_APP1   0xe1
#define JPEG_APP14  0xee

/*
 * libjpeg writes at most 18.  Each scan, however short, costs a walk over the
 * whole image.
 */
#define JPEG_MAX_SCANS  32

/* Color transforms of Adobe's APP14 segment. */
#define JPEG_ADOBE_NONE   0
#define JPEG_ADOBE_YCC    1
#define JPEG_ADOBE_YCCK   2

typedef struct {
    infer_image_source_t  *src;
    infer_image_t         *img;
    const uint8_t         *p;          /* what comes next in the file */
    const uint8_t         *end;
    uint8_t               *out;        /* the end of the new stream */
    int                    components;
    int                    progressive;
    int                    scans;
    int                    jfif;
    int                    adobe;      /* transform; -1: no such segment */
    int                    exif;
    uint8_t                id[4];
    uint8_t                quant[4];
    unsigned               dc_tables;  /* bits: which are defined */
    unsigned               ac_tables;
    unsigned               quant_tables;
} infer_jpeg_t;


static infer_image_status_t
jpeg_corrupt(const infer_jpeg_t *jpeg, const char *reason)
{
    return infer_image_fail(jpeg->src, INFER_IMAGE_CORRUPT,
                            "corrupt JPEG: %s", reason);
}


/* Copies a segment of n bytes (without marker and length) to the stream. */
static void
jpeg_emit(infer_jpeg_t *jpeg, int marker, const uint8_t *data, size_t n)
{
    *jpeg->out++ = 0xff;
    *jpeg->out++ = (uint8_t) marker;
    *jpeg->out++ = (uint8_t) ((n + 2) >> 8);
    *jpeg->out++ = (uint8_t) (n + 2);
    memcpy(jpeg->out, data, n);
    jpeg->out += n;
}


/* Passes over what is no marker; -1 at the end of the file. */
static int
jpeg_marker(infer_jpeg_t *jpeg)
{
    const uint8_t  *p = jpeg->p;

    for ( ;; ) {
        p = memchr(p, 0xff, jpeg->end - p);

        if (p == NULL) {
            return -1;
        }

        while (p < jpeg->end && *p == 0xff) {
            p++;
        }

        if (p == jpeg->end) {
            return -1;
        }

        if (*p != 0) {
            jpeg->p = p + 1;
            return *p;
        }
    }
}


/* Quantization tables: each a byte of precision and number, 64 values. */
static infer_image_status_t
jpeg_dqt(infer_jpeg_t *jpeg, const uint8_t *data, size_t n)
{
    size_t  i, size;

    for (i = 0; i < n; i += size) {
        size = (data[i] >> 4) ? 129 : 65;

        if ((data[i] >> 4) > 1 || (data[i] & 15) > 3 || n - i < size) {
            return jpeg_corrupt(jpeg, "bad quantization table");
        }

        jpeg->quant_tables |= 1u << (data[i] & 15);
    }

    jpeg_emit(jpeg, JPEG_DQT, data, n);

    return INFER_IMAGE_OK;
}


/*
 * Huffman tables: each a byte of class and number, how many codes there are
 * of 1 to 16 bits, and their values.
 */
static infer_image_status_t
jpeg_dht(infer_jpeg_t *jpeg, const uint8_t *data, size_t n)
{
    size_t    i;
    uint32_t  free_codes, values;

    for (i = 0; i < n; i += 17 + values) {

        if (n - i < 17 || (data[i] >> 4) > 1 || (data[i] & 15) > 3) {
            return jpeg_corrupt(jpeg, "bad Huffman table");
        }

        values = 0;
        free_codes = 1;

        for (int bits = 1; bits <= 16; bits++) {
            free_codes *= 2;

            if (data[i + bits] > free_codes) {
                return jpeg_corrupt(jpeg, "bad Huffman table");
            }

            free_codes -= data[i + bits];
            values += data[i + bits];
        }

        if (values > 256 || n - i - 17 < values) {
            return jpeg_corrupt(jpeg, "bad Huffman table");
        }

        if (data[i] >> 4) {
            jpeg->ac_tables |= 1u << (data[i] & 15);

        } else {
            jpeg->dc_tables |= 1u << (data[i] & 15);
        }
    }

    jpeg_emit(jpeg, JPEG_DHT, data, n);

    return INFER_IMAGE_OK;
}


/* The frame; components are renamed 1, 2, 3, 4 in the new stream. */
static infer_image_status_t
jpeg_sof(infer_jpeg_t *jpeg, int marker, const uint8_t *data, size_t n)
{
    uint8_t  frame[6 + 3 * 4];

    if (jpeg->components != 0) {
        return jpeg_corrupt(jpeg, "two frames");
    }

    if (n < 6 || n != 6 + 3 * (size_t) data[5]) {
        return jpeg_corrupt(jpeg, "bad frame header");
    }

    if (marker > JPEG_SOF2 || data[0] != 8
        || (data[5] != 1 && data[5] != 3 && data[5] != 4))
    {
        return infer_image_fail(jpeg->src, INFER_IMAGE_UNKNOWN,
                                "JPEG images with coding %d, %d bits and %d "
                                "components are not supported",
                                marker - JPEG_SOF0, data[0], data[5]);
    }

    jpeg->components = data[5];
    jpeg->progressive = (marker == JPEG_SOF2);

    memcpy(frame, data, n);

    for (int i = 0; i < jpeg->components; i++) {
        jpeg->id[i] = frame[6 + 3 * i];
        jpeg->quant[i] = frame[6 + 3 * i + 2];
        frame[6 + 3 * i] = (uint8_t) (i + 1);

        if (jpeg->quant[i] > 3 || memchr(jpeg->id, jpeg->id[i], i) != NULL) {
            return jpeg_corrupt(jpeg, "bad frame header");
        }
    }

    jpeg_emit(jpeg, marker, frame, n);

    return infer_image_size(jpeg->src, infer_be16(data + 3),
                            infer_be16(data + 1), jpeg->img);
}


static void
jpeg_app(infer_jpeg_t *jpeg, int marker, const uint8_t *data, size_t n)
{
    if (marker == JPEG_APP0 && n >= 14 && memcmp(data, "JFIF", 5) == 0) {
        jpeg->jfif = 1;

    } else if (marker == JPEG_APP14 && n >= 12
               && memcmp(data, "Adobe", 5) == 0)
    {
        jpeg->adobe = data[11];

    } else if (marker == JPEG_APP1 && n >= 6 && memcmp(data, "Exif", 5) == 0
               && !jpeg->exif)
    {
        jpeg->exif = 1;
        jpeg->src->orientation = infer_exif_orientation(data + 6, n - 6);
    }
}


/*
 * Decides as libjpeg does which colors the components are, and says so in an
 * Adobe segment where it is not YCbCr.
 */
static void
jpeg_emit_colors(infer_jpeg_t *jpeg)
{
    uint8_t  adobe[12] = "Adobe\0\x64";

    if (jpeg->components == 3) {
        if (jpeg->jfif
            || (jpeg->adobe >= 0 && jpeg->adobe != JPEG_ADOBE_NONE)
            || (jpeg->adobe < 0 && memcmp(jpeg->id, "RGB", 3) != 0))
        {
            return;
        }

        adobe[11] = JPEG_ADOBE_NONE;

    } else if (jpeg->components == 4) {
        adobe[11] = (jpeg->adobe <= JPEG_ADOBE_NONE) ? JPEG_ADOBE_NONE
                                                     : JPEG_ADOBE_YCCK;

    } else {
        return;
    }

    jpeg_emit(jpeg, JPEG_APP14, adobe, sizeof(adobe));
}


/* The tables that a component of a scan asks for must have been seen. */
static infer_image_status_t
jpeg_scan_component(infer_jpeg_t *jpeg, const uint8_t *data, size_t n,
    int i, uint8_t *id)
{
    int             dc, ac;
    unsigned        tables;
    const uint8_t  *match;

    match = memchr(jpeg->id, data[1 + 2 * i], jpeg->components);

    if (match == NULL) {
        return jpeg_corrupt(jpeg, "bad scan header");
    }

    *id = (uint8_t) (match - jpeg->id + 1);

    /* A progressive scan is DC (data[n - 3] is 0) or AC; or refines bits. */

    dc = !jpeg->progressive || (data[n - 3] == 0 && (data[n - 1] >> 4) == 0);
    ac = !jpeg->progressive || data[n - 3] != 0;
    tables = data[2 + 2 * i];

    if ((dc && !(jpeg->dc_tables >> (tables >> 4) & 1))
        || (ac && !(jpeg->ac_tables >> (tables & 15) & 1))
        || !(jpeg->quant_tables >> jpeg->quant[*id - 1] & 1))
    {
        return jpeg_corrupt(jpeg, "a table is missing");
    }

    return INFER_IMAGE_OK;
}


/* A scan: its header, and the coded data up to the next marker. */
static infer_image_status_t
jpeg_sos(infer_jpeg_t *jpeg, const uint8_t *data, size_t n)
{
    uint8_t                scan[4 + 2 * 4];
    const uint8_t         *start;
    infer_image_status_t   status;

    if (jpeg->components == 0 || n < 6 || data[0] == 0
        || data[0] > jpeg->components || n != 4 + 2 * (size_t) data[0])
    {
        return jpeg_corrupt(jpeg, "bad scan header");
    }

    if (jpeg->scans++ == 0) {
        jpeg_emit_colors(jpeg);
    }

    if (jpeg->scans > JPEG_MAX_SCANS) {
        return jpeg_corrupt(jpeg, "too many scans");
    }

    memcpy(scan, data, n);

    for (int i = 0; i < data[0]; i++) {
        status = jpeg_scan_component(jpeg, data, n, i, &scan[1 + 2 * i]);
        if (status != INFER_IMAGE_OK) {
            return status;
        }
    }

    jpeg_emit(jpeg, JPEG_SOS, scan, n);

    start = jpeg->p;

    /* In coded data 0xff is followed by 0, or is a restart marker. */

    while (jpeg->end - jpeg->p >= 2) {
        jpeg->p = memchr(jpeg->p, 0xff, jpeg->end - jpeg->p - 1);

        if (jpeg->p == NULL) {
            break;
        }

        if (jpeg->p[1] != 0 && (jpeg->p[1] & 0xf8) != JPEG_RST0) {
            memcpy(jpeg->out, start, jpeg->p - start);
            jpeg->out += jpeg->p - start;
            return INFER_IMAGE_OK;
        }

        jpeg->p += 2;
    }

    return jpeg_corrupt(jpeg, "truncated");
}


static infer_image_status_t
jpeg_segment(infer_jpeg_t *jpeg, int marker)
{
    size_t          n;
    const uint8_t  *data;

    if (jpeg->end - jpeg->p < 2 || infer_be16(jpeg->p) < 2
        || (size_t) (jpeg->end - jpeg->p) < infer_be16(jpeg->p))
    {
        return jpeg_corrupt(jpeg, "truncated");
    }

    n = infer_be16(jpeg->p) - 2;
    data = jpeg->p + 2;
    jpeg->p = data + n;

    switch (marker) {

    case JPEG_DQT:
        return jpeg_dqt(jpeg, data, n);

    case JPEG_DHT:
        return jpeg_dht(jpeg, data, n);

    case JPEG_DRI:
        if (n != 2) {
            return jpeg_corrupt(jpeg, "bad restart interval");
        }

        jpeg_emit(jpeg, JPEG_DRI, data, n);
        return INFER_IMAGE_OK;

    case JPEG_SOS:
        return jpeg_sos(jpeg, data, n);

    case JPEG_APP0:
    case JPEG_APP1:
    case JPEG_APP14:
        jpeg_app(jpeg, marker, data, n);
        return INFER_IMAGE_OK;

    case JPEG_JPG:
    case JPEG_DAC:
        return INFER_IMAGE_OK;

    default:
        if (marker >= JPEG_SOF0 && marker <= JPEG_SOF15) {
            return jpeg_sof(jpeg, marker, data, n);
        }

        return INFER_IMAGE_OK;
    }
}


/* Writes the checked stream to jpeg->out, which has room for it. */
static infer_image_status_t
jpeg_rewrite(infer_jpeg_t *jpeg)
{
    int                   marker;
    infer_image_status_t  status;

    *jpeg->out++ = 0xff;
    *jpeg->out++ = JPEG_SOI;

    for ( ;; ) {
        marker = jpeg_marker(jpeg);

        if (marker < 0) {
            return jpeg_corrupt(jpeg, "truncated");
        }

        if (marker == JPEG_EOI) {
            break;
        }

        /* Restart markers and the like have no length. */

        if (marker < JPEG_SOF0 || (marker & 0xf8) == JPEG_RST0) {
            continue;
        }

        status = jpeg_segment(jpeg, marker);
        if (status != INFER_IMAGE_OK) {
            return status;
        }
    }

    if (jpeg->scans == 0) {
        return jpeg_corrupt(jpeg, "no pixels");
    }

    *jpeg->out++ = 0xff;
    *jpeg->out++ = JPEG_EOI;

    return INFER_IMAGE_OK;
}


infer_image_status_t
infer_jpeg_decode(infer_image_source_t *src, infer_image_t *img)
{
    uint8_t               *stream;
    const char            *reason;
    infer_jpeg_t           jpeg;
    infer_image_status_t   status;

    memset(&jpeg, 0, sizeof(jpeg));

    jpeg.src = src;
    jpeg.img = img;
    jpeg.p = src->data + 2;
    jpeg.end = src->data + src->size;
    jpeg.adobe = -1;

    /* All that is written was read, but for 16 bytes that tell the colors. */

    stream = malloc(src->size + 16);

    if (stream == NULL) {
        return infer_image_fail(src, INFER_IMAGE_NO_MEMORY,
                                "no memory to decode a JPEG");
    }

    jpeg.out = stream;
    status = jpeg_rewrite(&jpeg);

    if (status == INFER_IMAGE_OK) {
        reason = infer_jpeg_stream_decode(stream, jpeg.out - stream,
                                          jpeg.components == 1 ? 1 : 3, img);
        if (reason) {
            status = jpeg_corrupt(&jpeg, reason);
        }

        if (reason && strcmp(reason, "outofmem") == 0) {
            status = INFER_IMAGE_NO_MEMORY;
        }
    }

    free(stream);

    return status;
}
