/* net/byte_stream.h - bytes in order both ways, with an end for each: what HTTP/1 and HTTP/2 run on
 *
 * Below may be a socket (net/tcp_stream.h), TLS, or a fake in a test: whoever implements it embeds struct gh_byte_stream as its
 * first member and fills <ops> and <secure>; who uses it fills <events> and <arg>. All on one worker. No event is told from inside an
 * operation. An event may do anything to the stream, closing it too.
 */
#ifndef GH_NET_BYTE_STREAM_H
#define GH_NET_BYTE_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/span.h"
#include "os/sock.h"

#define GH_BYTE_STREAM_PIECE 16384u /* most bytes of one on_bytes */

struct gh_byte_stream;

struct gh_byte_stream_events {
    /* The reader keeps what it needs. The bytes are its own to write over until it returns. */
    void (*on_bytes)(void *arg, struct gh_span data);
    /* The peer sends no more. Once; what we send still arrives. */
    void (*on_end)(void *arg);
    /* A write that did not take everything, or want_write, came before: it may go on now. */
    void (*on_writable)(void *arg);
    /* The stream broke: GH_ERR_CLOSED (reset by the peer), GH_ERR_TIMEOUT, GH_ERR_PROTOCOL or GH_ERR_SYSTEM. Last event; nothing is
     * left to do but to close it. */
    void (*on_closed)(void *arg, int why);
};

struct gh_byte_stream_ops {
    ssize_t (*write)(struct gh_byte_stream *s, struct gh_span data);
    void (*shutdown_write)(struct gh_byte_stream *s);
    void (*close)(struct gh_byte_stream *s);
    void (*reset)(struct gh_byte_stream *s);
    void (*want_read)(struct gh_byte_stream *s, bool on);
    void (*want_write)(struct gh_byte_stream *s);
    void (*addresses)(const struct gh_byte_stream *s, struct gh_endpoint *ret_local, struct gh_endpoint *ret_remote);
};

struct gh_byte_stream {
    const struct gh_byte_stream_ops *ops;
    const struct gh_byte_stream_events *events;
    void *arg;
    bool secure; /* TLS is below */
};

/* How many bytes were taken, perhaps 0: on_writable follows when it was not all; or GH_ERR_CLOSED, GH_ERR_SYSTEM. */
static inline ssize_t gh_byte_stream_write(struct gh_byte_stream *s, struct gh_span data)
{
    return s->ops->write(s, data);
}

/* Ends our direction after what was taken. */
static inline void gh_byte_stream_shutdown_write(struct gh_byte_stream *s)
{
    s->ops->shutdown_write(s);
}

/* The stream is gone when this returns, and no event follows. What was taken is still sent. Accepts NULL. */
static inline void gh_byte_stream_close(struct gh_byte_stream *s)
{
    if (s)
        s->ops->close(s);
}

/* Like close, but the peer sees that it was cut, and what was taken may be lost. */
static inline void gh_byte_stream_reset(struct gh_byte_stream *s)
{
    s->ops->reset(s);
}

/* Off at first: nothing is read, so that the peer is held back; on_bytes and on_end come while it is on. */
static inline void gh_byte_stream_want_read(struct gh_byte_stream *s, bool on)
{
    s->ops->want_read(s, on);
}

/* Asks for one on_writable although nothing was refused: a turn of its own. */
static inline void gh_byte_stream_want_write(struct gh_byte_stream *s)
{
    s->ops->want_write(s);
}

/* Of family 0 where there are none. */
static inline void gh_byte_stream_addresses(const struct gh_byte_stream *s, struct gh_endpoint *ret_local, struct gh_endpoint *ret_remote)
{
    s->ops->addresses(s, ret_local, ret_remote);
}

#endif
