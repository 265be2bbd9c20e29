/* priv/nft.h - firewall tables, by the nft program (DESIGN 4, decision 5) */
#ifndef GH_PRIV_NFT_H
#define GH_PRIV_NFT_H

#include <stddef.h>

#include "priv/request.h"

#define GH_NFT_TABLE (GH_PRIV_DEVICE + 10) /* "gatehouse_<device>" and NUL */

void gh_nft_table_name(const char *device, char ret[GH_NFT_TABLE]);
/* Makes the table anew, in one transaction. <error> takes what nft said, GH_PRIV_TEXT bytes.
 * 0, GH_ERR_NOT_FOUND (no nft here), GH_ERR_SYSTEM or GH_ERR_MEMORY. */
int gh_nft_masquerade(const struct gh_priv_nat *n, char *error);
/* The table that leads hop ports to the port that is listened on; errors as above. */
#define GH_NFT_HOP_TABLE "gatehouse_/hop" /* no device is called so */
int gh_nft_redirect(const struct gh_priv_hop *h, char *error);
/* Removes the table whether it is there or not. */
int gh_nft_remove(const char *table, char *error);
/* One transaction, in nft's JSON; errors as above. */
int gh_nft_apply(const char *json, size_t len, char *error);
/* What "nft list …" says; free <ret_text>. 0 or an error, with nft's own words. */
int gh_nft_list(const char *const argv[], char **ret_text, char *error);

#endif
