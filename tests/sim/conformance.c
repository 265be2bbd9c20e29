#include "conformance.h"

#define NO_CODE UINT64_MAX

struct conformance c;

static void on_network(void *arg, struct gh_span packet)
{
    (void)arg;
    c.on_network++;
    assert_true(packet.len <= sizeof c.network);
    memcpy(c.network, packet.data, packet.len);
    c.network_len = packet.len;
}

/* Our client. */

static void ignore(void *arg)
{
    (void)arg;
}

static void on_settings(void *arg)
{
    static const struct gh_http_field field = { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } };
    struct gh_http_head head = { gh_span_str("CONNECT"), gh_span_str("https"), gh_span_str("relay"),
                                 gh_span_str("/.well-known/masque/ip/*/*/"), gh_span_str("connect-ip"), 0, &field, 1 };

    (void)arg;
    c.settings++;
    if (c.ask)
        c.request_rc = gh_h3_request(c.sim->client.h3, &head, false, &c.stream);
}

static void on_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    (void)arg;
    (void)s;
    c.status = head->status;
}

static void on_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    (void)arg;
    (void)s;
    (void)end;
    c.body += (unsigned)data.len;
}

static bool on_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    (void)arg;
    (void)s;
    (void)payload;
    c.datagrams++;
    return true;
}

static void on_writable(void *arg, struct gh_h3_stream *s)
{
    (void)arg;
    (void)s;
}

static void on_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    (void)arg;
    (void)s;
    c.closed++;
    c.code = code;
    c.stream = NULL;
}

static void on_goaway(void *arg)
{
    (void)arg;
    c.goaways++;
}

static const struct gh_h3_events client_events = { ignore, on_settings, NULL, on_answer, on_body, on_datagram, on_writable, on_closed, on_goaway };

/* Both. */

static void begin(enum role role, const char *policy)
{
    memset(&c, 0, sizeof c);
    c.role = role;
    c.ask = true;
    c.control = -1;
    if (role == OUR_SERVER) {
        relay_world_init(&c.relay, 31, policy, on_network, NULL);
        c.sim = &c.relay.sim;
    } else {
        c.sim = &c.alone;
        sim_init(c.sim, 31);
    }
    raw_peer_init(&c.peer, c.sim, role == OUR_CLIENT);
}

void conformance_begin(enum role role)
{
    begin(role, NULL);
}

void conformance_begin_with(const char *policy)
{
    begin(OUR_SERVER, policy);
}

void conformance_connect(void)
{
    if (c.role == OUR_CLIENT) {
        c.sim->client.h3_config = (struct gh_h3_config){ false, c.sim->client.config.max_streams_bidi, &client_events, NULL };
        assert_int_equal(sim_open(c.sim), 0);
    }
    raw_peer_connect(&c.peer);
}

void conformance_start(enum role role)
{
    conformance_begin(role);
    conformance_connect();
}

void conformance_start_settled(enum role role)
{
    conformance_start(role);
    c.control = raw_open_control(&c.peer);
}

void conformance_refused_by_tls(const struct gh_tls_config *cfg)
{
    struct gh_tls_ctx *agents = c.sim->client.tls;
    char err[200];

    assert_int_equal(gh_tls_ctx_create(cfg, &c.sim->client.tls, err, sizeof err), 0);
    gh_tls_ctx_put(agents);
    assert_int_equal(sim_open(c.sim), 0);
    assert_true(raw_peer_run(&c.peer, raw_is_closed, &c.peer));
    assert_int_equal(c.peer.end->why.kind, GH_QUIC_CLOSED_PEER);
    assert_false(c.peer.end->why.application);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
}

void conformance_end(void)
{
    if (c.role == OUR_SERVER)
        relay_world_fini(&c.relay);
    else
        sim_fini(&c.alone);
}

void head_of(struct raw_bytes *b, const char *const *fields)
{
    struct raw_bytes section = { .len = 0 };

    raw_section_begin(&section);
    for (size_t i = 0; fields[i]; i += 2)
        raw_field(&section, fields[i], fields[i + 1]);
    raw_frame_of(b, 0x01, &section);
}

void connect_ip_head(struct raw_bytes *b)
{
    static const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                          ":path", "/.well-known/masque/ip/*/*/", "capsule-protocol", "?1", NULL };

    head_of(b, fields);
}

struct raw_answer *answer_on(int64_t stream)
{
    static struct raw_answer a;

    raw_answer(raw_peer_stream(&c.peer, stream), &a);
    return &a;
}

static bool is_answered(void *arg)
{
    const struct raw_stream *s = raw_peer_stream(&c.peer, *(int64_t *)arg);

    return c.peer.end->closed || s->closed || s->reset != NO_CODE || answer_on(s->id)->status;
}

int64_t ask(const struct raw_bytes *request, bool fin)
{
    int64_t id = raw_open(&c.peer, true, request, fin);

    assert_true(raw_peer_run(&c.peer, is_answered, &id));
    return id;
}

int64_t open_tunnel(void)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    connect_ip_head(&b);
    id = ask(&b, false);
    assert_int_equal(answer_on(id)->status, 200);
    return id;
}

static bool has_request(void *arg)
{
    (void)arg;
    return raw_peer_stream(&c.peer, 0) || c.peer.end->closed;
}

int64_t message_stream(const struct raw_bytes *first, bool fin)
{
    if (c.role == OUR_SERVER)
        return raw_open(&c.peer, true, first, fin);
    assert_true(raw_peer_run(&c.peer, has_request, NULL));
    raw_send(&c.peer, 0, first, fin);
    return 0;
}

void assert_stream_reset(int64_t stream, uint64_t code)
{
    const struct raw_stream *s = raw_peer_stream(&c.peer, stream);

    raw_assert_open(&c.peer);
    if (s->reset == NO_CODE)
        fail_msg("the stream goes on");
    assert_int_equal(s->reset, code);
}
