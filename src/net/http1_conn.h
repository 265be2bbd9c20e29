/* net/http1_conn.h - one connection of an HTTP/1 server; private to net/http1_*.c
 *
 * http1_conn.c reads: head, body, time-outs, the end. http1_answer.c writes: the operations of net/http.h append to <out>,
 * and never touch the byte stream or call an event; they ask for a turn (<wanted>), and the connection's next turn flushes.
 * So a service may answer from inside an event and never finds itself called back from its own call.
 *
 *   HEAD -> REQUEST -> HEAD -> ...   keep-alive
 *              |-----> FLUSH -> LINGER -> closed   the last answer goes out, then unread input is thrown away for a
 *              |                                   moment, because closing over it would reset the answer away
 *              |-----> TUNNEL -> closed            what was asked for with Upgrade or CONNECT was accepted
 */
#ifndef GH_NET_HTTP1_CONN_H
#define GH_NET_HTTP1_CONN_H

#include "base/list.h"
#include "loop/worker.h"
#include "net/byte_stream.h"
#include "net/http1_server.h"
#include "net/http_identity.h"
#include "wire/h1.h"

#define GH_HTTP1_IN_MAX 16384 /* above this no more is read; one piece of the byte stream may come on top */

enum gh_http1_state { GH_HTTP1_HEAD, GH_HTTP1_REQUEST, GH_HTTP1_TUNNEL, GH_HTTP1_FLUSH, GH_HTTP1_LINGER };
enum gh_http1_wait { GH_HTTP1_WAIT_NONE, GH_HTTP1_WAIT_HEAD, GH_HTTP1_WAIT_IDLE, GH_HTTP1_WAIT_BODY, GH_HTTP1_WAIT_WRITE,
                     GH_HTTP1_WAIT_LINGER };

struct gh_http1_server {
    struct gh_worker *worker;
    struct gh_http1_config config;
    struct gh_http_handler handler;
    struct gh_http1_counters counters;
    struct gh_list conns, listeners;
    unsigned count;     /* connections that are not closed */
    struct gh_deadline pause; /* accepting starts again */
    bool draining;
};

struct gh_http1_conn {
    struct gh_http_stream stream; /* first: what services hold */
    struct gh_http1_server *server;
    struct gh_list link;
    struct gh_byte_stream *io;
    struct gh_deadline timer;
    struct gh_http_peer peer;
    struct gh_http_identity identity; /* that <peer> points to */
    enum gh_http1_state state;
    enum gh_http1_wait wait;
    size_t written;      /* since the write timer was set */
    size_t lingered;
    bool turning;        /* inside turn() */
    bool closing;        /* to be closed at the end of the turn */
    bool eof;            /* the peer sends no more */
    bool wanted;         /* a turn is wanted although the socket has nothing new */
    bool served;         /* a request was read before */
    bool cut;            /* to be closed with a reset */

    /* the request */
    struct gh_h1_reader reader;
    enum gh_h1_framing framing;
    struct gh_h1_chunked chunked;
    uint64_t body_left, body_seen;
    bool open;           /* the service may use the stream */
    bool body_done, expects_continue, is_head, old; /* old: HTTP/1.0 */
    bool offer;          /* it asks for a tunnel, and the answer decides */
    const char *upgrade; /* the token of that, NULL for CONNECT */
    bool held;           /* the service says what it took */
    size_t untaken;
    uint64_t pieces;    /* of bytes that came and went */
    uint64_t datagrams; /* that went */

    /* the answer */
    bool tunnel, shut;   /* shut: our direction was ended */
    bool answered, answer_done, keep_alive, swallow, out_chunked, out_length_known, blocked;
    uint64_t out_left;   /* of Content-Length */
    bool aborted;
    uint64_t code;       /* of the abort */

    size_t out_at, out_len, out_cap;
    uint8_t *out;
    size_t in_at, in_len;
    uint8_t in[GH_HTTP1_IN_MAX + GH_BYTE_STREAM_PIECE];
};

extern const struct gh_http_ops gh_http1_answer_ops;

/* Takes the byte stream over, on failure too. <identity> is copied; NULL: of <peer> there is nothing else to keep. 0 or GH_ERR_MEMORY. */
int gh_http1_conn_open(struct gh_http1_server *s, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity);
/* Closes and frees now; not during a turn. */
void gh_http1_conn_close(struct gh_http1_conn *c);
/* Asks for a turn of the connection. */
void gh_http1_conn_want(struct gh_http1_conn *c);
/* Closes an idle connection, and makes the current answer the last. */
void gh_http1_conn_drain(struct gh_http1_conn *c);

/* Answers a request that never reached the handler; the connection ends after it. 0, GH_ERR_MEMORY. */
int gh_http1_answer_refusal(struct gh_http1_conn *c, unsigned status);
/* May more be read, as far as the service has taken what came? */
bool gh_http1_conn_may_read(const struct gh_http1_conn *c);
/* Appends bytes as they are. 0 or GH_ERR_MEMORY. */
int gh_http1_answer_raw(struct gh_http1_conn *c, struct gh_span bytes);

#endif
