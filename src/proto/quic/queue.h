/* proto/quic/queue.h - datagrams that wait for the congestion window
 *
 * A ring of bytes, bounded in packets, bytes and time; each datagram lies in one piece. It grows as needed and gives its memory
 * back when it runs empty.
 */
#ifndef GH_PROTO_QUIC_QUEUE_H
#define GH_PROTO_QUIC_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct gh_quic_queue {
    uint8_t *buf;
    size_t cap, head, tail; /* bytes; empty when count is 0 */
    size_t count, bytes;
    size_t max_count, max_bytes;
};

void gh_quic_queue_init(struct gh_quic_queue *q, size_t max_count, size_t max_bytes);
void gh_quic_queue_fini(struct gh_quic_queue *q);
/* 0, GH_ERR_FULL or GH_ERR_MEMORY; nothing is queued on failure. */
int gh_quic_queue_append(struct gh_quic_queue *q, struct gh_span head, struct gh_span body, int64_t now);
/* The oldest datagram and when it came; an empty span when there is none. Valid until consume or append. */
struct gh_span gh_quic_queue_peek(const struct gh_quic_queue *q, int64_t *ret_since);
void gh_quic_queue_consume(struct gh_quic_queue *q);

#endif
