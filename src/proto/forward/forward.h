/* proto/forward/forward.h - what becomes of a packet: source check, policy, flows, fragments, TTL, MTU, ICMP
 *
 * One engine a worker; it runs on the worker that owns the session. No I/O, no clock, no log: packets and times come in,
 * verdicts and events go out, and the rules are asked through a function pointer.
 *
 *   peer --tunnel--> gh_forward_from_peer --pass--> network or another session
 *   peer <--tunnel-- gh_forward_to_peer <---------- network or another session
 *
 * "Stateful" (docs/policy.md): the first packet of a flow is decided by the rules of the session; replies, and ICMP errors whose
 * quoted packet matches, pass because the flow is there. RFC 9484 section 7; RFC 1812; RFC 4443.
 */
#ifndef GH_PROTO_FORWARD_H
#define GH_PROTO_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "proto/forward/flow.h"
#include "proto/forward/fragment.h"
#include "proto/forward/icmp.h"
#include "wire/ip.h"

#define GH_FORWARD_PREFIXES 8u
#define GH_FORWARD_DENIED 4096u /* denials that are remembered, to report each as first once */

struct gh_forward_clock {
    int64_t now;  /* monotonic nanoseconds */
    int64_t wall; /* seconds */
};

enum gh_forward_log { GH_FORWARD_LOG_NONE, GH_FORWARD_LOG_FIRST, GH_FORWARD_LOG_ALL };

struct gh_forward_decision {
    bool allow;
    bool deny_icmp;      /* on_deny: icmp */
    enum gh_drop reason; /* of a denial; NONE means GH_DROP_POLICY */
    enum gh_forward_log log;
    const void *rule;    /* opaque; must live until every flow was rechecked against a newer policy */
    uint64_t generation; /* of the policy that decided */
    int64_t valid_until; /* wall seconds at which the rule expires; 0: never */
};

/* The embedder's session has one of these as a member. Set the upper fields after init, and change them at will: a new
 * policy_generation makes every flow be decided again with its next packet, at the latest. */
struct gh_forward_session {
    uint64_t id;
    const void *policy_client;
    uint64_t policy_generation;
    struct gh_prefix assigned[GH_FORWARD_PREFIXES]; /* what the peer may use as source, and is reached by */
    size_t assigned_count;
    const struct gh_ip_route *routes; /* ordered ranges behind the peer, likewise; borrowed. A relay leaves them empty */
    size_t route_count;
    const struct gh_ip_route *scope; /* ordered: the only destinations and protocols that the tunnel is for, and ICMP; borrowed. NULL: all */
    size_t scope_count;
    struct gh_prefix own[GH_FORWARD_PREFIXES]; /* agent: our addresses; packets from them are the node's own. Empty: no check */
    size_t own_count;
    size_t mtu;     /* longest packet that the tunnel carries; 0: no limit known */
    size_t told;    /* what senders are told of it at least: they keep it for minutes. gh_forward_told says */
    bool stateless; /* agent: no flows, no policy */
    /* The engine's */
    struct gh_flow_owner flows;
    struct gh_fragment_owner fragments;
    struct gh_rate icmp;
    uint64_t packets[2], bytes[2]; /* passed, by direction */
    uint64_t drops[GH_DROP_COUNT];
};

struct gh_forward;

typedef void (*gh_forward_decide_fn)(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *p,
                                     struct gh_forward_decision *ret);

/* Any but <decide> may be NULL. No event may close a session or ask the engine about a packet, except with GH_FORWARD_OWN
 * for another session. Packets are borrowed until the event returns. */
struct gh_forward_events {
    gh_forward_decide_fn decide;
    void (*on_flow_open)(void *arg, struct gh_forward_session *s, const struct gh_flow *f);
    void (*on_flow_close)(void *arg, struct gh_forward_session *s, const struct gh_flow *f, enum gh_flow_end why);
    /* A packet of a flow whose rule says log: all passed. */
    void (*on_flow_packet)(void *arg, struct gh_forward_session *s, const struct gh_flow *f, enum gh_direction d, size_t len);
    /* <first>: the same tuple was not denied within the last UDP time-out, as far as a bounded memory tells. */
    void (*on_deny)(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *p,
                    const struct gh_forward_decision *decision, bool first);
    /* A flow was cut: <packet> tells one end. It goes to the peer (IN) or to the outside (OUT), and needs no verdict. */
    void (*on_cut)(void *arg, struct gh_forward_session *s, enum gh_direction to, struct gh_span packet);
    /* A piece of an IPv4 packet that was too long for the tunnel. */
    void (*on_fragment)(void *arg, struct gh_forward_session *s, struct gh_span header, struct gh_span body);
};

struct gh_forward_config {
    struct gh_flow_timeouts timeouts;
    uint32_t flows, flows_per_session;
    uint32_t fragments, fragments_per_session; /* packets under way */
    int64_t fragment_timeout;
    uint32_t icmp_per_second, icmp_burst;      /* answers of one session */
    uint32_t icmp_per_second_all;              /* of the engine; burst is a tenth */
    struct gh_ip node4, node6;                 /* our addresses inside; family 0: no ICMP of that family to the peer. Errors to the outside go
                                                * out under the peer's address, but for TTL (docs/internals/forwarding.md) */
};

extern const struct gh_forward_config gh_forward_config_default;

enum gh_forward_action { GH_FORWARD_DROP, GH_FORWARD_PASS, GH_FORWARD_DONE /* answered here, or left in fragments */ };

struct gh_forward_verdict {
    enum gh_forward_action action;
    enum gh_drop reason;         /* of a drop */
    struct gh_ip_packet packet;  /* as parsed; version 0 when malformed */
    struct gh_flow *flow;        /* of a packet that passed, until the next call of the engine; NULL: none */
    bool own;                    /* it passed as the node's own: its TTL stayed */
    bool limited;                /* an answer was due and was over the rate: GH_DROP_ICMP_LIMIT, besides the verdict */
    size_t answer_len;           /* > 0: an answer for the packet's sender, back the way it came */
    uint8_t answer[GH_ICMP_MAX];
};

#define GH_FORWARD_OWN 1u              /* made by this node: no policy, no source check, TTL stays */
#define GH_FORWARD_PARTIAL_CHECKSUM 2u /* TCP and UDP checksums are still to be completed */
#define GH_FORWARD_FOLLOWS 4u          /* to_peer: <ret> is still the verdict of the packet before, of this session, with which this one was one piece of
                                        * the kernel's: it passes as that one did, if that one did. No flag of its TCP opens or ends a flow */

struct gh_forward {
    struct gh_forward_config config;
    const struct gh_forward_events *events;
    void *arg;
    struct gh_flow_table flows;
    struct gh_fragment_table fragments;
    struct gh_rate icmp;
    struct gh_forward_denied {
        uint64_t hash;
        int64_t at;
    } *denied;               /* direct-mapped memory of denials, for <first> */
    size_t scan;             /* slot where the sweep goes on */
    uint64_t packets[2], bytes[2];
    uint64_t drops[GH_DROP_COUNT];
    uint64_t answers;        /* ICMP errors and replies made */
    uint64_t opened, closed; /* flows */
};

/* <seed> must be random: peers choose the keys. 0 or GH_ERR_MEMORY. */
int gh_forward_init(struct gh_forward *fw, const struct gh_forward_config *config, const struct gh_hash_seed *seed,
                    const struct gh_forward_events *events, void *arg);
/* Every session was closed before. */
void gh_forward_fini(struct gh_forward *fw);

void gh_forward_session_init(struct gh_forward *fw, struct gh_forward_session *s, uint64_t id);
/* For <told>: while it is not known yet whether the path carries what IPv6 needs, nobody hears of less. */
size_t gh_forward_told(size_t mtu, bool undecided);
/* Closes its flows, each with on_flow_close. */
void gh_forward_session_close(struct gh_forward *fw, struct gh_forward_session *s);

/* A packet that came out of the tunnel. Its TTL stays (decapsulation); a SYN may be changed. */
void gh_forward_from_peer(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, uint8_t *data,
                          size_t len, unsigned flags, struct gh_forward_verdict *ret);
/* A packet that is to go into the tunnel. On PASS its TTL was lowered, and a SYN may have changed. */
void gh_forward_to_peer(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, uint8_t *data,
                        size_t len, unsigned flags, struct gh_forward_verdict *ret);
/* The caller cannot deliver a packet that passed from_peer (GH_DROP_NO_ROUTE, …): counts it, and turns <ret>, which is still that
 * packet's verdict, into a drop with its answer. */
void gh_forward_refuse(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, const uint8_t *data,
                       enum gh_drop why, struct gh_forward_verdict *ret);

/* Time passed: ends what is over, looks again at flows of an expired rule or older policy; at most <budget> of each. Returns when to
 * call again: <clock>'s now when work is left, INT64_MAX when nothing is kept. */
int64_t gh_forward_sweep(struct gh_forward *fw, const struct gh_forward_clock *clock, unsigned budget);
/* Policy changed: decides every flow of the session again; what is denied now is cut, both ends told. Returns the count cut. */
size_t gh_forward_recheck(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock);

/* A session moves to the engine of another thread, and its flows with it: nobody is told that they closed or opened.
 * export: the flows leave this engine, as an array that the caller frees; NULL without flows. Fragments under way are forgotten.
 * 0, or GH_ERR_MEMORY and nothing has changed.
 * adopt: they go on in this one, each decided anew by the policy that is valid here; one that is denied is cut, one for which there is
 * no room is closed as evicted. */
int gh_forward_export(struct gh_forward *fw, struct gh_forward_session *s, struct gh_flow **ret, size_t *ret_count);
void gh_forward_adopt(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, struct gh_flow *flows,
                      size_t count);

#endif
