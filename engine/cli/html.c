/*
 * The report of `infer compare` as HTML.
 */

#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/html.h"


/* Of the plots, in pixels. */
#define BAR     14
#define LABEL   420
#define WIDTH   420
#define HEIGHT  260
#define MARGIN  60

/* Where the axis of decibels ends. */
#define MOST_DECIBELS  60.0


/* Text of a file's: what HTML would take for markup is escaped, control
   characters are '?'. */
static void
put(FILE *f, const char *s)
{
    for ( /* void */ ; *s; s++) {
        switch (*s) {

        case '&':
            fputs("&amp;", f);
            break;

        case '<':
            fputs("&lt;", f);
            break;

        case '>':
            fputs("&gt;", f);
            break;

        case '"':
            fputs("&quot;", f);
            break;

        default:
            fputc((unsigned char) *s < ' ' || *s == 0x7f ? '?' : *s, f);
        }
    }
}


static void
put_head(FILE *f, const cli_side_t *side, int labelled)
{
    fputs("<!doctype html>\n<meta charset=\"utf-8\">\n"
          "<title>infer compare</title>\n<style>\n"
          "body { font: 14px sans-serif; margin: 2em; max-width: 70em }\n"
          "table { border-collapse: collapse }\n"
          "td, th { padding: 2px 12px 2px 0; text-align: left }\n"
          ".n { text-align: right }\n"
          "svg { font: 11px sans-serif }\n</style>\n"
          "<h1>infer compare</h1>\n<table>\n"
          "<tr><th>model<th class=\"n\">ms an image<th class=\"n\">", f);
    fprintf(f, "%s, %%\n", labelled ? "top-1" : "same class");

    for (int i = 0; i < 2; i++) {
        fputs("<tr><td>", f);
        put(f, side[i].path);
        fprintf(f, "<td class=\"n\">%.3f<td class=\"n\">%.2f\n", side[i].ms,
                side[i].accuracy);
    }

    fputs("</table>\n", f);
}


static void
put_summary(FILE *f, const cli_distance_t *d)
{
    fprintf(f, "<p>%zu images, the same class for %.2f %%. Output: "
            "%.2f dB signal to noise, cosine %.6f, at least %.6f.</p>\n",
            d->images, d->images == 0 ? 0
            : 100 * (double) d->same / (double) d->images, d->sqnr,
            d->cosine, d->least_cosine);
}


/* A bar for each layer: the longer, the nearer. */
static void
put_layers(FILE *f, const cli_distance_t *d)
{
    double              x;
    const cli_layer_t  *layer;

    fprintf(f, "<h2>Signal to noise of each layer, dB</h2>\n"
            "<svg width=\"%d\" height=\"%zu\" role=\"img\">\n",
            LABEL + WIDTH + MARGIN, (d->n_layers + 1) * BAR);

    for (size_t i = 0; i < d->n_layers; i++) {
        layer = &d->layer[i];
        x = fmax(fmin(layer->sqnr, MOST_DECIBELS), 0) / MOST_DECIBELS * WIDTH;

        fprintf(f, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">",
                LABEL - 6, i * BAR + BAR - 3);
        put(f, layer->node);
        fprintf(f, "</text><rect x=\"%d\" y=\"%zu\" width=\"%.1f\" "
                "height=\"%d\" fill=\"%s\"/>"
                "<text x=\"%.1f\" y=\"%zu\">%.1f ", LABEL, i * BAR + 1, x,
                BAR - 2, layer->op[0] == 'q' ? "#47a" : "#bbb",
                LABEL + x + 4, i * BAR + BAR - 3, layer->sqnr);
        put(f, layer->op);
        fputs("</text>\n", f);
    }

    fputs("</svg>\n", f);
}


/* Accuracy against latency: a point for each model. */
static void
put_trade(FILE *f, const cli_side_t *side, int labelled)
{
    double  x, y, low, span, most;

    most = fmax(side[0].ms, side[1].ms) * 1.25;
    low = fmin(side[0].accuracy, side[1].accuracy);
    span = fmax(fabs(side[0].accuracy - side[1].accuracy) * 2, 1);
    low -= span / 4;

    fprintf(f, "<h2>Accuracy against latency</h2>\n"
            "<svg width=\"%d\" height=\"%d\" role=\"img\">\n"
            "<path d=\"M%d 10V%dH%d\" fill=\"none\" stroke=\"#888\"/>\n"
            "<text x=\"%d\" y=\"%d\">ms an image, to %.3f</text>\n"
            "<text x=\"%d\" y=\"10\">%s, %.2f to %.2f %%</text>\n",
            WIDTH + 4 * MARGIN, HEIGHT + MARGIN, MARGIN, HEIGHT,
            MARGIN + WIDTH, MARGIN, HEIGHT + 20, most, MARGIN + 6,
            labelled ? "top-1" : "same class", low, low + span);

    for (int i = 0; i < 2; i++) {
        x = MARGIN + (most > 0 ? side[i].ms / most : 0) * WIDTH;
        y = HEIGHT - (side[i].accuracy - low) / span * (HEIGHT - 20);
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>"
                "<text x=\"%.1f\" y=\"%.1f\">", x, y, i ? "#47a" : "#bbb",
                x + 8, y + 4);
        put(f, side[i].path);
        fputs("</text>\n", f);
    }

    fputs("</svg>\n", f);
}


int
cli_html_write(const char *path, const cli_side_t *side,
    const cli_distance_t *distance, int labelled, infer_error_t *err)
{
    int    failed;
    FILE  *f;

    f = fopen(path, "w");
    if (f == NULL) {
        return cli_fail(err, "%.400s: %s", path, strerror(errno));
    }

    put_head(f, side, labelled);
    put_summary(f, distance);
    put_trade(f, side, labelled);
    put_layers(f, distance);

    failed = ferror(f);
    failed |= fclose(f);

    return failed ? cli_fail(err, "%.400s: %s", path, strerror(errno)) : 0;
}
