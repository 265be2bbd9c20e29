#include "proto/forward/coalesce.h"

#include "base/error.h"
#include "proto/forward/checksum.h"

#define NO_PACKET UINT16_MAX
#define IPV4_DF 0x4000u
#define IPV4_HEADER 20u
#define IPV6_HEADER 40u

enum { NOT_VERIFIED, GOOD, BAD };

void gh_coalesce_init(struct gh_coalescer *c, unsigned kinds)
{
    c->kinds = kinds;
    c->reading = false;
    c->count = c->cursor = 0;
    c->open = c->victim = 0;
}

static uint32_t flow_hash(const struct gh_coalesce_packet *p)
{
    const uint8_t *at = p->data + p->layout.addresses;
    uint32_t h = gh_layout_load32(p->data + p->layout.transport) ^ p->layout.protocol;

    for (size_t i = 0; i < 2u * p->layout.address_len; i += 4)
        h = (h ^ gh_layout_load32(at + i)) * 0x9e3779b1u;
    return h ^ h >> 15;
}

static bool same_flow(const struct gh_coalesce_packet *a, const struct gh_coalesce_packet *b)
{
    return a->layout.family == b->layout.family && a->layout.protocol == b->layout.protocol &&
           memcmp(a->data + a->layout.addresses, b->data + b->layout.addresses, 2u * a->layout.address_len) == 0 &&
           memcmp(a->data + a->layout.transport, b->data + b->layout.transport, 4) == 0;
}

static struct gh_coalesce_flow *find_flow(struct gh_coalescer *c, const struct gh_coalesce_packet *p, uint32_t hash)
{
    for (size_t i = 0; i < c->open; i++) {
        struct gh_coalesce_flow *f = &c->flows[i];

        if (f->hash == hash && same_flow(&c->packets[f->head], p))
            return f;
    }
    return NULL;
}

static void close_flow(struct gh_coalescer *c, struct gh_coalesce_flow *f)
{
    *f = c->flows[--c->open];
    if (c->victim >= c->open)
        c->victim = 0;
}

static void open_flow(struct gh_coalescer *c, uint16_t head, uint32_t hash)
{
    struct gh_coalesce_flow *f;

    if (c->open < GH_COALESCE_FLOWS) {
        f = &c->flows[c->open++];
    } else {
        f = &c->flows[c->victim];
        c->victim = (uint16_t)((c->victim + 1) % GH_COALESCE_FLOWS);
    }
    *f = (struct gh_coalesce_flow){ hash, head };
}

static bool kind_wanted(const struct gh_coalescer *c, const struct gh_layout *l)
{
    if (l->protocol == GH_LAYOUT_TCP)
        return c->kinds & (l->family == 4 ? GH_COALESCE_TCP4 : GH_COALESCE_TCP6);
    return c->kinds & (l->family == 4 ? GH_COALESCE_UDP4 : GH_COALESCE_UDP6);
}

/* May the packet be part of a merged one at all? */
static bool mergeable(const struct gh_coalescer *c, const struct gh_coalesce_packet *p)
{
    const struct gh_layout *l = &p->layout;
    const uint8_t *transport = p->data + l->transport;

    if (!kind_wanted(c, l) || l->stated_len != p->len || p->len > GH_COALESCE_BYTES || p->len == l->header_len)
        return false;
    if (l->transport != (l->family == 4 ? IPV4_HEADER : IPV6_HEADER))
        return false;
    if (l->family == 4 && (gh_layout_load16(p->data + 6) & ~IPV4_DF)) /* the reserved bit */
        return false;
    if (l->protocol == GH_LAYOUT_TCP)
        return !(transport[GH_TCP_FLAGS] & (GH_TCP_SYN | GH_TCP_RST | GH_TCP_URG));
    return gh_layout_load16(transport + GH_UDP_LENGTH) == p->len - l->transport &&
           gh_layout_load16(transport + GH_UDP_CHECKSUM) != 0;
}

/* A sum of all ones may be written in two ways; only the one that cutting will write again is good enough. */
static bool is_ones(const uint8_t *field)
{
    return field[0] == 0xff && field[1] == 0xff;
}

static bool verify(struct gh_coalesce_packet *p)
{
    const struct gh_layout *l = &p->layout;
    size_t transport_len = p->len - l->transport;
    uint64_t sum;

    if (p->verified != NOT_VERIFIED)
        return p->verified == GOOD;
    p->verified = BAD;
    if (l->family == 4 && (is_ones(p->data + 10) || !gh_checksum_good(gh_checksum_add_scalar(0, p->data, l->transport))))
        return false;
    if (l->protocol == GH_LAYOUT_TCP && is_ones(p->data + l->checksum))
        return false;
    sum = gh_checksum_pseudo(p->data + l->addresses, l->address_len, l->protocol, (uint32_t)transport_len);
    if (!gh_checksum_good(gh_checksum_add(sum, p->data + l->transport, transport_len)))
        return false;
    p->verified = GOOD;
    return true;
}

static bool ip_continues(const struct gh_coalesce_packet *head, const struct gh_coalesce_packet *p)
{
    const uint8_t *a = head->data, *b = p->data;

    if (head->layout.family == 6) /* class and flow label, hop limit */
        return memcmp(a, b, 4) == 0 && a[7] == b[7];
    if (memcmp(a, b, 2) != 0 || memcmp(a + 6, b + 6, 3) != 0) /* TOS; DF and TTL */
        return false;
    return (gh_layout_load16(a + 6) & IPV4_DF) ||
           gh_layout_load16(b + 4) == (uint16_t)(gh_layout_load16(a + 4) + head->pieces);
}

static bool tcp_continues(const struct gh_coalesce_packet *head, const struct gh_coalesce_packet *p)
{
    const struct gh_layout *l = &head->layout;
    const uint8_t *a = head->data + l->transport, *b = p->data + l->transport;
    uint32_t expected = gh_layout_load32(a + GH_TCP_SEQ) + (head->total - l->header_len);
    uint8_t may_differ = GH_TCP_FIN | GH_TCP_PSH | GH_TCP_CWR;

    return gh_layout_load32(b + GH_TCP_SEQ) == expected && memcmp(a + 8, b + 8, 5) == 0 && /* acknowledged, data offset */
           ((a[GH_TCP_FLAGS] ^ b[GH_TCP_FLAGS]) & ~may_differ) == 0 && !(b[GH_TCP_FLAGS] & GH_TCP_CWR) &&
           memcmp(a + 14, b + 14, 2) == 0 && memcmp(a + 18, b + 18, 2) == 0 && /* window, urgent */
           memcmp(a + 20, b + 20, (size_t)(l->header_len - l->transport) - 20) == 0;
}

/* Does the packet belong directly behind what its flow's merged packet has? */
static bool continues(const struct gh_coalesce_packet *head, const struct gh_coalesce_packet *p)
{
    if (head->layout.header_len != p->layout.header_len || p->payload > head->payload ||
        head->pieces == GH_COALESCE_PIECES || head->total + p->payload > GH_COALESCE_BYTES)
        return false;
    return ip_continues(head, p) && (head->layout.protocol != GH_LAYOUT_TCP || tcp_continues(head, p));
}

/* Nothing may follow a packet that pushes or ends its stream: cutting would put that flag on a later one. */
static bool ends_merge(const struct gh_coalesce_packet *p)
{
    return p->layout.protocol == GH_LAYOUT_TCP &&
           (p->data[p->layout.transport + GH_TCP_FLAGS] & (GH_TCP_FIN | GH_TCP_PSH));
}

static void append(struct gh_coalescer *c, struct gh_coalesce_packet *head, uint16_t index)
{
    struct gh_coalesce_packet *p = &c->packets[index];

    c->packets[head->tail].next = index;
    head->tail = index;
    head->pieces++;
    head->total += p->payload;
    p->pieces = 0;
}

int gh_coalesce_add(struct gh_coalescer *c, uint8_t *packet, size_t len)
{
    uint16_t index = c->count;
    struct gh_coalesce_packet *p;
    struct gh_coalesce_flow *f;
    uint32_t hash;

    if (c->reading)
        return GH_ERR_STATE;
    if (index == GH_COALESCE_BATCH)
        return GH_ERR_FULL;
    c->count++;
    p = &c->packets[index];
    *p = (struct gh_coalesce_packet){ packet, len, .total = (uint32_t)len, .next = NO_PACKET, .tail = index, .pieces = 1 };
    if (gh_layout_parse(packet, len, &p->layout) < 0) {
        c->open = c->victim = 0; /* its flow is not known: a fragment, say. It keeps its place behind everything */
        return 0;
    }
    hash = flow_hash(p);
    f = find_flow(c, p, hash);
    if (!mergeable(c, p)) {
        if (f)
            close_flow(c, f);
        return 0;
    }
    p->payload = (uint32_t)(len - p->layout.header_len);
    if (f) {
        struct gh_coalesce_packet *head = &c->packets[f->head];

        if (continues(head, p) && verify(head) && verify(p)) {
            append(c, head, index);
            if (p->payload < head->payload || ends_merge(p))
                close_flow(c, f);
            return 0;
        }
        close_flow(c, f);
    }
    if (p->verified != BAD && !ends_merge(p))
        open_flow(c, index, hash);
    return 0;
}

static void describe(struct gh_coalesce_packet *head, struct gh_offload *ret)
{
    const struct gh_layout *l = &head->layout;
    bool tcp = l->protocol == GH_LAYOUT_TCP;

    *ret = (struct gh_offload){
        .kind = !tcp ? GH_OFFLOAD_UDP : l->family == 4 ? GH_OFFLOAD_TCP4 : GH_OFFLOAD_TCP6,
        .needs_csum = true,
        .ecn = tcp && (head->data[l->transport + GH_TCP_FLAGS] & GH_TCP_CWR),
        .segment_size = (uint16_t)head->payload,
        .header_len = l->header_len,
        .csum_start = l->transport,
        .csum_offset = (uint16_t)(l->checksum - l->transport),
    };
}

/* Makes the first packet's header that of the merged packet. */
static void rewrite_header(const struct gh_coalescer *c, struct gh_coalesce_packet *head)
{
    const struct gh_layout *l = &head->layout;
    uint8_t *transport = head->data + l->transport;
    uint32_t transport_len = head->total - l->transport;
    uint16_t partial;

    if (l->family == 4) {
        gh_layout_store16(head->data + 2, head->total);
        gh_layout_store16(head->data + 10, 0);
        gh_checksum_store(head->data + 10, gh_checksum_add_scalar(0, head->data, l->transport), false);
    } else {
        gh_layout_store16(head->data + 4, head->total - IPV6_HEADER);
    }
    if (l->protocol == GH_LAYOUT_UDP)
        gh_layout_store16(transport + GH_UDP_LENGTH, transport_len);
    else
        transport[GH_TCP_FLAGS] |= c->packets[head->tail].data[l->transport + GH_TCP_FLAGS] & (GH_TCP_FIN | GH_TCP_PSH);
    partial = gh_checksum_fold(
        gh_checksum_pseudo(head->data + l->addresses, l->address_len, l->protocol, transport_len));
    memcpy(head->data + l->checksum, &partial, sizeof partial);
}

static void emit_super(struct gh_coalescer *c, struct gh_coalesce_packet *head, struct gh_super *ret)
{
    ret->len = head->total;
    ret->packet_count = head->pieces;
    ret->pieces[0] = gh_span_of(head->data, head->len);
    ret->piece_count = 1;
    if (head->pieces == 1) {
        ret->len = head->len;
        ret->offload = (struct gh_offload){ .csum_valid = head->verified == GOOD };
        return;
    }
    describe(head, &ret->offload);
    rewrite_header(c, head);
    for (uint16_t i = head->next; i != NO_PACKET; i = c->packets[i].next) {
        const struct gh_coalesce_packet *p = &c->packets[i];

        ret->pieces[ret->piece_count++] = gh_span_of(p->data + p->layout.header_len, p->payload);
    }
}

int gh_coalesce_next(struct gh_coalescer *c, struct gh_super *ret)
{
    c->reading = true;
    c->open = c->victim = 0;
    while (c->cursor < c->count && c->packets[c->cursor].pieces == 0)
        c->cursor++;
    if (c->cursor == c->count) {
        c->reading = false;
        c->count = c->cursor = 0;
        return 0;
    }
    emit_super(c, &c->packets[c->cursor++], ret);
    return 1;
}
