#include "services/relay/pool.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

static const struct gh_hash_seed seed = { 5, 6 };

static struct gh_ip ip(const char *text)
{
    struct gh_ip a = { 0 };

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

/* <prefixes> separated by one space. */
static int try_make(const char *prefixes, uint32_t max, struct gh_pool **ret)
{
    struct gh_prefix p[GH_POOL_PREFIXES_MAX];
    struct gh_pool_conf conf = { .prefixes = p, .leases_max = max, .seed = seed };

    while (*prefixes) {
        size_t len = strcspn(prefixes, " ");

        assert_int_equal(gh_prefix_parse(prefixes, len, &p[conf.prefix_count++]), 0);
        prefixes += len + (prefixes[len] == ' ');
    }
    return gh_pool_create(&conf, ret);
}

static struct gh_pool *make(const char *prefixes, uint32_t max)
{
    struct gh_pool *p = NULL;

    assert_int_equal(try_make(prefixes, max, &p), 0);
    return p;
}

static int acquire(struct gh_pool *p, const char *name, uint8_t family, const char *wanted, struct gh_pool_lease *ret)
{
    struct gh_pool_request req = { .family = family, .identity = gh_span_str(name), .wall = 100 };

    if (wanted)
        req.wanted = ip(wanted);
    return gh_pool_acquire(p, &req, ret);
}

/* Acquires and says which address came out. */
static void gets(struct gh_pool *p, const char *name, const char *wanted, const char *expect)
{
    char text[GH_IP_TEXT];
    struct gh_pool_lease l;

    assert_int_equal(acquire(p, name, strchr(expect, ':') ? 6 : 4, wanted, &l), 0);
    assert_string_equal(gh_ip_emit(&l.addr, text), expect);
    assert_true(gh_prefix_contains(&l.prefix, &l.addr));
}

static int release(struct gh_pool *p, const char *addr)
{
    struct gh_ip a = ip(addr);

    return gh_pool_release(p, &a, 200);
}

static int forget(struct gh_pool *p, const char *addr)
{
    struct gh_ip a = ip(addr);

    return gh_pool_forget(p, &a);
}

static int restore(struct gh_pool *p, const char *name, const char *addr, int64_t last)
{
    struct gh_ip a = ip(addr);

    return gh_pool_restore(p, 0, gh_span_str(name), &a, 10, last);
}

static void every_length_has_its_relay_and_its_leases(void **state)
{
    static const struct {
        const char *prefix, *relay, *first;
        uint64_t capacity;
    } rows[] = {
        { "10.100.0.0/24", "10.100.0.1", "10.100.0.2", 253 }, { "10.0.0.0/30", "10.0.0.1", "10.0.0.2", 1 },
        { "10.0.0.0/29", "10.0.0.1", "10.0.0.2", 5 },         { "10.0.0.8/31", "10.0.0.8", "10.0.0.9", 1 },
        { "10.0.0.7/32", "10.0.0.7", NULL, 0 },               { "10.0.0.0/8", "10.0.0.1", "10.0.0.2", 1000 },
        { "0.0.0.0/0", "0.0.0.1", "0.0.0.2", 1000 },          { "fd00:1::/64", "fd00:1::1", "fd00:1::2", 1000 },
        { "fd00::/16", "fd00::1", "fd00::2", 1000 },          { "fd00:1::/126", "fd00:1::1", "fd00:1::2", 2 },
        { "fd00:1::/127", "fd00:1::", "fd00:1::1", 1 },       { "fd00:1::5/128", "fd00:1::5", NULL, 0 },
        { "::/0", "::1", "::2", 1000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gh_pool *p = make(rows[i].prefix, 1000);
        struct gh_ip relay = gh_pool_relay_addr(p, 0), expect = ip(rows[i].relay);
        struct gh_pool_lease l;

        assert_true(gh_ip_equals(&relay, &expect));
        assert_int_equal(gh_pool_usage(p, 0).capacity, rows[i].capacity);
        if (rows[i].first)
            gets(p, "a", NULL, rows[i].first);
        else
            assert_int_equal(acquire(p, "a", relay.family, NULL, &l), GH_ERR_FULL);
        gh_pool_destroy(p);
    }
}

static void a_24_leases_2_to_254_and_then_is_full(void **state)
{
    struct gh_pool *p = make("10.100.0.0/24", 65536);
    struct gh_pool_lease l;
    char name[16], expect[32];

    (void)state;
    for (int i = 2; i <= 254; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(expect, sizeof expect, "10.100.0.%d", i);
        gets(p, name, NULL, expect);
    }
    assert_int_equal(acquire(p, "late", 4, NULL, &l), GH_ERR_FULL);
    assert_int_equal(acquire(p, "late", 4, "10.100.0.9", &l), GH_ERR_FULL);
    assert_int_equal(acquire(p, "late", 6, NULL, &l), GH_ERR_FULL); /* no prefix of the family */
    assert_int_equal(gh_pool_usage(p, 4).held, 253);
    assert_int_equal(gh_pool_usage(p, 6).capacity, 0);
    gets(p, "c9", NULL, "10.100.0.9"); /* who is in stays in */
    gh_pool_destroy(p);
    gh_pool_destroy(NULL);
}

static void the_same_identity_gets_the_same_address(void **state)
{
    struct gh_pool *p = make("10.100.0.0/24 fd00:100::/64", 100);
    struct gh_pool_lease l;
    struct gh_pool_request other = { .tenant = 7, .family = 4, .identity = gh_span_str("a"), .wall = 5 };

    (void)state;
    assert_int_equal(acquire(p, "a", 4, NULL, &l), 0);
    assert_true(l.fresh);
    assert_int_equal(l.first_seen, 100);
    gets(p, "b", NULL, "10.100.0.3");
    gets(p, "a", NULL, "10.100.0.2"); /* second session of the same identity */
    assert_int_equal(release(p, "10.100.0.2"), 0);
    assert_int_equal(gh_pool_usage(p, 4).held, 2);
    assert_int_equal(release(p, "10.100.0.2"), 0);
    assert_int_equal(gh_pool_usage(p, 4).held, 1);
    assert_int_equal(gh_pool_usage(p, 4).released, 1);
    assert_int_equal(release(p, "10.100.0.2"), GH_ERR_STATE);
    gets(p, "c", NULL, "10.100.0.4");
    assert_int_equal(acquire(p, "a", 4, NULL, &l), 0);
    assert_false(l.fresh);
    assert_int_equal(l.addr.bytes[3], 2);
    assert_int_equal(l.holds, 1);
    gets(p, "a", NULL, "fd00:100::2");
    gets(p, "c", NULL, "fd00:100::3");
    /* another tenant's a is somebody else */
    assert_int_equal(gh_pool_acquire(p, &other, &l), 0);
    assert_int_equal(l.addr.bytes[3], 5);
    assert_int_equal(gh_pool_find(p, 7, gh_span_str("a"), 4, &l), 0);
    assert_int_equal(l.addr.bytes[3], 5);
    assert_int_equal(gh_pool_find(p, 8, gh_span_str("a"), 4, &l), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_pool_find(p, 0, gh_span_str(""), 4, &l), GH_ERR_NOT_FOUND);
    gh_pool_destroy(p);
}

static void when_all_are_used_the_longest_absent_loses_its_address(void **state)
{
    struct gh_pool *p = make("10.0.0.0/29", 100); /* .2 to .6 */
    struct gh_pool_lease l;

    (void)state;
    gets(p, "a", NULL, "10.0.0.2");
    gets(p, "b", NULL, "10.0.0.3");
    gets(p, "c", NULL, "10.0.0.4");
    assert_int_equal(release(p, "10.0.0.3"), 0);
    assert_int_equal(release(p, "10.0.0.2"), 0);
    gets(p, "d", NULL, "10.0.0.5"); /* unused ones first */
    gets(p, "e", NULL, "10.0.0.6");
    gets(p, "f", NULL, "10.0.0.3"); /* b went before a */
    gets(p, "g", NULL, "10.0.0.2");
    assert_int_equal(acquire(p, "b", 4, NULL, &l), GH_ERR_FULL);
    assert_int_equal(gh_pool_usage(p, 0).held, 5);
    assert_int_equal(gh_pool_usage(p, 0).released, 0);
    gh_pool_destroy(p);
}

static void prefixes_are_used_in_order_and_the_oldest_release_counts_across_them(void **state)
{
    struct gh_pool *p = make("10.0.0.0/30 10.0.1.0/30", 100);
    struct gh_pool_lease l;

    (void)state;
    gets(p, "a", NULL, "10.0.0.2");
    gets(p, "b", NULL, "10.0.1.2");
    assert_int_equal(acquire(p, "c", 4, NULL, &l), GH_ERR_FULL);
    assert_int_equal(release(p, "10.0.1.2"), 0);
    assert_int_equal(release(p, "10.0.0.2"), 0);
    gets(p, "c", NULL, "10.0.1.2");
    gets(p, "d", NULL, "10.0.0.2");
    assert_int_equal(gh_pool_relay_addr(p, 1).bytes[2], 1);
    assert_int_equal(gh_pool_relay_addr(p, 2).family, 0);
    gh_pool_destroy(p);
}

static void a_wanted_address_is_honoured_when_nobody_has_it(void **state)
{
    struct gh_pool *p = make("10.0.0.0/24 fd00::/64", 100);
    struct gh_pool_lease l;

    (void)state;
    gets(p, "a", "10.0.0.3", "10.0.0.3");
    gets(p, "b", "10.0.0.3", "10.0.0.2");   /* taken: any other */
    gets(p, "c", "10.0.0.1", "10.0.0.4");   /* the relay's; .3 is passed over */
    gets(p, "d", "10.0.0.255", "10.0.0.5"); /* broadcast */
    gets(p, "e", "10.0.0.0", "10.0.0.6");
    gets(p, "f", "192.0.2.1", "10.0.0.7"); /* not ours */
    gets(p, "g", "fd00::9", "10.0.0.8");   /* of the other family */
    gets(p, "g", "fd00::9", "fd00::9");
    gets(p, "h", "fd00:0:0:0:1::", "fd00::1:0:0:0");
    gets(p, "a", "10.0.0.50", "10.0.0.3"); /* held: it keeps its own */
    assert_int_equal(release(p, "10.0.0.3"), 0);
    assert_int_equal(release(p, "10.0.0.3"), 0);
    gets(p, "i", "10.0.0.3", "10.0.0.9"); /* reserved for a */
    assert_int_equal(acquire(p, "a", 4, "10.0.0.50", &l), 0);
    assert_true(l.fresh);
    assert_int_equal(l.addr.bytes[3], 50); /* a moved, its old address is free */
    gets(p, "j", NULL, "10.0.0.3");
    assert_int_equal(release(p, "10.0.0.50"), 0);
    gets(p, "a", "10.0.0.50", "10.0.0.50"); /* its own */
    assert_int_equal(release(p, "10.0.0.50"), 0);
    gets(p, "a", "10.0.0.3", "10.0.0.50"); /* somebody else's: its own */
    gh_pool_destroy(p);
}

static void a_wide_prefix_counts_in_its_last_64_bits(void **state)
{
    struct gh_pool *p = make("fd00::/16", 10);

    (void)state;
    gets(p, "a", "fd00:1::5", "fd00::2"); /* inside, but further than leases are counted */
    gets(p, "b", "fd00::1:0:0:5", "fd00::1:0:0:5");
    gh_pool_destroy(p);
}

static void records_are_bounded_however_often_addresses_change(void **state)
{
    struct gh_pool *p = make("10.0.0.0/8", 3);
    struct gh_pool_lease l;
    char wanted[32];

    (void)state;
    for (int i = 10; i < 200; i++) {
        snprintf(wanted, sizeof wanted, "10.0.0.%d", i);
        gets(p, "a", wanted, wanted);
        assert_int_equal(release(p, wanted), 0);
    }
    assert_int_equal(gh_pool_usage(p, 0).capacity, 3);
    assert_int_equal(acquire(p, "b", 4, NULL, &l), 0);
    assert_int_equal(acquire(p, "c", 4, NULL, &l), 0);
    assert_int_equal(acquire(p, "d", 4, "10.9.9.9", &l), 0); /* a's: at the limit the absent one goes */
    assert_int_equal(gh_pool_find(p, 0, gh_span_str("a"), 4, &l), GH_ERR_NOT_FOUND);
    assert_int_equal(acquire(p, "e", 4, NULL, &l), GH_ERR_FULL);
    gh_pool_destroy(p);
}

static void reservations_survive_a_restart(void **state)
{
    struct gh_pool *p = make("10.0.0.0/29", 100);
    struct gh_pool_lease l;

    (void)state;
    assert_int_equal(restore(p, "old", "10.0.0.2", 50), 0);
    assert_int_equal(restore(p, "new", "10.0.0.5", 60), 0);
    assert_int_equal(restore(p, "new", "10.0.0.6", 60), GH_ERR_EXISTS);
    assert_int_equal(restore(p, "x", "10.0.0.5", 60), GH_ERR_EXISTS);
    assert_int_equal(restore(p, "x", "10.0.0.1", 60), GH_ERR_RANGE);
    assert_int_equal(restore(p, "x", "10.0.1.2", 60), GH_ERR_RANGE);
    assert_int_equal(restore(p, "", "10.0.0.6", 60), GH_ERR_RANGE);
    assert_int_equal(acquire(p, "new", 4, NULL, &l), 0);
    assert_int_equal(l.addr.bytes[3], 5);
    assert_false(l.fresh);
    assert_int_equal(l.first_seen, 10);
    assert_int_equal(l.last_seen, 100);
    gets(p, "a", NULL, "10.0.0.3");
    gets(p, "b", NULL, "10.0.0.4");
    gets(p, "c", NULL, "10.0.0.6");
    gets(p, "d", NULL, "10.0.0.2"); /* only now the one that is absent */
    gh_pool_destroy(p);
    p = make("10.0.0.0/24", 1);
    assert_int_equal(restore(p, "a", "10.0.0.2", 1), 0);
    assert_int_equal(restore(p, "b", "10.0.0.3", 1), GH_ERR_FULL);
    gh_pool_destroy(p);
}

static void a_forgotten_address_goes_to_the_next(void **state)
{
    struct gh_pool *p = make("10.0.0.0/24", 100);
    struct gh_pool_lease l;

    (void)state;
    gets(p, "a", NULL, "10.0.0.2");
    assert_int_equal(forget(p, "10.0.0.2"), GH_ERR_STATE);
    assert_int_equal(release(p, "10.0.0.2"), 0);
    assert_int_equal(forget(p, "10.0.0.2"), 0);
    assert_int_equal(forget(p, "10.0.0.2"), GH_ERR_NOT_FOUND);
    assert_int_equal(forget(p, "10.0.0.77"), GH_ERR_NOT_FOUND);
    assert_int_equal(release(p, "10.0.0.2"), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_pool_find(p, 0, gh_span_str("a"), 4, &l), GH_ERR_NOT_FOUND);
    gets(p, "b", NULL, "10.0.0.2");
    gh_pool_destroy(p);
}

static void nonsense_is_refused(void **state)
{
    struct gh_pool *p = NULL;
    struct gh_prefix bad = { .addr = { .family = 4, .bytes = { 10, 0, 0, 1 } }, .len = 24 };
    struct gh_pool_conf conf = { .prefixes = &bad, .prefix_count = 1, .leases_max = 1 };
    struct gh_pool_lease l;
    char name[GH_POOL_IDENTITY_MAX + 2];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(gh_pool_create(&conf, &p), GH_ERR_RANGE);
    bad.addr.family = 0;
    assert_int_equal(gh_pool_create(&conf, &p), GH_ERR_RANGE);
    assert_int_equal(try_make("", 1, &p), GH_ERR_RANGE);
    assert_int_equal(try_make("10.0.0.0/24", 0, &p), GH_ERR_RANGE);
    assert_int_equal(try_make("10.0.0.0/24 10.0.0.128/25", 1, &p), GH_ERR_EXISTS);
    assert_int_equal(try_make("10.0.0.128/25 10.0.0.0/24", 1, &p), GH_ERR_EXISTS);
    p = make("10.0.0.0/24", 10);
    assert_int_equal(acquire(p, "", 4, NULL, &l), GH_ERR_RANGE);
    assert_int_equal(acquire(p, name, 4, NULL, &l), GH_ERR_RANGE);
    assert_int_equal(acquire(p, "a", 5, NULL, &l), GH_ERR_RANGE);
    name[GH_POOL_IDENTITY_MAX] = 0;
    assert_int_equal(acquire(p, name, 4, NULL, &l), 0);
    gh_pool_destroy(p);
}

static struct gh_ip ip4_host(int index)
{
    uint8_t b[4] = { 10, 0, 0, (uint8_t)(index + 2) };

    return gh_ip_v4(b);
}

/* A twin that searches arrays: same answers about who has what, for 20,000 random steps. */
static void agrees_with_a_naive_pool(void **state)
{
    enum { HOSTS = 13, NAMES = 20 }; /* .2 to .14 of a /28 */
    struct gh_pool *p = make("10.0.0.0/28", 100);
    int owner[HOSTS], holds[HOSTS];
    long released_at[HOSTS];
    uint32_t rnd = 4711;

    (void)state;
    for (int i = 0; i < HOSTS; i++)
        owner[i] = -1, holds[i] = 0, released_at[i] = 0;
    for (long step = 1; step < 20000; step++) {
        int who, mine = -1, oldest = -1;
        bool unused = false;
        struct gh_pool_lease l;
        char name[16];
        int rc;

        rnd = rnd * 1664525u + 1013904223u;
        who = (int)((rnd >> 8) % NAMES);
        snprintf(name, sizeof name, "n%d", who);
        for (int i = 0; i < HOSTS; i++) {
            if (owner[i] == who)
                mine = i;
            unused = unused || owner[i] < 0;
            if (owner[i] >= 0 && holds[i] == 0 && (oldest < 0 || released_at[i] < released_at[oldest]))
                oldest = i;
        }
        if (rnd >> 31 && mine >= 0) {
            struct gh_ip a = ip4_host(mine);

            assert_int_equal(gh_pool_release(p, &a, step), holds[mine] > 0 ? 0 : GH_ERR_STATE);
            if (holds[mine] > 0 && --holds[mine] == 0)
                released_at[mine] = step;
            continue;
        }
        rc = acquire(p, name, 4, NULL, &l);
        if (mine < 0 && !unused && oldest < 0) {
            assert_int_equal(rc, GH_ERR_FULL);
            continue;
        }
        assert_int_equal(rc, 0);
        if (mine >= 0)
            assert_int_equal(l.addr.bytes[3], mine + 2);
        else if (unused)
            assert_int_equal(owner[l.addr.bytes[3] - 2], -1);
        else
            assert_int_equal(l.addr.bytes[3], oldest + 2);
        owner[l.addr.bytes[3] - 2] = who;
        holds[l.addr.bytes[3] - 2] = mine >= 0 ? holds[mine] + 1 : 1;
    }
    gh_pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_has_its_relay_and_its_leases),
        cmocka_unit_test(a_24_leases_2_to_254_and_then_is_full),
        cmocka_unit_test(the_same_identity_gets_the_same_address),
        cmocka_unit_test(when_all_are_used_the_longest_absent_loses_its_address),
        cmocka_unit_test(prefixes_are_used_in_order_and_the_oldest_release_counts_across_them),
        cmocka_unit_test(a_wanted_address_is_honoured_when_nobody_has_it),
        cmocka_unit_test(a_wide_prefix_counts_in_its_last_64_bits),
        cmocka_unit_test(records_are_bounded_however_often_addresses_change),
        cmocka_unit_test(reservations_survive_a_restart),
        cmocka_unit_test(a_forgotten_address_goes_to_the_next),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(agrees_with_a_naive_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
