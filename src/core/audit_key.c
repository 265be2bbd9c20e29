#include "core/audit_key.h"

#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "crypto/seal.h"

#define SEALED (GH_AUDIT_KEY + GH_SEAL_EXTRA)

static const char head[] = "gatehouse audit key 1\n", info[] = "gatehouse audit key";

int gh_audit_key_emit(const uint8_t key[GH_AUDIT_KEY], struct gh_span public_pem, struct gh_text *out)
{
    char id[GH_AUDIT_ID_TEXT], hex[2 * SEALED + 1];
    uint8_t sealed[SEALED];
    int rc = gh_audit_chain_id(key, id);

    if (rc == 0 && public_pem.len)
        rc = gh_seal(public_pem, gh_span_str(info), gh_span_str(id), gh_span_of(key, GH_AUDIT_KEY), sealed);
    if (rc < 0)
        return rc;
    gh_text_append(out, head);
    gh_hex_encode(public_pem.len ? sealed : key, public_pem.len ? sizeof sealed : GH_AUDIT_KEY, hex);
    gh_text_printf(out, "chain %s\n%s %s\n", id, public_pem.len ? "sealed" : "key", hex);
    gh_wipe(hex, sizeof hex);
    return out->failed ? GH_ERR_MEMORY : 0;
}

/* "NAME hex\n" from the front of <in>: the number of bytes, or GH_ERR_MALFORMED. */
static int take_hex(struct gh_span *in, const char *name, uint8_t *ret, size_t cap)
{
    size_t len = strlen(name), n = 0;

    if (in->len <= len || memcmp(in->data, name, len) != 0 || in->data[len] != ' ')
        return GH_ERR_MALFORMED;
    for (len++; len + 1 < in->len && in->data[len] != '\n'; len += 2, n++) {
        int high = gh_hex_digit(in->data[len], GH_HEX_LOWER), low = gh_hex_digit(in->data[len + 1], GH_HEX_LOWER);

        if (high < 0 || low < 0 || n == cap)
            return GH_ERR_MALFORMED;
        ret[n] = (uint8_t)(high << 4 | low);
    }
    if (len >= in->len || in->data[len] != '\n')
        return GH_ERR_MALFORMED;
    *in = gh_span_of(in->data + len + 1, in->len - len - 1);
    return (int)n;
}

int gh_audit_key_parse(struct gh_span file, struct gh_span private_pem, uint8_t ret_key[GH_AUDIT_KEY], char ret_id[GH_AUDIT_ID_TEXT])
{
    uint8_t said[16], key[GH_AUDIT_KEY], sealed[SEALED];
    char id[GH_AUDIT_ID_TEXT], real[GH_AUDIT_ID_TEXT];
    int rc = 0;

    if (file.len < sizeof head - 1 || memcmp(file.data, head, sizeof head - 1) != 0)
        return GH_ERR_MALFORMED;
    file = gh_span_of(file.data + sizeof head - 1, file.len - (sizeof head - 1));
    if (take_hex(&file, "chain", said, sizeof said) != (int)sizeof said)
        return GH_ERR_MALFORMED;
    memcpy(id, file.data - 33, 32);
    id[32] = 0;
    if (take_hex(&file, "key", key, sizeof key) != (int)sizeof key) {
        if (take_hex(&file, "sealed", sealed, sizeof sealed) != (int)sizeof sealed)
            return GH_ERR_MALFORMED;
        rc = private_pem.len ? gh_unseal(private_pem, gh_span_str(info), gh_span_str(id), gh_span_of(sealed, sizeof sealed), key) : GH_ERR_STATE;
    }
    if (rc == 0 && (file.len || gh_audit_chain_id(key, real) < 0 || strcmp(id, real) != 0))
        rc = GH_ERR_MALFORMED;
    if (rc == 0) {
        memcpy(ret_key, key, GH_AUDIT_KEY);
        memcpy(ret_id, id, GH_AUDIT_ID_TEXT);
    }
    gh_wipe(key, sizeof key);
    return rc;
}
