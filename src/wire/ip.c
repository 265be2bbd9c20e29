#include "wire/ip.h"

static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)load16(p) << 16 | load16(p + 2);
}

/* The part of a packet that is at hand. */
struct view {
    const uint8_t *data;
    size_t len;
    bool quoted; /* cut and stale, as inside an ICMP error */
};

bool gh_ip_protocol_has_ports(uint8_t protocol)
{
    switch (protocol) {
    case GH_IP_TCP:
    case GH_IP_UDP:
    case GH_IP_DCCP:
    case GH_IP_SCTP:
    case GH_IP_UDPLITE:
        return true;
    default:
        return false;
    }
}

static int read_tcp(const struct view *v, struct gh_ip_packet *p)
{
    const uint8_t *tcp = v->data + p->l4_off;
    size_t left = v->len - p->l4_off, head;

    p->tcp_seq = load32(tcp + 4);
    if (v->quoted && left < 20)
        return 0;
    if (left < 20)
        return GH_ERR_MALFORMED;
    head = (size_t)(tcp[12] >> 4) * 4;
    if (head < 20 || (!v->quoted && head > left))
        return GH_ERR_MALFORMED;
    p->tcp_flags = tcp[13];
    p->tcp_ack = load32(tcp + 8);
    p->tcp_len = (uint32_t)(left > head ? left - head : 0) + !!(p->tcp_flags & GH_TCP_SYN) + !!(p->tcp_flags & GH_TCP_FIN);
    return 0;
}

static int read_udp(const struct view *v, const struct gh_ip_packet *p)
{
    size_t left = v->len - p->l4_off, told = load16(v->data + p->l4_off + 4);

    if (told < 8)
        return GH_ERR_MALFORMED;
    return !v->quoted && !p->fragment && told > left ? GH_ERR_MALFORMED : 0;
}

/* The upper header of a whole packet or of a first fragment. */
static int read_upper(const struct view *v, struct gh_ip_packet *p)
{
    const uint8_t *l4 = v->data + p->l4_off;
    size_t left = v->len - p->l4_off;

    if (gh_ip_protocol_has_ports(p->protocol)) {
        if (left < 8)
            return GH_ERR_MALFORMED;
        p->has_ports = true;
        p->src_port = load16(l4);
        p->dst_port = load16(l4 + 2);
        if (p->protocol == GH_IP_TCP)
            return read_tcp(v, p);
        return p->protocol == GH_IP_UDP ? read_udp(v, p) : 0;
    }
    if (gh_ip_is_icmp(p)) {
        if (left < 8)
            return GH_ERR_MALFORMED;
        p->icmp_type = l4[0];
        p->icmp_code = l4[1];
        p->icmp_id = load16(l4 + 4);
    }
    return 0;
}

/* A piece must not reach beyond 65,535 bytes, and every piece but the last is a multiple of eight. */
static int check_fragment(const struct view *v, const struct gh_ip_packet *p)
{
    size_t piece = p->total_len - p->frag_data;

    if (v->quoted)
        return 0;
    if (piece == 0 || (p->more && piece % 8 != 0) || p->frag_off + piece > 65535)
        return GH_ERR_MALFORMED;
    return 0;
}

static int check_v4_options(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (at[i] == 0)
            return 0;
        if (at[i] == 1) {
            i++;
            continue;
        }
        if (at[i] == 131 || at[i] == 137)
            return GH_ERR_MALFORMED; /* RFC 7126, section 4.3: source routes are dropped */
        if (len - i < 2 || at[i + 1] < 2 || at[i + 1] > len - i)
            return GH_ERR_MALFORMED;
        i += at[i + 1];
    }
    return 0;
}

/* Of an address that is all zero. */
static void set_v4(struct gh_ip *a, const uint8_t *bytes)
{
    a->family = 4;
    memcpy(a->bytes, bytes, 4);
}

static void set_v6(struct gh_ip *a, const uint8_t *bytes)
{
    a->family = 6;
    memcpy(a->bytes, bytes, 16);
}

static int read_v4(const struct view *v, struct gh_ip_packet *p)
{
    const uint8_t *d = v->data;
    size_t head;
    uint16_t frag;

    if (v->len < 20)
        return GH_ERR_MALFORMED;
    head = (size_t)(d[0] & 15) * 4;
    p->total_len = load16(d + 2);
    if (head < 20 || head > v->len || head > p->total_len)
        return GH_ERR_MALFORMED;
    if (!v->quoted && (p->total_len != v->len || gh_ip_checksum(d, head) != 0))
        return GH_ERR_MALFORMED;
    if (!v->quoted && check_v4_options(d + 20, head - 20) < 0)
        return GH_ERR_MALFORMED;
    frag = load16(d + 6);
    p->ttl = d[8];
    p->protocol = p->frag_protocol = d[9];
    set_v4(&p->src, d + 12);
    set_v4(&p->dst, d + 16);
    p->dont_fragment = frag & 0x4000;
    p->more = frag & 0x2000;
    p->frag_off = (uint16_t)((frag & 0x1fff) * 8);
    p->fragment = p->more || p->frag_off;
    p->first_fragment = p->fragment && p->frag_off == 0;
    p->frag_id = load16(d + 4);
    p->l4_off = p->frag_data = (uint16_t)head;
    return p->fragment ? check_fragment(v, p) : 0;
}

static int read_v6_fragment(const struct view *v, size_t at, struct gh_ip_packet *p)
{
    const uint8_t *h = v->data + at;
    uint16_t off = load16(h + 2);

    p->frag_protocol = h[0];
    p->frag_off = off & 0xfff8;
    p->more = off & 1;
    p->frag_id = load32(h + 4);
    p->fragment = p->more || p->frag_off;
    p->first_fragment = p->fragment && p->frag_off == 0;
    p->frag_data = (uint16_t)(at + 8);
    return p->fragment ? check_fragment(v, p) : 0;
}

/* Follows the chain of extension headers (RFC 8200, section 4) to the upper protocol. */
static int walk_v6(const struct view *v, struct gh_ip_packet *p)
{
    size_t at = 40;
    uint8_t next = v->data[6];
    bool fragment_seen = false;

    for (unsigned n = 0;; n++) {
        const uint8_t *h = v->data + at;
        size_t len = 8;

        if (next != GH_IP_HOP_BY_HOP && next != GH_IP_ROUTING && next != GH_IP_FRAGMENT && next != GH_IP_DESTINATION)
            break;
        if (n == GH_IP_EXTENSIONS_MAX || v->len - at < 8 || (next == GH_IP_HOP_BY_HOP && n > 0))
            return GH_ERR_MALFORMED;
        if (next == GH_IP_FRAGMENT) {
            if (fragment_seen || read_v6_fragment(v, at, p) < 0)
                return GH_ERR_MALFORMED;
            fragment_seen = true;
        } else {
            len = ((size_t)h[1] + 1) * 8;
            if (len > v->len - at || (next == GH_IP_ROUTING && h[3] != 0 && !v->quoted))
                return GH_ERR_MALFORMED; /* RFC 5095: segments left would take it elsewhere */
        }
        next = h[0];
        at += len;
        if (p->fragment && p->frag_off > 0)
            break; /* what follows are bytes from the middle */
    }
    p->protocol = next;
    p->l4_off = (uint16_t)at;
    if (!fragment_seen) {
        p->frag_data = p->l4_off;
        p->frag_protocol = next;
    }
    return 0;
}

static int read_v6(const struct view *v, struct gh_ip_packet *p)
{
    const uint8_t *d = v->data;

    if (v->len < 40)
        return GH_ERR_MALFORMED;
    p->total_len = 40u + load16(d + 4);
    if (!v->quoted && p->total_len != v->len)
        return GH_ERR_MALFORMED; /* jumbograms are not carried */
    p->ttl = d[7];
    set_v6(&p->src, d + 8);
    set_v6(&p->dst, d + 24);
    p->dont_fragment = true;
    return walk_v6(v, p);
}

/* Straight into the caller's: every packet of every flow comes by here, and copying what was just written in small pieces makes the CPU wait. */
static int parse(const struct view *v, struct gh_ip_packet *p)
{
    int rc = GH_ERR_MALFORMED;

    *p = (struct gh_ip_packet){ 0 };
    if (v->len == 0)
        return rc;
    p->version = v->data[0] >> 4;
    if (p->version == 4)
        rc = read_v4(v, p);
    else if (p->version == 6)
        rc = read_v6(v, p);
    if (rc == 0 && !(p->fragment && p->frag_off > 0))
        rc = read_upper(v, p);
    if (rc < 0)
        p->version = 0;
    return rc;
}

int gh_ip_packet_parse(const uint8_t *data, size_t len, struct gh_ip_packet *ret)
{
    return parse(&(struct view){ data, len, false }, ret);
}

int gh_ip_quoted_parse(const uint8_t *data, size_t len, struct gh_ip_packet *ret)
{
    return parse(&(struct view){ data, len, true }, ret);
}

bool gh_ip_is_icmp_error(const struct gh_ip_packet *p)
{
    if (!gh_ip_is_icmp(p) || (p->fragment && p->frag_off > 0))
        return false;
    if (p->version == 6)
        return p->icmp_type < 128;
    return p->icmp_type == 3 || p->icmp_type == 4 || p->icmp_type == 5 || p->icmp_type == 11 || p->icmp_type == 12;
}

bool gh_ip_is_unicast(const struct gh_ip *a)
{
    static const uint8_t compatible[12] = { 0 }, mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (a->family == 4)
        return a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224;
    /* RFC 4291, section 2.5: no address and the loopback one are in ::/96; with an IPv4 address inside, they are no destination on a wire */
    return a->family == 6 && !gh_ip_is_multicast(a) && memcmp(a->bytes, compatible, 12) != 0 && memcmp(a->bytes, mapped, 12) != 0;
}

uint64_t gh_ip_checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (; len >= 4; p += 4, len -= 4)
        sum += load32(p); /* folding 32-bit words gives the same sum: 2^16 is 1 in this arithmetic */
    if (len >= 2) {
        sum += load16(p);
        p += 2;
        len -= 2;
    }
    if (len)
        sum += (uint64_t)*p << 8;
    return sum;
}

uint16_t gh_ip_checksum_finish(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint16_t gh_ip_checksum(const void *data, size_t len)
{
    return gh_ip_checksum_finish(gh_ip_checksum_add(0, data, len));
}

uint16_t gh_ip_checksum_upper(const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol, const void *data, size_t len)
{
    uint64_t sum = gh_ip_checksum_add(0, src->bytes, 16);

    sum = gh_ip_checksum_add(sum, dst->bytes, 16);
    return gh_ip_checksum_finish(gh_ip_checksum_add(sum + protocol + len, data, len));
}

uint16_t gh_ip_checksum_update(uint16_t check, uint16_t before, uint16_t after)
{
    uint32_t sum = (uint16_t)~check + (uint32_t)(uint16_t)~before + after;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint16_t gh_ip_checksum_update32(uint16_t check, uint32_t before, uint32_t after)
{
    check = gh_ip_checksum_update(check, (uint16_t)(before >> 16), (uint16_t)(after >> 16));
    return gh_ip_checksum_update(check, (uint16_t)before, (uint16_t)after);
}

bool gh_ip_ttl_decrement(uint8_t *packet)
{
    uint16_t before, check;

    if (packet[0] >> 4 == 6) {
        if (packet[7] <= 1)
            return false;
        packet[7]--;
        return true;
    }
    if (packet[8] <= 1)
        return false;
    before = load16(packet + 8);
    packet[8]--;
    check = gh_ip_checksum_update(load16(packet + 10), before, load16(packet + 8));
    packet[10] = (uint8_t)(check >> 8);
    packet[11] = (uint8_t)check;
    return true;
}

static uint64_t mix(uint64_t h, const uint8_t *bytes)
{
    uint64_t v;

    memcpy(&v, bytes, sizeof v);
    h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 32;
}

uint32_t gh_ip_flow_number(const uint8_t *packet, size_t len, uint64_t key)
{
    uint64_t h = key;
    uint8_t last[8] = { 0 };
    size_t at;
    bool piece = false;

    if (len >= 20 && packet[0] >> 4 == 4) {
        at = (size_t)(packet[0] & 15) * 4;
        piece = (packet[6] & 0x3f) | packet[7]; /* more to come, or not the first */
        last[4] = packet[9];
        h = mix(h, packet + 12);
    } else if (len >= 40 && packet[0] >> 4 == 6) {
        at = 40;
        last[4] = packet[6];
        for (size_t i = 8; i < 40; i += 8)
            h = mix(h, packet + i);
    } else {
        return 0;
    }
    if (!piece && gh_ip_protocol_has_ports(last[4]) && len >= at + 4)
        memcpy(last, packet + at, 4);
    h = mix(h, last);
    return (uint32_t)(h ^ h >> 29);
}
