/* crypto/tls_stream.h - TLS on a byte stream as an engine without I/O
 *
 * Ciphertext from the peer is fed and plaintext read; plaintext is written and ciphertext taken from <pending>. Nothing is copied but what
 * libssl itself copies: fed bytes are borrowed until gh_tls_stream_settle, and what is to be sent lies in one buffer of at most
 * GH_TLS_STREAM_OUT_MAX bytes. After an error there may still be an alert to be sent, or to be left unsent.
 *
 * The usual turn, with a buffer that many connections share:
 *
 *     gh_tls_stream_feed(t, received);
 *     if (gh_tls_stream_handshake(t) == 1)
 *         while (there is room) gh_tls_stream_read(t, …);
 *     gh_tls_stream_settle(t);
 *     send what is pending, and stop reading from the socket while gh_tls_stream_backlog(t) is not 0
 */
#ifndef GH_CRYPTO_TLS_STREAM_H
#define GH_CRYPTO_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/tls.h"

#define GH_TLS_STREAM_IN_MAX (256u * 1024) /* bytes that are fed and not yet looked at */
#define GH_TLS_STREAM_OUT_MAX (128u * 1024) /* bytes that wait to be sent */

struct gh_tls_stream;

/* What a client wants; a server gives NULL. */
struct gh_tls_stream_request {
    const char *server_name; /* as gh_tls_create has it */
    const char *certificate_name; /* as gh_tls_set_certificate_name has it; NULL: <server_name> */
    bool ech;                /* as gh_tls_set_ech has it, with <ech_list> */
    struct gh_span ech_list;
    struct gh_tls_session *resume; /* stays the caller's; may be NULL */
};

/* Keeps a reference of <ctx>. 0, GH_ERR_MEMORY, GH_ERR_CRYPTO, and what gh_tls_set_ech says. */
int gh_tls_stream_create(struct gh_tls_ctx *ctx, const struct gh_tls_stream_request *req, struct gh_tls_stream **ret);
void gh_tls_stream_destroy(struct gh_tls_stream *t); /* accepts NULL */

/* Lends ciphertext, which must stay where it is until gh_tls_stream_settle. 0, GH_ERR_STATE (the last bytes have not been settled, or the
 * peer's end was told) or GH_ERR_FULL (more than GH_TLS_STREAM_IN_MAX would wait). */
int gh_tls_stream_feed(struct gh_tls_stream *t, struct gh_span ciphertext);
/* The borrowed bytes go away: what has not been looked at is copied. 0 or GH_ERR_MEMORY. */
int gh_tls_stream_settle(struct gh_tls_stream *t);
/* Bytes that were fed and wait for handshake or read, those of a record that is half read among them. */
size_t gh_tls_stream_backlog(const struct gh_tls_stream *t);
/* No more bytes will come: the stream below ended, or broke off. */
void gh_tls_stream_feed_end(struct gh_tls_stream *t);

/* Goes on with the handshake; a client's first call makes the first flight. 1 complete (each time from then on), 0 more bytes are needed,
 * GH_ERR_CRYPTO (an alert was raised, or came), GH_ERR_CLOSED (the stream ended), GH_ERR_MEMORY. Errors stay. */
int gh_tls_stream_handshake(struct gh_tls_stream *t);

/* Plaintext into <ret>, at most INT_MAX bytes: how many, 0 when more ciphertext is needed; GH_ERR_CLOSED after the peer's close_notify,
 * GH_ERR_PROTOCOL when the stream ended without one (RFC 8446, section 6.1: what came may have been cut off), GH_ERR_CRYPTO, GH_ERR_MEMORY,
 * GH_ERR_STATE (before the handshake is complete). One's own end does not keep from reading. */
int gh_tls_stream_read(struct gh_tls_stream *t, uint8_t *ret, size_t cap);
/* How many bytes of <plaintext> were taken; 0 while too much is pending. GH_ERR_STATE (before the handshake is complete, or after
 * gh_tls_stream_close), GH_ERR_CRYPTO, GH_ERR_MEMORY. */
int gh_tls_stream_write(struct gh_tls_stream *t, struct gh_span plaintext);
/* close_notify: nothing is written after it. 0, or as gh_tls_stream_write. */
int gh_tls_stream_close(struct gh_tls_stream *t);

/* What is to be sent, and how much of it was. The span is good until the next call of any of these functions but consume. */
struct gh_span gh_tls_stream_pending(const struct gh_tls_stream *t);
void gh_tls_stream_consume(struct gh_tls_stream *t, size_t len);
/* Nothing happens here for now: gives back what buffers are empty. */
void gh_tls_stream_shrink(struct gh_tls_stream *t);

/* All from here on: when the handshake is complete, or has failed. */

/* The application protocol that both chose; empty when none. */
struct gh_span gh_tls_stream_alpn(const struct gh_tls_stream *t);
/* Server: the name that the client asked for, with ECH the inner one. "" when none. */
const char *gh_tls_stream_server_name(const struct gh_tls_stream *t);
/* As their namesakes in crypto/tls.h. */
int gh_tls_stream_peer_certificate(const struct gh_tls_stream *t, struct gh_cert **ret);
const char *gh_tls_stream_verify_error(const struct gh_tls_stream *t);
enum gh_tls_ech gh_tls_stream_ech(const struct gh_tls_stream *t);
int gh_tls_stream_ech_retry(const struct gh_tls_stream *t, uint8_t **ret, size_t *ret_len);
bool gh_tls_stream_resumed(const struct gh_tls_stream *t);
/* Client: the newest ticket that came, the caller's from now on; NULL when none has since. */
struct gh_tls_session *gh_tls_stream_take_session(struct gh_tls_stream *t);
/* "TLSv1.3", and names for logs and status; "" before they are known. */
const char *gh_tls_stream_version(const struct gh_tls_stream *t);
const char *gh_tls_stream_group(const struct gh_tls_stream *t);
const char *gh_tls_stream_cipher(const struct gh_tls_stream *t);

/* Alerts (RFC 8446, section 6): the last fatal one, or -1. */
int gh_tls_stream_alert_sent(const struct gh_tls_stream *t);
int gh_tls_stream_alert_received(const struct gh_tls_stream *t);

#endif
