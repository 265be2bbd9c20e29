#include "proto/quic/pmtu.h"

#define MINIMUM_IPV6 1314u /* what our own overhead needs for 1280 bytes */
#define LATER 64u /* that many later a smaller size replaces a larger one that arrived */
#define TRIES 3u
#define LOST_MIN 8u
#define BATCHES_MIN 3u
#define UNKNOWN INT64_C(5000000000) /* the library's three probes of the first size, and time to spare */
#define RAISE INT64_C(600000000000) /* RFC 8899, section 5.1.1: PMTU_RAISE_TIMER */

/* Sizes tried from below: IPv6's minimum inside, tunnels, PPPoE, Ethernet with IPv6 and IPv4, jumbo frames. */
static const uint16_t steps[] = { MINIMUM_IPV6, GH_QUIC_PAYLOAD_IPV6, 1400, 1452, 1472, 4000, 8952 };
#define STEPS (sizeof steps / sizeof *steps)

void gh_quic_pmtu_init(struct gh_quic_pmtu *p, size_t ceiling)
{
    *p = (struct gh_quic_pmtu){ .ceiling = ceiling, .cap = ceiling, .raise_at = INT64_MAX };
}

size_t gh_quic_pmtu_first_flight(const struct gh_quic_pmtu *p)
{
    return p->fell_back || p->ceiling < GH_QUIC_PAYLOAD_IPV6 ? GH_QUIC_PAYLOAD_BASE : GH_QUIC_PAYLOAD_IPV6;
}

void gh_quic_pmtu_on_timeout(struct gh_quic_pmtu *p)
{
    if (!p->proven)
        p->fell_back = true;
}

void gh_quic_pmtu_on_answer(struct gh_quic_pmtu *p)
{
    if (!p->proven)
        p->proven = gh_quic_pmtu_first_flight(p);
}

void gh_quic_pmtu_on_acked(struct gh_quic_pmtu *p, size_t size)
{
    if (p->lost == 0 || size <= p->arrived)
        return;
    p->arrived = size;
    if (size >= p->largest) {
        p->lost = p->batches = 0;
    } else if (size >= p->smallest) { /* some were lost for another reason; that one was not is all that is known */
        p->lost = p->batches = 1;
        p->smallest = p->largest;
    }
}

void gh_quic_pmtu_note(struct gh_quic_pmtu *p, size_t size, uint64_t order)
{
    if (order <= p->last_order || size <= GH_QUIC_PAYLOAD_BASE || (size < p->last_size && order - p->last_order < LATER))
        return;
    p->last_size = size;
    p->last_order = order;
}

bool gh_quic_pmtu_excuses(const struct gh_quic_pmtu *p, size_t size, uint64_t order)
{
    return size <= p->last_size && order < p->last_order;
}

/* The next size above the cap that the ceiling allows; the search is over when there is none. */
static void next_step(struct gh_quic_pmtu *p, int64_t now, bool failed)
{
    p->in_flight = false;
    p->tries = 0;
    while (p->step < STEPS && steps[p->step] <= p->cap)
        p->step++;
    p->searching = !failed && p->step < STEPS && steps[p->step] <= p->ceiling;
    p->raise_at = failed ? now + RAISE : INT64_MAX;
}

bool gh_quic_pmtu_on_lost(struct gh_quic_pmtu *p, size_t size, int64_t now)
{
    if (size <= GH_QUIC_PAYLOAD_BASE || size > p->cap)
        return false; /* above the cap: sent before it was lowered */
    if (p->lost == 0) {
        p->smallest = p->largest = size;
        p->arrived = 0;
    } else if (size <= p->arrived) {
        return false;
    }
    if (p->lost == 0 || now != p->lost_at)
        p->batches++;
    if (size < p->smallest)
        p->smallest = size;
    if (size > p->largest)
        p->largest = size;
    p->lost_at = now;
    if (++p->lost < LOST_MIN || p->batches < BATCHES_MIN)
        return false;
    p->cap = GH_QUIC_PAYLOAD_BASE;
    p->lost = p->batches = 0;
    p->step = 0;
    p->proven = 0;
    p->holes++;
    next_step(p, now, false);
    return true;
}

size_t gh_quic_pmtu_probe(const struct gh_quic_pmtu *p, int64_t now)
{
    if (p->in_flight || (!p->searching && now < p->raise_at))
        return 0;
    return p->step < STEPS && steps[p->step] <= p->ceiling ? steps[p->step] : 0;
}

void gh_quic_pmtu_on_probe_sent(struct gh_quic_pmtu *p)
{
    p->in_flight = p->searching = true;
    p->raise_at = INT64_MAX;
    p->tries++;
}

void gh_quic_pmtu_on_probe_acked(struct gh_quic_pmtu *p, size_t size, int64_t now)
{
    if (!p->searching || size <= p->cap)
        return;
    p->cap = size;
    next_step(p, now, false);
    if (!p->searching)
        p->cap = p->ceiling;
}

void gh_quic_pmtu_on_probe_lost(struct gh_quic_pmtu *p, int64_t now)
{
    p->in_flight = false;
    if (p->searching && p->tries >= TRIES)
        next_step(p, now, true);
}

void gh_quic_pmtu_reset(struct gh_quic_pmtu *p, int64_t now)
{
    unsigned holes = p->holes;

    gh_quic_pmtu_init(p, p->ceiling);
    p->holes = holes;
    p->unknown_until = now + UNKNOWN;
}

size_t gh_quic_pmtu_carries(const struct gh_quic_pmtu *p, size_t library, int64_t now)
{
    size_t found = p->proven > library ? p->proven : library;

    if (now < p->unknown_until && found < GH_QUIC_PAYLOAD_IPV6)
        found = GH_QUIC_PAYLOAD_IPV6;
    if (p->cap >= found)
        return found;
    if (p->searching && p->step < STEPS && steps[p->step] == MINIMUM_IPV6)
        return GH_QUIC_PAYLOAD_IPV6;
    return p->cap;
}
