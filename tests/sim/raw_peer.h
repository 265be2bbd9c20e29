/* tests/sim/raw_peer.h - a peer that speaks QUIC and says whatever a test wants above it
 *
 * An application over the callbacks of proto/quic: bytes of any stream, datagrams and resets as the test writes them; what
 * comes back is kept. Frames and field sections are built and read here, by the letter of RFC 9114 and RFC 9204.
 */
#ifndef GH_SIM_RAW_PEER_H
#define GH_SIM_RAW_PEER_H

#include "sim.h"

#define RAW_STREAMS 24
#define RAW_BYTES 8192

struct raw_stream {
    int64_t id; /* -1: free */
    uint8_t out[RAW_BYTES], in[RAW_BYTES];
    size_t out_len, out_sent, in_len;
    bool fin, fin_sent, in_end, closed, blocked, stopped;
    uint64_t reset; /* code, UINT64_MAX: none */
};

struct raw_peer {
    struct sim *sim;
    struct sim_end *end;
    struct gh_quic *q;
    bool keys, handshake;
    bool forgets; /* of what comes on streams only the last piece is kept: there may be any amount */
    bool has_cert; /* the other end's, when the handshake was complete */
    struct gh_cert_id cert;
    struct raw_stream streams[RAW_STREAMS];
    uint8_t datagram[9000]; /* the last one */
    size_t datagram_len;
    unsigned datagrams;
    void (*on_datagram)(void *arg, struct gh_span payload); /* sees every one; may be NULL */
    void *on_datagram_arg;
};

/* What a test writes to a stream. */
struct raw_bytes {
    uint8_t data[RAW_BYTES];
    size_t len;
};

/* Puts the peer at an end; sim_open or sim_run connect it. */
void raw_peer_init(struct raw_peer *p, struct sim *s, bool server);
/* Runs until streams may be opened, which must happen. */
/* Both ends of a fresh simulation. */
void raw_peers_init(struct sim *s, uint64_t seed, struct raw_peer *client, struct raw_peer *server);
/* Connects them within <time>. */
void raw_peers_connect(struct raw_peer *client, struct raw_peer *server, int64_t time);
void raw_peer_connect(struct raw_peer *p);
struct raw_stream *raw_peer_stream(struct raw_peer *p, int64_t id); /* NULL when nothing is known of it */
/* Lets time pass until <done> says so; for at most ten seconds. */
bool raw_peer_run(struct raw_peer *p, bool (*done)(void *arg), void *arg);
void raw_peer_wait(struct raw_peer *p, int64_t time);

int64_t raw_open(struct raw_peer *p, bool bidi, const struct raw_bytes *first, bool fin);
void raw_send(struct raw_peer *p, int64_t id, const struct raw_bytes *b, bool fin);
void raw_send_datagram(struct raw_peer *p, uint64_t quarter, const void *payload, size_t len);
/* A control stream with SETTINGS that allow everything, as a well-behaved peer opens it. */
int64_t raw_open_control(struct raw_peer *p);

/* True when the connection was closed by the other end with this application code, or it is about to be. */
bool raw_is_closed(void *peer);
/* Fails the test unless the connection is closed by the other end with the code of HTTP/3. */
void raw_assert_closed(struct raw_peer *p, uint64_t code);
void raw_assert_open(struct raw_peer *p);

/* Building. */
void raw_bytes(struct raw_bytes *b, const void *data, size_t len);
void raw_varint(struct raw_bytes *b, uint64_t v);
void raw_frame(struct raw_bytes *b, uint64_t type, const void *payload, size_t len);
void raw_frame_of(struct raw_bytes *b, uint64_t type, const struct raw_bytes *payload);
/* A field line with a literal name and no Huffman coding (RFC 9204, section 4.5.6); the section's prefix comes first. */
void raw_section_begin(struct raw_bytes *b);
void raw_field(struct raw_bytes *b, const char *name, const char *value);

/* Reading: frames of a stream that came in. */
struct raw_answer {
    unsigned status;       /* of the first HEADERS; 0: none came */
    char fields[2048];     /* "name: value\n" … */
    uint8_t body[RAW_BYTES];
    size_t body_len;
    unsigned unknown, heads;
};
void raw_answer(const struct raw_stream *s, struct raw_answer *ret);

#endif
