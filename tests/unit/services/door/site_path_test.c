#include "services/door/site_path.h"

#include "../../test.h"
#include "base/error.h"

static void targets_become_names(void **state)
{
    static const struct {
        const char *target;
        const char *name;
        bool folder;
    } rows[] = {
        { "/", "", true }, { "/a", "a", false }, { "/a/", "a", true }, { "//a///b", "a/b", false }, { "/./a/./b", "a/b", false },
        { "/a/../b", "b", false }, { "/a/b/..", "a", true }, { "/a/b/../", "a", true }, { "/a/.", "a", true }, { "/a/b/../../c", "c", false },
        { "/a%20b", "a b", false }, { "/a%2Fb", "a/b", false }, { "/%61", "a", false }, { "/a?b/../c", "a", false }, { "/?x", "", true },
        { "/a%3fb", "a?b", false }, { "/a%23b", "a#b", false }, { "/a..b/c..", "a..b/c..", false }, { "/a/%2e%2e/b", "b", false },
        { "/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false }, { "/a%2f", "a", true }, { "/a\\..\\b", "a\\..\\b", false },
        { "/a+b", "a+b", false }, { "/...a", NULL, false },
    };
    struct door_site_path *p = malloc(sizeof *p);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = door_site_path_parse(gh_span_str(rows[i].target), p);

        if (!rows[i].name) {
            assert_int_equal(rc, GH_ERR_NOT_FOUND);
            continue;
        }
        if (rc != 0 || strcmp(p->name, rows[i].name) != 0 || p->folder != rows[i].folder || p->len != strlen(p->name))
            fail_msg("%s: %d \"%s\" %d", rows[i].target, rc, p->name, p->folder);
    }
    free(p);
}

static void what_leads_above_the_top_is_malformed(void **state)
{
    static const char *const bad[] = { "", "*", "a", "/..", "/../", "/../a", "/a/../../b", "/..%2f..%2fetc/passwd", "/%2e%2e/a", "/a/%2e%2e/%2e%2e%2fb", "/.%2e",
                                       "/%", "/%4", "/%zz", "/%00", "/a%00.html", "/a#b", "/..%2F", "/.well-known/../../x" };
    struct door_site_path *p = malloc(sizeof *p);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (door_site_path_parse(gh_span_str(bad[i]), p) != GH_ERR_MALFORMED)
            fail_msg("taken: %s", bad[i]);
    free(p);
}

static void hidden_names_are_not_there(void **state)
{
    static const char *const hidden[] = { "/.git/config", "/.env", "/a/.htaccess", "/a/.well-known/x", "/%2egit/", "/.well-knownx", "/.x/../a" };
    struct door_site_path *p = malloc(sizeof *p);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (door_site_path_parse(gh_span_str(hidden[i]), p) != GH_ERR_NOT_FOUND)
            fail_msg("not hidden: %s", hidden[i]);
    free(p);
}

static void a_long_target_is_too_long(void **state)
{
    struct door_site_path *p = malloc(sizeof *p);
    char target[DOOR_SITE_TARGET_MAX + 1];

    (void)state;
    assert_non_null(p);
    memset(target, '/', sizeof target);
    assert_int_equal(door_site_path_parse(gh_span_of(target, sizeof target - 2), p), 0);
    assert_int_equal(p->len, 0);
    memset(target + 1, 'a', sizeof target - 1);
    assert_int_equal(door_site_path_parse(gh_span_of(target, sizeof target - 2), p), 0);
    assert_int_equal(door_site_path_parse(gh_span_of(target, sizeof target - 1), p), GH_ERR_TOO_LONG);
    free(p);
}

static void a_folder_is_named_with_its_slash(void **state)
{
    struct door_site_path *p = malloc(sizeof *p);
    char buf[64];

    (void)state;
    assert_non_null(p);
    assert_int_equal(door_site_path_parse(gh_span_str("/a%20%22b/%c3%a4/c?x=1&y"), p), 0);
    assert_int_equal(door_site_path_emit(p, buf, sizeof buf), (int)strlen("/a%20%22b/%C3%A4/c/?x=1&y"));
    assert_memory_equal(buf, "/a%20%22b/%C3%A4/c/?x=1&y", strlen("/a%20%22b/%C3%A4/c/?x=1&y"));
    assert_int_equal(door_site_path_emit(p, buf, 20), GH_ERR_TOO_LONG);
    free(p);
}

/* Whatever comes in, no name leads out. */
static void random_targets_never_lead_out(void **state)
{
    static const char letters[] = "//..%%22eEfF5cab?";
    struct door_site_path *p = malloc(sizeof *p);
    uint64_t seed = 7;

    (void)state;
    assert_non_null(p);
    for (int i = 0; i < 200000; i++) {
        char target[24] = "/";
        size_t len = 1;

        for (seed = seed * UINT64_C(6364136223846793005) + 1; len < 4 + (seed >> 60); len++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            target[len] = letters[(seed >> 33) % (sizeof letters - 1)];
        }
        if (door_site_path_parse(gh_span_of(target, len), p) < 0)
            continue;
        if (p->name[0] == '/' || p->name[0] == '.' || strstr(p->name, "//") || strstr(p->name, "/.") || strlen(p->name) != p->len)
            fail_msg("%.*s: %s", (int)len, target, p->name);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_become_names),
        cmocka_unit_test(what_leads_above_the_top_is_malformed),
        cmocka_unit_test(hidden_names_are_not_there),
        cmocka_unit_test(a_long_target_is_too_long),
        cmocka_unit_test(a_folder_is_named_with_its_slash),
        cmocka_unit_test(random_targets_never_lead_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
