#include "proto/forward/fragment.h"

#include "../../wire/packets.h"

#define SECOND INT64_C(1000000000)

static const struct gh_hash_seed seed = { 11, 12 };
static struct gh_fragment_table t;
static struct gh_fragment_owner owner, other;
static int mark;

static void start(uint32_t max, uint32_t max_per_owner)
{
    gh_fragment_table_fini(&t);
    assert_int_equal(gh_fragment_table_init(&t, max, max_per_owner, 30 * SECOND, &seed), 0);
    gh_fragment_owner_init(&owner);
    gh_fragment_owner_init(&other);
}

static struct gh_ip_packet piece(uint32_t id, uint32_t from, uint32_t to, bool more)
{
    return (struct gh_ip_packet){ .src = ip_of("10.0.0.2"), .dst = ip_of("10.0.0.3"), .version = 4, .protocol = 17, .frag_protocol = 17,
                                  .fragment = true, .first_fragment = from == 0, .more = more, .frag_id = id,
                                  .frag_off = (uint16_t)from, .frag_data = 20, .l4_off = 20, .total_len = 20 + to - from };
}

static enum gh_drop first(struct gh_fragment_owner *o, uint32_t id, uint32_t to, int64_t now)
{
    struct gh_ip_packet p = piece(id, 0, to, true);
    struct gh_fragment_key key;

    gh_fragment_key_of(o, 0, &p, &key);
    return gh_fragment_first(&t, o, &key, &p, &mark, 77, now);
}

static enum gh_drop later(struct gh_fragment_owner *o, uint32_t id, uint32_t from, uint32_t to, bool more, int64_t now)
{
    struct gh_ip_packet p = piece(id, from, to, more);
    struct gh_fragment_key key;
    enum gh_drop why;
    uint64_t serial = 0;
    void *flow = NULL;

    gh_fragment_key_of(o, 0, &p, &key);
    why = gh_fragment_next(&t, &key, &p, now, &flow, &serial);
    if (why == GH_DROP_NONE) {
        assert_ptr_equal(flow, &mark);
        assert_int_equal(serial, 77);
    }
    return why;
}

static void later_ones_follow_the_first(void **state)
{
    (void)state;
    start(8, 8);
    assert_int_equal(first(&owner, 1, 1000, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 2000, 3000, true, 1), GH_DROP_NONE); /* in any order */
    assert_int_equal(later(&owner, 1, 1000, 2000, true, 2), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 3000, 3500, false, 3), GH_DROP_NONE);
    assert_int_equal(t.count, 0); /* complete: forgotten, the id may come again */
    assert_int_equal(first(&owner, 1, 1000, 4), GH_DROP_NONE);
}

static void one_without_its_first_is_an_orphan(void **state)
{
    struct gh_ip_packet p = piece(1, 8, 16, true);
    struct gh_fragment_key key;
    uint64_t serial;
    void *flow;

    (void)state;
    start(8, 8);
    assert_int_equal(later(&owner, 1, 8, 16, true, 0), GH_DROP_FRAGMENT_ORPHAN);
    assert_int_equal(first(&owner, 1, 8, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 2, 8, 16, true, 0), GH_DROP_FRAGMENT_ORPHAN); /* another id */
    assert_int_equal(later(&other, 1, 8, 16, true, 0), GH_DROP_FRAGMENT_ORPHAN); /* another session */
    gh_fragment_key_of(&owner, 1, &p, &key); /* another direction */
    assert_int_equal(gh_fragment_next(&t, &key, &p, 0, &flow, &serial), GH_DROP_FRAGMENT_ORPHAN);
    p.frag_protocol = 6;
    gh_fragment_key_of(&owner, 0, &p, &key);
    assert_int_equal(gh_fragment_next(&t, &key, &p, 0, &flow, &serial), GH_DROP_FRAGMENT_ORPHAN);
}

static void the_time_is_thirty_seconds_from_the_first(void **state)
{
    (void)state;
    start(8, 8);
    assert_int_equal(first(&owner, 1, 8, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 8, 16, true, 30 * SECOND - 1), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 16, 24, true, 30 * SECOND), GH_DROP_FRAGMENT_ORPHAN);
    assert_int_equal(t.count, 0);
    assert_int_equal(first(&owner, 1, 8, 40 * SECOND), GH_DROP_NONE);
    assert_int_equal(gh_fragment_sweep(&t, 69 * SECOND, 10), 70 * SECOND);
    assert_int_equal(gh_fragment_sweep(&t, 70 * SECOND, 0), 70 * SECOND);
    assert_int_equal(gh_fragment_sweep(&t, 70 * SECOND, 10), INT64_MAX);
    assert_int_equal(t.count, 0);
}

static void overlapping_ones_are_dropped(void **state)
{
    (void)state;
    start(8, 8);
    assert_int_equal(first(&owner, 1, 16, 0), GH_DROP_NONE);
    assert_int_equal(first(&owner, 1, 16, 0), GH_DROP_FRAGMENT_OVERLAP);
    assert_int_equal(later(&owner, 1, 8, 24, true, 0), GH_DROP_FRAGMENT_OVERLAP);
    assert_int_equal(later(&owner, 1, 32, 48, true, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 32, 48, true, 0), GH_DROP_FRAGMENT_OVERLAP);
    assert_int_equal(later(&owner, 1, 16, 40, true, 0), GH_DROP_FRAGMENT_OVERLAP);
    assert_int_equal(later(&owner, 1, 16, 24, false, 0), GH_DROP_FRAGMENT_OVERLAP); /* an end before what came */
    assert_int_equal(later(&owner, 1, 48, 56, false, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 56, 64, true, 0), GH_DROP_FRAGMENT_OVERLAP);  /* behind the end */
    assert_int_equal(later(&owner, 1, 16, 24, false, 0), GH_DROP_FRAGMENT_OVERLAP); /* a second end */
    assert_int_equal(later(&owner, 1, 16, 32, true, 0), GH_DROP_NONE);
    assert_int_equal(t.count, 0);
}

static void gaps_are_bounded(void **state)
{
    (void)state;
    start(8, 8);
    assert_int_equal(first(&owner, 1, 8, 0), GH_DROP_NONE);
    for (uint32_t i = 1; i < GH_FRAGMENT_RANGES; i++)
        assert_int_equal(later(&owner, 1, i * 16, i * 16 + 8, true, 0), GH_DROP_NONE);
    assert_int_equal(later(&owner, 1, 1024, 1032, true, 0), GH_DROP_FRAGMENT_LIMIT);
    assert_int_equal(later(&owner, 1, 8, 16, true, 0), GH_DROP_NONE); /* closes a gap */
    assert_int_equal(later(&owner, 1, 1024, 1032, true, 0), GH_DROP_NONE);
}

/* A packet of 64 units of eight bytes, its pieces at random; the twin is one flag a unit. */
static void overlap_is_what_a_naive_bitmap_finds(void **state)
{
    uint32_t rnd = 5;

    (void)state;
    for (uint32_t round = 0; round < 3000; round++) {
        bool seen[64] = { [0] = true };
        uint32_t end = 0, highest = 1, pieces = 1;

        start(4, 4);
        assert_int_equal(first(&owner, round, 8, 0), GH_DROP_NONE);
        for (int step = 0; step < 12 && t.count > 0; step++) {
            uint32_t from, to;
            bool more, overlap;
            enum gh_drop why;

            rnd = rnd * 1664525u + 1013904223u;
            from = 1 + (rnd >> 10) % 62;
            to = from + 1 + (rnd >> 20) % 4;
            to = to > 64 ? 64 : to;
            more = rnd >> 29;
            overlap = (end && (to > end || (!more && to != end))) || (!more && highest > to);
            for (uint32_t i = from; i < to; i++)
                overlap = overlap || seen[i];
            why = later(&owner, round, from * 8, to * 8, more, 0);
            assert_int_equal(why, overlap ? GH_DROP_FRAGMENT_OVERLAP : GH_DROP_NONE);
            if (overlap)
                continue;
            pieces++;
            for (uint32_t i = from; i < to; i++)
                seen[i] = true;
            highest = to > highest ? to : highest;
            end = more ? end : to;
            for (uint32_t i = 0, all = 1; end && i <= end; i++) {
                all = all && (i == end || seen[i]);
                if (i == end)
                    assert_int_equal(t.count, !all);
            }
        }
        assert_true(pieces <= GH_FRAGMENT_RANGES);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    start(3, 2);
    assert_int_equal(first(&owner, 1, 8, 0), GH_DROP_NONE);
    assert_int_equal(first(&owner, 2, 8, 1), GH_DROP_NONE);
    assert_int_equal(first(&owner, 3, 8, 2), GH_DROP_NONE); /* its own oldest went */
    assert_int_equal(later(&owner, 1, 8, 16, true, 3), GH_DROP_FRAGMENT_ORPHAN);
    assert_int_equal(later(&owner, 2, 8, 16, true, 3), GH_DROP_NONE);
    assert_int_equal(first(&other, 1, 8, 4), GH_DROP_NONE);
    assert_int_equal(first(&other, 2, 8, 4), GH_DROP_NONE); /* the oldest of all went */
    assert_int_equal(later(&owner, 2, 16, 24, true, 5), GH_DROP_FRAGMENT_ORPHAN);
    assert_int_equal(later(&owner, 3, 8, 16, true, 5), GH_DROP_NONE);
    assert_int_equal(t.count, 3);
    gh_fragment_owner_fini(&t, &owner);
    gh_fragment_owner_fini(&t, &other);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.map.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_ones_follow_the_first),
        cmocka_unit_test(one_without_its_first_is_an_orphan),
        cmocka_unit_test(the_time_is_thirty_seconds_from_the_first),
        cmocka_unit_test(overlapping_ones_are_dropped),
        cmocka_unit_test(gaps_are_bounded),
        cmocka_unit_test(overlap_is_what_a_naive_bitmap_finds),
        cmocka_unit_test(limits_hold),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    gh_fragment_table_fini(&t);
    gh_fragment_table_fini(NULL);
    return rc;
}
