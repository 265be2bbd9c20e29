#include <stdlib.h>

#include "wire/tls_hello.h"

#define RECORD_HANDSHAKE 22
#define MESSAGE_CLIENT_HELLO 1
#define EMPTY_MAX 32 /* OpenSSL reads so many on end; RFC 8446 section 5.1 forbids them, but not all servers refuse */

void gh_tls_hello_reader_init(struct gh_tls_hello_reader *r, size_t max)
{
    *r = (struct gh_tls_hello_reader){ .max = max ? max : GH_TLS_HELLO_WIRE_MAX };
}

void gh_tls_hello_reader_fini(struct gh_tls_hello_reader *r)
{
    if (!r)
        return;
    free(r->copy);
    r->copy = NULL;
    r->copy_len = r->copy_cap = 0;
}

size_t gh_tls_hello_used(const struct gh_tls_hello_reader *r)
{
    return r->at;
}

/* Judges the header of the record at r->at as far as it is there. 1 when all of it is. */
static int look_at_header(const struct gh_tls_hello_reader *r, struct gh_span record, size_t *ret_len)
{
    size_t len;

    if (record.len >= 1 && record.data[0] != RECORD_HANDSHAKE)
        return r->at == 0 ? GH_ERR_UNSUPPORTED : GH_ERR_MALFORMED;
    if (record.len >= 2 && record.data[1] != 3) /* the minor version says nothing: RFC 8446, section 5.1 */
        return r->at == 0 ? GH_ERR_UNSUPPORTED : GH_ERR_MALFORMED;
    if (record.len < GH_TLS_RECORD_HEADER)
        return 0;
    len = (size_t)record.data[3] << 8 | record.data[4];
    if (len > GH_TLS_RECORD_MAX)
        return GH_ERR_MALFORMED;
    if (GH_TLS_RECORD_HEADER + len > r->max - r->at)
        return GH_ERR_TOO_LONG;
    *ret_len = len;
    return 1;
}

/* Judges the header of the handshake message as far as it is in r->head and <content>, and changes nothing. */
static int look_at_message(const struct gh_tls_hello_reader *r, struct gh_span content)
{
    uint8_t head[4];
    size_t n = sizeof head - r->head_len < content.len ? sizeof head - r->head_len : content.len, body_len;

    memcpy(head, r->head, r->head_len);
    if (n > 0)
        memcpy(head + r->head_len, content.data, n);
    n += r->head_len;
    if (n > 0 && head[0] != MESSAGE_CLIENT_HELLO)
        return GH_ERR_MALFORMED;
    if (n < sizeof head)
        return 0;
    body_len = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (body_len > GH_TLS_HELLO_BODY_MAX || body_len + sizeof head + GH_TLS_RECORD_HEADER > r->max)
        return GH_ERR_TOO_LONG;
    return 0;
}

static int gather(struct gh_tls_hello_reader *r, struct gh_span part)
{
    size_t cap = r->copy_cap ? r->copy_cap : 2048;
    uint8_t *copy;

    if (part.len == 0)
        return 0;
    while (cap < r->copy_len + part.len)
        cap *= 2;
    if (cap > r->copy_cap) {
        copy = realloc(r->copy, cap);
        if (!copy)
            return GH_ERR_MEMORY;
        r->copy = copy;
        r->copy_cap = cap;
    }
    memcpy(r->copy + r->copy_len, part.data, part.len);
    r->copy_len += part.len;
    return 0;
}

/* Takes a whole record. 1 when the hello ends in it. */
static int take_record(struct gh_tls_hello_reader *r, struct gh_span content)
{
    struct gh_reader in = gh_reader_of(content);
    size_t left;
    int rc;

    if (content.len == 0)
        return ++r->empty > EMPTY_MAX ? GH_ERR_MALFORMED : 0;
    r->empty = 0;
    while (r->head_len < sizeof r->head && gh_reader_left(&in) > 0)
        r->head[r->head_len++] = gh_read_u8(&in);
    if (r->head_len < sizeof r->head)
        return 0;
    r->body_len = (size_t)r->head[1] << 16 | (size_t)r->head[2] << 8 | r->head[3];
    if (r->copy_len == 0 && gh_reader_left(&in) >= r->body_len) {
        r->body_at = r->at + GH_TLS_RECORD_HEADER + content.len - gh_reader_left(&in);
        return 1;
    }
    left = r->body_len - r->copy_len;
    if (left > gh_reader_left(&in))
        left = gh_reader_left(&in);
    rc = gather(r, gh_read_span(&in, left));
    return rc < 0 ? rc : r->copy_len == r->body_len;
}

/* Looks at records until the hello is there. */
static int advance(struct gh_tls_hello_reader *r, struct gh_span stream)
{
    struct gh_span record, content;
    size_t len;
    int rc;

    for (;;) {
        if (stream.len <= r->at)
            return 0;
        record = gh_span_of(stream.data + r->at, stream.len - r->at);
        rc = look_at_header(r, record, &len);
        if (rc <= 0)
            return rc;
        content = gh_span_of(record.data + GH_TLS_RECORD_HEADER, record.len - GH_TLS_RECORD_HEADER);
        if (content.len > len)
            content.len = len;
        rc = look_at_message(r, content); /* a refusal need not wait for the record's end */
        if (rc < 0)
            return rc;
        if (content.len < len)
            return 0;
        rc = take_record(r, content);
        if (rc < 0)
            return rc;
        r->at += GH_TLS_RECORD_HEADER + len;
        if (rc == 1)
            return 1;
    }
}

int gh_tls_hello_read(struct gh_tls_hello_reader *r, struct gh_span stream, struct gh_tls_hello *ret)
{
    struct gh_span body;
    int rc;

    if (r->failed)
        return r->failed;
    if (!r->complete) {
        rc = advance(r, stream);
        if (rc == 0)
            return 0;
        if (rc < 0)
            goto failed;
        r->complete = true;
    }
    body = r->copy_len > 0 ? gh_span_of(r->copy, r->copy_len) : gh_span_of(stream.data + r->body_at, r->body_len);
    rc = gh_tls_hello_parse(body, ret);
    if (rc == 0)
        return 1;
failed:
    r->failed = rc;
    return rc;
}
