/* services/agent/agent_tunnel.h - one CONNECT-IP tunnel on one HTTP stream, from the request to its end (RFC 9484, section 4)
 *
 *   REQUESTED --2xx--> OPEN --on_assigned--> OPEN … --> ENDED
 *       `--3xx 4xx 5xx, closed, time-out-----------------^
 *
 * No clock, no sockets: whoever owns it sets time-outs and says gh_agent_tunnel_end. The object must outlive its stream.
 */
#ifndef GH_SERVICES_AGENT_AGENT_TUNNEL_H
#define GH_SERVICES_AGENT_AGENT_TUNNEL_H

#include "net/http.h"
#include "proto/connect_ip/connect_ip.h"
#include "proto/forward/forward.h"

#define GH_AGENT_WORDS 384u

enum gh_agent_tunnel_state { GH_AGENT_TUNNEL_IDLE, GH_AGENT_TUNNEL_REQUESTED, GH_AGENT_TUNNEL_OPEN, GH_AGENT_TUNNEL_ENDED };

/* Why a tunnel ended. */
struct gh_agent_tunnel_end {
    unsigned status;             /* of a refusal, 0 for all else */
    uint64_t code;               /* the stream's error code, 0 without one */
    uint64_t farewell;           /* enum gh_farewell, or another number of the relay's; 0: it said none */
    char words[GH_AGENT_WORDS];  /* for a person, printable, never empty */
};

struct gh_agent_tunnel_events {
    void (*on_open)(void *arg);
    /* The full list of what we may use now, without refusals and addresses that are no host's; <refused> counts requests that
     * were turned down. */
    void (*on_assigned)(void *arg, const struct gh_prefix *list, size_t count, size_t refused);
    /* The full list of what the relay takes over, ordered; also what it or our direction does not carry now: no address of the family is there then. */
    void (*on_routes)(void *arg, const struct gh_ip_route *list, size_t count);
    void (*on_packet)(void *arg, struct gh_span packet);
    /* Last event, once. The stream may still be there: gh_agent_tunnel_stream says. */
    void (*on_end)(void *arg, const struct gh_agent_tunnel_end *end);
    /* Nameservers and prefixes of a NAT64, as gh_connect_ip_events has them; both or none. */
    void (*on_dns)(void *arg, struct gh_span value);
    void (*on_pref64)(void *arg, const struct gh_prefix *list, size_t count);
    /* The relay says why no IPv6 is assigned; printable. May be NULL. */
    void (*on_narrow)(void *arg, const char *words);
    /* The relay says what to encrypt hellos to. With the two above, or not at all. */
    void (*on_ech)(void *arg, struct gh_span list);
};

struct gh_agent_tunnel {
    const struct gh_agent_tunnel_events *events;
    void *arg;
    struct gh_http_stream *stream; /* NULL once it is closed */
    struct gh_connect_ip ip;
    enum gh_agent_tunnel_state state;
    bool feeding, refused, body_begun;
    bool no_ipv6;                    /* none is wished for */
    struct gh_ip_route *withheld;    /* what the next list of routes leaves out */
    size_t withheld_count;
    bool end_wanted;                 /* said while feeding */
    enum gh_http_reset end_reset;
    struct gh_agent_tunnel_end end;
};

/* The events of the stream; their argument is the tunnel. */
extern const struct gh_http_events gh_agent_tunnel_http_events;

void gh_agent_tunnel_init(struct gh_agent_tunnel *t, const struct gh_agent_tunnel_events *events, void *arg);
void gh_agent_tunnel_fini(struct gh_agent_tunnel *t);
/* The request was sent on <s>. <no_ipv6>: what is assigned of IPv6 is not ours to use. */
void gh_agent_tunnel_start(struct gh_agent_tunnel *t, struct gh_http_stream *s, bool no_ipv6);
/* Ends it from our side: the stream is reset; on_end tells <words>. Does nothing when it is over. */
void gh_agent_tunnel_end(struct gh_agent_tunnel *t, enum gh_http_reset why, const char *words);
/* Ends it in order: our direction is closed (RFC 9484, section 4.1). */
void gh_agent_tunnel_close(struct gh_agent_tunnel *t, const char *words);
/* <packet> has a writable byte before it, for the context id; <flow> as in gh_http_send_datagram. 0 or why it was dropped. */
enum gh_drop gh_agent_tunnel_send(struct gh_agent_tunnel *t, uint8_t *packet, size_t len, uint32_t flow);
/* Longest packet that the tunnel carries now, 0 when it carries none. */
size_t gh_agent_tunnel_mtu(const struct gh_agent_tunnel *t);

#define GH_AGENT_AUTHORIZATION 600u

/* What goes into the request's head. Spans of <ret> point into the object. */
struct gh_agent_request {
    char authority[300], path[1200], instance[33];
    char authorization[GH_AGENT_AUTHORIZATION]; /* "": a certificate says who we are */
    struct gh_http_field fields[4];
    struct gh_http_head head;
};

/* The head of a request; <no_ipv6> tells a relay of ours that our direction is too narrow for it. */
struct gh_http_head gh_agent_request_head(struct gh_agent_request *r, bool no_ipv6);

/* <template> is a path or absolute. 0, GH_ERR_MALFORMED or GH_ERR_TOO_LONG. */
int gh_agent_request_init(struct gh_agent_request *r, const char *host, uint16_t port, const char *template, const uint8_t instance[16]);
/* Shows <token> with each request (RFC 7617). 0 or GH_ERR_TOO_LONG. */
int gh_agent_request_set_token(struct gh_agent_request *r, const char *user, struct gh_span token);

#endif
