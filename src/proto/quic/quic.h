/* proto/quic/quic.h - one QUIC connection as an engine: datagrams in, batches of datagrams out (RFC 9000, 9001, 9221)
 *
 * No socket, no clock. The host owns sockets and connection ids; the application (HTTP/3) owns streams and datagrams.
 * Both are told through tables of functions, always inside a call of this header, and may call it back, except for
 * gh_quic_destroy, _recv and _write. After on_closed nothing but gh_quic_destroy does anything.
 *
 * <now> is nanoseconds of the monotonic clock.
 */
#ifndef GH_PROTO_QUIC_QUIC_H
#define GH_PROTO_QUIC_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"
#include "crypto/random.h"
#include "crypto/tls.h"

#define GH_QUIC_CID_MAX 20
#define GH_QUIC_CID_LEN 8            /* of every id that we make */
#define GH_QUIC_RESET_TOKEN 16
#define GH_QUIC_NEW_TOKEN_MAX 96     /* of our own; those of others may be longer */
#define GH_QUIC_PAYLOAD_MAX 1452u    /* largest UDP payload that we send unless told otherwise: Ethernet and IPv6 */
#define GH_QUIC_PAYLOAD_JUMBO 8952u  /* that we can be told to send: an MTU of 9000 */
#define GH_QUIC_PLPMTU_IPV6 1314u    /* UDP payload that a path must carry for an IPv6 packet of 1280 bytes inside (RFC 9484, section 7.2) */
#define GH_QUIC_BATCH_MAX 65000u     /* bytes of one batch: below the limit of UDP_SEGMENT with either family */
#define GH_QUIC_BATCH_SEGMENTS 64u   /* UDP_MAX_SEGMENTS */
#define GH_QUIC_NEVER INT64_MAX

struct gh_quic_cid {
    uint8_t len;
    uint8_t data[GH_QUIC_CID_MAX];
};

struct gh_quic_addr {
    struct gh_ip ip;
    uint16_t port;
};

struct gh_quic_path {
    struct gh_quic_addr local, remote;
};

struct gh_quic;

/* Why a connection ended. */
struct gh_quic_close {
    enum gh_quic_close_kind {
        GH_QUIC_CLOSED_LOCAL,      /* we closed it: <code> is ours */
        GH_QUIC_CLOSED_PEER,       /* the peer did: <code> is the peer's */
        GH_QUIC_CLOSED_IDLE,       /* nothing heard for the idle time-out */
        GH_QUIC_CLOSED_HANDSHAKE,  /* the handshake took too long or was refused */
        GH_QUIC_CLOSED_RESET,      /* stateless reset */
        GH_QUIC_CLOSED_ASSERTION,  /* an assertion inside the library failed; its memory is given up */
    } kind;
    bool application; /* <code> is HTTP/3's, not QUIC's */
    bool retry;       /* server: the first packet wants a Retry, then nothing was kept */
    uint64_t code;    /* RFC 9000 section 20, RFC 9114 section 8.1; 0x100 + alert for TLS */
    char reason[128]; /* words, NUL-terminated */
};

/* What the connection needs from whoever owns the sockets. */
struct gh_quic_host {
    /* A fresh connection id of GH_QUIC_CID_LEN bytes, routable to this connection from now on, and its reset token. */
    int (*make_cid)(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN]);
    void (*retire_cid)(void *arg, const struct gh_quic_cid *cid);
    void (*on_closed)(void *arg, const struct gh_quic_close *why);
    /* Server, may be NULL: a token for the peer's address (NEW_TOKEN). Count of bytes in <ret>, 0 for none. */
    int (*make_token)(void *arg, uint8_t ret[GH_QUIC_NEW_TOKEN_MAX]);
    /* Client, may be NULL: what the next connection to this server may begin with. */
    void (*on_token)(void *arg, struct gh_span token);
    void (*on_session)(void *arg, struct gh_tls_session *s); /* the callee's now */
};

/* What runs over the connection. Functions that return int end the connection when they return a negative GH_ERR_, with
 * the code that gh_quic_close was given before, else H3_INTERNAL_ERROR. */
struct gh_quic_app {
    int (*on_keys)(void *arg);      /* 1-RTT sending is possible: streams may be opened */
    void (*on_handshake)(void *arg);/* complete: the peer's certificate is known */
    int (*on_stream_data)(void *arg, int64_t stream, struct gh_span data, bool end);
    int (*on_stream_acked)(void *arg, int64_t stream, uint64_t bytes);
    int (*on_stream_closed)(void *arg, int64_t stream, uint64_t code); /* both directions are over */
    int (*on_stream_reset)(void *arg, int64_t stream, uint64_t code);  /* the peer sends no more */
    int (*on_stream_stopped)(void *arg, int64_t stream);               /* the peer reads no more: found out by writing */
    int (*on_stream_credit)(void *arg, int64_t stream);                /* flow control opened again */
    void (*on_streams_bidi)(void *arg);                                /* more requests may be opened */
    int (*on_datagram)(void *arg, struct gh_span payload);
    void (*on_datagram_room)(void *arg); /* the datagram queue, which was full, is half empty again */
    /* Bytes to send next, from one stream. Returns the number of spans (0: only <ret_end>), *ret_stream -1 for nothing. */
    int (*pull)(void *arg, int64_t *ret_stream, bool *ret_end, struct gh_span *ret_spans, size_t cap);
    int (*on_sent)(void *arg, int64_t stream, size_t bytes);
    int (*on_blocked)(void *arg, int64_t stream);
    /* The head of a datagram that the peer must drop, for measuring the path: bytes in <ret>, 0 when there is none now. May be NULL. */
    size_t (*probe)(void *arg, uint8_t *ret, size_t cap);
};

/* LOOSE is ours (proto/quic/congestion.h), the others are the library's. */
enum gh_quic_congestion_control { GH_QUIC_NEWRENO, GH_QUIC_CUBIC, GH_QUIC_LOOSE };

/* Times in nanoseconds, sizes in bytes. */
struct gh_quic_config {
    enum gh_quic_congestion_control congestion;
    int64_t idle_timeout;
    int64_t keep_alive;        /* 0: none */
    int64_t handshake_timeout;
    int64_t probe_interval;    /* the longest pause between probes of a path that went silent while datagrams wait; 0: as the library likes */
    uint64_t max_data, max_stream_data; /* flow control windows that we offer */
    uint64_t max_streams_bidi;          /* that the peer may open at a time */
    uint64_t max_datagram;              /* transport parameter 0x20; 0 refuses datagrams (RFC 9221, section 3) */
    size_t queue_packets, queue_bytes;  /* datagrams that wait for the congestion window */
    int64_t queue_time;                 /* the longest that one waits; 0: for ever */
    int64_t queue_target, queue_interval; /* CoDel (proto/quic/queue.h); target 0: none */
    size_t max_payload;                 /* largest UDP payload: that of the interface; GH_QUIC_PAYLOAD_MAX to _JUMBO */
    uint64_t key_update_packets;        /* sealed with one key before the next one is taken */
    struct gh_random_source random;
};

struct gh_quic_counters {
    uint64_t datagrams_in, datagrams_out;
    uint64_t too_big;              /* datagrams refused by gh_quic_send_datagram, which said so */
    uint64_t queue_full, queue_delay, shrunk; /* dropped while they waited: no room, too old, too long since the path shrank */
    uint64_t datagrams_lost;       /* sent in packets that were declared lost */
    uint64_t mtu_probes, black_holes; /* own probes of a path that shrank; how often one did */
    uint64_t probes;               /* of silent paths, sooner than the library would */
    uint64_t key_updates;          /* begun here */
    uint64_t key_generations;      /* keys made ready, by whichever end */
    uint64_t packets_in, packets_out, bytes_in, bytes_out;
    uint64_t heard;                /* of <packets_in> those that the peer, and nobody else, can have sent */
};

struct gh_quic_owner {
    const struct gh_quic_host *host;
    void *host_arg;
    const struct gh_quic_app *app;
    void *app_arg;
};

#define GH_QUIC_STREAMS_OF_A_SITE 128u /* what web servers let browsers open at a time (nginx: http3_max_concurrent_streams) */

void gh_quic_config_default(struct gh_quic_config *ret);
/* The largest UDP payload for packets of <mtu> bytes inside (0: as by default). */
size_t gh_quic_max_payload(size_t mtu);

/* The head of a packet that no connection claimed. Progress: 1 a new connection may be made from it, 0 nothing may (drop it),
 * GH_ERR_UNSUPPORTED: answer with gh_quic_version_negotiation. */
struct gh_quic_initial {
    struct gh_quic_cid dcid, scid;
    uint32_t version;
    struct gh_span token; /* borrowed from the packet */
    size_t payload;       /* of the UDP datagram */
    /* What proto/quic/token.h finds the token to prove. */
    enum gh_quic_proof { GH_QUIC_PROOF_NONE, GH_QUIC_PROOF_TOKEN, GH_QUIC_PROOF_RETRY } proof;
    struct gh_quic_cid original; /* after a Retry: the destination that the client chose first */
};
int gh_quic_accept(struct gh_span packet, struct gh_quic_initial *ret);
/* Destination connection id of any packet; ids in short headers have GH_QUIC_CID_LEN bytes. 0 or GH_ERR_MALFORMED. */
int gh_quic_peek_dcid(struct gh_span packet, struct gh_quic_cid *ret, bool *ret_long);
/* Writes a Version Negotiation packet that answers <in>; count of bytes. */
int gh_quic_version_negotiation(const struct gh_quic_initial *in, uint8_t unpredictable, uint8_t *buf, size_t cap);

/* Writes a Retry that answers <in>; the client goes on to <scid> with <token>. Count of bytes. */
int gh_quic_retry(const struct gh_quic_initial *in, const struct gh_quic_cid *scid, struct gh_span token, uint8_t *buf, size_t cap);
/* Writes an Initial that closes with a transport error and keeps nothing. Count of bytes. */
int gh_quic_refuse(const struct gh_quic_initial *in, uint64_t code, uint8_t *buf, size_t cap);
#define GH_QUIC_CONNECTION_REFUSED 0x02u
#define GH_QUIC_INVALID_TOKEN 0x0bu

/* Writes a Stateless Reset of <cap> bytes (RFC 9000, section 10.3), <noise> has as many. Count of bytes, or GH_ERR_TOO_LONG when it
 * would be too short to be one. */
int gh_quic_stateless_reset(const uint8_t token[GH_QUIC_RESET_TOKEN], const uint8_t *noise, uint8_t *buf, size_t cap);

int gh_quic_create_server(const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, struct gh_tls_ctx *tls,
                          const struct gh_quic_initial *first, const struct gh_quic_path *path, int64_t now, struct gh_quic **ret);

/* Whom a client goes to, and what it remembers of an earlier connection there. */
struct gh_quic_target {
    struct gh_tls_ctx *tls;
    const char *server_name;
    const char *certificate_name; /* these three as struct gh_tls_name has them */
    bool ech;
    struct gh_span ech_list;
    struct gh_span token; /* of a NEW_TOKEN frame; empty when there is none */
    struct gh_tls_session *session; /* to resume; NULL when there is none; stays the caller's */
};
int gh_quic_create_client(const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, const struct gh_quic_target *to,
                          const struct gh_quic_path *path, int64_t now, struct gh_quic **ret);
void gh_quic_destroy(struct gh_quic *q);

/* One UDP payload. <ecn> is the two bits of the IP header. Errors end the connection by themselves (on_closed). */
void gh_quic_recv(struct gh_quic *q, const struct gh_quic_path *path, uint8_t ecn, struct gh_span payload, int64_t now);

/* A run of UDP payloads of <segment> bytes each, the last perhaps shorter, for one path. */
struct gh_quic_batch {
    uint8_t *buf; /* the caller's: GH_QUIC_BATCH_MAX bytes */
    size_t len, segment;
    struct gh_quic_path path;
    uint8_t ecn;
};
/* Fills one batch. 1 when there is something to send (call again), 0 when there is nothing now. */
int gh_quic_write(struct gh_quic *q, struct gh_quic_batch *batch, int64_t now);
/* When gh_quic_expire must be called, at the latest. GH_QUIC_NEVER when closed. */
int64_t gh_quic_deadline(const struct gh_quic *q);
void gh_quic_expire(struct gh_quic *q, int64_t now);

/* Asks for a sign of life: sends PINGs every quarter of a second until something is heard. */
void gh_quic_probe(struct gh_quic *q);

/* Starts to close: the next gh_quic_write carries the CONNECTION_CLOSE. Idempotent; the first code wins. */
void gh_quic_close(struct gh_quic *q, bool application, uint64_t code, const char *reason);
bool gh_quic_is_closed(const struct gh_quic *q);
/* An assertion of a library above failed: the connection ends without another word, and what it holds is given up. */
void gh_quic_abandon(struct gh_quic *q, const char *assertion);
/* True after that, or after an assertion of the QUIC library itself: nothing that belongs to it may be freed by libraries. */
bool gh_quic_is_abandoned(const struct gh_quic *q);

/* Streams. Ids or negative: GH_ERR_FULL when the peer allows no more now. */
int64_t gh_quic_open_bidi(struct gh_quic *q);
int64_t gh_quic_open_uni(struct gh_quic *q);
uint64_t gh_quic_streams_bidi_left(const struct gh_quic *q); /* that the peer lets us open now */
void gh_quic_reset_stream(struct gh_quic *q, int64_t stream, uint64_t code);   /* RESET_STREAM and STOP_SENDING */
void gh_quic_stop_reading(struct gh_quic *q, int64_t stream, uint64_t code);
void gh_quic_stop_writing(struct gh_quic *q, int64_t stream, uint64_t code);
/* The peer may have <window> bytes on their way, or untaken, on all streams; less than it has already changes nothing. */
void gh_quic_widen(struct gh_quic *q, uint64_t window);
/* Gives the peer back <bytes> of both windows. */
void gh_quic_consume(struct gh_quic *q, int64_t stream, uint64_t bytes);

/* Queues one datagram made of two pieces; copies. <flow>: datagrams of one number stay in order, those of others need not wait for
 * them. When the queue is full the fullest flow loses its oldest one (queue_full). 0, GH_ERR_AGAIN (no memory: dropped), GH_ERR_TOO_LONG,
 * GH_ERR_UNSUPPORTED (the peer takes none). */
int gh_quic_send_datagram(struct gh_quic *q, struct gh_span head, struct gh_span body, uint32_t flow, int64_t now);
/* Longest datagram payload that fits a packet of the current path; 0 when the peer takes none or is not known yet. */
size_t gh_quic_datagram_max(const struct gh_quic *q);

/* Unpredictable bits for greasing and the like, never for a key. */
uint64_t gh_quic_noise(struct gh_quic *q);
struct gh_tls *gh_quic_tls(struct gh_quic *q);
const struct gh_quic_counters *gh_quic_counters(const struct gh_quic *q);
bool gh_quic_handshake_complete(const struct gh_quic *q);
struct gh_quic_path gh_quic_current_path(struct gh_quic *q);
/* Largest UDP payload that the path was seen to carry; 0 when the connection is over. While one that shrank is being measured, 1331 until that is disproved. */
size_t gh_quic_plpmtu(const struct gh_quic *q);
/* Smoothed round-trip time, nanoseconds. */
int64_t gh_quic_rtt(struct gh_quic *q);
/* The last destination connection id that the client used first: the host maps it until the handshake is done. */
const struct gh_quic_cid *gh_quic_first_dcid(const struct gh_quic *q);

#endif
