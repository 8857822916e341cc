/*
 * Images, up to the pixels that a model sees.
 */

#include "infer.h"
#include "fuzz.h"


#define MAX_PIXELS  ((size_t) 1 << 20)


static int
fuzz_one(unsigned char *data, size_t size)
{
    infer_error_t        err;
    infer_image_t        img, out;
    infer_preprocess_t   pp = { .resize = 9, .crop = 8, .exif = 1,
                                .std = { 1, 1, 1 } };

    if (infer_image_decode(data, size, MAX_PIXELS, &pp, &img, &err)
        != INFER_IMAGE_OK)
    {
        return 0;
    }

    if (infer_image_prepare(&img, &pp, &out, &err) == 0) {
        infer_image_free(&out);
    }

    infer_image_free(&img);

    return 1;
}


static void
fuzz_seed(void)
{
}
