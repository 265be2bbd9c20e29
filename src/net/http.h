/* net/http.h - HTTP as services see it: no version above this line
 *
 * A stream is one request and its answer. Whoever implements a version (HTTP/1, HTTP/3, a fake in a test) embeds
 * struct gh_http_stream as its first member and fills <ops>; a service fills <events> and <arg> when it takes the stream.
 * Everything happens on the worker that owns the stream. Spans that an event gets are borrowed until it returns.
 */
#ifndef GH_NET_HTTP_H
#define GH_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"
#include "wire/http_head.h"

struct gh_http_stream;
struct gh_cert_id; /* crypto/cert.h */

/* Who is at the other end. Strings live as long as the stream. */
struct gh_http_peer {
    struct gh_ip addr;
    uint16_t port;
    const char *identity;  /* NAME proved by the certificate (DESIGN 4, decision 8), or by a token; "" when by nothing */
    const struct gh_cert_id *certificate; /* which certificate that was, and its key; NULL without one */
    int64_t not_after;     /* wall seconds at which the certificate expires; 0 without one, INT64_MAX for a user with a token */
    uint64_t credential;   /* the token that a user without a certificate has shown (ports/user_directory.h); 0: none */
    uint32_t uid;          /* unix socket: SO_PEERCRED; UINT32_MAX otherwise */
    bool inside;           /* it came by a name that only ECH carries, and that nobody learns by asking */
    uint64_t connection;   /* random number that names the connection in records; 0 where it has none */
};

/* Reasons for an abort, by name; the version maps them to its own codes (RFC 9114 section 8.1, RFC 9297 section 5.2). */
enum gh_http_reset {
    GH_HTTP_NO_ERROR,
    GH_HTTP_INTERNAL_ERROR,
    GH_HTTP_MESSAGE_ERROR,    /* malformed capsule or message: 0x10e */
    GH_HTTP_REQUEST_REJECTED, /* refused before any processing: 0x10b */
    GH_HTTP_REQUEST_CANCELLED,/* 0x10c */
    GH_HTTP_CONNECT_ERROR,    /* 0x10f */
    GH_HTTP_DATAGRAM_ERROR,   /* 0x33 */
    GH_HTTP_EXCESSIVE_LOAD,   /* 0x107 */
};

/* Its number where services see it: that of HTTP/3, on every version. GH_HTTP_NO_ERROR is 0x100. */
uint64_t gh_http_code(enum gh_http_reset why);

struct gh_http_events {
    /* Client side: the answer's head. */
    void (*on_answer)(void *arg, struct gh_http_stream *s, const struct gh_http_head *head);
    /* Body bytes; <end> comes once, perhaps with no bytes. In a tunnel: what the peer sends through it, DATAGRAM capsules among it where the
     * version has no datagrams. The bytes are the receiver's to write over until it returns. */
    void (*on_body)(void *arg, struct gh_http_stream *s, struct gh_span data, bool end);
    /* Payload of an HTTP datagram (RFC 9297): context id and what follows. NULL refuses them: GH_HTTP_DATAGRAM_ERROR. */
    void (*on_datagram)(void *arg, struct gh_http_stream *s, struct gh_span payload);
    /* gh_http_send or gh_http_send_datagram, refused before with GH_ERR_AGAIN, would take bytes again. May be NULL. */
    void (*on_writable)(void *arg, struct gh_http_stream *s);
    /* The stream is gone: last event. <code> is 0 when it ended well, else a gh_http_code, whatever the version. */
    void (*on_closed)(void *arg, struct gh_http_stream *s, uint64_t code);
};

/* What is known of the path below a stream's connection; 0 is not known. */
struct gh_http_path {
    int64_t rtt;             /* nanoseconds, smoothed */
    uint64_t pieces;         /* packets, or pieces of a byte stream, that came and went: more of them are news */
    uint64_t datagrams_out;  /* HTTP datagrams of all streams of the connection */
    uint64_t datagrams_lost; /* of those; a byte stream loses none */
    size_t plpmtu;           /* largest UDP payload */
};

struct gh_http_ops {
    int (*respond)(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end);
    int (*send)(struct gh_http_stream *s, struct gh_span data, bool end);
    int (*send_datagram)(struct gh_http_stream *s, struct gh_span payload, uint32_t flow);
    size_t (*datagram_max)(const struct gh_http_stream *s);
    void (*reset)(struct gh_http_stream *s, enum gh_http_reset why);
    const struct gh_http_peer *(*peer)(const struct gh_http_stream *s);
    size_t (*plpmtu)(const struct gh_http_stream *s); /* may be NULL */
    void (*hold)(struct gh_http_stream *s);           /* these as well */
    void (*consume)(struct gh_http_stream *s, size_t bytes);
    void (*path)(const struct gh_http_stream *s, struct gh_http_path *ret);
    void (*close_connection)(struct gh_http_stream *s, const char *reason);
    size_t (*queued)(const struct gh_http_stream *s);
    bool (*decline)(struct gh_http_stream *s);
    void (*widen)(struct gh_http_stream *s);
    uint64_t (*pieces)(const struct gh_http_stream *s); /* NULL: as <path> says */
};

struct gh_http_stream {
    const struct gh_http_ops *ops;
    const struct gh_http_events *events; /* set by the service */
    void *arg;                           /* first argument of the events */
    uint64_t id;                         /* of the request on its connection; HTTP/3: the stream's */
};

/* Server side: called with the head of every request. The handler sets <events> and <arg> before it returns, and may answer
 * at once. A handler that sets no events must have answered with <end>. */
struct gh_http_handler {
    void (*on_request)(void *arg, struct gh_http_stream *s, const struct gh_http_head *head);
    void *arg;
};

/* Sends the answer's head, once. 0, GH_ERR_STATE or GH_ERR_MEMORY. <end>: no body follows. A tunnel is accepted with 200, on HTTP/1 too. */
int gh_http_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end);
/* Copies body bytes into the stream's bounded buffer. 0, GH_ERR_AGAIN (nothing was taken), GH_ERR_STATE, GH_ERR_MEMORY. */
int gh_http_send(struct gh_http_stream *s, struct gh_span data, bool end);
/* Sends one HTTP datagram. Those of one <flow>, any number, stay in order; flows share what there is fairly. 0, GH_ERR_AGAIN (queue full,
 * dropped), GH_ERR_TOO_LONG, GH_ERR_UNSUPPORTED. */
int gh_http_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow);
/* Longest payload of an HTTP datagram now, in bytes; 0 when the stream carries none. */
size_t gh_http_datagram_max(const struct gh_http_stream *s);
/* Largest UDP payload that the path below carries, as far as that is known; SIZE_MAX when there is no such limit, 0 when the connection
 * is over, which on_closed says soon. */
size_t gh_http_plpmtu(const struct gh_http_stream *s);
/* From now on the peer may send as much more as gh_http_consume says was taken, not what on_body was told: who hands bytes on holds back
 * the one who sends them. What is on its way still comes. */
void gh_http_hold(struct gh_http_stream *s);
void gh_http_consume(struct gh_http_stream *s, size_t bytes);
/* Streams that are held share what the peer may send on their connection: from now on that is GH_HTTP_WIDE, once and for all. For a peer that is known: what some
 * streams do not take must not stop all others, and takes memory. */
#define GH_HTTP_WIDE (32u << 20)
void gh_http_widen(struct gh_http_stream *s);
/* Server side, before the answer: a request for a tunnel is read as the ordinary one that it is to whoever knows no tunnels. True where it can be
 * read so: with an upgrade of HTTP/1 it is a GET without a body, whose end on_body may not tell; elsewhere it stays what it is. */
bool gh_http_decline(struct gh_http_stream *s);
/* Aborts both directions; on_closed follows, perhaps before this returns. */
void gh_http_reset(struct gh_http_stream *s, enum gh_http_reset why);
/* Ends the connection below, without an error, where the stream has it for itself: with HTTP/3. Elsewhere it aborts the stream, and
 * whoever else is on that connection stays. */
void gh_http_close_connection(struct gh_http_stream *s, const char *reason);
/* Bytes of the body that were taken and have not left; 0 where nobody counts. */
size_t gh_http_queued(const struct gh_http_stream *s);
void gh_http_path(const struct gh_http_stream *s, struct gh_http_path *ret);
/* The path's <pieces> alone, which are much closer at hand than the rest. */
uint64_t gh_http_pieces(const struct gh_http_stream *s);
const struct gh_http_peer *gh_http_peer(const struct gh_http_stream *s);

/* The value of the first field <name> (lower case), or an empty span. */
struct gh_span gh_http_field_find(const struct gh_http_head *head, const char *name);
/* Answers with a status and a short text body, and ends. */
int gh_http_respond_text(struct gh_http_stream *s, unsigned status, const char *type, struct gh_span body);

/* For versions of HTTP: tells whoever listens. */
static inline void gh_http_tell_answer(struct gh_http_stream *s, const struct gh_http_head *head)
{
    if (s && s->events && s->events->on_answer)
        s->events->on_answer(s->arg, s, head);
}

static inline void gh_http_tell_body(struct gh_http_stream *s, struct gh_span data, bool end)
{
    if (s && s->events && s->events->on_body)
        s->events->on_body(s->arg, s, data, end);
}

static inline void gh_http_tell_writable(struct gh_http_stream *s)
{
    if (s && s->events && s->events->on_writable)
        s->events->on_writable(s->arg, s);
}

static inline void gh_http_tell_closed(struct gh_http_stream *s, uint64_t code)
{
    if (s && s->events && s->events->on_closed)
        s->events->on_closed(s->arg, s, code);
}

#endif
