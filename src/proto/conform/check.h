/* proto/conform/check.h - what a client can find out about a CONNECT-IP proxy: one row, one rule
 *
 * Every row runs on a connection of its own. A row belongs to a rule of an RFC and says what was seen when that was not kept.
 * The rows are in rows_*.c; their ids are those of docs/internals/conformance.md.
 */
#ifndef GH_PROTO_CONFORM_CHECK_H
#define GH_PROTO_CONFORM_CHECK_H

#include "proto/conform/peer.h"

#define GH_CONFORM_WORDS 240u

enum gh_conform_level {
    GH_CONFORM_MUST,
    GH_CONFORM_SHOULD, /* breaking it is told and is no failure */
};

enum gh_conform_verdict { GH_CONFORM_PASSED, GH_CONFORM_FAILED, GH_CONFORM_SKIPPED };

/* The proxy. Strings outlive the run. */
struct gh_conform_target {
    const char *authority; /* of the requests */
    const char *path;      /* path and query of the URI template, unexpanded */
};

struct gh_conform_result {
    enum gh_conform_verdict verdict;
    bool unreachable;             /* no connection could be made at all */
    char words[GH_CONFORM_WORDS]; /* what was seen; "" when passed */
};

struct gh_conform_check;
struct gh_conform_row {
    const char *id, *name, *source;
    enum gh_conform_level level;
    void (*run)(struct gh_conform_check *c, const struct gh_conform_row *row);
    /* for the runs that are tables */
    const char *bytes;
    size_t len;
    uint64_t code;
    bool fin;
    const char *const *fields;
};

/* The tables, in the order of the report; NULL ends them. A table ends with a row without an id. */
extern const struct gh_conform_row *const gh_conform_tables[];

/* At most <patience> nanoseconds for each thing that is waited for. */
void gh_conform_run(const struct gh_conform_row *row, const struct gh_conform_road *road, const struct gh_conform_target *target,
                    int64_t patience, struct gh_conform_result *ret);

#endif
