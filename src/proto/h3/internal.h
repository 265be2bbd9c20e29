/* proto/h3/internal.h - the engine and its streams, for the files of this folder */
#ifndef GH_PROTO_H3_INTERNAL_H
#define GH_PROTO_H3_INTERNAL_H

#include <nghttp3/nghttp3.h>

#include "base/map.h"
#include "proto/h3/body.h"
#include "proto/h3/control.h"
#include "proto/h3/fields.h"
#include "proto/h3/grease.h"
#include "proto/h3/h3.h"
#include "proto/h3/settings.h"

struct gh_h3_stream {
    struct gh_map_node node; /* in h->streams, by id */
    struct gh_h3 *h;
    int64_t id;
    void *user;
    struct gh_http_head_store *building; /* while a head arrives */
    struct gh_h3_fields fields;  /* what arrives, before the library sees it */
    struct gh_h3_body body;       /* what we send */
    size_t untaken;  /* body bytes that came and have no credit yet */
    bool held;       /* credit by gh_h3_consume */
    bool headed;     /* our head went out */
    bool ended;      /* no body bytes after those buffered */
    bool end_sent;
    bool want_writable, announced, recv_ended, closed;
    bool aborted;    /* reset by us: what still arrives is told to nobody */
};

struct gh_h3 {
    struct gh_h3_config cfg;
    nghttp3_conn *conn;
    nghttp3_qpack_decoder *fields; /* for the streams' <fields> */
    struct gh_quic *q;
    struct gh_map streams;
    struct gh_h3_settings settings;
    struct gh_h3_control control;
    struct gh_h3_grease grease;
    struct gh_h3_counters counters;
    uint64_t bidi_opened, bidi_closed;
    bool quiet;    /* the library had nothing to send and nothing has happened to it since */
    bool bound;    /* our control stream is open */
    bool draining; /* GOAWAY was told, or will be once it is */
    bool peer_drains; /* GOAWAY was heard */
};

/* In h->streams; NULL when memory is out. */
struct gh_h3_stream *gh_h3_stream_create(struct gh_h3 *h, int64_t id);
void gh_h3_stream_destroy(struct gh_h3_stream *s);
/* Body bytes of one stream that may wait now. */
size_t gh_h3_body_max(const struct gh_h3 *h);
/* The library asks for body bytes of a stream: an nghttp3_read_data_callback. */
nghttp3_ssize gh_h3_read_body(nghttp3_conn *conn, int64_t id, nghttp3_vec *vec, size_t cap, uint32_t *flags, void *arg, void *stream_arg);

#endif
