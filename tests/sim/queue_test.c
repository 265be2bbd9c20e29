/* What waits for the congestion window: bulk, a flow of few packets, and a stream, over one narrow link. */
#include <inttypes.h>

#include "../unit/test.h"
#include "raw_peer.h"

#define RATE UINT64_C(8000000) /* bits a second that the link carries */
#define DELAY (10 * SIM_MS)
#define LINK_QUEUE 8192u       /* bytes that wait in front of it: 8 ms */
#define BULK_SIZE 1150u
#define SPARSE_SIZE 100u
#define TARGET (5 * SIM_MS)
#define BATCH (12 * SIM_MS)    /* ten packets, which QUIC may send at once */
#define BULK 1u
#define SPARSE 2u

struct delays {
    unsigned count;
    int64_t worst, sum;
};

static struct {
    struct sim sim;
    struct raw_peer client, server;
    struct gh_deadline bulk, sparse, stream;
    uint64_t offered; /* bits a second of bulk */
    uint32_t sparse_flow;
    unsigned burst, bulk_flows, sent, sparse_sent;
    struct delays seen[3], capsules;
    int64_t stream_id, written;
    size_t stream_seen;
} w;

static void note(struct delays *d, int64_t delay)
{
    d->count++;
    d->sum += delay;
    if (delay > d->worst)
        d->worst = delay;
}

static void on_datagram(void *arg, struct gh_span payload)
{
    int64_t sent;

    (void)arg;
    memcpy(&sent, payload.data + 1, sizeof sent);
    note(&w.seen[payload.data[0]], w.sim.now - sent);
}

static void offer(uint8_t kind, uint32_t flow, size_t size, int64_t now)
{
    uint8_t payload[BULK_SIZE] = { kind };

    memcpy(payload + 1, &now, sizeof now);
    assert_non_null(w.client.q);
    assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_of(payload, 1), gh_span_of(payload + 1, size - 1), flow, now), 0);
}

static void offer_bulk(void *arg, int64_t now)
{
    (void)arg;
    for (unsigned i = 0; i < w.burst; i++)
        offer(0, BULK + 100 * (w.sent++ % w.bulk_flows), BULK_SIZE, now);
    gh_deadline_start(&w.sim.deadlines, &w.bulk, now + (int64_t)(w.burst * BULK_SIZE * 8 * (uint64_t)SIM_S / w.offered));
}

static void offer_sparse(void *arg, int64_t now)
{
    (void)arg;
    offer(1, w.sparse_flow, SPARSE_SIZE, now);
    w.sparse_sent++;
    gh_deadline_start(&w.sim.deadlines, &w.sparse, now + 23 * SIM_MS);
}

static void write_stream(void *arg, int64_t now)
{
    struct raw_bytes b = { .len = 0 };

    (void)arg;
    raw_bytes(&b, "a capsule of some fifty bytes, about as an answer to a request", 50);
    if (w.stream_id < 0)
        w.stream_id = raw_open(&w.client, true, &b, false);
    else
        raw_send(&w.client, w.stream_id, &b, false);
    w.written = now;
    gh_deadline_start(&w.sim.deadlines, &w.stream, now + 103 * SIM_MS);
}

static bool watch(void *arg)
{
    const struct raw_stream *s = w.stream_id < 0 ? NULL : raw_peer_stream(&w.server, w.stream_id);

    (void)arg;
    if (s && s->in_len != w.stream_seen) {
        w.stream_seen = s->in_len;
        note(&w.capsules, w.sim.now - w.written);
    }
    return false;
}

static void begin(uint64_t seed, uint64_t offered, unsigned burst, size_t link_queue)
{
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, seed);
    w.offered = offered;
    w.burst = burst;
    w.bulk_flows = 1;
    w.sparse_flow = SPARSE;
    w.stream_id = -1;
    for (int i = 0; i < 2; i++) {
        struct sim_end *e = i ? &w.sim.server : &w.sim.client;

        w.sim.link[i].delay = DELAY;
        w.sim.link[i].rate = RATE;
        w.sim.link[i].queue = link_queue;
        e->config.queue_time = 200 * SIM_MS;
        e->config.queue_target = TARGET;
    }
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    w.server.on_datagram = on_datagram;
    gh_deadline_init(&w.bulk, offer_bulk, NULL);
    gh_deadline_init(&w.sparse, offer_sparse, NULL);
    gh_deadline_init(&w.stream, write_stream, NULL);
    gh_deadline_start(&w.sim.deadlines, &w.bulk, w.sim.now);
}

static void stop(void)
{
    gh_deadline_stop(&w.sim.deadlines, &w.bulk);
    gh_deadline_stop(&w.sim.deadlines, &w.sparse);
    gh_deadline_stop(&w.sim.deadlines, &w.stream);
    sim_run(&w.sim, 2 * SIM_S, watch, NULL);
}

static int64_t sparse_beside_bulk(uint32_t flow, int64_t *ret_mean)
{
    int64_t worst;

    begin(77, 2 * RATE, 1, LINK_QUEUE);
    w.sparse_flow = flow;
    sim_run(&w.sim, 3 * SIM_S, watch, NULL);
    gh_deadline_start(&w.sim.deadlines, &w.sparse, w.sim.now);
    sim_run(&w.sim, 20 * SIM_S, watch, NULL);
    stop();
    worst = w.seen[1].worst;
    *ret_mean = w.seen[1].sum / w.seen[1].count;
    assert_true(w.seen[0].count > 10000); /* and bulk has the rest */
    assert_true(gh_quic_counters(w.client.q)->queue_delay + gh_quic_counters(w.client.q)->queue_full > 10000);
    sim_fini(&w.sim);
    return worst;
}

/* Beside it the same packets in the bulk's own flow, which is what one queue for all did. */
static void a_bulk_flow_does_not_delay_another(void **state)
{
    const int64_t road = DELAY + (int64_t)(LINK_QUEUE * 8 * (uint64_t)SIM_S / RATE);
    int64_t mean, alone_mean, worst = sparse_beside_bulk(SPARSE, &mean), shared = sparse_beside_bulk(BULK, &alone_mean);

    (void)state;
    print_message("bulk at twice the rate: another flow's packets take %.1f ms (worst %.1f), %.1f (worst %.1f) in the bulk's own queue; the road %.0f\n",
                  (double)mean / 1e6, (double)worst / 1e6, (double)alone_mean / 1e6, (double)shared / 1e6, (double)road / 1e6);
    assert_true(worst <= road + TARGET + BATCH);
    assert_true(alone_mean > mean + 20 * SIM_MS);
}

static void a_stream_never_starves_behind_datagrams(void **state)
{
    const int64_t road = DELAY + (int64_t)(LINK_QUEUE * 8 * (uint64_t)SIM_S / RATE);

    (void)state;
    begin(78, 2 * RATE, 1, LINK_QUEUE);
    w.sim.link[0].queue = 256 * 1024; /* nothing is lost on the road: what is delayed is delayed here */
    sim_run(&w.sim, 3 * SIM_S, watch, NULL);
    gh_deadline_start(&w.sim.deadlines, &w.stream, w.sim.now);
    sim_run(&w.sim, 10 * SIM_S, watch, NULL);
    stop();
    print_message("bulk at twice the rate: a capsule takes %.1f ms, worst %.1f of %u\n", (double)(w.capsules.sum / w.capsules.count) / 1e6,
                  (double)w.capsules.worst / 1e6, w.capsules.count);
    assert_in_range(w.capsules.count, 90, 100);
    assert_true(w.capsules.sum / w.capsules.count + 50 * SIM_MS < w.seen[0].sum / w.seen[0].count);
    assert_true(w.capsules.worst <= road + 256 * 1024 * 8 * SIM_S / (int64_t)RATE + BATCH);
    sim_fini(&w.sim);
}

static void below_capacity_nothing_is_lost(void **state)
{
    (void)state;
    for (unsigned burst = 1; burst <= 16; burst *= 4) {
        begin(79 + burst, RATE * 3 / 4, burst, 256 * 1024);
        w.bulk_flows = 4;
        gh_deadline_start(&w.sim.deadlines, &w.sparse, w.sim.now);
        sim_run(&w.sim, 30 * SIM_S, watch, NULL);
        stop();
        assert_int_equal(w.seen[0].count, w.sent);
        assert_int_equal(w.seen[1].count, w.sparse_sent);
        assert_int_equal(gh_quic_counters(w.client.q)->queue_delay, 0);
        assert_int_equal(gh_quic_counters(w.client.q)->queue_full, 0);
        sim_fini(&w.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bulk_flow_does_not_delay_another),
        cmocka_unit_test(a_stream_never_starves_behind_datagrams),
        cmocka_unit_test(below_capacity_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
