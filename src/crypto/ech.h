/* crypto/ech.h - keys of Encrypted ClientHello (RFC 9849), and whether a ClientHello was made with one of them
 *
 * A set of keys, newest first. The newest alone is announced, in retry_configs and by whoever publishes it; the others still open what
 * clients made that have not heard of a newer one, for a while after the next one was born. A set does not change once it is in use, so any
 * thread may ask it.
 *
 * Whether there is ECH in a ClientHello says nothing, since browsers send the same shape without a key (GREASE): decryption decides. What has
 * another config_id or suite than our keys costs nothing; one HPKE decapsulation (RFC 9180) is made for what has.
 */
#ifndef GH_CRYPTO_ECH_H
#define GH_CRYPTO_ECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/ca.h"

#define GH_ECH_KEYS_MAX 64u       /* keys of a set */
#define GH_ECH_PEM_MAX 16384u     /* bytes of one key's PEM */
#define GH_ECH_CONFIGS_MAX 4u     /* ECHConfigs of one key that we look at */
#define GH_ECH_LIST_MAX 1499u     /* bytes of an ECHConfigList: what libssl takes */
#define GH_ECH_PAYLOAD_MAX 1500u  /* bytes of a hello's payload, as well */
#define GH_ECH_PUBLIC_NAME_MAX 253u
#define GH_ECH_WHY 256u           /* longest reason, NUL included */
#define GH_ECH_KEEP ((int64_t)30 * 86400) /* seconds that a key opens after it is no longer the newest, by default */

struct gh_ech_keys;

/* An empty set. <keep>: seconds. 0 or GH_ERR_MEMORY. */
int gh_ech_keys_create(int64_t keep, struct gh_ech_keys **ret);
struct gh_ech_keys *gh_ech_keys_get(struct gh_ech_keys *keys);
void gh_ech_keys_put(struct gh_ech_keys *keys); /* accepts NULL */

/* Adds the next older key, which was born at <born> (wall seconds): a PEM of RFC 9934, an unencrypted PRIVATE KEY (X25519 or P-256) and
 * behind it an ECHCONFIG. GH_ERR_MALFORMED, GH_ERR_UNSUPPORTED, GH_ERR_TOO_LONG, GH_ERR_RANGE (it is younger than the one before),
 * GH_ERR_FULL or GH_ERR_MEMORY, and <ret_why> says why. */
int gh_ech_keys_add(struct gh_ech_keys *keys, struct gh_span pem, int64_t born, char ret_why[GH_ECH_WHY]);

struct gh_ech_key_info {
    int64_t born, until;     /* wall seconds; <until> INT64_MAX for the newest */
    uint8_t config_id;       /* of the first ECHConfig that the private key belongs to, as is what follows */
    const char *public_name; /* what the world sees as server_name */
    struct gh_span list;     /* the ECHConfigList, for clients and DNS */
};

size_t gh_ech_keys_count(const struct gh_ech_keys *keys);
/* Borrowed from the set. False: there is no such key. */
bool gh_ech_keys_info(const struct gh_ech_keys *keys, size_t index, struct gh_ech_key_info *ret);
/* Is <name> (lower case) the public_name of a key that still opens? */
bool gh_ech_keys_has_public_name(const struct gh_ech_keys *keys, const char *name, int64_t wall);

/* What a ClientHello says in its encrypted_client_hello extension of type outer (RFC 9849, section 5). */
struct gh_ech_outer {
    struct gh_span body; /* the ClientHello without its handshake header */
    uint16_t kdf, aead;
    uint8_t config_id;
    struct gh_span enc, payload; /* <payload> lies in <body> */
};

struct gh_ech_opened {
    size_t key; /* which of the set */
    size_t len;
    uint8_t inner[GH_ECH_PAYLOAD_MAX]; /* EncodedClientHelloInner, section 5.1: not yet looked at */
};

/* 1 opened; 0 it is not for us, <ret> is undefined; GH_ERR_RANGE (<payload> is elsewhere) or GH_ERR_MEMORY. */
int gh_ech_keys_open(const struct gh_ech_keys *keys, const struct gh_ech_outer *outer, int64_t wall, struct gh_ech_opened *ret);

struct gh_ech_request {
    const char *public_name;
    uint8_t max_name_length;           /* inner names are padded to this */
    const struct gh_ech_keys *beside;  /* keys whose config_id it must not have; may be NULL */
};

/* A new key: X25519, HKDF-SHA256, AES-128-GCM. GH_ERR_RANGE: <public_name> is none; GH_ERR_CRYPTO, GH_ERR_MEMORY. */
int gh_ech_generate(const struct gh_ech_request *req, struct gh_pem *ret, char ret_why[GH_ECH_WHY]);

/* The outer name of the first ECHConfig that a client of ours could take, into <ret>. 0, GH_ERR_MALFORMED or GH_ERR_UNSUPPORTED. */
int gh_ech_list_public_name(struct gh_span list, char ret[GH_ECH_PUBLIC_NAME_MAX + 1]);

#endif
