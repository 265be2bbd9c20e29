/* The library's table of congestion control, filled by us.
 *
 * The library has no way to bring one's own. Programs link with --wrap=ngtcp2_cc_bbr_init, so that who asks for its third controller gets this one; the
 * tables and figures are laid out as in 1.11, and gh_quic_congestion_is_ours keeps others away. Within, the library's CUBIC waits for being needed.
 */
#include <string.h>

#include "proto/quic/congestion.h"
#include "proto/quic/internal.h"

#define VERSION 0x010b00 /* whose insides these are */
#define ROOM 616u        /* of the library for its third controller, and so for ours */
#define CUBIC_SIZE 328u

struct figures { /* of a connection */
    ngtcp2_duration latest_rtt, min_rtt, smoothed_rtt, rttvar, initial_rtt;
    ngtcp2_tstamp first_rtt_sample;
    size_t pto_count;
    ngtcp2_tstamp others[7];
    uint64_t cwnd, ssthresh;
    ngtcp2_tstamp recovery_start;
    uint64_t in_flight;
    size_t payload;
    uint64_t delivery_rate;
    ngtcp2_duration pacing_interval;
    size_t send_quantum;
};
_Static_assert(offsetof(struct figures, cwnd) == 112 && offsetof(struct figures, in_flight) == 136 && sizeof(struct figures) == 176, "as in 1.11");

struct acknowledged {
    uint64_t prior_in_flight, delivered, lost, delivered_when_sent;
    ngtcp2_tstamp largest_sent;
    ngtcp2_duration rtt; /* UINT64_MAX: none */
};

struct table {
    void *log;
    void (*on_packet_acked)(struct table *t, struct figures *f, const void *packet, ngtcp2_tstamp now);
    void (*on_packet_lost)(struct table *t, struct figures *f, const void *packet, ngtcp2_tstamp now);
    void (*on_congestion)(struct table *t, struct figures *f, ngtcp2_tstamp sent, uint64_t lost, ngtcp2_tstamp now);
    void (*on_spurious)(struct table *t, struct figures *f, ngtcp2_tstamp now);
    void (*on_persistent)(struct table *t, struct figures *f, ngtcp2_tstamp now);
    void (*on_acknowledged)(struct table *t, struct figures *f, const struct acknowledged *a, ngtcp2_tstamp now);
    void (*on_packet_sent)(struct table *t, struct figures *f, const void *packet);
    void (*on_rtt)(struct table *t, struct figures *f, ngtcp2_tstamp now);
    void (*reset)(struct table *t, struct figures *f, ngtcp2_tstamp now);
    void (*on_event)(struct table *t, struct figures *f, int event, ngtcp2_tstamp now);
};

struct controller {
    struct table table; /* first: the library's view of it */
    struct gh_quic_congestion loose;
    ngtcp2_duration smoothed_rtt, rttvar; /* when something was last acknowledged */
    union {
        struct table table;
        uint64_t bytes[CUBIC_SIZE / 8];
    } cubic;
};
_Static_assert(sizeof(struct controller) <= ROOM, "there is room for it");

void ngtcp2_cc_cubic_init(void *cubic, void *log, void *rates);
void __real_ngtcp2_cc_bbr_init(struct controller *c, void *log, struct figures *f, void *rates, ngtcp2_tstamp now, ngtcp2_rand rand,
                               const ngtcp2_rand_ctx *arg);
void __wrap_ngtcp2_cc_bbr_init(struct controller *c, void *log, struct figures *f, void *rates, ngtcp2_tstamp now, ngtcp2_rand rand,
                               const ngtcp2_rand_ctx *arg);

static struct controller *controller_of(struct table *t)
{
    return (struct controller *)(void *)t;
}

/* What governs itself has its own pace; spread over a round trip it would only be late. The library cannot be told not to pace, a nanosecond a byte is
 * the least. */
static void be_loose(struct controller *c, struct figures *f)
{
    f->cwnd = gh_quic_congestion_window(&c->loose, f->payload);
    f->pacing_interval = 1;
}

static void become_strict(struct controller *c, struct figures *f, ngtcp2_tstamp sent, ngtcp2_tstamp now)
{
    struct table *cubic = &c->cubic.table;

    cubic->reset(cubic, f, now);
    f->pacing_interval = 0; /* by the window */
    f->ssthresh = UINT64_MAX;
    if (f->in_flight < f->cwnd)
        f->cwnd = f->in_flight;
    f->recovery_start = UINT64_MAX;
    cubic->on_congestion(cubic, f, sent, f->payload, now);
}

static void on_acknowledged(struct table *t, struct figures *f, const struct acknowledged *a, ngtcp2_tstamp now)
{
    struct controller *c = controller_of(t);
    struct gh_quic_delivery d = { a->rtt == UINT64_MAX ? INT64_MAX : (int64_t)a->rtt, (int64_t)f->smoothed_rtt, f->delivery_rate, a->delivered };
    bool was_strict = c->loose.strict;

    c->smoothed_rtt = f->smoothed_rtt;
    c->rttvar = f->rttvar;
    gh_quic_congestion_on_ack(&c->loose, &d, (int64_t)now);
    if (was_strict && c->loose.strict)
        c->cubic.table.on_acknowledged(&c->cubic.table, f, a, now);
    else if (c->loose.strict)
        become_strict(c, f, now, now);
    else
        be_loose(c, f);
}

/* A loss, or without one a mark. */
static void on_congestion(struct table *t, struct figures *f, ngtcp2_tstamp sent, uint64_t lost, ngtcp2_tstamp now)
{
    struct controller *c = controller_of(t);
    bool was_strict = c->loose.strict;

    if (lost)
        gh_quic_congestion_on_lost(&c->loose, lost);
    else
        gh_quic_congestion_on_mark(&c->loose, (int64_t)now);
    if (was_strict)
        c->cubic.table.on_congestion(&c->cubic.table, f, sent, lost, now);
    else if (c->loose.strict)
        become_strict(c, f, sent, now);
}

static void on_spurious(struct table *t, struct figures *f, ngtcp2_tstamp now)
{
    struct controller *c = controller_of(t);

    if (c->loose.strict)
        c->cubic.table.on_spurious(&c->cubic.table, f, now);
}

/* The library has just forgotten the round-trip time, for a guess of 333 ms that makes timers slow. RFC 9002, section 5.2, asks for that of the shortest
 * alone, and the next sample counts as the first anyway. */
static void on_persistent(struct table *t, struct figures *f, ngtcp2_tstamp now)
{
    struct controller *c = controller_of(t);

    if (c->smoothed_rtt) {
        f->smoothed_rtt = c->smoothed_rtt;
        f->rttvar = c->rttvar;
    }
    gh_quic_congestion_on_silence(&c->loose);
    if (c->loose.strict)
        c->cubic.table.on_persistent(&c->cubic.table, f, now);
    else
        be_loose(c, f);
}

static void reset(struct table *t, struct figures *f, ngtcp2_tstamp now)
{
    struct controller *c = controller_of(t);

    gh_quic_congestion_init(&c->loose);
    c->smoothed_rtt = 0;
    c->cubic.table.reset(&c->cubic.table, f, now);
}

void __wrap_ngtcp2_cc_bbr_init(struct controller *c, void *log, struct figures *f, void *rates, ngtcp2_tstamp now, ngtcp2_rand rand,
                               const ngtcp2_rand_ctx *arg)
{
    if (!gh_quic_congestion_is_ours()) {
        __real_ngtcp2_cc_bbr_init(c, log, f, rates, now, rand, arg);
        return;
    }
    memset(c, 0, sizeof *c);
    ngtcp2_cc_cubic_init(&c->cubic, log, rates);
    gh_quic_congestion_init(&c->loose);
    c->table = (struct table){
        .log = log,
        .on_congestion = on_congestion,
        .on_spurious = on_spurious,
        .on_persistent = on_persistent,
        .on_acknowledged = on_acknowledged,
        .reset = reset,
    };
}

bool gh_quic_congestion_is_ours(void)
{
    return ngtcp2_version(0)->version_num == VERSION;
}
