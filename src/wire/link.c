#include "wire/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/hex.h"
#include "wire/utf8.h"

#define VALUE_MAX 4096u /* bytes of a part, decoded */

/* ---- reading ---- */

/* What is before the first <mark>, which is taken away, too; or all, and then there was none. */
static bool cut(struct gh_span *rest, const char *marks, struct gh_span *ret)
{
    for (size_t i = 0; i < rest->len; i++) {
        if (!strchr(marks, rest->data[i]) || rest->data[i] == 0)
            continue;
        *ret = gh_span_of(rest->data, i);
        *rest = gh_span_of(rest->data + i + 1, rest->len - i - 1);
        return true;
    }
    *ret = *rest;
    *rest = gh_span_of(NULL, 0);
    return false;
}

/* Percent-decoded, with NUL. Nothing that a terminal or a file of lines would not show as it is. */
static int decode(struct gh_span in, char *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t b = in.data[i];

        if (b == '%') {
            if (in.len - i < 3 || !gh_hex_decode(gh_span_of(in.data + i + 1, 2), GH_HEX_ANY, &b, 1))
                return GH_ERR_MALFORMED;
            i += 2;
        }
        if (b < 0x20 || b == 0x7f)
            return GH_ERR_MALFORMED;
        if (n == max)
            return GH_ERR_TOO_LONG;
        ret[n++] = (char)b;
    }
    ret[n] = 0;
    return gh_utf8_valid(gh_span_of(ret, n)) ? 0 : GH_ERR_MALFORMED;
}

static int read_port(struct gh_span text, uint16_t *ret)
{
    uint32_t port = 0;

    if (text.len == 0 || text.len > 5 || text.data[0] == '0')
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return GH_ERR_MALFORMED;
        port = port * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (port > 65535)
        return GH_ERR_MALFORMED;
    *ret = (uint16_t)port;
    return 0;
}

/* RFC 1123, section 2.1, and the underscore that some use; or an IPv4 address, which is made of the same. */
static bool is_name(const char *host)
{
    size_t label = 0;

    for (const char *c = host; *c; c++) {
        bool edge = label == 0 || !c[1] || c[1] == '.';

        if (*c == '.') {
            if (label == 0 || !c[1])
                return false;
            label = 0;
            continue;
        }
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || (*c == '-' && !edge)) || ++label > 63)
            return false;
    }
    return *host != 0;
}

static int read_host(struct gh_span text, struct gh_link *ret)
{
    struct gh_ip ip;

    if (text.len > GH_LINK_HOST_MAX)
        return GH_ERR_TOO_LONG;
    memcpy(ret->host, text.data, text.len);
    ret->host[text.len] = 0;
    for (char *c = ret->host; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    if (strlen(ret->host) != text.len)
        return GH_ERR_MALFORMED;
    if (memchr(text.data, ':', text.len))
        return gh_ip_parse((const char *)text.data, text.len, &ip) == 0 ? 0 : GH_ERR_MALFORMED;
    return is_name(ret->host) ? 0 : GH_ERR_MALFORMED;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT */
static int read_authority(struct gh_span text, struct gh_link *ret)
{
    struct gh_span host;
    bool has_port;
    int rc;

    ret->port = GH_LINK_PORT;
    if (text.len == 0)
        return GH_ERR_MALFORMED;
    if (text.data[0] == '[') {
        text = gh_span_of(text.data + 1, text.len - 1);
        if (!cut(&text, "]", &host) || !memchr(host.data, ':', host.len) || (text.len && text.data[0] != ':'))
            return GH_ERR_MALFORMED;
        has_port = text.len > 0;
        text = has_port ? gh_span_of(text.data + 1, text.len - 1) : text;
    } else {
        has_port = cut(&text, ":", &host);
        if (host.len == 0)
            return GH_ERR_MALFORMED;
    }
    rc = read_host(host, ret);
    return rc == 0 && has_port ? read_port(text, &ret->port) : rc;
}

static int read_user(struct gh_span text, struct gh_link *ret)
{
    struct gh_span user;
    int rc;

    (void)cut(&text, ":", &user);
    rc = decode(user, ret->user, GH_LINK_USER_MAX);
    if (rc == 0 && (user.len == 0 || strchr(ret->user, ':'))) /* a user with a colon could not say who it is (RFC 7617, section 2) */
        return GH_ERR_MALFORMED;
    return rc == 0 ? decode(text, ret->token, GH_LINK_TOKEN_MAX) : rc;
}

static int read_ech(const char *value, struct gh_link *ret)
{
    uint8_t list[VALUE_MAX / 4 * 3 + 2];
    size_t len;

    if (gh_base64_decode(gh_span_str(value), list, &len) < 0 || len == 0)
        return GH_ERR_MALFORMED;
    if (len > sizeof ret->ech)
        return GH_ERR_TOO_LONG;
    memcpy(ret->ech, list, len);
    ret->ech_len = len;
    return 0;
}

/* The digest as hexadecimal digits, or as base64. */
static int read_pin(const char *value, struct gh_link *ret)
{
    uint8_t digest[VALUE_MAX / 4 * 3 + 2];
    size_t len = 0;

    if (strncmp(value, "sha256:", 7) != 0)
        return GH_ERR_MALFORMED;
    ret->has_pin = true;
    if (gh_hex_decode(gh_span_str(value + 7), GH_HEX_ANY, ret->pin, sizeof ret->pin))
        return 0;
    if (gh_base64_decode(gh_span_str(value + 7), digest, &len) < 0 || len != sizeof ret->pin)
        return GH_ERR_MALFORMED;
    memcpy(ret->pin, digest, len);
    return 0;
}

static int read_hop(const char *value, struct gh_link *ret)
{
    struct gh_span last = gh_span_str(value), first;

    if (!cut(&last, "-", &first) || read_port(first, &ret->hop[0]) < 0 || read_port(last, &ret->hop[1]) < 0 || ret->hop[0] > ret->hop[1])
        return GH_ERR_MALFORMED;
    return 0;
}

static int read_ip(const char *value, uint8_t family, struct gh_ip *ret)
{
    size_t len = strlen(value);

    if (family == 6 && len > 1 && value[0] == '[' && value[len - 1] == ']') {
        value++;
        len -= 2;
    }
    return gh_ip_parse(value, len, ret) == 0 && ret->family == family ? 0 : GH_ERR_MALFORMED;
}

static int read_word(const char *value, char ret[GH_LINK_WORD_MAX + 1])
{
    if (strlen(value) > GH_LINK_WORD_MAX)
        return GH_ERR_TOO_LONG;
    strcpy(ret, value);
    return 0;
}

enum key { ECH, PIN, HOP, IP, IP6, FP, COUNTRY, KEYS };

static const char *const keys[KEYS] = { "ech", "pin", "hop", "ip", "ip6", "fp", "country" };

static int read_value(enum key k, const char *value, struct gh_link *ret)
{
    switch (k) {
    case ECH:
        return read_ech(value, ret);
    case PIN:
        return read_pin(value, ret);
    case HOP:
        return read_hop(value, ret);
    case IP:
        return read_ip(value, 4, &ret->ip);
    case IP6:
        return read_ip(value, 6, &ret->ip6);
    case FP:
        return read_word(value, ret->fp);
    case COUNTRY:
        return read_word(value, ret->country);
    case KEYS:
        break;
    }
    return 0;
}

static int read_query(struct gh_span query, struct gh_link *ret)
{
    char value[VALUE_MAX + 1];
    bool had[KEYS] = { false };
    struct gh_span item, key;
    int rc = 0;

    while (rc == 0 && query.len) {
        unsigned k = 0;

        (void)cut(&query, "&", &item);
        (void)cut(&item, "=", &key);
        while (k < KEYS && !gh_span_equals(key, gh_span_str(keys[k])))
            k++;
        if (k == KEYS)
            continue;
        if (had[k])
            return GH_ERR_MALFORMED;
        had[k] = true;
        rc = decode(item, value, VALUE_MAX);
        if (rc == 0 && *value) /* a key without a value says nothing */
            rc = read_value((enum key)k, value, ret);
    }
    return rc;
}

static bool take_scheme(struct gh_span *text)
{
    static const char *const schemes[] = { GH_LINK_SCHEME, "k2://" };

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]), n = 0;

        while (n < len && n < text->len && (text->data[n] | (text->data[n] >= 'A' && text->data[n] <= 'Z' ? 0x20 : 0)) == schemes[i][n])
            n++;
        if (n < len)
            continue;
        *text = gh_span_of(text->data + len, text->len - len);
        return true;
    }
    return false;
}

int gh_link_parse(struct gh_span text, struct gh_link *ret)
{
    struct gh_link l = { .port = 0 };
    struct gh_span head, user, path;
    bool has_query;
    int rc;

    if (text.len > GH_LINK_MAX)
        return GH_ERR_TOO_LONG;
    if (!take_scheme(&text))
        return GH_ERR_UNSUPPORTED;
    (void)cut(&text, "#", &head);
    rc = decode(text, l.name, GH_LINK_NAME_MAX);
    text = head;
    has_query = cut(&text, "?", &head);
    path = head;
    (void)cut(&path, "/", &head);
    if (rc == 0 && path.len) /* there is nothing on a path */
        rc = GH_ERR_MALFORMED;
    if (rc == 0 && head.len && memchr(head.data, '@', head.len)) {
        (void)cut(&head, "@", &user);
        rc = read_user(user, &l);
    }
    if (rc == 0)
        rc = read_authority(head, &l);
    if (rc == 0 && has_query)
        rc = read_query(text, &l);
    if (rc == 0)
        *ret = l;
    return rc;
}

/* ---- writing ---- */

static void put(struct gh_writer *w, const char *text)
{
    gh_write_bytes(w, text, strlen(text));
}

/* All but what no part of a link has a meaning for (RFC 3986, section 2.3), and what is easier to read as it is. */
static void put_encoded(struct gh_writer *w, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c)) {
            gh_write_u8(w, c);
        } else {
            gh_write_u8(w, '%');
            gh_write_u8(w, (uint8_t)digits[c >> 4]);
            gh_write_u8(w, (uint8_t)digits[c & 15]);
        }
    }
}

/* The mark between two of them; the first has another. */
static void put_key(struct gh_writer *w, bool *any, enum key k)
{
    gh_write_u8(w, *any ? '&' : '?');
    *any = true;
    put(w, keys[k]);
    gh_write_u8(w, '=');
}

static void put_query(struct gh_writer *w, const struct gh_link *l)
{
    char text[GH_BASE64_TEXT(GH_LINK_ECH_MAX)];
    bool any = false;

    if (l->ech_len) {
        text[gh_base64url_encode(gh_span_of(l->ech, l->ech_len), text)] = 0;
        put_key(w, &any, ECH);
        put(w, text);
    }
    if (l->has_pin) {
        gh_hex_encode(l->pin, sizeof l->pin, text);
        put_key(w, &any, PIN);
        put(w, "sha256:");
        put(w, text);
    }
    if (l->hop[0]) {
        snprintf(text, sizeof text, "%u-%u", l->hop[0], l->hop[1]);
        put_key(w, &any, HOP);
        put(w, text);
    }
    if (l->ip.family) {
        put_key(w, &any, IP);
        put(w, gh_ip_emit(&l->ip, text));
    }
    if (l->ip6.family) {
        put_key(w, &any, IP6);
        put(w, gh_ip_emit(&l->ip6, text));
    }
    if (*l->fp) {
        put_key(w, &any, FP);
        put_encoded(w, l->fp);
    }
    if (*l->country) {
        put_key(w, &any, COUNTRY);
        put_encoded(w, l->country);
    }
}

int gh_link_emit(const struct gh_link *l, char *ret, size_t cap)
{
    struct gh_writer w = gh_writer_of(ret, cap);
    struct gh_link again;
    char port[8];
    int rc;

    put(&w, GH_LINK_SCHEME);
    if (*l->user) {
        put_encoded(&w, l->user);
        gh_write_u8(&w, ':');
        put_encoded(&w, l->token);
        gh_write_u8(&w, '@');
    }
    put(&w, strchr(l->host, ':') ? "[" : "");
    put(&w, l->host);
    snprintf(port, sizeof port, ":%u", l->port);
    put(&w, strchr(l->host, ':') ? "]" : "");
    put(&w, port);
    put_query(&w, l);
    if (*l->name) {
        gh_write_u8(&w, '#');
        put_encoded(&w, l->name);
    }
    gh_write_u8(&w, 0);
    if (w.failed)
        return GH_ERR_TOO_LONG;
    rc = gh_link_parse(gh_span_str(ret), &again);
    return rc < 0 ? (rc == GH_ERR_TOO_LONG ? rc : GH_ERR_MALFORMED) : (int)gh_writer_len(&w) - 1;
}
