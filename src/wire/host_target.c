#include "wire/host_target.h"

#include <stdio.h>
#include <string.h>

#include "wire/uri_template.h"

void gh_host_target_unmap(struct gh_ip *ip)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    if (ip->family == 6 && memcmp(ip->bytes, mapped, sizeof mapped) == 0)
        *ip = gh_ip_v4(ip->bytes + 12);
}

static int parse_port(struct gh_span s, uint16_t *ret)
{
    unsigned v = 0;

    if (s.len == 0 || s.len > 5)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return GH_ERR_MALFORMED;
        v = v * 10 + (unsigned)(s.data[i] - '0');
    }
    if (v == 0 || v > 65535)
        return GH_ERR_MALFORMED;
    *ret = (uint16_t)v;
    return 0;
}

/* <family> 0: any form of host. */
static int parse(struct gh_span host, struct gh_span port, uint8_t family, struct gh_host_target *ret)
{
    struct gh_host_target t = { .name = "" };
    struct gh_ip_scope scope;
    int rc = parse_port(port, &t.port);

    if (rc == 0)
        rc = host.len ? gh_ip_scope_parse(host, gh_span_of(NULL, 0), &scope) : GH_ERR_MALFORMED;
    if (rc < 0)
        return GH_ERR_MALFORMED;
    if (scope.kind == GH_IP_SCOPE_PREFIX && scope.prefix.len == gh_ip_bits(&scope.prefix.addr)) {
        if (family && scope.prefix.addr.family != family)
            return GH_ERR_MALFORMED;
        if (memchr(host.data, '/', host.len)) /* 192.0.2.1/32 is a network */
            return GH_ERR_MALFORMED;
        t.ip = scope.prefix.addr;
        gh_ip_emit(&t.ip, t.name);
        gh_host_target_unmap(&t.ip);
    } else if (scope.kind == GH_IP_SCOPE_NAME && !family) {
        memcpy(t.name, scope.name, sizeof t.name);
    } else {
        return GH_ERR_MALFORMED;
    }
    *ret = t;
    return 0;
}

int gh_host_target_of_authority(struct gh_span a, struct gh_host_target *ret)
{
    size_t colon = a.len, end;

    while (colon > 0 && a.data[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return GH_ERR_MALFORMED;
    end = colon - 1;
    if (a.data[0] == '[') {
        if (end < 3 || a.data[end - 1] != ']')
            return GH_ERR_MALFORMED;
        return parse(gh_span_of(a.data + 1, end - 2), gh_span_of(a.data + colon, a.len - colon), 6, ret);
    }
    if (memchr(a.data, ':', end)) /* an IPv6 address stands in brackets (RFC 3986, section 3.2.2) */
        return GH_ERR_MALFORMED;
    return parse(gh_span_of(a.data, end), gh_span_of(a.data + colon, a.len - colon), 0, ret);
}

static const char before[] = "/.well-known/masque/udp/";

int gh_host_target_of_path(struct gh_span path, struct gh_host_target *ret)
{
    const size_t skip = sizeof before - 1;
    const uint8_t *slash;
    struct gh_span rest, port;

    if (path.len < skip || memcmp(path.data, before, skip) != 0)
        return GH_ERR_NOT_FOUND;
    rest = gh_span_of(path.data + skip, path.len - skip);
    slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
    if (!slash)
        return GH_ERR_NOT_FOUND;
    port = gh_span_of(slash + 1, rest.len - (size_t)(slash + 1 - rest.data));
    if (port.len && port.data[port.len - 1] == '/')
        port.len--;
    if (port.len && memchr(port.data, '/', port.len))
        return GH_ERR_NOT_FOUND;
    return parse(gh_span_of(rest.data, (size_t)(slash - rest.data)), port, 0, ret);
}

static void emit_port(struct gh_writer *w, uint16_t port)
{
    char text[8];
    int n = snprintf(text, sizeof text, "%u", port);

    gh_write_bytes(w, text, (size_t)n);
}

static const char *host_of(const struct gh_host_target *t, char buf[GH_IP_TEXT])
{
    return t->ip.family ? gh_ip_emit(&t->ip, buf) : t->name;
}

void gh_host_target_emit_authority(struct gh_writer *w, const struct gh_host_target *t)
{
    char buf[GH_IP_TEXT];
    const char *host = host_of(t, buf);

    w->failed |= !*host;
    if (t->ip.family == 6)
        gh_write_u8(w, '[');
    gh_write_bytes(w, host, strlen(host));
    if (t->ip.family == 6)
        gh_write_u8(w, ']');
    gh_write_u8(w, ':');
    emit_port(w, t->port);
}

/* RFC 6570, section 3.2.2: what is not unreserved is percent-encoded, and so are the colons of IPv6 (RFC 9298, section 2). */
void gh_host_target_emit_path(struct gh_writer *w, const struct gh_host_target *t)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char buf[GH_IP_TEXT];
    const char *host = host_of(t, buf);

    w->failed |= !*host;
    gh_write_bytes(w, before, sizeof before - 1);
    for (; *host; host++) {
        uint8_t c = (uint8_t)*host;

        if (strchr(plain, *host)) {
            gh_write_u8(w, c);
        } else {
            gh_write_u8(w, '%');
            gh_write_u8(w, (uint8_t)digits[c >> 4]);
            gh_write_u8(w, (uint8_t)digits[c & 15]);
        }
    }
    gh_write_u8(w, '/');
    emit_port(w, t->port);
    gh_write_u8(w, '/');
}
