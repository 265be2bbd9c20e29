/* HTTP datagrams, capsules, addresses, routes and packets (RFC 9297, RFC 9484 sections 4.7, 5 to 7). */
#include <string.h>

#include "base/error.h"
#include "proto/conform/script.h"
#include "wire/ip.h"

#define QUARTER_MAX ((UINT64_C(1) << 60) - 1)

static uint64_t quarter(const check *c)
{
    return (uint64_t)c->tunnel / 4;
}

/* D: datagrams. */

static void raw_datagram(check *c, const row *r)
{
    if (!check_open_tunnel(c))
        return;
    if (gh_conform_datagram_raw(&c->peer, gh_span_of(r->bytes, r->len)) < 0)
        check_skip(c, "the proxy takes no datagrams");
    else
        expect_closed(c, r->code);
}

/* <code> is a quarter stream id. */
static void beyond_every_stream(check *c, const row *r)
{
    if (!check_open_tunnel(c))
        return;
    if (gh_conform_datagram(&c->peer, r->code, gh_span_of("\0x", 2)) < 0)
        check_skip(c, "the proxy takes no datagrams");
    else
        expect_closed(c, r->code > QUARTER_MAX ? H3_DATAGRAM_ERROR : H3_ID_ERROR);
}

static void stream_not_open_yet(check *c, const row *r)
{
    (void)r;
    if (!check_open_tunnel(c))
        return;
    if (gh_conform_datagram(&c->peer, quarter(c) + 3, gh_span_of("\0x", 2)) < 0)
        check_skip(c, "the proxy takes no datagrams");
    else
        expect_alive(c);
}

static void request_without_datagrams(check *c, const row *r)
{
    struct gh_conform_bytes b = { .len = 0 };
    const char *fields[] = { ":method", "POST", ":scheme", "https", ":authority", c->target->authority, ":path", "/", NULL };
    int64_t id;

    (void)r;
    if (!check_open_tunnel(c))
        return;
    gh_conform_head(&b, fields);
    id = gh_conform_open(&c->peer, true, gh_conform_span(&b), false);
    gh_conform_pause(&c->peer, MS);
    gh_conform_datagram(&c->peer, (uint64_t)id / 4, gh_span_of("\0x", 2));
    gh_conform_pause(&c->peer, 200 * MS);
    if (c->peer.closed)
        expect_alive(c);
    else if (check_status(c, id))
        check_skip(c, "the proxy had answered the request before");
    else
        expect_aborted(c, id, H3_DATAGRAM_ERROR);
}

static void datagrams_not_agreed(check *c, const row *r)
{
    static const char control[] = "\x00\x04\x05\x06\x80\x00\x40\x00";
    struct gh_conform_bytes b = { .len = 0 };

    (void)r;
    if (!check_connect(c))
        return;
    c->control = gh_conform_open(&c->peer, false, gh_span_of(control, sizeof control - 1), false);
    check_tunnel_head(c, &b);
    check_ask(c, gh_conform_span(&b), false);
    gh_conform_pause(&c->peer, 200 * MS);
    if (c->peer.datagram_count)
        check_fail(c, "a datagram came");
    else
        expect_alive(c);
}

static void setting_2(check *c, const row *r)
{
    if (!check_connect(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    expect_closed(c, r->code);
}

#define D "RFC 9297, "

const row gh_conform_rows_datagram[] = {
    { "D1", "a datagram for a request that knows none", D "2", .run = request_without_datagrams },
    { "D2", "a datagram that is too short", D "2.1", .run = raw_datagram, BYTES("\x40"), .code = H3_DATAGRAM_ERROR },
    { "D2", "a quarter stream id of 2^60", D "2.1", .run = beyond_every_stream, .code = QUARTER_MAX + 1 },
    { "D4", "a datagram beyond the limit of streams", D "2.1", GH_CONFORM_SHOULD, .run = beyond_every_stream, .code = UINT64_C(1) << 40 },
    { "D4", "a datagram of a stream that is not open yet", D "2.1", .run = stream_not_open_yet },
    { "D5", "H3_DATAGRAM that is 2", D "2.1.1", .run = setting_2, BYTES("\x00\x04\x02\x33\x02"), .code = H3_SETTINGS_ERROR },
    { "D5", "no datagrams to a client that did not agree", D "2.1.1", .run = datagrams_not_agreed },
    { NULL },
};

/* Capsules. */

static void capsule_aborts(check *c, const row *r)
{
    if (!check_open_tunnel(c))
        return;
    check_capsules(c, gh_span_of(r->bytes, r->len));
    if (r->fin)
        gh_conform_send(&c->peer, c->tunnel, gh_span_of(NULL, 0), true);
    expect_aborted(c, c->tunnel, H3_MESSAGE_ERROR);
}

static void capsule_is_fine(check *c, const row *r)
{
    if (!check_open_tunnel(c))
        return;
    check_capsules(c, gh_span_of(r->bytes, r->len));
    expect_alive(c);
}

/* <len> zero bytes of a capsule's value, in DATA frames. */
static void send_zeroes(check *c, size_t len)
{
    static const uint8_t zeroes[2048];
    struct gh_conform_bytes b;
    size_t n;

    for (; len > 0; len -= n) {
        n = len < sizeof zeroes ? len : sizeof zeroes;
        b.len = 0;
        b.failed = false;
        gh_conform_tlv(&b, 0x00, gh_span_of(zeroes, n));
        gh_conform_send(&c->peer, c->tunnel, gh_conform_span(&b), false);
    }
}

static bool is_sent(struct gh_conform_peer *p, const void *arg)
{
    const struct gh_conform_stream *s = gh_conform_stream(p, *(const int64_t *)arg);

    return s && (!s->unsent || s->stopped || s->reset != GH_CONFORM_NO_CODE);
}

/* A capsule of type <code> with a megabyte in it. */
static void large_capsule(check *c, const row *r)
{
    struct gh_conform_bytes b = { .len = 0 }, head = { .len = 0 };

    if (!check_open_tunnel(c))
        return;
    gh_conform_varint(&head, r->code);
    gh_conform_varint(&head, 1 << 20);
    gh_conform_tlv(&b, 0x00, gh_conform_span(&head));
    gh_conform_send(&c->peer, c->tunnel, gh_conform_span(&b), false);
    send_zeroes(c, 1 << 20);
    if (!gh_conform_wait(&c->peer, is_sent, &c->tunnel) && !c->peer.closed)
        check_fail(c, "flow control was not opened before the whole capsule was there");
    else
        expect_alive(c);
}

#define ANY_V4 "\x04\0\0\0\0\x20"

static bool has_answer(struct gh_conform_peer *p, const void *arg);

/* ADDRESS_REQUEST byte by byte, a DATA frame each. */
static void one_byte_at_a_time(check *c, const row *r)
{
    static const char request[] = "\x02\x07\x01" ANY_V4;
    uint64_t id = 1;

    (void)r;
    if (!check_open_tunnel(c))
        return;
    for (size_t i = 0; i < sizeof request - 1; i++)
        check_capsules(c, gh_span_of(&request[i], 1));
    if (gh_conform_wait(&c->peer, has_answer, (const void *[]){ c, &id }))
        check_pass(c);
    else
        check_fail(c, "ADDRESS_REQUEST was not answered");
}

#define C "RFC 9297, "

const row gh_conform_rows_capsule[] = {
    { "D7", "an unknown capsule is skipped", C "3.2", .run = capsule_is_fine, BYTES("\x40\x79\x05" "hello" "\x17\x00") },
    { "D7", "an unknown capsule of a megabyte is skipped as it comes", C "3.2", .run = large_capsule, .code = 0x29 * 100 + 0x17 },
    { "D9", "the stream ends inside a capsule", C "3.3", .run = capsule_aborts, BYTES("\x02\x07\x01\x04\0\0"), .fin = true },
    { "D9", "the stream ends inside an unknown capsule", C "3.3", .run = capsule_aborts, BYTES("\x17\x09" "abc"), .fin = true },
    { "D11", "a DATAGRAM capsule on HTTP/3", C "3.5", .run = capsule_is_fine, BYTES("\x00\x05\0\x45\0\0\x14") },
    { "D11", "a DATAGRAM capsule of a megabyte is discarded as it comes", C "3.5", .run = large_capsule, .code = 0x00 },
    { "A9", "several capsules in one DATA frame", C "3.2", .run = capsule_is_fine, BYTES("\x17\x00\x03\x00\x01\x00\x17\x01x\x00\x02\0x") },
    { NULL },
};

/* Addresses and routes. */

/* One ADDRESS_ASSIGN has answers for all the ids that follow <c>; 0 ends them. */
static bool assigned(check *c, const uint64_t *ids, size_t count)
{
    size_t at = 0, found;
    uint64_t type;
    struct gh_span value;

    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value)) {
        struct gh_reader r = gh_reader_of(value);

        found = 0;
        while (type == 0x01 && !r.failed && gh_reader_left(&r)) {
            uint64_t id = gh_read_varint(&r);

            gh_read_span(&r, gh_read_u8(&r) == 4 ? 5 : 17);
            for (size_t i = 0; i < count && !r.failed; i++)
                found += ids[i] == id;
        }
        if (found == count)
            return true;
    }
    return false;
}

static bool has_answer(struct gh_conform_peer *p, const void *arg)
{
    const void *const *args = arg;

    (void)p;
    return assigned((check *)(uintptr_t)args[0], args[1], 1);
}

static bool has_both(struct gh_conform_peer *p, const void *arg)
{
    static const uint64_t ids[] = { 7, 9 };

    (void)p;
    return assigned((check *)(uintptr_t)arg, ids, 2);
}

static void every_request_is_answered(check *c, const row *r)
{
    uint64_t seven = 7;

    if (!check_open_tunnel(c))
        return;
    check_capsules(c, gh_span_of(r->bytes, r->len));
    if (gh_conform_wait(&c->peer, has_both, c))
        expect_alive(c);
    else if (c->peer.closed || !gh_conform_stream(&c->peer, c->tunnel)->ended)
        check_fail(c, assigned(c, &seven, 1) ? "only the first was answered" : "no answer");
    else
        check_fail(c, "the tunnel was ended");
}

/* What was assigned stays: a later list that lacks it would take it away. */
static void assignments_stay(check *c, const row *r)
{
    size_t at = 0;
    uint64_t type;
    struct gh_span value, first = { NULL, 0 }, last = { NULL, 0 };

    (void)r;
    if (!check_addresses(c))
        return;
    gh_conform_pause(&c->peer, 300 * MS);
    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value)) {
        if (type != 0x01)
            continue;
        first = first.data ? first : value;
        last = value;
    }
    for (struct gh_reader in = gh_reader_of(first); !in.failed && gh_reader_left(&in);) {
        struct gh_span address;

        gh_read_varint(&in);
        address = gh_read_span(&in, gh_reader_left(&in) && *in.at == 4 ? 6 : 18);
        if (!in.failed && last.len > 0 && !memmem(last.data, last.len, address.data, address.len)) {
            check_fail(c, "a second ADDRESS_ASSIGN left out, and so took away, what the first had assigned");
            return;
        }
    }
    check_pass(c);
}

static void assigned_are_prefixes(check *c, const row *r)
{
    size_t at = 0;
    uint64_t type;
    struct gh_span value;

    (void)r;
    if (!check_addresses(c))
        return;
    check_pass(c);
    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value)) {
        struct gh_reader in = gh_reader_of(value);

        while (type == 0x01 && !in.failed && gh_reader_left(&in)) {
            struct gh_prefix p = { .len = 0 };
            uint8_t bytes[16], version;

            gh_read_varint(&in);
            version = gh_read_u8(&in);
            if (version != 4 && version != 6) {
                check_fail(c, "IP version %u", version);
                return;
            }
            gh_read_bytes(&in, bytes, version == 4 ? 4 : 16);
            p.addr = version == 4 ? gh_ip_v4(bytes) : gh_ip_v6(bytes);
            p.len = gh_read_u8(&in);
            if (!in.failed && !gh_prefix_valid(&p))
                check_fail(c, "ADDRESS_ASSIGN has bits below the prefix, or a prefix that is too long");
        }
        if (type == 0x01 && in.failed)
            check_fail(c, "ADDRESS_ASSIGN is cut short");
    }
}

/* Is <b> behind <a> (RFC 9484, section 4.7.3)? */
static bool behind(const struct gh_ip_route *a, const struct gh_ip_route *b)
{
    if (a->start.family != b->start.family)
        return a->start.family < b->start.family;
    if (a->protocol != b->protocol)
        return a->protocol < b->protocol;
    return gh_ip_compare(&a->end, &b->start) < 0;
}

static void routes_are_ordered(check *c, const row *r)
{
    size_t at = 0;
    uint64_t type;
    struct gh_span value;

    (void)r;
    if (!check_addresses(c))
        return;
    gh_conform_pause(&c->peer, 300 * MS);
    check_skip(c, "the proxy advertises no routes");
    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value)) {
        struct gh_reader in = gh_reader_of(value);
        struct gh_ip_route before = { .protocol = 0 }, route = { .protocol = 0 };

        if (type != 0x03)
            continue;
        if (c->result->verdict == GH_CONFORM_SKIPPED)
            check_pass(c);
        for (; !in.failed && gh_reader_left(&in); before = route) {
            uint8_t bytes[32], version = gh_read_u8(&in);
            size_t len = version == 4 ? 4 : 16;

            gh_read_bytes(&in, bytes, 2 * len);
            route.start = version == 4 ? gh_ip_v4(bytes) : gh_ip_v6(bytes);
            route.end = version == 4 ? gh_ip_v4(bytes + len) : gh_ip_v6(bytes + len);
            route.protocol = gh_read_u8(&in);
            if (!in.failed && (version != 4 && version != 6))
                check_fail(c, "ROUTE_ADVERTISEMENT with IP version %u", version);
            else if (!in.failed && (gh_ip_compare(&route.start, &route.end) > 0 || (before.start.family && !behind(&before, &route))))
                check_fail(c, "ROUTE_ADVERTISEMENT is out of order");
        }
        if (in.failed)
            check_fail(c, "ROUTE_ADVERTISEMENT is cut short");
    }
}

#define A "RFC 9484, 4.7."
#define V6_ANY "\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ABORTS .run = capsule_aborts
#define FINE .run = capsule_is_fine

const row gh_conform_rows_address[] = {
    { "A1", "what is assigned are prefixes", A "1", .run = assigned_are_prefixes },
    { "A2", "what was assigned stays", A "1", .run = assignments_stay },
    { "A4", "every entry of ADDRESS_REQUEST is answered, in one ADDRESS_ASSIGN", A "2", .run = every_request_is_answered,
      BYTES("\x02\x1a\x07" ANY_V4 "\x09" V6_ANY "\x80") },
    { "A4", "an address that cannot be had is refused by an answer", A "2", .run = every_request_is_answered,
      BYTES("\x02\x0e\x07\x04\x7f\0\0\x01\x20\x09\x04\xf0\0\0\x01\x20") },
    { "D6", "ADDRESS_REQUEST in nine DATA frames", "RFC 9297, 3.2", .run = one_byte_at_a_time },
    { "A1", "ADDRESS_REQUEST with IP version 5", A "2", ABORTS, BYTES("\x02\x07\x01\x05\0\0\0\0\x20") },
    { "A1", "ADDRESS_REQUEST with an IPv4 prefix of 33 bits", A "2", ABORTS, BYTES("\x02\x07\x01\x04\0\0\0\0\x21") },
    { "A1", "ADDRESS_REQUEST with an IPv6 prefix of 129 bits", A "2", ABORTS, BYTES("\x02\x13\x01" V6_ANY "\x81") },
    { "A1", "ADDRESS_REQUEST with bits below the prefix", A "2", ABORTS, BYTES("\x02\x07\x01\x04\x0a\0\0\x01\x08") },
    { "A4", "ADDRESS_REQUEST for nothing", A "2", ABORTS, BYTES("\x02\x00") },
    { "A4", "ADDRESS_REQUEST with id 0", A "2", ABORTS, BYTES("\x02\x07\x00" ANY_V4) },
    { "A4", "ADDRESS_REQUEST with an id twice", A "2", GH_CONFORM_SHOULD, ABORTS, BYTES("\x02\x0e\x01" ANY_V4 "\x01" ANY_V4) },
    { "D9", "ADDRESS_REQUEST that is cut short", "RFC 9297, 3.3", ABORTS, BYTES("\x02\x03\x01\x04\0") },
    { "D9", "ADDRESS_REQUEST with a byte left over", "RFC 9297, 3.3", ABORTS, BYTES("\x02\x08\x01" ANY_V4 "\x02") },
    { "A1", "ADDRESS_ASSIGN with IP version 5", A "1", ABORTS, BYTES("\x01\x07\x00\x05\0\0\0\0\x20") },
    { "A1", "ADDRESS_ASSIGN with an IPv4 prefix of 33 bits", A "1", ABORTS, BYTES("\x01\x07\x00\x04\0\0\0\0\x21") },
    { "A1", "ADDRESS_ASSIGN with bits below the prefix", A "1", ABORTS, BYTES("\x01\x07\x00\x04\x0a\0\0\x01\x08") },
    { "D9", "ADDRESS_ASSIGN that is cut short", "RFC 9297, 3.3", ABORTS, BYTES("\x01\x03\x00\x04\0") },
    { "A2", "an empty ADDRESS_ASSIGN", A "1", FINE, BYTES("\x01\x00") },
    { "A6", "an empty ROUTE_ADVERTISEMENT", A "3", FINE, BYTES("\x03\x00") },
    { "A6", "a ROUTE_ADVERTISEMENT in order", A "3", FINE,
      BYTES("\x03\x1e\x04\xc0\0\x02\0\xc0\0\x02\x0f\x00\x04\xc0\0\x02\x10\xc0\0\x02\x1f\x00\x04\xc0\0\x02\x20\xc0\0\x02\x2f\x11") },
    { "A6", "a ROUTE_ADVERTISEMENT with IP version 5", A "3", ABORTS, BYTES("\x03\x0a\x05\0\0\0\0\xff\xff\xff\xff\0") },
    { "A6", "a range that ends before it starts", A "3", ABORTS, BYTES("\x03\x0a\x04\x0a\0\0\x02\x0a\0\0\x01\0") },
    { "A6", "ranges out of order", A "3", ABORTS, BYTES("\x03\x14\x04\x0a\0\0\x05\x0a\0\0\x06\0\x04\x0a\0\0\x01\x0a\0\0\x02\0") },
    { "A6", "ranges that overlap", A "3", ABORTS, BYTES("\x03\x14\x04\x0a\0\0\x01\x0a\0\0\x06\0\x04\x0a\0\0\x06\x0a\0\0\x09\0") },
    { "A6", "protocols out of order", A "3", ABORTS, BYTES("\x03\x14\x04\x0a\0\0\x01\x0a\0\0\x02\x11\x04\x0a\0\0\x05\x0a\0\0\x06\x06") },
    { "A6", "IPv6 before IPv4", A "3", ABORTS,
      BYTES("\x03\x2c\x06\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x04\x0a\0\0\x05\x0a\0\0\x06\0") },
    { "D9", "a ROUTE_ADVERTISEMENT that is cut short", "RFC 9297, 3.3", ABORTS, BYTES("\x03\x05\x04\0\0\0\0") },
    { "A6", "the proxy's routes are in order", A "3", .run = routes_are_ordered },
    { NULL },
};

/* Packets. */

/* An HTTP datagram of these bytes, context id included. */
static void datagram_is_harmless(check *c, const row *r)
{
    if (!check_addresses(c))
        return;
    for (int i = 0; i < 3; i++)
        if (gh_conform_datagram(&c->peer, quarter(c), gh_span_of(r->bytes, r->len)) < 0) {
            check_fail(c, "the proxy takes no datagrams");
            return;
        }
    expect_alive(c);
}

/* An ICMPv6 echo request to ff02::1 with <data> bytes, behind a context id; the length. */
static size_t echo(const struct gh_ip *from, size_t data, uint8_t *buf)
{
    static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };
    struct gh_ip to = gh_ip_v6(all_nodes);
    uint8_t *ip = buf + 1, *icmp = ip + 40;
    uint16_t sum;

    memset(buf, 0, 49 + data);
    ip[0] = 0x60;
    ip[4] = (uint8_t)((8 + data) >> 8);
    ip[5] = (uint8_t)(8 + data);
    ip[6] = GH_IP_ICMPV6;
    ip[7] = 255;
    memcpy(ip + 8, from->bytes, 16);
    memcpy(ip + 24, all_nodes, 16);
    icmp[0] = 128;
    icmp[5] = 7;
    sum = gh_ip_checksum_upper(from, &to, GH_IP_ICMPV6, icmp, 8 + data);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
    return 49 + data;
}

/* Quarter stream id of one byte, context id 0, IPv6, ICMPv6 echo reply. */
static bool has_echo(struct gh_conform_peer *p, const void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < GH_CONFORM_DATAGRAMS && i < p->datagram_count; i++) {
        const struct gh_conform_datagram *d = &p->datagrams[i];

        if (d->len >= 50 && d->data[1] == 0 && d->data[2] >> 4 == 6 && d->data[8] == GH_IP_ICMPV6 && d->data[42] == 129)
            return true;
    }
    return false;
}

/* <code> bytes of data. */
static void echo_to_all_nodes(check *c, const row *r)
{
    uint8_t buf[1400];
    bool sent = false;

    if (!check_addresses(c))
        return;
    if (c->v6.family != 6) {
        check_skip(c, "the proxy assigned no IPv6 address");
        return;
    }
    c->peer.patience = 200 * MS;
    for (int64_t left = c->patience; left > 0 && !c->peer.closed; left -= 200 * MS) { /* both ends may still be finding the path's MTU */
        sent |= gh_conform_datagram(&c->peer, quarter(c), gh_span_of(buf, echo(&c->v6, r->code, buf))) == 0;
        if (gh_conform_wait(&c->peer, has_echo, NULL)) {
            check_pass(c);
            return;
        }
    }
    if (sent)
        check_fail(c, "no echo reply");
    else
        check_fail(c, "no datagram of %zu bytes can be sent", (size_t)r->code + 49);
}

#define P "RFC 9484, "

const row gh_conform_rows_packet[] = {
    { "A8", "an unknown context id of the client's", P "5", .run = datagram_is_harmless, BYTES("\x02" "unknown") },
    { "A8", "an unknown context id of the proxy's", P "5", .run = datagram_is_harmless, BYTES("\x40\x41" "unknown") },
    { "P1", "a packet of one byte", P "7.2", .run = datagram_is_harmless, BYTES("\0\x45") },
    { "P1", "a packet of IP version 0", P "7.2", .run = datagram_is_harmless, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
    { "P1", "an IPv4 packet shorter than it says", P "7.2", .run = datagram_is_harmless,
      BYTES("\0\x45\0\x05\xdc\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02") },
    { "P1", "an IPv4 header of three words", P "7.2", .run = datagram_is_harmless,
      BYTES("\0\x43\0\0\x14\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02") },
    { "P1", "an IPv6 packet without its payload", P "7.2", .run = datagram_is_harmless,
      BYTES("\0\x60\0\0\0\0\x10\x11\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02") },
    { "P1", "no packet at all", P "7.2", .run = datagram_is_harmless, BYTES("\0") },
    { "P3", "a packet from an address that was not assigned", P "4.7.1", .run = datagram_is_harmless,
      BYTES("\0\x45\0\0\x1c\0\0\0\0\x40\x11\xce\xcf\x0a\0\0\x01\xc0\0\x02\x01\x10\0\x10\0\0\x08\0\0") },
    { "P8", "an echo to ff02::1 is answered", P "7.1", GH_CONFORM_SHOULD, .run = echo_to_all_nodes, .code = 8 },
    { "P7", "an echo of 1280 bytes to ff02::1 is answered", P "7.2", GH_CONFORM_SHOULD, .run = echo_to_all_nodes, .code = 1232 },
    { NULL },
};
