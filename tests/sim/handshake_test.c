/* How connections begin: Retry and tokens (RFC 9000, section 8.1). */
#include "../unit/test.h"
#include "base/error.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

struct world {
    struct sim sim;
    struct raw_peer client, server;
    unsigned initials; /* datagrams of the client that begin with one */
    size_t token_len;  /* of the last */
    bool lose_first;   /* the client's first datagram does not arrive */
    uint64_t bytes[2]; /* sent by client and server */
};

static struct world w;

static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    struct gh_quic_initial first;

    (void)arg;
    w.bytes[from_server] += payload.len;
    if (from_server || gh_quic_accept(payload, &first) != 1)
        return;
    w.initials++;
    w.token_len = first.token.len;
    if (w.lose_first)
        w.sim.link[0].down = w.initials == 1;
}

static bool server_done(void *arg)
{
    (void)arg;
    return w.server.handshake;
}

static void init(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, seed);
    w.sim.on_wire = on_wire;
}

static void go(void)
{
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    assert_true(w.server.handshake);
}

static void a_retry_costs_one_round_trip_and_nothing_is_kept_before(void **state)
{
    int64_t plain, began;

    (void)state;
    init(1);
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    plain = w.sim.now - began;
    sim_fini(&w.sim);
    init(1);
    w.sim.retry = true;
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    assert_int_equal(w.sim.now - began, plain + 10 * SIM_MS);
    assert_in_range(w.sim.retries, 1, 2); /* each datagram of a long ClientHello is answered */
    sim_fini(&w.sim);
}

static void the_token_of_a_connection_spares_the_next_one_the_retry(void **state)
{
    (void)state;
    init(2);
    w.sim.retry = true;
    go();
    assert_true(w.sim.client.token_len > 0);
    sim_forget(&w.sim);
    w.sim.retries = 0;
    go();
    assert_int_equal(w.sim.retries, 0);
    assert_int_equal(w.token_len, w.sim.client.token_len);
    sim_fini(&w.sim);
}

static void a_token_of_another_address_proves_nothing(void **state)
{
    (void)state;
    init(3);
    w.sim.retry = true;
    go();
    sim_forget(&w.sim);
    w.sim.retries = 0;
    w.sim.client.addr.ip.bytes[3] ^= 1;
    go();
    assert_true(w.sim.retries > 0);
    sim_fini(&w.sim);
}

static bool client_closed(void *arg)
{
    (void)arg;
    return w.sim.client.closed;
}

/* RFC 9000, section 8.1.3: INVALID_TOKEN. The Retry's token is late: eleven seconds on the way. */
static void an_old_retry_token_is_refused_at_once(void **state)
{
    (void)state;
    init(4);
    w.sim.retry = true;
    w.sim.client.config.handshake_timeout = 60 * SIM_S;
    w.sim.link[1].delay = 12 * SIM_S;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 60 * SIM_S, client_closed, NULL));
    assert_int_equal(w.sim.client.why.kind, GH_QUIC_CLOSED_PEER);
    assert_int_equal(w.sim.client.why.code, GH_QUIC_INVALID_TOKEN);
    assert_null(w.sim.server.quic);
    sim_fini(&w.sim);
}

/* What a bad token costs is an answer smaller than a third of the packet that brought it. */
static void answers_to_strangers_do_not_amplify(void **state)
{
    struct gh_quic_initial first = { .version = 1, .dcid = { 8, "12345678" }, .scid = { 8, "abcdefgh" }, .payload = 1200 };
    struct gh_quic_cid scid = { 8, "serverid" };
    uint8_t token[GH_QUIC_TOKEN_MAX], buf[1500];
    int len;

    (void)state;
    init(5);
    len = gh_quic_token_retry(&w.sim.tokens, &first, &scid, &w.sim.client.addr, 1000, token);
    assert_in_range(gh_quic_retry(&first, &scid, gh_span_of(token, (size_t)len), buf, sizeof buf), 60, 400);
    assert_in_range(gh_quic_refuse(&first, GH_QUIC_INVALID_TOKEN, buf, sizeof buf), 30, 400);
    sim_fini(&w.sim);
}

/* A ClientHello with a post-quantum key share needs two datagrams. When the second comes alone, nothing may be kept for an address that
 * nobody proved: a Retry, and the handshake goes on without a time-out. */
static void the_second_half_of_a_client_hello_is_answered_by_a_retry(void **state)
{
    int64_t began;

    (void)state;
    init(6);
    w.lose_first = true;
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, SIM_S, server_done, NULL));
    assert_int_equal(w.sim.retries, 1);
    assert_in_range(w.sim.now - began, 25 * SIM_MS, 45 * SIM_MS);
    sim_fini(&w.sim);
}

/* RFC 9000, section 8: at most three times what came, until the address is proved. */
static void a_forged_address_gets_no_more_than_three_times_a_post_quantum_first_flight(void **state)
{
    uint64_t in;

    (void)state;
    init(8);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    w.sim.link[1].down = true; /* whoever has the address does not answer */
    sim_run(&w.sim, 2 * SIM_MS, NULL, NULL);
    assert_int_equal(w.initials, 2);
    in = w.bytes[0];
    assert_in_range(in, 2400, 2 * GH_QUIC_PAYLOAD_MAX);
    w.sim.link[0].down = true;
    w.sim.server.config.handshake_timeout = 60 * SIM_S;
    sim_run(&w.sim, 30 * SIM_S, NULL, NULL);
    assert_in_range(w.bytes[1], 1200, 3 * in);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_costs_one_round_trip_and_nothing_is_kept_before),
        cmocka_unit_test(the_token_of_a_connection_spares_the_next_one_the_retry),
        cmocka_unit_test(a_token_of_another_address_proves_nothing),
        cmocka_unit_test(an_old_retry_token_is_refused_at_once),
        cmocka_unit_test(answers_to_strangers_do_not_amplify),
        cmocka_unit_test(the_second_half_of_a_client_hello_is_answered_by_a_retry),
        cmocka_unit_test(a_forged_address_gets_no_more_than_three_times_a_post_quantum_first_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
