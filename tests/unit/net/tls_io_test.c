#include "net/tls_io.h"

#include "../crypto/tls_ends.h"
#include "fake_bytes.h"
#include "loop/worker.h"

/* One end: what it was told, and what it does about it. */
struct end {
    struct gh_byte_stream *io;
    struct fake_bytes *below;
    bool is_done, is_ended, is_writable, close_when_done, close_on_bytes;
    int rc, why;
    uint8_t *got;
    size_t got_len;
};

static struct gh_workers *workers;
static struct gh_worker *worker;
static struct gh_leaf leaf;
static struct gh_tls_ctx *server_ctx, *client_ctx;

static int setup(void **state)
{
    struct gh_tls_config s, c;

    (void)state;
    leaf = self_signed("cover.example");
    s = server_of(&leaf);
    c = client_of(&leaf);
    server_ctx = context(&s);
    client_ctx = context(&c);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1 }, &workers), 0);
    worker = gh_workers_at(workers, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_workers_destroy(workers);
    gh_tls_ctx_put(server_ctx);
    gh_tls_ctx_put(client_ctx);
    gh_leaf_fini(&leaf);
    return 0;
}

static void close_end(struct end *e)
{
    struct gh_byte_stream *io = e->io;

    e->io = NULL;
    gh_byte_stream_close(io);
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct end *e = arg;

    e->got = realloc(e->got, e->got_len + data.len);
    assert_non_null(e->got);
    memcpy(e->got + e->got_len, data.data, data.len);
    e->got_len += data.len;
    if (e->close_on_bytes)
        close_end(e);
}

static void on_end(void *arg)
{
    ((struct end *)arg)->is_ended = true;
}

static void on_writable(void *arg)
{
    ((struct end *)arg)->is_writable = true;
}

static void on_closed(void *arg, int why)
{
    ((struct end *)arg)->why = why;
}

static const struct gh_byte_stream_events events = { on_bytes, on_end, on_writable, on_closed };

static void on_done(void *arg, struct gh_byte_stream *s, int rc)
{
    struct end *e = arg;

    assert_ptr_equal(s, e->io);
    e->is_done = true;
    e->rc = rc;
    if (rc < 0 || e->close_when_done) {
        close_end(e);
        return;
    }
    s->events = &events;
    s->arg = e;
    gh_byte_stream_want_read(s, true);
}

struct pair {
    struct end client, server;
};

static void open_pair(struct pair *p)
{
    struct gh_tls_stream *c, *s;
    struct gh_tls_stream_request req = { .server_name = "cover.example" };

    memset(p, 0, sizeof *p);
    assert_int_equal(gh_tls_stream_create(client_ctx, &req, &c), 0);
    assert_int_equal(gh_tls_stream_create(server_ctx, NULL, &s), 0);
    p->client.below = fake_bytes_create();
    p->server.below = fake_bytes_create();
    fake_bytes_join(p->client.below, p->server.below);
    assert_int_equal(gh_tls_io_create(worker, c, &p->client.below->base, INT64_C(5000000000), on_done, &p->client, &p->client.io), 0);
    assert_int_equal(gh_tls_io_create(worker, s, &p->server.below->base, INT64_C(5000000000), on_done, &p->server, &p->server.io), 0);
}

static void turn(struct pair *p)
{
    bool moved;

    do {
        moved = fake_bytes_turn(p->client.below);
        moved = fake_bytes_turn(p->server.below) || moved;
    } while (moved);
}

static void close_pair(struct pair *p)
{
    if (p->client.io)
        close_end(&p->client);
    if (p->server.io)
        close_end(&p->server);
    turn(p);
    assert_true(p->client.below->closed);
    assert_true(p->server.below->closed);
    fake_bytes_destroy(p->client.below);
    fake_bytes_destroy(p->server.below);
    free(p->client.got);
    free(p->server.got);
}

static void meet_pair(struct pair *p)
{
    open_pair(p);
    turn(p);
    assert_true(p->client.is_done && p->server.is_done);
    assert_int_equal(p->client.rc, 0);
    assert_int_equal(p->server.rc, 0);
}

static void what_is_written_arrives_in_both_directions(void **state)
{
    struct pair p;

    (void)state;
    meet_pair(&p);
    assert_true(p.client.io->secure);
    assert_int_equal(gh_byte_stream_write(p.client.io, gh_span_str("question")), 8);
    turn(&p);
    assert_int_equal(p.server.got_len, 8);
    assert_memory_equal(p.server.got, "question", 8);
    assert_int_equal(gh_byte_stream_write(p.server.io, gh_span_str("answer")), 6);
    turn(&p);
    assert_memory_equal(p.client.got, "answer", 6);
    assert_true(gh_span_equals(gh_tls_stream_alpn(gh_tls_io_engine(p.server.io)), gh_span_str("h2")));
    close_pair(&p);
}

static void bytes_may_come_in_any_pieces(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p);
    p.client.below->piece = p.server.below->piece = 1;
    turn(&p);
    assert_true(p.client.is_done && p.server.is_done);
    assert_int_equal(gh_byte_stream_write(p.client.io, gh_span_str("question")), 8);
    turn(&p);
    assert_memory_equal(p.server.got, "question", 8);
    close_pair(&p);
}

static void a_stream_below_that_is_full_holds_the_writer_and_loses_nothing(void **state)
{
    enum { ALL = 1 << 20 };
    uint8_t *data = malloc(ALL);
    size_t sent = 0;
    struct pair p;

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < ALL; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    meet_pair(&p);
    p.client.below->room = 30000;
    while (sent < ALL) {
        ssize_t n = gh_byte_stream_write(p.client.io, gh_span_of(data + sent, ALL - sent));

        assert_true(n >= 0);
        sent += (size_t)n;
        p.client.is_writable = false;
        turn(&p);
        assert_true(sent == ALL || p.client.is_writable);
    }
    turn(&p);
    assert_int_equal(p.server.got_len, ALL);
    assert_memory_equal(p.server.got, data, ALL);
    free(data);
    close_pair(&p);
}

static void who_does_not_read_holds_the_peer_and_gets_all_later(void **state)
{
    static uint8_t data[300000];
    struct pair p;
    size_t sent = 0;

    (void)state;
    meet_pair(&p);
    p.client.below->room = 30000;
    gh_byte_stream_want_read(p.server.io, false);
    for (int i = 0; i < 50; i++) {
        ssize_t n = gh_byte_stream_write(p.client.io, gh_span_of(data + sent, sizeof data - sent));

        assert_true(n >= 0);
        sent += (size_t)n;
        turn(&p);
    }
    assert_int_equal(p.server.got_len, 0);
    assert_true(sent < sizeof data);
    gh_byte_stream_want_read(p.server.io, true);
    turn(&p);
    assert_int_equal(p.server.got_len, sent);
    close_pair(&p);
}

static void the_end_is_told_and_the_other_direction_lives(void **state)
{
    struct pair p;

    (void)state;
    meet_pair(&p);
    gh_byte_stream_shutdown_write(p.client.io);
    turn(&p);
    assert_true(p.server.is_ended);
    assert_int_equal(p.server.why, 0);
    assert_int_equal(gh_byte_stream_write(p.client.io, gh_span_str("x")), GH_ERR_CLOSED);
    assert_int_equal(gh_byte_stream_write(p.server.io, gh_span_str("still")), 5);
    turn(&p);
    assert_memory_equal(p.client.got, "still", 5);
    close_pair(&p);
}

static void an_end_without_close_notify_is_no_end(void **state)
{
    struct pair p;

    (void)state;
    meet_pair(&p);
    p.server.below->end = true;
    turn(&p);
    assert_false(p.server.is_ended);
    assert_int_equal(p.server.why, GH_ERR_PROTOCOL);
    close_pair(&p);
}

static void a_handshake_that_fails_sends_its_alert(void **state)
{
    struct pair p;
    struct gh_tls_stream *s;

    (void)state;
    memset(&p, 0, sizeof p);
    assert_int_equal(gh_tls_stream_create(server_ctx, NULL, &s), 0);
    p.server.below = fake_bytes_create();
    assert_int_equal(gh_tls_io_create(worker, s, &p.server.below->base, INT64_C(5000000000), on_done, &p.server, &p.server.io), 0);
    fake_bytes_feed(p.server.below, gh_span_of("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9));
    while (fake_bytes_turn(p.server.below))
        ;
    assert_true(p.server.is_done);
    assert_int_equal(p.server.rc, GH_ERR_CRYPTO);
    assert_true(p.server.below->out_len >= 7);
    assert_int_equal(p.server.below->out[0], 21); /* an alert (RFC 8446, section 5.1) */
    assert_true(p.server.below->closed);
    fake_bytes_destroy(p.server.below);
}

static void its_user_may_close_it_in_any_event(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p);
    p.server.close_when_done = true;
    turn(&p);
    assert_true(p.server.below->closed);
    close_pair(&p);

    meet_pair(&p);
    p.server.close_on_bytes = true;
    assert_int_equal(gh_byte_stream_write(p.client.io, gh_span_str("question")), 8);
    turn(&p);
    assert_true(p.client.is_ended);
    close_pair(&p);
}

static void what_was_taken_is_sent_after_it_was_closed(void **state)
{
    static uint8_t data[60000];
    struct pair p;
    ssize_t n;

    (void)state;
    meet_pair(&p);
    p.client.below->room = 1000;
    n = gh_byte_stream_write(p.client.io, gh_span_of(data, sizeof data));
    assert_true(n > 1000);
    close_end(&p.client);
    assert_false(p.client.below->closed);
    turn(&p);
    assert_int_equal(p.server.got_len, n);
    assert_true(p.server.is_ended);
    assert_true(p.client.below->closed);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_arrives_in_both_directions),
        cmocka_unit_test(bytes_may_come_in_any_pieces),
        cmocka_unit_test(a_stream_below_that_is_full_holds_the_writer_and_loses_nothing),
        cmocka_unit_test(who_does_not_read_holds_the_peer_and_gets_all_later),
        cmocka_unit_test(the_end_is_told_and_the_other_direction_lives),
        cmocka_unit_test(an_end_without_close_notify_is_no_end),
        cmocka_unit_test(a_handshake_that_fails_sends_its_alert),
        cmocka_unit_test(its_user_may_close_it_in_any_event),
        cmocka_unit_test(what_was_taken_is_sent_after_it_was_closed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
