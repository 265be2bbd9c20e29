/* proto/conform/peer.h - a client that may break every rule above QUIC, and keeps what it is told
 *
 * An application over proto/quic: bytes of any stream, datagrams and resets as a check writes them. Time and packets are the
 * road's, so the same checks run over a socket and in a simulation.
 */
#ifndef GH_PROTO_CONFORM_PEER_H
#define GH_PROTO_CONFORM_PEER_H

#include "proto/conform/message.h"
#include "proto/quic/quic.h"

#define GH_CONFORM_STREAMS 32u
#define GH_CONFORM_DATAGRAMS 8u      /* the last ones are kept */
#define GH_CONFORM_DATAGRAM_MAX 2048u
#define GH_CONFORM_NO_CODE UINT64_MAX

/* How a connection is opened and time passes. */
struct gh_conform_road {
    /* A client's connection; 0 or a negative GH_ERR_. The road of the connection before is over. */
    int (*open)(void *arg, const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, struct gh_quic **ret);
    void (*close)(void *arg); /* after the connection was destroyed */
    int64_t (*now)(void *arg);
    /* Sends what <q> has to say, then lets time pass until something arrived, a deadline of <q> or <until>. */
    void (*turn)(void *arg, struct gh_quic *q, int64_t until);
    void *arg;
};

struct gh_conform_chunk {
    struct gh_conform_chunk *next;
    size_t len;
    uint8_t data[];
};

struct gh_conform_stream {
    int64_t id; /* -1: free */
    struct gh_conform_chunk *first, *last, *unsent; /* kept until the end: the QUIC engine sends from them again */
    size_t sent; /* of <unsent> */
    bool fin, fin_sent, blocked, closed;
    bool ended;              /* the peer's direction ended in order */
    bool stopped;            /* the peer reads no more: known when something was to be written */
    uint64_t reset;          /* the peer's code, or NO_CODE */
    struct gh_conform_answer answer; /* request streams */
    uint8_t in[1024];        /* the first bytes of a unidirectional stream */
    size_t in_len;
};

struct gh_conform_peer {
    const struct gh_conform_road *road;
    struct gh_quic *q; /* NULL: not connected */
    bool keys, handshake, closed;
    struct gh_quic_close why;
    int error; /* of our own: memory, too much */
    struct gh_conform_stream streams[GH_CONFORM_STREAMS];
    struct gh_conform_datagram {
        uint8_t data[GH_CONFORM_DATAGRAM_MAX];
        size_t len;
    } datagrams[GH_CONFORM_DATAGRAMS];
    unsigned datagram_count; /* the i-th is at i modulo GH_CONFORM_DATAGRAMS */
    int64_t patience;        /* nanoseconds that a wait may take */
};

typedef bool (*gh_conform_done_fn)(struct gh_conform_peer *p, const void *arg);

/* Connects, until the handshake is complete. <max_datagram> is offered. 0, or a negative GH_ERR_ with <why> filled. */
int gh_conform_peer_open(struct gh_conform_peer *p, const struct gh_conform_road *road, int64_t patience, uint64_t max_datagram);
/* Closes politely; everything is gone. */
void gh_conform_peer_close(struct gh_conform_peer *p);

/* Until <done>, the end of the connection, or patience. True when <done>. */
bool gh_conform_wait(struct gh_conform_peer *p, gh_conform_done_fn done, const void *arg);
void gh_conform_pause(struct gh_conform_peer *p, int64_t time);

/* The new stream's id, negative when it cannot be opened. */
int64_t gh_conform_open(struct gh_conform_peer *p, bool bidi, struct gh_span first, bool fin);
void gh_conform_send(struct gh_conform_peer *p, int64_t id, struct gh_span data, bool fin);
void gh_conform_reset(struct gh_conform_peer *p, int64_t id, uint64_t code);
/* Quarter stream id, then the payload; <quarter> may be any varint. 0 or what gh_quic_send_datagram says. */
int gh_conform_datagram(struct gh_conform_peer *p, uint64_t quarter, struct gh_span payload);
int gh_conform_datagram_raw(struct gh_conform_peer *p, struct gh_span bytes);
struct gh_conform_stream *gh_conform_stream(struct gh_conform_peer *p, int64_t id); /* NULL when nothing is known of it */
/* The peer's stream of this type (RFC 9114, section 6.2): the <nth>, from 0. NULL when it has not opened that. */
struct gh_conform_stream *gh_conform_peer_uni(struct gh_conform_peer *p, uint64_t type, unsigned nth);

#endif
