/* priv/keys.h - the private keys that the parent holds, and signs with
 *
 * A key is asked for by its number. What is signed is the content of a TLS 1.3 CertificateVerify and nothing else, so whoever takes
 * the child over cannot make certificates or revocation lists with it. A key that was loaded for strangers signs a ServerKeyExchange of
 * TLS 1.2 as well (crypto/signer.h).
 */
#ifndef GH_PRIV_KEYS_H
#define GH_PRIV_KEYS_H

#include <stdbool.h>

#include "priv/request.h"

#define GH_KEYS_MAX 64u

struct gh_sign_key;

/* Zero-initialised: none. */
struct gh_keys {
    uint32_t last; /* number that was given */
    struct gh_key_place {
        uint32_t id;
        struct gh_sign_key *key; /* NULL: a free place */
        bool tls12;
        char path[GH_PRIV_PATH];
    } places[GH_KEYS_MAX];
};

/* Reads <fd>. <path> NULL: it is only looked at. Fills <ret>: id, and the schemes that the key may be asked for. When there is no room the oldest key is forgotten.
 * 0, GH_ERR_SYSTEM and what gh_sign_key_load says. */
int gh_keys_load(struct gh_keys *k, int fd, const char *path, bool tls12, struct gh_priv_reply *ret);
int gh_keys_forget(struct gh_keys *k, uint32_t id); /* 0 or GH_ERR_NOT_FOUND */
bool gh_keys_has(const struct gh_keys *k, const char *path);
/* 0 and the signature in <ret>; GH_ERR_DENIED (nothing that TLS signs with this key), GH_ERR_NOT_FOUND (no such key), GH_ERR_UNSUPPORTED, GH_ERR_CRYPTO. */
int gh_keys_sign(const struct gh_keys *k, const struct gh_priv_sign *q, struct gh_priv_reply *ret);
void gh_keys_wipe(struct gh_keys *k);

#endif
