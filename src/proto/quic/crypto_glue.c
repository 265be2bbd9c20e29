/* What the QUIC library asks of cryptography, answered by crypto/aead.h and crypto/tls.h. */
#include <stdlib.h>

#include "base/error.h"
#include "proto/quic/internal.h"
#include "proto/quic/params.h"

static enum gh_tls_level level_of(ngtcp2_encryption_level l)
{
    switch (l) {
    case NGTCP2_ENCRYPTION_LEVEL_0RTT:
        return GH_TLS_EARLY;
    case NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE:
        return GH_TLS_HANDSHAKE;
    case NGTCP2_ENCRYPTION_LEVEL_1RTT:
        return GH_TLS_APPLICATION;
    default:
        return GH_TLS_INITIAL;
    }
}

static ngtcp2_encryption_level level_to(enum gh_tls_level l)
{
    switch (l) {
    case GH_TLS_EARLY:
        return NGTCP2_ENCRYPTION_LEVEL_0RTT;
    case GH_TLS_HANDSHAKE:
        return NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE;
    case GH_TLS_APPLICATION:
        return NGTCP2_ENCRYPTION_LEVEL_1RTT;
    default:
        return NGTCP2_ENCRYPTION_LEVEL_INITIAL;
    }
}

static void set_suite(ngtcp2_crypto_ctx *ctx, const struct gh_aead_suite *s)
{
    void *handle = (void *)(uintptr_t)s;

    *ctx = (ngtcp2_crypto_ctx){
        .aead = { handle, GH_AEAD_TAG },
        .md = { handle },
        .hp = { handle },
        .max_encryption = gh_aead_suite_seal_limit(s),
        .max_decryption_failure = gh_aead_suite_open_limit(s),
    };
}

int gh_quic_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *text, size_t len,
                    const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
    (void)aead;
    (void)nonce_len;
    if (gh_aead_seal(ctx->native_handle, dest, gh_span_of(text, len), nonce, gh_span_of(aad, aad_len)) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int cb_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *sealed, size_t len,
                      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
    int rc = gh_aead_open(ctx->native_handle, dest, gh_span_of(sealed, len), nonce, gh_span_of(aad, aad_len));

    (void)aead;
    (void)nonce_len;
    if (rc == GH_ERR_DENIED)
        return NGTCP2_ERR_DECRYPT;
    if (rc == 0 && *gh_guard_top())
        (*gh_guard_top())->opened++;
    return rc < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

int gh_quic_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
    (void)hp;
    return gh_header_mask(ctx->native_handle, dest, sample) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void cb_delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *arg)
{
    (void)conn;
    (void)arg;
    gh_aead_key_destroy(ctx->native_handle);
}

static void cb_delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *arg)
{
    (void)conn;
    (void)arg;
    gh_header_key_destroy(ctx->native_handle);
}

struct key_set {
    struct gh_aead_key *aead;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
};

static void key_set_fini(struct key_set *k)
{
    gh_aead_key_destroy(k->aead);
    gh_header_key_destroy(k->header);
}

static int install_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, const struct gh_tls *tls)
{
    const struct gh_aead_suite *suite = gh_aead_suite_initial(gh_tls_aead(tls));
    bool server = ngtcp2_conn_is_server(conn);
    struct key_set rx = { 0 }, tx = { 0 };
    ngtcp2_crypto_ctx ctx;
    uint8_t client[32], srv[32];
    int rc = gh_aead_initial_secrets(gh_span_of(dcid->data, dcid->datalen), client, srv);

    if (rc == 0)
        rc = gh_aead_key_derive(suite, server ? client : srv, false, &rx.aead, rx.iv, &rx.header);
    if (rc == 0)
        rc = gh_aead_key_derive(suite, server ? srv : client, true, &tx.aead, tx.iv, &tx.header);
    if (rc == 0) {
        ngtcp2_crypto_aead_ctx rx_aead = { rx.aead }, tx_aead = { tx.aead };
        ngtcp2_crypto_cipher_ctx rx_header = { rx.header }, tx_header = { tx.header };

        set_suite(&ctx, suite);
        ngtcp2_conn_set_initial_crypto_ctx(conn, &ctx);
        rc = ngtcp2_conn_install_initial_key(conn, &rx_aead, rx.iv, &rx_header, &tx_aead, tx.iv, &tx_header, GH_AEAD_IV);
    }
    if (rc != 0) {
        key_set_fini(&rx);
        key_set_fini(&tx);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* RFC 9000, section 18.1: a reserved parameter, 31 * n + 27, that peers must not mind. */
static size_t grease_params(struct gh_quic *q, uint8_t *buf, size_t cap)
{
    uint64_t noise = gh_quic_noise(q);
    struct gh_writer w = gh_writer_of(buf, cap);

    gh_write_varint(&w, 31 * (noise >> 48) + 27);
    gh_write_varint(&w, noise % 8);
    gh_write_bytes(&w, &noise, noise % 8);
    return w.failed ? 0 : gh_writer_len(&w);
}

static int set_params(struct gh_quic *q)
{
    ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params(q->conn);
    uint8_t buf[512];
    ngtcp2_ssize len;

    /* The library counts ids that are being retired against the peer and would close a connection that rebinds and migrates
     * within a moment: offer fewer than it accepts. */
    if (params.active_connection_id_limit > 4)
        params.active_connection_id_limit = 4;
    len = ngtcp2_transport_params_encode(buf, sizeof buf, &params);
    if (len < 0)
        return GH_ERR_INTERNAL;
    len += (ngtcp2_ssize)grease_params(q, buf + len, sizeof buf - (size_t)len);
    if (!q->server) /* a server's are encrypted */
        gh_quic_params_shuffle(buf, (size_t)len, gh_quic_noise(q));
    return gh_tls_set_transport_params(q->tls, gh_span_of(buf, (size_t)len));
}

static int cb_client_initial(ngtcp2_conn *conn, void *arg)
{
    struct gh_quic *q = arg;
    struct gh_aead_key *retry = NULL;
    ngtcp2_crypto_aead aead = { (void *)(uintptr_t)gh_aead_suite_initial(GH_AEAD_OPENSSL), GH_AEAD_TAG };
    ngtcp2_crypto_aead_ctx ctx;

    if (gh_aead_retry_key(&retry) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    ctx.native_handle = retry;
    ngtcp2_conn_set_retry_aead(conn, &aead, &ctx); /* conn owns the key now */
    q->has_keys = install_initial(conn, ngtcp2_conn_get_dcid(conn), q->tls) == 0;
    if (!q->has_keys || set_params(q) < 0 || gh_tls_start(q->tls) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int cb_recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *arg)
{
    struct gh_quic *q = arg;
    int rc = install_initial(conn, dcid, q->tls);

    q->has_keys |= rc == 0;
    return rc;
}

static int cb_recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *arg)
{
    struct gh_quic *q = arg;

    return install_initial(conn, &hd->scid, q->tls);
}

static int cb_version_negotiation(ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *dcid, void *arg)
{
    (void)conn;
    (void)version;
    (void)dcid;
    (void)arg;
    return NGTCP2_ERR_CALLBACK_FAILURE; /* we offer version 1 alone, so nobody may choose another */
}

static int cb_recv_crypto(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data, size_t len, void *arg)
{
    struct gh_quic *q = arg;
    int rc = gh_tls_feed(q->tls, level_of(level), gh_span_of(data, len));

    (void)offset;
    if (rc < 0 && q->liberr)
        return q->liberr;
    switch (rc) {
    case 0:
        return 0;
    case 1:
        if (!ngtcp2_conn_get_handshake_completed(conn))
            ngtcp2_conn_tls_handshake_completed(conn);
        return 0;
    case GH_ERR_PROTOCOL:
        return NGTCP2_ERR_PROTO;
    case GH_ERR_CRYPTO:
        return NGTCP2_ERR_CRYPTO;
    case GH_ERR_MEMORY:
        return NGTCP2_ERR_NOMEM;
    default:
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
}

static int cb_update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret, ngtcp2_crypto_aead_ctx *rx, uint8_t *rx_iv,
                         ngtcp2_crypto_aead_ctx *tx, uint8_t *tx_iv, const uint8_t *rx_now, const uint8_t *tx_now, size_t len, void *arg)
{
    const struct gh_aead_suite *suite = ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle;
    struct gh_aead_key *r = NULL, *t = NULL;
    struct gh_quic *q = arg;

    q->counters.key_generations++;
    (void)len;
    if (gh_aead_secret_update(suite, rx_now, rx_secret) < 0 || gh_aead_secret_update(suite, tx_now, tx_secret) < 0 ||
        gh_aead_key_derive(suite, rx_secret, false, &r, rx_iv, NULL) < 0 || gh_aead_key_derive(suite, tx_secret, true, &t, tx_iv, NULL) < 0) {
        gh_aead_key_destroy(r);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    rx->native_handle = r;
    tx->native_handle = t;
    return 0;
}

static int cb_path_challenge(ngtcp2_conn *conn, uint8_t *data, void *arg)
{
    struct gh_quic *q = arg;

    (void)conn;
    q->challenging = true;
    return q->cfg.random.fill(q->cfg.random.arg, data, NGTCP2_PATH_CHALLENGE_DATALEN) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void cb_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    struct gh_quic *q = ctx->native_handle;

    if (q->cfg.random.fill(q->cfg.random.arg, dest, len) < 0)
        memset(dest, 0, len); /* greasing and the like: never a key */
}

void gh_quic_crypto_callbacks(ngtcp2_callbacks *cb, bool server)
{
    if (server) {
        cb->recv_client_initial = cb_recv_client_initial;
    } else {
        cb->client_initial = cb_client_initial;
        cb->recv_retry = cb_recv_retry;
    }
    cb->recv_crypto_data = cb_recv_crypto;
    cb->encrypt = gh_quic_encrypt;
    cb->decrypt = cb_decrypt;
    cb->hp_mask = gh_quic_mask;
    cb->update_key = cb_update_key;
    cb->delete_crypto_aead_ctx = cb_delete_aead;
    cb->delete_crypto_cipher_ctx = cb_delete_cipher;
    cb->get_path_challenge_data = cb_path_challenge;
    cb->version_negotiation = cb_version_negotiation;
    cb->rand = cb_rand;
}

/* The handshake's side: secrets, bytes and parameters that TLS makes. */

static int install(struct gh_quic *q, ngtcp2_encryption_level level, bool write, const uint8_t *secret, size_t len, struct key_set *k)
{
    ngtcp2_crypto_aead_ctx aead = { k->aead };
    ngtcp2_crypto_cipher_ctx header = { k->header };

    if (level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
        return write ? ngtcp2_conn_install_tx_handshake_key(q->conn, &aead, k->iv, GH_AEAD_IV, &header)
                     : ngtcp2_conn_install_rx_handshake_key(q->conn, &aead, k->iv, GH_AEAD_IV, &header);
    return write ? ngtcp2_conn_install_tx_key(q->conn, secret, len, &aead, k->iv, GH_AEAD_IV, &header)
                 : ngtcp2_conn_install_rx_key(q->conn, secret, len, &aead, k->iv, GH_AEAD_IV, &header);
}

static int on_secret(void *arg, enum gh_tls_level level, bool write, const struct gh_aead_suite *suite, const uint8_t *secret)
{
    struct gh_quic *q = arg;
    struct key_set k = { 0 };
    ngtcp2_crypto_ctx ctx;
    int rc;

    if (level == GH_TLS_EARLY)
        return GH_ERR_UNSUPPORTED; /* DESIGN 4, decision 8: no 0-RTT for tunnels */
    if (!ngtcp2_conn_get_crypto_ctx(q->conn)->aead.native_handle) {
        set_suite(&ctx, suite);
        ngtcp2_conn_set_crypto_ctx(q->conn, &ctx);
    }
    rc = gh_aead_key_derive(suite, secret, write, &k.aead, k.iv, &k.header);
    if (rc < 0)
        return rc;
    if (install(q, level_to(level), write, secret, gh_aead_suite_secret_len(suite), &k) != 0) {
        key_set_fini(&k);
        return GH_ERR_INTERNAL;
    }
    /* a server's parameters are complete once this key is in: the library adds the first source id then */
    if (q->server && write && level == GH_TLS_HANDSHAKE)
        return set_params(q);
    return 0;
}

static int on_send(void *arg, enum gh_tls_level level, struct gh_span bytes)
{
    struct gh_quic *q = arg;

    return ngtcp2_conn_submit_crypto_data(q->conn, level_to(level), bytes.data, bytes.len) == 0 ? 0 : GH_ERR_MEMORY;
}

#define MAX_IDLE_TIMEOUT 0x01                      /* RFC 9000, section 18.2 */
#define IDLE_FOR_EVER (UINT64_C(0xc0) << 56 | UINT64_C(1) << 43) /* as a number of 8 bytes: 278 years of milliseconds */

/* The library takes milliseconds for nanoseconds times a million without looking for the end of 64 bits: a peer that never wants to be idle
 * would be at once. Such a number has 8 bytes, and gets another of as many. */
static void bound_idle_timeout(uint8_t *params, size_t len)
{
    struct gh_reader r = gh_reader_of(gh_span_of(params, len));

    while (gh_reader_left(&r) && !r.failed) {
        uint64_t id = gh_read_varint(&r);
        struct gh_span value = gh_read_span(&r, (size_t)gh_read_varint(&r));
        struct gh_reader v = gh_reader_of(value);

        if (r.failed || id != MAX_IDLE_TIMEOUT || value.len != 8 || gh_read_varint(&v) <= UINT64_C(1) << 43)
            continue;
        for (int i = 0; i < 8; i++)
            params[(size_t)(value.data - params) + (size_t)i] = (uint8_t)(IDLE_FOR_EVER >> 8 * (7 - i));
    }
}

static int on_transport_params(void *arg, struct gh_span params)
{
    struct gh_quic *q = arg;
    uint8_t *copy = malloc(params.len ? params.len : 1);

    if (!copy)
        return GH_ERR_MEMORY;
    if (params.len)
        memcpy(copy, params.data, params.len);
    bound_idle_timeout(copy, params.len);
    q->liberr = ngtcp2_conn_decode_and_set_remote_transport_params(q->conn, copy, params.len);
    free(copy);
    return q->liberr == 0 ? 0 : GH_ERR_PROTOCOL;
}

static void on_alert(void *arg, uint8_t alert)
{
    struct gh_quic *q = arg;

    ngtcp2_conn_set_tls_alert(q->conn, alert);
}

static void on_session(void *arg, struct gh_tls_session *s)
{
    struct gh_quic *q = arg;

    if (q->owner.host->on_session)
        q->owner.host->on_session(q->owner.host_arg, s);
    else
        gh_tls_session_put(s);
}

const struct gh_tls_events gh_quic_tls_events = { on_secret, on_send, on_transport_params, on_alert, on_session };
