#include "proto/forward/fragment.h"

#include <stdlib.h>

#include "base/error.h"

static bool key_equals(const struct gh_map_node *node, const void *key)
{
    return memcmp(&((const struct gh_fragment *)node)->key, key, sizeof(struct gh_fragment_key)) == 0;
}

int gh_fragment_table_init(struct gh_fragment_table *t, uint32_t max, uint32_t max_per_owner, int64_t timeout,
                           const struct gh_hash_seed *seed)
{
    int rc;

    *t = (struct gh_fragment_table){ .seed = *seed, .max = max, .max_per_owner = max_per_owner, .timeout = timeout };
    gh_list_init(&t->by_age);
    t->slots = calloc(max ? max : 1, sizeof *t->slots);
    if (!t->slots)
        return GH_ERR_MEMORY;
    for (uint32_t i = max; i-- > 0;) {
        t->slots[i].node.next = t->free ? &t->free->node : NULL;
        t->free = &t->slots[i];
    }
    rc = gh_map_init(&t->map, max, key_equals);
    if (rc < 0) {
        free(t->slots);
        t->slots = NULL;
    }
    return rc;
}

void gh_fragment_table_fini(struct gh_fragment_table *t)
{
    if (!t || !t->slots)
        return;
    free(t->slots);
    gh_map_fini(&t->map);
    *t = (struct gh_fragment_table){ 0 };
}

void gh_fragment_owner_init(struct gh_fragment_owner *o)
{
    gh_list_init(&o->packets);
    o->count = 0;
}

static void forget(struct gh_fragment_table *t, struct gh_fragment *f)
{
    gh_map_remove(&t->map, &f->node);
    gh_list_unlink(&f->by_age);
    gh_list_unlink(&f->in_owner);
    f->owner->count--;
    f->node.next = t->free ? &t->free->node : NULL;
    t->free = f;
    t->count--;
}

void gh_fragment_owner_fini(struct gh_fragment_table *t, struct gh_fragment_owner *o)
{
    gh_list_each(it, &o->packets)
        forget(t, gh_container_of(it, struct gh_fragment, in_owner));
}

void gh_fragment_key_of(const struct gh_fragment_owner *o, unsigned direction, const struct gh_ip_packet *p, struct gh_fragment_key *ret)
{
    *ret = (struct gh_fragment_key){ .owner = (uintptr_t)o, .id = p->frag_id, .family = p->version, .protocol = p->frag_protocol,
                                     .direction = (uint8_t)direction };
    memcpy(ret->src, p->src.bytes, 16);
    memcpy(ret->dst, p->dst.bytes, 16);
}

static struct gh_fragment *find(struct gh_fragment_table *t, const struct gh_fragment_key *key, uint64_t hash, int64_t now)
{
    struct gh_fragment *f = (struct gh_fragment *)gh_map_find(&t->map, hash, key);

    if (f && now - f->since >= t->timeout) {
        forget(t, f);
        return NULL;
    }
    return f;
}

/* Adds [from, to) to the ordered ranges; touching ones become one, so pieces in order take a single range. */
static enum gh_drop add_range(struct gh_fragment *f, uint32_t from, uint32_t to)
{
    unsigned i = 0;
    bool joins_left, joins_right;

    while (i < f->range_count && f->ranges[i].to <= from)
        i++;
    if (i < f->range_count && f->ranges[i].from < to)
        return GH_DROP_FRAGMENT_OVERLAP;
    joins_left = i > 0 && f->ranges[i - 1].to == from;
    joins_right = i < f->range_count && f->ranges[i].from == to;
    if (joins_left && joins_right) {
        f->ranges[i - 1].to = f->ranges[i].to;
        f->range_count--;
        memmove(&f->ranges[i], &f->ranges[i + 1], (f->range_count - i) * sizeof *f->ranges);
    } else if (joins_left) {
        f->ranges[i - 1].to = to;
    } else if (joins_right) {
        f->ranges[i].from = from;
    } else {
        if (f->range_count == GH_FRAGMENT_RANGES)
            return GH_DROP_FRAGMENT_LIMIT;
        memmove(&f->ranges[i + 1], &f->ranges[i], (f->range_count - i) * sizeof *f->ranges);
        f->ranges[i].from = from;
        f->ranges[i].to = to;
        f->range_count++;
    }
    return GH_DROP_NONE;
}

enum gh_drop gh_fragment_first(struct gh_fragment_table *t, struct gh_fragment_owner *o, const struct gh_fragment_key *key,
                               const struct gh_ip_packet *p, void *flow, uint64_t serial, int64_t now)
{
    uint64_t hash = gh_hash_bytes(&t->seed, key, sizeof *key);
    struct gh_fragment *f = find(t, key, hash, now);

    if (f)
        return GH_DROP_FRAGMENT_OVERLAP; /* two packets of one id would mix at the receiver */
    if (o->count >= t->max_per_owner && o->count > 0)
        forget(t, gh_container_of(o->packets.next, struct gh_fragment, in_owner));
    if (t->count == t->max && t->count > 0) /* a few who fill the table must not keep the others out of it */
        forget(t, gh_container_of(t->by_age.next, struct gh_fragment, by_age));
    f = t->free;
    if (!f)
        return GH_DROP_FRAGMENT_LIMIT;
    t->free = (struct gh_fragment *)f->node.next;
    *f = (struct gh_fragment){ .key = *key, .owner = o, .since = now, .flow = flow, .serial = serial, .range_count = 1 };
    f->ranges[0].to = gh_ip_fragment_len(p);
    gh_list_append(&t->by_age, &f->by_age);
    gh_list_append(&o->packets, &f->in_owner);
    gh_map_insert(&t->map, &f->node, hash);
    t->count++;
    o->count++;
    return GH_DROP_NONE;
}

enum gh_drop gh_fragment_next(struct gh_fragment_table *t, const struct gh_fragment_key *key, const struct gh_ip_packet *p, int64_t now,
                              void **ret_flow, uint64_t *ret_serial)
{
    struct gh_fragment *f = find(t, key, gh_hash_bytes(&t->seed, key, sizeof *key), now);
    uint32_t from = p->frag_off, to = from + gh_ip_fragment_len(p);
    enum gh_drop why;

    if (!f)
        return GH_DROP_FRAGMENT_ORPHAN;
    if (f->end && (to > f->end || (!p->more && to != f->end)))
        return GH_DROP_FRAGMENT_OVERLAP; /* two ends */
    if (!p->more && f->ranges[f->range_count - 1].to > to)
        return GH_DROP_FRAGMENT_OVERLAP;
    why = add_range(f, from, to);
    if (why != GH_DROP_NONE)
        return why;
    *ret_flow = f->flow;
    *ret_serial = f->serial;
    if (!p->more)
        f->end = to;
    if (f->end && f->range_count == 1 && f->ranges[0].to == f->end)
        forget(t, f); /* complete: the id may come again at once */
    return GH_DROP_NONE;
}

int64_t gh_fragment_sweep(struct gh_fragment_table *t, int64_t now, unsigned budget)
{
    while (!gh_list_empty(&t->by_age)) {
        struct gh_fragment *f = gh_container_of(t->by_age.next, struct gh_fragment, by_age);

        if (now - f->since < t->timeout || budget-- == 0)
            return f->since + t->timeout;
        forget(t, f);
    }
    return INT64_MAX;
}
