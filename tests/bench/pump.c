/* tests/bench/pump.c - bulk TCP and UDP between two hosts, every byte of it compared with what was meant
 *
 *   pump tcp listen|connect ADDRESS PORT send|receive|both FLOWS SECONDS
 *   pump udp listen|connect ADDRESS PORT send|receive SIZE RATE SECONDS [gso]   RATE in datagrams a second; SIZE of the UDP payload
 *   pump echo ADDRESS PORT                                                    UDP back to whom it came from, until standard input ends
 *
 * Both ends are started for one measurement and end with it; the listening one says {"state":"ready"} first. Each prints one
 * line of JSON at the end. Senders are paced without bursts that make up for time they did not get.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/udp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define CHUNK 131072u
#define FLOWS_MAX 1024u
#define BATCH 64u
#define ROOM 65536u
#define PATIENCE 10 /* seconds without a byte: the other side has gone */
#define DEEP (32 << 20)
#define SEGMENTS_BYTES 64000u

enum { HELLO = 0x68656c6fu, DATA = 0x64617461u, OVER = 0x6f766572u, HEARD = 0x68656172u };

struct head {
    uint32_t kind, run;
    uint64_t number;
};

static uint8_t pattern[PATTERN_PERIOD + ROOM + CHUNK];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "pump: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void ready(void)
{
    puts("{\"state\":\"ready\"}");
    fflush(stdout);
}

static struct sockaddr_in where(const char *address, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

    if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
        die(address);
    return a;
}

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

/* ---- TCP ---- */

struct flow {
    int fd;
    uint32_t start; /* place in the pattern of the first byte that is sent */
    int64_t stop;
    uint64_t sent, received;
    int64_t first, last; /* when bytes came */
    bool wrong, broken;
};

static bool write_all(int fd, const void *data, size_t len)
{
    for (const uint8_t *at = data; len;) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static void *send_flow(void *arg)
{
    struct flow *f = arg;
    uint64_t at = f->start;

    f->broken |= !write_all(f->fd, &f->start, sizeof f->start);
    while (!f->broken && now() < f->stop) {
        ssize_t n = send(f->fd, pattern + at % PATTERN_PERIOD, CHUNK, MSG_NOSIGNAL);

        if (n <= 0) {
            f->broken = true;
            break;
        }
        at += (size_t)n;
    }
    f->sent = at - f->start;
    shutdown(f->fd, SHUT_WR);
    return NULL;
}

static void *receive_flow(void *arg)
{
    struct flow *f = arg;
    uint8_t *buf = malloc(CHUNK);
    uint32_t start;
    ssize_t n;

    if (!buf)
        die("memory");
    if (recv(f->fd, &start, sizeof start, MSG_WAITALL) != sizeof start) {
        f->broken = true;
        free(buf);
        return NULL;
    }
    f->first = f->last = now();
    while ((n = recv(f->fd, buf, CHUNK, 0)) > 0) {
        f->wrong |= memcmp(buf, pattern + (start + f->received) % PATTERN_PERIOD, (size_t)n) != 0;
        f->received += (size_t)n;
        f->last = now();
    }
    f->broken |= n < 0;
    free(buf);
    return NULL;
}

static void connect_flows(struct flow *flows, unsigned count, bool listening, const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (listening) {
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (bind(fd, (const struct sockaddr *)at, sizeof *at) < 0 || listen(fd, (int)count) < 0)
            die("listen");
        set(fd, SOL_SOCKET, SO_RCVTIMEO, 0);
        ready();
    }
    for (unsigned i = 0; i < count; i++) {
        const struct timeval patience = { .tv_sec = PATIENCE };
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (listening && poll(&p, 1, PATIENCE * 1000) != 1)
            die("nobody connects");
        flows[i].fd = listening ? accept(fd, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(flows[i].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(flows[i].fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (flows[i].fd < 0 || (!listening && connect(flows[i].fd, (const struct sockaddr *)at, sizeof *at) < 0))
            die("connect");
        flows[i].start = (i * 7919u + listening * 104729u) % PATTERN_PERIOD;
    }
    close(fd);
}

static int tcp(bool listening, const struct sockaddr_in *at, const char *way, unsigned count, double seconds)
{
    static struct flow flows[FLOWS_MAX];
    static pthread_t threads[2 * FLOWS_MAX];
    bool sends = strcmp(way, "receive") != 0, receives = strcmp(way, "send") != 0, wrong = false, broken = false;
    int64_t first = INT64_MAX, last = 0, stop;
    uint64_t sent = 0, received = 0;
    unsigned started = 0;

    if (count < 1 || count > FLOWS_MAX)
        die("flows");
    connect_flows(flows, count, listening, at);
    stop = now() + (int64_t)(seconds * 1e9);
    for (unsigned i = 0; i < count; i++) {
        flows[i].stop = stop;
        if ((sends && pthread_create(&threads[started++], NULL, send_flow, &flows[i])) ||
            (receives && pthread_create(&threads[started++], NULL, receive_flow, &flows[i])))
            die("thread");
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < count; i++) {
        const struct flow *f = &flows[i];
        char end;

        if (sends && !receives) /* the peer has read everything when it closes */
            broken |= recv(f->fd, &end, 1, 0) < 0;
        sent += f->sent;
        received += f->received;
        wrong |= f->wrong;
        broken |= f->broken;
        first = f->first && f->first < first ? f->first : first;
        last = f->last > last ? f->last : last;
    }
    printf("{\"state\":\"over\",\"sent\":%llu,\"received\":%llu,\"seconds\":%.6f,\"wrong\":%d,\"broken\":%d,\"flows\":[", (unsigned long long)sent,
           (unsigned long long)received, receives && last > first ? (double)(last - first) / 1e9 : 0.0, wrong, broken);
    for (unsigned i = 0; i < count; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)flows[i].received);
    puts("]}");
    return 0;
}

/* ---- UDP ---- */

struct datagrams {
    int fd;
    size_t size, segments; /* of one send call's message */
    double rate, seconds;
    uint32_t run; /* which measurement: nothing of another one counts */
    uint64_t sent, received, wrong, late, next; /* <next>: after the highest number that came */
    int64_t first, last;
};

static int udp_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0)
        die("socket");
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, DEEP);
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, DEEP);
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    return fd;
}

static void word(const struct datagrams *d, uint32_t kind, uint64_t number)
{
    struct head h = { kind, d->run, number };

    if (send(d->fd, &h, sizeof h, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
        die("send");
}

/* A word of the other side within <wait> milliseconds. */
static bool hears(const struct datagrams *d, uint32_t kind, int wait)
{
    struct pollfd p = { .fd = d->fd, .events = POLLIN };
    int64_t end = now() + wait * 1000000LL;
    struct head h;

    do {
        int left = (int)((end - now()) / 1000000);

        if (poll(&p, 1, left > 0 ? left : 0) == 1 && recv(d->fd, &h, sizeof h, MSG_DONTWAIT | MSG_TRUNC) >= (ssize_t)sizeof h && h.kind == kind)
            return true;
    } while (now() < end);
    return false;
}

/* <count> messages, as many datagrams in each as <segments>. */
static void send_batch(struct datagrams *d, unsigned count)
{
    static struct head heads[BATCH * 64];
    static struct iovec parts[BATCH * 64][2];
    static struct mmsghdr messages[BATCH];
    unsigned made = 0;

    for (unsigned m = 0; m < count; m++) {
        messages[m].msg_hdr = (struct msghdr){ .msg_iov = parts[made], .msg_iovlen = 2 * d->segments };
        for (size_t s = 0; s < d->segments; s++, made++, d->sent++) {
            heads[made] = (struct head){ DATA, d->run, d->sent };
            parts[made][0] = (struct iovec){ &heads[made], sizeof heads[made] };
            parts[made][1] = (struct iovec){ pattern + pattern_place(d->sent), d->size - sizeof heads[made] };
        }
    }
    for (unsigned at = 0; at < count;) {
        int n = sendmmsg(d->fd, messages + at, count - at, 0);

        if (n < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN)
            die("sendmmsg");
        at += n > 0 ? (unsigned)n : 1;
    }
}

static void send_datagrams(struct datagrams *d)
{
    const double most = d->rate * 0.002 > BATCH ? d->rate * 0.002 : BATCH; /* what may be made up for: two milliseconds */
    int64_t start = now(), before = start, t;
    double due = 0;

    while ((t = now()) - start < (int64_t)(d->seconds * 1e9)) {
        due += (double)(t - before) / 1e9 * d->rate;
        before = t;
        due = due > most ? most : due;
        if (due < (double)d->segments) {
            struct timespec nap = { 0, 50000 };

            nanosleep(&nap, NULL);
            continue;
        }
        for (unsigned n; (n = (unsigned)(due / (double)d->segments)) > 0; due -= (double)n * (double)d->segments) {
            n = n > BATCH / d->segments ? (unsigned)(BATCH / d->segments) : n;
            send_batch(d, n);
        }
    }
    d->first = start;
    d->last = now();
    for (int i = 0; i < 50; i++) {
        word(d, OVER, d->sent);
        if (hears(d, HEARD, 20))
            return;
    }
}

static void take(struct datagrams *d, const uint8_t *data, size_t len, bool *ret_over)
{
    struct head h;

    if (len < sizeof h)
        return;
    memcpy(&h, data, sizeof h);
    if (h.run != d->run)
        return;
    if (h.kind == OVER) {
        *ret_over = true;
        word(d, HEARD, d->received);
    }
    if (h.kind != DATA)
        return;
    d->wrong += len != d->size || memcmp(data + sizeof h, pattern + pattern_place(h.number), len - sizeof h) != 0;
    d->late += h.number < d->next;
    d->next = h.number < d->next ? d->next : h.number + 1;
    d->received++;
}

/* Bytes of each datagram in a message that the kernel may have put together. */
static size_t segment_of(struct msghdr *m, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, CMSG_DATA(c), sizeof size);
            return (size_t)size;
        }
    return len ? len : 1;
}

static void receive_datagrams(struct datagrams *d)
{
    static uint8_t room[BATCH][ROOM];
    static union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    bool over = false;

    for (;;) {
        struct pollfd p = { .fd = d->fd, .events = POLLIN };
        int n;

        if (poll(&p, 1, over ? 100 : 3000) == 0)
            return;
        for (unsigned i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){ room[i], ROOM };
            messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = control[i].bytes, .msg_controllen = sizeof control[i] };
        }
        n = recvmmsg(d->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            size_t len = messages[i].msg_len, segment = segment_of(&messages[i].msg_hdr, len);

            for (size_t at = 0; at < len; at += segment)
                take(d, room[i] + at, len - at < segment ? len - at : segment, &over);
        }
        if (n > 0 && !over) {
            d->last = now();
            d->first = d->first ? d->first : d->last;
        }
    }
}

/* The listening side learns from the first word who it is; the other side speaks until it is answered. */
static void meet(struct datagrams *d, bool listening)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    struct head h;

    for (int i = 0; i < 100 && !listening; i++) {
        word(d, HELLO, 0);
        if (hears(d, HEARD, 50))
            return;
    }
    if (!listening)
        die("nobody answers");
    while (recvfrom(d->fd, &h, sizeof h, 0, (struct sockaddr *)&peer, &len) < (ssize_t)sizeof h || h.kind != HELLO)
        if (errno == EAGAIN)
            die("nobody speaks");
    if (connect(d->fd, (struct sockaddr *)&peer, len) < 0)
        die("connect");
    d->run = h.run;
    word(d, HEARD, 0);
}

/* What is lost is to be lost on the way, and not because the generator had no processor. Where that is not allowed, it is not. */
static void hurry(void)
{
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 15);
}

static int udp(bool listening, const struct sockaddr_in *at, const char *way, struct datagrams *d, bool gso)
{
    const struct timeval patience = { .tv_sec = PATIENCE };

    hurry();
    d->fd = udp_socket();
    d->run = (uint32_t)now();
    setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (d->size < sizeof(struct head) || d->size > 65000)
        die("size");
    d->segments = gso ? SEGMENTS_BYTES / d->size : 1;
    d->segments = d->segments > BATCH ? BATCH : d->segments;
    if (gso) {
        set(d->fd, IPPROTO_UDP, UDP_SEGMENT, strcmp(way, "send") == 0 ? (int)d->size : 0);
        set(d->fd, IPPROTO_UDP, UDP_GRO, 1);
    }
    if ((listening ? bind : connect)(d->fd, (const struct sockaddr *)at, sizeof *at) < 0)
        die("bind");
    if (listening)
        ready();
    meet(d, listening);
    (strcmp(way, "send") == 0 ? send_datagrams : receive_datagrams)(d);
    printf("{\"state\":\"over\",\"sent\":%llu,\"received\":%llu,\"wrong\":%llu,\"late\":%llu,\"seconds\":%.6f}\n", (unsigned long long)d->sent,
           (unsigned long long)d->received, (unsigned long long)d->wrong, (unsigned long long)d->late, (double)(d->last - d->first) / 1e9);
    return 0;
}

static int echo(const struct sockaddr_in *at)
{
    static uint8_t room[BATCH][2048];
    static struct sockaddr_in from[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int fd = udp_socket();

    hurry();
    if (bind(fd, (const struct sockaddr *)at, sizeof *at) < 0)
        die("bind");
    ready();
    for (;;) {
        struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
        int n;

        poll(p, 2, -1);
        if (p[1].revents)
            return 0;
        for (unsigned i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){ room[i], sizeof room[i] };
            messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i] };
        }
        n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            parts[i].iov_len = messages[i].msg_len;
        for (int done = 0, m; done < n; done += m > 0 ? m : 1)
            m = sendmmsg(fd, messages + done, (unsigned)(n - done), 0);
    }
}

int main(int argc, char **argv)
{
    bool listening = argc > 2 && strcmp(argv[2], "listen") == 0;
    struct sockaddr_in at;

    prctl(PR_SET_TIMERSLACK, 1000);
    pattern_fill(pattern, sizeof pattern);
    if (argc == 4 && strcmp(argv[1], "echo") == 0) {
        at = where(argv[2], argv[3]);
        return echo(&at);
    }
    if (argc < 8)
        die("usage: see the beginning of the source");
    at = where(argv[3], argv[4]);
    if (strcmp(argv[1], "tcp") == 0)
        return tcp(listening, &at, argv[5], (unsigned)atoi(argv[6]), atof(argv[7]));
    if (strcmp(argv[1], "udp") == 0 && argc >= 9) {
        struct datagrams d = { .size = (size_t)atoi(argv[6]), .rate = atof(argv[7]), .seconds = atof(argv[8]) };

        return udp(listening, &at, argv[5], &d, argc > 9);
    }
    die("usage: see the beginning of the source");
}
