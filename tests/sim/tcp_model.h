/* tests/sim/tcp_model.h - a bulk transfer of TCP as a model: packets are numbers, nothing is in them
 *
 * A sender that always has something to send and a receiver, both without I/O and clock, close to what Linux does: SACK scoreboard (RFC 6675),
 * time-based loss detection and tail loss probes (RFC 8985), proportional rate reduction (RFC 6937), time-outs (RFC 6298), NewReno (RFC 5681, 6582)
 * or CUBIC (RFC 9438) with HyStart, initial window of ten (RFC 6928), delayed acknowledgements. Not in it: reordering (nothing here reorders), undoing
 * of time-outs that were spurious, windows of the receiver, marks of congestion.
 *
 * A packet is a full segment. <now> is nanoseconds.
 */
#ifndef GH_SIM_TCP_MODEL_H
#define GH_SIM_TCP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_NEVER INT64_MAX
#define TCP_HEADERS 52u      /* IPv4, TCP, time stamps */
#define TCP_WINDOW (1u << 18) /* packets; the ring of both ends */
#define TCP_BLOCKS 3u        /* of SACK beside time stamps */

enum tcp_control { TCP_NEWRENO, TCP_CUBIC };

struct tcp_ack {
    uint64_t next; /* everything before it has arrived */
    unsigned count;
    struct tcp_block {
        uint64_t first, end;
    } blocks[TCP_BLOCKS]; /* the newest first */
};

/* Congestion window in packets; tcp_control.c. */
struct tcp_window {
    enum tcp_control control;
    uint32_t cwnd, ssthresh, credit; /* <credit> of acknowledged packets towards the next one */
    struct tcp_cubic {
        double last_max, origin, k, friendly; /* packets, seconds */
        int64_t epoch, delay_min;             /* 0: none */
        uint32_t acked, count, last_cwnd;
        int64_t last_time;
        bool found;           /* HyStart has ended slow start */
        int64_t round_start, last_ack, round_rtt;
        uint64_t round_end;
        unsigned samples;
    } cubic;
};

void tcp_window_init(struct tcp_window *w, enum tcp_control control, int64_t now);
/* <acked> packets were delivered while the window may grow. */
void tcp_window_grow(struct tcp_window *w, uint32_t acked, int64_t now);
/* A round-trip time was measured; <next> is what will be sent next, <una> what is not acknowledged yet. */
void tcp_window_on_rtt(struct tcp_window *w, int64_t rtt, int64_t srtt, size_t mss, uint64_t una, uint64_t next, int64_t now);
/* The new slow start threshold; the caller lowers the window. */
void tcp_window_on_loss(struct tcp_window *w);
void tcp_window_on_timeout(struct tcp_window *w);

struct tcp_slot; /* a packet in flight */

struct tcp_sender {
    size_t mss;
    struct tcp_window window;
    struct tcp_slot *slots; /* TCP_WINDOW of them */
    uint64_t una, next;     /* packets */
    uint32_t sacked, lost, again; /* in flight: sacked, lost, sent again */
    uint32_t oldest, newest;      /* by time of sending, of those that are neither acknowledged nor lost */
    uint64_t lost_from;           /* no lost one that has to be sent again is before */
    enum tcp_state { TCP_OPEN, TCP_RECOVERY, TCP_LOSS } state;
    uint64_t recovery_end;
    uint32_t prior_cwnd, reduction_delivered, reduction_sent;
    uint64_t probe_end; /* 0: no tail loss probe is out */
    bool probe_due;
    int64_t srtt, mdev, mdev_max, rttvar, min_rtt;
    uint64_t rtt_round;
    unsigned backoff;
    struct {
        int64_t sent, rtt;
        uint64_t number;
        bool advanced;
    } rack;
    enum tcp_timer { TCP_TIMER_RTO, TCP_TIMER_PROBE, TCP_TIMER_REORDER } timer;
    int64_t timer_at;
    uint64_t sent_packets, sent_again, timeouts, recoveries;
};

int tcp_sender_init(struct tcp_sender *s, enum tcp_control control, size_t mss, int64_t now); /* 0 or -1: no memory */
void tcp_sender_fini(struct tcp_sender *s);
/* The next packet that may go now. Call until it is false. */
bool tcp_sender_next(struct tcp_sender *s, int64_t now, uint64_t *ret_number);
void tcp_sender_on_ack(struct tcp_sender *s, const struct tcp_ack *ack, int64_t now);
int64_t tcp_sender_deadline(const struct tcp_sender *s);
void tcp_sender_expire(struct tcp_sender *s, int64_t now);

struct tcp_receiver {
    uint64_t next;
    struct tcp_block *runs; /* TCP_WINDOW of them: at the first and at the last packet of what came beyond <next>, that run */
    struct tcp_block recent[TCP_BLOCKS + 1];
    unsigned count, unacked, quick;
    int64_t ack_at;
};

int tcp_receiver_init(struct tcp_receiver *r);
void tcp_receiver_fini(struct tcp_receiver *r);
/* True when <ret> is to be sent at once. */
bool tcp_receiver_on_packet(struct tcp_receiver *r, uint64_t number, int64_t now, struct tcp_ack *ret);
int64_t tcp_receiver_deadline(const struct tcp_receiver *r);
void tcp_receiver_expire(struct tcp_receiver *r, struct tcp_ack *ret);

#endif
