/* tests/bench/swarm/swarm.c - many clients of a relay in one process; every certificate is made here, with the CA's key
 *
 *   swarm --relay ADDRESS:PORT --name NAME --ca FILE --ca-key FILE [option ...]
 *     --count N        sessions (1000), of the identities load-0, load-1, …
 *     --at-once N      handshakes under way at a time (32)
 *     --from ADDRESS   the first source address, --addresses N: how many of them, in turn; they must be there
 *     --path PATH      of the tunnel
 *     --target ADDRESS IPv4, answers echoes
 *     --seconds N      the longest that all sessions may take to come up and be answered once (60)
 *     --flows          each echo is a flow of its own
 *     --handshakes N   no tunnels: full handshakes, one after the other in N seconds, --at-once at a time
 *
 * Answers are lines of JSON. When the sessions are up and each had an echo, standard input may say
 *     load RATE CHURN  RATE echoes a second by turns, and CHURN sessions a second end and are opened anew
 *     flood PORT SIZE WINDOW SECONDS   UDP datagrams to the target's PORT, which sends them back; so many of each session are under way
 *     stop             no more of that; says what came of it: an echo that was under way when we ended its session does not count
 * and its end closes everything. The exit status is 0 when nothing failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "crypto/ca.h"
#include "os/clock.h"
#include "pattern.h"

#define CERTIFICATE_DAYS 2u
#define RTTS 65536u
#define FORGET (GH_NANOSECONDS * 3 / 10) /* datagrams of a session to which nothing came for so long are lost */
#define GRACE (2 * GH_NANOSECONDS) /* for the last answers */

struct swarm {
    struct client_config cfg;
    struct client *clients;
    unsigned count, at_once, addresses, opened, pending;
    struct gh_ip from;
    double rate, churn;
    size_t size, window; /* of a flood; 0: there is none */
    int64_t seconds, handshakes;
    struct gh_ca *ca;
    char *ca_pem;
    size_t ca_len;
    struct gh_tls_ctx *shared; /* --handshakes: one client's */
    int epoll;
    bool input; /* standard input is still open */
    uint64_t sent, answered, up, failed, lost, refused; /* since the last command; of connections that are over as well */
    int64_t *rtts;
    size_t rtt_count;
    uint8_t *pattern;
    struct gh_udp_features features;
    char why[256];
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "swarm: %s: %s\n", what, why);
    exit(2);
}

static char *read_file(const char *path, size_t *ret_len)
{
    char *text = malloc(65536);
    FILE *f = fopen(path, "r");

    if (!f || !text)
        die(path, strerror(errno));
    *ret_len = fread(text, 1, 65536, f);
    fclose(f);
    return text;
}

/* A client's own certificate, or the shared one. The caller's reference. */
static struct gh_tls_ctx *certificate(struct swarm *l, unsigned index)
{
    struct gh_leaf_request req = { .role = GH_ROLE_AGENT, .key = GH_CA_P256, .days = CERTIFICATE_DAYS, .now = gh_clock_wall() };
    struct gh_tls_config cfg = { .alpn = "h3", .ca = { (const uint8_t *)l->ca_pem, l->ca_len } };
    struct gh_leaf leaf;
    struct gh_tls_ctx *ctx;
    char name[32], why[GH_CA_WHY];

    if (l->shared)
        return gh_tls_ctx_get(l->shared);
    snprintf(name, sizeof name, "load-%u", index);
    req.name = name;
    if (gh_ca_issue(l->ca, &req, &leaf, why) < 0)
        die("a certificate", why);
    cfg.certificate = gh_span_of(leaf.cert.text, leaf.cert.len);
    cfg.key = gh_span_of(leaf.key.text, leaf.key.len);
    if (gh_tls_ctx_create(&cfg, &ctx, why, sizeof why) < 0)
        die("a certificate", why);
    gh_leaf_fini(&leaf);
    return ctx;
}

static void open_one(struct swarm *l, unsigned index)
{
    struct client *c = &l->clients[index];
    struct gh_endpoint from = { .ip = l->from };
    struct gh_tls_ctx *tls = certificate(l, index);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    int rc;

    for (unsigned i = 0; i < index % l->addresses; i++)
        gh_ip_increment(&from.ip);
    rc = client_open(c, &l->cfg, &from, tls, gh_clock_now());
    gh_tls_ctx_put(tls);
    if (rc < 0)
        die("a socket", gh_error_text(rc));
    if (c->quic && epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->udp.fd, &e) < 0)
        die("epoll", strerror(errno));
}

/* ---- what becomes of a client ---- */

static void tally(struct swarm *l, const struct client *c, enum client_state before, uint64_t answered)
{
    if (c->answered > answered && l->rtt_count < RTTS)
        l->rtts[l->rtt_count++] = c->last_rtt;
    l->answered += c->answered - answered;
    if (c->state == before)
        return;
    if (c->state == CLIENT_UP)
        l->up++;
    else if (c->state == CLIENT_FAILED)
        l->failed++;
    else if (c->state == CLIENT_LOST)
        l->lost++;
    if (c->state == CLIENT_FAILED || c->state == CLIENT_LOST)
        memcpy(l->why, c->why, sizeof l->why);
    if (c->state == CLIENT_UP || c->state == CLIENT_FAILED)
        l->pending--;
}

static void push(struct swarm *l, struct client *c)
{
    int64_t now = gh_clock_now();

    while (c->under_way < l->window && client_push(c, l->size, now) == 0)
        ;
    client_turn(c, now);
}

static void turn(struct swarm *l, struct client *c, bool readable)
{
    enum client_state before = c->state;
    uint64_t answered = c->answered;

    if (readable) {
        client_receive(c, gh_clock_now());
        if (l->window)
            push(l, c);
    } else {
        client_turn(c, gh_clock_now());
    }
    tally(l, c, before, answered);
    if (l->handshakes && c->state == CLIENT_UP)
        client_close(c, gh_clock_now());
}

static void echo(struct swarm *l, struct client *c)
{
    enum client_state before = c->state;
    uint64_t answered = c->answered;
    int rc = client_echo(c, gh_clock_now());

    if (rc == 0)
        l->sent++;
    else if (rc != GH_ERR_STATE)
        l->refused++;
    tally(l, c, before, answered);
}

/* Packets and time-outs of everybody, for at most <wait> nanoseconds. */
static void run(struct swarm *l, int64_t wait)
{
    struct epoll_event events[64];
    int64_t now = gh_clock_now(), next = now + wait;
    struct timespec rest = { 0 };
    int n;

    for (unsigned i = 0; i < l->count; i++)
        if (l->clients[i].deadline < next)
            next = l->clients[i].deadline;
    if (next > now) /* to the point: an acknowledgement that comes a millisecond late makes the relay ask again */
        rest = (struct timespec){ (next - now) / GH_NANOSECONDS, (next - now) % GH_NANOSECONDS };
    n = epoll_pwait2(l->epoll, events, 64, &rest, NULL);
    for (int i = 0; i < n; i++)
        turn(l, events[i].data.ptr, true);
    now = gh_clock_now();
    for (unsigned i = 0; i < l->count; i++)
        if (l->clients[i].deadline <= now)
            turn(l, &l->clients[i], false);
}

static double since(int64_t start)
{
    return (double)(gh_clock_now() - start) / (double)GH_NANOSECONDS;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void say(struct swarm *l, const char *state, int64_t start)
{
    struct rusage own;
    double p50 = 0, p99 = 0;
    uint64_t wrong = 0;

    getrusage(RUSAGE_SELF, &own);
    for (unsigned i = 0; i < l->count; i++)
        wrong += l->clients[i].wrong;
    if (l->rtt_count) {
        qsort(l->rtts, l->rtt_count, sizeof *l->rtts, compare);
        p50 = (double)l->rtts[l->rtt_count / 2] / 1e6;
        p99 = (double)l->rtts[l->rtt_count - 1 - l->rtt_count / 100] / 1e6;
    }
    for (char *at = l->why; *at; at++)
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = '?';
    printf("{\"state\":\"%s\",\"seconds\":%.3f,\"cpu\":%.3f,\"up\":%llu,\"failed\":%llu,\"lost\":%llu,\"sent\":%llu,\"refused\":%llu,"
           "\"answered\":%llu,\"wrong\":%llu,\"rtt_ms\":{\"p50\":%.3f,\"p99\":%.3f},\"why\":\"%s\"}\n",
           state, since(start), (double)own.ru_utime.tv_sec + (double)own.ru_stime.tv_sec + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
           (unsigned long long)l->up, (unsigned long long)l->failed, (unsigned long long)l->lost, (unsigned long long)l->sent,
           (unsigned long long)l->refused, (unsigned long long)l->answered, (unsigned long long)wrong, p50, p99, l->why);
    fflush(stdout);
    l->rtt_count = 0;
}

/* ---- what is asked for ---- */

static int do_handshakes(struct swarm *l)
{
    int64_t start = gh_clock_now();

    l->shared = certificate(l, 0);
    for (unsigned i = 0; i < l->count; i++)
        l->clients[i].deadline = GH_QUIC_NEVER;
    while (gh_clock_now() - start < l->handshakes) {
        for (unsigned i = 0; i < l->count; i++)
            if (!l->clients[i].quic) {
                l->pending++;
                open_one(l, i);
            }
        run(l, GH_NANOSECONDS / 100);
    }
    say(l, "handshakes", start);
    return l->failed ? 1 : 0;
}

/* Every session, and an echo through each. */
static void come_up(struct swarm *l)
{
    int64_t start = gh_clock_now(), again = start;
    unsigned missing;
    bool told = false;

    do {
        while (l->pending < l->at_once && l->opened < l->count) {
            l->pending++;
            open_one(l, l->opened++);
        }
        run(l, GH_NANOSECONDS / 20);
        missing = l->count - l->opened;
        for (unsigned i = 0; i < l->opened; i++) {
            struct client *c = &l->clients[i];

            if (c->state == CLIENT_UP && (c->sent == 0 || (c->answered == 0 && gh_clock_now() - again > GH_NANOSECONDS)))
                echo(l, c);
            missing += c->state <= CLIENT_REQUESTED || (c->state == CLIENT_UP && c->answered == 0);
        }
        if (gh_clock_now() - again > GH_NANOSECONDS)
            again = gh_clock_now();
        if (!told && l->up + l->failed >= l->count) {
            told = true;
            say(l, "connected", start);
        }
    } while (missing && gh_clock_now() - start < l->seconds);
    say(l, "up", start);
}

static void forget(struct swarm *l)
{
    l->sent = l->answered = l->up = l->failed = l->lost = l->refused = 0;
    l->rtt_count = 0;
}

/* A line of standard input, when one is there; false when there is none. */
static bool command(struct swarm *l, char *buf, size_t cap)
{
    struct pollfd p = { .fd = 0, .events = POLLIN };
    size_t len = 0;

    if (poll(&p, 1, 0) <= 0)
        return false;
    while (len < cap - 1) {
        ssize_t n = read(0, buf + len, 1);

        if (n <= 0) {
            l->input = false;
            return false;
        }
        if (buf[len] == '\n')
            break;
        len++;
    }
    buf[len] = 0;
    return true;
}

static void stop(struct swarm *l, int64_t start)
{
    int64_t end = gh_clock_now() + GRACE;

    while ((l->answered < l->sent || l->pending) && gh_clock_now() < end)
        run(l, GH_NANOSECONDS / 50);
    say(l, "loaded", start);
}

/* Every session keeps its window full; what nobody answered is forgotten and sent anew. */
static void flood(struct swarm *l, double seconds)
{
    int64_t start = gh_clock_now(), look = start;
    uint64_t pushed = 0, before = 0, returned = 0, wrong = 0, least = UINT64_MAX, most = 0;

    for (unsigned i = 0; i < l->count; i++) {
        before += l->clients[i].pushed;
        l->clients[i].returned = l->clients[i].under_way = l->clients[i].before = 0;
    }
    while (since(start) < seconds) {
        if (look <= gh_clock_now()) {
            for (unsigned i = 0; i < l->count; i++) {
                struct client *c = &l->clients[i];

                if (c->before == c->returned)
                    c->under_way = 0;
                c->before = c->returned;
                push(l, c);
            }
            look = gh_clock_now() + FORGET;
        }
        run(l, GH_NANOSECONDS / 100);
    }
    l->window = 0;
    seconds = since(start);
    for (look = gh_clock_now() + GRACE / 4; gh_clock_now() < look;) /* for what is still under way */
        run(l, GH_NANOSECONDS / 50);
    for (unsigned i = 0; i < l->count; i++) {
        const struct client *c = &l->clients[i];

        pushed += c->pushed;
        returned += c->returned;
        wrong += c->wrong;
        least = c->returned < least ? c->returned : least;
        most = c->returned > most ? c->returned : most;
    }
    printf("{\"state\":\"flooded\",\"seconds\":%.3f,\"pushed\":%llu,\"returned\":%llu,\"wrong\":%llu,\"least\":%llu,\"most\":%llu}\n", seconds,
           (unsigned long long)(pushed - before), (unsigned long long)returned, (unsigned long long)wrong, (unsigned long long)least, (unsigned long long)most);
    fflush(stdout);
}

static void churn_one(struct swarm *l, unsigned index)
{
    struct client *c = &l->clients[index];

    if (c->state == CLIENT_CONNECTING || c->state == CLIENT_REQUESTED)
        return;
    l->sent -= c->sent - c->answered; /* nobody waits for these any more */
    client_close(c, gh_clock_now());
    l->pending++;
    open_one(l, index);
}

static void serve(struct swarm *l)
{
    int64_t start = gh_clock_now();
    double echoes = 0, turns = 0; /* done since */
    unsigned next = 0, victim = 0;
    char line[128];
    double seconds;

    while (l->input) {
        bool busy = l->rate > 0 || l->churn > 0;

        if (command(l, line, sizeof line)) {
            if (sscanf(line, "load %lf %lf", &l->rate, &l->churn) == 2) {
                forget(l);
                start = gh_clock_now();
                echoes = turns = 0;
                say(l, "loading", start);
            } else if (sscanf(line, "flood %hu %zu %zu %lf", &l->cfg.target_port, &l->size, &l->window, &seconds) == 4) {
                flood(l, seconds);
            } else if (strcmp(line, "stop") == 0) {
                l->rate = l->churn = 0;
                stop(l, start);
            } else {
                die("what is", line);
            }
        }
        run(l, busy ? GH_NANOSECONDS / 500 : GH_NANOSECONDS / 20);
        for (; echoes < l->rate * since(start) && l->rate > 0; echoes++, next = (next + 1) % l->count)
            echo(l, &l->clients[next]);
        for (; turns < l->churn * since(start) && l->churn > 0; turns++, victim = (victim + 1) % l->count)
            churn_one(l, victim);
    }
}

/* ---- the command line ---- */

enum { RELAY = 'r', NAME = 'n', CA = 'c', CA_KEY = 'k', COUNT = 'N', AT_ONCE = 'a', FROM = 'f', ADDRESSES = 'A', PATH = 'p', TARGET = 't', SECONDS = 's', HANDSHAKES = 'H', FLOWS = 'F' };

static unsigned long number(const char *text, unsigned long max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end || n == 0 || n > max)
        die("not a number in range", text);
    return n;
}

static struct gh_ip address(const char *text)
{
    struct gh_ip a;

    if (gh_ip_parse(text, strlen(text), &a) < 0)
        die("no address", text);
    return a;
}

static void parse(struct swarm *l, int argc, char **argv)
{
    static const struct option known[] = { { "relay", 1, 0, RELAY }, { "name", 1, 0, NAME }, { "ca", 1, 0, CA }, { "ca-key", 1, 0, CA_KEY },
                                           { "count", 1, 0, COUNT }, { "at-once", 1, 0, AT_ONCE }, { "from", 1, 0, FROM },
                                           { "addresses", 1, 0, ADDRESSES }, { "path", 1, 0, PATH }, { "target", 1, 0, TARGET },
                                           { "seconds", 1, 0, SECONDS }, { "handshakes", 1, 0, HANDSHAKES },
                                           { "flows", 0, 0, FLOWS }, { 0 } };
    const char *key = NULL;
    char *colon, *key_pem, why[GH_CA_WHY];
    size_t key_len;
    int o;

    while ((o = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (o) {
        case RELAY:
            colon = strrchr(optarg, ':');
            if (!colon)
                die("no port", optarg);
            *colon = 0;
            l->cfg.remote = (struct gh_endpoint){ .ip = address(optarg), .port = (uint16_t)number(colon + 1, 65535) };
            break;
        case NAME:
            l->cfg.server_name = optarg;
            break;
        case CA:
            l->ca_pem = read_file(optarg, &l->ca_len);
            break;
        case CA_KEY:
            key = optarg;
            break;
        case COUNT:
            l->count = (unsigned)number(optarg, 100000);
            break;
        case AT_ONCE:
            l->at_once = (unsigned)number(optarg, 100000);
            break;
        case FROM:
            l->from = address(optarg);
            break;
        case ADDRESSES:
            l->addresses = (unsigned)number(optarg, 100000);
            break;
        case PATH:
            l->cfg.path = optarg;
            break;
        case TARGET:
            l->cfg.target = address(optarg);
            break;
        case SECONDS:
            l->seconds = (int64_t)number(optarg, 3600) * GH_NANOSECONDS;
            break;
        case HANDSHAKES:
            l->handshakes = (int64_t)number(optarg, 3600) * GH_NANOSECONDS;
            break;
        case FLOWS:
            l->cfg.flows = true;
            break;
        default:
            exit(2);
        }
    if (!l->cfg.remote.port || !l->cfg.server_name || !l->ca_pem || !key || optind < argc)
        die("usage", "--relay, --name, --ca and --ca-key are needed");
    key_pem = read_file(key, &key_len);
    if (gh_ca_load(gh_span_of(l->ca_pem, l->ca_len), gh_span_of(key_pem, key_len), &l->ca, why) < 0)
        die("the CA", why);
    free(key_pem);
}

/* A socket for every client, and some. */
static void want_files(unsigned count)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < count + 64) {
        r.rlim_cur = r.rlim_max < count + 64 ? r.rlim_max : count + 64;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    struct swarm l = { .count = 1000, .at_once = 32, .addresses = 1, .seconds = 60 * GH_NANOSECONDS, .input = true,
                      .cfg = { .path = "/.well-known/masque/ip/*/*/" } };
    int rc;

    prctl(PR_SET_TIMERSLACK, 1000);
    parse(&l, argc, argv);
    if (l.handshakes) {
        l.cfg.path = NULL;
        l.count = l.at_once;
    }
    want_files(l.count);
    l.cfg.slab = malloc(GH_UDP_BUFFER);
    l.cfg.out = malloc(GH_QUIC_BATCH_MAX);
    l.clients = calloc(l.count, sizeof *l.clients);
    l.rtts = calloc(RTTS, sizeof *l.rtts);
    l.pattern = malloc(2 * PATTERN_PERIOD);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l.cfg.slab || !l.cfg.out || !l.clients || !l.rtts || !l.pattern || l.epoll < 0)
        die("memory", strerror(errno));
    pattern_fill(l.pattern, 2 * PATTERN_PERIOD);
    gh_udp_selftest(&l.features);
    l.cfg.features = &l.features;
    l.cfg.pattern = l.pattern;
    for (unsigned i = 0; i < l.count; i++)
        l.clients[i].deadline = GH_QUIC_NEVER;
    if (l.handshakes) {
        rc = do_handshakes(&l);
    } else {
        come_up(&l);
        serve(&l);
        rc = l.failed || l.lost ? 1 : 0;
    }
    for (unsigned i = 0; i < l.count; i++) {
        client_close(&l.clients[i], gh_clock_now());
        if (i % 16 == 15)
            run(&l, GH_NANOSECONDS / 500); /* a device's queue holds a thousand packets */
    }
    for (unsigned i = 0; i < l.count; i++)
        if (l.clients[i].quic)
            rc = 1;
    gh_tls_ctx_put(l.shared);
    gh_ca_destroy(l.ca);
    free(l.ca_pem);
    free(l.pattern);
    free(l.rtts);
    free(l.clients);
    free(l.cfg.out);
    free(l.cfg.slab);
    close(l.epoll);
    return rc;
}
