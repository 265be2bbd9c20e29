/* CONNECT-IP requests and the life of a tunnel (RFC 9484): rows R2, R3, R5 to R8 and A4, A5, A9 of docs/internals/conformance.md. */
#include <netdb.h>

#include "../unit/wire/packets.h"
#include "conformance.h"
#include "services/agent/agent_tunnel.h"

#define MESSAGE_ERROR 0x10e
#define REQUEST_CANCELLED 0x10c

static struct packet p;

/* R2 */

static void R2_the_agent_asks_as_the_rfc_words_it(void **state)
{
    static const uint8_t instance[16] = { 0xab };
    struct gh_agent_request r;
    struct raw_answer *a;

    (void)state;
    assert_int_equal(gh_agent_request_init(&r, "relay.gatehouse.example", 4433, "/.well-known/masque/ip/{target}/{ipproto}/", instance), 0);
    conformance_begin(OUR_CLIENT);
    c.ask = false;
    conformance_connect();
    raw_open_control(&c.peer);
    raw_assert_open(&c.peer);
    assert_int_equal(gh_h3_request(c.sim->client.h3, &r.head, false, &c.stream), 0);
    raw_assert_open(&c.peer);
    a = answer_on(0);
    assert_int_equal(a->heads, 1);
    assert_int_equal(a->body_len, 0);
    assert_non_null(strstr(a->fields, ":method: CONNECT\n"));
    assert_non_null(strstr(a->fields, ":protocol: connect-ip\n"));
    assert_non_null(strstr(a->fields, ":scheme: https\n"));
    assert_non_null(strstr(a->fields, ":authority: relay.gatehouse.example:4433\n"));
    assert_non_null(strstr(a->fields, "capsule-protocol: ?1\n"));
    /* section 3: "*" stands for itself or is encoded */
    assert_true(strstr(a->fields, ":path: /.well-known/masque/ip/*/*/\n") || strstr(a->fields, ":path: /.well-known/masque/ip/%2A/%2A/\n"));
    for (const char *line = a->fields, *pseudo = line; line; line = strchr(line, '\n'), line = line && line[1] ? line + 1 : NULL) {
        assert_true(*line != ':' || *pseudo == ':'); /* pseudo-fields come first */
        pseudo = line;
    }
    conformance_end();
}

/* R3, R6, R8 */

static const struct raw_answer *ask_for(const char *path, const char *protocol)
{
    const char *const fields[] = { ":method", "CONNECT", ":protocol", protocol, ":scheme", "https", ":authority", "relay",
                                   ":path", path, "capsule-protocol", "?1", NULL };
    struct raw_bytes b = { .len = 0 };
    const struct raw_answer *a;

    conformance_start_settled(OUR_SERVER);
    head_of(&b, fields);
    a = answer_on(ask(&b, false));
    raw_assert_open(&c.peer);
    conformance_end();
    return a;
}

#define IP "/.well-known/masque/ip/"

static void R3_targets_that_do_not_parse_are_bad_requests(void **state)
{
    static const char *const bad[] = {
        IP "10.0.0.1%2F8/17/",     /* bits below the prefix */
        IP "2001%3Adb8%3A%3A1%2F32/17/",
        IP "10.0.0.0%2F33/17/",    IP "10.0.0.0%2F8/256/", IP "10.0.0.0%2F8/-1/",
        IP "10.0.0.0%2F8/tcp/",    IP "a%20b/17/",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ask_for(bad[i], "connect-ip")->status, 400);
}

static void R6_each_refusal_has_its_status(void **state)
{
    (void)state;
    assert_int_equal(ask_for(IP "*/*/", "connect-ip")->status, 200);
    assert_int_equal(ask_for(IP "10.0.0.1%2F8/17/", "connect-ip")->status, 400); /* bad path */
    assert_int_equal(ask_for(IP "*/0/", "connect-ip")->status, 403);             /* no tunnel of ours */
    assert_int_equal(ask_for("/", "connect-ip")->status, 404);                   /* not the template */
    assert_int_equal(ask_for(IP "*/", "connect-ip")->status, 404);
    assert_int_equal(ask_for(IP "*/*/", "connect-udp")->status, 501);            /* protocol */
}

static void R6_without_room_the_answer_is_503_and_when_to_retry(void **state)
{
    struct gh_pool_lease lease;
    struct raw_answer *a;
    struct raw_bytes b = { .len = 0 };
    int rc = 0;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    for (int i = 0; rc == 0; i++) {
        char name[24];
        struct gh_pool_request q = { .family = 4, .identity = gh_span_str(name) };

        snprintf(name, sizeof name, "other-%d", i);
        q.identity = gh_span_str(name);
        rc = gh_pool_acquire(c.relay.relay.pool, &q, &lease);
    }
    connect_ip_head(&b);
    a = answer_on(ask(&b, false));
    assert_int_equal(a->status, 503);
    assert_non_null(strstr(a->fields, "retry-after: "));
    assert_non_null(strstr(a->fields, "proxy-status: "));
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    conformance_end();
}

/* A certificate that is good but no agent's: refused before any request, with the alert bad_certificate (42). */
static void R6_a_stranger_is_refused_by_tls(void **state)
{
    struct gh_tls_config cfg = { .alpn = "h3" };

    (void)state;
    conformance_begin(OUR_SERVER);
    sim_credentials(true, &cfg); /* the relay's own */
    cfg.server = false;
    conformance_refused_by_tls(&cfg);
    assert_in_range(c.peer.end->why.code, 0x100, 0x1ff);
    conformance_end();
}

/* R4: the resolver of the test knows one name. */

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
void __wrap_freeaddrinfo(struct addrinfo *list);

static unsigned look_ups;

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    static struct sockaddr_in v4 = { .sin_family = AF_INET };
    static struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    static struct addrinfo second = { .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof v6 };
    static struct addrinfo first = { .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof v4, .ai_next = &second };

    (void)service;
    (void)hints;
    look_ups++;
    if (strcmp(name, "web.example") != 0)
        return EAI_NONAME;
    inet_pton(AF_INET, "192.0.2.80", &v4.sin_addr);
    inet_pton(AF_INET6, "2001:db8::80", &v6.sin6_addr);
    *ret = &first;
    return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

static int64_t open_path(const char *path)
{
    const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                   ":path", path, "capsule-protocol", "?1", NULL };
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    head_of(&b, fields);
    id = ask(&b, false);
    raw_assert_open(&c.peer);
    return id;
}

/* The ROUTE_ADVERTISEMENT that followed the addresses. */
static void assert_routes(int64_t id, const uint8_t *value, size_t len)
{
    const struct raw_answer *a = answer_on(id);

    assert_int_equal(a->status, 200);
    assert_true(a->body_len == 28 + 2 + len);
    assert_int_equal(a->body[28], 0x03);
    assert_int_equal(a->body[29], len);
    assert_memory_equal(a->body + 30, value, len);
}

/* What a packet to <dst> meets: 1 when it came out. */
static unsigned crosses(int64_t id, unsigned protocol, const char *dst)
{
    static const uint8_t icmp4[8] = { 8, 0, 0xf7, 0xff }, icmp6[8] = { 128 };
    struct raw_bytes b = { .len = 0 };
    unsigned before = c.on_network;
    bool six = strchr(dst, ':');
    const char *src = six ? WORLD_AGENT6 : WORLD_AGENT4;

    if (protocol == 17)
        make_udp(&p, src, dst, 40000, 443, 20);
    else if (protocol == 6)
        make_tcp(&p, src, dst, .sport = 40000, .dport = 443, .flags = 2);
    else
        make_ip(&p, src, dst, six ? 58 : 1, six ? icmp6 : icmp4, 8);
    raw_bytes(&b, "\0", 1);
    raw_bytes(&b, p.data, p.len);
    raw_send_datagram(&c.peer, (uint64_t)id / 4, b.data, b.len);
    raw_assert_open(&c.peer);
    return c.on_network - before;
}

static void R4_a_name_is_resolved_before_the_answer(void **state)
{
    /* both addresses of the name, TCP */
    static const uint8_t routes[] = { 4, 192, 0, 2, 80, 192, 0, 2, 80, 6,
                                      6, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
                                      0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 6 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    look_ups = 0;
    id = open_path(IP "web.example/6/");
    assert_int_equal(look_ups, 1);
    assert_routes(id, routes, sizeof routes);
    assert_int_equal(crosses(id, 6, "192.0.2.80"), 1);
    assert_int_equal(crosses(id, 6, "2001:db8::80"), 1);
    assert_int_equal(crosses(id, 6, "192.0.2.81"), 0);
    conformance_end();
}

static void R4_a_name_that_is_not_there_is_a_dns_error(void **state)
{
    struct raw_answer *a;
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_path(IP "nowhere.example/*/");
    a = answer_on(id);
    assert_int_equal(a->status, 502); /* RFC 9209, section 2.3.2 */
    assert_non_null(strstr(a->fields, "proxy-status: "));
    assert_non_null(strstr(a->fields, "error=dns_error"));
    assert_null(strstr(a->fields, "capsule-protocol"));
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    conformance_end();
}

static void R4_the_relay_may_end_while_a_name_is_looked_up(void **state)
{
    static const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                          ":path", IP "web.example/*/", NULL };
    struct raw_bytes b = { .len = 0 };

    (void)state;
    conformance_start_settled(OUR_SERVER);
    raw_peer_wait(&c.peer, 100 * SIM_MS);
    head_of(&b, fields);
    raw_open(&c.peer, true, &b, false);
    raw_peer_wait(&c.peer, 8 * SIM_MS);
    assert_int_equal(atomic_load(&c.relay.relay.lookups), 1);
    conformance_end();
    assert_int_equal(atomic_load(&c.relay.relay.lookups), 0);
}

static void R4_what_comes_before_the_answer_is_kept(void **state)
{
    static const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                          ":path", IP "web.example/*/", NULL };
    struct raw_bytes b = { .len = 0 };
    const struct raw_answer *a;
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    head_of(&b, fields);
    raw_frame(&b, 0x00, BYTES(0x02, 7, 9, 4, 0, 0, 0, 0, 32));
    id = ask(&b, false);
    raw_assert_open(&c.peer);
    a = answer_on(id);
    assert_int_equal(a->status, 200);
    /* the last capsule answers request 9 */
    assert_true(a->body_len > 28);
    assert_memory_equal(a->body + a->body_len - 28, "\x01\x1a\x09\x04\x0a\x64\x00\x02\x20", 9);
    conformance_end();
}

static void R4_a_stream_that_goes_while_the_name_is_looked_up_is_forgotten(void **state)
{
    static const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                          ":path", IP "web.example/*/", NULL };
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    raw_peer_wait(&c.peer, 100 * SIM_MS);
    head_of(&b, fields);
    id = raw_open(&c.peer, true, &b, false);
    raw_peer_wait(&c.peer, 8 * SIM_MS); /* it is there, the name is not */
    gh_quic_reset_stream(c.peer.q, id, REQUEST_CANCELLED);
    raw_assert_open(&c.peer);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    assert_int_equal(answer_on(id)->status, 0);
    open_tunnel();
    conformance_end();
}

/* R8 */

static void R8_a_target_limits_routes_and_packets(void **state)
{
    static const uint8_t routes[] = { 4, 192, 0, 2, 0, 192, 0, 2, 127, 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_path(IP "192.0.2.0%2F25/*/");
    assert_routes(id, routes, sizeof routes);
    assert_int_equal(crosses(id, 17, "192.0.2.80"), 1);
    assert_int_equal(crosses(id, 17, "192.0.2.128"), 0);
    assert_int_equal(crosses(id, 17, "2001:db8::80"), 0);
    assert_int_equal(relay_world_drops(&c.relay, GH_DROP_SCOPE), 2);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    conformance_end();
}

static void R8_a_protocol_limits_packets_but_icmp(void **state)
{
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_path(IP "*/17/");
    assert_int_equal(crosses(id, 17, "192.0.2.80"), 1);
    assert_int_equal(crosses(id, 6, "192.0.2.80"), 0);
    assert_int_equal(crosses(id, 1, "192.0.2.80"), 1);
    assert_int_equal(crosses(id, 58, "2001:db8::80"), 1);
    conformance_end();
}

/* RFC 9484, section 4.8: a TCP segment behind destination options is TCP. */
static void R8_extension_headers_are_walked(void **state)
{
    struct raw_bytes b = { .len = 0 };
    uint8_t body[28] = { 6, 0, 1, 4 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_path(IP "*/6/");
    for (unsigned protocol = 6; protocol <= 17; protocol += 11) {
        make_tcp(&p, WORLD_AGENT6, "2001:db8::80", .sport = 40000, .dport = 443, .flags = 2);
        memcpy(body + 8, p.data + 40, 20);
        body[0] = (uint8_t)protocol;
        put16(body + 12, 20); /* as UDP: its length */
        make_ip(&p, WORLD_AGENT6, "2001:db8::80", 60, body, sizeof body);
        b.len = 0;
        raw_bytes(&b, "\0", 1);
        raw_bytes(&b, p.data, p.len);
        raw_send_datagram(&c.peer, (uint64_t)id / 4, b.data, b.len);
        raw_assert_open(&c.peer);
        assert_int_equal(c.on_network, 1); /* the first alone */
    }
    assert_int_equal(relay_world_drops(&c.relay, GH_DROP_SCOPE), 1);
    conformance_end();
}

/* R5 */

static void R5_the_relay_opens_with_200(void **state)
{
    (void)state;
    conformance_start_settled(OUR_SERVER);
    open_tunnel();
    conformance_end();
}

/* RFC 9114, section 4.5: HTTP/3 has no 101. */
static void R5_101_is_malformed_here(void **state)
{
    struct raw_bytes b = { .len = 0 };

    (void)state;
    conformance_start_settled(OUR_CLIENT);
    head_of(&b, (const char *const[]){ ":status", "101", NULL });
    assert_stream_reset(message_stream(&b, false), MESSAGE_ERROR);
    conformance_end();
}

/* The agent's tunnel over HTTP/3, against a relay that answers what it likes. */

static struct {
    struct gh_http_endpoint *http;
    struct gh_worker worker;
    struct gh_agent_request request;
    struct gh_agent_tunnel tunnel;
    unsigned opened, ended;
    struct gh_agent_tunnel_end end;
} agent;

static void agent_open(void *arg)
{
    (void)arg;
    agent.opened++;
}

static void agent_assigned(void *arg, const struct gh_prefix *list, size_t count, size_t refused)
{
    (void)arg;
    (void)list;
    (void)count;
    (void)refused;
}

static void agent_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg;
    (void)list;
    (void)count;
}

static void agent_packet(void *arg, struct gh_span packet)
{
    (void)arg;
    (void)packet;
}

static void agent_end(void *arg, const struct gh_agent_tunnel_end *end)
{
    (void)arg;
    agent.ended++;
    agent.end = *end;
}

static const struct gh_agent_tunnel_events agent_tunnel_events = { agent_open, agent_assigned, agent_routes, agent_packet, agent_end };

static int agent_peer(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    (void)arg;
    (void)remote;
    assert_non_null(cert);
    snprintf(ret->name, sizeof ret->name, "relay");
    return 0;
}

static void agent_refused(void *arg, const struct gh_endpoint *remote, const char *why)
{
    (void)arg;
    (void)remote;
    fail_msg("%s", why);
}

static void agent_ready(void *arg, struct gh_http_conn *conn)
{
    struct gh_http_stream *s;

    (void)arg;
    gh_agent_tunnel_init(&agent.tunnel, &agent_tunnel_events, NULL);
    assert_int_equal(gh_http_conn_request(conn, &agent.request.head, &gh_agent_tunnel_http_events, &agent.tunnel, false, &s), 0);
    gh_agent_tunnel_start(&agent.tunnel, s, false);
}

static void agent_drop(void *arg, enum gh_drop why, uint64_t count)
{
    (void)arg;
    (void)why;
    (void)count;
}

static const struct gh_http_endpoint_events agent_events = { agent_peer, agent_refused, agent_ready, NULL, NULL, agent_drop };

static void agent_start(void)
{
    static const uint8_t instance[16] = { 1 };
    struct gh_http_endpoint_config cfg = { .events = &agent_events };
    struct gh_endpoint remote = { .port = 4433 };
    struct gh_http_conn *conn;

    memset(&agent, 0, sizeof agent);
    conformance_begin(OUR_CLIENT);
    agent.worker.sim = c.sim;
    cfg.endpoint.worker = &agent.worker;
    cfg.tls = c.sim->client.tls;
    gh_quic_config_default(&cfg.endpoint.quic);
    assert_int_equal(gh_agent_request_init(&agent.request, "relay", 4433, IP "{target}/{ipproto}/", instance), 0);
    assert_int_equal(gh_http_endpoint_create(&cfg, &agent.http), 0);
    assert_int_equal(gh_http_endpoint_connect(agent.http, &remote, &(struct gh_tls_name){ .server_name = "relay" }, &conn), 0);
    raw_peer_connect(&c.peer);
    c.control = raw_open_control(&c.peer);
}

static void agent_stop(void)
{
    gh_http_endpoint_destroy(agent.http);
    gh_agent_tunnel_fini(&agent.tunnel);
    conformance_end();
}

static void R5_the_agent_takes_all_else_for_a_refusal(void **state)
{
    static const unsigned statuses[] = { 204, 205, 206, 301, 307, 400, 403, 404, 500, 501, 503 };

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct raw_bytes b = { .len = 0 };
        char text[4];

        agent_start();
        snprintf(text, sizeof text, "%u", statuses[i]);
        head_of(&b, (const char *const[]){ ":status", text, NULL });
        message_stream(&b, true);
        raw_assert_open(&c.peer);
        assert_int_equal(agent.opened, 0);
        assert_int_equal(agent.ended, 1);
        assert_int_equal(agent.end.status, statuses[i]);
        agent_stop();
    }
}

static void R5_the_agent_opens_on_200_and_asks_for_addresses(void **state)
{
    /* RFC 9484, section 4.7.2: type 0x02; id 1, 0.0.0.0/32; id 2, ::/128 */
    static const uint8_t expected[] = { 0x02, 26, 1, 4, 0, 0, 0, 0, 32, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 };
    struct raw_bytes b = { .len = 0 };
    const struct raw_answer *a;

    (void)state;
    agent_start();
    head_of(&b, (const char *const[]){ ":status", "200", "capsule-protocol", "?1", NULL });
    message_stream(&b, false);
    raw_assert_open(&c.peer);
    assert_int_equal(agent.opened, 1);
    a = answer_on(0);
    assert_int_equal(a->body_len, sizeof expected);
    assert_memory_equal(a->body, expected, sizeof expected);
    agent_stop();
}

/* R7 */

static void sessions_end(int64_t id)
{
    raw_assert_open(&c.peer);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 0);
    assert_true(raw_peer_stream(&c.peer, id)->closed);
}

static void R7_the_end_of_the_request_is_the_end_of_the_tunnel(void **state)
{
    struct raw_bytes nothing = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 2);
    raw_peer_wait(&c.peer, 20 * SIM_S); /* it lasts as long as the stream does */
    assert_int_equal(gh_pool_usage(c.relay.relay.pool, 0).held, 2);
    raw_send(&c.peer, id, &nothing, true);
    sessions_end(id);
    assert_true(raw_peer_stream(&c.peer, id)->in_end); /* in order: our direction ends, too */
    conformance_end();
}

static void R7_a_reset_ends_the_tunnel(void **state)
{
    struct raw_bytes request = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    gh_quic_reset_stream(c.peer.q, id, REQUEST_CANCELLED);
    sessions_end(id);
    conformance_end();
    /* one direction is enough; that the relay's is not read, it learns when it next writes */
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    gh_quic_stop_writing(c.peer.q, id, REQUEST_CANCELLED);
    sessions_end(id);
    conformance_end();
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    gh_quic_stop_reading(c.peer.q, id, REQUEST_CANCELLED);
    raw_assert_open(&c.peer);
    raw_frame(&request, 0x00, BYTES(0x02, 7, 1, 4, 0, 0, 0, 0, 32));
    raw_send(&c.peer, id, &request, false);
    sessions_end(id);
    conformance_end();
}

static void R7_the_agents_tunnel_ends_with_the_stream(void **state)
{
    struct raw_bytes b = { .len = 0 }, nothing = { .len = 0 };

    (void)state;
    head_of(&b, (const char *const[]){ ":status", "200", NULL });
    for (int how = 0; how < 2; how++) {
        agent_start();
        message_stream(&b, false);
        raw_assert_open(&c.peer);
        assert_int_equal(agent.opened, 1);
        assert_int_equal(agent.ended, 0);
        if (how == 0)
            raw_send(&c.peer, 0, &nothing, true);
        else
            gh_quic_reset_stream(c.peer.q, 0, REQUEST_CANCELLED);
        raw_assert_open(&c.peer);
        assert_int_equal(agent.ended, 1);
        assert_null(agent.tunnel.stream);
        agent_stop();
    }
}

/* A: what the relay says in a new tunnel, byte by byte. */

/* RFC 9484, section 4.7: 10.100.0.2/32 and fd00:100::2/128 unprompted and in one capsule, then all routes in one. */
static const uint8_t first_capsules[] = {
    0x01, 26, 0, 4, 10, 100, 0, 2, 32, 0, 6, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 128,
    0x03, 44, 4, 0, 0, 0, 0, 255, 255, 255, 255, 0,
    6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,
};

static void A2_the_first_capsules_are_addresses_then_routes(void **state)
{
    const struct raw_answer *a;
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    raw_assert_open(&c.peer);
    a = answer_on(id);
    assert_int_equal(a->body_len, sizeof first_capsules);
    assert_memory_equal(a->body, first_capsules, sizeof first_capsules);
    conformance_end();
}

/* Two requests of one family: the address answers the first, the second is refused with 0.0.0.0/32, in one capsule. */
static void A4_the_relay_answers_every_request_in_one_capsule(void **state)
{
    static const uint8_t requests[] = { 0x02, 14, 5, 4, 0, 0, 0, 0, 32, 6, 4, 10, 9, 9, 9, 32 };
    static const uint8_t answers[] = { 0x01, 33, 5, 4, 10, 100, 0, 2, 32, 0, 6, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 128,
                                       6, 4, 0, 0, 0, 0, 32 };
    struct raw_bytes b = { .len = 0 };
    const struct raw_answer *a;
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    raw_frame(&b, 0x00, requests, sizeof requests);
    raw_send(&c.peer, id, &b, false);
    raw_assert_open(&c.peer);
    a = answer_on(id);
    assert_int_equal(a->body_len, sizeof first_capsules + sizeof answers);
    assert_memory_equal(a->body + sizeof first_capsules, answers, sizeof answers);
    /* an id that was used before */
    raw_send(&c.peer, id, &b, false);
    assert_stream_reset(id, MESSAGE_ERROR);
    conformance_end();
}

static void send_from(const char *src, uint64_t quarter, uint64_t context)
{
    struct raw_bytes b = { .len = 0 };

    make_udp(&p, src, strchr(src, ':') ? "2001:db8::80" : "192.0.2.80", 40000, 443, 20);
    raw_varint(&b, context);
    raw_bytes(&b, p.data, p.len);
    raw_send_datagram(&c.peer, quarter, b.data, b.len);
    raw_assert_open(&c.peer);
}

static void A5_only_assigned_addresses_may_send_and_the_stream_lives(void **state)
{
    uint64_t quarter;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    quarter = (uint64_t)open_tunnel() / 4;
    send_from(WORLD_AGENT4, quarter, 0);
    send_from(WORLD_AGENT6, quarter, 0);
    assert_int_equal(c.on_network, 2);
    send_from("10.100.0.3", quarter, 0);
    send_from("fd00:100::3", quarter, 0);
    send_from("127.0.0.1", quarter, 0);
    assert_int_equal(c.on_network, 2);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    conformance_end();
}

static void A8_other_contexts_are_dropped_silently(void **state)
{
    uint64_t quarter;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    quarter = (uint64_t)open_tunnel() / 4;
    send_from(WORLD_AGENT4, quarter, 2);
    send_from(WORLD_AGENT4, quarter, 1);
    assert_int_equal(c.on_network, 0);
    assert_int_equal(relay_world_drops(&c.relay, GH_DROP_CONTEXT), 2);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    conformance_end();
}

static void A9_several_datagrams_share_a_packet(void **state)
{
    uint8_t payload[200] = { 0 };
    uint64_t quarter, before;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    quarter = (uint64_t)open_tunnel() / 4;
    raw_peer_wait(&c.peer, 5 * SIM_S); /* path discovery is over */
    make_udp(&p, WORLD_AGENT4, "192.0.2.80", 40000, 443, 20);
    memcpy(payload + 1, p.data, p.len);
    before = gh_quic_counters(c.peer.q)->packets_out;
    for (int i = 0; i < 5; i++)
        raw_send_datagram(&c.peer, quarter, payload, p.len + 1);
    raw_peer_wait(&c.peer, 8 * SIM_MS); /* before there is something to acknowledge */
    assert_int_equal(gh_quic_counters(c.peer.q)->packets_out, before + 1);
    assert_int_equal(c.on_network, 5);
    conformance_end();
}

/* P1: rubbish inside the tunnel is a lost packet and never a fault of the protocol. */
static void P1_a_bad_inner_packet_harms_nothing(void **state)
{
    static const uint8_t bad[][24] = { { 0 }, { 0, 0x45 }, { 0, 0xf5, 1, 2, 3 }, { 0, 0x45, 0, 0xff, 0xff }, { 0, 0x60, 0, 0, 0, 0xff } };
    uint64_t quarter;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    quarter = (uint64_t)open_tunnel() / 4;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t len = 1; len <= sizeof bad[i]; len++)
            raw_send_datagram(&c.peer, quarter, bad[i], len);
    raw_assert_open(&c.peer);
    assert_int_equal(c.on_network, 0);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 1);
    send_from(WORLD_AGENT4, quarter, 0);
    assert_int_equal(c.on_network, 1);
    conformance_end();
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(R2_the_agent_asks_as_the_rfc_words_it),
        T(R3_targets_that_do_not_parse_are_bad_requests),
        T(R4_a_name_is_resolved_before_the_answer),
        T(R4_a_name_that_is_not_there_is_a_dns_error),
        T(R4_a_stream_that_goes_while_the_name_is_looked_up_is_forgotten),
        T(R4_the_relay_may_end_while_a_name_is_looked_up),
        T(R4_what_comes_before_the_answer_is_kept),
        T(R5_the_relay_opens_with_200),
        T(R5_101_is_malformed_here),
        T(R5_the_agent_takes_all_else_for_a_refusal),
        T(R5_the_agent_opens_on_200_and_asks_for_addresses),
        T(R6_each_refusal_has_its_status),
        T(R6_without_room_the_answer_is_503_and_when_to_retry),
        T(R6_a_stranger_is_refused_by_tls),
        T(R7_the_end_of_the_request_is_the_end_of_the_tunnel),
        T(R7_a_reset_ends_the_tunnel),
        T(R7_the_agents_tunnel_ends_with_the_stream),
        T(R8_a_target_limits_routes_and_packets),
        T(R8_a_protocol_limits_packets_but_icmp),
        T(R8_extension_headers_are_walked),
        T(A2_the_first_capsules_are_addresses_then_routes),
        T(A4_the_relay_answers_every_request_in_one_capsule),
        T(A5_only_assigned_addresses_may_send_and_the_stream_lives),
        T(A8_other_contexts_are_dropped_silently),
        T(A9_several_datagrams_share_a_packet),
        T(P1_a_bad_inner_packet_harms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
