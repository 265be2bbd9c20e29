/* tests/unit/proto/ech/forge.h - a ClientHello with ECH in which anything at all is sealed
 *
 * The library's HPKE does it; the sealing key follows from a fixed seed, so the same inner bytes make the same hello.
 */
#ifndef GH_ECH_FORGE_H
#define GH_ECH_FORGE_H

#include <stdlib.h>
#include <string.h>

#include <openssl/hpke.h>

#include "base/span.h"

#define FORGE_TAG 16u

struct forge {
    uint8_t body[4096]; /* the ClientHello without its header */
    size_t len;
};

#define FORGE_REQUIRE(x) \
    do {                 \
        if (!(x))        \
            abort();     \
    } while (0)

/* <list>: an ECHConfigList of one X25519 config. <extensions>: others of the outer hello, as on the wire; they stand before ECH's. */
static inline void forge_hello(struct gh_span list, struct gh_span extensions, struct gh_span inner, struct forge *ret)
{
    static const unsigned char seed[32] = { 1, 2, 3, 4, 5 };
    const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_128 };
    OSSL_HPKE_CTX *ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
    struct gh_writer w = gh_writer_of(ret->body, sizeof ret->body);
    size_t payload = inner.len + FORGE_TAG, enc_len = 32, at, ech = 4 + 1 + 4 + 1 + 2 + 32 + 2 + payload, sealed;
    uint8_t info[512] = "tls ech", enc[32], *copy;

    FORGE_REQUIRE(ctx && list.len - 2 + 8 <= sizeof info);
    memcpy(info + 8, list.data + 2, list.len - 2);
    FORGE_REQUIRE(OSSL_HPKE_CTX_set1_ikme(ctx, seed, sizeof seed) == 1);
    FORGE_REQUIRE(OSSL_HPKE_encap(ctx, enc, &enc_len, list.data + 2 + 4 + 3 + 2, 32, info, 8 + list.len - 2) == 1 && enc_len == 32);
    gh_write_u16(&w, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        gh_write_u8(&w, (uint8_t)(0xa0 + i)); /* random */
    gh_write_u8(&w, 2);
    gh_write_u16(&w, 0x5e55); /* session id */
    gh_write_u16(&w, 2);
    gh_write_u16(&w, 0x1301);
    gh_write_u8(&w, 1);
    gh_write_u8(&w, 0);
    gh_write_u16(&w, (uint16_t)(extensions.len + ech));
    gh_write_bytes(&w, extensions.data, extensions.len);
    gh_write_u16(&w, 0xfe0d);
    gh_write_u16(&w, (uint16_t)(ech - 4));
    gh_write_u8(&w, 0);
    gh_write_u16(&w, suite.kdf_id);
    gh_write_u16(&w, suite.aead_id);
    gh_write_u8(&w, list.data[2 + 4]); /* config_id */
    gh_write_u16(&w, 32);
    gh_write_bytes(&w, enc, 32);
    gh_write_u16(&w, (uint16_t)payload);
    at = gh_writer_len(&w);
    FORGE_REQUIRE(!w.failed && at + payload <= sizeof ret->body);
    memset(ret->body + at, 0, payload);
    ret->len = at + payload;
    copy = malloc(ret->len);
    FORGE_REQUIRE(copy);
    memcpy(copy, ret->body, ret->len);
    sealed = payload;
    FORGE_REQUIRE(OSSL_HPKE_seal(ctx, ret->body + at, &sealed, copy, ret->len, inner.data, inner.len) == 1 && sealed == payload);
    free(copy);
    OSSL_HPKE_CTX_free(ctx);
}

#endif
