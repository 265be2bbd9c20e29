/* tests/fuzz/fragment/fragment_fuzz.c - which fragments may follow, against a naive memory of every byte that came
 *
 * Records of five bytes: packet and session (flags), offset in units of eight bytes (two), length (one, in units of eight bytes,
 * of the last piece in bytes), time that passes first (one, in seconds).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/span.h"
#include "proto/forward/fragment.h"

#define SESSIONS 2u
#define PACKETS 4u /* ids of one session */
#define MAX 5u
#define MAX_PER_SESSION 3u
#define TIMEOUT 30
#define BYTES 65536u

#define REQUIRE(right)                                                  \
    do {                                                                \
        if (!(right)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #right); \
            abort();                                                    \
        }                                                               \
    } while (0)

/* A packet under way: every byte of it. */
struct naive {
    bool there;
    int64_t since;
    uint64_t number; /* the order in which packets began */
    uint8_t came[BYTES];
    uint32_t end; /* 0: not known */
};

static struct naive world[SESSIONS][PACKETS];

static unsigned count(unsigned session)
{
    unsigned n = 0;

    for (unsigned s = 0; s < SESSIONS; s++)
        for (unsigned i = 0; i < PACKETS; i++)
            n += world[s][i].there && (session == SESSIONS || s == session);
    return n;
}

static struct naive *oldest(unsigned session)
{
    struct naive *best = NULL;

    for (unsigned s = 0; s < SESSIONS; s++)
        for (unsigned i = 0; i < PACKETS; i++)
            if (world[s][i].there && (session == SESSIONS || s == session) && (!best || world[s][i].number < best->number))
                best = &world[s][i];
    return best;
}

static enum gh_drop naive_first(unsigned session, struct naive *p, uint32_t len, int64_t now, uint64_t number)
{
    if (p->there && now - p->since >= TIMEOUT)
        p->there = false;
    if (p->there)
        return GH_DROP_FRAGMENT_OVERLAP;
    if (count(session) == MAX_PER_SESSION)
        oldest(session)->there = false;
    if (count(SESSIONS) == MAX) /* the oldest of all makes room */
        oldest(SESSIONS)->there = false;
    memset(p, 0, sizeof *p);
    p->there = true;
    p->since = now;
    p->number = number;
    memset(p->came, 1, len);
    return GH_DROP_NONE;
}

static unsigned runs(const uint8_t *came)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < BYTES; i++)
        n += came[i] && (i == 0 || !came[i - 1]);
    return n;
}

static enum gh_drop naive_next(struct naive *p, uint32_t from, uint32_t len, bool more, int64_t now)
{
    if (p->there && now - p->since >= TIMEOUT)
        p->there = false;
    if (!p->there)
        return GH_DROP_FRAGMENT_ORPHAN;
    if (p->end && (from + len > p->end || (!more && from + len != p->end)))
        return GH_DROP_FRAGMENT_OVERLAP;
    for (uint32_t i = from; i < BYTES; i++)
        if (p->came[i] && (i < from + len || !more)) /* twice, or behind the end */
            return GH_DROP_FRAGMENT_OVERLAP;
    memset(p->came + from, 1, len);
    if (runs(p->came) > GH_FRAGMENT_RANGES) {
        memset(p->came + from, 0, len);
        return GH_DROP_FRAGMENT_LIMIT;
    }
    if (!more)
        p->end = from + len;
    if (p->end && !memchr(p->came, 0, p->end))
        p->there = false; /* whole */
    return GH_DROP_NONE;
}

static void step(struct gh_fragment_table *t, struct gh_fragment_owner *owners, struct gh_reader *r, int64_t *now, uint64_t number)
{
    static const uint8_t addr[4] = { 10, 0, 0, 1 };
    uint8_t flags = gh_read_u8(r);
    uint32_t from = (uint32_t)(gh_read_u16(r) % 8192) * 8, len;
    unsigned session = flags & 1, id = flags >> 1 & 3;
    bool more = flags & 8;
    struct gh_ip_packet p = { .version = 4, .protocol = 17, .fragment = true, .more = more, .frag_off = (uint16_t)from, .frag_id = id };
    struct gh_fragment_key key;
    void *flow = NULL;
    uint64_t serial = 0;

    len = (gh_read_u8(r) + 1u) * (more ? 8 : 1);
    *now += gh_read_u8(r) % 16;
    if (from + len > 65535 || (from == 0 && !more))
        return; /* the parser refuses the one; the other is no fragment */
    p.src = p.dst = gh_ip_v4(addr);
    p.frag_data = 20;
    p.total_len = 20 + len;
    gh_fragment_key_of(&owners[session], 0, &p, &key);
    if (from == 0) {
        REQUIRE(gh_fragment_first(t, &owners[session], &key, &p, &world[session][id], id, *now) ==
                naive_first(session, &world[session][id], len, *now, number));
    } else {
        enum gh_drop got = gh_fragment_next(t, &key, &p, *now, &flow, &serial);

        REQUIRE(got == naive_next(&world[session][id], from, len, more, *now));
        REQUIRE(got != GH_DROP_NONE || (flow == &world[session][id] && serial == id));
    }
    REQUIRE(t->count == count(SESSIONS) && owners[0].count == count(0) && owners[1].count == count(1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gh_hash_seed seed = { 1, 2 };
    struct gh_reader r = gh_reader_of(gh_span_of(data, size < 5 * 200 ? size : 5 * 200));
    struct gh_fragment_owner owners[SESSIONS];
    struct gh_fragment_table t;
    int64_t now = 0;

    memset(world, 0, sizeof world);
    REQUIRE(gh_fragment_table_init(&t, MAX, MAX_PER_SESSION, TIMEOUT, &seed) == 0);
    for (unsigned i = 0; i < SESSIONS; i++)
        gh_fragment_owner_init(&owners[i]);
    for (uint64_t number = 1; gh_reader_left(&r) >= 5; number++)
        step(&t, owners, &r, &now, number);
    for (unsigned i = 0; i < SESSIONS; i++)
        gh_fragment_owner_fini(&t, &owners[i]);
    REQUIRE(t.count == 0 && t.map.count == 0);
    gh_fragment_table_fini(&t);
    return 0;
}
