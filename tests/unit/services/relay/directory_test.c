#include "services/relay/directory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

static const struct gh_hash_seed seed = { 3, 4 };

static struct gh_directory *make_seeded(uint32_t sessions, uint32_t readers, struct gh_hash_seed with)
{
    struct gh_directory_conf conf = { .sessions_max = sessions, .readers = readers, .seed = with };
    struct gh_directory *d = NULL;

    assert_int_equal(gh_directory_create(&conf, &d), 0);
    return d;
}

static struct gh_directory *make(uint32_t sessions, uint32_t readers)
{
    return make_seeded(sessions, readers, seed);
}

static struct gh_ip ip4(uint32_t host)
{
    uint8_t b[4] = { 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host };

    return gh_ip_v4(b);
}

static int insert(struct gh_directory *d, const char *name, uint32_t addr, uint32_t index, struct gh_directory_found *displaced)
{
    struct gh_ip a = ip4(addr);
    struct gh_directory_entry e = { .worker = index % 2, .session = { index, 1 }, .identity = gh_span_str(name), .addrs = &a,
                                    .addr_count = 1 };
    int rc;

    gh_directory_lock(d);
    rc = gh_directory_insert(d, &e, displaced);
    gh_directory_unlock(d);
    return rc;
}

static int remove_session(struct gh_directory *d, const char *name, uint32_t index)
{
    struct gh_directory_found f = { index % 2, { index, 1 } };
    int rc;

    gh_directory_lock(d);
    rc = gh_directory_remove(d, 0, gh_span_str(name), &f);
    gh_directory_unlock(d);
    return rc;
}

/* The session index at an address, or -1. */
static int at(struct gh_directory *d, uint32_t addr)
{
    struct gh_ip a = ip4(addr);
    struct gh_directory_found f;
    bool found;

    gh_directory_enter(d, 0);
    found = gh_directory_find_addr(d, &a, &f);
    gh_directory_leave(d, 0);
    if (found)
        assert_int_equal(f.worker, f.session.index % 2);
    return found ? (int)f.session.index : -1;
}

static int of(struct gh_directory *d, uint32_t tenant, const char *name)
{
    struct gh_directory_found f;
    bool found;

    gh_directory_enter(d, 0);
    found = gh_directory_find_identity(d, tenant, gh_span_str(name), &f);
    gh_directory_leave(d, 0);
    return found ? (int)f.session.index : -1;
}

static void a_session_is_found_by_address_and_identity(void **state)
{
    struct gh_directory *d = make(10, 1);
    struct gh_directory_found x;

    (void)state;
    assert_int_equal(at(d, 2), -1);
    assert_int_equal(insert(d, "a", 2, 7, &x), 0);
    assert_int_equal(at(d, 2), 7);
    assert_int_equal(at(d, 3), -1);
    assert_int_equal(of(d, 0, "a"), 7);
    assert_int_equal(of(d, 1, "a"), -1); /* another tenant's a is somebody else */
    assert_int_equal(of(d, 0, ""), -1);
    assert_int_equal(gh_directory_count(d), 1);
    assert_int_equal(remove_session(d, "a", 7), 0);
    assert_int_equal(at(d, 2), -1);
    assert_int_equal(of(d, 0, "a"), -1);
    assert_int_equal(gh_directory_count(d), 0);
    gh_directory_destroy(d);
}

static void the_newest_session_of_an_identity_takes_over(void **state)
{
    struct gh_directory *d = make(10, 1);
    struct gh_directory_found x = { 0 };

    (void)state;
    assert_int_equal(insert(d, "a", 2, 7, &x), 0);
    assert_int_equal(insert(d, "a", 2, 8, &x), 1);
    assert_int_equal(x.session.index, 7);
    assert_int_equal(x.worker, 1);
    assert_int_equal(at(d, 2), 8);
    /* the end of the displaced session leaves the new one alone */
    assert_int_equal(remove_session(d, "a", 7), GH_ERR_NOT_FOUND);
    assert_int_equal(at(d, 2), 8);
    /* the same identity at another address frees the first */
    assert_int_equal(insert(d, "a", 3, 9, &x), 1);
    assert_int_equal(at(d, 2), -1);
    assert_int_equal(at(d, 3), 9);
    assert_int_equal(gh_directory_count(d), 1);
    gh_directory_destroy(d);
}

static void an_address_of_another_identity_is_refused(void **state)
{
    struct gh_directory *d = make(10, 1);
    struct gh_directory_found x;
    struct gh_ip twice[2] = { ip4(9), ip4(9) };
    struct gh_directory_entry e = { .identity = gh_span_str("c"), .addrs = twice, .addr_count = 2 };

    (void)state;
    assert_int_equal(insert(d, "a", 2, 7, &x), 0);
    assert_int_equal(insert(d, "b", 2, 8, &x), GH_ERR_EXISTS);
    assert_int_equal(at(d, 2), 7);
    assert_int_equal(of(d, 0, "b"), -1);
    gh_directory_lock(d);
    assert_int_equal(gh_directory_insert(d, &e, &x), GH_ERR_EXISTS);
    gh_directory_unlock(d);
    gh_directory_destroy(d);
}

static void limits_are_kept(void **state)
{
    struct gh_directory *d = make(2, 1);
    struct gh_directory_found x;
    struct gh_ip many[GH_DIRECTORY_ADDRS_MAX + 1] = { 0 };
    char name[GH_DIRECTORY_IDENTITY_MAX + 2];
    struct gh_directory_entry e = { .identity = gh_span_str("c"), .addrs = many, .addr_count = GH_DIRECTORY_ADDRS_MAX + 1 };
    struct gh_directory_conf bad = { .sessions_max = 0, .readers = 1 };

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(insert(d, "a", 2, 1, &x), 0);
    assert_int_equal(insert(d, "b", 3, 2, &x), 0);
    assert_int_equal(insert(d, "c", 4, 3, &x), GH_ERR_FULL);
    assert_int_equal(insert(d, "b", 4, 3, &x), 1); /* a take-over needs no room */
    assert_int_equal(insert(d, "", 4, 3, &x), GH_ERR_RANGE);
    assert_int_equal(insert(d, name, 4, 3, &x), GH_ERR_RANGE);
    assert_int_equal(remove_session(d, name, 3), GH_ERR_NOT_FOUND);
    gh_directory_lock(d);
    assert_int_equal(gh_directory_insert(d, &e, &x), GH_ERR_RANGE);
    gh_directory_unlock(d);
    gh_directory_destroy(d);
    gh_directory_destroy(NULL);
    assert_int_equal(gh_directory_create(&bad, &d), GH_ERR_RANGE);
    bad = (struct gh_directory_conf){ .sessions_max = 1, .readers = GH_DIRECTORY_READERS_MAX + 1 };
    assert_int_equal(gh_directory_create(&bad, &d), GH_ERR_RANGE);
    bad.readers = 0;
    assert_int_equal(gh_directory_create(&bad, &d), GH_ERR_RANGE);
    bad = (struct gh_directory_conf){ .sessions_max = UINT32_MAX, .readers = 1 };
    assert_int_equal(gh_directory_create(&bad, &d), GH_ERR_RANGE);
}

static void a_writer_without_the_lock_is_refused(void **state)
{
    struct gh_directory *d = make(2, 1);
    struct gh_directory_entry e = { .identity = gh_span_str("a") };
    struct gh_directory_found x = { 0 };

    (void)state;
    assert_int_equal(gh_directory_insert(d, &e, &x), GH_ERR_STATE);
    assert_int_equal(gh_directory_remove(d, 0, e.identity, &x), GH_ERR_STATE);
    assert_int_equal(gh_directory_reclaim(d), GH_ERR_STATE);
    assert_int_equal(gh_directory_each(d, NULL, NULL), GH_ERR_STATE);
    gh_directory_destroy(d);
}

static void a_reader_inside_holds_back_what_it_may_see(void **state)
{
    struct gh_directory *d = make(2, 2);
    struct gh_directory_found x;

    (void)state;
    assert_int_equal(insert(d, "a", 2, 1, &x), 0);
    gh_directory_enter(d, 1);
    assert_int_equal(insert(d, "a", 2, 2, &x), 1);
    assert_int_equal(insert(d, "a", 2, 3, &x), 1);
    /* two wait, as many as there may be sessions */
    assert_int_equal(insert(d, "a", 2, 4, &x), GH_ERR_AGAIN);
    gh_directory_lock(d);
    assert_int_equal(gh_directory_reclaim(d), 2);
    gh_directory_unlock(d);
    gh_directory_leave(d, 1);
    gh_directory_enter(d, 0); /* a section that began later does not matter */
    gh_directory_lock(d);
    assert_int_equal(gh_directory_reclaim(d), 0);
    gh_directory_unlock(d);
    gh_directory_leave(d, 0);
    assert_int_equal(insert(d, "a", 2, 4, &x), 1);
    gh_directory_destroy(d);
}

static bool count_entry(void *arg, const struct gh_directory_entry *e)
{
    uint32_t *seen = arg;

    seen[0]++;
    seen[1] += e->session.index;
    assert_int_equal(e->addr_count, 1);
    return seen[0] < 3;
}

static void each_visits_until_told_to_stop(void **state)
{
    struct gh_directory *d = make(8, 1);
    struct gh_directory_found x;
    uint32_t seen[2] = { 0, 0 };

    (void)state;
    assert_int_equal(insert(d, "a", 2, 1, &x), 0);
    assert_int_equal(insert(d, "b", 3, 2, &x), 0);
    gh_directory_lock(d);
    assert_int_equal(gh_directory_each(d, count_entry, seen), 0);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 3);
    gh_directory_unlock(d);
    assert_int_equal(insert(d, "c", 4, 3, &x), 0);
    assert_int_equal(insert(d, "d", 5, 4, &x), 0);
    seen[0] = 0;
    gh_directory_lock(d);
    assert_int_equal(gh_directory_each(d, count_entry, seen), 0);
    gh_directory_unlock(d);
    assert_int_equal(seen[0], 3);
    gh_directory_destroy(d);
}

static void holds_what_a_naive_table_holds(void **state)
{
    enum { N = 300 };
    struct gh_directory *d = make(N, 1);
    int twin[N];
    uint32_t rnd = 99;

    (void)state;
    for (int i = 0; i < N; i++)
        twin[i] = -1;
    for (int step = 1; step < 40000; step++) {
        struct gh_directory_found x;
        uint32_t k;
        char name[16];

        rnd = rnd * 1664525u + 1013904223u;
        k = (rnd >> 16) % N;
        snprintf(name, sizeof name, "n%u", k);
        assert_int_equal(at(d, k), twin[k]);
        assert_int_equal(of(d, 0, name), twin[k]);
        if (rnd >> 31 && twin[k] >= 0) {
            assert_int_equal(remove_session(d, name, (uint32_t)twin[k]), 0);
            twin[k] = -1;
        } else {
            assert_int_equal(insert(d, name, k, (uint32_t)step, &x), twin[k] >= 0);
            twin[k] = step;
        }
    }
    gh_directory_destroy(d);
}

/* One writer replaces, removes and inserts; address 1 always has a session, whose index only grows. */
struct race {
    struct gh_directory *d;
    atomic_bool stop;
    _Atomic uint32_t ready, wrong;
};

struct race_reader {
    struct race *race;
    uint32_t number;
};

static void *read_all_the_time(void *arg)
{
    struct race_reader *r = arg;
    struct gh_directory *d = r->race->d;
    uint32_t last = 0;

    atomic_fetch_add(&r->race->ready, 1);
    while (!atomic_load(&r->race->stop)) {
        gh_directory_enter(d, r->number);
        for (uint32_t i = 1; i < 40; i++) {
            struct gh_ip a = ip4(i);
            struct gh_directory_found f;
            bool found = gh_directory_find_addr(d, &a, &f);

            if (i == 1 && (!found || f.session.index < last))
                atomic_fetch_add(&r->race->wrong, 1);
            else if (i == 1)
                last = f.session.index;
            if (found && f.worker != f.session.index % 2)
                atomic_fetch_add(&r->race->wrong, 1);
            if (!gh_directory_find_identity(d, 0, gh_span_str("a1"), &f))
                atomic_fetch_add(&r->race->wrong, 1);
        }
        gh_directory_leave(d, r->number);
    }
    return NULL;
}

/* Which names and addresses share a chain follows from the seed. */
static void race_with(uint64_t number)
{
    struct race race = { .d = make_seeded(64, 2, (struct gh_hash_seed){ number, ~number }) };
    struct race_reader readers[2] = { { &race, 0 }, { &race, 1 } };
    pthread_t threads[2];
    struct gh_directory_found x;
    uint32_t rounds = 0, again = 0;

    assert_int_equal(insert(race.d, "a1", 1, 0, &x), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readers[i]), 0);
    while (atomic_load(&race.ready) < 2)
        ;
    for (uint32_t step = 1; step < 20000; step++) {
        uint32_t k = 2 + step % 38;
        char name[16];
        int rc = insert(race.d, "a1", 1, step, &x);

        again += rc == GH_ERR_AGAIN; /* a reader was put to sleep inside a section */
        rounds += rc == 1;
        snprintf(name, sizeof name, "a%u", k);
        if (insert(race.d, name, k, step, &x) >= 0 && step % 3 == 0)
            assert_int_equal(remove_session(race.d, name, step), 0);
    }
    atomic_store(&race.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.wrong), 0);
    assert_int_equal(rounds + again, 19999);
    assert_true(rounds > 0);
    gh_directory_destroy(race.d);
}

static void readers_always_find_a_session_that_is_replaced(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 12; number++)
        race_with(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_found_by_address_and_identity),
        cmocka_unit_test(the_newest_session_of_an_identity_takes_over),
        cmocka_unit_test(an_address_of_another_identity_is_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_writer_without_the_lock_is_refused),
        cmocka_unit_test(a_reader_inside_holds_back_what_it_may_see),
        cmocka_unit_test(each_visits_until_told_to_stop),
        cmocka_unit_test(holds_what_a_naive_table_holds),
        cmocka_unit_test(readers_always_find_a_session_that_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
