/* net/tunnel_pump.h - bytes between a byte stream and the body of a tunnel (CONNECT), both ways
 *
 * Whoever does not take what comes holds back the one who sends it. The end of one direction passes by itself; a broken end breaks the other
 * (RFC 9114, section 4.4; RFC 9113, section 8.5). What a tunnel had sent when it ended well still reaches the byte stream.
 *
 * The owner of the tunnel's stream, a server or a client, passes its events on: on_body from the first byte, also before there is a byte stream; the
 * others once the pump has started.
 */
#ifndef GH_NET_TUNNEL_PUMP_H
#define GH_NET_TUNNEL_PUMP_H

#include "net/byte_stream.h"
#include "net/http.h"

/* Bytes of the tunnel that wait for the byte stream. Credit is given for taken ones alone, so that an honest peer never gets there: HTTP/3 lets the window of a
 * stream grow to 4 MiB, that of HTTP/2 is smaller. */
#define GH_TUNNEL_PUMP_PENDING (5u << 20)

enum gh_tunnel_pump_end {
    GH_TUNNEL_PUMP_FINISHED, /* both ways came to their end */
    GH_TUNNEL_PUMP_LOCAL,    /* the byte stream broke */
    GH_TUNNEL_PUMP_TUNNEL,   /* the tunnel did */
    GH_TUNNEL_PUMP_FLOODED,  /* more came out of it than there was credit for */
    GH_TUNNEL_PUMP_FAILED,   /* no memory */
};

struct gh_tunnel_pump_events {
    void (*on_bytes)(void *arg, unsigned way, size_t bytes); /* passed on, or kept: 0 into the tunnel, 1 out of it; may be NULL */
    /* The byte stream is closed. <stream> is not NULL when the tunnel's is still there: it is the owner's to be rid of. Last event; may come before
     * the function returns that led to it. */
    void (*on_end)(void *arg, enum gh_tunnel_pump_end why, struct gh_http_stream *stream);
};

struct gh_tunnel_pump {
    const struct gh_tunnel_pump_events *events;
    void *arg;
    struct gh_byte_stream *io;     /* NULL before the start */
    struct gh_http_stream *stream; /* NULL once it is gone */
    uint8_t *in, *out; /* what the byte stream has not taken; what the tunnel has not */
    size_t in_at, in_len, in_cap, out_len;
    bool in_end, in_ended, out_end, out_ended; /* an end has come; it was passed on */
    int error; /* LOCAL: what on_closed of the byte stream said */
    bool flooded, over;
};

/* Holds the credit of <stream> from now on. */
void gh_tunnel_pump_init(struct gh_tunnel_pump *p, struct gh_http_stream *stream, const struct gh_tunnel_pump_events *events, void *arg);
/* Frees what waits; closes nothing. For one that never started, or is over. Accepts a zeroed one. */
void gh_tunnel_pump_fini(struct gh_tunnel_pump *p);
/* The tunnel is open: its connection is widened (gh_http_widen). Takes <io> over, whose peer has sent <early> already, and no more if <early_end>. */
void gh_tunnel_pump_start(struct gh_tunnel_pump *p, struct gh_byte_stream *io, struct gh_span early, bool early_end);
void gh_tunnel_pump_on_body(struct gh_tunnel_pump *p, struct gh_span data, bool end);
void gh_tunnel_pump_on_writable(struct gh_tunnel_pump *p);
void gh_tunnel_pump_on_closed(struct gh_tunnel_pump *p, uint64_t code);
/* Ends it at once with a reset of the byte stream; no on_end. The tunnel's stream is the owner's. */
void gh_tunnel_pump_abort(struct gh_tunnel_pump *p);

#endif
