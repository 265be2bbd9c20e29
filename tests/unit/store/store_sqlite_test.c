#include "store/store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "../test.h"
#include "base/error.h"

struct place {
    char dir[64], file[80];
    char why[GH_STORE_WHY];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    if (!p)
        return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/gh-store-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->file, sizeof p->file, "%s/state.db", p->dir);
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

    nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(p);
    return 0;
}

static struct gh_store *open_store(struct place *p)
{
    struct gh_store *s = NULL;
    int rc = gh_store_sqlite_open(p->file, &s, p->why);

    if (rc < 0)
        fail_msg("%s", p->why);
    return s;
}

/* What an operator, or another program, does to the file: through SQLite's own interface. */
static void exec_raw(struct place *p, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static struct gh_store_lease_change change(enum gh_store_verb verb, const char *identity, const char *addr, const char *pool,
                                           int64_t last)
{
    struct gh_store_lease_change c = { .verb = verb, .lease = { .first_seen = 5, .last_seen = last } };

    snprintf(c.lease.identity, sizeof c.lease.identity, "%s", identity);
    assert_int_equal(gh_ip_parse(addr, strlen(addr), &c.lease.addr), 0);
    assert_int_equal(gh_prefix_parse(pool, strlen(pool), &c.lease.pool), 0);
    return c;
}

/* Every lease as "identity=addr@last " in the order in which they come. */
static void append_lease(void *arg, const struct gh_store_lease *l)
{
    char *text = arg, addr[GH_IP_TEXT];
    size_t len = strlen(text);

    snprintf(text + len, 1024 - len, "%u/%s=%s@%lld ", l->tenant, l->identity, gh_ip_emit(&l->addr, addr), (long long)l->last_seen);
    assert_true(gh_prefix_contains(&l->pool, &l->addr));
    assert_int_equal(l->first_seen, 5);
}

static void holds(struct place *p, struct gh_store *s, const char *expect)
{
    char text[1024] = "";

    assert_int_equal(s->ops->leases_load(s, append_lease, text, p->why), 0);
    assert_string_equal(text, expect);
}

#define V4 "10.100.0.0/24"
#define V6 "fd00:100::/64"

static void leases_survive_a_restart_longest_absent_first(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    struct gh_store_lease_change c[] = { change(GH_STORE_PUT, "b", "10.100.0.3", V4, 30), change(GH_STORE_PUT, "a", "10.100.0.2", V4, 20),
                                         change(GH_STORE_PUT, "a", "fd00:100::2", V6, 25) };

    holds(p, s, "");
    assert_int_equal(s->ops->leases_write(s, c, 3, p->why), 0);
    gh_store_close(s);
    s = open_store(p);
    holds(p, s, "0/a=10.100.0.2@20 0/a=fd00:100::2@25 0/b=10.100.0.3@30 ");
    gh_store_close(s);
    gh_store_close(NULL);
}

static void a_put_replaces_the_identitys_address_and_the_addresss_identity(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    struct gh_store_lease_change c[] = { change(GH_STORE_PUT, "a", "10.100.0.2", V4, 1), change(GH_STORE_PUT, "b", "10.100.0.3", V4, 2) };
    struct gh_store_lease_change moved = change(GH_STORE_PUT, "a", "10.100.0.9", V4, 3);
    struct gh_store_lease_change taken = change(GH_STORE_PUT, "c", "10.100.0.3", "10.100.0.0/16", 4);
    struct gh_store_lease_change gone = change(GH_STORE_DELETE, "a", "10.100.0.9", V4, 0);
    struct gh_store_lease_change tenant = change(GH_STORE_PUT, "c", "10.100.0.7", V4, 9);

    assert_int_equal(s->ops->leases_write(s, c, 2, p->why), 0);
    assert_int_equal(s->ops->leases_write(s, &moved, 1, p->why), 0);
    holds(p, s, "0/b=10.100.0.3@2 0/a=10.100.0.9@3 ");
    assert_int_equal(s->ops->leases_write(s, &taken, 1, p->why), 0);
    holds(p, s, "0/a=10.100.0.9@3 0/c=10.100.0.3@4 ");
    assert_int_equal(s->ops->leases_write(s, &gone, 1, p->why), 0);
    assert_int_equal(s->ops->leases_write(s, &gone, 1, p->why), 0);
    holds(p, s, "0/c=10.100.0.3@4 ");
    tenant.lease.tenant = UINT32_MAX;
    assert_int_equal(s->ops->leases_write(s, &tenant, 1, p->why), 0);
    holds(p, s, "0/c=10.100.0.3@4 4294967295/c=10.100.0.7@9 ");
    gh_store_close(s);
}

static void a_batch_is_written_whole_or_not_at_all(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    struct gh_store_lease_change c[] = { change(GH_STORE_PUT, "a", "10.100.0.2", V4, 1), change(GH_STORE_PUT, "b", "10.100.0.3", V4, 2) };

    /* the second row cannot be written, as on a disk that is full at that moment */
    exec_raw(p, "CREATE TRIGGER stop BEFORE INSERT ON lease WHEN new.identity = 'b' BEGIN SELECT raise(ABORT, 'no'); END");
    assert_int_equal(s->ops->leases_write(s, c, 2, p->why), GH_ERR_SYSTEM);
    holds(p, s, "");
    assert_int_equal(s->ops->leases_write(s, c, 1, p->why), 0); /* the connection is usable afterwards */
    holds(p, s, "0/a=10.100.0.2@1 ");
    gh_store_close(s);
}

static void what_cannot_be_a_lease_is_refused(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    struct gh_store_lease_change c = change(GH_STORE_PUT, "a", "10.101.0.2", V4, 1);

    assert_int_equal(s->ops->leases_write(s, &c, 1, p->why), GH_ERR_RANGE);
    c = change(GH_STORE_PUT, "", "10.100.0.2", V4, 1);
    assert_int_equal(s->ops->leases_write(s, &c, 1, p->why), GH_ERR_RANGE);
    memset(c.lease.identity, 'x', sizeof c.lease.identity);
    assert_int_equal(s->ops->leases_write(s, &c, 1, p->why), GH_ERR_RANGE);
    c = change(GH_STORE_PUT, "a", "10.100.0.2", V4, 1);
    c.lease.addr.family = 0;
    assert_int_equal(s->ops->leases_write(s, &c, 1, p->why), GH_ERR_RANGE);
    assert_int_equal(s->ops->leases_write(s, NULL, 0, p->why), 0);
    holds(p, s, "");
    gh_store_close(s);
}

static void meta_keeps_bytes(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    uint8_t back[8];
    size_t len = 99;

    assert_int_equal(s->ops->meta_get(s, "k", back, sizeof back, &len, p->why), GH_ERR_NOT_FOUND);
    assert_int_equal(s->ops->meta_set(s, "k", "a\0b", 3, p->why), 0);
    assert_int_equal(s->ops->meta_set(s, "k", "c\0d\n", 4, p->why), 0);
    assert_int_equal(s->ops->meta_set(s, "empty", "", 0, p->why), 0);
    gh_store_close(s);
    s = open_store(p);
    assert_int_equal(s->ops->meta_get(s, "k", back, sizeof back, &len, p->why), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(back, "c\0d\n", 4);
    assert_int_equal(s->ops->meta_get(s, "k", back, 3, &len, p->why), GH_ERR_TOO_LONG);
    assert_int_equal(s->ops->meta_get(s, "empty", back, sizeof back, &len, p->why), 0);
    assert_int_equal(len, 0);
    assert_int_equal(s->ops->meta_set(s, "", "", 0, p->why), GH_ERR_RANGE);
    assert_int_equal(s->ops->meta_set(s, "k", "", GH_STORE_VALUE_MAX + 1, p->why), GH_ERR_RANGE);
    gh_store_close(s);
}

static void the_file_is_for_its_owner_alone(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    char wal[96];
    struct stat st;

    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(s->ops->meta_set(s, "k", "v", 1, p->why), 0);
    snprintf(wal, sizeof wal, "%s-wal", p->file);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    gh_store_close(s);
}

static void fails_saying(struct place *p, int expect, const char *words)
{
    struct gh_store *s = NULL;

    assert_int_equal(gh_store_sqlite_open(p->file, &s, p->why), expect);
    assert_null(s);
    assert_non_null(strstr(p->why, p->file));
    if (!strstr(p->why, words))
        fail_msg("\"%s\" does not say \"%s\"", p->why, words);
}

static void overwrite(struct place *p, long at, const void *data, size_t len)
{
    FILE *f = fopen(p->file, at < 0 ? "wb" : "r+b");

    assert_non_null(f);
    if (at >= 0)
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void a_damaged_file_is_refused_with_what_to_do(void **state)
{
    struct place *p = *state;
    static uint8_t junk[8192];
    struct gh_store *s;
    struct gh_store_lease_change c = change(GH_STORE_PUT, "a", "10.100.0.2", V4, 1);

    memset(junk, 0xa5, sizeof junk);
    overwrite(p, -1, junk, sizeof junk);
    fails_saying(p, GH_ERR_MALFORMED, "move the file");
    assert_int_equal(remove(p->file), 0);
    /* a good header, and rubbish where the tables are */
    s = open_store(p);
    assert_int_equal(s->ops->leases_write(s, &c, 1, p->why), 0);
    gh_store_close(s);
    overwrite(p, 4096, junk, sizeof junk);
    fails_saying(p, GH_ERR_MALFORMED, "move the file");
}

static void a_row_that_does_not_parse_is_named(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p);
    char text[1024] = "";

    exec_raw(p, "INSERT INTO lease VALUES (0, 'odd', 4, '10.0.0.256', '10.0.0.0/24', 5, 5)");
    assert_int_equal(s->ops->leases_load(s, append_lease, text, p->why), GH_ERR_MALFORMED);
    assert_non_null(strstr(p->why, "\"odd\""));
    gh_store_close(s);
}

static void a_newer_schema_and_a_strangers_file_are_left_alone(void **state)
{
    struct place *p = *state;

    gh_store_close(open_store(p));
    exec_raw(p, "PRAGMA user_version = 9999");
    fails_saying(p, GH_ERR_UNSUPPORTED, "newer gatehouse (schema 9999");
    assert_int_equal(remove(p->file), 0);
    exec_raw(p, "CREATE TABLE photos (name TEXT)");
    fails_saying(p, GH_ERR_EXISTS, "another program");
}

static void a_path_that_cannot_be_opened_is_named(void **state)
{
    struct place *p = *state;

    snprintf(p->file, sizeof p->file, "%s/no/state.db", p->dir);
    fails_saying(p, GH_ERR_SYSTEM, "No such file");
    snprintf(p->file, sizeof p->file, "%s", p->dir);
    fails_saying(p, GH_ERR_SYSTEM, "writable");
}

struct writer {
    struct gh_store *s;
    int number, failures;
};

static void *write_many(void *arg)
{
    struct writer *w = arg;
    char name[16], why[GH_STORE_WHY], addr[32];

    for (int i = 0; i < 25; i++) {
        struct gh_store_lease_change c = { .verb = GH_STORE_PUT, .lease = { .first_seen = 5, .last_seen = i } };

        snprintf(name, sizeof name, "n%d-%d", w->number, i);
        snprintf(addr, sizeof addr, "10.100.%d.%d", w->number, i);
        memcpy(c.lease.identity, name, sizeof name);
        w->failures += gh_ip_parse(addr, strlen(addr), &c.lease.addr) < 0;
        w->failures += gh_prefix_parse("10.100.0.0/16", 13, &c.lease.pool) < 0;
        w->failures += w->s->ops->leases_write(w->s, &c, 1, why) < 0;
    }
    return NULL;
}

static void count_lease(void *arg, const struct gh_store_lease *l)
{
    (void)l;
    ++*(int *)arg;
}

/* Two threads on one store, a third on a store of its own, as another process would be. */
static void writers_take_turns(void **state)
{
    struct place *p = *state;
    struct gh_store *s = open_store(p), *other = open_store(p);
    struct writer writers[3] = { { s, 1, 0 }, { s, 2, 0 }, { other, 3, 0 } };
    pthread_t threads[3];
    int count = 0;

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].failures, 0);
    }
    assert_int_equal(s->ops->leases_load(s, count_lease, &count, p->why), 0);
    assert_int_equal(count, 75);
    gh_store_close(s);
    gh_store_close(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(leases_survive_a_restart_longest_absent_first),
        T(a_put_replaces_the_identitys_address_and_the_addresss_identity),
        T(a_batch_is_written_whole_or_not_at_all),
        T(what_cannot_be_a_lease_is_refused),
        T(meta_keeps_bytes),
        T(the_file_is_for_its_owner_alone),
        T(a_damaged_file_is_refused_with_what_to_do),
        T(a_row_that_does_not_parse_is_named),
        T(a_newer_schema_and_a_strangers_file_are_left_alone),
        T(a_path_that_cannot_be_opened_is_named),
        T(writers_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
