#include "services/door/door_again.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define DIGEST 16u
#define WAYS 4u

struct place {
    uint8_t digest[DIGEST];
    struct gh_endpoint local, remote;
    struct gh_quic_cid first;
    int64_t since;
    bool used;
};

struct door_again {
    struct place places[DOOR_AGAIN_PLACES];
};

int door_again_create(struct door_again **ret)
{
    struct door_again *a = calloc(1, sizeof *a);

    if (!a)
        return GH_ERR_MEMORY;
    *ret = a;
    return 0;
}

void door_again_destroy(struct door_again *a)
{
    free(a);
}

static size_t set_of(const uint8_t *digest)
{
    uint32_t n;

    memcpy(&n, digest, sizeof n);
    return n % (DOOR_AGAIN_PLACES / WAYS) * WAYS;
}

void door_again_remember(struct door_again *a, const struct door_again_flight *f, int64_t now)
{
    struct place *at = &a->places[set_of(f->digest)], *chosen = at;

    for (size_t i = 0; i < WAYS && chosen->used; i++)
        if (!at[i].used || at[i].since < chosen->since)
            chosen = &at[i];
    *chosen = (struct place){ .local = *f->local, .remote = *f->remote, .first = *f->first, .since = now, .used = true };
    memcpy(chosen->digest, f->digest, DIGEST);
}

static bool same_address(const struct gh_endpoint *a, const struct gh_endpoint *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip);
}

bool door_again_is(const struct door_again *a, const struct door_again_flight *f, int64_t now)
{
    const struct place *at = &a->places[set_of(f->digest)];

    for (size_t i = 0; i < WAYS; i++)
        if (at[i].used && now - at[i].since < DOOR_AGAIN_LIFE && memcmp(at[i].digest, f->digest, DIGEST) == 0 && same_address(&at[i].remote, f->remote) &&
            same_address(&at[i].local, f->local) && at[i].first.len == f->first->len && memcmp(at[i].first.data, f->first->data, f->first->len) == 0)
            return true;
    return false;
}
