/* core/audit_chain.h - the HMAC chain over audit lines (DESIGN 4, decision 11)
 *
 * mac(i) = HMAC-SHA256(key(i), mac(i-1) || line(i)), key(i+1) = HMAC-SHA256(key(i), "gatehouse audit next"), and key(i) is
 * wiped. key(0) = HMAC-SHA256(secret, "gatehouse audit start" || nonce), mac(-1) is zero. The nonce is in the first record
 * of every run, so a verifier needs the secret alone. Whoever takes over a running node learns a later key, from which no
 * earlier line can be forged; a line that was removed or changed breaks every mac after it.
 */
#ifndef GH_CORE_AUDIT_CHAIN_H
#define GH_CORE_AUDIT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#define GH_AUDIT_NONCE 16u

struct gh_audit_chain {
    uint8_t key[32], mac[32];
    uint64_t seq; /* number of the next record of this run */
};

int gh_audit_chain_init(struct gh_audit_chain *c, const void *secret, size_t len, const uint8_t nonce[GH_AUDIT_NONCE]);
/* Takes the next line, without its chain fields, and moves the key. 0 or GH_ERR_CRYPTO. */
int gh_audit_chain_next(struct gh_audit_chain *c, const char *line, size_t len, uint8_t ret_mac[32]);
void gh_audit_chain_fini(struct gh_audit_chain *c);

#endif
