/* services/relay/relay_proxy.h - tunnels to one host: CONNECT (RFC 9110, section 9.3.6) and CONNECT-UDP (RFC 9298)
 *
 *   LOOKUP --addresses--> judged by policy --> DIAL (TCP) --> OPEN --the client has closed, bytes are left--> LINGER
 *
 * They are under the identity, trust, policy and audit of the worker that their request came to; they belong to no session, have no
 * address, and their packets come from the node's own. A proxy outlives its stream in LINGER alone.
 */
#ifndef GH_SERVICES_RELAY_RELAY_PROXY_H
#define GH_SERVICES_RELAY_RELAY_PROXY_H

#include "net/tunnel_pump.h"
#include "os/dgram.h"
#include "services/relay/relay_internal.h"
#include "wire/capsule.h"
#include "wire/host_target.h"

#define RELAY_LOOKUPS_MAX 64u /* names that are looked up at once, of the node */

enum proxy_kind { PROXY_NONE, PROXY_TCP, PROXY_UDP };
enum proxy_state { PROXY_LOOKUP, PROXY_DIAL, PROXY_OPEN, PROXY_LINGER };

struct relay_proxy_lookup;

struct relay_proxy {
    struct gh_list link; /* in rw->proxies */
    struct relay_worker *rw;
    struct gh_http_stream *stream;
    enum proxy_kind kind;
    enum proxy_state state;
    struct gh_host_target target;
    struct relay_proxy_lookup *lookup; /* LOOKUP */
    struct gh_endpoint addrs[GH_RESOLVE_ADDRESSES]; /* DIAL: that policy allowed */
    size_t addr_count, addr_next;
    struct gh_endpoint to;              /* that it is connected to, or tries */
    const struct gh_policy_rule *rule;  /* of the policy that the worker holds; NULL: its default action */
    enum gh_policy_log log;
    struct gh_deadline timer; /* DIAL: of one attempt; later: silence */
    int64_t dial_until, active_at;
    const char *dial_error;   /* of the attempt before (RFC 9209, section 2.3) */
    int fd;                   /* DIAL, and UDP; -1 */
    struct gh_poll *poll;
    struct gh_tunnel_pump pump; /* TCP */
    uint64_t bytes[2], packets[2]; /* from and to the client */
    char name[RELAY_NAME_MAX], request[RELAY_REQUEST_ID];
    struct gh_ip peer;
    int64_t not_after;
    /* UDP */
    struct gh_capsule_reader capsules;
};

/* What the request asks for, where <served> (GH_RELAY_PROXY_…) has it. */
enum proxy_kind relay_proxy_kind(unsigned served, const struct gh_http_head *head);
void relay_proxy_request(struct relay_worker *rw, struct gh_http_stream *stream, const struct gh_http_head *head);
/* The policy is another one, or a rule has expired: whoever may no longer is cut. */
void relay_proxy_recheck(struct relay_worker *rw);
/* Lists or pins are others. */
void relay_proxy_retrust(struct relay_worker *rw);
/* A certificate's time may be over. */
void relay_proxy_expire(struct relay_worker *rw);
void relay_proxy_end_all(struct relay_worker *rw, const char *reason);

/* ---- for relay_proxy*.c */

/* Answers an error and forgets it. <drop> may be GH_DROP_NONE, <error> of Proxy-Status may be NULL. */
void relay_proxy_refuse(struct relay_proxy *p, unsigned status, const char *error, enum gh_drop drop);
/* 200, with the address that was reached. 0 or an error: then it is gone. */
int relay_proxy_accept(struct relay_proxy *p);
/* Ends it; <reason> goes into the audit. The host sees a reset where <why> is an error, so does the client; without one the client's stream ends. */
void relay_proxy_end(struct relay_proxy *p, const char *reason, enum gh_http_reset why);
/* From now on <fire> is what the timer is for, whatever it was for before. */
void relay_proxy_wait(struct relay_proxy *p, void (*fire)(void *arg, int64_t now), int64_t until);
/* Bytes passed: 0 from the client, 1 to it. */
void relay_proxy_count(struct relay_proxy *p, unsigned way, size_t bytes);
/* May the proxy go on to <to>? GH_DROP_NONE and its rule is the proxy's, or why not. */
enum gh_drop relay_proxy_judge(struct relay_proxy *p, const struct gh_endpoint *to);

extern const struct gh_http_events relay_proxy_tcp_events, relay_proxy_udp_events;
extern const struct gh_tunnel_pump_events relay_proxy_pump_events;
/* Tries the addresses in their order. It may be gone when this returns. */
void relay_proxy_tcp_start(struct relay_proxy *p);
void relay_proxy_udp_start(struct relay_proxy *p);
/* Closes what it has of the host, TCP with a reset. */
void relay_proxy_tcp_close(struct relay_proxy *p);
void relay_proxy_udp_close(struct relay_proxy *p);

#endif
