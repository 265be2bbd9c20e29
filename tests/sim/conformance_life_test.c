/* The life of connections and tunnels, and what tunnels are for: rows Q6, H10, H11, P7, P11 and P12 of docs/internals/conformance.md. */
#include <stdio.h>

#include "../unit/wire/packets.h"
#include "conformance.h"
#include "services/relay/relay_internal.h"

/* RFC 9114, section 8.1 */
#define ID_ERROR 0x108
#define REQUEST_REJECTED 0x10b
#define REQUEST_CANCELLED 0x10c
#define CONNECT_ERROR 0x10f

#define RELAY_CONTROL 3 /* the server's first unidirectional stream */
#define NO_CODE UINT64_MAX

#define BOTH(role) for (int role = OUR_SERVER; role <= OUR_CLIENT; role++)

static struct packet p;

static void send_packet(int64_t id, const struct packet *inner)
{
    struct raw_bytes b = { .len = 0 };

    raw_bytes(&b, "\0", 1);
    raw_bytes(&b, inner->data, inner->len);
    raw_send_datagram(&c.peer, (uint64_t)id / 4, b.data, b.len);
}

/* A UDP packet of the agent's: 1 when it came out. */
static unsigned crosses(int64_t id, const char *src, const char *dst)
{
    unsigned before = c.on_network;

    make_udp(&p, src, dst, 40000, 443, 20);
    send_packet(id, &p);
    raw_assert_open(&c.peer);
    return c.on_network - before;
}

static void from_network(const struct packet *inner)
{
    static uint8_t buf[2048];

    memcpy(buf + 16, inner->data, inner->len);
    relay_packet_in(relay_world_worker(&c.relay), buf + 16, inner->len, false);
}

static void send_control(const uint8_t *bytes, size_t len)
{
    struct raw_bytes b = { .len = 0 };

    raw_bytes(&b, bytes, len);
    raw_send(&c.peer, c.control, &b, false);
}

static void open_answer(void)
{
    struct raw_bytes b = { .len = 0 };

    head_of(&b, (const char *const[]){ ":status", "200", NULL });
    message_stream(&b, false);
    raw_assert_open(&c.peer);
    assert_int_equal(c.status, 200);
}

/* Q6 */

/* RFC 9221, section 5.2: a receiver may drop what it has acknowledged, so nothing looks like loss on the path. */
static void Q6_what_is_dropped_after_its_arrival_was_acknowledged(void **state)
{
    struct raw_bytes b = { .len = 0 };
    uint64_t quarter, out;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    quarter = (uint64_t)open_tunnel() / 4;
    out = gh_quic_counters(c.peer.q)->datagrams_out;
    raw_varint(&b, 2); /* a context that nobody registered */
    for (int i = 0; i < 100; i++) {
        raw_send_datagram(&c.peer, quarter, b.data, b.len);
        raw_send_datagram(&c.peer, 3, "x", 1); /* a stream that is not open */
        raw_peer_wait(&c.peer, 10 * SIM_MS);
    }
    raw_assert_open(&c.peer);
    assert_int_equal(c.on_network, 0);
    assert_int_equal(relay_world_drops(&c.relay, GH_DROP_CONTEXT), 100);
    assert_int_equal(relay_world_drops(&c.relay, GH_DROP_DATAGRAM_STREAM), 100);
    assert_int_equal(gh_quic_counters(c.peer.q)->datagrams_out - out, 200);
    assert_int_equal(gh_quic_counters(c.peer.q)->datagrams_lost, 0);
    conformance_end();
}

/* H10 */

/* The ids of every GOAWAY that the relay sent. */
static size_t goaways(uint64_t *ret, size_t cap)
{
    const struct raw_stream *s = raw_peer_stream(&c.peer, RELAY_CONTROL);
    struct gh_reader r = gh_reader_of(gh_span_of(s->in, s->in_len));
    size_t n = 0;

    assert_int_equal(gh_read_varint(&r), 0x00);
    while (gh_reader_left(&r)) {
        uint64_t type = gh_read_varint(&r), len = gh_read_varint(&r);
        struct gh_reader body = gh_reader_of(gh_read_span(&r, (size_t)len));

        assert_false(r.failed);
        if (type != 0x07)
            continue;
        assert_true(n < cap);
        ret[n++] = gh_read_varint(&body);
        assert_true(gh_reader_done(&body));
    }
    return n;
}

static void H10_a_relay_that_drains_says_so_once_and_tunnels_go_on(void **state)
{
    uint64_t ids[4];
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    assert_int_equal(goaways(ids, 4), 0);
    relay_worker_goaway(relay_world_worker(&c.relay));
    raw_assert_open(&c.peer);
    assert_int_equal(goaways(ids, 4), 1);
    assert_int_equal(ids[0], id + 4); /* RFC 9114, section 5.2: the first request that is not served */
    assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
    relay_worker_goaway(relay_world_worker(&c.relay)); /* again: no id may be larger than before */
    raw_peer_wait(&c.peer, 20 * SIM_S);
    for (size_t i = 1; i < goaways(ids, 4); i++)
        assert_true(ids[i] <= ids[i - 1]);
    assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    conformance_end();
}

static void H10_after_a_goaway_nothing_more_is_asked(void **state)
{
    static const struct gh_http_field none;
    struct gh_http_head head = { gh_span_str("CONNECT"), gh_span_str("https"), gh_span_str("relay"),
                                 gh_span_str("/.well-known/masque/ip/*/*/"), gh_span_str("connect-ip"), 0, &none, 0 };
    struct gh_h3_stream *s;

    (void)state;
    conformance_start_settled(OUR_CLIENT);
    open_answer();
    send_control(BYTES(0x07, 1, 4));
    raw_assert_open(&c.peer);
    assert_int_equal(c.goaways, 1);
    assert_int_equal(gh_h3_request(c.sim->client.h3, &head, false, &s), GH_ERR_STATE);
    raw_assert_open(&c.peer);
    assert_null(raw_peer_stream(&c.peer, 4)); /* no stream was opened, not even to be reset */
    raw_send_datagram(&c.peer, 0, "x", 1); /* the tunnel that is there goes on, both ways */
    assert_int_equal(gh_h3_send_datagram(c.stream, gh_span_str("y"), 0, c.sim->now), 0);
    raw_assert_open(&c.peer);
    assert_int_equal(c.datagrams, 1);
    assert_int_equal(c.peer.datagrams, 1);
    assert_int_equal(c.closed, 0);
    conformance_end();
}

static void H10_a_client_that_goes_away_keeps_its_tunnel(void **state)
{
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    send_control(BYTES(0x07, 1, 0));
    raw_assert_open(&c.peer);
    assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
    conformance_end();
}

/* RFC 9114, section 5.2: equal and smaller ids are fine; a server's id is one of a client's request. */
static void H10_an_id_that_goes_up_or_is_no_requests_is_an_id_error(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        send_control(BYTES(0x07, 1, 8, 0x07, 1, 8, 0x07, 1, 4));
        raw_assert_open(&c.peer);
        send_control(BYTES(0x07, 1, 8));
        raw_assert_closed(&c.peer, ID_ERROR);
        conformance_end();
    }
    for (uint8_t id = 1; id < 4; id++) {
        conformance_start_settled(OUR_CLIENT);
        send_control(BYTES(0x07, 1, id));
        raw_assert_closed(&c.peer, ID_ERROR);
        conformance_end();
    }
}

/* H11 */

static void H11_what_comes_after_our_goaway_is_rejected_and_not_processed(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t first, second;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    first = open_tunnel();
    relay_worker_goaway(relay_world_worker(&c.relay));
    connect_ip_head(&b); /* sent before the GOAWAY is there */
    second = ask(&b, false);
    assert_int_equal(answer_on(second)->status, 0);
    assert_stream_reset(second, REQUEST_REJECTED);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    assert_int_equal(crosses(first, WORLD_AGENT4, "192.0.2.80"), 1);
    conformance_end();
}

static void H11_our_client_cancels_both_directions(void **state)
{
    struct raw_bytes b = { .len = 0 };

    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        conformance_start_settled(OUR_CLIENT);
        if (answered)
            open_answer();
        raw_assert_open(&c.peer);
        gh_h3_reset(c.stream, GH_H3_REQUEST_CANCELLED);
        assert_stream_reset(0, REQUEST_CANCELLED); /* RESET_STREAM */
        b.len = 0;
        raw_frame(&b, 0x00, "x", 1);
        raw_send(&c.peer, 0, &b, false);
        raw_assert_open(&c.peer);
        assert_true(raw_peer_stream(&c.peer, 0)->closed || raw_peer_stream(&c.peer, 0)->stopped); /* STOP_SENDING */
        assert_int_equal(c.body, 0);
        assert_int_equal(c.closed, 1);
        conformance_end();
    }
}

static void H11_a_rejection_ends_the_request_and_nothing_else(void **state)
{
    (void)state;
    conformance_start_settled(OUR_CLIENT);
    raw_assert_open(&c.peer);
    gh_quic_reset_stream(c.peer.q, 0, REQUEST_REJECTED);
    raw_assert_open(&c.peer);
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.code, REQUEST_REJECTED);
    assert_int_equal(c.status, 0);
    conformance_end();
}

/* In the middle of its head, before its answer, and with an open tunnel. */
static void H11_a_cancelled_request_is_forgotten(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    for (int when = 0; when < 3; when++) {
        conformance_start_settled(OUR_SERVER);
        raw_assert_open(&c.peer);
        b.len = 0;
        connect_ip_head(&b);
        if (when == 0)
            b.len /= 2;
        id = when == 2 ? open_tunnel() : raw_open(&c.peer, true, &b, false);
        if (when == 0)
            raw_assert_open(&c.peer);
        gh_quic_reset_stream(c.peer.q, id, REQUEST_CANCELLED);
        raw_assert_open(&c.peer);
        assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
        id = open_tunnel();
        assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
        conformance_end();
    }
}

/* P7 */

static void narrow(size_t payload)
{
    c.sim->link[0].max_payload = c.sim->link[1].max_payload = payload;
}

/* The last ADDRESS_ASSIGN and ROUTE_ADVERTISEMENT of an answer: which families are in them. */
struct offer {
    unsigned addresses4, addresses6, refused6, routes4, routes6;
    unsigned notices; /* why there is no IPv6 */
};

static struct offer offer_on(int64_t id)
{
    const struct raw_answer *a = answer_on(id);
    struct gh_reader r = gh_reader_of(gh_span_of(a->body, a->body_len));
    struct offer o = { 0 };

    while (gh_reader_left(&r)) {
        uint64_t type = gh_read_varint(&r), len = gh_read_varint(&r);
        struct gh_reader body = gh_reader_of(gh_read_span(&r, (size_t)len));

        assert_false(r.failed);
        o.notices += type == 0x27617466;
        if (type == 1)
            o.addresses4 = o.addresses6 = o.refused6 = 0;
        if (type == 3)
            o.routes4 = o.routes6 = 0;
        while ((type == 1 || type == 3) && gh_reader_left(&body)) {
            uint8_t version;
            struct gh_span addr;

            if (type == 1)
                gh_read_varint(&body); /* request id */
            version = gh_read_u8(&body);
            addr = gh_read_span(&body, (size_t)(version == 4 ? 4 : 16) * (type == 3 ? 2 : 1));
            gh_read_u8(&body); /* prefix length, protocol */
            assert_false(body.failed);
            if (type == 3)
                (*(version == 4 ? &o.routes4 : &o.routes6))++;
            else if (version == 6 && memcmp(addr.data, (uint8_t[16]){ 0 }, 16) == 0)
                o.refused6++;
            else
                (*(version == 4 ? &o.addresses4 : &o.addresses6))++;
        }
    }
    return o;
}

static void assert_offer(int64_t id, bool six)
{
    struct offer o = offer_on(id);

    assert_int_equal(o.addresses4, 1);
    assert_int_equal(o.routes4, 1);
    assert_int_equal(o.addresses6, six);
    assert_int_equal(o.routes6, six);
}

/* RFC 9484, section 7.2: 1280 bytes inside need 1314 outside: the handshake's own size says so before anything is assigned. */
static void P7_ipv6_is_assigned_where_the_path_carries_it(void **state)
{
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        int64_t id;

        conformance_begin(OUR_SERVER);
        narrow(wide ? 1331 : 1300);
        conformance_connect();
        c.control = raw_open_control(&c.peer);
        id = open_tunnel();
        raw_assert_open(&c.peer);
        assert_offer(id, wide);
        raw_peer_wait(&c.peer, 20 * SIM_S); /* it stays so */
        assert_offer(id, wide);
        assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
        conformance_end();
    }
}

static void P7_a_wish_for_ipv6_on_a_narrow_path_is_refused(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_begin(OUR_SERVER);
    narrow(1252);
    conformance_connect();
    c.control = raw_open_control(&c.peer);
    id = open_tunnel();
    raw_frame(&b, 0x00, BYTES(0x02, 19, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128));
    raw_send(&c.peer, id, &b, false);
    raw_peer_wait(&c.peer, 10 * SIM_S); /* measuring is over */
    assert_int_equal(offer_on(id).refused6, 1);
    assert_offer(id, false);
    conformance_end();
}

static bool is_reset(void *arg)
{
    return raw_peer_stream(&c.peer, *(int64_t *)arg)->reset != NO_CODE || c.peer.end->closed;
}

/* RFC 9484, section 7.2: the stream is aborted; the session waits for the next, which gets IPv4 alone and the same address. */
static void P7_a_path_that_shrinks_aborts_the_stream_and_ipv4_goes_on(void **state)
{
    int64_t id, next;
    int i = 0;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    raw_peer_wait(&c.peer, 5 * SIM_S);
    assert_offer(id, true);
    narrow(1252);
    for (; i < 500 && !is_reset(&id); i++) {
        make_udp(&p, "192.0.2.80", WORLD_AGENT4, 443, 40000, 1200);
        from_network(&p);
        raw_peer_wait(&c.peer, 20 * SIM_MS);
    }
    assert_stream_reset(id, CONNECT_ERROR);
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 2); /* nobody else gets the addresses meanwhile */
    next = open_tunnel();
    raw_assert_open(&c.peer);
    assert_offer(next, false);
    assert_int_equal(crosses(next, WORLD_AGENT4, "192.0.2.80"), 1);
    conformance_end();
}

/* The agent of one instance, with words about its own direction. */
static int64_t ask_as_agent(bool narrow)
{
    static const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                          ":path", "/.well-known/masque/ip/*/*/", "capsule-protocol", "?1",
                                          "gatehouse-instance", "00112233445566778899aabbccddeeff", "gatehouse-narrow", "?1", NULL };
    const char *some[sizeof fields / sizeof *fields];
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    memcpy(some, fields, sizeof fields);
    if (!narrow)
        some[14] = NULL;
    head_of(&b, some);
    id = ask(&b, false);
    assert_int_equal(answer_on(id)->status, 200);
    return id;
}

static unsigned datagrams_for(const char *from, const char *to)
{
    unsigned before = c.peer.datagrams;

    make_udp(&p, from, to, 443, 40000, 100);
    from_network(&p);
    raw_peer_wait(&c.peer, 50 * SIM_MS);
    return c.peer.datagrams - before;
}

/* The tunnel that follows an aborted one is for the same session: it has its address at once, and hears why there is no IPv6. */
static void P7_the_next_tunnel_goes_on_at_once_and_says_why(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id, next;
    const char *session;
    char before[17];

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = ask_as_agent(false);
    raw_peer_wait(&c.peer, 5 * SIM_S);
    assert_offer(id, true);
    assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
    assert_int_equal(crosses(id, WORLD_AGENT6, "2001:db8::80"), 1);
    session = gh_container_of(relay_world_worker(&c.relay)->sessions.next, struct session, link)->id;
    snprintf(before, sizeof before, "%s", session);
    narrow(1252);
    for (int i = 0; i < 500 && !is_reset(&id); i++) {
        make_udp(&p, "192.0.2.80", WORLD_AGENT4, 443, 40000, 1200);
        from_network(&p);
        raw_peer_wait(&c.peer, 20 * SIM_MS);
    }
    assert_stream_reset(id, CONNECT_ERROR);
    next = ask_as_agent(false);
    raw_peer_wait(&c.peer, 20 * SIM_MS);
    assert_offer(next, false);
    assert_int_equal(offer_on(next).notices, 1);
    raw_frame(&b, 0x00, BYTES(0x02, 19, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128));
    raw_send(&c.peer, next, &b, false);
    raw_peer_wait(&c.peer, 50 * SIM_MS);
    assert_int_equal(offer_on(next).refused6, 1);
    assert_string_equal(gh_container_of(relay_world_worker(&c.relay)->sessions.next, struct session, link)->id, before);
    assert_int_equal(datagrams_for("192.0.2.80", WORLD_AGENT4), 1);
    assert_int_equal(datagrams_for("2001:db8::80", WORLD_AGENT6), 0);
    conformance_end();
}

/* The direction that only the agent can measure. It aborts the stream as the relay would, and asks again. */
static void P7_an_agent_whose_own_direction_is_narrow_has_ipv4_alone(void **state)
{
    static const uint64_t codes[] = { CONNECT_ERROR, 0x10c };
    int64_t id, next;

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        conformance_start_settled(OUR_SERVER);
        id = ask_as_agent(false);
        raw_peer_wait(&c.peer, SIM_S);
        assert_offer(id, true);
        assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
        gh_quic_reset_stream(c.peer.q, id, codes[i]);
        raw_peer_wait(&c.peer, SIM_S);
        assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, codes[i] == CONNECT_ERROR ? 2 : 0);
        next = ask_as_agent(true);
        raw_peer_wait(&c.peer, 20 * SIM_MS);
        assert_offer(next, false);
        assert_int_equal(offer_on(next).notices, 0); /* it knows */
        assert_int_equal(datagrams_for("192.0.2.80", WORLD_AGENT4), 1);
        assert_int_equal(datagrams_for("2001:db8::80", WORLD_AGENT6), 0);
        raw_peer_wait(&c.peer, 20 * SIM_S); /* however wide the other direction is */
        assert_offer(next, false);
        id = ask_as_agent(false); /* it is wide again */
        raw_peer_wait(&c.peer, 20 * SIM_MS);
        assert_offer(id, true);
        assert_int_equal(crosses(id, WORLD_AGENT6, "2001:db8::80"), 1);
        conformance_end();
    }
}

/* Nobody comes: the session ends after ten seconds. */
static void P7_an_agent_that_does_not_ask_again_is_gone(void **state)
{
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = ask_as_agent(false);
    gh_quic_reset_stream(c.peer.q, id, CONNECT_ERROR);
    raw_peer_wait(&c.peer, 9 * SIM_S);
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 2);
    raw_peer_wait(&c.peer, 2 * SIM_S);
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 0);
    conformance_end();
}

/* P11 */

static unsigned char traffic_class(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? packet[1] : (unsigned char)(packet[0] << 4 | packet[1] >> 4);
}

/* Between a close and what the relay is told of it, its housekeeping may run: nobody is waited for then. */
static void a_client_that_closes_is_not_taken_for_one_on_a_narrow_path(void **state)
{
    static uint8_t buf[GH_QUIC_BATCH_MAX];
    struct gh_quic_batch b = { .buf = buf };
    struct gh_quic_path path;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    (void)open_tunnel();
    raw_peer_wait(&c.peer, 5 * SIM_S);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    path = (struct gh_quic_path){ c.sim->server.addr, c.sim->client.addr };
    gh_quic_close(c.peer.q, true, 0x100, "done");
    assert_int_equal(gh_quic_write(c.peer.q, &b, c.sim->now), 1);
    gh_quic_recv(c.sim->server.quic, &path, 0, gh_span_of(buf, b.len), c.sim->now);
    assert_int_equal(gh_quic_plpmtu(c.sim->server.quic), 0);
    relay_tunnel_measure(relay_world_worker(&c.relay));
    (void)sim_run(c.sim, SIM_S, NULL, NULL);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    conformance_end();
}

static void set_traffic_class(struct packet *to, unsigned value)
{
    if (to->data[0] >> 4 == 4) {
        to->data[1] = (uint8_t)value;
        seal_v4(to);
    } else {
        to->data[0] = (uint8_t)(0x60 | value >> 4);
        to->data[1] = (uint8_t)((value & 15) << 4 | (to->data[1] & 15));
    }
}

/* RFC 9484, sections 10.2 and 10.3: with congestion control outside, neither ECN nor DSCP crosses from one header to the other.
 * The simulator sees all that leaves an engine beside the payload: two bits. */
static void P11_what_is_inside_says_nothing_about_the_outer_header(void **state)
{
    int64_t id;

    (void)state;
    for (int congested = 0; congested < 2; congested++) {
        unsigned before;

        conformance_start_settled(OUR_SERVER);
        id = open_tunnel();
        raw_peer_wait(&c.peer, 5 * SIM_S);
        c.sim->link[0].congested = c.sim->link[1].congested = congested;
        before = c.peer.datagrams;
        for (unsigned value = 0; value < 256; value++) {
            bool six = value % 7 == 0;

            make_udp(&p, six ? WORLD_AGENT6 : WORLD_AGENT4, six ? "2001:db8::80" : "192.0.2.80", 40000, 443, 20);
            set_traffic_class(&p, value);
            send_packet(id, &p);
            raw_peer_wait(&c.peer, 20 * SIM_MS);
            assert_int_equal(c.on_network, value + 1);
            assert_int_equal(traffic_class(c.network), value);
            make_udp(&p, six ? "2001:db8::80" : "192.0.2.80", six ? WORLD_AGENT6 : WORLD_AGENT4, 443, 40000, 20);
            set_traffic_class(&p, value);
            from_network(&p);
            raw_peer_wait(&c.peer, 20 * SIM_MS);
            assert_int_equal(c.peer.datagrams, before + value + 1);
            assert_int_equal(traffic_class(c.peer.datagram + 2), value); /* quarter stream id, context id */
        }
        for (int i = 0; i < 2; i++) {
            assert_true(c.sim->link[i].ecn[2] > 256); /* ECT(0): our own congestion control listens */
            assert_int_equal(c.sim->link[i].ecn[1] + c.sim->link[i].ecn[3], 0);
        }
        conformance_end();
    }
}

/* P12 */

/* Whatever the policy allows: it allows everything here. */
static void P12_loopback_and_link_local_of_the_relay_are_no_destinations(void **state)
{
    static const char *const no[] = { "127.0.0.1", "127.255.0.1", "0.0.0.0",         "169.254.169.254", "224.0.0.1", "255.255.255.255",
                                      "::1",       "::",          "::ffff:127.0.0.1", "::127.0.0.1",     "fe80::1",   "ff02::1:2" };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (crosses(id, strchr(no[i], ':') ? WORLD_AGENT6 : WORLD_AGENT4, no[i]))
            fail_msg("%s was reached", no[i]);
    assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 1);
    conformance_end();
}

static void P12_without_a_rule_nothing_is_reached(void **state)
{
    static const struct {
        const char *clients;
        enum gh_drop why;
    } cases[] = {
        { "{}", GH_DROP_UNKNOWN_CLIENT },
        { "{ client-1: { rules: [ { id: one, type: ip_cidr, action: allow, destinations: [203.0.113.1/32] } ] } }", GH_DROP_POLICY },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char policy[300];
        int64_t id;

        snprintf(policy, sizeof policy, "version: \"1.0\"\nmetadata: { name: sim }\ndefault_action: deny\nclients: %s\n", cases[i].clients);
        conformance_begin_with(policy);
        conformance_connect();
        c.control = raw_open_control(&c.peer);
        id = open_tunnel();
        assert_int_equal(crosses(id, WORLD_AGENT4, "192.0.2.80"), 0);
        assert_int_equal(crosses(id, WORLD_AGENT6, "2001:db8::80"), 0);
        assert_int_equal(crosses(id, WORLD_AGENT4, "10.100.0.1"), 0); /* the relay itself */
        make_udp(&p, "192.0.2.80", WORLD_AGENT4, 443, 40000, 20);
        from_network(&p);
        raw_assert_open(&c.peer);
        assert_int_equal(c.peer.datagrams, 0);
        assert_int_equal(relay_world_drops(&c.relay, cases[i].why) + relay_world_drops(&c.relay, GH_DROP_NO_FLOW), 4);
        assert_true(relay_world_drops(&c.relay, cases[i].why) >= 3);
        conformance_end();
    }
}

/* Nobody speaks HTTP to the relay who did not prove who it is. */
static void P12_a_client_without_a_certificate_is_refused(void **state)
{
    struct gh_tls_config cfg = { .alpn = "h3" };

    (void)state;
    conformance_begin(OUR_SERVER);
    sim_credentials(false, &cfg);
    cfg.certificate = gh_span_of(NULL, 0);
    cfg.key = gh_span_of(NULL, 0);
    conformance_refused_by_tls(&cfg);
    assert_int_equal(c.peer.end->why.code, 0x100 + 116); /* certificate_required: RFC 8446, section 6.2 */
    conformance_end();
}

/* Nameservers (draft-ietf-masque-connect-ip-dns), which no row asks for. */

static void after_routes_the_relay_tells_of_nameservers_when_it_has_some(void **state)
{
    static const char *const servers[] = { "192.0.2.53", "2001:db8::53" }, *const search[] = { "corp.example" };
    static const uint8_t both[] = { 0x9a, 0xce, 0x79, 0xec, 49, 2, 0, 1, 1, 192, 0, 2, 53, 0, 0, 0,
                                    0, 2, 0, 1, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53, 0, 0,
                                    1, 0, 1, 12, 'c', 'o', 'r', 'p', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e',
                                    0xa7, 0x4c, 0x0f, 0xbc, 13, 96, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t narrow4[] = { 0x9a, 0xce, 0x79, 0xec, 27, 1, 0, 1, 1, 192, 0, 2, 53, 0, 0, 0,
                                       1, 0, 1, 12, 'c', 'o', 'r', 'p', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e' };
    struct gh_prefix nat64 = prefix_of("64:ff9b::/96");

    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        size_t len = wide ? sizeof both : sizeof narrow4;
        const struct raw_answer *a;
        struct gh_relay_conf *conf;
        int64_t id;

        conformance_begin(OUR_SERVER);
        conf = &relay_world_worker(&c.relay)->conf;
        conf->dns = servers;
        conf->dns_count = 2;
        conf->dns_search = search;
        conf->dns_search_count = 1;
        conf->pref64 = &nat64;
        conf->pref64_count = 1;
        narrow(wide ? 0 : 1252);
        conformance_connect();
        c.control = raw_open_control(&c.peer);
        id = open_tunnel();
        raw_assert_open(&c.peer);
        a = answer_on(id);
        assert_offer(id, wide);
        assert_true(a->body_len > len);
        assert_memory_equal(a->body + a->body_len - len, wide ? both : narrow4, len);
        conformance_end();
    }
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(Q6_what_is_dropped_after_its_arrival_was_acknowledged),
        T(H10_a_relay_that_drains_says_so_once_and_tunnels_go_on),
        T(H10_after_a_goaway_nothing_more_is_asked),
        T(H10_a_client_that_goes_away_keeps_its_tunnel),
        T(H10_an_id_that_goes_up_or_is_no_requests_is_an_id_error),
        T(H11_what_comes_after_our_goaway_is_rejected_and_not_processed),
        T(H11_our_client_cancels_both_directions),
        T(H11_a_rejection_ends_the_request_and_nothing_else),
        T(H11_a_cancelled_request_is_forgotten),
        T(P7_ipv6_is_assigned_where_the_path_carries_it),
        T(P7_a_wish_for_ipv6_on_a_narrow_path_is_refused),
        T(P7_a_path_that_shrinks_aborts_the_stream_and_ipv4_goes_on),
        T(a_client_that_closes_is_not_taken_for_one_on_a_narrow_path),
        T(P7_the_next_tunnel_goes_on_at_once_and_says_why),
        T(P7_an_agent_whose_own_direction_is_narrow_has_ipv4_alone),
        T(P7_an_agent_that_does_not_ask_again_is_gone),
        T(P11_what_is_inside_says_nothing_about_the_outer_header),
        T(P12_loopback_and_link_local_of_the_relay_are_no_destinations),
        T(P12_without_a_rule_nothing_is_reached),
        T(P12_a_client_without_a_certificate_is_refused),
        T(after_routes_the_relay_tells_of_nameservers_when_it_has_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
