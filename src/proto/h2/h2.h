/* proto/h2/h2.h - HTTP/2 with extended CONNECT over one ordered stream of bytes (RFC 9113, 8441)
 *
 * Frames and HPACK are a library's; the life of request streams, bodies, credit and the counting of floods are ours. The engine
 * is fed with bytes and asked for bytes; all its events happen inside those two calls. HTTP datagrams have no frame here: they
 * travel as capsules in bodies (RFC 9297, section 3.5).
 *
 * credit   window that the peer gets back for body bytes that were taken
 * flood    frames that are free to send and cost work: who sends them faster than anybody needs to is told ENHANCE_YOUR_CALM
 */
#ifndef GH_PROTO_H2_H2_H
#define GH_PROTO_H2_H2_H

#include <sys/types.h>

#include "wire/http_head.h"

struct gh_h2;
struct gh_h2_stream;

/* RFC 9113, section 7 */
#define GH_H2_NO_ERROR 0x0u
#define GH_H2_PROTOCOL_ERROR 0x1u
#define GH_H2_INTERNAL_ERROR 0x2u
#define GH_H2_FLOW_CONTROL_ERROR 0x3u
#define GH_H2_SETTINGS_TIMEOUT 0x4u
#define GH_H2_STREAM_CLOSED 0x5u
#define GH_H2_FRAME_SIZE_ERROR 0x6u
#define GH_H2_REFUSED_STREAM 0x7u
#define GH_H2_CANCEL 0x8u
#define GH_H2_COMPRESSION_ERROR 0x9u
#define GH_H2_CONNECT_ERROR 0xau
#define GH_H2_ENHANCE_YOUR_CALM 0xbu

#define GH_H2_BODY_MAX (256u * 1024) /* body bytes that wait for the peer's credit, per stream */

/* Told inside gh_h2_feed and gh_h2_write. <s> is valid until on_closed has returned. No event may call those two, close_streams or
 * destroy; all else is allowed. */
struct gh_h2_events {
    void (*on_settings)(void *arg); /* the peer's first SETTINGS are here: a client may ask */
    void (*on_request)(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head);
    void (*on_answer)(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head);
    /* <data> is part of what was fed. <end> comes once, without bytes. */
    void (*on_body)(void *arg, struct gh_h2_stream *s, struct gh_span data, bool end);
    void (*on_writable)(void *arg, struct gh_h2_stream *s);
    void (*on_closed)(void *arg, struct gh_h2_stream *s, uint32_t code); /* 0 when it ended well; a server: when its answer has, too */
    void (*on_goaway)(void *arg); /* the peer takes no new requests */
};

struct gh_h2_counters {
    uint64_t requests;       /* that the application was told of, or that it made */
    uint64_t malformed;      /* messages that broke a rule: their stream was reset */
    uint64_t resets;         /* streams that the peer reset */
    uint64_t floods;         /* 1 when the peer was told to calm down */
    uint64_t library_assert; /* 1 when an assertion of the library ended the connection */
};

/* 0 means the default. */
struct gh_h2_config {
    bool server;
    uint32_t max_streams;          /* 100: of the peer at once */
    uint32_t window_stream;        /* 1 MiB: body bytes of one stream that may be on their way to us */
    uint32_t window_connection;    /* 4 MiB */
    uint32_t resets_per_second, resets_burst; /* 50, 200: streams begun and reset again (CVE-2023-44487), by whose fault ever */
    uint32_t frames_per_second, frames_burst; /* 100, 500: SETTINGS, PING, PRIORITY, CONTINUATION, empty DATA, unknown frames */
    const struct gh_h2_events *events;
    void *arg;
};

int gh_h2_create(const struct gh_h2_config *cfg, struct gh_h2 **ret);
/* Closes every stream with <code>: on_closed for each. For when the connection is gone: nothing is read or written after it. */
void gh_h2_close_streams(struct gh_h2 *h, uint32_t code);
void gh_h2_destroy(struct gh_h2 *h);

/* Bytes that came, in pieces of any size. 0; or an error when the connection is at its end: what gh_h2_write still has is to be sent,
 * what comes in is to be thrown away. */
int gh_h2_feed(struct gh_h2 *h, struct gh_span data, int64_t now);
/* Fills <buf> with bytes to send: their count, 0 when there are none now, GH_ERR_MEMORY or GH_ERR_INTERNAL. */
ssize_t gh_h2_write(struct gh_h2 *h, uint8_t *buf, size_t cap, int64_t now);
bool gh_h2_wants_write(const struct gh_h2 *h);
/* Nothing more will be read or written: by GOAWAY of either side with the last stream gone, or by an error. */
bool gh_h2_is_over(const struct gh_h2 *h);
/* The code of the GOAWAY that ended it, ours or the peer's; GH_H2_NO_ERROR until then. */
uint32_t gh_h2_code(const struct gh_h2 *h);

bool gh_h2_has_settings(const struct gh_h2 *h);     /* of the peer */
bool gh_h2_is_acknowledged(const struct gh_h2 *h);  /* the peer has taken ours (RFC 9113, section 6.5.3) */
/* True when the peer's SETTINGS allow extended CONNECT (RFC 8441, section 3). */
bool gh_h2_peer_connect(const struct gh_h2 *h);
unsigned gh_h2_streams(const struct gh_h2 *h); /* that are open */
const struct gh_h2_counters *gh_h2_counters(struct gh_h2 *h);

/* Client: sends a request. GH_ERR_STATE before SETTINGS allow it or after a GOAWAY, GH_ERR_FULL when the peer takes no more streams now. */
int gh_h2_request(struct gh_h2 *h, const struct gh_http_head *head, bool end, struct gh_h2_stream **ret);
int gh_h2_respond(struct gh_h2_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end);
/* Copies. 0, GH_ERR_AGAIN (nothing was taken, on_writable follows), GH_ERR_STATE, GH_ERR_MEMORY. */
int gh_h2_send(struct gh_h2_stream *s, struct gh_span data, bool end);
/* Bytes that gh_h2_send took and that were not sent yet. */
size_t gh_h2_queued(const struct gh_h2_stream *s);
/* on_writable once when fewer than <below> of them wait. */
void gh_h2_want_writable(struct gh_h2_stream *s, size_t below);
void gh_h2_reset(struct gh_h2_stream *s, uint32_t code);
/* From now on the peer gets credit for what gh_h2_consume says was taken, not for what on_body was told. */
void gh_h2_hold(struct gh_h2_stream *s);
void gh_h2_consume(struct gh_h2_stream *s, size_t bytes);
/* The peer may have so many bytes on their way to us, or untaken, on all streams of its connection. */
void gh_h2_widen(struct gh_h2_stream *s, uint32_t window);

/* GOAWAY: no new requests from the peer, those that run go on. First with the highest number, so that nothing on its way is lost; the
 * last number follows when the peer has answered a PING (RFC 9113, section 6.8). Once; later calls do nothing. */
int gh_h2_drain(struct gh_h2 *h);
/* Ends the connection: GOAWAY with <code>. */
void gh_h2_close(struct gh_h2 *h, uint32_t code);
/* A PING, whose answer is bytes that come in. */
int gh_h2_ping(struct gh_h2 *h);

int32_t gh_h2_stream_id(const struct gh_h2_stream *s);
/* True for a request that asked for a tunnel: CONNECT, extended or not. */
bool gh_h2_stream_is_tunnel(const struct gh_h2_stream *s);
void gh_h2_stream_set_user(struct gh_h2_stream *s, void *user);
void *gh_h2_stream_user(const struct gh_h2_stream *s);

#endif
