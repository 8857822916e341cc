/*
 * Images: every format and trap in t/data/images against what PIL and
 * torchvision made of it (expected.txt, written by make.py there), then the
 * refusals, and hostile input: every fixture cut and damaged, with checksums
 * made right again so that the damage reaches the decoder.
 */

#include "tap.h"
#include "infer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>


#define DIR         "t/data/images/"
#define MAX_FILES   100
#define MAX_PIXELS  (1 << 20)
#define DAMAGES     150           /* of each fixture */

typedef struct {
    char                  name[64];
    uint8_t              *data;
    size_t                size;
    int                   width, height;
    unsigned              rgb, gray;      /* CRC-32 of the pixels */
} fixture_t;

static fixture_t            fixtures[MAX_FILES];
static size_t               n_fixtures;

static infer_preprocess_t   as_rgb = {
    0, 0, INFER_COLOR_RGB, 0, { 0.485f, 0.456f, 0.406f },
    { 0.229f, 0.224f, 0.225f }
};
static infer_preprocess_t   as_gray = {
    0, 0, INFER_COLOR_GRAY, 0, { 0.485f }, { 0.229f }
};


static fixture_t *
fixture(const char *name)
{
    for (size_t i = 0; i < n_fixtures; i++) {
        if (strcmp(fixtures[i].name, name) == 0) {
            return &fixtures[i];
        }
    }

    printf("Bail out! no fixture %s\n", name);
    exit(1);
}


static void
read_fixture(fixture_t *f)
{
    char   path[128];
    FILE  *file;

    snprintf(path, sizeof(path), DIR "%s", f->name);
    file = fopen(path, "rb");

    if (file == NULL) {
        printf("Bail out! cannot open %s\n", path);
        exit(1);
    }

    f->data = malloc(1 << 16);
    f->size = fread(f->data, 1, 1 << 16, file);
    f->data = realloc(f->data, f->size);
    fclose(file);
}


/* Decodes and compares size and pixels; 1 where all is as expected. */
static int
decodes_to(const fixture_t *f, const infer_preprocess_t *pp, int width,
    int height, unsigned crc)
{
    int            same, channels;
    infer_error_t  err;
    infer_image_t  img;

    channels = (pp->color == INFER_COLOR_GRAY) ? 1 : 3;

    if (infer_image_decode(f->data, f->size, MAX_PIXELS, pp, &img, &err)
        != INFER_IMAGE_OK)
    {
        printf("# %s: %s\n", f->name, err.text);
        return 0;
    }

    same = img.width == width && img.height == height
           && img.channels == channels
           && crc32(0, img.pixels, width * height * channels) == crc;

    infer_image_free(&img);

    return same;
}


static int
tensor_is(const fixture_t *f, infer_preprocess_t *pp, unsigned crc)
{
    int             same;
    float          *x;
    size_t          n;
    infer_error_t   err;
    infer_image_t   img, out;

    if (infer_image_decode(f->data, f->size, MAX_PIXELS, pp, &img, &err)
        != INFER_IMAGE_OK)
    {
        return 0;
    }

    if (infer_image_prepare(&img, pp, &out, &err) != 0) {
        infer_image_free(&img);
        return 0;
    }

    n = (size_t) out.width * out.height * out.channels;
    x = malloc(n * sizeof(float));
    infer_image_normalize(&out, pp, x);
    same = crc32_z(0, (uint8_t *) x, n * sizeof(float)) == crc;

    free(x);
    infer_image_free(&img);
    infer_image_free(&out);

    return same;
}


/* One line of expected.txt. */
static void
test_line(const char *line)
{
    int                  w, h, resize, crop;
    char                 name[64], color[8], setting[16];
    unsigned             rgb, gray;
    fixture_t           *f;
    infer_error_t        err;
    infer_preprocess_t   pp = as_rgb;

    if (sscanf(line, "image %63s %d %d %x %x", name, &w, &h, &rgb, &gray)
        == 5)
    {
        f = &fixtures[n_fixtures++];
        strcpy(f->name, name);
        f->width = w;
        f->height = h;
        f->rgb = rgb;
        f->gray = gray;
        read_fixture(f);

        ok(decodes_to(f, &as_rgb, w, h, rgb), "%s as PIL's RGB", name);
        ok(decodes_to(f, &as_gray, w, h, gray), "%s as PIL's L", name);
        return;
    }

    if (sscanf(line, "exif %63s %d %d %x", name, &w, &h, &rgb) == 4) {
        pp.exif = 1;
        ok(decodes_to(fixture(name), &pp, w, h, rgb),
           "%s as PIL's exif_transpose", name);
        return;
    }

    if (sscanf(line, "tensor %63s %d %d %7s %x", name, &resize, &crop, color,
               &rgb) == 5)
    {
        pp.resize = resize;
        pp.crop = crop;
        snprintf(setting, sizeof(setting), "color=%s", color);

        ok(infer_preprocess_set(&pp, setting, &err) == 0
           && tensor_is(fixture(name), &pp, rgb),
           "%s resize %d crop %d %s as torchvision's", name, resize, crop,
           color);
        return;
    }

    ok(0, "expected.txt: %s", line);
}


static void
test_fixtures(void)
{
    char   line[256];
    FILE  *f;

    f = fopen(DIR "expected.txt", "r");

    if (f == NULL) {
        printf("Bail out! run this from the root of the repository\n");
        exit(1);
    }

    while (fgets(line, sizeof(line), f) && n_fixtures < MAX_FILES) {
        test_line(line);
    }

    fclose(f);
}


/* Decodes a copy that ends where its memory ends, so that ASan sees all. */
static infer_image_status_t
decode_copy(const uint8_t *data, size_t size, size_t max_pixels,
    infer_error_t *err)
{
    uint8_t               *copy;
    infer_image_t          img;
    infer_image_status_t   status;

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    strcpy(err->text, "");

    status = infer_image_decode(copy, size, max_pixels, NULL, &img, err);

    if (status == INFER_IMAGE_OK) {
        infer_image_free(&img);
    }

    free(copy);

    return status;
}


static void
test_refusals(void)
{
    infer_error_t  err;
    fixture_t     *png;
    uint8_t        huge[4096], table[6 + 17 + 2040];

    static const struct {
        const char  *what, *data;
        size_t       size;
        const char  *says;
    } unknown[] = {
        { "nothing", "", 0, "not an image" },
        { "text", "hello, world", 12, "not an image" },
        { "JSON", "{\"a\": 1}", 8, "not an image" },
        { "the start of a PNG signature", "\x89PNG", 4, "not an image" },
        { "WebP", "RIFF\x24\0\0\0WEBPVP8 ", 16, "WebP" },
        { "TIFF", "II*\0\x08\0\0\0", 8, "TIFF" },
        { "PDF", "%PDF-1.7\n", 9, "PDF" },
        { "AVIF", "\0\0\0\x20" "ftypavif", 12, "AVIF" },
        { "compressed BMP", "BMxxxx\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0"
          "\1\0\0\0\1\0\x08\0\1\0\0\0xxxxxxxxxxxxxxxxxxxx", 54,
          "compression" },
        { "arithmetic-coded JPEG", "\xff\xd8\xff\xc9\0\x0b\x08\0\1\0\1\1\1"
          "\x11\0\xff\xd9", 17, "JPEG" },
    };

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        ok(decode_copy((const uint8_t *) unknown[i].data, unknown[i].size,
                       MAX_PIXELS, &err) == INFER_IMAGE_UNKNOWN
           && strstr(err.text, unknown[i].says) != NULL,
           "%s is no image that we read: %s", unknown[i].what, err.text);
    }

    for (size_t i = 0; i < n_fixtures; i++) {
        fixture_t  *f = &fixtures[i];
        size_t      n = (size_t) f->width * f->height;

        ok(decode_copy(f->data, f->size, n, &err) == INFER_IMAGE_OK
           && decode_copy(f->data, f->size, n - 1, &err)
              == INFER_IMAGE_TOO_LARGE,
           "%s has %zu pixels, not one less", f->name, n);

        ok(decode_copy(f->data, f->size / 2, MAX_PIXELS, &err)
           == INFER_IMAGE_CORRUPT, "%s cut in half: %s", f->name, err.text);
    }

    /* The header alone: 30000 x 30000, as a bomb would say. */

    png = fixture("png-rgb8.png");
    memcpy(huge, png->data, png->size);
    memcpy(huge + 16, "\0\0\x75\x30\0\0\x75\x30", 8);

    for (int i = 0; i < 4; i++) {
        huge[29 + i] = (uint8_t) (crc32(0, huge + 12, 17) >> (24 - 8 * i));
    }

    ok(decode_copy(huge, png->size, 25000000, &err) == INFER_IMAGE_TOO_LARGE,
       "a PNG of 30000 x 30000: %s", err.text);

    /* A Huffman table of 2040 codes: stb_image would write past its own. */

    memset(table, 0, sizeof(table));
    memcpy(table, "\xff\xd8\xff\xc4\x08\x0b", 6);
    memset(table + 15, 255, 8);
    ok(decode_copy(table, sizeof(table), MAX_PIXELS, &err)
       == INFER_IMAGE_CORRUPT && strstr(err.text, "Huffman"),
       "a JPEG with a table that is too long: %s", err.text);

    huge[40] ^= 1;
    ok(decode_copy(huge, png->size, (size_t) 1 << 30, &err)
       == INFER_IMAGE_CORRUPT && strstr(err.text, "checksum"),
       "a PNG with a wrong checksum: %s", err.text);
}


/* The checksums of a PNG that is sound but for them. */
static void
repair_png(uint8_t *data, size_t size)
{
    size_t    pos, length;
    uint32_t  crc;

    for (pos = 8; size - pos >= 12; pos += length + 12) {
        length = (size_t) data[pos] << 24 | data[pos + 1] << 16
                 | data[pos + 2] << 8 | data[pos + 3];

        if (length > size - pos - 12) {
            return;
        }

        crc = (uint32_t) crc32_z(0, data + pos + 4, length + 4);

        for (int i = 0; i < 4; i++) {
            data[pos + 8 + length + i] = (uint8_t) (crc >> (24 - 8 * i));
        }
    }
}


static uint32_t
draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;

    return *state >> 8;
}


/* Whatever is done to a file, it decodes or is refused with a reason. */
static void
test_damage(void)
{
    int                    sound, refused;
    uint8_t               *copy;
    uint32_t               state = 1;
    infer_error_t          err;
    infer_image_status_t   status;

    for (size_t i = 0; i < n_fixtures; i++) {
        fixture_t  *f = &fixtures[i];

        sound = 1;
        refused = 0;
        copy = malloc(f->size);

        for (int n = 0; n < DAMAGES; n++) {
            memcpy(copy, f->data, f->size);

            for (uint32_t k = draw(&state) % 4 + 1; k > 0; k--) {
                copy[draw(&state) % f->size] = (uint8_t) draw(&state);
            }

            if (memcmp(copy, "\x89PNG", 4) == 0) {
                repair_png(copy, f->size);
            }

            status = decode_copy(copy, f->size, MAX_PIXELS, &err);
            refused += status != INFER_IMAGE_OK;
            sound &= status <= INFER_IMAGE_CORRUPT
                     && (status == INFER_IMAGE_OK) == (err.text[0] == '\0');
        }

        for (size_t n = 0; n < f->size; n += f->size / 50 + 1) {
            status = decode_copy(f->data, n, MAX_PIXELS, &err);
            sound &= status == INFER_IMAGE_CORRUPT
                     || status == INFER_IMAGE_UNKNOWN
                     || strncmp(f->name, "gif", 3) == 0;
        }

        ok(sound, "%s damaged: %d of %d refused", f->name, refused, DAMAGES);
        free(copy);
    }
}


static void *
decode_all(void *failed)
{
    for (int n = 0; n < 10; n++) {
        for (size_t i = 0; i < n_fixtures; i++) {
            fixture_t  *f = &fixtures[i];

            *(int *) failed += !decodes_to(f, &as_rgb, f->width, f->height,
                                           f->rgb);
        }
    }

    return NULL;
}


static void
test_threads(void)
{
    int        failed[2] = { 0, 0 };
    pthread_t  thread[2];

    for (int i = 0; i < 2; i++) {
        pthread_create(&thread[i], NULL, decode_all, &failed[i]);
    }

    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }

    ok(failed[0] == 0 && failed[1] == 0, "two threads decode at once");
}


static void
test_settings(void)
{
    infer_error_t        err;
    infer_preprocess_t   pp = as_rgb, before;

    static const char *const  wrong[] = {
        "", "resize", "resize=", "resize=-1", "resize=+5",
        "resize=16385", "resize=99999999999999999999", "resize=256x",
        "resize= 256", "crop=1e2", "size=5", "resiz=5", "=5",
        "mean=", "mean=1,2", "mean=1,2,3,4", "mean=1,2,", "mean=,1,2",
        "mean=nan", "mean=inf", "mean=1e99", "mean=1;2;3", "mean=a",
        "std=0", "std=1,0,1", "std=1,1", "color=RGB", "color=", "color=grey",
        "exif=yes", "exif=", "exif=1",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        before = pp;
        strcpy(err.text, "");
        ok(infer_preprocess_set(&pp, wrong[i], &err) == -1
           && strstr(err.text, wrong[i]) != NULL
           && memcmp(&pp, &before, sizeof(pp)) == 0,
           "refused: %s", err.text);
    }

    ok(infer_preprocess_parse(&pp, " resize=342\tcrop=299 mean=0.5,.25,-1e-1\n"
                              "std=2 color=bgr exif=on ", &err) == 0
       && pp.resize == 342 && pp.crop == 299 && pp.mean[0] == 0.5f
       && pp.mean[1] == 0.25f && pp.mean[2] == -0.1f && pp.std[0] == 2.0f
       && pp.std[1] == 2.0f && pp.std[2] == 2.0f
       && pp.color == INFER_COLOR_BGR && pp.exif == 1,
       "all settings at once");

    before = pp;
    ok(infer_preprocess_parse(&pp, "crop=5 resize=x", &err) == -1
       && strstr(err.text, "resize=x") != NULL
       && memcmp(&pp, &before, sizeof(pp)) == 0,
       "one wrong setting leaves all as they were");

    ok(infer_preprocess_parse(&pp, " ", &err) == 0
       && memcmp(&pp, &before, sizeof(pp)) == 0, "no settings");

    ok(infer_preprocess_parse(&pp, "resize=0 crop=0", &err) == 0
       && pp.resize == 0 && pp.crop == 0, "neither resize nor crop");
}


/* A crop of a resize that would not fit into memory as a whole. */
static void
test_extreme(void)
{
    static uint8_t       column[60000];
    infer_image_t        img = { 1, 60000, 1, column }, out;
    infer_error_t        err;
    infer_preprocess_t   pp = as_gray;

    pp.resize = 16000;
    pp.crop = 100;
    memset(column, 77, sizeof(column));

    ok(infer_image_prepare(&img, &pp, &out, &err) == 0 && out.width == 100
       && out.height == 100 && out.pixels[0] == 77 && out.pixels[9999] == 77,
       "the centre of 16000 x 960000000 pixels");
    infer_image_free(&out);

    pp.crop = 0;
    ok(infer_image_prepare(&img, &pp, &out, &err) == -1,
       "but not the whole: %s", err.text);
}


int
main(void)
{
    test_fixtures();
    test_refusals();
    test_damage();
    test_threads();
    test_settings();
    test_extreme();

    for (size_t i = 0; i < n_fixtures; i++) {
        free(fixtures[i].data);
    }

    return done();
}
