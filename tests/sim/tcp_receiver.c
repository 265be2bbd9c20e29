#include <stdlib.h>
#include <string.h>

#include "tcp_model.h"

#define DELAY INT64_C(40000000) /* Linux: the shortest delayed acknowledgement, and here the only one */
#define QUICK 16u               /* packets acknowledged one by one at the beginning */

static struct tcp_block *run_at(const struct tcp_receiver *r, uint64_t number)
{
    return &r->runs[number % TCP_WINDOW];
}

int tcp_receiver_init(struct tcp_receiver *r)
{
    memset(r, 0, sizeof *r);
    r->quick = QUICK;
    r->ack_at = TCP_NEVER;
    r->runs = calloc(TCP_WINDOW, sizeof *r->runs);
    return r->runs ? 0 : -1;
}

void tcp_receiver_fini(struct tcp_receiver *r)
{
    free(r->runs);
    r->runs = NULL;
}

static void acknowledge(struct tcp_receiver *r, struct tcp_ack *ret)
{
    ret->next = r->next;
    ret->count = r->count < TCP_BLOCKS ? r->count : TCP_BLOCKS;
    memcpy(ret->blocks, r->recent, ret->count * sizeof *ret->blocks);
    r->unacked = 0;
    r->ack_at = TCP_NEVER;
}

/* The run that <number> is at an end of, which is empty where nothing is: what was there once ends before <next>. */
static bool run_of(const struct tcp_receiver *r, uint64_t number, struct tcp_block *ret)
{
    const struct tcp_block *run = run_at(r, number);

    if (number < r->next || number < run->first || number >= run->end)
        return false;
    *ret = *run;
    return true;
}

/* RFC 2018, section 4: the block of the newest packet comes first. */
static void note_recent(struct tcp_receiver *r, struct tcp_block run)
{
    unsigned kept = 1;
    struct tcp_block before[TCP_BLOCKS + 1];

    memcpy(before, r->recent, sizeof before);
    r->recent[0] = run;
    for (unsigned i = 0; i < r->count && kept < TCP_BLOCKS + 1; i++)
        if (before[i].end < run.first || before[i].first > run.end)
            r->recent[kept++] = before[i];
    r->count = kept;
}

static void forget_passed(struct tcp_receiver *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < r->count; i++)
        if (r->recent[i].first > r->next)
            r->recent[kept++] = r->recent[i];
    r->count = kept;
}

static void keep(struct tcp_receiver *r, uint64_t number)
{
    struct tcp_block run = { number, number + 1 }, neighbour;

    if (run_of(r, number - 1, &neighbour))
        run.first = neighbour.first;
    if (run_of(r, number + 1, &neighbour))
        run.end = neighbour.end;
    *run_at(r, number) = *run_at(r, run.first) = *run_at(r, run.end - 1) = run;
    note_recent(r, run);
}

/* The cell of a packet that came holds a run with it, though not always the whole. */
static bool is_kept(const struct tcp_receiver *r, uint64_t number)
{
    struct tcp_block run;

    return run_of(r, number, &run);
}

bool tcp_receiver_on_packet(struct tcp_receiver *r, uint64_t number, int64_t now, struct tcp_ack *ret)
{
    struct tcp_block run;
    bool filled;

    if (number != r->next) {
        if (number > r->next && !is_kept(r, number))
            keep(r, number);
        acknowledge(r, ret);
        return true;
    }
    filled = run_of(r, number + 1, &run);
    r->next = filled ? run.end : number + 1;
    forget_passed(r);
    r->unacked++;
    if (r->quick)
        r->quick--;
    if (filled || r->count || r->quick || r->unacked >= 2) {
        acknowledge(r, ret);
        return true;
    }
    r->ack_at = now + DELAY;
    return false;
}

int64_t tcp_receiver_deadline(const struct tcp_receiver *r)
{
    return r->ack_at;
}

void tcp_receiver_expire(struct tcp_receiver *r, struct tcp_ack *ret)
{
    acknowledge(r, ret);
}
