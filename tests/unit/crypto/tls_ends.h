/* tests/unit/crypto/tls_ends.h - two ends of TLS in memory, and certificates for them */
#ifndef GH_TLS_ENDS_H
#define GH_TLS_ENDS_H

#include <time.h>

#include <openssl/ssl.h>

#include "../test.h"
#include "base/error.h"
#include "crypto/ca.h"
#include "crypto/self_signed.h"
#include "crypto/tls_stream.h"

#define NOW ((int64_t)time(NULL))

static inline struct gh_span span_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static inline struct gh_tls_ctx *context(const struct gh_tls_config *cfg)
{
    struct gh_tls_ctx *c = NULL;
    char err[256] = "";

    if (gh_tls_ctx_create(cfg, &c, err, sizeof err) < 0)
        fail_msg("%s", err);
    return c;
}

static inline struct gh_leaf self_signed(const char *name)
{
    char why[GH_CA_WHY] = "";
    struct gh_leaf leaf = { 0 };

    if (gh_self_signed_create(name, NOW, &leaf, why) < 0)
        fail_msg("%s", why);
    return leaf;
}

/* A server that asks for no certificate, with <leaf>. */
static inline struct gh_tls_config server_of(const struct gh_leaf *leaf)
{
    return (struct gh_tls_config){ .server = true, .certificate = span_of(&leaf->cert), .key = span_of(&leaf->key), .alpn = "h2,http/1.1",
                                   .ask = GH_TLS_ASK_NONE };
}

/* A client that knows the server by its key. */
static inline struct gh_tls_config client_of(const struct gh_leaf *leaf)
{
    return (struct gh_tls_config){ .alpn = "h2,http/1.1", .pins = &leaf->spki_sha256, .pin_count = 1 };
}

/* Carries what <from> has to say to <to>, <piece> bytes at a time. True when there was something. */
static inline bool carry(struct gh_tls_stream *from, struct gh_tls_stream *to, size_t piece)
{
    struct gh_span out = gh_tls_stream_pending(from);
    size_t len = out.len;

    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        uint8_t *copy = malloc(n); /* the sanitizer sees whoever looks at it later */

        assert_non_null(copy);
        memcpy(copy, out.data + at, n);
        assert_int_equal(gh_tls_stream_feed(to, gh_span_of(copy, n)), 0);
        gh_tls_stream_handshake(to);
        assert_int_equal(gh_tls_stream_settle(to), 0);
        free(copy);
    }
    gh_tls_stream_consume(from, len);
    return len > 0;
}

struct ends {
    struct gh_tls_stream *server, *client;
};

/* To the end of it, whichever: what each end says is in <ret>. */
static inline void shake(struct ends *e, size_t piece, int *ret_server, int *ret_client)
{
    bool more = true;

    gh_tls_stream_handshake(e->client);
    while (more) {
        more = carry(e->client, e->server, piece);
        more = carry(e->server, e->client, piece) || more;
    }
    *ret_server = gh_tls_stream_handshake(e->server);
    *ret_client = gh_tls_stream_handshake(e->client);
}

static inline struct ends open_ends(struct gh_tls_ctx *server, struct gh_tls_ctx *client, const struct gh_tls_stream_request *req)
{
    struct ends e = { 0 };

    assert_int_equal(gh_tls_stream_create(server, NULL, &e.server), 0);
    assert_int_equal(gh_tls_stream_create(client, req, &e.client), 0);
    return e;
}

static inline void close_ends(struct ends *e)
{
    gh_tls_stream_destroy(e->server);
    gh_tls_stream_destroy(e->client);
}

/* Both through, or it fails. */
static inline struct ends meet(struct gh_tls_ctx *server, struct gh_tls_ctx *client, const struct gh_tls_stream_request *req)
{
    struct ends e = open_ends(server, client, req);
    int s, c;

    shake(&e, SIZE_MAX / 2, &s, &c);
    if (s != 1 || c != 1)
        fail_msg("server %d (alert %d), client %d (alert %d): %s", s, gh_tls_stream_alert_sent(e.server), c,
                 gh_tls_stream_alert_sent(e.client), gh_tls_stream_verify_error(e.client));
    return e;
}

/* A client of the library's own, for what ours never does. */
struct bare {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

static inline struct bare bare_client(void)
{
    struct bare b = { .ctx = SSL_CTX_new(TLS_client_method()) };

    b.ssl = SSL_new(b.ctx);
    b.in = BIO_new(BIO_s_mem());
    b.out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(b.in, -1);
    SSL_set_bio(b.ssl, b.in, b.out);
    SSL_set_connect_state(b.ssl);
    return b;
}

static inline void bare_close(struct bare *b)
{
    SSL_free(b->ssl);
    SSL_CTX_free(b->ctx);
}

/* What the server says of it. */
static inline int bare_shake(struct bare *b, struct gh_tls_stream *server)
{
    bool more = true;
    int rc = 0;

    while (more) {
        struct gh_span out;
        uint8_t buf[16384];
        int n;

        SSL_do_handshake(b->ssl);
        n = BIO_read(b->out, buf, sizeof buf);
        more = n > 0;
        assert_int_equal(gh_tls_stream_feed(server, gh_span_of(buf, n > 0 ? (size_t)n : 0)), 0);
        rc = gh_tls_stream_handshake(server);
        assert_int_equal(gh_tls_stream_settle(server), 0);
        out = gh_tls_stream_pending(server);
        more |= out.len > 0;
        if (out.len)
            assert_int_equal(BIO_write(b->in, out.data, (int)out.len), out.len);
        gh_tls_stream_consume(server, out.len);
    }
    return rc;
}

#endif
