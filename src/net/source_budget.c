#include "net/source_budget.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 8u
#define SECOND INT64_C(1000000000)

/* When each budget will be whole again, ns; a time of the past for one that is. A key of 0 is nobody's. */
struct gh_source_entry {
    uint64_t key;
    int64_t whole[2]; /* without and with a proof */
};

void gh_source_budget_init(struct gh_source_budget *b, const struct gh_hash_seed *seed, unsigned per_second)
{
    *b = (struct gh_source_budget){ .seed = *seed };
    gh_source_budget_set(b, per_second);
}

void gh_source_budget_fini(struct gh_source_budget *b)
{
    free(b->entries);
    b->entries = NULL;
}

void gh_source_budget_set(struct gh_source_budget *b, unsigned per_second)
{
    b->interval = per_second ? SECOND / per_second : 0;
}

/* Routed IPv6 networks do not begin with 32 zero bits. */
static uint64_t key_of(const struct gh_ip *ip)
{
    uint64_t key = 0;

    memcpy(&key, ip->bytes, ip->family == 4 ? 4 : 8);
    return ip->family == 4 ? key | UINT64_C(1) << 48 : key;
}

static int64_t debt(const struct gh_source_entry *e)
{
    return e->whole[1] > e->whole[0] ? e->whole[1] : e->whole[0];
}

/* The source's entry, perhaps a fresh one. NULL without memory. */
static struct gh_source_entry *entry_of(struct gh_source_budget *b, const struct gh_ip *from)
{
    uint64_t key = key_of(from);
    struct gh_source_entry *set, *least;

    if (!b->entries)
        b->entries = calloc(GH_SOURCE_BUDGET_SOURCES, sizeof *b->entries);
    if (!b->entries)
        return NULL;
    set = least = &b->entries[gh_hash_bytes(&b->seed, &key, sizeof key) % (GH_SOURCE_BUDGET_SOURCES / WAYS) * WAYS];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (debt(&set[i]) < debt(least))
            least = &set[i];
    }
    *least = (struct gh_source_entry){ .key = key };
    return least;
}

static void charge(const struct gh_source_budget *b, int64_t *whole, int64_t count, int64_t now)
{
    if (*whole < now)
        *whole = now;
    *whole += count * b->interval;
    if (*whole > now + (GH_SOURCE_BUDGET_BURST + GH_SOURCE_BUDGET_DEBT_MAX) * SECOND)
        *whole = now + (GH_SOURCE_BUDGET_BURST + GH_SOURCE_BUDGET_DEBT_MAX) * SECOND;
}

enum gh_source_answer gh_source_budget_take(struct gh_source_budget *b, const struct gh_ip *from, bool proved, int64_t now)
{
    struct gh_source_entry *e = b->interval ? entry_of(b, from) : NULL;

    if (!e)
        return GH_SOURCE_GO;
    if (e->whole[proved] + b->interval > now + GH_SOURCE_BUDGET_BURST * SECOND)
        return proved ? GH_SOURCE_REFUSE : GH_SOURCE_PROVE;
    charge(b, &e->whole[proved], 1, now);
    return GH_SOURCE_GO;
}

void gh_source_budget_punish(struct gh_source_budget *b, const struct gh_ip *from, int64_t now)
{
    struct gh_source_entry *e = b->interval ? entry_of(b, from) : NULL;

    if (!e)
        return;
    charge(b, &e->whole[0], GH_SOURCE_BUDGET_PENALTY, now);
    charge(b, &e->whole[1], GH_SOURCE_BUDGET_PENALTY, now);
}
