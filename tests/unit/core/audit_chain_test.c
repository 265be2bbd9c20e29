#include "core/audit_chain.h"

#include <stdio.h>

#include "../test.h"

/* Computed with Python's hmac and hashlib: first key 00 01 … 1f, K' = sha256(K), lines "one", "two", "three". */
static const char *const macs[] = { "38d821b24f4c02a9fc8eb32631619d5c09f27b9a6361aa7cc07b8439b67f2e51",
                                    "5a2a6b091d0e57b532f4d8f7bac13247bf19ebf929de01f334940848d8bd3503",
                                    "925c533d28ae737c10ed8c59bbb90a7d71a88cbde7e96562c5125937be89bae0" };
static const char fourth_key[] = "4e05063392f42b5180353ef82da86c714042155044d91ab3253f1bab08120a0a";

static void first_key(uint8_t ret[32])
{
    for (unsigned i = 0; i < 32; i++)
        ret[i] = (uint8_t)i;
}

static void assert_hex(const uint8_t data[32], const char *expected)
{
    char text[65];

    for (unsigned i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", data[i]);
    assert_string_equal(text, expected);
}

static void a_mac_is_hmac_sha256_and_the_key_is_hashed_after_each(void **state)
{
    static const char *const lines[] = { "one", "two", "three" };
    struct gh_audit_chain c;
    uint8_t key[32], mac[32];

    (void)state;
    first_key(key);
    gh_audit_chain_init(&c, key, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(gh_audit_chain_next(&c, lines[i], strlen(lines[i]), mac), 0);
        assert_hex(mac, macs[i]);
    }
    assert_int_equal(c.seq, 3);
    assert_hex(c.key, fourth_key);
    gh_audit_chain_fini(&c);
    first_key(key);
    assert_memory_not_equal(c.key, key, 32);
}

static void a_skip_ends_where_as_many_lines_would(void **state)
{
    struct gh_audit_chain c;
    uint8_t key[32], mac[32];

    (void)state;
    first_key(key);
    gh_audit_chain_init(&c, key, 0);
    assert_int_equal(gh_audit_chain_skip(&c, 2), 0);
    assert_int_equal(gh_audit_chain_mac(&c, "three", 5, mac), 0);
    assert_hex(mac, macs[2]);
    assert_int_equal(c.seq, 2);
    assert_int_equal(gh_audit_chain_skip(&c, 1), 0); /* never back */
    assert_int_equal(c.seq, 2);
}

/* hashlib: sha256(b"gatehouse audit chain" + bytes(range(32))).hexdigest()[:32] */
static void the_name_of_a_chain_follows_from_its_first_key(void **state)
{
    char id[GH_AUDIT_ID_TEXT];
    uint8_t key[32];

    (void)state;
    first_key(key);
    assert_int_equal(gh_audit_chain_id(key, id), 0);
    assert_string_equal(id, "b95657ebf5af5b3075668e0cd974213c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mac_is_hmac_sha256_and_the_key_is_hashed_after_each),
        cmocka_unit_test(a_skip_ends_where_as_many_lines_would),
        cmocka_unit_test(the_name_of_a_chain_follows_from_its_first_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
