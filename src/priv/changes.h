/* priv/changes.h - what was changed on this machine, and how it is put back
 *
 * Every change is written to the journal before it is made: one line "+ …"; "- …" takes the line back. Undoing is
 * idempotent, so a change that was journalled and never made does no harm. The newest change is undone first.
 *
 *     + addr <device> <index> <address>/<length>
 *     + route <device or -> <index> <table> <metric> <prefix>
 *     + rule <4|6> <priority> <table> <mark, or 0: suppress_prefixlength 0>
 *     + nft <table>
 *     + firewall <rule, as priv/firewall_text.h writes it>
 *     + sysctl <path below /proc/sys> <value before>
 *     + file <path>
 */
#ifndef GH_PRIV_CHANGES_H
#define GH_PRIV_CHANGES_H

#include <stdint.h>

#include "base/ip_addr.h"
#include "base/list.h"
#include "os/netlink.h"
#include "priv/request.h"

enum gh_change_kind { GH_CHANGE_ADDR, GH_CHANGE_ROUTE, GH_CHANGE_RULE, GH_CHANGE_NFT, GH_CHANGE_SYSCTL, GH_CHANGE_FILE, GH_CHANGE_FIREWALL };

struct gh_change {
    enum gh_change_kind kind;
    char device[GH_PRIV_DEVICE]; /* ADDR, ROUTE; "-" for none */
    unsigned ifindex;            /* of <device> when it was made: another device of that name is left alone */
    struct gh_prefix prefix;     /* ADDR, ROUTE */
    uint32_t table, metric;      /* ROUTE, RULE */
    uint32_t priority, mark;     /* RULE */
    uint8_t family;              /* RULE */
    char path[GH_PRIV_PATH];     /* NFT: table; FIREWALL: rule; SYSCTL, FILE */
    char value[32];              /* SYSCTL */
};

struct gh_change_node {
    struct gh_list link;
    uint64_t generation; /* of the child that asked for it last */
    bool stale;
    struct gh_change change;
};

#define GH_CHANGES_MAX 16384u
#define GH_CHANGE_LINE (GH_PRIV_PATH + 96)

struct gh_changes;

/* Pure: the journal's words without "+ ". parse: 0 or GH_ERR_MALFORMED. */
void gh_change_emit(const struct gh_change *c, char ret[GH_CHANGE_LINE]);
int gh_change_parse(const char *line, struct gh_change *ret);

/* Takes <dir>, whatever it returns. Undoes what the journal there still holds, and counts it in <ret_left>. The
 * caller holds the lock. 0 or GH_ERR_MEMORY, GH_ERR_SYSTEM, GH_ERR_DENIED. */
int gh_changes_open(int dir, const char *name, struct gh_changes **ret, int *ret_left);
/* Undoes everything and removes the journal. What failed to be undone stays in it. Accepts NULL. */
void gh_changes_close(struct gh_changes *cs);
struct gh_netlink *gh_changes_netlink(struct gh_changes *cs);
struct gh_list *gh_changes_list(struct gh_changes *cs); /* of struct gh_change_node, oldest first; walk only */

struct gh_change_node *gh_changes_find(struct gh_changes *cs, const struct gh_change *c);
/* Journals <c>, which is not made yet. 0, GH_ERR_FULL, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_changes_note(struct gh_changes *cs, const struct gh_change *c, uint64_t generation, struct gh_change_node **ret);
/* Forgets a change that could not be made. */
void gh_changes_forget(struct gh_changes *cs, struct gh_change_node *n);
/* Puts one back. 0, or what went wrong: it stays noted then. */
int gh_changes_undo(struct gh_changes *cs, struct gh_change_node *n);
/* Puts all back for which <pick> says so (NULL: all), newest first. 0 or the first error. */
int gh_changes_undo_all(struct gh_changes *cs, bool (*pick)(void *arg, const struct gh_change_node *n), void *arg);

#endif
