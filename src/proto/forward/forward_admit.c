#include "proto/forward/forward_admit.h"

static struct gh_forward_session *session_of(const struct gh_flow *f)
{
    return gh_container_of(f->owner, struct gh_forward_session, flows);
}

void gh_forward_close_flow(struct gh_forward *fw, struct gh_flow *f, enum gh_flow_end why)
{
    if (why == GH_FLOW_END_IDLE && gh_flow_group_of(f->state) == GH_FLOW_FINISHED)
        why = GH_FLOW_END_FINISHED;
    fw->closed++;
    if (fw->events->on_flow_close)
        fw->events->on_flow_close(fw->arg, session_of(f), f, why);
    gh_flow_release(&fw->flows, f);
}

static void tell(struct gh_forward *fw, struct gh_forward_session *s, enum gh_direction to, const uint8_t *packet, size_t len)
{
    if (len > 0)
        fw->events->on_cut(fw->arg, s, to, gh_span_of(packet, len));
}

/* Tells the end that sent the packets of <tuple>, which are those of direction <d>: they are forbidden now. */
static void tell_end(struct gh_forward *fw, const struct gh_flow *f, enum gh_direction d, const struct gh_ip_packet *tuple)
{
    struct gh_forward_session *s = session_of(f);
    const struct gh_ip *node = d == GH_DIRECTION_IN ? &tuple->dst : tuple->version == 4 ? &fw->config.node4 : &fw->config.node6;
    enum gh_direction to = !d;
    struct gh_ip_packet quoted = *tuple, back = *tuple;
    uint8_t quote[80], buf[160];

    /* Quoted numbers must lie in what the sender has outstanding, or its stack ignores the message. */
    quoted.tcp_seq = f->has_ack[!d] ? f->ack[!d] : f->next[d];
    quoted.tcp_ack = f->ack[d];
    quoted.tcp_flags = GH_TCP_ACK;
    quoted.total_len = (uint32_t)gh_icmp_emit_quoted(&quoted, quote, sizeof quote);
    if (quoted.total_len > 0)
        tell(fw, s, to, buf, gh_icmp_emit_error(quote, &quoted, GH_ICMP_ADMIN, 0, node, buf, sizeof buf));
    if (tuple->protocol != GH_IP_TCP)
        return;
    back.src = tuple->dst;
    back.dst = tuple->src;
    back.src_port = tuple->dst_port;
    back.dst_port = tuple->src_port;
    /* A receiver obeys a reset whose number is exactly where it stands: behind all that was sent to it, or behind what it
     * has acknowledged when some of that is still under way. */
    tell(fw, s, to, buf, gh_tcp_emit_reset(&back, f->has_next[!d] ? f->next[!d] : 0, f->has_next[d], f->next[d], buf, sizeof buf));
    if (f->has_ack[d] && f->has_next[!d] && f->ack[d] != f->next[!d])
        tell(fw, s, to, buf, gh_tcp_emit_reset(&back, f->ack[d], f->has_next[d], f->next[d], buf, sizeof buf));
}

static void cut(struct gh_forward *fw, struct gh_flow *f)
{
    struct gh_ip_packet first, reply;

    if (fw->events->on_cut) {
        gh_flow_first_packet(f, &first);
        reply = first;
        reply.src = first.dst;
        reply.dst = first.src;
        reply.src_port = first.dst_port;
        reply.dst_port = first.src_port;
        tell_end(fw, f, f->opened_by, &first);
        if (!gh_ip_is_icmp(&first))
            tell_end(fw, f, !f->opened_by, &reply); /* who only answers an echo has nothing to stop */
    }
    gh_forward_close_flow(fw, f, GH_FLOW_END_POLICY_CHANGED);
}

static void decide(struct gh_forward *fw, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *p,
                   struct gh_forward_decision *ret)
{
    *ret = (struct gh_forward_decision){ .generation = s->policy_generation };
    fw->events->decide(fw->arg, s, d, p, ret);
    if (!ret->allow && ret->reason == GH_DROP_NONE)
        ret->reason = GH_DROP_POLICY;
}

static void note_decision(struct gh_flow *f, const struct gh_forward_decision *decision)
{
    f->rule = decision->rule;
    f->generation = decision->generation;
    f->valid_until = decision->valid_until;
    f->log = (uint8_t)decision->log;
}

bool gh_forward_confirm_flow(struct gh_forward *fw, struct gh_flow *f, const struct gh_forward_clock *clock, bool always)
{
    struct gh_forward_session *s = session_of(f);
    struct gh_forward_decision decision;
    struct gh_ip_packet first;

    if (!always && f->generation == s->policy_generation && (f->valid_until == 0 || clock->wall < f->valid_until))
        return true;
    gh_flow_first_packet(f, &first);
    decide(fw, s, f->opened_by, &first, &decision);
    if (!decision.allow) {
        cut(fw, f);
        return false;
    }
    note_decision(f, &decision);
    return true;
}

/* Denials of one tuple are reported as first once in a while: a scan must not make the audit its amplifier. */
static bool is_first_denial(struct gh_forward *fw, uint64_t hash, enum gh_direction d, uint64_t generation, int64_t now)
{
    uint64_t mark = (hash ^ generation * 0x9e3779b97f4a7c15u) * 2 + d;
    struct gh_forward_denied *slot = &fw->denied[hash % GH_FORWARD_DENIED];

    if (slot->hash == mark && now - slot->at < fw->config.timeouts.udp_new)
        return false;
    slot->hash = mark;
    slot->at = now;
    return true;
}

/* Makes room for one flow more of the session. */
static enum gh_drop make_room(struct gh_forward *fw, struct gh_forward_session *s)
{
    struct gh_flow *victim;

    if (s->flows.count >= fw->config.flows_per_session) {
        victim = gh_flow_owner_victim(&s->flows);
        if (!victim)
            return GH_DROP_FLOW_LIMIT_SESSION;
        gh_forward_close_flow(fw, victim, GH_FLOW_END_EVICTED);
    }
    if (fw->flows.count >= fw->flows.max) {
        victim = gh_flow_victim(&fw->flows);
        if (!victim)
            return GH_DROP_FLOW_LIMIT;
        gh_forward_close_flow(fw, victim, GH_FLOW_END_EVICTED);
    }
    return GH_DROP_NONE;
}

struct lookup {
    struct gh_flow_key key;
    uint64_t hash;
    struct gh_flow *flow; /* what was found */
    enum gh_direction d;
};

static enum gh_drop open_flow(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                              const struct lookup *l, const struct gh_ip_packet *p, struct gh_forward_admission *ret)
{
    struct gh_forward_decision decision;
    enum gh_drop why;

    decide(fw, s, l->d, p, &decision);
    if (!decision.allow) {
        bool first = is_first_denial(fw, l->hash, l->d, decision.generation, clock->now);

        if (fw->events->on_deny)
            fw->events->on_deny(fw->arg, s, l->d, p, &decision, first);
        ret->deny_icmp = decision.deny_icmp;
        return decision.reason;
    }
    why = make_room(fw, s);
    if (why != GH_DROP_NONE)
        return why;
    ret->flow = gh_flow_open(&fw->flows, &s->flows, &l->key, l->hash, l->d, p, clock->now);
    if (!ret->flow)
        return GH_DROP_FLOW_LIMIT;
    note_decision(ret->flow, &decision);
    fw->opened++;
    if (fw->events->on_flow_open)
        fw->events->on_flow_open(fw->arg, s, ret->flow);
    return GH_DROP_NONE;
}

/* Types that may pass because of what they quote; redirects and source quench are for neighbours alone (RFC 6633). */
static bool is_relayed_error(const struct gh_ip_packet *p)
{
    if (p->version == 4)
        return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;
    return p->icmp_type >= 1 && p->icmp_type <= 4;
}

/* An ICMP error passes when the packet that it quotes belongs to a flow of this session, and went the other way. */
static enum gh_drop admit_error(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                                enum gh_direction d, const uint8_t *data, const struct gh_ip_packet *p)
{
    struct gh_ip_packet quoted;
    struct gh_flow_key key;
    struct gh_flow *f;

    if (p->fragment || !is_relayed_error(p))
        return GH_DROP_NO_FLOW;
    if (gh_ip_quoted_parse(data + p->l4_off + 8, p->total_len - p->l4_off - 8, &quoted) < 0 || !gh_ip_equals(&quoted.src, &p->dst) ||
        (quoted.fragment && quoted.frag_off > 0))
        return GH_DROP_NO_FLOW;
    (void)gh_flow_key_of(&s->flows, !d, &quoted, &key);
    f = gh_flow_find(&fw->flows, &key, gh_flow_hash(&fw->flows, &key));
    if (!f)
        return GH_DROP_NO_FLOW;
    return gh_forward_confirm_flow(fw, f, clock, false) ? GH_DROP_NONE : GH_DROP_POLICY_CHANGED;
}

static enum gh_drop admit_fragment(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                                   enum gh_direction d, const struct gh_ip_packet *p, struct gh_forward_admission *ret)
{
    struct gh_fragment_key key;
    uint64_t serial = 0;
    void *flow = NULL;
    enum gh_drop why;

    gh_fragment_key_of(&s->fragments, d, p, &key);
    why = gh_fragment_next(&fw->fragments, &key, p, clock->now, &flow, &serial);
    if (why != GH_DROP_NONE)
        return why;
    ret->flow = flow;
    if (ret->flow->serial != serial) { /* its flow ended meanwhile; slots are never freed, so this may be read */
        ret->flow = NULL;
        return GH_DROP_FRAGMENT_ORPHAN;
    }
    if (gh_forward_confirm_flow(fw, ret->flow, clock, false))
        return GH_DROP_NONE;
    ret->flow = NULL;
    return GH_DROP_POLICY_CHANGED;
}

static bool begins_again(const struct gh_flow *f, const struct gh_ip_packet *p)
{
    return gh_flow_group_of(f->state) == GH_FLOW_FINISHED && (p->tcp_flags & (GH_TCP_SYN | GH_TCP_ACK | GH_TCP_RST)) == GH_TCP_SYN;
}

static enum gh_drop admit_first(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                                const struct lookup *l, const struct gh_ip_packet *p, struct gh_forward_admission *ret)
{
    struct gh_fragment_key key;
    enum gh_drop why;
    bool fresh = false;

    ret->flow = l->flow;
    if (ret->flow && begins_again(ret->flow, p)) {
        gh_forward_close_flow(fw, ret->flow, GH_FLOW_END_REPLACED);
        ret->flow = NULL;
    }
    if (ret->flow && !gh_forward_confirm_flow(fw, ret->flow, clock, false)) {
        ret->flow = NULL;
        return GH_DROP_POLICY_CHANGED;
    }
    if (!ret->flow) {
        why = open_flow(fw, s, clock, l, p, ret);
        if (why != GH_DROP_NONE)
            return why;
        fresh = true;
    }
    if (!p->fragment)
        return GH_DROP_NONE;
    gh_fragment_key_of(&s->fragments, l->d, p, &key);
    why = gh_fragment_first(&fw->fragments, &s->fragments, &key, p, ret->flow, ret->flow->serial, clock->now);
    if (why != GH_DROP_NONE && fresh) {
        gh_forward_close_flow(fw, ret->flow, GH_FLOW_END_EVICTED);
        ret->flow = NULL;
    }
    return why;
}

enum gh_drop gh_forward_admit(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                              enum gh_direction d, const uint8_t *data, const struct gh_ip_packet *p, struct gh_forward_admission *ret)
{
    struct lookup l = { .d = d };
    bool may_open;

    *ret = (struct gh_forward_admission){ 0 };
    if (p->fragment && p->frag_off > 0)
        return admit_fragment(fw, s, clock, d, p, ret);
    if (gh_ip_is_icmp_error(p))
        return admit_error(fw, s, clock, d, data, p);
    may_open = gh_flow_key_of(&s->flows, d, p, &l.key);
    l.flow = gh_flow_look(&fw->flows, d, &l.key, &l.hash);
    if (!may_open && !l.flow)
        return GH_DROP_NO_FLOW;
    return admit_first(fw, s, clock, &l, p, ret);
}
