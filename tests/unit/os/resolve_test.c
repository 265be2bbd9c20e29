#include "os/resolve.h"

#include "../test.h"

static struct gh_endpoint at(const char *text)
{
    struct gh_endpoint e = { .port = 1 };

    assert_int_equal(gh_ip_parse(text, strlen(text), &e.ip), 0);
    return e;
}

static void families_take_turns_beginning_with_the_first(void **state)
{
    static const char *const in[] = { "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2" };
    static const char *const out[] = { "2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3" };
    struct gh_resolved r = { .count = 5 };

    (void)state;
    for (size_t i = 0; i < 5; i++)
        r.list[i] = at(in[i]);
    gh_resolved_interleave(&r);
    for (size_t i = 0; i < 5; i++) {
        struct gh_endpoint want = at(out[i]);

        assert_true(gh_ip_equals(&r.list[i].ip, &want.ip));
    }
}

static void an_address_is_its_own_answer(void **state)
{
    struct gh_resolved r;
    struct gh_endpoint want = at("2001:db8::7");

    (void)state;
    gh_resolve("2001:db8::7", 4433, &r);
    assert_int_equal(r.count, 1);
    assert_true(gh_ip_equals(&r.list[0].ip, &want.ip));
    assert_int_equal(r.list[0].port, 4433);
}

static void a_name_that_cannot_be_says_why(void **state)
{
    struct gh_resolved r;

    (void)state;
    gh_resolve("a..b", 1, &r); /* an empty label */
    assert_int_equal(r.count, 0);
    assert_true(r.error[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns_beginning_with_the_first),
        cmocka_unit_test(an_address_is_its_own_answer),
        cmocka_unit_test(a_name_that_cannot_be_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
