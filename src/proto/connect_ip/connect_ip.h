/* proto/connect_ip/connect_ip.h - one CONNECT-IP tunnel (RFC 9484), without I/O
 *
 * Both ends use the same engine: bytes of the request stream and HTTP datagrams go in, events come out; capsules that it
 * wants to send leave through an event, complete and in order. It knows addresses, requests and routes as they are on the
 * wire; what they mean is the caller's. A refused request is an assignment of the all-zero address with its full length.
 *
 * Malformed input is the peer's fault and ends the tunnel: the caller resets the stream with GH_HTTP_MESSAGE_ERROR. A packet
 * that a datagram carries is never judged here (RFC 9484, section 7.2).
 */
#ifndef GH_PROTO_CONNECT_IP_H
#define GH_PROTO_CONNECT_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"
#include "crypto/ech.h"
#include "proto/connect_ip/dns.h"
#include "wire/capsule.h"
#include "wire/ip.h"

#define GH_CONNECT_IP_ADDRESSES 64u  /* of one capsule */
#define GH_CONNECT_IP_ROUTES 1024u   /* of one capsule */
#define GH_CONNECT_IP_ID_RANGES 32u  /* ranges of request ids that a peer may have used: ids in order take one */
#define GH_CONNECT_IP_CONTEXT 0u     /* context id of a whole packet */

struct gh_connect_ip_address {
    uint64_t request_id; /* 0: nobody asked */
    struct gh_prefix prefix;
};

struct gh_connect_ip;

/* Lists and spans are borrowed until the event returns. No event may end the engine; all else is allowed. */
struct gh_connect_ip_events {
    /* Bytes for the stream, whole capsules. 0, or an error that the call which caused it returns. */
    int (*send)(void *arg, struct gh_span capsules);
    /* ADDRESS_ASSIGN: the full list, which replaces what was assigned before. Refusals are in it. */
    void (*on_assign)(void *arg, const struct gh_connect_ip_address *list, size_t count);
    /* ADDRESS_REQUEST: to be answered with gh_connect_ip_assign, at once or later. */
    void (*on_request)(void *arg, const struct gh_connect_ip_address *list, size_t count);
    /* ROUTE_ADVERTISEMENT: the full list, ordered. */
    void (*on_routes)(void *arg, const struct gh_ip_route *list, size_t count);
    /* A packet, unparsed, from an HTTP datagram or a DATAGRAM capsule. */
    void (*on_packet)(void *arg, struct gh_span packet);
    /* The peer says why it closes: a value of enum gh_farewell or one that is not known here, and words of the peer's. May be NULL. */
    void (*on_farewell)(void *arg, uint64_t why, struct gh_span text);
    /* DNS_ASSIGN: <value> is well-formed (gh_dns_read) and replaces what came before; PREF64: the full list. Either may be NULL: such
     * capsules are skipped then like unknown ones. */
    void (*on_dns)(void *arg, struct gh_span value);
    void (*on_pref64)(void *arg, const struct gh_prefix *list, size_t count);
    /* The peer tells something: a value of enum gh_notice or one that is not known here, and words of the peer's. May be NULL. */
    void (*on_notice)(void *arg, uint64_t what, struct gh_span text);
    /* Routes that the next ROUTE_ADVERTISEMENT leaves out because the tunnel does not carry their family now: ordered; they are not to be used,
     * nor is what they lead to to be reached beside the tunnel. May be NULL. */
    void (*on_withheld)(void *arg, const struct gh_ip_route *list, size_t count);
    /* An ECHConfigList of at most GH_ECH_LIST_MAX bytes, with its length, to encrypt later hellos to. May be NULL: such capsules are skipped like
     * unknown ones. */
    void (*on_ech)(void *arg, struct gh_span list);
};

/* What a peer tells of a tunnel that goes on. */
enum gh_notice {
    GH_NOTICE_NARROW = 1, /* the path does not carry what IPv6 needs: no IPv6 address is assigned (RFC 9484, section 7.2) */
};

/* Why the sender closes the tunnel; more may come. Gatehouse's own, as DESIGN 3 wants it: a stranger skips the capsule. */
enum gh_farewell {
    GH_FAREWELL_TAKEN_OVER = 1, /* another instance of the identity came */
    GH_FAREWELL_KICKED = 2,     /* an operator ended the session */
    GH_FAREWELL_DRAINED = 3,    /* the node ends */
    GH_FAREWELL_EXPIRED = 4,    /* the peer's certificate */
    GH_FAREWELL_REVOKED = 5,
};
#define GH_FAREWELL_TEXT 256u /* longest text of a farewell or a notice, bytes */

struct gh_connect_ip_counters {
    uint64_t packets;        /* handed to on_packet */
    uint64_t capsules;       /* read, but for DATAGRAM */
    uint64_t context_drops;  /* GH_DROP_CONTEXT: unknown context id, or none */
    uint64_t capsule_drops;  /* GH_DROP_CAPSULE_LIMIT: too long, or too many entries */
    uint64_t malformed;      /* tunnels ended by the peer's fault: at most 1 */
};

struct gh_connect_ip {
    const struct gh_connect_ip_events *events;
    void *arg;
    struct gh_capsule_reader reader;
    struct gh_connect_ip_counters counters;
    uint64_t next_id;           /* of our next request */
    struct {
        uint64_t first, last;
    } used[GH_CONNECT_IP_ID_RANGES]; /* ids that the peer has used */
    size_t used_count;
    struct {
        uint64_t id;
        uint8_t family;
    } pending[GH_CONNECT_IP_ADDRESSES]; /* requests of the peer without an answer yet */
    size_t pending_count;
    bool ended;  /* the peer closed its direction */
    int failed;  /* sticky */
};

void gh_connect_ip_init(struct gh_connect_ip *c, const struct gh_connect_ip_events *events, void *arg);
/* Longest capsule value that is kept, before the first feed; GH_CAPSULE_MAX unless this was called. */
void gh_connect_ip_limit(struct gh_connect_ip *c, size_t max);
void gh_connect_ip_fini(struct gh_connect_ip *c);

/* Bytes of the stream. 0, or an error that stays: GH_ERR_MALFORMED, GH_ERR_TOO_LONG (a limit), GH_ERR_MEMORY, GH_ERR_STATE
 * (after the end). <end>: the peer closes its direction, and so the tunnel. */
int gh_connect_ip_feed(struct gh_connect_ip *c, struct gh_span data, bool end);
/* Payload of an HTTP datagram. */
void gh_connect_ip_feed_datagram(struct gh_connect_ip *c, struct gh_span payload);

/* Sends the full list of what the peer may use now; an entry that answers a request carries its id, then and ever after.
 * <answer>: requests that the list leaves out are refused in the same capsule; otherwise they stay open.
 * 0, GH_ERR_RANGE (not a prefix, or too many), what send returned. */
int gh_connect_ip_assign(struct gh_connect_ip *c, const struct gh_connect_ip_address *list, size_t count, bool answer);
/* Asks for addresses: an all-zero address means any. <ret_first_id> gets the id of the first, the others follow it. */
int gh_connect_ip_request(struct gh_connect_ip *c, const struct gh_prefix *wishes, size_t count, uint64_t *ret_first_id);
/* Sends the full list of routes, which must be ordered (gh_connect_ip_order_routes helps). 0, GH_ERR_RANGE, what send returned. */
int gh_connect_ip_advertise(struct gh_connect_ip *c, const struct gh_ip_route *list, size_t count);
/* Before gh_connect_ip_advertise, and in the same form: what that leaves out because the tunnel does not carry the family. */
int gh_connect_ip_withhold(struct gh_connect_ip *c, const struct gh_ip_route *list, size_t count);

/* What the peer may use to resolve names, after the routes that lead there. 0, GH_ERR_RANGE (too long), what send returned. */
int gh_connect_ip_assign_dns(struct gh_connect_ip *c, const struct gh_dns_config *list, size_t count);
int gh_connect_ip_assign_pref64(struct gh_connect_ip *c, const struct gh_prefix *list, size_t count);

/* Says why the tunnel is about to be closed: <text> of at most GH_FAREWELL_TEXT bytes. What send returned. */
int gh_connect_ip_farewell(struct gh_connect_ip *c, enum gh_farewell why, const char *text);
int gh_connect_ip_notice(struct gh_connect_ip *c, enum gh_notice what, const char *text);

/* The ECHConfigList that is announced now. GH_ERR_RANGE (too long), what send returned. */
int gh_connect_ip_tell_ech(struct gh_connect_ip *c, struct gh_span list);

bool gh_connect_ip_is_refusal(const struct gh_connect_ip_address *a);

#endif
