/*
 * The progress bar: "eval [=======>            ]  35 %  3500/10000  8 s left".
 */

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/progress.h"


#define WIDTH      30
#define DELAY_NS   1000000000
#define REDRAW_NS  100000000


static struct {
    const char  *what;            /* NULL: nothing to draw */
    size_t       total;
    uint64_t     start;
    uint64_t     drawn;           /* when last */
    int          visible;
} bar;


void
cli_progress_start(const char *what, size_t total)
{
    bar.what = isatty(STDERR_FILENO) && total > 0 ? what : NULL;
    bar.total = total;
    bar.start = cli_now();
    bar.drawn = 0;
    bar.visible = 0;
}


void
cli_progress(size_t done)
{
    int       i, filled;
    double    part, left;
    uint64_t  now;

    if (bar.what == NULL) {
        return;
    }

    now = cli_now();

    if (now - bar.start < DELAY_NS || now - bar.drawn < REDRAW_NS) {
        return;
    }

    part = (double) done / (double) bar.total;
    left = done ? (double) (now - bar.start) / 1e9 * (1 - part) / part : 0;
    filled = (int) (part * WIDTH);

    fprintf(stderr, "\r%s [", bar.what);

    for (i = 0; i < WIDTH; i++) {
        fputc(i < filled ? '=' : i == filled ? '>' : ' ', stderr);
    }

    fprintf(stderr, "] %3.0f %%  %zu/%zu  %.0f s left\033[K", 100 * part,
            done, bar.total, left);
    fflush(stderr);

    bar.drawn = now;
    bar.visible = 1;
}


void
cli_progress_hide(void)
{
    if (bar.visible) {
        fputs("\r\033[K", stderr);
        bar.visible = 0;
        bar.drawn = 0;
    }
}


void
cli_progress_end(void)
{
    cli_progress_hide();
    bar.what = NULL;
}
