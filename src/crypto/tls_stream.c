#include "crypto/tls_stream.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/error.h"
#include "crypto/tls_internal.h"

#define RECORD_MAX 16384u             /* plaintext bytes of a record: RFC 8446, section 5.1 */
#define RECORD_ROOM (RECORD_MAX + 512) /* what one becomes at most, and an alert or a key update beside it */
#define OUT_FIRST 4096u

struct gh_tls_stream {
    struct tls_owner owner; /* the first */
    SSL *ssl;
    struct gh_tls_ctx *ctx;
    struct gh_tls_session *session; /* not yet asked for */
    struct gh_span lent;            /* the caller's */
    uint8_t *kept;                  /* what came before <lent>, from <kept_at> on */
    size_t kept_at, kept_len, kept_cap;
    uint8_t *out;
    size_t out_at, out_len, out_cap;
    int failure; /* sticky */
    int alert_sent, alert_received;
    bool complete, ended, closed, peer_closed, no_memory;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- what libssl reads from and writes to ---- */

static int bio_read(BIO *bio, char *ret, size_t cap, size_t *ret_len)
{
    struct gh_tls_stream *t = BIO_get_data(bio);
    size_t n = least(cap, t->kept_len - t->kept_at), more;

    BIO_clear_retry_flags(bio);
    if (n)
        memcpy(ret, t->kept + t->kept_at, n);
    t->kept_at += n;
    more = least(cap - n, t->lent.len);
    if (more)
        memcpy(ret + n, t->lent.data, more);
    t->lent = gh_span_of(t->lent.data + more, t->lent.len - more);
    *ret_len = n + more;
    if (*ret_len)
        return 1;
    BIO_set_retry_read(bio);
    return 0;
}

static bool make_room(struct gh_tls_stream *t, size_t len)
{
    size_t need = t->out_len - t->out_at + len, cap = t->out_cap ? t->out_cap : OUT_FIRST;
    uint8_t *out;

    if (t->out_at && need <= t->out_cap) { /* only when what waits is in the way */
        memmove(t->out, t->out + t->out_at, t->out_len - t->out_at);
        t->out_len -= t->out_at;
        t->out_at = 0;
        return true;
    }
    while (cap < t->out_len + len)
        cap *= 2;
    out = realloc(t->out, cap);
    if (!out)
        return false;
    t->out = out;
    t->out_cap = cap;
    return true;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
    struct gh_tls_stream *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (t->out_len + len > t->out_cap && !make_room(t, len)) {
        t->no_memory = true;
        return 0;
    }
    memcpy(t->out + t->out_len, data, len);
    t->out_len += len;
    *ret_len = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP || cmd == BIO_CTRL_PUSH || cmd == BIO_CTRL_POP;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_stream_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "gatehouse");

    if (m && BIO_meth_set_read_ex(m, bio_read) == 1 && BIO_meth_set_write_ex(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1 &&
        BIO_meth_set_create(m, bio_create) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- life ---- */

static void on_info(const SSL *ssl, int where, int ret)
{
    struct gh_tls_stream *t = (struct gh_tls_stream *)SSL_get_app_data(ssl);

    if (!(where & SSL_CB_ALERT) || (ret & 0xff) == SSL_AD_CLOSE_NOTIFY)
        return;
    if (where & SSL_CB_WRITE)
        t->alert_sent = ret & 0xff;
    else
        t->alert_received = ret & 0xff;
}

static int on_session(struct tls_owner *o, struct gh_tls_session *session)
{
    struct gh_tls_stream *t = (struct gh_tls_stream *)o;

    gh_tls_session_put(t->session);
    t->session = session;
    return 1;
}

static int set_up(struct gh_tls_stream *t, const struct gh_tls_stream_request *req)
{
    BIO *bio = BIO_new(t->ctx->stream);
    int rc = 0;

    t->ssl = bio ? SSL_new(t->ctx->ssl) : NULL;
    if (!t->ssl || SSL_set_app_data(t->ssl, &t->owner) != 1) {
        BIO_free(bio);
        return GH_ERR_MEMORY;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_info_callback(t->ssl, on_info);
    SSL_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (t->ctx->server) {
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    SSL_set_connect_state(t->ssl);
    if (t->ctx->shaped)
        rc = tls_shape_ssl(t->ssl);
    if (!req)
        return rc;
    if (rc == 0 && req->server_name && *req->server_name)
        rc = tls_ssl_set_server_name(t->ssl, req->server_name);
    if (rc == 0 && req->certificate_name)
        rc = tls_ssl_set_certificate_name(t->ssl, req->certificate_name);
    if (rc == 0 && req->ech)
        rc = tls_ssl_set_ech(t->ssl, req->ech_list);
    if (rc == 0 && req->resume)
        gh_tls_ticket_use(t->ssl, req->resume);
    return rc;
}

int gh_tls_stream_create(struct gh_tls_ctx *ctx, const struct gh_tls_stream_request *req, struct gh_tls_stream **ret)
{
    struct gh_tls_stream *t = calloc(1, sizeof *t);
    int rc;

    if (!t)
        return GH_ERR_MEMORY;
    t->owner.on_session = on_session;
    t->alert_sent = t->alert_received = -1;
    t->ctx = gh_tls_ctx_get(ctx);
    rc = set_up(t, req);
    if (rc < 0)
        gh_tls_stream_destroy(t);
    else
        *ret = t;
    return rc;
}

void gh_tls_stream_destroy(struct gh_tls_stream *t)
{
    if (!t)
        return;
    if (t->ssl && t->complete) /* a stream that was cut off leaves a session as good as before */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    gh_tls_session_put(t->session);
    gh_tls_ctx_put(t->ctx);
    free(t->kept);
    free(t->out);
    free(t);
}

/* ---- bytes in ---- */

size_t gh_tls_stream_backlog(const struct gh_tls_stream *t)
{
    return t->kept_len - t->kept_at + t->lent.len + (t->complete ? (size_t)SSL_pending(t->ssl) : 0);
}

int gh_tls_stream_feed(struct gh_tls_stream *t, struct gh_span ciphertext)
{
    if (t->lent.len || t->ended)
        return GH_ERR_STATE;
    if (ciphertext.len > GH_TLS_STREAM_IN_MAX - gh_tls_stream_backlog(t))
        return GH_ERR_FULL;
    t->lent = ciphertext;
    return 0;
}

int gh_tls_stream_settle(struct gh_tls_stream *t)
{
    size_t have = t->kept_len - t->kept_at, need = have + t->lent.len;
    uint8_t *kept;

    if (!t->lent.len) {
        if (!have) {
            free(t->kept);
            t->kept = NULL;
            t->kept_at = t->kept_len = t->kept_cap = 0;
        }
        return 0;
    }
    if (t->kept_at) {
        memmove(t->kept, t->kept + t->kept_at, have);
        t->kept_len = have;
        t->kept_at = 0;
    }
    if (need > t->kept_cap) {
        kept = realloc(t->kept, need);
        if (!kept)
            return GH_ERR_MEMORY;
        t->kept = kept;
        t->kept_cap = need;
    }
    memcpy(t->kept + have, t->lent.data, t->lent.len);
    t->kept_len = need;
    t->lent = gh_span_of(NULL, 0);
    return 0;
}

void gh_tls_stream_feed_end(struct gh_tls_stream *t)
{
    t->ended = true;
}

/* ---- handshake, plaintext ---- */

static int fail(struct gh_tls_stream *t, int rc)
{
    ERR_clear_error();
    t->failure = t->no_memory ? GH_ERR_MEMORY : rc;
    return t->failure;
}

int gh_tls_stream_handshake(struct gh_tls_stream *t)
{
    int rc;

    if (t->complete)
        return 1;
    if (t->failure)
        return t->failure;
    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        if (t->ctx->shaped && SSL_version(t->ssl) < TLS1_3_VERSION) /* its certificate was not believed: it does not come to this */
            return fail(t, GH_ERR_CRYPTO);
        t->complete = true;
        if (t->ctx->server && SSL_version(t->ssl) == TLS1_3_VERSION && gh_tls_ticket_issue(t->ctx, t->ssl) < 0)
            return fail(t, GH_ERR_CRYPTO);
        return 1;
    }
    if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ)
        return fail(t, GH_ERR_CRYPTO);
    return t->ended ? fail(t, GH_ERR_CLOSED) : 0;
}

int gh_tls_stream_read(struct gh_tls_stream *t, uint8_t *ret, size_t cap)
{
    size_t total = 0, n;

    if (!t->complete)
        return t->failure ? t->failure : GH_ERR_STATE;
    if (t->failure)
        return t->failure;
    cap = least(cap, INT_MAX);
    ERR_clear_error();
    while (!t->peer_closed && total < cap) { /* a record a time */
        int rc = SSL_read_ex(t->ssl, ret + total, cap - total, &n), why;

        if (rc == 1) {
            total += n;
            continue;
        }
        why = SSL_get_error(t->ssl, rc);
        if (why == SSL_ERROR_ZERO_RETURN)
            t->peer_closed = true;
        else if (why != SSL_ERROR_WANT_READ)
            fail(t, GH_ERR_CRYPTO);
        else if (t->ended)
            fail(t, GH_ERR_PROTOCOL);
        break;
    }
    if (total)
        return (int)total; /* what ended it is said the next time */
    return t->failure ? t->failure : t->peer_closed ? GH_ERR_CLOSED : 0;
}

int gh_tls_stream_write(struct gh_tls_stream *t, struct gh_span plaintext)
{
    size_t total = 0, n;

    if (t->failure && t->failure != GH_ERR_PROTOCOL) /* the other direction may have ended badly */
        return t->failure;
    if (!t->complete || t->closed)
        return GH_ERR_STATE;
    plaintext.len = least(plaintext.len, INT_MAX);
    ERR_clear_error();
    while (total < plaintext.len && t->out_len - t->out_at + RECORD_ROOM <= GH_TLS_STREAM_OUT_MAX) {
        if (SSL_write_ex(t->ssl, plaintext.data + total, least(plaintext.len - total, RECORD_MAX), &n) != 1)
            return fail(t, GH_ERR_CRYPTO);
        total += n;
    }
    return (int)total;
}

int gh_tls_stream_close(struct gh_tls_stream *t)
{
    if (t->failure && t->failure != GH_ERR_PROTOCOL)
        return t->failure;
    if (!t->complete)
        return GH_ERR_STATE;
    if (t->closed)
        return 0;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        return fail(t, GH_ERR_CRYPTO);
    t->closed = true;
    return 0;
}

/* ---- bytes out ---- */

struct gh_span gh_tls_stream_pending(const struct gh_tls_stream *t)
{
    return gh_span_of(t->out ? t->out + t->out_at : NULL, t->out_len - t->out_at);
}

void gh_tls_stream_consume(struct gh_tls_stream *t, size_t len)
{
    t->out_at += least(len, t->out_len - t->out_at);
    if (t->out_at == t->out_len)
        t->out_at = t->out_len = 0;
}

void gh_tls_stream_shrink(struct gh_tls_stream *t)
{
    if (!t->out_len) {
        free(t->out);
        t->out = NULL;
        t->out_cap = 0;
    }
    if (t->kept_at == t->kept_len) {
        free(t->kept);
        t->kept = NULL;
        t->kept_at = t->kept_len = t->kept_cap = 0;
    }
}

/* ---- what came of it ---- */

struct gh_span gh_tls_stream_alpn(const struct gh_tls_stream *t)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return gh_span_of(name, len);
}

const char *gh_tls_stream_server_name(const struct gh_tls_stream *t)
{
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

    return name ? name : "";
}

int gh_tls_stream_peer_certificate(const struct gh_tls_stream *t, struct gh_cert **ret)
{
    return tls_ssl_peer_certificate(t->ssl, ret);
}

const char *gh_tls_stream_verify_error(const struct gh_tls_stream *t)
{
    return tls_ssl_verify_error(t->ssl);
}

enum gh_tls_ech gh_tls_stream_ech(const struct gh_tls_stream *t)
{
    return tls_ssl_ech(t->ssl);
}

int gh_tls_stream_ech_retry(const struct gh_tls_stream *t, uint8_t **ret, size_t *ret_len)
{
    return tls_ssl_ech_retry(t->ssl, ret, ret_len);
}

bool gh_tls_stream_resumed(const struct gh_tls_stream *t)
{
    return t->complete && SSL_session_reused(t->ssl);
}

struct gh_tls_session *gh_tls_stream_take_session(struct gh_tls_stream *t)
{
    struct gh_tls_session *s = t->session;

    t->session = NULL;
    return s;
}

const char *gh_tls_stream_version(const struct gh_tls_stream *t)
{
    return t->complete ? SSL_get_version(t->ssl) : "";
}

const char *gh_tls_stream_group(const struct gh_tls_stream *t)
{
    const char *name = t->complete ? SSL_get0_group_name(t->ssl) : NULL; /* there is no session before */

    return name ? name : "";
}

const char *gh_tls_stream_cipher(const struct gh_tls_stream *t)
{
    const SSL_CIPHER *c = SSL_get_current_cipher(t->ssl);

    return c ? SSL_CIPHER_get_name(c) : "";
}

int gh_tls_stream_alert_sent(const struct gh_tls_stream *t)
{
    return t->alert_sent;
}

int gh_tls_stream_alert_received(const struct gh_tls_stream *t)
{
    return t->alert_received;
}
