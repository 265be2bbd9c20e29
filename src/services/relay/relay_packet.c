/* The data path: what each packet meets, in both directions. */
#include <stdlib.h>

#include "base/error.h"
#include "core/dump_trace.h"
#include "os/clock.h"
#include "services/relay/relay_internal.h"

#define ASSERTION_EVENTS 1024u
#define ASSERTION_PAUSE (60 * GH_NANOSECONDS)

/* What led to an assertion of the QUIC library. Who makes many of them does not make many lines. */
static void dump_assertion(struct relay_worker *rw)
{
    int64_t now = gh_worker_now(rw->w);

    if (rw->dumped && now - rw->dumped < ASSERTION_PAUSE)
        return;
    rw->dumped = now;
    gh_dump_trace(rw->r->log, rw->index, gh_worker_trace(rw->w), ASSERTION_EVENTS);
}

void relay_drop(void *arg, enum gh_drop why, uint64_t count)
{
    struct relay_worker *rw = arg;

    gh_counter_add(&rw->drops[why], count);
    relay_note(rw, GH_TRACE_DROP, 0, why, count, 0);
    if (why == GH_DROP_LIBRARY_ASSERT)
        dump_assertion(rw);
}

static void drop_of(const struct session *s, enum gh_drop why)
{
    gh_counter_add(&s->rw->drops[why], 1);
    relay_note(s->rw, GH_TRACE_DROP, s->forward.id, why, 1, 0);
}

static struct gh_forward_clock clock_of(struct relay_worker *rw)
{
    return (struct gh_forward_clock){ gh_worker_now(rw->w), gh_worker_wall(rw->w) };
}

static uint32_t flow_number(const struct relay_worker *rw, const uint8_t *packet, size_t len)
{
    return gh_ip_flow_number(packet, len, rw->forward.flows.seed.k0);
}

/* <packet> has at least one writable byte before it. What is not NONE was counted. */
static enum gh_drop send_in_place(struct session *s, uint8_t *packet, size_t len, uint32_t flow)
{
    enum gh_drop why = GH_DROP_NONE;
    int rc;

    if (!s->carrier) {
        drop_of(s, GH_DROP_NO_SESSION);
        return GH_DROP_NO_SESSION;
    }
    packet[-1] = GH_CONNECT_IP_CONTEXT;
    rc = gh_http_send_datagram(s->carrier->stream, gh_span_of(packet - 1, len + 1), flow);
    if (rc == GH_ERR_AGAIN)
        why = GH_DROP_QUEUE_FULL;
    else if (rc == GH_ERR_TOO_LONG)
        why = GH_DROP_TOO_BIG;
    else if (rc < 0) /* one that has just ended may still have its address */
        why = gh_http_plpmtu(s->carrier->stream) == 0 ? GH_DROP_NO_SESSION : GH_DROP_NO_DATAGRAM;
    if (why != GH_DROP_NONE)
        drop_of(s, why);
    return why;
}

void relay_packet_send(struct session *s, struct gh_span packet)
{
    uint8_t *at = s->rw->out + 16;

    if (packet.len > 65535)
        return;
    memmove(at, packet.data, packet.len);
    (void)send_in_place(s, at, packet.len, flow_number(s->rw, at, packet.len));
}

/* The tunnel's size may change with the path. */
static void refresh_mtu(struct session *s)
{
    size_t max = s->carrier ? gh_http_datagram_max(s->carrier->stream) : 0;

    s->forward.mtu = max ? max - 1 : 0;
    s->forward.told = gh_forward_told(s->forward.mtu, s->forward.mtu && s->forward.mtu < 1280 && gh_http_plpmtu(s->carrier->stream) >= GH_QUIC_PLPMTU_IPV6);
}

static bool find(struct relay_worker *rw, const struct gh_ip *addr, struct gh_directory_found *ret)
{
    bool found;

    gh_directory_enter(rw->r->directory, rw->index);
    found = gh_directory_find_addr(rw->r->directory, addr, ret);
    gh_directory_leave(rw->r->directory, rw->index);
    return found;
}

/* Is <addr> one of ours to give away? Then it must not go to the network when nobody has it. */
static bool in_pool(const struct relay_worker *rw, const struct gh_ip *addr)
{
    struct gh_ip own;

    for (size_t i = 0; i < rw->conf.pool_count; i++) {
        if (!gh_prefix_contains(&rw->conf.pools[i], addr))
            continue;
        own = gh_pool_relay_addr(rw->r->pool, i);
        return !gh_ip_equals(&own, addr);
    }
    return false;
}

static void count_limited(struct relay_worker *rw, const struct gh_forward_verdict *v)
{
    if (v->limited)
        relay_drop(rw, GH_DROP_ICMP_LIMIT, 1);
}

/* Where a packet that passed its sender's rules goes; NULL: nowhere. */
static const char *next_of(struct relay_worker *rw, const struct gh_ip *dst)
{
    struct gh_directory_found found;

    if (!find(rw, dst, &found))
        return in_pool(rw, dst) ? NULL : "network";
    return found.worker == rw->index ? "session" : "session on another worker";
}

static void trace_out(struct session *s, size_t len)
{
    const struct gh_forward_verdict *v = &s->rw->verdict;
    struct relay_step step = { .direction = GH_DIRECTION_OUT, .len = len, .answered = v->action == GH_FORWARD_DONE };

    if (v->action == GH_FORWARD_PASS)
        step.next = next_of(s->rw, &v->packet.dst);
    if (v->action != GH_FORWARD_DONE)
        step.why = v->action == GH_FORWARD_DROP ? v->reason : step.next ? GH_DROP_NONE : GH_DROP_NO_ROUTE;
    relay_trace_packet(s, &step, &v->packet);
}

static void trace_in(struct session *s, size_t len, enum gh_drop sent)
{
    const struct gh_forward_verdict *v = &s->rw->inner;
    bool pass = v->action == GH_FORWARD_PASS;
    struct relay_step step = { .direction = GH_DIRECTION_IN, .len = len, .answered = v->action == GH_FORWARD_DONE };

    step.why = v->action == GH_FORWARD_DROP ? v->reason : sent;
    step.next = pass ? "tunnel" : NULL;
    step.queue = !pass ? NULL : sent == GH_DROP_NONE ? "queued" : gh_drop_name(sent);
    relay_trace_packet(s, &step, &v->packet);
}

/* A packet that passed its sender's rules goes on: to another agent, or to the network. */
static void route(struct session *from, uint8_t *packet, size_t len, const struct gh_ip *dst)
{
    struct relay_worker *rw = from->rw;
    struct gh_forward_clock clock = clock_of(rw);
    struct gh_directory_found found;
    struct session *to;

    if (!find(rw, dst, &found)) {
        if (in_pool(rw, dst)) {
            gh_forward_refuse(&rw->forward, &from->forward, &clock, packet, GH_DROP_NO_ROUTE, &rw->verdict);
            relay_drop(rw, GH_DROP_NO_ROUTE, 1);
            count_limited(rw, &rw->verdict);
            if (rw->verdict.answer_len)
                relay_packet_send(from, gh_span_of(rw->verdict.answer, rw->verdict.answer_len));
            return;
        }
        gh_tun_port_send(rw->tun, gh_span_of(packet, len));
        return;
    }
    if (found.worker != rw->index) {
        relay_packet_hand_over(rw, &found, packet, len, 0, false);
        return;
    }
    to = relay_session_find(rw, found.session);
    if (to)
        relay_packet_to_peer(to, packet, len, 0);
    else
        relay_drop(rw, GH_DROP_NO_SESSION, 1);
}

static void count(struct relay_worker *rw, enum gh_direction d, size_t len)
{
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_PACKETS, d, 1);
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_BYTES, d, len);
}

void relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len)
{
    struct relay_worker *rw = s->rw;
    struct gh_forward_clock clock = clock_of(rw);
    struct gh_ip dst;

    if (s->why == SESSION_MOVED) {
        relay_packet_hand_over(rw, &s->moved_to, packet, len, 0, true);
        return;
    }
    refresh_mtu(s);
    gh_forward_from_peer(&rw->forward, &s->forward, &clock, packet, len, 0, &rw->verdict);
    if (relay_watching(&rw->r->trace))
        trace_out(s, len);
    switch (rw->verdict.action) {
    case GH_FORWARD_PASS:
        count(rw, GH_DIRECTION_OUT, len);
        dst = rw->verdict.packet.dst;
        route(s, packet, len, &dst);
        return;
    case GH_FORWARD_DROP:
        drop_of(s, rw->verdict.reason);
        break;
    case GH_FORWARD_DONE:
        break;
    }
    count_limited(rw, &rw->verdict);
    if (rw->verdict.answer_len)
        relay_packet_send(s, gh_span_of(rw->verdict.answer, rw->verdict.answer_len));
}

/* An answer to whoever sent a packet towards an agent: another agent, or somebody on the network. */
static void answer_outside(struct relay_worker *rw, uint8_t *answer, size_t len)
{
    struct gh_ip_packet p;
    struct gh_directory_found found;
    struct session *to;

    if (gh_ip_packet_parse(answer, len, &p) < 0)
        return;
    if (!find(rw, &p.dst, &found)) {
        gh_tun_port_send(rw->tun, gh_span_of(answer, len));
    } else if (found.worker == rw->index) {
        to = relay_session_find(rw, found.session);
        if (to)
            relay_packet_send(to, gh_span_of(answer, len));
    } else {
        relay_packet_hand_over(rw, &found, answer, len, GH_FORWARD_OWN, false); /* made here: it needs no flow there */
    }
}

void relay_packet_to_peer(struct session *s, uint8_t *packet, size_t len, unsigned flags)
{
    struct relay_worker *rw = s->rw;
    struct gh_forward_clock clock = clock_of(rw);
    enum gh_drop sent = GH_DROP_NONE;

    if (s->why == SESSION_MOVED) {
        relay_packet_hand_over(rw, &s->moved_to, packet, len, flags & ~GH_FORWARD_FOLLOWS, false);
        return;
    }
    if (rw->inner.action != GH_FORWARD_PASS)
        flags &= ~GH_FORWARD_FOLLOWS;
    if (!(flags & GH_FORWARD_FOLLOWS)) {
        refresh_mtu(s);
        rw->flow_number = flow_number(rw, packet, len);
    }
    gh_forward_to_peer(&rw->forward, &s->forward, &clock, packet, len, flags, &rw->inner);
    switch (rw->inner.action) {
    case GH_FORWARD_PASS:
        count(rw, GH_DIRECTION_IN, len);
        sent = send_in_place(s, packet, len, rw->flow_number);
        break;
    case GH_FORWARD_DROP:
        drop_of(s, rw->inner.reason);
        break;
    case GH_FORWARD_DONE:
        break;
    }
    if (relay_watching(&rw->r->trace))
        trace_in(s, len, sent);
    if (rw->inner.action == GH_FORWARD_PASS)
        return;
    count_limited(rw, &rw->inner);
    if (rw->inner.answer_len)
        answer_outside(rw, rw->inner.answer, rw->inner.answer_len);
}

static int read_destination(const uint8_t *packet, size_t len, struct gh_ip *ret)
{
    if (len >= 20 && packet[0] >> 4 == 4)
        *ret = gh_ip_v4(packet + 16);
    else if (len >= 40 && packet[0] >> 4 == 6)
        *ret = gh_ip_v6(packet + 24);
    else
        return GH_ERR_MALFORMED;
    return 0;
}

static struct gh_ip source_of(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? gh_ip_v4(packet + 12) : gh_ip_v6(packet + 8);
}

/* Does the relay itself send this packet? Its own addresses are the first of each pool. */
static unsigned own_flags(const struct relay_worker *rw, const uint8_t *packet)
{
    struct gh_ip src = source_of(packet), own;

    for (size_t i = 0; i < rw->conf.pool_count; i++) {
        own = gh_pool_relay_addr(rw->r->pool, i);
        if (gh_ip_equals(&own, &src))
            return GH_FORWARD_OWN;
    }
    return 0;
}

/* Our kernel greets the routers and multicast listeners of a link that has none (RFC 3810, RFC 4861): from no address, or
 * from one of the link, which are never forwarded. That is no packet of anybody, and none is dropped. */
static bool is_own_greeting(const uint8_t *packet)
{
    struct gh_ip src = source_of(packet);

    return gh_ip_is_zero(&src) || gh_ip_is_link_local(&src);
}

/* Whose packet from the network is this? False: nobody's, which was counted. */
static bool find_addressee(struct relay_worker *rw, const uint8_t *packet, size_t len)
{
    struct gh_ip dst;

    if (read_destination(packet, len, &dst) < 0) {
        relay_drop(rw, GH_DROP_MALFORMED, 1);
        return false;
    }
    if (gh_ip_is_link_local(&dst) || gh_ip_is_multicast(&dst)) {
        if (!is_own_greeting(packet))
            relay_drop(rw, GH_DROP_LINK_LOCAL, 1);
        return false;
    }
    if (!find(rw, &dst, &rw->piece.to)) {
        relay_drop(rw, GH_DROP_NO_ROUTE, 1);
        return false;
    }
    rw->piece.flags = own_flags(rw, packet);
    return true;
}

void relay_packet_in(void *arg, uint8_t *packet, size_t len, bool follows)
{
    struct relay_worker *rw = arg;
    struct session *s;

    if (!follows || !rw->piece.known) {
        rw->piece.known = find_addressee(rw, packet, len);
        rw->inner.action = GH_FORWARD_DROP; /* nothing to follow yet */
    }
    if (!rw->piece.known)
        return;
    if (rw->piece.to.worker != rw->index) {
        relay_packet_hand_over(rw, &rw->piece.to, packet, len, rw->piece.flags, false);
        return;
    }
    s = relay_session_find(rw, rw->piece.to.session);
    if (s)
        relay_packet_to_peer(s, packet, len, rw->piece.flags | (follows ? GH_FORWARD_FOLLOWS : 0));
    else
        relay_drop(rw, GH_DROP_NO_SESSION, 1);
}
