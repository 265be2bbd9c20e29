/* crypto/tls_internal.h - shared by the TLS files of this folder */
#ifndef GH_CRYPTO_TLS_INTERNAL_H
#define GH_CRYPTO_TLS_INTERNAL_H

#include <stdatomic.h>

#include "crypto/known.h"
#include "crypto/tls.h"

struct gh_tls_ctx {
    atomic_uint refs;
    struct ssl_ctx_st *ssl; /* SSL_CTX */
    struct signer_provider *signers; /* of the key, when it is somewhere else; NULL otherwise */
    struct gh_signer signer;         /* released with the context */
    bool server;
    enum gh_aead_engine aead;
    uint8_t alpn[32]; /* wire form: length and name */
    size_t alpn_len;
    struct gh_known *known; /* server */
    bool tickets; /* server: gh_tls_ctx_set_tickets was called */
    uint8_t ticket_key[GH_TLS_TICKET_KEY];
    atomic_llong wall; /* seconds, as told last */
};

struct ssl_st;

/* tls_ticket.c */
void gh_tls_ticket_keep(struct gh_tls_ctx *c);                                 /* client: sessions are told */
void gh_tls_ticket_use(struct ssl_st *ssl, struct gh_tls_session *s);          /* client, before the first flight; or nothing */
int gh_tls_ticket_issue(struct gh_tls_ctx *c, struct ssl_st *ssl);             /* server, when the handshake is complete; 0 also for none */
/* tls.c: 1 when somebody took it. */
int gh_tls_on_session(struct gh_tls *t, struct gh_tls_session *s);

#endif
