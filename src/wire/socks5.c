#include "wire/socks5.h"

#include "wire/tls_hello.h"

_Static_assert(GH_SOCKS5_NAME_MAX == GH_TLS_NAME_MAX, "one kind of host name");

#define VERSION 5
#define PASSWORD_VERSION 1

enum address_type { /* RFC 1928, section 5 */
    ADDRESS_V4 = 1,
    ADDRESS_NAME = 3,
    ADDRESS_V6 = 4,
};

/* A reader that ran out of bytes needs more, unless what it has is wrong already. */
static int progress(const struct gh_reader *r, struct gh_span in, size_t *ret_len)
{
    if (r->failed)
        return 0;
    *ret_len = in.len - gh_reader_left(r);
    return 1;
}

int gh_socks5_parse_greeting(struct gh_span in, struct gh_socks5_greeting *ret, size_t *ret_len)
{
    struct gh_reader r = gh_reader_of(in);
    uint8_t version = gh_read_u8(&r);
    struct gh_span methods = gh_read_span(&r, gh_read_u8(&r));
    struct gh_socks5_greeting g = { false, false };

    if (in.len > 0 && version != VERSION)
        return GH_ERR_UNSUPPORTED;
    for (size_t i = 0; i < methods.len; i++) {
        g.no_authentication |= methods.data[i] == GH_SOCKS5_NO_AUTHENTICATION;
        g.password |= methods.data[i] == GH_SOCKS5_PASSWORD;
    }
    if (!r.failed)
        *ret = g;
    return progress(&r, in, ret_len);
}

void gh_socks5_emit_method(struct gh_writer *w, enum gh_socks5_method method)
{
    gh_write_u8(w, VERSION);
    gh_write_u8(w, (uint8_t)method);
}

int gh_socks5_parse_password(struct gh_span in, struct gh_span *ret_user, struct gh_span *ret_password, size_t *ret_len)
{
    struct gh_reader r = gh_reader_of(in);
    uint8_t version = gh_read_u8(&r);
    struct gh_span user = gh_read_span(&r, gh_read_u8(&r)), password = gh_read_span(&r, gh_read_u8(&r));

    if (in.len > 0 && version != PASSWORD_VERSION)
        return GH_ERR_MALFORMED;
    if (!r.failed) {
        *ret_user = user;
        *ret_password = password;
    }
    return progress(&r, in, ret_len);
}

void gh_socks5_emit_password_status(struct gh_writer *w, bool success)
{
    gh_write_u8(w, PASSWORD_VERSION);
    gh_write_u8(w, success ? 0 : 1);
}

static int read_name(struct gh_span text, struct gh_socks5_addr *a)
{
    if (gh_ip_parse((const char *)text.data, text.len, &a->ip) == 0)
        return 0;
    a->ip = (struct gh_ip){ 0 };
    return gh_tls_host_name(text, a->name) < 0 ? GH_ERR_RANGE : 0;
}

/* Progress. */
static int read_address(struct gh_reader *r, struct gh_socks5_addr *a)
{
    uint8_t type = gh_read_u8(r), bytes[16];
    struct gh_span name;

    if (r->failed)
        return 0;
    switch (type) {
    case ADDRESS_V4:
        gh_read_bytes(r, bytes, 4);
        a->ip = gh_ip_v4(bytes);
        break;
    case ADDRESS_V6:
        gh_read_bytes(r, bytes, 16);
        a->ip = gh_ip_v6(bytes);
        break;
    case ADDRESS_NAME:
        name = gh_read_span(r, gh_read_u8(r));
        a->port = gh_read_u16(r);
        if (r->failed)
            return 0;
        return read_name(name, a) < 0 ? GH_ERR_RANGE : 1;
    default:
        return GH_ERR_UNSUPPORTED;
    }
    a->port = gh_read_u16(r);
    return !r->failed;
}

int gh_socks5_parse_request(struct gh_span in, struct gh_socks5_request *ret, size_t *ret_len)
{
    struct gh_reader r = gh_reader_of(in);
    uint8_t version = gh_read_u8(&r), command = gh_read_u8(&r), reserved = gh_read_u8(&r);
    struct gh_socks5_request q = { .command = command };
    int rc;

    if ((in.len > 0 && version != VERSION) || reserved != 0)
        return GH_ERR_MALFORMED;
    if (r.failed)
        return 0;
    rc = read_address(&r, &q.to);
    if (rc <= 0)
        return rc;
    *ret = q;
    return progress(&r, in, ret_len);
}

static void emit_address(struct gh_writer *w, const struct gh_socks5_addr *a)
{
    static const struct gh_socks5_addr none = { .ip = { .family = 4 } };
    size_t name_len;

    if (!a || (a->ip.family == 0 && !a->name[0]))
        a = &none;
    if (a->ip.family) {
        gh_write_u8(w, a->ip.family == 4 ? ADDRESS_V4 : ADDRESS_V6);
        gh_write_bytes(w, a->ip.bytes, gh_ip_len(&a->ip));
    } else {
        name_len = strnlen(a->name, sizeof a->name - 1);
        gh_write_u8(w, ADDRESS_NAME);
        gh_write_u8(w, (uint8_t)name_len);
        gh_write_bytes(w, a->name, name_len);
    }
    gh_write_u16(w, a->port);
}

void gh_socks5_emit_reply(struct gh_writer *w, enum gh_socks5_reply reply, const struct gh_socks5_addr *bound)
{
    gh_write_u8(w, VERSION);
    gh_write_u8(w, (uint8_t)reply);
    gh_write_u8(w, 0);
    emit_address(w, bound);
}

int gh_socks5_parse_udp(struct gh_span datagram, struct gh_socks5_addr *ret, struct gh_span *ret_payload)
{
    struct gh_reader r = gh_reader_of(datagram);
    uint16_t reserved = gh_read_u16(&r);
    uint8_t fragment = gh_read_u8(&r);
    struct gh_socks5_addr a = { 0 };
    int rc;

    if (r.failed || reserved != 0)
        return GH_ERR_MALFORMED;
    if (fragment != 0) /* RFC 1928, section 7: who does not join fragments drops them */
        return GH_ERR_UNSUPPORTED;
    rc = read_address(&r, &a);
    if (rc <= 0)
        return rc < 0 ? rc : GH_ERR_MALFORMED;
    *ret = a;
    *ret_payload = gh_span_of(r.at, gh_reader_left(&r));
    return 0;
}

void gh_socks5_emit_udp_head(struct gh_writer *w, const struct gh_socks5_addr *from)
{
    gh_write_u16(w, 0);
    gh_write_u8(w, 0);
    emit_address(w, from);
}
