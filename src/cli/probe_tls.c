#include "cli/probe_tls.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/probe_seen.h"
#include "crypto/cert.h"

#define TEXT_MAX 65536u /* bytes of an answer that count */

struct gh_probe_tls {
    struct gh_tls_stream *stream;
    struct gh_span request;
    size_t sent;
    uint8_t *text;
    size_t text_len;
    bool complete;
    int failure; /* sticky; GH_ERR_CLOSED: it said that it is over */
};

struct gh_tls_ctx *gh_probe_tls_context(const uint8_t pin[32])
{
    struct gh_tls_config cfg = { .alpn = "http/1.1", .pins = (const uint8_t (*)[32])pin, .pin_count = 1 };
    struct gh_tls_ctx *ctx;
    char err[256];

    return gh_tls_ctx_create(&cfg, &ctx, err, sizeof err) == 0 ? ctx : NULL;
}

int gh_probe_tls_create(struct gh_tls_ctx *ctx, const char *name, struct gh_span request, struct gh_probe_tls **ret)
{
    struct gh_tls_stream_request req = { .server_name = name };
    struct gh_probe_tls *t = calloc(1, sizeof *t);
    int rc;

    if (!t)
        return GH_ERR_MEMORY;
    t->request = request;
    t->text = malloc(TEXT_MAX);
    rc = t->text ? gh_tls_stream_create(ctx, &req, &t->stream) : GH_ERR_MEMORY;
    if (rc < 0) {
        gh_probe_tls_destroy(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void gh_probe_tls_destroy(struct gh_probe_tls *t)
{
    if (!t)
        return;
    gh_tls_stream_destroy(t->stream);
    free(t->text);
    free(t);
}

static void read_all(struct gh_probe_tls *t)
{
    uint8_t beyond[4096]; /* what does not count any more is read, too */
    int n;

    do {
        size_t room = TEXT_MAX - t->text_len;

        n = gh_tls_stream_read(t->stream, room ? t->text + t->text_len : beyond, room ? room : sizeof beyond);
        if (n > 0 && room)
            t->text_len += (size_t)n;
    } while (n > 0);
    t->failure = n < 0 ? n : t->failure;
}

void gh_probe_tls_feed(struct gh_probe_tls *t, struct gh_span bytes)
{
    int rc;

    if (t->failure)
        return;
    if (bytes.len)
        gh_tls_stream_feed(t->stream, bytes);
    rc = gh_tls_stream_handshake(t->stream);
    t->complete = rc == 1;
    t->failure = rc < 0 ? rc : 0;
    if (t->complete)
        read_all(t);
    while (t->complete && t->sent < t->request.len) {
        int n = gh_tls_stream_write(t->stream, gh_span_of(t->request.data + t->sent, t->request.len - t->sent));

        if (n <= 0)
            break; /* too much is pending: it goes on when that is sent */
        t->sent += (size_t)n;
    }
    if (gh_tls_stream_settle(t->stream) < 0)
        t->failure = GH_ERR_MEMORY;
}

struct gh_span gh_probe_tls_pending(const struct gh_probe_tls *t)
{
    return gh_tls_stream_pending(t->stream);
}

void gh_probe_tls_consume(struct gh_probe_tls *t, size_t len)
{
    gh_tls_stream_consume(t->stream, len);
    if (t->sent < t->request.len && gh_tls_stream_pending(t->stream).len == 0)
        gh_probe_tls_feed(t, gh_span_of(NULL, 0));
}

bool gh_probe_tls_is_answered(const struct gh_probe_tls *t)
{
    return t->text_len > 0;
}

void gh_probe_tls_describe(const struct gh_probe_tls *t, struct gh_text *out)
{
    int alert = gh_tls_stream_alert_received(t->stream);

    gh_text_append(out, t->complete ? "inside TLS" : "no TLS");
    if (t->text_len)
        gh_probe_describe(gh_span_of(t->text, t->text_len), out);
    if (t->failure == GH_ERR_CLOSED)
        gh_text_append(out, " close_notify");
    if (alert >= 0)
        gh_text_printf(out, " alert(%d)", alert);
}

/* The first certificate of the message, at the start of its body. */
static bool read_key(struct gh_reader *body, uint8_t ret[32])
{
    struct gh_cert *cert;
    struct gh_span der;
    bool found;
    size_t len;

    gh_read_span(body, 3); /* of the list */
    len = (size_t)gh_read_u8(body) << 16;
    len |= gh_read_u16(body);
    der = gh_read_span(body, len);
    if (body->failed || gh_cert_parse_der(der, &cert) < 0)
        return false;
    found = gh_cert_spki_sha256(cert, ret) == 0;
    gh_cert_destroy(cert);
    return found;
}

/* <messages> has room for all of <said>. */
static size_t take_messages(struct gh_span said, uint8_t *messages)
{
    struct gh_reader r = gh_reader_of(said);
    size_t len = 0;

    while (gh_reader_left(&r) && gh_read_u8(&r) == 22) {
        struct gh_span content;

        gh_read_u16(&r);
        content = gh_read_span(&r, gh_read_u16(&r));
        if (content.len)
            memcpy(messages + len, content.data, content.len);
        len += content.len;
    }
    return len;
}

bool gh_probe_tls_find_key(struct gh_span said, uint8_t ret[32])
{
    uint8_t *messages = malloc(said.len + 1);
    struct gh_reader r = gh_reader_of(gh_span_of(messages, messages ? take_messages(said, messages) : 0));
    bool found = false;

    while (!found && gh_reader_left(&r) >= 4) {
        uint32_t head = gh_read_u32(&r);
        struct gh_reader body = gh_reader_of(gh_read_span(&r, head & 0xffffff));

        found = head >> 24 == 11 && read_key(&body, ret);
    }
    free(messages);
    return found;
}
