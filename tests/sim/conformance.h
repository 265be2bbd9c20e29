/* tests/sim/conformance.h - a raw peer against the production relay, or against the production client
 *
 * OUR_SERVER: the relay from HTTP/3 to its TUN is under test, the raw peer is a client with a good certificate.
 * OUR_CLIENT: proto/h3 as a client is under test; it asks for a tunnel as soon as it may.
 */
#ifndef GH_SIM_CONFORMANCE_H
#define GH_SIM_CONFORMANCE_H

#include "../unit/test.h"
#include "base/error.h"
#include "raw_peer.h"
#include "relay_world.h"

enum role { OUR_SERVER, OUR_CLIENT };

struct conformance {
    enum role role;
    struct sim *sim;
    struct relay_world relay; /* OUR_SERVER */
    struct sim alone;         /* OUR_CLIENT */
    struct raw_peer peer;
    int64_t control; /* the peer's control stream, when it has a good one */
    unsigned on_network;
    uint8_t network[2048]; /* the last packet that the relay wrote */
    size_t network_len;
    /* OUR_CLIENT: what it saw */
    unsigned settings, status, body, datagrams, goaways, closed;
    uint64_t code;
    int request_rc;
    struct gh_h3_stream *stream;
    bool ask; /* for a tunnel, when SETTINGS come */
};

extern struct conformance c;

/* In two steps, so that a test can change what the ends are made with. */
void conformance_begin(enum role role);
/* OUR_SERVER, with the text of a policy. */
void conformance_begin_with(const char *policy);
void conformance_connect(void);
/* Connects; the peer has sent nothing above QUIC. */
void conformance_start(enum role role);
/* The same with a good control stream of the peer's. */
void conformance_start_settled(enum role role);
/* OUR_SERVER has begun: a client made with <cfg> is refused by an alert, and no session was made. */
void conformance_refused_by_tls(const struct gh_tls_config *cfg);
void conformance_end(void);

/* A HEADERS frame that asks for a tunnel, as RFC 9484 section 4.5 words it. */
void connect_ip_head(struct raw_bytes *b);
/* A HEADERS frame of these fields, which ends with NULL: name, value, … */
void head_of(struct raw_bytes *b, const char *const *fields);
/* OUR_SERVER: sends a request and runs until its answer's head is here (or the stream is over). The stream's id. */
int64_t ask(const struct raw_bytes *request, bool fin);
/* OUR_SERVER: an open tunnel. */
int64_t open_tunnel(void);
/* Both: a stream on which the peer's message is to be sent: as a client a new one, as a server the one that the client opened. */
int64_t message_stream(const struct raw_bytes *first, bool fin);
struct raw_answer *answer_on(int64_t stream);

/* The stream was reset by us with <code>, the connection lives. */
void assert_stream_reset(int64_t stream, uint64_t code);

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

#endif
