/* tests/bench/swarm/client.h - one client of a relay: a QUIC connection on a socket of its own, a tunnel in it, echoes through that
 *
 * Everything happens in one thread; a client is told of packets and time by whoever owns it.
 */
#ifndef GH_SWARM_CLIENT_H
#define GH_SWARM_CLIENT_H

#include "os/udp.h"
#include "proto/connect_ip/connect_ip.h"
#include "proto/h3/h3.h"

struct client_config {
    struct gh_endpoint remote;
    const char *server_name; /* of the certificate; the authority of requests */
    const char *path;        /* of the tunnel; NULL: a handshake is all that is wanted */
    struct gh_ip target;     /* whom echoes are for; IPv4 */
    uint16_t target_port;    /* whom UDP datagrams are for, who sends them back */
    const struct gh_udp_features *features;
    const uint8_t *pattern;  /* pattern.h: PATTERN_PERIOD bytes and as many as a packet has */
    bool flows;              /* each echo is a flow of its own: an identifier (RFC 792) of its own */
    uint8_t *slab;           /* GH_UDP_BUFFER bytes, and as many as a batch has: shared, nothing stays there */
    uint8_t *out;
};

enum client_state {
    CLIENT_IDLE,
    CLIENT_CONNECTING,
    CLIENT_REQUESTED,
    CLIENT_UP,    /* handshake done; with a path: an address is there */
    CLIENT_FAILED, /* before that */
    CLIENT_LOST,   /* after that, and not because we wanted it */
};

struct client {
    const struct client_config *cfg;
    enum client_state state;
    struct gh_udp udp;
    struct gh_endpoint local;
    struct gh_quic *quic; /* NULL: neither socket nor connection */
    struct gh_h3 *h3;
    struct gh_h3_stream *stream;
    struct gh_connect_ip tunnel;
    struct gh_ip address;
    int64_t started, deadline; /* when gh_client_turn wants to be called */
    uint64_t sent, answered;   /* echoes of this connection */
    uint16_t sequence;
    int64_t last_rtt;
    uint64_t pushed, returned, wrong; /* datagrams; those that did not come back as they went */
    size_t under_way, before;         /* of them; at the last look */
    char why[256]; /* FAILED, LOST */
};

/* Opens a socket at <from> (family 0: anywhere) and begins a handshake. 0 or a negative GH_ERR_, and the client is FAILED. */
int client_open(struct client *c, const struct client_config *cfg, const struct gh_endpoint *from, struct gh_tls_ctx *tls, int64_t now);
/* Polite, with a word to the peer; the client is IDLE. */
void client_close(struct client *c, int64_t now);
/* Something can be read. */
void client_receive(struct client *c, int64_t now);
/* Sends what there is, looks after time-outs. */
void client_turn(struct client *c, int64_t now);
/* One ICMP echo to the target; what the datagram's sender says. */
int client_echo(struct client *c, int64_t now);
/* One UDP datagram with <size> bytes of payload to the target; it goes with the next turn. What the datagram's sender says. */
int client_push(struct client *c, size_t size, int64_t now);

#endif
