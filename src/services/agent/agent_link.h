/* services/agent/agent_link.h - a connection to the relay, for the files of this folder
 *
 * A link is a connection to the relay:
 *   CONNECTING --SETTINGS--> REQUESTING --2xx--> ASSIGNING --address--> UP --another one carries--> LEAVING --> CLOSING
 * It is one over QUIC or one over TCP (agent_carrier.c has what is different). One link at a time is the carrier. The search (agent_search.c) finds
 * the first one, and the next when the carrier is lost or its path seems dead; the session at the relay goes on over it.
 */
#ifndef GH_SERVICES_AGENT_AGENT_LINK_H
#define GH_SERVICES_AGENT_AGENT_LINK_H

#include "base/list.h"
#include "net/http_endpoint.h"
#include "net/http_tcp.h"
#include "os/netlink.h"
#include "services/agent/agent_hop.h"
#include "services/agent/agent_tunnel.h"

struct agent;

/* A connection to the relay, with a tunnel in time. */
enum agent_link_state {
    AGENT_LINK_CONNECTING,
    AGENT_LINK_REQUESTING,
    AGENT_LINK_ASSIGNING,
    AGENT_LINK_UP,
    AGENT_LINK_LEAVING, /* another one carries: what is under way still arrives */
    AGENT_LINK_CLOSING,
};

/* How a relay is reached. */
enum agent_way {
    AGENT_QUIC, /* the best one first */
    AGENT_TCP,
    AGENT_TCP_HOP, /* at a port of the range */
    AGENT_WEBSOCKET,
    AGENT_WEBSOCKET_HOP,
    AGENT_WAYS
};

struct agent_link {
    struct gh_list node; /* in a->links */
    struct agent *a;
    enum agent_link_state state;
    uint64_t number; /* of all that were opened */
    size_t relay; /* of conf.relays */
    struct gh_endpoint remote;
    enum agent_way kind;
    bool tcp;                        /* not QUIC */
    bool websocket;                  /* nor what TCP has without one */
    bool spoken;                     /* TLS is complete: what goes wrong from here on goes wrong above it */
    uint16_t port;                   /* in place of that of <remote>; 0: that one */
    unsigned hops;                   /* QUIC: to another port */
    int64_t hopped_at;
    struct gh_deadline hop;          /* to the next; with a WebSocket to the next ping */
    struct gh_http_conn *conn;       /* QUIC; NULL once it is gone */
    struct gh_http_tcp_conn *stream; /* TCP; the same */
    bool h1;                         /* HTTP/1.1 alone was offered */
    bool again;                      /* another key of ECH after a rejection */
    uint64_t ech_turn;               /* of the keys of ECH when it was opened */
    bool ech;                        /* the hello was opened */
    const char *transport;           /* "quic", "h2", "http/1.1", "websocket-h2", "websocket"; "" before it is known */
    struct gh_agent_tunnel tunnel;
    unsigned requests;               /* mode proxy: tunnels on it */
    struct gh_http_identity identity;
    struct gh_deadline timer;
    char tls_group[32], cipher[48], why[GH_AGENT_WORDS];
    bool was_up;
    /* Width: IPv6 is not asked for because our direction is too narrow; it was seen to be wide; since when there is an address; when a tunnel was
     * last asked for again on this connection, 0 for never; the relay says that its direction is too narrow. */
    bool narrow, was_wide, renewing, peer_narrow;
    struct gh_nl_route way; /* from here to the relay when it was opened; of family 0 when nobody knows */
    int64_t up_at, again_at;
    /* The carrier's pulse: counts when something was last heard; since when something sent is unanswered, 0 for not. */
    uint64_t heard, packets_out;
    int64_t heard_at, unanswered_since;
};

/* agent_link.c: a connection */
extern const struct gh_http_endpoint_events agent_link_events;
const char *agent_link_state_name(enum agent_link_state s);
/* Begins to connect; the rest is told to the search. 0, GH_ERR_UNSUPPORTED (no socket of the family) and others. */
int agent_link_open(struct agent *a, size_t relay, const struct gh_endpoint *remote, enum agent_way way);
/* The carrier is not heard: to another port, unless it was just done. */
void agent_link_hop_away(struct agent_link *l, int64_t now);
/* What a connection tells, whatever is below it: is <cert> a relay's (<l> may be NULL: nobody knows whose connection it is)? Requests may be
 * sent; it is over, and the link is gone when this returns. */
struct agent_link_end {
    const char *words;
    bool local;
    bool ech_rejected;
    struct gh_span ech_retry; /* what to encrypt to instead, from a server that is believed; else empty */
};
int agent_link_judge(struct agent *a, struct agent_link *l, const struct gh_endpoint *remote, const struct gh_cert *cert, struct gh_http_identity *ret);
void agent_link_ready(struct agent_link *l);
void agent_link_closed(struct agent_link *l, const struct agent_link_end *why);
/* Closes tunnel and connection; the search is told nothing but agent_search_gone. */
void agent_link_end(struct agent_link *l, const char *words);
/* Another one carries. */
void agent_link_leave(struct agent_link *l);
/* Does the carrier's path, our direction of it, carry IPv6? What is not known yet is taken for wide. */
bool agent_link_is_narrow(struct agent_link *l, int64_t now);
/* The carrier's tunnel is aborted and another one asked for, with or without IPv6. */
void agent_link_renew(struct agent_link *l, bool narrow);

/* agent_carrier.c: what a link stands on */
struct agent_pulse {
    uint64_t heard, sent;     /* counts that change with what comes, and with what is sent and wants an answer */
    uint64_t datagrams, lost; /* QUIC */
    int64_t rtt;              /* ns; 0: not known */
};
int agent_carrier_open(struct agent_link *l);
void agent_carrier_close(struct agent_link *l, const char *words);
int agent_carrier_request(struct agent_link *l, const struct gh_http_head *head, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret);
/* After the handshake: what status and log say of it. True when it was resumed. */
bool agent_carrier_learn(struct agent_link *l);
void agent_carrier_probe(struct agent_link *l);
/* A WebSocket: whoever is in between sees that it is used. */
void agent_carrier_ping(struct agent_link *l);
/* QUIC, with hop ports: to another one. */
void agent_carrier_hop(struct agent_link *l);
struct agent_pulse agent_carrier_pulse(const struct agent_link *l);
/* As gh_quic_plpmtu; SIZE_MAX: not carried by UDP. */
size_t agent_carrier_udp_payload(const struct agent_link *l);

/* agent_way.c: in which ways a relay is tried. The steps that its addresses and ways take; the next of them: 0, or there is none any more */
size_t agent_way_steps(const struct agent *a);
int agent_way_try(struct agent *a);
/* A better way is waited for beside a worse one. */
bool agent_way_may_take_over(const struct agent_link *l, const struct agent_link *from);
/* A tunnel looks for better ways now and then, one over QUIC does not; now; when the deadline has come; an attempt is over, in which state it was; the
 * tunnel is up; the network is another one. */
void agent_way_look(struct agent *a);
void agent_way_try_better(struct agent *a);
void agent_way_again(void *arg, int64_t now);
void agent_way_failed(struct agent_link *l, enum agent_link_state before);
void agent_way_up(struct agent *a, const struct agent_link *l);
void agent_way_forget(struct agent *a);
/* The server speaks HTTP/2, and knows nothing of tunnels on it. */
void agent_way_no_extended_connect(struct agent_link *l);

#endif
