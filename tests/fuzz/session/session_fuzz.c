/* A live session of the production relay, in virtual time, and a client with a good certificate that does whatever it likes: capsules,
 * datagrams, frames, ends and aborts, requests beside each other, a new connection; meanwhile packets come from the network, policy
 * changes, time passes.
 *
 * In the end every session and every address is given back. Every packet that went in and did not come out is in a counter of drops, or
 * was answered; what the relay sent to the agent arrived there, or its queue counted it.
 *
 * The first byte: 0x01 the client vanishes in the end instead of closing, 0x02 its path carries no IPv6. Then come operations: a byte,
 * the lower four bits say which, the upper four of which request, and what that needs.
 *
 *   0   a request: its kind, a byte; 0x80 of it: the stream ends with it
 *   1   bytes in a DATA frame: length, bytes
 *   2   a capsule in DATA frames: type, length, bytes; a byte that says where the frame is cut in two (0: not), 255: the rest never comes
 *   3   an HTTP datagram: length, bytes (context id first)
 *   4   a good packet of the agent's: its kind, a byte; a place and what is flipped there
 *   5   the stream ends      6   it is reset      7   STOP_SENDING
 *   8   time passes: 2^n ms, n in a byte
 *   9   another policy
 *   10  a good packet from the network: as 4
 *   11  bytes on the stream: length, bytes
 *   12  the operator ends a session, or all of them
 *   13  bytes on a new unidirectional stream: length, bytes
 *   14  the connection is closed, and another one is made
 *   15  the client is somewhere else, or the path carries less */
#include "../../sim/raw_peer.h"
#include "../../sim/relay_world.h"
#include "../../unit/wire/packets.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

#define REQUESTS 10
#define CONNECTIONS 3u
#define UNI_MAX 5u
#define HEADROOM 16u
#define TIME_MAX (200 * SIM_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed {
    struct relay_world relay;
    struct raw_peer peer;
    struct gh_reader in;
    int64_t requests[REQUESTS];
    size_t count;
    unsigned connections, uni, policy;
    struct packet packet, whole;
    uint8_t copy[2048];
    /* what becomes of a packet that is being judged */
    const uint8_t *judged;
    unsigned out, queued, given;
    uint64_t taken; /* datagrams that the connection took for the agent */
    bool moved;     /* the client was somewhere else: what was sent to where it had been is gone */
};

static struct fuzzed f;

static const char *const policies[] = {
    NULL,
    "version: \"1.0\"\nmetadata: { name: nothing }\ndefault_action: deny\nclients:\n  client-1:\n    rules:\n"
    "      - { id: none, type: default, action: deny, on_deny: icmp }\n",
    "version: \"1.0\"\nmetadata: { name: web }\ndefault_action: deny\nclients:\n  client-1:\n    rules:\n"
    "      - { id: web, type: ip_cidr, action: allow, destinations: [192.0.2.0/24, 2001:db8::/32], protocol: udp }\n"
    "      - { id: rest, type: default, action: deny }\n",
    "version: \"1.0\"\nmetadata: { name: others }\ndefault_action: deny\nclients:\n  client-2:\n    rules:\n"
    "      - { id: all, type: default, action: allow }\n",
};

/* What becomes of packets. */

void __real_relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len);
void __wrap_relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len);
int __real_gh_http_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow);
int __wrap_gh_http_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow);
void __real_gh_connect_ip_feed_datagram(struct gh_connect_ip *c, struct gh_span payload);
void __wrap_gh_connect_ip_feed_datagram(struct gh_connect_ip *c, struct gh_span payload);

static uint64_t dropped(void)
{
    uint64_t sum = 0;

    for (unsigned i = 1; i < GH_DROP_COUNT; i++)
        sum += i == GH_DROP_ICMP_LIMIT ? 0 : relay_world_drops(&f.relay, i);
    return sum;
}

static void judge_begin(const uint8_t *packet)
{
    struct relay_worker *rw = relay_world_worker(&f.relay);

    f.judged = packet;
    f.out = f.queued = 0;
    rw->verdict.action = rw->inner.action = GH_FORWARD_PASS;
}

/* It came out in one place, or it was counted, or the relay answered it. */
static void judge_end(uint64_t before)
{
    struct relay_worker *rw = relay_world_worker(&f.relay);
    bool answered = rw->verdict.action == GH_FORWARD_DONE || rw->inner.action == GH_FORWARD_DONE;

    REQUIRE(f.out + f.queued <= 1);
    REQUIRE(f.out + f.queued == 1 || dropped() > before || answered);
    f.judged = NULL;
}

void __wrap_relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len)
{
    uint64_t before = dropped();

    REQUIRE(!f.judged);
    f.given++;
    judge_begin(packet);
    __real_relay_packet_from_peer(s, packet, len);
    judge_end(before);
}

int __wrap_gh_http_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    int rc = __real_gh_http_send_datagram(s, payload, flow);

    f.taken += rc == 0;
    f.queued += rc == 0 && f.judged && payload.data + 1 == f.judged;
    return rc;
}

void __wrap_gh_connect_ip_feed_datagram(struct gh_connect_ip *c, struct gh_span payload)
{
    uint64_t before = c->counters.context_drops;
    unsigned given = f.given;

    __real_gh_connect_ip_feed_datagram(c, payload);
    REQUIRE((c->counters.context_drops - before) + (f.given - given) == 1);
}

static void on_network(void *arg, struct gh_span packet)
{
    struct gh_ip_packet parsed;

    (void)arg;
    f.out += packet.data == f.judged;
    REQUIRE(gh_ip_packet_parse(packet.data, packet.len, &parsed) == 0); /* nothing else leaves */
}

/* What the client may do. */

static struct gh_span read_span(void)
{
    uint64_t want = gh_read_varint(&f.in);
    size_t left = gh_reader_left(&f.in);

    return f.in.failed ? gh_span_of(NULL, 0) : gh_read_span(&f.in, want < left ? (size_t)want : left);
}

static bool is_up(void)
{
    return f.peer.q && !f.peer.end->closed && !gh_quic_is_closed(f.peer.q);
}

static void write_stream(int64_t id, const struct raw_bytes *b, bool fin)
{
    struct raw_stream *s = raw_peer_stream(&f.peer, id);

    if (s && !s->closed && !s->stopped && !s->fin && b->len <= sizeof s->out - s->out_len)
        raw_send(&f.peer, id, b, fin);
}

static int64_t request_of(unsigned op)
{
    return f.count ? f.requests[(op >> 4) % f.count] : -1;
}

static void field_section(struct raw_bytes *b, const char *const *fields, const char *instance, bool narrow)
{
    struct raw_bytes section = { .len = 0 };

    raw_section_begin(&section);
    for (size_t i = 0; fields[i]; i += 2)
        raw_field(&section, fields[i], fields[i + 1]);
    if (instance)
        raw_field(&section, "gatehouse-instance", instance);
    if (narrow)
        raw_field(&section, "gatehouse-narrow", "?1");
    raw_frame_of(b, 0x01, &section);
}

static void request(void)
{
    static const char *const kinds[][13] = {
        { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay", ":path", "/.well-known/masque/ip/*/*/",
          "capsule-protocol", "?1", NULL },
        { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay", ":path",
          "/.well-known/masque/ip/192.0.2.0%2F24/17/", "capsule-protocol", "?1", NULL },
        { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay", ":path",
          "/.well-known/masque/ip/2001%3Adb8%3A%3A80/*/", NULL },
        { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay", ":path", "/.well-known/masque/ip/300.1.1.1/*/", NULL },
        { ":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":authority", "relay", ":path", "/", NULL },
        { ":method", "GET", ":scheme", "https", ":authority", "relay", ":path", "/", NULL },
        { ":method", "CONNECT", ":authority", "relay:443", NULL },
        { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":path", "/.well-known/masque/ip/*/*/", NULL },
    };
    static const char *const instances[] = { NULL, "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100", "not hexadecimal" };
    unsigned kind = gh_read_u8(&f.in);
    struct raw_bytes b = { .len = 0 };

    if (!is_up() || f.count == REQUESTS || gh_quic_streams_bidi_left(f.peer.q) == 0)
        return;
    field_section(&b, kinds[kind & 7], instances[kind >> 3 & 3], kind & 0x20);
    f.requests[f.count++] = raw_open(&f.peer, true, &b, kind & 0x80);
}

static void write_data(int64_t id, struct gh_span bytes)
{
    struct raw_bytes b = { .len = 0 };

    if (bytes.len > 4096)
        return;
    raw_frame(&b, 0x00, bytes.data, bytes.len);
    write_stream(id, &b, false);
}

static void capsule(int64_t id)
{
    struct raw_bytes b = { .len = 0 };
    uint64_t type = gh_read_varint(&f.in);
    struct gh_span value = read_span();
    unsigned cut = gh_read_u8(&f.in);

    if (value.len > 4096 || f.in.failed)
        return;
    raw_varint(&b, type);
    raw_varint(&b, value.len + (cut == 255));
    raw_bytes(&b, value.data, value.len);
    if (cut && cut < b.len) {
        write_data(id, gh_span_of(b.data, cut));
        write_data(id, gh_span_of(b.data + cut, b.len - cut));
    } else {
        write_data(id, gh_span_of(b.data, b.len));
    }
}

static void send_datagram(int64_t id, const uint8_t *context, size_t context_len, struct gh_span payload)
{
    struct raw_bytes head = { .len = 0 };

    if (id < 0 || !is_up())
        return;
    raw_varint(&head, (uint64_t)id / 4);
    raw_bytes(&head, context, context_len);
    (void)gh_quic_send_datagram(f.peer.q, gh_span_of(head.data, head.len), payload, 0, f.relay.sim.now);
}

/* Packets. */

static void make_packet(const char *agent4, const char *agent6, const char *other4, const char *other6, bool in)
{
    unsigned kind = gh_read_u8(&f.in), at = gh_read_u8(&f.in), flip = gh_read_u8(&f.in);
    bool six = kind & 0x80;
    const char *src = six ? (in ? other6 : agent6) : in ? other4 : agent4, *dst = six ? (in ? agent6 : other6) : in ? agent4 : other4;
    struct packet *p = &f.packet;
    unsigned a = in ? 443 : 40000 + (kind >> 4 & 3), b = in ? 40000 + (kind >> 4 & 3) : 443;

    switch (kind & 7) {
    case 0:
        make_udp(p, src, dst, a, b, 30);
        break;
    case 1:
        make_udp(p, src, dst, a, b, 1500); /* too long for any tunnel here */
        break;
    case 2:
        make_tcp(p, src, dst, .sport = a, .dport = b, .flags = kind & 8 ? 0x10 : 0x02, .mss = kind & 8 ? 0 : 1460);
        break;
    case 3:
        make_echo(p, src, dst, in, 7, 24);
        break;
    case 4:
        make_udp(&f.whole, src, dst, a, b, 1000);
        make_fragment(p, &f.whole, 77, kind & 8 ? 512 : 0, 496, !(kind & 8));
        break;
    case 5:
        make_ip(p, src, dst, 47, "gre", 3);
        break;
    case 6: /* its ICMP error quotes a packet the other way */
        make_udp(&f.whole, dst, src, b, a, 30);
        make_icmp(p, src, dst, .type = six ? 1 : 3, .code = six ? 4 : 3, .more = f.whole.data, .more_len = f.whole.len < 56 ? f.whole.len : 56);
        break;
    default:
        make_udp(p, src, dst, a, b, 30);
        p->data[six ? 7 : 8] = (uint8_t)(kind >> 3 & 1);
        if (!six)
            seal_v4(p);
        break;
    }
    if (at < p->len)
        p->data[at] ^= (uint8_t)flip;
}

static void packet_from_agent(unsigned op)
{
    static const uint8_t context[] = { 0 };
    static const char *const others4[] = { "192.0.2.80", WORLD_AGENT4, "10.100.0.1", "10.100.0.9" };
    static const char *const others6[] = { "2001:db8::80", WORLD_AGENT6, "fd00:100::1", "fd00:100::9" };
    unsigned to = op >> 6;

    make_packet(WORLD_AGENT4, WORLD_AGENT6, others4[to], others6[to], false);
    send_datagram(request_of(op & 0x3f), context, 1, gh_span_of(f.packet.data, f.packet.len));
}

static void packet_from_network(void)
{
    struct relay_worker *rw = relay_world_worker(&f.relay);
    uint64_t before = dropped();
    unsigned version;

    make_packet(WORLD_AGENT4, WORLD_AGENT6, "192.0.2.80", "2001:db8::80", true);
    if (f.packet.len > sizeof f.copy - HEADROOM)
        f.packet.len = sizeof f.copy - HEADROOM;
    memcpy(f.copy + HEADROOM, f.packet.data, f.packet.len);
    version = f.copy[HEADROOM] >> 4;
    judge_begin(f.copy + HEADROOM);
    if (version == 6 && f.copy[HEADROOM + 24] == 0xff)
        f.judged = NULL; /* multicast from an address of the link is our kernel's greeting, which nobody counts */
    relay_packet_in(rw, f.copy + HEADROOM, f.packet.len, false);
    if (f.judged)
        judge_end(before);
    f.judged = NULL;
}

/* What the others do. */

static void end_sessions(unsigned op)
{
    struct relay_worker *rw = relay_world_worker(&f.relay);

    if (op & 0x80)
        relay_worker_end_sessions(rw, SESSION_DRAINED);
    else if (!gh_list_empty(&rw->sessions))
        relay_session_end(gh_container_of(rw->sessions.next, struct session, link), op & 0x40 ? SESSION_REVOKED : SESSION_KICKED);
}

static bool is_gone(void *arg)
{
    (void)arg;
    return !f.relay.sim.server.quic && !f.relay.sim.client.quic;
}

/* What the connection took has arrived, as long as the road loses nothing. */
static void check_queue(void)
{
    const struct gh_quic_counters *q = f.relay.sim.server.quic ? gh_quic_counters(f.relay.sim.server.quic) : NULL;

    if (f.moved || !is_up() || !q || f.relay.sim.server.closed || f.relay.sim.lost)
        return;
    sim_run(&f.relay.sim, 2 * SIM_S, NULL, NULL);
    if (!is_up() || f.relay.sim.server.quic == NULL || f.relay.sim.server.closed || f.relay.sim.lost)
        return;
    REQUIRE(f.taken == f.peer.datagrams + q->queue_full + q->queue_delay + q->shrunk);
}

static void connect_again(void)
{
    memset(f.requests, 0, sizeof f.requests);
    f.count = 0;
    f.uni = 0;
    f.taken = 0;
    f.connections++;
    raw_peer_init(&f.peer, &f.relay.sim, false);
    f.peer.forgets = true;
    raw_peer_connect(&f.peer);
    raw_open_control(&f.peer);
}

static void hang_up(bool silent)
{
    check_queue();
    if (is_up() && !silent)
        gh_quic_close(f.peer.q, true, GH_H3_NO_ERROR, "");
    else
        sim_end_drop(&f.relay.sim.client);
    REQUIRE(sim_run(&f.relay.sim, 100 * SIM_S, is_gone, NULL));
    sim_forget(&f.relay.sim);
}

static void move(unsigned op)
{
    struct sim *s = &f.relay.sim;

    f.moved |= !(op & 0x80);
    if (op & 0x80)
        s->link[op >> 6 & 1].max_payload = op & 0x20 ? 1290 : 0;
    else
        s->client.nat = (struct gh_quic_addr){ gh_ip_v4("\xc0\x00\x02\x05"), (uint16_t)(50000 + (op >> 4)) };
}

static void unidirectional(void)
{
    struct gh_span bytes = read_span();
    struct raw_bytes b = { .len = 0 };

    if (!is_up() || f.uni == UNI_MAX || bytes.len > 4096)
        return;
    f.uni++;
    raw_bytes(&b, bytes.data, bytes.len);
    raw_open(&f.peer, false, &b, false);
}

static void abort_stream(int64_t id, bool read)
{
    if (id < 0 || !is_up())
        return;
    if (read)
        gh_quic_stop_reading(f.peer.q, id, GH_H3_REQUEST_CANCELLED);
    else
        gh_quic_stop_writing(f.peer.q, id, GH_H3_REQUEST_CANCELLED);
}

static void bytes_on_stream(int64_t id, bool fin)
{
    struct gh_span bytes = fin ? gh_span_of(NULL, 0) : read_span();
    struct raw_bytes b = { .len = 0 };

    if (bytes.len > 4096)
        return;
    raw_bytes(&b, bytes.data, bytes.len);
    write_stream(id, &b, fin);
}

static void step(void)
{
    unsigned op = gh_read_u8(&f.in);
    int64_t id = request_of(op);

    switch (op & 15) {
    case 0:
        request();
        break;
    case 1:
        write_data(id, read_span());
        break;
    case 2:
        capsule(id);
        break;
    case 3:
        send_datagram(id, NULL, 0, read_span());
        break;
    case 4:
        packet_from_agent(op);
        break;
    case 5:
    case 11:
        bytes_on_stream(id, (op & 15) == 5);
        break;
    case 6:
    case 7:
        abort_stream(id, (op & 15) == 7);
        break;
    case 8:
        sim_run(&f.relay.sim, SIM_MS << (gh_read_u8(&f.in) & 15), NULL, NULL);
        break;
    case 9:
        relay_world_reload(&f.relay, policies[op >> 4 & 3]);
        break;
    case 10:
        packet_from_network();
        break;
    case 12:
        end_sessions(op);
        break;
    case 13:
        unidirectional();
        break;
    case 14:
        if (f.connections < CONNECTIONS) {
            hang_up(op & 0x80);
            connect_again();
        }
        break;
    default:
        move(op);
        break;
    }
}

/* Nobody is there any more, and nothing of them. */
static void check_empty(void)
{
    struct relay_worker *rw = relay_world_worker(&f.relay);

    sim_run(&f.relay.sim, 20 * SIM_S, NULL, NULL); /* who waits for a tunnel that follows gives up */
    REQUIRE(atomic_load(&f.relay.relay.sessions) == 0 && rw->session_count == 0);
    REQUIRE(gh_list_empty(&rw->sessions) && gh_list_empty(&rw->waiting) && gh_list_empty(&rw->leaving));
    REQUIRE(gh_pool_usage(f.relay.relay.pool, 0).held == 0);
    REQUIRE(rw->forward.opened == rw->forward.closed);
    REQUIRE(atomic_load(&f.relay.relay.lookups) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t began;

    if (size < 1 || size > 8192)
        return 0;
    memset(&f, 0, offsetof(struct fuzzed, packet));
    f.judged = NULL;
    f.given = 0;
    f.moved = false;
    relay_world_init(&f.relay, 1, NULL, on_network, NULL);
    f.relay.sim.link[0].delay = f.relay.sim.link[1].delay = SIM_MS;
    if (data[0] & 2)
        f.relay.sim.link[0].max_payload = f.relay.sim.link[1].max_payload = 1290;
    connect_again();
    began = f.relay.sim.now;
    f.in = gh_reader_of(gh_span_of(data + 1, size - 1));
    while (gh_reader_left(&f.in) && !f.in.failed && f.relay.sim.now - began < TIME_MAX)
        step();
    sim_run(&f.relay.sim, 100 * SIM_MS, NULL, NULL);
    hang_up(data[0] & 1);
    check_empty();
    relay_world_fini(&f.relay);
    return 0;
}
