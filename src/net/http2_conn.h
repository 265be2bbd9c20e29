/* net/http2_conn.h - one connection of HTTP/2; private to net/http2*.c
 *
 * http2.c          the set, and the life of its connections: bytes, turns, time
 * http2_stream.c   what services do to streams, and what the engine tells
 *
 *   OPEN -> LINGER -> closed   the last bytes go out, then input is thrown away for a moment, because closing over it would
 *                              reset them away
 */
#ifndef GH_NET_HTTP2_CONN_H
#define GH_NET_HTTP2_CONN_H

#include "base/list.h"
#include "loop/worker.h"
#include "net/byte_stream.h"
#include "net/http2.h"
#include "net/http_identity.h"
#include "proto/h2/h2.h"

#define GH_HTTP2_OUT 32768u

struct gh_http2 {
    struct gh_worker *worker;
    struct gh_http2_config config;
    struct gh_http_handler handler;
    struct gh_http2_counters counters;
    struct gh_list conns, dirty;
    struct gh_turn_hook hook;
    unsigned count;
    uint64_t turned; /* gh_worker_ticks of the turn in which the hook ran last */
    bool draining;
};

struct gh_http2_conn {
    struct gh_http2 *set;
    struct gh_list link, dirty; /* in set->conns, set->dirty */
    struct gh_byte_stream *io;
    struct gh_h2 *h2;
    struct gh_http_peer peer;
    struct gh_http_identity identity; /* that <peer> points to */
    const struct gh_http2_client_events *events; /* NULL: a server's */
    void *arg;
    struct gh_deadline timer;
    int64_t opened;
    int64_t heard;      /* when bytes came last */
    int64_t moved;      /* when bytes went last, while some wait */
    int64_t asked;      /* when the PING went that nothing came after; 0 without one */
    int64_t lingers;    /* since when; 0 while it is open */
    size_t lingered;
    uint64_t pieces;    /* of bytes that came and went */
    uint64_t datagrams; /* that went */
    bool gone;          /* the byte stream takes and gives no more */
    bool timed_out;
    size_t out_at, out_len;
    uint8_t out[GH_HTTP2_OUT];
};

extern const struct gh_h2_events gh_http2_engine_events;

/* Its bytes leave at the end of the turn. */
void gh_http2_conn_wake(struct gh_http2_conn *c);
#endif
