#include "net/http_tcp.h"

#include "../crypto/tls_ends.h"
#include "crypto/ech.h"
#include "loop/worker.h"
#include "net/http1_server.h"
#include "net/http2.h"
#include "net/tcp_stream.h"
#include "net/tls_io.h"

#define TIMEOUT INT64_C(5000000000)
#define MILLISECOND INT64_C(1000000)

/* A server on the loopback device and a client, on one worker. */
struct world {
    struct gh_workers *workers;
    struct gh_worker *w;
    struct gh_tls_ctx *server, *client;
    struct gh_http2 *h2;
    struct gh_http1_server *h1;
    struct gh_http_tcp *tcp;
    struct gh_endpoint at;
    int listener, accepted;
    struct gh_byte_stream *greeting; /* of the server, while TLS is under way */
    struct gh_http_stream *served;
    char served_got[64], got[64];
    struct gh_http_tcp_conn *conn;
    struct gh_http_stream *stream;
    unsigned status, ready, closed, stream_closed, served_closed;
    bool refuse;
    struct gh_http_tcp_end end;
    uint8_t retry[GH_ECH_LIST_MAX];
};

static struct gh_leaf cover, other;

static int setup(void **state)
{
    (void)state;
    cover = self_signed("cover.example");
    other = self_signed("other.example");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_leaf_fini(&cover);
    gh_leaf_fini(&other);
    return 0;
}

/* ---- the server ---- */

static void served_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;
    size_t len = strlen(w->served_got);

    assert_true(len + data.len < sizeof w->served_got);
    if (data.len) {
        memcpy(w->served_got + len, data.data, data.len);
        assert_int_equal(gh_http_send(s, gh_span_str("pong"), false), 0);
    }
    if (end)
        (void)gh_http_send(s, gh_span_of(NULL, 0), true);
}

static void served_end(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    (void)code;
    w->served = NULL;
    w->served_closed++;
}

static const struct gh_http_events served_events = { .on_body = served_body, .on_closed = served_end };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    assert_true(gh_span_equals(head->method, gh_span_str("CONNECT")));
    assert_true(gh_span_equals(head->protocol, gh_span_str("connect-ip")));
    s->events = &served_events;
    s->arg = w;
    w->served = s;
    assert_int_equal(gh_http_respond(s, 200, NULL, 0, false), 0);
}

static void on_greeted(void *arg, struct gh_byte_stream *io, int rc)
{
    struct world *w = arg;
    const struct gh_http_peer peer = { .identity = "", .uid = UINT32_MAX };

    w->greeting = NULL;
    if (rc < 0)
        gh_byte_stream_close(io);
    else if (gh_span_equals(gh_tls_stream_alpn(gh_tls_io_engine(io)), gh_span_str("h2")))
        assert_int_equal(gh_http2_take(w->h2, io, &peer, NULL), 0);
    else
        assert_int_equal(gh_http1_server_take(w->h1, io, &peer, NULL), 0);
}

static void accept_one(struct world *w)
{
    struct gh_tls_stream *engine;
    struct gh_byte_stream *below;
    int fd = gh_sock_accept(w->listener, NULL);

    if (fd == GH_ERR_AGAIN)
        return;
    assert_true(fd >= 0);
    w->accepted++;
    assert_int_equal(gh_tls_stream_create(w->server, NULL, &engine), 0);
    assert_int_equal(gh_tcp_stream_create(w->w, fd, gh_span_of(NULL, 0), &below), 0);
    assert_int_equal(gh_tls_io_create(w->w, engine, below, TIMEOUT, on_greeted, w, &w->greeting), 0);
}

/* ---- the client ---- */

static int on_peer(void *arg, const struct gh_cert *cert, struct gh_http_identity *ret)
{
    struct world *w = arg;

    assert_non_null(cert);
    snprintf(ret->name, sizeof ret->name, "relay");
    return w->refuse ? GH_ERR_DENIED : 0;
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    ((struct world *)arg)->status = head->status;
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;
    size_t len = strlen(w->got);

    (void)s;
    (void)end;
    assert_true(len + data.len < sizeof w->got);
    if (data.len)
        memcpy(w->got + len, data.data, data.len);
}

static void on_stream_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    (void)code;
    assert_int_equal(w->closed, 0); /* before its connection */
    w->stream = NULL;
    w->stream_closed++;
}

static const struct gh_http_events stream_events = { on_answer, on_body, NULL, NULL, on_stream_closed };

static void on_ready(void *arg)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    const struct gh_http_head head = { .method = gh_span_str("CONNECT"),
                                       .scheme = gh_span_str("https"),
                                       .authority = gh_span_str("relay.example"),
                                       .path = gh_span_str("/ip/*/*/"),
                                       .protocol = gh_span_str("connect-ip"),
                                       .fields = fields,
                                       .field_count = 1 };
    struct world *w = arg;

    w->ready++;
    assert_int_equal(gh_http_tcp_request(w->conn, &head, &stream_events, w, &w->stream), 0);
}

static void on_closed(void *arg, const struct gh_http_tcp_end *why)
{
    struct world *w = arg;

    w->closed++;
    w->conn = NULL;
    w->end = *why;
    if (why->ech_retry.len)
        memcpy(w->retry, why->ech_retry.data, why->ech_retry.len);
    w->end.ech_retry.data = w->retry;
}

static const struct gh_http_tcp_events events = { on_peer, on_ready, NULL, on_closed };

static struct world *world_open(const char *alpn, const struct gh_ech_keys *keys, int64_t timeout)
{
    static const char *const upgrades[] = { "connect-ip", NULL };
    struct gh_tls_config s = server_of(&cover), c = client_of(&cover);
    struct world *w = calloc(1, sizeof *w);
    const struct gh_http_handler handler = { on_request, w };

    assert_non_null(w);
    s.alpn = alpn;
    w->server = context(&s);
    w->client = context(&c);
    if (keys)
        assert_int_equal(gh_tls_ctx_set_ech(w->server, keys, NOW), 0);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1 }, &w->workers), 0);
    w->w = gh_workers_at(w->workers, 0);
    assert_int_equal(gh_http2_create(w->w, &(struct gh_http2_config){ 0 }, handler, &w->h2), 0);
    assert_int_equal(gh_http1_server_create(w->w, &(struct gh_http1_config){ .upgrades = upgrades }, handler, &w->h1), 0);
    assert_int_equal(gh_http_tcp_create(&(struct gh_http_tcp_config){ w->w, timeout, 0, 0 }, &w->tcp), 0);
    w->listener = gh_sock_listen_tcp(&(struct gh_endpoint){ .ip = gh_ip_v4("\x7f\0\0\1") }, 0);
    assert_true(w->listener >= 0);
    assert_int_equal(gh_sock_local(w->listener, &w->at), 0);
    return w;
}

static void world_close(struct world *w)
{
    gh_http_tcp_destroy(w->tcp);
    gh_byte_stream_close(w->greeting);
    gh_http2_destroy(w->h2);
    gh_http1_server_destroy(w->h1);
    gh_sock_close(w->listener);
    gh_workers_destroy(w->workers);
    gh_tls_ctx_put(w->server);
    gh_tls_ctx_put(w->client);
    free(w);
}

static void dial(struct world *w, struct gh_span ech)
{
    struct gh_http_tcp_target to = { .fd = gh_sock_open_tcp(4),
                                     .remote = w->at,
                                     .tls = w->client,
                                     .name = { .server_name = "inner.example", .certificate_name = "cover.example", .ech = ech.len > 0, .ech_list = ech } };

    assert_true(to.fd >= 0);
    w->closed = 0;
    assert_int_equal(gh_http_tcp_connect(w->tcp, &to, &events, w, &w->conn), 0);
}

/* Until <what> is not 0. What was asked for outside of a turn goes out at the end of one. */
static void wait_for(struct world *w, const unsigned *what)
{
    int64_t until = gh_worker_now(w->w) + TIMEOUT;

    gh_worker_turn(w->w, false);
    while (!*what && gh_worker_now(w->w) < until) {
        accept_one(w);
        gh_worker_turn(w->w, w->accepted > 0);
    }
    assert_true(*what > 0);
}

static void tunnel_over(const char *alpn, const char *version)
{
    struct world *w = world_open(alpn, NULL, TIMEOUT);
    struct gh_tcp_state s;
    unsigned got = 0;

    dial(w, gh_span_of(NULL, 0));
    wait_for(w, &w->status);
    assert_int_equal(w->status, 200);
    assert_string_equal(gh_http_tcp_facts(w->conn)->version, version);
    assert_string_equal(gh_http_peer(w->stream)->identity, "relay");
    assert_int_equal(gh_http_send(w->stream, gh_span_str("ping"), false), 0);
    for (int i = 0; i < 1000 && !got; i++) {
        gh_worker_turn(w->w, i > 0);
        got = w->got[0] != 0;
    }
    assert_string_equal(w->served_got, "ping");
    assert_string_equal(w->got, "pong");
    assert_int_equal(gh_http_tcp_state(w->conn, &s), 0);
    assert_true(s.segments_in > 0 && s.segments_out > 0 && s.rtt > 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_of(NULL, 0), true), 0);
    gh_http_tcp_close(w->conn);
    assert_int_equal(w->closed, 0); /* not before it returns */
    wait_for(w, &w->closed);
    assert_true(w->end.local);
    assert_int_equal(w->stream_closed, 1);
    wait_for(w, &w->served_closed);
    world_close(w);
}

static void a_tunnel_goes_over_http_2(void **state)
{
    (void)state;
    tunnel_over("h2,http/1.1", "h2");
}

static void a_tunnel_goes_over_http_1_1_when_the_server_has_no_more(void **state)
{
    (void)state;
    tunnel_over("http/1.1", "http/1.1");
}

static void other_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    *(unsigned *)arg = head->status;
}

static void other_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    (void)s;
    *(unsigned *)arg = 1000 + (unsigned)(code != 0);
}

/* HTTP/2 has streams for many, HTTP/1.1 is one. */
static void as_many_requests_as_the_server_takes(void **state)
{
    static const struct gh_http_events others = { .on_answer = other_answer, .on_closed = other_closed };
    const struct gh_http_head head = { .method = gh_span_str("CONNECT"),
                                       .scheme = gh_span_str("https"),
                                       .authority = gh_span_str("relay.example"),
                                       .path = gh_span_str("/ip/*/*/"),
                                       .protocol = gh_span_str("connect-ip") };
    struct world *w = world_open("h2", NULL, TIMEOUT);
    struct gh_http_stream *s[100];
    unsigned answered[100] = { 0 };

    (void)state;
    dial(w, gh_span_of(NULL, 0));
    wait_for(w, &w->status);
    for (unsigned i = 0; i < 99; i++)
        assert_int_equal(gh_http_tcp_request(w->conn, &head, &others, &answered[i], &s[i]), 0);
    assert_int_equal(gh_http_tcp_request(w->conn, &head, &others, &answered[99], &s[99]), GH_ERR_FULL); /* 100 is what the server says */
    wait_for(w, &answered[98]);
    for (unsigned i = 0; i < 99; i++)
        assert_int_equal(answered[i], 200);
    assert_int_equal(gh_http_send(w->stream, gh_span_of(NULL, 0), true), 0);
    wait_for(w, &w->stream_closed);
    assert_int_equal(gh_http_tcp_request(w->conn, &head, &others, &answered[99], &s[99]), 0); /* one is over */
    wait_for(w, &answered[99]);
    gh_http_tcp_close(w->conn); /* others are their owners', and are cut with the connection */
    assert_int_equal(gh_http_tcp_request(w->conn, &head, &others, &answered[99], &s[99]), GH_ERR_STATE);
    wait_for(w, &w->closed);
    assert_int_equal(answered[0], 1001);
    world_close(w);

    w = world_open("http/1.1", NULL, TIMEOUT);
    dial(w, gh_span_of(NULL, 0));
    wait_for(w, &w->status);
    assert_int_equal(gh_http_tcp_request(w->conn, &head, &others, &answered[0], &s[0]), GH_ERR_STATE);
    world_close(w);
}

static void what_is_open_ends_with_the_set_and_tells(void **state)
{
    const char *const alpns[] = { "h2", "http/1.1" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world *w = world_open(alpns[i], NULL, TIMEOUT);

        dial(w, gh_span_of(NULL, 0));
        wait_for(w, &w->status);
        gh_http_tcp_destroy(w->tcp);
        w->tcp = NULL;
        assert_int_equal(w->stream_closed, 1);
        assert_int_equal(w->closed, 1);
        world_close(w);
    }
}

static void nobody_there_is_said_at_once(void **state)
{
    struct world *w = world_open("h2", NULL, TIMEOUT);

    (void)state;
    gh_sock_close(w->listener);
    w->listener = -1;
    w->accepted = 1; /* nobody will be */
    dial(w, gh_span_of(NULL, 0));
    while (!w->closed)
        gh_worker_turn(w->w, true);
    assert_non_null(strstr(w->end.words, "refused"));
    world_close(w);
}

static void a_server_that_says_nothing_is_left(void **state)
{
    struct world *w = world_open("h2", NULL, 20 * MILLISECOND);
    int fd = -1;

    (void)state;
    dial(w, gh_span_of(NULL, 0));
    while (!w->closed) {
        if (fd < 0)
            fd = gh_sock_accept(w->listener, NULL);
        gh_worker_turn(w->w, true);
    }
    assert_non_null(strstr(w->end.words, "in time"));
    gh_sock_close(fd);
    world_close(w);
}

static void a_server_that_is_another_is_refused(void **state)
{
    struct world *w = world_open("h2", NULL, TIMEOUT);
    struct gh_tls_config c = client_of(&other);

    (void)state;
    gh_tls_ctx_put(w->client);
    w->client = context(&c);
    dial(w, gh_span_of(NULL, 0));
    wait_for(w, &w->closed);
    assert_non_null(strstr(w->end.words, "none of those that are pinned"));
    assert_false(w->end.ech_rejected);
    world_close(w);

    w = world_open("h2", NULL, TIMEOUT);
    w->refuse = true;
    dial(w, gh_span_of(NULL, 0));
    wait_for(w, &w->closed);
    assert_true(w->end.refused);
    assert_int_equal(w->ready, 0);
    world_close(w);
}

/* However far it is: nothing is told but the end. */
static void one_that_is_not_wanted_any_more_ends_where_it_stands(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct world *w = world_open("h2", NULL, TIMEOUT);
        unsigned ready;

        dial(w, gh_span_of(NULL, 0));
        for (int i = 0; i < turns; i++) {
            accept_one(w);
            gh_worker_turn(w->w, false);
        }
        ready = w->ready;
        gh_http_tcp_close(w->conn);
        wait_for(w, &w->closed);
        assert_true(w->end.local);
        assert_int_equal(w->ready, ready);
        world_close(w);
    }
}

static struct gh_ech_keys *key_set(struct gh_pem *pem)
{
    struct gh_ech_request req = { "cover.example", 0, NULL };
    struct gh_ech_keys *k = NULL;
    char why[GH_ECH_WHY];

    assert_int_equal(gh_ech_generate(&req, pem, why), 0);
    assert_int_equal(gh_ech_keys_create(0, &k), 0);
    assert_int_equal(gh_ech_keys_add(k, span_of(pem), NOW, why), 0);
    return k;
}

static void a_key_that_a_server_told_instead_opens(void **state)
{
    struct gh_pem pems[2];
    struct gh_ech_keys *old = key_set(&pems[0]), *new = key_set(&pems[1]);
    struct world *w = world_open("h2", new, TIMEOUT);
    struct gh_ech_key_info i;

    (void)state;
    assert_true(gh_ech_keys_info(old, 0, &i));
    dial(w, i.list);
    wait_for(w, &w->closed);
    assert_true(w->end.ech_rejected);
    assert_non_null(strstr(w->end.words, "did not open our ECH"));
    assert_true(gh_ech_keys_info(new, 0, &i));
    assert_true(gh_span_equals(w->end.ech_retry, i.list));
    dial(w, w->end.ech_retry);
    wait_for(w, &w->status);
    assert_true(gh_http_tcp_facts(w->conn)->ech);
    world_close(w);
    gh_ech_keys_put(old);
    gh_ech_keys_put(new);
    gh_pem_fini(&pems[0]);
    gh_pem_fini(&pems[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_goes_over_http_2),
        cmocka_unit_test(a_tunnel_goes_over_http_1_1_when_the_server_has_no_more),
        cmocka_unit_test(as_many_requests_as_the_server_takes),
        cmocka_unit_test(what_is_open_ends_with_the_set_and_tells),
        cmocka_unit_test(nobody_there_is_said_at_once),
        cmocka_unit_test(a_server_that_says_nothing_is_left),
        cmocka_unit_test(a_server_that_is_another_is_refused),
        cmocka_unit_test(one_that_is_not_wanted_any_more_ends_where_it_stands),
        cmocka_unit_test(a_key_that_a_server_told_instead_opens),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
