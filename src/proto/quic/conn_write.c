/* Sending: batches of packets, stream bytes before datagrams. */
#include <stdlib.h>

#include "base/error.h"
#include "proto/quic/internal.h"

/* type, length and packet overhead around one DATAGRAM: short header with a 4-byte packet number, frame type, 2-byte length, tag */
#define DATAGRAM_OVERHEAD (1u + 4u + 1u + 2u + GH_AEAD_TAG)

/* Result of one attempt to put something into the packet that is being built. */
enum step { STEP_AGAIN, STEP_PACKET, STEP_NOTHING, STEP_FAILED };

static enum step classify(struct gh_quic *q, ngtcp2_ssize n, size_t *ret_len)
{
    if (n == NGTCP2_ERR_WRITE_MORE)
        return STEP_AGAIN;
    if (n < 0) {
        gh_quic_fail(q, (int)n);
        return STEP_FAILED;
    }
    *ret_len = (size_t)n;
    return n == 0 ? STEP_NOTHING : STEP_PACKET;
}

struct target {
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    uint8_t *buf;
    size_t cap;
    size_t used; /* by what was put into the packet so far: frames, at least so many bytes */
};

static enum step write_stream(struct gh_quic *q, struct target *t, int64_t stream, bool end, const struct gh_span *spans, size_t count,
                              size_t *ret_len)
{
    ngtcp2_vec vec[16];
    ngtcp2_ssize n, taken = -1;

    for (size_t i = 0; i < count; i++)
        vec[i] = (ngtcp2_vec){ (uint8_t *)(uintptr_t)spans[i].data, spans[i].len };
    n = ngtcp2_conn_writev_stream(q->conn, &t->path.path, &t->info, t->buf, t->cap, &taken,
                                  NGTCP2_WRITE_STREAM_FLAG_MORE | (end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0), stream, vec, count,
                                  (uint64_t)q->now);
    if (taken > 0)
        t->used += (size_t)taken;
    if (taken >= 0 && q->owner.app->on_sent(q->owner.app_arg, stream, (size_t)taken) < 0)
        return STEP_FAILED;
    if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED || n == NGTCP2_ERR_STREAM_NOT_FOUND)
        return q->owner.app->on_blocked(q->owner.app_arg, stream) < 0 ? STEP_FAILED : STEP_AGAIN;
    if (n == NGTCP2_ERR_STREAM_SHUT_WR)
        return q->owner.app->on_stream_stopped(q->owner.app_arg, stream) < 0 ? STEP_FAILED : STEP_AGAIN;
    return classify(q, n, ret_len);
}

static void drop_head(struct gh_quic *q)
{
    gh_quic_queue_consume(&q->queue);
    q->counters.shrunk++;
}

static size_t length_of(const struct gh_span *pieces, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    return len;
}

/* The next datagram that may still be sent, in pieces. */
static size_t next_datagram(struct gh_quic *q, struct gh_span pieces[GH_QUIC_QUEUE_PIECES])
{
    size_t n = gh_quic_queue_peek(&q->queue, q->now, pieces), max;

    if (n) {
        max = gh_quic_datagram_max(q);
        while (n && length_of(pieces, n) > max) { /* the path shrank while it waited */
            drop_head(q);
            n = gh_quic_queue_peek(&q->queue, q->now, pieces);
        }
    }
    q->counters.queue_delay = q->queue.dropped_delay;
    return n;
}

static uint64_t least_size(const struct gh_quic *q, size_t frames)
{
    return frames + DATAGRAM_OVERHEAD - 3 + ngtcp2_conn_get_dcid(q->conn)->datalen; /* the number takes one byte at least */
}

/* A packet of exactly <size> bytes, with a datagram that nobody wants. How long its number is, only trying tells. */
static enum step write_mtu_probe(struct gh_quic *q, struct target *t, size_t size, size_t *ret_len)
{
    uint8_t payload[GH_QUIC_PAYLOAD_JUMBO] = { 0 };
    ngtcp2_vec vec = { payload, size - (size_t)least_size(q, 0) };
    int accepted = 0;
    ngtcp2_ssize n = 0;

    if (!q->owner.app->probe || q->owner.app->probe(q->owner.app_arg, payload, 32) == 0 || vec.len > gh_quic_datagram_limit(q))
        return STEP_NOTHING;
    for (int i = 0; i < 4 && n == 0; i++, vec.len--)
        n = ngtcp2_conn_writev_datagram(q->conn, &t->path.path, &t->info, t->buf, size, &accepted, 0, GH_QUIC_MTU_PROBE | size, &vec, 1,
                                        (uint64_t)q->now);
    if (accepted) {
        gh_quic_pmtu_on_probe_sent(&q->pmtu);
        gh_quic_silence_on_sent(&q->silence, q->now);
        q->counters.mtu_probes++;
    }
    return classify(q, n, ret_len);
}

static enum step write_datagram(struct gh_quic *q, struct target *t, const struct gh_span *pieces, size_t count, size_t *ret_len)
{
    ngtcp2_vec vec[GH_QUIC_QUEUE_PIECES];
    size_t len = length_of(pieces, count);
    int accepted = 0;
    ngtcp2_ssize n;

    for (size_t i = 0; i < count; i++)
        vec[i] = (ngtcp2_vec){ (uint8_t *)(uintptr_t)pieces[i].data, pieces[i].len };
    n = ngtcp2_conn_writev_datagram(q->conn, &t->path.path, &t->info, t->buf, t->cap, &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE,
                                    GH_QUIC_ID(q->counters.datagrams_out + 1, least_size(q, t->used + len)), vec, count, (uint64_t)q->now);
    if (accepted) {
        t->used += len + (len > 63 ? 3 : 2); /* type and length */
        gh_quic_queue_consume(&q->queue);
        q->counters.datagrams_out++;
        gh_quic_silence_on_sent(&q->silence, q->now);
    } else if (n == NGTCP2_ERR_INVALID_ARGUMENT) {
        drop_head(q);
        return STEP_AGAIN;
    }
    return classify(q, n, ret_len);
}

/* Builds one packet. */
static enum step write_packet(struct gh_quic *q, struct target *t, size_t *ret_len)
{
    size_t probe = q->handshake_done && !q->probe_due ? gh_quic_pmtu_probe(&q->pmtu, q->now) : 0;
    struct gh_span spans[16], pieces[GH_QUIC_QUEUE_PIECES];
    size_t n;
    int64_t stream;
    bool end;
    int count;
    enum step step = STEP_AGAIN;

    if (probe) {
        step = write_mtu_probe(q, t, probe, ret_len);
        if (step != STEP_NOTHING)
            return step;
        step = STEP_AGAIN;
    }
    while (step == STEP_AGAIN) {
        stream = -1;
        end = false;
        count = 0;
        if (q->keys_told) {
            count = q->owner.app->pull(q->owner.app_arg, &stream, &end, spans, 16);
            if (count < 0 || q->closing)
                return STEP_FAILED;
        }
        if (stream >= 0) {
            step = write_stream(q, t, stream, end, spans, (size_t)count, ret_len);
            continue;
        }
        n = q->handshake_done && !q->probe_due ? next_datagram(q, pieces) : 0;
        if (n)
            step = write_datagram(q, t, pieces, n, ret_len);
        else
            return classify(q,
                            ngtcp2_conn_writev_stream(q->conn, &t->path.path, &t->info, t->buf, t->cap, NULL, 0, -1, NULL, 0,
                                                      (uint64_t)q->now),
                            ret_len);
    }
    return step;
}

/* RFC 9000, section 13.4.2.1: some paths drop what is marked. What was not answered goes out again without; the library believes that it was
 * marked, and that the path lost the mark. */
static uint8_t mark_of(struct gh_quic *q, const struct target *t)
{
    if (q->challenging) {
        q->challenging = false;
        if (!q->challenged)
            q->challenged = q->now;
        if (q->now - q->challenged >= (int64_t)ngtcp2_conn_get_pto(q->conn) * 7 / 8) {
            q->repeated |= ngtcp2_path_eq(&t->path.path, ngtcp2_conn_get_path(q->conn));
            q->unmarked |= q->repeated;
            return NGTCP2_ECN_NOT_ECT;
        }
    }
    return q->unmarked ? NGTCP2_ECN_NOT_ECT : (uint8_t)t->info.ecn;
}

/* Takes the packet at the end of the batch into it. False when it does not belong: it waits for the next batch. */
static bool append(struct gh_quic *q, struct gh_quic_batch *b, const struct target *t, size_t len)
{
    const ngtcp2_path *path = &t->path.path;
    uint8_t ecn = mark_of(q, t);

    if (b->len == 0) {
        b->segment = len;
        gh_quic_addr_of(&path->local, &b->path.local);
        gh_quic_addr_of(&path->remote, &b->path.remote);
        b->ecn = ecn;
    } else if (len > b->segment || b->ecn != ecn || !gh_quic_addr_is(&b->path.remote, &path->remote) ||
               !gh_quic_addr_is(&b->path.local, &path->local)) {
        if (!q->carry)
            q->carry = malloc(q->cfg.max_payload);
        if (!q->carry)
            return false; /* as if the network had lost it */
        memcpy(q->carry, b->buf + b->len, len);
        q->carry_len = len;
        gh_quic_addr_of(&path->local, &q->carry_path.local);
        gh_quic_addr_of(&path->remote, &q->carry_path.remote);
        q->carry_ecn = ecn;
        return false;
    }
    b->len += len;
    return len == b->segment;
}

static void take_carry(struct gh_quic *q, struct gh_quic_batch *b)
{
    memcpy(b->buf, q->carry, q->carry_len);
    b->len = b->segment = q->carry_len;
    b->path = q->carry_path;
    b->ecn = q->carry_ecn;
    q->carry_len = 0;
}

static int write_close(struct gh_quic *q, struct gh_quic_batch *b)
{
    struct target t = { .buf = b->buf, .cap = q->pmtu.cap };
    ngtcp2_ccerr e;
    ngtcp2_ssize n;
    const uint8_t *reason = (const uint8_t *)q->why.reason;
    size_t len = strlen(q->why.reason);

    if (!q->has_keys) { /* memory ran out before there were any: the library would look for them */
        gh_quic_finish(q, q->why.kind, NULL);
        return 0;
    }
    ngtcp2_path_storage_zero(&t.path);
    ngtcp2_ccerr_default(&e);
    if (q->why.application)
        ngtcp2_ccerr_set_application_error(&e, q->why.code, reason, len);
    else
        ngtcp2_ccerr_set_transport_error(&e, q->why.code, reason, len);
    n = ngtcp2_conn_write_connection_close(q->conn, &t.path.path, &t.info, t.buf, t.cap, &e, (uint64_t)q->now);
    if (n > 0)
        append(q, b, &t, (size_t)n);
    gh_quic_finish(q, q->why.kind, NULL);
    return n > 0;
}

/* RFC 9001, section 6.6: long before the limit, since the library ends a connection that reaches it while an update is not yet confirmed. */
static void renew_key(struct gh_quic *q)
{
    if (++q->sealed < q->cfg.key_update_packets || !q->handshake_done)
        return;
    if (ngtcp2_conn_initiate_key_update(q->conn, (uint64_t)q->now) == 0) {
        q->counters.key_updates++;
        q->sealed = 0;
    } else {
        q->sealed -= q->cfg.key_update_packets / 16; /* the last one is too young: a little later */
    }
}

/* A packet of a reserved version for another connection id: what comes behind the packets of a datagram and is dropped (RFC 9000,
 * section 12.2). Zeroes follow. */
static const uint8_t filler[] = { 0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 'n', 'o', 'b', 'o', 'd', 'y', ' ', ' ', 0 };

struct gh_span gh_quic_strip(struct gh_quic *q, struct gh_span payload)
{
    size_t at = GH_QUIC_PAYLOAD_BASE;

    if (q->handshake_done || payload.len != GH_QUIC_PAYLOAD_IPV6 || memcmp(payload.data + at, filler, sizeof filler) != 0)
        return payload;
    q->filler_in += payload.len - at;
    return gh_span_of(payload.data, at);
}

/* The library pads datagrams to 1200 bytes; this makes them longer. An address that is not proved gets no more than three times what came:
 * the library sees to that, and of the filler nobody else knows, so a server sends three times the filler that came. */
static size_t pad_first_flight(struct gh_quic *q, uint8_t *packet, size_t len)
{
    size_t size = gh_quic_pmtu_first_flight(&q->pmtu);

    if (q->handshake_done || !(packet[0] & 0x80) || len != GH_QUIC_PAYLOAD_BASE || size == len)
        return 0;
    if (q->server && q->filler_out + size - len > 3 * q->filler_in)
        return 0;
    memset(packet + len, 0, size - len);
    memcpy(packet + len, filler, sizeof filler);
    q->filler_out += size - len;
    return size - len;
}

/* What the window lets out in a round trip, and how long that is. */
static void tell_queue(struct gh_quic *q)
{
    ngtcp2_conn_info info;

    ngtcp2_conn_get_conn_info(q->conn, &info);
    gh_quic_queue_set_rate(&q->queue, info.smoothed_rtt ? info.cwnd * NGTCP2_SECONDS / info.smoothed_rtt : 0);
    gh_quic_queue_set_rtt(&q->queue, (int64_t)info.smoothed_rtt);
}

/* As much as pacing and the batch allow. */
static int fill(struct gh_quic *q, struct gh_quic_batch *b)
{
    struct target t;
    size_t quantum = ngtcp2_conn_get_send_quantum(q->conn), len = 0;
    enum step step;

    if (q->carry_len)
        take_carry(q, b);
    if (q->queue.count > 1)
        tell_queue(q);
    if (quantum > GH_QUIC_BATCH_MAX)
        quantum = GH_QUIC_BATCH_MAX;
    for (unsigned i = b->len ? 1 : 0; i < GH_QUIC_BATCH_SEGMENTS && b->len + q->cfg.max_payload <= GH_QUIC_BATCH_MAX; i++) {
        if (i && b->len + b->segment > quantum && quantum)
            break;
        t = (struct target){ .buf = b->buf + b->len, .cap = q->pmtu.cap };
        ngtcp2_path_storage_zero(&t.path);
        step = write_packet(q, &t, &len);
        if (q->probe_due && step == STEP_NOTHING) {
            q->probe_due = false;
            step = write_packet(q, &t, &len);
        }
        q->probe_due = false;
        if (step != STEP_PACKET)
            break;
        len += pad_first_flight(q, t.buf, len);
        q->last_out = q->now;
        q->counters.packets_out++;
        q->counters.bytes_out += len;
        renew_key(q);
        if (!append(q, b, &t, len))
            break;
    }
    ngtcp2_conn_update_pkt_tx_time(q->conn, (uint64_t)q->now);
    if (b->len && gh_quic_keep_alive_on_packet(&q->keep_alive, false) && !q->probing)
        gh_quic_bear_silence(q);
    return b->len > 0;
}

int gh_quic_write(struct gh_quic *q, struct gh_quic_batch *batch, int64_t now)
{
    struct gh_guard g;
    int rc;

    batch->len = batch->segment = 0;
    if (q->closed)
        return 0;
    q->now = now;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return 0;
    }
    rc = q->closing ? 0 : fill(q, batch);
    if (q->closing && rc == 0)
        rc = write_close(q, batch);
    gh_guard_leave(&g);
    gh_quic_queue_trim(&q->queue, now);
    if (q->room_wanted && q->queue.count * 2 <= q->cfg.queue_packets && !q->closed) {
        q->room_wanted = false;
        q->owner.app->on_datagram_room(q->owner.app_arg);
    }
    return rc;
}

size_t gh_quic_datagram_limit(const struct gh_quic *q)
{
    const ngtcp2_transport_params *p = ngtcp2_conn_get_remote_transport_params(q->conn);

    if (!p || p->max_datagram_frame_size <= 3)
        return 0;
    return (size_t)(p->max_datagram_frame_size > 65535 ? 65535 : p->max_datagram_frame_size) - 3;
}

size_t gh_quic_datagram_max(const struct gh_quic *q)
{
    size_t payload, frame;

    if (q->closed || !q->handshake_done)
        return 0;
    frame = gh_quic_datagram_limit(q);
    payload = ngtcp2_conn_get_path_max_tx_udp_payload_size(q->conn);
    if (payload > q->pmtu.cap)
        payload = q->pmtu.cap;
    payload -= DATAGRAM_OVERHEAD + ngtcp2_conn_get_dcid(q->conn)->datalen;
    return payload < frame ? payload : frame;
}

int gh_quic_send_datagram(struct gh_quic *q, struct gh_span head, struct gh_span body, uint32_t flow, int64_t now)
{
    size_t max = gh_quic_datagram_max(q);
    int rc;

    if (max == 0 || q->closing)
        return GH_ERR_UNSUPPORTED;
    if (head.len + body.len > max || head.len + body.len == 0) {
        q->counters.too_big++;
        return GH_ERR_TOO_LONG;
    }
    rc = gh_quic_queue_append(&q->queue, head, body, flow, now);
    if (rc < 0 || q->queue.dropped_full != q->counters.queue_full)
        q->room_wanted = true;
    q->counters.queue_full = q->queue.dropped_full;
    return rc < 0 ? GH_ERR_AGAIN : 0;
}
