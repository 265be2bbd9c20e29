#include "services/agent/agent_ech.h"

#include "../../test.h"
#include "crypto/ca.h"

/* Three lists that we could use, and what servers say to them. */
static struct gh_ech_keys *keys[3];
static struct gh_pem pems[3];

static int setup(void **state)
{
    char why[GH_ECH_WHY];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct gh_ech_request req = { "cover.example", 0, NULL };

        assert_int_equal(gh_ech_generate(&req, &pems[i], why), 0);
        assert_int_equal(gh_ech_keys_create(0, &keys[i]), 0);
        assert_int_equal(gh_ech_keys_add(keys[i], gh_span_of(pems[i].text, pems[i].len), 0, why), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        gh_ech_keys_put(keys[i]);
        gh_pem_fini(&pems[i]);
    }
    return 0;
}

static struct gh_span list(size_t i)
{
    struct gh_ech_key_info info;

    assert_true(gh_ech_keys_info(keys[i], 0, &info));
    return info.list;
}

#define NONE gh_span_of(NULL, 0)

static void now_is(const struct gh_agent_ech *e, size_t i)
{
    assert_true(gh_span_equals(gh_agent_ech_now(e), list(i)));
}

static void without_a_list_there_is_no_ech(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, NONE);
    assert_int_equal(gh_agent_ech_now(&e).len, 0);
    assert_false(gh_agent_ech_rejected(&e, e.turn, NONE));
}

static void a_list_that_was_told_is_used_at_once_and_the_last_two_are_kept(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    now_is(&e, 0);
    assert_false(gh_agent_ech_rejected(&e, e.turn, NONE)); /* nothing else is known */
    assert_true(gh_agent_ech_rejected(&e, e.turn, list(1)));
    now_is(&e, 1);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE)); /* a server that tells nothing may still have the older one */
    now_is(&e, 0);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 1);
    assert_true(gh_agent_ech_rejected(&e, e.turn, list(2)));
    now_is(&e, 2);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 1); /* 0 is forgotten */
}

static void the_one_that_is_kept_is_the_one_that_was_used_last(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    assert_true(gh_agent_ech_rejected(&e, e.turn, list(1)));
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE)); /* back at 0 */
    assert_true(gh_agent_ech_rejected(&e, e.turn, list(2)));
    now_is(&e, 2);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 0);
}

static void a_server_that_tells_the_key_that_it_does_not_open_is_left(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    assert_false(gh_agent_ech_rejected(&e, e.turn, list(0)));
    now_is(&e, 0);
}

static void two_rejections_of_one_list_change_it_once(void **state)
{
    struct gh_agent_ech e = { 0 };
    uint64_t turn;

    (void)state;
    gh_agent_ech_set(&e, list(0));
    turn = e.turn;
    assert_true(gh_agent_ech_rejected(&e, turn, list(1)));
    assert_true(gh_agent_ech_rejected(&e, turn, NONE)); /* over TCP, at the same time */
    now_is(&e, 1);
    assert_true(gh_agent_ech_rejected(&e, turn, list(1)));
    now_is(&e, 1);
}

static void what_cannot_be_used_is_not_learned(void **state)
{
    static const uint8_t version[] = { 0, 8, 0xfe, 0x0e, 0, 4, 1, 2, 3, 4 };
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    assert_false(gh_agent_ech_rejected(&e, e.turn, gh_span_of(version, sizeof version)));
    assert_false(gh_agent_ech_rejected(&e, e.turn, gh_span_str("nonsense")));
    now_is(&e, 0);
}

static void a_reload_forgets_what_was_learned_when_the_list_is_another_one(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    assert_true(gh_agent_ech_rejected(&e, e.turn, list(1)));
    gh_agent_ech_set(&e, list(0));
    now_is(&e, 1);
    gh_agent_ech_set(&e, list(2));
    now_is(&e, 2);
    assert_false(gh_agent_ech_rejected(&e, e.turn, NONE));
    gh_agent_ech_set(&e, NONE);
    assert_int_equal(gh_agent_ech_now(&e).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_list_there_is_no_ech),
        cmocka_unit_test(a_list_that_was_told_is_used_at_once_and_the_last_two_are_kept),
        cmocka_unit_test(the_one_that_is_kept_is_the_one_that_was_used_last),
        cmocka_unit_test(a_server_that_tells_the_key_that_it_does_not_open_is_left),
        cmocka_unit_test(two_rejections_of_one_list_change_it_once),
        cmocka_unit_test(what_cannot_be_used_is_not_learned),
        cmocka_unit_test(a_reload_forgets_what_was_learned_when_the_list_is_another_one),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
