/* services/relay/relay_audit.h - what the relay writes into the audit (docs/audit.md) */
#ifndef GH_SERVICES_RELAY_RELAY_AUDIT_H
#define GH_SERVICES_RELAY_RELAY_AUDIT_H

#include "os/sock.h"
#include "policy/policy.h"
#include "proto/forward/forward.h"

struct gh_forward_decision;
struct relay;
struct session;
struct relay_worker;

void relay_audit_auth(struct relay *r, bool ok, const char *client, const struct gh_endpoint *remote, const char *reason);
void relay_audit_session(struct session *s, bool open, const char *reason);
void relay_audit_refused(struct relay *r, const char *client, const char *request, const char *message, const char *reason);
void relay_audit_flow(struct session *s, const struct gh_flow *f, bool closed, const char *reason);
void relay_audit_flow_packet(struct session *s, const struct gh_flow *f, size_t len);
void relay_audit_deny(struct session *s, enum gh_direction d, const struct gh_ip_packet *p, const struct gh_forward_decision *decision);
/* Of a CONNECT or CONNECT-UDP. */
struct relay_audit_proxy {
    const char *client, *request;
    struct gh_ip source;
    struct gh_endpoint to;
    uint8_t protocol;
    const struct gh_policy_rule *rule;
    const char *message, *reason;
    bool allow;
    uint64_t bytes, packets;
};

void relay_audit_proxy(struct relay_worker *rw, const struct relay_audit_proxy *a);
void relay_audit_policy(struct relay *r, const char *version, const char *error);

#endif
