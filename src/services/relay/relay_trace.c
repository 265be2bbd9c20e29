/* Packets that an operator watches: each one that matches is told with everything that was decided about it.
 *
 * Without a watcher this costs one load a packet. What a rule did is asked of gh_policy_explain, which is the matcher itself. */
#include <stdlib.h>

#include "base/error.h"
#include "core/text.h"
#include "core/trace_text.h"
#include "os/clock.h"
#include "services/relay/relay_internal.h"

#define LINE 4096u
#define STEPS 1024u /* bytes of the rules that did not decide; further ones are left out */
#define FORGET (10 * GH_NANOSECONDS)

void relay_note(struct relay_worker *rw, enum gh_trace_event event, uint64_t session, unsigned detail, uint64_t a, uint32_t b)
{
    gh_trace_note(gh_worker_trace(rw->w), &(struct gh_trace_record){ gh_worker_now(rw->w), session, a, b, (uint16_t)event, (uint16_t)detail });
}

/* ---- who watches ---- */

static void forget(struct relay_watch *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->lines[i]);
    *w = (struct relay_watch){ .id = 0 };
}

static void count_watches(struct relay_trace *t)
{
    unsigned n = 0;

    for (size_t i = 0; i < RELAY_WATCHES; i++)
        n += t->watches[i].id != 0;
    atomic_store(&t->watching, n);
}

static void forget_silent(struct relay_trace *t, int64_t now)
{
    for (size_t i = 0; i < RELAY_WATCHES; i++)
        if (t->watches[i].id && now - t->watches[i].read_at > FORGET)
            forget(&t->watches[i]);
    count_watches(t);
}

static struct relay_watch *find_watch(struct relay_trace *t, uint64_t id)
{
    for (size_t i = 0; i < RELAY_WATCHES; i++)
        if (id && t->watches[i].id == id)
            return &t->watches[i];
    return NULL;
}

static int watch(void *self, const struct gh_watch_filter *f, uint64_t *ret_id)
{
    struct relay_trace *t = self;
    int64_t now = gh_clock_now();
    int rc = GH_ERR_FULL;

    pthread_mutex_lock(&t->lock);
    forget_silent(t, now);
    for (size_t i = 0; i < RELAY_WATCHES && rc < 0; i++) {
        if (t->watches[i].id)
            continue;
        t->watches[i] = (struct relay_watch){ .id = ++t->last_id, .filter = *f, .read_at = now };
        *ret_id = t->watches[i].id;
        rc = 0;
    }
    count_watches(t);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static int read_watch(void *self, uint64_t id, gh_watched_fn fn, void *arg, uint64_t *ret_lost)
{
    struct relay_trace *t = self;
    struct relay_watch *w;

    pthread_mutex_lock(&t->lock);
    w = find_watch(t, id);
    if (w) {
        for (size_t i = 0; i < w->count; i++) {
            fn(arg, w->lines[i], strlen(w->lines[i]));
            free(w->lines[i]);
        }
        *ret_lost = w->lost;
        w->count = 0;
        w->lost = 0;
        w->read_at = gh_clock_now();
    }
    pthread_mutex_unlock(&t->lock);
    return w ? 0 : GH_ERR_NOT_FOUND;
}

static int unwatch(void *self, uint64_t id)
{
    struct relay_trace *t = self;
    struct relay_watch *w;

    pthread_mutex_lock(&t->lock);
    w = find_watch(t, id);
    if (w)
        forget(w);
    count_watches(t);
    pthread_mutex_unlock(&t->lock);
    return w ? 0 : GH_ERR_NOT_FOUND;
}

void relay_trace_init(struct relay_trace *t)
{
    pthread_mutex_init(&t->lock, NULL);
    t->port = (struct gh_port_trace){ .watch = watch, .read = read_watch, .unwatch = unwatch, .self = t };
}

void relay_trace_fini(struct relay_trace *t)
{
    for (size_t i = 0; i < RELAY_WATCHES; i++)
        forget(&t->watches[i]);
    pthread_mutex_destroy(&t->lock);
}

/* ---- what is told ---- */

static bool matches(const struct gh_watch_filter *f, const struct session *s, enum gh_direction d, const struct gh_ip_packet *p)
{
    const struct gh_ip *other = d == GH_DIRECTION_OUT ? &p->dst : &p->src;
    uint16_t port = d == GH_DIRECTION_OUT ? p->dst_port : p->src_port;

    if (*f->client && strcmp(f->client, s->name) != 0)
        return false;
    if (f->to.addr.family && !gh_prefix_contains(&f->to, other))
        return false;
    return (!f->port || f->port == port) && (!f->protocol || f->protocol == p->protocol);
}

static void emit_end(struct gh_text *t, const char *name, const struct gh_ip *addr, uint16_t port)
{
    char text[GH_IP_TEXT];

    gh_text_printf(t, ",\"%s\":\"%s\"", name, gh_ip_emit(addr, text));
    if (port)
        gh_text_printf(t, ",\"%s_port\":%u", name, port);
}

static void emit_string(struct gh_text *t, const char *name, const char *value)
{
    gh_text_printf(t, ",\"%s\":", name);
    gh_text_append_json(t, gh_span_str(value));
}

static void add_step(void *arg, const struct gh_policy_rule *rule, enum gh_policy_step step)
{
    struct gh_text *t = arg;
    size_t before = t->len;

    if (step == GH_POLICY_MATCHED || t->len + 200 > STEPS || strlen(rule->id) > 128)
        return;
    gh_text_append(t, before ? ",{\"id\":" : "{\"id\":");
    gh_text_append_json(t, gh_span_str(rule->id));
    gh_text_printf(t, ",\"why_not\":\"%s\"}", gh_policy_step_name(step));
}

/* The rules, asked about the packet that began the flow, or about this one. */
static void emit_policy(struct gh_text *t, struct session *s, enum gh_direction d, const struct gh_ip_packet *p)
{
    const struct relay_policy *policy = gh_snapshot_held(&s->rw->policy); /* that of the verdict */
    struct gh_policy_query q = relay_policy_query(&s->forward, d, p, gh_worker_wall(s->rw->w));
    char buf[STEPS + 256];
    struct gh_policy_verdict v;
    struct gh_text steps;

    gh_text_init_fixed(&steps, buf, sizeof buf);
    (void)gh_policy_explain(policy->policy, &q, add_step, &steps, &v);
    emit_string(t, "policy_version", gh_policy_version(policy->policy));
    gh_text_printf(t, ",\"policy\":{\"action\":\"%s\",\"reason\":\"%s\"", v.action == GH_POLICY_ALLOW ? "allow" : "deny",
                   gh_policy_reason_name(v.reason));
    if (v.rule) {
        emit_string(t, "rule", v.rule->id);
        emit_string(t, "list", v.rule->list);
        gh_text_printf(t, ",\"line\":%u", v.rule->pos.line);
    }
    gh_text_printf(t, ",\"before\":[%s]}", steps.failed ? "" : gh_text_string(&steps));
}

static const struct gh_flow *emit_flow(struct gh_text *t, const struct session *s, enum gh_direction d, const struct gh_ip_packet *p)
{
    const struct gh_flow_table *flows = &s->rw->forward.flows;
    const struct gh_flow *f = NULL;
    struct gh_flow_key key;

    if (!(p->fragment && p->frag_off > 0)) {
        (void)gh_flow_key_of(&s->forward.flows, d, p, &key);
        f = gh_flow_find(flows, &key, gh_flow_hash(flows, &key));
    }
    if (!f) {
        gh_text_append(t, ",\"flow\":null");
        return NULL;
    }
    gh_text_printf(t, ",\"flow\":{\"number\":%llu,\"opened_by\":\"%s\",\"replied\":%s,\"packets_out\":%llu,\"packets_in\":%llu}",
                   (unsigned long long)f->serial, f->opened_by == GH_DIRECTION_OUT ? "client" : "other", f->replied ? "true" : "false",
                   (unsigned long long)f->packets[GH_DIRECTION_OUT], (unsigned long long)f->packets[GH_DIRECTION_IN]);
    return f;
}

static void emit_walk(struct gh_text *t, struct session *s, const struct relay_step *step, const struct gh_ip_packet *p)
{
    const struct gh_flow *f;
    struct gh_ip_packet first = *p;
    enum gh_direction opened = step->direction;
    char text[GH_IP_TEXT];

    gh_text_append(t, "{\"at\":\"");
    gh_text_append_time(t, gh_clock_wall_nanoseconds() / 1000000);
    gh_text_printf(t, "\",\"direction\":\"%s\"", step->direction == GH_DIRECTION_OUT ? "out" : "in");
    emit_string(t, "client_id", s->name);
    emit_string(t, "session_id", s->id);
    gh_text_printf(t, ",\"protocol\":%u,\"length\":%zu", p->protocol, step->len);
    emit_end(t, "src", &p->src, p->src_port);
    emit_end(t, "dst", &p->dst, p->dst_port);
    gh_text_printf(t, ",\"verdict\":\"%s\"", step->why != GH_DROP_NONE ? "drop" : step->answered ? "answered" : "pass");
    if (step->why != GH_DROP_NONE)
        gh_text_printf(t, ",\"drop\":\"%s\"", gh_drop_name(step->why));
    if (step->next)
        emit_string(t, "next", step->next);
    gh_text_printf(t, ",\"worker\":%u,\"mtu\":%zu", s->rw->index, s->forward.mtu);
    if (step->queue)
        emit_string(t, "queue", step->queue);
    if (s->peer.family)
        gh_text_printf(t, ",\"path\":\"%s\",\"path_port\":%u", gh_ip_emit(&s->peer, text), s->peer_port);
    f = emit_flow(t, s, step->direction, p);
    if (f) {
        gh_flow_first_packet(f, &first);
        opened = f->opened_by;
    }
    emit_policy(t, s, opened, &first);
    gh_text_append(t, "}");
}

static void keep(struct relay_watch *w, const char *line)
{
    char *copy = w->count < RELAY_WATCHED ? strdup(line) : NULL;

    if (copy)
        w->lines[w->count++] = copy;
    else
        w->lost++;
}

void relay_trace_packet(struct session *s, const struct relay_step *step, const struct gh_ip_packet *p)
{
    struct relay_trace *all = &s->rw->r->trace;
    char buf[LINE];
    struct gh_text t = { .len = 0 };

    if (p->version == 0)
        return;
    pthread_mutex_lock(&all->lock);
    forget_silent(all, gh_worker_now(s->rw->w));
    for (size_t i = 0; i < RELAY_WATCHES; i++) {
        struct relay_watch *w = &all->watches[i];

        if (!w->id || !matches(&w->filter, s, step->direction, p))
            continue;
        if (t.len == 0) {
            gh_text_init_fixed(&t, buf, sizeof buf);
            emit_walk(&t, s, step, p);
        }
        if (t.failed)
            w->lost++;
        else
            keep(w, gh_text_string(&t));
    }
    pthread_mutex_unlock(&all->lock);
}
