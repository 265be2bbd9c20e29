#include "congestion_world.h"

#include <stdlib.h>

#define ACK_SIZE(count) (TCP_HEADERS + ((count) ? 4 + 8 * (count) : 0))
_Static_assert(sizeof(struct tcp_ack) <= ACK_SIZE(TCP_BLOCKS) && offsetof(struct tcp_ack, blocks) <= ACK_SIZE(0), "what the model says fits where TCP says it");
#define HEAD 2u /* of an HTTP datagram with a short stream id: that and the context id */

size_t road_buffer(const struct road *r)
{
    double bytes = (double)r->rate / 8 * (double)r->rtt / 1e9 * r->buffer;

    return bytes < ROAD_BUFFER_MIN ? ROAD_BUFFER_MIN : (size_t)bytes;
}

/* Bare and through the tunnel the same full packets are lost: what differs is the tunnel's doing, not chance. */
static uint64_t fate_of(uint64_t seed)
{
    return seed * UINT64_C(0xd1342543de82ef95) + 1;
}

static void note(struct transfer *ret, const struct tcp_sender *s, const struct tcp_receiver *r)
{
    ret->bytes = r->next * s->mss;
    ret->sent_again = s->sent_again;
    ret->recoveries = s->recoveries;
    ret->timeouts = s->timeouts;
    ret->packets = s->sent_packets;
}

/* Bare: what flies in each direction stays in order. */

struct cargo {
    int64_t at;
    uint64_t number; /* of a packet */
    struct tcp_ack ack;
};

struct lane {
    struct sim_link link; /* <delay>, <loss>, <rate>, <queue> and <busy> of it */
    struct cargo *cargo;
    size_t first, count, room;
};

struct bare {
    uint64_t random;
    int64_t now;
    struct lane lane[2];
    struct tcp_sender sender;
    struct tcp_receiver receiver;
    uint64_t lost;
};

static double chance(struct bare *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return (double)(b->random >> 11) / 9007199254740992.0;
}

static void lane_put(struct bare *b, struct lane *l, size_t size, const struct cargo *c)
{
    int64_t start = l->link.busy > b->now ? l->link.busy : b->now, byte = 8 * SIM_S / (int64_t)l->link.rate;

    if (sim_link_loses(&l->link, size, chance(b)) || (start - b->now) / byte > (int64_t)l->link.queue) {
        b->lost++;
        return;
    }
    l->link.busy = start + (int64_t)size * byte;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        struct cargo *grown = calloc(room, sizeof *grown);

        if (!grown)
            abort();
        for (size_t i = 0; i < l->count; i++)
            grown[i] = l->cargo[(l->first + i) % l->room];
        free(l->cargo);
        l->cargo = grown;
        l->room = room;
        l->first = 0;
    }
    l->cargo[(l->first + l->count) % l->room] = *c;
    l->cargo[(l->first + l->count++) % l->room].at = l->link.busy + l->link.delay;
}

static int64_t lane_next(const struct lane *l)
{
    return l->count ? l->cargo[l->first].at : TCP_NEVER;
}

static struct cargo lane_take(struct lane *l)
{
    struct cargo c = l->cargo[l->first];

    l->first = (l->first + 1) % l->room;
    l->count--;
    return c;
}

static void bare_ack(struct bare *b, const struct tcp_ack *ack)
{
    struct cargo c = { .ack = *ack };

    lane_put(b, &b->lane[1], ACK_SIZE(ack->count), &c);
}

static void bare_turn(struct bare *b)
{
    struct tcp_ack ack;
    struct cargo c = { .at = 0 };

    while (lane_next(&b->lane[0]) <= b->now) {
        c = lane_take(&b->lane[0]);
        if (tcp_receiver_on_packet(&b->receiver, c.number, b->now, &ack))
            bare_ack(b, &ack);
    }
    if (tcp_receiver_deadline(&b->receiver) <= b->now) {
        tcp_receiver_expire(&b->receiver, &ack);
        bare_ack(b, &ack);
    }
    if (tcp_sender_deadline(&b->sender) <= b->now)
        tcp_sender_expire(&b->sender, b->now);
    do {
        if (lane_next(&b->lane[1]) <= b->now) {
            c = lane_take(&b->lane[1]);
            tcp_sender_on_ack(&b->sender, &c.ack, b->now);
        }
        while (tcp_sender_next(&b->sender, b->now, &c.number))
            lane_put(b, &b->lane[0], b->sender.mss + TCP_HEADERS, &c);
    } while (lane_next(&b->lane[1]) <= b->now);
}

void transfer_bare(const struct road *r, enum tcp_control control, uint64_t seed, int64_t time, struct transfer *ret)
{
    struct bare b = { .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .now = SIM_S };
    int64_t end = b.now + time;

    for (int i = 0; i < 2; i++)
        b.lane[i].link = (struct sim_link){ .delay = r->rtt / 2, .loss = r->loss, .rate = r->rate, .queue = road_buffer(r), .fate = fate_of(seed) };
    if (tcp_sender_init(&b.sender, control, r->mtu - TCP_HEADERS, b.now) < 0 || tcp_receiver_init(&b.receiver) < 0)
        abort();
    while (b.now < end) {
        int64_t next = TCP_NEVER, t[4];

        bare_turn(&b);
        t[0] = lane_next(&b.lane[0]);
        t[1] = lane_next(&b.lane[1]);
        t[2] = tcp_sender_deadline(&b.sender);
        t[3] = tcp_receiver_deadline(&b.receiver);
        for (int i = 0; i < 4; i++)
            next = t[i] < next ? t[i] : next;
        b.now = next > b.now ? next : b.now;
    }
    *ret = (struct transfer){ .lost = b.lost };
    note(ret, &b.sender, &b.receiver);
    tcp_sender_fini(&b.sender);
    tcp_receiver_fini(&b.receiver);
    free(b.lane[0].cargo);
    free(b.lane[1].cargo);
}

/* Through the tunnel. */

struct tunnel {
    struct sim sim;
    struct raw_peer client, server;
    struct tcp_sender sender;
    struct tcp_receiver receiver;
    struct gh_deadline send, receive;
    size_t mtu;
    bool open;
};

static void put_packet(struct tunnel *t, struct raw_peer *from, const void *head, size_t head_len, size_t size)
{
    static const uint8_t body[2048];
    uint8_t buf[HEAD + sizeof(struct tcp_ack)] = { 0 };

    memcpy(buf + HEAD, head, head_len);
    if (from->q) /* whatever becomes of it: a packet that is dropped is lost */
        gh_quic_send_datagram(from->q, gh_span_of(buf, HEAD + head_len), gh_span_of(body, size - head_len), 1, t->sim.now);
}

static void pump(struct tunnel *t)
{
    uint64_t number;

    while (tcp_sender_next(&t->sender, t->sim.now, &number))
        put_packet(t, &t->client, &number, sizeof number, t->sender.mss + TCP_HEADERS);
    gh_deadline_start(&t->sim.deadlines, &t->send, tcp_sender_deadline(&t->sender));
}

static void put_ack(struct tunnel *t, const struct tcp_ack *ack)
{
    uint8_t buf[sizeof *ack];

    memcpy(buf, ack, sizeof *ack);
    put_packet(t, &t->server, buf, offsetof(struct tcp_ack, blocks) + ack->count * sizeof *ack->blocks, ACK_SIZE(ack->count));
}

static void at_server(void *arg, struct gh_span payload)
{
    struct tunnel *t = arg;
    struct tcp_ack ack;
    uint64_t number;

    if (!t->open || payload.len < HEAD + sizeof number)
        return;
    memcpy(&number, payload.data + HEAD, sizeof number);
    if (tcp_receiver_on_packet(&t->receiver, number, t->sim.now, &ack))
        put_ack(t, &ack);
    gh_deadline_start(&t->sim.deadlines, &t->receive, tcp_receiver_deadline(&t->receiver));
}

static void at_client(void *arg, struct gh_span payload)
{
    struct tunnel *t = arg;
    struct tcp_ack ack = { 0 };
    size_t len = payload.len - HEAD;

    if (!t->open)
        return;
    memcpy(&ack, payload.data + HEAD, len < sizeof ack ? len : sizeof ack);
    tcp_sender_on_ack(&t->sender, &ack, t->sim.now);
    pump(t);
}

static void on_send(void *arg, int64_t now)
{
    struct tunnel *t = arg;

    tcp_sender_expire(&t->sender, now);
    pump(t);
}

static void on_receive(void *arg, int64_t now)
{
    struct tunnel *t = arg;
    struct tcp_ack ack;

    (void)now;
    tcp_receiver_expire(&t->receiver, &ack);
    put_ack(t, &ack);
}

static bool is_measured(void *arg)
{
    struct tunnel *t = arg;

    return !t->client.q || !t->server.q || (gh_quic_plpmtu(t->client.q) >= GH_QUIC_PAYLOAD_MAX && gh_quic_plpmtu(t->server.q) >= GH_QUIC_PAYLOAD_MAX);
}

static bool come_up(struct tunnel *t, const struct road *r, uint64_t seed)
{
    raw_peers_connect(&t->client, &t->server, 10 * SIM_S);
    sim_run(&t->sim, 60 * SIM_S, is_measured, t);
    if (!t->client.q || !t->server.q)
        return false;
    for (int i = 0; i < 2; i++) {
        t->sim.link[i].loss = r->loss;
        t->sim.link[i].fate = fate_of(seed);
    }
    t->mtu = gh_quic_datagram_max(t->client.q) - HEAD;
    return true;
}

static void carry(struct tunnel *t, enum tcp_control control, int64_t time, struct transfer *ret)
{
    uint64_t lost = t->sim.lost;

    if (tcp_sender_init(&t->sender, control, t->mtu - TCP_HEADERS, t->sim.now) < 0 || tcp_receiver_init(&t->receiver) < 0)
        abort();
    t->open = true;
    pump(t);
    sim_run(&t->sim, time, NULL, NULL);
    t->open = false;
    ret->lost = t->sim.lost - lost;
    if (t->client.q && t->server.q) {
        ret->rtt = gh_quic_rtt(t->client.q);
        ret->holes = gh_quic_counters(t->client.q)->black_holes + gh_quic_counters(t->server.q)->black_holes;
        ret->waited_out = gh_quic_counters(t->client.q)->queue_delay + gh_quic_counters(t->client.q)->queue_full +
                          gh_quic_counters(t->server.q)->queue_delay + gh_quic_counters(t->server.q)->queue_full;
    }
    note(ret, &t->sender, &t->receiver);
    gh_deadline_stop(&t->sim.deadlines, &t->send);
    gh_deadline_stop(&t->sim.deadlines, &t->receive);
    tcp_sender_fini(&t->sender);
    tcp_receiver_fini(&t->receiver);
}

bool transfer_tunnel(const struct road *r, enum tcp_control control, uint64_t seed, int64_t time, tune_fn *tune, void *tune_arg,
                     struct transfer *ret)
{
    struct tunnel *t = calloc(1, sizeof *t);
    bool up;

    if (!t)
        abort();
    *ret = (struct transfer){ 0 };
    raw_peers_init(&t->sim, seed, &t->client, &t->server);
    for (int i = 0; i < 2; i++) {
        struct sim_end *e = i ? &t->sim.server : &t->sim.client;

        t->sim.link[i].delay = r->rtt / 2;
        t->sim.link[i].rate = r->rate;
        t->sim.link[i].queue = road_buffer(r);
        e->config.queue_time = 50 * SIM_MS; /* as the relay has it; the agent's is longer */
        e->config.queue_target = 5 * SIM_MS;
        if (tune)
            tune(tune_arg, &e->config);
    }
    t->server.on_datagram = at_server;
    t->client.on_datagram = at_client;
    t->server.on_datagram_arg = t->client.on_datagram_arg = t;
    gh_deadline_init(&t->send, on_send, t);
    gh_deadline_init(&t->receive, on_receive, t);
    up = come_up(t, r, seed);
    if (up)
        carry(t, control, time, ret);
    up = up && t->client.q && t->server.q;
    sim_fini(&t->sim);
    free(t);
    return up;
}
