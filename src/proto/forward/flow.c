#include "proto/forward/flow.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/tally.h"

const struct gh_flow_timeouts gh_flow_timeouts_default = GH_FLOW_TIMEOUTS_DEFAULT;

static bool key_equals(const struct gh_map_node *node, const void *key)
{
    return memcmp(&((const struct gh_flow *)node)->key, key, sizeof(struct gh_flow_key)) == 0;
}

int gh_flow_table_init(struct gh_flow_table *t, uint32_t max, const struct gh_hash_seed *seed, const struct gh_flow_timeouts *timeouts)
{
    const struct gh_flow_timeouts *o = timeouts ? timeouts : &gh_flow_timeouts_default;
    int rc;

    *t = (struct gh_flow_table){ .seed = *seed, .max = max, .slab_max = (max + GH_FLOW_SLAB - 1) / GH_FLOW_SLAB };
    t->timeouts[GH_FLOW_TCP_NEW] = t->timeouts[GH_FLOW_TCP_HANDSHAKE] = o->tcp_new;
    t->timeouts[GH_FLOW_TCP_ESTABLISHED] = o->tcp_established;
    t->timeouts[GH_FLOW_TCP_HALF_CLOSED] = o->tcp_half_closed;
    t->timeouts[GH_FLOW_TCP_CLOSING] = t->timeouts[GH_FLOW_TCP_CLOSED] = o->tcp_closing;
    t->timeouts[GH_FLOW_UDP_NEW] = o->udp_new;
    t->timeouts[GH_FLOW_UDP] = o->udp;
    t->timeouts[GH_FLOW_ICMP_NEW] = t->timeouts[GH_FLOW_ICMP] = o->icmp;
    t->timeouts[GH_FLOW_OTHER_NEW] = o->other_new;
    t->timeouts[GH_FLOW_OTHER] = o->other;
    for (int i = 0; i < GH_FLOW_CLASSES; i++)
        gh_list_init(&t->classes[i]);
    t->slabs = calloc(t->slab_max + 1, sizeof *t->slabs);
    if (!t->slabs)
        return GH_ERR_MEMORY;
    rc = gh_map_init(&t->map, 256, key_equals);
    if (rc < 0) {
        free(t->slabs);
        t->slabs = NULL;
    }
    return rc;
}

void gh_flow_table_fini(struct gh_flow_table *t)
{
    if (!t || !t->slabs)
        return;
    for (size_t i = 0; i < t->slab_count; i++)
        free(t->slabs[i]);
    free(t->slabs);
    gh_map_fini(&t->map);
    *t = (struct gh_flow_table){ 0 };
}

void gh_flow_owner_init(struct gh_flow_owner *o)
{
    for (int i = 0; i < GH_FLOW_GROUPS; i++)
        gh_list_init(&o->flows[i]);
    gh_tally_set32(&o->count, 0);
}

/* The request type that an ICMP query or its reply belongs to; 0: not a query. */
static unsigned request_type(const struct gh_ip_packet *p, bool *ret_reply)
{
    static const struct {
        uint8_t version, request, reply;
    } pairs[] = { { 4, 8, 0 }, { 4, 13, 14 }, { 4, 15, 16 }, { 4, 17, 18 }, { 6, 128, 129 }, { 6, 139, 140 } };

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i].version != p->version || (p->icmp_type != pairs[i].request && p->icmp_type != pairs[i].reply))
            continue;
        *ret_reply = p->icmp_type == pairs[i].reply;
        return pairs[i].request;
    }
    *ret_reply = false;
    return 0;
}

bool gh_flow_key_of(const struct gh_flow_owner *owner, enum gh_direction d, const struct gh_ip_packet *p, struct gh_flow_key *ret)
{
    bool out = d == GH_DIRECTION_OUT, reply = false;
    struct gh_flow_key *k = ret;

    k->owner = (uintptr_t)owner;
    memcpy(k->inside, out ? p->src.bytes : p->dst.bytes, 16);
    memcpy(k->outside, out ? p->dst.bytes : p->src.bytes, 16);
    k->inside_port = k->outside_port = 0;
    k->family = p->version;
    k->protocol = p->protocol;
    k->icmp_opener = k->zero = 0;
    if (p->has_ports) {
        k->inside_port = out ? p->src_port : p->dst_port;
        k->outside_port = out ? p->dst_port : p->src_port;
    } else if (gh_ip_is_icmp(p)) {
        unsigned request = request_type(p, &reply);

        k->icmp_opener = (uint8_t)(1 + (reply ? !d : d));
        k->inside_port = request ? p->icmp_id : 0;
        k->outside_port = (uint16_t)(request ? request : (unsigned)p->icmp_type << 8 | p->icmp_code);
    }
    return !reply;
}

uint64_t gh_flow_hash(const struct gh_flow_table *t, const struct gh_flow_key *key)
{
    return gh_hash_bytes(&t->seed, key, sizeof *key);
}

struct gh_flow *gh_flow_find(const struct gh_flow_table *t, const struct gh_flow_key *key, uint64_t hash)
{
    return (struct gh_flow *)gh_map_find(&t->map, hash, key);
}

struct gh_flow *gh_flow_look(struct gh_flow_table *t, enum gh_direction d, const struct gh_flow_key *key, uint64_t *ret_hash)
{
    struct gh_flow *f = t->latest[d];

    if (f && f->owner && memcmp(&f->key, key, sizeof *key) == 0) { /* slots are never freed, and one in use is in the map under its key */
        *ret_hash = f->node.hash;
        return f;
    }
    *ret_hash = gh_flow_hash(t, key);
    t->searches++;
    f = gh_flow_find(t, key, *ret_hash);
    if (f)
        t->latest[d] = f;
    return f;
}

/* A free slot; a slab more when there is none. */
static struct gh_flow *take_slot(struct gh_flow_table *t)
{
    struct gh_flow *f = t->free, *slab;

    if (t->count >= t->max)
        return NULL;
    if (!f) {
        if (t->slab_count == t->slab_max)
            return NULL;
        slab = calloc(GH_FLOW_SLAB, sizeof *slab);
        if (!slab)
            return NULL;
        t->slabs[t->slab_count++] = slab;
        for (size_t i = GH_FLOW_SLAB; i-- > 0;) {
            slab[i].node.next = t->free ? &t->free->node : NULL;
            t->free = &slab[i];
        }
        f = t->free;
    }
    t->free = (struct gh_flow *)f->node.next;
    return f;
}

static enum gh_flow_class class_of(const struct gh_flow *f)
{
    switch (f->key.protocol) {
    case GH_IP_TCP:
        if (f->reset)
            return GH_FLOW_TCP_CLOSED;
        if (f->fin[0] && f->fin[1])
            return GH_FLOW_TCP_CLOSING;
        if (!f->replied)
            return GH_FLOW_TCP_NEW;
        if (f->fin[0] || f->fin[1])
            return GH_FLOW_TCP_HALF_CLOSED;
        return f->confirmed ? GH_FLOW_TCP_ESTABLISHED : GH_FLOW_TCP_HANDSHAKE;
    case GH_IP_UDP:
    case GH_IP_UDPLITE:
        return f->replied ? GH_FLOW_UDP : GH_FLOW_UDP_NEW;
    default:
        if (f->key.icmp_opener)
            return f->replied ? GH_FLOW_ICMP : GH_FLOW_ICMP_NEW;
        return f->replied ? GH_FLOW_OTHER : GH_FLOW_OTHER_NEW;
    }
}

enum gh_flow_group gh_flow_group_of(enum gh_flow_class c)
{
    switch (c) {
    case GH_FLOW_TCP_NEW:
    case GH_FLOW_UDP_NEW:
    case GH_FLOW_ICMP_NEW:
    case GH_FLOW_OTHER_NEW:
        return GH_FLOW_UNREPLIED;
    case GH_FLOW_TCP_CLOSING:
    case GH_FLOW_TCP_CLOSED:
        return GH_FLOW_FINISHED;
    default:
        return GH_FLOW_LIVE;
    }
}

const char *gh_flow_end_name(enum gh_flow_end e)
{
    static const char *const names[] = { "finished", "idle", "evicted", "policy_changed", "session_closed", "replaced" };

    return (unsigned)e < sizeof names / sizeof *names ? names[e] : "unknown";
}

/* To the end of the lists that its state calls for. */
static void link_by_use(struct gh_flow_table *t, struct gh_flow *f, int64_t now)
{
    f->last = now;
    f->state = class_of(f);
    gh_list_unlink(&f->in_class);
    gh_list_append(&t->classes[f->state], &f->in_class);
    gh_list_unlink(&f->in_owner);
    gh_list_append(&f->owner->flows[gh_flow_group_of(f->state)], &f->in_owner);
}

/* A filled slot becomes a flow of its owner. */
static struct gh_flow *enter(struct gh_flow_table *t, struct gh_flow *f, uint64_t hash, int64_t now)
{
    gh_list_init(&f->in_class);
    gh_list_init(&f->in_owner);
    link_by_use(t, f, now);
    gh_map_insert(&t->map, &f->node, hash);
    t->count++;
    gh_tally_set32(&f->owner->count, f->owner->count + 1);
    return f;
}

struct gh_flow *gh_flow_open(struct gh_flow_table *t, struct gh_flow_owner *owner, const struct gh_flow_key *key, uint64_t hash,
                             enum gh_direction d, const struct gh_ip_packet *first, int64_t now)
{
    struct gh_flow *f = take_slot(t);

    if (!f)
        return NULL;
    *f = (struct gh_flow){ .key = *key, .owner = owner, .serial = ++t->serial, .opened = now, .opened_by = d,
                           .icmp_type = first->icmp_type, .icmp_code = first->icmp_code };
    t->latest[d] = f;
    return enter(t, f, hash, now);
}

struct gh_flow *gh_flow_import(struct gh_flow_table *t, struct gh_flow_owner *owner, const struct gh_flow *other, int64_t now)
{
    struct gh_flow_key key = other->key;
    struct gh_flow *f;
    uint64_t hash;

    key.owner = (uintptr_t)owner;
    hash = gh_flow_hash(t, &key);
    f = gh_flow_find(t, &key, hash) ? NULL : take_slot(t);
    if (!f)
        return NULL;
    *f = *other;
    f->node = (struct gh_map_node){ 0 };
    f->key = key;
    f->owner = owner;
    f->serial = ++t->serial;
    f->rule = NULL;
    f->generation = 0;
    return enter(t, f, hash, now);
}

void gh_flow_release(struct gh_flow_table *t, struct gh_flow *f)
{
    gh_map_remove(&t->map, &f->node);
    gh_list_unlink(&f->in_class);
    gh_list_unlink(&f->in_owner);
    gh_tally_set32(&f->owner->count, f->owner->count - 1);
    f->owner = NULL;
    f->serial = 0; /* references to it no longer match */
    f->node.next = t->free ? &t->free->node : NULL;
    t->free = f;
    t->count--;
}

/* A reset that a stranger could not have guessed: its number is where the receiver stands (RFC 5961, section 3.2). */
static bool reset_fits(const struct gh_flow *f, enum gh_direction d, const struct gh_ip_packet *p)
{
    if (f->has_ack[!d] && p->tcp_seq == f->ack[!d])
        return true;
    if (f->has_next[d])
        return p->tcp_seq == f->next[d];
    if (!f->has_ack[!d] && !f->has_next[!d])
        return true; /* nothing is known */
    return (p->tcp_flags & GH_TCP_ACK) && f->has_next[!d] && p->tcp_ack == f->next[!d]; /* answer to a SYN */
}

static void observe_tcp(struct gh_flow *f, enum gh_direction d, const struct gh_ip_packet *p)
{
    uint32_t end = p->tcp_seq + p->tcp_len;

    if (p->tcp_flags & GH_TCP_RST) {
        f->reset = f->reset || reset_fits(f, d, p);
        return;
    }
    if (!f->has_next[d] || (int32_t)(end - f->next[d]) > 0)
        f->next[d] = end;
    f->has_next[d] = true;
    if (p->tcp_flags & GH_TCP_ACK) {
        if (!f->has_ack[d] || (int32_t)(p->tcp_ack - f->ack[d]) > 0)
            f->ack[d] = p->tcp_ack;
        f->has_ack[d] = true;
    }
    if (d != f->opened_by)
        f->replied = true;
    else if (f->replied && !(p->tcp_flags & GH_TCP_SYN))
        f->confirmed = true;
    if (p->tcp_flags & GH_TCP_FIN)
        f->fin[d] = true;
}

void gh_flow_observe(struct gh_flow_table *t, struct gh_flow *f, enum gh_direction d, const struct gh_ip_packet *p, size_t len, int64_t now)
{
    f->packets[d]++;
    f->bytes[d] += len;
    if (p && p->protocol == GH_IP_TCP)
        observe_tcp(f, d, p);
    else if (d != f->opened_by)
        f->replied = true;
    link_by_use(t, f, now);
}

void gh_flow_first_packet(const struct gh_flow *f, struct gh_ip_packet *ret)
{
    bool out = f->opened_by == GH_DIRECTION_OUT;
    const struct gh_flow_key *k = &f->key;
    struct gh_ip inside = k->family == 4 ? gh_ip_v4(k->inside) : gh_ip_v6(k->inside);
    struct gh_ip outside = k->family == 4 ? gh_ip_v4(k->outside) : gh_ip_v6(k->outside);

    *ret = (struct gh_ip_packet){
        .src = out ? inside : outside,
        .dst = out ? outside : inside,
        .version = k->family,
        .protocol = k->protocol,
        .frag_protocol = k->protocol,
        .ttl = 64,
        .icmp_type = f->icmp_type,
        .icmp_code = f->icmp_code,
    };
    if (k->icmp_opener) {
        ret->icmp_id = k->inside_port;
        return;
    }
    ret->has_ports = gh_ip_protocol_has_ports(k->protocol);
    ret->src_port = out ? k->inside_port : k->outside_port;
    ret->dst_port = out ? k->outside_port : k->inside_port;
    if (k->protocol == GH_IP_TCP)
        ret->tcp_flags = GH_TCP_SYN;
}

static struct gh_flow *oldest_of(const struct gh_flow_table *t, enum gh_flow_group group)
{
    struct gh_flow *best = NULL;

    for (int i = 0; i < GH_FLOW_CLASSES; i++) {
        struct gh_flow *f;

        if (gh_flow_group_of((enum gh_flow_class)i) != group || gh_list_empty(&t->classes[i]))
            continue;
        f = gh_container_of(t->classes[i].next, struct gh_flow, in_class);
        if (!best || f->last < best->last)
            best = f;
    }
    return best;
}

struct gh_flow *gh_flow_victim(const struct gh_flow_table *t)
{
    struct gh_flow *f = oldest_of(t, GH_FLOW_UNREPLIED);

    return f ? f : oldest_of(t, GH_FLOW_FINISHED);
}

struct gh_flow *gh_flow_owner_victim(const struct gh_flow_owner *o)
{
    enum gh_flow_group group = gh_list_empty(&o->flows[GH_FLOW_UNREPLIED]) ? GH_FLOW_FINISHED : GH_FLOW_UNREPLIED;

    return gh_list_empty(&o->flows[group]) ? NULL : gh_container_of(o->flows[group].next, struct gh_flow, in_owner);
}

struct gh_flow *gh_flow_expired(const struct gh_flow_table *t, int64_t now)
{
    for (int i = 0; i < GH_FLOW_CLASSES; i++) {
        struct gh_flow *f;

        if (gh_list_empty(&t->classes[i]))
            continue;
        f = gh_container_of(t->classes[i].next, struct gh_flow, in_class);
        if (now - f->last >= t->timeouts[i])
            return f;
    }
    return NULL;
}

int64_t gh_flow_deadline(const struct gh_flow_table *t)
{
    int64_t next = INT64_MAX;

    for (int i = 0; i < GH_FLOW_CLASSES; i++) {
        if (gh_list_empty(&t->classes[i]))
            continue;
        if (gh_container_of(t->classes[i].next, struct gh_flow, in_class)->last + t->timeouts[i] < next)
            next = gh_container_of(t->classes[i].next, struct gh_flow, in_class)->last + t->timeouts[i];
    }
    return next;
}

struct gh_flow *gh_flow_at(const struct gh_flow_table *t, size_t i)
{
    struct gh_flow *f = &t->slabs[i / GH_FLOW_SLAB][i % GH_FLOW_SLAB];

    return f->owner ? f : NULL;
}
