/* The data path: TUN queues, hand-over between workers, and what each packet meets. */
#include <stdlib.h>

#include "base/error.h"
#include "services/agent/agent_internal.h"

#define BATCH_BYTES 65536u
#define BATCHES_OUT 64u /* of one queue, not yet taken by worker 0 */
#define OUT_ROOM (GH_TUN_PORT_HEADROOM + 65536u)

/* What the other workers and worker 0 share. Each queue holds a reference, each batch in a mailbox another, and so does the
 * agent: a batch that a mailbox delivers after everything has stopped still finds it, with <agent> NULL. */
struct agent_handover {
    _Atomic unsigned refs;
    _Atomic unsigned out; /* batches in the mailbox */
    struct agent *agent;  /* worker 0 alone reads and writes it */
};

/* Packets in the order in which they were read: this, headroom, bytes. */
struct batch_packet {
    uint32_t len;
    bool follows; /* the packet before it in the batch, see struct gh_tun_port_events */
};

struct agent_batch {
    struct gh_message message;
    struct agent_handover *handover;
    size_t used;
    unsigned count;
    uint8_t data[BATCH_BYTES];
};

static void put(struct agent_handover *h)
{
    if (h && atomic_fetch_sub(&h->refs, 1) == 1)
        free(h);
}

static void on_drop(void *arg, enum gh_drop why, uint64_t count)
{
    agent_note_drop(arg, why, count);
}

/* ---- worker 0 ---- */

static void count(struct agent *a, unsigned direction, size_t len)
{
    gh_metric_add(a->metrics, 0, AGENT_METRIC_PACKETS, direction, 1);
    gh_metric_add(a->metrics, 0, AGENT_METRIC_BYTES, direction, len);
}

static struct gh_forward_clock clock_of(struct agent *a)
{
    return (struct gh_forward_clock){ gh_worker_now(a->w), gh_worker_wall(a->w) };
}

static uint32_t flow_number(const struct agent *a, const uint8_t *packet, size_t len)
{
    return gh_ip_flow_number(packet, len, a->forward.flows.seed.k0);
}

/* <packet> has a writable byte before it. */
static void send_in_place(struct agent *a, uint8_t *packet, size_t len, uint32_t flow)
{
    enum gh_drop why = a->carrier ? gh_agent_tunnel_send(&a->carrier->tunnel, packet, len, flow) : GH_DROP_NO_DATAGRAM;

    agent_note_drop(&a->queues[0], why, 1);
    if (why == GH_DROP_NONE)
        count(a, AGENT_OUT, len);
}

static void send_copy(struct agent *a, struct gh_span head, struct gh_span body)
{
    uint8_t *at = a->out + GH_TUN_PORT_HEADROOM;

    if (head.len + body.len > 65535)
        return;
    memcpy(at, head.data, head.len);
    if (body.len)
        memcpy(at + head.len, body.data, body.len);
    send_in_place(a, at, head.len + body.len, flow_number(a, at, head.len + body.len));
}

static void on_fragment(void *arg, struct gh_forward_session *s, struct gh_span header, struct gh_span body)
{
    (void)s;
    send_copy(arg, header, body);
}

static const struct gh_forward_events forward_events = { .on_fragment = on_fragment };

static void answer_as_ourselves(struct agent *a)
{
    struct gh_ip *node;

    a->forward.config.node4 = a->forward.config.node6 = (struct gh_ip){ 0 };
    for (size_t i = 0; i < a->assigned_count; i++) {
        node = a->assigned[i].addr.family == 4 ? &a->forward.config.node4 : &a->forward.config.node6;
        if (node->family == 0)
            *node = gh_agent_device_address(&a->assigned[i]).addr;
    }
}

static void refresh_mtu(struct agent *a)
{
    struct gh_agent_tunnel *t = &a->carrier->tunnel;

    a->session.mtu = gh_agent_tunnel_mtu(t);
    a->session.told = gh_forward_told(a->session.mtu, a->session.mtu && a->session.mtu < 1280 && gh_http_plpmtu(t->stream) >= GH_QUIC_PLPMTU_IPV6);
}

/* From the kernel; <packet> has GH_TUN_PORT_HEADROOM bytes before it. */
static void packet_out(struct agent *a, uint8_t *packet, size_t len, bool follows)
{
    struct gh_forward_clock clock = clock_of(a);
    struct gh_forward_verdict *v = &a->outward;

    if (!follows)
        v->action = GH_FORWARD_DROP; /* nothing to follow yet */
    if (!a->carrier) {
        agent_note_drop(&a->queues[0], GH_DROP_NO_DATAGRAM, 1);
        return;
    }
    follows = follows && v->action == GH_FORWARD_PASS;
    if (!follows) {
        refresh_mtu(a);
        a->flow_number = flow_number(a, packet, len);
    }
    gh_forward_to_peer(&a->forward, &a->session, &clock, packet, len, follows ? GH_FORWARD_FOLLOWS : 0, v);
    if (v->action == GH_FORWARD_PASS)
        send_in_place(a, packet, len, a->flow_number);
    else if (v->action == GH_FORWARD_DROP)
        agent_note_drop(&a->queues[0], v->reason, 1);
    if (v->limited)
        agent_note_drop(&a->queues[0], GH_DROP_ICMP_LIMIT, 1);
    if (v->answer_len)
        gh_tun_port_send(a->queues[0].port, gh_span_of(v->answer, v->answer_len));
}

void agent_packet_in(struct agent *a, struct gh_span packet)
{
    struct gh_forward_clock clock = clock_of(a);
    struct gh_forward_verdict *v = &a->verdict;
    uint8_t *data = (uint8_t *)(uintptr_t)packet.data; /* decrypted in place: nobody else reads it */

    if (!a->carrier) { /* without an address nothing is for us */
        agent_note_drop(&a->queues[0], GH_DROP_NO_DATAGRAM, 1);
        return;
    }
    refresh_mtu(a);
    answer_as_ourselves(a);
    gh_forward_from_peer(&a->forward, &a->session, &clock, data, packet.len, 0, v);
    if (v->action == GH_FORWARD_PASS) {
        count(a, AGENT_IN, packet.len);
        gh_tun_port_send(a->queues[0].port, packet);
    } else if (v->action == GH_FORWARD_DROP) {
        agent_note_drop(&a->queues[0], v->reason, 1);
    }
    if (v->limited)
        agent_note_drop(&a->queues[0], GH_DROP_ICMP_LIMIT, 1);
    if (v->answer_len)
        send_copy(a, gh_span_of(v->answer, v->answer_len), gh_span_of(NULL, 0));
}

int agent_packet_start(struct agent *a)
{
    struct gh_forward_config config = gh_forward_config_default;
    struct gh_hash_seed seed;
    int rc = gh_random_bytes(&seed, sizeof seed);

    config.flows = config.flows_per_session = 16; /* stateless: none is ever opened */
    config.fragments = config.fragments_per_session = 16;
    if (rc == 0)
        rc = gh_forward_init(&a->forward, &config, &seed, &forward_events, a);
    if (rc < 0)
        return rc;
    gh_forward_session_init(&a->forward, &a->session, 1);
    a->session.stateless = true;
    a->out = malloc(OUT_ROOM);
    return a->out ? 0 : GH_ERR_MEMORY;
}

void agent_packet_stop(struct agent *a)
{
    if (a->handover)
        a->handover->agent = NULL;
    put(a->handover);
    a->handover = NULL;
    if (a->out) {
        gh_forward_session_close(&a->forward, &a->session);
        gh_forward_fini(&a->forward);
    }
    free(a->out);
    a->out = NULL;
}

/* ---- from the other workers ---- */

static void deliver(struct gh_worker *to, struct gh_message *m)
{
    struct agent_batch *b = gh_container_of(m, struct agent_batch, message);
    struct agent *a = b->handover->agent;
    struct batch_packet p;

    (void)to;
    for (size_t at = 0; a && at < b->used; at += p.len) {
        memcpy(&p, b->data + at, sizeof p);
        at += sizeof p + GH_TUN_PORT_HEADROOM;
        packet_out(a, b->data + at, p.len, p.follows);
    }
    atomic_fetch_sub(&b->handover->out, 1);
    put(b->handover);
    free(b);
}

static void post(struct agent_queue *q)
{
    struct agent_batch *b = q->batch;
    unsigned packets;

    if (!b)
        return;
    q->batch = NULL;
    packets = b->message.weight = b->count;
    atomic_fetch_add(&q->handover->refs, 1);
    atomic_fetch_add(&q->handover->out, 1);
    if (gh_mailbox_post(q->a->w, &b->message) == 0) {
        gh_metric_add(q->a->metrics, q->index, AGENT_METRIC_HANDED_OVER, 0, packets);
        return;
    }
    atomic_fetch_sub(&q->handover->out, 1);
    put(q->handover);
    free(b);
    agent_note_drop(q, GH_DROP_MAILBOX_FULL, packets);
}

static void on_turn_end(void *arg, int64_t now)
{
    (void)now;
    post(arg);
}

/* GH_DROP_NONE, or why there is no batch. */
static enum gh_drop begin_batch(struct agent_queue *q)
{
    if (q->batch)
        return GH_DROP_NONE;
    if (atomic_load(&q->handover->out) >= BATCHES_OUT)
        return GH_DROP_MAILBOX_FULL;
    q->batch = malloc(sizeof *q->batch);
    if (!q->batch)
        return GH_DROP_POOL_EMPTY;
    q->batch->message.deliver = deliver;
    q->batch->handover = q->handover;
    q->batch->used = 0;
    q->batch->count = 0;
    return GH_DROP_NONE;
}

static void hand_over(struct agent_queue *q, const uint8_t *packet, size_t len, bool follows)
{
    struct batch_packet p = { .len = (uint32_t)len };
    size_t room = sizeof p + GH_TUN_PORT_HEADROOM + len;
    enum gh_drop why;
    uint8_t *at;

    if (room > BATCH_BYTES) {
        agent_note_drop(q, GH_DROP_TOO_BIG, 1);
        return;
    }
    if (q->batch && q->batch->used + room > BATCH_BYTES)
        post(q);
    why = begin_batch(q);
    if (why != GH_DROP_NONE) {
        agent_note_drop(q, why, 1);
        return;
    }
    at = q->batch->data + q->batch->used;
    p.follows = follows && q->batch->used > 0;
    memcpy(at, &p, sizeof p);
    memcpy(at + sizeof p + GH_TUN_PORT_HEADROOM, packet, len);
    q->batch->used += room;
    q->batch->count++;
}

/* ---- any worker ---- */

static void on_packet(void *arg, uint8_t *packet, size_t len, bool follows)
{
    struct agent_queue *q = arg;

    gh_counter_add(&q->packets, 1);
    gh_metric_add(q->a->metrics, q->index, AGENT_METRIC_QUEUE, 0, 1);
    if (q->index == 0)
        packet_out(q->a, packet, len, follows);
    else
        hand_over(q, packet, len, follows);
}

static const struct gh_tun_port_events tun_events = { on_packet, on_drop };

int agent_queue_start(struct agent_queue *q, struct gh_worker *w)
{
    struct agent *a = q->a;
    struct gh_tun_port_config config = { w, a->tun_fds[q->index], a->conf.offload_tun, &tun_events, q };
    int rc;

    q->worker = w;
    q->drops = gh_metrics_drops(gh_node_metrics(a->node), q->index);
    if (q->index == 0) {
        a->handover = calloc(1, sizeof *a->handover);
        if (!a->handover)
            return GH_ERR_MEMORY;
        a->handover->agent = a;
        atomic_store(&a->handover->refs, 1);
    } else { /* worker 0 has started before */
        q->handover = a->handover;
        atomic_fetch_add(&q->handover->refs, 1);
    }
    rc = gh_tun_port_create(&config, &q->port);
    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the device's queue cannot be used", gh_log_str("device", a->tun), gh_log_result("error", rc));
        put(q->handover);
        q->handover = NULL;
        return rc;
    }
    a->tun_fds[q->index] = -1; /* the port's now */
    if (q->index > 0) {
        q->hook = (struct gh_turn_hook){ .fn = on_turn_end, .arg = q };
        gh_worker_hook_add(w, &q->hook);
    }
    return 0;
}

void agent_queue_stop(struct agent_queue *q)
{
    if (!q->port)
        return;
    gh_tun_port_destroy(q->port);
    q->port = NULL;
    if (q->index == 0)
        return;
    gh_worker_hook_remove(&q->hook);
    free(q->batch); /* nobody would carry it any more */
    q->batch = NULL;
    put(q->handover);
    q->handover = NULL;
}
