/* crypto/tls.h - TLS contexts, and for QUIC handshakes as an engine of bytes, levels and secrets
 *
 * TLS 1.3 unless a context says otherwise, X25519MLKEM768 first, AES-128-GCM preferred; both ends prove themselves with certificates,
 * unless a context says otherwise. crypto/tls_stream.h is TLS on a byte stream, with the same contexts. OpenSSL's types do not leave
 * this folder.
 */
#ifndef GH_CRYPTO_TLS_H
#define GH_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/aead.h"
#include "crypto/cert.h"
#include "crypto/signer.h"

struct gh_tls_ctx;
struct gh_ech_keys;

/* What a server wants of its clients. */
enum gh_tls_ask {
    GH_TLS_ASK_REQUIRED,  /* no handshake without a certificate that a CA vouches for */
    GH_TLS_ASK_NONE,      /* no CertificateRequest is sent */
    GH_TLS_ASK_REQUESTED, /* one is; who sends none, or one that is not believed, has none (gh_tls_verify_error says why) */
};

/* Whose hello a client's looks like (docs/internals/client-hello.md). */
enum gh_tls_shape {
    GH_TLS_SHAPE_NONE,    /* our own */
    GH_TLS_SHAPE_CHROME,
    GH_TLS_SHAPE_FIREFOX,
};

/* A certificate of a server for the names in it (exact or wildcard, as in RFC 6125). */
struct gh_tls_named {
    struct gh_span certificate, key; /* as in struct gh_tls_config */
    const struct gh_signer *signer;
};

struct gh_tls_config {
    bool server;
    struct gh_span certificate; /* PEM: leaf first, then intermediates; may be empty for a client */
    struct gh_span key;         /* PEM; empty with a signer */
    const struct gh_signer *signer; /* has the key; taken over, also when that fails. NULL: <key> counts */
    struct gh_span ca;          /* PEM: who may sign the peer's certificate; may be empty where none is looked at */
    const char *alpn;           /* "h3"; "h2,http/1.1" in the order of preference; NULL or "" for none */
    enum gh_aead_engine aead;   /* of the keys that the QUIC engine gets */
    enum gh_tls_ask ask;        /* server */
    bool tls12;                 /* server on byte streams: TLS 1.2 as well, for strangers; signers must be for that, too */
    const struct gh_tls_named *named; /* server: further certificates; <certificate> is for all other names and for none */
    size_t named_count;
    /* Client: SHA-256 of the SubjectPublicKeyInfo of servers, one of which it must be. With <ca> empty nothing else is asked of its
     * certificate, neither chain nor name nor time. */
    const uint8_t (*pins)[32];
    size_t pin_count;
    /* Client: without an ECHConfigList its hellos have GREASE for one, and over TCP they offer TLS 1.2: a server that takes it is refused. With
     * <alpn> "h3" it is the hello of QUIC. */
    enum gh_tls_shape shape;
};

#define GH_TLS_NAMED_MAX 64u
#define GH_TLS_PINS_MAX 8u

/* Reads the PEM texts. GH_ERR_CRYPTO with words in <err> that say which of them is bad and why. */
int gh_tls_ctx_create(const struct gh_tls_config *cfg, struct gh_tls_ctx **ret, char *err, size_t err_cap);
struct gh_tls_ctx *gh_tls_ctx_get(struct gh_tls_ctx *c); /* another reference; sessions keep their context */
void gh_tls_ctx_put(struct gh_tls_ctx *c);

#define GH_TLS_TICKET_KEY 32

/* Server, before the first session: clients may resume (with a fresh key exchange, never with early data). The same key after a restart
 * opens the same tickets. 0 or GH_ERR_CRYPTO. */
int gh_tls_ctx_set_tickets(struct gh_tls_ctx *c, const uint8_t key[GH_TLS_TICKET_KEY]);
/* Server, before the first session: hellos that were encrypted to a key of <keys> that opens at <wall> (seconds) are answered as what is inside,
 * all others as what is outside, with the newest key for clients that try again. Another reference of <keys> is not kept. To
 * change keys, make another context. 0, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int gh_tls_ctx_set_ech(struct gh_tls_ctx *c, const struct gh_ech_keys *keys, int64_t wall);
/* What time it is, for the day of the tickets' key. Any thread. */
void gh_tls_ctx_set_wall(struct gh_tls_ctx *c, int64_t wall);

/* Client: what a later connection resumes with. It holds the peer's certificate. */
struct gh_tls_session;
struct gh_tls_session *gh_tls_session_get(struct gh_tls_session *s); /* another reference */
void gh_tls_session_put(struct gh_tls_session *s); /* accepts NULL */

enum gh_tls_level { GH_TLS_INITIAL, GH_TLS_EARLY, GH_TLS_HANDSHAKE, GH_TLS_APPLICATION };

/* What the QUIC engine does for a handshake. Each returns 0 or a negative GH_ERR_, which ends the handshake. */
struct gh_tls_events {
    int (*on_secret)(void *arg, enum gh_tls_level level, bool write, const struct gh_aead_suite *suite, const uint8_t *secret);
    int (*on_send)(void *arg, enum gh_tls_level level, struct gh_span bytes);
    int (*on_transport_params)(void *arg, struct gh_span params);
    void (*on_alert)(void *arg, uint8_t alert);
    void (*on_session)(void *arg, struct gh_tls_session *s); /* client: a ticket came; <s> is the callee's now */
};

struct gh_tls;

/* Client: whom it asks for. Borrowed. */
struct gh_tls_name {
    const char *server_name;      /* as gh_tls_create has it */
    const char *certificate_name; /* as gh_tls_set_certificate_name has it; NULL: <server_name> */
    bool ech;                     /* as gh_tls_set_ech has it, with <ech_list> */
    struct gh_span ech_list;
};

/* <server_name>: client only, sent as SNI and checked against the certificate; NULL or "" sends none and checks none (the
 * caller then checks the identity). The engine keeps a reference of <ctx>. */
int gh_tls_create(struct gh_tls_ctx *ctx, const char *server_name, const struct gh_tls_events *events, void *arg, struct gh_tls **ret);
void gh_tls_destroy(struct gh_tls *t);
/* Client, before the first flight: the certificate is checked for <name>, whatever name is asked for; "" checks none. 0 or GH_ERR_CRYPTO. */
int gh_tls_set_certificate_name(struct gh_tls *t, const char *name);
/* Server, when the handshake is complete and its tickets are made: frees what only that needed (half of what a connection has). No event
 * may be running. From then on there is no peer's certificate, and bytes that come are refused. Does nothing otherwise. */
void gh_tls_shrink(struct gh_tls *t);
/* Must be called before the first flight (client), or while on_secret runs for the sealing handshake key (server). Copies. */
int gh_tls_set_transport_params(struct gh_tls *t, struct gh_span params);
/* Client, before the first flight: resumes <s> when that still can be. A server whose certificate would not be believed now is asked for a
 * full handshake. <s> stays the caller's. */
void gh_tls_resume(struct gh_tls *t, struct gh_tls_session *s);
/* Complete without certificates being sent: the peer's is that of the first handshake. */
bool gh_tls_resumed(const struct gh_tls *t);
/* Client, before the first flight: encrypts the hello to the first usable ECHConfig of <list> (RFC 9849, an ECHConfigList): its public_name is
 * what the world sees, and the handshake ends when the server does not open it. An empty list sends what looks like it to all who
 * have no key (GREASE). With QUIC the server must take one of the groups that a share is sent of (X25519MLKEM768, X25519): libssl 4.0.3
 * answers no HelloRetryRequest there. 0, GH_ERR_MALFORMED or GH_ERR_UNSUPPORTED (nothing in it that we can use). */
int gh_tls_set_ech(struct gh_tls *t, struct gh_span list);

enum gh_tls_ech {
    GH_TLS_ECH_NONE,     /* not tried, or GREASE; server: nothing that opened */
    GH_TLS_ECH_ACCEPTED,
    GH_TLS_ECH_REJECTED, /* client: this is why the handshake ended */
};

/* Once the handshake is complete or has failed. */
enum gh_tls_ech gh_tls_ech(const struct gh_tls *t);
/* The ECHConfigList that the server, whose certificate for the public name was believed, gave with a rejection; to be freed. 0,
 * GH_ERR_NOT_FOUND (none, or it was not believed) or GH_ERR_MEMORY. */
int gh_tls_ech_retry(const struct gh_tls *t, uint8_t **ret, size_t *ret_len);
/* Server: the name that the client asked for, with ECH the inner one. "" when none. */
const char *gh_tls_server_name(const struct gh_tls *t);
/* Client: makes the first flight. */
int gh_tls_start(struct gh_tls *t);
/* CRYPTO bytes in order. Returns 1 when the handshake is complete (each time from then on), 0 before. GH_ERR_PROTOCOL:
 * bytes of a level that is over; GH_ERR_CRYPTO: an alert was raised; GH_ERR_TOO_LONG. */
int gh_tls_feed(struct gh_tls *t, enum gh_tls_level level, struct gh_span bytes);

/* The peer's leaf certificate, as the handshake has read it: gh_cert_destroy() it. GH_ERR_NOT_FOUND when there is none, or it is not believed;
 * GH_ERR_MEMORY. */
int gh_tls_peer_certificate(const struct gh_tls *t, struct gh_cert **ret);
/* Of its context's keys. Not after gh_tls_shrink. */
enum gh_aead_engine gh_tls_aead(const struct gh_tls *t);
/* Names for logs and status; "" before they are known. */
const char *gh_tls_group(const struct gh_tls *t);
const char *gh_tls_cipher(const struct gh_tls *t);
/* Why the peer's certificate was refused, for the audit line; "" when it was not. */
const char *gh_tls_verify_error(const struct gh_tls *t);

#endif
