/*
 * A load client for POST /predict on 127.0.0.1: HTTP/1.1 with connections
 * that stay open, every request the same form with the same image.
 *
 *     load [--clients N | --rate R] [--seconds S] [--seed N] [--limit MS]
 *          IMAGE PORT...
 *
 * --clients: a closed loop; each client sends when it has its answer.
 * --rate:    an open loop; R requests a second at the times of a Poisson
 *            process, whatever the server does.  Latency counts from the time
 *            for which a request was scheduled, not from when a connection
 *            was free for it, so that a server which falls behind cannot hide
 *            it.
 * --limit:   gives up when more than one request in a hundred has taken
 *            longer: the 99th percentile is then above it.
 *
 * Requests and connections are dealt over the ports in turn.  Prints one line
 * of JSON.  A failed request (no connection, another status than 200, no
 * answer within DRAIN_NS of the end) counts as one that took for ever.
 * outside_p50_ms is the time that a request spent outside what the server
 * reports as X-Infer-Time (seconds).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"


#define MAX_PORTS         16
/* Of an open loop: so many that a server that deals connections over its
   processes by chance deals them about evenly. */
#define OPEN_CONNECTIONS  256
#define MAX_REQUESTS      1000000
#define DRAIN_NS          5000000000u   /* for the answers after the end */
#define ANSWER_SIZE       8192
#define BOUNDARY          "cbfd0f2a8e5f4d1b"

typedef struct connection_s  connection_t;

struct connection_s {
    int            fd;
    size_t         port;
    connection_t  *next;          /* in the queue of idle ones */
    int            busy;          /* a request is on it */
    uint64_t       due;           /* when that should have been sent */
    uint64_t       begun;         /* when it was */
    size_t         sent;
    size_t         got;
    char           answer[ANSWER_SIZE];
};

/*
 * Idle connections of a port, the one that has waited longest first: all are
 * used in turn, and whatever processes stand behind them too.
 */
typedef struct {
    uint16_t       number;
    connection_t  *head;
    connection_t **tail;
    size_t         next;          /* the next scheduled request of this port */
} port_t;

typedef struct {
    size_t         clients;       /* 0: an open loop */
    double         rate;
    double         seconds;
    uint64_t       seed;
    double         limit;         /* ms; 0: none */

    char          *request;
    size_t         length;

    int            epoll;
    int            timer;
    port_t         port[MAX_PORTS];
    size_t         ports;
    connection_t  *connection;
    size_t         connections;

    uint64_t      *due;           /* of each request of an open loop */
    size_t         planned;       /* in an open loop */
    uint64_t       end;           /* of sending, in a closed one */

    double        *latency;       /* ms, of each request that has ended */
    double        *outside;       /* ms, of those that tell */
    size_t         done;
    size_t         told;
    size_t         failed;
    size_t         late;          /* beyond the limit */
    size_t         busy;
    int            error;         /* cannot connect */
} load_t;


/* ---- the request ------------------------------------------------------ */

static int
load_request(load_t *load, const char *path)
{
    int            head;
    char          *image, *form;
    size_t         size, body;
    infer_error_t  err;

    static const char  begin[] =
        "--" BOUNDARY "\r\n"
        "Content-Disposition: form-data; name=\"file\"; "
        "filename=\"image.jpg\"\r\n"
        "Content-Type: image/jpeg\r\n\r\n";
    static const char  end[] = "\r\n--" BOUNDARY "--\r\n";

    if (cli_read_file(path, &image, &size, &err) != 0) {
        return cli_error("%s", err.text);
    }

    body = sizeof(begin) - 1 + size + sizeof(end) - 1;
    load->request = cli_alloc(body + 512, 1);

    head = snprintf(load->request, 512,
                    "POST /predict HTTP/1.1\r\n"
                    "Host: 127.0.0.1\r\n"
                    "Content-Type: multipart/form-data; boundary=" BOUNDARY
                    "\r\n"
                    "Content-Length: %zu\r\n\r\n", body);

    form = load->request + head;
    memcpy(form, begin, sizeof(begin) - 1);
    memcpy(form + sizeof(begin) - 1, image, size);
    memcpy(form + sizeof(begin) - 1 + size, end, sizeof(end) - 1);

    load->length = (size_t) head + body;
    free(image);

    return CLI_DONE;
}


/*
 * The times of a Poisson process, relative to its begin: exponential gaps
 * from a linear congruential generator (Knuth's MMIX).
 */
static void
load_schedule(load_t *load)
{
    size_t    i;
    double    at = 0, uniform;
    uint64_t  state = load->seed;

    load->planned = (size_t) (load->rate * load->seconds) + 1;
    load->due = cli_alloc(load->planned, sizeof(uint64_t));

    for (i = 0; i < load->planned; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uniform = ((double) (state >> 11) + 0.5) / 9007199254740992.0;
        at -= log(uniform) / load->rate;
        load->due[i] = (uint64_t) (at * 1e9);
    }
}


/* ---- connections ------------------------------------------------------ */

/* To 127.0.0.1, where connecting does not wait. */
static int
load_connect(load_t *load, connection_t *c)
{
    int                 on = 1;
    struct epoll_event  event = { .events = EPOLLIN, .data.ptr = c };
    struct sockaddr_in  address = {
        .sin_family = AF_INET,
        .sin_port = htons(load->port[c->port].number),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (c->fd < 0
        || connect(c->fd, (struct sockaddr *) &address, sizeof(address)) != 0
        || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0
        || fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0
        || epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
    {
        load->error = errno;
        return -1;
    }

    return 0;
}


static void
load_watch(load_t *load, connection_t *c, uint32_t events)
{
    struct epoll_event  event = { .events = events, .data.ptr = c };

    epoll_ctl(load->epoll, EPOLL_CTL_MOD, c->fd, &event);
}


static void
load_idle(load_t *load, connection_t *c)
{
    port_t  *port = &load->port[c->port];

    c->busy = 0;
    c->next = NULL;
    *port->tail = c;
    port->tail = &c->next;
}


static connection_t *
load_take(port_t *port)
{
    connection_t  *c = port->head;

    if (c != NULL) {
        port->head = c->next;

        if (port->head == NULL) {
            port->tail = &port->head;
        }
    }

    return c;
}


/* ---- requests --------------------------------------------------------- */

static void
load_end(load_t *load, connection_t *c, int ok, double infer_ms)
{
    double    ms;
    uint64_t  now = cli_now();

    load->busy--;
    ms = ok ? (double) (now - c->due) / 1e6 : INFINITY;

    if (load->limit != 0 && ms > load->limit) {
        load->late++;
    }

    if (!ok) {
        load->failed++;

    } else if (infer_ms >= 0) {
        load->outside[load->told++] = (double) (now - c->begun) / 1e6
                                      - infer_ms;
    }

    load->latency[load->done++] = ms;
}


/* Ends what is on a connection that is of no more use; makes a new one. */
static void
load_renew(load_t *load, connection_t *c)
{
    close(c->fd);

    if (c->busy) {
        load_end(load, c, 0, -1);
    }

    if (load_connect(load, c) == 0 && c->busy) {
        load_idle(load, c);
    }
}


static void
load_write(load_t *load, connection_t *c)
{
    ssize_t  n;

    while (c->sent < load->length) {
        n = send(c->fd, load->request + c->sent, load->length - c->sent,
                 MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            load_watch(load, c, EPOLLIN | EPOLLOUT);
            return;
        }

        if (n < 0) {
            load_renew(load, c);
            return;
        }

        c->sent += (size_t) n;
    }

    load_watch(load, c, EPOLLIN);
}


static void
load_send(load_t *load, connection_t *c, uint64_t due)
{
    c->busy = 1;
    c->due = due;
    c->begun = cli_now();
    c->sent = 0;
    c->got = 0;
    load->busy++;

    load_write(load, c);
}


/* The value of a header field in the head of an answer, or NULL. */
static const char *
load_field(const char *head, const char *end, const char *name)
{
    const char  *field = strcasestr(head, name);

    return field != NULL && field < end ? field + strlen(name) : NULL;
}


/* Ends the request if its answer is complete. */
static void
load_parse(load_t *load, connection_t *c)
{
    int          ok, closing;
    char        *end;
    size_t       length;
    double       infer_ms;
    const char  *field;

    c->answer[c->got] = '\0';

    end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) {
        return;
    }

    field = load_field(c->answer, end, "\r\nContent-Length:");
    length = field ? strtoul(field, NULL, 10) : 0;

    if (c->got < (size_t) (end + 4 - c->answer) + length) {
        return;
    }

    field = load_field(c->answer, end, "\r\nX-Infer-Time:");
    infer_ms = field ? strtod(field, NULL) * 1e3 : -1;
    ok = strncmp(c->answer, "HTTP/1.1 200 ", 13) == 0;
    closing = c->sent < load->length
              || load_field(c->answer, end, "\r\nConnection: close") != NULL;

    load_end(load, c, ok, infer_ms);
    load_idle(load, c);

    if (closing) {
        load_renew(load, c);
    }
}


static void
load_read(load_t *load, connection_t *c)
{
    ssize_t  n;

    n = recv(c->fd, c->answer + c->got, ANSWER_SIZE - 1 - c->got, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0 || !c->busy) {
        load_renew(load, c);
        return;
    }

    c->got += (size_t) n;
    load_parse(load, c);
}


/* ---- the loop --------------------------------------------------------- */

/* Sends what is due and finds an idle connection. */
static void
load_dispatch(load_t *load, uint64_t now)
{
    size_t         i;
    port_t        *port;
    connection_t  *c;

    for (i = 0; i < load->ports; i++) {
        port = &load->port[i];

        while (load->clients ? now < load->end && load->done < MAX_REQUESTS
                             : port->next < load->planned
                               && load->due[port->next] <= now)
        {
            c = load_take(port);
            if (c == NULL) {
                break;
            }

            load_send(load, c, load->clients ? cli_now()
                                             : load->due[port->next]);
            port->next += load->ports;
        }
    }
}


/* Has the timer fire when the next request is due. */
static void
load_wait(load_t *load, uint64_t now)
{
    size_t             i;
    uint64_t           at = now + 100000000;
    struct itimerspec  timer = { 0 };

    for (i = 0; i < load->ports && !load->clients; i++) {
        if (load->port[i].next < load->planned
            && load->due[load->port[i].next] < at
            && load->port[i].head != NULL)
        {
            at = load->due[load->port[i].next];
        }
    }

    timer.it_value.tv_sec = (time_t) (at / 1000000000);
    timer.it_value.tv_nsec = (long) (at % 1000000000);
    timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &timer, NULL);
}


static int
load_over(const load_t *load, uint64_t now)
{
    if (load->error || now > load->end + DRAIN_NS
        || (load->clients == 0
            && (double) load->late > 0.01 * (double) load->planned))
    {
        return 1;
    }

    return load->clients ? now >= load->end && load->busy == 0
                         : load->done == load->planned;
}


/* Returns the seconds from the first request to the last answer. */
static double
load_run(load_t *load)
{
    int                 i, n;
    uint64_t            begin, now, fired;
    struct epoll_event  event[64];

    begin = cli_now();
    load->end = begin + (uint64_t) (load->seconds * 1e9);

    for (i = 0; (size_t) i < load->planned; i++) {
        load->due[i] += begin;
    }

    for (now = begin; !load_over(load, now); now = cli_now()) {
        load_dispatch(load, now);
        load_wait(load, cli_now());

        n = epoll_wait(load->epoll, event, 64, -1);

        for (i = 0; i < n; i++) {
            if (event[i].data.ptr == NULL) {
                (void) !read(load->timer, &fired, sizeof(fired));

            } else if (event[i].events & ~(uint32_t) EPOLLOUT) {
                load_read(load, event[i].data.ptr);

            } else {
                load_write(load, event[i].data.ptr);
            }
        }
    }

    now = cli_now();

    for (i = 0; (size_t) i < load->connections; i++) {
        if (load->connection[i].busy) {
            load_end(load, &load->connection[i], 0, -1);
        }
    }

    return (double) (now - begin) / 1e9;
}


/* ---- output ----------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


/* The smallest x[] that a share of them does not exceed. */
static double
percentile(double *x, size_t n, double share)
{
    return n ? x[(size_t) ceil(share * (double) n) - 1] : INFINITY;
}


/* JSON has no infinity: null. */
static json_t *
number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}


static void
load_print(load_t *load, double seconds)
{
    size_t  n = load->done;
    int     over = load->clients == 0 && n < load->planned;

    qsort(load->latency, n, sizeof(double), compare);
    qsort(load->outside, load->told, sizeof(double), compare);

    cli_json_print(json_pack("{s:I, s:I, s:b, s:f, s:f, s:o, s:o, s:o}",
        "requests", (json_int_t) n,
        "failed", (json_int_t) load->failed,
        "gave_up", over,
        "seconds", seconds,
        "per_second", (double) (n - load->failed) / seconds,
        "p50_ms", number(percentile(load->latency, n, 0.5)),
        "p99_ms", number(over ? INFINITY
                              : percentile(load->latency, n, 0.99)),
        "outside_p50_ms", number(percentile(load->outside, load->told,
                                            0.5))));
}


/* ---- arguments -------------------------------------------------------- */

static int
load_open(load_t *load)
{
    size_t              i;
    connection_t       *c;
    struct epoll_event  event = { .events = EPOLLIN };

    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->timer, &event);

    for (i = 0; i < load->ports; i++) {
        load->port[i].tail = &load->port[i].head;
        load->port[i].next = i;
    }

    load->connections = load->clients ? load->clients : OPEN_CONNECTIONS;
    load->connection = cli_alloc(load->connections, sizeof(connection_t));

    for (i = 0; i < load->connections; i++) {
        c = &load->connection[i];
        c->port = i % load->ports;

        if (load_connect(load, c) != 0) {
            return cli_error("127.0.0.1:%d: %s", load->port[c->port].number,
                             strerror(load->error));
        }

        load_idle(load, c);
    }

    return CLI_DONE;
}


static int
load_options(load_t *load, int argc, char **argv)
{
    int     i;
    double  x;

    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        x = atof(argv[i + 1]);

        if (x <= 0 || x > 1e6) {
            return -1;
        }

        if (strcmp(argv[i], "--clients") == 0) {
            load->clients = (size_t) x;

        } else if (strcmp(argv[i], "--rate") == 0) {
            load->rate = x;

        } else if (strcmp(argv[i], "--seconds") == 0) {
            load->seconds = x;

        } else if (strcmp(argv[i], "--seed") == 0) {
            load->seed = (uint64_t) x;

        } else if (strcmp(argv[i], "--limit") == 0) {
            load->limit = x;

        } else {
            return -1;
        }
    }

    if ((load->clients == 0) == (load->rate == 0)
        || load->rate * load->seconds > MAX_REQUESTS - 1)
    {
        return -1;
    }

    for (/* void */; argc - i > 1 && load->ports < MAX_PORTS; argc--) {
        load->port[load->ports++].number = (uint16_t) atoi(argv[argc - 1]);
    }

    return argc - i == 1 && load->ports ? i : -1;
}


int
main(int argc, char **argv)
{
    int            image;
    static load_t  load = { .seconds = 10, .seed = 1 };

    image = load_options(&load, argc, argv);
    if (image == -1) {
        fprintf(stderr, "usage: load [--clients N | --rate R] [--seconds S] "
                        "[--seed N] [--limit MS] IMAGE PORT...\n");
        return CLI_ERROR;
    }

    if (load_request(&load, argv[image]) != CLI_DONE
        || load_open(&load) != CLI_DONE)
    {
        return CLI_ERROR;
    }

    if (load.rate > 0) {
        load_schedule(&load);
    }

    /* Beyond the last there may be one on each connection. */
    load.latency = cli_alloc(MAX_REQUESTS * 2, sizeof(double));
    load.outside = cli_alloc(MAX_REQUESTS * 2, sizeof(double));

    load_print(&load, load_run(&load));

    if (load.error) {
        return cli_error("connecting: %s", strerror(load.error));
    }

    return CLI_DONE;
}
