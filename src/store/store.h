/* store/store.h - what a node remembers across restarts, behind one table of operations
 *
 * All SQL lives in this folder. Every operation blocks: call it from the offload pool, never from a worker's loop. A store may be
 * used by several threads; operations on one store take turns.
 */
#ifndef GH_STORE_STORE_H
#define GH_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"

#define GH_STORE_WHY 512u      /* longest reason, NUL included */
#define GH_STORE_NAME_MAX 128u /* bytes of an identity */
#define GH_STORE_KEY_MAX 128u  /* bytes of a meta key */
#define GH_STORE_VALUE_MAX 65536u

struct gh_store;

/* An address that is reserved for an identity. */
struct gh_store_lease {
    uint32_t tenant;
    char identity[GH_STORE_NAME_MAX + 1];
    struct gh_ip addr;
    struct gh_prefix pool; /* the pool's prefix that <addr> is in */
    int64_t first_seen;    /* wall seconds */
    int64_t last_seen;
};

enum gh_store_verb { GH_STORE_PUT, GH_STORE_DELETE };

/* PUT: the identity has this address and no other of its family, and no other identity has it.
 * DELETE: the identity has no address of <addr>'s family; that it had none is no error. */
struct gh_store_lease_change {
    enum gh_store_verb verb;
    struct gh_store_lease lease;
};

typedef void (*gh_store_lease_fn)(void *arg, const struct gh_store_lease *lease);

/* Actions return 0, or with a line for people in <ret_why>: GH_ERR_SYSTEM (disk full, no permission, locked too long ...),
 * GH_ERR_MALFORMED (the database is damaged), GH_ERR_EXISTS (it is another program's), GH_ERR_UNSUPPORTED (it was written by a newer version),
 * GH_ERR_RANGE (an argument is too long), GH_ERR_MEMORY. */
struct gh_store_ops {
    /* Every lease, the longest absent first, as the address pool wants them. A row that does not parse is an error. */
    int (*leases_load)(struct gh_store *s, gh_store_lease_fn fn, void *arg, char *ret_why);
    /* All changes in order, or none, in one transaction. */
    int (*leases_write)(struct gh_store *s, const struct gh_store_lease_change *changes, size_t count, char *ret_why);
    /* GH_ERR_NOT_FOUND when there is no such key; GH_ERR_TOO_LONG when <cap> is too small. <ret_len> bytes of <ret>. */
    int (*meta_get)(struct gh_store *s, const char *key, void *ret, size_t cap, size_t *ret_len, char *ret_why);
    int (*meta_set)(struct gh_store *s, const char *key, const void *value, size_t len, char *ret_why);
    void (*close)(struct gh_store *s);
};

/* First member of what an implementation keeps. */
struct gh_store {
    const struct gh_store_ops *ops;
};

/* What SQLite keeps beside the file: a damaged one is moved away with these. */
#define GH_STORE_SQLITE_ENDINGS { "-wal", "-shm", "-journal" }

/* Opens or makes the SQLite file <path> (mode 0600) and brings its schema up to date. */
int gh_store_sqlite_open(const char *path, struct gh_store **ret, char ret_why[GH_STORE_WHY]);

/* NULL is accepted. */
static inline void gh_store_close(struct gh_store *s)
{
    if (s)
        s->ops->close(s);
}

#endif
