#include "core/audit_chain.h"

#include <string.h>

#include "base/hex.h"
#include "crypto/hash.h"

void gh_audit_chain_init(struct gh_audit_chain *c, const uint8_t key[GH_AUDIT_KEY], uint64_t seq)
{
    memcpy(c->key, key, GH_AUDIT_KEY);
    c->seq = seq;
}

int gh_audit_chain_mac(const struct gh_audit_chain *c, const void *line, size_t len, uint8_t ret_mac[32])
{
    return gh_hmac_sha256(gh_span_of(c->key, GH_AUDIT_KEY), gh_span_of(line, len), gh_span_of(NULL, 0), ret_mac);
}

int gh_audit_chain_skip(struct gh_audit_chain *c, uint64_t seq)
{
    uint8_t key[32];
    int rc = 0;

    while (rc == 0 && c->seq < seq) {
        rc = gh_sha256(gh_span_of(c->key, GH_AUDIT_KEY), key);
        if (rc < 0)
            break;
        memcpy(c->key, key, GH_AUDIT_KEY);
        c->seq++;
    }
    gh_wipe(key, sizeof key);
    return rc;
}

int gh_audit_chain_next(struct gh_audit_chain *c, const void *line, size_t len, uint8_t ret_mac[32])
{
    int rc = gh_audit_chain_mac(c, line, len, ret_mac);

    return rc < 0 ? rc : gh_audit_chain_skip(c, c->seq + 1);
}

void gh_audit_chain_fini(struct gh_audit_chain *c)
{
    gh_wipe(c, sizeof *c);
}

int gh_audit_chain_id(const uint8_t first_key[GH_AUDIT_KEY], char ret[GH_AUDIT_ID_TEXT])
{
    static const char label[] = "gatehouse audit chain";
    uint8_t data[sizeof label - 1 + GH_AUDIT_KEY], hash[32];
    int rc;

    memcpy(data, label, sizeof label - 1);
    memcpy(data + sizeof label - 1, first_key, GH_AUDIT_KEY);
    rc = gh_sha256(gh_span_of(data, sizeof data), hash);
    gh_wipe(data, sizeof data);
    gh_hex_encode(hash, rc == 0 ? (GH_AUDIT_ID_TEXT - 1) / 2 : 0, ret);
    return rc;
}
