#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "proto/quic/internal.h"

#define MAX_CIDS 8 /* the library asserts that it is told no more */
#define H3_INTERNAL_ERROR 0x102u

#define PROBE_INTERVAL (250 * NGTCP2_MILLISECONDS)

void gh_quic_config_default(struct gh_quic_config *ret)
{
    *ret = (struct gh_quic_config){
        .congestion = GH_QUIC_LOOSE,
        .idle_timeout = 30 * (int64_t)NGTCP2_SECONDS,
        .keep_alive = 10 * (int64_t)NGTCP2_SECONDS,
        .handshake_timeout = 10 * (int64_t)NGTCP2_SECONDS,
        .probe_interval = 400 * (int64_t)NGTCP2_MILLISECONDS,
        .max_data = 1024 * 1024,
        .max_stream_data = 256 * 1024,
        .max_streams_bidi = 16,
        .max_datagram = 65535,
        .max_payload = GH_QUIC_PAYLOAD_MAX,
        .queue_packets = 1024,
        .queue_bytes = 2 * 1024 * 1024,
        .queue_time = 0,
        .queue_target = 0,
        .queue_interval = 100 * (int64_t)NGTCP2_MILLISECONDS,
        .key_update_packets = UINT64_C(1) << 21, /* a quarter of AES-GCM's limit (RFC 9001, section 6.6) */
        .random = gh_random_system,
    };
}

size_t gh_quic_max_payload(size_t mtu)
{
    size_t payload = mtu + GH_QUIC_PLPMTU_IPV6 - 1280; /* the same overhead whatever the size */

    if (payload <= GH_QUIC_PAYLOAD_MAX)
        return GH_QUIC_PAYLOAD_MAX;
    return payload < GH_QUIC_PAYLOAD_JUMBO ? payload : GH_QUIC_PAYLOAD_JUMBO;
}

void gh_quic_finish(struct gh_quic *q, enum gh_quic_close_kind kind, const char *reason)
{
    if (q->closed)
        return;
    q->closed = true;
    if (!q->closing) {
        q->why.kind = kind;
        if (reason)
            snprintf(q->why.reason, sizeof q->why.reason, "%s", reason);
    }
    gh_quic_queue_fini(&q->queue);
    q->owner.host->on_closed(q->owner.host_arg, &q->why);
}

void gh_quic_abandon(struct gh_quic *q, const char *assertion)
{
    q->broken = true;
    q->closing = false;
    gh_quic_finish(q, GH_QUIC_CLOSED_ASSERTION, assertion);
}

bool gh_quic_is_abandoned(const struct gh_quic *q)
{
    return q->broken;
}

void gh_quic_break(struct gh_quic *q, const struct gh_guard *g)
{
    gh_quic_abandon(q, g->text);
}

/* What the peer said when it closed. */
static void note_peer_close(struct gh_quic *q)
{
    const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr(q->conn);

    q->why.application = e->type == NGTCP2_CCERR_TYPE_APPLICATION;
    q->why.code = e->error_code;
    snprintf(q->why.reason, sizeof q->why.reason, "%.*s", (int)(e->reasonlen < 100 ? e->reasonlen : 100), (const char *)e->reason);
}

void gh_quic_fail(struct gh_quic *q, int liberr)
{
    ngtcp2_ccerr e;

    switch (liberr) {
    case NGTCP2_ERR_DRAINING:
        q->closing = false;
        note_peer_close(q);
        q->why.kind = GH_QUIC_CLOSED_PEER;
        gh_quic_finish(q, GH_QUIC_CLOSED_PEER, NULL);
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
        gh_quic_finish(q, GH_QUIC_CLOSED_IDLE, "idle time-out");
        return;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        gh_quic_finish(q, GH_QUIC_CLOSED_HANDSHAKE, "handshake time-out");
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        q->why.retry = liberr == NGTCP2_ERR_RETRY;
        gh_quic_finish(q, GH_QUIC_CLOSED_HANDSHAKE, "no usable first packet");
        return;
    default:
        break;
    }
    if (q->closing)
        return; /* a callback closed it: its code stands */
    ngtcp2_ccerr_default(&e);
    if (liberr == NGTCP2_ERR_CRYPTO)
        ngtcp2_ccerr_set_tls_alert(&e, ngtcp2_conn_get_tls_alert(q->conn), NULL, 0);
    else if (liberr == NGTCP2_ERR_CALLBACK_FAILURE)
        ngtcp2_ccerr_set_application_error(&e, H3_INTERNAL_ERROR, NULL, 0);
    else
        ngtcp2_ccerr_set_liberr(&e, liberr, NULL, 0);
    gh_quic_close(q, e.type == NGTCP2_CCERR_TYPE_APPLICATION, e.error_code, ngtcp2_strerror(liberr));
    if (!q->handshake_done)
        q->why.kind = GH_QUIC_CLOSED_HANDSHAKE;
}

/* Callbacks of the library that concern the connection as a whole. */

static int result(struct gh_quic *q, int rc)
{
    return rc < 0 || q->closing ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

/* RFC 9000, section 8.1.3: the client's next connection is spared the Retry. */
static int offer_token(struct gh_quic *q)
{
    uint8_t token[GH_QUIC_NEW_TOKEN_MAX];
    int len = q->owner.host->make_token ? q->owner.host->make_token(q->owner.host_arg, token) : 0;

    return len > 0 && ngtcp2_conn_submit_new_token(q->conn, token, (size_t)len) != 0 ? GH_ERR_MEMORY : 0;
}

static int cb_new_token(ngtcp2_conn *conn, const uint8_t *token, size_t len, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    if (q->owner.host->on_token)
        q->owner.host->on_token(q->owner.host_arg, gh_span_of(token, len));
    return 0;
}

static int cb_handshake_completed(ngtcp2_conn *conn, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    q->handshake_done = true;
    if (q->filler_out == 0)
        gh_quic_pmtu_on_timeout(&q->pmtu);
    gh_quic_pmtu_on_answer(&q->pmtu);
    if (q->server && offer_token(q) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    q->owner.app->on_handshake(q->owner.app_arg);
    return result(q, 0);
}

/* A client learns the peer's limits with the key that opens, a server can speak with the key that seals. */
static int cb_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    if (level != NGTCP2_ENCRYPTION_LEVEL_1RTT || q->keys_told)
        return 0;
    q->keys_told = true;
    return result(q, q->owner.app->on_keys(q->owner.app_arg));
}

static int cb_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data, size_t len, void *arg,
                          void *stream_arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)offset;
    (void)stream_arg;
    return result(q, q->owner.app->on_stream_data(q->owner.app_arg, id, gh_span_of(data, len), flags & NGTCP2_STREAM_DATA_FLAG_FIN));
}

static int cb_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len, void *arg, void *stream_arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)offset;
    (void)stream_arg;
    return result(q, q->owner.app->on_stream_acked(q->owner.app_arg, id, len));
}

static int cb_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
    struct gh_quic *q = arg;
    bool ours = ngtcp2_conn_is_local_stream(conn, id);

    (void)stream_arg;
    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET))
        code = 0x100; /* H3_NO_ERROR */
    if (!ours && ngtcp2_is_bidi_stream(id))
        ngtcp2_conn_extend_max_streams_bidi(conn, 1);
    else if (!ours)
        ngtcp2_conn_extend_max_streams_uni(conn, 1);
    return result(q, q->owner.app->on_stream_closed(q->owner.app_arg, id, code));
}

static int cb_stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *arg, void *stream_arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)size;
    (void)stream_arg;
    return result(q, q->owner.app->on_stream_reset(q->owner.app_arg, id, code));
}

static int cb_stream_credit(ngtcp2_conn *conn, int64_t id, uint64_t max, void *arg, void *stream_arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)max;
    (void)stream_arg;
    return result(q, q->owner.app->on_stream_credit(q->owner.app_arg, id));
}

static int cb_streams_bidi(ngtcp2_conn *conn, uint64_t max, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)max;
    q->owner.app->on_streams_bidi(q->owner.app_arg);
    return result(q, 0);
}

static int cb_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t len, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)flags;
    q->counters.datagrams_in++;
    return result(q, q->owner.app->on_datagram(q->owner.app_arg, gh_span_of(data, len)));
}

static int cb_lost_datagram(ngtcp2_conn *conn, uint64_t id, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)id;
    gh_quic_silence_on_told(&q->silence, q->now);
    if (id & GH_QUIC_MTU_PROBE) {
        gh_quic_pmtu_on_probe_lost(&q->pmtu, q->now);
        return 0;
    }
    q->counters.datagrams_lost++;
    if (!gh_quic_pmtu_excuses(&q->pmtu, GH_QUIC_ID_SIZE(id), GH_QUIC_ID_ORDER(id)))
        q->counters.black_holes += gh_quic_pmtu_on_lost(&q->pmtu, GH_QUIC_ID_SIZE(id), q->now);
    return 0;
}

static int cb_ack_datagram(ngtcp2_conn *conn, uint64_t id, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    gh_quic_silence_on_told(&q->silence, q->now);
    if (id & GH_QUIC_MTU_PROBE) {
        gh_quic_pmtu_on_probe_acked(&q->pmtu, GH_QUIC_ID_SIZE(id), q->now);
    } else {
        gh_quic_pmtu_on_acked(&q->pmtu, GH_QUIC_ID_SIZE(id));
        gh_quic_pmtu_note(&q->pmtu, GH_QUIC_ID_SIZE(id), GH_QUIC_ID_ORDER(id));
    }
    return 0;
}

static int cb_new_cid(ngtcp2_conn *conn, ngtcp2_cid *ret, uint8_t *token, size_t len, void *arg)
{
    struct gh_quic *q = arg;
    struct gh_quic_cid cid;

    (void)conn;
    (void)len; /* ours always have GH_QUIC_CID_LEN bytes */
    if (q->owner.host->make_cid(q->owner.host_arg, &cid, token) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    gh_quic_cid_to(&cid, ret);
    return 0;
}

static int cb_remove_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *arg)
{
    struct gh_quic *q = arg;
    struct gh_quic_cid c;

    (void)conn;
    gh_quic_cid_from(cid, &c);
    q->owner.host->retire_cid(q->owner.host_arg, &c);
    return 0;
}

static int cb_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *sr, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)sr;
    q->why.kind = GH_QUIC_CLOSED_RESET;
    snprintf(q->why.reason, sizeof q->why.reason, "stateless reset: the peer lost this connection");
    q->closing = true;
    return 0;
}

static int cb_path_validation(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *old_path,
                              ngtcp2_path_validation_result res, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    (void)flags;
    if (res == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS && (!old_path || !ngtcp2_path_eq(path, old_path))) {
        gh_quic_pmtu_reset(&q->pmtu, q->now);
        q->unmarked = q->repeated;
    }
    q->challenged = 0;
    q->repeated = false;
    return 0;
}

static void fill_callbacks(ngtcp2_callbacks *cb, bool server)
{
    *cb = (ngtcp2_callbacks){
        .handshake_completed = cb_handshake_completed,
        .recv_stream_data = cb_stream_data,
        .acked_stream_data_offset = cb_acked,
        .stream_close = cb_stream_close,
        .stream_reset = cb_stream_reset,
        .extend_max_stream_data = cb_stream_credit,
        .extend_max_local_streams_bidi = cb_streams_bidi,
        .recv_datagram = cb_datagram,
        .lost_datagram = cb_lost_datagram,
        .ack_datagram = cb_ack_datagram,
        .get_new_connection_id = cb_new_cid,
        .remove_connection_id = cb_remove_cid,
        .recv_stateless_reset = cb_stateless_reset,
        .recv_new_token = cb_new_token,
        .path_validation = cb_path_validation,
    };
    if (server)
        cb->recv_tx_key = cb_key;
    else
        cb->recv_rx_key = cb_key;
    gh_quic_crypto_callbacks(cb, server);
}

static void fill_settings(struct gh_quic *q, int64_t now, ngtcp2_settings *s, ngtcp2_transport_params *p)
{
    /* what IPv6 needs first, then the largest, then what lies between */
    const uint16_t probes[] = { GH_QUIC_PLPMTU_IPV6, (uint16_t)q->cfg.max_payload, 4000, 1472, 1452, 1400, GH_QUIC_PAYLOAD_IPV6 };
    const struct gh_quic_config *cfg = &q->cfg;

    ngtcp2_settings_default(s);
    s->initial_ts = (uint64_t)now;
    s->rand_ctx.native_handle = q;
    s->max_tx_udp_payload_size = cfg->max_payload;
    s->handshake_timeout = (uint64_t)cfg->handshake_timeout;
    s->max_window = 16 * cfg->max_data;
    s->max_stream_window = 16 * cfg->max_stream_data;
    memcpy(q->probe_sizes, probes, sizeof probes);
    s->pmtud_probes = q->probe_sizes;
    s->pmtud_probeslen = sizeof probes / sizeof *probes;
    s->cc_algo = cfg->congestion == GH_QUIC_NEWRENO                                   ? NGTCP2_CC_ALGO_RENO
                 : cfg->congestion == GH_QUIC_LOOSE && gh_quic_congestion_is_ours() ? NGTCP2_CC_ALGO_BBR
                                                                                      : NGTCP2_CC_ALGO_CUBIC;
    s->ack_thresh = 8; /* acknowledgements by batch, not by two packets */
    ngtcp2_transport_params_default(p);
    p->initial_max_data = cfg->max_data;
    p->initial_max_stream_data_bidi_local = cfg->max_stream_data;
    p->initial_max_stream_data_bidi_remote = cfg->max_stream_data;
    p->initial_max_stream_data_uni = cfg->max_stream_data;
    p->initial_max_streams_bidi = q->server ? cfg->max_streams_bidi : 0;
    p->initial_max_streams_uni = 8; /* RFC 9114, section 6.2: at least three */
    p->max_idle_timeout = (uint64_t)cfg->idle_timeout;
    p->max_udp_payload_size = 65527;
    p->active_connection_id_limit = MAX_CIDS;
    p->max_datagram_frame_size = cfg->max_datagram;
    p->grease_quic_bit = 0; /* the demultiplexer relies on the fixed bit */
}

static int setup(struct gh_quic *q, const ngtcp2_cid *dcid, const ngtcp2_cid *scid, const ngtcp2_path *path, uint32_t version,
                 const ngtcp2_settings *s, const ngtcp2_transport_params *p)
{
    ngtcp2_callbacks cb;
    struct gh_guard g;
    int rc;

    fill_callbacks(&cb, q->server);
    if (GH_GUARD_ENTER(&g))
        return GH_ERR_INTERNAL;
    rc = q->server ? ngtcp2_conn_server_new(&q->conn, dcid, scid, path, version, &cb, s, p, NULL, q)
                   : ngtcp2_conn_client_new(&q->conn, dcid, scid, path, version, &cb, s, p, NULL, q);
    q->keep_alive = (struct gh_quic_keep_alive){ .pause = q->cfg.keep_alive, .server = q->server };
    if (rc == 0 && q->cfg.keep_alive)
        ngtcp2_conn_set_keep_alive_timeout(q->conn, (uint64_t)q->cfg.keep_alive);
    gh_guard_leave(&g);
    return rc == 0 ? 0 : GH_ERR_MEMORY;
}

static struct gh_quic *allocate(const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, bool server)
{
    struct gh_quic *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->cfg = *cfg;
    q->owner = *owner;
    q->server = server;
    gh_quic_pmtu_init(&q->pmtu, cfg->max_payload);
    gh_quic_queue_init(&q->queue, &(struct gh_quic_queue_limits){ cfg->queue_packets, cfg->queue_bytes, cfg->queue_time, cfg->queue_target,
                                                                  cfg->queue_interval });
    return q;
}

static void path_to(const struct gh_quic_path *path, struct gh_quic_sockaddr sa[2], ngtcp2_path *ret)
{
    gh_quic_sockaddr_of(&path->local, &sa[0]);
    gh_quic_sockaddr_of(&path->remote, &sa[1]);
    *ret = (ngtcp2_path){ { &sa[0].any, sa[0].len }, { &sa[1].any, sa[1].len }, NULL };
}

int gh_quic_create_server(const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, struct gh_tls_ctx *tls,
                          const struct gh_quic_initial *first, const struct gh_quic_path *path, int64_t now, struct gh_quic **ret)
{
    struct gh_quic *q = allocate(cfg, owner, true);
    struct gh_quic_sockaddr sa[2];
    struct gh_quic_cid scid;
    ngtcp2_settings s;
    ngtcp2_transport_params p;
    ngtcp2_cid lib_dcid, lib_scid;
    ngtcp2_path lib_path;
    int rc;

    if (!q)
        return GH_ERR_MEMORY;
    fill_settings(q, now, &s, &p);
    q->first_dcid = first->dcid;
    if (first->payload < GH_QUIC_PAYLOAD_IPV6)
        gh_quic_pmtu_on_timeout(&q->pmtu); /* who does not pad knows why */
    gh_quic_cid_to(first->proof == GH_QUIC_PROOF_RETRY ? &first->original : &first->dcid, &p.original_dcid);
    p.original_dcid_present = 1;
    if (first->proof == GH_QUIC_PROOF_RETRY) {
        gh_quic_cid_to(&first->dcid, &p.retry_scid);
        p.retry_scid_present = 1;
    }
    if (first->proof != GH_QUIC_PROOF_NONE) { /* lifts the limit of three times what came */
        s.token = first->token.data;
        s.tokenlen = first->token.len;
        s.token_type = first->proof == GH_QUIC_PROOF_RETRY ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    }
    rc = owner->host->make_cid(owner->host_arg, &scid, p.stateless_reset_token);
    p.stateless_reset_token_present = 1;
    gh_quic_cid_to(&first->scid, &lib_dcid);
    path_to(path, sa, &lib_path);
    if (rc == 0) {
        gh_quic_cid_to(&scid, &lib_scid);
        rc = gh_tls_create(tls, NULL, &gh_quic_tls_events, q, &q->tls);
    }
    if (rc == 0)
        rc = setup(q, &lib_dcid, &lib_scid, &lib_path, first->version, &s, &p);
    if (rc < 0) {
        gh_quic_destroy(q);
        return rc;
    }
    *ret = q;
    return 0;
}

int gh_quic_create_client(const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, const struct gh_quic_target *to,
                          const struct gh_quic_path *path, int64_t now, struct gh_quic **ret)
{
    struct gh_quic *q = allocate(cfg, owner, false);
    struct gh_quic_sockaddr sa[2];
    struct gh_quic_cid scid;
    uint8_t token[GH_QUIC_RESET_TOKEN];
    ngtcp2_settings s;
    ngtcp2_transport_params p;
    ngtcp2_cid lib_dcid = { .datalen = 8 }, lib_scid; /* RFC 9000, section 7.2: the least, which is what browsers take */
    ngtcp2_path lib_path;
    int rc;

    if (!q)
        return GH_ERR_MEMORY;
    fill_settings(q, now, &s, &p);
    rc = owner->host->make_cid(owner->host_arg, &scid, token); /* a client offers no reset token for its first id */
    if (rc == 0)
        rc = cfg->random.fill(cfg->random.arg, lib_dcid.data, lib_dcid.datalen);
    path_to(path, sa, &lib_path);
    if (rc == 0) {
        gh_quic_cid_to(&scid, &lib_scid);
        gh_quic_cid_from(&lib_dcid, &q->first_dcid);
        s.token = to->token.data;
        s.tokenlen = to->token.len;
        s.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
        rc = gh_tls_create(to->tls, to->server_name, &gh_quic_tls_events, q, &q->tls);
    }
    if (rc == 0 && to->certificate_name)
        rc = gh_tls_set_certificate_name(q->tls, to->certificate_name);
    if (rc == 0 && to->ech)
        rc = gh_tls_set_ech(q->tls, to->ech_list);
    if (rc == 0 && to->session)
        gh_tls_resume(q->tls, to->session);
    if (rc == 0)
        rc = setup(q, &lib_dcid, &lib_scid, &lib_path, NGTCP2_PROTO_VER_V1, &s, &p);
    if (rc < 0) {
        gh_quic_destroy(q);
        return rc;
    }
    *ret = q;
    return 0;
}

void gh_quic_destroy(struct gh_quic *q)
{
    struct gh_guard g;

    if (!q)
        return;
    if (!q->broken) {
        if (q->conn) {
            if (GH_GUARD_ENTER(&g) == 0) {
                ngtcp2_conn_del(q->conn);
                gh_guard_leave(&g);
            }
        }
        gh_tls_destroy(q->tls);
    }
    gh_quic_queue_fini(&q->queue);
    free(q->carry);
    free(q);
}

void gh_quic_bear_silence(struct gh_quic *q)
{
    const ngtcp2_transport_params *peer = ngtcp2_conn_get_remote_transport_params(q->conn);
    int64_t idle = q->cfg.idle_timeout, pause;

    if (peer && peer->max_idle_timeout && peer->max_idle_timeout < (idle ? (uint64_t)idle : INT64_MAX))
        idle = (int64_t)peer->max_idle_timeout;
    pause = gh_quic_keep_alive_pause(&q->keep_alive, idle);
    ngtcp2_conn_set_keep_alive_timeout(q->conn, pause ? (uint64_t)pause : UINT64_MAX);
}

/* It is the peer, who has the keys: not somebody who sends us anything, nor a successor who has forgotten the connection. */
static void on_heard(struct gh_quic *q)
{
    bool changed = gh_quic_keep_alive_on_packet(&q->keep_alive, true);

    q->counters.heard++;
    if (!q->probing && !changed)
        return;
    gh_quic_bear_silence(q);
    q->probing = false;
}

void gh_quic_recv(struct gh_quic *q, const struct gh_quic_path *path, uint8_t ecn, struct gh_span payload, int64_t now)
{
    struct gh_quic_sockaddr sa[2];
    ngtcp2_path lib_path;
    ngtcp2_pkt_info info = { .ecn = ecn };
    struct gh_guard g;
    int rc;

    if (q->closed || q->closing || payload.len == 0)
        return;
    q->now = now;
    q->counters.packets_in++;
    q->counters.bytes_in += payload.len;
    payload = gh_quic_strip(q, payload);
    path_to(path, sa, &lib_path);
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    rc = ngtcp2_conn_read_pkt(q->conn, &lib_path, &info, payload.data, payload.len, (uint64_t)now);
    if (g.opened > 0)
        on_heard(q);
    if (rc == 0 && !q->server)
        gh_quic_pmtu_on_answer(&q->pmtu);
    if (q->why.kind == GH_QUIC_CLOSED_RESET && q->closing)
        gh_quic_finish(q, GH_QUIC_CLOSED_RESET, NULL);
    else if (rc != 0)
        gh_quic_fail(q, rc);
    gh_guard_leave(&g);
    if (q->server && q->handshake_done)
        gh_tls_shrink(q->tls); /* the application has seen the certificate */
}

static int64_t probe_interval(const struct gh_quic *q)
{
    ngtcp2_conn_info info;

    if (q->silence.outstanding == 0 || q->cfg.probe_interval == 0)
        return 0;
    ngtcp2_conn_get_conn_info(q->conn, &info);
    return 3 * (int64_t)info.smoothed_rtt > q->cfg.probe_interval ? 3 * (int64_t)info.smoothed_rtt : q->cfg.probe_interval;
}

/* The library's timer before its time. It sets the number of probes to send; a library that does not have the function has its own pauses. */
static int ask_again(struct gh_quic *q, int64_t now)
{
    gh_quic_silence_on_probe(&q->silence, now);
    q->counters.probes++;
    return ngtcp2_conn_on_loss_detection_timer ? ngtcp2_conn_on_loss_detection_timer(q->conn, (ngtcp2_tstamp)now) : 0;
}

void gh_quic_probe(struct gh_quic *q)
{
    struct gh_guard g;

    if (q->closed || q->closing || q->probing || !q->handshake_done)
        return;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    ngtcp2_conn_set_keep_alive_timeout(q->conn, PROBE_INTERVAL);
    gh_guard_leave(&g);
    q->probing = true;
}

int64_t gh_quic_deadline(const struct gh_quic *q)
{
    int64_t probe;
    ngtcp2_tstamp t;

    if (q->closed)
        return GH_QUIC_NEVER;
    if (q->closing || q->carry_len)
        return 0;
    t = ngtcp2_conn_get_expiry(q->conn);
    probe = gh_quic_silence_deadline(&q->silence, probe_interval(q));
    return t > (ngtcp2_tstamp)probe ? probe : (int64_t)t;
}

void gh_quic_expire(struct gh_quic *q, int64_t now)
{
    struct gh_guard g;
    int rc;

    if (q->closed || q->closing)
        return;
    q->now = now;
    if (GH_GUARD_ENTER(&g)) {
        gh_quic_break(q, &g);
        return;
    }
    if (!q->handshake_done && now - q->last_out >= (int64_t)ngtcp2_conn_get_pto(q->conn) / 2) {
        gh_quic_pmtu_on_timeout(&q->pmtu);
        q->unmarked = true;
    }
    rc = ngtcp2_conn_handle_expiry(q->conn, (uint64_t)now);
    q->probe_due = q->silence.outstanding && now - q->silence.since > (int64_t)ngtcp2_conn_get_pto(q->conn);
    if (rc == 0 && now >= gh_quic_silence_deadline(&q->silence, probe_interval(q)))
        rc = ask_again(q, now);
    if (rc != 0)
        gh_quic_fail(q, rc);
    gh_guard_leave(&g);
}

void gh_quic_close(struct gh_quic *q, bool application, uint64_t code, const char *reason)
{
    if (q->closed || q->closing)
        return;
    q->closing = true;
    q->why.kind = GH_QUIC_CLOSED_LOCAL;
    q->why.application = application;
    q->why.code = code;
    snprintf(q->why.reason, sizeof q->why.reason, "%s", reason ? reason : "");
}

bool gh_quic_is_closed(const struct gh_quic *q)
{
    return q->closed || q->closing;
}

uint64_t gh_quic_noise(struct gh_quic *q)
{
    uint64_t noise = 0;

    return q->cfg.random.fill(q->cfg.random.arg, &noise, sizeof noise) < 0 ? 0 : noise;
}

struct gh_tls *gh_quic_tls(struct gh_quic *q)
{
    return q->tls;
}

const struct gh_quic_counters *gh_quic_counters(const struct gh_quic *q)
{
    return &q->counters;
}

bool gh_quic_handshake_complete(const struct gh_quic *q)
{
    return q->handshake_done;
}

const struct gh_quic_cid *gh_quic_first_dcid(const struct gh_quic *q)
{
    return &q->first_dcid;
}

size_t gh_quic_plpmtu(const struct gh_quic *q)
{
    return q->closed ? 0 : gh_quic_pmtu_carries(&q->pmtu, ngtcp2_conn_get_path_max_tx_udp_payload_size(q->conn), q->now);
}

int64_t gh_quic_rtt(struct gh_quic *q)
{
    ngtcp2_conn_info info;

    if (q->closed)
        return 0;
    ngtcp2_conn_get_conn_info(q->conn, &info);
    return (int64_t)info.smoothed_rtt;
}

struct gh_quic_path gh_quic_current_path(struct gh_quic *q)
{
    struct gh_quic_path ret = { 0 };

    if (!q->broken) {
        const ngtcp2_path *p = ngtcp2_conn_get_path(q->conn);

        gh_quic_addr_of(&p->local, &ret.local);
        gh_quic_addr_of(&p->remote, &ret.remote);
    }
    return ret;
}
