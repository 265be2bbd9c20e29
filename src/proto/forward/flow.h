/* proto/forward/flow.h - the flow table
 *
 * A flow is kept in the view of one session: "inside" is the session's peer, "outside" whoever it talks to. Traffic between
 * two sessions has one flow in each view. Flows come from slabs that are never given back before fini, so that a reference
 * of pointer and serial can be checked at any time.
 *
 * Each class of state has one time-out and one list in the order of last use; each owner has lists by group for eviction.
 */
#ifndef GH_PROTO_FORWARD_FLOW_H
#define GH_PROTO_FORWARD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "wire/ip.h"

/* Seen from the session's peer. */
enum gh_direction {
    GH_DIRECTION_OUT, /* the peer sends */
    GH_DIRECTION_IN,  /* towards the peer */
};

enum gh_flow_class {
    GH_FLOW_TCP_NEW,         /* nothing came back */
    GH_FLOW_TCP_HANDSHAKE,   /* answered, not yet confirmed */
    GH_FLOW_TCP_ESTABLISHED,
    GH_FLOW_TCP_HALF_CLOSED, /* one FIN */
    GH_FLOW_TCP_CLOSING,     /* both */
    GH_FLOW_TCP_CLOSED,      /* RST */
    GH_FLOW_UDP_NEW,
    GH_FLOW_UDP,
    GH_FLOW_ICMP_NEW,
    GH_FLOW_ICMP,
    GH_FLOW_OTHER_NEW,
    GH_FLOW_OTHER,
    GH_FLOW_CLASSES
};

/* What eviction cares about. */
enum gh_flow_group { GH_FLOW_UNREPLIED, GH_FLOW_LIVE, GH_FLOW_FINISHED, GH_FLOW_GROUPS };

enum gh_flow_end {
    GH_FLOW_END_FINISHED,       /* both FINs or a RST */
    GH_FLOW_END_IDLE,
    GH_FLOW_END_EVICTED,
    GH_FLOW_END_POLICY_CHANGED,
    GH_FLOW_END_SESSION_CLOSED,
    GH_FLOW_END_REPLACED        /* a new connection took the same ports */
};

/* Hashed and compared as bytes: no padding, unused bytes zero. */
struct gh_flow_key {
    uint64_t owner;
    uint8_t inside[16], outside[16];
    uint16_t inside_port, outside_port; /* ICMP: id and request type; other ICMP: 0 and type, code */
    uint8_t family, protocol;
    uint8_t icmp_opener; /* ICMP: 1 + direction of the request; so that a reply never stands for a request */
    uint8_t zero;
};

struct gh_flow_owner {
    struct gh_list flows[GH_FLOW_GROUPS]; /* oldest use first */
    uint32_t count;
};

struct gh_flow {
    struct gh_map_node node;
    struct gh_list in_class, in_owner;
    struct gh_flow_key key;
    struct gh_flow_owner *owner; /* NULL: free */
    uint64_t serial;             /* changes when the slot is given to another flow */
    int64_t opened, last;        /* monotonic */
    enum gh_direction opened_by; /* who sent the first packet, and so which rules decided */
    enum gh_flow_class state;
    uint8_t icmp_type, icmp_code; /* of the first packet */
    bool replied, confirmed;
    bool fin[2], reset;
    bool has_next[2], has_ack[2];
    uint32_t next[2];            /* TCP: sequence number behind the last byte that each direction sent */
    uint32_t ack[2];             /* TCP: highest acknowledgement that each direction sent */
    uint64_t packets[2], bytes[2]; /* by direction; whole IP packets */
    /* The decision: set and read by the engine. */
    const void *rule;
    uint64_t generation;
    int64_t valid_until;         /* wall seconds; 0: no end */
    uint8_t log;
};

/* Nanoseconds. */
struct gh_flow_timeouts {
    int64_t tcp_new, tcp_established, tcp_half_closed, tcp_closing;
    int64_t udp_new, udp, icmp, other_new, other;
};

struct gh_flow_table {
    struct gh_map map;
    struct gh_hash_seed seed;
    struct gh_list classes[GH_FLOW_CLASSES];
    int64_t timeouts[GH_FLOW_CLASSES];
    struct gh_flow **slabs;
    size_t slab_count, slab_max;
    struct gh_flow *free; /* linked through node.next */
    struct gh_flow *latest[2]; /* by direction: where the packet before belonged, if that flow is still there */
    uint64_t searches;         /* of the map, by gh_flow_look */
    uint32_t count, max;
    uint64_t serial;
};

/* UDP: RFC 4787 asks for two minutes at least once both sides talk; TCP: RFC 5382, REQ-5 (two hours and four minutes). */
#define GH_FLOW_SECOND INT64_C(1000000000)
#define GH_FLOW_TIMEOUTS_DEFAULT                                                                                          \
    {                                                                                                                     \
        .tcp_new = 60 * GH_FLOW_SECOND, .tcp_established = 7440 * GH_FLOW_SECOND, .tcp_half_closed = 240 * GH_FLOW_SECOND, \
        .tcp_closing = 10 * GH_FLOW_SECOND, .udp_new = 30 * GH_FLOW_SECOND, .udp = 180 * GH_FLOW_SECOND,                   \
        .icmp = 10 * GH_FLOW_SECOND, .other_new = 30 * GH_FLOW_SECOND, .other = 180 * GH_FLOW_SECOND,                      \
    }
extern const struct gh_flow_timeouts gh_flow_timeouts_default;

/* 0 or GH_ERR_MEMORY. */
int gh_flow_table_init(struct gh_flow_table *t, uint32_t max, const struct gh_hash_seed *seed, const struct gh_flow_timeouts *timeouts);
void gh_flow_table_fini(struct gh_flow_table *t);
void gh_flow_owner_init(struct gh_flow_owner *o);

/* The key of a whole packet or first fragment. False for a packet that can only be a reply (an ICMP echo reply, …): then a
 * flow may be found but not opened. A packet that an ICMP error quotes went the other way than the error. */
bool gh_flow_key_of(const struct gh_flow_owner *owner, enum gh_direction d, const struct gh_ip_packet *p, struct gh_flow_key *ret);
uint64_t gh_flow_hash(const struct gh_flow_table *t, const struct gh_flow_key *key);
struct gh_flow *gh_flow_find(const struct gh_flow_table *t, const struct gh_flow_key *key, uint64_t hash);
/* The same for a packet that goes in direction <d>, with the flow of the one before it tried first: the segments of one large read, and what a
 * peer sent in one go, are of one flow and cost one search together. <ret_hash> gets the key's hash, found or not. */
struct gh_flow *gh_flow_look(struct gh_flow_table *t, enum gh_direction d, const struct gh_flow_key *key, uint64_t *ret_hash);

/* A new flow, unreplied, linked everywhere; NULL when the table is full or memory is out. */
struct gh_flow *gh_flow_open(struct gh_flow_table *t, struct gh_flow_owner *owner, const struct gh_flow_key *key, uint64_t hash,
                             enum gh_direction d, const struct gh_ip_packet *first, int64_t now);
/* A copy of a flow of another table, as of a session that moved: its history and counts, used now, with a serial and an owner of this
 * table and without a decision. NULL: there is one already, or no room. */
struct gh_flow *gh_flow_import(struct gh_flow_table *t, struct gh_flow_owner *owner, const struct gh_flow *other, int64_t now);
void gh_flow_release(struct gh_flow_table *t, struct gh_flow *f);
/* A packet of the flow passed: state, use and counts. <p> NULL: a later fragment of <len> bytes. */
void gh_flow_observe(struct gh_flow_table *t, struct gh_flow *f, enum gh_direction d, const struct gh_ip_packet *p, size_t len, int64_t now);

enum gh_flow_group gh_flow_group_of(enum gh_flow_class c);
const char *gh_flow_end_name(enum gh_flow_end e);
/* The tuple of the first packet, as far as rules look at it. */
void gh_flow_first_packet(const struct gh_flow *f, struct gh_ip_packet *ret);
/* The flow to evict: the unreplied one, else the finished one, that was used longest ago. NULL: none may go. */
struct gh_flow *gh_flow_victim(const struct gh_flow_table *t);
struct gh_flow *gh_flow_owner_victim(const struct gh_flow_owner *o);
/* A flow whose time is over, or NULL. */
struct gh_flow *gh_flow_expired(const struct gh_flow_table *t, int64_t now);
/* When the next one's is; INT64_MAX without flows. */
int64_t gh_flow_deadline(const struct gh_flow_table *t);
/* The flow in slot <i> below slab_count * GH_FLOW_SLAB, or NULL. */
struct gh_flow *gh_flow_at(const struct gh_flow_table *t, size_t i);

#define GH_FLOW_SLAB 256u

#endif
