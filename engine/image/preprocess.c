/*
 * The settings that say how an image becomes the input of a model, and the
 * last step of that: from 8 bits to normalised floats.
 */

#include "infer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define PREPROCESS_MAX_SIZE  16384

typedef struct {
    const char  *name;
    /* Returns what was expected, or NULL if *pp has been set. */
    const char  *(*set)(infer_preprocess_t *pp, const char *value);
} infer_setting_t;


static const char *
preprocess_size(int32_t *size, const char *value)
{
    long   n;
    char  *end;

    n = strtol(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || *end != '\0' || n < 0
        || n > PREPROCESS_MAX_SIZE)
    {
        return "a whole number from 1 to 16384, or 0 for none";
    }

    *size = (int32_t) n;

    return NULL;
}


/* Three numbers, or one for all. */
static const char *
preprocess_numbers(float dst[3], const char *value, int nonzero)
{
    int          n;
    char        *end;
    float        x[3];
    const char  *expected;

    expected = nonzero ? "one or three numbers, not 0, separated by commas"
                       : "one or three numbers separated by commas";

    for (n = 0; n < 3; n++) {

        if (strchr("+-.0123456789", value[0]) == NULL || value[0] == '\0') {
            return expected;
        }

        x[n] = strtof(value, &end);

        if (end == value || !isfinite(x[n]) || (nonzero && x[n] == 0)
            || (*end != ',' && *end != '\0'))
        {
            return expected;
        }

        if (*end == '\0') {
            break;
        }

        value = end + 1;
    }

    if (n == 0) {
        x[1] = x[2] = x[0];

    } else if (n != 2) {
        return expected;
    }

    memcpy(dst, x, sizeof(x));

    return NULL;
}


static const char *
preprocess_resize(infer_preprocess_t *pp, const char *value)
{
    return preprocess_size(&pp->resize, value);
}


static const char *
preprocess_crop(infer_preprocess_t *pp, const char *value)
{
    return preprocess_size(&pp->crop, value);
}


static const char *
preprocess_mean(infer_preprocess_t *pp, const char *value)
{
    return preprocess_numbers(pp->mean, value, 0);
}


static const char *
preprocess_std(infer_preprocess_t *pp, const char *value)
{
    return preprocess_numbers(pp->std, value, 1);
}


static const char *
preprocess_color(infer_preprocess_t *pp, const char *value)
{
    static const char *const  names[] = {
        [INFER_COLOR_RGB] = "rgb",
        [INFER_COLOR_BGR] = "bgr",
        [INFER_COLOR_GRAY] = "gray",
    };

    for (int i = INFER_COLOR_RGB; i <= INFER_COLOR_GRAY; i++) {
        if (strcmp(value, names[i]) == 0) {
            pp->color = (infer_color_t) i;
            return NULL;
        }
    }

    return "rgb, bgr or gray";
}


static const char *
preprocess_exif(infer_preprocess_t *pp, const char *value)
{
    if (strcmp(value, "on") == 0) {
        pp->exif = 1;
        return NULL;
    }

    if (strcmp(value, "off") == 0) {
        pp->exif = 0;
        return NULL;
    }

    return "on or off";
}


static const infer_setting_t  settings[] = {
    { "resize", preprocess_resize },
    { "crop", preprocess_crop },
    { "mean", preprocess_mean },
    { "std", preprocess_std },
    { "color", preprocess_color },
    { "exif", preprocess_exif },
};


int
infer_preprocess_set(infer_preprocess_t *pp, const char *setting,
    infer_error_t *err)
{
    size_t       len;
    const char  *expected;

    len = strcspn(setting, "=");
    expected = "resize=, crop=, mean=, std=, color= or exif=";

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (setting[len] == '=' && strlen(settings[i].name) == len
            && memcmp(settings[i].name, setting, len) == 0)
        {
            expected = settings[i].set(pp, setting + len + 1);
            break;
        }
    }

    if (expected) {
        snprintf(err->text, sizeof(err->text),
                 "preprocess setting \"%.100s\": expected %s", setting,
                 expected);
        return -1;
    }

    return 0;
}


int
infer_preprocess_parse(infer_preprocess_t *pp, const char *spec,
    infer_error_t *err)
{
    int                  rc;
    char                *copy, *setting, *state;
    infer_preprocess_t   parsed;

    static const char  space[] = " \t\r\n";

    copy = strdup(spec);

    if (copy == NULL) {
        snprintf(err->text, sizeof(err->text),
                 "no memory for preprocess settings");
        return -1;
    }

    parsed = *pp;
    rc = 0;

    for (setting = strtok_r(copy, space, &state);
         setting != NULL && rc == 0;
         setting = strtok_r(NULL, space, &state))
    {
        rc = infer_preprocess_set(&parsed, setting, err);
    }

    free(copy);

    if (rc == 0) {
        *pp = parsed;
    }

    return rc;
}


void
infer_image_normalize(const infer_image_t *img, const infer_preprocess_t *pp,
    float *dst)
{
    size_t          n;
    float           table[3][256];
    const uint8_t  *src;

    /* mean and std are those of red, green and blue in any order of output. */

    for (int c = 0; c < img->channels; c++) {
        for (int i = 0; i < 256; i++) {
            table[c][i] = ((float) i / 255.0f - pp->mean[c]) / pp->std[c];
        }
    }

    n = (size_t) img->width * img->height;
    src = img->pixels;

    if (img->channels == 1) {
        for (size_t i = 0; i < n; i++) {
            dst[i] = table[0][src[i]];
        }

        return;
    }

    if (pp->color == INFER_COLOR_BGR) {
        for (size_t i = 0; i < n; i++, src += 3, dst += 3) {
            dst[0] = table[2][src[2]];
            dst[1] = table[1][src[1]];
            dst[2] = table[0][src[0]];
        }

        return;
    }

    for (size_t i = 0; i < n; i++, src += 3, dst += 3) {
        dst[0] = table[0][src[0]];
        dst[1] = table[1][src[1]];
        dst[2] = table[2][src[2]];
    }
}
