/* proto/quic/token.h - tokens that prove an address (RFC 9000, section 8.1)
 *
 * A Retry token is bound to address, port and the connection id that the Retry gave, and lives ten seconds. A token of a NEW_TOKEN
 * frame is bound to the address alone and lives a day. Both are sealed (AES-128-GCM under a key of their own, from a random salt)
 * with a secret that follows from the node's key and the day, so that they survive a restart and keys still change: tokens of
 * today's and yesterday's secret are taken. Times are wall seconds; a clock that jumps costs a round trip, nothing else.
 */
#ifndef GH_PROTO_QUIC_TOKEN_H
#define GH_PROTO_QUIC_TOKEN_H

#include "proto/quic/quic.h"

#define GH_QUIC_TOKEN_KEY 32
#define GH_QUIC_TOKEN_MAX GH_QUIC_NEW_TOKEN_MAX /* longest that we make */
#define GH_QUIC_RETRY_LIFE 10 /* seconds */
#define GH_QUIC_TOKEN_LIFE 86400

struct gh_quic_tokens {
    uint8_t key[GH_QUIC_TOKEN_KEY];
    struct gh_random_source random;
};

/* The token of a Retry that answers <first> and gives the client <scid>. Count of bytes or GH_ERR_CRYPTO. <ret> has
 * GH_QUIC_TOKEN_MAX bytes. */
int gh_quic_token_retry(const struct gh_quic_tokens *t, const struct gh_quic_initial *first, const struct gh_quic_cid *scid,
                        const struct gh_quic_addr *remote, int64_t wall, uint8_t *ret);
/* The same for a NEW_TOKEN frame. */
int gh_quic_token_new(const struct gh_quic_tokens *t, const struct gh_quic_addr *remote, int64_t wall, uint8_t *ret);
/* Reads first->token and sets first->proof and first->original. 0, also for tokens that prove nothing; GH_ERR_DENIED for one of a
 * Retry that is not valid (answer with INVALID_TOKEN, section 8.1.3). */
int gh_quic_token_check(const struct gh_quic_tokens *t, struct gh_quic_initial *first, const struct gh_quic_addr *remote, int64_t wall);

#endif
