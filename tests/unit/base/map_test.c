#include "base/map.h"

#include "../test.h"

struct item {
    struct gh_map_node node;
    uint32_t key;
};

static bool item_equals(const struct gh_map_node *node, const void *key)
{
    return ((const struct item *)node)->key == *(const uint32_t *)key;
}

/* SipHash-1-3 of the bytes 0..n-1 under the key 00..0f: values from the reference vectors of the Rust standard library. */
static void hash_matches_the_reference(void **state)
{
    static const struct gh_hash_seed seed = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
    static const uint8_t first[8] = { 0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab };
    uint64_t h = gh_hash_bytes(&seed, "", 0);

    (void)state;
    assert_memory_equal(&h, first, 8);
}

static void holds_what_a_naive_table_holds(void **state)
{
    enum { N = 4096 };
    static struct item items[N];
    static bool in[N];
    static const struct gh_hash_seed seed = { 1, 2 };
    struct gh_map m;
    uint32_t rnd = 12345;

    (void)state;
    assert_int_equal(gh_map_init(&m, 4, item_equals), 0);
    for (int step = 0; step < 50000; step++) {
        uint32_t k;
        struct gh_map_node *found;

        rnd = rnd * 1664525u + 1013904223u;
        k = rnd >> 20;
        found = gh_map_find(&m, gh_hash_bytes(&seed, &k, sizeof k), &k);
        assert_int_equal(found != NULL, in[k]);
        if (found) {
            assert_true(gh_map_remove(&m, found));
        } else {
            items[k].key = k;
            gh_map_insert(&m, &items[k].node, gh_hash_bytes(&seed, &k, sizeof k));
        }
        in[k] = !in[k];
    }
    gh_map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hash_matches_the_reference), cmocka_unit_test(holds_what_a_naive_table_holds) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
