/* net/quic_memory.h - what a client remembers of the servers that it was connected to
 *
 * A few servers, the last used first; tokens are used once (RFC 9000, section 8.1.3).
 */
#ifndef GH_NET_QUIC_MEMORY_H
#define GH_NET_QUIC_MEMORY_H

#include "os/udp.h"
#include "base/span.h"

#define GH_QUIC_MEMORY_SERVERS 8u
#define GH_QUIC_MEMORY_TOKEN 512u /* longer tokens are not kept */

struct gh_quic_memory {
    struct gh_quic_known {
        struct gh_endpoint remote;
        size_t token_len; /* 0: none */
        uint8_t token[GH_QUIC_MEMORY_TOKEN];
    } * known[GH_QUIC_MEMORY_SERVERS];
};

void gh_quic_memory_init(struct gh_quic_memory *m);
void gh_quic_memory_fini(struct gh_quic_memory *m);
void gh_quic_memory_keep_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, struct gh_span token);
/* Bytes copied to <ret>, 0 when there is none. It is forgotten. */
size_t gh_quic_memory_take_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, uint8_t ret[GH_QUIC_MEMORY_TOKEN]);

#endif
