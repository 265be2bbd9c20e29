/* The fate of packets on a road of the end-to-end tests. */
#include "way.h"

#include "../unit/test.h"

#define MS INT64_C(1000000)

static const struct gh_offload plain;

static bool put(struct way *w, uint32_t number, size_t len, int64_t now)
{
    uint8_t packet[2000] = { 0x45 };

    memcpy(packet + 4, &number, sizeof number);
    return way_put(w, &plain, gh_span_of(packet, len), now);
}

/* The number of the next packet that is due, -1 when none is. */
static int64_t take(struct way *w, int64_t now)
{
    struct way_packet *p = way_take(w, now);
    uint32_t number = 0;

    if (!p)
        return -1;
    memcpy(&number, p->data + 4, sizeof number);
    free(p);
    return number;
}

static void a_packet_is_due_after_the_delay(void **state)
{
    struct way w;

    (void)state;
    way_init(&w, 1);
    assert_true(way_is_clear(&w, 0));
    w.set.delay = 5;
    assert_false(way_is_clear(&w, 0));
    put(&w, 1, 100, 1000);
    assert_int_equal(way_due(&w), 5 * MS + 1000);
    assert_int_equal(take(&w, 5 * MS + 999), -1);
    assert_int_equal(take(&w, 5 * MS + 1000), 1);
    assert_int_equal(way_due(&w), WAY_NEVER);
    way_fini(&w);
}

static void jitter_keeps_order_and_reordering_does_not(void **state)
{
    for (int reorder = 0; reorder < 2; reorder++) {
        struct way w;
        unsigned late = 0;
        int64_t last = -1, n;

        (void)state;
        way_init(&w, 7);
        w.set = (struct way_settings){ .delay = 10, .jitter = 20, .reorder = reorder ? 0.1 : 0, .reorder_delay = 30 };
        for (uint32_t i = 0; i < 1000; i++)
            put(&w, i, 100, i * MS);
        while ((n = take(&w, WAY_NEVER - 1)) >= 0) {
            late += n < last;
            last = n;
        }
        assert_true(reorder ? late > 20 : late == 0);
        assert_true(reorder ? w.counters.reordered > 50 && w.counters.reordered < 150 : w.counters.reordered == 0);
        way_fini(&w);
    }
}

/* The survivors of 20000 packets, as a hash. */
static uint64_t fate(uint64_t seed, const struct way_settings *set, struct way_counters *ret)
{
    struct way w;
    uint64_t hash = 0;
    int64_t n;

    way_init(&w, seed);
    w.set = *set;
    for (uint32_t i = 0; i < 20000; i++)
        put(&w, i, 100, i * MS);
    while ((n = take(&w, WAY_NEVER - 1)) >= 0)
        hash = hash * 31 + (uint64_t)n;
    *ret = w.counters;
    way_fini(&w);
    return hash;
}

static void the_same_seed_gives_the_same_fate(void **state)
{
    static const struct way_settings set = { .loss = 0.05, .jitter = 3, .reorder = 0.1, .reorder_delay = 4, .duplicate = 0.02 };
    struct way_counters c;

    (void)state;
    assert_int_equal(fate(3, &set, &c), fate(3, &set, &c));
    assert_int_not_equal(fate(3, &set, &c), fate(4, &set, &c));
    assert_in_range(c.lost, 800, 1200);
    assert_in_range(c.duplicated, 250, 550);
}

static void losses_come_in_bursts_of_the_length_asked_for(void **state)
{
    static const struct way_settings set = { .burst = 0.01, .burst_length = 10 };
    struct way_counters c;

    (void)state;
    fate(5, &set, &c);
    /* one packet in a hundred begins a burst of ten, on average: about 9 % */
    assert_in_range(c.burst_lost, 1200, 2600);
}

static void a_rate_spaces_packets_and_its_queue_is_bounded(void **state)
{
    struct way w;
    int64_t at = 0;

    (void)state;
    way_init(&w, 1);
    w.set = (struct way_settings){ .rate = 8e6, .queue = 5000 }; /* a byte in a microsecond */
    for (uint32_t i = 0; i < 10; i++)
        put(&w, i, 1000, 0);
    assert_int_equal(w.counters.queue_full, 5);
    for (uint32_t i = 0; i < 5; i++) {
        at += MS;
        assert_int_equal(way_due(&w), at);
        assert_int_equal(take(&w, at), i);
    }
    way_fini(&w);
}

static void a_blackout_takes_what_goes_in_and_leaves_what_flies(void **state)
{
    struct way w;

    (void)state;
    way_init(&w, 1);
    w.set.delay = 10;
    put(&w, 1, 100, 0);
    w.blackout_until = 50 * MS;
    put(&w, 2, 100, 5 * MS);
    put(&w, 3, 100, 50 * MS);
    assert_int_equal(take(&w, WAY_NEVER - 1), 1);
    assert_int_equal(take(&w, WAY_NEVER - 1), 3);
    assert_int_equal(w.counters.blackout, 1);
    way_fini(&w);
}

static void what_is_above_the_mtu_vanishes_or_is_told_of(void **state)
{
    struct way w;

    (void)state;
    way_init(&w, 1);
    w.set.mtu = 1300;
    assert_true(put(&w, 1, 1300, 0));
    assert_true(put(&w, 2, 1301, 0));
    w.set.icmp = 1;
    assert_false(put(&w, 3, 1301, 0));
    assert_int_equal(w.counters.too_big, 2);
    assert_int_equal(take(&w, 0), 1);
    assert_int_equal(take(&w, 0), -1);
    way_fini(&w);
}

/* RFC 1191, section 4; RFC 4443, section 3.2 */
static void too_big_names_the_mtu_and_quotes_the_packet(void **state)
{
    uint8_t v4[1400] = { 0x45, 0, 0x05, 0x78, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1 };
    uint8_t v6[1400] = { 0x60, 0, 0, 0, 0x05, 0x50, 17, 64, 0x20, 1, 0x0d, 0xb8 }, buf[1280];
    size_t len = way_too_big(gh_span_of(v4, sizeof v4), 1300, buf);

    (void)state;
    assert_int_equal(len, 576);
    assert_int_equal(buf[20] << 8 | buf[21], 0x0304);
    assert_int_equal(buf[26] << 8 | buf[27], 1300);
    assert_memory_equal(buf + 16, v4 + 12, 4);
    assert_memory_equal(buf + 28, v4, len - 28);
    v4[6] = 0; /* it may be fragmented: nobody is told */
    assert_int_equal(way_too_big(gh_span_of(v4, sizeof v4), 1300, buf), 0);
    len = way_too_big(gh_span_of(v6, sizeof v6), 1300, buf);
    assert_int_equal(len, 1280);
    assert_int_equal(buf[40] << 8 | buf[41], 0x0200);
    assert_int_equal(buf[46] << 8 | buf[47], 1300);
    assert_memory_equal(buf + 48, v6, len - 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_is_due_after_the_delay),
        cmocka_unit_test(jitter_keeps_order_and_reordering_does_not),
        cmocka_unit_test(the_same_seed_gives_the_same_fate),
        cmocka_unit_test(losses_come_in_bursts_of_the_length_asked_for),
        cmocka_unit_test(a_rate_spaces_packets_and_its_queue_is_bounded),
        cmocka_unit_test(a_blackout_takes_what_goes_in_and_leaves_what_flies),
        cmocka_unit_test(what_is_above_the_mtu_vanishes_or_is_told_of),
        cmocka_unit_test(too_big_names_the_mtu_and_quotes_the_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
