/* net/source_budget.h - how many handshakes one source may begin
 *
 * A source is an IPv4 address or an IPv6 /64. It has two budgets: one for handshakes without a proof of its address, which anybody can
 * use up in its name, and then it is asked for a proof; and one for those with a proof. A handshake that ends badly costs as much
 * as PENALTY; time pays back. The table has a fixed size: whoever owes least makes room.
 */
#ifndef GH_NET_SOURCE_BUDGET_H
#define GH_NET_SOURCE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/map.h"

#define GH_SOURCE_BUDGET_SOURCES 4096u
#define GH_SOURCE_BUDGET_BURST 20    /* seconds whose budget may be spent at once */
#define GH_SOURCE_BUDGET_PENALTY 8   /* handshakes */
#define GH_SOURCE_BUDGET_DEBT_MAX 60 /* seconds: the longest that anybody is kept out */

enum gh_source_answer {
    GH_SOURCE_GO,
    GH_SOURCE_PROVE,  /* only with a proof of its address */
    GH_SOURCE_REFUSE, /* later */
};

struct gh_source_entry;

struct gh_source_budget {
    struct gh_source_entry *entries; /* NULL until the first source */
    struct gh_hash_seed seed;
    int64_t interval; /* ns a handshake; 0: no limit */
};

/* <per_second> 0: no limit. <seed> is random: sources choose their addresses. */
void gh_source_budget_init(struct gh_source_budget *b, const struct gh_hash_seed *seed, unsigned per_second);
void gh_source_budget_fini(struct gh_source_budget *b);
void gh_source_budget_set(struct gh_source_budget *b, unsigned per_second);
/* One handshake more. Without memory everybody may go on. */
enum gh_source_answer gh_source_budget_take(struct gh_source_budget *b, const struct gh_ip *from, bool proved, int64_t now);
/* A handshake of <from>, whose address is proved, ended badly. */
void gh_source_budget_punish(struct gh_source_budget *b, const struct gh_ip *from, int64_t now);

#endif
