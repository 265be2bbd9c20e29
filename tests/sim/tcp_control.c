/* Growth and reduction of the window: NewReno, and CUBIC with HyStart as Linux has it. */
#include <math.h>
#include <string.h>

#include "tcp_model.h"

#define MS INT64_C(1000000)
#define SECOND 1e9
#define C 0.4
#define BETA (717.0 / 1024)
#define FRIENDLY (3 * (1 - BETA) / (1 + BETA)) /* RFC 9438, section 4.3, without the part for later */
#define JIFFY (4 * MS)

/* HyStart */
#define LOW_WINDOW 16u
#define TRAIN_GAP (2 * MS)
#define SAMPLES 8u

void tcp_window_init(struct tcp_window *w, enum tcp_control control, int64_t now)
{
    memset(w, 0, sizeof *w);
    w->control = control;
    w->cwnd = 10;
    w->ssthresh = UINT32_MAX;
    w->cubic.round_start = w->cubic.last_ack = now;
    w->cubic.round_rtt = TCP_NEVER;
}

/* How many acknowledged packets one more costs. */
static uint32_t cubic_cost(struct tcp_window *w, uint32_t acked, int64_t now)
{
    struct tcp_cubic *c = &w->cubic;
    double t, target, cost, cwnd = w->cwnd;

    c->acked += acked;
    if (c->last_cwnd == w->cwnd && now - c->last_time <= 31 * MS)
        return c->count;
    if (!c->epoch || now / JIFFY != c->last_time / JIFFY) { /* its clock ticks by jiffies */
        c->last_cwnd = w->cwnd;
        c->last_time = now;
        if (!c->epoch) {
            c->epoch = now;
            c->acked = acked;
            c->friendly = cwnd;
            c->k = c->last_max > cwnd ? cbrt((c->last_max - cwnd) / C) : 0;
            c->origin = c->last_max > cwnd ? c->last_max : cwnd;
        }
        t = (double)(now - c->epoch + c->delay_min) / SECOND - c->k;
        target = c->origin + C * t * t * t;
        cost = target > cwnd ? cwnd / (target - cwnd) : 100 * cwnd;
        if (c->last_max == 0 && cost > 20) /* before the first loss: faster */
            cost = 20;
        c->count = (uint32_t)cost;
    }
    while (c->acked > cwnd / FRIENDLY) {
        c->acked -= (uint32_t)(cwnd / FRIENDLY);
        c->friendly++;
    }
    if (c->friendly > cwnd && c->count > cwnd / (c->friendly - cwnd))
        c->count = (uint32_t)(cwnd / (c->friendly - cwnd));
    if (c->count < 2)
        c->count = 2;
    return c->count;
}

void tcp_window_grow(struct tcp_window *w, uint32_t acked, int64_t now)
{
    uint32_t cost;

    if (w->cwnd < w->ssthresh) {
        uint32_t step = acked < w->ssthresh - w->cwnd ? acked : w->ssthresh - w->cwnd;

        w->cwnd += step;
        acked -= step;
    }
    if (acked) {
        cost = w->control == TCP_CUBIC ? cubic_cost(w, acked, now) : w->cwnd;
        if (w->credit >= cost) {
            w->credit = 0;
            w->cwnd++;
        }
        w->credit += acked;
        w->cwnd += w->credit / cost;
        w->credit %= cost;
    }
    if (w->cwnd > TCP_WINDOW / 2)
        w->cwnd = TCP_WINDOW / 2;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static void hystart(struct tcp_window *w, int64_t rtt, int64_t srtt, size_t mss, uint64_t una, uint64_t next, int64_t now)
{
    struct tcp_cubic *c = &w->cubic;

    if (una > c->round_end) {
        c->round_start = c->last_ack = now;
        c->round_end = next;
        c->round_rtt = TCP_NEVER;
        c->samples = 0;
    }
    if (w->cwnd < LOW_WINDOW)
        return;
    if (now - c->last_ack <= TRAIN_GAP) {
        double rate = 2.0 * w->cwnd * (double)mss / (double)(srtt ? srtt : rtt), bursts = 4 * 65536 / rate;

        c->last_ack = now;
        if (now - c->round_start > (c->delay_min + clamp((int64_t)bursts, 0, MS)) / 2)
            c->found = true;
    }
    if (rtt < c->round_rtt)
        c->round_rtt = rtt;
    if (c->samples < SAMPLES)
        c->samples++;
    else if (c->round_rtt > c->delay_min + clamp(c->delay_min / 8, 4 * MS, 16 * MS))
        c->found = true;
    if (c->found)
        w->ssthresh = w->cwnd;
}

void tcp_window_on_rtt(struct tcp_window *w, int64_t rtt, int64_t srtt, size_t mss, uint64_t una, uint64_t next, int64_t now)
{
    struct tcp_cubic *c = &w->cubic;

    if (w->control != TCP_CUBIC || (c->epoch && now - c->epoch < (int64_t)SECOND)) /* right after a recovery samples mislead */
        return;
    if (c->delay_min == 0 || c->delay_min > rtt)
        c->delay_min = rtt;
    if (!c->found && w->cwnd < w->ssthresh)
        hystart(w, rtt, srtt, mss, una, next, now);
}

void tcp_window_on_loss(struct tcp_window *w)
{
    struct tcp_cubic *c = &w->cubic;
    uint32_t half = w->control == TCP_CUBIC ? (uint32_t)(w->cwnd * BETA) : w->cwnd / 2;

    c->epoch = 0;
    c->last_max = w->cwnd < c->last_max ? w->cwnd * (1 + BETA) / 2 : w->cwnd;
    w->ssthresh = half < 2 ? 2 : half;
    w->credit = 0;
}

void tcp_window_on_timeout(struct tcp_window *w)
{
    tcp_window_on_loss(w);
    w->cubic = (struct tcp_cubic){ .round_rtt = TCP_NEVER };
}
