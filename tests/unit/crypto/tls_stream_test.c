#include "crypto/tls_stream.h"

#include <openssl/err.h>

#include "crypto/cert.h"
#include "tls_ends.h"

#define ANY (SIZE_MAX / 2)

static struct gh_leaf cover;
static struct gh_tls_ctx *server, *client; /* of <cover>, no client certificates */

static int setup(void **state)
{
    struct gh_tls_config s, c;

    (void)state;
    cover = self_signed("cover.example");
    s = server_of(&cover);
    c = client_of(&cover);
    server = context(&s);
    client = context(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_tls_ctx_put(server);
    gh_tls_ctx_put(client);
    gh_leaf_fini(&cover);
    return 0;
}

/* Reads all that is there. */
static size_t drain(struct gh_tls_stream *t, uint8_t *ret, size_t cap, int *ret_end)
{
    size_t total = 0;
    int n;

    while ((n = gh_tls_stream_read(t, ret + total, cap - total)) > 0)
        total += (size_t)n;
    *ret_end = n;
    return total;
}

static void both_say_hello_and_speak(void **state)
{
    struct gh_tls_stream_request req = { .server_name = "cover.example" };
    struct ends e = meet(server, client, &req);
    struct gh_cert *cert = NULL;
    uint8_t buf[64];

    (void)state;
    assert_true(gh_span_equals(gh_tls_stream_alpn(e.server), gh_span_str("h2")));
    assert_true(gh_span_equals(gh_tls_stream_alpn(e.client), gh_span_str("h2")));
    assert_string_equal(gh_tls_stream_server_name(e.server), "cover.example");
    assert_string_equal(gh_tls_stream_version(e.client), "TLSv1.3");
    assert_string_equal(gh_tls_stream_group(e.server), "X25519MLKEM768");
    assert_string_equal(gh_tls_stream_cipher(e.server), "TLS_AES_128_GCM_SHA256");
    assert_int_equal(gh_tls_stream_ech(e.server), GH_TLS_ECH_NONE);
    assert_int_equal(gh_tls_stream_peer_certificate(e.server, &cert), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_tls_stream_peer_certificate(e.client, &cert), 0);
    gh_cert_destroy(cert);
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("question")), 8);
    carry(e.client, e.server, ANY);
    assert_int_equal(gh_tls_stream_read(e.server, buf, 3), 3); /* no more than there is room for */
    assert_true(gh_tls_stream_backlog(e.server) > 0);
    assert_int_equal(gh_tls_stream_read(e.server, buf + 3, sizeof buf - 3), 5);
    assert_memory_equal(buf, "question", 8);
    assert_int_equal(gh_tls_stream_read(e.server, buf, sizeof buf), 0);
    assert_int_equal(gh_tls_stream_backlog(e.server), 0);
    assert_int_equal(gh_tls_stream_write(e.server, gh_span_str("answer")), 6);
    carry(e.server, e.client, 1);
    assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), 6);
    assert_memory_equal(buf, "answer", 6);
    close_ends(&e);
}

static void it_does_not_matter_how_bytes_are_cut(void **state)
{
    static const size_t pieces[] = { 1, 2, 3, 5, 7, 100, 1460 };

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct ends e = open_ends(server, client, NULL);
        int s, c;

        shake(&e, pieces[i], &s, &c);
        assert_int_equal(s, 1);
        assert_int_equal(c, 1);
        close_ends(&e);
    }
}

/* Megabytes one way, with a reader that is slow and a wire that takes little: nothing grows beyond its bound, and every byte arrives. */
static void bulk(struct gh_tls_stream *from, struct gh_tls_stream *to)
{
    enum { ALL = 3 << 20, CHUNK = 40000 };
    uint8_t *data = malloc(ALL), *got = malloc(ALL), *wire = malloc(CHUNK);
    size_t sent = 0, seen = 0;

    assert_true(data && got && wire);
    for (size_t i = 0; i < ALL; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    while (seen < ALL) {
        int n = gh_tls_stream_write(from, gh_span_of(data + sent, ALL - sent));
        struct gh_span out;
        size_t take;

        assert_true(n >= 0);
        sent += (size_t)n;
        out = gh_tls_stream_pending(from);
        assert_true(out.len <= GH_TLS_STREAM_OUT_MAX);
        take = out.len < CHUNK ? out.len : CHUNK;
        if (take > GH_TLS_STREAM_IN_MAX - gh_tls_stream_backlog(to))
            take = 0;
        memcpy(wire, out.data, take);
        gh_tls_stream_consume(from, take);
        assert_int_equal(gh_tls_stream_feed(to, gh_span_of(wire, take)), 0);
        n = gh_tls_stream_read(to, got + seen, ALL - seen < 20001 ? ALL - seen : 20001);
        assert_true(n >= 0);
        assert_int_equal(gh_tls_stream_settle(to), 0);
        memset(wire, 0xee, CHUNK);
        seen += (size_t)n;
        assert_true(take || n); /* it gets on */
    }
    assert_memory_equal(data, got, ALL);
    free(data);
    free(got);
    free(wire);
}

static void bulk_arrives_through_bounded_buffers(void **state)
{
    struct ends e = meet(server, client, NULL);

    (void)state;
    bulk(e.client, e.server);
    bulk(e.server, e.client);
    gh_tls_stream_shrink(e.client);
    gh_tls_stream_shrink(e.server);
    bulk(e.client, e.server);
    close_ends(&e);
}

static void writing_stops_where_too_much_waits(void **state)
{
    struct ends e = meet(server, client, NULL);
    uint8_t *data = calloc(1, 1 << 20), *got = malloc(1 << 20);
    int n, end;

    (void)state;
    assert_true(data && got);
    n = gh_tls_stream_write(e.client, gh_span_of(data, 1 << 20));
    assert_in_range(n, GH_TLS_STREAM_OUT_MAX / 2, GH_TLS_STREAM_OUT_MAX);
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_of(data, 1)), 0);
    assert_int_equal(gh_tls_stream_close(e.client), 0); /* there is always room to say that it is over */
    carry(e.client, e.server, ANY);
    assert_int_equal(drain(e.server, got, 1 << 20, &end), n);
    assert_int_equal(end, GH_ERR_CLOSED);
    free(data);
    free(got);
    close_ends(&e);
}

static void one_direction_ends_and_the_other_goes_on(void **state)
{
    struct ends e = meet(server, client, NULL);
    uint8_t buf[64];
    int end;

    (void)state;
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("last words")), 10);
    assert_int_equal(gh_tls_stream_close(e.client), 0);
    assert_int_equal(gh_tls_stream_close(e.client), 0);
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("more")), GH_ERR_STATE);
    carry(e.client, e.server, ANY);
    gh_tls_stream_feed_end(e.server); /* FIN behind it */
    assert_int_equal(drain(e.server, buf, sizeof buf, &end), 10);
    assert_int_equal(end, GH_ERR_CLOSED);
    assert_int_equal(gh_tls_stream_read(e.server, buf, sizeof buf), GH_ERR_CLOSED);
    assert_int_equal(gh_tls_stream_write(e.server, gh_span_str("still here")), 10);
    carry(e.server, e.client, ANY);
    assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), 10);
    assert_int_equal(gh_tls_stream_close(e.server), 0);
    carry(e.server, e.client, ANY);
    assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), GH_ERR_CLOSED);
    close_ends(&e);
}

static void an_end_without_close_notify_is_told_apart(void **state)
{
    struct ends e = meet(server, client, NULL);
    struct gh_span out;
    uint8_t buf[64];
    int end;

    (void)state;
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("whole")), 5);
    carry(e.client, e.server, ANY);
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("cut off")), 7);
    out = gh_tls_stream_pending(e.client);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(out.data, out.len - 1)), 0);
    gh_tls_stream_feed_end(e.server);
    assert_int_equal(drain(e.server, buf, sizeof buf, &end), 5);
    assert_int_equal(end, GH_ERR_PROTOCOL);
    assert_int_equal(gh_tls_stream_read(e.server, buf, sizeof buf), GH_ERR_PROTOCOL);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_str("x")), GH_ERR_STATE);
    assert_int_equal(gh_tls_stream_write(e.server, gh_span_str("goodbye")), 7); /* TCP can be closed one way */
    close_ends(&e);
}

static void a_handshake_that_ends_early_is_closed(void **state)
{
    struct ends e = open_ends(server, client, NULL);
    uint8_t buf[4];

    (void)state;
    assert_int_equal(gh_tls_stream_handshake(e.client), 0);
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("early")), GH_ERR_STATE);
    assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), GH_ERR_STATE);
    assert_int_equal(gh_tls_stream_close(e.client), GH_ERR_STATE);
    assert_string_equal(gh_tls_stream_group(e.client), "");
    gh_tls_stream_feed_end(e.client);
    assert_int_equal(gh_tls_stream_handshake(e.client), GH_ERR_CLOSED);
    assert_int_equal(gh_tls_stream_handshake(e.client), GH_ERR_CLOSED);
    close_ends(&e);
}

static void what_is_no_tls_ends_with_an_alert_that_is_ours_to_send(void **state)
{
    struct ends e = open_ends(server, client, NULL);

    (void)state;
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_str("GET / HTTP/1.1\r\nHost: cover.example\r\n\r\n")), 0);
    assert_int_equal(gh_tls_stream_handshake(e.server), GH_ERR_CRYPTO);
    assert_int_equal(gh_tls_stream_handshake(e.server), GH_ERR_CRYPTO);
    assert_int_equal(ERR_peek_error(), 0);
    close_ends(&e);
}

static void a_changed_record_ends_the_stream(void **state)
{
    struct ends e = meet(server, client, NULL);
    uint8_t wire[256], buf[64];
    struct gh_span out;

    (void)state;
    assert_int_equal(gh_tls_stream_write(e.client, gh_span_str("question")), 8);
    out = gh_tls_stream_pending(e.client);
    assert_true(out.len < sizeof wire);
    memcpy(wire, out.data, out.len);
    wire[out.len - 1] ^= 1;
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(wire, out.len)), 0);
    assert_int_equal(gh_tls_stream_read(e.server, buf, sizeof buf), GH_ERR_CRYPTO);
    assert_int_equal(gh_tls_stream_alert_sent(e.server), 20); /* bad_record_mac */
    assert_true(gh_tls_stream_pending(e.server).len > 0);
    assert_int_equal(gh_tls_stream_write(e.server, gh_span_str("x")), GH_ERR_CRYPTO);
    close_ends(&e);
}

static void lent_bytes_are_settled_before_others_come(void **state)
{
    struct ends e = meet(server, client, NULL);
    uint8_t *much = calloc(1, GH_TLS_STREAM_IN_MAX + 1);

    (void)state;
    assert_non_null(much);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(much, 5)), 0);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(much, 1)), GH_ERR_STATE);
    assert_int_equal(gh_tls_stream_settle(e.server), 0);
    assert_int_equal(gh_tls_stream_backlog(e.server), 5);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(much, GH_TLS_STREAM_IN_MAX - 4)), GH_ERR_FULL);
    assert_int_equal(gh_tls_stream_feed(e.server, gh_span_of(much, GH_TLS_STREAM_IN_MAX - 5)), 0);
    free(much);
    close_ends(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_say_hello_and_speak),
        cmocka_unit_test(it_does_not_matter_how_bytes_are_cut),
        cmocka_unit_test(bulk_arrives_through_bounded_buffers),
        cmocka_unit_test(writing_stops_where_too_much_waits),
        cmocka_unit_test(one_direction_ends_and_the_other_goes_on),
        cmocka_unit_test(an_end_without_close_notify_is_told_apart),
        cmocka_unit_test(a_handshake_that_ends_early_is_closed),
        cmocka_unit_test(what_is_no_tls_ends_with_an_alert_that_is_ours_to_send),
        cmocka_unit_test(a_changed_record_ends_the_stream),
        cmocka_unit_test(lent_bytes_are_settled_before_others_come),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
