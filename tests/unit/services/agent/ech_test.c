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

static void what_a_tunnel_tells_is_the_newest_and_the_one_before_is_kept(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    assert_false(gh_agent_ech_told(&e, list(0))); /* who has no ECH wants none */
    assert_int_equal(gh_agent_ech_now(&e).len, 0);
    gh_agent_ech_set(&e, list(0));
    assert_false(gh_agent_ech_told(&e, list(0)));
    assert_true(gh_agent_ech_told(&e, list(1)));
    assert_false(gh_agent_ech_told(&e, list(1)));
    now_is(&e, 1);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 0);
    assert_false(gh_agent_ech_told(&e, list(1))); /* the order is the same */
    now_is(&e, 1);
    assert_true(gh_agent_ech_told(&e, list(0))); /* an operator has put the older one back */
    now_is(&e, 0);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 1);
    assert_true(gh_agent_ech_told(&e, list(2))); /* beside the one that the tunnel was opened with */
    now_is(&e, 2);
    assert_true(gh_agent_ech_rejected(&e, e.turn, NONE));
    now_is(&e, 1);
    assert_false(gh_agent_ech_told(&e, gh_span_str("nonsense")));
    now_is(&e, 1);
}

static void who_hears_nothing_tries_the_other_one(void **state)
{
    struct gh_agent_ech e = { 0 };

    (void)state;
    gh_agent_ech_set(&e, list(0));
    gh_agent_ech_unanswered(&e);
    now_is(&e, 0);
    assert_true(gh_agent_ech_told(&e, list(1)));
    gh_agent_ech_unanswered(&e);
    now_is(&e, 0);
    gh_agent_ech_unanswered(&e);
    now_is(&e, 1);
}

static void what_was_told_outlives_the_process_while_the_configuration_is_the_same(void **state)
{
    struct gh_agent_ech e = { 0 }, later = { 0 }, other = { 0 };
    struct gh_text text;

    (void)state;
    gh_agent_ech_set(&e, list(0));
    assert_true(gh_agent_ech_told(&e, list(1)));
    assert_true(gh_agent_ech_told(&e, list(2)));
    gh_agent_ech_unanswered(&e);
    gh_text_init(&text, GH_AGENT_ECH_KEPT);
    gh_agent_ech_emit(&e, &text);
    assert_false(text.failed);
    gh_agent_ech_set(&later, list(0));
    for (size_t len = 0; len < text.len; len++) /* cut */
        if (gh_agent_ech_restore(&later, gh_span_of(text.data, len)))
            assert_true(text.data[len - 1] == '\n' && later.count == 1);
    assert_true(gh_agent_ech_restore(&later, gh_span_of(text.data, text.len)));
    now_is(&later, 2); /* the newest first, whichever it was */
    assert_true(gh_agent_ech_rejected(&later, later.turn, NONE));
    now_is(&later, 1);
    gh_agent_ech_set(&other, list(1));
    assert_false(gh_agent_ech_restore(&other, gh_span_of(text.data, text.len)));
    now_is(&other, 1);
    for (size_t at = 0; at < text.len; at++) { /* damaged: nothing that cannot be used is taken */
        struct gh_agent_ech damaged = { 0 };
        char name[GH_ECH_PUBLIC_NAME_MAX + 1];

        text.data[at] ^= 0x11;
        gh_agent_ech_set(&damaged, list(0));
        gh_agent_ech_restore(&damaged, gh_span_of(text.data, text.len));
        assert_int_equal(gh_ech_list_public_name(gh_agent_ech_now(&damaged), name), 0);
        text.data[at] ^= 0x11;
    }
    gh_text_fini(&text);
}

static void the_longest_lists_can_be_kept(void **state)
{
    struct gh_agent_ech e = { .count = 2 };
    struct gh_text text;

    (void)state;
    e.configured.len = e.lists[0].len = e.lists[1].len = GH_ECH_LIST_MAX;
    gh_text_init(&text, GH_AGENT_ECH_KEPT);
    gh_agent_ech_emit(&e, &text);
    assert_false(text.failed);
    gh_text_fini(&text);
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
        cmocka_unit_test(what_a_tunnel_tells_is_the_newest_and_the_one_before_is_kept),
        cmocka_unit_test(who_hears_nothing_tries_the_other_one),
        cmocka_unit_test(what_was_told_outlives_the_process_while_the_configuration_is_the_same),
        cmocka_unit_test(the_longest_lists_can_be_kept),
        cmocka_unit_test(a_reload_forgets_what_was_learned_when_the_list_is_another_one),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
