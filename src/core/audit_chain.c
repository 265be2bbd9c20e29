#include "core/audit_chain.h"

#include <string.h>

#include "crypto/hash.h"

int gh_audit_chain_init(struct gh_audit_chain *c, const void *secret, size_t len, const uint8_t nonce[GH_AUDIT_NONCE])
{
    memset(c, 0, sizeof *c);
    return gh_hmac_sha256(gh_span_of(secret, len), gh_span_str("gatehouse audit start"), gh_span_of(nonce, GH_AUDIT_NONCE), c->key);
}

int gh_audit_chain_next(struct gh_audit_chain *c, const char *line, size_t len, uint8_t ret_mac[32])
{
    uint8_t mac[32], key[32];
    int rc = gh_hmac_sha256(gh_span_of(c->key, 32), gh_span_of(c->mac, 32), gh_span_of(line, len), mac);

    if (rc == 0)
        rc = gh_hmac_sha256(gh_span_of(c->key, 32), gh_span_str("gatehouse audit next"), gh_span_of(NULL, 0), key);
    if (rc == 0) {
        memcpy(c->key, key, 32);
        memcpy(c->mac, mac, 32);
        c->seq++;
        memcpy(ret_mac, mac, 32);
    }
    gh_wipe(key, sizeof key);
    return rc;
}

void gh_audit_chain_fini(struct gh_audit_chain *c)
{
    gh_wipe(c, sizeof *c);
}
