#include "proto/quic/queue.h"

#include <stdlib.h>

#include "base/error.h"

/* Stands before each datagram; <len> UINT32_MAX says that the ring goes on at its start. */
struct entry {
    int64_t since;
    uint32_t len;
    uint32_t pad;
};

#define FIRST_CAP (64u * 1024)
#define KEEP_CAP (64u * 1024) /* memory that an empty queue may keep */

static size_t entry_size(size_t len)
{
    return (sizeof(struct entry) + len + 15) & ~(size_t)15;
}

static struct entry *entry_at(const struct gh_quic_queue *q, size_t at)
{
    return (struct entry *)(void *)(q->buf + at);
}

void gh_quic_queue_init(struct gh_quic_queue *q, size_t max_count, size_t max_bytes)
{
    *q = (struct gh_quic_queue){ .max_count = max_count, .max_bytes = max_bytes };
}

void gh_quic_queue_fini(struct gh_quic_queue *q)
{
    free(q->buf);
    *q = (struct gh_quic_queue){ 0 };
}

/* Moves the entries, in order, to the start of a ring twice as large. */
static int grow(struct gh_quic_queue *q, size_t need)
{
    size_t cap = q->cap ? q->cap * 2 : FIRST_CAP, at = q->head, to = 0, size;
    uint8_t *buf;

    while (cap < need + q->cap)
        cap *= 2;
    buf = malloc(cap);
    if (!buf)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < q->count; i++) {
        if (at + sizeof(struct entry) > q->cap || entry_at(q, at)->len == UINT32_MAX)
            at = 0;
        size = entry_size(entry_at(q, at)->len);
        memcpy(buf + to, q->buf + at, size);
        to += size;
        at += size;
    }
    free(q->buf);
    q->buf = buf;
    q->cap = cap;
    q->head = 0;
    q->tail = to;
    return 0;
}

/* Where <size> bytes fit without wrapping, or SIZE_MAX. */
static size_t place(const struct gh_quic_queue *q, size_t size)
{
    if (q->count == 0)
        return size <= q->cap ? 0 : SIZE_MAX;
    if (q->tail > q->head) {
        if (q->cap - q->tail >= size)
            return q->tail;
        return size < q->head ? 0 : SIZE_MAX;
    }
    return q->head - q->tail > size ? q->tail : SIZE_MAX;
}

int gh_quic_queue_append(struct gh_quic_queue *q, struct gh_span head, struct gh_span body, int64_t now)
{
    size_t len = head.len + body.len, size = entry_size(len), at;
    struct entry *e;
    int rc;

    if (q->count >= q->max_count || q->bytes + len > q->max_bytes)
        return GH_ERR_FULL;
    at = place(q, size);
    if (at == SIZE_MAX) {
        rc = grow(q, size);
        if (rc < 0)
            return rc;
        at = q->tail;
    }
    if (q->count == 0) {
        q->head = 0;
    } else if (at == 0 && q->tail + sizeof(struct entry) <= q->cap && q->tail != 0) {
        entry_at(q, q->tail)->len = UINT32_MAX;
    }
    e = entry_at(q, at);
    *e = (struct entry){ .since = now, .len = (uint32_t)len };
    if (head.len)
        memcpy(e + 1, head.data, head.len);
    if (body.len)
        memcpy((uint8_t *)(e + 1) + head.len, body.data, body.len);
    q->tail = at + size;
    q->count++;
    q->bytes += len;
    return 0;
}

static size_t head_at(const struct gh_quic_queue *q)
{
    if (q->head + sizeof(struct entry) > q->cap || entry_at(q, q->head)->len == UINT32_MAX)
        return 0;
    return q->head;
}

struct gh_span gh_quic_queue_peek(const struct gh_quic_queue *q, int64_t *ret_since)
{
    struct entry *e;

    if (q->count == 0)
        return gh_span_of(NULL, 0);
    e = entry_at(q, head_at(q));
    *ret_since = e->since;
    return gh_span_of(e + 1, e->len);
}

void gh_quic_queue_consume(struct gh_quic_queue *q)
{
    size_t at = head_at(q), len = entry_at(q, at)->len;

    q->head = at + entry_size(len);
    q->count--;
    q->bytes -= len;
    if (q->count)
        return;
    q->head = q->tail = 0;
    if (q->cap > KEEP_CAP) {
        free(q->buf);
        q->buf = NULL;
        q->cap = 0;
    }
}
