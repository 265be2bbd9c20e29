#include "proto/quic/congestion.h"

#include <stddef.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

#define PACKETS_FIRST 10u     /* of the window until so many have arrived (RFC 9002, section 7.2) */
#define PACKETS_LEAST 32u     /* later: where little was sent, little is known */
#define ROUND_TRIPS 4         /* of the window: TCP doubles in slow start, and its acknowledgements come more often and larger at a loss */
#define SLACK (5 * MS)        /* what timers, batches and schedulers may take */
#define RATE_ROUNDS 10u
#define LONG_ROUNDS 20u
#define SPELL_ROUNDS 8u
#define SPELL_BYTES (256u * 1400u) /* fewer packets say little about a share */
#define BAD_SPELLS 3u
#define STRICT_FIRST (10 * SECOND)
#define STRICT_LONGEST (640 * SECOND)

void gh_quic_congestion_init(struct gh_quic_congestion *c)
{
    *c = (struct gh_quic_congestion){ .rtt_min = INT64_MAX, .round_rtt_min = INT64_MAX, .strict_time = STRICT_FIRST };
}

static int64_t time_of_window(const struct gh_quic_congestion *c)
{
    return ROUND_TRIPS * c->rtt_min + SLACK;
}

static void begin_spell(struct gh_quic_congestion *c)
{
    c->spell_rounds = 0;
    c->spell_delivered = c->spell_lost = 0;
}

static void become_strict(struct gh_quic_congestion *c, int64_t now)
{
    c->strict = true;
    c->strict_until = now + c->strict_time;
    if (c->strict_time < STRICT_LONGEST)
        c->strict_time *= 2;
    c->bad_spells = 0;
}

static void end_spell(struct gh_quic_congestion *c, int64_t now)
{
    bool bad = c->spell_lost * 9 > c->spell_delivered;

    begin_spell(c);
    c->bad_spells = bad ? c->bad_spells + 1 : 0;
    if (!c->strict && c->bad_spells >= BAD_SPELLS)
        become_strict(c, now);
}

/* A path may get longer. With the window full all packets are as late as the window is long; when they are later than that, and go on to be, it is the
 * path: less than it can carry would be in flight, and the rate that is measured then would make it less still. */
static void judge_length(struct gh_quic_congestion *c)
{
    c->long_rounds = c->round_rtt_min != INT64_MAX && c->round_rtt_min > time_of_window(c) ? c->long_rounds + 1 : 0;
    if (c->long_rounds < LONG_ROUNDS)
        return;
    c->rtt_min = c->round_rtt_min;
    c->long_rounds = 0;
}

static void end_round(struct gh_quic_congestion *c, int64_t now, int64_t smoothed_rtt)
{
    judge_length(c);
    c->round_rtt_min = INT64_MAX;
    c->round_end = now + smoothed_rtt;
    if (++c->rate_rounds >= RATE_ROUNDS) {
        c->rate_rounds = 0;
        c->rate[1] = c->rate[0];
        c->rate[0] = 0;
    }
    if (++c->spell_rounds >= SPELL_ROUNDS && c->spell_delivered + c->spell_lost >= SPELL_BYTES)
        end_spell(c, now);
    if (c->strict && now >= c->strict_until) {
        c->strict = false;
        c->bad_spells = 0;
        begin_spell(c);
    }
}

void gh_quic_congestion_on_ack(struct gh_quic_congestion *c, const struct gh_quic_delivery *d, int64_t now)
{
    if (d->rtt < c->rtt_min)
        c->rtt_min = d->rtt;
    if (d->rtt < c->round_rtt_min)
        c->round_rtt_min = d->rtt;
    if (d->rate > c->rate[0])
        c->rate[0] = d->rate;
    c->delivered += d->delivered;
    c->spell_delivered += d->delivered;
    if (now >= c->round_end)
        end_round(c, now, d->smoothed_rtt);
}

void gh_quic_congestion_on_lost(struct gh_quic_congestion *c, uint64_t bytes)
{
    c->spell_lost += bytes;
}

void gh_quic_congestion_on_mark(struct gh_quic_congestion *c, int64_t now)
{
    if (!c->strict)
        become_strict(c, now);
    else if (c->strict_until < now + STRICT_FIRST)
        c->strict_until = now + STRICT_FIRST;
}

void gh_quic_congestion_on_silence(struct gh_quic_congestion *c)
{
    c->rate[0] = c->rate[1] = 0;
    c->rtt_min = c->round_rtt_min = INT64_MAX;
    c->long_rounds = 0;
    c->bad_spells = 0;
    c->delivered = 0;
    begin_spell(c);
}

uint64_t gh_quic_congestion_window(const struct gh_quic_congestion *c, uint64_t payload)
{
    uint64_t rate = c->rate[0] > c->rate[1] ? c->rate[0] : c->rate[1], first = PACKETS_FIRST * payload, window;
    uint64_t least = c->delivered < first ? first : PACKETS_LEAST * payload;

    if (c->rtt_min == INT64_MAX)
        return least;
    window = (uint64_t)((double)rate * (double)time_of_window(c) / (double)SECOND);
    return window < least ? least : window;
}
