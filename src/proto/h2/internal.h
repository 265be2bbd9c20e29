/* proto/h2/internal.h - the engine and its streams, for the files of this folder
 *
 * frames.c   what the library tells
 * send.c     what we send
 * h2.c       bytes in and out, the life of the engine
 */
#ifndef GH_PROTO_H2_INTERNAL_H
#define GH_PROTO_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "proto/h2/body.h"
#include "proto/h2/flood.h"
#include "proto/h2/h2.h"
#include "proto/quic/guard.h"

struct gh_h2_stream {
    struct gh_list link; /* in h->streams */
    struct gh_h2 *h;
    int32_t id;
    void *user;
    struct gh_http_head_store *building; /* while a head arrives */
    struct gh_h2_body body; /* what we send */
    size_t tell_below;      /* on_writable when fewer bytes wait; 0: not wanted */
    size_t untaken;         /* body bytes that came and have no credit yet */
    bool held;              /* credit by gh_h2_consume */
    bool headed;            /* our head went out */
    bool ended;             /* no body bytes after those buffered */
    bool swallow;           /* an answer to HEAD: has no body */
    bool tunnel;            /* CONNECT: each direction ends on its own */
    bool end_sent, recv_ended, answered, announced;
    bool aborted;           /* reset by us: what still arrives is told to nobody */
    uint32_t code;          /* of that reset */
    bool malformed;         /* was counted */
    bool lingers;           /* answered before its end: not counted as open, the application was told that it is closed */
    bool asked;             /* a PING behind the answer went out */
};

struct gh_h2 {
    struct gh_h2_config cfg;
    nghttp2_session *session;
    struct gh_list streams;
    unsigned count;
    struct gh_span rest;   /* of what the library gave and gh_h2_write has no room for */
    struct gh_h2_counters counters;
    struct gh_h2_flood flood;
    int64_t now;
    uint32_t code;
    bool settings, acknowledged;
    bool drained;          /* drain was asked for */
    bool goaway_sent;      /* the last one, of a drain or for an error */
    bool peer_drains;      /* GOAWAY was heard */
    bool failed;           /* at its end: nothing is read any more */
    bool dead;             /* nothing is written either */
    bool abandoned;        /* an assertion failed: the library is not entered again */
    bool asking;           /* whether answers were read: gh_h2_answer_ping is on its way */
    bool writable;         /* some stream wants to be told */
};

extern const uint8_t gh_h2_drain_ping[8], gh_h2_answer_ping[8];

/* In h->streams; NULL when memory is out. */
struct gh_h2_stream *gh_h2_stream_create(struct gh_h2 *h, int32_t id);
/* Tells the application when it knows the stream, and frees. */
void gh_h2_stream_end(struct gh_h2_stream *s, uint32_t code);
/* An assertion of the library. GH_ERR_INTERNAL. */
int gh_h2_abandon(struct gh_h2 *h);
/* True when the library must not be entered. */
static inline bool gh_h2_is_shut(const struct gh_h2 *h)
{
    return h->dead || h->abandoned;
}

/* Registers what is called when frames come and go. */
void gh_h2_set_callbacks(nghttp2_session_callbacks *callbacks);
/* The library asks for body bytes of a stream. */
ssize_t gh_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags, nghttp2_data_source *source, void *arg);

#endif
