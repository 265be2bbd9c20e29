#include "proto/forward/icmp.h"

static const struct {
    uint8_t v4_type, v4_code, v6_type, v6_code;
} codes[] = {
    [GH_ICMP_ADMIN] = { 3, 13, 1, 1 },  [GH_ICMP_SOURCE] = { 3, 13, 1, 5 },  [GH_ICMP_NO_ROUTE] = { 3, 0, 1, 0 },
    [GH_ICMP_TTL] = { 11, 0, 3, 0 },    [GH_ICMP_TOO_BIG] = { 3, 4, 2, 0 },
};

bool gh_icmp_may_answer(const struct gh_ip_packet *p, enum gh_icmp_error e)
{
    if ((p->fragment && p->frag_off > 0) || gh_ip_is_icmp_error(p) || !gh_ip_is_unicast(&p->src))
        return false;
    if (p->version == 6 && gh_ip_is_icmp(p) && p->icmp_type == 137)
        return false; /* a redirect (RFC 4443, section 2.4 (e.2)) */
    return gh_ip_is_unicast(&p->dst) || (p->version == 6 && e == GH_ICMP_TOO_BIG && gh_ip_is_multicast(&p->dst));
}

static size_t write_v4(struct gh_writer *w, const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol, size_t body)
{
    uint16_t check;

    gh_write_u8(w, 0x45);
    gh_write_u8(w, protocol == GH_IP_ICMP ? 0xc0 : 0); /* RFC 1812, section 4.3.2.5: internetwork control */
    gh_write_u16(w, (uint16_t)(20 + body));
    gh_write_u32(w, 0x00004000); /* one piece, never to be cut: the id needs no meaning (RFC 6864) */
    gh_write_u8(w, 64);
    gh_write_u8(w, protocol);
    gh_write_u16(w, 0);
    gh_write_bytes(w, src->bytes, 4);
    gh_write_bytes(w, dst->bytes, 4);
    if (w->failed)
        return 0;
    check = gh_ip_checksum(w->start, 20);
    w->start[10] = (uint8_t)(check >> 8);
    w->start[11] = (uint8_t)check;
    return 20;
}

static size_t write_v6(struct gh_writer *w, const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol, size_t body)
{
    gh_write_u32(w, 0x60000000);
    gh_write_u16(w, (uint16_t)body);
    gh_write_u8(w, protocol);
    gh_write_u8(w, 64);
    gh_write_bytes(w, src->bytes, 16);
    gh_write_bytes(w, dst->bytes, 16);
    return w->failed ? 0 : 40;
}

static size_t write_ip(struct gh_writer *w, const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol, size_t body)
{
    return src->family == 4 ? write_v4(w, src, dst, protocol, body) : write_v6(w, src, dst, protocol, body);
}

/* Fills the checksum field at <at> of the message behind the <head> bytes of the IP header. Returns the packet's length. */
static size_t seal(struct gh_writer *w, size_t head, size_t at, const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol)
{
    uint8_t *body = w->start + head;
    size_t len = gh_writer_len(w) - head;
    uint16_t check;

    if (w->failed || head == 0)
        return 0;
    check = protocol == GH_IP_ICMP ? gh_ip_checksum(body, len) : gh_ip_checksum_upper(src, dst, protocol, body, len);
    body[at] = (uint8_t)(check >> 8);
    body[at + 1] = (uint8_t)check;
    return gh_writer_len(w);
}

size_t gh_icmp_emit_error(const uint8_t *packet, const struct gh_ip_packet *p, enum gh_icmp_error e, size_t mtu,
                          const struct gh_ip *node, uint8_t *buf, size_t cap)
{
    bool v4 = p->version == 4;
    size_t most = v4 ? GH_ICMP4_MAX : GH_ICMP_MAX, overhead = (v4 ? 20u : 40u) + 8, quote, head;
    uint8_t protocol = v4 ? GH_IP_ICMP : GH_IP_ICMPV6;
    struct gh_writer w = gh_writer_of(buf, cap);

    if (node->family != p->version || !gh_icmp_may_answer(p, e))
        return 0;
    quote = p->total_len < most - overhead ? p->total_len : most - overhead;
    head = write_ip(&w, node, &p->src, protocol, 8 + quote);
    gh_write_u8(&w, v4 ? codes[e].v4_type : codes[e].v6_type);
    gh_write_u8(&w, v4 ? codes[e].v4_code : codes[e].v6_code);
    gh_write_u16(&w, 0);
    gh_write_u32(&w, e == GH_ICMP_TOO_BIG ? (uint32_t)(v4 && mtu > 65535 ? 65535 : mtu) : 0);
    gh_write_bytes(&w, packet, quote);
    return seal(&w, head, 2, node, &p->src, protocol);
}

size_t gh_icmp_emit_echo_reply(const uint8_t *packet, const struct gh_ip_packet *p, const struct gh_ip *node, uint8_t *buf, size_t cap)
{
    struct gh_writer w = gh_writer_of(buf, cap);
    size_t len = p->total_len - p->l4_off, head;

    if (node->family != 6 || p->version != 6 || p->icmp_type != 128 || p->fragment)
        return 0;
    head = write_ip(&w, node, &p->src, GH_IP_ICMPV6, len);
    gh_write_u32(&w, 129u << 24);
    gh_write_bytes(&w, packet + p->l4_off + 4, len - 4);
    return seal(&w, head, 2, node, &p->src, GH_IP_ICMPV6);
}

size_t gh_icmp_emit_quoted(const struct gh_ip_packet *p, uint8_t *buf, size_t cap)
{
    struct gh_writer w = gh_writer_of(buf, cap);
    size_t body = p->protocol == GH_IP_TCP ? 20 : 8, at, head = write_ip(&w, &p->src, &p->dst, p->protocol, body);

    if (gh_ip_is_icmp(p)) {
        gh_write_u8(&w, p->icmp_type);
        gh_write_u8(&w, p->icmp_code);
        gh_write_u16(&w, 0);
        gh_write_u16(&w, p->icmp_id);
        gh_write_u16(&w, 0);
        at = 2;
    } else {
        gh_write_u16(&w, p->src_port);
        gh_write_u16(&w, p->dst_port);
        gh_write_u32(&w, p->protocol == GH_IP_TCP ? p->tcp_seq : 8u << 16); /* UDP: a length of eight */
        at = 6;
    }
    if (p->protocol == GH_IP_TCP) {
        gh_write_u32(&w, p->tcp_ack);
        gh_write_u8(&w, 5 << 4);
        gh_write_u8(&w, p->tcp_flags);
        gh_write_u16(&w, 0);
        gh_write_u32(&w, 0);
        at = 16;
    } else if (p->protocol != GH_IP_UDP && !gh_ip_is_icmp(p)) {
        return w.failed ? 0 : gh_writer_len(&w); /* no checksum that we know of */
    }
    return seal(&w, head, at, &p->src, &p->dst, p->protocol);
}

size_t gh_tcp_emit_reset(const struct gh_ip_packet *tuple, uint32_t seq, bool has_ack, uint32_t ack, uint8_t *buf, size_t cap)
{
    struct gh_ip_packet p = *tuple;

    p.tcp_seq = seq;
    p.tcp_ack = has_ack ? ack : 0;
    p.tcp_flags = GH_TCP_RST | (has_ack ? GH_TCP_ACK : 0);
    return gh_icmp_emit_quoted(&p, buf, cap);
}
