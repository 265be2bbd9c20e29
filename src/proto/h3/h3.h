/* proto/h3/h3.h - HTTP/3 with extended CONNECT and HTTP datagrams over one QUIC connection (RFC 9114, 9220, 9297)
 *
 * Frames and QPACK are a library's; settings that it hides, datagrams and the life of request streams are ours. The engine is
 * the gh_quic_app of its connection: give gh_h3_app and the engine to gh_quic_create_*, then gh_h3_attach.
 */
#ifndef GH_PROTO_H3_H3_H
#define GH_PROTO_H3_H3_H

#include "base/drop.h"
#include "proto/quic/quic.h"
#include "wire/http_head.h"

struct gh_h3;
struct gh_h3_stream;

/* Application error codes: RFC 9114 section 8.1, RFC 9297 section 5.2, RFC 9204 section 6 */
#define GH_H3_DATAGRAM_ERROR 0x33u
#define GH_H3_NO_ERROR 0x100u
#define GH_H3_GENERAL_PROTOCOL_ERROR 0x101u
#define GH_H3_INTERNAL_ERROR 0x102u
#define GH_H3_FRAME_ERROR 0x106u
#define GH_H3_EXCESSIVE_LOAD 0x107u
#define GH_H3_ID_ERROR 0x108u
#define GH_H3_SETTINGS_ERROR 0x109u
#define GH_H3_REQUEST_REJECTED 0x10bu
#define GH_H3_REQUEST_CANCELLED 0x10cu
#define GH_H3_MESSAGE_ERROR 0x10eu
#define GH_H3_CONNECT_ERROR 0x10fu

#define GH_H3_BODY_MAX (256u * 1024) /* body bytes that wait to be sent or acknowledged, per stream */
#define GH_H3_BODY_STREAMS 16u       /* with more requests than these each has a share of what these might have */

/* Told inside calls of the QUIC engine. <s> is valid until on_closed has returned. */
struct gh_h3_events {
    void (*on_handshake)(void *arg); /* the peer's certificate is known; nothing was served before */
    void (*on_settings)(void *arg);  /* the peer's SETTINGS are here: a client may ask */
    void (*on_request)(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head);
    void (*on_answer)(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head);
    void (*on_body)(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end);
    /* Returns false when the request knows no datagrams: the stream is aborted (RFC 9297, section 2). */
    bool (*on_datagram)(void *arg, struct gh_h3_stream *s, struct gh_span payload);
    void (*on_writable)(void *arg, struct gh_h3_stream *s);
    void (*on_closed)(void *arg, struct gh_h3_stream *s, uint64_t code);
    void (*on_goaway)(void *arg); /* the peer takes no new requests */
    void (*on_drop)(void *arg, enum gh_drop why); /* may be NULL */
};

struct gh_h3_counters {
    uint64_t datagrams_unknown_stream; /* dropped: stream closed, or not open yet */
    uint64_t settings_errors;
};

struct gh_h3_config {
    bool server;
    uint64_t max_streams_bidi; /* as given to the QUIC engine */
    const struct gh_h3_events *events;
    void *arg;
};

extern const struct gh_quic_app gh_h3_app; /* its argument is the struct gh_h3 */

int gh_h3_create(const struct gh_h3_config *cfg, struct gh_h3 **ret);
void gh_h3_attach(struct gh_h3 *h, struct gh_quic *q);
void *gh_h3_arg(const struct gh_h3 *h); /* the argument of its events */
/* Closes every stream with <code>: on_closed for each. For when the connection is gone. */
void gh_h3_close_streams(struct gh_h3 *h, uint64_t code);
void gh_h3_destroy(struct gh_h3 *h);

/* True when the peer's SETTINGS allow extended CONNECT and datagrams (RFC 9220 section 3, RFC 9297 section 2.1.1). */
bool gh_h3_peer_connect(const struct gh_h3 *h);
bool gh_h3_peer_datagrams(const struct gh_h3 *h);
const struct gh_h3_counters *gh_h3_counters(const struct gh_h3 *h);

/* Client: sends a request. GH_ERR_STATE before SETTINGS allow it or after a GOAWAY, GH_ERR_FULL when the peer takes no more streams now. */
int gh_h3_request(struct gh_h3 *h, const struct gh_http_head *head, bool end, struct gh_h3_stream **ret);
int gh_h3_respond(struct gh_h3_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end);
/* Copies. 0, GH_ERR_AGAIN, GH_ERR_STATE, GH_ERR_MEMORY. */
int gh_h3_send(struct gh_h3_stream *s, struct gh_span data, bool end);
/* The HTTP datagram's payload. Errors of gh_quic_send_datagram; GH_ERR_STATE once the sending side is closed. */
int gh_h3_send_datagram(struct gh_h3_stream *s, struct gh_span payload, uint32_t flow, int64_t now);
size_t gh_h3_datagram_max(const struct gh_h3_stream *s);
void gh_h3_reset(struct gh_h3_stream *s, uint64_t code);
/* From now on the peer gets credit for what gh_h3_consume says was taken, not for what on_body was told. */
void gh_h3_hold(struct gh_h3_stream *s);
void gh_h3_consume(struct gh_h3_stream *s, size_t bytes);
/* GOAWAY: no new requests from the peer, those that run go on. Once; later calls do nothing. During the handshake it is kept until it can
 * be said. */
int gh_h3_drain(struct gh_h3 *h);

int64_t gh_h3_stream_id(const struct gh_h3_stream *s);
void gh_h3_stream_set_user(struct gh_h3_stream *s, void *user);
void *gh_h3_stream_user(const struct gh_h3_stream *s);
struct gh_h3 *gh_h3_stream_owner(const struct gh_h3_stream *s);

#endif
