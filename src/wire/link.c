#include "wire/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/hex.h"
#include "wire/utf8.h"

#define VALUE_MAX 4096u /* bytes of a part, decoded */

/* ---- reading ---- */

struct reading {
    struct gh_span all;
    struct gh_link link;
    struct gh_link_error error;
};

/* The first thing that is wrong counts. <where>: of <all>; of nothing: its end. */
static int refuse(struct reading *r, const uint8_t *where, int rc, const char *what)
{
    if (!r->error.what)
        r->error = (struct gh_link_error){ where ? (size_t)(where - r->all.data) + 1 : r->all.len + 1, what };
    return rc;
}

static int malformed(struct reading *r, struct gh_span where, const char *what)
{
    return refuse(r, where.data, GH_ERR_MALFORMED, what);
}

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
static int decode(struct reading *r, struct gh_span in, char *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        const uint8_t *at = in.data + i;
        uint8_t b = *at;

        if (b == '%') {
            if (in.len - i < 3 || !gh_hex_decode(gh_span_of(at + 1, 2), GH_HEX_ANY, &b, 1))
                return refuse(r, at, GH_ERR_MALFORMED, "two hexadecimal digits must follow a %");
            i += 2;
        }
        if (b < 0x20 || b == 0x7f)
            return refuse(r, at, GH_ERR_MALFORMED, "control characters have no place in a link");
        if (n == max)
            return refuse(r, at, GH_ERR_TOO_LONG, "this part is too long");
        ret[n++] = (char)b;
    }
    ret[n] = 0;
    return gh_utf8_valid(gh_span_of(ret, n)) ? 0 : malformed(r, in, "this part is not UTF-8");
}

static int read_port(struct reading *r, struct gh_span text, uint16_t *ret)
{
    static const char what[] = "a port is a number from 1 to 65535";
    uint32_t port = 0;

    if (text.len == 0 || text.len > 5 || text.data[0] == '0')
        return malformed(r, text, what);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return malformed(r, text, what);
        port = port * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (port > 65535)
        return malformed(r, text, what);
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

static int read_host(struct reading *r, struct gh_span text)
{
    static const char what[] = "the host must be a name or an address, one of IPv6 in brackets";
    char *host = r->link.host;
    struct gh_ip ip;
    bool good;

    if (text.len > GH_LINK_HOST_MAX)
        return refuse(r, text.data, GH_ERR_TOO_LONG, "the host is too long");
    memcpy(host, text.data, text.len);
    host[text.len] = 0;
    for (char *c = host; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    if (memchr(text.data, ':', text.len))
        good = gh_ip_parse((const char *)text.data, text.len, &ip) == 0;
    else
        good = strlen(host) == text.len && is_name(host);
    return good ? 0 : malformed(r, text, what);
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT */
static int read_authority(struct reading *r, struct gh_span text)
{
    static const char what[] = "a host must be here: a name, an address, or an address of IPv6 in brackets";
    struct gh_span host;
    bool has_port;
    int rc;

    r->link.port = GH_LINK_PORT;
    if (text.len == 0)
        return malformed(r, text, what);
    if (text.data[0] == '[') {
        text = gh_span_of(text.data + 1, text.len - 1);
        if (!cut(&text, "]", &host) || !memchr(host.data, ':', host.len) || (text.len && text.data[0] != ':'))
            return malformed(r, host, "an address of IPv6 must be here, then ] and perhaps a port");
        has_port = text.len > 0;
        text = has_port ? gh_span_of(text.data + 1, text.len - 1) : text;
    } else {
        has_port = cut(&text, ":", &host);
        if (host.len == 0)
            return malformed(r, host, what);
    }
    rc = read_host(r, host);
    return rc == 0 && has_port ? read_port(r, text, &r->link.port) : rc;
}

static int read_user(struct reading *r, struct gh_span text)
{
    struct gh_span user;
    int rc;

    (void)cut(&text, ":", &user);
    rc = decode(r, user, r->link.user, GH_LINK_USER_MAX);
    if (rc == 0 && (user.len == 0 || strchr(r->link.user, ':'))) /* a user with a colon could not say who it is (RFC 7617, section 2) */
        return malformed(r, user, "a user must be here, without a colon in the name");
    return rc == 0 ? decode(r, text, r->link.token, GH_LINK_TOKEN_MAX) : rc;
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

/* Where it is wrong is said by the caller. */
static int read_hop(const char *value, struct gh_link *ret)
{
    struct reading nowhere = { .all = gh_span_str(value) };
    struct gh_span last = nowhere.all, first;

    if (!cut(&last, "-", &first) || read_port(&nowhere, first, &ret->hop[0]) < 0 || read_port(&nowhere, last, &ret->hop[1]) < 0 || ret->hop[0] > ret->hop[1])
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

static const char *const wants[KEYS] = {
    [ECH] = "ech must be an ECHConfigList in base64, of 1499 bytes at most",
    [PIN] = "pin must be sha256: and 64 hexadecimal digits, or the base64 of 32 bytes",
    [HOP] = "hop must be two ports, the lower first, such as 10020-10119",
    [IP] = "ip must be an address of IPv4",
    [IP6] = "ip6 must be an address of IPv6",
    [FP] = "fp must be a word of 63 bytes at most",
    [COUNTRY] = "country must be a word of 63 bytes at most",
};

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

/* What a later release may know. What is no URI (RFC 3986) it cannot know, either. */
static void keep_other(struct gh_link *l, struct gh_span item)
{
    size_t len = strlen(l->other);

    for (size_t i = 0; i < item.len; i++)
        if (item.data[i] <= ' ' || item.data[i] >= 0x7f)
            return;
    if (item.len == 0 || len + 1 + item.len > GH_LINK_OTHER_MAX)
        return;
    if (len)
        l->other[len++] = '&';
    memcpy(l->other + len, item.data, item.len);
    l->other[len + item.len] = 0;
}

static int read_query(struct reading *r, struct gh_span query)
{
    char value[VALUE_MAX + 1];
    bool had[KEYS] = { false };
    struct gh_span item, whole, key;
    int rc = 0;

    while (rc == 0 && query.len) {
        unsigned k = 0;

        (void)cut(&query, "&", &item);
        whole = item;
        (void)cut(&item, "=", &key);
        while (k < KEYS && !gh_span_equals(key, gh_span_str(keys[k])))
            k++;
        if (k == KEYS) {
            keep_other(&r->link, whole);
            continue;
        }
        if (had[k])
            return malformed(r, key, "this key is there twice; keep one");
        had[k] = true;
        rc = decode(r, item, value, VALUE_MAX);
        if (rc == 0 && *value) { /* a key without a value says nothing */
            rc = read_value((enum key)k, value, &r->link);
            if (rc < 0)
                (void)refuse(r, item.data, rc, wants[k]);
        }
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

static int read_all(struct reading *r)
{
    struct gh_span text = r->all, head, user, path;
    bool has_query;
    int rc;

    if (text.len > GH_LINK_MAX)
        return refuse(r, text.data + GH_LINK_MAX, GH_ERR_TOO_LONG, "a link has 8192 bytes at most");
    if (!take_scheme(&text))
        return refuse(r, text.data, GH_ERR_UNSUPPORTED, "a link begins with k2v5://");
    (void)cut(&text, "#", &head);
    rc = decode(r, text, r->link.name, GH_LINK_NAME_MAX);
    text = head;
    has_query = cut(&text, "?", &head);
    path = head;
    (void)cut(&path, "/", &head);
    if (rc == 0 && path.len) /* there is nothing on a path */
        rc = malformed(r, path, "a link has no path");
    if (rc == 0 && head.len && memchr(head.data, '@', head.len)) {
        (void)cut(&head, "@", &user);
        rc = read_user(r, user);
    }
    if (rc == 0)
        rc = read_authority(r, head);
    if (rc == 0 && has_query)
        rc = read_query(r, text);
    return rc;
}

int gh_link_read(struct gh_span text, struct gh_link *ret, struct gh_link_error *ret_error)
{
    struct reading r = { .all = text };
    int rc = read_all(&r);

    if (rc == 0)
        *ret = r.link;
    else
        *ret_error = r.error;
    return rc;
}

int gh_link_parse(struct gh_span text, struct gh_link *ret)
{
    struct gh_link_error error;

    return gh_link_read(text, ret, &error);
}

char *gh_link_other_keys(const struct gh_link *l, char *ret, size_t cap)
{
    struct gh_span rest = gh_span_str(l->other), item, key;
    size_t n = 0;

    while (rest.len) {
        (void)cut(&rest, "&", &item);
        (void)cut(&item, "=", &key);
        if (key.len == 0 || n + key.len + 3 > cap)
            continue;
        n += (size_t)snprintf(ret + n, cap - n, "%s%.*s", n ? ", " : "", (int)key.len, (const char *)key.data);
    }
    ret[n] = 0;
    return ret;
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
    if (*l->other) {
        gh_write_u8(w, any ? '&' : '?');
        put(w, l->other);
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
