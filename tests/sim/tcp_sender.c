/* Scoreboard, loss detection and timers of the sender. */
#include <stdlib.h>
#include <string.h>

#include "tcp_model.h"

#define MS INT64_C(1000000)
#define RTO_INITIAL (1000 * MS)
#define RTO_MIN (200 * MS)
#define RTO_MAX (120000 * MS)
#define TICKS (8 * MS) /* two of Linux's clock: what a short timer takes at least */
#define DUPLICATES 3u
#define NONE UINT32_MAX

struct tcp_slot {
    int64_t sent; /* the last time */
    uint32_t older, newer; /* packets by time of sending */
    uint32_t skip;         /* how many from here on are sacked, at least */
    bool sacked, lost, again, ever_again;
};

static struct tcp_slot *slot_of(const struct tcp_sender *s, uint64_t number)
{
    return &s->slots[number % TCP_WINDOW];
}

int tcp_sender_init(struct tcp_sender *s, enum tcp_control control, size_t mss, int64_t now)
{
    memset(s, 0, sizeof *s);
    s->mss = mss;
    s->oldest = s->newest = NONE;
    s->mdev_max = s->rttvar = RTO_MIN;
    s->min_rtt = TCP_NEVER;
    s->timer_at = TCP_NEVER;
    s->rack.sent = -1;
    tcp_window_init(&s->window, control, now);
    s->slots = calloc(TCP_WINDOW, sizeof *s->slots);
    return s->slots ? 0 : -1;
}

void tcp_sender_fini(struct tcp_sender *s)
{
    free(s->slots);
    s->slots = NULL;
}

static uint32_t in_flight(const struct tcp_sender *s)
{
    return (uint32_t)(s->next - s->una) - s->sacked - s->lost + s->again;
}

/* The list by time of sending. */

static void list_remove(struct tcp_sender *s, uint64_t number)
{
    struct tcp_slot *p = slot_of(s, number);

    if (p->older == NONE && p->newer == NONE && s->oldest != number % TCP_WINDOW)
        return;
    if (p->older == NONE)
        s->oldest = p->newer;
    else
        s->slots[p->older].newer = p->newer;
    if (p->newer == NONE)
        s->newest = p->older;
    else
        s->slots[p->newer].older = p->older;
    p->older = p->newer = NONE;
}

static void list_append(struct tcp_sender *s, uint64_t number)
{
    uint32_t id = (uint32_t)(number % TCP_WINDOW);

    s->slots[id].older = s->newest;
    s->slots[id].newer = NONE;
    if (s->newest == NONE)
        s->oldest = id;
    else
        s->slots[s->newest].newer = id;
    s->newest = id;
}

/* The number of the packet in a slot: within the window there is one alone. */
static uint64_t number_of(const struct tcp_sender *s, uint32_t id)
{
    return s->una + (id + TCP_WINDOW - (uint32_t)(s->una % TCP_WINDOW)) % TCP_WINDOW;
}

/* Timers. */

static int64_t rto(const struct tcp_sender *s)
{
    int64_t t = s->srtt ? s->srtt + s->rttvar : RTO_INITIAL;

    t = s->backoff > 10 ? RTO_MAX : t << s->backoff;
    return t > RTO_MAX ? RTO_MAX : t;
}

static void arm(struct tcp_sender *s, enum tcp_timer timer, int64_t at)
{
    s->timer = timer;
    s->timer_at = at;
}

/* After new data or progress: a tail loss probe comes before the time-out where it may (RFC 8985, section 7.2). */
static void arm_tail(struct tcp_sender *s, int64_t now)
{
    int64_t probe;

    if (s->next == s->una) {
        s->timer_at = TCP_NEVER;
        return;
    }
    arm(s, TCP_TIMER_RTO, now + rto(s));
    if (s->state != TCP_OPEN || s->sacked || !s->srtt)
        return;
    probe = 2 * s->srtt + (s->next - s->una == 1 ? RTO_MIN : TICKS);
    if (now + probe < s->timer_at)
        arm(s, TCP_TIMER_PROBE, now + probe);
}

/* As Linux: the deviation is never taken to be less than 200 ms in the time-out. */
static void measure(struct tcp_sender *s, int64_t rtt)
{
    int64_t error, deviation;

    if (rtt < s->min_rtt)
        s->min_rtt = rtt;
    if (s->srtt == 0) {
        s->srtt = rtt;
        s->mdev = rtt / 2;
        s->rttvar = s->mdev_max = 2 * rtt > RTO_MIN ? 2 * rtt : RTO_MIN;
        s->rtt_round = s->next;
        return;
    }
    error = rtt - s->srtt;
    s->srtt += error / 8;
    deviation = (error < 0 ? -error : error) - s->mdev;
    s->mdev += error < 0 && deviation > 0 ? deviation / 32 : deviation / 4;
    if (4 * s->mdev > s->mdev_max)
        s->mdev_max = 4 * s->mdev;
    if (s->mdev_max > s->rttvar)
        s->rttvar = s->mdev_max;
    if (s->una > s->rtt_round) {
        if (s->mdev_max < s->rttvar)
            s->rttvar -= (s->rttvar - s->mdev_max) / 4;
        s->rtt_round = s->next;
        s->mdev_max = RTO_MIN;
    }
}

/* Loss. */

static void mark_lost(struct tcp_sender *s, uint64_t number)
{
    struct tcp_slot *p = slot_of(s, number);

    if (p->again) {
        p->again = false;
        s->again--;
    }
    if (!p->lost) {
        p->lost = true;
        s->lost++;
    }
    if (number < s->lost_from)
        s->lost_from = number;
    list_remove(s, number);
}

/* RFC 8985, section 6.2: what was sent before something that arrived is lost, once it is late enough. How many were marked. */
static uint32_t detect(struct tcp_sender *s, int64_t now)
{
    int64_t window = s->state != TCP_OPEN || s->sacked >= DUPLICATES ? 0 : s->min_rtt / 4, wait = 0;
    uint32_t marked = 0, id = s->oldest, newer;

    if (window > s->srtt / 8 && s->srtt)
        window = s->srtt / 8;
    for (; id != NONE; id = newer) {
        struct tcp_slot *p = &s->slots[id];
        uint64_t number = number_of(s, id);
        int64_t left = s->rack.rtt + window - (now - p->sent);

        newer = p->newer;
        if (p->sent > s->rack.sent || (p->sent == s->rack.sent && number >= s->rack.number))
            break;
        if (left <= 0) {
            mark_lost(s, number);
            marked++;
        } else if (left > wait) {
            wait = left;
        }
    }
    s->rack.advanced = false;
    if (wait)
        arm(s, TCP_TIMER_REORDER, now + wait + TICKS);
    return marked;
}

static void enter_recovery(struct tcp_sender *s)
{
    s->state = TCP_RECOVERY;
    s->recovery_end = s->next;
    s->prior_cwnd = s->window.cwnd;
    s->reduction_delivered = s->reduction_sent = 0;
    s->probe_end = 0;
    s->recoveries++;
    tcp_window_on_loss(&s->window);
}

/* RFC 6937. */
static void reduce(struct tcp_sender *s, uint32_t delivered, bool advanced_without_loss)
{
    int64_t flight = in_flight(s), room = (int64_t)s->window.ssthresh - flight, count;

    s->reduction_delivered += delivered;
    if (room < 0) {
        count = ((int64_t)s->window.ssthresh * s->reduction_delivered + s->prior_cwnd - 1) / s->prior_cwnd - s->reduction_sent;
    } else {
        count = (int64_t)s->reduction_delivered - s->reduction_sent;
        if (count < delivered)
            count = delivered;
        count += advanced_without_loss;
        if (count > room)
            count = room;
    }
    if (count < (s->reduction_sent ? 0 : 1))
        count = s->reduction_sent ? 0 : 1;
    s->window.cwnd = (uint32_t)(flight + count);
}

/* What came in. */

struct delivery {
    uint32_t packets;
    int64_t rtt; /* the least of packets that were sent once; TCP_NEVER: none */
};

static void on_delivered(struct tcp_sender *s, uint64_t number, int64_t now, struct delivery *d)
{
    struct tcp_slot *p = slot_of(s, number);
    int64_t rtt = now - p->sent;

    d->packets++;
    if (!p->ever_again && rtt < d->rtt)
        d->rtt = rtt;
    if ((!p->ever_again || rtt >= s->min_rtt) && (p->sent > s->rack.sent || (p->sent == s->rack.sent && number > s->rack.number))) {
        s->rack.sent = p->sent;
        s->rack.number = number;
        s->rack.rtt = rtt;
        s->rack.advanced = true;
    }
    list_remove(s, number);
    if (p->lost)
        s->lost--;
    if (p->again)
        s->again--;
    p->lost = p->again = false;
}

static void take_cumulative(struct tcp_sender *s, uint64_t next, int64_t now, struct delivery *d)
{
    for (; s->una < next; s->una++) {
        if (slot_of(s, s->una)->sacked)
            s->sacked--;
        else
            on_delivered(s, s->una, now, d);
    }
    if (s->lost_from < s->una)
        s->lost_from = s->una;
}

static void take_block(struct tcp_sender *s, const struct tcp_block *b, int64_t now, struct delivery *d)
{
    uint64_t i = b->first > s->una ? b->first : s->una, from = i;

    while (i < b->end && i < s->next) {
        struct tcp_slot *p = slot_of(s, i);

        if (p->sacked) {
            i += p->skip;
            continue;
        }
        on_delivered(s, i, now, d);
        p->sacked = true;
        p->skip = 1;
        s->sacked++;
        i++;
    }
    if (i > from && from < s->next)
        slot_of(s, from)->skip = (uint32_t)(i - from);
}

static void leave(struct tcp_sender *s)
{
    if (s->state == TCP_RECOVERY)
        s->window.cwnd = s->window.ssthresh;
    s->state = TCP_OPEN;
}

void tcp_sender_on_ack(struct tcp_sender *s, const struct tcp_ack *ack, int64_t now)
{
    struct delivery d = { 0, TCP_NEVER };
    uint64_t before = s->una;
    uint32_t marked = 0;
    bool advanced, was_reordering = s->timer == TCP_TIMER_REORDER && s->timer_at != TCP_NEVER;

    if (ack->next < s->una)
        return;
    take_cumulative(s, ack->next, now, &d);
    for (unsigned i = ack->count; i-- > 0;)
        take_block(s, &ack->blocks[i], now, &d);
    advanced = s->una > before;
    if (d.rtt != TCP_NEVER) {
        measure(s, d.rtt);
        tcp_window_on_rtt(&s->window, d.rtt, s->srtt, s->mss, s->una, s->next, now);
    }
    if (advanced)
        s->backoff = 0;
    if (s->probe_end && s->una >= s->probe_end)
        s->probe_end = 0;
    if (s->state != TCP_OPEN && s->una >= s->recovery_end)
        leave(s);
    if (s->rack.advanced) {
        if (was_reordering)
            arm(s, TCP_TIMER_RTO, now + rto(s));
        marked = detect(s, now);
    }
    if (s->state == TCP_OPEN && s->lost)
        enter_recovery(s);
    if (s->state == TCP_RECOVERY)
        reduce(s, d.packets, advanced && !marked);
    else if (advanced)
        tcp_window_grow(&s->window, d.packets, now);
    if (advanced && (s->timer != TCP_TIMER_REORDER || s->timer_at == TCP_NEVER))
        arm_tail(s, now);
    if (s->next == s->una)
        s->timer_at = TCP_NEVER;
}

/* What goes out. */

static void send(struct tcp_sender *s, uint64_t number, int64_t now)
{
    slot_of(s, number)->sent = now;
    list_append(s, number);
    s->sent_packets++;
    if (s->state == TCP_RECOVERY)
        s->reduction_sent++;
}

static bool send_lost(struct tcp_sender *s, int64_t now, uint64_t *ret_number)
{
    uint64_t i = s->lost_from > s->una ? s->lost_from : s->una;

    if (s->lost == s->again)
        return false;
    while (i < s->next && !(slot_of(s, i)->lost && !slot_of(s, i)->again))
        i++;
    s->lost_from = i + 1;
    if (i == s->next)
        return false;
    slot_of(s, i)->again = slot_of(s, i)->ever_again = true;
    s->again++;
    s->sent_again++;
    send(s, i, now);
    if (i == s->una && (s->timer != TCP_TIMER_REORDER || s->timer_at == TCP_NEVER))
        arm(s, TCP_TIMER_RTO, now + rto(s));
    *ret_number = i;
    return true;
}

static void send_new(struct tcp_sender *s, int64_t now, uint64_t *ret_number)
{
    uint64_t number = s->next++;

    *slot_of(s, number) = (struct tcp_slot){ .older = NONE, .newer = NONE };
    send(s, number, now);
    if (s->timer_at == TCP_NEVER || (s->timer == TCP_TIMER_PROBE && !s->probe_end))
        arm_tail(s, now);
    *ret_number = number;
}

bool tcp_sender_next(struct tcp_sender *s, int64_t now, uint64_t *ret_number)
{
    if (s->probe_due && s->next - s->una < TCP_WINDOW / 2) {
        s->probe_due = false;
        send_new(s, now, ret_number);
        s->probe_end = s->next;
        arm(s, TCP_TIMER_RTO, now + rto(s));
        return true;
    }
    if (in_flight(s) >= s->window.cwnd)
        return false;
    if (send_lost(s, now, ret_number))
        return true;
    if (s->next - s->una >= TCP_WINDOW / 2)
        return false;
    send_new(s, now, ret_number);
    return true;
}

int64_t tcp_sender_deadline(const struct tcp_sender *s)
{
    return s->timer_at;
}

/* RFC 6298, section 5; RFC 5681, section 3.1. */
static void on_rto(struct tcp_sender *s, int64_t now)
{
    s->timeouts++;
    if (s->state != TCP_LOSS || s->backoff == 0)
        tcp_window_on_timeout(&s->window);
    for (uint64_t i = s->una; i < s->next; i++)
        if (!slot_of(s, i)->sacked)
            mark_lost(s, i);
    s->window.cwnd = 1;
    s->window.credit = 0;
    s->state = TCP_LOSS;
    s->recovery_end = s->next;
    s->probe_end = 0;
    s->backoff++;
    arm(s, TCP_TIMER_RTO, now + rto(s));
}

void tcp_sender_expire(struct tcp_sender *s, int64_t now)
{
    s->timer_at = TCP_NEVER;
    switch (s->timer) {
    case TCP_TIMER_PROBE:
        s->probe_due = s->probe_end == 0;
        arm(s, TCP_TIMER_RTO, now + rto(s));
        return;
    case TCP_TIMER_REORDER:
        detect(s, now);
        if (s->state == TCP_OPEN && s->lost) {
            enter_recovery(s);
            reduce(s, 0, false);
        }
        if (s->timer_at == TCP_NEVER)
            arm(s, TCP_TIMER_RTO, now + rto(s));
        return;
    case TCP_TIMER_RTO:
        on_rto(s, now);
        return;
    }
}
