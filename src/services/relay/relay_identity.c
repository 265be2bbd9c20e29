/* Who is an agent? What its certificate says, by the rules of the configuration (DESIGN 4, decision 8). */
#include <stdio.h>

#include "base/error.h"
#include "core/trace_text.h"
#include "crypto/identity.h"
#include "services/relay/relay_internal.h"

static size_t sources_of(unsigned bits, enum gh_identity_source ret[GH_IDENTITY_SOURCE_COUNT])
{
    size_t n = 0;

    if (bits & GH_RELAY_IDENTITY_SAN_URI)
        ret[n++] = GH_IDENTITY_SAN_URI;
    if (bits & GH_RELAY_IDENTITY_SAN_DNS)
        ret[n++] = GH_IDENTITY_SAN_DNS;
    if (bits & GH_RELAY_IDENTITY_CN)
        ret[n++] = GH_IDENTITY_CN;
    return n;
}

static void why_unpinned(const struct gh_identity *id, char ret[GH_IDENTITY_WHY])
{
    char hex[65];

    for (size_t i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", id->spki_sha256[i]);
    snprintf(ret, GH_IDENTITY_WHY, "relay.pins does not have \"%s=sha256:%s\"", id->name, hex);
}

static void note_handshake(struct relay_worker *rw, bool ok, const struct gh_endpoint *remote)
{
    relay_note(rw, GH_TRACE_HANDSHAKE, 0, ok, gh_trace_addr(&remote->ip), gh_trace_port(&remote->ip, 0, remote->port));
}

int relay_peer(void *arg, struct gh_span der, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct relay_worker *rw = arg;
    struct gh_identity_rules rules = { .trust_domain = rw->r->conf.trust_domain, .roles = GH_ROLE_BIT(GH_ROLE_AGENT) };
    struct gh_identity id;
    struct gh_cert *cert = NULL;
    char why[GH_IDENTITY_WHY] = "the certificate cannot be read";
    int rc = gh_cert_parse_der(der, &cert);

    rules.source_count = sources_of(rw->r->conf.identity, rules.sources);
    if (rc == 0)
        rc = gh_identity_of_cert(cert, &rules, &id, why);
    gh_cert_destroy(cert);
    if (rc == 0 && rw->r->conf.pin_required && !gh_relay_conf_pinned(&rw->r->conf, id.name, id.spki_sha256)) {
        rc = GH_ERR_DENIED;
        why_unpinned(&id, why);
    }
    note_handshake(rw, rc == 0, remote);
    if (rc < 0) {
        relay_audit_auth(rw->r, false, NULL, remote, why);
        gh_log_event(rw->r->log, GH_LOG_WARN, "relay", "certificate refused", gh_log_ip("peer", &remote->ip), gh_log_str("reason", why));
        return rc;
    }
    snprintf(ret->name, sizeof ret->name, "%s", id.name);
    ret->not_after = id.not_after;
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
