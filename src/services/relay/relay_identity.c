/* Who is an agent? What its certificate says, by the rules of the configuration (DESIGN 4, decision 8). */
#include <stdio.h>

#include "base/error.h"
#include "core/trace_text.h"
#include "crypto/identity.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_trust.h"

static void note_handshake(struct relay_worker *rw, bool ok, const struct gh_endpoint *remote)
{
    relay_note(rw, GH_TRACE_HANDSHAKE, 0, ok, gh_trace_addr(&remote->ip), gh_trace_port(&remote->ip, 0, remote->port));
}

int relay_peer(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct relay_worker *rw = arg;
    struct gh_identity_rules rules = relay_trust_rules(rw);
    struct gh_identity id = { .name = "" };
    struct gh_http_identity who = { .name = "" };
    struct gh_http_peer peer = { .addr = remote->ip, .port = remote->port, .identity = who.name, .certificate = &who.certificate };
    char why[GH_IDENTITY_WHY] = "the certificate cannot be read";
    int rc = gh_cert_id_of(cert, &who.certificate);

    if (rc == 0)
        rc = gh_identity_of_cert(cert, &rules, &id, why);
    if (rc == 0) {
        snprintf(who.name, sizeof who.name, "%s", id.name);
        who.not_after = peer.not_after = id.not_after;
        rc = relay_trust_judge(rw, &peer, true, why);
    }
    note_handshake(rw, rc == 0, remote);
    if (rc < 0) {
        relay_audit_auth(rw->r, false, who.name[0] ? who.name : NULL, remote, why);
        gh_log_event(rw->r->log, GH_LOG_WARN, "relay", "certificate refused", gh_log_ip("peer", &remote->ip), gh_log_str("client_id", who.name),
                     gh_log_str("reason", why));
        return rc;
    }
    *ret = who;
    relay_audit_auth(rw->r, true, id.name, remote, NULL);
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_IDENTITIES, 0, 1);
    return 0;
}

void relay_refused(void *arg, const struct gh_endpoint *remote, const char *why)
{
    struct relay_worker *rw = arg;

    note_handshake(rw, false, remote);
    relay_audit_auth(rw->r, false, NULL, remote, why);
    gh_log_event(rw->r->log, GH_LOG_WARN, "relay", "handshake refused", gh_log_ip("peer", &remote->ip), gh_log_str("reason", why));
}
