/* CONNECT-IP where HTTP has no datagrams: over HTTP/2 and over an upgrade of HTTP/1.1 (RFC 9484, sections 4.2 and 6; RFC 9297, section 3.5).
 * Row P14 of the checklist: the same engine, the same capsules, packets in DATAGRAM capsules. */
#include "proto/connect_ip/connect_ip.h"

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"
#include "loop/worker.h"
#include "net/http1_server.h"
#include "net/http1_tunnel.h"
#include "net/http2.h"

struct side {
    struct gh_connect_ip ip;
    struct gh_http_stream *stream;
    int fed;              /* what gh_connect_ip_feed said last */
    unsigned requests, assigned, routes, packets, closed;
    struct gh_prefix address;
    uint8_t packet[2000];
    size_t packet_len;
    uint64_t code;
};

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct fake_bytes *near, *far; /* client's, server's */
    struct gh_http1_server *h1;
    struct gh_http2 *client_set, *server_set;
    struct gh_http2_conn *conn;
    struct side client, server;
    bool two;
    unsigned status;
};

static int send_capsules(void *arg, struct gh_span capsules)
{
    return gh_http_send(((struct side *)arg)->stream, capsules, false);
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct side *e = arg;

    assert_int_equal(count, 1);
    e->assigned++;
    e->address = list->prefix;
}

static void on_ask(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct side *e = arg;
    struct gh_connect_ip_address answer = { list[0].request_id, { .addr = { 4, { 10, 0, 0, 7 } }, .len = 32 } };

    assert_int_equal(count, 1);
    e->requests++;
    assert_int_equal(gh_connect_ip_assign(&e->ip, &answer, 1, true), 0);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)list;
    ((struct side *)arg)->routes += (unsigned)count;
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct side *e = arg;

    e->packets++;
    assert_true(packet.len <= sizeof e->packet);
    e->packet_len = packet.len;
    memcpy(e->packet, packet.data, packet.len);
    memset((uint8_t *)(uintptr_t)packet.data, 0xee, packet.len); /* a relay writes TTL and checksum in place */
}

static const struct gh_connect_ip_events ip_events = { send_capsules, on_assign, on_ask, on_routes, on_packet };

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct side *e = arg;

    e->fed = gh_connect_ip_feed(&e->ip, data, end);
    if (e->fed < 0)
        gh_http_reset(s, GH_HTTP_MESSAGE_ERROR);
    else if (end)
        gh_http_send(s, gh_span_of(NULL, 0), true);
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    (void)s;
    gh_connect_ip_feed_datagram(&((struct side *)arg)->ip, payload);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct side *e = arg;

    (void)s;
    e->closed++;
    e->code = code;
    e->stream = NULL;
}

static struct world *world_of(struct side *client)
{
    return (struct world *)((char *)client - offsetof(struct world, client));
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    world_of(arg)->status = head->status;
}

static const struct gh_http_events events = { on_answer, on_body, on_datagram, NULL, on_closed };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;
    struct gh_http_field capsules = { gh_span_str("capsule-protocol"), gh_span_str("?1") };

    assert_true(gh_span_equals(head->method, gh_span_str("CONNECT")));
    assert_true(gh_span_equals(head->protocol, gh_span_str("connect-ip")));
    assert_true(gh_span_equals(head->path, gh_span_str("/.well-known/masque/ip/*/*/")));
    assert_true(gh_span_equals(gh_http_field_find(head, "capsule-protocol"), gh_span_str("?1")));
    s->events = &events;
    s->arg = &w->server;
    w->server.stream = s;
    assert_int_equal(gh_http_respond(s, 200, &capsules, 1, false), 0);
}

static void on_ready(void *arg, struct gh_http2_conn *c)
{
    (void)arg;
    (void)c;
}

static void on_conn_closed(void *arg, struct gh_http2_conn *c, uint32_t code)
{
    (void)c;
    (void)code;
    ((struct world *)arg)->conn = NULL;
}

static const struct gh_http2_client_events conn_events = { on_ready, NULL, on_conn_closed };

static void run(struct world *w)
{
    bool more = true;

    gh_worker_turn(w->worker, false);
    while (more) {
        more = fake_bytes_turn(w->near);
        more |= fake_bytes_turn(w->far);
        gh_worker_turn(w->worker, false);
    }
}

static void ask(struct world *w)
{
    const struct gh_http_peer nobody = { .identity = "", .uid = UINT32_MAX };
    struct gh_http_field capsules = { gh_span_str("capsule-protocol"), gh_span_str("?1") };
    struct gh_http_head head = { .method = gh_span_str("CONNECT"),
                                 .scheme = gh_span_str("https"),
                                 .authority = gh_span_str("relay"),
                                 .path = gh_span_str("/.well-known/masque/ip/*/*/"),
                                 .protocol = gh_span_str("connect-ip"),
                                 .fields = &capsules,
                                 .field_count = 1 };

    if (w->two) {
        run(w);
        assert_non_null(w->conn);
        assert_int_equal(gh_http2_conn_request(w->conn, &head, &events, &w->client, false, &w->client.stream), 0);
    } else {
        assert_int_equal(gh_http1_tunnel_open(&w->near->base, &nobody, NULL, &head, &w->client.stream), 0);
        w->client.stream->events = &events;
        w->client.stream->arg = &w->client;
    }
    run(w);
    assert_int_equal(w->status, 200);
}

static struct world *world_open(bool two, size_t piece)
{
    static const char *const upgrades[] = { "connect-ip", NULL };
    const struct gh_http_peer nobody = { .identity = "", .uid = UINT32_MAX };
    struct gh_http1_config config1 = { .upgrades = upgrades };
    struct gh_http2_config config2 = { 0 };
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);
    struct gh_http_handler handler = { on_request, w };

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    w->two = two;
    w->near = fake_bytes_create();
    w->far = fake_bytes_create();
    fake_bytes_join(w->near, w->far);
    w->near->piece = w->far->piece = piece;
    gh_connect_ip_init(&w->client.ip, &ip_events, &w->client);
    gh_connect_ip_init(&w->server.ip, &ip_events, &w->server);
    assert_int_equal(gh_http1_server_create(w->worker, &config1, handler, &w->h1), 0);
    assert_int_equal(gh_http2_create(w->worker, &config2, handler, &w->server_set), 0);
    assert_int_equal(gh_http2_create(w->worker, &config2, handler, &w->client_set), 0);
    if (two) {
        assert_int_equal(gh_http2_take(w->server_set, &w->far->base, &nobody, NULL), 0);
        assert_int_equal(gh_http2_open(w->client_set, &w->near->base, &nobody, NULL, &conn_events, w, &w->conn), 0);
    } else {
        assert_int_equal(gh_http1_server_take(w->h1, &w->far->base, &nobody, NULL), 0);
    }
    ask(w);
    return w;
}

static void world_close(struct world *w)
{
    if (!w->two && w->client.stream)
        gh_http1_tunnel_close(w->client.stream);
    gh_http2_destroy(w->client_set);
    gh_http2_destroy(w->server_set);
    gh_http1_server_destroy(w->h1);
    gh_connect_ip_fini(&w->client.ip);
    gh_connect_ip_fini(&w->server.ip);
    gh_workers_destroy(w->workers);
    fake_bytes_destroy(w->near);
    fake_bytes_destroy(w->far);
    free(w);
}

static void P14_addresses_routes_and_packets_cross_in_pieces_of_every_length(void **state)
{
    const struct gh_prefix any = { .addr = { .family = 4 }, .len = 32 };
    const struct gh_ip_route route = { .start = { 4, { 10, 0, 0, 0 } }, .end = { 4, { 10, 0, 0, 255 } } };
    uint8_t packet[1501] = { 0x00, 0x45, 1, 2, 3 };
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < 60; i++) {
        struct world *w = world_open(i & 1, 1 + i / 2 * 7);

        assert_int_equal(gh_connect_ip_request(&w->client.ip, &any, 1, &id), 0);
        run(w);
        assert_int_equal(w->server.requests, 1);
        assert_int_equal(w->client.assigned, 1);
        assert_int_equal(w->client.address.addr.bytes[3], 7);
        assert_int_equal(gh_connect_ip_advertise(&w->server.ip, &route, 1), 0);
        run(w);
        assert_int_equal(w->client.routes, 1);
        for (size_t len = 2; len <= sizeof packet; len += 499) {
            assert_int_equal(gh_http_send_datagram(w->client.stream, gh_span_of(packet, len), 1), 0);
            assert_int_equal(gh_http_send_datagram(w->server.stream, gh_span_of(packet, len), 1), 0);
            run(w);
            assert_int_equal(w->server.packet_len, len - 1);
            assert_int_equal(w->client.packet_len, len - 1);
            assert_memory_equal(w->server.packet, packet + 1, len - 1);
            assert_memory_equal(w->client.packet, packet + 1, len - 1);
        }
        assert_int_equal(w->server.packets, 4);
        assert_int_equal(w->client.packets, 4);
        world_close(w);
    }
}

static void P14_a_context_that_nobody_knows_is_dropped(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct world *w = world_open(two, 0);

        assert_int_equal(gh_http_send_datagram(w->client.stream, gh_span_str("\x02packet"), 1), 0);
        run(w);
        assert_int_equal(w->server.packets, 0);
        assert_int_equal(w->server.ip.counters.context_drops, 1);
        assert_int_equal(w->server.fed, 0);
        world_close(w);
    }
}

static void P14_an_end_inside_a_capsule_aborts_the_tunnel(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct world *w = world_open(two, 0);

        assert_int_equal(gh_http_send(w->client.stream, gh_span_str("\x01\x10half"), true), 0);
        run(w);
        assert_int_equal(w->server.fed, GH_ERR_MALFORMED);
        assert_int_equal(w->server.closed, 1);
        assert_int_equal(w->server.code, 0x10e);
        assert_int_equal(w->client.closed, 1);
        if (two)
            assert_int_equal(w->client.code, 0x10e); /* a byte stream that is cut has no words */
        assert_int_not_equal(w->client.code, 0);
        world_close(w);
    }
}

static void P14_the_end_of_one_direction_ends_the_tunnel(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct world *w = world_open(two, 0);

        assert_int_equal(gh_http_send(w->client.stream, gh_span_of(NULL, 0), true), 0);
        run(w);
        assert_int_equal(w->server.closed + w->client.closed, 2);
        assert_int_equal(w->server.code | w->client.code, 0);
        world_close(w);
    }
}

static void what_is_known_of_a_path_has_news_when_packets_cross(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct world *w = world_open(two, 0);
        struct gh_http_path before, after;

        gh_http_path(w->server.stream, &before);
        assert_int_equal(gh_http_send_datagram(w->server.stream, gh_span_str("\0packet"), 1), 0);
        run(w);
        gh_http_path(w->server.stream, &after);
        assert_true(after.pieces > before.pieces);
        assert_int_equal(after.datagrams_out, 1);
        assert_true(gh_http_plpmtu(w->server.stream) == SIZE_MAX);
        gh_http_close_connection(w->server.stream, "done");
        run(w);
        assert_int_equal(w->server.closed + w->client.closed, 2);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P14_addresses_routes_and_packets_cross_in_pieces_of_every_length),
        cmocka_unit_test(P14_a_context_that_nobody_knows_is_dropped),
        cmocka_unit_test(P14_an_end_inside_a_capsule_aborts_the_tunnel),
        cmocka_unit_test(P14_the_end_of_one_direction_ends_the_tunnel),
        cmocka_unit_test(what_is_known_of_a_path_has_news_when_packets_cross),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
