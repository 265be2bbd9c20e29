/* Policy as the data path sees it: decisions, versions, and what a change does to live flows. */
#include <stdlib.h>

#include "base/error.h"
#include "core/policy_load.h"
#include "crypto/hash.h"
#include "core/trace_text.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_proxy.h"

#define ERRORS_LOGGED 20u

void relay_policy_destroy(void *policy)
{
    struct relay_policy *p = policy;

    if (!p)
        return;
    gh_policy_destroy(p->policy);
    free(p);
}

static void log_findings(struct relay *r, const char *path, const struct gh_policy_findings *f)
{
    char line[512];

    for (size_t i = 0; i < f->count && i < ERRORS_LOGGED; i++) {
        gh_policy_finding_emit(&f->items[i], path, line, sizeof line);
        if (!f->items[i].warning)
            gh_run_reload_note(r->run, line);
        gh_log_event(r->log, f->items[i].warning ? GH_LOG_WARN : GH_LOG_ERROR, "relay", "policy",
                     gh_log_str("finding", line));
    }
}

int relay_policy_load(struct relay *r, const char *path, struct relay_policy **ret)
{
    struct gh_policy_findings findings = { 0 };
    struct relay_policy *p = calloc(1, sizeof *p);
    struct gh_text text = { 0 };
    uint8_t hash[32];
    struct gh_policy_stamp stamp = { .hash = { hash, sizeof hash }, .generation = r->policy_generation + 1 };
    char first[512] = "";
    int rc;

    if (!p)
        return GH_ERR_MEMORY;
    rc = gh_privileged_read_file(r->run->privileged, path, GH_POLICY_FILE_MAX, &text);
    if (rc < 0) {
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "policy file cannot be read", gh_log_str("file", path),
                     gh_log_str("reason", gh_privileged_why(r->run->privileged)));
        snprintf(first, sizeof first, "%s: %s", path, gh_privileged_why(r->run->privileged));
        gh_run_reload_note(r->run, first);
        free(p);
        return rc;
    }
    rc = gh_sha256(gh_span_of(text.data, text.len), hash);
    if (rc == 0)
        rc = gh_policy_load(gh_span_of(text.data, text.len), &stamp, &findings, &p->policy);
    gh_text_fini(&text);
    log_findings(r, path, &findings);
    if (rc < 0) {
        if (findings.count)
            gh_policy_finding_emit(&findings.items[0], path, first, sizeof first);
        relay_audit_policy(r, "", *first ? first : gh_error_text(rc));
        free(p);
    } else {
        p->generation = ++r->policy_generation;
        *ret = p;
    }
    gh_policy_findings_fini(&findings);
    return rc;
}

/* The version that the worker's sessions are bound to. Only relay_policy_refresh takes a newer one, for all of them at once: a client of one
 * version means nothing in another. */
static struct relay_policy *current(struct relay_worker *rw)
{
    struct relay_policy *held = gh_snapshot_held(&rw->policy);

    return held ? held : gh_snapshot_refresh(&rw->r->policy, &rw->policy);
}

void relay_session_bind_policy(struct session *s)
{
    struct relay_policy *p = current(s->rw);

    s->forward.policy_client = gh_policy_client_find(p->policy, s->name);
    s->forward.policy_generation = p->generation;
}

void relay_policy_refresh(struct relay_worker *rw)
{
    struct gh_snapshot_reader before = rw->policy;
    struct gh_forward_clock clock = { gh_worker_now(rw->w), gh_worker_wall(rw->w) };

    if (!gh_snapshot_changed(&rw->r->policy, &rw->policy))
        return;
    rw->policy = (struct gh_snapshot_reader){ 0 };
    current(rw);
    gh_list_each(it, &rw->sessions)
    {
        struct session *s = gh_container_of(it, struct session, link);

        relay_session_bind_policy(s);
        gh_forward_recheck(&rw->forward, &s->forward, &clock);
    }
    relay_proxy_recheck(rw);
    relay_note(rw, GH_TRACE_POLICY, 0, 0, current(rw)->generation, 0);
    gh_snapshot_release(&before); /* no flow points at its rules any more */
}

void relay_policy_expire(struct relay_worker *rw)
{
    struct gh_forward_clock clock = { gh_worker_now(rw->w), gh_worker_wall(rw->w) };
    int64_t before = rw->policy_looked;
    bool expired = before && gh_policy_next_expiry(current(rw)->policy, before) <= clock.wall;

    rw->policy_looked = clock.wall;
    if (!expired)
        return;
    gh_list_each(it, &rw->sessions)
        gh_forward_recheck(&rw->forward, &gh_container_of(it, struct session, link)->forward, &clock);
    relay_proxy_recheck(rw);
}

struct gh_policy_verdict relay_policy_judge(struct relay_worker *rw, const char *client, const struct gh_endpoint *to, uint8_t protocol)
{
    const struct gh_policy *policy = current(rw)->policy;
    struct gh_policy_query q = { .client = gh_policy_client_find(policy, client), .direction = GH_POLICY_OUT, .dst = to->ip, .protocol = protocol,
                                 .dst_port = to->port, .wall_seconds = gh_worker_wall(rw->w) };

    return gh_policy_evaluate(policy, &q);
}

struct gh_policy_query relay_policy_query(const struct gh_forward_session *fs, enum gh_direction d, const struct gh_ip_packet *p, int64_t wall)
{
    return (struct gh_policy_query){
        .client = fs->policy_client,
        .direction = d == GH_DIRECTION_OUT ? GH_POLICY_OUT : GH_POLICY_IN,
        .src = p->src,
        .dst = p->dst,
        .protocol = p->protocol,
        .src_port = p->src_port,
        .dst_port = p->dst_port,
        .icmp_type = p->icmp_type,
        .icmp_code = p->icmp_code,
        .wall_seconds = wall,
    };
}

static void decide(void *arg, struct gh_forward_session *fs, enum gh_direction d, const struct gh_ip_packet *p, struct gh_forward_decision *ret)
{
    struct relay_worker *rw = arg;
    const struct relay_policy *policy = current(rw);
    struct gh_policy_query q = relay_policy_query(fs, d, p, gh_worker_wall(rw->w));
    struct gh_policy_verdict v = gh_policy_evaluate(policy->policy, &q);
    const struct gh_ip *remote = d == GH_DIRECTION_OUT ? &p->dst : &p->src;

    relay_note(rw, GH_TRACE_DECISION, fs->id, gh_policy_verdict_drop(&v), gh_trace_addr(remote), gh_trace_port(remote, p->protocol, p->dst_port));

    *ret = (struct gh_forward_decision){
        .allow = v.action == GH_POLICY_ALLOW,
        .deny_icmp = v.on_deny == GH_POLICY_ICMP,
        .reason = gh_policy_verdict_drop(&v),
        .log = v.log == GH_POLICY_LOG_ALL ? GH_FORWARD_LOG_ALL : v.log == GH_POLICY_LOG_FIRST ? GH_FORWARD_LOG_FIRST : GH_FORWARD_LOG_NONE,
        .rule = v.rule,
        .generation = policy->generation,
        .valid_until = v.rule && v.rule->expires_at != GH_POLICY_NEVER ? v.rule->expires_at : 0,
    };
}

static struct session *session_of(struct gh_forward_session *fs)
{
    return gh_container_of(fs, struct session, forward);
}

static void note_flow(struct relay_worker *rw, enum gh_trace_event event, const struct gh_forward_session *fs, const struct gh_flow *f, const char *end)
{
    struct gh_ip_packet first;
    const struct gh_ip *remote;

    gh_flow_first_packet(f, &first);
    remote = f->opened_by == GH_DIRECTION_OUT ? &first.dst : &first.src;
    relay_note(rw, event, fs->id, f->opened_by, end ? gh_trace_word(end) : gh_trace_addr(remote), gh_trace_port(remote, first.protocol, first.dst_port));
}

static void on_flow_open(void *arg, struct gh_forward_session *fs, const struct gh_flow *f)
{
    struct relay_worker *rw = arg;

    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_FLOWS, 0, 1);
    note_flow(rw, GH_TRACE_FLOW_OPEN, fs, f, NULL);
    if (f->log != GH_FORWARD_LOG_NONE)
        relay_audit_flow(session_of(fs), f, false, "first packet");
}

static void on_flow_close(void *arg, struct gh_forward_session *fs, const struct gh_flow *f, enum gh_flow_end why)
{
    struct relay_worker *rw = arg;

    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_FLOWS, 1, 1);
    note_flow(rw, GH_TRACE_FLOW_CLOSE, fs, f, gh_flow_end_name(why));
    if (why == GH_FLOW_END_POLICY_CHANGED)
        relay_drop(rw, GH_DROP_POLICY_CHANGED, 1);
    if (f->log != GH_FORWARD_LOG_NONE || why == GH_FLOW_END_POLICY_CHANGED)
        relay_audit_flow(session_of(fs), f, true, gh_flow_end_name(why));
}

static void on_flow_packet(void *arg, struct gh_forward_session *fs, const struct gh_flow *f, enum gh_direction d, size_t len)
{
    (void)arg;
    (void)d;
    relay_audit_flow_packet(session_of(fs), f, len);
}

static void on_deny(void *arg, struct gh_forward_session *fs, enum gh_direction d, const struct gh_ip_packet *p,
                    const struct gh_forward_decision *decision, bool first)
{
    (void)arg;
    if (decision->log == GH_FORWARD_LOG_ALL || (first && decision->log == GH_FORWARD_LOG_FIRST))
        relay_audit_deny(session_of(fs), d, p, decision);
}

static void on_cut(void *arg, struct gh_forward_session *fs, enum gh_direction to, struct gh_span packet)
{
    struct relay_worker *rw = arg;

    if (to == GH_DIRECTION_IN)
        relay_packet_send(session_of(fs), packet);
    else
        gh_tun_port_send(rw->tun, packet);
}

static void on_fragment(void *arg, struct gh_forward_session *fs, struct gh_span header, struct gh_span body)
{
    struct relay_worker *rw = arg;
    uint8_t *at = rw->out + 16;

    if (header.len + body.len > 65535)
        return;
    memcpy(at, header.data, header.len);
    memcpy(at + header.len, body.data, body.len);
    relay_packet_send(session_of(fs), gh_span_of(at, header.len + body.len));
}

const struct gh_forward_events relay_forward_events = { decide, on_flow_open, on_flow_close, on_flow_packet, on_deny, on_cut, on_fragment };
