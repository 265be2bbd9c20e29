#include "cli/probe_play.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/probe_seen.h"
#include "cli/probe_tls.h"
#include "cli/probe_udp.h"
#include "crypto/random.h"
#include "loop/edges.h"
#include "loop/worker.h"
#include "os/clock.h"
#include "os/udp.h"

#define KEEP_MAX 65536u         /* bytes of an answer that count */
#define CUT_WAIT 0.25           /* seconds between two pieces */
#define REST_WAIT 0.25          /* after the first of an answer, for its rest */
#define AFTER_WAIT 0.5          /* for what comes of a write behind the peer's end */
#define FIRST_WAIT 10.0         /* for an answer where nothing but that is waited for */
#define CONNECT_WAIT 10.0
#define DATAGRAM_WAIT 1.5        /* for an answer to a datagram */
#define AT_ONCE 0.7             /* an end later than that was waited for; beside the round trip */

enum step { CONNECTING, CUTTING, WAITING, RESTING, AFTER };

struct player;

struct play {
    struct gh_edge edge; /* first */
    struct player *p;
    struct gh_probe_job *job;
    struct gh_deadline timer;
    int fd;
    enum step step;
    size_t sent, upto; /* of the probe's bytes; how far they may go now */
    uint8_t *in;
    size_t in_len;
    int64_t started, said, first, ended;
    bool reset_after;
    struct gh_probe_tls *tls;
    uint8_t id[GH_PROBE_ID];    /* of a datagram */
    char seen[GH_PROBE_WORDS];  /* its answers, each kind once */
};

struct player {
    struct gh_workers *workers;
    struct gh_worker *w;
    struct gh_edges *edges;
    const struct gh_probe_pace *pace;
    struct gh_deadline next; /* wakes us when another may begin */
    bool held;               /* it may not yet */
    unsigned live;
    bool failed;
};

static double seconds(int64_t from, int64_t to)
{
    return (double)(to - from) / 1e9;
}

static void wait_for(struct play *y, double time)
{
    gh_worker_deadline_start(y->p->w, &y->timer, gh_clock_now() + (int64_t)(time * 1e9));
}

/* ---- the end ---- */

static void put_words(struct play *y)
{
    static const char *const ends[] = { "stays open", "ends", "is reset", "is refused", "is not answered" };
    struct gh_probe_job *j = y->job;
    struct gh_text t;

    gh_text_init_fixed(&t, j->words, sizeof j->words - 80);
    if (y->tls)
        gh_probe_tls_describe(y->tls, &t);
    else if (j->probe->udp && *y->seen)
        gh_text_append(&t, y->seen);
    else if (y->in_len)
        gh_probe_describe(gh_span_of(y->in, y->in_len), &t);
    else
        gh_text_append(&t, "nothing");
    gh_text_string(&t);
    if (j->probe->udp && j->end == GH_PROBE_OPEN)
        return;
    snprintf(j->words + strlen(j->words), 80, ", %s%s%s", ends[j->end],
             j->close < 0 || j->probe->first ? "" : j->close - (j->connect > 0 ? j->connect : 0) < AT_ONCE ? " at once" : " after a while",
             y->step == AFTER ? y->reset_after ? ", a write is reset" : ", a write is not answered" : "");
}

static void finish(struct play *y)
{
    struct player *p = y->p;
    struct gh_probe_job *j = y->job;

    gh_worker_deadline_stop(p->w, &y->timer);
    gh_edges_forget(p->edges, &y->edge);
    if (!j->probe->udp)
        gh_sock_reset_on_close(y->fd); /* nothing of ours is left at the host */
    gh_sock_close(y->fd);
    if (y->first)
        j->answer = seconds(y->said, y->first);
    if (y->ended)
        j->close = seconds(y->said, y->ended);
    put_words(y);
    j->has_key = !y->tls && y->in_len && gh_probe_tls_find_key(gh_span_of(y->in, y->in_len), j->key);
    gh_probe_tls_destroy(y->tls);
    free(y->in);
    free(y);
    p->live--;
}

static void end_with(struct play *y, enum gh_probe_end end)
{
    y->job->end = end;
    y->ended = gh_clock_now();
    finish(y);
}

/* ---- what is said ---- */

static void say_sealed(struct play *y)
{
    struct gh_span s;

    while ((s = gh_probe_tls_pending(y->tls)).len) {
        ssize_t n = gh_sock_send(y->fd, s);

        if (n < 0)
            return;
        gh_probe_tls_consume(y->tls, (size_t)n);
        y->said = gh_clock_now();
    }
}

static void say_on(struct play *y)
{
    const struct gh_probe *probe = y->job->probe;

    if (y->tls) {
        say_sealed(y);
        return;
    }
    while (y->sent < y->upto) {
        ssize_t n = gh_sock_send(y->fd, gh_span_of(probe->bytes + y->sent, y->upto - y->sent));

        if (n < 0)
            return; /* an edge follows, either way */
        y->sent += (size_t)n;
        y->said = gh_clock_now();
    }
}

static void say_rest(struct play *y)
{
    const struct gh_probe *probe = y->job->probe;

    y->step = WAITING;
    y->upto = probe->tls ? 0 : probe->len;
    y->first = 0;
    if (probe->tls && gh_probe_tls_create(y->job->tls, y->job->name, gh_span_of(probe->bytes, probe->len), &y->tls) == 0)
        gh_probe_tls_feed(y->tls, gh_span_of(NULL, 0));
    say_on(y);
    if (probe->urgent)
        gh_sock_send_urgent(y->fd, '!');
    if (probe->end)
        gh_sock_shutdown_write(y->fd);
    y->said = gh_clock_now();
    wait_for(y, probe->first ? FIRST_WAIT : y->p->pace->wait);
}

static void begin(struct play *y)
{
    y->job->connect = seconds(y->started, gh_clock_now());
    gh_sock_set_nodelay(y->fd);
    if (y->job->probe->cut == 0) {
        say_rest(y);
        return;
    }
    y->step = CUTTING;
    y->upto = y->job->probe->cut;
    say_on(y);
    wait_for(y, CUT_WAIT);
}

static void on_timer(void *arg, int64_t now)
{
    struct play *y = arg;

    (void)now;
    if (y->step == CONNECTING)
        end_with(y, GH_PROBE_NO_ANSWER);
    else if (y->step == CUTTING)
        say_rest(y);
    else
        finish(y);
}

/* ---- what comes ---- */

static void on_fin(struct play *y)
{
    y->job->end = GH_PROBE_FIN;
    y->ended = gh_clock_now();
    if (y->job->probe->end || y->job->probe->first) {
        finish(y);
        return;
    }
    y->step = AFTER;
    gh_sock_send(y->fd, gh_span_str("\r"));
    wait_for(y, AFTER_WAIT);
}

static bool keep(struct play *y, const uint8_t *data, size_t len)
{
    size_t room = KEEP_MAX - y->in_len;
    uint8_t *in;

    len = len < room ? len : room;
    if (len == 0)
        return true;
    in = realloc(y->in, y->in_len + len);
    if (!in)
        return false;
    memcpy(in + y->in_len, data, len);
    y->in = in;
    y->in_len += len;
    return true;
}

static void on_bytes(struct play *y)
{
    if (y->first)
        return;
    y->first = gh_clock_now();
    if (y->step == WAITING && (y->job->probe->first || y->p->pace->answer)) {
        y->step = RESTING;
        wait_for(y, y->p->pace->answer ? 0 : REST_WAIT);
    }
}

/* Up to the end of what is there. */
static void listen_to(struct play *y)
{
    uint8_t buffer[16384];

    for (;;) {
        ssize_t n = gh_sock_receive(y->fd, buffer, sizeof buffer);

        if (n == GH_ERR_AGAIN)
            break;
        if (n == GH_ERR_CLOSED) {
            on_fin(y);
            return;
        }
        if (n < 0) {
            end_with(y, GH_PROBE_RESET);
            return;
        }
        if (y->tls) {
            gh_probe_tls_feed(y->tls, gh_span_of(buffer, (size_t)n));
            say_sealed(y);
        } else if (!keep(y, buffer, (size_t)n))
            y->p->failed = true;
        if (!y->tls || gh_probe_tls_is_answered(y->tls))
            on_bytes(y);
    }
    if (y->step == CUTTING && y->in_len)
        say_rest(y); /* it has answered to the first piece: go on */
}

static void on_edge(struct gh_edge *e, unsigned events)
{
    struct play *y = (struct play *)e;
    int rc;

    if (y->step == CONNECTING) {
        rc = gh_sock_connected(y->fd);
        if (rc == GH_ERR_AGAIN && !(events & GH_EDGE_FAILED))
            return;
        if (rc < 0) {
            end_with(y, errno == ECONNREFUSED ? GH_PROBE_REFUSED : GH_PROBE_NO_ANSWER);
            return;
        }
        begin(y);
    }
    if (y->step == AFTER) {
        y->reset_after = (events & GH_EDGE_FAILED) != 0;
        if (y->reset_after)
            finish(y);
        return;
    }
    say_on(y);
    if (events & (GH_EDGE_READ | GH_EDGE_END | GH_EDGE_FAILED))
        listen_to(y);
}

/* ---- datagrams ---- */

static void say_datagram(struct play *y)
{
    const struct gh_probe *probe = y->job->probe;
    uint8_t sealed[GH_PROBE_DATAGRAM];
    int len = 0;

    if (gh_random_bytes(y->id, sizeof y->id) < 0)
        y->p->failed = true;
    if (probe->sealed)
        len = gh_probe_udp_seal(y->id, gh_span_of(probe->bytes, probe->len), probe->sealed, sealed);
    y->p->failed |= len < 0;
    y->step = WAITING;
    y->job->connect = 0;
    y->said = gh_clock_now();
    if (len >= 0)
        gh_sock_send(y->fd, len ? gh_span_of(sealed, (size_t)len) : gh_span_of(probe->bytes, probe->len));
    wait_for(y, DATAGRAM_WAIT);
}

/* What comes again says nothing new. */
static void note(struct play *y, struct gh_span datagram)
{
    char words[GH_PROBE_WORDS];
    struct gh_text t;

    gh_text_init_fixed(&t, words, sizeof words);
    gh_probe_udp_describe(datagram, y->id, &t);
    if (!strstr(y->seen, gh_text_string(&t)))
        snprintf(y->seen + strlen(y->seen), sizeof y->seen - strlen(y->seen), "%s%s", *y->seen ? "; " : "", words);
}

static void on_datagram_edge(struct gh_edge *e, unsigned events)
{
    struct play *y = (struct play *)e;
    uint8_t buffer[4096];
    ssize_t n;

    (void)events;
    while ((n = gh_sock_receive(y->fd, buffer, sizeof buffer)) > 0) {
        note(y, gh_span_of(buffer, (size_t)n));
        if (!y->first) {
            y->first = gh_clock_now();
            wait_for(y, REST_WAIT);
        }
    }
    if (n != GH_ERR_AGAIN)
        end_with(y, GH_PROBE_REFUSED);
}

/* ---- all of them ---- */

static int start(struct player *p, struct gh_probe_job *job)
{
    struct play *y = calloc(1, sizeof *y);

    if (!y)
        return GH_ERR_MEMORY;
    job->connect = job->answer = job->close = -1;
    job->end = GH_PROBE_OPEN;
    y->p = p;
    y->job = job;
    y->edge.fn = job->probe->udp ? on_datagram_edge : on_edge;
    gh_deadline_init(&y->timer, on_timer, y);
    y->started = y->said = gh_clock_now();
    y->fd = job->probe->udp ? gh_udp_connect(job->to) : gh_sock_connect_tcp(job->to);
    if (y->fd < 0) {
        job->end = errno == ECONNREFUSED ? GH_PROBE_REFUSED : GH_PROBE_NO_ANSWER;
        put_words(y);
        free(y);
        return 0;
    }
    if (gh_edges_add(p->edges, y->fd, &y->edge) < 0) {
        gh_sock_close(y->fd);
        free(y);
        return GH_ERR_SYSTEM;
    }
    p->live++;
    if (job->probe->udp)
        say_datagram(y);
    else
        wait_for(y, CONNECT_WAIT);
    return 0;
}

static void on_next(void *arg, int64_t now)
{
    struct player *p = arg;

    (void)now;
    p->held = false;
}

static void hold(struct player *p)
{
    if (p->pace->apart <= 0)
        return;
    p->held = true;
    gh_worker_deadline_start(p->w, &p->next, gh_clock_now() + (int64_t)(p->pace->apart * 1e9));
}

int gh_probe_play(struct gh_probe_job *jobs, size_t count, const struct gh_probe_pace *pace)
{
    struct player p = { .pace = pace };
    int rc = gh_workers_create(&(struct gh_workers_config){ .count = 1, .name = "probe" }, &p.workers);

    if (rc < 0)
        return rc;
    p.w = gh_workers_at(p.workers, 0);
    gh_deadline_init(&p.next, on_next, &p);
    rc = gh_edges_create(p.w, &p.edges);
    for (size_t next = 0; rc == 0 && (next < count || p.live);) {
        while (rc == 0 && next < count && p.live < pace->together && !p.held) {
            rc = start(&p, &jobs[next++]);
            hold(&p);
        }
        if (rc == 0 && (p.live || p.held))
            gh_worker_turn(p.w, true);
    }
    while (p.live) /* those that were begun end by their own time-outs */
        gh_worker_turn(p.w, true);
    gh_worker_deadline_stop(p.w, &p.next);
    gh_edges_destroy(p.edges);
    gh_workers_destroy(p.workers);
    return rc == 0 && p.failed ? GH_ERR_MEMORY : rc;
}
