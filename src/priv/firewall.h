/* priv/firewall.h - ports that the host's own firewall lets in for as long as we need them
 *
 * ufw where it is active, else firewalld where it runs, else every chain of nftables that drops what comes in. Only what was not let in
 * before is opened, and only that is taken back.
 */
#ifndef GH_PRIV_FIREWALL_H
#define GH_PRIV_FIREWALL_H

#include "priv/changes.h"

/* The request was checked. <ret_name>: which firewall it was, "" where nothing filters; <error> takes GH_PRIV_TEXT bytes. */
int gh_firewall_open(struct gh_changes *cs, const struct gh_priv_firewall *f, uint64_t generation, char ret_name[GH_PRIV_DEVICE], char *error);
/* Takes back what the words of a rule say, if it is there. 0, or what went wrong. */
int gh_firewall_close(const char *words);

#endif
