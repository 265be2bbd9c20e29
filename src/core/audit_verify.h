/* core/audit_verify.h - checks the lines of a chain against its first key, and says what was done to them
 *
 * Lines are fed in the order of their files. What is wrong becomes a finding, what only is worth knowing a note. The place of
 * a missing record is the line before which it should stand.
 */
#ifndef GH_CORE_AUDIT_VERIFY_H
#define GH_CORE_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "core/audit_chain.h"

#define GH_AUDIT_FINDINGS_MAX 1000u /* kept; later ones are counted */
#define GH_AUDIT_GRACE_S 30         /* beyond the time between checkpoints, before a tail counts as cut */

enum gh_audit_kind {
    GH_AUDIT_CHANGED,  /* a record is not what was written */
    GH_AUDIT_MISSING,  /* records <seq> to <last> are not there */
    GH_AUDIT_MOVED,    /* a record stands at another place */
    GH_AUDIT_REPEATED, /* a record stands there again */
    GH_AUDIT_INSERTED, /* a line that the node did not write */
    GH_AUDIT_TAIL,     /* what should follow the last record is not there; <last>: its number when it is known, else <seq> */
    /* notes */
    GH_AUDIT_CRASH,    /* numbers <seq> to <last> may have been lost: the run ended without notice */
    GH_AUDIT_TORN,     /* the end of a line was not written: the run ended, or the disk was full */
    GH_AUDIT_STARTS,   /* the first record is number <seq> */
};

struct gh_audit_finding {
    enum gh_audit_kind kind;
    unsigned file;  /* number of the call to gh_audit_verify_file, from 0 */
    uint64_t line;  /* from 1 */
    uint64_t seq, last;
};

enum gh_audit_end { GH_AUDIT_END_NONE, GH_AUDIT_END_OPEN, GH_AUDIT_END_ROTATED, GH_AUDIT_END_STOPPED };

struct gh_audit_gap;

/* Fields below the line are the verifier's own. */
struct gh_audit_verifier {
    struct gh_audit_finding findings[GH_AUDIT_FINDINGS_MAX];
    size_t finding_count; /* notes included */
    uint64_t bad;         /* findings, without notes, those that were not kept included */
    uint64_t records, first, last; /* records: good ones; first, last: numbers, when there is any */
    int64_t last_wall;             /* seconds, of the last good record */
    enum gh_audit_end end;
    char other_chain[GH_AUDIT_ID_TEXT]; /* a first record that cannot be verified names this chain; "" */
    /* ---- */
    struct gh_audit_chain chain; /* of the record that comes next */
    char id[GH_AUDIT_ID_TEXT];
    bool complete, failed;
    uint64_t budget; /* keys that may still be computed for numbers that are only claimed */
    unsigned file;
    uint64_t line;
    struct gh_audit_gap *gaps;
    size_t gap_count, gap_cap;
    size_t foreign_at, foreign_count; /* findings about lines that are no records, directly before the next line */
    bool torn;                        /* the last of them is not ended */
};

/* <complete>: the first record must be number 0, not only one that a file may begin with. 0 or GH_ERR_CRYPTO. */
int gh_audit_verify_init(struct gh_audit_verifier *v, const uint8_t first_key[GH_AUDIT_KEY], bool complete);
void gh_audit_verify_fini(struct gh_audit_verifier *v);
/* Another file begins. */
void gh_audit_verify_file(struct gh_audit_verifier *v);
/* The next line, without its end; <ended>: it had one. */
void gh_audit_verify_line(struct gh_audit_verifier *v, struct gh_span line, bool ended);
/* After the last line. <at>: wall seconds at which the files were taken from the node. <written>: number up to which the node says that
 * it has written, 0 when it was not asked. 0, GH_ERR_MEMORY or GH_ERR_CRYPTO: then the result means nothing. */
int gh_audit_verify_end(struct gh_audit_verifier *v, int64_t at, uint64_t written);

bool gh_audit_kind_is_note(enum gh_audit_kind k);
const char *gh_audit_kind_name(enum gh_audit_kind k); /* "changed", … */
const char *gh_audit_end_name(enum gh_audit_end e);

#endif
