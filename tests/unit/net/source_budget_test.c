#include "net/source_budget.h"

#include "../test.h"

#define SECOND INT64_C(1000000000)
#define START (1000 * SECOND)
#define RATE 10u
#define BURST (RATE * GH_SOURCE_BUDGET_BURST)

static const struct gh_hash_seed seed = { 1, 2 };
static struct gh_source_budget b;

static int begin(void **state)
{
    (void)state;
    gh_source_budget_init(&b, &seed, RATE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    gh_source_budget_fini(&b);
    return 0;
}

static struct gh_ip v4(uint32_t n)
{
    uint8_t bytes[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

    return gh_ip_v4(bytes);
}

static unsigned taken(const struct gh_ip *ip, bool proved, unsigned tries, int64_t now)
{
    unsigned n = 0;

    for (unsigned i = 0; i < tries; i++)
        n += gh_source_budget_take(&b, ip, proved, now) == GH_SOURCE_GO;
    return n;
}

static void a_source_has_a_burst_and_a_rate(void **state)
{
    struct gh_ip ip = v4(0xc0000201), other = v4(0xc0000202);

    (void)state;
    assert_int_equal(taken(&ip, false, 1000, START), BURST);
    assert_int_equal(taken(&ip, false, 1000, START + SECOND), RATE);
    assert_int_equal(taken(&other, false, 1000, START), BURST);
    assert_int_equal(taken(&ip, false, 1000, START + 1000 * SECOND), BURST);
}

static void what_anybody_can_use_up_asks_for_a_proof_only(void **state)
{
    struct gh_ip ip = v4(0xc0000201);

    (void)state;
    taken(&ip, false, 1000, START);
    assert_int_equal(gh_source_budget_take(&b, &ip, false, START), GH_SOURCE_PROVE);
    assert_int_equal(taken(&ip, true, 1000, START), BURST);
    assert_int_equal(gh_source_budget_take(&b, &ip, true, START), GH_SOURCE_REFUSE);
}

static void an_ipv6_network_of_64_bits_is_one_source(void **state)
{
    uint8_t bytes[16] = { 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2 };
    struct gh_ip a = gh_ip_v6(bytes), same, other;

    (void)state;
    bytes[15] = 9;
    same = gh_ip_v6(bytes);
    bytes[7] = 3;
    other = gh_ip_v6(bytes);
    taken(&a, true, 1000, START);
    assert_int_equal(taken(&same, true, 10, START), 0);
    assert_int_equal(taken(&other, true, 10, START), 10);
}

static void penalties_decay(void **state)
{
    struct gh_ip ip = v4(0xc0000201);
    unsigned n = 0;

    (void)state;
    while (taken(&ip, true, 1, START) == 1) {
        gh_source_budget_punish(&b, &ip, START);
        n++;
    }
    assert_int_equal(n, (BURST + GH_SOURCE_BUDGET_PENALTY) / (GH_SOURCE_BUDGET_PENALTY + 1));
    for (int i = 0; i < 100000; i++)
        gh_source_budget_punish(&b, &ip, START);
    assert_int_equal(taken(&ip, true, 1, START + (GH_SOURCE_BUDGET_DEBT_MAX - 1) * SECOND), 0);
    assert_int_equal(taken(&ip, true, 1, START + (GH_SOURCE_BUDGET_DEBT_MAX + 1) * SECOND), 1);
}

static void a_million_sources_take_no_more_memory_and_do_not_free_the_guilty(void **state)
{
    struct gh_ip guilty = v4(0xc0000201), ip;

    (void)state;
    for (int i = 0; i < 1000; i++)
        gh_source_budget_punish(&b, &guilty, START);
    for (uint32_t i = 0; i < 1000000; i++) {
        ip = v4(0x0a000000 + i);
        assert_int_equal(gh_source_budget_take(&b, &ip, false, START + i), GH_SOURCE_GO);
    }
    assert_int_equal(gh_source_budget_take(&b, &guilty, true, START + SECOND), GH_SOURCE_REFUSE);
}

static void zero_is_no_limit(void **state)
{
    struct gh_ip ip = v4(1);

    (void)state;
    gh_source_budget_set(&b, 0);
    assert_int_equal(taken(&ip, true, 100000, START), 100000);
    assert_null(b.entries);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_source_has_a_burst_and_a_rate),
        T(what_anybody_can_use_up_asks_for_a_proof_only),
        T(an_ipv6_network_of_64_bits_is_one_source),
        T(penalties_decay),
        T(a_million_sources_take_no_more_memory_and_do_not_free_the_guilty),
        T(zero_is_no_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
