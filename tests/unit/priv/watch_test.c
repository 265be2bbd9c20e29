#include "priv/watch.h"

#include "../test.h"

#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

struct place {
    char dir[40];
    struct gh_watches *ws;
    int64_t now; /* ms */
};

static void open_place(struct place *p)
{
    *p = (struct place){ .dir = "/tmp/gatehouse-watch-XXXXXX" };
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(gh_watches_create(&p->ws), 0);
}

static const char *path_of(const struct place *p, const char *name, char ret[80])
{
    snprintf(ret, 80, "%s/%s", p->dir, name);
    return ret;
}

static void write_file(const struct place *p, const char *name, const char *text)
{
    char path[80];
    FILE *f = fopen(path_of(p, name, path), "a"); /* longer each time */

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int add(struct place *p, const char *name)
{
    char path[80];

    return gh_watches_add(p->ws, path_of(p, name, path));
}

/* An event within 5 s is what wakes the parent; -1: nothing woke it, or none of its files has changed. */
static int next(struct place *p, int patience_ms)
{
    struct pollfd f = { .fd = gh_watches_fd(p->ws), .events = POLLIN };

    if (poll(&f, 1, patience_ms) == 1)
        gh_watches_on_ready(p->ws, p->now);
    p->now += 10000; /* writing has paused */
    if (gh_watches_deadline(p->ws) > p->now)
        return -1;
    gh_watches_look(p->ws, p->now);
    return gh_watches_next(p->ws);
}

static void close_place(struct place *p, const char *const *names)
{
    char path[80];

    gh_watches_destroy(p->ws);
    for (; *names; names++)
        remove(path_of(p, *names, path));
    assert_int_equal(rmdir(p->dir), 0);
}

/* A file that could not be read for its mode, and can now, was not written. */
static void a_change_of_mode_is_a_change(void **state)
{
    static const char *const names[] = { "one", NULL };
    struct place p;
    char path[80];
    int one;

    (void)state;
    open_place(&p);
    write_file(&p, "one", "1");
    one = add(&p, "one");
    assert_int_equal(chmod(path_of(&p, "one", path), 0600), 0);
    assert_int_equal(next(&p, 5000), one);
    assert_int_equal(next(&p, 0), -1);
    close_place(&p, names);
}

static void a_file_that_is_not_named_again_is_watched_no_more(void **state)
{
    static const char *const names[] = { "old/former", "old", "kept", NULL };
    struct place p;
    char path[80];
    int former, kept;

    (void)state;
    open_place(&p);
    assert_int_equal(mkdir(path_of(&p, "old", path), 0700), 0);
    write_file(&p, "old/former", "1");
    write_file(&p, "kept", "1");
    former = add(&p, "old/former");
    kept = add(&p, "kept");
    assert_true(former >= 0 && kept > former);
    write_file(&p, "old/former", "2");
    assert_int_equal(next(&p, 5000), former);

    gh_watches_begin(p.ws); /* refused: no end follows */
    assert_int_equal(add(&p, "kept"), kept);
    write_file(&p, "old/former", "3");
    assert_int_equal(next(&p, 5000), former);

    gh_watches_begin(p.ws);
    assert_int_equal(add(&p, "kept"), kept);
    write_file(&p, "kept", "2"); /* in between: it is not missed */
    gh_watches_end(p.ws);
    assert_int_equal(next(&p, 0), kept);
    write_file(&p, "old/former", "4");
    assert_int_equal(next(&p, 0), -1); /* its folder is not looked at */
    assert_true(gh_watches_deadline(p.ws) == INT64_MAX);
    write_file(&p, "kept", "3");
    assert_int_equal(next(&p, 5000), kept);
    assert_int_equal(next(&p, 0), -1);

    assert_int_equal(add(&p, "old/former"), former); /* its place was free */
    write_file(&p, "old/former", "5");
    assert_int_equal(next(&p, 5000), former);
    gh_watches_end(p.ws); /* none was begun */
    write_file(&p, "old/former", "6");
    assert_int_equal(next(&p, 5000), former);
    close_place(&p, names);
}

static void places_of_former_files_are_given_again(void **state)
{
    static const char *const none[] = { NULL };
    char name[16];
    struct place p;

    (void)state;
    open_place(&p);
    for (unsigned round = 0; round < 3; round++) {
        gh_watches_begin(p.ws);
        for (unsigned i = 0; i < GH_WATCHES_MAX / 2; i++) {
            snprintf(name, sizeof name, "%u-%u", round, i);
            assert_true(add(&p, name) >= 0);
        }
        gh_watches_end(p.ws);
    }
    for (unsigned i = 0; i < GH_WATCHES_MAX / 2; i++) {
        snprintf(name, sizeof name, "more-%u", i);
        assert_true(add(&p, name) >= 0);
    }
    assert_int_equal(add(&p, "one too many"), GH_ERR_FULL);
    close_place(&p, none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_mode_is_a_change),
        cmocka_unit_test(a_file_that_is_not_named_again_is_watched_no_more),
        cmocka_unit_test(places_of_former_files_are_given_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
