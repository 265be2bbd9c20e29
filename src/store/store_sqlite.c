#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/error.h"
#include "store/migrations.h"
#include "store/store.h"

#define APPLICATION_ID 0x47617465 /* "Gate": says that the file is ours */
#define BUSY_MS 5000              /* how long we wait for another process, an operator's sqlite3 for example */

struct sqlite_store {
    struct gh_store store;
    pthread_mutex_t mutex; /* one operation at a time: a transaction belongs to the connection, not to a thread */
    sqlite3 *db;
    char *path;
};

__attribute__((format(printf, 3, 4))) static int refuse(int rc, char *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_STORE_WHY, format, args);
    va_end(args);
    return rc;
}

/* Words for SQLite's last error, with what the operator can do about it. */
static int refuse_sqlite(struct sqlite_store *s, char *why, const char *what)
{
    const char *text = sqlite3_errmsg(s->db);

    switch (sqlite3_errcode(s->db) & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return refuse(GH_ERR_MALFORMED, why,
                      "%s: the state database is damaged (%s): stop the node, move the file and its -wal and -shm away, then restore a "
                      "backup or start without one (leases are then handed out anew)", s->path, text);
    case SQLITE_NOMEM:
        return refuse(GH_ERR_MEMORY, why, "%s: out of memory while %s", s->path, what);
    case SQLITE_FULL:
        return refuse(GH_ERR_SYSTEM, why, "%s: no space left on the disk while %s", s->path, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return refuse(GH_ERR_SYSTEM, why, "%s: another process has kept it locked for %d s while %s", s->path, BUSY_MS / 1000, what);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return refuse(GH_ERR_SYSTEM, why, "%s: %s while %s: the file and its folder must be writable by this user", s->path, text, what);
    default:
        return refuse(GH_ERR_SYSTEM, why, "%s: %s while %s", s->path, text, what);
    }
}

static int run(struct sqlite_store *s, const char *sql, char *why, const char *what)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : refuse_sqlite(s, why, what);
}

/* The one integer that <sql> answers. */
static int ask_int(struct sqlite_store *s, const char *sql, int *ret, char *why)
{
    sqlite3_stmt *q = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        *ret = sqlite3_column_int(q, 0);
    else
        rc = refuse_sqlite(s, why, "reading its header");
    sqlite3_finalize(q);
    return rc;
}

static int check_whole(struct sqlite_store *s, char *why)
{
    sqlite3_stmt *q = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
        rc = refuse_sqlite(s, why, "checking it");
    else if (strcmp((const char *)sqlite3_column_text(q, 0), "ok") != 0)
        rc = refuse(GH_ERR_MALFORMED, why,
                    "%s: the state database is damaged (%.200s): stop the node, move the file and its -wal and -shm away, then restore a "
                    "backup or start without one (leases are then handed out anew)", s->path, sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    return rc;
}

/* Ends the transaction that <rc> is the result of. */
static int finish(struct sqlite_store *s, int rc, char *why)
{
    if (rc == 0)
        rc = run(s, "COMMIT", why, "committing");
    if (rc < 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* no transaction left is fine too */
    return rc;
}

/* Within a write transaction, so that two processes that start together do not both apply a step. */
static int apply_migrations(struct sqlite_store *s, char *why)
{
    const struct gh_migration *m = gh_migrations;
    int version, id, tables, rc;
    char pragma[64];

    rc = ask_int(s, "PRAGMA user_version", &version, why);
    if (rc == 0)
        rc = ask_int(s, "PRAGMA application_id", &id, why);
    if (rc == 0)
        rc = ask_int(s, "SELECT count(*) FROM sqlite_master", &tables, why);
    if (rc < 0)
        return rc;
    if (id != APPLICATION_ID && (id != 0 || version != 0 || tables != 0))
        return refuse(GH_ERR_EXISTS, why, "%s: this SQLite file belongs to another program; name another path", s->path);
    for (; m->version != 0 && m->version <= version; m++)
        ;
    if (m->version == 0 && version > (m == gh_migrations ? 0 : m[-1].version))
        return refuse(GH_ERR_UNSUPPORTED, why, "%s: written by a newer gatehouse (schema %d, this one knows %d): run that version, or "
                      "restore the backup from before the upgrade", s->path, version, m == gh_migrations ? 0 : m[-1].version);
    for (; rc == 0 && m->version != 0; m++) {
        snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", m->version);
        rc = run(s, m->sql, why, m->name);
        if (rc == 0)
            rc = run(s, pragma, why, m->name);
    }
    if (rc == 0 && id != APPLICATION_ID) {
        snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", APPLICATION_ID);
        rc = run(s, pragma, why, "marking it");
    }
    return rc;
}

static int prepare(struct sqlite_store *s, char *why)
{
    int rc;

    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    rc = run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; "
                "PRAGMA temp_store = MEMORY" /* the child may write in the state folder alone */, why,
             "opening it");
    if (rc == 0)
        rc = check_whole(s, why);
    if (rc == 0)
        rc = run(s, "BEGIN IMMEDIATE", why, "opening it");
    if (rc == 0)
        rc = finish(s, apply_migrations(s, why), why);
    return rc;
}

/* A lease row <-> struct */

static bool take_text(sqlite3_stmt *q, int column, char *ret, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(q, column);
    int len = sqlite3_column_bytes(q, column);

    if (!text || len <= 0 || (size_t)len >= cap || memchr(text, 0, (size_t)len))
        return false;
    memcpy(ret, text, (size_t)len);
    ret[len] = 0;
    return true;
}

static bool take_lease(sqlite3_stmt *q, struct gh_store_lease *l)
{
    char addr[GH_IP_TEXT], pool[GH_PREFIX_TEXT];
    int64_t tenant = sqlite3_column_int64(q, 0);

    *l = (struct gh_store_lease){ .first_seen = sqlite3_column_int64(q, 4), .last_seen = sqlite3_column_int64(q, 5) };
    if (tenant < 0 || tenant > UINT32_MAX || !take_text(q, 1, l->identity, sizeof l->identity) ||
        !take_text(q, 2, addr, sizeof addr) || !take_text(q, 3, pool, sizeof pool))
        return false;
    l->tenant = (uint32_t)tenant;
    return gh_ip_parse(addr, strlen(addr), &l->addr) == 0 && gh_prefix_parse(pool, strlen(pool), &l->pool) == 0;
}

static int load(struct sqlite_store *s, gh_store_lease_fn fn, void *arg, char *why)
{
    sqlite3_stmt *q = NULL;
    int step, rc = 0;

    if (sqlite3_prepare_v2(s->db,
                           "SELECT tenant, identity, addr, pool, first_seen, last_seen FROM lease "
                           "ORDER BY last_seen, tenant, identity, family",
                           -1, &q, NULL) != SQLITE_OK)
        return refuse_sqlite(s, why, "reading leases");
    for (step = sqlite3_step(q); rc == 0 && step == SQLITE_ROW; step = sqlite3_step(q)) {
        struct gh_store_lease l;

        if (take_lease(q, &l))
            fn(arg, &l);
        else
            rc = refuse(GH_ERR_MALFORMED, why, "%s: the lease of tenant %lld, identity \"%.140s\" has an address or pool that does not "
                        "parse: delete the row with sqlite3, or move the file away", s->path, (long long)sqlite3_column_int64(q, 0),
                        sqlite3_column_text(q, 1) ? (const char *)sqlite3_column_text(q, 1) : "");
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = refuse_sqlite(s, why, "reading leases");
    sqlite3_finalize(q);
    return rc;
}

static int leases_load(struct gh_store *base, gh_store_lease_fn fn, void *arg, char *ret_why)
{
    struct sqlite_store *s = (struct sqlite_store *)base;
    int rc;

    pthread_mutex_lock(&s->mutex);
    rc = load(s, fn, arg, ret_why);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* Parameters: 1 tenant, 2 identity, 3 family, 4 addr, 5 pool, 6 first_seen, 7 last_seen. A statement may use fewer of them. */
struct lease_statements {
    sqlite3_stmt *clear_identity, *clear_addr, *add;
};

static bool lease_statements_init(sqlite3 *db, struct lease_statements *q)
{
    *q = (struct lease_statements){ 0 };
    return sqlite3_prepare_v2(db, "DELETE FROM lease WHERE tenant = ?1 AND identity = ?2 AND family = ?3", -1, &q->clear_identity,
                              NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(db, "DELETE FROM lease WHERE addr = ?4", -1, &q->clear_addr, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(db,
                              "INSERT INTO lease (tenant, identity, family, addr, pool, first_seen, last_seen) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                              -1, &q->add, NULL) == SQLITE_OK;
}

static void lease_statements_fini(struct lease_statements *q)
{
    sqlite3_finalize(q->clear_identity);
    sqlite3_finalize(q->clear_addr);
    sqlite3_finalize(q->add);
}

static bool lease_run(sqlite3_stmt *q, const struct gh_store_lease *l)
{
    char addr[GH_IP_TEXT], pool[GH_PREFIX_TEXT];
    int count = sqlite3_bind_parameter_count(q);
    bool ok;

    gh_ip_emit(&l->addr, addr);
    gh_prefix_emit(&l->pool, pool);
    ok = sqlite3_bind_int64(q, 1, l->tenant) == SQLITE_OK &&
         sqlite3_bind_text(q, 2, l->identity, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
         sqlite3_bind_int(q, 3, l->addr.family) == SQLITE_OK;
    if (ok && count >= 4)
        ok = sqlite3_bind_text(q, 4, addr, -1, SQLITE_TRANSIENT) == SQLITE_OK;
    if (ok && count >= 7)
        ok = sqlite3_bind_text(q, 5, pool, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
             sqlite3_bind_int64(q, 6, l->first_seen) == SQLITE_OK && sqlite3_bind_int64(q, 7, l->last_seen) == SQLITE_OK;
    ok = ok && sqlite3_step(q) == SQLITE_DONE;
    return sqlite3_reset(q) == SQLITE_OK && ok;
}

static int write_changes(struct sqlite_store *s, const struct gh_store_lease_change *changes, size_t count, char *why)
{
    struct lease_statements q;
    int rc = lease_statements_init(s->db, &q) ? 0 : refuse_sqlite(s, why, "writing leases");

    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct gh_store_lease *l = &changes[i].lease;
        bool ok = lease_run(q.clear_identity, l);

        if (ok && changes[i].verb == GH_STORE_PUT)
            ok = lease_run(q.clear_addr, l) && lease_run(q.add, l);
        if (!ok)
            rc = refuse_sqlite(s, why, "writing leases");
    }
    lease_statements_fini(&q);
    return rc;
}

static int check_changes(const struct gh_store_lease_change *changes, size_t count, char *why)
{
    for (size_t i = 0; i < count; i++) {
        const struct gh_store_lease *l = &changes[i].lease;

        if (l->identity[0] == 0 || !memchr(l->identity, 0, sizeof l->identity))
            return refuse(GH_ERR_RANGE, why, "change %zu: the identity is empty or longer than %u bytes", i, GH_STORE_NAME_MAX);
        if (l->addr.family != 4 && l->addr.family != 6)
            return refuse(GH_ERR_RANGE, why, "change %zu: no address", i);
        if (changes[i].verb == GH_STORE_PUT && (!gh_prefix_valid(&l->pool) || !gh_prefix_contains(&l->pool, &l->addr)))
            return refuse(GH_ERR_RANGE, why, "change %zu: the address is not in its pool", i);
    }
    return 0;
}

static int leases_write(struct gh_store *base, const struct gh_store_lease_change *changes, size_t count, char *ret_why)
{
    struct sqlite_store *s = (struct sqlite_store *)base;
    int rc = check_changes(changes, count, ret_why);

    if (rc < 0 || count == 0)
        return rc;
    pthread_mutex_lock(&s->mutex);
    rc = run(s, "BEGIN IMMEDIATE", ret_why, "writing leases");
    if (rc == 0)
        rc = finish(s, write_changes(s, changes, count, ret_why), ret_why);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static int get(struct sqlite_store *s, const char *key, void *ret, size_t cap, size_t *ret_len, char *why)
{
    sqlite3_stmt *q = NULL;
    int step = SQLITE_ERROR, rc = 0;
    size_t len;

    if (sqlite3_prepare_v2(s->db, "SELECT value FROM meta WHERE key = ?1", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC) == SQLITE_OK)
        step = sqlite3_step(q);
    if (step == SQLITE_DONE) {
        rc = refuse(GH_ERR_NOT_FOUND, why, "%s: no key \"%s\"", s->path, key);
    } else if (step != SQLITE_ROW) {
        rc = refuse_sqlite(s, why, "reading meta");
    } else {
        len = (size_t)sqlite3_column_bytes(q, 0);
        if (len > cap) {
            rc = refuse(GH_ERR_TOO_LONG, why, "%s: the value of \"%s\" has %zu bytes, expected at most %zu", s->path, key, len, cap);
        } else {
            if (len > 0)
                memcpy(ret, sqlite3_column_blob(q, 0), len);
            *ret_len = len;
        }
    }
    sqlite3_finalize(q);
    return rc;
}

static int meta_get(struct gh_store *base, const char *key, void *ret, size_t cap, size_t *ret_len, char *ret_why)
{
    struct sqlite_store *s = (struct sqlite_store *)base;
    int rc;

    pthread_mutex_lock(&s->mutex);
    rc = get(s, key, ret, cap, ret_len, ret_why);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static int set(struct sqlite_store *s, const char *key, const void *value, size_t len, char *why)
{
    sqlite3_stmt *q = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                           -1, &q, NULL) != SQLITE_OK ||
        sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob(q, 2, len > 0 ? value : "", (int)len, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(q) != SQLITE_DONE)
        rc = refuse_sqlite(s, why, "writing meta");
    sqlite3_finalize(q);
    return rc;
}

static int meta_set(struct gh_store *base, const char *key, const void *value, size_t len, char *ret_why)
{
    struct sqlite_store *s = (struct sqlite_store *)base;
    int rc;

    if (key[0] == 0 || strlen(key) > GH_STORE_KEY_MAX || len > GH_STORE_VALUE_MAX)
        return refuse(GH_ERR_RANGE, ret_why, "key of %zu or value of %zu bytes: 1 to %u and 0 to %u are possible", strlen(key), len,
                      GH_STORE_KEY_MAX, GH_STORE_VALUE_MAX);
    pthread_mutex_lock(&s->mutex);
    rc = set(s, key, value, len, ret_why);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static void close_store(struct gh_store *base)
{
    struct sqlite_store *s = (struct sqlite_store *)base;

    sqlite3_close(s->db); /* accepts NULL */
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
}

static const struct gh_store_ops ops = {
    .leases_load = leases_load,
    .leases_write = leases_write,
    .meta_get = meta_get,
    .meta_set = meta_set,
    .close = close_store,
};

/* SQLite would make the file readable by all that the umask lets in; -wal and -shm take its mode. A file that exists is left to
 * SQLite: closing a descriptor of it would drop the locks of every connection in this process. */
static int make_file(const char *path, char *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0)
        return refuse(GH_ERR_SYSTEM, why, "%s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

int gh_store_sqlite_open(const char *path, struct gh_store **ret, char ret_why[GH_STORE_WHY])
{
    struct sqlite_store *s = NULL;
    int rc = make_file(path, ret_why);

    if (rc < 0)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return refuse(GH_ERR_MEMORY, ret_why, "%s: out of memory", path);
    s->store.ops = &ops;
    pthread_mutex_init(&s->mutex, NULL); /* cannot fail without attributes */
    s->path = strdup(path);
    if (!s->path)
        rc = refuse(GH_ERR_MEMORY, ret_why, "%s: out of memory", path);
    else if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = refuse_sqlite(s, ret_why, "opening it");
    else
        rc = prepare(s, ret_why);
    if (rc == 0) {
        *ret = &s->store;
        s = NULL;
    }
    if (s)
        close_store(&s->store);
    return rc;
}
