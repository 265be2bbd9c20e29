/* core/audit_state.h - where the chain stands, kept across restarts so that no key is used twice
 *
 * <state folder>/audit.chain holds the key of a line that is not written yet: a block of numbers is reserved, on the disk,
 * before the first of them is used, and what is kept is the key that follows the block. A clean end keeps the exact place.
 * After any other end the chain goes on behind the block; the numbers between are gone, and the first record of the new run
 * says from which number on lines may be missing:
 *
 *   process killed   from the end of the last batch that was written whole: a mark kept by the page cache says it
 *   machine stopped  from the last sync of file and state: at the latest a block or 60 s ago. The boot id tells the two apart.
 *
 * Two slots are written in turn, each with its checksum, so that a write that was cut leaves the other; the older one is wiped.
 */
#ifndef GH_CORE_AUDIT_STATE_H
#define GH_CORE_AUDIT_STATE_H

#include <stdbool.h>

#include "core/audit_chain.h"

#define GH_AUDIT_STATE_FILE "audit.chain"
#define GH_AUDIT_BLOCK 4096u /* numbers that are reserved at a time */
#define GH_AUDIT_BOOT 64u    /* bytes of a boot id, NUL included */

struct gh_audit_state {
    int fd; /* locked */
    unsigned slot;
    uint64_t generation;
    uint64_t reserved; /* numbers below this one may be used */
    char id[GH_AUDIT_ID_TEXT], boot[GH_AUDIT_BOOT];
    /* How the run begins. */
    struct gh_audit_chain chain;
    bool unclean;          /* the run before did not end well */
    uint64_t missing_from; /* then: the first number whose line may not be there */
};

/* Begins a chain in the folder <dir>. GH_ERR_EXISTS when there is one, GH_ERR_SYSTEM, GH_ERR_CRYPTO. */
int gh_audit_state_create(int dir, const uint8_t first_key[GH_AUDIT_KEY]);
/* Takes the chain up and reserves the first block. <boot>: changes when the machine starts; "" when it is not known, which is
 * taken for a change. GH_ERR_NOT_FOUND, GH_ERR_EXISTS (another process has it), GH_ERR_MALFORMED, GH_ERR_SYSTEM, GH_ERR_CRYPTO. */
int gh_audit_state_open(int dir, const char *boot, struct gh_audit_state *ret);
/* Everything before c->seq is in the sink and synced: reserves a block behind it. */
int gh_audit_state_reserve(struct gh_audit_state *s, const struct gh_audit_chain *c);
/* Everything before <seq> was handed to the sink. Not synced. */
void gh_audit_state_mark(struct gh_audit_state *s, uint64_t seq);
/* A clean end at c->seq. */
int gh_audit_state_finish(struct gh_audit_state *s, const struct gh_audit_chain *c);
/* Closes; the chain's key is wiped. */
void gh_audit_state_fini(struct gh_audit_state *s);

/* What a verifier wants from the file of a node: its chain, and the number that a line was handed to the sink up to. */
struct gh_audit_progress {
    char id[GH_AUDIT_ID_TEXT];
    uint64_t written; /* lines below this number were written */
    bool clean;
};

int gh_audit_state_peek(int fd, struct gh_audit_progress *ret);

#endif
