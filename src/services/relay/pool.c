#include "services/relay/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"

/* An address that was given out at least once. Records are never freed before the pool is: one without an identity waits in its
 * range's free list, so their number is what bounds the memory. */
struct slot {
    struct gh_map_node by_addr;
    struct gh_map_node by_identity; /* only while <identity_len> > 0 */
    struct gh_list link;            /* range.free, range.released, or alone while held */
    struct range *range;
    uint64_t order; /* of the release: smaller is longer ago */
    int64_t first_seen, last_seen;
    struct gh_ip addr;
    uint32_t tenant;
    uint32_t holds;
    size_t identity_len;
    uint8_t *identity; /* identity_len bytes */
};

/* One prefix. Addresses are counted from its first one: the ordinal. */
struct range {
    struct gh_prefix prefix;
    struct gh_ip relay;
    uint64_t first, last; /* ordinals of leases; first > last when there is none */
    uint64_t next;        /* no ordinal below it is without a slot, unless <slots> reached <limit> */
    uint64_t slots, limit;
    uint64_t held;
    struct gh_list free, released; /* released: longest ago first */
    uint64_t released_count;
};

struct gh_pool {
    struct gh_map by_addr, by_identity;
    struct gh_hash_seed seed;
    uint64_t order;
    size_t range_count;
    struct range ranges[GH_POOL_PREFIXES_MAX];
};

struct identity_key {
    uint32_t tenant;
    uint8_t family;
    struct gh_span name;
};

static struct slot *slot_of_addr(struct gh_map_node *n)
{
    return n ? gh_container_of(n, struct slot, by_addr) : NULL;
}

static bool addr_equals(const struct gh_map_node *n, const void *key)
{
    return gh_ip_equals(&gh_container_of(n, struct slot, by_addr)->addr, key);
}

static bool identity_equals(const struct gh_map_node *n, const void *key)
{
    const struct slot *s = gh_container_of(n, struct slot, by_identity);
    const struct identity_key *k = key;

    return s->tenant == k->tenant && s->addr.family == k->family &&
           gh_span_equals(gh_span_of(s->identity, s->identity_len), k->name);
}

static uint64_t addr_hash(const struct gh_pool *p, const struct gh_ip *a)
{
    uint8_t key[17];

    key[0] = a->family;
    memcpy(key + 1, a->bytes, 16);
    return gh_hash_bytes(&p->seed, key, sizeof key);
}

static uint64_t identity_hash(const struct gh_pool *p, const struct identity_key *k)
{
    uint8_t key[5 + GH_POOL_IDENTITY_MAX];

    memcpy(key, &k->tenant, 4);
    key[4] = k->family;
    memcpy(key + 5, k->name.data, k->name.len);
    return gh_hash_bytes(&p->seed, key, 5 + k->name.len);
}

static bool name_fits(struct gh_span name)
{
    return name.len > 0 && name.len <= GH_POOL_IDENTITY_MAX;
}

static struct slot *find_addr(const struct gh_pool *p, const struct gh_ip *a)
{
    return slot_of_addr(gh_map_find(&p->by_addr, addr_hash(p, a), a));
}

static struct slot *find_identity(const struct gh_pool *p, const struct identity_key *k)
{
    struct gh_map_node *n = gh_map_find(&p->by_identity, identity_hash(p, k), k);

    return n ? gh_container_of(n, struct slot, by_identity) : NULL;
}

static uint64_t low_bits(const struct gh_ip *a)
{
    size_t len = gh_ip_len(a);
    uint64_t v = 0;

    for (size_t i = len > 8 ? len - 8 : 0; i < len; i++)
        v = v << 8 | a->bytes[i];
    return v;
}

static struct gh_ip addr_at(const struct range *r, uint64_t ordinal)
{
    struct gh_ip a = r->prefix.addr;
    size_t len = gh_ip_len(&a);
    uint64_t v = low_bits(&a) + ordinal; /* the bits below the prefix are zero: no carry leaves them */

    for (size_t i = 0; i < 8 && i < len; i++, v >>= 8)
        a.bytes[len - 1 - i] = (uint8_t)v;
    return a;
}

/* False when <a> is not in the prefix, or is further from its start than ordinals reach. */
static bool ordinal_of(const struct range *r, const struct gh_ip *a, uint64_t *ret)
{
    if (!gh_prefix_contains(&r->prefix, a))
        return false;
    if (a->family == 6 && memcmp(a->bytes, r->prefix.addr.bytes, 8) != 0)
        return false;
    *ret = low_bits(a) - low_bits(&r->prefix.addr);
    return true;
}

static void range_init(struct range *r, const struct gh_prefix *prefix, uint32_t leases_max)
{
    unsigned host = gh_ip_bits(&prefix->addr) - prefix->len;
    uint64_t top = host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
    bool pair = host <= 1; /* a /31, /32, /127 or /128 has no network address */
    uint64_t hosts;

    *r = (struct range){ .prefix = *prefix, .first = pair ? 1 : 2, .last = top };
    if (prefix->addr.family == 4 && !pair)
        r->last--; /* broadcast */
    r->next = r->first;
    hosts = r->last < r->first ? 0 : r->last - r->first + 1;
    r->limit = hosts < leases_max ? hosts : leases_max;
    r->relay = addr_at(r, pair ? 0 : 1);
    gh_list_init(&r->free);
    gh_list_init(&r->released);
}

static bool prefixes_overlap(const struct gh_prefix *a, const struct gh_prefix *b)
{
    return gh_prefix_covers(a, b) || gh_prefix_covers(b, a);
}

static int check_conf(const struct gh_pool_conf *conf)
{
    if (conf->prefix_count == 0 || conf->prefix_count > GH_POOL_PREFIXES_MAX || conf->leases_max == 0)
        return GH_ERR_RANGE;
    for (size_t i = 0; i < conf->prefix_count; i++) {
        const struct gh_prefix *a = &conf->prefixes[i];

        if ((a->addr.family != 4 && a->addr.family != 6) || !gh_prefix_valid(a))
            return GH_ERR_RANGE;
        for (size_t j = 0; j < i; j++)
            if (prefixes_overlap(a, &conf->prefixes[j]))
                return GH_ERR_EXISTS;
    }
    return 0;
}

int gh_pool_create(const struct gh_pool_conf *conf, struct gh_pool **ret)
{
    struct gh_pool *p;
    int rc = check_conf(conf);

    if (rc < 0)
        return rc;
    p = calloc(1, sizeof *p);
    if (!p)
        return GH_ERR_MEMORY;
    p->seed = conf->seed;
    for (; p->range_count < conf->prefix_count; p->range_count++)
        range_init(&p->ranges[p->range_count], &conf->prefixes[p->range_count], conf->leases_max);
    if (gh_map_init(&p->by_addr, 256, addr_equals) < 0 || gh_map_init(&p->by_identity, 256, identity_equals) < 0) {
        gh_pool_destroy(p);
        return GH_ERR_MEMORY;
    }
    *ret = p;
    return 0;
}

static void slot_free(struct gh_map_node *n, void *arg)
{
    struct slot *s = slot_of_addr(n);

    (void)arg;
    free(s->identity);
    free(s);
}

void gh_pool_destroy(struct gh_pool *p)
{
    if (!p)
        return;
    gh_map_each(&p->by_addr, slot_free, NULL);
    gh_map_fini(&p->by_addr);
    gh_map_fini(&p->by_identity);
    free(p);
}

struct gh_ip gh_pool_relay_addr(const struct gh_pool *p, size_t index)
{
    return index < p->range_count ? p->ranges[index].relay : (struct gh_ip){ 0 };
}

/* Takes a slot out of the list that it is in. */
static void slot_detach(struct slot *s)
{
    if (s->identity_len > 0 && s->holds == 0)
        s->range->released_count--;
    gh_list_unlink(&s->link);
}

static void slot_to_released(struct gh_pool *p, struct slot *s)
{
    s->order = ++p->order;
    s->range->released_count++;
    gh_list_append(&s->range->released, &s->link);
}

/* Ends the reservation of a slot that is in no list. */
static void slot_clear(struct gh_pool *p, struct slot *s)
{
    gh_map_remove(&p->by_identity, &s->by_identity);
    free(s->identity);
    s->identity = NULL;
    s->identity_len = 0;
}

/* Gives a slot without identity to <k>; it is in no list afterwards. */
static int slot_assign(struct gh_pool *p, struct slot *s, const struct identity_key *k)
{
    uint8_t *name = malloc(k->name.len);

    if (!name)
        return GH_ERR_MEMORY;
    memcpy(name, k->name.data, k->name.len);
    gh_list_unlink(&s->link);
    s->identity = name;
    s->identity_len = k->name.len;
    s->tenant = k->tenant;
    gh_map_insert(&p->by_identity, &s->by_identity, identity_hash(p, k));
    return 0;
}

/* A new record for an address that has none; it stands in the free list. */
static int slot_create(struct gh_pool *p, struct range *r, const struct gh_ip *addr, struct slot **ret)
{
    struct slot *s = calloc(1, sizeof *s);

    if (!s)
        return GH_ERR_MEMORY;
    s->range = r;
    s->addr = *addr;
    gh_list_append(&r->free, &s->link);
    gh_map_insert(&p->by_addr, &s->by_addr, addr_hash(p, addr));
    r->slots++;
    *ret = s;
    return 0;
}

static struct slot *first_free(struct range *r)
{
    return gh_list_empty(&r->free) ? NULL : gh_container_of(r->free.next, struct slot, link);
}

/* A slot for an address that nobody has: GH_ERR_RANGE when it is no lease of ours, GH_ERR_EXISTS when somebody has it, GH_ERR_FULL
 * when the range may hold no more records. */
static int slot_at(struct gh_pool *p, const struct gh_ip *addr, struct slot **ret)
{
    for (size_t i = 0; i < p->range_count; i++) {
        struct range *r = &p->ranges[i];
        uint64_t ordinal;
        struct slot *s;

        if (!ordinal_of(r, addr, &ordinal))
            continue;
        if (ordinal < r->first || ordinal > r->last)
            return GH_ERR_RANGE;
        s = find_addr(p, addr);
        if (s && s->identity_len > 0)
            return GH_ERR_EXISTS;
        if (s) {
            *ret = s;
            return 0;
        }
        if (r->slots < r->limit)
            return slot_create(p, r, addr, ret);
        s = first_free(r);
        if (!s)
            return GH_ERR_FULL;
        /* At the limit a free record moves to the new address. The old address loses its record; nothing is lost with it,
         * because from now on every lease of this range comes from an existing record. */
        gh_map_remove(&p->by_addr, &s->by_addr);
        s->addr = *addr;
        gh_map_insert(&p->by_addr, &s->by_addr, addr_hash(p, addr));
        *ret = s;
        return 0;
    }
    return GH_ERR_RANGE;
}

/* A slot that no identity has, from the first range of the family with one. 0, GH_ERR_FULL or GH_ERR_MEMORY. */
static int slot_unused(struct gh_pool *p, uint8_t family, struct slot **ret)
{
    for (size_t i = 0; i < p->range_count; i++) {
        struct range *r = &p->ranges[i];
        struct gh_ip addr;

        if (r->prefix.addr.family != family)
            continue;
        *ret = first_free(r);
        if (*ret)
            return 0;
        if (r->slots >= r->limit)
            continue;
        /* Fewer records than addresses: one ordinal from <next> on has none. Each step passes a record that a wanted address
         * made, once. */
        for (addr = addr_at(r, r->next); find_addr(p, &addr); gh_ip_increment(&addr))
            r->next++;
        r->next++;
        return slot_create(p, r, &addr, ret);
    }
    return GH_ERR_FULL;
}

/* The slot of the family whose identity has been absent longest, in no list and without its identity. */
static struct slot *slot_evict(struct gh_pool *p, uint8_t family)
{
    struct slot *oldest = NULL;

    for (size_t i = 0; i < p->range_count; i++) {
        struct range *r = &p->ranges[i];

        if (r->prefix.addr.family == family && !gh_list_empty(&r->released)) {
            struct slot *s = gh_container_of(r->released.next, struct slot, link);

            if (!oldest || s->order < oldest->order)
                oldest = s;
        }
    }
    if (oldest) {
        slot_detach(oldest);
        slot_clear(p, oldest);
        gh_list_append(&oldest->range->free, &oldest->link);
    }
    return oldest;
}

static void lease_of(const struct slot *s, bool fresh, struct gh_pool_lease *ret)
{
    *ret = (struct gh_pool_lease){ .addr = s->addr,
                                   .prefix = s->range->prefix,
                                   .first_seen = s->first_seen,
                                   .last_seen = s->last_seen,
                                   .holds = s->holds,
                                   .fresh = fresh };
}

/* A new lease for an identity without one. <ret> is in no list. */
static int lease_create(struct gh_pool *p, const struct identity_key *k, const struct gh_ip *wanted, struct slot **ret)
{
    struct slot *s = NULL;
    int rc = GH_ERR_RANGE;

    if (wanted->family == k->family)
        rc = slot_at(p, wanted, &s);
    if (rc < 0 && rc != GH_ERR_MEMORY)
        rc = slot_unused(p, k->family, &s);
    if (rc == GH_ERR_FULL) {
        s = slot_evict(p, k->family);
        rc = s ? 0 : GH_ERR_FULL;
    }
    if (rc == 0)
        rc = slot_assign(p, s, k);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* An absent identity comes back and asks for an address that nobody has: its reservation moves there. False: it stays. */
static bool lease_move(struct gh_pool *p, const struct identity_key *k, struct slot *old, const struct gh_ip *wanted,
                       struct slot **ret)
{
    struct slot *s;

    if (wanted->family != k->family || gh_ip_equals(wanted, &old->addr) || slot_at(p, wanted, &s) < 0)
        return false;
    if (slot_assign(p, s, k) < 0)
        return false;
    slot_detach(old);
    slot_clear(p, old);
    gh_list_append(&old->range->free, &old->link);
    *ret = s;
    return true;
}

int gh_pool_acquire(struct gh_pool *p, const struct gh_pool_request *req, struct gh_pool_lease *ret)
{
    struct identity_key k = { req->tenant, req->family, req->identity };
    bool fresh = false;
    struct slot *s;
    int rc;

    if (!name_fits(req->identity) || (req->family != 4 && req->family != 6))
        return GH_ERR_RANGE;
    s = find_identity(p, &k);
    if (!s) {
        rc = lease_create(p, &k, &req->wanted, &s);
        if (rc < 0)
            return rc;
        fresh = true;
    } else if (s->holds == 0) {
        fresh = lease_move(p, &k, s, &req->wanted, &s);
        if (!fresh)
            slot_detach(s);
    }
    if (fresh)
        s->first_seen = req->wall;
    if (s->holds++ == 0)
        s->range->held++;
    s->last_seen = req->wall;
    lease_of(s, fresh, ret);
    return 0;
}

int gh_pool_restore(struct gh_pool *p, uint32_t tenant, struct gh_span identity, const struct gh_ip *addr, int64_t first_seen,
                    int64_t last_seen)
{
    struct identity_key k = { tenant, addr->family, identity };
    struct slot *s;
    int rc;

    if (!name_fits(identity))
        return GH_ERR_RANGE;
    if (find_identity(p, &k))
        return GH_ERR_EXISTS;
    rc = slot_at(p, addr, &s);
    if (rc == 0)
        rc = slot_assign(p, s, &k);
    if (rc < 0)
        return rc;
    s->first_seen = first_seen;
    s->last_seen = last_seen;
    slot_to_released(p, s);
    return 0;
}

int gh_pool_release(struct gh_pool *p, const struct gh_ip *addr, int64_t wall)
{
    struct slot *s = find_addr(p, addr);

    if (!s || s->identity_len == 0)
        return GH_ERR_NOT_FOUND;
    if (s->holds == 0)
        return GH_ERR_STATE;
    s->last_seen = wall;
    if (--s->holds == 0) {
        s->range->held--;
        slot_to_released(p, s);
    }
    return 0;
}

int gh_pool_forget(struct gh_pool *p, const struct gh_ip *addr)
{
    struct slot *s = find_addr(p, addr);

    if (!s || s->identity_len == 0)
        return GH_ERR_NOT_FOUND;
    if (s->holds > 0)
        return GH_ERR_STATE;
    slot_detach(s);
    slot_clear(p, s);
    gh_list_append(&s->range->free, &s->link);
    return 0;
}

int gh_pool_find(const struct gh_pool *p, uint32_t tenant, struct gh_span identity, uint8_t family, struct gh_pool_lease *ret)
{
    struct identity_key k = { tenant, family, identity };
    struct slot *s = name_fits(identity) ? find_identity(p, &k) : NULL;

    if (!s)
        return GH_ERR_NOT_FOUND;
    lease_of(s, false, ret);
    return 0;
}

struct gh_pool_usage gh_pool_usage(const struct gh_pool *p, uint8_t family)
{
    struct gh_pool_usage u = { 0 };

    for (size_t i = 0; i < p->range_count; i++) {
        const struct range *r = &p->ranges[i];

        if (family != 0 && r->prefix.addr.family != family)
            continue;
        u.capacity += r->limit;
        u.held += r->held;
        u.released += r->released_count;
    }
    return u;
}
