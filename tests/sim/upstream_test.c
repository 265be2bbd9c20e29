/* Faults of the QUIC library that were mended upstream and that a peer can aim at, each test named after the commit that mends it:
 * the table of docs/internals/quic.md. Packets are forged with the keys of a live connection. */
#include "../unit/test.h"
#include "base/error.h"
#include "forge.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

#define INTERNAL_ERROR 0x01 /* RFC 9000, section 20.1 */
#define CONNECTION_ID_LIMIT 0x09
#define PROTOCOL_VIOLATION 0x0a
#define CRYPTO_BUFFER_EXCEEDED 0x0d
#define CRYPTO_ERROR 0x100

struct world {
    struct sim sim;
    struct raw_peer client, server;
    struct forge forge;
};

static struct world w;

static void init(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    raw_peers_init(&w.sim, seed, &w.client, &w.server);
    forge_init(&w.forge, &w.sim);
}

/* A connection whose ends hear no more of each other: only what is forged arrives. */
static void start_cut_off(void)
{
    init(1);
    raw_peers_connect(&w.client, &w.server, SIM_S);
    w.sim.link[0].down = w.sim.link[1].down = true;
}

static void forge(bool as_server, const struct raw_bytes *b)
{
    forge_send_as(&w.forge, &w.sim, as_server, gh_span_of(b->data, b->len));
    raw_peer_wait(&w.client, 20 * SIM_MS);
}

/* The end that gets forged packets still takes what they bring. */
static void assert_takes_datagrams(bool server)
{
    static const uint8_t frame[] = { 0x31, 5, 'a', 'l', 'i', 'v', 'e', 0, 0, 0 };
    struct raw_peer *p = server ? &w.server : &w.client;
    struct raw_bytes b = { .len = 0 };
    unsigned before = p->datagrams;

    assert_false(p->end->closed);
    raw_bytes(&b, frame, sizeof frame);
    forge(!server, &b);
    assert_int_equal(p->datagrams, before + 1);
    assert_int_equal(p->datagram_len, 5);
}

static void assert_ended(const struct sim_end *e, uint64_t code)
{
    assert_true(e->closed);
    assert_int_equal(e->why.kind, GH_QUIC_CLOSED_LOCAL);
    assert_false(e->why.application);
    assert_int_equal(e->why.code, code);
}

static void new_id(struct raw_bytes *b, uint64_t seq, uint64_t retire_prior_to, uint8_t name)
{
    uint8_t id_and_token[1 + GH_QUIC_CID_LEN + GH_QUIC_RESET_TOKEN];

    memset(id_and_token, name, sizeof id_and_token);
    id_and_token[0] = GH_QUIC_CID_LEN;
    raw_varint(b, 0x18);
    raw_varint(b, seq);
    raw_varint(b, retire_prior_to);
    raw_bytes(b, id_and_token, sizeof id_and_token);
}

/* What an assertion costs stays reachable, so that nobody takes it for a leak of ours. */
static const void *volatile given_up[2];

static void retire_the_first_id_at_once(void *arg, bool from_server, struct gh_span payload)
{
    struct raw_bytes b = { .len = 0 };

    (void)arg;
    forge_see(&w.forge, from_server, payload);
    if (!from_server || w.client.handshake || !w.client.q || !forge_ready(&w.forge, true))
        return;
    given_up[0] = w.client.q->conn;
    given_up[1] = w.client.q->tls;
    new_id(&b, 1, 1, 'a');
    forge_send_as(&w.forge, &w.sim, true, gh_span_of(b.data, b.len));
}

static bool client_closed(void *arg)
{
    (void)arg;
    return w.sim.client.closed;
}

/* A server that retires the id of its handshake before that is over. The version here asserts that nobody does; the guard makes it the
 * end of this connection, and the next one works. */
static void bf5a8812_retiring_the_first_id_in_the_handshake_costs_one_connection(void **state)
{
    (void)state;
    init(2);
    w.sim.on_wire = retire_the_first_id_at_once;
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, client_closed, NULL));
    assert_int_equal(w.sim.client.why.kind, GH_QUIC_CLOSED_ASSERTION);
    w.sim.on_wire = NULL;
    sim_forget(&w.sim);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    sim_fini(&w.sim);
}

static void a_7e89c434_no_empty_datagram_is_written_and_one_that_comes_is_read(void **state)
{
    static const uint8_t frames[] = { 0x31, 0, 0x31, 0, 0x30 };
    struct raw_bytes b = { .len = 0 };

    (void)state;
    start_cut_off();
    assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_str(""), gh_span_str(""), 0, w.sim.now), GH_ERR_TOO_LONG);
    assert_int_equal(w.client.q->queue.count, 0);
    raw_bytes(&b, "\0\0\0\0", 4); /* PADDING, for the sample of header protection */
    raw_bytes(&b, frames, sizeof frames);
    forge(false, &b);
    assert_int_equal(w.server.datagrams, 3);
    assert_int_equal(w.server.datagram_len, 0);
    assert_takes_datagrams(true);
    sim_fini(&w.sim);
}

/* RFC 9000, section 19.15: the same again is no error, the same number or id with something else is one. */
static void a_354042ec_duplicate_connection_ids(void **state)
{
    static const struct {
        uint64_t seq;
        uint8_t name;
        bool violation;
    } second[] = { { 20, 'a', false }, { 20, 'b', true }, { 21, 'a', true } };

    (void)state;
    for (int server = 0; server < 2; server++)
        for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
            struct raw_bytes b = { .len = 0 };

            start_cut_off();
            new_id(&b, 20, 0, 'a');
            forge(!server, &b);
            new_id(&b, second[i].seq, 0, second[i].name);
            forge(!server, &b);
            if (second[i].violation)
                assert_ended(server ? &w.sim.server : &w.sim.client, PROTOCOL_VIOLATION);
            else
                assert_takes_datagrams(server);
            sim_fini(&w.sim);
        }
}

/* Ids below the limit that retires them, again and again, unacknowledged: what is remembered of them is bounded. */
static void a_354042ec_retired_ids_are_remembered_once_and_not_without_end(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct raw_bytes b = { .len = 0 };

        start_cut_off();
        new_id(&b, 50, 50, 'a');
        forge(!server, &b);
        for (int i = 0; i < 8; i++) {
            b.len = 0;
            new_id(&b, 40, 0, 'b'); /* retired when it comes */
            forge(!server, &b);
        }
        assert_takes_datagrams(server);
        for (uint8_t i = 0; i < 40 && !(server ? w.sim.server : w.sim.client).closed; i++) {
            b.len = 0;
            new_id(&b, i, 0, (uint8_t)(0x80 + i));
            forge(!server, &b);
        }
        assert_ended(server ? &w.sim.server : &w.sim.client, CONNECTION_ID_LIMIT);
        sim_fini(&w.sim);
    }
}

static void a_354042ec_ids_that_replace_each_other_without_end(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        start_cut_off();
        for (uint8_t i = 0; i < 100 && !(server ? w.sim.server : w.sim.client).closed; i++) {
            struct raw_bytes b = { .len = 0 };

            new_id(&b, 50u + i, 50u + i, (uint8_t)(0x80 + i));
            forge(!server, &b);
        }
        assert_ended(server ? &w.sim.server : &w.sim.client, CONNECTION_ID_LIMIT);
        sim_fini(&w.sim);
    }
}

/* STREAM frames without a byte: at the start, behind a gap, over what is known, with and without an end, again after it. */
static void e130b3de_empty_stream_frames_that_come(void **state)
{
    static const uint8_t frames[] = {
        0x0a, 0, 0,                   /* stream 0, length 0 */
        0x0e, 0, 3, 0,                /* behind a gap */
        0x0a, 0, 3, 'a', 'b', 'c',    /* at 0 */
        0x0e, 0, 1, 0,  0x0e, 0, 3, 0, /* within, at the end */
        0x0f, 0, 3, 0,                /* its end */
        0x0f, 0, 3, 0,  0x0e, 0, 3, 0, 0x0e, 0, 2, 0,
    };
    struct raw_bytes b = { .len = 0 };
    struct raw_stream *s;

    (void)state;
    start_cut_off();
    raw_bytes(&b, frames, sizeof frames);
    forge(false, &b);
    forge(false, &b);
    s = raw_peer_stream(&w.server, 0);
    assert_non_null(s);
    assert_int_equal(s->in_len, 3);
    assert_true(s->in_end);
    assert_takes_datagrams(true);
    sim_fini(&w.sim);
}

static bool all_ended(void *arg)
{
    unsigned ended = 0;

    (void)arg;
    for (size_t i = 0; i < RAW_STREAMS; i++)
        ended += w.server.streams[i].id >= 0 && w.server.streams[i].in_end;
    return ended == 8;
}

/* Ends of streams that travel alone, get lost and are sent again, beside acknowledgements that get lost. */
static void a_5e1430da_ends_of_streams_are_sent_again(void **state)
{
    struct raw_bytes some = { .len = 700 }, none = { .len = 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        int64_t ids[8];

        init(seed);
        raw_peer_connect(&w.client);
        w.sim.link[0].loss = w.sim.link[1].loss = 0.3;
        w.sim.link[0].reorder = 0.2;
        w.sim.link[0].duplicate = 0.1;
        for (int i = 0; i < 8; i++) {
            ids[i] = raw_open(&w.client, true, &some, false);
            raw_peer_wait(&w.client, (int64_t)(sim_random(&w.sim) % 20) * SIM_MS);
            raw_send(&w.client, ids[i], &none, true);
            raw_peer_wait(&w.client, (int64_t)(sim_random(&w.sim) % 20) * SIM_MS);
        }
        if (!sim_run(&w.sim, 25 * SIM_S, all_ended, NULL))
            fail_msg("seed %llu", (unsigned long long)seed);
        assert_false(w.sim.client.closed || w.sim.server.closed);
        sim_fini(&w.sim);
    }
}

/* A close at any moment of a connection, by either end, on a path that loses: written once, no assertion. */
static void a_81ffdda2_a_close_may_come_at_any_moment(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++)
        for (int application = 0; application < 2; application++)
            for (int step = 0; step < 60; step++) {
                struct sim_end *e = server ? &w.sim.server : &w.sim.client;

                init((uint64_t)step + 1);
                w.sim.link[0].loss = w.sim.link[1].loss = step % 3 ? 0.2 : 0;
                assert_int_equal(sim_open(&w.sim), 0);
                raw_peer_wait(&w.client, step * SIM_MS);
                if (e->quic) {
                    gh_quic_close(e->quic, application, 0x100, "enough");
                    gh_quic_close(e->quic, application, 0x101, "again");
                }
                raw_peer_wait(&w.client, 20 * SIM_MS);
                if (e->closed) {
                    assert_int_not_equal(e->why.kind, GH_QUIC_CLOSED_ASSERTION);
                    if (e->why.kind == GH_QUIC_CLOSED_LOCAL && !e->why.retry)
                        assert_int_equal(e->why.code, 0x100);
                }
                sim_fini(&w.sim);
            }
}

/* RFC 9000, section 13.1. Upstream's assertion is about an error that only later versions have. */
static void a_720d467f_an_acknowledgement_of_what_was_never_sent(void **state)
{
    static const uint8_t frames[] = { 0x02, 0xc0, 0, 0, 0, 0x3f, 0, 0, 0, 0, 0, 0 }; /* ACK: largest, delay, ranges, first range */

    (void)state;
    for (int server = 0; server < 2; server++) {
        struct raw_bytes b = { .len = 0 };

        start_cut_off();
        raw_bytes(&b, frames, sizeof frames);
        forge(!server, &b);
        assert_ended(server ? &w.sim.server : &w.sim.client, PROTOCOL_VIOLATION);
        sim_fini(&w.sim);
    }
}

/* A stream in pieces that never meet: the version here ends the connection at 5000 gaps, later ones at 1000. */
static void a_24830c47_a_stream_in_too_many_pieces_ends_the_connection(void **state)
{
    unsigned pieces = 0;

    (void)state;
    start_cut_off();
    while (!w.sim.server.closed && pieces < 10000) {
        struct raw_bytes b = { .len = 0 };

        for (int i = 0; i < 100; i++, pieces++) {
            raw_varint(&b, 0x0e);
            raw_varint(&b, 0);
            raw_varint(&b, 1 + 2 * pieces);
            raw_varint(&b, 1);
            raw_bytes(&b, "x", 1);
        }
        forge(false, &b);
    }
    assert_ended(&w.sim.server, INTERNAL_ERROR);
    assert_in_range(pieces, 1000, 5200);
    sim_fini(&w.sim);
}

/* CRYPTO bytes after the handshake: a server wants none, a client takes tickets of a sensible size, and neither keeps what is far ahead. */
static void a_59dc983d_crypto_bytes_without_end(void **state)
{
    static const uint8_t ahead[] = { 0x06, 0x80, 0x10, 0, 0, 2, 'x', 'y' }, huge[] = { 4, 0xff, 0xff, 0xff };
    uint64_t offset = 0;

    (void)state;
    for (int server = 0; server < 2; server++) {
        struct raw_bytes b = { .len = 0 };

        start_cut_off();
        raw_bytes(&b, ahead, sizeof ahead);
        forge(!server, &b);
        assert_ended(server ? &w.sim.server : &w.sim.client, CRYPTO_BUFFER_EXCEEDED);
        sim_fini(&w.sim);
    }
    start_cut_off(); /* a NewSessionTicket of 16 MB; the simulator's server issued none */
    while (!w.sim.client.closed && offset < 1024 * 1024) {
        struct raw_bytes b = { .len = 0 };
        uint8_t chunk[1000] = { 0 };

        if (offset == 0)
            memcpy(chunk, huge, sizeof huge);
        raw_varint(&b, 0x06);
        raw_varint(&b, offset);
        raw_varint(&b, sizeof chunk);
        raw_bytes(&b, chunk, sizeof chunk);
        forge(true, &b);
        offset += sizeof chunk;
    }
    assert_true(w.sim.client.closed);
    assert_in_range(w.sim.client.why.code, CRYPTO_ERROR, CRYPTO_ERROR + 255);
    assert_in_range(offset, 1000, 200000);
    sim_fini(&w.sim);
}

/* Asked a hundred times at once whether a path is good: four answers, of 1200 bytes each (RFC 9000, section 8.2.2). */
static void a_path_is_not_vouched_for_a_hundred_times(void **state)
{
    struct raw_bytes b = { .len = 0 };
    uint64_t before;

    (void)state;
    start_cut_off();
    for (uint64_t i = 0; i < 100; i++) {
        raw_varint(&b, 0x1a);
        raw_bytes(&b, &i, 8);
    }
    before = gh_quic_counters(w.server.q)->bytes_out;
    forge(false, &b);
    assert_in_range(gh_quic_counters(w.server.q)->bytes_out - before, 1200, 5 * 1200);
    assert_takes_datagrams(true);
    sim_fini(&w.sim);
}

/* A Retry that comes when the client has asked a second time: nothing is lost, nothing leaks. */
static void a_7dc9b550_a_retry_after_a_time_out(void **state)
{
    (void)state;
    for (int64_t delay = 400; delay <= 2000; delay += 200) {
        init(3);
        w.sim.retry = true;
        w.sim.link[1].delay = delay * SIM_MS;
        w.sim.client.config.handshake_timeout = w.sim.server.config.handshake_timeout = 60 * SIM_S;
        assert_int_equal(sim_open(&w.sim), 0);
        raw_peer_wait(&w.client, 20 * SIM_S);
        assert_true(w.client.handshake && w.server.handshake);
        assert_true(w.sim.retries > 0);
        sim_fini(&w.sim);
    }
}

/* What comes for a stream that is no longer read must not use up the connection's window. */
static void a_9e91cc08_bytes_of_stopped_streams_do_not_use_up_the_window(void **state)
{
    struct raw_bytes much = { .len = RAW_BYTES - 100 };
    struct raw_stream *last;
    int64_t id = 0;

    (void)state;
    init(4);
    w.sim.server.config.max_data = 20000;
    w.sim.link[0].rate = 4000000;
    w.sim.link[0].queue = 100000;
    raw_peers_connect(&w.client, &w.server, SIM_S);
    for (int i = 0; i < 12; i++) {
        id = raw_open(&w.client, true, &much, false);
        raw_peer_wait(&w.client, 8 * SIM_MS); /* some of it is here, more is on its way */
        gh_quic_stop_reading(w.server.q, id, 0x10c);
        raw_peer_wait(&w.client, 200 * SIM_MS);
    }
    id = raw_open(&w.client, true, &much, true);
    raw_peer_wait(&w.client, 5 * SIM_S);
    last = raw_peer_stream(&w.server, id);
    assert_non_null(last);
    assert_true(last->in_end);
    assert_int_equal(last->in_len, much.len);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    sim_fini(&w.sim);
}

/* RESET_STREAM as the first word of a one-way stream. */
static void b2745ac7_a_stream_may_begin_with_its_reset(void **state)
{
    static const uint8_t frames[] = { 0x04, 2, 0x41, 0x0c, 0, 0, 0, 0 }; /* stream 2, code 0x10c, final size 0 */
    struct raw_bytes b = { .len = 0 };

    (void)state;
    start_cut_off();
    raw_bytes(&b, frames, sizeof frames);
    forge(false, &b);
    forge(false, &b);
    assert_takes_datagrams(true);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf5a8812_retiring_the_first_id_in_the_handshake_costs_one_connection),
        cmocka_unit_test(a_7e89c434_no_empty_datagram_is_written_and_one_that_comes_is_read),
        cmocka_unit_test(a_354042ec_duplicate_connection_ids),
        cmocka_unit_test(a_354042ec_retired_ids_are_remembered_once_and_not_without_end),
        cmocka_unit_test(a_354042ec_ids_that_replace_each_other_without_end),
        cmocka_unit_test(e130b3de_empty_stream_frames_that_come),
        cmocka_unit_test(a_5e1430da_ends_of_streams_are_sent_again),
        cmocka_unit_test(a_81ffdda2_a_close_may_come_at_any_moment),
        cmocka_unit_test(a_720d467f_an_acknowledgement_of_what_was_never_sent),
        cmocka_unit_test(a_24830c47_a_stream_in_too_many_pieces_ends_the_connection),
        cmocka_unit_test(a_59dc983d_crypto_bytes_without_end),
        cmocka_unit_test(a_path_is_not_vouched_for_a_hundred_times),
        cmocka_unit_test(a_7dc9b550_a_retry_after_a_time_out),
        cmocka_unit_test(a_9e91cc08_bytes_of_stopped_streams_do_not_use_up_the_window),
        cmocka_unit_test(b2745ac7_a_stream_may_begin_with_its_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
