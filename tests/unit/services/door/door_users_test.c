#include "services/door/door_users.h"

#include "base/error.h"

#include "../../test.h"

#define ARGON "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" /* "password": see crypto/token_test.c */
#define DIGEST "sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"             /* sha256sum of "password" */

static bool read_fields(const char *name, const char *value, const char *name2, const char *value2, struct door_credentials *ret)
{
    const struct gh_http_field fields[] = {
        { gh_span_str("accept"), gh_span_str("*/*") },
        { gh_span_str(name), gh_span_str(value) },
        { gh_span_str(name2), gh_span_str(value2) },
    };
    const struct gh_http_head head = { .fields = fields, .field_count = 3 };

    return door_credentials_read(&head, ret);
}

static bool read_one(const char *value, struct door_credentials *ret)
{
    return read_fields("authorization", value, "x", "y", ret);
}

static void user_and_token_are_read_from_either_scheme_and_field(void **state)
{
    struct door_credentials c;

    (void)state;
    /* base64 of "alice:open sesame" */
    assert_true(read_one("Basic YWxpY2U6b3BlbiBzZXNhbWU=", &c));
    assert_string_equal(c.name, "alice");
    assert_int_equal(c.token_len, 11);
    assert_memory_equal(c.token, "open sesame", 11);
    assert_true(read_one("bEARER  YWxpY2U6b3BlbiBzZXNhbWU", &c));
    assert_true(read_fields("proxy-authorization", "Basic YWxpY2U6b3BlbiBzZXNhbWU=", "x", "y", &c));
    assert_true(read_fields("proxy-authorization", "Basic Ym9iOng=", "authorization", "Basic YWxpY2U6b3BlbiBzZXNhbWU=", &c));
    assert_string_equal(c.name, "alice");
    assert_true(read_one("Basic YTpiOmM=", &c)); /* a:b:c: the first colon ends the name (RFC 7617, section 2) */
    assert_string_equal(c.name, "a");
    assert_int_equal(c.token_len, 3);
}

static void what_could_be_no_users_is_none(void **state)
{
    static const char *const all[] = {
        "", "Basic", "Basic ", "Digest YWxpY2U6eA==", "BasicYWxpY2U6eA==", "Basic !!!", "Basic YWxpY2U=", /* alice */
        "Basic YWxpY2U6",                                                                                 /* alice: */
        "Basic OnRva2Vu",                                                                                 /* :token */
        "Basic YSBiOng=",                                                                                 /* a b:x */
    };
    struct door_credentials c;
    char text[2000];

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (read_one(all[i], &c))
            fail_msg("%s", all[i]);
    memset(text, 'A', sizeof text);
    memcpy(text, "Basic ", 6);
    for (size_t len = 400; len < sizeof text - 6; len += 4) { /* of any length */
        text[len + 6] = 0;
        assert_false(read_one(text, &c));
        text[len + 6] = 'A';
    }
}

static struct door_credentials credentials(const char *name, const char *token)
{
    struct door_credentials c = { .token_len = strlen(token) };

    strcpy(c.name, name);
    memcpy(c.token, token, c.token_len);
    return c;
}

static struct door_users *make(const char *text)
{
    struct gh_conf_errors errors;
    struct gh_users file = { .count = 0 };
    struct door_users *u = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_str(text), &errors, &file), 0);
    assert_int_equal(door_users_create(&file, &u), 0);
    gh_conf_errors_fini(&errors);
    return u;
}

static void a_token_is_verified_once(void **state)
{
    struct door_users *u = make("alice:" ARGON "\nbob:" DIGEST "\n");
    struct door_credentials good = credentials("alice", "password"), bad = credentials("alice", "passwort"), other = credentials("bob", "password");
    const struct gh_user *user = NULL;

    (void)state;
    assert_int_equal(door_users_glance(u, &good, &user), 0);
    assert_int_equal(door_users_verify(u, &bad, &user), GH_ERR_DENIED);
    assert_int_equal(door_users_verify(u, &good, &user), 0);
    assert_int_equal(door_users_glance(u, &good, &user), 1);
    assert_string_equal(user->name, "alice");
    assert_int_equal(door_users_glance(u, &bad, &user), 0); /* what was wrong is not remembered */
    assert_int_equal(door_users_glance(u, &other, &user), 1);
    assert_string_equal(user->name, "bob");
    assert_true(door_users_holds(u, "bob", user->credential));
    assert_false(door_users_holds(u, "alice", user->credential));
    assert_false(door_users_holds(u, "nobody", user->credential));
    door_users_destroy(u);
}

static void another_version_of_the_file_has_verified_nothing(void **state)
{
    struct door_users *a = make("alice:" ARGON), *b = make("alice:" ARGON);
    struct door_credentials good = credentials("alice", "password");
    const struct gh_user *user = NULL;

    (void)state;
    assert_int_equal(door_users_verify(door_users_get(a), &good, &user), 0);
    door_users_destroy(a);
    assert_int_equal(door_users_glance(a, &good, &user), 1);
    assert_int_equal(door_users_glance(b, &good, &user), 0);
    assert_true(door_users_holds(b, "alice", user->credential));
    door_users_destroy(a);
    door_users_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_and_token_are_read_from_either_scheme_and_field),
        cmocka_unit_test(what_could_be_no_users_is_none),
        cmocka_unit_test(a_token_is_verified_once),
        cmocka_unit_test(another_version_of_the_file_has_verified_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
