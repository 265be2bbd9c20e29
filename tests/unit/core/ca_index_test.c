#include "core/ca_index.h"

#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/error.h"
#include "crypto/crl.h"

#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define ONE "0101010101010101010101010101010101010101010101010101010101010101"
#define ISSUED(serial, name, spki) \
    "{\"serial\":\"" serial "\",\"name\":\"" name "\",\"role\":\"agent\",\"spki_sha256\":\"" spki "\",\"not_before\":1,\"not_after\":9,\"status\":\"valid\"}\n"
#define REVOKED(serial) "{\"serial\":\"" serial "\",\"status\":\"revoked\",\"revoked\":5,\"reason\":\"keyCompromise\"}\n"

static struct gh_ca_index parse(const char *text)
{
    struct gh_ca_index i;

    assert_int_equal(gh_ca_index_parse(gh_span_str(text), &i), 0);
    return i;
}

static void a_revocation_is_about_an_earlier_line(void **state)
{
    struct gh_ca_index i = parse(ISSUED("01", "a", ZERO) ISSUED("02", "b", ONE) REVOKED("01"));

    (void)state;
    assert_int_equal(i.count, 2);
    assert_int_equal(i.bad, 0);
    assert_string_equal(i.entries[0].name, "a");
    assert_int_equal(i.entries[0].revoked, 5);
    assert_int_equal(i.entries[0].reason, GH_CRL_KEY_COMPROMISE);
    assert_int_equal(i.entries[1].revoked, 0);
    assert_int_equal(i.entries[1].not_after, 9);
    gh_ca_index_fini(&i);
}

static void a_key_counts_while_one_certificate_with_it_does(void **state)
{
    static const uint8_t zero[32], one[32] = { [0 ... 31] = 1 };
    struct gh_ca_index i = parse(ISSUED("01", "a", ZERO) ISSUED("02", "a", ZERO) ISSUED("03", "b", ONE) REVOKED("01") REVOKED("03"));

    (void)state;
    assert_true(gh_ca_index_has_key(&i, "a", zero)); /* renewed, and the old one revoked */
    assert_false(gh_ca_index_has_key(&i, "b", zero));
    assert_false(gh_ca_index_has_key(&i, "b", one));
    gh_ca_index_fini(&i);
    assert_null(i.entries);
}

static void what_is_no_record_is_counted_and_found_again(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "{}", "{\"status\":\"valid\"}", REVOKED("77"), ISSUED("01", "a b", ZERO), ISSUED("0x", "a", ZERO), ISSUED("", "a", ZERO),
        ISSUED("01", "a", "00"), ISSUED("01", "a", ZERO "0"), ISSUED("0123456789012345678901234567890123456789012345", "a", ZERO),
    };
    char text[2048];

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct gh_ca_index i;

        snprintf(text, sizeof text, ISSUED("0A", "x", ZERO) "%.*s\n" ISSUED("0B", "y", ZERO), (int)strcspn(bad[k], "\n"), bad[k]);
        i = parse(text);
        assert_int_equal(i.count, 2);
        assert_int_equal(i.bad, 1);
        assert_int_equal(i.bad_line, 2);
        gh_ca_index_fini(&i);
    }
}

static void the_last_line_needs_no_end(void **state)
{
    struct gh_ca_index i = parse(ISSUED("01", "a", ZERO) "{\"serial\":\"01\",\"status\":\"revoked\",\"revoked\":5}");

    (void)state;
    assert_int_equal(i.bad, 0);
    assert_int_equal(i.entries[0].revoked, 5);
    assert_int_equal(i.entries[0].reason, GH_CRL_UNSPECIFIED);
    gh_ca_index_fini(&i);
    i = parse("");
    assert_int_equal(i.count, 0);
    gh_ca_index_fini(&i);
}

static void what_is_written_is_read_back(void **state)
{
    struct gh_ca_index_entry e = { .serial = "7FAB", .name = "client-1", .role = GH_ROLE_CONNECTOR, .spki_sha256 = { 1, 2, 0xff },
                                   .not_before = 100, .not_after = 4102444800, .revoked = 200, .reason = GH_CRL_SUPERSEDED };
    char *issued = gh_ca_index_emit(&e), *revoked = gh_ca_index_emit_revocation(&e), text[2048];
    struct gh_ca_index i;

    (void)state;
    assert_true(issued && revoked);
    snprintf(text, sizeof text, "%s\n%s\n", issued, revoked);
    i = parse(text);
    assert_int_equal(i.count, 1);
    assert_int_equal(i.bad, 0);
    assert_string_equal(i.entries[0].serial, e.serial);
    assert_string_equal(i.entries[0].name, e.name);
    assert_memory_equal(i.entries[0].spki_sha256, e.spki_sha256, 32);
    assert_true(i.entries[0].role == e.role && i.entries[0].reason == e.reason && i.entries[0].revoked == e.revoked);
    assert_true(i.entries[0].not_before == e.not_before && i.entries[0].not_after == e.not_after);
    gh_ca_index_fini(&i);
    free(issued);
    free(revoked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revocation_is_about_an_earlier_line),  cmocka_unit_test(a_key_counts_while_one_certificate_with_it_does),
        cmocka_unit_test(what_is_no_record_is_counted_and_found_again), cmocka_unit_test(the_last_line_needs_no_end),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
