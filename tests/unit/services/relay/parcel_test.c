#include "../../test.h"
#include "services/relay/relay_internal.h"

/* Two workers of one relay, without sessions: what is delivered is written down in their place. */

static struct relay relay;
static struct relay_worker workers[2];
static struct gh_workers *set;
static struct session *const somebody = (struct session *)&relay;

static struct {
    unsigned delivered, dropped[GH_DROP_COUNT], refreshed;
    uint64_t next[2]; /* by session: the number that comes next */
    bool disorder, wrong, gone;
    _Atomic uint64_t handed_over;
} seen;

struct session *__wrap_relay_session_find(struct relay_worker *rw, struct gh_session_handle h);
void __wrap_relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len);
void __wrap_relay_packet_to_peer(struct session *s, uint8_t *packet, size_t len, unsigned flags);
void __wrap_relay_policy_refresh(struct relay_worker *rw);
void __wrap_relay_drop(void *arg, enum gh_drop why, uint64_t count);
_Atomic uint64_t *__wrap_gh_metric_slot(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label);

struct session *__wrap_relay_session_find(struct relay_worker *rw, struct gh_session_handle h)
{
    assert_ptr_equal(rw, &workers[1]);
    assert_int_equal(h.generation, 7);
    return seen.gone ? NULL : somebody;
}

/* A packet is its length, its number, its session, and that many times the number's lowest byte. */
static void look(uint8_t *packet, size_t len, unsigned session)
{
    uint64_t number;

    memcpy(&number, packet, sizeof number);
    seen.disorder |= number != seen.next[session];
    seen.next[session]++;
    for (size_t i = sizeof number; i < len; i++)
        seen.wrong |= packet[i] != (uint8_t)number;
    memset(packet - 16, 0xee, 16); /* the headroom is the receiver's */
    seen.delivered++;
}

void __wrap_relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len)
{
    (void)s;
    look(packet, len, 0);
}

void __wrap_relay_packet_to_peer(struct session *s, uint8_t *packet, size_t len, unsigned flags)
{
    (void)s;
    seen.wrong |= flags != GH_FORWARD_OWN;
    look(packet, len, 1);
}

void __wrap_relay_policy_refresh(struct relay_worker *rw)
{
    assert_ptr_equal(rw, &workers[1]);
    seen.refreshed++;
}

void __wrap_relay_drop(void *arg, enum gh_drop why, uint64_t count)
{
    (void)arg;
    seen.dropped[why] += (unsigned)count;
}

_Atomic uint64_t *__wrap_gh_metric_slot(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label)
{
    (void)s, (void)worker, (void)label;
    assert_int_equal(row, RELAY_METRIC_HANDED_OVER);
    return &seen.handed_over;
}

static int start(void **state)
{
    const struct gh_workers_config cfg = { .count = 2, .name = "unit", .mailbox_slots = 256 };

    (void)state;
    memset((void *)&seen, 0, sizeof seen);
    memset(workers, 0, sizeof workers);
    assert_int_equal(gh_workers_create(&cfg, &set), 0);
    for (unsigned i = 0; i < 2; i++) {
        workers[i].r = &relay;
        workers[i].w = gh_workers_at(set, i);
        workers[i].index = i;
        workers[i].slot_count = 1;
        relay.at[i] = &workers[i];
        assert_int_equal(relay_parcels_init(&workers[i]), 0);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    gh_workers_destroy(set); /* with the hooks */
    for (unsigned i = 0; i < 2; i++)
        relay_parcels_fini(&workers[i]);
    return 0;
}

static void hand_over(uint64_t number, size_t len, bool from_peer)
{
    static uint8_t packet[65536];
    const struct gh_directory_found found = { .worker = 1, .session = { 3, 7 } };

    memset(packet, (uint8_t)number, len);
    memcpy(packet, &number, sizeof number);
    relay_packet_hand_over(&workers[0], &found, packet, len, from_peer ? 0 : GH_FORWARD_OWN, from_peer);
}

static void deliver_all(void)
{
    for (unsigned before = UINT32_MAX; before != seen.delivered + seen.dropped[GH_DROP_NO_SESSION];) {
        before = seen.delivered + seen.dropped[GH_DROP_NO_SESSION];
        gh_worker_turn(workers[1].w, false);
    }
}

static void nothing_leaves_before_the_end_of_the_turn(void **state)
{
    (void)state;
    hand_over(0, 100, true);
    hand_over(1, 100, true);
    deliver_all();
    assert_int_equal(seen.delivered, 0);
    gh_worker_turn(workers[0].w, false);
    deliver_all();
    assert_int_equal(seen.delivered, 2);
    assert_int_equal(seen.handed_over, 2);
    assert_int_equal(seen.refreshed, 1); /* once a parcel */
    gh_worker_turn(workers[0].w, false); /* nothing is there twice */
    deliver_all();
    assert_int_equal(seen.delivered, 2);
}

static void packets_of_all_lengths_arrive_whole_and_in_order(void **state)
{
    uint64_t numbers[2] = { 0, 0 };
    uint32_t x = 1;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len;
        bool from_peer;

        x = x * 1664525u + 1013904223u;
        from_peer = x >> 31;
        len = x % 97 == 0 ? 65535 : 8 + (x >> 8) % 1500;
        hand_over(numbers[!from_peer]++, len, from_peer);
        if (x % 61 == 0)
            gh_worker_turn(workers[0].w, false);
        if (x % 5 == 0)
            gh_worker_turn(workers[1].w, false);
    }
    gh_worker_turn(workers[0].w, false);
    deliver_all();
    assert_int_equal(seen.delivered, 20000);
    assert_int_equal(seen.handed_over, 20000);
    assert_false(seen.disorder);
    assert_false(seen.wrong);
}

static void what_is_too_much_is_dropped_and_counted_and_the_rest_arrives(void **state)
{
    unsigned refused;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++)
        hand_over(i, 1400, true);
    gh_worker_turn(workers[0].w, false);
    refused = seen.dropped[GH_DROP_POOL_EMPTY];
    assert_in_range(refused, 14000, 18000); /* some 4,000 may be under way */
    deliver_all();
    assert_int_equal(seen.delivered, 20000 - refused);
    assert_int_equal(seen.handed_over, 20000 - refused);
    assert_false(seen.disorder); /* the first ones came */
    for (uint64_t i = 0; i < 1000; i++) /* the buffers are back */
        hand_over(seen.next[0] + i, 1400, true);
    gh_worker_turn(workers[0].w, false);
    deliver_all();
    assert_int_equal(seen.dropped[GH_DROP_POOL_EMPTY], refused);
    assert_false(seen.disorder);
}

static void a_session_that_has_gone_and_a_worker_that_has_stopped_are_drops(void **state)
{
    (void)state;
    hand_over(0, 100, true);
    seen.gone = true;
    gh_worker_turn(workers[0].w, false);
    deliver_all();
    assert_int_equal(seen.dropped[GH_DROP_NO_SESSION], 1);
    hand_over(0, 100, true);
    workers[1].slot_count = 0; /* it stops while that is under way, and has no policy any more */
    seen.refreshed = 0;
    gh_worker_turn(workers[0].w, false);
    deliver_all();
    assert_int_equal(seen.refreshed, 0);
    assert_int_equal(seen.dropped[GH_DROP_NO_SESSION], 2);
    relay.at[1] = NULL;
    hand_over(0, 100, true);
    assert_int_equal(seen.dropped[GH_DROP_NO_SESSION], 3);
    assert_int_equal(seen.delivered, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_leaves_before_the_end_of_the_turn, start, stop),
        cmocka_unit_test_setup_teardown(packets_of_all_lengths_arrive_whole_and_in_order, start, stop),
        cmocka_unit_test_setup_teardown(what_is_too_much_is_dropped_and_counted_and_the_rest_arrives, start, stop),
        cmocka_unit_test_setup_teardown(a_session_that_has_gone_and_a_worker_that_has_stopped_are_drops, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
