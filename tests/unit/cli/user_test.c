#include "cli/user.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "../test.h"
#include "base/error.h"
#include "core/users_file.h"

static const struct gh_cli_verb verb = { "user", NULL, "", gh_cli_user_usage, NULL, gh_cli_user };

struct place {
    char old[4096], dir[64];
    char out[16384], err[16384]; /* what the last command wrote */
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    if (!p || !getcwd(p->old, sizeof p->old))
        return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/gh-cli-user-XXXXXX");
    if (!mkdtemp(p->dir) || chdir(p->dir) < 0)
        return -1;
    *state = p;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct place *p = *state;
    int rc = chdir(p->old);

    nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(p);
    return rc;
}

static int redirect(FILE *from, const char *path)
{
    int saved, fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    fflush(from);
    saved = dup(fileno(from));
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, fileno(from));
    close(fd);
    return saved;
}

static void restore(FILE *to, int saved, const char *path, char text[16384])
{
    FILE *f;

    fflush(to);
    dup2(saved, fileno(to));
    close(saved);
    f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, 16383, f)] = 0;
    fclose(f);
    unlink(path);
}

/* Words separated by one space; "users" is the file, <input> what stands on standard input. */
static int user(struct place *p, const char *words, const char *input)
{
    char line[1024];
    char *argv[32] = { (char *)"user" };
    int argc = 1, out, err, rc;
    FILE *in, *saved;

    snprintf(line, sizeof line, "%s --users-file users", words);
    for (char *save = NULL, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    in = fopen("stdin.tmp", "w+");
    assert_non_null(in);
    fputs(input, in);
    rewind(in);
    saved = stdin;
    stdin = in;
    out = redirect(stdout, "stdout.tmp");
    err = redirect(stderr, "stderr.tmp");
    rc = gh_cli_user(&verb, argc, argv);
    restore(stdout, out, "stdout.tmp", p->out);
    restore(stderr, err, "stderr.tmp", p->err);
    stdin = saved;
    fclose(in);
    return rc;
}

static void ok(struct place *p, const char *words)
{
    int rc = user(p, words, "");

    if (rc != 0)
        fail_msg("user %s: exit %d: %s", words, rc, p->err);
    assert_string_equal(p->err, "");
}

static void fails(struct place *p, int code, const char *words, const char *says)
{
    int rc = user(p, words, "");

    if (rc != code || !strstr(p->err, says))
        fail_msg("user %s: exit %d, not %d, or \"%s\" does not say \"%s\"", words, rc, code, p->err, says);
    assert_string_equal(p->out, "");
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        fail_msg("%s is missing", path);
    return st.st_mode & 0777;
}

static size_t slurp(const char *path, char text[8192])
{
    FILE *f = fopen(path, "r");
    size_t len;

    assert_non_null(f);
    len = fread(text, 1, 8191, f);
    fclose(f);
    text[len] = 0;
    return len;
}


/* Is it the token, as a node would read the file? */
static int verify(const char *name, const char *token)
{
    struct gh_conf_errors errors;
    const struct gh_user *who;
    struct gh_users u;
    char text[8192];
    size_t len = slurp("users", text);
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
    assert_int_equal(mode_of("users"), 0600);
    slurp("users", text);
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
    slurp("users", text);
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
    slurp("users", text);
    assert_non_null(strstr(text, "# the end\nbob:sha256:"));
    fails(p, 1, "add alice", "already");
    assert_int_equal(verify("alice", "password"), 0);
    ok(p, "add alice --replace");
    assert_int_equal(verify("alice", "password"), GH_ERR_DENIED);
    assert_int_equal(verify("bob", token), 0);
    ok(p, "del alice");
    slurp("users", text);
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
    slurp("users", before);
    fails(p, 1, "add alice", "users:1:1: a line must be");
    fails(p, 1, "del alice", "users:1:1");
    fails(p, 2, "add", "NAME");
    fails(p, 2, "add alice token", "no token");
    fails(p, 2, "add a:b", "NAME");
    fails(p, 2, "del alice --stdin", "another form");
    fails(p, 2, "list alice", "too many");
    fails(p, 2, "remove alice", "no such form");
    slurp("users", after);
    assert_string_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(add_makes_a_token_that_a_node_takes_and_the_file_does_not_have, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_from_standard_input_is_kept_as_argon2id, setup, teardown),
        cmocka_unit_test_setup_teardown(what_stands_beside_a_user_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(list_says_names_and_kinds_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_or_command_changes_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
