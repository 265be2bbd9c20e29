/* crypto/tls_internal.h - shared by the TLS files of this folder */
#ifndef GH_CRYPTO_TLS_INTERNAL_H
#define GH_CRYPTO_TLS_INTERNAL_H

#include <stdatomic.h>

#include "crypto/known.h"
#include "crypto/tls.h"

struct ssl_st;
struct x509_st;
struct bio_method_st;

/* A certificate with its key, for the names in it. */
struct tls_certificate {
    struct x509_st *leaf;
    struct stack_st_X509 *chain;
    struct evp_pkey_st *key;
    struct gh_signer signer; /* released with the context */
};

/* An extension of a client's hello that libssl knows nothing of. */
struct tls_extra {
    uint8_t bytes[16];
    size_t len;
};

struct gh_tls_ctx {
    atomic_uint refs;
    struct ssl_ctx_st *ssl; /* SSL_CTX; its application data is this */
    struct signer_provider *signers; /* of keys that are somewhere else; NULL when there are none */
    struct tls_certificate main, *named;
    size_t named_count;
    struct bio_method_st *stream; /* tls_stream.c: how libssl reads and writes there */
    bool server;
    enum gh_tls_ask ask;
    bool ca;     /* there are CAs: chains are looked at */
    enum gh_aead_engine aead;
    uint8_t alpn[64]; /* wire form: length and name, again and again */
    size_t alpn_len;
    struct gh_known *known; /* server that looks at chains */
    uint8_t pins[GH_TLS_PINS_MAX][32];
    size_t pin_count;
    bool shaped; /* client: tls_shape.c */
    int (*security)(const struct ssl_st *ssl, const struct ssl_ctx_st *ctx, int op, int bits, int nid, void *other, void *arg); /* libssl's own */
    struct tls_extra extra[6];
    size_t extra_count;
    bool tickets; /* server: gh_tls_ctx_set_tickets was called */
    uint8_t ticket_key[GH_TLS_TICKET_KEY];
    atomic_llong wall; /* seconds, as told last */
};

/* Which part of a shaped hello with ECH libssl is at. */
enum tls_veil { TLS_VEIL_NONE, TLS_VEIL_INNER, TLS_VEIL_VERSIONS, TLS_VEIL_OUTER };

/* What an SSL's application data is. */
struct tls_owner {
    int (*on_session)(struct tls_owner *o, struct gh_tls_session *s); /* 1 when it was taken over */
    enum tls_veil veil;
};

/* tls_cert.c */
int tls_certificate_load(struct gh_tls_ctx *c, const struct gh_tls_named *from, struct tls_certificate *ret, char *err, size_t err_cap);
void tls_certificate_fini(struct tls_certificate *t);
int tls_certificate_by_name(struct ssl_st *ssl, void *ctx); /* libssl's cert_cb */
/* tls_pin.c: is this certificate's key one of the pinned? */
bool tls_pin_holds(const struct gh_tls_ctx *c, struct x509_st *leaf);
void tls_pin_use(struct gh_tls_ctx *c);
/* tls_shape.c */
int tls_shape_use(struct gh_tls_ctx *c, enum gh_tls_shape shape); /* the last of what is set */
int tls_shape_ssl(struct ssl_st *ssl);
void tls_shape_veil(struct ssl_st *ssl); /* over TCP: its hello will be encrypted */
/* tls_ssl.c: what is the same for QUIC and for byte streams */
int tls_ssl_set_server_name(struct ssl_st *ssl, const char *name);
int tls_ssl_set_certificate_name(struct ssl_st *ssl, const char *name);
int tls_ssl_set_ech(struct ssl_st *ssl, struct gh_span list);
enum gh_tls_ech tls_ssl_ech(struct ssl_st *ssl);
int tls_ssl_ech_retry(struct ssl_st *ssl, uint8_t **ret, size_t *ret_len);
struct x509_st *tls_ssl_believed(struct ssl_st *ssl); /* borrowed; NULL: there is none, or it is not believed */
int tls_ssl_peer_certificate(struct ssl_st *ssl, struct gh_cert **ret);
const char *tls_ssl_verify_error(const struct ssl_st *ssl);
/* tls_stream.c */
struct bio_method_st *tls_stream_method(void);
/* tls_ticket.c */
void gh_tls_ticket_keep(struct gh_tls_ctx *c);                                 /* client: sessions are told */
void gh_tls_ticket_use(struct ssl_st *ssl, struct gh_tls_session *s);          /* client, before the first flight; or nothing */
int gh_tls_ticket_issue(struct gh_tls_ctx *c, struct ssl_st *ssl);             /* server, when the handshake is complete; 0 also for none */
#endif
