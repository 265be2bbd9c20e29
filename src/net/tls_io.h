/* net/tls_io.h - TLS over a byte stream, as a byte stream
 *
 * crypto/tls_stream.h is the engine, the stream below carries its records. The end that the peer tells by close_notify is on_end; one that it
 * does not tell is on_closed with GH_ERR_PROTOCOL, since what came may have been cut off (RFC 8446, section 6.1).
 */
#ifndef GH_NET_TLS_IO_H
#define GH_NET_TLS_IO_H

#include "crypto/tls_stream.h"
#include "net/byte_stream.h"

struct gh_worker;

/* The handshake is over. <rc> 0: <s> may be used, its events are to be set before this returns. An error of gh_tls_stream_handshake, or
 * GH_ERR_TIMEOUT, or what the stream below said: what the engine has to say about it was sent; the callee closes <s>, at once or later. */
typedef void (*gh_tls_io_done_fn)(void *arg, struct gh_byte_stream *s, int rc);

/* Takes <engine> and <below> over, on failure too. <timeout>: ns for the handshake. <done> comes later, once, unless <ret> is closed before.
 * 0 or GH_ERR_MEMORY. */
int gh_tls_io_create(struct gh_worker *w, struct gh_tls_stream *engine, struct gh_byte_stream *below, int64_t timeout, gh_tls_io_done_fn done,
                     void *arg, struct gh_byte_stream **ret);
/* The engine of <s>, for what it knows. */
struct gh_tls_stream *gh_tls_io_engine(struct gh_byte_stream *s);

#endif
