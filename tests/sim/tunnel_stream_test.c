/* A tunnel where UDP does not get through: the agent's tunnel, HTTP/2 or an upgrade of HTTP/1.1, a stream of bytes, the relay down to its TUN.
 *
 * Or a WebSocket on either. The byte stream is cut into pieces of any length. TLS is not in it: the relay is told whose certificate the peer has shown.
 */
#include <stdio.h>

#include "../unit/net/fake_bytes.h"
#include "../unit/wire/packets.h"
#include "base/error.h"
#include "certs.h"
#include "loop/worker.h"
#include "net/http1_server.h"
#include "net/http1_tunnel.h"
#include "net/http2.h"
#include "net/websocket_stream.h"
#include "relay_world.h"
#include "services/agent/agent_internal.h"
#include "services/relay/relay_internal.h"

#define HEADROOM 16u
#define WEB4 "192.0.2.80"
#define WEB6 "2001:db8::80"

struct world {
    struct relay_world relay;
    struct fake_bytes *near, *far; /* the agent's end, the relay's */
    struct gh_http2 *client_set, *server_set;
    struct gh_http2_conn *conn;
    struct gh_http1_server *h1;
    struct gh_agent_request request;
    struct gh_agent_tunnel tunnel;
    struct gh_http_stream *below; /* what the request went out on */
    bool two, websocket, open, ended;
    unsigned assigned, routes, at_network, at_agent;
    struct packet last; /* that came out of the tunnel, at either end */
    struct gh_agent_tunnel_end end;
};

static struct world w;

static void on_network(void *arg, struct gh_span packet)
{
    (void)arg;
    w.at_network++;
    assert_true(packet.len <= sizeof w.last.data);
    memcpy(w.last.data, packet.data, packet.len);
    w.last.len = packet.len;
}

static void on_packet(void *arg, struct gh_span packet)
{
    (void)arg;
    w.at_agent++;
    assert_true(packet.len <= sizeof w.last.data);
    memcpy(w.last.data, packet.data, packet.len);
    w.last.len = packet.len;
}

static void on_open(void *arg)
{
    (void)arg;
    w.open = true;
}

static void on_assigned(void *arg, const struct gh_prefix *list, size_t count, size_t refused)
{
    (void)arg;
    (void)list;
    assert_int_equal(refused, 0);
    w.assigned = (unsigned)count;
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg;
    (void)list;
    w.routes = (unsigned)count;
}

static void on_end(void *arg, const struct gh_agent_tunnel_end *end)
{
    (void)arg;
    w.ended = true;
    w.end = *end;
}

static const struct gh_agent_tunnel_events tunnel_events = { on_open, on_assigned, on_routes, on_packet, on_end };

/* Everything that can happen without time. */
static void settle(void)
{
    bool more = true;

    host_turn(&w.relay.worker);
    while (more) {
        more = fake_bytes_turn(w.near);
        more |= fake_bytes_turn(w.far);
        host_turn(&w.relay.worker);
    }
}

static void pass(int64_t time)
{
    for (int64_t end = w.relay.sim.now + time; w.relay.sim.now < end; w.relay.sim.now += 10 * SIM_MS) {
        gh_deadlines_fire(&w.relay.sim.deadlines, w.relay.sim.now);
        settle();
    }
}

static void on_ready(void *arg, struct gh_http2_conn *c)
{
    (void)arg;
    (void)c;
}

static void on_conn_closed(void *arg, struct gh_http2_conn *c, uint32_t code)
{
    (void)arg;
    (void)c;
    (void)code;
    w.conn = NULL;
}

static const struct gh_http2_client_events conn_events = { on_ready, NULL, on_conn_closed };
static const struct gh_http_peer stranger = { .addr = { 4, { 198, 51, 100, 1 } }, .port = 5000, .identity = "", .uid = UINT32_MAX };

static void fill_identity(struct gh_http_identity *ret)
{
    struct gh_cert *cert;

    *ret = (struct gh_http_identity){ .name = "client-1" };
    assert_int_equal(gh_cert_parse_pem(gh_span_str(SIM_AGENT_CRT), &cert), 0);
    ret->not_after = gh_cert_not_after(cert);
    assert_int_equal(gh_cert_id_of(cert, &ret->certificate), 0);
    gh_cert_destroy(cert);
}

static void send_request(const struct gh_http_head *head, const struct gh_http_events *events, void *arg)
{
    if (w.two) {
        assert_non_null(w.conn);
        assert_int_equal(gh_http2_conn_request(w.conn, head, events, arg, false, &w.below), 0);
    } else {
        assert_int_equal(gh_http1_tunnel_open(&w.near->base, &stranger, NULL, head, &w.below), 0);
        w.below->events = events;
        w.below->arg = arg;
    }
}

static void ask(void)
{
    struct gh_http_stream *s;
    struct gh_http_head head;

    gh_agent_tunnel_init(&w.tunnel, &tunnel_events, NULL);
    if (w.websocket) {
        assert_int_equal(gh_websocket_create(&w.request.head, &gh_websocket_connect_ip, !w.two, &s, &head), 0);
        send_request(&head, &gh_websocket_client_events, s);
        gh_websocket_attach(s, w.below);
        s->events = &gh_agent_tunnel_http_events;
        s->arg = &w.tunnel;
    } else {
        send_request(&w.request.head, &gh_agent_tunnel_http_events, &w.tunnel);
        s = w.below;
    }
    gh_agent_tunnel_start(&w.tunnel, s, false);
    pass(SIM_S);
}

enum { HTTP_1, HTTP_2, WEBSOCKET_1, WEBSOCKET_2, KINDS };

/* <known>: the peer has shown the certificate of client-1. */
static void start(unsigned kind, size_t piece, bool known)
{
    static const char *const upgrades[] = { "connect-ip", "websocket", NULL };
    bool two = kind == HTTP_2 || kind == WEBSOCKET_2;
    static const uint8_t instance[16] = { 1 };
    struct gh_http1_config config1 = { .upgrades = upgrades };
    struct gh_http2_config config2 = { 0 };
    struct gh_http_handler handler;
    struct gh_http_identity agent;

    memset(&w, 0, sizeof w);
    relay_world_init(&w.relay, 7, NULL, on_network, NULL);
    fill_identity(&agent);
    handler = (struct gh_http_handler){ relay_request, relay_world_worker(&w.relay) };
    w.two = two;
    w.websocket = kind == WEBSOCKET_1 || kind == WEBSOCKET_2;
    w.near = fake_bytes_create();
    w.far = fake_bytes_create();
    fake_bytes_join(w.near, w.far);
    w.near->piece = w.far->piece = piece;
    assert_int_equal(gh_agent_request_init(&w.request, "relay.gatehouse.example", 443, "/.well-known/masque/ip/{target}/{ipproto}/", instance), 0);
    assert_int_equal(gh_http1_server_create(&w.relay.worker, &config1, handler, &w.h1), 0);
    assert_int_equal(gh_http2_create(&w.relay.worker, &config2, handler, &w.server_set), 0);
    assert_int_equal(gh_http2_create(&w.relay.worker, &config2, handler, &w.client_set), 0);
    if (two) {
        assert_int_equal(gh_http2_take(w.server_set, &w.far->base, &stranger, known ? &agent : NULL), 0);
        assert_int_equal(gh_http2_open(w.client_set, &w.near->base, &stranger, NULL, &conn_events, NULL, &w.conn), 0);
        settle();
    } else {
        assert_int_equal(gh_http1_server_take(w.h1, &w.far->base, &stranger, known ? &agent : NULL), 0);
    }
    ask();
}

static void finish(void)
{
    if (!w.two && w.tunnel.stream)
        gh_http1_tunnel_close(w.below);
    gh_http2_destroy(w.client_set);
    gh_http2_destroy(w.server_set);
    gh_http1_server_destroy(w.h1);
    gh_agent_tunnel_fini(&w.tunnel);
    relay_world_fini(&w.relay);
    fake_bytes_destroy(w.near);
    fake_bytes_destroy(w.far);
}

static enum gh_drop send_packet(struct packet *p)
{
    uint8_t copy[2048];
    enum gh_drop why;

    memcpy(copy + HEADROOM, p->data, p->len);
    why = gh_agent_tunnel_send(&w.tunnel, copy + HEADROOM, p->len, 1);
    settle();
    return why;
}

static void packet_to_agent(struct packet *p)
{
    uint8_t copy[2048];

    memcpy(copy + HEADROOM, p->data, p->len);
    relay_packet_in(relay_world_worker(&w.relay), copy + HEADROOM, p->len, false);
    settle();
}

static void packets_of_both_families_cross_in_pieces_of_any_length(void **state)
{
    static const size_t sizes[] = { 60, 1280, 1500 };
    struct packet p;

    (void)state;
    for (unsigned i = 0; i < 6 * KINDS; i++) {
        start(i % KINDS, i / KINDS * 97 + 1, true);
        assert_true(w.open);
        assert_int_equal(w.assigned, 2);
        assert_int_equal(w.routes, 2);
        assert_int_equal(gh_agent_tunnel_mtu(&w.tunnel), 1500);
        for (unsigned n = 0; n < 2 * sizeof sizes / sizeof *sizes; n++) {
            bool six = n & 1;

            make_udp(&p, six ? WORLD_AGENT6 : WORLD_AGENT4, six ? WEB6 : WEB4, 40000, 443, sizes[n / 2] - (six ? 48 : 28));
            assert_int_equal(send_packet(&p), GH_DROP_NONE);
            assert_int_equal(w.at_network, n + 1);
            assert_int_equal(w.last.len, p.len);
            assert_memory_equal(w.last.data + 20, p.data + 20, p.len - 20); /* behind TTL and checksum */
            make_udp(&p, six ? WEB6 : WEB4, six ? WORLD_AGENT6 : WORLD_AGENT4, 443, 40000, sizes[n / 2] - (six ? 48 : 28));
            packet_to_agent(&p);
            assert_int_equal(w.at_agent, n + 1);
            assert_int_equal(w.last.len, p.len);
            assert_memory_equal(w.last.data + 20, p.data + 20, p.len - 20);
        }
        finish();
    }
}

static void a_source_that_is_not_the_agents_is_dropped_as_ever(void **state)
{
    struct packet p;

    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        start(kind, 0, true);
        make_udp(&p, "10.100.0.9", WEB4, 1, 2, 30);
        assert_int_equal(send_packet(&p), GH_DROP_NONE);
        assert_int_equal(w.at_network, 0);
        assert_int_equal(relay_world_drops(&w.relay, GH_DROP_SOURCE), 1);
        finish();
    }
}

static void a_newer_policy_holds_for_the_next_packet(void **state)
{
    static const char nothing[] = "version: \"1.0\"\nmetadata: { name: sim }\ndefault_action: deny\nclients:\n  client-1:\n    rules:\n"
                                  "      - { id: none, type: default, action: deny }\n";
    struct packet p;

    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        start(kind, 0, true);
        make_udp(&p, WORLD_AGENT4, WEB4, 1, 2, 30);
        assert_int_equal(send_packet(&p), GH_DROP_NONE);
        assert_int_equal(w.at_network, 1);
        relay_world_reload(&w.relay, nothing);
        make_udp(&p, WORLD_AGENT4, WEB4, 1, 3, 30);
        assert_int_equal(send_packet(&p), GH_DROP_NONE);
        assert_int_equal(w.last.data[9], 1); /* ICMP: the network is told that the flow was cut; the packet is not there */
        assert_int_equal(w.at_network, 2);
        assert_int_equal(relay_world_drops(&w.relay, GH_DROP_POLICY), 1);
        finish();
    }
}

static void who_proved_nothing_gets_no_tunnel(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        start(kind, 0, false);
        assert_false(w.open);
        assert_true(w.ended);
        assert_in_range(w.end.status, 400, 499);
        assert_int_equal(atomic_load(&w.relay.relay.sessions), 0);
        finish();
    }
}

static void a_tunnel_that_the_agent_closes_leaves_nothing_behind(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        start(kind, 0, true);
        assert_int_equal(atomic_load(&w.relay.relay.sessions), 1);
        gh_agent_tunnel_close(&w.tunnel, "done");
        pass(SIM_S);
        assert_true(w.ended);
        assert_null(w.tunnel.stream);
        assert_int_equal(atomic_load(&w.relay.relay.sessions), 0);
        finish();
    }
}

static void a_connection_that_breaks_ends_the_tunnel_at_both_ends(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        start(kind, 0, true);
        w.near->broken = w.far->broken = true;
        pass(SIM_S);
        assert_true(w.ended);
        assert_null(w.tunnel.stream);
        assert_int_equal(gh_http2_connections(w.server_set), 0);
        assert_int_equal(gh_http1_server_connections(w.h1), 0);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_both_families_cross_in_pieces_of_any_length),
        cmocka_unit_test(a_source_that_is_not_the_agents_is_dropped_as_ever),
        cmocka_unit_test(a_newer_policy_holds_for_the_next_packet),
        cmocka_unit_test(who_proved_nothing_gets_no_tunnel),
        cmocka_unit_test(a_tunnel_that_the_agent_closes_leaves_nothing_behind),
        cmocka_unit_test(a_connection_that_breaks_ends_the_tunnel_at_both_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
