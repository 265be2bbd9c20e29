/* core/audit_chain.h - what proves an audit line (DESIGN 4, decision 11)
 *
 * Every line has a number and a key of its own: mac(i) = HMAC-SHA256(key(i), line(i)), where line(i) is everything up to and
 * including its number, and key(i+1) = SHA-256(key(i)), after which key(i) is wiped. Whoever takes over a running node learns a
 * later key, from which no earlier line can be made; whoever holds key(0) can check every line. A mac does not cover the mac
 * before it: the number and its key already say where a line belongs, and so one bad line says nothing against the others.
 */
#ifndef GH_CORE_AUDIT_CHAIN_H
#define GH_CORE_AUDIT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#define GH_AUDIT_KEY 32u
#define GH_AUDIT_ID_TEXT 33u

struct gh_audit_chain {
    uint8_t key[GH_AUDIT_KEY]; /* of the next line */
    uint64_t seq;              /* number of the next line */
};

void gh_audit_chain_init(struct gh_audit_chain *c, const uint8_t key[GH_AUDIT_KEY], uint64_t seq);
/* The mac that the next line would have. 0 or GH_ERR_CRYPTO, as all below. */
int gh_audit_chain_mac(const struct gh_audit_chain *c, const void *line, size_t len, uint8_t ret_mac[32]);
/* Moves to line number <seq>, which is not before the next one. */
int gh_audit_chain_skip(struct gh_audit_chain *c, uint64_t seq);
/* The mac of the next line, and on. */
int gh_audit_chain_next(struct gh_audit_chain *c, const void *line, size_t len, uint8_t ret_mac[32]);
void gh_audit_chain_fini(struct gh_audit_chain *c);

/* What a chain is called: the first half of SHA-256("gatehouse audit chain" || key(0)), in hex. */
int gh_audit_chain_id(const uint8_t first_key[GH_AUDIT_KEY], char ret[GH_AUDIT_ID_TEXT]);

#endif
