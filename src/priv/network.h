/* priv/network.h - addresses, routes, rules and NAT as the child asks for them; every change is noted before it is made
 *
 * The requests were checked by gh_check_request, the devices by the caller. Actions; <error> takes GH_PRIV_TEXT bytes.
 */
#ifndef GH_PRIV_NETWORK_H
#define GH_PRIV_NETWORK_H

#include "priv/changes.h"

int gh_network_tun(struct gh_changes *cs, const struct gh_priv_tun_config *t, uint64_t generation, char *error);
int gh_network_routes(struct gh_changes *cs, const struct gh_priv_routes *r, uint64_t generation, char *error);
int gh_network_rule(struct gh_changes *cs, const struct gh_priv_rule *r, uint64_t generation, char *error);
int gh_network_nat(struct gh_changes *cs, const struct gh_priv_nat *n, uint64_t generation, char *error);
int gh_network_hop(struct gh_changes *cs, const struct gh_priv_hop *h, uint64_t generation, char *error);
/* True when a rule that leads to <table> is in force. */
bool gh_network_owns_table(struct gh_changes *cs, uint32_t table);

#endif
