/* doorload - connections for a front door, and the backend behind it
 *
 *   doorload serve PORT BYTES                          accepts for ever; answers a first flight with BYTES bytes, then ends
 *   doorload rate ADDRESS PORT HELLO SECONDS PARALLEL  connections, one after the other on PARALLEL lines, each to its end
 *   doorload bulk ADDRESS PORT HELLO SECONDS FLOWS     bytes of connections that go on
 *   doorload latency ADDRESS PORT HELLO COUNT          from connect to the first byte of the answer, one at a time
 *
 * HELLO is a file: what a client says first. One line of JSON comes out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define PIECE (256 * 1024)

struct line {
    int fd;
    size_t left; /* serve: of the answer */
    bool asked;
};

static uint8_t piece[PIECE];
static uint8_t hello[65536];
static size_t hello_len;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *text, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atol(port)) };

    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        die(text);
    return a;
}

static void watch(int ep, struct line *l, uint32_t events)
{
    struct epoll_event e = { .events = events | EPOLLET, .data.ptr = l };

    if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &e) < 0)
        die("epoll_ctl");
}

/* ---- the backend */

static void drop(struct line *l)
{
    close(l->fd);
    free(l);
}

static void answer(struct line *l)
{
    if (!l->asked) {
        if (recv(l->fd, piece, sizeof piece, 0) <= 0) {
            if (errno != EAGAIN)
                drop(l);
            return;
        }
        l->asked = true;
    }
    while (l->left > 0) {
        ssize_t n = send(l->fd, piece, l->left < PIECE ? l->left : PIECE, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break;
        l->left -= (size_t)n;
    }
    drop(l);
}

static void serve(const char *port, size_t bytes)
{
    struct sockaddr_in at = address("127.0.0.1", port);
    int on = 1, ep = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct line first = { .fd = listener };
    struct epoll_event events[EVENTS];

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0)
        die("listen");
    watch(ep, &first, EPOLLIN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct line *l = events[i].data.ptr;

            if (l != &first) {
                answer(l);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                l = calloc(1, sizeof *l);
                if (!l)
                    die("calloc");
                l->fd = fd;
                l->left = bytes;
                watch(ep, l, EPOLLIN | EPOLLOUT);
            }
        }
    }
}

/* ---- clients */

static void read_hello(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (!f)
        die(path);
    hello_len = fread(hello, 1, sizeof hello, f);
    fclose(f);
}

static void begin(int ep, struct line *l, const struct sockaddr_in *to)
{
    int on = 1;

    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        die("socket");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(l->fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS)
        die("connect");
    l->asked = false;
    watch(ep, l, EPOLLIN | EPOLLOUT);
}

/* 1 at the end of the connection, 0 when it goes on, -1 when it failed. */
static int go_on(struct line *l, uint64_t *bytes)
{
    if (!l->asked) {
        if (send(l->fd, hello, hello_len, MSG_NOSIGNAL) != (ssize_t)hello_len)
            return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
        l->asked = true;
    }
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(l->fd, piece, sizeof piece, 0);

        if (n == 0)
            return 1;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        *bytes += (uint64_t)n;
    }
    return 2; /* more is there */
}

static void load(const struct sockaddr_in *to, double seconds, unsigned lines, bool again)
{
    struct line *all = calloc(lines, sizeof *all);
    int ep = epoll_create1(0);
    struct epoll_event events[EVENTS];
    uint64_t done = 0, failed = 0, bytes = 0;
    double start = now(), took;

    if (!all)
        die("calloc");
    for (unsigned i = 0; i < lines; i++)
        begin(ep, &all[i], to);
    while ((took = now() - start) < seconds) {
        int n = epoll_wait(ep, events, EVENTS, 100);

        for (int i = 0; i < n; i++) {
            struct line *l = events[i].data.ptr;
            int rc;

            do
                rc = go_on(l, &bytes);
            while (rc == 2 && now() - start < seconds);
            if (rc == 0 || rc == 2)
                continue;
            done += rc == 1;
            failed += rc < 0;
            close(l->fd);
            if (again)
                begin(ep, l, to);
        }
    }
    printf("{\"seconds\":%.4f,\"connections\":%llu,\"failed\":%llu,\"bytes\":%llu}\n", took, (unsigned long long)done, (unsigned long long)failed,
           (unsigned long long)bytes);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void latency(const struct sockaddr_in *to, size_t count)
{
    double *took = calloc(count, sizeof *took);
    int on = 1;

    if (!took)
        die("calloc");
    for (size_t i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        double start = now();

        if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
            die("connect");
        if (send(fd, hello, hello_len, 0) != (ssize_t)hello_len || recv(fd, piece, sizeof piece, 0) <= 0)
            die("answer");
        took[i] = (now() - start) * 1e6;
        while (recv(fd, piece, sizeof piece, 0) > 0)
            ;
        close(fd);
    }
    qsort(took, count, sizeof *took, by_value);
    printf("{\"p50\":%.1f,\"p99\":%.1f}\n", took[count / 2], took[count * 99 / 100]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in to;

    signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        serve(argv[2], (size_t)strtoull(argv[3], NULL, 10));
    if (argc < 6) {
        fputs("usage: doorload serve PORT BYTES | rate|bulk ADDRESS PORT HELLO SECONDS LINES | latency ADDRESS PORT HELLO COUNT\n", stderr);
        return 2;
    }
    to = address(argv[2], argv[3]);
    read_hello(argv[4]);
    if (strcmp(argv[1], "latency") == 0)
        latency(&to, (size_t)strtoull(argv[5], NULL, 10));
    else
        load(&to, strtod(argv[5], NULL), argc > 6 ? (unsigned)strtoul(argv[6], NULL, 10) : 1, strcmp(argv[1], "rate") == 0);
    return 0;
}
