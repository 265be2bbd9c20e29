/* tests/netbox/netbox.c - a cable between two hosts that can be spoilt while it is in use
 *
 *     netbox [--seed N] PID:DEVICE PID:DEVICE
 *
 * Makes a TUN in the network namespace of each process and forwards between them; "up" is from the first to the second.
 * Commands come on standard input, a line each, and are answered with a line of JSON:
 *
 *     set up|down|both NAME=VALUE …    names and units: struct way_settings
 *     clear up|down|both               nothing is spoilt any more; what is in flight arrives as it would have
 *     blackout up|down|both SECONDS    what goes in is lost; the answer has the end as CLOCK_MONOTONIC
 *     stats                            counters of both ways
 *
 * Where nothing is set, packets pass as the kernel hands them over, up to 64 KiB of a flow at once. Anything set switches the
 * offloads of both devices off, so that every packet of the wire has a fate of its own. Ends with its standard input.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "os/tun.h"
#include "way.h"

#define BURST 64u /* packets of one device before the other has its turn */

struct box {
    int fd[2];
    struct way way[2]; /* [0] up: what fd[0] gives goes to fd[1] */
    bool offloads;
    char line[4096];
    size_t line_len;
    uint8_t packet[GH_TUN_PACKET_MAX];
};

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Packets. */

static void set_offloads(struct box *b, int64_t now)
{
    bool wanted = way_is_clear(&b->way[0], now) && way_is_clear(&b->way[1], now);
    unsigned got;

    if (wanted == b->offloads)
        return;
    for (int i = 0; i < 2; i++)
        gh_tun_set_offload(b->fd[i], wanted ? GH_TUN_ALL : 0, &got);
    b->offloads = wanted;
}

static void deliver(struct box *b, int way, const struct gh_offload *o, struct gh_span packet)
{
    struct way_counters *c = &b->way[way].counters;

    if (gh_tun_write(b->fd[1 - way], o, &packet, 1) < 0) {
        c->refused++;
        return;
    }
    c->packets_out++;
    c->bytes_out += packet.len;
}

static void tell_too_big(struct box *b, int way, struct gh_span packet)
{
    static const struct gh_offload plain = { .kind = GH_OFFLOAD_NONE };
    uint8_t buf[1280];
    struct gh_span message = { buf, way_too_big(packet, (unsigned)b->way[way].set.mtu, buf) };

    if (message.len > 0 && gh_tun_write(b->fd[way], &plain, &message, 1) == 0)
        b->way[way].counters.icmp++;
}

static void receive(struct box *b, int way, int64_t now)
{
    struct way *w = &b->way[way];

    for (unsigned i = 0; i < BURST; i++) {
        struct gh_offload o;
        ssize_t len = gh_tun_read(b->fd[way], b->packet, sizeof b->packet, &o);
        struct gh_span packet = { b->packet, len > 0 ? (size_t)len : 0 };

        if (len == GH_ERR_TOO_LONG || len == GH_ERR_UNSUPPORTED) {
            w->counters.refused++;
            continue;
        }
        if (len <= 0)
            return;
        if (b->offloads) {
            w->counters.packets_in++;
            w->counters.bytes_in += packet.len;
            deliver(b, way, &o, packet);
        } else if (!way_put(w, &o, packet, now)) {
            tell_too_big(b, way, packet);
        }
    }
}

static void deliver_due(struct box *b, int64_t now)
{
    for (int way = 0; way < 2; way++) {
        struct way_packet *p = way_take(&b->way[way], now);

        for (; p; p = way_take(&b->way[way], now)) {
            deliver(b, way, &p->offload, gh_span_of(p->data, p->len));
            free(p);
        }
    }
}

/* Commands. */

static int fail(const char *what, const char *word)
{
    printf("{\"ok\":false,\"error\":\"%s\",\"word\":\"%s\"}\n", what, word ? word : "");
    return -1;
}

/* "up", "down" or "both" as bits, 0 for anything else */
static unsigned ways_of(const char *word)
{
    if (word && strcmp(word, "up") == 0)
        return 1;
    if (word && strcmp(word, "down") == 0)
        return 2;
    return word && strcmp(word, "both") == 0 ? 3 : 0;
}

static int set_one(struct way_settings *s, char *word)
{
    const struct {
        const char *name;
        double *value;
    } rows[] = {
        { "delay", &s->delay },
        { "jitter", &s->jitter },
        { "loss", &s->loss },
        { "burst", &s->burst },
        { "burst_length", &s->burst_length },
        { "reorder", &s->reorder },
        { "reorder_delay", &s->reorder_delay },
        { "duplicate", &s->duplicate },
        { "rate", &s->rate },
        { "queue", &s->queue },
        { "mtu", &s->mtu },
        { "icmp", &s->icmp },
    };
    char *value = strchr(word, '='), *end = NULL;
    double v = value ? strtod(value + 1, &end) : -1;

    if (!value || end == value + 1 || *end || !(v >= 0))
        return -1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strncmp(word, rows[i].name, (size_t)(value - word)) != 0 || rows[i].name[value - word])
            continue;
        *rows[i].value = v;
        return 0;
    }
    return -1;
}

static int command_set(struct box *b, unsigned ways, char **words)
{
    for (char *word = strtok_r(NULL, " ", words); word; word = strtok_r(NULL, " ", words))
        for (int i = 0; i < 2; i++)
            if (ways & (1u << i) && set_one(&b->way[i].set, word) < 0)
                return fail("NAME=VALUE is expected", word);
    printf("{\"ok\":true}\n");
    return 0;
}

static int command_blackout(struct box *b, unsigned ways, char **words)
{
    char *word = strtok_r(NULL, " ", words), *end = NULL;
    double seconds = word ? strtod(word, &end) : -1;
    int64_t until = now_ns() + (int64_t)(seconds * 1e9);

    if (!word || *end || !(seconds >= 0))
        return fail("a number of seconds is expected", word);
    for (int i = 0; i < 2; i++)
        if (ways & (1u << i))
            b->way[i].blackout_until = until;
    printf("{\"ok\":true,\"until\":%.9f}\n", (double)until / 1e9);
    return 0;
}

static void print_way(const char *name, const struct way *w)
{
    const struct way_counters *c = &w->counters;

    printf("\"%s\":{\"packets_in\":%lu,\"bytes_in\":%lu,\"packets_out\":%lu,\"bytes_out\":%lu,\"lost\":%lu,\"burst_lost\":%lu,\"blackout\":%lu,"
           "\"queue_full\":%lu,\"too_big\":%lu,\"icmp\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"refused\":%lu,\"in_flight\":%zu}",
           name, c->packets_in, c->bytes_in, c->packets_out, c->bytes_out, c->lost, c->burst_lost, c->blackout, c->queue_full, c->too_big,
           c->icmp, c->duplicated, c->reordered, c->refused, w->count);
}

static int command_stats(const struct box *b)
{
    printf("{\"ok\":true,\"at\":%.9f,\"offloads\":%s,", (double)now_ns() / 1e9, b->offloads ? "true" : "false");
    print_way("up", &b->way[0]);
    printf(",");
    print_way("down", &b->way[1]);
    printf("}\n");
    return 0;
}

static int command(struct box *b, char *line)
{
    char *words, *verb = strtok_r(line, " ", &words), *word;
    unsigned ways;

    if (verb && strcmp(verb, "stats") == 0)
        return command_stats(b);
    word = strtok_r(NULL, " ", &words);
    ways = ways_of(word);
    if (!verb || !ways)
        return fail("expected stats, or a command with up, down or both", verb);
    if (strcmp(verb, "set") == 0)
        return command_set(b, ways, &words);
    if (strcmp(verb, "blackout") == 0)
        return command_blackout(b, ways, &words);
    if (strcmp(verb, "clear") != 0)
        return fail("there is no such command", verb);
    for (int i = 0; i < 2; i++) {
        if (ways & (1u << i)) {
            b->way[i].set = (struct way_settings){ .loss = 0 };
            b->way[i].blackout_until = 0;
        }
    }
    printf("{\"ok\":true}\n");
    return 0;
}

/* False at the end of standard input. */
static bool read_commands(struct box *b)
{
    char *end;
    ssize_t n;

    if (b->line_len >= sizeof b->line - 1)
        return false; /* longer than any command */
    n = read(STDIN_FILENO, b->line + b->line_len, sizeof b->line - 1 - b->line_len);
    if (n <= 0)
        return false;
    b->line_len += (size_t)n;
    b->line[b->line_len] = 0;
    while ((end = strchr(b->line, '\n')) != NULL) {
        *end = 0;
        command(b, b->line);
        b->line_len -= (size_t)(end + 1 - b->line);
        memmove(b->line, end + 1, b->line_len + 1);
    }
    return true;
}

/* The life. */

static void run(struct box *b)
{
    struct pollfd polled[3] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = b->fd[0], .events = POLLIN }, { .fd = b->fd[1], .events = POLLIN } };

    for (;;) {
        int64_t now = now_ns(), due;
        struct timespec wait;

        set_offloads(b, now);
        due = way_due(&b->way[0]);
        due = way_due(&b->way[1]) < due ? way_due(&b->way[1]) : due;
        for (int i = 0; i < 2; i++) /* an end of a blackout may give the offloads back */
            if (b->way[i].blackout_until > now && b->way[i].blackout_until < due)
                due = b->way[i].blackout_until;
        due = due > now ? due - now : 0;
        wait = (struct timespec){ .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
        if (ppoll(polled, 3, due > INT64_C(3600000000000) ? NULL : &wait, NULL) < 0)
            return;
        if (polled[0].revents && !read_commands(b))
            return;
        now = now_ns();
        set_offloads(b, now); /* what was just set holds for the next packet */
        for (int i = 0; i < 2; i++)
            if (polled[1 + i].revents)
                receive(b, i, now);
        deliver_due(b, now_ns());
    }
}

static int open_end(const char *where, int *ret_fd)
{
    char path[64], name[IF_NAMESIZE];
    char *device;
    long pid = strtol(where, &device, 10);
    int ns, rc = -1;

    if (*device != ':')
        return -1;
    snprintf(path, sizeof path, "/proc/%ld/ns/net", pid);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns >= 0 && setns(ns, CLONE_NEWNET) == 0 && gh_tun_open(device + 1, false, ret_fd, name) == 0)
        rc = 0;
    if (rc < 0)
        perror(where);
    if (ns >= 0)
        close(ns);
    return rc;
}

int main(int argc, char **argv)
{
    static struct box b;
    uint64_t seed = 1;
    int at = 1;

    if (argc == 5 && strcmp(argv[1], "--seed") == 0) {
        seed = strtoull(argv[2], NULL, 10);
        at = 3;
    }
    if (argc - at != 2) {
        fprintf(stderr, "usage: netbox [--seed N] PID:DEVICE PID:DEVICE\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < 2; i++) {
        if (open_end(argv[at + i], &b.fd[i]) < 0)
            return 1;
        way_init(&b.way[i], 2 * seed + (uint64_t)i);
    }
    printf("{\"state\":\"ready\",\"seed\":%lu}\n", seed);
    run(&b);
    for (int i = 0; i < 2; i++)
        way_fini(&b.way[i]);
    return 0;
}
