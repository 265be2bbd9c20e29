#include "base/ip_addr.h"

#include "../test.h"

#include "base/error.h"

static struct gh_prefix prefix(const char *text)
{
    struct gh_prefix p;

    assert_int_equal(gh_prefix_parse(text, strlen(text), &p), 0);
    return p;
}

static struct gh_ip ip(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static void prefix_with_host_bits_is_refused(void **state)
{
    static const char *const bad[] = { "10.0.0.1/24", "fd00::1/64", "1.1.1.1/0" };
    struct gh_prefix p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gh_prefix_parse(bad[i], strlen(bad[i]), &p), GH_ERR_RANGE);
}

static void malformed_text_is_refused(void **state)
{
    static const char *const bad[] = { "", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "::/129", "1.2.3.4 ", ":::" };
    struct gh_prefix p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gh_prefix_parse(bad[i], strlen(bad[i]), &p), GH_ERR_MALFORMED);
}

static void containment_follows_the_bits(void **state)
{
    static const struct {
        const char *prefix, *addr;
        bool in;
    } cases[] = {
        { "10.100.0.0/24", "10.100.0.255", true }, { "10.100.0.0/24", "10.100.1.0", false },
        { "0.0.0.0/0", "255.1.2.3", true },        { "0.0.0.0/0", "::1", false },
        { "fd00::/9", "fd7f::1", true },           { "fd00::/9", "fd80::1", false },
        { "8.8.8.8", "8.8.8.8", true },            { "8.8.8.8", "8.8.8.9", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_prefix p = prefix(cases[i].prefix);
        struct gh_ip a = ip(cases[i].addr);

        assert_int_equal(gh_prefix_contains(&p, &a), cases[i].in);
    }
}

static void bounds_are_first_and_last(void **state)
{
    struct gh_prefix p = prefix("10.1.2.0/23");
    struct gh_ip first, last;
    char text[GH_IP_TEXT];

    (void)state;
    gh_prefix_bounds(&p, &first, &last);
    assert_string_equal(gh_ip_emit(&first, text), "10.1.2.0");
    assert_string_equal(gh_ip_emit(&last, text), "10.1.3.255");
}

static void increment_carries(void **state)
{
    struct gh_ip a = ip("10.0.255.255"), b = ip("fd00::ffff");
    char text[GH_IP_TEXT];

    (void)state;
    gh_ip_increment(&a);
    gh_ip_increment(&b);
    assert_string_equal(gh_ip_emit(&a, text), "10.1.0.0");
    assert_string_equal(gh_ip_emit(&b, text), "fd00::1:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_with_host_bits_is_refused), cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(containment_follows_the_bits),     cmocka_unit_test(bounds_are_first_and_last),
        cmocka_unit_test(increment_carries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
