/*
 * Unit tests speak TAP, so that prove runs them beside the Test::Nginx files:
 * ok() for each fact, done() at the end of main.
 */

#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>


static int  tap_count;
static int  tap_failed;


__attribute__((format(printf, 2, 3), unused))
static int
ok(int pass, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);

    tap_failed += !pass;

    return pass;
}


__attribute__((unused))
static int
done(void)
{
    printf("1..%d\n", tap_count);

    return tap_failed != 0;
}

#endif /* TAP_H */
