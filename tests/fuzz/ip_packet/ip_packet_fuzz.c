/* tests/fuzz/ip_packet/ip_packet_fuzz.c - packets in both directions through the forwarding engine under simple rules
 *
 * What the engine reads in a packet, its checksums and the pieces that it cuts are compared with the naive way (naive_ip.h).
 *
 * Records: flags, length (two bytes), packet. The flags choose direction, the passing of time, whether an IPv4 header is made
 * right first, and a change of policy.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/span.h"
#include "naive_ip.h"
#include "proto/forward/forward.h"

#define TO_PEER 1u
#define SEAL 2u     /* header length, total length, checksum and an address of the peer are put right */
#define LATER 4u    /* eleven seconds pass first */
#define POLICY 8u   /* the policy changes first, and every flow is looked at */
#define OWN 16u
#define PARTIAL 32u
#define SWEEP 64u

struct world {
    struct gh_forward fw;
    struct gh_forward_session s;
    struct gh_forward_clock clock;
    uint64_t opened, closed;
    const uint8_t *packet; /* what is being forwarded, as it was before */
    size_t packet_len;
    size_t pieces_at, pieces_head; /* bytes of it that left in pieces; the header before them */
    bool pieces_over;
};

static void require(bool right)
{
    if (!right)
        abort();
}

static void decide(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *p,
                   struct gh_forward_decision *ret)
{
    (void)arg;
    ret->allow = (p->dst_port + d + s->policy_generation) % 4 != 0;
    ret->deny_icmp = p->dst_port & 1;
    ret->log = GH_FORWARD_LOG_ALL;
}

static void on_open(void *arg, struct gh_forward_session *s, const struct gh_flow *f)
{
    (void)s;
    require(f->packets[0] + f->packets[1] == 0);
    ((struct world *)arg)->opened++;
}

static void on_close(void *arg, struct gh_forward_session *s, const struct gh_flow *f, enum gh_flow_end why)
{
    (void)s;
    require(f->owner && why <= GH_FLOW_END_REPLACED);
    ((struct world *)arg)->closed++;
}

static void require_read_alike(const uint8_t *data, size_t len)
{
    struct gh_ip_packet p;
    struct naive_ip n;
    bool good = gh_ip_packet_parse(data, len, &p) == 0;
    size_t size;

    require(good == naive_ip_read(data, len, &n));
    if (!good)
        return;
    size = n.version == 4 ? 4 : 16;
    require(p.version == n.version && p.protocol == n.protocol && p.ttl == n.ttl && p.total_len == len && p.l4_off == n.upper);
    require(memcmp(p.src.bytes, n.from, size) == 0 && memcmp(p.dst.bytes, n.to, size) == 0);
    require(p.fragment == n.piece && p.more == n.more && p.frag_off == n.offset && p.frag_data == n.base);
    require(!n.piece || p.frag_id == n.id);
    if (n.offset)
        return;
    require(p.has_ports == n.ports && p.src_port == n.source_port && p.dst_port == n.target_port);
    require(!n.icmp || (gh_ip_is_icmp(&p) && p.icmp_type == n.type && p.icmp_code == n.code));
}

/* Sum over pseudo header and message (RFC 793, RFC 8200 section 8.1). */
static unsigned upper_sum(const uint8_t *data, size_t len, const struct naive_ip *n)
{
    size_t size = len - n->upper;
    unsigned sum = (unsigned)(n->protocol + size);

    if (n->version == 6 || n->protocol != 1) {
        sum = naive_ones(n->from, n->version == 4 ? 4 : 16, sum);
        sum = naive_ones(n->to, n->version == 4 ? 4 : 16, sum);
    } else {
        sum = 0;
    }
    return naive_ones(data + n->upper, size, sum);
}

/* What the engine makes must be right. */
static void require_sound(const uint8_t *data, size_t len)
{
    struct naive_ip n;

    require(naive_ip_read(data, len, &n));
    if (n.icmp || n.protocol == 6)
        require(upper_sum(data, len, &n) == 0xffff);
}

static void on_cut(void *arg, struct gh_forward_session *s, enum gh_direction to, struct gh_span packet)
{
    (void)arg, (void)s, (void)to;
    require_sound(packet.data, packet.len);
}

/* A piece: as long as the tunnel takes, in its place, and its bytes are the packet's. */
static void on_fragment(void *arg, struct gh_forward_session *s, struct gh_span header, struct gh_span body)
{
    struct world *w = arg;
    uint8_t buf[2048];
    struct naive_ip n, whole;

    require(header.len + body.len <= s->mtu && w->packet && !w->pieces_over);
    require(naive_ip_read(w->packet, w->packet_len, &whole));
    memcpy(buf, header.data, header.len);
    memcpy(buf + header.len, body.data, body.len);
    require(naive_ip_read(buf, header.len + body.len, &n) && n.version == 4 && n.piece);
    require(n.id == whole.id && n.protocol == whole.protocol && memcmp(n.from, whole.from, 8) == 0 && memcmp(n.to, whole.to, 8) == 0);
    require(n.offset == whole.offset + w->pieces_at && n.upper == header.len);
    /* bytes of the upper header may have changed (MSS): only their number counts there */
    require(w->pieces_at + body.len <= w->packet_len - whole.base);
    if (w->pieces_at > 0)
        require(memcmp(w->packet + whole.base + w->pieces_at, body.data, body.len) == 0);
    w->pieces_at += body.len;
    w->pieces_over = w->pieces_at == w->packet_len - whole.base;
    require(n.more == (whole.more || !w->pieces_over));
}

static void start(struct world *w)
{
    static const struct gh_forward_events events = { decide, on_open, on_close, NULL, NULL, on_cut, on_fragment };
    static const struct gh_hash_seed seed = { 1, 2 };
    static const uint8_t node4[4] = { 10, 0, 0, 1 }, node6[16] = { 0xfd, [15] = 1 }, peer4[4] = { 10, 0, 0, 2 },
                         peer6[16] = { 0xfd, [15] = 2 };
    struct gh_forward_config config = gh_forward_config_default;

    config.flows = 24;
    config.flows_per_session = 16;
    config.fragments = 6;
    config.fragments_per_session = 4;
    config.node4 = gh_ip_v4(node4);
    config.node6 = gh_ip_v6(node6);
    require(gh_forward_init(&w->fw, &config, &seed, &events, w) == 0);
    gh_forward_session_init(&w->fw, &w->s, 1);
    w->s.assigned[0] = (struct gh_prefix){ gh_ip_v4(peer4), 32 };
    w->s.assigned[1] = (struct gh_prefix){ gh_ip_v6(peer6), 128 };
    w->s.assigned_count = 2;
    w->s.mtu = 1280;
    w->clock = (struct gh_forward_clock){ 1, 1 };
}

/* Mutations should not have to find checksums. */
static void seal(struct world *w, uint8_t *d, size_t len, bool to_peer)
{
    uint16_t check;
    size_t head;

    if (len >= 40 && d[0] >> 4 == 6) {
        memcpy(d + (to_peer ? 24 : 8), w->s.assigned[1].addr.bytes, 16);
        d[4] = (uint8_t)((len - 40) >> 8);
        d[5] = (uint8_t)(len - 40);
        return;
    }
    if (len < 20 || d[0] >> 4 != 4)
        return;
    head = (size_t)(d[0] & 15) * 4;
    if (head < 20 || head > len)
        return;
    memcpy(d + (to_peer ? 16 : 12), w->s.assigned[0].addr.bytes, 4);
    d[2] = (uint8_t)(len >> 8);
    d[3] = (uint8_t)len;
    d[10] = d[11] = 0;
    check = gh_ip_checksum(d, head);
    d[10] = (uint8_t)(check >> 8);
    d[11] = (uint8_t)check;
}

static void feed(struct world *w, unsigned flags, uint8_t *d, size_t len)
{
    static struct gh_forward_verdict v;
    struct gh_ip_packet after;
    uint8_t *before;
    unsigned given = (flags & OWN ? GH_FORWARD_OWN : 0) | (flags & PARTIAL ? GH_FORWARD_PARTIAL_CHECKSUM : 0);

    if (flags & SEAL)
        seal(w, d, len, flags & TO_PEER);
    require_read_alike(d, len);
    before = malloc(len + 1);
    require(before);
    memcpy(before, d, len);
    w->packet = before;
    w->packet_len = len;
    w->pieces_at = 0;
    w->pieces_over = false;
    if (flags & TO_PEER)
        gh_forward_to_peer(&w->fw, &w->s, &w->clock, d, len, given, &v);
    else
        gh_forward_from_peer(&w->fw, &w->s, &w->clock, d, len, given, &v);
    require(w->pieces_at == 0 || (w->pieces_over && v.action == GH_FORWARD_DONE)); /* all of it left, or nothing */
    free(before);
    w->packet = NULL;
    require(v.action != GH_FORWARD_DROP || v.reason != GH_DROP_NONE);
    if (v.answer_len > 0)
        require_sound(v.answer, v.answer_len);
    if (v.action != GH_FORWARD_PASS)
        return;
    require(gh_ip_packet_parse(d, len, &after) == 0);
    require(after.src_port == v.packet.src_port && after.protocol == v.packet.protocol);
    require(after.ttl == v.packet.ttl - ((flags & TO_PEER) && !(flags & OWN)));
    if (!(flags & TO_PEER)) {
        gh_forward_refuse(&w->fw, &w->s, &w->clock, d, GH_DROP_NO_ROUTE, &v);
        require(v.answer_len == 0 || v.answer_len <= GH_ICMP_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_reader r = gh_reader_of(gh_span_of(data, size));
    static struct world w;

    w = (struct world){ 0 };
    start(&w);
    while (gh_reader_left(&r) > 3) {
        unsigned flags = gh_read_u8(&r);
        size_t len = gh_read_u16(&r);
        struct gh_ip_packet p;
        uint8_t *copy;

        len = len < gh_reader_left(&r) ? len : gh_reader_left(&r);
        copy = malloc(len + 1); /* an exact end, so that a sanitizer sees a byte too many */
        require(copy);
        gh_read_bytes(&r, copy + 1, len);
        (void)gh_ip_quoted_parse(copy + 1, len, &p);
        if (flags & LATER)
            w.clock.now += INT64_C(11000000000);
        if (flags & POLICY) {
            w.s.policy_generation++;
            (void)gh_forward_recheck(&w.fw, &w.s, &w.clock);
        }
        if (flags & SWEEP)
            (void)gh_forward_sweep(&w.fw, &w.clock, 8);
        feed(&w, flags, copy + 1, len);
        require(w.s.flows.count <= 16 && w.s.fragments.count <= 4 && w.fw.flows.count == w.s.flows.count);
        free(copy);
    }
    gh_forward_session_close(&w.fw, &w.s);
    require(w.opened == w.closed && w.fw.flows.count == 0 && w.fw.flows.map.count == 0 && w.fw.fragments.count == 0);
    gh_forward_fini(&w.fw);
    return 0;
}
