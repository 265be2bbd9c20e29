/* By what agents are trusted beyond TLS: names, pins, revocation lists. One judgement for full handshakes, for resumed ones, for each
 * request, and for what lives when any of it changes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hex.h"
#include "core/ca_index.h"
#include "crypto/crl.h"
#include "ports/user_directory.h"
#include "services/relay/relay_proxy.h"
#include "services/relay/relay_trust.h"

#define PEM_MAX (256u * 1024)

struct pin {
    uint8_t spki_sha256[32];
    char name[GH_IDENTITY_NAME_MAX + 1];
};

/* Never changes; a worker holds the one that it judges by. */
struct relay_trust {
    struct gh_crl_set *crl; /* NULL: no list */
    bool fresh;             /* a list that is out of date is no list to let anybody in by */
    bool pin_required;
    struct pin *pins; /* in order */
    size_t pin_count;
    enum gh_identity_source sources[GH_IDENTITY_SOURCE_COUNT];
    size_t source_count;
    char trust_domain[GH_IDENTITY_DOMAIN_MAX + 1];
};

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

/* ---- reading ---- */

static int complain(struct relay *r, const char *path, const char *why, int rc)
{
    char line[GH_PRIV_PATH + GH_IDENTITY_WHY];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(r->run, line);
    gh_log_event(r->log, GH_LOG_ERROR, "relay", "file cannot be used", gh_log_str("file", path), gh_log_str("reason", why));
    return rc;
}

static int read_file(struct relay *r, const char *path, size_t limit, struct gh_text *ret)
{
    int rc = gh_privileged_read_file(r->run->privileged, path, limit, ret);

    return rc < 0 ? complain(r, path, gh_privileged_why(r->run->privileged), rc) : 0;
}

static int read_crl(struct relay *r, const struct gh_relay_conf *conf, struct relay_trust *t)
{
    struct gh_text crl = { 0 }, ca = { 0 };
    char why[GH_CRL_WHY];
    int rc = read_file(r, conf->crl, GH_CRL_FILE_MAX + 1, &crl);

    if (rc == 0)
        rc = read_file(r, conf->client_ca, PEM_MAX, &ca);
    if (rc == 0) {
        rc = gh_crl_set_load(gh_span_of(crl.data, crl.len), gh_span_of(ca.data, ca.len), &t->crl, why);
        if (rc < 0)
            complain(r, conf->crl, why, rc);
    }
    gh_text_fini(&crl);
    gh_text_fini(&ca);
    return rc;
}

static int compare_pins(const void *a, const void *b)
{
    const struct pin *x = a, *y = b;
    int order = memcmp(x->spki_sha256, y->spki_sha256, sizeof x->spki_sha256);

    return order ? order : strcmp(x->name, y->name);
}

static int read_index(struct relay *r, const char *path, struct gh_ca_index *ret)
{
    struct gh_text text = { 0 };
    char why[80];
    int rc = read_file(r, path, GH_CA_INDEX_MAX, &text);

    if (rc < 0)
        return rc;
    rc = gh_ca_index_parse(gh_span_of(text.data, text.len), ret);
    gh_text_fini(&text);
    if (rc < 0)
        return complain(r, path, gh_error_text(rc), rc);
    if (ret->bad == 0)
        return 0;
    snprintf(why, sizeof why, "line %u is no record of a CA's index", ret->bad_line); /* it may be a revocation */
    gh_ca_index_fini(ret);
    return complain(r, path, why, GH_ERR_MALFORMED);
}

static int read_pins(struct relay *r, const struct gh_relay_conf *conf, struct relay_trust *t)
{
    struct gh_ca_index index = { 0 };
    int rc = conf->pins_file && *conf->pins_file ? read_index(r, conf->pins_file, &index) : 0;

    if (rc < 0)
        return rc;
    t->pins = calloc(conf->pin_count + index.count + 1, sizeof *t->pins);
    if (!t->pins) {
        gh_ca_index_fini(&index);
        return GH_ERR_MEMORY;
    }
    for (size_t i = 0; i < conf->pin_count; i++) {
        struct pin *p = &t->pins[t->pin_count];

        if (gh_relay_conf_pin(conf->pins[i], p->name, p->spki_sha256) == 0)
            t->pin_count++;
    }
    for (size_t i = 0; i < index.count; i++) {
        const struct gh_ca_index_entry *e = &index.entries[i];

        if (e->revoked)
            continue;
        memcpy(t->pins[t->pin_count].spki_sha256, e->spki_sha256, 32);
        memcpy(t->pins[t->pin_count++].name, e->name, sizeof e->name);
    }
    gh_ca_index_fini(&index);
    qsort(t->pins, t->pin_count, sizeof *t->pins, compare_pins);
    return 0;
}

int relay_trust_load(struct relay *r, const struct gh_relay_conf *conf, struct relay_trust **ret)
{
    struct relay_trust *t = calloc(1, sizeof *t);
    int rc = 0;

    if (!t)
        return GH_ERR_MEMORY;
    snprintf(t->trust_domain, sizeof t->trust_domain, "%s", conf->trust_domain);
    t->source_count = sources_of(conf->identity, t->sources);
    t->pin_required = conf->pin_required;
    t->fresh = conf->crl_expired_refuse;
    if (conf->crl && *conf->crl)
        rc = read_crl(r, conf, t);
    if (rc == 0 && t->pin_required)
        rc = read_pins(r, conf, t);
    if (rc < 0) {
        relay_trust_destroy(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void relay_trust_destroy(void *trust)
{
    struct relay_trust *t = trust;

    if (!t)
        return;
    gh_crl_set_destroy(t->crl);
    free(t->pins);
    free(t);
}

/* ---- judging ---- */

static const struct relay_trust *trust_of(struct relay_worker *rw)
{
    return gh_snapshot_refresh(&rw->r->trust, &rw->trust);
}

struct gh_identity_rules relay_trust_rules(struct relay_worker *rw)
{
    const struct relay_trust *t = trust_of(rw);
    struct gh_identity_rules rules = { .trust_domain = t->trust_domain, .source_count = t->source_count, .roles = GH_ROLE_BIT(GH_ROLE_AGENT) };

    memcpy(rules.sources, t->sources, sizeof rules.sources);
    return rules;
}

static bool stale(const struct relay_trust *t, int64_t wall)
{
    return t->crl && gh_crl_set_next_update(t->crl) <= wall;
}

static int check_pin(const struct relay_trust *t, const struct gh_http_peer *peer, char why[GH_IDENTITY_WHY])
{
    struct pin key = { .name = "" };
    char hex[65];

    memcpy(key.spki_sha256, peer->certificate->spki_sha256, sizeof key.spki_sha256);
    snprintf(key.name, sizeof key.name, "%s", peer->identity);
    if (bsearch(&key, t->pins, t->pin_count, sizeof *t->pins, compare_pins))
        return 0;
    gh_hex_encode(key.spki_sha256, sizeof key.spki_sha256, hex);
    snprintf(why, GH_IDENTITY_WHY, "neither relay.pins nor relay.pins_file has \"%s=sha256:%s\"", key.name, hex);
    return GH_ERR_DENIED;
}

/* Who has a token is good as long as the file of users has it. */
static int judge_user(struct relay_worker *rw, const struct gh_http_peer *peer, char ret_why[GH_IDENTITY_WHY])
{
    const struct gh_port_users *users = rw->r->run->users;

    if (users && users->holds(users->self, rw->w, peer->identity, peer->credential))
        return 0;
    snprintf(ret_why, GH_IDENTITY_WHY, "the user's token is no longer in the file of users");
    return GH_ERR_DENIED;
}

int relay_trust_judge(struct relay_worker *rw, const struct gh_http_peer *peer, bool is_new, char ret_why[GH_IDENTITY_WHY])
{
    const struct relay_trust *t = trust_of(rw);
    int64_t wall = gh_worker_wall(rw->w);
    struct gh_crl_entry e;

    if (!peer->certificate && peer->credential)
        return judge_user(rw, peer, ret_why);
    if (!peer->certificate || peer->not_after <= wall) {
        snprintf(ret_why, GH_IDENTITY_WHY, "certificate has expired");
        return GH_ERR_TIMEOUT;
    }
    if (t->crl && gh_crl_set_find(t->crl, peer->certificate, &e)) {
        snprintf(ret_why, GH_IDENTITY_WHY, "certificate %s is revoked (%s)", peer->certificate->serial, gh_crl_reason_name(e.reason));
        return GH_ERR_DENIED;
    }
    if (is_new && t->fresh && stale(t, wall)) {
        snprintf(ret_why, GH_IDENTITY_WHY, "relay.crl is out of date, and relay.crl_expired is refuse");
        return GH_ERR_DENIED;
    }
    return t->pin_required ? check_pin(t, peer, ret_why) : 0;
}

/* ---- what lives ---- */

/* Must this tunnel go? Then audit and log know why. */
static bool is_refused(struct tunnel *t, enum session_end *ret_why)
{
    const struct gh_http_peer *peer = gh_http_peer(t->stream);
    const struct gh_endpoint remote = { .ip = peer->addr, .port = peer->port };
    struct relay *r = t->rw->r;
    char why[GH_IDENTITY_WHY];
    int rc = relay_trust_judge(t->rw, peer, false, why);

    if (rc == 0)
        return false;
    *ret_why = rc == GH_ERR_TIMEOUT ? SESSION_EXPIRED : SESSION_REVOKED;
    relay_audit_auth(r, false, peer->identity, &remote, why);
    gh_log_event(r->log, GH_LOG_WARN, "relay", "certificate or token is no longer accepted", gh_log_str("client_id", peer->identity),
                 gh_log_ip("peer", &peer->addr), gh_log_str("reason", why));
    return true;
}

/* The newest tunnel speaks for the session; another one goes alone. */
static void recheck(struct session *s)
{
    enum session_end why;

    if (s->why == SESSION_CLOSED && s->carrier && is_refused(s->carrier, &why)) {
        relay_session_end(s, why);
        return;
    }
    gh_list_each(it, &s->tunnels)
    {
        struct tunnel *t = gh_container_of(it, struct tunnel, link);

        if (t != s->carrier && is_refused(t, &why))
            relay_tunnel_leave(t, why);
    }
    if (s->why == SESSION_MOVED && gh_list_empty(&s->tunnels))
        relay_session_left(s, 0);
}

void relay_trust_apply(struct relay_worker *rw)
{
    enum session_end why;

    gh_list_each(it, &rw->sessions)
        recheck(gh_container_of(it, struct session, link));
    gh_list_each(it, &rw->waiting)
    {
        struct tunnel *t = gh_container_of(it, struct tunnel, link);

        if (is_refused(t, &why))
            relay_tunnel_refuse(t, 403, NULL);
    }
    relay_proxy_retrust(rw);
}

void relay_trust_watch(struct relay_worker *rw)
{
    struct relay *r = rw->r;
    const struct relay_trust *t = trust_of(rw);
    int64_t next = t->crl ? gh_crl_set_next_update(t->crl) : INT64_MAX;
    bool is_stale = stale(t, gh_worker_wall(rw->w)), bad = is_stale && t->fresh;

    gh_metric_set_value(r->metrics, rw->index, RELAY_METRIC_REVOKED, 0, t->crl ? (int64_t)gh_crl_set_count(t->crl) : 0);
    gh_metric_set_value(r->metrics, rw->index, RELAY_METRIC_CRL_NEXT_UPDATE, 0, next == INT64_MAX ? 0 : next);
    if (r->ready)
        gh_ready_set(r->ready, r->checks[RELAY_CHECK_CRL], !bad, bad ? "relay.crl is out of date" : NULL);
    if (is_stale && !rw->crl_was_stale)
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "relay.crl is out of date: gatehouse ca crl makes a new one", gh_log_bool("new_sessions_refused", bad));
    rw->crl_was_stale = is_stale;
}
