#include "cli/user.h"

#include <jansson.h>

#include "base/error.h"
#include "core/users_file.h"
#include "place.h"

static const struct gh_cli_verb verb = { "user", NULL, "", gh_cli_user_usage, NULL, gh_cli_user };

static int call(int argc, char **argv)
{
    return gh_cli_user(&verb, argc, argv);
}

/* Words separated by one space; "users" is the file, <input> what stands on standard input. */
static int user(struct place *p, const char *words, const char *input)
{
    char line[1024];
    int rc;
    FILE *in, *saved;

    snprintf(line, sizeof line, "%s --users-file users", words);
    in = fopen("stdin.tmp", "w+");
    assert_non_null(in);
    fputs(input, in);
    rewind(in);
    saved = stdin;
    stdin = in;
    rc = place_run(p, "user", line, call);
    stdin = saved;
    fclose(in);
    return rc;
}

static void ok(struct place *p, const char *words)
{
    place_is_ok(p, user(p, words, ""), words);
    assert_string_equal(p->err, "");
}

static void fails(struct place *p, int code, const char *words, const char *says)
{
    place_has_failed(p, user(p, words, ""), words, code, says);
}


/* Is it the token, as a node would read the file? */
static int verify(const char *name, const char *token)
{
    struct gh_conf_errors errors;
    const struct gh_user *who;
    struct gh_users u;
    char text[8192];
    size_t len = place_slurp("users", text);
    int rc;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_users_read(gh_span_of(text, len), &errors, &u), 0);
    rc = gh_users_verify(&u, gh_span_str(name), gh_span_str(token), &who);
    gh_users_fini(&u);
    gh_conf_errors_fini(&errors);
    return rc;
}

static void token_of(const char *out, char ret[64])
{
    json_t *o = json_loads(out, 0, NULL);

    assert_non_null(o);
    snprintf(ret, 64, "%s", json_string_value(json_object_get(o, "token")));
    json_decref(o);
}

static void add_makes_a_token_that_a_node_takes_and_the_file_does_not_have(void **state)
{
    struct place *p = *state;
    char token[64], text[8192];

    ok(p, "add alice --json");
    token_of(p->out, token);
    assert_int_equal(strlen(token), 43);
    assert_int_equal(verify("alice", token), 0);
    assert_int_equal(place_mode_of("users"), 0600);
    place_slurp("users", text);
    assert_null(strstr(text, token));
    ok(p, "add bob");
    assert_non_null(strstr(p->out, "token  "));
    assert_int_equal(verify("alice", token), 0);
}

static void a_token_from_standard_input_is_kept_as_argon2id(void **state)
{
    struct place *p = *state;
    char text[8192];

    assert_int_equal(user(p, "add alice --stdin", "open sesame\nmore\n"), 0);
    assert_null(strstr(p->out, "sesame"));
    assert_int_equal(verify("alice", "open sesame"), 0);
    assert_int_equal(verify("alice", "open"), GH_ERR_DENIED);
    place_slurp("users", text);
    assert_int_equal(strncmp(text, "alice:$argon2id$", 16), 0);
    assert_int_equal(user(p, "add bob --stdin", ""), 1);
    assert_int_equal(user(p, "add bob --stdin", "\n"), 1);
    assert_int_equal(user(p, "add bob --stdin", "a\tb\n"), 1);
    assert_int_equal(verify("bob", "a"), GH_ERR_DENIED);
}

static void what_stands_beside_a_user_stays(void **state)
{
    struct place *p = *state;
    char token[64], text[8192];
    FILE *f = fopen("users", "w");

    assert_non_null(f);
    fputs("# ours\nalice:sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n\n# the end", f);
    fclose(f);
    ok(p, "add bob --json");
    token_of(p->out, token);
    place_slurp("users", text);
    assert_non_null(strstr(text, "# the end\nbob:sha256:"));
    fails(p, 1, "add alice", "already");
    assert_int_equal(verify("alice", "password"), 0);
    ok(p, "add alice --replace");
    assert_int_equal(verify("alice", "password"), GH_ERR_DENIED);
    assert_int_equal(verify("bob", token), 0);
    ok(p, "del alice");
    place_slurp("users", text);
    assert_int_equal(strncmp(text, "# ours\n\n# the end\nbob:sha256:", 29), 0);
    fails(p, 1, "del alice", "no such user");
}

static void list_says_names_and_kinds_alone(void **state)
{
    struct place *p = *state;

    fails(p, 1, "list", "users");
    ok(p, "add bob");
    assert_int_equal(user(p, "add alice --stdin", "x\n"), 0);
    ok(p, "list");
    assert_non_null(strstr(p->out, "alice                          argon2id\nbob                            sha256\n"));
    ok(p, "list --json");
    assert_non_null(strstr(p->out, "\"argon2id\""));
    assert_null(strstr(p->out, "$"));
}

static void a_bad_file_or_command_changes_nothing(void **state)
{
    struct place *p = *state;
    char before[8192], after[8192];
    FILE *f = fopen("users", "w");

    assert_non_null(f);
    fputs("broken\n", f);
    fclose(f);
    place_slurp("users", before);
    fails(p, 1, "add alice", "users:1:1: a line must be");
    fails(p, 1, "del alice", "users:1:1");
    fails(p, 2, "add", "NAME");
    fails(p, 2, "add alice token", "no token");
    fails(p, 2, "add a:b", "NAME");
    fails(p, 2, "del alice --stdin", "another form");
    fails(p, 2, "list alice", "too many");
    fails(p, 2, "remove alice", "no such form");
    place_slurp("users", after);
    assert_string_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(add_makes_a_token_that_a_node_takes_and_the_file_does_not_have, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_token_from_standard_input_is_kept_as_argon2id, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_stands_beside_a_user_stays, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(list_says_names_and_kinds_alone, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_or_command_changes_nothing, place_setup, place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
