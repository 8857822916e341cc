/*
 * stb_image, used for what it does well: entropy decoding of baseline and
 * progressive JPEG.  Its arithmetic is replaced by that of libjpeg(-turbo) as
 * PIL uses it, to the bit: the accurate integer inverse DCT, the triangle
 * ("fancy") upsampling and the conversion of YCbCr to RGB.  (stb_image 2.27
 * differs by rounding, and mixes up the weights of the last column of 4:2:2.)
 *
 * stb_image names a kernel without parentheses where it selects it, so that a
 * function-like macro of the same name renames its own definition only, and
 * the selection finds ours.
 */

/*
 * The loops below are written to be vectorised; and sums of hostile
 * coefficients may overflow: they shall wrap.
 */
#pragma GCC optimize ("O3", "wrapv")

#include "image/image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>


#define IDCT_BITS   13          /* fraction bits of the constants */
#define IDCT_EXTRA  2           /* fraction bits kept between the passes */

/* Eight vectors of eight: [k][i] is value k of the transform of vector i. */
typedef int16_t  infer_block_t[8][8];


static inline int16_t
jpeg_clamp(int16_t x)
{
    return x < 0 ? 0 : x > 255 ? 255 : x;
}


/*
 * Inverse DCTs of 8 points, scaled by sqrt(8), and shifted right by shift.
 * This is the matrix of the algorithm of Loeffler, Ligtenberg and Moschytz
 * (ICASSP 1989), its constants rounded to IDCT_BITS as in libjpeg and then
 * multiplied out: with integers, up to the shift, the result is the same.
 */
static inline void
jpeg_idct8(infer_block_t in, infer_block_t out, int shift)
{
    int32_t  a, b, c, d, even[4], odd[4];

    for (int i = 0; i < 8; i++) {
        a = 10703 * in[2][i] + 4433 * in[6][i];
        b = 4433 * in[2][i] - 10704 * in[6][i];
        c = (in[0][i] + in[4][i]) * (1 << IDCT_BITS) + (1 << (shift - 1));
        d = (in[0][i] - in[4][i]) * (1 << IDCT_BITS) + (1 << (shift - 1));

        even[0] = c + a;
        even[1] = d + b;
        even[2] = d - b;
        even[3] = c - a;

        odd[0] = 11363 * in[1][i] + 9633 * in[3][i] + 6437 * in[5][i]
                 + 2260 * in[7][i];
        odd[1] = 9633 * in[1][i] - 2259 * in[3][i] - 11362 * in[5][i]
                 - 6436 * in[7][i];
        odd[2] = 6437 * in[1][i] - 11362 * in[3][i] + 2261 * in[5][i]
                 + 9633 * in[7][i];
        odd[3] = 2260 * in[1][i] - 6436 * in[3][i] + 9633 * in[5][i]
                 - 11363 * in[7][i];

        for (int k = 0; k < 4; k++) {
            out[k][i] = (int16_t) ((even[k] + odd[k]) >> shift);
            out[7 - k][i] = (int16_t) ((even[k] - odd[k]) >> shift);
        }
    }
}


static inline void
jpeg_transpose(infer_block_t in, infer_block_t out)
{
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 8; k++) {
            out[k][i] = in[i][k];
        }
    }
}


/* Columns, then rows. */
static void
stbi__idct_block(uint8_t *out, int out_stride, short data[64])
{
    infer_block_t  a, b;

    memcpy(a, data, sizeof(a));

    jpeg_idct8(a, b, IDCT_BITS - IDCT_EXTRA);
    jpeg_transpose(b, a);
    jpeg_idct8(a, b, IDCT_BITS + IDCT_EXTRA + 3);
    jpeg_transpose(b, a);

    for (int y = 0; y < 8; y++, out += out_stride) {
        for (int x = 0; x < 8; x++) {
            out[x] = (uint8_t) jpeg_clamp(a[y][x] + 128);
        }
    }
}


/*
 * ITU-R 601 with 16 fraction bits: the factors 1.402, 0.34414, 0.71414 and
 * 1.772 are split into a whole number and a rest of 16 bits.
 */
static void
stbi__YCbCr_to_RGB_row(uint8_t *out, const uint8_t *y, const uint8_t *pcb,
    const uint8_t *pcr, int count, int step)
{
    int      n;
    int16_t  cb, cr;
    uint8_t  r[64], g[64], b[64];

    for ( /* void */ ; count > 0; count -= n) {
        n = count < 64 ? count : 64;

        for (int i = 0; i < n; i++) {
            cb = pcb[i] - 128;
            cr = pcr[i] - 128;
            r[i] = (uint8_t) jpeg_clamp(y[i] + cr
                                        + ((26345 * cr + 32768) >> 16));
            g[i] = (uint8_t) jpeg_clamp(y[i] - cr
                                        + ((18734 * cr - 22554 * cb + 32768)
                                           >> 16));
            b[i] = (uint8_t) jpeg_clamp(y[i] + 2 * cb
                                        + ((-14942 * cb + 32768) >> 16));
        }

        for (int i = 0; i < n; i++, out += step) {
            out[0] = r[i];
            out[1] = g[i];
            out[2] = b[i];
        }

        y += n;
        pcb += n;
        pcr += n;
    }
}


/*
 * Two columns for one: 3/4 of the nearer column, 1/4 of the farther.  Column i
 * is a * near[i] + b * far[i]; shift divides by the sum of all weights, and
 * the roundings alternate.  Narrow components are repeated instead.
 */
static inline uint8_t *
jpeg_widen(uint8_t *restrict out, const uint8_t *near, const uint8_t *far,
    size_t w, int a, int b, int even_round, int odd_round, int shift)
{
#define column(i)  (uint16_t) (a * near[i] + b * far[i])
#define mix(i, j, round)                                                      \
    (uint8_t) ((uint16_t) (3 * column(i) + column(j) + (round)) >> shift)

    if (w <= 2) {
        for (size_t i = 0; i < w; i++) {
            out[2 * i] = out[2 * i + 1] = near[i];
        }

        return out;
    }

    out[0] = mix(0, 0, even_round);
    out[1] = mix(0, 1, odd_round);

    for (size_t i = 1; i < w - 1; i++) {
        out[2 * i] = mix(i, i - 1, even_round);
        out[2 * i + 1] = mix(i, i + 1, odd_round);
    }

    out[2 * w - 2] = mix(w - 1, w - 2, even_round);
    out[2 * w - 1] = mix(w - 1, w - 1, odd_round);

#undef column
#undef mix

    return out;
}


static uint8_t *
stbi__resample_row_h_2(uint8_t *out, uint8_t *in_near, uint8_t *in_far, int w,
    int hs)
{
    (void) in_far;
    (void) hs;

    return jpeg_widen(out, in_near, in_near, w, 1, 0, 1, 2, 2);
}


static uint8_t *
stbi__resample_row_hv_2(uint8_t *out, uint8_t *in_near, uint8_t *in_far,
    int w, int hs)
{
    (void) hs;

    return jpeg_widen(out, in_near, in_far, w, 3, 1, 8, 7, 4);
}


/* Two rows for one; the upper of them is rounded down, the lower up. */
static uint8_t *
stbi__resample_row_v_2(uint8_t *out, uint8_t *in_near, uint8_t *in_far, int w,
    int hs)
{
    int                      bias = in_far < in_near ? 1 : 2;
    uint8_t *restrict        o = out;
    const uint8_t *restrict  s = in_near;
    const uint8_t *restrict  f = in_far;

    (void) hs;

    for (int i = 0; i < w; i++) {
        o[i] = (uint8_t) ((3 * s[i] + f[i] + bias) >> 2);
    }

    return out;
}


#define stbi__idct_block(...)         stb_unused_idct(__VA_ARGS__)
#define stbi__YCbCr_to_RGB_row(...)   stb_unused_rgb(__VA_ARGS__)
#define stbi__resample_row_v_2(...)   stb_unused_v2(__VA_ARGS__)
#define stbi__resample_row_h_2(...)   stb_unused_h2(__VA_ARGS__)
#define stbi__resample_row_hv_2(...)  stb_unused_hv2(__VA_ARGS__)

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_SIMD

/* A server must not abort on what a client sends. */
#define STBI_ASSERT(x)

/* Zeroed: what a file leaves out must not show what was there before. */
#define STBI_MALLOC(size)      calloc(1, size)
#define STBI_REALLOC(p, size)  realloc(p, size)
#define STBI_FREE(p)           free(p)

/*
 * Where data ends early, stb_image shifts zeros by more than the width of an
 * int before it notices: nothing for gcc's sanitizer to stop at.
 */
#ifndef __clang__
#define static  static __attribute__((no_sanitize("shift")))
#endif

#pragma GCC diagnostic ignored "-Wattributes"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

#undef static


const char *
infer_jpeg_stream_decode(const uint8_t *stream, size_t size, int channels,
    infer_image_t *img)
{
    int  width, height, in_file;

    if (size > INT_MAX) {
        return "file of more than 2 GB";
    }

    img->pixels = stbi_load_from_memory(stream, (int) size, &width, &height,
                                        &in_file, channels);

    if (img->pixels == NULL) {
        return stbi_failure_reason();
    }

    img->channels = channels;

    return NULL;
}
