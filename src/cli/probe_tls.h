/* cli/probe_tls.h - a request inside TLS, whoever answers
 *
 * The key of a server is learnt from what it shows to everybody, and then pinned: a prober cares for what it sees, not for who vouches.
 */
#ifndef GH_CLI_PROBE_TLS_H
#define GH_CLI_PROBE_TLS_H

#include "core/text.h"
#include "crypto/tls_stream.h"

struct gh_probe_tls;

/* <request> is sent when the handshake is complete, and stays the caller's. 0 or what gh_tls_stream_create says. */
int gh_probe_tls_create(struct gh_tls_ctx *ctx, const char *name, struct gh_span request, struct gh_probe_tls **ret);
void gh_probe_tls_destroy(struct gh_probe_tls *t); /* accepts NULL */
/* Bytes came, none to begin with; then what is pending is to be sent. */
void gh_probe_tls_feed(struct gh_probe_tls *t, struct gh_span bytes);
struct gh_span gh_probe_tls_pending(const struct gh_probe_tls *t);
void gh_probe_tls_consume(struct gh_probe_tls *t, size_t len);
bool gh_probe_tls_is_answered(const struct gh_probe_tls *t); /* something was read */
/* What was read, and how TLS ended. */
void gh_probe_tls_describe(const struct gh_probe_tls *t, struct gh_text *out);

/* The key in the Certificate message (RFC 5246, section 7.4.2) of what a server said in TLS 1.2, where it is not sealed. */
bool gh_probe_tls_find_key(struct gh_span said, uint8_t ret[32]);
/* A context that takes whoever has the key. NULL when there is no memory. */
struct gh_tls_ctx *gh_probe_tls_context(const uint8_t pin[32]);

#endif
