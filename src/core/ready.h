/* core/ready.h - named checks that together say whether a node may be sent work
 *
 * A service registers its checks when it loads ("tls", "policy", "pool", "tun"), all failing at first, and reports from any thread.
 */
#ifndef GH_CORE_READY_H
#define GH_CORE_READY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GH_READY_MAX 32u
#define GH_READY_WHY 128u

struct gh_ready;

struct gh_ready_check {
    const char *name;
    bool ok;
    char why[GH_READY_WHY]; /* "" when ok */
};

int gh_ready_create(struct gh_ready **ret);
void gh_ready_destroy(struct gh_ready *r);
/* The check's number, or GH_ERR_FULL. <name> is borrowed for the life of <r>. A name known already gives its number. */
int gh_ready_register(struct gh_ready *r, const char *name);
/* <why> is copied, cut at GH_READY_WHY; NULL for ok. */
void gh_ready_set(struct gh_ready *r, int check, bool ok, const char *why);
/* True when every check is ok. */
bool gh_ready_all(const struct gh_ready *r);
/* Copies the checks and returns how many there are, at most <max>. */
size_t gh_ready_list(const struct gh_ready *r, struct gh_ready_check *ret, size_t max);

#endif
