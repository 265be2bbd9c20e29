/* net/quic_memory.h - what a client remembers of the servers that it was connected to
 *
 * A few servers, the last used first. A server with a name has its sessions at all its addresses. Tokens and sessions are used once (RFC 9000,
 * section 8.1.3; RFC 8446, appendix C.4): a session that was taken is lent to further attempts at the same server as long as none of them was
 * answered, since one server will answer one of them.
 */
#ifndef GH_NET_QUIC_MEMORY_H
#define GH_NET_QUIC_MEMORY_H

#include "base/span.h"
#include "crypto/tls.h"
#include "os/udp.h"

#define GH_QUIC_MEMORY_SERVERS 8u
#define GH_QUIC_MEMORY_TOKEN 512u /* longer tokens are not kept */

struct gh_quic_memory {
    struct gh_quic_known {
        struct gh_endpoint remote;
        size_t token_len; /* 0: none */
        uint8_t token[GH_QUIC_MEMORY_TOKEN];
    } * known[GH_QUIC_MEMORY_SERVERS];
    struct gh_quic_kept {
        struct gh_tls_session *session;
        unsigned lent;             /* attempts that hold it */
        struct gh_tls_ctx *tls;    /* that it was made with: another certificate of ours is another client */
        char server_name[256];     /* that it was made for; "" for whoever is at <remote> */
        struct gh_endpoint remote;
    } * kept[GH_QUIC_MEMORY_SERVERS]; /* the newest first */
};

void gh_quic_memory_init(struct gh_quic_memory *m);
void gh_quic_memory_fini(struct gh_quic_memory *m);
void gh_quic_memory_keep_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, struct gh_span token);
/* Bytes copied to <ret>, 0 when there is none. It is forgotten. */
size_t gh_quic_memory_take_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, uint8_t ret[GH_QUIC_MEMORY_TOKEN]);

/* <s> is the memory's from now on. */
void gh_quic_memory_keep_session(struct gh_quic_memory *m, const struct gh_endpoint *remote, struct gh_tls_ctx *tls, const char *server_name,
                                 struct gh_tls_session *s);
/* A reference for the caller, to be given back; NULL when there is none. */
struct gh_tls_session *gh_quic_memory_take_session(struct gh_quic_memory *m, const struct gh_endpoint *remote, const struct gh_tls_ctx *tls,
                                                   const char *server_name);

/* <s>, which was taken, is not needed any more, or the server has <answered>: then nobody takes it again. Accepts NULL. */
void gh_quic_memory_return_session(struct gh_quic_memory *m, struct gh_tls_session *s, bool answered);

#endif
