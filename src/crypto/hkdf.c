#include "crypto/hkdf.h"

#include <string.h>

#include "base/error.h"

int gh_hkdf_extract(enum gh_digest d, struct gh_span salt, struct gh_span key, uint8_t *ret)
{
    return gh_hmac(d, salt, &key, 1, ret);
}

int gh_hkdf_expand(enum gh_digest d, struct gh_span secret, struct gh_span info, uint8_t *ret, size_t len)
{
    uint8_t block[GH_DIGEST_MAX], number = 0;
    size_t block_len = gh_digest_len(d), done = 0, piece;
    int rc = 0;

    if (len > 255 * block_len)
        return GH_ERR_RANGE;
    while (done < len && rc == 0) {
        const struct gh_span parts[] = { gh_span_of(block, number ? block_len : 0), info, gh_span_of(&number, 1) };

        number++;
        rc = gh_hmac(d, secret, parts, 3, block);
        piece = len - done < block_len ? len - done : block_len;
        if (rc == 0)
            memcpy(ret + done, block, piece);
        done += piece;
    }
    gh_wipe(block, sizeof block);
    return rc;
}

int gh_hkdf_expand_label(enum gh_digest d, struct gh_span secret, const char *label, struct gh_span context, uint8_t *ret, size_t len)
{
    uint8_t info[2 + 1 + 6 + 32 + 1 + 64];
    struct gh_writer w = gh_writer_of(info, sizeof info);

    gh_write_u16(&w, (uint16_t)len);
    gh_write_u8(&w, (uint8_t)(6 + strlen(label)));
    gh_write_bytes(&w, "tls13 ", 6);
    gh_write_span(&w, gh_span_str(label));
    gh_write_u8(&w, (uint8_t)context.len);
    gh_write_span(&w, context);
    return w.failed ? GH_ERR_CRYPTO : gh_hkdf_expand(d, secret, gh_span_of(info, gh_writer_len(&w)), ret, len);
}

int gh_hkdf_sha256(struct gh_span key, struct gh_span salt, const char *info, uint8_t *ret, size_t len)
{
    uint8_t secret[GH_SHA256_LEN];
    int rc = gh_hkdf_extract(GH_DIGEST_SHA256, salt, key, secret);

    if (rc == 0)
        rc = gh_hkdf_expand(GH_DIGEST_SHA256, gh_span_of(secret, sizeof secret), gh_span_str(info), ret, len);
    gh_wipe(secret, sizeof secret);
    return rc;
}
