#include "base/ip_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

int gh_ip_compare(const struct gh_ip *a, const struct gh_ip *b)
{
    return memcmp(a, b, sizeof *a);
}

bool gh_ip_is_zero(const struct gh_ip *a)
{
    static const uint8_t zero[16];

    return memcmp(a->bytes, zero, 16) == 0;
}

bool gh_ip_is_multicast(const struct gh_ip *a)
{
    return a->family == 4 ? (a->bytes[0] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

bool gh_ip_is_link_local(const struct gh_ip *a)
{
    if (a->family == 4)
        return (a->bytes[0] == 169 && a->bytes[1] == 254) || (a->bytes[0] == 224 && !a->bytes[1] && !a->bytes[2]);
    if (a->bytes[0] == 0xff)
        return (a->bytes[1] & 0x0f) == 2;
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

void gh_ip_increment(struct gh_ip *a)
{
    for (size_t i = gh_ip_len(a); i-- > 0;)
        if (++a->bytes[i])
            return;
}

int gh_ip_parse(const char *text, size_t len, struct gh_ip *ret)
{
    char buf[GH_IP_TEXT];
    struct gh_ip a = { 0 };

    if (len == 0 || len >= sizeof buf || memchr(text, 0, len))
        return GH_ERR_MALFORMED;
    memcpy(buf, text, len);
    buf[len] = 0;
    if (inet_pton(AF_INET, buf, a.bytes) == 1)
        a.family = 4;
    else if (inet_pton(AF_INET6, buf, a.bytes) == 1)
        a.family = 6;
    else
        return GH_ERR_MALFORMED;
    *ret = a;
    return 0;
}

static int parse_prefix_len(const char *text, size_t len, unsigned max, uint8_t *ret)
{
    unsigned v = 0;

    if (len == 0 || len > 3 || (len > 1 && text[0] == '0'))
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return GH_ERR_MALFORMED;
        v = v * 10 + (unsigned)(text[i] - '0');
    }
    if (v > max)
        return GH_ERR_MALFORMED;
    *ret = (uint8_t)v;
    return 0;
}

int gh_prefix_parse(const char *text, size_t len, struct gh_prefix *ret)
{
    const char *slash = memchr(text, '/', len);
    size_t head = slash ? (size_t)(slash - text) : len;
    struct gh_prefix p;
    int rc = gh_ip_parse(text, head, &p.addr);

    if (rc < 0)
        return rc;
    p.len = (uint8_t)gh_ip_bits(&p.addr);
    if (slash) {
        rc = parse_prefix_len(slash + 1, len - head - 1, p.len, &p.len);
        if (rc < 0)
            return rc;
    }
    if (!gh_prefix_valid(&p))
        return GH_ERR_RANGE;
    *ret = p;
    return 0;
}

const char *gh_ip_emit(const struct gh_ip *a, char buf[GH_IP_TEXT])
{
    if (a->family == 0 || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, buf, GH_IP_TEXT))
        snprintf(buf, GH_IP_TEXT, "none");
    return buf;
}

const char *gh_prefix_emit(const struct gh_prefix *p, char buf[GH_PREFIX_TEXT])
{
    char text[GH_IP_TEXT];

    snprintf(buf, GH_PREFIX_TEXT, "%s/%u", gh_ip_emit(&p->addr, text), p->len);
    return buf;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool gh_prefix_contains(const struct gh_prefix *p, const struct gh_ip *a)
{
    return p->addr.family == a->family && bits_equal(p->addr.bytes, a->bytes, p->len);
}

bool gh_prefix_covers(const struct gh_prefix *outer, const struct gh_prefix *inner)
{
    return outer->len <= inner->len && gh_prefix_contains(outer, &inner->addr);
}

bool gh_prefix_valid(const struct gh_prefix *p)
{
    struct gh_ip first, last;

    if ((p->addr.family != 4 && p->addr.family != 6) || p->len > gh_ip_bits(&p->addr))
        return false;
    gh_prefix_bounds(p, &first, &last);
    return gh_ip_equals(&first, &p->addr);
}

void gh_prefix_bounds(const struct gh_prefix *p, struct gh_ip *ret_first, struct gh_ip *ret_last)
{
    struct gh_ip first = p->addr, last = p->addr;

    for (unsigned bit = p->len; bit < gh_ip_bits(&p->addr); bit++) {
        first.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
        last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
    }
    *ret_first = first;
    *ret_last = last;
}
