/* proto/quic/internal.h - shared by the files of this folder; the only header that includes the library's */
#ifndef GH_PROTO_QUIC_INTERNAL_H
#define GH_PROTO_QUIC_INTERNAL_H

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>

#include "proto/quic/guard.h"
#include "proto/quic/keep_alive.h"
#include "proto/quic/pmtu.h"
#include "proto/quic/queue.h"
#include "proto/quic/quic.h"
#include "proto/quic/silence.h"

/* What the library's own expiry calls; not of its public interface, and there because we link it statically (DESIGN 4, decision 3). NULL in a
 * library that has another. */
int ngtcp2_conn_on_loss_detection_timer(ngtcp2_conn *conn, ngtcp2_tstamp ts) __attribute__((weak));

/* The id of a datagram: whether it probes, its place in the order of sending, the least size that its packet has up to its end. */
#define GH_QUIC_MTU_PROBE (UINT64_C(1) << 63)
#define GH_QUIC_ID(order, size) ((uint64_t)(order) << 16 | (size))
#define GH_QUIC_ID_ORDER(id) (((id) & ~GH_QUIC_MTU_PROBE) >> 16)
#define GH_QUIC_ID_SIZE(id) ((size_t)((id) & 0xffff))

struct gh_quic {
    ngtcp2_conn *conn;
    struct gh_tls *tls;
    struct gh_quic_config cfg;
    struct gh_quic_owner owner;
    struct gh_quic_counters counters;
    struct gh_quic_queue queue;
    struct gh_quic_cid first_dcid;
    int64_t now; /* of the call that runs */
    int64_t last_out;
    size_t filler_in, filler_out; /* behind handshake packets */
    int liberr;  /* what the library said inside a callback of TLS, for its own report */
    struct gh_quic_silence silence;
    struct gh_quic_keep_alive keep_alive;
    struct gh_quic_pmtu pmtu;
    uint16_t probe_sizes[8]; /* what the library tries */
    bool probe_due; /* the next packet is a small one without datagrams: it gets through where a large one may not */
    uint64_t sealed; /* packets since the last key update that began here */
    bool server, params_set, keys_told, handshake_done;
    bool has_keys; /* of the first packets: something can be sealed */
    bool closing;  /* a close waits to be written */
    bool closed;   /* on_closed was called */
    bool broken;   /* the library's state cannot be trusted: never call it again */
    bool room_wanted;
    bool probing;  /* PINGs are sent until something is heard */
    bool unmarked; /* no ECN: whatever said it on this path was not answered in time */
    bool challenging;    /* the packet that is being written asks whether a path is good */
    int64_t challenged;  /* when the first was that has no answer; 0: none */
    bool repeated;       /* the path that is being asked about was asked a second time */
    struct gh_quic_close why;
    /* a packet that did not fit the batch before it */
    uint8_t *carry; /* cfg.max_payload bytes, made when there is one */
    size_t carry_len;
    struct gh_quic_path carry_path;
    uint8_t carry_ecn;
};

/* Sockets addresses, for the library. */
struct gh_quic_sockaddr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len;
};

void gh_quic_sockaddr_of(const struct gh_quic_addr *a, struct gh_quic_sockaddr *ret);
void gh_quic_addr_of(const ngtcp2_addr *sa, struct gh_quic_addr *ret);
bool gh_quic_addr_is(const struct gh_quic_addr *a, const ngtcp2_addr *sa);
void gh_quic_cid_to(const struct gh_quic_cid *c, ngtcp2_cid *ret);
void gh_quic_cid_from(const ngtcp2_cid *c, struct gh_quic_cid *ret);

/* crypto_glue.c: packet protection callbacks and the handshake. */
int gh_quic_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *text, size_t len,
                    const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len);
int gh_quic_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample);
void gh_quic_crypto_callbacks(ngtcp2_callbacks *cb, bool server);
extern const struct gh_tls_events gh_quic_tls_events;

/* conn_write.c: the payload without what fills the first flight. */
struct gh_span gh_quic_strip(struct gh_quic *q, struct gh_span payload);
/* conn_write.c: longest datagram that the peer takes, whatever the path. */
size_t gh_quic_datagram_limit(const struct gh_quic *q);

/* congestion_glue.c: the library is the one whose insides it knows. */
bool gh_quic_congestion_is_ours(void);

/* conn.c */
/* Ends the connection now, tells the host. */
void gh_quic_finish(struct gh_quic *q, enum gh_quic_close_kind kind, const char *reason);
/* After an assertion: nothing of the library is touched again. */
void gh_quic_break(struct gh_quic *q, const struct gh_guard *g);
/* An error of the library from reading, writing or a timer. */
void gh_quic_fail(struct gh_quic *q, int liberr);
/* Tells the library after which pause the connection is to be kept alive. */
void gh_quic_bear_silence(struct gh_quic *q);

#endif
