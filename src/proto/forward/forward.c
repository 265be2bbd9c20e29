#include "proto/forward/forward.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/tally.h"
#include "proto/connect_ip/routes.h"
#include "proto/forward/forward_admit.h"
#include "proto/forward/mss.h"

#define SECOND INT64_C(1000000000)
#define IPV6_MIN 1280u /* RFC 8200, section 5 */

const struct gh_forward_config gh_forward_config_default = {
    .timeouts = GH_FLOW_TIMEOUTS_DEFAULT,
    .flows = 262144,
    .flows_per_session = 32768,
    .fragments = 4096,
    .fragments_per_session = 512,
    .fragment_timeout = 30 * SECOND,
    .icmp_per_second = 100,
    .icmp_burst = 20,
    .icmp_per_second_all = 1000,
};

int gh_forward_init(struct gh_forward *fw, const struct gh_forward_config *config, const struct gh_hash_seed *seed,
                    const struct gh_forward_events *events, void *arg)
{
    const struct gh_forward_config *c = config ? config : &gh_forward_config_default;
    int rc;

    *fw = (struct gh_forward){ .config = *c, .events = events, .arg = arg };
    gh_rate_init(&fw->icmp, c->icmp_per_second_all, c->icmp_per_second_all / 10);
    fw->denied = calloc(GH_FORWARD_DENIED, sizeof *fw->denied);
    if (!fw->denied)
        return GH_ERR_MEMORY;
    rc = gh_flow_table_init(&fw->flows, c->flows, seed, &c->timeouts);
    if (rc == 0)
        rc = gh_fragment_table_init(&fw->fragments, c->fragments, c->fragments_per_session, c->fragment_timeout, seed);
    if (rc < 0)
        gh_forward_fini(fw);
    return rc;
}

void gh_forward_fini(struct gh_forward *fw)
{
    if (!fw)
        return;
    free(fw->denied);
    fw->denied = NULL;
    gh_flow_table_fini(&fw->flows);
    gh_fragment_table_fini(&fw->fragments);
}

void gh_forward_session_init(struct gh_forward *fw, struct gh_forward_session *s, uint64_t id)
{
    *s = (struct gh_forward_session){ .id = id };
    gh_flow_owner_init(&s->flows);
    gh_fragment_owner_init(&s->fragments);
    gh_rate_init(&s->icmp, fw->config.icmp_per_second, fw->config.icmp_burst);
}

void gh_forward_session_close(struct gh_forward *fw, struct gh_forward_session *s)
{
    for (int group = 0; group < GH_FLOW_GROUPS; group++)
        gh_list_each(it, &s->flows.flows[group])
            gh_forward_close_flow(fw, gh_container_of(it, struct gh_flow, in_owner), GH_FLOW_END_SESSION_CLOSED);
    gh_fragment_owner_fini(&fw->fragments, &s->fragments);
}

/* One packet on its way through the engine. */
struct passage {
    struct gh_forward *fw;
    struct gh_forward_session *s;
    const struct gh_forward_clock *clock;
    enum gh_direction d;
    uint8_t *data;
    size_t len;
    unsigned flags;
    struct gh_forward_verdict *ret;
};

static void count_drop(const struct passage *w, enum gh_drop why)
{
    w->fw->drops[why]++;
    w->s->drops[why]++;
}

static const struct gh_ip *node_of(const struct passage *w)
{
    return w->ret->packet.version == 4 ? &w->fw->config.node4 : &w->fw->config.node6;
}

/* Under whose address an error goes out. To somebody on the network it passes our kernel, which drops what comes from an address of its own
 * (IPv4), and strict filters want the way back to lead where it came from: the address that the packet was for is right in all of them. */
static const struct gh_ip *speaker(const struct passage *w, enum gh_icmp_error e)
{
    return w->d == GH_DIRECTION_IN && e != GH_ICMP_TTL ? &w->ret->packet.dst : node_of(w);
}

static bool answer_allowed(const struct passage *w)
{
    if (gh_rate_may(&w->s->icmp, w->clock->now) && gh_rate_may(&w->fw->icmp, w->clock->now))
        return true;
    count_drop(w, GH_DROP_ICMP_LIMIT);
    w->ret->limited = true;
    return false;
}

static void answered(const struct passage *w, size_t len)
{
    w->ret->answer_len = len;
    if (len == 0)
        return;
    gh_rate_take(&w->s->icmp, w->clock->now);
    gh_rate_take(&w->fw->icmp, w->clock->now);
    w->fw->answers++;
}

size_t gh_forward_told(size_t mtu, bool undecided)
{
    return undecided && mtu > 0 && mtu < IPV6_MIN ? IPV6_MIN : mtu;
}

static size_t told(const struct gh_forward_session *s)
{
    return s->mtu && s->told > s->mtu ? s->told : s->mtu;
}

static void answer(const struct passage *w, enum gh_icmp_error e)
{
    const struct gh_ip *from = speaker(w, e);

    if (!gh_icmp_may_answer(&w->ret->packet, e) || from->family == 0 || !answer_allowed(w))
        return;
    answered(w, gh_icmp_emit_error(w->data, &w->ret->packet, e, told(w->s), from, w->ret->answer, sizeof w->ret->answer));
}

static void drop(const struct passage *w, enum gh_drop why)
{
    w->ret->action = GH_FORWARD_DROP;
    w->ret->reason = why;
    count_drop(w, why);
}

static void drop_and_answer(const struct passage *w, enum gh_drop why, enum gh_icmp_error e)
{
    drop(w, why);
    answer(w, e);
}

static void pass(const struct passage *w, struct gh_flow *f)
{
    w->ret->action = GH_FORWARD_PASS;
    w->ret->flow = f;
    gh_tally_add(&w->fw->packets[w->d], 1);
    gh_tally_add(&w->fw->bytes[w->d], w->len);
    gh_tally_add(&w->s->packets[w->d], 1);
    gh_tally_add(&w->s->bytes[w->d], w->len);
    if (!f)
        return;
    gh_flow_observe(&w->fw->flows, f, w->d, w->ret->packet.frag_off ? NULL : &w->ret->packet, w->len, w->clock->now);
    if (f->log == GH_FORWARD_LOG_ALL && w->fw->events->on_flow_packet)
        w->fw->events->on_flow_packet(w->fw->arg, w->s, f, w->d, w->len);
}

static bool in_prefixes(const struct gh_prefix *list, size_t count, const struct gh_ip *a)
{
    for (size_t i = 0; i < count; i++)
        if (gh_prefix_contains(&list[i], a))
            return true;
    return false;
}

/* Is <a> the peer's, or behind it? */
static bool is_peers(const struct gh_forward_session *s, const struct gh_ip *a, uint8_t protocol)
{
    return in_prefixes(s->assigned, s->assigned_count, a) ||
           gh_connect_ip_routes_contain(s->routes, s->route_count, a, protocol);
}

/* Is <far>, the end that is not the peer, in what the tunnel was asked for (RFC 9484, sections 4.6 and 4.8)? The protocol is the
 * one behind the extension headers; ICMP errors come from wherever a packet failed. */
static bool in_scope(const struct passage *w, const struct gh_ip *far)
{
    const struct gh_ip_packet *p = &w->ret->packet;

    return !w->s->scope || gh_ip_is_icmp_error(p) || gh_connect_ip_routes_contain(w->s->scope, w->s->scope_count, far, p->protocol);
}

/* The echo that RFC 9484, section 7.1 wants answered although link-local traffic is not forwarded. */
static bool is_echo_to_all_nodes(const struct gh_ip_packet *p)
{
    static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };

    return p->version == 6 && memcmp(p->dst.bytes, all_nodes, 16) == 0 && gh_ip_is_icmp(p) && p->icmp_type == 128 && !p->fragment;
}

static bool is_neighbour_discovery(const struct gh_ip_packet *p)
{
    return p->version == 6 && gh_ip_is_icmp(p) && !p->frag_off && p->icmp_type >= 133 && p->icmp_type <= 137;
}

/* Link-local traffic ends here: true when it did. */
static bool stop_link_local(const struct passage *w)
{
    const struct gh_ip_packet *p = &w->ret->packet;

    if (!gh_ip_is_link_local(&p->src) && !gh_ip_is_link_local(&p->dst) && !is_neighbour_discovery(p))
        return false;
    if (w->d == GH_DIRECTION_OUT && is_echo_to_all_nodes(p) && (gh_ip_is_link_local(&p->src) || is_peers(w->s, &p->src, p->protocol)) &&
        gh_ip_is_unicast(&p->src) && answer_allowed(w)) {
        answered(w, gh_icmp_emit_echo_reply(w->data, p, node_of(w), w->ret->answer, sizeof w->ret->answer));
        if (w->ret->answer_len > 0) {
            w->ret->action = GH_FORWARD_DONE;
            return true;
        }
    }
    drop(w, GH_DROP_LINK_LOCAL);
    return true;
}

/* Parses; false when the packet went no further. */
static bool begin(struct passage *w)
{
    w->ret->action = GH_FORWARD_DROP;
    w->ret->reason = GH_DROP_NONE;
    w->ret->answer_len = 0;
    w->ret->limited = false;
    w->ret->packet.version = 0;
    if (gh_ip_packet_parse(w->data, w->len, &w->ret->packet) == 0)
        return true;
    drop(w, GH_DROP_MALFORMED);
    return false;
}

/* Policy and flows. False: dropped. */
static bool admit(const struct passage *w, struct gh_flow **ret_flow)
{
    struct gh_forward_admission a;
    enum gh_drop why;

    *ret_flow = NULL;
    if (w->s->stateless)
        return true;
    why = gh_forward_admit(w->fw, w->s, w->clock, w->d, w->data, &w->ret->packet, &a);
    *ret_flow = a.flow;
    if (why == GH_DROP_NONE)
        return true;
    drop(w, why);
    if (a.deny_icmp)
        answer(w, GH_ICMP_ADMIN);
    return false;
}

/* Errors about our own packets may come from routers anywhere (RFC 9484, section 7.2.1); only an agent, which has a kernel
 * behind it that looks closer, takes them. */
static bool source_is_fine(const struct passage *w)
{
    const struct gh_ip_packet *p = &w->ret->packet;

    return is_peers(w->s, &p->src, p->protocol) || (w->s->stateless && gh_ip_is_icmp_error(p) && gh_ip_is_unicast(&p->src));
}

void gh_forward_from_peer(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, uint8_t *data,
                          size_t len, unsigned flags, struct gh_forward_verdict *ret)
{
    struct passage w = { fw, s, clock, GH_DIRECTION_OUT, data, len, flags, ret };
    const struct gh_ip_packet *p = &ret->packet;
    struct gh_flow *f;

    if (!begin(&w) || stop_link_local(&w))
        return;
    if (!source_is_fine(&w)) {
        drop_and_answer(&w, GH_DROP_SOURCE, GH_ICMP_SOURCE);
        return;
    }
    if (!gh_ip_is_unicast(&p->dst) || (s->own_count > 0 && !in_prefixes(s->own, s->own_count, &p->dst))) {
        drop_and_answer(&w, GH_DROP_NO_ROUTE, GH_ICMP_NO_ROUTE);
        return;
    }
    if (!in_scope(&w, &p->dst)) {
        drop_and_answer(&w, GH_DROP_SCOPE, GH_ICMP_ADMIN);
        return;
    }
    if (!admit(&w, &f))
        return;
    pass(&w, f);
    gh_mss_clamp(data, p, told(s), flags & GH_FORWARD_PARTIAL_CHECKSUM);
}

/* Writes the header of a piece: options that are not to be copied are left out of the later ones (RFC 791, section 3.1). */
static size_t piece_header(const uint8_t *packet, size_t head, bool first, uint8_t buf[60])
{
    size_t n = 20;

    memcpy(buf, packet, first ? head : 20);
    if (first)
        return head;
    for (size_t at = 20; at < head && packet[at] != 0;) {
        size_t len = packet[at] == 1 ? 1 : packet[at + 1];

        if (packet[at] & 0x80) {
            memcpy(buf + n, packet + at, len);
            n += len;
        }
        at += len;
    }
    while (n % 4)
        buf[n++] = 0;
    buf[0] = (uint8_t)(0x40 | n / 4);
    return n;
}

static void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Sends a packet in pieces that fit the tunnel. */
static void emit_pieces(const struct passage *w)
{
    const struct gh_ip_packet *p = &w->ret->packet;
    size_t room = (w->s->mtu - p->l4_off) & ~(size_t)7, left = gh_ip_fragment_len(p);
    const uint8_t *body = w->data + p->l4_off;

    for (size_t at = 0; at < left; at += room) {
        uint8_t head[60];
        size_t n = piece_header(w->data, p->l4_off, at == 0, head), len = left - at < room ? left - at : room;
        bool more = p->more || at + len < left;

        put16(head + 2, n + len);
        put16(head + 6, (p->frag_off + at) / 8 | (more ? 0x2000u : 0));
        put16(head + 10, 0);
        put16(head + 10, gh_ip_checksum(head, n));
        w->fw->events->on_fragment(w->fw->arg, w->s, gh_span_of(head, n), gh_span_of(body + at, len));
    }
}

/* True when the packet is too long to go as it is, or at all. */
static bool too_big(const struct passage *w)
{
    const struct gh_ip_packet *p = &w->ret->packet;

    if (w->s->mtu == 0 || w->len <= w->s->mtu)
        return false;
    return p->dont_fragment || !w->fw->events->on_fragment || w->s->mtu < 68 || (w->flags & GH_FORWARD_PARTIAL_CHECKSUM);
}

/* The last steps into the tunnel: TTL, length, counts. */
static void encapsulate(const struct passage *w, struct gh_flow *f, bool own)
{
    if (!own && w->ret->packet.ttl <= 1) {
        drop_and_answer(w, GH_DROP_TTL, GH_ICMP_TTL);
        return;
    }
    if (too_big(w)) {
        if (w->len > told(w->s))
            drop_and_answer(w, GH_DROP_TOO_BIG, GH_ICMP_TOO_BIG);
        else /* nothing is to be said of it before it is known */
            drop(w, GH_DROP_TOO_BIG);
        return;
    }
    if (!own)
        (void)gh_ip_ttl_decrement(w->data);
    w->ret->own = own;
    pass(w, f);
    if (w->s->mtu > 0 && w->len > w->s->mtu) {
        emit_pieces(w);
        w->ret->action = GH_FORWARD_DONE;
        return;
    }
    gh_mss_clamp(w->data, &w->ret->packet, told(w->s), w->flags & GH_FORWARD_PARTIAL_CHECKSUM);
}

/* A packet that differs from the one before by its length and numbers alone. False: it is to be looked at like any other. */
static bool follow(const struct passage *w)
{
    struct gh_forward_verdict *v = w->ret;

    if (v->action != GH_FORWARD_PASS || (w->s->mtu > 0 && w->len > w->s->mtu))
        return false;
    v->packet.total_len = (uint16_t)w->len;
    if (!v->own)
        (void)gh_ip_ttl_decrement(w->data);
    pass(w, v->flow);
    return true;
}

void gh_forward_to_peer(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, uint8_t *data,
                        size_t len, unsigned flags, struct gh_forward_verdict *ret)
{
    struct passage w = { fw, s, clock, GH_DIRECTION_IN, data, len, flags, ret };
    const struct gh_ip_packet *p = &ret->packet;
    struct gh_flow *f = NULL;
    bool own = flags & GH_FORWARD_OWN;

    if ((flags & GH_FORWARD_FOLLOWS) && follow(&w))
        return;
    if (!begin(&w))
        return;
    if (own) {
        encapsulate(&w, NULL, true);
        return;
    }
    if (stop_link_local(&w))
        return;
    if (s->own_count > 0) {
        own = in_prefixes(s->own, s->own_count, &p->src);
        if (!own) {
            drop_and_answer(&w, GH_DROP_SOURCE, GH_ICMP_SOURCE);
            return;
        }
    }
    if (!is_peers(s, &p->dst, p->protocol)) {
        drop_and_answer(&w, GH_DROP_NO_ROUTE, GH_ICMP_NO_ROUTE);
        return;
    }
    if (!in_scope(&w, &p->src)) {
        drop(&w, GH_DROP_SCOPE);
        return;
    }
    if (admit(&w, &f))
        encapsulate(&w, f, own);
}

void gh_forward_refuse(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, const uint8_t *data,
                       enum gh_drop why, struct gh_forward_verdict *ret)
{
    struct passage w = { fw, s, clock, GH_DIRECTION_OUT, (uint8_t *)data, ret->packet.total_len, 0, ret };

    ret->answer_len = 0;
    ret->limited = false;
    drop(&w, why);
    if (why == GH_DROP_NO_ROUTE || why == GH_DROP_NO_SESSION)
        answer(&w, GH_ICMP_NO_ROUTE);
    else if (why == GH_DROP_TTL)
        answer(&w, GH_ICMP_TTL);
    else if (why == GH_DROP_TOO_BIG)
        answer(&w, GH_ICMP_TOO_BIG);
}

int64_t gh_forward_sweep(struct gh_forward *fw, const struct gh_forward_clock *clock, unsigned budget)
{
    size_t slots = fw->flows.slab_count * GH_FLOW_SLAB;
    int64_t next, fragments;
    unsigned left = budget;

    for (struct gh_flow *f; left > 0; left--) {
        f = gh_flow_expired(&fw->flows, clock->now);
        if (!f)
            break;
        gh_forward_close_flow(fw, f, GH_FLOW_END_IDLE);
    }
    for (unsigned i = 0; i < budget && i < slots; i++) {
        struct gh_flow *f;

        fw->scan = fw->scan + 1 < slots ? fw->scan + 1 : 0;
        f = gh_flow_at(&fw->flows, fw->scan);
        if (f)
            (void)gh_forward_confirm_flow(fw, f, clock, false);
    }
    fragments = gh_fragment_sweep(&fw->fragments, clock->now, budget);
    next = gh_flow_deadline(&fw->flows);
    if (fragments < next)
        next = fragments;
    return next < clock->now ? clock->now : next;
}

size_t gh_forward_recheck(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock)
{
    size_t cut = 0;

    for (int group = 0; group < GH_FLOW_GROUPS; group++)
        gh_list_each(it, &s->flows.flows[group])
            if (!gh_forward_confirm_flow(fw, gh_container_of(it, struct gh_flow, in_owner), clock, true))
                cut++;
    return cut;
}
