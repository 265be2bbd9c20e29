#include "proto/connect_ip/dns.h"

#include <string.h>

#include "base/error.h"

#define NAME_MAX_LEN 253u
#define LABEL_MAX 63u

/* RFC 9460, section 14.3.2; RFC 9461 */
enum { PARAM_MANDATORY, PARAM_ALPN, PARAM_NO_DEFAULT_ALPN, PARAM_PORT, PARAM_IPV4HINT, PARAM_ECH, PARAM_IPV6HINT };

bool gh_dns_name_valid(struct gh_span name)
{
    size_t label = 0, len = name.len;

    if (len > 0 && name.data[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';

        if (c == '.' ? label == 0 : !letter && c != '-')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0;
}

static bool alpn_valid(struct gh_span value)
{
    struct gh_reader r = gh_reader_of(value);

    while (gh_reader_left(&r) > 0) {
        uint8_t len = gh_read_u8(&r);

        if (len == 0)
            return false;
        (void)gh_read_span(&r, len);
    }
    return value.len > 0 && gh_reader_done(&r);
}

static bool param_valid(uint16_t key, struct gh_span value, struct gh_dns_nameserver *n)
{
    switch (key) {
    case PARAM_MANDATORY:
        return value.len > 0 && value.len % 2 == 0;
    case PARAM_ALPN:
        return n->name.len > 0 && alpn_valid(value);
    case PARAM_NO_DEFAULT_ALPN:
        n->plain = false;
        return n->name.len > 0 && value.len == 0;
    case PARAM_PORT:
        if (value.len != 2)
            return false;
        n->port = (uint16_t)(value.data[0] << 8 | value.data[1]);
        return n->port != 0;
    case PARAM_IPV4HINT: /* superseded by the addresses */
    case PARAM_IPV6HINT:
        return false;
    default:
        return true;
    }
}

/* Keys ascend (RFC 9460, section 2.2). */
static bool read_params(struct gh_dns_nameserver *n)
{
    struct gh_reader r = gh_reader_of(n->params);
    bool alpn = false;
    int last = -1;

    n->plain = true;
    while (gh_reader_left(&r) > 0) {
        uint16_t key = gh_read_u16(&r), len = gh_read_u16(&r);
        struct gh_span value = gh_read_span(&r, len);

        if (r.failed || key <= last || !param_valid(key, value, n))
            return false;
        alpn |= key == PARAM_ALPN;
        last = key;
    }
    /* section 7.1.1: no-default-alpn leaves nothing when there is no alpn */
    return gh_reader_done(&r) && (n->plain || alpn);
}

static int read_addresses(struct gh_reader *r, uint8_t family, struct gh_dns_nameserver *n)
{
    uint64_t count = gh_read_varint(r);

    if (r->failed || count > gh_reader_left(r) / (family == 4 ? 4 : 16))
        return GH_ERR_MALFORMED;
    if (count > GH_DNS_ADDRESSES - n->addr_count)
        return GH_ERR_TOO_LONG;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t bytes[16];

        gh_read_bytes(r, bytes, family == 4 ? 4 : 16);
        n->addrs[n->addr_count++] = family == 4 ? gh_ip_v4(bytes) : gh_ip_v6(bytes);
    }
    return 0;
}

/* <empty>: "" has a meaning here. */
static bool read_name(struct gh_reader *r, bool empty, struct gh_span *ret)
{
    uint64_t len = gh_read_varint(r);

    if (r->failed || len > gh_reader_left(r))
        return false;
    *ret = gh_read_span(r, (size_t)len);
    return ret->len == 0 ? empty : gh_dns_name_valid(*ret);
}

static int read_nameserver(struct gh_reader *r, struct gh_dns_nameserver *n)
{
    uint64_t len;
    int rc;

    *n = (struct gh_dns_nameserver){ .priority = gh_read_u16(r) };
    rc = read_addresses(r, 4, n);
    if (rc == 0)
        rc = read_addresses(r, 6, n);
    if (rc < 0)
        return rc;
    if (!read_name(r, true, &n->name))
        return GH_ERR_MALFORMED;
    len = gh_read_varint(r);
    if (r->failed || len > gh_reader_left(r))
        return GH_ERR_MALFORMED;
    n->params = gh_read_span(r, (size_t)len);
    if (n->priority == 0 || !read_params(n))
        return GH_ERR_MALFORMED;
    /* The draft wants an address where unencrypted DNS is spoken, and its first example has none: it is found by its name. */
    return n->addr_count > 0 || n->name.len > 0 ? 0 : GH_ERR_MALFORMED;
}

static int read_names(struct gh_reader *r, bool empty, struct gh_span *list, size_t *ret)
{
    uint64_t count = gh_read_varint(r);

    if (r->failed || count > gh_reader_left(r)) /* each has a byte at least */
        return GH_ERR_MALFORMED;
    if (count > GH_DNS_DOMAINS)
        return GH_ERR_TOO_LONG;
    for (size_t i = 0; i < count; i++)
        if (!read_name(r, empty, &list[i]))
            return GH_ERR_MALFORMED;
    *ret = (size_t)count;
    return 0;
}

static int read_config(struct gh_reader *r, struct gh_dns_config *c)
{
    uint64_t count = gh_read_varint(r);
    int rc = 0;

    c->nameserver_count = c->internal_count = c->search_count = 0;
    if (r->failed || count > gh_reader_left(r))
        return GH_ERR_MALFORMED;
    if (count > GH_DNS_NAMESERVERS)
        return GH_ERR_TOO_LONG;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = read_nameserver(r, &c->nameservers[i]);
    c->nameserver_count = (size_t)count;
    if (rc == 0)
        rc = read_names(r, true, c->internal, &c->internal_count);
    if (rc == 0)
        rc = read_names(r, false, c->search, &c->search_count);
    return rc;
}

int gh_dns_read(struct gh_span value, struct gh_dns_config list[GH_DNS_CONFIGS], size_t *ret_count)
{
    struct gh_reader r = gh_reader_of(value);
    size_t n = 0;
    int rc;

    for (; gh_reader_left(&r) > 0; n++) {
        if (n == GH_DNS_CONFIGS)
            return GH_ERR_TOO_LONG;
        rc = read_config(&r, &list[n]);
        if (rc < 0)
            return rc;
    }
    if (!gh_reader_done(&r))
        return GH_ERR_MALFORMED;
    *ret_count = n;
    return 0;
}

static void write_name(struct gh_writer *w, struct gh_span name)
{
    gh_write_varint(w, name.len);
    gh_write_span(w, name);
}

static void write_addresses(struct gh_writer *w, const struct gh_dns_nameserver *n, uint8_t family)
{
    size_t count = 0;

    for (size_t i = 0; i < n->addr_count; i++)
        count += n->addrs[i].family == family;
    gh_write_varint(w, count);
    for (size_t i = 0; i < n->addr_count; i++)
        if (n->addrs[i].family == family)
            gh_write_bytes(w, n->addrs[i].bytes, gh_ip_len(&n->addrs[i]));
}

void gh_dns_write(struct gh_writer *w, const struct gh_dns_config *list, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const struct gh_dns_config *c = &list[k];

        gh_write_varint(w, c->nameserver_count);
        for (size_t i = 0; i < c->nameserver_count; i++) {
            const struct gh_dns_nameserver *n = &c->nameservers[i];

            gh_write_u16(w, n->priority);
            write_addresses(w, n, 4);
            write_addresses(w, n, 6);
            write_name(w, n->name);
            write_name(w, n->params);
        }
        gh_write_varint(w, c->internal_count);
        for (size_t i = 0; i < c->internal_count; i++)
            write_name(w, c->internal[i]);
        gh_write_varint(w, c->search_count);
        for (size_t i = 0; i < c->search_count; i++)
            write_name(w, c->search[i]);
    }
}

bool gh_pref64_valid(const struct gh_prefix *p)
{
    uint8_t len = p->len;

    return p->addr.family == 6 && (len == 96 || (len >= 32 && len <= 64 && len % 8 == 0)) && gh_prefix_valid(p);
}

int gh_pref64_read(struct gh_span value, struct gh_prefix list[GH_PREF64_PREFIXES], size_t *ret_count)
{
    struct gh_reader r = gh_reader_of(value);
    size_t n = 0;

    if (value.len % 13 != 0)
        return GH_ERR_MALFORMED;
    for (; gh_reader_left(&r) > 0; n++) {
        uint8_t bytes[16] = { 0 }, len = gh_read_u8(&r);
        struct gh_prefix p;

        gh_read_bytes(&r, bytes, 12);
        for (size_t i = len / 8u; i < sizeof bytes; i++)
            bytes[i] = 0;
        p = (struct gh_prefix){ gh_ip_v6(bytes), len };
        if (!gh_pref64_valid(&p))
            return GH_ERR_MALFORMED;
        if (n == GH_PREF64_PREFIXES)
            return GH_ERR_TOO_LONG;
        list[n] = p;
    }
    *ret_count = n;
    return 0;
}

void gh_pref64_write(struct gh_writer *w, const struct gh_prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        gh_write_u8(w, list[i].len);
        gh_write_bytes(w, list[i].addr.bytes, 12);
    }
}
