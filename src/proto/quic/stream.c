/* Streams as the application opens, credits and ends them. Each entry may be made inside a callback of the library. */
#include "base/error.h"
#include "proto/quic/internal.h"

static int64_t open_stream(struct gh_quic *q, bool bidi)
{
    struct gh_guard g;
    int64_t id = -1;
    int rc;

    if (q->closed || q->closing)
        return GH_ERR_CLOSED;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return GH_ERR_INTERNAL;
    }
    rc = bidi ? ngtcp2_conn_open_bidi_stream(q->conn, &id, NULL) : ngtcp2_conn_open_uni_stream(q->conn, &id, NULL);
    gh_guard_leave(&g);
    if (rc == NGTCP2_ERR_STREAM_ID_BLOCKED)
        return GH_ERR_FULL;
    return rc == 0 ? id : GH_ERR_MEMORY;
}

int64_t gh_quic_open_bidi(struct gh_quic *q)
{
    return open_stream(q, true);
}

int64_t gh_quic_open_uni(struct gh_quic *q)
{
    return open_stream(q, false);
}

uint64_t gh_quic_streams_bidi_left(const struct gh_quic *q)
{
    return q->closed ? 0 : ngtcp2_conn_get_streams_bidi_left(q->conn);
}

typedef int (*shutdown_fn)(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t code);

static void shut(struct gh_quic *q, shutdown_fn fn, int64_t stream, uint64_t code)
{
    struct gh_guard g;

    if (q->closed)
        return;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    fn(q->conn, 0, stream, code); /* a stream that is gone already is no error */
    gh_guard_leave(&g);
}

void gh_quic_reset_stream(struct gh_quic *q, int64_t stream, uint64_t code)
{
    shut(q, ngtcp2_conn_shutdown_stream, stream, code);
}

void gh_quic_stop_reading(struct gh_quic *q, int64_t stream, uint64_t code)
{
    shut(q, ngtcp2_conn_shutdown_stream_read, stream, code);
}

void gh_quic_stop_writing(struct gh_quic *q, int64_t stream, uint64_t code)
{
    shut(q, ngtcp2_conn_shutdown_stream_write, stream, code);
}

void gh_quic_widen(struct gh_quic *q, uint64_t window)
{
    uint64_t more = window > q->cfg.max_data ? window - q->cfg.max_data : 0;
    struct gh_guard g;

    if (q->closed || more == 0)
        return;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    q->cfg.max_data = window;
    ngtcp2_conn_extend_max_offset(q->conn, more);
    gh_guard_leave(&g);
}

void gh_quic_consume(struct gh_quic *q, int64_t stream, uint64_t bytes)
{
    struct gh_guard g;

    if (q->closed || bytes == 0)
        return;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    ngtcp2_conn_extend_max_stream_offset(q->conn, stream, bytes);
    ngtcp2_conn_extend_max_offset(q->conn, bytes);
    gh_guard_leave(&g);
}
