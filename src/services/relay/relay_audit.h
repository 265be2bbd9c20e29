/* services/relay/relay_audit.h - what the relay writes into the audit (docs/audit.md) */
#ifndef GH_SERVICES_RELAY_RELAY_AUDIT_H
#define GH_SERVICES_RELAY_RELAY_AUDIT_H

#include "policy/policy.h"
#include "proto/forward/forward.h"

struct gh_endpoint;
struct gh_forward_decision;
struct relay;
struct session;

void relay_audit_auth(struct relay *r, bool ok, const char *client, const struct gh_endpoint *remote, const char *reason);
void relay_audit_session(struct session *s, bool open, const char *reason);
void relay_audit_refused(struct relay *r, const char *client, const char *request, const char *message, const char *reason);
void relay_audit_flow(struct session *s, const struct gh_flow *f, bool closed, const char *reason);
void relay_audit_flow_packet(struct session *s, const struct gh_flow *f, size_t len);
void relay_audit_deny(struct session *s, enum gh_direction d, const struct gh_ip_packet *p, const struct gh_forward_decision *decision);
void relay_audit_policy(struct relay *r, const char *version, const char *error);

#endif
