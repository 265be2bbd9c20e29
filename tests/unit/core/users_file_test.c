#include "core/users_file.h"

#include "base/error.h"

#include "../test.h"

#define ARGON "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" /* "password": see crypto/token_test.c */
#define DIGEST "sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"             /* sha256sum of "password" */

static int glance(const struct gh_users *u, const char *name, const char *token)
{
    const struct gh_user *who = NULL;
    int rc = gh_users_glance(u, gh_span_str(name), gh_span_str(token), &who);

    if (rc == 1)
        assert_string_equal(who->name, name);
    return rc;
}

static int verify(const struct gh_users *u, const char *name, const char *token)
{
    const struct gh_user *who = NULL;
    int rc = gh_users_verify(u, gh_span_str(name), gh_span_str(token), &who);

    if (rc == 0)
        assert_string_equal(who->name, name);
    return rc;
}

static void users_are_found_by_name_and_token(void **state)
{
    struct gh_conf_errors errors;
    struct gh_users u;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_str("# ours\n\nbob:" DIGEST " \r\nal:" ARGON "\nalice:" ARGON), &errors, &u), 0);
    assert_int_equal(u.count, 3);
    assert_int_equal(glance(&u, "bob", "password"), 1);
    assert_int_equal(glance(&u, "bob", "wrong"), 0);
    assert_int_equal(glance(&u, "alice", "password"), 0);
    assert_int_equal(verify(&u, "bob", "password"), 0);
    assert_int_equal(verify(&u, "bob", "wrong"), GH_ERR_DENIED);
    assert_int_equal(verify(&u, "al", "password"), 0);
    assert_int_equal(verify(&u, "alice", "password"), 0);
    assert_int_equal(verify(&u, "alice", "wrong"), GH_ERR_DENIED);
    assert_int_equal(verify(&u, "ali", "password"), GH_ERR_DENIED);
    assert_int_equal(verify(&u, "", "password"), GH_ERR_DENIED);
    assert_int_equal(gh_users_find(&u, gh_span_str("bob"))->line, 3);
    gh_users_fini(&u);
    gh_conf_errors_fini(&errors);
}

static void nothing_slow_means_that_a_glance_is_enough(void **state)
{
    struct gh_conf_errors errors;
    struct gh_users u;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_str("bob:" DIGEST "\n"), &errors, &u), 0);
    assert_int_equal(glance(&u, "bob", "wrong"), GH_ERR_DENIED);
    assert_int_equal(glance(&u, "nobody", "password"), GH_ERR_DENIED);
    gh_users_fini(&u);
    assert_int_equal(gh_users_read(gh_span_str(""), &errors, &u), 0);
    assert_int_equal(glance(&u, "bob", "password"), GH_ERR_DENIED);
    gh_users_fini(&u);
    gh_conf_errors_fini(&errors);
}

static void another_token_is_another_credential(void **state)
{
    struct gh_conf_errors errors;
    struct gh_users a, b;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_str("bob:" DIGEST "\nalice:" DIGEST), &errors, &a), 0);
    assert_int_equal(gh_users_read(gh_span_str("bob:" ARGON "\nalice:" DIGEST), &errors, &b), 0);
    assert_true(gh_users_find(&a, gh_span_str("bob"))->credential != gh_users_find(&b, gh_span_str("bob"))->credential);
    assert_true(gh_users_find(&a, gh_span_str("alice"))->credential == gh_users_find(&b, gh_span_str("alice"))->credential);
    assert_true(gh_users_find(&a, gh_span_str("bob"))->credential != gh_users_find(&a, gh_span_str("alice"))->credential);
    gh_users_fini(&a);
    gh_users_fini(&b);
    gh_conf_errors_fini(&errors);
}

static void every_error_is_told_with_its_place(void **state)
{
    static const char text[] = "bob\na b:" DIGEST "\nbob:secret\nbob:" DIGEST "\n:" DIGEST "\nbob:" DIGEST "\n";
    struct gh_conf_errors errors;
    struct gh_users u;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_str(text), &errors, &u), GH_ERR_MALFORMED);
    assert_int_equal(errors.count, 5);
    assert_int_equal(errors.list[0].line, 1);
    assert_int_equal(errors.list[1].line, 2);
    assert_int_equal(errors.list[2].line, 3);
    assert_int_equal(errors.list[2].col, 5);
    assert_int_equal(errors.list[3].line, 5);
    assert_int_equal(errors.list[4].line, 6);
    assert_non_null(strstr(errors.list[4].text, "line 4"));
    gh_conf_errors_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_by_name_and_token),
        cmocka_unit_test(nothing_slow_means_that_a_glance_is_enough),
        cmocka_unit_test(another_token_is_another_credential),
        cmocka_unit_test(every_error_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
